"""What killed processes leave: runs that hold a place and do nothing, and sockets that nobody listens at. Both are cleared away soon, and nothing else is."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from lake.embedded import _sweep
from lake.processes import can_look, runs_here
from lake.service import Launch, Service
from lake.settings import load_settings
from lake.store import open_store


@dataclass
class Prefect:
    """A Prefect with some runs."""

    runs: list[Any] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    states: dict[UUID, str] = field(default_factory=dict)

    def add(self, state: str, silent: float, *, heard: bool = False) -> UUID:
        """A run that has been in a state for so many seconds."""
        from prefect.client.schemas.objects import StateType

        at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=silent)
        run = SimpleNamespace(id=uuid4(), name=f"run {len(self.runs)}", state=SimpleNamespace(type=StateType[state], timestamp=at))
        self.runs.append(run)
        if heard:
            self.heard.add(f"prefect.flow-run.{run.id}")
        return run.id

    async def read_flow_runs(self, **_: Any) -> list[Any]:
        """Those that have not ended."""
        return [run for run in self.runs if run.id not in self.states]

    async def read_events(self, *, filter: Any, limit: int) -> Any:  # noqa: A002  # its name there
        """Heartbeats."""
        return SimpleNamespace(events=[1] if set(filter.resource.id) & self.heard else [])

    async def set_flow_run_state(self, run: UUID, state: Any, *, force: bool) -> None:
        """End it."""
        assert force
        self.states[run] = state.type.value


def reaped(prefect: Prefect, told: set[UUID]) -> list[str]:
    """One round."""
    from lake.orchestration.reaper import reap

    return asyncio.run(reap(prefect, {"shop/refresh": uuid4()}, told))  # type: ignore[arg-type]  # what it asks of a client is there


def test_an_orphan_frees_its_place_within_tens_of_seconds() -> None:
    """A run whose worker was killed before it began is gone after 45 s, one that worked after 90; it is told once that it is waited for, and when it is over."""
    prefect, told = Prefect(), set[UUID]()
    begins, begun = prefect.add("PENDING", 20), prefect.add("PENDING", 46)
    works, silent, beats = prefect.add("RUNNING", 60), prefect.add("RUNNING", 91), prefect.add("RUNNING", 3000, heard=True)
    cancelled = prefect.add("CANCELLING", 91)
    lines = reaped(prefect, told)
    wanted = {begun: "CRASHED"} | ({silent: "CRASHED", cancelled: "CANCELLED"} if can_look() else {})
    assert prefect.states == wanted
    if can_look():
        assert told == {begins, works}
        assert sum("no process here works on it; silent for" in line for line in lines) == 2
        assert sum("its place is free" in line for line in lines) == 3
    assert reaped(prefect, told) == []
    prefect.runs[0].state.timestamp -= dt.timedelta(seconds=30)
    assert reaped(prefect, told) == ["run run 0 was gone, and is marked so: its place is free"]
    assert prefect.states[begins] == "CRASHED"
    assert beats not in prefect.states
    from lake.orchestration import reaper

    assert reaper._STARTS.total_seconds() + reaper.EVERY < 60


@pytest.mark.skipif(not can_look(), reason="processes are looked at by /proc, which this system has not")
def test_a_run_that_somebody_here_works_on_is_left_alone() -> None:
    """However long it says nothing: its process lives. Once that is gone, so is the run."""
    prefect, told = Prefect(), set[UUID]()
    run = prefect.add("RUNNING", 3000)
    code = "print('there', flush=True); import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PREFECT__FLOW_RUN_ID": str(run)}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert str(run) in (runs_here() or set())
        assert reaped(prefect, told) == []
    finally:
        process.kill()
        process.communicate()
    assert len(reaped(prefect, told)) == 1
    assert prefect.states == {run: "CRASHED"}


def _dead(path: Path, age: float = 3600) -> None:
    """A socket that nobody listens at any more."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    os.utime(path, (time.time() - age, time.time() - age))


def test_sockets_of_killed_stores_are_swept_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of SeaweedFS's names, of this user, old, and nobody listens: all four, or it stays."""
    monkeypatch.chdir(tmp_path)  # such paths must be short
    here = Path()
    _dead(here / "seaweedfs-s3-33001.sock")
    _dead(here / "seaweedfs-volume-grpc-33002.sock")
    _dead(here / "other-33003.sock")
    _dead(here / "seaweedfs-s3-33004.sock", age=5)
    (here / "seaweedfs-s3-33005.sock").write_text("a file", "utf-8")
    os.utime(here / "seaweedfs-s3-33005.sock", (1, 1))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("seaweedfs-s3-33006.sock")
        listening.listen()
        os.utime("seaweedfs-s3-33006.sock", (1, 1))
        _sweep(here)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.sock" for name in ("other-33003", "seaweedfs-s3-33004", "seaweedfs-s3-33005", "seaweedfs-s3-33006")
    ]
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    _dead(here / "seaweedfs-s3-33001.sock")
    _sweep(here)
    assert (here / "seaweedfs-s3-33001.sock").exists()


def test_a_server_that_ends_by_itself_leaves_nothing_either(tmp_path: Path) -> None:
    """Its keeper clears up; and where the keeper was killed with it, the next start does, unless somebody else listens there by now."""
    left = [str(tmp_path / name) for name in ("one.sock", "two.sock")]
    code = f"import socket, time\nfor path in {left!r}: socket.socket(socket.AF_UNIX).bind(path)\ntime.sleep(60)"
    service = Service(tmp_path / "server", lambda: Launch([sys.executable, "-c", code], {"x": 1}, cleanup=left), lambda facts: all(map(os.path.exists, left)))
    service.hold()
    os.kill(int(service.pid() or 0), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(map(os.path.exists, left)) and time.monotonic() < deadline and service.revive() is None:
        time.sleep(0.05)
    service.release(wait=True)
    deadline = time.monotonic() + 10
    while any(map(os.path.exists, left)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [path for path in left if os.path.exists(path)] == []
    _dead(tmp_path / "one.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(left[1])
        listening.listen()
        from lake.service import _clear_up_after

        _clear_up_after(tmp_path / "server")
    assert not os.path.exists(left[0])
    assert os.path.exists(left[1])


def test_a_store_that_is_killed_under_a_command_is_started_again(tmp_path: Path) -> None:
    """SIGKILL of the embedded store under whoever uses it: the next request finds it again, with its data, at the same address; the last user still stops it."""
    store = open_store(load_settings(home=tmp_path / "home", root=tmp_path))
    store.put("x", b"1")
    address = store.endpoint
    state = tmp_path / "home" / "store" / "state.json"
    for number in range(2):
        os.kill(int(json.loads(state.read_text("utf-8"))["pid"]), signal.SIGKILL)
        assert store.get("x") == b"1"
        store.put(f"y{number}", b"2")
    assert store.endpoint == address
    store.close(wait=True)
    assert not state.exists()
