"""What a row is traced to is all that it was made from: computed from the traced raw records alone it is as it is stored, whatever else there is."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.anew import computed_anew
from lake.contract import FILE, PROVENANCE, ROW
from lake.delta import Snapshot
from lake.hop import Hop
from lake.pipeline import Pipeline
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.table import path_of
from lake.trace import Trace, reach, trace
from tests import parish
from tests.conftest import ROOT, fresh_env

Place = tuple[str, int]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Some(Snapshot):
    """A version of a table as it would be."""

    rows_there: pl.LazyFrame = field(default_factory=pl.LazyFrame, compare=False)

    def scan(self, files: Any = None) -> pl.LazyFrame:
        return self.rows_there


class _Otherwise(Run):
    """The lake as it would be, had bronze only `kept` rows, some of them `other`. Knows nothing of traces: every hop is computed in full."""

    def __init__(self, run: Run, hops: Mapping[str, Hop], kept: pl.Expr, other: Mapping[str, pl.Expr]) -> None:
        super().__init__(run.settings, run.store, run.info)
        self.real, self.hops, self.kept, self.other = run, hops, kept, other
        self.tables: dict[tuple[str, int], pl.DataFrame] = {}

    def snapshot(self, path: str, version: int) -> Snapshot:
        there = self.real.snapshot(path, version)
        return _Some(**{each.name: getattr(there, each.name) for each in fields(there)}, rows_there=self.rows(path.replace("/", "."), version).lazy())

    def rows(self, table: str, version: int) -> pl.DataFrame:
        """A version of a table, from what its record says it has read."""
        if (table, version) not in self.tables:
            self.tables[table, version] = self._made(table, version)
        return self.tables[table, version]

    def _made(self, table: str, version: int) -> pl.DataFrame:
        if table.startswith("bronze."):
            rows = self.real.snapshot(path_of(table), version).scan().filter(self.kept)
            return rows.with_columns(**self.other if table.endswith("orders") else {}).collect()
        _, record = self.real.log(path_of(table)).last_record(until=version) or (0, None)
        assert record is not None
        with self.real.workspace("otherwise") as folder:
            return computed_anew(self, self.hops[table], record, folder, None).collect()


@dataclass
class Parish:
    """A lake with every row of every table traced."""

    run: Run
    flow: Pipeline
    bronze: dict[str, pl.DataFrame]
    traces: dict[str, dict[Key, Trace]]

    def rows(self, table: str, frame: pl.DataFrame) -> dict[Key, dict[str, Any]]:
        """The rows of a table by key."""
        return {tuple(row[name] for name in key_of(table)): {n: v for n, v in row.items() if n not in PROVENANCE} for row in frame.to_dicts()}

    def stored(self, table: str) -> dict[Key, dict[str, Any]]:
        return self.rows(table, _newest(self.run, table))

    def otherwise(self, kept: pl.Expr, tables: Iterable[str], **other: pl.Expr) -> dict[str, dict[Key, dict[str, Any]]]:
        """Tables as they would be with these rows in bronze."""
        lake = _Otherwise(self.run, self.flow.hops, kept, other)
        return {name: self.rows(name, lake.rows(name, self.run.log(path_of(name)).version())) for name in tables}


def _at(places: set[Place]) -> pl.Expr:
    known = pl.DataFrame(sorted(places), schema={FILE: pl.String, ROW: pl.Int64}, orient="row")
    return pl.struct(FILE, ROW).is_in(pl.lit(known.select(pl.struct(FILE, ROW)).to_series().implode()))


def _newest(run: Run, table: str) -> pl.DataFrame:
    return run.snapshot(path_of(table), run.log(path_of(table)).version()).scan().collect()


def key_of(table: str) -> list[str]:
    """By what rows are told apart."""
    key = next((hop.table.key for hop in parish.HOPS if hop.table.name == table), [])
    return list(key) or [FILE, ROW]


def places(found: Trace) -> set[Place]:
    """The raw records of a trace."""
    return {(one.file, one.record) for one in found.again.records}


@pytest.fixture(scope="module", params=[3, 8])
def lake(request: pytest.FixtureRequest, weed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parish]:
    """Random files in three runs, and all rows that came of them traced."""
    settings = load_settings(home=weed_home, root=ROOT, env=fresh_env())
    with begin_run(settings, "parish", "test") as run:
        flow = parish.fill(run, tmp_path_factory.mktemp("parish"), random.Random(request.param))
        traces: dict[str, dict[Key, Trace]] = {}
        for hop in flow.hops.values():
            name, version = hop.table.name, run.log(path_of(hop.table.name)).version()
            keys = _newest(run, name).select(key_of(name)).rows()
            traces[name] = {key: trace(run, [flow], name, version, dict(zip(key_of(name), key, strict=True))) for key in keys}
        bronze = {name: _newest(run, name) for name in ("bronze.parish.orders", "bronze.parish.homes")}
        yield Parish(run, flow, bronze, traces)


def test_every_row_is_computed_again_equal(lake: Parish) -> None:
    """From the raw records it is traced to, each row of each table comes out as it is stored."""
    assert sum(map(len, lake.traces.values())) > 20
    assert {(table, key): found.verdict_line() for table, traces in lake.traces.items() for key, found in traces.items() if found.verdict != "equal"} == {}


def test_the_traced_records_alone_make_the_row(lake: Parish) -> None:
    """Without any other record, and with any others that belong together, a row is as it is stored."""
    chance = random.Random(1)
    rows = [(table, key) for table, traces in lake.traces.items() for key, found in traces.items() if not found.wide]
    for table, key in chance.sample(rows, min(len(rows), 14)):
        mine = lake.stored(table)[key]
        others = chance.sample([one for one in rows if one[0] != "silver.parish.events"], 2)  # an event's record may lack what corrected it as an order
        kept = places(lake.traces[table][key])
        assert lake.otherwise(_at(kept), [table])[table].get(key) == mine, (table, key)
        if table != "gold.parish.cities":  # an order whose customer's home is left out is one of an unknown city
            kept = kept.union(*(places(lake.traces[other][one]) for other, one in others))
            assert lake.otherwise(_at(kept), [table])[table].get(key) == mine, (table, key, others)


def test_a_record_outside_a_trace_does_not_matter(lake: Parish) -> None:
    """Taking one record away changes only rows traced to it, unless it had kept another row out; changing its amount changes no others at all."""
    before = {table: lake.stored(table) for table in lake.traces}
    every = [(row[FILE], row[ROW], table) for table, frame in lake.bronze.items() for row in frame.iter_rows(named=True)]
    checked = 0
    for file, record, table in every:
        mine = _at({(file, record)})
        after = lake.otherwise(~mine, lake.traces)
        held_back = any(
            after[name].get(key) not in (None, before[name].get(key)) for name in ("silver.parish.orders", "silver.parish.homes") for key in after[name]
        )
        dearer = pl.when(mine & pl.col("amount").is_in(["5", "7", "11", "20"])).then(pl.lit("13")).otherwise("amount")
        moved = lake.otherwise(pl.lit(True), lake.traces, amount=dearer) if table.endswith("orders") else before
        for name, traces in lake.traces.items():
            for key, found in traces.items():
                if (file, record) in places(found) or found.wide:
                    continue
                assert moved[name].get(key) == before[name][key], (name, key, file, record)
                if not held_back and not (name == "gold.parish.cities" and table == "bronze.parish.homes"):
                    assert after[name].get(key) == before[name][key], (name, key, file, record)
                    checked += 1
    assert checked > 100


def test_the_way_up_finds_what_the_way_down_does(lake: Parish) -> None:
    """A record reaches each row that is traced to it, and no other; where rows cannot be followed both ways say so."""
    pins = {name: lake.run.log(path_of(name)).version() for name in (*lake.bronze, *lake.traces)}
    for frame in lake.bronze.values():
        for file, record in frame.select(FILE, ROW).iter_rows():
            reached = reach(lake.run, [lake.flow], f"{file}:{record}", pins)
            for name, traces in lake.traces.items():
                down = {key for key, found in traces.items() if (file, record) in places(found)}
                touched = reached.tables.get((name, pins[name]))
                if touched is not None and touched.why is not None:
                    assert name in (*parish.OPAQUE, "gold.parish.places"), touched.why
                    continue
                up = set(touched.rows.select(key_of(name)).rows()) if touched is not None else set()
                assert up == down, (name, file, record)


def test_what_cannot_be_followed_is_told(lake: Parish) -> None:
    """All rows of an input of an opaque function, or of a window over what no key narrows, may matter: the trace says so and why."""
    for table, why in (("gold.parish.opaque", "map_batches() is not followed row by row"), ("gold.parish.places", "a window looks at other rows")):
        for found in lake.traces[table].values():
            assert found.wide == {"silver.parish.orders": why}
            assert [entry["verdict"] for entry in found.entries() if entry["verdict"].startswith("wide")] == [f"wide: {why}"]


def test_a_replaced_record_is_named(lake: Parish) -> None:
    """A record that a later one of its key replaced is in the trace, as superseded."""
    lost = {place for found in lake.traces["silver.parish.orders"].values() for place in places(found) if place not in _winners(found)}
    told = {(one.file, one.record) for found in lake.traces["silver.parish.orders"].values() for one in found.again.records if one.lost}
    assert told == lost
    assert told


def _winners(found: Trace) -> set[Place]:
    return set(found.row.select(FILE, ROW).rows())
