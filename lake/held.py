"""What a run holds of the store on local disk because it wrote it itself: it need not ask for that again.

Objects in the store never change under their names, so that a copy is as good as the object. Copies live as long as the run.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_MOST = 4 << 30  # bytes
_SHARE = 0.5  # of the free disk


class Held:
    """Local copies by the path of their object, up to a number of bytes; what has no room is not held."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._room = min(_MOST, int(shutil.disk_usage(folder).free * _SHARE))
        self._number = 0
        self._mutex = threading.Lock()
        self._filling: dict[str, threading.Lock] = {}

    def hold(self, path: str, file: Path) -> bool:
        """Move the local `file` here as the copy of the object at `path`, if there is room. Says whether it was moved."""
        size = file.stat().st_size
        with self._mutex:
            if path in self._files or size > self._room:
                return False
            self._room -= size
            self._number += 1
            kept = self._folder / f"{self._number}"
        os.replace(file, kept)
        with self._mutex:
            self._files[path] = kept
        return True

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more have room."""
        with self._mutex:
            return size <= self._room

    def fill(self, path: str, fetch: Callable[[], Iterable[bytes]]) -> None:
        """Keep what the object at `path` holds, unless it is held already; who asks meanwhile waits."""
        with self._mutex:
            turn = self._filling.setdefault(path, threading.Lock())
        with turn:
            with self._mutex:
                if path in self._files:
                    return
                self._number += 1
                kept = self._folder / f"{self._number}"
            with kept.open("wb") as handle:
                handle.writelines(fetch())
            with self._mutex:
                self._room -= kept.stat().st_size
                self._files[path] = kept

    def get(self, path: str) -> Path | None:
        """The copy of the object at `path`, which stays here."""
        with self._mutex:
            return self._files.get(path)

    def drop(self, path: str) -> None:
        """Make room: nobody will ask for the object at `path` again."""
        with self._mutex:
            kept = self._files.pop(path, None)
            if kept is not None:
                self._room += kept.stat().st_size
                kept.unlink()

    def take(self, path: str, into: Path) -> bool:
        """Move the copy of the object at `path` to the local path `into`, if it is held. Says whether it was."""
        with self._mutex:
            kept = self._files.pop(path, None)
            if kept is None:
                return False
            self._room += kept.stat().st_size
        os.replace(kept, into)
        return True
