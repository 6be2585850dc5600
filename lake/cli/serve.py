"""Commands that go on until they are stopped: the worker and the watcher. `lake up` runs them; on a server they are services of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click
import httpx

from lake.cli.render import env_option
from lake.cli.runs import QUIET_PREFECT, chosen
from lake.cli.supervised import ready_option, say_ready, until_parent_ends
from lake.errors import LakeError, RunFailed
from lake.front import BEHIND
from lake.notifications import Bell, follow, listen
from lake.pipeline import open_flows
from lake.prefect_events import post_event
from lake.prefect_server import PREFECT, QUIET, access_headers, configured, server_command
from lake.run import begin_run
from lake.settings import Settings, load_settings
from lake.watch import Watcher

_LONGEST = 60.0  # seconds between tries while Prefect or the store is away


@click.command()
@env_option
@ready_option
def worker(env: str | None, ready: Path | None) -> None:
    """Register every deployment and automation with Prefect, and run what is due, until stopped."""
    settings = _settings(env)
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "WARNING"
    open_flows(settings)
    from lake.orchestration.worker import serve  # imports Prefect, which takes seconds

    with until_parent_ends(ready):
        serve(settings, said=click.echo, ready=lambda: say_ready(ready))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=4200, show_default=True, help="The port to listen at.")
def prefect(host: str, port: int) -> None:
    """Serve Prefect's API and pages, on a server; asks for the password that PREFECT_SERVER_API_AUTH_STRING says, as name:password."""
    if ":" not in os.environ.get("PREFECT_SERVER_API_AUTH_STRING", ""):
        raise RunFailed(
            "whoever reaches Prefect can have any command run, and PREFECT_SERVER_API_AUTH_STRING says no password",
            "Set it to name:password here, and PREFECT_API_AUTH_STRING to the same for the worker and the watcher",
        )
    address = os.environ.setdefault("PREFECT_UI_API_URL", f"http://{host}:{port}/api")
    os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", address.removesuffix("/api"))
    os.environ.update({BEHIND: PREFECT, **{name: os.environ.get(name, value) for name, value in QUIET.items()}})
    command = server_command(host, port)
    os.execv(command[0], command)  # noqa: S606  # this process is the server from here on: signals reach it


@click.command()
@click.option("--api", default=None, help="Prefect's API, e.g. http://127.0.0.1:4200/api; else PREFECT_API_URL, or that of Prefect's profile.")
@click.option("--once", is_flag=True, help="Look once, say what waits, and end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address at which LAKE_WATCH_PORT is listened at.")
@env_option
@ready_option
def watch(api: str | None, once: bool, host: str, env: str | None, ready: Path | None) -> None:
    """Look at every source for files that arrive, and have Prefect refresh what depends on them, until stopped."""
    settings = _settings(env)
    pipelines = chosen(settings, None)
    address = api or configured("PREFECT_API_URL")
    if not address:
        raise RunFailed("nobody says which Prefect to tell of files that arrive", "Set PREFECT_API_URL, or run `lake up`, which brings one")
    headers = access_headers()
    bell = Bell()
    if settings.watch_port and not once:
        listen(bell, settings.watch_port, host)
    if settings.watch_queue and not once:
        follow(bell, settings.watch_queue, settings)
    with until_parent_ends(ready):
        pause = settings.watch.total_seconds()
        say_ready(ready)
        while True:
            try:
                with begin_run(settings, "watch", "watch", needs_room=False) as run:
                    watcher = Watcher(run, pipelines, lambda event, resource, payload: post_event(address, event, resource, payload, headers))
                    while True:
                        found = watcher.look()
                        pause = settings.watch.total_seconds()
                        if once:
                            click.echo("\n".join(f"{subject}: {count:,} waiting" for subject, count in found.items()))
                            return
                        bell.wait(pause)
            except (LakeError, httpx.HTTPError) as error:
                if once:
                    raise _away(error) from None
                click.echo(f"{_away(error)}; the next look in {pause:.0f} s", err=True)
                time.sleep(pause)
                pause = min(_LONGEST, 2 * pause)


def _away(error: LakeError | httpx.HTTPError) -> LakeError:
    return error if isinstance(error, LakeError) else RunFailed(f"Prefect does not take events: {type(error).__name__}", "Start it, or correct PREFECT_API_URL")


def _settings(env: str | None) -> Settings:
    if env:
        os.environ["LAKE_ENV"] = env
    return load_settings(env=env)
