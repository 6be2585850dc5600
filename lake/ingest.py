"""Raw to bronze: every record of every landed file becomes a row with its raw place, or a reject with its line and reason."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.code import code_of
from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, LANDED, PROVENANCE, RESCUED, ROW
from lake.datafile import parts_in, scan_parts, write_parts
from lake.delta import schema_of
from lake.dtypes import gate
from lake.errors import CommitConflict, DiskFull, DTypeRefused, FileRejected, LakeError, translated
from lake.outcome import Outcome
from lake.publish import Draft, publish
from lake.quarantine import REJECTED, quarantine
from lake.reading.delimited import Parsed
from lake.reading.dialect import Dialect
from lake.reading.records import read_member
from lake.reading.unpack import Compression
from lake.receipts import LANDINGS, receipts_between
from lake.record import ConsumedFile, Input, Ledger, Record
from lake.run import Run, backoff
from lake.schemas import last_schema
from lake.source import Source
from lake.table import Table, path_of

_FINGERPRINT = "ingest-1"  # raise it when the same bytes would give other rows
_FILES_A_COMMIT, _BYTES_A_COMMIT = 256, 1 << 29
_ATTEMPTS = 5


@dataclass(frozen=True)
class _Ingested:
    """One member of one raw file, gated and written: where its parts are, what came of it."""

    consumed: ConsumedFile
    parts: Path | None
    schema: pl.Schema
    rejects: pl.DataFrame
    renamed: dict[str, str]
    conversions: dict[str, str]
    respelled: dict[str, str] = field(default_factory=dict)


def ingest(run: Run, source: Source) -> list[Outcome]:
    """Bring every receipt that bronze has not consumed yet into the source's bronze table, in commits of bounded size.

    Returns one outcome for each commit, or a single one that says nothing was new.
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
    log = run.log(path_of(table.name))
    base = log.version()
    last = log.last_record(until=base) if base >= 0 else None
    before = last[1] if last else None
    start = before.inputs[0].end if before else -1
    end = run.log(LANDINGS).version()
    receipts, end = _take(receipts_between(run, source.name, start, end), run, source, start, end)
    if receipts.height == 0 and (before is not None or end < 0):
        return Outcome.nothing(table.name, base, before, "no new file landed")
    planned = time.perf_counter()
    with run.workspace(f"ingest-{table.name}") as folder:
        done = [item for i, receipt in enumerate(receipts.iter_rows(named=True)) for item in _ingest_file(run, receipt, folder / f"{i}")]
        read = time.perf_counter()
        known, metadata = _known_schema(run, before)
        schema, done = _united(table, known, done)
        frame = _all_rows(done, schema)
        parts = folder / "all"
        write_parts(frame, parts)
        sums = scan_parts(parts, schema).select(content_sums([n for n in schema if n != RESCUED])).collect(engine="streaming")
        content = read_sums(sums.row(0, named=True))
        written = time.perf_counter()
        ledger = Ledger(read=sum(i.consumed.rows + i.consumed.rejects for i in done), inserted=content.rows, rejected=sum(i.rejects.height for i in done))
        ledger.check(table.name)
        earlier = Content.from_hash(before.content) if before else Content()
        batch = hashlib.sha256(f"{table.name} {base} {start} {end}".encode()).hexdigest()[:20]
        about: dict[str, Any] = {
            "kind": "ingest", "table": table.name, "batch": batch, "code": code_of("lake.ingest", _FINGERPRINT, run.settings.root), "write": "append",
            "mode": "incremental" if before else "full", "reason": f"{receipts.height} new file{'s' if receipts.height != 1 else ''}",
            "inputs": [Input(table=LANDINGS, kind="changes", start=start, end=end, rows=receipts.height)], "files": [i.consumed for i in done],
            "ledger": ledger, "conversions": {k: v for i in done for k, v in i.conversions.items()},
            "content": (earlier + content).to_hash() if earlier is not None else None,
            "freshest": receipts["landed_at"].max() if receipts.height else before and before.freshest,
        }  # fmt: skip
        about |= _quarantine(run, table, done, folder, about, before)
        about["seconds"] = {"plan": planned - started, "read": read - planned, "write": written - read, "commit": time.perf_counter() - written}
        renamed = {column: said["header"] for column, said in metadata.items() if "header" in said}
        renamed |= {column: was for i in done for column, was in i.renamed.items() if column in schema and column not in metadata}
        version, record = publish(run, Draft(table, path_of(table.name), base, schema, parts=parts, renamed=renamed), before, about)
    return Outcome.published(table.name, version, record, time.perf_counter() - started)


def read_again(run: Run, receipt: dict[str, Any], schema: pl.Schema, folder: Path) -> pl.LazyFrame:
    """The rows that bronze holds of a raw file, read from that file again, in the shape of `schema`."""
    done = [
        _respelled(item, {name: dtype for name, dtype in schema.items() if name not in PROVENANCE}) for item in _ingest_file(run, receipt, folder / "again")
    ]
    return _all_rows(done, schema)


def _take(receipts: pl.DataFrame, run: Run, source: Source, start: int, end: int) -> tuple[pl.DataFrame, int]:
    """As many whole landing versions as make a commit of bounded size, at least one; and the last version taken."""
    sizes = _bytes_of(receipts)
    if receipts.height <= _FILES_A_COMMIT and sizes <= _BYTES_A_COMMIT:
        return receipts, end
    taken, upto = receipts.head(0), start
    for version in range(start + 1, end + 1):
        more = receipts_between(run, source.name, version - 1, version)
        if taken.height and more.height and (taken.height + more.height > _FILES_A_COMMIT or _bytes_of(taken) + _bytes_of(more) > _BYTES_A_COMMIT):
            break
        taken, upto = pl.concat([taken, more]), version
    return taken, upto


def _bytes_of(receipts: pl.DataFrame) -> int:
    return int(receipts["size"].sum())


def _ingest_file(run: Run, receipt: dict[str, Any], folder: Path) -> list[_Ingested]:
    """Read every member of one raw file and write its rows, gated, as parts in `folder`."""
    folder.mkdir(parents=True)
    local = folder / "raw"
    with local.open("wb") as handle:
        handle.writelines(run.raw.stream(receipt["file"]))
    ours = receipt["file"].endswith(".zst") and receipt["packed"] is None and not receipt["name"].endswith(".zst")
    compression: Compression | None = "zst" if ours else receipt["packed"]
    dialects = [Dialect.model_validate(said) for said in json.loads(receipt["dialects"])]
    result = [_ingest_member(local, compression, dialect, receipt, folder / f"m{i}") for i, dialect in enumerate(dialects)]
    local.unlink()
    return result


def _ingest_member(local: Path, compression: Compression | None, dialect: Dialect, receipt: dict[str, Any], folder: Path) -> _Ingested:
    place = receipt["file"] + (f"#{dialect.member}" if dialect.member and compression == "zip" else "")
    name = receipt["name"] + (f" ({dialect.member})" if dialect.member else "")
    try:
        parsed = read_member(local, compression, dialect, name, folder / "spool")
        schema, conversions = _write_gated(parsed, place, receipt["landed_at"], folder / "rows")
    except (FileRejected, DTypeRefused, pl.exceptions.PolarsError) as error:
        rejected = _as_rejection(error, name, dialect)
        whole = pl.DataFrame(
            [(place, None, None, None, rejected.message)],
            schema={FILE: pl.String, ROW: pl.Int64, "line": pl.Int64, "bytes": pl.Binary, "reason": pl.String},
            orient="row",
        )
        return _Ingested(ConsumedFile(file=place, name=name, rows=0, rejects=1, reason=rejected.message), None, pl.Schema(), whole, {}, {})
    finally:
        (folder / "spool" / "plain").unlink(missing_ok=True)
    rows = int(scan_parts(folder / "rows", schema).select(pl.len()).collect().item())
    if rows + parsed.rejects.height != parsed.records:
        raise LakeError(
            f"{name}: {parsed.records:,} records in the file, but {rows:,} rows and {parsed.rejects.height:,} rejects",
            "This is a defect in lake; nothing was published",
        )
    consumed = ConsumedFile(file=place, name=name, rows=rows, rejects=parsed.rejects.height)
    rejects = parsed.rejects.with_columns(pl.lit(place).alias(FILE)).select(FILE, ROW, "line", "bytes", "reason")
    return _Ingested(consumed, folder / "rows", schema, rejects, dialect.renamed, conversions)


def _as_rejection(error: Exception, name: str, dialect: Dialect) -> LakeError:
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
    if passage.inexact:
        lost = frame.select([count.alias(name) for name, count in passage.inexact.items()]).collect(engine="streaming").row(0, named=True)
        if bad := [name for name, count in lost.items() if count]:
            raise DTypeRefused(f"{', '.join(bad)}: Delta would cut values that are finer than microseconds or wider than it holds", "Land the column as text")
    write_parts(frame.select(passage.expressions), rows)
    return passage.schema, passage.conversions


def _known_schema(run: Run, before: Record | None) -> tuple[pl.Schema, dict[str, dict[str, Any]]]:
    """The table's schema as its last record names it: read from the registry, so that the table itself need not be opened."""
    if before is None:
        return pl.Schema(), {}
    found = last_schema(run.store, before) or last_schema(run.store, before, run.log(path_of(before.table)).records())
    if found is None:
        raise LakeError(f"nothing is known of schema version {before.schema_version} of {before.table}", "system/schemas and the table's log were damaged")
    return schema_of(found[2])


def _united(table: Table, there: pl.Schema, done: list[_Ingested]) -> tuple[pl.Schema, list[_Ingested]]:
    """The table's columns with those the files add. A file whose column has another type than the table's is rejected whole."""
    known: dict[str, pl.DataType] = {n: d for n, d in there.items() if n not in PROVENANCE and n != RESCUED}
    fitting: list[_Ingested] = []
    for item in done:
        item = _respelled(item, known)
        clash = [f"{n} is {d} here and {known[n]} in {table.name}" for n, d in item.schema.items() if n in known and known[n] != d]
        if clash and item.parts is not None:
            reason = f"{item.consumed.name} does not fit: {'; '.join(clash)}"
            whole = item.rejects.clear().vstack(pl.DataFrame([(item.consumed.file, None, None, None, reason)], schema=item.rejects.schema, orient="row"))
            item = _Ingested(item.consumed.model_copy(update={"rows": 0, "rejects": 1, "reason": reason}), None, pl.Schema(), whole, {}, {})
        known |= {n: d for n, d in item.schema.items() if n not in known and n not in PROVENANCE and n != RESCUED}
        fitting.append(item)
    return pl.Schema(known | dict(PROVENANCE) | {RESCUED: pl.String()}), fitting


def _respelled(item: _Ingested, known: dict[str, pl.DataType]) -> _Ingested:
    """The file with columns that the table has under another case called as the table calls them: Delta does not tell them apart."""
    spelled = {name.casefold(): name for name in known}
    other = {name: spelled[name.casefold()] for name in item.schema if name not in known and name.casefold() in spelled}
    if not other:
        return item
    schema = pl.Schema({other.get(name, name): dtype for name, dtype in item.schema.items()})
    return replace(item, schema=schema, respelled=other)


def _all_rows(done: list[_Ingested], schema: pl.Schema) -> pl.LazyFrame:
    frames = [_shaped(part, item.respelled, schema) for item in done if item.parts for part in parts_in(item.parts)]
    return pl.concat(frames).select(list(schema)) if frames else pl.LazyFrame(schema=schema)


def _shaped(part: Path, respelled: dict[str, str], schema: pl.Schema) -> pl.LazyFrame:
    if not respelled:
        return pl.scan_parquet(part, schema=schema, missing_columns="insert", glob=False)
    frame = pl.scan_parquet(part, glob=False).rename(respelled)
    present = frame.collect_schema()
    return frame.select(pl.col(name) if name in present else pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items())


def _quarantine(run: Run, table: Table, done: list[_Ingested], folder: Path, about: dict[str, Any], before: Record | None) -> dict[str, Any]:
    rejects = [item.rejects for item in done if item.rejects.height]
    frame = pl.concat(rejects) if rejects else pl.DataFrame(schema={FILE: pl.String, ROW: pl.Int64, "line": pl.Int64, "bytes": pl.Binary, "reason": pl.String})
    full = frame.with_columns(
        rules=pl.lit([], dtype=pl.List(pl.String)), row=pl.lit(None, dtype=pl.String), schema_version=pl.lit(None, dtype=pl.Int64),
        batch=pl.lit(about["batch"]), run=pl.lit(run.info.id), at=pl.lit(dt.datetime.now(dt.UTC)).cast(pl.Datetime("us", "UTC")),
    ).select(list(REJECTED))  # fmt: skip
    write_parts(full.lazy(), folder / "rejects")
    kept = quarantine(run, table, folder / "rejects", full.height, about, before=before, everything=False)
    return {"quarantine": kept, "rejects": kept["total"]}
