"""What a step spends: seconds by phase, requests to the store by verb, bytes by direction. Counted where it happens, told where the step ends.

The meter of a step is ambient (a context variable), so that the store and the hop need not know each other; whoever hands work to threads
of its own takes it along with `carried`.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

PHASES = ("plan", "read", "transform", "settle", "checks", "quarantine", "write", "commit")
"""What the seconds of a step are told by. A step has those that it needs: only files are read, only hops transform and settle."""
REQUESTS = ("get", "put", "list", "head", "delete")
BYTES = ("bytes_read", "bytes_written")

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Span:
    """A stretch of time, in nanoseconds since 1970: a phase of a step, or what the engine was at."""

    name: str
    start: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True)
class Spent:
    """Seconds by phase, and what was asked of the store by verb and direction; what is zero is left out."""

    seconds: dict[str, float]
    store: dict[str, int]


class Meter:
    """Counts for one step. May be used by many threads."""

    def __init__(self) -> None:
        self.phases: list[Span] = []
        self._asked: Counter[str] = Counter()
        self._told_phases = 0
        self._told: Counter[str] = Counter()
        self._mutex = threading.Lock()
        self._open = False

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count of REQUESTS or BYTES."""
        with self._mutex:
            self._asked[what] += number

    def spent(self) -> Spent:
        """Everything so far."""
        with self._mutex:
            return Spent(_by_phase(self.phases), dict(sorted((+self._asked).items())))

    @contextlib.contextmanager
    def telling(self) -> Iterator[Spent]:
        """What was spent since it was last told. It counts as told only where the block ends well: a commit that lost a race told nobody."""
        with self._mutex:
            phases, asked = len(self.phases), self._asked.copy()
            new = Spent(_by_phase(self.phases[self._told_phases :]), dict(sorted((asked - self._told).items())))
        yield new
        with self._mutex:
            self._told_phases, self._told = phases, asked

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Time the block as a phase. A phase inside another counts as part of the outer one."""
        if self._open:
            yield
            return
        self._open = True
        start = time.time_ns()
        mark = time.perf_counter_ns()
        try:
            yield
        finally:
            self._open = False
            with self._mutex:
                self.phases.append(Span(name, start, start + time.perf_counter_ns() - mark))


_meter: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("lake_meter", default=None)
_watchers: list[list[Span]] = []


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
    """A meter for what the block does. An outer one does not see it."""
    meter = Meter()
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Time the block as a phase of the step that is being metered, if one is."""
    meter = _meter.get()
    with meter.measure(name) if meter else contextlib.nullcontext():
        yield


def count(what: str, number: int = 1) -> None:
    """Count a request or bytes for the step that is being metered, if one is."""
    meter = _meter.get()
    if meter is not None:
        meter.count(what, number)


@contextlib.contextmanager
def telling() -> Iterator[Spent]:
    """`Meter.telling` of the step that is being metered; nothing spent where none is."""
    meter = _meter.get()
    with meter.telling() if meter else contextlib.nullcontext(Spent({}, {})) as spent:
        yield spent


def carried(work: Callable[[_In], _Out]) -> Callable[[_In], _Out]:
    """`work` as threads of one's own can do it: what it spends is counted where this was called."""
    context = contextvars.copy_context()
    return lambda item: context.copy().run(work, item)


@contextlib.contextmanager
def at_work(name: str) -> Iterator[None]:
    """Say that the engine is at something, to whoever is `watching`."""
    start = time.time_ns()
    mark = time.perf_counter_ns()
    try:
        yield
    finally:
        done = Span(name, start, start + time.perf_counter_ns() - mark)
        for watcher in _watchers:
            watcher.append(done)


@contextlib.contextmanager
def watching() -> Iterator[list[Span]]:
    """What the engine was at in this process meanwhile, in all threads; complete when the block ends."""
    seen: list[Span] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)


def covered(spans: list[Span]) -> float:
    """Seconds in which at least one of the spans went on; where several did, they count once."""
    total, until = 0, 0
    for span in sorted(spans, key=lambda one: one.start):
        total += max(0, span.end - max(span.start, until))
        until = max(until, span.end)
    return total / 1e9


def _by_phase(spans: list[Span]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for span in spans:
        seconds[span.name] = seconds.get(span.name, 0.0) + span.seconds
    return {name: rounded for name, value in seconds.items() if (rounded := round(value, 4))}
