"""What each release changed beside the one before: told by the manifests, and by the ledgers of the commits between them. No rows are read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from lake.catalog import Catalog
from lake.moved import Moved, moved_in_words, moved_pins
from lake.release import Pin, Release, numbers, read_release

_READERS = 8
_SHOWN = 50  # releases, the newest
_COMMITS = 50  # that are added up for one table of one release


@dataclass(frozen=True)
class Changed(Moved):
    """One table from one release to the next, and what the commits between say became of rows.

    `ledger` is None where that cannot be told: the table went back, or too far.
    """

    ledger: dict[str, int] | None = None


@dataclass(frozen=True)
class Step:
    """One release: what it changed beside the one before, and how many tables it left as they were. `first` has nothing before it."""

    release: Release
    changed: list[Changed]
    untouched: int
    first: bool

    @property
    def told(self) -> str:
        """How many tables changed, and how many were made again with the same rows."""
        return moved_in_words(self.changed)


def steps(catalog: Catalog, until: int) -> tuple[list[Step], int]:
    """The releases up to number `until`, newest first, fifty at most; and how many older ones are left out. A request a release and a commit."""
    known = [number for number in numbers(catalog.store) if number <= until]
    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(lambda number: read_release(catalog.store, number), known[-_SHOWN - 1 :]))
    pairs: list[tuple[Release | None, Release]] = list(pairwise(found))
    if len(known) <= _SHOWN and found:
        pairs.insert(0, (None, found[0]))
    return [_step(catalog, was, now) for was, now in reversed(pairs)], max(0, len(known) - _SHOWN)


def _step(catalog: Catalog, was: Release | None, now: Release) -> Step:
    before = was.tables if was else {}
    with ThreadPoolExecutor(_READERS) as pool:
        changed = list(pool.map(lambda one: _changed(catalog, one.table, one.was, one.now), moved_pins(before, now.tables)))
    return Step(now, changed, len(now.tables) - sum(change.now is not None for change in changed), was is None)


def _changed(catalog: Catalog, name: str, was: Pin | None, now: Pin | None) -> Changed:
    start = was.version if was else -1
    if now is None or now.version < start or now.version - start > _COMMITS:
        return Changed(name, was, now, None)
    log = catalog.log(name)
    total: dict[str, int] = {}
    at = now.version
    while at > start and (last := log.last_record(until=at)) is not None and last[0] > start:
        ledger = last[1].ledger
        for entry in ("inserted", "updated", "deleted", "rejected"):
            total[entry] = total.get(entry, 0) + getattr(ledger, entry)
        at = last[0] - 1
    return Changed(name, was, now, {entry: count for entry, count in total.items() if count})
