"""Whose code a thing is: the team's, Python's own, the engine's, or another package's; and how a library's things are called."""

from __future__ import annotations

import functools
import site
import sys
import sysconfig
import types
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

ENGINE = frozenset({"lake", "polars", "_polars_runtime", "dataframely"})
"""What a run is made with: their versions stand beside the fingerprint, not in it."""


@functools.cache
def _foreign() -> tuple[str, ...]:
    """The folders of Python's own modules and of packages that are installed."""
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {*site.getsitepackages(), site.getusersitepackages()}
    return tuple(sorted({str(Path(path)) for path in found} | {str(Path(path).resolve()) for path in found}))


@functools.cache
def is_team_file(path: str) -> bool:
    """Whether a file lies neither where Python's own modules are nor where packages are installed, nor is the engine's."""
    if path.startswith("<"):
        return True
    where = Path(path)
    if {"site-packages", "dist-packages"} & set(where.parts) or any(where.is_relative_to(folder) for folder in _foreign()):
        return False
    return not where.is_relative_to(Path(__file__).parents[1])


def is_team_module(name: str, also: str = "") -> bool:
    """Whether a module is the team's: by its file, or because it is of the package `also`."""
    top = name.partition(".")[0]
    if top in ENGINE or not name:
        return False
    if top == also:
        return True
    module = sys.modules.get(name) or sys.modules.get(top)
    if module is None:
        return top not in sys.stdlib_module_names and "cython" not in top
    file = getattr(module, "__file__", None)
    if file is None:
        paths = list(getattr(module, "__path__", []))
        if paths:
            return all(is_team_file(path) for path in paths)
        return top not in sys.stdlib_module_names and top not in sys.builtin_module_names
    return is_team_file(file)


def is_team(thing: Any, also: str = "") -> bool:
    """Whether a function, a class or a module is the team's."""
    if isinstance(thing, types.FunctionType):
        file = thing.__code__.co_filename
        if not file.startswith("<"):
            return is_team_file(file) or str(thing.__globals__.get("__name__", "")).partition(".")[0] == also != ""
        name = str(thing.__globals__.get("__name__", ""))
        return not name or is_team_module(name, also)
    if isinstance(thing, types.ModuleType):
        return is_team_module(thing.__name__, also)
    return is_team_module(str(getattr(thing, "__module__", "")), also)


@functools.cache
def package_of(top: str) -> tuple[str, str] | None:
    """The distribution that a top-level module comes with, and its version; None for Python's own, the engine's, and what nobody installed."""
    if top in ENGINE or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return None
    try:
        return metadata.metadata(top)["Name"], metadata.version(top)
    except metadata.PackageNotFoundError:
        found = _distributions().get(top)
        return (found[0], metadata.version(found[0])) if found else None


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return {top: sorted(set(names)) for top, names in metadata.packages_distributions().items()}


def library_name(thing: Any) -> tuple[str, str]:
    """The top-level module that a library's thing is of, and what it is called there: by its public name, if it has one."""
    module = str(getattr(thing, "__module__", None) or getattr(getattr(thing, "__objclass__", None), "__module__", None) or "builtins")
    called = str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or type(thing).__qualname__)
    first = module.partition(".")[0]
    for top in (first.removeprefix("_"), first):
        public = sys.modules.get(top)
        if public is not None and (name := _names(top).get(id(thing))) is not None and getattr(public, name, None) is thing:
            return top, name
    if first in sys.stdlib_module_names:
        return first.removeprefix("_"), called  # Python moves its own things between inner modules
    return first, f"{module}:{called}"


def public_name(thing: Any, module: str) -> tuple[str, str] | None:
    """The module and name under which a library offers a method of an object that it made itself, such as `random.random`; None where it does not."""
    if module in sys.modules and (name := _names(module).get(id(thing))) is not None and getattr(sys.modules[module], name, None) is thing:
        return module.partition(".")[0], name
    return None


@functools.cache
def _names(top: str) -> dict[int, str]:
    """The public names of a module's things."""
    return {id(value): name for name, value in sorted(vars(sys.modules[top]).items(), reverse=True) if not name.startswith("__")}


def namespaces(name: str) -> Iterator[type]:
    """The classes that are registered under this name as attributes of Polars' own."""
    import polars as pl

    for kind in (pl.Expr, pl.DataFrame, pl.LazyFrame, pl.Series):
        made = getattr(vars(kind).get(name), "_ns", None)
        if isinstance(made, type):
            yield made
