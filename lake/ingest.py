"""Raw to bronze: every record of every landed file becomes a row with its raw place, or a reject with its line and reason."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.code import code_of
from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, LANDED, PROVENANCE, RESCUED, ROW
from lake.datafile import parts_in, scan_parts, write_parts
from lake.delta import schema_of
from lake.dtypes import gate
from lake.errors import CommitConflict, DiskFull, DTypeRefused, FileRejected, LakeError, RejectLimitExceeded, SchemaRefused, translated
from lake.fit import Fit, Shape, fit
from lake.log import schema_of_record
from lake.meter import phase
from lake.migrate import Steps, due, migrate
from lake.outcome import Outcome
from lake.portions import fits
from lake.publish import Draft, publish
from lake.reading.delimited import Parsed
from lake.reading.dialect import Dialect
from lake.reading.records import examine, read_member
from lake.reading.unpack import Compression
from lake.receipts import LANDINGS, came, receipts_between
from lake.record import ConsumedFile, Input, Ledger, Record, together
from lake.refusal import keep_stopped, refuse_files, stopped_batch
from lake.run import Run, backoff
from lake.source import Source
from lake.table import Table, path_of
from lake.taken import Taken, quarantine_files, write_rejects

_FINGERPRINT = "ingest-3"  # raise it when the same bytes would give other rows
_ATTEMPTS = 5
Fetched = tuple[Path, Compression | None]
"""A raw file on local disk, and how it is packed."""


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
            return migrate(run, table, base, before, steps, _headers(metadata))
    with phase("plan"):
        start = before.inputs[0].end if before else -1
        end = run.log(LANDINGS).version()
        receipts, end = _take(receipts_between(run, source.name, start, end), run, source, start, end)
        receipts = _latest(receipts)
    if receipts.height == 0 and (before is not None or end < 0):
        return Outcome.nothing(table.name, base, before, "no new file landed")
    with run.workspace(f"ingest-{table.name}") as folder:
        with phase("read"):
            done = [item for i, receipt in enumerate(receipts.iter_rows(named=True)) for item in _ingest_file(run, table, receipt, folder / f"{i}")]
        known, metadata = _known_schema(run, before)
        headers = _headers(metadata)
        schema, done, widened = _united(table, known, done)
        if before and widened:
            return migrate(run, table, base, before, Steps(widened=widened), headers)
        done, again = _without_rows_there(run, table, base, done, schema, receipts.filter(pl.col("status") == "again")["file"].to_list(), folder)
        batch = hashlib.sha256(f"{table.name} {base} {start} {end}".encode()).hexdigest()[:20]
        about: dict[str, Any] = {
            "kind": "ingest", "table": table.name, "batch": batch, "code": code_of("lake.ingest", _FINGERPRINT, run.settings.root), "write": "append",
            "mode": "incremental" if before else "full", "reason": _reason(receipts),
            "inputs": [Input(table=LANDINGS, kind="changes", start=start, end=end, rows=receipts.height)], "files": [i.consumed for i in done],
            "notices": together(notice for i in done for notice in i.notices),
        }  # fmt: skip
        try:
            refuse_files(run, table, about["files"])
        except RejectLimitExceeded as stop:
            write_rejects(run, done, stopped_batch(batch), folder / "stopped")
            raise keep_stopped(run, table, folder / "stopped", about, before, stop) from None
        parts = folder / "all"
        with phase("transform"):
            write_parts(_all_rows(done, schema), parts)
            sums = scan_parts(parts, schema).select(content_sums([n for n in schema if n != RESCUED])).collect(engine="streaming")
        content = read_sums(sums.row(0, named=True))
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
            about |= quarantine_files(run, source, done, folder, about, before, again)
        renamed = headers | {column: was for i in done for column, was in i.renamed.items() if column in schema and column not in metadata}
        version, record = publish(run, Draft(table, path_of(table.name), base, schema, parts=parts, renamed=renamed), before, about)
    return Outcome.published(table.name, version, record, time.perf_counter() - started)


def read_again(
    run: Run, table: Table, receipt: dict[str, Any], schema: pl.Schema, folder: Path, there: Fetched | None = None, only: pl.Series | None = None
) -> pl.LazyFrame:
    """The rows that bronze took in of a raw file, read from that file again. `table` and `schema` are what they were when that was done.

    The file is fetched, unless it is `there` already. `only` has the numbers of the records whose rows are wanted.
    """
    frozen = replace(table, policy="freeze", columns=tuple(name for name in schema if name not in PROVENANCE and name != RESCUED))
    done = _ingest_file(run, table, receipt, folder / "again", there, only)
    return _all_rows(_united(frozen, schema, done)[1], schema)


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
    known, _ = _known_schema(run, before)
    with run.workspace(f"retry-{source.name}") as folder:
        local, compression = fetched(run, receipt, folder)
        dialects = examine(local, compression, receipt["name"], source.hints)
        told = json.dumps([dialect.model_dump(exclude_defaults=True) for dialect in dialects])
        done = _ingest_file(run, table, receipt | {"dialects": told}, folder / "again")
        schema, done, _ = _united(table, known, done)
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
    """The receipts without those of files that are to be read anew by a later one."""
    again = receipts.filter(pl.col("status") == "again").select("file", pl.col("first_landed").alias("landed_at"))
    return receipts.join(again, on=["file", "landed_at"], how="anti", maintain_order="left")


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
    read = set(again)
    for i, item in enumerate(done):
        raw = item.consumed.file.split("#")[0]
        if raw not in again:
            kept.append(item)
            continue
        try:
            kept.append(_without_known(run, table, base, item, schema, folder / f"new-{i}"))
        except SchemaRefused:  # readmit had found that it fits; what is declared has changed since
            read.discard(raw)
    return kept, sorted(read)


def _without_known(run: Run, table: Table, base: int, item: Taken, schema: pl.Schema, parts: Path) -> Taken:
    """A file that is read again, without the records that the table has of it. Raises SchemaRefused where those would be others now."""
    if base < 0:
        return item
    there = run.snapshot(path_of(table.name), base)
    held = there.scan().filter(pl.col(FILE) == item.consumed.file).unique([FILE, ROW])
    if item.parts is None or item.fit is None:
        if held.head(1).collect(engine="streaming").height:
            raise SchemaRefused(f"{item.consumed.name}: it would be rejected whole now, and records of it were taken in", "Land a corrected file beside it")
        return item
    columns = [name for name in schema if name != RESCUED]
    mine = pl.concat([_shaped(part, item, item.fit, schema) for part in parts_in(item.parts)]).join(held.select(ROW), on=ROW, how="semi")
    had = [name for name in columns if name in there.schema]
    was, now = pl.collect_all([held.select(content_sums(had)), mine.select(content_sums(columns))], engine="streaming")
    if read_sums(was.row(0, named=True)) != read_sums(now.row(0, named=True)):
        raise SchemaRefused(f"{item.consumed.name}: records that were taken in would read otherwise now", "Land a corrected file beside it")
    rows = int(was["content_rows"].item())
    write_parts(scan_parts(item.parts, item.schema).join(held.select(ROW), on=ROW, how="anti", maintain_order="left"), parts)
    return replace(item, parts=parts, there=rows, consumed=item.consumed.model_copy(update={"rows": item.consumed.rows - rows}))


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


def _ingest_file(run: Run, table: Table, receipt: dict[str, Any], folder: Path, there: Fetched | None = None, only: pl.Series | None = None) -> list[Taken]:
    """Read every member of one raw file and write its rows, gated, as parts in `folder`."""
    local, compression = there or fetched(run, receipt, folder)
    dialects = [Dialect.model_validate(said) for said in json.loads(receipt["dialects"])]
    strict = table.policy == "strict"
    result = [_ingest_member(local, compression, dialect, receipt, folder / f"m{i}", strict=strict, only=only) for i, dialect in enumerate(dialects)]
    if there is None:
        local.unlink()
    return [replace(item, name=receipt["name"], corrects=receipt["status"] == "landed") for item in result]


def fetched(run: Run, receipt: dict[str, Any], folder: Path) -> Fetched:
    """The raw file on local disk, and how it is packed."""
    folder.mkdir(parents=True, exist_ok=True)
    local = folder / "raw"
    with local.open("wb") as handle:
        handle.writelines(run.raw.stream(receipt["file"]))
    ours = receipt["file"].endswith(".zst") and receipt["packed"] is None and not receipt["name"].endswith(".zst")
    return local, "zst" if ours else receipt["packed"]


def _ingest_member(
    local: Path, compression: Compression | None, dialect: Dialect, receipt: dict[str, Any], folder: Path, *, strict: bool, only: pl.Series | None
) -> Taken:
    place = receipt["file"] + (f"#{dialect.member}" if dialect.member and compression == "zip" else "")
    name = receipt["name"] + (f" ({dialect.member})" if dialect.member else "")
    try:
        parsed = read_member(local, compression, dialect, name, folder / "spool", ours=receipt["packed"] is None, strict=strict)
        if only is not None:
            parsed = replace(parsed, frame=parsed.frame.filter(pl.col(ROW).is_in(only.implode())))
        schema, conversions = _write_gated(parsed, place, came(receipt), folder / "rows")
    except (FileRejected, DTypeRefused, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        rejected = _as_rejection(error, name, dialect)
        whole = pl.DataFrame(
            [(place, None, None, None, rejected.message)],
            schema={FILE: pl.String, ROW: pl.Int64, "line": pl.Int64, "bytes": pl.Binary, "reason": pl.String},
            orient="row",
        )
        return Taken(ConsumedFile(file=place, name=name, rows=0, rejects=1, reason=rejected.message), None, pl.Schema(), whole, {}, {})
    finally:
        (folder / "spool" / "plain").unlink(missing_ok=True)
    rows = int(scan_parts(folder / "rows", schema).select(pl.len()).collect().item())
    if rows + parsed.rejects.height != parsed.records and only is None:
        raise LakeError(
            f"{name}: {parsed.records:,} records in the file, but {rows:,} rows and {parsed.rejects.height:,} rejects",
            "This is a defect in lake; nothing was published",
        )
    consumed = ConsumedFile(file=place, name=name, rows=rows, rejects=parsed.rejects.height, mended=parsed.mended)
    rejects = parsed.rejects.with_columns(pl.lit(place).alias(FILE)).select(FILE, ROW, "line", "bytes", "reason")
    return Taken(consumed, folder / "rows", schema, rejects, dialect.renamed | parsed.renamed, conversions | parsed.notes, remarks=parsed.remarks)


def _as_rejection(error: BaseException, name: str, dialect: Dialect) -> LakeError:
    """Why the file is rejected whole. Some damage shows only when the rows are really read; a full disk is no fault of the file."""
    if isinstance(error, LakeError):
        return error
    told = translated(error, name)
    if isinstance(told, DiskFull):
        raise told
    return FileRejected(f"{name} cannot be read as {dialect.format}: {told.message}")


def _write_gated(parsed: Parsed, place: str, landed: dt.datetime, rows: Path) -> tuple[pl.Schema, dict[str, str]]:
    frame = parsed.frame.with_columns(pl.lit(place).alias(FILE), pl.lit(landed).cast(PROVENANCE[LANDED]).alias(LANDED))
    names = [name for name in frame.collect_schema().names() if name not in PROVENANCE and name != RESCUED]
    frame = frame.select(*names, FILE, ROW, LANDED, RESCUED)
    passage = gate(frame.collect_schema(), represent=True)
    if passage.losses and (lost := passage.lost(frame.select(passage.losses).collect(engine="streaming").row(0, named=True))):
        raise DTypeRefused(lost, "Land the column as text")
    write_parts(frame.select(passage.expressions), rows)
    return passage.schema, passage.conversions


def _known_schema(run: Run, before: Record | None) -> tuple[pl.Schema, dict[str, dict[str, Any]]]:
    """The table's schema as its last record names it: read from the registry, so that the table itself need not be opened."""
    if before is None:
        return pl.Schema(), {}
    found = schema_of_record(run.store, run.log(path_of(before.table)), before)
    if found is None:
        raise LakeError(f"nothing is known of schema version {before.schema_version} of {before.table}", "system/schemas and the table's log were damaged")
    return schema_of(found[2])


def _headers(metadata: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The names that columns have in their files, where the table could not keep them."""
    return {column: said["header"] for column, said in metadata.items() if "header" in said}


def _united(table: Table, there: pl.Schema, done: list[Taken]) -> tuple[pl.Schema, list[Taken], dict[str, pl.DataType]]:
    """The table's columns with those that the files add, each file with how it fits, and the columns to be widened before it does."""
    known = {name: dtype for name, dtype in there.items() if name not in PROVENANCE and name != RESCUED}
    shape = Shape(known, table, new=not known)
    fitted: list[Taken] = []
    widened: dict[str, pl.DataType] = {}
    for item in done:
        if item.parts is not None:
            found = fit(shape, item.schema, item.consumed.name)
            item = (
                replace(item, fit=found) if found.refused is None else _refused(item, found, f"{item.consumed.name} does not fit {table.name}: {found.refused}")
            )
            shape = replace(found.shape, new=found.shape.new and not found.values)
            widened |= found.widened
        fitted.append(item)
    return pl.Schema(shape.columns | dict(PROVENANCE) | {RESCUED: pl.String()}), fitted, widened


def _refused(item: Taken, found: Fit, reason: str) -> Taken:
    whole = item.rejects.clear().vstack(pl.DataFrame([(item.consumed.file, None, None, None, reason)], schema=item.rejects.schema, orient="row"))
    consumed = item.consumed.model_copy(update={"rows": 0, "rejects": 1, "reason": reason})
    return replace(item, consumed=consumed, parts=None, schema=pl.Schema(), rejects=whole, renamed={}, conversions={}, fit=found)


def _all_rows(done: list[Taken], schema: pl.Schema) -> pl.LazyFrame:
    frames = [_shaped(part, item, item.fit, schema) for item in done if item.parts and item.fit for part in parts_in(item.parts)]
    return pl.concat(frames).select(list(schema)) if frames else pl.LazyFrame(schema=schema)


def _shaped(part: Path, item: Taken, found: Fit, schema: pl.Schema) -> pl.LazyFrame:
    if found.plain and all(schema.get(name) == dtype for name, dtype in item.schema.items()):
        return pl.scan_parquet(part, schema=schema, missing_columns="insert", glob=False)
    return found.frame(pl.scan_parquet(part, glob=False), schema)
