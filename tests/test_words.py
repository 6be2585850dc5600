"""Words for people: types by the names that contracts are written with, rules by their docstring or by what they say, never by an engine's internals."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.catalog import Catalog
from lake.contract import Contract, document
from lake.dtypes import delta_type, stored_type_name
from lake.errors import ContractBroken, LakeError
from lake.execute import execute
from lake.expression_words import expression_words, tidied
from lake.hop import Hop, changes, hop
from lake.rule_words import asked, rule_words
from lake.rules import expect, row_count
from lake.run import Run
from lake.schemas import compare, describe, expected
from lake.table import Table
from lake.type_names import type_name
from tests.tiny import bring, bronze_orders, clean_orders, orders, write_orders

INTERNAL = re.compile(
    r'dyn |col\(|\blit\(|\[\((?!")|time_unit|time_zone=|precision=|Datetime\[|\bi64\b|"(?:long|string|integer|double|boolean|timestamp(?:_ntz)?)"'
)

SPOKEN: dict[str, tuple[pl.Expr, str]] = {
    "at most": (pl.col("air_time") <= 1500, "air_time at most 1500"),
    "below": (pl.col("a") < 1.5, "a below 1.5"),
    "a value first": (pl.lit(1) < pl.col("a"), "a above 1"),
    "equal to a text": (pl.col("status") == "flown", 'status is "flown"'),
    "one of": (pl.col("s").is_in(["A", "B"]), "s one of A, B"),
    "one of odd texts": (pl.col("s").is_in(["a b", ""]), 's one of "a b", ""'),
    "none of": (~pl.col("n").is_in([1, 2]), "n none of 1, 2"),
    "not null": (pl.col("a").is_not_null(), "a not null"),
    "null or": (pl.col("a").is_null() | (pl.col("a") > 0), "a is null or above 0"),
    "between": (pl.col("a").is_between(1, 5), "a between 1 and 5"),
    "between, half open": (pl.col("a").is_between(1, 5, closed="left"), "a at least 1 and below 5"),
    "matches": (pl.col("s").str.contains("^[A-Z]{2}$"), "s matches ^[A-Z]{2}$"),
    "contains": (pl.col("s").str.contains("(", literal=True), 's contains "("'),
    "starts": (~pl.col("s").str.starts_with("A"), 's does not start with "A"'),
    "other columns": (pl.col("landed") >= pl.col("started"), "landed at least started"),
    "sums": (pl.col("a") + pl.col("b") <= pl.col("c"), "a + b at most c"),
    "brackets where they matter": ((pl.col("a") > 1) & ((pl.col("b") > 1) | (pl.col("c") > 1)), "a above 1 and (b above 1 or c above 1)"),
    "denied": (~((pl.col("a") > 1) & (pl.col("b") > 1)), "a at most 1 or b at most 1"),
    "dates": (pl.col("d") >= dt.date(2026, 1, 31), "d at least 2026-01-31"),
    "instants": (pl.col("at") < dt.datetime(2026, 1, 31, 6, tzinfo=dt.UTC), "at below 2026-01-31 06:00 UTC"),
    "lengths of time": (pl.col("a") - pl.col("b") <= dt.timedelta(hours=3), "a − b at most 3 hours"),
    "decimals": (pl.col("m") >= Decimal("0.50"), "m at least 0.50"),
    "parts of dates": (pl.col("d").dt.year() == 2026, "year of d is 2026"),
    "lengths": (pl.col("s").str.len_chars() == 2, "length of s is 2"),
    "truth": (pl.col("is_current"), "is_current is true"),
    "shares": ((pl.col("status") == "flown").mean() > 0.9, 'share of rows where status is "flown" above 0.9'),
    "counts": (pl.len() >= 3, "number of rows at least 3"),
    "distinct": (pl.col("a").n_unique() == pl.len(), "number of distinct a is number of rows"),
    "conditions": (pl.when(pl.col("a") > 1).then(pl.col("b").is_not_null()).otherwise(True), "if a above 1, then b not null"),
    "fill_null": ((pl.col("a") > 1).fill_null(True), "a above 1, where that is known"),
}

TYPES: dict[str, tuple[Any, str]] = {
    "a text": (pl.String, "String"), "a number": (pl.Int64(), "Int64"), "truth": (pl.Boolean(), "Bool"), "an instant": (pl.Datetime("us", "UTC"), "Datetime(UTC, µs)"),
    "without zone": (pl.Datetime("us"), "Datetime(µs)"), "finer": (pl.Datetime("ns", "Europe/Vienna"), "Datetime(Europe/Vienna, ns)"), "money": (pl.Decimal(12, 2), "Decimal(12, 2)"),
    "a list": (pl.List(pl.Datetime("ms")), "List(Datetime(ms))"), "a struct": (pl.Struct({"a": pl.Int8, "b": pl.List(pl.Boolean)}), "Struct(a: Int8, b: List(Bool))"),
    "an array": (pl.Array(pl.Float32, (2, 3)), "Array(Float32, 2, 3)"), "a length": (pl.Duration("us"), "Duration(µs)"), "a choice": (pl.Enum(["x", "y"]), "Enum(x, y)"),
    "a map": (pl.Map(pl.String(), pl.Int64()), "Map(String, Int64)"),
}  # fmt: skip

LEAVES = st.sampled_from(
    [pl.String(), pl.Int8(), pl.Int64(), pl.Boolean(), pl.Date(), pl.Float64(), pl.Decimal(38, 4), pl.Datetime("us", "UTC"), pl.Datetime("us"), pl.Binary()]
)
STORED = st.recursive(
    LEAVES,
    lambda inner: inner.map(pl.List) | st.lists(inner, min_size=1, max_size=3).map(lambda types: pl.Struct({f"f{i}": t for i, t in enumerate(types)})),
    max_leaves=4,
)


class Flight(Contract):
    """A flight."""

    number = dy.Int64(primary_key=True, min=1, description="Number")
    status = dy.String(nullable=True, check=lambda column: column.is_in(["flown", "cancelled"]), description="What became of it")
    air_time = dy.Int64(nullable=True, max=1500, metadata={"unit": "min"}, description="In the air")
    code = dy.String(nullable=False, regex="^[A-Z]{2}$", min_length=2, description="Carrier")

    @dy.rule()
    def in_the_air(cls) -> pl.Expr:
        """What was in the air has flown.

        Longer words of no interest here.
        """
        return cls.air_time.col.is_null() | (cls.status.col == "flown")

    @dy.rule()
    def odd_hours(cls) -> pl.Expr:
        return cls.number.col != cls.air_time.col


@pytest.mark.parametrize(("expression", "words"), SPOKEN.values(), ids=SPOKEN)
def test_a_rule_without_docstring_is_told_in_words(expression: pl.Expr, words: str) -> None:
    """Common forms of expressions read as people would say them."""
    assert expression_words(expression) == words


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (pl.col("a").rle_id() + 1 > 3, "(a.rle_id() + 1) > 3"),
        (pl.col("s").str.json_path_match("$.dyn int: [(") == "x", 's.str.json_path_match(["$.dyn int: [("]) == "x"'),
    ],
)  # fmt: skip
def test_what_no_words_are_known_for_is_tidied(expression: pl.Expr, text: str) -> None:
    """Polars' own text is left, without its internals; texts that look like them stay as they are."""
    assert tidied(str(expression)) == text


def test_a_rule_is_told_by_its_docstring_and_a_column_rule_without_its_column() -> None:
    """The first paragraph of the docstring; else words, which leave out the column that the rule is named after."""
    assert dict(rule_words(Flight)) == {
        "in_the_air": "What was in the air has flown.", "odd_hours": "number is not air_time", "number|nullability": "not null", "number|min": "at least 1",
        "status|check": "one of flown, cancelled", "air_time|max": "at most 1500", "code|nullability": "not null", "code|min_length": "length in bytes at least 2",
        "code|regex": "matches ^[A-Z]{2}$",
    }  # fmt: skip


@pytest.mark.parametrize(("dtype", "name"), TYPES.values(), ids=TYPES)
def test_a_type_has_one_name(dtype: Any, name: str) -> None:
    """That under which a contract declares it."""
    assert type_name(dtype) == name


@given(STORED)
def test_the_stored_type_has_the_same_name(dtype: pl.DataType) -> None:
    """What a schema document spells in Delta's way is read by the name of the type it came from."""
    assert stored_type_name(delta_type(dtype)) == type_name(dtype)


def test_a_document_without_words_is_told_from_its_text() -> None:
    """Schema documents of before have Polars' text alone; no listing shows it raw."""
    old = {
        "rules": document(Flight)["rules"],
        "columns": [{"name": "air_time", "type": "long"}],
        "checks": {"enough": "fail: [(len()) > (dyn int: 3)]", "air_time|max": "warn"},
    }
    told = {rule: asked(old, rule) for rule in (*old["rules"], "enough", "air_time|dtype", "nowhere")}
    assert (told["air_time|max"], told["code|nullability"], told["enough"]) == ("at most 1500", "not null", "len() > 3")
    assert (told["air_time|dtype"], told["nowhere"]) == ("can be read as Int64", "")
    assert not [words for words in told.values() if INTERNAL.search(words)]


def test_a_changed_rule_says_from_what_to_what_and_a_reworded_one_that_it_is_the_same() -> None:
    """The words of both are in the change; a docstring alone changes no promise."""

    class Longer(Flight):
        """A flight."""

        air_time = dy.Int64(nullable=True, max=2000, metadata={"unit": "min"}, description="In the air")

        @dy.rule()
        def in_the_air(cls) -> pl.Expr:
            """Said otherwise."""
            return cls.air_time.col.is_null() | (cls.status.col == "flown")

    was, now = expected(Table("silver.x.t", Flight)), expected(Table("silver.x.t", Longer))
    assert was is not None
    assert now is not None
    changes = {change.what: (change.backward, change.forward) for change in compare(was, now) if not change.what.startswith("contract")}
    assert changes == {"rule air_time|max changed: at most 1500 became at most 2000": (False, False), "rules reworded": (True, True)}
    before = {key: value for key, value in was.items() if key != "asks"}
    assert compare(before, was) == []


def test_everything_that_shows_rules_shows_words(run: Run, tmp_path: Path) -> None:
    """Errors, records, listings and rejects of one lake: no internals of the engine anywhere, and what each rule asks."""
    write_orders(tmp_path / "in", "a.csv", [(1, "ann", "1.50", "2024-01-01"), (2, "test", "-2", "2024-01-01")])
    bring(run, tmp_path / "in", clean_orders)
    catalog = Catalog(run.store)
    assert {row["rule"]: row["asked"] for row in catalog.rules(orders.name)}["no_test_customer"] == "Test orders are not orders."
    assert [catalog.asked(orders.name)(rule) for rule in ("amount|min", "amount|dtype", "day|date")] == [
        "at least 0",
        "can be read as Decimal(12, 2)",
        "a date, as in 2026-01-31",
    ]
    strict: Hop = hop(
        Table("silver.shop.strict", orders.contract, severity={"amount|min": "fail"}, rules=(expect("paid", (pl.col("amount") > 0).all()), row_count(at_least=9))),
        write="merge", raw=changes(bronze_orders),
    )(clean_orders.function)  # fmt: skip
    with pytest.raises(ContractBroken, match=re.escape("amount|min (1): at least 0")) as told:
        execute(run, strict)
    whole: Hop = hop(Table("silver.shop.whole", orders.contract, max_rejected=1.0, rules=(row_count(at_least=9),)), write="merge", raw=changes(bronze_orders))(
        clean_orders.function
    )
    with pytest.raises(LakeError, match="asked is at least 9 rows"):
        execute(run, whole)
    shown = [str(told.value), *(row["asked"] for row in catalog.rules(orders.name)), strict.table.rules[0].limit]
    assert not [words for words in shown if INTERNAL.search(words)]
    assert strict.table.rules[0].limit == "amount above 0, in every row"


def test_schema_documents_keep_what_tells_rules_apart() -> None:
    """Words may be alike where rules are not, so the text that judges is kept beside them."""
    doc = describe(Table("silver.x.t", Flight), pl.Schema({"number": pl.Int64()}))
    assert doc["rules"]["air_time|max"] == '[(col("air_time")) <= (dyn int: 1500)]'
    assert doc["asks"]["air_time|max"] == "at most 1500"
