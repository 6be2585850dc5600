"""The whole lake against a plain model: any order of files, runs, ranges, crashes, races, code changes, rollbacks and upkeep, compared after each step."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from lake.contract import PROVENANCE, RESCUED
from lake.delta import open_snapshot
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.maintain import maintain
from lake.pipeline import Pipeline
from lake.plan import Range
from lake.receipts import LANDINGS
from lake.release import Release, find_release, numbers, read_release, resume, rollback
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.settle import leaving
from lake.store import Store
from lake.table import path_of
from tests.conftest import ROOT, fresh_env
from tests.laws.killing import Killed, kill
from tests.laws.prices import keep_prices, orders, prices, prices_of
from tests.tiny import bronze_orders, clean, last_record, source_at, sum_orders, total, totals

_FULL = os.environ.get("LAKE_LAWS") == "full"
_BUDGET = settings(
    max_examples=60 if _FULL else 14,
    stateful_step_count=30 if _FULL else 14,
    phases=[Phase.generate, Phase.shrink] if _FULL else [Phase.generate],  # making a failure small takes minutes
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_TABLES = (bronze_orders, orders, prices, totals)
_LEAVING = leaving._WORTH, leaving._SHARE
_START = 1_700_000_000  # when the first file was changed, in seconds since 1970


def _shout(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders as they come, their customers in capitals: test orders are none any more."""
    return raw.select("order", pl.col("customer").str.to_uppercase(), "amount", "day", *PROVENANCE)


_CLEAN: dict[str, Hop] = {name: hop(orders, write="merge", raw=changes(bronze_orders))(code) for name, code in (("plain", clean), ("shout", _shout))}
_SUM: dict[str, Hop] = {"replace": sum_orders, "by_key": hop(totals, write="by_key", counts="orders", orders=changes(orders))(total)}

Content = tuple[Any, ...]
row = st.tuples(st.integers(1, 6), st.sampled_from(["ann", "bob", "cyd", "test"]), st.sampled_from(["1.00", "2.50", "0.10", "-1.00", "x"]), st.integers(1, 3))
some_rows = st.lists(row, min_size=1, max_size=5)
Rows = list[tuple[int, str, str, int]]


def _text(rows: Rows, *, wide: bool = False) -> str:
    """A file of orders, with a column more if `wide`."""
    lines = [f"{order},{customer},{amount},2024-01-0{day}" for order, customer, amount, day in rows]
    return (
        "\n".join(["order,customer,amount,day,note", *(f"{line},n{i}" for i, line in enumerate(lines))] if wide else ["order,customer,amount,day", *lines])
        + "\n"
    )


@dataclass
class _Model:
    """What the lake must hold: files in the folder as (time of change, text), receipts as (name, hash, status), landed texts in their order.

    A text that goes on from what its file was before brings its new lines alone. `texts` are those met, by their hash.
    """

    folder: dict[str, tuple[int, str]] = field(default_factory=dict)
    receipts: list[tuple[str, str, str]] = field(default_factory=list)
    landed: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    code: str = "plain"
    held: bool = False

    def after_landing(self) -> tuple[list[tuple[str, str, str]], list[str]]:
        """The receipts and landed texts after the folder landed."""
        receipts, landed = list(self.receipts), list(self.landed)
        copies: list[tuple[str, str, str]] = []  # their receipts follow those of the other files that land with them
        last = {name: sha for name, sha, _ in receipts}
        met = {sha for _, sha, _ in receipts}
        for name, (_, text) in sorted(self.folder.items(), key=lambda item: (item[1][0], item[0])):
            sha = hashlib.sha256(text.encode()).hexdigest()
            if last.get(name) == sha:
                continue
            copy = name not in last and sha in met
            (copies if copy else receipts).append((name, sha, "duplicate" if copy else "landed"))
            met.add(sha)
            self.texts[sha] = text
            before = self.texts.get(last.get(name, ""), "")
            if not copy:
                head = text.partition("\n")[0]
                landed.append(f"{head}\n{text[len(before) :]}" if before and text.startswith(before) else text)
        return receipts + copies, landed

    def tables(self) -> dict[str, Content]:
        """The rows of each table once everything landed was worked through; of bronze its columns too."""
        wide = any(",note" in text for text in self.landed)
        raw = [line.split(",") for text in self.landed for line in text.splitlines()[1:]]
        bronze = [(*line, *([None] if wide and len(line) == 4 else [])) for line in raw]  # noqa: PLR2004  # columns
        states = {int(line[0]): (self._customer(line), Decimal(line[2]), dt.date.fromisoformat(line[3])) for line in raw if self._fits(line)}
        sums: dict[str, tuple[int, Decimal]] = {}
        for customer, amount, _ in states.values():
            count, together = sums.get(customer, (0, Decimal(0)))
            sums[customer] = count + 1, together + amount
        columns = ["amount", "customer", "day", *(["note"] if wide else []), "order"]
        silver = tuple(sorted((order, *state) for order, state in states.items()))
        return {
            bronze_orders.name: (columns, *sorted(bronze, key=repr)),
            orders.name: silver,
            prices.name: prices_of(raw),
            totals.name: tuple(sorted((customer, *both) for customer, both in sums.items())),
        }

    def rejects(self) -> int:
        """Rows that break the contract, each as often as it came."""
        return sum(not self._fits(line.split(",")) for text in self.landed for line in text.splitlines()[1:])

    def _customer(self, line: list[str]) -> str:
        return line[1].upper() if self.code == "shout" else line[1]

    def _fits(self, line: list[str]) -> bool:
        return self._customer(line) != "test" and line[2] not in ("x", "-1.00")


def _content(store: Store, table: str, version: int) -> Content:
    """All rows of one version, read to the end; of bronze its columns too."""
    frame = open_snapshot(store, path_of(table), version).scan().select(pl.exclude(*PROVENANCE, RESCUED)).collect()
    if table != bronze_orders.name:
        return tuple(sorted(frame.rows()))
    first = ["order", "customer", "amount", "day"]
    return sorted(frame.columns), *sorted(frame.select(*first, pl.exclude(*first)).rows(), key=repr)


class Machine(RuleBasedStateMachine):
    """One lake and its model, side by side."""

    home: ClassVar[Path]
    seen: ClassVar[dict[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.model = _Model()
        self.settings = load_settings(home=self.home, root=ROOT, env=fresh_env())
        self.upkeep = load_settings(home=self.home, root=ROOT, env=self.settings.env, grace=dt.timedelta(0), retention=dt.timedelta(0))
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name) / "in"
        self.folder.mkdir()
        self.clock = _START
        self.sum = "replace"
        self.releases: dict[int, tuple[Release, dict[str, Content]]] = {}
        self.expected: dict[str, Content] | None = None  # what a release made in this step must hold; None: there must be none
        self.current = False  # whether the newest release must hold that, and the live tables too
        self.touched = False  # whether this step spoke to the lake at all

    # What is done to the lake.

    @contextlib.contextmanager
    def _run(self, chosen: Settings | None = None) -> Iterator[Run]:
        with begin_run(chosen or self.settings, "test", "test") as run, contextlib.closing(run.store):
            yield run

    def _pipeline(self) -> Pipeline:
        return Pipeline("shop", [source_at(self.folder)], [_CLEAN[self.model.code], keep_prices, _SUM[self.sum]])

    def _go(self, run: Run) -> None:
        self._pipeline().run(run).raise_failures()

    def _count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    def _drop(self, name: str, text: str, *, age: int = 0) -> None:
        """Write a file that was changed just now, or `age` seconds before the newest."""
        self.clock += 1
        at = self.clock - age
        (self.folder / name).write_text(text, "utf-8")
        os.utime(self.folder / name, (at, at))
        self.model.folder[name] = (at, text)

    def _fresh_name(self) -> str:
        return f"{'zyxwvutsrqponmlkjihgfedcba'[len(self.model.folder) % 26]}{len(self.model.folder)}.csv"

    def _done(self) -> None:
        """A run went to the end: everything landed, everything is worked through and, unless held, released."""
        self.model.receipts, self.model.landed = self.model.after_landing()
        self.expected, self.current, self.touched = (None if self.model.held else self.model.tables()), True, True

    def _perhaps(self) -> None:
        """A run was killed: the files landed all or not at all, and what was released, if anything, is what would have been."""
        after = self.model.after_landing()
        with self._run() as run:
            receipts = self._receipts(run)
        assert receipts in (self.model.receipts, after[0]), "a landing is whole or not there"
        if receipts == after[0]:
            self.model.receipts, self.model.landed = after
        self.expected, self.touched = (None if self.model.held else self.model.tables()), True

    def _receipts(self, run: Run) -> list[tuple[str, str, str]]:
        version = run.log(LANDINGS).version()
        return run.snapshot(LANDINGS, version).scan().sort("landed_at").select("name", "sha256", "status").collect().rows() if version >= 0 else []

    # Files.

    @initialize(rows=some_rows, way=st.sampled_from(sorted(_SUM)), vectors=st.booleans())
    def begin(self, rows: Rows, way: str, *, vectors: bool) -> None:
        self.sum = way
        leaving._WORTH, leaving._SHARE = (1, 0.7) if vectors else _LEAVING
        self._drop("base.csv", _text([(9, "ann", "1.00", 1), *rows]))

    @rule(rows=some_rows, age=st.integers(0, 3))
    def new_file(self, rows: Rows, age: int) -> None:
        self._drop(self._fresh_name(), _text(rows), age=age)

    @rule(rows=some_rows, wide=st.booleans())
    def new_column(self, rows: Rows, *, wide: bool) -> None:
        self._count("wide files")
        self._drop(self._fresh_name(), _text(rows, wide=True))
        if wide:
            self._drop(self._fresh_name(), _text(rows[::-1]))

    @rule(rows=some_rows, data=st.data())
    def corrected_file(self, rows: Rows, data: st.DataObject) -> None:
        names = sorted(self.model.folder.keys() - {"base.csv"}) or ["base.csv"]
        self._count("corrections")
        self._drop(data.draw(st.sampled_from(names)), _text([(9, "ann", "2.50", 2), *rows]))

    @rule(data=st.data(), kind=st.sampled_from(["again", "copy", "header", "empty", "shuffled"]))
    def odd_file(self, data: st.DataObject, kind: str) -> None:
        self._count(kind)
        name = data.draw(st.sampled_from(sorted(self.model.folder)))
        text = self.model.folder[name][1]
        if kind == "again":
            self._drop(name, text)
        elif kind == "copy":
            self._drop(self._fresh_name(), text)
        elif kind == "header":
            self._drop(self._fresh_name(), _text([]))
        elif kind == "empty":
            self._drop(self._fresh_name(), "")
        else:
            head, *lines = text.splitlines() or [""]
            self._drop(self._fresh_name(), "".join(f"{line}\n" for line in [head, *lines[::-1]] if line))

    # Runs.

    @rule()
    def runs(self) -> None:
        self._count("runs")
        with self._run() as run:
            self._go(run)
        self._done()

    @rule(rows=some_rows, at=st.integers(1, 12), after=st.booleans())
    def crashes(self, rows: Rows, at: int, *, after: bool) -> None:
        """A run that has something to do is killed at one of its writes, before or after it."""
        self._drop(self._fresh_name(), _text(rows))
        with self._run() as run:
            kill(run.store, at, after=after)
            try:
                self._go(run)
            except Killed:
                self._count("crashes")
                self._perhaps()
            else:
                self._done()

    @rule(rows=some_rows, at=st.none() | st.integers(1, 12), after=st.booleans())
    def two_run_at_once(self, rows: Rows, at: int | None, *, after: bool) -> None:
        """Two runs at once, one of which may be killed; the other ends as if it were alone."""
        self._drop(self._fresh_name(), _text(rows))
        self._count("races")
        failed: list[BaseException] = []

        def go(number: int) -> None:
            try:
                with self._run() as run:
                    if number and at:
                        kill(run.store, at, after=after)
                    self._go(run)
            except Killed:
                self._count("crashes in races")
            except BaseException as error:  # noqa: BLE001  # told to the test's own thread
                failed.append(error)

        both = [threading.Thread(target=go, args=(number,)) for number in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        if failed:
            raise failed[0]
        self._done()

    @rule(first=st.integers(1, 3), days=st.integers(1, 3), at=st.none() | st.integers(1, 8), after=st.booleans())
    def makes_a_range_again(self, first: int, days: int, at: int | None, *, after: bool) -> None:
        """Some days of orders and of prices are made again by the code as it is, and are as they were; perhaps the run is killed over it."""
        self.runs()
        self.all_is_as_it_must_be()
        self._count("ranges")
        part = Range(f"2024-01-0{first}", f"2024-01-0{first + days}")
        with self._run() as run:
            if at:
                kill(run.store, at, after=after)
            try:
                self._pipeline().run(run, backfill=part, tables=[orders.name, prices.name]).raise_failures()
            except Killed:
                self._count("crashes in ranges")
                self._perhaps()
            else:
                self._done()

    @rule()
    def code_changes(self) -> None:
        self.model.code = "shout" if self.model.code == "plain" else "plain"

    # Releases and upkeep.

    @precondition(lambda self: len(self.releases) > 1)
    @rule(data=st.data())
    def rolls_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.releases)))
        wanted, content = self.releases[number]
        newest = self.releases[max(self.releases)][0]
        with self._run() as run:
            made = rollback(run.store, run.info, number)
        self._count("rollbacks")
        self.touched = True
        if wanted.tables == newest.tables:
            assert made == newest
            return
        assert (made.number, made.restores, list(made.held)) == (newest.number + 1, number, ["shop"])
        self.model.held, self.expected = True, content

    @precondition(lambda self: self.model.held)
    @rule()
    def resumes(self) -> None:
        with self._run() as run:
            made = resume(run.store, run.info)
        self._count("resumes")
        assert not made.held
        self.model.held, self.touched, self.expected = False, True, self.releases[max(self.releases)][1]

    @rule(at=st.none() | st.integers(1, 12), after=st.booleans())
    def is_maintained(self, at: int | None, *, after: bool) -> None:
        """Everything that nothing needs is removed; perhaps the upkeep is killed over it."""
        self._count("upkeep")
        with self._run(self.upkeep) as run:
            if at:
                kill(run.store, at, after=after)
            try:
                for _ in maintain(run):
                    pass
            except Killed:
                self._count("crashes in upkeep")
        self.touched = True

    # What must hold.

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        if not self.touched:
            return
        with self._run() as run:
            self._releases_are_right(run)
            if self.current:
                self._live_is_right(run)
            self._ledgers_balance(run)
        self.expected, self.current, self.touched = None, False, False

    def _releases_are_right(self, run: Run) -> None:
        found = numbers(run.store)
        assert found == list(range(1, len(found) + 1))
        read: dict[tuple[str, int], Content] = {}

        def content(release: Release) -> dict[str, Content]:
            for name, pin in release.tables.items():
                if (name, pin.version) not in read:
                    read[name, pin.version] = _content(run.store, name, pin.version)
                assert pin.rows == len(read[name, pin.version]) - (name == bronze_orders.name)
            return {name: read[name, pin.version] for name, pin in release.tables.items()}

        for number in found:
            release = read_release(run.store, number)
            holds = content(release)
            if number in self.releases:
                assert (release, holds) == self.releases[number], f"release {number} changed"
                continue
            assert self.expected is not None, f"release {number} came from nowhere"
            assert holds == self.expected
            self._agrees(run, release)
            self.releases[number] = release, holds
        if self.current and self.expected is not None:
            newest = find_release(run.store)
            assert newest is not None
            assert self.releases[newest.number][1] == self.expected
        if self.releases:
            assert bool(self.releases[max(self.releases)][0].held) == self.model.held

    def _agrees(self, run: Run, release: Release) -> None:
        """Each pinned table was made from the very rows of the others that are pinned."""
        for name, pin in release.tables.items():
            last = run.log(path_of(name)).last_record(until=pin.version)
            assert last is not None
            for given in last[1].inputs:
                if given.table in release.tables:
                    assert run.log(path_of(given.table)).same_rows(given.end, release.tables[given.table].version), f"{name} read another {given.table}"

    def _live_is_right(self, run: Run) -> None:
        wanted = self.model.tables()
        self._count("tables that rows left" if any(self._left(run, table.name) for table in _TABLES) else "tables written whole")
        assert self._receipts(run) == self.model.receipts
        for table in _TABLES:
            assert _content(run.store, table.name, run.log(path_of(table.name)).version()) == wanted[table.name], table.name
        record = last_record(run, orders)
        assert record.rejects == self.model.rejects()
        if record.quarantine and record.quarantine["version"] >= 0:
            kept = open_snapshot(run.store, f"quarantine/{path_of(orders.name)}", record.quarantine["version"])
            assert kept.scan().collect()["resolved_at"].null_count() == self.model.rejects(), "those of rows that other code let pass stay, as resolved"
        assert last_record(run, bronze_orders).rejects == 0, "every file can be read; one without bytes has no records"

    def _ledgers_balance(self, run: Run) -> None:
        for path in (LANDINGS, *(path_of(table.name) for table in _TABLES)):
            for _, record in run.log(path).records():
                record.ledger.check(path)

    def teardown(self) -> None:
        """To the end: the live tables are the model's, and a recomputation from everything gives the same."""
        try:
            if sys.exc_info()[1] is None and self.model.folder:
                self._ends_well()
        finally:
            leaving._WORTH, leaving._SHARE = _LEAVING
            self.scratch.cleanup()

    def _left(self, run: Run, table: str) -> bool:
        """Whether rows left files of the newest version that stay in it."""
        path = path_of(table)
        return any(file.vector is not None for file in run.snapshot(path, run.log(path).version()).files)

    def _ends_well(self) -> None:
        with self._run() as run:
            if self.model.held:
                resume(run.store, run.info)
                self.model.held, self.expected, self.touched = False, self.releases[max(self.releases)][1], True
        self.all_is_as_it_must_be()
        self.runs()
        self.all_is_as_it_must_be()
        with self._run() as run:
            for one in self._pipeline().hops.values():
                before = last_record(run, one.table).content
                execute(run, one, full=True)
                assert last_record(run, one.table).content == before
            self._live_is_right(run)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600 if _FULL else 600)
def test_whatever_happens_the_lake_is_its_model(weed_home: Path) -> None:
    """Random histories of a small lake, each step compared with the model: LAKE_LAWS=full tells many more and longer ones."""
    Machine.home, Machine.seen = weed_home, {}
    run_state_machine_as_test(Machine, settings=_BUDGET)
    assert Machine.seen["tables that rows left"], "files that rows left are among what was tried"

    print(Machine.seen)  # noqa: T201  # what the test tried is part of its result
