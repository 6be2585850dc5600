"""SIGINT, SIGTERM and SIGHUP at every stage: one clear line, 128 + their number, nothing running afterwards, and the next run finishes the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.conftest import ROOT, fresh_env
from tests.outside import outside
from tests.test_cli import Project, make_project
from tests.town import SLOW

_LINE = "lake: stopped. What was published stands; run again to go on from there"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DRAWS = int(os.environ.get("LAKE_LAW_SIGNALS", "3"))


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """No signal is ignored here, and so by no command begun here, even where the tests were started under nohup."""
    before = {sign: signal.signal(sign, signal.SIG_DFL) for sign in _SIGNALS if signal.getsignal(sign) == signal.SIG_IGN}
    yield
    for sign, what in before.items():
        signal.signal(sign, what)


@pytest.fixture
def project(tmp_path: Path, weed_home: Path) -> Project:
    """A project on a store that runs, with three orders waiting."""
    made = make_project(tmp_path / "shop", LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())
    made.write("incoming/monday.csv", "order,customer,amount\n1,ann,1.5\n2,bob,2.5\n3,ann,3.5\n")
    return made


def begun(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """A command that goes on."""
    environment = outside() | {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"} | dict(project.variables)
    return subprocess.Popen(
        [sys.executable, "-m", "lake", *arguments], cwd=project.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended_by(process: subprocess.Popen[str], sign: signal.Signals, seconds: float = 30) -> str:
    """Send it; what the process said on standard error, after a look at its exit code. A run that was over by then has said so."""
    process.send_signal(sign)
    out, err = process.communicate(timeout=seconds)
    if process.returncode == 0 and ("release " in out or "nothing new" in out):
        return err
    assert process.returncode in (128 + sign, -sign), (process.returncode, err)
    assert process.returncode == 128 + sign or err == ""  # so early that there was no lake yet
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("sign", _SIGNALS)
def test_in_the_middle_of_a_hop(project: Project, sign: signal.Signals) -> None:
    """A hop that takes long is left at once; nothing of it is published, and the next run publishes all of it."""
    project.edit(
        "hops", "def clean(raw: pl.LazyFrame) -> pl.LazyFrame:\n", SLOW.replace("import os, time\n", "import os, time\n        open('reached', 'w')\n")
    )
    (project.root / "slow").touch()
    process = begun(project, "run", "--no-prefect")
    deadline = time.monotonic() + 90
    while not (project.root / "reached").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    started = time.monotonic()
    assert ended_by(process, sign).strip().splitlines() == [_LINE]
    assert time.monotonic() - started < 20
    assert project.rows("release", "ls") == []
    (project.root / "slow").unlink()
    project.run().did()
    assert project.tables()["silver.shop.orders"] == 3


def test_at_any_moment(project: Project) -> None:
    """At moments drawn at random from the start of the interpreter to the end of the run, each time one line at most; then the run finishes."""
    rng = Random(11)
    for _ in range(_DRAWS):
        process = begun(project, "run", "--no-prefect")
        time.sleep(rng.uniform(0.0, 4.0))
        if process.poll() is None:
            err = ended_by(process, rng.choice(_SIGNALS))
            assert err.strip().splitlines() in ([], [_LINE]), err
        process.communicate()
    project.run().did()
    assert project.tables()["silver.shop.orders"] == 3


def test_a_library_that_does_not_look_is_left_all_the_same(tmp_path: Path) -> None:
    """The main thread is where no signal reaches it: the process ends after some seconds, with the same line."""
    code = """
import ctypes, threading, lake.signals as signals
signals.PATIENCE = 1.0
signals.heed()
threading.Timer(1.0, print, ("there",), {"flush": True}).start()
library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
library.pthread_mutex_lock(mutex)
library.pthread_mutex_lock(mutex)  # for ever, whatever signals come
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    assert ended_by(process, signal.SIGTERM).strip() == _LINE


def test_what_is_told_to_ignore_one_goes_on(tmp_path: Path) -> None:
    """Under nohup a closed terminal ends nothing."""
    code = "import signal, lake.signals as s; signal.signal(signal.SIGHUP, signal.SIG_IGN); s.heed(); print('there', flush=True); input(); print('done')"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGHUP)
    assert process.communicate("\n", timeout=20)[0] == "done\n"


@pytest.mark.parametrize("command", ["ls", "status", "doctor"])
def test_commands_that_look(project: Project, command: str) -> None:
    """Any command ends so."""
    process = begun(project, command)
    time.sleep(0.3)
    if process.poll() is None:
        assert ended_by(process, signal.SIGTERM).strip().splitlines() in ([], [_LINE])
    process.communicate()


def test_a_library_that_says_it_in_its_own_words_ends_the_command_the_same(tmp_path: Path) -> None:
    """An interrupt while modules are loaded, which one of them catches and raises as an error of its own: no traceback, 128 + the number."""
    code = """
import os, signal, sys, types
class Loading(types.ModuleType):
    def __getattr__(self, name):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            while True: pass
        except KeyboardInterrupt as error:
            raise ValueError("cannot build a validator") from error
import lake.__main__ as command
sys.modules["lake.cli"] = Loading("lake.cli")
command.main()
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr.strip()) == (128 + signal.SIGTERM, _LINE)
