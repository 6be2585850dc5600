"""Ways of writing that do not look for single rows: adding at the end, the whole table anew, a range of a table without a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from lake.content import Content, content_sums, read_sums, row_hash
from lake.datafile import scan_parts, write_parts
from lake.delta import Snapshot
from lake.scope import Scope
from lake.settle.latest import Winners
from lake.settle.places import files_at, places, scan_placed
from lake.settle.settled import Settled
from lake.table import Table
from lake.transform import Staged, scan_good

_NEW, _OLD, _KIND = "#new", "#old", "_change_type"
_FEED_UP_TO = 0.5  # of the table's rows: where more changed, readers of the feed had better read the table


def append(staged: Staged, there: Snapshot | None, earlier: Content | None, *, whole: bool) -> Settled:
    """The rows added to those that are there; with `whole`, in place of them."""
    if there is None or whole:
        gone = there.files if there is not None else ()
        return Settled(staged.good, gone, inserted=staged.passed, deleted=there.rows if there is not None else 0, content=staged.content)
    return Settled(staged.good, inserted=staged.passed, content=earlier + staged.content if earlier is not None else None)


def replace(table: Table, staged: Staged, winners: Winners, there: Snapshot | None, earlier: Content | None, folder: Path) -> Settled:
    """The whole table anew; what is there is compared by key so that the ledger and the change feed say what really changed."""
    schema = staged.schema
    content = staged.content if winners.rows == staged.good else sums(scan_parts(winners.rows, schema), schema)
    lost: dict[str, Any] = {"superseded": winners.superseded, "duplicate": winners.duplicate, "tombstones": winners.ends, "ended": winners.ended}
    if there is None:
        return Settled(winners.rows, inserted=content.rows, **lost, content=content)
    if there.schema == schema and earlier == content:
        return Settled(None, unchanged=content.rows, **lost, content=content)
    key = table.key
    if not key or not set(key) <= set(there.schema):
        return Settled(winners.rows, there.files, inserted=content.rows, **lost, deleted=there.rows, content=content)
    new = scan_parts(winners.rows, schema).select(*key, row_hash(schema).alias(_NEW))
    old = there.scan().select(*(pl.col(name).cast(schema[name], strict=False) for name in key), row_hash(there.schema).alias(_OLD))
    differ = new.join(old, on=key, how="full", coalesce=True).filter(pl.col(_NEW).ne_missing(pl.col(_OLD)))
    write_parts(differ, folder / "differ")
    changed = scan_parts(folder / "differ", pl.Schema({**{name: schema[name] for name in key}, _NEW: pl.UInt64(), _OLD: pl.UInt64()}))
    inserted, deleted, updated = (
        changed.select(pl.col(_OLD).is_null().sum(), pl.col(_NEW).is_null().sum().alias("deleted"), (pl.col(_OLD) != pl.col(_NEW)).sum().alias("other"))
        .collect(engine="streaming")
        .row(0)
    )
    feed = None
    if there.schema == schema and inserted + deleted + updated <= _FEED_UP_TO * max(there.rows, 1):
        feed = folder / "_change_data"
        write_parts(_told(scan_parts(winners.rows, schema), there.scan(), changed, key, list(schema)), feed)
    return Settled(winners.rows, there.files, feed, inserted, updated, content.rows - inserted - updated, **lost, deleted=deleted, content=content)


def _told(new: pl.LazyFrame, old: pl.LazyFrame, changed: pl.LazyFrame, key: list[str], columns: list[str]) -> pl.LazyFrame:
    """The rows that differ, as the change feed tells them."""
    came, went = pl.col(_OLD).is_null(), pl.col(_NEW).is_null()
    parts = [(new, came, "insert"), (old, went, "delete"), (old, ~came & ~went, "update_preimage"), (new, ~came & ~went, "update_postimage")]
    return pl.concat(
        rows.join(changed.filter(which).select(key), on=key, how="semi").select(columns).with_columns(pl.lit(kind).alias(_KIND)) for rows, which, kind in parts
    )


def swap(staged: Staged, there: Snapshot, scope: Scope, earlier: Content | None, folder: Path) -> Settled:
    """The rows of a range in place of those that are there, where no key tells rows apart. Only files that hold such rows are written again."""
    rewritten = files_at(there, there.files, places(scope.of(scan_placed(there, there.files), there.schema)))
    was = there.scan(rewritten)
    gone = sums(scope.of(was, there.schema), there.schema)
    if gone == staged.content:
        return Settled(None, unchanged=gone.rows, content=earlier)
    write_parts(pl.concat([scope.without(was, there.schema), scan_good(staged)], how="diagonal"), folder / "swapped", of=there.rows)
    content = earlier - gone + staged.content if earlier is not None else None
    return Settled(folder / "swapped", rewritten, inserted=staged.passed, deleted=gone.rows, content=content)


def sums(frame: pl.LazyFrame, schema: pl.Schema) -> Content:
    """The content of all rows of `frame`."""
    return read_sums(frame.select(content_sums(schema)).collect(engine="streaming").row(0, named=True))
