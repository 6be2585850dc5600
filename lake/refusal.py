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
from lake.limits import over_limit, spared
from lake.personal import row_told
from lake.plan import Plan
from lake.quarantine import BARE, not_among, open_rejects, quarantine
from lake.record import Accepted, Check, ConsumedFile, Record
from lake.run import Run
from lake.table import Table
from lake.transform import Staged, scan_good
from lake.wording import counted, several, shortened

_WORST = 5
_SHOWN = 200  # characters of an example


def refuse_rows(run: Run, plan: Plan, staged: Staged) -> Accepted | None:
    """Raise ContractBroken where a row breaks a rule that fails, RejectLimitExceeded where more are rejected than the table allows.

    Rows of files that were corrected since are not counted, nor rejects that somebody accepted; what was accepted is returned.
    """
    table = plan.hop.table
    if not staged.rejected:
        return None
    if failing := {rule: count for rule, count in staged.rules.items() if table.severity_of(rule) == "fail"}:
        rows = scan_parts(staged.bad, BARE).filter(pl.col("rules").list.eval(pl.element().is_in(list(failing))).list.any())
        count = rows.select(pl.len()).collect(engine="streaming").item()
        raise ContractBroken(
            f"{table.name}: {count:,} of {counted(staged.out, 'row')} break {_worst(table, failing)}{_example(table, rows)}",
            "Correct the hop or the contract; nothing was published",
        )
    if plan.again is not None or not over_limit(run, table, staged.rejected, staged.out):
        return None
    rows = scan_parts(staged.bad, BARE)
    told = spared(run, table, plan.before, _places(rows, scan_good(staged) if FILE in staged.schema else None))
    rejected, accepted = told.counting(rows)
    gone = staged.rejected - rejected - (accepted.rows if accepted else 0)
    if told.fixed and FILE in staged.schema:
        gone += int(scan_good(staged).select(pl.col(FILE).is_in(sorted(told.fixed)).sum()).collect(engine="streaming").item())
    judged = staged.out - gone - (accepted.rows if accepted else 0)
    if not (limit := over_limit(run, table, rejected, judged)):
        return accepted
    raise RejectLimitExceeded(
        f"{table.name}: {rejected:,} of {counted(judged, 'row')} ({rejected / max(1, judged):.1%}) break {_worst(table, staged.rules)}; the limit is {limit[0]}{_example(table, rows)}",
        f"Nothing was published. {_ways_out(table, 'Correct the file at its source under its name, the hop or the contract', limit[1])}",
    )


def _places(*frames: pl.LazyFrame | None) -> list[str]:
    """The raw places of the rows."""
    found = pl.concat([frame.select(pl.col(FILE).unique()) for frame in frames if frame is not None])
    return [place for place in found.unique().collect(engine="streaming").to_series() if place is not None]


def _ways_out(table: Table, correct: str, limit: str) -> str:
    """What can be done where more rows are rejected than a table allows."""
    return f"{correct}; or set the rows aside, on record: `lake accept {table.name} --stopped --why WHY`; or raise {limit}"


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


def refuse_files(run: Run, table: Table, files: list[ConsumedFile], rejects: pl.LazyFrame, before: Record | None) -> Accepted | None:
    """Raise RejectLimitExceeded where more records of new files are rejected than the bronze table allows, naming the worst file.

    `rejects` (`_file`, `_row`, `line`) are theirs. What is not counted is as with `refuse_rows`, and so is what is returned.
    """
    rejected, records = sum(file.rejects for file in files), sum(file.rows + file.rejects for file in files)
    if not over_limit(run, table, rejected, records):
        return None
    told = spared(run, table, before, [file.file for file in files])
    files = [file for file in files if file.file not in told.fixed]
    rejected, accepted = told.counting(rejects.with_columns(row=pl.lit(None, dtype=BARE["row"])))
    records = sum(file.rows + file.rejects for file in files) - (accepted.rows if accepted else 0)
    if not (limit := over_limit(run, table, rejected, records)):
        return accepted
    worst = max(files, key=lambda file: (file.rejects, -file.rows))
    why = f": {worst.reason}" if worst.reason else ""
    raise RejectLimitExceeded(
        f"{table.name}: {rejected:,} of {counted(records, 'record')} of the new files ({rejected / max(1, records):.1%}) are rejected; the limit is {limit[0]}; "
        f"the worst file is {worst.name}, {worst.rejects:,} of {worst.rows + worst.rejects:,}{why}",
        f"Nothing of them was ingested. {_ways_out(table, 'Correct the file at its source under its name', limit[1])}, and they come in with their rejects",
    )


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
