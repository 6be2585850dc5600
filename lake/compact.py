"""Compaction: the same rows in fewer, larger files. A commit that says so moves no row: changes, releases and hashes do not see it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lake.datafile import rows_a_file, upload_parts, write_parts
from lake.delta import DataFile, Snapshot, checkpoint_if_due, scan_files
from lake.errors import CommitConflict, NotFound
from lake.log import schema_of_record
from lake.meter import telling
from lake.record import Ledger, Record
from lake.run import Run
from lake.schemas import is_sketched, sketched_columns
from lake.wording import counted

_FANOUT = 8
_AT_ONCE = 4_000_000  # rows rewritten by one commit, about
_SORTED_UP_TO = 1_000_000  # rows; more are kept in the order they are in


def due(files: Iterable[DataFile]) -> tuple[DataFile, ...]:
    """Files worth putting together: eight or more of about the same size. So each row is rewritten a few times in its life, not each time.

    Files as large as the table's are to be are left as they are.
    """
    files = list(files)
    enough = rows_a_file(sum(file.rows for file in files))
    tiers: dict[int, list[DataFile]] = {}
    for file in files:
        if file.rows < enough:
            tier, size = 0, file.rows
            while size >= _FANOUT:
                tier, size = tier + 1, size // _FANOUT
            tiers.setdefault(tier, []).append(file)
    for tier in sorted(tiers):
        if len(tiers[tier]) >= _FANOUT:
            chosen: list[DataFile] = []
            for file in (member for level in range(tier + 1) for member in tiers.get(level, [])):
                if sum(member.rows for member in chosen) + file.rows <= _AT_ONCE:
                    chosen.append(file)
            return tuple(chosen)
    return ()


def compact(run: Run, path: str, *, sort: tuple[str, ...] = ()) -> int:
    """Put the small files of the table at `path` together, where that is due. Returns how many files went; 0 if another run was faster."""
    base, before = run.log(path).head()
    if before is None:
        return 0
    try:
        there = run.snapshot(path, base)
    except NotFound:
        return 0
    files = due(there.files)
    if len(files) < 2:  # noqa: PLR2004  # one file is as few as there can be
        return 0
    rows = scan_files(run.store, path, there.schema, _neighbours(there, files, sort))
    small = sum(file.rows for file in files) <= _SORTED_UP_TO
    with run.workspace(f"compact-{path}") as folder:
        write_parts(rows.sort(sort) if sort and small else rows, folder, of=there.rows)
        try:
            rearrange(run, path, base, before, removed=files, parts=folder, why=f"{counted(len(files), 'small file')} put together")
        except CommitConflict:
            return 0
    return len(files)


def _neighbours(there: Snapshot, files: tuple[DataFile, ...], sort: tuple[str, ...]) -> tuple[DataFile, ...]:
    """The files in the order of the least value that each has of the first column of `sort`, so that ranges put together are next to each other."""
    least = f"min.{sort[0]}" if sort else ""
    if least not in there.bounds.columns:
        return files
    place = {file: number for number, file in enumerate(there.bounds.sort(least)["path"])}
    return tuple(sorted(files, key=lambda file: place[file.path]))


def rearrange(
    run: Run,
    path: str,
    base: int,
    before: Record,
    *,
    removed: tuple[DataFile, ...] = (),
    parts: Path | None = None,
    why: str,
    also: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Commit files in place of others, or nothing at all, as version base + 1. What the last record `before` said stays said, but for what `also` says."""
    known = schema_of_record(run.store, run.log(path), before) if parts and is_sketched(path) else None
    added = upload_parts(run.store, path, parts, sketched=sketched_columns(path, known[2]) if known else None) if parts else []
    actions = [file.added(moves=False) for file in added] + [file.removed(moves=False) for file in removed]
    with telling() as spent:
        record = before.model_copy(
            update={
                "kind": "maintenance", "batch": f"{run.info.id}/{path}", "at": dt.datetime.now(dt.UTC), "run": run.info, "reason": why, "ledger": Ledger(),
                "files": [], "rules": {}, "warned": {}, "conversions": {}, "schema_document": None, "within": None,
                "bytes": before.bytes + sum(f.size for f in added) - sum(f.size for f in removed),
                "data_files": before.data_files + len(added) - len(removed), "seconds": spent.seconds, "store": spent.store, **also,
            }
        )  # fmt: skip
        version = run.log(path).commit(base + 1, actions, record)
    checkpoint_if_due(run.store, path, version)
    return version
