"""Tombstones: which keys were deleted, and when by the table's sequence, so that a row that comes late does not bring its key back.

Without a sequence, what lands later is later; but what was rejected and is let in again keeps the time it first landed, so such tables
have them too. They are committed before the rows, like rejects, and the main record names the version that counts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.datafile import scan_parts, write_parts
from lake.delta import open_snapshot
from lake.plan import Plan
from lake.run import Run
from lake.settle.latest import Winners, comes_late
from lake.table import ordering, tombstones_path_of

_THERE = "#there"


def known_deletes(run: Run, plan: Plan, schema: pl.Schema, winners: Winners, folder: Path) -> Winners:
    """The batch without rows that are older than the recorded deletion of their key; those count as superseded."""
    before, table = plan.before, plan.hop.table
    if before is None or not before.tombstones or plan.hop.deletes is None:
        return winners
    graves = open_snapshot(run.store, tombstones_path_of(table.name), int(before.tombstones["version"]))
    rows = scan_parts(winners.rows, schema)
    order = [name for name in ordering(table, schema) if name in graves.schema]
    met = graves.scan().join(rows.select(table.key), on=table.key, how="semi")
    last = met.sort(order, nulls_last=False).group_by(table.key, maintain_order=True).last()
    beside = rows.select(*table.key, *order).join(last.select(*table.key, *(pl.col(name).alias(f"{_THERE} {name}") for name in order)), on=table.key)
    stale = beside.filter(comes_late(order, _THERE)).select(table.key).collect(engine="streaming")
    if stale.height == 0:
        return winners
    write_parts(rows.join(stale.lazy(), on=table.key, how="anti"), folder / "living")
    return replace(winners, rows=folder / "living", superseded=winners.superseded + stale.height)
