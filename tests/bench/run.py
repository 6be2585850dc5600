"""`make bench`: the flights from raw to gold, by lake with everything recorded and by the hand-written floor, each in a cold process.

REPEATS (default 3) says how often; the median counts. Writes bench.json (an array of objects with work, metric, value, floor,
ratio) and prints a table.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from flows.nyc.sources import published_files

ROOT = Path(__file__).resolve().parents[2]
Measured = dict[str, float]


def measure(command: list[str], home: Path) -> Measured:
    """Wall and CPU seconds and peak memory (GB) of a command with its children, without the store; and the store's own CPU."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "AWS_", "PREFECT_"))} | {"LAKE_HOME": str(home)}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    peak, store_cpu, ended = 0.0, 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak, store_cpu
        while not ended.is_set():
            try:
                tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                peak = max(peak, sum(each.memory_info().rss for each in tree) / 1e9)
                state = json.loads((home / "store" / "state.json").read_text())
                used = psutil.Process(state["pid"]).cpu_times()
                store_cpu = max(store_cpu, used.user + used.system)
            except (psutil.Error, OSError, ValueError):
                pass
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return {"wall s": wall, "CPU s": usage.ru_utime + usage.ru_stime, "peak GB": peak, "store CPU s": store_cpu}


def main() -> None:
    """Run both ways in turn, again and again, and compare medians."""
    repeats = int(os.environ.get("REPEATS", "3"))
    works: dict[str, Callable[[Path], list[str]]] = {
        "bulk": lambda _: [sys.executable, "-m", "lake", "run", "nyc", "--no-prefect"],
        "nothing new": lambda _: [sys.executable, "-m", "lake", "run", "nyc", "--no-prefect"],
    }
    found: dict[str, list[Measured]] = {"bulk": [], "nothing new": [], "floor": []}
    for turn in range(repeats):
        print(f"turn {turn + 1} of {repeats}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            for work, command in works.items():
                found[work].append(measure(command(Path(folder)), Path(folder) / "lake"))
            found["floor"].append(measure([sys.executable, "-m", "tests.bench.floor", str(published_files())], Path(folder) / "floor"))
    rows = []
    for work in works:
        for metric in found[work][0]:
            value = statistics.median(one[metric] for one in found[work])
            floor = statistics.median(one[metric] for one in found["floor"]) if work == "bulk" else None
            rows.append(
                {"work": work, "metric": metric, "value": round(value, 3), "floor": floor and round(floor, 3), "ratio": floor and round(value / floor, 2)}
            )
    (ROOT / "bench.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print("| work | metric | lake | floor | ratio |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['work']} | {row['metric']} | {row['value']} | {row['floor'] or ''} | {row['ratio'] or ''} |")


if __name__ == "__main__":
    main()
