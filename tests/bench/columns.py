"""`python -m tests.bench.columns`: questions to a generated graph of columns, and how long tracing a hop takes.

TABLES (default 1,000) × COLUMNS (default 50) in ten layers, each column made from one to three of two tables before, each table's rows
chosen by five. The median and the slowest of QUERIES (default 200) in each direction count. The TPC-H queries are traced beside.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lake.catalog import Catalog
from lake.consumers import mark
from lake.descent import column_rows
from lake.edges import AS_ROWS, ROWS, Edge, Graph
from lake.log import TableLog
from lake.origins import Document
from lake.origins.kinds import Kinds
from lake.origins.trace import derive
from lake.record import Code, Input, Ledger, Record, RunInfo
from lake.settings import load_settings
from lake.store import open_store
from lake.table import path_of
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


def from_store() -> None:
    """A lake of as many tables, told by commits without rows, asked through the store: what reading it adds."""
    chance, now = random.Random(1), dt.datetime.now(dt.UTC)
    wide, info = max(_TABLES // _LAYERS, 2), RunInfo(id="bench", flow="bench", trigger="bench", started=now)
    names = [f"silver.s{number % 20}.t{number}" for number in range(_TABLES)]
    about: dict[str, Any] = {"rows": 0, "bytes": 0, "data_files": 0, "ledger": Ledger(), "schema_version": 1, "schema_fingerprint": "bench"}
    columns = [{"name": f"c{column}"} for column in range(_COLUMNS)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        store = open_store(load_settings(home=Path(home), root=Path(home)))
        for number, name in enumerate(names):
            below = (number // wide - 1) * wide
            read = [names[chance.randrange(below, below + wide)] for _ in range(2)] if number >= wide else []
            made: dict[str, Kinds] = {
                f"c{i}": {(chance.choice(read), f"c{chance.randrange(_COLUMNS)}"): "transformed"} if read else {} for i in range(_COLUMNS)
            }
            store.put(f"system/columns/{number}.json", Document(name, "bench:hop", "plan", None, made, {}).to_json())
            code, inputs = Code(hop="bench:hop", fingerprint=str(number), columns=str(number)), [Input(table=one, kind="snapshot", end=0) for one in read]
            document = {"table": name, "columns": columns, "key": [], "rules": {}}
            record = Record(kind="hop", table=name, batch="bench", at=now, run=info, code=code, inputs=inputs, schema_document=document, **about)
            mark(store, name, read)
            TableLog(store, path_of(name)).commit(0, [], record)
        for direction, name in (("upstream", names[-1]), ("downstream", names[0])):
            started, before = time.perf_counter(), sum(store.requests.values())
            reached = {row["table"] for row in column_rows(Catalog(store), name, "c3", direction)}  # type: ignore[arg-type]
            asked = sum(store.requests.values()) - before
            print(f"{direction:<10} read from the store: {time.perf_counter() - started:.2f} s, {asked:,} requests, columns of {len(reached):,} tables reached")
        store.close(wait=True)


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
    from_store()
    took = []
    for case in cases():
        schemas = {name: frame.schema for name, frame in case.frames.items()}
        started = time.perf_counter()
        derive(case.function, schemas)
        took.append((time.perf_counter() - started) * 1000)
    print(f"TPC-H queries traced: median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms")


if __name__ == "__main__":
    main()
