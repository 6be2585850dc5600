"""Settling: the rows that passed against the rows that are there. Which are new, changed, the same, late or repeated, and what is written.

Nothing here depends on a library's MERGE: keys are compared narrow, rows by hash, files without a changed row are left alone,
and work is cut into pieces so that memory does not grow with the table.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lake.content import Content
from lake.plan import Plan
from lake.run import Run
from lake.settle.history import lived
from lake.settle.latest import latest
from lake.settle.repeats import unrepeated
from lake.settle.settled import Settled
from lake.settle.standing import may_stand, stood
from lake.settle.tombstones import known_deletes
from lake.settle.upsert import upsert
from lake.settle.whole import append, replace, swap
from lake.table import path_of
from lake.transform import Staged

__all__ = ["Settled", "may_stand", "settle"]


def settle(run: Run, plan: Plan, staged: Staged, folder: Path) -> Settled:
    """Compare the staged rows with the table as planned against, and write the parts to commit into `folder`."""
    table, write = plan.hop.table, plan.hop.write
    there = run.snapshot(path_of(table.name), plan.base) if plan.base >= 0 else None
    earlier = Content.from_hash(plan.before.content if plan.before else None)
    if staged.standing:
        return stood(plan, staged, there, earlier)
    if staged.scope is not None and staged.scope.where is not None and there is not None and (write == "append" or not table.key):
        return swap(staged, there, staged.scope.where, earlier, folder)
    if write == "append":
        return append(staged, there, earlier, whole=plan.mode == "full")
    winners, repeated = unrepeated(table, staged, latest(table, staged, folder), folder)
    if plan.mode == "full" or there is None:
        if write == "scd2":
            winners = lived(table, staged.schema, winners, None, folder)
        return dataclasses.replace(replace(table, staged, winners, there, earlier, folder), repeated=repeated)
    if write == "scd2":
        winners = lived(table, staged.schema, winners, there, folder)
    winners = known_deletes(run, plan, staged.schema, winners, folder)
    return dataclasses.replace(upsert(table, staged, winners, there, earlier, folder), repeated=repeated)
