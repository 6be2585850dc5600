"""Files that mean harm, or look as if: small ones that would take all memory, end the process or never end."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable

import polars as pl
import xlsxwriter
import zstandard

Cell = tuple[int, int, object]


def workbook(cells: list[Cell], part: str = "", was: bytes = b"", now: bytes = b"") -> bytes:
    """An .xlsx with these cells (row, column, value); in its `part`, `was` is written as `now`."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for row, column, value in cells:
            sheet.write(row, column, value)
    return rewritten(made.getvalue(), part, was, now) if part else made.getvalue()


def rewritten(data: bytes, part: str, was: bytes, now: bytes) -> bytes:
    """The archive with one of its parts written otherwise."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for name in given.namelist():
            body = given.read(name)
            target.writestr(name, body.replace(was, now) if name.endswith(part) else body)
    return made.getvalue()


def nested(levels: int, kind: str) -> bytes:
    """A Parquet or Arrow file with a column of lists and structs in each other."""
    dtype: pl.DataType = pl.Int64()
    for level in range(levels):
        dtype = pl.Struct({"f": dtype}) if level % 2 else pl.List(dtype)
    made, frame = io.BytesIO(), pl.DataFrame({"a": pl.Series([None], dtype=dtype), "b": [1]})
    if kind == "parquet":
        frame.write_parquet(made)
    else:
        frame.write_ipc(made)
    return made.getvalue()


def wide(columns: int, rows: int = 20) -> bytes:
    """A CSV file of so many columns."""
    line = ",".join("1" for _ in range(columns))
    return "\n".join([",".join(f"c{i}" for i in range(columns)), *[line] * rows, ""]).encode()


def overlapping() -> bytes:
    """An archive of 50 files that all lie in the same bytes."""
    body = b"a,b\n" + b"1,2\n" * 1000
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, check, listed = packer.compress(body) + packer.flush(), zlib.crc32(body), b""
    kept = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, check, len(packed), len(body), 7, 0) + b"f00.csv" + packed
    for number in range(50):
        name = b"f%02d.csv" % number
        listed += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 0, check, len(packed), len(body), len(name), 0, 0, 0, 0, 0, 0) + name
    return kept + listed + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 50, 50, len(listed), len(kept), 0)


TABLE: list[Cell] = [(0, 0, "a"), (0, 1, "b"), (1, 0, 1), (1, 1, "x")]
REJECTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "far.xlsx": (lambda: workbook([*TABLE, (1_048_575, 16_383, 2)]), "cell XFD1048576 lies so far from the others"),
    "apart.xlsx": (lambda: workbook([*TABLE, (99_999, 2_729, 2)]), "cell CZZ100000 lies so far from the others"),
    "broad.xlsx": (lambda: workbook([(row, column, "v") for row in range(2) for column in range(10_001)]), "it has 10,001 columns"),
    "deep.parquet": (lambda: nested(100, "parquet"), "column a is nested more than 32 levels deep"),
    "deeper.parquet": (lambda: nested(60, "parquet"), "column a is nested more than 32 levels deep"),
    "deep.arrow": (lambda: nested(60, "arrow"), "column a is nested more than 32 levels deep"),
    "deep.json": (lambda: b'[{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "nested hundreds of levels deep"),
    "name.json": (lambda: b'[{"' + b"k" * 20_000_000 + b'":1}]', "a name in it has 20,000,000 characters"),
    "million.csv": (lambda: wide(1_000_000, 1), "it has 1,000,000 columns, more than the 10,000"),
    "broad.csv": (lambda: wide(10_001), "it has 10,001 columns, more than the 10,000"),
    "line.csv.zst": (lambda: zstandard.compress(b"a,b\n1,2\n" + b"x" * 200_000_000 + b"\n"), "line 3 is longer than 16,777,216 bytes"),
    "first.csv.zst": (lambda: zstandard.compress(b"x" * 200_000_000), "line 1 is longer than 16,777,216 bytes"),
    "overlapping.zip": (overlapping, "lie in the same bytes"),
    "names.ndjson": (lambda: b"".join(json.dumps({f"n{i}": 1}).encode() + b"\n" for i in range(6_000)), "6,000 different names"),
}
"""Files that are rejected whole, each with a part of the reason."""
