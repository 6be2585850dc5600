"""The three files of a subject drafted from what was found in a raw file: Python that runs. What only people know is marked TODO."""

from __future__ import annotations

import keyword
import re
from pathlib import PurePath
from typing import Any

import polars as pl

from lake.contract import Contract
from lake.guess import ABSENT, MOST_ROWS, Column
from lake.reading.dialect import Dialect
from lake.reading.hints import Hints
from lake.reading.unpack import bare_name
from lake.wording import counted

_TYPES: dict[Any, str] = {
    pl.Boolean: "Bool", pl.Int8: "Int8", pl.Int16: "Int16", pl.Int32: "Int32", pl.Int64: "Int64", pl.Float32: "Float32", pl.Float64: "Float64",
    pl.String: "String", pl.Binary: "Binary", pl.Date: "Date",
}  # fmt: skip


def draft(file: str, folder: str, dialect: Dialect, hints: Hints, columns: list[Column], rows: int, *, subject: str | None = None) -> dict[str, str]:
    """The three files of a subject by their paths, ready to run: what the tables promise, where files like `file` come from, how rows get into silver."""
    bare = bare_name(dialect.member or file).rsplit("/", 1)[-1]
    stem = bare.rpartition(".")[0] or bare
    if pattern_of(file) != _exactly(file):  # others will come, with another date
        stem = re.sub(r"[\W_]*(\d[\d._-]*\d|\d{2,})[\W_]*", "_", stem).strip("_") or stem
    table = _identifier(stem, "table")
    home = f"flows/{subject or _identifier(PurePath(folder).name, 'drafts')}"
    key = _key(columns)
    told = ", ".join(f"{name}={value!r}" for name, value in found_hints(dialect, hints).items())
    over = f"# Types and nulls are those of the first {MOST_ROWS:,} of {counted(rows, 'row')}.\n" if rows > MOST_ROWS else ""
    body = "\n".join(_lines(columns, key, rows)) or "    # no column was found"
    name, place = class_name(stem), home.replace("/", ".")
    layer = f"{home.rpartition('/')[2]}.{table}"
    tables = f'''import dataframely as dy
from lake import Contract, Table

{over}
class {name}(Contract):
    """TODO: what one row of {name} is."""

{body}


bronze_{table} = Table("bronze.{layer}")
{table} = Table("silver.{layer}", {name}, owner="TODO")
'''
    sources = f"""from {place} import tables
from lake import {"Hints, " if told else ""}Source

# TODO: may the same bytes come again under another name and count, such as a daily state that is what it was? Then add copies="deliver".
{table} = Source(tables.bronze_{table}, {folder!r}, {pattern_of(file)!r}{f", hints=Hints({told})" if told else ""})
"""
    return {f"{home}/tables.py": tables, f"{home}/sources.py": sources, f"{home}/hops.py": _hops(place, table, columns, write="merge" if key else "append")}


def as_text(files: dict[str, str]) -> str:
    """All files in one text, each below a line that says where it belongs."""
    return "\n\n".join(f"# {path}\n{text}" for path, text in files.items())


def pattern_of(file: str) -> str:
    """The pattern of files that come again under the name of this one: its numbers, such as a date, may be others."""
    exact = _exactly(file)
    open_ended = re.sub(r"\d[\d._-]*\d|\d{2,}", "[0-9]*", exact)
    return open_ended if re.search(r"[^\W\d_]", open_ended.partition(".")[0].replace("[0-9]*", "")) else exact


def _exactly(file: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", file)


def _identifier(text: str, otherwise: str) -> str:
    """The text as a part of a table's name."""
    made = re.sub(r"[^0-9a-z_]+", "_", text.lower()).strip("_") or otherwise
    return made if made[0].isalpha() else f"t_{made}"


def _key(columns: list[Column]) -> Column | None:
    return next((column for column in columns if column.unique and (column.guess.is_integer() or column.guess == pl.String)), None)


def _hops(place: str, table: str, columns: list[Column], *, write: str) -> str:
    """The hop from bronze to silver: what is text there and something else here, and what stands for no value."""
    taken = [(column.name, _taken(column)) for column in columns]
    plain = [repr(name) for name, made in taken if made is None]
    made = "".join(
        f"        {name_of}={expression},\n" if name_of.isidentifier() and not keyword.iskeyword(name_of) else f"        {expression}.alias({name_of!r}),\n"
        for name_of, expression in taken
        if expression
    )
    positional = "".join(f"        {name},\n" for name in [*plain])
    named = [line for line in made.splitlines(keepends=True) if ".alias(" in line]
    keywords = [line for line in made.splitlines(keepends=True) if ".alias(" not in line]
    helper = f'''

ABSENT = {[*ABSENT, ""]!r}


def told(column: str) -> pl.Expr:
    """The text of a column, null where it stands for no value."""
    return pl.when(~pl.col(column).str.to_lowercase().is_in(ABSENT)).then(pl.col(column))
''' if "told(" in made else ""  # fmt: skip
    return f'''import polars as pl
from {place} import tables
from lake import PROVENANCE, changes, hop
{helper}

@hop(tables.{table}, write="{write}", raw=changes(tables.bronze_{table}))
def take_{table}(raw: pl.LazyFrame) -> pl.LazyFrame:
    """TODO: what happens to the rows."""
    return raw.select(
{positional}{"".join(named)}        *PROVENANCE,
{"".join(keywords)}    )
'''


def _taken(column: Column) -> str | None:
    """The expression that makes the column of silver; None where it is taken as it is."""
    if column.dtype != pl.String:
        return None
    text = f"told({column.name!r})" if column.absent or column.blanks else f"pl.col({column.name!r})"
    if isinstance(column.guess, pl.Datetime):
        zone = f", time_zone={column.guess.time_zone!r}" if column.guess.time_zone else ""
        return f'{text}.str.to_datetime(time_unit="us"{zone}, strict=False)'
    if column.guess == pl.Boolean:
        return f'{text}.str.to_lowercase().replace_strict({{"true": True, "false": False}}, default=None, return_dtype=pl.Boolean)'
    return text if text.startswith("told(") else None


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
    if dialect.written is not None:
        found = {name: value for name, value in found.items() if name not in ("delimiter", "quote", "comment")} | dialect.told
    if dialect.format == "excel" and not dialect.other_sheets:
        found.pop("sheet", None)
    return {name: value for name, value in (found | given).items() if value is not None}


def _lines(columns: list[Column], key: Column | None, rows: int) -> list[str]:
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
        notes += [f"unique in all {counted(rows, 'row')} of this file: a guess"] if column is key else []
        notes += [_done(column.remark)] if column.remark else []
        notes += [f"{column.blanks:,} empty texts: the hop makes them null"] if column.blanks else []
        lines.append(f"    {attribute} = {_spelled(column.guess, options)}" + (f"  # {'; '.join(notes)}" if notes else "").replace("\n", " "))
    return lines


def _done(remark: str) -> str:
    """A remark on what a hop has to do, where the drafted one does it."""
    for asked, does in (
        ("make it null in the hop", "the hop makes it null"),
        ("parse it in the hop", "the hop parses it"),
        ("compare it in the hop", "the hop compares it"),
    ):
        remark = remark.replace(asked, does)
    return remark


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
