"""Where the columns of a hop come from: its function is run on tracers, and the plan that comes out is walked.

A tracer is a lazy frame without rows that remembers which columns were asked of it. Where the plan cannot be walked, what Polars asks of
the tracers for each column is still an upper bound: no column outside it can change the value. What the function asks while it makes
its plan may decide anything.
"""

from __future__ import annotations

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
from lake.origins.plan import walk

FAILS = (Exception, pl.exceptions.PanicException)  # whatever the team's function raises, it says that the hop cannot be traced


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
    key = (hop.name, hop.fingerprint, engine, *((name, *schema.items()) for name, schema in schemas.items()))
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


def derive(function: Transform, schemas: Mapping[str, pl.Schema]) -> Origins:
    """The origins of what a function of frames returns, by its parameters. Where it cannot be traced, `why` says so and nothing is known."""
    asked: set[Column] = set()
    frames = {name: _tracer(name, schema, asked) for name, schema in schemas.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = function(**frames).lazy()
            schema = out.collect_schema()
            always: Kinds = {column: "opaque" for column in asked}  # asked for while the plan was made: any column may depend on it
            return _walked(out, schema, always, asked)
    except FAILS as error:
        return Origins({}, {}, pl.Schema(), "nothing", f"{type(error).__name__}: {said(error)}")


def _walked(out: pl.LazyFrame, schema: pl.Schema, always: Kinds, asked: set[Column]) -> Origins:
    try:
        found = walk(out)
    except Unknown as why:
        bounds = _bounds(out, schema, asked)
        columns: dict[str, Kinds] = {name: {column: "opaque" for column in bounds[name]} for name in schema}
        return Origins(columns, always, schema, "asked", str(why))
    frame = found.frame
    if not found.doubts:
        return Origins({name: frame.columns[name] for name in schema}, merged(frame.rows, always), schema)
    bounds = _bounds(out, schema, asked)
    needed = frozenset[Column]().union(*bounds.values())
    columns = {name: _within(frame.columns[name], bounds[name]) for name in schema}
    return Origins(columns, merged(_within(frame.rows, needed), always), schema, "asked", "; ".join(dict.fromkeys(found.doubts)))


def _within(kinds: Kinds, bound: frozenset[Column]) -> Kinds:
    """Of what may be used, what Polars asks for; what chooses rows is asked for as well."""
    return {column: kind for column, kind in kinds.items() if column in bound}


def _bounds(out: pl.LazyFrame, schema: pl.Schema, asked: set[Column]) -> dict[str, frozenset[Column]]:
    """What Polars asks of the tracers for each column."""
    found = {}
    for name in schema:
        asked.clear()
        out.select(name).collect()
        found[name] = frozenset(asked)
    return found


def _tracer(parameter: str, schema: pl.Schema, asked: set[Column]) -> pl.LazyFrame:
    """A frame without rows that adds to `asked` what is asked of it. Lake's own columns come first: Polars counts rows by the first."""
    carried = [name for name in (*PROVENANCE, RESCUED) if name in schema]
    columns = {name: schema[name] for name in [*carried, *(name for name in schema if name not in carried)]}

    def rows(with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None) -> Iterator[pl.DataFrame]:
        wanted = list(columns) if with_columns is None else with_columns
        asked.update((parameter, name) for name in wanted)
        if predicate is not None:
            asked.update((parameter, name) for name in predicate.meta.root_names())
        yield pl.DataFrame(schema={name: columns[name] for name in wanted})

    rows.parameter = parameter  # type: ignore[attr-defined]  # by which the walk knows it
    return register_io_source(rows, schema=columns)


def said(error: BaseException) -> str:
    """The error in one line, without the plan that Polars adds."""
    return " ".join(str(error).partition("Resolved plan until failure")[0].split())[:200]
