"""Values as JSON text: numbers that JSON has none for, infinite ones and those that are no number, are told as `"inf"`, `"-inf"` and `"NaN"`, never as null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl


def value_as_json(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """JSON of each value of a column; bytes are told in base64."""
    if _holds_bytes(dtype):
        return _spelled(column, dtype)
    beyond = _not_finite(column, dtype)
    return _encoded(column) if beyond is None else pl.when(beyond.fill_null(False)).then(_spelled(column, dtype)).otherwise(_encoded(column))


def row_as_json(values: Mapping[str, tuple[pl.Expr, pl.DataType]]) -> pl.Expr:
    """JSON of each row as an object: by name the column and its type."""
    beyond = [found for column, dtype in values.values() if (found := _not_finite(column, dtype)) is not None]
    packed = any(_holds_bytes(dtype) for _, dtype in values.values())
    members = [pl.lit(f"{json.dumps(name, ensure_ascii=False)}:") + value_as_json(column, dtype) for name, (column, dtype) in values.items()]
    worded = pl.lit("{") + pl.concat_str(members, separator=",") + pl.lit("}") if beyond or packed else pl.lit("")
    if packed:
        return worded
    plain = pl.struct(column.alias(name) for name, (column, _) in values.items()).struct.json_encode()
    return pl.when(pl.any_horizontal(one.fill_null(False) for one in beyond)).then(worded).otherwise(plain) if beyond else plain


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


def _holds_bytes(dtype: pl.DataType) -> bool:
    """Whether values are, or hold, bytes: Polars makes no JSON of these."""
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_bytes(dtype.inner)  # type: ignore[arg-type]  # a type that is whole
    if isinstance(dtype, pl.Struct):
        return any(_holds_bytes(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]  # as above
    return dtype == pl.Binary


def _spelled(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """JSON of each value, made of that of its parts, so that a number beside one that is none stays a number."""
    if dtype.is_float():
        return pl.when(column.is_finite().fill_null(True)).then(_encoded(column)).otherwise(pl.lit('"') + column.cast(pl.String) + pl.lit('"'))
    if dtype == pl.Binary:
        return (pl.lit('"') + column.bin.encode("base64") + pl.lit('"')).fill_null("null")
    if isinstance(dtype, pl.List | pl.Array):
        listed = column.arr.to_list() if isinstance(dtype, pl.Array) else column
        inside = listed.list.eval(_spelled(pl.element(), dtype.inner)).list.join(",")  # type: ignore[arg-type]  # a type that is whole
        return (pl.lit("[") + inside + pl.lit("]")).fill_null("null")
    if isinstance(dtype, pl.Struct):
        fields = [pl.lit(f"{json.dumps(field.name, ensure_ascii=False)}:") + _spelled(column.struct.field(field.name), field.dtype) for field in dtype.fields]  # type: ignore[arg-type]  # as above
        return pl.when(column.is_null()).then(pl.lit("null")).otherwise(pl.lit("{") + pl.concat_str(fields, separator=",") + pl.lit("}"))
    return _encoded(column)
