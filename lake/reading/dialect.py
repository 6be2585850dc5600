"""What a file is and how its text is written down: found from its first bytes, or told by the source."""

from __future__ import annotations

import codecs
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from lake.contract import FILE, LANDED, RESCUED, ROW
from lake.reading.fields import split_lines
from lake.reading.findings import Known
from lake.reading.formats import Format, foreign, format_of
from lake.reading.sniff import Told, find_cut
from lake.reading.structure import find_structure
from lake.reading.text import Between, find_encoding, padding

_RESERVED = {FILE, ROW, LANDED, RESCUED}
_HEAD = 1 << 16
_TOLD = "the source declares it"


class Hints(BaseModel):
    """What the source knows about its files and lake need not find out. None is not known.

    `quote`: "" says that no sign quotes. `header`: the number of header records (more than one are joined into names), False for none. `skip_lines` and
    `footer_lines`: physical lines above the header and below the last record. `comment`: what lines that are no records begin with. `table`: which table
    of a file that holds several, from 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool | Annotated[int, Field(ge=0, le=100)] | None = None
    sheet: str | int | None = None
    records: str | None = None
    most_bytes: int | None = Field(default=None, gt=0)
    quote: str | None = None
    escape: str | None = None
    skip_lines: int | None = Field(default=None, ge=0)
    footer_lines: int | None = Field(default=None, ge=0)
    comment: str | None = Field(default=None, min_length=1)
    table: int | None = Field(default=None, ge=1)

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, value: str | None) -> str | None:
        try:
            return codecs.lookup(value).name if value else None
        except LookupError:
            raise ValueError(f"{value!r} is no encoding Python knows") from None

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _is_one_character(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.field_name == "quote" and value == "":
            return value
        if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n" or (info.field_name == "delimiter" and value == '"')):
            raise ValueError(f"{value!r} is not one ASCII character")
        return value


class Dialect(BaseModel):
    """How one file (or member of a zip) is read: kept in its receipt, and used each time it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    member: str | None = None
    format: Format
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    spaced: bool = False
    wrapped: bool = False
    trailing: bool = False
    rest: bool = False
    header: int = 1
    skip_lines: int = 0
    footer_lines: int = 0
    comment: str | None = None
    comment_told: bool = False
    table: int = 1
    tables: list[int] = []
    units: list[str] = []
    shape: str = ""
    sheet: str | None = None
    columns: list[str] = []
    named: list[str] = []
    problem: str | None = None
    why: dict[str, str] = {}
    records: str | None = None
    other_sheets: list[str] = []
    most_bytes: int | None = None

    @property
    def particulars(self) -> dict[str, Any]:
        """What is not as it usually is, by what it is called: how the text is cut, where the table begins."""
        return self.model_dump(exclude_defaults=True, exclude={"columns", "named", "why", "member", "problem", "shape"})

    @property
    def doubt(self) -> str | None:
        """That the encoding is a guess, and why, where the bytes do not prove it."""
        why = self.why.get("encoding")
        return f"the encoding is a guess: {why}" if why and why != _TOLD and not self.encoding.startswith("utf") else None

    @property
    def renamed(self) -> dict[str, str]:
        """Columns whose name in the file could not be kept, with that name."""
        return {column: was for column, was in zip(self.columns, self.named, strict=False) if column != was}


def find_dialect(head: bytes, name: str, member: str | None, hints: Hints, tail: bytes | None = None, between: Between | None = None) -> Dialect:
    """The dialect of a file that begins with `head`: 64 KiB, and the first line if that is longer.

    `tail` is the end of the file, from a place that is a multiple of four; None if the head is all of it. `between` tells of the rest.
    """
    start = head[:_HEAD]
    kind = hints.format or format_of(start, name, cut=tail is not None or len(head) > _HEAD)
    if kind == "ndjson" and hints.records:
        kind = "json"
    if kind == "binary":
        return Dialect(member=member, format=kind, problem=f"it is named {name} but its content is {foreign(start)}")
    if kind in ("empty", "parquet", "arrow", "excel"):
        return Dialect(member=member, format=kind)
    encoding, reason = find_encoding(start, tail or b"", cut=tail is not None or len(head) > _HEAD, between=between)
    if hints.encoding:
        encoding, reason = hints.encoding, _TOLD
    if kind in ("json", "ndjson"):
        return Dialect(member=member, format=kind, encoding=encoding, records=hints.records)
    why = {"encoding": reason} if reason else {}
    return _delimited(Dialect(member=member, format="csv", encoding=encoding, why=why), head, name, hints, tail)


def _delimited(plain: Dialect, head: bytes, name: str, hints: Hints, tail: bytes | None) -> Dialect:
    """The dialect of delimited text: how it is cut, which lines are the table, and the names of its columns."""
    lines = split_lines(_unpadded(head.decode(plain.encoding, "replace").removeprefix("\ufeff")))
    if tail is not None and len(lines) > 1:
        lines = lines[:-1]  # it may be cut
    if not any(line.strip() for line in lines):
        return plain.model_copy(update={"why": plain.why | {"header": "there is nothing but blank lines"}})
    ending = None if tail is None else split_lines(_unpadded(tail.decode(_without_mark(plain.encoding, head), "replace")))[1:]
    known = Known(hints.header, hints.skip_lines, hints.footer_lines, hints.comment, hints.table)
    told = Told(hints.delimiter, hints.quote, hints.escape)
    cut, why = find_cut([line for line in lines[hints.skip_lines or 0 :] if not hints.comment or not line.startswith(hints.comment)], name, told)
    found = find_structure(lines, ending, cut, known)
    return plain.model_copy(
        update={
            "delimiter": cut.delimiter, "quote": cut.quote, "escape": cut.escape, "spaced": cut.spaced, "wrapped": cut.wrapped, "trailing": found.trailing,
            "rest": found.rest,
            "header": found.header, "skip_lines": found.skip_lines, "footer_lines": found.footer_lines, "comment": found.comment,
            "comment_told": hints.comment is not None, "table": found.table, "tables": found.tables, "units": found.units, "shape": found.shape,
            "columns": column_names(found.names), "named": found.names, "why": plain.why | why | found.why, "problem": found.problem,
        }
    )  # fmt: skip


def _unpadded(text: str) -> str:
    """The text without what is no text at its end."""
    return text[: len(text) - padding(text.encode("utf-8"))]  # padding is ASCII: as many characters as bytes


def _without_mark(encoding: str, head: bytes) -> str:
    """The encoding for a part that does not begin with the mark that says which end comes first."""
    if encoding in ("utf-16", "utf-32"):
        return f"{encoding}-{'le' if head.startswith(codecs.BOM_UTF16_LE) else 'be'}"
    return encoding


def column_names(named: list[str]) -> list[str]:
    """Names a Delta table can have: empty ones numbered, forbidden characters replaced, repeats (without case) numbered."""
    taken: set[str] = {name.casefold() for name in _RESERVED}
    result = []
    for i, name in enumerate(named):
        bare = name.strip()
        clean = re.sub(r"[ ,;{}()\n\t=\x00-\x1f]+", "_", bare)
        clean = clean if clean == bare else clean.strip("_")
        pattern = clean == "*" or (clean.startswith("^") and clean.endswith("$"))  # Polars would take these for many columns
        base = ("" if pattern else clean) or f"column_{i + 1}"
        unique, n = base, 2
        while unique.casefold() in taken:
            unique, n = f"{base}_{n}", n + 1
        taken.add(unique.casefold())
        result.append(unique)
    return result
