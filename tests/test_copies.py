"""The same bytes under another name: a copy that is left out and named each time, or a delivery of its own, as the source declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.errors import DeclarationError
from lake.landed import landed_line
from lake.landing import land
from lake.pipeline import Pipeline
from lake.readmit import readmit_files
from lake.receipts import LANDINGS
from lake.record import Notice
from lake.replay import replay
from lake.run import Run
from lake.source import Source
from lake.trace import reach, trace
from lake.verify import verify
from tests.tiny import bronze_orders, clean_orders, last_record, orders, rows_of, sum_orders, write_orders

_A = [(1, "ann", "1.00", "2024-01-01"), (2, "bob", "2.00", "2024-01-01")]
_B = [(1, "ann", "5.00", "2024-01-02")]


def brought(run: Run, folder: Path, copies: str) -> tuple[Pipeline, str, dict[int, str]]:
    """Everything brought up to date: the pipeline, what landing said, and the amounts by order."""
    pipeline = Pipeline("shop", [Source(bronze_orders, folder, "*.csv", copies=copies)], [clean_orders, sum_orders])  # type: ignore[arg-type]  # a word
    report = pipeline.run(run)
    report.raise_failures()
    return pipeline, report.results["land shop.orders"].line, {row["order"]: str(row["amount"]) for row in rows_of(run, orders)}


def proved(run: Run, pipeline: Pipeline) -> None:
    """Verify, replay and a trace find what is there."""
    assert {row["verdict"] for row in verify(run, pipeline, share=1.0)} == {"equal"}
    report = pipeline.run(run)
    assert report.release is not None
    assert {one.verdict for one in replay(run, report.release, [pipeline])} == {"equal"}
    assert trace(run, [pipeline], orders.name, report.release.tables[orders.name].version, {"order": 1}).verdict == "equal"


def test_a_copy_is_named_with_the_file_it_equals(run: Run, tmp_path: Path) -> None:
    """Output, record and facts name it, and what to declare if deliveries may repeat; its rows do not come in."""
    write_orders(tmp_path, "day1.csv", _A)
    brought(run, tmp_path, "skip")
    write_orders(tmp_path, "day2.csv", _B)
    brought(run, tmp_path, "skip")
    write_orders(tmp_path, "day3.csv", _A)
    pipeline, line, amounts = brought(run, tmp_path, "skip")
    told = 'day3.csv is day1.csv, byte for byte; if deliveries may repeat, declare Source(copies="deliver")'
    assert line == f"1 copy of landed files left out ({told})"
    landing = run.log(LANDINGS).head()[1]
    assert landing is not None
    assert landing.notices == [Notice(column="", what="copy", detail="day1.csv", file="day3.csv")]
    assert landing.notices[0].line() == "day3.csv is left out: it is day1.csv, byte for byte"
    assert amounts == {1: "5.00", 2: "2.00"}
    proved(run, pipeline)


def test_copies_that_come_together_are_each_named(run: Run, tmp_path: Path) -> None:
    """The first of them lands, the others equal it."""
    for name in ("a.csv", "b.csv", "c.csv"):
        write_orders(tmp_path, name, _A)
    landed = land(run, Source(bronze_orders, tmp_path, "*.csv"))
    assert (landed.new, landed.copies) == (["a.csv"], {"b.csv": "a.csv", "c.csv": "a.csv"})
    assert "2 copies of landed files left out (b.csv is a.csv, c.csv is a.csv, byte for byte;" in landed_line(landed)


def test_a_state_that_returns_is_the_newest_where_deliveries_count(run: Run, tmp_path: Path) -> None:
    """A, B, A ends as A: the rows come in again with their own place, and increments are what everything anew gives."""
    for day, rows in enumerate((_A, _B, _A, _B, _A), 1):
        write_orders(tmp_path, f"day{day}.csv", rows)
        pipeline, line, amounts = brought(run, tmp_path, "deliver")
        assert "left out" not in line
        assert amounts == {1: "5.00" if rows is _B else "1.00", 2: "2.00"}
    there = run.snapshot("bronze/shop/orders", run.log("bronze/shop/orders").version()).scan().select("_file", "_row").collect()
    assert (there.height, there.unique().height) == (8, 8), "each delivery has places of its own"
    proved(run, pipeline)


def test_deliveries_of_one_name_have_places_of_their_own(run: Run, tmp_path: Path) -> None:
    """The same name in two folders, and one file that goes back to what it was: each is in raw, with a receipt, under its content's hash."""
    write_orders(tmp_path / "a", "x.csv", _A)
    brought(run, tmp_path, "deliver")
    write_orders(tmp_path / "b", "x.csv", _A)
    brought(run, tmp_path, "deliver")
    write_orders(tmp_path / "a", "x.csv", _B)
    brought(run, tmp_path, "deliver")
    write_orders(tmp_path / "a", "x.csv", _A)
    pipeline, _, amounts = brought(run, tmp_path, "deliver")
    assert amounts == {1: "1.00", 2: "2.00"}
    receipts = run.snapshot(LANDINGS, run.log(LANDINGS).version()).scan().collect()
    assert receipts["file"].n_unique() == 4
    assert all(run.store.head(file) is not None for file in receipts["file"])
    proved(run, pipeline)


def test_a_copy_that_was_left_out_comes_in_when_deliveries_are_declared(run: Run, tmp_path: Path) -> None:
    """At the place in history that it would have had: what landed after it stays the newest."""
    for name, rows in (("day1.csv", _A), ("day2.csv", _B), ("day3.csv", _A)):
        write_orders(tmp_path, name, rows)
        brought(run, tmp_path, "skip")
    later = [(1, "ann", "9.00", "2024-01-04")]
    write_orders(tmp_path, "day4.csv", later)
    assert brought(run, tmp_path, "skip")[2] == {1: "9.00", 2: "2.00"}
    pipeline, line, amounts = brought(run, tmp_path, "deliver")
    assert line.startswith("1 new file (day3.csv;")
    assert amounts == {1: "9.00", 2: "2.00"}
    assert brought(run, tmp_path, "deliver")[1] == "nothing new (4 files known)"
    proved(run, pipeline)


def test_rejects_of_two_deliveries_are_told_apart(run: Run, tmp_path: Path) -> None:
    """Each delivery's broken line is its own reject, and reading them again changes nothing."""
    text = 'order,customer,amount,day\n1,ann,1.00,2024-01-01\n"open,1\n'
    for name in ("day1.csv", "day2.csv"):
        (tmp_path / name).write_text(text)
        pipeline, _, _ = brought(run, tmp_path, "deliver")
    assert last_record(run, bronze_orders).rejects == 2
    (source,) = pipeline.sources.values()
    assert [(found.rows, found.why) for found in readmit_files(run, source)] == [(0, "it reads as it did")] * 2
    proved(run, pipeline)


def test_a_copy_is_followed_to_what_it_equals(run: Run, tmp_path: Path) -> None:
    """Asked for a record of a file that was left out, the trace goes by the file that it equals."""
    write_orders(tmp_path, "day1.csv", _A)
    brought(run, tmp_path, "skip")
    write_orders(tmp_path, "day3.csv", _A)
    pipeline, _, _ = brought(run, tmp_path, "skip")
    versions = {name: run.log(name.replace(".", "/")).version() for name in ("bronze.shop.orders", "silver.shop.orders")}
    assert reach(run, [pipeline], "day3.csv:1", versions).file.endswith("day1.csv.zst")


def test_copies_is_one_of_two_words() -> None:
    """Any other is refused where it is declared."""
    with pytest.raises(DeclarationError, match=r"copies='keep' is unknown\. Choose 'skip' or 'deliver'"):
        Source(bronze_orders, "x", copies="keep")  # type: ignore[arg-type]
