"""Upkeep: small files put together, and files removed that no reader, run, release or retained version can need any more.

Nothing depends on clocks alone. Before leftovers of a table are removed, a commit that says nothing but "maintenance" takes the
next version: a run that uploaded one of them and slept finds its version taken, and starts over with new files. Only raw files,
which are found again by their content, also need an age (`grace`): landing does not trust a copy half as old.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lake import partitions
from lake.catalog import Catalog
from lake.cluster import cluster
from lake.compact import compact, rearrange
from lake.datafile import sketch_path
from lake.delta import file_of
from lake.errors import CommitConflict, LakeError, NotFound
from lake.log import schema_of_record
from lake.packed import PACKED
from lake.packing import pack_commits
from lake.probe import by_clock_of
from lake.receipts import LANDINGS, LOOKED_UP_BY, every_file
from lake.record import Record
from lake.release import expire_releases, numbers, read_release, without_tables
from lake.replay import SCRATCH
from lake.retired import give_up, removed, retired
from lake.run import Run
from lake.schemas import clustered_by, is_sketched
from lake.store import Blob
from lake.structural import abandoned
from lake.table import path_of, quarantine_path_of, structure_path_of, tombstones_path_of
from lake.uploads import abort, unfinished
from lake.wording import counted, several

_PASSES = 8
Row = dict[str, Any]


@dataclass
class _Needs:
    """What must stay of one table: whole versions, and every file that came after version `unread`, which some table has not read yet."""

    versions: set[int] = field(default_factory=set)
    unread: int | None = None


@dataclass(frozen=True)
class _Spans:
    """Of each file a log speaks of: the versions [from, to) that hold it; and the version of each file of change rows."""

    held: dict[str, list[tuple[int, int]]]
    told: dict[str, int]


def maintain(run: Run, *, dry_run: bool = False, told: Callable[[str], None] = lambda _: None) -> Iterator[Row]:
    """Tidy every table, the landings, releases, raw files and scratch places. One row a place: compacted, clustered, orphans, expired (files), packed (commits), bytes (freed)."""
    names = Catalog(run.store).folders()  # also those without a commit: what a killed first run left is tidied too
    yield from _given_up(run, names, dry_run=dry_run)
    gone = retired(run.store)
    names = [name for name in names if name not in removed(gone)]
    if not dry_run:
        yield from _arranged(run, [name for name in names if name not in gone], told)
        yield _releases(run)
    needs = _needs(run, names)
    for path in sorted({*needs, *_tables_under(run, "quarantine"), *_tables_under(run, "system/tombstones")}):
        told(path)
        yield _tidied(run, path, needs.get(path, _Needs()), dry_run=dry_run)
    for path in _tables_under(run, "system/structure"):
        told(path)
        yield _structure(run, path, dry_run=dry_run)
    told("raw")
    yield _raw(run, dry_run=dry_run)
    for scratch in (SCRATCH, partitions.SCRATCH):
        told(scratch)
        yield _scratch(run, scratch, dry_run=dry_run)
    yield _unfinished(run, dry_run=dry_run)


def _arranged(run: Run, names: list[str], told: Callable[[str], None]) -> Iterator[Row]:
    """Files put together, and sorted where they overlap."""
    for path in [*map(path_of, names), LANDINGS]:
        told(path)
        by = LOOKED_UP_BY if path == LANDINGS else _order_of(run, path)
        compacted = _again(lambda path=path, by=by: compact(run, path, sort=by))  # type: ignore[misc]
        clustered = _again(lambda path=path, by=by: cluster(run, path, by)) if path != LANDINGS else 0  # type: ignore[misc]
        yield _row(path, compacted=compacted, clustered=clustered, packed=pack_commits(run, path))


def _given_up(run: Run, names: list[str], *, dry_run: bool) -> Iterator[Row]:
    """Retired tables past the time they are kept: marked, taken out of the newest release, then removed; what a killed upkeep left of them too.

    A table that one which stays was made from stays as well.
    """
    kept, now, marks = run.settings.retired, dt.datetime.now(dt.UTC), retired(run.store)
    due = {name for name, mark in marks.items() if not mark.removed and kept is not None and mark.at < now - kept}
    for name in names:
        last = _record(run, path_of(name), run.log(path_of(name)).version()) if name not in due and name not in removed(marks) else None
        due -= {given.table for given in last.inputs} if last else set()
    doomed = due | removed(marks)
    if doomed and not dry_run:
        give_up(run.store, due)
        without_tables(run.store, run.info, doomed)
    for name in sorted(doomed & set(names)):
        path = path_of(name)
        places = (path, quarantine_path_of(name), tombstones_path_of(name), structure_path_of(name), f"{PACKED}/{path}")
        there = [blob for place in places for blob in run.store.walk(place)]
        if not dry_run:
            run.store.delete(blob.path for blob in there)
        yield _row(path, expired=len(there), size=sum(blob.size for blob in there))


def _again(work: Callable[[], int]) -> int:
    """Do it until nothing is due, or long enough. Returns the sum."""
    count = 0
    for _ in range(_PASSES):
        went = work()
        count += went
        if went == 0:
            break
    return count


def _order_of(run: Run, path: str) -> tuple[str, ...]:
    """The order of rows of a table, by its own account; none in bronze, which is as it landed."""
    if path.startswith("bronze/"):
        return ()
    last = run.log(path).last_record()
    known = schema_of_record(run.store, run.log(path), last[1]) if last else None
    return clustered_by(known[2]) if known else ()


def _releases(run: Run) -> Row:
    """Releases that are older than the policy lets them be."""
    kept = run.settings.releases
    return _row("releases", expired=len(expire_releases(run.store, dt.datetime.now(dt.UTC) - kept)) if kept is not None else 0)


def _needs(run: Run, names: list[str]) -> dict[str, _Needs]:
    """What releases, retained versions and tables that have not read everything need of each table."""
    needs = {path: _Needs() for path in [*map(path_of, names), LANDINGS]}
    lost = removed(retired(run.store))
    for number in numbers(run.store):
        for table, pin in ((table, pin) for table, pin in read_release(run.store, number).tables.items() if table not in lost):
            needs.setdefault(path_of(table), _Needs()).versions.add(pin.version)
    cutoff = dt.datetime.now(dt.UTC) - run.settings.retention
    for path in list(needs):
        log = run.log(path)
        newest = log.version()
        version = newest
        while version >= 0:
            needs[path].versions.add(version)
            try:
                if log.committed(version) < cutoff:
                    break
            except NotFound:
                break
            version -= 1
    for path, need in list(needs.items()):
        for version in need.versions:
            last = _record(run, path, version)
            for given in last.inputs if last else ():
                needs.setdefault(_path(given.table), _Needs()).versions.add(given.end)
            for place, kept in ((f"quarantine/{path}", last.quarantine if last else None), (f"system/tombstones/{path}", last.tombstones if last else None)):
                if kept and int(kept["version"]) >= 0:
                    needs.setdefault(place, _Needs()).versions.add(int(kept["version"]))
    for name in names:
        last = _record(run, path_of(name), run.log(path_of(name)).version())
        for given in last.inputs if last else ():
            need = needs.setdefault(_path(given.table), _Needs())
            need.unread = given.end if need.unread is None else min(need.unread, given.end)
    for path, need in needs.items():
        need.versions.add(run.log(path).version())
    return needs


def _tidied(run: Run, path: str, needs: _Needs, *, dry_run: bool) -> Row:
    """Remove what nothing needs of one table."""
    log = run.log(path)
    there = [blob for blob in run.store.walk(path) if not blob.path.startswith(f"{path}/_delta_log/")]
    newest = log.version()  # after the listing: a file committed meanwhile is in this version's log
    try:
        spans = _spans(run, path, newest)
    except NotFound:
        return _row(path)
    versions = sorted(needs.versions | {newest})
    old = _abandoned_before(run)
    orphans: list[Blob] = []
    expired: list[Blob] = []
    for blob in there:
        name = blob.path.removeprefix(f"{path}/")
        if name not in spans.held and name not in spans.told:
            if blob.modified < old:
                orphans.append(blob)
        elif not _needed(name, spans, versions, needs.unread):
            expired.append(blob)
    if orphans and not dry_run and newest >= 0:
        before = _record(run, path, newest)
        try:
            if before is None:
                raise CommitConflict(f"{path} has no commit of lake's", "Run maintenance again")
            rearrange(
                run, path, newest, before, why=f"{counted(len(orphans), 'leftover')} of runs that did not publish {several(len(orphans), 'is', 'are')} removed"
            )
        except CommitConflict:
            orphans = []  # something moves here; next time
    doomed = [*orphans, *expired]
    if not dry_run:
        run.store.delete(blob.path for blob in doomed)
        if is_sketched(path):
            run.store.delete(sketch_path(path, blob.path.removeprefix(f"{path}/")) for blob in doomed if "/_change_data/" not in blob.path)
    return _row(path, orphans=len(orphans), expired=len(expired), size=sum(blob.size for blob in doomed))


def _needed(name: str, spans: _Spans, versions: list[int], unread: int | None) -> bool:
    at = spans.told.get(name)
    if at is not None and (at >= versions[0] or (unread is not None and at > unread)):
        return True
    held = spans.held.get(name, [])
    if unread is not None and any(start > unread for start, _ in held):
        return True
    return any(start <= version < end for start, end in held for version in versions)


def _spans(run: Run, path: str, newest: int) -> _Spans:
    held: dict[str, list[tuple[int, int]]] = {}
    told: dict[str, int] = {}
    forever = newest + 1_000_000_000
    for version, actions in enumerate(run.log(path).commits(newest)):
        for action in actions:
            if "remove" in action:
                name = file_of({"size": 0} | action["remove"]).path
                spans = held.get(name)
                if spans and spans[-1][1] == forever:
                    spans[-1] = (spans[-1][0], version)
        for action in actions:
            if "add" in action:
                held.setdefault(file_of(action["add"]).path, []).append((version, forever))
            elif "cdc" in action:
                told[action["cdc"]["path"]] = version
    return _Spans(held, told)


def _raw(run: Run, *, dry_run: bool) -> Row:
    """Raw files without a receipt: copied by a run that was killed before it could say so."""
    old = _abandoned_before(run)
    there = [blob for blob in run.store.walk("raw") if blob.modified < old]
    log = run.log(LANDINGS)
    newest = log.version()
    known = every_file(run, newest) if there else set()
    orphans = [blob for blob in there if blob.path not in known]
    if orphans and not dry_run:
        before = _record(run, LANDINGS, newest) if newest >= 0 else None
        try:
            if before is not None:
                rearrange(
                    run, LANDINGS, newest, before, why=f"{counted(len(orphans), 'raw file')} without a receipt {several(len(orphans), 'is', 'are')} removed"
                )
            run.store.delete(blob.path for blob in orphans)
        except CommitConflict:
            orphans = []
    return _row("raw", orphans=len(orphans), size=sum(blob.size for blob in orphans))


def _structure(run: Run, place: str, *, dry_run: bool) -> Row:
    """Structural lines of files that no commit took in."""
    name = place.removeprefix("system/structure/").replace("/", ".")
    old, log = _abandoned_before(run), run.log(path_of(name))
    left = [blob for blob in abandoned(run.store, name, (record for _, record in log.back())) if blob.modified < old]
    if not dry_run:
        run.store.delete(blob.path for blob in left)
    return _row(place, orphans=len(left), size=sum(blob.size for blob in left))


def _scratch(run: Run, place: str, *, dry_run: bool) -> Row:
    old = _abandoned_before(run)
    there = [blob for blob in run.store.walk(place) if blob.modified < old]
    if not dry_run:
        run.store.delete(blob.path for blob in there)
    return _row(place, orphans=len(there), size=sum(blob.size for blob in there))


def _unfinished(run: Run, *, dry_run: bool) -> Row:
    """Uploads in parts that nobody finished: they take room and are in no listing."""
    old = _abandoned_before(run)
    uploads = [upload for upload in unfinished(run.store) if upload.started < old]
    if not dry_run:
        for upload in uploads:
            abort(run.store, upload)
    return _row("unfinished uploads", orphans=len(uploads))


def _abandoned_before(run: Run) -> dt.datetime:
    """What was written before this moment and belongs to nothing was left by a run that is gone."""
    return by_clock_of(run.store) - run.settings.grace


def _tables_under(run: Run, prefix: str) -> Iterator[str]:
    for layer in run.store.children(prefix):
        for subject in run.store.children(f"{prefix}/{layer}"):
            for table in run.store.children(f"{prefix}/{layer}/{subject}"):
                yield f"{prefix}/{layer}/{subject}/{table}"


def _record(run: Run, path: str, version: int) -> Record | None:
    try:
        last = run.log(path).last_record(until=version)
    except LakeError:
        return None
    return last[1] if last else None


def _path(name: str) -> str:
    return name if name == LANDINGS else path_of(name)


def did_something(row: Row) -> bool:
    """Whether anything was put together, sorted or removed at the place of a row of `maintain`."""
    return any(row[name] for name in ("compacted", "clustered", "packed", "orphans", "expired"))


def _row(place: str, *, compacted: int = 0, clustered: int = 0, packed: int = 0, orphans: int = 0, expired: int = 0, size: int = 0) -> Row:
    return {"place": place, "compacted": compacted, "clustered": clustered, "packed": packed, "orphans": orphans, "expired": expired, "bytes": size}
