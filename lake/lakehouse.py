"""The lake in Python: `lake.open()` for notebooks. Everything comes back as a Polars frame, from one pinned release."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from lake.catalog import Catalog, Row
from lake.delta import Snapshot
from lake.descent import column_rows
from lake.edges import DIRECTIONS
from lake.errors import UnknownName
from lake.freshness import freshness
from lake.lineage import downstream, upstream
from lake.log import key_of_record
from lake.pipeline import every_pipeline, find_table
from lake.profile import DRIFT, PROFILE, drift_rows, profile_rows
from lake.release import Release, find_release, numbers, read_release
from lake.replay import replay
from lake.run import begin_run, run_that_reads
from lake.settings import Settings, load_settings
from lake.showing import lake_html, table_html
from lake.sql import sql_over
from lake.store import Store, open_store
from lake.table import Upcast
from lake.trace import LIMIT, Reached, Trace, reach, trace
from lake.upcast import upcast
from lake.verify import verify

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMN_ROWS = {"direction": pl.String, "depth": pl.Int64, "table": pl.String, "column": pl.String, "kind": pl.String, "of": pl.String, "hop": pl.String}
_FRESHNESS: dict[str, Any] = {
    "table": pl.String, "fresh": pl.Boolean, "age_seconds": pl.Float64, "promised_seconds": pl.Float64, "freshest": pl.Datetime("us", "UTC"), "owner": pl.String,
}  # fmt: skip
_VERIFIED = {"table": pl.String, "checked": pl.String, "rows": pl.Int64, "verdict": pl.String, "why": pl.String}
_REPLAYED = {
    "table": pl.String, "version": pl.Int64, "rows": pl.Int64, "verdict": pl.String, "why": pl.String, "recorded": pl.String, "replayed": pl.String,
}  # fmt: skip


def open(env: str | None = None, release: int | str | dt.date | None = "latest", **settings: Any) -> Lake:  # noqa: A001  # lake.open() is the name people type
    """The lake of this project, as of one release: "latest", a number, a date, or None for whatever is committed now.

    Further keywords override settings (`root=`, `endpoint=`, …). Raises UnknownName if there is no such release, and
    StoreUnreachable or StoreRefused if the store cannot be read.
    """
    chosen = load_settings(env=env, **settings)
    store = open_store(chosen)
    try:
        pinned = None if release is None else find_release(store, release)
        if release is not None and pinned is None:
            raise UnknownName("nothing has been released yet", "Run a flow first (`lake run`), or open with release=None to see what is committed")
    except BaseException:
        store.close()
        raise
    return Lake(store, pinned, chosen)


class Lake:
    """All tables of one environment at one release. Reading it never sees a half-finished run."""

    def __init__(self, store: Store, release: Release | None, settings: Settings | None = None) -> None:
        self.store = store
        self.release = release
        self._settings = settings
        self._catalog = Catalog(store)

    def __enter__(self) -> Lake:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __getitem__(self, name: str) -> TableHandle:
        """The table called `name`. Raises UnknownName, suggesting the nearest."""
        if self.release is None:
            return TableHandle(self._catalog, name, self._catalog.last(name)[0], self._settings)
        if name not in self.release.tables:
            raise UnknownName.among("table", name, self.release.tables)
        pins = {table: pin.version for table, pin in self.release.tables.items()}
        return TableHandle(self._catalog, name, pins[name], self._settings, pins, self.release.number)

    def tables(self) -> pl.DataFrame:
        """One row a table: table, layer, rows, bytes, files, version, schema_version, rejects, freshest, fresh, updated, owner, summary."""
        return _frame(self._catalog.tables(self._pins))

    def releases(self) -> pl.DataFrame:
        """One row a release, newest first: release, at, flow, run, tables, note (what it rolls back to, and what is held)."""
        rows = []
        for number in reversed(numbers(self.store)):
            release = read_release(self.store, number)
            rows.append(
                {"release": number, "at": release.at, "flow": release.run.flow, "run": release.run.id, "tables": len(release.tables), "note": release.note}
            )
        return _frame(rows)

    def reach(self, place: str) -> Reached:
        """Every row that the raw record `FILE:RECORD` reached, in every table, and the releases that have it. Raises UnknownName."""
        settings = self._settings or load_settings()
        versions = (
            {name: pin.version for name, pin in self.release.tables.items()}
            if self.release
            else {name: self._catalog.log(name).version() for name in self._catalog.names()}
        )
        return reach(run_that_reads(settings, self.store, "trace"), every_pipeline(settings), place, versions)

    def history(self) -> pl.DataFrame:
        """One row a commit of every table, newest first: table, and what `TableHandle.history` says. Reads every log that is still there."""
        rows = [row for name in self._names() for row in self._catalog.history(name) if self._pins is None or row["version"] <= self._pins[name]]
        return _frame(sorted(rows, key=lambda row: row["at"], reverse=True))

    def freshness(self) -> pl.DataFrame:
        """One row a table that promises freshness, stalest first: table, fresh, age_seconds, promised_seconds, freshest, owner."""
        return pl.DataFrame(freshness(self._catalog, self.release), schema=_FRESHNESS)

    def verify(self, *tables: str, share: float = 0.02, seed: int | None = None) -> pl.DataFrame:
        """One row a table: table, checked, rows, verdict, why. Random key ranges, about `share` of each table, are computed again and compared.

        All tables if none is named. Writes nothing to the store; costs about a run of the hops over `share` of the rows, and reading their
        inputs. The verdict is `equal`, `rounding`, `differs` or `not verified`. Raises UnknownName.
        """
        versions = {name: self[name].version for name in tables or self._names()}
        settings = self._settings or load_settings()
        run = run_that_reads(settings, self.store, "verify")
        flows = every_pipeline(settings)
        return pl.DataFrame([row for flow in flows for row in verify(run, flow, share=share, seed=seed, versions=versions)], schema=_VERIFIED)

    def replay(self) -> pl.DataFrame:
        """One row a table of the release: table, version, rows, verdict, why, recorded, replayed. Everything is computed again from raw (law 5).

        Costs what a full run costs, in a scratch place of the store that is removed. Raises UnknownName without a release, and StoreUntrusted.
        """
        if self.release is None:
            raise UnknownName("only a release can be replayed", 'Open one: lake.open(release="latest")')
        settings = self._settings or load_settings()
        with begin_run(settings, "replay", "python") as run:
            found = list(replay(run, self.release, every_pipeline(settings)))
        return pl.DataFrame([{name: getattr(one, name) for name in _REPLAYED} for one in found], schema=_REPLAYED)

    def duckdb(self, *tables: str) -> DuckDBPyConnection:
        """A connection to DuckDB in which every table of the lake, or these, can be asked for by its name: `FROM gold.nyc.daily_delays`.

        They are views of the same lazy frames that `scan` gives: rows are read when a query asks, at the versions of this release, and what
        a query's `WHERE` says of columns is decided while reading. All columns are read, however few are asked for: of a wide table, register
        `scan().select(...)`. Needs the extra `notebooks`. The views fall back to nothing once the lake is closed. Raises UnknownName.
        """
        return sql_over({name: self[name].scan() for name in tables or self._names()})

    @property
    def _pins(self) -> dict[str, int] | None:
        return {name: pin.version for name, pin in self.release.tables.items()} if self.release else None

    def _names(self) -> list[str]:
        return list(self.release.tables) if self.release else self._catalog.names()

    def close(self) -> None:
        """Let go of the store; an embedded one stops with its last user. Frames not collected yet can no longer be read."""
        self.store.close()

    def __repr__(self) -> str:
        what = f"release {self.release.number} of {self.release.at:%Y-%m-%d %H:%M} UTC" if self.release else "live"
        return f"Lake({self.store.uri('').rstrip('/')}, {what})"

    def _repr_html_(self) -> str:
        return lake_html(self._catalog, repr(self), self._catalog.tables(self._pins), self._pins)


class TableHandle:
    """One table at one version."""

    def __init__(
        self, catalog: Catalog, name: str, version: int, settings: Settings | None = None, pins: Mapping[str, int] | None = None, release: int | None = None
    ) -> None:
        self._catalog = catalog
        self._release = release
        self._settings = settings
        self._pins = pins
        self.name = name
        self.version = version

    def scan(self, *, schema: int | Literal["newest"] | None = None) -> pl.LazyFrame:
        """The rows, lazily: only the columns and row groups a query needs are read.

        `schema` asks for a later schema version than that of the rows, by number or "newest": code written for that one then reads
        rows of an older release. Raises UnknownName for a version there is not, and SchemaRefused where the declared table has no
        `upcasts` function for a column that needs one.
        """
        rows = self._catalog.snapshot(self.name, self.version).scan()
        if schema is None:
            return rows
        return upcast(rows, self._documents(schema), self._upcasts())

    def _documents(self, wanted: int | str) -> list[dict[str, Any]]:
        """The schema documents from the one of these rows to the one wanted."""
        mine = self._catalog.last(self.name, version=self.version)[1].schema_version
        known = {record.schema_version: record.schema_document for _, record in reversed(self._catalog.log(self.name).records()) if record.schema_document}
        last = max(known) if wanted == "newest" else int(wanted)
        if last not in known or last < mine:
            raise UnknownName(f"{self.name} has no schema version {wanted} at or after {mine}, that of these rows", f"There is: {', '.join(map(str, known))}")
        return [document for number, document in known.items() if mine <= number <= last]

    def _upcasts(self) -> Mapping[str, Upcast]:
        declared = find_table(self._settings, self.name) if self._settings is not None else None
        return declared.upcasts if declared is not None else {}

    def history(self) -> pl.DataFrame:
        """One row a commit up to this version, newest first: version, at, run, flow, mode, reason, ledger, rules, rows and more."""
        return _frame([row for row in self._catalog.history(self.name) if row["version"] <= self.version])

    def schema_versions(self) -> pl.DataFrame:
        """One row a schema version, newest first: schema_version, since_version, at, class, changes, columns."""
        return _frame([row for row in self._catalog.schema_versions(self.name) if row["since_version"] <= self.version])

    def lineage(self, column: str | None = None) -> pl.DataFrame:
        """Upstream at the versions read, then downstream: direction, depth, name, kind, version, detail, of.

        Of a `column`: what it is made from, down to the columns of raw files, then what is made from it, one row for each column
        reached: direction, depth, table, column, kind, of, hop. Raises UnknownName for a column that the table does not have.
        """
        if column is not None:
            above, below = (column_rows(self._catalog, self.name, column, to, versions=self._pins) for to in DIRECTIONS)
            return pl.DataFrame([*above, *below[1:]], schema=_COLUMN_ROWS)
        up = upstream(self._catalog, self.name, self.version).rows("upstream")
        down = downstream(self._catalog, self.name).rows("downstream")
        return _frame([*up, *(row for row in down if row["depth"])])

    def trace(self, *, limit: int = LIMIT, **key: Any) -> Trace:
        """The rows with these values (`carrier="UA", flight_date="2013-02-09"`), at most `limit`, followed down to the raw records and computed again.

        What comes back has `.rows` (every row of every table that matters), `.raw` (the records as they stand in their files) and
        `.verdict`. Reads the files that may hold a row that matters, and whole raw files: a second or two for each of a few dozen megabytes.
        Raises UnknownName for a column or value that cannot be, and for a key that no row has, naming the nearest.
        """
        settings = self._settings or load_settings()
        run = run_that_reads(settings, self._catalog.store, "trace")
        return trace(run, every_pipeline(settings), self.name, self.version, key, limit=limit, release=self._release)

    def rejects(self, *, stopped: bool = False) -> pl.LazyFrame:
        """Rows rejected on their way into the table, with the rules they broke, their values as JSON, and their raw place.

        With `stopped`, those of the last run that was stopped by rules or limits and published nothing of the table.
        """
        return self._catalog.rejects(self.name, stopped=stopped)

    def quality(self) -> pl.DataFrame:
        """One row a broken rule, or a rule of the table as a whole, and commit up to this version, newest first.

        Columns: version, at, rule, rows (set aside, or kept with a warning), read, share, severity, holds, value and limit (in words).
        """
        rows: list[Row] = []
        for commit in self._catalog.history(self.name):
            if commit["version"] > self.version or commit["kind"] == "maintenance":
                continue
            read = commit["ledger"].get("read", 0)
            about = {"version": commit["version"], "at": commit["at"], "read": read}
            for severity, counts in (("quarantine", commit["rules"]), ("warn", commit["warned"])):
                rows += [
                    about | {"rule": rule, "rows": count, "share": count / max(1, read), "severity": severity, "holds": False} for rule, count in counts.items()
                ]
            rows += [about | {"rule": check["name"]} | {key: check[key] for key in ("severity", "holds", "value", "limit")} for check in commit["checks"]]
        schema: dict[str, Any] = {
            "version": pl.Int64, "at": pl.Datetime("us", "UTC"), "rule": pl.String, "rows": pl.Int64, "read": pl.Int64, "share": pl.Float64,
            "severity": pl.String, "holds": pl.Boolean, "value": pl.String, "limit": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    def profile(self, since: int | None = None) -> pl.DataFrame:
        """What the values are like, one row a column: rows, nulls, distinct (within distinct_low and distinct_high in 19 of 20 cases), min, quantiles, max, and more.

        Frequent values (`top`) and the ends of texts only where the table allows samples. Quantiles are within 1.3 % of their rank. With `since`, an earlier
        version of the table, what moved: rows, null_share, distinct, mean, p50 of both, `ks` (0 alike, 1 apart), moved, what. Raises UnknownName.
        """
        now, document, values = self._catalog.profile(self.name, self.version)
        if since is None:
            return pl.DataFrame(profile_rows(self.name, self.version, now, document, values=values), schema=PROFILE)
        before, *_ = self._catalog.profile(self.name, since)
        return pl.DataFrame(drift_rows(self.name, (since, self.version), before, now, document), schema=DRIFT)

    def rules(self) -> pl.DataFrame:
        """One row a rule the table is held to: rule, severity, asked, rows (that broke it, of the last commit), holds, found."""
        schema = {"rule": pl.String, "severity": pl.String, "asked": pl.String, "rows": pl.Int64, "holds": pl.Boolean, "found": pl.String}
        return pl.DataFrame(self._catalog.rules(self.name, version=self.version), schema=schema)

    def __repr__(self) -> str:
        _, record = self._catalog.last(self.name, version=self.version)
        return f"{self.name} version {self.version}: {record.rows:,} rows, {record.rejects:,} rejected. {record.summary}"

    def _repr_html_(self) -> str:
        return table_html(self._catalog, self.name, self.version)


def released(store: Store, name: str, version: int) -> tuple[Snapshot, list[str]]:
    """A table version's rows and its key, for comparing."""
    catalog = Catalog(store)
    _, record = catalog.last(name, version=version)
    return catalog.snapshot(name, version), key_of_record(store, catalog.log(name), record)


def _frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)
