"""What a run would do now: `lake plan`, and the dry runs of deployments. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lake.errors import LakeError
from lake.landing import waiting
from lake.migrate import pending
from lake.pipeline import Pipeline, recomputed
from lake.plan import Range, make_plan
from lake.run import Run
from lake.source import Source

Row = dict[str, Any]


def forecast(run: Run, pipeline: Pipeline, *, full: bool = False, backfill: Range | None = None, tables: Iterable[str] = ()) -> list[Row]:
    """One row for each bronze table whose columns would change, and one for each hop: table, run, mode, why, estimated_rows, inputs.

    `tables` are those that `full` or `backfill` is about; none means all. What only the rows that a run makes could tell is not foreseen.
    """
    pipeline.prepare(run)
    rows = [row for source in pipeline.sources.values() if (row := _migration(run, source))]
    chosen = frozenset(tables)
    return rows + [_hop(run, pipeline, step.name, full=full, backfill=backfill, chosen=chosen) for step in pipeline.steps if step.kind == "hop"]


def arrivals(run: Run, pipeline: Pipeline) -> list[Row]:
    """One row a source: source, waiting (files it offers that have not landed), files (the first few of them), why (it cannot be listed)."""
    rows: list[Row] = []
    for source in pipeline.sources.values():
        try:
            files = waiting(run, source)
            rows.append({"source": source.name, "waiting": len(files), "files": files[:5], "why": None})
        except LakeError as error:
            rows.append({"source": source.name, "waiting": 0, "files": [], "why": str(error)})
    return rows


def _hop(run: Run, pipeline: Pipeline, name: str, *, full: bool, backfill: Range | None, chosen: frozenset[str]) -> Row:
    again, part = recomputed(name, full=full, backfill=backfill, chosen=chosen)
    try:
        made = make_plan(run, pipeline.hops[name], full=again, backfill=part)
    except LakeError as error:
        return _row(name, mode="full", why=error.message)
    inputs = {name: given.model_dump() for name, given in made.inputs.items()}
    return {"table": name, "run": made.needed, "mode": made.mode, "why": made.reason, "estimated_rows": made.estimated_rows, "inputs": inputs}


def _migration(run: Run, source: Source) -> Row | None:
    """The row of a bronze table whose columns the next run would change; None for any other."""
    try:
        steps, before = pending(run, source.into)
    except LakeError as error:
        return _row(source.into.name, mode="migration", why=error.message)
    return _row(source.into.name, mode="migration", why=steps.line, rows=before.rows if before else 0) if steps else None


def _row(table: str, *, mode: str, why: str, rows: int | None = None) -> Row:
    return {"table": table, "run": True, "mode": mode, "why": why, "estimated_rows": rows, "inputs": {}}
