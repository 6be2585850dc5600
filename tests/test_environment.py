"""Variables that tests set are seen by everyone, and changing them pulls nothing away from under threads that read them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading

import pytest


def test_everyone_sees_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library, a child, and Python; also after a change, and after it is gone."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    for value in ("one", "another ü", ""):
        monkeypatch.setenv("LAKE_TESTED", value)
        assert getenv(b"LAKE_TESTED") == value.encode()
        child = subprocess.run([sys.executable, "-c", "import os; print(os.environ['LAKE_TESTED'])"], capture_output=True, text=True, check=True)
        assert child.stdout == value + "\n"
    monkeypatch.delenv("LAKE_TESTED")
    assert getenv(b"LAKE_TESTED") is None
    assert "LAKE_TESTED" not in os.environ
    assert getenv(b"PATH") == os.environ["PATH"].encode()


def test_who_reads_meanwhile_finds_what_stays() -> None:
    """Threads that ask the C library without end (it lets go of the interpreter) while variables come and go."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    stop, missed = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            if getenv(b"PATH") is None:
                missed.append(True)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(500):
        os.environ[f"LAKE_TESTED_{number % 50}"] = "x" * number
        os.environ.pop(f"LAKE_TESTED_{(number + 25) % 50}", None)
    stop.set()
    for thread in threads:
        thread.join()
    for number in range(50):
        os.environ.pop(f"LAKE_TESTED_{number}", None)
    assert not missed
