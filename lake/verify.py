"""Verifying tables in place: random key ranges recomputed from what a table was made from, and raw files read again (law 6).

By induction from raw: the bronze rows of randomly chosen files are compared with the files themselves, and a key range of each
table made by a hop with what the hop makes of its inputs as of the versions the table has read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from lake.anew import computed_anew
from lake.contract import FILE, ROW
from lake.delta import Snapshot
from lake.difference import Difference, difference_of
from lake.errors import LakeError, translated
from lake.hop import VALIDITY, Hop
from lake.pipeline import Pipeline
from lake.receipts import receipt_of
from lake.record import ConsumedFile, Record
from lake.reread import newest_first, taken_in
from lake.run import Run
from lake.source import Source
from lake.table import path_of

_FILES = 8
Row = dict[str, Any]


def verify(
    run: Run,
    pipeline: Pipeline,
    *,
    share: float,
    seed: int | None = None,
    told: Callable[[str], None] = lambda _: None,
    versions: Mapping[str, int] | None = None,
) -> Iterator[Row]:
    """One row a table: table, checked (what was looked at), rows, verdict (`equal`, `rounding`, `differs`, `not verified`), why.

    `versions` says which tables, and as of which version of each; else all at their newest. Nothing is written to the store.
    """
    chance = random.Random(seed)  # noqa: S311  # which rows are looked at is no secret
    for step in pipeline.steps:
        if step.kind == "land" or (versions is not None and step.name not in versions):
            continue
        last = run.log(path_of(step.name)).last_record(until=versions[step.name] if versions is not None else None)
        if last is None:
            continue
        told(step.name)
        there = run.snapshot(path_of(step.name), last[0])
        try:
            if isinstance(step.work, Hop):
                yield _hop(run, step.work, last[1], there, share, chance)
            else:
                yield _bronze(run, step.work, last[0], there, share, chance)
        except LakeError as error:
            yield _row(step.name, "", 0, "not verified", str(error))
        except (pl.exceptions.PolarsError, OSError) as error:
            yield _row(step.name, "", 0, "differs", f"its rows, or those it was made from, cannot be read: {translated(error, step.name)}")


def _hop(run: Run, hop: Hop, record: Record, there: Snapshot, share: float, chance: random.Random) -> Row:
    name = hop.table.name
    if record.code is None or record.code.fingerprint != hop.fingerprint:
        return _row(name, "", 0, "not verified", "the code changed since: the next run recomputes it in full")
    if not hop.table.key:
        return _row(name, "", 0, "not verified", "it has no key by which to choose rows")
    column = next(key for key in hop.table.key if key != VALIDITY[0] or hop.write != "scd2")
    where, words = _range(there, column, share, chance)
    with run.workspace(f"verify-{name}") as folder:
        recomputed = computed_anew(run, hop, record, folder, where)
        found = difference_of(there.scan().filter(where), recomputed, [] if hop.write == "append" else hop.table.key)
        count = recomputed.select(pl.len()).collect().item()
    return _judged(name, words, count, found)


def _bronze(run: Run, source: Source, version: int, there: Snapshot, share: float, chance: random.Random) -> Row:
    """Some of the raw files, chosen by the commits that took them in."""
    log = run.log(there.path)
    chosen: list[tuple[ConsumedFile, Record]] = []
    for at in chance.sample(range(version + 1), min(version + 1, _FILES)):
        record = log.record_at(at)
        if record is None or record.kind != "ingest":
            continue
        files = [(file, record) for file in record.files if file.reason is None]
        chosen += chance.sample(files, max(1, round(share * len(files)))) if files else []
    rows, names = 0, []
    found = Difference()
    for file, then in chosen[:_FILES]:
        receipt = receipt_of(run, source.name, file.file.split("#")[0])
        if receipt is None:
            return _row(there.path, file.name, 0, "differs", f"{file.file} has no receipt")
        if receipt["status"] == "again":
            then = next((record for record in newest_first(log, version) if file.file in {one.file for one in record.files}), then)
        with run.workspace(f"verify-{source.name}") as folder:
            again = taken_in(run, source.into, then, receipt, there, folder).filter(pl.col(FILE) == file.file)
            stored = there.scan().filter(pl.col(FILE) == file.file).unique([FILE, ROW])  # content that landed twice is there twice
            found = difference_of(stored, again, [])
            rows += again.select(pl.len()).collect(engine="streaming").item()
        names.append(file.name)
        if found.any:
            break
    return _judged(source.into.name, ", ".join(names), rows, found)


def _range(there: Snapshot, column: str, share: float, chance: random.Random) -> tuple[pl.Expr, str]:
    """A random range of the values of a column that holds about `share` of them, from a sample of the table's files."""
    files = tuple(chance.sample(there.files, min(len(there.files), _FILES)))
    values = there.scan(files).select(pl.col(column).unique()).collect(engine="streaming").to_series().sort()
    if values.len() == 0:
        return pl.lit(True), "no row"
    width = max(1, round(share * values.len()))
    start = chance.randrange(max(1, values.len() - width + 1))
    low, high = values[start], values[min(start + width, values.len()) - 1]
    dtype = there.schema[column]
    return pl.col(column).is_between(pl.lit(low, dtype=dtype), pl.lit(high, dtype=dtype)), f"{column} {low} … {high}"


def _judged(name: str, checked: str, rows: int, found: Difference) -> Row:
    if not found.any:
        return _row(name, checked, rows, "equal", "")
    if found.rounding:
        return _row(name, checked, rows, "rounding", f"last bits of {', '.join(found.columns)}")
    first = next(iter(found.examples.to_dicts()), {})
    told = ", ".join(f"{key}={value}" for key, value in list(first.items())[:6])
    return _row(name, checked, rows, "differs", f"recomputed: {found.added:,} more, {found.removed:,} fewer, {found.changed:,} other; e.g. {told}")


def _row(table: str, checked: str, rows: int, verdict: str, why: str) -> Row:
    return {"table": table, "checked": checked, "rows": rows, "verdict": verdict, "why": why}
