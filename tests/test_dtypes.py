"""The gate: any Polars type is refused by name, or comes back from a real Delta table with the same values, and the log bounds them."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import re
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.contract import Contract, judge
from lake.datafile import measure, parts_in, write_parts
from lake.delta import DataFile, creation
from lake.dtypes import Gate, delta_type, gate, polars_type
from lake.errors import DTypeRefused, SchemaRefused
from lake.type_names import type_name

law = settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # instants are compared as counts of microseconds
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
NANOSECONDS_OF = {"ns": 1, "us": 1_000, "ms": 1_000_000}
WHOLE = {
    pl.Int8: (-(2**7), 2**7 - 1), pl.Int16: (-(2**15), 2**15 - 1), pl.Int32: (-(2**31), 2**31 - 1), pl.Int64: (-(2**63), 2**63 - 1),
    pl.UInt8: (0, 2**8 - 1), pl.UInt16: (0, 2**16 - 1), pl.UInt32: (0, 2**32 - 1), pl.UInt64: (0, 2**64 - 1),
    pl.Int128: (-(2**127), 2**127 - 1), pl.UInt128: (0, 2**128 - 1),
}  # fmt: skip
WIDEST = {"ns": 2**63 - 2, "us": 2**63 - 2, "ms": (2**63 - 1) // 1000}
"""The count furthest from 1970 in each unit that is one of microseconds too, or of nanoseconds."""
REPRESENTED = (pl.UInt64, pl.Int128, pl.Time, pl.Duration)
UNSTORABLE = (pl.UInt128, pl.Object, pl.Unknown, pl.Map)


@st.composite
def decimals(draw: st.DrawFn) -> pl.Decimal:
    """A decimal type of any precision and scale."""
    precision = draw(st.integers(1, 38))
    return pl.Decimal(precision, draw(st.integers(0, precision)))


LEAVES = st.one_of(
    st.sampled_from([*WHOLE, pl.Float16, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time, pl.Null, pl.Categorical]).map(
        lambda t: t()
    ),
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


def values(dtype: Any) -> st.SearchStrategy[Any]:
    """Values of `dtype` as `raw(dtype)` spells them, null among them."""
    return st.none() | _present(dtype)


def _present(dtype: Any) -> st.SearchStrategy[Any]:
    if dtype.base_type() in WHOLE:
        return st.integers(*WHOLE[dtype.base_type()])
    if dtype.is_float():
        return st.floats(width={pl.Float16: 16, pl.Float32: 32, pl.Float64: 64}[dtype.base_type()])
    if isinstance(dtype, pl.Decimal):
        return st.integers(-(10**dtype.precision) + 1, 10**dtype.precision - 1).map(lambda n: Decimal((n < 0, tuple(map(int, str(abs(n)))), -dtype.scale)))
    if isinstance(dtype, pl.Enum):
        return st.sampled_from(dtype.categories.to_list())
    if isinstance(dtype, pl.Datetime):
        return _counts(dtype.time_unit, 10**12 // NANOSECONDS_OF[dtype.time_unit])
    if isinstance(dtype, pl.Duration):
        return _counts(dtype.time_unit, 1000)
    if isinstance(dtype, pl.Time):
        return st.integers(0, 86_400 * 10**9 - 1)
    if isinstance(dtype, pl.List):
        return st.lists(values(dtype.inner), max_size=3)
    if isinstance(dtype, pl.Array):
        return st.lists(values(dtype.inner), min_size=dtype.size, max_size=dtype.size)
    if isinstance(dtype, pl.Struct):
        return st.fixed_dictionaries({field.name: values(field.dtype) for field in dtype.fields})
    plain = {
        pl.Boolean: st.booleans(), pl.String: st.text(max_size=80), pl.Categorical: st.text(max_size=3), pl.Binary: st.binary(max_size=8),
        pl.Date: st.dates().map(lambda day: (day - EPOCH.date()).days) | st.integers(-(2**31) + 2, 2**31 - 2), pl.Null: st.none(),
    }  # fmt: skip
    return plain[dtype.base_type()]


def _counts(unit: str, step: int) -> st.SearchStrategy[int]:
    """Counts of a unit since 1970: of this age, whole steps, and as far as 64 bits reach."""
    far = WIDEST[unit]
    near = far // 10**5
    return (
        st.integers(-near, near)
        | st.integers(-(near // step), near // step).map(lambda n: n * step)
        | st.integers(-(far // step), far // step).map(lambda n: n * step)
    )


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
    """How many values of each column are finer than a microsecond or wider than Delta holds, counted in Python."""
    lost: dict[str, Callable[[int], bool]] = {"ns": lambda n: n % 1000 != 0, "ms": lambda n: abs(n) > WIDEST["ms"], "Int128": lambda n: abs(n) >= 10**38}
    kinds = {name: "Int128" if dtype == pl.Int128 else getattr(dtype, "time_unit", None) for name, dtype in schema.items()}
    return {name: sum(value is not None and lost[kind](value) for value in data[name]) for name, kind in kinds.items() if kind in lost}


def storable(dtype: Any, *, represent: bool, nested: bool = False) -> bool:
    """Whether Delta can hold the type, said once more and shorter than the gate says it."""
    if isinstance(dtype, pl.List | pl.Array):
        return storable(dtype.inner, represent=represent, nested=True)
    if isinstance(dtype, pl.Struct):
        return bool(dtype.fields) and all(storable(field.dtype, represent=represent, nested=True) for field in dtype.fields)
    if nested and (dtype.base_type() in (pl.Duration, pl.Time, pl.Int128) or (isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns")):
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
    return float(text) if dtype.is_float() else text


def check_statistics(folder: Path, written: pl.DataFrame) -> None:
    """Fail unless the statistics in the log of the table at `folder`, to their last digit, are true of the rows written."""
    actions = [json.loads(action) for action in (folder / "_delta_log" / f"{0:020d}.json").read_text("utf-8").splitlines()]
    stats = [json.loads(action["add"]["stats"], parse_float=Decimal) for action in actions if "add" in action]
    assert [written.height] == [file["numRecords"] for file in stats] or (not written.height and not stats)
    for file, (name, dtype) in itertools.product(stats, written.schema.items()):
        present = written[name].cast(raw(dtype)).drop_nulls().to_list() if not dtype.is_nested() else []
        if name in file.get("nullCount", {}):
            assert file["nullCount"][name] == written.height - len(present)
        if name in file.get("minValues", {}):
            assert all(bound(file["minValues"][name], dtype) <= value for value in present)
        if name in file.get("maxValues", {}):
            assert all(value <= bound(file["maxValues"][name], dtype) for value in present)


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
    assert cut(schema, data) == counted
    if any(counted.values()):
        return  # nothing is published then
    expected = {name: [meaning(value, dtype) for value in data[name]] for name, dtype in schema.items()}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "table"
        create(frame, passage, folder)
        fields = json.loads(DeltaTable(folder).schema().to_json())["fields"]
        assert dict(passage.schema) == {field["name"]: polars_type(field["type"]) for field in fields}
        for reader, back in readings(folder).items():
            actual = {name: [told(value, dtype) for value in back[name].cast(raw(back.schema[name])).to_list()] for name, dtype in schema.items()}
            assert expected == actual, reader
        check_statistics(folder, frame.select(passage.expressions))


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
    check_statistics(folder / "table", frame.select(passage.expressions))
    return pl.scan_delta(folder / "table").collect(), stats[0]


class Counted(Contract):
    """A count, for parsing text into."""

    count = dy.Int64(nullable=True, description="How many", metadata={"unit": "1"})


@pytest.mark.parametrize("dtype", [pl.Float16(), pl.Float32(), pl.Float64(), pl.Decimal(10, 2)], ids=str)
def test_a_fraction_never_becomes_an_integer_by_itself(dtype: pl.DataType, tmp_path: Path) -> None:
    """A column of fractions is written as fractions, and a contract of integers refuses it rather than cut it."""
    frame = pl.DataFrame({"count": pl.Series([1.5, -0.25]).cast(dtype)})
    back, _ = written(frame["count"], tmp_path)
    assert back["a"].cast(pl.Float64).to_list() == [1.5, -0.25]
    with pytest.raises(SchemaRefused, match="count"):
        judge(Counted, frame.lazy(), who="the hop")


def test_a_fraction_in_text_breaks_a_rule_of_integers() -> None:
    """Text that says a fraction is rejected where an integer is promised, with its text as it came."""
    judgement = judge(Counted, pl.LazyFrame({"count": ["7", "1.5", "1e3", None]}), who="the hop")
    assert judgement.good.collect()["count"].to_list() == [7, None]
    assert judgement.bad.collect()["count"].to_list() == ["1.5", "1e3"]


@pytest.mark.parametrize("data", [["b", None, "a"], [None], []], ids=str)
@pytest.mark.parametrize("dtype", [pl.Enum(["b", "a"]), pl.Categorical()], ids=["Enum", "Categorical"])
def test_an_enum_is_written_as_its_text(dtype: pl.DataType, data: list[str | None], tmp_path: Path) -> None:
    """Enums and categoricals, alone and nested, come back as text; delta-rs is never given one to panic on."""
    assert data == written(pl.Series(data, dtype=dtype), tmp_path / "alone")[0]["a"].to_list()
    assert [data] == written(pl.Series([data], dtype=pl.List(dtype)), tmp_path / "listed")[0]["a"].to_list()
    assert [{"e": value} for value in data] == written(pl.Series([{"e": value} for value in data], dtype=pl.Struct({"e": dtype})), tmp_path / "in")[0][
        "a"
    ].to_list()


@pytest.mark.parametrize("dtype", [pl.Datetime("ns"), pl.Datetime("ns", "Europe/Berlin"), pl.Duration("ns")], ids=str)
def test_nanoseconds_that_would_be_cut_are_counted(dtype: pl.DataType) -> None:
    """Values finer than a microsecond, before and after 1970, are counted, so that nothing is published; whole microseconds are not."""
    frame = pl.DataFrame({"a": pl.Series([1, -1, 999, -1001, 1000, -1000, 0, None], dtype=pl.Int64).cast(dtype)})
    assert inexact_counts(frame, gate(frame.schema, represent=True)) == {"a": 4}


@pytest.mark.parametrize("dtype", [pl.Datetime("ms"), pl.Datetime("ms", "Asia/Kathmandu"), pl.Duration("ms")], ids=str)
def test_milliseconds_that_would_overflow_are_counted(dtype: pl.DataType) -> None:
    """Values that are no 64-bit count of microseconds are counted; the furthest that are one are not."""
    frame = pl.DataFrame({"a": pl.Series([2**62, -(2**62), WIDEST["ms"] + 1, WIDEST["ms"], -WIDEST["ms"], None], dtype=pl.Int64).cast(dtype)})
    assert inexact_counts(frame, gate(frame.schema, represent=True)) == {"a": 3}


def test_integers_of_more_than_38_digits_are_counted() -> None:
    """Those of 128 bits that no decimal holds are counted; the widest that one holds is not."""
    frame = pl.DataFrame({"a": pl.Series([10**38, -(2**127), 10**38 - 1, 0, None], dtype=pl.Int128)})
    assert inexact_counts(frame, gate(frame.schema, represent=True)) == {"a": 2}


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"])
def test_a_zone_becomes_the_same_instant_in_utc(unit: Any, zone: str, tmp_path: Path) -> None:
    """An instant told in any zone is the same instant afterwards, both times the clock shows the hour that summer time repeats."""
    hours = [dt.datetime(2024, 10, 26, 23, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(12)]
    series = pl.Series(hours, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(zone).dt.cast_time_unit(unit)
    back, _ = written(series, tmp_path)
    assert pl.Datetime("us", "UTC") == back.schema["a"]
    assert hours == back["a"].to_list()


@pytest.mark.parametrize("names", [["a", "A"], ["straße", "STRASSE"], ["Ä", "ä"], ["x", "a", "b", "X"]], ids=str)
def test_names_that_differ_in_case_only_are_refused(names: list[str]) -> None:
    """Two columns, or two fields of a struct, that Delta cannot tell apart are refused by both names."""
    for schema in (pl.Schema(dict.fromkeys(names, pl.Int64())), pl.Schema({"s": pl.Struct(dict.fromkeys(names, pl.Int64()))})):
        with pytest.raises(DTypeRefused) as refused:
            gate(schema, represent=True)
        assert repr(names[0]) in refused.value.message
        assert repr(names[-1]) in refused.value.message


@pytest.mark.parametrize("character", [*" ,;{}()\n\t=", "\0", "\x1f"])
def test_a_name_with_a_forbidden_character_is_refused(character: str) -> None:
    """Each character that Delta forbids is refused wherever it stands, in columns and in fields of structs."""
    for name in (f"{character}a", f"a{character}b", f"a{character}"):
        for schema in (pl.Schema({name: pl.Int64()}), pl.Schema({"s": pl.List(pl.Struct({name: pl.Int64()}))})):
            with pytest.raises(DTypeRefused, match=re.escape(repr(name))):
                gate(schema)


@pytest.mark.parametrize("name", ["äö", "a.b", 'a"b', "a'b", "a`b", "a/b", "a%20b", "a\\b", "$", "数", "SELECT", "_row", "a:b", "-1"])
def test_an_unusual_name_is_kept(name: str, tmp_path: Path) -> None:
    """A name that Delta allows is the same in the log, in the file and in its statistics."""
    frame = pl.DataFrame({name: [2, 1]})
    stats = create(frame, gate(frame.schema), tmp_path / "table")
    assert {name: [2, 1]} == pl.scan_delta(tmp_path / "table").collect().to_dict(as_series=False)
    assert ({name: 1}, {name: 2}, {name: 0}) == (stats[0]["minValues"], stats[0]["maxValues"], stats[0]["nullCount"])


def test_a_frame_of_no_column_or_an_empty_name_is_refused() -> None:
    """What has no column, or a column or field without a name, is no table."""
    for schema in (pl.Schema(), pl.Schema({"": pl.Int64()}), pl.Schema({"s": pl.Struct({"": pl.Int64()})})):
        with pytest.raises(DTypeRefused):
            gate(schema)


@pytest.mark.parametrize(
    ("dtype", "raw_values", "target", "expected"),
    [
        (pl.Time(), [1, 86_399_999_999_999, None], pl.String(), ["00:00:00.000000001", "23:59:59.999999999", None]),
        (pl.Duration("ms"), [-1, 1500, None], pl.Int64(), [-1000, 1_500_000, None]),
        (pl.Duration("ns"), [-1000, 0, None], pl.Int64(), [-1, 0, None]),
        (pl.UInt64(), [2**64 - 1, 0, None], pl.Decimal(20, 0), [2**64 - 1, 0, None]),
        (pl.Int128(), [10**38 - 1, -(10**38) + 1, None], pl.Decimal(38, 0), [10**38 - 1, -(10**38) + 1, None]),
    ],
    ids=str,
)
def test_another_representation_is_chosen_only_when_asked_for(
    dtype: Any, raw_values: list[Any], target: pl.DataType, expected: list[Any], tmp_path: Path
) -> None:
    """Types without a counterpart pass only with `represent`, as text or numbers that say the same, and the record says so."""
    schema = pl.Schema({"a": dtype})
    with pytest.raises(DTypeRefused, match="a is"):
        gate(schema)
    assert {"a": f"{type_name(dtype)} as {type_name(target)}"} == gate(schema, represent=True).conversions
    back, _ = written(pl.Series(raw_values, dtype=raw(dtype)).cast(dtype), tmp_path, represent=True)
    assert (target, expected) == (back.schema["a"], back["a"].to_list())


@pytest.mark.parametrize(
    ("dtype", "target"),
    [
        (pl.UInt8(), pl.Int16()),
        (pl.UInt16(), pl.Int32()),
        (pl.UInt32(), pl.Int64()),
        (pl.Int8(), pl.Int8()),
        (pl.Int16(), pl.Int16()),
        (pl.Int32(), pl.Int32()),
    ],
    ids=str,
)
def test_a_whole_number_gets_the_narrowest_type_that_holds_it(dtype: Any, target: pl.DataType, tmp_path: Path) -> None:
    """The least and the greatest value of each width come back, alone and in lists."""
    data = [*WHOLE[dtype.base_type()], None]
    back, _ = written(pl.Series(data, dtype=dtype), tmp_path / "alone")
    assert (target, data) == (back.schema["a"], back["a"].to_list())
    back, _ = written(pl.Series([data], dtype=pl.List(dtype)), tmp_path / "listed")
    assert (pl.List(target), [data]) == (back.schema["a"], back["a"].to_list())


MOMENT = dt.datetime(1969, 12, 31, 23, 59, 59, 999_001, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("data", "dtype", "low", "high"),
    [
        ([3, None, -(2**63)], pl.Int64(), -(2**63), 3),
        ([0.1, -1e300], pl.Float64(), -1e300, 0.1),
        (["b", "", None], pl.String(), "", "b"),
        (["x" * 64, "x"], pl.String(), "x", "x" * 64),
        (["Z", "a", "é", "\U0001f600", "\uffff"], pl.String(), "Z", "\U0001f600"),
        ([Decimal("0.1"), Decimal("-99.9")], pl.Decimal(3, 1), -99.9, 0.1),
        ([dt.date(1, 1, 1), dt.date(9999, 12, 31)], pl.Date(), "0001-01-01", "9999-12-31"),
        ([dt.date(1815, 6, 18), None], pl.Date(), "1815-06-18", "1815-06-18"),
        ([MOMENT], pl.Datetime("us", "UTC"), "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"),
        ([MOMENT.replace(tzinfo=None)], pl.Datetime("us"), "1969-12-31T23:59:59.999", "1970-01-01T00:00:00.000"),
        ([dt.datetime(2024, 2, 29, 12, 0, 0, 1000, tzinfo=dt.UTC)], pl.Datetime("us", "UTC"), "2024-02-29T12:00:00.001Z", "2024-02-29T12:00:00.001Z"),
    ],
    ids=str,
)
def test_the_log_bounds_the_values(data: list[Any], dtype: pl.DataType, low: Any, high: Any, tmp_path: Path) -> None:
    """Bounds are the least and the greatest value, instants rounded outwards to milliseconds."""
    _, stats = written(pl.Series(data, dtype=dtype), tmp_path)
    assert ({"a": low}, {"a": high}, {"a": data.count(None)}) == (stats["minValues"], stats["maxValues"], stats["nullCount"])


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1.5, math.nan, -2.0], pl.Float64()), ([math.nan], pl.Float32()), ([1.5, math.inf], pl.Float64()), ([-math.inf, 1.5], pl.Float32()),
        (["x" * 65, "x", "\U0010ffff" * 80], pl.String()), ([10**38 - 1, 10**17 + 1, None], pl.Decimal(38, 0)), ([True, None, False], pl.Boolean()),
        ([b"\xff" * 80, b""], pl.Binary()), ([None, None], pl.Int64()), ([[1], [None], None], pl.List(pl.Int64())),
    ],
    ids=str,
)  # fmt: skip
def test_the_log_never_bounds_falsely(data: list[Any], dtype: pl.DataType, tmp_path: Path) -> None:
    """Where the least or the greatest value cannot be written down, the bound in the log is a wider one or none, and nulls are counted."""
    back, _ = written(pl.Series(data, dtype=dtype), tmp_path)
    assert data.count(None) == back["a"].null_count()


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([2**53 + 1, -5, 7], pl.Int64()), ([0.1, -1e-300, 3.5], pl.Float64()), (["a", "x" * 70, "é"], pl.String()),
        ([Decimal("0.1"), Decimal(-1), Decimal("99.9")], pl.Decimal(10, 1)), ([dt.date(1815, 6, 18), dt.date(1, 1, 1), dt.date(9999, 1, 1)], pl.Date()),
        ([MOMENT, MOMENT - dt.timedelta(days=300_000), MOMENT + dt.timedelta(days=300_000)], pl.Datetime("us", "UTC")),
        ([moment.replace(tzinfo=None) for moment in (MOMENT, MOMENT + dt.timedelta(microseconds=1))], pl.Datetime("us")),
    ],
    ids=lambda value: "" if isinstance(value, list) else str(value),
)  # fmt: skip
def test_a_reader_that_skips_by_the_log_finds_every_row(data: list[Any], dtype: pl.DataType, tmp_path: Path) -> None:
    """Polars and delta-rs, asked for one value, do not skip the file that holds it, the least and the greatest included."""
    written(pl.Series(data, dtype=dtype), tmp_path)
    table = DeltaTable(tmp_path / "table")
    for value in data:
        assert [value] == pl.scan_delta(tmp_path / "table").filter(pl.col("a") == pl.lit(value, dtype=dtype)).collect()["a"].to_list()
        assert [value] == table.to_pyarrow_table(filters=[("a", "=", value)])["a"].to_pylist()


def test_only_the_first_32_columns_are_measured(tmp_path: Path) -> None:
    """A wide table has statistics for its first 32 columns, as the Delta protocol's default says, and all its rows."""
    frame = pl.DataFrame({f"c{i}": [i, None] for i in range(40)})
    stats = create(frame, gate(frame.schema), tmp_path / "table")[0]
    assert [f"c{i}" for i in range(32)] == list(stats["nullCount"]) == list(stats["minValues"])
    assert frame.rows() == pl.scan_delta(tmp_path / "table").collect().rows()
