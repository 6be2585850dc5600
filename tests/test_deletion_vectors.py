"""Deletion vectors: rows leave large files that stay. Other readers of Delta see what lake sees, and files that many rows left are written again."""

from __future__ import annotations

import binascii
import dataclasses
import importlib.metadata
import json
import struct
import uuid
from pathlib import Path

import dataframely as dy
import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable, QueryBuilder
from hypothesis import given
from hypothesis import strategies as st

import lake.settle.leaving
from lake.compact import rearrange
from lake.contract import PROVENANCE
from lake.datafile import write_parts
from lake.delta import creation, open_snapshot
from lake.difference import difference
from lake.errors import StoreError
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.maintain import maintain
from lake.profile import profile
from lake.rules import null_share, unique
from lake.run import Run
from lake.store import Store
from lake.table import Table, path_of
from lake.vectors import Vector
from tests.tiny import Order, bring, bronze_orders, clean, clean_orders, last_record, orders, rows_of, sum_orders, total, totals, write_orders

PATH = path_of(orders.name)


@pytest.fixture
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a hundred rows are large, and may lose a fifth of them."""
    monkeypatch.setattr(lake.settle.leaving, "_WORTH", 100)
    monkeypatch.setattr(lake.settle.leaving, "_SHARE", 0.2)


def deliver(run: Run, folder: Path, name: str, numbers: range, amount: str, *hops: Hop) -> None:
    """Bring orders of these numbers to silver."""
    write_orders(folder, name, [(number, f"customer {number % 7}", amount, "2024-01-01") for number in numbers])
    bring(run, folder, *(hops or (clean_orders,)))


def files(run: Run) -> dict[str, tuple[int, int]]:
    """The data files of silver, with the rows that count and those that left."""
    there = run.snapshot(PATH, run.log(PATH).version())
    return {file.path: (file.rows, file.held - file.rows) for file in there.files}


def local(store: Store, to: Path) -> Path:
    """Silver's folder as plain files, for readers that are given a path."""
    for blob in store.walk(PATH):
        file = to / blob.path.removeprefix(f"{PATH}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(store.get(blob.path))
    return to


def test_the_published_vector() -> None:
    """Six rows as the kernel of Delta has them in its own tests (deletion_vector.rs: 44 bytes, inline)."""
    vector = Vector("^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", 44, 6)
    assert vector.kept(30).not_().arg_true().to_list() == [3, 4, 7, 11, 18, 29]
    assert Vector.of([29, 3, 4, 7, 11, 18]) == vector


@given(st.sets(st.integers(0, 300_000), max_size=200), st.sets(st.integers(0, 300_000), min_size=1, max_size=200))
def test_what_left_stays_left(earlier: set[int], later: set[int]) -> None:
    """A vector of a vector names the rows of both, and says so in the log as it was told."""
    vector = Vector.of(later, Vector.of(earlier) if earlier else None)
    assert vector.kept(300_001).not_().arg_true().to_list() == sorted(earlier | later)
    assert vector.rows == len(earlier | later)
    assert Vector.told(json.loads(json.dumps(vector.descriptor))) == vector


@pytest.mark.parametrize(
    "damaged",
    [
        dataclasses.replace(Vector.of([1, 2, 3]), rows=2),
        Vector.of([1, 2, 300]),
        dataclasses.replace(Vector.of([1]), text="0" * 35),
    ],
)
def test_a_damaged_vector_hides_nothing_silently(damaged: Vector) -> None:
    """One of other rows than it says, of rows that the file has not, or of something else, is refused."""
    with pytest.raises(ValueError, match="deletion vector"):
        damaged.kept(100)


@pytest.mark.usefixtures("worth_it")
def test_a_correction_writes_what_it_corrects(run: Run, tmp_path: Path) -> None:
    """The large file stays, without the rows that were corrected; these are in a small file. The ledger and the feed say what they always say."""
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    (large,) = files(run)
    deliver(run, tmp_path, "second.csv", range(990, 1010), "2.00")
    after = files(run)
    assert after.pop(large) == (990, 10)
    assert list(after.values()) == [(20, 0)]
    record = last_record(run, orders)
    assert (record.ledger.inserted, record.ledger.updated, record.rows, record.data_files) == (10, 10, 1010, 2)
    found = {row["order"]: float(row["amount"]) for row in rows_of(run, orders)}
    assert found == {number: 1.0 if number < 990 else 2.0 for number in range(1010)}
    assert len(run.snapshot(PATH, 0).scan().collect()) == 1000  # the version before is as it was
    told = DeltaTable(run.store.uri(PATH), storage_options=run.store.options).load_cdf(starting_version=1).read_all()
    assert dict(pl.DataFrame(told)["_change_type"].value_counts().iter_rows()) == {"insert": 10, "update_preimage": 10, "update_postimage": 10}


@pytest.mark.usefixtures("worth_it")
def test_other_readers_see_the_same_rows(run: Run, tmp_path: Path) -> None:
    """Polars, delta-rs and DuckDB, before and after checkpoints, of the newest version and of one in the past; and lake's state is not delta-rs'."""
    deliver(run, tmp_path / "raw", "first.csv", range(1000), "1.00")
    for number in range(24):
        deliver(run, tmp_path / "raw", f"{number}.csv", range(number * 30, number * 30 + 5), f"{number + 2}.00")
    assert max(left for _, left in files(run).values()) == 120
    extension = next(f.locate() for f in importlib.metadata.files("duckdb-extension-delta") or [] if f.name == "delta.duckdb_extension")
    duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    duck.execute(f"LOAD '{extension}'")
    folder = local(run.store, tmp_path / "table")
    for version in (24, 20, 7, 0):
        there = open_snapshot(run.store, PATH, version)
        assert there.state is not None
        expected = sorted(there.scan().select("order", "amount").collect().rows())
        assert len(expected) == there.rows == 1000
        polars = pl.scan_delta(run.store.uri(PATH), version=version, storage_options=run.store.options).select("order", "amount").collect()
        assert sorted(polars.rows()) == expected
        seen = duck.execute(f"SELECT \"order\", amount FROM delta_scan('{folder}', version={version})").fetchall()  # noqa: S608  # a path of our own
        assert sorted(seen) == expected
        told = QueryBuilder().register("t", DeltaTable(str(folder), version=version)).execute('SELECT "order", amount FROM t').read_all()
        assert sorted(pl.DataFrame(told).rows()) == expected


@pytest.mark.usefixtures("worth_it")
def test_a_file_that_many_left_is_written_again(run: Run, tmp_path: Path) -> None:
    """A fifth of a file may leave it, in one delivery or several; with one more it is written anew, and no row is twice."""
    deliver(run, tmp_path, "first.csv", range(100), "1.00")
    (large,) = files(run)
    deliver(run, tmp_path, "a.csv", range(12), "2.00")
    deliver(run, tmp_path, "b.csv", range(12, 20), "3.00")
    assert files(run)[large] == (80, 20)
    deliver(run, tmp_path, "c.csv", range(20, 21), "4.00")
    assert large not in files(run)
    assert all(left == 0 for _, left in files(run).values())
    found = {row["order"]: float(row["amount"]) for row in rows_of(run, orders)}
    assert found == {n: 2.0 if n < 12 else 3.0 if n < 20 else 4.0 if n == 20 else 1.0 for n in range(100)}


@pytest.mark.usefixtures("worth_it")
@pytest.mark.parametrize("limit", ["_MOST", "_TOGETHER"])
def test_a_log_stays_small(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Where vectors would take more bytes than a file or a commit may have of them, files are written again."""
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    (large,) = files(run)
    monkeypatch.setattr(lake.settle.leaving, limit, 100)
    deliver(run, tmp_path, "few.csv", range(0, 100, 10), "2.00")
    assert files(run)[large] == (990, 10)
    deliver(run, tmp_path, "more.csv", range(1, 1000, 10), "3.00")
    assert large not in files(run)
    assert len(rows_of(run, orders)) == 1000


def test_small_files_are_written_again(run: Run, tmp_path: Path) -> None:
    """So that every reader can read a small table: nothing of its protocol changes."""
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    deliver(run, tmp_path, "second.csv", range(10), "2.00")
    assert list(files(run).values()) == [(1000, 0)]
    assert DeltaTable(run.store.uri(PATH), storage_options=run.store.options).to_pyarrow_table().num_rows == 1000


@pytest.mark.usefixtures("worth_it")
def test_a_table_can_do_without(run: Run, tmp_path: Path) -> None:
    """For readers that know no deletion vectors, as pyarrow's."""
    without = hop(dataclasses.replace(orders, deletion_vectors=False), write="merge", raw=changes(bronze_orders))(clean)
    deliver(run, tmp_path, "first.csv", range(1000), "1.00", without)
    deliver(run, tmp_path, "second.csv", range(10), "2.00", without)
    assert list(files(run).values()) == [(1000, 0)]
    assert DeltaTable(run.store.uri(PATH), storage_options=run.store.options).to_pyarrow_table().num_rows == 1000


@pytest.mark.usefixtures("worth_it")
def test_groups_that_changed_leave_their_file(run: Run, tmp_path: Path) -> None:
    """A table that is computed anew by groups takes out those that changed or are gone, and its sums are those of all rows."""
    by_key = hop(totals, write="by_key", counts="orders", orders=changes(orders))(total)
    path = path_of(totals.name)
    write_orders(tmp_path, "first.csv", [(number, f"customer {number}", "1.00", "2024-01-01") for number in range(400)])
    bring(run, tmp_path, clean_orders, by_key)
    write_orders(tmp_path, "moved.csv", [(3, "customer 5", "5.00", "2024-01-01")])
    bring(run, tmp_path, clean_orders, by_key)
    there = run.snapshot(path, run.log(path).version())
    assert sorted((file.rows, file.held - file.rows) for file in there.files) == [(1, 0), (398, 2)]
    found = {row["customer"]: (row["orders"], float(row["amount"])) for row in rows_of(run, totals)}
    assert "customer 3" not in found
    assert found["customer 5"] == (2, 6.0)
    assert sum(count for count, _ in found.values()) == 400


def _some_day(raw: pl.LazyFrame) -> pl.LazyFrame:
    return clean(raw).with_columns(pl.col("day").replace("some day", None))


class _WithWeek(Order):
    week = dy.Int64(nullable=True, description="Which week")


@pytest.mark.usefixtures("worth_it")
def test_a_new_column_keeps_what_readers_must_know(run: Run, tmp_path: Path) -> None:
    """The protocol still names deletion vectors after the table got other columns, and versions with them are read as they were."""
    deliver(run, tmp_path, "first.csv", range(200), "1.00")
    deliver(run, tmp_path, "second.csv", range(10), "2.00")
    wider = hop(dataclasses.replace(orders, contract=_WithWeek), write="merge", raw=changes(bronze_orders))(_weekly)
    execute(run, wider)
    newest = run.log(PATH).version()
    assert "week" in run.snapshot(PATH, newest).schema
    assert run.snapshot(PATH, newest).takes_vectors
    table = DeltaTable(run.store.uri(PATH), storage_options=run.store.options)
    assert "deletionVectors" in (table.protocol().reader_features or ())
    assert table.metadata().configuration["delta.enableDeletionVectors"] == "true"
    assert len(run.snapshot(PATH, 1).scan().collect()) == 200


def _weekly(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", "customer", "amount", "day", pl.lit("1").alias("week"), *PROVENANCE)


def test_a_table_names_only_the_features_it_has() -> None:
    """Nothing that an old reader would refuse, unless there is reason to."""
    plain, moment = pl.Schema({"a": pl.Int64()}), pl.Schema({"a": pl.Datetime("us")})
    assert creation("t", "", plain, {})[0]["protocol"] == {"minReaderVersion": 1, "minWriterVersion": 4}
    assert creation("t", "", moment, {})[0]["protocol"]["readerFeatures"] == ["timestampNtz"]
    assert creation("t", "", plain, {}, vectors=True)[0]["protocol"]["readerFeatures"] == ["deletionVectors"]
    assert creation("t", "", moment, {}, vectors=True)[0]["protocol"]["readerFeatures"] == ["timestampNtz", "deletionVectors"]


@pytest.mark.usefixtures("worth_it")
def test_rules_of_the_whole_table_see_the_rows_that_count(run: Run, tmp_path: Path) -> None:
    """Nulls of rows that left are none of the table's, though the log's statistics of their file still count them; nor do their values repeat."""
    table = Table(orders.name, Order, owner="shop", max_rejected=1.0, rules=(null_share("day", at_most=0.5), unique("customer", severity="warn")))
    judged = hop(table, write="merge", raw=changes(bronze_orders))(_some_day)
    write_orders(tmp_path, "a.csv", [(n, f"c{n}", "1.00", "2024-01-01" if n >= 20 else "some day") for n in range(100)])
    bring(run, tmp_path, judged)
    write_orders(tmp_path, "b.csv", [(n, f"c{n}", "1.00", "2024-01-01") for n in range(15)])
    bring(run, tmp_path, judged)
    assert sorted(files(run).values()) == [(15, 0), (85, 15)]
    found = {check.name: check for check in last_record(run, orders).checks}
    assert found["null_share(day)"].value == "5.00% null (5 of 100 rows)"
    assert found["unique(customer)"].holds


@pytest.mark.usefixtures("worth_it")
def test_profiles_and_differences_leave_out_what_left(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile counts the rows there are, and two versions that share a file differ by what left it."""
    monkeypatch.setattr("lake.datafile.WORTH_SKETCHING", 100)
    monkeypatch.setattr("lake.profile.WORTH_SKETCHING", 100)
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    before = run.snapshot(PATH, 0)
    assert profile(before).read == 0
    deliver(run, tmp_path, "second.csv", range(990, 1000), "2.00")
    now = run.snapshot(PATH, 1)
    made = profile(now)
    assert (made.rows, made.read) == (1000, 2)
    assert made.columns["amount"].rows == 1000
    found = difference(before, now, orders.key)
    assert (found.added, found.removed, found.changed, found.columns) == (0, 0, 10, ("amount",))


@pytest.mark.usefixtures("worth_it")
def test_upkeep_keeps_what_a_version_needs(run: Run, tmp_path: Path) -> None:
    """Files arranged anew hold the rows that count; the file that rows left stays while a retained version names it, with and without them."""
    deliver(run, tmp_path, "first.csv", range(300), "1.00")
    deliver(run, tmp_path, "second.csv", range(10), "2.00")
    there = run.snapshot(PATH, 1)
    write_parts(there.scan(), tmp_path / "parts")
    before = last_record(run, orders)
    rearrange(run, PATH, 1, before, removed=there.files, parts=tmp_path / "parts", why="all in one")
    assert list(files(run).values()) == [(300, 0)]
    list(maintain(run))
    for version, twos in ((0, 0), (1, 10), (2, 10)):
        found = open_snapshot(run.store, PATH, version).scan().collect()
        assert (found.height, found.filter(pl.col("amount") == 2).height) == (300, twos)


@pytest.mark.usefixtures("worth_it")
def test_gold_reads_what_is_there(run: Run, tmp_path: Path) -> None:
    """Sums over a table with vectors are sums over its rows, and the count of what was read comes out."""
    deliver(run, tmp_path, "first.csv", range(700), "1.00", clean_orders, sum_orders)
    deliver(run, tmp_path, "second.csv", range(7), "2.00", clean_orders, sum_orders)
    assert {float(row["amount"]) for row in rows_of(run, totals)} == {101.0}
    assert last_record(run, totals).ledger.read == 700


def test_vectors_in_files_of_their_own_are_not_overlooked(run: Run, tmp_path: Path) -> None:
    """As Spark writes them. lake does not read these, says so, and does not show rows that are gone."""
    deliver(run, tmp_path, "first.csv", range(10), "1.00")
    there = run.snapshot(PATH, 0)
    file, bitmap = there.files[0], Vector.of([4])
    assert there.state is not None
    data = struct.pack("<i", 1681511377) + bitmap._bitmap().serialize()
    name = uuid.uuid4()
    run.store.put(f"{PATH}/deletion_vector_{name}.bin", b"\x01" + struct.pack(">i", len(data)) + data + struct.pack(">I", binascii.crc32(data)))
    descriptor = {"storageType": "u", "pathOrInlineDv": _spelled(name.bytes), "offset": 1, "sizeInBytes": len(data), "cardinality": 1}
    add = file.added()["add"] | {"deletionVector": descriptor}
    told = creation(orders.name, "", there.schema, {}, vectors=True)
    actions = [*told, file.removed(), {"add": add}, {"commitInfo": {"timestamp": 0, "operation": "DELETE"}}]
    run.store.put(f"{PATH}/_delta_log/{1:020d}.json", "\n".join(map(json.dumps, actions)).encode())
    assert pl.scan_delta(run.store.uri(PATH), storage_options=run.store.options).collect().height == 9
    with pytest.raises(StoreError, match="left out in a way"):
        open_snapshot(run.store, PATH, 1)


def _spelled(data: bytes) -> str:
    """An id in the spelling of ZeroMQ's RFC 32, worked out digit by digit."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    words = struct.unpack(">4I", data)
    return "".join("".join(digits[word // 85**power % 85] for power in (4, 3, 2, 1, 0)) for word in words)
