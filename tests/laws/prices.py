"""What each order was said to cost, and from which day: the table with history in the model of the whole lake, and what it must hold."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import dataframely as dy
import polars as pl

from lake.contract import PROVENANCE, Contract
from lake.hop import Hop, changes, hop
from lake.table import Table
from tests import tiny


class Price(Contract):
    """What an order costs, and from when until when that was so."""

    order = dy.Int64(primary_key=True, description="Number of the order")
    valid_from = dy.Date(primary_key=True, description="Since when")
    valid_to = dy.Date(nullable=True, description="Until before when")
    is_current = dy.Bool(nullable=False, description="Whether it still is so")
    amount = dy.Decimal(12, 2, nullable=False, min=0, metadata={"unit": "EUR"}, description="What it costs")


prices = Table("silver.shop.prices", Price, owner="shop", max_rejected=1.0, time="valid_from")
orders = replace(tiny.orders, time="day")


def _price(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", pl.col("day").alias("valid_from"), "amount", *PROVENANCE)


keep_prices: Hop = hop(prices, write="scd2", raw=changes(tiny.bronze_orders))(_price)


def prices_of(lines: list[list[str]]) -> tuple[tuple[Any, ...], ...]:
    """The versions that lines of orders (order, customer, amount, day) come to, in the order in which they landed."""
    last: dict[tuple[int, dt.date], Decimal] = {}
    for line in lines:
        if line[2] not in ("x", "-1.00"):
            last[int(line[0]), dt.date.fromisoformat(line[3])] = Decimal(line[2])
    versions: list[list[Any]] = []
    for (order, day), amount in sorted(last.items()):
        before = next((one for one in reversed(versions) if one[0] == order and one[3]), None)
        if before is not None and before[4] == amount:
            versions.append([order, day, day, False, amount])
            continue
        if before is not None:
            before[2:4] = [day, False]
        versions.append([order, day, None, True, amount])
    return tuple(tuple(one) for one in versions)
