"""The lake and its tables as notebooks show them, and what else `lake.open()` gives: all of it as of the release, safe to put into a page."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import dataframely as dy
import polars as pl
import pytest

from lake.contract import PROVENANCE, Contract
from lake.errors import SettingsError, UnknownName
from lake.execute import execute
from lake.handle import TableHandle
from lake.hop import Hop, changes, hop
from lake.lakehouse import Lake
from lake.pipeline import Pipeline
from lake.release import find_release
from lake.run import Run
from lake.sql import sql_over
from lake.table import Table
from lake.verify import verify
from tests.conftest import Built
from tests.tiny import bring, bronze_orders, clean_orders, orders, source_at, sum_orders, totals, write_orders

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [(1, "ann", "1.50", "2024-01-01"), (2, "bob", "2.50", "2024-01-01"), (3, "test", "3.50", "2024-01-02")]


class Odd(Contract):
    """Orders <script>alert("x")</script> & 'more'."""

    order = dy.Int64(primary_key=True, min=0, description="Number of the order")


odd = Table("silver.shop.odd", Odd, owner="<b>shop</b>")
odd_orders: Hop = hop(odd, write="merge", raw=changes(bronze_orders))(lambda raw: raw.select("order", *PROVENANCE))


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Iterator[Run]:
    """Three orders, one of them rejected, summed up."""
    write_orders(tmp_path / "in", "a.csv", ROWS)
    bring(run, tmp_path / "in")
    return run


@pytest.fixture
def flights(flights_lake: Built) -> Lake:
    """The flights lake at its release."""
    return Lake(flights_lake.run.store, find_release(flights_lake.run.store, "latest"), flights_lake.settings)


def page(shown: str) -> ET.Element:
    """The card as elements; it is well-formed, so that nothing of it reaches beyond it."""
    return ET.fromstring(shown)  # noqa: S314  # our own text


def cells(card: ET.Element) -> list[list[str]]:
    """The text of every row of every table."""
    return [["".join(cell.itertext()) for cell in row.iter("td")] for row in card.iter("tr")]


def drawn(card: ET.Element) -> set[str | None]:
    """The names of the boxes in the picture."""
    return {group.findtext(f"{SVG}title") for group in card.iter(f"{SVG}g")}


def handle(run: Run, name: str) -> TableHandle:
    return Lake(run.store, None)[name]


def test_a_table_shows_what_its_last_commit_says(shop: Run) -> None:
    """Facts, ledger, the rules that rows broke first, and every other rule folded away."""
    card = page(handle(shop, orders.name)._repr_html_())
    rows = cells(card)
    assert ["Rows", "2 in 1 file, some kB"] in [[row[0], re.sub(r"\d\.\d kB", "some kB", row[1])] for row in rows if len(row) == 2]
    assert {"Owner": "shop", "In quarantine": "1 row", "Run": shop.info.id, "From": "bronze.shop.orders 0"}.items() <= {
        row[0]: row[1] for row in rows if len(row) == 2
    }.items()
    head = next(row for row in rows if row[:2] == ["version", "at"])
    counts = rows[rows.index(head) + 1]
    assert dict(zip(head[2:], counts[2:], strict=True)) == {"read": "3", "inserted": "2", "rejected": "1"}
    broken = [row for row in rows if row[0].startswith("✗")]
    assert [row[0] for row in broken] == ["✗ no_test_customer", "✗ no_test_customer"], "once on top, once among all"
    assert broken[0][1:] == ["quarantine", broken[0][2], "1 row"]
    folded = {row[0] for row in cells(next(card.iter("details")))}
    assert {"✗ no_test_customer", "✓ amount|min", "✓ customer|nullability"} <= folded


def test_a_table_shows_what_it_is_made_from_and_no_more(shop: Run) -> None:
    """The picture goes up to the raw source, and the table itself stands out in it."""
    card = page(handle(shop, orders.name)._repr_html_())
    assert drawn(card) == {"raw/shop.orders", "bronze.shop.orders", "silver.shop.orders"}
    grounds = {group.findtext(f"{SVG}title"): group.find(f"{SVG}rect").get("fill") for group in card.iter(f"{SVG}g")}  # type: ignore[union-attr]
    assert [name for name, ground in grounds.items() if ground != "#ffffff"] == ["silver.shop.orders"]
    assert drawn(page(handle(shop, totals.name)._repr_html_())) == {"raw/shop.orders", "bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"}


def test_a_table_is_shown_as_of_its_version(shop: Run, tmp_path: Path) -> None:
    """A handle at an older version shows that version's rows and ledgers, not later ones."""
    write_orders(tmp_path / "in", "b.csv", [(4, "cid", "4.50", "2024-01-03")])
    bring(shop, tmp_path / "in")
    old = TableHandle(Lake(shop.store, None)._catalog, orders.name, 0)
    versions = {row[0] for row in cells(page(old._repr_html_())) if len(row) > 3 and row[0].isdigit()}
    assert versions == {"0"}
    assert {row[0] for row in cells(page(handle(shop, orders.name)._repr_html_())) if len(row) > 3 and row[0].isdigit()} == {"0", "1"}


def test_what_comes_from_the_lake_is_escaped(shop: Run) -> None:
    """Markup in a description or an owner's name is shown as it stands, in the table's card and in the lake's."""
    execute(shop, odd_orders)
    lakehouse = Lake(shop.store, None)
    for shown in (lakehouse[odd.name]._repr_html_(), lakehouse._repr_html_()):
        card = page(shown)
        text = "".join(card.itertext())
        assert "Orders <script>alert(\"x\")</script> & 'more'." in text
        assert "<b>shop</b>" in text
        assert {element.tag for element in card.iter()} & {"script", "b"} == set()


def test_a_card_brings_its_own_colours_and_nothing_else(shop: Run) -> None:
    """Every cell has ink and every row a ground, so a dark page changes neither; nothing is loaded, and nothing can be styled or run from it."""
    for shown in (handle(shop, orders.name)._repr_html_(), Lake(shop.store, None)._repr_html_()):
        card = page(shown)
        assert {"background:#ffffff", "color:#1f2937"} <= set((card.get("style") or "").split(";"))
        assert [cell for cell in card.iter("td") if "color:#" not in (cell.get("style") or "")] == []
        assert [row for row in card.iter("tr") if row.get("style") != "background:#ffffff"] == []
        assert {element.tag.replace(SVG, "") for element in card.iter()} & {"script", "style", "link", "img", "image", "use", "iframe"} == set()
        assert [name for element in card.iter() for name in element.attrib if name in ("id", "href", "src", "class") or name.startswith("on")] == []
        assert shown.replace("http://www.w3.org/2000/svg", "").count("http") == 0


def test_the_lake_shows_its_tables(shop: Run) -> None:
    """A row a table, with how many rows it has and how many were rejected, and one picture of all."""
    card = page(Lake(shop.store, None)._repr_html_())
    assert {row[0]: row[1:3] for row in cells(card)[1:]} == {"bronze.shop.orders": ["3", "0"], "silver.shop.orders": ["2", "1"], "gold.shop.totals": ["2", "0"]}
    assert drawn(card) == {"raw/shop.orders", "bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"}


def test_a_lake_without_tables_is_shown(run: Run) -> None:
    """A lake in which nothing is committed has a card too, without a picture."""
    card = page(Lake(run.store, None)._repr_html_())
    assert (len(cells(card)), drawn(card)) == (1, set())


def test_a_release_is_shown_and_told_as_it_was(run: Run, tmp_path: Path) -> None:
    """What is committed after a release is in neither its card nor its history, and is in those of the live lake."""
    flow = Pipeline("shop", [source_at(tmp_path / "in")], (clean_orders, sum_orders))
    write_orders(tmp_path / "in", "a.csv", ROWS)
    release = flow.run(run).release
    write_orders(tmp_path / "in", "b.csv", [(4, "cid", "4.50", "2024-01-03")])
    bring(run, tmp_path / "in")
    execute(run, odd_orders)
    pinned, live = Lake(run.store, release, run.settings), Lake(run.store, None, run.settings)
    assert (pinned.history().height, live.history().height) == (3, 7)
    assert set(pinned.history()["version"]) == {0}
    assert (odd.name in drawn(page(pinned._repr_html_())), odd.name in drawn(page(live._repr_html_()))) == (False, True)
    history = live.history()
    assert history["at"].is_sorted(descending=True)
    assert history.filter(pl.col("table") == orders.name)["ledger"].struct.field("read").to_list() == [1, 3]


def test_only_some_tables_are_verified_as_of_a_version(shop: Run, tmp_path: Path) -> None:
    """`versions` says which tables are computed again, and as of which of their versions."""
    flow = Pipeline("shop", [source_at(tmp_path / "in")], (clean_orders, sum_orders))
    write_orders(tmp_path / "in", "b.csv", [(4, "cid", "4.50", "2024-01-03")])
    bring(shop, tmp_path / "in")
    old, new = (list(verify(shop, flow, share=1.0, versions={orders.name: version})) for version in (0, 1))
    assert [(row["table"], row["rows"], row["verdict"]) for row in [*old, *new]] == [(orders.name, 2, "equal"), (orders.name, 3, "equal")]


def test_verify_and_replay_need_what_they_name(flights: Lake, flights_lake: Built) -> None:
    """A table that there is not is told with the nearest name, and without a release there is nothing to replay."""
    with pytest.raises(UnknownName, match=r"gold\.nyc\.daily_delay"):
        flights.verify("gold.nyc.daily_delay")
    with pytest.raises(UnknownName, match="only a release"):
        Lake(flights_lake.run.store, None, flights_lake.settings).replay()


@pytest.mark.slow
def test_a_release_is_replayed_from_python(flights: Lake) -> None:
    """Every table of the release comes out equal."""
    assert flights.release is not None
    found = flights.replay()
    assert set(found["table"]) == set(flights.release.tables)
    assert set(found["verdict"]) == {"equal"}
    assert found["recorded"].to_list() == found["replayed"].to_list()


def test_freshness_is_that_of_the_tables_that_promise_it(flights: Lake) -> None:
    """One row for each table with a promise, none for bronze, all fresh just after a run."""
    found = flights.freshness()
    assert set(found["table"].str.split(".").list.first()) == {"silver", "gold"}
    assert found["fresh"].all()


def test_sql_reads_the_tables_by_their_names(flights: Lake) -> None:
    """DuckDB's rows are those that Polars scans, whichever layers a query joins."""
    with flights.duckdb() as database:
        query = """
            SELECT count(*), count(DISTINCT flights.carrier), max(airlines.name) FROM silver.nyc.flights JOIN silver.nyc.airlines USING (carrier)
            WHERE flights.flight_date = DATE '2013-03-08'
        """
        counted = database.sql(query).fetchone()
        totals = database.sql("SELECT sum(flights)::BIGINT FROM gold.nyc.daily_delays").fetchone()
    there = flights["silver.nyc.flights"].scan().filter(pl.col("flight_date") == pl.date(2013, 3, 8)).select(pl.len(), pl.col("carrier").n_unique())
    assert counted is not None
    assert counted[:2] == there.collect().row(0)
    assert totals == (336_772,)


def test_sql_compares_instants(flights: Lake) -> None:
    """A condition on an instant finds the rows that Polars finds, and days are those of UTC."""
    with flights.duckdb("gold.nyc.weather_delays") as database:
        query = "SELECT count(*), min(hour_at)::DATE FROM gold.nyc.weather_delays WHERE hour_at >= TIMESTAMPTZ '2013-06-01 00:00:00+00'"
        found = database.sql(query).fetchone()
    late = flights["gold.nyc.weather_delays"].scan().filter(pl.col("hour_at") >= pl.datetime(2013, 6, 1, time_zone="UTC"))
    assert found == late.select(pl.len(), pl.col("hour_at").min().dt.date()).collect().row(0)


def test_sql_sees_the_tables_it_was_given(flights: Lake) -> None:
    """A connection over some tables has these alone; an unknown one is told with the nearest name."""
    with flights.duckdb("gold.nyc.aircraft_use") as database:
        assert database.sql("SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary").fetchall() == [
            ("gold", "nyc", "aircraft_use")
        ]
    with pytest.raises(UnknownName, match="aircraft_use"):
        flights.duckdb("gold.nyc.aircraft")


def test_sql_reads_nothing_until_asked_and_then_what_its_conditions_leave() -> None:
    """What a query's WHERE says reaches the scan; before a query nothing is read."""
    asked: list[str] = []

    def rows(with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None) -> Iterator[pl.DataFrame]:
        asked.append(str(predicate))
        frame = pl.DataFrame({"a": [1, 2, 3], "select": ["x", "y", "z"]})
        yield frame if predicate is None else frame.filter(predicate)

    scan = pl.io.plugins.register_io_source(rows, schema={"a": pl.Int64, "select": pl.String})
    with sql_over({"gold.order.select": scan}) as database:
        assert asked == []
        assert database.sql('SELECT "select" FROM gold."order"."select" WHERE a > 2').fetchall() == [("z",)]
    assert len(asked) == 1
    assert "(3)" in asked[0] or "> (2)" in asked[0]


def test_without_duckdb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, one line says so."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(SettingsError, match="DuckDB is not installed") as raised:
        sql_over({})
    assert "ledgerlake[notebooks]" in str(raised.value.hint)
