"""A table as lake puts it together from its log is the table that delta-rs opens: for every version, with and without checkpoints, by lake's own writes and those of others."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.delta import DataFile, Snapshot, _opened_by_delta, open_snapshot
from lake.errors import NotFound, StoreError
from lake.execute import execute
from lake.hop import changes, hop
from lake.log import TableLog
from lake.maintain import maintain
from lake.run import Run
from lake.state import bounds_in, state_of
from lake.store import Store
from lake.table import path_of
from tests.tiny import bring, bronze_orders, clean, clean_orders, orders, write_orders

TABLE = "silver/other/table"


def same(store: Store, path: str, version: int, found: Snapshot) -> None:
    """What was put together is what delta-rs opens: schema, files, sizes, rows, and the bounds of each file."""
    other = _opened_by_delta(store, path, version)
    assert found.schema == other.schema
    assert found.metadata == other.metadata
    assert sorted((file.path, file.size, file.rows) for file in found.files) == sorted((file.path, file.size, file.rows) for file in other.files)
    told = pl.DataFrame(DeltaTable(store.uri(path), version=version, storage_options=store.options).get_add_actions(flatten=True)).sort("path")
    mine = found.bounds.sort("path") if found.bounds.width else found.bounds
    for column in mine.columns:
        if column in told.columns and column != "path":
            theirs = [value.replace("\U000fffff", "\U0010ffff") if isinstance(value, str) else value for value in told[column].cast(mine[column].dtype)]
            assert mine[column].to_list() == theirs, column  # arrow's JSON reader, which delta-rs uses, takes the last character for another


def test_every_version_of_a_merged_table_is_what_delta_rs_opens(run: Run, tmp_path: Path) -> None:
    """Forty-five deliveries with corrections and compactions: each version from its log, from the version before, and across checkpoints."""
    chance = random.Random(1)
    for number in range(45):
        write_orders(tmp_path, f"{number}.csv", [(chance.randrange(60), "ann", f"{number}.50", f"2026-01-{number % 28 + 1:02}") for _ in range(4)])
        bring(run, tmp_path, hop(orders, write="merge", raw=changes(bronze_orders))(clean))
        if number % 15 == 14:
            list(maintain(run))
    path = path_of(orders.name)
    newest = run.log(path).version()
    assert newest > 40
    before: Snapshot | None = None
    for version in range(newest + 1):
        found = open_snapshot(run.store, path, version)
        same(run.store, path, version, found)
        after = open_snapshot(run.store, path, version, since=before)
        assert (after.files, after.schema, after.rows) == (found.files, found.schema, found.rows)
        before = after
    with pytest.raises(NotFound):
        open_snapshot(run.store, path, newest + 1)
    with pytest.raises(NotFound):
        open_snapshot(run.store, "silver/no/table", 0)


_AT = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
EVERYTHING = pl.DataFrame(
    {
        "whole": [1, None, 3], "small": pl.Series([1, 2, 3], dtype=pl.Int8), "part": [1.5, -2.0, None], "text": ["a", "", None], "yes": [True, False, None],
        "day": [dt.date(2026, 1, 1), None, dt.date(1, 1, 1)], "at": pl.Series([_AT, None, _AT - dt.timedelta(days=30000)], dtype=pl.Datetime("us", "UTC")),
        "local": pl.Series([_AT + dt.timedelta(microseconds=123456), None, _AT]).dt.replace_time_zone(None),
        "money": pl.Series([Decimal("1.25"), None, Decimal("-3.00")], dtype=pl.Decimal(10, 2)), "none": pl.Series([None, None, None], dtype=pl.Int64),
        "names with 'quotes\" and spaces": [1, 2, 3], "list": [[1], None, []], "inside": [{"a": 1}, None, {"a": None}], "bytes": [b"x", None, b""],
    }
)  # fmt: skip


def test_tables_of_others_are_read(store: Store) -> None:
    """What delta-rs wrote, with every type there is, checkpoints of its own and a delete."""
    options = store.options
    for _ in range(3):
        EVERYTHING.write_delta(store.uri(TABLE), mode="append", storage_options=options, delta_write_options={"schema_mode": "merge"})
    table = DeltaTable(store.uri(TABLE), storage_options=options)
    table.delete("whole = 1")
    table.create_checkpoint()
    EVERYTHING.head(1).write_delta(store.uri(TABLE), mode="append", storage_options=options)
    for version in range(5):
        found = open_snapshot(store, TABLE, version)
        same(store, TABLE, version, found)
        assert found.scan().collect().height == found.rows
    assert open_snapshot(store, TABLE, 4).state is not None


def test_what_lake_does_not_know_is_left_to_delta_rs(store: Store) -> None:
    """A table in partitions is opened by delta-rs, and so is one whose protocol has features of its own."""
    write_deltalake(store.uri(TABLE), pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_arrow(), partition_by=["b"], storage_options=store.options)
    assert state_of(store, TableLog(store, TABLE), 0) is None
    assert open_snapshot(store, TABLE, 0).rows == 2
    name = f"{TABLE}2/_delta_log/{0:020d}.json"
    schema = json.dumps({"type": "struct", "fields": [{"name": "a", "type": "long", "nullable": True, "metadata": {}}]})
    told = {"id": "1", "format": {"provider": "parquet", "options": {}}, "schemaString": schema, "partitionColumns": [], "configuration": {}}
    for features, known in ((["columnMapping"], False), (["deletionVectors"], True), (["timestampNtz"], True)):
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
        store.put(name, "\n".join(json.dumps(action) for action in ({"protocol": protocol}, {"metaData": told})).encode())
        assert (state_of(store, TableLog(store, f"{TABLE}2"), 0) is not None) == known
    add = {"path": "x", "size": 1, "modificationTime": 0, "dataChange": True, "partitionValues": {}, "deletionVector": {"storageType": "u"}}
    store.put(f"{TABLE}2/_delta_log/{1:020d}.json", json.dumps({"add": add}).encode())
    assert state_of(store, TableLog(store, f"{TABLE}2"), 1) is None


def test_a_damaged_log_is_said(store: Store) -> None:
    """Not a traceback: which table, which version, and that its log is damaged."""
    store.put(f"{TABLE}/_delta_log/{0:020d}.json", b'{"add": {"path"')
    with pytest.raises(StoreError, match=rf"{TABLE} version 0"):
        open_snapshot(store, TABLE, 0)


def test_an_older_version_than_the_checkpoint_is_found(run: Run, tmp_path: Path) -> None:
    """The pointer names a checkpoint that is too new: the version is opened all the same."""
    for number in range(23):
        write_orders(tmp_path, f"{number}.csv", [(number, "ann", "1.00", "2026-01-01")])
        bring(run, tmp_path, clean_orders)
    path = path_of(orders.name)
    assert [TableLog(run.store, path).checkpoint(version) for version in (7, 19, 20, 22)] == [-1, -1, 20, 20]
    assert open_snapshot(run.store, path, 7).rows == 8
    assert execute(run, clean_orders).changed is False


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-(2**60), 2**60) | st.none(), st.text(max_size=5) | st.none(), st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)) | st.none()),
        max_size=8,
    )
)
def test_bounds_are_what_was_measured(rows: list[tuple[int | None, str | None, dt.date | None]]) -> None:
    """The statistics of a part, written as the log spells them and read again, are its least and greatest values."""
    import tempfile

    from lake.datafile import measure

    frame = pl.DataFrame(rows, schema={"n": pl.Int64, "t": pl.String, "d": pl.Date}, orient="row")
    with tempfile.TemporaryDirectory() as folder:
        frame.write_parquet(Path(folder) / "part.parquet")
        _, stats = measure(Path(folder) / "part.parquet")
    told = bounds_in([stats], frame.schema)
    for name in frame.columns:
        assert told[f"min.{name}"][0] == frame[name].min()
        assert told[f"max.{name}"][0] == frame[name].max()


def test_strange_statistics_bound_nothing() -> None:
    """Spelled in a way that does not fit the column: no bounds, and so nothing is skipped."""
    assert bounds_in(['{"minValues":{"n":"x"}}', "nonsense"], pl.Schema({"n": pl.Int64})).width == 0
    assert bounds_in([], pl.Schema({"n": pl.List(pl.Int64)})).width == 0


_BOUNDED = st.tuples(st.integers(-5, 30), st.integers(0, 8)).map(lambda at: (at[0], at[0] + at[1]))


@given(st.lists(st.one_of(st.none(), _BOUNDED), max_size=8), st.lists(st.one_of(st.none(), st.integers(-10, 45)), max_size=12))
def test_files_that_can_hold_one_of_some_values(ranges: list[tuple[int, int] | None], values: list[int | None]) -> None:
    """Those of whose bounds one of the values is inside, and those without bounds; of numbers, texts and dates."""
    expected = {f"{n}" for n, ends in enumerate(ranges) if ends is None or any(v is not None and ends[0] <= v <= ends[1] for v in values)}
    for dtype, spelled in _KINDS.items():
        ends = [None if one is None else (spelled(one[0]), spelled(one[1])) for one in ranges]
        told = pl.DataFrame(
            {"path": [f"{n}" for n in range(len(ends))], "min.k": [e and e[0] for e in ends], "max.k": [e and e[1] for e in ends]},
            schema={"path": pl.String(), "min.k": dtype, "max.k": dtype},
        )
        files = tuple(DataFile(f"{n}", 1, 1, "") for n in range(len(ends)))
        there = Snapshot(None, "t", 0, pl.Schema({"k": dtype}), {}, files, told=told)  # type: ignore[arg-type]  # nothing is read
        some = pl.Series([None if v is None else spelled(v) for v in values], dtype=dtype)
        assert {file.path for file in there.holding({"k": some})} == expected


_KINDS = {pl.Int64(): int, pl.String(): lambda n: f"{n + 100:04}", pl.Date(): lambda n: dt.date(2026, 3, 1) + dt.timedelta(n)}
