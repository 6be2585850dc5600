"""When nothing is published: rules that fail, more rejects than a table allows, a table that would not be as it should. What was rejected is kept.

The rejects of a batch that stopped are committed to the quarantine after the version that the table's record names: they can be
looked at, belong to no version of the table, and are taken out by the next batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import FILE, ROW
from lake.datafile import parts_in, scan_parts
from lake.errors import ContractBroken, LakeError, RejectLimitExceeded
from lake.personal import row_told
from lake.plan import Plan
from lake.quarantine import BARE, not_among, open_rejects, quarantine
from lake.record import Check, ConsumedFile, Record
from lake.run import Run
from lake.table import Table
from lake.transform import Staged, scan_good
from lake.wording import counted, several, shortened

_WORST = 5
_SHOWN = 200  # characters of an example


def refuse_rows(run: Run, plan: Plan, staged: Staged) -> None:
    """Raise ContractBroken where a row breaks a rule that fails, RejectLimitExceeded where more are rejected than the table allows."""
    table = plan.hop.table
    if not staged.rejected:
        return
    if failing := {rule: count for rule, count in staged.rules.items() if table.severity_of(rule) == "fail"}:
        rows = scan_parts(staged.bad, BARE).filter(pl.col("rules").list.eval(pl.element().is_in(list(failing))).list.any())
        count = rows.select(pl.len()).collect(engine="streaming").item()
        raise ContractBroken(
            f"{table.name}: {count:,} of {counted(staged.out, 'row')} break {_worst(table, failing)}{_example(table, rows)}",
            "Correct the hop or the contract; nothing was published",
        )
    if plan.again is None and (limit := over_limit(run, table, staged.rejected, staged.out)):
        rows = scan_parts(staged.bad, BARE)
        share = staged.rejected / max(1, staged.out)
        raise RejectLimitExceeded(
            f"{table.name}: {staged.rejected:,} of {counted(staged.out, 'row')} ({share:.1%}) break {_worst(table, staged.rules)}; the limit is {limit[0]}{_example(table, rows)}",
            f"Nothing was published. Correct the source, the hop or the contract, or raise {limit[1]}",
        )


def refuse_in_range(run: Run, plan: Plan, staged: Staged) -> Staged:
    """Where a range is recomputed, rejects stay as they are. Raises ContractBroken where rows would be rejected that were not: they would vanish."""
    if plan.within is None or not staged.rejected:
        return staged
    new = not_among(scan_parts(staged.bad, BARE), open_rejects(run, plan.hop.table, plan.before).select(list(BARE)))
    if count := new.select(pl.len()).collect(engine="streaming").item():
        raise ContractBroken(
            f"{plan.hop.table.name}: {counted(count, 'row')} that {several(count, 'is', 'are')} in would be rejected by the code as it is now{_example(plan.hop.table, new)}",
            "Nothing was published. A range leaves what is rejected alone: run with --full, or without a range",
        )
    return replace(staged, rejected=0, rules={})


def passed_in_range(staged: Staged, earlier: pl.LazyFrame) -> pl.LazyFrame | None:
    """Those of the `earlier` rejects that the range lets in: their raw places are among its rows, and nothing of them is rejected any more."""
    if not {FILE, ROW} <= set(staged.schema):
        return None
    places = scan_good(staged).select(FILE, ROW).unique()
    return not_among(earlier, scan_parts(staged.bad, BARE)).join(places, on=[FILE, ROW], how="semi")


def refuse_checks(table: Table, checks: Iterable[Check]) -> None:
    """Raise ContractBroken where a rule of the table as a whole fails, naming each with what was found and what is asked."""
    broken = [check for check in checks if not check.holds and check.severity == "fail"]
    if broken:
        told = "; ".join(f"{check.name}: {check.value}; asked is {check.limit}" for check in broken)
        raise ContractBroken(f"{table.name}: {told}", "Nothing was published. Correct the source or the hop, or change the rule")


def refuse_files(run: Run, table: Table, files: list[ConsumedFile]) -> None:
    """Raise RejectLimitExceeded where more records of new files are rejected than the bronze table allows, naming the worst file."""
    rejected, records = sum(file.rejects for file in files), sum(file.rows + file.rejects for file in files)
    if not (limit := over_limit(run, table, rejected, records)):
        return
    worst = max(files, key=lambda file: (file.rejects, -file.rows))
    why = f": {worst.reason}" if worst.reason else ""
    raise RejectLimitExceeded(
        f"{table.name}: {rejected:,} of {counted(records, 'record')} of the new files ({rejected / max(1, records):.1%}) are rejected; the limit is {limit[0]}; "
        f"the worst file is {worst.name}, {worst.rejects:,} of {worst.rows + worst.rejects:,}{why}",
        f"Nothing of them was ingested. Raise {limit[1]} to take them in with their rejects; a corrected file lands beside this one",
    )


def over_limit(run: Run, table: Table, rejected: int, judged: int) -> tuple[str, str] | None:
    """The limit that so many rejects of so many rows exceed, in words, and what it is called; None if they are within."""
    if not run.judges_moment:
        return None
    if table.most_rejected is not None and rejected / max(1, judged) > table.most_rejected:
        return f"{table.most_rejected:.1%}", "max_rejected"
    if table.max_rejected_rows is not None and rejected > table.max_rejected_rows:
        return f"{counted(table.max_rejected_rows, 'row')}", "max_rejected_rows"
    return None


def keep_stopped(run: Run, table: Table, parts: Path, about: dict[str, Any], before: Record | None, stop: LakeError) -> LakeError:
    """Commit the rejects in `parts` of a batch that stopped, where nobody reads them as the table's. Returns the error, which then says where they are."""
    if not parts_in(parts):
        return stop
    said = about | {"batch": stopped_batch(about["batch"]), "reason": stop.message}
    quarantine(run, table, parts, said, before=before)
    return type(stop)(stop.message, f"{stop.hint}. `lake rejects {table.name} --stopped` shows the rows")


def stopped_batch(batch: str) -> str:
    """The name of a batch that stopped: another than that of the same work published later, which is written anew."""
    return f"{batch}-stopped"


def _worst(table: Table, rules: dict[str, int]) -> str:
    """The rules that most rows break, each with what it asks."""
    often = sorted(rules.items(), key=lambda item: -item[1])[:_WORST]
    asked = {rule: table.asks(rule).rstrip(".") for rule, _ in often}
    return "; ".join(f"{rule} ({count:,}){f': {asked[rule]}' if asked[rule] else ''}" for rule, count in often)


def _example(table: Table, rows: pl.LazyFrame) -> str:
    first = rows.select("row").head(1).collect()
    return f"; e.g. {shortened(row_told(first['row'][0], table.personal), _SHOWN)}" if first.height and first["row"][0] else ""
