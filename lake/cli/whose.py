"""Which project a command is for, where it is typed beside one: `lake run shop` next to the folder that `lake init shop` made."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lake.cli.render import safe
from lake.loading import subjects
from lake.settings import is_project, load_settings, project_root


def going_to(flow: str | None) -> str | None:
    """The flow that is meant. Where no project is here and `flow` is the folder of one, this goes there first, and says so.

    In that project the subject called as the folder is meant, else its only one, else all of them (None).
    """
    if flow is None or is_project(project_root()):
        return flow
    settings = load_settings()
    folder = Path(flow)
    if (settings.root / settings.flows).is_dir() or not is_project(folder):
        return flow
    os.chdir(folder)  # for all that is found by where it is run: settings, sources told relative, processes that are started
    click.echo(safe(f"in {folder}:"), err=True)
    found = subjects(load_settings())
    return folder.resolve().name if folder.resolve().name in found else found[0] if len(found) == 1 else None
