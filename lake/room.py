"""Room in memory: what the steps of a run may hold at once, and from where on the engine writes what it holds to local disk."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from lake.spool import until_exit

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_SHARE = 0.25  # of the machine, where nothing else is said
_OURS = 300 << 20  # bytes that the process takes before it holds any rows
_FOR_ENGINE = 0.4  # of the memory of a run: some of what the engine holds it does not count, and some it cannot write to disk
_folder: list[Path] = []  # where this process spills, once it does


class Room:
    """So many bytes. Whoever needs more than are free waits its turn; who asks for more than there are gets all of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Hold `size` bytes of it for as long as the block lasts, after those who asked before. Whoever holds some must not ask for more: it would wait for itself."""
        size, turn = min(size, self._size), object()
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is turn and self._taken + size <= self._size)
                self._taken += size
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


def make_room(memory: int | None) -> Room:
    """The room of a run that may take so many bytes of memory; of one to which nobody said anything, a quarter of the machine."""
    if memory is None:
        return Room(int(_machine() * _SHARE))
    return Room(max(1, memory - _OURS))


def _machine() -> int:
    """Bytes of memory of this machine, or of the container it is."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            sizes.append(int(limit.read_text("ascii")))
    return min(sizes)


def spill(memory: int, spool: Path) -> None:
    """Have Polars write what joins, sorts and groups hold to local disk under `spool`, so that this process takes about `memory` bytes. What cannot be written stays.

    Polars keeps to the first folder that it was told for as long as the process lasts.
    """
    if not _folder:
        _folder.append(until_exit(spool, "spilled"))
    budget = max(1, int(memory * _FOR_ENGINE) >> 20)
    pl.Config.load(json.dumps({"environment": {"POLARS_OOC_MEMORY_BUDGET_MB": str(budget), "POLARS_OOC_SPILL_DIR": str(_folder[0])}}))
