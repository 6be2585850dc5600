"""A background server shared by every process that holds it and stopped when the last of them is gone, however it went.

Three advisory locks in the service's folder carry the whole protocol, so a kill -9 of anyone leaves nothing to clean up:

- `holders.lock`: each user keeps it shared; the keeper waits to have it alone, which means nobody is left, and stops the server.
- `alive.lock`: inherited by the server itself, so it is locked exactly as long as the server lives, in a folder that is its user's alone. Whether it
  lives is never told from a pid, and a pid that was written down counts only together with when that process began.
- `start.lock`: taken while somebody looks whether the server runs and starts it if not.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from lake.errors import HomeRefused, LakeError, StoreError, of_system
from lake.locks import is_at, is_taken, take
from lake.wording import shortened

_LOOK = 1.0  # seconds
_STARTS = 2  # a port can be taken by somebody else between choosing and binding it


@dataclass(frozen=True)
class Launch:
    """What to run: the command, variables added to the environment, and facts that users of the server need (no secrets).

    Asked to stop, it has `stops_within` seconds before it is killed.
    """

    command: list[str]
    facts: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    cleanup: list[str] = field(default_factory=list)
    stops_within: float = 10.0


class Service:
    """One shared server with its files in `folder`.

    `plan` makes the launch for a fresh start; `ready` says from the facts whether it answers. Processes that use the same
    folder share one server; within a process, holds are counted. Abandoned, it lingers some seconds for the next who needs it.
    """

    def __init__(
        self, folder: Path, plan: Callable[[], Launch], ready: Callable[[dict[str, Any]], bool], *, patience: float = 30.0, linger: float = 0.0
    ) -> None:
        self.folder = folder
        self._plan = plan
        self._ready = ready
        self._patience = patience
        self._linger = linger
        self._mutex = threading.Lock()
        self._held: IO[str] | None = None
        self._facts: dict[str, Any] = {}
        self._holds = 0
        self._guard: threading.Thread | None = None
        self._log_before = 0

    def hold(self) -> dict[str, Any]:
        """Make sure the server runs and keep it running; returns its facts. Raises LakeError if it does not come up."""
        with self._mutex:
            if self._holds == 0 or not self.alive():
                self._again()
            self._holds += 1
            if self._guard is None or not self._guard.is_alive():
                self._guard = threading.Thread(target=self._revive_it, name="guards-server", daemon=True)
                self._guard.start()
            return self._facts

    def revive(self) -> dict[str, Any] | None:
        """Start the server again if it died while it was held; its facts, or None where nobody here holds it. Raises LakeError if it does not come up."""
        with self._mutex:
            if self._holds and not self.alive():
                self._again()
            return self._facts if self._holds else None

    def pid(self) -> int | None:
        """The server's process, as its keeper told it; None where it told none."""
        state = _read_state(self.folder)
        return int(state["pid"]) if state is not None else None

    def _revive_it(self) -> None:
        """As long as the server is held here, start it again when it dies: whoever reads from it at the moment asks again, and finds it."""
        while self._holds:
            time.sleep(_LOOK)
            if not self.alive():
                with contextlib.suppress(LakeError, OSError):  # whoever asks it something hears what is wrong
                    self.revive()

    def _again(self) -> None:
        """Hold the server anew: it was killed under us, or nobody here held it. Raises HomeRefused where its folder went away meanwhile."""
        if self._held is not None:
            if not is_at(self._held, self.folder / "holders.lock"):
                raise HomeRefused(f"{self.folder} was removed or moved while it was in use", "Put it back, or run again in the folder that is there now")
            self._held.close()
            self._held = None
        self._facts = self._acquire()

    def release(self, *, wait: bool = False) -> None:
        """Let go. If nobody else holds it, the server stops; with `wait`, at once, and this returns only after it has."""
        with self._mutex:
            self._holds = max(0, self._holds - 1)
            if self._holds or self._held is None:
                return
            if wait:
                with contextlib.suppress(OSError):  # its folder is gone, or full: it stops after a moment all the same
                    (self.folder / "hurry").touch()
            self._held.close()
            self._held = None
        if wait:
            self._await_stop()

    def _await_stop(self) -> None:
        """Return when the server has stopped, or is seen to go on for somebody else: its state is still there after a second."""
        state, noticed, deadline = self.folder / "state.json", time.monotonic() + 1.0, time.monotonic() + 20.0
        while self.alive() and time.monotonic() < (noticed if state.exists() else deadline):
            time.sleep(0.02)

    def alive(self) -> bool:
        """Whether the server process lives, whoever started it."""
        return is_taken(self.folder / "alive.lock")

    def _acquire(self) -> dict[str, Any]:
        try:
            return self._acquired()
        except OSError as error:
            known = of_system(error, str(self.folder))
            if known is None:
                raise
            raise known from None

    def _acquired(self) -> dict[str, Any]:
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o700)
        with take(self.folder / "start.lock") or contextlib.nullcontext():
            self._held = take(self.folder / "holders.lock", shared=True)
            (self.folder / "hurry").unlink(missing_ok=True)
            try:
                for _ in range(_STARTS):
                    if not self.alive():
                        self._start()
                    elif not is_taken(self.folder / "keeper.lock"):
                        self._keep("adopt")
                    if (facts := self._wait()) is not None:
                        return facts
                log = self.folder / "server.log"
                if not self.alive() and (known := why_it_ended(log, self.folder, self._log_before)) is not None:
                    raise known
                why = f"it does not answer after {self._patience:.0f} s" if self.alive() else last_line(log)
                raise LakeError(f"the {self.folder.name} server did not come up: {why}", f"Its log: {log}")
            except BaseException:
                if self._held is not None:
                    self._held.close()
                self._held = None
                raise

    def _start(self) -> None:
        _clear_up_after(self.folder)
        launch = self._plan()
        (self.folder / "state.json").unlink(missing_ok=True)
        log = self.folder / "server.log"
        self._log_before = log.stat().st_size if log.exists() else 0
        write_private(self.folder / "launch.json", json.dumps({**launch.__dict__, "linger": self._linger}))
        self._keep("start")

    def _keep(self, verb: str) -> None:
        subprocess.run(  # the keeper forks and returns at once: nobody has a child to wait for
            [sys.executable, "-S", "-E", str(Path(__file__).with_name("keeper.py")), verb, str(self.folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _wait(self) -> dict[str, Any] | None:
        """The facts once the server answers; None if it died before, or its patience is over."""
        deadline = time.monotonic() + self._patience
        noticed = time.monotonic() + 1.5
        seen = False
        while time.monotonic() < deadline:
            state = _read_state(self.folder)
            if state is not None:
                seen = True
                if self._ready(state["facts"]):
                    return dict(state["facts"])
            if (seen or time.monotonic() > noticed) and not self.alive():
                time.sleep(0.1)  # its keeper clears up
                return None
            time.sleep(0.02)
        return None


def _read_state(folder: Path) -> dict[str, Any] | None:
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return state if isinstance(state, dict) else None


def _clear_up_after(folder: Path) -> None:
    """Remove what the server before left elsewhere, if it and its keeper were killed: the sockets of its own launch, where nobody listens any more."""
    try:
        left = json.loads((folder / "launch.json").read_text("utf-8"))["cleanup"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for path in left:
        if not listens(str(path)):
            with contextlib.suppress(OSError):
                os.remove(path)


def listens(path: str) -> bool:
    """Whether somebody listens at a socket: another server may have been given the same port, and with it the same name."""
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(path)
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write `path` so that only its owner ever can read it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
    temporary.replace(path)


def write_private_once(path: Path, text: str) -> None:
    """As write_private, unless the file is there: of two processes that make it at once the first wins, and the other finds what that one wrote."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    write_private(fresh, text)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


_ENDS = (
    (errno.EMFILE, "too many open files"), (errno.ENOSPC, "no space left on device"), (errno.EROFS, "read-only file system"),
    (errno.EACCES, "permission denied"), (errno.EIO, "input/output error"),
)  # fmt: skip


def why_it_ended(log: Path, folder: Path, before: int = 0) -> LakeError | None:
    """What the system refused a server, by what its log says past so many bytes; None where that is nothing of the kind."""
    try:
        said = log.read_bytes()[before:][-20_000:].decode("utf-8", "replace").lower()
    except OSError:
        return None
    found = next((number for number, words in _ENDS if words in said), None)
    return of_system(OSError(found, "", str(folder))) if found is not None else None


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    if not log.exists():
        return "no output"
    lines = [line.strip() for line in log.read_text("utf-8", "replace")[-4000:].splitlines() if line.strip()]
    return shortened(lines[-1]) if lines else "no output"


def last_port(folder: Path, fact: str) -> int | None:
    """The port in the address `fact` of the service's last launch, so that one that is started again is found where it was; None for a first start."""
    try:
        told = json.loads((folder / "launch.json").read_text("utf-8"))["facts"][fact]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return urlsplit(str(told)).port


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just given up is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int, *, below: int = 65536) -> list[int]:
    """`count` ports of 127.0.0.1 that nobody listens on now, each under `below`."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            probe = socket.socket()
            held.append(probe)
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port < below:
                found.append(port)
            if len(held) > 500:
                raise StoreError("no free ports on 127.0.0.1", "Stop what holds them, or give an endpoint")
    finally:
        for probe in held:
            probe.close()
    return found
