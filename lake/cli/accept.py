"""The command that sets the rows of a stopped run aside, by somebody's word, and goes on."""

from __future__ import annotations

import getpass
import os

import click

from lake.cli.readmit import go_on, step_of
from lake.cli.render import env_option, json_option, print_json
from lake.errors import UnknownName
from lake.limits import stopped_rows
from lake.run import Accepting, begin_run
from lake.settings import load_settings
from lake.table import path_of
from lake.wording import counted


@click.command()
@click.argument("table")
@click.option(
    "--stopped",
    is_flag=True,
    help="The rows that `lake rejects TABLE --stopped` shows. There are no others to accept; it is asked for, so that they were looked at.",
)
@click.option("--why", required=True, help="Why these rows may be left out. Kept in the commit, and shown.")
@click.option("--by", default=None, metavar="NAME", help="Who says so; else the name of the user.")
@env_option
@json_option
def accept(table: str, stopped: bool, why: str, by: str | None, env: str | None, as_json: bool) -> None:
    """Set the rows aside for which the last run of a table stopped, then run the flow: they go to quarantine, on record with who accepted them and why."""
    if not stopped:
        raise click.UsageError(f"say --stopped, once you looked at the rows: `lake rejects {table} --stopped`")
    if not why.strip():
        raise click.UsageError("--why is empty: it is what the record will say of the rows")
    settings = load_settings(env=env)
    pipeline, _ = step_of(settings, table)
    with begin_run(settings, pipeline.name, "accept", new=False) as run:
        rows = stopped_rows(run, table).collect(engine="streaming")
        if rows.is_empty():
            raise UnknownName(f"nothing of {table} was stopped by its limits", f"`lake rejects {table}` shows what is in its quarantine")
        run.accepted[table] = Accepting(rows, (by or _user()).strip(), why.strip())
        verdict = go_on(run, pipeline, quiet=as_json)
        version, record = run.log(path_of(table)).head()
    told = record.accepted if record is not None else None
    if as_json:
        print_json(
            [
                {
                    "table": table,
                    "version": version,
                    "stopped": rows.height,
                    "accepted": told.rows if told else 0,
                    "by": told.by if told else None,
                    "why": why,
                    "verdict": verdict,
                }
            ]
        )
    else:
        said = told.line() if told else f"{counted(rows.height, 'row')} had stopped it, and now its limits hold without that"
        click.echo(f"{table}: {said}. {verdict}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"
