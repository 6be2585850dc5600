"""Raw to bronze: every record of every landed file becomes a row with its raw place, or a reject with its line and reason."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.code import code_of
from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, PROVENANCE, RESCUED, ROW
from lake.datafile import parts_in, scan_parts, write_parts
from lake.delta import schema_of
from lake.errors import CommitConflict, LakeError, RejectLimitExceeded, SchemaRefused
from lake.fit import Fit, Shape, fit
from lake.growth import going_on, take_all, taken_after
from lake.intake import take_in
from lake.log import schema_of_record
from lake.meter import phase
from lake.migrate import Steps, due, migrate
from lake.outcome import Outcome
from lake.place import file_of
from lake.portions import fits
from lake.publish import Draft, publish
from lake.reading.records import examine
from lake.receipts import LANDINGS, receipts_between
from lake.record import Input, Ledger, Record, together
from lake.refusal import keep_stopped, refuse_files, stopped_batch
from lake.run import Run, backoff
from lake.source import Source
from lake.structural import keep_structure
from lake.table import Table, path_of
from lake.taken import Taken, quarantine_files, write_rejects
from lake.whereabouts import Fetched, fetched

_FINGERPRINT = "ingest-6"  # raise it when the same bytes would give other rows
_ATTEMPTS = 5
_LARGE = 8 << 20  # bytes


def ingest(run: Run, source: Source) -> list[Outcome]:
    """Bring every receipt that bronze has not consumed yet into the source's bronze table, in commits of bounded size.

    Returns one outcome for each commit, or a single one that says nothing was new. Raises RejectLimitExceeded where the table
    limits its rejects and the next commit would have more; what is committed by then stays, the rejects are kept beside it.
    """
    outcomes: list[Outcome] = []
    for attempt in range(_ATTEMPTS):
        try:
            while (outcome := _ingest_next(run, source)).changed:
                outcomes.append(outcome)
            return outcomes or [outcome]
        except CommitConflict:
            backoff(attempt)
    raise CommitConflict(f"{source.into.name} lost {_ATTEMPTS} races against other runs", "Run again")


def _ingest_next(run: Run, source: Source) -> Outcome:
    started = time.perf_counter()
    table = source.into
    base, before = run.log(path_of(table.name)).head()
    if before and (table.renamed_from or table.dropped or table.types):
        known, metadata = _known_schema(run, before)
        if steps := due(table, known):
            return migrate(run, table, base, before, steps, headers_of(metadata))
    with phase("plan"):
        start = before.inputs[0].end if before else -1
        end = run.log(LANDINGS).version()
        receipts, end = _take(receipts_between(run, source.name, start, end), run, source, start, end)
        receipts = _latest(receipts)
    scratch = run.raw is not run.store  # a replay makes the tables without a file that older releases pin
    if receipts.height == 0 and (before is not None or end < 0 or not scratch):
        return Outcome.nothing(table.name, base, before, "no new file landed" if before is not None else "no file has landed yet")
    with run.workspace(f"ingest-{table.name}") as folder:
        with phase("read"):
            done = take_all(run, source, receipts, folder, before)
        known, metadata = _known_schema(run, before)
        headers = headers_of(metadata)
        schema, done, widened = _united(table, known, done, headers)
        if before and widened:
            return migrate(run, table, base, before, Steps(widened=widened), headers)
        done, again = _without_rows_there(run, table, base, done, schema, receipts.filter(pl.col("status") == "again")["file"].to_list(), folder)
        batch = hashlib.sha256(f"{table.name} {base} {start} {end}".encode()).hexdigest()[:20]
        about: dict[str, Any] = {
            "kind": "ingest", "table": table.name, "batch": batch, "code": code_of("lake.ingest", _FINGERPRINT, run.settings.root), "write": "append",
            "mode": "incremental" if before else "full", "reason": _reason(receipts),
            "inputs": [Input(table=LANDINGS, kind="changes", start=start, end=end, rows=receipts.height)], "files": [i.consumed for i in done],
            "notices": together(notice for i in done for notice in i.with_rescues().notices),
        }  # fmt: skip
        try:
            refuse_files(run, table, about["files"])
        except RejectLimitExceeded as stop:
            write_rejects(run, done, stopped_batch(batch), folder / "stopped")
            raise keep_stopped(run, table, folder / "stopped", about, before, stop) from None
        with phase("transform"):
            content = _put_together(done, schema, folder / "all")
        there = sum(i.there for i in done)
        read_rows = sum(i.consumed.rows + i.consumed.rejects for i in done) + there
        ledger = Ledger(read=read_rows, inserted=content.rows, unchanged=there, rejected=sum(i.rejects.height for i in done))
        ledger.check(table.name)
        earlier = Content.from_hash(before.content) if before else Content()
        about |= {
            "ledger": ledger, "conversions": {k: v for i in done for k, v in i.conversions.items()},
            "content": (earlier + content).to_hash() if earlier is not None else None,
            "freshest": _freshest(receipts, before),
        }  # fmt: skip
        with phase("quarantine"):
            lines = [(item.consumed.file, item.structure) for item in done if item.structure is not None and item.accepted]
            about |= {"structure": keep_structure(run, table.name, lines, batch, folder / "structure")}
            about |= quarantine_files(run, source, done, folder, about, before, again)
        renamed = headers | {column: was for i in done for column, was in _placed(i).items() if column in schema and column not in metadata}
        version, record = publish(run, Draft(table, path_of(table.name), base, schema, parts=folder / "all", renamed=renamed), before, about)
    return Outcome.published(table.name, version, record, time.perf_counter() - started)


def read_again(
    run: Run,
    table: Table,
    receipt: dict[str, Any],
    schema: pl.Schema,
    folder: Path,
    there: Fetched | None = None,
    only: pl.Series | None = None,
    after: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> pl.LazyFrame:
    """The rows that bronze took in of a raw file, read from that file again. `table`, `schema` and `headers` (of its columns, in files) are what they were when that was done.

    The file is fetched, unless it is `there` already. `only` has the numbers of the records whose rows are wanted, `after` says how many of its first
    had come in before.
    """
    frozen = replace(table, policy="freeze", columns=tuple(name for name in schema if name not in PROVENANCE and name != RESCUED))
    done = take_in(run, table, receipt, folder / "again", there, only, after)
    return _all_rows(_united(frozen, schema, done, headers or {})[1], schema)


@dataclass(frozen=True)
class Retry:
    """What reading a raw file again would bring: `rows` that are not in the table yet, rejects that are left, and the dialects to read it by.

    `dialects` is None where nothing would change, or where it may not: `why` then says so.
    """

    name: str
    rows: int
    rejects: int
    dialects: str | None
    why: str = ""


def retry(run: Run, source: Source, receipt: dict[str, Any], rejected: pl.DataFrame) -> Retry:
    """Read the file again by the dialect that is found or declared now. `rejected` are its open rejects (`_file`, `_row`, `line`)."""
    table = source.into
    base, before = run.log(path_of(table.name)).head()
    known, metadata = _known_schema(run, before)
    with run.workspace(f"retry-{source.name}") as folder:
        local, compression = fetched(run, receipt, folder)
        dialects = going_on(examine(local, compression, receipt["name"], source.hints), receipt)
        told = json.dumps([dialect.model_dump(exclude_defaults=True) for dialect in dialects])
        done = take_in(run, table, receipt | {"dialects": told}, folder / "again", (local, compression), after=taken_after(run, table, receipt))
        schema, done, _ = _united(table, known, done, headers_of(metadata))
        try:
            done = [_without_known(run, table, base, item, schema, folder / f"new-{i}") for i, item in enumerate(done)]
        except SchemaRefused as refused:
            return Retry(receipt["name"], 0, rejected.height, None, refused.message)
        rows, rejects = sum(item.consumed.rows for item in done), pl.concat([item.rejects.select(FILE, ROW, "line") for item in done])
    same = rejects.height == rejected.height and rejects.join(rejected, on=[FILE, ROW, "line"], how="anti", nulls_equal=True).height == 0
    if rows == 0 and same:
        return Retry(receipt["name"], 0, rejects.height, None, "it reads as it did")
    return Retry(receipt["name"], rows, rejects.height, told)


def _latest(receipts: pl.DataFrame) -> pl.DataFrame:
    """The receipts without those of files that are to be read anew by a later one; if several ask for that, the last does."""
    is_again, came = pl.col("status") == "again", pl.coalesce("first_landed", "landed_at")
    receipts = receipts.filter(~is_again | (pl.col("landed_at") == pl.col("landed_at").max().over("file", "first_landed")))
    again = receipts.filter(is_again).select("file", came.alias("came"))
    earlier = receipts.filter(~is_again).with_columns(came.alias("came")).join(again, on=["file", "came"], how="semi")
    return receipts.join(earlier, on=["file", "landed_at"], how="anti", maintain_order="left")


def _freshest(receipts: pl.DataFrame, before: Record | None) -> dt.datetime | None:
    landed: Any = receipts.select(pl.coalesce("first_landed", "landed_at").max()).item()
    return max((at for at in (landed, before.freshest if before else None) if at is not None), default=None)


def _reason(receipts: pl.DataFrame) -> str:
    again = int((receipts["status"] == "again").sum())
    counts = {"new file": receipts.height - again, "file read again": again}
    return ", ".join(f"{n} {what.replace('file', 'files' if n != 1 else 'file')}" for what, n in counts.items() if n or (what == "new file" and not again))


def _without_rows_there(
    run: Run, table: Table, base: int, done: list[Taken], schema: pl.Schema, again: list[str], folder: Path
) -> tuple[list[Taken], list[str]]:
    """The files with what is new of those that are read `again`, and which these are; one that would now change what is there is left out."""
    kept: list[Taken] = []
    read, refused = set(again), set[str]()
    for i, item in enumerate(done):
        raw = file_of(item.consumed.file, read)
        if raw is None:
            kept.append(item)
            continue
        try:
            kept.append(_without_known(run, table, base, item, schema, folder / f"new-{i}"))
        except SchemaRefused:  # readmit had found that it fits; what is declared has changed since
            refused.add(raw)
    return kept, sorted(read - refused)


def _without_known(run: Run, table: Table, base: int, item: Taken, schema: pl.Schema, parts: Path) -> Taken:
    """A file that is read again, without the records that the table has of it. Raises SchemaRefused where those would be others now."""
    if base < 0:
        return item
    there = run.snapshot(path_of(table.name), base)
    held = there.scan().filter(pl.col(FILE) == item.consumed.file).unique([FILE, ROW])
    if not item.accepted or item.fit is None:
        if held.head(1).collect(engine="streaming").height:
            raise SchemaRefused(f"{item.consumed.name}: it would be rejected whole now, and records of it were taken in", "Land a corrected file beside it")
        return item
    columns = [name for name in schema if name != RESCUED]
    mine = pl.concat([_shaped(frame, item, item.fit, schema) for frame in item.frames()]).join(held.select(ROW), on=ROW, how="semi")
    had = [name for name in columns if name in there.schema]
    was, now = pl.collect_all([held.select(content_sums(had)), mine.select(content_sums(columns))], engine="streaming")
    if read_sums(was.row(0, named=True)) != read_sums(now.row(0, named=True)):
        raise SchemaRefused(f"{item.consumed.name}: records that were taken in would read otherwise now", "Land a corrected file beside it")
    rows = int(was["content_rows"].item())
    write_parts(pl.concat(item.frames() or [pl.LazyFrame(schema=item.schema)]).join(held.select(ROW), on=ROW, how="anti", maintain_order="left"), parts)
    return replace(
        item, parts=parts, held=None, content=None, there=rows, consumed=item.consumed.model_copy(update={"rows": item.consumed.rows - rows, "there": rows})
    )


def _take(receipts: pl.DataFrame, run: Run, source: Source, start: int, end: int) -> tuple[pl.DataFrame, int]:
    """As many whole landing versions as make a commit of bounded size, at least one; and the last version taken."""
    if fits(receipts.height, _bytes_of(receipts)):
        return receipts, end
    taken, upto = receipts.head(0), start
    for version in range(start + 1, end + 1):
        more = receipts_between(run, source.name, version - 1, version)
        if taken.height and more.height and not fits(taken.height + more.height, _bytes_of(taken) + _bytes_of(more)):
            break
        taken, upto = pl.concat([taken, more]), version
    return taken, upto


def _bytes_of(receipts: pl.DataFrame) -> int:
    return int(receipts["size"].sum())


def _known_schema(run: Run, before: Record | None) -> tuple[pl.Schema, dict[str, dict[str, Any]]]:
    """The table's schema as its last record names it: read from the registry, so that the table itself need not be opened."""
    if before is None:
        return pl.Schema(), {}
    found = schema_of_record(run.store, run.log(path_of(before.table)), before)
    if found is None:
        raise LakeError(f"nothing is known of schema version {before.schema_version} of {before.table}", "system/schemas and the table's log were damaged")
    return schema_of(found[2])


def headers_of(metadata: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The names that columns have in their files, where the table could not keep them."""
    return {column: said["header"] for column, said in metadata.items() if "header" in said}


def _united(table: Table, there: pl.Schema, done: list[Taken], headers: Mapping[str, str]) -> tuple[pl.Schema, list[Taken], dict[str, pl.DataType]]:
    """The table's columns with those that the files add, each file with how it fits, and the columns to be widened before it does.

    `headers` are the names that the table's columns have in files, where these are others.
    """
    known = {name: dtype for name, dtype in there.items() if name not in PROVENANCE and name != RESCUED}
    shape = Shape(known, table, new=not known, headers=headers)
    fitted: list[Taken] = []
    widened: dict[str, pl.DataType] = {}
    for item in done:
        if item.accepted:
            found = fit(shape, item.schema, item.consumed.name, item.renamed)
            item = (
                replace(item, fit=found) if found.refused is None else _refused(item, found, f"{item.consumed.name} does not fit {table.name}: {found.refused}")
            )
            shape = replace(found.shape, new=found.shape.new and not found.values)
            widened |= found.widened
        fitted.append(item)
    return pl.Schema(shape.columns | dict(PROVENANCE) | {RESCUED: pl.String()}), fitted, widened


def _placed(item: Taken) -> dict[str, str]:
    """The names in the file that columns cannot have, by the columns of the table that hold them."""
    if item.fit is None:
        return {}
    return {target: item.renamed.get(name, name) for name, target in item.fit.places.items() if item.renamed.get(name, name) != target}


def _refused(item: Taken, found: Fit, reason: str) -> Taken:
    whole = item.rejects.clear().vstack(pl.DataFrame([(item.consumed.file, None, None, None, reason)], schema=item.rejects.schema, orient="row"))
    consumed = item.consumed.model_copy(update={"rows": 0, "rejects": 1, "reason": reason})
    return replace(item, consumed=consumed, parts=None, held=None, schema=pl.Schema(), rejects=whole, renamed={}, conversions={}, fit=found)


def _put_together(done: list[Taken], schema: pl.Schema, parts: Path) -> Content:
    """The rows of all files as the parts of one commit. Large parts that are in the table's shape already stay as they are; the others are joined."""
    content, rest = Content(), []
    for number, item in enumerate(done):
        if item.parts is None or item.content is None or not _is_shaped(item, schema) or sum(p.stat().st_size for p in parts_in(item.parts)) < _LARGE:
            rest.append(item)
            continue
        parts.mkdir(exist_ok=True)
        item.parts.rename(parts / f"{number:05d}")
        content += item.content
    if any(item.accepted for item in rest) or len(rest) == len(done):
        write_parts(_all_rows(rest, schema), parts / "rest")
        sums = scan_parts(parts / "rest", schema).select(content_sums([n for n in schema if n != RESCUED])).collect(engine="streaming")
        content += read_sums(sums.row(0, named=True))
    return content


def _is_shaped(item: Taken, schema: pl.Schema) -> bool:
    """Whether the file's columns are the table's as they stand, or lack some."""
    return item.fit is not None and item.fit.plain and all(schema.get(name) == dtype for name, dtype in item.schema.items())


def _all_rows(done: list[Taken], schema: pl.Schema) -> pl.LazyFrame:
    frames = [_shaped(frame, item, item.fit, schema) for item in done if item.fit for frame in item.frames()]
    return pl.concat(frames).select(list(schema)) if frames else pl.LazyFrame(schema=schema)


def _shaped(frame: pl.LazyFrame, item: Taken, found: Fit, schema: pl.Schema) -> pl.LazyFrame:
    """The rows of a file in the table's columns; those that it lacks are null."""
    if not _is_shaped(item, schema):
        return found.frame(frame, schema)
    return frame.select(pl.col(name) if name in item.schema else pl.lit(None, dtype).alias(name) for name, dtype in schema.items())
