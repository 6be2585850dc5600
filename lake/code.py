"""Which code made a table: a fingerprint that changes when the behaviour may, and not when comments, names of files or layout do."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import subprocess
import textwrap
import types
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import Contract, document
from lake.record import Code


def fingerprint(function: Callable[..., Any], *extra: Any) -> str:
    """A hash of the function, of every function, contract and constant of the same project it reaches, and of `extra`.

    Comments, docstrings and formatting do not count. Code outside the function's top-level package does not either: libraries
    are pinned by the lock file, and their versions are recorded beside the fingerprint.
    """
    parts: dict[str, str] = {}
    _walk(function, function.__module__.split(".")[0], parts)
    text = "\n".join(f"{name}={parts[name]}" for name in sorted(parts)) + "\n" + repr(extra)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_of(hop: str, mark: str, root: Path, *, transform: str | None = None, columns: str | None = None) -> Code:
    """The record's account of the code that runs now."""
    commit, modified = _checkout(root)
    return Code(
        hop=hop, fingerprint=mark, transform=transform, columns=columns, commit=commit, modified=modified, lake=metadata.version("lake"), polars=pl.__version__
    )


def _walk(thing: Any, package: str, parts: dict[str, str]) -> None:
    name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
    if name in parts:
        return
    parts[name] = _text(thing)
    for label, value in _reached(thing):
        if isinstance(value, type) and issubclass(value, Contract):
            parts[f"contract {label}"] = repr(document(value))
        elif isinstance(value, types.FunctionType) and value.__module__.split(".")[0] == package:
            _walk(value, package, parts)
        elif isinstance(value, type) and value.__module__.split(".")[0] == package:
            parts[f"class {label}"] = _source(value)
        elif isinstance(value, pl.Expr):
            parts[f"expression {name}.{label}"] = value.meta.serialize(format="json")
        elif isinstance(value, str | bytes | int | float | bool | tuple | list | dict | set | frozenset | type(None)):
            parts[f"constant {name}.{label}"] = repr(sorted(value, key=repr) if isinstance(value, set | frozenset) else value)
        elif isinstance(value, types.ModuleType) and value.__name__.split(".")[0] == package:
            parts[f"module {label}"] = _source(value)


def _reached(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Global and enclosing names the function (or anything defined inside it) uses, with what they are."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name, cell in cells.items():
        yield name, cell.cell_contents
    yield from ((f"default {i}", value) for i, value in enumerate(function.__defaults__ or ()))
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _names(code: types.CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found


def _text(thing: Any) -> str:
    try:
        return _source(thing)
    except (OSError, TypeError, SyntaxError):  # typed at a prompt: no source to read
        return repr((thing.__code__.co_code, thing.__code__.co_consts))


@functools.cache
def _source(thing: Any) -> str:
    """The syntax tree of the source, without docstrings and decorators."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            if node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant) and isinstance(node.body[0].value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.decorator_list = []
    return ast.dump(tree)


@functools.cache
def _checkout(root: Path) -> tuple[str | None, bool | None]:
    """The git commit checked out at `root` and whether tracked files differ from it; (None, None) where git cannot say."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        changes = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], cwd=root, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(changes.stdout.strip())
