"""Rows that repeat others under a `unique` rule that sets aside: the first by the table's order stays, the rest are rejected.

Judged after keys are settled, on the rows that would be in the table, so a row that lost to a later one of its key takes no other with it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.content import row_hash
from lake.contract import RULES
from lake.datafile import scan_parts, write_parts
from lake.quarantine import rejected_rows
from lake.rules import Unique
from lake.settle.latest import Winners
from lake.table import Table, ordering
from lake.transform import Staged

_HASH, _RANK = "#hash", "#rank"


def unrepeated(table: Table, staged: Staged, winners: Winners, folder: Path) -> tuple[Winners, dict[str, int]]:
    """The batch without rows that repeat others; how many went, by rule. They are written beside the rejects of `staged`."""
    counts: dict[str, int] = {}
    for number, rule in enumerate(table.repeats_rejected):
        winners, count = _first(table, rule, staged, winners, folder / f"first-{number}", f"repeats-{number}")
        if count:
            counts[rule.name] = count
    return winners, counts


def _first(table: Table, rule: Unique, staged: Staged, winners: Winners, folder: Path, called: str) -> tuple[Winners, int]:
    """One rule. Its columns are looked through alone; whole rows only where their values repeat."""
    on, schema = list(rule.columns), staged.schema
    rows = scan_parts(winners.rows, schema)
    repeated = repeated_values(rows, on).collect(engine="streaming").select(on)
    if repeated.height == 0:
        return winners, 0
    order = list(dict.fromkeys([*ordering(table, schema), *table.key]))
    rivals = rows.join(repeated.lazy(), on=on, how="semi").with_columns(row_hash(schema).alias(_HASH)).sort([*order, _HASH], nulls_last=False)
    ranked = rivals.with_columns(pl.int_range(pl.len()).over(on).alias(_RANK))
    write_parts(ranked.drop(_HASH), folder / "ranked")
    found = scan_parts(folder / "ranked", pl.Schema({**schema, _RANK: pl.Int64()}))
    write_parts(rows.join(repeated.lazy(), on=on, how="anti"), folder / "rows" / "single", of=staged.passed)
    write_parts(found.filter(pl.col(_RANK) == 0).drop(_RANK), folder / "rows" / "first", of=staged.passed)
    others = found.filter(pl.col(_RANK) > 0).drop(_RANK)
    write_parts(rejected_rows(others.with_columns(pl.lit([rule.name], dtype=pl.List(pl.String)).alias(RULES))), staged.bad / called)
    return replace(winners, rows=folder / "rows"), int(others.select(pl.len()).collect(engine="streaming").item())


def repeated_values(rows: pl.LazyFrame, columns: list[str]) -> pl.LazyFrame:
    """The values of `columns`, none of them null, that more than one of `rows` has; `len` says how many."""
    return rows.select(columns).drop_nulls().group_by(columns).len().filter(pl.col("len") > 1)
