"""The files of a folder that a source offers, and their bytes: plain files below it, and links to these. Nothing else is opened, whatever takes a file's place."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lake.errors import SourceError

_CHUNK = 1 << 20
_ALONE = all(hasattr(os, flag) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY")) and os.open in os.supports_dir_fd
_KINDS = {
    stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder",
}  # fmt: skip


@dataclass
class Inbox:
    """What a folder holds: files by their names below it, each with what the system says of it.

    `problems` is a word on each folder or file that could not be looked at; `passed` has by name why what is no plain file of the folder was left out.
    """

    names: list[str] = field(default_factory=list)
    stats: list[os.stat_result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    passed: dict[str, str] = field(default_factory=dict)


def look_into(top: Path, matches: Callable[[str], object], text_of: Callable[[str], str]) -> Inbox:
    """The files below a folder that match by their names from there, each looked at once. Hidden ones, and links to folders of its own, are left out.

    A link to a file of the folder is one of its files. Raises OSError where the folder itself cannot be listed.
    """
    found = Inbox()
    inside = os.path.join(os.path.realpath(top), "")
    waiting = [(os.fspath(top), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            if not prefix:
                raise
            continue  # gone meanwhile
        except OSError as error:
            if not prefix:
                raise
            why = f"cannot be listed: {error.strerror or error}. What is in it was not looked at; the next run tries again"
            found.problems.append(f"folder {text_of(prefix)} {why}")
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{name}/"))
                elif (left_out := _passed(entry, name, inside, matches)) is not None:
                    found.passed[text_of(name)] = left_out
                elif matches(name) and entry.is_file():
                    found.stats.append(entry.stat())
                    found.names.append(name)
            except FileNotFoundError:
                continue  # gone meanwhile
            except OSError as error:
                found.problems.append(f"{text_of(name)} cannot be looked at: {error.strerror or error}. The next run tries again")
    return found


def _passed(entry: os.DirEntry[str], name: str, inside: str, matches: Callable[[str], object]) -> str | None:
    """Why an entry that is no folder is not read; None where it may be, or does not match anyway."""
    if not entry.is_symlink():
        if not matches(name) or entry.is_file(follow_symlinks=False):
            return None
        return f"it is {_KINDS.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), 'no file')}, and not read"
    try:
        target = os.path.realpath(entry.path, strict=True)
    except FileNotFoundError:
        return "it is a link to nothing" if matches(name) else None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "it is a link that leads back to itself"
        raise
    if os.path.isdir(target):
        return None if f"{target}{os.sep}".startswith(inside) else "it is a link to a folder outside of the source's folder, and not followed"
    if not matches(name):
        return None
    if not target.startswith(inside):
        return "it is a link out of the source's folder, and not followed"
    mode = os.stat(target, follow_symlinks=False).st_mode
    return None if stat.S_ISREG(mode) else f"it is a link to {_KINDS.get(stat.S_IFMT(mode), 'no file')}, and not read"


def chunks_of(folder: Path, name: str, *, linked: bool = False) -> Iterator[bytes]:
    """The bytes of a file below a folder; `linked` says that the file itself was declared, so that it may be a link to anywhere.

    Raises SourceError where something else is in its place since the folder was listed, or where it changes meanwhile, and OSError where it cannot be read.
    """
    with contextlib.closing(_Opened(folder, name, linked=linked)) as opened:
        before, left = opened.stat(), opened.stat().st_size
        with os.fdopen(os.dup(opened.number), "rb", buffering=0) as handle:
            while chunk := handle.read(_CHUNK):
                yield chunk
                left -= len(chunk)
                if left < 0 < before.st_size:
                    break
        after, there = opened.stat(), (folder / name).stat()
        changed = any((before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns) for now in (after, there))
    if changed:
        raise SourceError(f"{folder / name} changed while it was read", "It is taken by the next run, when nobody writes to it")


class _Opened:
    """A plain file, opened from its folder down without following a link and without waiting for whoever may be at the other end."""

    def __init__(self, folder: Path, name: str, *, linked: bool) -> None:
        path, parts = folder / name, name.split("/")
        if linked or not _ALONE:
            self.number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        else:
            top = os.path.realpath(folder)
            if path.is_symlink():
                target = os.path.realpath(path, strict=True)
                if not target.startswith(os.path.join(top, "")):
                    raise SourceError(f"{name} became a link out of the source's folder, and is not followed", "Replace it by the file that is meant")
                parts = os.path.relpath(target, top).split(os.sep)
            self.number = _descended(top, parts, name)
        if not stat.S_ISREG(self.stat().st_mode):
            self.close()
            raise _replaced(name)

    def stat(self) -> os.stat_result:
        return os.fstat(self.number)

    def close(self) -> None:
        os.close(self.number)


def _descended(top: str, parts: list[str], name: str) -> int:
    """A descriptor of the file, each folder on the way opened from the one before."""
    at = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK, errno.ENXIO):
            raise _replaced(name) from None
        raise
    finally:
        os.close(at)


def _replaced(name: str) -> SourceError:
    return SourceError(
        f"{name} is no plain file any more: a link, a pipe or a device took its place, and is not read", "The next run looks at the folder again"
    )
