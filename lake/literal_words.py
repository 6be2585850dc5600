"""Values inside of Polars expressions as people write them: numbers, texts, dates, lists. Of the JSON that Polars serialises an expression to."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from decimal import Decimal
from typing import Any

import polars as pl

_WORD = re.compile(r"[\w.+-]+")
_LONGEST = 24  # values of a list that are told
_PER_UNIT = {"Nanoseconds": 10**9, "Microseconds": 10**6, "Milliseconds": 10**3}


def is_value(node: Any) -> bool:
    """Whether a node is a value that stands in the expression."""
    return isinstance(node, dict) and "Literal" in node


def truth_of(node: Any) -> bool | None:
    """The truth value that a literal is; None for anything else."""
    found = node.get("Literal", {}).get("Scalar", {}) if is_value(node) else {}
    truth = found.get("Boolean") if isinstance(found, dict) else None
    return truth if isinstance(truth, bool) else None


def bare(node: Any) -> str:
    """A literal without quotes."""
    found = node["Literal"].get("Scalar", node["Literal"].get("Dyn"))
    return str(found["String"]) if "String" in found else spelled(node["Literal"])


def spelled(body: Any) -> str:
    """A literal as people write it."""
    if "Dyn" in body:
        return number(next(iter(body["Dyn"].values())))
    (kind, value), *_ = body["Scalar"].items()
    if kind == "String":
        return quoted(value)
    if kind == "Boolean":
        return "true" if value else "false"
    if kind == "Null":
        return "null"
    if kind == "Date":
        return (dt.date(1970, 1, 1) + dt.timedelta(days=value)).isoformat()
    if kind in ("Datetime", "DatetimeOwned"):
        zone = value[2]
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=value[0] * 10**6 // _PER_UNIT[value[1]])
        told = moment.replace(tzinfo=None).isoformat(" ", "auto" if moment.second or moment.microsecond else "minutes")
        return f"{told} {zone['inner']}" if isinstance(zone, dict) else told if zone is None else f"{told} {zone}"
    if kind == "Duration":
        return _lasting(dt.timedelta(microseconds=value[0] * 10**6 // _PER_UNIT[value[1]]))
    if kind == "Time":
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=value // 1000)).time().isoformat("auto")
    if kind == "Decimal":
        return str(Decimal(value[0]).scaleb(-value[2]))
    if isinstance(value, int | float):
        return number(value)
    raise ValueError(f"no words are known for a {kind}")


def _lasting(length: dt.timedelta) -> str:
    """A length of time in the largest unit that tells it whole."""
    micro = length // dt.timedelta(microseconds=1)
    for size, unit in ((86_400_000_000, "day"), (3_600_000_000, "hour"), (60_000_000, "minute"), (1_000_000, "second")):
        if micro and micro % size == 0:
            return f"{micro // size} {unit}{'' if abs(micro // size) == 1 else 's'}"
    return str(length)


def number(value: Any) -> str:
    """A number without a fraction that says nothing."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def listed(node: Any) -> str:
    """The values of a list that something is among."""
    body = node.get("Literal") if isinstance(node, dict) else None
    if not isinstance(body, dict):
        raise TypeError("not a list of values")  # but another column, say
    packed = body["Scalar"]["List"] if "Scalar" in body else body["Series"]
    found = pl.read_ipc_stream(io.BytesIO(bytes(packed))).to_series().to_list()
    told = [value if isinstance(value, str) and _WORD.fullmatch(value) else quoted(value) if isinstance(value, str) else _plain(value) for value in found]
    return ", ".join(told[:_LONGEST] or ["no value"]) + (f" and {len(told) - _LONGEST} more" if len(told) > _LONGEST else "")


def _plain(value: Any) -> str:
    return "null" if value is None else "true" if value is True else "false" if value is False else number(value)


def quoted(text: str) -> str:
    """A text between quotes."""
    return json.dumps(text, ensure_ascii=False)
