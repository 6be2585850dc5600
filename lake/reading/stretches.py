"""A long text in stretches of bounded size: each by the fast way where that is proved, and by the careful way where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lake.reading.careful import Careful, Layout, Piece
from lake.reading.proof import prove
from lake.reading.region import Region, raw_of

LONG, SHORT = 1 << 25, 1 << 20
_LONGEST_RECORD = 1 << 26  # bytes; an open quote that runs longer is taken for a stray one


@dataclass(frozen=True)
class Stretch:
    """Some whole records in the order of the file: either a proved `frame` (with `_row` from 1 within it) of the text `data`, or `pieces`."""

    line: int
    next_line: int
    frame: pl.DataFrame | None = None
    data: bytes = b""
    pieces: list[Piece] = field(default_factory=list)
    mended: dict[str, int] = field(default_factory=dict)

    def records(self, layout: Layout) -> list[tuple[int, bytes]] | None:
        """The first line and the bytes of each proved record, told by its quotes alone; None where these do not give as many as there are."""
        quote = layout.cut.quote.encode() if layout.cut.quote else None
        lines = self.data.splitlines(keepends=True) if b"\r" not in self.data.replace(b"\r\n", b"") else []
        if quote is None or quote not in self.data:
            found = [(self.line + number, line) for number, line in enumerate(lines)]
        else:
            found, begun, opened = [], 0, 0
            for number, line in enumerate(lines, 1):
                opened ^= line.count(quote) & 1
                if not opened:
                    found.append((self.line + begun, line if number == begun + 1 else b"".join(lines[begun:number])))
                    begun = number
        return found if self.frame is not None and len(found) == self.frame.height else None

    def carefully(self, layout: Layout) -> Iterator[Piece]:
        """The proved records once more, with their texts."""
        return Careful(layout, self.line).read(self.data.decode("utf-8"), final=True)


def stretches(path: Path, layout: Layout, columns: list[str], region: Region, *, careful_only: bool = False) -> Iterator[Stretch]:
    """The records of `region`, in memory for one stretch at a time."""
    careful = Careful(layout, region.line)
    left = region.end - region.start
    buffer = b""
    with path.open("rb") as handle:
        handle.seek(region.start)
        need = LONG
        while left or buffer:
            more = handle.read(min(max(0, need - len(buffer)), left))
            left -= len(more)
            buffer += more
            done = 0
            for stretch, size in _within(buffer, layout, columns, careful, final=not left, careful_only=careful_only):
                done += size
                yield stretch
            need = LONG if done else min(need * 2, _LONGEST_RECORD * 2)
            buffer = buffer[done:]


def _within(buffer: bytes, layout: Layout, columns: list[str], careful: Careful, *, final: bool, careful_only: bool) -> Iterator[tuple[Stretch, int]]:
    """Stretches from the start of `buffer` with their sizes, until the rest is too short to decide on."""
    place, fast = 0, not careful_only
    if fast and careful.passing is None:
        cut = len(buffer) if final else _boundary(buffer, 0, len(buffer), layout)
        found = _fast(buffer[:cut], layout, columns, careful) if cut else None
        if found is not None:
            yield found, cut
            if final:
                return
            place = cut
            if cut:
                return
    while place < len(buffer):
        limit = min(len(buffer), place + SHORT)
        cut = len(buffer) if final and limit == len(buffer) else _boundary(buffer, place, limit, layout)
        found = _fast(buffer[place:cut], layout, columns, careful) if fast and cut > place and careful.passing is None else None
        if found is not None:
            yield found, cut - place
            place = cut
            continue
        size = 0
        while True:
            stretch, size = _carefully(buffer[place:limit], careful, final=(final and limit == len(buffer)) or limit - place >= _LONGEST_RECORD)
            if size or limit == len(buffer):
                break
            limit = min(len(buffer), place + 2 * (limit - place))
        if not size:
            return
        yield stretch, size
        place += size


def _fast(data: bytes, layout: Layout, columns: list[str], careful: Careful) -> Stretch | None:
    frame = prove(data, layout, columns)
    if frame is None:
        return None
    line = careful.line
    careful.line += data.count(b"\n") + (not data.endswith(b"\n"))
    return Stretch(line, careful.line, frame, data, mended=careful.mended)


def _carefully(data: bytes, careful: Careful, *, final: bool) -> tuple[Stretch, int]:
    line = careful.line
    pieces = list(careful.read(data.decode("utf-8", "surrogateescape"), final=final, until=SHORT))
    size = sum(len(raw_of(piece.text)) for piece in pieces)
    return Stretch(line, careful.line, pieces=pieces, mended=careful.mended), size


def _boundary(buffer: bytes, start: int, end: int, layout: Layout) -> int:
    """The end of the last line before `end` at which, counted from `start`, as many quotes were closed as opened; `start` if there is none."""
    quote = layout.cut.quote.encode() if layout.cut.quote else None
    odd = buffer.count(quote, start, end) % 2 if quote else 0
    place = end
    while True:
        feed = buffer.rfind(b"\n", start, place)
        if feed < 0:
            return start
        if quote:
            odd = (odd + buffer.count(quote, feed, place)) % 2
        if not odd:
            return feed + 1
        place = feed
