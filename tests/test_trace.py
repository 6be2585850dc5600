"""Tracing rows of small lakes: raw files of every kind, what is said when something is not as it was, what is read, and the way up."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lake.contract import PROVENANCE, Contract
from lake.errors import UnknownName
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.pipeline import Pipeline
from lake.release import find_release, numbers, read_release
from lake.rules import references
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of
from lake.trace import Reached, Trace, reach, trace
from tests.tiny import bronze_orders, clean, clean_orders, orders, source_at, sum_orders, total, totals, write_orders

_ROWS = [(1, "ann", "1.50", "2026-01-01"), (2, "bob", "2.00", "2026-01-02"), (3, "ann", "4.00", "2026-01-02"), (4, "cy", "lots", "2026-01-03")]


def _flow(folder: Path, *hops: Hop) -> Pipeline:
    return Pipeline("shop", [source_at(folder)], list(hops) or [clean_orders, sum_orders])


def _run(run: Run, flow: Pipeline) -> Pipeline:
    assert flow.run(run).failures == {}
    return flow


def _newest(run: Run, table: str) -> int:
    return run.log(path_of(table)).version()


def _trace(run: Run, flow: Pipeline, table: Table, **key: Any) -> Trace:
    return trace(run, [flow], table.name, _newest(run, table.name), key)


def _reach(run: Run, flow: Pipeline, place: str) -> Reached:
    return reach(run, [flow], place, {step.name: _newest(run, step.name) for step in flow.steps if step.kind != "land"})


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Pipeline:
    """Orders and what each customer ordered, from two files, the second with a correction."""
    write_orders(tmp_path, "a.csv", _ROWS)
    flow = _run(run, _flow(tmp_path))
    write_orders(tmp_path, "b.csv", [(2, "bob", "3.00", "2026-01-02"), (5, "ann", "0.50", "2026-01-04")])
    return _run(run, flow)


def test_a_total_is_traced_to_its_lines(run: Run, shop: Pipeline) -> None:
    """The rows of each table below, and each raw record with its line and text."""
    found = _trace(run, shop, totals, customer="ann")
    assert found.verdict == "equal"
    assert found.verdict_line() == "computed again from 3 raw records: equal"
    assert found.raw.sort("text").select("name", "record", "line", "text", "superseded").rows() == [
        ("a.csv", 1, 2, "1,ann,1.50,2026-01-01", False), ("a.csv", 3, 4, "3,ann,4.00,2026-01-02", False), ("b.csv", 2, 3, "5,ann,0.50,2026-01-04", False),
    ]  # fmt: skip
    assert [(row["table"], row["depth"], row["role"]) for row in found.rows.to_dicts()] == [
        (totals.name, 0, "row"), *[(orders.name, 1, "orders")] * 3, *[(bronze_orders.name, 2, "raw")] * 3,
    ]  # fmt: skip
    assert json.loads(found.rows["key"][0]) == {"customer": "ann"}
    assert json.loads(found.rows["values"][0]) == {"orders": 3, "amount": "6.00"}
    assert "3 of silver.shop.orders" in repr(found)
    assert "1,ann,1.50" in found._repr_html_()


def test_a_corrected_record_is_named_as_superseded(run: Run, shop: Pipeline) -> None:
    """The record that lost is part of the trace, and said to have lost."""
    found = _trace(run, shop, totals, customer="bob")
    assert found.verdict == "equal"
    assert found.raw.sort("superseded").select("text", "superseded").rows() == [("2,bob,3.00,2026-01-02", False), ("2,bob,2.00,2026-01-02", True)]
    assert found.rows.filter(pl.col("role") == "superseded")["text"].to_list() == ["2,bob,2.00,2026-01-02"]


def test_a_trace_is_as_of_a_version(run: Run, shop: Pipeline) -> None:
    """An earlier version of the table is traced to what it was made from."""
    found = trace(run, [shop], totals.name, 0, {"customer": "bob"})
    assert found.verdict == "equal"
    assert found.raw["text"].to_list() == ["2,bob,2.00,2026-01-02"]
    assert found.row["amount"].to_list()[0] == 2


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ({}, "which row of gold.shop.totals is meant. Say so by its columns: customer, orders, amount"),
        ({"custmer": "ann"}, "no column of gold.shop.totals is called 'custmer'. Did you mean customer?"),
        ({"customer": "anne"}, "gold.shop.totals version 1 has no row with customer=anne. customer is ann"),
        ({"orders": "two"}, "'two' is no value of gold.shop.totals.orders, which is Int64. Write it as in orders=12"),
        ({"customer": "ann", "orders": 7}, "gold.shop.totals version 1 has no row with customer=ann, orders=7. With customer=ann, orders is 3"),
    ],
)
def test_a_row_that_is_not_there_is_told_with_what_is_near(run: Run, shop: Pipeline, key: dict[str, Any], told: str) -> None:
    """A column or value that cannot be, and a key that no row has."""
    with pytest.raises(UnknownName) as error:
        _trace(run, shop, totals, **key)
    assert str(error.value) == told


def test_several_rows_are_traced_up_to_a_limit(run: Run, shop: Pipeline) -> None:
    """Any columns may be given; what was left out is counted."""
    found = trace(run, [shop], orders.name, _newest(run, orders.name), {"customer": "ann"}, limit=2)
    assert (found.matched, found.row.height, found.verdict) == (3, 2, "equal")
    assert found.raw.height == 2


def test_a_stored_value_that_is_not_what_the_lines_say_differs(run: Run, shop: Pipeline, tmp_path: Path) -> None:
    """A gold file exchanged behind the lake's back: the trace names the table and the column, and shows what was and is."""
    there = run.snapshot(path_of(totals.name), _newest(run, totals.name))
    local = tmp_path / "changed.parquet"
    there.scan().with_columns((pl.col("amount") + 1).cast(pl.Decimal(38, 2))).collect().write_parquet(local)
    run.store.put(f"{there.path}/{there.files[0].path}", local.read_bytes())
    found = _trace(run, shop, totals, customer="ann")
    assert found.verdict == "differs"
    assert found.verdict_line() == "computed again from 3 raw records: DIFFERS: gold.shop.totals: 1 row other in amount"
    assert found.judged.found.examples.select("column", "was", "is").rows() == [("amount", '"7.00"', '"6.00"')]


def test_a_row_of_other_code_is_shown_and_not_computed(run: Run, shop: Pipeline, tmp_path: Path) -> None:
    """The commit that has the code is named; what was stored is still there to see."""

    def half(orders: pl.LazyFrame) -> pl.LazyFrame:
        return total(orders).with_columns((pl.col("amount") / 2).cast(pl.Decimal(38, 2)))

    found = _trace(run, _flow(tmp_path, clean_orders, hop(totals, counts="orders", orders=orders)(half)), totals, customer="ann")
    assert found.verdict == "not computed"
    assert "the code is no longer what made it" in found.verdict_line()
    assert "and trace there" in found.verdict_line()
    assert found.row["orders"].to_list() == [3]
    assert _trace(run, Pipeline("shop", [source_at(tmp_path)], []), totals, customer="ann").verdict_line().endswith("no flow of this checkout fills it")


def _csv(rows: list[tuple[Any, ...]]) -> str:
    return "order,customer,amount,day\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def _zipped(text: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("in.csv", text)
        archive.writestr("other.csv", "order,customer,amount,day\n9,eve,1.00,2026-01-01\n")
    return held.getvalue()


def _parquet(text: str) -> bytes:
    held = io.BytesIO()
    pl.read_csv(io.StringIO(text), infer_schema=False).write_parquet(held)
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "made", "line", "text"),
    [
        ("o.csv", lambda text: text.encode(), 5, "2,bob,2.00,2026-01-02"),
        ("o.csv.gz", lambda text: gzip.compress(text.encode()), 5, "2,bob,2.00,2026-01-02"),
        ("o.zip", _zipped, 5, "2,bob,2.00,2026-01-02"),
        ("latin.csv", lambda text: text.replace("ann", "änn").encode("latin-1"), 5, "2,bob,2.00,2026-01-02"),
        ("lines.csv", lambda text: text.replace("ann", "änn").encode() .replace(b"2,bob", b"2,b\xf6b"), 5, "2,böb,2.00,2026-01-02"),
        ("bars.csv", lambda text: text.replace(",", "||").encode(), 5, "2||bob||2.00||2026-01-02"),
        ("padded.csv", lambda text: text.replace(",", "\0\0,").encode(), 5, "2\0\0,bob\0\0,2.00\0\0,2026-01-02"),
        ("o.jsonl", lambda text: "".join(json.dumps(row) + "\n" for row in pl.read_csv(io.StringIO(text), infer_schema=False).to_dicts()).encode(), 2, None),
        ("o.parquet", _parquet, None, None),
    ],
)  # fmt: skip
def test_a_record_is_shown_as_it_stands_in_any_file(
    run: Run, tmp_path: Path, name: str, made: Callable[[str], bytes], line: int | None, text: str | None
) -> None:
    """Packed, in an archive, in another encoding, as JSON lines; where a value before it has line ends its line is not its number. Parquet has no text."""
    written = _csv([(1, '"ann\nand\nbob"', "1.50", "2026-01-01"), (2, "bob", "2.00", "2026-01-02")])
    (tmp_path / name).write_bytes(made(written))
    source = Source(bronze_orders, tmp_path)
    flow = _run(run, Pipeline("shop", [source], [clean_orders, sum_orders]))
    found = _trace(run, flow, orders, order=2)
    assert found.verdict_line() == "computed again from 1 raw record: equal"
    (one,) = found.raw.to_dicts()
    assert (one["record"], one["line"]) == (2, line)
    if text is not None or line is None:
        assert one["text"] == text
    else:
        assert json.loads(one["text"])["customer"] == "bob"
    first = _trace(run, flow, orders, order=1)
    assert first.verdict == "equal"
    if line == 5:
        assert first.raw.select("line", "text").row(0)[0] == 2
        assert 'nn\nand\nbob"' in first.raw["text"][0]
        assert first.raw["text"][0].endswith("2026-01-01")
    assert _reach(run, flow, f"{found.raw['file'][0]}:2").tables[orders.name, 0].rows["order"].to_list() == [2]


def test_the_way_up_tells_rows_rejects_and_releases(run: Run, shop: Pipeline) -> None:
    """A record that made rows, one that lost, one that was rejected, one that is none; by the file's name or its object."""
    reached = _reach(run, shop, "a.csv:1")
    assert {table: touched.rows.height for (table, _), touched in reached.tables.items()} == {bronze_orders.name: 1, orders.name: 1, totals.name: 1}
    assert reached.releases == [1, 2]
    assert [entry["key"] for entry in reached.entries() if entry["table"] == totals.name] == [{"customer": "ann"}]
    lost = _reach(run, shop, "a.csv:2")
    assert [entry["role"] for entry in lost.entries() if entry["table"] == orders.name] == ["superseded"]
    rejected = _reach(run, shop, f"{reached.file}:4")
    assert [(entry["table"], entry["role"], entry["why"]) for entry in rejected.entries()][1:] == [(orders.name, "rejected", "amount|dtype")]
    assert _reach(run, shop, "b.csv:2").releases == [2]
    for place, told in (
        ("a.csv:9", "no row is from record 9 of a.csv. bronze.shop.orders has records up to 4 of it"),
        ("c.csv:1", "no landed file is called 'c.csv'. Did you mean "),
        ("a.csv", "'a.csv' is no raw record. Write FILE:RECORD"),
    ):
        with pytest.raises(UnknownName, match=told.replace(".", r"\.")):
            _reach(run, shop, place)


class Note(Contract):
    """An order of a known customer, unless it was cancelled."""

    order = dy.Int64(primary_key=True, description="Number")
    customer = dy.String(nullable=False, description="Who")


class Customer(Contract):
    """A customer."""

    customer = dy.String(primary_key=True, description="Who")


def test_references_and_deletions_are_part_of_it(run: Run, tmp_path: Path) -> None:
    """A row that another table lets in is computed again with the row it refers to; a deleted key that came back with all that was said of it."""
    known = Table("silver.shop.customers", Customer)
    notes = Table("silver.shop.notes", Note, max_rejected=1.0, rules=(references("customer", known, severity="quarantine"),))
    bronze_known = Table("bronze.shop.customers")

    def people(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("customer", *PROVENANCE)

    def noted(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", "customer", (pl.col("amount") == "0").alias("gone"), *PROVENANCE)

    hops = [hop(known, write="merge", raw=changes(bronze_known))(people), hop(notes, write="merge", deletes="gone", raw=changes(bronze_orders))(noted)]
    flow = Pipeline("shop", [Source(bronze_known, tmp_path / "known"), source_at(tmp_path / "orders")], hops)
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "k.csv").write_text("customer\nann\ncy\n")
    for name, amount in (("1.csv", 5), ("2.csv", 0), ("3.csv", 7)):
        write_orders(tmp_path / "orders", name, [(1, "ann", amount, "2026-01-01"), (2, "eve", amount, "2026-01-01")])
        _run(run, flow)
    found = _trace(run, flow, notes, order=1)
    assert found.verdict_line() == "computed again from 4 raw records: equal"
    assert found.raw.filter(~pl.col("superseded"))["text"].sort().to_list() == ["1,ann,7,2026-01-01", "ann"]
    assert found.raw.filter(pl.col("superseded")).height == 2


def test_the_groups_that_a_hop_declares_narrow_even_its_own_functions(run: Run, tmp_path: Path) -> None:
    """A hop that writes by key is given the rows of its groups and no others, whatever it does with them."""

    def by_hand(orders: pl.LazyFrame) -> pl.LazyFrame:
        schema = {"customer": pl.String, "orders": pl.Int64, "amount": pl.Decimal(38, 2)}
        return orders.select("customer", "amount").map_batches(lambda frame: total(frame.lazy()).collect(), schema=schema)

    write_orders(tmp_path, "a.csv", _ROWS)
    flow = _run(run, _flow(tmp_path, clean_orders, hop(totals, write="by_key", counts="orders", orders=changes(orders))(by_hand)))
    found = _trace(run, flow, totals, customer="ann")
    assert (found.verdict, found.wide, found.raw.height) == ("equal", {}, 2)
    assert _reach(run, flow, "a.csv:1").tables[totals.name, 0].rows["customer"].to_list() == ["ann"]


def test_one_row_of_a_table_of_many_files_reads_few_of_them(run: Run, tmp_path: Path) -> None:
    """A row of 80,000 in 16 data files, landed as 16 raw files: two or three data files are opened and one raw file is read."""
    flow, each = _flow(tmp_path), 5_000
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(16)]
    for number, day in enumerate(days):
        frame = pl.select(order=pl.int_range(number * each, (number + 1) * each)).with_columns(
            customer=pl.format("c{}", pl.col("order")), amount=pl.lit("1.50"), day=pl.lit(day.isoformat())
        )
        frame.write_csv(tmp_path / f"{number}.csv")
        land(run, source_at(tmp_path))
        ingest(run, source_at(tmp_path))
        if number in (0, len(days) - 1):
            _run(run, flow)
    assert len(run.snapshot(path_of(bronze_orders.name), _newest(run, bronze_orders.name)).files) == 16
    found = _trace(run, flow, orders, order=53_456)
    assert found.verdict_line() == "computed again from 1 raw record: equal"
    (raw,) = found.raw.to_dicts()
    assert (raw["name"], raw["record"], raw["text"]) == ("10.csv", 3_457, "53456,c53456,1.50,2026-01-11")
    assert found.read.files <= 3
    assert found.read.files_of >= 18
    assert found.read.bytes < 500_000


def test_a_trace_of_a_release_is_of_what_it_pins(run: Run, shop: Pipeline) -> None:
    """Each release's version of the table, traced, is what the release says."""
    assert numbers(run.store) == [1, 2]
    latest = find_release(run.store)
    assert latest is not None
    for release in (read_release(run.store, 1), latest):
        pin = release.tables[totals.name].version
        amounts = trace(run, [shop], totals.name, pin, {"customer": "bob"}).row["amount"].to_list()
        assert [float(amount) for amount in amounts] == [2.0 if release.number == 1 else 3.0]


def test_rows_without_a_key_are_traced_by_their_place(run: Run, tmp_path: Path) -> None:
    """A table that only grows has no key: any of its columns find rows, and each is traced to its own record."""
    log = Table("silver.shop.log", orders.contract, max_rejected=1.0)
    write_orders(tmp_path, "a.csv", [*_ROWS, _ROWS[0]])
    flow = _run(run, _flow(tmp_path, hop(log, write="append", raw=changes(bronze_orders))(clean)))
    found = _trace(run, flow, log, customer="ann", order=1)
    assert (found.verdict, found.row.height) == ("equal", 2)
    assert found.raw["record"].sort().to_list() == [1, 5]
