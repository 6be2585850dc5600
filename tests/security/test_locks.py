"""Locks that say what runs are held by lake's user alone, and `lake down` ends nothing that it did not start."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.cli import run_command
from lake.locks import private_folder
from lake.processes import began
from lake.settings import load_settings
from lake.store import open_store
from tests.security.stranger import as_stranger


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that others may enter, outside of pytest's own folders."""
    folder = Path(tempfile.mkdtemp(prefix="locks-"))
    folder.chmod(0o755)
    monkeypatch.setenv("LAKE_HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("flock") is None, reason="only root becomes somebody else, who needs util-linux to lock a file")
def test_nobody_else_can_hold_a_lock_of_lake_s(home: Path) -> None:
    """To lock a file one needs to open it, if only to read: the folders of locks are entered by their user alone, also one that was open before."""
    (home / "up").mkdir(parents=True, mode=0o755)
    private_folder(home / "up")
    (home / "up" / "alive.lock").touch()
    store = open_store(load_settings(home=home, root=home.parent))
    locks = sorted(home.rglob("*.lock"))
    assert {lock.parent.name for lock in locks} >= {"up", "store"}
    for lock in locks:
        done = as_stranger(["flock", "--nonblock", str(lock), "echo", "held"], Path("/"))
        assert "held" not in done.stdout, lock
        assert done.returncode != 0
    store.close(wait=True)


@pytest.mark.parametrize("known", ["another began", "nothing of when", "no number"])
def test_down_ends_nothing_that_lake_did_not_start(home: Path, known: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody holds the lock, and the pid that was written down is another process by now: it lives on, and the command says what to do."""
    private_folder(home / "up")
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        time.sleep(0.1)
        since = began(other.pid)
        assert since is not None
        told = {
            "another began": {"pid": other.pid, "began": since - 1},
            "nothing of when": {"pid": other.pid},
            "no number": {"pid": str(other.pid), "began": None},
        }[known]
        (home / "up" / "state.json").write_text(json.dumps(told | {"parts": []}), "utf-8")
        with (home / "up" / "alive.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert run_command(["down"]) == 1
        assert "lake is up and does not say what it runs" in capsys.readouterr().err
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_down_ends_the_process_that_said_it_keeps_the_lake_up(home: Path) -> None:
    """The pid with the moment at which it began: that process is ended, and the lock is free."""
    private_folder(home / "up")
    code = "import fcntl, sys, time; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(home / "up" / "alive.lock")], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        (home / "up" / "state.json").write_text(json.dumps({"pid": other.pid, "began": began(other.pid), "parts": []}), "utf-8")
        assert run_command(["down"]) == 0
        assert other.wait(10) != 0
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


def test_a_server_s_pid_is_told_with_when_it_began(home: Path) -> None:
    """The keeper ends the server by both."""
    store = open_store(load_settings(home=home, root=home.parent))
    told = json.loads((home / "store" / "state.json").read_text("utf-8"))
    assert int(told["began"]) == began(told["pid"])
    store.close(wait=True)
