"""What a hop will do, decided before anything is read: which versions, all of it, a range or the increment, and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import polars as pl

from lake.code import SCHEME, changes_between, engine_versions, recall
from lake.code import Change as CodeChange
from lake.contract import PROVENANCE, RESCUED
from lake.delta import schema_of
from lake.errors import DeclarationError, NotFound, Waits
from lake.feed import Feed, feed_between
from lake.hop import Hop
from lake.log import schema_of_record
from lake.range import Range
from lake.record import MIXED, Input, Record, Within
from lake.run import Run
from lake.schemas import compare, expected, last_schema
from lake.table import path_of

__all__ = ["Plan", "Range", "make_plan"]

_SHOWN = 3  # changes told of a contract


@dataclass(frozen=True)
class Plan:
    """One hop, decided. `inputs` pins versions by parameter; `base` is the version planned against, -1 for a new table.

    `feeds` has the changes of the inputs that are read as such; it is empty where everything is read. `again` has the raw places
    (`_file`, `_row`) of rows that were rejected, where these alone are read. `engine` says which versions of what computes have changed since the rows
    were made or verified: then a share of them is computed again first. In mode `verify` that is all there is to do.

    `adds` says that the rows read are some of their keys' rows, so that one which is there already may be later than they are. Else what is read
    has all rows of the keys it speaks for, and what they come to stands, whatever was there.
    """

    hop: Hop
    base: int
    before: Record | None
    inputs: dict[str, Input]
    mode: str
    reason: str
    needed: bool
    within: Within | None = None
    engine: str | None = None
    feeds: dict[str, Feed] = field(default_factory=dict, compare=False)
    again: pl.DataFrame | None = field(default=None, compare=False)
    adds: bool = False

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
    engine = engine_moved(before) if mode == "incremental" and before else None
    if engine:
        mode, reason, needed = (
            ("incremental", f"{reason}; a share is verified first, because {engine}", True)
            if needed
            else ("verify", f"a share is verified, because {engine}", True)
        )
    inputs = {}
    for name in hop.sources:
        table = hop.reads(name).name
        if name in feeds and before:
            known = before.inputs[list(hop.sources).index(name)]
            inputs[name] = Input(table=table, kind="changes", start=known.end, end=ends[name], rows=feeds[name].rows)
        else:
            inputs[name] = Input(table=table, kind="changes" if hop.follows(name) else "snapshot", end=ends[name], rows=_rows(run, table, ends[name]))
    return Plan(hop, base, before, inputs, mode, reason, needed, engine=engine, feeds=feeds, adds=bool(feeds) and _adds(run, hop, ends))


def _adds(run: Run, hop: Hop, ends: dict[str, int]) -> bool:
    """Whether the rows that drive the hop come beside earlier ones of their keys: they are new rows of a table that only grows."""
    if hop.write not in ("merge", "scd2"):
        return False
    last = run.log(path_of(hop.reads(hop.driver).name)).last_record(until=ends[hop.driver])
    return last is None or last[1].write == "append"


def engine_moved(before: Record) -> str | None:
    """Which versions of what computes are others than those that made the rows, in words; None where all are the same, or not on record."""
    known = {"lake": before.code.lake, "Polars": before.code.polars} if before.code else {}
    told = [f"{name} is {now} (was {known[name]})" for name, now in engine_versions().items() if known.get(name) and known[name] != now]
    return " and ".join(told) or None


def code_changes(run: Run, hop: Hop, before: Record) -> list[CodeChange] | None:
    """What the hop reaches that is not what it was when `before` was made; None where that is not on record."""
    if before.code is None or before.code.scheme != SCHEME:
        return None
    was = recall(run.store, before.code.fingerprint.removeprefix(MIXED).partition(" ")[0])
    return changes_between(was, [*hop.code.parts, *hop.declared], hop.code.packages) if was is not None else None


def _ranged(run: Run, hop: Hop, base: int, before: Record, column: str, wanted: Range) -> Plan:
    """A range of the table, from the very versions it has consumed: nothing new comes in, and nothing is read twice into it."""
    if hop.table.repeats_rejected:
        raise DeclarationError(f"{hop.table.name} sets rows aside that repeat others, which may lie outside a range", "Use --full")
    wanted_columns, known_columns = expected(hop.table), schema_of_record(run.store, run.log(path_of(hop.table.name)), before)
    changes = compare(known_columns[2], wanted_columns) if wanted_columns and known_columns else []
    if other := next((change for change in changes if change.kind.startswith(("column", "key")) and change.kind != "column nullable"), None):
        raise DeclarationError(
            f"{hop.table.name} has other columns than when its rows were made ({other.what}): a range of it would not fit the rest", "Use --full"
        )
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
        other = before.code is not None and before.code.fingerprint.startswith(f"{MIXED}{hop.fingerprint} ")
        return "full", f"full, because {'other code made a range of it' if other else _changed(run, hop, before)}", True
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
    """What changed: the inputs, the contract or the code, by name where that is known."""
    if not _same_inputs(hop, before):
        return f"it reads other tables: {', '.join(known.table for known in before.inputs)} became {', '.join(hop.reads(name).name for name in hop.sources)}"
    if before.code is None:
        return "its last commit does not say which code made it"
    wanted, known = expected(hop.table), schema_of_record(run.store, run.log(path_of(hop.table.name)), before)
    changes = [change for change in (compare(known[2], wanted) if wanted and known else ()) if change.about != "owner"]
    changes.sort(key=lambda change: change.kind == "words")
    if changes:
        return f"the contract changed: {_some([change.what for change in changes])}"
    if before.code.scheme != SCHEME:
        return "lake looks at more of the code than when it was made, so whether that changed is not known"
    names = [_short(hop, change) for change in code_changes(run, hop, before) or ()]
    return f"the code changed: {_some(names)}" if names else "the code or the contract changed"


def _some(told: list[str]) -> str:
    return "; ".join(told[:_SHOWN]) + (f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else "")


def _short(hop: Hop, change: CodeChange) -> str:
    """A change in a few words."""
    return f"{change.name.removeprefix(f'{hop.function.__module__}.')} {change.what}"


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
    """Only ways of writing that can follow a changed row may read changes of a table whose rows change; and only groups that are read whole can be summed up."""
    for name, end in ends.items():
        if not hop.follows(name) or hop.write == "by_key" or (hop.write == "merge" and hop.table.key == hop.reads(name).key):
            continue
        last = run.log(path_of(hop.reads(name).name)).last_record(until=end)
        if last is not None and last[1].write != "append":
            raise DeclarationError(
                f"{hop.table.name} is written by {hop.write} from changes of {hop.reads(name).name}, whose rows change: what a changed row became could not be found",
                "Write by_key, or read it as a snapshot" if hop.write != "append" else "Merge with the same key, write by_key, or read it as a snapshot",
            )
    if hop.aggregates and hop.write in ("merge", "scd2", "append") and hop.follows(hop.driver):
        raise DeclarationError(
            f"{hop.table.name} is written by {hop.write} and sums up changes of {hop.reads(hop.driver).name}: each run would sum up only what came since the last",
            "Write by_key, or read it as a snapshot",
        )


def _same_inputs(hop: Hop, before: Record) -> bool:
    return [known.table for known in before.inputs] == [hop.reads(name).name for name in hop.sources]


def _newest(run: Run, hop: Hop, table: str) -> int:
    version = run.pins.get(table, -1)
    if version < 0:
        version = run.log(path_of(table)).version()
    if version < 0:
        told = f"{hop.table.name} reads {table}, which does not exist yet"
        raise Waits(told, f"Run the hop or land the files that fill {table} first", table=table, missing=True)
    _check_columns(run, hop, table, version)
    return version


def _check_columns(run: Run, hop: Hop, table: str, version: int) -> None:
    """Raise Waits where a bronze table has no column yet, since no file of it could be read."""
    last = run.log(path_of(table)).last_record(until=version) if table.startswith("bronze.") else None
    if last is None or last[1].rows:
        return
    document = last_schema(run.store, last[1])
    if document is None or {column["name"] for column in document[2]["columns"]} - {*PROVENANCE, RESCUED}:
        return
    files = [file for _, record in run.log(path_of(table)).records() for file in record.files]
    why = "no file of it has landed yet"
    if files:
        told = files[0].reason or f"{files[0].name} is empty"
        why = f"none of its {len(files):,} files has a record" if len(files) > 1 else "its only file has no record"
        why += f": {told}"
    raise Waits(
        f"{hop.table.name} waits for {table}: {why}", f"It is made when a file with records lands; `lake rejects {table}` shows what was not read", table=table
    )


def _rows(run: Run, table: str, version: int) -> int | None:
    last = run.log(path_of(table)).last_record(until=version)
    return last[1].rows if last else None
