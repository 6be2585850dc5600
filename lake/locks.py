"""Advisory locks on files, which the system gives back when their process ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from lake.errors import StoreError

AVAILABLE = sys.platform != "win32"
"""Whether this system has them. Without, lake runs against a given endpoint only."""


def private_folder(folder: Path) -> None:
    """Have a folder for locks, which its user alone enters: whoever can open a file, if only to read it, can lock it."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)


def take(path: Path, *, shared: bool = False, wait: bool = True) -> IO[str] | None:
    """Lock `path`, alone or `shared`; the lock lasts until the handle is closed. Without `wait`, None if somebody has it."""
    if sys.platform == "win32":
        raise StoreError("lake cannot run servers of its own on this system", "Give an endpoint: AWS_ENDPOINT_URL=https://…")
    import fcntl

    handle = path.open("a")
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        handle.close()
        return None
    return handle


def is_taken(path: Path) -> bool:
    """Whether somebody has `path` locked alone."""
    if not path.exists():
        return False
    handle = take(path, shared=True, wait=False)
    if handle is None:
        return True
    handle.close()
    return False


def is_at(handle: IO[str], path: Path) -> bool:
    """Whether the file that `handle` has open is still the one at `path`: its folder was neither removed nor moved."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except OSError:
        return False
