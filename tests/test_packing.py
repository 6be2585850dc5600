"""Old commits put together: no record is lost, whoever reads the log by lake sees no difference, and a kill half-way is made up for by the next upkeep."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

import lake.delta
import lake.log
import lake.packed
import lake.packing
from lake.contract import PROVENANCE
from lake.delta import open_snapshot
from lake.errors import StoreError
from lake.feed import feed_between
from lake.log import TableLog
from lake.maintain import maintain
from lake.packed import PACKED, pack, unpack
from lake.packing import pack_commits
from lake.run import Run
from lake.table import path_of
from tests.tiny import bring, clean_orders, orders, write_orders

PATH = path_of(orders.name)
_NOW = dt.timedelta(0)


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    """A run that sums a log up every five versions, puts five commits together as soon as they are made, and removes single ones at once."""
    for module in (lake.packed, lake.log, lake.packing):
        monkeypatch.setattr(module, "TOGETHER", 5)
    for module in (lake.log, lake.delta, lake.packing):
        monkeypatch.setattr(module, "CHECKPOINT_EVERY", 5)
    run.settings = run.settings.model_copy(update={"log_retention": _NOW, "retention": _NOW, "grace": _NOW})
    return run


def grown(run: Run, folder: Path, count: int, start: int = 0) -> None:
    """Silver with so many versions more: a delivery each, that corrects the one before."""
    for number in range(start, start + count):
        write_orders(folder, f"{number}.csv", [(number, "ann", "1.00", "2024-01-01"), (max(number - 1, 0), "bob", "2.00", "2024-01-01")])
        bring(run, folder, clean_orders)


def told(run: Run) -> dict[str, Any]:
    """Everything there is to know of silver's history, by a log that remembers nothing."""
    log = TableLog(run.store, PATH)
    newest = log.version()
    shape = run.snapshot(PATH, newest).schema
    return {
        "records": [(version, record.to_json()) for version, record in log.records()],
        "commits": list(TableLog(run.store, PATH).commits(newest)),
        "versions": TableLog(run.store, PATH).versions(-1),
        "later": TableLog(run.store, PATH).versions(3),
        "rows": [sorted(open_snapshot(run.store, PATH, v).scan().drop(*PROVENANCE).collect().rows()) for v in (0, 3, 7, newest)],
        "feed": feed_between(run.store, TableLog(run.store, PATH), shape, 2, 9).fresh(["order"]).collect().sort("order").rows(),
    }


def single(run: Run) -> list[int]:
    """The versions whose commits have an object of their own."""
    names = (blob.path.rsplit("/", 1)[-1] for blob in run.store.walk(f"{PATH}/_delta_log"))
    return [int(name.removesuffix(".json")) for name in names if name.endswith(".json")]


@given(st.dictionaries(st.integers(0, 10**12), st.text(st.characters(exclude_categories=["Cs"]))))
def test_commits_come_back_as_they_were(commits: dict[int, str]) -> None:
    """Whatever is in them: line ends of all kinds, quotes, nothing."""
    assert unpack(pack(commits)) == commits


def test_damaged_commits_are_refused() -> None:
    """Cut short, changed, or something else."""
    whole = pack({0: "{}"})
    for data in (b"", whole[:-1], whole[:-2] + bytes([whole[-2] ^ 1, whole[-1]]), b"{}"):
        with pytest.raises(ValueError, match="put together"):
            unpack(data)


def test_no_reader_of_lake_sees_a_difference(packing: Run, tmp_path: Path) -> None:
    """Records, commits, snapshots of every age and changes between versions, before, between the two upkeeps, and after."""
    grown(packing, tmp_path, 12)
    before = told(packing)
    assert pack_commits(packing, PATH) == 10
    assert single(packing) == list(range(12)), "single commits stay until the copy is old enough"
    assert told(packing) == before
    assert pack_commits(packing, PATH) == 10
    assert single(packing) == [10, 11]
    assert told(packing) == before
    assert pack_commits(packing, PATH) == 0
    grown(packing, tmp_path, 3, 12)
    assert len(TableLog(packing.store, PATH).records()) == 15
    newest = DeltaTable(packing.store.uri(PATH), storage_options=packing.store.options)
    assert (newest.version(), len(newest.to_pyarrow_table())) == (14, 15)
    assert DeltaTable(packing.store.uri(PATH), version=11, storage_options=packing.store.options).version() == 11


def test_upkeep_puts_commits_together(packing: Run, tmp_path: Path) -> None:
    """The rows of `maintain` say how many, and what it keeps for old versions it still knows afterwards."""
    grown(packing, tmp_path, 7)
    rows = [{row["place"]: row for row in maintain(packing) if row["packed"]} for _ in range(3)]
    assert [set(row) for row in rows] == [
        {PATH, path_of("bronze.shop.orders"), "system/landings"},
        {PATH, path_of("bronze.shop.orders"), "system/landings"},
        set(),
    ]
    assert rows[1][PATH]["packed"] == 5
    assert len(TableLog(packing.store, PATH).records()) >= 7


def test_young_commits_stay(packing: Run, tmp_path: Path) -> None:
    """Neither are they put together before the policy says so, nor removed before the copy is as old as versions must stay readable."""
    grown(packing, tmp_path, 7)
    policy = packing.settings
    packing.settings = policy.model_copy(update={"log_retention": dt.timedelta(days=30)})
    assert pack_commits(packing, PATH) == 0
    packing.settings = policy.model_copy(update={"retention": dt.timedelta(days=7)})
    assert [pack_commits(packing, PATH) for _ in range(2)] == [5, 0]
    assert single(packing) == list(range(7))


def test_without_a_checkpoint_nothing_is_put_together(packing: Run, tmp_path: Path) -> None:
    """Other engines open the table from a checkpoint once its first commits are gone."""
    grown(packing, tmp_path, 6)
    packing.store.delete([f"{PATH}/_delta_log/{5:020d}.checkpoint.parquet"])
    assert pack_commits(packing, PATH) == 0


def test_what_is_not_in_the_copy_as_it_is_stays(packing: Run, tmp_path: Path) -> None:
    """A copy that lacks a commit, or holds another, is no reason to remove it; one that cannot be read is none to remove any."""
    grown(packing, tmp_path, 7)
    assert pack_commits(packing, PATH) == 5
    (copy,) = packing.store.walk(f"{PACKED}/{PATH}")
    right = unpack(packing.store.get(copy.path))
    packing.store.put(copy.path, pack({version: text if version != 1 else "{}" for version, text in right.items() if version != 3}))
    assert pack_commits(packing, PATH) == 3
    assert single(packing) == [1, 3, 5, 6]
    assert TableLog(packing.store, PATH).record_at(3) is not None
    packing.store.put(copy.path, b"damaged")
    with pytest.raises(ValueError, match="put together"):
        pack_commits(packing, PATH)
    assert single(packing) == [1, 3, 5, 6]


def test_a_kill_between_two_removals_is_made_up_for(packing: Run, tmp_path: Path) -> None:
    """Some single commits are gone and some are there: all can be read, and the next upkeep removes the rest."""
    grown(packing, tmp_path, 7)
    before = [record.to_json() for _, record in TableLog(packing.store, PATH).records()]
    assert pack_commits(packing, PATH) == 5
    packing.store.delete([f"{PATH}/_delta_log/{version:020d}.json" for version in (0, 2, 4)])
    assert [record.to_json() for _, record in TableLog(packing.store, PATH).records()] == before
    assert TableLog(packing.store, PATH).versions(-1) == list(range(7))
    assert pack_commits(packing, PATH) == 2
    assert single(packing) == [5, 6]
    assert [record.to_json() for _, record in TableLog(packing.store, PATH).records()] == before


def test_a_damaged_copy_is_said(packing: Run, tmp_path: Path) -> None:
    """Who reads commits that are only in it is told which object, and what to do; the newest version is read without it."""
    grown(packing, tmp_path, 7)
    assert [pack_commits(packing, PATH) for _ in range(2)] == [5, 5]
    (copy,) = packing.store.walk(f"{PACKED}/{PATH}")
    packing.store.put(copy.path, b"damaged")
    with pytest.raises(StoreError, match=rf"history of {PATH}: {PACKED}/{PATH}/.*bring the object back from a backup"):
        TableLog(packing.store, PATH).records()
    assert open_snapshot(packing.store, PATH, 6).rows == 7
