"""How many arenas the C library keeps: few, in a process that imports lake first, unless the environment says otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from tests.outside import outside

_COUNT = """
import ctypes, re, tempfile, threading
import lake
import polars as pl

library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
library.malloc_info.argtypes, library.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
both = threading.Barrier(12)

def allocate():
    library.malloc(50_000)
    both.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with tempfile.NamedTemporaryFile() as told:
    stream = library.fopen(told.name.encode(), b"w")
    library.malloc_info(0, stream)
    library.fclose(stream)
    print(len(re.findall("<heap nr", told.read().decode())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
@pytest.mark.parametrize(("said", "most"), [({}, max(1, (os.cpu_count() or 1) // 2)), ({"MALLOC_ARENA_MAX": "5"}, 5)])
def test_arenas_are_few(said: dict[str, str], most: int) -> None:
    """Twelve threads that allocate at once share them."""
    done = subprocess.run([sys.executable, "-c", _COUNT], env=outside() | said, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) == most
