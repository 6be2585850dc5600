"""A shop of orders in small: files, the orders judged, their total; each declared as a test wants it, and proved sound afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from lake.catalog import Catalog
from lake.contract import PROVENANCE, Contract
from lake.hop import Hop, changes, hop
from lake.pipeline import Pipeline
from lake.reading.hints import Hints
from lake.release import find_release
from lake.replay import replay
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of
from lake.verify import verify


class Order(Contract):
    """An order."""

    order = dy.Int64(primary_key=True, description="Number")
    amount = dy.Int64(nullable=False, min=0, metadata={"unit": "EUR"}, description="What it costs")


class Relaxed(Contract):
    """An order, or a refund."""

    order = dy.Int64(primary_key=True, description="Number")
    amount = dy.Int64(nullable=False, min=-100, metadata={"unit": "EUR"}, description="What it costs; negative is a refund")


class Free(Contract):
    """An order of any amount."""

    order = dy.Int64(primary_key=True, description="Number")
    amount = dy.Int64(nullable=False, metadata={"unit": "EUR"}, description="What it costs; negative is a refund")


class Gaps(Contract):
    """An order whose amount may be unknown."""

    order = dy.Int64(primary_key=True, description="Number")
    amount = dy.Int64(nullable=True, min=0, metadata={"unit": "EUR"}, description="What it costs")


class Bare(Contract):
    """An order without an amount."""

    order = dy.Int64(primary_key=True, description="Number")


class Tightened(Contract):
    """An order or a refund, below a hundred."""

    order = dy.Int64(primary_key=True, description="Number")
    amount = dy.Int64(nullable=False, min=-100, max=99, metadata={"unit": "EUR"}, description="What it costs; negative is a refund")


class Total(Contract):
    """All orders."""

    what = dy.String(primary_key=True, description="All")
    orders = dy.Int64(nullable=False, metadata={"unit": "orders"}, description="How many")
    amount = dy.Int64(nullable=False, metadata={"unit": "EUR"}, description="What they cost together")


def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders as they come."""
    return raw.select("order", "amount", *PROVENANCE)


def nulling(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders whose empty amounts are unknown."""
    return raw.select("order", pl.when(pl.col("amount") != "").then(pl.col("amount")).alias("amount"), *PROVENANCE)


def bare(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders without their amounts."""
    return raw.select("order", *PROVENANCE)


def trimming(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders without signs around the amount."""
    return raw.select("order", pl.col("amount").str.strip_chars(" €"), *PROVENANCE)


def doubling(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders at twice the amount."""
    return raw.select("order", pl.col("amount").str.strip_chars(" €").cast(pl.Int64, strict=False) * 2, *PROVENANCE)


def total(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders summed up."""
    return orders.group_by(pl.lit("all").alias("what")).agg(pl.len().cast(pl.Int64).alias("orders"), pl.col("amount").sum())


class Shop:
    """A source of orders, the orders judged, and their total; each declared as a test wants it."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder
        folder.mkdir()
        self.bronze = Table("bronze.shop.orders")
        self.hints = Hints()
        self.contract: type[Contract] = Order
        self.function: Callable[..., pl.LazyFrame] = clean
        self.write: Any = "merge"

    @property
    def source(self) -> Source:
        """Where orders come from."""
        return Source(self.bronze, self.folder, hints=self.hints)

    @property
    def orders(self) -> Hop:
        """The hop that judges them."""
        table = Table("silver.shop.orders", self.contract, max_rejected=0.9)
        return hop(table, write=self.write, raw=changes(self.bronze) if self.write != "replace" else self.bronze)(self.function)

    @property
    def pipeline(self) -> Pipeline:
        """All of it."""
        orders = self.orders
        return Pipeline("shop", [self.source], [orders, hop(Table("gold.shop.totals", Total), counts="orders", orders=orders.table)(total)])

    def bring(self, name: str, content: str) -> None:
        """A file comes, and the flow runs."""
        (self.folder / name).write_text(content, "utf-8")
        self.flow()

    def flow(self) -> None:
        """The flow runs."""
        assert self.pipeline.run(self.run).failures == {}

    def amounts(self) -> dict[int, int]:
        """Silver's amounts by order."""
        path = path_of("silver.shop.orders")
        return dict(self.run.snapshot(path, self.run.log(path).version()).scan().select("order", "amount").sort("order").collect().iter_rows())

    def total(self) -> tuple[int, int]:
        """Gold's number of orders and their sum, as released."""
        release = find_release(self.run.store)
        assert release is not None
        row: tuple[int, int] = (
            self.run.snapshot(path_of("gold.shop.totals"), release.tables["gold.shop.totals"].version).scan().select("orders", "amount").collect().row(0)
        )
        return row

    def rejects(self, table: str = "silver.shop.orders", *, resolved: bool = False) -> list[tuple[Any, ...]]:
        """Open (or resolved) rejects: record, rules or reason."""
        rows = Catalog(self.run.store).rejects(table, resolved=resolved).sort("_file", "_row").collect()
        return [(row["_row"], row["rules"] or row["reason"]) for row in rows.iter_rows(named=True)]

    def sound(self) -> None:
        """Every table replays equal from raw and verifies in place."""
        release = find_release(self.run.store)
        assert release is not None
        assert [(told.table, told.verdict, told.why) for told in replay(self.run, release, [self.pipeline]) if told.verdict != "equal"] == []
        assert [told for told in verify(self.run, self.pipeline, share=1.0) if told["verdict"] not in ("equal", "not verified")] == []
