"""Where the shop's files come from: two folders of the project."""

from flows.shop import tables
from lake.source import Source

customers = Source(tables.bronze_customers, "incoming/customers", "*.csv", description="The customers' register")
orders = Source(tables.bronze_orders, "incoming/orders", "*.csv", description="Orders as they come")
