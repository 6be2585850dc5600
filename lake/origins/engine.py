"""What lake itself does to the rows that come out of a hop, as origins: casts, rules that turn rows away, keys by which one row wins."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from lake.contract import rule_expressions
from lake.hop import VALIDITY, Hop
from lake.origins.kinds import Column, Kinds, influence, merged, raised
from lake.table import ordering


def chosen_by_engine(hop: Hop, columns: Mapping[str, Kinds], schema: pl.Schema) -> tuple[dict[str, Kinds], Kinds]:
    """The columns of a hop's table and what decides on its rows, from those of the frame that its function returned."""
    return _as_promised(hop, columns, schema), merged(_by_key(hop, columns, schema), _by_rules(hop, columns, schema), _deleted(hop, columns))


def _as_promised(hop: Hop, columns: Mapping[str, Kinds], schema: pl.Schema) -> dict[str, Kinds]:
    """Each column as the contract's type, without the one that says which rows delete; the columns of validity."""
    promised = hop.table.contract.columns() if hop.table.contract else {}
    found = {
        name: raised(kinds, "transformed") if name in promised and schema[name] != promised[name].dtype else kinds
        for name, kinds in columns.items()
        if name != hop.deletes
    }
    if hop.write == "scd2":
        start, end, current = VALIDITY
        versions = merged(*(influence(kinds, "key") for kinds in columns.values()))  # a version that says nothing new does not begin
        for name in (end, current):
            found[name] = merged(versions, raised(found.get(start, {}), "transformed"))
    return found


def _by_key(hop: Hop, columns: Mapping[str, Kinds], schema: pl.Schema) -> Kinds:
    """Of rows with one key the last in order stays. Rows that are only added meet nobody."""
    table = hop.table
    if hop.write == "append" or not table.key:
        return {}
    return merged(*(influence(columns.get(name, {}), "key") for name in (*table.key, *ordering(table, schema), *hop.by)))


def _by_rules(hop: Hop, columns: Mapping[str, Kinds], schema: pl.Schema) -> Kinds:
    """Rules that set rows aside. One that warns or stops the hop chooses no row."""
    table = hop.table
    if table.contract is None:
        return {}
    spoken: set[str] = set()
    for name, expression in rule_expressions(table.contract).items():
        if table.severity_of(name) == "quarantine":
            spoken |= set(expression.meta.root_names())
    for name, column in table.contract.columns().items():
        if schema.get(name) != column.dtype and "quarantine" in (table.severity_of(f"{name}|dtype"), table.severity_of(f"{name}|date")):
            spoken.add(name)
    rows = [columns.get(name, {}) for name in spoken]
    for rule in table.references:
        if table.severity_of(rule.name) == "quarantine":
            rows += [columns.get(name, {}) for name in rule.columns]
            rows.append(influence(_referred(hop, rule.table.name, rule.to), "rule"))
    rows += [columns.get(name, {}) for rule in table.repeats_rejected for name in rule.columns]
    return merged(*(influence(kinds, "rule") for kinds in rows))


def _referred(hop: Hop, table: str, columns: tuple[str, ...]) -> list[Column]:
    parameter = next(name for name in hop.sources if hop.reads(name).name == table)
    return [(parameter, column) for column in columns]


def _deleted(hop: Hop, columns: Mapping[str, Kinds]) -> Kinds:
    return influence(columns.get(hop.deletes, {}), "filter") if hop.deletes else {}
