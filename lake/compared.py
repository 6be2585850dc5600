"""Two releases compared: which tables they pin otherwise, and the rows that were added, removed and changed from one to the other."""

from __future__ import annotations

from collections.abc import Callable

from lake.catalog import Catalog, Row
from lake.delta import Snapshot
from lake.difference import Difference, difference
from lake.log import key_of_record
from lake.moved import moved
from lake.release import Release
from lake.store import Store


def compare_releases(store: Store, before: Release, after: Release, told: Callable[[str], None] = lambda _: None) -> list[Row]:
    """One row a table that the two do not pin alike, by name.

    Keys: table, what (in words), version_before and version_after (null where it is not released), rows_before, rows_after, added, removed,
    changed (rows), columns (those in which changed rows differ, as one text). Of a table whose recorded contents are equal no row is read, else
    the keys of the files that the two versions do not share. `told` is called with each name before its rows are read.
    """
    rows: list[Row] = []
    for one in moved(before, after):
        told(one.table)
        found, was, now = Difference(), one.was, one.now
        if not one.same_rows:
            old, key = _rows_of(store, one.table, was.version) if was else (None, [])
            new, key = _rows_of(store, one.table, now.version) if now else (None, key)
            found = difference(old, new, key)
        rows.append(
            {
                "table": one.table, "what": one.words, "version_before": was.version if was else None, "version_after": now.version if now else None,
                "rows_before": was.rows if was else 0, "rows_after": now.rows if now else 0, "added": found.added, "removed": found.removed,
                "changed": found.changed, "columns": ", ".join(found.columns),
            }
        )  # fmt: skip
    return rows


def _rows_of(store: Store, name: str, version: int) -> tuple[Snapshot, list[str]]:
    """A table version's rows and its key."""
    catalog = Catalog(store)
    _, record = catalog.last(name, version=version)
    return catalog.snapshot(name, version), key_of_record(store, catalog.log(name), record)
