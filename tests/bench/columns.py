"""`python -m tests.bench.columns`: questions to a generated graph of columns, and how long tracing a hop takes.

TABLES (default 1,000) × COLUMNS (default 50) in ten layers, each column made from one to three of two tables before, each table's rows
chosen by five. The median and the slowest of QUERIES (default 200) in each direction count. The TPC-H queries are traced beside.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator

from lake.edges import AS_ROWS, ROWS, Edge, Graph
from lake.origins.trace import derive
from tests.tpch import cases

_TABLES, _COLUMNS, _QUERIES = (int(os.environ.get(name, usual)) for name, usual in (("TABLES", "1000"), ("COLUMNS", "50"), ("QUERIES", "200")))
_LAYERS = 10


def edges(chance: random.Random) -> Iterator[Edge]:
    """A lake of tables in layers."""
    wide = max(_TABLES // _LAYERS, 2)
    for number in range(wide, _TABLES):
        layer = number // wide
        table = f"t{number}"
        read = [f"t{chance.randrange((layer - 1) * wide, layer * wide)}" for _ in range(2)]
        for column in range(_COLUMNS):
            for _ in range(chance.randint(1, 3)):
                yield Edge((chance.choice(read), f"c{chance.randrange(_COLUMNS)}"), (table, f"c{column}"), "transformed", "hop")
        for _ in range(5):
            yield Edge((chance.choice(read), f"c{chance.randrange(_COLUMNS)}"), (table, ROWS), "filter", "hop")
        for name in read:
            yield Edge((name, ROWS), (table, ROWS), AS_ROWS, "hop")


def timed(graph: Graph, towards: str, *, rows: bool, chance: random.Random) -> None:
    """Ask of random columns and print what it took."""
    took, reached = [], []
    for _ in range(_QUERIES):
        node = (f"t{chance.randrange(_TABLES)}", f"c{chance.randrange(_COLUMNS)}")
        started = time.perf_counter()
        reached.append(sum(1 for _ in getattr(graph, towards)(node, rows=rows)))
        took.append((time.perf_counter() - started) * 1000)
    followed = "and rows" if rows else "alone"
    print(f"{towards:<10} values {followed:<9} median {statistics.median(took):8.2f} ms   slowest {max(took):8.2f} ms   {max(reached):>8,} reached at most")


def main() -> None:
    """Build the graph, ask, and trace."""
    chance = random.Random(1)
    every = list(edges(chance))
    started = time.perf_counter()
    graph = Graph(every)
    print(f"{_TABLES:,} tables × {_COLUMNS} columns, {len(every):,} edges, indexed in {time.perf_counter() - started:.2f} s")
    for towards in ("upstream", "downstream"):
        for rows in (False, True):
            timed(graph, towards, rows=rows, chance=chance)
    took = []
    for case in cases():
        schemas = {name: frame.schema for name, frame in case.frames.items()}
        started = time.perf_counter()
        derive(case.function, schemas)
        took.append((time.perf_counter() - started) * 1000)
    print(f"TPC-H queries traced: median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms")


if __name__ == "__main__":
    main()
