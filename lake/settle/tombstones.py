"""Tombstones: which keys were deleted, and when by the table's sequence, so that a row that comes late does not bring its key back.

Without a sequence, what lands later is later; but what was rejected and is let in again keeps the time it first landed, so such tables
have them too. They are committed before the rows, like rejects, and the main record names the version that counts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.content import row_hash
from lake.datafile import scan_parts
from lake.delta import open_snapshot
from lake.plan import Plan
from lake.run import Run
from lake.settle.latest import Winners
from lake.settle.overtaken import TIE, not_overtaken
from lake.table import ordering, tombstones_path_of


def known_deletes(run: Run, plan: Plan, schema: pl.Schema, winners: Winners, folder: Path) -> Winners:
    """The batch without rows that are older than the recorded deletion of their key; those count as superseded."""
    before, table = plan.before, plan.hop.table
    if before is None or not before.tombstones or plan.hop.deletes is None or not plan.adds:
        return winners
    graves = open_snapshot(run.store, tombstones_path_of(table.name), int(before.tombstones["version"]))
    rows = scan_parts(winners.rows, schema)
    order = [name for name in ordering(table, schema) if name in graves.schema]
    met = graves.scan().join(rows.select(table.key), on=table.key, how="semi")
    known = met.select(*table.key, *order, row_hash([*table.key, *order]).alias(TIE))
    living = not_overtaken(table, schema, replace(winners, ended=None, ends=0), known, folder / "living")
    return replace(living, ended=winners.ended, ends=winners.ends)
