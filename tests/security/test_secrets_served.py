"""Secrets in the surroundings of a lake that is up: what its runs, its page's API, its logs and its processes tell is searched for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.security.test_secrets import OTHERS, PLANTED, SOURCES
from tests.town import Town, town_in, until

KEEP_AWAY = (
    "PREFECT_",
    "AWS_",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)  # a server and a store elsewhere instead of the lake's own; half a minute at the end of each run
LISTED = (
    "flows", "flow_runs", "task_runs", "deployments", "artifacts", "artifacts/latest", "logs", "events", "automations", "block_documents", "block_types",
    "variables", "work_pools", "concurrency_limits", "v2/concurrency_limits",
)  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A lake that is up, with secrets in its settings, its sources and what surrounds it."""
    folder = tmp_path_factory.mktemp("secrets")
    address = "http://{0}user:{0}word@127.0.0.1:9/x?sig={0}signature".replace("{0}", PLANTED)
    surroundings = {name: value.format(PLANTED) for name, value in OTHERS.items() if not name.startswith(KEEP_AWAY)}
    with town_in(folder, LAKE_NOTIFY=address, LAKE_DOCS_URL=address, LAKE_LOG="json", LAKE_PATIENCE="PT0S", **surroundings) as town:
        told = town.project.root / "flows" / "shop" / "sources.py"
        there = told.read_text("utf-8")
        more = "\n".join(line for line in SOURCES.replace("{0}", PLANTED).splitlines() if not line.startswith(("from lake", "orders =", "bucket =", "ftp =")))
        told.write_text(f"{there}\nfrom lake import Table\n{more}\n", "utf-8")
        flow = told.with_name("flow.py")
        flow.write_text(flow.read_text("utf-8").replace("retries=1)", "retries=0, step_retries=0)"), "utf-8")
        yield town


def _said(town: Town) -> Iterator[tuple[str, str]]:
    """Everything that the lake tells anybody, by where."""
    for listed in LISTED:
        found = town.ask("work_pools/filter" if listed == "work_pools" else f"{listed}/filter", {"limit": 200} if listed != "events" else {})
        yield listed, json.dumps(found)
    for command in ("status", "ls", "doctor", "metrics --once", "plan", "deployments"):
        told = town.project.lake(*command.split())
        yield f"lake {command}", told.out + told.err
    for path in sorted(Path(town.project.variables["LAKE_HOME"]).rglob("*")):
        if path.is_file() and path.suffix in {".log", ".json", ".txt", ".out", ".err"}:
            yield str(path), path.read_text("utf-8", "replace")
    for one in psutil.process_iter():
        try:
            yield f"ps {one.pid}", " ".join(one.cmdline())
        except psutil.Error:
            continue


def test_a_lake_that_is_up_tells_no_secret(town: Town) -> None:
    """Runs that go well and runs that fail, by deployments: their parameters, states, logs, cards and events; and no process shows a password or key."""
    town.drop("tuesday.csv", "5,ann,1", "6,bob,2")
    until(
        lambda: [run for run in town.runs("shop/refresh") if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")],
        150,
        "the refresh that the file began has ended",
    )
    town.done("lake/verify")
    own = [town_password(town), *store_keys(town)]
    until(lambda: "127.0.0.1:9" in json.dumps(town.ask("logs/filter", {"limit": 200})), 60, "the failed sources are in the logs")
    for where, text in _said(town):
        assert PLANTED not in text, (where, [line for line in text.splitlines() if PLANTED in line][:3])
        for secret in own:
            assert secret not in text or _is_private(Path(where)), where


def _is_private(path: Path) -> bool:
    """Whether it is a file that its owner alone may read."""
    return path.is_file() and path.stat().st_mode & 0o077 == 0


def town_password(town: Town) -> str:
    """The password of the lake's own Prefect."""
    return (Path(town.project.variables["LAKE_HOME"]) / "prefect" / "password").read_text("utf-8").strip().split(":", 1)[1]


def store_keys(town: Town) -> list[str]:
    """The secret key of the lake's own store."""
    found = []
    for path in Path(town.project.variables["LAKE_HOME"]).rglob("*.json"):
        text = path.read_text("utf-8", "replace")
        if "secretKey" in text:
            found += [told["secretKey"] for one in json.loads(text)["identities"] for told in one["credentials"]]
    return found
