"""What a bronze table took in of a raw file: which commit did, and its rows read again from the file as that commit read them."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from lake.delta import Snapshot, schema_of
from lake.errors import LakeError
from lake.ingest import headers_of, read_again
from lake.log import TableLog, schema_of_record
from lake.record import Record
from lake.run import Run
from lake.schemas import as_declared, documents
from lake.table import Table
from lake.whereabouts import Fetched


def newest_first(log: TableLog, version: int) -> Iterator[Record]:
    """The records of files taken in, from `version` back."""
    return (record for at in range(version, -1, -1) if (record := log.record_at(at)) is not None and record.kind == "ingest")


def taking(log: TableLog, file: str, version: int, landed: dt.datetime) -> tuple[int, Record] | None:
    """Version and record of the last commit up to `version` that took rows of `file` in, which landed then.

    Commits take files in the order they landed, so about as many are read as the logarithm of their number. A file that was read anew since
    is found by reading them all.
    """
    low, high = 0, version
    while low < high:
        middle = (low + high) // 2
        last = log.last_record(until=middle)
        if last is not None and last[1].freshest is not None and last[1].freshest >= landed:
            high = middle
        else:
            low = middle + 1
    guess = log.record_at(low)
    if guess is not None and guess.kind == "ingest" and file in {one.file for one in guess.files}:
        return low, guess
    every = ((at, record) for at in range(version, -1, -1) if (record := log.record_at(at)) is not None and record.kind == "ingest")
    return next(((at, record) for at, record in every if file in {one.file for one in record.files}), None)


def _kept(run: Run, log: TableLog, then: Record, was: dict[str, Any], now: dict[str, Any]) -> dict[str, list[str]]:
    """For each column of the schema document `now`, those of `was`, the document of the record `then`, whose values it still has: a column that was dropped meanwhile lost its own."""
    found = {column["name"]: [column["name"]] for column in was["columns"]}
    numbers = range(then.schema_version + 1, now.get("version", then.schema_version))
    for document in [*documents(run.store, was["table"], numbers), now]:
        names = {column["name"] for column in document["columns"]}
        lost = {one for name, ones in found.items() for one in ones if name not in names and not any(name in c.get("former", ()) for c in document["columns"])}
        if lost and document is not now and not _was_committed(log, document, then):
            continue  # a run that died before its commit had registered it
        found = {column["name"]: [one for name in (column["name"], *column.get("former", ())) for one in found.get(name, ())] for column in document["columns"]}
    return found


def _was_committed(log: TableLog, document: dict[str, Any], then: Record) -> bool:
    """Whether a commit since the record `then` had the schema of the document."""
    since = itertools.takewhile(lambda one: one[1].schema_version > then.schema_version, log.back())
    return any(record.schema_version == document["version"] for _, record in since)


def taken_in(
    run: Run,
    table: Table,
    then: Record,
    receipt: dict[str, Any],
    there: Snapshot,
    folder: Path,
    fetched: Fetched | None = None,
    only: pl.Series | None = None,
) -> pl.LazyFrame:
    """The rows of a raw file (or of the records numbered `only`) as the commit of the record `then` took them in, with the columns that the table has now."""
    log = run.log(there.path)
    known = schema_of_record(run.store, log, then)
    newest = schema_of_record(run.store, log, (log.last_record(until=there.version) or (0, None))[1])
    if known is None or newest is None:
        raise LakeError(f"{table.name}: nothing is known of schema version {then.schema_version}", "system/schemas and the table's log were damaged")
    schema, metadata = schema_of(known[2])
    after = next((file.after for file in then.files if file.file == receipt["file"]), None)
    rows = read_again(run, as_declared(table, known[2]), receipt, schema, folder, fetched, only, after, headers_of(metadata))
    kept = _kept(run, log, then, known[2], newest[2])
    columns = []
    for name, dtype in there.schema.items():
        sources = [pl.col(was).cast(dtype) for was in kept.get(name, []) if was in schema]
        columns.append((pl.coalesce(sources) if sources else pl.lit(None, dtype=dtype)).alias(name))
    return rows.select(columns)
