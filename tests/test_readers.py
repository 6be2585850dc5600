"""Other readers of Delta read what lake writes: delta-rs, DuckDB, pyarrow and Polars see the same rows."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lake.catalog import Catalog
from lake.contract import PROVENANCE
from lake.run import Run
from lake.store import Store
from lake.table import path_of
from tests.conftest import Built
from tests.tiny import bring, clean_orders, orders, rows_of, write_orders

_TABLES = [
    "bronze.nyc.flights", "bronze.nyc.weather", "silver.nyc.flights", "silver.nyc.airports", "silver.nyc.weather", "gold.nyc.daily_delays",
    "gold.nyc.route_performance", "gold.nyc.weather_delays", "gold.nyc.aircraft_use",
]  # fmt: skip


@pytest.fixture(scope="module")
def duck() -> duckdb.DuckDBPyConnection:
    """DuckDB with its own Delta reader, which is built on the Delta kernel and shares no code with delta-rs."""
    files = importlib.metadata.files("duckdb-extension-delta") or []
    extension = next(file.locate() for file in files if file.name == "delta.duckdb_extension")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _copy(store: Store, path: str, to: Path) -> Path:
    """The table's folder as plain files, for readers that are given a path."""
    for blob in store.walk(path):
        file = to / blob.path.removeprefix(f"{path}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(store.get(blob.path))
    return to


@pytest.mark.parametrize("name", _TABLES)
def test_duckdb_delta_rs_and_pyarrow_read_the_same_rows(flights_lake: Built, duck: duckdb.DuckDBPyConnection, tmp_path: Path, name: str) -> None:
    """Each reader gives the same number of rows, the same types and the same values as Polars through lake."""
    store = flights_lake.run.store
    expected = Catalog(store).snapshot(name).scan().collect()
    order = [column for column in expected.columns if not expected[column].dtype.is_nested()]
    expected = expected.sort(order)
    folder = _copy(store, path_of(name), tmp_path / "table")

    kernel = pl.DataFrame(duck.execute(f"SELECT * FROM delta_scan('{folder}')").arrow())  # noqa: S608  # a path of our own
    assert kernel.cast(dict(expected.schema)).select(expected.columns).sort(order).equals(expected)

    arrow = DeltaTable(str(folder)).to_pyarrow_table()
    assert pl.DataFrame(pl.from_arrow(arrow)).cast(dict(expected.schema)).select(expected.columns).sort(order).equals(expected)

    plain = [pq.read_table(folder / file.path) for file in Catalog(store).snapshot(name).files]
    assert sum(part.num_rows for part in plain) == expected.height

    assert pl.scan_delta(store.uri(path_of(name)), storage_options=store.options).sort(order).collect().equals(expected)


def test_statistics_let_duckdb_skip_and_not_miss(flights_lake: Built, duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Filters on every kind of column find what is there: bounds in the log never hide a row."""
    folder = _copy(flights_lake.run.store, path_of("silver.nyc.flights"), tmp_path / "table")
    frame = Catalog(flights_lake.run.store).snapshot("silver.nyc.flights").scan().collect()
    for column in ("flight_date", "carrier", "distance", "scheduled_departure_at", "departure_delay"):
        for value in (frame[column].min(), frame[column].max()):
            found = duck.execute(f"SELECT count(*) FROM delta_scan('{folder}') WHERE {column} = ?", [value]).fetchone()  # noqa: S608
            assert found == (frame.filter(pl.col(column) == value).height,)


def test_a_merged_table_reads_the_same_after_a_checkpoint(run: Run, duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Twenty-odd merges with rewritten files and a checkpoint: DuckDB and delta-rs agree with lake, at the end and in the past."""
    for number in range(23):
        write_orders(tmp_path / "raw", f"{number}.csv", [(number % 7, f"c{number}", "1.00", "2024-01-01"), (100 + number, "ann", "2.00", "2024-01-01")])
        bring(run, tmp_path / "raw", clean_orders)
    names = {blob.path.rsplit("/", 1)[-1] for blob in run.store.walk(path_of(orders.name))}
    assert "_last_checkpoint" in names
    folder = _copy(run.store, path_of(orders.name), tmp_path / "table")
    expected = sorted((row["order"], row["customer"]) for row in rows_of(run, orders))
    assert sorted(duck.execute(f"SELECT \"order\", customer FROM delta_scan('{folder}')").fetchall()) == expected  # noqa: S608
    table = DeltaTable(str(folder))
    assert table.version() == 22
    assert sorted(pl.DataFrame(pl.from_arrow(table.to_pyarrow_table())).select("order", "customer").rows()) == expected
    table.load_as_version(3)
    assert table.to_pyarrow_table().num_rows == run.snapshot(path_of(orders.name), 3).scan().collect().height
    assert not set(PROVENANCE) - set(table.to_pyarrow_table().column_names)
