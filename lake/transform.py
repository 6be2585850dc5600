"""One pass: the team's function over pinned inputs, judged, gated, counted and written to local parts, all in one streaming execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from lake.called import called, failure
from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, LANDED, ROW, Contract
from lake.datafile import parts_in, scan_parts, sink_parts, write_parts
from lake.delta import DataFile, bring
from lake.dtypes import Gate, gate
from lake.errors import DiskFull, DTypeRefused, HopFailed, LakeError, SchemaRefused, StoreUnreachable, translated
from lake.hop import VALIDITY
from lake.judging import Sorted, judge_made, sort_made, with_validity
from lake.plan import Plan
from lake.provenance import check_provenance
from lake.quarantine import BARE
from lake.raising import Apart, freshest_of, not_raised, raised_rows, rule_of, set_apart
from lake.range import Range
from lake.record import Accepted, Within
from lake.run import Run
from lake.scope import Scope, told_apart_by, write_concerned
from lake.table import path_of


@dataclass(frozen=True)
class Staged:
    """What the pass left on local disk (`good`, `bad` and, of rows that delete, `dead` parts) and what it counted on the way.

    Where it was done in partitions, the rows that passed may be `standing` instead: in data files of the table that no commit names yet.
    `accepted` are rejects beyond the limits that somebody set aside. `stopped` is what stops the hop, where it raises on more rows than may be rejected: those that were found are among the rejects.
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
    stopped: LakeError | None = None
    accepted: Accepted | None = None


def stage(run: Run, plan: Plan, folder: Path, *, where: pl.Expr | None = None, driving: pl.LazyFrame | None = None, bounded: bool = True) -> Staged:
    """Run the pass for `plan` in `folder`, keeping rows `where` a condition holds, if there is one, over the rows `driving` it where these are given.

    Rows on which the hop raises are rejected where each of its rows is made from one; `bounded` says that no more are looked for than may be.
    Raises HopFailed, SchemaRefused or DTypeRefused; nothing is visible to anyone yet.
    """
    scope = _scope(plan, folder)
    frames = {name: driving if driving is not None and name == plan.hop.driver else _pinned(run, plan, name, scope) for name in plan.hop.inputs}
    try:
        return _passed(run, plan, folder, frames, scope, where, entire=driving is None)
    except HopFailed as failed:
        if failed.raised is None:
            raise
        apart = set_apart(run, plan, frames, folder, failed, partial(_attempt, run, plan), bounded=bounded)
    return _with_raised(run, plan, folder, frames, scope, where, apart)


def _with_raised(run: Run, plan: Plan, folder: Path, frames: dict[str, pl.LazyFrame], scope: Scope | None, where: pl.Expr | None, apart: Apart) -> Staged:
    """The pass over all rows but those on which the hop raises, with these among the rejects. Where there are too many, these alone, and what stops the hop."""
    hop, rest = plan.hop, folder / "rest"
    driving = apart.rows.none() if apart.stop else apart.rows.without(apart.reasons)
    try:
        staged = _passed(run, plan, rest, frames | {hop.driver: driving}, scope, where, entire=False)
    except HopFailed as again:
        raise apart.unsteady(again) from None
    if where is not None and plan.within is None:  # rows are asked for by what came of them, and nothing came of these
        return replace(staged, read=staged.read + len(apart.reasons))
    write_parts(raised_rows(hop, apart.rows, apart.reasons), staged.bad / "raised")
    count = len(apart.reasons)
    out = staged.out if plan.within is not None else staged.out + count
    rules = dict(sorted((staged.rules | {rule_of(hop): count}).items()))
    freshest = max((at for at in (staged.freshest, freshest_of(apart.rows, apart.reasons)) if at is not None), default=None)
    return replace(
        staged, read=staged.read + count, out=out, rejected=staged.rejected + count, rules=rules, freshest=freshest, stopped=apart.stop,
    )  # fmt: skip


def _attempt(run: Run, plan: Plan, frames: Mapping[str, pl.LazyFrame]) -> BaseException | None:
    """What the hop, or a rule of its contract, raises when it is given these frames; None where nothing does. Rows are counted and not kept."""
    hop, contract = plan.hop, plan.hop.table.contract
    try:
        out = with_validity(hop, called(hop, dict(frames)))
        out.select(pl.all().null_count()).collect(engine="streaming")
        if contract is not None:
            judged = sort_made(plan, contract, out, {}, None)
            good = judged.good.select(gate(judged.good.collect_schema()).expressions)
            for frame in (good, judged.bad, *([judged.dead] if judged.dead is not None else []), judged.doubts):
                frame.select(pl.all().null_count()).collect(engine="streaming")
    except HopFailed as failed:
        return failed.raised
    except LakeError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  # what it is that the hop raises is what is asked
        told = translated(error, hop.table.name)
        if isinstance(told, StoreUnreachable | DiskFull):
            raise told from None
        return error
    return None


def _passed(run: Run, plan: Plan, folder: Path, frames: dict[str, pl.LazyFrame], scope: Scope | None, where: pl.Expr | None, *, entire: bool) -> Staged:
    """The pass over `frames`, `entire` where they are all that was planned. Raises HopFailed, SchemaRefused or DTypeRefused."""
    hop = plan.hop
    contract, out, judged = _made(run, plan, frames)
    schema = out.collect_schema()
    passage = gate(judged.good.collect_schema())
    driver = frames[hop.driver]
    whole = where is None and plan.within is None
    traced = whole and {FILE, ROW} <= set(schema.names()) and {FILE, ROW} <= set(driver.collect_schema().names())
    read = _known(run, plan) if not traced and entire else None
    source = driver.select(pl.len().alias("n"), *_marks(traced), *([pl.col(LANDED).max().alias("at")] if LANDED in driver.collect_schema() else []))
    try:
        if not (len(hop.inputs) == 1 and traced and hop.deletes is None) and _is_written(schema):
            beside = [] if read is not None or _is_scanned(plan) else [source]
            _, *counted = pl.collect_all([sink_parts(out, folder / "made"), *beside], engine="streaming")
            read = counted[0] if counted else read if read is not None else source.collect(engine="streaming")
            out = scan_parts(folder / "made", schema)
            judged = judge_made(run, plan, contract, out)
        if plan.within is not None:
            scope = _range_scope(run, plan, plan.within, judged.good, folder)
        if not whole:
            judged = judge_made(run, plan, contract, out, scope if plan.within is not None else Scope(where=where))
        found = _sunk(plan, judged, passage, out, folder, read if read is not None else source, traced=traced, whole=whole)
    except (LakeError, OSError):
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  # what the team's functions raise on values comes through as it is
        told = translated(error, hop.table.name)
        raise (told if isinstance(told, StoreUnreachable | DiskFull) else failure(hop, error)) from None
    given, came_out = (frame.row(0, named=True) for frame in found[:2])
    if passage.losses and (lost := passage.lost(found[2].row(0, named=True))):
        raise DTypeRefused(f"hop {hop.function.__qualname__}: {lost}", "Round instants to microseconds in the hop, and set dates that are none to null")
    content, rejected, rules, dead = _written(folder, passage.schema)
    came = came_out["n"] if whole else came_out["n"] + dead
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


def _made(run: Run, plan: Plan, frames: dict[str, pl.LazyFrame]) -> tuple[type[Contract], pl.LazyFrame, Sorted]:
    """What the hop makes of `frames`: its contract, what its function returned, and that sorted by the contract."""
    hop = plan.hop
    out = called(hop, frames)
    contract = hop.table.contract
    if contract is None:
        raise LakeError(f"{hop.table.name} has no contract", "Give it one; only bronze keeps what came as it came")
    try:
        out = with_validity(hop, out)
        check_provenance(hop, out.collect_schema().names(), frames[hop.driver].collect_schema().names())
        return contract, out, judge_made(run, plan, contract, out)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError) as error:
        raise failure(hop, error) from None


def made_of_keys(run: Run, plan: Plan, keys: pl.LazyFrame, *, before: bool) -> tuple[pl.LazyFrame, pl.LazyFrame | None]:
    """The rows of these `keys` that the hop makes of all that drives it, and those that delete one of them: to the end of what is planned or, `before` it, as far as it was read.

    Both lazily. Raises what stage does.
    """
    hop = plan.hop
    given = plan.inputs[hop.driver]
    end = given.start if before and given.start is not None else given.end
    everything = replace(
        plan, mode="full", feeds={}, again=None, within=None, inputs=plan.inputs | {hop.driver: given.model_copy(update={"start": None, "end": end})}
    )
    frames = {name: _pinned(run, everything, name, None) for name in hop.inputs}
    frames[hop.driver] = not_raised(run, hop, plan.before, frames[hop.driver])
    _, _, judged = _made(run, everything, frames)
    on = keys.collect_schema().names()
    good = judged.good.select(gate(judged.good.collect_schema()).expressions).join(keys, on=on, how="semi")
    return good, judged.dead.join(keys, on=on, how="semi") if judged.dead is not None else None


def _is_scanned(plan: Plan) -> bool:
    """Whether the rows that drive the hop are those of data files as they are, so that counting them apart costs little."""
    feed = plan.feeds.get(plan.hop.driver)
    return plan.again is None and (feed is None or (feed.grows_only and plan.hop.write != "by_key"))


def _is_written(schema: pl.Schema) -> bool:
    """Whether Parquet gives rows of `schema` back as they were."""
    return not any("128" in str(dtype) or "Object" in str(dtype) or "Unknown" in str(dtype) for dtype in schema.values())


def _sunk(
    plan: Plan, judged: Sorted, passage: Gate, out: pl.LazyFrame, folder: Path, source: pl.LazyFrame | pl.DataFrame, *, traced: bool, whole: bool
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
    result = (out if whole else judged.good).select(pl.len().alias("n"), *_marks(traced), *summed)
    losses = judged.good.select(passage.losses) if passage.losses else pl.LazyFrame()
    _, *beside = pl.collect_all([kept, *([source] if isinstance(source, pl.LazyFrame) else [])], engine="streaming")
    read = beside[0] if beside else source.lazy().collect()
    made, lost, doubted = (frame.collect(engine="streaming") for frame in (result, losses, judged.doubts))
    passed = scan_parts(folder / "good", pl.Schema({})).select(pl.len()).collect().item() if parts_in(folder / "good") else 0
    if not whole or made["n"].item() != passed:
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


def range_of(within: Within, contract: type[Contract]) -> pl.Expr:
    """The condition on the table's rows that a backfilled range stands for. Raises as Range, for bounds that are no dates or do not suit the column."""
    return Range(within.start, within.end).among(within.column, contract.columns()[within.column].dtype)


def scan_good(staged: Staged) -> pl.LazyFrame:
    """The rows that passed, from local disk."""
    return scan_parts(staged.good, staged.schema)


def _range_scope(run: Run, plan: Plan, within: Within, good: pl.LazyFrame, folder: Path) -> Scope | None:
    """What the batch speaks for where a range is recomputed: rows of that time or, where the time of a row may change, all that belongs with such rows."""
    hop = plan.hop
    if hop.table.contract is None:
        return None
    where = range_of(within, hop.table.contract) if hop.write != "scd2" or within.column != VALIDITY[1] else pl.lit(True)
    there = run.snapshot(path_of(hop.table.name), plan.base)
    on = told_apart_by(hop, set(good.collect_schema()) & set(there.schema))
    if not on or within.column in on:
        return Scope(where=where)
    write_concerned(good, there, on, where, folder / "range")
    return Scope(folder / "range" / "keys", on)


def _scope(plan: Plan, folder: Path) -> Scope | None:
    """What the batch speaks for: the groups that changed; or, of an input whose rows change, the keys that did. None: its own rows, or a range."""
    hop = plan.hop
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


def _marks(traced: bool) -> list[pl.Expr]:
    """Sums over hashes of raw places: equal on both sides of a hop exactly when each row read came out once."""
    if not traced:
        return []
    place = pl.col(FILE).hash(7) ^ pl.col(ROW).hash(8)
    return [(place & 0xFFFF_FFFF).sum().alias("low"), (place // (1 << 32)).sum().alias("high")]
