"""Data files: Parquet parts written locally in bounded memory, measured, and put into a table's folder."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from lake.delta import DataFile
from lake.meter import carried
from lake.store import Store

_ROWS_PER_FILE = 2_000_000  # of a table of 16 columns about 64 MB
_ROW_GROUP = 131_072
_MEASURED_COLUMNS = 32
_LONGEST_STATISTIC = 64  # characters
_LAST_CHARACTER = "\U0010ffff"  # after a cut maximum: no text with that beginning sorts behind it
_UPLOADS = 3
_DAY = 86_400_000_000  # microseconds


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
    """Put every non-empty part under a fresh name into the table's folder, one while another is measured. Nobody sees them before a commit names them."""

    def put(numbered: tuple[int, Path]) -> DataFile | None:
        number, part = numbered
        rows, stats = measure(part)
        if rows == 0:
            return None
        file = DataFile(f"{prefix}part-{number:05d}-{uuid.uuid4()}.zstd.parquet", part.stat().st_size, rows, stats)
        store.upload(f"{table_path}/{file.path}", part)
        if store.held is not None:
            store.held.hold(f"{table_path}/{file.path}", part)
        return file

    with ThreadPoolExecutor(_UPLOADS) as pool:
        return [file for file in pool.map(carried(put), enumerate(parts_in(folder))) if file is not None]


def measure(part: Path) -> tuple[int, str]:
    """Rows of a part, and its statistics as the Delta log keeps them: rows, nulls, and bounds that readers may skip by."""
    frame = pl.scan_parquet(part, glob=False)
    schema = frame.collect_schema()
    measured = {name: dtype for name, dtype in list(schema.items())[:_MEASURED_COLUMNS] if not dtype.is_nested() and dtype != pl.Binary}
    row = (
        frame.select(
            pl.len().alias("#rows"),
            *(pl.col(name).null_count().alias(f"n {name}") for name in measured),
            *(_physical(name, dtype).min().alias(f"< {name}") for name, dtype in measured.items()),
            *(_physical(name, dtype).max().alias(f"> {name}") for name, dtype in measured.items()),
            *(pl.col(name).is_nan().any().alias(f"? {name}") for name, dtype in measured.items() if dtype.is_float()),
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    lows: dict[str, str] = {}
    highs: dict[str, str] = {}
    nulls: dict[str, str] = {}
    for name, dtype in measured.items():
        count = row[f"n {name}"]
        low, high = _bound(row[f"< {name}"], dtype, up=False), _bound(row[f"> {name}"], dtype, up=True)
        if low is not None and high is not None and not row.get(f"? {name}"):
            lows[name], highs[name], nulls[name] = low, high, str(count)
        elif count == row["#rows"]:
            nulls[name] = str(count)  # only nulls: there are no bounds, and readers know
        else:  # a float that JSON cannot spell: delta-rs would take a missing bound for an empty file, and no bounds at all for what they are
            return row["#rows"], _object({"numRecords": str(row["#rows"])})
    told = {"numRecords": str(row["#rows"]), "minValues": _object(lows), "maxValues": _object(highs), "nullCount": _object(nulls)}
    return row["#rows"], _object(told)


def _physical(name: str, dtype: pl.DataType) -> pl.Expr:
    """Dates and instants as whole numbers: Python has no year 10000."""
    return pl.col(name).to_physical() if dtype.is_temporal() else pl.col(name)


def _object(texts: dict[str, str]) -> str:
    """A JSON object of values that are spelled already."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in texts.items()) + "}"


def _bound(value: Any, dtype: pl.DataType, *, up: bool) -> str | None:
    """A bound as JSON in the Delta protocol's spelling, or None where it has no spelling.

    Instants have milliseconds there and are rounded outwards. Decimals are spelled out, since no float holds them all.
    """
    if value is None:
        return None
    if isinstance(dtype, pl.Date):
        return _spelled(value * _DAY, "date")
    if isinstance(dtype, pl.Datetime):
        return _spelled((-(-value // 1000) if up else value // 1000) * 1000, "instant", "Z" if dtype.time_zone else "")
    if isinstance(value, float):
        return json.dumps(value) if math.isfinite(value) else None
    if isinstance(value, str):
        if up and value[_LONGEST_STATISTIC : _LONGEST_STATISTIC + 1] == _LAST_CHARACTER:
            return None
        return json.dumps(value if len(value) <= _LONGEST_STATISTIC else value[:_LONGEST_STATISTIC] + (_LAST_CHARACTER if up else ""))
    return f"{value:f}" if isinstance(value, decimal.Decimal) else json.dumps(value)


def _spelled(microseconds: int, kind: str, zone: str = "") -> str | None:
    """A moment since 1970 as Delta spells a date or an instant; None outside the years 1 to 9999."""
    try:
        at = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=microseconds)  # noqa: DTZ001  # the zone is only spelled
    except OverflowError:
        return None
    return json.dumps(at.date().isoformat() if kind == "date" else at.isoformat(timespec="milliseconds") + zone)
