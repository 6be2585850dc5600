"""Upsert by key, written for bounded memory: keys are compared narrow and in slices, and files are rewritten a few at a time, or keep what few rows leave them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.content import Content, hash_sums, read_sums, row_hash
from lake.datafile import rows_a_file, scan_parts, write_parts
from lake.delta import DataFile, Snapshot, bring, forget, scan_files
from lake.settle.latest import Winners, comes_late, slices
from lake.settle.leaving import leave
from lake.settle.places import PLACE, files_at, place_of, places, scan_placed
from lake.settle.settled import Settled
from lake.table import Table, ordering
from lake.transform import Staged

_LOOKED_UP = 1_000_000  # rows of a batch whose keys are compared with the bounds of each file
_NEW, _OLD, _CLASS, _KIND = "#new", "#old", "#class", "_change_type"


@dataclass(frozen=True)
class _Found:
    """The batch beside what is there: `classed` rows with hashes, place and class; `met` and `gone` are whole rows that are there, with hash and place.

    `met` have the key of a row of the batch, `gone` are to leave.
    """

    classed: pl.LazyFrame
    met: pl.LazyFrame
    gone: pl.LazyFrame
    counts: dict[str, int]
    deleted: int
    late_ends: int


def upsert(table: Table, staged: Staged, winners: Winners, there: Snapshot, earlier: Content | None, folder: Path, *, adds: bool = True) -> Settled:
    """Bring the batch in: rows with a new key are inserted, with a known key compared; keys that ended or left the scope go.

    Where the batch `adds` to what was said of its keys, a row that is there stays if it is the later one; else the batch has the last word on them.

    Files that hold no such key are neither read beyond their keys nor written again. Of the others, large ones that few rows leave stay, without these;
    the rest are read twice, from local disk where they fit.
    """
    schema, columns = staged.schema, list(staged.schema)
    touched = _touched(table, staged, winners, there)
    bring(there.store, there.path, touched)
    found = _compare(table, staged, winners, there, touched, folder, adds=adds)
    changed, fresh = found.classed.filter(pl.col(_CLASS) == "updated"), found.classed.filter(pl.col(_CLASS) == "inserted").select(columns)
    leaving = pl.concat([changed.select(*table.key, PLACE), found.gone.select(*table.key, PLACE)])
    going = dict(leaving.group_by(PLACE).len().collect(engine="streaming").iter_rows())
    gone_from = files_at(there, touched, going)
    left = leave(there, gone_from, leaving, going, table.key) if table.deletion_vectors else ()
    rewritten = tuple(file for file in gone_from if file.path not in {one.path for one in left})
    inserted, updated = found.counts.get("inserted", 0), found.counts.get("updated", 0)
    out = folder / "merged"
    apart = changed.filter(pl.col(PLACE).is_in([place_of(there, file) for file in left])).select(columns)
    if inserted or left:
        write_parts(_in_order(table, pl.concat([fresh, apart]) if left else fresh), out / "new", of=there.rows)
    for number, files in enumerate(_few(rewritten, rows_a_file(there.rows))):
        here = pl.col(PLACE).is_in([place_of(there, file) for file in files])
        stays = _shaped(scan_files(there.store, there.path, there.schema, files), there, schema).join(leaving.filter(here), on=table.key, how="anti")
        write_parts(_in_order(table, pl.concat([stays, changed.filter(here).select(columns)])), out / f"{number}", of=there.rows)
    if gone_from:
        told = [
            (_shaped(found.met.join(changed.select(table.key), on=table.key, how="semi"), there, schema), "update_preimage"),
            (changed.select(columns), "update_postimage"),
            (_shaped(found.gone, there, schema), "delete"),
            (fresh, "insert"),
        ]
        write_parts(pl.concat(frame.with_columns(pl.lit(kind).alias(_KIND)) for frame, kind in told), folder / "_change_data")
    forget(there.store, there.path, rewritten)
    adjusted = _adjusted(table, schema, winners, found.classed)
    return Settled(
        out if inserted or gone_from else None, gone_from, folder / "_change_data" if gone_from else None,
        inserted, updated - adjusted["updated"], found.counts.get("unchanged", 0) - adjusted["unchanged"],
        winners.superseded + found.counts.get("superseded", 0) + found.late_ends, winners.duplicate, winners.ends - found.late_ends, found.deleted, adjusted["updated"],
        earlier + _sum(found.classed, _NEW, "inserted", "updated") - _sum(found.classed, _OLD, "updated") - _sum(found.gone, _OLD) if earlier is not None else None,
        winners.ended, standing=left,
    )  # fmt: skip


def _shaped(rows: pl.LazyFrame, there: Snapshot, schema: pl.Schema) -> pl.LazyFrame:
    """Rows that are there in the columns of `schema`; those that are new are null."""
    return rows.select(pl.col(name) if name in there.schema else pl.lit(None, dtype).alias(name) for name, dtype in schema.items())


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
        count = batch.select(pl.len()).collect().item()
        if not count:
            continue
        if count <= _LOOKED_UP:
            values = batch.select(key).collect(engine="streaming")
            near = there.holding({name: values[name] for name in key})
        else:
            near = there.overlapping(bounds)
        bring(there.store, there.path, near, whole=False)
        keys = scan_placed(there, near)
        for k, (low, high) in bounds.items():
            if low is not None and k in table.key:  # keys are never null; other columns may be
                keys = keys.filter(pl.col(k).is_between(pl.lit(low, there.schema[k]), pl.lit(high, there.schema[k])))
        held |= places(keys.select(*key, PLACE).join(batch.select(key), on=key, how="semi", nulls_equal=True))
    return files_at(there, there.files, held)


def _compare(table: Table, staged: Staged, winners: Winners, there: Snapshot, touched: tuple[DataFile, ...], folder: Path, *, adds: bool) -> _Found:
    """Class each row of the batch by the row with its key that is there, slice by slice; and find the rows that go.

    Rows that are there are hashed only where their key is one of the batch; memory follows the batch and a file, not the table.
    """
    schema, key = staged.schema, table.key
    order = [name for name in ordering(table, schema) if name in there.schema]
    at = [pl.col(name).alias(f"{_OLD} {name}") for name in order]
    rows = [scan_placed(there, files) for files in _few(touched, rows_a_file(there.rows))]
    hashed = row_hash(there.schema).alias(_OLD)
    batch = scan_parts(winners.rows, schema).with_columns(row_hash(schema).alias(_NEW))
    kept, whole = [*schema, _NEW, _OLD, PLACE, _CLASS], pl.Schema({**there.schema, PLACE: pl.String(), _OLD: pl.UInt64()})
    ends = pl.Schema({name: schema[name] for name in (*key, *order)})
    late_ends = 0
    for number, piece in enumerate(slices(key, 2 * batch.select(pl.len()).collect().item())):
        part, here = batch.filter(piece), [some.filter(piece) for some in rows]
        _meet(here, part, key, hashed, folder / "met" / f"{number}")
        met = scan_parts(folder / "met" / f"{number}", whole).select(*key, _OLD, PLACE, *at)
        write_parts(part.join(met, on=key, how="left").with_columns(_class(order, adds=adds).alias(_CLASS)).select(kept), folder / "classed" / f"{number}")
        gone = folder / "gone" / f"{number}"
        if winners.ended is not None:
            ended = scan_parts(winners.ended, ends).filter(piece)
            _meet(here, ended, key, hashed, folder / "ending" / f"{number}")
            known = scan_parts(folder / "ending" / f"{number}", whole)
            beside = ended.with_columns(row_hash(ends).alias(_NEW)).join(known.select(*key, *at, _OLD), on=key, how="inner")
            late = beside.filter(comes_late(order, _OLD, pl.col(_NEW) < pl.col(_OLD)) if adds else False).select(key).collect(engine="streaming")
            write_parts(known.join(late.lazy(), on=key, how="anti"), gone / "ended")
            late_ends += late.height
        for turn, some in enumerate([staged.scope.of(some, there.schema) for some in here] if staged.scope is not None else []):
            inside = some.join(part.select(key), on=key, how="anti")
            inside = inside.join(scan_parts(gone / "ended", whole).select(key), on=key, how="anti") if winners.ended is not None else inside
            write_parts(inside.with_columns(hashed).select(list(whole)), gone / "scope" / f"{turn}")
    classed = scan_parts(folder / "classed", pl.Schema({**schema, _NEW: pl.UInt64(), _OLD: pl.UInt64(), PLACE: pl.String(), _CLASS: pl.String()}))
    left = scan_parts(folder / "gone", whole)
    counts = dict(classed.group_by(_CLASS).len().collect(engine="streaming").iter_rows())
    return _Found(classed, scan_parts(folder / "met", whole), left, counts, left.select(pl.len()).collect(engine="streaming").item(), late_ends)


def _meet(rows: list[pl.LazyFrame], batch: pl.LazyFrame, key: list[str], hashed: pl.Expr, folder: Path) -> None:
    """Write those of `rows`, which come a few files at a time, whose key is one of the batch. The engine would read all files that it is given at once."""
    for number, some in enumerate(rows):
        write_parts(some.join(batch.select(key), on=key, how="semi").with_columns(hashed), folder / f"{number}")


def _class(order: list[str], *, adds: bool) -> pl.Expr:
    """What a batch row is, beside the row with its key that is there: inserted, unchanged, superseded (it comes late) or updated.

    Where nothing says which of two is later the hash of its values decides, as within a batch.
    """
    late = comes_late(order, _OLD, pl.col(_NEW) < pl.col(_OLD)) if adds else pl.lit(False)
    return (
        pl.when(pl.col(_OLD).is_null()).then(pl.lit("inserted")).when(pl.col(_OLD) == pl.col(_NEW)).then(pl.lit("unchanged"))
        .when(late).then(pl.lit("superseded")).otherwise(pl.lit("updated"))
    )  # fmt: skip


def _adjusted(table: Table, schema: pl.Schema, winners: Winners, classed: pl.LazyFrame) -> dict[str, int]:
    """How many of the rows that were updated or unchanged were not read, but are neighbours of rows that were."""
    counts = {"updated": 0, "unchanged": 0}
    if winners.adjusted is not None:
        ours = scan_parts(winners.adjusted, schema).select(table.key)
        counts |= dict(classed.join(ours, on=table.key, how="semi").group_by(_CLASS).len().collect(engine="streaming").iter_rows())
    return counts


def _few(files: tuple[DataFile, ...], most: int) -> Iterator[tuple[DataFile, ...]]:
    """Files in groups of at most so many rows, neighbours together; one that has more is alone."""
    group: list[DataFile] = []
    for file in files:
        if group and sum(member.rows for member in group) + file.rows > most:
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
