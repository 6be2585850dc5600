"""What type the values of a column would bear, found by counting over its rows: a proposal for a contract, never applied to data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.contract import RESCUED, ROW
from lake.exact import bare, date_of
from lake.wording import counted as number_of

MOST_ROWS = 1_000_000
"""Guesses look at this many rows at most."""
_AT_ONCE = 64
_EXAMPLES = 3
ABSENT = ("na", "n/a", "#n/a", "nan", "null", "none", "-", "?")
"""Texts, in small letters, that stand for no value among values of another type."""
_WHOLE, _PLAIN, _FRACTION = r"^[+-]?\d+$", r"^[+-]?(\d+\.?\d*|\.\d+)$", r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_FIXED = r"^[+-]?\d{1,30}\.(\d{1,8})$"
_MOST_DIGITS = 38
_TRUSTED_DIGITS = 15  # significant digits that come back from a 64-bit float as they were
_WIDE = "more digits than a 64-bit number holds"
_INSTANT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$"
_FINE = r":\d\d\.\d{6}\d*[1-9]"
_COMMA = r"^[+-]?\d{1,3}(\.?\d{3})*,\d+$"


@dataclass(frozen=True)
class Column:
    """A column as bronze would hold it, and the type its values would bear (`guess`, with `remark` where a hop must do something for it).

    In the rows that were looked at, `nulls` counts nulls, `blanks` empty texts, `absent` texts such as NA among values of the guessed type.
    `unique` says that the whole file was looked at, every row has a value, and none comes twice.
    """

    name: str
    named: str
    dtype: pl.DataType
    guess: pl.DataType
    remark: str = ""
    nulls: int = 0
    blanks: int = 0
    unique: bool = False
    examples: list[Any] = field(default_factory=list)
    absent: int = 0


def guess_columns(frame: pl.LazyFrame, renamed: dict[str, str], rows: int) -> list[Column]:
    """The columns of `frame` but lake's own, in one streaming pass for every 64 of them over at most a million of its `rows`."""
    schema = frame.collect_schema()
    names = [name for name in schema if name not in (ROW, RESCUED)]
    if not names:
        return []
    seen = frame.select(names).head(MOST_ROWS)
    told = [counted for start in range(0, len(names), _AT_ONCE) for counted in _counted(seen, schema, names[start : start + _AT_ONCE])]
    examples = seen.head(1000).collect(engine="streaming")
    result = []
    for name, counted in zip(names, told, strict=True):
        present = [value for value in examples[name].to_list() if value not in (None, "")]
        shown = list({repr(value): value for value in present}.values())[:_EXAMPLES]
        guess, remark = _guess(schema[name], counted)
        unique = rows <= MOST_ROWS and rows > 1 and counted.get("different") == rows and counted["nulls"] + counted.get("blanks", 0) == 0
        absent = counted.get("absent", 0) if guess != schema[name] else 0
        result.append(
            Column(name, renamed.get(name, name), schema[name], guess, remark, counted["nulls"], counted.get("blanks", 0), unique and not absent, shown, absent)
        )
    return result


def _counted(seen: pl.LazyFrame, schema: pl.Schema, names: list[str]) -> list[dict[str, Any]]:
    asked = [_counts(name, schema[name]) for name in names]
    flat = [expression.alias(f"{i} {what}") for i, counts in enumerate(asked) for what, expression in counts.items()]
    found = iter(seen.select(flat).collect(engine="streaming").row(0))
    return [{what: next(found) for what in counts} for counts in asked]


def _counts(name: str, dtype: pl.DataType) -> dict[str, pl.Expr]:
    column = pl.col(name)
    counts = {"nulls": column.null_count()}
    if not dtype.is_nested():
        counts["different"] = column.n_unique()
    if dtype != pl.String:
        return counts
    absent = column.str.to_lowercase().is_in(ABSENT)
    told = column.filter(column.is_not_null() & (column != "") & ~absent)
    return counts | {
        "blanks": (column == "").sum(), "absent": absent.sum(), "mark": column.filter(absent).first(), "told": told.len(), "whole": told.str.contains(_WHOLE).sum(), "beyond": (told.str.contains(_WHOLE) & told.cast(pl.Int64, strict=False).is_null()).sum(),
        "plain": told.str.contains(_PLAIN).sum(), "inexact": _inexact(told).sum(), "before": told.str.extract(r"^[+-]?(\d*)", 1).str.len_chars().max(),
        "behind": told.str.extract(r"\.(\d*)", 1).str.len_chars().max(), "zeros": told.str.contains(r"^[+-]?0\d").sum(),
        "fraction": told.str.contains(_FRACTION).sum(), "fixed": told.str.contains(_FIXED).sum(),
        "least": told.str.extract(_FIXED, 1).str.len_chars().min(), "most": told.str.extract(_FIXED, 1).str.len_chars().max(),
        "date": date_of(told).is_not_null().sum(), "instant": told.str.contains(_INSTANT).sum(), "fine": told.str.contains(_FINE).sum(),
        "zone": told.str.contains(r"(Z|\d[+-]\d\d:?\d\d)$").sum(), "bool": told.str.to_lowercase().is_in(["true", "false"]).sum(), "comma": told.str.contains(_COMMA).sum(),
    }  # fmt: skip


def _inexact(text: pl.Expr) -> pl.Expr:
    """Whether a number would not come back from a 64-bit float: it has more digits than are safe, and the shortest spelling of the float is another."""
    digits = text.str.replace(r"[eE].*$", "").str.replace_all(r"\D", "").str.strip_chars("0").str.len_chars()
    back = bare(text.cast(pl.Float64, strict=False).cast(pl.String))
    return text.str.contains(_FRACTION) & (digits > _TRUSTED_DIGITS) & (bare(text) != back)


def _guess(dtype: pl.DataType, counted: dict[str, Any]) -> tuple[pl.DataType, str]:
    """The type all values bear that are not marked as absent, and what is to be known of it."""
    if dtype != pl.String or not counted["told"]:
        return dtype, ""
    guess, remark = _guess_text(dtype, counted)
    if counted["absent"] and (guess != dtype or remark):
        marked = f"{counted['mark']!r} in {number_of(counted['absent'], 'row')}: make it null in the hop"
        remark = f"{marked}; {remark}" if remark else marked
    return guess, remark


def _guess_text(dtype: pl.DataType, counted: dict[str, Any]) -> tuple[pl.DataType, str]:
    """Numbers with leading zeros are text: codes, mostly."""
    told = counted["told"]
    if counted["zeros"]:
        return dtype, "numbers with leading zeros" if counted["whole"] == told else ""
    if counted["whole"] == told and not counted["beyond"]:
        return pl.Int64(), ""
    if counted["fixed"] == told and counted["least"] == counted["most"]:
        return pl.Decimal(_MOST_DIGITS, counted["most"]), _places(counted["most"])
    if counted["fraction"] == told:
        return _guess_number(dtype, counted)
    if counted["date"] == told:
        return pl.Date(), ""
    if counted["instant"] == told and counted["fine"]:
        return dtype, "instants finer than microseconds: text keeps them"
    if counted["instant"] == told:
        zone = "UTC" if counted["zone"] == told else None
        return pl.Datetime("us", zone), "text in bronze: parse it in the hop, which knows its zone"
    if counted["bool"] == told:
        return pl.Boolean(), "text in bronze: compare it in the hop"
    return dtype, "decimal commas: replace them in the hop to have numbers" if counted["comma"] == told else ""


def _places(seen: int) -> str:
    """What is to be known of a decimal: the judge turns away what it would round."""
    return f"{number_of(seen, 'place')} seen: a value with more is rejected" if seen else "no places seen: a value with some is rejected"


def _guess_number(dtype: pl.DataType, counted: dict[str, Any]) -> tuple[pl.DataType, str]:
    """A type that changes no number: a float if each comes back from one, else a decimal, else text."""
    if not counted["inexact"] and counted["whole"] < counted["told"]:
        return pl.Float64(), ""
    scale = counted["behind"] or 0
    if counted["plain"] == counted["told"] and counted["before"] + scale <= _MOST_DIGITS:
        return pl.Decimal(_MOST_DIGITS, scale), f"{_WIDE}; {_places(scale)}"
    return dtype, f"numbers with {_WIDE}: text keeps them"
