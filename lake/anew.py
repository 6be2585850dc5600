"""Rows of a table computed again from inputs at given versions, as one full run would, and put nowhere."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lake.datafile import scan_parts
from lake.hop import Hop
from lake.plan import Plan
from lake.record import Record
from lake.run import Run
from lake.settle.history import lived
from lake.settle.latest import latest
from lake.settle.repeats import unrepeated
from lake.transform import stage


def computed_anew(run: Run, hop: Hop, record: Record, folder: Path, where: pl.Expr | None) -> pl.LazyFrame:
    """The rows for which `where` holds that the hop makes of everything its record says it has read.

    Rules that set aside rows which repeat others look at all rows. Raises what a run of the hop would.
    """
    inputs = {parameter: given.model_copy(update={"start": None}) for parameter, given in zip(hop.sources, record.inputs, strict=True)}
    plan = Plan(hop, -1, None, inputs, "full", "computed again", True)
    staged = stage(run, plan, folder, where=None if hop.table.repeats_rejected else where, bounded=False)
    winners, _ = unrepeated(hop.table, staged, latest(hop.table, staged, folder), folder)
    if hop.write == "scd2":
        winners = lived(hop.table, staged.schema, winners, None, folder)
    rows = scan_parts(staged.good if hop.write == "append" else winners.rows, staged.schema)
    return rows.filter(where) if where is not None else rows
