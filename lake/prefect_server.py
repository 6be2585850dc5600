"""A Prefect server of the project's own, in the background, with its home under the state folder. Nothing here imports Prefect."""

from __future__ import annotations

import base64
import os
import sys
import sysconfig
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from lake.service import Launch, Service, free_ports, is_free, last_port
from lake.settings import Settings

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
"""What whatever has to do with Prefect has in its environment: it reports to nobody, and brings no server of its own unasked."""
_PATIENCE = 120.0  # seconds; a first start migrates the database, and a busy machine takes its time


def prefect_service(settings: Settings) -> Service:
    """The server whose database is under the state folder: shared by all runs of the project, stopped by the last."""
    folder = settings.state / "prefect"
    return Service(folder, lambda: _launch(settings, folder), partial(answers, folder), patience=_PATIENCE)


def client_environment(settings: Settings) -> dict[str, str]:
    """What a client of the project's own server has in its environment before Prefect is imported: its home, and silence."""
    home = settings.state / "prefect" / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {**QUIET, "PREFECT_HOME": str(home), "PREFECT_CLI_PROMPT": "false"}


def prefect_is_configured() -> bool:
    """Whether the user, a worker or a profile already says which Prefect to talk to."""
    return "PREFECT_PROFILE" in os.environ or bool(configured("PREFECT_API_URL"))


def configured(name: str) -> str:
    """What the environment, else the profile in force, says of one of Prefect's settings; empty where neither does."""
    if name in os.environ:
        return os.environ[name]
    file = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect")) / "profiles.toml"
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
        return {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}
    return {}


def server_environment(settings: Settings) -> dict[str, str]:
    """What a Prefect server of lake's has in its environment, wherever it runs: silence, cheap task history, and an end to old history."""
    return {
        **QUIET,
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
        "PREFECT__SERVER_FINAL": "1",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "uvicorn", "--app-dir", sysconfig.get_path("purelib"), "--factory", "prefect.server.api.server:create_app",
        "--host", "127.0.0.1", "--port", str(port), "--timeout-keep-alive", "5", "--log-level", "warning",
    ]  # fmt: skip
    return Launch(command, {"url": url}, environment)


def answers(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether the server at its address answers, and is the one whose home is in `folder`: two that start at once may choose the same port, and one of them gets it."""
    try:
        if httpx.get(f"{facts['url']}/api/health", timeout=2.0, trust_env=False).status_code != httpx.codes.OK:
            return False
        told = httpx.get(f"{facts['url']}/api/admin/settings", timeout=5.0, trust_env=False)
        return told.status_code != httpx.codes.OK or Path(told.json()["home"]).resolve() == (folder / "home").resolve()
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
