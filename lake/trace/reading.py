"""The versions of tables that a trace reads, and what it has read of them so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from lake.delta import DataFile, Snapshot
from lake.run import Run
from lake.table import path_of


@dataclass
class Reading:
    """Reads of one trace. `opened` has each data file that was scanned, with its size; `held` the files of every version that was looked into."""

    run: Run
    opened: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    def snapshot(self, table: str, version: int) -> Snapshot:
        """The table at that version."""
        there = self.run.snapshot(path_of(table), version)
        self.held.update(f"{there.path}/{file.path}" for file in there.files)
        return there

    def scan(self, there: Snapshot, files: tuple[DataFile, ...] | None = None) -> pl.LazyFrame:
        """Rows of it, or of some of its files, lazily; the files count as opened."""
        chosen = there.files if files is None else files
        self.opened.update({f"{there.path}/{file.path}": file.size for file in chosen})
        return there.scan(chosen)
