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
from lake.errors import DTypeRefused, FileRejected
from lake.guard import blamed
from lake.place import place_of
from lake.reading.delimited import Parsed
from lake.reading.dialect import Continued, Dialect
from lake.reading.grown import same_records
from lake.reading.records import read_member
from lake.reading.structural import MARK, PADDING, left_out
from lake.reading.unpack import Compression, kept_open, unpack
from lake.receipts import came
from lake.record import ConsumedFile
from lake.run import Run
from lake.table import Table
from lake.taken import Taken
from lake.whereabouts import Fetched, fetched
from lake.wording import counted

_AT_ONCE = 1 << 27  # bytes of text that may be in memory
_IN_MEMORY = 4  # bytes of a byte of text, in columns
_BEYOND = pl.col(RESCUED).is_not_null().sum().alias("beyond")  # rows with fields that no column has a name for
_SMALL = 1 << 20  # bytes of text that are quicker parsed than a stream is set up


def take_in(
    run: Run,
    table: Table,
    receipt: dict[str, Any],
    folder: Path,
    there: Fetched | None = None,
    only: pl.Series | None = None,
    after: int | None = None,
) -> list[Taken]:
    """Read every member of one raw file and write its rows, gated, as parts in `folder`.

    The file is fetched, unless it is `there` already or this run holds it since it landed. `only` has the numbers of the records whose rows are wanted.
    Of a file that goes on from another, the first `after` records are left out; where that is not told, those that are the other's.
    """
    local, compression = there or _held(run, receipt, folder) or fetched(run, receipt, folder)
    dialects = [Dialect.model_validate(said) for said in json.loads(receipt["dialects"])]
    strict = table.policy == "strict"
    with kept_open(local, compression, receipt["name"]):
        result = [
            _take_member(run, local, compression, dialect, receipt, folder / f"m{i}", strict=strict, only=only, after=after)
            for i, dialect in enumerate(dialects)
        ]
    if there is None:
        local.unlink()
    return [replace(item, name=receipt["name"], corrects=receipt["status"] == "landed") for item in result]


def _held(run: Run, receipt: dict[str, Any], folder: Path) -> Fetched | None:
    """The file as it came, from this run's own copy."""
    local = folder.with_name(f"{folder.name}.raw")
    return (local, receipt["packed"]) if run.raw.held is not None and run.raw.held.take(receipt["file"], local) else None


def _take_member(
    run: Run,
    local: Path,
    compression: Compression | None,
    dialect: Dialect,
    receipt: dict[str, Any],
    folder: Path,
    *,
    strict: bool,
    only: pl.Series | None,
    after: int | None,
) -> Taken:
    place = place_of(receipt["file"], dialect.member if compression == "zip" else None)
    name = receipt["name"] + (f" ({dialect.member})" if dialect.member else "")
    try:
        ours = receipt["packed"] is None
        alone = dialect.continues is None or after == 0
        parsed = read_member(local, compression, dialect, name, folder / "spool", ours=ours, strict=strict, proving=only is None and alone)
        if not alone:
            parsed, after = _past(parsed, local, compression, dialect, name, folder / "before", strict=strict, after=after)
        if only is not None:
            parsed = replace(parsed, frame=parsed.frame.filter(pl.col(ROW).is_in(only.implode())))
        with run.room.take(_IN_MEMORY * min(parsed.proof.stats.size if parsed.proof else local.stat().st_size, _AT_ONCE)):
            written = _write_gated(parsed, place, came(receipt), folder / "rows")
        parsed = written.parsed
        consumed = ConsumedFile(file=place, name=name, rows=written.rows, rejects=parsed.rejects.height, mended=parsed.mended, after=after or 0)
        consumed = _accounted(consumed, parsed)
        if written.rows + parsed.rejects.height != parsed.records and only is None:
            raise FileRejected(
                f"{name}: {counted(parsed.records, 'record')} in the file, but {counted(written.rows, 'row')} and {counted(parsed.rejects.height, 'reject')}",
                "This is a defect in lake; the bytes are kept in raw",
            )
    except BaseException as error:  # noqa: BLE001  # whatever a library raises, panics too: what is no fault of the file goes on
        rejected = blamed(error, f"{name} cannot be read as {dialect.format}")
        whole = pl.DataFrame(
            [(place, None, None, None, rejected.message)],
            schema={FILE: pl.String, ROW: pl.Int64, "line": pl.Int64, "bytes": pl.Binary, "reason": pl.String},
            orient="row",
        )
        return Taken(ConsumedFile(file=place, name=name, rows=0, rejects=1, reason=rejected.message), None, pl.Schema(), whole, {}, {})
    finally:
        (folder / "spool" / "plain").unlink(missing_ok=True)
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
        structure=parsed.structure if parsed.roles else None,
        aside=left_out(parsed.structure, parsed.roles) if only is None else "",
        beyond=written.beyond,
    )


def _accounted(consumed: ConsumedFile, parsed: Parsed) -> ConsumedFile:
    """What became of a file with what became of its lines. Raises FileRejected where there are more records and structural lines than lines."""
    if parsed.lines is None:
        return consumed.model_copy(update={"structure": parsed.roles})
    counted_lines = consumed.after + consumed.rows + consumed.rejects + sum(count for role, count in parsed.roles.items() if role not in (MARK, PADDING))
    if counted_lines > parsed.lines:
        raise FileRejected(
            f"{consumed.name}: {counted(parsed.lines, 'line')} in the file, but {counted(counted_lines, 'record and structural line', 'records and structural lines')}",
            "This is a defect in lake; the bytes are kept in raw",
        )
    return consumed.model_copy(update={"lines": parsed.lines, "structure": parsed.roles, "continued": parsed.lines - counted_lines})


def _past(
    parsed: Parsed, local: Path, compression: Compression | None, dialect: Dialect, name: str, folder: Path, *, strict: bool, after: int | None
) -> tuple[Parsed, int]:
    """What comes after the records that the file it goes on from had; and how many these are, where it is not told."""
    continued = dialect.continues
    if continued is None:
        return parsed, 0
    told = ""
    if after is None:
        folder.mkdir(parents=True, exist_ok=True)
        before = read_member(_beginning(local, compression, name, continued.bytes, folder), None, _as_it_was(continued), name, folder / "spool", strict=strict)
        after = same_records(before, parsed)
        if after is None:
            told = f"it begins with {continued.name} as that was before, but its records read otherwise: it comes in whole"
        elif after < before.records:
            told = f"record {before.records:,} was cut when it landed before, and comes in as it is now"
        mended = {how: count - before.mended.get(how, 0) for how, count in parsed.mended.items()}
        parsed = replace(parsed, mended={how: count for how, count in mended.items() if count > 0} if after else parsed.mended)
    if after:
        told = "; ".join(part for part in (f"its first {f'{after:,} records' if after != 1 else 'record'} came in before, with {continued.name}", told) if part)
    past = parsed.rejects[ROW].is_null() | (parsed.rejects[ROW] > (after or 0))
    return replace(
        parsed,
        frame=parsed.frame.filter(pl.col(ROW) > (after or 0)),
        rejects=parsed.rejects.filter(past),
        records=parsed.records - (after or 0),
        remarks=(*parsed.remarks, *([told] if told else [])),
    ), after or 0


def _beginning(local: Path, compression: Compression | None, name: str, length: int, folder: Path) -> Path:
    """The first `length` bytes of the text of a file, as one of its own."""
    target, left = folder / "beginning", length
    with target.open("wb") as handle:
        for chunk in unpack(local, compression, None, name):
            handle.write(chunk[:left])
            left -= min(left, len(chunk))
            if left == 0:
                break
    return target


def _as_it_was(continued: Continued) -> Dialect:
    return Dialect.model_validate(continued.dialect)


@dataclass(frozen=True)
class _Written:
    """The rows of one member as they were written, or held, and how the member was read in the end."""

    parsed: Parsed
    schema: pl.Schema
    conversions: dict[str, str]
    rows: int
    content: Content | None
    beyond: int
    held: pl.DataFrame | None = None


def _write_gated(parsed: Parsed, place: str, landed: dt.datetime, rows: Path) -> _Written:
    """The rows with their place, through the gate, into parts in `rows`, and what must be counted of them; again another way where that proves the first wrong."""
    frame = parsed.frame.with_columns(pl.lit(place).alias(FILE), pl.lit(landed).cast(PROVENANCE[LANDED]).alias(LANDED))
    names = [name for name in frame.collect_schema().names() if name not in PROVENANCE and name != RESCUED]
    frame = frame.select(*names, FILE, ROW, LANDED, RESCUED)
    passage = gate(frame.collect_schema(), represent=True)
    gated = frame.select(passage.expressions)
    few = parsed.proof is not None and parsed.proof.stats.size <= _SMALL  # the content of few rows is counted with that of others
    counts = [*([] if few else content_sums(name for name in passage.schema if name != RESCUED)), *(parsed.proof.counts if parsed.proof else []), _BEYOND]
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
        return _Written(*about, held.height, None, int(told["beyond"]), held)
    content = read_sums(told)
    return _Written(*about, content.rows, content, int(told["beyond"]))
