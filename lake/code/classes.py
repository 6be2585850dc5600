"""A class of the team's: what it is made of, whatever its name, its file, and the order in which it is written."""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import json
import sys
import types
from typing import TYPE_CHECKING, Any

import dataframely as dy

from lake.code.frames import spelled_contract
from lake.code.parts import Part
from lake.code.sources import module_source

if TYPE_CHECKING:
    from lake.code.walk import Walk

_BESIDE = frozenset(
    {
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__annotations__", "__annotate__",
        "__annotate_func__", "__annotations_cache__", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__abstractmethods__", "_abc_impl",
        "__parameters__", "__orig_bases__", "__type_params__", "__classcell__", "__slots__", "__set_name__", "__conditional_annotations__",
    }
)  # fmt: skip
_MADE = frozenset(
    {
        "__init__",
        "__repr__",
        "__eq__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        "__replace__",
        "__getstate__",
        "__setstate__",
    }
)
_NAMED_TUPLE = frozenset(
    {"_fields", "_field_defaults", "_fields_defaults", "_make", "_replace", "_asdict", "__new__", "__repr__", "__getnewargs__", "__replace__", "_field_types"}
)
_PLAIN_METACLASSES: tuple[type, ...] = (type, abc.ABCMeta, enum.EnumMeta)
_FLAGS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD = ("init", "repr", "compare", "hash", "kw_only")
_WRITTEN_OUT: tuple[type, ...] = (enum.Enum, BaseException)


def class_form(walk: Walk, part: Part, kind: type) -> None:
    """Fill the part of a class."""
    if issubclass(kind, dy.Schema):
        from lake.code.spelling import _Speller

        part.form = part.outline = f"class {spelled_contract(_Speller(walk), kind)}"
        part.text = _text(kind) or part.form
        part.form += _attributes(walk, part, kind, only_code=True)
        return
    bases = " ".join(walk.value(base, f"the base of {part.name}") for base in kind.__bases__)
    said = [f"class (bases {bases})"]
    if type(kind) not in _PLAIN_METACLASSES:
        said.append(f"(metaclass {walk.value(type(kind), f'the metaclass of {part.name}')})")
    if "names" in walk.counts or ("written" in walk.counts and _names_itself(kind)):
        said.append(f"(named {kind.__name__})")
    if "modules" in walk.counts:
        said.append(f"(of {kind.__module__})")
    if issubclass(kind, enum.Enum):
        members = kind.__members__.items()
        said.append(f"(members {' '.join(f'{name} {walk.value(one.value, part.name)}' for name, one in members)})")
    if "__dataclass_fields__" in vars(kind):
        said.append(_dataclass(walk, part, kind))
    if _is_named_tuple(kind):
        said.append(f"(fields {json.dumps(list(kind._fields))} {walk.value(kind._field_defaults, part.name)})")  # type: ignore[attr-defined]  # noqa: SLF001  # its public interface
    if slots := vars(kind).get("__slots__"):
        said.append(f"(slots {json.dumps([slots] if isinstance(slots, str) else sorted(slots))})")
    plain = " ".join(said)
    foreign = not _is_plain(walk, kind)
    if foreign:
        said.append(_body(walk, part, kind))
    said.append(_attributes(walk, part, kind, only_code=foreign, lenient=foreign))
    part.form = part.outline = " ".join(said)
    part.text = _text(kind) or plain


def _names_itself(kind: type) -> bool:
    """Whether the name of a class is in the text of its objects."""
    return issubclass(kind, _WRITTEN_OUT) or _is_named_tuple(kind) or "__dataclass_fields__" in vars(kind)


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and "_fields" in vars(kind) and "_make" in vars(kind)


def _is_plain(walk: Walk, kind: type) -> bool:
    """Whether all of the class is in its attributes, rather than in what a library made of its body."""
    if type(kind) not in _PLAIN_METACLASSES and not walk.is_team(type(kind)):
        return False
    if "__attrs_attrs__" in vars(kind):
        return False
    return all(walk.is_team(base) or base.__module__.partition(".")[0] in sys.stdlib_module_names for base in kind.__mro__)


def _dataclass(walk: Walk, part: Part, kind: Any) -> str:
    params = kind.__dataclass_params__
    flags = " ".join(f"{name}={getattr(params, name)}" for name in _FLAGS)
    fields = []
    for name, one in kind.__dataclass_fields__.items():
        given = one.default if one.default is not dataclasses.MISSING else None
        said = [f"{flag}={getattr(one, flag)}" for flag in _FIELD]
        default = "" if one.default is dataclasses.MISSING else walk.value(given, f"{part.name}.{name}")
        factory = "" if one.default_factory is dataclasses.MISSING else walk.value(one.default_factory, f"{part.name}.{name}")
        fields.append(f"({name} {one._field_type.name} {' '.join(said)} [{default}] [{factory}] {walk.value(dict(one.metadata), part.name)})")  # noqa: SLF001  # which kind of field has no public name
    return f"(dataclass {flags} {' '.join(fields)})"


def _attributes(walk: Walk, part: Part, kind: type, *, only_code: bool, lenient: bool = False) -> str:
    said = []
    held = {name: value for name, value in vars(kind).items() if name not in _BESIDE and not _is_made(walk, kind, name, value)}
    walk.lenient += lenient
    try:
        for name, value in sorted(held.items()):
            if only_code and not _is_written(walk, value):
                continue
            said.append(f"({name} {walk.value(value, f'{part.name}.{name}', f'{part.name}.{name}')})")
            if isinstance(value, bool | int | float | str | bytes | tuple):
                walk.show(f"{part.name}.{name}", value, said[-1], vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else None)
    finally:
        walk.lenient -= lenient
    return f"(has {' '.join(said)})"


def _is_made(walk: Walk, kind: type, name: str, value: Any) -> bool:
    """Whether an attribute was made by Python from what is told already, such as the methods of a dataclass."""
    if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
        return True
    if name == "__hash__" and value is None:
        return True
    if "__dataclass_fields__" in vars(kind) and name in _MADE and not _is_written(walk, value):
        return True
    if _is_named_tuple(kind) and (name in _NAMED_TUPLE or type(value).__name__ == "_tuplegetter") and not _is_written(walk, value):
        return True
    if issubclass(kind, enum.Enum) and not isinstance(value, functools.cached_property):
        if name in kind.__members__ or isinstance(value, enum.property) or type(value).__name__ in ("member", "nonmember") or isinstance(value, kind):
            return True
        return not _is_written(walk, value) and (name.startswith("_") or name in ("__new__",))
    return False


def _is_written(walk: Walk, value: Any) -> bool:
    """Whether somebody wrote it, in a file of the team's."""
    inner = getattr(value, "__func__", value)
    inner = getattr(inner, "fget", getattr(inner, "func", inner))
    code = getattr(inner, "__code__", None)
    return code is not None and not code.co_filename.startswith("<") and walk.is_team(inner)


def _body(walk: Walk, part: Part, kind: type) -> str:
    """The body of a class as it is written, where a library makes something else of it."""
    module = sys.modules.get(kind.__module__)
    source = module_source(getattr(module, "__file__", None))
    node = source.class_named(kind.__qualname__) if source is not None else None
    if module is None or source is None or node is None:
        return f"(unwritten {kind.__qualname__})"
    return walk.filled(source.form(node, documents="documents" in walk.counts), vars(module), {}, part.name)


def _text(kind: type) -> str | None:
    module = sys.modules.get(kind.__module__)
    source = module_source(getattr(module, "__file__", None))
    node = source.class_named(kind.__qualname__) if source is not None else None
    return source.segment(node) if source is not None and node is not None else None
