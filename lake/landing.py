"""Landing: each file a source offers is copied as it is into raw/, once, and its receipt committed to system/landings."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from lake.compact import compact
from lake.datafile import write_parts
from lake.errors import CommitConflict, LakeError, NotFound, SourceError
from lake.meter import carried, phase
from lake.portions import portions
from lake.publish import Draft, publish
from lake.reading.dialect import Dialect
from lake.reading.records import examine
from lake.reading.unpack import compression_of
from lake.receipts import LANDINGS, LOOKED_UP_BY, RECEIPTS, Known, came, files_of, look_up, since
from lake.record import Ledger, Record
from lake.run import Run, backoff
from lake.source import Candidate, Source, offered, text_of
from lake.table import Table

_TABLE = Table("bronze.system.landings", owner="lake", description="A receipt for each file that landed")
_UPLOADS = 4
_ATTEMPTS = 12
_LONGEST_NAME = 200  # bytes
_PACKED = ".zst"
_SMALL = 1 << 20  # bytes
_FOLD_EVERY = 16  # versions
_LISTED = 20  # objects that are listed in the time of a request for one
_MOST_LISTED = 200_000  # objects whose names are held in memory
_MET = "#met"  # in a receipt that is not committed yet: whether its content was in raw before

Progress = Callable[[str, int, int], None]
"""Told of each file that was copied: its name, how many are done, and how many there are."""
Met = Callable[[str], dict[str, dt.datetime]]
"""What raw holds of a content: the objects in its folder, each with when it was written."""


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


def land(run: Run, source: Source, progress: Progress = lambda *_: None) -> Landed:
    """Land every file of `source` that is new or changed. A file that is there already is not read again.

    The same content under the same name lands once; under another name it gets a receipt as a duplicate and is not ingested
    again; other content under a known name is a correction and lands as a new file. Raises SourceError if the source cannot be
    listed; a file that cannot be read is among `problems` and the rest goes on.
    """
    outcome = Landed(source.name)
    log = run.log(LANDINGS)
    with phase("plan"):
        offer = offered(source, run.store, run.settings.root)
        known, fresh = look_up(run, source.name, offer.files)
    wanted = offer.candidates(_by_age(fresh)["at"])
    outcome.known += offer.files.height - len(wanted)
    done = itertools.count(1)

    def told(name: str) -> None:
        progress(name, next(done), len(wanted))

    there = _met(run, source, known, len(wanted))
    with run.workspace(f"land-{source.name}") as folder:
        for number, (start, end) in enumerate(portions([candidate.size or 0 for candidate in wanted])):
            part = folder / f"{number}"
            part.mkdir()
            with phase("read"):
                receipts = list(_copy_all(run, source, wanted[start:end], part, outcome, told, there))
            _commit(run, source.name, receipts, part, outcome, known)
            shutil.rmtree(part, ignore_errors=True)
            if log.version() % _FOLD_EVERY == 0:
                compact(run, LANDINGS, sort=LOOKED_UP_BY)
    outcome.version = log.version()
    outcome.new.sort()
    return outcome


def waiting(run: Run, source: Source) -> list[str]:
    """The names of files that the source offers and that have not landed as they are now, oldest first. Reads none of them; raises SourceError as `land`."""
    _, fresh = look_up(run, source.name, offered(source, run.store, run.settings.root).files)
    return _by_age(fresh)["name"].to_list()


def recall(run: Run, source: Source, receipts: list[dict[str, Any]]) -> None:
    """Commit further receipts for files that are in raw already, so that the next ingest reads them again, by the dialects that these name."""
    again = [receipt | {"status": "again", "first_landed": came(receipt), "run": run.info.id} for receipt in receipts]
    for attempt in range(_ATTEMPTS):
        version, before = run.log(LANDINGS).head()
        try:
            with run.workspace(f"recall-{source.name}") as folder:
                _publish(run, source.name, again, folder / "receipts", version, before)
            return
        except CommitConflict:
            backoff(attempt)
    raise CommitConflict(f"receipts of {source.name} lost {_ATTEMPTS} races against other landings", "Run again")


def _publish(run: Run, source: str, receipts: list[dict[str, Any]], parts: Path, version: int, before: Record | None) -> None:
    frame, newest = _stamped(receipts, before)
    write_parts(frame.lazy().sort(LOOKED_UP_BY), parts)
    ledger = Ledger(read=frame.height, inserted=frame.height)
    about = {"kind": "landing", "table": LANDINGS, "batch": f"{run.info.id}/{source}", "ledger": ledger, "last_landed": newest, "reason": source}
    publish(run, Draft(_TABLE, LANDINGS, version, RECEIPTS, parts=parts), before, about)


def _by_age(files: pl.DataFrame) -> pl.DataFrame:
    """Files that land together land in the order they were last changed, then by name."""
    return files.sort("modified", "name", nulls_last=False)


def _met(run: Run, source: Source, known: Known, offered: int) -> Met:
    """What raw holds of a content, by its folder: looked up in one listing of all where that is fewer requests than one for each file that is offered."""
    if offered < 2 or not known.receipts < min(offered * _LISTED, _MOST_LISTED):  # noqa: PLR2004  # one file is one listing
        return lambda folder: {blob.path: blob.modified for blob in run.store.walk(folder)}
    found: dict[str, dict[str, dt.datetime]] = {}
    for blob in run.store.walk(f"raw/{source.name}"):
        found.setdefault(blob.path.rsplit("/", 1)[0], {})[blob.path] = blob.modified
    return lambda folder: found.get(folder, {})


def _copy_all(
    run: Run, source: Source, batch: list[Candidate], folder: Path, outcome: Landed, told: Callable[[str], None], there: Met
) -> Iterator[dict[str, Any]]:
    def copy(numbered: tuple[int, Candidate]) -> dict[str, Any] | LakeError:
        number, candidate = numbered
        try:
            return _copy(run, source, candidate, folder / f"{number}.plain", there)
        except SourceError as error:
            return error
        except NotFound:
            return SourceError(f"{candidate.name} disappeared before it was read", "If it comes back, the next run takes it")
        except PermissionError as error:
            return SourceError(f"{candidate.name} cannot be read: {error.strerror}", "Check its permissions")
        except FileNotFoundError:
            return SourceError(f"{candidate.name} disappeared before it was read", "If it comes back, the next run takes it")

    with ThreadPoolExecutor(min(_UPLOADS, len(batch))) as pool:
        for candidate, result in zip(batch, pool.map(carried(copy), enumerate(batch)), strict=True):
            if isinstance(result, LakeError):
                outcome.problems.append(str(result))
            else:
                yield result
            told(candidate.name)


def _copy(run: Run, source: Source, candidate: Candidate, plain: Path, met: Met) -> dict[str, Any]:
    """Copy one file by way of `plain` into raw/ under its content's hash. Returns its receipt, without the time of landing."""
    digest, size = hashlib.sha256(), 0
    with plain.open("wb") as handle:
        for chunk in candidate.chunks():
            digest.update(chunk)
            size += len(chunk)
            handle.write(chunk)
    compression = compression_of(plain)
    dialects = examine(plain, compression, candidate.name, source.hints)
    stored, suffix = (plain, "") if compression or not _worth_packing(dialects) else (_pack(plain), _PACKED)
    sha256 = digest.hexdigest()
    name = text_of(candidate.name)
    folder = f"raw/{source.name}/{sha256}"
    path = f"{folder}/{_object_name(name)}{suffix}"
    there = met(folder)
    if path not in there or dt.datetime.now(dt.UTC) - there[path] > run.settings.grace / 2:  # one as old as that may be about to be tidied away
        run.store.put(path, stored) if isinstance(stored, bytes) else run.store.upload(path, stored)
    receipt = {
        "source": source.name, "name": name, "status": "landed", "file": path, "sha256": sha256, "size": size,
        "stored_size": len(stored) if isinstance(stored, bytes) else stored.stat().st_size, "packed": compression, "modified": candidate.modified, "etag": candidate.etag,
        "dialects": json.dumps([dialect.model_dump(exclude_defaults=True) for dialect in dialects]), "run": run.info.id,
        _MET: bool(there),
    }  # fmt: skip
    if run.store.held is not None:
        run.store.held.hold(path, plain)
    for file in (plain, plain.with_suffix(_PACKED)):
        file.unlink(missing_ok=True)
    return receipt


def _object_name(name: str) -> str:
    """The last part of a file's name as a store can hold it: no control characters, and at most 200 bytes, of which the end says what it is."""
    last = re.sub(r"[\x00-\x1f\x7f]", "_", name.rsplit("/", 1)[-1])
    return last.encode("utf-8")[-_LONGEST_NAME:].decode("utf-8", "ignore")


def _worth_packing(dialects: list[Dialect]) -> bool:
    """Text shrinks several times and the store's own attempt costs more; columnar files and pictures are packed inside."""
    return any(dialect.format in ("csv", "json", "ndjson") for dialect in dialects)


def _pack(plain: Path) -> Path | bytes:
    """The file packed: beside it, or in memory where it is small, since a file system takes longer to make and remove a file than to fill it."""
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
    if plain.stat().st_size <= _SMALL:
        return compressor.compress(plain.read_bytes())
    packed = plain.with_suffix(_PACKED)
    with plain.open("rb") as source, packed.open("wb") as target:
        compressor.copy_stream(source, target)
    return packed


def _commit(run: Run, source: str, receipts: list[dict[str, Any]], folder: Path, outcome: Landed, known: Known) -> None:
    """Commit the receipts once. What another run landed since this one looked (`known`) is left out: it may be newer than what was read here."""
    met = files_of(run, source, known, [receipt["sha256"] for receipt in receipts if receipt[_MET]])
    looked = replace(known, by_content=met)
    receipts = [{name: receipt[name] for name in receipt if name != _MET} for receipt in receipts]
    for attempt in range(_ATTEMPTS):
        version, before = run.log(LANDINGS).head()
        now = since(run, source, looked, version)
        fresh, duplicates = _fresh(receipts, now, looked.newest)
        if not fresh and not duplicates:
            outcome.known += len(receipts)
            return
        try:
            _publish(run, source, [*fresh, *duplicates], folder / f"receipts-{attempt}", version, before)
        except CommitConflict:
            backoff(attempt)
            receipts = [receipt for receipt in receipts if _is_safe(run, receipt, outcome)]
            continue
        outcome.new += [receipt["name"] for receipt in fresh]
        outcome.duplicates += [receipt["name"] for receipt in duplicates]
        outcome.known += len(receipts) - len(fresh) - len(duplicates)
        outcome.bytes += sum(receipt["size"] for receipt in fresh)
        return
    raise CommitConflict(f"receipts of {source} lost {_ATTEMPTS} races against other landings", "Run again; the files are already in raw")


def _is_safe(run: Run, receipt: dict[str, Any], outcome: Landed) -> bool:
    """Whether the raw object is still there and too young to be tidied away. A run that slept for a day finds out here."""
    blob = run.store.head(receipt["file"])
    if blob is not None and dt.datetime.now(dt.UTC) - blob.modified <= run.settings.grace / 2:
        return True
    outcome.problems.append(f"{receipt['name']}: its copy was tidied away while this run slept. The next run takes it")
    return False


def _fresh(receipts: list[dict[str, Any]], known: Known, looked: dt.datetime | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Receipts of files not landed yet, and of copies of landed content under another name; the rest is known as it is."""
    fresh, duplicates = [], []
    contents = dict(known.by_content)
    for receipt in receipts:
        last = known.by_name.get(receipt["name"])
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
