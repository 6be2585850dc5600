"""A random share of a table, computed again from what the table has read, and compared with what is there (law 6)."""

from __future__ import annotations

import random
from dataclasses import dataclass

import polars as pl

from lake.anew import computed_anew
from lake.contract import FILE
from lake.delta import Snapshot
from lake.difference import Difference, difference_of
from lake.errors import LakeError
from lake.hop import VALIDITY, Hop
from lake.record import Record
from lake.run import Run

_FILES = 8


@dataclass(frozen=True)
class Compared:
    """What came of it: what was looked at, in words, how many rows the computation made of it, and how they differ from those that are there."""

    words: str
    rows: int
    found: Difference


def share_compared(run: Run, hop: Hop, record: Record, there: Snapshot, share: float, chance: random.Random, *, at_least: int = 1) -> Compared:
    """Compute a range of the table's keys again that holds about `share` (0 to 1) of their values, and `at_least` so many, and compare.

    Raises LakeError where the table has nothing to choose rows by, and what a run of the hop would.
    """
    column = column_of(hop, there)
    if column is None:
        raise LakeError(f"{hop.table.name} has no key by which to choose rows", "Give its contract a key, or replay it")
    where, words = _range(there, column, share, chance, at_least)
    with run.workspace(f"verify-{hop.table.name}") as folder:
        recomputed = computed_anew(run, hop, record, folder, where)
        found = difference_of(there.scan().filter(where), recomputed, [] if hop.write == "append" else hop.table.key)
        rows = recomputed.select(pl.len()).collect().item()
    if column in hop.table.personal:
        words = f"{column}, between two values that are personal"
    return Compared(words, rows, found.without(hop.table.personal))


def column_of(hop: Hop, there: Snapshot) -> str | None:
    """The column by which rows are chosen: of the key; without one, the raw file they came from; None where there is neither."""
    key = next((key for key in hop.table.key if key != VALIDITY[0] or hop.write != "scd2"), None)
    return key or (FILE if FILE in there.schema else None)


def _range(there: Snapshot, column: str, share: float, chance: random.Random, at_least: int) -> tuple[pl.Expr, str]:
    """A random range of the values of a column that holds about `share` of them, from a sample of the table's files."""
    files = tuple(chance.sample(there.files, min(len(there.files), _FILES)))
    values = there.scan(files).select(pl.col(column).unique()).collect(engine="streaming").to_series().drop_nulls().sort()
    if values.len() == 0:
        return pl.lit(True), "no row"
    width = min(values.len(), max(at_least, round(share * values.len())))
    start = chance.randrange(max(1, values.len() - width + 1))
    low, high = values[start], values[start + width - 1]
    dtype = there.schema[column]
    return pl.col(column).is_between(pl.lit(low, dtype=dtype), pl.lit(high, dtype=dtype)), f"{column} {low} … {high}"


def told(found: Difference) -> str:
    """How the rows differ, in words."""
    first = next(iter(found.examples.to_dicts()), {})
    example = ", ".join(f"{key}={value}" for key, value in list(first.items())[:6])
    return f"recomputed: {found.added:,} more, {found.removed:,} fewer, {found.changed:,} other; e.g. {example}"
