"""Commands that prove and tidy: replay a release from raw, verify incremental tables against raw, maintain the store."""

from __future__ import annotations

import click

from lake.cli.render import console, env_option, json_option, print_json, print_table
from lake.cli.runs import possible
from lake.errors import RunFailed
from lake.maintain import did_something
from lake.maintain import maintain as tidy
from lake.pipeline import loaded, raise_refused
from lake.release import release_meant
from lake.replay import replay as replay_release
from lake.run import begin_run
from lake.settings import load_settings
from lake.verify import verify as verify_tables
from lake.wording import counted, several


@click.command()
@click.argument("number", default="latest")
@env_option
@json_option
def replay(number: str, env: str | None, as_json: bool) -> None:
    """Compute release NUMBER (a number, a date or latest) again from the raw files, in a scratch place, and compare table by table."""
    settings = load_settings(env=env)
    with begin_run(settings, "replay", "cli", new=False) as run, console(stderr=True).status("replaying") as status:
        release = release_meant(run.store, number)
        pipelines, refused = loaded(settings)
        found = list(replay_release(run, release, pipelines, lambda name: status.update(f"replaying {name}"), refused))
    rows = [
        {
            "table": one.table, "version": one.version, "rows": one.rows, "verdict": one.verdict, "why": one.why, "recorded": one.recorded,
            "replayed": one.replayed, "columns": list(one.found.columns), "examples": one.found.examples.to_dicts(),
        }
        for one in found
    ]  # fmt: skip
    bad = [one for one in found if one.verdict not in ("equal", "rounding", "left out")]
    if not found:
        raise RunFailed(f"release {release.number} pins no table: nothing was computed again", "`lake release` lists what there is to replay")
    if as_json:
        print_json(rows)
    else:
        click.echo(f"Release {release.number} of {release.at:%Y-%m-%d %H:%M:%S} UTC, computed again from raw:")
        print_table(rows, {"table": "table", "version": "version", "rows": "rows", "verdict": "verdict", "recorded": "content", "why": "why"}, empty="")
        first = next((one for one in bad if one.found.any), None)
        if first is not None:
            print_table(first.found.examples.to_dicts(), {name: name for name in first.found.examples.columns}, empty="")
    if bad:
        raise RunFailed(
            f"{len(bad)} of {counted(len(found), 'table')} not reproduced; the first is {bad[0].table}: {bad[0].why}",
            f"`lake history {bad[0].table}` shows which run and code made it",
        )
    if all(one.verdict == "left out" for one in found):
        raise RunFailed(
            f"release {release.number}: nothing was computed again: {counted(len(found), 'table')}, all retired; {found[0].table} is {found[0].why}",
            "`lake release ls` names the releases before; `lake retire --undo` brings tables back",
        )


@click.command()
@click.argument("flow", required=False)
@click.option("--share", default=0.05, show_default=True, type=click.FloatRange(0, 1, min_open=True), help="About how much of each table to recompute.")
@click.option("--seed", default=None, type=int, help="Choose the same ranges again.")
@env_option
@json_option
def verify(flow: str | None, share: float, seed: int | None, env: str | None, as_json: bool) -> None:
    """Recompute random key ranges of the tables from what they were made from, raw files included, and compare (law 6)."""
    settings = load_settings(env=env)
    pipelines, refused = possible(settings, flow)
    with begin_run(settings, flow or "all", "verify", new=False) as run, console(stderr=True).status("verifying") as status:
        rows = [
            row for pipeline in pipelines for row in verify_tables(run, pipeline, share=share, seed=seed, told=lambda name: status.update(f"verifying {name}"))
        ]  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows, {"table": "table", "checked": "looked at", "rows": "rows", "verdict": "verdict", "why": "why"}, empty="There is nothing to verify yet."
        )
    if bad := [row for row in rows if row["verdict"] == "differs"]:
        first = bad[0]
        raise RunFailed(
            f"{counted(len(bad), 'table')} {several(len(bad), 'differs', 'differ')} when computed again; the first is {first['table']}: {first['why']}",
            _remedy(str(first["table"])),
        )
    if not any(row["verdict"] in ("equal", "rounding") for row in rows):
        told = f": {rows[0]['table']}: {rows[0]['why']}" if rows else ": no table has a version"
        raise RunFailed(f"nothing was verified{told}", "`lake run` makes the tables; verify looks at them then")
    raise_refused(refused, "The tables of the other subjects were verified")


def _remedy(table: str) -> str:
    """What to do about a table that differs from what it was made from."""
    if table.startswith("bronze."):
        return "Its rows are not those of its raw files: `lake history` says who wrote it; restore its folder from a backup. No run changes rows of bronze"
    return "`lake run --full` makes it anew"


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")
@env_option
@json_option
def maintain(dry_run: bool, env: str | None, as_json: bool) -> None:
    """Put small files together, and remove what nothing needs: leftovers of killed runs and files of versions that nothing refers to."""
    settings = load_settings(env=env)
    with begin_run(settings, "maintain", "cli", needs_room=False, new=False) as run, console(stderr=True).status("maintaining") as status:
        rows = list(tidy(run, dry_run=dry_run, told=lambda name: status.update(f"maintaining {name}")))
    if as_json:
        print_json(rows)
        return
    columns = {
        "place": "place",
        "compacted": "files put together",
        "clustered": "files sorted",
        "packed": "old commits put together",
        "orphans": "leftovers",
        "expired": "no longer needed",
        "bytes": "bytes freed",
    }
    print_table([row for row in rows if did_something(row)], columns, empty="Nothing to tidy.")
