"""Damage and odd text that once cost rows: each of these files lost something when it was first tried."""

from __future__ import annotations

import io
import random
import tempfile
import time
from pathlib import Path

import pytest
import xlsxwriter
import zstandard

from lake.errors import FileRejected
from lake.reading.delimited import _careful, _fast, count_text
from lake.reading.dialect import Dialect
from lake.reading.hints import Hints
from tests.test_reading import NUMBERS, TYPED, read, written, zipped

CSV = Hints(format="csv", delimiter=",")


def told(data: bytes, hints: Hints = CSV) -> tuple[int, int]:
    """Rows and rejects."""
    found = read(data, hints=hints)
    return found.frame.height, found.rejects.height


@pytest.mark.parametrize("hints", [Hints(), Hints(header=False)], ids=["header", "no header"])
def test_a_blank_first_line_costs_no_record_after_it(hints) -> None:
    """A blank first line costs no record after it."""
    rows, rejects = told(b"\na,b\n1,2\n3,4\n", hints)
    assert rows + rejects >= 2


def test_a_zstd_file_cut_in_half_is_damaged() -> None:
    """A zstd file cut in half is damaged."""
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(NUMBERS)
    with pytest.raises(FileRejected):
        read(packed[: len(packed) // 2], "x.csv.zst")


def test_a_zstd_file_that_lacks_its_last_bytes_is_damaged() -> None:
    """A zstd file that lacks its last bytes is damaged."""
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(b"a\n1\n2\n")
    with pytest.raises(FileRejected):
        read(packed[:-5], "x.csv.zst")


def workbook(rows):
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer) as book:
        sheet = book.add_worksheet()
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if value is not None:
                    sheet.write(i, j, value)
    return buffer.getvalue()


def test_text_far_down_a_column_of_numbers_is_kept() -> None:
    """Text far down a column of numbers is kept."""
    found = read(workbook([["n", "m"], *[[1, 1]] * 1500, ["N/A", 2], [3, 3]]), "x.xlsx")
    assert found.frame["n"].null_count() == 0


def test_a_row_with_only_such_text_is_kept() -> None:
    """A row with only such text is kept."""
    assert read(workbook([["n"], *[[1]] * 1500, ["N/A"], [3]]), "x.xlsx").records == 1502


def test_an_empty_row_of_a_workbook_shifts_no_number() -> None:
    """An empty row of a workbook shifts no number."""
    assert read(workbook([["n"], [1], [None], [3]]), "x.xlsx").frame["_row"].to_list() in ([1, 3], [1, 2, 3])


def test_a_broken_workbook_is_rejected() -> None:
    """A broken workbook is rejected."""
    with pytest.raises(FileRejected):
        read(zipped({"[Content_Types].xml": b"x"}), "x.xlsx")


def test_a_header_that_ends_in_cr_costs_no_record() -> None:
    """A header that ends in CR costs no record."""
    assert told(b"a\r1\n3\n") == (2, 0)


def fast_rows(data: bytes, width: int):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(data)
        dialect = Dialect(format="csv", columns=["x", "y"][:width])
        fast = _fast(path, dialect, count_text(path, ","))
        careful = _careful(path, dialect, Path(folder) / "s")
        rows = careful.frame.collect()
        return (fast and fast.frame.select(rows.columns).collect().rows()), rows.rows(), careful.rejects.height


@pytest.mark.parametrize(
    ("data", "width"),
    [(b'x\n"a"b"c"\n', 1), (b'x\n"a""', 1), (b'x,y\n1,"a""', 2), (b"x,y\na\r,b\n", 2), (b"x\n\xef\xbb\xbfa\n", 1), (b"x,y\n\xef\xbb\xbf1,2\n", 2)],
    ids=[
        "stray quotes lost",
        "open quote at the end, quote lost",
        "the same, two columns",
        "CR before a delimiter lost",
        "U+FEFF lost",
        "U+FEFF lost, two columns",
    ],
)
def test_the_fast_way_leaves_to_the_careful_way_what_it_would_read_differently(data, width) -> None:
    """The fast way leaves to the careful way what it would read differently."""
    fast, careful, rejects = fast_rows(data, width)
    assert fast is None or (fast == careful and rejects == 0)


def test_an_open_quote_in_the_header_costs_no_record() -> None:
    """An open quote in the header costs no record."""
    rows, rejects = told(b'a,"b\n1,2\n3,4\n')
    assert rows + rejects >= 2


def test_a_header_that_is_not_utf_8_costs_no_record() -> None:
    """A header that is not UTF-8 costs no record."""
    found = read(b"a\xff,b\n1,2\n3\n", hints=Hints(encoding="utf-8"))
    assert ("1", "2") in found.rows


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_cr_and_lf_end_a_header(mark) -> None:
    """Only CR and LF end a header."""
    assert len(read(f"x{mark}y,z\n1,2\n".encode()).dialect.columns) == 2


def test_a_long_header_is_read_whole() -> None:
    """A long header is read whole."""
    width = 8_000
    data = ",".join(f"column{i}" for i in range(width)) + "\n" + ",".join("1" * width) + "\n"
    assert len(read(data.encode()).dialect.columns) == width


def test_random_bytes_are_no_text() -> None:
    """Random bytes are no text."""
    with pytest.raises(FileRejected):
        read(random.Random(1).randbytes(20_000), "x.csv")


def test_a_packed_file_inside_a_package_is_no_text() -> None:
    """A packed file inside a package is no text."""
    import gzip

    with pytest.raises(FileRejected):
        read(zipped({"in.csv.gz": gzip.compress(NUMBERS)}), "x.zip")


def test_no_field_name_collides_with_lake_s_own() -> None:
    """No field name collides with lake's own."""
    assert read(b'{"_place":77}\nbroken\n{"_place":78}\n', "x.ndjson").frame["_row"].to_list() == [1, 3]


@pytest.mark.parametrize("bad", [b'{"a":NaN}', b'{"a":1e400}', b'{"a":"\\ud800"}'], ids=["NaN", "1e400", "half a surrogate"])
def test_one_line_that_is_no_json_costs_that_line(bad) -> None:
    """One line that is no JSON costs that line."""
    found = read(b'{"a":"x"}\n' + bad + b'\n{"a":"y"}\n', "x.ndjson")
    assert {("x",), ("y",)} <= set(found.rows)
    assert ("\0",) not in found.rows


def test_stray_quotes_do_not_take_cubic_time() -> None:
    """Stray quotes do not take cubic time."""
    started = time.monotonic()
    told(b"a,b\n" + b'x","y\n' * 400)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("kind", ["ndjson", "arrow"])
def test_a_path_is_never_a_pattern(kind, tmp_path) -> None:
    """A path is never a pattern."""
    from lake.reading.records import examine, read_member

    home = tmp_path / "a[1]*"
    home.mkdir()
    path = home / "raw"
    path.write_bytes(b'{"a":1}\n' if kind == "ndjson" else written(TYPED.write_ipc))
    (dialect,) = examine(path, None, f"x.{kind}", Hints())
    assert read_member(path, None, dialect, "x", home / "s").records


def test_utf_8_by_another_name_is_utf_8() -> None:
    """UTF-8 by another name is UTF-8."""
    assert told(b"a,b\n1,\xff\n3,4\n", Hints(encoding="UTF-8")) == (1, 1)
