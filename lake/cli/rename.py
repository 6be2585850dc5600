"""`lake rename`: a table, or a subject with all its tables, gets another name and keeps its history, lineage and releases."""

from __future__ import annotations

import click

from lake.cli.asking import agreed, yes_option
from lake.cli.render import env_option, json_option, print_json, print_table, say
from lake.errors import LakeError
from lake.loading import subjects
from lake.pipeline import Pipeline, load_pipeline
from lake.rename import planned, still_called
from lake.rename import rename as give_name
from lake.run import begin_run
from lake.settings import Settings, load_settings


@click.command()
@click.argument("old", metavar="[OLD]", default="")
@click.argument("new", metavar="[NEW]", default="")
@click.option("--why", default="", help="Kept with the new name, and told to whoever uses the old one.")
@yes_option
@env_option
@json_option
def rename(old: str, new: str, why: str, yes: bool, env: str | None, as_json: bool) -> None:
    """Call the table or subject OLD by the name NEW: its history, lineage, rejects and releases go with it. Without names, lists what was renamed."""
    if bool(old) != bool(new):
        raise click.UsageError("Name both: lake rename OLD NEW")
    with begin_run(load_settings(env=env), "rename", "cli", new=False) as run:
        if old:
            pipelines, unread = _pipelines(run.settings)
            meant = planned(run, old, new, pipelines)
            if not as_json:
                print_table([{"old": was, "new": now} for was, now in meant.names.items()], {"old": "now", "new": "from then on"}, empty="")
            for name in meant.left:
                say(f"{name} is retired and keeps its name")
            still = still_called(pipelines, meant.names)
            for subject, names in still.items():
                say(f"flows/{subject} still says {', '.join(names)}: change it right after this; until then its runs are refused, and nothing is lost")
            for told in unread:
                say(f"what is not known: {told}")
            agreed(f"Rename {old} to {new}? Who asks for the old name is told the new one.", yes=yes, look="`lake rename` lists what was renamed")
            give_name(run, meant, why)
        rows = [one.model_dump() for one in run.store.names.renamings]
    if as_json:
        print_json(rows)
        return
    if old:
        say(f"{old} is called {new} now")
        return
    print_table(rows, {"old": "was called", "new": "became", "at": "when", "by": "by", "why": "why"}, empty="Nothing was renamed.")


def _pipelines(settings: Settings) -> tuple[list[Pipeline], list[str]]:
    """What the project declares; and of each subject that cannot be loaded, as where its code has new names already that do not fit together yet, why."""
    found, unread = [], []
    for subject in subjects(settings):
        try:
            found.append(load_pipeline(settings, subject))
        except LakeError as error:
            unread.append(f"flows/{subject} cannot be loaded: {error.message}")
    return found, unread
