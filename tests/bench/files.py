"""The files of the works: TPC-H by `tpchgen-cli`, deliveries after it, and many small files."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import polars as pl

_PARTS = {"lineitem": 6, "orders": 3, "customer": 1, "nation": 1}
_NEXT = 10_000_000  # beyond every order of scale 1, and of each delivery before


def generated(folder: Path, scale: float) -> Path:
    """The tables at a scale (1 is about a gigabyte of CSV), as CSV files in parts, a folder a table. Generated once."""
    there = folder / f"tpch-{scale:g}"
    for table, parts in _PARTS.items():
        if (there / table).exists():
            continue
        command = [str(Path(sysconfig.get_path("scripts")) / "tpchgen-cli"), "csv", "-s", f"{scale:g}", f"--tables={table}"]
        split = [f"--parts={max(parts, round(parts * scale))}"] if parts > 1 else []
        target = there / f"{table}.half" if split else there / f"{table}.half" / table
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run([*command, *split, f"--output-dir={target}"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (target / table if split else target).rename(there / table)
        (there / f"{table}.half").rmdir()
    return there


def linked(files: Path, into: Path) -> Path:
    """A folder of one's own with the same files, to which others can be added."""
    for file in sorted(files.rglob("*.csv")):
        target = into / file.relative_to(files)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)
    return into


def deliver(files: Path, into: Path, number: int, *, share: float = 1.0, recent: bool = False) -> None:
    """A delivery: `share` times one new order in a hundred with its lines, and as many times two corrected lines in a thousand, of all or of the recent twentieth."""
    lines, orders = (pl.scan_csv(files / table / "*.csv", infer_schema=False) for table in ("lineitem", "orders"))
    key = pl.col("o_orderkey").cast(pl.Int64)
    every = max(1, round(100 / share))
    new = orders.filter(key // 32 % every == number % every).with_columns((key + _NEXT * number).cast(pl.String)).collect()
    theirs = lines.with_columns((pl.col("l_orderkey").cast(pl.Int64) + _NEXT * number).cast(pl.String)).join(
        new.lazy().select("o_orderkey"), left_on="l_orderkey", right_on="o_orderkey", how="semi"
    )
    last = orders.select(key.max()).collect().item()
    old = lines.filter(pl.col("l_orderkey").cast(pl.Int64) > last * 19 // 20) if recent else lines
    count = max(1, round(lines.select(pl.len()).collect().item() * 0.002 * share))
    corrected = old.collect().sample(count, seed=number).with_columns((pl.col("l_quantity").cast(pl.Float64) + 1).cast(pl.String))
    new.write_csv(into / "orders" / f"delivery-{number:04}.csv")
    pl.concat([theirs.collect(), corrected]).write_csv(into / "lineitem" / f"delivery-{number:04}.csv")


def small_files(folder: Path, first: int, count: int) -> None:
    """Files of twenty rows each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        rows = "".join(f"{number * 20 + i},customer {i},{i * 1.25}\n" for i in range(20))
        (folder / f"part-{number:06}.csv").write_text(f"id,name,amount\n{rows}", "utf-8")
