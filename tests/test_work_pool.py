"""prefect.yaml for real: `prefect deploy --all` to a work pool, and a run by Prefect's own process worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lake.prefect_server import prefect_service
from lake.settings import load_settings
from tests.outside import outside
from tests.test_cli import Project, make_project
from tests.town import ENDED, admitted, asked, processes_in, until, until_none

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, dict[str, str]]]:
    """A project with its prefect.yaml, a Prefect server with a pool called lake, and the environment that reaches both."""
    root = tmp_path_factory.mktemp("pool") / "the shop's"
    (user := root.parent / "user").mkdir()
    made = make_project(root, LAKE_HOME=str(root / "home"), LAKE_ENV="dev", HOME=str(user))
    made.lake("deployments", "--write").did()
    service = prefect_service(load_settings(root=root, home=root / "home"))
    page = service.hold()["url"]
    url, home = f"{page}/api", root / "home"
    admitted(page, home)
    inherited = outside()
    password = (home / "prefect" / "password").read_text("utf-8").strip()
    told = {
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": password,
        "PREFECT_HOME": str(user / "prefect"),
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1",
        "PREFECT_CLI_COLORS": "false",
    }
    yield made, inherited | dict(made.variables) | told
    service.release(wait=True)
    left = until_none(lambda: processes_in(root))
    for process in left:
        process.kill()
    assert left == []


def test_what_is_written_down_deploys_to_a_pool_and_runs(project: tuple[Project, dict[str, str]]) -> None:
    """All deployments of prefect.yaml are made without a question; a worker of the pool runs refresh, and a release comes of it."""
    made, environment = project

    def prefect(*arguments: str) -> str:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        done = subprocess.run(command, cwd=made.root, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    prefect("work-pool", "create", "lake", "--type", "process")
    prefect("deploy", "--all")
    url = environment["PREFECT_API_URL"]
    found = asked("POST", f"{url}/deployments/filter", {}).json()
    assert sorted(one["name"] for one in found) == ["backfill", "freshness", "land", "refresh", "upkeep", "verify"]
    refresh = next(one for one in found if one["name"] == "refresh")
    assert refresh["work_pool_name"] == "lake"
    assert refresh["parameter_openapi_schema"]["definitions"]["Table"]["enum"] == ["silver.shop.orders", "gold.shop.totals"]
    run = asked("POST", f"{url}/deployments/{refresh['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}}).json()
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "lake", "--type", "process"]
    log = Path(environment["HOME"]) / "worker.log"
    with log.open("w") as output, subprocess.Popen(command, cwd=made.root, env=environment, stdout=output, stderr=subprocess.STDOUT) as worker:
        try:
            ended = until(lambda: _state(url, run["id"]), 150, "the pool's worker runs it")
        finally:
            worker.terminate()
    assert (ended["type"], ended["message"]) == ("COMPLETED", "release 1"), log.read_text("utf-8")
    assert made.tables() == {"bronze.shop.orders": 4, "silver.shop.orders": 3, "gold.shop.totals": 2}


def test_lake_up_uses_a_prefect_that_is_there(project: tuple[Project, dict[str, str]]) -> None:
    """With PREFECT_API_URL set, `lake up` starts none, works with that one, and leaves it running; one that does not answer is told at once."""
    made, environment = project
    url = environment["PREFECT_API_URL"]
    password = environment["PREFECT_API_AUTH_STRING"]
    said = made.lake("up", "--detach", "--no-open", PREFECT_API_URL=url, PREFECT_API_AUTH_STRING=password, NO_PROXY="127.0.0.1")
    assert said.code == 0, said
    try:
        assert {row["part"]: row["url"] for row in made.rows("status")}["prefect"] == url
    finally:
        assert made.lake("down").code == 0
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
    made.lake("up", "--detach", PREFECT_API_URL="http://127.0.0.1:9/api", NO_PROXY="127.0.0.1").refused("prefect does not answer at http://127.0.0.1:9/api")


def _state(url: str, run: str) -> dict[str, str] | None:
    found: dict[str, str] = asked("GET", f"{url}/flow_runs/{run}").json()["state"]
    return found if found["type"] in ENDED else None
