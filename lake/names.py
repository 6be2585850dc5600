"""What tables were called before: by what name each is known now, and where its objects are, which stay in the places of its first name.

The register is a row of objects `system/names/<n>.json`, each written once with all renames as of then; the newest counts. A name that a table
ever had belongs to it: no other table can take it, so that whatever speaks of a table by any of its names means that one.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from lake.errors import UnknownName

NAMES = "system/names"
_ROOTS = (
    "bronze/",
    "silver/",
    "gold/",
    "quarantine/",
    "system/tombstones/",
    "system/structure/",
    "system/profiles/",
    "system/logs/",
    "system/schemas/",
    "raw/",
)
_BESIDE = r"(?:quarantine/|system/tombstones/|system/structure/|system/profiles/|system/logs/(?:quarantine/|system/tombstones/)?)?"
_TABLE = re.compile(rf"({_BESIDE})(bronze|silver|gold)/([^/]+)/([^/]+)((?:/.*)?)", re.DOTALL)
_SUBJECT = re.compile(rf"({_BESIDE})(bronze|silver|gold)(?:/([^/]+))?")
_SCHEMA = re.compile(r"system/schemas/([^/]+)((?:/.*)?)", re.DOTALL)
_RAW = re.compile(r"raw/([^/]+)((?:/.*)?)", re.DOTALL)
_WORD = re.compile(r"(?<![\w.])(?:bronze|silver|gold)\.[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*(?!\w)")


class Renaming(BaseModel):
    """One table called `new` from then on, and `old` before: when, by whom and by which run, and why."""

    model_config = ConfigDict(frozen=True)

    old: str
    new: str
    at: dt.datetime
    by: str
    run: str
    why: str = ""


class Names:
    """All renames so far, in their order."""

    def __init__(self, renamings: Iterable[Renaming] = (), *, number: int = 0) -> None:
        self.renamings = tuple(renamings)
        self.number = number
        """How many objects the register has."""
        self._first: dict[str, str] = {}
        self._now: dict[str, str] = {}
        for one in self.renamings:
            first = self._first.setdefault(one.old, one.old)
            self._first[one.new] = first
            self._now[first] = one.new

    @classmethod
    def read(cls, number: int, data: bytes) -> Names:
        """From what `told` made."""
        return cls([Renaming.model_validate(one) for one in json.loads(data)], number=number)

    def told(self) -> bytes:
        """As it is stored."""
        return json.dumps([one.model_dump(mode="json", exclude_defaults=True) for one in self.renamings], indent=1).encode()

    def __bool__(self) -> bool:
        return bool(self.renamings)

    def now(self, name: str) -> str:
        """What the table that was ever called `name` is called now; the name itself where none was."""
        return self._now.get(self._first.get(name, ""), name)

    def first(self, name: str) -> str:
        """What the table that was ever called `name` was called at first: by that its objects are kept."""
        return self._first.get(name, name)

    def every(self, name: str) -> list[str]:
        """Every name of that table, the first one first."""
        first = self.first(name)
        return [name for name, its in self._first.items() if its == first] or [name]

    def source(self, name: str) -> str:
        """By which name raw files and receipts of the source `name` are kept: that of its bronze table at first."""
        return self.first(f"bronze.{name}").removeprefix("bronze.")

    def check(self, name: str) -> None:
        """Raise UnknownName, with the name to use, for one that a table has no more."""
        if (now := self.now(name)) != name:
            last = next(one for one in reversed(self.renamings) if one.old == name)
            why = f": {last.why}" if last.why else ""
            raise UnknownName(f"{name} is called {now} now (renamed {last.at:%Y-%m-%d} by {last.by}{why})", f"Write {now}, here and in the declarations")

    def within(self, value: Any) -> Any:
        """A value as JSON has it, with every name of a table in its texts as it is now."""
        if not self or value is None:
            return value
        if isinstance(value, str):
            return _WORD.sub(lambda found: self.now(found.group()), value)
        if isinstance(value, Mapping):
            return {self.within(key): self.within(held) for key, held in value.items()}
        return [self.within(held) for held in value] if isinstance(value, list) else value

    def document(self, document: dict[str, Any]) -> dict[str, Any]:
        """A schema document, with what it says of tables by their names as they are now; its words are left as they are."""
        return document | {part: self.within(document[part]) for part in ("table", "checks", "asks") if part in document} if self else document

    def place(self, path: str) -> str:
        """Where the object or folder `path` is stored. Raises UnknownName for a place of a table by a name that it has no more."""
        if not self:
            return path
        if found := _TABLE.fullmatch(path):
            root, layer, subject, table, rest = found.groups()
            name = f"{layer}.{subject}.{table}"
            self.check(name)
            return f"{root}{self.first(name).replace('.', '/')}{rest}"
        if found := _SCHEMA.fullmatch(path):
            return f"system/schemas/{self.first(found[1])}{found[2]}"
        if found := _RAW.fullmatch(path):
            return f"raw/{self.source(found[1])}{found[2]}"
        return path

    def path(self, place: str) -> str:
        """What is meant by what is stored at `place`: the other way round, for the objects of tables."""
        if self and (found := _TABLE.fullmatch(place)):
            root, layer, subject, table, rest = found.groups()
            return f"{root}{self.now(f'{layer}.{subject}.{table}').replace('.', '/')}{rest}"
        return place

    def children(self, folder: str, found: set[str], stored: Callable[[str], list[str]], named: Callable[[str], list[str]]) -> set[str]:
        """The tables of a subject's folder, or the subjects of a layer's, by the names that tables have now, from those `found` in its place.

        `stored` tells what a folder of the store has, and `named` the same by the names of now. Other folders have what they have.
        """
        layer, subject = _layer_in(folder)
        went = {first for first, now in self._now.items() if first != now and _is_in(first, layer, subject)}
        came = {first for first, now in self._now.items() if first != now and _is_in(now, layer, subject)}
        if not went and not came:
            return found
        if subject is None:
            touched = {_subject_in(first) for first in went} | {_subject_in(self._now[first]) for first in came}
            return (found - touched) | {name for name in touched if named(f"{folder}/{name}")}
        there = {place: set(stored(f"{layer}/{place}")) for place in {_subject_in(first) for first in came}}
        here = {self._now[first].rpartition(".")[2] for first in came if first.rpartition(".")[2] in there[_subject_in(first)]}
        return (found - {first.rpartition(".")[2] for first in went}) | here


def _layer_in(folder: str) -> tuple[str, str | None]:
    """A folder of tables or of subjects as the folder of its layer, and the subject where it is one. Empty for other folders."""
    found = _SUBJECT.fullmatch(folder)
    return (f"{found[1]}{found[2]}", found[3]) if found else ("", None)


def _subject_in(name: str) -> str:
    """The subject in the name of a table."""
    return name.split(".")[1]


def _is_in(name: str, layer: str, subject: str | None) -> bool:
    return bool(layer) and layer.rpartition("/")[2] == name.split(".")[0] and subject in (None, _subject_in(name))


def is_renamed(path: str) -> bool:
    """Whether what is stored at `path` may depend on what tables were called."""
    return f"{path}/".startswith(_ROOTS)
