"""The careful way: a stretch of text, line by line, into rows, rejects and lines of structure; all that people break and a reader may mend.

What it mends, and when: a record broken over two or more lines, if together they have the right width and the kinds of the columns tell that they belong
together, or a sentence plainly goes on in the next line; a line written with another delimiter, if that cuts it to the right width; quotes nobody doubled (see `fields`). What it rejects with its
reason: the header again, lines of another table, blank lines, lines that are no text, quotes never closed, and lines that two readings would fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from lake.reading.fields import Cut, Fields, Record, is_foreign, is_torn, not_utf8, split_lines, told_line, with_lost_delimiter
from lake.reading.kinds import NOTHING, TEXT, is_title, is_typed, kind_of, likeness, misfits
from lake.reading.layouts import REFUSED
from lake.reading.structural import AGAIN, COMMENT, WHY
from lake.wording import counted

_OTHERS = (";", "\t", "|", ",")
_FEWEST_OTHER = 3
_LONGEST_BREAK = 8  # lines a broken record may be put together from
_LOOK_AHEAD = 12
_TWO_READINGS = "it is either the rest of the record before it or a line of its own: nothing tells which"


@dataclass(frozen=True)
class Layout:
    """What the careful way must know of a file: its cut and width, the header's fields, the kinds of its columns, and the sign of a comment.

    `usual` is how many fields most records have, where that is more than the width: quotes are judged by it. In `edition` 1 the header again was a reject, and so were comments past the first 10,000: records of files that landed then keep their numbers.
    `refusal` is why lines are rejected that could not be written anew (see `layouts`).
    `beside` is the encoding of lines that are not UTF-8, where they are told from damage; None where such lines are rejected.
    """

    cut: Cut
    width: int
    header: list[str] = field(default_factory=list)
    shape: str = ""
    comment: str | None = None
    always: bool = False
    trailing: bool = False
    rest: bool = False
    table: int = 1
    edition: int = 2
    usual: int = 0
    beside: str | None = None
    refusal: str | None = None

    def is_header(self, fields: list[str]) -> bool:
        """Whether a record is the header once more, as in files that were put one after another."""
        if self.width < 2 or not self.header or not fields:
            return False
        return fields == self.header or (len(fields) < self.width and fields == [name for name in self.header if name])


class Piece(NamedTuple):
    """One row (`fields`), reject (`reason`) or line of structure (`what`), with its first line and its text as in the file."""

    line: int
    text: str
    fields: list[str] | None = None
    reason: str | None = None
    what: str | None = None


class Careful:
    """Reads one stretch after the other; between them it remembers the line and whether another table is being passed over."""

    def __init__(self, layout: Layout, line: int) -> None:
        self.line = line
        self.passing: tuple[int, int] | None = None
        self.mended: dict[str, int] = {}
        self._layout = layout
        plain = layout.width > 1 and layout.comment is None and layout.cut.escape is None and not (layout.cut.wrapped or layout.cut.padded)
        self._quick = layout.width - 1 if plain else None
        self._fields = Fields(layout.cut)
        self._spaced = Fields(replace(layout.cut, spaced=True, wrapped=False)) if layout.cut.quote and not layout.cut.spaced else None
        self._others = [Fields(Cut(sign, layout.cut.quote, layout.cut.escape)) for sign in _OTHERS if sign != layout.cut.delimiter]

    def read(self, text: str, *, final: bool, until: int | None = None) -> Iterator[Piece]:
        """The pieces of `text`, as far as they are decided: unless it is `final`, the last lines are left for when more follows.

        With `until`, no piece is begun after so many characters.
        """
        lines = split_lines(text)
        if self._layout.beside is not None and not text.isascii() and is_foreign(text):
            yield from self._by_line(lines, final=final, until=until)
            return
        yield from self._read(lines, final=final, until=until)

    def _by_line(self, lines: list[str], *, final: bool, until: int | None) -> Iterator[Piece]:
        """The pieces of lines of which some are in another encoding: read as that, where it is certain, and kept as they came."""
        encoding, begun = self._layout.beside or "", self.line
        told = [told_line(line, encoding) if is_foreign(line) else None for line in lines]
        read = [line if other is None else other for line, other in zip(lines, told, strict=True)]
        for piece in self._read(read, final=final, until=until):
            first = piece.line - begun
            taken = len(split_lines(piece.text))
            if any(other is not None for other in told[first : first + taken]):
                if piece.fields is not None:
                    self._mend(f"a line in {encoding} read as that, among lines in UTF-8")
                piece = piece._replace(text="".join(lines[first : first + taken]))
            yield piece

    def _read(self, lines: list[str], *, final: bool, until: int | None) -> Iterator[Piece]:
        i, last, end = 0, None, len(lines) - (0 if final else 1)
        if not final and end and lines[end] == "\r" and lines[end - 1].endswith("\r"):
            end -= 1  # with a line feed to come they are one line end
        done, soon = 0, sum(map(len, lines)) if until is None else until
        while i < end and done < soon:
            simple = self._simple(lines[i])
            found = (1, simple) if simple is not None else self._piece(lines, i, last, final=final)
            if found is None:
                break
            taken, piece = found
            if taken < 0:
                last = piece
                taken = -taken
            else:
                if last is not None:
                    yield last
                last = piece
            done += sum(map(len, lines[i : i + taken])) if taken > 1 else len(lines[i])
            i += taken
            self.line += taken
        if last is not None:
            yield last

    def _simple(self, line: str) -> Piece | None:
        """The row of a line of ASCII with no quote and the right number of delimiters: most lines of most files."""
        layout = self._layout
        if self._quick is None or self.passing is not None or not line.isascii() or line.count(layout.cut.delimiter) != self._quick:
            return None
        if layout.cut.quote is not None and layout.cut.quote in line:
            return None
        fields = line.rstrip("\r\n").split(layout.cut.delimiter)
        return None if fields == layout.header else Piece(self.line, line, fields)

    def _piece(self, lines: list[str], i: int, last: Piece | None, *, final: bool) -> tuple[int, Piece] | None:
        """The piece at line `i` and its number of lines, negative if it takes the place of the `last`; None if undecided."""
        line, layout = lines[i], self._layout
        bare = line.rstrip("\r\n")
        if self._is_blank(bare):
            return self._blank(lines, i, final=final)
        if layout.comment is not None and bare.startswith(layout.comment):
            return 1, self._comment(line, bare)
        if layout.refusal is not None and bare.startswith(REFUSED):
            return 1, Piece(self.line, line, reason=layout.refusal)
        if self.passing is not None:
            return self._other(line)
        mark = "\ufeff" if line.startswith("\ufeff") else ""
        record = self._fields.record(
            [line[1:], *lines[i + 1 : i + _LOOK_AHEAD]] if mark else lines, 0 if mark else i, layout.usual or layout.width + layout.trailing, final=final
        )
        if record is None:
            return None
        if mark:
            self._mend("a byte order mark inside left out")
            record = record._replace(text=mark + record.text)
        foreign = None if record.text.isascii() else not_utf8(record.text)
        if foreign is not None:
            first = not_utf8(line)
            return (1, Piece(self.line, line, reason=first)) if first else (record.lines, Piece(self.line, record.text, reason=foreign))
        if record.reason is not None:
            return record.lines, Piece(self.line, record.text, reason=record.reason)
        if not record.exact:
            self._mend("quotes put right")
        if self._spaced is not None and is_torn(record.fields, layout.cut.quote):
            return record.lines, self._untorn(self._spaced, record)
        if (parted := self._parted(record)) is not None:
            return record.lines, parted
        fields = record.fields[:-1] if layout.trailing and len(record.fields) == layout.width + 1 and not record.fields[-1] else record.fields
        if len(fields) == layout.width:
            return record.lines, self._again(record.text, fields) if layout.is_header(fields) else Piece(self.line, record.text, fields)
        if layout.rest and len(record.fields) > layout.width and not (layout.cut.quote and layout.cut.quote in record.text):
            kept = record.fields[: layout.width - 1]
            return record.lines, Piece(self.line, record.text, [*kept, layout.cut.delimiter.join(record.fields[layout.width - 1 :])])
        return self._irregular(lines, i, record, last, final=final)

    def _parted(self, record: Record) -> Piece | None:
        """A record that lacks the delimiter before a quoted field with delimiters inside, with it put back, if that gives the right width."""
        quote, width = self._layout.cut.quote, self._layout.width
        if quote is None or width < 2 or record.lines > 1 or quote not in record.text:  # noqa: PLR2004  # one column has no delimiter
            return None
        text = with_lost_delimiter(self._layout.cut, record.text)
        found = self._fields.record([text], 0, width) if text is not None else None
        if found is None or found.reason is not None or not found.exact or len(found.fields) != width or misfits(found.fields, self._layout.shape):
            return None
        self._mend("a delimiter put before a quote")
        return Piece(self.line, record.text, found.fields)

    def _surplus(self, fields: list[str]) -> list[str] | None:
        """The fields of a record without one that is empty, where there is one too many, and what follows it fits its columns only so."""
        width, shape = self._layout.width, self._layout.shape
        typed = [i for i, letter in enumerate(shape) if is_typed(letter)]
        if len(fields) != width + 1 or all(kind_of(fields[i]) == shape[i] for i in typed):
            return None
        ways = {tuple(fields[:i] + fields[i + 1 :]) for i, field in enumerate(fields) if not field.strip()}
        fitting = [way for way in ways if not misfits(way, shape) and all(kind_of(way[i]) == shape[i] for i in typed)]
        return list(fitting[0]) if len(fitting) == 1 else None

    def _irregular(self, lines: list[str], i: int, record: Record, last: Piece | None, *, final: bool) -> tuple[int, Piece] | None:
        """A record of another width: another table begins, another delimiter, part of a broken record, or simply too short or too long."""
        width = self._layout.width
        if self._layout.is_header(record.fields):
            return record.lines, self._again(record.text, record.fields)
        if len(lines) - i < _LOOK_AHEAD and not final:
            return None
        if width > 1 and self._begins_table(lines, i, 3):
            self.passing = ((self.passing or (self._layout.table, 0))[0] + 1, self.line)
            return self._other(lines[i])
        if (fewer := self._surplus(record.fields)) is not None:
            self._mend("an empty field too many left out")
            return record.lines, Piece(self.line, record.text, fewer)
        if len(record.fields) < width:
            recut = self._recut(record)
            if recut is not None:
                return record.lines, Piece(self.line, record.text, recut)
            if self._hangs_on(record, last):
                if last is not None and self._goes_on(lines, i, record, last):
                    return -record.lines, self._continued(record, last)
                return record.lines, Piece(self.line, record.text, reason=_TWO_READINGS)
            if (joined := self._joined(lines, i, record)) is not None:
                return joined
        return record.lines, Piece(self.line, record.text, record.fields)

    def _is_blank(self, bare: str) -> bool:
        return not bare or (self._layout.width > 1 and bare.isspace() and self._layout.cut.delimiter not in bare and bare.strip(" \t") == "")

    def _blank(self, lines: list[str], i: int, *, final: bool) -> tuple[int, Piece] | None:
        line = lines[i]
        if self._layout.width == 1:
            return 1, Piece(self.line, line, [line.rstrip("\r\n")])
        if len(lines) - i < _LOOK_AHEAD and not final:
            return None
        j = i + 1
        while j < len(lines) and self._is_blank(lines[j].rstrip("\r\n")):
            j += 1
        titles = 0
        while titles < 2 and j + titles < len(lines) and len(self._cells(lines, j + titles)) == 1:
            titles += 1
        if self._begins_table(lines, j + titles, 2, apart=True):
            number = (self.passing or (self._layout.table, 0))[0] + 1
            self.passing = (number, self.line + j - i)
        return 1, Piece(self.line, line, reason="the line is blank")

    def _cells(self, lines: list[str], i: int) -> list[str]:
        """The fields of line `i` by itself; a blank or unreadable one has none."""
        if i >= len(lines) or self._is_blank(lines[i].rstrip("\r\n")):
            return []
        record = self._fields.record(lines[i : i + 1], 0)
        return record.fields if record else []

    def _begins_table(self, lines: list[str], i: int, least: int, *, apart: bool = False) -> bool:
        """Whether lines from `i` on look like a header and rows, all of one width, that is not this table's (or is, under other names)."""
        first = self._cells(lines, i)
        width, shape = self._layout.width, self._layout.shape
        if len(first) < 2 or not is_title(first) or self._layout.is_header(first):
            return False
        following = [self._cells(lines, i + n) for n in range(1, least)]
        if any(len(cells) != len(first) for cells in following):
            return False
        if len(first) == width:
            return misfits(first, shape) > 1 or (misfits(first, shape) == 1 and sum(map(is_typed, shape)) == 1)
        return apart or any(kind_of(cell) not in (TEXT, NOTHING) for cells in following for cell in cells)

    def _other(self, line: str) -> tuple[int, Piece]:
        """A line of a table that is passed over; this table's own header ends that."""
        record = self._fields.record([line], 0)
        if record is not None and self._layout.is_header(record.fields):
            self.passing = None
            return 1, self._again(line, record.fields)
        number, begins = self.passing or (0, 0)
        return 1, Piece(
            self.line, line, reason=f"it belongs to table {number} of the file, which begins at line {begins}: Hints(table={number}) reads that one"
        )

    def _again(self, text: str, fields: list[str]) -> Piece:
        """The header once more: structure, unless its words are what the columns hold too, so that it may be a record."""
        if self._layout.edition == 1 or (len(fields) == self._layout.width and not misfits(fields, self._layout.shape)):
            return Piece(self.line, text, reason=WHY[AGAIN])
        return Piece(self.line, text, what=AGAIN)

    def _comment(self, line: str, bare: str) -> Piece:
        cells = self._cells([line], 0)
        filled = sum(1 for cell in cells if cell.strip())
        if not self._layout.always and filled > 1 and len(cells) == self._layout.width:
            return Piece(self.line, line, reason=f"a comment ({self._layout.comment}) with the fields of a record: {bare[:80]!r}")
        return Piece(self.line, line, what=COMMENT)

    def _untorn(self, spaced: Fields, record: Record) -> Piece:
        """A record with blanks around its quotes, cut as they were meant, if that gives the right width."""
        found = spaced.record([record.text], 0, self._layout.width) if record.lines == 1 else None
        if found is None or found.reason is not None or len(found.fields) != self._layout.width:
            return Piece(self.line, record.text, reason="blanks stand around its quotes, and it has not the right number of fields with or without them")
        self._mend("blanks around quotes left out")
        return Piece(self.line, record.text, found.fields)

    def _recut(self, record: Record) -> list[str] | None:
        """The fields of a line that only another delimiter cuts to the table's width."""
        if len(record.fields) > 1 or self._layout.width < _FEWEST_OTHER or record.lines > 1:
            return None
        for other in self._others:
            found = other.record([record.text], 0, self._layout.width)
            if found is not None and len(found.fields) == self._layout.width and not misfits(found.fields, self._layout.shape):
                self._mend(f"cut by {other.cut.delimiter!r} instead")
                return found.fields
        return None

    def _hangs_on(self, record: Record, last: Piece | None) -> bool:
        """Whether a line cannot begin a record, and may be the rest of the last field of the record before it."""
        shape, width = self._layout.shape, self._layout.width
        if last is None or last.fields is None or len(last.fields) != width or width < 2 or len(record.fields) > 1 or not shape:
            return False
        if not is_typed(shape[0]) or is_typed(shape[-1]) or not misfits(record.fields, shape):
            return False
        return bool(last.fields[-1]) and not last.text.rstrip("\r\n").endswith('"')

    def _goes_on(self, lines: list[str], i: int, record: Record, last: Piece) -> bool:
        """Whether the text of the last field goes on in this line: words that do not end there go on in lower case, and a record follows."""
        before, after = (last.fields or [""])[-1].rstrip(), record.fields[0]
        if " " not in before or before.endswith((".", "!", "?", ":", ";")) or not after[:1].islower():
            return False
        return len(self._cells(lines, i + record.lines)) == self._layout.width

    def _continued(self, record: Record, last: Piece) -> Piece:
        """The record before with this line as the rest of its last field."""
        self._mend("a last field over two lines joined")
        end = last.text[len(last.text.rstrip("\r\n")) :]
        fields = last.fields or [""]
        return Piece(last.line, last.text + record.text, [*fields[:-1], fields[-1] + end + record.fields[0]])

    def _joined(self, lines: list[str], i: int, record: Record) -> tuple[int, Piece] | None:
        """A record broken by line ends inside unquoted fields, put together; or rejected if its parts might as well be short records."""
        layout, parts, fields = self._layout, [record.fields], list(record.fields)
        text, taken = record.text, record.lines
        while len(fields) < layout.width and taken < _LONGEST_BREAK:
            cells = self._cells(lines, i + taken)
            end = text[len(text.rstrip("\r\n")) :]
            if not cells or len(cells) >= layout.width or (len(fields) == 1 and len(cells) == 1) or not_utf8(lines[i + taken]):
                return None
            fields = [*fields[:-1], fields[-1] + end + cells[0], *cells[1:]]
            parts.append(cells)
            text += lines[i + taken]
            taken += 1
        if len(fields) != layout.width or len(parts) < 2:
            return None
        together, apart = likeness(fields, layout.shape), sum(likeness(part, layout.shape) for part in parts)
        if together > apart:
            self._mend("a record over several lines joined")
            return taken, Piece(self.line, text, fields)
        if together < apart:
            return None
        reason = f"short lines that may be one broken record of {counted(layout.width, 'field')}, or {len(parts)} that lack their ends"
        return taken, Piece(self.line, text, reason=reason)

    def _mend(self, what: str) -> None:
        self.mended[what] = self.mended.get(what, 0) + 1
