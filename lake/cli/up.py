"""`lake up`: the store, Prefect, a worker, a watcher and metrics in one command; `lake status` and `lake down` beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import Any

import click
import httpx

from lake.cli.render import ago_seconds, console, env_option, json_option, print_json, print_table
from lake.embedded import embedded_service
from lake.errors import LakeError
from lake.locks import is_taken, take
from lake.parts import PARTS
from lake.prefect_server import access_headers, client_environment, configured, prefect_is_configured, prefect_service
from lake.probe import ensure_trusted
from lake.service import last_line
from lake.settings import Settings, load_settings
from lake.store import open_store
from lake.supervisor import Elsewhere, Part, Process, Server, Supervisor, read_state

_PATIENCE = 300.0  # seconds for everything to come up


@click.command()
@click.option("--detach", is_flag=True, help="Go on in the background; `lake status` shows it, `lake down` ends it.")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@click.option("--log", type=click.Path(path_type=Path), default=None, hidden=True, help="Where its output goes, if it was started in the background.")
@env_option
def up(detach: bool, no_open: bool, log: Path | None, env: str | None) -> None:
    """Start the store, Prefect, and what runs deployments and watches sources; keep them running until Ctrl-C (or `lake down`)."""
    if env:
        os.environ["LAKE_ENV"] = env
    settings = load_settings(env=env)
    folder = settings.state / "up"
    folder.mkdir(parents=True, exist_ok=True)
    if detach:
        _detached(settings, folder)
        _open_page(folder, no_open=no_open)
        return
    mine = take(folder / "alive.lock", wait=False)
    if mine is None:
        raise LakeError("lake is up already", "`lake status` shows it, `lake down` ends it")
    with mine:
        supervisor = Supervisor(_parts(settings, folder), folder, lambda line: click.echo(f"lake: {line}", err=True))
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, lambda *_: supervisor.wake())
        with console(stderr=True).status("starting the store, Prefect, the worker, the watcher and metrics"):
            supervisor.start()
        _show(folder)
        if log is None:
            click.echo("\nCtrl-C stops all of it; what was published stays.")
            _open_page(folder, no_open=no_open)
        supervisor.keep()
        click.echo("lake: stopping; a run that goes on is let go at once, and the next one finishes its work", err=True)
        supervisor.stop()


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Each part of `lake up`: its state, its address, how often it was started again."""
    settings = load_settings()
    rows = _rows(settings.state / "up")
    if as_json:
        print_json(rows)
        return
    columns = {"part": "part", "state": "state", "for": "for", "url": "address", "restarts": "restarts", "trouble": "trouble"}
    print_table(rows, columns, empty="lake is not up. `lake up` starts it.")


@click.command()
def down() -> None:
    """Stop what `lake up` started: the worker first, the store last. Nothing half-done is visible afterwards."""
    folder = load_settings().state / "up"
    if not is_taken(folder / "alive.lock"):
        click.echo("lake is not up.")
        return
    state = read_state(folder)
    if state is None:
        raise LakeError("lake is up and does not say what it runs", f"See {folder}")
    os.kill(int(state["pid"]), signal.SIGTERM)
    deadline = time.monotonic() + 90
    with console(stderr=True).status("stopping"):
        while is_taken(folder / "alive.lock"):
            if time.monotonic() > deadline:
                raise LakeError("lake does not stop", f"Its log: {folder / 'up.log'}")
            time.sleep(0.1)
    click.echo("lake is down; its data stays.")


def _parts(settings: Settings, folder: Path) -> list[Part]:
    """What runs here: servers of our own, or those that the settings name, and the processes that work with them."""
    parts: list[Part] = []
    if settings.embedded:
        parts.append(Server("store", embedded_service(settings.state / "store", settings.bucket), "endpoint"))
    else:
        parts.append(Elsewhere("store", settings.endpoint or "", lambda: _store_answers(settings)))
    if prefect_is_configured():
        url = configured("PREFECT_API_URL")
        parts.append(Elsewhere("prefect", url, lambda: _prefect_answers(url)))
        environment: dict[str, str] = {}
    else:
        server = Server("prefect", prefect_service(settings), "url")
        parts.append(server)
        environment = client_environment(settings)

    def with_prefect() -> dict[str, str]:
        own = next((str(part.facts()["url"]) for part in parts if isinstance(part, Server) and part.name == "prefect"), "")
        return environment | ({"PREFECT_API_URL": f"{own}/api", "PREFECT_UI_URL": own} if own else {}) | {"PYTHONUNBUFFERED": "1"}

    listens = ["--port", str(settings.metrics_port), "--elsewhere"]  # at another port if somebody has it
    ours = {part.name: [*part.command, *(listens if part.port else [])] for part in PARTS if part.is_ours}
    return [*parts, *(Process(name, [sys.executable, "-m", *command], folder, with_prefect, settings.root) for name, command in ours.items())]


def _store_answers(settings: Settings) -> bool:
    store = open_store(settings)
    try:
        ensure_trusted(store, settings)  # says itself what is wrong
    finally:
        store.close()
    return True


def _prefect_answers(url: str) -> bool:
    try:
        return not url or httpx.get(f"{url}/health", headers=access_headers(), timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False


def _detached(settings: Settings, folder: Path) -> None:
    """Start `lake up` in a session of its own, and return when everything answers. Raises LakeError with the end of its log."""
    if is_taken(folder / "alive.lock"):
        raise LakeError("lake is up already", "`lake status` shows it, `lake down` ends it")
    log = folder / "up.log"
    (folder / "state.json").unlink(missing_ok=True)
    with log.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "lake", "up", "--no-open", "--log", str(log)], cwd=settings.root, env=os.environ, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _PATIENCE
    with console(stderr=True).status("starting the store, Prefect, the worker, the watcher and metrics"):
        while not _all_run(folder):
            if started.poll() is not None or time.monotonic() > deadline:
                raise LakeError(f"lake did not come up: {last_line(log).removeprefix('lake: ')}", f"Its log: {log}")
            time.sleep(0.1)
    _show(folder)
    click.echo("\nlake is up in the background: `lake status` shows it, `lake down` ends it.")


def _all_run(folder: Path) -> bool:
    state = read_state(folder)
    return state is not None and all(part["state"] == "running" for part in state["parts"])


def _rows(folder: Path) -> list[dict[str, Any]]:
    state = read_state(folder)
    if state is None or not is_taken(folder / "alive.lock"):
        return []
    keys = ("part", "state", "url", "pid", "restarts", "trouble", "log")
    return [{key: part.get(key, "") for key in keys} | {"for": ago_seconds(time.time() - part["since"]), "since": part["since"]} for part in state["parts"]]


def _show(folder: Path) -> None:
    rows = _rows(folder)
    print_table(rows, {"part": "part", "state": "state", "url": "address"}, empty="")
    page = _page(rows)
    if page:
        click.echo(f"\nPrefect's page: {page}\nDeployments:    {page}/v2/deployments\nWhat runs show: {page}/v2/artifacts   (no menu entry leads there)")


def _page(rows: list[dict[str, Any]]) -> str:
    return next((str(row["url"]).removesuffix("/api") for row in rows if row["part"] == "prefect"), "")


def _open_page(folder: Path, *, no_open: bool) -> None:
    page = _page(_rows(folder))
    if page and not no_open and sys.stdout.isatty():
        webbrowser.open(f"{page}/v2/dashboard")
