"""How many rows may be rejected, in hops and in bronze; and what becomes of the rejects when that is too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.catalog import Catalog
from lake.delta import open_snapshot
from lake.errors import RejectLimitExceeded, UnknownName
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.maintain import maintain
from lake.pipeline import Pipeline
from lake.replay import replay
from lake.run import Run, begin_run
from lake.source import Source
from lake.table import Table, path_of, quarantine_path_of
from tests.tiny import Order, bring, bronze_orders, clean, last_record, rows_of, write_orders

_GOOD = [(n, "ann", "1.00", "2024-01-01") for n in range(1, 10)]
_BAD = [(n, "test", "1.00", "2024-01-01") for n in range(20, 30)]


def _orders(**said: Any) -> Table:
    return Table("silver.shop.orders", Order, **{"max_rejected_from": 1} | said)


def _cleaned(table: Table) -> Hop:
    return hop(table, write="merge", raw=changes(bronze_orders))(clean)


def _rejected(run: Run, name: str, *, stopped: bool = False) -> int:
    return int(Catalog(run.store).rejects(name, stopped=stopped).select(pl.len()).collect().item())


@pytest.mark.parametrize(
    ("said", "bad", "limit"),
    [
        ({}, 1, None),
        ({}, 2, r"2 of 11 rows \(18\.2%\) break no_test_customer \(2\): Test orders are not orders; the limit is 10\.0%; e\.g\. .*max_rejected\. "),
        ({"max_rejected": 0.2}, 2, None),
        ({"max_rejected": 0.0}, 1, r"the limit is 0\.0%"),
        ({"max_rejected": 1.0}, 10, None),
        ({"max_rejected": 1.0, "max_rejected_rows": 2}, 2, None),
        ({"max_rejected": 1.0, "max_rejected_rows": 2}, 3, r"3 of 12 rows \(25\.0%\) break .*; the limit is 2 rows.*raise max_rejected_rows"),
        ({"max_rejected_rows": 0}, 1, "the limit is 0 rows"),
    ],
)
def test_a_hop_rejects_as_much_as_its_table_allows(run: Run, tmp_path: Path, said: dict[str, Any], bad: int, limit: str | None) -> None:
    """By share, a tenth unless declared, and by number; over either nothing is published, and the rejects are kept to be looked at."""
    table = _orders(**said)
    write_orders(tmp_path, "a.csv", [*_GOOD, *_BAD[:bad]])
    if limit is None:
        bring(run, tmp_path, _cleaned(table))
        assert (_rejected(run, table.name), _rejected(run, table.name, stopped=True)) == (bad, 0)
        return
    with pytest.raises(RejectLimitExceeded, match=limit) as caught:
        bring(run, tmp_path, _cleaned(table))
    assert "`lake rejects silver.shop.orders --stopped` shows the rows" in str(caught.value)
    assert run.log(path_of(table.name)).version() == -1
    assert _rejected(run, table.name, stopped=True) == bad
    with pytest.raises(UnknownName):
        _rejected(run, table.name)


def test_what_was_stopped_stays_apart_until_the_next_commit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped, then killed between the quarantine and the table, then published: each reject is there once, and the published version always shows its own."""
    import lake.execute as execution

    table = _orders(max_rejected_rows=1)
    write_orders(tmp_path, "a.csv", [*_GOOD, _BAD[0]])
    bring(run, tmp_path, _cleaned(table))
    write_orders(tmp_path, "b.csv", _BAD[1:4])
    with pytest.raises(RejectLimitExceeded):
        bring(run, tmp_path, _cleaned(table))
    assert (_rejected(run, table.name), _rejected(run, table.name, stopped=True)) == (1, 3)

    class Killed(BaseException):
        """What SIGKILL is to a process, as far as Python can show it."""

    def die(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(execution, "publish", die)
        with pytest.raises(Killed):
            bring(run, tmp_path, _cleaned(_orders(max_rejected=1.0)))
    assert _rejected(run, table.name) == 1
    with begin_run(run.settings, "test", "test") as after:
        bring(after, tmp_path, _cleaned(_orders(max_rejected=1.0)))
        assert (_rejected(after, table.name), _rejected(after, table.name, stopped=True), last_record(after, table).rejects) == (4, 0, 4)
        named = last_record(after, table).quarantine
        assert named is not None
        kept = open_snapshot(after.store, quarantine_path_of(table.name), int(named["version"])).scan().collect()
        assert sorted(kept["row"].str.json_path_match("$.order").cast(pl.Int64)) == [20, 21, 22, 23]
        assert kept["batch"].str.ends_with("-stopped").sum() == 0


def test_upkeep_keeps_what_was_stopped(run: Run, tmp_path: Path) -> None:
    """Maintenance neither removes nor shows as the table's what a stopped run set aside, even of a table that never was published."""
    table = _orders(max_rejected=0.0)
    write_orders(tmp_path, "a.csv", [*_GOOD, _BAD[0]])
    with pytest.raises(RejectLimitExceeded):
        bring(run, tmp_path, _cleaned(table))
    list(maintain(run))
    assert _rejected(run, table.name, stopped=True) == 1


_LINES = "".join(f"{n},x\n" for n in range(9))


def _source(folder: Path, **said: Any) -> Source:
    return Source(Table("bronze.shop.things", **said), folder, "*.csv")


def test_bronze_has_no_limit_unless_it_is_declared(run: Run, tmp_path: Path) -> None:
    """By default every record that is no row is a reject and the rest goes on; with a limit nothing of the new files is committed, and the worst is named."""
    (tmp_path / "good.csv").write_text("a,b\n" + _LINES)
    source = _source(tmp_path, max_rejected=0.5)
    land(run, source)
    ingest(run, source)
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "other.csv").write_text("a,b\n1,y\n")
    land(run, source)
    for strict, limit in (({"max_rejected": 0.4, "max_rejected_from": 2}, "the limit is 40.0%"), ({"max_rejected_rows": 0}, "the limit is 0 rows")):
        with pytest.raises(RejectLimitExceeded) as caught:
            ingest(run, _source(tmp_path, **strict))
        said = str(caught.value)
        assert "bronze.shop.things: 1 of 2 records of the new files (50.0%) are rejected" in said
        assert limit in said
        assert "the worst file is binary.csv, 1 of 1: " in said
        assert (run.log("bronze/shop/things").version(), _rejected(run, "bronze.shop.things")) == (0, 0)
        (kept,) = Catalog(run.store).rejects("bronze.shop.things", stopped=True).collect().to_dicts()
        assert kept["reason"] in said
    assert run.log(quarantine_path_of("bronze.shop.things")).version() == 0, "the same batch is set aside once"
    ingest(run, _source(tmp_path))
    things = Table("bronze.shop.things")
    assert len(rows_of(run, things)) == 10
    assert (_rejected(run, things.name), _rejected(run, things.name, stopped=True), last_record(run, things).rejects) == (1, 0, 1)


def test_a_replay_takes_many_deliveries_at_once_and_is_not_held_to_the_limits_of_one(run: Run, tmp_path: Path) -> None:
    """Two deliveries with a reject each, in bronze and in silver, where one delivery may have one: the release they made is replayed as equal."""
    bronze, table = Table("bronze.shop.orders", max_rejected_rows=1), _orders(max_rejected_rows=1)
    flow = Pipeline("shop", [Source(bronze, tmp_path, "*.csv")], [_cleaned(table)])
    for number in range(2):
        write_orders(tmp_path, f"{number}.csv", [_BAD[number], *_GOOD])
        (tmp_path / f"{number}-binary.csv").write_bytes(bytes(range(256)) * (20 + number))
        report = flow.run(run)
        report.raise_failures()
    assert report.release is not None
    assert (_rejected(run, bronze.name), _rejected(run, table.name)) == (2, 2)
    assert {one.table: (one.verdict, one.why) for one in replay(run, report.release, [flow])} == dict.fromkeys(report.release.tables, ("equal", ""))


def test_a_table_whose_first_run_stopped_is_not_published_yet(run: Run, tmp_path: Path) -> None:
    """It is not unknown: rejects, show and history say that nothing is published, and where its rejects are."""
    table = _orders(max_rejected=0.0)
    write_orders(tmp_path, "a.csv", _BAD)
    with pytest.raises(RejectLimitExceeded):
        bring(run, tmp_path, _cleaned(table))
    catalog = Catalog(run.store)
    for look in (catalog.rejects, catalog.snapshot, catalog.history):
        with pytest.raises(UnknownName, match=rf"{table.name} is not published yet.*`lake rejects {table.name} --stopped`"):
            look(table.name)
    assert _rejected(run, table.name, stopped=True) == 10
    with pytest.raises(UnknownName, match="no table is called"):
        catalog.rejects("silver.shop.nothing")
