"""What a hop will do, decided before anything is read: which versions, all of it, a range or the increment, and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import polars as pl

from lake.delta import schema_of
from lake.errors import DeclarationError, LakeError, NotFound
from lake.feed import Feed, feed_between
from lake.hop import Hop
from lake.log import schema_of_record
from lake.record import Input, Record, Within
from lake.run import Run
from lake.schemas import compare, expected, last_schema
from lake.table import path_of

_SHOWN = 3  # changes told of a contract


@dataclass(frozen=True)
class Range:
    """Part of a table to recompute: from `start` until just before `end`, both as ISO dates or instants; either may be open."""

    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Plan:
    """One hop, decided. `inputs` pins versions by parameter; `base` is the version planned against, -1 for a new table.

    `feeds` has the changes of the inputs that are read as such; it is empty where everything is read. `again` has the raw places
    (`_file`, `_row`) of rows that were rejected, where these alone are read.
    """

    hop: Hop
    base: int
    before: Record | None
    inputs: dict[str, Input]
    mode: str
    reason: str
    needed: bool
    within: Within | None = None
    feeds: dict[str, Feed] = field(default_factory=dict, compare=False)
    again: pl.DataFrame | None = field(default=None, compare=False)

    @property
    def estimated_rows(self) -> int:
        """Rows the driving input will give, from the log."""
        return self.inputs[self.hop.driver].rows or 0 if self.needed else 0

    @property
    def batch(self) -> str:
        """Names this piece of work: the same table version, inputs and code give the same batch, whoever runs it."""
        what = (
            f"{self.hop.table.name} {self.base} {self.mode} {self.hop.fingerprint} {sorted((n, i.start, i.end) for n, i in self.inputs.items())} {self.within}"
        )
        return hashlib.sha256(what.encode()).hexdigest()[:20]


def make_plan(run: Run, hop: Hop, *, full: bool = False, backfill: Range | None = None) -> Plan:
    """The plan for `hop` now. Reads logs, never data. Raises LakeError if an input does not exist yet.

    `full` recomputes everything. `backfill` recomputes a range of a table that declares `time`, from the inputs it has consumed
    already; a table that does not, or is new, is planned as always.
    """
    base, before = run.log(path_of(hop.table.name)).head()
    if backfill and hop.table.time and before and before.code and not full and _same_inputs(hop, before):
        return _ranged(run, hop, base, before, hop.table.time, backfill)
    newest = {table: _newest(run, hop, table) for table in hop.upstream()}
    ends = {name: newest[hop.reads(name).name] for name in hop.sources}
    _check_followed(run, hop, ends)
    mode, reason, needed = _decide(run, hop, before, ends, full=full)
    feeds: dict[str, Feed] = {}
    if mode == "incremental" and before:
        feeds, broken = _feeds(run, hop, before, ends)
        if broken:
            mode, reason, needed, feeds = "full", f"full, because {broken}", True, {}
    inputs = {}
    for name in hop.sources:
        table = hop.reads(name).name
        if name in feeds and before:
            known = before.inputs[list(hop.sources).index(name)]
            inputs[name] = Input(table=table, kind="changes", start=known.end, end=ends[name], rows=feeds[name].rows)
        else:
            inputs[name] = Input(table=table, kind="changes" if hop.follows(name) else "snapshot", end=ends[name], rows=_rows(run, table, ends[name]))
    return Plan(hop, base, before, inputs, mode, reason, needed, feeds=feeds)


def _ranged(run: Run, hop: Hop, base: int, before: Record, column: str, wanted: Range) -> Plan:
    """A range of the table, from the very versions it has consumed: nothing new comes in, and nothing is read twice into it."""
    if hop.write == "scd2":
        raise DeclarationError(f"{hop.table.name} keeps history, where a row's validity depends on rows outside a range", "Use --full")
    if hop.table.repeats_rejected:
        raise DeclarationError(f"{hop.table.name} sets rows aside that repeat others, which may lie outside a range", "Use --full")
    inputs = {
        name: known.model_copy(update={"start": None, "rows": _rows(run, known.table, known.end)})
        for name, known in zip(hop.sources, before.inputs, strict=True)
    }
    within = Within(column=column, start=wanted.start, end=wanted.end, fingerprint=hop.fingerprint)
    told = f"{column} from {wanted.start or 'the beginning'} until {wanted.end or 'the end'}, because it was asked for"
    return Plan(hop, base, before, inputs, "range", told, True, within)


def _decide(run: Run, hop: Hop, before: Record | None, ends: dict[str, int], *, full: bool) -> tuple[str, str, bool]:
    """Mode, the reason in words, and whether there is anything to do."""
    if before is None:
        return "full", "full, because the table is new", True
    if full:
        return "full", "full, because it was asked for", True
    if before.code is None or before.code.fingerprint != hop.fingerprint or not _same_inputs(hop, before):
        return "full", f"full, because {_changed(run, hop, before)}", True
    moved = {}
    for name, known in zip(hop.sources, before.inputs, strict=True):
        try:
            still = known.end == ends[name] or run.log(path_of(known.table)).same_rows(known.end, ends[name])
        except NotFound:
            return "full", f"full, because the log of {known.table} no longer reaches back to version {known.end}", True
        if not still:
            moved[name] = (known.end, ends[name])
    if not moved:
        return "incremental", "nothing new", False
    if back := [name for name, (was, now) in moved.items() if now < was]:
        return "full", f"full, because {hop.reads(back[0]).name} went back to an earlier version", True
    told = ", ".join(f"{hop.reads(name).name} {was} → {now}" for name, (was, now) in moved.items())
    if not any(hop.follows(name) for name in hop.sources):
        return "full", f"inputs moved: {told}", True
    if still_read := [name for name in moved if not hop.follows(name)]:
        return "full", f"full, because {hop.reads(still_read[0]).name} changed, which every row was computed with", True
    return "incremental", f"{'changed groups' if hop.write == 'by_key' else 'new rows'}: {told}", True


def _changed(run: Run, hop: Hop, before: Record) -> str:
    """What changed in the contract, if that is known; else that something did, in the code or there."""
    wanted, known = expected(hop.table), schema_of_record(run.store, run.log(path_of(hop.table.name)), before)
    changes = [change for change in (compare(known[2], wanted) if wanted and known else ()) if change.about != "owner"]
    changes.sort(key=lambda change: change.kind == "words")
    if not changes:
        return "the code or the contract changed"
    rest = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return f"the contract changed: {'; '.join(change.what for change in changes[:_SHOWN])}{rest}"


def _feeds(run: Run, hop: Hop, before: Record, ends: dict[str, int]) -> tuple[dict[str, Feed], str | None]:
    """The feeds of the inputs read as changes; or why they cannot be told row by row."""
    feeds = {}
    for (name, end), known in zip(ends.items(), before.inputs, strict=True):
        if not hop.follows(name):
            continue
        table = hop.reads(name)
        log = run.log(path_of(table.name))
        last = log.last_record(until=end)
        document = last_schema(run.store, last[1]) if last else None
        if document is None:
            return {}, f"nothing is known of the schema of {table.name}"
        try:
            feed = feed_between(run.store, log, schema_of(document[2])[0], known.end, end)
        except NotFound:
            return {}, f"the log of {table.name} no longer reaches back to version {known.end}"
        if feed.whole:
            return {}, f"{table.name} {feed.whole}"
        feeds[name] = feed
    return feeds, None


def _check_followed(run: Run, hop: Hop, ends: dict[str, int]) -> None:
    """Only ways of writing that can follow a changed row may read changes of a table whose rows change."""
    for name, end in ends.items():
        if not hop.follows(name) or hop.write == "by_key" or (hop.write == "merge" and hop.table.key == hop.reads(name).key):
            continue
        last = run.log(path_of(hop.reads(name).name)).last_record(until=end)
        if last is not None and last[1].write != "append":
            raise DeclarationError(
                f"{hop.table.name} is written by {hop.write} from changes of {hop.reads(name).name}, whose rows change: what a changed row became could not be found",
                "Write by_key, or read it as a snapshot" if hop.write != "append" else "Merge with the same key, write by_key, or read it as a snapshot",
            )


def _same_inputs(hop: Hop, before: Record) -> bool:
    return [known.table for known in before.inputs] == [hop.reads(name).name for name in hop.sources]


def _newest(run: Run, hop: Hop, table: str) -> int:
    version = run.pins.get(table, -1)
    if version < 0:
        version = run.log(path_of(table)).version()
    if version < 0:
        raise LakeError(f"{hop.table.name} reads {table}, which does not exist yet", f"Run the hop or land the files that fill {table} first")
    return version


def _rows(run: Run, table: str, version: int) -> int | None:
    last = run.log(path_of(table)).last_record(until=version)
    return last[1].rows if last else None
