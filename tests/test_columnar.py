"""Parquet and Arrow files with types and names that Delta cannot hold: converted as declared, or rejected alone with the column's name."""

from __future__ import annotations

import datetime as dt
import gzip
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.dtypes import gate
from lake.errors import FileRejected
from lake.ingest import ingest
from lake.landing import land
from lake.reading.columnar import inner_names, renamed_inside
from lake.run import Run
from lake.source import Source
from lake.table import Table
from tests.test_reading import law, read, zipped
from tests.tiny import last_record

BRONZE = Table("bronze.odd.things")
ODD: dict[str, tuple[pa.Array, Any, list[Any]]] = {
    "categories": (pa.array(["a", None]).dictionary_encode(), pl.String(), ["a", None]),
    "times of day": (pa.array([dt.time(1, 2, 3), None], pa.time64("us")), pl.String(), ["01:02:03.000000000", None]),
    "durations": (pa.array([dt.timedelta(seconds=1), None], pa.duration("ms")), pl.Int64(), [1_000_000, None]),
    "unsigned 64 bits": (pa.array([2**64 - 1, None], pa.uint64()), pl.Decimal(20, 0), [Decimal(2**64 - 1), None]),
    "small unsigned": (pa.array([255, None], pa.uint8()), pl.Int16(), [255, None]),
    "half floats": (pa.array([1.5, None], pa.float16()), pl.Float32(), [1.5, None]),
    "nanoseconds that are whole microseconds": (pa.array([1000, None], pa.timestamp("ns")), pl.Datetime("us"), [dt.datetime(1970, 1, 1, 0, 0, 0, 1), None]),  # noqa: DTZ001
    "seconds": (pa.array([1, None], pa.timestamp("s")), pl.Datetime("us"), [dt.datetime(1970, 1, 1, 0, 0, 1), None]),  # noqa: DTZ001
    "nulls": (pa.nulls(2), pl.String(), [None, None]),
    "bytes": (pa.array([b"\0\xff", None]), pl.Binary(), [b"\0\xff", None]),
    "bytes of one length": (pa.array([b"ab", None], pa.binary(2)), pl.Binary(), [b"ab", None]),
    "lists of one length": (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), pl.List(pl.Int64), [[1, 2], None]),
    "large text": (pa.array(["a", None], pa.large_string()), pl.String(), ["a", None]),
    "maps": (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())), pl.List(pl.Struct({"key": pl.String, "value": pl.Int64})), [[{"key": "k", "value": 1}], None]),
    "unsigned inside lists": (pa.array([[1], None], pa.list_(pa.uint32())), pl.List(pl.Int64), [[1], None]),
    "categories inside structs": (pa.StructArray.from_arrays([pa.array(["a", None]).dictionary_encode()], ["c"]), pl.Struct({"c": pl.String}), [{"c": "a"}, {"c": None}]),
    "names inside structs": (
        pa.array([{"a b": 1, "A_B": [{"x;": "y"}, None]}, None], pa.struct([("a b", pa.int64()), ("A_B", pa.list_(pa.struct([("x;", pa.string())])))])),
        pl.Struct({"a_b": pl.Int64, "A_B_2": pl.List(pl.Struct({"x": pl.String}))}), [{"a_b": 1, "A_B_2": [{"x": "y"}, None]}, None],
    ),
    "JSON": (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None])), pl.String(), ["{}", None]),
}  # fmt: skip


def packed(array: pa.Array, kind: str) -> bytes:
    """A file with the array as its column "odd one" beside one that is whole."""
    table = pa.table({"n": pa.array(range(len(array))), "odd one": array})
    buffer = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, buffer)
    else:
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize(("array", "dtype", "expected"), ODD.values(), ids=ODD)
def test_an_odd_type_passes_the_gate_with_its_values(array: pa.Array, dtype: Any, expected: list[Any], kind: str) -> None:
    """What bronze holds of the column has a type of Delta's and the same values; what was done is said."""
    found = read(packed(array, kind), f"x.{kind}")
    passage = gate(found.frame.schema, represent=True)
    held = found.frame.select(passage.expressions)
    assert (dtype, expected) == (held.schema["odd_one"], held["odd_one"].to_list())
    assert set(passage.conversions) <= {"odd_one"}


REFUSED: dict[str, tuple[pa.Array, str]] = {
    "nanoseconds": (pa.array([1], pa.timestamp("ns")), "odd_one"),
    "nanoseconds inside": (pa.array([[1]], pa.list_(pa.timestamp("ns"))), "odd_one"),
    "durations inside": (pa.array([{"d": 1}], pa.struct([("d", pa.duration("us"))])), "odd_one"),
    "decimals of 50 digits": (pa.array([Decimal("1.5")], pa.decimal256(50, 2)), "50"),
}
"""Files that cannot be kept without loss, and what their rejection names."""


@pytest.mark.parametrize(("array", "named"), REFUSED.values(), ids=REFUSED)
def test_a_file_with_a_type_that_would_lose_something_is_rejected_alone(array: pa.Array, named: str, run: Run, tmp_path: Path) -> None:
    """The file is one reject whose reason names the column; the file beside it is ingested."""
    source = Source(BRONZE, tmp_path / "in")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.parquet").write_bytes(packed(array, "parquet"))
    (tmp_path / "in" / "good.parquet").write_bytes(packed(pa.array(["x"]), "parquet"))
    land(run, source)
    ingest(run, source)
    files = {file.name: (file.rows, file.rejects, file.reason or "") for file in last_record(run, BRONZE).files}
    assert files["good.parquet"] == (1, 0, "")
    assert files["bad.parquet"][:2] == (0, 1)
    assert named in files["bad.parquet"][2]


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_a_packed_file_is_as_good_as_a_plain_one(kind: str) -> None:
    """Names that are not known before it is unpacked are made to fit all the same."""
    data = packed(ODD["maps"][0], "parquet")
    found = read(gzip.compress(data) if kind == "gz" else zipped({"x.parquet": data}), f"x.parquet.{kind}")
    assert found.frame.columns[:2] == ["n", "odd_one"]
    assert found.frame["n"].to_list() == [0, 1]


def test_two_columns_of_one_name_are_refused_by_name() -> None:
    """Which is which cannot be told."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["twice", "twice"]), buffer)
    with pytest.raises(FileRejected, match="twice"):
        read(buffer.getvalue(), "x.parquet")


NAMES = st.text(st.sampled_from("aA b;^$*"), max_size=3)
TYPES = st.recursive(
    st.sampled_from([pl.Int64(), pl.String()]),
    lambda inner: st.one_of(
        st.builds(pl.List, inner),
        st.builds(pl.Array, inner, st.integers(1, 2)),
        st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(pl.Struct),
    ),
    max_leaves=5,
)


def value(dtype: Any) -> st.SearchStrategy[Any]:
    """A value of the type, or null, as Python says it."""
    if isinstance(dtype, pl.Struct):
        return st.none() | st.fixed_dictionaries({field.name: value(field.dtype) for field in dtype.fields})
    if isinstance(dtype, pl.Array):
        return st.none() | st.lists(value(dtype.inner), min_size=dtype.size, max_size=dtype.size)
    if isinstance(dtype, pl.List):
        return st.none() | st.lists(value(dtype.inner), max_size=2)
    return st.none() | (st.integers(0, 9) if dtype == pl.Int64 else st.text("ab", max_size=2))


def bare(found: Any) -> Any:
    """A value without the names inside it."""
    if isinstance(found, dict):
        return tuple(map(bare, found.values()))
    return list(map(bare, found)) if isinstance(found, list) else found


@law
@given(TYPES.flatmap(lambda dtype: st.tuples(st.just(dtype), st.lists(value(dtype), min_size=1, max_size=3))))
def test_renaming_inside_a_value_changes_names_only(case: tuple[pl.DataType, list[Any]]) -> None:
    """Every value and every null inside structs and lists stays where it is, and the names can be stored."""
    dtype, values = case
    frame = pl.DataFrame({"v": pl.Series(values, dtype=dtype)})
    made = frame.lazy().select(renamed_inside(pl.col("v"), dtype).alias("v")).collect(engine="streaming")
    assert made.schema["v"] == inner_names(dtype)
    gate(made.schema)
    assert bare(frame["v"].to_list()) == bare(made["v"].to_list())
