"""Another version of lake or Polars under the same code: a random share of a table is computed again before anything is built on its rows.

What agrees is told in a commit, so that it is not looked at again; what differs is recomputed in full.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import polars as pl

from lake.code import engine_versions
from lake.compact import rearrange
from lake.errors import LakeError, translated
from lake.meter import phase
from lake.outcome import Outcome
from lake.plan import Plan
from lake.run import Run
from lake.share import share_compared, told
from lake.table import path_of
from lake.wording import counted

_SHARE = 0.02
_AT_LEAST = 1000  # values of the key's first column: a small table is looked at whole


@dataclass(frozen=True)
class Looked:
    """What came of looking at a share: whether its rows are the same, and what was looked at and found, in words."""

    same: bool
    words: str


def look(run: Run, plan: Plan) -> Looked:
    """Compute a share of the plan's table again, of the very versions that it has read."""
    hop, before = plan.hop, plan.before
    if before is None:
        return Looked(False, "it has no record")
    try:
        with phase("verify"):
            there = run.snapshot(path_of(hop.table.name), plan.base)
            compared = share_compared(run, hop, before, there, _SHARE, random.SystemRandom(), at_least=_AT_LEAST)
    except (LakeError, pl.exceptions.PolarsError, OSError) as error:
        why = error.message if isinstance(error, LakeError) else translated(error, hop.table.name).message
        return Looked(False, f"no share of it can be verified: {why}")
    if compared.found.any and not compared.found.rounding:
        return Looked(False, f"{compared.words}, {told(compared.found)}")
    alike = f"the same but for the last bits of {', '.join(compared.found.columns)}" if compared.found.any else "the same"
    return Looked(True, f"{compared.words}, {counted(compared.rows, 'row')} computed again: {alike}")


def confirm(run: Run, plan: Plan, looked: Looked) -> Outcome:
    """Commit that the table's rows stand under the versions of now. Moves no row. Raises CommitConflict."""
    if plan.before is None or plan.before.code is None:
        raise LakeError(f"{plan.hop.table.name} has no record to confirm", "Run again")
    now = engine_versions()
    code = plan.before.code.model_copy(update={"lake": now["lake"], "polars": now["Polars"]})
    why = f"verified, because {plan.engine}: {looked.words}"
    version = rearrange(run, path_of(plan.hop.table.name), plan.base, plan.before, why=why, also={"code": code, "mode": "verify"})
    record = run.log(path_of(plan.hop.table.name)).record_at(version)
    return Outcome.published(plan.hop.table.name, version, record or plan.before, 0.0)
