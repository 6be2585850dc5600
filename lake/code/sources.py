"""The source of code that was imported, as it was then: a file may be edited while a run is going.

While lake loads a project, each module of the team's is compiled from text that is kept. Of modules that were imported otherwise, the file counts as long as
it still compiles to the code that runs.
"""

from __future__ import annotations

import ast
import functools
import sys
import textwrap
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

from lake.code.libraries import is_team_file
from lake.code.scopes import Function
from lake.code.syntax import Form, form_of


@dataclass(frozen=True, eq=False)
class Source:
    """The text of one module, and the code it was compiled to."""

    path: str
    text: str
    code: types.CodeType

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The syntax of the whole."""
        return ast.parse(self.text)

    @functools.cached_property
    def _codes(self) -> dict[str, list[types.CodeType]]:
        """The code of every function and class by its qualified name."""
        found: dict[str, list[types.CodeType]] = {}
        waiting = [self.code]
        while waiting:
            for constant in waiting.pop().co_consts:
                if isinstance(constant, types.CodeType):
                    found.setdefault(constant.co_qualname, []).append(constant)
                    waiting.append(constant)
        return found

    @functools.cached_property
    def _functions(self) -> dict[tuple[str, int], list[Any]]:
        """The functions of the tree by name and first line."""
        found: dict[tuple[str, int], list[Any]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
                first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
                found.setdefault((name, first), []).append(node)
        return found

    @functools.cached_property
    def _classes(self) -> dict[str, ast.ClassDef]:
        found: dict[str, ast.ClassDef] = {}
        waiting: list[tuple[str, Sequence[ast.stmt]]] = [("", self.tree.body)]
        while waiting:
            prefix, body = waiting.pop()
            for statement in body:
                if isinstance(statement, ast.ClassDef):
                    found[f"{prefix}{statement.name}"] = statement
                    waiting.append((f"{prefix}{statement.name}.", statement.body))
                elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                    waiting.append((f"{prefix}{statement.name}.<locals>.", statement.body))
                else:
                    waiting.append((prefix, [one for one in ast.iter_child_nodes(statement) if isinstance(one, ast.stmt)]))
        return found

    def function(self, code: types.CodeType) -> Any | None:
        """The syntax that `code` was compiled from; None where it is not from here."""
        alike = self._codes.get(code.co_qualname, [])
        mine = next((one for one in alike if one is code), None) or next((one for one in alike if _same(one, code, lines=True)), None)
        mine = mine or next((one for one in alike if _same(one, code)), None)
        if mine is None:
            return None
        nodes = self._functions.get((mine.co_name, mine.co_firstlineno), [])
        return nodes[0] if len(nodes) == 1 else min((node for node in nodes if _covers(node, mine)), key=_extent, default=None)

    def class_named(self, name: str) -> ast.ClassDef | None:
        """The class with this qualified name."""
        return self._classes.get(name)

    def form(self, node: Any, *, documents: bool) -> Form:
        """The canonical form of a function or class of the tree."""
        at = (id(node), documents)
        if at not in self._forms:
            self._forms[at] = form_of(node, documents=documents)
        return self._forms[at]

    @functools.cached_property
    def _forms(self) -> dict[tuple[int, bool], Form]:
        return {}

    def segment(self, node: Any) -> str:
        """The text of a function or class as it stands, with its decorators."""
        if isinstance(node, ast.Lambda):
            return ast.get_source_segment(self.text, node) or ""
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        return textwrap.dedent("\n".join(self._lines[first - 1 : node.end_lineno]))

    @functools.cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()


_kept: dict[str, list[Source]] = {}


def source_of(function: types.FunctionType) -> tuple[Source, Any] | None:
    """The source that a function came from, and its syntax there; None where nothing is known of it, such as of what was typed at a prompt.

    A function that was pickled by its code has lost its file, and is looked for in its module.
    """
    code = function.__code__
    module = sys.modules.get(str(function.__globals__.get("__name__", "")))
    for path in dict.fromkeys(path for path in (code.co_filename, getattr(module, "__file__", None)) if path):
        for source in (*reversed(_kept.get(path, ())), _on_disk(path)):
            if source is not None and (node := source.function(code)) is not None:
                return source, node
    return None


def module_source(path: str | None) -> Source | None:
    """The source of the module at `path` as it was imported last."""
    if path is None:
        return None
    return _kept[path][-1] if path in _kept else _on_disk(path)


def _on_disk(path: str) -> Source | None:
    try:
        stat = Path(path).stat()
        return _read(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError):
        return None


@functools.cache
def _read(path: str, _changed: int, _size: int) -> Source | None:
    try:
        data = Path(path).read_bytes()
        return _compiled(path, data, compile(data, path, "exec", dont_inherit=True))
    except (OSError, SyntaxError, ValueError):
        return None


def _compiled(path: str, data: bytes, code: types.CodeType) -> Source:
    from importlib.util import decode_source

    return Source(path, decode_source(data), code)


class _Loader(SourceFileLoader):
    """Compiles a module from its text, never from a cache, and keeps the text."""

    def get_code(self, fullname: str) -> types.CodeType | None:
        path = self.get_filename(fullname)
        data = self.get_data(path)
        code: types.CodeType = self.source_to_code(data, path)
        _kept.setdefault(path, []).append(_compiled(path, data, code))
        return code


class _Finder(MetaPathFinder):
    """Finds what the others find, and has modules of the team's loaded so that their text is kept."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None) -> ModuleSpec | None:
        for finder in [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if type(spec.loader) is SourceFileLoader and spec.origin and is_team_file(spec.origin):
                    spec.loader = _Loader(fullname, spec.origin)
                return spec
        return None


@contextmanager
def keeping_sources() -> Iterator[None]:
    """Within, the text of each module of the team's that is imported is kept."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def keeping_loader(name: str, path: str) -> SourceFileLoader:
    """A loader for one module, whose text is kept."""
    return _Loader(name, path)


def _same(one: types.CodeType, other: types.CodeType, *, lines: bool = False) -> bool:
    """Whether two pieces of code do the same, wherever they stand."""
    if lines and one.co_firstlineno != other.co_firstlineno:
        return False
    if (one.co_code, one.co_names, one.co_varnames, one.co_freevars, len(one.co_consts)) != (
        other.co_code, other.co_names, other.co_varnames, other.co_freevars, len(other.co_consts),
    ):  # fmt: skip
        return False
    for left, right in zip(one.co_consts, other.co_consts, strict=True):
        if isinstance(left, types.CodeType) and isinstance(right, types.CodeType):
            if not _same(left, right):
                return False
        elif (type(left) is not type(right) or repr(left) != repr(right)) and not (isinstance(left, frozenset) and left == right):
            return False
    return True


def _covers(node: Any, code: types.CodeType) -> bool:
    """Whether the places of the code lie within the body of the lambda."""
    body = node.body if isinstance(node, ast.Lambda) else node
    begins, ends = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    for line, last, column, past in code.co_positions():
        if line is None or last is None or column is None or past is None or (column == past == 0):
            continue
        if (line, column) < begins or (last, past) > ends:
            return False
    return True


def _extent(node: Any) -> int:
    return len(ast.dump(node))
