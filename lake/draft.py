"""The three files of a subject drafted from what was found in a raw file: Python that runs. What only people know is marked TODO."""

from __future__ import annotations

import json
import keyword
import re
import unicodedata
from dataclasses import dataclass
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
_TAKEN = {"dy", "pl", "tables", "told", "changes", "hop"}
_CLASSES = {"Contract", "Table", "Source", "Hints"}
"""Names that the drafted files have for something else."""


@dataclass(frozen=True)
class Draft:
    """One table as drafted: its name below a subject, and the texts of its contract, source and hop. `hints` and `absent` say what these need.

    `key` names the columns of the key, in the order of the contract; none where rows are appended.
    """

    table: str
    contract: str
    columns: list[Column]
    key: tuple[str, ...]
    declared: str
    source: str
    hop: str
    hints: bool
    absent: bool


def draft(file: str, folder: str, dialect: Dialect, hints: Hints, columns: list[Column], rows: int, *, subject: str | None = None) -> dict[str, str]:
    """The three files of a subject by their paths, ready to run: what the tables promise, where files like `file` come from, how rows get into silver."""
    stem = stem_of(dialect.member or file, again=pattern_of(file) != _exactly(file))
    subject = subject or identifier(PurePath(folder).name, "drafts")
    asked = '# TODO: may the same bytes come again under another name and count, such as a daily state that is what it was? Then add copies="deliver".\n'
    key = guessed_key(columns)
    told = found_hints(dialect, hints)
    return as_files(subject, [drafted(identifier(stem, "table"), class_name(stem), folder, pattern_of(file), told, columns, rows, key, above=asked)])


def drafted(
    table: str,
    contract: str,
    at: str,
    pattern: str,
    hints: dict[str, Any],
    columns: list[Column],
    rows: int,
    key: tuple[str, ...],
    *,
    copies: str | None = None,
    above: str = "",
) -> Draft:
    """A table of a subject, drafted from the columns of its files, which lie at `at` and match `pattern`. `above` stands above its source."""
    told = ", ".join(f"{name}={value!r}" for name, value in hints.items())
    over = f"# Types and nulls are those of the first {MOST_ROWS:,} of {counted(rows, 'row')}.\n" if rows > MOST_ROWS else ""
    body = "\n".join(_lines(columns, key, rows)) or "    # no column was found"
    declared = f'''{over}class {contract}(Contract):
    """TODO: what one row of {contract} is."""

{body}
'''
    more = (f", hints=Hints({told})" if told else "") + (f", copies={quoted(copies)}" if copies else "")
    source = f"{above}{table} = Source(tables.bronze_{table}, {quoted(at)}, {quoted(pattern)}{more})\n"
    hop = _hop(table, columns, write="merge" if key else "append")
    return Draft(table, contract, columns, key, declared, source, hop, bool(told), "told(" in hop)


def as_files(subject: str, drafts: list[Draft], *, owner: str = "TODO") -> dict[str, str]:
    """The three files of a subject by their paths: its tables, sources and hops."""
    home = f"flows/{subject}"
    place = home.replace("/", ".")
    contracts = "\n\n".join(one.declared for one in drafts)
    declared = "".join(
        f'bronze_{one.table} = Table("bronze.{subject}.{one.table}")\n'
        f'{one.table} = Table("silver.{subject}.{one.table}", {one.contract}, owner={quoted(owner)})\n'
        for one in drafts
    )
    tables = f"import dataframely as dy\nfrom lake import Contract, Table\n\n\n{contracts}\n\n{declared}"
    taken = f"from {place} import tables\nfrom lake import {'Hints, ' if any(one.hints for one in drafts) else ''}Source\n\n"
    sources = taken + "".join(one.source for one in drafts)
    helper = f'''ABSENT = [{", ".join(map(quoted, [*ABSENT, ""]))}]


def told(column: str) -> pl.Expr:
    """The text of a column, null where it stands for no value."""
    return pl.when(~pl.col(column).str.to_lowercase().is_in(ABSENT)).then(pl.col(column))


''' if any(one.absent for one in drafts) else ""  # fmt: skip
    imports = f"import polars as pl\nfrom {place} import tables\nfrom lake import PROVENANCE, changes, hop\n"
    hops = f"{imports}\n\n{helper}" + "\n\n".join(one.hop for one in drafts)
    return {f"{home}/tables.py": tables, f"{home}/sources.py": sources, f"{home}/hops.py": hops}


def quoted(text: str) -> str:
    """A text as Python has it, in the quotes that formatters leave."""
    return json.dumps(text, ensure_ascii=False)


def as_text(files: dict[str, str]) -> str:
    """All files in one text, each below a line that says where it belongs."""
    return "\n\n".join(f"# {path}\n{text}" for path, text in files.items())


def pattern_of(file: str) -> str:
    """The pattern of files that come again under the name of this one: its numbers, such as a date, may be others."""
    exact = _exactly(file)
    open_ended = re.sub(r"\d[\d._-]*\d|\d{2,}", "[0-9]*", exact)
    return open_ended if re.search(r"[^\W\d_]", open_ended.partition(".")[0].replace("[0-9]*", "")) else exact


def stem_of(name: str, *, again: bool) -> str:
    """What a file is called, without folders and endings; without its numbers where files come `again` under other ones."""
    bare = bare_name(name).rsplit("/", 1)[-1]
    stem = bare.rpartition(".")[0] or bare
    return (re.sub(r"[\W_]*(\d[\d._-]*\d|\d{2,})[\W_]*", "_", stem).strip("_") or stem) if again else stem


def _exactly(file: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", file)


def identifier(text: str, otherwise: str) -> str:
    """The text as a part of a table's name, which is a name in Python as well."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    made = re.sub(r"[^0-9a-z_]+", "_", plain).strip("_") or otherwise
    made = made if made[0].isalpha() else f"t_{made}"
    return f"{made}_" if keyword.iskeyword(made) or made in _TAKEN else made


def guessed_key(columns: list[Column]) -> tuple[str, ...]:
    """The column that tells the rows of a file apart, if one does: whole numbers or text, no two alike."""
    return next(((column.name,) for column in columns if column.unique and (column.guess.is_integer() or column.guess == pl.String)), ())


def _hop(table: str, columns: list[Column], *, write: str) -> str:
    """The hop from bronze to silver: what is text there and something else here, and what stands for no value."""
    taken = [(column.name, _taken(column)) for column in columns]
    positional = "".join(f"        {quoted(name)},\n" for name, made in taken if made is None)
    named = "".join(f"        {made}.alias({quoted(name)}),\n" for name, made in taken if made and not is_name(name))
    keywords = "".join(f"        {name}={made},\n" for name, made in taken if made and is_name(name))
    return f'''@hop(tables.{table}, write="{write}", raw=changes(tables.bronze_{table}))
def take_{table}(raw: pl.LazyFrame) -> pl.LazyFrame:
    """TODO: what happens to the rows."""
    return raw.select(
{positional}{named}        *PROVENANCE,
{keywords}    )
'''


def is_name(text: str) -> bool:
    """Whether Python takes the text for a name."""
    return text.isidentifier() and not keyword.iskeyword(text)


def _taken(column: Column) -> str | None:
    """The expression that makes the column of silver; None where it is taken as it is."""
    if column.dtype != pl.String:
        return None
    text = f"told({quoted(column.name)})" if column.absent or column.blanks else f"pl.col({quoted(column.name)})"
    if isinstance(column.guess, pl.Datetime):
        zone = f", time_zone={column.guess.time_zone!r}" if column.guess.time_zone else ""
        return f'{text}.str.to_datetime(time_unit="us"{zone}, strict=False)'
    if column.guess == pl.Boolean:
        return f'{text}.str.to_lowercase().replace_strict({{"true": True, "false": False}}, default=None, return_dtype=pl.Boolean)'
    return text if text.startswith("told(") else None


def class_name(stem: str) -> str:
    """The name of a class for a file: `daily_orders-2024` is `DailyOrders2024`; none that the drafted files have for something else."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    made = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", plain) if word)
    made = made if made[:1].isalpha() else f"Table{made}"
    return f"{made}Row" if made in _CLASSES or keyword.iskeyword(made) else made


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


def _lines(columns: list[Column], key: tuple[str, ...], rows: int) -> list[str]:
    taken: set[str] = set()
    lines = []
    for column in columns:
        attribute = name_in_contract(column.name, taken)
        taken.add(attribute)
        options = [f"alias={quoted(column.name)}"] if attribute != column.name else []
        if column.name in key:
            options.append("primary_key=True")
        else:
            options.append(f"nullable={bool(column.nulls or column.blanks or column.absent or not rows)}")
        options.append('description="TODO"')
        if column.guess.is_numeric() and column.name not in key:
            options.append('metadata={"unit": "TODO"}')
        notes = [f"was {column.named!r} in the file"] if column.named != column.name else []
        notes += [_why_key(column, key, rows)] if column.name in key else []
        notes += [_done(column.remark)] if column.remark else []
        notes += [f"{column.blanks:,} empty texts: the hop makes them null"] if column.blanks else []
        lines.append(f"    {attribute} = {_spelled(column.guess, options)}" + (f"  # {'; '.join(notes)}" if notes else "").replace("\n", " "))
    return lines


def _why_key(column: Column, key: tuple[str, ...], rows: int) -> str:
    if column.unique:
        return f"unique in all {counted(rows, 'row')} of this file: a guess"
    return "part of the key" if len(key) > 1 else "the key, as it was told"


def _done(remark: str) -> str:
    """A remark on what a hop has to do, where the drafted one does it."""
    for asked, does in (
        ("make it null in the hop", "the hop makes it null"),
        ("parse it in the hop", "the hop parses it"),
        ("compare it in the hop", "the hop compares it"),
    ):
        remark = remark.replace(asked, does)
    return remark


def name_in_contract(name: str, taken: set[str]) -> str:
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
