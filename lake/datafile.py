"""Data files: Parquet parts written locally in bounded memory, measured, and put into a table's folder."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import uuid
from pathlib import Path
from typing import Any

import polars as pl

from lake.delta import DataFile
from lake.store import Store

_ROWS_PER_FILE = 5_000_000
_ROW_GROUP = 131_072
_MEASURED_COLUMNS = 32
_LONGEST_STATISTIC = 64


def sink_parts(frame: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    """A lazy sink of `frame` into Parquet parts in `folder`; collecting it writes them, in row groups that bound memory."""
    folder.mkdir(parents=True, exist_ok=True)
    target = pl.PartitionBy(folder, max_rows_per_file=_ROWS_PER_FILE)
    return frame.sink_parquet(target, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP, mkdir=True, lazy=True)


def write_parts(frame: pl.LazyFrame, folder: Path) -> None:
    """Write `frame` into Parquet parts in `folder` on the streaming engine."""
    sink_parts(frame, folder).collect(engine="streaming")


def parts_in(folder: Path) -> list[Path]:
    """The parts in `folder`, in order."""
    return sorted(folder.rglob("*.parquet"))


def scan_parts(folder: Path, schema: pl.Schema) -> pl.LazyFrame:
    """All rows of the parts in `folder`; none if there are none."""
    parts = parts_in(folder)
    return pl.scan_parquet(parts, glob=False) if parts else pl.LazyFrame(schema=schema)


def upload_parts(store: Store, table_path: str, folder: Path, *, prefix: str = "") -> list[DataFile]:
    """Put every non-empty part under a fresh name into the table's folder. Nobody sees them before a commit names them."""
    files: list[DataFile] = []
    for part in parts_in(folder):
        rows, stats = measure(part)
        if rows == 0:
            continue
        name = f"{prefix}part-{len(files):05d}-{uuid.uuid4()}.zstd.parquet"
        store.upload(f"{table_path}/{name}", part)
        files.append(DataFile(name, part.stat().st_size, rows, stats))
    return files


def measure(part: Path) -> tuple[int, str]:
    """Rows of a part, and its statistics as the Delta log keeps them: rows, nulls, and bounds that readers may skip by."""
    frame = pl.scan_parquet(part, glob=False)
    schema = frame.collect_schema()
    measured = {name: dtype for name, dtype in list(schema.items())[:_MEASURED_COLUMNS] if not dtype.is_nested()}
    bounded = [name for name, dtype in measured.items() if not isinstance(dtype, pl.Boolean | pl.Binary)]
    row = (
        frame.select(
            pl.len().alias("#rows"),
            *(pl.col(name).null_count().alias(f"n {name}") for name in measured),
            *(pl.col(name).min().alias(f"< {name}") for name in bounded),
            *(pl.col(name).max().alias(f"> {name}") for name in bounded),
            *(pl.col(name).is_nan().any().alias(f"? {name}") for name in bounded if measured[name].is_float()),
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    lows, highs = {}, {}
    for name in bounded:
        low, high = _bound(row[f"< {name}"], up=False), _bound(row[f"> {name}"], up=True)
        if low is not None and high is not None and not row.get(f"? {name}"):
            lows[name], highs[name] = low, high
    nulls = {name: row[f"n {name}"] for name in measured}
    return row["#rows"], json.dumps({"numRecords": row["#rows"], "minValues": lows, "maxValues": highs, "nullCount": nulls}, separators=(",", ":"))


def _bound(value: Any, *, up: bool) -> Any:
    """A bound as JSON in the Delta protocol's spelling, or None where none may be given. Instants have milliseconds: round outwards."""
    if isinstance(value, dt.datetime):
        cut = value.replace(microsecond=value.microsecond // 1000 * 1000)
        if up and cut != value:
            cut += dt.timedelta(milliseconds=1)
        return cut.strftime("%Y-%m-%dT%H:%M:%S.") + f"{cut.microsecond // 1000:03d}" + ("Z" if value.tzinfo else "")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_STATISTIC else None
    if isinstance(value, decimal.Decimal):
        return float(value) if value == decimal.Decimal(repr(float(value))) else None
    return value
