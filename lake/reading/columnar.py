"""Parquet and Arrow files: types kept as they are, names made such that Delta can hold them, also inside structs.

Maps become lists of key and value, and extension types what they are stored as; both are said. What Delta cannot hold is left to the gate.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lake.contract import RESCUED, ROW
from lake.errors import FileRejected
from lake.reading.bounds import DEEPEST, check_columns
from lake.reading.delimited import REJECTS, Parsed
from lake.reading.dialect import Dialect, column_names
from lake.type_names import type_name
from lake.wording import counted


def read_columnar(path: Path, dialect: Dialect, rows: int, wide: list[str]) -> Parsed:
    """The rows of a Parquet or Arrow file, read when they are used. `rows` came when it was read whole: FileRejected where it says that it has others.

    `wide` are columns with instants that nanoseconds cannot count: these are read in microseconds.
    """
    schema = in_microseconds(pl.Schema(pl.read_parquet_schema(path)), wide) if wide else None
    parsed = numbered(pl.scan_parquet(path, glob=False, schema=schema) if dialect.format == "parquet" else pl.scan_ipc(path, glob=False))
    if parsed.records != rows:
        raise FileRejected(
            f"the file says that it has {counted(parsed.records, 'row')}, and {rows:,} can be read", "Write the file again; its bytes are kept in raw"
        )
    return parsed


def in_microseconds(schema: pl.Schema, columns: list[str]) -> pl.Schema:
    """The schema with instants in microseconds in these columns."""
    return pl.Schema(dict(schema) | dict.fromkeys(columns, pl.Datetime("us")))


def check_depth(schema: pl.Schema) -> None:
    """Raise FileRejected for a column whose lists and structs go deeper into each other than records, and other engines, can tell."""
    check_columns(list(schema))
    for name, dtype in schema.items():
        level, depth = [dtype], 0
        while level and depth <= DEEPEST:
            level, depth = [inner for outer in level for inner in _within(outer)], depth + 1
        if level:
            raise FileRejected(f"column {name} is nested more than {DEEPEST} levels deep", "Land it with fewer levels, or with what is inside as JSON text")


def _within(dtype: pl.DataType) -> list[pl.DataType]:
    """The types right inside a nested one."""
    if isinstance(dtype, pl.Struct):
        return [_instance(field.dtype) for field in dtype.fields]
    if isinstance(dtype, pl.List | pl.Array):
        return [_instance(dtype.inner)]
    if isinstance(dtype, pl.Map):
        return [_instance(dtype.key), _instance(dtype.value)]
    return [_instance(dtype.ext_storage())] if isinstance(dtype, pl.BaseExtension) else []


def numbered(frame: pl.LazyFrame) -> Parsed:
    """Typed rows with names that a table can have, numbered from 1."""
    schema = frame.collect_schema()
    named = schema.names()
    columns = column_names(named)
    frame = frame.rename(dict(zip(named, columns, strict=True)))
    odd = {column: dtype for column, dtype in zip(columns, schema.dtypes(), strict=True) if inner_names(dtype) != dtype}
    frame = frame.with_columns(renamed_inside(pl.col(column), dtype).alias(column) for column, dtype in odd.items())
    frame = frame.with_row_index(ROW, offset=1).with_columns(pl.col(ROW).cast(pl.Int64), pl.lit(None, dtype=pl.String).alias(RESCUED))
    records = int(frame.select(pl.len()).collect(engine="streaming").item())
    notes = {column: f"{type_name(dtype)} as {type_name(inner_names(dtype))}" for column, dtype in odd.items()}
    renamed = {column: was for column, was in zip(columns, named, strict=True) if column != was}
    return Parsed(frame.select(*columns, ROW, RESCUED), pl.DataFrame(schema=REJECTS), records, notes, renamed)


def inner_names(dtype: pl.DataType) -> pl.DataType:
    """The type with names that Delta can hold inside structs, maps as lists of key and value, extension types as what they are stored as."""
    if isinstance(dtype, pl.Struct):
        names = column_names([field.name for field in dtype.fields])
        return pl.Struct([pl.Field(name, inner_names(_instance(field.dtype))) for name, field in zip(names, dtype.fields, strict=True)])
    if isinstance(dtype, pl.Array):
        inner = _instance(dtype.inner)
        return dtype if inner_names(inner) == inner else pl.List(inner_names(inner))
    if isinstance(dtype, pl.List):
        return pl.List(inner_names(_instance(dtype.inner)))
    if isinstance(dtype, pl.Map):
        return inner_names(_entries(dtype))
    return inner_names(_instance(dtype.ext_storage())) if isinstance(dtype, pl.BaseExtension) else dtype


def renamed_inside(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The column of type `dtype` as `inner_names(dtype)`, with every value and null kept.

    It works on whole batches rather than as one expression, since Polars fails to plan fields of structs in lists in lists.
    """
    target = inner_names(dtype)
    return column if target == dtype else column.map_batches(_renamed, return_dtype=target, is_elementwise=True)


def _renamed(values: pl.Series) -> pl.Series:
    values, dtype = values.alias("values"), values.dtype  # a name may be a pattern to Polars
    target = inner_names(dtype)
    if target == dtype:
        return values
    if isinstance(dtype, pl.Struct) and isinstance(target, pl.Struct):
        fields = values.struct.rename_fields([field.name for field in target.fields]).struct.unnest().get_columns()
        made = pl.DataFrame([_renamed(field).alias(field.name) for field in fields]).to_struct("made")
        there = values.is_not_null().alias("there")
        return pl.DataFrame([made, there]).select(pl.when("there").then("made")).to_series()
    if isinstance(dtype, pl.Array):
        return _renamed(values.arr.to_list())
    if isinstance(dtype, pl.List) and isinstance(target, pl.List):
        return values.list.eval(pl.element().map_batches(_renamed, return_dtype=_instance(target.inner), is_elementwise=True))
    if isinstance(dtype, pl.Map):
        return _renamed(values.cast(_entries(dtype)))
    return _renamed(values.ext.storage()) if isinstance(dtype, pl.BaseExtension) else values


def _entries(dtype: pl.Map) -> pl.List:
    return pl.List(pl.Struct({"key": dtype.key, "value": dtype.value}))


def _instance(dtype: object) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype  # type: ignore[assignment]  # Polars gives classes or instances
    return made
