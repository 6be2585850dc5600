"""`lake init`: a project made from files, ready to run."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from lake.cli.render import console, print_table, safe, say
from lake.confidential import shown
from lake.errors import DeclarationError
from lake.guess import MOST_ROWS
from lake.scaffold import texts
from lake.scaffold.files import Found, Kind, look
from lake.scaffold.project import check_free, places, project, subject_of, write
from lake.wording import counted

_DEFAULT = "skip"
_COPIES = {"skip": "a file whose very bytes came before under another name is left out", "deliver": "such a file counts, and its rows come in again"}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.argument("subject", required=False)
@click.option("--from", "told", multiple=True, type=click.Path(), metavar="FILE|FOLDER", help="What it is made from; may be repeated.")
@click.option("--copies", type=click.Choice(list(_COPIES)), default=None, help="What a file means whose bytes came before under another name.")
@click.option("--key", "keys", multiple=True, metavar="[TABLE=]COLUMN,…", help="What tells rows of a table apart, where it is not found; may be repeated.")
def init(folder: Path, subject: str | None, told: tuple[str, ...], copies: str | None, keys: tuple[str, ...]) -> None:
    """Make a project that runs, from files: tables, sources, hops to silver and a first gold table, a test, a schedule, a notebook. Without --from, a small example."""
    if address := next((text for text in told if "://" in text), None):
        raise DeclarationError(
            f"{shown(address)} is an address, and a project is made from files on this machine",
            "Fetch one, point at it, and write the address into the sources.py that is made of it",
        )
    sources = tuple(map(Path, told))
    name = subject_of(folder, subject)
    example = {f"inbox/orders/{file}": text for file, text in texts.EXAMPLE.items()} if not sources else {}
    check_free(folder, [*places(name), *example])
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="lake-init-") as scratch:
        if example:
            write(Path(scratch), example)
            sources = (Path(scratch) / "inbox" / "orders",)
        with console(stderr=True).status("looking at the files"):
            found = look(list(sources))
        for kind in found.kinds:
            for opened in kind.kept:
                stack.enter_context(opened)
        _settle_keys(found.kinds, keys)
        copies = copies or ("skip" if example else _ask_copies())
        files, gold = project(folder, name, found.kinds, copies, at={sources[0]: "inbox/orders"} if example else None)
        write(folder, files | example)
        _tell(folder, name, found, copies, f"gold.{name}.{gold.table}", counted(len(files | example), "file"), "inbox/orders" if example else "")


def _settle_keys(kinds: list[Kind], keys: tuple[str, ...]) -> None:
    """Take the keys that were told; ask for those that are missing, where there is somebody to ask."""
    told: dict[str, tuple[str, ...]] = {}
    for text in keys:
        table, equals, columns = text.rpartition("=")
        if not equals and len(kinds) > 1:
            raise DeclarationError(f"--key {text} does not say of which table", f"Write --key TABLE=COLUMN; tables are {', '.join(one.table for one in kinds)}")
        told[table or kinds[0].table] = tuple(column.strip() for column in columns.split(","))
    if unknown := next((table for table in told if table not in {one.table for one in kinds}), None):
        raise DeclarationError(f"--key names {unknown}, which is no table here", f"Tables are {', '.join(one.table for one in kinds)}")
    for kind in kinds:
        if kind.table in told:
            kind.key = _checked(kind, told[kind.table])
        elif not kind.key and _somebody():
            kind.key = _ask_key(kind)


def _checked(kind: Kind, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns as bronze calls them. Raises DeclarationError for one that is none."""
    names = {column.named: column.name for column in kind.columns} | {column.name: column.name for column in kind.columns}
    if unknown := next((column for column in columns if column not in names), None):
        raise DeclarationError(f"{kind.table} has no column {unknown!r}", f"It has {', '.join(column.name for column in kind.columns)}")
    asked = {names[column] for column in columns}
    return tuple(column.name for column in kind.columns if column.name in asked)


def _ask_key(kind: Kind) -> tuple[str, ...]:
    say(f"{kind.table}: no column tells its rows apart. It has {', '.join(column.name for column in kind.columns)}.")
    while True:
        answer = click.prompt("Columns of the key, with commas between (none: rows are appended as they come)", default="", show_default=False, err=True)
        try:
            return _checked(kind, tuple(part.strip() for part in answer.split(","))) if answer.strip() else ()
        except DeclarationError as error:
            say(str(error))


def _ask_copies() -> str:
    if not _somebody():
        return _DEFAULT
    question = "May a delivery be, byte for byte, one that came before under another name, such as a daily state that did not change, and count?"
    return "deliver" if click.confirm(question, default=False, err=True) else "skip"


def _somebody() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _tell(folder: Path, subject: str, found: Found, copies: str, gold: str, written: str, place: str) -> None:
    """What was made, what was left out, what was assumed, and how to go on."""
    rows = [
        {
            "table": f"silver.{subject}.{kind.table}",
            "files": kind.pattern if kind.at == Path() else f"{kind.pattern} in {place or kind.at}",
            "columns": str(len(kind.columns)),
            "key": ", ".join(kind.key) or "none: rows are appended",
        }
        for kind in found.kinds
    ]
    print_table(rows, {"table": "table", "files": "from", "columns": "columns", "key": "key"}, empty="")
    for note in found.notes:
        say(note)
    for kind in found.kinds:
        if not kind.key:
            why = f"of more than {MOST_ROWS:,} rows none is looked for" if kind.rows > MOST_ROWS else "no column or two tell its rows apart"
            say(f"{kind.table} has no key, {why}: its rows are appended as they come (--key {kind.table}=COLUMN,… has them merged)")
    say(f"copies: {copies}: {_COPIES[copies]} (--copies {'deliver' if copies == 'skip' else 'skip'} is the other way; it stands in sources.py)")
    where = "this folder" if folder.resolve() == Path.cwd().resolve() else os.fspath(folder)
    click.echo(safe(f"\n{written} in {where}. What only people know is marked TODO in flows/{subject}."))
    go = "" if where == "this folder" else f"cd {shlex.quote(where)} && "
    click.echo(safe(f"Go on:  {go}lake run {subject} · lake show {gold} · python -m pytest"))
