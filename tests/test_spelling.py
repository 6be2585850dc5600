"""Numbers that are infinite or none are shown as such wherever rows are told as JSON, and JSON stays JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lake.catalog import Catalog
from lake.cli.render import print_json, shown
from lake.contract import PROVENANCE, Contract
from lake.difference import difference_of
from lake.hop import changes, hop
from lake.run import Run
from lake.spelling import finite, row_as_json, value_as_json
from lake.table import Table
from tests.tiny import bring, bronze_orders, write_orders

INF, NAN = float("inf"), float("nan")


def _no_json(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


@pytest.mark.parametrize(
    ("dtype", "value", "told"),
    [
        (pl.Float64, 1.5, "1.5"), (pl.Float64, None, "null"), (pl.Float64, INF, '"inf"'), (pl.Float32, -INF, '"-inf"'), (pl.Float64, NAN, '"NaN"'),
        (pl.Int64, 3, "3"), (pl.String, 'a "b"', '"a \\"b\\""'), (pl.List(pl.Float64), [1.0, INF], '[1.0,"inf"]'), (pl.List(pl.Float64), [1.0, None], "[1.0,null]"),
        (pl.Array(pl.Float64, 2), [NAN, 1.0], '["NaN",1.0]'), (pl.Struct({"a": pl.Float64, "b": pl.Int64}), {"a": NAN, "b": 1}, '{"a":"NaN","b":1}'),
        (pl.List(pl.Struct({"a": pl.Float64})), [{"a": INF}], '[{"a":"inf"}]'),
    ],
)  # fmt: skip
def test_a_value_as_json(dtype: Any, value: Any, told: str) -> None:
    """At any depth; what is finite stays a number."""
    frame = pl.DataFrame({'it\'s "a"': pl.Series([value], dtype=dtype), "n": [1]})
    name = frame.columns[0]
    assert frame.select(value_as_json(pl.col(name), frame.schema[name])).item() == told
    row = frame.select(row_as_json({one: (pl.col(one), kind) for one, kind in frame.schema.items()})).item()
    assert json.loads(row, parse_constant=_no_json) == {name: json.loads(told), "n": 1}


class Ratio(Contract):
    """A ratio."""

    order = dy.Int64(primary_key=True, description="Number")
    ratio = dy.Float64(nullable=False, max=10, metadata={"unit": "1"}, description="What of what")


def test_a_reject_shows_the_infinite_number_that_was_caught(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not null beside the rule `ratio|max`; and the listing as JSON is JSON."""
    ratios = Table("silver.shop.ratios", Ratio, max_rejected=1.0)

    @hop(ratios, write="merge", raw=changes(bronze_orders))
    def divide(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", (1 / pl.col("amount").cast(pl.Float64)).alias("ratio"), *PROVENANCE)

    write_orders(tmp_path, "a.csv", [(1, "a", "0", ""), (2, "a", "0.05", ""), (3, "a", "1", "")])
    bring(run, tmp_path, divide)
    rows = Catalog(run.store).rejects(ratios.name).sort("_row").collect()
    assert [json.loads(row)["ratio"] for row in rows["row"]] == ["inf", 20.0]
    print_json(rows.to_dicts())
    assert len(json.loads(capsys.readouterr().out, parse_constant=_no_json)) == 2


def test_differences_and_cells_show_them() -> None:
    """`was inf, is NaN`, and never `was null`."""
    was, now = (pl.LazyFrame({"k": [1], "v": [value]}) for value in (INF, NAN))
    assert difference_of(was, now, ["k"]).examples.select("was", "is").row(0) == ('"inf"', '"NaN"')
    assert (shown(INF), shown(-INF), shown(NAN), finite({"a": [NAN, 1.0]})) == ("inf", "-inf", "NaN", {"a": ["NaN", 1.0]})
