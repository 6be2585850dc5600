"""From what was said to histories, and from these to who lives where."""

import polars as pl

from lake.contract import PROVENANCE
from lake.hop import changes, hop

from . import tables


@hop(tables.histories, write="scd2", raw=changes(tables.bronze_moves))
def keep_versions(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Each word as a version of its customer."""
    filled = {name: pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("city", "seq")}
    return raw.select("customer", pl.col("day").alias("valid_from"), *PROVENANCE, **filled)


@hop(tables.cities, write="by_key", by=("city",), counts="customers", filters="over, or nobody knows where", versions=changes(tables.histories))
def count_customers(versions: pl.LazyFrame) -> pl.LazyFrame:
    """Who lives where now."""
    return versions.filter("is_current", pl.col("city").is_not_null()).group_by("city").agg(pl.len().cast(pl.Int64).alias("customers"))
