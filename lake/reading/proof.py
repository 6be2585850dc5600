"""The fast way: Polars' parser over delimited text, and the counts that prove what it made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.contract import ROW
from lake.reading.careful import Layout

_BOM = b"\xef\xbb\xbf"
_SURPLUS = "#surplus"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class TextStats:
    """Counts of UTF-8 bytes: separators, line feeds; whether the last line is ended; and whether the text is plain.

    It is not where a carriage return does not belong to a line end, a byte order mark stands inside, or a quote neither opens nor closes a field:
    parsers differ in what they make of those.
    """

    separators: int
    feeds: int
    ended: bool
    size: int
    plain: bool


class _Counter:
    """Counts over bytes that come in blocks."""

    def __init__(self, delimiter: str, quote: str | None) -> None:
        self._delimiter, self._quote = delimiter.encode(), quote.encode() if quote else None
        self._separators = self._feeds = self._quotes = self._size = 0
        self._last, self._plain = b"\n", True
        mark = re.escape(self._quote or b"\0")
        edge = re.escape(self._delimiter) + rb"\r\n" + mark
        self._stray = re.compile(mark + rb"(?<=[^" + edge + rb"]" + mark + rb")[^" + edge + rb"]")  # led by the quote itself, which is quick to find

    def add(self, block: bytes, *, first: bool) -> None:
        self._separators += block.count(self._delimiter)
        self._feeds += block.count(b"\n")
        quotes = block.count(self._quote) if self._quote else 0
        self._quotes += quotes
        joined = self._last + block  # the bytes before, so that nothing hides at a seam
        if b"\r" in joined:
            self._plain &= joined.count(b"\r") - joined.endswith(b"\r") == joined.count(b"\r\n")
        self._plain &= joined.count(_BOM) == (block.startswith(_BOM) if first else 0) and not (self._quotes and self._stray.search(joined))
        self._size += len(block)
        self._last = joined[-3:]

    def stats(self) -> TextStats:
        plain = self._plain and self._quotes % 2 == 0 and not self._last.endswith(b"\r")
        return TextStats(self._separators, self._feeds, self._last.endswith(b"\n"), self._size, plain)


def count_text(path: Path, delimiter: str, quote: str | None = '"') -> TextStats:
    """One pass over the file's bytes in a megabyte of memory."""
    counter, first = _Counter(delimiter, quote), True
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            counter.add(block, first=first)
            first = False
    return counter.stats()


def scan(source: Path | bytes, layout: Layout, columns: list[str], above: int = 0) -> pl.LazyFrame:
    """The records below the first `above` lines as text, with `_row` from 1."""
    names = [*columns, _SURPLUS] if layout.trailing else columns
    return pl.scan_csv(
        source, has_header=False, skip_lines=above, separator=layout.cut.delimiter, quote_char=layout.cut.quote, schema=dict.fromkeys(names, pl.String()),
        empty_string_is_null=False, glob=False, row_index_name=ROW, row_index_offset=1, truncate_ragged_lines=False,
    ).with_columns(pl.col(ROW).cast(pl.Int64))  # fmt: skip


def proved(frame: pl.LazyFrame, layout: Layout, columns: list[str], stats: TextStats) -> int | None:
    """The number of records if the counts prove that `frame` holds each of them with just its fields, and none is the header again; else None."""
    names = [*columns, _SURPLUS] if layout.trailing else columns
    cells = [pl.col(name) for name in names]
    again = layout.header if layout.width > 1 else []
    repeated = pl.all_horizontal([pl.col(name) == title for name, title in zip(columns[:4], again[:4], strict=False)]) if again else pl.lit(value=False)
    try:
        inside, feeds, returns, records, headers, surplus = (
            frame.select(
                pl.sum_horizontal(cell.str.count_matches(layout.cut.delimiter, literal=True).sum() for cell in cells).cast(pl.Int64).alias("inside"),
                pl.sum_horizontal(cell.str.count_matches("\n", literal=True).sum() for cell in cells).cast(pl.Int64).alias("feeds"),
                pl.sum_horizontal(cell.str.count_matches("\r", literal=True).sum() for cell in cells).cast(pl.Int64).alias("returns"),
                pl.len().cast(pl.Int64).alias("records"),
                repeated.sum().cast(pl.Int64).alias("headers"),
                (pl.col(_SURPLUS).str.len_bytes().sum().cast(pl.Int64) if layout.trailing else pl.lit(0)).alias("surplus"),
            )
            .collect(engine="streaming")
            .row(0)
        )
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None
    lines = stats.feeds + (0 if stats.ended else 1)
    if stats.separators - inside != records * (len(names) - 1) or lines - feeds != records or returns or headers or surplus:
        return None
    return int(records)


def prove(data: bytes, layout: Layout, columns: list[str]) -> pl.DataFrame | None:
    """The rows of a stretch of whole records, if they can be read the fast way and proved."""
    cut = layout.cut
    if cut.wrapped or (cut.escape and cut.escape.encode() in data) or (cut.spaced and cut.quote and cut.quote.encode() in data):
        return None
    if layout.comment is not None and (data.startswith(layout.comment.encode()) or any(end + layout.comment.encode() in data for end in (b"\n", b"\r"))):
        return None
    counter = _Counter(cut.delimiter, cut.quote)
    counter.add(data, first=False)
    stats = counter.stats()
    if not stats.plain:
        return None
    try:
        frame = scan(data, layout, columns).collect()
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None
    return None if proved(frame.lazy(), layout, columns, stats) is None else frame
