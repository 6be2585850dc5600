"""Landing: each file a source offers is copied as it is into raw/, once, and its receipt committed to system/landings."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from lake.compact import compact
from lake.continuing import lengths_of, related, with_beginning
from lake.copied import is_content
from lake.datafile import write_parts
from lake.deliveries import changed_names, name_of_same, new_receipts
from lake.errors import CommitConflict, LakeError, NotFound, SourceError, StoreError
from lake.landed import Landed
from lake.meter import carried, phase
from lake.portions import portions
from lake.publish import Draft, publish
from lake.reading.dialect import Dialect
from lake.reading.grown import Hashed
from lake.reading.records import examine
from lake.reading.unpack import compression_of
from lake.receipts import LANDINGS, LOOKED_UP_BY, RECEIPTS, Known, came, files_of, look_up, since, sizes_of, told_of
from lake.record import Ledger, Notice, Record, together
from lake.run import Run, backoff
from lake.source import Answer, Candidate, Source, offered, text_of
from lake.table import Table

_TABLE = Table("bronze.system.landings", owner="lake", description="A receipt for each file that landed")
_UPLOADS = 4
_ATTEMPTS = 12
_LONGEST_NAME = 200  # bytes
_PACKED = ".zst"
_PACKED_AS, _AS_IT_CAME = "zst", "as it came"
_SMALL = 1 << 20  # bytes
_FOLD_EVERY = 16  # versions
_LISTED = 20  # objects that are listed in the time of a request for one
_COPIED_AT_ONCE = 4 << 30  # bytes: stores copy no more in one request
_MOST_LISTED = 200_000  # objects whose names are held in memory
_MET = "#met"  # in a receipt that is not committed yet: whether its content was in raw before

Progress = Callable[[str, int, int], None]
"""Told of each file that was copied: its name, how many are done, and how many there are."""
Met = Callable[[str], dict[str, dt.datetime]]
"""What raw holds of a content: the objects in its folder, each with when it was written."""


def land(run: Run, source: Source, progress: Progress = lambda *_: None) -> Landed:
    """Land every file of `source` that is new or changed. A file that is there already is not read again.

    The same content under the same name lands once; under another name it is a copy, which gets a receipt as a duplicate and is not ingested
    again, or a delivery of its own, as the source declares; other content under a known name is a correction and lands as a new file. Raises SourceError if the source cannot be
    listed; a file that cannot be read is among `problems` and the rest goes on.
    """
    outcome = Landed(source.name)
    log = run.log(LANDINGS)
    with phase("plan"):
        offer = offered(source, run.store, run.settings.root)
        known, fresh = look_up(run, source.name, offer.files, copies=source.copies == "deliver")
    there_already = {name: row for name, row in known.by_name.items() if source.copies == "skip" or row["status"] != "duplicate"}
    wanted = offer.candidates(_by_age(fresh)["at"], there_already)
    outcome.known += offer.files.height - len(wanted)
    outcome.problems += offer.problems
    outcome.passed |= offer.passed
    done = itertools.count(1)

    def told(name: str) -> None:
        progress(name, next(done), len(wanted))

    there = _met(run, source, known, len(wanted))
    earlier = told_of(run, source.name, known.by_name) if source.copies == "skip" else []
    habits = [Dialect.model_validate(said) for told_by in known.dialects for said in json.loads(told_by)]
    with run.workspace(f"land-{source.name}") as folder:
        for number, (start, end) in enumerate(portions([candidate.size or 0 for candidate in wanted])):
            part = folder / f"{number}"
            part.mkdir()
            with phase("read"):
                receipts = list(_copy_all(run, source, wanted[start:end], part, outcome, told, there, earlier, habits))
            _commit(run, source, receipts, part, outcome, known)
            shutil.rmtree(part, ignore_errors=True)
            if log.version() % _FOLD_EVERY == 0:
                compact(run, LANDINGS, sort=LOOKED_UP_BY)
    outcome.version = log.version()
    outcome.new.sort()
    return outcome


def waiting(run: Run, source: Source) -> list[str]:
    """The names of files that the source offers and that have not landed as they are now, oldest first. Reads none of them; raises SourceError as `land`."""
    _, fresh = look_up(run, source.name, offered(source, run.store, run.settings.root).files, copies=source.copies == "deliver")
    return _by_age(fresh)["name"].to_list()


def waiting_files(run: Run, source: Source) -> tuple[list[str], bool]:
    """The same, and whether one of them has content that surely has not landed: by its size, since none is read."""
    known, fresh = look_up(run, source.name, offered(source, run.store, run.settings.root).files, copies=source.copies == "deliver")
    there = sizes_of(run, source.name, known, fresh["size"].drop_nulls().to_list())
    surely = any(
        size and (size not in there if (last := known.by_name.get(name)) is None else size != last["size"])
        for name, size in fresh.select("name", "size").iter_rows()
    )
    return _by_age(fresh)["name"].to_list(), surely


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


def _publish(run: Run, source: str, receipts: list[dict[str, Any]], parts: Path, version: int, before: Record | None, notices: Iterable[Notice] = ()) -> None:
    frame, newest = _stamped(receipts, before)
    write_parts(frame.lazy().sort(LOOKED_UP_BY), parts)
    ledger = Ledger(read=frame.height, inserted=frame.height)
    about = {"kind": "landing", "table": LANDINGS, "batch": f"{run.info.id}/{source}", "ledger": ledger, "last_landed": newest, "reason": source}
    about |= {"notices": together(notices)}
    publish(run, Draft(_TABLE, LANDINGS, version, RECEIPTS, parts=parts), before, about)


def _by_age(files: pl.DataFrame) -> pl.DataFrame:
    """Files that land together land in the order they were last changed, then by name."""
    return files.sort("modified", "name", nulls_last=False)


def _met(run: Run, source: Source, known: Known, offered: int) -> Met:
    """What raw holds of a content, by its folder: looked up in one listing of all where that is fewer requests than one for each file that is offered."""
    if offered < 2 or not known.receipts < min(offered * _LISTED, _MOST_LISTED):  # noqa: PLR2004  # one file is one listing
        return lambda folder: {blob.path: blob.modified for blob in run.store.walk(folder)}
    found: dict[str, dict[str, dt.datetime]] = {}
    for blob in run.store.walk(f"raw/{run.store.names.source(source.name)}"):
        found.setdefault(blob.path.rsplit("/", 1)[0], {})[blob.path] = blob.modified
    return lambda folder: found.get(folder, {})


def _copy_all(
    run: Run,
    source: Source,
    batch: list[Candidate],
    folder: Path,
    outcome: Landed,
    told: Callable[[str], None],
    there: Met,
    earlier: list[dict[str, Any]],
    habits: list[Dialect],
) -> Iterator[dict[str, Any]]:
    def copy(numbered: tuple[int, Candidate]) -> dict[str, Any] | LakeError | None:
        number, candidate = numbered
        try:
            return _copy(run, source, candidate, folder / f"{number}.plain", there, earlier, habits)
        except SourceError as error:
            return error

    with ThreadPoolExecutor(min(_UPLOADS, len(batch))) as pool:
        for candidate, result in zip(batch, pool.map(carried(copy), enumerate(batch)), strict=True):
            if isinstance(result, LakeError):
                outcome.problems.append(str(result))
            elif result is None:
                outcome.known += 1
            else:
                yield result
            told(candidate.name)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Raises SourceError, which names the file, whatever keeps it from being read; what keeps a copy from being written is raised elsewhere."""
    try:
        yield
    except (NotFound, FileNotFoundError):
        raise SourceError(f"{name} disappeared before it was read", "If it comes back, the next run takes it") from None
    except PermissionError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror or error}", "Check its permissions") from None
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror or error}", "Check the disk or share it is on; the next run tries again") from None
    except (StoreError, ValueError) as error:
        why = error.message.rstrip(".") if isinstance(error, LakeError) else str(error)
        raise SourceError(f"{name} cannot be read: {why}", "The next run tries again") from None


def _opened(name: str, candidate: Candidate) -> Iterator[bytes]:
    with _named(name):
        return iter(candidate.chunks())


def _read(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of the file."""
    while True:
        with _named(name):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _copy(run: Run, source: Source, candidate: Candidate, plain: Path, met: Met, earlier: list[dict[str, Any]], habits: list[Dialect]) -> dict[str, Any] | None:
    """Copy one file by way of `plain` into raw/ under its content's hash. Returns its receipt, without the time of landing; None where it is what landed last.

    `earlier` are the last receipts of files that changed since, of which this one may go on; `habits` the dialects of the source's last files.
    """
    name = text_of(candidate.name)
    earlier = related(earlier, name)
    digest = Hashed(lengths_of(earlier))
    with plain.open("wb") as handle:
        chunks = _opened(name, candidate)
        for chunk in _read(name, chunks):
            digest.add(chunk)
            handle.write(chunk)
    modified, etag = candidate.modified, candidate.etag
    if isinstance(chunks, Answer):
        if chunks.unchanged:
            plain.unlink()
            return None
        modified, etag = chunks.said.modified or modified, chunks.said.etag or etag
    size = digest.size
    compression = compression_of(plain)
    dialects = with_beginning(run, examine(plain, compression, candidate.name, source.hints, habits), plain, compression, digest, name, earlier)
    stored, suffix = (plain, "") if compression or not _worth_packing(dialects) else (_pack(plain), _PACKED)
    sha256 = digest.hexdigest()
    kept = run.store.names.source(source.name)
    folder = f"raw/{kept}/{sha256}"
    path = f"{folder}/{_object_name(name)}{suffix}"
    there = met(folder)
    old = path in there and dt.datetime.now(dt.UTC) - there[path] > run.settings.grace / 2  # it may be about to be tidied away
    if path not in there or old or not is_content(run.store, path, sha256):  # a copy that nobody waited for may be cut short
        run.store.put(path, stored) if isinstance(stored, bytes) else run.store.upload(path, stored)
    receipt = {
        "source": kept, "name": name, "status": "landed", "file": path, "sha256": sha256, "size": size,
        "stored": _PACKED_AS if suffix else _AS_IT_CAME, "stored_size": len(stored) if isinstance(stored, bytes) else stored.stat().st_size, "packed": compression, "modified": modified, "etag": etag,
        "dialects": json.dumps([dialect.model_dump(exclude_defaults=True) for dialect in dialects]), "run": run.info.id,
        _MET: bool(there),
    }  # fmt: skip
    if run.store.held is not None:
        run.store.held.hold(path, plain)
    for file in (plain, plain.with_suffix(_PACKED)):
        file.unlink(missing_ok=True)
    return receipt


def put_back(run: Run, source: Source, receipt: dict[str, Any], folder: Path) -> bool:
    """Put a raw object in its place again from its source, if that still offers the very content that the receipt tells of. Raises SourceError."""
    offer = offered(source, run.store, run.settings.root)
    for candidate in offer.candidates(pl.Series(range(offer.files.height), dtype=pl.UInt32)):
        if text_of(candidate.name) == receipt["name"] and candidate.size in (None, receipt["size"]):
            plain = folder / "plain"
            again = _copy(run, source, candidate, plain, lambda _: {}, [], [])
            return again is not None and (again["file"], again["sha256"]) == (receipt["file"], receipt["sha256"])
    return False


def _object_name(name: str) -> str:
    """The last part of a file's name as every store can hold it and list it: no control characters, no backslashes, and at most 200 bytes, of which the end says what it is."""
    last = re.sub(r"[\x00-\x1f\x7f\\]", "_", name.rsplit("/", 1)[-1])
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


def _commit(run: Run, source: Source, receipts: list[dict[str, Any]], folder: Path, outcome: Landed, known: Known) -> None:
    """Commit the receipts once. What another run landed since this one looked (`known`) is left out: it may be newer than what was read here."""
    met = files_of(run, source.name, known, [receipt["sha256"] for receipt in receipts if receipt[_MET]])
    looked = replace(known, by_content=met)
    receipts = [{name: receipt[name] for name in receipt if name != _MET} for receipt in receipts]
    for attempt in range(_ATTEMPTS):
        version, before = run.log(LANDINGS).head()
        now = since(run, source.name, looked, version)
        fresh, duplicates = new_receipts(receipts, now, looked.newest, deliver=source.copies == "deliver")
        copies = {receipt["name"]: next(iter(now.by_content.get(receipt["sha256"], {}).values()), "") or name_of_same(fresh, receipt) for receipt in duplicates}
        if not fresh and not duplicates:
            outcome.known += len(receipts)
            return
        try:
            _place(run, fresh, receipts, folder)
            changed = changed_names(fresh, now)
            told = [Notice(column="", what="copy", detail=of, file=name) for name, of in copies.items()]
            told += [Notice(column="", what="passed", detail=why, file=name) for name, why in outcome.passed.items()]
            told += [Notice(column="", what="grown" if of else "corrected", detail=of, file=name) for name, of in changed.items()]
            _publish(run, source.name, [*fresh, *duplicates], folder / f"receipts-{attempt}", version, before, told)
        except CommitConflict:
            backoff(attempt)
            receipts = [receipt for receipt in receipts if _is_safe(run, receipt, outcome)]
            continue
        outcome.new += [receipt["name"] for receipt in fresh]
        outcome.duplicates += [receipt["name"] for receipt in duplicates]
        outcome.copies |= copies
        outcome.changed |= changed
        outcome.known += len(receipts) - len(fresh) - len(duplicates)
        outcome.bytes += sum(receipt["size"] for receipt in fresh)
        return
    raise CommitConflict(f"receipts of {source.name} lost {_ATTEMPTS} races against other landings", "Run again; the files are already in raw")


def _is_safe(run: Run, receipt: dict[str, Any], outcome: Landed) -> bool:
    """Whether the raw object is still there and too young to be tidied away. A run that slept for a day finds out here."""
    blob = run.store.head(receipt["file"])
    if blob is not None and dt.datetime.now(dt.UTC) - blob.modified <= run.settings.grace / 2:
        return True
    outcome.problems.append(f"{receipt['name']}: its copy was tidied away while this run slept. The next run takes it")
    return False


def _place(run: Run, fresh: list[dict[str, Any]], copied: list[dict[str, Any]], folder: Path) -> None:
    """Make the raw objects of deliveries whose content is in raw under their name already."""
    there = {receipt["name"]: receipt["file"] for receipt in copied}
    for receipt in fresh:
        if (file := there[receipt["name"]]) == receipt["file"]:
            continue
        if receipt["stored_size"] < _COPIED_AT_ONCE:
            run.store.copy(file, receipt["file"])
            continue
        local = folder / "copy"
        with local.open("wb") as handle:
            handle.writelines(run.store.stream(file))
        run.store.upload(receipt["file"], local)
        local.unlink()


def _stamped(receipts: list[dict[str, Any]], last: Record | None) -> tuple[pl.DataFrame, dt.datetime]:
    """The receipts with landing times that only ever increase: the order of landing, whatever clocks say."""
    now = dt.datetime.now(dt.UTC)
    if last is not None and last.last_landed is not None and last.last_landed >= now:
        now = last.last_landed + dt.timedelta(microseconds=1)
    stamped = [receipt | {"landed_at": now + dt.timedelta(microseconds=i)} for i, receipt in enumerate(receipts)]
    return pl.DataFrame(stamped, schema=RECEIPTS), stamped[-1]["landed_at"]
