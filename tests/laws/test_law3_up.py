"""Law 3 under `lake up`: the worker, a run, Prefect, the store, or several at once are killed in the middle of a run; the tables end right.

Real processes are killed with SIGKILL. After each, Prefect says what is true of the run, and the release holds every order once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.town import Town, town_in, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_FULL = os.environ.get("LAKE_LAWS") == "full"
_AWAY = 60.0 if _FULL else 15.0  # seconds


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One lake that is up for all that follows."""
    with town_in(tmp_path_factory.mktemp("faults")) as up:
        until(lambda: [run for run in up.runs("shop/refresh") if run["state"]["type"] == "COMPLETED"], 240, "the first file is refreshed")
        yield up


_numbers = iter(range(1000, 100_000))


def in_the_middle(town: Town, harm: Callable[[str], None]) -> tuple[str, int]:
    """A run over a new order, harmed while it is in the hop to silver. Returns the run and the order."""
    order = next(_numbers)
    with town.slow():
        until(lambda: all(run["state"]["type"] not in ("RUNNING", "PENDING") for run in town.runs("shop/refresh")), 60, "nothing runs")
        town.drop(f"order-{order}.csv", f"{order},gil,1")
        run = until(lambda: [one for one in town.runs("shop/refresh") if one["state"]["type"] == "RUNNING"], 60, "the file starts a run")[0]["id"]
        until(lambda: town.processes_of(run), 30, "its process works")
        time.sleep(2)
        harm(run)
    return str(run), order


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL for each."""
    for process in processes:
        process.kill()


def comes_right(town: Town, order: int) -> None:
    """The order is in a release in the end, once, with all before it, and nobody had to ask."""
    until(lambda: order in town.orders(), 150, f"order {order} is in a release")
    found = town.orders()
    assert len(found) == len(set(found))
    assert {1, 2, 3} <= set(found)
    assert {one["table"] for one in town.project.rows("ls")} == {"bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"}


def test_a_run_whose_process_is_killed_is_crashed_and_the_work_is_done(town: Town) -> None:
    """SIGKILL of the flow run: Prefect says Crashed within seconds; the file still waits, so the watcher has it run again."""
    run, order = in_the_middle(town, lambda run: kill(town.processes_of(run)))
    assert town.ended(run, 30)["state"]["type"] == "CRASHED"
    comes_right(town, order)


def test_a_worker_that_is_killed_is_started_again(town: Town) -> None:
    """SIGKILL of the worker: another takes its place; the run ends in a true state, and the order is in."""
    times = town.parts["worker"]["restarts"]
    run, order = in_the_middle(town, lambda _: town.kill("worker"))
    town.restarted("worker", times + 1)
    comes_right(town, order)
    assert town.ended(run, 240)["state"]["type"] in ("COMPLETED", "CRASHED", "CANCELLED")


def test_a_prefect_server_that_is_killed_comes_back_where_it_was(town: Town) -> None:
    """SIGKILL of the server: nobody listens at its address until the run has done its work; then it is started again, and the run reports."""
    page, times = town.page, town.parts["prefect"]["restarts"]
    supervisor = town.server_pid("up")

    def gone(_: str) -> None:
        os.kill(supervisor, signal.SIGSTOP)  # it would bring the server back at once
        town.kill("prefect")

    try:
        run, order = in_the_middle(town, gone)
        until(lambda: order in town.orders(), 60, "the run does its work without the server")
        time.sleep(3)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    town.restarted("prefect", times + 1)
    assert town.page == page
    assert town.ended(run, 240)["state"]["type"] in ("COMPLETED", "CRASHED")
    comes_right(town, order)


def test_a_store_that_is_killed_comes_back_where_it_was(town: Town) -> None:
    """SIGKILL of the store: it is started again at its address with what it acknowledged; the run tries again and completes."""
    address, times = town.parts["store"]["url"], town.parts["store"]["restarts"]
    run, order = in_the_middle(town, lambda _: town.kill("store"))
    town.restarted("store", times + 1)
    assert town.parts["store"]["url"] == address
    assert town.ended(run, 240)["state"]["type"] in ("COMPLETED", "FAILED")
    comes_right(town, order)


def test_a_server_that_is_away_for_a_while_does_no_harm(town: Town) -> None:
    """Prefect does not answer for a while in the middle of a run: the run goes on, and its end is reported late, or clearly as a failure."""
    server = town.server_pid("prefect")

    def away(_: str) -> None:
        os.kill(server, signal.SIGSTOP)
        time.sleep(_AWAY)
        os.kill(server, signal.SIGCONT)

    run, order = in_the_middle(town, away)
    assert town.ended(run, 240)["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")
    comes_right(town, order)


def test_a_run_and_its_worker_killed_at_once_is_no_eternal_run(town: Town) -> None:
    """As after a power cut: nobody is left to report. The automation on missing heartbeats ends the run within two minutes, and its slot is free."""
    times = town.parts["worker"]["restarts"]

    def both(run: str) -> None:
        processes = town.processes_of(run)
        town.kill("worker")
        kill(processes)

    run, order = in_the_middle(town, both)
    town.restarted("worker", times + 1)
    state = town.ended(run, 200)["state"]
    assert state["type"] == "CRASHED"
    assert "the next run goes on from what is committed" in state["message"]
    comes_right(town, order)
