"""Rows on which a hop raises, found by halving what drives it: rows that a hop makes each from one alone are set aside, of others the first is named.

Nothing here is done before a hop raised. What was read then lies on local disk, so that every look at a part of it sees the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import FILE, LANDED, ROW, RULES
from lake.datafile import scan_parts, sink_parts
from lake.errors import ContractBroken, HopFailed, LakeError, RejectLimitExceeded, translated
from lake.hop import Hop
from lake.limits import most_by_share, share_in_words, spared
from lake.origins import looks_across_rows
from lake.personal import words
from lake.plan import Plan
from lake.quarantine import BARE, RAISES, open_rejects, rejected_rows
from lake.record import Record
from lake.run import Run
from lake.whereabouts import place_in_words
from lake.wording import counted, in_words, several

MOST = 1_000
"""So many rows on which a hop raises are looked for at once, beside as many as are in quarantine already."""
_AT = "#at"
_HELD = 20_000
"""Rows of a part that are held in memory while it is looked through."""
Attempt = Callable[[Mapping[str, pl.LazyFrame]], BaseException | None]
"""What a hop raises when it is given these frames; None where it does not."""


class Rows:
    """The rows of one input as they were read, on local disk, by their position."""

    def __init__(self, frame: pl.LazyFrame, folder: Path) -> None:
        self.schema = frame.collect_schema()
        self._folder = folder
        sink_parts(frame, folder).collect(engine="streaming")
        self._scanned = scan_parts(folder, self.schema)
        self.count = int(self._scanned.select(pl.len()).collect(engine="streaming").item())
        self._held: tuple[int, pl.DataFrame] | None = None

    def part(self, start: int, stop: int) -> pl.LazyFrame:
        """The rows from `start` until just before `stop`."""
        if stop - start > _HELD:
            return self._scanned.slice(start, stop - start)
        if self._held is None or not (self._held[0] <= start and stop <= self._held[0] + self._held[1].height):
            self._held = start, self._scanned.slice(start, _HELD).collect(engine="streaming")
        first, held = self._held
        return held.slice(start - first, stop - start).lazy()

    def every(self) -> pl.LazyFrame:
        """All of them."""
        return self.part(0, self.count) if self.count <= _HELD else self._scanned

    def none(self) -> pl.LazyFrame:
        """A frame of theirs without a row."""
        return pl.LazyFrame(schema=self.schema)

    def without(self, positions: Mapping[int, str]) -> pl.LazyFrame:
        """All but those at `positions`."""
        gone = pl.lit(pl.Series(sorted(positions), dtype=pl.UInt32).implode())
        return self._scanned.with_row_index(_AT).filter(~pl.col(_AT).is_in(gone)).drop(_AT)

    def at(self, positions: Mapping[int, str]) -> pl.DataFrame:
        """Those at `positions`, in order, with the column `_at`."""
        wanted = pl.lit(pl.Series(sorted(positions), dtype=pl.UInt32).implode())
        return self._scanned.with_row_index(_AT).filter(pl.col(_AT).is_in(wanted)).collect(engine="streaming").sort(_AT)


@dataclass(frozen=True)
class Found:
    """The rows on which a hop raises, each alone, by position, with the reason. `whole` says that they are all there are; else `why` there may be others."""

    reasons: dict[int, str]
    whole: bool
    why: str = ""


@dataclass(frozen=True)
class First:
    """The first row of an input with which a hop raises: alone, or only together with rows before it. `place` is its raw object and record, where it says so."""

    parameter: str
    position: int
    alone: bool
    error: BaseException
    place: tuple[str, int] | None


class Search:
    """Looks for rows with which a hop raises, among `rows` by parameter."""

    def __init__(self, hop: Hop, attempt: Attempt, rows: Mapping[str, Rows], raised: BaseException | None) -> None:
        self.hop, self._attempt, self.rows, self._raised = hop, attempt, rows, raised
        self.driving = rows[hop.driver]

    def raises_always(self) -> bool:
        """Whether it raises this without any row: then it is the code's fault, whatever the data."""
        return self._same(self._attempt({name: rows.none() for name, rows in self.rows.items()})) is not None

    def raises_undriven(self) -> bool:
        """Whether it raises this without a row that drives it: then it is not for what one of these holds."""
        return self._same(self._with(self.driving.none())) is not None

    def each(self, most: int) -> Found:
        """The rows on which it raises, each alone, first ones first; it stops once it knows of more than `most`."""
        found: dict[int, str] = {}
        waiting: list[tuple[int, int, bool]] = [(0, self.driving.count, False)]  # and whether it is known to raise on this part
        while waiting:
            start, stop, known = waiting.pop()
            if stop - start <= 1:
                error = self._part(start, stop)
                if error is None and not known:
                    continue
                again = self._part(start, stop)
                if error is None or again is None:
                    return Found(found, whole=False, why=self._unsteady(steady=error is None and again is None))
                found[start] = words(error, self.hop.personal)
                if len(found) > most:
                    return Found(found, whole=False)
                continue
            if not known and self._part(start, stop) is None:
                continue
            middle = (start + stop) // 2
            if self._part(start, middle) is None:
                waiting.append((middle, stop, True))
            else:
                waiting += [(middle, stop, False), (start, middle, True)]
        return Found(found, whole=True)

    def first(self) -> First | None:
        """The first row with which it raises, of those that drive it or, where it raises without any of these, of another input; None where none can be told."""
        names = [self.hop.driver] if not self.raises_undriven() else [name for name in self.rows if name != self.hop.driver]
        for name in names:
            rows = self.rows[name]
            given: dict[str, pl.LazyFrame] = {} if name == self.hop.driver else {self.hop.driver: self.driving.none()}
            last = self._until(name, rows.count, given)
            if last is None or (name != self.hop.driver and self._until(name, 0, given) is not None):
                continue
            low, high = 0, rows.count  # it does not raise on the rows before `low`, and does on those before `high`
            while high - low > 1:
                middle = (low + high) // 2
                if (error := self._until(name, middle, given)) is None:
                    low = middle
                else:
                    high, last = middle, error
            alone = self._same(self._attempt({**{one: held.every() for one, held in self.rows.items()}, **given, name: rows.part(high - 1, high)}))
            return First(name, high - 1, alone is not None, alone or last, self.place(name, high - 1))
        return None

    def place(self, name: str, position: int) -> tuple[str, int] | None:
        """The raw object and record of a row, where it says so."""
        rows = self.rows[name]
        if not {FILE, ROW} <= set(rows.schema):
            return None
        file, record = rows.part(position, position + 1).select(FILE, ROW).collect().row(0)
        return (file, record) if file is not None and record is not None else None

    def _until(self, name: str, stop: int, given: Mapping[str, pl.LazyFrame]) -> BaseException | None:
        return self._same(self._attempt({**{one: held.every() for one, held in self.rows.items()}, **given, name: self.rows[name].part(0, stop)}))

    def _part(self, start: int, stop: int) -> BaseException | None:
        return self._with(self.driving.part(start, stop))

    def _with(self, driving: pl.LazyFrame) -> BaseException | None:
        return self._attempt({name: rows.every() for name, rows in self.rows.items() if name != self.hop.driver} | {self.hop.driver: driving})

    def _same(self, error: BaseException | None) -> BaseException | None:
        """The error if it is of the kind that is looked for: without rows a hop may raise something else."""
        return error if type(error) is type(self._raised) else None

    def _unsteady(self, *, steady: bool) -> str:
        if steady and self._with(self.driving.every()) is not None:
            return "it raises on rows together, and on none of them alone"
        return "it does not raise each time it is given the same rows"


def rule_of(hop: Hop) -> str:
    """The rule that a row breaks on which the hop raises, as quarantine and ledgers name it."""
    return f"{hop.function.__name__}{RAISES}"


def raised_rows(hop: Hop, rows: Rows, reasons: Mapping[int, str]) -> pl.LazyFrame:
    """The rows on which the hop raises in the quarantine's columns, their values as the hop was given them."""
    found = rows.at(reasons)
    told = pl.Series("reason", [reasons[at] for at in found[_AT]], dtype=pl.String)
    rule = pl.lit(pl.Series([rule_of(hop)]).implode()).alias(RULES)
    bare = rejected_rows(found.drop(_AT).lazy().with_columns(rule)).drop("reason").with_columns(told)
    return bare.select(pl.col(name).cast(dtype) for name, dtype in BARE.items())


def not_raised(run: Run, hop: Hop, record: Record | None, driving: pl.LazyFrame) -> pl.LazyFrame:
    """What drives a hop without the rows that were set aside up to `record` because it raises on them: no row of its table is made of these."""
    if record is None or not record.rejects or not {FILE, ROW} <= set(driving.collect_schema()):
        return driving
    raised = open_rejects(run, hop.table, record).filter(pl.col("rules").list.contains(rule_of(hop)))
    places = raised.select(FILE, ROW).drop_nulls().unique().collect(engine="streaming")
    return driving.join(places.lazy(), on=[FILE, ROW], how="anti") if places.height else driving


def freshest_of(rows: Rows, reasons: Mapping[int, str]) -> Any:
    """When the newest raw file landed that these rows are from; None where they do not say."""
    return rows.at(reasons)[LANDED].max() if LANDED in rows.schema else None


@dataclass(frozen=True)
class Apart:
    """Rows on which a hop raises, set apart from all that drive it; `stop` where they are more than may be rejected."""

    hop: Hop
    rows: Rows
    reasons: dict[int, str]
    stop: LakeError | None

    def unsteady(self, again: HopFailed) -> HopFailed:
        """The error of a hop that raises though all rows on which it raises are set apart."""
        if again.raised is None:
            return again
        said = counted(len(self.reasons), "row")
        return HopFailed(
            f"{again.message}; {said} on which it raises alone {several(len(self.reasons), 'was', 'were')} left out, and then it raised again",
            f"What it raises must depend on the values of a row alone. {again.hint}",
        )


def set_apart(run: Run, plan: Plan, frames: Mapping[str, pl.LazyFrame], folder: Path, failed: HopFailed, attempt: Attempt, *, bounded: bool) -> Apart:
    """The rows on which the hop raises, which `failed` says that it did with `frames`.

    Raises the error, with the first such row where it can be told, if they cannot be set apart: the hop looks across rows, raises whatever
    the rows, or not each time. `bounded` says that it stops looking for more than the table allows.
    """
    hop = plan.hop
    rows = {}
    for name, frame in frames.items():
        try:
            rows[name] = Rows(frame, folder / "given" / name)
        except (pl.exceptions.PolarsError, OSError) as error:
            told = translated(error, f"{hop.reads(name).name}, which {hop.table.name} reads, cannot be read")
            raise told from None
    search = Search(hop, attempt, rows, failed.raised)
    if search.raises_always():
        raise failed
    why = looks_across_rows(hop, {name: held.schema for name, held in rows.items()}, freely=True)
    if why is None and search.raises_undriven():
        why = "it raises without any row that drives it"
    if why is None:
        count = max(search.driving.count, plan.estimated_rows)
        most, limit, kind = _allowed(run, plan, count) if bounded else (count, "", RejectLimitExceeded)
        found = search.each(most)
        if bounded and len(found.reasons) > most and issubclass(kind, RejectLimitExceeded):
            found, most = _sparing(run, plan, search, found, count, most)
        if found.whole and found.reasons:
            return Apart(hop, search.driving, found.reasons, None)
        if len(found.reasons) > most:
            return Apart(hop, search.driving, found.reasons, _stop(run, search, found, count, limit, kind))
        why = found.why or "it does not raise each time it is given the same rows"
    raise _placed(run, search, failed, why)


def _allowed(run: Run, plan: Plan, count: int) -> tuple[int, str, type[LakeError]]:
    """On how many of `count` rows the hop may raise, which limit that is, and what exceeding it is."""
    table = plan.hop.table
    if table.severity_of(rule_of(plan.hop)) == "fail":
        return 0, "none may be rejected here", ContractBroken
    most = [(MOST + (plan.before.rejects if plan.before else 0), f"so many are looked for at once: {MOST:,}")]
    if not run.judges_moment:
        return count, "", RejectLimitExceeded
    if plan.again is None and plan.within is None:
        if table.most_rejected is not None:
            most.append((most_by_share(table, count) or 0, f"max_rejected is {share_in_words(table, count)}"))
        if table.max_rejected_rows is not None:
            most.append((table.max_rejected_rows, f"max_rejected_rows is {table.max_rejected_rows:,}"))
    return *min(most), RejectLimitExceeded


def _sparing(run: Run, plan: Plan, search: Search, found: Found, count: int, most: int) -> tuple[Found, int]:
    """What is found where rows that no limit counts may be found beyond it, and how many may be: rows of files that were corrected since, and accepted ones."""
    rows = search.driving
    if not {FILE, ROW} <= set(rows.schema):
        return found, most
    places = rows.every().select(FILE, ROW).collect(engine="streaming")
    told = spared(run, plan.hop.table, plan.before, places[FILE].drop_nulls().unique().to_list())
    fixed = int(places[FILE].is_in(sorted(told.fixed)).sum())
    others = 0 if told.accepted is None else int(told.accepted.select(pl.len()).collect(engine="streaming").item())
    if not fixed + others:
        return found, most
    most, *_ = _allowed(run, plan, count - fixed - others)
    found = search.each(most + fixed + others)
    bare = raised_rows(search.hop, rows, found.reasons)
    counting, _ = told.counting(bare)
    return replace(found, whole=found.whole and counting <= most), most + (len(found.reasons) - counting)


def _stop(run: Run, search: Search, found: Found, count: int, limit: str, kind: type[LakeError]) -> LakeError:
    """What stops a hop that raises on more rows than may be rejected."""
    first, reason = next(iter(found.reasons.items()))
    where = _where(run, search.place(search.hop.driver, first))
    return kind(
        f"{search.hop.table.name}: {search.hop.function.__qualname__} raises on at least {len(found.reasons):,} of {counted(count, 'row')}, and {limit}; "
        f"the first is {where or f'row {first + 1:,}'}: {reason}",
        "Nothing was published. Have the hop make such values null, so that the contract judges them (strict=False, a default), or correct the source under its name"
        + (f"; or set the rows aside, on record: `lake accept {search.hop.table.name} --stopped --why WHY`" if issubclass(kind, RejectLimitExceeded) else ""),
    )


def _placed(run: Run, search: Search, failed: HopFailed, why: str) -> HopFailed:
    """The error with the first row that it comes from, and why that row was not set aside."""
    first = search.first()
    told = f"{failed.hint}. No row could be set aside for it: {why}"
    if first is None:
        return HopFailed(failed.message, told)
    where = _where(run, first.place) or f"row {first.position + 1:,} of {search.hop.reads(first.parameter).name}"
    said = f"it raises on {where}" if first.alone else f"it raises on the rows up to {where}, on none of which it raises alone"
    return HopFailed(f"{_subject(search.hop)} raises: {in_words(first.error)}; {said}", told)


def _subject(hop: Hop) -> str:
    return f"hop {hop.function.__qualname__} ({hop.table.name})"


def _where(run: Run, place: tuple[str, int] | None) -> str | None:
    return place_in_words(run, *place) if place is not None else None
