"""What it costs to have the disk keep what is published: `python -m tests.bench.barrier`. Puts of commits, and runs of a small lake, with and without the wait."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lake.barrier import Barrier
from lake.pipeline import Pipeline
from lake.run import begin_run
from lake.settings import load_settings
from lake.store import open_store
from tests.tiny import clean_orders, source_at, sum_orders, write_orders

_PUTS, _RUNS = 40, 6


def seconds(work: Callable[[int], object], count: int) -> float:
    """The median of so many times."""
    taken = []
    for number in range(count):
        started = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    """Print a line for each, with the wait and without, one pair after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = load_settings(home=folder / "home", root=folder)
        store = open_store(settings)
        waits, none = store.barrier, Barrier(None)

        def put(number: int) -> None:
            store.put(f"data/{which}/{number}", bytes(300_000))
            store.put_if_absent(f"log/{which}/{number}", b"{}" * 2000)

        def run(number: int) -> None:
            write_orders(
                folder / "incoming", f"{which}-{number}.csv", [(n, f"c{n % 50}", "1.5", "2024-01-01") for n in range(1000 * number, 1000 * number + 1000)]
            )
            with begin_run(settings, "shop", "bench") as begun:
                begun.store.barrier = waits if waiting else none
                Pipeline("shop", [source_at(folder / "incoming")], (clean_orders, sum_orders)).run(begun).raise_failures()

        for turn in range(2):
            for waiting in (True, False):
                which = f"{turn}-{waiting}"
                store.barrier = waits if waiting else none
                puts, runs = seconds(put, _PUTS), seconds(run, _RUNS)
                print(
                    f"{'with' if waiting else 'without'}: a data file and its commit {1000 * puts:.1f} ms, a run of a file, three tables and a release {1000 * runs:.0f} ms"
                )
        store.close(wait=True)


if __name__ == "__main__":
    main()
