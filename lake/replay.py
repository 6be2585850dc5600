"""Replaying a release: every table computed again from the raw files, by the code and from the versions on record, in a scratch place (law 5)."""

from __future__ import annotations

import contextlib
import graphlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl

from lake.catalog import Catalog
from lake.content import Content, content_sums, read_sums
from lake.contract import PROVENANCE, RESCUED
from lake.datafile import write_parts
from lake.delta import Snapshot
from lake.difference import Difference, difference
from lake.errors import LakeError, translated
from lake.execute import execute
from lake.hop import Hop
from lake.ingest import ingest
from lake.log import key_of_record, schema_of_record
from lake.pipeline import Pipeline, Step
from lake.portions import portions
from lake.publish import Draft, publish
from lake.receipts import LANDINGS, LOOKED_UP_BY, RECEIPTS, landed_until
from lake.record import Ledger, Record
from lake.release import Pin, Release, subject_of
from lake.retired import Retired, retired
from lake.run import Run
from lake.schemas import as_declared, personal_in
from lake.source import Source
from lake.table import Table, path_of
from lake.wording import counted, several

SCRATCH = "system/replay"
Verdict = Literal["equal", "rounding", "differs", "damaged", "not replayed", "left out"]


@dataclass(frozen=True)
class Replayed:
    """What replaying one table of a release showed. `why` says so in words; `found` how its rows differ, where they do.

    `equal`: recomputed, stored and recorded content agree. `rounding`: only last bits of floating-point numbers differ. `differs`: the
    recomputation has other rows. `damaged`: the stored rows are not those that were committed. `left out`: the table is retired.
    """

    table: str
    version: int
    verdict: Verdict
    why: str = ""
    rows: int = 0
    recorded: str | None = None
    replayed: str | None = None
    found: Difference = field(default_factory=Difference)


def replay(
    run: Run,
    release: Release,
    pipelines: Iterable[Pipeline],
    told: Callable[[str], None] = lambda _: None,
    refused: Mapping[str, LakeError] = types.MappingProxyType({}),
) -> Iterator[Replayed]:
    """Compute every table of `release` again, in dependency order, and compare. Nothing of the lake is changed; the scratch place is removed.

    `refused` says of subjects that are no pipelines why they could not be loaded: their tables are not replayed because of that.
    """
    steps = in_order(step for pipeline in pipelines for step in pipeline.steps if step.kind != "land")
    failed: dict[str, str] = {}
    gone = retired(run.store)
    with scratch_of(run) as again:
        for step in steps:
            if (pin := release.tables.get(step.name)) is not None and step.name not in gone:
                told(step.name)
                result = _one(run, again, step, pin, release, failed)
                if result.verdict not in ("equal", "rounding"):
                    failed[step.name] = result.verdict
                yield result
        for name in sorted(release.tables.keys() - ({step.name for step in steps} - gone.keys())):
            yield _unfilled(name, release.tables[name], gone, refused)


def in_order(steps: Iterable[Step]) -> list[Step]:
    """The steps of all subjects, each after those that fill what it reads, whichever subject they are of."""
    known = {step.name: step for step in steps}
    reads = {name: [up for up in step.work.upstream() if up in known] if isinstance(step.work, Hop) else [] for name, step in known.items()}
    return [known[name] for name in graphlib.TopologicalSorter(reads).static_order()]


def _unfilled(name: str, pin: Pin, gone: Mapping[str, Retired], refused: Mapping[str, LakeError]) -> Replayed:
    """A table of the release that nothing here computes."""
    if name in gone:
        return Replayed(name, pin.version, "left out", gone[name].words, pin.rows, pin.content)
    if (error := refused.get(subject_of(name))) is not None:
        return Replayed(name, pin.version, "not replayed", str(error), pin.rows, pin.content)
    why = f"no flow of this checkout fills it: bring its code back, or give it up with `lake retire {subject_of(name)}`"
    return Replayed(name, pin.version, "not replayed", why, pin.rows, pin.content)


def _one(run: Run, again: Run, step: Step, pin: Pin, release: Release, failed: dict[str, str]) -> Replayed:
    last = run.log(path_of(step.name)).last_record(until=pin.version)
    if last is None:
        return Replayed(step.name, pin.version, "not replayed", "its log does not reach back to this version")
    record = last[1]
    if why := unfit(run, step, record, release) or next((f"it reads {i.table}, which {failed[i.table]}" for i in record.inputs if i.table in failed), None):
        return Replayed(step.name, pin.version, "not replayed", why, pin.rows, pin.content)
    try:
        compute_again(run, again, step, pin.version)
        return _compared(run, again, step.name, pin, record)
    except LakeError as error:
        return Replayed(step.name, pin.version, "not replayed", str(error), pin.rows, pin.content)
    except (pl.exceptions.PolarsError, OSError) as error:  # the recomputation was read and written by lake itself: what cannot be read is what was stored
        return Replayed(step.name, pin.version, "damaged", f"its stored rows cannot be read: {translated(error, step.name).message}", pin.rows, pin.content)


def compute_again(run: Run, again: Run, step: Step, version: int) -> None:
    """Fill the table of a step in the scratch place of `again`, whose inputs are there already, as of `version` of it."""
    if isinstance(step.work, Hop):
        execute(again, step.work, full=True)
    else:
        for source, end in _eras(run, step.work, version):
            _land_again(run, again, source, end)
            ingest(again, source)


@contextlib.contextmanager
def scratch_of(run: Run) -> Iterator[Run]:
    """A run that reads raw files from the lake and writes to a scratch place, which is removed afterwards."""
    scratch = run.store.beside(run.store.bucket, "/".join(part for part in (run.store.prefix, SCRATCH, run.info.id) if part))
    try:
        yield Run(run.settings, scratch, run.info, raw=run.store, judges_moment=False)
    finally:
        with contextlib.suppress(LakeError):
            scratch.delete(blob.path for blob in list(scratch.walk("")))


def unfit(run: Run, step: Step, record: Record, release: Release) -> str | None:
    """Why this checkout cannot replay the table, or None."""
    if not isinstance(step.work, Hop):
        return None
    code = record.code
    if code is None:
        return "its record does not say which code made it"
    if code.mixed:
        return "a range of it was made by other code than the rest; the next run makes all of it anew"
    if code.fingerprint != step.work.fingerprint:
        how = f"git worktree add ../replay {code.commit}" if code.commit else "find the code with that fingerprint"
        changed = "; files differed from that commit when it ran" if code.modified else ""
        return f"the code is no longer what made it (fingerprint {code.fingerprint}, now {step.work.fingerprint}): {how}, and replay there{changed}"
    for given in record.inputs:
        pinned = release.tables.get(given.table)
        if pinned is None or not run.log(path_of(given.table)).same_rows(given.end, pinned.version):
            return f"it read {given.table} version {given.end}, which this release does not pin"
    return None


def _eras(run: Run, source: Source, version: int) -> Iterator[tuple[Source, int]]:
    """The source with its bronze table as it was declared, and up to which version of the landings it was so, oldest first."""
    era: tuple[Source, int] | None = None
    for _, record in reversed([(at, record) for at, record in run.log(path_of(source.into.name)).records() if at <= version]):
        if record.kind not in ("ingest", "migration"):
            continue
        document = record.schema_document
        if document is not None:
            declared = replace(source, into=as_declared(source.into, document))
            if era is not None and declared != era[0]:
                yield era
            era = declared, record.inputs[0].end
        elif era is not None:
            era = era[0], record.inputs[0].end
    if era is not None:
        yield era


def _land_again(run: Run, again: Run, source: Source, end: int) -> None:
    """Put the receipts that the bronze table had consumed by version `end` of the landings into the scratch place, those that are not there yet."""
    receipts = landed_until(run, source.name, end).join(landed_until(again, source.name, again.log(LANDINGS).version()), on=["file", "landed_at"], how="anti")
    table = Table("bronze.system.landings", description="Receipts, for a replay")
    for first, past in portions(receipts["size"].to_list()) if receipts.height else [(0, 0)]:
        _commit_receipts(again, table, receipts[first:past])


def _commit_receipts(again: Run, table: Table, receipts: pl.DataFrame) -> None:
    base, before = again.log(LANDINGS).head()
    if receipts.height == 0 and base >= 0:
        return
    about: dict[str, Any] = {
        "kind": "landing", "table": LANDINGS, "batch": f"replay-{base}", "ledger": Ledger(read=receipts.height, inserted=receipts.height),
        "last_landed": receipts["landed_at"].max() if receipts.height else None,
    }  # fmt: skip
    with again.workspace("replay-receipts") as folder:
        write_parts(receipts.lazy().sort(LOOKED_UP_BY), folder)
        publish(again, Draft(table, LANDINGS, base, RECEIPTS, parts=folder), before, about)


def _compared(run: Run, again: Run, name: str, pin: Pin, record: Record) -> Replayed:
    """Recorded, stored and recomputed content side by side."""
    path = path_of(name)
    last = again.log(path).last_record()
    if last is None:
        return Replayed(name, pin.version, "not replayed", "the recomputation made no table", pin.rows, pin.content)
    stored = Catalog(run.store).snapshot(name, pin.version)
    columns = [column for column in stored.schema if column != RESCUED or not name.startswith("bronze.")]
    actual = read_sums(stored.scan().select(content_sums(columns)).collect(engine="streaming").row(0, named=True))
    recorded, computed = Content.from_hash(record.content), Content.from_hash(last[1].content)
    value = last[1].content.value if last[1].content else None
    about = (name, pin.version)
    if recorded is not None and actual != recorded:
        found = difference(again.snapshot(path, last[0]), stored, key_of_record(run.store, run.log(path), record)).without(_hidden(run, name, record, stored))
        why = f"stored rows are not those that were committed; {found.added:,} too many, {found.removed:,} missing, {found.changed:,} changed"
        return Replayed(*about, "damaged", why, pin.rows, pin.content, value, found)
    if actual == computed and record.rejects == last[1].rejects:
        return Replayed(*about, "equal", "", pin.rows, pin.content, value)
    if actual == computed:
        return Replayed(*about, "differs", f"{counted(record.rejects, 'reject')} on record, {last[1].rejects:,} recomputed", pin.rows, pin.content, value)
    found = difference(stored, again.snapshot(path, last[0]), key_of_record(run.store, run.log(path), record)).without(_hidden(run, name, record, stored))
    if found.rounding:
        return Replayed(
            *about,
            "rounding",
            f"{counted(found.changed, 'row')} {several(found.changed, 'differs', 'differ')} in the last bits of {', '.join(found.columns)}",
            pin.rows,
            pin.content,
            value,
            found,
        )
    why = f"recomputed, {counted(found.added, 'row')} {several(found.added, 'is', 'are')} new, {found.removed:,} missing, {found.changed:,} changed" + (
        f" in {', '.join(found.columns)}" if found.columns else ""
    )
    return Replayed(*about, "differs", why, pin.rows, pin.content, value, found)


def _hidden(run: Run, name: str, record: Record, there: Snapshot) -> frozenset[str]:
    """The columns whose values are not told: personal ones; of bronze, which says of no column what it holds, all where a table of its subject has any."""
    if not name.startswith("bronze."):
        return _personal(run, name, record)
    catalog = Catalog(run.store)
    others = [one for one in catalog.names() if one.split(".")[1] == name.split(".")[1] and not one.startswith("bronze.")]
    if any(_personal(run, one, catalog.last(one)[1]) for one in others):
        return frozenset(there.schema) - PROVENANCE.keys()
    return frozenset()


def _personal(run: Run, name: str, record: Record) -> frozenset[str]:
    known = schema_of_record(run.store, run.log(path_of(name)), record)
    return personal_in(known[2]) if known is not None else frozenset()
