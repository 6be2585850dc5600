"""One hop, carried out: plan, one pass, settle, quarantine, commit once; again from the start if another run was faster."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.checks import check
from lake.code import code_of, keep
from lake.contract import FILE, ROW
from lake.datafile import scan_parts, write_parts
from lake.errors import CommitConflict, ContractBroken, LakeError, LedgerOpen, RejectLimitExceeded, Waits
from lake.hop import Hop, spelled
from lake.logs import tell
from lake.meter import phase
from lake.origins import remember
from lake.outcome import Outcome
from lake.partitions import Partition, answered, cut, fetched, gathered, tidy
from lake.plan import Plan, Range, make_plan
from lake.publish import Draft, publish
from lake.quarantine import BARE, of_keys, open_rejects, quarantine, set_aside, stamped
from lake.record import MIXED, Check, Code, Ledger, Record
from lake.refusal import keep_stopped, passed_in_range, refuse_checks, refuse_in_range, refuse_rows, stopped_batch
from lake.renewed import Looked, confirm, look
from lake.run import Run, backoff
from lake.settle import Settled, may_stand, settle
from lake.table import Table, ordering, path_of, tombstones_path_of
from lake.transform import Staged, stage

_ATTEMPTS = 5
_WHY_OUT, _WHY_MORE = "why rows are left out", "why rows are multiplied"
_UNPACKED = 6
"""Bytes that a hop holds in memory of a byte of Parquet that it reads, as a rule."""


def execute(run: Run, hop: Hop, *, full: bool = False, why: str | None = None, backfill: Range | None = None) -> Outcome:
    """Bring the hop's table up to date with its inputs, or find that it is. Publishes everything or nothing.

    `full` recomputes it from everything, for the reason `why` if one is given; `backfill` a range of it, where the table declares `time`.

    Raises HopFailed, SchemaRefused, DTypeRefused, ContractBroken, RejectLimitExceeded or LedgerOpen with the table as it was;
    where rules or limits stopped it, the rejected rows are in quarantine after the version that the table's record names.
    If another run commits first, plans anew; if that run consumed the same inputs, its result stands. Where a bronze table that it reads has no column yet, or a table
    that this run fills is not there, the hop waits: it is left as it was, and the outcome says for what.
    """
    for attempt in range(_ATTEMPTS):
        started = time.perf_counter()
        try:
            with phase("plan"):
                plan = make_plan(run, hop, full=full, backfill=backfill)
        except Waits as waits:
            if waits.missing and waits.table not in run.filled:
                raise
            base, before = run.log(path_of(hop.table.name)).head()
            return Outcome.nothing(hop.table.name, base, before, _absent(waits) if waits.missing else _bare(waits, hop))
        plan = replace(plan, reason=f"full, because {why}") if full and why else plan
        if not plan.needed:
            return Outcome.nothing(hop.table.name, plan.base, plan.before, plan.reason)
        try:
            with run.room.take(_UNPACKED * _size(run, plan)):
                if plan.engine is not None:
                    looked = look(run, plan)
                    if looked.same and plan.mode == "verify":
                        return confirm(run, plan, looked)
                    plan = _after(run, plan, looked)
                return carry_out(run, plan, started)
        except CommitConflict:
            backoff(attempt)
    raise CommitConflict(f"{hop.table.name} lost {_ATTEMPTS} races against other runs", "Run again")


def _absent(waits: Waits) -> str:
    return f"waits for {waits.table}{': no file of it has landed yet' if waits.table.startswith('bronze.') else ', which is not there yet'}"


def _bare(waits: Waits, hop: Hop) -> str:
    return waits.message.removeprefix(f"{hop.table.name} ")


def _after(run: Run, plan: Plan, looked: Looked) -> Plan:
    """What is to be done once a share was verified: what was planned, or all of it, if that share is not what it was."""
    if looked.same:
        return replace(plan, reason=f"{plan.reason}: {looked.words}")
    return replace(make_plan(run, plan.hop, full=True), reason=f"full, because {plan.engine}: {looked.words}")


def _size(run: Run, plan: Plan) -> int:
    """About how many bytes of Parquet the hop will read."""
    size = 0
    for name, given in plan.inputs.items():
        if name in plan.feeds:
            size += sum(file.size for _, file in (*plan.feeds[name].added, *plan.feeds[name].changed))
        elif (last := run.log(path_of(given.table)).last_record(until=given.end)) is not None:
            size += last[1].bytes
    return size


def carry_out(run: Run, plan: Plan, started: float) -> Outcome:
    """Do what the plan says, planned since `started` on the performance counter. Raises CommitConflict where another run was faster, else as execute."""
    table = plan.hop.table
    partitions = _partitions(run, plan)
    try:
        with run.workspace(f"hop-{table.name}") as folder:
            with phase("transform"):
                staged = _done_in(partitions, run, plan, folder) if partitions else stage(run, plan, folder)
            version, record = _published(run, plan, staged, folder)
    finally:
        tidy(run, partitions)
    return Outcome.published(table.name, version, record, time.perf_counter() - started)


def _published(run: Run, plan: Plan, staged: Staged, folder: Path) -> tuple[int, Record]:
    """Settle what was staged, set rejects aside, and commit."""
    table = plan.hop.table
    try:
        staged, settled, ledger, checks = _settled(run, plan, staged, folder)
    except (ContractBroken, RejectLimitExceeded) as stop:
        _write_rejects(run, plan, staged, stopped_batch(plan.batch), folder / "stopped")
        raise keep_stopped(run, table, folder / "stopped", _said(run, plan, staged), plan.before, stop) from None
    with phase("quarantine"):
        about = _about(run, plan, staged, settled) | {"ledger": ledger, "checks": checks}
        about |= _set_aside(run, plan, staged, about, folder)
        about |= _bury(run, plan, staged, settled, about)
    draft = Draft(
        table, path_of(table.name), plan.base, staged.schema,
        parts=settled.parts, removed=settled.removed, restored=settled.standing, changed=settled.changed,
    )  # fmt: skip
    return publish(run, draft, plan.before, about)


def _partitions(run: Run, plan: Plan) -> list[Partition]:
    """How the work is cut, where there is somebody to do parts of it; and where a hop asked for that in vain, a word on why."""
    partitions, why = cut(run, plan) if run.spread is not None else ([], None)
    if why is not None:
        tell("step", f"{plan.hop.table.name} is not done in partitions: {why}", run.info, step=plan.hop.table.name)
    return partitions


def _done_in(partitions: list[Partition], run: Run, plan: Plan, folder: Path) -> Staged:
    """The pass, made in partitions elsewhere, and brought together."""
    if run.spread is None:
        raise LakeError(f"nobody does the partitions of {plan.hop.table.name}", "Configure an engine, or leave partitions= out of the hop")
    done = [answered(text) for text in run.spread([partition.model_dump_json() for partition in partitions])]
    staged = gathered(run, plan, partitions, done, folder)
    return fetched(run, plan, staged) if staged.standing and not may_stand(run, plan, staged) else staged


def _settled(run: Run, plan: Plan, staged: Staged, folder: Path) -> tuple[Staged, Settled, Ledger, list[Check]]:
    """What the staged rows come to in the table. Raises where a rule, a limit or the ledger says that nothing may be published."""
    if staged.stopped is not None:
        raise staged.stopped
    staged = refuse_in_range(run, plan, staged)
    staged = replace(staged, accepted=refuse_rows(run, plan, staged))
    with phase("settle"):
        settled = settle(run, plan, staged, folder)
    if settled.repeated:
        staged = replace(staged, rejected=staged.rejected + sum(settled.repeated.values()), rules=dict(sorted((staged.rules | settled.repeated).items())))
        staged = replace(staged, accepted=refuse_rows(run, plan, staged))
    ledger = _ledger(plan, staged, settled)
    ledger.check(plan.hop.table.name, missing=_missing(plan.hop), surplus=_surplus(plan.hop))
    _check_places(plan, staged)
    with phase("checks") if plan.hop.table.rules else nullcontext():
        checks = check(run, plan, staged, settled)
    refuse_checks(plan.hop.table, checks)
    return staged, settled, ledger, checks


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
            f"If rows are left out and others repeated on purpose, say why: {spelled(hop, filters=_WHY_OUT, expands=_WHY_MORE)}",
        )


def _missing(hop: Hop) -> str:
    """What to do where rows that the hop read did not come out of it."""
    told = f"Each row must be accounted for: if rows are left out on purpose, say why: {spelled(hop, filters=_WHY_OUT)}"
    if hop.aggregates or hop.write == "scd2" or hop.table.contract is None:
        return f"{told}; else see that {hop.counts} counts every row that a group sums up" if hop.aggregates else told
    numbers = [name for name, column in hop.table.contract.columns().items() if column.dtype.is_integer() and not column.primary_key]
    column = numbers[0] if numbers else "a column that holds how many rows each row sums up"
    return f"{told}; if it sums rows up, say which column counts them: {spelled(hop, counts=column)}"


def _surplus(hop: Hop) -> str:
    """What to do where more rows came out of the hop than it read."""
    return f"Each row must be accounted for: if rows are multiplied on purpose, say why: {spelled(hop, expands=_WHY_MORE)}; else see what a join repeats"


def _said(run: Run, plan: Plan, staged: Staged) -> dict[str, Any]:
    """What can be said of a batch before it is settled."""
    hop = plan.hop
    code = _kept(plan, plan.before.code) if plan.within and plan.before else _code(run, plan)
    if plan.before is None or plan.before.code is None or plan.before.code.fingerprint != hop.fingerprint:
        keep(run.store, hop.fingerprint, hop.name, [*hop.code.parts, *hop.declared], hop.code.packages)
    return {
        "kind": "hop", "table": hop.table.name, "batch": plan.batch, "code": code, "within": plan.within, "write": hop.write, "mode": plan.mode,
        "reason": plan.reason, "inputs": list(plan.inputs.values()), "rules": staged.rules, "warned": staged.warned, "conversions": staged.conversions, "accepted": staged.accepted,
    }  # fmt: skip


def _kept(plan: Plan, code: Code | None) -> Code | None:
    """The code that made a table of which a range is made now: the same, or a mixture that no code makes, so that all of it is due anew."""
    if code is None or code.fingerprint == plan.hop.fingerprint or code.mixed:
        return code
    return code.model_copy(update={"fingerprint": f"{MIXED}{code.fingerprint} {plan.hop.fingerprint}", "transform": None})


def _code(run: Run, plan: Plan) -> Code:
    """The code that runs now, with where the columns come from that it makes of the columns it read."""
    hop = plan.hop
    columns = remember(run.store, hop, {name: _schema(run, plan, name) for name in hop.inputs})
    code = code_of(hop.name, hop.fingerprint, run.settings.root, transform=hop.transform, columns=columns)
    if plan.mode == "readmit" and plan.before and plan.before.code:  # most rows are still those that another engine may have made
        return code.model_copy(update={"lake": plan.before.code.lake, "polars": plan.before.code.polars})
    return code


def _schema(run: Run, plan: Plan, name: str) -> pl.Schema:
    if name in plan.feeds:  # a table whose changes are read may not be opened at all
        return plan.feeds[name].schema
    return run.snapshot(path_of(plan.inputs[name].table), plan.inputs[name].end).schema


def _about(run: Run, plan: Plan, staged: Staged, settled: Settled) -> dict[str, Any]:
    freshest = staged.freshest or max((r.freshest for r in _upstream(run, plan) if r is not None and r.freshest), default=None)
    known = plan.before.freshest if plan.before else None
    content = settled.content.to_hash() if settled.content else None
    again = plan.mode in ("full", "range") and content is not None and plan.before is not None and plan.before.content == content
    return (
        _said(run, plan, staged)
        | ({"reason": f"{plan.reason}; made again, same rows"} if again else {})
        | {
            "content": content,
            "freshest": max((at for at in (freshest, known) if at is not None), default=None),
        }
    )


def _upstream(run: Run, plan: Plan) -> list[Any]:
    """The records of the inputs whose rows came in; tables that are only referred to gave none."""
    found = (run.log(path_of(plan.inputs[name].table)).last_record(until=plan.inputs[name].end) for name in plan.hop.inputs)
    return [last[1] if last else None for last in found]


def _set_aside(run: Run, plan: Plan, staged: Staged, about: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Commit the rejected rows before the rows that passed, and find which of the earlier ones were judged anew."""
    _write_rejects(run, plan, staged, plan.batch, folder / "rejects")
    kept = quarantine(run, plan.hop.table, folder / "rejects", about, before=plan.before, anew=_anew(run, plan, staged))
    return {"quarantine": kept, "rejects": kept["total"]}


def _write_rejects(run: Run, plan: Plan, staged: Staged, batch: str, parts: Path) -> None:
    if staged.rejected:
        write_parts(stamped(scan_parts(staged.bad, BARE), run, batch, plan.before.schema_version if plan.before else 1), parts)


def _anew(run: Run, plan: Plan, staged: Staged) -> pl.LazyFrame | None:
    """The earlier rejects whose rows were read again; None where there are none."""
    if plan.before is None or not plan.before.rejects:
        return None
    earlier = open_rejects(run, plan.hop.table, plan.before)
    if plan.mode == "full":
        return earlier
    if plan.again is not None:
        return earlier.join(plan.again.lazy(), on=[FILE, ROW], how="semi")
    if plan.within is not None:
        return passed_in_range(staged, earlier)
    scope = staged.scope
    if scope is not None and scope.parts is not None:
        keys = scan_parts(scope.parts, pl.Schema({name: staged.schema[name] for name in scope.on}))
        return of_keys(earlier, keys, list(scope.on))
    return None


def _bury(run: Run, plan: Plan, staged: Staged, settled: Settled, about: dict[str, Any]) -> dict[str, Any]:
    """Commit which keys were deleted, where a sequence may bring earlier rows of theirs later."""
    table, before = plan.hop.table, plan.before
    known = before.tombstones if before else None
    if settled.ended is None or plan.within is not None:  # the deletions of a range are among those recorded, unless other code made it; then all is due anew
        return {"tombstones": known}
    schema = pl.Schema({name: staged.schema[name] for name in (*table.key, *ordering(table, staged.schema))})
    rows = scan_parts(settled.ended, schema).select(pl.len()).collect().item()
    name = Table(f"bronze.tombstones.{table.name.replace('.', '_')}", owner=table.owner, description=f"Keys that were deleted from {table.name}")
    said = about | {"kind": "tombstones"}
    published = int(known["version"]) if known else -1
    version = set_aside(run, name, tombstones_path_of(table.name), schema, settled.ended, rows, said, published=published, everything=plan.mode == "full")
    return {"tombstones": {"version": version, "rows": rows} if version >= 0 else None}
