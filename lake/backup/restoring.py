"""Restoring a lake from a backup: into a place where there is none, data first, releases last, each object compared with its digest."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lake.backup.depot import Depot
from lake.backup.manifest import Kept, Manifest, digest_of
from lake.backup.moment import RESTORING, by_places
from lake.errors import CommitConflict, NotFound, StoreError
from lake.meter import carried
from lake.run import Run
from lake.store import Store
from lake.wording import counted

_AT_ONCE = 4
_SMALL = 1 << 20
Progress = Callable[[int, int, int], None]


@dataclass
class Restored:
    """What a restore did: how many objects and bytes it wrote, and how many an earlier try that was killed had written."""

    written: int = 0
    size: int = 0
    there: int = 0


def restore(run: Run, depot: Depot, manifest: Manifest, progress: Progress = lambda *_: None) -> Restored:
    """Put the objects of a backup where the settings say, and read each back. A try that was killed is gone on with.

    Raises CommitConflict where there is a lake already, or another backup was being restored there, StoreError where the backup is damaged.
    """
    plain = by_places(run.store)
    _check_empty(plain, manifest)
    plain.put(RESTORING, json.dumps({"backup": manifest.mark, "number": manifest.number}).encode())
    there = {blob.path: blob.size for blob in plain.walk("")}
    done = Restored()
    count = 0
    for stage in range(3):
        objects = [(path, kept) for path, kept in manifest.objects.items() if _stage(path) == stage]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for new, (_, kept) in zip(pool.map(carried(lambda one: _bring(run, plain, depot, there, *one)), objects), objects, strict=True):
                count += 1
                done.written += new
                done.size += kept.size if new else 0
                done.there += not new
                progress(count, len(manifest.objects), done.size)
    plain.barrier.settle()
    plain.delete([RESTORING])
    plain.barrier.settle()
    run.store.renewed_names()
    return done


def _stage(path: str) -> int:
    """Data first, then what names data, then what names that: killed anywhere, nothing is named that is not there."""
    return 2 if "/releases/" in path else 1 if "/_delta_log/" in path or path.startswith("system/") else 0


def _check_empty(store: Store, manifest: Manifest) -> None:
    try:
        begun = json.loads(store.get(RESTORING))
    except NotFound:
        begun = None
    except ValueError:
        begun = {}
    if begun is None:
        found = [blob.path for blob in store.walk("") if not blob.path.startswith("_probe")]
        if found:
            raise CommitConflict(
                f"there is a lake already: {store.uri('').rstrip('/')} holds {counted(len(found), 'object')}, the first {found[0]}",
                "Nothing was changed. Restore into another LAKE_BUCKET, LAKE_ENV or LAKE_HOME, where there is none",
            )
    elif begun.get("backup") != manifest.mark:
        raise CommitConflict(
            f"backup {begun.get('number', '?')} was being restored to {store.uri('').rstrip('/')}, and is not whole",
            "Restore that one again to finish it, or another into an empty place",
        )


def _bring(run: Run, store: Store, depot: Depot, there: dict[str, int], path: str, kept: Kept) -> bool:
    """One object in its place. Whether it had to be written."""
    if there.get(path) == kept.size and digest_of(store.stream(path)) == (kept.size, kept.sha256):
        return False
    if kept.size <= _SMALL:
        try:
            content = b"".join(depot.read(kept.key))
        except NotFound:
            raise _damaged(depot, path, kept) from None
        if digest_of([content]) != (kept.size, kept.sha256):
            raise _damaged(depot, path, kept)
        store.put(path, content)
    else:
        with run.workspace("restore") as folder:
            file = folder / "object"
            try:
                with file.open("wb") as handle:
                    found = digest_of(chunk for chunk in depot.read(kept.key) if handle.write(chunk))
            except NotFound:
                raise _damaged(depot, path, kept) from None
            if found != (kept.size, kept.sha256):
                raise _damaged(depot, path, kept)
            store.upload(path, file)
    if digest_of(store.stream(path)) != (kept.size, kept.sha256):
        raise StoreError(f"{store.uri(path)} does not come back as it was written", "`lake doctor` looks the store over; restore again then")
    return True


def _damaged(depot: Depot, path: str, kept: Kept) -> StoreError:
    return StoreError(
        f"the backup is damaged: {depot.told}/{kept.key}, the content of {path}, is missing or not what was copied",
        "Restore an earlier backup with --number, or from another copy of the place; what is restored so far is gone on with",
    )
