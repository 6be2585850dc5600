"""A table's declaration: its name, its promise, and who answers for it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import polars as pl

from lake.contract import FILE, LANDED, PROVENANCE, RESCUED, ROW, Contract, check_declaration
from lake.errors import DeclarationError
from lake.personal import is_marked
from lake.placing import here
from lake.rule_words import asked_of_contract
from lake.rules import References, Rule, Severity, Unique, check_rules

LAYERS = ("bronze", "silver", "gold")
Policy = Literal["evolve", "freeze", "strict"]
Upcast = Callable[[pl.LazyFrame], pl.LazyFrame]
_NAME = re.compile(r"(bronze|silver|gold)\.([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    `name` is `layer.subject.table`. `sequence` names contract columns that say which of two rows with the same key is later;
    without it, the one from the file that landed last. `max_rejected` is the share (0 to 1) of the rows judged at once that may be
    rejected before the whole hop stops (above bronze 0.1, unless said), `max_rejected_rows` their number. Of fewer rows than `max_rejected_from` the share is
    taken of so many: few rows say little about a share. `sort` is the order of
    rows in new files: what readers filter on. `time` is the date or instant column by which ranges of the table are backfilled.
    `severity` says by the name of a contract's rule what a row that breaks it does: "warn", "quarantine" (the default below gold)
    or "fail" (in gold). `rules` judge the table beyond single rows (see `lake.rules`).

    What becomes of a raw file whose columns are not those of its bronze table is the `policy`: `evolve` adds them to the table,
    `freeze` keeps their values in `_rescued`, `strict` rejects the file, and rows with too few or too many fields. `columns` names
    those a frozen or strict table may have; without it, those of the first file. `types` gives columns of typed files a wider
    type. Columns named in `dropped` leave the table, and stay in raw alone.

    `renamed_from` maps a column to what else it was called, in files or in the table before; `upcasts` maps a column to a function that
    adds it to rows of schema versions that had none. Changes that these declare are made by the next run, as one commit.

    Where few rows of a large file are corrected or go, the file stays, and its deletion vector in the log leaves them out. Readers that do not know these
    (pyarrow's dataset of delta-rs) then refuse the table; for them, `deletion_vectors=False` has such files written again whole.

    `sample` allows pages about the table to show a few of its rows; without it they never do.
    """

    name: str
    contract: type[Contract] | None = None
    owner: str = ""
    description: str = ""
    fresh_within: dt.timedelta | None = None
    sequence: tuple[str, ...] = ()
    max_rejected: float | None = None
    max_rejected_rows: int | None = None
    max_rejected_from: int = 100
    sort: tuple[str, ...] = ()
    time: str | None = None
    tags: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict, hash=False)
    rules: tuple[Rule, ...] = ()
    policy: Policy = "evolve"
    columns: tuple[str, ...] = ()
    types: Mapping[str, pl.DataType] = field(default_factory=dict, hash=False)
    dropped: tuple[str, ...] = ()
    renamed_from: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict, hash=False)
    upcasts: Mapping[str, Upcast] = field(default_factory=dict, hash=False)
    deletion_vectors: bool = True
    sample: bool = False
    place: str = field(default="", init=False, compare=False, repr=False)
    """The file and line that declares it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", here())
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                f"{self.name!r} is not a table name", "Write layer.subject.table with lower-case letters, digits and _, e.g. silver.sales.orders"
            )
        if self.policy not in get_args(Policy):
            raise DeclarationError(f"{self.name}: policy={self.policy!r} is not one of {', '.join(get_args(Policy))}", "Write one of these")
        if not 0 <= (self.max_rejected or 0) <= 1 or (self.max_rejected_rows or 0) < 0:
            raise DeclarationError(
                f"{self.name}: max_rejected is a share from 0 to 1, and max_rejected_rows a number of rows", "Write e.g. max_rejected=0.1 for a tenth"
            )
        if self.max_rejected_from < 1:
            raise DeclarationError(f"{self.name}: max_rejected_from is a number of rows, at least 1", "Leave it out for 100")
        if (self.rules or self.severity) and self.layer == "bronze":
            raise DeclarationError(f"{self.name} declares rules or severities, and no hop fills it", "Declare them where its rows are judged first")
        if self.contract is None:
            if self.layer != "bronze":
                raise DeclarationError(f"{self.name} has no contract", "Give it one; only bronze keeps what came as it came")
            self._check_columns()
            return
        if self.policy != "evolve" or self.columns or self.types or self.dropped:
            raise DeclarationError(f"{self.name}: policy, columns, types and dropped are for tables without a contract", "The contract says its columns")
        check_declaration(self.contract)
        for name in (*self.renamed_from, *self.upcasts):
            if name not in self.contract.columns():
                raise DeclarationError(
                    f"{self.name}: {name!r} in renamed_from or upcasts is not a column of {self.contract.__name__}", "Name columns as the contract has them now"
                )
        if again := [old for old in self.former if old in self.contract.columns()]:
            raise DeclarationError(f"{self.name}: {again[0]!r} is both a column and what another was called before", "Remove it from renamed_from")
        for column in (*self.sequence, *self.sort, *([self.time] if self.time else [])):
            if column not in self.contract.columns():
                raise DeclarationError(
                    f"{self.name}: {column!r} in sequence, sort or time is not a column of {self.contract.__name__}",
                    f"It has: {', '.join(self.contract.columns())}",
                )
        if self.time and not self.contract.columns()[self.time].dtype.is_temporal():
            raise DeclarationError(f"{self.name}: time={self.time!r} is neither a date nor an instant", "Name a Date or Datetime column of the contract")
        check_rules(self.name, self.contract, self.rules, self.severity)

    def severity_of(self, rule: str) -> Severity:
        """What a row, or the table, that breaks the rule of this name does."""
        declared = {known.name: known.severity for known in self.rules} | dict(self.severity)
        return declared.get(rule) or ("fail" if self.layer == "gold" else "quarantine")

    @property
    def personal(self) -> frozenset[str]:
        """The columns that the contract declares personal: their values are nowhere told. None without a contract."""
        columns = self.contract.columns() if self.contract is not None else {}
        return frozenset(name for name, column in columns.items() if is_marked(column.metadata))

    @property
    def warns(self) -> frozenset[str]:
        """The rules by which single rows are judged and that only warn."""
        return frozenset(name for name in (*self.severity, *(rule.name for rule in self.references)) if self.severity_of(name) == "warn")

    @property
    def references(self) -> tuple[References, ...]:
        """The rules that rows refer to rows of other tables."""
        return tuple(rule for rule in self.rules if isinstance(rule, References))

    @property
    def repeats_rejected(self) -> tuple[Unique, ...]:
        """The rules by which rows are set aside that repeat another."""
        return tuple(rule for rule in self.rules if isinstance(rule, Unique) and self.severity_of(rule.name) == "quarantine")

    @property
    def checks(self) -> dict[str, str]:
        """What is declared beside the contract, by rule: severity, and what is asked."""
        told = {rule.name: f"{self.severity_of(rule.name)}: {rule.spelled}" for rule in self.rules}
        return {name: str(grave) for name, grave in sorted(self.severity.items())} | told

    def asks(self, rule: str) -> str:
        """What a rule by that name asks, in words; nothing of one it does not have."""
        own = next((each.limit for each in self.rules if each.name == rule), "")
        return own or (asked_of_contract(self.contract, rule) if self.contract is not None else "")

    @property
    def judged_by(self) -> tuple[tuple[object, ...], ...]:
        """All that is declared beside the contract and may change which rows pass; nothing where nothing is declared."""
        said = [(name, grave) for name, grave in sorted(self.severity.items())]
        return (*said, *((*rule.exactly, self.severity_of(rule.name)) for rule in self.rules))

    @property
    def most_rejected(self) -> float | None:
        """The share of rows that may be rejected at once; None is no limit."""
        return self.max_rejected if self.max_rejected is not None or self.layer == "bronze" else 0.1

    def _check_columns(self) -> None:
        """Raise DeclarationError where what is said of a bronze table's columns contradicts itself."""
        if self.columns and self.policy == "evolve":
            raise DeclarationError(f"{self.name} declares its columns, and policy='evolve' takes any", "Say policy='freeze' or policy='strict'")
        kept = {name.casefold() for name in (*self.columns, *self.renamed_from, *self.types)}
        for name in (*self.columns, *self.types, *self.renamed_from, *self.dropped):
            if name in PROVENANCE or name == RESCUED:
                raise DeclarationError(f"{self.name}: {name} is lake's own column", "Leave it out")
        if gone := [name for name in (*self.dropped, *self.former) if name.casefold() in kept]:
            raise DeclarationError(f"{self.name}: {gone[0]!r} is declared as a column, and as one that is dropped or renamed", "Say one of the two")

    @property
    def former(self) -> dict[str, str]:
        """The columns by what they were called before."""
        return {old: new for new, olds in self.renamed_from.items() for old in ([olds] if isinstance(olds, str) else olds)}

    @property
    def layer(self) -> str:
        """bronze, silver or gold."""
        return self.name.split(".")[0]

    @property
    def subject(self) -> str:
        """The subject: the middle part of the name."""
        return self.name.split(".")[1]

    @property
    def key(self) -> list[str]:
        """The contract's primary key columns; empty without one."""
        return self.contract.primary_key() if self.contract else []

    @property
    def summary(self) -> str:
        """One line on what the table is: its description, else the first line of the contract's docstring."""
        doc = (self.contract.__doc__ or "").strip() if self.contract else ""
        return self.description or (doc.splitlines()[0] if doc else "")


def ordering(table: Table, columns: Iterable[str]) -> list[str]:
    """The columns that say which of two rows with one key is later, most telling first: the declared sequence, then the order of landing."""
    present = set(columns)
    return [*table.sequence, *(name for name in (LANDED, FILE, ROW) if name in present)]


def is_table_name(text: str) -> bool:
    """Whether it is written as the name of a table is."""
    return _NAME.fullmatch(text) is not None


def path_of(name: str) -> str:
    """Where the table `name` is kept, relative to the environment's prefix."""
    return name.replace(".", "/")


def quarantine_path_of(name: str) -> str:
    """Where the rows rejected on their way into `name` are kept."""
    return f"quarantine/{path_of(name)}"


def structure_path_of(name: str) -> str:
    """Where the structural lines of raw files that came into `name` are kept."""
    return f"system/structure/{path_of(name)}"


def tombstones_path_of(name: str) -> str:
    """Where the deleted keys of the table `name` are kept, so that rows that come late stay deleted."""
    return f"system/tombstones/{path_of(name)}"
