"""Parquet and Arrow files whose counts contradict each other, or whose end names only some of what stands in them: rejected, never read in part."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake.errors import FileRejected
from lake.ingest import ingest
from lake.landing import land
from lake.reading.arrow_footer import check_batches
from lake.reading.parquet_footer import check_rows
from lake.run import Run
from lake.source import Source
from lake.table import Table
from tests.test_packages import outcomes
from tests.tiny import last_record

SMALL, LARGE = pa.table({"n": [1, 2]}), pa.table({"n": [3, 4, 5]})


def parquet(table: pa.Table, **options: object) -> bytes:
    """As a file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def arrow(*batches: pa.Table) -> bytes:
    """As a file of so many batches."""
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, batches[0].schema) as writer:
        for batch in batches:
            writer.write_table(batch)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"n": pa.array([], pa.int64())}),
        pa.table({"n": range(100), "s": ["x"] * 100, "l": [[1, 2]] * 50 + [None] * 50, "d": pa.array(["a", "b"] * 50).dictionary_encode()}),
        pa.table({"s": pa.array([{"a": 1, "b": [{"c": 2}]}, None] * 40)}),
    ],
    ids=["empty", "mixed", "nested"],
)
def test_a_file_that_is_whole_is_read(table: pa.Table) -> None:
    """Of several row groups or batches, with indexes, checksums and pages as they are written."""
    for options in ({}, {"row_group_size": 7}, {"write_page_index": True, "write_page_checksum": True, "data_page_version": "2.0", "row_group_size": 30}):
        assert outcomes(parquet(table, **options), "x.parquet") == [table.num_rows]
    pieces = [table.slice(0, 30), table.slice(30)] if table.num_rows else [table]
    assert outcomes(arrow(*[piece.unify_dictionaries() for piece in pieces]), "x.arrow") == [table.num_rows]
    for written in (pl.DataFrame(table), pl.DataFrame(table).head(0)):
        for compression in ("uncompressed", "zstd", "lz4"):
            buffer, other = io.BytesIO(), io.BytesIO()
            written.write_ipc(buffer, compression=compression)  # type: ignore[arg-type]  # of its own names
            written.write_parquet(other, compression=compression)  # type: ignore[arg-type]  # as above
            assert outcomes(buffer.getvalue(), "x.arrow") == outcomes(other.getvalue(), "x.parquet") == [written.height]


def turned(data: bytes, begin: int, end: int) -> list[bytes]:
    """The data with one byte changed, for each of its bytes that may be a count of 17 or 5 rows."""
    found = []
    for at in range(begin, end):
        if data[at] in (34, 10, 17, 5, 4, 2, 7):
            found += [data[:at] + bytes([data[at] + step]) + data[at + 1 :] for step in (-2, -1, 1, 2)]
    return found


def test_no_changed_count_in_a_footer_of_parquet_changes_the_rows_in_silence(tmp_path: Path) -> None:
    """The file's count, a row group's, a column's: with any of them changed all rows are read, or it is refused."""
    table = pa.table({"n": range(17), "m": range(17)})
    data, path = parquet(table, row_group_size=5, use_dictionary=False, store_schema=False), tmp_path / "x.parquet"
    length = struct.unpack("<I", data[-8:-4])[0]
    refused = 0
    for changed in turned(data, len(data) - 8 - length, len(data) - 8):
        path.write_bytes(changed)
        try:
            heights: list[int] = []
            pl.scan_parquet(path, glob=False).sink_batches(lambda some, heights=heights: heights.append(some.height), engine="streaming")
            counted = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OSError):
            continue
        try:
            check_rows(path, sum(heights))
        except FileRejected:
            refused += 1
            continue
        assert (sum(heights), counted) == (17, 17)
    assert refused > 3


def test_a_count_of_rows_that_is_another_is_told(tmp_path: Path) -> None:
    """Which counts contradict each other is said."""
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet(LARGE))
    check_rows(path, 3)
    with pytest.raises(FileRejected, match="the file says that it has 3 rows, its row groups have 3 by their own word, and 2 can be read"):
        check_rows(path, 2)
    path.write_bytes(arrow(SMALL, LARGE))
    check_batches(path, 1, 5)
    with pytest.raises(FileRejected, match="the file's 2 batches have 5 rows by their own word, and 2 can be read"):
        check_batches(path, 1, 2)


def test_two_files_after_each_other_are_not_one() -> None:
    """The library reads the rows of the first for those of the second."""
    for one, two in ((SMALL, SMALL), (SMALL, LARGE), (LARGE, SMALL)):
        (told,) = outcomes(parquet(one) + parquet(two), "x.parquet")
        assert isinstance(told, str), (one, two)
        (told,) = outcomes(arrow(one) + arrow(two), "x.arrow")
        assert isinstance(told, str), (one, two)
    (told,) = outcomes(parquet(SMALL) + parquet(SMALL), "x.parquet")
    assert "two files one after the other are not one" in str(told)
    (told,) = outcomes(arrow(SMALL) + arrow(SMALL), "x.arrow")
    assert "are no batch that the file's end names" in str(told)


def test_a_batch_that_the_end_does_not_name_is_not_passed_over() -> None:
    """A footer that is older than its file: its list of batches has one less."""
    data = bytearray(arrow(SMALL, LARGE))
    length = struct.unpack("<i", data[-10:-6])[0]
    begin = len(data) - 10 - length
    at = data.find(struct.pack("<I", 2), begin)  # the length of the list
    while struct.unpack_from("<q", data, at + 4)[0] > len(data):
        at = data.find(struct.pack("<I", 2), at + 1)
    data[at] = 1
    (told,) = outcomes(bytes(data), "x.arrow")
    assert "are no batch that the file's end names" in str(told)


def test_no_changed_count_of_a_batch_changes_the_rows_in_silence() -> None:
    """Of any byte of what is said of the batches that may be a count."""
    data = arrow(pa.table({"n": range(17), "m": range(17)}), pa.table({"n": range(5), "m": range(5)}))
    for changed in turned(data, 8, len(data)):
        (told,) = outcomes(changed, "x.arrow")
        assert told == 22 or isinstance(told, str)


def test_a_file_with_a_false_count_is_one_reject(run: Run, tmp_path: Path) -> None:
    """Through bronze, beside one that comes in."""
    bronze = Table("bronze.counts.things")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").write_bytes(parquet(SMALL))
    (tmp_path / "in" / "b.arrow").write_bytes(arrow(SMALL) + arrow(LARGE))
    source = Source(bronze, tmp_path / "in", "*")
    land(run, source)
    ingest(run, source)
    assert [(file.name, file.rows, file.rejects) for file in last_record(run, bronze).files] == [("a.parquet", 2, 0), ("b.arrow", 0, 1)]
