"""One run: who it is, where it works, and what it has already looked up."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from opentelemetry.trace import Span

from lake.delta import Snapshot, open_snapshot
from lake.disk import ensure_room, local
from lake.errors import RunFailed
from lake.existing import check_there
from lake.held import Held
from lake.log import TableLog
from lake.logs import start_logs
from lake.meter import at_work, metered
from lake.probe import ensure_trusted, warn_of_clock
from lake.record import RunInfo
from lake.room import make_room, spill
from lake.settings import Settings
from lake.spool import workspace
from lake.store import Store, open_store
from lake.telemetry import run_span, start_traces

Spread = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Accepting:
    """Rejected `rows` of a table that this run does not hold against its limits, by whose word and why."""

    rows: pl.DataFrame
    by: str
    why: str


class Run:
    """Everything the steps of one run share: settings, a trusted store, logs and snapshots opened once, and a spool on disk.

    `raw` is the store that raw files are read from, the same one unless the run writes to a scratch place. `pins` are versions
    at which this run reads tables that it does not fill itself; `filled` are those that it fills. `judges_moment` says whether it holds tables to rules about a moment
    rather than about rows: freshness, change against the last version, how many rows may be rejected at once. A replay does not.
    `accepted` are rejects by table that somebody accepted.
    `room` is the memory that its steps share. `receipts` are those of files that landed, with the version at which the run read them, where they are few. `spread` has partitions of a hop done elsewhere: it takes them as JSON, and gives what came of each, in any order, or raises.
    """

    def __init__(self, settings: Settings, store: Store, info: RunInfo, *, raw: Store | None = None, judges_moment: bool = True) -> None:
        self.settings = settings
        self.store = store
        self.raw = raw or store
        self.info = info
        self.judges_moment = judges_moment
        self.pins: dict[str, int] = {}
        self.filled: frozenset[str] = frozenset()
        self.spread: Spread | None = None
        self.span: Span | None = None
        self.receipts: tuple[int, pl.DataFrame] | None = None
        self.accepted: dict[str, Accepting] = {}
        self.room = make_room(settings.memory)
        self._logs: dict[str, TableLog] = {}
        self._snapshots: dict[tuple[str, int], Snapshot] = {}
        self._mutex = threading.Lock()
        self._abandoned = threading.Event()

    def abandon(self) -> None:
        """Publish nothing from now on: somebody stopped this run. Its threads may go on for a while; what they make stays invisible."""
        self._abandoned.set()

    def check_goes_on(self) -> None:
        """Raise RunFailed if the run was abandoned."""
        if self._abandoned.is_set():
            raise RunFailed("the run was stopped before it could publish", "Run again; it goes on from what is committed")

    def log(self, path: str) -> TableLog:
        """The log of the table at `path`, one object a run."""
        with self._mutex:
            return self._logs.setdefault(path, TableLog(self.store, path))

    def snapshot(self, path: str, version: int) -> Snapshot:
        """The table at `path` as of `version`, opened once a run."""
        with self._mutex:
            found = self._snapshots.get((path, version))
            earlier = max((at for of, at in self._snapshots if of == path and at < version), default=None)
            since = self._snapshots[path, earlier] if earlier is not None else None
        if found is None:
            found = open_snapshot(self.store, path, version, log=self.log(path), since=since)
            with self._mutex:
                self._snapshots[path, version] = found
        return found

    def workspace(self, name: str) -> AbstractContextManager[Path]:
        """A folder on local disk for one step, removed afterwards; those of killed runs are removed by later ones."""
        return workspace(self.settings.state / "spool", name)


def run_that_reads(settings: Settings, store: Store, flow: str) -> Run:
    """A run for looking at what is there. It writes nothing to the store, which need not prove itself for that."""
    return Run(settings, store, _info(flow, "read"))


@contextmanager
def begin_run(settings: Settings, flow: str, trigger: str, *, prefect_flow_run: str | None = None, needs_room: bool = True, new: bool = True) -> Iterator[Run]:
    """A run against a store that proved itself, with room on its disks if it `needs_room`. Where there is no lake, it makes a `new` one, or raises UnknownName.

    Raises StoreUntrusted, StoreUnreachable, StoreRefused, DiskFull or HomeRefused before anything is written. A clock that is wrong is told.
    """
    if not new:
        check_there(settings)
    start_logs(settings.log)
    start_traces()
    with local(settings.state):
        settings.state.mkdir(parents=True, exist_ok=True)
        if needs_room:
            ensure_room(settings)
    if settings.memory is not None:
        spill(settings.memory, settings.state / "spool")
    info = _info(flow, trigger, prefect_flow_run)
    with run_span(info, settings.env) as span, metered():
        with at_work("start"):
            store = open_store(settings)
            ensure_trusted(store, settings)
            warn_of_clock(store)
        begun = Run(settings, store, info)
        begun.span = span
        with contextlib.ExitStack() as stack:
            with local(settings.state):
                folder = stack.enter_context(begun.workspace("held"))
            store.held = Held(folder)
            try:
                yield begun
            finally:
                store.held = None


def _info(flow: str, trigger: str, prefect_flow_run: str | None = None) -> RunInfo:
    started = dt.datetime.now(dt.UTC)
    return RunInfo(id=f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", flow=flow, trigger=trigger, started=started, prefect_flow_run=prefect_flow_run)


def backoff(attempt: int) -> None:
    """Wait before trying again after a lost race: longer each time, and never two writers alike."""
    time.sleep(min(2.0, 0.05 * 2**attempt) * (0.5 + secrets.randbelow(1000) / 1000))
