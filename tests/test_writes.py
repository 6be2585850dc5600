"""The ways of writing, each against a plain dictionary: whatever the order and the batches, an increment ends where a recomputation does (law 6)."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.content import Content
from lake.contract import PROVENANCE, Contract
from lake.errors import ContractBroken, DeclarationError
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.plan import Range, make_plan
from lake.record import Record
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table, path_of
from tests.conftest import ROOT, fresh_env
from tests.tiny import last_record, rows_of

BUDGET = settings(max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

bronze = Table("bronze.shop.events")


class State(Contract):
    """The last thing said of a customer."""

    customer = dy.Int64(primary_key=True, description="Who")
    seq = dy.Int64(nullable=False, metadata={"unit": "events"}, description="Which event of theirs")
    city = dy.String(nullable=False, description="Where they live")
    day = dy.Date(nullable=False, description="When it was said")


class Version(Contract):
    """What was true of a customer, and when."""

    customer = dy.Int64(primary_key=True, description="Who")
    valid_from = dy.Date(primary_key=True, description="Since when")
    valid_to = dy.Date(nullable=True, description="Until before when")
    is_current = dy.Bool(nullable=False, description="Whether it still is")
    city = dy.String(nullable=False, description="Where they live")


class City(Contract):
    """How many customers a city has."""

    city = dy.String(primary_key=True, description="Which")
    customers = dy.Int64(nullable=False, min=1, metadata={"unit": "customers"}, description="How many live there")
    newest = dy.Date(nullable=False, description="When the last of them said so")


current = Table("silver.shop.current", State, sequence=("seq",), max_rejected=1.0, time="day")
copied = Table("silver.shop.copied", State, sequence=("seq",), max_rejected=1.0)
history = Table("silver.shop.history", Version, max_rejected=1.0)
log = Table("silver.shop.log", State, max_rejected=1.0, time="day")
cities = Table("gold.shop.cities", City)
renamed_cities = Table("gold.shop.renamed", City)


def _events(raw: pl.LazyFrame) -> pl.LazyFrame:
    said = raw.select("customer", "seq", "city", "day", *PROVENANCE)
    return said.with_columns((pl.col("city") == "gone").alias("left"))


def _versions(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("customer", pl.col("day").str.to_date(strict=False).alias("valid_from"), "city", *PROVENANCE)


def _plain(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("customer", "seq", "city", "day", *PROVENANCE)


def _copy(states: pl.LazyFrame) -> pl.LazyFrame:
    return states.filter(pl.col("city") != "hidden")


def _per_city(states: pl.LazyFrame) -> pl.LazyFrame:
    return states.group_by("city").agg(pl.len().cast(pl.Int64).alias("customers"), pl.col("day").max().alias("newest"))


to_current: Hop = hop(current, write="merge", deletes="left", raw=changes(bronze))(_events)
to_copied: Hop = hop(copied, write="merge", filters="hidden customers are nobody's business", states=changes(current))(_copy)
to_history: Hop = hop(history, write="scd2", raw=changes(bronze))(_versions)
to_log: Hop = hop(log, write="append", raw=changes(bronze))(_plain)
to_cities: Hop = hop(cities, write="by_key", counts="customers", states=changes(current))(_per_city)

Event = tuple[int, int, str, str]
_DAYS = [dt.date(2024, 1, day).isoformat() for day in range(1, 9)]
event = st.tuples(st.integers(1, 4), st.integers(1, 6), st.sampled_from(["rome", "oslo", "bonn", "gone", "hidden"]), st.sampled_from(_DAYS))
batches = st.lists(st.lists(event, max_size=6), min_size=1, max_size=5)


def _drop(folder: Path, number: int, rows: list[Event]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{number:03}.csv").write_text("customer,seq,city,day\n" + "".join(",".join(map(str, row)) + "\n" for row in rows), "utf-8")


@contextlib.contextmanager
def _lake(home: Path) -> Iterator[Run]:
    with begin_run(load_settings(home=home, root=ROOT, env=fresh_env()), "test", "test") as run:
        yield run


def _grow(run: Run, folder: Path, parts: list[list[Event]], *hops: Hop) -> None:
    """Land each part as a file of its own, and bring the hops up to date after each."""
    for number, rows in enumerate(parts):
        _drop(folder, number, rows)
        source = Source(bronze, folder, "*.csv")
        land(run, source)
        ingest(run, source)
        for one in hops:
            execute(run, one)


def _content(run: Run, table: Table) -> Content | None:
    record = last_record(run, table)
    kept = Content.from_hash(record.content)
    path = path_of(table.name)
    assert kept is not None
    assert kept.rows == record.rows == run.snapshot(path, run.log(path).version()).scan().select(pl.len()).collect().item()
    return kept


def _recomputed(run: Run, one: Hop) -> tuple[Content | None, Content | None, Record]:
    """The content that increments led to, the content of a recomputation from everything, and its record."""
    grown = _content(run, one.table)
    execute(run, one, full=True)
    return grown, _content(run, one.table), last_record(run, one.table)


def _last_said(parts: list[list[Event]]) -> dict[int, Event]:
    """Each customer's last event by number, then by arrival; those who left are gone."""
    best: dict[int, Event] = {}
    for row in (row for part in parts for row in part):
        if row[0] not in best or row[1] >= best[row[0]][1]:
            best[row[0]] = row
    return {customer: row for customer, row in best.items() if row[2] != "gone"}


@BUDGET
@given(batches)
def test_a_merge_with_a_sequence_and_deletes_ends_as_a_dictionary(weed_home: Path, tmp_path_factory: pytest.TempPathFactory, parts: list[list[Event]]) -> None:
    """Late events lose, late deletions stay deleted, deletions that come late lose: in any batches as in one."""
    with _lake(weed_home) as run:
        _grow(run, tmp_path_factory.mktemp("files"), parts, to_current)
        wanted = [{"customer": c, "seq": s, "city": w, "day": dt.date.fromisoformat(d)} for c, s, w, d in sorted(_last_said(parts).values())]
        assert rows_of(run, current) == wanted
        for _, record in run.log(path_of(current.name)).records():
            record.ledger.check("merge")
        grown, full, _ = _recomputed(run, to_current)
        assert grown == full


@BUDGET
@given(batches)
def test_changes_of_a_table_whose_rows_change_are_followed(weed_home: Path, tmp_path_factory: pytest.TempPathFactory, parts: list[list[Event]]) -> None:
    """A merge and groups recomputed by key, both fed by changes of a merged table with deletions, end as recomputations do."""
    with _lake(weed_home) as run:
        _grow(run, tmp_path_factory.mktemp("files"), parts, to_current, to_copied, to_cities)
        states = _last_said(parts)
        assert [row["customer"] for row in rows_of(run, copied)] == sorted(c for c, row in states.items() if row[2] != "hidden")
        counted: dict[str, list[str]] = {}
        for _, _, city, day in states.values():
            counted.setdefault(city, []).append(day)
        wanted = [{"city": city, "customers": len(days), "newest": dt.date.fromisoformat(max(days))} for city, days in sorted(counted.items())]
        assert rows_of(run, cities) == wanted
        for one in (to_copied, to_cities):
            grown, full, _ = _recomputed(run, one)
            assert grown == full


@BUDGET
@given(batches)
def test_history_is_a_function_of_the_events(weed_home: Path, tmp_path_factory: pytest.TempPathFactory, parts: list[list[Event]]) -> None:
    """Late events split intervals; events that say nothing new hold no time; the table is the same in any batches as in one."""
    with _lake(weed_home) as run:
        _grow(run, tmp_path_factory.mktemp("files"), parts, to_history)
        said: dict[tuple[int, str], str] = {(c, d): city for part in parts for c, _, city, d in part}
        wanted = []
        for customer in sorted({c for c, _ in said}):
            shown: list[dict[str, Any]] = []
            for day in sorted(d for c, d in said if c == customer):
                at, city = dt.date.fromisoformat(day), said[customer, day]
                row = {"customer": customer, "valid_from": at, "valid_to": None, "is_current": True, "city": city}
                real = [before for before in shown if before["is_current"]]
                if real and real[-1]["city"] == city:
                    row |= {"valid_to": at, "is_current": False}
                elif real:
                    real[-1] |= {"valid_to": at, "is_current": False}
                shown.append(row)
            wanted += shown
        assert rows_of(run, history) == wanted
        for _, record in run.log(path_of(history.name)).records():
            record.ledger.check("history")
        grown, full, _ = _recomputed(run, to_history)
        assert grown == full


@BUDGET
@given(batches)
def test_an_append_keeps_every_row_once(weed_home: Path, tmp_path_factory: pytest.TempPathFactory, parts: list[list[Event]]) -> None:
    """Every row of every file, equal ones too."""
    with _lake(weed_home) as run:
        _grow(run, tmp_path_factory.mktemp("files"), parts, to_log)
        distinct = {tuple(part): part for part in parts}  # a copy of a file lands once
        assert len(rows_of(run, log)) == sum(len(part) for part in distinct.values())
        grown, full, _ = _recomputed(run, to_log)
        assert grown == full


_MANY: list[list[Event]] = [
    [(c, s, "rome" if c % 2 else "oslo", _DAYS[s]) for c in range(1, 40) for s in range(1, 4)],
    [(c, 5, "bonn", _DAYS[5]) for c in range(1, 10)] + [(50, 1, "rome", _DAYS[0])],
    [(3, 2, "oslo", _DAYS[2]), (4, 6, "gone", _DAYS[6])],
]


def test_a_range_is_put_right_and_nothing_else(run: Run, tmp_path: Path) -> None:
    """A backfill recomputes the rows of its range from what the table consumed: damage there is repaired, rows outside are not looked at."""
    _grow(run, tmp_path, _MANY, to_current, to_log)
    right, kept = rows_of(run, current), rows_of(run, log)
    before = last_record(run, current)
    for one, table, rows in ((to_current, current, right), (to_log, log, kept)):
        outcome = execute(run, one, backfill=Range("2024-01-06", "2024-01-07"))
        assert outcome.ledger.inserted + outcome.ledger.updated + outcome.ledger.deleted == 0
        assert rows_of(run, table) == rows
    after = last_record(run, current)
    assert (after.mode, [i.end for i in after.inputs], after.code) == ("range", [i.end for i in before.inputs], before.code)
    assert after.within is not None
    assert after.within.column == "day"
    assert make_plan(run, to_current).reason == "nothing new"


def test_a_range_with_other_code_leaves_the_full_recomputation_due(run: Run, tmp_path: Path) -> None:
    """Rows of the range are as the new code makes them; the next plan still says full, because the rest is not."""

    def shouting(raw: pl.LazyFrame) -> pl.LazyFrame:
        return _plain(raw).with_columns(pl.col("city").str.to_uppercase())

    _grow(run, tmp_path, _MANY, to_log)
    new: Hop = hop(log, write="append", raw=changes(bronze))(shouting)
    execute(run, new, backfill=Range(start="2024-01-06"))
    cities_of = {(row["day"].day >= 6, row["city"].isupper()) for row in rows_of(run, log)}
    assert cities_of == {(False, False), (True, True)}
    assert make_plan(run, new).reason.startswith("full, because the code changed: ")


def test_no_row_vanishes_from_a_range(run: Run, tmp_path: Path) -> None:
    """A row that is in and would be rejected by the new code would be in neither place: the range is refused, and a full run sets the row aside."""

    def emptying(raw: pl.LazyFrame) -> pl.LazyFrame:
        return _plain(raw).with_columns(pl.when(pl.col("city") != "gone").then(pl.col("city")).alias("city"))

    _grow(run, tmp_path, _MANY, to_log)
    before = rows_of(run, log)
    new: Hop = hop(log, write="append", raw=changes(bronze))(emptying)
    with pytest.raises(ContractBroken, match=r"1 row that is in would be rejected .*--full"):
        execute(run, new, backfill=Range(start="2024-01-06"))
    assert rows_of(run, log) == before
    assert execute(run, new).ledger.rejected == 1


def test_only_the_groups_that_changed_are_read(run: Run, tmp_path: Path) -> None:
    """The third file touches two customers of two cities: the plan and the ledger speak of their groups alone."""
    _grow(run, tmp_path, _MANY[:1], to_current, to_cities)
    _grow(run, tmp_path, [*_MANY[:1], [(1, 9, "bonn", _DAYS[7])]], to_current)
    plan = make_plan(run, to_cities)
    assert (plan.mode, plan.reason, plan.estimated_rows) == ("incremental", "changed groups: silver.shop.current 0 → 1", 1)
    outcome = execute(run, to_cities)
    assert (outcome.ledger.groups, outcome.ledger.inserted, outcome.ledger.updated) == (2, 1, 1), "oslo was left alone"


def test_a_hop_that_could_not_follow_a_changed_row_is_refused(run: Run, tmp_path: Path) -> None:
    """Appending from a merged table, or merging it under another key, would keep rows that are no more."""
    _grow(run, tmp_path, _MANY[:1], to_current)
    for one in (hop(log, write="append", states=changes(current))(_copy), hop(cities, write="merge", counts="customers", states=changes(current))(_per_city)):
        with pytest.raises(DeclarationError, match="whose rows change"):
            make_plan(run, one)
