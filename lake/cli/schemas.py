"""Commands about schemas: a table's versions, what the code would change in them, and the contracts as files beside the code."""

from __future__ import annotations

from collections import Counter

import click

from lake.catalog import Catalog, Row
from lake.cli.groups import WholeSentences
from lake.cli.render import env_option, json_option, print_json, print_table, safe, say
from lake.cli.runs import chosen, possible
from lake.compatibility import Check, Finding, check_schemas
from lake.declared import stale_files, write_files
from lake.errors import RunFailed
from lake.existing import open_existing
from lake.origins.kinds import Column
from lake.pipeline import raise_refused
from lake.settings import load_settings
from lake.wording import counted


class _OfATable(WholeSentences):
    """A group whose first word may also be a table: then the table's versions are meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in that is left out."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_OfATable)
def schema() -> None:
    """Schemas: the versions of a table (`lake schema TABLE`), what the code would change, the contracts as files."""


@schema.command("show")
@click.argument("table")
@env_option
@json_option
def schema_show(table: str, env: str | None, as_json: bool) -> None:
    """List a table's schema versions and what changed between them; then the columns of the newest."""
    rows = Catalog(open_existing(load_settings(env=env))).schema_versions(table)
    if as_json:
        print_json(rows)
        return
    told = [row | {"what": "\n".join(row["diff"]) or counted(len(row["columns"]), "column")} for row in rows]
    columns = {"schema_version": "schema", "since_version": "since version", "at": "at (UTC)", "class": "class", "transitive": "beside all before"}
    print_table(told, columns | {"what": "what changed"}, empty="")
    click.echo()
    newest = rows[0]
    columns_of = [
        {"column": c["name"], "type": c["type"], "key": "key" if c["name"] in newest["key"] else "",
         "null": "" if c["nullable"] else "never null", "unit": (c.get("metadata") or {}).get("unit", ""), "meaning": c["description"]}
        for c in newest["columns"]
    ]  # fmt: skip
    print_table(columns_of, {"column": "column", "type": "type", "key": "", "null": "", "unit": "unit", "meaning": "meaning"}, empty="")


@schema.command("check")
@click.argument("flow", required=False)
@click.option("--against", type=int, default=None, help="Compare with this release; else with the last.")
@env_option
@json_option
def schema_check(flow: str | None, against: int | None, env: str | None, as_json: bool) -> None:
    """Say what the code would change in the tables, and which columns downstream that hits; exit with 1 if it breaks a reader."""
    settings = load_settings(env=env)
    if flow is not None:
        chosen(settings, flow)
    pipelines, refused = possible(settings, None)
    found = check_schemas(open_existing(settings), pipelines, flow=flow, against=against, refused=refused)
    if as_json:
        print_json(finding.row for finding in found.findings)
    else:
        _tell(found)
    if bad := found.breaking:
        for subject, error in refused.items():
            click.echo(safe(f"{subject} was not looked at: {error}"), err=True)
        count = "1 change breaks" if len(bad) == 1 else f"{counted(len(bad), 'change')} break"
        raise RunFailed(
            f"{count} readers of {_compared(found)}; the first is {bad[0].table}: {bad[0].what}",
            "Have the hops follow, and tell those who read the table",
        )
    if flow is None:
        raise_refused(refused, "The tables of the other subjects were compared")
    for subject, error in refused.items():
        click.echo(safe(f"what a change hits in {subject} is not known: {error}"), err=True)


@schema.command("write")
@click.argument("flow", required=False)
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit with 1 and name the files that are stale.")
def schema_write(flow: str | None, only_check: bool) -> None:
    """Write each contract as flows/<subject>/schemas/<layer>.<table>.json, to be committed: a changed contract is then a diff. Asks no store."""
    settings = load_settings()
    pipelines, refused = possible(settings, flow)
    if only_check:
        if stale := stale_files(settings, pipelines):
            for subject, error in refused.items():
                click.echo(safe(f"{subject} was not looked at: {error}"), err=True)
            raise RunFailed(f"schemas are stale: {', '.join(f'{one.path} ({one.why})' for one in stale)}", "`lake schema write`, and commit them")
        if not refused:
            click.echo("The committed schemas are those of the contracts.")
        raise_refused(refused, "The committed schemas of the other subjects are those of their contracts")
        return
    for one in (written := write_files(settings, pipelines)):
        click.echo(f"{'removed' if one.why == 'left over' else 'wrote'} {one.path}")
    if not written and not refused:
        click.echo("The committed schemas are those of the contracts; nothing was written.")
    raise_refused(refused, "Those of the other subjects are written")


def _tell(found: Check) -> None:
    counts = Counter(note for finding in found.findings for note in finding.notes)
    often = {note: f"[{n}]" for n, note in enumerate((note for note, count in counts.items() if count > 1), 1)}
    rows: list[Row] = [
        {"breaks": "breaks" if f.breaking else "", "table": f.table, "what": f.what, "class": f.grade, "hits": _hits(f.downstream), "note": _noted(f, often)}
        for f in found.findings
    ]
    columns = {"breaks": "", "table": "table", "what": "change", "class": "class"}
    columns |= {key: heading for key, heading in {"hits": "hits", "note": "note"}.items() if any(row[key] for row in rows)}
    if rows:
        click.echo(f"What the code changes in {_compared(found)}:")
    print_table(rows, columns, empty=f"The code asks for what {_compared(found)} has.")
    for note, mark in often.items():
        say(f"{mark} {note}")


def _noted(finding: Finding, often: dict[str, str]) -> str:
    """The notes of a finding; one that several have stands below the table, and here is its mark."""
    return "; ".join(often.get(note, note) for note in finding.notes)


def _compared(found: Check) -> str:
    return f"release {found.release.number}" if found.release else "the last commits"


def _hits(downstream: tuple[Column, ...]) -> str:
    tables: dict[str, list[str]] = {}
    for table, column in downstream:
        tables.setdefault(table, []).append(column)
    return "\n".join(f"{table} ({', '.join(columns)})" for table, columns in tables.items())
