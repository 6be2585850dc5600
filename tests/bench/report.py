"""What the bench found, as bench.json, as a table and as a picture."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

_LEFT, _WIDTH, _ROW, _MOST = 330, 760, 26, 1.6


@dataclass
class Found:
    """One figure. `floor` is what it is compared with (the hand-written way, or `of`); the bound is one of the ratio where there is a floor, else of the value."""

    work: str
    metric: str
    value: float
    floor: float | None = None
    ratio: float | None = None
    bound: float | None = None
    met: bool | None = None
    at_least: bool = False
    of: str = "by hand"

    def __post_init__(self) -> None:
        if self.floor:
            self.ratio = self.value / self.floor
        measured = self.ratio if self.ratio is not None else self.value
        if self.bound is not None:
            self.met = measured >= self.bound if self.at_least else measured <= self.bound


def write_report(found: list[Found], out: Path, about: str) -> str:
    """Write bench.json and bench.svg into `out`, and return the table in Markdown."""
    rows = [{name: _rounded(value) for name, value in asdict(one).items() if name not in ("at_least", "of")} for one in found]
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    (out / "bench.svg").write_text(_picture([one for one in found if one.ratio is not None and one.bound is not None], about), "utf-8")
    lines = [f"{about}\n", "| work | metric | lake | floor | ratio | bound | |", "|---|---|---:|---:|---:|---:|---|"]
    for one in found:
        sign = "≥" if one.at_least else "≤"
        cells = [one.work, one.metric, _number(one.value), _number(one.floor), _number(one.ratio), f"{sign} {one.bound:g}" if one.bound is not None else ""]
        lines.append(f"| {' | '.join(cells)} | {'' if one.met is None else 'met' if one.met else '**not met**'} |")
    return "\n".join(lines)


def _picture(found: list[Found], about: str) -> str:
    """A bar for each ratio with a bound, and a mark where the bound is; the line at 1 is the floor."""
    height = _ROW * len(found) + 50
    scale = (_WIDTH - _LEFT - 60) / _MOST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/><text x="12" y="20" fill="#17222a" font-weight="600">lake beside the same work by hand (1 = as long)</text>',
        f'<text x="12" y="{height - 10}" fill="#586872">{escape(about)}</text>',
        f'<line x1="{_LEFT + scale}" y1="30" x2="{_LEFT + scale}" y2="{height - 24}" stroke="#c4ced3"/>',
    ]
    for number, one in enumerate(found):
        y, ratio, bound = 34 + number * _ROW, float(one.ratio or 0), float(one.bound or 0)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end" fill="#17222a">{escape(one.work)}, {escape(one.metric)}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y + 2}" width="{min(ratio, _MOST) * scale:.1f}" height="14" rx="2" fill="{"#10697b" if one.met else "#b3401a"}"/>')
        parts.append(f'<line x1="{_LEFT + bound * scale:.1f}" y1="{y - 1}" x2="{_LEFT + bound * scale:.1f}" y2="{y + 19}" stroke="#17222a" stroke-width="2"/>')
        parts.append(f'<text x="{_LEFT + min(ratio, _MOST) * scale + 6:.1f}" y="{y + 13}" fill="#586872">{ratio:.2f}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
