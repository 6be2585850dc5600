"""Raw to bronze: every record of every landed file becomes a row with its raw place, or a reject with its line and reason."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.code import code_of
from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, PROVENANCE, RESCUED, ROW
from lake.datafile import write_parts
from lake.delta import schema_of
from lake.errors import CommitConflict, LakeError, RejectLimitExceeded, SchemaRefused
from lake.growth import going_on, take_all, taken_after
from lake.guard import blamed, is_panic
from lake.intake import take_in
from lake.joining import all_rows, culprits, put_together, shaped, united
from lake.log import schema_of_record
from lake.meter import phase
from lake.migrate import Steps, due, migrate
from lake.outcome import Outcome
from lake.place import file_of
from lake.portions import fits
from lake.publish import Draft, publish
from lake.quarantine import REJECTED
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
from lake.wording import in_words

_FINGERPRINT = "ingest-10"  # raise it when the same bytes would give other rows
_ATTEMPTS = 5


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
            taken = take_all(run, source, receipts, folder, before)
        batch = _Batch(run, source, base, before, start, end, receipts, taken)
        bad: dict[str, str] = {}  # why a file cannot be brought in, by its place
        while True:
            joined = _joined(batch, bad, folder / f"try-{len(bad)}")
            try:
                if before is not None and joined.widened:
                    return migrate(run, table, base, before, Steps(widened=joined.widened), joined.headers)
                version, record = _commit(batch, joined, bad)
                return Outcome.published(table.name, version, record, time.perf_counter() - started)
            except BaseException as error:
                blamed(error, table.name)  # raises it where it is nothing that a file is to blame for
                if before is None or not joined.widened:
                    more = culprits(table, joined.done, joined.schema, folder / "tried")
                else:
                    more = _wideners(table, joined.done, error)
                if not more:
                    raise
                bad |= more


@dataclass(frozen=True)
class _Batch:
    """What one commit takes in: landing versions after `start` up to `end`, for the version after `base`, whose record is `before`."""

    run: Run
    source: Source
    base: int
    before: Record | None
    start: int
    end: int
    receipts: pl.DataFrame
    taken: list[Taken]


@dataclass(frozen=True)
class _Joined:
    """Files in the table's columns, put together in `parts`: `content` of them, and which raw objects were read `again`. With columns to be `widened` first, none is put together."""

    schema: pl.Schema
    done: list[Taken]
    headers: dict[str, str]
    metadata: dict[str, dict[str, Any]]
    folder: Path
    widened: dict[str, pl.DataType] = field(default_factory=dict)
    content: Content = field(default_factory=Content)
    again: list[str] = field(default_factory=list)

    @property
    def parts(self) -> Path:
        """Where their rows are."""
        return self.folder / "all"


def _joined(batch: _Batch, bad: dict[str, str], folder: Path) -> _Joined:
    """The files put together. Those with which it fails are found one by one, and added to `bad`."""
    run, table = batch.run, batch.source.into
    known, metadata = _known_schema(run, batch.before)
    headers = headers_of(metadata)
    read_again = batch.receipts.filter(pl.col("status") == "again")["file"].to_list()
    while True:
        schema, done, widened = united(table, known, batch.taken, headers, bad)
        here = folder / f"{len(bad)}"
        result = _Joined(schema, done, headers, metadata, here)
        if batch.before and widened:
            if not (more := culprits(table, done, schema, here / "tried", shaped=False)):
                return replace(result, widened=widened)
            bad |= more
            continue
        done, again = _without_rows_there(run, table, batch.base, done, schema, read_again, here)
        try:
            with phase("transform"):
                content = put_together(done, schema, result.parts)
        except BaseException as error:
            blamed(error, table.name)
            if not (more := culprits(table, done, schema, here / "tried")):
                raise
            bad |= more
            continue
        return replace(result, done=done, content=content, again=again)


def _commit(batch: _Batch, joined: _Joined, bad: dict[str, str]) -> tuple[int, Record]:
    """The rows and the rejects of the files committed. Returns the version and its record; raises RejectLimitExceeded where the table allows no so many rejects."""
    run, table, before, done = batch.run, batch.source.into, batch.before, joined.done
    told = [f"{table.name} {batch.base} {batch.start} {batch.end}", *sorted(bad)]  # another batch where what was set aside of it would be other rows
    named = hashlib.sha256(" ".join(told).encode()).hexdigest()[:20]
    about: dict[str, Any] = {
        "kind": "ingest", "table": table.name, "batch": named, "code": code_of("lake.ingest", _FINGERPRINT, run.settings.root), "write": "append",
        "mode": "incremental" if before else "full", "reason": _reason(batch.receipts),
        "inputs": [Input(table=LANDINGS, kind="changes", start=batch.start, end=batch.end, rows=batch.receipts.height)],
        "files": [i.consumed for i in done], "notices": together(notice for i in done for notice in i.with_rescues().notices),
    }  # fmt: skip
    try:
        every = pl.concat([item.rejects.select(FILE, ROW, "line") for item in done]) if done else pl.DataFrame(schema=REJECTED)
        about |= {"accepted": refuse_files(run, table, about["files"], every.lazy(), before)}
    except RejectLimitExceeded as stop:
        write_rejects(run, done, stopped_batch(named), joined.folder / "stopped")
        raise keep_stopped(run, table, joined.folder / "stopped", about, before, stop) from None
    there = sum(i.there for i in done)
    read_rows = sum(i.consumed.rows + i.consumed.rejects for i in done) + there
    ledger = Ledger(read=read_rows, inserted=joined.content.rows, unchanged=there, rejected=sum(i.rejects.height for i in done))
    ledger.check(table.name)
    earlier = Content.from_hash(before.content) if before else Content()
    about |= {
        "ledger": ledger, "conversions": {k: v for i in done for k, v in i.conversions.items()},
        "content": (earlier + joined.content).to_hash() if earlier is not None else None,
        "freshest": _freshest(batch.receipts, before),
    }  # fmt: skip
    with phase("quarantine"):
        lines = [(item.consumed.file, item.structure) for item in done if item.structure is not None and item.accepted]
        about |= {"structure": keep_structure(run, table.name, lines, named, joined.folder / "structure")}
        about |= quarantine_files(run, batch.source, done, joined.folder, about, before, joined.again)
    renamed = joined.headers | {column: was for i in done for column, was in _placed(i).items() if column in joined.schema and column not in joined.metadata}
    return publish(run, Draft(table, path_of(table.name), batch.base, joined.schema, parts=joined.parts, renamed=renamed), before, about)


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
    return all_rows(united(frozen, schema, done, headers or {})[1], schema)


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
        schema, done, _ = united(table, known, done, headers_of(metadata))
        bad = culprits(table, done, schema, folder / "tried", shaped=False)
        schema, done, _ = united(table, known, done, headers_of(metadata), bad) if bad else (schema, done, {})
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
        except BaseException as error:  # noqa: BLE001  # readmit had found that it fits; what is declared has changed since
            blamed(error, item.consumed.name)
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
    mine = pl.concat([shaped(frame, item, item.fit, schema) for frame in item.frames()]).join(held.select(ROW), on=ROW, how="semi")
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


def _wideners(table: Table, done: list[Taken], error: BaseException) -> dict[str, str]:
    """The files for which columns would be widened, by their place, where `error` says that values of the table do not allow it: with that as the reason."""
    if not (isinstance(error, SchemaRefused | pl.exceptions.InvalidOperationError | pl.exceptions.SchemaError) or is_panic(error)):
        return {}
    wide = (item.consumed for item in done if item.accepted and item.fit is not None and item.fit.widened)
    return {consumed.file: f"{consumed.name} does not fit {table.name}: {in_words(error)}" for consumed in wide}


def _placed(item: Taken) -> dict[str, str]:
    """The names in the file that columns cannot have, by the columns of the table that hold them."""
    if item.fit is None:
        return {}
    return {target: item.renamed.get(name, name) for name, target in item.fit.places.items() if item.renamed.get(name, name) != target}
