"""Rows on which a hop raises are set aside one by one, in every way of writing; where they cannot be, the first of them is named with its raw line."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from flows.nyc.hops import clean_flights
from flows.nyc.tables import Flight
from lake import execute as executing
from lake.catalog import Catalog
from lake.cli.listings import _why
from lake.contract import PROVENANCE, Contract, judge
from lake.errors import ContractBroken, HopFailed, RejectLimitExceeded, StoreUnreachable
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.partitions import Partition, carry
from lake.pipeline import Pipeline
from lake.plan import Range
from lake.readmit import readmit_rows
from lake.release import find_release
from lake.replay import replay
from lake.run import Run, begin_run
from lake.source import Source
from lake.table import Table
from lake.trace.reach import reach
from lake.trace.tracing import trace
from lake.verify import verify
from tests.tiny import bring, bronze_orders, last_record, rows_of, source_at, write_orders


class Sale(Contract):
    """A sale."""

    order = dy.Int64(primary_key=True, description="Number")
    value = dy.String(nullable=True, description="What came of it")
    day = dy.String(nullable=True, description="When")


class Spell(Contract):
    """What an order was, and when."""

    order = dy.Int64(primary_key=True, description="Number")
    valid_from = dy.Date(primary_key=True, description="Since when")
    valid_to = dy.Date(nullable=True, description="Until when")
    is_current = dy.Bool(nullable=False, description="Whether it still holds")
    value = dy.String(nullable=True, description="What came of it")


class Amount(Contract):
    """The sum of all."""

    what = dy.String(primary_key=True, description="All")
    orders = dy.Int64(nullable=False, metadata={"unit": "orders"}, description="How many")
    amount = dy.Int64(nullable=False, metadata={"unit": "EUR"}, description="What they cost together")


sales = Table("silver.shop.sales", Sale, max_rejected=1.0)
spells = Table("silver.shop.spells", Spell, max_rejected=1.0)
AMOUNT, DAY = pl.col("amount"), pl.col("day")
Row = tuple[int, str, str, str]


def _whole(text: str) -> str:
    return str(int(text))


KINDS: dict[str, tuple[pl.Expr, Row, str]] = {
    "a cast": (AMOUNT.cast(pl.Int64), (2, "a", "x", ""), '"x" in amount cannot become Int64'),
    "a cast that is too narrow": (AMOUNT.cast(pl.Int64).cast(pl.Int8), (2, "a", "300", ""), "300 in amount cannot become Int8"),
    "a date of parts": (
        pl.date(DAY.str.slice(0, 4).cast(pl.Int32), DAY.str.slice(5, 2).cast(pl.Int32), DAY.str.slice(8, 2).cast(pl.Int32)),
        (2, "a", "1", "2026-02-30"), "there is no date 2026-02-30",
    ),
    "a date that is parsed": (DAY.str.to_date("%Y-%m-%d"), (2, "a", "1", "2026-02-30"), '"2026-02-30" in day cannot become date'),
    "a time zone": (
        DAY.str.to_datetime("%Y-%m-%d").dt.offset_by(AMOUNT + "h").dt.replace_time_zone("Europe/Vienna"),
        (2, "a", "2", "2026-03-29"), "there is no 2026-03-29 02:00:00 in time zone Europe/Vienna",
    ),
    "a mapping": (pl.col("customer").replace_strict({"a": "ann"}), (2, "b", "1", ""), "a value is none of those that replace_strict maps"),
    "an enum": (pl.col("customer").cast(pl.Enum(["a"])), (2, "b", "1", ""), '"b" in customer cannot become enum'),
    "a list": (pl.col("customer").str.split("").list.get(AMOUNT.cast(pl.Int64)), (2, "a", "70", ""), "a list is too short for the place that is asked of it"),
    "a function of values": (AMOUNT.map_elements(_whole, return_dtype=pl.String), (2, "a", "x", ""), "ValueError: invalid literal for int() with base 10: 'x'"),
    "a function of two": (
        pl.struct("amount", "customer").map_elements(lambda row: _whole(row["amount"]), return_dtype=pl.String),
        (2, "a", "x", ""), "ValueError: invalid literal for int() with base 10: 'x'",
    ),
    "a length of time": (DAY.str.to_date("%Y-%m-%d", strict=False).dt.offset_by(AMOUNT + "d"), (2, "a", "x", "2026-01-01"), "a length of time begins with x, and not with a number"),
    "hexadecimal text": (AMOUNT.str.decode("hex").cast(pl.String), (2, "a", "7g", ""), "a text is no hex"),
}  # fmt: skip
GOOD = [(1, "a", "00", "2026-01-01"), (3, "a", "00", "2026-01-03")]


def declared(made: Callable[[pl.LazyFrame], pl.LazyFrame] | pl.Expr, table: Table = sales, write: Any = "merge", **options: Any) -> Hop:
    """A hop over the raw orders."""

    def sell(raw: pl.LazyFrame) -> pl.LazyFrame:
        if not isinstance(made, pl.Expr):
            return made(raw)
        return raw.select("order", made.cast(pl.String).alias("value"), "day", *PROVENANCE)

    return hop(table, write=write, raw=options.pop("raw", changes(bronze_orders)), **options)(sell)


def rejected(run: Run, table: Table = sales, *, stopped: bool = False, resolved: bool = False) -> list[tuple[str, int, list[str], str]]:
    """The table's rejects: raw name, record, rules, reason."""
    rows = Catalog(run.store).rejects(table.name, stopped=stopped, resolved=resolved).sort("_file", "_row").collect()
    return sorted((row["_file"].rsplit("/", 1)[-1].removesuffix(".zst"), row["_row"], row["rules"], row["reason"]) for row in rows.iter_rows(named=True))


def numbers(run: Run, table: Table = sales) -> list[int]:
    """The orders in the table."""
    return sorted(row["order"] for row in rows_of(run, table))


@pytest.mark.parametrize("name", KINDS)
def test_the_row_on_which_a_hop_raises_is_set_aside(name: str, run: Run, tmp_path: Path) -> None:
    """Whatever raises, the one row is in quarantine with the library's reason in words, the others are in, and everything adds up."""
    made, bad, reason = KINDS[name]
    write_orders(tmp_path, "a.csv", [GOOD[0], bad, GOOD[1]])
    _, outcomes = bring(run, tmp_path, declared(made))
    assert (numbers(run), rejected(run)) == ([1, 3], [("a.csv", 2, ["sell raises"], reason)])
    ledger = outcomes[-1].ledger
    assert (ledger.read, ledger.inserted, ledger.rejected, last_record(run, sales).rules) == (3, 2, 1, {"sell raises": 1})
    (rule,) = [rule for rule in Catalog(run.store).rules(sales.name) if not rule["holds"]]
    assert (rule["rule"], rule["asked"], rule["rows"]) == ("sell raises", "the hop makes a row of it without raising", 1)


def _cast(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", AMOUNT.cast(pl.Int64).cast(pl.String).alias("value"), "day", *PROVENANCE)


def _lived(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", DAY.str.to_date("%Y-%m-%d").alias("valid_from"), AMOUNT.cast(pl.Int64).cast(pl.String).alias("value"), *PROVENANCE)


def _deleting(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _cast(raw).with_columns(gone=pl.col("value") == "99")


def _filtering(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _cast(raw).filter(pl.col("value") != "99").sort("order")


def _doubling(raw: pl.LazyFrame) -> pl.LazyFrame:
    return pl.concat([_cast(raw), _cast(raw).with_columns(pl.col("order") + "000")])


WAYS: dict[str, Hop] = {
    "append": declared(_cast, dataclasses.replace(sales), "append", partitions=4),
    "merge": declared(_cast, partitions=4),
    "deletes": declared(_deleting, dataclasses.replace(sales, sequence=("day",)), deletes="gone", partitions=4),
    "filters": declared(_filtering, filters="cheap", partitions=4),
    "replace": declared(_cast, write="replace", raw=bronze_orders, partitions=4),
    "history": declared(_lived, spells, "scd2", partitions=4),
}  # fmt: skip


def _deliver(folder: Path, number: int) -> set[tuple[str, int]]:
    """A file of orders, some of which a cast cannot read; returns the raw places of these."""
    chance = random.Random(number)
    rows, bad = [], set()
    for record in range(1, 13):
        amount = str(chance.choice([1, 2, 3, 99]))
        if chance.random() < (0.2 if number != 2 else 1.0):
            amount, _ = "x", bad.add((f"{number}.csv", record))
        rows.append((chance.randrange(12), "a", amount, f"2026-01-{chance.randrange(1, 29):02}"))
    write_orders(folder, f"{number}.csv", rows)
    return bad


@pytest.mark.parametrize("way", WAYS)
def test_the_same_rows_are_set_aside_whichever_way_they_are_read(way: str, weed_settings: Any, tmp_path: Path) -> None:
    """Three deliveries, one of them all bad: increments, all at once, partitions, a full run, a replay and a verification agree on rows and rejects."""
    one = WAYS[way]
    told = []
    for how in ("increments", "partitions"):
        with begin_run(weed_settings.model_copy(update={"env": f"{how[:2]}-{way.replace(' ', '-')}"}), "shop", "test") as run:
            folder, bad = tmp_path / how, set[tuple[str, int]]()
            for number in range(1, 4):
                bad |= _deliver(folder, number)
                if how == "increments":
                    bring(run, folder, one)
                elif how == "partitions":
                    land(run, source_at(folder))
                    ingest(run, source_at(folder))
            if how == "partitions":
                run.settings = run.settings.model_copy(update={"partition_bytes": 1})
                run.spread = lambda texts, run=run: [carry(run, one, Partition.model_validate_json(text)).model_dump_json() for text in texts]  # type: ignore[misc]
                execute(run, one)
            assert {place[:2] for place in rejected(run, one.table)} == bad
            told.append((rows_of(run, one.table), rejected(run, one.table)))
            pipeline = Pipeline("shop", [source_at(folder)], [one])
            run.spread = None
            pipeline.run(run).raise_failures()
            release = find_release(run.store)
            assert release is not None
            assert [(done.table, done.why) for done in replay(run, release, [pipeline]) if done.verdict != "equal"] == []
            assert [row for row in verify(run, pipeline, share=0.5, seed=1) if row["verdict"] not in ("equal", "not verified")] == []
            execute(run, one, full=True)
            told.append((rows_of(run, one.table), rejected(run, one.table)))
    assert all(one == told[0] for one in told)


def test_a_range_leaves_what_was_set_aside_alone(run: Run, tmp_path: Path) -> None:
    """The row on which the hop raises is known; a range recomputes the others, and the quarantine stays."""

    class Dated(Sale):
        """A sale with its day."""

        day = dy.Date(nullable=True, description="When")

    table = Table("silver.shop.sales", Dated, max_rejected=1.0, time="day")
    one = declared(_cast, table)
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "x", "2026-01-02"), GOOD[1]])
    bring(run, tmp_path, one)
    before = rejected(run, table)
    outcome = execute(run, one, backfill=Range("2026-01-01", "2026-01-03"))
    assert (outcome.mode, outcome.ledger.rejected, numbers(run, table), rejected(run, table)) == ("range", 0, [1, 3], before)


def test_after_the_hop_was_mended_readmit_brings_the_rows_in(run: Run, tmp_path: Path) -> None:
    """With a default in place of the strict cast, the row comes in at its place, and its reject is resolved."""
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "x", ""), GOOD[1]])
    bring(run, tmp_path, declared(AMOUNT.cast(pl.Int64)))
    mended = declared(AMOUNT.cast(pl.Int64, strict=False))
    assert readmit_rows(run, mended).changed
    assert (numbers(run), rejected(run)) == ([1, 2, 3], [])
    assert [place[:3] for place in rejected(run, resolved=True)] == [("a.csv", 2, ["sell raises"])]


def test_more_than_may_be_rejected_stop_the_hop_and_can_be_looked_at(run: Run, tmp_path: Path) -> None:
    """One row may be rejected and two are: nothing is published, the message names the first by its line, and --stopped shows what was found."""
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "x", ""), GOOD[1], (4, "a", "y", ""), (5, "a", "z", "")])
    for limit, said in (({"max_rejected_rows": 1}, "max_rejected_rows is 1"), ({"max_rejected": 0.2, "max_rejected_from": 5}, "max_rejected is 20.0%")):
        table = dataclasses.replace(sales, **{"max_rejected": 1.0} | limit)
        with pytest.raises(RejectLimitExceeded) as stop:
            bring(run, tmp_path, declared(_cast, table))
        assert (
            stop.value.message
            == f'silver.shop.sales: test_raising.declared.sell raises on at least 2 of 5 rows, and {said}; the first is a.csv line 3: "x" in amount cannot become Int64'.replace(
                "test_raising.", ""
            ).replace("declared.sell", "declared.<locals>.sell")
        )
        assert "lake rejects silver.shop.sales --stopped" in (stop.value.hint or "")
        assert [place[:2] for place in rejected(run, stopped=True)] == [("a.csv", 2), ("a.csv", 4)]
        assert run.log("silver/shop/sales").version() == -1


def test_gold_refuses_the_first_row_on_which_a_hop_raises(run: Run, tmp_path: Path) -> None:
    """Gold is validated, not filtered."""
    gold = Table("gold.shop.sales", Sale)
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "x", "")])
    with pytest.raises(ContractBroken, match=r"none may be rejected here; the first is a\.csv line 3"):
        bring(run, tmp_path, declared(_cast, gold, "replace", raw=bronze_orders))


def _summed(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select(pl.lit("all").alias("what"), AMOUNT.cast(pl.Int64).sum().alias("amount"), pl.len().cast(pl.Int64).alias("orders"))


def _ranked(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", AMOUNT.cast(pl.Int64).rank().cast(pl.String).alias("value"), "day", *PROVENANCE)


def _collecting(raw: pl.LazyFrame) -> pl.LazyFrame:
    return pl.LazyFrame([{**row, "value": str(int(row["amount"]))} for row in raw.collect().to_dicts()], schema_overrides=PROVENANCE).select(
        "order", "value", "day", *PROVENANCE
    )


def _together(raw: pl.LazyFrame) -> pl.LazyFrame:
    small = AMOUNT.cast(pl.Int64).sum().cast(pl.Int8).cast(pl.String)
    return raw.select("order", small.alias("value"), "day", *PROVENANCE)


@pytest.mark.parametrize(
    ("one", "amounts", "said"),
    [
        (declared(_summed, Table("gold.shop.amounts", Amount), "replace", counts="orders", raw=bronze_orders), ["1", "2", "x", "y"], "it raises on 1.csv line 4"),
        (declared(_ranked), ["1", "2", "x", "y"], "it raises on 1.csv line 4"),
        (declared(_collecting), ["1", "x", "2", "y"], "it raises on 1.csv line 3"),
        (declared(_together), ["50", "50", "50", "1"], "it raises on the rows up to 1.csv line 4, on none of which it raises alone"),
    ],
    ids=["an aggregate", "a window", "a function that looks at rows", "rows together"],
)  # fmt: skip
def test_where_rows_cannot_be_set_aside_the_first_is_named(one: Hop, amounts: list[str], said: str, run: Run, tmp_path: Path) -> None:
    """The error says what raised and on which raw line, and why no row was set aside; nothing is published."""
    write_orders(tmp_path, "1.csv", [(number, "a", amount, "") for number, amount in enumerate(amounts, 1)])
    with pytest.raises(HopFailed) as failed:
        bring(run, tmp_path, one)
    assert said in failed.value.message
    assert "No row could be set aside for it: " in (failed.value.hint or "")
    assert run.log(one.table.name.replace(".", "/")).version() == -1


def test_a_mistake_in_the_code_is_told_as_one(run: Run, tmp_path: Path) -> None:
    """What raises whatever the rows is not searched for: the file and the line of the function are named, and no row."""

    def wrong(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select({}["missing"])  # type: ignore[call-overload]

    write_orders(tmp_path, "a.csv", GOOD)
    with pytest.raises(HopFailed, match=r"KeyError: 'missing'. See tests/test_raising.py:\d+: "):
        bring(run, tmp_path, declared(wrong))


def test_a_missing_column_is_told_in_words(run: Run, tmp_path: Path) -> None:
    """A column that is not there is told with those near it, without Polars' list, and with the file and line of the hop."""
    write_orders(tmp_path, "a.csv", GOOD)
    with pytest.raises(HopFailed) as failed:
        bring(run, tmp_path, declared(lambda raw: raw.select("ordr", *PROVENANCE)))
    told = str(failed.value)
    assert re.search(r"there is no column ordr; near it: order\b.*\. It begins at tests/test_raising\.py:\d+", told), told
    assert "valid columns" not in told
    assert "?" not in told


@pytest.mark.parametrize("write", ["merge", "append", "scd2"])
def test_what_a_record_reached_on_which_the_hop_raises(run: Run, tmp_path: Path, write: str) -> None:
    """Up from raw, such a record is told as rejected with the reason; others of its file, and of its key, are told as what they became."""
    table = spells if write == "scd2" else sales
    one = declared(lambda raw: raw.select("order", *PROVENANCE, value="customer", valid_from=DAY.str.to_date("%Y-%m-%d")), table, write)
    if write != "scd2":
        one = declared(DAY.str.to_date("%Y-%m-%d"), table, write)
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "1", "2026-02-30"), GOOD[1]])
    bring(run, tmp_path, one)
    write_orders(tmp_path, "b.csv", [(1, "b", "00", "2026-02-01"), (3, "b", "1", "2026-02-30")])
    flow = bring(run, tmp_path, one)
    pipeline = flow if isinstance(flow, Pipeline) else Pipeline("shop", sources=[source_at(tmp_path)], hops=[one])
    versions = {name: run.log(name.replace(".", "/")).version() for name in (bronze_orders.name, table.name)}
    for place in ("a.csv:2", "b.csv:2"):
        reached = reach(run, [pipeline], place, versions).tables[table.name, versions[table.name]]
        assert (reached.rows.height, reached.why, reached.rejected) == (0, None, ('"2026-02-30" in day cannot become date',))
    assert 1 in reach(run, [pipeline], "a.csv:1", versions).tables[table.name, versions[table.name]].rows["order"].to_list()
    assert 3 in reach(run, [pipeline], "a.csv:3", versions).tables[table.name, versions[table.name]].rows["order"].to_list()
    assert [row for row in verify(run, pipeline, share=0.5, seed=1) if row["verdict"] not in ("equal", "not verified")] == []


def test_the_text_of_rejects_has_what_was_raised() -> None:
    """Beside the rule that says that the hop raises stands what it raised; of other rules the name is enough."""
    assert _why(["sell raises"], "no date 2026-02-30") == "sell raises: no date 2026-02-30"
    assert _why(["positive"], None) == "positive"
    assert _why([], "no field") == "no field"


def test_a_hop_that_raises_only_sometimes_is_told_as_that(run: Run, tmp_path: Path) -> None:
    """A function that raises every other time sets nothing aside: nobody could say which rows it was."""
    calls = list(range(10_000))

    def moody(text: str) -> str:
        if calls.pop(0) % 7 == 3:
            raise RuntimeError("not today")
        return text

    write_orders(tmp_path, "a.csv", [(number, "a", "1", "") for number in range(1, 9)])
    with pytest.raises(HopFailed, match="not today") as failed:
        bring(run, tmp_path, declared(AMOUNT.map_elements(moody, return_dtype=pl.String)))
    assert "raise" in (failed.value.hint or "")
    assert run.log("silver/shop/sales").version() == -1


def test_a_store_that_is_away_is_no_fault_of_rows(run: Run, tmp_path: Path) -> None:
    """What the store says comes through as that."""

    def away(text: str) -> str:
        raise OSError("Generic S3 error: error sending request") if text == "x" else RuntimeError

    write_orders(tmp_path, "a.csv", [(1, "a", "x", "")])
    with pytest.raises((StoreUnreachable, OSError)):
        bring(run, tmp_path, declared(AMOUNT.map_elements(away, return_dtype=pl.String)))


def test_another_input_that_makes_it_raise_is_named(run: Run, tmp_path: Path) -> None:
    """The row is not among those that drive the hop: it is named where it is."""
    side = Table("bronze.shop.rates")
    folder = tmp_path / "rates"
    write_orders(folder, "r.csv", [(1, "a", "7", ""), (2, "a", "x", "")])
    rates = Source(side, folder, "*.csv")
    land(run, rates)
    ingest(run, rates)

    def rated(raw: pl.LazyFrame, rates: pl.LazyFrame) -> pl.LazyFrame:
        known = rates.select("order", AMOUNT.cast(pl.Int64).cast(pl.String).alias("value"))
        return raw.join(known, on="order", how="left").select("order", "value", "day", *PROVENANCE)

    write_orders(tmp_path / "in", "a.csv", GOOD)
    with pytest.raises(HopFailed, match=r"it raises on r\.csv line 3"):
        bring(
            run,
            tmp_path / "in",
            hop(dataclasses.replace(sales, max_rejected=0.1, max_rejected_from=1), write="merge", raw=changes(bronze_orders), rates=side)(rated),
        )


def test_killed_between_rejects_and_rows_nothing_is_there_twice(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quarantine is committed first; the run that follows replaces what the killed one left."""
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "x", ""), GOOD[1]])
    with monkeypatch.context() as patched:
        patched.setattr(executing, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bring(run, tmp_path, declared(_cast))
    bring(run, tmp_path, declared(_cast))
    assert (numbers(run), [place[:2] for place in rejected(run)]) == ([1, 3], [("a.csv", 2)])


def test_a_trace_through_a_hop_that_raised_is_equal(run: Run, tmp_path: Path) -> None:
    """The rows beside those that were set aside still trace to their raw lines."""
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "x", ""), GOOD[1]])
    one = declared(_cast)
    pipeline = Pipeline("shop", [source_at(tmp_path)], [one])
    pipeline.run(run).raise_failures()
    found = trace(run, [pipeline], sales.name, run.log("silver/shop/sales").version(), {"order": 3})
    assert (found.judged.verdict, [record.line for record in found.again.records]) == ("equal", [4])


def test_the_good_path_looks_for_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a raise nothing is searched."""
    monkeypatch.setattr("lake.transform.set_apart", None)
    write_orders(tmp_path, "a.csv", GOOD)
    bring(run, tmp_path, declared(_cast))
    assert numbers(run) == [1, 3]


def test_the_demo_turns_dates_that_are_none_into_rejects() -> None:
    """30 February is text that the contract cannot read: a broken rule of one row, and nothing raises."""
    columns = [
        "year",
        "month",
        "day",
        "carrier",
        "flight",
        "origin",
        "dest",
        "tailnum",
        "sched_dep_time",
        "sched_arr_time",
        "dep_delay",
        "arr_delay",
        "air_time",
        "distance",
    ]
    rows = [
        ["2013", month, day, "UA", "1", "EWR", "IAH", "N1", "515", "819", "2", "11", "227", "1400"] for month, day in (("2", "30"), ("2", "28"), ("x", "1"))
    ]
    raw = pl.DataFrame(rows, schema=columns, orient="row").with_row_index("_row", 1).with_columns(
        pl.col("_row").cast(pl.Int64), pl.lit("raw/nyc.flights/0/a.csv").alias("_file"), pl.lit(None, pl.Datetime("us", "UTC")).alias("_landed")
    )  # fmt: skip
    airports = pl.LazyFrame({"airport": ["EWR", "IAH"], "zone": ["America/New_York", "America/Chicago"]})
    judged = judge(Flight, clean_flights(raw.lazy(), airports), who="clean_flights")
    assert judged.good.select("flight_date", "_row").collect().rows() == [(dt.date(2013, 2, 28), 2)]
    assert [(row[0], "flight_date|date" in row[2], row[1]) for row in judged.bad.select("_row", "flight_date", "_rules").sort("_row").collect().rows()] == [
        (1, True, "2013-02-30"), (3, True, "2013-0x-01")
    ]  # fmt: skip


class Cheap(Contract):
    """An order that costs little."""

    order = dy.Int64(primary_key=True, description="Number")
    amount = dy.Int64(nullable=True, max=10, metadata={"unit": "EUR"}, description="What it costs")


class Dear(Contract):
    """An order."""

    order = dy.Int64(primary_key=True, description="Number")
    amount = dy.Int64(nullable=True, max=1000, metadata={"unit": "EUR"}, description="What it costs")


def test_rows_that_are_let_in_alone_leave_those_that_still_raise_where_they_are(run: Run, tmp_path: Path) -> None:
    """A rule is relaxed: the row that broke it comes in, into its place; that on which the hop raises is set aside again, and asked for keys nothing raises."""

    def priced(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", AMOUNT.cast(pl.Int64), *PROVENANCE)

    def table(contract: type[Contract]) -> Table:
        return Table("silver.shop.prices", contract, max_rejected=1.0)

    write_orders(tmp_path, "a.csv", [(1, "a", "5", ""), (2, "a", "x", ""), (3, "a", "50", "")])
    bring(run, tmp_path, declared(priced, table(Cheap)))
    write_orders(tmp_path, "b.csv", [(3, "a", "7", ""), (4, "a", "8", "")])
    bring(run, tmp_path, declared(priced, table(Cheap)))
    one = declared(priced, table(Dear))
    outcome = readmit_rows(run, one)
    assert (outcome.mode, outcome.ledger.read, outcome.ledger.rejected) == ("readmit", 2, 1)
    assert [(row["order"], row["amount"]) for row in rows_of(run, table(Dear))] == [(1, 5), (3, 7), (4, 8)]
    assert [place[:3] for place in rejected(run, table(Dear))] == [("a.csv", 2, ["sell raises"])]
    execute(run, one, full=True)
    assert [(row["order"], row["amount"]) for row in rows_of(run, table(Dear))] == [(1, 5), (3, 7), (4, 8)]
