"""Going back to an earlier release, looked at before it is done: what readers would see of each table, what stays, and what then does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lake.catalog import Catalog, Row
from lake.moved import Moved, moved_pins
from lake.release import Pin, Release, check_subjects, gone_back, release_meant, subject_of
from lake.retired import removed, retired
from lake.store import Store


@dataclass(frozen=True)
class Prospect:
    """What a rollback from release `last` to `wanted` would show to readers.

    `tables` are the pins that the new release would have, `moved` the tables that readers would see otherwise, `stays` those of the subjects
    concerned that `wanted` does not have and that stay as they are, and `remarks` says of a table that stays which rows it was made from that
    readers would see no longer.
    """

    last: Release
    wanted: Release
    tables: dict[str, Pin]
    moved: list[Moved]
    stays: list[str]
    remarks: list[str]

    @property
    def subjects(self) -> list[str]:
        """Those whose tables would be others, and that would be held."""
        return sorted({subject_of(one.table) for one in self.moved})

    def rows(self) -> list[Row]:
        """One row a table of these subjects: table, what, version_now, version_then, rows_now, rows_then (null where it is not released)."""
        told = [
            {
                "table": one.table, "what": one.words, "version_now": one.was.version if one.was else None, "version_then": one.now.version if one.now else None,
                "rows_now": one.was.rows if one.was else None, "rows_then": one.now.rows if one.now else None,
            }
            for one in self.moved
        ]  # fmt: skip
        pins = {name: self.last.tables[name] for name in self.stays}
        told += [
            {"table": name, "what": "stays, first released later", "version_now": pin.version, "version_then": pin.version, "rows_now": pin.rows, "rows_then": pin.rows}
            for name, pin in pins.items()
        ]  # fmt: skip
        return sorted(told, key=lambda row: str(row["table"]))


def foresee_rollback(store: Store, number: int, subjects: Iterable[str] = (), *, without_later: bool = False) -> Prospect:
    """What `rollback` with these arguments would do now. Writes nothing; a few requests, and one or two a table. Raises UnknownName as it does."""
    wanted, last, meant = release_meant(store, number), release_meant(store), sorted(set(subjects))
    check_subjects(meant, last, wanted)
    tables = gone_back(last, wanted, meant, without_later=without_later, lost=removed(retired(store)))
    went = moved_pins(last.tables, tables)
    concerned = set(meant) or {subject_of(one.table) for one in went}
    stays = [name for name in last.tables if name in tables and name not in wanted.tables and subject_of(name) in concerned]
    return Prospect(last, wanted, tables, went, stays, _remarks(Catalog(store), last, tables) if went else [])


def _remarks(catalog: Catalog, last: Release, tables: dict[str, Pin]) -> list[str]:
    """Of each table that stays: whether what it was made from stays too."""
    told = []
    for name, pin in tables.items():
        if last.tables.get(name) != pin:
            continue
        found = catalog.log(name).last_record(until=pin.version)
        for given in found[1].inputs if found else ():
            was, now = last.tables.get(given.table), tables.get(given.table)
            if was == now or was is None:
                continue
            seen = f"readers would see version {now.version}" if now else "readers would not see it"
            told.append(f"{name} stays at version {pin.version}, which was made from {given.table} version {given.end}; {seen}")
    return told


def awaiting(store: Store, release: Release, subjects: Iterable[str]) -> list[Row]:
    """One row a table of `subjects`: table, released (the version that readers see, or null), live (the newest), rows_released, rows_live.

    The next run of a subject that is not held releases what is live. A request or two a table.
    """
    catalog, meant = Catalog(store), frozenset(subjects)
    rows: list[Row] = []
    for name in catalog.names():
        if subject_of(name) not in meant:
            continue
        live, record = catalog.last(name)
        pin = release.tables.get(name)
        rows.append(
            {"table": name, "released": pin.version if pin else None, "live": live, "rows_released": pin.rows if pin else None, "rows_live": record.rows}
        )
    return rows
