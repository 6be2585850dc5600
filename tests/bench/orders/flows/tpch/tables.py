"""What the tables of TPC-H promise that the benchmark uses. https://www.tpc.org/tpch, section 1.4."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from lake.contract import Contract
from lake.table import Table

_PRICE = {"unit": "USD"}


class Line(Contract):
    """One line of an order."""

    l_orderkey = dy.Int64(primary_key=True, description="Order")
    l_linenumber = dy.Int64(primary_key=True, description="Line of the order")
    l_partkey = dy.Int64(nullable=False, description="Part")
    l_suppkey = dy.Int64(nullable=False, description="Supplier")
    l_quantity = dy.Float64(nullable=False, min=0, metadata={"unit": "pieces"}, description="How many")
    l_extendedprice = dy.Float64(nullable=False, min=0, metadata=_PRICE, description="Price of all of them")
    l_discount = dy.Float64(nullable=False, min=0, max=1, metadata={"unit": "share"}, description="Discount")
    l_tax = dy.Float64(nullable=False, min=0, max=1, metadata={"unit": "share"}, description="Tax")
    l_returnflag = dy.String(nullable=False, regex="^[ANR]$", description="Returned, accepted or neither")
    l_linestatus = dy.String(nullable=False, regex="^[OF]$", description="Open or fulfilled")
    l_shipdate = dy.Date(nullable=False, description="When it was shipped")
    l_commitdate = dy.Date(nullable=False, description="When it was promised")
    l_receiptdate = dy.Date(nullable=False, description="When it arrived")
    l_shipinstruct = dy.String(nullable=False, description="How to hand it over")
    l_shipmode = dy.String(nullable=False, description="How it travels")
    l_comment = dy.String(nullable=False, description="Words")

    @dy.rule()
    def received_after_it_was_shipped(cls) -> pl.Expr:
        """Nothing arrives before it left."""
        return cls.l_receiptdate.col >= cls.l_shipdate.col


class Order(Contract):
    """One order."""

    o_orderkey = dy.Int64(primary_key=True, description="Number")
    o_custkey = dy.Int64(nullable=False, description="Customer")
    o_orderstatus = dy.String(nullable=False, regex="^[OFP]$", description="Open, fulfilled or in part")
    o_totalprice = dy.Float64(nullable=False, min=0, metadata=_PRICE, description="Price of all lines")
    o_orderdate = dy.Date(nullable=False, description="When it was placed")
    o_orderpriority = dy.String(nullable=False, description="How urgent")
    o_clerk = dy.String(nullable=False, description="Who took it")
    o_shippriority = dy.Int64(nullable=False, description="Which first")
    o_comment = dy.String(nullable=False, description="Words")


class Customer(Contract):
    """One customer."""

    c_custkey = dy.Int64(primary_key=True, description="Number")
    c_name = dy.String(nullable=False, description="Name")
    c_address = dy.String(nullable=False, description="Address")
    c_nationkey = dy.Int64(nullable=False, description="Nation")
    c_phone = dy.String(nullable=False, description="Telephone")
    c_acctbal = dy.Float64(nullable=False, metadata=_PRICE, description="Balance")
    c_mktsegment = dy.String(nullable=False, description="Line of business")
    c_comment = dy.String(nullable=False, description="Words")


class Nation(Contract):
    """One nation."""

    n_nationkey = dy.Int64(primary_key=True, description="Number")
    n_name = dy.String(nullable=False, description="Name")
    n_regionkey = dy.Int64(nullable=False, description="Region")
    n_comment = dy.String(nullable=False, description="Words")


class Revenue(Contract):
    """What the customers of a nation brought in a month."""

    nation = dy.String(primary_key=True, description="Of the customers")
    month = dy.Date(primary_key=True, description="In which the orders were placed")
    revenue = dy.Float64(nullable=False, metadata=_PRICE, description="Prices less discounts")
    lines = dy.Int64(nullable=False, min=1, metadata={"unit": "lines"}, description="How many lines")


class Pricing(Contract):
    """The lines by how they ended. Query 1 of TPC-H, without its condition."""

    returnflag = dy.String(primary_key=True, description="Returned, accepted or neither")
    linestatus = dy.String(primary_key=True, description="Open or fulfilled")
    quantity = dy.Float64(nullable=False, metadata={"unit": "pieces"}, description="How many pieces")
    price = dy.Float64(nullable=False, metadata=_PRICE, description="Prices")
    charged = dy.Float64(nullable=False, metadata=_PRICE, description="Less discounts and with taxes")
    lines = dy.Int64(nullable=False, min=1, metadata={"unit": "lines"}, description="How many lines")


bronze_lines = Table("bronze.tpch.lineitem")
bronze_orders = Table("bronze.tpch.orders")
bronze_customers = Table("bronze.tpch.customer")
bronze_nations = Table("bronze.tpch.nation")
lines = Table("silver.tpch.lineitem", Line)
orders = Table("silver.tpch.orders", Order)
customers = Table("silver.tpch.customer", Customer)
nations = Table("silver.tpch.nation", Nation)
revenue = Table("gold.tpch.revenue", Revenue)
pricing = Table("gold.tpch.pricing", Pricing)
