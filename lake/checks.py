"""The rules of a table as a whole, judged on the table as it would be after a commit: the files that stay, and the new parts on local disk.

Counts, nulls and bounds come from the log where it has them; else the columns a rule speaks of are read, and those alone.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lake import personal
from lake.datafile import parts_in, scan_parts
from lake.delta import DataFile, Snapshot, scan_files
from lake.errors import LakeError
from lake.plan import Plan
from lake.record import Check
from lake.rules import Expect, Fresh, NullShare, RowCount, Rule, Unique
from lake.run import Run
from lake.settle import Settled
from lake.settle.latest import slices
from lake.settle.repeats import repeated_values
from lake.table import Table, path_of
from lake.transform import Staged
from lake.wording import counted, several

_KIND = "_change_type"
_NONE_TWICE = "no value is there twice"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Prospect:
    """A table as a commit would leave it: files that stay, parts that come, and (`came`) the rows among these that were not there before."""

    schema: pl.Schema
    there: Snapshot | None
    stay: tuple[DataFile, ...]
    parts: Path | None
    came: Path | None

    def rows(self) -> int:
        """How many rows, from the log and the parts' footers."""
        new = scan_parts(self.parts, self.schema).select(pl.len()).collect().item() if self.parts is not None else 0
        return sum(file.rows for file in self.stay) + int(new)

    def scan(self, columns: list[str], files: tuple[DataFile, ...] | None = None) -> pl.LazyFrame:
        """The columns of the parts, and of the files that stay or those of them that are given."""
        return pl.concat([self.old(columns, self.stay if files is None else files), self.new(columns)])

    def old(self, columns: list[str], files: tuple[DataFile, ...]) -> pl.LazyFrame:
        """The columns of files that stay."""
        if self.there is None:
            return pl.LazyFrame(schema={name: self.schema[name] for name in columns})
        known = self.there.schema
        frame = scan_files(self.there.store, self.there.path, known, files)
        return frame.select(pl.col(name) if name in known else pl.lit(None, self.schema[name]).alias(name) for name in columns)

    def new(self, columns: list[str]) -> pl.LazyFrame:
        """The columns of the parts."""
        rows = scan_parts(self.parts, self.schema) if self.parts is not None else pl.LazyFrame(schema=self.schema)
        return rows.select(columns)

    def fresh(self, columns: list[str]) -> pl.LazyFrame:
        """The columns of the rows that were not there before; all rows of the parts where nothing tells them apart."""
        if self.came is None or not parts_in(self.came):
            return self.new(columns)
        told = scan_parts(self.came, pl.Schema({**self.schema, _KIND: pl.String()}))
        return told.filter(pl.col(_KIND).is_in(["insert", "update_postimage"])).select(columns)


def check(run: Run, plan: Plan, staged: Staged, settled: Settled) -> list[Check]:
    """What each rule of the table as a whole finds. Rules of a moment are left out where the run judges none (a replay).

    Raises LakeError where an expectation cannot be evaluated on the rows there are.
    """
    table = plan.hop.table
    rules = [rule for rule in table.rules if not (isinstance(rule, Unique) and table.severity_of(rule.name) == "quarantine")]
    if not rules:
        return []
    prospect = _prospect(run, plan, staged, settled)
    expected = _expected(table, prospect, [rule for rule in rules if isinstance(rule, Expect)])
    found: list[Check] = []
    for rule in rules:
        told: tuple[bool, str] | None = None
        if isinstance(rule, Expect):
            told = expected[rule.name] is True, {True: "true", False: "false"}.get(expected[rule.name], "null")
        elif isinstance(rule, Unique):
            told = _unique(rule, plan, prospect)
        elif isinstance(rule, NullShare):
            told = _null_share(rule, prospect)
        elif isinstance(rule, RowCount):
            told = _row_count(rule, prospect.rows(), plan.before.rows if plan.before and run.judges_moment else None)
        elif isinstance(rule, Fresh) and run.judges_moment:
            found_at = _fresh(rule, prospect, run.info.started)
            told = (found_at[0], f"how old the newest {rule.column} is, which is personal, is not shown") if rule.column in table.personal else found_at
        if told is not None:
            found.append(_check(table, rule, *told))
    return found


def _prospect(run: Run, plan: Plan, staged: Staged, settled: Settled) -> Prospect:
    there = run.snapshot(path_of(plan.hop.table.name), plan.base) if plan.base >= 0 else None
    gone = {file.path for file in settled.removed}
    stay = (*(file for file in there.files if file.path not in gone), *settled.standing) if there is not None else ()
    return Prospect(staged.schema, there, stay, settled.parts, settled.changed)


def _check(table: Table, rule: Rule, holds: bool, value: str) -> Check:
    return Check(name=rule.name, severity=table.severity_of(rule.name), holds=holds, value=value, limit=rule.limit)


def _unique(rule: Unique, plan: Plan, prospect: Prospect) -> tuple[bool, str]:
    """Whether values repeat. Where none did before, only values that came can: files whose bounds hold none of them are not read."""
    columns = list(rule.columns)
    before = {known.name: known.holds for known in plan.before.checks} if plan.before and plan.mode == "incremental" else {}
    if before.get(rule.name):
        came = prospect.fresh(columns).drop_nulls().unique()
        ends = came.select(*(pl.col(c).min().alias(f"< {c}") for c in columns), *(pl.col(c).max().alias(f"> {c}") for c in columns)).collect(engine="streaming")
        if ends.select(pl.all_horizontal(pl.all().is_null())).item():
            return True, _NONE_TWICE
        bounds = {name: (_python(ends[f"< {name}"]), _python(ends[f"> {name}"])) for name in columns}
        near = {file.path for file in prospect.there.overlapping(bounds)} if prospect.there is not None else set()
        rows = prospect.scan(columns, tuple(file for file in prospect.stay if file.path in near)).join(came, on=columns, how="semi")
    else:
        rows = prospect.scan(columns)
    size = prospect.rows()
    values = extra = 0
    example = ""
    for piece in slices(columns, size):
        repeated = repeated_values(rows.filter(piece), columns).collect(engine="streaming")
        values, extra = values + repeated.height, extra + int(repeated["len"].sum()) - repeated.height
        if repeated.height and not example:
            first = repeated.sort(columns).head(1).select(pl.col(columns).cast(pl.String, strict=False))
            example = personal.told(first.row(0, named=True), plan.hop.table.personal)
    return (
        values == 0,
        f"{counted(values, 'value')} {several(values, 'is', 'are')} there more than once, {counted(extra, 'row')} too many, e.g. {example}"
        if values
        else _NONE_TWICE,
    )


def _row_count(rule: RowCount, rows: int, before: int | None) -> tuple[bool, str]:
    """Whether there are as many rows as there should be; against `before` rows, if that is to be judged."""
    holds = (rule.at_least is None or rows >= rule.at_least) and (rule.at_most is None or rows <= rule.at_most)
    if rule.within is None or not before:
        return holds, f"{counted(rows, 'row')}"
    change = (rows - before) / before
    return holds and abs(change) <= rule.within, f"{counted(rows, 'row')}, {change:+.1%} against {before:,}"


def _null_share(rule: NullShare, prospect: Prospect) -> tuple[bool, str]:
    """Nulls of the files that stay from the log, where it counts them; else from the column."""
    nulls, unknown = _logged(prospect, f"null_count.{rule.column}")
    unseen = prospect.scan([rule.column], unknown).select(pl.all().null_count()).collect(engine="streaming").item()
    rows = prospect.rows()
    share = (sum(nulls) + unseen) / rows if rows else 0.0
    return share <= rule.at_most, f"{share:.2%} null ({sum(nulls) + unseen:,} of {counted(rows, 'row')})"


def _fresh(rule: Fresh, prospect: Prospect, started: dt.datetime) -> tuple[bool, str]:
    """The newest value of the files that stay from the log, where it has bounds; else from the column."""
    known, unknown = _logged(prospect, f"max.{rule.column}")
    unit = _DAY if prospect.schema[rule.column] == pl.Date else 1
    newest = prospect.scan([rule.column], unknown).select(pl.all().to_physical().max()).collect(engine="streaming").item()
    latest = max([*map(_microseconds, known), *([newest * unit] if newest is not None else [])], default=None)
    if latest is None:
        return False, "there is no value"
    age = _microseconds(started) - latest
    try:
        return age <= rule.within / _MICROSECOND, f"the newest is {_EPOCH + latest * _MICROSECOND:%Y-%m-%d %H:%M} UTC, {_told(age)} the run"
    except OverflowError:
        return age <= rule.within / _MICROSECOND, "the newest is of a year that no calendar here has"


def _microseconds(at: Any) -> int:
    """A date (its first moment) or an instant, UTC where it names no zone, as microseconds since 1970."""
    moment = at if isinstance(at, dt.datetime) else dt.datetime(at.year, at.month, at.day, tzinfo=dt.UTC)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH) // _MICROSECOND


def _told(age: int) -> str:
    return f"{str(abs(age) * _MICROSECOND).split('.')[0]} {'before' if age >= 0 else 'after the start of'}"


def _python(value: pl.Series) -> Any:
    """The one value of a series; None for a date of a year that Python does not have."""
    try:
        return value[0]
    except (ValueError, OverflowError):
        return None


def _logged(prospect: Prospect, column: str) -> tuple[list[Any], tuple[DataFile, ...]]:
    """What the log says of each file that stays; and the files of which it says nothing, or speaks of rows that left."""
    there = prospect.there
    if there is None or column not in there.bounds.columns:
        return [], prospect.stay
    loose = {file.path for file in prospect.stay if file.vector is not None}
    told = {path: value for path, value in there.bounds.select("path", column).drop_nulls().iter_rows() if path not in loose}
    return [told[file.path] for file in prospect.stay if file.path in told], tuple(file for file in prospect.stay if file.path not in told)


def _expected(table: Table, prospect: Prospect, rules: list[Expect]) -> dict[str, Any]:
    """The answers to all expectations, in one pass over the columns they speak of."""
    if not rules:
        return {}
    columns = list(dict.fromkeys(name for rule in rules for name in rule.spoken_of)) or list(prospect.schema)[:1]
    asked = [rule.expression.alias(rule.name) for rule in rules]
    try:
        return prospect.scan(columns).select(asked).collect(engine="streaming").row(0, named=True)
    except pl.exceptions.PolarsError as error:
        hides = table.personal & set(columns)
        text = personal.words(error, hides)
        raise LakeError(f"{table.name}: {', '.join(rule.name for rule in rules)} cannot be evaluated: {text}", "Correct the expression in expect(…)") from None
