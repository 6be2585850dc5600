"""Cutting logs back: what was committed after the last whole release and is damaged, or was made from what is, never happened; the next run makes it again."""

from __future__ import annotations

from dataclasses import dataclass, field

from lake.delta import open_snapshot
from lake.errors import LakeError, StoreError
from lake.log import TableLog
from lake.receipts import LANDINGS
from lake.record import Record
from lake.release import WITHDRAWN, Release
from lake.repair.looking import Seen
from lake.store import Store
from lake.table import path_of


@dataclass
class Cuts:
    """To which version each table is cut back (-1: it is no table any more), what the last whole release pins, and the tables for which a cut may not be, with why."""

    to: dict[str, int] = field(default_factory=dict)
    pins: dict[str, int] = field(default_factory=dict)
    not_possible: dict[str, str] = field(default_factory=dict)


def openable(seen: Seen, release: Release) -> bool:
    """Whether the logs of a release's tables can be read at the versions that it pins."""
    return all(can_be_read(seen, path_of(table), pin.version) for table, pin in release.tables.items())


def can_be_read(seen: Seen, path: str, version: int) -> bool:
    """Whether no commit is missing or damaged on the way to a version, from the start or from a checkpoint."""
    start = max((at for at in seen.checkpoints.get(path, ()) if at <= version), default=-1)
    bad = {one.version for one in seen.of("commit") if one.table == path}
    return version in seen.commits.get(path, ()) and not any(start < at <= version for at in bad)


def planned_cuts(store: Store, seen: Seen, base: Release | None) -> Cuts:
    """What has to be cut back so that every table is whole at its newest version, or is as `base`, the last whole release, pins it."""
    pins = _pinned(store, base) if base is not None else {}
    bad = {one.path for one in seen.of("data")}
    cuts = Cuts(pins=pins)
    for path, versions in seen.commits.items():
        head = max(versions)
        if not _is_whole(store, seen, path, head, bad):
            low = pins.get(path, -1)
            cuts.to[path] = next((at for at in sorted(versions, reverse=True) if at >= low and at < head and _is_whole(store, seen, path, at, bad)), low)
            if cuts.to[path] == head:  # released as it is: made again, or lost
                del cuts.to[path]
    _spread(store, seen, pins, cuts)
    return cuts


def _pinned(store: Store, base: Release) -> dict[str, int]:
    """The versions that a release has of its tables, and those of rejects, tombstones and receipts that these were made with."""
    pins = {path_of(table): pin.version for table, pin in base.tables.items()}
    for path, version in list(pins.items()):
        if (last := _last(store, path, version)) is not None:
            for place, at in [*_beside(last, path), *((given.table, given.end) for given in last.inputs if given.table == LANDINGS)]:
                pins[place] = max(pins.get(place, -1), at)
    return pins


def _beside(record: Record, path: str) -> list[tuple[str, int]]:
    """The versions of its rejects and its tombstones that a commit names."""
    told = (("quarantine", record.quarantine), ("system/tombstones", record.tombstones))
    return [(f"{beside}/{path}", int(one["version"])) for beside, one in told if one and int(one["version"]) >= 0]


def _last(store: Store, path: str, version: int) -> Record | None:
    try:
        found = TableLog(store, path).last_record(until=version)
    except StoreError:
        return None
    return found[1] if found else None


def _is_whole(store: Store, seen: Seen, path: str, version: int, bad: set[str]) -> bool:
    if not can_be_read(seen, path, version):
        return False
    try:
        return not any(f"{path}/{file.path}" in bad for file in open_snapshot(store, path, version).files)
    except LakeError:
        return False


def _spread(store: Store, seen: Seen, pins: dict[str, int], cuts: Cuts) -> None:
    """Whatever read, or says of rows beside it, what is cut or is gone goes too; what a release pins stays, and the cut is given up."""
    heads = {path: max(versions) for path, versions in seen.commits.items()}  # what comes after them is gone already
    released: set[str] = set()
    again = True
    while again:
        again = False
        for path, versions in seen.commits.items():
            if path in released:
                continue
            at = cuts.to.get(path, max(versions))
            while at >= 0 and (record := _record(store, path, at)) is not None and _reads_what_is_cut(record, path, heads | cuts.to):
                at = max((other for other in versions if other < at), default=-1)
            if at != cuts.to.get(path, max(versions)):
                if at < pins.get(path, -1):
                    given_up = [name for name in cuts.to if name == LANDINGS or name.endswith(f"/{path}")]
                    if not given_up:
                        released.add(path)
                    for given in given_up:
                        cuts.not_possible[given] = f"{path}, which is released, was made from it"
                        del cuts.to[given]
                else:
                    cuts.to[path] = at
                again = True
                break


def _reads_what_is_cut(record: Record, path: str, to: dict[str, int]) -> bool:
    for given in record.inputs:
        place = given.table if "/" in given.table else path_of(given.table)
        if given.end > to.get(place, given.end):
            return True
    return any(version > to.get(place, version) for place, version in _beside(record, path))


def _record(store: Store, path: str, version: int) -> Record | None:
    try:
        return TableLog(store, path).record_at(version)
    except StoreError:
        return None


def cut(store: Store, path: str, version: int, versions: set[int]) -> int:
    """Take the commits of a table after `version` away, the newest first; what can be read of them stays aside. Returns how many."""
    log, gone = TableLog(store, path), sorted((at for at in versions if at > version), reverse=True)
    pointer = f"{path}/_delta_log/_last_checkpoint"
    store.delete([pointer])
    for blob in list(store.walk(f"{path}/_delta_log")):
        stem = blob.path.rsplit("/", 1)[-1].partition(".")[0]
        if ".checkpoint" in blob.path and stem.isdigit() and int(stem) > version:
            store.delete([blob.path])
    for at in gone:
        try:
            store.put(f"{WITHDRAWN}/{path}/{at:020d}.json", store.get(log.name(at)))
        except StoreError:  # nothing of it can be read
            pass
        store.delete([log.name(at)])
    return len(gone)
