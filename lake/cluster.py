"""Clustering: rows of files whose ranges overlap are sorted into files whose ranges do not, so that who looks for some of them opens few.

As with compaction no row moves: a commit says that files are arranged anew, and changes, releases and hashes do not see it. A file much larger
than the others it overlaps is left alone, so that each row is rewritten a few times in its life and not whenever small files come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from lake.compact import rearrange
from lake.datafile import write_parts
from lake.delta import DataFile, Snapshot, scan_files
from lake.errors import CommitConflict, NotFound
from lake.run import Run

_DEPTH = 4
"""So many files over the same value are worth sorting."""
_RATIO = 4
"""A file more than so many times as large as the smaller ones together is left alone."""
_AT_ONCE = 16_000_000  # rows rewritten by one commit, about
_PIECE = 1_000_000  # rows sorted in memory


def crowd(there: Snapshot, column: str) -> tuple[DataFile, ...]:
    """The files, smallest first, that are to be sorted by `column`: those over the most crowded of its values. None where no value is crowded."""
    least, greatest = f"min.{column}", f"max.{column}"
    if not {least, greatest} <= set(there.bounds.columns):
        return ()
    wide = there.bounds.select("path", pl.col(least).alias("low"), pl.col(greatest).alias("high")).filter(pl.col("low") < pl.col("high"))
    ends = pl.concat([wide.select(at="low", step=pl.lit(1)), wide.select(at="high", step=pl.lit(-1))])
    depths = ends.sort(["at", "step"], descending=[False, True]).with_columns(depth=pl.col("step").cum_sum())  # a range holds both of its ends
    if depths.height == 0 or depths["depth"].max() < _DEPTH:  # type: ignore[operator]  # there is one
        return ()
    at = depths.sort("depth", descending=True, maintain_order=True)["at"][0]
    inside = set(wide.filter((pl.col("low") <= at) & (pl.col("high") >= at))["path"])
    chosen: list[DataFile] = []
    rows = 0
    for file in sorted((file for file in there.files if file.path in inside), key=lambda file: (file.rows, file.path)):
        if rows + file.rows > _AT_ONCE or (len(chosen) >= 1 and file.rows > _RATIO * rows):
            break
        chosen.append(file)
        rows += file.rows
    return tuple(chosen) if len(chosen) >= _DEPTH else ()


def cluster(run: Run, path: str, columns: tuple[str, ...]) -> int:
    """Sort the most crowded files of the table at `path` by `columns`, where that is due. Returns how many files went; 0 if another run was faster."""
    base, before = run.log(path).head()
    if before is None or not columns:
        return 0
    try:
        there = run.snapshot(path, base)
    except NotFound:
        return 0
    files = crowd(there, columns[0])
    if not files:
        return 0
    with run.workspace(f"cluster-{path}") as folder:
        _sorted_into(folder, scan_files(run.store, path, there.schema, files), columns, sum(file.rows for file in files), there.rows)
        try:
            rearrange(run, path, base, before, removed=files, parts=folder, why=f"{len(files)} overlapping files sorted by {', '.join(columns)}")
        except CommitConflict:
            return 0
    return len(files)


def _sorted_into(folder: Path, rows: pl.LazyFrame, columns: tuple[str, ...], count: int, of: int) -> None:
    """Write rows sorted, a range of the first column at a time, so that memory holds one range."""
    pieces = -(-count // _PIECE)
    first = pl.col(columns[0])
    cuts: list[Any] = []
    if pieces > 1:
        values = rows.select(first).drop_nulls().sort(first).collect(engine="streaming").to_series()
        cuts = values.gather([number * len(values) // pieces for number in range(1, pieces)]).unique(maintain_order=True).to_list() if len(values) else []
    for number, (low, high) in enumerate(zip([None, *cuts], [*cuts, None], strict=True)):
        inside = pl.lit(True) if low is None else first >= pl.lit(low)
        inside &= pl.lit(True) if high is None else first < pl.lit(high)
        part = rows.filter(inside | first.is_null() if low is None else inside)
        write_parts(part.sort(columns, nulls_last=False), folder / f"{number:05d}", of=of)
