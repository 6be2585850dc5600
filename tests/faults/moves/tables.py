"""The tables of who lived where, and what they promise."""

import dataframely as dy

from lake.contract import Contract
from lake.table import Table


class Version(Contract):
    """Where a customer lived, and when."""

    customer = dy.String(primary_key=True, description="Who")
    valid_from = dy.Date(primary_key=True, description="Since when")
    valid_to = dy.Date(nullable=True, description="Until before when")
    is_current = dy.Bool(nullable=False, description="Whether it still is so")
    city = dy.String(nullable=True, regex="^[A-Z]", description="Where")
    seq = dy.Int64(nullable=True, metadata={"unit": "words"}, description="Which word on it")


class City(Contract):
    """How many live in a city."""

    city = dy.String(primary_key=True, description="Which")
    customers = dy.Int64(nullable=False, min=1, metadata={"unit": "customers"}, description="How many")


bronze_moves = Table("bronze.shop.moves")
histories = Table("silver.shop.histories", Version, owner="shop", sequence=("seq",), max_rejected=1.0, time="valid_from")
cities = Table("gold.shop.cities", City, owner="shop")
