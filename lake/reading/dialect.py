"""What a file is and how its text is written down: found from its first bytes, or told by the source."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from lake.contract import FILE, LANDED, RESCUED, ROW

Format = Literal["csv", "json", "ndjson", "parquet", "arrow", "excel", "empty", "binary"]
_RESERVED = {FILE, ROW, LANDED, RESCUED}
_DELIMITERS = (",", "\t", ";", "|")
_HEAD = 1 << 16


class Hints(BaseModel):
    """What the source knows about its files and lake need not find out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool = True
    sheet: str | None = None

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, value: str | None) -> str | None:
        try:
            return codecs.lookup(value).name if value else None
        except LookupError:
            raise ValueError(f"{value!r} is no encoding Python knows") from None

    @field_validator("delimiter")
    @classmethod
    def _is_one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or not value.isascii() or value in '"\r\n'):
            raise ValueError(f"{value!r} is not one ASCII character")
        return value


class Dialect(BaseModel):
    """How one file (or member of a zip) is read: kept in its receipt, and used each time it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    member: str | None = None
    format: Format
    encoding: str = "utf-8"
    delimiter: str = ","
    header: bool = True
    sheet: str | None = None
    columns: list[str] = []
    named: list[str] = []
    problem: str | None = None

    @property
    def renamed(self) -> dict[str, str]:
        """Columns whose name in the file could not be kept, with that name."""
        return {column: was for column, was in zip(self.columns, self.named, strict=False) if column != was}


def find_dialect(head: bytes, name: str, member: str | None, hints: Hints) -> Dialect:
    """The dialect of a file that begins with `head`: 64 KiB, and the first line if that is longer."""
    start = head[:_HEAD]
    kind = hints.format or _format_of(start, name)
    if kind == "binary":
        what = "a PDF" if head.startswith(b"%PDF") else "a picture" if head[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"GIF8") else "binary"
        return Dialect(member=member, format=kind, problem=f"it is named {name} but its content is {what}")
    if kind in ("empty", "parquet", "arrow", "excel"):
        return Dialect(member=member, format=kind, sheet=hints.sheet)
    encoding = hints.encoding or _encoding_of(start)
    if kind in ("json", "ndjson"):
        return Dialect(member=member, format=kind, encoding=encoding)
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    delimiter = hints.delimiter or _delimiter_of(text[:_HEAD], name)
    first = _first_record(text, delimiter)
    named = first if hints.header else [f"column_{i + 1}" for i in range(len(first))]
    return Dialect(member=member, format="csv", encoding=encoding, delimiter=delimiter, header=hints.header, columns=column_names(named), named=named)


def _first_record(text: str, delimiter: str) -> list[str]:
    """The fields of the first line that is not blank, and of those after it while a quoted field goes on and ends before the text does."""
    lines = [line for line in io.StringIO(text, newline="") if line.strip("\r\n")]
    try:
        record = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error:
        record = next(csv.reader([lines[0].replace('"', "")], delimiter=delimiter), [])
    return record


def column_names(named: list[str]) -> list[str]:
    """Names a Delta table can have: empty ones numbered, forbidden characters replaced, repeats (without case) numbered."""
    taken: set[str] = {name.casefold() for name in _RESERVED}
    result = []
    for i, name in enumerate(named):
        bare = name.strip()
        clean = re.sub(r"[ ,;{}()\n\t=\x00-\x1f]+", "_", bare)
        pattern = clean == "*" or (clean.startswith("^") and clean.endswith("$"))  # Polars would take these for many columns
        base = ("" if pattern else clean if clean == bare else clean.strip("_")) or f"column_{i + 1}"
        unique, n = base, 2
        while unique.casefold() in taken:
            unique, n = f"{base}_{n}", n + 1
        taken.add(unique.casefold())
        result.append(unique)
    return result


def _format_of(head: bytes, name: str) -> Format:
    """The format by content first; the name decides only between kinds of text."""
    if not head:
        return "empty"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "excel"
    if head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")):
        return "binary"  # packed inside a package
    if head.startswith((b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff")) or _is_binary(head):
        return "binary"
    suffix = name.rsplit(".", 1)[-1].lower()
    if suffix in ("csv", "tsv", "tab", "psv"):
        return "csv"
    text = head.decode(_encoding_of(head), "replace").lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        return "json" if suffix == "json" or _begins_json_array(text) else "csv"
    if text.startswith("{"):
        return "ndjson" if _is_json_object(text.splitlines()[0]) else "json"
    if suffix in ("json", "ndjson", "jsonl"):
        return "ndjson"
    return "csv"


def _is_binary(head: bytes) -> bool:
    """Text has no NULs, unless it is UTF-16 or UTF-32 and begins by saying so; a stray one in a long text is still text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    controls = sum(head.count(byte) for byte in range(0x20) if byte not in b"\t\n\r\f\v\x1b")
    return head.count(0) > len(head) // 100 + 1 or controls > len(head) // 20 + 2


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _begins_json_array(text: str) -> bool:
    return bool(re.match(r"\[\s*[\[{\"\d\]-]", text))


def _encoding_of(head: bytes) -> str:
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < _HEAD or error.start < len(head) - 4:  # not merely a character cut at the end of the head
            return "cp1252" if not any(byte in head for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)) else "latin-1"
    return "utf-8"


def _delimiter_of(text: str, name: str) -> str:
    """The delimiter that cuts most of the first lines into the same number of fields, more than one."""
    if name.lower().endswith((".tsv", ".tab")):
        return "\t"
    lines = [line for line in text.splitlines(keepends=True)[:50] if line.strip()]
    if len(text) >= _HEAD // 2 and len(lines) > 1:
        lines = lines[:-1]  # the last may be cut
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(len(record) for record in csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        width, agreeing = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        score = agreeing / max(1, sum(widths.values())) if width > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best
