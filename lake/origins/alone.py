"""Whether a hop makes each row of its output from one row of its driving input, beside whole tables: then its input can be cut anywhere, and done in parts.

Derived from the plan that Polars resolves, like everything here. What is not known to keep rows apart counts as looking across them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import polars as pl
from polars.io.plugins import register_io_source

from lake.contract import FILE, ROW
from lake.hop import Hop
from lake.origins.expressions import Unknown, use_of
from lake.origins.plan import parameter_of, resolved, said_of, scans
from lake.origins.rowwise import beyond
from lake.origins.trace import FAILS, planning, said, tracer

_ONE_SIDED = {"Left": "left", "Semi": "left", "Anti": "left", "AsOf": "left", "Right": "right"}
"""Joins that keep one side's rows apart: which side the driving input must be on."""
_Told = TypeVar("_Told")
_SHAPING = ("hint_sorted", "rechunk", "unnest", "explode", "unpivot")


def looks_across_rows(hop: Hop, schemas: Mapping[str, pl.Schema], *, freely: bool = False) -> str | None:
    """Why the hop's output is not made row by row from its driving input; None where it is. Never raises.

    With `freely`, rows may be put in an order, and what this plan does not show, such as a function of the team's, is taken to work value by
    value where Polars takes it so: it then reads the record of one raw place where the rows of that place are asked for.
    """
    looked: set[str] = set()
    frames = {name: tracer(name, schema, looked) for name, schema in schemas.items()}
    try:
        with planning(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = hop.function(**frames).lazy()
            out.collect_schema()
            walker = _Walker(resolved(out), hop.driver, freely=freely)
            why = walker.why()
            if why is None and walker.doubts and not _reads_one_place(hop, schemas):
                why = walker.doubts[0]
    except FAILS as error:
        return said(error)
    return f"it looks at rows of {', '.join(sorted(looked))} while it makes its plan" if looked else why


class _Walker:
    def __init__(self, nodes: Any, driver: str, *, freely: bool) -> None:
        self.nodes = nodes
        self.driver = driver
        self.freely = freely
        self.doubts: list[str] = []
        self._driven: dict[int, bool] = {}

    def why(self) -> str | None:
        """Why rows are not kept apart at the node where the traversal stands, or below it."""
        if not self._reads_driver():
            return "part of its output does not come from the rows that drive it"
        try:
            return self._below(self.nodes.view_current_node())
        except (Unknown, NotImplementedError) as unknown:
            return said_of(unknown)

    def _at(self, number: int) -> str | None:
        return self._standing(number, self.why)

    def _standing(self, number: int, ask: Callable[[], _Told]) -> _Told:
        here = self.nodes.get_node()
        self.nodes.set_node(number)
        try:
            return ask()
        finally:
            self.nodes.set_node(here)

    def _reads_driver(self) -> bool:
        here = self.nodes.get_node()
        if here not in self._driven:
            try:
                own = parameter_of(self.nodes.view_current_node()) == self.driver
            except NotImplementedError:
                own = False
            self._driven[here] = own or any(self._standing(number, self._reads_driver) for number in self.nodes.get_inputs())
        return self._driven[here]

    def _below(self, node: Any) -> str | None:
        kind = type(node).__name__
        if kind == "PythonScan":
            return self._across(self.nodes.get_exprs())
        if kind in ("SimpleProjection", "Cache"):
            return self._at(node.input)
        if kind in ("Select", "HStack"):
            made = node.expr if kind == "Select" else node.exprs
            if kind == "Select" and not any(use_of(self.nodes, one.node).kinds for one in made):
                return "a row of constants"
            return self._across(made) or self._at(node.input)
        if kind == "Sort" and self.freely:
            return self._across(node.by_column) or self._at(node.input)
        if kind == "Filter":
            return self._across([node.predicate]) or self._at(node.input)
        if kind == "MapFunction":
            what = str(node.function[0])
            return self._at(node.input) if what in _SHAPING else f"{what} of the frame"
        if kind == "Join":
            return self._join(node)
        if kind == "Union":
            return next((why for number in node.inputs if (why := self._at(number)) is not None), None)
        return {"GroupBy": "groups", "Sort": "an order", "Slice": "a slice", "Distinct": "distinct rows", "Reduce": "an aggregate"}.get(kind, kind)

    def _join(self, node: Any) -> str | None:
        how = node.options[0]
        kind = how if isinstance(how, str) else str(how[0])
        driven = {side: self._standing(number, self._reads_driver) for side, number in (("left", node.input_left), ("right", node.input_right))}
        if all(driven.values()):
            return "a join of the driving input with itself"
        side = "left" if driven["left"] else "right"
        if kind not in ("Inner", "Cross") and _ONE_SIDED.get(kind) != side:
            return f"a {kind.lower()} join that keeps rows of the other side"
        keys = [*node.left_on, *node.right_on]
        return self._across(keys) or self._at(node.input_left if side == "left" else node.input_right)

    def _across(self, expressions: Any) -> str | None:
        for one in expressions:
            try:
                why = beyond(self.nodes, one.node)
            except Unknown as unknown:
                if not self.freely:
                    raise
                self.doubts.append(said_of(unknown))
                continue
            if why is not None:
                return why
        return None


def _reads_one_place(hop: Hop, schemas: Mapping[str, pl.Schema]) -> bool:
    """Whether Polars, asked for the rows of one raw place, reads the records of that place alone of what drives the hop, wherever it reads it."""
    asked: list[pl.Expr | None] = []
    frames = {name: tracer(name, schema, set()) for name, schema in schemas.items()}

    def rows(with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None) -> Iterator[pl.DataFrame]:
        asked.append(predicate if n_rows is None else None)
        schema = schemas[hop.driver]
        yield pl.DataFrame(schema={name: schema[name] for name in (schema if with_columns is None else with_columns)})

    rows.parameter = hop.driver  # type: ignore[attr-defined]  # by which the plan is counted
    frames[hop.driver] = register_io_source(rows, schema=schemas[hop.driver])
    out = hop.function(**frames).lazy()
    if not {FILE, ROW} <= set(out.collect_schema()):
        return False
    one = out.filter((pl.col(FILE) == "a file") & (pl.col(ROW) == 1))
    read = scans(one)[hop.driver]
    one.collect(optimizations=pl.QueryOptFlags(comm_subplan_elim=False, comm_subexpr_elim=False))
    return len(asked) >= max(read, 1) and all(condition is not None and set(condition.meta.root_names()) == {FILE, ROW} for condition in asked)
