"""Types as promised: what a number or a date would change is rejected or rescued, never rounded, and what says the same is cast."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

import lake
from lake.contract import PROVENANCE, RESCUED, Contract, judge
from lake.execute import execute
from lake.fit import exactly
from lake.guess import guess_columns
from lake.hop import changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.quarantine import open_rejects
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of
from tests.test_reading import law
from tests.tiny import last_record

UTC, NAIVE = pl.Datetime("us", "UTC"), pl.Datetime("us")


class Price(Contract):
    """What something costs, and since when."""

    item = dy.Int64(primary_key=True, description="Number")
    price = dy.Decimal(12, 2, nullable=True, description="Price", metadata={"unit": "EUR"})
    since = dy.Date(nullable=True, description="First day")


BRONZE = Table("bronze.types.prices")
PRICES = Table("silver.types.prices", Price, owner="x", max_rejected=1.0)
ROWS = [("1", "1.50", "2024-01-05"), ("2", "1.599", "2024-01-05"), ("3", "+5", "24-01-05"), ("4", "1.500", "2024-02-29"), ("5", "1.601e0", "2024-01-06")]


def _take(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("item", "price", "since", *PROVENANCE)


TAKE = hop(PRICES, write="merge", raw=changes(BRONZE))(_take)


def _records() -> list[dict[str, Any]]:
    return [dict(zip(("item", "price", "since"), row, strict=True)) for row in ROWS]


def _frame() -> pl.DataFrame:
    return pl.DataFrame(_records(), schema={"item": pl.String, "price": pl.String, "since": pl.String})


def _excel() -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"strings_to_numbers": False}) as made:
        sheet = made.add_worksheet("prices")
        for i, row in enumerate([("item", "price", "since"), *ROWS]):
            for j, value in enumerate(row):
                if value is not None:
                    sheet.write_string(i, j, value)
    return buffer.getvalue()


def _binary(write: Callable[[pl.DataFrame, Any], object]) -> bytes:
    buffer = io.BytesIO()
    write(_frame(), buffer)
    return buffer.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "csv": lambda: _frame().write_csv().encode(),
    "tsv": lambda: _frame().write_csv(separator="\t", quote_style="always").encode(),
    "json": lambda: json.dumps(_records()).encode(),
    "ndjson": lambda: _frame().write_ndjson().encode(),
    "xlsx": _excel,
    "parquet": lambda: _binary(pl.DataFrame.write_parquet),
    "arrow": lambda: _binary(pl.DataFrame.write_ipc),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_price_that_would_be_rounded_and_a_year_of_two_digits_are_rejects(kind: str, run: Run, tmp_path: Path) -> None:
    """`price|dtype` and `since|date`, with the text as it stood, whatever the file; trailing zeros and a plus say nothing."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"a.{kind}").write_bytes(FILES[kind]())
    source = Source(BRONZE, tmp_path / "in", "*")
    land(run, source)
    ingest(run, source)
    execute(run, TAKE)
    rows = run.snapshot(path_of(PRICES.name), run.log(path_of(PRICES.name)).version()).scan().sort("item").collect()
    assert rows.select("item", "price", "since").rows() == [(1, Decimal("1.50"), dt.date(2024, 1, 5)), (4, Decimal("1.50"), dt.date(2024, 2, 29))]
    bad = open_rejects(run, PRICES, last_record(run, PRICES)).collect()
    told = sorted((json.loads(row)["price"], json.loads(row)["since"], tuple(rules)) for row, rules in bad.select("row", "rules").rows())
    assert told == [("+5", "24-01-05", ("since|date",)), ("1.599", "2024-01-05", ("price|dtype",)), ("1.601e0", "2024-01-06", ("price|dtype",))]


class Numbers(Contract):
    """A column of each type that numbers have."""

    whole = dy.Int64(nullable=True)
    small = dy.Int8(nullable=True)
    price = dy.Decimal(12, 2, nullable=True)
    none = dy.Decimal(10, 0, nullable=True)
    double = dy.Float64(nullable=True)
    single = dy.Float32(nullable=True)
    day = dy.Date(nullable=True)


def judged(column: str, values: list[Any], dtype: Any = pl.String) -> tuple[list[Any], list[Any]]:
    """What the contract takes in of a column of so many values, and what it rejects."""
    frame = pl.DataFrame(
        {name: pl.Series(values if name == column else [None] * len(values), dtype=dtype if name == column else pl.String) for name in Numbers.column_names()}
    )
    found = judge(Numbers, frame.lazy(), who="a test")
    bad = found.bad.collect()
    assert all(rules[0].startswith(f"{column}|") for rules in bad["_rules"])
    return found.good.collect()[column].to_list(), bad[column].to_list()


@pytest.mark.parametrize(
    ("column", "kept", "rejected"),
    [
        ("whole", ["7", "+5", "-0", "007", "9223372036854775807"], ["1.0", "1.5", "1e3", "9223372036854775808", "x", ""]),
        ("small", ["127", "-128"], ["128", "1.0"]),
        ("price", ["1.50", "1.5", "1.", ".5", "-.50", "1.500000", "+5", "1e3", "1.5E2", "15e-1", "9999999999.99", "007"], ["1.599", "1.005", "-0.001", "1.599e0", "1e-3", "1e-400", "10000000000.00", "1,5"]),
        ("none", ["5", "5.0", "1e3"], ["5.1", "0.9", "-0.5", "5.0001"]),
        ("double", ["1.599", "0.1", "1e3", "+5", "9007199254740992", "3.1400000000000001", "0", "0e5"], ["9007199254740993", "9007199254740993.0", "12345678901234567890", "1e400", "1e-400"]),
        ("single", ["0.1", "16777216", "1.5"], ["16777217", "123456789"]),
        ("day", ["2024-01-05", "2024-1-5", "0024-01-05"], ["24-01-05", "024-01-05", "12024-01-05", "2024-02-30", "2024-01-05T00:00", "05.01.2024", "20240105", " 2024-01-05"]),
    ],
    ids=["whole", "small", "price", "none", "double", "single", "day"],
)  # fmt: skip
def test_text_is_cast_where_it_says_the_same(column: str, kept: list[str], rejected: list[str]) -> None:
    """And is a reject where the number or the date would be another."""
    good, bad = judged(column, [*kept, *rejected, None])
    assert (len(good), bad) == (len(kept) + 1, rejected)
    assert None not in good[:-1]


@law
@given(
    st.lists(
        st.one_of(
            st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**11), max_value=10**11).map(str),
            st.from_regex(r"\A[+-]?[0-9]{0,6}\.?[0-9]{0,6}([eE][+-]?[0-9]{1,2})?\Z"),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_decimal_is_the_number_of_its_text(texts: list[str]) -> None:
    """By Python's own arithmetic: what comes in is equal, and nothing that is equal and fits stays out (but for a power of ten with many digits)."""
    good, bad = judged("price", texts)
    kept = [text for text in texts if text not in bad]
    assert [Decimal(text) for text in kept] == good
    for text in bad:
        try:
            value = Decimal(text)
        except ArithmeticError:
            continue
        fits = abs(value) < 10**10 and value == round(value, 2)
        assert not fits or "e" in text.lower(), text


def test_whole_numbers_that_a_float_has_not_are_rejects() -> None:
    """Of numbers as of text."""
    assert judged("double", [2**53, 2**53 + 1, -(2**53) - 1, None], pl.Int64) == ([2.0**53, None], [2**53 + 1, -(2**53) - 1])
    assert judged("double", [2**64 - 1, 2**63], pl.UInt64) == ([2.0**63], [2**64 - 1])
    assert judged("double", [2**31 - 1], pl.Int32) == ([2147483647.0], [])


@pytest.mark.parametrize(
    ("dtype", "kept", "rescued"),
    [
        (pl.Date(), ["2024-01-05"], ["24-01-05", "2024-01-05 10:00:00", "2024-01-05T00:00:00Z", "2024-1-5", "2024-02-30", "05/01/2024"]),
        (NAIVE, ["2024-01-05T10:00:00", "2024-01-05 10:00", "2024-01-05T10:00:00.5", "2024-01-05"], ["24-01-05 10:00", "2024-01-05T10:00:00Z", "2024-01-05T10:00:00 oops", "2024-01-05T24:00:00", "2024-01-05T23:59:60"]),
        (UTC, ["2024-01-05T10:00:00Z", "2024-01-05 10:00+05:30", "2024-01-05T10:00:00.123456000-0330"], ["2024-01-05T10:00:00", "2024-01-05T10:00:00.1234567Z", "2024-01-05T10:00:00+25:00", "2024-01-05"]),
        (pl.Decimal(12, 2), ["1.50", "1.5", "+5", "0"], ["1.599", "007", "1e3", "x"]),
        (pl.Float64(), ["1.50", "1.5", "+5", "0.10"], ["007", "9007199254740993", "3.14159265358979323846", "x"]),
        (pl.Int64(), ["5", "+5"], ["007", "1.0", "1e3", ""]),
    ],
    ids=["date", "naive", "instant", "decimal", "double", "whole"],
)  # fmt: skip
def test_text_in_a_column_of_another_type_is_exact_or_rescued(dtype: pl.DataType, kept: list[str], rescued: list[str]) -> None:
    """To its last character, not the first ten."""
    value, exact = exactly(pl.col("x"), pl.String(), dtype)
    found = pl.DataFrame({"x": [*kept, *rescued]}).select(value.alias("value"), exact.alias("exact"))
    assert found["exact"].to_list() == [True] * len(kept) + [False] * len(rescued)
    assert found["value"].head(len(kept)).null_count() == 0


def test_an_offset_is_the_instant_it_says() -> None:
    """`+05:30` before UTC, `-0330` after."""
    value, _ = exactly(pl.col("x"), pl.String(), UTC)
    found = pl.DataFrame({"x": ["2024-01-05T10:00:00+05:30", "2024-01-05 10:00:00-0330", "2024-01-05T10:00:00.25-08"]}).select(value).to_series().to_list()
    assert found == [dt.datetime(2024, 1, 5, *clock, tzinfo=dt.UTC) for clock in ((4, 30), (13, 30), (18, 0, 0, 250_000))]


@pytest.mark.parametrize("pair", [(NAIVE, UTC), (UTC, NAIVE), (pl.Date(), UTC)], ids=["clock as instant", "instant as clock", "day as instant"])
def test_what_a_clock_showed_is_no_instant(pair: tuple[pl.DataType, pl.DataType]) -> None:
    """Neither becomes the other in silence."""
    given_type, wanted = pair
    _, exact = exactly(pl.col("x"), given_type, wanted)
    assert pl.DataFrame({"x": pl.Series([0, None]).cast(given_type)}).select(exact).to_series().to_list() == [False, True]


def test_what_is_rescued_is_the_value_that_stood_there(run: Run, tmp_path: Path) -> None:
    """NaN and infinity told from null, a number beside one a number, bytes in base64, decimals with their zeros."""
    bronze = Table("bronze.types.rescued")
    folder = tmp_path / "in"
    folder.mkdir()
    pl.DataFrame({"n": [1], "x": [1], "y": [1], "z": [1], "w": [1]}).write_parquet(folder / "a.parquet")
    pl.DataFrame(
        {
            "n": [2, 3, 4, 5],
            "x": [float("nan"), float("inf"), None, 2.0],
            "y": pl.Series([b"\0\xff", b"", None, b"1"]),
            "z": [[1.5, float("nan")], [None], None, []],
            "w": pl.Series([Decimal("1.50"), Decimal("2.00"), None, Decimal("-0.01")], dtype=pl.Decimal(10, 2)),
        }
    ).write_parquet(folder / "b.parquet")
    source = Source(bronze, folder, "*")
    land(run, source)
    ingest(run, source)
    rows = run.snapshot(path_of(bronze.name), run.log(path_of(bronze.name)).version()).scan().sort("n").collect()
    assert rows["x"].to_list() == [1, None, None, None, 2]
    assert [json.loads(text) if text else None for text in rows[RESCUED]] == [
        None,
        {"x": "NaN", "y": "AP8=", "z": [1.5, "NaN"], "w": "1.50"},
        {"x": "inf", "y": "", "z": [None]},
        None,
        {"y": "MQ==", "z": [], "w": "-0.01"},
    ]


def test_no_guess_is_an_instant_that_would_be_cut() -> None:
    """Nanoseconds are kept as text; zeros after microseconds say nothing."""
    for texts, guess, remark in (
        (["2024-01-05T10:00:00.123456789Z"], pl.String(), "instants finer than microseconds: text keeps them"),
        (["2024-01-05T10:00:00.123456000Z"], UTC, "text in bronze"),
    ):
        (column,) = guess_columns(pl.LazyFrame({"at": texts}), {}, 1)
        assert (column.guess, column.remark.startswith(remark)) == (guess, True)


def test_no_guess_is_a_date_of_two_digits() -> None:
    """It would be the year 24."""
    (column,) = guess_columns(pl.LazyFrame({"day": ["24-01-05", "24-01-06"]}), {}, 2)
    assert column.guess == pl.String


def brought(run: Run, folder: Path, files: dict[str, Any], **declared: Any) -> tuple[list[str], list[str | None]]:
    """What the last commit says of the files, and what is in `_rescued`, by file and row."""
    bronze = Table(f"bronze.types.{folder.name}", **declared)
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    source = Source(bronze, folder, "*")
    land(run, source)
    ingest(run, source)
    rows = run.snapshot(path_of(bronze.name), run.log(path_of(bronze.name)).version()).scan().sort("_landed", "_row").collect()
    return [notice.line() for notice in last_record(run, bronze).notices if notice.what == "rescued"], rows[RESCUED].to_list()


def test_what_is_rescued_is_counted_and_announced(run: Run, tmp_path: Path) -> None:
    """Fields beyond the header, columns that a frozen table has not, values that a column's type has not."""
    folder = tmp_path / "fields"
    assert brought(run, folder, {"a.csv": "order,amount\n1,10\n2,20,oops\n3,30\n"}) == (
        ["1 row has fields that no column has a name for: kept in _rescued in a.csv"],
        [None, '["oops"]', None],
    )
    told, _ = brought(run, folder, {"b.csv": "order,amount\n4,10\n5,20,x,y\n6,30,z\n", "c.csv": "order,amount\n7,1\n8,2,w\n9,3\n"})
    assert told == ["3 rows have fields that no column has a name for: kept in _rescued in b.csv and 1 more file"]
    assert brought(run, folder, {"d.csv": "order,amount\n10,1\n"})[0] == []
    folder = tmp_path / "frozen"
    brought(run, folder, {"a.csv": "order,amount\n1,10\n"}, policy="freeze")
    told, rescued = brought(run, folder, {"b.csv": "order,amount,note\n2,20,late\n3,30,\n4,40,x\n"}, policy="freeze")
    assert told == ["column note is unknown: kept in _rescued (3 values) in b.csv"]
    assert rescued[1:] == ['{"note":"late"}', '{"note":""}', '{"note":"x"}']
    folder = tmp_path / "typed"
    frames = {name: io.BytesIO() for name in "ab"}
    pl.DataFrame({"n": [1], "x": [1]}).write_parquet(frames["a"])
    pl.DataFrame({"n": [2, 3, 4], "x": ["5", "five", None]}).write_parquet(frames["b"])
    brought(run, folder, {"a.parquet": frames["a"].getvalue()})
    told, rescued = brought(run, folder, {"b.parquet": frames["b"].getvalue()})
    assert (told, rescued) == (["column x has values that its type has not: kept in _rescued (1 value) in b.parquet"], [None, None, '{"x":"five"}', None])


def test_what_a_large_file_has_beyond_its_header_is_counted_too(run: Run, tmp_path: Path) -> None:
    """Where rows are written as they are read, rather than held."""
    rows = "".join(f"{i},{'x' * 40}{',more' if i % 10_000 == 0 else ''}\n" for i in range(1, 40_001))
    assert brought(run, tmp_path / "large", {"a.csv": f"order,amount\n{rows}"})[0] == [
        "4 rows have fields that no column has a name for: kept in _rescued in a.csv"
    ]


@pytest.mark.parametrize(
    ("texts", "guess", "remark"),
    [
        (["1.50", "20.25"], pl.Decimal(38, 2), "2 places seen: a value with more is rejected"),
        (["1.5", "20.2"], pl.Decimal(38, 1), "1 place seen: a value with more is rejected"),
        (["1.50", "NA"], pl.Decimal(38, 2), "'NA' in 1 row: make it null in the hop; 2 places seen: a value with more is rejected"),
        (["12345678901234567890", "1"], pl.Decimal(38, 0), "no places seen: a value with some is rejected"),
    ],
    ids=["two", "one", "with NA", "wide"],
)
def test_a_decimal_that_is_proposed_says_how_many_places_were_seen(texts: list[str], guess: pl.DataType, remark: str, tmp_path: Path) -> None:
    """A later value with more of them is rejected, and never rounded."""
    path = tmp_path / "prices.csv"
    path.write_text("n,price\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)), "utf-8")
    found = lake.preview(path)
    assert found.columns[1].guess == guess
    assert found.columns[1].remark.endswith(remark)
    assert remark.replace("make it null in the hop", "the hop makes it null") in found.contract
