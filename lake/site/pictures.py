"""Small pictures of how a table went, one SVG each. Colours are the page's own: by class, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

_SLOTS = 40
_BAR, _GAP, _HIGH = 12, 3, 56
_FLAT = 2.0


def bars(values: Sequence[float], says: Sequence[str], tone: str, *, what: str) -> Markup:
    """A bar a version, oldest first and the newest at the right, scaled to the largest; `says` is told of each when it is pointed at.

    `tone` is a class of the page: how a bar that is not nothing looks. `what` names the picture for those who do not see it.
    """
    width = _SLOTS * (_BAR + _GAP) - _GAP
    largest = max(values, default=0.0)
    body = [f'<line class="ground" x1="0" x2="{width}" y1="{_HIGH + 0.5}" y2="{_HIGH + 0.5}"/>']
    for place, (value, said) in enumerate(zip(values, says, strict=True)):
        tall = max(_FLAT, _HIGH * value / largest) if largest and value else _FLAT
        x = (_SLOTS - len(values) + place) * (_BAR + _GAP)
        kind = tone if value else "none"
        body.append(
            f'<g><title>{escape(said)}</title><rect class="reach" x="{x - _GAP / 2}" y="0" width="{_BAR + _GAP}" height="{_HIGH}"/>'
            f'<rect class="bar {kind}" x="{x}" y="{_HIGH - tall:.1f}" width="{_BAR}" height="{tall:.1f}" rx="1.5"/></g>'
        )
    head = f'<svg class="bars" viewBox="0 0 {width} {_HIGH + 1}" role="img" aria-label="{escape(what)}" preserveAspectRatio="xMaxYMax meet">'
    return Markup("".join([head, *body, "</svg>"]))  # noqa: S704  # texts are escaped above


def stack(parts: Sequence[tuple[str, int]]) -> Markup:
    """Where rows went, as one thin bar: each part (an entry of the ledger, which is its class too) as wide as its share."""
    whole = sum(count for _, count in parts)
    if not whole:
        return Markup('<svg class="stack" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="none" width="100" height="4"/></svg>')
    body, left = [], 0.0
    for name, count in parts:
        wide = 100 * count / whole
        body.append(f'<rect class="{escape(name)}" x="{left:.3f}" width="{wide:.3f}" height="4"><title>{count:,} {escape(name)}</title></rect>')
        left += wide
    return Markup(f'<svg class="stack" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">{"".join(body)}</svg>')  # noqa: S704
