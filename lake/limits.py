"""How many rows may be rejected at once: by share and by number, without rows of files that were corrected since, and without those that somebody accepted."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from lake.contract import FILE, ROW
from lake.log import TableLog
from lake.quarantine import REJECTED, not_among, published_version
from lake.receipts import corrected
from lake.record import Accepted, Record
from lake.run import Run
from lake.table import Table, path_of, quarantine_path_of
from lake.wording import counted

_KEY = (FILE, ROW, "line", "row")  # what tells rejected rows apart


def over_limit(run: Run, table: Table, rejected: int, judged: int) -> tuple[str, str] | None:
    """The limit that so many rejects of so many rows exceed, in words, and what it is called; None if they are within.

    Of fewer rows than the table's `max_rejected_from` the share is taken of that many.
    """
    if not run.judges_moment:
        return None
    least = table.max_rejected_from
    if table.most_rejected is not None and rejected / max(1, judged, least) > table.most_rejected:
        return share_in_words(table, judged), "max_rejected"
    if table.max_rejected_rows is not None and rejected > table.max_rejected_rows:
        return f"{counted(table.max_rejected_rows, 'row')}", "max_rejected_rows"
    return None


def most_by_share(table: Table, judged: int) -> int | None:
    """How many of so many rows the table's share allows to be rejected; None where it has none."""
    return None if table.most_rejected is None else math.floor(table.most_rejected * max(1, judged, table.max_rejected_from) + 1e-9)


def share_in_words(table: Table, judged: int) -> str:
    """The table's share, and of how many rows it is taken where these are fewer than the share is judged from."""
    share = f"{table.most_rejected or 0:.1%}"
    return (
        share
        if judged >= table.max_rejected_from
        else f"{share}, of fewer than {counted(table.max_rejected_from, 'row')} {counted(most_by_share(table, judged) or 0, 'row')}"
    )


@dataclass(frozen=True)
class Spared:
    """Rejects that no limit counts: those of the places `fixed`, whose files were corrected since, and those that were `accepted`, by whom and why."""

    fixed: frozenset[str]
    accepted: pl.LazyFrame | None
    by: str = ""
    why: str = ""

    def counting(self, bad: pl.LazyFrame) -> tuple[int, Accepted | None]:
        """How many of the rejects (`_file`, `_row`, `line`, `row`) a limit counts, and which were accepted."""
        left = bad.filter(~pl.col(FILE).is_in(sorted(self.fixed)).fill_null(False))
        every = int(left.select(pl.len()).collect(engine="streaming").item())
        if self.accepted is None:
            return every, None
        others = int(not_among(left, self.accepted).select(pl.len()).collect(engine="streaming").item())
        return others, Accepted(rows=every - others, by=self.by, why=self.why) if every > others else None


def spared(run: Run, table: Table, before: Record | None, places: Collection[str]) -> Spared:
    """What is known of files that were corrected, among the raw `places`, and of rejects that were accepted: in this run, or on record of the table."""
    fixed = frozenset(corrected(run, places))
    frames, by, why = [], "", ""
    if (now := run.accepted.get(table.name)) is not None:
        frames.append(now.rows.lazy().select(_KEY))
        by, why = now.by, now.why
    if (version := published_version(before)) >= 0 and before is not None and before.rejects:
        told = {record.batch: record.accepted for _, record in run.log(path_of(table.name)).back() if record.accepted is not None}
        if told:
            kept = run.snapshot(quarantine_path_of(table.name), version).scan().filter(pl.col("batch").is_in(sorted(told)))
            frames.append(kept.filter(pl.col("resolved_at").is_null()).select(_KEY))
            last = next(iter(told.values()))
            by, why = by or last.by, why or last.why
    return Spared(fixed, pl.concat(frames) if frames else None, by, why)


def stopped_rows(run: Run, table: str) -> pl.LazyFrame:
    """The rejects of the last run that published nothing of the table; none where no run stopped since the last commit."""
    path = quarantine_path_of(table)
    newest = TableLog(run.store, path).version()
    before = run.log(path_of(table)).head()[1]
    if newest < 0:
        return pl.LazyFrame(schema=REJECTED)
    there = run.snapshot(path, newest).scan().filter(pl.col("resolved_at").is_null())
    return there.filter(pl.col("batch").str.ends_with("-stopped")) if newest > published_version(before) else pl.LazyFrame(schema=REJECTED)
