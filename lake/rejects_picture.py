"""The share of rows rejected at each of the last versions of some tables, as one small SVG."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from lake.log import TableLog
from lake.record import Record

_VERSIONS = 16
_ROW, _BAR, _GAP, _LEFT, _RIGHT, _TOP = 30, 12, 3, 250, 96, 44
_RED, _PALE = "#c2410c", "#e5e7eb"


def rejects_svg(logs: Iterable[TableLog]) -> str:
    """One line a table: a bar a version, oldest first, scaled to the largest share among them, and the newest share in words."""
    rows = [(log.path.replace("/", "."), [share_of(record) for _, record in reversed(log.recent(_VERSIONS))]) for log in logs]
    rows = [(name, shares) for name, shares in rows if shares]
    largest = max((share for _, shares in rows for share in shares), default=0.0)
    width = _LEFT + _VERSIONS * (_BAR + _GAP) + _RIGHT
    height = _TOP + _ROW * max(1, len(rows)) + 12
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui,sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>',
        f'<text x="16" y="26" font-size="14" font-weight="600" fill="#1f2937">Rows rejected, by version; the tallest bar is {largest:.2%}</text>',
    ]
    for number, (name, shares) in enumerate(rows):
        base = _TOP + _ROW * (number + 1) - 6
        body.append(f'<text x="16" y="{base - 4}" fill="#374151">{escape(name)}</text>')
        for place, share in enumerate(shares):
            tall = max(1.5, (_ROW - 8) * share / largest) if largest and share else 1.5
            x = _LEFT + (_VERSIONS - len(shares) + place) * (_BAR + _GAP)
            body.append(f'<rect x="{x}" y="{base - tall:.1f}" width="{_BAR}" height="{tall:.1f}" fill="{_RED if share else _PALE}"/>')
        body.append(f'<text x="{width - 16}" y="{base - 4}" text-anchor="end" fill="{_RED if shares[-1] else "#6b7280"}">{shares[-1]:.3%}</text>')
    return "".join([*body, "</svg>"])


def share_of(record: Record) -> float:
    """Which share of the rows that a commit judged it rejected, 0 to 1."""
    judged = record.ledger.groups if record.ledger.groups is not None else record.ledger.read
    return record.ledger.rejected / judged if judged else 0.0
