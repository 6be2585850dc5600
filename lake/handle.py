"""One table at one version, as notebooks hold it: its rows, and what the commits say of it. Everything comes back as a Polars frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import polars as pl

from lake.catalog import Catalog, Row
from lake.descent import column_rows
from lake.edges import DIRECTIONS
from lake.errors import UnknownName
from lake.lineage import downstream, upstream
from lake.log import schema_of_record
from lake.pipeline import find_table, pipelines_for
from lake.profile import DRIFT, PROFILE, drift_rows, profile_rows
from lake.run import run_that_reads
from lake.schemas import named_types
from lake.settings import Settings, load_settings
from lake.showing import table_html
from lake.table import Upcast
from lake.trace import LIMIT, Trace, trace
from lake.upcast import upcast
from lake.wording import counted

_COLUMN_ROWS = {"direction": pl.String, "depth": pl.Int64, "table": pl.String, "column": pl.String, "kind": pl.String, "of": pl.String, "hop": pl.String}
_COLUMNS = {"column": pl.String, "type": pl.String, "key": pl.Boolean, "nullable": pl.Boolean, "unit": pl.String, "description": pl.String}


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

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return self._catalog.last(self.name, version=self.version)[1].rows

    def __bool__(self) -> bool:
        return True  # a table without rows is one too

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return self._catalog.snapshot(self.name, self.version).schema.names()

    def schema(self) -> pl.DataFrame:
        """One row a column: column, type (as contracts write it), key, nullable, unit, description."""
        record = self._catalog.last(self.name, version=self.version)[1]
        known = schema_of_record(self._catalog.store, self._catalog.log(self.name), record)
        document = known[2] if known else {"columns": [], "key": []}
        rows = [
            {
                "column": one["name"], "type": one["type"], "key": one["name"] in document["key"], "nullable": one["nullable"],
                "unit": (one.get("metadata") or {}).get("unit"), "description": one["description"],
            }
            for one in named_types(document["columns"])
        ]  # fmt: skip
        return pl.DataFrame(rows, schema=_COLUMNS)

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

    def lineage(self, column: str | None = None, *, rows: bool = False) -> pl.DataFrame:
        """Upstream at the versions read, then downstream: direction, depth, name, kind, version, detail, of.

        Of a `column`: what it is made from, down to the columns of raw files, then what is made from it, one row for each column
        reached: direction, depth, table, column, kind, of, hop. With `rows`, what only decides which rows there are is followed too.
        Raises UnknownName for a column that the table does not have, and for `rows` without a column.
        """
        if rows and column is None:
            raise UnknownName("rows=True follows a column", f'Name one: lineage("{self.columns[0]}", rows=True)')
        if column is not None:
            above, below = (column_rows(self._catalog, self.name, column, to, rows=rows, versions=self._pins) for to in DIRECTIONS)
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
        return trace(run, pipelines_for(settings, self.name), self.name, self.version, key, limit=limit, release=self._release)

    def rejects(self, *, stopped: bool = False, resolved: bool = False) -> pl.LazyFrame:
        """Rows rejected on their way into the table: the rules they broke, what these ask (`asked`), their values as JSON, and their raw place.

        With `stopped`, those of the last run that was stopped by rules or limits and published nothing of the table; with `resolved`, those that
        were let in later. As of now, whichever release is open.
        """
        rows = self._catalog.rejects(self.name, stopped=stopped, resolved=resolved)
        asks = self._catalog.asked(self.name)
        return rows.with_columns(pl.col("rules").map_elements(lambda broken: [asks(rule) for rule in broken], return_dtype=pl.List(pl.String)).alias("asked"))

    def structure(self) -> pl.LazyFrame:
        """The lines of a bronze table's raw files up to this version that are neither rows nor rejects: `_file`, `line`, `bytes`, `role`, `why`.

        Raises UnknownName for a table of another layer.
        """
        return self._catalog.structure(self.name, version=self.version)

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
        return f"{self.name} version {self.version}: {counted(record.rows, 'row')}, {record.rejects:,} rejected. {record.summary}"

    def _repr_html_(self) -> str:
        return table_html(self._catalog, self.name, self.version)


def _frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)
