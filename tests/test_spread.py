"""Partitions on real engines: a Dask cluster of several processes, one of which is killed half-way, and Ray; both through Prefect's own task runners."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from lake.service import free_ports
from tests.outside import outside
from tests.test_cli import Project, make_project
from tests.test_flow import left_running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FILES = 4
HOP = """\
import os
import time
from pathlib import Path

import polars as pl
from flows.shop import tables
from lake.contract import PROVENANCE
from lake.hop import changes, hop


@hop(tables.orders, write="merge", partitions=8, raw=changes(tables.bronze_orders))
def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    if os.path.isdir("marks"):  # so are those told that load this, and then do partitions
        Path("marks", f"{os.getpid()}-{time.time_ns()}").touch()
        time.sleep(1)
    return raw.select("order", "customer", "amount", *PROVENANCE)


@hop(tables.totals, counts="orders", orders=tables.orders)
def total(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders.group_by("customer").agg(pl.len().cast(pl.Int64).alias("orders"), pl.col("amount").sum())
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where it happens; nothing of it is left running."""
    yield tmp_path
    assert left_running(tmp_path) == []


def shop(place: Path, name: str, **variables: str) -> Project:
    """A project with bronze in several data files, of which one order of the last corrects one of the first."""
    project = make_project(place / name, LAKE_HOME=str(place / name / "home"), LAKE_ENV="dev", LAKE_PARTITION_BYTES="1", HOME=str(place), **variables)
    (project.root / "flows" / "shop" / "hops.py").unlink()
    (project.root / "incoming" / "monday.csv").unlink()
    for number in range(FILES):
        rows = "".join(f"{number * 100 + i},customer {i % 7},{i}.5\n" for i in range(50)) + f"{number * 100 + 99},bad,-1\n"
        project.write(f"incoming/{number}.csv", f"order,customer,amount\n{rows}{'0,corrected,7' if number == FILES - 1 else ''}")
        project.run().did()
    project.write("flows/shop/hops.py", HOP)
    return project


def told(project: Project) -> dict[str, Any]:
    """What is to be the same however it was done."""
    found = {}
    for table in ("silver.shop.orders", "gold.shop.totals"):
        row = project.rows("history", table)[0]
        found[table] = {key: row[key] for key in ("version", "rows", "content", "ledger", "rules", "rejects")}
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same without an engine."""
    project = shop(tmp_path_factory.mktemp("whole"), "a shop")
    project.run().did()
    return told(project)


@contextmanager
def cluster(place: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and workers, each a process of its own without a nanny, in a copy of the project with a folder for marks."""
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    inherited = outside()
    there = place.parent / "there"
    shutil.copytree(place, there, ignore=shutil.ignore_patterns("home", "incoming"))
    (there / "marks").mkdir()
    known = inherited | {
        "LAKE_HOME": str(place / "home"), "LAKE_ENV": "dev", "HOME": str(place.parent), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5",
    }  # fmt: skip
    started = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        with (place / f"{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen([sys.executable, "-m", "distributed.cli." + command[0], *command[1:]], cwd=there, env=known, stdout=log, stderr=log)
            )
        return started[-1]

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--no-dashboard", "--no-show")
        those = [start("dask_worker", address, "--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1") for _ in range(workers)]
        yield address, those
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_a_worker_that_is_killed_half_way_changes_nothing(place: Path, whole: dict[str, Any]) -> None:
    """Three workers, one killed while it does a partition: that one is done again elsewhere, and the tables are those of a run without any."""
    project = shop(place, "a shop")
    with cluster(project.root, 3) as (address, workers):
        killed = []
        running = subprocess.Popen(
            [sys.executable, "-m", "lake", "run"], cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=outside()
            | dict(project.variables) | {"LAKE_ENGINE": "dask", "LAKE_ENGINE_ADDRESS": address},
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not killed and running.poll() is None and time.monotonic() < deadline:
            began = Counter(int(mark.name.split("-")[0]) for mark in (place / "there" / "marks").iterdir())
            for worker in workers:
                if began[worker.pid] > 1:
                    psutil.Process(worker.pid).kill()
                    killed.append(worker.pid)
                    break
            time.sleep(0.02)
        out, err = running.communicate(timeout=150)
        assert running.returncode == 0, (out, err)
        marks = [mark.name.split("-")[0] for mark in (place / "there" / "marks").iterdir()]
    assert killed
    assert len(set(marks)) == 3
    assert len(marks) > FILES + len(workers)  # what it had begun was begun again
    assert told(project) == whole
    with project.store() as store:
        assert not list(store.walk("system/partitions"))
    assert "release" in out


def test_ray_does_the_same(place: Path, whole: dict[str, Any]) -> None:
    """A Ray instance that the run starts: the same tables."""
    project = shop(place, "a shop")
    (project.root / "marks").mkdir()
    said = project.lake("run", LAKE_ENGINE="ray", RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    assert said.code == 0, said
    assert told(project) == whole
    assert len({mark.name.split("-")[0] for mark in (project.root / "marks").iterdir()}) > 1


def test_an_engine_that_is_not_there_is_said(place: Path) -> None:
    """A Dask address where nobody answers: the run fails in a line, and nothing is published."""
    project = shop(place, "a shop")
    said = project.lake("run", LAKE_ENGINE="dask", LAKE_ENGINE_ADDRESS=f"tcp://127.0.0.1:{free_ports(1)[0]}", DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="2s")
    assert said.code == 1
    assert "Traceback" not in said.out + said.err
    assert project.tables().get("silver.shop.orders") is None


def test_a_step_that_dies_of_anything_else_fails_the_run(place: Path) -> None:
    """What is no error of lake's and no exception of the team's either, such as an exit, ends its step: the run fails and releases nothing."""
    project = shop(place, "a shop")
    project.write("flows/shop/hops.py", HOP.replace("    return orders.group_by", "    raise SystemExit(3)\n    return orders.group_by"))
    said = project.lake("run")
    assert said.code == 1
    assert "gold.shop.totals" in said.err
    assert project.tables().get("silver.shop.orders") == FILES * 50
    assert not any("gold" in table for table in project.tables())
    assert "SystemExit" in said.err
    assert "The last release stands" in said.err
