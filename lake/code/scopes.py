"""Which names of a piece of syntax are its own, and which come from outside: Python's rules of scope, over the tree alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Imported:
    """A name that an import statement binds: the module, what is taken of it (None for itself), how many dots, and whether only its first package is bound."""

    module: str
    taken: str | None
    level: int
    first_only: bool = False


@dataclass
class Scope:
    """One scope: the names bound in it, those it declares to be of the module or of a scope around it, and what its imports bind."""

    kind: str
    around: Scope | None
    bound: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    of_module: set[str] = field(default_factory=set)
    of_outer: set[str] = field(default_factory=set)
    imports: dict[str, list[Imported]] = field(default_factory=dict)
    only_imported: set[str] = field(default_factory=set)

    def owner(self, name: str) -> Scope | None:
        """The scope that binds the name as it is seen from here; None where it comes from outside the whole piece."""
        at: Scope | None = self
        first = True
        while at is not None:
            if name in at.of_module:
                return None
            if name in at.bound and (first or at.kind != "class") and name not in at.of_outer:
                return at
            at, first = at.around, False
        return None

    def imported(self, name: str) -> list[Imported] | None:
        """What the name stands for where nothing but imports bind it."""
        return self.imports[name] if name in self.only_imported else None


def scope_of(node: ast.AST, around: Scope | None) -> Scope:
    """The scope that a function, a class or a comprehension opens."""
    kind = "class" if isinstance(node, ast.ClassDef) else "comprehension" if isinstance(node, Comprehension) else "function"
    scope = Scope(kind, around)
    if isinstance(node, Function):
        named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, *filter(None, [node.args.vararg, node.args.kwarg])]
        scope.parameters = {one.arg for one in named}
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        scope.bound |= {one.name for one in getattr(node, "type_params", ())}
    elif isinstance(node, ast.ClassDef):
        body = list(node.body)
    elif isinstance(node, Comprehension):
        body = [generator.target for generator in node.generators]
    else:
        body = [node]
    taken: set[str] = set()
    other: set[str] = set(scope.parameters)
    for one in body:
        for found in _inside(one, into_comprehensions=kind != "comprehension"):
            _bind(found, scope, taken, other)
    scope.bound |= other | taken
    scope.only_imported = taken - other
    return scope


def _bind(node: ast.AST, scope: Scope, taken: set[str], other: set[str]) -> None:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        other.add(node.id)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        other.add(node.name)
    elif isinstance(node, ast.Global):
        scope.of_module |= set(node.names)
    elif isinstance(node, ast.Nonlocal):
        scope.of_outer |= set(node.names)
    elif isinstance(node, ast.ExceptHandler | ast.MatchStar | ast.MatchAs) and node.name:
        other.add(node.name)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        other.add(node.rest)
    elif isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            taken.add(name)
            scope.imports.setdefault(name, []).append(Imported(alias.name, None, 0, alias.asname is None))
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            name = alias.asname or alias.name
            taken.add(name)
            scope.imports.setdefault(name, []).append(Imported(node.module or "", alias.name, node.level))


def _inside(node: ast.AST, *, into_comprehensions: bool) -> Iterator[ast.AST]:
    """The nodes that belong to the scope that `node` is in: not those inside functions, classes and comprehensions, but for what is evaluated or bound out here."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        inner: list[ast.AST] = list(getattr(node, "decorator_list", ()))
        if isinstance(node, ast.ClassDef):
            inner += [*node.bases, *node.keywords]
        else:
            inner += [*node.args.defaults, *(one for one in node.args.kw_defaults if one)]
    elif isinstance(node, Comprehension):
        if not into_comprehensions:
            return
        for found in ast.walk(node):  # an assignment expression in a comprehension binds around it
            if isinstance(found, ast.NamedExpr):
                yield found.target
        return
    else:
        inner = list(ast.iter_child_nodes(node))
    for child in inner:
        yield from _inside(child, into_comprehensions=into_comprehensions)
