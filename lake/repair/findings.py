"""What is found where something that the lake names is missing or damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Done = Literal["made again", "put back", "cut off", "withdrawn", "lost"]
Kind = Literal["release", "commit", "checkpoint", "data", "changes", "raw", "structure", "schema", "derived", "register"]


@dataclass(frozen=True)
class Finding:
    """One object: where it is, what it is, what is wrong with it, and what names it.

    `table` is the path of the table it is of (of a schema, the table's name), `version` the commit that it is, or the first that was seen to name it;
    `number` that of a release, or of a schema version.
    """

    path: str
    kind: Kind
    wrong: str
    named_by: str
    table: str = ""
    version: int = -1
    number: int = 0

    @property
    def line(self) -> str:
        """In a line."""
        return f"{self.path} {self.wrong}; {self.named_by}"


@dataclass(frozen=True)
class Mended:
    """What became of one thing that was found: `what` it is, what was `done`, and `how`, or why it is lost."""

    what: str
    done: Done
    how: str
