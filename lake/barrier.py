"""A barrier before what refers to other things: every file of a server that was written so far is on the disk, not in the system's memory alone.

SeaweedFS never asks for that itself: it has a setting for what its filer uploads, none for what comes by S3, and none for its own index. Its
answers come after the bytes were handed to the system, so a process of the same machine can ask in its place, file by file, for those that changed.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lake.errors import LakeError, of_system

_AT_ONCE = 8  # files
_PASSES = 5
_SYNC = getattr(os, "fdatasync", os.fsync)
_LEFT_OUT = ("LOCK", "LOG", "LOG.old")  # of the index: they say nothing that it is read from again
Seen = tuple[int, int, int]


class Barrier:
    """Of the files under `folder`, which were seen on the disk as they are; without a folder there is nothing to wait for. Threads may share one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._settled: dict[str, Seen] = {}
        self._mutex = threading.Lock()

    def settle(self) -> int:
        """Return when all that was written under the folder before is on the disk; the number of files and folders that had to be asked for.

        Raises LakeError where the disk does not take it: nothing may refer to it then.
        """
        if self.folder is None:
            return 0
        with self._mutex:
            count = 0
            for _ in range(_PASSES):
                asked, gone = self._once(str(self.folder))
                count += asked
                if not gone:  # what was put in the place of a file that went may have come after its folder was listed
                    break
            return count

    def _once(self, folder: str) -> tuple[int, bool]:
        found = dict(_files(folder))
        due = [path for path, seen in found.items() if self._settled.get(path) != seen]
        if len(due) > 1:  # asked for at once they wait together for the file system's one log
            with ThreadPoolExecutor(min(_AT_ONCE, len(due))) as pool:
                there = list(pool.map(_on_disk, due))
        else:
            there = [_on_disk(path) for path in due]
        self._settled = found
        return len(due), not all(there)


def _files(folder: str) -> Iterator[tuple[str, Seen]]:
    """Every file and folder under a folder, itself last, as it is before it is asked for: what is written after that makes it another."""
    try:
        mine = os.stat(folder)
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            about = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(about.st_mode):
            yield from _files(entry.path)
        elif stat.S_ISREG(about.st_mode) and entry.name not in _LEFT_OUT:
            yield entry.path, (about.st_ino, about.st_size, about.st_mtime_ns)
    yield folder, (mine.st_ino, mine.st_size, mine.st_mtime_ns)


def _on_disk(path: str) -> bool:
    """Wait until it is; False where it is there no more."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _refused(error, path) from None
    try:
        _SYNC(handle)
    except OSError as error:
        raise _refused(error, path) from None
    finally:
        os.close(handle)
    return True


def _refused(error: OSError, path: str) -> LakeError:
    return of_system(error, path) or LakeError(
        f"the disk does not keep what the embedded store wrote: {path}: {error.strerror or error}", "Nothing that refers to it was published; look at the disk"
    )
