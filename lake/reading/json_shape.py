"""The types of JSON values, joined over all records of a file: a type is kept where it holds every value exactly; else the field is text.

Python's own parser is used rather than a faster one: it alone tells how a number is written, and which names stand twice.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException
from typing import Any

import polars as pl

from lake.reading.bounds import LONGEST_NAME
from lake.wording import in_words

_NULL, _BOOL, _WHOLE, _LONG, _FRACTION, _EXACT, _TEXT, _OBJECT, _LIST, _DEEP = (1 << i for i in range(10))
_WORDS = {
    _BOOL: "true or false", _WHOLE: "whole numbers", _LONG: "whole numbers above 2^53", _FRACTION: "fractions",
    _EXACT: "numbers with more digits than a column holds", _TEXT: "text", _OBJECT: "objects", _LIST: "lists", _DEEP: "values nested deeper than 32",
}  # fmt: skip
_DEEPEST = 32
_MOST_FIELDS = 500
_SAFE = 1 << 53
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


class _Long(int):
    """A whole number that 64 bits hold and a float does not."""


class _Exact:
    """A number that neither 64 bits nor a float hold as it is written."""


_KINDS: dict[type, int] = {
    type(None): _NULL, bool: _BOOL, int: _WHOLE, _Long: _LONG, float: _FRACTION, _Exact: _EXACT, str: _TEXT, dict: _OBJECT, list: _LIST,
}  # fmt: skip


@dataclass(slots=True)
class Shape:
    """What was seen of one field: kinds of values as bits, the fields of its objects, the items of its lists."""

    kinds: int = 0
    fields: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None

    def see(self, record: dict[str, Any], depth: int = 1) -> None:
        """Join the shape of one more object into this one."""
        fields = self.fields
        for name, value in record.items():
            kind = _KINDS[type(value)]
            known = fields.get(name)
            if known is None:
                known = fields[name] = Shape()
            known.kinds |= kind
            if kind >= _OBJECT:
                known._see_inside(value, depth)

    def _see_inside(self, value: Any, depth: int) -> None:
        if depth >= _DEEPEST:
            self.kinds |= _DEEP
        elif isinstance(value, dict):
            self.see(value, depth + 1)
        else:
            if self.items is None:
                self.items = Shape()
            for item in value:
                kind = _KINDS[type(item)]
                self.items.kinds |= kind
                if kind >= _OBJECT:
                    self.items._see_inside(item, depth + 1)  # noqa: SLF001  # a shape like this one


@dataclass(frozen=True)
class Plan:
    """How a field is read: its type, and whether it (`text`) or something in it (`lifts`) is kept as the JSON text that stands in the file."""

    dtype: pl.DataType
    text: bool = False
    lifts: bool = False
    fields: dict[str, Plan] = field(default_factory=dict)
    items: Plan | None = None


def resolve(shape: Shape, path: str, notes: dict[str, str]) -> Plan:
    """The plan for a field; `notes` gains, by path, why a field is text."""
    kinds = shape.kinds & ~_NULL
    simple = {0: pl.String(), _BOOL: pl.Boolean(), _TEXT: pl.String()}.get(kinds)
    if simple is not None:
        return Plan(simple)
    if not kinds & ~(_WHOLE | _LONG):
        return Plan(pl.Int64())
    if not kinds & ~(_WHOLE | _FRACTION):
        return Plan(pl.Float64())
    if kinds == _LIST:
        items = resolve(shape.items or Shape(), f"{path}[]", notes)
        return Plan(pl.List(items.dtype), lifts=items.text or items.lifts, items=items)
    if kinds == _OBJECT and 0 < len(shape.fields) <= _MOST_FIELDS:
        fields = {name: resolve(inner, f"{path}.{name}", notes) for name, inner in shape.fields.items()}
        return Plan(pl.Struct({name: plan.dtype for name, plan in fields.items()}), lifts=any(p.text or p.lifts for p in fields.values()), fields=fields)
    notes[path] = f"{_why(kinds, shape)}: kept as JSON text"
    return Plan(pl.String(), text=True)


def _why(kinds: int, shape: Shape) -> str:
    if kinds == _OBJECT:
        return f"objects with {len(shape.fields):,} different names" if shape.fields else "objects without fields"
    if kinds & _DEEP:
        return _WORDS[_DEEP]
    return " and ".join(word for kind, word in _WORDS.items() if kinds & kind)


def decode(raw: bytes) -> dict[str, Any] | str:
    """One record as an object whose values can be seen, or why it is none. Numbers are stand-ins of their kind."""
    if not raw.strip():
        return "the line is blank"
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
        if _HALF_PAIR.search(raw):
            json.dumps(json.loads(raw), ensure_ascii=False).encode("utf-8")
    except RecursionError:
        return "not JSON that can be read: it is nested hundreds of levels deep"
    except UnicodeEncodeError:
        return "not JSON: half a surrogate pair is no character"
    except ValueError as error:
        return f"not JSON: {in_words(str(error))}"
    if len(raw) > LONGEST_NAME and (longest := _longest_name(value)) > LONGEST_NAME:
        return f"a name in it has {longest:,} characters, more than the {LONGEST_NAME:,} of a name"
    return value if isinstance(value, dict) else f"a JSON {kind_of(value)} where an object was expected"


def _longest_name(value: Any) -> int:
    """How many characters the longest name in a value has."""
    longest, left = 0, [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            longest = max(longest, *map(len, one), 0)
            left += one.values()
        elif isinstance(one, list):
            left += one
    return longest


def kind_of(value: Any) -> str:
    """The word for the kind of a decoded value."""
    names = {str: "text", bool: "true or false", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "number")


def _whole(text: str) -> Any:
    if len(text) < 16:
        return int(text)
    if len(text) > 20:
        return _Exact()
    value = int(text)
    if -_SAFE <= value <= _SAFE:
        return value
    return _Long(value) if -(1 << 63) <= value < 1 << 63 else _Exact()


def _fraction(text: str) -> Any:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:60]} is too large a number")
    if len(text) <= 16 and "e" not in text and "E" not in text:
        return value  # no more than fifteen digits: a float gives them back
    try:
        return value if Decimal(text) == Decimal(repr(value)) else _Exact()
    except DecimalException:
        return _Exact()


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:60]!r} stands twice in one object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_int=_whole, parse_float=_fraction, parse_constant=_no_number)
