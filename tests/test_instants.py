"""Instants of Parquet and Arrow files as they are: zones without a name, and 96 bits beyond what nanoseconds can count."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake.ingest import ingest
from lake.landing import land
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of
from lake.wording import in_words
from tests.test_reading import read

MOMENT = dt.datetime(2024, 1, 5, 4, 30, tzinfo=dt.UTC)


def written(table: pa.Table, kind: str, **options: Any) -> bytes:
    """As a file."""
    buffer = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, buffer, **options)
    else:
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("zone", ["+05:30", "-03:30", "+0530", "-08:00", "+14:00", "Z", "UTC", "Europe/Berlin", "Mars/Base One", "+05:45"])
def test_an_instant_is_what_it_is_in_whatever_zone(zone: str, kind: str) -> None:
    """It is stored in UTC; a column that is called like a zone keeps its name, durations and zones beside it their types."""
    table = pa.table(
        {
            "n": [1, 2],
            zone: ["x", "y"],
            "t": pa.array([MOMENT, None], pa.timestamp("us", zone)),
            "s": pa.array([MOMENT, None], pa.timestamp("s", zone)),
            "inside": pa.array([{"t": MOMENT}, None], pa.struct([("t", pa.timestamp("ms", zone))])),
            "berlin": pa.array([MOMENT, None], pa.timestamp("us", "Europe/Berlin")),
            "long": pa.array([dt.timedelta(seconds=1), None], pa.duration("us")),
        }
    )
    found = read(written(table, kind), f"x.{kind}").frame
    assert [value.astimezone(dt.UTC) for value in (found["t"][0], found["s"][0], found["berlin"][0], found["inside"][0]["t"])] == [MOMENT] * 4
    assert [found[name][1] for name in ("t", "s", "berlin")] == [None] * 3
    assert (found.columns[1], found["long"][0]) == (pl.DataFrame({zone: []}).columns[0].replace(" ", "_"), dt.timedelta(seconds=1))


FAR = ["0001-01-01T00:00:00.000001", "1600-02-29", "2024-01-05T01:02:03.123456", "2262-04-11T23:47:16.854775", "2400-01-01", "9999-12-31T23:59:59.999999"]


@pytest.mark.parametrize("schema", [True, False], ids=["with Arrow's schema", "without"])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_96_bits_reach_beyond_nanoseconds(schema: bool, count: int) -> None:
    """The years 1 to 9999, each as it is, and none in 2262 that is not."""
    moments = [np.datetime64(text, "us") for text in FAR[:count]]
    table = pa.table({"n": range(count + 1), "t": pa.array([*moments, None])})
    found = read(written(table, "parquet", use_deprecated_int96_timestamps=True, store_schema=schema), "x.parquet").frame
    assert found["t"].to_list() == [*(moment.item() for moment in moments), None]


def test_96_bits_within_nanoseconds_are_nanoseconds() -> None:
    """Of which Delta holds those that are whole microseconds, whatever else is in the file."""
    fine = pa.array([1_000_000_001, 2_000_000_000], pa.timestamp("ns"))
    data = written(
        pa.table({"t": fine, "far": pa.array([np.datetime64("1600-01-01", "us")] * 2)}), "parquet", use_deprecated_int96_timestamps=True, store_schema=False
    )
    found = read(data, "x.parquet").frame
    assert (found.schema["t"], found["t"].dt.nanosecond().to_list()) == (pl.Datetime("ns"), [1, 0])


def test_both_come_into_bronze_as_instants(run: Run, tmp_path: Path) -> None:
    """In UTC, whatever zone the file said; far ones as they are."""
    bronze = Table("bronze.instants.things")
    (tmp_path / "in").mkdir()
    zoned = pa.table({"n": [1], "t": pa.array([MOMENT], pa.timestamp("us", "+05:30")), "far": pa.array([np.datetime64("1600-01-01", "us")])})
    (tmp_path / "in" / "a.parquet").write_bytes(written(zoned, "parquet", use_deprecated_int96_timestamps=False))
    (tmp_path / "in" / "b.arrow").write_bytes(written(zoned, "arrow"))
    (tmp_path / "in" / "c.parquet").write_bytes(written(zoned.select(["n", "far"]), "parquet", use_deprecated_int96_timestamps=True, store_schema=False))
    source = Source(bronze, tmp_path / "in", "*")
    land(run, source)
    ingest(run, source)
    rows = run.snapshot(path_of(bronze.name), run.log(path_of(bronze.name)).version()).scan().sort("_file").collect()
    assert rows["far"].to_list() == [dt.datetime(1600, 1, 1)] * 3  # noqa: DTZ001  # of no zone
    assert sorted(rows["t"].drop_nulls().to_list()) == [MOMENT] * 2
    assert rows.schema["t"] == pl.Datetime("us", "UTC")


def test_no_panic_of_a_library_is_shown() -> None:
    """What it says of a value is told, and where it broke off is not."""
    said = pl.exceptions.PanicException(
        "called `Result::unwrap()` on an `Err` value: ComputeError(ErrString(\"unable to parse time zone: 'x'. Please check\\n\\nHint: did you mean\"))"
    )
    assert in_words(said) == "unable to parse time zone: 'x'. Please check"
    for text in (
        "assertion `left == right` failed\n  left: 2\n right: 18",
        "not yet implemented: Writing BinaryView to JSON",
        "index out of bounds: the len is 1 but the index is 2",
    ):
        assert in_words(pl.exceptions.PanicException(text)) == "the library broke off at what it does not know, or at damage"
