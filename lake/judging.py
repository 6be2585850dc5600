"""What a hop made, judged: its rows sorted by the contract into those that pass, those that do not, and those that say that their key is gone."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from lake.contract import Contract, ending, judge, parsed
from lake.dtypes import gate
from lake.errors import SchemaRefused
from lake.hop import Hop
from lake.plan import Plan
from lake.quarantine import rejected_rows
from lake.run import Run
from lake.scope import Scope
from lake.table import ordering, path_of


@dataclass(frozen=True)
class Sorted:
    """The hop's output sorted by the contract, lazily."""

    good: pl.LazyFrame
    bad: pl.LazyFrame
    dead: pl.LazyFrame | None
    doubts: pl.LazyFrame


def judge_made(run: Run, plan: Plan, contract: type[Contract], out: pl.LazyFrame, asked: Scope | None = None) -> Sorted:
    """What the hop returned, with what its rows refer to, sorted by the contract; of the rows that are `asked` for, if not for all."""
    marked, marks = refer(run, plan, contract, out)
    return sort_made(plan, contract, marked, marks, asked)


def sort_made(plan: Plan, contract: type[Contract], out: pl.LazyFrame, marks: dict[str, str], asked: Scope | None) -> Sorted:
    """The output judged. Rows that delete are judged by their key alone; where only some rows are asked for, the others are nobody's."""
    hop, who = plan.hop, f"hop {plan.hop.function.__qualname__}"
    schema, warns = out.collect_schema(), hop.table.warns
    if hop.deletes is None:
        judged = judge(contract, out, who=who, warn=warns, marks=marks)
        good, bad, dead = judged.good, rejected_rows(judged.bad), None
    else:
        if schema.get(hop.deletes) != pl.Boolean:
            raise SchemaRefused(f"{who} returns no Boolean column {hop.deletes}, which says which rows delete", "Add it in the hop")
        gone = pl.col(hop.deletes).fill_null(False)
        ordered = ordering(hop.table, schema)
        judged = judge(contract, out.filter(~gone).drop(hop.deletes), who=who, warn=warns, marks=marks)
        ended = judge(ending(contract, (*hop.table.key, *hop.table.sequence)), out.filter(gone).select(*hop.table.key, *ordered), who=who)
        typed = gate(ended.good.collect_schema())
        good, bad = judged.good, pl.concat([rejected_rows(judged.bad), rejected_rows(ended.bad)])
        dead = ended.good.select(typed.expressions)
    typed_as = good.collect_schema()
    doubtful = judged.doubtful if asked is None else asked.of(judged.doubtful, typed_as)
    broken = [expression.alias(f"#warn {rule}") for rule, expression in judged.doubts.items()]
    doubts = doubtful.with_columns(broken).select(pl.col(f"#warn {rule}").sum().alias(rule) for rule in judged.doubts) if broken else pl.LazyFrame()
    if asked is None:
        return Sorted(good, bad, dead, doubts)
    if dead is not None and (asked.where is None or set(asked.where.meta.root_names()) <= set(dead.collect_schema())):
        dead = asked.of(dead, typed_as)
    return Sorted(asked.of(good, typed_as), bad if plan.within is not None else bad.clear(), dead, doubts)


def with_validity(hop: Hop, out: pl.LazyFrame) -> pl.LazyFrame:
    """For a table with history: the hop says when each version began; when it ended is worked out later, once its neighbours are known."""
    if hop.write != "scd2" or hop.table.contract is None:
        return out
    if given := {"valid_to", "is_current"} & set(out.collect_schema()):
        raise SchemaRefused(f"hop {hop.function.__qualname__} returns {', '.join(sorted(given))}, which lake works out", "Return valid_from alone")
    ends = hop.table.contract.columns()["valid_to"].dtype
    return out.with_columns(pl.lit(None, dtype=ends).alias("valid_to"), pl.lit(True).alias("is_current"))


def refer(run: Run, plan: Plan, contract: type[Contract], out: pl.LazyFrame) -> tuple[pl.LazyFrame, dict[str, str]]:
    """`out` with a Boolean column for each reference of its table that says whether the row keeps it; and those columns by rule."""
    marks: dict[str, str] = {}
    schema = out.collect_schema()
    for number, rule in enumerate(plan.hop.table.references):
        if not set(rule.columns) <= set(schema):
            continue  # the judge will say which column is missing
        given = next(known for known in plan.inputs.values() if known.table == rule.table.name and known.kind == "snapshot")
        there = run.snapshot(path_of(given.table), given.end)
        if missing := [name for name in rule.to if name not in there.schema]:
            raise SchemaRefused(
                f"{given.table} version {given.end} has no column {', '.join(missing)}, to which {plan.hop.table.name} refers",
                "Correct to=(…) of the rule, or run what fills that table",
            )
        mark, keys = f"#met {number}", [f"#key {number} {name}" for name in rule.to]
        own = [parsed(contract, schema, name) for name in rule.columns]
        known_values = there.scan().select(pl.col(name).alias(key) for name, key in zip(rule.to, keys, strict=True)).drop_nulls().unique()
        sought = out.with_columns(value.cast(there.schema[to], strict=False).alias(key) for value, to, key in zip(own, rule.to, keys, strict=True))
        met = sought.join(known_values.with_columns(pl.lit(True).alias(mark)), on=keys, how="left", maintain_order="left")
        silent = pl.any_horizontal(value.is_null() for value in own)
        out = met.with_columns(pl.col(mark).is_not_null() | silent).drop(keys)
        marks[rule.name] = mark
    return out, marks
