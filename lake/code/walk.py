"""The walk over everything that a hop's function reaches: functions, classes and values, by what they are and not by what they are called.

Each function and class that is met gets a number in the order of meeting, and refers to others by theirs; so circles end, and renaming, moving or reordering
what is reached gives the same text. Values are spelled where they are used.
"""

from __future__ import annotations

import builtins
import importlib
import itertools
import os
import re
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lake.code.classes import class_form
from lake.code.functions import without_source
from lake.code.libraries import is_team, library_name, namespaces, package_of
from lake.code.parts import Part, Seen
from lake.code.refusals import ENVIRONMENT_HINT, NAMED_HINT, is_environment, refused, why_not_asked, why_not_method
from lake.code.secrets import Concealer
from lake.code.sources import source_of
from lake.code.spelling import Missing, spelled
from lake.code.syntax import Form, Reference
from lake.errors import DeclarationError

_DEEP = 20_000  # frames: expressions and values may be nested deeply
_LONGEST = 2_000  # characters of a value that are shown


def seen_from(who: str, function: Callable[..., Any]) -> Seen:
    """Everything that `function` reaches. Raises DeclarationError, naming `who` it is, for what no fingerprint can be made of."""
    with _deeply():
        counts: frozenset[str] = frozenset()
        while True:
            walk = Walk(who, function, counts=counts)
            seen = walk.all()
            if walk.asked <= counts:
                return seen
            counts |= walk.asked


def spelled_alone(who: str, module: str, value: Any) -> str:
    """The canonical text of a value with all that it reaches."""
    with _deeply():
        walk = Walk(who, None, also=module.partition(".")[0])
        text = walk.value(value, "its rules")
        return "\n".join([text, *(part.form for part in walk.all().parts if part.form), *(f"{n} {v}" for n, v in sorted(walk.packages.items()))])


class Walk:
    """One walk. `counts` says what counts beside what things do, where the code asks for it: the `names` and `modules` of functions, `documents`, or, since values are `written`
    out as text, the names of classes. `asked` is what turned out to be asked for.
    """

    def __init__(self, who: str, function: Callable[..., Any] | None, *, counts: frozenset[str] = frozenset(), also: str = "") -> None:
        self.who = who
        self.counts = counts
        self.asked: set[str] = set()
        self.parts: list[Part] = []
        self.packages: dict[str, str] = {}
        self.lenient = 0
        self.opaque: dict[int, int] = {}
        self._held: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._waiting: list[tuple[Part, Any]] = []
        self._values: dict[str, Part] = {}
        self._trail = ""
        self.place = ""
        self._named: set[str] = set()
        self._shown: set[tuple[str, str]] = set()
        self._concealer = Concealer()
        self.also = also or str(getattr(function, "__module__", "")).partition(".")[0]
        self.root = _root_of(function)
        if function is not None:
            part = Part("", "hop", "")
            self.parts.append(part)
            self._trail = "its function"
            part.form = part.outline = f"hop {self.value(function, 'its function')}"

    def all(self) -> Seen:
        """Walk until nothing is left."""
        while self._waiting:
            part, thing = self._waiting.pop(0)
            self.place = part.name
            if isinstance(thing, types.FunctionType):
                self._function(part, thing)
            elif isinstance(thing, type):
                self._trail = part.name
                class_form(self, part, thing)
            else:
                self._whole_module(part, thing)
        return Seen(tuple(part for part in (*self.parts, *self._values.values()) if part.kind != "hop" or part.form), self.packages)

    # what spelling asks for

    def number(self, thing: Any, kind: str) -> str:
        """The number of a function, class or module of the team's, which is walked in its turn."""
        if id(thing) not in self._numbers:
            self._numbers[id(thing)] = len(self.parts)
            self._held.append(thing)
            module = thing.__globals__.get("__name__", "") if isinstance(thing, types.FunctionType) else getattr(thing, "__module__", "")
            part = Part(self._key(self._name(thing, module)), kind)
            self.parts.append(part)
            self._waiting.append((part, thing))
        return f"#{self._numbers[id(thing)]} "

    def _name(self, thing: Any, module: str) -> str:
        """What a function, class or module is called: by where it is written, not by what `functools.wraps` says; a lambda by where it is reached."""
        if isinstance(thing, types.ModuleType):
            return thing.__name__
        name = thing.__code__.co_qualname if isinstance(thing, types.FunctionType) else thing.__qualname__
        if name.endswith("<lambda>") and self.place and not self._concealer.hides(self.place):
            return self.place
        return f"{module}.{name}".replace(".<locals>.", " → ")

    def _key(self, name: str) -> str:
        """The name, or with a number after it where something else has it already."""
        key = next(key for number in itertools.count(1) if (key := name if number == 1 or not name else f"{name} ({number})") not in self._named or not name)
        self._named.add(key)
        return key

    def sentinel(self, thing: Any) -> int:
        """A number for an object that is nothing but itself."""
        self._held.append(thing)
        return self.opaque.setdefault(id(thing), len(self.opaque))

    def library(self, thing: Any) -> str:
        """A library's function or class, by its name there; the package's version counts."""
        top, name = library_name(thing)
        self.package(top)
        return f"(library {top} {name})"

    def package(self, top: str) -> None:
        """Note that a package of others is used."""
        if (found := package_of(top)) is not None:
            self.packages[found[0].lower()] = found[1]

    def is_team(self, thing: Any) -> bool:
        """Whether code is the team's."""
        return is_team(thing, self.also)

    def value(self, value: Any, trail: str, place: str | None = None) -> str:
        """The canonical text of a value, which `trail` leads to, at `place`. Raises DeclarationError if it has none."""
        before = self._trail, self.place
        self._trail, self.place = trail, self.place if place is None else place
        try:
            return spelled(self, value)
        finally:
            self._trail, self.place = before

    def refuse(self, why: str, hint: str) -> DeclarationError:
        """What to raise where something cannot be seen."""
        return refused(f"{self.who}:", f"{self._trail} {why}", hint)

    def alone(self, value: Any) -> str:
        """The text of a value by itself, to order those that have no order."""
        walk = Walk(self.who, None, counts=self.counts, also=self.also)
        walk._trail, walk.lenient, walk.root = self._trail, self.lenient, self.root
        text = spelled(walk, value)
        return "\n".join([text, *(part.form for part in walk.all().parts)])

    def show(self, name: str, value: Any, text: str, module: dict[str, Any] | None = None) -> None:
        """Keep a value among the parts, for people to read; what may be secret only as a digest."""
        outline = re.sub(r"#\d+ ", "# ", text)  # what it refers to has parts of its own
        if (name, outline) not in self._shown:
            self._shown.add((name, outline))
            shown, name = self._concealer.shown(name, value, text, module), self._key(name)
            self._values[name] = Part(name, "value", "", outline, shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} … ({len(shown):,} characters)")

    # functions

    def _function(self, part: Part, function: types.FunctionType) -> None:
        found = source_of(function)
        self._trail = part.name
        said: list[str] = []
        if found is None:
            body = without_source(self, function)
            part.text = f"{part.name}: there is no source; its bytecode counts\n{body}"
        else:
            source, node = found
            form = source.form(node, documents="documents" in self.counts)
            part.text = source.segment(node)
            part.outline = form.outline
            body = self.filled(form, function.__globals__, _cells(function), part.name)
        for name, value in _defaults(function):
            text = self.value(value, f"the default of {name} in {part.name}", f"{part.name}: default of {name}")
            said.append(f"(default {name} {text})")
            if not isinstance(value, types.FunctionType):
                self.show(f"{part.name}: default of {name}", value, text)
        for name, value in sorted(vars(function).items()):
            if name != "__wrapped__" or not _is_cell(function, value):
                said.append(f"(attribute {name} {self.value(value, f'{part.name}.{name}')})")
        if "names" in self.counts:
            said.append(f"(named {function.__name__} {function.__qualname__})")
        if "modules" in self.counts:
            said.append(f"(of {function.__module__})")
        part.form = f"function {body} {' '.join(said)}"
        part.outline = part.outline or part.form

    def filled(self, form: Form, module: dict[str, Any], cells: dict[str, Any], where: str) -> str:
        """A form with what its holes stand for."""
        self.asked |= {
            what for what, is_asked in (("written", form.spells), ("names", form.named), ("modules", form.placed), ("documents", form.documented)) if is_asked
        }
        out = [piece if isinstance(piece, str) else self._reference(piece, module, cells, where) for piece in form.pieces]
        for name, line, begins in form.attributes:
            if (why := why_not_method(name, self._beginning(begins, module, cells))) is not None:
                self._trail = f"{where} (line {line})"
                raise self.refuse(*why)
            out += [f"(namespace {name} {self.value(one, where)})" for one in namespaces(name) if self.is_team(one)]
        if form.looks_up:  # in SQL, say, where frames go by their names
            for name, value in sorted(module.items()):
                if type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "columns") and name in form.outline:
                    text = self.value(value, f"{where} → {name}")
                    self.show(f"{module.get('__name__')}.{name}", value, text)
                    out.append(f"(frame {name} {text})")
        return "".join(out)

    def _beginning(self, hole: Reference | None, module: dict[str, Any], cells: dict[str, Any]) -> Any:
        """What an expression begins with, followed as far as that can be told."""
        if hole is None:
            return None
        value, rest = cells[hole.name] if hole.name in cells else _global(hole.name, module), list(hole.attributes)
        if hole.imports:
            value, given = self._imported(hole.imports[0], hole, module)
            rest = list(given)
        while rest and (found := _followed(self, value, rest.pop(0))) is not None:
            value = found[0]
        return value

    def _reference(self, hole: Reference, module: dict[str, Any], cells: dict[str, Any], where: str) -> str:
        if hole.imports:
            return "".join(self._asked(hole, *self._imported(one, hole, module), where, module) for one in hole.imports)
        if hole.name in cells:
            return self._asked(hole, cells[hole.name], hole.attributes, where, cells)
        if hole.name == "__file__":
            return self._asked(hole, Path(str(module.get("__file__", ""))), hole.attributes, where, module)
        found = _global(hole.name, module)
        return self._asked(hole, found, hole.attributes, where, module)

    def _imported(self, one: Any, hole: Reference, module: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """What an import inside a function binds, and the attributes that are still to be asked of it."""
        name = "." * one.level + one.module
        try:
            target = importlib.import_module(name, module.get("__package__") if one.level else None)
            if one.taken is None:
                return (sys.modules[target.__name__.partition(".")[0]] if one.first_only else target), hole.attributes
            if not hasattr(target, one.taken):
                importlib.import_module(f"{target.__name__}.{one.taken}")
            return getattr(target, one.taken), hole.attributes
        except ImportError:
            return Missing(f"{name} {one.taken or ''}"), ()
        except AttributeError:
            return Missing(f"{name} {one.taken or ''}"), ()

    def _asked(self, hole: Reference, value: Any, attributes: tuple[str, ...], where: str, names: dict[str, Any]) -> str:
        """What a name stands for, as far as its attributes can be followed, with those that are left."""
        path, rest, holder = hole.name, list(attributes), names
        while rest and (found := _followed(self, value, rest[0])) is not None:
            holder = vars(value) if hasattr(value, "__dict__") else {}
            value, name = found[0], rest.pop(0)
            path = f"{path}.{name}"
        self._trail = f"{where} (line {hole.line})"
        if is_environment(value) or (rest and is_environment(getattr(value, rest[0], None) if value is os else None)):
            return self._environment(hole, value, tuple(rest), names)
        if value is importlib.import_module or value is builtins.__import__:
            return self._import_called(hole)
        if value in (getattr, vars) if isinstance(value, types.BuiltinFunctionType) else False:
            return f"(library builtins {value.__name__})"
        if (why := why_not_asked(value, tuple(rest), writes=hole.writes)) is not None:
            raise self.refuse(*why)
        module = str(names.get("__name__", where)) if holder is names else str(holder.get("__name__", where))
        called = path.rpartition(".")[2]
        text = self.value(value, f"{where} → {path} (line {hole.line})", f"{module}.{called}")
        code = isinstance(value, types.FunctionType | types.ModuleType | type | types.BuiltinFunctionType | Missing) or text.startswith("(library")
        if not code or (called in holder and not text.startswith("#") and _is_alias(value, called)):
            self.show(f"{module}.{called}", value, text, holder)
        return text + "".join(f".{name} " for name in rest)

    def _environment(self, hole: Reference, value: Any, rest: tuple[str, ...], names: dict[str, Any]) -> str:
        """A variable of the environment that is asked for by a name that is known, by its value."""
        asked = (value is os.environ and ((hole.use == "call" and rest == ("get",)) or (hole.use in ("item", "in") and not rest))) or (
            value is os.getenv and hole.use == "call" and not rest
        )
        key = hole.key if hole.key is not None else names.get(hole.key_name or "")
        if not asked or not isinstance(key, str):
            raise self.refuse("asks the environment for what no fingerprint can see", ENVIRONMENT_HINT)
        text = f"(environment {key} {self.value(os.environ.get(key), key)})"
        self.show(f"environment variable {key}", os.environ.get(key), text)
        self._concealer.hide(f"environment variable {key}", self._values)
        return text

    def _import_called(self, hole: Reference) -> str:
        if hole.key is None or hole.use != "call":
            raise self.refuse("imports a module by a name that is not written there", NAMED_HINT)
        try:
            return self.value(importlib.import_module(hole.key), hole.key)
        except ImportError:
            return f"(missing {hole.key})"

    def _whole_module(self, part: Part, module: types.ModuleType) -> None:
        """A module of the team's that is handed on as a value: all that is in it counts."""
        said = []
        for name, value in sorted(vars(module).items()):
            if not name.startswith("__"):
                said.append(f"({name} {self.value(value, f'{module.__name__}.{name}, as the module is handed on whole,')})")
        part.form = part.outline = f"module {' '.join(said)}"
        part.text = "\n".join(said)


def _followed(walk: Walk, value: Any, name: str) -> tuple[Any] | None:
    """An attribute that can be told without running anything: of a module, a member of an enumeration, a plain value of a class."""
    if isinstance(value, types.ModuleType) and name not in ("__dict__",):
        if name in vars(value):
            return (Path(str(vars(value)[name])),) if name == "__file__" else (vars(value)[name],)
        try:
            return (getattr(value, name),)
        except AttributeError:
            try:
                return (importlib.import_module(f"{value.__name__}.{name}"),)
            except ImportError:
                return None
    if isinstance(value, type) and walk.is_team(value):
        from enum import Enum

        if issubclass(value, Enum) and name in value.__members__:
            return (value.__members__[name],)
        held = next((vars(kind)[name] for kind in value.__mro__ if name in vars(kind)), None)
        if type(value) is type and held is not None and type(held) in (int, float, str, bytes, bool, complex, tuple, list, dict, set, frozenset):
            return (held,)
    return None


def _is_alias(value: Any, called: str) -> bool:
    """Whether something of a library's goes by another name than its own."""
    return isinstance(value, types.FunctionType | types.BuiltinFunctionType | type) and value.__name__ != called


def _global(name: str, module: dict[str, Any]) -> Any:
    if name in module:
        return module[name]
    if hasattr(builtins, name):
        return getattr(builtins, name)
    if name.startswith("__") and not name.endswith("__"):  # spelled so in a class, Python looks for it under the class's name as well
        return next((value for known, value in module.items() if known.endswith(name) and known.startswith("_")), Missing(name))
    return Missing(name)


def _cells(function: types.FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            found[name] = Missing(name)
    return found


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code, given = function.__code__, function.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(given) : code.co_argcount], given, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _is_cell(function: types.FunctionType, value: Any) -> bool:
    return any(value is held for held in _cells(function).values())


def _root_of(function: Any) -> Path | None:
    """The folder that the function's top-level package is in: paths below are told from there."""
    module = sys.modules.get(str(getattr(function, "__module__", "")))
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    depth = module.__name__.count(".") + (1 if Path(file).stem == "__init__" else 0)
    parents = Path(file).resolve().parents
    return parents[depth] if depth < len(parents) else None


@contextmanager
def _deeply() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEP))
    try:
        yield
    except RecursionError:
        raise DeclarationError("a value that a hop reaches is nested too deeply for a fingerprint", "Make it flatter") from None
    finally:
        sys.setrecursionlimit(before)
