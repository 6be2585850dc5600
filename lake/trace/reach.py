"""Going up: every row of every table that one raw record reached, and the releases that have it.

A row reaches what its number is carried to when it is followed up through a hop (`marks`); where the rows of a hop are told apart by raw place
and Polars asks of its input only that place, what has the row's place. So whatever a trace down finds, the way up finds too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.catalog import Catalog
from lake.contract import FILE, LANDED, ROW, parsed
from lake.errors import UnknownName
from lake.hop import Hop
from lake.pipeline import Pipeline
from lake.place import place_of, readings
from lake.raising import not_raised
from lake.receipts import LANDINGS
from lake.record import Record
from lake.release import numbers, read_release
from lake.reread import taking
from lake.run import Run
from lake.table import path_of
from lake.trace.asked import Looks, asked, files_for
from lake.trace.descent import At, maker
from lake.trace.marks import Unfollowed, followed, marked_from
from lake.trace.narrow import Wanted, wanted_rows
from lake.trace.reading import Reading
from lake.trace.tracing import hops_of
from lake.wording import counted, in_words, several

Row = dict[str, Any]


@dataclass(frozen=True)
class Touched:
    """Rows of one version of a table that a raw record reached. `why` says why they cannot be told, and any may be one; `lost` that others of their key won."""

    rows: pl.DataFrame
    why: str | None = None
    lost: bool = False
    rejected: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.rows.height or self.why or self.rejected)


@dataclass(frozen=True)
class Reached:
    """What one raw record reached, by table and version, bronze first; and the releases that have it."""

    file: str
    record: int
    tables: dict[At, Touched]
    releases: list[int] = field(default_factory=list)
    keys: Mapping[str, list[str]] = field(default_factory=dict)

    def entries(self) -> Iterator[Row]:
        """One row a row: table, version, role, key, values, why."""
        for (table, version), touched in self.tables.items():
            about = {"table": table, "version": version}
            if touched.why is not None:
                yield about | {"role": "any row", "key": {}, "values": {}, "why": touched.why}
            if touched.rejected:
                yield about | {"role": "rejected", "key": {}, "values": {}, "why": ", ".join(touched.rejected)}
            for row in touched.rows.iter_rows(named=True):
                key = self.keys.get(table) or [name for name in (FILE, ROW) if name in row]
                values = {name: value for name, value in row.items() if name not in key and name not in (FILE, ROW, LANDED)}
                yield about | {"role": "superseded" if touched.lost else "row", "key": {name: row[name] for name in key}, "values": values, "why": None}

    def __repr__(self) -> str:
        told = ", ".join(f"{touched.rows.height:,} of {table}" if touched.why is None else f"any of {table}" for (table, _), touched in self.tables.items())
        return f"Record {self.record} of {self.file} reached {told or 'nothing'}; releases {', '.join(map(str, self.releases)) or 'none'}"


def reach(run: Run, pipelines: Iterable[Pipeline], place: str, versions: Mapping[str, int]) -> Reached:
    """What the raw record `place` (`FILE:RECORD`, the file by its raw object, its name or the end of one) reached in these versions of tables.

    Raises UnknownName for a file that never landed, and a record that the file has not.
    """
    name, _, number = place.rpartition(":")
    if not name or not number.isdigit():
        raise UnknownName(f"{place!r} is no raw record", "Write FILE:RECORD, as in flights.csv:12")
    record, reading, catalog = int(number), Reading(run), Catalog(run.store)
    sources = _landed(run, name)
    upward = _Upward(reading, catalog, hops_of(pipelines), sources, record)
    found = {(table, version): upward.at(table, version) for table, version in _bronze_first(versions)}
    told = {at: touched for at, touched in found.items() if touched.any}
    if not told:
        raise UnknownName(f"no row is from record {record} of {name}", upward.known(versions))
    releases = sorted({number for table in sources for number in _releases(run, f"bronze.{table}", found, upward)})
    keys = {table: hop.table.key for table, hop in upward.hops.items()}
    return Reached(next(iter(sources.values()))[0], record, told, releases, keys)


def _landed(run: Run, name: str) -> dict[str, list[str]]:
    """The raw objects of that name by source, each as its rows name it. Raises UnknownName."""
    version = run.log(LANDINGS).version()
    if version < 0:
        raise UnknownName(f"no file called {name} has landed", "Nothing has landed yet")
    receipts = run.snapshot(LANDINGS, version).scan().select("source", "file", "name", "dialects")
    for raw, inside in readings(name.removeprefix(run.store.uri(""))):
        of_name = (pl.col("file") == raw) | (pl.col("name") == raw) | pl.col("file").str.ends_with(f"/{raw}") | pl.col("name").str.ends_with(f"/{raw}")
        found = receipts.filter(of_name).unique().collect(engine="streaming")
        member = inside
        if found.height:
            break
    else:
        raise UnknownName.among("landed file", name, receipts.select(pl.col("name").unique()).collect().to_series())
    objects = found["file"].unique().sort().to_list()
    if len(objects) > 1:
        raise UnknownName(f"{counted(len(objects), 'raw object')} {several(len(objects), 'is', 'are')} called {raw}", f"Name one: {', '.join(objects[:4])}")
    files: dict[str, list[str]] = {}
    for source, file, dialects in found.select("source", "file", pl.col("dialects").str.json_path_match("$")).iter_rows():
        members = [one for one in pl.Series([dialects]).str.json_decode(pl.List(pl.Struct({"member": pl.String}))).explode().struct.field("member") if one]
        named = [place_of(file, one) for one in members if member is None or one == member]
        now = run.store.names.now(f"bronze.{source}").removeprefix("bronze.")
        files.setdefault(now, []).extend([file, *named] if member is None else named)
    return files


class _Upward:
    """The rows reached, by table and version, each worked out once."""

    def __init__(self, reading: Reading, catalog: Catalog, hops: Mapping[str, Hop], sources: Mapping[str, list[str]], record: int) -> None:
        self.reading, self.catalog, self.hops = reading, catalog, hops
        self._sources, self._record = sources, record
        self._known: dict[At, Touched] = {}

    def at(self, table: str, version: int) -> Touched:
        """What was reached of one version."""
        if (table, version) not in self._known:
            self._known[table, version] = self._bronze(table, version) if table.startswith("bronze.") else self._made(table, version)
        return self._known[table, version]

    def known(self, versions: Mapping[str, int]) -> str:
        """Which records of the files there are."""
        for source, files in self._sources.items():
            if (table := f"bronze.{source}") in versions:
                there = self.reading.snapshot(table, versions[table])
                last = there.scan().filter(pl.col(FILE).is_in(files)).select(pl.col(ROW).max()).collect().item()
                return f"{table} has records up to {last} of it" if last else f"{table} has none of its records"
        return "No table was made from it"

    def _bronze(self, table: str, version: int) -> Touched:
        files = self._sources.get(table.removeprefix("bronze."), [])
        there = self.reading.snapshot(table, version)
        if not files:
            return Touched(pl.DataFrame(schema=there.schema))
        where = pl.col(FILE).is_in(pl.lit(pl.Series(files).implode())) & (pl.col(ROW) == self._record)
        rows = self.reading.scan(there, files_for(there, where)).filter(where).collect(engine="streaming")
        return Touched(rows, rejected=() if rows.height else self._rejected(table, files))

    def _made(self, table: str, version: int) -> Touched:
        hop, record = self.hops.get(table), maker(self.reading, table, version)
        nothing = Touched(pl.DataFrame(schema=self.reading.snapshot(table, version).schema))
        if record is None:
            return nothing
        touched = {given.table: self.at(given.table, given.end) for given in record.inputs}
        reached = {name: one for name, one in touched.items() if one.rows.height or one.why}
        if not reached:
            return nothing
        if hop is None or record.code is None or record.code.fingerprint != hop.fingerprint:
            return Touched(nothing.rows, f"it was made from {', '.join(reached)} by code that is not this checkout's")
        if unclear := next((name for name, one in reached.items() if one.why), None):
            return Touched(nothing.rows, f"it was made from {unclear}, of which any row may be one")
        found = [
            self._through(hop, version, record, parameter, reached[hop.reads(parameter).name])
            for parameter in hop.inputs
            if hop.reads(parameter).name in reached
        ]
        if why := next((one.why for one in found if one.why), None):
            return Touched(nothing.rows, why)
        rows = pl.concat([one.rows for one in found]).unique(maintain_order=True) if found else nothing.rows
        lost = bool(found) and all(one.lost for one in found)
        return Touched(rows, lost=lost, rejected=tuple(rule for one in found for rule in one.rejected))

    def _through(self, hop: Hop, version: int, record: Record, parameter: str, given: Touched) -> Touched:
        """The stored rows that rows of one input reach through a hop."""
        there = self.reading.snapshot(hop.table.name, version)
        wanted = wanted_rows(self.reading, hop, version, pl.DataFrame(schema=there.schema))
        if not wanted.columns:
            return Touched(wanted.rows, f"rule {hop.table.repeats_rejected[0].name} sets rows aside that repeat others: any row may be one")
        try:
            values = self._values(hop, record, parameter, given.rows, wanted)
        except Unfollowed as unfollowed:
            by = list(hop.by)
            if not (hop.write == "by_key" and hop.follows(parameter) and set(by) <= set(given.rows.columns)):
                return Touched(wanted.rows, str(unfollowed))
            values = given.rows.select(by).unique()
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  # the team's function on some of its rows: it may raise anything
            rejected = self._rejected(hop.table.name, given.rows[FILE].to_list()) if FILE in given.rows.columns and hop.driver == parameter else ()
            return Touched(wanted.rows, None if rejected else f"on some of its rows it fails: {in_words(error)}", rejected=rejected)
        rows = _having(self.reading, there, values)
        placed = {FILE, ROW} <= set(rows.columns) and {FILE, ROW} <= set(given.rows.columns) and hop.driver == parameter and not hop.aggregates
        mine = rows.join(given.rows.select(FILE, ROW), on=[FILE, ROW], how="semi") if placed else rows
        rejected = () if rows.height or not placed else self._rejected(hop.table.name, given.rows[FILE].to_list())
        return Touched(rows, lost=given.lost or (placed and hop.write in ("merge", "replace") and rows.height > 0 and mine.height == 0), rejected=rejected)

    def _values(self, hop: Hop, record: Record, parameter: str, rows: pl.DataFrame, wanted: Wanted) -> pl.DataFrame:
        """By what the rows that come out of the hop are told apart. Raises Unfollowed."""
        inputs = dict(zip(hop.sources, record.inputs, strict=True))
        there = {name: self.reading.snapshot(inputs[name].table, inputs[name].end) for name in hop.inputs}
        if set(wanted.columns) == {FILE, ROW} and self._only_its_place(hop, {name: one.schema for name, one in there.items()}, parameter, wanted):
            return rows.select(FILE, ROW).unique()
        told = [FILE, ROW] if {FILE, ROW} <= set(rows.columns) else self.hops[inputs[parameter].table].table.key or rows.columns
        pairs = pl.lit(rows.select(pl.struct(told)).to_series().implode())
        only = pl.struct(told).is_in(pairs, nulls_equal=True)
        frames = {name: self.reading.scan(one) for name, one in there.items()}
        frames[hop.driver] = not_raised(self.reading.run, hop, record, frames[hop.driver])
        out = followed(hop.function, frames, {name: only if name == parameter else pl.lit(False) for name in there})
        return _typed(marked_from(out, parameter), wanted).unique().collect(engine="streaming")

    def _only_its_place(self, hop: Hop, schemas: dict[str, pl.Schema], parameter: str, wanted: Wanted) -> bool:
        """Whether a row that comes out depends on no other row of this input than that of its place."""
        one = pl.DataFrame({FILE: [""], ROW: [0]}, schema_overrides={ROW: pl.Int64})
        try:
            condition = asked(hop.function, schemas, Wanted(hop, one, wanted.columns).of)[parameter]
        except Looks:
            return False
        except Exception:  # noqa: BLE001  # the team's function on frames without rows
            return False
        return condition is not None and {FILE, ROW} <= set(condition.meta.root_names())

    def _rejected(self, table: str, files: list[str]) -> tuple[str, ...]:
        rows = self.catalog.rejects(table).filter(pl.col(FILE).is_in(files), pl.col(ROW) == self._record).select("rules", "reason").collect()
        return tuple(reason or ", ".join(rules) for rules, reason in rows.iter_rows())


def _typed(out: pl.LazyFrame, wanted: Wanted) -> pl.LazyFrame:
    schema, contract = out.collect_schema(), wanted.hop.table.contract
    promised = contract.columns() if contract else {}
    return out.select(parsed(contract, schema, name).alias(name) if contract and name in promised else pl.col(name) for name in wanted.columns)


def _having(reading: Reading, there: Any, values: pl.DataFrame) -> pl.DataFrame:
    """The stored rows with these values."""
    keys = values.select(pl.col(name).cast(there.schema[name]) for name in values.columns)
    files = there.files
    for name in keys.columns:
        kept = files_for(there, pl.col(name).is_in(pl.lit(keys[name].unique().implode())))
        files = tuple(file for file in files if file in kept)
    return reading.scan(there, files).join(keys.lazy(), on=keys.columns, how="semi", nulls_equal=True).collect(engine="streaming")


def _releases(run: Run, bronze: str, found: Mapping[At, Touched], upward: _Upward) -> Iterator[int]:
    """The releases whose version of the bronze table has the row."""
    for (table, version), touched in found.items():
        if table != bronze or touched.rows.height == 0:
            continue
        file, landed = touched.rows[FILE][0], touched.rows[LANDED].max()
        taken = taking(run.log(path_of(bronze)), file, version, landed)  # type: ignore[arg-type]  # an instant
        for number in numbers(run.store):
            pin = read_release(run.store, number).tables.get(bronze)
            if taken is not None and pin is not None and pin.version >= taken[0]:
                yield number


def _bronze_first(versions: Mapping[str, int]) -> list[At]:
    order = {"bronze": 0, "silver": 1, "gold": 2}
    return sorted(versions.items(), key=lambda one: (order[one[0].split(".")[0]], one[0]))
