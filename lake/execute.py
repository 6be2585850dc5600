"""One hop, carried out: plan, one pass, settle, quarantine, commit once; again from the start if another run was faster."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import polars as pl

from lake.code import code_of
from lake.datafile import scan_parts, write_parts
from lake.errors import CommitConflict, ContractBroken, LedgerOpen, RejectLimitExceeded
from lake.hop import Hop
from lake.outcome import Outcome
from lake.plan import Plan, Range, make_plan
from lake.publish import Draft, publish
from lake.quarantine import REJECTED, quarantine, set_aside
from lake.record import Ledger
from lake.run import Run, backoff
from lake.settle import Settled, settle
from lake.table import Table, ordering, path_of, tombstones_path_of
from lake.transform import Staged, stage

_ATTEMPTS = 5
_UNFILLED = {"schema_version", "batch", "run", "at"}


def execute(run: Run, hop: Hop, *, full: bool = False, backfill: Range | None = None) -> Outcome:
    """Bring the hop's table up to date with its inputs, or find that it is. Publishes everything or nothing.

    `full` recomputes it from everything; `backfill` a range of it, where the table declares `time`.

    Raises HopFailed, SchemaRefused, DTypeRefused, ContractBroken, RejectLimitExceeded or LedgerOpen with the table as it was.
    If another run commits first, plans anew; if that run consumed the same inputs, its result stands.
    """
    for attempt in range(_ATTEMPTS):
        started = time.perf_counter()
        plan = make_plan(run, hop, full=full, backfill=backfill)
        if not plan.needed:
            return Outcome.nothing(hop.table.name, plan.base, plan.before, plan.reason)
        try:
            return _carry_out(run, plan, started)
        except CommitConflict:
            backoff(attempt)
    raise CommitConflict(f"{hop.table.name} lost {_ATTEMPTS} races against other runs", "Run again")


def _carry_out(run: Run, plan: Plan, started: float) -> Outcome:
    table = plan.hop.table
    clock = {"plan": time.perf_counter() - started}
    with run.workspace(f"hop-{table.name}") as folder:
        mark = time.perf_counter()
        staged = stage(run, plan, folder)
        clock["transform"] = time.perf_counter() - mark
        _refuse_bad_rows(plan, staged)
        mark = time.perf_counter()
        settled = settle(run, plan, staged, folder)
        clock["settle"] = time.perf_counter() - mark
        ledger = _ledger(plan, staged, settled)
        ledger.check(table.name)
        _check_places(plan, staged)
        mark = time.perf_counter()
        about = _about(run, plan, staged, settled, ledger)
        about |= _set_aside(run, plan, staged, about, folder)
        about |= _bury(run, plan, staged, settled, about)
        clock["quarantine"] = time.perf_counter() - mark
        about["seconds"] = {name: round(seconds, 4) for name, seconds in clock.items()}
        draft = Draft(table, path_of(table.name), plan.base, staged.schema, parts=settled.parts, removed=settled.removed, changed=settled.changed)
        version, record = publish(run, draft, plan.before, about)
    return Outcome.published(table.name, version, record, time.perf_counter() - started)


def _refuse_bad_rows(plan: Plan, staged: Staged) -> None:
    """Gold is validated: a bad row is our own mistake. Elsewhere rejects are set aside, up to the table's limit."""
    table = plan.hop.table
    if not staged.rejected:
        return
    worst = ", ".join(f"{rule} ({count:,})" for rule, count in sorted(staged.rules.items(), key=lambda item: -item[1])[:5])
    if table.layer == "gold":
        raise ContractBroken(
            f"{table.name}: {staged.rejected:,} of {staged.out:,} rows break {worst}{_example(staged)}",
            "Correct the hop or the contract; nothing was published",
        )
    share = staged.rejected / staged.out
    if share > table.max_rejected:
        raise RejectLimitExceeded(
            f"{table.name}: {staged.rejected:,} of {staged.out:,} rows ({share:.1%}) break {worst}; the limit is {table.max_rejected:.1%}{_example(staged)}",
            "Nothing was published. Correct the source, the hop or the contract, or raise max_rejected",
        )


def _example(staged: Staged) -> str:
    first = scan_parts(staged.bad, pl.Schema({"row": pl.String(), "rules": pl.List(pl.String())})).select("rules", "row").head(1).collect()
    return f"; e.g. {first['row'][0][:200]}" if first.height and first["row"][0] else ""


def _ledger(plan: Plan, staged: Staged, settled: Settled) -> Ledger:
    """The counts of this hop. Only what the hop declares may be left out or multiplied; the check finds the rest."""
    hop = plan.hop
    leaves_out = hop.filters or (f"outside {plan.reason}" if plan.within else None)
    entries = {
        "read": staged.read, "inserted": settled.inserted, "updated": settled.updated, "unchanged": settled.unchanged,
        "superseded": settled.superseded, "duplicate": settled.duplicate, "tombstones": settled.tombstones, "rejected": staged.rejected,
        "deleted": settled.deleted, "adjusted": settled.adjusted,
    }  # fmt: skip
    if hop.aggregates:
        counted = staged.counted or 0
        return Ledger(
            **entries,
            aggregated=counted,
            groups=staged.out,
            filtered=_declared(leaves_out, staged.read - counted),
            expanded=_declared(hop.expands, counted - staged.read),
        )
    return Ledger(**entries, filtered=_declared(leaves_out, staged.read - staged.out), expanded=_declared(hop.expands, staged.out - staged.read))


def _declared(reason: str | None, difference: int) -> int:
    return max(0, difference) if reason else 0


def _check_places(plan: Plan, staged: Staged) -> None:
    """Where raw places travel with the rows, the multiset of them must be the same on both sides of a hop that passes rows on."""
    hop = plan.hop
    if staged.intact is False and not hop.aggregates and not hop.filters and not hop.expands:
        raise LedgerOpen(
            f"{hop.table.name}: hop {hop.function.__qualname__} lost some of the rows it read and repeated others; nothing was published",
            "If that is meant, say so: filters='why' or expands='why'",
        )


def _about(run: Run, plan: Plan, staged: Staged, settled: Settled, ledger: Ledger) -> dict[str, Any]:
    hop = plan.hop
    freshest = staged.freshest or max((r.freshest for r in _upstream(run, plan) if r is not None and r.freshest), default=None)
    known = plan.before.freshest if plan.before else None
    code = plan.before.code if plan.within and plan.before else code_of(hop.name, hop.fingerprint, run.settings.root)
    return {
        "kind": "hop", "table": hop.table.name, "batch": plan.batch, "code": code, "within": plan.within,
        "write": hop.write, "mode": plan.mode, "reason": plan.reason, "inputs": list(plan.inputs.values()), "ledger": ledger, "rules": staged.rules,
        "conversions": staged.conversions, "content": settled.content.to_hash() if settled.content else None,
        "freshest": max((at for at in (freshest, known) if at is not None), default=None),
    }  # fmt: skip


def _upstream(run: Run, plan: Plan) -> list[Any]:
    found = (run.log(path_of(wanted.table)).last_record(until=wanted.end) for wanted in plan.inputs.values())
    return [last[1] if last else None for last in found]


def _set_aside(run: Run, plan: Plan, staged: Staged, about: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Commit the rejected rows, stamped, before the rows that passed."""
    stamps = {
        "schema_version": pl.lit(plan.before.schema_version if plan.before else 1, dtype=pl.Int64), "batch": pl.lit(plan.batch),
        "run": pl.lit(run.info.id), "at": pl.lit(dt.datetime.now(dt.UTC)).cast(pl.Datetime("us", "UTC")),
    }  # fmt: skip
    bare = pl.Schema({name: dtype for name, dtype in REJECTED.items() if name not in _UNFILLED})
    write_parts(scan_parts(staged.bad, bare).with_columns(**stamps).select(list(REJECTED)), folder / "rejects")
    kept = quarantine(run, plan.hop.table, folder / "rejects", staged.rejected, about, before=plan.before, everything=plan.mode == "full")
    return {"quarantine": kept, "rejects": kept["total"]}


def _bury(run: Run, plan: Plan, staged: Staged, settled: Settled, about: dict[str, Any]) -> dict[str, Any]:
    """Commit which keys were deleted, where a sequence may bring earlier rows of theirs later."""
    table, before = plan.hop.table, plan.before
    known = before.tombstones if before else None
    if not table.sequence or plan.hop.deletes is None or (not settled.ended and not (known and plan.mode == "full")):
        return {"tombstones": known}
    schema = pl.Schema({name: staged.schema[name] for name in (*table.key, *ordering(table, staged.schema))})
    parts = settled.ended or staged.bad.with_name("none")
    rows = scan_parts(parts, schema).select(pl.len()).collect().item()
    name = Table(f"bronze.tombstones.{table.name.replace('.', '_')}", owner=table.owner, description=f"Keys that were deleted from {table.name}")
    said = about | {"kind": "tombstones"}
    published = int(known["version"]) if known else -1
    kept = set_aside(run, name, tombstones_path_of(table.name), schema, parts, rows, said, published=published, everything=plan.mode == "full")
    return {"tombstones": kept if kept["version"] >= 0 else None}
