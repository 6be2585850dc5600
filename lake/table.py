"""A table's declaration: its name, its promise, and who answers for it."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from lake.contract import Contract, check_declaration
from lake.errors import DeclarationError

LAYERS = ("bronze", "silver", "gold")
_NAME = re.compile(r"(bronze|silver|gold)\.([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    `name` is `layer.subject.table`. `sequence` names contract columns that say which of two rows with the same key is later;
    without it, the one from the file that landed last. `max_rejected` is the share of rows (0 to 1) that may break rules before
    the whole hop stops. `sort` is the order of rows in new files: what readers filter on.
    """

    name: str
    contract: type[Contract] | None = None
    owner: str = ""
    description: str = ""
    fresh_within: dt.timedelta | None = None
    sequence: tuple[str, ...] = ()
    max_rejected: float = 0.1
    sort: tuple[str, ...] = ()
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
        for column in (*self.sequence, *self.sort):
            if column not in self.contract.columns():
                raise DeclarationError(f"{self.name}: {column!r} in sequence or sort is not a column of {self.contract.__name__}")

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


def path_of(name: str) -> str:
    """Where the table `name` is kept, relative to the environment's prefix."""
    return name.replace(".", "/")


def quarantine_path_of(name: str) -> str:
    """Where the rows rejected on their way into `name` are kept."""
    return f"quarantine/{path_of(name)}"
