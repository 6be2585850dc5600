"""The bounds of a range: dates that are none, ends before beginnings, offsets where a column has no zone; refused alike in Python, on the command line and in a form."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from lake.errors import DeclarationError, LakeError
from lake.orchestration.parameters import Bound, Day
from lake.range import Range
from tests.folders import HOPS, SOURCES, TABLES, load, write_project
from tests.test_cli import answer

NO_DATES = [
    "",
    " ",
    "yesterday",
    "2026-02-30",
    "2026-13-01",
    "01.02.2026",
    "2026-01-01T25:00",
    "2026",
    "20260101T99",
    "2026-01-01 to 2026-02-01",
    "٢٠٢٦-٠١-٠١x",
]
BACKWARDS = [
    ("2026-02-01", "2026-01-01"), ("2026-01-01", "2026-01-01"), ("2026-01-01T08:00:00", "2026-01-01"), ("2026-01-01T08:00:00+02:00", "2026-01-01T07:00:00+01:00"),
]  # fmt: skip
_PROJECT = {
    "shop/tables.py": TABLES + 'raw = Table("bronze.shop.things")\nthings = Table("silver.shop.things", Thing, time="at")\n',
    "shop/sources.py": SOURCES + 'from flows.shop import tables\n\nthings = Source(tables.raw, "inbox")\n',
    "shop/hops.py": HOPS + 'from flows.shop import tables\n\n\n@hop(tables.things, write="merge", raw=changes(tables.raw))\ndef clean(raw):\n    return raw.select("thing", "said", "at", *PROVENANCE)\n',
}  # fmt: skip


@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_no_date_is_refused(text: str) -> None:
    """In Python and in Prefect's form alike, with what to write."""
    for bounds in ((text, None), (None, text), ("2026-01-01", text)):
        with pytest.raises(LakeError, match=r"is neither a date nor an instant\. Write 2026-11-23"):
            Range(*bounds)
    for kind in (Bound, Day):
        with pytest.raises(ValidationError, match=r"Write|write"):
            TypeAdapter(kind).validate_python(text)


@pytest.mark.parametrize("given", [20260101, 1.5, True, b"2026-01-01", ["2026-01-01"], dt.timedelta(1)])
def test_numbers_are_no_dates(given: object) -> None:
    """A number is not taken for seconds since 1970."""
    with pytest.raises(LakeError, match="neither a date nor an instant"):
        Range(given)  # type: ignore[arg-type]
    for kind in (Bound, Day):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(given)


@pytest.mark.parametrize(("start", "end"), BACKWARDS)
def test_a_range_that_ends_before_it_begins(start: str, end: str) -> None:
    """So is a range that is empty; instants are compared with their offsets, those without one as UTC."""
    with pytest.raises(DeclarationError, match="has nothing in it"):
        Range(start, end)


def test_what_is_a_range() -> None:
    """Dates and instants, as text or as Python has them; one bound may be open."""
    assert Range(dt.date(2026, 1, 1), dt.datetime(2026, 1, 2, 8, tzinfo=dt.UTC)) == Range("2026-01-01", "2026-01-02T08:00:00+00:00")  # type: ignore[arg-type]
    assert Range("2026-01-01T08:00:00+02:00", "2026-01-01T07:00:00").end == "2026-01-01T07:00:00"
    assert (Range("2026-01-01").end, Range(end="20260201").end) == (None, "20260201")
    assert TypeAdapter(Day).validate_python("2026-01-05") == dt.date(2026, 1, 5)
    assert TypeAdapter(Day).json_schema() == {"type": "string", "format": "date"} == TypeAdapter(Bound).json_schema()


@pytest.mark.parametrize(
    ("dtype", "bound", "found"),
    [
        (pl.Date(), "2026-01-02", [2, 3]),
        (pl.Date(), "2026-01-02T00:00:00", [2, 3]),
        (pl.Date(), "2026-01-02T08:00:00", "holds dates, and 2026-01-02T08:00:00 says a time of day"),
        (pl.Date(), "2026-01-02T00:00:00+01:00", "holds dates"),
        (pl.Datetime("us"), "2026-01-02", [2, 3]),
        (pl.Datetime("us"), "2026-01-02T00:00:01", [3]),
        (pl.Datetime("us"), "2026-01-02T00:00:00+01:00", "without a zone, and 2026-01-02T00:00:00+01:00 has one"),
        (pl.Datetime("us"), "2026-01-02T00:00:00Z", "without a zone"),
        (pl.Datetime("us", "UTC"), "2026-01-02T01:00:00+01:00", [2, 3]),
        (pl.Datetime("us", "UTC"), "2026-01-02T00:00:00-01:00", [3]),
        (pl.Datetime("us", "UTC"), "2026-01-02", [2, 3]),
        (pl.Datetime("us", "Europe/Vienna"), "2026-01-02", [2, 3]),
    ],
)
def test_a_bound_and_the_column_it_is_for(dtype: pl.DataType, bound: str, found: list[int] | str) -> None:
    """With a zone, offsets are converted; without one, they are refused, and so is a time of day for a date. Never is half of a bound dropped."""
    days = pl.DataFrame({"n": [1, 2, 3], "at": [dt.date(2026, 1, day) for day in (1, 2, 3)]})
    zone = getattr(dtype, "time_zone", None)
    days = days.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC") if zone else dtype).cast(dtype))
    if isinstance(found, str):
        for one in (Range(bound), Range(end=bound)):
            with pytest.raises(DeclarationError, match="at holds") as refused:
                one.among("at", dtype)
            assert found in str(refused.value)
        return
    assert days.filter(Range(bound).among("at", dtype))["n"].to_list() == found
    assert days.filter(Range(end=bound).among("at", dtype))["n"].to_list() == sorted({1, 2, 3} - set(found))


@pytest.mark.parametrize("command", [["plan"], ["plan", "shop"], ["run", "shop"], ["run", "--no-prefect"]])
@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (["--from", "2026-02-30"], "'2026-02-30' is neither a date nor an instant"),
        (["--until", ""], "'' is neither a date nor an instant"),
        (["--from", "2026-02-01", "--until", "2026-01-01"], "the range from 2026-02-01 until 2026-01-01 has nothing in it"),
        (["--from", "2026-02-01T08:00:00+01:00"], "silver.shop.things: at holds instants without a zone"),
    ],
)
def test_the_command_line_refuses_before_anything_runs(tmp_path: Path, command: list[str], bounds: list[str], words: str) -> None:
    """One line and exit code 1, and no store was started for it."""
    answer(*command, *bounds, cwd=write_project(tmp_path, _PROJECT)).refused(words)
    assert not (tmp_path / ".lake").exists()


def test_a_range_of_a_subject_that_has_no_time(tmp_path: Path) -> None:
    """Where no table declares a time there is no range, on the command line and in Python."""
    root = write_project(tmp_path, _PROJECT | {"shop/tables.py": _PROJECT["shop/tables.py"].replace(', time="at"', "")})
    with pytest.raises(DeclarationError, match="no table of shop declares a time"):
        load(root, "shop").check_range(Range("2026-01-01"))
    answer("run", "shop", "--from", "2026-01-01", cwd=root).refused("no table of shop declares a time")
