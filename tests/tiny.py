"""A lake small enough to think about: orders as CSV files, cleaned and summed. Tests of the engine declare hops over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from lake.contract import PROVENANCE, Contract
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landed import Landed
from lake.landing import land
from lake.outcome import Outcome
from lake.record import Record
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of


class Order(Contract):
    """An order."""

    order = dy.Int64(primary_key=True, description="Number of the order")
    customer = dy.String(nullable=False, description="Who ordered")
    amount = dy.Decimal(12, 2, nullable=False, min=0, metadata={"unit": "EUR"}, description="What it costs")
    day = dy.Date(nullable=True, description="When it was placed")

    @dy.rule()
    def no_test_customer(cls) -> pl.Expr:
        """Test orders are not orders."""
        return cls.customer.col != "test"


class Total(Contract):
    """What each customer ordered."""

    customer = dy.String(primary_key=True, description="Who ordered")
    orders = dy.Int64(nullable=False, min=1, metadata={"unit": "orders"}, description="How many orders")
    amount = dy.Decimal(38, 2, nullable=False, metadata={"unit": "EUR"}, description="What they cost together")


bronze_orders = Table("bronze.shop.orders")
orders = Table("silver.shop.orders", Order, owner="shop", max_rejected=1.0)
totals = Table("gold.shop.totals", Total, owner="shop")


def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders as they come."""
    return raw.select("order", "customer", "amount", "day", *PROVENANCE)


def total(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders summed up."""
    return orders.group_by("customer").agg(pl.len().cast(pl.Int64).alias("orders"), pl.col("amount").sum().cast(pl.Decimal(38, 2)))


clean_orders: Hop = hop(orders, write="merge", raw=changes(bronze_orders))(clean)
sum_orders: Hop = hop(totals, counts="orders", orders=orders)(total)


def source_at(folder: Path) -> Source:
    """The orders' source, reading `folder`."""
    return Source(bronze_orders, folder, "*.csv")


def write_orders(folder: Path, name: str, rows: list[tuple[Any, ...]]) -> None:
    """A file of orders (order, customer, amount, day)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["order,customer,amount,day", *(",".join(str(value) for value in row) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n", "utf-8")


def bring(run: Run, folder: Path, *hops: Hop) -> tuple[Landed, list[Outcome]]:
    """Land the folder, ingest it, and execute the hops in turn."""
    landed = land(run, source_at(folder))
    return landed, [*ingest(run, source_at(folder)), *(execute(run, one) for one in hops or (clean_orders, sum_orders))]


def rows_of(run: Run, table: Table) -> list[dict[str, Any]]:
    """The table's rows without provenance, sorted by all their columns."""
    path = path_of(table.name)
    frame = run.snapshot(path, run.log(path).version()).scan().select(pl.exclude(*PROVENANCE)).collect()
    return frame.sort(frame.columns).to_dicts()


def last_record(run: Run, table: Table) -> Record:
    """The record of the table's last commit."""
    found = run.log(path_of(table.name)).last_record()
    if found is None:
        raise AssertionError(f"{table.name} has no commit")
    return found[1]
