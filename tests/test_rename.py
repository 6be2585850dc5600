"""Tables get other names and keep what they are: rows, history, releases, lineage, rejects, proofs. One object does it, whole or not at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from click.testing import CliRunner

from lake.catalog import Catalog
from lake.cli import cli
from lake.contract import Contract
from lake.descent import column_rows
from lake.errors import CommitConflict, LakeError, StoreError, UnknownName
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.lakehouse import Lake
from lake.landing import land
from lake.lineage import downstream, upstream
from lake.maintain import maintain
from lake.metrics import LakeCollector
from lake.names import Names, Renaming
from lake.pipeline import Pipeline, Report
from lake.readmit import readmit_rows
from lake.release import find_release, read_release, release_meant, resume, rollback
from lake.rename import planned, rename, still_called
from lake.replay import replay
from lake.retired import retire
from lake.rules import references
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.source import Source
from lake.store import Store
from lake.table import Table
from lake.trace import reach
from lake.trace.tracing import trace
from lake.verify import verify
from tests.conftest import ROOT, fresh_env
from tests.tiny import Order, bronze_orders, clean, clean_orders, orders, total, totals, write_orders

NAMES = ["bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"]
SALES = ["bronze.sales.orders", "silver.sales.orders", "gold.sales.totals"]


class Lenient(Contract):
    """An order, of whomever."""

    order = dy.Int64(primary_key=True, description="Number of the order")
    customer = dy.String(nullable=False, description="Who ordered")
    amount = dy.Decimal(12, 2, nullable=False, min=0, metadata={"unit": "EUR"}, description="What it costs")
    day = dy.Date(nullable=True, description="When it was placed")


@pytest.fixture
def lake(weed_home: Path) -> Settings:
    """Settings for an empty lake whose upkeep waits for nothing."""
    return load_settings(home=weed_home, root=ROOT, env=fresh_env(), grace=dt.timedelta(0), retention=dt.timedelta(0))


@pytest.fixture
def shop(lake: Settings, tmp_path: Path) -> Iterator[Run]:
    """The tiny shop, run twice: one order is rejected."""
    with begin_run(lake, "shop", "test") as run:
        write_orders(tmp_path, "a.csv", [(1, "ann", "1.50", "2024-01-01"), (2, "test", "1.50", "2024-01-01")])
        _flow(tmp_path).run(run).raise_failures()
        write_orders(tmp_path, "b.csv", [(3, "bob", "2.50", "2024-01-02")])
        _flow(tmp_path).run(run).raise_failures()
        yield run


def _flow(folder: Path, bronze: str = NAMES[0], silver: str = NAMES[1], gold: str = NAMES[2]) -> Pipeline:
    """The shop's flow with its tables by these names."""
    raw, cleaned, summed = replace(bronze_orders, name=bronze), replace(orders, name=silver), replace(totals, name=gold)
    hops = [hop(cleaned, write="merge", raw=changes(raw))(clean), hop(summed, counts="orders", orders=cleaned)(total)]
    return Pipeline(silver.split(".")[1], [Source(raw, folder, "*.csv")], hops)


def _again(lake: Settings, work: Callable[[Run], Any]) -> Any:
    """Something done by a run of its own, which knows nothing that an earlier one remembers."""
    with begin_run(lake, "shop", "test") as run:
        return work(run)


def _rename(lake: Settings, old: str, new: str, why: str = "") -> Names:
    return _again(lake, lambda run: rename(run, planned(run, old, new), why))


def _rows(run: Run, name: str) -> list[dict[str, Any]]:
    frame = Catalog(run.store).snapshot(name).scan().select(pl.exclude("^_.*$")).collect()
    return frame.sort(frame.columns).to_dicts()


@pytest.mark.parametrize("renamed", [SALES, [*NAMES[:1], "silver.shop.bookings", *NAMES[2:]]], ids=["a subject", "one table"])
def test_a_renamed_table_is_what_it_was(shop: Run, lake: Settings, tmp_path: Path, renamed: list[str]) -> None:
    """By the new name there are its rows, history, schema, profile, rejects, lineage and releases; a run finds nothing new, and every proof is equal."""
    before = {name: Catalog(shop.store).history(name) for name in NAMES}
    rows = {name: _rows(shop, name) for name in NAMES}
    _rename(lake, *(("shop", "sales") if renamed is SALES else (NAMES[1], renamed[1])), why="we sell more")
    with begin_run(lake, "shop", "test") as run:
        catalog, flow = Catalog(run.store), _flow(tmp_path, *renamed)
        assert catalog.names() == sorted(renamed, key=renamed.index)
        for old, new in zip(NAMES, renamed, strict=True):
            assert _rows(run, new) == rows[old]
            assert [row["version"] for row in catalog.history(new)] == [row["version"] for row in before[old]]
            assert catalog.schema_versions(new)[0]["schema_version"] == 1
        assert {given["table"] for row in catalog.history(renamed[2]) for given in row["inputs"]} == {renamed[1]}
        assert catalog.rejects(renamed[1]).collect().height == 1
        assert catalog.profile(renamed[1], 1)[0].rows == 2
        report = flow.run(run)
        report.raise_failures()
        assert report.verdict == "nothing new; release 2 stands", [result.line for result in report.results.values()]
        assert not report.changed
        for number in (1, 2):
            assert sorted(read_release(run.store, number).tables) == sorted(renamed)
            assert {one.verdict for one in replay(run, read_release(run.store, number), [flow])} == {"equal"}
        assert {row["verdict"] for row in verify(run, flow, share=1.0)} == {"equal"}
        assert [node.name for node in upstream(catalog, renamed[2]).children] == [renamed[1]]
        assert [node.name for node in downstream(catalog, renamed[0]).children] == [renamed[1]]
        assert {row["table"] for row in column_rows(catalog, renamed[2], "amount", "upstream")} >= set(renamed[:2])
        assert {row["table"] for row in column_rows(catalog, renamed[0], "amount", "downstream")} >= set(renamed[1:])


def test_a_trace_goes_down_and_up_through_old_history(shop: Run, lake: Settings, tmp_path: Path) -> None:
    """A row that was made before is traced to its raw line, and that line to the row, by the new names."""
    _rename(lake, "shop", "sales")
    with begin_run(lake, "shop", "test") as run:
        flow, catalog = _flow(tmp_path, *SALES), Catalog(run.store)
        found = trace(run, [flow], SALES[2], catalog.last(SALES[2])[0], {"customer": "ann"})
        assert found.verdict == "equal"
        assert found.looked
        versions = {name: pin.version for name, pin in release_meant(run.store).tables.items()}
        reached = reach(run, [flow], "a.csv:1", versions)
        assert {table for table, _ in reached.tables} == set(SALES)
        assert reached.releases == [1, 2]


def test_what_comes_after_goes_to_the_same_table(shop: Run, lake: Settings, tmp_path: Path) -> None:
    """New files, rows that are let in again and upkeep find the one table: an increment reads only what is new, and nothing of it is taken for a leftover."""
    _rename(lake, "shop", "sales")
    write_orders(tmp_path, "c.csv", [(4, "cat", "3.50", "2024-01-03"), (5, "test", "1.00", "2024-01-03")])
    with begin_run(lake, "shop", "test") as run:
        flow = _flow(tmp_path, *SALES)
        report = flow.run(run)
        report.raise_failures()
        assert report.results[SALES[1]].outcomes[-1].mode == "incremental"
        assert report.results[f"land {SALES[0].removeprefix('bronze.')}"].landed.new == ["c.csv"]  # type: ignore[union-attr]
        assert [row["customer"] for row in _rows(run, SALES[2])] == ["ann", "bob", "cat"]
        assert {blob.path.split("/")[1] for blob in run.store.walk("raw")} == {"shop.orders"}
        assert Catalog(run.store).schema_versions(SALES[1])[0]["schema_version"] == 1
        assert Catalog(run.store).rejects(SALES[1]).collect().height == 2
        lenient = hop(replace(orders, name=SALES[1], contract=Lenient), write="merge", raw=changes(replace(bronze_orders, name=SALES[0])))(clean)
        flow = Pipeline("sales", list(flow.sources.values()), [lenient, flow.hops[SALES[2]]])
        readmitted = readmit_rows(run, lenient)
        assert (readmitted.mode, readmitted.rejects) == ("readmit", 0)
        flow.run(run).raise_failures()
        assert [row["customer"] for row in _rows(run, SALES[2])] == ["ann", "bob", "cat", "test"]
        tidied = list(maintain(run))
        assert {row["place"] for row in tidied if row["place"].startswith(("silver", "quarantine/silver"))} == {
            "silver/sales/orders",
            "quarantine/silver/sales/orders",
        }
        assert not any(row["orphans"] for row in tidied)
        assert {one.verdict for one in replay(run, release_meant(run.store), [flow])} == {"equal"}
        assert {row["verdict"] for row in verify(run, flow, share=1.0)} == {"equal"}


def test_what_landed_and_was_never_read_goes_along(lake: Settings, tmp_path: Path) -> None:
    """A subject of which files have landed and no table was made yet: after the rename they are read, and do not land again."""
    write_orders(tmp_path, "a.csv", [(1, "ann", "1.50", "2024-01-01")])
    with begin_run(lake, "shop", "test") as run:
        land(run, _flow(tmp_path).sources["shop.orders"])
    _rename(lake, "shop", "sales")
    with begin_run(lake, "shop", "test") as run:
        report = _flow(tmp_path, *SALES).run(run)
        report.raise_failures()
        assert report.results["land sales.orders"].landed.new == []  # type: ignore[union-attr]
        assert _rows(run, SALES[1])[0]["customer"] == "ann"


def test_the_old_name_says_the_new_one(shop: Run, lake: Settings, tmp_path: Path) -> None:
    """Whoever asks for it, in the command line, in Python, or in a flow that still fills or reads it, is told; nothing lands and nothing is filled."""
    _rename(lake, NAMES[1], "silver.shop.bookings", "clearer")
    write_orders(tmp_path, "c.csv", [(4, "cat", "3.50", "2024-01-03")])
    told = r"silver.shop.orders is called silver.shop.bookings now \(renamed .*clearer\)"
    with begin_run(lake, "shop", "test") as run:
        for work in (
            lambda: Catalog(run.store).last(NAMES[1]),
            lambda: Lake(run.store, find_release(run.store))[NAMES[1]],
            lambda: Lake(run.store, None)[NAMES[1]],
            lambda: _flow(tmp_path).run(run),
            lambda: execute(run, clean_orders),
            lambda: list(verify(run, _flow(tmp_path), share=1.0)),
        ):
            with pytest.raises(UnknownName, match=told):
                work()
        assert {path.path.rsplit("/", 1)[-1] for path in run.store.walk("raw")} == {"a.csv.zst", "b.csv.zst"}
    _rename(lake, NAMES[0], "bronze.shop.purchases")
    with begin_run(lake, "shop", "test") as run, pytest.raises(UnknownName, match=r"bronze.shop.orders is called bronze.shop.purchases now"):
        _flow(tmp_path, silver="silver.shop.bookings").run(run)


def test_names_in_a_row_and_back_again(shop: Run, lake: Settings, tmp_path: Path) -> None:
    """A → B → C is C by every name; back to A is A; a name that a table had is no other table's."""
    for old, new in (("silver.shop.orders", "silver.shop.b"), ("silver.shop.b", "silver.other.c")):
        _rename(lake, old, new)
    with begin_run(lake, "shop", "test") as run:
        assert Catalog(run.store).names() == [NAMES[0], "silver.other.c", NAMES[2]]
        for name in ("silver.shop.orders", "silver.shop.b"):
            with pytest.raises(UnknownName, match=r"is called silver.other.c now"):
                Catalog(run.store).last(name)
        with pytest.raises(UnknownName, match=r"is called silver.other.c now"):
            planned(run, "silver.shop.b", "silver.shop.d")
        with pytest.raises(LakeError, match=r"gold.shop.totals cannot become"):
            planned(run, NAMES[2], "silver.shop.b")
    _rename(lake, NAMES[2], "gold.shop.sums")
    _rename(lake, "silver.other.c", NAMES[1])
    _rename(lake, "gold.shop.sums", NAMES[2])
    with begin_run(lake, "shop", "test") as run:
        assert Catalog(run.store).names() == NAMES
        assert len(run.store.names.renamings) == 5
        report = _flow(tmp_path).run(run)
        report.raise_failures()
        assert not report.changed
        with pytest.raises(UnknownName, match=r"silver.other.c is called silver.shop.orders now"):
            Catalog(run.store).last("silver.other.c")


def test_what_cannot_be_renamed_says_why(shop: Run, lake: Settings, tmp_path: Path) -> None:
    """Another layer, no name, the same name, one that is taken, was another's, or has files; what is not there, is retired, or is held."""
    write_orders(tmp_path / "other", "z.csv", [(9, "zoe", "1.00", "2024-01-01")])
    flow = _flow(tmp_path / "other", "bronze.stock.orders", "silver.stock.orders", "gold.stock.totals")
    flow.run(shop).raise_failures()
    _rename(lake, "gold.stock.totals", "gold.stock.sums")
    refusals = {
        ("silver.shop.orders", "gold.shop.orders"): "the layer of a table says",
        ("silver.shop.orders", "silver.shop.Orders"): "is not a table name",
        ("silver.shop.orders", "sales"): "is not a table name",
        ("silver.shop.orders", "silver.shop.orders"): "is called so already",
        ("shop", "shop"): "is called so already",
        ("shop", "Shop"): "is not the name of a subject",
        ("silver.shop.orders", "silver.stock.orders"): "there is a table silver.stock.orders already",
        ("bronze.shop.orders", "bronze.stock.orders"): "there is a table bronze.stock.orders already",
        ("gold.shop.totals", "gold.stock.totals"): "is what gold.stock.sums was called before",
        ("shop", "stock"): "there is a subject stock already",
        ("silver.shop.oders", "silver.shop.b"): "no table is called",
        ("shoop", "sales"): "no table or subject is called",
    }
    with begin_run(lake, "shop", "test") as run:
        for (old, new), told in refusals.items():
            with pytest.raises(LakeError) as caught:
                planned(run, old, new)
            assert told in caught.value.message
            assert caught.value.hint
        both = [_flow(tmp_path, silver="silver.shop.b"), _flow(tmp_path)]
        with pytest.raises(LakeError, match=r"fills or reads both silver.shop.orders and silver.shop.b"):
            planned(run, NAMES[1], "silver.shop.b", both)
        assert still_called(both, [NAMES[1]]) == {"shop": [NAMES[1]]}
        rollback(run.store, run.info, 1, ["shop"])
        with pytest.raises(LakeError, match="shop is held"):
            planned(run, "shop", "sales")
        resume(run.store, run.info)
        retire(run.store, run.info, NAMES[2:], "sold")
        with pytest.raises(LakeError, match=r"gold.shop.totals is retired"):
            planned(run, NAMES[2], "gold.shop.b")
        assert planned(run, "shop", "sales").left == (NAMES[2],)
        assert run.store.names.number == 1


def test_a_rename_is_whole_or_not_at_all(shop: Run, lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one put that does it fails: all is as it was. Two at once: one wins, and the other is told."""
    with begin_run(lake, "shop", "test") as run:
        meant = planned(run, "shop", "sales")
        with monkeypatch.context() as broken:
            broken.setattr(Store, "put_if_absent", lambda *_: (_ for _ in ()).throw(StoreError("killed", "")))
            with pytest.raises(StoreError, match="killed"):
                rename(run, meant)
        assert Catalog(run.store).names() == NAMES
        other = planned(run, NAMES[1], "silver.shop.b")
        rename(run, meant)
        with pytest.raises(CommitConflict, match="renamed meanwhile"):
            rename(run, other)
    assert _again(lake, lambda run: Catalog(run.store).names()) == SALES


def test_a_run_that_was_under_way_commits_and_does_not_release(shop: Run, lake: Settings, tmp_path: Path) -> None:
    """What it committed is in the table, by its new name; it is told that there is one."""
    write_orders(tmp_path, "c.csv", [(4, "cat", "3.50", "2024-01-03")])
    with begin_run(lake, "shop", "test") as slow:
        flow = _flow(tmp_path)
        flow.prepare(slow)
        assert slow.store.names.number == 0
        _rename(lake, "shop", "sales")
        report: Report = flow.run(slow)
        assert "renamed while this ran" in str(report.failures["release"])
    with begin_run(lake, "shop", "test") as run:
        assert [row["customer"] for row in _rows(run, SALES[2])] == ["ann", "bob", "cat"]
        report = _flow(tmp_path, *SALES).run(run)
        assert (report.verdict, report.changed) == ("release 3", False)


def test_other_engines_read_it_where_the_handle_says(shop: Run, lake: Settings) -> None:
    """Polars by `scan`, DuckDB by its new name; the first release too."""
    _rename(lake, NAMES[1], "silver.shop.bookings")
    with begin_run(lake, "shop", "test") as run:
        opened = Lake(run.store, find_release(run.store, 1))
        assert opened["silver.shop.bookings"].scan().collect().height == 1
        assert opened.tables()["table"].to_list() == [NAMES[0], "silver.shop.bookings", NAMES[2]]
        with Lake(run.store, find_release(run.store)).duckdb() as database:
            assert database.sql("SELECT count(*) FROM silver.shop.bookings").fetchall() == [(2,)]
        there = Catalog(run.store).snapshot("silver.shop.bookings")
        address = run.store.uri("silver/shop/bookings")
        assert address.endswith("/silver/shop/orders")
        assert pl.scan_delta(address, version=there.version, storage_options=run.store.options).collect().height == 2


def test_rules_that_refer_to_a_renamed_table_stay_the_same(shop: Run, lake: Settings) -> None:
    """A reference to a table by its new name is the same code, the same check, and nothing to do."""

    def hops(customers: str) -> Hop:
        rule = references("customer", replace(totals, name=customers), severity="warn")
        checked = Table("silver.shop.checked", Order, max_rejected=1.0, rules=(rule,))
        return hop(checked, write="replace", orders=orders)(_as_they_are)

    execute(shop, hops(NAMES[2]))
    _rename(lake, NAMES[2], "gold.shop.sums")
    with begin_run(lake, "shop", "test") as run:
        found = execute(run, hops("gold.shop.sums"))
        assert (found.changed, found.reason) == (False, "nothing new")
        assert Catalog(run.store).rules("silver.shop.checked")[-1]["rule"] == "customer in gold.shop.sums"


def _as_they_are(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders


def test_metrics_follow(shop: Run, lake: Settings) -> None:
    """Sums that were kept under the old name are those of the new one."""
    metrics = LakeCollector(lake)
    metrics.read()
    _rename(lake, "shop", "sales")
    metrics.read()
    told = {sample.labels["table"] for metric in metrics.collect() for sample in metric.samples if "table" in sample.labels}
    assert told & {*NAMES, *SALES} == set(SALES)


def test_the_command_asks_shows_and_lists(shop: Run, lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes what, after a word; a list of all renames; the old name in a command says the new one."""
    monkeypatch.setenv("LAKE_HOME", str(lake.home))
    monkeypatch.chdir(ROOT)

    def said(*words: str) -> str:
        done = CliRunner().invoke(cli, [*words, "--env", lake.env])
        return f"{done.output}{done.exception or ''}"

    assert "Nothing was renamed" in said("rename")
    assert "--yes" in said("rename", "shop", "sales")
    assert "silver.shop.orders" in said("ls")
    assert "shop is called sales now" in said("rename", "shop", "sales", "--why", "we sell", "--yes")
    assert "silver.sales.orders" in said("rename")
    assert "we sell" in said("rename", "--json")
    assert "silver.shop.orders is called silver.sales.orders now" in said("show", "silver.shop.orders")
    assert "silver.shop.orders is called silver.sales.orders now" in said("readmit", "silver.shop.orders")
    assert "silver.sales.orders" in said("history", "silver.sales.orders", "--json")
    assert "Name both" in said("rename", "shop")


def test_names_are_looked_up_in_texts_as_whole_names() -> None:
    """A name that is a part of another stays; places map there and back."""
    names = Names([Renaming(old="silver.a.b", new="silver.a.c", at=dt.datetime.now(dt.UTC), by="ann", run="r")])
    assert names.within("silver.a.b 1 → 2, silver.a.bb, x.silver.a.b") == "silver.a.c 1 → 2, silver.a.bb, x.silver.a.b"
    for path in (
        "silver/a/c",
        "quarantine/silver/a/c/x",
        "system/logs/quarantine/silver/a/c/0.zst",
        "system/tombstones/silver/a/c",
        "system/profiles/silver/a/c/f\n.sketch",
    ):
        assert names.path(names.place(path)) == path
        assert names.place(path) == path.replace("a/c", "a/b")
    assert names.place("raw/a.b/x") == "raw/a.b/x"
    assert names.place("silver/a/bb/x") == "silver/a/bb/x"
