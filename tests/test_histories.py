"""Histories in which a table could silently be wrong: rows let in late, deleted meanwhile, overtaken, told twice, or under columns that changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from lake.contract import PROVENANCE, Contract
from lake.hop import Hop, changes, hop
from lake.pipeline import Pipeline
from lake.readmit import readmit_files, readmit_rows
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.table import Table, path_of
from tests.orders import Relaxed, Shop, Tightened


@pytest.fixture
def run(weed_settings: Settings) -> Iterator[Run]:
    """A run on an empty lake."""
    with begin_run(weed_settings, "test", "test") as found:
        yield found


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(run, tmp_path / "in")


def _deleting(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", "amount", (pl.col("amount") == "gone").alias("dead"), *PROVENANCE)


class Deleting(Shop):
    """A shop whose files say which orders are gone; nothing but the order of landing says which row is later."""

    @property
    def orders(self) -> Hop:
        """The hop that judges and deletes."""
        return hop(Table("silver.shop.orders", self.contract, max_rejected=0.9), write="merge", deletes="dead", raw=changes(self.bronze))(_deleting)


def test_a_row_let_in_after_its_key_was_deleted_stays_deleted(run: Run, tmp_path: Path) -> None:
    """It takes the place of its landing, and the deletion came later."""
    shop = Deleting(run, tmp_path / "in")
    shop.bring("1.csv", "order,amount\n1,-10\n2,20\n")
    shop.bring("2.csv", "order,amount\n1,gone\n3,30\n")
    shop.contract = Relaxed
    readmit_rows(shop.run, shop.orders)
    shop.flow()
    assert shop.amounts() == {2: 20, 3: 30}
    shop.sound()


def test_a_line_let_in_after_its_key_was_deleted_stays_deleted(run: Run, tmp_path: Path) -> None:
    """The same where bronze had rejected it."""
    shop = Deleting(run, tmp_path / "in")
    shop.bronze = replace(shop.bronze, policy="strict")
    shop.bring("1.csv", "order,amount\n1,10\n2,20,surplus\n")
    shop.bring("2.csv", "order,amount\n2,gone\n3,30\n")
    shop.bronze = replace(shop.bronze, policy="evolve")
    readmit_files(shop.run, shop.source)
    shop.flow()
    assert shop.amounts() == {1: 10, 3: 30}
    shop.sound()


def test_an_overtaken_row_that_breaks_a_new_rule_is_a_reject(shop: Shop) -> None:
    """It is not in the table to be looked at, so everything is recomputed, and the rejects are what a replay finds."""
    shop.bring("1.csv", "order,amount\n1,500\n2,-20\n3,3\n")
    shop.bring("2.csv", "order,amount\n1,50\n")
    shop.contract = Tightened
    assert "overtaken" in readmit_rows(shop.run, shop.orders).reason
    shop.flow()
    assert (shop.amounts(), [row for row, _ in shop.rejects()]) == ({1: 50, 2: -20, 3: 3}, [1])
    shop.sound()


def test_content_that_comes_back_under_its_name_is_there_twice_and_counts_once(shop: Shop) -> None:
    """A, then B, then A again: the last wins, and what A had rejected is let in once."""
    for rows in ("1,-10\n2,20\n", "1,5\n2,21\n", "1,-10\n2,20\n"):
        shop.bring("1.csv", f"order,amount\n{rows}")
    shop.sound()
    shop.contract = Relaxed
    readmit_rows(shop.run, shop.orders)
    shop.flow()
    assert (shop.amounts(), shop.rejects()) == ({1: -10, 2: 20}, [])
    shop.sound()


def test_lines_of_content_that_came_back_are_let_in(shop: Shop) -> None:
    """The same where bronze had rejected a line of A, twice."""
    shop.bronze = replace(shop.bronze, policy="strict")
    for rows in ("1,10\n2,20,x\n", "1,5\n2,21\n", "1,10\n2,20,x\n"):
        shop.bring("1.csv", f"order,amount\n{rows}")
    shop.sound()
    shop.bronze = replace(shop.bronze, policy="evolve")
    readmit_files(shop.run, shop.source)
    shop.flow()
    assert (shop.amounts(), shop.rejects("bronze.shop.orders")) == ({1: 10, 2: 20}, [])
    shop.sound()


def test_a_column_that_was_frozen_and_then_let_in_is_verified_as_it_was(shop: Shop) -> None:
    """The values of the second file stay in `_rescued`: that is what it met."""
    shop.bronze = replace(shop.bronze, policy="freeze")
    shop.bring("1.csv", "order,amount\n1,10\n")
    shop.bring("2.csv", "order,amount,note\n2,20,hi\n")
    shop.bronze = replace(shop.bronze, policy="evolve")
    shop.bring("3.csv", "order,amount,note\n3,30,ho\n")
    shop.sound()


def test_columns_that_become_one_are_read_anew_by_what_follows(shop: Shop) -> None:
    """A row had its amount under another name and was rejected for it; now it has one."""
    shop.bring("1.json", '[{"order":"3","amount":"5","price":null},{"order":"4","amount":null,"price":"7"}]')
    assert shop.amounts() == {3: 5}
    shop.bronze = replace(shop.bronze, renamed_from={"amount": ("price",)})
    shop.flow()
    assert (shop.amounts(), shop.rejects()) == ({3: 5, 4: 7}, [])
    shop.sound()


def test_types_that_widen_twice_are_verified_as_they_were(shop: Shop) -> None:
    """Whole numbers, fractions beside them, text beside those, then a declared type: each file as it was taken in."""
    shop.bring("1.json", '[{"order":1,"amount":10,"w":1},{"order":2,"amount":20,"w":2}]')
    shop.bring("2.json", '[{"order":3,"amount":10,"w":1.5},{"order":4,"amount":20,"w":2.0}]')
    shop.bring("3.json", '[{"order":5,"amount":10,"w":"x"},{"order":6,"amount":20,"w":"2"}]')
    shop.sound()
    shop.bronze = replace(shop.bronze, types={"w": pl.Float64()})
    shop.flow()
    shop.bring("4.json", '[{"order":7,"amount":10,"w":1.25}]')
    path = path_of(shop.bronze.name)
    rows = shop.run.snapshot(path, shop.run.log(path).version()).scan().sort("order").select("w", "_rescued").collect().rows()
    assert rows == [(1.0, None), (2.0, None), (None, '{"w":1.5}'), (2.0, None), (None, '{"w":"x"}'), (2.0, None), (1.25, None)]
    shop.sound()


class Part(Contract):
    """A part of an order."""

    order = dy.Int64(primary_key=True, description="Number")
    part = dy.String(primary_key=True, description="Which")
    amount = dy.Int64(nullable=False, min=0, metadata={"unit": "EUR"}, description="What it costs")


class AnyPart(Contract):
    """A part of an order, or of a refund."""

    order = dy.Int64(primary_key=True, description="Number")
    part = dy.String(primary_key=True, description="Which")
    amount = dy.Int64(nullable=False, min=-100, metadata={"unit": "EUR"}, description="What it costs")


def _parts(raw: pl.LazyFrame) -> pl.LazyFrame:
    split = raw.select("order", pl.col("amount").str.split("/").alias("amount"), *PROVENANCE).explode("amount")
    return split.with_columns(pl.col("amount").alias("part"))


class InParts(Shop):
    """A shop whose rows hold several parts."""

    @property
    def orders(self) -> Hop:
        """The hop that takes them apart."""
        return hop(Table("silver.shop.orders", self.contract, max_rejected=0.9), write=self.write, expands="parts", raw=changes(self.bronze))(_parts)

    @property
    def pipeline(self) -> Pipeline:
        """Without totals."""
        return Pipeline("shop", [self.source], [self.orders])


@pytest.mark.parametrize("write", ["merge", "append"])
def test_parts_of_a_row_that_were_in_stay_there_once(run: Run, tmp_path: Path, write: str) -> None:
    """One part was in, one is let in, one stays rejected: each is told so."""
    shop = InParts(run, tmp_path / "in")
    shop.write, shop.contract = write, Part
    shop.bring("1.csv", "order,amount\n1,10/-5/-500\n2,7\n")
    shop.contract = AnyPart
    readmit_rows(shop.run, shop.orders)
    shop.flow()
    path = path_of("silver.shop.orders")
    there = shop.run.snapshot(path, shop.run.log(path).version()).scan().select("order", "part").sort("order", "part").collect().rows()
    assert there == [(1, "-5"), (1, "10"), (2, "7")]
    assert (len(shop.rejects()), len(shop.rejects(resolved=True))) == (1, 1)
    shop.sound()
