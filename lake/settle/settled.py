"""What settling found: the parts of a commit, and how each row was counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lake.content import Content
from lake.delta import DataFile


@dataclass(frozen=True)
class Settled:
    """What to commit: parts to add, files to take out, rows for the change feed, tombstones; and how the rows were counted.

    `standing` files are in the table's folder already; some may be files taken out that are put back without rows that leave them. `repeated` rows
    were rejected, by rule.
    """

    parts: Path | None
    removed: tuple[DataFile, ...] = ()
    changed: Path | None = None
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    duplicate: int = 0
    tombstones: int = 0
    deleted: int = 0
    adjusted: int = 0
    content: Content | None = None
    ended: Path | None = None
    repeated: dict[str, int] = field(default_factory=dict)
    standing: tuple[DataFile, ...] = ()
