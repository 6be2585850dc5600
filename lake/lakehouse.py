"""The lake in Python: `lake.open()` for notebooks. Everything comes back as a Polars frame, from one pinned release."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import polars as pl

from lake.catalog import Catalog, Row
from lake.compared import compare_releases
from lake.compatibility import check_schemas
from lake.drawing import lineage_svg
from lake.errors import UnknownName
from lake.existing import open_existing
from lake.forecast import Changes, forecast
from lake.freshness import freshness
from lake.handle import TableHandle
from lake.lineage import edges
from lake.marks import marked, release_rows
from lake.moved import moved
from lake.pipeline import load_pipeline, loaded, pipelines_for
from lake.release import Release, find_release, release_before, release_meant
from lake.replay import replay
from lake.run import begin_run, run_that_reads
from lake.settings import Settings, load_settings
from lake.showing import lake_html
from lake.sql import sql_over
from lake.store import Store
from lake.table import LAYERS
from lake.trace import Reached, reach
from lake.verify import verify

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FRESHNESS: dict[str, Any] = {
    "table": pl.String, "fresh": pl.Boolean, "age_seconds": pl.Float64, "promised_seconds": pl.Float64, "freshest": pl.Datetime("us", "UTC"), "owner": pl.String,
}  # fmt: skip
_UNRELEASED = pl.List(pl.Struct({"table": pl.String(), "why": pl.String()}))
_COMPARED = {
    "table": pl.String, "what": pl.String, "version_before": pl.Int64, "version_after": pl.Int64, "rows_before": pl.Int64, "rows_after": pl.Int64,
    "added": pl.Int64, "removed": pl.Int64, "changed": pl.Int64, "columns": pl.String,
}  # fmt: skip
_PLANNED: dict[str, Any] = {
    "table": pl.String,
    "run": pl.Boolean,
    "changes": pl.String,
    "mode": pl.String,
    "why": pl.String,
    "estimated_rows": pl.Int64,
    "waiting": pl.Int64,
    "landed": pl.Int64,
    "inputs": pl.List(pl.Struct({"table": pl.String, "start": pl.Int64, "end": pl.Int64})),
}
_FINDINGS: dict[str, Any] = {
    "table": pl.String, "column": pl.String, "what": pl.String, "class": pl.String, "breaking": pl.Boolean,
    "downstream": pl.List(pl.Struct({"table": pl.String, "column": pl.String})), "note": pl.String,
}  # fmt: skip
_VERIFIED = {"table": pl.String, "checked": pl.String, "rows": pl.Int64, "verdict": pl.String, "why": pl.String}
_REPLAYED = {
    "table": pl.String, "version": pl.Int64, "rows": pl.Int64, "verdict": pl.String, "why": pl.String, "recorded": pl.String, "replayed": pl.String,
}  # fmt: skip


def open(env: str | None = None, release: int | str | dt.date | None = "latest", **settings: Any) -> Lake:  # noqa: A001  # lake.open() is the name people type
    """The lake of this project, as of one release: "latest", a number, a date, or None for whatever is committed now.

    Further keywords override settings (`root=`, `endpoint=`, …). Raises UnknownName if there is no such release or no lake, and
    StoreUnreachable or StoreRefused if the store cannot be read.
    """
    chosen = load_settings(env=env, **settings)
    store = open_existing(chosen)
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
            self.store.names.check(name)
            raise UnknownName.among("table", name, self.release.tables)
        pins = {table: pin.version for table, pin in self.release.tables.items()}
        return TableHandle(self._catalog, name, pins[name], self._settings, pins, self.release.number)

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __bool__(self) -> bool:
        return True  # a lake without tables is one too

    def keys(self) -> list[str]:
        """The names of the tables, bronze first."""
        return self._names()

    def _ipython_key_completions_(self) -> list[str]:
        return self.keys()

    def tables(self, search: str | None = None) -> pl.DataFrame:
        """One row a table: table, layer, rows, bytes, files, version, schema_version, rejects, freshest, fresh, updated, owner, summary, note.

        `note` says where a table is held, not released, retired, or filled by no flow. With `search`, those that have each of its words in
        their name, summary, owner or tags, or in a column's name or meaning; `found` then has these columns.
        """
        rows = marked(self._catalog, self._catalog.tables(self._pins), self._settings)
        return _frame(rows if search is None else self._catalog.search(search, rows))

    def versions(self) -> pl.DataFrame:
        """One row a table of the release that is open: table, version, schema_version, rows, content, what (became of it since the one before).

        Raises UnknownName where none is open.
        """
        if self.release is None:
            raise UnknownName("no release is open, so no versions are pinned", 'Open one: lake.open(release="latest")')
        went = {one.table: one.words for one in moved(release_before(self.store, self.release), self.release)}
        return _frame([{"table": name, **pin.model_dump(), "what": went.get(name, "as before")} for name, pin in self.release.tables.items()])

    def plan(self, subject: str | None = None, *, full: bool = False) -> pl.DataFrame:
        """What a run would do now, one row a bronze table and a hop (of one subject, or of all). Writes nothing.

        Columns: table, run, changes (yes, no, or maybe: that depends on rows), mode, why, estimated_rows, waiting and landed (files), inputs.

        It is about the tables as they are now, whichever release is open. A subject that cannot be loaded stops no other: of all, it is a row with
        its name, changes "refused" and why. Raises UnknownName for a subject that is not there, and what is wrong with one that was asked for.
        """
        settings = self._settings or load_settings()
        pipelines, refused = ([load_pipeline(settings, subject)], {}) if subject is not None else loaded(settings)
        run = run_that_reads(settings, self.store, "plan")
        foreseen: dict[str, Changes] = {}
        rows = [row | {"inputs": list(row["inputs"].values())} for each in pipelines for row in forecast(run, each, full=full, foreseen=foreseen)]
        rows += [{"table": name, "run": False, "changes": "refused", "why": str(error)} for name, error in refused.items()]
        return pl.DataFrame(rows, schema=_PLANNED)

    def check_schemas(self, subject: str | None = None, *, against: int | None = None) -> pl.DataFrame:
        """What the code would change in the tables, one row a change: table, column, what, class, breaking, downstream, note.

        Compared with the release that is open, or `against` another. A subject that cannot be loaded stops no other: it is a row with its name, class
        "refused" and why, and what a change hits in it is not known. Raises UnknownName, and what is wrong with a subject that was asked for.
        """
        settings = self._settings or load_settings()
        number = against if against is not None or self.release is None else self.release.number
        if subject is not None:
            load_pipeline(settings, subject)
        pipelines, refused = loaded(settings)
        found = check_schemas(self.store, pipelines, flow=subject, against=number, refused=refused)
        rows = [{"table": name, "what": str(error), "class": "refused", "breaking": True, "downstream": []} for name, error in refused.items()]
        return pl.DataFrame([*(finding.row for finding in found.findings), *rows], schema=_FINDINGS)

    def releases(self) -> pl.DataFrame:
        """One row a release, newest first: release, at, flow, run, tables, note (what it rolls back to, and what is held) and unreleased (of the
        newest: the tables that its readers do not see as they are now, each with why).
        """
        return pl.DataFrame(release_rows(self._catalog), schema_overrides={"unreleased": _UNRELEASED}, infer_schema_length=None)

    def diff(self, before: int | str | dt.date, after: int | str | dt.date | None = None) -> pl.DataFrame:
        """One row a table that two releases do not pin alike: from `before` to `after` (a number, a date or "latest"; None: the release that is open).

        Columns: table, what, version_before, version_after, rows_before, rows_after, added, removed, changed (rows), columns (in which changed
        rows differ). Reads the keys of files that the two do not share; nothing of tables whose recorded content is the same. Raises UnknownName.
        """
        old = release_meant(self.store, before)
        new = self.release if after is None and self.release is not None else release_meant(self.store, "latest" if after is None else after)
        return pl.DataFrame(compare_releases(self.store, old, new), schema=_COMPARED)

    def picture(self) -> str:
        """How the tables of the release are made from one another, raw sources first, as an SVG picture."""
        return lineage_svg(edges(self._catalog, self._pins), title="Lineage of the lake")

    def reach(self, place: str) -> Reached:
        """Every row that the raw record `FILE:RECORD` reached, in every table, and the releases that have it. Raises UnknownName."""
        settings = self._settings or load_settings()
        versions = (
            {name: pin.version for name, pin in self.release.tables.items()}
            if self.release
            else {name: self._catalog.log(name).version() for name in self._catalog.names()}
        )
        return reach(run_that_reads(settings, self.store, "trace"), pipelines_for(settings), place, versions)

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
        flows = pipelines_for(settings, *tables)
        return pl.DataFrame([row for flow in flows for row in verify(run, flow, share=share, seed=seed, versions=versions)], schema=_VERIFIED)

    def replay(self) -> pl.DataFrame:
        """One row a table of the release: table, version, rows, verdict, why, recorded, replayed. Everything is computed again from raw (law 5).

        Costs what a full run costs, in a scratch place of the store that is removed. Raises UnknownName without a release, and StoreUntrusted.
        """
        if self.release is None:
            raise UnknownName("only a release can be replayed", 'Open one: lake.open(release="latest")')
        settings = self._settings or load_settings()
        with begin_run(settings, "replay", "python") as run:
            flows, refused = loaded(settings)
            found = list(replay(run, self.release, flows, refused=refused))
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
        return {name: self.release.tables[name].version for name in self._names()} if self.release else None

    def _names(self) -> list[str]:
        names = list(self.release.tables) if self.release else self._catalog.names()
        return sorted(names, key=lambda name: (LAYERS.index(name.split(".")[0]), name))

    def close(self) -> None:
        """Let go of the store; an embedded one stops with its last user. Frames not collected yet can no longer be read."""
        self.store.close()

    def __repr__(self) -> str:
        what = f"release {self.release.number} of {self.release.at:%Y-%m-%d %H:%M} UTC" if self.release else "live"
        return f"Lake({self.store.uri('').rstrip('/')}, {what})"

    def _repr_html_(self) -> str:
        return lake_html(self._catalog, repr(self), self._catalog.tables(self._pins), self._pins)


def _frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)
