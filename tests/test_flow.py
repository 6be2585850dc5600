"""Runs as Prefect flows, on a real server: what it records of them, who starts it, and what a killed run leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lake.pipeline import Pipeline, load_pipeline
from lake.prefect_server import prefect_service
from lake.service import Service
from lake.settings import load_settings
from tests.conftest import ROOT
from tests.outside import outside
from tests.test_cli import Project, Said, answer, make_project, run_lake
from tests.test_telemetry import Receiver
from tests.town import admitted, asked

pytestmark = pytest.mark.slow

Row = dict[str, Any]
_PATIENCE = 20.0  # seconds; servers stop in about four, on a busy machine


class Api:
    """What Prefect's REST API says of flow runs and task runs."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = f"{url}/api"
        self.password = (home / "prefect" / "password").read_text("utf-8").strip()
        admitted(url, home)

    def flow_runs(self, flow: str) -> list[Row]:
        """The runs of a flow, oldest first."""
        return self._ask("flow_runs", {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC"})

    def task_runs(self, flow_run: Row, count: int) -> list[Row]:
        """The task runs of a flow run that has ended, of which there are `count`. The server writes them down a little later than they happen."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            found = self._ask("task_runs", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
            settled = [run for run in found if run["state"]["name"] in ("Completed", "Failed", "NotReady")]
            if len(settled) == count or time.monotonic() > deadline:
                return found
            time.sleep(0.2)

    def _ask(self, kind: str, wanted: Row) -> list[Row]:
        found: list[Row] = asked("POST", f"{self.url}/{kind}/filter", wanted).json()
        return found


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that name `folder` or work in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line or str(folder) in (process.info["cwd"] or ""):
            found.append(line)
    return found


def left_running(folder: Path) -> list[str]:
    """The processes of `folder` that are still there after a few seconds; none, it is hoped."""
    deadline = time.monotonic() + _PATIENCE
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def contents(home: Path) -> dict[str, list[Row]]:
    """Of every table, its commits: run, version, rows and content hash."""
    tables = [row["table"] for row in answer("ls", "--json", LAKE_HOME=str(home)).rows]
    told = {table: answer("history", table, "--json", LAKE_HOME=str(home)).rows for table in tables}
    return {table: [{key: row[key] for key in ("run", "version", "rows", "content")} for row in rows] for table, rows in told.items()}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where everything here happens; at the end, nothing of it is left running."""
    made = tmp_path_factory.mktemp("flows")
    (made / "user").mkdir()
    yield made
    assert left_running(made) == []


@pytest.fixture(scope="module")
def user(folder: Path) -> dict[str, str]:
    """The environment of a user who never heard of Prefect: no profile in their home folder."""
    return {"HOME": str(folder / "user")}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """The flow of flows/nyc as it is declared."""
    return load_pipeline(load_settings(root=ROOT), "nyc")


@pytest.fixture(scope="module")
def home(folder: Path) -> Path:
    """Where the lake of most tests is kept."""
    return folder / "home"


@pytest.fixture(scope="module")
def first(home: Path, user: dict[str, str]) -> tuple[Said, list[str]]:
    """`lake run nyc` where nothing is prepared, and the Prefect processes there were when it had ended."""
    said = run_lake("run", "nyc", **user, LAKE_HOME=str(home))
    return said, processes_of(home / "prefect")


@pytest.fixture(scope="module")
def service(home: Path, first: object) -> Iterator[Service]:
    """The project's own server, started again."""
    found = prefect_service(load_settings(root=ROOT, home=home))
    found.hold()
    yield found
    found.release(wait=True)


@pytest.fixture(scope="module")
def api(service: Service, home: Path) -> Iterator[Api]:
    """The REST API of the project's own server."""
    yield Api(service.hold()["url"], home)
    service.release()


@pytest.fixture(scope="module")
def second(home: Path, user: dict[str, str], api: Api) -> tuple[Said, dict[str, int], dict[str, int]]:
    """`lake run nyc` again, while the project's server runs; and the version of every table before and after."""

    def versions() -> dict[str, int]:
        return {row["table"]: row["version"] for row in answer("ls", "--json", LAKE_HOME=str(home)).rows}

    before = versions()
    return run_lake("run", "nyc", **user, LAKE_HOME=str(home)), before, versions()


def test_a_run_needs_nothing_prepared(first: tuple[Said, list[str]], pipeline: Pipeline) -> None:
    """The first run brings its own Prefect server, tells each step and ends with a release."""
    said, _ = first
    lines = said.did().out.splitlines()
    assert sorted(line.split("  ")[0] for line in lines[:-1]) == sorted(f"✓ {step.name}" for step in pipeline.steps)
    assert lines[-1] == "nyc: release 1"


def test_the_server_stops_with_the_run_that_started_it(first: tuple[Said, list[str]]) -> None:
    """When the run has ended, so has the server it started."""
    assert first[1] == []


def test_a_flow_run_says_what_it_released(api: Api) -> None:
    """Prefect's own record of the run is there after the server's restart: Completed, with the release."""
    run = api.flow_runs("nyc")[0]
    assert (run["name"], run["state"]["name"], run["state"]["message"]) == ("nyc refresh · release 1", "Completed", "release 1")


def test_each_step_is_a_task_named_after_its_table(api: Api, pipeline: Pipeline) -> None:
    """Each step is one task run, named exactly after its table (or "land …"), and Completed."""
    runs = api.task_runs(api.flow_runs("nyc")[0], len(pipeline.steps))
    assert sorted((run["name"], run["state"]["name"]) for run in runs) == sorted((step.name, "Completed") for step in pipeline.steps)


def test_tasks_depend_on_each_other_as_the_steps_do(api: Api, pipeline: Pipeline) -> None:
    """What each task run waited for is recorded, follows the pipeline's order, and was really waited for."""
    runs = {run["id"]: run for run in api.task_runs(api.flow_runs("nyc")[0], len(pipeline.steps))}
    waited = {run["name"]: [runs[given["id"]] for given in run["task_inputs"]["inputs"]] for run in runs.values()}
    assert {name: sorted(up["name"] for up in ups) for name, ups in waited.items()} == {step.name: sorted(step.after) for step in pipeline.steps}
    assert [(up["name"], run["name"]) for run in runs.values() for up in waited[run["name"]] if up["end_time"] > run["start_time"]] == []


def test_no_task_result_holds_a_frame(api: Api, home: Path, pipeline: Pipeline) -> None:
    """Tasks pass references: no result is kept by the server, nor written beside it."""
    assert {run["name"]: run["state"]["data"] for run in api.task_runs(api.flow_runs("nyc")[0], len(pipeline.steps)) if run["state"]["data"] is not None} == {}
    assert {path.suffix for path in (home / "prefect" / "home").rglob("*") if path.is_file()} <= {".toml", ".db", ".db-shm", ".db-wal"}


def test_every_commit_names_its_flow_run(api: Api, home: Path) -> None:
    """From each commit there is a way to the flow run in Prefect."""
    run = api.flow_runs("nyc")[0]
    for table in ("bronze.nyc.planes", "silver.nyc.flights", "gold.nyc.aircraft_use"):
        assert [commit["prefect_flow_run"] for commit in answer("history", table, "--json", LAKE_HOME=str(home)).rows] == [run["id"]]


def test_a_second_run_finds_nothing_to_do(second: tuple[Said, dict[str, int], dict[str, int]], api: Api, pipeline: Pipeline) -> None:
    """A second run is Completed, says that nothing is new, and leaves every table at its version."""
    said, before, after = second
    assert said.did().out.splitlines()[-1] == "nyc: nothing new; release 1 stands"
    _, run = api.flow_runs("nyc")
    assert (run["state"]["name"], run["state"]["message"]) == ("Completed", "nothing new; release 1 stands")
    assert {task["state"]["name"] for task in api.task_runs(run, len(pipeline.steps))} == {"Completed"}
    assert len(before) == len(pipeline.steps) - len(pipeline.sources)
    assert before == after


def test_runs_share_the_project_s_server(second: object, service: Service, api: Api, home: Path) -> None:
    """A run that finds the project's server running uses it, starts none beside it, and does not stop it."""
    assert service.alive()
    assert f"{json.loads((home / 'prefect' / 'state.json').read_text('utf-8'))['facts']['url']}/api" == api.url
    assert len([line for line in processes_of(home / "prefect") if "lake.front:create_app" in line]) == 1


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, folder: Path, user: dict[str, str], api: Api) -> Project:
    """A small project of somebody who has a Prefect server, and says so."""
    root = folder / tmp_path_factory.mktemp("shop").name
    return make_project(root, **user, LAKE_HOME=str(root / "home"), LAKE_ENV="dev", PREFECT_API_URL=api.url, PREFECT_API_AUTH_STRING=api.password)


def test_a_server_given_by_the_environment_is_used(shop: Project, api: Api) -> None:
    """With PREFECT_API_URL set, a run is recorded there, and no server is started."""
    known = len(api.flow_runs("shop"))
    assert "shop: release 1" in shop.lake("run").did().out
    assert not (shop.root / "home" / "prefect").exists()
    recorded = api.flow_runs("shop")[known:]
    assert [(run["state"]["name"], run["state"]["message"]) for run in recorded] == [("Completed", "release 1")]
    assert {task["name"] for task in api.task_runs(recorded[0], 4)} == {"land shop.orders", "bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"}


def test_a_run_in_prefect_is_watched_as_any_other(shop: Project) -> None:
    """Steps that run as tasks, in threads of Prefect's, are events and spans of their run all the same, and --timings tells Prefect's share."""
    receiver = Receiver()
    said = shop.lake("run", "--timings", LAKE_LOG="json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    receiver.shutdown()
    receiver.server_close()
    assert said.code == 0, said.err
    events = [json.loads(line) for line in said.err.splitlines()]
    steps = ["land shop.orders", "bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"]
    assert [event.get("step") for event in events] == [*steps, None, None]
    assert [event["event"] for event in events[-2:]] == ["release", "run"]
    assert len({event["run"] for event in events}) == 1
    assert [span.name for span in receiver.below(receiver.named("shop"))] == steps
    shares = re.search(r"([\d.]+) s in all: the engine was at work for ([\d.]+) s .* Prefect took ([\d.]+) s", said.out.splitlines()[-1])
    assert shares is not None
    wall, engine, prefect = map(float, shares.groups())
    assert prefect > 1, "its import alone takes longer"
    assert wall == pytest.approx(engine + prefect, abs=0.02)


def test_a_hop_that_raises_fails_the_flow_run(shop: Project, api: Api) -> None:
    """A hop that raises fails its task and the flow run, both naming hop and line; what it needs is committed, what needs it never ran."""
    known = len(api.flow_runs("shop"))
    line = shop.edit("hops", "    return raw.select(", '    raise ValueError("no way")\n    return raw.select(')
    blame = ("hop clean", "silver.shop.orders", "ValueError: no way", f"hops.py:{line}", 'raise ValueError("no way")')
    shop.lake("run").refused(*blame)
    (run,) = api.flow_runs("shop")[known:]
    assert run["state"]["name"] == "Failed"
    tasks = {task["name"].rpartition("-")[0] or task["name"]: task for task in api.task_runs(run, 4)}  # Prefect numbers those that never ran
    assert {name: (task["state"]["type"], task["run_count"]) for name, task in tasks.items()} == {
        "land shop.orders": ("COMPLETED", 1), "bronze.shop.orders": ("COMPLETED", 1), "silver.shop.orders": ("FAILED", 1), "gold.shop.totals": ("PENDING", 0),
    }  # fmt: skip
    for words in blame:
        assert words in run["state"]["message"]
        assert words in tasks["silver.shop.orders"]["state"]["message"]
    assert shop.tables() == {"bronze.shop.orders": 4}
    assert shop.rows("release", "ls") == []


@pytest.fixture(scope="module")
def killed(folder: Path, user: dict[str, str]) -> tuple[Path, list[str]]:
    """The home of a run that was killed with SIGKILL between its tables, and the processes it left after a few seconds."""
    home = folder / "killed"
    inherited = outside()
    command = [sys.executable, "-m", "lake", "run", "nyc"]
    with subprocess.Popen(command, cwd=ROOT, env=inherited | user | {"LAKE_HOME": str(home)}, stdout=subprocess.PIPE, text=True, encoding="utf-8") as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("✓ silver."):
                break
        assert [line for line in processes_of(home) if "create_app" in line] != [], "the run had a server of its own"
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    return home, left_running(home)


def test_nothing_outlives_a_killed_run(killed: tuple[Path, list[str]]) -> None:
    """A few seconds after a run was killed, neither its Prefect server nor its store is left."""
    home, left = killed
    assert left == []
    assert answer("release", "ls", "--json", LAKE_HOME=str(home)).rows == []


def test_the_flow_called_from_python_finishes_what_was_killed(
    killed: tuple[Path, list[str]], user: dict[str, str], home: Path, first: object, pipeline: Pipeline
) -> None:
    """`refresh()`, with no server and nothing prepared, does what the killed run left: the content is that of a lake nobody disturbed."""
    disturbed, _ = killed
    code = "from flows.nyc.flow import refresh; state = refresh(return_state=True); print(state.name, state.message)"
    inherited = outside()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=inherited | user | {"LAKE_HOME": str(disturbed)}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Completed release 1\n"
    assert "Traceback" not in done.stderr
    assert processes_of(disturbed / "prefect") == []
    mended, undisturbed = contents(disturbed), contents(home)
    assert {table: commits[0]["content"] for table, commits in mended.items()} == {table: commits[0]["content"] for table, commits in undisturbed.items()}
    assert {table: len(commits) for table, commits in mended.items()} == dict.fromkeys(undisturbed, 1)
    assert len({commits[0]["run"] for commits in mended.values()}) == 2, "both runs did some of it"


@pytest.mark.parametrize(
    "code",
    ["import lake", "import lake; lake.open", *(f"from lake.cli import run_command; run_command({arguments})" for arguments in (["ls"], ["plan", "nyc"]))],
)
def test_prefect_is_imported_only_where_it_is_needed(code: str, first: object, home: Path, user: dict[str, str]) -> None:
    """Neither `import lake` nor a command that runs nothing imports Prefect, which takes seconds."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print('prefect' in sys.modules)"], cwd=ROOT, env=os.environ | user | {"LAKE_HOME": str(home)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"
