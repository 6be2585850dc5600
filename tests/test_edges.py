"""Values at the edges: what writers and readers of Delta are known to cut, skip or stumble over."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal

import polars as pl
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from lake.content import content_sums
from lake.dtypes import gate
from lake.errors import DTypeRefused
from tests.test_dtypes import create, inexact_counts, written


@pytest.mark.parametrize("dtype", [pl.List(pl.Time()), pl.Struct({"t": pl.Time()}), pl.Array(pl.Time(), 1)], ids=str)
def test_a_time_inside_a_nested_value_keeps_its_fraction_or_is_refused(dtype, tmp_path) -> None:
    """A time of day inside a list or struct keeps its fraction, or is refused."""
    time = dt.time(1, 2, 3, 456789)
    frame = pl.DataFrame({"a": pl.Series([{"t": time} if dtype == pl.Struct else [time]], dtype=dtype)})
    try:
        passage = gate(frame.schema, represent=True)
    except DTypeRefused:
        return
    create(frame, passage, tmp_path / "t")
    assert "456789" in json.dumps(pl.scan_delta(tmp_path / "t").collect().to_dicts())


def test_a_duration_that_overflows_is_counted() -> None:
    """A duration that microseconds cannot hold never becomes another in silence."""
    frame = pl.DataFrame({"a": pl.Series([2**62], dtype=pl.Int64).cast(pl.Duration("ms"))})
    passage = gate(frame.schema, represent=True)
    assert frame.select(passage.expressions).item() != 0 or any(inexact_counts(frame, passage).values())


@pytest.mark.parametrize(
    "series",
    [
        pl.Series([dt.datetime(9999, 12, 31, 23, 59, 59, 999999)], dtype=pl.Datetime("us")),  # noqa: DTZ001
        pl.Series([dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)], dtype=pl.Datetime("us", "UTC")),
        pl.Series([2**60], dtype=pl.Int64).cast(pl.Datetime("us")),
        pl.Series([-719_529], dtype=pl.Int32).cast(pl.Date),
        pl.Series([2_932_897], dtype=pl.Int32).cast(pl.Date),
    ],
    ids=["last microsecond of 9999", "the same in UTC", "year 38505", "year -1", "10000-01-01"],
)
def test_far_dates_are_measured(series, tmp_path) -> None:
    """Dates beyond the years Python knows are written, without bounds."""
    written(series, tmp_path)


@pytest.mark.parametrize("zone", [None, dt.UTC], ids=str)
def test_years_before_1000_are_spelled_with_four_digits(zone, tmp_path) -> None:
    """Years have four digits in the log, or delta-rs finds no row of the file."""
    data = [dt.datetime(900, 1, 1, tzinfo=zone), dt.datetime(2024, 1, 1, tzinfo=zone)]
    frame = pl.DataFrame({"a": pl.Series(data, dtype=pl.Datetime("us", zone and "UTC"))})
    stats = create(frame, gate(frame.schema), tmp_path / "table")
    assert stats[0]["minValues"]["a"].startswith("0900-01-01T")
    assert DeltaTable(tmp_path / "table").to_pyarrow_table(filters=[("a", "=", data[1])]).num_rows == 1


@pytest.mark.parametrize(
    "series",
    [
        pl.Series([True, False]), pl.Series([1.5, math.inf]), pl.Series([1.5, math.nan]), pl.Series([Decimal(10**16)], dtype=pl.Decimal(38, 0)),
        pl.Series([Decimal("0.00001")], dtype=pl.Decimal(10, 5)), pl.Series([Decimal(10**17 + 1)], dtype=pl.Decimal(38, 0)),
    ],
    ids=["boolean", "infinity", "NaN", "decimal 1e+16", "decimal 1e-05", "decimal that no float holds"],
)  # fmt: skip
def test_delta_rs_finds_rows_whose_column_has_odd_bounds(series, tmp_path) -> None:
    """A filter finds the row whatever its bounds are."""
    frame = series.alias("a").to_frame()
    create(frame, gate(frame.schema), tmp_path / "t")
    dataset = DeltaTable(tmp_path / "t").to_pyarrow_dataset()
    assert dataset.to_table(filter=pc.field("a") == series[0]).num_rows == 1, [str(f.partition_expression) for f in dataset.get_fragments()]


def test_delta_rs_finds_long_text(tmp_path) -> None:
    """Text longer than a bound is found."""
    frame = pl.DataFrame({"a": ["x" * 65]})
    create(frame, gate(frame.schema), tmp_path / "t")
    assert "null[" not in str(next(DeltaTable(tmp_path / "t").to_pyarrow_dataset().get_fragments()).partition_expression)


@pytest.mark.parametrize("name", ["*", "^b.*$"])
def test_a_column_name_that_is_a_pattern_is_refused_or_kept(name, tmp_path) -> None:
    """A name that Polars would take for a pattern never selects other columns."""
    frame = pl.DataFrame({name: [1], "bz": [2]})
    try:
        passage = gate(frame.schema)
    except DTypeRefused:
        return
    create(frame, passage, tmp_path / "t")
    frame.select(content_sums(frame.columns))
    assert pl.scan_delta(tmp_path / "t").collect().to_dicts() == frame.to_dicts()


def test_nested_integers_of_39_digits_are_counted_or_refused() -> None:
    """Integers too large for a decimal do not pass inside a list."""
    frame = pl.DataFrame({"a": pl.Series([[10**38]], dtype=pl.List(pl.Int128))})
    try:
        passage = gate(frame.schema, represent=True)
    except DTypeRefused:
        return
    assert any(inexact_counts(frame, passage).values())
