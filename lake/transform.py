"""One pass: the team's function over pinned inputs, judged, gated, counted and written to local parts, all in one streaming execution."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lake.content import Content, content_sums, read_sums
from lake.contract import FILE, LANDED, ROW, RULES, judge
from lake.datafile import scan_parts, sink_parts
from lake.delta import added_between, scan_files
from lake.dtypes import gate
from lake.errors import DiskFull, DTypeRefused, HopFailed, LakeError, StoreUnreachable, translated
from lake.hop import Changes, Hop
from lake.plan import Plan
from lake.quarantine import rejected_rows
from lake.run import Run
from lake.table import path_of


@dataclass(frozen=True)
class Staged:
    """What the pass left on local disk (`good`, `bad` parts) and what it counted on the way."""

    good: Path
    bad: Path
    schema: pl.Schema
    read: int
    out: int
    passed: int
    rejected: int
    rules: dict[str, int]
    counted: int | None
    intact: bool | None
    content: Content
    conversions: dict[str, str]
    freshest: Any


def stage(run: Run, plan: Plan, folder: Path) -> Staged:
    """Run the pass for `plan` in `folder`. Raises HopFailed, SchemaRefused or DTypeRefused; nothing is visible to anyone yet."""
    hop = plan.hop
    frames = {name: _pinned(run, plan, name) for name in hop.inputs}
    out = _called(hop, frames)
    contract = hop.table.contract
    if contract is None:
        raise LakeError(f"{hop.table.name} has no contract")
    try:
        schema = out.collect_schema()
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise _failed(hop, error) from None
    judged = judge(contract, out, who=f"hop {hop.function.__qualname__}")
    passage = gate(judged.good.collect_schema())
    good = judged.good.select(passage.expressions)
    order = hop.table.sort or (tuple(hop.table.key) if hop.table.layer == "gold" else ())
    driver = frames[hop.driver]
    traced = {FILE, ROW} <= set(schema.names()) and {FILE, ROW} <= set(driver.collect_schema().names())
    rules = judged.bad.select(pl.col(RULES).alias("rule")).explode("rule").group_by("rule").agg(pl.len().alias("n"))
    measures = [
        driver.select(pl.len().alias("n"), *_marks(traced), *([pl.col(LANDED).max().alias("at")] if LANDED in driver.collect_schema() else [])),
        out.select(pl.len().alias("n"), *_marks(traced), *([pl.col(hop.counts).cast(pl.Int64, strict=False).sum().alias("counted")] if hop.counts else [])),
        judged.good.select(pl.len().alias("n"), *(count.alias(f"lost {name}") for name, count in passage.inexact.items())),
        good.select(content_sums(passage.schema)),
        rules,
    ]
    sinks = [sink_parts(good.sort(order) if order else good, folder / "good"), sink_parts(rejected_rows(judged.bad), folder / "bad")]
    try:
        source, result, kept, content, broken = pl.collect_all([*sinks, *measures], engine="streaming")[2:]
    except pl.exceptions.PolarsError as error:
        told = translated(error, hop.table.name)
        raise (told if isinstance(told, StoreUnreachable | DiskFull) else _failed(hop, error)) from None
    counts = kept.row(0, named=True)
    if lost := [name.removeprefix("lost ") for name, count in counts.items() if name.startswith("lost ") and count]:
        raise DTypeRefused(f"hop {hop.function.__qualname__}: {', '.join(lost)} holds values Delta would cut", "Round them to microseconds in the hop")
    read, made = source.row(0, named=True), result.row(0, named=True)
    intact = (read["low"], read["high"]) == (made["low"], made["high"]) if traced else None
    by_rule = dict(sorted(broken.iter_rows()))
    return Staged(
        folder / "good", folder / "bad", passage.schema, read["n"], made["n"], counts["n"], made["n"] - counts["n"], by_rule,
        made.get("counted"), intact, read_sums(content.row(0, named=True)), passage.conversions, read.get("at"),
    )  # fmt: skip


def scan_good(staged: Staged) -> pl.LazyFrame:
    """The rows that passed, from local disk."""
    return scan_parts(staged.good, staged.schema)


def _pinned(run: Run, plan: Plan, name: str) -> pl.LazyFrame:
    """An input at its planned version: the added rows of a range, or a snapshot."""
    wanted = plan.inputs[name]
    path = path_of(wanted.table)
    snapshot = run.snapshot(path, wanted.end)
    if isinstance(plan.hop.inputs[name], Changes) and wanted.start is not None:
        return scan_files(run.store, path, snapshot.schema, added_between(run.log(path), wanted.start, wanted.end))
    return snapshot.scan()


def _marks(traced: bool) -> list[pl.Expr]:
    """Sums over hashes of raw places: equal on both sides of a hop exactly when each row read came out once."""
    if not traced:
        return []
    place = pl.struct(FILE, ROW).hash(7)
    return [(place & 0xFFFF_FFFF).sum().alias("low"), (place // (1 << 32)).sum().alias("high")]


def _called(hop: Hop, frames: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    try:
        out = hop.function(**frames)
    except Exception as error:  # noqa: BLE001  # whatever the team's code raises is told as theirs, with their line
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
