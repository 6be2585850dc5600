"""Column lineage of a lake: kept once for the code, named by commits, drawn to the raw files; unknown where it is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import dataframely as dy
import polars as pl
import pytest

import lake
from lake.catalog import Catalog
from lake.cli import cli
from lake.contract import PROVENANCE, Contract
from lake.descent import column_rows
from lake.errors import UnknownName
from lake.hop import changes, hop
from lake.origins import Origins, remember, trace
from lake.origins.trace import derive
from lake.rules import references
from lake.run import Run
from lake.table import Table
from tests.conftest import Built
from tests.tiny import bring, clean_orders, last_record, orders, sum_orders, total, totals, write_orders

GOLD = "gold.nyc.daily_delays"
ORDER = (1, "ann", "2.50", "2026-01-01")


def asked(built: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What `lake lineage` prints on the flights lake."""
    monkeypatch.setenv("LAKE_HOME", str(built.settings.home))
    cli.main(["lineage", *arguments], prog_name="lake", standalone_mode=False)
    return capsys.readouterr().out


def test_a_number_in_gold_is_drawn_to_the_columns_of_raw_files(
    flights_lake: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tree names each column on the way, how it was made and by which hop, and ends at raw."""
    lines = asked(flights_lake, capsys, monkeypatch, f"{GOLD}.mean_delay").splitlines()
    told = [line.strip("│├└─ ") for line in lines]
    assert told[1] == f"{GOLD}.mean_delay"
    assert told[2] == "silver.nyc.flights.departure_delay aggregated, by summarise_delays"
    assert told[3] == "bronze.nyc.flights.dep_delay transformed, by clean_flights"
    assert told[4] == "raw/nyc.flights.dep_delay copied, by ingest"
    assert any(line.startswith(f"rows of {GOLD} by ") and "silver.nyc.flights(flight_date)" in line for line in told)


def test_down_shows_what_a_column_reaches(flights_lake: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of JSON: depth by depth, with kinds; with --rows also tables whose rows are chosen by it."""
    rows = json.loads(asked(flights_lake, capsys, monkeypatch, "silver.nyc.flights.air_time", "--down", "--json"))
    assert set(rows[0]) == {"direction", "depth", "table", "column", "kind", "of", "hop"}
    assert [(row["table"].rsplit(".", 1)[-1], row["column"], row["kind"]) for row in rows[1:]] == [
        ("aircraft_use", "hours", "aggregated"), ("route_performance", "median_air_time", "aggregated"), ("route_performance", "median_speed", "aggregated"),
    ]  # fmt: skip
    wide = json.loads(asked(flights_lake, capsys, monkeypatch, "bronze.nyc.flights.distance", "--down", "--rows", "--json"))
    assert (GOLD, "*") in {(row["table"], row["column"]) for row in wide}


def test_the_command_says_which_column_there_is_not(flights_lake: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip is answered with the nearest; options of a column are no options of a table."""
    with pytest.raises(UnknownName, match="Did you mean mean_delay"):
        asked(flights_lake, capsys, monkeypatch, f"{GOLD}.mean_delai")
    for wrong in ([], [GOLD, "--down"], [f"{GOLD}.flights", "--export"]):
        with pytest.raises(click.UsageError):
            asked(flights_lake, capsys, monkeypatch, *wrong)


def test_python_has_the_same_at_the_release(flights_lake: Built) -> None:
    """`TableHandle.lineage(column)`: up, then down, as a frame."""
    with lake.open(home=flights_lake.settings.home, root=flights_lake.settings.root) as lakehouse:
        found = lakehouse["silver.nyc.flights"].lineage("tail_number")
        assert found.filter(direction="upstream", kind="copied").select("table", "column").rows() == [("raw/nyc.flights", "tailnum")]
        assert ("gold.nyc.aircraft_use", "aircraft", "aggregated") in found.filter(direction="downstream").select("table", "column", "kind").rows()
        with pytest.raises(UnknownName, match=r"no column of silver\.nyc\.flights"):
            lakehouse["silver.nyc.flights"].lineage("tail")


def test_every_column_of_the_flights_ends_in_raw(flights_lake: Built) -> None:
    """No column of gold or silver hangs in the air: each is made from raw columns, or counts rows that are."""
    catalog = Catalog(flights_lake.run.store)
    for name in (name for name in catalog.names() if not name.startswith("bronze")):
        for column in catalog.schema_versions(name)[0]["columns"]:
            ends = {row["table"].split("/")[0] for row in column_rows(catalog, name, column["name"], "upstream", rows=True)}
            assert "raw" in ends, (name, column["name"])


def test_lineage_is_kept_once_for_each_code(run: Run, tmp_path: Path) -> None:
    """Two commits of the same code name one object, which is there once; the record of each says which."""
    write_orders(tmp_path / "in", "1.csv", [ORDER])
    bring(run, tmp_path / "in")
    first = [last_record(run, table).code for table in (orders, totals)]
    write_orders(tmp_path / "in", "2.csv", [(2, "bob", "1.00", "")])
    bring(run, tmp_path / "in")
    second = [last_record(run, table).code for table in (orders, totals)]
    assert [code.columns for code in first if code] == [clean_orders.fingerprint, sum_orders.fingerprint]
    assert [code.columns for code in second if code] == [clean_orders.fingerprint, sum_orders.fingerprint]
    kept = sorted(blob.path for blob in run.store.walk("system/columns"))
    assert kept == sorted(f"system/columns/{code.columns}.json" for code in first if code)


def test_the_same_code_on_other_columns_has_a_lineage_of_its_own(run: Run) -> None:
    """A hop that takes all columns there are is not the same on more of them: the second answer is kept beside the first."""

    def widen(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.group_by("customer").agg(pl.sum_horizontal(pl.exclude("customer")).sum().alias("amount"), pl.len().cast(pl.Int64).alias("orders"))

    wide = hop(totals, counts="orders", raw=Table("bronze.shop.wide"))(widen)
    some = pl.Schema({"customer": pl.String(), "a": pl.Int64()})
    first, again, other = (remember(run.store, wide, {"raw": schema}) for schema in (some, some, pl.Schema({**some, "b": pl.Int64()})))
    assert first == again == wide.fingerprint
    assert other is not None
    assert other.startswith(f"{wide.fingerprint}-")


def test_a_commit_without_lineage_is_known_by_its_tables(run: Run, tmp_path: Path) -> None:
    """Where the object is gone, as in commits made before there was one, the table it was read from is told, and that no more is known."""
    write_orders(tmp_path / "in", "1.csv", [ORDER])
    bring(run, tmp_path / "in")
    run.store.delete([blob.path for blob in run.store.walk("system/columns")])
    rows = column_rows(Catalog(run.store), totals.name, "amount", "upstream")
    assert [(row["table"], row["column"], row["kind"]) for row in rows[1:]] == [(orders.name, "*", "unknown")]


def test_a_renamed_column_ends_at_the_name_in_the_file(run: Run, tmp_path: Path) -> None:
    """Bronze may spell a header otherwise; the tree ends at the header."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("order,customer,amount,day,Unit Price\n1,ann,2.50,2026-01-01,7\n", "utf-8")
    bring(run, tmp_path / "in")
    rows = column_rows(Catalog(run.store), "bronze.shop.orders", "Unit_Price", "upstream")
    assert [(row["table"], row["column"]) for row in rows] == [("bronze.shop.orders", "Unit_Price"), ("raw/shop.orders", "Unit Price")]


def test_a_run_never_fails_over_lineage(run: Run, tmp_path: Path) -> None:
    """A hop that cannot be traced publishes as ever, and its lineage says why nothing is known."""

    def picky(orders: pl.LazyFrame) -> pl.LazyFrame:
        if orders.select("order").collect().is_empty():
            raise ValueError("no orders at all")
        return total(orders)

    odd = hop(totals, counts="orders", orders=orders)(picky)
    write_orders(tmp_path / "in", "1.csv", [ORDER])
    bring(run, tmp_path / "in", clean_orders, odd)
    code = last_record(run, totals).code
    assert code is not None
    kept = json.loads(run.store.get(f"system/columns/{code.columns}.json"))
    assert (kept["how"], "no orders at all" in kept["why"]) == ("nothing", True)
    assert [row["kind"] for row in column_rows(Catalog(run.store), totals.name, "amount", "upstream")] == [None, "unknown"]


def test_a_hop_that_scans_a_delta_table_by_itself_is_not_walked(tmp_path: Path) -> None:
    """Looking at such a plan never comes back. Nothing is known of the hop instead, and files read in the hop are no columns of an input."""
    pl.DataFrame({"customer": ["ann"], "rate": [1]}).write_delta(str(tmp_path / "rates"))
    pl.DataFrame({"customer": ["ann"], "rate": [1]}).write_parquet(tmp_path / "rates.parquet")
    schemas = {"orders": pl.Schema({"customer": pl.String(), "amount": pl.Int64()})}
    delta, parquet = (
        derive(lambda orders, there=there: orders.join(there, on="customer").select("customer", "amount", "rate"), schemas)
        for there in (pl.scan_delta(str(tmp_path / "rates")), pl.scan_parquet(tmp_path / "rates.parquet"))
    )
    assert (delta.how, "by itself" in str(delta.why)) == ("nothing", True)
    assert parquet.columns == {"customer": {("orders", "customer"): "copied"}, "amount": {("orders", "amount"): "copied"}, "rate": {}}


# ---- what the engine adds


def _move(**more: Any) -> type[Contract]:
    columns = {"order": dy.Int64(primary_key=True), "city": dy.String(nullable=True, min_length=2), "note": dy.String(nullable=True)}
    return type("Move", (Contract,), {"__doc__": "Moves.", **columns, **more})


GIVEN = pl.Schema({"order": pl.String(), "city": pl.String(), "note": pl.String(), "day": pl.Date(), "gone": pl.Boolean(), **PROVENANCE})
RAW = Table("bronze.shop.moves")


def _rows(origins: Origins) -> dict[str, str]:
    return {column: kind for (_, column), kind in origins.rows.items() if not column.startswith("_")}


def test_keys_and_rules_choose_rows_and_casts_transform() -> None:
    """The key decides which row stays, a rule which are turned away; a rule that warns or stops decides nothing; text is parsed."""

    def moves(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", "city", "note", *PROVENANCE)

    def traced(layer: str = "silver", write: Any = "merge", **declared: Any) -> Origins:
        return trace(hop(Table(f"{layer}.shop.moves", _move(), **declared), write=write, raw=RAW)(moves), {"raw": GIVEN})

    assert _rows(traced()) == {"order": "key", "city": "rule"}
    assert traced().columns["order"] == {("raw", "order"): "transformed"}
    assert traced().columns["city"] == {("raw", "city"): "copied"}
    assert {("raw", "_landed"), ("raw", "_row")} <= traced().rows.keys()
    assert _rows(traced(severity={"city|min_length": "warn"})) == {"order": "key"}
    assert _rows(traced(layer="gold")) == {"order": "key"}
    assert _rows(traced(write="append")) == {"order": "rule", "city": "rule"}


def test_deletions_references_and_history_choose_rows() -> None:
    """The column that says which rows delete; the other table's column that values must be among; validity, made of when versions begin."""
    cities = Table("silver.shop.cities", type("City", (Contract,), {"__doc__": "Cities.", "city": dy.String(primary_key=True)}))

    def deleting(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", "city", "note", "gone", *PROVENANCE)

    def versions(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", "city", "note", pl.col("day").alias("valid_from"))

    table = Table("silver.shop.moves", _move(), rules=(references("city", cities, severity="quarantine"),))
    found = trace(hop(table, write="merge", deletes="gone", raw=changes(RAW))(deleting), {"raw": GIVEN})
    assert found.rows["raw", "gone"] == "filter"
    assert found.rows[cities.name, "city"] == "rule"
    assert "gone" not in found.columns
    kept = _move(valid_from=dy.Date(primary_key=True), valid_to=dy.Date(nullable=True), is_current=dy.Bool(nullable=False))
    history = trace(hop(Table("silver.shop.moves", kept), write="scd2", raw=changes(RAW))(versions), {"raw": GIVEN})
    assert history.columns["valid_to"][("raw", "day")] == "transformed"
    assert history.columns["valid_to"][("raw", "note")] == "key"
