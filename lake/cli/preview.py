"""The command that shows what bronze would hold of a file."""

from __future__ import annotations

from typing import Any

import click
import polars as pl

from lake.catalog import Row
from lake.cli.render import as_it_came, json_option, print_frame, print_json, print_table, say
from lake.draft import as_text
from lake.errors import DeclarationError
from lake.previewing import Member
from lake.previewing import preview as open_preview
from lake.reading.structural import HEADER
from lake.type_names import type_name
from lake.wording import counted

_SHOWN_COLUMNS, _LONGEST_NAME = 50, 80
_SHOWN_REJECTS, _SHOWN_STRUCTURE, _LONGEST_BYTES = 10, 20, 200
_OPTIONS = ("delimiter", "encoding", "sheet", "format", "records")


@click.command()
@click.argument("file", type=click.Path())
@click.option("-n", "--rows", type=click.IntRange(0, 100_000), default=10, show_default=True, help="How many rows to show.")
@click.option("--delimiter", default=None, help="What stands between fields.")
@click.option("--encoding", default=None, help="How text is encoded, such as cp1252.")
@click.option("--sheet", default=None, help="Name or number of a workbook's sheet.")
@click.option("--format", "kind", default=None, help="csv, json, ndjson, parquet, arrow or excel.")
@click.option("--records", default=None, help="Where in a JSON document the list of records is: data.items.")
@click.option("--hint", "more", multiple=True, metavar="NAME=VALUE", help="Any other hint; may be repeated.")
@click.option("--contract", is_flag=True, help="Print tables, sources and hops drafted from the values: three files that run.")
@click.option("--subject", default=None, metavar="NAME", help="With --contract: the folder under flows/ that the files are for; else called as FILE's.")
@json_option
def preview(file: str, rows: int, kind: str | None, more: tuple[str, ...], contract: bool, subject: str | None, as_json: bool, **told: str | None) -> None:
    """Show what bronze would hold of a file: how it is written down, columns, rows, rejects. Needs no lake. Exit code 1 if the file would be rejected whole."""
    hints: dict[str, Any] = {name: value for name, value in (told | {"format": kind}).items() if value is not None}
    for hint in more:
        name, equals, value = hint.partition("=")
        if not equals:
            raise DeclarationError(f"--hint {hint} has no value", "Write --hint name=value")
        hints[name] = value
    with open_preview(file, rows=rows, **hints) as found:
        if as_json:
            print_json(map(_told, found.members))
        elif contract:
            say("\n\n".join(as_text(member.draft(subject)) for member in found.members if not member.problem) or _problems(found.members))
        else:
            for i, member in enumerate(found.members):
                click.echo("\n" if i else "", nl=False)
                _show(member, rows)
        if all(member.problem for member in found.members):
            click.get_current_context().exit(1)


def _problems(members: list[Member]) -> str:
    return "\n".join(f"{member.name} would be rejected: {member.problem}" for member in members)


def _told(member: Member) -> Row:
    return {
        "file": member.file, "member": member.dialect.member, "dialect": member.dialect.particulars, "mended": member.mended, "why": member.why, "problem": member.problem, "rows": member.rows,
        "rejects": member.rejects.height,
        "columns": [
            {
                "column": c.name, "named": c.named, "type": type_name(c.dtype), "guess": type_name(c.guess), "remark": c.remark, "note": member.notes.get(c.name, ""),
                "nulls": c.nulls, "blanks": c.blanks, "absent": c.absent, "unique": c.unique, "examples": c.examples,
            }
            for c in member.columns
        ],
        "structure": [{"line": line, "role": role, "why": why, "text": _text(raw)} for line, raw, role, why in member.structure.head(_SHOWN_STRUCTURE).iter_rows()],
        "first_rows": member.frame.to_dicts(), "first_rejects": member.rejects.head(_SHOWN_REJECTS).to_dicts(),
        "contract": None if member.problem else member.contract,
    }  # fmt: skip


def _show(member: Member, rows: int) -> None:
    say(f"{member.name} · {member.dialect.format} · {counted(member.rows, 'row')} · {counted(member.rejects.height, 'reject')}")
    if member.problem:
        say(f"It would be rejected: {member.problem}")
        return
    settled = [{"what": name, "is": str(value), "why": member.why.get(name, "")} for name, value in member.dialect.particulars.items() if name != "format"]
    settled += [{"what": name, "is": "", "why": why} for name, why in member.why.items() if name not in member.dialect.particulars]
    if settled:
        print_table(settled, {"what": "written with", "is": "", "why": "why"}, empty="")
    click.echo()
    print_table([_column_row(column, member) for column in member.columns[:_SHOWN_COLUMNS]], _COLUMN_HEADINGS, empty="No columns.")
    if len(member.columns) > _SHOWN_COLUMNS:
        click.echo(f"… and {counted(len(member.columns) - _SHOWN_COLUMNS, 'more column')}; --json has them all.")
    if rows and member.frame.height:
        click.echo()
        shown = member.frame.select(pl.exclude("_rescued")) if member.frame["_rescued"].null_count() == member.frame.height else member.frame
        print_frame(shown.select(shown.columns[: _SHOWN_COLUMNS + 1]), rows)
    beside = member.structure.filter(pl.col("role") != HEADER)
    if beside.height:
        some = f", the first {_SHOWN_STRUCTURE} of {counted(beside.height, 'line')}" if beside.height > _SHOWN_STRUCTURE else ""
        click.echo(f"\nNeither rows nor rejects{some}:")
        shown_lines = [{"line": line, "role": role, "why": why, "bytes": _text(raw)} for line, raw, role, why in beside.head(_SHOWN_STRUCTURE).iter_rows()]
        print_table(shown_lines, {"line": "line", "role": "role", "why": "why", "bytes": "as it came"}, empty="")
    for what, count in member.mended.items():
        say(f"\nPut right: {what} ({counted(count, 'record')})")
    if member.rejects.height:
        click.echo(f"\nRejects{f', the first {_SHOWN_REJECTS} of {member.rejects.height:,}' if member.rejects.height > _SHOWN_REJECTS else ''}:")
        told = [{"line": r["line"], "reason": r["reason"], "bytes": _text(r["bytes"])} for r in member.rejects.head(_SHOWN_REJECTS).to_dicts()]
        print_table(told, {"line": "line", "reason": "reason", "bytes": "as it came"}, empty="")


_COLUMN_HEADINGS = {
    "named": "in the file",
    "column": "column",
    "type": "in bronze",
    "guess": "looks like",
    "nulls": "nulls",
    "examples": "examples",
    "note": "note",
}


def _column_row(column: Any, member: Member) -> Row:
    note = "; ".join(part for part in (member.notes.get(column.name, ""), column.remark) if part)
    examples = ", ".join(str(value)[:24] for value in column.examples)
    blanks = f" + {column.blanks:,} empty" if column.blanks else ""
    return {
        "named": column.named[:_LONGEST_NAME], "column": column.name[:_LONGEST_NAME] if column.name != column.named else "", "type": type_name(column.dtype), "guess": type_name(column.guess),
        "nulls": f"{column.nulls:,}{blanks}", "examples": examples, "note": note,
    }  # fmt: skip


def _text(raw: bytes | None) -> str:
    return as_it_came(raw, _LONGEST_BYTES)
