"""Commands that prove and tidy: replay a release from raw, verify incremental tables against raw, maintain the store."""

from __future__ import annotations

import click

from lake.cli.render import console, env_option, json_option, print_json, print_table
from lake.cli.runs import chosen
from lake.errors import RunFailed
from lake.maintain import did_something
from lake.maintain import maintain as tidy
from lake.release import release_meant
from lake.replay import replay as replay_release
from lake.run import begin_run
from lake.settings import load_settings
from lake.verify import verify as verify_tables


@click.command()
@click.argument("number", default="latest")
@env_option
@json_option
def replay(number: str, env: str | None, as_json: bool) -> None:
    """Compute release NUMBER (a number, a date or latest) again from the raw files, in a scratch place, and compare table by table."""
    settings = load_settings(env=env)
    with begin_run(settings, "replay", "cli") as run, console(stderr=True).status("replaying") as status:
        release = release_meant(run.store, number)
        found = list(replay_release(run, release, chosen(settings, None), lambda name: status.update(f"replaying {name}")))
    rows = [
        {
            "table": one.table, "version": one.version, "rows": one.rows, "verdict": one.verdict, "why": one.why, "recorded": one.recorded,
            "replayed": one.replayed, "columns": list(one.found.columns), "examples": one.found.examples.to_dicts(),
        }
        for one in found
    ]  # fmt: skip
    bad = [one for one in found if one.verdict not in ("equal", "rounding")]
    if as_json:
        print_json(rows)
    else:
        click.echo(f"Release {release.number} of {release.at:%Y-%m-%d %H:%M:%S} UTC, computed again from raw:")
        print_table(rows, {"table": "table", "version": "version", "rows": "rows", "verdict": "verdict", "recorded": "content", "why": "why"}, empty="")
        first = next((one for one in bad if one.found.any), None)
        if first is not None:
            print_table(first.found.examples.to_dicts(), {name: name for name in first.found.examples.columns}, empty="")
    if bad:
        raise RunFailed(f"{len(bad)} of {len(found)} tables were not reproduced; the first is {bad[0].table}: {bad[0].why}")


@click.command()
@click.argument("flow", required=False)
@click.option("--share", default=0.05, show_default=True, type=click.FloatRange(0, 1, min_open=True), help="About how much of each table to recompute.")
@click.option("--seed", default=None, type=int, help="Choose the same ranges again.")
@env_option
@json_option
def verify(flow: str | None, share: float, seed: int | None, env: str | None, as_json: bool) -> None:
    """Recompute random key ranges of the tables from what they were made from, raw files included, and compare (law 6)."""
    settings = load_settings(env=env)
    with begin_run(settings, flow or "all", "verify") as run, console(stderr=True).status("verifying") as status:
        rows = [
            row for pipeline in chosen(settings, flow) for row in verify_tables(run, pipeline, share=share, seed=seed, told=lambda name: status.update(f"verifying {name}"))
        ]  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows, {"table": "table", "checked": "looked at", "rows": "rows", "verdict": "verdict", "why": "why"}, empty="There is nothing to verify yet."
        )
    if bad := [row for row in rows if row["verdict"] == "differs"]:
        raise RunFailed(f"{len(bad)} tables differ from their recomputation; the first is {bad[0]['table']}: {bad[0]['why']}", "lake run --full puts it right")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")
@env_option
@json_option
def maintain(dry_run: bool, env: str | None, as_json: bool) -> None:
    """Put small files together, and remove what nothing needs: leftovers of killed runs and files of versions that nothing refers to."""
    settings = load_settings(env=env)
    with begin_run(settings, "maintain", "cli") as run, console(stderr=True).status("maintaining") as status:
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
