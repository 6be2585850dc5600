"""A corpus of varied hops, each on a small sample made for it, for the law that no column moves without an edge."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import polars as pl

from tests.perturb import Case

_chance = random.Random(11)
_N = 60
_NEW_YEAR = dt.datetime(2024, 1, 1)  # noqa: DTZ001  # a local time


def _pick(*values: Any, n: int = _N) -> list[Any]:
    return [_chance.choice(values) for _ in range(n)]


def _days(n: int = _N) -> list[dt.date]:
    return [dt.date(2024, 1, 1) + dt.timedelta(days=_chance.randint(0, 40)) for _ in range(n)]


F = pl.DataFrame(
    {
        "id": list(range(_N)), "k": [_chance.randint(0, 25) for _ in range(_N)], "g": _pick("p", "q", "r"), "h": _pick("u", "v"),
        "a": _chance.sample(range(1000), _N), "b": [round(_chance.uniform(-5, 5), 3) for _ in range(_N)], "n": _pick(None, 1, 2, 3, 4),
        "s": _pick("Ann-1", " bob-22", "Cy-333 ", "dee"), "t": _days(), "at": [_NEW_YEAR + dt.timedelta(minutes=m) for m in _chance.sample(range(9000), _N)],
        "l": [[_chance.randint(0, 9) for _ in range(_chance.randint(0, 3))] for _ in range(_N)], "spare": _pick(1, 2, 3),
    },
    schema_overrides={"n": pl.Int64, "l": pl.List(pl.Int64)},
)  # fmt: skip
R = pl.DataFrame(
    {
        "k": list(range(5, 35)), "x": _chance.sample(range(500), 30), "y": _pick("red", "blue", "green", n=30), "g": _pick("p", "q", "z", n=30),
        "at": [_NEW_YEAR + dt.timedelta(minutes=m) for m in _chance.sample(range(9000), 30)], "spare": _pick(1, 2, 3, n=30),
    }
)  # fmt: skip
c = pl.col


def _doubled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(c("a") * 2)


def _topmost(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("a").head(1)


def _by_hand(value: int) -> int:
    return int(str(value)[-1])


def _looks(f: pl.LazyFrame) -> pl.LazyFrame:
    return f.select("id", (c("a") + f.select(c("b").sum().fill_null(0)).collect().item()).alias("v"))


_ID = ("id",)
ONE: dict[str, tuple[Callable[[pl.LazyFrame], pl.LazyFrame], tuple[str, ...]]] = {
    "copied and renamed": (lambda f: f.select("id", c("a").alias("z"), "l"), _ID),
    "arithmetic and casts": (lambda f: f.select("id", (c("a") + c("k") * 2).alias("v"), c("b").cast(pl.Int64, strict=False), c("n").fill_null(c("k"))), _ID),
    "filter": (lambda f: f.filter((c("a") > 300) & (c("g") != "q")).select("id", "b"), _ID),
    "drop nulls": (lambda f: f.drop_nulls("n").select("id", "b"), _ID),
    "when then otherwise": (lambda f: f.select("id", pl.when(c("g") == "p").then(c("a")).when(c("n") > 2).then(c("k")).otherwise(None).alias("v")), _ID),
    "coalesce and comparisons": (lambda f: f.select("id", pl.coalesce("n", "k").alias("v"), c("b").is_between(-1, c("n")).alias("w")), _ID),
    "group by": (lambda f: f.group_by("g").agg(c("a").sum(), c("b").mean().alias("m"), pl.len(), c("s").n_unique()), ("g",)),
    "group by an expression": (lambda f: f.group_by(c("a") // 200).agg(c("b").max(), (c("h") == "u").sum().alias("u")), ("a",)),
    "conditions inside groups": (lambda f: f.group_by("g").agg(c("a").filter(c("h") == "u").sum(), c("b").sort_by("at").last(), c("a").top_k_by("b", 2).sum().alias("tk")), ("g",)),
    "whole frame aggregated": (lambda f: f.select(c("a").sum(), c("b").quantile(0.9), c("n").count(), pl.corr("a", "b").alias("r")), ()),
    "rank over": (lambda f: f.select("id", c("a").rank("ordinal").over("g").alias("r"), c("b").mean().over("h").alias("m")), _ID),
    "cumulative sum over, in order": (lambda f: f.select("id", c("a").cum_sum().over("g", order_by="at").alias("v")), _ID),
    "shift and difference": (lambda f: f.sort("at").select("id", c("a").shift(1).alias("p"), c("b").diff().alias("d")), _ID),
    "rolling by time": (lambda f: f.select("id", c("a").rolling_mean_by("at", "600m").alias("v"), c("b").rolling_sum(3).alias("w")), _ID),
    "rolling expression": (lambda f: f.sort("at").select("id", c("a").sum().rolling("at", period="20h").alias("v")), _ID),
    "running totals": (lambda f: f.select("id", c("a").cum_max().alias("v"), c("b").ewm_mean(span=3).alias("w")), _ID),
    "struct packed and unpacked": (lambda f: f.select("id", pl.struct("a", "b").alias("p")).unnest("p").with_columns(c("a") + 1), _ID),
    "struct fields": (lambda f: f.select("id", pl.struct("a", "g").alias("p")).select("id", c("p").struct.field("a"), c("p").struct.with_fields(q=pl.field("a") + 1)), _ID),
    "list exploded": (lambda f: f.select("id", "g", "l").explode("l", empty_as_null=True), ()),
    "list aggregated": (lambda f: f.select("id", c("l").list.sum().alias("v"), c("l").list.len().alias("w"), c("l").list.first().alias("z")), _ID),
    "list evaluated": (lambda f: f.select("id", c("l").list.eval(pl.element() * 2), c("a")), _ID),
    "lists of groups": (lambda f: f.group_by("g").agg(c("a"), c("b").sort().head(2).alias("least")).with_columns(c("a").list.len().alias("n")), ("g",)),
    "pivot": (lambda f: f.pivot("h", on_columns=["u", "v"], index="g", values="a", aggregate_function="sum"), ("g",)),
    "unpivot": (lambda f: f.unpivot(["a", "k"], index=["id", "g"], variable_name="what", value_name="v"), ("id", "what")),
    "top k": (lambda f: f.sort("a", descending=True).head(5).select("id", "b"), _ID),
    "top k of groups": (lambda f: f.sort("a", "id").group_by("g", maintain_order=True).head(2).select("g", "b"), ()),
    "bottom k by": (lambda f: f.bottom_k(6, by=["b", "id"]).select("id", "g"), _ID),
    "unique, the first": (lambda f: f.sort("id").unique("g", keep="first", maintain_order=True).select("g", "a"), ("g",)),
    "distinct rows": (lambda f: f.select("g", "h").unique(), ("g", "h")),
    "filled forward": (lambda f: f.select("id", c("n").fill_null(strategy="forward"), c("n").interpolate().alias("i")), _ID),
    "text": (lambda f: f.select("id", c("s").str.strip_chars().str.to_lowercase().alias("v"), c("s").str.extract(r"(\d+)").cast(pl.Int64).alias("w"), pl.concat_str("g", "h").alias("z")), _ID),
    "text split": (lambda f: f.select("id", c("s").str.split("-").list.get(1, null_on_oob=True).alias("v"), c("s").str.len_chars().alias("w"), pl.format("{}!", c("g")).alias("z")), _ID),
    "dates": (lambda f: f.select("id", c("t").dt.truncate("1mo").alias("m"), (c("at").dt.date() - c("t")).dt.total_days().alias("d"), pl.date(2024, c("n"), 1).alias("f")), _ID),
    "instants": (lambda f: f.select("id", c("at").dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC").dt.hour().alias("v"), (c("at") + pl.duration(hours=c("k"))).alias("w")), _ID),
    "horizontal sums": (lambda f: f.select("id", pl.sum_horizontal("a", "k").alias("v"), pl.any_horizontal(c("n").is_null(), c("a") > 500).alias("w"), pl.max_horizontal("a", "k", "n").alias("z")), _ID),
    "dynamic groups": (lambda f: f.sort("t").group_by_dynamic("t", every="1w", group_by="g").agg(c("a").sum()), ("g", "t")),
    "rolling groups": (lambda f: f.sort("at").rolling("at", period="10h").agg(c("a").sum(), pl.len().alias("n")), ("at",)),
    "map elements": (lambda f: f.select("id", c("a").map_elements(_by_hand, return_dtype=pl.Int64).alias("v"), c("b")), _ID),
    "map elements of a struct": (lambda f: f.select("id", pl.struct("a", "k").map_elements(lambda s: (s["a"] or 0) + (s["k"] or 0), return_dtype=pl.Int64).alias("v")), _ID),
    "map batches of an expression": (lambda f: f.select("id", c("b").map_batches(lambda s: s * 2, return_dtype=pl.Float64).alias("v")), _ID),
    "map batches of a frame": (lambda f: f.select("id", "a", "b").map_batches(_doubled).select("id", "a"), _ID),
    "map groups": (lambda f: f.select("g", "a", "b").group_by("g").map_groups(_topmost, schema={"g": pl.String, "a": pl.Int64, "b": pl.Float64}), ("g",)),
    "fold": (lambda f: f.select("id", pl.fold(pl.lit(0), lambda x, y: x + y, [c("a"), c("k")]).alias("v")), _ID),
    "looked at while planned": (_looks, _ID),
    "row numbers": (lambda f: f.sort("a").with_row_index("i").select("id", "i"), _ID),
    "values by condition, and a constant beside": (lambda f: f.select(c("a").filter(c("h") == "u"), pl.lit("one").alias("one")), ()),
    "distinct values, and a constant beside": (lambda f: f.select(c("k").unique(), pl.lit(1).alias("one")), ()),
    "every second": (lambda f: f.sort("a").gather_every(2).select("id", "g"), _ID),
    "ranks and cuts": (lambda f: f.select("id", c("a").rle_id().alias("v"), c("g").is_first_distinct().alias("w"), c("a").pct_change().round(3).alias("z")), _ID),
    "replaced values": (lambda f: f.select("id", c("g").replace({"p": "P"}).alias("v"), c("k").is_in([1, 2, 3]).alias("w"), c("a").clip(100, 500).alias("z")), _ID),
    "values of others": (lambda f: f.select("id", c("a").gather(c("k").fill_null(0) % 20).alias("v")), _ID),
    "self join": (lambda f: f.join(f.group_by("g").agg(c("a").mean().alias("m")), on="g").select("id", (c("a") - c("m")).alias("v")), _ID),
}  # fmt: skip
TWO: dict[str, tuple[Callable[[pl.LazyFrame, pl.LazyFrame], pl.LazyFrame], tuple[str, ...]]] = {
    "inner join": (lambda f, r: f.join(r, on="k").select("id", "a", "x"), _ID),
    "left join": (lambda f, r: f.join(r, on="k", how="left").select("id", "a", "y", "g_right"), _ID),
    "right join": (lambda f, r: f.join(r, on="k", how="right").select("k", "x", "id"), ()),
    "right join on two names": (lambda f, r: f.join(r, left_on="id", right_on="k", how="right").select("k", "k_right", "x", "b"), ()),
    "full join": (lambda f, r: f.join(r, on="k", how="full", coalesce=True).select("k", "x", "a"), ()),
    "full join, keys apart": (lambda f, r: f.join(r, on="k", how="full").select("k", "k_right", "x"), ()),
    "cross join": (lambda f, r: f.head(5).join(r.head(4), how="cross").select("id", "x"), ("id", "x")),
    "semi join": (lambda f, r: f.join(r, on="k", how="semi").select("id", "b"), _ID),
    "anti join": (lambda f, r: f.join(r, on=["k"], how="anti").select("id", "b"), _ID),
    "join on expressions": (lambda f, r: f.join(r, left_on=c("id") + 1, right_on=c("k"), how="inner").select("id", "x"), _ID),
    "join on conditions": (lambda f, r: f.join_where(r, c("k") == c("k_right"), c("a") > c("x")).select("id", "y"), ()),
    "asof join": (lambda f, r: f.sort("at").join_asof(r.sort("at"), on="at", by="g").select("id", "x"), _ID),
    "asof join, nearest": (lambda f, r: f.sort("at").join_asof(r.sort("at"), on="at", strategy="nearest", tolerance="200m").select("id", "y"), _ID),
    "concat vertical": (lambda f, r: pl.concat([f.select("k", c("a").alias("v")), r.select("k", c("x").alias("v"))]), ()),
    "concat horizontal": (lambda f, r: pl.concat([f.head(30).select("id", "a"), r.select("x", "y")], how="horizontal"), ("id",)),
    "concat diagonal": (lambda f, r: pl.concat([f.select("k", "a"), r.select("k", "x")], how="diagonal"), ()),
    "merged in order": (lambda f, r: f.select("k", c("a").alias("v")).sort("k").merge_sorted(r.select("k", c("x").alias("v")).sort("k"), "k"), ()),
    "a filter by another table's sum": (lambda f, r: f.join(r.select(c("x").mean().alias("m")), how="cross").filter(c("a") > c("m")).select("id", "b"), _ID),
    "a filter by another table's values": (lambda f, r: f.join(r.filter(c("y") == "red").select("k").unique(), on="k", how="semi").group_by("g").agg(c("a").sum()), ("g",)),
    "group, join, group": (lambda f, r: f.join(r, on="k").group_by("y").agg(c("a").sum().alias("v")).join(r.group_by("y").agg(c("x").max()), on="y"), ("y",)),
}  # fmt: skip


def corpus() -> list[Case]:
    """Every hop with its sample."""
    return [Case(name, _one(function), {"f": F}, key) for name, (function, key) in ONE.items()] + [
        Case(name, function, {"f": F, "r": R}, key) for name, (function, key) in TWO.items()
    ]


def _one(function: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Callable[..., pl.LazyFrame]:
    return lambda f: function(f)
