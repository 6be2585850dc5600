"""The content hash: a number for a set of rows that says whether it is the same set, however it is ordered, split, stored or computed."""

from __future__ import annotations

import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import column, dataframes, series

from lake.content import ALGORITHM, Content, content_sums, read_sums, row_hash
from lake.contract import FILE, LANDED, PROVENANCE, ROW
from lake.record import ContentHash

law = settings(max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

DTYPES: list[Any] = [
    pl.Int8(), pl.Int64(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Binary(), pl.Date(), pl.Datetime("us"), pl.Datetime("us", "UTC"),
    pl.Decimal(38, 4), pl.List(pl.String()), pl.List(pl.List(pl.Int64())), pl.Struct({"x": pl.Int64(), "y": pl.String()}),
    pl.List(pl.Struct({"x": pl.Float64(), "y": pl.List(pl.Boolean())})),
]  # fmt: skip
PINNED = {"polars-2.1-row-sum": "3-24393100d-1c4c1b179"}
"""What EXAMPLE's content is under each algorithm that ever was in commit records."""
EXAMPLE = pl.DataFrame(
    {
        "id": [1, 2, 3], "name": ["", "Ærø", None], "fee": [Decimal("0.10"), None, Decimal("-3.00")], "ratio": [0.1, float("nan"), None],
        "on": [dt.date(1969, 12, 31), None, dt.date(2024, 2, 29)], "at": [dt.datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=dt.UTC), None, None],
        "ok": [True, False, None], "raw": [b"\x00\xff", b"", None], "tags": [["a", None], [], None],
        "place": [{"x": 1, "y": "a"}, {"x": None, "y": None}, None],
    },
    schema_overrides={"fee": pl.Decimal(10, 2), "at": pl.Datetime("us", "UTC")},
)  # fmt: skip


def content(frame: pl.DataFrame | pl.LazyFrame, engine: Literal["in-memory", "streaming"] = "in-memory") -> Content:
    """The content of all rows of `frame`."""
    columns = frame.collect_schema().names()
    return read_sums(frame.lazy().select(content_sums(columns)).collect(engine=engine).row(0, named=True))


def frames(*, min_rows: int = 0, max_rows: int = 8) -> st.SearchStrategy[pl.DataFrame]:
    """Frames of one to four columns of types that Delta holds; in chunks, with nulls, and with garbage behind nulls."""
    return st.lists(st.sampled_from(DTYPES), min_size=1, max_size=4).flatmap(
        lambda dtypes: dataframes([column(f"c{i}", dtype=dtype) for i, dtype in enumerate(dtypes)], min_size=min_rows, max_size=max_rows)
    )


def with_cells(frame: pl.DataFrame, name: str, cells: dict[int, pl.Series]) -> pl.DataFrame:
    """`frame` with the cells of the column `name` at some rows replaced, each by a series of one."""
    parts = [cells.get(i, frame[name].slice(i, 1)).rename(name) for i in range(frame.height)]
    return frame.with_columns(pl.concat(parts))


@law
@given(frames(), st.randoms())
def test_the_order_of_rows_and_columns_does_not_matter(frame: pl.DataFrame, random: Any) -> None:
    """The same rows in another order, with their columns in another order, are the same content."""
    order = list(range(frame.height))
    random.shuffle(order)
    names = frame.columns
    random.shuffle(names)
    assert content(frame) == content(frame[order].select(names))


@law
@given(frames(), st.data())
def test_the_parts_add_up_to_the_whole(frame: pl.DataFrame, data: st.DataObject) -> None:
    """However rows are split, the contents of the parts add up to the whole's, and subtracting one part leaves the other's."""
    mask = pl.Series(data.draw(st.lists(st.booleans(), min_size=frame.height, max_size=frame.height)), dtype=pl.Boolean)
    kept, removed = frame.filter(mask), frame.filter(~mask)
    assert content(frame) == content(kept) + content(removed)
    assert content(kept) == content(frame) - content(removed)
    assert Content() == content(frame) - content(frame)


@law
@given(frames(), st.sampled_from(DTYPES))
def test_a_column_of_nulls_changes_nothing(frame: pl.DataFrame, dtype: pl.DataType) -> None:
    """A column added later, null in the old rows, leaves their content as it was."""
    assert content(frame) == content(frame.with_columns(pl.lit(None, dtype=dtype).alias("added")))


@law
@given(frames())
def test_provenance_is_not_content(frame: pl.DataFrame) -> None:
    """The same rows from another file, place and time are the same content."""
    at = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    placed = frame.with_columns(pl.lit("raw/a").alias(FILE), pl.lit(at).alias(LANDED)).with_row_index(ROW, offset=1)
    assert set(PROVENANCE) <= set(placed.columns)
    assert content(frame) == content(placed)


@law
@given(frames(min_rows=1), st.data())
def test_any_changed_cell_changes_the_content(frame: pl.DataFrame, data: st.DataObject) -> None:
    """One cell with another value, null and empty among them, is other content."""
    name = data.draw(st.sampled_from(frame.columns))
    row = data.draw(st.integers(0, frame.height - 1))
    other = data.draw(series(dtype=frame.schema[name], min_size=1, max_size=1))
    assume(not frame[name].slice(row, 1).equals(other))
    assert content(frame) != content(with_cells(frame, name, {row: other}))


@law
@given(frames(min_rows=2), st.data())
def test_values_swapped_between_rows_change_the_content(frame: pl.DataFrame, data: st.DataObject) -> None:
    """Two rows that exchange one of their values, and differ in another, are other content."""
    assume(frame.width > 1)
    name = data.draw(st.sampled_from(frame.columns))
    first, second = data.draw(st.lists(st.integers(0, frame.height - 1), min_size=2, max_size=2, unique=True))
    one, two = frame.slice(first, 1), frame.slice(second, 1)
    assume(not one[name].equals(two[name]) and not one.drop(name).equals(two.drop(name)))
    assert content(frame) != content(with_cells(frame, name, {first: two[name], second: one[name]}))


@law
@given(st.sampled_from(DTYPES), st.data())
def test_values_swapped_between_columns_change_the_content(dtype: pl.DataType, data: st.DataObject) -> None:
    """A row whose values stand in each other's columns is other content."""
    frame = data.draw(dataframes([column("a", dtype=dtype), column("b", dtype=dtype)], min_size=1, max_size=4))
    swapped = frame.select(pl.col("b").alias("a"), pl.col("a").alias("b"))
    rows = [frame.slice(i, 1) for i in range(frame.height)]
    differing = next((i for i, row in enumerate(rows) if not row["a"].rename("b").equals(row["b"])), None)
    assume(differing is not None)
    assert content(frame.slice(differing or 0, 1)) != content(swapped.slice(differing or 0, 1))


@law
@given(frames())
def test_engine_chunks_and_files_do_not_matter(frame: pl.DataFrame) -> None:
    """The streaming engine, contiguous memory and a Parquet file with other row groups give the content that memory gives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        frame.write_parquet(path, row_group_size=3)
        expected = content(frame)
        assert expected == content(frame, "streaming")
        assert expected == content(frame.rechunk())
        assert expected == content(pl.scan_parquet(path), "streaming")


def test_many_rows_agree_between_engines() -> None:
    """Half a million rows, more than one morsel of the streaming engine, have one content in both engines, and no two hashes alike."""
    frame = pl.LazyFrame({"n": range(500_000)}).with_columns(text=pl.col("n").cast(pl.String), half=pl.col("n") / 2)
    assert content(frame) == content(frame, "streaming")
    assert frame.select(row_hash(["n", "text", "half"]).n_unique()).collect().item() == 500_000


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_rows_are_no_content(dtype: pl.DataType) -> None:
    """An empty table has the content that sums start from, whatever its columns."""
    assert Content() == content(pl.DataFrame(schema={"a": dtype}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([""], [None]), ([0], [None]), ([False], [None]), ([b""], [None]), ([[]], [None]), ([[None]], [[]]), ([[[]]], [[]]), ([[None, None]], [[None]]),
        ([["ab", "c"]], [["a", "bc"]]), ([[1, 2]], [[2, 1]]), ([{"x": None}], [None]), ([{"x": 1, "y": 2}], [{"x": 2, "y": 1}]),
        ([1, 1], [1]), ([1, 1, 2], [1, 2, 2]), ([0.0], [5e-324]), (["a"], ["a\0"]),
    ],
    ids=repr,
)  # fmt: skip
def test_near_misses_differ(one: list[Any], other: list[Any]) -> None:
    """Empty is not null, nested values keep their places, and a row that stands there twice counts twice."""
    dtype = pl.Series(one).dtype
    assert content(pl.DataFrame({"a": one}, schema={"a": dtype})) != content(pl.DataFrame({"a": other}, schema={"a": dtype}))


def test_the_algorithm_is_pinned() -> None:
    """A known table has the content it had when its algorithm got its name; whoever changes one changes the other and adds it here."""
    assert PINNED.get(ALGORITHM) == content(EXAMPLE).to_hash().value


@law
@given(frames())
def test_a_content_survives_the_record(frame: pl.DataFrame) -> None:
    """A content read from a commit record is the one that was put there."""
    there = content(frame)
    assert there == Content.from_hash(ContentHash.model_validate_json(there.to_hash().model_dump_json()))


def test_a_content_by_another_algorithm_is_unknown() -> None:
    """Sums by another algorithm, or none at all, are not taken for ours."""
    assert Content.from_hash(ContentHash(algorithm="polars-0.1-row-sum", value="1-2-3")) is None
    assert Content.from_hash(None) is None
