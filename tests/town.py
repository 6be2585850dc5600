"""A lake that is up: `lake up` on a small project of its own, reached through Prefect's API as its page does, with a receiver for alerts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil

from lake.service import free_ports
from tests.test_cli import Project, make_project

Row = dict[str, Any]
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}
FLOW = '''\
"""When the shop's orders are refreshed."""

from datetime import timedelta

from lake.orchestration import Schedule, backfill_flow, land_flow, refresh_flow
from lake.pipeline import load_pipeline
from lake.settings import load_settings

_pipeline = load_pipeline(load_settings(), "shop")

land = land_flow(_pipeline, Schedule("0 3 * * *", "Europe/Vienna"), owner="shop")
refresh = refresh_flow(_pipeline, Schedule("30 4 * * 1", "America/New_York"), owner="shop", tags=("orders",), timeout=timedelta(minutes=30), retries=1)
backfill = backfill_flow(_pipeline)
'''
KEEPING = '''\
"""When the lake is looked after."""

from lake.orchestration import Schedule, freshness_flow, upkeep_flow, verify_flow

upkeep = upkeep_flow(Schedule("30 2 * * *"))
freshness = freshness_flow(Schedule("* * * * *"), owner="lake")
verify = verify_flow()
'''
SLOW = """\
def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    def wait(column: pl.Series) -> pl.Series:
        import os, time
        while os.path.exists("slow"):
            time.sleep(0.1)
        return column

    raw = raw.with_columns(pl.col("order").map_batches(wait, return_dtype=pl.String, is_elementwise=True))
"""


@dataclass
class Town:
    """The running lake."""

    project: Project
    alerts: list[Row] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, Row]:
        """What `lake status` says, by part."""
        return {row["part"]: row for row in self.project.rows("status")}

    @property
    def page(self) -> str:
        """Where Prefect's page is."""
        return str(self.parts["prefect"]["url"])

    def ask(self, path: str, body: Row | None = None) -> Any:
        """Prefect's REST API: GET, or POST with a body."""
        admitted(self.page, Path(self.project.variables["LAKE_HOME"]))
        return asked("GET" if body is None else "POST", f"{self.page}/api/{path}", body).json()

    def deployment(self, name: str) -> Row:
        """A deployment by `flow/name`."""
        found: Row = self.ask(f"deployments/name/{name}")
        return found

    def start(self, name: str, **parameters: Any) -> str:
        """Have a deployment run now; returns the run's id."""
        told = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        return str(self.ask(path, told)["id"])

    def run(self, run: str) -> Row:
        """A flow run by its id."""
        found: Row = self.ask(f"flow_runs/{run}")
        return found

    def runs(self, name: str | None = None) -> list[Row]:
        """The runs of a deployment, or all, oldest first, without those that are only scheduled."""
        wanted: Row = {"sort": "START_TIME_ASC", "limit": 200}
        if name:
            wanted["deployments"] = {"id": {"any_": [self.deployment(name)["id"]]}}
        found: list[Row] = self.ask("flow_runs/filter", wanted)
        return [run for run in found if run["state"]["type"] != "SCHEDULED"]

    def ended(self, run: str, seconds: float = 60) -> Row:
        """The run, once it has ended."""
        return until(lambda: found if (found := self.run(run))["state"]["type"] in ENDED else None, seconds, f"run {run} ends")

    def done(self, name: str, **parameters: Any) -> Row:
        """A run of a deployment, started now, once it has ended. Where another was going on and it was turned away, it is started again."""
        return until(lambda: None if _turned_away(found := self.ended(self.start(name, **parameters))) else found, 120, f"{name} gets its turn")

    def under_way(self, name: str, **parameters: Any) -> str:
        """The id of a run of a deployment that was started and is running."""

        def begun() -> str | None:
            run = self.start(name, **parameters)
            found = until(lambda: told if (told := self.run(run))["state"]["type"] in ENDED | {"RUNNING"} else None, 60, f"{name} starts")
            return None if _turned_away(found) else run

        return str(until(begun, 120, f"{name} gets its turn"))

    def artifacts(self) -> dict[str, Row]:
        """The newest artifact of each key."""
        return {row["key"]: row for row in self.ask("artifacts/latest/filter", {"limit": 200})}

    @contextlib.contextmanager
    def slow(self) -> Iterator[Path]:
        """The hop to silver does not end as long as this lasts, or the file it yields is there."""
        mark = self.project.root / "slow"
        mark.touch()
        try:
            yield mark
        finally:
            mark.unlink(missing_ok=True)

    def drop(self, name: str, *lines: str) -> None:
        """A file of orders arrives, whole."""
        hidden = self.project.write(f"incoming/.{name}", "\n".join(["order,customer,amount", *lines]) + "\n")
        hidden.rename(hidden.with_name(name))

    def server_pid(self, part: str) -> int:
        """The process of one of the servers."""
        state = Path(self.project.variables["LAKE_HOME"]) / part / "state.json"
        return int(json.loads(state.read_text("utf-8"))["pid"])

    def kill(self, part: str) -> None:
        """SIGKILL for a part: the worker, the watcher, or one of the servers."""
        os.kill(int(self.parts[part]["pid"] or self.server_pid(part)), signal.SIGKILL)

    def processes_of(self, run: str) -> list[psutil.Process]:
        """The processes of a flow run."""
        return [one for one in psutil.process_iter() if _works_on(one, run)]

    def restarted(self, part: str, times: int) -> None:
        """Wait until a part was started again that often, and runs."""
        until(lambda: self.parts[part]["restarts"] >= times and self.parts[part]["state"] == "running", 60, f"{part} runs again")

    def orders(self) -> list[int]:
        """The orders in the newest release."""
        import lake

        with lake.open(root=self.project.root, home=Path(self.project.variables["LAKE_HOME"]), env="dev") as there:
            return sorted(there["silver.shop.orders"].scan().select("order").collect()["order"].to_list())


def _turned_away(run: Row) -> bool:
    return run["state"]["type"] == "CANCELLED" and "concurrency limit" in (run["state"]["message"] or "")


def _works_on(process: psutil.Process, run: str) -> bool:
    try:
        return process.environ().get("PREFECT__FLOW_RUN_ID") == run
    except (psutil.Error, OSError):
        return False


def until(what: Callable[[], Any], seconds: float, told: str) -> Any:
    """What it returns once that is something. An API that is away or busy is waited out."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except httpx.TransportError:
            pass
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in (500, 503):
                raise
        assert time.monotonic() < deadline, f"{told}: not within {seconds:.0f} s"
        time.sleep(0.2)


_clients: dict[str, httpx.Client] = {}
_told: dict[str, str] = {}  # the password that each of them has


def admitted(page: str, home: Path) -> httpx.Client:
    """A client that is let in by the Prefect at `page`, whose lake is at `home`: it has the password, and what is asked against foreign pages.

    From then on `asked` uses it for that server's addresses.
    """
    told = (home / "prefect" / "password").read_text("utf-8").strip()
    if page not in _clients or _told.get(page) != told:  # another lake's server may have had the same port before
        if page in _clients:
            _clients[page].close()
        client = httpx.Client(auth=httpx.BasicAuth(*told.split(":", 1)), trust_env=False, timeout=30)
        caller = str(uuid.uuid4())
        token = until(lambda: client.get(f"{page}/api/csrf-token", params={"client": caller}).raise_for_status(), 60, "a token is given").json()["token"]
        client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": caller})
        _clients[page], _told[page] = client, told
    return _clients[page]


def asked(method: str, url: str, told: Row | None = None) -> httpx.Response:
    """What a server answers, as soon as it is not busy any more: SQLite says so under load, and whoever pressed a button would press it again."""
    known = next((client for page, client in _clients.items() if url.startswith(f"{page}/")), None)
    with contextlib.nullcontext(known) if known else httpx.Client(trust_env=False, timeout=30) as client:
        answered: httpx.Response = until(lambda: client.request(method, url, json=told).raise_for_status(), 60, f"{url} answers")
    return answered


def processes_in(folder: Path) -> list[psutil.Process]:
    """Every process that names `folder` or works in it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and (str(folder) in " ".join(process.cmdline()) or str(folder) in process.cwd()):
                found.append(process)
    return found


@contextlib.contextmanager
def town_in(folder: Path, **variables: str) -> Iterator[Town]:
    """A project in `folder`, up; and down at the end, with nothing left running."""
    received: list[Row] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802  # the name the base looks for
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (user := folder / "user").mkdir(parents=True)
    root = folder / "the shop's"
    (port,) = free_ports(1)
    told = {
        "HOME": str(user), "LAKE_HOME": str(root / "home"), "LAKE_ENV": "dev", "LAKE_WATCH": "PT1S", "LAKE_PREFECT_PORT": str(port), "NO_PROXY": "127.0.0.1",
        "LAKE_NOTIFY": f"http://127.0.0.1:{server.server_port}/alerts",
    }  # fmt: skip
    town = Town(make_project(root, **{**told, **variables}), received)
    town.project.write("flows/shop/flow.py", FLOW)
    town.project.write("flows/keeping/flow.py", KEEPING)
    town.project.edit("hops", "def clean(raw: pl.LazyFrame) -> pl.LazyFrame:\n", SLOW)
    try:
        up = town.project.lake("up", "--detach", "--no-open")
        assert up.code == 0, up
        yield town
    finally:
        town.project.lake("down")
        server.shutdown()
        server.server_close()
        left = until_none(lambda: processes_in(root))
        for process in left:
            process.kill()
        assert left == []


def until_none(what: Callable[[], list[psutil.Process]], seconds: float = 15) -> list[psutil.Process]:
    """What is still there after so long; nothing, it is hoped."""
    deadline = time.monotonic() + seconds
    while (left := what()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left
