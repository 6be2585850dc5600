"""A home that is removed or moved under `lake up`: its supervisor stops everything, and what goes on all the same is found by what it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lake.cli.up import _lost, down, status
from lake.errors import HomeRefused
from lake.locks import take
from lake.processes import MARK, can_look, end, left_over, processes_of
from lake.service import Launch, Service
from lake.settings import load_settings
from lake.supervisor import Supervisor, read_state

needs_proc = pytest.mark.skipif(not can_look(), reason="processes are looked at by /proc, which this system has not")
_SLEEPS = "import sys, time; print('there', flush=True); time.sleep(120)"
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that do nothing, with a command line and an environment as those of a lake have."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", _SLEEPS, *words], cwd=cwd, env=os.environ | variables, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def a_lake(start: Start, home: Path) -> dict[str, int]:
    """What a `lake up` with this home runs, as far as a look from outside tells; the pids by part."""
    prefect = str(home / "prefect" / "home")
    return {
        "store": start("weed", "mini", f"-dir={home / 'store' / 'data'}").pid,
        "prefect": start("uvicorn", "--factory", "prefect.server.api.server:create_app", PREFECT_HOME=prefect).pid,
        "run": start("prefect.engine", PREFECT_HOME=prefect).pid,
        "worker": start("lake", "worker", "--ready", str(home / "up" / "worker.ready")).pid,
        "keeper": start("keeper.py", "start", str(home / "store")).pid,
    }


@needs_proc
def test_each_part_is_found_and_nothing_else(start: Start, tmp_path: Path) -> None:
    """Parts of this home are found by command, environment and home; those of another home, whose name even begins alike, are not."""
    mine, other = a_lake(start, tmp_path / "a home"), a_lake(start, tmp_path / "a home 2")
    start("a text that names", str(tmp_path / "a home" / "store" / "data"))
    found = processes_of(tmp_path / "a home")
    assert found is not None
    assert {one.part: one.pid for one in found} == mine
    assert [one.part for one in found] == ["run", "worker", "prefect", "store", "keeper"]
    assert all(abs(time.time() - one.since) < 60 for one in found)
    assert {one.pid for one in processes_of(tmp_path / "a home 2") or []} == set(other.values())


@needs_proc
def test_a_pid_that_was_given_to_somebody_else_is_left_alone(start: Start, tmp_path: Path) -> None:
    """What is ended is the process that was seen: a process of the same pid that began at another time is not touched."""
    process = start("lake", "worker", "--ready", str(tmp_path / "up" / "worker.ready"))
    (found,) = processes_of(tmp_path) or []
    assert end([type(found)(found.pid, found.began + 1, found.part, found.mark)]) == []
    assert process.poll() is None
    assert end([found]) == []
    assert process.wait(10) != 0


@needs_proc
def test_status_and_down_find_what_went_on(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the home gone, `lake status` names the five that go on, `lake down` ends them and says so, and then nothing is there."""
    home = tmp_path / "home"
    monkeypatch.setenv("LAKE_HOME", str(home))
    pids = a_lake(start, home)
    shown = CliRunner().invoke(status)
    assert shown.exit_code == 0
    assert shown.output.count("left over") == 5
    assert all(str(part) in shown.output for part in pids)
    ended = CliRunner().invoke(down)
    assert ended.output.startswith("lake was not up, but 5 of its processes went on, whose folder was removed")
    assert left_over(home) == []
    assert CliRunner().invoke(down).output == "lake is not up.\n"
    assert not home.exists()  # who only looks makes nothing


@needs_proc
def test_a_store_that_some_command_uses_is_not_left_over(start: Start, tmp_path: Path) -> None:
    """While the lock of its server is held at this path, a store is somebody's."""
    start("weed", "mini", f"-dir={tmp_path / 'store' / 'data'}")
    start("keeper.py", "start", str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    held = take(tmp_path / "store" / "alive.lock")
    assert held is not None
    with held:
        assert left_over(tmp_path) == []
    assert len(left_over(tmp_path) or []) == 2


@dataclass
class Still:
    """A part that runs until it is stopped."""

    name: str = "part"
    calls: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self.calls.append("start")

    def alive(self) -> bool:
        """Whether it runs."""
        return self.calls[-1] == "start"

    def stop(self) -> None:
        """End."""
        self.calls.append("stop")

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}


@pytest.mark.parametrize("how", ["removed", "moved", "made anew", "data removed"])
def test_the_supervisor_notices_that_its_home_is_gone(tmp_path: Path, how: str) -> None:
    """Within seconds it ends, says why, has stopped its parts, and has put nothing into the place."""
    settings = load_settings(home=tmp_path / "home", root=tmp_path)
    folder = settings.state / "up"
    folder.mkdir(parents=True)
    (settings.state / "store" / "data").mkdir(parents=True)
    (settings.state / "store" / "launch.json").touch()
    mine = take(folder / "alive.lock")
    assert mine is not None
    part, told = Still(), list[str]()
    with mine:
        supervisor = Supervisor([part], folder, told.append, lambda: _lost(settings, mine))
        supervisor.start()
        assert read_state(folder) is not None
        why: list[str | None] = []
        keeping = threading.Thread(target=lambda: why.append(supervisor.keep()))
        keeping.start()
        if how == "moved":
            settings.state.rename(tmp_path / "elsewhere")
        else:
            shutil.rmtree(settings.state / "store" if how == "data removed" else settings.state)
        if how == "data removed":
            (settings.state / "store" / "data" / "admin").mkdir(parents=True)  # as the server does while it ends
        if how == "made anew":
            folder.mkdir(parents=True)
            (folder / "alive.lock").touch()
        keeping.join(10)
        assert not keeping.is_alive()
        supervisor.stop()
    assert part.calls == ["start", "stop"]
    assert why[0] is not None
    assert "was removed or moved while lake was up" in why[0]
    if how in ("removed", "moved"):
        assert not settings.state.exists()


def test_a_server_is_not_started_again_in_a_folder_that_was_removed(tmp_path: Path) -> None:
    """Whoever holds a server whose folder went away hears that; no empty one takes its place."""
    code = "import socket, sys, time; s = socket.socket(); time.sleep(60)"
    service = Service(tmp_path / "server", lambda: Launch([sys.executable, "-c", code], {"url": "x"}), lambda facts: True)
    service.hold()
    moved = (tmp_path / "server").rename(tmp_path / "moved")
    with pytest.raises(HomeRefused, match="was removed or moved while it was in use"):
        service.revive()
    assert not (tmp_path / "server").exists()
    moved.rename(tmp_path / "server")
    service.release(wait=True)
    assert not service.alive()


def test_what_one_lake_up_started_carries_its_mark(start: Start, tmp_path: Path) -> None:
    """So that, where another was begun at the same place meanwhile, only its own are ended."""
    start("lake", "worker", "--ready", str(tmp_path / "up" / "worker.ready"), **{MARK: "old"})
    start("lake", "watch", "--ready", str(tmp_path / "up" / "watch.ready"), **{MARK: "new"})
    if can_look():
        assert {one.part: one.mark for one in processes_of(tmp_path) or []} == {"worker": "old", "watch": "new"}
