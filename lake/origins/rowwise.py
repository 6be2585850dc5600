"""Whether expressions make each value of a row from that row alone: then whatever comes with the row can be followed through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from lake.origins.expressions import Unknown
from lake.wording import shortened

_ROWWISE = {
    "abs", "as_struct", "cbrt", "ceil", "clip", "coalesce", "cos", "cot", "degrees", "exp", "fill_null", "floor", "hash", "log", "log1p", "max_horizontal",
    "mean_horizontal", "min_horizontal", "negate", "pow", "radians", "reinterpret", "replace", "replace_strict", "round", "round_sig_figs", "sign", "sin", "sqrt",
    "sum_horizontal", "tan", "tanh", "to_physical",
}  # fmt: skip
_FAMILIES = {
    "BinaryFunction", "BooleanFunction", "ListFunction", "PowFunction", "StringFunction", "StructFunction", "TemporalFunction", "TrigonometricFunction",
}  # fmt: skip
_ACROSS = {
    "All", "Any", "HasNulls", "IsDuplicated", "IsUnique", "IsFirstDistinct", "IsLastDistinct", "ConcatVertical", "Explode",
}  # fmt: skip
"""Functions of these families that look at other rows."""


def outside_their_row(schema: Mapping[str, pl.DataType], *expressions: Any, **named: Any) -> str | None:
    """What of these expressions, over a frame of `schema`, may look beyond the row it stands in; None where each value is made from its row.

    Nothing is run. Raises what Polars raises where the expressions do not fit the schema.
    """
    frame = pl.DataFrame(schema=dict(schema)).lazy().with_columns(*expressions, **named)
    nodes: Any = frame._ldf.with_optimizations(pl.QueryOptFlags.none()._pyoptflags).visit()  # noqa: SLF001  # as in `lake.origins.plan`
    node = nodes.view_current_node()
    made = getattr(node, "exprs", None)
    if made is None:  # nothing was added
        return None
    try:
        return next((why for one in made if (why := beyond(nodes, one.node)) is not None), None)
    except Unknown as unknown:
        return str(unknown)


def beyond(nodes: Any, number: int) -> str | None:
    """What an expression has that may look at other rows, or None. Raises Unknown where Polars does not show it."""
    try:
        node = nodes.view_expression(number)
    except Exception as error:  # noqa: BLE001  # Polars says NotImplementedError of what it does not show; other versions may say otherwise
        raise Unknown(shortened(str(error).split("\n")[0].split("{")[0].strip(), 60) or "an expression that Polars does not show") from None
    kind = type(node).__name__
    if kind in ("Column", "Literal"):
        return None
    if kind in ("Alias", "Cast"):
        return beyond(nodes, node.expr)
    if kind == "BinaryExpr":
        return beyond(nodes, node.left) or beyond(nodes, node.right)
    if kind == "Ternary":
        return beyond(nodes, node.predicate) or beyond(nodes, node.truthy) or beyond(nodes, node.falsy)
    if kind == "Function":
        return _function(nodes, node)
    return {"Agg": "an aggregate", "Window": "a window", "Len": "a count of rows"}.get(kind, kind)


def _function(nodes: Any, node: Any) -> str | None:
    said = node.function_data
    first = said[0] if isinstance(said, tuple) and said else said
    family, name = type(first).__name__, str(first)
    head, _, tail = name.rpartition(".")
    if not (name in _ROWWISE or ((family in _FAMILIES or head in _FAMILIES) and tail not in _ACROSS)):
        return f"the function {tail or name}"
    return next((why for number in node.input if (why := beyond(nodes, number)) is not None), None)
