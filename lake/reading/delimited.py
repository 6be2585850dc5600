"""Delimited text into rows of text, with no record lost: a fast way that proves itself, and a careful way for the rest.

The fast way is Polars' parser. It is believed only if two counts made without it agree: separators outside values must be exactly (columns - 1) a
record, and line ends outside values one a record. Together with the parser's own refusal of records with too many fields this proves that each record
has just the announced fields. A file that is not proved whole is read in stretches of 32 MB, each by the fast way if that proves it, else in pieces of
1 MB, so that the careful way (`careful`) has only the neighbourhood of a broken line to read.

Every byte of the file is in one of three places: a row, a reject, or `structure` (see `structural`).
Blank lines between records are rejects in a table of several columns, and empty values in one of a single column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from lake.contract import RESCUED, ROW
from lake.errors import FileRejected
from lake.reading.bounds import MOST_CELLS, MOST_MISSING
from lake.reading.careful import Layout, Piece
from lake.reading.dialect import Dialect
from lake.reading.fields import Cut
from lake.reading.proof import Proof, TextStats, count_text, proved, scan
from lake.reading.region import Above, Region, count_lines, find_region, pieces_after, raw_of, role_above
from lake.reading.stretches import Stretch, stretches
from lake.reading.structural import COMMENT, MARK, TITLE, WHY, Aside, none_aside
from lake.wording import counted

REJECTS = pl.Schema({ROW: pl.Int64(), "line": pl.Int64(), "bytes": pl.Binary(), "reason": pl.String()})
_BATCH, _BATCH_TEXT = 50_000, 1 << 25
_NOTHING_BEYOND = "empty fields beyond the header left out"
_MOST_STRUCTURE = 10_000  # of dialects that were found by the first edition of the reader: comments beyond that are rejects
_UTF_8_ALONE = 2  # the last edition that rejected every line in another encoding
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Parsed:
    """One file as data: `frame` has the file's columns, `_row` (from 1) and `_rescued`; `rejects` what is no record.

    `records` counts the file's records, header excluded, independently of `frame`: it must equal rows plus rejects. `structure` holds the lines that
    are neither (line, bytes, role, why), `roles` how many they are by role, `mended` how many records were put right in which way.
    `lines` counts the text's physical lines, as its bytes tell them; None in a format that has none.
    What only reading shows: `notes` says by column what was done to keep its values, `renamed` holds names of the file that no
    column can have, `why` what was chosen for the whole file and for which reason, `remarks` what the commit should say of it.

    With `proof` the frame is still to be proved, by whoever reads it: where its counts do not hold or reading fails, `otherwise` reads the file another way.
    """

    frame: pl.LazyFrame
    rejects: pl.DataFrame
    records: int
    notes: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    structure: pl.LazyFrame = field(default_factory=none_aside)
    roles: dict[str, int] = field(default_factory=dict)
    lines: int | None = None
    mended: dict[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    proof: Proof | None = None
    otherwise: Callable[[], Parsed] | None = None


@dataclass(frozen=True)
class Part:
    """A run of bytes of the file: what it is, the number of its record if it is one (row or reject), and its first line (0: the mark)."""

    line: int
    what: str
    row: int | None
    text: bytes


def read_delimited(path: Path, dialect: Dialect, spool: Path, *, proving: bool = False, strict: bool = False, stats: TextStats | None = None) -> Parsed:
    """Read the UTF-8 file at `path` with the columns of `dialect`. What is not read lazily is written into the folder `spool`.

    `proving` says that the caller does the proof in the pass in which it reads the frame; `strict` that empty fields beyond the columns are
    told as others are; `stats` are its counts, if they were made.
    """
    stats = stats or count_text(path, dialect.delimiter, dialect.quote)
    if stats.size == 0:
        return Parsed(_no_rows(dialect), pl.DataFrame(schema=REJECTS), 0)
    if not dialect.columns:
        return _of_structure(path, dialect, spool)

    def otherwise() -> Parsed:
        return _by_stretches(path, dialect, spool, strict=strict)

    found = _unproved(path, dialect, stats)
    if found is None:
        return otherwise()
    if proving and not (found.proof and found.proof.layout.trailing):
        return replace(found, otherwise=otherwise)
    return _proved(found) or otherwise()


def texts(path: Path, dialect: Dialect, records: Collection[int]) -> dict[int, bytes]:
    """The bytes of the records numbered `records` (`_row` of a row or a reject), read again from the UTF-8 file at `path` in bounded memory."""
    wanted = frozenset(records)
    found: dict[int, bytes] = {}
    for part in parts(path, dialect, wanted):
        if part.row in wanted:
            found[part.row] = part.text
            if len(found) == len(wanted):
                break
    return found


def parts(path: Path, dialect: Dialect, wanted: frozenset[int] | None = None) -> Iterator[Part]:
    """The whole file in order, byte for byte. With `wanted`, stretches that hold none of these records may be left out."""
    layout = layout_of(dialect)
    if not dialect.columns:
        yield from (Part(line, role, None, raw) for line, raw, role in _without_records(path, dialect))
        return
    region = find_region(path, layout, _above(dialect), dialect.footer_lines)
    if region.mark:
        yield Part(0, MARK, None, _BOM)
    number, structure = 0, 0
    for piece, raw in _every_piece(path, layout, region, wanted):
        if isinstance(piece, int):
            number += piece
            continue
        structure += piece.what is not None
        what = None if layout.edition == 1 and structure > _MOST_STRUCTURE else piece.what
        if what is None:
            number += 1
        yield Part(piece.line, what or ("row" if piece.fields is not None else "reject"), None if what else number, raw)


def layout_of(dialect: Dialect) -> Layout:
    """What the careful way needs of a dialect."""
    header = dialect.named if dialect.header == 1 or dialect.units else []
    cut = Cut(dialect.delimiter, dialect.quote, dialect.escape, dialect.spaced, dialect.wrapped, dialect.padded)
    told = dialect.comment_told
    return Layout(
        cut, len(dialect.columns), header, dialect.shape, dialect.comment, told, dialect.trailing, dialect.rest, dialect.table, dialect.edition, dialect.usual,
        dialect.beside if dialect.encoding == "utf-8" and dialect.edition > _UTF_8_ALONE else None,
        dialect.written.refusal if dialect.written is not None else None,
    )  # fmt: skip


def _above(dialect: Dialect) -> Above:
    return Above(dialect.skip_lines, dialect.header, tuple(dialect.tables), units=bool(dialect.units))


def _no_rows(dialect: Dialect) -> pl.LazyFrame:
    return pl.LazyFrame(schema=dict.fromkeys(dialect.columns, pl.String()) | {ROW: pl.Int64(), RESCUED: pl.String()})


def _fast(path: Path, dialect: Dialect, stats: TextStats) -> Parsed | None:
    """The file read by Polars, or None where the counts do not prove that it was read right."""
    found = _unproved(path, dialect, stats)
    return _proved(found) if found is not None else None


def _proved(parsed: Parsed) -> Parsed | None:
    """The file proved in a pass of its own, or None."""
    records = proved(parsed.frame, parsed.proof) if parsed.proof else parsed.records
    if records is None:
        return None
    frame = parsed.frame.select(*parsed.proof.columns, ROW, RESCUED) if parsed.proof else parsed.frame
    return replace(parsed, frame=frame, records=records, proof=None)


def _unproved(path: Path, dialect: Dialect, stats: TextStats) -> Parsed | None:
    """The file as Polars' parser would read it, with what must prove it; None where that is known to be of no use."""
    layout = layout_of(dialect)
    if not stats.plain or layout.cut.escape or layout.cut.spaced or layout.cut.wrapped or layout.comment or dialect.tables:
        return None
    region = find_region(path, layout, _above(dialect), dialect.footer_lines)
    if (
        region.footer
        or (region.prefix and not region.prefix.endswith(b"\n"))
        or b"\r" in region.prefix.replace(b"\r\n", b"")
        or any(piece.reason for piece in region.before)
    ):
        return None
    above = region.prefix.count(b"\n")
    frame = scan(path, layout, dialect.columns, above)
    rest = TextStats(
        stats.separators - region.prefix.count(dialect.delimiter.encode()), stats.feeds - above, stats.ended, region.size - region.start, plain=True
    )
    proof = Proof(layout, dialect.columns, rest)
    data = frame.select(*proof.names, ROW, pl.lit(None, dtype=pl.String).alias(RESCUED))
    aside = Aside()
    if region.mark:
        aside.take(0, _BOM, MARK)
    for piece in region.before:
        aside.take(piece.line, raw_of(piece.text), piece.what or COMMENT, _why(piece, layout))
    return Parsed(data, pl.DataFrame(schema=REJECTS), -1, structure=aside.frame(), roles=aside.roles, lines=above + rest.feeds + (not rest.ended), proof=proof)


def _why(piece: Piece, layout: Layout) -> str | None:
    return f"it begins with {layout.comment}" if piece.what == COMMENT and layout.comment else None


def _of_structure(path: Path, dialect: Dialect, spool: Path) -> Parsed:
    """A text in which no record was found: every line of it is structure."""
    spool.mkdir(parents=True, exist_ok=True)
    aside = Aside(spool)
    for line, raw, role in _without_records(path, dialect):
        aside.take(line, raw, role, WHY[role] if role != TITLE else "no table begins below it")
    return Parsed(
        _no_rows(dialect),
        pl.DataFrame(schema=REJECTS),
        0,
        structure=aside.frame(),
        roles=aside.roles,
        lines=sum(aside.roles.values()) - aside.roles.get(MARK, 0),
    )


def _without_records(path: Path, dialect: Dialect) -> Iterator[tuple[int, bytes, str]]:
    layout = layout_of(dialect)
    with path.open("r", encoding="utf-8", errors="surrogateescape", newline="") as handle:
        for number, line in enumerate(handle, 1):
            if number == 1 and line.startswith("\ufeff"):
                yield 0, _BOM, MARK
                line = line[1:]
            if line:
                yield number, raw_of(line), role_above(line, layout)


def _careful(path: Path, dialect: Dialect, spool: Path) -> Parsed:
    """The file read without Polars' parser."""
    return _by_stretches(path, dialect, spool, careful_only=True)


def _by_stretches(path: Path, dialect: Dialect, spool: Path, *, careful_only: bool = False, strict: bool = False) -> Parsed:
    spool.mkdir(parents=True, exist_ok=True)
    layout = layout_of(dialect)
    region = find_region(path, layout, _above(dialect), dialect.footer_lines)
    sink = _Sink(dialect, spool, layout, strict=strict)
    sink.begin(region)
    line, mended = region.line, {}
    for stretch in stretches(path, layout, dialect.columns, region, careful_only=careful_only):
        sink.stretch(stretch)
        line, mended = stretch.next_line, stretch.mended
    sink.take_all(pieces_after(path, region, layout, line))
    return sink.parsed(region, mended, count_lines(path, region))


class _Sink:
    """Rows into Parquet parts in the order of the file; rejects and structure into frames. Every byte passes through it, and is counted."""

    def __init__(self, dialect: Dialect, spool: Path, layout: Layout, *, strict: bool) -> None:
        self._strict, self._empty = strict, 0
        self._dialect, self._spool, self._width, self._layout = dialect, spool, len(dialect.columns), layout
        self._parts: list[Path] = []
        self._rows: list[list[str | None]] = []
        self._numbers: list[int] = []
        self._rescued: list[str | None] = []
        self._size = self._missing = 0
        self._most = min(_BATCH, max(1, MOST_CELLS // max(1, self._width)))
        self._rejects: list[tuple[int, int, bytes, str]] = []
        self._rejected: list[pl.DataFrame] = []
        self._aside = Aside(spool)
        self._structural = self._bytes = 0
        self.records = 0

    def begin(self, region: Region) -> None:
        """What stands above the records."""
        if region.mark:
            self._aside.take(0, _BOM, MARK)
            self._bytes += len(_BOM)
        self.take_all(region.before)

    def take_all(self, pieces: Iterable[Piece]) -> None:
        """Pieces in their order."""
        for piece in pieces:
            self.take(piece)

    def stretch(self, stretch: Stretch) -> None:
        if stretch.frame is None:
            self.take_all(stretch.pieces)
            return
        self._bytes += len(stretch.data)
        self._flush()
        frame = stretch.frame.with_columns(pl.col(ROW) + self.records, pl.lit(None, dtype=pl.String).alias(RESCUED))
        self._write(frame.select(*self._dialect.columns, ROW, RESCUED))
        self.records += frame.height

    def take(self, piece: Piece) -> None:
        size = len(piece.text) if piece.text.isascii() else len(raw_of(piece.text))
        self._bytes += size
        if piece.what is not None and (self._layout.edition > 1 or self._structural < _MOST_STRUCTURE):
            self._structural += 1
            self._aside.take(piece.line, raw_of(piece.text), piece.what, _why(piece, self._layout))
            return
        self.records += 1
        if piece.fields is None:
            self._reject(piece)
            return
        fields, width = piece.fields, self._width
        if len(fields) > width and not self._strict and not any(fields[width:]):
            fields = fields[:width]  # where nothing stands, nothing is lost
            self._empty += 1
        self._rescued.append(json.dumps(fields[width:], ensure_ascii=False) if len(fields) > width else None)
        self._missing += max(0, width - len(fields))
        if self._missing > MOST_MISSING:
            raise FileRejected(f"its records lack more than {MOST_MISSING:,} fields of the {width:,} that its header names", "Check its header and delimiter")
        self._rows.append([*fields[:width], *([None] * (width - len(fields)))] if len(fields) != width else fields)  # type: ignore[arg-type]
        self._numbers.append(self.records)
        self._size += size
        if len(self._rows) >= self._most or self._size >= _BATCH_TEXT:
            self._flush()

    def parsed(self, region: Region, mended: dict[str, int], lines: int) -> Parsed:
        self._flush()
        if self._bytes != region.size:
            raise FileRejected(
                f"of the file's {counted(region.size, 'byte')}, {self._bytes:,} are in its rows, rejects and structure",
                "This is a defect in lake; the bytes are kept in raw",
            )
        rejects = pl.concat([*self._rejected, pl.DataFrame(self._rejects, schema=REJECTS, orient="row")])
        frame = pl.scan_parquet(self._parts, glob=False) if self._parts else _no_rows(self._dialect)
        filled = f"{counted(region.padding, 'byte')} of padding (NUL, 0x1A) at the end left out"
        remarks = (filled,) if region.padding else ()
        told = self._aside
        mended = mended | ({_NOTHING_BEYOND: self._empty} if self._empty else {})
        return Parsed(frame, rejects, self.records, structure=told.frame(), roles=told.roles, lines=lines, mended=mended, remarks=remarks)

    def _reject(self, piece: Piece) -> None:
        self._rejects.append((self.records, piece.line, raw_of(piece.text), piece.reason or f"a {piece.what} line, after {_MOST_STRUCTURE:,} of them"))
        if len(self._rejects) >= _BATCH:
            self._rejected.append(pl.DataFrame(self._rejects, schema=REJECTS, orient="row"))
            self._rejects.clear()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = [pl.Series(name, values, dtype=pl.String) for name, values in zip(self._dialect.columns, zip(*self._rows, strict=True), strict=True)]
        own = [pl.Series(ROW, self._numbers, dtype=pl.Int64), pl.Series(RESCUED, self._rescued, dtype=pl.String)]
        self._write(pl.DataFrame([*columns, *own]))
        self._rows, self._numbers, self._rescued, self._size = [], [], [], 0

    def _write(self, frame: pl.DataFrame) -> None:
        part = self._spool / f"part-{len(self._parts):05d}.parquet"
        frame.write_parquet(part, compression="lz4")
        self._parts.append(part)


def _every_piece(path: Path, layout: Layout, region: Region, wanted: frozenset[int] | None) -> Iterator[tuple[Piece | int, bytes]]:
    """Each piece with its bytes; for a stretch with no wanted record only how many records it has."""
    seen = 0
    for piece in region.before:
        seen += piece.what is None
        yield piece, raw_of(piece.text)
    line = region.line
    for stretch in stretches(path, layout, [f"c{i}" for i in range(layout.width)], region):
        line = stretch.next_line
        height = stretch.frame.height if stretch.frame is not None else 0
        if stretch.frame is not None and wanted is not None and not any(seen < number <= seen + height for number in wanted):
            seen += height
            yield height, b""
            continue
        if stretch.frame is not None and wanted is not None and (records := stretch.records(layout)) is not None:
            yield from _chosen(records, [number - seen - 1 for number in sorted(wanted) if seen < number <= seen + height])
            seen += height
            continue
        for piece in stretch.pieces if stretch.frame is None else stretch.carefully(layout):
            seen += piece.what is None
            yield piece, raw_of(piece.text)
    for piece in pieces_after(path, region, layout, line):
        yield piece, raw_of(piece.text)


def _chosen(records: list[tuple[int, bytes]], places: list[int]) -> Iterator[tuple[Piece | int, bytes]]:
    """The records at these places, and how many lie between."""
    done = 0
    for place in places:
        line, raw = records[place]
        yield place - done, b""
        yield Piece(line, raw.decode("utf-8", "surrogateescape"), fields=[]), raw
        done = place + 1
    yield len(records) - done, b""
