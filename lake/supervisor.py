"""What `lake up` keeps running: parts in order, each watched, each started again with patience when it dies, all stopped in reverse.

A part is a shared server (the store, Prefect) or a process of ours (the worker, the watcher, the metrics). What is going on stands
in `up/state.json` under the state folder; `up/alive.lock` is held exactly as long as the supervisor lives, in a folder that its user alone enters, so
that whether it lives is never told from a pid; one that is written down counts only together with when that process began.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lake.errors import LakeError, translated
from lake.processes import began
from lake.service import Service, last_line

_LOOK = 0.5  # seconds
_FIRST, _LONGEST = 1.0, 30.0  # seconds to wait before starting again
_WELL = 60.0  # seconds after which a part that lives is forgiven its deaths


class Part(Protocol):
    """Something that can be kept running."""

    name: str

    def start(self) -> None:
        """Start it, and return when it answers. Raises LakeError."""

    def alive(self) -> bool:
        """Whether it runs."""

    def stop(self) -> None:
        """Stop it, and return when it has stopped."""

    def facts(self) -> dict[str, Any]:
        """What a person needs to know of it: `url`, `pid`, `log`."""


@dataclass
class Server:
    """A shared server as a part. Others who hold it too keep it running after the stop."""

    name: str
    service: Service
    url: str
    _held: bool = False
    _pid: int | None = None

    def start(self) -> None:
        """Hold it; where it died under us, it is started again at the same address."""
        self._told = (self.service.revive() if self._held else None) or self.service.hold()
        self._held = True
        self._pid = self.service.pid()

    def alive(self) -> bool:
        """Whether the server lives, and is the one that was started: others who hold it may have been quicker to start it again."""
        return self.service.alive() and self.service.pid() in (self._pid, None)

    def stop(self) -> None:
        """Let go of it."""
        if self._held:
            self._held = False
            self.service.release(wait=True)

    def facts(self) -> dict[str, Any]:
        """Its address and its log."""
        return {"url": str(self._told[self.url]) if self._held else "", "log": str(self.service.folder / "server.log")}


@dataclass
class Elsewhere:
    """A server that somebody else runs: it is only looked at."""

    name: str
    address: str
    answers: Callable[[], bool]

    def start(self) -> None:
        """Raise LakeError unless it answers."""
        if not self.answers():
            raise LakeError(f"{self.name} does not answer at {self.address}", "Start it, or unset its address and lake brings its own")

    def alive(self) -> bool:
        """Always: to start it again is not ours."""
        return True

    def stop(self) -> None:
        """Nothing to do."""

    def facts(self) -> dict[str, Any]:
        """Its address."""
        return {"url": self.address}


@dataclass
class Process:
    """A command of ours as a part, with its output in a log. It says that it is ready, and where, by writing the file that `--ready` names."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Callable[[], dict[str, str]]
    cwd: Path
    patience: float = 120.0
    grace: float = 20.0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Start it and wait until it is ready. Raises LakeError with the end of its log."""
        ready = self.folder / f"{self.name}.ready"
        ready.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, "--ready", str(ready)], cwd=self.cwd, env=os.environ | self.environment(), stdin=subprocess.PIPE, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + self.patience
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise LakeError(f"the {self.name} did not come up: {last_line(self.log)}", f"Its log: {self.log}")
            time.sleep(0.05)

    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to stop; after its grace, kill it with all it started."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def facts(self) -> dict[str, Any]:
        """Its pid, its address if it has one, and its log."""
        told = self.folder / f"{self.name}.ready"
        return {"pid": self._process.pid if self._process else None, "url": told.read_text("utf-8") if told.exists() else "", "log": str(self.log)}


class Supervisor:
    """Keeps parts running. `told` is called with a line whenever something happened that people should know; `lost` says why there is nothing left to
    keep them running for, once that is so: the folder they work in is gone.
    """

    def __init__(self, parts: Sequence[Part], folder: Path, told: Callable[[str], None], lost: Callable[[], str | None] = lambda: None) -> None:
        self._parts, self._folder, self._told, self._lost = list(parts), folder, told, lost
        self._states: dict[str, dict[str, Any]] = {part.name: {"part": part.name, "state": "waiting", "restarts": 0, "trouble": ""} for part in parts}
        self._stopping = threading.Event()
        self._mutex = threading.Lock()

    def start(self) -> None:
        """Start each part, one after the other. Raises LakeError, with those that were started stopped again."""
        for part in self._parts:
            if self._stopping.is_set():  # told to stop while it comes up: `keep` returns at once
                return
            self._say(part, "starting")
            try:
                part.start()
            except BaseException as error:
                self._say(part, "failed", trouble=str(error))
                self.stop()
                raise
            self._say(part, "running")

    def keep(self) -> str | None:
        """Watch every part until `stop` is called, and start again what dies. Returns why it ended, where nobody asked for it."""
        threads = [threading.Thread(target=self._keep, args=(part,), daemon=True) for part in self._parts]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(_LOOK):
            if (why := self._lost()) is not None:
                self._stopping.set()
                return why
        return None

    def wake(self) -> None:
        """Have `keep` return; safe to be called from a signal handler."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop every part, the last started first."""
        self._stopping.set()
        for part in reversed(self._parts):
            if self._states[part.name]["state"] not in ("waiting", "stopped"):
                self._say(part, "stopping")
                part.stop()
                self._say(part, "stopped")

    def _keep(self, part: Part) -> None:
        pause, since = _FIRST, time.monotonic()
        while not self._stopping.wait(_LOOK):
            if self._lost() is not None:
                return
            if part.alive():
                if time.monotonic() - since > _WELL:
                    pause = _FIRST
                continue
            restarts = self._states[part.name]["restarts"] + 1
            self._say(part, "restarting", restarts=restarts)
            self._told(f"{part.name} died; it is started again in {pause:.0f} s")
            if self._stopping.wait(pause) or self._lost() is not None:
                return
            pause = min(_LONGEST, 2 * pause)
            try:
                part.start()
            except (LakeError, OSError) as trouble:
                error = trouble if isinstance(trouble, LakeError) else translated(trouble, part.name)
                self._say(part, "restarting", trouble=str(error))
                self._told(f"{part.name} did not come up again: {error}")
                continue
            since = time.monotonic()
            self._say(part, "running", trouble="")
            self._told(f"{part.name} runs again")

    def _say(self, part: Part, state: str, **more: Any) -> None:
        with self._mutex:
            self._states[part.name] |= {"state": state, "since": time.time(), **more} | (part.facts() if state == "running" else {})
            told = {"pid": os.getpid(), "began": began(os.getpid()), "parts": list(self._states.values())}
            temporary = self._folder / f"state.json.{os.getpid()}"
            with contextlib.suppress(OSError):  # no room, or no folder: what runs goes on, or is stopped for that
                temporary.write_text(json.dumps(told), "utf-8")
                temporary.replace(self._folder / "state.json")


def read_state(folder: Path) -> dict[str, Any] | None:
    """What the supervisor said last; None where none ever ran."""
    try:
        found = json.loads((folder / "state.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
