"""What a year of history costs: `python -m tests.bench.history`, ten minutes at most. Not part of `make test`.

A run of 19 tasks each five minutes for 365 days (105,120 flow runs, 1,997,280 task runs, with every state, ten log lines and three
artifacts a run) is written into Prefect's SQLite, and the same for the 30 days that trimming leaves; a fresh database stands beside
them. On each a real server starts with lake's environment; the calls that its pages make are timed, and how long a new deployment
waits for its first scheduled runs. Then the year is trimmed for a while, with the loop at five seconds, and the pages timed meanwhile.
Events are left out: Prefect keeps them for seven days, whatever happens. Writes history.json and prints a table.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from lake.prefect_server import server_environment
from lake.service import free_ports
from lake.settings import load_settings
from tests.bench.histories import Shape, fill

CALLS = 20  # of each kind
TRIMMING = 60.0  # seconds for which it is counted how many runs of the year go
DAY = dt.timedelta(days=1)
Call = tuple[str, str, dict[str, Any] | None]  # method, path, body


@contextmanager
def server(home: Path, **more: str) -> Iterator[httpx.Client]:
    """Prefect's server as lake runs it, on a database in `home`; yields a client of its API."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/api"
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "PREFECT_"))}
    environment = outside | server_environment(load_settings()) | {"PREFECT_HOME": str(home), "PREFECT_API_DATABASE_CONNECTION_URL": database(home), **more}
    environment["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] = "false"  # of no weight for what is measured
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("ab") as log, httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(client, process)
            yield client
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # in the middle of a statement that takes minutes
                process.kill()
                process.wait()


def database(home: Path) -> str:
    """Where the server of `home` keeps its history."""
    return f"sqlite+aiosqlite:///{home / 'prefect.db'}"


def _await(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit("the server did not come up")


def post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """What the API answers, asked again while its database is locked, as Prefect's own clients do. Raises httpx.HTTPError where it refuses."""
    while (answered := client.post(path, json=body)).status_code == 503:
        time.sleep(0.5)
    return answered.raise_for_status().json()


def deploy(client: httpx.Client, name: str) -> tuple[str, str]:
    """A flow with a deployment each five minutes; their ids."""
    flow = post(client, "/flows/", {"name": name})["id"]
    cron = {"schedule": {"cron": "*/5 * * * *", "timezone": "UTC"}, "active": True}
    return flow, post(client, "/deployments/", {"name": "refresh", "flow_id": flow, "schedules": [cron]})["id"]


def pages(flow_run: str | None, deployment: str) -> dict[str, list[Call]]:
    """What each page asks when it opens, with the filters that its first view sets."""
    now = dt.datetime.now(dt.UTC)

    def since(days: int) -> dict[str, Any]:
        return {"flow_runs": {"expected_start_time": {"after_": (now - days * DAY).isoformat(), "before_": (now + DAY).isoformat()}}}

    def dashboard(days: int) -> list[Call]:
        window = since(days)
        states = [{"type": {"any_": kinds}} for kinds in (["FAILED", "CRASHED"], ["RUNNING", "PENDING"], ["COMPLETED"], ["SCHEDULED"], ["CANCELLED"])]
        counted: list[Call] = [("POST", "/flow_runs/count", {"flow_runs": window["flow_runs"] | {"state": state}}) for state in states]
        span = {"history_start": (now - days * DAY).isoformat(), "history_end": now.isoformat(), "history_interval_seconds": days * 86_400 // 30}
        ended = {"flow_runs": {"start_time": {"after_": (now - days * DAY).isoformat()}}}
        return [
            *counted, ("POST", "/flow_runs/filter", window | {"sort": "START_TIME_DESC", "limit": 200}), ("POST", "/task_runs/count", ended),
            ("POST", "/task_runs/count", ended | {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}), ("POST", "/task_runs/history", ended | span),
            ("POST", "/ui/flow_runs/history", window | {"sort": "EXPECTED_START_TIME_DESC", "limit": 60}), ("POST", "/work_pools/filter", {}),
        ]  # fmt: skip

    of_it = {"deployments": {"id": {"any_": [deployment]}}}
    opened: dict[str, list[Call]] = {
        "dashboard, a day": dashboard(1),
        "dashboard, 30 days": dashboard(30),
        "runs, 7 days": [
            ("POST", "/flow_runs/paginate", since(7) | {"sort": "START_TIME_DESC", "limit": 10, "page": 1}), ("POST", "/flow_runs/count", since(7)),
            ("POST", "/ui/flow_runs/history", since(7) | {"sort": "EXPECTED_START_TIME_DESC", "limit": 1000}),
            ("POST", "/task_runs/paginate", {"sort": "EXPECTED_START_TIME_DESC", "limit": 10, "page": 1}), ("POST", "/flow_runs/count", {}),
        ],
        "deployments": [("POST", "/deployments/paginate", {"limit": 10, "page": 1}), ("POST", "/deployments/filter", {}), ("POST", "/deployments/count", {})],
        "a deployment": [
            ("GET", f"/deployments/{deployment}", None), ("POST", "/flow_runs/paginate", of_it | {"sort": "START_TIME_DESC", "limit": 5, "page": 1}),
            ("POST", "/flow_runs/count", of_it), ("POST", "/flow_runs/filter", of_it | {"sort": "EXPECTED_START_TIME_DESC", "limit": 60}),
            ("POST", "/flow_runs/filter", of_it | {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 1}),
        ],
        "artifacts": [("POST", "/artifacts/latest/filter", {"sort": "CREATED_DESC", "limit": 50}), ("POST", "/artifacts/latest/count", {})],
    }  # fmt: skip
    if flow_run is not None:
        mine = {"flow_runs": {"id": {"any_": [flow_run]}}}
        logs = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        artifacts = {"artifacts": {"flow_run_id": {"any_": [flow_run]}, "type": {"not_any_": ["result"]}}, "sort": "KEY_ASC"}
        opened["a flow run"] = [
            ("GET", f"/flow_runs/{flow_run}", None), ("GET", f"/flow_runs/{flow_run}/graph-v2", None), ("POST", "/logs/filter", logs),
            ("POST", "/task_runs/paginate", mine | {"sort": "EXPECTED_START_TIME_DESC", "limit": 20, "page": 1}), ("POST", "/task_runs/count", mine),
            ("POST", "/artifacts/filter", artifacts), ("POST", "/ui/flow_runs/count-task-runs", {"flow_run_ids": [flow_run]}),
        ]  # fmt: skip
    return opened


def open_page(client: httpx.Client, calls: list[Call]) -> tuple[float, str]:
    """Milliseconds for the calls of a page one after the other, and the one that took longest. Raises httpx.HTTPError where one is refused."""
    taken: dict[str, float] = {}
    for method, path, body in calls:
        started = time.perf_counter()
        client.request(method, path, json=body).raise_for_status()
        taken[path.split("?")[0]] = (time.perf_counter() - started) * 1000
    return sum(taken.values()), max(taken, key=lambda path: taken[path])


def time_pages(client: httpx.Client, opened: dict[str, list[Call]], times: int = CALLS) -> list[dict[str, Any]]:
    """One row a page: p50 and p95 of its calls together, in milliseconds."""
    rows = []
    for page, calls in opened.items():
        taken = [open_page(client, calls) for _ in range(times)]
        all_of_them = sorted(milliseconds for milliseconds, _ in taken)
        slowest = statistics.mode(path for _, path in taken)
        rows.append({"page": page, "calls": len(calls), "p50": statistics.median(all_of_them), "p95": all_of_them[int(0.95 * times) - 1], "slowest": slowest})
    return rows


def scheduled_after(client: httpx.Client, name: str) -> float:
    """Seconds until a deployment that was just made has its first scheduled run; 120 is never."""
    started = time.monotonic()
    _, deployment = deploy(client, name)
    while time.monotonic() - started < 120:
        if post(client, "/flow_runs/count", {"deployments": {"id": {"any_": [deployment]}}}):
            break
        time.sleep(0.1)
    return time.monotonic() - started


def measured(name: str, home: Path, shape: Shape | None) -> tuple[list[dict[str, Any]], str]:
    """A history on a server: its rows for the table, and the id of its deployment."""
    home.mkdir()
    with server(home) as client:
        flow, deployment = deploy(client, "nyc")
    last = None
    if shape is not None:
        started = time.perf_counter()
        last = fill(home / "prefect.db", shape, flow, deployment)
        print(f"{name}: written in {time.perf_counter() - started:.0f} s, {size(home):,.1f} GB", file=sys.stderr)
    started = time.perf_counter()
    with server(home, PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED="events") as client:
        up = time.perf_counter() - started
        rows = time_pages(client, pages(last, deployment))
        rows.append({"page": "first scheduled run (s)", "p50": scheduled_after(client, "later")})
    rows += [{"page": "start of the server (s)", "p50": up}, {"page": "database (GB)", "p50": size(home)}]
    return told(name, rows), deployment


def told(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, with the history's name, after printing them."""
    for row in rows:
        print(f"{name:<24}{row['page']:<30}{row.get('calls', ''):>6}{row['p50']:>10,.1f}{row.get('p95', 0):>10,.1f}  {row.get('slowest', '')}", flush=True)
    return [{"history": name} | row for row in rows]


def size(home: Path) -> float:
    """Gigabytes of the database with its log."""
    return sum(file.stat().st_size for file in home.glob("prefect.db*")) / 1e9


def trimmed(home: Path, deployment: str) -> list[dict[str, Any]]:
    """The year while it is trimmed to 30 days: flow runs that go away a minute, and the pages meanwhile."""
    with server(home, PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS="5") as client:
        ended = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}}
        before, started = post(client, "/flow_runs/count", ended), time.monotonic()
        left, at = before, started
        while time.monotonic() - started < TRIMMING:
            time.sleep(2)
            now = post(client, "/flow_runs/count", ended)
            left, at = (now, time.monotonic()) if now < left else (left, at)  # the last of them may be gone before the time is over
        rows: list[dict[str, Any]] = [{"page": "flow runs trimmed a minute", "p50": (before - left) / max(1.0, at - started) * 60}]
        rows += time_pages(client, {"dashboard, a day": pages(None, deployment)["dashboard, a day"]}, times=CALLS // 2)
        rows.append({"page": "first scheduled run (s)", "p50": scheduled_after(client, "while trimming")})
    with sqlite3.connect(home / "prefect.db") as opened:
        (orphans,) = opened.execute("SELECT count(*) FROM task_run WHERE flow_run_id NOT IN (SELECT id FROM flow_run)").fetchone()
    rows.append({"page": "task runs left without a run", "p50": orphans})
    return told("a year, while trimmed", rows)


def main() -> None:
    """Measure a fresh database, 30 days and a year, and the year while it is trimmed."""
    days = int(os.environ.get("DAYS", "365"))
    print(f"{'history':<24}{'page':<30}{'calls':>6}{'p50 ms':>10}{'p95 ms':>10}  slowest call")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = measured("fresh", place / "fresh", None)[0]
        rows += measured("30 days", place / "month", Shape(days=30))[0]
        year, deployment = measured("a year", place / "year", Shape(days=days))
        rows += [*year, *trimmed(place / "year", deployment)]
        shutil.rmtree(place / "year")
    Path("history.json").write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
