"""Receipts: what is known of files that landed. Looked up by name or content without reading the whole history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.delta import DataFile, scan_files
from lake.feed import added_between, bounds_of
from lake.log import takes_out_rows
from lake.run import Run

LANDINGS = "system/landings"
RECEIPTS = pl.Schema(
    {
        "source": pl.String(), "name": pl.String(), "status": pl.String(), "file": pl.String(), "sha256": pl.String(),
        "size": pl.Int64(), "stored_size": pl.Int64(), "packed": pl.String(), "modified": pl.Datetime("us", "UTC"), "etag": pl.String(),
        "landed_at": pl.Datetime("us", "UTC"), "dialects": pl.String(), "run": pl.String(),
        "first_landed": pl.Datetime("us", "UTC"),
    }
)  # fmt: skip
"""A receipt: `status` is `landed`, `duplicate` for a copy under another name, or `again` for a file that is in raw already and is to be
read anew, which landed at `first_landed`; `file` is the raw object; `dialects` is JSON."""
_READ = pl.col("status").is_in(["landed", "again"])
LOOKED_UP_BY = ("source", "name")
"""The order of receipts in files put together, so that a lookup skips most of them."""
_KEPT = ["name", "size", "modified", "etag", "sha256", "file", "landed_at"]
_LOOKED_AT = ["source", "status", *_KEPT]
_BEFORE = " before"
_HELD = 50_000
"""Receipts that a run may hold, some hundreds of bytes each."""


@dataclass(frozen=True)
class Known:
    """The latest receipts of some files of a source as of a version of the landings: by name, and by content; when the last file landed, and how many receipts there are of all."""

    version: int = -1
    newest: dt.datetime | None = None
    by_name: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_content: dict[str, str] = field(default_factory=dict)
    receipts: int = 0


def look_up(run: Run, source: str, offered: pl.DataFrame) -> tuple[Known, pl.DataFrame]:
    """Those of the files `offered` (columns name, size, modified, etag) that are not known as they are, with their row `at`; and what is known under their names.

    A file is known by the latest receipt under its name, where that has its size and its entity tag or, without one, its time. Few receipts are read once
    a run, for all its sources; of many, the files whose names lie between the first and the last that is offered.
    """
    version, last = run.log(LANDINGS).head()
    newest, count = (last.last_landed, last.rows) if last else (None, 0)
    files = offered.with_row_index("at")
    if version < 0 or files.height == 0:
        return Known(version, newest), files
    ends = str(files["name"].min()), str(files["name"].max())
    found = _known(run, source, version, count, {"name": ends}).filter(pl.col("name").is_between(pl.lit(ends[0]), pl.lit(ends[1])))
    found = found.filter(pl.col("status") != "again")  # what is read anew says nothing of what its source offers
    named = found.join(files.lazy().select("name"), on="name", how="semi").select(_KEPT).collect(engine="streaming")
    latest = named.filter(pl.col("landed_at") == pl.col("landed_at").max().over("name"))
    both = files.join(latest, on="name", how="left", suffix=_BEFORE, maintain_order="left")
    tagged = pl.col("etag").is_not_null() & (pl.col("etag") != "")
    unmoved = pl.when(tagged).then(pl.col("etag") == pl.col(f"etag{_BEFORE}")).otherwise(pl.col("modified") == pl.col(f"modified{_BEFORE}"))
    new = both.filter(~((pl.col("size") == pl.col(f"size{_BEFORE}")) & unmoved).fill_null(False)).select(files.columns)
    theirs = latest.join(new.select("name"), on="name", how="semi").iter_rows(named=True)
    return Known(version, newest, {row["name"]: row for row in theirs}, receipts=count), new


def files_of(run: Run, source: str, known: Known, contents: Iterable[str]) -> dict[str, str]:
    """The raw object of each of the `contents` (sha256) that had a receipt when `known` was looked up. Where the run holds no receipts, reads two columns of the source's."""
    wanted = sorted(set(contents))
    if known.version < 0 or not wanted:
        return {}
    found = (
        _known(run, source, known.version, known.receipts, {})
        .filter(pl.col("sha256").is_in(wanted))
        .sort("landed_at")
        .select("sha256", "file")
        .collect(engine="streaming")
    )
    return dict(found.iter_rows())


def since(run: Run, source: str, known: Known, upto: int) -> Known:
    """`known` with the receipts that came until version `upto`. Reads those commits alone."""
    rows = _between(run, source, known.version, upto).filter(pl.col("status") != "again").select(_KEPT).sort("landed_at").collect().rows(named=True)
    by_name, by_content = dict(known.by_name), dict(known.by_content)
    for row in rows:
        by_name[row["name"]] = row
        by_content[row["sha256"]] = row["file"]
    return Known(upto, known.newest, by_name, by_content, known.receipts)


def receipts_between(run: Run, source: str, start: int, end: int) -> pl.DataFrame:
    """Receipts of files of `source` to be read that came in versions after `start` up to `end`, oldest first. Reads those commits alone."""
    return _between(run, source, start, end).filter(_READ).sort("landed_at").collect()


def landed_until(run: Run, source: str, version: int) -> pl.DataFrame:
    """Every receipt of a file of `source` to be read that came up to `version`, oldest first, whatever became of that version's own files."""
    log = run.log(LANDINGS)
    last = log.last_record(until=version)
    if last is None or last[1].last_landed is None:
        return pl.DataFrame(schema=RECEIPTS)
    receipts = _of(run, source, log.version(), {}).filter(_READ, pl.col("landed_at") <= pl.lit(last[1].last_landed))
    return receipts.sort("landed_at").collect(engine="streaming")


def receipt_of(run: Run, source: str, file: str) -> dict[str, Any] | None:
    """The receipt of the raw object `file`, the latest if it landed more than once."""
    found = _of(run, source, run.log(LANDINGS).version(), {}).filter(pl.col("file") == file, _READ).sort("landed_at").tail(1).collect()
    return found.row(0, named=True) if found.height else None


def named(run: Run, source: str, files: Iterable[str]) -> dict[str, str]:
    """The name under which each of the raw objects `files` landed last. Reads a few columns of the source's receipts."""
    found = _of(run, source, run.log(LANDINGS).version(), {}).filter(pl.col("file").is_in(sorted(files)), _READ)
    return dict(found.sort("landed_at").select("file", "name").collect(engine="streaming").iter_rows())


def came(receipt: dict[str, Any]) -> dt.datetime:
    """When the file of a receipt first landed."""
    at: dt.datetime = receipt["first_landed"] or receipt["landed_at"]
    return at


def every_file(run: Run, version: int) -> set[str]:
    """Every raw object that a receipt names."""
    if version < 0:
        return set()
    return set(run.snapshot(LANDINGS, version).scan().select(pl.col("file").unique()).collect(engine="streaming").to_series())


def _known(run: Run, source: str, version: int, receipts: int, bounds: dict[str, tuple[Any, Any]]) -> pl.LazyFrame:
    """What look-ups need of the source's receipts at `version`, which has so many of all sources. The run holds them from its first look on, and reads what came later."""
    if receipts > _HELD:
        return _of(run, source, version, bounds)
    if run.receipts is None:
        run.receipts = version, run.snapshot(LANDINGS, version).scan().select(_LOOKED_AT).collect(engine="streaming")
    start, held = run.receipts
    later = range(start + 1, version + 1)
    if version < start or any(takes_out_rows(run.log(LANDINGS).commit_at(one)) for one in later):
        return _of(run, source, version, bounds)
    return pl.concat([held.lazy().filter(pl.col("source") == source), _between(run, source, start, version).select(_LOOKED_AT)])


def _of(run: Run, source: str, version: int, bounds: dict[str, tuple[Any, Any]]) -> pl.LazyFrame:
    there = run.snapshot(LANDINGS, version)
    return there.scan(there.overlapping({"source": (source, source), **bounds})).filter(pl.col("source") == source)


def _between(run: Run, source: str, start: int, end: int) -> pl.LazyFrame:
    files = tuple(file for file in added_between(run.log(LANDINGS), start, end) if _may_hold(file, source))
    return scan_files(run.store, LANDINGS, RECEIPTS, files).filter(pl.col("source") == source)


def _may_hold(file: DataFile, source: str) -> bool:
    low, high = bounds_of(file, "source")
    return low is None or high is None or str(low) <= source <= str(high)
