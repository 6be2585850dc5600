"""Where the shop's files come from: two folders of the project."""

from lake.source import Source

from . import tables

customers = Source(tables.bronze_customers, "incoming/customers", "*.csv", description="The customers' register")
orders = Source(tables.bronze_orders, "incoming/orders", "*.csv", description="Orders as they come")
