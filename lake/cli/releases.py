"""Commands about releases: list, show, compare, roll back, lift a hold."""

from __future__ import annotations

from typing import Any

import click

from lake.cli.render import console, env_option, json_option, print_json, print_table
from lake.difference import difference
from lake.lakehouse import released
from lake.release import numbers, read_release, release_meant, resume, rollback
from lake.run import begin_run
from lake.settings import load_settings
from lake.store import open_store


@click.group()
def release() -> None:
    """Releases: what readers open."""


@release.command("ls")
@env_option
@json_option
def release_ls(env: str | None, as_json: bool) -> None:
    """List the releases, newest first."""
    store = open_store(load_settings(env=env))
    found = [read_release(store, number) for number in reversed(numbers(store))]
    rows = [{"release": r.number, "at": r.at, "flow": r.run.flow, "run": r.run.id, "tables": len(r.tables), "note": r.note} for r in found]
    if as_json:
        print_json(rows)
        return
    columns = {"release": "release", "at": "at (UTC)", "flow": "flow", "run": "run", "tables": "tables", "note": "note"}
    print_table(rows, columns, empty="Nothing has been released yet.")


@release.command("show")
@click.argument("number", default="latest")
@env_option
@json_option
def release_show(number: str, env: str | None, as_json: bool) -> None:
    """Show the table versions that a release (a number, a date or latest) pins."""
    found = release_meant(open_store(load_settings(env=env)), number)
    rows = [{"table": name, "release": found.number, **pin.model_dump()} for name, pin in found.tables.items()]
    if as_json:
        print_json(rows)
        return
    click.echo(f"Release {found.number} of {found.at:%Y-%m-%d %H:%M:%S} UTC, by run {found.run.id} of {found.run.flow}")
    print_table(rows, {"table": "table", "version": "version", "schema_version": "schema", "rows": "rows", "content": "content"}, empty="")


@release.command("diff")
@click.argument("before")
@click.argument("after", default="latest")
@env_option
@json_option
def release_diff(before: str, after: str, env: str | None, as_json: bool) -> None:
    """Compare two releases: the rows of each table that were added, removed and changed from one to the other."""
    store = open_store(load_settings(env=env))
    old, new = release_meant(store, before), release_meant(store, after)
    names = sorted(old.tables.keys() | new.tables.keys())
    rows: list[dict[str, Any]] = []
    with console(stderr=True).status("comparing") as status:
        for name in names:
            status.update(f"comparing {name}")
            was, now = old.tables.get(name), new.tables.get(name)
            if was == now:
                continue
            one, key = released(store, name, was.version) if was else (None, [])
            other, key = released(store, name, now.version) if now else (None, key)
            found = difference(one, other, key)
            rows.append(
                {
                    "table": name, "version_before": was.version if was else None, "version_after": now.version if now else None,
                    "rows_before": was.rows if was else 0, "rows_after": now.rows if now else 0, "added": found.added, "removed": found.removed,
                    "changed": found.changed, "columns": ", ".join(found.columns),
                }
            )  # fmt: skip
    if as_json:
        print_json(rows)
        return
    click.echo(f"From release {old.number} to release {new.number}; {len(names) - len(rows)} tables are the same")
    columns = {
        "table": "table", "version_before": "was version", "version_after": "is version", "rows_before": "rows were", "rows_after": "rows are",
        "added": "added", "removed": "removed", "changed": "changed", "columns": "in columns",
    }  # fmt: skip
    print_table(rows, columns, empty="No table differs.")


@release.command("rollback")
@click.argument("number", type=int)
@env_option
def release_rollback(number: int, env: str | None) -> None:
    """Make release NUMBER what readers open again: a new release with its tables. Runs release nothing until `lake release resume`."""
    with begin_run(load_settings(env=env), "release", "cli") as run:
        made = rollback(run.store, run.info, number)
    click.echo(f"release {made.number}: as release {number}")
    for subject, why in made.held.items():
        click.echo(f"{subject} is held ({why}): its runs go on and release nothing until `lake release resume {subject}`")


@release.command("resume")
@click.argument("subjects", nargs=-1)
@env_option
def release_resume(subjects: tuple[str, ...], env: str | None) -> None:
    """Lift the hold that a rollback put on SUBJECTS (or on all): their next run releases again."""
    with begin_run(load_settings(env=env), "release", "cli") as run:
        made = resume(run.store, run.info, subjects)
    click.echo(f"release {made.number}: " + (f"{', '.join(made.held)} still held" if made.held else "nothing is held"))
