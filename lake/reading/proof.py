"""The fast way: Polars' parser over delimited text, and the counts that prove what it made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lake.contract import ROW
from lake.reading.bounds import LONGEST_LINE, too_long
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
    nuls: bool = False


class _Counter:
    """Counts over bytes that come in blocks."""

    def __init__(self, delimiter: str, quote: str | None) -> None:
        self._quote = ord(quote) if quote and quote.isascii() else None
        self._delimiter = delimiter.encode()
        self._edges = np.zeros(256, dtype=bool)
        self._edges[[*b"\r\n", *self._delimiter, *([self._quote] if self._quote is not None else [])]] = True
        self._separators = self._feeds = self._quotes = self._size = 0
        self._last, self._plain, self._nuls = b"\n", True, False

    def add(self, block: bytes, *, first: bool) -> None:
        seen = np.frombuffer(block, np.uint8)
        self._separators += _count(seen, self._delimiter[0]) if len(self._delimiter) == 1 else block.count(self._delimiter)
        self._feeds += _count(seen, ord("\n"))
        joined = self._last + block  # the bytes before, so that nothing hides at a seam
        if self._quote is not None:
            found = np.flatnonzero(seen == self._quote)
            self._quotes += len(found)
            self._plain &= not (self._quotes and self._has_strays(np.frombuffer(joined, np.uint8)))
        if b"\r" in joined:
            self._plain &= joined.count(b"\r") - joined.endswith(b"\r") == joined.count(b"\r\n")
        self._plain &= joined.count(_BOM) == (block.startswith(_BOM) if first else 0)
        self._nuls = self._nuls or 0 in block
        self._size += len(block)
        self._last = joined[-3:]

    def _has_strays(self, seen: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
        """Whether a quote stands between two bytes that are neither a quote nor an edge of a field."""
        inner = np.flatnonzero(seen[1:-1] == self._quote)
        return bool((~(self._edges[seen[inner]] | self._edges[seen[inner + 2]])).any())

    @property
    def feeds(self) -> int:
        """Line feeds so far."""
        return self._feeds

    def stats(self) -> TextStats:
        plain = self._plain and self._quotes % 2 == 0 and not self._last.endswith(b"\r")
        return TextStats(self._separators, self._feeds, self._last.endswith(b"\n"), self._size, plain, self._nuls)


def _count(seen: np.ndarray[Any, np.dtype[np.uint8]], byte: int) -> int:
    return int(np.count_nonzero(seen == byte))


def count_text(path: Path, delimiter: str, quote: str | None = '"') -> TextStats:
    """One pass over the file's bytes in a megabyte of memory. Raises FileRejected where a line does not end that should have."""
    counter, first = _Counter(delimiter, quote), True
    length = lines = 0  # of the line that the block begins in, and those before it
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            counter.add(block, first=first)
            first = False
            end = max(block.rfind(b"\n"), block.rfind(b"\r"))
            length = length + len(block) if end < 0 else len(block) - end - 1
            if length > LONGEST_LINE:
                raise too_long(lines + 1)
            lines = counter.feeds
    return counter.stats()


def scan(source: Path | bytes, layout: Layout, columns: list[str], above: int = 0) -> pl.LazyFrame:
    """The records below the first `above` lines as text, with `_row` from 1."""
    names = [*columns, _SURPLUS] if layout.trailing else columns
    rows = pl.scan_csv(
        source, has_header=False, skip_lines=above, separator=layout.cut.delimiter, quote_char=layout.cut.quote, schema=dict.fromkeys(names, pl.String()),
        empty_string_is_null=False, glob=False, row_index_name=ROW, row_index_offset=1, truncate_ragged_lines=False,
    ).with_columns(pl.col(ROW).cast(pl.Int64))  # fmt: skip
    return rows.with_columns(pl.col(names[1:]).str.strip_prefix(" ")) if layout.cut.padded and names[1:] else rows


@dataclass(frozen=True)
class Proof:
    """What must hold of a frame if it has each record of a text with just its fields, and none is the header again: counts made without the parser.

    `counts` are made of the frame, in the pass that reads it anyway; `records` judges them. `names` are the text's columns, of which the header's titles may
    repeat below; `stats` counts the bytes of the records.
    """

    layout: Layout
    columns: list[str]
    stats: TextStats

    @property
    def names(self) -> list[str]:
        """The columns that are counted."""
        return [*self.columns, _SURPLUS] if self.layout.trailing else self.columns

    @property
    def counts(self) -> list[pl.Expr]:
        """Aggregations of the frame."""
        special = f"[\r\n{re.escape(self.layout.cut.delimiter)}]"
        again = self.layout.header if self.layout.width > 1 else []
        repeated = (
            pl.all_horizontal([pl.col(name) == title for name, title in zip(self.columns[:4], again[:4], strict=False)]) if again else pl.lit(value=False)
        )
        return [
            pl.concat_list(pl.col(name).str.contains(special).any().fill_null(value=False) for name in self.names).alias("#special"),
            pl.len().cast(pl.Int64).alias("#records"),
            repeated.sum().cast(pl.Int64).alias("#headers"),
            (pl.col(_SURPLUS).str.len_bytes().sum().cast(pl.Int64) if self.layout.trailing else pl.lit(0)).alias("#surplus"),
        ]

    def records(self, counted: Mapping[str, Any], frame: pl.LazyFrame) -> int | None:
        """The number of records if the counts prove the frame right, else None. Reads again those columns of `frame` whose values hold separators or line ends."""
        inside, feeds, returns = self._within(frame, [name for name, found in zip(self.names, counted["#special"], strict=True) if found])
        records, lines = counted["#records"], self.stats.feeds + (0 if self.stats.ended else 1)
        if self.stats.separators - inside != records * (len(self.names) - 1) or lines - feeds != records:
            return None
        return None if returns or counted["#headers"] or counted["#surplus"] else int(records)

    def _within(self, frame: pl.LazyFrame, names: list[str]) -> tuple[int, ...]:
        """How many separators, line feeds and carriage returns are in the values of these columns."""
        if not names:
            return 0, 0, 0
        signs = (self.layout.cut.delimiter, "\n", "\r")
        totals = [
            pl.sum_horizontal(pl.col(name).str.count_matches(sign, literal=True).sum() for name in names).cast(pl.Int64).alias(f"{i}")
            for i, sign in enumerate(signs)
        ]
        return frame.select(totals).collect(engine="streaming").row(0)


def proved(frame: pl.LazyFrame, proof: Proof) -> int | None:
    """The number of records if the counts prove that `frame` holds each of them; else None."""
    try:
        return proof.records(frame.select(proof.counts).collect(engine="streaming").row(0, named=True), frame)
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None


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
    return None if proved(frame.lazy(), Proof(layout, columns, stats)) is None else frame
