"""Asking a confined process about a file: it is given so much memory and time, watched, and ended where it takes more."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from lake.amounts import size
from lake.errors import FileRejected

_LEAST_MEMORY, _TIMES = 300_000_000, 200  # bytes, and bytes for each byte of the file
_SHARE = 0.5  # of the machine's memory
_LEAST_TIME, _A_MEGABYTE = 120.0, 20.0  # seconds, and seconds for each megabyte of the file
_LOOKED = 0.01  # seconds between two looks at its memory
_RETIRED = 200_000_000  # bytes that a process may hold on to between two files
_IDLE = 2  # processes that wait for the next file
_ROOT = Path(__file__).resolve().parents[3]
_START = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from lake.reading.confined.work import serve; serve()"
_KEPT = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class _Process:
    """One process that answers one question after the other."""

    def __init__(self) -> None:
        told = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"POLARS_MAX_THREADS": "2", "RUST_BACKTRACE": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=told
        )

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    @property
    def memory(self) -> int:
        """Bytes of memory that are its own now; 0 where the system does not tell."""
        try:
            resident, shared = (int(count) for count in Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1:3])
        except (OSError, ValueError):
            return 0
        return (resident - shared) * _PAGE

    def ask(self, question: bytes, memory: int, seconds: float) -> bytes:
        """Its answer. Raises _Gone where it ended before it read the question, and _Ended with the reason where it did since."""
        inlet, outlet = _pipe(self._process.stdin), _pipe(self._process.stdout)
        try:
            inlet.write(question)
            inlet.flush()
        except OSError:
            raise _Gone from None
        until = time.monotonic() + seconds
        while not _has_more(outlet, _LOOKED):
            if self.memory > memory:
                raise _Ended(f"it takes more than {size(memory)} of memory to read")
            if time.monotonic() > until:
                raise _Ended(f"it takes more than {seconds:,.0f} seconds to read")
        answer = outlet.readline()
        if not answer.endswith(b"\n"):
            code = self._process.wait()
            raise _Died(f"its reader ended in the middle ({'signal' if code < 0 else 'code'} {abs(code)}), as damaged files and those of false sizes make it")
        return answer

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()


class _Gone(Exception):
    """The process had ended, as it does when nothing was asked for a while."""


class _Ended(Exception):
    """The process ended, or had to be ended, over this file."""


class _Died(_Ended):
    """It ended by itself, or by somebody else's hand."""


def ask(what: str, path: Path, name: str, /, **about: Any) -> dict[str, Any]:
    """What a confined process says to the question `what` about the file at `path`, which people call `name`.

    Raises FileRejected with what the process says against the file, or with what became of the process.
    """
    length = path.stat().st_size
    question = json.dumps({"what": what, "path": os.fspath(path)} | about).encode() + b"\n"
    memory, seconds = _memory_for(length), _LEAST_TIME + _A_MEGABYTE * length / 1e6
    while True:
        process, fresh = _taken()
        try:
            answer: dict[str, Any] = json.loads(process.ask(question, memory, seconds))
        except _Gone:
            process.end()
            if fresh:
                raise FileRejected(f"{name} cannot be read: its reader does not start", "Run again; `lake doctor` looks the installation over") from None
            continue
        except _Ended as ended:
            process.end()
            if isinstance(ended, _Died) and not fresh:
                continue  # it may have been ended while it waited
            raise FileRejected(f"{name} cannot be read: {ended}", "Its bytes are kept in raw; save it again, smaller or as CSV, and land that") from None
        except BaseException:
            process.end()
            raise
        _give_back(process)
        break
    if "rejected" in answer:
        raise FileRejected(answer["rejected"], answer.get("hint"))
    if "broke" in answer:
        raise FileRejected(f"{name} cannot be read: {answer['broke']}", "Report it with the file; `lake readmit` brings it in once lake is mended")
    if "failed" in answer:
        raise ValueError(answer["failed"])
    return answer


def _memory_for(length: int) -> int:
    """How many bytes reading a file of so many may take."""
    try:
        most = int(_SHARE * os.sysconf("SC_PHYS_PAGES") * _PAGE)
    except (AttributeError, ValueError, OSError):
        most = 4 << 30
    return max(_LEAST_MEMORY, min(most, _LEAST_MEMORY + _TIMES * length))


_waiting: list[_Process] = []
_mutex = threading.Lock()
_owner = os.getpid()


def _taken() -> tuple[_Process, bool]:
    """A process that waits, or a new one; and whether it is new."""
    global _owner  # noqa: PLW0603  # after a fork, those that wait are the other process's
    with _mutex:
        if _owner != os.getpid():
            _waiting.clear()
            _owner = os.getpid()
        while _waiting:
            process = _waiting.pop()
            if process.lives:
                return process, False
            process.end()
    return _Process(), True


def _give_back(process: _Process) -> None:
    with _mutex:
        if len(_waiting) < _IDLE and process.memory < _RETIRED:
            _waiting.append(process)
            return
    process.end()


def end_all() -> None:
    """End the processes that wait."""
    with _mutex:
        left, _waiting[:] = list(_waiting), []
    for process in left:
        process.end()


atexit.register(end_all)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("no pipe")
    return pipe


def _has_more(pipe: IO[bytes], seconds: float) -> bool:
    """Whether something can be read, the end of it too, within some time."""
    if os.name == "nt":
        return True  # pipes cannot be waited for there: nothing is watched
    return bool(select.select([pipe], [], [], seconds)[0])
