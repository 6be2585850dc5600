"""The command that writes the lake down as pages: docs."""

from __future__ import annotations

from pathlib import Path

import click

from lake.catalog import Catalog
from lake.cli.render import env_option
from lake.existing import open_existing
from lake.release import find_release
from lake.settings import load_settings
from lake.site import build_site


@click.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder to write to: new, empty, or written by this command.",
)
@click.option("--release", default="latest", show_default=True, help="As of this release: a number, a date or latest. Before the first one, what is committed.")
@env_option
def docs(out: Path, release: str, env: str | None) -> None:
    """Write a page a table, its lineage as a graph, releases and search, as a site that opens from disk and needs no internet."""
    settings = load_settings(env=env)
    store = open_existing(settings)
    index = build_site(Catalog(store), out, env=settings.env, release=find_release(store, release))
    click.echo(str(index))
