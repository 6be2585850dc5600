"""Backing a lake up: what belongs to one moment is copied, each content once, read back, and only then named by a manifest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from lake.backup.depot import Depot
from lake.backup.manifest import Kept, Manifest, digest_of, key_of, known_objects, write_manifest, write_unfinished
from lake.backup.moment import Moment, by_places, moment_of
from lake.blob import Blob
from lake.catalog import Catalog
from lake.errors import NotFound, StoreError, UnknownName
from lake.meter import carried
from lake.release import read_release
from lake.run import Run
from lake.store import Store
from lake.table import path_of

_AT_ONCE = 4  # objects
_SMALL = 1 << 20  # bytes that are held in memory
_NOTED_EVERY = 10.0  # seconds
_POINTER = "/_delta_log/_last_checkpoint"

Progress = Callable[[int, int, int], None]
"""Told how many objects are done, of how many, and how many bytes were copied."""


@dataclass
class Backup:
    """What a backup did: its manifest, and how many objects and bytes it copied; the others were there."""

    manifest: Manifest
    copied: int = 0
    size: int = 0


@dataclass
class _Work:
    """A backup under way."""

    store: Store
    depot: Depot
    moment: Moment
    known: dict[str, Kept]
    there: dict[str, int]
    begun: set[str] = field(default_factory=set)
    done: dict[str, Kept] = field(default_factory=dict)
    copied: int = 0
    size: int = 0
    mutex: threading.Lock = field(default_factory=threading.Lock)


def back_up(run: Run, depot: Depot, progress: Progress = lambda *_: None) -> Backup:
    """Copy the lake as it is now into `depot`; runs may go on meanwhile. What an earlier backup or one that was killed copied is not copied again.

    Each content is read back from the depot and compared by its digest. Raises UnknownName where there is nothing to back up, StoreError where
    something that a release needs cannot be read or what was copied comes back different: the backups before stay as they are.
    """
    begun, moment = dt.datetime.now(dt.UTC), moment_of(run.store)
    if not moment.heads:
        raise UnknownName("there is nothing to back up: no table was ever committed", "`lake run` makes the first")
    plain = by_places(run.store)
    work = _Work(plain, depot, moment, known_objects(depot), depot.keys("objects"))
    manifest = Manifest(number=0, at=begun, place=run.store.uri("").rstrip("/"), env=run.settings.env, release=moment.release, objects={})
    blobs = [blob for blob in plain.walk("") if moment.has(blob.path)]
    noted = time.monotonic()
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting = iter(blobs)
            while batch := list(islice(waiting, 16 * _AT_ONCE)):
                for _ in pool.map(carried(lambda blob: _take(run, work, blob)), batch):
                    pass
                progress(len(work.done), len(blobs), work.size)
                if time.monotonic() - noted > _NOTED_EVERY:
                    write_unfinished(depot, manifest.model_copy(update={"objects": dict(work.done)}))
                    noted = time.monotonic()
    except BaseException:
        if work.copied:
            write_unfinished(depot, manifest.model_copy(update={"objects": dict(work.done)}))
        raise
    _check_whole(run.store, moment, work.done)
    kept = write_manifest(depot, manifest.model_copy(update={"objects": dict(sorted(work.done.items()))}))
    return Backup(kept, work.copied, work.size)


def check_backup(depot: Depot, manifest: Manifest, progress: Progress = lambda *_: None) -> list[str]:
    """The objects of a backup, by where they are in the lake, whose content the depot does not have as it was copied. Reads all of it.

    A content that is damaged is taken out of the depot: the next backup copies it anew.
    """
    bad, size = [], 0
    contents: dict[str, bool] = {}
    for number, (path, kept) in enumerate(manifest.objects.items()):
        if kept.sha256 not in contents:
            try:
                contents[kept.sha256] = digest_of(depot.read(kept.key)) == (kept.size, kept.sha256)
                if not contents[kept.sha256]:
                    depot.remove(kept.key)
            except NotFound:
                contents[kept.sha256] = False
            size += kept.size
        if not contents[kept.sha256]:
            bad.append(path)
        progress(number + 1, len(manifest.objects), size)
    return bad


def _take(run: Run, work: _Work, blob: Blob) -> None:
    """Have the depot hold one object of the lake."""
    known = work.known.get(blob.path)
    same = known is not None and (known.size, known.modified, known.etag) == (blob.size, blob.modified, blob.etag)
    if known is not None and same and work.there.get(known.key) == known.size:
        kept = known
    else:
        try:
            if blob.size <= _SMALL:
                content = work.store.get(blob.path)
                if blob.path.endswith(_POINTER) and not _points_back(content, blob.path, work.moment):
                    return
                size, sha256 = len(content), hashlib.sha256(content).hexdigest()
                new = _put(work, sha256, size, content)
            else:
                with run.workspace("backup") as folder:
                    file, digest, size = folder / "object", hashlib.sha256(), 0
                    with file.open("wb") as handle:
                        for chunk in work.store.stream(blob.path):
                            handle.write(chunk)
                            digest.update(chunk)
                            size += len(chunk)
                    sha256 = digest.hexdigest()
                    new = _put(work, sha256, size, file)
        except NotFound:  # upkeep removed it meanwhile; whether anything needs it is seen at the end
            return
        kept = Kept(size=size, sha256=sha256, modified=blob.modified, etag=blob.etag)
        with work.mutex:
            work.copied += new
            work.size += size if new else 0
    with work.mutex:
        work.done[blob.path] = kept


def _put(work: _Work, sha256: str, size: int, content: object) -> bool:
    """Put a content, unless it is there, and read it back. Whether it was put."""
    key = key_of(sha256)
    with work.mutex:  # of two objects with one content at once, one is enough
        if work.there.get(key) == size or key in work.begun:
            return False
        work.begun.add(key)
    work.depot.write(key, content)  # type: ignore[arg-type]  # bytes, or a file
    if digest_of(work.depot.read(key)) != (size, sha256):
        work.depot.remove(key)
        raise StoreError(f"{work.depot.told} does not give back what was written to it ({key})", "Use another place for backups; nothing was finished")
    with work.mutex:
        work.there[key] = size
    return True


def _points_back(content: bytes, path: str, moment: Moment) -> bool:
    """Whether a log's pointer is to a checkpoint that belongs to the moment; readers do without it."""
    try:
        return int(json.loads(content)["version"]) <= moment.heads.get(path.removesuffix(_POINTER), -1)
    except (ValueError, LookupError, TypeError):
        return False


def _check_whole(store: Store, moment: Moment, done: dict[str, Kept]) -> None:
    """Raise StoreError where the newest release of the moment needs an object that was not copied as its log names it."""
    if not moment.release:
        return
    catalog = Catalog(store)
    for table, pin in read_release(store, moment.release).tables.items():
        snapshot = catalog.snapshot(table, pin.version)
        for file in snapshot.files:
            place = store.names.place(f"{path_of(table)}/{file.path}")
            if (kept := done.get(place)) is None or kept.size != file.size:
                what = "is not in the store" if kept is None else f"is {kept.size:,} instead of {file.size:,} B long"
                raise StoreError(
                    f"release {moment.release} is not whole: {place}, which {table} version {pin.version} names, {what}",
                    "`lake doctor --repair` says what can be made again; the backups before stay as they are",
                )
