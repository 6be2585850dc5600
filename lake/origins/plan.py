"""Walking a resolved plan: for each column that comes out, the columns of the tracers it derives from; and what decides which rows do.

Private to Polars and pinned with it: `visit()` shows the plan as numbered nodes. Nothing here trusts that it knows them all. A node or an
expression it cannot look into makes everything below it opaque, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.origins.expressions import Unknown, Use, use_of
from lake.origins.kinds import Column, Kinds, influence, merged, raised, through
from lake.wording import shortened

KNOWN = 16
"""The version of the nodes that this module knows."""
_OWN_SCAN = "PythonDataset SCAN"  # Polars asks Python for such a table while it holds what Python needs to answer: it would never come back


@dataclass
class Frame:
    """What is known of a frame in the plan: by column its origins, and the columns of inputs that decide which rows it has."""

    columns: dict[str, Kinds]
    rows: Kinds = field(default_factory=dict)

    @property
    def everything(self) -> Kinds:
        """All that the frame was made of, as what something that cannot be looked into may use."""
        return dict.fromkeys(merged(self.rows, *self.columns.values()), "opaque")

    def used(self, use: Use) -> Kinds:
        """What is used of the frame, in terms of what it was made of."""
        return through({name: kind for name, kind in use.kinds.items() if name in self.columns}, self.columns)

    def choosing(self, names: Any, kind: str) -> Kinds:
        """The columns of these names as what chooses rows."""
        return influence((column for name in names for column in self.columns.get(name, ())), kind)


@dataclass
class Walk:
    """What a walk found. `doubts` are what it could not look into."""

    frame: Frame
    doubts: list[str]


def walk(out: pl.LazyFrame) -> Walk:
    """Walk the plan of a frame that stands on tracers. Raises Unknown where this Polars shows plans in another way."""
    walker = _Walker(resolved(out))
    return Walk(walker.frame(), walker.doubts)


def resolved(out: pl.LazyFrame) -> Any:
    """The plan of a frame as nodes to walk. Raises Unknown where this Polars shows plans in another way."""
    nodes = _plan(out, "comm_subplan_elim")
    if nodes.version()[0] != KNOWN:
        raise Unknown(f"this Polars shows its plans in version {nodes.version()[0]}, and {KNOWN} is known")
    return nodes


def bounds(out: pl.LazyFrame, names: Iterable[str]) -> dict[str, frozenset[Column]]:
    """For each column, what Polars would ask of the tracers below if only that column were wanted. Nothing is run. Raises Unknown."""
    return {name: frozenset(_wanted(_plan(out.select(name), "projection_pushdown"))) for name in names}


def scans(out: pl.LazyFrame) -> Counter[str]:
    """How often the plan of a frame reads each tracer below. Nothing is run. Raises Unknown."""
    return Counter(_scanned(_plan(out, "predicate_pushdown")))


def _scanned(nodes: Any) -> Iterator[str]:
    here = nodes.get_node()
    for number in nodes.get_inputs():
        nodes.set_node(number)
        yield from _scanned(nodes)
    nodes.set_node(here)
    try:
        node = nodes.view_current_node()
    except NotImplementedError:
        return
    if type(node).__name__ == "PythonScan" and (parameter := parameter_of(node)) is not None:
        yield parameter


def _plan(out: pl.LazyFrame, optimisation: str) -> Any:
    """The resolved plan with one optimisation. Raises Unknown where this Polars has no such thing to show."""
    if _OWN_SCAN in out.explain(optimized=False):
        raise Unknown("it scans a Delta or Iceberg table by itself")
    flags = pl.QueryOptFlags.none()
    setattr(flags, optimisation, True)
    try:
        return out._ldf.with_optimizations(flags._pyoptflags).visit()  # noqa: SLF001  # Polars has no public way to look at a plan
    except (AttributeError, TypeError, NotImplementedError) as error:
        raise Unknown(f"this Polars does not show its plans: {error}") from None


def _wanted(nodes: Any) -> Iterator[Column]:
    """The columns that the scans of a plan keep."""
    here = nodes.get_node()
    for number in nodes.get_inputs():
        nodes.set_node(number)
        yield from _wanted(nodes)
    nodes.set_node(here)
    try:
        node = nodes.view_current_node()
    except NotImplementedError:
        return
    if type(node).__name__ == "PythonScan" and (parameter := parameter_of(node)) is not None:
        kept = node.options[1]
        yield from ((parameter, name) for name in (nodes.get_schema() if kept is None else kept))


def said_of(why: Exception) -> str:
    """What could not be looked into, in a few words."""
    return shortened(str(why).split("{")[0].strip(), 80)


def parameter_of(node: Any) -> str | None:
    """The parameter that a tracer stands for; None for whatever else."""
    if type(node).__name__ != "PythonScan":
        return None
    found = getattr(getattr(node.options[0], "io_source", None), "parameter", None)
    return found if isinstance(found, str) else None


class _Walker:
    def __init__(self, nodes: Any) -> None:
        self.nodes = nodes
        self.doubts: list[str] = []
        self._known: dict[int, Frame] = {}
        self._cached: dict[Any, Frame] = {}

    def frame(self) -> Frame:
        """What is known of the frame at the node where the traversal stands."""
        here = self.nodes.get_node()
        if here not in self._known:
            self._known[here] = self._read()
        return self._known[here]

    def at(self, number: int) -> Frame:
        """The frame at another node; the traversal stays where it is."""
        here = self.nodes.get_node()
        self.nodes.set_node(number)
        try:
            return self.frame()
        finally:
            self.nodes.set_node(here)

    def use(self, expression: Any, below: Frame) -> Use:
        """What an expression uses of the frame below; all of it, opaquely, if lake cannot look into it."""
        try:
            return use_of(self.nodes, expression.node)
        except Unknown as why:
            self.doubts.append(str(why))
            return Use(dict.fromkeys(below.columns, "opaque"), frozenset(below.columns), seen=False)

    def names(self) -> list[str]:
        """The columns of the node where the traversal stands."""
        return list(self.nodes.get_schema())

    def _read(self) -> Frame:
        try:
            node = self.nodes.view_current_node()
            reader = _READERS.get(type(node).__name__)
            if reader is None:
                raise Unknown(f"{type(node).__name__} nodes are not known")
            return reader(self, node)
        except (Unknown, NotImplementedError) as why:
            self.doubts.append(said_of(why))
            return self._opaque()

    def _opaque(self) -> Frame:
        """A node that cannot be looked into: each of its columns, and its rows, may be made of all that comes in."""
        below = merged(*(self.at(number).everything for number in self.nodes.get_inputs()))
        return Frame({name: dict(below) for name in self.names()}, dict(below))


def _tracer(walker: _Walker, node: Any) -> Frame:
    """A frame that stands for an input; what is asked of it as it is read chooses rows."""
    parameter = parameter_of(node)
    if parameter is None:
        return Frame({name: {} for name in walker.names()})
    columns: dict[str, Kinds] = {name: {(parameter, name): "copied"} for name in walker.names()}
    frame = Frame(columns)
    for expression in walker.nodes.get_exprs():
        frame.rows = merged(frame.rows, frame.used(walker.use(expression, frame).only("filter")))
    return frame


def _constant(walker: _Walker, _: Any) -> Frame:
    return Frame({name: {} for name in walker.names()})


def _passed_on(walker: _Walker, node: Any) -> Frame:
    below = walker.at(node.input)
    return Frame({name: below.columns[name] for name in walker.names()}, below.rows)


def _select(walker: _Walker, node: Any) -> Frame:
    below = walker.at(node.input)
    made, rows = _made(walker, node.expr, below)
    return Frame(made, merged(below.rows, rows))


def _with_columns(walker: _Walker, node: Any) -> Frame:
    below = walker.at(node.input)
    made, _ = _made(walker, node.exprs, below)
    return Frame(below.columns | made, below.rows)


def _reduce(walker: _Walker, node: Any) -> Frame:
    below = walker.at(node.input)
    made, _ = _made(walker, node.exprs, below)
    return Frame({name: raised(kinds, "aggregated") for name, kinds in made.items()}, below.rows)


def _made(walker: _Walker, expressions: Any, below: Frame) -> tuple[dict[str, Kinds], Kinds]:
    """Columns by expressions; and what decides how many values these have."""
    uses = [(expression.output_name, walker.use(expression, below)) for expression in expressions]
    repeated = any(use.one for _, use in uses)  # beside values whose number is not known
    lengths = [use.length for _, use in uses if use.seen or repeated]
    return {name: below.used(use) for name, use in uses}, merged(*(below.choosing(length, "filter") for length in lengths))


def _filter(walker: _Walker, node: Any) -> Frame:
    below = walker.at(node.input)
    return Frame(below.columns, merged(below.rows, below.used(walker.use(node.predicate, below).only("filter"))))


def _sort(walker: _Walker, node: Any) -> Frame:
    """The order of rows is nothing that a table keeps, but what comes next may take the first of them."""
    below = walker.at(node.input)
    return Frame(below.columns, merged(below.rows, *(below.used(walker.use(by, below).only("sort")) for by in node.by_column)))


def _distinct(walker: _Walker, node: Any) -> Frame:
    below = walker.at(node.input)
    among = node.options[1] or list(below.columns)
    return Frame(below.columns, merged(below.rows, below.choosing(among, "group")))


def _group(walker: _Walker, node: Any) -> Frame:
    below = walker.at(node.input)
    keys, _ = _made(walker, node.keys, below)
    made, _ = _made(walker, node.aggs, below)
    rows = merged(below.rows, *(influence(kinds, "group") for kinds in keys.values()))
    index = [window.index_column for window in (node.options.dynamic, node.options.rolling) if window]
    for name in index:  # groups that are windows over a column, whose bounds are columns too
        rows = merged(rows, below.choosing([name], "group"))
        bounds = (name, "_lower_boundary", "_upper_boundary")
        keys |= {bound: raised(below.columns[name], "transformed") for bound in bounds if bound in walker.names()}
    columns = keys | {name: raised(kinds, "aggregated") for name, kinds in made.items()}
    return Frame({name: columns[name] for name in walker.names()}, rows)


def _join(walker: _Walker, node: Any) -> Frame:
    """Rows meet by keys. A key that is put together is the left one's, of a right join the right one's, of a full join both."""
    left, right = walker.at(node.input_left), walker.at(node.input_right)
    how, suffix = node.options[0], node.options[3]
    kind = how if isinstance(how, str) else str(how[0])
    by = [left.used(walker.use(one, left).only("join")) for one in node.left_on] + [right.used(walker.use(one, right).only("join")) for one in node.right_on]
    if kind == "AsOf":
        by += [left.choosing(how[4] or (), "join"), right.choosing(how[5] or (), "join")]
    elif kind not in ("Inner", "Left", "Right", "Full", "Cross", "Semi", "Anti") or node.predicate is not None:
        raise Unknown(f"{kind} joins with conditions are not known")
    rows = merged(left.rows, right.rows, *by)
    if kind in ("Semi", "Anti"):
        return Frame(left.columns, rows)
    lefts, rights = [one.output_name for one in node.left_on], [one.output_name for one in node.right_on]
    coalesced = bool(node.options[4])
    of_left = {name: kinds for name, kinds in left.columns.items() if not (coalesced and kind == "Right" and name in lefts)}
    if coalesced and kind == "Full":
        of_left |= {one: merged(left.columns[one], right.columns.get(other, {})) for one, other in zip(lefts, rights, strict=True) if one in left.columns}
    return Frame({name: _side(name, of_left, right.columns, suffix) for name in walker.names()}, rows)


def _side(name: str, left: dict[str, Kinds], right: dict[str, Kinds], suffix: str) -> Kinds:
    """Where a column of a join comes from: the left frame has its names, the right one those that are free or have the suffix."""
    bare = name.removesuffix(suffix)
    if name in left:
        return left[name]
    if name not in right and bare not in right:
        raise Unknown(f"which side of a join has column {name}")
    return right[name] if name in right else right[bare]


def _union(walker: _Walker, node: Any) -> Frame:
    frames = [walker.at(number) for number in node.inputs]
    columns = {name: merged(*(list(frame.columns.values())[i] for frame in frames)) for i, name in enumerate(walker.names())}
    return Frame(columns, merged(*(frame.rows for frame in frames)))


def _beside(walker: _Walker, node: Any) -> Frame:
    frames = [walker.at(number) for number in node.inputs]
    return Frame({name: kinds for frame in frames for name, kinds in frame.columns.items()}, merged(*(frame.rows for frame in frames)))


def _merge_sorted(walker: _Walker, node: Any) -> Frame:
    left, right = walker.at(node.input_left), walker.at(node.input_right)
    keys = list(node.key) if isinstance(node.key, list | tuple) else [node.key]
    columns = {name: merged(kinds, right.columns[name]) for name, kinds in left.columns.items()}
    return Frame(columns, merged(left.rows, right.rows, left.choosing(keys, "sort"), right.choosing(keys, "sort")))


def _slice(walker: _Walker, node: Any) -> Frame:
    return walker.at(node.input)


def _cache(walker: _Walker, node: Any) -> Frame:
    if node.id_ not in walker._cached:  # noqa: SLF001
        walker._cached[node.id_] = walker.at(node.input)  # noqa: SLF001
    return walker._cached[node.id_]  # noqa: SLF001


def _map(walker: _Walker, node: Any) -> Frame:
    """What changes the shape of a frame as a whole."""
    below, said = walker.at(node.input), node.function
    what = str(said[0])
    if what in ("hint_sorted", "rechunk"):
        return below
    if what == "explode":
        exploded = {name: raised(kinds, "transformed") if name in said[1] else kinds for name, kinds in below.columns.items()}
        return Frame(exploded, merged(below.rows, below.choosing(said[1], "filter")))
    if what == "unnest":
        fields = [name for name in walker.names() if name not in below.columns or name in said[1]]
        packed = merged(*(raised(below.columns[name], "transformed") for name in said[1]))
        return Frame({name: dict(packed) if name in fields else below.columns[name] for name in walker.names()}, below.rows)
    if what == "unpivot":
        index, on, variable, value = said[1] or [], said[2] or [], said[3] or "variable", said[4] or "value"
        on = on or [name for name in below.columns if name not in index]
        kept: dict[str, Kinds] = {name: below.columns[name] for name in index}
        return Frame(kept | {variable: {}, value: merged(*(below.columns[name] for name in on))}, below.rows)
    if what == "row_index":
        return Frame({name: below.columns.get(name, {}) for name in walker.names()}, below.rows)
    raise Unknown(f"{what} is not known")


_READERS: dict[str, Callable[[_Walker, Any], Frame]] = {
    "PythonScan": _tracer, "DataFrameScan": _constant, "Scan": _constant, "SimpleProjection": _passed_on, "Select": _select, "HStack": _with_columns,
    "Reduce": _reduce, "Filter": _filter, "Sort": _sort, "Distinct": _distinct, "GroupBy": _group, "Join": _join, "Union": _union, "HConcat": _beside,
    "MergeSorted": _merge_sorted, "Slice": _slice, "Cache": _cache, "MapFunction": _map,
}  # fmt: skip
