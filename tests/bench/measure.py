"""What a command costs: wall and CPU seconds and peak memory of its process tree, and the CPU of the store that it uses."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.outside import outside

ROOT = Path(__file__).resolve().parents[2]
Measured = dict[str, float]
_EVERY = 0.05  # seconds


@contextmanager
def limited(size: int) -> Iterator[list[str]]:
    """What to write before a command so that it and its children get at most `size` bytes of memory, the kernel's page cache for them included.

    Raises OSError where the kernel lets nobody say so (a memory cgroup of version 1 or 2 that may be written).
    """
    first = Path("/sys/fs/cgroup/memory")
    group = (first if first.is_dir() else first.parent) / f"bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if first.is_dir() else "memory.max")).write_text(str(size))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "limited"]
    finally:
        group.rmdir()


def measure(command: list[str], home: Path, cwd: Path = ROOT, **variables: str) -> Measured:
    """Run a command with the embedded store at `home`. Seconds and GB; memory is that of all its processes without the store. Raises SystemExit if it fails.

    A child that does not run its own program yet has its parent's memory, which is counted once.
    """
    kept = outside()
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as where they are installed
    path = os.pathsep.join([str(cwd), str(ROOT)])
    before = _store_cpu(home)
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=kept | {"LAKE_HOME": str(home), "PYTHONPATH": path} | variables, stdout=subprocess.DEVNULL)
    peak, store, ended = 0.0, 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak, store
        while not ended.is_set():
            try:
                first = psutil.Process(process.pid)
                apart = [child for child in first.children(recursive=True) if "weed" not in child.name() and child.cmdline() != first.cmdline()]
                peak = max(peak, sum(each.memory_info().rss for each in (first, *apart)) / 1e9)
            except psutil.Error:
                pass
            store = max(store, _store_cpu(home))
            time.sleep(_EVERY)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return {"wall s": wall, "CPU s": usage.ru_utime + usage.ru_stime, "peak GB": peak, "store CPU s": max(0.0, store - before)}


def _store_cpu(home: Path) -> float:
    """CPU seconds that the store has used since it started; 0 where none runs."""
    try:
        used = psutil.Process(json.loads((home / "store" / "state.json").read_text("utf-8"))["pid"]).cpu_times()
    except (psutil.Error, OSError, ValueError):
        return 0.0
    return float(used.user + used.system)
