"""The one gate between Polars types and what Delta can hold: pass, convert without loss, convert as declared, or refuse.

delta-rs and Parquet writers truncate, panic on or reinterpret what they cannot hold (fractions, enums, nanoseconds, zones),
so nothing is written before it passed here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.errors import DTypeRefused
from lake.type_names import type_name

_PRIMITIVE: dict[type[pl.DataType] | pl.DataType, str] = {
    pl.Boolean: "boolean", pl.Int8: "byte", pl.Int16: "short", pl.Int32: "integer", pl.Int64: "long",
    pl.Float32: "float", pl.Float64: "double", pl.String: "string", pl.Binary: "binary", pl.Date: "date",
}  # fmt: skip
_WIDER: dict[Any, pl.DataType] = {pl.UInt8: pl.Int16(), pl.UInt16: pl.Int32(), pl.UInt32: pl.Int64(), pl.Float16: pl.Float32(), pl.Null: pl.String()}
_FORBIDDEN_IN_NAMES = re.compile(r"[ ,;{}()\n\t=\x00-\x1f]")
_UTC = pl.Datetime("us", "UTC")
_NAIVE = pl.Datetime("us")
_MOST_MILLISECONDS = (2**63 - 1) // 1000
_PER_DAY = {"ns": 86_400 * 10**9, "us": 86_400 * 10**6, "ms": 86_400 * 10**3}
_YEARS = (-719_162, 2_932_896)  # days since 1970: the years 1 to 9999, which Python, SQL and the Delta log can name
_SPELLED = (-96_465_292, 95_026_236)  # the last days that Polars can write out


@dataclass(frozen=True)
class Gate:
    """What happens to a frame on its way to disk.

    `schema` is what Delta will hold; `expressions` make it from the frame; `inexact` counts, per column, values that the
    conversion would change, and `beyond` dates that no reader could show (each must come out 0 or nothing is published); `conversions`
    says what was done, for the record.
    """

    schema: pl.Schema
    expressions: list[pl.Expr]
    inexact: dict[str, pl.Expr] = field(default_factory=dict)
    conversions: dict[str, str] = field(default_factory=dict)
    beyond: dict[str, pl.Expr] = field(default_factory=dict)
    bounds: tuple[int, int] = _YEARS

    @property
    def losses(self) -> list[pl.Expr]:
        """The counts of `inexact` and `beyond`, to be selected from the frame and told by `lost`."""
        return [count.alias(f"lost {name}") for name, count in self.inexact.items()] + [count.alias(f"beyond {name}") for name, count in self.beyond.items()]

    def lost(self, counts: dict[str, Any]) -> str | None:
        """What would be lost by the counts of `losses`, naming the columns; None if nothing is."""
        cut = [name for name in self.inexact if counts[f"lost {name}"]]
        far = [name for name in self.beyond if counts[f"beyond {name}"]]
        told = [f"{', '.join(cut)}: Delta would cut values that are finer than microseconds or wider than it holds"] if cut else []
        return "; ".join(told + ([f"{', '.join(far)}: dates {self._bounds} cannot be shown by those who read the table"] if far else [])) or None

    @property
    def _bounds(self) -> str:
        return "outside the years 1 to 9999" if self.bounds == _YEARS else "more than 262,000 years from now"


def gate(schema: pl.Schema, *, represent: bool = False) -> Gate:
    """How a frame of `schema` may be written to Delta.

    Conversions that keep every value are always made (small unsigned to the next signed, enum to string, any zone to UTC).
    Those that change the representation (Time to text, Duration to a count of microseconds, 64-bit unsigned to decimal)
    only with `represent`, as bronze does: there dates must also lie in the years that every reader knows; a hop may go as far as
    Polars can write dates out. Raises DTypeRefused naming every column that cannot pass.
    """
    bounds = _YEARS if represent else _SPELLED
    refused: list[str] = _bad_names(schema)
    out: dict[str, pl.DataType] = {}
    expressions: list[pl.Expr] = []
    inexact: dict[str, pl.Expr] = {}
    conversions: dict[str, str] = {}
    beyond: dict[str, pl.Expr] = {}
    for name, dtype in schema.items():
        column = pl.col(name)
        try:
            target = _target(dtype, represent=represent, nested=False)
        except _Refusal as refusal:
            refused.append(f"{name} is {type_name(dtype)}: {refusal}")
            continue
        out[name] = target
        expressions.append(column if target == dtype else _convert(column, dtype, target).alias(name))
        if target != dtype:
            conversions[name] = f"{type_name(dtype)} as {type_name(target)}"
        if (far := _beyond(column, dtype, bounds)) is not None:
            beyond[name] = far
        if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
            inexact[name] = (column.dt.nanosecond() % 1000 != 0).sum()
        elif isinstance(dtype, pl.Duration) and dtype.time_unit == "ns":
            inexact[name] = (column.dt.total_nanoseconds() % 1000 != 0).sum()
        elif isinstance(dtype, pl.Datetime | pl.Duration) and dtype.time_unit == "ms":
            inexact[name] = (column.to_physical().abs() > _MOST_MILLISECONDS).sum()
        elif dtype == pl.Int128:
            inexact[name] = (column.is_not_null() & column.cast(target, strict=False).is_null()).sum()
    if not schema:
        refused.append("there is no column")
    if refused:
        raise DTypeRefused(f"Delta cannot hold {len(refused)} of the columns as they are: {'; '.join(refused)}", "Cast them in the hop")
    return Gate(pl.Schema(out), expressions, inexact, conversions, beyond, bounds)


def _beyond(column: pl.Expr, dtype: pl.DataType, bounds: tuple[int, int]) -> pl.Expr | None:
    """How many dates and instants in the column, however deep, lie outside `bounds`; None where its type has none that could."""
    if isinstance(dtype, pl.Date | pl.Datetime):
        if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
            return None  # 64 bits of nanoseconds reach from 1677 to 2262
        day = 1 if isinstance(dtype, pl.Date) else _PER_DAY[dtype.time_unit]
        counted = column.to_physical().cast(pl.Int64)
        return ((counted < bounds[0] * day) | (counted >= (bounds[1] + 1) * day)).sum()
    if isinstance(dtype, pl.List):
        return _beyond(column.list.explode(), _instance(dtype.inner), bounds)
    if isinstance(dtype, pl.Array):
        return _beyond(column.arr.explode(), _instance(dtype.inner), bounds)
    if isinstance(dtype, pl.Struct):
        counts = [found for part in dtype.fields if (found := _beyond(column.struct.field(part.name), _instance(part.dtype), bounds)) is not None]
        return pl.sum_horizontal(counts) if counts else None
    return None


def delta_type(dtype: pl.DataType) -> Any:
    """The Delta type of a gated Polars type, as the schema in the log spells it (Delta protocol, "Schema Serialization Format")."""
    if isinstance(dtype, pl.Datetime):
        return "timestamp" if dtype.time_zone else "timestamp_ntz"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.List):
        return {"type": "array", "elementType": delta_type(_instance(dtype.inner)), "containsNull": True}
    if isinstance(dtype, pl.Struct):
        return {"type": "struct", "fields": [delta_field(f.name, _instance(f.dtype)) for f in dtype.fields]}
    return _PRIMITIVE[dtype.base_type()]


def delta_field(name: str, dtype: pl.DataType, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """One field of a Delta schema. Every column may be null: the contract says which may not, and checks it."""
    return {"name": name, "type": delta_type(dtype), "nullable": True, "metadata": metadata or {}}


def polars_type(spelled: Any) -> pl.DataType:
    """The Polars type of a Delta type: the inverse of delta_type."""
    if isinstance(spelled, dict):
        if spelled["type"] == "array":
            return pl.List(polars_type(spelled["elementType"]))
        return pl.Struct([pl.Field(f["name"], polars_type(f["type"])) for f in spelled["fields"]])
    if spelled == "timestamp":
        return _UTC
    if spelled == "timestamp_ntz":
        return _NAIVE
    if found := re.fullmatch(r"decimal\((\d+),(\d+)\)", spelled):
        return pl.Decimal(int(found[1]), int(found[2]))
    return next(_instance(dtype) for dtype, name in _PRIMITIVE.items() if name == spelled)


def stored_type_name(spelled: Any) -> str:
    """The name that people read of a Delta type, as a schema document spells it."""
    try:
        return type_name(polars_type(spelled))
    except (StopIteration, KeyError, TypeError):  # a type that lake does not write
        return spelled if isinstance(spelled, str) else json.dumps(spelled)


class _Refusal(Exception):
    """Why a type cannot pass."""


def _target(dtype: pl.DataType, *, represent: bool, nested: bool) -> pl.DataType:
    """The type Delta will hold for `dtype`. Raises _Refusal."""
    if dtype.base_type() in _PRIMITIVE:
        return dtype
    if dtype.base_type() in _WIDER:
        return _WIDER[dtype.base_type()]
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.Datetime):
        if nested and dtype.time_unit == "ns":
            raise _Refusal("nanoseconds inside a nested value would be cut to microseconds")
        return _UTC if dtype.time_zone else _NAIVE
    if isinstance(dtype, pl.Decimal):
        if dtype.precision is None or dtype.precision > 38:
            raise _Refusal("a decimal holds at most 38 digits")
        return dtype
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(_target(_instance(dtype.inner), represent=represent, nested=True))
    if isinstance(dtype, pl.Struct):
        if not dtype.fields:
            raise _Refusal("a struct without fields cannot be stored")
        if bad := _bad_names({f.name: f.dtype for f in dtype.fields}):
            raise _Refusal("; ".join(bad))
        return pl.Struct([pl.Field(f.name, _target(_instance(f.dtype), represent=represent, nested=True)) for f in dtype.fields])
    return _represented(dtype, represent=represent, nested=nested)


def _represented(dtype: pl.DataType, *, represent: bool, nested: bool) -> pl.DataType:
    choices: dict[Any, tuple[pl.DataType, str]] = {
        pl.UInt64: (pl.Decimal(20, 0), "cast it to Int64 or Decimal(20, 0)"),
        pl.Int128: (pl.Decimal(38, 0), "cast it to Int64 or Decimal(38, 0)"),
        pl.Time: (pl.String(), "cast it to text, or combine it with its date"),
        pl.Duration: (pl.Int64(), "cast it to a number and name the unit"),
    }
    if dtype.base_type() not in choices:
        raise _Refusal("it has no Delta counterpart")
    target, advice = choices[dtype.base_type()]
    if not represent or (nested and dtype.base_type() in (pl.Duration, pl.Time, pl.Int128)):
        raise _Refusal(advice)
    return target


def _convert(column: pl.Expr, dtype: pl.DataType, target: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return (column.dt.convert_time_zone("UTC") if dtype.time_zone else column).cast(target)
    if isinstance(dtype, pl.Time):
        return column.dt.to_string("%H:%M:%S%.9f")
    if isinstance(dtype, pl.Duration):
        return column.dt.total_microseconds()
    if dtype == pl.Int128:
        return column.cast(target, strict=False)
    return column.cast(target)


def _bad_names(columns: Any) -> list[str]:
    """What is wrong with the column names: Delta without column mapping forbids some characters and compares without case."""
    bad = [f"{name!r} has a character that Delta forbids in names" for name in columns if not name or _FORBIDDEN_IN_NAMES.search(name)]
    bad += [f"{name!r} is a pattern to Polars" for name in columns if name == "*" or (name.startswith("^") and name.endswith("$"))]
    seen: dict[str, str] = {}
    for name in columns:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            bad.append(f"{other!r} and {name!r} differ in case only")
    return bad


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made
