"""One pass: the team's function over pinned inputs, judged, gated, counted and written to local parts, all in one streaming execution."""

from __future__ import annotations

import datetime as dt
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, LANDED, ROW, Contract, ending, judge, parsed
from lake.datafile import parts_in, scan_parts, sink_parts, write_parts
from lake.delta import DataFile, bring
from lake.dtypes import Gate, gate
from lake.errors import DiskFull, DTypeRefused, HopFailed, LakeError, SchemaRefused, StoreUnreachable, UnknownName, translated
from lake.hop import Hop
from lake.plan import Plan
from lake.quarantine import BARE, rejected_rows
from lake.record import Within
from lake.run import Run
from lake.table import ordering, path_of


@dataclass(frozen=True)
class Scope:
    """The rows of the table that this batch speaks for: those not among its rows leave. By keys (`parts` of columns `on`), or by a condition."""

    parts: Path | None = None
    on: tuple[str, ...] = ()
    where: pl.Expr | None = None


@dataclass(frozen=True)
class Staged:
    """What the pass left on local disk (`good`, `bad` and, of rows that delete, `dead` parts) and what it counted on the way.

    Where it was done in partitions, the rows that passed may be `standing` instead: in data files of the table that no commit names yet.
    """

    good: Path
    bad: Path
    schema: pl.Schema
    read: int
    out: int
    passed: int
    rejected: int
    rules: dict[str, int]
    warned: dict[str, int]
    counted: int | None
    intact: bool | None
    content: Content
    conversions: dict[str, str]
    freshest: Any
    dead: Path | None = None
    scope: Scope | None = None
    standing: tuple[DataFile, ...] = ()


@dataclass(frozen=True)
class _Sorted:
    """The hop's output sorted by the contract, lazily."""

    good: pl.LazyFrame
    bad: pl.LazyFrame
    dead: pl.LazyFrame | None
    doubts: pl.LazyFrame


def stage(run: Run, plan: Plan, folder: Path, *, where: pl.Expr | None = None, driving: pl.LazyFrame | None = None) -> Staged:
    """Run the pass for `plan` in `folder`, keeping rows `where` a condition holds, if there is one, over the rows `driving` it where these are given. Raises HopFailed, SchemaRefused or DTypeRefused; nothing is visible to anyone yet."""
    hop = plan.hop
    scope = _scope(plan, folder)
    where = scope.where if scope is not None and scope.where is not None else where
    frames = {name: driving if driving is not None and name == hop.driver else _pinned(run, plan, name, scope) for name in hop.inputs}
    out = _called(hop, frames)
    contract = hop.table.contract
    if contract is None:
        raise LakeError(f"{hop.table.name} has no contract")
    try:
        out = _with_validity(hop, out)
        schema = out.collect_schema()
        judged = _judged(run, plan, contract, out, where)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise _failed(hop, error) from None
    passage = gate(judged.good.collect_schema())
    driver = frames[hop.driver]
    traced = where is None and {FILE, ROW} <= set(schema.names()) and {FILE, ROW} <= set(driver.collect_schema().names())
    read = _known(run, plan) if not traced and driving is None else None
    source = driver.select(pl.len().alias("n"), *_marks(traced), *([pl.col(LANDED).max().alias("at")] if LANDED in driver.collect_schema() else []))
    try:
        if not (len(hop.inputs) == 1 and traced and hop.deletes is None) and _is_written(schema):
            beside = [] if read is not None or _is_scanned(plan) else [source]
            _, *counted = pl.collect_all([sink_parts(out, folder / "made"), *beside], engine="streaming")
            read = counted[0] if counted else read if read is not None else source.collect(engine="streaming")
            out = scan_parts(folder / "made", schema)
            judged = _judged(run, plan, contract, out, where)
        found = _sunk(plan, judged, passage, out, folder, read if read is not None else source, traced=traced, where=where)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        told = translated(error, hop.table.name)
        raise (told if isinstance(told, StoreUnreachable | DiskFull) else _failed(hop, error)) from None
    given, came_out = (frame.row(0, named=True) for frame in found[:2])
    if passage.losses and (lost := passage.lost(found[2].row(0, named=True))):
        raise DTypeRefused(f"hop {hop.function.__qualname__}: {lost}", "Round instants to microseconds in the hop, and set dates that are none to null")
    content, rejected, rules, dead = _written(folder, passage.schema)
    came = came_out["n"] + dead if where is not None else came_out["n"]
    intact = (given["low"], given["high"]) == (came_out["low"], came_out["high"]) if traced else None
    warned = {rule: int(count) for rule, count in found[3].row(0, named=True).items() if count} if found[3].width else {}
    return Staged(
        folder / "good", folder / "bad", passage.schema, given["n"], came, content.rows, rejected, rules, warned, came_out.get("counted"), intact,
        content, passage.conversions, given.get("at"), folder / "dead" if judged.dead is not None else None, scope,
    )  # fmt: skip


def _known(run: Run, plan: Plan) -> pl.DataFrame | None:
    """How many rows drive the hop, where the log says it: those of a snapshot that is read whole. None where they are to be counted."""
    name = plan.hop.driver
    if plan.again is not None or name in plan.feeds:
        return None
    wanted = plan.inputs[name]
    return pl.DataFrame({"n": [run.snapshot(path_of(wanted.table), wanted.end).rows]})


def _judged(run: Run, plan: Plan, contract: type[Contract], out: pl.LazyFrame, where: pl.Expr | None) -> _Sorted:
    """What the hop returned, with what its rows refer to, sorted by the contract."""
    marked, marks = refer(run, plan, contract, out)
    return _sorted(plan, contract, marked, marks, where)


def _is_scanned(plan: Plan) -> bool:
    """Whether the rows that drive the hop are those of data files as they are, so that counting them apart costs little."""
    feed = plan.feeds.get(plan.hop.driver)
    return plan.again is None and (feed is None or (feed.grows_only and plan.hop.write != "by_key"))


def _is_written(schema: pl.Schema) -> bool:
    """Whether Parquet gives rows of `schema` back as they were."""
    return not any("128" in str(dtype) or "Object" in str(dtype) or "Unknown" in str(dtype) for dtype in schema.values())


def _sunk(
    plan: Plan, judged: _Sorted, passage: Gate, out: pl.LazyFrame, folder: Path, source: pl.LazyFrame | pl.DataFrame, *, traced: bool, where: pl.Expr | None
) -> list[pl.DataFrame]:
    """Write the rows that passed, and only if some are missing those that were refused or delete. What was read, what came out, what would be lost, what is doubtful.

    One after the other over frames that are quick to make again: Polars hands a shared frame to the faster of its readers without a bound, so that
    counting beside a sink would hold the table in memory (6 M rows of 19 columns: 1.9 GB, and 0.6 GB this way); what is counted here reads two columns.
    """
    hop = plan.hop
    good = judged.good.select(passage.expressions)
    order = hop.table.sort or (tuple(hop.table.key) if hop.table.layer == "gold" else ())
    kept = sink_parts(good.sort(order) if order else good, folder / "good", of=max(plan.estimated_rows, plan.before.rows if plan.before else 0))
    summed = [pl.col(hop.counts).cast(pl.Int64, strict=False).sum().alias("counted")] if hop.counts else []
    result = (judged.good if where is not None else out).select(pl.len().alias("n"), *_marks(traced), *summed)
    losses = judged.good.select(passage.losses) if passage.losses else pl.LazyFrame()
    _, *beside = pl.collect_all([kept, *([source] if isinstance(source, pl.LazyFrame) else [])], engine="streaming")
    read = beside[0] if beside else source.lazy().collect()
    made, lost, doubted = (frame.collect(engine="streaming") for frame in (result, losses, judged.doubts))
    passed = scan_parts(folder / "good", pl.Schema({})).select(pl.len()).collect().item() if parts_in(folder / "good") else 0
    if where is not None or made["n"].item() != passed:
        sink_parts(judged.bad, folder / "bad").collect(engine="streaming")
        if judged.dead is not None:
            sink_parts(judged.dead, folder / "dead").collect(engine="streaming")
    return [read, made, lost, doubted]


def _written(folder: Path, schema: pl.Schema) -> tuple[Content, int, dict[str, int], int]:
    """What the pass wrote, read from local disk, which is quicker than to make it twice: the content of the good rows, how many were refused, by which rule, how many delete."""
    bad = scan_parts(folder / "bad", BARE)
    by_rule = bad.select(pl.col("rules").alias("rule")).explode("rule").group_by("rule").agg(pl.len().alias("n"))
    dead = scan_parts(folder / "dead", pl.Schema({})).select(pl.len()) if parts_in(folder / "dead") else pl.LazyFrame({"len": [0]})
    wanted = [scan_parts(folder / "good", schema).select(content_sums(schema)), bad.select(pl.len()), by_rule, dead]
    content, rejected, rules, gone = pl.collect_all(wanted, engine="streaming")
    return read_sums(content.row(0, named=True)), rejected.item(), dict(sorted(rules.iter_rows())), gone.item()


def _sorted(plan: Plan, contract: type[Contract], out: pl.LazyFrame, marks: dict[str, str], where: pl.Expr | None) -> _Sorted:
    """The output judged. Rows that delete are judged by their key alone; where a range is asked for, rows outside it are nobody's."""
    hop, who = plan.hop, f"hop {plan.hop.function.__qualname__}"
    schema, warns = out.collect_schema(), hop.table.warns
    if hop.deletes is None:
        judged = judge(contract, out, who=who, warn=warns, marks=marks)
        good, bad, dead = judged.good, rejected_rows(judged.bad), None
    else:
        if schema.get(hop.deletes) != pl.Boolean:
            raise SchemaRefused(f"{who} returns no Boolean column {hop.deletes}, which says which rows delete", "Add it in the hop")
        gone = pl.col(hop.deletes).fill_null(False)
        ordered = ordering(hop.table, schema)
        judged = judge(contract, out.filter(~gone).drop(hop.deletes), who=who, warn=warns, marks=marks)
        ended = judge(ending(contract, (*hop.table.key, *hop.table.sequence)), out.filter(gone).select(*hop.table.key, *ordered), who=who)
        typed = gate(ended.good.collect_schema())
        good, bad = judged.good, pl.concat([rejected_rows(judged.bad), rejected_rows(ended.bad)])
        dead = ended.good.select(typed.expressions)
    doubtful = judged.doubtful if where is None else judged.doubtful.filter(where)
    broken = [expression.alias(f"#warn {rule}") for rule, expression in judged.doubts.items()]
    doubts = doubtful.with_columns(broken).select(pl.col(f"#warn {rule}").sum().alias(rule) for rule in judged.doubts) if broken else pl.LazyFrame()
    if where is None:
        return _Sorted(good, bad, dead, doubts)
    return _Sorted(good.filter(where), bad if plan.within is not None else bad.clear(), dead, doubts)


def range_of(within: Within, contract: type[Contract]) -> pl.Expr:
    """The condition on the table's rows that a backfilled range stands for. Raises UnknownName for bounds that are no dates."""
    column = contract.columns()[within.column]
    ends = {}
    for name, text in (("start", within.start), ("end", within.end)):
        if text is not None:
            try:
                ends[name] = _bound(text, column.dtype)
            except ValueError:
                raise UnknownName(f"{text!r} is neither a date nor an instant", "Write 2026-11-23 or 2026-11-23T08:00:00+01:00") from None
    where = pl.lit(True)
    if "start" in ends:
        where &= pl.col(within.column) >= ends["start"]
    if "end" in ends:
        where &= pl.col(within.column) < ends["end"]
    return where


def _bound(text: str, dtype: pl.DataType) -> pl.Expr:
    moment = dt.datetime.fromisoformat(text)
    if dtype == pl.Date:
        return pl.lit(moment.date())
    if getattr(dtype, "time_zone", None):
        return pl.lit(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).cast(dtype)
    return pl.lit(moment.replace(tzinfo=None)).cast(dtype)


def _with_validity(hop: Hop, out: pl.LazyFrame) -> pl.LazyFrame:
    """For a table with history: the hop says when each version began; when it ended is worked out later, once its neighbours are known."""
    if hop.write != "scd2" or hop.table.contract is None:
        return out
    if given := {"valid_to", "is_current"} & set(out.collect_schema()):
        raise SchemaRefused(f"hop {hop.function.__qualname__} returns {', '.join(sorted(given))}, which lake works out", "Return valid_from alone")
    ends = hop.table.contract.columns()["valid_to"].dtype
    return out.with_columns(pl.lit(None, dtype=ends).alias("valid_to"), pl.lit(True).alias("is_current"))


def scan_good(staged: Staged) -> pl.LazyFrame:
    """The rows that passed, from local disk."""
    return scan_parts(staged.good, staged.schema)


def _scope(plan: Plan, folder: Path) -> Scope | None:
    """What the batch speaks for: a range; the groups that changed; or, of an input whose rows change, the keys that did. None: its own rows."""
    hop = plan.hop
    if plan.within is not None and hop.table.contract is not None:
        return Scope(where=range_of(plan.within, hop.table.contract))
    if not plan.feeds:
        return None
    if hop.write == "by_key":
        on = hop.by
        for name, feed in plan.feeds.items():
            if missing := [column for column in on if column not in feed.schema]:
                raise SchemaRefused(f"{hop.reads(name).name} has no column {', '.join(missing)}, by which {hop.table.name} is recomputed", "Say by=(…)")
        keys = pl.concat([feed.touched(list(on)) for feed in plan.feeds.values()], how="vertical_relaxed").unique()
    else:
        (feed,) = plan.feeds.values()
        if feed.grows_only:
            return None
        on = tuple(hop.table.key)
        keys = feed.touched(list(on)).unique()
    write_parts(keys, folder / "scope")
    return Scope(folder / "scope", on)


def _pinned(run: Run, plan: Plan, name: str, scope: Scope | None) -> pl.LazyFrame:
    """An input at its planned version: the rows that came in, all rows of the groups that changed, or a snapshot."""
    wanted = plan.inputs[name]
    feed = plan.feeds.get(name)
    if plan.again is not None and name == plan.hop.driver:
        return narrowed(run.snapshot(path_of(wanted.table), wanted.end).scan(), plan.again, [FILE, ROW])
    if feed is None:
        there = run.snapshot(path_of(wanted.table), wanted.end)
        bring(run.store, there.path, there.files, whole=False)
        return there.scan()
    if plan.hop.write != "by_key" or scope is None or scope.parts is None:
        return feed.fresh(plan.hop.reads(name).key)
    groups = pl.read_parquet(parts_in(scope.parts), glob=False) if parts_in(scope.parts) else pl.DataFrame(schema={n: feed.schema[n] for n in scope.on})
    return narrowed(run.snapshot(path_of(wanted.table), wanted.end).scan(), groups, list(scope.on))


def narrowed(frame: pl.LazyFrame, keys: pl.DataFrame, on: list[str]) -> pl.LazyFrame:
    """The rows of `frame` whose columns `on` are among `keys`, nulls equal; row groups outside the keys' bounds are not read."""
    for name in on:
        least, greatest = keys[name].min(), keys[name].max()
        if keys[name].null_count() == 0 and least is not None:
            frame = frame.filter(pl.col(name).is_between(pl.lit(least, dtype=keys.schema[name]), pl.lit(greatest, dtype=keys.schema[name])))
    return frame.join(keys.lazy(), on=on, how="semi", nulls_equal=True)


def refer(run: Run, plan: Plan, contract: type[Contract], out: pl.LazyFrame) -> tuple[pl.LazyFrame, dict[str, str]]:
    """`out` with a Boolean column for each reference of its table that says whether the row keeps it; and those columns by rule."""
    marks: dict[str, str] = {}
    schema = out.collect_schema()
    for number, rule in enumerate(plan.hop.table.references):
        if not set(rule.columns) <= set(schema):
            continue  # the judge will say which column is missing
        given = next(known for known in plan.inputs.values() if known.table == rule.table.name and known.kind == "snapshot")
        there = run.snapshot(path_of(given.table), given.end)
        if missing := [name for name in rule.to if name not in there.schema]:
            raise SchemaRefused(f"{given.table} version {given.end} has no column {', '.join(missing)}, to which {plan.hop.table.name} refers")
        mark, keys = f"#met {number}", [f"#key {number} {name}" for name in rule.to]
        own = [parsed(contract, schema, name) for name in rule.columns]
        known_values = there.scan().select(pl.col(name).alias(key) for name, key in zip(rule.to, keys, strict=True)).drop_nulls().unique()
        sought = out.with_columns(value.cast(there.schema[to], strict=False).alias(key) for value, to, key in zip(own, rule.to, keys, strict=True))
        met = sought.join(known_values.with_columns(pl.lit(True).alias(mark)), on=keys, how="left", maintain_order="left")
        silent = pl.any_horizontal(value.is_null() for value in own)
        out = met.with_columns(pl.col(mark).is_not_null() | silent).drop(keys)
        marks[rule.name] = mark
    return out, marks


def _marks(traced: bool) -> list[pl.Expr]:
    """Sums over hashes of raw places: equal on both sides of a hop exactly when each row read came out once."""
    if not traced:
        return []
    place = pl.col(FILE).hash(7) ^ pl.col(ROW).hash(8)
    return [(place & 0xFFFF_FFFF).sum().alias("low"), (place // (1 << 32)).sum().alias("high")]


def _called(hop: Hop, frames: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    try:
        out = hop.function(**frames)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the team's code raises is told as theirs, with their line
        raise _failed(hop, error) from None
    if not isinstance(out, pl.LazyFrame):
        raise HopFailed(f"hop {hop.function.__qualname__} returned {type(out).__name__}, not a LazyFrame", "Return the lazy frame; lake collects it")
    return out


def _failed(hop: Hop, error: BaseException) -> HopFailed:
    """The error as the team's, with the line of theirs it came from when it came from one."""
    home = hop.function.__code__.co_filename
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == home]
    text = " ".join(str(error).split())[:300] or type(error).__name__
    if frames:
        last = frames[-1]
        where = f"{last.filename.rsplit('/', 1)[-1]} line {last.lineno}: {last.line}"
        return HopFailed(f"hop {hop.function.__qualname__} ({hop.table.name}) raised {type(error).__name__}: {text}", f"See {where}")
    line = hop.function.__code__.co_firstlineno
    return HopFailed(f"hop {hop.function.__qualname__} ({hop.table.name}) failed while running: {text}", f"It is in {home.rsplit('/', 1)[-1]} from line {line}")
