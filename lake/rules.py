"""Rules a table declares beside its contract: uniqueness, references, and what holds of the table as a whole; and how grave a broken one is.

A rule is a declaration and knows no table version: `lake.transform` evaluates references row by row, `lake.settle` sets aside
rows that repeat others, `lake.checks` judges the table as it would be.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, get_args

import polars as pl

from lake.contract import Contract, firm_rules, rule_names
from lake.dtypes import gate
from lake.errors import DeclarationError, UnknownName
from lake.expression_words import expression_words
from lake.type_names import type_name
from lake.wording import counted, in_words

Severity = Literal["warn", "quarantine", "fail"]
"""What a broken rule does: it is counted and the row stays; the row is set aside; nothing is published."""


class Referred(Protocol):
    """What a reference needs to know of the table it refers to."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def contract(self) -> type[Contract] | None:
        """Its contract, if it has one."""

    @property
    def key(self) -> list[str]:
        """Its key columns."""


@dataclass(frozen=True)
class Rule:
    """A rule of a table. `severity` None stands for the default of the table's layer."""

    severity: Severity | None = field(default="fail", kw_only=True)
    by_row: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What the rule is called in records, rejects and errors."""
        raise NotImplementedError

    @property
    def limit(self) -> str:
        """What it asks, in words."""
        raise NotImplementedError

    @property
    def spelled(self) -> str:
        """What it asks, as schema documents keep it."""
        return self.limit

    @property
    def spoken_of(self) -> tuple[str, ...]:
        """The columns of its table that it reads."""
        return ()

    @property
    def exactly(self) -> tuple[object, ...]:
        """What it asks, so that two rules that may judge differently differ."""
        return self.name, self.limit


@dataclass(frozen=True)
class Unique(Rule):
    """No two rows share the values of `columns`; a row where one of them is null repeats none."""

    columns: tuple[str, ...]
    by_row: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """`unique(a, b)`."""
        return f"unique({', '.join(self.columns)})"

    @property
    def limit(self) -> str:
        """In words."""
        return "no two rows share them"

    @property
    def spoken_of(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns


@dataclass(frozen=True)
class References(Rule):
    """The values of `columns` are among those of `to` in another table; a row where one of them is null refers to nothing."""

    columns: tuple[str, ...]
    table: Referred
    to: tuple[str, ...]
    by_row: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """`a in layer.subject.table`."""
        own = self.columns[0] if len(self.columns) == 1 else f"({', '.join(self.columns)})"
        return f"{own} in {self.table.name}" + ("" if list(self.to) == self.table.key else f"({', '.join(self.to)})")

    @property
    def limit(self) -> str:
        """In words."""
        return f"{', '.join(self.to)} of {self.table.name} has the value"

    @property
    def spoken_of(self) -> tuple[str, ...]:
        """The columns that refer."""
        return self.columns


@dataclass(frozen=True)
class RowCount(Rule):
    """How many rows the table has, and by which share (0 to 1) of the last version's rows that may change at once."""

    within: float | None
    at_least: int | None
    at_most: int | None

    @property
    def name(self) -> str:
        """`row_count`."""
        return "row_count"

    @property
    def limit(self) -> str:
        """In words."""
        parts = [f"at least {counted(self.at_least, 'row')}"] if self.at_least is not None else []
        parts += [f"at most {counted(self.at_most, 'row')}"] if self.at_most is not None else []
        return ", ".join(parts + ([f"within {self.within:.1%} of the last version"] if self.within is not None else []))

    @property
    def exactly(self) -> tuple[object, ...]:
        """With the share unrounded."""
        return self.name, self.limit, self.within


@dataclass(frozen=True)
class NullShare(Rule):
    """At most so large a share (0 to 1) of a column's values is null."""

    column: str
    at_most: float

    @property
    def name(self) -> str:
        """`null_share(column)`."""
        return f"null_share({self.column})"

    @property
    def limit(self) -> str:
        """In words."""
        return f"at most {self.at_most:.2%} null"

    @property
    def spoken_of(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def exactly(self) -> tuple[object, ...]:
        """With the share unrounded."""
        return self.name, self.at_most


@dataclass(frozen=True)
class Fresh(Rule):
    """The newest date (from the start of that day, UTC) or instant of a column is at most so long before the run began."""

    column: str
    within: dt.timedelta

    @property
    def name(self) -> str:
        """`fresh(column)`."""
        return f"fresh({self.column})"

    @property
    def limit(self) -> str:
        """In words."""
        return f"at most {self.within} before the run"

    @property
    def spoken_of(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)


@dataclass(frozen=True)
class Expect(Rule):
    """An aggregate over the whole table is true; null is not."""

    called: str
    expression: pl.Expr = field(compare=False)

    @property
    def name(self) -> str:
        """The name it was given."""
        return self.called

    @property
    def limit(self) -> str:
        """The expression in words."""
        return expression_words(self.expression)

    @property
    def spelled(self) -> str:
        """The expression as Polars spells it, which tells two apart that read alike."""
        return " ".join(str(self.expression).split())

    @property
    def spoken_of(self) -> tuple[str, ...]:
        """The columns in the expression."""
        return tuple(dict.fromkeys(self.expression.meta.root_names()))

    @property
    def exactly(self) -> tuple[object, ...]:
        """With the whole expression."""
        return self.name, self.expression


def unique(*columns: str, severity: Severity = "fail") -> Unique:
    """No two rows of the table share `columns`; nulls do not count.

    `quarantine` keeps the first row by the table's order and sets the others aside; it needs a hop through which all rows that
    may share them pass each time: write="replace" from snapshots, or by_key with `columns` containing all of `by`.
    """
    return Unique(columns, severity=severity)


def references(columns: str | tuple[str, ...], table: Referred, to: str | tuple[str, ...] | None = None, *, severity: Severity | None = None) -> References:
    """Every value of `columns` that is not null is among the rows of `table`, in its columns `to` (its key, if not said).

    Every hop that fills the declaring table reads `table` as a snapshot for it: when that moves, all rows are judged anew.
    """
    return References(_names(columns), table, _names(to) if to is not None else tuple(table.key), severity=severity)


def row_count(*, within: float | None = None, at_least: int | None = None, at_most: int | None = None, severity: Severity = "fail") -> RowCount:
    """The table has `at_least` and `at_most` so many rows, and changes by a share of at most `within` against its last version, if that has rows."""
    return RowCount(within, at_least, at_most, severity=severity)


def null_share(column: str, *, at_most: float, severity: Severity = "fail") -> NullShare:
    """At most the share `at_most` (0 to 1) of the column's values is null."""
    return NullShare(column, at_most, severity=severity)


def fresh(column: str, *, within: dt.timedelta, severity: Severity = "fail") -> Fresh:
    """The newest value of `column`, a date or an instant, is at most `within` before the run's start when rows are published."""
    return Fresh(column, within, severity=severity)


def expect(name: str, expression: pl.Expr, *, severity: Severity = "fail") -> Expect:
    """`expression`, a Boolean aggregate over all rows of the table, is true (null is not)."""
    return Expect(name, expression, severity=severity)


def check_rules(table: str, contract: type[Contract], rules: tuple[Rule, ...], severity: Mapping[str, Severity]) -> None:
    """Raise DeclarationError where a table's rules or severities could not be meant, or could not work."""
    for name, grave in severity.items():
        _check_severity(table, contract, name, grave)
    names = [*(rule.name for rule in rules), *known_rules(contract)]
    for rule in rules:
        where = f"{table}: rule {rule.name}"
        if names.count(rule.name) > 1:
            raise DeclarationError(f"{where} is there twice", "Give it another name, or leave one out")
        if rule.severity is not None and rule.severity not in get_args(Severity):
            raise DeclarationError(f"{where} has severity {rule.severity!r}", f"It is one of {', '.join(get_args(Severity))}")
        if rule.severity == "quarantine" and not rule.by_row:
            raise DeclarationError(f"{where} judges the whole table, so there is no row to set aside", "Its severity is warn or fail")
        for column in rule.spoken_of:
            if column not in contract.columns():
                raise _unknown(f"{where} (contract {contract.__name__})", "column", column, contract.columns())
        _check_form(where, contract, rule)


def known_rules(contract: type[Contract]) -> list[str]:
    """Every name under which rows of the contract may be rejected or doubted."""
    dates = [f"{name}|date" for name, column in contract.columns().items() if column.dtype == pl.Date]
    return [*rule_names(contract), *(f"{name}|dtype" for name in contract.columns()), *dates]


def _check_severity(table: str, contract: type[Contract], name: str, severity: Severity) -> None:
    if name not in known_rules(contract):
        raise _unknown(f"{table}: severity", "rule", name, known_rules(contract))
    if severity not in get_args(Severity):
        raise DeclarationError(f"{table}: rule {name} has severity {severity!r}", f"It is one of {', '.join(get_args(Severity))}")
    if severity == "warn" and name in firm_rules(contract):
        raise DeclarationError(f"{table}: a row that breaks {name} cannot be kept with a warning: the table could not hold it", "Use quarantine or fail")


def _check_form(where: str, contract: type[Contract], rule: Rule) -> None:
    """Raise DeclarationError where what a rule asks is empty, impossible or of the wrong type."""
    if isinstance(rule, Unique) and not rule.columns:
        raise DeclarationError(f"{where} names no column", "Name at least one that may not repeat")
    if isinstance(rule, References):
        _check_reference(where, contract, rule)
    elif isinstance(rule, RowCount):
        if rule.within is None and rule.at_least is None and rule.at_most is None:
            raise DeclarationError(f"{where} asks nothing", "Say within=, at_least= or at_most=")
        if (rule.within is not None and rule.within < 0) or (rule.at_least or 0) > (rule.at_most if rule.at_most is not None else rule.at_least or 0):
            raise DeclarationError(f"{where} can never hold: {rule.limit}", "Let at_least= be no more than at_most=, and within= no less than 0")
    elif isinstance(rule, NullShare) and not 0 <= rule.at_most <= 1:
        raise DeclarationError(f"{where}: at_most={rule.at_most} is no share", "Write a number from 0 to 1")
    elif isinstance(rule, Fresh) and not (contract.columns()[rule.column].dtype == pl.Date or isinstance(contract.columns()[rule.column].dtype, pl.Datetime)):
        raise DeclarationError(f"{where}: {rule.column} is neither a date nor an instant", "Name a Date or Datetime column")
    elif isinstance(rule, Expect):
        _check_expression(where, contract, rule)


def _check_reference(where: str, contract: type[Contract], rule: References) -> None:
    if not rule.columns or len(rule.columns) != len(rule.to):
        raise DeclarationError(f"{where}: ({', '.join(rule.columns)}) and ({', '.join(rule.to)}) are not as many columns", "Say to=(…), one for each")
    there = {name: column.dtype for name, column in rule.table.contract.columns().items()} if rule.table.contract else None
    for own, other in zip(rule.columns, rule.to, strict=True):
        if there is not None and other not in there:
            raise _unknown(where, f"column of {rule.table.name}", other, there)
        dtype, wanted = contract.columns()[own].dtype, there[other] if there is not None else pl.String()
        if dtype != wanted:
            raise DeclarationError(f"{where}: {own} is {type_name(dtype)}, and {other} of {rule.table.name} is {type_name(wanted)}", "Give both the same type")


def _check_expression(where: str, contract: type[Contract], rule: Expect) -> None:
    empty = pl.DataFrame(schema=gate(pl.Schema({name: column.dtype for name, column in contract.columns().items()})).schema)
    try:
        answer = empty.select(rule.expression)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise DeclarationError(f"{where} cannot be evaluated: {in_words(error)}", "Correct it; it is evaluated on the contract's columns") from None
    if answer.shape != (1, 1) or answer.dtypes != [pl.Boolean]:
        raise DeclarationError(f"{where} is not one Boolean for the whole table", "Aggregate it, e.g. (pl.col('a') > 0).all()")


def _unknown(where: str, kind: str, name: str, known: Any) -> DeclarationError:
    found = UnknownName.among(kind, name, known)
    return DeclarationError(f"{where}: {found.message}", found.hint)


def _names(columns: str | tuple[str, ...]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)
