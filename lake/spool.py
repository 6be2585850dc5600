"""Folders on local disk for what lasts no longer than a step or a process; those of processes that were killed are removed by later ones."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lake.locks import AVAILABLE, take

_YOUNG = 60.0  # seconds


@contextmanager
def workspace(spool: Path, name: str) -> Iterator[Path]:
    """A folder under `spool` that is removed afterwards."""
    folder, mark = _claim(spool, name)
    try:
        yield folder
    finally:
        _give_up(folder, mark)


def until_exit(spool: Path, name: str) -> Path:
    """A folder under `spool` that is removed when this process ends."""
    folder, mark = _claim(spool, name)
    atexit.register(_give_up, folder, mark)
    return folder


def _claim(spool: Path, name: str) -> tuple[Path, IO[str] | None]:
    """A new folder, and the lock that says that somebody uses it."""
    spool.mkdir(parents=True, exist_ok=True)
    _sweep(spool)
    folder = Path(tempfile.mkdtemp(prefix=f"{name.replace('/', '.')}-", dir=spool))
    return folder, take(folder / "in-use") if AVAILABLE else None


def _give_up(folder: Path, mark: IO[str] | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if mark is not None:
        mark.close()


def _sweep(spool: Path) -> None:
    """Remove folders whose process is gone: their lock is free. Young ones may just be starting."""
    for folder in spool.iterdir() if AVAILABLE else ():
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _YOUNG and (mark := take(folder / "in-use", wait=False)) is not None:
                _give_up(folder, mark)
