"""The C library's allocator: what one thread freed is there for the others."""

from __future__ import annotations

import contextlib
import ctypes
import os

_ARENA_MAX = -8  # M_ARENA_MAX in GNU's malloc.h
_SAID_BY = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


def share_freed_memory() -> None:
    """Have GNU's C library keep one arena for two cores instead of eight for each, of which every one holds on to what its own threads freed.

    It counts from the second arena on, so this is for before the first thread starts. Polars has an allocator of its own; the store's client, delta-rs
    and NumPy have not, and for them a bulk load took a sixth less memory and no more time. Where the environment says how many there may be, and with
    other C libraries, nothing is done. (https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html)
    """
    if not any(name in os.environ for name in _SAID_BY):
        with contextlib.suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).mallopt(_ARENA_MAX, max(1, (os.cpu_count() or 1) // 2))
