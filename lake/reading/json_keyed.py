"""JSON objects in which each member is a record, named by a key: `{"de": {…}, "fr": {…}}`. And pages of an interface: one list of records, beside what tells of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lake.errors import FileRejected
from lake.reading.json_document import Piece

KEYED = "*"
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\n\r]*")
_LISTS = frozenset(
    {"data", "items", "results", "result", "records", "rows", "value", "values", "entries", "hits", "content", "list", "elements", "features", "objects"}
)
_BESIDE = frozenset(
    {
        "next", "previous", "prev", "first", "last", "self", "total", "totals", "count", "size", "length", "page", "pages", "per_page", "perpage", "pagesize", "page_size", "limit", "offset",
        "cursor", "next_cursor", "nextcursor", "next_page", "nextpage", "next_page_token", "nextpagetoken", "total_count", "totalcount", "total_pages", "totalpages", "has_more", "hasmore",
        "has_next", "more", "meta", "metadata", "links", "_links", "paging", "pagination", "status", "success", "ok", "error", "errors", "message", "took", "start", "end", "skip", "top",
        "@odata.context", "@odata.nextlink", "@odata.count", "done",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Keyed:
    """An object in `text` from `start` on, whose members are records; the name of each becomes its field `key`. `envelope` is what stands around it, with null in its place."""

    text: str
    start: int
    key: str
    envelope: str | None
    why: str

    @property
    def around(self) -> str | None:
        """What stands around the records."""
        return self.envelope

    def pieces(self) -> Iterator[Piece]:
        """Each member as a record with its name in it; one that is no object, or has that field already, says so."""
        text, i, line, seen = self.text, _skip(self.text, self.start + 1), 1, 0
        while text[i : i + 1] != "}":
            line, seen = line + text.count("\n", seen, i), i
            try:
                name, after = _DECODER.raw_decode(text, i)
                begin = _skip(text, after)
                if not isinstance(name, str) or text[begin : begin + 1] != ":":
                    raise ValueError("a name and ':' were expected")
                begin = _skip(text, begin + 1)
                value, end = _DECODER.raw_decode(text, begin)
            except (ValueError, RecursionError) as error:
                yield Piece(line, _bytes(text[i:]), f"not JSON: {error}; so the rest of the file is not read")
                return
            if not isinstance(value, dict):
                yield Piece(line, _bytes(text[i:end]), "its value is no object")
            elif self.key in value:
                yield Piece(line, _bytes(text[i:end]), f"it has a field {self.key!r} already: Hints(key=…) names another")
            else:
                inner = text[begin + 1 : end]
                yield Piece(line, _bytes(f"{{{json.dumps(self.key)}:{text[i:after]}{',' if value else ''}{inner}"))
            i = _skip(text, end)
            if text[i : i + 1] == ",":
                i = _skip(text, i + 1)
            elif text[i : i + 1] != "}":
                yield Piece(line, _bytes(text[i:]), "not JSON: ',' or '}' was expected; so the rest of the file is not read")
                return


def locate_keyed(text: str, records: str, key: str | None) -> Keyed:
    """Where the object is whose members are the records: at `records`, which is `$.*`, or names joined by points and `.*`. Raises FileRejected if it is not there."""
    i = _skip(text, 1 if text.startswith("\ufeff") else 0)
    trail = [name for name in records.removesuffix(KEYED).removesuffix(".").removeprefix("$").split(".") if name]
    try:
        for name in trail:
            i = _member(text, i, name)
        _, end = _DECODER.raw_decode(text, i)
    except (ValueError, RecursionError):
        end = len(text)
    except KeyError as error:
        raise FileRejected(f"there is no {error.args[0]!r} in the document, on the way to {records!r}", "Correct Hints(records=…)") from None
    if text[i : i + 1] != "{":
        raise FileRejected(f"there is no object at {records!r} in the document", "Correct Hints(records=…)")
    envelope = f"{text[:i]}null{text[end:]}" if trail else None
    return Keyed(text, i, key or "key", envelope, f"Hints(records={records!r}): each member is a record, and its name is {key or 'key'}")


def is_keyed(value: Any) -> bool:
    """Whether an object seems to hold records by a key: several objects, and nothing else, most of whose fields are the same."""
    if not isinstance(value, dict) or len(value) < 2 or not all(isinstance(item, dict) and item for item in value.values()):  # noqa: PLR2004  # one tells nothing
        return False
    shared = set.intersection(*(set(item) for item in value.values()))
    return 2 * len(shared) >= max(len(item) for item in value.values())


def page_list(value: Any) -> str | None:
    """The name of the list in an object that is a page of records: its only list, of objects or empty, beside what tells of other pages; None in any other object."""
    if not isinstance(value, dict):
        return None
    lists = [name for name, item in value.items() if isinstance(item, list)]
    if len(lists) != 1 or not all(isinstance(item, dict) for item in value[lists[0]]):
        return None
    beside = [name for name in value if name != lists[0]]
    if not all(name.casefold() in _BESIDE for name in beside):
        return None
    return lists[0] if lists[0].casefold() in _LISTS or beside else None


def _member(text: str, i: int, name: str) -> int:
    """Where the value of a member of the object at `i` begins. Raises KeyError if there is none, ValueError where it is broken."""
    if text[i : i + 1] != "{":
        raise KeyError(name)
    i = _skip(text, i + 1)
    while text[i : i + 1] not in ("}", ""):
        found, i = _DECODER.raw_decode(text, i)
        i = _skip(text, _skip(text, i) + 1)
        if found == name:
            return i
        i = _skip(text, _DECODER.raw_decode(text, i)[1])
        i = _skip(text, i + 1) if text[i : i + 1] == "," else i
    raise KeyError(name)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _skip(text: str, i: int) -> int:
    found = _SPACE.match(text, i)
    return found.end() if found else i
