"""One row a key: of several rows of a batch with the same key, the one that is later stays."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.content import row_hash
from lake.datafile import scan_parts, write_parts
from lake.errors import ContractBroken
from lake.personal import told
from lake.table import Table, ordering
from lake.transform import Staged, scan_good
from lake.wording import counted, several

_DEAD, _NEW, _LAST = "#dead", "#new", "#last"
ROWS_AT_ONCE = 2_000_000
"""About so many wide rows are held in memory together."""
_HASHES_AT_ONCE = 16_000_000


@dataclass(frozen=True)
class Winners:
    """A batch with one row a key: `rows` to be in the table, `ended` keys (`ends` of them) that are to leave it; how many rows lost, to another or to an equal one.

    `adjusted` counts rows that are in `rows` only because a neighbour of theirs changed; they were not read.
    """

    rows: Path
    ended: Path | None = None
    ends: int = 0
    superseded: int = 0
    duplicate: int = 0
    adjusted: Path | None = None


def slices(key: list[str], rows: int) -> Iterator[pl.Expr]:
    """Conditions that cut rows into pieces of about ROWS_AT_ONCE by a hash of the key; one that holds for all when they are few."""
    pieces = -(-max(rows, 1) // ROWS_AT_ONCE)
    for piece in range(pieces):
        yield pl.struct(key).hash(11) % pieces == piece if pieces > 1 else pl.lit(True)


def comes_late(order: list[str], other: str, tie: pl.Expr | None = None) -> pl.Expr:
    """Whether a row is earlier, by the columns `order`, than the row beside it whose columns are called `other` and a space before.

    Where all of these are the same, `tie` says whether it is.
    """
    late = pl.lit(False) if tie is None else tie
    for name in reversed(order):
        mine, theirs = pl.col(name), pl.col(f"{other} {name}")
        late = (mine < theirs).fill_null(False) | (mine.is_null() & theirs.is_not_null()) | (mine.eq_missing(theirs) & late)
    return late


def are_unique(rows: pl.LazyFrame, key: list[str]) -> bool:
    """Whether no key repeats, by 64-bit hashes alone: as many hashes as rows are as many keys. Fewer may be a chance, and say nothing.

    Hashes are looked through in pieces, for which the columns of the key are read again, so that memory does not follow the rows.
    """
    hashed = functools.reduce(operator.xor, (pl.col(name).hash(number) for number, name in enumerate(key)))
    pieces = -(-int(rows.select(pl.len()).collect(engine="streaming").item()) // _HASHES_AT_ONCE)
    for piece in range(pieces):
        some = rows.select(hashed.alias("#hash")).filter(pl.col("#hash") % pieces == piece) if pieces > 1 else rows.select(hashed.alias("#hash"))
        hashes, count = some.select(pl.col("#hash").n_unique(), pl.len()).collect(engine="streaming").row(0)
        if hashes != count:
            return False
    return True


def latest(table: Table, staged: Staged, folder: Path) -> Winners:
    """The last row of each key by the table's order. Keys are looked through narrow; whole rows only where a key repeats.

    Raises ContractBroken where nothing says which row is later, or a hop that aggregates made a key twice.
    """
    if not table.key:
        return Winners(staged.good)
    rows = scan_good(staged)
    if staged.dead is not None:
        ends = pl.Schema({name: staged.schema[name] for name in (*table.key, *ordering(table, staged.schema))})
        dead = scan_parts(staged.dead, ends).with_columns(pl.lit(True).alias(_DEAD))
        rows = pl.concat([rows.with_columns(pl.lit(False).alias(_DEAD)), dead], how="diagonal")
    if staged.dead is None and are_unique(rows, table.key):
        return Winners(staged.good)
    repeated = rows.select(table.key).group_by(table.key).len().filter(pl.col("len") > 1).collect(engine="streaming")
    if repeated.height == 0 and staged.dead is None:
        return Winners(staged.good)
    if repeated.height and table.layer == "gold":
        first = told(repeated.select(table.key).row(0, named=True), table.personal)
        raise ContractBroken(
            f"{table.name}: {counted(repeated.height, 'key')} {several(repeated.height, 'comes', 'come')} out more than once, e.g. {first}",
            "Group by the whole key in the hop",
        )
    order = ordering(table, staged.schema)
    if repeated.height and not order:
        raise ContractBroken(
            f"{table.name}: {counted(repeated.height, 'key')} {several(repeated.height, 'repeats', 'repeat')} and nothing says which row is later",
            "Declare sequence=(…) on the table",
        )
    columns = [*staged.schema, *([_DEAD] if staged.dead is not None else [])]
    keys = repeated.lazy().select(table.key)
    superseded = duplicate = 0
    write_parts(rows.join(keys, on=table.key, how="anti").select(columns), folder / "chosen" / "single", of=staged.passed)
    for number, piece in enumerate(slices(table.key, int(repeated["len"].sum()))) if repeated.height else ():
        rivals = rows.filter(piece).join(keys.filter(piece), on=table.key, how="semi").with_columns(row_hash(staged.schema).alias(_NEW))
        rivals = rivals.sort([*order, _NEW], nulls_last=False)
        write_parts(rivals.group_by(table.key, maintain_order=True).last().select(columns), folder / "chosen" / f"{number}", of=staged.passed)
        last = rivals.group_by(table.key).agg(pl.col(_NEW).last().alias(_LAST), pl.len().alias("n"), pl.col(_NEW).eq(pl.col(_NEW).last()).sum().alias("same"))
        late, same = last.select((pl.col("n") - pl.col("same")).sum().alias("late"), (pl.col("same") - 1).sum()).collect(engine="streaming").row(0)
        superseded, duplicate = superseded + int(late), duplicate + int(same)
    if staged.dead is None:
        return Winners(folder / "chosen", superseded=superseded, duplicate=duplicate)
    chosen = scan_parts(folder / "chosen", pl.Schema({**staged.schema, _DEAD: pl.Boolean()}))
    write_parts(chosen.filter(~pl.col(_DEAD)).drop(_DEAD), folder / "winners", of=staged.passed)
    write_parts(chosen.filter(_DEAD).select(*table.key, *order), folder / "ended")
    gone = int(chosen.select(pl.col(_DEAD).sum()).collect(engine="streaming").item() or 0)
    return Winners(folder / "winners", folder / "ended", gone, superseded, duplicate)
