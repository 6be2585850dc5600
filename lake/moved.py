"""What became of each table from one release to another, told by their manifests alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lake.release import Pin, Release
from lake.wording import counted


@dataclass(frozen=True)
class Moved:
    """One table from one release to another: its pins, None where it is not in one."""

    table: str
    was: Pin | None
    now: Pin | None

    @property
    def rows(self) -> int:
        """How many rows more there are, or fewer."""
        return (self.now.rows if self.now else 0) - (self.was.rows if self.was else 0)

    @property
    def what(self) -> str:
        """In a word: new, gone, back (at an earlier version) or on."""
        if self.was is None or self.now is None:
            return "new" if self.now else "gone"
        return "back" if self.now.version < self.was.version else "on"

    @property
    def same_rows(self) -> bool:
        """Whether both versions have the same content: by the hashes that their commits recorded."""
        return self.was is not None and self.now is not None and self.was.content is not None and self.was.content == self.now.content

    @property
    def words(self) -> str:
        """What a reader of the table meets."""
        if self.was is None or self.now is None:
            return "new" if self.now else "no longer released"
        if self.same_rows:
            return f"{'made again' if self.what == 'on' else 'back'}, same rows"
        return "back at an earlier version" if self.what == "back" else "changed"


def moved(before: Release | None, after: Release) -> list[Moved]:
    """The tables that the two do not pin alike, by name. No request."""
    return moved_pins(before.tables if before else {}, after.tables)


def moved_pins(before: Mapping[str, Pin], after: Mapping[str, Pin]) -> list[Moved]:
    """The same of what they pin."""
    return [Moved(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]


def moved_in_words(tables: Sequence[Moved]) -> str:
    """How many tables changed, and how many were made again with the same rows, in words; empty where there are none."""
    same = sum(one.same_rows for one in tables)
    told = [(len(tables) - same, "changed"), (same, "made again, same rows")]
    return "; ".join(f"{counted(count, 'table')} {word}" for count, word in told if count)
