"""Law 2: every row is accounted for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from lake.contract import PROVENANCE
from lake.errors import LedgerOpen
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.record import Ledger
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table, path_of
from tests.conftest import ROOT, Built, fresh_env
from tests.tiny import bring, bronze_orders, clean_orders, last_record, orders, rows_of, sum_orders, totals, write_orders

_ROWS = [(1, "ann", "1.50", "2024-01-01"), (2, "bob", "2.00", "2024-01-01"), (3, "ann", "4.00", "2024-01-02")]


def _hop(function: object, **declared: str) -> Hop:
    return hop(orders, write="merge", raw=changes(bronze_orders), **declared)(function)  # type: ignore[arg-type]  # tests pass plain functions


def test_a_row_that_a_hop_drops_in_silence_stops_it(run: Run, tmp_path: Path) -> None:
    """A hop that leaves a row out without saying so publishes nothing."""
    write_orders(tmp_path, "a.csv", _ROWS)

    def lossy(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.filter(pl.col("order") != "2").select("order", "customer", "amount", "day", *PROVENANCE)

    with pytest.raises(LedgerOpen, match="3 rows read but 2 rows accounted for"):
        bring(run, tmp_path, _hop(lossy))
    assert run.log(path_of(orders.name)).version() == -1


def test_a_row_that_a_hop_drops_for_a_declared_reason_is_counted(run: Run, tmp_path: Path) -> None:
    """A declared filter shows in the ledger."""
    write_orders(tmp_path, "a.csv", _ROWS)

    def lossy(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.filter(pl.col("order") != "2").select("order", "customer", "amount", "day", *PROVENANCE)

    bring(run, tmp_path, _hop(lossy, filters="bob left"))
    assert last_record(run, orders).ledger == Ledger(read=3, inserted=2, filtered=1)


def test_one_row_lost_and_another_doubled_does_not_balance(run: Run, tmp_path: Path) -> None:
    """Counts that happen to agree do not hide that a row went missing: raw places are compared as a multiset."""
    write_orders(tmp_path, "a.csv", _ROWS)

    def swap(raw: pl.LazyFrame) -> pl.LazyFrame:
        kept = raw.filter(pl.col("order") != "2").select("order", "customer", "amount", "day", *PROVENANCE)
        return pl.concat([kept, kept.filter(pl.col("order") == "1").with_columns(order=pl.lit("9"))])

    with pytest.raises(LedgerOpen, match="lost some of the rows it read and repeated others"):
        bring(run, tmp_path, _hop(swap))
    assert run.log(path_of(orders.name)).version() == -1


def test_a_row_multiplied_by_a_join_stops_the_hop(run: Run, tmp_path: Path) -> None:
    """A join that multiplies rows is found by the ledger unless the hop declares it."""
    write_orders(tmp_path, "a.csv", _ROWS)

    def fan(raw: pl.LazyFrame) -> pl.LazyFrame:
        twice = pl.LazyFrame({"customer": ["ann", "ann", "bob"]})
        return raw.join(twice, on="customer", how="left").select("order", "customer", "amount", "day", *PROVENANCE)

    with pytest.raises(LedgerOpen, match="3 rows read but 5 rows"):
        bring(run, tmp_path, _hop(fan))


def test_groups_must_sum_to_the_rows_read(run: Run, tmp_path: Path) -> None:
    """An aggregation whose counts do not add up to what it read publishes nothing."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path, clean_orders)

    def lossy(orders: pl.LazyFrame) -> pl.LazyFrame:
        known = orders.filter(pl.col("customer") == "ann")
        return known.group_by("customer").agg(pl.len().cast(pl.Int64).alias("orders"), pl.col("amount").sum().cast(pl.Decimal(38, 2)))

    with pytest.raises(LedgerOpen, match="3 rows read but 2 rows in groups"):
        execute(run, hop(totals, counts="orders", orders=orders)(lossy))
    assert execute(run, sum_orders).ledger == Ledger(read=3, inserted=2, aggregated=3, groups=2)


def test_each_fate_of_a_row_has_its_entry(run: Run, tmp_path: Path) -> None:
    """Inserted, updated, unchanged, superseded, duplicate and rejected rows are each counted as what they are."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    second = [
        (1, "ann", "1.50", "2024-01-01"),  # unchanged
        (2, "bob", "2.50", "2024-01-01"),  # updated
        (4, "cy", "1.00", "2024-01-03"),  # superseded by the next line
        (4, "cy", "1.25", "2024-01-03"),  # inserted, and repeated below
        (5, "test", "1.00", "2024-01-03"),  # rejected by a rule
        (6, "dee", "much", "2024-01-03"),  # rejected by its type
        (4, "cy", "1.25", "2024-01-03"),  # duplicate
    ]
    write_orders(tmp_path, "b.csv", second)
    bring(run, tmp_path)
    record = last_record(run, orders)
    assert record.ledger == Ledger(read=7, inserted=1, updated=1, unchanged=1, superseded=1, duplicate=1, rejected=2)
    assert record.rules == {"amount|dtype": 1, "no_test_customer": 1}
    assert record.rejects == 2
    assert [row["amount"] for row in rows_of(run, orders)] == [pytest.approx(value) for value in (1.5, 2.5, 4, 1.25)]


@pytest.fixture(scope="module")
def shared_run(weed_home: Path) -> Iterator[Run]:
    """One run on an empty lake for all examples of a property."""
    with begin_run(load_settings(home=weed_home, root=ROOT, env=fresh_env()), "law2", "test") as begun:
        yield begun


_TEXT = st.text(alphabet=st.sampled_from(["a", "b", ",", '"', "\n", "\r", "é", " "]), max_size=6)


@given(table=st.lists(st.lists(_TEXT, min_size=1, max_size=4), min_size=0, max_size=8), junk=st.sampled_from(["", "\n", '"open', "x,y,z,1,2\n", "\n\n"]))
@budget(max_examples=25, deadline=None)
def test_every_record_of_any_file_is_in_bronze_or_its_rejects(
    shared_run: Run, tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], junk: str
) -> None:
    """For any file: the rows in bronze and the rejected records together are the records of the file."""
    run = shared_run
    folder = tmp_path_factory.mktemp("any")
    text = io.StringIO()
    csv.writer(text).writerows([["p", "q", "r"], *table])
    (folder / "any.csv").write_bytes((text.getvalue() + junk).encode())
    name = Table(f"bronze.law2.{folder.name}")
    land(run, Source(name, folder))
    ingest(run, Source(name, folder))
    record = last_record(run, name)
    frame = run.snapshot(path_of(name.name), 0).scan().collect()
    (file,) = record.files
    assert file.rows + file.rejects == record.ledger.read
    assert frame.height == file.rows == record.ledger.inserted
    assert record.rejects == file.rejects == record.ledger.rejected
    assert frame["_row"].n_unique() == frame.height


def test_every_line_of_the_flights_is_in_bronze(flights_lake: Built) -> None:
    """Each table of the flights lake has a closed ledger, and bronze has every line of each file."""
    lines = {"flights": 336_776, "weather": 26_115, "planes": 3_322, "airports": 1_458, "airlines": 16}
    for name, expected in lines.items():
        log = flights_lake.run.log(f"bronze/nyc/{name}")
        (_, record), *_ = log.records()
        assert (record.ledger.read, record.ledger.inserted, record.rows) == (expected, expected, expected)
    for result in flights_lake.report.results.values():
        for outcome in result.outcomes:
            outcome.ledger.check(outcome.table)


@pytest.mark.parametrize(
    "ledger",
    [
        Ledger(read=1),
        Ledger(read=1, inserted=2),
        Ledger(read=2, aggregated=1, groups=1, inserted=1),
        Ledger(read=1, aggregated=1, groups=2, inserted=1),
        Ledger(read=0, inserted=1, updated=-1),
    ],
)
def test_a_ledger_that_does_not_balance_is_refused(ledger: Ledger) -> None:
    """The check finds every side that does not add up."""
    with pytest.raises(LedgerOpen):
        ledger.check("a table")
