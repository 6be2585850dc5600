"""What tracing one row costs in a table of ten million: seconds, data files opened, bytes read. `python -m tests.bench.trace --rows 10`."""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import polars as pl

from lake.cli.render import size
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.pipeline import Pipeline
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.table import path_of
from lake.trace import reach, trace
from tests.tiny import clean_orders, orders, source_at, total, totals

_FILE = 500_000
_Of = TypeVar("_Of")
sum_by_customer: Hop = hop(totals, write="by_key", counts="orders", orders=changes(orders))(total)


def fill(run: Run, folder: Path, millions: float) -> Pipeline:
    """Orders in files of half a million, a day each; every customer orders forty times, days apart. A few are corrected by a last file."""
    flow = Pipeline("shop", [source_at(folder)], [clean_orders, sum_by_customer])
    files = max(1, int(millions * 1_000_000 / _FILE))
    customers = files * _FILE // 40
    for number in range(files):
        day = dt.date(2026, 1, 1) + dt.timedelta(days=number)
        frame = pl.select(order=pl.int_range(number * _FILE, (number + 1) * _FILE)).with_columns(
            customer=pl.format("c{}", (pl.col("order") * 7919) % customers), amount=(pl.col("order") % 1000 / 100).round(2), day=pl.lit(day.isoformat())
        )
        _bring(run, folder / f"{number:03}.csv", frame, last=number == files - 1)
        print(f"{number + 1} of {files} files", end="\r", flush=True)
    fixed = pl.select(order=pl.lit(3)).with_columns(
        customer=pl.format("c{}", (pl.col("order") * 7919) % customers), amount=pl.lit("9.99"), day=pl.lit("2026-01-01")
    )
    _bring(run, folder / "fixed.csv", fixed, last=True)
    return flow


def _bring(run: Run, path: Path, frame: pl.DataFrame, *, last: bool) -> None:
    path.parent.mkdir(exist_ok=True)
    frame.write_csv(path)
    land(run, source_at(path.parent))
    ingest(run, source_at(path.parent))
    execute(run, clean_orders)
    if last:
        execute(run, sum_by_customer)


def timed(what: str, work: Callable[[], _Of]) -> _Of:
    """The work, with how long it took."""
    begun = time.perf_counter()
    done = work()
    print(f"{what:<50} {time.perf_counter() - begun:6.2f} s")
    return done


def main() -> None:
    """Fill a lake, then trace."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.trace", description=__doc__)
    parser.add_argument("--rows", type=float, default=10, help="millions of orders")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home) / "lake")
        with begin_run(settings, "shop", "bench") as run:
            flow = timed("filling", lambda: fill(run, Path(home) / "in", told.rows))
            newest = {name: run.log(path_of(name)).version() for name in ("bronze.shop.orders", orders.name, totals.name)}
            for name, key in ((orders.name, {"order": 777_777}), (orders.name, {"order": 3}), (totals.name, {"customer": "c79190"})):
                with begin_run(settings, "shop", "bench") as fresh:
                    found = timed(f"{name} {key}", lambda fresh=fresh, name=name, key=key: trace(fresh, [flow], name, newest[name], key))  # type: ignore[misc]
                print(f"  {found.verdict_line()}; {found.read.line(size)}")
            timed("from raw: 001.csv:12345", lambda: reach(run, [flow], "001.csv:12345", newest))


if __name__ == "__main__":
    main()
