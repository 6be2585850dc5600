"""A hop: a pure function of frames, declared with the table it fills and the tables it reads."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import polars as pl

from lake.code import Part, Seen, digest_of, seen_from, spelled_alone
from lake.contract import document, rule_expressions
from lake.errors import DeclarationError
from lake.placing import here
from lake.table import Table

Write = Literal["append", "merge", "scd2", "replace", "by_key"]
VALIDITY = ("valid_from", "valid_to", "is_current")
"""The columns of a table with history: a version holds from `valid_from` until just before `valid_to`; the last has none and is current."""
Transform = Callable[..., pl.LazyFrame]


@dataclass(frozen=True)
class Changes:
    """An input of which each new row is read once."""

    table: Table


def _by_place(value: Any, tables: list[str]) -> Any:
    """What a rule asks, with the place of a table among those that are read instead of its name, which may change while its rows do not."""
    if isinstance(value, str):
        for at, name in enumerate(tables):
            value = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", f"input {at}", value)
        return value
    return tuple(_by_place(one, tables) for one in value) if isinstance(value, tuple) else value


def changes(table: Table) -> Changes:
    """Read `table` as changes: the rows that came in since the version this hop last consumed, each exactly once.

    Of a table whose rows change, each changed row is read as it is at the end of the range. For a hop that writes `by_key`, the
    changes decide which groups are recomputed, and the hop is given all rows of those groups.
    """
    return Changes(table)


@dataclass(frozen=True)
class Hop:
    """A declared hop. Call it like the function it wraps, with plain lazy frames, to test it. `place` is the file and line that declares it."""

    table: Table
    function: Transform
    write: Write
    inputs: dict[str, Table | Changes]
    counts: str | None = None
    filters: str | None = None
    expands: str | None = None
    by: tuple[str, ...] = ()
    deletes: str | None = None
    partitions: int | None = None
    place: str = field(default="", compare=False, repr=False)

    @cached_property
    def personal(self) -> frozenset[str]:
        """The personal columns of the table it fills and of those it reads, by their names."""
        return self.table.personal.union(*((given.table if isinstance(given, Changes) else given).personal for given in self.sources.values()))

    @property
    def sources(self) -> dict[str, Table | Changes]:
        """All that is read: the inputs by parameter, and the tables that rules refer to, by their names, unless they are snapshots already."""
        read = {source.name for source in self.inputs.values() if isinstance(source, Table)}
        referred = (rule.table for rule in self.table.references)
        return self.inputs | {table.name: table for table in referred if isinstance(table, Table) and table.name not in read}

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
    def code(self) -> Seen:
        """All that the function reaches, as it is when this is first asked: lake asks as soon as the project is loaded.

        Raises DeclarationError for what no fingerprint can see, naming it.
        """
        return seen_from(f"hop {self.name}", self.function)

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the hop's code, or the contract it fills, may produce other rows."""
        return digest_of(self.code.mark, *(part.form for part in self.declared))

    @cached_property
    def transform(self) -> str:
        """Changes whenever the rows that come out of the hop, before they are judged, may be others."""
        return digest_of(self.code.mark, self._how.form)

    @cached_property
    def declared(self) -> tuple[Part, ...]:
        """What is declared beside the function and decides on rows: how they are written, the contract, and rules of the table."""
        promise = document(self.table.contract) if self.table.contract else None
        asked = [*(rule_expressions(self.table.contract) if self.table.contract else {}).items()]
        rules = spelled_alone(f"hop {self.name}", self.function.__module__, [asked, _by_place(self.table.judged_by, self.upstream())])
        contract = json.dumps(promise, indent=1, ensure_ascii=False) if promise else ""
        told = "\n".join(str(rule) for rule in self.table.judged_by)
        return (
            self._how,
            Part("the contract", "declaration", contract, contract, contract),
            Part("the rules", "declaration", rules, rules, told or "the expressions of the contract's rules"),
        )

    @property
    def _how(self) -> Part:
        followed = sorted(name for name, source in self.inputs.items() if isinstance(source, Changes))
        told = {
            "write": self.write, "changes": followed, "sequence": list(self.table.sequence), "counts": self.counts, "filters": self.filters is not None,
            "expands": self.expands is not None, "by": list(self.by), "deletes": self.deletes,
        }  # fmt: skip
        text = json.dumps(told, indent=1)
        return Part("the declaration", "declaration", text, text, text)

    def reads(self, parameter: str) -> Table:
        """The table that the parameter is given."""
        source = self.sources[parameter]
        return source.table if isinstance(source, Changes) else source

    def follows(self, parameter: str) -> bool:
        """Whether the parameter is given changes rather than a snapshot."""
        return isinstance(self.sources[parameter], Changes)

    def upstream(self) -> list[str]:
        """The names of the tables it reads, and of those that the rules of its table refer to."""
        return list(dict.fromkeys(self.reads(parameter).name for parameter in self.sources))


def hop(
    table: Table,
    *,
    write: Write = "replace",
    counts: str | None = None,
    filters: str | None = None,
    expands: str | None = None,
    by: tuple[str, ...] = (),
    deletes: str | None = None,
    partitions: int | None = None,
    **inputs: Table | Changes,
) -> Callable[[Transform], Hop]:
    """Declare the decorated function as the hop that fills `table`; each other keyword names a parameter and what it reads.

    `write` says what becomes of the rows that come out: `append` adds them; `merge` upserts them by the contract's key, the last
    by the table's sequence winning; `scd2` keeps each as a version of its key, valid from its `valid_from` until the next one;
    `replace` makes them the whole table; `by_key` recomputes the groups whose input rows changed. Groups are told apart by the
    columns `by` (the key, if not said), which the output and every input read as changes must have; each group's output may
    depend on that group's rows alone.

    Every row read must come out exactly once, unless the hop says otherwise: `counts` names the output column that holds how
    many input rows each output row sums up (an aggregation); `filters` and `expands` say in words why rows are left out or
    multiplied. The ledger holds the hop to it. `deletes` names a Boolean column of the output, not of the contract: a row where
    it is true deletes its key, unless a row that is later by sequence is there.

    `partitions` is into how many parts the work may be cut, each some of the data files of the input that drives the hop, where an engine of
    several processes or machines is configured. The hop must make each row from one of those rows; lake looks, and else does it whole. Raises DeclarationError where the function and
    the declaration do not fit.
    """

    def declare(function: Transform) -> Hop:
        where = f"hop {function.__qualname__}"
        _check_given(
            where,
            table,
            inputs,
            {"write": write, "counts": counts, "filters": filters, "expands": expands, "by": by, "deletes": deletes, "partitions": partitions},
        )
        if write not in get_args(Write):
            raise DeclarationError(f"{where}: write={write!r} is not one of {', '.join(get_args(Write))}", "Write one of these")
        if table.layer == "bronze":
            raise DeclarationError(f"{where} fills {table.name}; bronze is filled from raw files only", "Declare a Source for it")
        if not inputs:
            raise DeclarationError(f"{where} reads no table", "Name at least one input: parameter=table")
        expected = list(inspect.signature(function).parameters)
        if sorted(expected) != sorted(inputs):
            raise DeclarationError(f"{where} takes ({', '.join(expected)}) but is declared with ({', '.join(inputs)})", "Use the same names")
        _check_write(where, table, write, by, deletes, inputs)
        _check_rules(where, table, write, by or tuple(table.key), inputs)
        if partitions is not None and (partitions < 1 or counts is not None or write == "by_key"):
            raise DeclarationError(f"{where}: partitions={partitions!r} needs a number, and a hop that passes rows on", "Leave it out where rows are summed")
        if counts is not None and (table.contract is None or counts not in table.contract.columns()):
            raise DeclarationError(
                f"{where}: counts={counts!r} is not a column of its contract",
                "Add an Int64 column to the contract that holds how many rows each row sums up, and name it",
            )
        return Hop(table, function, write, inputs, counts, filters, expands, (by or tuple(table.key)) if write == "by_key" else (), deletes, partitions, here())

    return declare


def _check_given(where: str, table: object, inputs: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Raise DeclarationError where what is given is not what its place asks for."""
    if not isinstance(table, Table):
        raise DeclarationError(f"{where} fills {_worded(table)}, which is no table", "Name the Table that it fills first: @hop(table, …)")
    for name, given in options.items():
        if isinstance(given, Table | Changes):
            raise DeclarationError(
                f"{where}: {name}= is an option of @hop, and is given a table", f"Call the parameter of the function something else than {name}"
            )
    for name, given in inputs.items():
        if isinstance(given, Hop):
            raise DeclarationError(
                f"{where} reads the hop {given.function.__qualname__} as {name}, and a hop is no table",
                f"Name the table that it fills, {given.table.name}, as it is or as changes(…)",
            )
        if not isinstance(given.table if isinstance(given, Changes) else given, Table):
            raise DeclarationError(f"{where} reads {_worded(given)} as {name}, which is no table", f"Write {name}=table or {name}=changes(table)")


def _worded(given: object) -> str:
    return f"{type(given).__name__} {getattr(given, '__name__', None) or ''}".strip()


def _check_write(where: str, table: Table, write: str, by: tuple[str, ...], deletes: str | None, inputs: dict[str, Table | Changes]) -> None:
    """Raise DeclarationError where the table, the inputs or the options do not suit the way of writing."""
    if write in ("merge", "scd2", "by_key") and not table.key:
        raise DeclarationError(f"{where} writes {table.name} by key, and its contract has no primary key", "Mark the key columns primary_key=True")
    followed = [name for name, source in inputs.items() if isinstance(source, Changes)]
    if len(followed) > 1 and write != "by_key":
        raise DeclarationError(f"{where} reads changes of more than one table", "Read one as changes and the others as snapshots")
    if write == "by_key" and not followed:
        raise DeclarationError(f"{where} recomputes groups, but reads no table as changes", "Say which changes decide: parameter=changes(table)")
    if by and (write != "by_key" or not set(by) <= set(table.key)):
        raise DeclarationError(
            f"{where}: by=({', '.join(by)}) must name key columns of {table.name}, and needs write='by_key'", "Leave by= out, or write by_key"
        )
    if deletes is not None and (write != "merge" or deletes in (table.contract.columns() if table.contract else ())):
        raise DeclarationError(
            f"{where}: deletes={deletes!r} needs write='merge', and a column that the contract does not have",
            "Name a Boolean column that the function adds, and write merge",
        )
    if write == "scd2":
        _check_history(where, table)


def _check_rules(where: str, table: Table, write: str, by: tuple[str, ...], inputs: dict[str, Table | Changes]) -> None:
    """Raise DeclarationError where the rules of the table, or all of it, would depend on the order of increments, or on the table itself."""
    anew = write == "replace" and not any(isinstance(source, Changes) for source in inputs.values())
    for rule in table.repeats_rejected:
        if not anew and not (write == "by_key" and set(by) <= set(rule.columns)):
            raise DeclarationError(
                f"{where} writes {table.name} by {write}: which row {rule.name} sets aside would depend on the order in which they come",
                "Let it warn or fail, or write replace from snapshots, or by_key with all of `by` among its columns",
            )
    if write == "replace" and not anew:
        raise DeclarationError(
            f"{where} makes what it reads the whole of {table.name}, and reads changes: after the next run that would be what came since this one",
            "Read the table as a snapshot, without changes(…), or write merge, append or by_key",
        )
    if own := [rule.name for rule in table.references if rule.table.name == table.name]:
        raise DeclarationError(f"{where}: rule {own[0]} refers to the table that the hop fills", "Check it in the hop")


def _check_history(where: str, table: Table) -> None:
    columns = table.contract.columns() if table.contract else {}
    start, end, current = (columns.get(name) for name in VALIDITY)
    fits = (
        start is not None and end is not None and current is not None and start.primary_key and end.nullable
        and start.dtype == end.dtype and start.dtype.is_temporal() and current.dtype == pl.Boolean and len(table.key) > 1
    )  # fmt: skip
    if not fits:
        raise DeclarationError(
            f"{where} keeps history, and the contract of {table.name} lacks what that needs",
            "Declare valid_from (a date or instant, part of the key), valid_to (the same type, nullable) and is_current (Bool)",
        )


def spelled(hop: Hop, **more: str) -> str:
    """The decorator of a hop as its team writes it, with `more` options: by the names under which its module knows the tables."""
    options = {"write": hop.write, "counts": hop.counts, "filters": hop.filters, "expands": hop.expands, "deletes": hop.deletes} | more
    told = [_named(hop.function, hop.table), *(f'{name}="{value}"' for name, value in options.items() if value)]
    told += [f"by={hop.by!r}"] if hop.by and hop.by != tuple(hop.table.key) else []
    told += [f"partitions={hop.partitions}"] if hop.partitions else []
    for name, source in hop.inputs.items():
        known = _named(hop.function, source.table if isinstance(source, Changes) else source)
        told.append(f"{name}=changes({known})" if isinstance(source, Changes) else f"{name}={known}")
    return f"@hop({', '.join(told)})"


def _named(function: Transform, table: Table) -> str:
    """The name by which the module of a function knows a table, of its own or of a module that it imports; else the table's name, quoted."""
    known = getattr(function, "__globals__", {})
    for name, value in known.items():
        if isinstance(value, Table) and value == table:
            return str(name)
    for name, value in known.items():
        if isinstance(value, types.ModuleType):
            for inner, held in vars(value).items():
                if isinstance(held, Table) and held == table:
                    return f"{name}.{inner}"
    return repr(table.name)
