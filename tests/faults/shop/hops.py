"""From the shop's files to what each country ordered."""

import polars as pl

from lake.contract import PROVENANCE
from lake.hop import changes, hop

from . import tables


@hop(tables.customers, write="merge", raw=changes(tables.bronze_customers))
def clean_customers(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Customers as they come."""
    return raw.select("customer", "country", *PROVENANCE)


@hop(tables.orders, write="merge", raw=changes(tables.bronze_orders), customers=tables.customers)
def clean_orders(raw: pl.LazyFrame, customers: pl.LazyFrame) -> pl.LazyFrame:
    """Orders with their customer's country; one of an unknown customer has none."""
    known = raw.join(customers.select(pl.col("customer").cast(pl.String), "country"), on="customer", how="left")
    return known.select("order", "customer", "country", "amount", "day", *PROVENANCE)


@hop(tables.totals, counts="orders", orders=tables.orders)
def sum_orders(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders summed up by country."""
    return orders.group_by("country").agg(pl.len().cast(pl.Int64).alias("orders"), pl.col("amount").sum().cast(pl.Decimal(38, 2)))
