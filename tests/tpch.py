"""The 22 queries of TPC-H as functions of frames, on a few hundred rows whose values are few enough that every query finds some."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable

import polars as pl

from tests.perturb import Case

c, lit = pl.col, pl.lit
F = pl.LazyFrame
_REVENUE = c("l_extendedprice") * (1 - c("l_discount"))


def _date(year: int, month: int = 1, day: int = 1) -> dt.date:
    return dt.date(year, month, day)


def q1(lineitem: F) -> F:
    """Pricing summary."""
    return (
        lineitem.filter(c("l_shipdate") <= _date(1998, 9, 2)).group_by("l_returnflag", "l_linestatus")
        .agg(
            c("l_quantity").sum().alias("sum_qty"), c("l_extendedprice").sum().alias("sum_base_price"), _REVENUE.sum().alias("sum_disc_price"),
            (_REVENUE * (1 + c("l_tax"))).sum().alias("sum_charge"), c("l_quantity").mean().alias("avg_qty"),
            c("l_extendedprice").mean().alias("avg_price"), c("l_discount").mean().alias("avg_disc"), pl.len().alias("count_order"),
        ).sort("l_returnflag", "l_linestatus")
    )  # fmt: skip


def q2(part: F, supplier: F, partsupp: F, nation: F, region: F) -> F:
    """Cheapest suppliers."""
    offers = (
        part.filter((c("p_size") < 30) & c("p_type").str.ends_with("BRASS")).join(partsupp, left_on="p_partkey", right_on="ps_partkey")
        .join(supplier, left_on="ps_suppkey", right_on="s_suppkey").join(nation, left_on="s_nationkey", right_on="n_nationkey")
        .join(region, left_on="n_regionkey", right_on="r_regionkey").filter(c("r_name") == "EUROPE")
    )  # fmt: skip
    cheapest = offers.group_by("p_partkey").agg(c("ps_supplycost").min())
    return (
        offers.join(cheapest, on=["p_partkey", "ps_supplycost"])
        .select("s_acctbal", "s_name", "n_name", "p_partkey", "p_mfgr", "s_phone").sort("s_acctbal", "n_name", "s_name", "p_partkey", descending=[True, False, False, False]).head(100)
    )  # fmt: skip


def q3(customer: F, orders: F, lineitem: F) -> F:
    """Shipping priority."""
    return (
        customer.filter(c("c_mktsegment") == "BUILDING").join(orders, left_on="c_custkey", right_on="o_custkey").join(lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .filter((c("o_orderdate") < _date(1995, 3, 15)) & (c("l_shipdate") > _date(1995, 3, 15)))
        .with_columns(_REVENUE.alias("revenue")).group_by("o_orderkey", "o_orderdate", "o_shippriority").agg(c("revenue").sum())
        .select(c("o_orderkey").alias("l_orderkey"), "revenue", "o_orderdate", "o_shippriority").sort("revenue", "o_orderdate", descending=[True, False]).head(10)
    )  # fmt: skip


def q4(orders: F, lineitem: F) -> F:
    """Order priority checking."""
    late = lineitem.filter(c("l_commitdate") < c("l_receiptdate"))
    wanted = orders.filter(c("o_orderdate").is_between(_date(1993, 7), _date(1994, 10), closed="left"))
    return (
        wanted.join(late, left_on="o_orderkey", right_on="l_orderkey", how="semi").group_by("o_orderpriority").agg(pl.len().alias("n")).sort("o_orderpriority")
    )


def q5(region: F, nation: F, customer: F, orders: F, lineitem: F, supplier: F) -> F:
    """Local supplier volume."""
    return (
        region.filter(c("r_name") == "ASIA").join(nation, left_on="r_regionkey", right_on="n_regionkey").join(customer, left_on="n_nationkey", right_on="c_nationkey")
        .join(orders, left_on="c_custkey", right_on="o_custkey").join(lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(supplier, left_on=["l_suppkey", "n_nationkey"], right_on=["s_suppkey", "s_nationkey"]).filter(c("o_orderdate") >= _date(1993))
        .group_by("n_name").agg(_REVENUE.sum().alias("revenue")).sort("revenue", descending=True)
    )  # fmt: skip


def q6(lineitem: F) -> F:
    """Forecast of a revenue change."""
    return lineitem.filter(
        c("l_shipdate").is_between(_date(1994), _date(1996), closed="left"), c("l_discount").is_between(0.05, 0.07), c("l_quantity") < 24
    ).select((c("l_extendedprice") * c("l_discount")).sum().alias("revenue"))


def q7(supplier: F, lineitem: F, orders: F, customer: F, nation: F) -> F:
    """Volume shipping."""
    n1, n2 = nation.filter(c("n_name") == "FRANCE"), nation.filter(c("n_name") == "GERMANY")

    def one_way(come: F, go: F) -> F:
        return (
            customer.join(come, left_on="c_nationkey", right_on="n_nationkey").join(orders, left_on="c_custkey", right_on="o_custkey").rename({"n_name": "cust_nation"})
            .join(lineitem, left_on="o_orderkey", right_on="l_orderkey").join(supplier, left_on="l_suppkey", right_on="s_suppkey")
            .join(go, left_on="s_nationkey", right_on="n_nationkey").rename({"n_name": "supp_nation"})
        )  # fmt: skip

    return (
        pl.concat([one_way(n1, n2), one_way(n2, n1)]).filter(c("l_shipdate").is_between(_date(1993), _date(1998)))
        .with_columns(_REVENUE.alias("volume"), c("l_shipdate").dt.year().alias("l_year"))
        .group_by("supp_nation", "cust_nation", "l_year").agg(c("volume").sum().alias("revenue")).sort("supp_nation", "cust_nation", "l_year")
    )  # fmt: skip


def q8(part: F, supplier: F, lineitem: F, orders: F, customer: F, nation: F, region: F) -> F:
    """National market share."""
    n1, n2 = nation.select("n_nationkey", "n_regionkey"), nation.select("n_nationkey", "n_name")
    return (
        part.join(lineitem, left_on="p_partkey", right_on="l_partkey").join(supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(orders, left_on="l_orderkey", right_on="o_orderkey").join(customer, left_on="o_custkey", right_on="c_custkey")
        .join(n1, left_on="c_nationkey", right_on="n_nationkey").join(region, left_on="n_regionkey", right_on="r_regionkey").filter(c("r_name") == "AMERICA")
        .join(n2, left_on="s_nationkey", right_on="n_nationkey").filter(c("o_orderdate").is_between(_date(1993), _date(1996, 12, 31)), c("p_type") == "STANDARD BRASS")
        .select(c("o_orderdate").dt.year().alias("o_year"), _REVENUE.alias("volume"), c("n_name").alias("nation"))
        .with_columns(pl.when(c("nation") == "BRAZIL").then(c("volume")).otherwise(0).alias("_tmp"))
        .group_by("o_year").agg((c("_tmp").sum() / c("volume").sum()).round(4).alias("mkt_share")).sort("o_year")
    )  # fmt: skip


def q9(part: F, supplier: F, lineitem: F, partsupp: F, orders: F, nation: F) -> F:
    """Profit by product type."""
    return (
        part.join(partsupp, left_on="p_partkey", right_on="ps_partkey").join(supplier, left_on="ps_suppkey", right_on="s_suppkey")
        .join(lineitem, left_on=["p_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"]).join(orders, left_on="l_orderkey", right_on="o_orderkey")
        .join(nation, left_on="s_nationkey", right_on="n_nationkey").filter(c("p_name").str.contains("green"))
        .select(c("n_name").alias("nation"), c("o_orderdate").dt.year().alias("o_year"), (_REVENUE - c("ps_supplycost") * c("l_quantity")).alias("amount"))
        .group_by("nation", "o_year").agg(c("amount").sum().alias("sum_profit")).sort("nation", "o_year", descending=[False, True])
    )  # fmt: skip


def q10(customer: F, orders: F, lineitem: F, nation: F) -> F:
    """Returned items."""
    return (
        customer.join(orders, left_on="c_custkey", right_on="o_custkey").join(lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(nation, left_on="c_nationkey", right_on="n_nationkey").filter(c("o_orderdate").is_between(_date(1993), _date(1995), closed="left"), c("l_returnflag") == "R")
        .group_by("c_custkey", "c_name", "c_acctbal", "c_phone", "n_name", "c_address").agg(_REVENUE.sum().round(2).alias("revenue"))
        .sort("revenue", descending=True).head(20)
    )  # fmt: skip


def q11(partsupp: F, supplier: F, nation: F) -> F:
    """Important stock."""
    german = (
        partsupp.join(supplier, left_on="ps_suppkey", right_on="s_suppkey")
        .join(nation, left_on="s_nationkey", right_on="n_nationkey")
        .filter(c("n_name") == "GERMANY")
    )
    least = german.select((c("ps_supplycost") * c("ps_availqty")).sum().alias("tmp") * 0.04)
    return (
        german.group_by("ps_partkey").agg((c("ps_supplycost") * c("ps_availqty")).sum().round(2).alias("value"))
        .join(least, how="cross").filter(c("value") > c("tmp")).select("ps_partkey", "value").sort("value", descending=True)
    )  # fmt: skip


def q12(orders: F, lineitem: F) -> F:
    """Shipping modes and priority."""
    urgent = c("o_orderpriority").is_in(["1-URGENT", "2-HIGH"])
    return (
        orders.join(lineitem, left_on="o_orderkey", right_on="l_orderkey").filter(c("l_shipmode").is_in(["MAIL", "SHIP"]))
        .filter(c("l_commitdate") < c("l_receiptdate"), c("l_shipdate") < c("l_commitdate"), c("l_receiptdate").is_between(_date(1993), _date(1997), closed="left"))
        .with_columns(pl.when(urgent).then(1).otherwise(0).alias("high"), pl.when(~urgent).then(1).otherwise(0).alias("low"))
        .group_by("l_shipmode").agg(c("high").sum(), c("low").sum()).sort("l_shipmode")
    )  # fmt: skip


def q13(customer: F, orders: F) -> F:
    """How many orders customers have."""
    plain = orders.filter(~c("o_comment").str.contains("special.*requests"))
    return (
        customer.join(plain, left_on="c_custkey", right_on="o_custkey", how="left").group_by("c_custkey").agg(c("o_orderkey").count().alias("c_count"))
        .group_by("c_count").agg(pl.len().alias("custdist")).sort("custdist", "c_count", descending=True)
    )  # fmt: skip


def q14(lineitem: F, part: F) -> F:
    """Effect of a promotion."""
    promo = pl.when(c("p_type").str.starts_with("PROMO")).then(_REVENUE).otherwise(0).sum()
    return (
        lineitem.join(part, left_on="l_partkey", right_on="p_partkey").filter(c("l_shipdate").is_between(_date(1995), _date(1996), closed="left"))
        .select((100.0 * promo / _REVENUE.sum()).round(2).alias("promo_revenue"))
    )  # fmt: skip


def q15(lineitem: F, supplier: F) -> F:
    """The top supplier."""
    revenue = (
        lineitem.filter(c("l_shipdate").is_between(_date(1995), _date(1997), closed="left")).group_by(c("l_suppkey").alias("supplier_no"))
        .agg(_REVENUE.sum().alias("total_revenue"))
    )  # fmt: skip
    return (
        supplier.join(revenue, left_on="s_suppkey", right_on="supplier_no").filter(c("total_revenue") == c("total_revenue").max()).with_columns(c("total_revenue").round(2))
        .select("s_suppkey", "s_name", "s_address", "s_phone", "total_revenue").sort("s_suppkey")
    )  # fmt: skip


def q16(part: F, partsupp: F, supplier: F) -> F:
    """Suppliers of parts."""
    bad = supplier.filter(c("s_comment").str.contains("Customer.*Complaints")).select("s_suppkey")
    return (
        part.join(partsupp, left_on="p_partkey", right_on="ps_partkey").filter(c("p_brand") != "Brand#45", ~c("p_type").str.starts_with("MEDIUM"), c("p_size") < 40)
        .join(bad, left_on="ps_suppkey", right_on="s_suppkey", how="left", coalesce=False).filter(c("s_suppkey").is_null())
        .group_by("p_brand", "p_type", "p_size").agg(c("ps_suppkey").n_unique().alias("supplier_cnt"))
        .sort("supplier_cnt", "p_brand", "p_type", "p_size", descending=[True, False, False, False])
    )  # fmt: skip


def q17(lineitem: F, part: F) -> F:
    """Revenue of small orders."""
    wanted = part.filter(c("p_brand").is_in(["Brand#23", "Brand#12"])).join(lineitem, left_on="p_partkey", right_on="l_partkey", how="left")
    usual = wanted.group_by("p_partkey").agg((0.6 * c("l_quantity").mean()).alias("avg_quantity"))
    return (
        usual.join(wanted, on="p_partkey").filter(c("l_quantity") < c("avg_quantity")).select((c("l_extendedprice").sum() / 7.0).round(2).alias("avg_yearly"))
    )  # fmt: skip


def q18(customer: F, orders: F, lineitem: F) -> F:
    """Large customers."""
    large = lineitem.group_by("l_orderkey").agg(c("l_quantity").sum().alias("sum_quantity")).filter(c("sum_quantity") > 110)
    return (
        orders.join(large, left_on="o_orderkey", right_on="l_orderkey", how="semi").join(lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(customer, left_on="o_custkey", right_on="c_custkey").group_by("c_name", "o_custkey", "o_orderkey", "o_orderdate", "o_totalprice").agg(c("l_quantity").sum().alias("sum"))
        .select("c_name", c("o_custkey").alias("c_custkey"), "o_orderkey", "o_orderdate", "o_totalprice", "sum").sort("o_totalprice", "o_orderdate", descending=[True, False]).head(100)
    )  # fmt: skip


def q19(lineitem: F, part: F) -> F:
    """Discounted revenue."""
    small = (c("p_brand") == "Brand#12") & c("p_container").is_in(["SM CASE", "SM BOX"]) & c("l_quantity").is_between(1, 30) & c("p_size").is_between(1, 35)
    large = (c("p_brand") == "Brand#23") & c("p_container").is_in(["LG BOX", "LG CASE"]) & c("l_quantity").is_between(10, 50) & c("p_size").is_between(1, 45)
    return (
        part.join(lineitem, left_on="p_partkey", right_on="l_partkey").filter(c("l_shipmode").is_in(["AIR", "MAIL"]), c("l_shipinstruct") == "DELIVER IN PERSON")
        .filter(small | large).select(_REVENUE.sum().round(2).alias("revenue"))
    )  # fmt: skip


def q20(supplier: F, nation: F, partsupp: F, part: F, lineitem: F) -> F:
    """Parts to be promoted."""
    shipped = (
        lineitem.filter(c("l_shipdate").is_between(_date(1993), _date(1998), closed="left"))
        .group_by("l_partkey", "l_suppkey")
        .agg((c("l_quantity").sum() * 0.5).alias("sum_quantity"))
    )
    here = supplier.join(nation.filter(c("n_name").is_in(["CANADA", "FRANCE"])), left_on="s_nationkey", right_on="n_nationkey")
    return (
        part.filter(c("p_name").str.starts_with("forest")).select("p_partkey").unique().join(partsupp, left_on="p_partkey", right_on="ps_partkey")
        .join(shipped, left_on=["ps_suppkey", "p_partkey"], right_on=["l_suppkey", "l_partkey"]).filter(c("ps_availqty") > c("sum_quantity")).select("ps_suppkey").unique()
        .join(here, left_on="ps_suppkey", right_on="s_suppkey").sort("s_name").select("s_name", "s_address")
    )  # fmt: skip


def q21(supplier: F, lineitem: F, orders: F, nation: F) -> F:
    """Suppliers who kept orders waiting."""
    late = lineitem.filter(c("l_receiptdate") > c("l_commitdate"))
    several = (
        lineitem.group_by("l_orderkey").agg(c("l_suppkey").n_unique().alias("n_supp_by_order")).filter(c("n_supp_by_order") > 1).join(late, on="l_orderkey")
    )
    return (
        several.group_by("l_orderkey").agg(c("l_suppkey").n_unique().alias("n_late")).join(several, on="l_orderkey").join(supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(nation, left_on="s_nationkey", right_on="n_nationkey").join(orders, left_on="l_orderkey", right_on="o_orderkey")
        .filter(c("n_late") == 1, c("n_name").is_in(["SAUDI ARABIA", "GERMANY", "FRANCE"]), c("o_orderstatus") == "F")
        .group_by("s_name").agg(pl.len().alias("numwait")).sort("numwait", "s_name", descending=[True, False]).head(100)
    )  # fmt: skip


def q22(customer: F, orders: F) -> F:
    """Customers who may buy again."""
    known = customer.with_columns(c("c_phone").str.slice(0, 2).alias("cntrycode")).filter(c("cntrycode").is_in(["13", "31", "23", "29"]))
    usual = known.filter(c("c_acctbal") > 0.0).select(c("c_acctbal").mean().alias("avg_acctbal"))
    ordered = orders.select("o_custkey").unique().with_columns(c("o_custkey").alias("seen"))
    return (
        known.join(ordered, left_on="c_custkey", right_on="o_custkey", how="left").filter(c("seen").is_null()).join(usual, how="cross")
        .filter(c("c_acctbal") > c("avg_acctbal")).group_by("cntrycode").agg(c("c_acctbal").count().alias("numcust"), c("c_acctbal").sum().round(2).alias("totacctbal")).sort("cntrycode")
    )  # fmt: skip


QUERIES: tuple[Callable[..., F], ...] = (q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11, q12, q13, q14, q15, q16, q17, q18, q19, q20, q21, q22)
_NATIONS = {"FRANCE": 0, "GERMANY": 0, "BRAZIL": 1, "CANADA": 1, "CHINA": 2, "INDIA": 2, "SAUDI ARABIA": 3}
_KEYS = {"q1": ("l_returnflag", "l_linestatus"), "q3": ("l_orderkey",), "q4": ("o_orderpriority",), "q5": ("n_name",), "q8": ("o_year",), "q9": ("nation", "o_year"), "q11": ("ps_partkey",),
         "q12": ("l_shipmode",), "q13": ("c_count",), "q15": ("s_suppkey",), "q18": ("o_orderkey",), "q21": ("s_name",), "q22": ("cntrycode",)}  # fmt: skip


def tables(seed: int = 3) -> dict[str, pl.DataFrame]:
    """All eight tables, made by chance from few values."""
    chance = random.Random(seed)

    def days(n: int, *, after: list[dt.date] | None = None, most: int = 2000) -> list[dt.date]:
        return [(after[i] if after else _date(1993)) + dt.timedelta(days=chance.randint(1, most)) for i in range(n)]

    def pick(values: list[str], n: int) -> list[str]:
        return [chance.choice(values) for _ in range(n)]

    def numbers(low: int, high: int, n: int) -> list[int]:
        return [chance.randint(low, high) for _ in range(n)]

    def money(n: int, low: float = 10.0, high: float = 900.0) -> list[float]:
        return [round(chance.uniform(low, high), 2) for _ in range(n)]

    customers, suppliers, parts, orders, lines = 40, 12, 30, 110, 380
    pairs = chance.sample([(part, supplier) for part in range(parts) for supplier in range(suppliers)], 90)
    ordered, of_order = days(orders), numbers(0, orders - 1, lines)
    shipped = days(lines, after=[ordered[i] for i in of_order], most=90)
    of_pair = [chance.choice(pairs) for _ in range(lines)]
    return {
        "region": pl.DataFrame({"r_regionkey": [0, 1, 2, 3], "r_name": ["EUROPE", "AMERICA", "ASIA", "MIDDLE EAST"]}),
        "nation": pl.DataFrame({"n_nationkey": list(range(7)), "n_name": list(_NATIONS), "n_regionkey": list(_NATIONS.values())}),
        "supplier": pl.DataFrame({
            "s_suppkey": list(range(suppliers)), "s_name": [f"Supplier#{i}" for i in range(suppliers)], "s_address": [f"{i} Road" for i in range(suppliers)],
            "s_nationkey": [i % 7 for i in range(suppliers)], "s_phone": [f"{10 + i}-55" for i in range(suppliers)], "s_acctbal": money(suppliers),
            "s_comment": pick(["fine", "fine", "Customer has Complaints"], suppliers),
        }),
        "part": pl.DataFrame({
            "p_partkey": list(range(parts)), "p_name": pick(["forest green", "forest red", "sky green", "plum"], parts), "p_mfgr": pick(["M1", "M2"], parts),
            "p_brand": pick(["Brand#12", "Brand#23", "Brand#45"], parts), "p_type": pick(["STANDARD BRASS", "PROMO BRASS", "MEDIUM TIN", "STANDARD BRASS"], parts),
            "p_size": numbers(1, 50, parts), "p_container": pick(["SM CASE", "SM BOX", "LG BOX"], parts),
        }),
        "partsupp": pl.DataFrame({"ps_partkey": [p for p, _ in pairs], "ps_suppkey": [s for _, s in pairs], "ps_availqty": numbers(1, 200, 90), "ps_supplycost": money(90)}),
        "customer": pl.DataFrame({
            "c_custkey": list(range(customers)), "c_name": [f"Customer#{i}" for i in range(customers)], "c_address": [f"{i} Street" for i in range(customers)],
            "c_nationkey": numbers(0, 6, customers), "c_phone": [f"{code}-{i}" for i, code in enumerate(pick(["13", "31", "23", "29", "44"], customers))],
            "c_acctbal": money(customers, -100.0, 900.0), "c_mktsegment": pick(["BUILDING", "MACHINERY"], customers),
        }),
        "orders": pl.DataFrame({
            "o_orderkey": list(range(orders)), "o_custkey": numbers(0, customers - 12, orders), "o_orderstatus": pick(["F", "O"], orders), "o_totalprice": money(orders),
            "o_orderdate": ordered, "o_orderpriority": pick(["1-URGENT", "2-HIGH", "5-LOW"], orders), "o_shippriority": numbers(0, 1, orders),
            "o_comment": pick(["quick", "special big requests"], orders),
        }),
        "lineitem": pl.DataFrame({
            "l_orderkey": of_order, "l_partkey": [p for p, _ in of_pair], "l_suppkey": [s for _, s in of_pair], "l_quantity": numbers(1, 50, lines), "l_extendedprice": money(lines),
            "l_discount": [n / 100 for n in numbers(0, 10, lines)], "l_tax": [n / 100 for n in numbers(0, 8, lines)], "l_returnflag": pick(["R", "A", "N"], lines),
            "l_linestatus": pick(["O", "F"], lines), "l_shipdate": shipped, "l_commitdate": days(lines, after=shipped, most=30), "l_receiptdate": days(lines, after=shipped, most=40),
            "l_shipmode": pick(["MAIL", "SHIP", "AIR"], lines), "l_shipinstruct": pick(["DELIVER IN PERSON", "NONE"], lines),
        }),
    }  # fmt: skip


def cases() -> list[Case]:
    """Every query with its tables."""
    made = tables()
    return [
        Case(query.__name__, query, {name: made[name] for name in list(query.__annotations__) if name != "return"}, _KEYS.get(query.__name__, ()))
        for query in QUERIES
    ]
