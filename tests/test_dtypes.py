"""The gate: any Polars type is refused by name, or comes back from a real Delta table with the same values, and the log bounds them."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import re
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lake.contract import Contract, judge
from lake.datafile import measure, parts_in, write_parts
from lake.delta import DataFile, creation
from lake.dtypes import Gate, delta_type, gate, polars_type
from lake.errors import DTypeRefused, SchemaRefused

law = settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # instants are compared as counts of microseconds
MICROSECONDS = {"ns": 0.001, "us": 1, "ms": 1000}
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
FIRST, LAST = (int((moment - EPOCH).total_seconds()) for moment in (dt.datetime(1000, 1, 1), dt.datetime(9998, 1, 1)))  # noqa: DTZ001
NANOSECONDS_OF = {"ns": 1, "us": 1_000, "ms": 1_000_000}
WHOLE = {
    pl.Int8: (-(2**7), 2**7 - 1), pl.Int16: (-(2**15), 2**15 - 1), pl.Int32: (-(2**31), 2**31 - 1), pl.Int64: (-(2**63), 2**63 - 1),
    pl.UInt8: (0, 2**8 - 1), pl.UInt16: (0, 2**16 - 1), pl.UInt32: (0, 2**32 - 1), pl.UInt64: (0, 2**64 - 1),
    pl.Int128: (-(10**38) + 1, 10**38 - 1), pl.UInt128: (0, 2**128 - 1),
}  # fmt: skip
REPRESENTED = (pl.UInt64, pl.Int128, pl.Time, pl.Duration)
UNSTORABLE = (pl.UInt128, pl.Object, pl.Unknown, pl.Map)


@st.composite
def decimals(draw: st.DrawFn) -> pl.Decimal:
    """A decimal type of any precision and scale."""
    precision = draw(st.integers(1, 38))
    return pl.Decimal(precision, draw(st.integers(0, precision)))


LEAVES = st.one_of(
    st.sampled_from([*WHOLE, pl.Float16, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time, pl.Null, pl.Categorical]).map(lambda t: t()),
    decimals(),
    st.builds(pl.Enum, st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True)),
    st.builds(pl.Datetime, st.sampled_from(["ns", "us", "ms"]), st.sampled_from(ZONES)),
    st.builds(pl.Duration, st.sampled_from(["ns", "us", "ms"])),
)
DTYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(pl.List, inner),
        st.builds(pl.Array, inner, st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda types: pl.Struct([pl.Field(f"f{i}", dtype) for i, dtype in enumerate(types)])),
    ),
    max_leaves=5,
)
EVERY_DTYPE = st.one_of(DTYPES, st.sampled_from([pl.Object(), pl.Unknown(), pl.Map(pl.String(), pl.Int64()), pl.Struct([]), pl.List(pl.UInt128())]))


def raw(dtype: Any) -> Any:
    """The type that holds the same values as plain Python numbers and text, from which Polars casts to `dtype`."""
    if isinstance(dtype, pl.List):
        return pl.List(raw(dtype.inner))
    if isinstance(dtype, pl.Array):
        return pl.Array(raw(dtype.inner), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct([pl.Field(field.name, raw(field.dtype)) for field in dtype.fields])
    if isinstance(dtype, pl.Datetime | pl.Duration | pl.Time):
        return pl.Int64()
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    return pl.Int32() if dtype == pl.Date else dtype


def values(dtype: Any, *, nested: bool = False) -> st.SearchStrategy[Any]:
    """Values of `dtype` as `raw(dtype)` spells them, null among them."""
    return st.none() | _present(dtype, nested=nested)


def _present(dtype: Any, *, nested: bool) -> st.SearchStrategy[Any]:
    if dtype.base_type() in WHOLE:
        return st.integers(*WHOLE[dtype.base_type()])
    if dtype.is_float():
        return st.floats(width={pl.Float16: 16, pl.Float32: 32, pl.Float64: 64}[dtype.base_type()])
    if isinstance(dtype, pl.Decimal):
        return st.integers(-(10**dtype.precision) + 1, 10**dtype.precision - 1).map(lambda n: Decimal((n < 0, tuple(map(int, str(abs(n)))), -dtype.scale)))
    if isinstance(dtype, pl.Enum):
        return st.sampled_from(dtype.categories.to_list())
    if isinstance(dtype, pl.Datetime):
        unit = 1_000_000_000 // NANOSECONDS_OF[dtype.time_unit]
        low, high = max(FIRST * unit, -(2**63) + 1), min(LAST * unit, 2**63 - 1)
        return st.integers(low, high) | st.integers(max(FIRST, low // unit), min(LAST, high // unit)).map(lambda seconds: seconds * unit)
    if isinstance(dtype, pl.Duration):
        return st.integers(-(2**53), 2**53) | st.integers(-(2**40), 2**40).map(lambda n: n * 1000)
    if isinstance(dtype, pl.Time):
        return st.integers(0, 86_399).map(lambda seconds: seconds * 10**9) if nested else st.integers(0, 86_400 * 10**9 - 1)
    if isinstance(dtype, pl.List):
        return st.lists(values(dtype.inner, nested=True), max_size=3)
    if isinstance(dtype, pl.Array):
        return st.lists(values(dtype.inner, nested=True), min_size=dtype.size, max_size=dtype.size)
    if isinstance(dtype, pl.Struct):
        return st.fixed_dictionaries({field.name: values(field.dtype, nested=True) for field in dtype.fields})
    plain = {
        pl.Boolean: st.booleans(), pl.String: st.text(max_size=80), pl.Categorical: st.text(max_size=3), pl.Binary: st.binary(max_size=8),
        pl.Date: st.dates().map(lambda day: (day - EPOCH.date()).days), pl.Null: st.none(),
    }  # fmt: skip
    return plain[dtype.base_type()]


@st.composite
def tables(draw: st.DrawFn) -> tuple[pl.Schema, dict[str, list[Any]]]:
    """A schema of any types, and rows for it as plain Python values."""
    schema = pl.Schema({f"c{i}": dtype for i, dtype in enumerate(draw(st.lists(DTYPES, min_size=1, max_size=4)))})
    rows = draw(st.integers(0, 5))
    return schema, {name: draw(st.lists(values(dtype), min_size=rows, max_size=rows)) for name, dtype in schema.items()}


def frame_of(schema: pl.Schema, data: dict[str, list[Any]]) -> pl.DataFrame:
    """The rows as a frame of exactly that schema."""
    return pl.DataFrame([pl.Series(name, data[name], dtype=raw(dtype), strict=True).cast(dtype) for name, dtype in schema.items()])


def meaning(value: Any, dtype: Any) -> Any:
    """What a raw value of `dtype` says: instants and durations in microseconds, times in nanoseconds, floats to the bit."""
    if value is None:
        return None
    if isinstance(dtype, pl.List | pl.Array):
        return [meaning(item, dtype.inner) for item in value]
    if isinstance(dtype, pl.Struct):
        return {field.name: meaning(value[field.name], field.dtype) for field in dtype.fields}
    if isinstance(dtype, pl.Datetime | pl.Duration):
        return value * NANOSECONDS_OF[dtype.time_unit] // 1000
    return repr(float(value)) if dtype.is_float() else value


def told(value: Any, dtype: Any) -> Any:
    """What a value read back says, in the same words, for a column that was of `dtype`."""
    if value is None:
        return None
    if isinstance(dtype, pl.List | pl.Array):
        return [told(item, dtype.inner) for item in value]
    if isinstance(dtype, pl.Struct):
        return {field.name: told(value[field.name], field.dtype) for field in dtype.fields}
    if isinstance(dtype, pl.Time):
        hours, minutes, seconds = value.split(":")
        return (int(hours) * 3600 + int(minutes) * 60) * 10**9 + int(Decimal(seconds) * 10**9)
    return repr(value) if dtype.is_float() else value


def create(frame: pl.DataFrame, passage: Gate, folder: Path) -> list[dict[str, Any]]:
    """Write a frame as version 0 of a Delta table at `folder` by the project's own pieces. Returns the statistics of each file."""
    write_parts(frame.lazy().select(passage.expressions), folder)
    files = [DataFile(part.relative_to(folder).as_posix(), part.stat().st_size, *measure(part)) for part in parts_in(folder)]
    log = folder / "_delta_log"
    log.mkdir()
    actions = creation("silver.test.types", "A table of types", passage.schema, {}) + [file.added() for file in files]
    (log / f"{0:020d}.json").write_text("\n".join(json.dumps(action) for action in actions), "utf-8")
    return [json.loads(file.stats) for file in files]


def readings(folder: Path) -> dict[str, pl.DataFrame]:
    """The table at `folder` as Polars, delta-rs with Arrow, and DuckDB read it."""
    parts = [part.as_posix() for part in parts_in(folder)]
    with duckdb.connect() as connection:
        return {
            "polars": pl.scan_delta(folder).collect(),
            "arrow": pl.DataFrame(pl.from_arrow(DeltaTable(folder).to_pyarrow_table())),
            "duckdb": connection.read_parquet(parts).pl(),
        }


def inexact_counts(frame: pl.DataFrame, passage: Gate) -> dict[str, int]:
    """How many values of each column the conversion would change, as the gate counts them."""
    return frame.lazy().select([count.alias(name) for name, count in passage.inexact.items()]).collect().row(0, named=True) if passage.inexact else {}


def cut(schema: pl.Schema, data: dict[str, list[Any]]) -> dict[str, int]:
    """How many values of each column are finer than a microsecond, counted in Python."""
    fine = {name: dtype for name, dtype in schema.items() if getattr(dtype, "time_unit", None) == "ns"}
    return {name: sum(value is not None and value % 1000 != 0 for value in data[name]) for name in fine}


def storable(dtype: Any, *, represent: bool, nested: bool = False) -> bool:
    """Whether Delta can hold the type, said once more and shorter than the gate says it."""
    if isinstance(dtype, pl.List | pl.Array):
        return storable(dtype.inner, represent=represent, nested=True)
    if isinstance(dtype, pl.Struct):
        return bool(dtype.fields) and all(storable(field.dtype, represent=represent, nested=True) for field in dtype.fields)
    if nested and (dtype == pl.Duration or (isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns")):
        return False
    return dtype.base_type() not in UNSTORABLE and (represent or dtype.base_type() not in REPRESENTED)


def bound(text: Any, dtype: pl.DataType) -> Any:
    """A bound in the log as a number or text that compares with raw values; only the protocol's spelling is accepted."""
    if isinstance(dtype, pl.Datetime):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}" + ("Z" if dtype.time_zone else ""), text)
        return (dt.datetime.fromisoformat(text.removesuffix("Z")) - EPOCH) // dt.timedelta(microseconds=1)
    if dtype == pl.Date:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", text)
        return (dt.date.fromisoformat(text) - EPOCH.date()).days
    return Decimal(repr(text)) if isinstance(dtype, pl.Decimal) else text


def check_statistics(stats: list[dict[str, Any]], written: pl.DataFrame) -> None:
    """Fail unless the statistics of the only file are true of the rows written."""
    assert [written.height] == [file["numRecords"] for file in stats] or (not written.height and not stats)
    for file, (name, dtype) in itertools.product(stats, written.schema.items()):
        present = written[name].cast(raw(dtype)).drop_nulls().to_list() if not dtype.is_nested() else []
        if not dtype.is_nested():
            assert file["nullCount"][name] == written.height - len(present)
        assert (name in file["minValues"]) == (name in file["maxValues"])
        if name in file["minValues"]:
            low, high = bound(file["minValues"][name], dtype), bound(file["maxValues"][name], dtype)
            assert all(low <= value <= high for value in present)
            assert not any(isinstance(value, float) and math.isnan(value) for value in present)


@law
@given(tables(), st.booleans())
def test_a_table_is_refused_or_comes_back_equal(table: tuple[pl.Schema, dict[str, list[Any]]], represent: bool) -> None:
    """What the gate lets pass reads back with the same values in three readers, under the schema lake says, within the log's bounds."""
    schema, data = table
    frame = frame_of(schema, data)
    try:
        passage = gate(schema, represent=represent)
    except DTypeRefused:
        assert not all(storable(dtype, represent=represent) for dtype in schema.values())
        return
    counted = inexact_counts(frame, passage)
    assert cut(schema, data) == {name: count for name, count in counted.items() if schema[name] != pl.Int128}
    if any(counted.values()):
        return  # nothing is published then
    expected = {name: [meaning(value, dtype) for value in data[name]] for name, dtype in schema.items()}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "table"
        stats = create(frame, passage, folder)
        fields = json.loads(DeltaTable(folder).schema().to_json())["fields"]
        assert dict(passage.schema) == {field["name"]: polars_type(field["type"]) for field in fields}
        for reader, back in readings(folder).items():
            actual = {name: [told(value, dtype) for value in back[name].cast(raw(back.schema[name])).to_list()] for name, dtype in schema.items()}
            assert expected == actual, reader
        check_statistics(stats, frame.select(passage.expressions))


@law
@given(st.lists(EVERY_DTYPE, min_size=1, max_size=6), st.booleans())
def test_a_refusal_names_every_column_that_cannot_pass_and_no_other(dtypes: list[pl.DataType], represent: bool) -> None:
    """Each column that Delta cannot hold is named in the refusal, each that it can is not."""
    schema = pl.Schema({f"column{i}x": dtype for i, dtype in enumerate(dtypes)})
    expected = [name for name, dtype in schema.items() if not storable(dtype, represent=represent)]
    try:
        gate(schema, represent=represent)
        named: list[str] = []
    except DTypeRefused as refused:
        named = re.findall(r"column\d+x", refused.message)
    assert expected == named


@law
@given(DTYPES)
def test_a_gated_type_survives_the_log(dtype: pl.DataType) -> None:
    """A type that passed the gate is spelled into the log and read from it as the same type, and passes again unchanged."""
    try:
        gated = gate(pl.Schema({"a": dtype}), represent=True).schema["a"]
    except DTypeRefused:
        return
    spelled = json.loads(json.dumps(delta_type(gated)))
    assert gated == polars_type(spelled)
    assert gated == gate(pl.Schema({"a": gated})).schema["a"]


def written(series: pl.Series, folder: Path, *, represent: bool = False) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One column, written as a Delta table and read back with Polars; and the statistics of its file."""
    frame = series.alias("a").to_frame()
    passage = gate(frame.schema, represent=represent)
    assert not any(inexact_counts(frame, passage).values())
    stats = create(frame, passage, folder / "table")
    check_statistics(stats, frame.select(passage.expressions))
    return pl.scan_delta(folder / "table").collect(), stats[0]
