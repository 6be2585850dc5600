"""Rows of a batch that something known to be later of their key has overtaken, although it is the batch that came last.

Told before anything is worked out from the batch, such as when each version of a history ends: what is overtaken says nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.content import row_hash
from lake.contract import LANDED
from lake.datafile import scan_parts, write_parts
from lake.delta import Snapshot
from lake.hop import VALIDITY
from lake.plan import Plan
from lake.run import Run
from lake.settle.latest import Winners, comes_late
from lake.table import Table, ordering
from lake.transform import Staged, made_of_keys

_KNOWN, TIE = "#known", "#tie"


def undated(run: Run, plan: Plan, staged: Staged, winners: Winners, folder: Path) -> Winners:
    """The batch without rows that others overtook which were read before them, but landed after them: rows that were rejected and are let in late.

    What is in the table does not tell: it keeps the first of rows that say the same. So the inputs are asked, for the keys of such rows alone;
    in any other batch no row is older than what was read before, and nothing is read.
    """
    table, schema, before = plan.hop.table, staged.schema, plan.before
    order = ordering(table, schema)
    if before is None or LANDED not in order or not (plan.again is not None or plan.adds):
        return winners
    old = pl.lit(True) if plan.again is not None or before.freshest is None else pl.col(LANDED) <= pl.lit(before.freshest)
    ends = pl.Schema({name: schema[name] for name in (*table.key, *order)})
    batch = [scan_parts(winners.rows, schema)] + ([scan_parts(winners.ended, ends)] if winners.ended is not None else [])
    keys = pl.concat(rows.filter(old).select(table.key) for rows in batch).unique().collect(engine="streaming")
    if keys.height == 0:
        return winners
    good, dead = made_of_keys(run, plan, keys.lazy(), before=plan.again is None)
    told = [*table.key, *order, row_hash(schema).alias(TIE)]
    write_parts(good.select(told), folder / "known" / "good")
    if dead is not None:
        write_parts(dead.select(*table.key, *order, _hash_of(ends)), folder / "known" / "dead")
    known = scan_parts(folder / "known", pl.Schema({**ends, TIE: pl.UInt64()}))
    return not_overtaken(table, schema, winners, known, folder / "dated")


def not_late(table: Table, schema: pl.Schema, winners: Winners, there: Snapshot, folder: Path) -> Winners:
    """The batch without rows that are earlier than the version of their key that is in a table with history."""
    order = ordering(table, schema)
    started = there.scan().with_columns(pl.lit(None, schema[VALIDITY[1]]).alias(VALIDITY[1]), pl.lit(True).alias(VALIDITY[2]))
    met = started.join(scan_parts(winners.rows, schema).select(table.key), on=table.key, how="semi")
    return not_overtaken(table, schema, winners, met.select(*table.key, *order, row_hash(schema).alias(TIE)), folder)


def not_overtaken(table: Table, schema: pl.Schema, winners: Winners, known: pl.LazyFrame, folder: Path) -> Winners:
    """The batch without rows that are earlier than one of `known`, which has keys, what orders them, and by hash what decides where order does not.

    Those that go count as superseded.
    """
    order = [name for name in ordering(table, schema) if name in known.collect_schema()]
    ends = pl.Schema({name: schema[name] for name in (*table.key, *order)})
    beside = known.select(*table.key, *(pl.col(name).alias(f"{_KNOWN} {name}") for name in (*order, TIE)))
    write_parts(beside, folder / "beside")
    beside = scan_parts(folder / "beside", beside.collect_schema())

    def late(rows: pl.LazyFrame, hashed: pl.Expr) -> pl.DataFrame:
        met = rows.select(*table.key, *order, hashed.alias(TIE)).join(beside, on=table.key)
        return met.filter(comes_late([*order, TIE], _KNOWN)).select(table.key).unique().collect(engine="streaming")

    rows = scan_parts(winners.rows, schema)
    gone = late(rows, row_hash(schema))
    if gone.height:
        write_parts(rows.join(gone.lazy(), on=table.key, how="anti"), folder / "rows", of=int(rows.select(pl.len()).collect(engine="streaming").item()))
        winners = replace(winners, rows=folder / "rows", superseded=winners.superseded + gone.height)
    if winners.ended is None:
        return winners
    ended = scan_parts(winners.ended, ends)
    gone = late(ended, _hash_of(ends))
    if gone.height:
        write_parts(ended.join(gone.lazy(), on=table.key, how="anti"), folder / "ended")
        winners = replace(winners, ended=folder / "ended", ends=winners.ends - gone.height, superseded=winners.superseded + gone.height)
    return winners


def _hash_of(ends: pl.Schema) -> pl.Expr:
    return row_hash(ends).alias(TIE)
