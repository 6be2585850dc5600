"""The lineage picture: well-formed, complete, the same every time, with nothing on top of anything else."""

from __future__ import annotations

from itertools import combinations
from random import Random
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.drawing import lineage_svg
from lake.errors import UnknownName

SVG = "{http://www.w3.org/2000/svg}"
EDGES = [
    ("raw/nyc.flights", "bronze.nyc.flights"),
    ("raw/nyc.airports", "bronze.nyc.airports"),
    ("bronze.nyc.airports", "silver.nyc.airports"),
    ("bronze.nyc.flights", "silver.nyc.flights"),
    ("silver.nyc.airports", "silver.nyc.flights"),
    ("silver.nyc.airports", "gold.nyc.route_performance"),
    ("silver.nyc.flights", "gold.nyc.route_performance"),
    ("silver.nyc.flights", "gold.nyc.daily_delays"),
]
names = st.builds("{}{}.{}".format, st.sampled_from(["raw/", "bronze.", "silver.", "gold."]), st.sampled_from("ab"), st.text("xyz_", min_size=1, max_size=30))
lineages = st.lists(st.tuples(names, names), max_size=20)

law = settings(max_examples=100, deadline=None, derandomize=True, database=None)

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  # our own text


def boxes(svg: str) -> dict[str, Box]:
    """Each table's box by the table's full name, which is in the box's title."""
    found = {}
    for group in parse(svg).iter(f"{SVG}g"):
        rect, title = group.find(f"{SVG}rect"), group.findtext(f"{SVG}title")
        assert rect is not None
        assert title is not None
        assert title not in found, "a table is drawn twice"
        x, y, width, height = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        found[title] = (x, y, x + width, y + height)
    return found


def words(svg: str) -> list[str]:
    return [element.text or "" for element in parse(svg).iter(f"{SVG}text")]


def test_each_table_once() -> None:
    """Every table and source is drawn once, under its own short name."""
    svg = lineage_svg(EDGES)
    assert sorted({name for edge in EDGES for name in edge}) == sorted(boxes(svg))
    assert sorted(word for word in words(svg) if word.islower()) == ["airports"] * 3 + ["daily_delays"] + ["flights"] * 3 + ["route_performance"]


def test_each_edge_once() -> None:
    """There is one curve for each edge, and a repeated edge adds none."""
    assert len(EDGES) == len(list(parse(lineage_svg([*EDGES, EDGES[0]])).iter(f"{SVG}path")))


def test_columns_follow_the_layers() -> None:
    """A table is to the right of everything it is made from, in its own layer too, and the layers are named."""
    svg = lineage_svg(EDGES)
    drawn = boxes(svg)
    assert [(start, end) for start, end in EDGES if drawn[start][2] >= drawn[end][0]] == []
    assert [word for word in words(svg) if word.isupper()] == ["RAW", "BRONZE", "SILVER", "GOLD"]


def test_subjects_are_told_apart() -> None:
    """With tables of two subjects each name carries its subject."""
    svg = lineage_svg([("silver.nyc.flights", "gold.nyc.delays"), ("silver.met.flights", "gold.nyc.delays")])
    assert {"nyc.flights", "met.flights", "nyc.delays"} == {word for word in words(svg) if word.islower()}


def test_few_crossings() -> None:
    """Tables are put in an order in which curves that need not cross do not."""
    twisted = [(f"silver.nyc.{start}", f"gold.nyc.{end}") for start, end in ("ad", "bc", "cb", "da")]
    drawn = boxes(lineage_svg(twisted))
    starts = sorted(twisted, key=lambda edge: drawn[edge[0]][1])
    assert starts == sorted(twisted, key=lambda edge: drawn[edge[1]][1])


def test_names_are_escaped() -> None:
    """Quotes, ampersands and angle brackets arrive as they are, in names and in the title."""
    strange = """gold.nyc.a&b"c'd<e>"""
    svg = lineage_svg([("silver.nyc.x", strange)], title="Q&A <\"'>")
    assert strange in boxes(svg)
    assert {"Q&A <\"'>", strange.split(".")[2]} <= set(words(svg))


@pytest.mark.parametrize("title", ["", "A new lake"])
def test_empty_lake(title: str) -> None:
    """A lake without tables is a small picture that says so."""
    svg = lineage_svg([], title=title)
    assert boxes(svg) == {}
    assert "No table has been made yet." in words(svg)


def test_unknown_layer() -> None:
    """A name of no layer is refused by name."""
    with pytest.raises(UnknownName, match="'platinum'"):
        lineage_svg([("gold.nyc.delays", "platinum.nyc.delays")])


def test_needs_nothing_from_elsewhere() -> None:
    """The picture loads no font, style or image, and paints its own background first."""
    root = parse(lineage_svg(EDGES, title="Lineage"))
    assert {"svg", "title", "rect", "text", "path", "g"} == {element.tag.removeprefix(SVG) for element in root.iter()}
    assert not [key for element in root.iter() for key in element.attrib if "href" in key]
    card = root[1].attrib
    assert card["fill"] == "#ffffff"
    assert float(card["width"]) == pytest.approx(float(root.attrib["width"]), abs=2)


@law
@given(lineages)
def test_nothing_overlaps(edges: list[tuple[str, str]]) -> None:
    """Whatever the lineage, cycles and edges backwards included: no box on another, all inside the picture, room for each name."""
    svg = lineage_svg(edges)
    drawn = boxes(svg)
    assert {name for edge in edges for name in edge} == set(drawn)
    _, _, width, height = map(float, parse(svg).attrib["viewBox"].split())
    for left, top, right, bottom in drawn.values():
        assert 0 < left < right < width
        assert 0 < top < bottom < height
    for a, b in combinations(drawn.values(), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for name, (left, _, right, _) in drawn.items():
        assert right - left >= 7 * len(name.rsplit(".", 1)[-1])


@law
@given(lineages, st.randoms(use_true_random=False))
def test_deterministic(edges: list[tuple[str, str]], random: Random) -> None:
    """The same edges give the same text, in whatever order they come."""
    shuffled = list(edges)
    random.shuffle(shuffled)
    assert lineage_svg(edges, title="x") == lineage_svg(iter(shuffled), title="x")
