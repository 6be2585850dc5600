"""The canonical texts of what Polars, dataframely and numpy hold: expressions, types, columns and frames, arrays."""

from __future__ import annotations

import hashlib
import json
import pickle
from typing import TYPE_CHECKING, Any

import dataframely as dy
import numpy as np
import polars as pl
from polars.expr.whenthen import ChainedWhen, When

from lake.code.refusals import CONSTANT_HINT

if TYPE_CHECKING:
    from lake.code.spelling import _Speller as Speller

_PICKLED = b"\x80\x05"
_SPELLED_PICKLE = "128,5,"
_SHORTEST = 16  # bytes of a pickled function
_COLLECT = "Collect it at module level, so that its rows are part of the fingerprint, or land it and name its table as an input"


def spelled_polars(speller: Speller, value: Any) -> str | None:
    """Something of Polars'; None for its functions and whatever else is no value."""
    if isinstance(value, When | ChainedWhen):
        return f"(when {_expression(speller, value.then(None))})"
    if isinstance(value, pl.Expr):
        return _expression(speller, value)
    if isinstance(value, pl.Schema):
        return speller.mapping(value, "schema")
    if isinstance(value, pl.DataType):
        return _data_type(speller, value)
    if isinstance(value, pl.DataFrame):
        return f"(frame {value.height} {' '.join(_series(speller, one) for one in value.get_columns())})"
    if isinstance(value, pl.Series):
        return _series(speller, value)
    if isinstance(value, pl.LazyFrame):
        return _lazy(speller, value)
    if value is pl.col or value is pl.element:
        return f"(library polars {'col' if value is pl.col else 'element'})"
    return None


def spelled_numpy(speller: Speller, value: Any) -> str | None:
    """A scalar, an array or a type of numpy's; None for anything else."""
    if not isinstance(value, np.generic | np.ndarray | np.dtype | np.ufunc):
        return None
    speller.walk.package("numpy")
    if isinstance(value, np.ufunc):
        return f"(library numpy {value.__name__})"
    if isinstance(value, np.dtype):
        return f"(dtype {json.dumps(str(value.descr if value.names else value.str))})"
    array = np.asarray(value)
    kind = "scalar" if isinstance(value, np.generic) else f"array {array.shape}"
    if isinstance(value, np.ma.MaskedArray):
        kind = f"masked {speller.spell(np.ma.getmaskarray(value))} {kind}"
        array = value.filled()
    if array.dtype.hasobject:
        return f"({kind} object {speller.spell(array.tolist())})"
    swapped = array.astype(array.dtype.newbyteorder("<")) if array.dtype.byteorder == ">" else array
    return f"({kind} {speller.spell(array.dtype)} {_digest(swapped.tobytes())})"


def spelled_contract(speller: Speller, contract: type[dy.Schema]) -> str:
    """What a dataframely schema asks: columns with all that is said of them, and rules."""
    columns = []
    for name, column in contract.columns().items():
        said = {key: held for key, held in sorted(vars(column).items()) if not key.startswith("_") and key not in ("name", "alias", "check")}
        columns.append(f"({json.dumps(name)} {type(column).__name__} {_data_type(speller, column.dtype)} {speller.mapping(said, 'said')})")
    return f"(contract {' '.join(columns)} {spelled_rules(speller, contract)})"


def spelled_rules(speller: Speller, contract: type[dy.Schema]) -> str:
    """The rules of a dataframely schema, each as the expression that it comes to; one that raises, by what it raises."""
    rules = []
    for name, rule in contract._validation_rules(with_cast=False).items():  # noqa: SLF001  # dataframely 3 has no public listing of rules
        try:
            expression = rule.expr
        except Exception as error:  # noqa: BLE001  # the team's code: lake says elsewhere that the rule is not sound
            rules.append(f"({json.dumps(name)} raises {type(error).__name__})")
            continue
        rules.append(f"({json.dumps(name)} {speller.spell(expression)})")
    return f"(rules {' '.join(rules)})"


def _expression(speller: Speller, value: pl.Expr) -> str:
    """An expression as Polars tells it, with functions of Python's in it by what they are."""
    try:
        told = value.meta.serialize(format="json")
    except Exception as error:  # noqa: BLE001  # Polars says in many ways that it cannot
        raise speller.walk.refuse(f"holds an expression that cannot be told ({type(error).__name__})", "Make the expression inside the function") from None
    return f"(expression {_plain(speller, json.loads(told)) if _SPELLED_PICKLE in told else speller.spell(told)})"


def _plain(speller: Speller, told: Any) -> str:
    if isinstance(told, dict):
        return "{" + " ".join(f"{json.dumps(key)}:{_plain(speller, inner)}" for key, inner in told.items()) + "}"
    if isinstance(told, list):
        if len(told) >= _SHORTEST and all(type(one) is int and 0 <= one < 256 for one in told):  # noqa: PLR2004  # bytes
            return _bytes(speller, bytes(told))
        return "[" + " ".join(_plain(speller, one) for one in told) + "]"
    return speller.spell(told)


def _bytes(speller: Speller, data: bytes) -> str:
    """Bytes in an expression; where they are a pickled function, that function."""
    at = data.find(_PICKLED)
    if at < 0:
        return _digest(data)
    try:
        function = pickle.loads(data[at:])  # noqa: S301  # this process pickled it a moment ago
    except Exception as error:  # noqa: BLE001  # whatever unpickling runs
        raise speller.walk.refuse(f"holds a function that cannot be told ({type(error).__name__})", CONSTANT_HINT) from None
    # before the pickle Polars puts which Python made it
    return f"(function {data[: max(0, at - 3)].hex()} {_function(speller, function)})"


def _function(speller: Speller, function: Any) -> str:
    """A function that Polars calls, out of what Polars wraps around it."""
    if type(function).__module__.startswith("polars.") and hasattr(function, "function"):
        return _function(speller, function.function)
    return speller.spell(function)


def _data_type(speller: Speller, value: Any) -> str:
    if isinstance(value, type):
        return f"type:{value.__name__}"
    if isinstance(value, pl.Enum):
        return f"(Enum {speller.spell(value.categories.to_list())})"
    if isinstance(value, pl.Struct):
        return f"(Struct {' '.join(f'{json.dumps(one.name)} {_data_type(speller, one.dtype)}' for one in value.fields)})"
    if isinstance(value, pl.Array):
        return f"(Array {value.shape} {_data_type(speller, value.inner)})"
    if isinstance(value, pl.List):
        return f"(List {_data_type(speller, value.inner)})"
    if isinstance(value, pl.Datetime):
        return f"(Datetime {value.time_unit} {value.time_zone})"
    if isinstance(value, pl.Duration):
        return f"(Duration {value.time_unit})"
    if isinstance(value, pl.Decimal):
        return f"(Decimal {value.precision} {value.scale})"
    return f"type:{type(value).__name__}"


def _series(speller: Speller, value: pl.Series) -> str:
    return f"(series {json.dumps(value.name)} {_data_type(speller, value.dtype)} {len(value)} {_values(speller, value)})"


def _values(speller: Speller, value: pl.Series) -> str:
    """A digest of a column's values, whatever chunks they are in."""
    dtype = value.dtype
    nulls = _digest(np.packbits(value.is_null().to_numpy()).tobytes()) if value.null_count() else "whole"
    if dtype == pl.Boolean or (dtype.is_numeric() and not dtype.is_decimal()) or (dtype.is_temporal()):
        plain = value.to_physical().fill_null(0) if dtype != pl.Boolean else value.fill_null(value=False).cast(pl.UInt8)
        return f"{nulls} {_digest(np.ascontiguousarray(plain.to_numpy()).tobytes())}"
    if dtype == pl.String:
        filled = value.fill_null("")
        return f"{nulls} {_digest(filled.str.len_bytes().to_numpy().tobytes())} {_digest(''.join(filled.to_list()).encode())}"
    if isinstance(dtype, pl.Struct):
        return f"{nulls} {' '.join(_series(speller, one) for one in value.struct.unnest().get_columns())}"
    return f"{nulls} {speller.spell(value.to_list())}"


def _lazy(speller: Speller, value: pl.LazyFrame) -> str:
    """A lazy frame over rows in memory, by its rows."""
    if "SCAN" in value.explain(optimized=False):
        raise speller.walk.refuse("is a lazy frame that reads data while the hop runs", _COLLECT)
    try:
        rows = value.collect()
    except pl.exceptions.PolarsError as error:
        raise speller.walk.refuse(f"is a lazy frame that cannot be collected ({type(error).__name__})", _COLLECT) from None
    return f"(lazy {speller.spell(rows)})"


def _digest(data: bytes) -> str:
    return data.hex() if len(data) <= 32 else f"sha256:{hashlib.sha256(data).hexdigest()}"  # noqa: PLR2004  # as long as the digest
