"""Data files: Parquet parts written locally in bounded memory, measured, and put into a table's folder."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import os
import threading
import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from lake.delta import DataFile
from lake.meter import carried
from lake.sketches import FileSketch, sketch_columns
from lake.store import Store

_LARGEST = 2_000_000  # rows; of a table of 16 columns about 64 MB
_SMALLEST = 500_000
_FILES = 16
_ROW_GROUP = 32_768
_MEASURED_COLUMNS = 32
_LONGEST_STATISTIC = 64  # characters
_LAST_CHARACTER = "\U0010ffff"  # after a cut maximum: no text with that beginning sorts behind it
_UPLOADS = 3
_measuring = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))  # whole columns are in memory meanwhile
SKETCHES = "system/profiles"
WORTH_SKETCHING = 50_000
"""Rows from which on a data file's sketches are kept; a smaller one is as quickly read."""
_DAY = 86_400_000_000  # microseconds


def rows_a_file(rows: int) -> int:
    """How many rows a data file of a table of so many holds at most: a sixteenth of them, from 500,000 to 2 million, in steps of two.

    A correction writes whole files again, so those of a small table are small; those of a large one are not, since its log names each.
    """
    most = _SMALLEST
    while most < _LARGEST and most * _FILES < rows:
        most *= 2
    return most


def sink_parts(frame: pl.LazyFrame, folder: Path, *, of: int | None = None) -> pl.LazyFrame:
    """A lazy sink of `frame` into Parquet parts in `folder`; collecting it writes them, in row groups that bound memory.

    `of` is how many rows the table has, about, where the parts are to be its files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = pl.PartitionBy(folder, max_rows_per_file=_LARGEST if of is None else rows_a_file(of))
    return frame.sink_parquet(target, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP, mkdir=True, lazy=True)


def write_parts(frame: pl.LazyFrame, folder: Path, *, of: int | None = None) -> None:
    """Write `frame` into Parquet parts in `folder` on the streaming engine. `of` as with `sink_parts`."""
    sink_parts(frame, folder, of=of).collect(engine="streaming")


def parts_in(folder: Path) -> list[Path]:
    """The parts in `folder`, in order."""
    return sorted(folder.rglob("*.parquet"))


def scan_parts(folder: Path, schema: pl.Schema) -> pl.LazyFrame:
    """All rows of the parts in `folder`; none if there are none."""
    parts = parts_in(folder)
    return pl.scan_parquet(parts, glob=False) if parts else pl.LazyFrame(schema=schema)


def upload_parts(store: Store, table_path: str, folder: Path, *, prefix: str = "", sketched: Collection[str] | None = None) -> list[DataFile]:
    """Put every non-empty part under a fresh name into the table's folder, one while another is measured. Nobody sees them before a commit names them.

    With `sketched`, each of some size gets its sketches beside the table; values are in these of the named columns alone.
    """

    def put(numbered: tuple[int, Path]) -> DataFile | None:
        number, part = numbered
        with _measuring:
            sketch = sketch_columns(part, values=sketched) if sketched is not None and _rows_of(part) >= WORTH_SKETCHING else None
            rows, stats = measure(part) if sketch is None else _statistics(sketch)
        if rows == 0:
            return None
        file = DataFile(f"{prefix}part-{number:05d}-{uuid.uuid4()}.zstd.parquet", part.stat().st_size, rows, stats)
        store.upload(f"{table_path}/{file.path}", part)
        if sketch is not None:
            store.put(sketch_path(table_path, file.path), sketch.packed())
        if store.held is not None:
            store.held.hold(f"{table_path}/{file.path}", part)
        return file

    with ThreadPoolExecutor(_UPLOADS) as pool:
        return [file for file in pool.map(carried(put), enumerate(parts_in(folder))) if file is not None]


def sketch_path(table_path: str, name: str) -> str:
    """Where the sketches of the data file `name` are kept. It is derived from the file, and can be made again from it."""
    return f"{SKETCHES}/{table_path}/{name}.sketch"


def _rows_of(part: Path) -> int:
    return int(pl.scan_parquet(part, glob=False).select(pl.len()).collect().item())


def measure(part: Path) -> tuple[int, str]:
    """Rows of a part, and its statistics as the Delta log keeps them: rows, nulls, and bounds that readers may skip by."""
    frame = pl.scan_parquet(part, glob=False)
    measured = _measured(frame.collect_schema())
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
    found = {name: (row[f"< {name}"], row[f"> {name}"], row[f"n {name}"], bool(row.get(f"? {name}"))) for name in measured}
    return row["#rows"], _told(row["#rows"], measured, found)


def _statistics(sketch: FileSketch) -> tuple[int, str]:
    """The same from the sketches of the part, which saw every value."""
    measured = _measured(sketch.schema)
    found = {name: (*sketch.columns[name].bounds, sketch.columns[name].nulls, sketch.columns[name].has_nan) for name in measured}
    rows = next(iter(sketch.columns.values())).rows
    return rows, _told(rows, measured, found)


def _measured(schema: pl.Schema) -> dict[str, pl.DataType]:
    return {name: dtype for name, dtype in list(schema.items())[:_MEASURED_COLUMNS] if not dtype.is_nested() and dtype != pl.Binary}


def _told(rows: int, measured: dict[str, pl.DataType], found: dict[str, tuple[Any, Any, int, bool]]) -> str:
    """Bounds and nulls by column (least, greatest, nulls, whether NaN is among the values) as the Delta log spells them."""
    lows: dict[str, str] = {}
    highs: dict[str, str] = {}
    nulls: dict[str, str] = {}
    for name, dtype in measured.items():
        least, greatest, count, has_nan = found[name]
        low, high = _bound(least, dtype, up=False), _bound(greatest, dtype, up=True)
        if low is not None and high is not None and not has_nan:
            lows[name], highs[name], nulls[name] = low, high, str(count)
        elif count == rows:
            nulls[name] = str(count)  # only nulls: there are no bounds, and readers know
        else:  # a float that JSON cannot spell: delta-rs would take a missing bound for an empty file, and no bounds at all for what they are
            return _object({"numRecords": str(rows)})
    return _object({"numRecords": str(rows), "minValues": _object(lows), "maxValues": _object(highs), "nullCount": _object(nulls)})


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
