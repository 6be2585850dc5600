"""Which Prefect is meant: the environment's, the active profile's, or one of the project's own; and how events get in."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from lake.prefect_events import post_event
from lake.prefect_server import access_headers, answers, configured, prefect_is_configured, server_environment
from lake.service import free_ports
from lake.settings import load_settings
from tests.conftest import ROOT

_PROFILES = """
active = "ephemeral"

[profiles.ephemeral]
PREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "true"

[profiles.office]
PREFECT_API_URL = "https://prefect.example.org/api"
PREFECT_API_KEY = "pnu_0123"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's Prefect home, with nothing in it yet."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    return tmp_path


def test_nothing_said_is_nothing_configured(home: Path) -> None:
    """No variable, no profile; nor where the profile in force says no address, though another does."""
    assert not prefect_is_configured()
    (home / "profiles.toml").write_text(_PROFILES, "utf-8")
    assert not prefect_is_configured()
    assert configured("PREFECT_API_URL") == ""


def test_a_profile_that_is_broken_configures_nothing(home: Path) -> None:
    """What is no TOML, or names a profile that there is not, is as good as none."""
    for text in ("active = ", 'active = "gone"\n', ""):
        (home / "profiles.toml").write_text(text, "utf-8")
        assert not prefect_is_configured()


def test_the_profile_in_force_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The active one, or the one that PREFECT_PROFILE names; a variable beats both."""
    (home / "profiles.toml").write_text(_PROFILES.replace('"ephemeral"', '"office"', 1), "utf-8")
    assert configured("PREFECT_API_URL") == "https://prefect.example.org/api"
    assert access_headers() == {"Authorization": "Bearer pnu_0123"}
    (home / "profiles.toml").write_text(_PROFILES, "utf-8")
    monkeypatch.setenv("PREFECT_PROFILE", "office")
    assert configured("PREFECT_API_URL") == "https://prefect.example.org/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert configured("PREFECT_API_URL") == "http://127.0.0.1:1/api"


def test_events_get_in_where_a_password_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event carries the name and password of PREFECT_API_AUTH_STRING as HTTP asks for them; a server that says no is an error."""
    got: list[tuple[str, Any]] = []
    (port,) = free_ports(1)

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  # the name the base looks for
            self.send_response(200 if "csrf-token" in self.path else 404)
            self.end_headers()
            self.wfile.write(b'{"token": "a token"}')

        def do_POST(self) -> None:  # noqa: N802  # the name the base looks for
            assert self.headers["Prefect-Csrf-Token"] == "a token"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers.get("Authorization", ""), body))
            self.send_response(204 if self.headers.get("Authorization") == "Basic YW5uOnNlY3JldA==" else 401)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        with pytest.raises(httpx.HTTPStatusError):
            post_event(f"http://127.0.0.1:{port}/api", "lake.disk.low", {"prefect.resource.id": "x"}, {"message": "m"}, access_headers())
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ann:secret")
        post_event(f"http://127.0.0.1:{port}/api", "lake.disk.low", {"prefect.resource.id": "x"}, {"message": "m"}, access_headers())
    finally:
        server.shutdown()
        server.server_close()
    (event,) = got[-1][1]
    assert (event["event"], event["resource"], event["payload"]) == ("lake.disk.low", {"prefect.resource.id": "x"}, {"message": "m"})


def test_a_server_of_ours_says_nothing_to_others_and_forgets_in_time() -> None:
    """No telemetry, no analytics; runs go after as long as LAKE_PREFECT_RETENTION says, in seconds."""
    told = server_environment(load_settings(root=ROOT, prefect_retention="P2D"))
    assert (told["DO_NOT_TRACK"], told["PREFECT_SERVER_ANALYTICS_ENABLED"]) == ("1", "false")
    assert told["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"] == "events,flow_runs"
    assert told["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == "172800"


@pytest.mark.parametrize(("where", "told"), [("mine", True), ("another's", False), ("locked", False)])
def test_a_server_of_another_home_is_not_taken_for_ones_own(tmp_path: Path, where: str, told: bool) -> None:
    """Two that start at once may choose the same port. The one that got it answers for both, until it is asked whose it is."""

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = json.dumps({"home": str(tmp_path / where / "home")} if self.path.endswith("settings") else True).encode()
            self.send_response(401 if where == "locked" and self.path.endswith("settings") else 200)  # another's password
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert answers(tmp_path / "mine", {"url": f"http://127.0.0.1:{server.server_port}"}, {}) is told
    finally:
        server.shutdown()
        server.server_close()
