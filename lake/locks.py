"""Advisory locks on files, which the system gives back when their process ends, however it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from lake.errors import StoreError

AVAILABLE = sys.platform != "win32"
"""Whether this system has them. Without, lake runs against a given endpoint only."""


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
