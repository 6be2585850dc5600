"""What may be shown of a value that a hop reaches. Values that came from the environment are kept as digests alone: they may be secret."""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import re
from typing import Any

from lake.code.parts import Part
from lake.code.readable import readable
from lake.code.sources import Source, module_source

_SOUNDS_SECRET = re.compile(r"key|secret|token|passw|pwd|credential|auth|private|dsn|salt", re.IGNORECASE)
_SHORTEST = 4  # characters: shorter values are everywhere
_ASKS = frozenset({"environ", "getenv", "getpass", "dotenv"})


def concealed(text: str) -> str:
    """A digest that stands for a text."""
    return f"(not shown; sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"


class Concealer:
    """Decides what is shown."""

    def shown(self, name: str, value: Any, text: str, module: dict[str, Any] | None) -> str:
        """The value for people to read, or a digest of it."""
        called = name.rpartition(".")[2]
        told = _readable(value, text)
        if "# " in re.sub(r"#\d+ ", "# ", text) and (told == text or _speaks_of_environment(module)):
            return concealed(re.sub(r"#\d+ ", "# ", text))  # it holds objects of the team's, which may hold anything
        if _SOUNDS_SECRET.search(called) and isinstance(value, str | bytes):
            return concealed(text)
        source = module_source(str(module["__file__"])) if module is not None and module.get("__file__") else None
        if source is not None and called in _from_environment(source):
            return concealed(text)
        return concealed(text) if _holds_environment(told) or _holds_environment(text) else told

    def hides(self, text: str) -> bool:
        """Whether the text has a value of the environment in it that may be secret."""
        return _holds_environment(text)

    def hide(self, name: str, parts: dict[str, Part]) -> None:
        """Have a part show no more than a digest."""
        if name in parts:
            parts[name].text = concealed(parts[name].outline)


def _speaks_of_environment(module: dict[str, Any] | None) -> bool:
    source = module_source(str(module["__file__"])) if module is not None and module.get("__file__") else None
    return source is not None and any(asks in source.text for asks in _ASKS)


@functools.cache
def _from_environment(source: Source) -> set[str]:
    """The names of a module that are assigned from what speaks of the environment, directly or by way of others."""
    if not any(asks in source.text for asks in _ASKS):
        return set()
    found: set[str] = set()
    said = [(_targets(node), _names(node)) for node in ast.walk(source.tree) if isinstance(node, ast.Assign | ast.AnnAssign | ast.FunctionDef)]
    while True:
        more = {name for targets, names in said if names & (found | _ASKS) for name in targets} - found
        if not more:
            return found
        found |= more


def _targets(node: ast.Assign | ast.AnnAssign | ast.FunctionDef) -> set[str]:
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return {one.id for target in (node.targets if isinstance(node, ast.Assign) else [node.target]) for one in ast.walk(target) if isinstance(one, ast.Name)}


def _names(node: ast.AST) -> set[str]:
    """The names and attributes that a statement reads."""
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    return found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def _holds_environment(text: str) -> bool:
    """Whether the text has the value of a variable in it that sounds secret, or is nothing but the value of any."""
    bare = text.strip("'\"")
    return any(len(value) >= _SHORTEST and (value == bare or (_SOUNDS_SECRET.search(name) is not None and value in text)) for name, value in os.environ.items())


def _readable(value: Any, text: str) -> str:
    told = readable(value, _SOUNDS_SECRET.search)
    return told if told and " at 0x" not in told else text
