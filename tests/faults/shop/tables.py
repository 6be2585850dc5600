"""The shop's tables and what they promise."""

import dataframely as dy
import polars as pl

from lake.contract import Contract
from lake.table import Table


class Customer(Contract):
    """Who orders."""

    customer = dy.Int64(primary_key=True, description="Number of the customer; 0 is for tests")
    country = dy.String(nullable=False, regex=r"^[A-Z]{2}$", description="ISO code of the country")


class Order(Contract):
    """An order, with the country it goes to."""

    order = dy.Int64(primary_key=True, description="Number of the order")
    customer = dy.String(nullable=False, description="Who ordered")
    country = dy.String(nullable=False, description="Where the customer is now")
    amount = dy.Decimal(12, 2, nullable=False, min=0, metadata={"unit": "EUR"}, description="What it costs")
    day = dy.Date(nullable=True, description="When it was placed")

    @dy.rule()
    def no_test_customer(cls) -> pl.Expr:
        """Test orders are not orders."""
        return cls.customer.col != "0"


class Total(Contract):
    """What each country ordered."""

    country = dy.String(primary_key=True, description="ISO code of the country")
    orders = dy.Int64(nullable=False, min=1, metadata={"unit": "orders"}, description="How many orders")
    amount = dy.Decimal(38, 2, nullable=False, metadata={"unit": "EUR"}, description="What they cost together")


bronze_customers = Table("bronze.shop.customers")
bronze_orders = Table("bronze.shop.orders")
customers = Table("silver.shop.customers", Customer, owner="shop", max_rejected=1.0)
orders = Table("silver.shop.orders", Order, owner="shop", max_rejected=1.0)
totals = Table("gold.shop.totals", Total, owner="shop")
