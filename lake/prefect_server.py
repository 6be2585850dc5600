"""A Prefect server of the project's own, in the background, with its home under the state folder. Nothing here imports Prefect."""

from __future__ import annotations

import base64
import html
import os
import secrets
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from lake.confidential import keep_environment
from lake.front import BEHIND, ENTRANCE
from lake.service import Launch, Service, free_ports, is_free, last_port, write_private, write_private_once
from lake.settings import Settings, user_home

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
"""What whatever has to do with Prefect has in its environment: its own telemetry is off, and it brings no server of its own unasked."""
PREFECT = "prefect.server.api.server:create_app"
"""Where Prefect makes its server."""
_PATIENCE = 120.0  # seconds; a first start migrates the database, and a busy machine takes its time


def prefect_service(settings: Settings) -> Service:
    """The server whose database is under the state folder: shared by all runs of the project, stopped by the last."""
    folder = settings.state / "prefect"
    return Service(folder, lambda: _launch(settings, folder), lambda facts: answers(folder, facts, basic(password(settings))), patience=_PATIENCE)


def password_file(settings: Settings) -> Path:
    """Where the name and password stand that the project's own server asks for, as `name:password`; only its owner can read it."""
    return settings.state / "prefect" / "password"


def password(settings: Settings) -> str:
    """The name and password of the project's own server, as `name:password`: made at first use.

    Whoever reaches Prefect's API can have any command run as the user of the worker. That is every user of the machine, and every
    page that a browser on it shows, unless the API asks who they are.
    """
    file = password_file(settings)
    try:
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private_once(file, f"lake:{secrets.token_urlsafe(30)}\n")
        return file.read_text("utf-8").strip()


def entrance(settings: Settings, url: str, page: str) -> Path:
    """A file that a browser is opened with: it leads to `page` of the server at `url`, and in. Only its owner can read it.

    A browser's command line is seen by every user of the machine, so the password cannot be in an address that is given to it.
    """
    file = settings.state / "prefect" / "enter.html"
    there = f"{url}{ENTRANCE}#{quote(password(settings), safe='')}&{quote(page, safe='')}"
    text = f'<!doctype html><meta charset="utf-8"><title>lake</title><meta http-equiv="refresh" content="0; url={html.escape(there)}">'
    write_private(file, text)
    return file


def client_environment(settings: Settings) -> dict[str, str]:
    """What a client of the project's own server has in its environment before Prefect is imported: its home, its password, and silence."""
    home = settings.state / "prefect" / "home"
    home.mkdir(parents=True, exist_ok=True)
    os.chmod(settings.state / "prefect", 0o700)
    # A key for Prefect Cloud that the shell may have is not for this server.
    return {**QUIET, "PREFECT_HOME": str(home), "PREFECT_CLI_PROMPT": "false", "PREFECT_API_AUTH_STRING": password(settings), "PREFECT_API_KEY": ""}


def prefect_is_configured() -> bool:
    """Whether the user, a worker or a profile already says which Prefect to talk to."""
    return "PREFECT_PROFILE" in os.environ or bool(configured("PREFECT_API_URL"))


def configured(name: str) -> str:
    """What the environment, else the profile in force, says of one of Prefect's settings; empty where neither does."""
    if name in os.environ:
        return os.environ[name]
    told, home = os.environ.get("PREFECT_HOME"), user_home()
    if not told and home is None:
        return ""
    file = (Path(told) if told else Path(str(home)) / ".prefect") / "profiles.toml"
    try:
        said = tomllib.loads(file.read_text("utf-8"))
        profile = said["profiles"][os.environ.get("PREFECT_PROFILE") or said["active"]]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return str(profile.get(name, ""))


def access_headers() -> dict[str, str]:
    """What requests to the configured Prefect carry so that they are let in: a key of Prefect Cloud, or the name and password of a server."""
    if key := configured("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if told := configured("PREFECT_API_AUTH_STRING"):
        keep_environment({"PREFECT_API_AUTH_STRING": told})
        return basic(told)
    return {}


def allows(api: str) -> list[str]:
    """What the Prefect server at `api` lets strangers do, in words; nothing where it asks everybody who they are. Raises httpx.HTTPError."""
    with httpx.Client(timeout=5.0) as client:
        found = []
        if client.post(f"{api}/deployments/count", json={}).status_code == httpx.codes.OK:
            found.append("whoever reaches it can have any command run, as it asks for no password: set PREFECT_SERVER_API_AUTH_STRING where it starts")
        asks = {"Origin": "http://elsewhere.invalid", "Access-Control-Request-Method": "POST"}
        let_in = client.options(f"{api}/deployments/", headers=asks).headers.get("access-control-allow-origin")
        if let_in in ("*", asks["Origin"]):
            found.append("pages of any origin may ask it: set PREFECT_SERVER_CORS_ALLOWED_ORIGINS to its own address where it starts")
        return found


def basic(told: str) -> dict[str, str]:
    """The header that carries a name and password, given as `name:password`."""
    return {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}


def server_environment(settings: Settings) -> dict[str, str]:
    """What a Prefect server of lake's has in its environment, wherever it runs: silence, cheap task history, an end to old history, and
    that requests which a foreign page makes in a browser are refused.
    """
    return {
        **QUIET,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50", "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1", "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(int(settings.prefect_retention.total_seconds())),
    }  # fmt: skip


def _launch(settings: Settings, folder: Path) -> Launch:
    port = last_port(folder, "url") or settings.prefect_port
    port = port if is_free(port) else free_ports(1)[0]
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    database = settings.prefect_database.get_secret_value() if settings.prefect_database else f"sqlite+aiosqlite:///{home / 'prefect.db'}"
    environment = server_environment(settings) | {
        "PREFECT_HOME": str(home), "PREFECT_API_URL": f"{url}/api", "PREFECT_UI_API_URL": f"{url}/api", "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT__SERVER_FINAL": "1", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url,
        "PREFECT_SERVER_API_AUTH_STRING": password(settings), "PREFECT_API_AUTH_STRING": password(settings), "PREFECT_API_KEY": "",
        BEHIND: PREFECT,
    }  # fmt: skip
    return Launch(server_command("127.0.0.1", port), {"url": url}, environment)


def server_command(host: str, port: int) -> list[str]:
    """The command of a Prefect server behind `lake.front`. What it is told otherwise stands in its environment, BEHIND among it."""
    return [
        sys.executable, "-m", "uvicorn", "--app-dir", sysconfig.get_path("purelib"), "--factory", "lake.front:create_app",
        "--host", host, "--port", str(port), "--timeout-keep-alive", "5", "--log-level", "warning",
    ]  # fmt: skip


def answers(folder: Path, facts: dict[str, Any], headers: dict[str, str]) -> bool:
    """Whether the server at its address answers, and is the one whose home is in `folder`: two that start at once may choose the same port, and one of them gets it."""
    try:
        if httpx.get(f"{facts['url']}/api/health", timeout=2.0, trust_env=False).status_code != httpx.codes.OK:
            return False
        told = httpx.get(f"{facts['url']}/api/admin/settings", headers=headers, timeout=5.0, trust_env=False)
        if told.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return False  # one that does not take this password is another lake's
        return told.status_code != httpx.codes.OK or Path(told.json()["home"]).resolve() == (folder / "home").resolve()
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
