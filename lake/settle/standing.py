"""Rows that were written as data files of the table before anything was settled, by those who did the partitions: whether they can stay as they are."""

from __future__ import annotations

from lake.content import Content
from lake.delta import Snapshot, scan_files
from lake.plan import Plan
from lake.run import Run
from lake.settle.latest import are_unique
from lake.settle.settled import Settled
from lake.table import path_of
from lake.transform import Staged


def may_stand(run: Run, plan: Plan, staged: Staged) -> bool:
    """Whether no two of the rows have the same key, told by the columns of the key alone; of a table that only grows, always."""
    table = plan.hop.table
    if plan.hop.write == "append" or not table.key:
        return True
    return are_unique(scan_files(run.store, path_of(table.name), staged.schema, staged.standing), table.key)


def stood(plan: Plan, staged: Staged, there: Snapshot | None, earlier: Content | None) -> Settled:
    """The files as they are: added to those of the table, or, where all of it is computed anew, in place of them."""
    whole = plan.mode == "full" or there is None
    gone = there.files if there is not None and whole else ()
    content = staged.content if whole else earlier + staged.content if earlier is not None else None
    deleted = there.rows if there is not None and whole else 0
    return Settled(None, gone, inserted=staged.passed, deleted=deleted, content=content, standing=staged.standing)
