"""A text written anew, line by line, so that it can be read as delimited text; and the way back from it to the lines as they came.

A view has the lines of its text, each with its end, its mark and its padding: only what stands within lines is another. So a piece of the view is told by its line and
its number of lines, and the bytes that are kept of it (rejects, structure, traces) are those of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from lake.contract import RESCUED
from lake.reading.delimited import REJECTS, Parsed, Part
from lake.reading.dialect import Dialect
from lake.reading.fields import split_lines
from lake.reading.layouts import ASIDE, Anew, Written, in_json, is_rule, is_ruler, replacements, rows_between, words_back
from lake.reading.layouts import MARK as MARK_SIGN
from lake.reading.rewriting import CHARACTERS, FILLED, NULS, windows_signs
from lake.reading.structural import BLANK, COMMENT, FOOTER, MARK, PADDING, SEPARATOR, STRUCTURE, WHY
from lake.reading.text import padding

_BOM = b"\xef\xbb\xbf"
_BLOCK, _EVERY = 1 << 20, 256
_LONGEST_PADDING = 1 << 27


@dataclass
class View:
    """The rewritten text at `path`; `origin` is the text itself, of which the bytes from `start` to `end` are lines. `mended` counts records by how they were put right."""

    path: Path
    origin: Path
    start: int
    end: int
    mended: dict[str, int] = field(default_factory=dict)
    written: Written | None = None
    columns: tuple[str, ...] = ()
    _offsets: list[int] = field(default_factory=list)
    _held: tuple[int, list[bytes]] = (-1, [])

    def lines(self, first: int, count: int) -> bytes:
        """The bytes of `count` lines of the text from line `first` (from 1) on."""
        found = []
        for number in range(first - 1, first - 1 + count):
            block = number // _EVERY
            if block != self._held[0]:
                self._held = (block, self._block(block))
            found.append(self._held[1][number % _EVERY])
        return b"".join(found)

    def _block(self, block: int) -> list[bytes]:
        begin = self._offsets[block]
        end = self._offsets[block + 1] if block + 1 < len(self._offsets) else self.end
        with self.origin.open("rb") as handle:
            handle.seek(begin)
            return [raw_line(line) for line in split_lines(handle.read(end - begin).decode("utf-8", "surrogateescape"))]

    def as_it_came(self, line: int, text: bytes) -> bytes:
        """The text of a piece of the view, first on `line`, as it stands in the text."""
        return self.lines(line, len(split_lines(text.decode("utf-8", "surrogateescape"))))

    def restored(self, parsed: Parsed) -> Parsed:
        """What was read of the view, with the bytes of the text."""
        rejects = [(row, line, self.as_it_came(line, raw), self._said(reason)) for row, line, raw, reason in parsed.rejects.iter_rows()]
        kept = self.path.with_name("structure.parquet")  # now: the text itself may be gone when the lines are asked for
        parsed.structure.map_batches(self._structure, schema=STRUCTURE, streamable=True).sink_parquet(kept, compression="lz4")
        structure = pl.scan_parquet(kept, glob=False)
        mended = self.mended | parsed.mended
        roles = dict(structure.group_by("role", maintain_order=True).len().collect().iter_rows()) if self.written else parsed.roles
        frame = parsed.frame if self.written is None else self._values(parsed.frame, self.written)
        rejected = pl.DataFrame(rejects, schema=REJECTS, orient="row")
        return replace(parsed, frame=frame, rejects=rejected, structure=structure, roles=roles, mended=mended)

    def _values(self, frame: pl.LazyFrame, written: Written) -> pl.LazyFrame:
        """The values as they stand in the text."""
        values, rescued = pl.col(list(self.columns)), pl.col(RESCUED)
        if written.quotes is not None:
            values, rescued = (
                values.str.replace(f"{MARK_SIGN}$", written.quotes[1]),
                rescued.str.replace_all(in_json(f"{MARK_SIGN}") + '"', written.quotes[1] + '"', literal=True),
            )
        for stands, value in replacements(written):
            values = values.str.replace_all(stands, value, literal=True)
            rescued = rescued.str.replace_all(in_json(stands), in_json(value), literal=True)
        return frame.with_columns(values, rescued) if self.columns else frame

    def _said(self, reason: str) -> str:
        return words_back(reason, self.written) if self.written is not None else reason

    def _structure(self, some: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame([self._line(*told) for told in some.iter_rows()], schema=STRUCTURE, orient="row")

    def _line(self, line: int, raw: bytes, role: str, why: str) -> tuple[int, bytes, str, str]:
        """A structural line as it came; one that was set aside when the text was written anew has the role it has in a layout."""
        if role in (MARK, PADDING):
            return line, raw, role, why
        came = self.as_it_came(line, raw)
        if not raw.startswith(ASIDE.encode()) or self.written is None:
            return line, came, role, why
        text = came.decode("utf-8", "surrogateescape")
        if not text.strip():
            return line, came, BLANK, WHY[BLANK]
        if is_rule(text) or is_ruler(text):
            return line, came, SEPARATOR, WHY[SEPARATOR]
        if self.written.comment and text.startswith(self.written.comment):
            return line, came, COMMENT, f"it begins with {self.written.comment}"
        return line, came, FOOTER, WHY[FOOTER]

    def part(self, part: Part) -> Part:
        """A part of the view as one of the text."""
        return part if part.what in (MARK, PADDING) else replace(part, text=self.as_it_came(part.line, part.text))


def raw_line(line: str) -> bytes:
    """The bytes of a line that was decoded with surrogates in place of foreign bytes."""
    return line.encode() if line.isascii() else line.encode("utf-8", "surrogateescape")


def view_of(path: Path, dialect: Dialect, folder: Path, *, nuls: bool) -> View | None:
    """The view by which the UTF-8 text at `path` is read, written into `folder`; None where it is read as it is. `nuls` says that it holds any."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        start = len(_BOM) if handle.read(3) == _BOM else 0
        handle.seek(max(start, size - _LONGEST_PADDING if nuls else size - _BLOCK, 0))
        tail = handle.read()
    single = len(dialect.columns) == 1
    end = size - padding(tail, single=single)
    padded = nuls and _is_padded(path, start, end, dialect, single=single)
    last = _last_row(path, start, end) if dialect.layout == "box" else None
    rewriting = _Rewriting(dialect, nuls=padded, last=last)
    if not rewriting.needed:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    view = View(folder / "view", path, start, end, written=dialect.written, columns=tuple(dialect.columns))
    above, number, place = dialect.skip_lines + dialect.header, 0, start
    with view.path.open("wb") as written:
        written.write(_BOM[:start])
        for lines in _batches(path, start, end):
            made = []
            for line, following in zip(lines, [*lines[1:], ""], strict=True):
                if number % _EVERY == 0:
                    view._offsets.append(place)  # noqa: SLF001  # its own maker
                number += 1
                place += len(line) if line.isascii() else len(raw_line(line))
                new, how = rewriting.line(line, following)
                if how is not None and number > above:
                    view.mended[how] = view.mended.get(how, 0) + 1
                made.append(new)
            written.write(raw_line("".join(made)))
        written.write(tail[len(tail) - (size - end) :] if size > end else b"")
    return view


def _batches(path: Path, start: int, end: int) -> Iterator[list[str]]:
    """The lines of the bytes from `start` to `end`, many at once."""
    buffer, left = b"", end - start
    with path.open("rb") as handle:
        handle.seek(start)
        while left or buffer:
            block = handle.read(min(_BLOCK, left))
            left -= len(block)
            buffer += block
            cut = len(buffer) if not left else buffer.rfind(b"\n") + 1 or next((at.end() for at in re.finditer(rb"\r(?=[^\r\n])", buffer)), 0)
            if cut:
                yield split_lines(buffer[:cut].decode("utf-8", "surrogateescape"))
                buffer = buffer[cut:]


def _last_row(path: Path, start: int, end: int) -> int | None:
    """The number of the last line with a bar, from 0."""
    return rows_between(line for lines in _batches(path, start, end) for line in lines)


def _is_padded(path: Path, start: int, end: int, dialect: Dialect, *, single: bool) -> bool:
    """Whether NULs fill up fields or records: several beside the edge of a field, or as the beginning shows."""
    if dialect.nuls:
        return True
    edge = rb"[\r\n" + re.escape(dialect.delimiter.encode()) + rb"]" if not single else rb"[\r\n]"
    least = b"{%d}" % (8 if single else FILLED)
    padded = re.compile(rb"\0" + least + edge + rb"|" + edge + rb"\0" + least + rb"|\A\0" + least)
    with path.open("rb") as handle:
        handle.seek(start)
        left, kept = end - start, b""
        while left and (block := handle.read(min(_BLOCK, left))):
            left -= len(block)
            if 0 in block and padded.search(kept + block):
                return True
            kept = block[-16:]
    return False


class _Rewriting:
    """What is made of a line, by a dialect."""

    def __init__(self, dialect: Dialect, *, nuls: bool, last: int | None) -> None:
        self._table = windows_signs(dialect.controls) if dialect.controls else None
        edge = re.escape(dialect.separator or dialect.delimiter)
        self._anew = Anew(dialect.written, dialect.delimiter, last) if dialect.written is not None else None
        self._padding = re.compile(rf"(?:\A|(?<={edge}))\0+|\0+(?={edge}|[\r\n]*\Z)") if nuls else None

    @property
    def needed(self) -> bool:
        """Whether any line can become another."""
        return self._table is not None or self._padding is not None or self._anew is not None

    def line(self, line: str, following: str) -> tuple[str, str | None]:
        """The line of the view, and how the text's was put right, if it was."""
        new, how = line, None
        if self._table is not None and not line.isascii() and (told := new.translate(self._table)) != new:
            new, how = told, CHARACTERS
        if self._padding is not None and "\0" in new and (bare := self._padding.sub("", new)) not in ("", new):
            new, how = bare, NULS
        if self._anew is not None:
            blanks = self._anew.cut_by_blanks
            new = self._anew.line(new, following)
            how = how or ("cut by its blanks instead of its places" if self._anew.cut_by_blanks > blanks else None)
        return new, how
