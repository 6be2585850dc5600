"""From text to typed rows, and two tables that answer questions."""

from __future__ import annotations

import polars as pl

from flows.tpch import tables
from lake.contract import PROVENANCE
from lake.hop import changes, hop


@hop(tables.lines, write="merge", partitions=64, raw=changes(tables.bronze_lines))
def type_lines(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Lines; the contract parses them."""
    return raw.drop("_rescued")


@hop(tables.orders, write="merge", partitions=64, raw=changes(tables.bronze_orders))
def type_orders(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders."""
    return raw.drop("_rescued")


@hop(tables.customers, write="merge", raw=changes(tables.bronze_customers))
def type_customers(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Customers."""
    return raw.drop("_rescued")


@hop(tables.nations, write="merge", raw=changes(tables.bronze_nations))
def type_nations(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Nations."""
    return raw.drop("_rescued")


@hop(tables.revenue, write="replace", counts="lines", lines=tables.lines, orders=tables.orders, customers=tables.customers, nations=tables.nations)
def earn(lines: pl.LazyFrame, orders: pl.LazyFrame, customers: pl.LazyFrame, nations: pl.LazyFrame) -> pl.LazyFrame:
    """Revenue by nation and month."""
    lines, orders, customers, nations = (frame.drop(*PROVENANCE) for frame in (lines, orders, customers, nations))
    placed = orders.join(customers.join(nations, left_on="c_nationkey", right_on="n_nationkey"), left_on="o_custkey", right_on="c_custkey")
    sold = lines.join(placed, left_on="l_orderkey", right_on="o_orderkey")
    return sold.group_by(pl.col("n_name").alias("nation"), pl.col("o_orderdate").dt.truncate("1mo").alias("month")).agg(
        (pl.col("l_extendedprice") * (1 - pl.col("l_discount"))).sum().alias("revenue"), pl.len().cast(pl.Int64).alias("lines")
    )


@hop(tables.pricing, write="replace", counts="lines", lines=tables.lines)
def price(lines: pl.LazyFrame) -> pl.LazyFrame:
    """The pricing summary."""
    charged = pl.col("l_extendedprice") * (1 - pl.col("l_discount")) * (1 + pl.col("l_tax"))
    return lines.group_by(pl.col("l_returnflag").alias("returnflag"), pl.col("l_linestatus").alias("linestatus")).agg(
        pl.col("l_quantity").sum().alias("quantity"), pl.col("l_extendedprice").sum().alias("price"), charged.sum().alias("charged"),
        pl.len().cast(pl.Int64).alias("lines"),
    )  # fmt: skip
