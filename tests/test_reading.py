"""Reading raw files: every record of any file is a row or a reject with its place, no line is lost, and no value is changed."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from lake.contract import FILE, LANDED, RESCUED, ROW
from lake.dtypes import gate
from lake.errors import FileRejected
from lake.reading.delimited import _careful, _fast, count_text
from lake.reading.dialect import Dialect, column_names
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member
from lake.reading.unpack import Compression, compression_of

law = settings(max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])

DELIMITERS = [",", "\t", ";", "|"]
LINE_ENDS = ["\n", "\r\n"]
LINE_SEPARATORS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
TEXT = st.text(st.sampled_from('aZ09 "",;|\t\n\r\\\'.é€😀\x00\x85\u2028') | st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=6)


@dataclass(frozen=True)
class Read:
    """One file, read: how it was found to be written down, and what became of its records."""

    dialect: Dialect
    frame: pl.DataFrame
    rejects: pl.DataFrame
    records: int
    structure: pl.DataFrame
    mended: dict[str, int]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The file's own columns, in the file's order."""
        return self.frame.drop(ROW, RESCUED).rows()

    @property
    def numbered(self) -> list[tuple[Any, ...]]:
        """As `rows`, with the record's number before and the rescued fields after."""
        return self.frame.select(ROW, pl.exclude(ROW, RESCUED), RESCUED).rows()

    @property
    def rejected(self) -> list[tuple[int, int, bytes]]:
        """Number, line and bytes of each reject."""
        return self.rejects.select(ROW, "line", "bytes").rows()


def read_all(data: bytes, name: str = "table.csv", hints: Hints | None = None) -> list[Read]:
    """Read every file inside `data`; the law must hold for each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(data)
        compression = compression_of(path)
        result = []
        for i, dialect in enumerate(examine(path, compression, name, hints or Hints())):
            parsed = read_member(path, compression, dialect, name, Path(folder) / f"{i}")
            result.append(Read(dialect, parsed.frame.collect(engine="streaming"), parsed.rejects, parsed.records, parsed.structure.collect(), parsed.mended))
            check_law(result[-1])
    return result


def read(data: bytes, name: str = "table.csv", hints: Hints | None = None) -> Read:
    """Read a file with one file inside."""
    (only,) = read_all(data, name, hints)
    return only


def check_law(read: Read) -> None:
    """Records are rows and rejects, numbered 1 to records between them; rescued fields are JSON; rejects say where and why."""
    assert read.records == read.frame.height + read.rejects.height
    assert list(range(1, read.records + 1)) == sorted([*read.frame[ROW], *read.rejects[ROW]])
    assert all(isinstance(json.loads(text), list) for text in read.frame[RESCUED].drop_nulls())
    assert {ROW, RESCUED} <= set(read.frame.columns)
    assert list(read.rejects.null_count().row(0)) == [0, 0, 0, 0]
    assert read.rejects["line"].is_sorted()
    assert all(read.rejects["reason"])


def line(cells: list[str], delimiter: str, end: str, quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """One record as csv.writer writes it; told of CR LF, it quotes both wherever they stand."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n", quoting=quoting).writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + end


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of text, all of one width."""
    width = draw(st.integers(1, 4))
    return draw(st.lists(st.lists(TEXT.map(_plain), min_size=width, max_size=width), min_size=1, max_size=8))


def _plain(text: str) -> str:
    """Without signs that a text has for something else, which tests/test_signs.py is about: C1 for punctuation, 0x1A for its end; nor a comment's at once."""
    return re.sub("[\x80-\x84\x86-\x9f\x1a]", "", text).removeprefix("%")


@law
@given(tables(), st.sampled_from(DELIMITERS), st.sampled_from(LINE_ENDS), st.booleans(), st.booleans(), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_was_written_is_what_is_read(table: list[list[str]], delimiter: str, end: str, mark: bool, ended: bool, quoting: Any) -> None:
    """Cells of any text, under each delimiter and line end, with and without a byte order mark, come back exactly."""
    names = [f"c{i}" for i in range(len(table[0]))]
    text = "".join(line(cells, delimiter, end, quoting) for cells in [names, *table])
    data = ("\ufeff" if mark else "").encode() + (text if ended else text.removesuffix(end)).encode()
    found = read(data, hints=Hints(format="csv", delimiter=delimiter))
    assert names == found.dialect.columns
    assert [tuple(cells) for cells in table] == found.rows
    assert found.rejects.is_empty()
    assert found.frame[RESCUED].null_count() == len(table)


@law
@given(tables(), st.sampled_from(DELIMITERS), st.sampled_from(LINE_ENDS), st.booleans())
def test_a_file_without_header_keeps_its_first_line(table: list[list[str]], delimiter: str, end: str, mark: bool) -> None:
    """Told that there is no header, the first record is a row like any other, and columns are numbered."""
    table = [[re.sub(f"[{LINE_SEPARATORS}]", "", cell) for cell in cells] for cells in table]
    assume(delimiter != "\t" or "".join(table[0]).strip())  # a first line of tabs alone is a blank one
    data = ("\ufeff" if mark else "").encode() + "".join(line(cells, delimiter, end) for cells in table).encode()
    found = read(data, hints=Hints(format="csv", delimiter=delimiter, header=False))
    assert [f"column_{i + 1}" for i in range(len(table[0]))] == found.dialect.columns
    assert [tuple(cells) for cells in table] == found.rows


HOSTILE = [b'"', b'"', b'""', b",", b",", b";", b" ", b"\\", b"'", b"\xff", b"\xc3", "é".encode(), b"\xef\xbb\xbf", b"\0", b"\x85", b'","', b'"\n"', b"x"]


@law
@given(st.integers(1, 3), st.lists(st.tuples(*[st.lists(st.sampled_from(HOSTILE), max_size=4).map(b"".join)] * 2), max_size=12), st.data())
def test_no_line_is_lost(width: int, pieces: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    """Whatever stands around it, the mark in each line is found once in a row, a reject or a line of structure, and those of records keep their order."""
    header = b",".join(b"c%d" % i for i in range(width)) + data.draw(st.sampled_from([b"\n", b"\r\n"]))
    ends = data.draw(st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=len(pieces), max_size=len(pieces)))
    body = b"".join(before + b"<%d>" % i + after + end for i, ((before, after), end) in enumerate(zip(pieces, ends, strict=True)))
    found = read(header + body, hints=Hints(format="csv", delimiter=",", encoding=data.draw(st.sampled_from([None, "utf-8"]))))
    records: dict[int, str] = {number: reject.decode("latin-1") for number, _, reject in found.rejected}
    for number, *cells, rescued in found.numbered:
        records[number] = "\n".join([*(cell or "" for cell in cells), *json.loads(rescued or "[]")])
    marks = [int(mark) for _, text in sorted(records.items()) for mark in re.findall(r"<(\d+)>", text)]
    aside = [int(mark) for text in found.structure["bytes"] for mark in re.findall(rb"<(\d+)>", text)]
    assert marks == sorted(marks)
    assert list(range(len(pieces))) == sorted(marks + aside)


MAGIC = [
    b"",
    b"PAR1",
    b"ARROW1\0\0",
    b"\x1f\x8b\x08",
    b"PK\x03\x04",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"\xff\xfe",
    b"\xfe\xff",
    b"{",
    b"[{",
    b"%PDF",
]
NAMES = ["table.csv", "table.tsv", "table.json", "table.ndjson", "table.csv.gz", "noname"]


@law
@given(
    st.sampled_from(MAGIC),
    st.lists(st.sampled_from([*HOSTILE, b"\n", b"\r", b"1"]), max_size=20).map(b"".join) | st.binary(max_size=60),
    st.sampled_from(NAMES),
)
def test_any_bytes_are_read_or_rejected(magic: bytes, data: bytes, name: str) -> None:
    """Bytes of no sense at all, under any name, are read under the law or raise FileRejected, and nothing else."""
    for hints in (Hints(), Hints(format="csv"), Hints(format="csv", header=False, delimiter=";")):
        try:
            event(f"read as {read(magic + data, name, hints).dialect.format}")
        except FileRejected:
            event("rejected")


@st.composite
def almost_regular(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Columns, and records that mostly fit them: some have other widths, stray quotes, or line ends of the other kind."""
    width = draw(st.integers(1, 3))
    end = draw(st.sampled_from(LINE_ENDS))
    cells = st.lists(st.text(st.sampled_from('ab ",;\n\\é\0\u2028'), max_size=4), min_size=width, max_size=width)
    lines = [line(each, ",", end) for each in draw(st.lists(cells, max_size=6))]
    for place, text in draw(
        st.lists(st.tuples(st.integers(0, 6), st.sampled_from(['a"b', "", "x,y", "x\r", 'a" "', "a", ",", "a,b,c", '"\r\n"'])), max_size=2)
    ):
        lines.insert(place, text + end)
    return [f"c{i}" for i in range(width)], lines


@law
@given(almost_regular(), st.booleans(), st.booleans())
def test_the_fast_way_is_the_careful_way(file: tuple[list[str], list[str]], header: bool, ended: bool) -> None:
    """A file that the fast way accepts gives the very rows that the careful way gives, and has nothing to reject."""
    columns, lines = file
    text = (",".join(columns) + "\n") * header + "".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_text(text if ended else text.rstrip("\r\n"), "utf-8", newline="")
        dialect = Dialect(format="csv", header=header, columns=columns)
        fast = _fast(path, dialect, count_text(path, ","))
        event(f"accepted: {fast is not None}")
        if fast is not None:
            careful = _careful(path, dialect, Path(folder) / "rows")
            rows = careful.frame.collect()
            assert rows.rows() == fast.frame.select(rows.columns).collect().rows()
            assert (careful.records, 0) == (fast.records, careful.rejects.height)


@law
@given(tables(), st.sampled_from(DELIMITERS), st.sampled_from(LINE_ENDS))
def test_a_regular_file_is_read_the_fast_way(table: list[list[str]], delimiter: str, end: str) -> None:
    """Quotes, delimiters and line feeds inside values do not send a well-formed file the slow way."""
    table = [[cell.replace("\r", "") for cell in cells] for cells in table]
    columns = [f"c{i}" for i in range(len(table[0]))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes("".join(line(cells, delimiter, end) for cells in [columns, *table]).encode())
        assert _fast(path, Dialect(format="csv", delimiter=delimiter, columns=columns), count_text(path, delimiter)) is not None


UTF8 = Hints(encoding="utf-8")
LONG = "x" * 200_000
CASES: dict[str, tuple[bytes, Hints, list[tuple[Any, ...]], list[tuple[int, int, bytes]]]] = {
    "short records have nulls": (b"a,b,c\n1\n1,\n1,2,3\n", Hints(), [(1, "1", None, None, None), (2, "1", "", None, None), (3, "1", "2", "3", None)], []),
    "long records are rescued": (b'a,b\n1,2,3\n1,2,"x,""y""",\xc3\xa9\n', Hints(), [(1, "1", "2", '["3"]'), (2, "1", "2", '["x,\\"y\\"", "é"]')], []),
    "empty text stays empty": (b'a,b\n,""\n"",\n', Hints(), [(1, "", "", None), (2, "", "", None)], []),
    "a blank line is rejected": (b"a,b\n1,2\n\n3,4\n\n", Hints(), [(1, "1", "2", None), (3, "3", "4", None)], [(2, 3, b"\n")]),
    "a blank line is a value of a single column": (b"a\n1\n\n3\n", Hints(), [(1, "1", None), (2, "", None), (3, "3", None)], []),
    "only the line with the open quote is rejected": (b'a,b\n1,"x\n3,4\n', Hints(), [(2, "3", "4", None)], [(1, 2, b'1,"x\n')]),
    "a quote opened in the last line": (b'a,b\n1,2\n3,"x', Hints(), [(1, "1", "2", None)], [(2, 3, b'3,"x')]),
    "text after a closing quote": (b'a,b\n"1"x,2\n3,4\n', Hints(), [(2, "3", "4", None)], [(1, 2, b'"1"x,2\n')]),
    "a quote inside a value is a character": (b'a,b\n5" pipe,7"\n', Hints(), [(1, '5" pipe', '7"', None)], []),
    "a value over several lines": (b'a,b\n"1\n2\r\n3",4\n5,6,7\n', Hints(), [(1, "1\n2\r\n3", "4", None), (2, "5", "6", '["7"]')], []),
    "lines are counted through values": (b'a,b\n"1\n2",3\n\n4,5\n', Hints(), [(1, "1\n2", "3", None), (3, "4", "5", None)], [(2, 4, b"\n")]),
    "NULs are kept": (b"a,b\nx\0y,2\n1\n", Hints(), [(1, "x\0y", "2", None), (2, "1", None, None)], []),
    "Windows text": (b"a,b\n\x80,\xe9\n", Hints(), [(1, "€", "é", None)], []),
    "Windows text with bytes that it lacks": (b"a,b\n\x81,\xe9\n", Hints(), [(1, "\x81", "é", None)], []),
    "UTF-16, little end first": ("\ufeffa,b\n1,€\n".encode("utf-16-le"), Hints(), [(1, "1", "€", None)], []),
    "UTF-16, big end first": ("\ufeffa,b\n1,😀\n".encode("utf-16-be"), Hints(), [(1, "1", "😀", None)], []),
    "UTF-32": ("a,b\n1,€\n".encode("utf-32"), Hints(), [(1, "1", "€", None)], []),
    "an encoding that is declared": ("a,b\n1,ł\n".encode("iso8859-2"), Hints(encoding="iso8859-2"), [(1, "1", "ł", None)], []),
    "only the line that is not UTF-8 is rejected": (b"a,b\n1,\xff\n3,4\n", UTF8, [(2, "3", "4", None)], [(1, 2, b"1,\xff\n")]),
    "a header only": (b"a,b\n", Hints(), [], []),
    "a header that is not ended": (b"a,b", Hints(), [], []),
    "nothing": (b"", Hints(), [], []),
    "a byte order mark only": (b"\xef\xbb\xbf", Hints(), [], []),
    "no header": (b"1,2\n3,4\n", Hints(header=False), [(1, "1", "2", None), (2, "3", "4", None)], []),
    "lines end in CR": (b"a,b\r1,2\r3,4", Hints(), [(1, "1", "2", None), (2, "3", "4", None)], []),
    "lines end in any way": (b"a,b\r\n1,2\n3,4\r5,6\r\n", Hints(), [(1, "1", "2", None), (2, "3", "4", None), (3, "5", "6", None)], []),
    "semicolons, with decimal commas": (b"a;b\n1,5;2\n3,5;4\n", Hints(), [(1, "1,5", "2", None), (2, "3,5", "4", None)], []),
    "bars": (b"a|b\n1|2,3\n", Hints(), [(1, "1", "2,3", None)], []),
    "a header over two lines": (b'"a\nb",c\n1,2\n\n3,4', Hints(), [(1, "1", "2", None), (3, "3", "4", None)], [(2, 4, b"\n")]),
    "a value longer than csv's own limit": (f"a,b\n{LONG}\n".encode(), Hints(), [(1, LONG, None, None)], []),
}  # fmt: skip


@pytest.mark.parametrize(("data", "hints", "rows", "rejected"), CASES.values(), ids=CASES)
def test_every_kind_of_line(data: bytes, hints: Hints, rows: list[tuple[Any, ...]], rejected: list[tuple[int, int, bytes]]) -> None:
    """Each record is a row with its number and its rescued fields, or a reject with its number, line and bytes."""
    found = read(data, hints=hints)
    assert rows == found.numbered
    assert rejected == found.rejected


@pytest.mark.parametrize(
    ("data", "hints", "reason"),
    [
        (b"a,b\n\n1,2\n", Hints(), "blank"),
        (b'a,b\n1,"x\n', Hints(), "never closed"),
        (b"a,b\n1,\xff\n", UTF8, "UTF-8 at byte 3"),
        (b'a,b\n"1"x,2\n', Hints(), "parsed"),
    ],
    ids=["blank", "open", "encoding", "parsed"],
)
def test_a_reject_says_why(data: bytes, hints: Hints, reason: str) -> None:
    """The reason of a reject names what is wrong with the line."""
    assert reason in read(data, hints=hints).rejects["reason"].item()


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("name", ["table.csv", "table.txt", "table"])
def test_the_delimiter_is_found(delimiter: str, name: str) -> None:
    """The delimiter that cuts all lines alike is found, whatever other marks stand in the values."""
    table = [["name", "note", "n"], ["Ann", "so, well; then", "1"], ["Bob", "a|b", "2"], ["Cy", "", "3"]]
    found = read("".join(line(cells, delimiter, "\n") for cells in table).encode(), name)
    assert table[0] == found.dialect.columns
    assert [tuple(cells) for cells in table[1:]] == found.rows


def test_tabs_are_known_by_the_name() -> None:
    """A .tsv file is cut at tabs even where commas would cut it as well."""
    assert read(b"a,b\tc\n1,2\t3\n", "table.tsv").rows == [("1,2", "3")]


def test_a_bad_line_far_down_is_rejected_alone() -> None:
    """Invalid UTF-8 after the part that the encoding is found from, in a file of more than one batch, takes one line with it."""
    lines = [b"%d,x\n" % i for i in range(60_000)]
    lines[59_000], lines[59_001] = b"59000,\xff\n", b"59001\n"
    found = read(b"n,t\n" + b"".join(lines))
    assert found.rejected == [(59_001, 59_002, b"59000,\xff\n")]
    assert [(i + 1, str(i)) for i in range(60_000) if i != 59_000] == found.frame.select(ROW, "n").rows()
    assert found.frame["t"].null_count() == 1


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("a,a,A,a_2", ["a", "a_2", "A_3", "a_2_2"]), ("a,,b,", ["a", "column_2", "b", "column_4"]), (" a , b c,d;e", ["a", "b_c", "d_e"]),
        ("_row,_file,_rescued,_LANDED", ["_row_2", "_file_2", "_rescued_2", "_LANDED_2"]), ('"a\nb","c,d","(x)"', ["a_b", "c_d", "x"]), ("é,数", ["é", "数"]),
    ],
)  # fmt: skip
def test_columns_get_names_that_delta_can_hold(header: str, columns: list[str]) -> None:
    """Repeated, empty, forbidden and reserved names are replaced, and what they were is kept."""
    width = len(columns)
    found = read((header + "\n" + ",".join("12345"[:width]) + "\n").encode(), hints=Hints(delimiter=","))
    assert columns == found.dialect.columns
    assert [tuple("12345"[:width])] == found.rows
    assert {c: n for c, n in zip(columns, next(csv.reader(io.StringIO(header))), strict=True) if c != n} == found.dialect.renamed


@law
@given(
    st.lists(
        st.text(st.sampled_from("aAßSs_2 ,;{}()\n\t=\0é") | st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from([ROW, FILE]), max_size=8
    )
)
def test_any_header_gives_names_that_pass_the_gate(named: list[str]) -> None:
    """Whatever the header says, its columns get as many names, all different, none of them lake's own, and Delta can hold them."""
    columns = column_names(named)
    assert len(named) == len(columns)
    passage = gate(pl.Schema(dict.fromkeys([*columns, ROW, FILE, LANDED, RESCUED], pl.String())))
    assert len(passage.schema) == len(named) + 4
    assert columns == column_names(columns)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}  # fmt: skip
NUMBERS = b"n,square\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(50_000))


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip file of `files`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_file_is_read_whole(kind: Compression) -> None:
    """Packed files are known by their bytes rather than their name, and one that was appended to is read to its end."""
    pack = PACKERS[kind]
    assert read(pack(NUMBERS), f"numbers.csv.{kind}").records == 50_000
    assert read(pack(b"a;b\n1;2\n") + pack(b"3;4\n"), "misnamed.txt").rows == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zip"])
def test_a_packed_file_that_is_cut_off_is_rejected(kind: str) -> None:
    """Part of a packed file is never taken for the whole."""
    packed = zipped({"numbers.csv": NUMBERS}) if kind == "zip" else PACKERS[kind](NUMBERS)
    for size in (len(packed) - 5, len(packed) // 2, 12):
        with pytest.raises(FileRejected, match="damaged"):
            read(packed[:size], f"numbers.csv.{kind}")


@pytest.mark.parametrize("kind", [*PACKERS, "zip"])
def test_a_packed_file_with_a_changed_byte_is_rejected(kind: str) -> None:
    """The checks that every packing carries are made."""
    packed = bytearray(zipped({"numbers.csv": NUMBERS}) if kind == "zip" else PACKERS[kind](NUMBERS))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(FileRejected, match="damaged"):
        read(bytes(packed), f"numbers.csv.{kind}")


def test_every_file_in_a_zip_is_read() -> None:
    """The files in a zip are read in its order, each in its own way; what other systems leave there is not."""
    files = {
        "b.csv": b"a,b\n1,2\n",
        "in/a.tsv": b"x\ty\n3\t4\n",
        "in/": b"",
        "__MACOSX/b.csv": b"\0\5",
        "in/.DS_Store": b"\0",
        "c.ndjson": b'{"z": 5}\n',
        "d.csv": b"",
    }
    found = read_all(zipped(files), "all.zip")
    assert [(each.dialect.member, each.rows) for each in found] == [("b.csv", [("1", "2")]), ("in/a.tsv", [("3", "4")]), ("c.ndjson", [(5,)]), ("d.csv", [])]


def test_a_zip_with_nothing_to_read_is_rejected() -> None:
    """A zip that is empty, and one with an encrypted file inside, are rejected with what is wrong."""
    with pytest.raises(FileRejected, match="nothing in it"):
        read_all(zipped({}), "empty.zip")
    locked = bytearray(zipped({"secret.csv": b"a\n1\n"}))
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(FileRejected, match=r"secret\.csv inside is encrypted"):
        read_all(bytes(locked), "locked.zip")


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    """What `write` writes."""
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


TYPED = pl.DataFrame({"n": [1, 2, None], "day": [date(1969, 12, 31), None, date(2024, 2, 29)], "x y": ["a", "", None], "_row": [7.5, 8.0, 9.25]})
PARQUET = written(TYPED.write_parquet)


@pytest.mark.parametrize("data", [PARQUET, gzip.compress(PARQUET), written(TYPED.write_ipc)], ids=["Parquet", "packed Parquet", "Arrow"])
def test_typed_files_keep_their_types(data: bytes) -> None:
    """Parquet and Arrow files are known by their content, even if named .csv, and keep types, nulls and empty text."""
    found = read(data, "table.csv")
    assert TYPED.rows() == found.rows
    assert [*TYPED.rename({"x y": "x_y", "_row": "_row_2"}).schema.items(), (ROW, pl.Int64()), (RESCUED, pl.String())] == list(found.frame.schema.items())


def test_a_workbook_is_read() -> None:
    """The first sheet of an Excel file, or the one named, is read with its types; a sheet that is not there rejects the file."""
    day = TYPED.select("n", "day", pl.col("x y").replace("", "b"))
    workbook = written(lambda buffer: day.write_excel(buffer, worksheet="days"))
    assert day.rows() == read(workbook, "days.xlsx").rows
    assert day.rows() == read(workbook, "days.xlsx", Hints(sheet="days")).rows
    with pytest.raises(FileRejected, match="nights"):
        read(workbook, "days.xlsx", Hints(sheet="nights"))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "table.csv"), (b"%PDF-1.7\n", "table.csv"), (b"\0\1\2" * 30, "table.csv"), (PARQUET[: len(PARQUET) // 2], "table.parquet"),
        (written(TYPED.write_ipc)[:-20], "table.arrow"), (b'[{"a": 1', "table.json"), (b'[7, {"a": 1', "table.json"), (b"{\n", "table.json"), (b"[1, 2]", "table.json"),
    ],
    ids=["picture", "PDF", "bytes", "cut Parquet", "cut Arrow", "cut JSON", "number in cut JSON", "open JSON", "JSON of numbers"],
)  # fmt: skip
def test_a_file_of_no_records_is_rejected_whole(data: bytes, name: str) -> None:
    """What is no table, or only a part of one, is rejected as a file, with what to do next."""
    with pytest.raises(FileRejected) as rejected:
        read(data, name)
    assert rejected.value.hint


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'[{"a": 1, "b": "x"}, {"b": "y", "c": [1, 2]}]', [(1, "x", None), (None, "y", [1, 2])]), (b'{\n "a": 1,\n "b": null\n}\n', [(1, None)]),
        (b'{"a": {"b": 1}}', [({"b": 1},)]), (b"[]", []), ('\ufeff[{"é": "😀"}]'.encode(), [("😀",)]),
    ],
    ids=["array", "object", "object on one line", "empty array", "with a mark"],
)  # fmt: skip
def test_json_is_read(data: bytes, rows: list[tuple[Any, ...]]) -> None:
    """An array of objects is a row each, with nulls where an object lacks a name; a single object is one row."""
    assert rows == read(data, "table.json").rows


def test_each_line_of_ndjson_stands_for_itself() -> None:
    """Objects of different shapes are rows of one table; a line that is no object is rejected alone, and rows keep their line numbers."""
    found = read(b'\xef\xbb\xbf{"a": 1, "b": "x"}\r\n{"a": \n\n[1]\n{"c": {"d": 2}}\n"text"\n{"a": 3}', "table.ndjson")
    assert found.numbered == [(1, 1, "x", None, None), (5, None, None, {"d": 2}, None), (7, 3, None, None, None)]
    assert found.rejected == [(2, 2, b'{"a": \n'), (3, 3, b"\n"), (4, 4, b"[1]\n"), (6, 6, b'"text"\n')]


_MEASURED = """
    import sys
    from pathlib import Path
    from lake.reading.delimited import read_delimited
    from lake.reading.dialect import Dialect
    path = Path(sys.argv[1])
    parsed = read_delimited(path, Dialect(format="csv", columns=["n", "place", "text", "note"]), path.with_name("rows"))
    parsed.frame.sink_parquet(path.with_name("out.parquet"))
    status = Path("/proc/self/status").read_text()
    print(parsed.records, path.with_name("rows").exists(), next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one process without its parent's is read from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """200 MB of text are read the fast way and written as Parquet in less than 600 MB, the interpreter and Polars included."""
    block = "".join(f'{i},"Oslo, {i % 97}",{"lorem ipsum " * 6}{i},\n' for i in range(10_000)).encode()
    path = tmp_path / "large.csv"
    with path.open("wb") as handle:
        handle.write(b"n,place,text,note\n")
        handle.writelines([block] * (200_000_000 // len(block) + 1))
    assert path.stat().st_size > 200_000_000
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(_MEASURED), path], capture_output=True, text=True, check=True)
    records, careful, peak = result.stdout.split()
    assert (200_000_000 // len(block) + 1) * 10_000 == int(records)
    assert careful == "False"
    assert int(peak) < 600_000
    assert pl.scan_parquet(tmp_path / "out.parquet").select(pl.len()).collect().item() == int(records)
