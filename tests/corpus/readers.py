"""Readers of delimited text behind one function each: a path in, a header, rows of text and what was set aside out.

Each is told to take everything for text, and otherwise finds out by its own best automatic settings.
"""

from __future__ import annotations

import csv
import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = list[str | None]


@dataclass
class Table:
    """What a reader makes of a file. `aside` holds the bytes of what it rejects and tells; None if it reads without a table of rejects."""

    header: list[str]
    rows: list[Row]
    aside: list[bytes] = field(default_factory=list)


class Refused(Exception):
    """The reader says in its own words that it will not read the file."""


def lake(path: Path) -> Table:
    """lake's bronze, under the names as they stand in the file: `_rescued` fields are what they are, fields after the last column."""
    from lake.contract import RESCUED, ROW
    from lake.errors import FileRejected

    try:
        frame, rejects, named = _bronze(path)
    except FileRejected as rejected:
        raise Refused(str(rejected)) from None
    names = [name for name in frame.columns if name not in (ROW, RESCUED)]
    rows = [[*cells, *json.loads(rescued or "[]")] for *cells, rescued in frame.select(*names, RESCUED).rows()]
    return Table([named.get(name, name) for name in names], rows, list(rejects["bytes"]))


def _bronze(path: Path) -> tuple[Any, Any, dict[str, str]]:
    """What lake makes of a file, knowing the one before it, if any: the frame of bronze, the rejects, and how each column is named in the file."""
    from lake.reading.hints import Hints
    from lake.reading.records import examine, read_member
    from lake.reading.unpack import compression_of

    earlier = path.with_suffix(".before")
    known = examine(earlier, compression_of(earlier), path.name, Hints()) if earlier.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        compression = compression_of(path)
        (dialect,) = examine(path, compression, path.name, Hints(), known)
        parsed = read_member(path, compression, dialect, path.name, Path(folder))
        named = dict(zip(dialect.columns, dialect.named, strict=True)) if dialect.named else {}
        return parsed.frame.collect(), parsed.rejects, named


def duckdb(path: Path) -> Table:
    """DuckDB's sniffer with everything forgiving, and its table of rejects."""
    return _duckdb(path, "auto_detect=true, null_padding=true, strict_mode=false, store_rejects=true, rejects_limit=0, parallel=false")


def duckdb_defaults(path: Path) -> Table:
    """DuckDB as it comes."""
    return _duckdb(path, "")


def _duckdb(path: Path, options: str) -> Table:
    import duckdb as library

    with library.connect(config={"threads": 1}) as connection:
        cursor = connection.execute(f"SELECT * FROM read_csv('{path}', all_varchar=true{', ' if options else ''}{options})")  # noqa: S608
        header = [column[0] for column in cursor.description]
        rows = [list(row) for row in cursor.fetchall()]
        aside = connection.execute("SELECT csv_line FROM reject_errors").fetchall() if "store_rejects" in options else []
    return Table(header, rows, [(line or "").encode() for (line,) in aside])


def polars(path: Path) -> Table:
    """Polars, which takes the comma unless told."""
    return _polars(path, ",")


def polars_sniffed(path: Path) -> Table:
    """Polars with the delimiter that Python's csv.Sniffer finds."""
    try:
        delimiter = csv.Sniffer().sniff(path.read_bytes()[: 1 << 16].decode("utf-8", "replace")).delimiter
    except csv.Error:
        delimiter = ","
    return _polars(path, delimiter if delimiter.isascii() else ",")


def _polars(path: Path, separator: str) -> Table:
    import polars as library

    frame = library.read_csv(path, infer_schema=False, separator=separator, truncate_ragged_lines=True, ignore_errors=True, encoding="utf8-lossy")
    return Table(frame.columns, [list(row) for row in frame.rows()])


def pandas(path: Path) -> Table:
    """pandas' sniffing engine; in UTF-8, or else cp1252 with U+FFFD for what that lacks."""
    import pandas as library

    def read(encoding: str, errors: str) -> library.DataFrame:
        return library.read_csv(
            path, sep=None, engine="python", on_bad_lines="skip", dtype=str, keep_default_na=False, encoding=encoding, encoding_errors=errors
        )  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frame = read("utf-8", "strict")
        except UnicodeDecodeError:
            frame = read("cp1252", "replace")
        if not isinstance(frame.index, library.RangeIndex):
            frame = frame.reset_index(names=[""] * frame.index.nlevels, allow_duplicates=True)
    return Table([str(name) for name in frame.columns], [[None if cell != cell else str(cell) for cell in row] for row in frame.to_numpy().tolist()])


def clevercsv(path: Path) -> Table:
    """CleverCSV: its encoding, its dialect (from the first 20,000 characters, or it takes minutes; with commas if it finds none), its reader."""
    import clevercsv as library

    try:
        rows = library.read_table(path, num_chars=20_000)
    except library.exceptions.NoDetectionResult:
        rows = library.read_table(path, dialect="excel")
    return Table(list(rows[0]) if rows else [], [list(row) for row in rows[1:]])


READERS: dict[str, Callable[[Path], Table]] = {
    "lake": lake, "DuckDB, forgiving": duckdb, "DuckDB, defaults": duckdb_defaults, "Polars": polars, "Polars + csv.Sniffer": polars_sniffed,
    "pandas": pandas, "CleverCSV": clevercsv,
}  # fmt: skip
