"""Python's grammar as far as it says what code does: the fields of each kind of syntax that mean the same in every supported Python."""

from __future__ import annotations

import ast
import json
from typing import Any

FIELDS: dict[str, tuple[str, ...]] = {
    "Return": ("value",), "Delete": ("targets",), "Assign": ("targets", "value"), "AugAssign": ("target", "op", "value"),
    "For": ("target", "iter", "body", "orelse"), "AsyncFor": ("target", "iter", "body", "orelse"), "While": ("test", "body", "orelse"),
    "If": ("test", "body", "orelse"), "With": ("items", "body"), "AsyncWith": ("items", "body"), "Match": ("subject", "cases"),
    "Raise": ("exc", "cause"), "Try": ("body", "handlers", "orelse", "finalbody"), "TryStar": ("body", "handlers", "orelse", "finalbody"),
    "Assert": ("test", "msg"), "Expr": ("value",), "Break": (), "Continue": (), "BoolOp": ("op", "values"), "NamedExpr": ("target", "value"),
    "BinOp": ("left", "op", "right"), "UnaryOp": ("op", "operand"), "IfExp": ("test", "body", "orelse"), "Dict": ("keys", "values"), "Set": ("elts",),
    "Await": ("value",), "Yield": ("value",), "YieldFrom": ("value",), "Compare": ("left", "ops", "comparators"), "Call": ("func", "args", "keywords"),
    "FormattedValue": ("value", "conversion", "format_spec"), "Starred": ("value",), "List": ("elts",), "Tuple": ("elts",),
    "Slice": ("lower", "upper", "step"), "Subscript": ("value", "slice"), "ExceptHandler": ("type", "name", "body"), "keyword": ("arg", "value"),
    "withitem": ("context_expr", "optional_vars"), "match_case": ("pattern", "guard", "body"), "MatchValue": ("value",),
    "MatchSingleton": ("value",), "MatchSequence": ("patterns",), "MatchMapping": ("keys", "patterns", "rest"),
    "MatchClass": ("cls", "patterns", "kwd_attrs", "kwd_patterns"), "MatchStar": ("name",), "MatchAs": ("pattern", "name"), "MatchOr": ("patterns",),
}  # fmt: skip
BINDS = {("ExceptHandler", "name"), ("MatchStar", "name"), ("MatchAs", "name"), ("MatchMapping", "rest")}
_WRITES = {mode + kind for mode in "wxa" for kind in ("", "b", "t")}


def spelled_constant(value: Any) -> str:
    """A constant of the source."""
    if value is ...:
        return "..."
    if isinstance(value, bool | None.__class__):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float):
        return f"float:{value.hex() if value == value else 'nan'}"  # noqa: PLR0124  # nan is not itself
    if isinstance(value, complex):
        return f"complex:{spelled_constant(value.real)},{spelled_constant(value.imag)}"
    if isinstance(value, bytes):
        return f"bytes:{value.hex()}"
    if isinstance(value, int):
        return f"int:{value:x}"
    if isinstance(value, tuple | frozenset):
        inner = [spelled_constant(one) for one in value]
        return f"({type(value).__name__} {' '.join(sorted(inner) if isinstance(value, frozenset) else inner)})"
    raise TypeError(type(value).__name__)


def opens_to_write(node: ast.Call) -> frozenset[int]:
    """At which places the arguments of a call of `open` name a mode that only writes: 1 for the function, 0 for a path's method."""
    if (node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else "") != "open":
        return frozenset()
    given = [*enumerate(node.args[:2]), *((place, one.value) for one in node.keywords if one.arg == "mode" for place in (0, 1))]
    return frozenset(place for place, one in given if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value in _WRITES)
