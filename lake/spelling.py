"""Values as JSON text: numbers that JSON has none for, infinite ones and those that are no number, are told as `"inf"`, `"-inf"` and `"NaN"`, never as null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl


def value_as_json(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """JSON of each value of a column."""
    beyond = _not_finite(column, dtype)
    return _encoded(column) if beyond is None else pl.when(beyond.fill_null(False)).then(_encoded(column.cast(_worded(dtype)))).otherwise(_encoded(column))


def row_as_json(values: Mapping[str, tuple[pl.Expr, pl.DataType]]) -> pl.Expr:
    """JSON of each row as an object: by name the column and its type."""
    plain = pl.struct(column.alias(name) for name, (column, _) in values.items()).struct.json_encode()
    beyond = [found for column, dtype in values.values() if (found := _not_finite(column, dtype)) is not None]
    if not beyond:
        return plain
    members = [pl.lit(f"{json.dumps(name, ensure_ascii=False)}:") + value_as_json(column, dtype) for name, (column, dtype) in values.items()]
    worded = pl.lit("{") + pl.concat_str(members, separator=",") + pl.lit("}")
    return pl.when(pl.any_horizontal(one.fill_null(False) for one in beyond)).then(worded).otherwise(plain)


def finite(value: Any) -> Any:
    """The value with what JSON has no number for as text, to any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return number(value)
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def number(value: float) -> str:
    """A number that is infinite or none, in words."""
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _encoded(column: pl.Expr) -> pl.Expr:
    return pl.struct(column.alias("v")).struct.json_encode().str.strip_prefix('{"v":').str.strip_suffix("}")


def _not_finite(column: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """Whether a value is, or holds, a number that is not finite; None where its type has none."""
    if dtype.is_float():
        return ~column.is_finite()
    if isinstance(dtype, pl.List | pl.Array):
        inner = _not_finite(pl.element(), dtype.inner)  # type: ignore[arg-type]  # a type that is whole
        listed = column.arr.to_list() if isinstance(dtype, pl.Array) else column
        return None if inner is None else listed.list.eval(inner).list.any()
    if isinstance(dtype, pl.Struct):
        parts = [_not_finite(column.struct.field(field.name), field.dtype) for field in dtype.fields]  # type: ignore[arg-type]  # as above
        known = [part.fill_null(False) for part in parts if part is not None]
        return pl.any_horizontal(known) if known else None
    return None


def _worded(dtype: pl.DataType) -> pl.DataType:
    """The type with text in place of floating-point numbers."""
    if dtype.is_float():
        return pl.String()
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(_worded(dtype.inner))  # type: ignore[arg-type]  # a type that is whole
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _worded(field.dtype) for field in dtype.fields})  # type: ignore[arg-type]  # as above
    return dtype
