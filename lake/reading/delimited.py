"""Delimited text into rows of text, with no record lost: a fast way that proves itself, and a careful way for the rest.

The fast way is Polars' parser. It is believed only if two counts made without it agree: separators outside values must be
exactly (columns - 1) a record, and line ends outside values one a record. Together with the parser's own refusal of records
with too many fields this proves that each record has just the announced fields. Anything else is read the careful way,
record by record, which rescues extra fields, leaves missing ones null, and rejects what is no record with its line and bytes.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.contract import RESCUED, ROW
from lake.reading.dialect import Dialect

REJECTS = pl.Schema({ROW: pl.Int64(), "line": pl.Int64(), "bytes": pl.Binary(), "reason": pl.String()})
_BATCH = 50_000
_SHORTEST_PATIENCE = 8
_LONGEST_RECORD = 1000  # lines; an open quote that runs longer is taken for a stray one
_BOM = b"\xef\xbb\xbf"
csv.field_size_limit(1 << 27)  # the library's default of 128 KiB a field would reject long texts


@dataclass(frozen=True)
class Parsed:
    """One file as data: `frame` has the file's columns, `_row` (from 1) and `_rescued`; `rejects` what is no record.

    `records` counts the file's records, header excluded, independently of `frame`: it must equal rows plus rejects.
    """

    frame: pl.LazyFrame
    rejects: pl.DataFrame
    records: int


@dataclass(frozen=True)
class TextStats:
    """Counts of a UTF-8 file's bytes: separators, line feeds; whether the last line is ended; and whether the text is plain.

    It is not where a carriage return does not belong to a line end, a byte order mark stands inside, or a quote neither opens nor closes a field:
    parsers differ in what they make of those.
    """

    separators: int
    feeds: int
    ended: bool
    size: int
    plain: bool


def count_text(path: Path, delimiter: str) -> TextStats:
    """One pass over the file's bytes in a megabyte of memory."""
    separators = feeds = size = quotes = 0
    last, plain = b"\n", True
    edge = re.escape(delimiter.encode()) + rb'\r\n"'
    stray = re.compile(rb"[^" + edge + rb']"[^' + edge + rb"]")
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            separators += chunk.count(delimiter.encode())
            feeds += chunk.count(b"\n")
            quotes += chunk.count(b'"')
            joined = last + chunk  # the byte before, so that nothing hides at a seam
            if b"\r" in joined:
                plain &= joined.count(b"\r") - joined.endswith(b"\r") == joined.count(b"\r\n")
            plain &= joined.count(_BOM) == (0 if size else chunk.startswith(_BOM)) and not (quotes and stray.search(joined))
            size += len(chunk)
            last = joined[-3:]
    return TextStats(separators, feeds, last.endswith(b"\n"), size, plain and quotes % 2 == 0 and not last.endswith(b"\r"))


def read_delimited(path: Path, dialect: Dialect, spool: Path) -> Parsed:
    """Read the UTF-8 file at `path` with the columns of `dialect`. The careful way writes its rows into the folder `spool`."""
    stats = count_text(path, dialect.delimiter)
    if stats.size == 0 or not dialect.columns:
        return _nothing(dialect)
    return _fast(path, dialect, stats) or _careful(path, dialect, spool)


def _nothing(dialect: Dialect) -> Parsed:
    schema = dict.fromkeys(dialect.columns, pl.String()) | {ROW: pl.Int64(), RESCUED: pl.String()}
    return Parsed(pl.LazyFrame(schema=schema), pl.DataFrame(schema=REJECTS), 0)


def _fast(path: Path, dialect: Dialect, stats: TextStats) -> Parsed | None:
    """The file read by Polars, or None where the counts do not prove that it was read right."""
    if not stats.plain:
        return None
    header = _header_record(path, dialect) if dialect.header else (0, 0)
    if header is None:
        return None
    width = len(dialect.columns)
    frame = pl.scan_csv(
        path, has_header=False, skip_lines=header[1], separator=dialect.delimiter, schema=dict.fromkeys(dialect.columns, pl.String()),
        empty_string_is_null=False, glob=False, row_index_name=ROW, row_index_offset=1, truncate_ragged_lines=False,
    ).with_columns(pl.col(ROW).cast(pl.Int64), pl.lit(None, dtype=pl.String).alias(RESCUED))  # fmt: skip
    columns = [pl.col(name) for name in dialect.columns]
    try:
        inside, feeds, returns, records = (
            frame.select(
                pl.sum_horizontal(column.str.count_matches(dialect.delimiter, literal=True).sum() for column in columns).cast(pl.Int64),
                pl.sum_horizontal(column.str.count_matches("\n", literal=True).sum() for column in columns).cast(pl.Int64).alias("feeds"),
                pl.sum_horizontal(column.str.count_matches("\r", literal=True).sum() for column in columns).cast(pl.Int64).alias("returns"),
                pl.len().cast(pl.Int64).alias("records"),
            )
            .collect(engine="streaming")
            .row(0)
        )
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None
    lines = stats.feeds + (0 if stats.ended else 1)
    if stats.separators - inside - header[0] != records * (width - 1) or lines - feeds - header[1] != records or returns:
        return None
    return Parsed(frame, pl.DataFrame(schema=REJECTS), records)


def _header_record(path: Path, dialect: Dialect) -> tuple[int, int] | None:
    """Separators and lines of the header as they stand in the file; None if it does not fit the columns."""
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as handle:
        taken: list[str] = []

        def lines() -> Iterator[str]:
            for line in handle:
                taken.append(line)
                yield line

        record = next(csv.reader(lines(), delimiter=dialect.delimiter), [])
    text = "".join(taken)
    if len(record) != len(dialect.columns) or "\r" in text.replace("\r\n", ""):
        return None
    return text.count(dialect.delimiter), max(1, text.count("\n"))


def _careful(path: Path, dialect: Dialect, spool: Path) -> Parsed:
    spool.mkdir(parents=True, exist_ok=True)
    rows: list[list[str | None]] = []
    rejects: list[tuple[int, int, bytes, str]] = []
    parts: list[Path] = []
    schema = dict.fromkeys(dialect.columns, pl.String()) | {ROW: pl.Int64(), RESCUED: pl.String()}

    def flush() -> None:
        if rows:
            part = spool / f"part-{len(parts):05d}.parquet"
            pl.DataFrame(rows, schema=schema, orient="row").write_parquet(part, compression="lz4")
            parts.append(part)
            rows.clear()

    records, width = 0, len(dialect.columns)
    header_pending = dialect.header
    for line, raw, fields, reason in _records(path, dialect.delimiter, width):
        if header_pending and raw.strip(b"\r\n"):
            header_pending = False
            continue
        records += 1
        if reason is not None:
            rejects.append((records, line, raw, reason))
            continue
        rescued = json.dumps(fields[width:], ensure_ascii=False) if len(fields) > width else None
        kept: list[str | None] = [*fields[:width], *([None] * (width - len(fields)))]
        rows.append([*kept, records, rescued])  # type: ignore[list-item]  # the last two columns are a number and text
        if len(rows) >= _BATCH:
            flush()
    flush()
    frame = pl.scan_parquet(parts, glob=False) if parts else pl.LazyFrame(schema=schema)
    return Parsed(frame, pl.DataFrame(rejects, schema=REJECTS, orient="row"), records)


def _records(path: Path, delimiter: str, width: int) -> Iterator[tuple[int, bytes, list[str], str | None]]:
    """Each record as (line it starts on, its bytes, its fields, why it is none). Lines end in LF, CR LF or CR."""
    pending = _lines(path)
    backlog: deque[tuple[int, bytes]] = deque()

    def next_line() -> tuple[int, bytes] | None:
        return backlog.popleft() if backlog else next(pending, None)

    patience = _LONGEST_RECORD
    while (current := next_line()) is not None:
        number, raw = current
        taken = [current]
        if not raw.strip(b"\r\n"):
            if width == 1:
                yield number, raw, [""], None
            else:
                yield number, raw, [], "the line is blank"
            continue
        inside = _inside(raw, delimiter, inside=False)
        while inside and len(taken) < patience and (more := next_line()) is not None:
            taken.append(more)
            inside = _inside(more[1], delimiter, inside=True)
        closed = not inside
        if not closed:
            patience = max(_SHORTEST_PATIENCE, patience // 2)  # one stray quote a line must not cost a thousand lines each
            backlog.extendleft(reversed(taken[1:]))
            taken = taken[:1]
        whole = b"".join(part for _, part in taken)
        if not closed:
            yield number, whole, [], "a quote is opened and never closed"
            continue
        try:
            text = whole.decode("utf-8")
        except UnicodeDecodeError as error:
            yield number, whole, [], f"not valid UTF-8 at byte {error.start + 1} of the record"
            continue
        try:
            fields = next(csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""), delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            yield number, whole, [], f"cannot be parsed: {error}"
        else:
            yield number, whole, fields, None


def _inside(line: bytes, delimiter: str, *, inside: bool) -> bool:
    """Whether a quoted field is open at the end of `line`, given whether one was at its start. A quote opens one only at a field's start."""
    if b'"' not in line:
        return inside
    mark, at_start, i = delimiter.encode()[0], not inside, 0
    while i < len(line):
        byte = line[i]
        if inside:
            if byte == 0x22:
                if line[i + 1 : i + 2] == b'"':
                    i += 1
                else:
                    inside = False
        elif byte == 0x22 and at_start:
            inside = True
        at_start = byte == mark and not inside
        i += 1
    return inside


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Physical lines with their numbers from 1, ends kept. A byte order mark is not part of the first."""
    number = 0
    with path.open("rb") as handle:
        if handle.read(3) != _BOM:
            handle.seek(0)
        for chunk in handle:
            pieces = chunk.split(b"\r") if b"\r" in chunk.removesuffix(b"\r\n") else [chunk]
            for i, piece in enumerate(pieces):
                line = piece + (b"\r" if i < len(pieces) - 1 else b"")
                if i < len(pieces) - 1 and pieces[i + 1] == b"\n":
                    pieces[i + 1] = b""
                    line += b"\n"
                if line:
                    number += 1
                    yield number, line
