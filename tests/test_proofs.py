"""Replay, verify, rollback and upkeep on the tiny lake: what they find, what they leave alone, and what they say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from botocore.exceptions import ClientError

from lake.catalog import Catalog
from lake.contract import PROVENANCE
from lake.delta import open_snapshot
from lake.difference import difference
from lake.errors import UnknownName
from lake.hop import Hop, changes, hop
from lake.maintain import maintain
from lake.pipeline import Pipeline
from lake.plan import make_plan
from lake.release import Release, find_release, read_release, resume, rollback
from lake.replay import SCRATCH, replay
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.table import path_of, quarantine_path_of
from lake.uploads import client_of, unfinished
from lake.verify import verify
from tests.conftest import ROOT, fresh_env
from tests.tiny import bronze_orders, clean_orders, orders, rows_of, source_at, sum_orders, totals, write_orders

_ROWS = [(n, "ann" if n % 2 else "bob", f"{n}.50", "2024-01-01") for n in range(1, 40)]


@pytest.fixture
def tidy(weed_home: Path) -> Settings:
    """An empty lake whose upkeep waits for nothing."""
    return load_settings(home=weed_home, root=ROOT, env=fresh_env(), grace=dt.timedelta(0), retention=dt.timedelta(0))


@pytest.fixture
def run(tidy: Settings) -> Iterator[Run]:
    """A run on it."""
    with begin_run(tidy, "shop", "test") as begun:
        yield begun


def _flow(folder: Path, *hops: Hop) -> Pipeline:
    return Pipeline("shop", [source_at(folder)], hops or (clean_orders, sum_orders))


def _deliver(run: Run, flow: Pipeline, folder: Path, name: str, rows: list[tuple[object, ...]]) -> Release:
    write_orders(folder, name, rows)
    report = flow.run(run)
    report.raise_failures()
    assert report.release is not None
    return report.release


def test_a_replay_reproduces_every_table_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    """After several deliveries, a correction and rejects: equal, for the newest release and for an old one."""
    flow = _flow(tmp_path)
    for number in range(4):
        _deliver(run, flow, tmp_path, f"{number}.csv", [(n, "test" if n % 5 == 0 else c, a, d) for n, c, a, d in _ROWS[number * 9 : number * 9 + 12]])
    last = _deliver(run, flow, tmp_path, "1.csv", [(10, "cy", "9.99", "2024-02-02")])
    for release in (last, read_release(run.store, 2)):
        assert {one.table: one.verdict for one in replay(run, release, [flow])} == dict.fromkeys(release.tables, "equal")
    assert list(run.store.walk(SCRATCH)) == []


def test_a_replay_by_other_code_says_which_is_missing(run: Run, tmp_path: Path) -> None:
    """Only the table whose code changed, and what is made from it, is not replayed; the commit to check out is named."""
    release = _deliver(run, _flow(tmp_path), tmp_path, "a.csv", _ROWS)

    def loud(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", pl.col("customer").str.to_uppercase(), "amount", "day", *PROVENANCE)

    changed: Hop = hop(orders, write="merge", raw=changes(bronze_orders))(loud)
    found = {one.table: one for one in replay(run, release, [_flow(tmp_path, changed, sum_orders)])}
    assert [one.verdict for one in found.values()] == ["equal", "not replayed", "not replayed"]
    assert "git worktree add" in found[orders.name].why
    assert found[totals.name].why == "it reads silver.shop.orders, which not replayed"


def test_a_replay_names_what_differs(run: Run, tmp_path: Path) -> None:
    """A hop that is no function of its inputs is found out: table, column and keys."""
    chance = list(range(100))

    def drifting(raw: pl.LazyFrame) -> pl.LazyFrame:
        extra = chance.pop(0)
        return raw.select("order", "customer", (pl.col("amount").cast(pl.Decimal(12, 2)) + extra).cast(pl.Decimal(12, 2)), "day", *PROVENANCE)

    flow = _flow(tmp_path, hop(orders, write="merge", raw=changes(bronze_orders))(drifting))
    release = _deliver(run, flow, tmp_path, "a.csv", _ROWS)
    (_, found) = replay(run, release, [flow])
    assert (found.verdict, found.found.changed, found.found.columns) == ("differs", 39, ("amount",))
    assert found.found.examples.row(0, named=True)["order"] == 1


def test_damage_is_found_by_replay_and_by_verify(run: Run, tmp_path: Path) -> None:
    """A data file exchanged behind the lake's back: replay says damaged, verify says differs."""
    flow = _flow(tmp_path)
    release = _deliver(run, flow, tmp_path, "a.csv", _ROWS)
    (file,) = run.snapshot(path_of(orders.name), 0).files
    local = tmp_path / "changed.parquet"
    run.snapshot(path_of(orders.name), 0).scan().with_columns((pl.col("amount") + 1).cast(pl.Decimal(12, 2))).collect().write_parquet(local)
    run.store.put(f"{path_of(orders.name)}/{file.path}", local.read_bytes())
    found = {one.table: one.verdict for one in replay(run, release, [flow])}
    assert found[orders.name] == "damaged"
    rows = {row["table"]: row for row in verify(run, flow, share=1.0, seed=1)}
    assert rows[orders.name]["verdict"] == "differs"
    assert rows[bronze_orders.name]["verdict"] == "equal"
    run.store.put(f"{path_of(orders.name)}/{file.path}", b"no Parquet at all")
    found = {one.table: one for one in replay(run, release, [flow])}
    assert (found[orders.name].verdict, found[totals.name].verdict) == ("damaged", "not replayed")
    assert "Traceback" not in found[orders.name].why
    assert {row["table"]: row["verdict"] for row in verify(run, flow, share=1.0, seed=1)}[orders.name] == "differs"


def test_a_rollback_holds_until_it_is_lifted(run: Run, tmp_path: Path) -> None:
    """Readers are back on the old rows; runs go on and release nothing; lifting the hold releases what is live then."""
    flow = _flow(tmp_path)
    _deliver(run, flow, tmp_path, "a.csv", _ROWS[:5])
    _deliver(run, flow, tmp_path, "b.csv", _ROWS[5:9])
    back = rollback(run.store, run.info, 1)
    assert (back.number, back.restores, back.tables) == (3, 1, read_release(run.store, 1).tables)
    write_orders(tmp_path, "c.csv", _ROWS[9:12])
    report = flow.run(run)
    assert (report.released, report.release and report.release.number) == (False, 3)
    assert "held" in report.verdict
    assert len(rows_of(run, orders)) == 12, "the live table went on"
    assert resume(run.store, run.info).held == {}
    report = flow.run(run)
    assert report.released
    assert report.release is not None
    assert (report.release.number, report.release.tables[orders.name].rows) == (5, 12)
    with pytest.raises(UnknownName):
        rollback(run.store, run.info, 99)


def test_a_release_pins_what_its_tables_were_made_from(run: Run, tidy: Settings, tmp_path: Path) -> None:
    """Another run moves bronze and silver between this run's steps: the release still has each table at the version its readers read."""
    flow = _flow(tmp_path)
    _deliver(run, flow, tmp_path, "a.csv", _ROWS[:5])
    write_orders(tmp_path, "b.csv", _ROWS[5:9])

    def meddle(_: object) -> None:
        if not (tmp_path / "c.csv").exists():
            write_orders(tmp_path, "c.csv", _ROWS[9:12])
            with begin_run(tidy, "shop", "other") as other:
                flow.run(other).raise_failures()

    flow.run(run, told=meddle).raise_failures()
    release = find_release(run.store)
    assert release is not None
    for table in (orders.name, totals.name):
        last = run.log(path_of(table)).last_record(until=release.tables[table].version)
        assert last is not None
        assert [release.tables[given.table].version for given in last[1].inputs] == [given.end for given in last[1].inputs]


def test_upkeep_removes_leftovers_and_nothing_that_is_needed(run: Run, tmp_path: Path) -> None:
    """Orphans of every kind go; every release still reads what it held; increments go on from where they were."""
    flow = _flow(tmp_path)
    for number in range(12):
        _deliver(run, flow, tmp_path, f"{number}.csv", [*_ROWS[number * 3 : number * 3 + 3], (100 + number, "test", "1.00", "2024-01-01")])
    held = {n: {t: _sorted(run, t, pin.version) for t, pin in read_release(run.store, n).tables.items()} for n in range(1, 13)}
    run.store.put(f"{path_of(orders.name)}/part-00000-lost.zstd.parquet", b"half a file")
    run.store.put("raw/shop.orders/" + "0" * 64 + "/lost.csv.zst", b"half a file")
    run.store.put(f"{SCRATCH}/killed/bronze/x", b"left")
    would = {row["place"]: row for row in maintain(run, dry_run=True)}
    assert would[path_of(orders.name)]["orphans"] == 1
    rows = {row["place"]: row for row in maintain(run)}
    assert rows["raw"]["orphans"] == rows[SCRATCH]["orphans"] == rows[path_of(orders.name)]["orphans"] == 1
    assert run.store.head(f"{path_of(orders.name)}/part-00000-lost.zstd.parquet") is None
    with begin_run(run.settings, "shop", "after") as after:
        assert {n: {t: _sorted(after, t, pin.version) for t, pin in read_release(after.store, n).tables.items()} for n in held} == held
        assert make_plan(after, clean_orders).reason == "nothing new", "compaction moved no row"
        _deliver(after, flow, tmp_path, "more.csv", [(200, "dee", "2.00", "2024-01-01")])
        assert len(rows_of(after, orders)) == 37
        release = find_release(after.store)
        assert release is not None
        assert {one.verdict for one in replay(after, release, [flow])} == {"equal"}
        assert open_snapshot(after.store, quarantine_path_of(orders.name), _quarantined(after)).rows == 12


def _quarantined(run: Run) -> int:
    last = run.log(path_of(orders.name)).last_record()
    assert last is not None
    assert last[1].quarantine is not None
    return int(last[1].quarantine["version"])


def _sorted(run: Run, table: str, version: int) -> list[object]:
    frame = open_snapshot(run.store, path_of(table), version).scan().select(pl.exclude(*PROVENANCE)).collect()
    return frame.sort(frame.columns).rows()


def test_a_table_whose_first_run_was_killed_is_no_table_yet(run: Run, tmp_path: Path) -> None:
    """Files without a commit: the name is not listed, nor suggested for itself, at one request a table; upkeep removes the files all the same."""
    _deliver(run, _flow(tmp_path), tmp_path, "a.csv", _ROWS)
    left = "silver/shop/order_lines/part-00000-lost.zstd.parquet"
    run.store.put(left, b"half a file")
    catalog = Catalog(run.store)
    run.store.requests.clear()
    assert catalog.names() == [bronze_orders.name, orders.name, totals.name]
    assert dict(run.store.requests) == {"list": 3 + 3 + 4}, "layers, subjects, and tables one each"
    assert catalog.folders() == [bronze_orders.name, "silver.shop.order_lines", orders.name, totals.name]
    assert [row["table"] for row in catalog.tables()] == catalog.names()
    for version in (None, 0):
        with pytest.raises(UnknownName, match=r"no table is called 'silver\.shop\.order_lines'") as caught:
            catalog.last("silver.shop.order_lines", version=version)
        assert orders.name in str(caught.value.hint)
        assert "order_lines" not in str(caught.value.hint)
    assert {row["place"]: row["orphans"] for row in maintain(run)}["silver/shop/order_lines"] == 1
    assert run.store.head(left) is None


def test_a_run_that_slept_through_upkeep_does_not_publish_removed_files(run: Run, tidy: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are removed as leftovers just before its commit: the version it planned for is taken, and it starts over."""
    flow = _flow(tmp_path)
    _deliver(run, flow, tmp_path, "a.csv", _ROWS[:5])
    write_orders(tmp_path, "b.csv", _ROWS[5:9])
    slept: list[int] = []
    from lake.log import TableLog

    commit = TableLog.commit

    def late(self: TableLog, version: int, actions: list[dict[str, object]], record: object) -> int:
        if self.path == path_of(orders.name) and getattr(record, "kind", "") == "hop" and not slept:
            slept.append(version)
            with begin_run(tidy, "upkeep", "test") as other:
                rows = {row["place"]: row for row in maintain(other)}
                assert rows[path_of(orders.name)]["orphans"] == 1
        return commit(self, version, actions, record)  # type: ignore[arg-type]

    monkeypatch.setattr(TableLog, "commit", late)
    flow.run(run).raise_failures()
    assert slept
    assert len(rows_of(run, orders)) == 9


def test_unfinished_uploads_are_found_and_aborted(run: Run) -> None:
    """An upload in parts that was begun and left: maintain sees it and removes it."""
    client = client_of(run.store)
    key = f"{run.store.prefix}/silver/shop/orders/part.parquet"
    begun = client.create_multipart_upload(Bucket=run.store.bucket, Key=key)
    client.upload_part(Bucket=run.store.bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x" * 100)
    assert [upload.key for upload in unfinished(run.store)] == [key]
    rows = {row["place"]: row for row in maintain(run)}
    assert rows["unfinished uploads"]["orphans"] == 1
    assert unfinished(run.store) == []
    with pytest.raises(ClientError):
        client.list_parts(Bucket=run.store.bucket, Key=key, UploadId=begun["UploadId"])


def test_a_difference_of_tables_without_a_key_counts_equal_rows(run: Run, tmp_path: Path) -> None:
    """Two bronze versions: what the second file brought, however often its rows repeat."""
    flow = _flow(tmp_path)
    _deliver(run, flow, tmp_path, "a.csv", [(1, "ann", "1.00", "2024-01-01")] * 3)
    _deliver(run, flow, tmp_path, "b.csv", [(1, "ann", "1.00", "2024-01-01")] * 2)
    path = path_of(bronze_orders.name)
    found = difference(run.snapshot(path, 0), run.snapshot(path, 1), [])
    assert (found.added, found.removed, found.changed) == (2, 0, 0)
    assert not difference(run.snapshot(path, 1), run.snapshot(path, 1), []).any
