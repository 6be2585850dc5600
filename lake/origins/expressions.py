"""What an expression of a resolved plan uses: which columns of the frame it stands on, and how.

Polars shows resolved plans as nodes with numbers. What it does not show, or shows as a node that is not known here, is Unknown: the caller
then takes it that all columns are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lake.origins.kinds import VALUES, stronger
from lake.wording import shortened

_AS_LONG = {
    "abs", "as_struct", "cbrt", "ceil", "clip", "coalesce", "cot", "cum_count", "cum_max", "cum_mean", "cum_min", "cum_prod", "cum_sum", "cut", "cos", "degrees",
    "diff", "exp", "fill_null", "fill_null_with_strategy", "floor", "hash", "interpolate", "interpolate_by", "log", "log1p", "max_horizontal",
    "mean_horizontal", "min_horizontal", "pct_change", "negate", "pow", "qcut", "radians", "rank", "reinterpret", "replace", "replace_strict", "reverse", "rle_id",
    "round", "round_sig_figs", "shift", "shift_and_fill", "shrink_type", "sign", "sin", "sqrt", "sum_horizontal", "tan", "tanh", "to_physical",
}  # fmt: skip
"""Functions known to return as many values as they are given. Families such as StringFunction all do; that of ranges does not."""
_AS_ONE = {
    "arg_max", "arg_min", "corr", "entropy", "index_of", "kurtosis", "max_by", "min_by", "null_count", "quantile", "search_sorted", "skew",
    "BooleanFunction.All", "BooleanFunction.Any", "BooleanFunction.HasNulls",
}  # fmt: skip
"""Functions known to return one value."""
_OVER_MANY = ("cum_", "RollingFunction", "EwmFunction", "RollingFunctionBy")
_FAMILIES = {
    "ArrayFunction", "BinaryFunction", "BitwiseFunction", "BooleanFunction", "EwmFunction", "ListFunction", "PowFunction",
    "RollingFunction", "RollingFunctionBy", "StringFunction", "StructFunction", "TemporalFunction", "TrigonometricFunction",
}  # fmt: skip


class Unknown(Exception):  # noqa: N818
    """Something in a plan that lake cannot look into."""


@dataclass(frozen=True)
class Use:
    """What an expression uses of its frame's columns, by kind. `length` are those on which the number of its values depends.

    `one` says that it is one value, which is repeated beside others; `seen` that all of it could be looked into.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    length: frozenset[str] = frozenset()
    one: bool = False
    seen: bool = True

    def by(self, least: str) -> Use:
        """The same columns after another step."""
        return Use({name: stronger(kind, least) if kind in VALUES else kind for name, kind in self.kinds.items()}, self.length, self.one)

    def only(self, influence: str) -> Use:
        """The same columns as what chooses rows."""
        return Use(dict.fromkeys(self.kinds, influence), self.length, self.one)

    def scalar(self) -> Use:
        """One value, whatever the number it was made of."""
        return Use(self.kinds, one=True)

    def each(self) -> Use:
        """A value for each row of the frame, whatever it was made of."""
        return Use(self.kinds)

    def changing(self) -> Use:
        """The same, where the number of values is not that of the frame."""
        return Use(self.kinds, self.length | frozenset(self.kinds))


def together(uses: Iterable[Use]) -> Use:
    """All that several expressions use."""
    kinds: dict[str, str] = {}
    length: frozenset[str] = frozenset()
    one = True
    for use in uses:
        for name, kind in use.kinds.items():
            kinds[name] = stronger(kind, kinds[name]) if name in kinds else kind
        length |= use.length
        one = one and use.one
    return Use(kinds, length, one)


def use_of(nodes: Any, number: int) -> Use:
    """What the expression with this number uses of the frame below. Raises Unknown."""
    try:
        node = nodes.view_expression(number)
    except Exception as error:  # noqa: BLE001  # Polars says NotImplementedError of what it does not show; other versions may say otherwise
        if str(error) == "field":
            return Use(one=True)  # of the struct that the evaluation stands on, which counts already
        raise Unknown(shortened(str(error).split("\n")[0], 80)) from None
    kind = type(node).__name__
    if kind not in _READERS:
        raise Unknown(kind)
    return _READERS[kind](nodes, node)


def _all(nodes: Any, *numbers: Any) -> Use:
    flat = [number for some in numbers for number in (some if isinstance(some, list | tuple) else [some]) if number is not None]
    return together(use_of(nodes, number) for number in flat)


def _column(_: Any, node: Any) -> Use:
    return Use({node.name: "copied"})


def _nothing(_: Any, __: Any) -> Use:
    return Use(one=True)


def _inside(nodes: Any, node: Any) -> Use:
    return use_of(nodes, node.expr)


def _cast(nodes: Any, node: Any) -> Use:
    return use_of(nodes, node.expr).by("transformed")


def _binary(nodes: Any, node: Any) -> Use:
    return _all(nodes, node.left, node.right).by("transformed")


def _choice(nodes: Any, node: Any) -> Use:
    return _all(nodes, node.predicate, node.truthy, node.falsy).by("transformed")


def _aggregate(nodes: Any, node: Any) -> Use:
    return _all(nodes, list(node.arguments)).by("aggregated").scalar()


def _filtered(nodes: Any, node: Any) -> Use:
    return together([use_of(nodes, node.input), use_of(nodes, node.by).only("filter")]).changing()


def _sorted_by(nodes: Any, node: Any) -> Use:
    return together([use_of(nodes, node.expr), _all(nodes, list(node.by)).only("sort")])


def _gathered(nodes: Any, node: Any) -> Use:
    return _all(nodes, node.expr, node.idx).by("transformed").changing()


def _sliced(nodes: Any, node: Any) -> Use:
    return together([use_of(nodes, node.input), _all(nodes, node.offset, node.length).only("filter")]).changing()


def _exploded(nodes: Any, node: Any) -> Use:
    return use_of(nodes, node.expr).by("transformed").changing()


def _window(nodes: Any, node: Any) -> Use:
    """Over partitions: as many values as rows, unless they are told to explode."""
    ordered = [] if node.order_by is None else [use_of(nodes, node.order_by).only("sort")]
    use = together([use_of(nodes, node.function), _all(nodes, list(node.partition_by)).only("group"), *ordered])
    return use.changing() if "explode" in str(getattr(node.options, "kind", "")) else use.each()


def _rolling(nodes: Any, node: Any) -> Use:
    return together([use_of(nodes, node.function), use_of(nodes, node.index_column).only("group")]).each()


def _fields(nodes: Any, node: Any) -> Use:
    """`struct.with_fields`: the struct, and whatever its new fields are made of."""
    return together([use_of(nodes, node.expr), *(use_of(nodes, made.node) for made in node.evaluation)]).by("transformed")


def _function(nodes: Any, node: Any) -> Use:
    said = node.function_data
    first = said[0] if isinstance(said, tuple) and said else said
    family, name = type(first).__name__, str(first)
    if name in _AS_ONE:
        return _all(nodes, list(node.input)).by("aggregated").scalar()
    use = _all(nodes, list(node.input)).by("aggregated" if name.startswith(_OVER_MANY) else "transformed")
    as_long = name in _AS_LONG or (not name.endswith(".Explode") and {family, name.split(".")[0]} & _FAMILIES)
    return use if as_long else use.changing()


_READERS: dict[str, Callable[[Any, Any], Use]] = {
    "Column": _column, "Literal": _nothing, "Len": _nothing, "Alias": _inside, "Cast": _cast, "BinaryExpr": _binary, "Ternary": _choice, "Agg": _aggregate,
    "Filter": _filtered, "Sort": _inside, "SortBy": _sorted_by, "Gather": _gathered, "Slice": _sliced, "Explode": _exploded, "Window": _window,
    "Rolling": _rolling, "Function": _function, "StructEval": _fields,
}  # fmt: skip
