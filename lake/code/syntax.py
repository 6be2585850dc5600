"""The canonical form of a piece of syntax: what it does, without how it is written.

Comments, docstrings, annotations, layout, quotes and the names of local variables are not in it. Names that come from outside are holes,
filled with what they stand for. Only fields that mean the same in every supported Python are spelled, so that all of them give one form.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lake.code.grammar import BINDS, FIELDS, opens_to_write, spelled_constant
from lake.code.scopes import Comprehension, Function, Imported, Scope, scope_of

_ASKS_NAMES = {"locals", "vars", "dir", "eval", "exec", "sql", "SQLContext", "_getframe", "currentframe"}
_SPELLS = {"str", "repr", "format", "ascii", "print", "__repr__", "__str__", "__format__"}
_NAMED = {"__name__", "__qualname__"}


@dataclass(frozen=True)
class Reference:
    """A hole: a name from outside with the attributes asked of it, how it is used, and the line.

    `use` is `call`, `item` or `in`, where it is called, looked into by a key, or searched; `key` then is what with: a text, or the name of one.
    `writes` says at which place the call names a mode that does nothing but write.
    """

    name: str
    attributes: tuple[str, ...]
    line: int
    imports: tuple[Imported, ...] = ()
    use: str = ""
    key: str | None = None
    key_name: str | None = None
    writes: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Form:
    """The canonical form of a function or class: texts and holes in turn, and what is to be known of it.

    `looks_up` says that names are looked up while it runs, so that they count; `spells` that values are written out, `named` and `placed` that functions are asked for their
    names and modules,
    `documented` for their docstrings. `attributes` are those asked of what is computed: with the line, and the
    reference that it begins with, if it does with one.
    """

    pieces: tuple[str | Reference, ...]
    looks_up: bool
    spells: bool
    named: bool
    placed: bool
    documented: bool
    attributes: tuple[tuple[str, int, Reference | None], ...]

    @property
    def outline(self) -> str:
        """The form with its holes left open."""
        return "".join(piece if isinstance(piece, str) else "<" + "".join(f".{name}" for name in piece.attributes) + ">" for piece in self.pieces)


def form_of(node: ast.AST, *, documents: bool = False) -> Form:
    """The canonical form of a function, a lambda or a class as it stands. Its decorators and the defaults of its parameters are values, not syntax, and left out."""
    nodes = list(ast.walk(node))
    names = {found.id for found in nodes if isinstance(found, ast.Name)} | {found.attr for found in nodes if isinstance(found, ast.Attribute)}
    writer = _Writer(documents=documents, looks_up=bool(names & _ASKS_NAMES))
    writer.root(node)
    spells = bool(names & _SPELLS) or any(
        isinstance(found, ast.FormattedValue) or (isinstance(found, ast.BinOp) and isinstance(found.op, ast.Mod) and _is_text(found.left)) for found in nodes
    )
    return Form(
        tuple(writer.joined()),
        writer.looks_up,
        spells,
        bool(names & _NAMED),
        "__module__" in names,
        bool(names & {"__doc__", "getdoc"}),
        tuple(dict.fromkeys(writer.attributes)),
    )


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


class _Writer:
    """Writes one form."""

    def __init__(self, *, documents: bool, looks_up: bool) -> None:
        self.out: list[str | Reference] = []
        self.documents = documents
        self.looks_up = looks_up
        self.attributes: list[tuple[str, int, Reference | None]] = []
        self.scope: Scope | None = None
        self._numbers: dict[tuple[int, str], int] = {}
        self._scopes: list[Scope] = []

    def joined(self) -> list[str | Reference]:
        """What was written, texts put together."""
        found: list[str | Reference] = []
        for piece in self.out:
            if isinstance(piece, str) and found and isinstance(found[-1], str):
                found[-1] += piece
            else:
                found.append(piece)
        return found

    def root(self, node: ast.AST) -> None:
        """The whole piece."""
        if isinstance(node, Function):
            self._function(node, root=True)
        elif isinstance(node, ast.ClassDef):
            self._list(node.decorator_list)
            self._class_body(node)
        else:
            raise TypeError(type(node).__name__)

    def _text(self, text: str) -> None:
        self.out.append(text)

    def _node(self, node: ast.AST | None) -> None:
        if node is None:
            self._text("_ ")
            return
        kind = type(node).__name__
        special = getattr(self, f"_on_{kind.lower()}", None)
        if special is not None:
            special(node)
        elif isinstance(node, Comprehension):
            self._comprehension(node)
        elif isinstance(node, ast.boolop | ast.operator | ast.unaryop | ast.cmpop):
            self._text(f"{kind} ")
        elif kind in FIELDS:
            self._text(f"({kind} ")
            for name in FIELDS[kind]:
                self._field(node, kind, name)
            self._text(")")
        else:
            raise TypeError(kind)

    def _field(self, node: ast.AST, kind: str, name: str) -> None:
        value = getattr(node, name)
        if (kind, name) in BINDS:
            self._text(f"{self._bound(value)} " if value else "_ ")
        elif isinstance(value, list):
            self._list(value)
        elif isinstance(value, ast.AST):
            self._node(value)
        elif value is None:
            self._text("_ ")
        else:
            self._text(f"{spelled_constant(value)} ")

    def _list(self, nodes: Sequence[Any]) -> None:
        self._text("[")
        if nodes and isinstance(nodes[0], ast.stmt):
            self._body(nodes)
        else:
            for one in nodes:
                if isinstance(one, str):
                    self._text(f"{json.dumps(one)} ")
                else:
                    self._node(one)
        self._text("]")

    def _body(self, nodes: Sequence[ast.stmt]) -> None:
        for one in nodes:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and not (self.documents and isinstance(one.value.value, str)):
                continue
            if isinstance(one, ast.If) and _is_type_checking(one.test):
                self._body(one.orelse)
                continue
            self._node(one)

    # names

    def _bound(self, name: str) -> str:
        """How a name that the piece itself binds is spelled."""
        owner = self.scope.owner(name) if self.scope else None
        if owner is None:
            return f"(outer {json.dumps(name)})"
        if name in owner.parameters or owner.kind == "class" or self.looks_up:
            return f"'{name}'"
        return f"%{self._numbers.setdefault((id(owner), name), len(self._numbers))}"

    def _on_name(self, node: ast.Name) -> None:
        owner = self.scope.owner(node.id) if self.scope else None
        if owner is not None and (imports := owner.imported(node.id)) is not None:
            self.out.append(Reference(node.id, (), node.lineno, tuple(imports)))
        elif owner is None and isinstance(node.ctx, ast.Load):
            self.out.append(Reference(node.id, (), node.lineno))
        else:
            self._text(f"{self._bound(node.id)} ")

    def _chain(self, node: ast.expr) -> Reference | None:
        """The reference that a name with attributes is, where the name comes from outside."""
        attributes: list[str] = []
        at = node
        while isinstance(at, ast.Attribute):
            attributes.append(at.attr)
            at = at.value
        if not isinstance(at, ast.Name) or not isinstance(at.ctx, ast.Load):
            return None
        owner = self.scope.owner(at.id) if self.scope else None
        imports = owner.imported(at.id) if owner is not None else []
        return Reference(at.id, tuple(reversed(attributes)), node.lineno, tuple(imports)) if imports is not None else None

    def _begins(self, node: ast.expr) -> Reference | None:
        """The reference that an expression is computed from: what is called, or is at its left."""
        while isinstance(node, ast.Call | ast.BinOp | ast.Attribute | ast.Subscript):
            if (found := self._chain(node)) is not None:
                return found
            node = node.func if isinstance(node, ast.Call) else node.left if isinstance(node, ast.BinOp) else node.value
        return self._chain(node)

    def _used(self, node: ast.expr, use: str, key: ast.expr | None, *, writes: frozenset[int] = frozenset()) -> bool:
        """Write a reference with how it is used; False where the node is none."""
        if not isinstance(node, ast.Name | ast.Attribute) or (found := self._chain(node)) is None:
            return False
        text = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
        named = self._chain(key) if isinstance(key, ast.Name) else None
        self.out.append(Reference(found.name, found.attributes, found.line, found.imports, use, text, named.name if named else None, writes))
        return True

    def _on_attribute(self, node: ast.Attribute) -> None:
        found = self._chain(node)
        if found is not None and isinstance(node.ctx, ast.Load):
            self.out.append(found)
            return
        self.attributes.append((node.attr, node.lineno, self._begins(node.value)))
        self._node(node.value)
        self._text(f".{node.attr} ")

    # statements and expressions of their own

    def _on_call(self, node: ast.Call) -> None:
        self._text("(Call ")
        writes = opens_to_write(node)
        if 0 in writes and isinstance(node.func, ast.Attribute) and self._chain(node.func) is None:
            self._node(node.func.value)
            self._text(f".{node.func.attr} ")
        elif not self._used(node.func, "call", node.args[0] if node.args else None, writes=writes):
            self._node(node.func)
        self._list(node.args)
        self._list(node.keywords)
        self._text(")")

    def _on_subscript(self, node: ast.Subscript) -> None:
        self._text("(Subscript ")
        if not (isinstance(node.ctx, ast.Load) and self._used(node.value, "item", node.slice)):
            self._node(node.value)
        self._node(node.slice)
        self._text(")")

    def _on_compare(self, node: ast.Compare) -> None:
        self._text("(Compare ")
        self._node(node.left)
        self._list(node.ops)
        left: ast.expr = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            if not (isinstance(op, ast.In | ast.NotIn) and self._used(right, "in", left)):
                self._node(right)
            left = right
        self._text(")")

    def _on_constant(self, node: ast.Constant) -> None:
        self._text(f"{spelled_constant(node.value)} ")

    def _on_joinedstr(self, node: ast.JoinedStr) -> None:
        parts: list[ast.expr | str] = []
        for one in _flat(node):
            text = str(one.value) if isinstance(one, ast.Constant) else None
            if text is not None and parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(one if text is None else text)
        self._text("(JoinedStr ")
        for part in parts:
            if isinstance(part, ast.expr):
                self._node(part)
            elif part:
                self._text(f"{json.dumps(part)} ")
        self._text(")")

    def _on_annassign(self, node: ast.AnnAssign) -> None:
        if self.scope is not None and self.scope.kind == "class":
            self._text("(Field ")
            self._node(node.target)
            self._node(node.annotation)
            self._node(node.value)
            self._text(")")
        elif node.value is not None:
            self._node(ast.Assign(targets=[node.target], value=node.value))

    def _on_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or (alias.name.split(".")[0] if isinstance(node, ast.Import) else alias.name)
            owner = self.scope.owner(name) if self.scope else None
            if owner is not None and owner.imported(name) is not None:
                continue  # each use is a hole
            if isinstance(node, ast.Import):
                target = Imported(alias.name, None, 0, alias.asname is None)
            else:
                target = Imported(node.module or "", alias.name, node.level)
            self._text(f"(Import {self._bound(name)} ")
            self.out.append(Reference(name, (), node.lineno, (target,)))
            self._text(")")

    _on_importfrom = _on_import

    def _on_pass(self, _: ast.AST) -> None:
        return

    _on_global = _on_nonlocal = _on_typealias = _on_pass

    def _comprehension(self, node: Comprehension) -> None:
        outer = self.scope
        inner = scope_of(node, outer)
        self._scopes.append(inner)
        self._text(f"({type(node).__name__} ")
        self._node(node.generators[0].iter)  # evaluated outside
        self.scope = inner
        for number, generator in enumerate(node.generators):
            self._text(f"(for {int(bool(generator.is_async))} ")
            self._node(generator.target)
            if number:
                self._node(generator.iter)
            self._list(generator.ifs)
            self._text(")")
        for name in ("key", "elt", "value"):
            if hasattr(node, name):
                self._node(getattr(node, name))
        self._text(")")
        self.scope = outer

    def _on_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._text(f"(Define {self._bound(node.name)} ")
        self._list(node.decorator_list)
        self._function(node, root=False)
        self._text(")")

    _on_asyncfunctiondef = _on_functiondef

    def _on_lambda(self, node: ast.Lambda) -> None:
        self._function(node, root=False)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, *, root: bool) -> None:
        self._text(f"({type(node).__name__} ")
        if not root:
            self._list(list(node.args.defaults))
            self._text("[")
            for default in node.args.kw_defaults:
                self._node(default)
            self._text("]")
        for group in (node.args.posonlyargs, node.args.args, [node.args.vararg], node.args.kwonlyargs, [node.args.kwarg]):
            self._text(f"[{' '.join(json.dumps(one.arg) for one in group if one)}]")
        outer, self.scope = self.scope, scope_of(node, self.scope)
        self._scopes.append(self.scope)
        if isinstance(node, ast.Lambda):
            self._node(node.body)
        else:
            self._list(node.body)
        self._text(")")
        self.scope = outer

    def _on_classdef(self, node: ast.ClassDef) -> None:
        self._text(f"(Class {self._bound(node.name)} {json.dumps(node.name)} ")
        self._list(node.decorator_list)
        self._class_body(node)
        self._text(")")

    def _class_body(self, node: ast.ClassDef) -> None:
        self._text("(Body ")
        self._list(node.bases)
        self._list(node.keywords)
        outer, self.scope = self.scope, scope_of(node, self.scope)
        self._scopes.append(self.scope)
        self._list(node.body)
        self._text(")")
        self.scope = outer


def _flat(node: ast.JoinedStr) -> list[ast.expr]:
    return [inner for one in node.values for inner in (_flat(one) if isinstance(one, ast.JoinedStr) else [one])]


def _is_type_checking(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING") or (isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING")
