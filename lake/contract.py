"""A contract: what a table promises, column by column, and the judge that sorts rows by it.

A `Contract` is a dataframely schema with the duty to document itself. dataframely evaluates the rules; this module adds what
a lakehouse needs around them: provenance kept beside the columns, keys checked where rows are de-duplicated rather than here,
rejected rows with their original values and the rules they broke, and no silent casts.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
from dataframely._base_schema import ORIGINAL_COLUMN_PREFIX  # dataframely 3 has no public way to what stood there before a cast
from dataframely._rule import DtypeCastRule

from lake.code import spelled_alone
from lake.dtypes import gate
from lake.errors import DeclarationError, DTypeRefused, SchemaRefused
from lake.exact import changed, date_of
from lake.type_names import type_name
from lake.wording import in_words

FILE, ROW, LANDED, RESCUED = "_file", "_row", "_landed", "_rescued"
PROVENANCE: dict[str, pl.DataType] = {FILE: pl.String(), ROW: pl.Int64(), LANDED: pl.Datetime("us", "UTC")}
"""What each row carries from bronze to silver: its raw object, its record number there (from 1), and when that file landed."""
RULES = "_rules"
_TEXT = "#text "  # before a date column's name: the text it was read from
_CARRIED: dict[str, Any] = {
    FILE: dy.String(nullable=True), ROW: dy.Int64(nullable=True), LANDED: dy.Datetime(nullable=True, time_unit="us", time_zone="UTC"),
}  # fmt: skip


class Contract(dy.Schema):
    """The base of every table's contract. Subclass it with dataframely columns and rules; document both."""


@dataclass(frozen=True)
class Judgement:
    """Two lazy frames: `good` has the contract's columns and provenance, typed; `bad` has the columns as they came in, and `_rules`.

    `doubts` says by rule, over the rows of `doubtful` (`good` with what the rules need beside it), which of them break one that only warns.
    """

    good: pl.LazyFrame
    bad: pl.LazyFrame
    doubtful: pl.LazyFrame
    doubts: dict[str, pl.Expr]


def judge(contract: type[Contract], frame: pl.LazyFrame, *, who: str, warn: frozenset[str] = frozenset(), marks: Mapping[str, str] | None = None) -> Judgement:
    """Sort the rows of `frame` by the contract's rules, without collecting it.

    Text is parsed into the contract's numbers and dates (ISO 8601), and a value that cannot be, or would be another number (1.599 with
    two places, a whole number that a float has not), is a broken rule `column|dtype` or `column|date`. Instants are parsed in the hop, which knows their format and zone. Other type
    differences are the hop's mistake: SchemaRefused, naming `who`. So are missing and undeclared columns. A rule that cannot be
    evaluated on the contract's columns is DeclarationError.

    `marks` names further rules, each with the Boolean column of `frame` that says whether a row keeps it. Rows that break nothing
    but rules in `warn` are good.
    """
    marks = marks or {}
    check_sound(contract)
    schema = pl.Schema({name: dtype for name, dtype in frame.collect_schema().items() if name not in marks.values()})
    carried = [name for name in PROVENANCE if name in schema]
    _fit(contract, schema, carried, who)
    dates = tuple(name for name, column in contract.columns().items() if column.dtype == pl.Date and schema[name] == pl.String)
    read = [date_of(pl.col(name)) for name in dates]
    kept = [pl.col(name).alias(_TEXT + name) for name in dates]
    cast = tuple((name, schema[name]) for name, column in contract.columns().items() if schema[name] != column.dtype and name not in dates)
    judged = _judged_schema(contract, tuple(carried), dates, tuple(marks.items()), warn, cast)
    result, failure = judged.filter(frame.with_columns(*read, *kept), cast=True)
    rules = failure._rule_columns  # noqa: SLF001  # the public accessors collect the failures; ours must stay lazy
    bad = failure._lf.select(  # noqa: SLF001
        *(pl.col(_TEXT + name).alias(name) if name in dates else pl.col(name) for name in schema.names()),
        pl.concat_list([pl.when(pl.col(rule).eq_missing(False)).then(pl.lit(rule)) for rule in rules]).list.drop_nulls().alias(RULES),
    )
    declared = contract._validation_rules(with_cast=False) if warn else {}  # noqa: SLF001  # dataframely 3 has no public listing of rules
    doubts = {name: ~(pl.col(marks[name]) if name in marks else declared[name].expr).fill_null(True) for name in sorted(warn)}
    doubtful = result.lazy().select(*contract.column_names(), *carried, *marks.values())
    return Judgement(doubtful.drop(list(marks.values())) if marks else doubtful, bad, doubtful, doubts)


def parsed(contract: type[Contract], schema: pl.Schema, name: str) -> pl.Expr:
    """A column of a frame of `schema` as the contract's type, the way the judge reads it: null where it cannot be, or would be another value."""
    wanted, column = contract.columns()[name].dtype, pl.col(name)
    if wanted == pl.Date and schema[name] == pl.String:
        return date_of(column)
    if schema[name] == wanted:
        return column
    value = column.cast(wanted, strict=False)
    other = changed(column, schema[name], value, wanted)
    return value if other is None else pl.when(~other).then(value)


def firm_rules(contract: type[Contract]) -> set[str]:
    """The rules that decide whether a value can be held at all: its type, that it is there, and whatever is asked of keys."""
    firm = {f"{name}|{kind}" for name in contract.columns() for kind in ("dtype", "date", "nullability")}
    return firm | {name for name in rule_names(contract) if name.split("|")[0] in contract.primary_key()}


def rule_names(contract: type[Contract]) -> list[str]:
    """The names of every rule rows are judged by, key uniqueness excepted: that is settled by de-duplication."""
    return [name for name in contract._validation_rules(with_cast=False) if name != "primary_key"]  # noqa: SLF001


def rule_expressions(contract: type[Contract]) -> dict[str, pl.Expr]:
    """What is asked of each row, by rule, key uniqueness and what is not sound excepted: true where a row keeps it."""
    left_out = {"primary_key", *unsound(contract)}
    return {name: rule.expr for name, rule in contract._validation_rules(with_cast=False).items() if name not in left_out}  # noqa: SLF001


@functools.cache
def unsound(contract: type[Contract]) -> Mapping[str, DeclarationError]:
    """The rules that cannot be evaluated, since they speak of a column the contract has not or raise, by name, with what is wrong and where."""
    found: dict[str, DeclarationError] = {}
    for name, rule in contract._validation_rules(with_cast=False).items():  # noqa: SLF001  # dataframely 3 has no public listing of rules
        code = _code_of(contract, name)
        where = f"See {placed(code.co_filename)}:{code.co_firstlineno}" if code else "Correct it in the contract"
        try:
            spoken = rule.expr.meta.root_names()
        except Exception as error:  # noqa: BLE001  # the team's code: whatever it raises is told as theirs
            gone = getattr(error, "name", None) if isinstance(error, AttributeError) and getattr(error, "obj", None) is contract else None
            told = f"speaks of {gone}, which is no column of it" if gone else f"raises {in_words(error)}"
            found[name] = DeclarationError(f"contract {contract.__name__}: rule {name} {told}", where)
            continue
        known = {*contract.columns(), *PROVENANCE}
        if lost := [column for column in spoken if column not in known and not column.startswith(("^", "*"))]:
            found[name] = DeclarationError(f"contract {contract.__name__}: rule {name} speaks of {', '.join(lost)}, which is no column of it", where)
    return found


def _code_of(contract: type[Contract], rule: str) -> types.CodeType | None:
    """The code of the function that a rule was made of; None for one that a column makes."""
    made = next((vars(kind)[rule] for kind in contract.__mro__ if rule in vars(kind)), None)
    return getattr(getattr(made, "validation_fn", None), "__code__", None)


def check_sound(contract: type[Contract]) -> None:
    """Raise DeclarationError for the first rule that cannot be evaluated."""
    for error in unsound(contract).values():
        raise DeclarationError(error.message, error.hint)


def placed(file: str) -> str:
    """A file as people name it: relative to where they are, if it is below."""
    path = Path(file)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name


def document(contract: type[Contract]) -> dict[str, Any]:
    """The contract as plain data, in a stable order: for schema versions, pages and fingerprints. A rule that is not sound says so."""
    broken = unsound(contract)
    rules = contract._validation_rules(with_cast=False)  # noqa: SLF001  # dataframely 3 has no public listing of rules
    return {
        "contract": contract.__name__,
        "description": inspect.cleandoc(contract.__doc__ or ""),
        "key": contract.primary_key(),
        "columns": [
            {
                "name": name, "type": str(column.dtype), "nullable": column.nullable,
                "description": column.description or "", "metadata": dict(column.metadata or {}),
            }
            for name, column in contract.columns().items()
        ],
        "rules": {name: str(broken[name]) if name in broken else _asked(contract, rule.expr) for name, rule in rules.items() if name != "primary_key"},
    }  # fmt: skip


def _asked(contract: type[Contract], expression: pl.Expr) -> str:
    """A rule in words, with a digest of it where Polars shortens the words: two rules that differ never read alike."""
    words = str(expression)
    if "python_udf" in words:
        exact = spelled_alone(f"contract {contract.__name__}", contract.__module__, expression)
    elif "…" in words or "Series" in words:
        exact = str(expression.meta.serialize(format="json"))
    else:
        return words
    return f"{words} #{hashlib.sha256(exact.encode()).hexdigest()[:12]}"


def undocumented(contract: type[Contract]) -> list[str]:
    """What a reader of the contract would miss: a docstring, a description, a number's unit. TODO is none of them. Empty when it is complete."""
    missing = [] if _says_something(contract.__doc__) else ["the contract has no docstring"]
    for name, column in contract.columns().items():
        if not _says_something(column.description):
            missing.append(f"{name} has no description")
        if column.dtype.is_numeric() and not column.primary_key and not _says_something((column.metadata or {}).get("unit", "TODO")):
            missing.append(f"{name} has no unit")
    return missing


def _says_something(text: Any) -> bool:
    told = str(text or "").strip()
    return bool(told) and not told.startswith("TODO")


def check_declaration(contract: type[Contract]) -> None:
    """Raise DeclarationError if no frame could ever satisfy the contract and be stored."""
    name = contract.__name__
    if not contract.columns():
        raise DeclarationError(f"contract {name} has no columns", "Declare at least one, e.g. order = dy.Int64(primary_key=True)")
    for column in contract.column_names():
        if column in PROVENANCE or column == RULES:
            raise DeclarationError(f"contract {name} declares {column}, which lake itself fills", "Remove it")
    for column in contract.primary_key():
        if contract.columns()[column].nullable:
            raise DeclarationError(f"contract {name}: key column {column} is nullable", "A key is never null; drop nullable=True")
    for column, spec in contract.columns().items():
        if problem := _impossible(spec):
            raise DeclarationError(f"contract {name}: no value of {column} can satisfy it: {problem}", "Correct its bounds or its pattern in the contract")
    try:
        gate(pl.Schema({column: spec.dtype for column, spec in contract.columns().items()}))
    except DTypeRefused as refused:
        raise DeclarationError(f"contract {name}: {refused.message}", "Choose another type in the contract") from None


def _impossible(column: Any) -> str | None:
    """Why no value can satisfy the column, or None."""
    if getattr(column, "regex", None) is not None:
        try:
            pl.select(pl.lit("").str.contains(column.regex))
        except pl.exceptions.PolarsError as error:
            return in_words(error)
    shortest, longest = getattr(column, "min_length", None), getattr(column, "max_length", None)
    if shortest is not None and longest is not None and shortest > longest:
        return f"min_length {shortest} is above max_length {longest}"
    if column.dtype.is_integer():
        least, greatest = pl.select(column.dtype.min(), column.dtype.max().alias("max")).row(0)
        low, high = getattr(column, "min", None), getattr(column, "max", None)
        if (low is not None and low > greatest) or (high is not None and high < least):
            return f"{type_name(column.dtype)} holds {least} to {greatest}"
    return None


@functools.cache
def ending(contract: type[Contract], columns: tuple[str, ...]) -> type[Contract]:
    """What the contract asks of a row that only says that its key is gone: the key, and whatever orders it."""
    known = contract.columns()
    spoken: dict[str, Any] = {name: known[name] if known[name].primary_key else known[name].with_nullable(True) for name in dict.fromkeys(columns)}
    return type(f"{contract.__name__}Ending", (Contract,), spoken)


_Cast = tuple[tuple[str, pl.DataType], ...]
_Derived = tuple[type[Contract], tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...], frozenset[str], _Cast]
_derived: dict[_Derived, type[dy.Schema]] = {}


def _judged_schema(
    contract: type[Contract], carried: tuple[str, ...], dates: tuple[str, ...], marks: tuple[tuple[str, str], ...], warn: frozenset[str], cast: _Cast
) -> type[dy.Schema]:
    """The contract without its key rule (which needs all rows at once) and rules that warn, with provenance, the text of its dates and marks; cached.

    `cast` has the columns that are of another type, with that: values that are others in the contract's type break its rule.
    """
    called = (contract, carried, dates, marks, warn, cast)
    if called not in _derived:
        columns: dict[str, Any] = {
            name: column.with_primary_key(False).with_nullable(False) for name, column in contract.columns().items() if column.primary_key
        }
        columns |= {name: _CARRIED[name] for name in carried}
        columns |= {_TEXT + name: dy.String(nullable=True) for name in dates}
        columns |= {f"{name}|date": dy.rule()(partial(_was_read, name=name)) for name in dates}
        columns |= {column: dy.Bool(nullable=True) for _, column in marks}
        columns |= {name: dy.rule()(partial(_is_marked, name=column)) for name, column in marks}
        if warn or cast:
            columns["_validation_rules"] = classmethod(partial(_firm, warn=warn, cast=cast))
        _derived[called] = type(contract.__name__, (contract,), columns)
    return _derived[called]


def _firm(schema: type[dy.Schema], *, with_cast: bool, warn: frozenset[str], cast: _Cast) -> dict[str, Any]:
    """The rules by which rows are turned away."""
    every = dy.Schema._validation_rules.__func__(schema, with_cast=with_cast)  # type: ignore[attr-defined]  # noqa: SLF001
    for name, given in cast if with_cast else ():
        other = changed(pl.col(ORIGINAL_COLUMN_PREFIX + name), given, pl.col(name), schema.columns()[name].dtype)
        if other is not None:
            every[f"{name}|dtype"] = DtypeCastRule(every[f"{name}|dtype"].expr & ~other)
    return {name: rule for name, rule in every.items() if name not in warn}


def _is_marked(_: Any, *, name: str) -> pl.Expr:
    return pl.col(name)


def _was_read(_: Any, *, name: str) -> pl.Expr:
    return pl.col(name).is_not_null() | pl.col(_TEXT + name).is_null()


def _fit(contract: type[Contract], schema: pl.Schema, carried: list[str], who: str) -> None:
    wanted = contract.columns()
    if missing := [name for name in wanted if name not in schema]:
        raise SchemaRefused(f"{who} returns no column {', '.join(missing)}, which {contract.__name__} promises", "Add it in the hop, or change the contract")
    if extra := [name for name in schema if name not in wanted and name not in carried]:
        raise SchemaRefused(
            f"{who} returns {', '.join(extra)}, which {contract.__name__} does not declare", "Declare it in the contract, or drop it in the hop"
        )
    for name, column in wanted.items():
        if not (column.validate_dtype(schema[name]) or _safe_cast(schema[name], column.dtype)):
            raise SchemaRefused(
                f"{who} returns {name} as {type_name(schema[name])}, and {contract.__name__} promises {type_name(column.dtype)}", "Cast it in the hop"
            )


def _safe_cast(given: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether casting can only succeed or be noticed: text is parsed; integers and floats widen; nothing is cut."""
    if given == pl.String:
        return wanted.is_numeric() or wanted == pl.Date or isinstance(wanted, pl.Enum | pl.Categorical)
    if given == pl.Null:
        return True
    if given.is_integer() and wanted.is_integer():
        return True  # out of range becomes null, which is a broken dtype rule
    if given.is_integer() and wanted.is_float():
        return wanted == pl.Float64
    return given == pl.Float32 and wanted == pl.Float64
