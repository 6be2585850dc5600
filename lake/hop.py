"""A hop: a pure function of frames, declared with the table it fills and the tables it reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import polars as pl

from lake.code import fingerprint
from lake.contract import document
from lake.errors import DeclarationError
from lake.table import Table

Write = Literal["append", "merge", "replace"]
Transform = Callable[..., pl.LazyFrame]


@dataclass(frozen=True)
class Changes:
    """An input of which each new row is read once."""

    table: Table


def changes(table: Table) -> Changes:
    """Read `table` as changes: the rows added since the version this hop last consumed, each exactly once."""
    if table.layer != "bronze":
        raise DeclarationError(f"changes({table.name}): only bronze tables are append-only", "Read it as a snapshot: pass the table itself")
    return Changes(table)


@dataclass(frozen=True)
class Hop:
    """A declared hop. Call it like the function it wraps, with plain lazy frames, to test it."""

    table: Table
    function: Transform
    write: Write
    inputs: dict[str, Table | Changes]
    counts: str | None = None
    filters: str | None = None
    expands: str | None = None

    def __call__(self, *args: pl.LazyFrame, **kwargs: pl.LazyFrame) -> pl.LazyFrame:
        """The team's function, untouched."""
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        """Where the function lives, as `module:function`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def driver(self) -> str:
        """The parameter whose rows the ledger counts: the changes if there are any, else the first input."""
        return next((name for name, source in self.inputs.items() if isinstance(source, Changes)), next(iter(self.inputs)))

    @property
    def aggregates(self) -> bool:
        """Whether rows are summed into groups rather than passed on."""
        return self.counts is not None

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the hop's code, or the contract it fills, may produce other rows."""
        promise = document(self.table.contract) if self.table.contract else None
        return fingerprint(self.function, self.write, promise, self.table.sequence, self.counts, self.filters, self.expands)

    def upstream(self) -> list[str]:
        """The names of the tables it reads."""
        return [source.table.name if isinstance(source, Changes) else source.name for source in self.inputs.values()]


def hop(
    table: Table, *, write: Write = "replace", counts: str | None = None, filters: str | None = None, expands: str | None = None, **inputs: Table | Changes
) -> Callable[[Transform], Hop]:
    """Declare the decorated function as the hop that fills `table`; each other keyword names a parameter and what it reads.

    Every row read must come out exactly once, unless the hop says otherwise: `counts` names the output column that holds how
    many input rows each output row sums up (an aggregation); `filters` and `expands` say in words why rows are left out or
    multiplied. The ledger holds the hop to it. Raises DeclarationError where the function and the declaration do not fit.
    """

    def declare(function: Transform) -> Hop:
        where = f"hop {function.__qualname__}"
        if write not in get_args(Write):
            raise DeclarationError(f"{where}: write={write!r} is not one of {', '.join(get_args(Write))}")
        if table.layer == "bronze":
            raise DeclarationError(f"{where} fills {table.name}; bronze is filled from raw files only", "Declare a Source for it")
        if not inputs:
            raise DeclarationError(f"{where} reads no table", "Name at least one input: parameter=table")
        expected = list(inspect.signature(function).parameters)
        if sorted(expected) != sorted(inputs):
            raise DeclarationError(f"{where} takes ({', '.join(expected)}) but is declared with ({', '.join(inputs)})", "Use the same names")
        if write == "merge" and not table.key:
            raise DeclarationError(f"{where} merges into {table.name}, whose contract has no primary key", "Mark the key columns primary_key=True")
        if sum(isinstance(source, Changes) for source in inputs.values()) > 1:
            raise DeclarationError(f"{where} reads changes of more than one table", "Read one as changes and the others as snapshots")
        if counts is not None and (table.contract is None or counts not in table.contract.columns()):
            raise DeclarationError(f"{where}: counts={counts!r} is not a column of its contract")
        return Hop(table, function, write, inputs, counts, filters, expands)

    return declare
