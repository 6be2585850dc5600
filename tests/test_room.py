"""Room in memory: never more is held than there is, nobody waits for ever, and a run that may take little makes the same tables."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from lake.room import Room, make_room
from lake.settings import load_settings
from lake.spool import workspace
from tests.conftest import ROOT, fresh_env
from tests.test_cli import Project, make_project


def test_never_more_is_held_than_there_is() -> None:
    """Many threads with random wishes, some for more than there is."""
    room, held, most, mutex, rng = Room(100), [0], [0], threading.Lock(), Random(3)
    wishes = [rng.choice([1, 10, 40, 60, 100, 1_000]) for _ in range(300)]

    def hold(wish: int) -> int:
        with room.take(wish):
            with mutex:
                held[0] += min(wish, 100)
                most[0] = max(most[0], held[0])
            time.sleep(0.0005)
            with mutex:
                held[0] -= min(wish, 100)
        return wish

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(hold, wishes)) == wishes
    assert held == [0]
    assert most[0] <= 100
    assert most[0] > 60  # and not one after the other


def test_a_large_wish_is_not_passed_by_small_ones_for_ever() -> None:
    """Whoever asked first is served first."""
    room, order = Room(10), list[str]()

    def hold(name: str, size: int) -> None:
        with room.take(size):
            order.append(name)

    with room.take(5):
        threads = []
        for name, size in (("all", 10), ("little", 1)):
            threads.append(threading.Thread(target=hold, args=(name, size)))
            threads[-1].start()
            time.sleep(0.05)
        assert order == []
    for thread in threads:
        thread.join(5)
    assert order == ["all", "little"]


def test_what_is_held_is_given_back_when_the_block_fails() -> None:
    """An error in the block leaves the room as it was."""
    room = Room(10)
    with pytest.raises(ZeroDivisionError), room.take(10):
        raise ZeroDivisionError
    with room.take(10):
        pass


def test_how_much_memory_is_a_setting() -> None:
    """In units that people write; what is no amount is refused."""
    assert load_settings(root=ROOT, env=fresh_env(), memory="1.5GB").memory == 1_500_000_000
    assert load_settings(root=ROOT, env=fresh_env()).memory is None
    with make_room(None).take(1 << 60):  # more than any machine has
        pass


@pytest.mark.slow
def test_a_run_that_may_take_little_makes_the_same_tables(tmp_path: Path) -> None:
    """With a budget that nothing fits, so that the engine writes to disk whatever it can."""

    def made(name: str, **variables: str) -> tuple[Project, list[dict[str, object]]]:
        project = make_project(tmp_path / name, LAKE_HOME=str(tmp_path / name / "home"), LAKE_ENV="dev", **variables)
        rng = Random(5)
        rows = "".join(f"{number},customer {rng.randrange(50_000)},{rng.random():.4f}\n" for number in rng.sample(range(300_000), 200_000))
        project.write("incoming/monday.csv", f"order,customer,amount\n{rows}")
        project.run().did()
        project.write("incoming/tuesday.csv", "order,customer,amount\n" + "".join(f"{number},late,1.5\n" for number in range(0, 300_000, 3)))
        project.run().did()
        told = [project.rows("history", table)[0] for table in ("silver.shop.orders", "gold.shop.totals")]
        return project, [{key: row[key] for key in ("rows", "content", "ledger")} for row in told]

    ample, scarce = made("ample"), made("scarce", LAKE_MEMORY="1MB", POLARS_OOC_SPILL_MIN_BYTES="1", POLARS_OOC_DRIFT_THRESHOLD="1")
    assert ample[1][0] == scarce[1][0]
    assert [row["rows"] for row in ample[1]] == [row["rows"] for row in scarce[1]]
    assert list((Path(scarce[0].variables["LAKE_HOME"]) / "spool").iterdir()) == []  # nothing of it is left


def test_what_a_killed_process_spilled_is_removed_by_the_next(tmp_path: Path) -> None:
    """Its folder goes once it is not young any more; one of a process that lives stays."""
    code = f"""
import sys, time
from pathlib import Path
from lake.room import spill
spill(1 << 30, Path({str(tmp_path)!r}))
print("there", flush=True)
time.sleep(60)
"""

    def started() -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        return process

    lives, killed = started(), started()
    try:
        folders = list(tmp_path.iterdir())
        killed.kill()
        killed.wait()
        for folder in folders:
            os.utime(folder, (1, 1))
        with workspace(tmp_path, "next"):
            left = [folder for folder in folders if folder.exists()]
        assert len(left) == 1
    finally:
        for process in (lives, killed):
            process.kill()
            process.communicate()
