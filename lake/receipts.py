"""Receipts: what is known of files that landed. Looked up by name or content without reading the whole history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.delta import DataFile, scan_files
from lake.errors import NotFound
from lake.feed import added_between, bounds_of
from lake.log import takes_out_rows
from lake.place import file_of, files_meant
from lake.run import Run

LANDINGS = "system/landings"
RECEIPTS = pl.Schema(
    {
        "source": pl.String(), "name": pl.String(), "status": pl.String(), "file": pl.String(), "sha256": pl.String(),
        "size": pl.Int64(), "stored_size": pl.Int64(), "packed": pl.String(), "modified": pl.Datetime("us", "UTC"), "etag": pl.String(),
        "landed_at": pl.Datetime("us", "UTC"), "dialects": pl.String(), "run": pl.String(),
        "first_landed": pl.Datetime("us", "UTC"), "stored": pl.String(),
    }
)  # fmt: skip
"""A receipt: `status` is `landed`, `duplicate` for a copy under another name that is left out, or `again` for a file that is in raw already and is
to be read anew. `source` is that of the bronze table's first name, whatever it is called since. `first_landed` is when it came, where that was before `landed_at`; `file` is the raw object, one for each delivery; `packed` says how the file came
packed, and `stored` how raw keeps it: `zst` where lake packed it, `as it came` where not, null in receipts that were written before that was told; `dialects` is JSON."""
_READ = pl.col("status").is_in(["landed", "again"])
LOOKED_UP_BY = ("source", "name")
"""The order of receipts in files put together, so that a lookup skips most of them."""
_TOLD_BY = 5
"""So many files, the last of a source, tell how the next is written."""
_KEPT = ["name", "status", "size", "modified", "etag", "sha256", "file", "landed_at"]
_LOOKED_AT = ["source", *_KEPT]
_BEFORE = " before"
_HELD = 50_000
"""Receipts that a run may hold, some hundreds of bytes each."""


@dataclass(frozen=True)
class Known:
    """The latest receipts of some files of a source as of a version of the landings by name; the raw objects of a content, each with the name it came under;
    when the last file landed, how many receipts there are of all, and the dialects of the source's last files, newest first.
    """

    version: int = -1
    newest: dt.datetime | None = None
    by_name: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_content: dict[str, dict[str, str]] = field(default_factory=dict)
    receipts: int = 0
    dialects: tuple[str, ...] = ()


def look_up(run: Run, source: str, offered: pl.DataFrame, *, copies: bool = False) -> tuple[Known, pl.DataFrame]:
    """Those of the files `offered` (columns name, size, modified, etag) that are not known as they are, with their row `at`; and what is known under their names.

    A file is known by the latest receipt under its name, where that has its size and its entity tag or, without one, its time; where `copies` are to come in, not by
    one that says that it was left out as a copy. Few receipts are read once
    a run, for all its sources; of many, the files whose names lie between the first and the last that is offered.
    """
    version, last = run.log(LANDINGS).head()
    newest, count = (last.last_landed, last.rows) if last else (None, 0)
    run.store.names.check(f"bronze.{source}")
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
    left_out = (pl.col("status") == "duplicate") if copies else pl.lit(False)
    new = both.filter(~((pl.col("size") == pl.col(f"size{_BEFORE}")) & unmoved & ~left_out).fill_null(False)).select(files.columns)
    theirs = latest.join(new.select("name"), on="name", how="semi").iter_rows(named=True)
    told = _dialects_of(run, source, version, count) if new.height else ()
    return Known(version, newest, {row["name"]: row for row in theirs}, receipts=count, dialects=told), new


def _dialects_of(run: Run, source: str, version: int, receipts: int) -> tuple[str, ...]:
    """The dialects of the last files of the source that landed."""
    if receipts > _HELD:
        there = _of(run, source, version, {}).filter(pl.col("status") == "landed").select("landed_at", "dialects")
        last = there.top_k(_TOLD_BY, by="landed_at").collect(engine="streaming")
    else:
        last = _known(run, source, version, receipts, {}).filter(pl.col("dialects").is_not_null()).select("landed_at", "dialects").collect()
    return tuple(last.sort("landed_at", descending=True)["dialects"].head(_TOLD_BY))


def files_of(run: Run, source: str, known: Known, contents: Iterable[str]) -> dict[str, dict[str, str]]:
    """The raw objects of each of the `contents` (sha256) that had landed when `known` was looked up, oldest first, each with the name it came under.

    Where the run holds no receipts, reads some columns of the source's.
    """
    wanted = sorted(set(contents))
    if known.version < 0 or not wanted:
        return {}
    found = (
        _known(run, source, known.version, known.receipts, {})
        .filter(pl.col("sha256").is_in(wanted), pl.col("status") == "landed")
        .sort("landed_at")
        .select("sha256", "file", "name")
        .collect(engine="streaming")
    )
    files: dict[str, dict[str, str]] = {}
    for sha256, file, name in found.iter_rows():
        files.setdefault(sha256, {})[file] = name
    return files


def told_of(run: Run, source: str, names: Collection[str]) -> list[dict[str, Any]]:
    """The whole receipts, the latest of each, of the files of these names that landed; none of what is read anew. Reads the source's receipts under names like these."""
    if not names:
        return []
    version = run.log(LANDINGS).known
    there = _of(run, source, version, {"name": (min(names), max(names))}).filter(pl.col("status") != "again", pl.col("name").is_in(sorted(names)))
    latest = there.filter(pl.col("landed_at") == pl.col("landed_at").max().over("name"))
    return latest.collect(engine="streaming").rows(named=True)


def sizes_of(run: Run, source: str, known: Known, sizes: Iterable[int]) -> set[int]:
    """Those of the `sizes` in bytes that some file of the source had whose receipt was there when `known` was looked up."""
    wanted = sorted(set(sizes))
    if known.version < 0 or not wanted:
        return set()
    found = _known(run, source, known.version, known.receipts, {}).filter(pl.col("size").is_in(wanted)).select(pl.col("size").unique())
    return set(found.collect(engine="streaming").to_series())


def since(run: Run, source: str, known: Known, upto: int) -> Known:
    """`known` with the receipts that came until version `upto`. Reads those commits alone."""
    rows = _between(run, source, known.version, upto).filter(pl.col("status") != "again").select(_KEPT).sort("landed_at").collect().rows(named=True)
    by_name, by_content = dict(known.by_name), {content: dict(files) for content, files in known.by_content.items()}
    for row in rows:
        by_name[row["name"]] = row
        if row["status"] == "landed":
            by_content.setdefault(row["sha256"], {})[row["file"]] = row["name"]
    return Known(upto, known.newest, by_name, by_content, known.receipts)


def receipts_between(run: Run, source: str, start: int, end: int) -> pl.DataFrame:
    """Receipts of files of `source` to be read that came in versions after `start` up to `end`, oldest first, whatever upkeep did with their files since."""
    return _between(run, source, start, end).filter(_READ).sort("landed_at").collect()


def landed_until(run: Run, source: str, version: int) -> pl.DataFrame:
    """Every receipt of a file of `source` to be read that came up to `version`, oldest first, whatever became of that version's own files."""
    log = run.log(LANDINGS)
    last = log.last_record(until=version)
    if last is None or last[1].last_landed is None:
        return pl.DataFrame(schema=RECEIPTS)
    receipts = _of(run, source, log.version(), {}).filter(_READ, pl.col("landed_at") <= pl.lit(last[1].last_landed))
    return receipts.sort("landed_at").collect(engine="streaming")


def receipt_of(run: Run, source: str, place: str) -> dict[str, Any] | None:
    """The receipt of the raw object that `place` is in, the latest if it landed more than once."""
    found = _of(run, source, run.log(LANDINGS).version(), {}).filter(pl.col("file").is_in(files_meant([place])), _READ).sort("landed_at").collect()
    file = file_of(place, set(found["file"]))
    return found.filter(pl.col("file") == file).row(-1, named=True) if file is not None else None


def files_in(run: Run, source: str, places: Iterable[str]) -> dict[str, str]:
    """The raw object that each of the `places` is in; those that no receipt tells of are left out."""
    wanted = list(places)
    landed = _of(run, source, run.log(LANDINGS).version(), {}).filter(pl.col("file").is_in(files_meant(wanted)), _READ)
    files = set(landed.select(pl.col("file").unique()).collect(engine="streaming").to_series())
    return {place: file for place in wanted if (file := file_of(place, files)) is not None}


def named(run: Run, source: str, files: Iterable[str]) -> dict[str, str]:
    """The name under which each of the raw objects `files` landed last. Reads a few columns of the source's receipts."""
    found = _of(run, source, run.log(LANDINGS).version(), {}).filter(pl.col("file").is_in(sorted(files)), _READ)
    return dict(found.sort("landed_at").select("file", "name").collect(engine="streaming").iter_rows())


def corrected(run: Run, places: Iterable[str]) -> set[str]:
    """Those of the `places` that are in a raw object after which another landed under its name. Reads a few columns of the receipts of their sources."""
    wanted = list(places)
    version, found = run.log(LANDINGS).version(), set[str]()
    if version < 0 or not wanted:
        return found
    there = run.snapshot(LANDINGS, version)
    for kept in sorted({place.split("/")[1] for place in wanted if place.startswith("raw/")}):
        mine = there.scan(there.overlapping({"source": (kept, kept)})).filter(pl.col("source") == kept, pl.col("status") == "landed")
        names = mine.filter(pl.col("file").is_in(files_meant(wanted))).select(pl.col("name").unique())
        landed = mine.join(names, on="name", how="semi").select("name", "file", "landed_at").collect(engine="streaming")
        last = landed.filter(pl.col("landed_at") == pl.col("landed_at").max().over("name"))
        files, newest = set(landed["file"]), set(last["file"])
        found |= {place for place in wanted if (file := file_of(place, files)) is not None and file not in newest}
    return found


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
    kept = run.store.names.source(source)
    if receipts > _HELD:
        return _of(run, source, version, bounds)
    if run.receipts is None:
        run.receipts = version, _looked_at(run.snapshot(LANDINGS, version).scan()).collect(engine="streaming")
    start, held = run.receipts
    later = range(start + 1, version + 1)
    if version < start or any(takes_out_rows(run.log(LANDINGS).commit_at(one)) for one in later):
        return _of(run, source, version, bounds)
    return pl.concat([held.lazy().filter(pl.col("source") == kept), _looked_at(_between(run, source, start, version))])


def _looked_at(receipts: pl.LazyFrame) -> pl.LazyFrame:
    """What look-ups need of receipts; of the last of each source, how they were read too."""
    landed = pl.when(pl.col("status") == "landed").then(pl.col("landed_at"))
    last = landed.rank("ordinal", descending=True).over("source") <= _TOLD_BY
    return receipts.select(*_LOOKED_AT, pl.when(last).then(pl.col("dialects")).alias("dialects"))


def _of(run: Run, source: str, version: int, bounds: dict[str, tuple[Any, Any]]) -> pl.LazyFrame:
    there, source = run.snapshot(LANDINGS, version), run.store.names.source(source)
    return there.scan(there.overlapping({"source": (source, source), **bounds})).filter(pl.col("source") == source)


def _between(run: Run, source: str, start: int, end: int) -> pl.LazyFrame:
    """The source's receipts that came after version `start` up to `end`: from the files of those commits, or from the table where these were put together since."""
    log = run.log(LANDINGS)
    newest = max(end, log.known)
    if start >= 0 and not any("remove" in action for version in range(start + 1, newest + 1) for action in log.commit_at(version)):
        kept = run.store.names.source(source)
        files = tuple(file for file in added_between(log, start, end) if _may_hold(file, kept))
        return scan_files(run.store, LANDINGS, RECEIPTS, files).filter(pl.col("source") == kept)
    after, upto = _landed_by(run, start), _landed_by(run, end)
    if upto is None:
        return pl.LazyFrame(schema=RECEIPTS)
    landed = _of(run, source, newest, {}).filter(pl.col("landed_at") <= pl.lit(upto))
    return landed if after is None else landed.filter(pl.col("landed_at") > pl.lit(after))


def _landed_by(run: Run, version: int) -> dt.datetime | None:
    """When the last file landed that the version knows of: landing times only ever increase."""
    if version < 0:
        return None
    last = run.log(LANDINGS).last_record(until=version)
    if last is None:
        raise NotFound(f"the log of {LANDINGS} no longer reaches back to version {version}", "Restore it from a backup")
    return last[1].last_landed


def _may_hold(file: DataFile, source: str) -> bool:
    low, high = bounds_of(file, "source")
    return low is None or high is None or str(low) <= source <= str(high)
