"""Readmitting: rows that were rejected run again after a fix, exactly once, into the place in history they would have had.

Rows that a hop rejected are judged alone where it can be shown that this gives the table that recomputing everything would: the same
transformation, the same columns, and no row in the table that breaks the contract as it is now. Otherwise everything is recomputed.
Raw files that bronze rejected, whole or in part, get another receipt with the dialect that is found or declared now; ingest takes in
the records that are not there yet, with the time they first landed.
"""

from __future__ import annotations

import time
from typing import Any

import polars as pl

from lake.contract import FILE, ROW, judge
from lake.errors import CommitConflict, LakeError
from lake.execute import carry_out, execute
from lake.hop import Hop
from lake.ingest import Retry, retry
from lake.landing import recall
from lake.log import schema_of_record
from lake.meter import phase
from lake.outcome import Outcome
from lake.plan import Plan
from lake.quarantine import open_rejects
from lake.reading.hints import Hints
from lake.reading.structural import SILENT
from lake.receipts import files_in, receipt_of
from lake.record import Ledger, Record
from lake.run import Run, backoff
from lake.schemas import Change, compare, expected
from lake.source import Source
from lake.table import path_of
from lake.wording import counted, several

_ATTEMPTS = 5
_FOLLOWING = ("append", "merge", "scd2")


def readmit_rows(run: Run, hop: Hop, *, only: bool = False) -> Outcome:
    """Judge the rejected rows of the hop's table again by the code and contract as they are now.

    `only` says that the code, though changed, makes of all other rows what it made before; the record keeps that this was said, and
    `lake verify` finds out. Raises what execute raises, and LakeError where `only` cannot be.
    """
    for attempt in range(_ATTEMPTS):
        started = time.perf_counter()
        base, before = run.log(path_of(hop.table.name)).head()
        if before is None or not before.rejects:
            return Outcome.nothing(hop.table.name, base, before, "no row is in quarantine")
        if before.code is not None and before.code.fingerprint == hop.fingerprint:
            return Outcome.nothing(hop.table.name, base, before, "the code and the contract are those that rejected the rows")
        with phase("plan"):
            places = open_rejects(run, hop.table, before).select(FILE, ROW).unique().collect(engine="streaming")
            why = _all_needed(run, hop, before, places, only=only)
        if why:
            return execute(run, hop, full=True, why=why)
        try:
            return carry_out(run, _plan(hop, base, before, places, only=only), started)
        except CommitConflict:
            backoff(attempt)
    raise CommitConflict(f"{hop.table.name} lost {_ATTEMPTS} races against other runs", "Run again")


def readmit_files(run: Run, source: Source) -> list[Retry]:
    """Read the raw files with rejected records again, and give another receipt to those of which more can be taken in now.

    The next ingest takes them in. Returns what came of each file.
    """
    _, before = run.log(path_of(source.into.name)).head()
    rejected = open_rejects(run, source.into, before).select(FILE, ROW, "line").collect(engine="streaming")
    beside = _structural(run, source) if source.hints != Hints() else []
    files = files_in(run, source.name, pl.concat([rejected[FILE], pl.Series(FILE, beside, dtype=pl.String)]).unique())
    told: list[Retry] = []
    again: list[dict[str, Any]] = []
    for file in sorted({files.get(place, place) for place in (*rejected[FILE], *beside)}):
        receipt = receipt_of(run, source.name, file)
        if receipt is None:
            raise LakeError(f"{file} has no receipt", "system/landings was damaged: restore it from a backup")
        mine = rejected.filter(pl.col(FILE).is_in([place for place, of in files.items() if of == file]))
        found = retry(run, source, receipt, mine)
        if mine.height or found.dialects is not None:
            told.append(found)
        if found.dialects is not None:
            again.append(receipt | {"dialects": found.dialects})
    if again:
        recall(run, source, again)
    return told


def _structural(run: Run, source: Source) -> list[str]:
    """The places of files of which lines were left out as titles, footers and the like: other hints may make records of them."""
    path = path_of(source.into.name)
    latest: dict[str, bool] = {}
    for _, record in run.log(path).back():
        for file in record.files:
            latest.setdefault(file.file, not SILENT.issuperset(file.structure))
    return [place for place, noted in latest.items() if noted]


def _all_needed(run: Run, hop: Hop, before: Record, places: pl.DataFrame, *, only: bool) -> str | None:
    """Why the rejected rows cannot be judged alone; None where that gives the table that recomputing everything would."""
    table = hop.table
    if hop.write not in _FOLLOWING or not hop.follows(hop.driver):
        return "its rows are always computed together"
    if hop.expands:
        return "one row read may become several, of which some are in"
    if places[FILE].null_count() or places[ROW].null_count():
        return "rejected rows do not say where in raw they are from"
    if before.code is None or (before.code.transform != hop.transform and not only):
        return "the code changed, and may make something else of other rows too"
    known, wanted = schema_of_record(run.store, run.log(path_of(table.name)), before), expected(table)
    if known is None or wanted is None or table.contract is None:
        return "nothing is known of its schema"
    changes = compare(known[2], wanted)
    if any(change.kind.startswith(("column", "key")) and change.kind != "column nullable" for change in changes):
        return "its columns changed"
    if _on_the_whole(known[2]) != _on_the_whole(wanted):
        return "rules on the table as a whole changed"
    if all(_only_relaxes(change) for change in changes):
        return None
    if any(_overtakes(record.ledger) for _, record in run.log(path_of(table.name)).records()):
        return "rows that were overtaken may break the contract as it is now"
    there = run.snapshot(path_of(table.name), run.log(path_of(table.name)).version())
    broken = (
        judge(table.contract, there.scan(), who=table.name, warn=table.warns & set(wanted["rules"])).bad.select(pl.len()).collect(engine="streaming").item()
    )
    return f"{counted(broken, 'row')} that {several(broken, 'is in breaks', 'are in break')} the contract as it is now" if broken else None


def _only_relaxes(change: Change) -> bool:
    """Whether every row that passed before passes now, whatever it holds."""
    relaxed = change.kind == "column nullable" and change.backward
    return relaxed or change.kind in ("rule removed", "words") or (change.kind == "rule changed" and change.what.endswith("became warn"))


def _overtakes(ledger: Ledger) -> bool:
    """Whether rows that had passed are not in the table, or not any more."""
    return bool(ledger.superseded or ledger.updated or ledger.deleted or ledger.tombstones or ledger.adjusted)


def _on_the_whole(document: dict[str, Any]) -> dict[str, str]:
    """The rules of a schema document that judge more than single rows."""
    return {name: told for name, told in document.get("checks", {}).items() if ": " in told}


def _plan(hop: Hop, base: int, before: Record, places: pl.DataFrame, *, only: bool) -> Plan:
    """The rejected rows alone, with the very versions of the inputs that the table has consumed."""
    inputs = {}
    for name, known in zip(hop.sources, before.inputs, strict=True):
        mine = name == hop.driver
        inputs[name] = known.model_copy(update={"start": known.end, "rows": places.height} if mine else {})
    changed = before.code is not None and before.code.transform != hop.transform
    why = "; other rows are said to be as they were" if only and changed else ""
    return Plan(hop, base, before, inputs, "readmit", f"{counted(places.height, 'rejected row')} again{why}", True, again=places)
