"""A table's declaration: its name, its promise, and who answers for it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lake.contract import FILE, LANDED, ROW, Contract, check_declaration
from lake.errors import DeclarationError

LAYERS = ("bronze", "silver", "gold")
_NAME = re.compile(r"(bronze|silver|gold)\.([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    `name` is `layer.subject.table`. `sequence` names contract columns that say which of two rows with the same key is later;
    without it, the one from the file that landed last. `max_rejected` is the share of rows (0 to 1) that may break rules before
    the whole hop stops. `sort` is the order of rows in new files: what readers filter on. `time` is the date or instant column
    by which ranges of the table are backfilled.
    """

    name: str
    contract: type[Contract] | None = None
    owner: str = ""
    description: str = ""
    fresh_within: dt.timedelta | None = None
    sequence: tuple[str, ...] = ()
    max_rejected: float = 0.1
    sort: tuple[str, ...] = ()
    time: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                f"{self.name!r} is not a table name", "Write layer.subject.table with lower-case letters, digits and _, e.g. silver.sales.orders"
            )
        if self.contract is None:
            if self.layer != "bronze":
                raise DeclarationError(f"{self.name} has no contract", "Give it one; only bronze keeps what came as it came")
            return
        check_declaration(self.contract)
        for column in (*self.sequence, *self.sort, *([self.time] if self.time else [])):
            if column not in self.contract.columns():
                raise DeclarationError(f"{self.name}: {column!r} in sequence, sort or time is not a column of {self.contract.__name__}")
        if self.time and not self.contract.columns()[self.time].dtype.is_temporal():
            raise DeclarationError(f"{self.name}: time={self.time!r} is neither a date nor an instant")

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


def path_of(name: str) -> str:
    """Where the table `name` is kept, relative to the environment's prefix."""
    return name.replace(".", "/")


def quarantine_path_of(name: str) -> str:
    """Where the rows rejected on their way into `name` are kept."""
    return f"quarantine/{path_of(name)}"


def tombstones_path_of(name: str) -> str:
    """Where the deleted keys of the table `name` are kept, so that rows that come late stay deleted."""
    return f"system/tombstones/{path_of(name)}"
