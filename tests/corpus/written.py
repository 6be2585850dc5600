"""How a clean table is written down: an honest dialect, and the draft of a file as lines that know what they should become."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.corpus.phrases import KNOWN, Phrases
from tests.corpus.tables import Table

Role = Literal["header", "row", "beside"]
Standing = Literal["row", "aside", "free"]
JUNK = "\ue000"  # in a line's text, stands for its `junk`: bytes that are no text


class Unfit(Exception):
    """This table cannot be written in this dialect, or broken in this way, so that a person could still tell what it was."""


@dataclass(frozen=True)
class Honest:
    """A way of writing delimited text that loses nothing."""

    delimiter: str = ","
    quote: str = '"'
    quoting: Literal["minimal", "all", "none"] = "minimal"
    doubled: bool = True
    end: str = "\n"
    encoding: str = "utf-8"
    ended: bool = True

    def cell(self, text: str, *, alone: bool = False) -> str:
        """One cell as it stands in a line."""
        signs = [self.delimiter, self.quote, "\n", "\r"] + ([] if self.doubled else ["\\"])
        if self.quoting == "none":
            if any(sign in text for sign in signs):
                raise Unfit("a cell needs quotes")
            return text
        if self.quoting == "minimal" and not any(sign in text for sign in signs) and not (alone and not text):
            return text
        inside = text.replace(self.quote, self.quote * 2) if self.doubled else text.replace("\\", "\\\\").replace(self.quote, "\\" + self.quote)
        return f"{self.quote}{inside}{self.quote}"


@dataclass
class Line:
    """One record or line. `cells` is what it should become, `also` what is as good, `extra` the fields that no column was announced for.

    A `row` must be a row. One that stands `aside` may be a row or be set aside, one that is `free` may also be left out.
    """

    text: str
    role: Role = "beside"
    cells: list[str | None] = field(default_factory=list)
    standing: Standing = "row"
    also: list[list[str | None]] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    junk: bytes | None = None
    encoding: str | None = None
    end: str | None = None
    touched: bool = False


def _bytes_of(line: Line, encoding: str) -> bytes:
    written = line.text.encode(line.encoding or encoding)
    return written if line.junk is None else written.replace(JUNK.encode(), line.junk)


@dataclass
class Draft:
    """A file in the making: its lines in order, and the header expected of it (None if it has none)."""

    table: Table
    dialect: Honest
    draw: random.Random
    late: bool = False
    phrases: Phrases = KNOWN
    gap: str = ""
    header: list[str] | None = None
    headers_also: list[list[str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    may_refuse: bool = False
    before: bytes | None = None

    def __post_init__(self) -> None:
        self.header = list(self.table.header)
        self.lines = [Line(self.write(self.header), "header", list(self.header))]
        self.lines += [Line(self.write(cells), "row", list(cells)) for cells in self.table.rows]

    def write(self, cells: list[str] | list[str | None], raw: dict[int, str] | None = None) -> str:
        """A record's line without its end; the cells in `raw` stand in it as they are."""
        alone = len(cells) == 1
        written = [(raw or {}).get(i, self.dialect.cell(cell or "", alone=alone)) for i, cell in enumerate(cells)]
        return (self.dialect.delimiter + self.gap).join(written)

    @property
    def width(self) -> int:
        """The number of columns of the clean table."""
        return len(self.table.header)

    @property
    def rows(self) -> list[Line]:
        """The lines that should become rows."""
        return [line for line in self.lines if line.role == "row"]

    def place(self) -> int:
        """A place among the lines, between two records of the table."""
        among = [i for i, line in enumerate(self.lines) if line.role == "row"]
        if len(among) < 4:
            raise Unfit("too few records to stand between")
        return self.draw.choice(among[int(len(among) * 0.96) :] if self.late else among[2:])

    def targets(self, count: int) -> list[Line]:
        """Up to `count` records that nothing has happened to yet, none of the first two nor the last, in the file's order."""
        rows = self.rows
        rows = rows[int(len(rows) * 0.96) : -1] if self.late else rows[2:-1]
        free = [i for i, line in enumerate(rows) if not line.touched]
        if not free:
            raise Unfit("no record left to break")
        chosen = [rows[i] for i in sorted(self.draw.sample(free, min(count, len(free))))]
        for line in chosen:
            line.touched = True
        return chosen

    def encoded(self) -> bytes:
        """The file's bytes."""
        encoding = "utf-16-le" if self.dialect.encoding == "utf-16" else "utf-8" if self.dialect.encoding == "utf-8-sig" else self.dialect.encoding
        pieces = [b"\xff\xfe" if encoding == "utf-16-le" else b"\xef\xbb\xbf" if self.dialect.encoding == "utf-8-sig" else b""]
        try:
            for i, line in enumerate(self.lines):
                last = i == len(self.lines) - 1
                end = "" if last and not self.dialect.ended else self.dialect.end if line.end is None else line.end
                pieces += [_bytes_of(line, encoding), end.encode(encoding)]
        except UnicodeEncodeError:
            raise Unfit("the encoding lacks a character") from None
        return b"".join(pieces)

    def expected(self) -> dict[str, Any]:
        """The truth about the file, as plain data."""
        rows = [
            {
                "cells": line.cells, "also": line.also, "extra": line.extra, "standing": line.standing,
                "source": _bytes_of(line, "utf-8").decode("latin-1"),
            }
            for line in self.rows
        ]  # fmt: skip
        return {
            "header": self.header, "headers_also": self.headers_also, "rows": rows, "may_refuse": self.may_refuse,
            "beside": [line.text for line in self.lines if line.role == "beside"], "encoding": self.dialect.encoding,
        }  # fmt: skip
