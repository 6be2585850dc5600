"""What can go wrong between lake and its store, on purpose: small objects that the proxy asks about each request."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Request:
    """One request: its number, its number among the writes (0 if it is none), and what was answered in the end (0: nothing)."""

    number: int
    write: int
    method: str
    path: str
    status: int = 0

    @property
    def boundary(self) -> str:
        """What the request does to which part of a lake, without what differs from run to run."""
        path = re.sub(r"^/[^/]+/[^/]+/", "", urlsplit(self.path).path)
        path = re.sub(r"[0-9a-f]{64}/[^/]*", "*", path)
        return f"{self.method} " + re.sub(r"part-[^/]*|[0-9]{10,}(?=\.)", "*", path)


Which = Callable[[Request], bool]


def write_number(number: int) -> Which:
    """The write with this number."""
    return lambda request: request.write == number


def commits(table: str = "") -> Which:
    """The commits of the table at this path, or of all tables and releases."""
    pattern = re.compile(rf"/[^/]+/[^/]+/{table}/_delta_log/\d+\.json" if table else r".*/(_delta_log|system/releases)/\d+\.json")
    return lambda request: request.method == "PUT" and pattern.fullmatch(request.path) is not None


class Fault:
    """No fault: the base of all. Asked about each request before it is passed on, and after the store answered."""

    hit: Request | None = None

    def before(self, victim: Future[int], request: Request) -> int | None:
        """A status to answer with instead of passing the request on; 0 to hang up; None to pass it on."""

    def answers(self, victim: Future[int], request: Request) -> bool:
        """Whether the client gets the store's answer."""
        return True


@dataclass
class Kill(Fault):
    """SIGKILL the victim before or after the store did what the first request that is meant asks; the client hears nothing."""

    which: Which
    after: bool = False
    hit: Request | None = None

    def before(self, victim: Future[int], request: Request) -> int | None:
        """Kill, or wait for the answer."""
        if self.hit is None and self.which(request):
            self.hit = request
            if not self.after:
                os.kill(victim.result(10), signal.SIGKILL)
        return 0 if self.hit is not None and not self.after else None

    def answers(self, victim: Future[int], request: Request) -> bool:
        """The store did it: now kill."""
        if request is self.hit:
            os.kill(victim.result(10), signal.SIGKILL)
        return request is not self.hit


@dataclass
class LoseAnswer(Fault):
    """The store does what is asked, and the client never hears of it: for the first `times` attempts on each path."""

    which: Which
    times: int = 1
    lost: dict[str, int] = field(default_factory=dict)

    def answers(self, victim: Future[int], request: Request) -> bool:
        """Not for those that are meant."""
        if not self.which(request) or self.lost.get(request.path, 0) >= self.times:
            return True
        self.hit = request
        self.lost[request.path] = self.lost.get(request.path, 0) + 1
        return False


@dataclass
class Refuse(Fault):
    """Requests that are meant are answered with an error (503: slow down; 500: also what SeaweedFS says when its disk is full)."""

    which: Which
    status: int = 503
    refused: int = 0

    def before(self, victim: Future[int], request: Request) -> int | None:
        """The error, if the request is meant."""
        if not self.which(request):
            return None
        self.hit = request
        self.refused += 1
        return self.status


@dataclass
class Outage(Fault):
    """From the first request that is meant, for so many seconds, every request is answered with an error (0: the connection ends)."""

    seconds: float
    status: int = 503
    which: Which = lambda request: True
    refused: int = 0
    until: float = 0.0

    def before(self, victim: Future[int], request: Request) -> int | None:
        """The error, as long as it lasts."""
        if self.hit is None and self.which(request):
            self.hit, self.until = request, time.monotonic() + self.seconds
        if self.hit is None or time.monotonic() > self.until:
            return None
        self.refused += 1
        return self.status


@dataclass
class Delay(Fault):
    """Every request takes so many seconds longer."""

    seconds: float

    def before(self, victim: Future[int], request: Request) -> int | None:
        """Wait."""
        time.sleep(self.seconds)
        return None


@dataclass
class Pause(Fault):
    """SIGSTOP the victim, a child of this process, before the first request that is meant is passed on; `resume` passes it on and lets the victim go on."""

    which: Which
    reached: threading.Event = field(default_factory=threading.Event)
    resumed: threading.Event = field(default_factory=threading.Event)

    def before(self, victim: Future[int], request: Request) -> int | None:
        """Stop the victim and wait."""
        if self.hit is None and self.which(request):
            self.hit = request
            os.kill(victim.result(10), signal.SIGSTOP)
            os.waitid(os.P_PID, victim.result(), os.WSTOPPED)
            self.reached.set()
            self.resumed.wait(200)
            os.kill(victim.result(10), signal.SIGCONT)
        return None

    def resume(self) -> None:
        """Go on."""
        self.resumed.set()
