"""Where the columns of a hop come from: its function is run on tracers, and the plan that comes out is walked.

A tracer is a lazy frame without rows. Where the plan cannot be walked, what Polars would ask of the tracers for each column is still an
upper bound: no column outside it can change the value. A function that looks at rows while it makes its plan may do anything with them.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl
from polars.io.plugins import register_io_source

from lake.contract import PROVENANCE, RESCUED
from lake.hop import Hop, Transform
from lake.origins.engine import chosen_by_engine
from lake.origins.expressions import Unknown
from lake.origins.kinds import Column, Kinds, merged
from lake.origins.plan import bounds, walk
from lake.wording import in_words, shortened

_LONGEST_REASON = 300  # characters
FAILS = (Exception, SystemExit, pl.exceptions.PanicException)  # whatever the team's function raises, it says that the hop cannot be traced

_one_at_a_time = threading.Lock()  # steps run in threads, and what warnings are shown is known to the whole process


def planning() -> threading.Lock:
    """What is held while a team's function makes its plan on tracers."""
    return _one_at_a_time


@dataclass(frozen=True)
class Origins:
    """Where the columns of a hop's output come from: by column, the (parameter, column) pairs it derives from, each with its kind.

    `rows` are the pairs that decide which rows there are: every column depends on them. `schema` is that of the output. `how` says what
    the answer was derived from: the `plan`; for what could not be seen there, what Polars `asked` for; or, where `why` says what went
    wrong, `nothing`: then each column may be made of all that is read.
    """

    columns: Mapping[str, Kinds]
    rows: Kinds
    schema: pl.Schema
    how: Literal["plan", "asked", "nothing"] = "plan"
    why: str | None = None

    def of(self, column: str) -> Kinds:
        """All that a column depends on, what decides on rows included."""
        return merged(self.rows, self.columns.get(column, {}))


_traced: dict[tuple[object, ...], Origins] = {}


def trace(hop: Hop, schemas: Mapping[str, pl.Schema], *, engine: bool = True) -> Origins:
    """Trace the hop on inputs of these columns, by parameter. Never raises: what cannot be traced says so.

    With `engine`, what happens to the rows that come out counts too: casts, rules that turn rows away, keys by which one row wins.
    """
    key = (hop.name, hop.table.name, hop.fingerprint, engine, *((name, *schema.items()) for name, schema in schemas.items()))
    if key not in _traced:
        found = derive(hop.function, schemas)
        found = untraced(hop, schemas, f"hop {hop.function.__qualname__} cannot be traced: {found.why}") if found.how == "nothing" else found
        if engine and found.how != "nothing":
            columns, rows = chosen_by_engine(hop, found.columns, found.schema)
            found = replace(found, columns=columns, rows=merged(found.rows, rows))
        _traced[key] = found
    return _traced[key]


def untraced(hop: Hop, schemas: Mapping[str, pl.Schema], why: str) -> Origins:
    """What is known of a hop that cannot be traced: each column may be made of all that is read."""
    everything: Kinds = {(name, column): "opaque" for name, schema in schemas.items() for column in schema}
    promised = hop.table.contract.columns() if hop.table.contract else {}
    schema = pl.Schema({name: column.dtype for name, column in promised.items()})
    return Origins({name: dict(everything) for name in promised}, dict(everything), schema, "nothing", why)


def derive(function: Transform, schemas: Mapping[str, pl.Schema], *, walked_plan: bool = True) -> Origins:
    """The origins of what a function of frames returns, by its parameters. Where it cannot be traced, `why` says so and nothing is known.

    Without `walked_plan` they are what Polars asks for, the upper bound alone.
    """
    looked: set[str] = set()
    frames = {name: tracer(name, schema, looked) for name, schema in schemas.items()}
    try:
        with planning(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = function(**frames).lazy()
            schema = out.collect_schema()
            found = _walked(out, schema) if walked_plan else _asked(out, schema, "it was asked for")
    except FAILS as error:
        return Origins({}, {}, pl.Schema(), "nothing", f"{type(error).__name__}: {said(error)}")
    if not looked:
        return found
    everything: Kinds = {(name, column): "opaque" for name, schema in schemas.items() for column in schema}
    return replace(found, rows=merged(found.rows, everything), why=f"it looks at rows of {', '.join(sorted(looked))} while it makes its plan")


def _walked(out: pl.LazyFrame, schema: pl.Schema) -> Origins:
    try:
        found = walk(out)
    except Unknown as why:
        return _asked(out, schema, str(why))
    frame = found.frame
    if not found.doubts:
        return Origins({name: frame.columns[name] for name in schema}, frame.rows, schema)
    needed = bounds(out, schema)
    columns = {name: _within(frame.columns[name], needed[name]) for name in schema}
    rows = _within(frame.rows, frozenset[Column]().union(*needed.values()))
    return Origins(columns, rows, schema, "asked", "; ".join(dict.fromkeys(found.doubts)))


def _asked(out: pl.LazyFrame, schema: pl.Schema, why: str) -> Origins:
    """The upper bound: all that Polars asks for, in ways unknown."""
    needed = bounds(out, schema)
    return Origins({name: dict.fromkeys(needed[name], "opaque") for name in schema}, {}, schema, "asked", why)


def _within(kinds: Kinds, bound: frozenset[Column]) -> Kinds:
    """Of what may be used, what Polars asks for; what chooses rows is asked for as well."""
    return {column: kind for column, kind in kinds.items() if column in bound}


def tracer(parameter: str, schema: pl.Schema, looked: set[str]) -> pl.LazyFrame:
    """A frame without rows that stands for an input, and adds it to `looked` if anything looks at its rows.

    Lake's own columns come first: Polars counts rows by the first.
    """
    carried = [name for name in (*PROVENANCE, RESCUED) if name in schema]
    columns = {name: schema[name] for name in [*carried, *(name for name in schema if name not in carried)]}

    def rows(with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None) -> Iterator[pl.DataFrame]:
        looked.add(parameter)
        yield pl.DataFrame(schema={name: columns[name] for name in (columns if with_columns is None else with_columns)})

    rows.parameter = parameter  # type: ignore[attr-defined]  # by which the walk knows it
    return register_io_source(rows, schema=columns)


def said(error: BaseException) -> str:
    """The error in one line, without the plan that Polars adds."""
    return shortened(in_words(str(error)), _LONGEST_REASON)
