"""A JSON text that is not one object a line, cut into the texts of its records: an array, objects one after another, or a list inside an object.

The text is in memory while it is cut; its records are not decoded all at once. Where an element is damaged, reading goes on at the
next line that begins as the first element's line does. Where no line says that, the rest of the file is one reject: nothing is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lake.errors import FileRejected
from lake.wording import counted

_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\n\r]*")
_DEEPEST_LIST = 4
_LONGEST_REJECT = 1 << 24
_LONGEST_ENVELOPE = 1 << 16


@dataclass(frozen=True)
class Piece:
    """A part of the document: the line it starts on, its bytes, and why it is no record (None if it may be one)."""

    line: int
    raw: bytes
    reason: str | None = None


@dataclass(frozen=True)
class Document:
    """Where the records stand in `text`: from `start`, inside an array or not; `envelope` is the text around the list, with null in its place."""

    text: str
    start: int
    array: bool
    path: str | None = None
    envelope: str | None = None
    why: str = ""

    def pieces(self) -> Iterator[Piece]:
        """The records and what is none, in the order of the file: every character but commas and space is in one of them, or in the envelope."""
        yield from _pieces(self)
        if self.envelope is not None and len(self.envelope) > _LONGEST_ENVELOPE:
            yield Piece(1, _bytes(self.envelope)[:_LONGEST_REJECT], "what stands around the list is too long to be kept with each record")

    @property
    def around(self) -> str | None:
        """The envelope, if it is short enough to be kept with each record."""
        return self.envelope if self.envelope is not None and len(self.envelope) <= _LONGEST_ENVELOPE else None


def locate(text: str, records: str | None) -> Document:
    """Where the records of a document are. `records` is the path of the list, names joined by points. Raises FileRejected if it is not there."""
    start = _skip(text, 0)
    if text.startswith("[", start):
        return Document(text, start + 1, array=True, why="the document is an array")
    lists, end = _lists(text, start)
    if records is not None:
        found = next((place for place in lists if place[0] == records), None)
        if found is None:
            known = ", ".join(path for path, _, _, _ in lists) or "none"
            raise FileRejected(f"there is no list at {records!r} in the document", f"Lists in it: {known}; name one with Hints(records=…)")
        return _inside(text, found, f"Hints(records={records!r})")
    objects = [place for place in lists if place[3]]
    if len(objects) == 1 and (end is None or _skip(text, end) == len(text)):
        return _inside(text, objects[0], "the only list of objects in the document")
    why = "one object" if end is not None and _skip(text, end) == len(text) else "objects one after another"
    return Document(text, start, array=False, why=why)


_Place = tuple[str, int, int | None, bool]
"""A list: its path, where it starts, where it ends (None if it is broken), and whether objects are in it, and nothing else."""


def _inside(text: str, place: _Place, why: str) -> Document:
    path, start, end, _ = place
    envelope = text[:start] + "null" + text[end:] if end is not None else None
    return Document(text, start + 1, array=True, path=path, envelope=envelope, why=f"{path}: {why}")


def _lists(text: str, start: int) -> tuple[list[_Place], int | None]:
    """The lists inside the object at `start`, and where that ends; None if it is broken."""
    found: list[_Place] = []
    try:
        return found, _walk(text, start, (), found)
    except (ValueError, IndexError, RecursionError):
        return found, None


def _walk(text: str, i: int, trail: tuple[str, ...], found: list[_Place]) -> int:
    """Where the value at `i` ends, noting the lists in it, but not the lists in lists. Raises ValueError where it is broken."""
    if text[i] == "[" and trail:
        first = text[_skip(text, i + 1)]
        try:
            value, end = _scan(text, i)
        except (ValueError, RecursionError):
            found.append((".".join(trail), i, None, first == "{"))
            raise
        found.append((".".join(trail), i, end, bool(value) and all(isinstance(item, dict) for item in value)))
        return end
    if text[i] != "{" or len(trail) >= _DEEPEST_LIST:
        return _scan(text, i)[1]
    i = _skip(text, i + 1)
    while text[i] != "}":
        if text[i] != '"':
            raise ValueError("a name was expected")
        name, i = _DECODER.raw_decode(text, i)
        i = _skip(text, i)
        if text[i] != ":":
            raise ValueError("':' was expected")
        i = _skip(text, _walk(text, _skip(text, i + 1), (*trail, name), found))
        if text[i] == ",":
            i = _skip(text, i + 1)
        elif text[i] != "}":
            raise ValueError("',' was expected")
    return i + 1


def _pieces(document: Document) -> Iterator[Piece]:
    text, i = document.text, document.start
    line, counted = 1, 0
    resume: re.Pattern[str] | None = None
    first = True
    while True:
        i = _skip(text, i)
        line, counted = line + text.count("\n", counted, i), i
        if i >= len(text) or (document.array and text[i] == "]"):
            yield from _ending(document, i, line)
            return
        if first:
            resume, first = _resumption(text, i), False
        try:
            end = _scan(text, i)[1]
            after = _skip(text, end)
            if document.array and after < len(text) and text[after] not in ",]":
                raise ValueError(f"',' or ']' was expected after it, not {text[after : after + 10]!r}")
        except (ValueError, RecursionError) as error:
            again = resume.search(text, i + 1) if resume else None
            if again is None:
                yield _damaged(text, i, len(text), line, error, "; so the rest of the file is not read")
                return
            yield _damaged(text, i, again.end() - 1, line, error, "")
            i = again.end() - 1
            continue
        yield _piece(text[i:end], line)
        i = after + 1 if text[after : after + 1] == "," else after


def _ending(document: Document, i: int, line: int) -> Iterator[Piece]:
    """What is wrong after the last record."""
    text = document.text
    if i >= len(text):
        if document.array:
            yield Piece(line, b"", f"the file ends at line {line} and the array is not closed: records may be missing")
    elif document.envelope is None:
        rest = _skip(text, i + 1)
        if rest < len(text):
            yield Piece(line + text.count("\n", i, rest), _bytes(text[rest:])[:_LONGEST_REJECT], "it stands after the end of the array")


def _resumption(text: str, i: int) -> re.Pattern[str] | None:
    """How the lines of elements begin, if the first element begins its line, and no line inside an element can begin so."""
    indent = text[text.rfind("\n", 0, i) + 1 : i]
    if indent.strip(" \t\ufeff") or not (i == 0 or "\n" in text[:i]):
        return None
    if not indent:
        lines = text[i : _end_of(text, i)].split("\n")
        if not lines[0].rstrip(" ,\r").endswith("}") and not all(line[:1] in (" ", "\t") for line in lines[1:-1]):
            return None
    return re.compile(r"\n" + re.escape(indent) + r"\{")


def _end_of(text: str, i: int) -> int:
    """Where the element at `i` ends; if it is broken, its first line."""
    try:
        return _scan(text, i)[1]
    except (ValueError, RecursionError):
        return (text + "\n").index("\n", i)


def _damaged(text: str, start: int, end: int, line: int, error: Exception, rest: str) -> Piece:
    if isinstance(error, json.JSONDecodeError):
        said = f"{error.msg} at line {error.lineno} column {error.colno}"
    else:
        said = "it is nested hundreds of levels deep" if isinstance(error, RecursionError) else str(error)
    raw = _bytes(text[start:end].rstrip())
    more = f"; the first {_LONGEST_REJECT:,} of {counted(len(raw), 'byte')} are here, all are in raw" if len(raw) > _LONGEST_REJECT else ""
    return Piece(line, raw[:_LONGEST_REJECT], f"not JSON: {said}{rest}{more}")


def _piece(text: str, line: int) -> Piece:
    try:
        return Piece(line, text.encode("utf-8"))
    except UnicodeEncodeError as error:
        return Piece(line, _bytes(text), f"not valid UTF-8 at character {error.start + 1} of the record")


def _bytes(text: str) -> bytes:
    """The bytes as they are in the file."""
    return text.encode("utf-8", "surrogateescape")


def _scan(text: str, i: int) -> tuple[Any, int]:
    found: tuple[Any, int] = _DECODER.raw_decode(text, i)
    return found


def _skip(text: str, i: int) -> int:
    """The next place that is no white space."""
    found = _SPACE.match(text, i)
    return found.end() if found else i
