"""`lake up`: the store, Prefect, a worker, a watcher and metrics in one command; `lake status` and `lake down` beside it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
import webbrowser
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
import httpx

from lake.cli.render import ago_seconds, console, env_option, json_option, print_json, print_table
from lake.confidential import shown
from lake.disk import local
from lake.embedded import embedded_service
from lake.errors import LakeError, Stopped
from lake.existing import check_there
from lake.locks import is_at, is_taken, private_folder, take
from lake.parts import PARTS
from lake.prefect_server import (
    access_headers,
    client_environment,
    configured,
    entrance,
    password_file,
    prefect_is_configured,
    prefect_service,
)
from lake.probe import ensure_trusted
from lake.processes import MARK, Found, began, end, left_over, processes_of
from lake.service import last_line
from lake.settings import Settings, load_settings
from lake.store import open_store
from lake.supervisor import Elsewhere, Part, Process, Server, Supervisor, read_state
from lake.wording import counted, several

_STOPS_WITHIN = 90.0  # seconds
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
    with local(folder):
        private_folder(folder)
    if detach:
        _detached(settings, folder)
        _open_page(folder, no_open=no_open)
        return
    mine = take(folder / "alive.lock", wait=False)
    if mine is None:
        raise LakeError("lake is up already", "`lake status` shows it, `lake down` ends it")
    with mine:
        os.environ[MARK] = secrets.token_hex(8)
        supervisor = Supervisor(_parts(settings, folder), folder, lambda line: click.echo(f"lake: {line}", err=True), partial(_lost, settings, mine))
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, lambda *_: supervisor.wake())
        with console(stderr=True).status("starting the store, Prefect, the worker, the watcher and metrics"):
            supervisor.start()
        _show(folder)
        if log is None:
            click.echo("\nCtrl-C stops all of it; what was published stays.")
            _open_page(folder, no_open=no_open)
        why = supervisor.keep()
        click.echo("lake: stopping; a run that goes on is let go at once, and the next one finishes its work", err=True)
        supervisor.stop()
        if why is not None:
            end([one for one in processes_of(settings.state) or [] if one.mark == os.environ[MARK]])
            raise Stopped(why, "Everything that `lake up` ran is stopped. Put the folder back, or begin anew, and `lake up` again")


def _lost(settings: Settings, mine: IO[str]) -> str | None:
    """Why there is nothing to keep running any more: the home, or the embedded store's data, was removed or moved."""
    if not is_at(mine, settings.state / "up" / "alive.lock"):
        return f"{settings.state} was removed or moved while lake was up"
    store = settings.state / "store"
    if settings.embedded and not ((store / "data").is_dir() and (store / "launch.json").exists()):  # the server makes some of its folder anew
        return f"{settings.state / 'store'} was removed or moved while lake was up"
    return None


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Each part of `lake up`: its state, its address, how often it was started again."""
    settings = load_settings()
    rows = _rows(settings.state / "up")
    if not rows:
        check_there(settings)
    if as_json:
        print_json(rows)
        return
    columns = {"part": "part", "state": "state", "for": "for", "url": "address", "restarts": "restarts", "trouble": "trouble"}
    print_table(rows, columns, empty="lake is not up. `lake up` starts it.")


@click.command()
def down() -> None:
    """Stop what `lake up` started: the worker first, the store last. Nothing half-done is visible afterwards."""
    home = load_settings().state
    found = processes_of(home)
    supervisors = [one for one in found or [] if one.part == "lake up"]
    if is_taken(home / "up" / "alive.lock"):
        state = read_state(home / "up")
        supervisors = supervisors or _as_it_said(state)
        if not supervisors:
            raise LakeError("lake is up and does not say what it runs", f"End it where it was started (Ctrl-C). Its folder: {home / 'up'}")
        end(supervisors, _STOPS_WITHIN)
        deadline = time.monotonic() + _STOPS_WITHIN
        with console(stderr=True).status("stopping"):
            while is_taken(home / "up" / "alive.lock"):
                if time.monotonic() > deadline:
                    raise LakeError("lake does not stop", f"Its log: {home / 'up' / 'up.log'}")
                time.sleep(0.1)
        _end_left_over(home)
        click.echo("lake is down; its data stays.")
        return
    if ended := _end_left_over(home):
        click.echo(f"lake was not up, but {ended} of its processes went on, whose folder was removed, moved or made anew: they are stopped now.")
        return
    click.echo("lake is not up." if found is not None else "lake is not up. (Processes whose folder was removed cannot be looked for on this system.)")


def _as_it_said(state: dict[str, Any] | None) -> list[Found]:
    """The supervisor by the pid that it wrote down, where that process began when it did; nothing where it is another by now."""
    pid, since = (state or {}).get("pid"), (state or {}).get("began")
    return [Found(pid, since, "lake up", "")] if isinstance(pid, int) and isinstance(since, int) and began(pid) == since else []


def _end_left_over(home: Path) -> int:
    """Stop what still runs of a `lake up` that is no more. Returns how many processes that were. Raises LakeError where one does not end."""
    left = left_over(home) or []
    with console(stderr=True).status("stopping") if left else contextlib.nullcontext():
        end([one for one in left if one.part == "lake up"], _STOPS_WITHIN)  # it stops its own, in order
        if stuck := end(left):
            raise LakeError(
                f"{counted(len(stuck), 'process')} {several(len(stuck), 'does', 'do')} not end: {', '.join(f'{one.part} ({one.pid})' for one in stuck)}",
                "They belong to another user: end them as that one",
            )
    return len(left)


def _parts(settings: Settings, folder: Path) -> list[Part]:
    """What runs here: servers of our own, or those that the settings name, and the processes that work with them."""
    parts: list[Part] = []
    if settings.embedded:
        parts.append(Server("store", embedded_service(settings.state / "store", settings.bucket), "endpoint"))
    else:
        parts.append(Elsewhere("store", shown(settings.endpoint or ""), lambda: _store_answers(settings)))
    if prefect_is_configured():
        url = configured("PREFECT_API_URL")
        parts.append(Elsewhere("prefect", shown(url), lambda: _prefect_answers(url)))
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
        told = "its folder was removed or made anew: `lake down` stops it"
        return [
            {"part": one.part, "state": "left over", "url": "", "pid": one.pid, "restarts": 0, "trouble": told, "log": ""}
            | {"for": ago_seconds(time.time() - one.since), "since": one.since}
            for one in left_over(folder.parent) or []
        ]
    keys = ("part", "state", "url", "pid", "restarts", "trouble", "log")
    return [{key: part.get(key, "") for key in keys} | {"for": ago_seconds(time.time() - part["since"]), "since": part["since"]} for part in state["parts"]]


def _show(folder: Path) -> None:
    rows = _rows(folder)
    print_table(rows, {"part": "part", "state": "state", "url": "address"}, empty="")
    page = _page(rows)
    if page:
        if not prefect_is_configured():
            click.echo(f"\nPrefect's page asks once for the password in {password_file(load_settings())}")
        click.echo(f"\nPrefect's page: {page}\nDeployments:    {page}/v2/deployments\nWhat runs show: {page}/v2/artifacts   (no menu entry leads there)")


def _page(rows: list[dict[str, Any]]) -> str:
    return next((str(row["url"]).removesuffix("/api") for row in rows if row["part"] == "prefect"), "")


def _open_page(folder: Path, *, no_open: bool) -> None:
    page = _page(_rows(folder))
    if not page or no_open or not sys.stdout.isatty():
        return
    if prefect_is_configured():
        webbrowser.open(f"{page}/v2/dashboard")
    else:
        webbrowser.open(entrance(load_settings(), page, "/v2/dashboard").as_uri())
