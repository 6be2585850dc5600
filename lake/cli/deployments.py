"""`lake deployments`: how flows run by themselves, registered with Prefect or written down for `prefect deploy`."""

from __future__ import annotations

import asyncio
import os

import click

from lake.cli.render import env_option, json_option, print_json, print_table
from lake.cli.runs import QUIET_PREFECT
from lake.errors import RunFailed
from lake.pipeline import open_flows
from lake.settings import load_settings
from lake.wording import counted


@click.command()
@click.option("--write", is_flag=True, help="Write prefect.yaml, for `prefect deploy --all` to a work pool.")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if prefect.yaml is stale.")
@click.option("--register", is_flag=True, help="Register them, and the automations, with the Prefect at PREFECT_API_URL.")
@env_option
@json_option
def deployments(write: bool, check: bool, register: bool, env: str | None, as_json: bool) -> None:
    """List how each flow runs by itself: when, how often at once, for how long, and who answers for it."""
    settings = load_settings(env=env)
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)
    open_flows(settings)
    from lake.orchestration.deploy import flows_of, prefect_yaml  # imports Prefect, which takes seconds
    from lake.orchestration.worker import register_all

    flows, problems = asyncio.run(register_all(settings)) if register else flows_of(settings)
    if problems:
        raise RunFailed("; ".join(problems), "The others are fine")
    file = settings.root / "prefect.yaml"
    if check:
        if not file.is_file() or file.read_text("utf-8") != prefect_yaml(flows):
            raise RunFailed("prefect.yaml is not what the flows declare", "Run `lake deployments --write`")
        click.echo("prefect.yaml is what the flows declare.")
        return
    if write:
        file.write_text(prefect_yaml(flows), "utf-8")
        click.echo(f"Wrote {file.name}: {counted(len(flows), 'deployment')}.")
        return
    rows = []
    for one in (flow.deployment for flow in flows):
        when = f"{one.schedule.cron} {one.schedule.timezone}" if one.schedule else "when somebody starts it"
        rows.append(
            {"deployment": one.full_name, "when": when, "at_once": one.at_once, "collision": one.collision, "timeout": str(one.timeout or ""), "retries": one.retries,
             "owner": one.owner, "entrypoint": one.entrypoint, "tags": list(one.labels)}
        )  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        columns = {"deployment": "deployment", "when": "when", "at_once": "at once", "timeout": "timeout", "retries": "retries", "owner": "owner"}
        print_table(rows, columns, empty="There are no flows.")
