"""One moment of a lake that goes on being written to: which of its objects belong together.

No clock is asked. Releases are counted first, then the newest version of every table; whatever one of those commits read, or says of the rows beside
it, was committed before it, so versions are raised until nothing refers to one that is missing. What is left out was made later, as if a run
had been killed before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lake.log import TableLog
from lake.names import Names
from lake.packed import PACKED, TOGETHER
from lake.partitions import SCRATCH as PARTITIONS
from lake.receipts import LANDINGS
from lake.record import Record
from lake.release import numbers
from lake.replay import SCRATCH as REPLAYS
from lake.store import Store
from lake.table import path_of

RESTORING = "system/restoring.json"
"""What stands in a lake that is being restored, until it is whole."""
_LOG = re.compile(r"(.+)/_delta_log/(\d{20})\.(?:json|checkpoint.*\.parquet)", re.DOTALL)
_COMMIT = re.compile(r"(.+)/_delta_log/(\d{20})\.json", re.DOTALL)
_RELEASE = re.compile(r"system/(?:expired-)?releases/(\d+)\.json")
_PACK = re.compile(rf"{PACKED}/(.+)/(\d+)\.ndjson\.zst", re.DOTALL)
_NEVER = ("_probe", f"{REPLAYS}/", f"{PARTITIONS}/", RESTORING)


@dataclass(frozen=True)
class Moment:
    """The newest release (0 for none) and the newest version of each table, by where its objects are."""

    release: int
    heads: dict[str, int]

    def has(self, place: str) -> bool:
        """Whether the object at `place` belongs to it. Data and raw files always do: which of them count, the logs say."""
        if place.startswith(_NEVER):
            return False
        if found := _LOG.fullmatch(place):
            return int(found[2]) <= self.heads.get(found[1], -1)
        if found := _RELEASE.fullmatch(place):
            return int(found[1]) <= self.release
        if found := _PACK.fullmatch(place):
            return int(found[2]) + TOGETHER - 1 <= self.heads.get(found[1], -1)
        return True


def by_places(store: Store) -> Store:
    """The same bucket and prefix by where objects are, whatever tables were renamed to."""
    return store.beside(store.bucket, store.prefix, names=Names())


def moment_of(store: Store) -> Moment:
    """The moment now. Two listings, and a commit or two a table. Raises StoreError where a log cannot be read."""
    names, plain = store.renewed_names(), by_places(store)
    release = max(numbers(plain), default=0)
    heads: dict[str, int] = {}
    for blob in plain.walk(""):
        if (found := _COMMIT.fullmatch(blob.path)) and not blob.path.startswith(_NEVER):
            heads[found[1]] = max(heads.get(found[1], -1), int(found[2]))
    due = list(heads)
    while due:
        path = due.pop()
        last = TableLog(plain, path).last_record(until=heads[path])
        for place, version in _referred(last[1], path, names) if last is not None else ():
            if version > heads.get(place, -1):
                heads[place] = version
                due.append(place)
    return Moment(release, heads)


def _referred(record: Record, path: str, names: Names) -> Iterator[tuple[str, int]]:
    """What a commit refers to: the place and the version of each table."""
    for given in record.inputs:
        yield (LANDINGS if given.table == LANDINGS else path_of(names.first(given.table))), given.end
    for beside, told in (("quarantine", record.quarantine), ("system/tombstones", record.tombstones)):
        if told and int(told["version"]) >= 0:
            yield f"{beside}/{path}", int(told["version"])
