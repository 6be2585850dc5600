"""What is in the lake, told by the commits alone: tables, their history, schemas, rejects. Reads logs; data only where rows are asked for."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from lake.delta import Snapshot, open_snapshot
from lake.errors import NotFound, UnknownName
from lake.log import TableLog
from lake.quarantine import REJECTED
from lake.record import Record
from lake.schemas import compare
from lake.store import Store
from lake.table import LAYERS, path_of, quarantine_path_of

Row = dict[str, Any]
_READERS = 8
_TABLE_NAME = re.compile(r"[a-z]+(\.[a-z0-9_]+){2}")


class Catalog:
    """The tables of one environment. Logs read once are kept for the life of the object."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._logs: dict[str, TableLog] = {}

    def log(self, name: str) -> TableLog:
        """The log of a table by its name."""
        return self._logs.setdefault(name, TableLog(self.store, path_of(name)))

    def names(self) -> list[str]:
        """Every table's name, bronze first. A handful of requests, however long the history."""
        subjects = [(layer, subject) for layer in LAYERS for subject in self.store.children(layer)]
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(lambda place: [f"{place[0]}.{place[1]}.{table}" for table in self.store.children("/".join(place))], subjects)
        return [name for names in found for name in names]

    def last(self, name: str, *, version: int | None = None) -> tuple[int, Record]:
        """Version and record of the table's last commit (at or before `version`). Raises UnknownName, suggesting the nearest."""
        found = self.log(name).last_record(until=version) if _TABLE_NAME.fullmatch(name) else None
        if found is None and version is not None and name in self.names():
            raise UnknownName(f"{name} has no version {version}", f"The newest is {self.log(name).version()}")
        if found is None:
            raise UnknownName.among("table", name, self.names())
        return found

    def tables(self, versions: dict[str, int] | None = None) -> list[Row]:
        """One row a table: name, layer, size, version, schema version, freshness, rejects. `versions` pins some; else the newest."""
        names = list(versions) if versions is not None else self.names()
        with ThreadPoolExecutor(_READERS) as pool:
            lasts = list(pool.map(lambda name: self.log(name).last_record(until=versions[name] if versions else None), names))
        return [_table_row(name, *last) for name, last in zip(names, lasts, strict=True) if last is not None]

    def history(self, name: str) -> list[Row]:
        """One row a commit, newest first: run, code, inputs from and to, ledger, rules."""
        self.last(name)
        return [_history_row(name, version, record) for version, record in self.log(name).records()]

    def schema_versions(self, name: str) -> list[Row]:
        """One row a schema version, newest first: since which table version, its class, what changed, its columns."""
        self.last(name)
        rows: list[Row] = []
        previous: dict[str, Any] | None = None
        for version, record in reversed(self.log(name).records()):
            doc = record.schema_document
            if doc is None:
                continue
            changes = [change.what for change in compare(previous, doc)] if previous else []
            rows.append(
                {"table": name, "schema_version": record.schema_version, "since_version": version, "at": record.at, "class": doc.get("class", "first"),
                 "changes": changes, "columns": doc["columns"], "key": doc["key"], "rules": sorted(doc["rules"])}
            )  # fmt: skip
            previous = doc
        return rows[::-1]

    def rejects(self, name: str) -> pl.LazyFrame:
        """The rows rejected on their way into the table and still so, with rules, raw place and values."""
        _, record = self.last(name)
        version = int(record.quarantine["version"]) if record.quarantine else -1
        if version < 0 or record.rejects == 0:
            return pl.LazyFrame(schema=REJECTED)
        return open_snapshot(self.store, quarantine_path_of(name), version).scan()

    def snapshot(self, name: str, version: int | None = None) -> Snapshot:
        """The table's rows at `version`, or the newest."""
        newest, _ = self.last(name, version=version)
        try:
            return open_snapshot(self.store, path_of(name), newest if version is None else version)
        except NotFound:
            raise UnknownName(f"{name} has no version {version}", f"The newest is {newest}") from None


def check_columns(wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise UnknownName for the first of `wanted` that is not a column."""
    columns = list(known)
    for name in wanted:
        if name not in columns:
            raise UnknownName.among("column", name, columns)


def inputs_line(record: Record) -> str:
    """What a commit read: each input with the versions it moved between."""
    return ", ".join(f"{i.table} {'' if i.start is None else f'{i.start} → '}{i.end}" for i in record.inputs)


def _table_row(name: str, version: int, record: Record) -> Row:
    age = (dt.datetime.now(dt.UTC) - record.freshest).total_seconds() if record.freshest else None
    promised = record.fresh_within_seconds
    return {
        "table": name, "layer": name.split(".")[0], "rows": record.rows, "bytes": record.bytes, "files": record.data_files, "version": version,
        "schema_version": record.schema_version, "rejects": record.rejects, "freshest": record.freshest,
        "fresh": None if promised is None or age is None else age <= promised, "updated": record.at, "owner": record.owner, "summary": record.summary,
    }  # fmt: skip


def _history_row(name: str, version: int, record: Record) -> Row:
    return {
        "table": name, "version": version, "at": record.at, "kind": record.kind, "run": record.run.id, "flow": record.run.flow,
        "trigger": record.run.trigger, "prefect_flow_run": record.run.prefect_flow_run, "hop": record.code.hop if record.code else None,
        "fingerprint": record.code.fingerprint if record.code else None, "commit": record.code.commit if record.code else None,
        "modified": record.code.modified if record.code else None, "mode": record.mode, "reason": record.reason, "write": record.write,
        "inputs": [i.model_dump() for i in record.inputs], "files": [f.model_dump() for f in record.files], "schema_version": record.schema_version,
        "ledger": {entry: count for entry, count in record.ledger if count is not None}, "rules": record.rules, "rejects": record.rejects,
        "rows": record.rows, "content": record.content.value if record.content else None, "seconds": record.seconds,
    }  # fmt: skip
