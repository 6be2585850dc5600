"""The hop: plan, merge, skip, recompute, race, and what a crash between its steps leaves."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from lake.catalog import Catalog
from lake.contract import PROVENANCE, Contract
from lake.errors import CommitConflict, ContractBroken, DeclarationError, HopFailed, RejectLimitExceeded, SchemaRefused
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.plan import make_plan
from lake.record import Ledger
from lake.room import Room
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table, path_of, quarantine_path_of
from tests import tiny
from tests.conftest import ROOT, fresh_env
from tests.tiny import bring, bronze_orders, clean, clean_orders, last_record, orders, rows_of, sum_orders, total, totals, write_orders

_ROWS = [(1, "ann", "1.50", "2024-01-01"), (2, "bob", "2.00", "2024-01-01"), (3, "ann", "4.00", "2024-01-02")]


def _copied(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders as they are."""
    return orders


def test_nothing_new_is_no_commit(run: Run, tmp_path: Path) -> None:
    """A hop whose inputs and code are as they were commits nothing."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    _, again = bring(run, tmp_path)
    assert [(outcome.changed, outcome.version) for outcome in again] == [(False, 0)] * 3
    assert again[-1].reason == "nothing new"


def test_an_increment_reads_each_new_row_once(run: Run, tmp_path: Path) -> None:
    """The second file alone is read, and the plan says so before anything runs."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    write_orders(tmp_path, "b.csv", [(4, "cy", "1.00", "")])
    land(run, tiny.source_at(tmp_path))
    ingest(run, tiny.source_at(tmp_path))
    plan = make_plan(run, clean_orders)
    assert (plan.mode, plan.estimated_rows, plan.inputs["raw"].start, plan.inputs["raw"].end) == ("incremental", 1, 0, 1)
    outcome = execute(run, clean_orders)
    assert outcome.ledger == Ledger(read=1, rejected=1), "an empty day is text that is no date"
    assert execute(run, clean_orders).changed is False


def test_changed_code_recomputes_from_everything(run: Run, tmp_path: Path) -> None:
    """When the function changes, the plan says full and why, and the ledger says which rows came out differently."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)

    def shout(raw: pl.LazyFrame) -> pl.LazyFrame:
        louder = pl.when(pl.col("customer") == "bob").then(pl.lit("BOB")).otherwise(pl.col("customer"))
        return raw.select("order", louder.alias("customer"), "amount", "day", *PROVENANCE)

    outcome = execute(run, hop(orders, write="merge", raw=changes(bronze_orders))(shout))
    assert outcome.reason.startswith("full, because the code changed: ")
    assert "shout added" in outcome.reason
    assert outcome.ledger == Ledger(read=3, updated=1, unchanged=2)
    assert last_record(run, orders).mode == "full"


def test_a_snapshot_input_that_moved_recomputes_every_row(run: Run, tmp_path: Path) -> None:
    """Rows computed with an older version of a snapshot input do not stay beside rows computed with a newer one."""

    class Known(Contract):
        """An order of a customer who ordered before."""

        order = dy.Int64(primary_key=True, description="Number")
        total = dy.Decimal(38, 2, nullable=True, metadata={"unit": "EUR"}, description="What the customer ordered altogether")

    known = Table("silver.shop.known", Known)

    def enrich(raw: pl.LazyFrame, sums: pl.LazyFrame) -> pl.LazyFrame:
        return raw.join(sums.select("customer", total="amount"), on="customer", how="left").select("order", "total", *PROVENANCE)

    enriched = hop(known, write="merge", raw=changes(bronze_orders), sums=totals)(enrich)
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path, clean_orders, sum_orders, enriched)
    write_orders(tmp_path, "b.csv", [(4, "ann", "1.00", "2024-01-03")])
    bring(run, tmp_path, clean_orders, sum_orders, enriched)
    assert last_record(run, known).reason == "full, because gold.shop.totals changed, which every row was computed with"
    assert {row["order"]: row["total"] for row in rows_of(run, known)} == {1: Decimal("6.50"), 2: Decimal("2.00"), 3: Decimal("6.50"), 4: Decimal("6.50")}


def test_forced_recomputation_of_the_same_rows_rewrites_no_file(run: Run, tmp_path: Path) -> None:
    """--full over unchanged inputs finds every row unchanged."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    before = run.snapshot(path_of(orders.name), 0).files
    outcome = execute(run, clean_orders, full=True)
    assert outcome.ledger == Ledger(read=3, unchanged=3)
    assert run.snapshot(path_of(orders.name), 1).files == before


def test_only_files_that_hold_a_changed_row_are_written_again(run: Run, tmp_path: Path) -> None:
    """A correction of one row leaves the other data files alone, and the change feed has just that row, before and after."""
    for name, first in (("a.csv", 1), ("b.csv", 100), ("c.csv", 200)):
        write_orders(tmp_path, name, [(first + i, "ann", "1.00", "2024-01-01") for i in range(10)])
        bring(run, tmp_path, clean_orders)
    before = {file.path for file in run.snapshot(path_of(orders.name), 2).files}
    write_orders(tmp_path, "d.csv", [(105, "ann", "9.00", "2024-01-01")])
    bring(run, tmp_path, clean_orders)
    after = {file.path for file in run.snapshot(path_of(orders.name), 3).files}
    assert len(before & after) == 2
    assert last_record(run, orders).rows == 30
    from deltalake import DeltaTable

    table = DeltaTable(run.store.uri(path_of(orders.name)), storage_options=run.store.options)
    import pyarrow as pa

    feed = pl.DataFrame(pl.from_arrow(pa.table(table.load_cdf(3, 3).read_all())))
    assert sorted(feed.select("order", "amount", "_change_type").rows()) == [
        (105, Decimal("1.00"), "update_preimage"),
        (105, Decimal("9.00"), "update_postimage"),
    ]


_ORDER = st.tuples(st.integers(1, 6), st.sampled_from(["ann", "bob", "test"]), st.sampled_from(["1.00", "2.00", "x"]), st.just("2024-01-01"))


@given(files=st.lists(st.lists(_ORDER, min_size=0, max_size=6), min_size=1, max_size=5))
@budget(max_examples=20, deadline=None)
def test_merging_files_in_turn_ends_as_a_dictionary_would(weed_home: Path, tmp_path_factory: pytest.TempPathFactory, files: list[list[Any]]) -> None:
    """Whatever files land in whatever increments: the table is the last good row of each key, gold sums it, and one bulk load gives the same content."""
    folder = tmp_path_factory.mktemp("merge")
    with begin_run(load_settings(home=weed_home, root=ROOT, env=fresh_env()), "test", "test") as run:
        expected: dict[int, Any] = {}
        rejected = 0
        for number, rows in enumerate(files):
            write_orders(folder, f"{number}.csv", [*rows, (99, f"f{number}", "1.00", "2024-01-01")])
            bring(run, folder)
            for order, customer, amount, _ in rows:
                if customer == "test" or amount == "x":
                    rejected += 1
                else:
                    expected[order] = (customer, Decimal(amount))
            expected[99] = (f"f{number}", Decimal("1.00"))
            found = {row["order"]: (row["customer"], row["amount"]) for row in rows_of(run, orders)}
            assert found == expected
            assert last_record(run, orders).rejects == rejected
            sums = {row["customer"]: (row["orders"], row["amount"]) for row in rows_of(run, totals)}
            names = {customer for customer, _ in expected.values()}
            assert sums == {name: (sum(c == name for c, _ in expected.values()), sum(a for c, a in expected.values() if c == name)) for name in names}
        increments = [last_record(run, table).content for table in (orders, totals)]
    with begin_run(load_settings(home=weed_home, root=ROOT, env=fresh_env()), "test", "test") as bulk:
        bring(bulk, folder)
        assert [last_record(bulk, table).content for table in (orders, totals)] == increments


class Reading(Contract):
    """A meter reading."""

    meter = dy.Int64(primary_key=True, description="Meter")
    taken = dy.Int64(nullable=True, metadata={"unit": "s"}, description="When it was taken")
    value = dy.Int64(nullable=False, metadata={"unit": "kWh"}, description="What it showed")


bronze_readings = Table("bronze.shop.readings")
readings = Table("silver.shop.readings", Reading, sequence=("taken",))


def read(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Readings as they come."""
    return raw.select("meter", pl.col("taken").replace("", None), "value", *PROVENANCE)


def test_a_declared_sequence_decides_whatever_the_order_of_arrival(run: Run, tmp_path: Path) -> None:
    """A late reading does not overwrite a newer one, within a file or across increments; no time counts as the earliest."""
    fill = hop(readings, write="merge", raw=changes(bronze_readings))(read)
    source = Source(bronze_readings, tmp_path, "*.csv")
    for name, lines in (("1.csv", ["1,20,5", "1,10,4", "2,,1"]), ("2.csv", ["1,15,9", "2,1,2", "3,5,1"]), ("3.csv", ["1,30,6", "3,5,2"])):
        (tmp_path / name).write_text("\n".join(["meter,taken,value", *lines]) + "\n")
        land(run, source)
        ingest(run, source)
        execute(run, fill)
    assert [(row["meter"], row["taken"], row["value"]) for row in rows_of(run, readings)] == [(1, 30, 6), (2, 1, 2), (3, 5, 2)]
    ledgers = [record.ledger for _, record in run.log(path_of(readings.name)).records()]
    assert [ledger.superseded for ledger in reversed(ledgers)] == [1, 1, 0]


def test_two_runs_of_one_hop_at_once_commit_it_once(weed_settings: Any, tmp_path: Path) -> None:
    """Four runs race for the same increment: one version, no row twice, nobody fails."""
    write_orders(tmp_path, "a.csv", _ROWS)
    with begin_run(weed_settings, "test", "test") as first:
        land(first, tiny.source_at(tmp_path))
        ingest(first, tiny.source_at(tmp_path))

        def one(_: int) -> bool:
            with begin_run(weed_settings, "test", "test") as racer:
                return execute(racer, clean_orders).changed

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(one, range(4))) == [False, False, False, True]
        assert first.log(path_of(orders.name)).version() == 0
        assert len(rows_of(first, orders)) == 3


def test_a_run_that_lost_its_place_cannot_publish(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that planned, slept while another finished, and wakes up to commit finds its version taken and ends without a commit."""
    import lake.execute as execution

    write_orders(tmp_path, "a.csv", _ROWS)
    land(run, tiny.source_at(tmp_path))
    ingest(run, tiny.source_at(tmp_path))
    real = execution.settle
    slept: list[bool] = []

    def sleepy(*args: Any) -> Any:
        if not slept:
            slept.append(True)
            with begin_run(run.settings, "test", "test") as other:
                assert execute(other, clean_orders).changed
        return real(*args)

    monkeypatch.setattr(execution, "settle", sleepy)
    outcome = execute(run, clean_orders)
    assert (outcome.changed, outcome.version) == (False, 0)
    assert len(rows_of(run, orders)) == 3


@pytest.mark.parametrize("more", [False, True])
def test_rejects_of_a_run_that_died_are_not_there_twice(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, more: bool) -> None:
    """Killed between the quarantine's commit and the table's, then run again (with more input or not): each reject is there once."""
    import lake.execute as execution

    write_orders(tmp_path, "a.csv", [*_ROWS, (4, "test", "1.00", "2024-01-01")])
    bring(run, tmp_path, clean_orders)
    write_orders(tmp_path, "b.csv", [(5, "test", "1.00", "2024-01-01"), (6, "ann", "1.00", "2024-01-01")])
    land(run, tiny.source_at(tmp_path))
    ingest(run, tiny.source_at(tmp_path))

    class Killed(BaseException):
        """What SIGKILL is to a process, as far as Python can show it."""

    def die(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(execution, "publish", die)
        with pytest.raises(Killed):
            execute(run, clean_orders)
    assert run.log(quarantine_path_of(orders.name)).version() == 1
    with begin_run(run.settings, "test", "test") as after:
        if more:
            write_orders(tmp_path, "c.csv", [(7, "test", "1.00", "2024-01-01"), (8, "ann", "1.00", "2024-01-01")])
        bring(after, tmp_path, clean_orders)
        record = last_record(after, orders)
        assert record.quarantine is not None
        kept = after.snapshot(quarantine_path_of(orders.name), int(record.quarantine["version"])).scan().collect()
        numbers = sorted(kept["row"].str.json_path_match("$.order").cast(pl.Int64))
        assert numbers == ([4, 5, 7] if more else [4, 5])
        assert record.rejects == kept.height


def test_a_full_recomputation_replaces_its_rejects(run: Run, tmp_path: Path) -> None:
    """Rows judged again are in quarantine once, and those that pass now are gone from it."""
    write_orders(tmp_path, "a.csv", [*_ROWS, (4, "test", "1.00", "2024-01-01"), (5, "ann", "x", "2024-01-01")])
    bring(run, tmp_path, clean_orders)
    assert last_record(run, orders).rejects == 2

    def mend(raw: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).with_columns(pl.col("amount").replace("x", "0"))

    execute(run, hop(orders, write="merge", raw=changes(bronze_orders))(mend))
    assert last_record(run, orders).rejects == 1


def test_too_many_rejects_stop_the_hop(run: Run, tmp_path: Path) -> None:
    """Over the table's limit nothing is published, and the message says which rule, how many and what to do; the row can be looked at."""
    strict = Table("silver.shop.orders", tiny.Order, max_rejected=0.2, max_rejected_from=4)
    write_orders(tmp_path, "a.csv", [*_ROWS, (4, "test", "1.00", "2024-01-01")])
    with pytest.raises(
        RejectLimitExceeded, match=r"1 of 4 rows \(25\.0%\) break no_test_customer \(1\): Test orders are not orders; the limit is 20\.0%.*max_rejected"
    ):
        bring(run, tmp_path, hop(strict, write="merge", raw=changes(bronze_orders))(clean))
    assert run.log(path_of(orders.name)).version() == -1
    assert Catalog(run.store).rejects(orders.name, stopped=True).select("rules").collect().to_series().to_list() == [["no_test_customer"]]


def test_gold_is_validated_not_filtered(run: Run, tmp_path: Path) -> None:
    """A gold row that breaks its contract, or a key that comes twice, stops the hop."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path, clean_orders)

    def wrong(orders: pl.LazyFrame) -> pl.LazyFrame:
        return total(orders).with_columns(amount=pl.lit(None, dtype=pl.Decimal(38, 2)))

    with pytest.raises(ContractBroken, match=r"2 of 2 rows break amount\|nullability"):
        execute(run, hop(totals, counts="orders", orders=orders)(wrong))

    def twice(orders: pl.LazyFrame) -> pl.LazyFrame:
        return orders.select("customer", pl.lit(1, dtype=pl.Int64).alias("orders"), pl.col("amount").cast(pl.Decimal(38, 2)))

    with pytest.raises(ContractBroken, match=r"1 key comes out more than once, e\.g\. customer=ann"):
        execute(run, hop(totals, counts="orders", orders=orders)(twice))
    assert run.log(path_of(totals.name)).version() == -1


def test_mistakes_of_a_hop_are_told_with_their_line(run: Run, tmp_path: Path) -> None:
    """Whatever the function does wrong, the error names the hop and what to do, and nothing is published."""
    write_orders(tmp_path, "a.csv", _ROWS)

    def declared(function: Any) -> Hop:
        return hop(orders, write="merge", raw=changes(bronze_orders))(function)

    def raises(raw: pl.LazyFrame) -> pl.LazyFrame:
        raise KeyError("oops")  # the line to show

    def missing(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", "nothing_like_it")

    def late(raw: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).with_columns(pl.col("amount").str.to_integer(strict=True).cast(pl.String))

    for function, error, text in (
        (raises, HopFailed, r"raises \(silver\.shop\.orders\) raised KeyError: 'oops'.*the line to show"),
        (missing, HopFailed, "missing .*nothing_like_it"),
        (lambda raw: clean(raw).collect(), HopFailed, "returned DataFrame, not a LazyFrame"),
        (lambda raw: clean(raw).drop("day"), SchemaRefused, "returns no column day, which Order promises"),
        (lambda raw: clean(raw).with_columns(extra=pl.lit(1)), SchemaRefused, "returns extra, which Order does not declare"),
        (lambda raw: clean(raw).with_columns(amount=pl.lit(1.5)), SchemaRefused, "amount as Float64, and Order promises Decimal"),
    ):
        with pytest.raises(error, match=text):
            bring(run, tmp_path, declared(function))
    assert run.log(path_of(orders.name)).version() == -1
    _, outcomes = bring(run, tmp_path, declared(late))  # what it raises on rows is said of these
    assert outcomes[-1].ledger.rejected == sum("." in str(amount) for _, _, amount, _ in _ROWS) > 0


def test_declarations_that_cannot_work_are_refused_at_once() -> None:
    """Wrong names, keys, inputs and write modes are found when the module is imported."""

    class Keyless(Contract):
        """No key."""

        value = dy.Int64(description="A value")

    class Enumerated(Contract):
        """A duration cannot be stored."""

        value = dy.Duration(description="A value")

    for make, text in (
        (lambda: Table("Silver.Shop.x"), "not a table name"),
        (lambda: Table("silver.shop.x"), "has no contract"),
        (lambda: Table("silver.shop.x", Enumerated), "Duration"),
        (lambda: Table("silver.shop.x", Keyless, sequence=("nope",)), "nope"),
        (lambda: hop(Table("silver.shop.x", Keyless), write="merge", raw=changes(bronze_orders))(clean), "no primary key"),
        (lambda: hop(orders, write="upsert", raw=changes(bronze_orders))(clean), "upsert"),  # type: ignore[arg-type]
        (lambda: hop(orders, write="merge", row=changes(bronze_orders))(clean), r"takes \(raw\) but is declared with \(row\)"),
        (lambda: hop(orders)(clean), "reads no table"),
        (lambda: hop(orders, write="by_key", raw=orders)(clean), "reads no table as changes"),
        (lambda: hop(orders, write="merge", by=("order",), raw=changes(bronze_orders))(clean), "needs write='by_key'"),
        (lambda: hop(orders, write="append", deletes="gone", raw=changes(bronze_orders))(clean), "needs write='merge'"),
        (lambda: hop(orders, write="scd2", raw=changes(bronze_orders))(clean), "keeps history"),
        (lambda: Table("silver.shop.x", tiny.Order, time="amount"), "neither a date nor an instant"),
        (lambda: Source(orders, "x"), "lands into bronze"),
    ):
        with pytest.raises(DeclarationError, match=text):
            make()


def test_an_empty_input_makes_an_empty_table(run: Run, tmp_path: Path) -> None:
    """A file with only a header gives tables without rows, at a version, with their schema."""
    write_orders(tmp_path, "a.csv", [])
    bring(run, tmp_path)
    assert rows_of(run, orders) == rows_of(run, totals) == []
    assert run.snapshot(path_of(orders.name), 0).schema["amount"] == pl.Decimal(12, 2)
    write_orders(tmp_path, "b.csv", _ROWS)
    bring(run, tmp_path)
    assert len(rows_of(run, orders)) == 3


def test_a_thousand_versions_keep_a_run_at_a_few_requests(run: Run, tmp_path: Path) -> None:
    """Planning with nothing new takes a fixed, small number of requests, however many versions there are."""
    counts = []
    for number in range(24):
        write_orders(tmp_path, f"{number}.csv", [(number, "ann", "1.00", "2024-01-01")])
        bring(run, tmp_path, clean_orders)
        if number in (2, 23):
            with begin_run(run.settings, "test", "test") as fresh:
                fresh.store.requests.clear()
                assert make_plan(fresh, clean_orders).needed is False
                counts.append(fresh.store.requests.total())
    assert counts[1] <= counts[0] <= 8


def test_hops_that_read_much_are_done_one_at_a_time(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once in a run wait for each other where what they read has no room in memory together; small ones do not."""
    import lake.execute as execution

    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path, clean_orders)
    others = [hop(Table(f"silver.shop.copy{number}", tiny.Order, max_rejected=1.0), orders=orders)(_copied) for number in range(2)]
    going, most, done = [0], [0], execution.carry_out

    def slow(*args: Any) -> Any:
        going[0] += 1
        most[0] = max(most[0], going[0])
        time.sleep(0.3)
        try:
            return done(*args)
        finally:
            going[0] -= 1

    monkeypatch.setattr(execution, "carry_out", slow)
    for size, at_once in ((1 << 30, 2), (1, 1)):
        run.room = Room(size)
        most[0] = 0
        with ThreadPoolExecutor(2) as pool:
            assert all(outcome.changed for outcome in pool.map(lambda one: execution.execute(run, one, full=True), others))
        assert most[0] == at_once
        others = [hop(Table(f"silver.shop.again{number}", tiny.Order, max_rejected=1.0), orders=orders)(_copied) for number in range(2)]


def test_conflicts_end_in_a_clear_error_when_they_never_stop(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hop that loses every race says so instead of trying for ever."""
    import lake.execute as execution

    write_orders(tmp_path, "a.csv", _ROWS)
    land(run, tiny.source_at(tmp_path))
    ingest(run, tiny.source_at(tmp_path))

    def lose(*_: Any) -> Any:
        raise CommitConflict("taken")

    monkeypatch.setattr(execution, "publish", lose)
    monkeypatch.setattr(execution, "backoff", lambda _: None)
    with pytest.raises(CommitConflict, match="lost 5 races"):
        execute(run, clean_orders)


def test_the_record_says_when_the_newest_raw_file_landed(run: Run, tmp_path: Path) -> None:
    """Freshness travels from the receipts to gold."""
    write_orders(tmp_path, "a.csv", _ROWS)
    before = dt.datetime.now(dt.UTC)
    bring(run, tmp_path)
    for table in (bronze_orders, orders, totals):
        freshest = last_record(run, table).freshest
        assert freshest is not None
        assert before <= freshest <= dt.datetime.now(dt.UTC)


def test_columns_that_differ_in_case_only_are_one_column(run: Run, tmp_path: Path) -> None:
    """A later file that spells its header in another case fills the same columns, and the table stays readable."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    (tmp_path / "b.csv").write_text("Order,CUSTOMER,amount,Day\n9,zoe,1.00,2024-01-05\n")
    bring(run, tmp_path)
    assert [row["order"] for row in rows_of(run, orders)] == [1, 2, 3, 9]
    assert run.snapshot(path_of(bronze_orders.name), 1).schema.names()[:4] == ["order", "customer", "amount", "day"]


def test_files_that_land_together_count_in_the_order_they_were_changed(run: Run, tmp_path: Path) -> None:
    """Of two files landed at once, the one changed later wins, whatever their names."""
    import os

    write_orders(tmp_path, "orders_9.csv", [(1, "old", "1.00", "2024-01-01")])
    write_orders(tmp_path, "orders_10.csv", [(1, "new", "2.00", "2024-01-01")])
    os.utime(tmp_path / "orders_9.csv", (1_000_000, 1_000_000))
    bring(run, tmp_path)
    assert [row["customer"] for row in rows_of(run, orders)] == ["new"]
