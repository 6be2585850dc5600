"""From a key to a trace: which rows are meant, down to raw, and up again."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from lake.delta import Snapshot
from lake.errors import UnknownName
from lake.hop import Hop
from lake.meter import metered
from lake.pipeline import Pipeline
from lake.run import Run
from lake.table import Table
from lake.trace.asked import files_for
from lake.trace.descent import descend
from lake.trace.reading import Reading
from lake.trace.recompute import ascend
from lake.trace.told import Read, Trace
from lake.type_names import type_name

LIMIT = 5
_LOOKED_AT = 10_000
_SHOWN = 3


def trace(
    run: Run, pipelines: Iterable[Pipeline], table: str, version: int, key: Mapping[str, Any], *, limit: int = LIMIT, release: int | None = None
) -> Trace:
    """Follow the rows of `table` at `version` that have the values `key`, at most `limit` of them, down to raw, and compute them again.

    Values may be given as text. Only the files that may hold a row that matters are opened. Raises UnknownName for a column or value that
    cannot be, and for a key that no row has, naming the nearest.
    """
    flows = list(pipelines)
    with metered() as meter:
        reading = Reading(run)
        there = reading.snapshot(table, version)
        if not key:
            raise UnknownName(f"which row of {table} is meant", f"Say so by its columns: {', '.join(there.schema)}")
        rows = matching(reading, there, table, key)
        chosen = rows.sort(list(key)).head(limit)
        hops, tables = hops_of(flows), tables_of(flows)
        nodes = descend(reading, hops, table, version, chosen)
        again = ascend(reading, nodes, hops, tables)
        store = meter.spent().store
    requests = sum(count for name, count in store.items() if not name.startswith("bytes"))
    read = Read(requests, store.get("bytes_read", 0), len(reading.opened), len(reading.held), sum(reading.opened.values()))
    return Trace(table, version, rows.height, nodes, again, release, read)


def hops_of(pipelines: Iterable[Pipeline]) -> dict[str, Hop]:
    """The hops of the flows by the table they fill."""
    return {hop.table.name: hop for pipeline in pipelines for hop in pipeline.hops.values()}


def tables_of(pipelines: Iterable[Pipeline]) -> dict[str, Table]:
    """The bronze tables of the flows by name."""
    return {source.into.name: source.into for pipeline in pipelines for source in pipeline.sources.values()}


def matching(reading: Reading, there: Snapshot, table: str, key: Mapping[str, Any]) -> pl.DataFrame:
    """The rows that have these values. Raises UnknownName where there is none, or cannot be."""
    for name in key:
        if name not in there.schema:
            raise UnknownName.among(f"column of {table}", name, there.schema)
    values = {name: typed(table, name, there.schema[name], value) for name, value in key.items()}
    conditions = {name: pl.col(name).is_null() if value is None else pl.col(name) == pl.lit(value, dtype=there.schema[name]) for name, value in values.items()}
    found = _where(reading, there, conditions)
    if found.height == 0:
        raise UnknownName(f"{table} version {there.version} has no row with {_said(values)}", _nearest(reading, there, values, conditions))
    return found


def typed(table: str, name: str, dtype: pl.DataType, value: Any) -> Any:
    """The value as the column holds it; text is read as the column's type. Raises UnknownName for one that is none."""
    if value is None or not isinstance(value, str) or dtype == pl.String:
        if isinstance(value, dt.datetime | dt.date | int | float | str | bool | bytes) or value is None or dtype.is_decimal():
            return value
        raise UnknownName(f"{value!r} is no value of {table}.{name}, which is {type_name(dtype)}", f"Give it as text, as in {name}={_example(dtype)}")
    try:
        if dtype == pl.Date:
            return dt.date.fromisoformat(value)
        if isinstance(dtype, pl.Datetime):
            moment = dt.datetime.fromisoformat(value)
            if dtype.time_zone is None:
                return moment.replace(tzinfo=None)
            return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
        if dtype == pl.Boolean:
            return {"true": True, "false": False}[value.casefold()]
        return pl.Series([value]).cast(dtype, strict=True).item()
    except (ValueError, KeyError, pl.exceptions.PolarsError):
        raise UnknownName(f"{value!r} is no value of {table}.{name}, which is {type_name(dtype)}", f"Write it as in {name}={_example(dtype)}") from None


def _example(dtype: pl.DataType) -> str:
    if dtype == pl.Date:
        return "2013-02-09"
    if isinstance(dtype, pl.Datetime):
        return "2013-02-09T08:00:00" + ("Z" if dtype.time_zone else "")
    return "true" if dtype == pl.Boolean else "12" if dtype.is_integer() else "1.5"


def _where(reading: Reading, there: Snapshot, conditions: Mapping[str, pl.Expr]) -> pl.DataFrame:
    if not conditions:
        return reading.scan(there).head(_LOOKED_AT).collect(engine="streaming")
    together = pl.lit(True)
    files = there.files
    for condition in conditions.values():
        together &= condition
        some = files_for(there, condition)
        files = tuple(file for file in files if file in some)
    return reading.scan(there, files).filter(together).collect(engine="streaming")


def _nearest(reading: Reading, there: Snapshot, values: Mapping[str, Any], conditions: Mapping[str, pl.Expr]) -> str:
    """What comes near: with all values but one given, what the one is."""
    for name in reversed(list(values)):
        rest = {other: condition for other, condition in conditions.items() if other != name}
        frame = _where(reading, there, rest) if rest else reading.scan(there).select(name).unique().head(_LOOKED_AT).collect(engine="streaming")
        known = frame[name].drop_nulls().unique()
        if known.len() == 0:
            continue
        others = {other: value for other, value in values.items() if other != name}
        near = _near(known, values[name])
        return f"{f'With {_said(others)}, ' if others else ''}{name} is {' or '.join(str(one) for one in near)}"
    return "No row has any of these values"


def _near(known: pl.Series, value: Any) -> list[Any]:
    if isinstance(value, str):
        return difflib.get_close_matches(value, known.to_list(), n=_SHOWN, cutoff=0.5) or known.sort().head(_SHOWN).to_list()
    if value is None or known.dtype == pl.Boolean:
        return known.head(_SHOWN).to_list()
    apart = known.to_frame("value").sort((pl.col("value") - pl.lit(value, dtype=known.dtype)).cast(pl.Float64).abs())
    return apart["value"].head(_SHOWN).to_list()


def _said(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
