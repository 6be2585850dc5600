"""Publishing: one commit that makes new data files, a schema and their record visible together, at exactly the planned version."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from lake.consumers import mark
from lake.datafile import upload_parts
from lake.delta import DataFile, checkpoint_if_due, creation, table_id
from lake.log import schema_of_record
from lake.meter import Spent, phase, telling
from lake.record import Input, Record
from lake.run import Run
from lake.schemas import SchemaVersion, column_metadata, describe, register, sketched_columns
from lake.table import Table


@dataclass(frozen=True)
class Draft:
    """What one commit will do to a table: parts to add (a local folder), files to take out or put back, change rows for the change feed.

    `moves` is False where the same rows only take another form. `aside` is True for rows beside a table, such as its rejects: what they cost is
    told by the table's own commit.
    """

    table: Table
    path: str
    base: int
    schema: pl.Schema
    parts: Path | None = None
    removed: tuple[DataFile, ...] = ()
    restored: tuple[DataFile, ...] = ()
    changed: Path | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    moves: bool = True
    aside: bool = False


def publish(run: Run, draft: Draft, previous: Record | None, about: dict[str, Any]) -> tuple[int, Record]:
    """Upload the parts and commit them as version base + 1 with the record made of `about`. Returns the version and the record.

    Raises CommitConflict if another run took that version, and RunFailed if this one was abandoned: nothing is then visible, and the
    uploaded files are orphans for maintenance to remove.
    """
    log = run.log(draft.path)
    with phase("write"):
        version = _schema_version(run, draft, previous)
        added = [
            *draft.restored,
            *(upload_parts(run.store, draft.path, draft.parts, sketched=sketched_columns(draft.path, version.document)) if draft.parts else []),
        ]
        changes = upload_parts(run.store, draft.path, draft.changed, prefix="_change_data/") if draft.changed is not None else []
    actions = [file.added(moves=draft.moves) for file in added] + [file.removed(moves=draft.moves) for file in draft.removed]
    actions += [_change_action(file) for file in changes]
    reshaped, vectors = previous is None or previous.schema_fingerprint != version.fingerprint, any(file.vector is not None for file in draft.restored)
    known = draft.base >= 0 and (reshaped or vectors) and run.snapshot(draft.path, draft.base).takes_vectors
    if reshaped or (vectors and not known):
        named = table_id(log) if draft.base >= 0 else None
        told = column_metadata(version.document)
        actions = creation(draft.table.name, draft.table.summary, draft.schema, told, table_id=named, vectors=vectors or known) + actions
    if reshaped:
        about = about | {"schema_document": version.document}
    before = previous
    with phase("commit"):
        if not draft.aside:
            mark(run.store, draft.table.name, sorted(_read(about.get("inputs", ())) - (_read(before.inputs) if before else set())))
        with contextlib.nullcontext(Spent({}, {})) if draft.aside else telling() as spent:
            record = Record(
                at=dt.datetime.now(dt.UTC), run=run.info, schema_version=version.number, schema_fingerprint=version.fingerprint,
                rows=(before.rows if before else 0) + sum(f.rows for f in added) - sum(f.rows for f in draft.removed),
                bytes=(before.bytes if before else 0) + sum(f.size for f in added) - sum(f.size for f in draft.removed),
                data_files=(before.data_files if before else 0) + len(added) - len(draft.removed),
                owner=draft.table.owner, summary=draft.table.summary,
                fresh_within_seconds=draft.table.fresh_within.total_seconds() if draft.table.fresh_within else None,
                seconds=spent.seconds, store=spent.store, **about,
            )  # fmt: skip
            run.check_goes_on()
            committed = log.commit(draft.base + 1, actions, record)
        checkpoint_if_due(run.store, draft.path, committed)
    return committed, record


def _schema_version(run: Run, draft: Draft, previous: Record | None) -> SchemaVersion:
    # lake's own tables are registered under another name than their path
    known = schema_of_record(run.store, run.log(draft.path), previous, registered=draft.table.name)
    return register(run.store, describe(draft.table, draft.schema, draft.renamed), known)


def _read(inputs: Iterable[Input]) -> set[str]:
    """The tables that a commit read, without where raw files land."""
    return {given.table for given in inputs if "/" not in given.table}


def _change_action(file: DataFile) -> dict[str, Any]:
    return {"cdc": {"path": file.path, "partitionValues": {}, "size": file.size, "dataChange": False}}
