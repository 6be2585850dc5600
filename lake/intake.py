"""One raw file taken in: held or fetched, read, gated, proved, counted and written as parts, in one pass where its text allows."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, LANDED, PROVENANCE, RESCUED, ROW
from lake.datafile import scan_parts, sink_parts
from lake.dtypes import gate
from lake.errors import DiskFull, DTypeRefused, FileRejected, LakeError, translated
from lake.reading.delimited import Parsed
from lake.reading.dialect import Dialect
from lake.reading.records import read_member
from lake.reading.unpack import Compression
from lake.receipts import came
from lake.record import ConsumedFile
from lake.run import Run
from lake.table import Table
from lake.taken import Taken

_AT_ONCE = 1 << 27  # bytes of text that may be in memory
_IN_MEMORY = 4  # bytes of a byte of text, in columns
_SMALL = 1 << 20  # bytes of text that are quicker parsed than a stream is set up

Fetched = tuple[Path, Compression | None]
"""A raw file on local disk, and how it is packed."""


def take_in(run: Run, table: Table, receipt: dict[str, Any], folder: Path, there: Fetched | None = None, only: pl.Series | None = None) -> list[Taken]:
    """Read every member of one raw file and write its rows, gated, as parts in `folder`.

    The file is fetched, unless it is `there` already or this run holds it since it landed. `only` has the numbers of the records whose rows are wanted.
    """
    local, compression = there or _held(run, receipt, folder) or fetched(run, receipt, folder)
    dialects = [Dialect.model_validate(said) for said in json.loads(receipt["dialects"])]
    strict = table.policy == "strict"
    result = [_take_member(run, local, compression, dialect, receipt, folder / f"m{i}", strict=strict, only=only) for i, dialect in enumerate(dialects)]
    if there is None:
        local.unlink()
    return [replace(item, name=receipt["name"], corrects=receipt["status"] == "landed") for item in result]


def _held(run: Run, receipt: dict[str, Any], folder: Path) -> Fetched | None:
    """The file as it came, from this run's own copy."""
    local = folder.with_name(f"{folder.name}.raw")
    return (local, receipt["packed"]) if run.raw.held is not None and run.raw.held.take(receipt["file"], local) else None


def fetched(run: Run, receipt: dict[str, Any], folder: Path) -> Fetched:
    """The raw file on local disk, and how it is packed."""
    folder.mkdir(parents=True, exist_ok=True)
    local = folder / "raw"
    with local.open("wb") as handle:
        handle.writelines(run.raw.stream(receipt["file"]))
    ours = receipt["file"].endswith(".zst") and receipt["packed"] is None and not receipt["name"].endswith(".zst")
    return local, "zst" if ours else receipt["packed"]


def _take_member(
    run: Run, local: Path, compression: Compression | None, dialect: Dialect, receipt: dict[str, Any], folder: Path, *, strict: bool, only: pl.Series | None
) -> Taken:
    place = receipt["file"] + (f"#{dialect.member}" if dialect.member and compression == "zip" else "")
    name = receipt["name"] + (f" ({dialect.member})" if dialect.member else "")
    try:
        ours = receipt["packed"] is None
        parsed = read_member(local, compression, dialect, name, folder / "spool", ours=ours, strict=strict, proving=only is None)
        if only is not None:
            parsed = replace(parsed, frame=parsed.frame.filter(pl.col(ROW).is_in(only.implode())))
        with run.room.take(_IN_MEMORY * min(parsed.proof.stats.size if parsed.proof else local.stat().st_size, _AT_ONCE)):
            written = _write_gated(parsed, place, came(receipt), folder / "rows")
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
    parsed, rows = written.parsed, written.rows
    if rows + parsed.rejects.height != parsed.records and only is None:
        raise LakeError(
            f"{name}: {parsed.records:,} records in the file, but {rows:,} rows and {parsed.rejects.height:,} rejects",
            "This is a defect in lake; nothing was published",
        )
    consumed = ConsumedFile(file=place, name=name, rows=rows, rejects=parsed.rejects.height, mended=parsed.mended)
    rejects = parsed.rejects.with_columns(pl.lit(place).alias(FILE)).select(FILE, ROW, "line", "bytes", "reason")
    renamed, conversions = dialect.renamed | parsed.renamed, written.conversions | parsed.notes
    return Taken(
        consumed,
        folder / "rows" if written.held is None else None,
        written.schema,
        rejects,
        renamed,
        conversions,
        remarks=parsed.remarks,
        content=written.content,
        held=written.held,
    )


def _as_rejection(error: BaseException, name: str, dialect: Dialect) -> LakeError:
    """Why the file is rejected whole. Some damage shows only when the rows are really read; a full disk is no fault of the file."""
    if isinstance(error, LakeError):
        return error
    told = translated(error, name)
    if isinstance(told, DiskFull):
        raise told
    return FileRejected(f"{name} cannot be read as {dialect.format}: {told.message}")


@dataclass(frozen=True)
class _Written:
    """The rows of one member as they were written, or held, and how the member was read in the end."""

    parsed: Parsed
    schema: pl.Schema
    conversions: dict[str, str]
    rows: int
    content: Content | None
    held: pl.DataFrame | None = None


def _write_gated(parsed: Parsed, place: str, landed: dt.datetime, rows: Path) -> _Written:
    """The rows with their place, through the gate, into parts in `rows`, and what must be counted of them; again another way where that proves the first wrong."""
    frame = parsed.frame.with_columns(pl.lit(place).alias(FILE), pl.lit(landed).cast(PROVENANCE[LANDED]).alias(LANDED))
    names = [name for name in frame.collect_schema().names() if name not in PROVENANCE and name != RESCUED]
    frame = frame.select(*names, FILE, ROW, LANDED, RESCUED)
    passage = gate(frame.collect_schema(), represent=True)
    gated = frame.select(passage.expressions)
    few = parsed.proof is not None and parsed.proof.stats.size <= _SMALL  # the content of few rows is counted with that of others
    counts = [*([] if few else content_sums(name for name in passage.schema if name != RESCUED)), *(parsed.proof.counts if parsed.proof else [])]
    held: pl.DataFrame | None = None
    losses = frame.select(passage.losses) if passage.losses else pl.LazyFrame()
    try:
        if few:
            held = gated.collect(engine="in-memory")
            counted, lost = held.select(counts), losses.collect(engine="in-memory") if passage.losses else pl.DataFrame()
        elif parsed.proof is not None and parsed.proof.stats.size <= _AT_ONCE:
            _, counted, lost = pl.collect_all([sink_parts(gated, rows), gated.select(counts), losses], engine="streaming")
        else:  # Polars would hold in memory what the sink has not yet taken
            _, lost = pl.collect_all([sink_parts(gated, rows), losses], engine="streaming")
            counted = scan_parts(rows, passage.schema).select(counts).collect(engine="streaming")
        told = counted.row(0, named=True)
        written = held.lazy() if held is not None else scan_parts(rows, passage.schema)
        records = parsed.proof.records(told, written) if parsed.proof else parsed.records
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        if parsed.proof is None:
            raise
        records = None
    if records is None and parsed.otherwise is not None:
        shutil.rmtree(rows, ignore_errors=True)
        return _write_gated(parsed.otherwise(), place, landed, rows)
    if passage.losses and (why := passage.lost(lost.row(0, named=True))):
        raise DTypeRefused(why, "Land the column as text")
    about = (replace(parsed, records=records or 0), passage.schema, passage.conversions)
    if held is not None:
        return _Written(*about, held.height, None, held)
    content = read_sums(told)
    return _Written(*about, content.rows, content)
