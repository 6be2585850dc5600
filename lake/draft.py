"""A contract and a source drafted from what was found in a file, as Python code to paste. What only people know is marked TODO."""

from __future__ import annotations

import keyword
import re
from pathlib import PurePath
from typing import Any

import polars as pl

from lake.contract import Contract
from lake.guess import MOST_ROWS, Column
from lake.reading.dialect import Dialect, Hints
from lake.reading.unpack import bare_name

_TYPES: dict[Any, str] = {
    pl.Boolean: "Bool", pl.Int8: "Int8", pl.Int16: "Int16", pl.Int32: "Int32", pl.Int64: "Int64", pl.Float32: "Float32", pl.Float64: "Float64",
    pl.String: "String", pl.Binary: "Binary", pl.Date: "Date",
}  # fmt: skip


def draft(file: str, folder: str, dialect: Dialect, hints: Hints, columns: list[Column], rows: int) -> str:
    """The code: imports, a class with a dataframely column for each of `columns`, and the source that reads files like `file`."""
    bare = bare_name(dialect.member or file).rsplit("/", 1)[-1]
    stem = bare.rpartition(".")[0] or bare
    suffix = "".join(PurePath(file).suffixes[-2:] if bare_name(file) != file else PurePath(file).suffixes[-1:])
    name = class_name(stem)
    table = re.sub(r"\W+", "_", stem.lower()).strip("_") or "table"
    table = table if table[0].isalpha() else f"t_{table}"
    told = ", ".join(f"{key}={value!r}" for key, value in found_hints(dialect, hints).items())
    over = f"\n# Types and nulls are those of the first {MOST_ROWS:,} of {rows:,} rows." if rows > MOST_ROWS else ""
    body = "\n".join(_lines(columns, rows)) or "    # no column was found"
    return f'''import dataframely as dy
from lake.contract import Contract
from lake.reading.dialect import Hints
from lake.source import Source
from lake.table import Table
{over}

class {name}(Contract):
    """TODO: what one row of {name} is."""

{body}


bronze_{table} = Table("bronze.TODO_subject.{table}")
{table}_files = Source(bronze_{table}, {folder!r}, "*{suffix}", hints=Hints({told}))
'''


def class_name(stem: str) -> str:
    """The name of a class for a file: `daily_orders-2024` is `DailyOrders2024`."""
    made = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", stem) if word)
    return made if made[:1].isalpha() else f"Table{made}"


def found_hints(dialect: Dialect, hints: Hints) -> dict[str, Any]:
    """The hints that were given or found out and are not what a file has unless something else is said."""
    given = hints.model_dump(exclude_defaults=True)
    found = {
        name: value
        for name in Hints.model_fields
        if name in Dialect.model_fields and name not in ("format", "most_bytes") and (value := getattr(dialect, name)) != Dialect.model_fields[name].default
    }
    if dialect.format == "excel" and not dialect.other_sheets:
        found.pop("sheet", None)
    return {name: value for name, value in (found | given).items() if value is not None}


def _lines(columns: list[Column], rows: int) -> list[str]:
    key = next((column for column in columns if column.unique and (column.guess.is_integer() or column.guess == pl.String)), None)
    taken: set[str] = set()
    lines = []
    for column in columns:
        attribute = _attribute(column.name, taken)
        taken.add(attribute)
        options = [f"alias={column.name!r}"] if attribute != column.name else []
        if column is key:
            options.append("primary_key=True")
        else:
            options.append(f"nullable={bool(column.nulls or column.blanks or column.absent or not rows)}")
        options.append('description="TODO"')
        if column.guess.is_numeric() and column is not key:
            options.append('metadata={"unit": "TODO"}')
        notes = [f"was {column.named!r} in the file"] if column.named != column.name else []
        notes += [f"unique in all {rows:,} rows of this file: a guess"] if column is key else []
        notes += [column.remark] if column.remark else []
        notes += [f"{column.blanks:,} empty texts: make them null in the hop"] if column.blanks else []
        lines.append(f"    {attribute} = {_spelled(column.guess, options)}" + (f"  # {'; '.join(notes)}" if notes else "").replace("\n", " "))
    return lines


def _attribute(name: str, taken: set[str]) -> str:
    """The name as a Python name that a contract can have."""
    plain = re.sub(r"\W", "_", name).strip("_") or "column"
    plain = f"n_{plain}" if plain[0].isdigit() else plain
    while keyword.iskeyword(plain) or hasattr(Contract, plain) or plain in taken:
        plain += "_"
    return plain


def _spelled(dtype: pl.DataType, options: list[str]) -> str:
    told = ", ".join(options)
    if isinstance(dtype, pl.Decimal):
        return f"dy.Decimal({dtype.precision}, {dtype.scale}, {told})".replace(", )", ")")
    if isinstance(dtype, pl.Datetime):
        zone = f", time_zone={dtype.time_zone!r}" if dtype.time_zone else ""
        return f"dy.Datetime(time_unit='us'{zone}{', ' if told else ''}{told})"
    if isinstance(dtype, pl.List):
        return f"dy.List({_spelled(_instance(dtype.inner), ['nullable=True'])}{', ' if told else ''}{told})"
    if isinstance(dtype, pl.Struct):
        fields = ", ".join(f"{field.name!r}: {_spelled(_instance(field.dtype), ['nullable=True'])}" for field in dtype.fields)
        return f"dy.Struct({{{fields}}}{', ' if told else ''}{told})"
    return f"dy.{_TYPES[dtype.base_type()]}({told})"


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made
