"""Settling: the rows that passed against the rows that are there. Which are new, changed, the same, late or repeated, and what is written.

Nothing here depends on a library's MERGE: keys are compared narrow, rows by hash, files without a changed row are left alone,
and work is cut into pieces so that memory does not grow with the table.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lake.content import Content
from lake.errors import ContractBroken
from lake.plan import Plan
from lake.run import Run
from lake.settle.history import lived
from lake.settle.latest import latest
from lake.settle.overtaken import not_late, undated
from lake.settle.repeats import unrepeated
from lake.settle.settled import Settled
from lake.settle.standing import may_stand, stood
from lake.settle.tombstones import known_deletes
from lake.settle.upsert import upsert
from lake.settle.whole import append, replace, swap
from lake.table import ordering, path_of
from lake.transform import Staged
from lake.wording import counted

__all__ = ["Settled", "may_stand", "settle"]


def settle(run: Run, plan: Plan, staged: Staged, folder: Path) -> Settled:
    """Compare the staged rows with the table as planned against, and write the parts to commit into `folder`."""
    table, write = plan.hop.table, plan.hop.write
    there = run.snapshot(path_of(table.name), plan.base) if plan.base >= 0 else None
    earlier = Content.from_hash(plan.before.content if plan.before else None)
    if staged.standing:
        return stood(plan, staged, there, earlier)
    if plan.within is not None and staged.scope is not None and there is not None and (write == "append" or not table.key):
        return swap(staged, there, staged.scope, earlier, folder)
    if write == "append":
        return append(staged, there, earlier, whole=plan.mode == "full")
    winners, repeated = unrepeated(table, staged, latest(table, staged, folder), folder)
    if plan.mode == "full" or there is None:
        if write == "scd2":
            winners = lived(table, staged.schema, winners, None, folder)
        return dataclasses.replace(replace(table, staged, winners, there, earlier, folder), repeated=repeated)
    winners = undated(run, plan, staged, winners, folder / "undated")
    winners = known_deletes(run, plan, staged.schema, winners, folder)
    if write == "scd2":
        winners = not_late(table, staged.schema, winners, there, folder / "late") if plan.adds else winners
        winners = lived(table, staged.schema, winners, there if plan.within is None else None, folder)
    settled = upsert(table, staged, winners, there, earlier, folder, adds=plan.adds and write != "scd2")
    if plan.adds and (again := settled.updated + settled.superseded) and not ordering(table, staged.schema):
        raise ContractBroken(f"{table.name}: {counted(again, 'key')} came before and nothing says which row is later", "Declare sequence=(…) on the table")
    return dataclasses.replace(settled, repeated=repeated)
