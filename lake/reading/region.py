"""Where the records of a delimited file begin and end: the lines before them (title, header) and after them (totals, blank lines) by their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lake.reading.careful import Layout, Piece
from lake.reading.fields import Fields, split_lines
from lake.reading.kinds import is_typed, kind_of
from lake.reading.sniff import COMMENTS, DECLARED
from lake.reading.structural import BLANK, COMMENT, FOOTER, HEADER, PADDING, SEPARATOR, TITLE, UNITS, is_shaped
from lake.reading.text import padding

_MARK = b"\xef\xbb\xbf"
_BLOCK, _LONGEST_HEAD = 1 << 18, 1 << 27


@dataclass(frozen=True)
class Region:
    """The bytes from `start` to `end` hold the records, the first of them on line `line`; `before` are the pieces of the lines above.

    The last `footer` bytes of the file are no records, and of these the last `padding` no text.
    """

    start: int
    end: int
    size: int
    line: int
    mark: int
    prefix: bytes = b""
    before: list[Piece] = field(default_factory=list)
    footer: int = 0
    padding: int = 0


@dataclass(frozen=True)
class Above:
    """How many lines stand above the header, where the tables that begin there do, how many header records follow, and whether the last of these holds units."""

    skip: int
    header: int
    tables: tuple[int, ...] = ()
    units: bool = False


def find_region(path: Path, layout: Layout, above: Above, footer: int) -> Region:
    """Read as much of the beginning and end of the file as that takes."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        mark = 3 if handle.read(3) == _MARK else 0
        length = _BLOCK
        while True:
            handle.seek(mark)
            data = handle.read(length)
            final = mark + len(data) >= size
            pieces = _above(data.decode("utf-8", "surrogateescape"), layout, above, final=final or length >= _LONGEST_HEAD)
            if pieces is not None:
                break
            length *= 4
        taken = sum(len(raw_of(piece.text)) for piece in pieces)
        start = mark + taken
        filled = _padding(handle, start, size, single=layout.width == 1)
        below, footer_start = _end(handle, start, size - filled, footer)
    lines = sum(len(split_lines(piece.text)) for piece in pieces)
    return Region(start, footer_start, size, lines + 1, mark, data[:taken], pieces, below + filled, filled)


def raw_of(text: str) -> bytes:
    """The bytes of a text that was decoded with surrogates in place of foreign bytes."""
    return text.encode("utf-8", "surrogateescape")


def _above(text: str, layout: Layout, above: Above, *, final: bool) -> list[Piece] | None:
    """The pieces above the records, or None if they do not end within `text`."""
    lines = split_lines(text)
    usable = len(lines) if final else len(lines) - 1
    fields = Fields(layout.cut)
    if above.skip > usable:
        return None if not final else [_skipped(i, line, above, layout, fields) for i, line in enumerate(lines)]
    pieces = [_skipped(i, line, above, layout, fields) for i, line in enumerate(lines[: above.skip])]
    i = above.skip
    for number in range(above.header):
        while i < usable and _is_aside(lines[i], layout):
            pieces.append(Piece(i + 1, lines[i], what=COMMENT if lines[i].strip() else BLANK))
            i += 1
        if i >= usable:
            return pieces if final else None
        record = fields.record(lines, i, layout.width + layout.trailing, final=final)
        if record is None:
            return None
        pieces.append(Piece(i + 1, record.text, what=UNITS if above.units and number else HEADER))
        i += record.lines
    return pieces


def _is_aside(line: str, layout: Layout) -> bool:
    return not line.strip("\r\n") or (layout.always and layout.comment is not None and line.startswith(layout.comment))


def _skipped(i: int, line: str, above: Above, layout: Layout, fields: Fields) -> Piece:
    """A line above the header: part of the preamble, or of a table that is not read. What is like a record is a reject."""
    passed = [number for number, begins in enumerate(above.tables, 1) if begins <= i + 1]
    if not passed and layout.edition > 1 and (cells := fields.record([line], 0)) is not None and is_shaped(cells.fields, layout.width, layout.shape):
        return Piece(i + 1, line, reason="it stands above the header, and has the fields of a record")
    if not passed:
        return Piece(i + 1, line, what=role_above(line, layout))
    number = passed[-1]
    reason = f"it belongs to table {number} of the file, which begins at line {above.tables[number - 1]}: Hints(table={number}) reads that one"
    return Piece(i + 1, line, reason=reason)


def role_above(line: str, layout: Layout) -> str:
    """What a line above the header is."""
    bare = line.strip("\r\n")
    if not bare.strip(" \t" + layout.cut.delimiter):
        return BLANK
    if DECLARED.fullmatch(line) or not bare.strip(" \t-=+:|" + layout.cut.delimiter):
        return SEPARATOR
    return COMMENT if bare.startswith(layout.comment or COMMENTS) else TITLE


def _padding(handle: IO[bytes], start: int, size: int, *, single: bool) -> int:
    """How many bytes at the end of the file, which has `size` of them, are padding."""
    length = _BLOCK
    while True:
        begin = max(start, size - length)
        handle.seek(begin)
        data = handle.read(size - begin)
        found = padding(data, single=single)
        if found < len(data) or begin == start or length >= _LONGEST_HEAD:
            return found
        length *= 4


def _end(handle: IO[bytes], start: int, size: int, footer: int) -> tuple[int, int]:
    """How many bytes at the end are no records, and where they begin: blank lines, and `footer` lines that are not blank (with the blank ones between)."""
    length = _BLOCK
    while True:
        begin = max(start, size - length)
        handle.seek(begin)
        data = handle.read(size - begin)
        lines = split_lines(data.decode("utf-8", "surrogateescape"))
        kept, left = len(lines), footer
        while kept and (left or not lines[kept - 1].strip("\r\n")):
            left -= 1 if lines[kept - 1].strip("\r\n") else 0
            kept -= 1
        if kept > 1 or begin == start:
            break
        length *= 4
    tail = sum(len(raw_of(line)) for line in lines[kept:])
    return tail, size - tail


def count_lines(path: Path, region: Region) -> int:
    """How many physical lines the file has between a mark and padding, counted by the bytes of their ends."""
    left, count, last = region.size - region.padding - region.mark, 0, b""
    with path.open("rb") as handle:
        handle.seek(region.mark)
        while left and (block := handle.read(min(left, _BLOCK * 4))):
            left -= len(block)
            count += block.count(b"\n")
            if b"\r" in block or last.endswith(b"\r"):
                count += block.count(b"\r") - (last[-1:] + block).count(b"\r\n") - (last[-2:] + block).count(b"\r\r\n")
            last = block[-2:] if len(block) > 1 else (last + block)[-2:]
    return count + bool(last and last[-1:] not in b"\r\n")


def pieces_after(path: Path, region: Region, layout: Layout, line: int) -> Iterator[Piece]:
    """The pieces below the records, the first of them on line `line`. One with the fields of a record is a reject: it may be a total."""
    fields = Fields(layout.cut)
    with path.open("rb") as handle:
        handle.seek(region.end)
        below = handle.read(region.size - region.padding - region.end).decode("utf-8", "surrogateescape")
        filled = handle.read().decode("utf-8", "surrogateescape")
        for i, text in enumerate(lines := split_lines(below)):
            if not text.strip("\r\n"):
                yield Piece(line + i, text, what=BLANK)
                continue
            record = fields.record([text], 0)
            if record is not None and len(record.fields) == layout.width > 1 and (layout.edition == 1 or _may_be_one(record.fields, layout)):
                yield Piece(line + i, text, reason="a line below the records that has their width, such as a total: not a record")
            else:
                yield Piece(line + i, text, what=BLANK if not text.strip("\r\n \t" + layout.cut.delimiter) else FOOTER)
        if filled:
            yield Piece(line + len(lines), filled, what=PADDING)


def _may_be_one(fields: list[str], layout: Layout) -> bool:
    return is_shaped(fields, layout.width, layout.shape, least=1) or any(map(is_typed, map(kind_of, fields)))
