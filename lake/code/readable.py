"""Values as Python writes them, for people to read: containers, partials, named tuples and namespaces, without running anything of the team's."""

from __future__ import annotations

import functools
import types
from typing import Any

_PLAIN = ("builtins", "datetime", "decimal", "fractions", "re", "uuid", "ipaddress", "pathlib", "zoneinfo", "enum")
_OPEN: dict[Any, str] = {list: "[]", tuple: "()", set: "{}"}
_DEEPEST = 5


def readable(value: Any, conceals: Any, depth: int = 0) -> str | None:
    """The value in Python's own form; None where it has none. `conceals` says of the name of a field whether a text under it is not to be shown."""
    if depth > _DEEPEST:
        return None
    kind = type(value)
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        return _called(value)
    if kind in _OPEN:
        inner = [readable(one, conceals, depth + 1) for one in value]
        if None in inner or (kind is set and not inner):
            return None
        told = ", ".join(sorted(map(str, inner)) if kind is set else map(str, inner))
        return f"{_OPEN[kind][0]}{told}{',' if kind is tuple and len(inner) == 1 else ''}{_OPEN[kind][1]}"
    if kind is dict:
        said = [(readable(key, conceals, depth + 1), _field(key, held, conceals, depth)) for key, held in value.items()]
        return None if any(None in pair for pair in said) else "{" + ", ".join(f"{key}: {held}" for key, held in said) + "}"
    if kind is functools.partial:
        given = [readable(one, conceals, depth + 1) for one in (value.func, *value.args)]
        named = [(name, _field(name, held, conceals, depth)) for name, held in value.keywords.items()]
        return _call("functools.partial", given, named)
    if isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
        return _call(kind.__name__, [], [(name, _field(name, held, conceals, depth)) for name, held in zip(kind._fields, tuple(value), strict=False)])  # noqa: SLF001  # its public interface
    if kind.__module__ in _PLAIN:
        return told if " at 0x" not in (told := repr(value)) else None
    if kind is types.SimpleNamespace:
        return _call(kind.__name__, [], [(name, _field(name, held, conceals, depth)) for name, held in vars(value).items()])
    return None


def _field(name: Any, held: Any, conceals: Any, depth: int) -> str | None:
    if isinstance(name, str) and isinstance(held, str | bytes) and conceals(name):
        return "(not shown)"
    return readable(held, conceals, depth + 1)


def _call(name: str, given: list[str | None], named: list[tuple[str, str | None]]) -> str | None:
    if None in given or any(held is None for _, held in named):
        return None
    return f"{name}({', '.join([*map(str, given), *(f'{key}={held}' for key, held in named)])})"


def _called(thing: Any) -> str:
    """A function or class by its name, without the module where that is Python's own or only says where it is written."""
    name = str(getattr(thing, "__qualname__", thing.__name__)).rpartition("<locals>.")[2]
    module = str(getattr(thing, "__module__", None) or "builtins").removeprefix("_")
    return name if module in ("builtins", "__main__") or isinstance(thing, types.FunctionType) else f"{module}.{name}"
