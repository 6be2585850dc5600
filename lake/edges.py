"""The columns of all tables as a graph: which derive from which, both ways. Pure data; nothing here knows a store or Polars.

A node is a column of a table. The rows of a table as such are one too, by the name `*`: what decides which rows a table has is kept once
for the table, not for each of its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

ROWS = "*"
AS_ROWS = "rows"
"""The kind of edge between the rows of tables, and from the rows of a table to its columns."""
UNKNOWN = "unknown"
"""The kind of edge where only the tables are known."""
VALUES = frozenset({"copied", "transformed", "aggregated", "opaque"})
Node = tuple[str, str]
Direction = Literal["upstream", "downstream"]
DIRECTIONS: tuple[Direction, Direction] = ("upstream", "downstream")


class Edge(NamedTuple):
    """One column deriving from another, how, and by which hop."""

    source: Node
    target: Node
    kind: str
    hop: str


class Found(NamedTuple):
    """A node that was reached: how deep, by what kind of edge, from which node and by which hop. The first has neither."""

    depth: int
    node: Node
    kind: str | None
    of: Node | None
    hop: str | None


class Graph:
    """Edges, indexed both ways."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self._up: dict[Node, list[Edge]] = {}
        self._down: dict[Node, list[Edge]] = {}
        for edge in edges:
            self._up.setdefault(edge.target, []).append(edge)
            self._down.setdefault(edge.source, []).append(edge)

    def upstream(self, node: Node, *, rows: bool = False) -> Iterator[Found]:
        """What a column is made from, depth first, each node's own sources once. With `rows`, also what decides which rows there are.

        Without, what chooses the rows of a table is named once, where the first of its columns is reached, and not followed.
        """
        told: set[str] = set()

        def above(at: Node) -> list[Edge]:
            own, chosen = self._up.get(at, []), self._up.get((at[0], ROWS), [])
            if at[1] == ROWS:
                return own
            if rows:
                return [*own, Edge((at[0], ROWS), at, AS_ROWS, "")] if chosen else own
            if at[0] in told:
                return own
            told.add(at[0])
            return [*own, *(edge for edge in chosen if edge.kind != AS_ROWS)]

        return _walk(node, above, lambda edge: edge.source, rows=rows)

    def downstream(self, node: Node, *, rows: bool = False) -> Iterator[Found]:
        """What is made from a column. `*` stands for all columns of a table whose rows it chooses; these are followed with `rows` only."""

        def below(at: Node) -> list[Edge]:
            own = self._down.get(at, [])
            unknown = [] if at[1] == ROWS else [edge for edge in self._down.get((at[0], ROWS), []) if edge.kind == UNKNOWN]
            return [*own, *unknown] if rows else [edge for edge in (*own, *unknown) if edge.kind != AS_ROWS]

        return _walk(node, below, lambda edge: edge.target, rows=rows)


def _walk(start: Node, leave: Callable[[Node], list[Edge]], other: Callable[[Edge], Node], *, rows: bool) -> Iterator[Found]:
    """Depth first without recursion. What chooses rows is followed with `rows` only; what is reached again is named again, and not followed again."""
    expanded = set()
    stack = [Found(0, start, None, None, None)]
    while stack:
        found = stack.pop()
        yield found
        if found.node in expanded or not (rows or found.kind is None or found.kind in VALUES):
            continue
        expanded.add(found.node)
        stack.extend(Found(found.depth + 1, other(edge), edge.kind, _near(edge, other), edge.hop) for edge in reversed(leave(found.node)))


def _near(edge: Edge, other: Callable[[Edge], Node]) -> Node:
    return edge.target if other(edge) == edge.source else edge.source
