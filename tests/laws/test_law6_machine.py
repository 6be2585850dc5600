"""Law 6 by a model: whatever the order of words, corrections, ranges, rows let in late, kills and upkeep, increments end where a full run does.

All ways of writing, with ties, unnumbered words, deletions, rejects on the way to bronze and to silver, and time that moves. After each step the
tables are compared with what `words` makes of all that landed; at the end verification, a replay and full runs must find the same.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lake.backfill import is_done
from lake.contract import PROVENANCE
from lake.execute import execute
from lake.maintain import maintain
from lake.pipeline import Pipeline
from lake.plan import Range, make_plan
from lake.readmit import readmit_files, readmit_rows
from lake.receipts import LANDINGS, RECEIPTS
from lake.release import find_release
from lake.replay import replay
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.settle import leaving
from lake.table import path_of
from lake.verify import verify
from tests.conftest import ROOT, fresh_env
from tests.laws import words
from tests.laws.draws import FULL, told
from tests.laws.killing import Killed, kill
from tests.laws.said import bronze, hops_of, source_at
from tests.laws.words import Row, Rules, Told, Word, bag, ranged
from tests.tiny import last_record

_LEAVING = leaving._WORTH, leaving._SHARE
_START = 1_700_000_000
_SHAPES = ("states", "histories", "log")
_ORACLE: dict[str, Callable[[list[Word], Rules], Told]] = {
    "states": words.states, "histories": words.histories, "log": words.log, "lasts": words.lasts,
}  # fmt: skip
_TIME = {"states": "day", "histories": "valid_from", "log": "day", "lasts": "day"}
_BELONG: dict[str, Callable[[Row], Any]] = {"log": lambda row: row["place"]}

_DAYS = [f"2024-01-0{day}" for day in range(1, 7)]
word = st.tuples(
    st.sampled_from(["ann", "bob", "cyd"]),
    st.sampled_from([*_DAYS, "", "x"]),
    st.sampled_from(["Rome", "Oslo", "Gone", "Hid", "rome", ""]),
    st.sampled_from(["1", "2", "3", ""]),
    st.sampled_from([False, False, True]),
)
some_words = st.lists(word, min_size=1, max_size=5)
bound = st.none() | st.integers(1, 10).map(lambda day: dt.date(2024, 1, day))
death = st.none() | st.tuples(st.integers(1, 14), st.booleans())
Line = tuple[str, str, str, str, bool]
_PLAIN: Line = ("zoe", "2024-01-01", "Oslo", "1", False)


class Increments(RuleBasedStateMachine):
    """One lake of words and what must come of them."""

    home: ClassVar[Path]
    seen: ClassVar[dict[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.settings = load_settings(home=self.home, root=ROOT, env=fresh_env())
        self.upkeep = load_settings(home=self.home, root=ROOT, env=self.settings.env, grace=dt.timedelta(0), retention=dt.timedelta(0))
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name) / "in"
        self.folder.mkdir()
        self.clock, self.files = _START, 0
        self.shape, self.rules, self.policy = "states", Rules(), "strict"
        self.waiting: dict[str, tuple[int, list[Line]]] = {}  # by name: when it was changed, its lines
        self.landed: list[str] = []  # names, by when they landed
        self.words: list[Word] = []  # those in bronze
        self.left_out: list[Word] = []  # those that bronze rejected
        self.current = False  # whether the tables must be what the words come to
        self.due: Rules | None = None  # by which rules the tables were made last; None if not by any one

    # What is done to the lake.

    @contextlib.contextmanager
    def _run(self, chosen: Settings | None = None, death: tuple[int, bool] | None = None) -> Iterator[Run]:
        """A run, which may be killed at one of its writes: that is then seen to, and the run is at its end."""
        with begin_run(chosen or self.settings, "test", "test") as run, contextlib.closing(run.store):
            if death is not None:
                kill(run.store, death[0], after=death[1])
            yield run

    def _count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    def _pipeline(self) -> Pipeline:
        return Pipeline("shop", [source_at(self.folder, self.policy)], hops_of(self.shape, self.rules).values())  # type: ignore[arg-type]

    def _drop(self, name: str, lines: list[Line], *, age: int = 0) -> None:
        """A file of these lines, and of as many that fit, so that it is a table of five columns to whoever reads it."""
        self.clock += 1
        self.files += 1
        lines = [*lines, *([_PLAIN] * (1 + sum(surplus for *_, surplus in lines)))]
        at = self.clock - age
        text = "".join(f"{who},{day},{city},{seq},{self.files}{',more' if surplus else ''}\n" for who, day, city, seq, surplus in lines)
        (self.folder / name).write_text(f"customer,day,city,seq,id\n{text}", "utf-8")
        os.utime(self.folder / name, (at, at))
        self.waiting[name] = (at, lines)

    def _land(self) -> None:
        """What waits has landed, and is in bronze, but for lines that it rejects."""
        for name, (_, lines) in sorted(self.waiting.items(), key=lambda item: (item[1][0], item[0])):
            self.landed.append(name)
            for number, line in enumerate(lines, 1):
                spoken = Word(len(self.landed), number, *line)
                (self.left_out if spoken.surplus and self.policy == "strict" else self.words).append(spoken)
        self.waiting = {}

    def _to_the_end(self, do: Callable[[Run], Any], death: tuple[int, bool] | None = None) -> None:
        """Do it in a run; where that is killed, see what landed, and do it again."""
        if death is not None:
            try:
                with self._run(death=death) as run:
                    do(run)
            except Killed:
                self._count("kills")
                with self._run() as run:
                    self._see_what_landed(run)
            else:
                self._land()
        with self._run() as run:
            do(run)

    def _see_what_landed(self, run: Run) -> None:
        version = run.log(LANDINGS).version()
        there = run.snapshot(LANDINGS, version).scan() if version >= 0 else pl.LazyFrame(schema=RECEIPTS)
        names = there.filter(pl.col("status") == "landed").sort("landed_at").select("name").collect()["name"].to_list()
        if names != self.landed:
            self._land()
            assert names == self.landed, "a landing is whole or not there"

    def _go(self, run: Run) -> None:
        self._pipeline().run(run).raise_failures()

    def _done(self) -> None:
        self._land()
        self.current, self.due = True, self.rules

    # Files.

    @initialize(lines=some_words, shape=st.sampled_from(_SHAPES), by_number=st.booleans(), deletes=st.booleans(), vectors=st.booleans())
    def begin(self, lines: list[Line], shape: str, *, by_number: bool, deletes: bool, vectors: bool) -> None:
        self.shape, self.rules = shape, Rules(by_number=by_number, deletes=deletes)
        leaving._WORTH, leaving._SHARE = (1, 0.7) if vectors else _LEAVING
        self._count(shape)
        self._drop("base.csv", lines)

    @rule(lines=some_words, age=st.integers(0, 3))
    def new_file(self, lines: list[Line], age: int) -> None:
        self._drop(f"{'zyxwvutsrqponmlkjihgfedcba'[self.files % 26]}{self.files}.csv", lines, age=age)

    @rule(lines=some_words, data=st.data())
    def corrected_file(self, lines: list[Line], data: st.DataObject) -> None:
        self._count("corrections")
        self._drop(data.draw(st.sampled_from(sorted(path.name for path in self.folder.iterdir()))), lines)

    # Runs.

    @rule(lines=some_words, dies=death)
    def runs(self, lines: list[Line], dies: tuple[int, bool] | None) -> None:
        self._count("runs")
        self.new_file(lines, 0)
        self._to_the_end(self._go, dies)
        self._done()

    @rule(dies=death)
    def lets_rows_in(self, dies: tuple[int, bool] | None) -> None:
        """Any spelling passes from now on, and what was rejected for it is let in."""
        self._count("rows let in")
        self.rules = replace(self.rules, any_spelling=True)

        def do(run: Run) -> None:
            for one in hops_of(self.shape, self.rules).values():
                if run.log(path_of(one.table.name)).version() >= 0:
                    readmit_rows(run, one)
            self._go(run)

        self._to_the_end(do, dies)
        self._done()

    @rule()
    def is_strict_again(self) -> None:
        self.rules = replace(self.rules, any_spelling=False)

    @rule(dies=death)
    def lets_lines_in(self, dies: tuple[int, bool] | None) -> None:
        """Lines with a field too many are taken in from now on, and those that were rejected, as if they had come when they came."""
        if not self.landed:
            return
        self._count("lines let in")
        self.policy = "evolve"

        def do(run: Run) -> None:
            readmit_files(run, source_at(self.folder, "evolve"))
            self._go(run)

        self._to_the_end(do, dies)
        self.words, self.left_out = [*self.words, *self.left_out], []
        self._done()

    @rule()
    def refuses_lines_again(self) -> None:
        self.policy = "strict"

    # Ranges.

    @rule(start=bound, end=bound, dies=death, data=st.data())
    def makes_a_range_again(self, start: dt.date | None, end: dt.date | None, dies: tuple[int, bool] | None, data: st.DataObject) -> None:
        """By the same code, of some of the tables, while others may be behind."""
        if start is not None and end is not None and start >= end:
            start = None
        if self.due != self.rules:  # rows that are in and fit no more would vanish from a range: that is refused
            self._to_the_end(self._go)
        self._count("ranges")
        chosen = data.draw(st.lists(st.sampled_from(sorted(hops_of(self.shape, self.rules))), unique=True))
        names = [hops_of(self.shape, self.rules)[name].table.name for name in chosen]
        part = Range(str(start) if start else None, str(end) if end else None)
        self._to_the_end(lambda run: self._pipeline().run(run, backfill=part, tables=names).raise_failures(), dies)
        self._to_the_end(self._go)
        self._done()

    @precondition(lambda self: self.landed)
    @rule(start=bound, end=bound, back=st.booleans(), again=st.booleans())
    def makes_a_range_by_other_code(self, start: dt.date | None, end: dt.date | None, *, back: bool, again: bool) -> None:
        """Roman days come three later: what belongs with a row of the range is as that code has it, the rest as it was, and then all is due anew."""
        if start is not None and end is not None and start >= end:
            end = None
        self._to_the_end(self._go)
        self._done()
        with self._run() as run:
            self._count("ranges by other code")
            other = replace(self.rules, shifts=not self.rules.shifts)
            part = Range(str(start) if start else None, str(end) if end else None)
            for name, one in hops_of(self.shape, other).items():
                if name not in _ORACLE:
                    continue
                there, anew = (_ORACLE[name](self.words, rules) for rules in (self.rules, other))
                execute(run, one, backfill=part)
                wanted = ranged(there.rows, anew.rows, _TIME[name], start, end, _BELONG.get(name, lambda row: row["customer"]))
                self._holds(run, one.table.name, wanted)
                assert is_done(run, one, part)
                if again:
                    execute(run, one, backfill=part)
                    self._holds(run, one.table.name, wanted)
                for due in (one, hops_of(self.shape, self.rules)[name]):
                    assert make_plan(run, due).mode == "full"
        self.current, self.due = False, None
        if not back:
            self.rules = other

    @rule(at=st.none() | st.integers(1, 12), after=st.booleans())
    def is_maintained(self, at: int | None, *, after: bool) -> None:
        self._count("upkeep")
        with contextlib.suppress(Killed), self._run(self.upkeep, (at, after) if at else None) as run:
            for _ in maintain(run):
                pass

    # What must hold.

    @invariant()
    def tables_are_what_was_said(self) -> None:
        if self.current:
            with self._run() as run:
                self._is_right(run)
            self.current = False

    def _holds(self, run: Run, name: str, wanted: list[Row]) -> None:
        path = path_of(name)
        frame = run.snapshot(path, run.log(path).version()).scan().select(pl.exclude(*PROVENANCE)).collect()
        found, due = Counter(bag(frame.to_dicts())), Counter(bag(wanted))
        if found != due:
            told = [f"{at} {record.kind} {record.mode} {record.reason}: {record.ledger.line()}" for at, record in run.log(path).records()]
            raise AssertionError(f"{name}: too many {dict(found - due)}, lost {dict(due - found)}; {told}")

    def _wanted(self) -> dict[str, Told]:
        found = {name: _ORACLE[name](self.words, self.rules) for name in hops_of(self.shape, self.rules) if name in _ORACLE}
        if self.shape == "states":
            found |= {"copies": Told(words.copies(found["states"].rows)), "cities": Told(words.cities(found["states"].rows))}
        if self.shape == "histories":
            found |= {"now": Told(words.cities(found["histories"].rows))}
        return found

    def _is_right(self, run: Run) -> None:
        for name, wanted in self._wanted().items():
            one = hops_of(self.shape, self.rules)[name]
            record = last_record(run, one.table)
            self._holds(run, one.table.name, wanted.rows)
            assert record.rejects == wanted.rejects, name
            record.ledger.check(name)
        assert last_record(run, bronze).rejects == len(self.left_out)
        release = find_release(run.store)
        assert release is not None
        for name, pin in release.tables.items():
            assert run.log(path_of(name)).same_rows(pin.version, run.log(path_of(name)).version()), f"{name} is released as it is"

    def teardown(self) -> None:
        """To the end: the proofs agree, and full runs give the same."""
        try:
            if sys.exc_info()[1] is None and self.waiting.keys() | set(self.landed):
                self._ends_well()
        finally:
            leaving._WORTH, leaving._SHARE = _LEAVING
            self.scratch.cleanup()

    def _ends_well(self) -> None:
        self._to_the_end(self._go)
        self._done()
        with self._run() as run:
            self._is_right(run)
            found = [(row["table"], row["verdict"], row["why"]) for row in verify(run, self._pipeline(), share=0.7, seed=self.files)]
            assert [row for row in found if row[1] not in ("equal", "not verified")] == []
            release = find_release(run.store)
            assert release is not None
            assert [(one.table, one.verdict, one.why) for one in replay(run, release, [self._pipeline()]) if one.verdict != "equal"] == []
            for one in self._pipeline().hops.values():
                before = last_record(run, one.table).content
                execute(run, one, full=True)
                assert last_record(run, one.table).content == before, one.table.name
            self._is_right_live(run)

    def _is_right_live(self, run: Run) -> None:
        for name, wanted in self._wanted().items():
            one = hops_of(self.shape, self.rules)[name]
            self._holds(run, one.table.name, wanted.rows)
            for _, record in run.log(path_of(one.table.name)).records():
                record.ledger.check(name)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600 if FULL else 600)
def test_increments_end_where_a_full_run_does(weed_home: Path) -> None:
    """Random histories of every way of writing; `make laws` tells many more and longer ones."""
    Increments.home, Increments.seen = weed_home, {}
    told(lambda: type("Increments", (Increments,), {}), histories=5, steps=8, long=25)
    assert len([shape for shape in _SHAPES if Increments.seen.get(shape)]) > 1, "several shapes of a lake were tried"
    print(Increments.seen)  # noqa: T201  # what the test tried is part of its result
