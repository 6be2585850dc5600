"""Prefect's API runs commands for whoever it lets in: it lets in nobody without the password, and the page calls nobody but it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import websockets
from playwright.sync_api import expect

from lake.front import ENTRANCE
from lake.prefect_events import post_event
from lake.prefect_server import allows, basic, entrance, password, password_file, prefect_service
from lake.settings import Settings, load_settings
from tests.browser import browser_page
from tests.town import admitted, asked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_OPEN = {"/api/health", "/api/ready"}
_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Server:
    """A project's own Prefect: its address, and the settings of the lake it belongs to."""

    page: str
    settings: Settings

    @property
    def secret(self) -> str:
        """The password alone."""
        return password(self.settings).partition(":")[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = load_settings(root=tmp_path_factory.mktemp("root"), home=tmp_path_factory.mktemp("a home's"))
    service = prefect_service(settings)
    page = str(service.hold()["url"])
    admitted(page, settings.state)
    yield Server(page, settings)
    service.release(wait=True)


def _routes(server: Server) -> list[tuple[str, str]]:
    """Every method and path that the API has, with an id of nothing where one is wanted."""
    described = asked("GET", f"{server.page}/api/openapi.json").json()["paths"]
    return [(method.upper(), f"/api{re.sub(r'{[^}]*}', _ID, path.removeprefix('/api'))}") for path, methods in described.items() for method in methods]


def test_every_route_asks_who_calls(server: Server) -> None:
    """Without a password, or with another, each of Prefect's routes answers 401 (403 where a page's token is missed first) and does nothing; its health is the one thing that anybody sees."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        for headers in ({}, basic("lake:guessed"), basic(":"), {"Authorization": "Bearer x"}):
            routes = _routes(server) if not headers else [("POST", "/api/deployments/"), ("GET", "/api/admin/settings"), ("POST", "/api/flow_runs/filter")]
            answers = {(method, path): client.request(method, f"{server.page}{path}", headers=headers, json={}).status_code for method, path in routes}
            assert {route: status for route, status in answers.items() if status not in (401, 403) and route[1] not in _OPEN} == {}
            assert len(answers) > (100 if not headers else 2)


def test_a_stranger_has_no_command_run(server: Server) -> None:
    """The proof: a flow and a deployment whose pull step runs a shell script, posted without credentials."""
    step = {"prefect.deployments.steps.run_shell_script": {"script": "touch /tmp/was-here"}}
    with httpx.Client(trust_env=False, timeout=30) as client:
        assert client.post(f"{server.page}/api/flows/", json={"name": "theirs"}).status_code in (401, 403)
        told = {"name": "theirs", "flow_id": _ID, "pull_steps": [step]}
        assert client.post(f"{server.page}/api/deployments/", json=told).status_code in (401, 403)
    assert asked("POST", f"{server.page}/api/deployments/filter", {}).json() == []


def test_whoever_is_let_in_still_cannot_be_borrowed_by_a_page(server: Server) -> None:
    """With the password and without the token that a page of its own origin gets, nothing is changed."""
    with httpx.Client(trust_env=False, timeout=30, headers=basic(password(server.settings))) as client:
        assert client.post(f"{server.page}/api/flows/", json={"name": "theirs"}).status_code == 403
    post_event(f"{server.page}/api", "lake.test", {"prefect.resource.id": "x"}, {}, basic(password(server.settings)))


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
def test_streams_ask_too(server: Server, path: str) -> None:
    """The web sockets send and take nothing before the password is there."""

    async def listens() -> Any:
        address = f"{server.page.replace('http', 'ws')}/api/{path}"
        async with websockets.connect(address, subprotocols=[websockets.Subprotocol("prefect")]) as socket:
            await socket.send(json.dumps({"type": "auth", "token": "guessed"}))
            return await asyncio.wait_for(socket.recv(), 20)

    try:
        said = asyncio.run(listens())
    except (websockets.WebSocketException, TimeoutError):
        return
    assert json.loads(said)["type"] in ("auth_failure", "auth_error")


def test_pages_of_other_origins_are_refused(server: Server) -> None:
    """A preflight of a foreign page is refused, and no answer says that such a page may read it."""
    asks = {"Origin": "http://127.0.0.1:9", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.options(f"{server.page}/api/deployments/", headers=asks)
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers
        health = client.get(f"{server.page}/api/health", headers={"Origin": "http://127.0.0.1:9"})
        assert health.headers.get("access-control-allow-origin") not in ("*", "http://127.0.0.1:9")


def test_doctor_finds_nothing_open_here(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `lake doctor` says of a Prefect of the user's own: of this one there is nothing to say."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert allows(f"{server.page}/api") == []


def test_the_password_is_seen_nowhere(server: Server) -> None:
    """No command line, log or state file has it; the files that do are their owner's alone."""
    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if server.secret in line] == []
    folder = server.settings.state / "prefect"
    holds = {path for path in folder.rglob("*") if path.is_file() and server.secret.encode() in path.read_bytes()}
    assert {path.name for path in holds} <= {"password", "launch.json", "enter.html"}
    assert password_file(server.settings) in holds
    for path in holds:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_address_of_alerts_is_kept_as_a_secret(server: Server) -> None:
    """The block that alerts go to has it among its secrets, which the API gives to nobody but the server's own actions; neither does it tell its database."""
    said = "http://planted-user:planted-word@127.0.0.1:9/services/T0PLANTED/B1PLANTED?sig=PLANTED"
    code = (
        "import asyncio\nfrom pydantic import SecretStr\nfrom lake.orchestration.automations import notification_block\nfrom prefect.blocks.core import Block\n"
        f"print(asyncio.run(notification_block(SecretStr({said!r}))))\n"
        "block = asyncio.run(Block.aload('custom-webhook/lake-notify'))\nprint(block._build_request_args('body', 'subject')['url'])\n"
    )
    environment = os.environ | {"PREFECT_API_URL": f"{server.page}/api", "PREFECT_API_AUTH_STRING": password(server.settings)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == said
    told = asked("POST", f"{server.page}/api/block_documents/filter", {"include_secrets": False}).text
    assert "lake-notify" in told
    for secret in ("PLANTED", "planted"):
        assert secret not in told
        assert secret not in asked("GET", f"{server.page}/api/admin/settings").text


def test_the_page_opens_ready_and_calls_nobody_else(server: Server) -> None:
    """As `lake up` opens it: no password is typed, and the browser asks this server alone, however one looks around."""
    file = entrance(server.settings, server.page, "/v2/dashboard")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with browser_page() as page:
        asked_for: list[str] = []
        page.context.on("request", lambda request: asked_for.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_url("**/v2/dashboard", wait_until="commit")
        expect(page.get_by_role("link", name="Deployments").first).to_be_visible()
        assert server.secret not in page.url
        for where in ("deployments", "runs", "artifacts", "automations", "events"):
            page.goto(f"{server.page}/v2/{where}", wait_until="commit")
            expect(page.get_by_role("link", name="Deployments").first).to_be_visible()
        assert page.evaluate("localStorage.getItem('prefect-password')")
    elsewhere = [url for url in asked_for if not url.startswith((f"{server.page}/", server.page.replace("http", "ws"), "file://", "data:", "blob:"))]
    assert elsewhere == []


def test_without_the_file_the_page_asks(server: Server) -> None:
    """A browser that was not let in sees the question for the password, and no run."""
    with browser_page() as page:
        page.goto(f"{server.page}/v2/dashboard")
        expect(page.locator("input[type=password]").first).to_be_visible()


def test_the_entrance_leads_nowhere_else(server: Server) -> None:
    """An address behind the password that is not a path of this server is not followed."""
    with browser_page() as page:
        page.goto(f"{server.page}{ENTRANCE}#x&//example.invalid/")
        page.wait_for_url(lambda url: ENTRANCE not in url)
        assert page.url.startswith(f"{server.page}/")
    assert "frame-ancestors 'none'" in httpx.get(f"{server.page}{ENTRANCE}", trust_env=False).headers["content-security-policy"]


def test_two_that_start_at_once_take_one_password(tmp_path: Path) -> None:
    """The first to write it wins, and the other reads that one."""
    settings = load_settings(root=tmp_path, home=tmp_path / "home")
    assert password(settings) == password(settings)
    assert password(settings).startswith("lake:")
    assert len(password(settings)) > 40
