"""Settling: the rows that passed against the rows that are there. Which are new, changed, the same, late or repeated, and what is written.

Nothing here depends on a library's MERGE: keys are compared narrow, rows by hash, and only files that hold a changed row are
written again.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.content import Content, content_sums, read_sums, row_hash
from lake.contract import FILE, LANDED, ROW
from lake.datafile import scan_parts, write_parts
from lake.delta import DataFile, Snapshot, scan_files
from lake.errors import ContractBroken
from lake.plan import Plan
from lake.run import Run
from lake.table import Table, path_of
from lake.transform import Staged, scan_good

_PLACE, _NEW, _OLD, _CLASS = "#place", "#new", "#old", "#class"


@dataclass(frozen=True)
class Settled:
    """What to commit: parts to add, files to take out, rows for the change feed; and how the rows were counted."""

    parts: Path | None
    removed: tuple[DataFile, ...]
    changed: Path | None
    inserted: int
    updated: int
    unchanged: int
    superseded: int
    duplicate: int
    deleted: int
    content: Content | None


def settle(run: Run, plan: Plan, staged: Staged, folder: Path) -> Settled:
    """Compare the staged rows with the table as planned against, and write the parts to commit into `folder`."""
    path = path_of(plan.hop.table.name)
    there = run.snapshot(path, plan.base) if plan.base >= 0 else None
    if plan.hop.write == "append":
        whole = there is None or plan.mode == "full"
        earlier = Content() if whole else Content.from_hash(plan.before.content if plan.before else None)
        total = earlier + staged.content if earlier is not None else None
        gone = there.files if there is not None and whole else ()
        return Settled(staged.good, gone, None, staged.passed, 0, 0, 0, 0, there.rows if there is not None and whole else 0, total)
    winners, superseded, duplicate = _one_per_key(plan.hop.table, staged, folder)
    if plan.hop.write == "merge" and plan.mode == "incremental" and there is not None:
        return _merge(plan, staged.schema, winners, there, superseded, duplicate, folder)
    return _replace(plan, staged, winners, there, superseded, duplicate)


def _one_per_key(table: Table, staged: Staged, folder: Path) -> tuple[Path, int, int]:
    """The folder with one row a key: the last by sequence. And how many rows lost to a different one, and to an equal one.

    Keys are looked through narrow; whole rows are touched only where a key repeats.
    """
    if not table.key:
        return staged.good, 0, 0
    good = scan_good(staged)
    repeated = good.select(table.key).group_by(table.key).len().filter(pl.col("len") > 1).select(table.key).collect(engine="streaming")
    if repeated.height == 0:
        return staged.good, 0, 0
    if table.layer == "gold":
        first = ", ".join(f"{name}={value}" for name, value in repeated.row(0, named=True).items())
        raise ContractBroken(f"{table.name}: {repeated.height:,} keys come out more than once, e.g. {first}", "Group by the whole key in the hop")
    order = [*table.sequence, *(name for name in (LANDED, FILE, ROW) if name in staged.schema)]
    if not order:
        raise ContractBroken(f"{table.name}: {repeated.height:,} keys repeat and nothing says which row is later", "Declare sequence=(…) on the table")
    rivals = good.join(repeated.lazy(), on=table.key, how="semi").with_columns(row_hash(staged.schema).alias(_NEW)).sort([*order, _NEW], nulls_last=False)
    last = rivals.group_by(table.key).agg(pl.col(_NEW).last().alias(_OLD), pl.len().alias("n"), pl.col(_NEW).eq(pl.col(_NEW).last()).sum().alias("same"))
    counted = last.select((pl.col("n") - pl.col("same")).sum().alias("late"), (pl.col("same") - 1).sum().alias("same")).collect(engine="streaming").row(0)
    chosen = rivals.group_by(table.key, maintain_order=True).last().select(list(staged.schema))
    singles = good.join(repeated.lazy(), on=table.key, how="anti")
    write_parts(pl.concat([singles, chosen]), folder / "winners")
    return folder / "winners", int(counted[0]), int(counted[1])


def _replace(plan: Plan, staged: Staged, winners: Path, there: Snapshot | None, superseded: int, duplicate: int) -> Settled:
    """The whole table anew; what is there is compared by key so that the ledger says what really changed."""
    content = _content(winners, staged.schema)
    if there is None:
        return Settled(winners, (), None, content.rows, 0, 0, superseded, duplicate, 0, content)
    if there.schema == staged.schema and plan.before and Content.from_hash(plan.before.content) == content:
        return Settled(None, (), None, 0, 0, content.rows, superseded, duplicate, 0, content)
    key = plan.hop.table.key
    if not key or not set(key) <= set(there.schema):
        return Settled(winners, there.files, None, content.rows, 0, 0, superseded, duplicate, there.rows, content)
    new = scan_parts(winners, staged.schema).select(*key, row_hash(staged.schema).alias(_NEW))
    old = there.scan().select(*(pl.col(name).cast(staged.schema[name], strict=False) for name in key), row_hash(there.schema).alias(_OLD))
    both = new.join(old, on=key, how="full", coalesce=True)
    inserted, deleted, unchanged, updated = (
        both.select(
            pl.col(_OLD).is_null().sum(), pl.col(_NEW).is_null().sum().alias("deleted"), (pl.col(_OLD) == pl.col(_NEW)).sum().alias("same"),
            (pl.col(_OLD) != pl.col(_NEW)).sum().alias("other"),
        ).collect(engine="streaming").row(0)
    )  # fmt: skip
    return Settled(winners, there.files, None, inserted, updated, unchanged, superseded, duplicate, deleted, content)


def _merge(plan: Plan, schema: pl.Schema, winners: Path, there: Snapshot, superseded: int, duplicate: int, folder: Path) -> Settled:
    """Upsert by key: only files that hold a row to change are written again."""
    table = plan.hop.table
    columns = list(schema)
    batch = scan_parts(winners, schema)
    touched = _touched(there, batch, table.key)
    sequence = [pl.col(name).alias(f"{_OLD} {name}") for name in table.sequence]
    old = scan_files(there.store, there.path, there.schema, touched, place=_PLACE).select(*table.key, row_hash(there.schema).alias(_OLD), _PLACE, *sequence)
    classed = batch.with_columns(row_hash(schema).alias(_NEW)).join(old, on=table.key, how="left").with_columns(_class(table).alias(_CLASS))
    write_parts(classed, folder / "classed")
    judged = scan_parts(folder / "classed", pl.Schema({**schema, _NEW: pl.UInt64(), _OLD: pl.UInt64(), _PLACE: pl.String(), _CLASS: pl.String()}))
    counts = dict(judged.group_by(_CLASS).len().collect(engine="streaming").iter_rows())
    fresh, changed = judged.filter(pl.col(_CLASS) == "inserted").select(columns), judged.filter(pl.col(_CLASS) == "updated")
    places = set(changed.select(pl.col(_PLACE).unique()).collect().to_series())
    rewritten = tuple(file for file in touched if there.store.uri(f"{there.path}/{file.path}") in places)
    was = scan_files(there.store, there.path, there.schema, rewritten).select(columns)
    kept = was.join(changed.select(table.key), on=table.key, how="anti")
    replaced = was.join(changed.select(table.key), on=table.key, how="semi")
    inserted, updated = counts.get("inserted", 0), counts.get("updated", 0)
    if inserted or updated:
        write_parts(pl.concat([kept, changed.select(columns), fresh]), folder / "merged")
    if updated:
        marked = [
            frame.with_columns(pl.lit(kind).alias("_change_type"))
            for frame, kind in ((replaced, "update_preimage"), (changed.select(columns), "update_postimage"), (fresh, "insert"))
        ]
        write_parts(pl.concat(marked), folder / "_change_data")
    earlier = Content.from_hash(plan.before.content if plan.before else None)
    gained = _sums(pl.concat([changed.select(columns), fresh]), schema)
    content = earlier + gained - _sums(replaced, schema) if earlier is not None else None
    return Settled(
        folder / "merged" if inserted or updated else None, rewritten, folder / "_change_data" if updated else None, inserted, updated,
        counts.get("unchanged", 0), superseded + counts.get("superseded", 0), duplicate, 0, content,
    )  # fmt: skip


def _touched(there: Snapshot, batch: pl.LazyFrame, key: list[str]) -> tuple[DataFile, ...]:
    """The files that hold a key of the batch. Reads key columns alone, and only row groups whose bounds overlap the batch's."""
    ends = (
        batch.select(*(pl.col(k).min().alias(f"< {k}") for k in key), *(pl.col(k).max().alias(f"> {k}") for k in key))
        .collect(engine="streaming")
        .row(0, named=True)
    )
    if ends[f"< {key[0]}"] is None:
        return ()
    within = functools.reduce(operator.and_, (pl.col(k).is_between(ends[f"< {k}"], ends[f"> {k}"]) for k in key))
    keys = scan_files(there.store, there.path, there.schema, there.files, place=_PLACE).filter(within).select(*key, _PLACE)
    places = set(keys.join(batch.select(key), on=key, how="semi").select(pl.col(_PLACE).unique()).collect(engine="streaming").to_series())
    return tuple(file for file in there.files if there.store.uri(f"{there.path}/{file.path}") in places)


def _class(table: Table) -> pl.Expr:
    """What a batch row is, beside the row with its key that is there: inserted, unchanged, superseded (it comes late) or updated."""
    late = pl.lit(False)
    for name in reversed(table.sequence):
        mine, theirs = pl.col(name), pl.col(f"{_OLD} {name}")
        late = (mine < theirs) | (mine.is_null() & theirs.is_not_null()) | (mine.eq_missing(theirs) & late)
    return (
        pl.when(pl.col(_OLD).is_null()).then(pl.lit("inserted")).when(pl.col(_OLD) == pl.col(_NEW)).then(pl.lit("unchanged"))
        .when(late.fill_null(False)).then(pl.lit("superseded")).otherwise(pl.lit("updated"))
    )  # fmt: skip


def _content(folder: Path, schema: pl.Schema) -> Content:
    return _sums(scan_parts(folder, schema), schema)


def _sums(frame: pl.LazyFrame, schema: pl.Schema) -> Content:
    return read_sums(frame.select(content_sums(schema)).collect(engine="streaming").row(0, named=True))
