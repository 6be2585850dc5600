"""What the store is asked, counted at the wire, whoever asks: lake itself, delta-rs or Polars. Fixed small numbers, however long the history and the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lake.consumers import mark
from lake.delta import open_snapshot
from lake.execute import execute
from lake.ingest import ingest
from lake.landed import Landed
from lake.landing import land
from lake.log import TableLog
from lake.plan import make_plan
from lake.receipts import LANDINGS
from lake.release import find_release, publish_release
from lake.run import Run, run_that_reads
from lake.settings import Settings
from lake.source import Source
from lake.store import Store, open_store
from lake.table import Table, path_of
from tests.faults.fault import Fault
from tests.faults.project import proxied
from tests.faults.proxy import Proxy
from tests.tiny import clean_orders, orders, source_at, sum_orders, write_orders

EARLY, LATE = 25, 65
"""Deliveries, as far behind a checkpoint (every 20 versions)."""
PATH = path_of(orders.name)


@dataclass
class Wire:
    """A lake behind a proxy that counts, and how many deliveries it had."""

    settings: Settings
    store: Store
    proxy: Proxy
    folder: Path
    deliveries: int = 0

    def run(self) -> Run:
        """A run that has looked nothing up."""
        return run_that_reads(self.settings, Store(self.store.bucket, self.store.prefix, self.store.options), "test")

    def deliver(self, until: int) -> None:
        """Deliveries of one order each, carried to gold and released, until there were so many."""
        while self.deliveries < until:
            self.step("land")
            self.step("ingest")
            self.step("merge")
            self.step("sum")

    def step(self, kind: str) -> None:
        """One step of a delivery, by a run of its own."""
        run = self.run()
        if kind == "land":
            self.deliveries += 1
            write_orders(self.folder, f"{self.deliveries}.csv", [(self.deliveries, "ann", "1.00", "2024-01-01")])
            land(run, source_at(self.folder))
        elif kind == "ingest":
            ingest(run, source_at(self.folder))
        else:
            publish_release(run.store, run.info, [execute(run, clean_orders if kind == "merge" else sum_orders)])

    def asked(self, work: Callable[[], object]) -> int:
        """How many requests the work takes."""
        self.proxy.arm(Fault())
        work()
        return len(self.proxy.requests)


@pytest.fixture(scope="module")
def figures(weed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[int]]]:
    """Requests by what was done, after few deliveries and after many."""
    from lake.settings import load_settings
    from tests.conftest import ROOT, fresh_env

    settings = load_settings(home=weed_home, root=ROOT, env=fresh_env())
    opened = open_store(settings)
    with proxied(opened.endpoint) as proxy:
        store = Store(opened.bucket, opened.prefix, opened.options | {"aws_endpoint": proxy.endpoint})
        wire = Wire(settings, store, proxy, tmp_path_factory.mktemp("orders"))
        found: dict[str, list[int]] = {}
        for until in (EARLY, LATE):
            wire.deliver(until)
            run, version = wire.run(), TableLog(store, PATH).version()
            now = {
                "the newest version": wire.asked(lambda: TableLog(store, PATH).version()),
                "the last record": wire.asked(lambda: TableLog(store, PATH).last_record()),
                "opening a table": wire.asked(lambda version=version: open_snapshot(store, PATH, version)),  # type: ignore[misc]
                "opening it again": wire.asked(lambda run=run, version=version: [run.snapshot(PATH, version) for _ in range(5)]),  # type: ignore[misc]
                "planning, nothing new": wire.asked(lambda: make_plan(wire.run(), clean_orders)),
                "planning a snapshot, nothing new": wire.asked(lambda: make_plan(wire.run(), sum_orders)),
                "landing, nothing new": wire.asked(lambda: land(wire.run(), source_at(wire.folder))),
                "ingesting, nothing new": wire.asked(lambda: ingest(wire.run(), source_at(wire.folder))),
                "the release": wire.asked(lambda: find_release(store)),
                "landing a file": wire.asked(lambda: wire.step("land")),
                "ingesting a file": wire.asked(lambda: wire.step("ingest")),
                "a merge": wire.asked(lambda: wire.step("merge")),
            }
            wire.step("sum")
            for what, count in now.items():
                found.setdefault(what, []).append(count)
        yield found
    opened.close()


BOUNDS = {
    "the newest version": 2, "the last record": 3, "opening a table": 7, "opening it again": 7, "planning, nothing new": 8, "planning a snapshot, nothing new": 7,
    "landing, nothing new": 20, "ingesting, nothing new": 6, "the release": 2, "landing a file": 28, "ingesting a file": 20, "a merge": 26,
}  # fmt: skip
"""Landing looks new files up in the receipts, a table of at most eight small files and few large ones."""


@pytest.mark.parametrize("what", BOUNDS)
def test_what_is_asked_is_little_and_does_not_grow(what: str, figures: dict[str, list[int]]) -> None:
    """After sixty-five deliveries as many requests as after twenty-five, and no more than it may be."""
    early, late = figures[what]
    assert late <= early + 1, figures
    assert late <= BOUNDS[what], figures


def test_putting_receipts_together_reads_no_history(weed_settings: Settings, tmp_path: Path) -> None:
    """The landing that puts receipts together reads the small files that there are, and of the log no more than every landing does."""
    opened = open_store(weed_settings)
    with proxied(opened.endpoint) as proxy:
        store = Store(opened.bucket, opened.prefix, opened.options | {"aws_endpoint": proxy.endpoint})
        wire = Wire(weed_settings, store, proxy, tmp_path)
        for version in (31, 111):  # the next ones are a multiple of 16
            while TableLog(store, LANDINGS).version() < version:
                wire.step("land")
            wire.asked(lambda: wire.step("land"))
            commits = [request for request in proxy.requests if request.method == "GET" and "/_delta_log/0" in request.path]
            assert len(commits) <= 20
            assert len(proxy.requests) <= 75
    opened.close()


def test_the_sources_of_a_run_share_a_look_at_the_receipts(weed_settings: Settings, tmp_path: Path) -> None:
    """A run that lands eight sources reads the receipts that were there once, as one that lands two, and knows all the same what it has."""
    opened = open_store(weed_settings)
    with proxied(opened.endpoint) as proxy:
        store = Store(opened.bucket, opened.prefix, opened.options | {"aws_endpoint": proxy.endpoint})
        wire = Wire(weed_settings, store, proxy, tmp_path)
        folders = [tmp_path / f"shop-{number}" for number in range(8)]

        def deliver(name: str, count: int) -> list[Landed]:
            run = wire.run()
            for number, folder in enumerate(folders[:count]):
                write_orders(folder, f"{name}.csv", [(number, name, "1.00", "2024-01-01")])
            return [land(run, Source(Table(f"bronze.shop{number}.orders"), folder, "*.csv")) for number, folder in enumerate(folders[:count])]

        def asked(name: str, count: int) -> int:
            there = {file.path for file in open_snapshot(store, LANDINGS, TableLog(store, LANDINGS).version()).files}
            wire.asked(lambda: deliver(name, count))
            return len([request for request in proxy.requests if any(path in request.path for path in there)])

        for name in ("first", "second"):
            deliver(name, 8)
        deliver("third", 1)  # which puts the receipts of all into one file
        few, many = asked("fourth", 2), asked("fifth", 8)
        assert 0 < many <= few + 3, (few, many)  # those of the fourth are files of their own
        assert not any(landed.new for landed in deliver("fifth", 8))
    opened.close()


def test_a_commit_is_one_request(weed_settings: Settings, tmp_path: Path) -> None:
    """Publishing is one conditional put; what it reads is marked once, when it first reads it."""
    opened = open_store(weed_settings)
    with proxied(opened.endpoint) as proxy:
        store = Store(opened.bucket, opened.prefix, opened.options | {"aws_endpoint": proxy.endpoint})
        wire = Wire(weed_settings, store, proxy, tmp_path)
        wire.deliver(2)
        proxy.arm(Fault())
        wire.step("land")
        wire.step("ingest")
        wire.step("merge")
        commits = [request for request in proxy.writes if f"{PATH}/_delta_log/" in request.path]
        assert len(commits) == 1
        assert not [request for request in proxy.writes if "/system/consumers/" in request.path]
        assert wire.asked(lambda: mark(store, orders.name, [])) == 0
    opened.close()
