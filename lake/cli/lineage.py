"""The command that says where tables and columns come from, and tells it to others: lineage."""

from __future__ import annotations

import datetime as dt
import json

import click
from rich.text import Text
from rich.tree import Tree

from lake.catalog import Catalog, Row
from lake.cli.render import console, env_option, json_option, print_json, print_tree
from lake.descent import column_rows, split
from lake.edges import ROWS, VALUES, Direction
from lake.existing import open_existing
from lake.lineage import downstream, upstream
from lake.settings import load_settings
from lake.wording import counted


@click.command()
@click.argument("name", metavar="TABLE[.COLUMN]", required=False)
@click.option("--down", is_flag=True, help="Of a column: what is made from it, instead of what it is made from.")
@click.option("--rows", is_flag=True, help="Of a column: follow also what only decides which rows there are.")
@click.option(
    "--export", is_flag=True, help="The commits as OpenLineage events, one JSON object a line; sent instead, where an OpenLineage transport is configured."
)
@click.option("--since", type=click.DateTime(), default=None, help="With --export: commits at or after this instant (UTC).")
@env_option
@json_option
def lineage(name: str | None, down: bool, rows: bool, export: bool, since: dt.datetime | None, env: str | None, as_json: bool) -> None:
    """Draw where a table's rows come from, at the versions read, down to raw files; of TABLE.COLUMN, which columns it is made from, and how."""
    table, column = split(name) if name else (None, None)
    if export:
        if down or rows or column:
            raise click.UsageError("--export tells whole commits: of all tables, or of one TABLE")
        _export(env, table, since.replace(tzinfo=dt.UTC) if since else None)
        return
    if table is None:
        raise click.UsageError("Missing argument 'TABLE[.COLUMN]'.")
    catalog = Catalog(open_existing(load_settings(env=env)))
    if column is not None:
        direction: Direction = "downstream" if down else "upstream"
        _show_column(column_rows(catalog, table, column, direction, rows=rows), rows=rows, as_json=as_json)
        return
    if down or rows:
        raise click.UsageError("--down and --rows are for a column: layer.subject.table.column")
    up, below = upstream(catalog, table), downstream(catalog, table)
    if as_json:
        print_json([*({"table": table} | row for row in up.rows("upstream")), *({"table": table} | row for row in below.rows("downstream") if row["depth"])])
        return
    print_tree(up, "made from")
    if below.children:
        print_tree(below, "feeds")


def _show_column(found: list[Row], *, rows: bool, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    tree = Tree(Text("made from" if found[0]["direction"] == "upstream" else "feeds", style="bold"))
    branches = {-1: tree}
    lines: dict[tuple[int, str], tuple[Tree, list[Row]]] = {}
    for row in found:
        above = branches[row["depth"] - 1]
        if rows or row["kind"] is None or row["kind"] in VALUES or row["column"] == ROWS:
            branches[row["depth"]] = above.add(_named(row))
            continue
        at = (id(above), row["of"])  # what only chooses rows and is not followed: together in one line
        if at not in lines:
            lines[at] = (above.add(Text()), [])
        line, chosen = lines[at]
        chosen.append(row)
        line.label = _chosen_by(chosen)
    console().print(tree)


def _chosen_by(rows: list[Row]) -> Text:
    """What decides which rows a table has, or which of them count for a column, by kind and table."""
    told: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        told.setdefault(row["kind"], {}).setdefault(row["table"], []).append(row["column"])
    by = "; ".join(f"{kind} {_listed(tables)}" for kind, tables in told.items())
    return Text(f"rows of {str(rows[0]['of']).removesuffix(f'.{ROWS}')} by {by}", style="dim")


def _listed(tables: dict[str, list[str]]) -> str:
    return ", ".join(f"{table}({', '.join(names)})" for table, names in tables.items())


def _named(row: Row) -> Text:
    raw = row["table"].startswith("raw/")
    told = Text(f"{row['table']}.{row['column']}", style="green" if raw else "cyan")
    how = {None: "", "unknown": "unknown: of this commit only the tables are known", "rows": "rows"}.get(row["kind"], row["kind"])
    return told.append(f" {how}{', by ' + row['hop'] if row['hop'] else ''}", style="dim") if how else told


def _export(env: str | None, table: str | None, since: dt.datetime | None) -> None:
    """Print the events, or send them where a transport is configured."""
    from lake.openlineage import as_dict, events, transport  # imports the OpenLineage client, which takes a while

    settings = load_settings(env=env)
    catalog = Catalog(open_existing(settings))
    if table is not None:
        catalog.last(table)
    sender = transport()
    sent = 0
    for event in events(catalog, settings, table=table, since=since):
        if sender is None:
            click.echo(json.dumps(as_dict(event)))
        else:
            sender.emit(event)
        sent += 1
    if sender is not None:
        click.echo(f"{counted(sent, 'event')} sent by OpenLineage's {sender.kind} transport")
