"""The floor: the same work written by hand in Polars and delta-rs, with nothing recorded, judged or released.

`python -m tests.bench.floor bulk|merge FILES`: everything, or the files of the newest delivery by delta-rs MERGE.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from lake.settings import load_settings
from lake.store import Store, close_stores, open_store

_WHOLE = {"lineitem": ["l_orderkey", "l_linenumber", "l_partkey", "l_suppkey"], "orders": ["o_orderkey", "o_custkey", "o_shippriority"]}
_WHOLE |= {"customer": ["c_custkey", "c_nationkey"], "nation": ["n_nationkey", "n_regionkey"]}
_NUMBERS = {"lineitem": ["l_quantity", "l_extendedprice", "l_discount", "l_tax"], "orders": ["o_totalprice"], "customer": ["c_acctbal"], "nation": []}
_DATES = {"lineitem": ["l_shipdate", "l_commitdate", "l_receiptdate"], "orders": ["o_orderdate"], "customer": [], "nation": []}
_KEY = {"lineitem": ["l_orderkey", "l_linenumber"], "orders": ["o_orderkey"], "customer": ["c_custkey"], "nation": ["n_nationkey"]}


def bulk(store: Store, files: Path) -> None:
    """Upload, bronze as text, silver typed and without repeated keys, gold."""
    for table in _KEY:
        names = _upload(store, files, table, "*.csv")
        _raw(store, table, names).sink_delta(store.uri(f"bronze/{table}"), storage_options=store.options, mode="append")
    for table, key in _KEY.items():
        typed = _typed(_scan(store, f"bronze/{table}"), table).unique(key)
        typed.sink_delta(store.uri(f"silver/{table}"), storage_options=store.options, mode="append")
    _gold(store, "append")


def merge(store: Store, files: Path) -> None:
    """Upload what the newest delivery has, append it to bronze, merge it into silver by MERGE, and gold anew."""
    newest = max(files.rglob("delivery-*.csv")).name
    for table in ("lineitem", "orders"):
        names = _upload(store, files, table, newest)
        raw = _raw(store, table, names).collect()
        raw.write_delta(store.uri(f"bronze/{table}"), mode="append", storage_options=store.options)
        there = DeltaTable(store.uri(f"silver/{table}"), storage_options=store.options)
        batch = _typed(raw.lazy(), table).unique(_KEY[table]).collect()
        on = " AND ".join(f"s.{name} = t.{name}" for name in _KEY[table])
        there.merge(batch, on, source_alias="s", target_alias="t").when_matched_update_all().when_not_matched_insert_all().execute()
    _gold(store, "overwrite")


def _upload(store: Store, files: Path, table: str, pattern: str) -> list[str]:
    names = []
    for file in sorted((files / table).glob(pattern)):
        store.upload(f"raw/{table}/{file.name}", file)
        names.append(f"raw/{table}/{file.name}")
    return names


def _raw(store: Store, table: str, names: list[str]) -> pl.LazyFrame:
    return pl.concat([pl.scan_csv(store.uri(name), infer_schema=False, storage_options=store.options) for name in names])


def _scan(store: Store, path: str) -> pl.LazyFrame:
    return pl.scan_delta(store.uri(path), storage_options=store.options)


def _typed(frame: pl.LazyFrame, table: str) -> pl.LazyFrame:
    return frame.with_columns(pl.col(_WHOLE[table]).cast(pl.Int64), pl.col(_NUMBERS[table]).cast(pl.Float64), pl.col(_DATES[table]).str.to_date())


def _gold(store: Store, mode: str) -> None:
    lines, orders, customers, nations = (_scan(store, f"silver/{table}") for table in ("lineitem", "orders", "customer", "nation"))
    placed = orders.join(customers.join(nations, left_on="c_nationkey", right_on="n_nationkey"), left_on="o_custkey", right_on="c_custkey")
    sold = lines.join(placed, left_on="l_orderkey", right_on="o_orderkey")
    earned = sold.group_by(pl.col("n_name").alias("nation"), pl.col("o_orderdate").dt.truncate("1mo").alias("month")).agg(
        (pl.col("l_extendedprice") * (1 - pl.col("l_discount"))).sum().alias("revenue"), pl.len().cast(pl.Int64).alias("lines")
    )
    charged = pl.col("l_extendedprice") * (1 - pl.col("l_discount")) * (1 + pl.col("l_tax"))
    priced = lines.group_by(pl.col("l_returnflag").alias("returnflag"), pl.col("l_linestatus").alias("linestatus")).agg(
        pl.col("l_quantity").sum().alias("quantity"), pl.col("l_extendedprice").sum().alias("price"), charged.sum().alias("charged"),
        pl.len().cast(pl.Int64).alias("lines"),
    )  # fmt: skip
    for name, frame in (("revenue", earned), ("pricing", priced)):
        frame.collect(engine="streaming").write_delta(store.uri(f"gold/{name}"), mode=mode, storage_options=store.options)  # type: ignore[call-overload]


def main() -> None:
    """Do one of the two."""
    store = open_store(load_settings())
    {"bulk": bulk, "merge": merge}[sys.argv[1]](store, Path(sys.argv[2]))
    close_stores(wait=False)


if __name__ == "__main__":
    main()
