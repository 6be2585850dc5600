"""`make bench`: lake with everything recorded beside the same work written by hand, pair by pair, each in a cold process on a store of its own.

SCALE (default 1) of the TPC-H data, REPEATS (default 3) pairs of which the median counts, WORK (default all: A B C D E F H R) chooses; FLOOR=no leaves the work by hand out of A,
which takes 7 GB of memory a scale. Writes bench.json (work, metric,
value, floor, ratio, bound, met), docs/images/bench.svg, and prints a table.

A  bulk: files → raw → bronze → silver → gold
B  deliveries after it: corrections all over, corrections of recent orders, and again after more deliveries (B_AFTER, default 20)
C  nothing new      D  many small files (D_FILES, default 5,000)      E  many increments (E_TABLES, default 10; E_INCREMENTS, default 50)
F  every hop over all rows, in less memory than they take
H  a step over a tiny table, with and without Prefect                 R  gold read through a release
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.files import deliver, generated, linked
from tests.bench.measure import ROOT, Measured, limited, measure
from tests.bench.report import Found, write_report
from tests.outside import outside

PROJECT = ROOT / "tests" / "bench" / "orders"
_LAKE = [sys.executable, "-m", "lake", "run", "tpch", "--no-prefect"]


class Bench:
    """The works, each adding what it found to `found`."""

    def __init__(self, scale: float, repeats: int, folder: Path) -> None:
        self.repeats, self.folder = repeats, folder
        self.files = generated(ROOT / "build" / "bench", scale)
        self.found: list[Found] = []
        self.by_hand = os.environ.get("FLOOR") != "no"
        self.gigabytes = 1 if scale <= 1 else 2

    def a(self) -> None:
        """Bulk, pair by pair; the last pair stays for the works after it."""
        ours, floor = [], []
        for turn in range(self.repeats):
            _say(f"A: pair {turn + 1} of {self.repeats}")
            if self.by_hand:
                floor.append(measure([sys.executable, "-m", "tests.bench.floor", "bulk", str(self.files)], self._home("floor", turn)))
            ours.append(measure(_LAKE, self._home("lake", turn), PROJECT, TPCH_FILES=str(self.files), LAKE_MEMORY=f"{self.gigabytes}GB"))
        self._compare("A bulk", ours, floor, {"wall s": 0.65})
        if self.by_hand:
            self._agree("A bulk")
        peak = statistics.median(one["peak GB"] for one in ours)
        self.found.append(Found("A bulk", "peak GB of the process tree", peak, bound=float(self.gigabytes)))

    def b(self) -> None:
        """Deliveries after the bulk, by lake and by MERGE."""
        if not self.found:
            self.a()
        last = self.repeats - 1
        files = {side: linked(self.files, self.folder / f"files-{side}") for side in ("lake", "floor")}
        number = 0

        def pair(share: float = 1.0, *, recent: bool = False, floor: bool = True) -> tuple[Measured, Measured | None]:
            nonlocal number
            number += 1
            for side in ("lake", "floor") if floor else ("lake",):
                deliver(self.files, files[side], number, share=share, recent=recent)
            ours = measure(_LAKE, self._home("lake", last), PROJECT, TPCH_FILES=str(files["lake"]))
            merge = [sys.executable, "-m", "tests.bench.floor", "merge", str(files["floor"])]
            return ours, measure(merge, self._home("floor", last)) if floor else None

        firsts = []
        for work, recent, bound in (("B spread", False, 0.6), ("B recent", True, 0.3)):
            pairs = []
            for turn in range(self.repeats):
                _say(f"{work}: pair {turn + 1} of {self.repeats}")
                pairs.append(pair(recent=recent))
            self._compare(work, [one for one, _ in pairs], [other for _, other in pairs if other], {"wall s": bound})
            firsts = firsts or [one["wall s"] for one, _ in pairs]
            self._agree(work)
        for turn in range(after := int(os.environ.get("B_AFTER", "20"))):
            _say(f"B: delivery {turn + 1} of {after} in between")
            pair(0.05, floor=False)
        again = statistics.median(pair(floor=False)[0]["wall s"] for _ in range(self.repeats))
        first = statistics.median(firsts)
        self.found.append(Found(f"B after {after} more", "wall s", again, floor=first, ratio=again / first, bound=1.2, of="B spread"))

    def c(self) -> None:
        """Nothing new."""
        for tables, bound in ((6, 1.0), (100, 3.0)):
            _say(f"C: {tables} tables")
            found = self._inside("nothing", tables)
            self.found.append(Found(f"C nothing new, {tables} tables", "s in process", found["seconds"], bound=bound))

    def d(self) -> None:
        """Many small files."""
        count = int(os.environ.get("D_FILES", "5000"))
        _say(f"D: {count} files")
        half, whole, few = (self._inside("small", each) for each in (count // 2, count, 10))
        self.found.append(Found("D small files", "files a second", count / whole["all"], bound=200, at_least=True))
        self.found.append(Found("D small files", "s a file, all against half", whole["all"] / count, floor=half["all"] / (count // 2), bound=1.2))
        self.found.append(Found("D small files", "s for ten more, against ten after ten", whole["ten more"], floor=few["ten more"], bound=1.5))

    def e(self) -> None:
        """Many increments of many tables."""
        tables, increments = int(os.environ.get("E_TABLES", "10")), int(os.environ.get("E_INCREMENTS", "50"))
        _say(f"E: {tables} tables, {increments} increments")
        found = self._inside("growth", tables, increments)
        self.found.append(Found(f"E {tables} tables × {increments}", "s an increment, last against first", found["last"], floor=found["first"], bound=1.2))

    def f(self) -> None:
        """Every hop over all rows in a process that the kernel gives less memory than the rows take; the store, which runs beside, is not limited."""
        if not self.found:
            self.a()
        home = self._home("lake", self.repeats - 1)
        _say(f"F: every hop again, within {self.gigabytes} GB")
        holding = subprocess.Popen([sys.executable, "-m", "tests.bench.inside", "hold", str(home)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            rows = json.loads((holding.stdout or sys.stdin.buffer).readline())["GB of rows"]
            with limited(self.gigabytes * 10**9) as before:
                found = measure([*before, *_LAKE, "--full"], home, PROJECT, TPCH_FILES=str(self.files), LAKE_MEMORY=f"{self.gigabytes}GB")
        except OSError as refused:
            _say(f"F is left out: no process may be given a limit of memory here ({refused})")
            return
        finally:
            holding.communicate(timeout=60)
        work = f"F {rows:.1f} GB of rows"
        self.found.append(Found(work, "wall s", found["wall s"]))
        self.found.append(Found(work, "peak GB, of which the kernel gives no more than the bound", found["peak GB"], bound=float(self.gigabytes)))

    def h(self) -> None:
        """The cost of a step."""
        _say("H: tiny steps")
        found = self._inside("hops", 10)
        self.found.append(Found("H a tiny step", "s, Prefect included", found["prefect"], bound=0.15))
        self.found.append(Found("H a tiny step", "s of it Prefect's", found["prefect"] - found["plain"]))

    def r(self) -> None:
        """Reading through a release."""
        if not self.found:
            self.a()
        _say("R: reading")
        found = self._run_inside("read", self._home("lake", self.repeats - 1), str(PROJECT))
        self.found.append(Found("R gold through a release", "s", found["lake"], floor=found["polars"], bound=1.1))

    def _agree(self, work: str) -> None:
        """Both ways must have made the same gold."""
        last = self.repeats - 1
        found = self._run_inside("agree", self._home("lake", last), str(PROJECT), str(self._home("floor", last)))
        self.found.append(Found(work, "gold rows that differ", found["rows that differ"], bound=0))

    def _home(self, side: str, turn: int) -> Path:
        return self.folder / f"{side}-{turn}"

    def _inside(self, work: str, *arguments: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=self.folder) as home:
            return self._run_inside(work, Path(home), *map(str, arguments))

    def _run_inside(self, work: str, home: Path, *arguments: str) -> dict[str, float]:
        kept = outside()
        command = [sys.executable, "-m", "tests.bench.inside", work, str(home), *arguments]
        said = subprocess.run(command, cwd=ROOT, env=kept | {"LAKE_HOME": str(home)}, check=True, stdout=subprocess.PIPE, text=True).stdout
        told: dict[str, float] = json.loads(said.splitlines()[-1])
        return told

    def _compare(self, work: str, ours: list[Measured], floor: list[Measured], bounds: dict[str, float]) -> None:
        for metric in ours[0]:
            value = statistics.median(one[metric] for one in ours)
            other = statistics.median(one[metric] for one in floor) if floor else None
            self.found.append(Found(work, metric, value, floor=other, bound=bounds.get(metric) if floor else None))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Do the works that are asked for, and report."""
    scale, repeats = float(os.environ.get("SCALE") or 1), int(os.environ.get("REPEATS") or 3)
    wanted = (os.environ.get("WORK") or "A B C D E F H R").replace(",", " ").split()
    out = Path(os.environ.get("BENCH_OUT") or ROOT)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench = Bench(scale, repeats, Path(folder))
        works: dict[str, Any] = {name.upper(): getattr(bench, name) for name in "abcdefhr"}
        for name in wanted:
            works[name.upper()]()
        print(write_report(bench.found, out, f"TPC-H scale {scale:g}, {os.cpu_count()} cores, median of {repeats}"))


if __name__ == "__main__":
    main()
