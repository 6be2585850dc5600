"""The graph of columns: what is reached, how often it is followed, and what choosing rows does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lake.edges import AS_ROWS, ROWS, UNKNOWN, VALUES, Edge, Graph, Node

BRONZE, SILVER, GOLD = "bronze.a.b", "silver.a.b", "gold.a.b"
CHAIN = [
    Edge(("raw/a.b", "A"), (BRONZE, "a"), "copied", "ingest"),
    Edge((BRONZE, "a"), (SILVER, "a"), "transformed", "clean"),
    Edge((BRONZE, "k"), (SILVER, ROWS), "key", "clean"),
    Edge((BRONZE, ROWS), (SILVER, ROWS), AS_ROWS, "clean"),
    Edge((SILVER, "a"), (GOLD, "sum"), "aggregated", "total"),
    Edge((SILVER, "g"), (GOLD, ROWS), "group", "total"),
    Edge((SILVER, ROWS), (GOLD, ROWS), AS_ROWS, "total"),
]


def test_values_are_followed_to_the_raw_file_and_rows_named_beside() -> None:
    """The chain ends at the raw column; what chooses rows is named once a table, and not followed."""
    found = [(one.depth, one.node, one.kind) for one in Graph(CHAIN).upstream((GOLD, "sum"))]
    assert found == [
        (0, (GOLD, "sum"), None),
        (1, (SILVER, "a"), "aggregated"),
        (2, (BRONZE, "a"), "transformed"),
        (3, ("raw/a.b", "A"), "copied"),
        (2, (BRONZE, "k"), "key"),
        (1, (SILVER, "g"), "group"),
    ]


def test_what_chooses_rows_is_followed_when_asked() -> None:
    """With rows, the key of silver is a source of gold, and reaches all of it downstream."""
    assert (BRONZE, "k") in {one.node for one in Graph(CHAIN).upstream((GOLD, "sum"), rows=True)}
    assert [one.node for one in Graph(CHAIN).downstream((BRONZE, "k"))] == [(BRONZE, "k"), (SILVER, ROWS)]
    assert [one.node for one in Graph(CHAIN).downstream((BRONZE, "k"), rows=True)] == [(BRONZE, "k"), (SILVER, ROWS), (GOLD, ROWS)]


def test_where_only_tables_are_known_that_is_said() -> None:
    """A table of which no columns are known hangs from the tables it reads, both ways."""
    graph = Graph([*CHAIN[:1], Edge((BRONZE, ROWS), (SILVER, ROWS), UNKNOWN, "clean")])
    assert [(one.node, one.kind) for one in graph.upstream((SILVER, "a"))] == [((SILVER, "a"), None), ((BRONZE, ROWS), UNKNOWN)]
    assert [(one.node, one.kind) for one in graph.downstream((BRONZE, "a"))] == [((BRONZE, "a"), None), ((SILVER, ROWS), UNKNOWN)]


nodes = st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"))
graphs = st.lists(st.builds(Edge, nodes, nodes, st.sampled_from(sorted(VALUES)), st.just("h")), max_size=30)


@given(graphs, nodes)
def test_all_that_can_be_reached_is_and_nothing_else(edges: list[Edge], start: Node) -> None:
    """Against the plainest closure there is, with circles: the same nodes both ways, and each node's edges once."""
    for towards in ("upstream", "downstream"):
        reached, before = {start}, 0
        while len(reached) > before:
            before = len(reached)
            reached |= {e.source if towards == "upstream" else e.target for e in edges if (e.target if towards == "upstream" else e.source) in reached}
        found = list(getattr(Graph(edges), towards)(start))
        assert {one.node for one in found} == reached
        assert len(found) <= len(edges) + 1


def test_a_chain_of_thousands_is_no_recursion() -> None:
    """Depth is bounded by nothing but the tables there are."""
    chain = [Edge((f"t{i}", "c"), (f"t{i + 1}", "c"), "copied", "h") for i in range(5000)]
    assert sum(1 for _ in Graph(chain).downstream(("t0", "c"))) == 5001
