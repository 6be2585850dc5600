"""What is measured inside one process, without the start of an interpreter: `python -m tests.bench.inside WORK ARGUMENTS` prints a JSON object."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

import lake
from lake.contract import PROVENANCE, Contract
from lake.hop import Hop, changes, hop
from lake.orchestration import refresh_flow
from lake.orchestration.api import served
from lake.pipeline import Pipeline
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.store import close_stores, open_store
from lake.table import Table
from tests.bench.files import small_files


class Row(Contract):
    """A row of a small file."""

    id = dy.Int64(primary_key=True, description="Number")
    name = dy.String(nullable=False, description="Name")
    amount = dy.Float64(nullable=False, metadata={"unit": "EUR"}, description="Amount")


def _clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("id", "name", "amount", *PROVENANCE)


def _pipeline(folder: Path, pairs: int) -> Pipeline:
    """So many sources, each with a bronze and a silver table."""
    sources, hops = [], list[Hop]()
    for number in range(pairs):
        bronze, silver = Table(f"bronze.many.t{number:03}"), Table(f"silver.many.t{number:03}", Row)
        sources.append(Source(bronze, folder / f"t{number:03}", "*.csv"))
        hops.append(hop(silver, write="merge", raw=changes(bronze))(_clean))
    return Pipeline("many", sources, hops)


def _grow(folder: Path, pairs: int, number: int, rows: int = 20) -> None:
    for pair in range(pairs):
        (folder / f"t{pair:03}").mkdir(exist_ok=True)
        text = "".join(f"{number * rows + i},customer {i},{i}\n" for i in range(rows))
        (folder / f"t{pair:03}" / f"d{number:03}.csv").write_text(f"id,name,amount\n{text}", "utf-8")


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _run(pipeline: Pipeline, run: Run) -> None:
    pipeline.run(run).raise_failures()


def nothing(home: Path, tables: int) -> dict[str, float]:
    """Seconds of a run with nothing new over so many tables, in a fresh run of a process that is warm."""
    with tempfile.TemporaryDirectory() as name:
        pipeline = _pipeline(Path(name), tables // 2)
        _grow(Path(name), tables // 2, 0)
        settings = load_settings(home=home, root=Path(name))
        with begin_run(settings, "many", "bench") as run:
            _run(pipeline, run)
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            with begin_run(settings, "many", "bench") as run:
                _run(pipeline, run)
            taken.append(time.perf_counter() - started)
    return {"seconds": statistics.median(taken)}


def small(home: Path, count: int) -> dict[str, float]:
    """Seconds to land and take in `count` small files, and then ten more: the median of three times, since some commits also sum a log up."""
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "files"
        bronze = Table("bronze.small.parts")
        pipeline = Pipeline("small", [Source(bronze, files, "*.csv")], [])
        settings = load_settings(home=home, root=Path(name))
        taken = []
        for first, more in ((0, count), *((count + 10 * turn, 10) for turn in range(3))):
            small_files(files, first, more)
            with begin_run(settings, "small", "bench") as run:
                taken.append(_timed(lambda run=run: _run(pipeline, run)))  # type: ignore[misc]
    return {"all": taken[0], "ten more": statistics.median(taken[1:])}


def growth(home: Path, tables: int, increments: int) -> dict[str, float]:
    """Seconds of an increment of 1,000 rows into each of so many tables: the mean of the first ones, and of the last."""
    with tempfile.TemporaryDirectory() as name:
        pipeline = _pipeline(Path(name), tables // 2)
        settings = load_settings(home=home, root=Path(name))
        taken = []
        for number in range(increments):
            _grow(Path(name), tables // 2, number, 1000)
            with begin_run(settings, "many", "bench") as run:
                taken.append(_timed(lambda run=run: _run(pipeline, run)))  # type: ignore[misc]
            print(f"increment {number + 1} of {increments}: {taken[-1]:.2f} s", file=sys.stderr)
    few = max(1, increments // 10)
    return {"first": statistics.mean(taken[1 : few + 1]), "last": statistics.mean(taken[-few:])}


def hops(home: Path, count: int) -> dict[str, float]:
    """Seconds that one step over a tiny table costs, in plain Python and as a task of a Prefect flow whose server runs."""
    with tempfile.TemporaryDirectory() as name:
        pipeline = _pipeline(Path(name), count)
        settings = load_settings(home=home, root=Path(name))
        taken: dict[str, list[float]] = {"plain": [], "prefect": []}
        flow = refresh_flow(pipeline)
        with served():
            for number in range(4):
                _grow(Path(name), count, 2 * number)
                with begin_run(settings, "many", "bench") as run:
                    taken["plain"].append(_timed(lambda run=run: _run(pipeline, run)))  # type: ignore[misc]
                _grow(Path(name), count, 2 * number + 1)
                taken["prefect"].append(_timed(lambda: flow(return_state=True)))
    steps = len(pipeline.steps)
    return {way: statistics.median(seconds[1:]) / steps for way, seconds in taken.items()}


def read(home: Path, root: str) -> dict[str, float]:
    """Seconds to open the newest release and read gold and silver, and of Polars alone on the same files."""
    taken: dict[str, list[float]] = {"lake": [], "polars": []}
    with lake.open(home=home, root=Path(root)) as there:
        options, tables = there.store.options, ("gold.tpch.revenue", "gold.tpch.pricing", "silver.tpch.orders")
    for _ in range(7):
        started = time.perf_counter()
        with lake.open(home=home, root=Path(root)) as there:
            for table in tables:
                there[table].scan().collect()
            uris = [there.store.uri(table.replace(".", "/")) for table in tables]
            taken["lake"].append(time.perf_counter() - started)
            taken["polars"].append(_timed(lambda uris=uris: [pl.scan_delta(uri, storage_options=options).collect() for uri in uris]))  # type: ignore[misc]
    return {way: statistics.median(seconds[1:]) for way, seconds in taken.items()}


def hold(home: Path) -> dict[str, float]:
    """Keep the store running until standard input ends. First says how many GB the rows of silver's lines take in memory."""
    with lake.open(home=home, root=Path("tests/bench/orders").resolve()) as there:
        scanned = there["silver.tpch.lineitem"].scan()
        rows, some = scanned.select(pl.len()).collect().item(), scanned.head(100_000).collect()
        print(json.dumps({"GB of rows": some.estimated_size() / max(1, some.height) * rows / 1e9}), flush=True)
        sys.stdin.read()
    return {}


def agree(home: Path, root: str, floor: str) -> dict[str, float]:
    """Rows of gold that differ between lake and the floor; 0 where the two did the same work."""
    differ = 0
    by_hand = open_store(load_settings(home=Path(floor), root=Path(root)))
    with lake.open(home=home, root=Path(root)) as there:
        for table in ("revenue", "pricing"):
            ours = there[f"gold.tpch.{table}"].scan().collect()
            theirs = pl.read_delta(by_hand.uri(f"gold/{table}"), storage_options=by_hand.options).select(ours.columns)
            key = [name for name, dtype in ours.schema.items() if not dtype.is_numeric()]
            both = ours.join(theirs, on=key, how="full", suffix=" by hand")
            same = pl.all_horizontal((pl.col(name) / pl.col(f"{name} by hand") - 1).abs() < 1e-9 for name in ours.columns if name not in key)
            differ += both.filter(~same.fill_null(value=False)).height
    return {"rows that differ": differ}


def main() -> None:
    """One of the works."""
    work, home, *arguments = sys.argv[1:]
    found = {"nothing": nothing, "small": small, "growth": growth, "hops": hops, "read": read, "hold": hold, "agree": agree}[work](  # type: ignore[operator]
        Path(home), *(int(argument) if argument.isdigit() else argument for argument in arguments)
    )
    close_stores(wait=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
