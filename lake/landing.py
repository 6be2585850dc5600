"""Landing: each file a source offers is copied as it is into raw/, once, and its receipt committed to system/landings."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from lake.datafile import write_parts
from lake.delta import DataFile, scan_files
from lake.errors import CommitConflict, LakeError, NotFound, SourceError
from lake.feed import added_between, bounds_of
from lake.publish import Draft, publish
from lake.reading.dialect import Dialect
from lake.reading.records import examine
from lake.reading.unpack import compression_of
from lake.record import Ledger, Record
from lake.run import Run, backoff
from lake.source import Candidate, Source, candidates
from lake.table import Table

LANDINGS = "system/landings"
RECEIPTS = pl.Schema(
    {
        "source": pl.String(), "name": pl.String(), "status": pl.String(), "file": pl.String(), "sha256": pl.String(),
        "size": pl.Int64(), "stored_size": pl.Int64(), "packed": pl.String(), "modified": pl.Datetime("us", "UTC"), "etag": pl.String(),
        "landed_at": pl.Datetime("us", "UTC"), "dialects": pl.String(), "run": pl.String(),
    }
)  # fmt: skip
"""A receipt: `status` is `landed`, or `duplicate` for a copy under another name; `file` is the raw object; `dialects` is JSON."""
_TABLE = Table("bronze.system.landings", owner="lake", description="A receipt for each file that landed")
_FILES_A_COMMIT, _BYTES_A_COMMIT = 256, 1 << 29
_UPLOADS = 4
_ATTEMPTS = 12
_LONGEST_NAME = 200  # bytes

Progress = Callable[[str], None]


@dataclass
class Landed:
    """What landing one source did: names of files new, known already, and copies of known content; bytes newly stored."""

    source: str
    new: list[str] = field(default_factory=list)
    known: int = 0
    duplicates: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    bytes: int = 0
    version: int = -1


@dataclass(frozen=True)
class _Seen:
    """The latest receipts of a source, by file name and by content."""

    by_name: dict[str, dict[str, Any]]
    by_content: dict[str, str]
    newest: dt.datetime | None


def land(run: Run, source: Source, progress: Progress = lambda _: None) -> Landed:
    """Land every file of `source` that is new or changed. A file that is there already is not read again.

    The same content under the same name lands once; under another name it gets a receipt as a duplicate and is not ingested
    again; other content under a known name is a correction and lands as a new file. Raises SourceError if the source cannot be
    listed; a file that cannot be read is among `problems` and the rest goes on.
    """
    outcome = Landed(source.name)
    log = run.log(LANDINGS)
    seen = _receipts(run, source.name, log.version())
    looked = seen.newest
    offered = [candidate for candidate in candidates(source, run.store, run.settings.root) if not _is_known(candidate, seen, outcome)]
    with run.workspace(f"land-{source.name}") as folder:
        for number, batch in enumerate(_batches(sorted(offered, key=_age))):
            part = folder / f"{number}"
            part.mkdir()
            receipts = list(_copy_all(run, source, batch, part, outcome, progress))
            _commit(run, source.name, receipts, part, outcome, looked)
            shutil.rmtree(part, ignore_errors=True)
    outcome.version = log.version()
    outcome.new.sort()
    return outcome


def receipts_between(run: Run, source: str, start: int, end: int) -> pl.DataFrame:
    """Receipts of files of `source` that landed in versions after `start` up to `end`, oldest first. Reads those commits alone."""
    files = tuple(file for file in added_between(run.log(LANDINGS), start, end) if _may_hold(file, source))
    frame = scan_files(run.store, LANDINGS, RECEIPTS, files)
    return frame.filter(pl.col("source") == source, pl.col("status") == "landed").sort("landed_at").collect()


def _may_hold(file: DataFile, source: str) -> bool:
    low, high = bounds_of(file, "source")
    return low is None or high is None or str(low) <= source <= str(high)


def _receipts(run: Run, source: str, version: int) -> _Seen:
    if version < 0:
        return _Seen({}, {}, None)
    frame = run.snapshot(LANDINGS, version).scan().filter(pl.col("source") == source)
    rows = frame.select("name", "size", "modified", "etag", "sha256", "file", "landed_at").sort("landed_at").collect()
    return _Seen(
        {row["name"]: row for row in rows.iter_rows(named=True)},
        dict(zip(rows["sha256"], rows["file"], strict=True)),
        rows["landed_at"].max() if rows.height else None,  # type: ignore[arg-type]  # a datetime column's maximum
    )


def _is_known(candidate: Candidate, seen: _Seen, outcome: Landed) -> bool:
    """Whether the latest receipt under this name has the same size and time (or entity tag): then it is not read."""
    last = seen.by_name.get(candidate.name)
    if last is None or candidate.size != last["size"]:
        return False
    same = candidate.etag == last["etag"] if candidate.etag else candidate.modified is not None and candidate.modified == last["modified"]
    outcome.known += same
    return same


def _age(candidate: Candidate) -> tuple[dt.datetime, str]:
    """Files that land together land in the order they were last changed, then by name."""
    return candidate.modified or dt.datetime.min.replace(tzinfo=dt.UTC), candidate.name


def _batches(offered: list[Candidate]) -> Iterator[list[Candidate]]:
    """Files that share a commit: at most 256, and at most half a gigabyte unless one alone is larger."""
    batch: list[Candidate] = []
    size = 0
    for candidate in offered:
        if batch and (len(batch) >= _FILES_A_COMMIT or size + (candidate.size or 0) > _BYTES_A_COMMIT):
            yield batch
            batch, size = [], 0
        batch.append(candidate)
        size += candidate.size or 0
    if batch:
        yield batch


def _copy_all(run: Run, source: Source, batch: list[Candidate], folder: Path, outcome: Landed, progress: Progress) -> Iterator[dict[str, Any]]:
    def copy(numbered: tuple[int, Candidate]) -> dict[str, Any] | LakeError:
        number, candidate = numbered
        try:
            return _copy(run, source, candidate, folder / f"{number}")
        except SourceError as error:
            return error
        except NotFound:
            return SourceError(f"{candidate.name} disappeared before it was read", "If it comes back, the next run takes it")
        except PermissionError as error:
            return SourceError(f"{candidate.name} cannot be read: {error.strerror}", "Check its permissions")
        except FileNotFoundError:
            return SourceError(f"{candidate.name} disappeared before it was read", "If it comes back, the next run takes it")

    with ThreadPoolExecutor(min(_UPLOADS, len(batch))) as pool:
        for candidate, result in zip(batch, pool.map(copy, enumerate(batch)), strict=True):
            if isinstance(result, LakeError):
                outcome.problems.append(str(result))
            else:
                yield result
            progress(candidate.name)


def _copy(run: Run, source: Source, candidate: Candidate, spool: Path) -> dict[str, Any]:
    """Copy one file into raw/ under its content's hash. Returns its receipt, without the time of landing."""
    spool.mkdir()
    plain, digest, size = spool / "plain", hashlib.sha256(), 0
    with plain.open("wb") as handle:
        for chunk in candidate.chunks():
            digest.update(chunk)
            size += len(chunk)
            handle.write(chunk)
    compression = compression_of(plain)
    dialects = examine(plain, compression, candidate.name, source.hints)
    stored, suffix = (plain, "") if compression or not _worth_packing(dialects) else (_pack(plain), ".zst")
    sha256 = digest.hexdigest()
    name = candidate.name.encode("utf-8", "backslashreplace").decode("utf-8")  # a file system may hold names that are no text
    path = f"raw/{source.name}/{sha256}/{_object_name(name)}{suffix}"
    if run.store.head(path) is None:
        run.store.upload(path, stored)
    receipt = {
        "source": source.name, "name": name, "status": "landed", "file": path, "sha256": sha256, "size": size,
        "stored_size": stored.stat().st_size, "packed": compression, "modified": candidate.modified, "etag": candidate.etag,
        "dialects": json.dumps([dialect.model_dump(exclude_defaults=True) for dialect in dialects]), "run": run.info.id,
    }  # fmt: skip
    for file in (plain, stored):
        file.unlink(missing_ok=True)
    return receipt


def _object_name(name: str) -> str:
    """The last part of a file's name as a store can hold it: no control characters, and at most 200 bytes, of which the end says what it is."""
    last = re.sub(r"[\x00-\x1f\x7f]", "_", name.rsplit("/", 1)[-1])
    return last.encode("utf-8")[-_LONGEST_NAME:].decode("utf-8", "ignore")


def _worth_packing(dialects: list[Dialect]) -> bool:
    """Text shrinks several times and the store's own attempt costs more; columnar files and pictures are packed inside."""
    return any(dialect.format in ("csv", "json", "ndjson") for dialect in dialects)


def _pack(plain: Path) -> Path:
    packed = plain.with_name("packed.zst")
    with plain.open("rb") as source, packed.open("wb") as target:
        zstandard.ZstdCompressor(level=1, write_checksum=True).copy_stream(source, target)
    return packed


def _commit(run: Run, source: str, receipts: Iterable[dict[str, Any]], folder: Path, outcome: Landed, looked: dt.datetime | None) -> None:
    """Commit the receipts once. What another run landed since this one `looked` is left out: it may be newer than what was read here."""
    receipts = list(receipts)
    for attempt in range(_ATTEMPTS):
        log = run.log(LANDINGS)
        version = log.version()
        fresh, duplicates = _fresh(receipts, _receipts(run, source, version), looked)
        if not fresh and not duplicates:
            outcome.known += len(receipts)
            return
        last = log.last_record(until=version) if version >= 0 else None
        frame, newest = _stamped([*fresh, *duplicates], last[1] if last else None)
        parts = folder / f"receipts-{attempt}"
        write_parts(frame.lazy(), parts)
        ledger = Ledger(read=frame.height, inserted=frame.height)
        about = {"kind": "landing", "table": LANDINGS, "batch": f"{run.info.id}/{source}", "ledger": ledger, "last_landed": newest, "reason": source}
        try:
            publish(run, Draft(_TABLE, LANDINGS, version, RECEIPTS, parts=parts), last[1] if last else None, about)
        except CommitConflict:
            backoff(attempt)
            continue
        outcome.new += [receipt["name"] for receipt in fresh]
        outcome.duplicates += [receipt["name"] for receipt in duplicates]
        outcome.known += len(receipts) - len(fresh) - len(duplicates)
        outcome.bytes += sum(receipt["size"] for receipt in fresh)
        return
    raise CommitConflict(f"receipts of {source} lost {_ATTEMPTS} races against other landings", "Run again; the files are already in raw")


def _fresh(receipts: list[dict[str, Any]], seen: _Seen, looked: dt.datetime | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Receipts of files not landed yet, and of copies of landed content under another name; the rest is known as it is."""
    fresh, duplicates = [], []
    contents = dict(seen.by_content)
    for receipt in receipts:
        last = seen.by_name.get(receipt["name"])
        if last is not None and last["sha256"] == receipt["sha256"]:
            continue  # touched, or copied by a run that was faster
        if last is not None and (looked is None or last["landed_at"] > looked):
            continue  # landed by another run since this one looked; the next run sees what the file is now
        if last is None and receipt["sha256"] in contents:
            duplicates.append(receipt | {"status": "duplicate", "file": contents[receipt["sha256"]]})
        else:
            fresh.append(receipt)
            contents[receipt["sha256"]] = receipt["file"]
    return fresh, duplicates


def _stamped(receipts: list[dict[str, Any]], last: Record | None) -> tuple[pl.DataFrame, dt.datetime]:
    """The receipts with landing times that only ever increase: the order of landing, whatever clocks say."""
    now = dt.datetime.now(dt.UTC)
    if last is not None and last.last_landed is not None and last.last_landed >= now:
        now = last.last_landed + dt.timedelta(microseconds=1)
    stamped = [receipt | {"landed_at": now + dt.timedelta(microseconds=i)} for i, receipt in enumerate(receipts)]
    return pl.DataFrame(stamped, schema=RECEIPTS), stamped[-1]["landed_at"]
