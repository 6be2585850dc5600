"""Fitting a raw file's columns to its bronze table: what is new, gone, called otherwise or of another type, and what the policy makes of it.

No value is dropped and none is changed: what the table has no column or no exact value for goes to `_rescued` as JSON, under its name
in the file. Everything that differs is a Notice, which the commit record keeps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from lake.contract import PROVENANCE, RESCUED
from lake.exact import instant_of, says_the_same
from lake.headers import places_of
from lake.record import Notice
from lake.spelling import value_as_json
from lake.table import Table
from lake.type_names import type_name

_WHOLE: list[pl.DataType] = [pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64()]
_SHORT_ENOUGH = 3  # of the whole number types, those whose every value a 64-bit float holds
_MOST_DIGITS = 38


@dataclass(frozen=True)
class Shape:
    """A table as files meet it: its columns with types, and what it says of files that look otherwise. `headers` are the names of columns in files, where these are others."""

    columns: dict[str, pl.DataType]
    table: Table
    new: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> set[str] | None:
        """The names (without case) that columns may have; None where any may."""
        if self.table.policy == "evolve":
            return None
        if self.table.columns:
            return {name.casefold() for name in self.table.columns}
        return None if self.new else {name.casefold() for name in self.columns}


@dataclass(frozen=True)
class Fit:
    """How one file is brought into the table's shape.

    `values` make the table's columns from the file's; those it has none for are missing. `rescued` are conditions and JSON texts of
    values that go to `_rescued`. `shape` is the table's shape with what the file adds. `widened` are columns whose type must be widened
    first. `refused` says why the file is rejected whole, where it is; `places` which column of the table each of the file's became.
    """

    shape: Shape
    values: dict[str, pl.Expr] = field(default_factory=dict)
    rescued: dict[str, tuple[pl.Expr, pl.Expr]] = field(default_factory=dict)
    widened: dict[str, pl.DataType] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    refused: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether the file's columns are the table's as they stand, or lack some."""
        return not self.rescued and all(value.meta.eq(pl.col(name)) for name, value in self.values.items())

    def frame(self, file: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
        """The file's rows in the shape of `schema`, which may have columns that later files added."""
        made = [
            file_column if (file_column := self.values.get(name)) is not None else pl.lit(None, dtype=dtype)
            for name, dtype in schema.items()
            if name not in PROVENANCE and name != RESCUED
        ]
        names = [name for name in schema if name not in PROVENANCE and name != RESCUED]
        columns = [(value.cast(schema[name]) if self._differs(name, schema[name]) else value).alias(name) for name, value in zip(names, made, strict=True)]
        return file.select(*columns, *PROVENANCE, self._rescue().alias(RESCUED)).select(list(schema))

    def _differs(self, name: str, dtype: pl.DataType) -> bool:
        return name in self.values and self.shape.columns[name] != dtype

    def _rescue(self) -> pl.Expr:
        """The rescued values as one JSON object, beside the fields without a name that the file's reader had rescued (a JSON array)."""
        if not self.rescued:
            return pl.col(RESCUED)
        parts = [pl.when(lost).then(pl.lit(json.dumps(name, ensure_ascii=False) + ":") + text) for name, (lost, text) in self.rescued.items()]
        unnamed = pl.when(pl.col(RESCUED).is_not_null()).then(pl.lit(f'"{RESCUED}":') + pl.col(RESCUED))
        named = pl.concat_str([*parts, unnamed], separator=",", ignore_nulls=True)
        any_named = pl.any_horizontal([lost for lost, _ in self.rescued.values()])
        return pl.when(any_named).then(pl.lit("{") + named + pl.lit("}")).otherwise(pl.col(RESCUED))


def fit(shape: Shape, schema: pl.Schema, file: str, named: Mapping[str, str] | None = None) -> Fit:
    """How a file whose gated columns are `schema` comes into a table of `shape`.

    `file` is its name, for the notices; `named` are the names of columns in it, where these are others.
    """
    table, mine = shape.table, [name for name in schema if name not in PROVENANCE and name != RESCUED]
    told = named or {}
    result = _plainly(shape, mine, schema, told)
    if result is None:
        dropped = {gone.casefold() for gone in table.dropped}
        wanted = [name for name in mine if name.casefold() not in dropped]
        places = places_of(wanted, told, dict.fromkeys((*shape.columns, *table.columns)), shape.headers, table.former)
        result = Fit(shape, places=places)
        for name in mine:
            result = _fit_column(result, places.get(name), name, schema[name], file, told.get(name, name))
    gone = [name for name in ({**shape.columns, **dict.fromkeys(table.columns)}) if name not in result.values]
    if mine and not shape.new:
        result = _noticed(result, *(Notice(column=name, what="missing", file=file) for name in gone))
        mentioned = [name for name in shape.columns if name in result.values]
        if [name for name in result.values if name in shape.columns] != mentioned:
            result = _noticed(result, Notice(column="", what="reordered", file=file))
    if mine and table.policy == "strict" and (refused := _strictly(result, gone)):
        return replace(Fit(shape), refused=refused, notices=result.notices)
    return result


def _plainly(shape: Shape, mine: list[str], schema: pl.Schema, named: Mapping[str, str]) -> Fit | None:
    """How a file comes in whose columns are the table's as they stand, or the first of a new table that declares none; None where each must be looked at.

    In one go: one after the other, each by a new value, takes the square of the time, and tables may have thousands.
    """
    table = shape.table
    values, places = {name: pl.col(name) for name in mine}, {name: name for name in mine}
    same = all(shape.columns.get(name) == schema[name] and shape.headers.get(name, name) == named.get(name, name) for name in mine)
    if same and not (table.former or table.dropped):
        return Fit(shape, values=values, places=places)
    alone = len({name.casefold() for name in mine}) == len(mine)
    if shape.new and alone and not (shape.columns or table.columns or table.former or table.dropped or table.types or shape.allowed is not None):
        return Fit(replace(shape, columns={name: schema[name] for name in mine}, headers=dict(named)), values=values, places=places)
    return None


def _fit_column(so_far: Fit, target: str | None, name: str, dtype: pl.DataType, file: str, header: str) -> Fit:
    """The column `name` of the file, in which it is called `header`, as the column `target` of the table; None if that was dropped."""
    shape = so_far.shape
    table = shape.table
    if target is None:
        return _noticed(so_far, Notice(column=name, what="dropped", file=file))
    if target in so_far.values:
        return _rescued(so_far, name, dtype, file, "there twice")
    there = target in shape.columns or target in table.columns
    if target != name or (there and header.strip() not in (target, shape.headers.get(target, target).strip())):
        only_spelled = there and table.former.get(name) != target and target.casefold() not in {new.casefold() for new in table.former.values()}
        so_far = _noticed(so_far, Notice(column=target, what="respelled" if only_spelled else "renamed", detail=header, file=file))
    if target in shape.columns:
        return _fit_type(so_far, target, name, dtype, file)
    if shape.allowed is not None and target.casefold() not in shape.allowed:
        return _rescued(so_far, name, dtype, file, "unknown")
    wanted = table.types.get(target, dtype)
    grown = replace(shape, columns={**shape.columns, target: wanted}, headers={**shape.headers, target: header} if header != target else shape.headers)
    if not shape.new:
        so_far = _noticed(so_far, Notice(column=target, what="added", detail=str(wanted), file=file))
    return _fit_type(replace(so_far, shape=grown), target, name, dtype, file)


def _fit_type(so_far: Fit, target: str, name: str, dtype: pl.DataType, file: str) -> Fit:
    """The column `name` of the file as the column `target` of the table."""
    shape, column = so_far.shape, pl.col(name)
    known = shape.columns[target]
    if dtype == known:
        return replace(so_far, values={**so_far.values, target: column})
    wide = wider(known, dtype) if shape.table.policy == "evolve" else None
    if wide is not None and wide != known:
        grown = replace(shape, columns={**shape.columns, target: wide})
        so_far = replace(so_far, shape=grown, widened={**so_far.widened, target: wide})
        so_far = _noticed(so_far, Notice(column=target, what="widened", detail=f"{known} to {wide}", file=file))
        known = wide
    else:
        so_far = _noticed(so_far, Notice(column=target, what="retyped", detail=f"{type_name(dtype)} as {type_name(known)}", file=file))
    value, exact = exactly(column, dtype, known)
    made = pl.when(exact).then(value)
    kept = {} if _always(dtype, known) else {name: (column.is_not_null() & ~exact.fill_null(False), value_as_json(pl.col(name), dtype))}
    return replace(so_far, values={**so_far.values, target: value if not kept else made}, rescued={**so_far.rescued, **kept})


def wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The type that holds every value of both exactly; None where there is none short of text."""
    if one == other:
        return one
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        mine, theirs = ({f.name: _instance(f.dtype) for f in t.fields} for t in (one, other))
        joined = {name: wider(mine[name], theirs[name]) if name in mine and name in theirs else mine.get(name, theirs.get(name)) for name in {**mine, **theirs}}
        if any(dtype is None or (name in mine and dtype != mine[name] and not dtype.is_nested()) for name, dtype in joined.items()):
            return None
        return pl.Struct([pl.Field(name, dtype) for name, dtype in joined.items() if dtype is not None])
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        inner = wider(_instance(one.inner), _instance(other.inner))
        return pl.List(inner) if inner is not None and (inner == one.inner or inner.is_nested()) else None
    if one in _WHOLE and other in _WHOLE:
        return _WHOLE[max(_WHOLE.index(one), _WHOLE.index(other))]
    if one.is_float() and other.is_float():
        return pl.Float64()
    if {one.is_float(), other.is_float()} == {True, False} and (one in _WHOLE[:_SHORT_ENOUGH] or other in _WHOLE[:_SHORT_ENOUGH]):
        return pl.Float64()
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal):
        scale = max(one.scale, other.scale)
        whole = max((one.precision or _MOST_DIGITS) - one.scale, (other.precision or _MOST_DIGITS) - other.scale)
        return pl.Decimal(whole + scale, scale) if whole + scale <= _MOST_DIGITS else None
    return None


def exactly(column: pl.Expr, given: pl.DataType, wanted: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    """The column in the wanted type, and whether each value that is not null says the same there."""
    if _always(given, wanted):
        return column.cast(wanted), pl.lit(True)
    if wanted == pl.String and given.is_nested():
        return pl.when(column.is_not_null()).then(value_as_json(column, given)), pl.lit(True)
    if (
        given.is_nested()
        or wanted.is_nested()
        or pl.Binary in (given, wanted)
        or (given.is_temporal() != wanted.is_temporal() and pl.String not in (given, wanted))
    ):
        return pl.lit(None, dtype=wanted), column.is_null()
    if isinstance(wanted, pl.Datetime) and _zoned(given) not in (None, _zoned(wanted)):
        return pl.lit(None, dtype=wanted), column.is_null()  # what a clock showed is no instant, nor the other way round
    if given == pl.String and wanted == pl.Date:
        value = column.str.to_date("%Y-%m-%d", strict=False)
        return value, (value.cast(pl.String) == column).fill_null(False)
    if given == pl.String and isinstance(wanted, pl.Datetime):
        value = instant_of(column, zoned=wanted.time_zone is not None).cast(wanted)
        return value, value.is_not_null()
    if given == pl.String and wanted.is_numeric():
        value = column.cast(wanted, strict=False)
        return value, says_the_same(column, value, wanted)
    if given == pl.String and wanted == pl.Boolean:
        value = pl.when(column == "true").then(True).when(column == "false").then(False)
        return value, value.is_not_null()
    value = column.cast(wanted, strict=False)
    return value, value.cast(given, strict=False).eq_missing(column)


def _zoned(dtype: pl.DataType) -> bool | None:
    """Whether values of a type are instants, rather than what some clock showed; None where it is no time."""
    return bool(dtype.time_zone) if isinstance(dtype, pl.Datetime) else False if isinstance(dtype, pl.Date) else None


def _always(given: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether every value of the given type is exact in the wanted one."""
    if wanted == pl.String:
        return not given.is_nested() and given != pl.Binary
    return wider(given, wanted) == wanted or (given.is_nested() and wider(wanted, given) == wanted)


def _rescued(so_far: Fit, name: str, dtype: pl.DataType, file: str, why: str) -> Fit:
    kept = {**so_far.rescued, name: (pl.col(name).is_not_null(), value_as_json(pl.col(name), dtype))}
    return _noticed(replace(so_far, rescued=kept), Notice(column=name, what="rescued", detail=why, file=file))


def _noticed(so_far: Fit, *notices: Notice) -> Fit:
    return replace(so_far, notices=(*so_far.notices, *notices))


def _strictly(result: Fit, gone: list[str]) -> str | None:
    """Why a strict table does not take the file."""
    odd = [notice for notice in result.notices if notice.what in ("rescued", "retyped")]
    told = [f"column {notice.column} is {'unknown' if notice.what != 'retyped' else notice.detail}" for notice in odd]
    told += [f"column {name} is missing" for name in gone] if not result.shape.new or result.shape.table.columns else []
    return "; ".join(told) or None


def _instance(dtype: object) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype  # type: ignore[assignment]  # a field's type is either
    return made
