"""A lake that is small and has every way of writing and every way rows come together: for following rows through it."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from lake.contract import PROVENANCE, Contract
from lake.hop import Hop, changes, hop
from lake.pipeline import Pipeline
from lake.run import Run
from lake.source import Source
from lake.table import Table

EUR = {"unit": "EUR"}
ORDERS = {"unit": "orders"}


class Order(Contract):
    """An order, as corrected last."""

    order = dy.Int64(primary_key=True, description="Number")
    customer = dy.String(nullable=True, description="Who ordered")
    amount = dy.Int64(nullable=False, min=0, metadata=EUR, description="What it costs")
    day = dy.Date(nullable=False, description="When")


class Event(Contract):
    """An order, as it was said each time."""

    order = dy.Int64(nullable=False, metadata={"unit": "1"}, description="Number")
    amount = dy.Int64(nullable=False, min=0, metadata=EUR, description="What it costs")


class Home(Contract):
    """Where a customer lives, and lived."""

    customer = dy.String(primary_key=True, description="Who")
    valid_from = dy.Date(primary_key=True, description="Since")
    valid_to = dy.Date(nullable=True, description="Until just before")
    is_current = dy.Bool(nullable=False, description="Whether it is so")
    city = dy.String(nullable=False, description="Where")


class Daily(Contract):
    """A day's orders."""

    day = dy.Date(primary_key=True, description="When")
    orders = dy.Int64(nullable=False, metadata=ORDERS, description="How many")
    amount = dy.Int64(nullable=False, metadata=EUR, description="Together")


class ByCity(Contract):
    """Orders by the city that customers live in now."""

    city = dy.String(primary_key=True, description="Where, or unknown")
    month = dy.Int8(primary_key=True, description="Of the year")
    orders = dy.Int64(nullable=False, metadata=ORDERS, description="How many")
    mean = dy.Float64(nullable=False, metadata=EUR, description="What they cost on average")


class Named(Contract):
    """Every name that occurs."""

    name = dy.String(primary_key=True, description="A customer, as spelled in capitals")
    times = dy.Int64(nullable=False, metadata={"unit": "1"}, description="How often")


class Regular(Contract):
    """Customers who have a home and orders."""

    customer = dy.String(primary_key=True, description="Who")
    best = dy.Int64(nullable=False, metadata=EUR, description="The dearest order")


class Placed(Contract):
    """Each order with its place among those of its customer."""

    order = dy.Int64(primary_key=True, description="Number")
    place = dy.Int64(nullable=False, metadata={"unit": "1"}, description="The dearest is 1")


class Total(Contract):
    """A day's orders, by a function of the team's own."""

    day = dy.Date(primary_key=True, description="When")
    amount = dy.Int64(nullable=False, metadata=EUR, description="Together")


bronze_orders, bronze_homes = Table("bronze.parish.orders"), Table("bronze.parish.homes")
orders = Table("silver.parish.orders", Order, max_rejected=1.0)
events = Table("silver.parish.events", Event, max_rejected=1.0)
homes = Table("silver.parish.homes", Home, max_rejected=1.0)
OPAQUE = ("gold.parish.opaque",)


def _order(raw: pl.LazyFrame) -> pl.LazyFrame:
    day = pl.concat_str(pl.lit("2026-"), "month", pl.lit("-"), "day").alias("day")
    return raw.select("order", pl.when(pl.col("customer") != "").then(pl.col("customer")).alias("customer"), "amount", day, *PROVENANCE)


def _event(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", "amount", *PROVENANCE)


def _home(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("customer", pl.col("since").str.to_date("%Y-%m-%d", strict=False).alias("valid_from"), "city", *PROVENANCE)


def _count() -> pl.Expr:
    return pl.len().cast(pl.Int64)


def _daily(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders.group_by("day").agg(_count().alias("orders"), pl.col("amount").sum())


def _cities(orders: pl.LazyFrame, homes: pl.LazyFrame) -> pl.LazyFrame:
    lives = homes.filter(pl.col("is_current")).select("customer", "city")
    return (
        orders.join(lives, on="customer", how="left")
        .with_columns(pl.col("city").fill_null("unknown"), pl.col("day").dt.month().alias("month"))
        .group_by("city", "month")
        .agg(_count().alias("orders"), pl.col("amount").mean().alias("mean"))
    )


def _names(orders: pl.LazyFrame, homes: pl.LazyFrame) -> pl.LazyFrame:
    every = [frame.select(pl.col("customer").str.to_uppercase().alias("name")).drop_nulls() for frame in (orders, homes)]
    return pl.concat(every).group_by("name").agg(_count().alias("times"))


def _regulars(orders: pl.LazyFrame, homes: pl.LazyFrame) -> pl.LazyFrame:
    return orders.join(homes, on="customer", how="semi").group_by("customer").agg(pl.col("amount").max().alias("best"))


def _places(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders.select("order", pl.col("amount").rank("min", descending=True).over("day").cast(pl.Int64).alias("place"))


def _by_hand(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by("day").agg(pl.col("amount").sum())


def _opaque(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders.select("day", "amount").map_batches(_by_hand, schema={"day": pl.Date, "amount": pl.Int64})


HOPS: list[Hop] = [
    hop(orders, write="merge", raw=changes(bronze_orders))(_order),
    hop(events, write="append", raw=changes(bronze_orders))(_event),
    hop(homes, write="scd2", raw=changes(bronze_homes))(_home),
    hop(Table("gold.parish.daily", Daily), write="by_key", counts="orders", orders=changes(orders))(_daily),
    hop(Table("gold.parish.cities", ByCity), counts="orders", orders=orders, homes=homes)(_cities),
    hop(Table("gold.parish.names", Named), filters="names that are not known", expands="homes count too", orders=orders, homes=homes)(_names),
    hop(Table("gold.parish.regulars", Regular), filters="only those with a home", orders=orders, homes=homes)(_regulars),
    hop(Table("gold.parish.places", Placed), orders=orders)(_places),
    hop(Table("gold.parish.opaque", Total), filters="summed by hand", orders=orders)(_opaque),
]


def pipeline(folder: Path) -> Pipeline:
    """All of it, from files in `folder`."""
    return Pipeline("parish", [Source(bronze_orders, folder / "orders"), Source(bronze_homes, folder / "homes")], HOPS)


def deliver(folder: Path, name: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    """A file comes; values with a line end or a comma are quoted."""
    folder.mkdir(parents=True, exist_ok=True)
    quoted = [[f'"{value}"' if set("\n,") & set(str(value)) else str(value) for value in row] for row in rows]
    (folder / name).write_text("\n".join([columns, *(",".join(row) for row in quoted)]) + "\n", "utf-8")


def fill(run: Run, folder: Path, chance: random.Random, *, batches: int = 3, most: int = 6) -> Pipeline:
    """Random files in a few runs: new orders, corrections, bad amounts, unknown customers, moves that come late or say nothing new."""
    flow = pipeline(folder)
    people = ["ann", "bob", "cy", "d\nd"]
    for number in range(batches):
        rows = [
            (
                chance.randint(1, 8),
                chance.choice([*people, "", "eve"]),
                chance.choice([5, 7, 11, 20, -1, "lots"]),
                chance.choice(["01", "02"]),
                chance.choice(["03", "04"]),
            )
            for _ in range(chance.randint(1, most))
        ]
        deliver(folder / "orders", f"orders-{number}.csv", "order,customer,amount,month,day", rows)
        moves = {(chance.choice(people), dt.date(2026, chance.randint(1, 3), 1)): chance.choice(["Ulm", "Bonn", "Kiel"]) for _ in range(chance.randint(1, 3))}
        deliver(folder / "homes", f"homes-{number}.csv", "customer,since,city", [(who, since, city) for (who, since), city in moves.items()])
        assert flow.run(run).failures == {}
    return flow
