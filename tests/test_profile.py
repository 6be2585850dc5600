"""Profiles: merged from sketches of files, they say of a table what counting its rows says, within their stated errors, whatever was written, in whatever order."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

import lake
from lake import datafile
from lake import profile as profiles
from lake.datafile import SKETCHES, measure, sketch_path, upload_parts, write_parts
from lake.errors import UnknownName
from lake.execute import execute
from lake.maintain import maintain
from lake.profile import Profile, bars, drift_rows, profile, profile_rows
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.sketches import FileSketch, sketch, sketch_columns
from lake.table import path_of
from tests.conftest import ROOT, Built, fresh_env
from tests.test_writes import _grow, batches, cities, copied, current, history, to_cities, to_copied, to_current, to_history

NOW = dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)
ODD = pl.DataFrame(
    {
        "whole": pl.Series([1, None, -(2**62), 7, 7], dtype=pl.Int64),
        "number": [1.5, float("nan"), float("inf"), None, -0.0],
        "money": pl.Series(["1.10", "99999999999999.99", None, "-2.00", "1.10"]).cast(pl.Decimal(38, 2)),
        "day": pl.Series([0, 1, None, 6_600_000, -400_000], dtype=pl.Int32).cast(pl.Date),
        "at": [NOW, NOW + dt.timedelta(microseconds=1), None, NOW, NOW],
        "text": ["Ada L.", "", None, "üß 42", "Ada L."],
        "raw": [b"\x00", b"", None, b"abc", b"\x00"],
        "yes": [True, False, None, True, True],
        "tags": [["a", None], [], None, ["b"], ["c", "d", "e"]],
        "place": [{"x": 1}, {"x": None}, None, {"x": 2}, {"x": 1}],
        "nothing": pl.Series([None] * 5, dtype=pl.String),
    }
)


@pytest.fixture
def every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sketches are kept of files of any size."""
    monkeypatch.setattr(datafile, "WORTH_SKETCHING", 1)
    monkeypatch.setattr(profiles, "WORTH_SKETCHING", 1)


@contextlib.contextmanager
def _lake(home: Path) -> Iterator[Run]:
    with begin_run(load_settings(home=home, root=ROOT, env=fresh_env()), "test", "test") as run:
        yield run


def _of(run: Run, name: str) -> tuple[pl.DataFrame, Profile]:
    there = run.snapshot(path_of(name), run.log(path_of(name)).version())
    return there.scan().collect(), profile(there)


def _agrees(rows: pl.DataFrame, made: Profile) -> None:
    """Every figure against one counted from the rows."""
    for row in profile_rows("silver.shop.x", 0, made, None):
        values = rows[row["column"]]
        there = values.drop_nulls()
        assert (row["rows"], row["nulls"]) == (len(values), values.null_count())
        if there.dtype.is_nested() or there.dtype == pl.Boolean:
            continue
        assert row["distinct_low"] <= there.n_unique() <= row["distinct_high"]
        hidden = not len(there) or there.dtype == pl.String
        assert (row["min"], row["max"]) == ((None, None) if hidden else (str(there.min()), str(there.max())))
        if there.dtype == pl.String and len(there):
            assert (row["shortest"], row["longest"]) == (there.str.len_chars().min(), there.str.len_chars().max())


@settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(batches)
def test_whatever_was_written_the_profile_is_that_of_the_rows(
    weed_home: Path, tmp_path_factory: pytest.TempPathFactory, every_file: None, parts: list[Any]
) -> None:
    """Merges with deletions, groups by key and history, in any batches: no row that left is in the profile, and none that came is missing; no data file is read."""
    with _lake(weed_home) as run:
        _grow(run, tmp_path_factory.mktemp("files"), parts, to_current, to_copied, to_cities, to_history)
        for table in (current, copied, cities, history):
            rows, made = _of(run, table.name)
            assert made.read == 0
            _agrees(rows, made)


def test_the_profile_goes_through_compaction_and_a_full_recomputation(weed_home: Path, tmp_path: Path, every_file: None) -> None:
    """Files put together, and files written anew, are profiled as the same rows; sketches of files that went go with them."""
    with _lake(weed_home) as run:
        _grow(run, tmp_path, [[(i % 4 + 1, i, "rome", "2024-01-02")] for i in range(1, 12)], to_current)
        before = profile_rows(current.name, 0, _of(run, current.name)[1], None)
        maintain(run)
        after = profile_rows(current.name, 0, _of(run, current.name)[1], None)
        assert after == before
        execute(run, to_current, full=True)
        rows, made = _of(run, current.name)
        _agrees(rows, made)
        live = {blob.path.rsplit("/", 1)[-1] for blob in run.store.walk(path_of(current.name)) if blob.path.endswith(".parquet")}
        kept = {blob.path.rsplit("/", 1)[-1].removesuffix(".sketch") for blob in run.store.walk(f"{SKETCHES}/{path_of(current.name)}")}
        assert kept <= live


@pytest.mark.parametrize("count", [0, 1, 10, 1_000, 30_000, 500_000, 1_500_000])
def test_distinct_values_are_within_the_error_that_is_told(count: int) -> None:
    """From none to many, repeated and in parts: the true number is within the bounds of three standard errors, and the union counts what both have once."""
    values = pl.Series("n", np.arange(count), dtype=pl.Int64)
    whole = sketch(pl.concat([values, values.head(count // 2)]), values=False)
    assert whole.distinct.get_lower_bound(3) <= count <= whole.distinct.get_upper_bound(3)
    parts = [sketch(part, values=False) for part in (values.head(-(-count * 2 // 3)), values.tail(-(-count * 2 // 3)))]
    parts[0].add(parts[1])
    assert parts[0].distinct.get_lower_bound(3) <= count <= parts[0].distinct.get_upper_bound(3)
    if count:
        assert whole.distinct.get_upper_bound(1) / whole.distinct.get_estimate() < 1.03


def test_quantiles_are_within_the_error_that_is_told() -> None:
    """Of a skewed column in several parts, every quantile has the rank it claims, to two in a hundred."""
    values = pl.Series("x", np.random.default_rng(1).lognormal(size=400_000))
    made = sketch(values.head(1), values=False)
    for start in range(1, 400_000, 100_000):
        made.add(sketch(values.slice(start, 100_000), values=False))
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert float((values <= made.quantiles.get_quantile(share)).mean()) == pytest.approx(share, abs=0.02)  # type: ignore[arg-type]
    assert (made.low, made.high) == (values.min(), values.max())


@pytest.mark.parametrize("others", [30, 300_000])
def test_frequent_texts_are_found_among_few_others_and_among_many(others: int) -> None:
    """Beside texts that repeat and beside texts of which each is another: with about how often they come, and nothing that is not frequent."""
    rng = np.random.default_rng(7)
    texts = [f"order {number}" for number in rng.integers(0, others, 188_000)] + ["late"] * 10_000 + ["lost"] * 2_000
    column = pl.Series("note", rng.permutation(texts))
    made = sketch(column, values=True)
    exact = dict(column.value_counts().iter_rows())
    found = dict(made.most_frequent())
    assert {"late"} <= set(found)
    assert found["late"] == pytest.approx(10_000, rel=0.02)
    assert all(exact[text] == pytest.approx(count, rel=0.02) for text, count in found.items())
    if others > 1_000:
        assert next(iter(found)) == "late"
        assert found["lost"] == 2_000
    assert made.distinct.get_lower_bound(3) <= len(exact) <= made.distinct.get_upper_bound(3)
    lengths = column.str.len_chars()
    assert (made.rows, made.nulls, made.shortest, made.longest) == (200_000, 0, lengths.min(), lengths.max())
    assert (made.low, made.high) == (column.min(), column.max())


def test_every_type_has_its_profile(tmp_path: Path) -> None:
    """Nulls, NaN, infinities, dates beyond the calendar, decimals of 38 digits, binaries, lists and structs; and it is the same after it was stored."""
    write_parts(ODD.lazy(), tmp_path)
    made = sketch_columns(next(tmp_path.rglob("*.parquet")), values=ODD.columns)
    there = Profile(ODD.schema, made.columns, 0)
    rows = {row["column"]: row for row in profile_rows("t", 0, there, None, values=ODD.columns)}
    assert {name: row["nulls"] for name, row in rows.items()} == {name: ODD[name].null_count() for name in ODD.columns}
    assert (rows["money"]["min"], rows["money"]["max"]) == ("-2.00", "99999999999999.99")
    assert (rows["day"]["min"], rows["day"]["max"]) == ("0874-11-02", "+20040-03-09")
    assert (rows["number"]["min"], rows["number"]["max"]) == ("0", "inf")
    assert rows["yes"]["true_share"] == 0.75
    assert (rows["tags"]["shortest"], rows["tags"]["longest"]) == (0, 3)
    assert (rows["raw"]["shortest"], rows["raw"]["longest"]) == (0, 3)
    assert rows["text"]["top"][0] == {"value": "Ada L.", "share": 0.5}
    assert {one["value"] for one in rows["text"]["patterns"]} == {"Aa+ A.", "", "a+ 9+"}
    assert rows["nothing"]["distinct"] == 0
    again = FileSketch.unpacked(made.packed())
    assert profile_rows("t", 0, Profile(ODD.schema, again.columns, 0), None, values=ODD.columns) == list(rows.values())


def test_statistics_of_a_sketched_file_are_those_of_any_other(weed_home: Path, tmp_path: Path, every_file: None) -> None:
    """What the log says of a file, by which readers skip, does not depend on whether it is sketched."""
    with _lake(weed_home) as run:
        for number, frame in enumerate((ODD, ODD.drop("number"), ODD.clear(), ODD.drop("number").head(1))):
            folder = tmp_path / f"{number}"
            write_parts(frame.lazy(), folder)
            wanted = [stats for part in sorted(folder.rglob("*.parquet")) for rows, stats in [measure(part)] if rows]
            assert [json.loads(file.stats) for file in upload_parts(run.store, "silver/shop/x", folder, sketched=())] == [json.loads(one) for one in wanted]


def test_values_are_kept_only_where_they_may_be_shown(tmp_path: Path) -> None:
    """A table that allows no sample has no text of its rows in its sketches, and none in its profile."""
    write_parts(pl.LazyFrame({"name": ["Ada Lovelace"] * 9 + ["Zuse"]}), tmp_path)
    made = sketch_columns(next(tmp_path.rglob("*.parquet")))
    kept = json.dumps({name: column.kept() for name, column in made.columns.items()})
    assert "Ada" not in kept
    assert "Zuse" not in kept
    (row,) = profile_rows("t", 0, Profile(pl.Schema({"name": pl.String}), made.columns, 0), None)
    assert (row["min"], row["max"], row["top"]) == (None, None, [])
    assert row["patterns"][0] == {"value": "Aa+ Aa+", "share": 0.9}


def test_of_a_personal_column_only_counts_are_told() -> None:
    """Its ends, quantiles, frequent values and shapes are withheld, whatever the table allows; so is what moved of them."""
    frame = pl.DataFrame({"born": pl.date_range(dt.date(1970, 1, 1), dt.date(1990, 1, 1), eager=True)}).with_columns(pl.lit("Ada").alias("name"))
    document = {"sample": True, "columns": [{"name": name, "metadata": {"pii": "direct"}} for name in frame.columns]}
    made = Profile(frame.schema, {name: sketch(frame[name], values=True) for name in frame.columns}, 0)
    for row in profile_rows("t", 0, made, document, values=frame.columns):
        assert row["distinct"] > 0
        told = json.dumps(row, default=str)
        assert not any(text in told for text in ("197", "198", "Ada", "Aa"))
    later = Profile(frame.schema, {name: sketch(frame[name].tail(100), values=True) for name in frame.columns}, 0)
    assert "-01-" not in json.dumps(drift_rows("t", (0, 1), made, later, document), default=str)


def test_a_file_without_its_sketch_is_read_and_that_is_said(weed_home: Path, tmp_path: Path, every_file: None) -> None:
    """Written before there were sketches, or the sketch was lost: the profile is the same."""
    with _lake(weed_home) as run:
        _grow(run, tmp_path, [[(i, i, "rome", "2024-01-02") for i in range(1, 5)]], to_current)
        _, made = _of(run, current.name)
        there = run.snapshot(path_of(current.name), run.log(path_of(current.name)).version())
        run.store.delete([sketch_path(there.path, file.path) for file in there.files])
        _, again = _of(run, current.name)
        assert (made.read, again.read) == (0, len(there.files))
        assert profile_rows("t", 0, again, None) == profile_rows("t", 0, made, None)


def _profile_of(frame: pl.DataFrame) -> Profile:
    return Profile(frame.schema, {name: sketch(frame[name], values=False) for name in frame.columns}, 0)


def test_what_moved_is_told_and_what_did_not_is_not() -> None:
    """More nulls, another distribution, other values, a column more and one less; a column that is as it was is quiet."""
    chance = np.random.default_rng(2)
    base = {"same": chance.normal(size=20_000), "moved": chance.normal(size=20_000), "code": ["a", "b"] * 10_000, "gone": [1] * 20_000}
    then = pl.DataFrame(base | {"holes": [1.0] * 20_000})
    now = pl.DataFrame(
        {"same": chance.normal(size=20_000), "moved": chance.normal(0.5, size=20_000), "code": [f"{i:04}" for i in range(5_000)] * 4, "new": [1] * 20_000}
        | {"holes": [1.0] * 18_000 + [None] * 2_000}
    )
    rows = {row["column"]: row for row in drift_rows("t", (3, 4), _profile_of(then), _profile_of(now))}
    assert {name for name, row in rows.items() if row["moved"]} == {"moved", "code", "gone", "new", "holes"}
    assert rows["moved"]["ks"] == pytest.approx(0.197, abs=0.03)
    assert rows["holes"]["what"] == "nulls 0.0% → 10.0%"
    assert rows["gone"]["what"] == "the column is gone"
    assert rows["new"]["what"] == "new column"
    assert "distinct 2 → " in rows["code"]["what"]


def test_a_handle_shows_its_profile(flights_lake: Built) -> None:
    """From a notebook: a frame with units and meanings; of an earlier version that is none, the error names the table."""
    with lake.open(root=ROOT, home=flights_lake.settings.home) as there:
        frame = there["silver.nyc.flights"].profile()
        delay = frame.row(by_predicate=pl.col("column") == "departure_delay", named=True)
        rows = there["silver.nyc.flights"].scan().select(pl.col("departure_delay")).collect().to_series()
        assert delay["unit"] == "min"
        assert delay["mean"] == pytest.approx(rows.mean())
        assert delay["nulls"] == rows.null_count()
        assert (delay["min"], delay["max"]) == (f"{rows.min():.6g}", f"{rows.max():.6g}")
        assert there["gold.nyc.daily_delays"].profile(since=0)["moved"].sum() == 0
        with pytest.raises(UnknownName, match=r"silver\.nyc\.flights"):
            there["silver.nyc.flights"].profile(since=99)


def test_a_histogram_is_a_line_of_blocks() -> None:
    """The fullest span is a whole block, an empty one is blank."""
    assert bars([0.5, 0.0, 0.25]) == "█ ▅"
    assert bars(None) == ""
    assert decimal.Decimal("1.10") == sketch(ODD["money"].filter(ODD["money"] == decimal.Decimal("1.10")), values=False).low
