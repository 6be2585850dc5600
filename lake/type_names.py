"""How types are called wherever people read them: by the names that a contract is written with."""

from __future__ import annotations

from typing import Any

import polars as pl

_OTHERWISE = {pl.Boolean: "Bool", pl.Null: "Null", pl.Unknown: "Unknown"}
_UNITS = {"ns": "ns", "us": "µs", "ms": "ms"}


def type_name(dtype: Any) -> str:
    """A Polars type in one line: `String`, `Int64`, `Bool`, `Decimal(10, 2)`, `Datetime(UTC, µs)`, `Datetime(µs)`, `List(Date)`, `Struct(a: Int64, b: String)`."""
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    if isinstance(made, pl.Datetime):
        return f"Datetime({', '.join([*([str(made.time_zone)] if made.time_zone else []), _UNITS[made.time_unit]])})"
    if isinstance(made, pl.Duration):
        return f"Duration({_UNITS[made.time_unit]})"
    if isinstance(made, pl.Decimal):
        return f"Decimal({made.precision}, {made.scale})"
    if isinstance(made, pl.List):
        return f"List({type_name(made.inner)})"
    if isinstance(made, pl.Array):
        return f"Array({', '.join([_innermost(made), *map(str, made.shape)])})"
    if isinstance(made, pl.Struct):
        return f"Struct({', '.join(f'{each.name}: {type_name(each.dtype)}' for each in made.fields)})"
    if isinstance(made, pl.Map):
        return f"Map({type_name(made.key)}, {type_name(made.value)})"
    if isinstance(made, pl.Enum):
        return f"Enum({', '.join(made.categories)})"
    return _OTHERWISE.get(made.base_type(), made.base_type().__name__)


def _innermost(dtype: Any) -> str:
    inner = dtype
    while isinstance(inner, pl.Array):
        inner = inner.inner
    return type_name(inner)
