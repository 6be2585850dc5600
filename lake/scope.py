"""What a batch speaks for: the groups or keys that changed, or a range of a table and what belongs with its rows.

A row may have another time than it had, or than another row of its key. A key whose row moved into the range or out of it, by a correction or by
other code, has its row made anew as a whole: so a range that is recomputed holds what a full recomputation would put there, and no key is lost
or there twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.contract import FILE, ROW
from lake.datafile import scan_parts, write_parts
from lake.delta import Snapshot
from lake.hop import VALIDITY, Hop


@dataclass(frozen=True)
class Scope:
    """The rows of the table that this batch speaks for: those not among its rows leave. By keys (`parts` of columns `on`), or by a condition."""

    parts: Path | None = None
    on: tuple[str, ...] = ()
    where: pl.Expr | None = None

    def of(self, rows: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
        """Those of `rows`, of a table of this `schema`, that the batch speaks for."""
        if self.where is not None:
            return rows.filter(self.where)
        keys = scan_parts(self.parts, pl.Schema({name: schema[name] for name in self.on})) if self.parts else rows.clear()
        return rows.join(keys, on=list(self.on), how="semi", nulls_equal=True)

    def without(self, rows: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
        """The others."""
        if self.where is not None:
            return rows.filter(~self.where.fill_null(False))
        keys = scan_parts(self.parts, pl.Schema({name: schema[name] for name in self.on})) if self.parts else rows.clear()
        return rows.join(keys, on=list(self.on), how="anti", nulls_equal=True)


def told_apart_by(hop: Hop, schema: Iterable[str]) -> tuple[str, ...]:
    """The columns that say which rows of the table belong together: the key; of a history what it is a history of; of rows without a key their raw place.

    None where nothing tells such rows apart.
    """
    if hop.write == "scd2":
        return tuple(name for name in hop.table.key if name != VALIDITY[0])
    if hop.table.key and hop.write != "append":
        return tuple(hop.table.key)
    return (FILE, ROW) if {FILE, ROW} <= set(schema) else ()


def write_concerned(good: pl.LazyFrame, there: Snapshot, on: tuple[str, ...], where: pl.Expr, folder: Path) -> None:
    """Write the values of `on` of all rows for which `where` holds: of those the hop makes, and of those that are there. Each once."""
    write_parts(good.filter(where).select(on), folder / "all" / "made")
    write_parts(there.scan().filter(where).select(on), folder / "all" / "there")
    schema = pl.Schema({name: there.schema[name] for name in on})
    write_parts(scan_parts(folder / "all", schema).unique(), folder / "keys")
