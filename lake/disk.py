"""Room on the disks that lake works on: its home (scratch space, the embedded store's data) and the folder for temporary files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lake.amounts import size
from lake.errors import DiskFull, LakeError, StoreError, of_system
from lake.settings import Settings

STORE_NEEDS = 64 << 20
"""Bytes that the embedded store needs to take anything at all."""
_LOW_SHARE, _LOW_BYTES = 0.05, 2 << 30
_MAKE_ROOM = "Free some room (`lake maintain` does, of what nothing needs), or set LAKE_HOME to another disk"


@dataclass(frozen=True)
class Disk:
    """One disk: what lake has on it, the folder, and its free and total bytes."""

    what: str
    folder: Path
    free: int
    total: int

    @property
    def low(self) -> bool:
        """Whether a large run may fill it."""
        return self.free < min(_LOW_BYTES, _LOW_SHARE * self.total)

    @property
    def told(self) -> str:
        """It in words."""
        return f"{size(self.free)} of {size(self.total)} are free where {self.folder} is ({self.what})"


def disks(settings: Settings) -> list[Disk]:
    """The disks that lake writes to, each once, under the first thing it holds. Raises LakeError where there is no folder for temporary files."""
    wanted = [("scratch space", settings.state / "spool"), ("temporary files", temporary_folder())]
    if settings.embedded:
        wanted.insert(0, ("the embedded store's data", settings.state / "store" / "data"))
    found: dict[int, Disk] = {}
    for what, folder in wanted:
        there = _nearest(folder)
        device = there.stat().st_dev
        if device not in found:
            usage = shutil.disk_usage(there)
            found[device] = Disk(what, folder if folder.exists() else there, _free(there), usage.total)
    return list(found.values())


def ensure_room(settings: Settings) -> None:
    """Raise DiskFull where a disk of lake's has less room than the reserve: what is begun there would not end well, and may take others along."""
    for disk in disks(settings):
        if disk.free < (reserve := min(settings.reserve, disk.total // 2)):
            raise DiskFull(
                f"too little room to begin: {disk.told}, and lake keeps {size(reserve)} in reserve",
                f"{_MAKE_ROOM}, then run again; nothing was written. LAKE_RESERVE says how much is kept",
            )


def full_disk(folder: Path, needed: int, what: str) -> DiskFull | None:
    """The error of a disk that has less than `needed` bytes free where `folder` is; None where it has them."""
    there = _nearest(folder)
    free = _free(there)
    if free >= needed:
        return None
    return DiskFull(f"the disk that holds {what} is full: {size(free)} are free where {folder} is", f"{_MAKE_ROOM}, and run again")


def temporary_folder() -> Path:
    """Where temporary files go. Raises HomeRefused or DiskFull where no folder takes any."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        said = os.environ.get("TMPDIR", "")
        raise DiskFull(
            f"no folder takes temporary files: {f'TMPDIR={said} does not, nor' if said else 'neither'} /tmp, /var/tmp or this one",
            "Set TMPDIR to a folder that can be written and has room",
        ) from None


@contextmanager
def local(folder: Path) -> Iterator[None]:
    """What the system refuses inside of the block, told as what it is. Raises HomeRefused, DiskFull or LakeError in its place."""
    try:
        yield
    except OSError as error:
        known = of_system(error, str(folder))
        if known is None:
            raise
        raise known from None


def cannot(error: OSError, path: str) -> LakeError:
    """The error of a local file that cannot be read or written on the way to or from the store."""
    return of_system(error, path) or StoreError(f"cannot read or write {error.filename or path}: {error.strerror or error}", "Run again; nothing was published")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _free(folder: Path) -> int:
    """Bytes that this user can still write: those that only root may are not counted."""
    return shutil.disk_usage(folder).free
