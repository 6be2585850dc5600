"""Upsert by key, written for bounded memory: keys are compared narrow and in slices, and files are rewritten a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.content import Content, hash_sums, read_sums, row_hash
from lake.datafile import scan_parts, write_parts
from lake.delta import DataFile, Snapshot, scan_files
from lake.settle.latest import ROWS_AT_ONCE, Winners, comes_late, slices
from lake.settle.places import PLACE, files_at, place_of, places, scan_placed
from lake.settle.settled import Settled
from lake.table import Table, ordering
from lake.transform import Scope, Staged

_NEW, _OLD, _CLASS, _KIND = "#new", "#old", "#class", "_change_type"


@dataclass(frozen=True)
class _Found:
    """The batch beside what is there: `classed` rows with hashes, place and class; `gone` keys with hash and place."""

    classed: pl.LazyFrame
    gone: pl.LazyFrame
    counts: dict[str, int]
    deleted: int
    late_ends: int


def upsert(table: Table, staged: Staged, winners: Winners, there: Snapshot, earlier: Content | None, folder: Path) -> Settled:
    """Bring the batch in: rows with a new key are inserted, with a known key compared; keys that ended or left the scope go.

    Files that hold no such key are neither read beyond their keys nor written again.
    """
    schema, columns = staged.schema, list(staged.schema)
    touched = _touched(table, staged, winners, there)
    found = _compare(table, staged, winners, there, touched, folder)
    changed, fresh = found.classed.filter(pl.col(_CLASS) == "updated"), found.classed.filter(pl.col(_CLASS) == "inserted").select(columns)
    rewritten = files_at(there, touched, places(pl.concat([changed.select(PLACE), found.gone.select(PLACE)])))
    inserted, updated = found.counts.get("inserted", 0), found.counts.get("updated", 0)
    out = folder / "merged"
    if inserted:
        write_parts(_in_order(table, fresh), out / "new")
    for number, files in enumerate(_few(rewritten)):
        here = pl.col(PLACE).is_in([place_of(there, file) for file in files])
        was = scan_files(there.store, there.path, there.schema, files).select(
            pl.col(n) if n in there.schema else pl.lit(None, schema[n]).alias(n) for n in columns
        )
        leaves = pl.concat([changed.filter(here).select(table.key), found.gone.filter(here).select(table.key)])
        stays = was.join(leaves, on=table.key, how="anti")
        write_parts(_in_order(table, pl.concat([stays, changed.filter(here).select(columns)])), out / f"{number}")
        told = [
            (was.join(changed.filter(here).select(table.key), on=table.key, how="semi"), "update_preimage"),
            (changed.filter(here).select(columns), "update_postimage"),
            (was.join(found.gone.filter(here).select(table.key), on=table.key, how="semi"), "delete"),
        ]
        write_parts(pl.concat(frame.with_columns(pl.lit(kind).alias(_KIND)) for frame, kind in told), folder / "_change_data" / f"{number}")
    if rewritten and inserted:
        write_parts(fresh.with_columns(pl.lit("insert").alias(_KIND)), folder / "_change_data" / "new")
    adjusted = _adjusted(table, schema, winners, found.classed)
    return Settled(
        out if inserted or rewritten else None, rewritten, folder / "_change_data" if rewritten else None,
        inserted, updated - adjusted["updated"], found.counts.get("unchanged", 0) - adjusted["unchanged"],
        winners.superseded + found.counts.get("superseded", 0) + found.late_ends, winners.duplicate, winners.ends - found.late_ends, found.deleted, adjusted["updated"],
        earlier + _sum(found.classed, _NEW, "inserted", "updated") - _sum(found.classed, _OLD, "updated") - _sum(found.gone, _OLD) if earlier is not None else None,
        winners.ended,
    )  # fmt: skip


def _touched(table: Table, staged: Staged, winners: Winners, there: Snapshot) -> tuple[DataFile, ...]:
    """The files that hold a key of the batch or a row of its scope. Reads key columns alone, and only where bounds overlap."""
    held: set[str] = set()
    wanted: list[tuple[pl.LazyFrame, list[str]]] = [(scan_parts(winners.rows, staged.schema), table.key)]
    if winners.ended is not None:
        wanted.append((scan_parts(winners.ended, staged.schema), table.key))
    scope = staged.scope
    if scope is not None and scope.parts is not None:
        wanted.append((scan_parts(scope.parts, pl.Schema({name: there.schema[name] for name in scope.on})), list(scope.on)))
    if scope is not None and scope.where is not None:
        held |= places(scan_placed(there, there.files).filter(scope.where))
    for batch, key in wanted:
        ends = batch.select(*(pl.col(k).min().alias(f"< {k}") for k in key), *(pl.col(k).max().alias(f"> {k}") for k in key)).collect(engine="streaming")
        bounds = {k: (ends[f"< {k}"][0], ends[f"> {k}"][0]) for k in key}
        if all(low is None for low, _ in bounds.values()) and not batch.select(pl.len()).collect().item():
            continue
        keys = scan_placed(there, there.overlapping(bounds))
        for k, (low, high) in bounds.items():
            if low is not None and k in table.key:  # keys are never null; other columns may be
                keys = keys.filter(pl.col(k).is_between(pl.lit(low, there.schema[k]), pl.lit(high, there.schema[k])))
        held |= places(keys.select(*key, PLACE).join(batch.select(key), on=key, how="semi", nulls_equal=True))
    return files_at(there, there.files, held)


def _compare(table: Table, staged: Staged, winners: Winners, there: Snapshot, touched: tuple[DataFile, ...], folder: Path) -> _Found:
    """Class each row of the batch by the row with its key that is there, slice by slice; and find the keys that go."""
    schema, key = staged.schema, table.key
    order = [name for name in ordering(table, schema) if name in there.schema]
    at = [pl.col(name).alias(f"{_OLD} {name}") for name in order]
    old = scan_placed(there, touched).select(*key, row_hash(there.schema).alias(_OLD), PLACE, *at)
    batch = scan_parts(winners.rows, schema).with_columns(row_hash(schema).alias(_NEW))
    kept = [*schema, _NEW, _OLD, PLACE, _CLASS]
    size = sum(file.rows for file in touched) + batch.select(pl.len()).collect().item()
    ends = pl.Schema({name: schema[name] for name in (*key, *order)})
    late_ends = 0
    for number, piece in enumerate(slices(key, size)):
        classed = batch.filter(piece).join(old.filter(piece), on=key, how="left").with_columns(_class(order).alias(_CLASS)).select(kept)
        write_parts(classed, folder / "classed" / f"{number}")
        if winners.ended is not None:
            met = scan_parts(winners.ended, ends).filter(piece).join(old.filter(piece), on=key, how="inner").with_columns(comes_late(order, _OLD).alias(_CLASS))
            write_parts(met.filter(~pl.col(_CLASS)).select(*key, _OLD, PLACE), folder / "gone" / f"ended-{number}")
            late_ends += int(met.select(pl.col(_CLASS).sum()).collect(engine="streaming").item() or 0)
        if staged.scope is not None:
            inside = _inside(staged.scope, there, touched).filter(piece).join(batch.filter(piece).select(key), on=key, how="anti")
            write_parts(inside.select(*key, row_hash(there.schema).alias(_OLD), PLACE), folder / "gone" / f"scope-{number}")
    judged = scan_parts(folder / "classed", pl.Schema({**schema, _NEW: pl.UInt64(), _OLD: pl.UInt64(), PLACE: pl.String(), _CLASS: pl.String()}))
    gone = scan_parts(folder / "gone", pl.Schema({**{name: there.schema[name] for name in key}, _OLD: pl.UInt64(), PLACE: pl.String()})).unique(key)
    counts = dict(judged.group_by(_CLASS).len().collect(engine="streaming").iter_rows())
    return _Found(judged, gone, counts, gone.select(pl.len()).collect(engine="streaming").item(), late_ends)


def _inside(scope: Scope, there: Snapshot, touched: tuple[DataFile, ...]) -> pl.LazyFrame:
    """The rows that are there and that the batch speaks for."""
    rows = scan_placed(there, touched)
    if scope.where is not None:
        return rows.filter(scope.where)
    keys = scan_parts(scope.parts, pl.Schema({name: there.schema[name] for name in scope.on})) if scope.parts else rows.clear()
    return rows.join(keys, on=list(scope.on), how="semi", nulls_equal=True)


def _class(order: list[str]) -> pl.Expr:
    """What a batch row is, beside the row with its key that is there: inserted, unchanged, superseded (it comes late) or updated."""
    return (
        pl.when(pl.col(_OLD).is_null()).then(pl.lit("inserted")).when(pl.col(_OLD) == pl.col(_NEW)).then(pl.lit("unchanged"))
        .when(comes_late(order, _OLD)).then(pl.lit("superseded")).otherwise(pl.lit("updated"))
    )  # fmt: skip


def _adjusted(table: Table, schema: pl.Schema, winners: Winners, classed: pl.LazyFrame) -> dict[str, int]:
    """How many of the rows that were updated or unchanged were not read, but are neighbours of rows that were."""
    counts = {"updated": 0, "unchanged": 0}
    if winners.adjusted is not None:
        ours = scan_parts(winners.adjusted, schema).select(table.key)
        counts |= dict(classed.join(ours, on=table.key, how="semi").group_by(_CLASS).len().collect(engine="streaming").iter_rows())
    return counts


def _few(files: tuple[DataFile, ...]) -> Iterator[tuple[DataFile, ...]]:
    """Files in groups of a bounded number of rows, neighbours together."""
    group: list[DataFile] = []
    for file in files:
        if group and sum(member.rows for member in group) + file.rows > ROWS_AT_ONCE:
            yield tuple(group)
            group = []
        group.append(file)
    if group:
        yield tuple(group)


def _in_order(table: Table, frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.sort(table.sort) if table.sort else frame


def _sum(frame: pl.LazyFrame, column: str, *classes: str) -> Content:
    rows = frame.filter(pl.col(_CLASS).is_in(classes)) if classes else frame
    return read_sums(rows.select(hash_sums(pl.col(column))).collect(engine="streaming").row(0, named=True))
