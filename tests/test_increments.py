"""Increments against a full run, by example: what overtakes what, and what a range of a table holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lake.backfill import is_done
from lake.contract import PROVENANCE, Contract
from lake.errors import ContractBroken, DeclarationError
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.pipeline import Pipeline
from lake.plan import Range, make_plan
from lake.readmit import readmit_files, readmit_rows
from lake.replay import replay
from lake.run import Run
from lake.source import Source
from lake.table import Table
from lake.verify import verify
from tests.tiny import last_record, rows_of

bronze = Table("bronze.shop.said")


class Version(Contract):
    """Where a customer lived, and since when."""

    customer = dy.String(primary_key=True, description="Who")
    valid_from = dy.Date(primary_key=True, description="Since when")
    valid_to = dy.Date(nullable=True, description="Until before when")
    is_current = dy.Bool(nullable=False, description="Whether it still is")
    city = dy.String(nullable=True, regex="^[A-Z]", description="Where")
    ver = dy.Int64(nullable=True, metadata={"unit": "events"}, description="Which word on it")


class State(Contract):
    """Where a customer lives."""

    customer = dy.String(primary_key=True, description="Who")
    day = dy.Date(nullable=True, description="Since when")
    city = dy.String(nullable=True, regex="^[A-Z]", description="Where")
    ver = dy.Int64(nullable=True, metadata={"unit": "events"}, description="Which word on it")


class AnyVersion(Version):
    """The same, in any spelling."""

    city = dy.String(nullable=True, description="Where")


class AnyState(State):
    """The same, in any spelling."""

    city = dy.String(nullable=True, description="Where")


def _said(raw: pl.LazyFrame) -> pl.LazyFrame:
    filled = {name: pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("city", "ver", "day")}
    return raw.select("customer", *PROVENANCE, **filled)


def _versions(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _said(raw).rename({"day": "valid_from"})


def _ending(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _said(raw).with_columns((pl.col("city") == "Gone").alias("left"))


def histories(*sequence: str, contract: type[Contract] = Version) -> Hop:
    """The hop that keeps every version."""
    table = Table("silver.shop.histories", contract, sequence=sequence, max_rejected=1.0, time="valid_from")
    return hop(table, write="scd2", raw=changes(bronze))(_versions)


def states(*sequence: str, contract: type[Contract] = State, deletes: bool = False, write: Any = "merge") -> Hop:
    """The hop that keeps the last state; one that says Gone may end it."""
    table = Table("silver.shop.states", contract, sequence=sequence, max_rejected=1.0, time="day")
    return hop(table, write=write, deletes="left" if deletes else None, raw=changes(bronze))(_ending if deletes else _said)


@dataclass
class Lake:
    """A lake with one hop, that files are dropped into."""

    run: Run
    folder: Path
    hop: Hop
    files: int = 0
    table: Table = bronze

    @property
    def source(self) -> Source:
        """Where files come from."""
        return Source(self.table, self.folder, "*.csv")

    def bring(self, *lines: str) -> None:
        """A file of events (customer,day,city,ver), and everything up to date."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{self.files:03}.csv").write_text("customer,day,city,ver\n" + "".join(f"{line}\n" for line in lines), "utf-8")
        self.files += 1
        land(self.run, self.source)
        self.flow()

    def flow(self) -> None:
        """Everything up to date."""
        ingest(self.run, self.source)
        execute(self.run, self.hop)

    def rows(self) -> list[tuple[Any, ...]]:
        """What the table holds, dates as text without the year."""
        names = ["customer", "valid_from", "day", "valid_to", "is_current", "city", "ver"]
        found = [[row[name] for name in names if name in row] for row in rows_of(self.run, self.hop.table)]
        return sorted((tuple(f"{v:%m-%d}" if isinstance(v, dt.date) else v for v in row) for row in found), key=repr)

    def sound(self) -> None:
        """Assert that a full run and the proofs find the same rows, and that each ledger is closed."""
        pipeline = Pipeline("shop", [self.source], [self.hop])
        pipeline.run(self.run).raise_failures()
        assert {one["verdict"] for one in verify(self.run, pipeline, share=1.0, seed=1)} <= {"equal", "not verified"}
        release = pipeline.run(self.run).release
        assert release is not None
        assert [(one.table, one.verdict, one.why) for one in replay(self.run, release, [pipeline]) if one.verdict != "equal"] == []
        rows, content, rejects = self.rows(), last_record(self.run, self.hop.table).content, last_record(self.run, self.hop.table).rejects
        execute(self.run, self.hop, full=True)
        assert (self.rows(), last_record(self.run, self.hop.table).content, last_record(self.run, self.hop.table).rejects) == (rows, content, rejects)


Opened = Callable[[Hop], Lake]


@pytest.fixture
def lake(run: Run, tmp_path: Path) -> Opened:
    """An empty lake for a hop."""
    return lambda one: Lake(run, tmp_path / "in", one)


VIENNA_THEN_GRAZ = [("c", "01-01", "02-01", False, "Wien", 3), ("c", "02-01", None, True, "Graz", 5)]


def test_a_version_that_is_overtaken_as_it_comes_ends_nothing(lake: Opened) -> None:
    """Word 3 on February comes after word 5 on it: Vienna until February, Graz since."""
    there = lake(histories("ver"))
    there.bring("c,2024-01-01,Wien,3")
    there.bring("c,2024-02-01,Graz,5")
    there.bring("c,2024-02-01,Wien,3")
    assert there.rows() == VIENNA_THEN_GRAZ
    assert last_record(there.run, there.hop.table).ledger.superseded == 1
    there.sound()


def test_the_same_in_two_batches(lake: Opened) -> None:
    there = lake(histories("ver"))
    there.bring("c,2024-01-01,Wien,3", "c,2024-02-01,Graz,5")
    there.bring("c,2024-02-01,Wien,3", "c,2024-03-01,Linz,6", "d,2024-01-01,Wien,1")
    assert [row for row in there.rows() if row[0] == "c"] == [
        VIENNA_THEN_GRAZ[0],
        ("c", "02-01", "03-01", False, "Graz", 5),
        ("c", "03-01", None, True, "Linz", 6),
    ]
    there.sound()


def test_a_version_let_in_late_takes_its_place_and_no_more(lake: Opened) -> None:
    """It was rejected for its spelling, and put right by the next file: let in, it is overtaken already."""
    there = lake(histories())
    there.bring("c,2024-01-01,Wien,3", "c,2024-02-01,wien,3")
    there.bring("c,2024-02-01,Graz,5")
    there.hop = histories(contract=AnyVersion)
    readmit_rows(there.run, there.hop)
    assert there.rows() == VIENNA_THEN_GRAZ
    there.sound()


def test_a_version_let_in_late_stands_where_nothing_overtook_it(lake: Opened) -> None:
    """Let in, it ends what was before it, and ends where the next begins."""
    there = lake(histories())
    there.bring("c,2024-01-01,Wien,3", "c,2024-02-01,graz,3")
    there.bring("c,2024-03-01,Linz,5")
    there.hop = histories(contract=AnyVersion)
    readmit_rows(there.run, there.hop)
    assert [row[1:5] for row in there.rows()] == [("01-01", "02-01", False, "Wien"), ("02-01", "03-01", False, "graz"), ("03-01", None, True, "Linz")]
    there.sound()


@pytest.mark.parametrize("sequence", [(), ("ver",)])
@pytest.mark.parametrize("kind", ["merge", "scd2", "deletes"])
def test_a_row_let_in_late_is_overtaken_by_one_that_changed_nothing(lake: Opened, kind: str, sequence: tuple[str, ...]) -> None:
    """Vienna, then a word that is rejected, then Vienna again, which leaves the row as it is: the word, let in, is overtaken by the second Vienna."""

    def declared(contract: type[Contract]) -> Hop:
        return histories(*sequence, contract=contract) if kind == "scd2" else states(*sequence, contract=contract, deletes=kind == "deletes")

    there = lake(declared(Version if kind == "scd2" else State))
    for line in ("c,2024-01-01,Wien,3", "c,2024-01-01,graz,3", "c,2024-01-01,Wien,3\nz,2024-01-01,Ulm,0"):
        there.bring(line)
    there.hop = declared(AnyVersion if kind == "scd2" else AnyState)
    readmit_rows(there.run, there.hop)
    assert [row[-2:] for row in there.rows()] == [("Wien", 3), ("Ulm", 0)]
    there.sound()


@pytest.mark.parametrize("kind", ["merge", "scd2", "deletes"])
def test_a_line_let_in_late_is_overtaken_by_one_that_changed_nothing(lake: Opened, kind: str) -> None:
    """The same where bronze had rejected the word: it comes as an increment, with the time its file landed."""
    there = lake(histories() if kind == "scd2" else states(deletes=kind == "deletes"))
    strict, evolving = replace(bronze, policy="strict"), bronze
    for table, line in (
        (strict, "c,2024-01-01,Wien,3"),
        (strict, "d,2024-01-01,Wien,3\nc,2024-01-01,Graz,3,more"),
        (strict, "c,2024-01-01,Wien,3\nz,2024-01-01,Ulm,0"),
    ):
        there.table = table
        there.bring(line)
    there.table = evolving
    readmit_files(there.run, there.source)
    there.flow()
    assert [row[-2:] for row in there.rows()] == [("Wien", 3), ("Wien", 3), ("Ulm", 0)]
    there.sound()


def test_a_deletion_that_was_let_in_late_is_overtaken(lake: Opened) -> None:
    """Gone, but rejected, then Graz, rejected too: both are let in, and Graz is the later word."""

    class NoGone(State):
        """A state whose word is a number below a hundred."""

        ver = dy.Int64(primary_key=True, max=99, metadata={"unit": "events"}, description="Which word on it")

    class AnyGone(State):
        """The same without a bound."""

        ver = dy.Int64(primary_key=True, metadata={"unit": "events"}, description="Which word on it")

    there = lake(states(contract=NoGone, deletes=True))
    for line in ("c,2024-01-01,Wien,99", "c,2024-01-01,Gone,100", "c,2024-01-02,Graz,100", "c,2024-01-01,Wien,99\nz,2024-01-01,Ulm,0"):
        there.bring(line)
    there.hop = states(contract=AnyGone, deletes=True)
    readmit_rows(there.run, there.hop)
    assert [row[-2:] for row in there.rows()] == [("Wien", 99), ("Graz", 100), ("Ulm", 0)]
    there.sound()


def test_ties_are_told_apart_by_landing(lake: Opened) -> None:
    """Two words with one number: the one that landed last."""
    there = lake(states("ver"))
    for line in ("c,2024-01-01,Wien,3", "c,2024-02-01,Graz,3", "c,2024-01-01,Linz,3", "c,2024-03-01,Rom,", "c,2024-01-01,Graz,2"):
        there.bring(line)
    assert there.rows() == [("c", "01-01", "Linz", 3)]
    there.sound()


def _bare(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _said(raw).drop(PROVENANCE)


@pytest.mark.parametrize("lines", [["Wien", "Graz", "Linz"], ["Linz", "Graz", "Wien"], ["Graz", "Linz", "Wien"]])
def test_ties_that_nothing_tells_apart_come_out_the_same_in_any_order(lake: Opened, lines: list[str]) -> None:
    """Where rows do not say when they landed, increments choose as a full run does, or the hop is refused."""
    table = Table("silver.shop.states", State, sequence=("ver",), max_rejected=1.0, time="day")
    try:
        there = lake(hop(table, write="merge", raw=changes(bronze))(_bare))
        for day, line in enumerate(lines, 1):
            there.bring(f"c,2024-01-0{day},{line},3")
    except (DeclarationError, ContractBroken):
        return
    grown = there.rows()
    execute(there.run, there.hop, backfill=Range("2024-01-01", "2024-01-02"))
    assert there.rows() == grown
    execute(there.run, there.hop, full=True)
    assert there.rows() == grown


def test_rows_that_nothing_orders_are_refused_in_increments_as_in_full(lake: Opened) -> None:
    """Neither a sequence nor where they are from: the second word on a key is no word at all."""
    table = Table("silver.shop.states", State, max_rejected=1.0)

    def told() -> None:
        there = lake(hop(table, write="merge", raw=changes(bronze))(_bare))
        there.bring("c,2024-01-01,Wien,3")
        there.bring("c,2024-01-01,Graz,3")

    with pytest.raises((ContractBroken, DeclarationError)):
        told()


def _ranges(there: Lake, *ranges: tuple[str | None, str | None]) -> None:
    for start, end in ranges:
        execute(there.run, there.hop, backfill=Range(start, end))


@pytest.mark.parametrize("deletes", [False, True])
@pytest.mark.parametrize("write", ["merge", "by_key"])
def test_an_overtaken_row_stays_away_from_its_range(lake: Opened, write: str, *, deletes: bool) -> None:
    """A customer moved in February and again in May: February's range holds nothing of it, whoever asks."""
    one = states("ver", deletes=deletes and write == "merge", write=write)
    if write == "by_key":
        one = hop(one.table, write="by_key", filters="only the last word counts", raw=changes(bronze))(_last_word)
    there = lake(one)
    there.bring("c,2024-02-01,Wien,1", "d,2024-02-01,Wien,1")
    there.bring("c,2024-05-01,Graz,2", "e,2024-05-01,Graz,1")
    before = there.rows()
    for one_range in (("2024-02-01", "2024-03-01"), (None, "2024-03-01"), ("2024-05-01", None), (None, None), ("2025-01-01", "2026-01-01")):
        _ranges(there, one_range)
        assert there.rows() == before, one_range
    assert before == [("c", "05-01", "Graz", 2), ("d", "02-01", "Wien", 1), ("e", "05-01", "Graz", 1)]
    there.sound()


def _last_word(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _said(raw).sort("ver").group_by("customer", maintain_order=True).last().select("customer", "day", "city", "ver", *PROVENANCE)


def _later(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Other code: Graz was said a month too early."""
    said = _said(raw)
    moved = pl.when(pl.col("city") == "Graz").then(pl.col("day").str.to_date().dt.offset_by("1mo")).otherwise(pl.col("day").str.to_date())
    return said.with_columns(day=moved)


@pytest.mark.parametrize("write", ["merge", "append", "replace"])
@pytest.mark.parametrize("order", [("01", "02"), ("02", "01"), ("02",), ("01",)])
def test_rows_that_move_between_ranges_are_neither_lost_nor_doubled(lake: Opened, write: Any, order: tuple[str, ...]) -> None:
    """By other code January's Graz is February's: both months are as a full run has them, whichever is made first."""
    there = lake(hop(states().table, write=write, raw=bronze if write == "replace" else changes(bronze))(_said))
    there.bring("a,2024-01-05,Wien,1", "b,2024-01-06,Graz,1", "c,2024-01-31,Graz,1", "d,2024-02-02,Linz,1", "e,2024-02-03,Graz,1")
    there.hop = hop(there.hop.table, write=write, raw=bronze if write == "replace" else changes(bronze))(_later)
    _ranges(there, *((f"2024-{month}-01", f"2024-0{int(month) + 1}-01") for month in order))
    rows = there.rows()
    assert sorted(row[0] for row in rows) == ["a", "b", "c", "d", "e"]
    if order == ("01",):
        assert [row for row in rows if row[0] == "e"] == [("e", "02-03", "Graz", 1)], "no row of January was or is its"
        assert [row[1] for row in rows if row[0] in "bc"] == ["02-06", "02-29"]
    else:
        assert rows == [("a", "01-05", "Wien", 1), ("b", "02-06", "Graz", 1), ("c", "02-29", "Graz", 1), ("d", "02-02", "Linz", 1), ("e", "03-03", "Graz", 1)]
    assert make_plan(there.run, there.hop).mode == "full"
    there.sound()


def test_a_range_made_by_code_that_is_given_up_is_made_again(lake: Opened) -> None:
    """The old code comes back after a range was made by the new: its rows are not left standing."""
    there = lake(states())
    there.bring("a,2024-01-05,Wien,1", "b,2024-01-06,Graz,1")
    old, before = there.hop, there.rows()
    there.hop = hop(old.table, write="merge", raw=changes(bronze))(_later)
    _ranges(there, ("2024-01-01", "2024-02-01"))
    assert there.rows() != before
    assert is_done(there.run, there.hop, Range("2024-01-01", "2024-02-01"))
    record = last_record(there.run, old.table)
    assert record.code is not None
    assert record.code.mixed
    there.hop = old
    _ranges(there, ("2025-01-01", "2025-02-01"))
    assert not is_done(there.run, there.hop, Range("2024-01-01", "2024-02-01"))
    assert make_plan(there.run, there.hop).reason == "full, because other code made a range of it"
    there.flow()
    assert there.rows() == before
    there.sound()


def test_a_range_of_a_history_is_what_a_full_run_makes_of_it(lake: Opened) -> None:
    """With the same code nothing changes; with other code the histories that touch the range are made anew, to their ends."""
    there = lake(histories("ver"))
    there.bring("c,2024-01-01,Wien,3", "c,2024-02-01,Graz,5", "d,2024-03-01,Linz,1", "e,2024-01-15,Graz,1")
    there.bring("c,2024-02-01,Wien,4", "c,2024-03-01,Graz,6")
    before = there.rows()
    for one_range in (("2024-02-01", "2024-03-01"), (None, "2024-02-01"), ("2024-03-01", None), (None, None)):
        _ranges(there, one_range)
        assert there.rows() == before, one_range

    def without_may(raw: pl.LazyFrame) -> pl.LazyFrame:
        return _versions(raw).with_columns(city=pl.when(pl.col("city") == "Graz").then(pl.lit("Wien")).otherwise(pl.col("city")))

    there.hop = hop(there.hop.table, write="scd2", raw=changes(bronze))(without_may)
    _ranges(there, ("2024-02-01", "2024-03-01"))
    assert [row[1:5] for row in there.rows()] == [
        ("01-01", "02-01", False, "Wien"), ("02-01", "03-01", False, "Wien"), ("03-01", None, True, "Wien"), ("03-01", None, True, "Linz"), ("01-15", None, True, "Graz"),
    ]  # fmt: skip
    there.sound()


def test_deletions_stay_what_they_are_in_a_range(lake: Opened) -> None:
    """Who is gone stays gone, whoever came back stays, and what comes late is still late."""
    there = lake(states("ver", deletes=True))
    there.bring("c,2024-01-01,Wien,1", "d,2024-01-01,Wien,1", "e,2024-02-01,Wien,1")
    there.bring("c,2024-02-01,Gone,2", "d,2024-02-01,Gone,2", "e,2024-02-01,Gone,1")
    there.bring("d,2024-01-05,Graz,3")
    for _ in range(2):
        for one_range in (("2024-01-01", "2024-02-01"), ("2024-02-01", "2024-03-01"), (None, None)):
            _ranges(there, one_range)
            assert there.rows() == [("d", "01-05", "Graz", 3)], one_range
    there.bring("c,2024-01-07,Rom,1", "e,2024-01-08,Rom,2")
    assert there.rows() == [("d", "01-05", "Graz", 3), ("e", "01-08", "Rom", 2)]
    there.sound()


def test_rejects_of_a_range_are_let_in_by_it_once(lake: Opened) -> None:
    """A range made by a contract that lets rows pass takes them out of quarantine; rejects of other times stay there."""
    there = lake(states())
    there.bring("a,2024-01-05,wien,1", "b,2024-01-06,Graz,1", "c,2024-02-05,linz,1")
    _ranges(there, ("2024-01-01", "2024-02-01"))
    assert (there.rows(), last_record(there.run, there.hop.table).rejects) == ([("b", "01-06", "Graz", 1)], 2)
    there.hop = states(contract=AnyState)
    _ranges(there, ("2024-01-01", "2024-02-01"))
    assert (there.rows(), last_record(there.run, there.hop.table).rejects) == ([("a", "01-05", "wien", 1), ("b", "01-06", "Graz", 1)], 1)
    there.sound()
    assert (len(there.rows()), last_record(there.run, there.hop.table).rejects) == (3, 0)


def test_a_range_does_not_fit_a_table_of_other_columns(lake: Opened) -> None:
    """Rows beside it would have none of the new column."""

    class Wider(State):
        """A state with a street."""

        street = dy.String(nullable=False, description="Which street")

    there = lake(states())
    there.bring("a,2024-01-05,Wien,1")
    table = replace(there.hop.table, contract=Wider)
    there.hop = hop(table, write="merge", raw=changes(bronze))(lambda raw: _said(raw).with_columns(street=pl.lit("Ring")))
    with pytest.raises(DeclarationError, match=r"other columns.*street.*--full"):
        _ranges(there, ("2024-01-01", "2024-02-01"))


def test_what_came_since_the_last_run_is_not_summed_up_as_if_it_were_all(lake: Opened) -> None:
    """Each run would put the sum of its own rows in place of the sum of all."""

    class Count(Contract):
        """How many words there are on a customer."""

        customer = dy.String(primary_key=True, description="Who")
        words = dy.Int64(nullable=False, metadata={"unit": "words"}, description="How many")

    def counted(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.group_by("customer").agg(pl.len().cast(pl.Int64).alias("words"))

    table = Table("silver.shop.counts", Count, max_rejected=1.0)
    for write in ("merge", "append"):
        there = lake(hop(table, write=write, counts="words", raw=changes(bronze))(counted))
        with pytest.raises(DeclarationError, match=r"sums up changes of bronze\.shop\.said.*by_key"):
            there.bring(f"{write},2024-01-01,Wien,3")
    there = lake(hop(table, write="by_key", counts="words", raw=changes(bronze))(counted))
    there.files = 7
    for _ in range(2):
        there.bring("c,2024-01-01,Wien,3", f"d,2024-01-01,Wien,{there.files}")
    assert [row["words"] for row in rows_of(there.run, table) if row["customer"] in "cd"] == [2, 2]


@pytest.mark.parametrize("kind", ["merge", "deletes", "by_key"])
def test_what_follows_a_table_whose_rows_change_follows_them_back(lake: Opened, run: Run, kind: str) -> None:
    """The states go by landing, so a number may fall: a table made from their changes has what they have, whatever it had, and whoever it took for gone."""
    upstream = states()
    table = Table("silver.shop.followed", State, sequence=("ver",), max_rejected=1.0)

    def followed(states: pl.LazyFrame) -> pl.LazyFrame:
        return states.with_columns(left=pl.col("city").eq_missing("Gone")) if kind == "deletes" else states

    deletes = "left" if kind == "deletes" else None
    one = hop(table, write="by_key" if kind == "by_key" else "merge", deletes=deletes, states=changes(upstream.table))(followed)
    there = lake(upstream)
    wanted: list[list[int | None]] = []
    for line in ("c,2024-01-01,Wien,5", "c,2024-01-01,Gone,6", "c,2024-01-02,Graz,3", "c,2024-01-03,Linz,", "c,2024-01-04,Graz,4"):
        there.bring(line, f"d,2024-01-01,Ulm,{there.files}")
        execute(run, one)
        gone = kind == "deletes" and "Gone" in line
        wanted = [] if gone else [[int(line.split(",")[3]) if line.split(",")[3] else None]]
        assert [[row["ver"]] for row in rows_of(run, table) if row["customer"] == "c"] == wanted, line
    grown = rows_of(run, table)
    execute(run, one, full=True)
    assert rows_of(run, table) == grown


def test_a_table_is_not_replaced_by_what_came_since() -> None:
    """It would hold another part of the rows after each run: refused where it is declared."""
    with pytest.raises(DeclarationError, match=r"reads changes.*snapshot"):
        hop(states().table, raw=changes(bronze))(_said)


def test_a_file_that_was_asked_for_twice_is_read_again_once(lake: Opened) -> None:
    """A readmission was killed once its receipts were there, and done again: the line that was left out is in bronze once."""
    there = lake(states())
    there.table = replace(bronze, policy="strict")
    there.bring("a,2024-01-01,Wien,3", "b,2024-01-01,Graz,3,more", "c,2024-01-01,Linz,3")
    there.table = bronze
    for _ in range(2):
        readmit_files(there.run, there.source)
    there.flow()
    assert [row["customer"] for row in rows_of(there.run, bronze)] == ["a", "b", "c"]
    assert last_record(there.run, bronze).rejects == 0
    there.sound()
