"""What the pages tell of each table: gathered from its commit records and schema documents, each read once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake.catalog import Catalog, Row
from lake.contract import PROVENANCE, RESCUED
from lake.descent import Descent
from lake.edges import ROWS, VALUES, Edge
from lake.errors import LakeError
from lake.log import TableLog, schema_of_record
from lake.profile import bars, profile_rows
from lake.record import Record
from lake.schemas import compare, is_personal

_READERS = 8
_RUNS = 40  # commits that a page looks back over
_OFTEN = 3  # frequent values or shapes of a column
_SAMPLED = 8  # rows
_LONGEST = 80  # characters of a value


@dataclass(frozen=True)
class Sample:
    """A few rows as text; None is null. `withheld` are the columns marked as personal, whose values are not told."""

    columns: list[str]
    rows: list[list[str | None]]
    withheld: list[str]


@dataclass(frozen=True)
class Told:
    """One table at one version: its record, its schema document, and what led to it.

    `runs` are its last commits that moved rows, newest first. `schemas` has a row a schema version, newest first. `edges` are those into
    its columns and into its rows. `values` is the profile, a row a column; none of bronze, whose text would have to be read.
    """

    name: str
    version: int
    record: Record
    document: dict[str, Any]
    schemas: list[Row]
    rules: list[Row]
    runs: list[tuple[int, Record]]
    edges: list[Edge]
    inputs: list[str]
    uri: str
    sample: Sample | None
    values: list[Row]

    @property
    def layer(self) -> str:
        """bronze, silver or gold."""
        return self.name.split(".")[0]

    @property
    def subject(self) -> str:
        """The middle part of the name."""
        return self.name.split(".")[1]

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columns that the table promises, then those that lake keeps beside them."""
        found: list[dict[str, Any]] = self.document.get("columns", [])
        return sorted(found, key=lambda column: column["name"] in PROVENANCE or column["name"] == RESCUED)

    @property
    def fresh_until(self) -> dt.datetime | None:
        """The moment at which the table is no longer as fresh as it promises; None if it promises nothing."""
        if self.record.fresh_within_seconds is None or self.record.freshest is None:
            return None
        return self.record.freshest + dt.timedelta(seconds=self.record.fresh_within_seconds)

    def made_from(self, column: str) -> list[tuple[str, str, str]]:
        """What a column is made from directly: table, column, and how."""
        return [(*edge.source, edge.kind) for edge in self.edges if edge.target == (self.name, column) and edge.kind in VALUES and edge.source[1] != ROWS]

    def chosen_by(self) -> list[tuple[str, str, list[str]]]:
        """What decides which rows the table has: how, table, and columns."""
        found: dict[tuple[str, str], list[str]] = {}
        for edge in self.edges:
            if edge.target == (self.name, ROWS) and edge.source[1] != ROWS:
                found.setdefault((edge.kind, edge.source[0]), []).append(edge.source[1])
        return [(kind, table, sorted(columns)) for (kind, table), columns in sorted(found.items())]


def gather(catalog: Catalog, versions: Mapping[str, int]) -> list[Told]:
    """All tables at `versions`, by name. Reads logs and schema documents, and data only of tables that allow a sample. About ten requests a table with a short history."""
    descent = Descent(catalog, versions)
    names = sorted(versions, key=lambda name: (name.split(".")[1], ("bronze", "silver", "gold").index(name.split(".")[0]), name))
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda name: _told(catalog, descent, name, versions[name]), names))


def _told(catalog: Catalog, descent: Descent, name: str, version: int) -> Told:
    at, record = catalog.last(name, version=version)
    log = catalog.log(name)
    known = schema_of_record(catalog.store, log, record)
    document = known[2] if known else {"columns": [], "key": [], "rules": {}}
    return Told(
        name=name, version=version, record=record, document=document, schemas=_schemas(log, name, at), rules=catalog.rules(name, version=at),
        runs=log.recent(_RUNS, until=at), edges=list(descent.edges(name)), inputs=sorted(set(descent.inputs(name))),
        uri=catalog.store.uri(name.replace(".", "/")), sample=_sample(catalog, name, version, document),
        values=_values(catalog, name, version),
    )  # fmt: skip


def _schemas(log: TableLog, name: str, version: int) -> list[Row]:
    """A row a schema version up to `version` of the table, newest first. Numbers only grow, so a search finds the commit that began with each."""
    begun: list[tuple[int, Record]] = []
    last = log.last_record(until=version)
    while last is not None:
        first = _first_with(log, last)
        begun.append(first)
        last = log.last_record(until=first[0] - 1) if first[0] else None
    rows = []
    previous: dict[str, Any] | None = None
    for since, record in reversed(begun):
        document = record.schema_document
        if document is None:
            continue
        changes = compare(previous, document) if previous else []
        rows.append(
            {"table": name, "number": record.schema_version, "since": since, "at": record.at, "class": document.get("class", "first"),
             "diff": [(change.line[0], change.what) for change in changes], "columns": len(document["columns"])}
        )  # fmt: skip
        previous = document
    return rows[::-1]


def _first_with(log: TableLog, known: tuple[int, Record]) -> tuple[int, Record]:
    """The first commit still in the log that has the schema version of the `known` one."""
    low, found = -1, known
    while low + 1 < found[0]:
        middle = (low + found[0]) // 2
        there = log.last_record(until=middle)
        if there is None or there[1].schema_version != known[1].schema_version:
            low = middle
        else:
            found = there
    return found


def _values(catalog: Catalog, name: str, version: int) -> list[Row]:
    if name.startswith("bronze."):
        return []
    try:
        made, document, values = catalog.profile(name, version)
    except (LakeError, pl.exceptions.PolarsError, OSError):
        return []  # as with a sample
    rows = profile_rows(name, version, made, document, values=values)
    return [
        row | {"bars": bars(row["histogram"]), "often": [f"{one['value']} {one['share']:.0%}" for one in (row["top"] or row["patterns"])[:_OFTEN]]}
        for row in rows
    ]


def _sample(catalog: Catalog, name: str, version: int, document: dict[str, Any]) -> Sample | None:
    """The first rows, where this version's declaration and the newest both allow it."""
    _, newest = catalog.last(name)
    now = schema_of_record(catalog.store, catalog.log(name), newest)
    if not document.get("sample") or now is None or not now[2].get("sample"):
        return None
    personal = {column["name"] for column in (*document["columns"], *now[2]["columns"]) if is_personal(column)}
    try:
        snapshot = catalog.snapshot(name, version)
        shown = [column for column in snapshot.schema.names() if column not in PROVENANCE and column != RESCUED]
        files = tuple(sorted(snapshot.files, key=lambda file: file.path)[:1])
        frame = snapshot.scan(files).select(column for column in shown if column not in personal).head(_SAMPLED).collect()
    except (LakeError, pl.exceptions.PolarsError, OSError):
        return None  # the version's files are gone: a page without a sample is still true
    rows = [[None if column in personal else text_of(row[column]) for column in shown] for row in frame.iter_rows(named=True)]
    return Sample(shown, rows, sorted(personal & set(shown)))


def text_of(value: Any) -> str | None:
    """A value as a cell shows it, cut where it is long."""
    if value is None:
        return None
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, dt.datetime):
        text = f"{value:%Y-%m-%d %H:%M:%S}"
    else:
        text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def readers_of(tables: Iterable[Told]) -> dict[str, list[str]]:
    """By table, which others read it."""
    found: dict[str, list[str]] = {}
    for told in tables:
        for given in told.inputs:
            found.setdefault(given, []).append(told.name)
    return {name: sorted(readers) for name, readers in found.items()}
