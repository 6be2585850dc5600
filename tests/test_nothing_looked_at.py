"""A proof that looked at nothing says so and fails; and a bronze table whose columns come and go is proved equal by each of the proofs."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lake.contract import PROVENANCE
from lake.hop import changes, hop
from lake.pipeline import Pipeline
from lake.release import Release, release_meant
from lake.replay import replay
from lake.retired import retire
from lake.run import Run
from lake.source import Source
from lake.table import Table
from lake.trace import reach, trace
from lake.verify import verify
from tests.test_cli import Said, answer
from tests.test_waiting import Other
from tests.tiny import bronze_orders, clean_orders, orders, rows_of, source_at, sum_orders, totals, write_orders

_bronze = Table("bronze.shop.other")
_others = Table("silver.shop.other", Other, owner="shop")
_keep = hop(_others, write="merge", raw=changes(_bronze))(lambda raw: raw.select("order", *PROVENANCE))


def _prove(run: Run, flow: Pipeline, release: Release, *keys: dict[str, object]) -> None:
    assert {row["table"]: row["verdict"] for row in verify(run, flow, share=1.0)} == dict.fromkeys(release.tables, "equal")
    assert {one.table: (one.verdict, one.why) for one in replay(run, release, [flow])} == dict.fromkeys(release.tables, ("equal", ""))
    for key in keys:
        found = trace(run, [flow], _others.name, release.tables[_others.name].version, key)
        assert (found.verdict, found.raw.height) == ("equal", 1), found


@pytest.mark.parametrize("again", ["note", "Note", "an extra"], ids=["same name", "other case", "another"])
def test_a_bronze_column_that_goes_and_comes_back(run: Run, tmp_path: Path, again: str) -> None:
    """Dropped in later files, and added again later still: verify, replay and trace agree after each delivery, about rows of every era."""
    flow = Pipeline("shop", [Source(_bronze, tmp_path, "*.csv")], [_keep])
    eras = ["order,note\n1,x\n2,y\n", "order\n3\n4\n", f"order,{again}\n5,z\n1,w\n", "order\n6\n"]
    for number, text in enumerate(eras):
        (tmp_path / f"{number}.csv").write_text(text, "utf-8")
        report = flow.run(run)
        report.raise_failures()
        release = release_meant(run.store)
        _prove(run, flow, release, *({"order": str(order)} for order in (2, 3, 5, 6)[: number + 1]))
    notes = {row["order"]: row["note"] for row in rows_of(run, _bronze) if row["order"] in "26"}
    assert notes == {"2": "y", "6": None}


def test_declared_dropped_and_declared_no_more(run: Run, tmp_path: Path) -> None:
    """A column that a table declares dropped, and later keeps again: rows of each time are proved as they were read then."""
    eras = [
        ("order,note\n1,x\n", Table(_bronze.name)),
        ("order,note\n2,y\n", Table(_bronze.name, dropped=("note",))),
        ("order,note\n3,z\n", Table(_bronze.name)),
    ]
    for number, (text, table) in enumerate(eras):
        (tmp_path / f"{number}.csv").write_text(text, "utf-8")
        keep = hop(_others, write="merge", raw=changes(table))(_keep.function)
        flow = Pipeline("shop", [Source(table, tmp_path, "*.csv")], [keep])
        flow.run(run).raise_failures()
        _prove(run, flow, release_meant(run.store), {"order": str(number + 1)})


def _typed(run: Run, *words: str) -> Said:
    return answer(*words, "--env", run.settings.env, LAKE_HOME=str(run.settings.home))


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_what_looked_at_nothing_says_so_and_fails(run: Run, tmp_path: Path, more: tuple[str, ...]) -> None:
    """Verify where no table is, a replay of what no flow fills, a trace of what no code here makes, a replay of retired tables alone: one line, exit code 1, and never `equal`."""
    nothing = _typed(run, "verify", *more).refused("nothing was verified: no table has a version", "lake run")
    write_orders(tmp_path, "a.csv", [(1, "ann", "1.50", "2024-01-01")])
    Pipeline("shop", [source_at(tmp_path)], [clean_orders, sum_orders]).run(run).raise_failures()
    replayed = _typed(run, "replay", *more).refused("3 of 3 tables not reproduced", "no flow of this checkout fills it")
    traced = _typed(run, "trace", "gold.shop.totals", "customer=ann", *more).refused("gold.shop.totals")
    verified = _typed(run, "verify", *more).refused("nothing was verified")
    retire(run.store, run.info, release_meant(run.store).tables, "sold")
    left_out = _typed(run, "replay", *more).refused("nothing was computed again", "all retired", "sold")
    for said in (nothing, replayed, traced, verified, left_out):
        assert "0 raw records: equal" not in said.out + said.err
        if more and said.out:
            assert "equal" not in {row.get("verdict") for row in json.loads(said.out)}


def test_a_trace_without_a_raw_record_is_no_proof(run: Run, tmp_path: Path) -> None:
    """In Python too: its verdict is that nothing was computed, and it says why; a raw record that reached nothing is refused."""
    write_orders(tmp_path, "a.csv", [(1, "ann", "1.50", "2024-01-01")])
    flow = Pipeline("shop", [source_at(tmp_path)], [clean_orders, sum_orders])
    flow.run(run).raise_failures()
    found = trace(run, [], "gold.shop.totals", 0, {"customer": "ann"})
    assert (found.looked, found.verdict) == (False, "not computed")
    assert "equal" not in found.verdict_line()
    reached = reach(run, [flow], "a.csv:1", {bronze_orders.name: 0})
    assert [row["role"] for row in reached.entries()] == ["row"]


def test_a_row_made_of_no_row_is_not_proved_by_a_trace(run: Run, tmp_path: Path) -> None:
    """It comes out equal when it is computed again, from nothing: the trace says that nothing was looked at, where it would be `equal from 0 raw records`."""

    def everything(orders: pl.LazyFrame) -> pl.LazyFrame:
        return orders.select(
            pl.lit("all").alias("customer"), (pl.len() + 1).cast(pl.Int64).alias("orders"), pl.lit("0").cast(pl.Decimal(38, 2)).alias("amount")
        )

    write_orders(tmp_path, "a.csv", [(1, "test", "1.50", "2024-01-01")])
    flow = Pipeline("shop", [source_at(tmp_path)], [clean_orders, hop(totals, expands="a row of its own", orders=orders)(everything)])
    flow.run(run).raise_failures()
    found = trace(run, [flow], "gold.shop.totals", 0, {"customer": "all"})
    assert found.again.judged["gold.shop.totals", 0].verdict == "equal"
    assert (found.looked, found.verdict) == (False, "not computed")
    assert "nothing was looked at" in found.verdict_line()
