"""The processes of a lake, found by what they are: their command line, their environment, the home they work for and when they began.

A pid that somebody wrote down is never trusted: a process is only ended through a handle that was opened while it was seen to be the
right one. Where the system has no /proc, nothing is found (None), and whoever asks says so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lake.locks import is_taken

MARK = "LAKE_UP_MARK"
"""The variable by which everything that one `lake up` started can be told from what others did."""
_PROC = Path("/proc")
_ORDER = ("lake up", "run", "worker", "watch", "metrics", "prefect", "store", "keeper")
"""In which they are ended: whoever starts others first, servers last."""


@dataclass(frozen=True)
class Found:
    """A process: its pid, when it began (ticks since the system did), what it is of a lake, and the mark of the `lake up` that it came from."""

    pid: int
    began: int
    part: str
    mark: str

    @property
    def since(self) -> float:
        """When it began, in seconds since 1970."""
        with (_PROC / "uptime").open() as file:
            up = float(file.read().split()[0])
        return time.time() - up + self.began / os.sysconf("SC_CLK_TCK")

    def is_there(self) -> bool:
        """Whether it lives, and is the same."""
        return began(self.pid) == self.began


def can_look() -> bool:
    """Whether processes can be looked at on this system."""
    return (_PROC / "self" / "stat").exists()


def processes_of(home: Path) -> list[Found] | None:
    """What belongs to a `lake up` with this home (an absolute path, there or not), this process left out; None where the system does not let one look."""
    if not can_look():
        return None
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError, ValueError):  # gone meanwhile, or somebody else's
                if (one := _looked_at(int(entry.name), home)) is not None:
                    found.append(one)
    return sorted(found, key=lambda one: (_ORDER.index(one.part), one.pid))


def runs_here() -> set[str] | None:
    """The ids of the flow runs that some process of this machine works on; None where the system does not let one look."""
    if not can_look():
        return None
    found = set()
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                told = [word for word in _words(int(entry.name), "environ") if word.startswith("PREFECT__FLOW_RUN_ID=")]
                if told and began(int(entry.name)) is not None:
                    found.add(told[0].partition("=")[2])
    return found


def left_over(home: Path) -> list[Found] | None:
    """Those of `processes_of` that nothing keeps and nothing counts on any more: the supervisor's lock is free, or not the one they know."""
    found = processes_of(home)
    if found is None:
        return None
    served = {name for name in ("store", "prefect") if is_taken(home / name / "alive.lock")}  # some command uses them now
    return [one for one in found if one.part not in served and not (one.part == "keeper" and served)]


def end(found: Iterable[Found], patience: float = 20.0) -> list[Found]:
    """Ask each to end, in order, then make it; returns those that are still there. Each gets its part of `patience` seconds."""
    left = []
    for one in found:
        for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            if not _signal(one, sign):
                break
            deadline = time.monotonic() + seconds
            while one.is_there() and time.monotonic() < deadline:
                time.sleep(0.05)
        if one.is_there():
            left.append(one)
    return left


def _signal(one: Found, sign: signal.Signals) -> bool:
    """Send it, if the process is still the same; says whether it was."""
    try:
        handle = os.pidfd_open(one.pid)
    except OSError:
        return False
    try:
        if not one.is_there():
            return False
        signal.pidfd_send_signal(handle, sign)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def began(pid: int) -> int | None:
    """When a process began, in ticks since the system did; None where it is not there, is a zombie, or nothing can be looked at."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in "ZX" else None


def _looked_at(pid: int, home: Path) -> Found | None:
    command = _words(pid, "cmdline")
    if not command or (since := began(pid)) is None:
        return None
    environment = dict(word.partition("=")[::2] for word in _words(pid, "environ"))
    part = _part(command, environment, home, pid)
    return Found(pid, since, part, environment.get(MARK, "")) if part is not None else None


def _words(pid: int, name: str) -> list[str]:
    return (_PROC / str(pid) / name).read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]


def _part(command: list[str], environment: dict[str, str], home: Path, pid: int) -> str | None:
    """What a process is of the lake in `home`; None for any other."""
    if f"-dir={home / 'store' / 'data'}" in command and "mini" in command:
        return "store"
    if any(Path(word).name == "keeper.py" for word in command) and command[-1] in (str(home / "store"), str(home / "prefect")):
        return "keeper"
    if environment.get("PREFECT_HOME") == str(home / "prefect" / "home"):
        if "prefect.server.api.server:create_app" in command:
            return "prefect"
        if "prefect.engine" in command or "prefect.flow_engine" in command:
            return "run"
    for part in ("worker", "watch", "metrics"):
        if part in command and str(home / "up" / f"{part}.ready") in command:
            return part
    if _is_up(command) and _home_of(environment, pid) == home:
        return "lake up"
    return None


def _is_up(command: list[str]) -> bool:
    """Whether it is `lake up`, started in one of the ways there are."""
    starts = [number for number, word in enumerate(command[:4]) if word == "lake" or Path(word).name in ("lake", "lake.exe")]
    return any(command[number + 1 : number + 2] == ["up"] for number in starts)


def _home_of(environment: dict[str, str], pid: int) -> Path | None:
    """The home that a command with this environment takes, in the folder it works in."""
    from lake.errors import LakeError
    from lake.settings import home_in

    try:
        return home_in(Path(os.readlink(_PROC / str(pid) / "cwd").removesuffix(" (deleted)")), environment)
    except (OSError, LakeError):
        return None
