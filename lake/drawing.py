"""The lineage of a lake as one SVG picture: a column a layer, a box a table, a curve from each table to those made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import accumulate, combinations, pairwise

from lake.errors import UnknownName

_COLOURS = {"raw": ("#4d7380", "#eef4f5"), "bronze": ("#b0672e", "#fbf2ea"), "silver": ("#7d8796", "#f2f4f7"), "gold": ("#b58900", "#fdf6df")}
_LAYERS = list(_COLOURS)
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_EDGE, _GAP, _PAD, _HEAD, _BOX, _CHAR = 24, 64, 16, 42, 34, 7.4
_ORDERING, _SETTLING = 12, 60

Point = tuple[int, str, str]
"""Where a curve is in one column: the column, the table, and "". Where it only passes through, the two tables it joins."""


def lineage_svg(edges: Iterable[tuple[str, str]], *, title: str = "", here: str = "") -> str:
    """A picture of `edges`, (from, to) pairs of `layer.subject.table` or `raw/subject.source`: the same edges give the same text.

    The table `here` stands out. It brings its own background, so it reads on any page, and needs no font or file from elsewhere.
    Raises UnknownName for a name that begins with no layer.
    """
    pairs = sorted(set(edges))
    column = _columns(pairs)
    wires = [_wire(column, *pair) for pair in pairs]
    y = _heights(column, wires)
    widths = [max(len(_label(name, column)) for name in column if column[name] == at) * _CHAR + 28 for at in range(1 + max(column.values(), default=-1))]
    x = list(accumulate([_EDGE + _PAD, *(width + _GAP for width in widths)]))
    top = _EDGE + (34 if title else 0)
    height = top + _HEAD + max(y.values(), default=-_BOX / 2) + _BOX / 2 + _PAD + _EDGE
    body = [f'<text x="{_EDGE}" y="{_EDGE + 14}" font-size="16" font-weight="600">{escape(title)}</text>'] if title else []
    for layer in dict.fromkeys(_layer(name) for name in sorted(column, key=lambda name: column[name])):
        inside = [column[name] for name in column if _layer(name) == layer]
        left, right = x[min(inside)] - _PAD, x[max(inside)] + widths[max(inside)] + _PAD
        body.append(f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{height - top - _EDGE:.1f}" rx="10" fill="{_COLOURS[layer][1]}"/>')
        body.append(
            f'<text x="{left + _PAD:.1f}" y="{top + 23}" font-size="12" font-weight="700" letter-spacing="1" fill="{_COLOURS[layer][0]}">{layer.upper()}</text>'
        )
    middle = {point: top + _HEAD + at for point, at in y.items()}
    body += [_curve(wire, x, widths, middle) for wire in wires]
    body += [_box(name, _label(name, column), x[at], middle[at, name, ""], widths[at], here=name == here) for name, at in sorted(column.items())]
    if not pairs:
        body.append(f'<text x="{_EDGE}" y="{top + 30}" font-size="13" fill="#6b7280">No table has been made yet.</text>')
    width = x[-1] - _GAP + _PAD + _EDGE if pairs else max(280, len(title) * 9 + 2 * _EDGE)
    card = f'<rect x="0.5" y="0.5" width="{width - 1:.1f}" height="{height - 1:.1f}" rx="14" fill="#ffffff" stroke="#d5dae1"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.0f}" height="{height:.0f}" role="img"'
    return "\n".join([f'{head} font-family="{_FONT}" fill="#1f2937">', f"<title>{escape(title or 'Lineage')}</title>", card, *body, "</svg>"]) + "\n"


def _layer(name: str) -> str:
    found = name.replace("/", ".").split(".")[0]
    if found not in _COLOURS:
        raise UnknownName.among("layer", found, _LAYERS)
    return found


def _label(name: str, names: Iterable[str]) -> str:
    """The table's own name, with its subject where the picture shows several."""
    several = len({other.replace("/", ".").split(".")[:2][-1] for other in names}) > 1
    return name.replace("/", ".").split(".", 1 if several else 2)[-1]


def _columns(pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Each table's column: by layer, and within a layer to the right of what it is made from."""
    depth = dict.fromkeys((name for pair in pairs for name in pair), 0)
    inside = [(start, end) for start, end in pairs if start != end and _layer(start) == _layer(end)]
    for _ in range(len(depth)):  # at most: tables that are made from each other would go round for ever
        for start, end in inside:
            depth[end] = max(depth[end], depth[start] + 1)
    place = {name: (_LAYERS.index(_layer(name)), below) for name, below in depth.items()}
    used = sorted(set(place.values()))
    return {name: used.index(at) for name, at in place.items()}


def _wire(column: Mapping[str, int], start: str, end: str) -> list[Point]:
    """The curve's way from table to table, with a point in each column it passes."""
    return [(column[start], start, ""), *((at, start, end) for at in range(column[start] + 1, column[end])), (column[end], end, "")]


def _heights(column: Mapping[str, int], wires: Sequence[Sequence[Point]]) -> dict[Point, float]:
    """The middle of each point, from the top down: put in order by the mean of their neighbours, then moved to it as far as there is room."""
    steps = sorted({step for wire in wires for step in pairwise(wire)})
    left: dict[Point, list[Point]] = {point: [] for wire in wires for point in wire}
    right: dict[Point, list[Point]] = {point: [] for point in left}
    for a, b in steps:
        right[a].append(b)
        left[b].append(a)
    y = {point: float(at) for at, point in enumerate(sorted(left))}
    stacks = [[point for point in y if point[0] == at] for at in range(1 + max(column.values(), default=-1))]
    best, fewest = y, _crossings(steps, y)
    for sweep in range(_ORDERING):
        for stack in stacks[:: -1 if sweep % 2 else 1]:
            near = right if sweep % 2 else left
            stack.sort(key=lambda point: (_mean(y, near[point] or [point]), y[point]))  # noqa: B023  # sorted at once
            y = y | dict(zip(stack, _spread(stack, [_mean(y, near[point] or [point]) for point in stack]), strict=True))
        if (crossings := _crossings(steps, y)) < fewest:
            best, fewest = y, crossings
    y = best
    stacks = [sorted(stack, key=lambda point: best[point]) for stack in stacks]
    for _ in range(_SETTLING):
        for stack in reversed(stacks):
            y = y | dict(zip(stack, _spread(stack, [_mean(y, left[point] + right[point]) for point in stack]), strict=True))
    top = min(y.values(), default=0.0) - _BOX / 2
    return {point: height - top for point, height in y.items()}


def _mean(y: Mapping[Point, float], points: Sequence[Point]) -> float:
    return round(sum(y[point] for point in points) / len(points), 6)


def _spread(stack: Sequence[Point], wanted: Sequence[float]) -> list[float]:
    """Heights as near to `wanted` as the order and the room that each point needs allow (least squares)."""
    room = [9.0 if target else 25.0 for _, _, target in stack]
    offsets = list(accumulate((a + b for a, b in pairwise(room)), initial=0.0))[: len(stack)]
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            total, count = total + blocks[-1][0], count + blocks.pop()[1]
        blocks.append((total, count))
    return [height + offset for height, offset in zip((total / count for total, count in blocks for _ in range(count)), offsets, strict=True)]


def _crossings(steps: Sequence[tuple[Point, Point]], y: Mapping[Point, float]) -> int:
    return sum(a[0] == c[0] and b[0] == d[0] and (y[a] - y[c]) * (y[b] - y[d]) < 0 for (a, b), (c, d) in combinations(steps, 2))


def _curve(wire: Sequence[Point], x: Sequence[float], widths: Sequence[float], y: Mapping[Point, float]) -> str:
    """One path: from the right edge of a box, level through the columns it passes, to the left edge of another."""
    path = f"M{x[wire[0][0]] + widths[wire[0][0]]:.1f} {y[wire[0]]:.1f}"
    for a, b in pairwise(wire):
        left, right = x[a[0]] + widths[a[0]], x[b[0]]
        bend = max(_GAP, right - left) / 2
        path += f" C{left + bend:.1f} {y[a]:.1f} {right - bend:.1f} {y[b]:.1f} {right:.1f} {y[b]:.1f}" + (f" H{right + widths[b[0]]:.1f}" if b[2] else "")
    return f'<path d="{path}" fill="none" stroke="{_COLOURS[_layer(wire[0][1])][0]}" stroke-width="1.7" stroke-opacity="0.6"/>'


def _box(name: str, label: str, x: float, y: float, width: float, *, here: bool) -> str:
    ink = _COLOURS[_layer(name)][0]
    fill, colour = (ink, ' fill="#ffffff" font-weight="600"') if here else ("#ffffff", "")
    shape = f'<rect x="{x:.1f}" y="{y - _BOX / 2:.1f}" width="{width:.1f}" height="{_BOX}" rx="8" fill="{fill}" stroke="{ink}" stroke-width="1.4"/>'
    text = f'<text x="{x + width / 2:.1f}" y="{y + 4.5:.1f}" font-size="13" text-anchor="middle"{colour}>{escape(label)}</text>'
    return f"<g><title>{escape(name)}</title>{shape}{text}</g>"
