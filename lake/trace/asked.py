"""What Polars asks of each input of a hop when only some rows of its output are wanted: conditions that rows which matter must meet.

The hop's function runs on frames without rows that note the condition they are read under. Polars moves a condition through a plan only
where that changes nothing, so rows that fail it cannot matter; the opposite does not hold.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from lake.delta import DataFile, Snapshot
from lake.origins.plan import scans

_one_at_a_time = threading.Lock()


class Looks(Exception):  # noqa: N818
    """The function looks at rows of its inputs while it makes its plan."""


def asked(function: Callable[..., pl.LazyFrame], schemas: Mapping[str, pl.Schema], wanted: Callable[[pl.LazyFrame], pl.LazyFrame]) -> dict[str, pl.Expr | None]:
    """By parameter, the condition under which `function` reads it when only the rows that `wanted` keeps are asked for; None: all rows.

    Raises Looks where the function's plan depends on rows, Unknown where this Polars does not show its plans, and whatever the function raises.
    """
    seen: dict[str, list[pl.Expr | None]] = {}
    frames = {name: _empty(name, schema, seen) for name, schema in schemas.items()}
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = function(**frames).lazy()
        if seen:
            raise Looks(", ".join(sorted(seen)))
        plan = wanted(out)
        there = scans(plan)
        plan.collect(optimizations=pl.QueryOptFlags(comm_subplan_elim=False, comm_subexpr_elim=False))
    # Polars need not read what is joined with nothing: of an input that it did not read as often as the plan does, nothing is known
    return {name: _either(known) if len(known := seen.get(name, [])) >= max(there[name], 1) else None for name in schemas}


def files_for(there: Snapshot, condition: pl.Expr | None) -> tuple[DataFile, ...]:
    """The files of a snapshot that may hold rows of the condition, by the statistics in the log."""
    if condition is None:
        return there.files
    kept = there.files
    for wanted in _conjuncts(condition):
        bounds = _bounds(wanted)
        if bounds is not None:
            column, values = bounds
            some = {file.path for value in values for file in there.overlapping({column: (value, value)})}
            kept = tuple(file for file in kept if file.path in some)
    return kept


def _either(conditions: list[pl.Expr | None]) -> pl.Expr | None:
    """A condition that each row meets which meets one of several; an input may be read in several places of a plan."""
    found: pl.Expr | None = None
    for condition in conditions:
        if condition is None or not condition.meta.root_names():
            return None
        found = condition if found is None else found | condition
    return found


def _empty(parameter: str, schema: pl.Schema, seen: dict[str, list[pl.Expr | None]]) -> pl.LazyFrame:
    def rows(with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None) -> Iterator[pl.DataFrame]:
        seen.setdefault(parameter, []).append(predicate if n_rows is None else None)
        yield pl.DataFrame(schema={name: schema[name] for name in (schema if with_columns is None else with_columns)})

    rows.parameter = parameter  # type: ignore[attr-defined]  # by which the walk knows it
    return register_io_source(rows, schema=dict(schema))


def _conjuncts(condition: pl.Expr) -> Iterator[pl.Expr]:
    """The parts of a condition that must all hold."""
    parts = condition.meta.pop()
    if len(parts) == 2 and condition.meta.eq(parts[1] & parts[0]):
        yield from _conjuncts(parts[1])
        yield from _conjuncts(parts[0])
    else:
        yield condition


def _bounds(condition: pl.Expr) -> tuple[str, list[Any]] | None:
    """The column that is asked to be one of some values, and these; None for another condition, or for too many values to look up."""
    parts = condition.meta.pop()
    if len(parts) != 2 or not parts[1].meta.is_column() or not parts[0].meta.is_literal():
        return None
    column, literal = parts[1], parts[0]
    values = pl.select(literal).to_series()
    if condition.meta.eq(column == literal):
        found = values.to_list()
    elif condition.meta.eq(column.is_in(literal)) and isinstance(values.dtype, pl.List):
        found = values.explode().unique().to_list()
    else:
        return None
    return (column.meta.output_name(), found) if len(found) <= _LOOKED_UP and None not in found else None


_LOOKED_UP = 1000
