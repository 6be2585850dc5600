"""What is in the lake, told by the commits alone: tables, their history, schemas, rejects. Reads logs; data only where rows are asked for."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from lake.contract import FILE, ROW
from lake.delta import Snapshot, open_snapshot
from lake.errors import NotFound, UnknownName
from lake.log import TableLog, schema_of_record
from lake.profile import Profile, profile
from lake.quarantine import RAISES, REJECTED
from lake.record import Record
from lake.retired import retired
from lake.rule_words import asked
from lake.schemas import compare, last_schema, named_types, shown_columns
from lake.store import Store
from lake.structural import structure_of
from lake.table import LAYERS, path_of, quarantine_path_of
from lake.wording import counted

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
        """The name of every table that was ever committed, bronze first. At most one request a table beside those of `folders`."""
        found = self.folders()
        with ThreadPoolExecutor(_READERS) as pool:
            return [name for name, there in zip(found, pool.map(lambda name: self.log(name).exists(), found), strict=True) if there]

    def folders(self) -> list[str]:
        """The name of every table that has a folder: of each that is there, and of those whose first run was killed before its commit.

        Bronze first. A request a layer and a subject, however many tables and however long their history.
        """
        subjects = [(layer, subject) for layer in LAYERS for subject in self.store.children(layer)]
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(lambda place: [f"{place[0]}.{place[1]}.{table}" for table in self.store.children("/".join(place))], subjects)
        return [name for names in found for name in names]

    def last(self, name: str, *, version: int | None = None) -> tuple[int, Record]:
        """Version and record of the table's last commit (at or before `version`). Raises UnknownName, suggesting the nearest."""
        named = bool(_TABLE_NAME.fullmatch(name))
        found = self.log(name).last_record(until=version) if named else None
        if found is None and version is not None and named and self.log(name).exists():
            raise UnknownName(f"{name} has no version {version}", f"The newest is {self.log(name).version()}")
        if found is None and named and TableLog(self.store, quarantine_path_of(name)).exists():
            raise UnknownName(f"{name} is not published yet: no run of it came that far", f"`lake rejects {name} --stopped` shows what the last one rejected")
        if found is None and (mark := retired(self.store).get(name)) is not None:
            raise UnknownName(f"{name} is {mark.words}", "Its raw files are kept: a table of another name can be filled from them")
        if found is None:
            raise UnknownName.among("table", name, self.names())
        return found

    def tables(self, versions: dict[str, int] | None = None) -> list[Row]:
        """One row a table: name, layer, size, version, schema version, freshness, rejects. `versions` pins some; else the newest."""
        names = list(versions) if versions is not None else self.folders()
        with ThreadPoolExecutor(_READERS) as pool:
            lasts = list(pool.map(lambda name: self.log(name).last_record(until=versions[name] if versions else None), names))
        return [_table_row(name, *last) for name, last in zip(names, lasts, strict=True) if last is not None]

    def search(self, text: str, rows: list[Row]) -> list[Row]:
        """Those of `rows` (of `tables`) that have every word of `text` in their name, summary, owner or tags, or in a column's name or description.

        Each gets `found`: the columns that matched. Upper and lower case are alike. Reads each table's schema document, one request at most.
        """

        def document(row: Row) -> tuple[int, str, dict[str, Any]] | None:
            last = self.log(row["table"]).last_record(until=row["version"])
            return last_schema(self.store, last[1]) if last else None

        words = text.casefold().split()
        with ThreadPoolExecutor(_READERS) as pool:
            documents = list(pool.map(document, rows))
        found = []
        for row, known in zip(rows, documents, strict=True):
            columns = known[2]["columns"] if known else []
            about = " ".join((row["table"], row["summary"], row["owner"], *(known[2].get("tags", ()) if known else ()))).casefold()
            told = {column["name"]: f"{column['name']} {column.get('description') or ''}".casefold() for column in columns}
            if all(word in about or any(word in words_of for words_of in told.values()) for word in words):
                found.append(row | {"found": [name for name, words_of in told.items() if any(word in words_of for word in words)]})
        return found

    def history(self, name: str) -> list[Row]:
        """One row a commit, newest first: run, code, inputs from and to, ledger, rules."""
        self.last(name)
        return [_history_row(name, version, record) for version, record in self.log(name).records()]

    def schema_versions(self, name: str) -> list[Row]:
        """One row a schema version, newest first: since which table version, its class beside the last and all before, what changed, its columns.

        `diff` is `changes` with a sign before each: + added, − removed, ~ changed.
        """
        self.last(name)
        rows: list[Row] = []
        previous: dict[str, Any] | None = None
        for version, record in reversed(self.log(name).records()):
            doc = record.schema_document
            if doc is None:
                continue
            changes = compare(previous, doc) if previous else []
            grade = doc.get("class", "first")
            rows.append(
                {"table": name, "schema_version": record.schema_version, "since_version": version, "at": record.at, "class": grade,
                 "transitive": doc.get("transitive", grade), "changes": [change.what for change in changes], "diff": [change.line for change in changes], "columns": named_types(doc["columns"]), "key": doc["key"], "rules": sorted(doc["rules"])}
            )  # fmt: skip
            previous = doc
        return rows[::-1]

    def rejects(self, name: str, *, stopped: bool = False, resolved: bool = False) -> pl.LazyFrame:
        """The rows rejected on their way into the table and still so, with rules, raw place and values; or those that are `resolved` and stayed so.

        With `stopped`, those that the last run rejected that published nothing of the table; none once a run published again.
        """
        if stopped:
            return self._stopped(name)
        _, record = self.last(name)
        version = int(record.quarantine["version"]) if record.quarantine else -1
        if version < 0 or (record.rejects == 0 and not resolved):
            return pl.LazyFrame(schema=REJECTED)
        rows = open_snapshot(self.store, quarantine_path_of(name), version).scan()
        still = rows.filter(pl.col("resolved_at").is_null())
        if not resolved:
            return still
        same = [FILE, ROW, "line", "row"]  # of one row read, a part may be in and another not
        return rows.filter(pl.col("resolved_at").is_not_null()).join(still.select(same).unique(), on=same, how="anti", nulls_equal=True)

    def structure(self, name: str, *, version: int | None = None) -> pl.LazyFrame:
        """The lines of the table's raw files that are neither rows nor rejects, in the order the files were taken in: `_file`, `line`, `bytes`, `role`, `why`.

        Of files that came in before these were kept there are none. Raises UnknownName for a table that no files go into.
        """
        at, _ = self.last(name, version=version)
        if not name.startswith("bronze."):
            raise UnknownName(f"{name} is not made of raw files", f"Ask the bronze table that it comes from: `lake lineage {name}`")
        return structure_of(self.store, name, (record for _, record in self.log(name).back(until=at)))

    def asked(self, name: str) -> Callable[[str], str]:
        """A function that says what a rule of the table asks, by the newest schema that is known; nothing of a rule that is in none."""
        last = self.log(name).last_record()
        found = last_schema(self.store, last[1], self.log(name).back()) if last else None
        document = found[2] if found else {}
        return lambda rule: asked(document, self.store.names.within(rule)) or _asked_of_hops(rule)

    def _stopped(self, name: str) -> pl.LazyFrame:
        """What lies in the quarantine beyond the version that the table's record names."""
        path = quarantine_path_of(name)
        log = TableLog(self.store, path)
        newest = log.version() if _TABLE_NAME.fullmatch(name) else -1
        if newest < 0:
            self.last(name)
            return pl.LazyFrame(schema=REJECTED)
        last = self.log(name).last_record()
        published = int(last[1].quarantine["version"]) if last and last[1].quarantine else -1
        known = {file.path for file in open_snapshot(self.store, path, published).files} if published >= 0 else set()
        there = open_snapshot(self.store, path, newest)
        return there.scan(tuple(file for file in there.files if file.path not in known))

    def rules(self, name: str, *, version: int | None = None) -> list[Row]:
        """One row a rule of the table: rule, severity, what it asks, what the last commit (at or before `version`) that judged rows found."""
        at, record = self.last(name, version=version)
        while record.kind == "maintenance" and at > 0 and (earlier := self.log(name).last_record(until=at - 1)) is not None:
            at, record = earlier
        document = last_schema(self.store, record) or last_schema(self.store, record, self.log(name).back())
        declared: dict[str, str] = dict(document[2].get("checks", {})) if document else {}
        known = document[2] if document else {}
        usual = "fail" if name.startswith("gold.") else "quarantine"
        told = {check.name: check for check in record.checks}
        rows = []
        for rule in dict.fromkeys([*known.get("rules", ()), *declared, *record.rules]):
            severity, *_ = declared.get(rule, usual).partition(": ")
            count = record.warned.get(rule, 0) if severity == "warn" else record.rules.get(rule, 0)
            row = {"rule": rule, "severity": severity, "asked": asked(known, rule) or _asked_of_hops(rule), "rows": None if rule in told else count}
            rows.append(
                row | {"holds": told[rule].holds if rule in told else count == 0, "found": told[rule].value if rule in told else f"{counted(count, 'row')}"}
            )
        return rows

    def profile(self, name: str, version: int) -> tuple[Profile, dict[str, Any] | None, list[str]]:
        """The profile of the table at `version`, its schema document then, and the columns whose values may be shown, by that and by the newest."""
        _, record = self.last(name, version=version)
        found = schema_of_record(self.store, self.log(name), record)
        now = schema_of_record(self.store, self.log(name), self.last(name)[1])
        values = [column for column in shown_columns(found[2]) if column in shown_columns(now[2])] if found and now else []
        return profile(self.snapshot(name, version), values=values), found[2] if found else None, values

    def snapshot(self, name: str, version: int | None = None) -> Snapshot:
        """The table's rows at `version`, or the newest."""
        newest, _ = self.last(name, version=version)
        try:
            return open_snapshot(self.store, path_of(name), newest if version is None else version, log=self.log(name))
        except NotFound:
            raise UnknownName(f"{name} has no version {version}", f"The newest is {newest}") from None


def _asked_of_hops(rule: str) -> str:
    """What a rule asks that no contract declares: that the hop makes something of each row."""
    return "the hop makes a row of it without raising" if rule.endswith(RAISES) else ""


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
        "inputs": [i.model_dump() for i in record.inputs], "files": [f.model_dump() for f in record.files],
        "notices": [notice.line() for notice in record.notices], "schema_version": record.schema_version,
        "ledger": {entry: count for entry, count in record.ledger if count is not None}, "rules": record.rules, "warned": record.warned,
        "checks": [check.model_dump() for check in record.checks], "rejects": record.rejects,
        "accepted": record.accepted.model_dump() if record.accepted else None, "rows": record.rows, "bytes": record.bytes, "data_files": record.data_files, "content": record.content.value if record.content else None,
        "started": record.run.started, "seconds": record.seconds, "store": record.store,
    }  # fmt: skip
