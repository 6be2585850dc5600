"""The lake's metrics for Prometheus, by its official client. All of them are derived from commits and releases; none is kept here."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from lake.disk import disks
from lake.errors import LakeError
from lake.logs import tell
from lake.record import Record
from lake.settings import Settings
from lake.store import Store, open_store
from lake.tally import Reader, Tally

_PATIENCE = 8.0  # seconds; Prometheus waits ten unless told otherwise

Samples = Mapping[Any, float]  # by the values of the labels, a tuple


@dataclass(frozen=True)
class Measure:
    """One metric: its name as the client is told it, whether it is a gauge, counter or summary, what it means, and its labels after `env`."""

    name: str
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    help: str
    labels: tuple[str, ...]
    samples: Callable[[Tally], Samples]

    def family(self, env: str, tally: Tally) -> Metric:
        """The metric as it is now."""
        family = self.kind(self.name, self.help, labels=("env", *self.labels))
        for labels, value in sorted(self.samples(tally).items()):
            family.add_metric((env, *labels), value)
        return family


def _of_tables(value: Callable[[Record], float | None]) -> Callable[[Tally], Samples]:
    """A number of the newest record of each table, where there is one."""
    return lambda tally: {(table,): number for table, record in tally.newest.items() if (number := value(record)) is not None}


def _lag(record: Record) -> float | None:
    return _age(record.freshest) if record.freshest else None


def _fresh(record: Record) -> float | None:
    lag, promised = _lag(record), record.fresh_within_seconds
    return None if lag is None or promised is None else float(lag <= promised)


def _age(moment: dt.datetime) -> float:
    return (dt.datetime.now(dt.UTC) - moment).total_seconds()


def _runs(tally: Tally) -> Samples:
    found: dict[tuple[str, ...], float] = {}
    for kind in tally.runs.values():
        found[kind] = found.get(kind, 0.0) + 1
    return found


def _of_release(value: Callable[[Any], float]) -> Callable[[Tally], Samples]:
    return lambda tally: {(): value(tally.release)} if tally.release else {}


_TABLE = ("table",)
MEASURES = (
    Measure("lake_release_number", GaugeMetricFamily, "Number of the newest release", (), _of_release(lambda release: release.number)),
    Measure("lake_release_age_seconds", GaugeMetricFamily, "Seconds since the newest release", (), _of_release(lambda release: _age(release.at))),
    Measure("lake_release_held", GaugeMetricFamily, "Subjects that were rolled back and are held", (), _of_release(lambda release: len(release.held))),
    Measure("lake_freshness_lag_seconds", GaugeMetricFamily, "Seconds since the newest raw file that reached the table landed", _TABLE, _of_tables(_lag)),
    Measure("lake_freshness_promised_seconds", GaugeMetricFamily, "How fresh the table promises to stay", _TABLE, _of_tables(lambda r: r.fresh_within_seconds)),
    Measure("lake_table_fresh", GaugeMetricFamily, "1 if the table keeps that promise, else 0", _TABLE, _of_tables(_fresh)),
    Measure("lake_table_rows", GaugeMetricFamily, "Rows of the table's newest version", _TABLE, _of_tables(lambda r: r.rows)),
    Measure("lake_table_bytes", GaugeMetricFamily, "Bytes of the data files of its newest version", _TABLE, _of_tables(lambda r: r.bytes)),
    Measure("lake_table_files", GaugeMetricFamily, "Data files of its newest version", _TABLE, _of_tables(lambda r: r.data_files)),
    Measure("lake_table_rejects", GaugeMetricFamily, "Rows in the table's quarantine", _TABLE, _of_tables(lambda r: r.rejects)),
    Measure("lake_table_schema_version", GaugeMetricFamily, "Schema version of its newest version", _TABLE, _of_tables(lambda r: r.schema_version)),
    Measure("lake_runs", CounterMetricFamily, "Runs that committed something", ("flow", "trigger"), _runs),
    Measure("lake_commits", CounterMetricFamily, "Commits by kind", ("table", "kind"), lambda tally: tally.commits),
    Measure("lake_rows", CounterMetricFamily, "Where rows went, by entry of the ledger", ("table", "entry"), lambda tally: tally.rows),
    Measure("lake_rules_broken", CounterMetricFamily, "Rows that broke a rule", ("table", "rule", "severity"), lambda tally: tally.rules),
    Measure("lake_store_requests", CounterMetricFamily, "Requests of steps to the store, up to their commit", ("table", "verb"), lambda tally: tally.requests),
    Measure("lake_store_bytes", CounterMetricFamily, "Bytes of these requests; without scans by Polars", ("table", "direction"), lambda tally: tally.bytes),
)
"""Every metric that is one number a sample; `lake_up` and `lake_hop_seconds` come beside them."""


class LakeCollector(Collector):
    """Reads what is new at each scrape, and answers within `patience` seconds: with what was last read whole, if it must. Without `patience`, a
    reading takes what it takes, and its error is the scrape's.

    `lake_up` says whether this reading went well. The store may go away and come back. An embedded store is kept running meanwhile.
    """

    def __init__(self, settings: Settings, *, patience: float | None = _PATIENCE) -> None:
        self._settings = settings
        self._patience = patience
        self._reader = Reader()
        self._store: Store | None = None
        self._whole: Tally | None = None
        self._pool = ThreadPoolExecutor(1)
        self._going: Future[None] | None = None
        self._mutex = threading.Lock()

    def read(self) -> None:
        """Read what is new. Raises LakeError where the store does not answer; what was read before stands."""
        try:
            if self._store is None:
                self._store = open_store(self._settings)
            elif self._store.names.number != self._store.renewed_names().number:
                self._reader = Reader()  # what was summed up by names that are no more
            self._reader.read(self._store)
        except LakeError as error:
            if self._store is not None:
                self._store.close()
            self._store = None  # an embedded store comes back at another address
            tell("error", str(error), error=error)
            raise
        self._whole = self._reader.tally.copy()

    def collect(self) -> Iterator[Metric]:
        """Every metric, for the client's registry."""
        env = self._settings.env
        up = GaugeMetricFamily("lake_up", "1 if the store was read just now, else 0: what is told is what was read before", labels=("env",))
        up.add_metric((env,), float(self._is_read()))
        yield up
        yield from _disks(self._settings)
        whole = self._whole
        if whole is None:
            return
        for measure in MEASURES:
            yield measure.family(env, whole)
        yield _hop_seconds(env, whole)

    def _is_read(self) -> bool:
        """Whether a reading that ends in time went well. One goes on at a time; a scrape that comes meanwhile waits for the same."""
        if self._patience is None:
            self.read()
            return True
        with self._mutex:
            if self._going is None or self._going.done():
                self._going = self._pool.submit(self.read)
            going = self._going
        try:
            going.result(self._patience)
        except (LakeError, Late):
            return False
        return True


def _disks(settings: Settings) -> Iterator[Metric]:
    """Room on the disks of the machine that is asked, whatever the store does."""
    free = GaugeMetricFamily("lake_disk_free_bytes", "Bytes free on a disk that lake writes to", labels=("env", "disk"))
    total = GaugeMetricFamily("lake_disk_bytes", "Bytes of that disk", labels=("env", "disk"))
    with contextlib.suppress(LakeError, OSError):
        for disk in disks(settings):
            free.add_metric((settings.env, disk.what), disk.free)
            total.add_metric((settings.env, disk.what), disk.total)
    yield free
    yield total


def _hop_seconds(env: str, tally: Tally) -> Metric:
    family = SummaryMetricFamily("lake_hop_seconds", "Seconds of steps up to their commit, by phase", labels=("env", "table", "phase"))
    for labels, seconds in sorted(tally.seconds.items()):
        family.add_metric((env, *labels), count_value=tally.timed[labels], sum_value=seconds)
    return family


def registry_of(collector: LakeCollector) -> CollectorRegistry:
    """A registry that has the lake's metrics and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def exposition(settings: Settings) -> str:
    """The metrics as Prometheus reads them. Raises LakeError where the store does not answer."""
    return generate_latest(registry_of(LakeCollector(settings, patience=None))).decode()
