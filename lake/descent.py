"""Column lineage of the whole lake: the graph of all columns, put together from what commit records name, down to the columns of raw files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from lake.catalog import Catalog, Row
from lake.consumers import below
from lake.contract import PROVENANCE, RESCUED
from lake.edges import AS_ROWS, ROWS, UNKNOWN, Direction, Edge, Found, Graph
from lake.errors import UnknownName
from lake.log import schema_of_record
from lake.origins import Document, recall
from lake.receipts import LANDINGS
from lake.record import Record

_READERS = 8


def raw_name(table: str) -> str:
    """How the raw files of a bronze table are called among tables: `raw/<source>`."""
    return f"raw/{table.removeprefix('bronze.')}"


def column_rows(catalog: Catalog, table: str, column: str, direction: Direction, *, rows: bool = False, versions: Mapping[str, int] | None = None) -> list[Row]:
    """What a column is made from, or what is made from it, one row for each column reached: direction, depth, table, column, kind, of, hop.

    `versions` pins tables; else the newest count. `rows` follows also what only decides which rows there are. About five requests for each
    table above or below, however many others the lake has. Raises UnknownName.
    """
    known = column_names(catalog, table, versions)
    if column not in known:
        raise UnknownName.among(f"column of {table}", column, known)
    descent = Descent(catalog, versions)
    graph = descent.graph(descent.above(table) if direction == "upstream" else descent.below(table))
    found = graph.upstream((table, column), rows=rows) if direction == "upstream" else graph.downstream((table, column), rows=rows)
    return [row_of(direction, one) for one in found]


def row_of(direction: Direction, found: Found) -> Row:
    """A node that was reached, as a row of a listing."""
    table, column = found.node
    return {
        "direction": direction, "depth": found.depth, "table": table, "column": column, "kind": found.kind,
        "of": ".".join(found.of) if found.of else None, "hop": found.hop or None,
    }  # fmt: skip


def column_names(catalog: Catalog, table: str, versions: Mapping[str, int] | None = None) -> list[str]:
    """The columns of a table as its last record (or that of its pinned version) tells them. Raises UnknownName."""
    _, record = catalog.last(table, version=(versions or {}).get(table))
    document = schema_of_record(catalog.store, catalog.log(table), record)
    return [column["name"] for column in document[2]["columns"]] if document else []


class Descent:
    """Which tables are made from which, by the records that made their rows: each read once. `versions` pins tables; else the newest count."""

    def __init__(self, catalog: Catalog, versions: Mapping[str, int] | None = None) -> None:
        self._catalog = catalog
        self._versions = versions or {}
        self._makers: dict[str, Record | None] = {}

    def maker(self, table: str) -> Record | None:
        """The record of the last commit that computed rows of the table: what only arranged files anew is passed over."""
        if table not in self._makers:
            self._makers[table] = self._found(table)
        return self._makers[table]

    def inputs(self, table: str) -> list[str]:
        """The tables that were read to make it."""
        record = self.maker(table)
        return [given.table for given in record.inputs if given.table != LANDINGS] if record else []

    def above(self, table: str) -> list[str]:
        """The table and all that it is made from."""
        return _reached(table, self.inputs)

    def below(self, table: str) -> list[str]:
        """The table and all that is made from it."""

        def inputs(name: str) -> list[str] | None:
            return self.inputs(name) if not self._versions or name in self._versions else None

        return list(below(self._catalog.store, table, inputs, lambda read: read))

    def graph(self, tables: Iterable[str]) -> Graph:
        """The graph of the columns of these tables and of what they are made from directly."""
        with ThreadPoolExecutor(_READERS) as pool:
            return Graph(edge for edges in pool.map(lambda name: list(self.edges(name)), sorted(tables)) for edge in edges)

    def edges(self, table: str) -> Iterator[Edge]:
        """The edges into the columns of one table and into its rows. Where nothing is known of columns, one from the rows of each table read."""
        record = self.maker(table)
        if record is None or record.code is None:
            return
        hop = record.code.hop.rsplit(":", 1)[-1]
        if any(given.table == LANDINGS for given in record.inputs):
            yield from _from_raw(self._catalog, table, record)
            return
        document = recall(self._catalog.store, record.code.columns)
        known = document is not None and document.how != "nothing"
        for given in self.inputs(table):
            yield Edge((given, ROWS), (table, ROWS), AS_ROWS if known else UNKNOWN, hop)
        if document is not None and known:
            yield from edges_in(document, hop)

    def _found(self, table: str) -> Record | None:
        until = self._versions.get(table)
        while (last := self._catalog.log(table).last_record(until=until)) is not None:
            at, record = last
            if record.kind not in ("maintenance", "migration") or at == 0:
                return record
            until = at - 1
        return None


def _reached(table: str, towards: Callable[[str], list[str]]) -> list[str]:
    found: dict[str, None] = {}
    waiting = [table]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += towards(name)
    return list(found)


def edges_in(document: Document, hop: str) -> Iterator[Edge]:
    """The edges that a stored document tells."""
    for column, kinds in document.columns.items():
        for source, kind in kinds.items():
            yield Edge(source, (document.table, column), kind, hop)
    for source, kind in document.rows.items():
        yield Edge(source, (document.table, ROWS), kind, hop)


def _from_raw(catalog: Catalog, table: str, record: Record) -> Iterator[Edge]:
    """Bronze: each column is that of the raw files, by the name it has there."""
    document = schema_of_record(catalog.store, catalog.log(table), record)
    for column in document[2]["columns"] if document else ():
        name = column["name"]
        if name not in PROVENANCE and name != RESCUED:
            header = column.get("metadata", {}).get("header", name)
            yield Edge((raw_name(table), header), (table, name), "transformed" if name in record.conversions else "copied", "ingest")


def split(name: str) -> tuple[str, str | None]:
    """`layer.subject.table` or `layer.subject.table.column` as a table and, if there is one, a column."""
    parts = name.split(".", 3)
    return ".".join(parts[:3]), parts[3] if len(parts) > 3 else None
