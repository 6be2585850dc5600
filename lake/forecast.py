"""What a run would do now: `lake plan`, and the dry runs of deployments. Writes nothing.

A table's prediction is `yes` (it gets a new version), `no`, or `maybe`: where that depends on rows that only the run will read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from lake.errors import LakeError
from lake.landing import waiting_files
from lake.migrate import pending
from lake.pipeline import Pipeline, recomputed
from lake.plan import Range, code_changes, engine_moved, make_plan
from lake.receipts import LANDINGS, receipts_between
from lake.release import find_release
from lake.run import Run
from lake.source import Source
from lake.table import path_of
from lake.wording import counted, several

Row = dict[str, Any]
Changes = Literal["yes", "maybe", "no"]
_NAMED = 3  # files, or tables, in a line


def forecast(
    run: Run,
    pipeline: Pipeline,
    *,
    full: bool = False,
    backfill: Range | None = None,
    tables: Iterable[str] = (),
    foreseen: dict[str, Changes] | None = None,
) -> list[Row]:
    """One row for each bronze table and each hop, in the order of a run: table, changes (yes, maybe, no), run (whether not "no"), mode, why,
    estimated_rows (of a hop that runs on what is there already, else null), inputs, waiting and landed (files of a source; null for a hop).

    `tables` are those that `full` or `backfill` is about; none means all. `foreseen` has what runs before this one would change of tables
    that this pipeline reads, and gets what this one would. A step that fails changes nothing, which is not foreseen. Sources are listed, logs read, never data.
    Raises DeclarationError for a range that suits none of the tables.
    """
    pipeline.check_range(backfill, tables := tuple(tables))
    pipeline.prepare(run)
    before = {} if foreseen is None else foreseen
    changes: dict[str, Changes] = dict(before)
    chosen, rows = frozenset(tables), []
    offers = {source.into.name: _offered(run, source) for source in pipeline.sources.values()}
    for step in pipeline.steps:
        if step.kind == "hop":
            rows.append(_hop(run, pipeline, step.name, changes, full=full, backfill=backfill, chosen=chosen))
        elif isinstance(step.work, Source) and step.kind == "ingest":
            rows.append(_bronze(run, step.work, offers[step.name], comes=any(names for names, _, _ in offers.values())))
        else:
            continue
        changes[step.name] = rows[-1]["changes"]
    last = find_release(run.store) if foreseen is not None else None
    if last is None or pipeline.name not in last.held:  # other flows read what is released
        before |= {step.name: changes[step.name] for step in pipeline.steps if step.kind != "land"}
    return rows


def code_rows(run: Run, pipeline: Pipeline, table: str) -> list[Row] | None:
    """What of the code that fills a table is not what it was when its last commit was made: one row a thing, with name, what, kind and diff (lines).

    Empty where the code is the same, or there is no table yet; None where what it was is not on record.
    """
    hop = pipeline.hops.get(table)
    _, before = run.log(path_of(table)).head()
    if hop is None or before is None or before.code is None or before.code.fingerprint == hop.fingerprint:
        return []
    found = code_changes(run, hop, before)
    return [change.told() for change in found] if found is not None else None


def behind(run: Run, pipeline: Pipeline) -> list[Row]:
    """The rows of hops whose tables are behind what they read as it is committed now, whatever else waits."""
    pipeline.prepare(run)
    found = (_hop(run, pipeline, step.name, {}, full=False, backfill=None, chosen=frozenset()) for step in pipeline.steps if step.kind == "hop")
    return [row for row in found if row["run"] and row["inputs"]]


def _offered(run: Run, source: Source) -> tuple[list[str], bool, str]:
    """The files that wait at the source, whether one has content that surely has not landed, and why it cannot be listed."""
    try:
        return (*waiting_files(run, source), "")
    except LakeError as error:
        return [], False, str(error)


def _bronze(run: Run, source: Source, offer: tuple[list[str], bool, str], *, comes: bool) -> Row:
    """The row of a bronze table; `comes` says whether any file of the subject waits."""
    names, is_new, unlisted = offer
    table = source.into
    try:
        steps, before = pending(run, table)
    except LakeError as error:
        return _row(table.name, "yes", mode="migration", why=error.message, waiting=len(names), landed=0)
    end = run.log(LANDINGS).version()
    start = before.inputs[0].end if before else -1
    landed = receipts_between(run, source.name, start, end).height if end > start else 0
    told = [steps.line] if steps else []
    if names:
        told.append(
            f"{_files(len(names))} {several(len(names), 'waits', 'wait')} ({_some(names)})" + ("" if is_new else ", perhaps with content that has landed")
        )
    if landed:
        told.append(f"{_files(landed)} landed and {'is' if landed == 1 else 'are'} not in it yet")
    if unlisted:
        told.append(unlisted)
    if before is not None and (moved := engine_moved(before)) is not None:
        told.append(f"some raw files are read again, because {moved}")
    changes: Changes = "yes" if steps or landed or is_new else "maybe" if names else "no"
    if before is None and changes == "no":
        changes = "maybe" if end >= 0 or comes else "no"
        told.append("no file has come yet")
    mode = "migration" if steps else "incremental" if before else "full"
    rows = before.rows if steps and before else None
    return _row(table.name, changes, mode=mode, why="; ".join(told) or "nothing new", rows=rows if changes != "no" else 0, waiting=len(names), landed=landed)


def _hop(run: Run, pipeline: Pipeline, name: str, changes: dict[str, Changes], *, full: bool, backfill: Range | None, chosen: frozenset[str]) -> Row:
    again, part = recomputed(name, full=full, backfill=backfill, chosen=chosen)
    hop = pipeline.hops[name]
    missing = [table for table in hop.upstream() if run.pins.get(table, -1) < 0 and run.log(path_of(table)).version() < 0]
    if missing:
        return _on_what_comes(name, missing, changes)
    try:
        made = make_plan(run, hop, full=again, backfill=part)
    except LakeError as error:
        return _row(name, "yes", mode="full", why=error.message)
    about = {"inputs": {parameter: given.model_dump() for parameter, given in made.inputs.items()}}
    if made.needed:
        return _row(name, "yes", mode=made.mode, why=made.reason, rows=made.estimated_rows) | about
    moving = [table for table in hop.upstream() if changes.get(table, "no") != "no"]
    if not moving:
        return _row(name, "no", mode=made.mode, why=made.reason, rows=0) | about
    return _row(name, "maybe", mode=made.mode, why=f"if rows of {_some(moving)} change") | about


def _on_what_comes(name: str, missing: list[str], changes: dict[str, Changes]) -> Row:
    """The row of a hop that reads tables which do not exist yet."""
    least = {changes.get(table, "no") for table in missing}
    found: Changes = "no" if "no" in least else "maybe" if "maybe" in least else "yes"
    why = {
        "yes": f"full, because the table is new, once {_some(missing)} is there",
        "maybe": f"full, if {_some(missing)} comes to be",
        "no": f"it reads {_some([table for table in missing if changes.get(table, 'no') == 'no'])}, which does not exist yet and which nothing here fills now",
    }
    return _row(name, found, mode="full", why=why[found], rows=0 if found == "no" else None)


def unfilled_row(name: str, why: str) -> Row:
    """The row of a table that no flow fills, `why` in words: no run changes it."""
    return _row(name, "no", mode="none", why=why, rows=0)


def _files(count: int) -> str:
    return counted(count, "file")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _row(table: str, changes: Changes, *, mode: str, why: str, rows: int | None = None, waiting: int | None = None, landed: int | None = None) -> Row:
    return {
        "table": table, "run": changes != "no", "changes": changes, "mode": mode, "why": why, "estimated_rows": rows, "inputs": {},
        "waiting": waiting, "landed": landed,
    }  # fmt: skip
