"""The canonical text of a value: the same for equal values in every process and every supported Python, another for any other.

What is no value (a lock, an open file, an iterator) has none, and is refused by name. The order of a dict counts, since it can decide the rows; that of a set
does not. Objects of the team's are spelled by their class and state, those of libraries as they would be pickled.
"""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import hashlib
import ipaddress
import json
import logging
import pathlib
import re
import struct
import sys
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake.code.frames import spelled_numpy, spelled_polars
from lake.code.libraries import public_name
from lake.code.refusals import CONSTANT_HINT, why_not_held

if TYPE_CHECKING:
    from lake.code.walk import Walk

_LONG = 400  # characters: longer texts of values are told by their digests
_FLAGS = re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE


@dataclass(frozen=True)
class Missing:
    """A name that nothing has."""

    name: str


def spelled(walk: Walk, value: Any) -> str:
    """The canonical text of `value`. Raises DeclarationError, by way of the walk, if it has none."""
    return _Speller(walk).spell(value)


def spelled_code_constant(value: Any) -> str:
    """A constant of bytecode."""
    if isinstance(value, frozenset):
        return f"(frozenset {' '.join(sorted(map(spelled_code_constant, value)))})"
    if isinstance(value, tuple):
        return f"(tuple {' '.join(map(spelled_code_constant, value))})"
    return f"{type(value).__name__}:{json.dumps(value) if isinstance(value, str) else repr(value)}"


def _float(value: float) -> str:
    return "nan" if value != value else value.hex()  # noqa: PLR0124  # nan is not itself


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _step(key: Any, fields: bool) -> str:
    """How what is under a key is asked for."""
    if fields and isinstance(key, str):
        return f".{key}"
    return f"[{key!r}]" if type(key) in (str, int, bool, type(None)) else f"[{type(key).__name__}]"


class _Speller:
    """Spells one value; knows what it is within, so that circles end."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self._within: list[int] = []

    def spell(self, value: Any) -> str:
        kind = type(value)
        if (atom := _ATOMS.get(kind)) is not None:
            return atom(value)
        if id(value) in self._within:
            return f"(within {len(self._within) - self._within.index(id(value))})"
        self._within.append(id(value))
        try:
            return self._compound(value, kind)
        finally:
            self._within.pop()

    def _all(self, values: Iterable[Any]) -> str:
        return " ".join(self._at(f"[{number}]", one) for number, one in enumerate(values))

    def _pairs(self, values: Iterable[tuple[Any, Any]], *, fields: bool = False) -> str:
        return " ".join(f"({self.spell(key)} {self._at(_step(key, fields), value)})" for key, value in values)

    def _at(self, step: str, value: Any) -> str:
        """A value one step further in, which is where a lambda in it is found."""
        before = self.walk.place
        self.walk.place = before + step
        try:
            return self.spell(value)
        finally:
            self.walk.place = before

    def _compound(self, value: Any, kind: type) -> str:
        if (made := _CONTAINERS.get(kind)) is not None:
            return made(self, value)
        if isinstance(value, Missing):
            return f"(missing {value.name})"
        if (found := self._code(value)) is not None:
            return found
        if isinstance(value, logging.Logger | logging.LoggerAdapter):
            return "(logger)"
        if kind is object:
            return f"(sentinel {self.walk.sentinel(value)})"
        if isinstance(value, enum.Enum):
            name = "" if isinstance(value, enum.Flag) else json.dumps(value.name)  # Python names combined flags in one way or another
            return f"(member {self.spell(kind)} {name} {self.spell(value.value)})"
        if isinstance(value, pathlib.PurePath):
            return self._path(value)
        top = kind.__module__.partition(".")[0]
        found = spelled_polars(self, value) if top == "polars" else spelled_numpy(self, value) if top == "numpy" else None
        if found is not None:
            return found
        if (why := why_not_held(value)) is not None:
            return self.unseen(value, *why)
        return self._object(value, kind)

    def unseen(self, value: Any, why: str, hint: str) -> str:
        if self.walk.lenient:
            return f"(opaque {type(value).__module__}.{type(value).__qualname__})"
        raise self.walk.refuse(f"is or holds {why}", hint)

    # code

    def _code(self, value: Any) -> str | None:
        """Functions, methods, classes, modules, and what is made of them; None for anything else."""
        from lake.code.functions import of_library

        walk = self.walk
        if isinstance(value, types.GenericAlias):
            return self._typing(value)
        if isinstance(value, types.FunctionType):
            return walk.number(value, "function") if walk.is_team(value) else of_library(walk, value)
        if isinstance(value, type):
            return walk.number(value, "class") if walk.is_team(value) else walk.library(value)
        if isinstance(value, types.ModuleType):
            if walk.is_team(value):
                return walk.number(value, "module")
            walk.package(value.__name__.partition(".")[0])
            return f"(module {value.__name__})"
        owner = getattr(value, "__self__", None) if isinstance(value, types.MethodType | types.BuiltinFunctionType | types.MethodWrapperType) else None
        if owner is not None and not walk.is_team(type(owner)) and (public := public_name(value, type(owner).__module__)) is not None:
            walk.package(public[0])
            return f"(library {public[0]} {public[1]})"
        if isinstance(value, types.MethodType):
            return f"(method {self.spell(value.__func__)} {self.spell(value.__self__)})"
        if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
            if owner is None or isinstance(owner, types.ModuleType):
                return walk.library(value)
            return f"(method {value.__name__} {self.spell(owner)})"
        if isinstance(
            value,
            types.MethodDescriptorType
            | types.WrapperDescriptorType
            | types.ClassMethodDescriptorType
            | types.GetSetDescriptorType
            | types.MemberDescriptorType,
        ):
            return f"(descriptor {value.__name__} {self.spell(value.__objclass__)})"
        return self._wrapping(value)

    def _wrapping(self, value: Any) -> str | None:
        """What Python's own wraps around functions."""
        if isinstance(value, functools.partial) and not self.walk.is_team(type(value)):
            return f"(partial {self.spell(value.func)} {self.spell(value.args)} {self.spell(value.keywords)})"
        if isinstance(value, functools.partialmethod):
            return f"(partialmethod {self.spell(value.func)} {self.spell(value.args)} {self.spell(value.keywords)})"
        if isinstance(value, property):
            return f"(property {self._all([value.fget, value.fset, value.fdel])})"
        if isinstance(value, staticmethod | classmethod):
            return f"({type(value).__name__} {self.spell(value.__func__)})"
        if isinstance(value, functools.cached_property):
            return f"(cached_property {self.spell(value.func)})"
        if isinstance(value, functools.singledispatchmethod):
            return f"(singledispatchmethod {self.spell(value.dispatcher)})"
        if hasattr(value, "cache_parameters") and hasattr(value, "__wrapped__"):
            return f"(cache {self.spell(value.cache_parameters())} {self.spell(value.__wrapped__)})"
        if isinstance(value, types.UnionType):
            return f"(union {self._all(typing.get_args(value))})"
        if type(value).__module__ == "typing":
            return self._typing(value)
        if isinstance(value, types.CodeType):
            return self.unseen(value, "a code object", CONSTANT_HINT)
        return None

    def _typing(self, value: Any) -> str:
        origin = typing.get_origin(value)
        if origin is not None:
            return f"(generic {self._all([origin, *typing.get_args(value)])})"
        return f"(typing {getattr(value, '__name__', None) or getattr(value, '_name', None) or type(value).__name__})"

    # values

    def _path(self, value: pathlib.PurePath) -> str:
        """A path; one below the project's folder is told from there, so that a checkout elsewhere has the same."""
        root = self.walk.root
        if root is not None and value.is_absolute():
            for folder in (root, root.resolve()):
                if value.is_relative_to(folder):
                    return f"(path in the project {json.dumps(value.relative_to(folder).as_posix())})"
        return f"(path {json.dumps(value.as_posix())})"

    def unordered(self, values: Iterable[Any]) -> str:
        """Values without an order, in the order of their texts."""
        given = list(values)
        if all(type(one) in _ATOMS for one in given):
            return _short(" ".join(sorted(self.spell(one) for one in given)))
        return " ".join(self.spell(one) for one in sorted(given, key=self.walk.alone))

    def _object(self, value: Any, kind: type) -> str:
        if self.walk.is_team(kind):
            return self._of_team(value, kind)
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:  # noqa: BLE001  # a library's object says in its own way that it is no value
            return self.unseen(value, f"a {kind.__module__}.{kind.__qualname__}, which is no plain value ({type(error).__name__})", CONSTANT_HINT)
        if isinstance(reduced, str):
            return f"{self.walk.library(kind)} {json.dumps(reduced)}"
        function, arguments, *more = reduced
        state, items, pairs = [*more, None, None, None][:3]
        self.walk.package(kind.__module__.partition(".")[0])
        told = [self.spell(function), self._all(arguments), self.spell(state) if state is not None else ""]
        told += [self._all(items) if items is not None else "", self._pairs(pairs) if pairs is not None else ""]
        return f"(made {_short(' '.join(told)) if '#' not in ' '.join(told) else ' '.join(told)})"

    def _of_team(self, value: Any, kind: type) -> str:
        """An object of a class of the team's: its class, what it is of a built-in type, and its state."""
        computed = {name for one in kind.__mro__ for name, made in vars(one).items() if isinstance(made, functools.cached_property)}
        state: dict[str, Any] = {name: held for name, held in getattr(value, "__dict__", {}).items() if name not in computed}
        for one in kind.__mro__:
            names = vars(one).get("__slots__", ())
            for name in (names,) if isinstance(names, str) else tuple(names):
                called = f"_{one.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
                if called not in ("__dict__", "__weakref__") and not called.startswith("__pydantic") and hasattr(value, called):
                    state.setdefault(called, getattr(value, called))
        base = next((one for one in kind.__mro__ if one in _ATOMS or one in _CONTAINERS), None)
        plain = ""
        if base is not None:
            plain = _ATOMS[base](value) if base in _ATOMS else _CONTAINERS[base](self, value)
        elif isinstance(value, BaseException):
            plain = self._all(value.args)
        return f"(object {self.spell(kind)} {plain} {self._pairs(sorted(state.items()), fields=True)})"

    # containers

    def list_like(self, value: Any, name: str) -> str:
        inner = self._all(value)
        return f"({name} {_short(inner) if '#' not in inner and '(within' not in inner else inner})"

    def mapping(self, value: Any, name: str, *, fields: bool = False) -> str:
        inner = self._pairs(value.items(), fields=fields)
        return f"({name} {_short(inner) if '#' not in inner and '(within' not in inner else inner})"


_ATOMS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "None",
    type(...): lambda _: "...",
    type(NotImplemented): lambda _: "NotImplemented",
    bool: lambda value: str(bool(value)),
    int: lambda value: f"int:{int(value):x}",
    float: lambda value: f"float:{_float(float(value))}",
    complex: lambda value: f"complex:{_float(value.real)},{_float(value.imag)}",
    str: lambda value: _short(json.dumps(str.__str__(value))),
    bytes: lambda value: f"bytes:{_short(bytes(value).hex())}",
    bytearray: lambda value: f"bytearray:{_short(bytes(value).hex())}",
    dt.date: lambda value: f"date:{value.year:04}-{value.month:02}-{value.day:02}",
    dt.timedelta: lambda value: f"timedelta:{value.days},{value.seconds},{value.microseconds}",
    decimal.Decimal: lambda value: f"decimal:{decimal.Decimal.__str__(value)}",
    fractions.Fraction: lambda value: f"fraction:{value.numerator}/{value.denominator}",
    uuid.UUID: lambda value: f"uuid:{value.hex}",
    range: lambda value: f"range:{value.start},{value.stop},{value.step}",
    ipaddress.IPv4Address: lambda value: f"ipv4:{value}",
    ipaddress.IPv6Address: lambda value: f"ipv6:{value}",
    ipaddress.IPv4Network: lambda value: f"ipv4:{value}",
    ipaddress.IPv6Network: lambda value: f"ipv6:{value}",
    struct.Struct: lambda value: f"struct:{json.dumps(value.format)}",
}


def _moment(speller: _Speller, value: dt.datetime) -> str:
    return f"(datetime {value.replace(tzinfo=None).isoformat()} {value.fold} {speller.spell(value.tzinfo)})"


_CONTAINERS: dict[type, Callable[[_Speller, Any], str]] = {
    tuple: lambda speller, value: speller.list_like(tuple.__iter__(value), "tuple"),
    list: lambda speller, value: speller.list_like(list.__iter__(value), "list"),
    collections.deque: lambda speller, value: f"{speller.list_like(value, 'deque')} {value.maxlen}",
    dict: lambda speller, value: speller.mapping(dict(value), "dict"),
    collections.OrderedDict: lambda speller, value: speller.mapping(value, "ordereddict"),
    collections.Counter: lambda speller, value: speller.mapping(value, "counter"),
    collections.defaultdict: lambda speller, value: f"(defaultdict {speller.spell(value.default_factory)} {speller.mapping(value, 'dict')})",
    collections.ChainMap: lambda speller, value: speller.list_like(value.maps, "chainmap"),
    types.MappingProxyType: lambda speller, value: speller.mapping(value, "proxy"),
    types.SimpleNamespace: lambda speller, value: speller.mapping(vars(value), "namespace", fields=True),
    set: lambda speller, value: f"(set {speller.unordered(value)})",
    frozenset: lambda speller, value: f"(frozenset {speller.unordered(value)})",
    slice: lambda speller, value: speller.list_like((value.start, value.stop, value.step), "slice"),
    dt.datetime: _moment,
    dt.time: lambda speller, value: f"(time {value.replace(tzinfo=None).isoformat()} {value.fold} {speller.spell(value.tzinfo)})",
    zoneinfo.ZoneInfo: lambda speller, value: f"zone:{value.key}" if value.key else speller.unseen(value, "a time zone without a name", CONSTANT_HINT),
    dt.timezone: lambda speller, value: f"(timezone {speller.spell(value.utcoffset(None))} {json.dumps(value.tzname(None))})",
    re.Pattern: lambda speller, value: f"(pattern {speller.spell(value.pattern)} {int(value.flags & _FLAGS)})",
    array.array: lambda speller, value: f"(array {value.typecode} {speller.spell(value.tobytes())} {sys.byteorder})",
    memoryview: lambda speller, value: f"(memory {value.format} {value.shape} {speller.spell(value.tobytes())})",
    logging.Logger: lambda _speller, _value: "(logger)",
}
