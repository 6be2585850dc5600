"""What the first gold table counts: rows by a column of few values, else by day."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from lake.draft import class_name, identifier, name_in_contract, quoted
from lake.guess import MOST_ROWS, Column
from lake.scaffold.files import Kind

_MOST_VALUES = 50
_NONE = "(none)"


@dataclass(frozen=True)
class Gold:
    """A count of rows: the name of its table, and what it counts `by`, the column that has the `count`, and the texts of its tables, hop and test."""

    table: str
    by: str
    count: str
    tables: str
    hop: str
    test: str


def first_gold(subject: str, kind: Kind, owner: str, taken: set[str]) -> Gold:
    """The gold table that counts the rows of a kind by what is most telling of them; called as none that is `taken`."""
    chosen = _few_values(kind) or _a_day(kind)
    if chosen is None:
        return _gold(subject, kind, owner, taken, "day", 'pl.col("_landed").dt.date().alias("day")', "Date", "Day on which the rows landed")
    by = chosen.name
    if chosen.guess == pl.String:
        made = f"pl.col({quoted(by)}).fill_null({quoted(_NONE)})" if chosen.nulls or chosen.blanks or chosen.absent else f"pl.col({quoted(by)})"
        return _gold(subject, kind, owner, taken, by, made, "String", f"What {by} says")
    made = f"pl.col({quoted(by)})" if chosen.guess == pl.Date else f"pl.col({quoted(by)}).dt.date()"
    return _gold(subject, kind, owner, taken, "day", f'{made}.alias("day")', "Date", f"Day of {by}", source=by, instant=chosen.guess != pl.Date)


def _few_values(kind: Kind) -> Column | None:
    """The column of text that has few values, and each of them often: the one with the fewest, but at least two."""
    fit = [column for column in kind.columns if column.guess == pl.String == column.dtype and not column.unique and column.name not in kind.key]
    if not fit or not kind.rows:
        return None
    distinct = kind.scan().head(MOST_ROWS).select(pl.col(column.name).n_unique() for column in fit).collect(engine="streaming").row(0)
    most = min(_MOST_VALUES, kind.rows // 2)
    few = [(number, place) for place, number in enumerate(distinct) if 2 <= number <= most]
    return fit[min(few)[1]] if few else None


def _a_day(kind: Kind) -> Column | None:
    """The first column of days or instants that every row has."""
    days = [column for column in kind.columns if isinstance(column.guess, pl.Date | pl.Datetime)]
    return next((column for column in days if not (column.nulls or column.blanks or column.absent)), None)


def _gold(
    subject: str, kind: Kind, owner: str, taken: set[str], by: str, group: str, dtype: str, means: str, *, source: str | None = None, instant: bool = False
) -> Gold:
    """The texts of the table that counts `kind` by the column that `group` makes and `by` names."""
    table = f"{kind.table}_by_{_part(by)}"
    while class_name(table) in {class_name(other) for other in taken}:
        table += "_count"
    contract = class_name(table)
    attribute = name_in_contract(by, set())
    alias = f"alias={quoted(by)}, " if attribute != by else ""
    rows = name_in_contract("rows" if by != "rows" else "number", {attribute})
    count = rows.strip("_") if rows.strip("_") != by else rows
    named = f"alias={quoted(count)}, " if rows != count else ""
    tables = f'''

class {contract}(Contract):
    """How many rows of {kind.table} there are by {_in_prose(by)}."""

    {attribute} = dy.{dtype}({alias}primary_key=True, description={quoted(means)})
    {rows} = dy.Int64({named}nullable=False, min=1, metadata={{"unit": "rows"}}, description="How many rows")


{table} = Table("gold.{subject}.{table}", {contract}, owner={quoted(owner)})
'''
    hop = f'''

@hop(tables.{table}, counts={quoted(count)}, rows=tables.{kind.table})
def count_{table}(rows: pl.LazyFrame) -> pl.LazyFrame:
    """How many rows there are by {_in_prose(by)}."""
    return rows.group_by({group}).agg(pl.len().cast(pl.Int64).alias({quoted(count)}))
'''
    values = {
        "String": ('pl.Series({0}, ["a", "b", "a"])', '["a", "b"]'),
        "Date": ("pl.Series({0}, [dt.date(2026, 1, 1), dt.date(2026, 1, 2), dt.date(2026, 1, 1)])", "[dt.date(2026, 1, 1), dt.date(2026, 1, 2)]"),
    }
    read, expected = values[dtype]
    cast = '.cast(pl.Datetime("us"))' if dtype == "Date" and (instant or source is None) else ""
    column = source or ("_landed" if dtype == "Date" else by)
    test = f'''

def test_count_{table}() -> None:
    """Each row is counted once."""
    rows = pl.LazyFrame([{read.format(quoted(column))}{cast}])
    counts = hops.count_{table}(rows).sort({quoted(by)}).collect()
    assert counts[{quoted(by)}].to_list() == {expected}
    assert counts[{quoted(count)}].to_list() == [2, 1]
'''
    return Gold(table, by, count, tables, hop, test)


def _part(text: str) -> str:
    return identifier(text, "value").strip("_")


def _in_prose(text: str) -> str:
    """The text as it can stand in a docstring."""
    return "".join(sign if sign.isprintable() and sign not in '"\\\\' else "_" for sign in text)
