"""Clustering sorts overlapping files apart and moves no row; releases expire by policy, and then alone what only they needed goes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from pathlib import Path

import polars as pl
import pytest

from lake.catalog import Catalog
from lake.cluster import cluster, crowd
from lake.delta import Snapshot
from lake.errors import UnknownName
from lake.execute import execute
from lake.hop import changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.maintain import maintain
from lake.release import find_release, numbers, publish_release
from lake.run import Run
from lake.table import path_of
from tests.tiny import bring, bronze_orders, clean, clean_orders, last_record, orders, rows_of, source_at, sum_orders, write_orders

PATH = path_of(orders.name)


def spread_out(run: Run, folder: Path, number: int, rows: int = 30) -> None:
    """A delivery of orders all over the key, none of which was there before."""
    write_orders(folder, f"{number}.csv", [(i * 100 + number, "ann", f"{i}.50", f"2026-01-{i % 28 + 1:02}") for i in range(rows)])
    bring(run, folder, clean_orders)


def snapshot(run: Run) -> Snapshot:
    """The orders as they are."""
    return run.snapshot(PATH, run.log(PATH).version())


def most_over_one_value(there: Snapshot, column: str = "order") -> int:
    """The most files whose ranges share a value, the plain way."""
    ranges = there.bounds.select(f"min.{column}", f"max.{column}").rows()
    return max(sum(low <= at <= high for low, high in ranges) for pair in ranges for at in pair)


def test_files_over_one_another_are_sorted_apart(run: Run, tmp_path: Path) -> None:
    """Six deliveries all over the key: afterwards a key is in one file, and rows, content, ledger and changes are as they were."""
    for number in range(6):
        spread_out(run, tmp_path, number)
    before, rows, record = snapshot(run), rows_of(run, orders), last_record(run, orders)
    assert most_over_one_value(before) == 6
    assert len(before.overlapping({"order": (1003, 1003)})) == 6
    assert cluster(run, PATH, ("order",)) == 6
    after, said = snapshot(run), last_record(run, orders)
    assert most_over_one_value(after) == 1
    assert len(after.overlapping({"order": (1003, 1003)})) == 1
    assert rows_of(run, orders) == rows
    assert (said.kind, said.content, said.rows, said.data_files) == ("maintenance", record.content, record.rows, len(after.files))
    assert run.log(PATH).same_rows(before.version, after.version)
    assert after.scan().select("order").collect().to_series().is_sorted()
    assert cluster(run, PATH, ("order",)) == 0
    assert not execute(run, sum_orders).reason.startswith("nothing")
    assert execute(run, sum_orders).reason == "nothing new"


def test_memory_holds_a_piece(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a piece: each piece is a range of its own, and they are files in order."""
    monkeypatch.setattr("lake.cluster._PIECE", 50)
    for number in range(5):
        spread_out(run, tmp_path, number, rows=60)
    rows = rows_of(run, orders)
    assert cluster(run, PATH, ("order",)) == 5
    after = snapshot(run)
    assert len(after.files) == 6
    assert most_over_one_value(after) == 1
    assert rows_of(run, orders) == rows


def test_a_large_file_is_not_rewritten_for_small_ones(run: Run, tmp_path: Path) -> None:
    """A table, and small deliveries all over it: these are sorted among themselves when they are enough, the table when they are as much as a part of it."""
    spread_out(run, tmp_path, 0, rows=2000)
    large = {file.path for file in snapshot(run).files}
    for number in range(1, 5):
        spread_out(run, tmp_path, number, rows=30)
        crowded = crowd(snapshot(run), "order")
        assert not large & {file.path for file in crowded}
        assert len(crowded) == (4 if number == 4 else 0)
    assert cluster(run, PATH, ("order",)) == 4
    assert large < {file.path for file in snapshot(run).files}


def test_what_cannot_be_sorted_apart_is_left(run: Run, tmp_path: Path) -> None:
    """Files of one value each, and a column without bounds, are no crowd."""
    for number in range(6):
        write_orders(tmp_path, f"{number}.csv", [(number, "ann", "1.00", "2026-01-01")])
        bring(run, tmp_path, clean_orders)
    there = snapshot(run)
    assert crowd(there, "day") == crowd(there, "customer") == crowd(there, "nothing") == ()
    assert cluster(run, PATH, ()) == 0


def test_nulls_and_equal_values_stay(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted by a column with nulls and few values, in pieces: every row is still there once."""
    monkeypatch.setattr("lake.cluster._PIECE", 20)
    log = dataclasses.replace(orders, name="silver.shop.days", sort=("day",))
    one = hop(log, write="append", raw=changes(bronze_orders))(clean)
    chance = random.Random(5)
    for number in range(5):
        write_orders(
            tmp_path, f"{number}.csv", [(number * 100 + i, "ann", "1.00", chance.choice(["", "2026-01-01", "2026-01-02", "2026-01-09"])) for i in range(30)]
        )
        land(run, source_at(tmp_path))
        ingest(run, source_at(tmp_path))
        execute(run, one)
    rows, content = rows_of(run, log), last_record(run, log).content
    assert cluster(run, path_of(log.name), ("day",)) == 5
    assert rows_of(run, log) == rows
    assert last_record(run, log).content == content


def test_upkeep_sorts_by_what_the_table_says(run: Run, tmp_path: Path) -> None:
    """By `sort` where it is declared, else by the key, as the recorded schema tells; bronze is left as it landed. It says what it did."""
    for number in range(6):
        spread_out(run, tmp_path, number)
    assert [(row["place"], row["clustered"]) for row in maintain(run) if row["clustered"]] == [(PATH, 6)]
    assert most_over_one_value(snapshot(run)) == 1


def released(run: Run, folder: Path, count: int, first: int = 0) -> None:
    """So many releases, each of one more order."""
    for number in range(first, first + count):
        write_orders(folder, f"{number}.csv", [(number, "ann", "1.00", "2026-01-01")])
        _, outcomes = bring(run, folder)
        publish_release(run.store, run.info, outcomes)


def test_releases_expire_by_policy_and_never_the_newest(run: Run, tmp_path: Path) -> None:
    """Without a policy none goes. With one, those that are older; what they pinned can be removed, and who asks for one is told."""
    released(run, tmp_path, 4)
    for _ in maintain(run):
        pass
    assert numbers(run.store) == [1, 2, 3, 4]
    run.settings = run.settings.model_copy(update={"releases": dt.timedelta(0), "retention": dt.timedelta(0), "grace": dt.timedelta(0)})
    rows = {row["place"]: row for row in maintain(run)}
    assert rows["releases"]["expired"] == 3
    assert rows[path_of("gold.shop.totals")]["expired"] > 0
    assert numbers(run.store) == [4]
    newest = find_release(run.store)
    assert newest is not None
    assert newest.number == 4
    for table, pin in newest.tables.items():
        assert Catalog(run.store).snapshot(table, pin.version).scan().collect().height == pin.rows
    with pytest.raises(UnknownName, match=r"no release 2\. .*LAKE_RELEASES.*the oldest is 4"):
        find_release(run.store, 2)
    with pytest.raises(UnknownName, match=r"no release 9\. The newest is 4"):
        find_release(run.store, 9)
    released(run, tmp_path, 1, 4)
    assert numbers(run.store) == [4, 5]


def test_young_releases_stay(run: Run, tmp_path: Path) -> None:
    """A release that is not as old as the policy lets it be is not touched, nor is anything it pins."""
    released(run, tmp_path, 3)
    run.settings = run.settings.model_copy(update={"releases": dt.timedelta(days=1), "retention": dt.timedelta(0), "grace": dt.timedelta(0)})
    assert {row["place"]: row for row in maintain(run)}["releases"]["expired"] == 0
    for number in numbers(run.store):
        release = find_release(run.store, number)
        assert release is not None
        for table, pin in release.tables.items():
            assert Catalog(run.store).snapshot(table, pin.version).scan().select(pl.len()).collect().item() == pin.rows
