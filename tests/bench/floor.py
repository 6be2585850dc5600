"""The floor: the flights' way from raw to gold written by hand in Polars and delta-rs, with nothing recorded, judged or released."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import polars as pl
from deltalake import write_deltalake

from lake.settings import load_settings
from lake.store import Store, close_stores, open_store


def main(files: Path) -> None:
    """Upload the raw files, then bronze, silver and one gold table for the flights; bronze and silver for the rest."""
    store = open_store(load_settings())
    for file in sorted(files.iterdir()):
        store.upload(f"floor/raw/{file.name}", file)
        name = file.name.split(".")[0]
        frame = pl.read_csv(_plain(store, file.name), infer_schema=False)
        _write(store, f"floor/bronze/{name}", frame)
        if name != "flights":
            _write(store, f"floor/silver/{name}", pl.scan_delta(store.uri(f"floor/bronze/{name}"), storage_options=store.options).unique().collect())
    numbers = [pl.col(c).replace("NA", None).cast(pl.Int32) for c in ("year", "month", "day", "flight", "dep_delay", "arr_delay", "air_time", "distance")]
    bronze = pl.scan_delta(store.uri("floor/bronze/flights"), storage_options=store.options)
    typed = bronze.with_columns(numbers).with_columns(pl.date("year", "month", "day").alias("flight_date"))
    _write(store, "floor/silver/flights", typed.unique(["flight_date", "carrier", "flight", "origin"]).collect())
    silver = pl.scan_delta(store.uri("floor/silver/flights"), storage_options=store.options)
    delay = pl.col("dep_delay")
    days = silver.group_by("flight_date", "carrier").agg(pl.len(), delay.mean(), delay.median().alias("median"), delay.quantile(0.9).alias("p90"))
    _write(store, "floor/gold/daily_delays", days.collect())
    routes = silver.group_by("origin", "dest").agg(pl.len(), pl.col("air_time").median(), pl.col("arr_delay").mean())
    _write(store, "floor/gold/routes", routes.collect())
    close_stores(wait=True)


def _plain(store: Store, name: str) -> bytes:
    """The raw file read back from the store, unpacked."""
    data = store.get(f"floor/raw/{name}")
    if not name.endswith(".zip"):
        return data
    import io

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(archive.namelist()[0])


def _write(store: Store, path: str, frame: pl.DataFrame) -> None:
    write_deltalake(store.uri(path), frame, mode="overwrite", storage_options=store.options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
