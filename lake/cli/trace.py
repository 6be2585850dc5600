"""The command that follows rows: down to raw records and up again, or from a raw record to all that it reached."""

from __future__ import annotations

import click
from rich.text import Text
from rich.tree import Tree

from lake.amounts import size
from lake.catalog import Catalog
from lake.cli.render import console, env_option, json_option, print_json, safe, short_path, shown
from lake.errors import RunFailed, UnknownName
from lake.existing import open_existing
from lake.pipeline import pipelines_for
from lake.release import Release, find_release, release_meant
from lake.run import run_that_reads
from lake.settings import load_settings
from lake.trace import LIMIT, Reached, Trace, reach
from lake.trace import trace as trace_rows
from lake.trace.descent import Node
from lake.trace.narrow import Part
from lake.trace.told import key_of
from lake.wording import counted, several

_FIRST = 3
_LONGEST = 200


@click.command()
@click.argument("table", required=False)
@click.argument("key", metavar="[COLUMN=VALUE]...", nargs=-1)
@click.option("--from-raw", "place", metavar="FILE:RECORD", default=None, help="The other way: every row and release that this raw record reached.")
@click.option("--limit", type=click.IntRange(1, 1000), default=LIMIT, show_default=True, help="How many rows to trace where several have the key.")
@click.option("--release", "wanted", default=None, help="As of this release: a number, a date, or latest, which it is unless told otherwise.")
@click.option("--version", "at", type=int, default=None, help="As of this version of the table, released or not.")
@env_option
@json_option
def trace(table: str | None, key: tuple[str, ...], place: str | None, limit: int, wanted: str | None, at: int | None, env: str | None, as_json: bool) -> None:
    """Follow rows of TABLE down to the raw records they were made from, and compute them again from these."""
    if (table is None) == (place is None) or (at is not None and (wanted is not None or place is not None)):
        raise click.UsageError("Say which row, as TABLE COLUMN=VALUE …, or --from-raw FILE:RECORD; and --release or --version, not both.")
    pairs = dict(_pair(one) for one in key)
    settings = load_settings(env=env)
    store = open_existing(settings)
    catalog = Catalog(store)
    release = None if at is not None else release_meant(store, wanted) if wanted is not None else find_release(store)
    run, flows = run_that_reads(settings, store, "trace"), pipelines_for(settings, *([table] if table else []))
    if place is not None:
        versions = {name: pin.version for name, pin in release.tables.items()} if release else {name: catalog.log(name).version() for name in catalog.names()}
        _show_reached(reach(run, flows, place, versions), as_json=as_json)
        return
    name = table or ""
    with console(stderr=True).status(f"tracing {name}"):
        version = _version(catalog, name, release, at)
        found = trace_rows(run, flows, name, version, pairs, limit=limit, release=release.number if release else None)
    if as_json:
        print_json(found.entries())
    else:
        _show(found)
    if found.verdict == "differs":
        raise RunFailed(found.verdict_line(), "lake verify looks at more rows, lake replay at all of them")
    if not found.looked:
        raise RunFailed(f"{name}: {found.verdict_line()}", "`lake plan` says whether a run would make it anew, and why")


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.UsageError(f"{text!r} is no COLUMN=VALUE")
    return name, value


def _version(catalog: Catalog, table: str, release: Release | None, at: int | None) -> int:
    if release is None:
        return catalog.last(table, version=at)[0] if at is None else max(at, catalog.last(table, version=at)[0])
    if table not in release.tables:
        catalog.store.names.check(table)
        raise UnknownName.among("table", table, release.tables)
    return release.tables[table].version


def _show(found: Trace) -> None:
    """The rows as a tree, then the raw records under the bronze tables, then the verdict and what was read."""
    at = f"release {found.release}, " if found.release is not None else ""
    tree = Tree(Text.assemble((found.table, "bold cyan"), f" {at}version {found.version}"))
    for row in found.row.iter_rows(named=True):
        tree.add(Text(safe(_cells({name: value for name, value in row.items() if not name.startswith("_")})), overflow="fold"))
    _grow(tree, found, found.root, set())
    console().print(tree)
    if found.matched > found.row.height:
        click.echo(
            f"{counted(found.matched, 'row')} {several(found.matched, 'has', 'have')} these values; the first {found.row.height:,} were traced (--limit)"
        )
    if any(one.lost for one in found.again.records):
        click.echo("superseded: read for the same key, and beaten by a later record")
    style = {"equal": "green", "rounding": "green", "differs": "bold red", "not computed": "yellow"}[found.verdict]
    console().print(Text(found.verdict_line(), style=style))
    if found.verdict == "differs" and found.judged.found.examples.height:
        click.echo(str(found.judged.found.examples))
    click.echo(found.read.line(size))


def _grow(tree: Tree, found: Trace, node: Node, told: set[tuple[str, int]]) -> None:
    """The inputs of a table under it; one that was told already is only named."""
    if node.raw:
        _records(tree, found, node)
    if node.why is not None and not node.raw:
        tree.add(Text(f"not followed: {node.why}", style="yellow"))
    for part in node.parts.values():
        below = found.nodes.get((part.table, part.version))
        branch = tree.add(_headed(part))
        if (said := found.told_of(part)) is not None:
            branch.add(Text(said, style="yellow"))
        if below is None:
            continue
        if below.at in told:
            branch.add(Text("see above", style="dim"))
        else:
            told.add(below.at)
            if not below.raw:
                _first_rows(branch, below)
            _grow(branch, found, below, told)


def _headed(part: Part) -> Text:
    how = "" if part.exact or part.wide is not None else ", by a condition: some of them may not matter"
    return Text.assemble((f"{part.parameter}: ", "dim"), (part.table, "cyan"), f" version {part.version}: {part.count:,} of {counted(part.of, 'row')}{how}")


def _first_rows(branch: Tree, node: Node) -> None:
    key = key_of(node)
    for row in node.rows.head(_FIRST).iter_rows(named=True):
        branch.add(Text(_cut(_cells({name: row[name] for name in [*key, *row] if not name.startswith("_")})), style="default"))
    if node.rows.height > _FIRST:
        branch.add(Text(f"… and {node.rows.height - _FIRST:,} more", style="dim"))


def _records(branch: Tree, found: Trace, node: Node) -> None:
    """The raw records of a bronze table by file, the first few with their text."""
    files = dict.fromkeys(str(file) for file in node.rows["_file"])
    for file in files:
        records = [one for one in found.again.records if one.file == file]
        leaf = branch.add(Text(safe(short_path(file)), style="green"))
        for one in sorted(records, key=lambda one: (one.lost, one.record))[:_FIRST]:
            where = f"record {one.record:,}" + (f", line {one.line:,}" if one.line is not None else "")
            text = one.text if one.text is not None else "has no text: its file has no lines"
            leaf.add(Text.assemble((f"{where}: ", "dim"), _cut(text.replace("\n", "⏎")), (" superseded" if one.lost else "", "yellow")))
        if len(records) > _FIRST:
            leaf.add(Text(f"… and {len(records) - _FIRST:,} more", style="dim"))


def _show_reached(found: Reached, *, as_json: bool) -> None:
    if as_json:
        print_json(entry | {"releases": found.releases} for entry in found.entries())
        return
    tree = Tree(Text.assemble(f"record {found.record:,} of ", (safe(short_path(found.file)), "green")))
    for (table, version), touched in found.tables.items():
        count = counted(touched.rows.height, "row")
        branch = tree.add(Text.assemble((table, "cyan"), f" version {version}: {count if touched.why is None else 'any row may be one'}"))
        if touched.why is not None:
            branch.add(Text(touched.why, style="yellow"))
        for rules in touched.rejected:
            branch.add(Text(f"rejected: {rules}", style="yellow"))
        if touched.lost:
            branch.add(Text("superseded: another record of the same key won", style="yellow"))
        key = found.keys.get(table, [])
        for row in touched.rows.head(_FIRST).iter_rows(named=True):
            branch.add(Text(_cut(_cells({name: row[name] for name in [*key, *row] if not name.startswith("_")}))))
        if touched.rows.height > _FIRST:
            branch.add(Text(f"… and {touched.rows.height - _FIRST:,} more", style="dim"))
    console().print(tree)
    click.echo(f"In {several(len(found.releases), 'release')} {', '.join(map(str, found.releases))}" if found.releases else "In no release")


def _cells(row: dict[str, object]) -> str:
    return " ".join(f"{name}={value if isinstance(value, int | float) and not isinstance(value, bool) else shown(value)}" for name, value in row.items())


def _cut(text: str) -> str:
    return safe(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
