"""Looking at everything that the lake names: releases, commits, data files, raw files, and whether each is there as it was written.

Names and sizes are held to a listing. Contents are read, newest first, as far as the reader wants to go: Parquet is decoded, a raw file's digest
compared with its receipt, and the rows of each table of the newest release with the content that its commit recorded.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import polars as pl

from lake.backup.moment import RESTORING
from lake.blob import Blob
from lake.content import Content, content_sums, read_sums
from lake.contract import RESCUED
from lake.copied import is_content
from lake.delta import Snapshot, open_snapshot
from lake.errors import LakeError, NotFound, StoreError
from lake.log import TableLog
from lake.meter import carried
from lake.packed import PACKED, unpack
from lake.receipts import LANDINGS
from lake.record import Record
from lake.release import Release, gone_numbers, numbers, read_release
from lake.repair.findings import Finding, Kind
from lake.retired import removed, retired
from lake.store import Store
from lake.table import LAYERS, path_of, structure_path_of
from lake.wording import counted

_AT_ONCE = 8
_RECENT = 20  # releases whose files are all looked for, unless all are
_COMMIT = re.compile(r"(.+)/_delta_log/(\d{20})\.json", re.DOTALL)
_CHECKPOINT = re.compile(r"(.+)/_delta_log/(\d{20})\.checkpoint.*\.parquet", re.DOTALL)
_SCHEMA = re.compile(r"system/schemas/(.+)/(\d+)\.json", re.DOTALL)
_DERIVED = ("system/code/", "system/columns/", "system/profiles/", "system/consumers/")
_REGISTERS = ("system/names/", "system/retired/", "system/expired-releases/", f"{PACKED}/")
Told = Callable[[str], None]
Found = TypeVar("Found")


@dataclass
class Seen:
    """What looking found: the findings, the releases that can be read, the commits and the whole checkpoints there are by table, and how much was read.

    `structural` has the objects with structural lines that commits name, each with the path of its bronze table and the version; `changes` those with
    the rows that a commit changed, which hops read that follow a table.
    """

    findings: list[Finding] = field(default_factory=list)
    releases: dict[int, Release] = field(default_factory=dict)
    commits: dict[str, set[int]] = field(default_factory=dict)
    checkpoints: dict[str, set[int]] = field(default_factory=dict)
    structural: dict[str, tuple[str, int]] = field(default_factory=dict)
    changes: dict[str, tuple[str, int]] = field(default_factory=dict)
    objects: int = 0
    size: int = 0

    def of(self, *kinds: str) -> list[Finding]:
        """The findings of these kinds."""
        return [one for one in self.findings if one.kind in kinds]


def look(store: Store, *, contents: int | None = None, every_release: bool = False, told: Told = lambda _: None) -> Seen:
    """Look at what the lake in `store` names. `contents` is how many bytes are read at most, newest first; None reads all, 0 only logs and releases.

    Raises StoreUnreachable and the like where the store itself does not answer; what is damaged is in the findings.
    """
    seen = Seen()
    told("listing")
    there = {blob.path: blob for blob in store.walk("") if not blob.path.startswith(("_probe", "system/replay/", "system/partitions/", RESTORING))}
    seen.objects = len(there)
    for path in there:
        if found := _COMMIT.fullmatch(path):
            seen.commits.setdefault(found[1], set()).add(int(found[2]))
    _releases(store, seen)
    lost = removed(_or(lambda: retired(store), {}))
    wanted: dict[tuple[str, int], str] = {}
    for number in sorted(seen.releases, reverse=True)[: None if every_release else _RECENT]:
        for table, pin in seen.releases[number].tables.items():
            if table not in lost:
                wanted.setdefault((path_of(table), pin.version), f"release {number} names version {pin.version} of it")
    told("commits")
    _commits(store, seen, there)
    broken = {(one.table, one.version) for one in seen.of("commit")}
    for path, versions in seen.commits.items():
        if good := [version for version in versions if (path, version) not in broken]:
            wanted.setdefault((path, max(good)), f"version {max(good)} of {path} names it")
    files: dict[str, Finding] = {}
    snapshots: dict[tuple[str, int], Snapshot] = {}
    for (path, version), by in list(wanted.items()):
        told(path)
        snapshot = _snapshot(store, seen, path, version, by)
        if snapshot is None:
            continue
        snapshots[path, version] = snapshot
        _schema(store, seen, there, path, version)
        for one in snapshot.files:
            place = f"{path}/{one.path}"
            blob = there.get(place)
            if place not in files and (blob is None or blob.size != one.size):
                wrong = "is missing" if blob is None else f"is {blob.size:,} instead of {one.size:,} B long"
                files[place] = Finding(place, "data", wrong, by, path, version)
    seen.findings += files.values()
    _beside(seen, there)
    receipts = _raw(seen, there, snapshots)
    if contents is None or contents > 0:
        _contents(store, seen, there, snapshots, receipts, contents, told)
    return seen


def _or(work: Callable[[], Found], otherwise: Found) -> Found:
    try:
        return work()
    except StoreError:
        return otherwise


def _releases(store: Store, seen: Seen) -> None:
    known = numbers(store)
    gone = gone_numbers(store)

    def read(number: int) -> Release | LakeError:
        try:
            return read_release(store, number)
        except StoreError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, release in zip(known, pool.map(carried(read), known), strict=True):
            if isinstance(release, Release):
                seen.releases[number] = release
            else:
                seen.findings.append(Finding(_release_path(number), "release", "cannot be read", f"release {number}", number=number))
    for number in sorted(set(range(1, max(known, default=0))) - {*known, *gone}):
        seen.findings.append(Finding(_release_path(number), "release", "is missing", f"release {number}, before others that are there", number=number))


def _release_path(number: int) -> str:
    return f"system/releases/{number:010d}.json"


def _commits(store: Store, seen: Seen, there: dict[str, Blob]) -> None:
    """Every commit that has an object of its own is read; numbers that lack between them and are not kept together are missing."""
    logs = {path: TableLog(store, path) for path in seen.commits}

    def broken(one: tuple[str, int]) -> str | None:
        path, version = one
        try:
            actions = logs[path].commit_at(version)
            _note_structure(seen, path, version, logs[path].record_at(version))
            seen.changes.update((f"{path}/{action['cdc']['path']}", (path, version)) for action in actions if "cdc" in action)
        except StoreError as error:
            return "is missing" if isinstance(error, NotFound) else "is damaged"
        return None if any("commitInfo" in action for action in actions) else "is damaged"

    every = [(path, version) for path in sorted(seen.commits) for version in sorted(seen.commits[path])]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for (path, version), wrong in zip(every, pool.map(carried(broken), every), strict=True):
            if wrong:
                name = logs[path].name(version)
                seen.findings.append(Finding(name, "commit", wrong, f"version {version} of {path}", path, version))
    for path, versions in seen.commits.items():
        first = min(versions)
        if first and not any(blob.startswith(f"{PACKED}/{path}/") for blob in there):
            first = 0
        elif first:
            with contextlib.suppress(LakeError):  # commits that are kept together: damage to their object is found as a register's
                for version, record in logs[path].back(until=first - 1):
                    _note_structure(seen, path, version, record)
        for version in sorted(set(range(first, max(versions))) - versions):
            seen.findings.append(Finding(logs[path].name(version), "commit", "is missing", f"version {version} of {path}", path, version))
    for path in there:
        if found := _CHECKPOINT.fullmatch(path):
            try:
                pl.read_parquet(io.BytesIO(store.get(path)))
                seen.checkpoints.setdefault(found[1], set()).add(int(found[2]))
            except (StoreError, pl.exceptions.PolarsError):
                seen.findings.append(Finding(path, "checkpoint", "is damaged", f"a summary of the log of {found[1]}", found[1], int(found[2])))
        elif path.endswith("/_delta_log/_last_checkpoint"):
            table = path.rsplit("/_delta_log/", 1)[0]
            try:
                named = f"{table}/_delta_log/{int(json.loads(store.get(path))['version']):020d}.checkpoint"
                whole = any(other.startswith(named) for other in there)
            except (StoreError, ValueError, LookupError, TypeError):
                whole = False
            if not whole:
                seen.findings.append(Finding(path, "checkpoint", "is damaged", f"where the log of {table} is summed up", table))


def _note_structure(seen: Seen, path: str, version: int, record: Record | None) -> None:
    if record is not None and record.structure:
        seen.structural[f"{structure_path_of(path)}/{record.structure['object']}"] = (path, version)


def _beside(seen: Seen, there: dict[str, Blob]) -> None:
    """A finding for each object with structural lines, or with changes, that is missing."""
    kinds: tuple[tuple[Kind, dict[str, tuple[str, int]]], ...] = (("structure", seen.structural), ("changes", seen.changes))
    for kind, objects in kinds:
        for place, (path, version) in objects.items():
            if place not in there:
                seen.findings.append(Finding(place, kind, "is missing", f"version {version} of {path} names it", path, version))


def _snapshot(store: Store, seen: Seen, path: str, version: int, by: str) -> Snapshot | None:
    log = TableLog(store, path)
    try:
        snapshot = open_snapshot(store, path, version, log=log)
        record = log.record_at(version)
        if record is not None and record.data_files != len(snapshot.files):
            told = f"is damaged: with it the table has {counted(len(snapshot.files), 'file')}, and it says {record.data_files:,}"
            seen.findings.append(Finding(log.name(version), "commit", told, by, path, version))
        return snapshot
    except LakeError:
        if not any(one.table == path and one.kind in ("commit", "checkpoint") for one in seen.findings):
            seen.findings.append(Finding(log.name(version), "commit", "is missing", by, path, version))
        return None


def _schema(store: Store, seen: Seen, there: dict[str, Blob], path: str, version: int) -> None:
    """Whether the schema version that a table's record names is registered."""
    last = TableLog(store, path).last_record(until=version) if path.startswith(tuple(f"{layer}/" for layer in LAYERS)) else None
    if last is None:
        return
    name, number = path.replace("/", "."), last[1].schema_version
    place = f"system/schemas/{name}/{number}.json"
    if place not in there and not any(one.path == place for one in seen.findings) and not store.names:
        seen.findings.append(Finding(place, "schema", "is missing", f"version {version} of {path} names it", name, number=number))


def _raw(seen: Seen, there: dict[str, Blob], snapshots: dict[tuple[str, int], Snapshot]) -> dict[str, dict[str, object]]:
    """The receipts by raw object, and a finding for each whose object is not there with its size."""
    landings = [snapshot for (path, _), snapshot in snapshots.items() if path == LANDINGS]
    receipts: dict[str, dict[str, object]] = {}
    for snapshot in landings:
        try:
            rows = snapshot.scan().filter(pl.col("status") != "duplicate").select("file", "sha256", "stored_size", "name", "source").collect()
        except (pl.exceptions.PolarsError, OSError):
            continue
        for row in rows.iter_rows(named=True):
            receipts[row["file"]] = row
    for file, row in receipts.items():
        blob = there.get(file)
        if blob is None or blob.size != row["stored_size"]:
            wrong = "is missing" if blob is None else f"is {blob.size:,} instead of {row['stored_size']:,} B long"
            seen.findings.append(Finding(file, "raw", wrong, f"the receipt of {row['name']} names it", str(row["source"])))
    return receipts


def _contents(
    store: Store,
    seen: Seen,
    there: dict[str, Blob],
    snapshots: dict[tuple[str, int], Snapshot],
    receipts: dict[str, dict[str, object]],
    most: int | None,
    told: Told,
) -> None:
    """Contents, newest first, up to `most` bytes; then the rows of the newest release's tables as a whole."""
    known = {one.path for one in seen.findings}
    data = {f"{path}/{file.path}": (path, version) for (path, version), snapshot in snapshots.items() for file in snapshot.files}
    small = [path for path in there if path.startswith((*_DERIVED, *_REGISTERS, "system/schemas/"))]
    due = [there[path] for path in {*data, *receipts, *small, *seen.structural, *seen.changes} if path in there and path not in known]
    due.sort(key=lambda blob: blob.modified, reverse=True)
    chosen: list[Blob] = []
    for blob in due:
        if most is not None and seen.size + blob.size > most and chosen:
            break
        seen.size += blob.size
        chosen.append(blob)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, (blob, bad) in enumerate(zip(chosen, pool.map(carried(lambda blob: _is_bad(store, blob, receipts.get(blob.path))), chosen), strict=True)):
            if number % 50 == 0:
                told(f"contents: {number:,} of {len(chosen):,}")
            if bad:
                seen.findings.append(_finding(seen, blob.path, *data.get(blob.path, ("", -1)), receipts))
    if most is None or len(chosen) == len(due):
        seen.findings += _rows(store, seen, snapshots, told)


def _finding(seen: Seen, path: str, table: str, version: int, receipts: dict[str, dict[str, object]]) -> Finding:
    if table:
        return Finding(path, "data", "is damaged: it cannot be read", f"version {version} of {table} names it", table, version)
    if (named := seen.structural.get(path) or seen.changes.get(path)) is not None:
        table, version = named
        return Finding(
            path,
            "structure" if path in seen.structural else "changes",
            "is damaged: it cannot be read",
            f"version {version} of {table} names it",
            table,
            version,
        )
    if path in receipts:
        return Finding(
            path, "raw", "is damaged: it is not the content that landed", f"the receipt of {receipts[path]['name']} names it", str(receipts[path]["source"])
        )
    if found := _SCHEMA.fullmatch(path):
        return Finding(path, "schema", "is damaged", f"schema version {found[2]} of {found[1]}", found[1], number=int(found[2]))
    return Finding(path, "derived" if path.startswith(_DERIVED) else "register", "is damaged", "it is kept beside the tables")


def _is_bad(store: Store, blob: Blob, receipt: dict[str, object] | None) -> bool:
    """Whether the content of an object cannot be what was written."""
    try:
        if receipt is not None:
            return not is_content(store, blob.path, str(receipt["sha256"]))
        body = store.get(blob.path)
        if blob.path.endswith(".parquet"):
            pl.read_parquet(io.BytesIO(body))
        elif blob.path.endswith(".json"):
            json.loads(body)
        elif blob.path.startswith(f"{PACKED}/"):
            unpack(body)
        return len(body) != blob.size
    except NotFound:  # upkeep removed it meanwhile
        return False
    except (StoreError, ValueError, pl.exceptions.PolarsError):
        return True


def _rows(store: Store, seen: Seen, snapshots: dict[tuple[str, int], Snapshot], told: Told) -> Iterator[Finding]:
    """Tables of the newest release whose files can be read and whose rows are not those that were committed."""
    if not seen.releases:
        return
    number = max(seen.releases)
    bad = {one.table for one in seen.of("data", "commit")}
    for table, pin in seen.releases[number].tables.items():
        path = path_of(table)
        snapshot = snapshots.get((path, pin.version))
        if snapshot is None or path in bad:
            continue
        told(f"{table}: its rows")
        if not _as_recorded(store, snapshot):
            for file in snapshot.files:
                by = f"release {number} names version {pin.version} of {path}, whose rows are not those that were committed"
                yield Finding(f"{path}/{file.path}", "data", "may be damaged", by, path, pin.version)


def _as_recorded(store: Store, snapshot: Snapshot) -> bool:
    """Whether the rows of a table are those that its record has the content of; True where none was recorded."""
    last = TableLog(store, snapshot.path).last_record(until=snapshot.version)
    recorded = Content.from_hash(last[1].content) if last is not None else None
    if recorded is None:
        return True
    columns = [column for column in snapshot.schema if column != RESCUED or not snapshot.path.startswith("bronze/")]
    try:
        return read_sums(snapshot.scan().select(content_sums(columns)).collect(engine="streaming").row(0, named=True)) == recorded
    except (pl.exceptions.PolarsError, OSError):
        return False
