"""The law of delimited files: every byte is in a row, a reject or a line of structure, and can be got back; and what is mended, and what is not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from lake.contract import ROW
from lake.errors import FileRejected
from lake.reading import stretches
from lake.reading.delimited import parts, read_delimited, texts
from lake.reading.dialect import find_dialect
from lake.reading.hints import Hints
from lake.reading.text import restored, transcoded
from tests.test_reading import HOSTILE, law, read

PIECES = [
    *HOSTILE, b"\n", b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\n", b"1", b"22", b"2024-01-01", b"# x", b"Total", b"a,b,c\n", b"1,2,3\n", b"1;2;3\n", b'"a\nb"', b"\t", b"|", b"sep=;\n",
    b"\nx,y\n1,2\n3,4\n", b"12 rows\n", b"\x1a", b"\0" * 9,
]  # fmt: skip
SETTINGS = [
    Hints(format="csv"), Hints(format="csv", delimiter=","), Hints(format="csv", header=False), Hints(format="csv", delimiter=",", comment="#"), Hints(format="csv", escape="\\"),
    Hints(format="csv", quote="'"), Hints(format="csv", quote="", delimiter=","), Hints(format="csv", skip_lines=2, footer_lines=1), Hints(format="csv", header=2),
    Hints(format="csv", table=2), Hints(format="csv", encoding="utf-8"), Hints(format="csv", encoding="cp1252"), Hints(format="csv", encoding="utf-16"),
]  # fmt: skip


@contextmanager
def short_stretches(long: int, short: int) -> Iterator[None]:
    """Stretches small enough to have many in a small file."""
    kept = stretches.LONG, stretches.SHORT
    stretches.LONG, stretches.SHORT = long, short
    try:
        yield
    finally:
        stretches.LONG, stretches.SHORT = kept


def check_whole(data: bytes, hints: Hints, length: int = 1 << 25) -> None:
    """The law for one file: rows and rejects are the records, each can be got back, and all of it together is the file."""
    with tempfile.TemporaryDirectory() as folder, short_stretches(length, max(1, length // 4)):
        path = Path(folder) / "plain"
        dialect = find_dialect(data, "table.csv", None, hints)
        if dialect.problem or not dialect.columns:
            event("nothing")
            return
        path.write_bytes(data if dialect.encoding == "utf-8" else b"".join(transcoded(iter([data]), dialect.encoding)))
        parsed = read_delimited(path, dialect, Path(folder) / "rows")
        frame = parsed.frame.collect()
        everything = list(parts(path, dialect))
        assert b"".join(part.text for part in everything) == path.read_bytes()
        assert parsed.records == frame.height + parsed.rejects.height
        assert sorted([*frame[ROW], *parsed.rejects[ROW]]) == list(range(1, parsed.records + 1)) == [part.row for part in everything if part.row]
        assert [part.row for part in everything if part.what == "row"] == frame[ROW].to_list()
        assert parsed.rejects.select(ROW, "line", "bytes").rows() == [(part.row, part.line, part.text) for part in everything if part.what == "reject"]
        assert parsed.structure.select("line", "bytes", "role").collect().rows() == [
            (part.line, part.text, part.what) for part in everything if part.row is None
        ]
        back = texts(path, dialect, range(1, parsed.records + 1))
        assert back == {part.row: part.text for part in everything if part.row}
        event(f"{'mended' if parsed.mended else 'as it is'}, {'structure' if sum(parsed.roles.values()) > 1 else 'none'}")


@law
@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join) | st.binary(max_size=60), st.sampled_from(SETTINGS), st.sampled_from([1 << 25, 1, 7, 40]))
def test_any_bytes_are_accounted_for(data: bytes, hints: Hints, length: int) -> None:
    """Rows, rejects and structure are the file's text byte for byte, whatever it is, however it is cut into stretches, and each record can be got back."""
    check_whole(data, hints, length)


@law
@given(
    st.lists(st.sampled_from(["1,2,3\n", "4,5,6\n", '"x\ny",2,3\n', "1,2\n", "\n", "1,2,3,4\n", '"x,2,3\n', "é,2,3\r\n", 'a"b,2,3\n', "a,b,c\n"]), max_size=40),
    st.sampled_from([1, 5, 30, 100]),
)
def test_stretches_do_not_show(lines: list[str], length: int) -> None:
    """A file read in short stretches, some proved and some not, gives the same rows and rejects as in one."""
    data = ("a,b,c\n" + "".join(lines)).encode()
    hints = Hints(format="csv", delimiter=",", header=True)
    found = []
    for size in (1 << 25, length):
        with short_stretches(size, max(1, size // 4)):
            whole = read(data, hints=hints)
        found.append((whole.numbered, whole.rejects.rows()))
    assert found[0] == found[1]


def reasons(data: bytes, hints: Hints | None = None) -> list[str]:
    """Why each reject is one."""
    return read(data, hints=hints or Hints(format="csv")).rejects["reason"].to_list()


NUMBERED = b"id,name,weight\n1,ann,2.5\n2,bob,3.5\n3,cy,4.5\n4,di,5.5\n"
MENDED: dict[str, tuple[bytes, tuple[str | None, ...]]] = {
    "a quoted field with quotes nobody doubled": (b'9,"a "big" one",1.5\n', ("9", 'a "big" one', "1.5")),
    "a quote inside a field": (b'9,5" disk,1.5\n', ("9", '5" disk', "1.5")),
    "a record broken in an unquoted field": (b"9,one\ntwo,1.5\n", ("9", "one\ntwo", "1.5")),
    "a record broken twice": (b"9,one\ntwo\nthree,1.5\n", ("9", "one\ntwo\nthree", "1.5")),
    "another delimiter in one line": (b"9;eve;1.5\n", ("9", "eve", "1.5")),
    "a mark inside": (b"\xef\xbb\xbf9,eve,1.5\n", ("9", "eve", "1.5")),
    "a doubled carriage return": (b"9,eve,1.5\r\r\n", ("9", "eve", "1.5")),
    "too few fields": (b"9,eve\n", ("9", "eve", None)),
    "a delimiter too many quotes": (b'9,"he said ""no""",1.5\n', ("9", 'he said "no"', "1.5")),
}


@pytest.mark.parametrize(("line", "row"), MENDED.values(), ids=MENDED)
def test_a_broken_line_is_mended_where_only_one_reading_fits(line: bytes, row: tuple[str | None, ...]) -> None:
    """The line in the middle of a table gives the row that a person would write down, and the records around it are untouched."""
    found = read(NUMBERED + line + b"5,ed,6.5\n")
    assert found.rows[4] == row
    assert found.rows[5] == ("5", "ed", "6.5")
    assert found.rejects.is_empty()


REJECTED: dict[str, tuple[bytes, str]] = {
    "a blank line": (b"\n", "blank"),
    "a quote that never closes": (b'9,"eve,1.5\n', "never closed"),
    "bytes that are no text": (b"9,\xff\xfe,1.5 \xc3\xa9\n", "UTF-8 at byte 3"),
}


@pytest.mark.parametrize(("line", "reason"), REJECTED.values(), ids=REJECTED)
def test_a_line_that_is_no_record_is_rejected_alone(line: bytes, reason: str) -> None:
    """The line is in the rejects with its bytes and the reason; the records around it are rows."""
    found = read(NUMBERED + line + b"5,ed,6.5\n", hints=Hints(encoding="utf-8"))
    assert found.rows[-1] == ("5", "ed", "6.5")
    assert found.rejected == [(5, 6, line)]
    assert reason in found.rejects["reason"].item()


def test_the_header_again_is_structure_unless_its_words_may_be_values() -> None:
    """Between records with numbers the header again is a structural line; where all columns hold words it is like a record, and a reject."""
    found = read(NUMBERED + b"id,name,weight\n5,ed,6.5\n")
    assert found.rejects.is_empty()
    assert found.structure.rows()[-1] == (6, b"id,name,weight\n", "repeated header", "the header again")
    words = read(b"name,city\nann,Rome\nbob,Oslo\nname,city\ncy,Bern\n", hints=Hints(header=True))
    assert words.rejected == [(3, 4, b"name,city\n")]


def test_lines_that_two_readings_fit_are_rejected_together() -> None:
    """Two short lines of words that may be one broken record, or two that lack their ends, are neither."""
    found = read(b"a,b,c\nx,y,z\nu,v,w\nx,y\nu,v\nx,y,z\n", hints=Hints(header=True))
    assert found.rejected == [(3, 4, b"x,y\nu,v\n")]
    assert "may be one broken record" in found.rejects["reason"].item()


def test_a_continued_last_field_is_joined() -> None:
    """A line of one word after a record, in a table whose records begin with a number, is the rest of its last field."""
    found = read(b"id,note\n1,first\n2,begins here\nand ends here\n3,third\n")
    assert found.rows == [("1", "first"), ("2", "begins here\nand ends here"), ("3", "third")]


def test_another_table_below_is_rejected_with_its_place() -> None:
    """The lines of a second table are rejects that say where it begins and how it is read; told so, it is read, and the first is rejected."""
    data = b"id,name,weight\n1,ann,2.5\n2,bob,3.5\n3,cy,1\n\nregion,manager\nnorth,Ana\nsouth,Ben\n"
    found = read(data)
    assert found.rows == [("1", "ann", "2.5"), ("2", "bob", "3.5"), ("3", "cy", "1")]
    assert all("table 2" in reason and "line 6" in reason and "Hints(table=2)" in reason for reason in found.rejects["reason"][1:])
    second = read(data, hints=Hints(table=2))
    assert second.rows == [("north", "Ana"), ("south", "Ben")]
    assert "table 1" in second.rejects["reason"][0]


def test_a_second_table_far_down_is_found_while_reading() -> None:
    """What neither the beginning nor the end of the file shows is found where it stands, and the header again ends it."""
    rows = b"".join(b"%d,name,2.5\n" % i for i in range(30_000))
    data = b"id,name,weight\n" + rows + b"\nregion,manager\nnorth,Ana\nsouth,Ben\n\nid,name,weight\n" + rows
    found = read(data)
    assert found.frame.height == 60_000
    assert found.rejects.height == 5
    assert found.structure["role"].to_list() == ["header", "repeated header"]
    assert sum("table 2" in reason for reason in found.rejects["reason"]) >= 3


def test_other_quotes_and_escapes_are_read_fast_where_they_can_be(tmp_path: Path) -> None:
    """A regular file with single quotes, and one whose backslashes escape nothing, are read lazily from the file itself."""
    for data, hints in [(b"a,b\n'x,y',2\n3,'4'\n", Hints(quote="'")), (b"# note\na,b\n1,2\n", Hints(skip_lines=1)), (b"a\tb\n1\t2\n", Hints(quote=""))]:
        path, rows = tmp_path / "plain", tmp_path / "rows"
        path.write_bytes(data)
        parsed = read_delimited(path, find_dialect(data, "x.csv", None, hints), rows)
        assert parsed.records
        assert not rows.exists()
    assert read(b"a,b\n'x,y',2\n3,'4'\n", hints=Hints(quote="'")).rows == [("x,y", "2"), ("3", "4")]


@pytest.mark.parametrize("encoding", ["shift_jis", "utf-16", "cp1252", "utf-16-le", "gb18030"])
def test_bytes_that_are_none_in_the_encoding_cost_their_line(encoding: str) -> None:
    """A line that cannot be decoded is rejected alone in any encoding; cp1252 has a sign for each byte."""
    good, bad = "a,b\n1,2\n", {"utf-16": b"\x00\xd8,\x00", "utf-16-le": b"\x00\xd8,\x00"}.get(encoding, b"\x81\xff,")
    data = good.encode(encoding) + bad + "x\n3,4\n".encode(encoding.replace("utf-16", "utf-16-le") if encoding == "utf-16" else encoding)
    found = read(data, hints=Hints(format="csv", encoding=encoding))
    assert found.rows[-1] == ("3", "4")
    assert found.rejects.height == (encoding != "cp1252")


def test_values_over_several_lines_are_whole_where_each_line_ends_with_a_delimiter() -> None:
    """The delimiter at the end of each line does not make the rest of a value look like a record of its own."""
    found = read(b'id;address;n;\n1;"Rue Haute 3\nBruxelles";5;\n2;"Bygade 1\nBergen";6;\n')
    assert found.rows == [("1", "Rue Haute 3\nBruxelles", "5"), ("2", "Bygade 1\nBergen", "6")]


STRAY: dict[str, bytes] = {
    "below two columns": b"id,t\n1,a\n2,b\nsome trailing remark\n",
    "between two columns": b"id,t\n1,a\nfoo\n3,c\n",
    "below three columns": b"id,a,t\n1,x,a\n2,y,b\nsome trailing remark\n",
    "a sentence that ended": b"id,t\n1,It was late.\nand dark\n3,c\n",
    "a remark in capitals": b"id,t\n1,came very late\nExported by Ann\n3,c\n",
}


@pytest.mark.parametrize("data", STRAY.values(), ids=STRAY)
def test_a_stray_line_is_never_glued_to_a_good_record(data: bytes) -> None:
    """A line that may be the rest of the record before it, or one of its own, is rejected alone; the record before it stays as it is."""
    found = read(data)
    assert not any("\n" in (cell or "") for row in found.rows for cell in row)
    assert found.rejects.height == 1
    assert "either the rest of the record before it or a line of its own" in found.rejects["reason"].item()


PADDED: dict[str, tuple[bytes, bytes]] = {
    "the mark that ends files of DOS": (b"id,t\n1,a\n2,b\n", b"\x1a"),
    "the mark right after a value": (b"id,t\n1,a\n2,b", b"\x1a"),
    "the mark on a line of its own": (b"id,t\r\n1,a\r\n2,b\r\n", b"\x1a\r\n"),
    "a block that is filled up": (b"id,t\n1,a\n2,b\n", b"\0" * 1000),
    "a long block": (b"id,t\n1,a\n2,b\n", b"\0" * 600_000),
    "NULs right after a value": (b"id,t\n1,a\n2,b", b"\0" * 9),
    "a few NULs on a line": (b"id,t\n1,a\n2,b\n", b"\0\0\0"),
    "in a single column": (b"t\na\nb\n", b"\0" * 9),
    "after a blank line": (b"id,t\n1,a\n2,b\n\n", b"\x1a"),
}


@pytest.mark.parametrize(("text", "end"), PADDED.values(), ids=PADDED)
def test_what_fills_up_the_end_of_a_file_is_no_record(text: bytes, end: bytes) -> None:
    """The mark 0x1A and NULs after the last line are left out, listed as structure, and the commit says so."""
    found, clean = read(text + end), read(text)
    assert found.rows == clean.rows
    assert found.rejects.is_empty()
    assert found.structure.row(-1)[1:3] == (end, "padding")


def test_a_value_that_ends_in_a_nul_keeps_it() -> None:
    """One NUL after a value is part of it, at the end of a file too, and is a value of a single column."""
    assert read(b"a,b\n1,x\0").rows == [("1", "x\0")]
    assert read(b"a\n1\n\0").rows == [("1",), ("\0",)]


def test_a_small_file_with_some_nuls_is_text() -> None:
    """Three NULs do not make a file another thing; where it is refused, the reason counts them."""
    assert read(b"id,t\n1,a\0b\n2,\0\0x\n").rows == [("1", "a\0b"), ("2", "\0\0x")]
    with pytest.raises(FileRejected, match="15 of its first 24 bytes are NUL"):
        read(b"abc\0\0\0\0\0" * 3)


BLANKS: dict[str, tuple[bytes, list[tuple[str | None, ...]]]] = {
    "everywhere": (b'x , y , z\n1 , "a, b" , 2\n', [("1 ", "a, b", "2")]),  # a blank after every delimiter belongs to it
    "in one line": (b'x,y,z\n1 , "a, b" , 2\n3,c,4\n', [("1 ", "a, b", " 2"), ("3", "c", "4")]),
    "without a header": (b'1 , "a, b" , 2\n3 , "c, d" , 4\n', [("1 ", "a, b", " 2"), ("3 ", "c, d", " 4")]),
    "at the beginning": (b' "x" , "y"\n "a, b" , 2\n', [("a, b", " 2")]),
}


@pytest.mark.parametrize(("data", "rows"), BLANKS.values(), ids=BLANKS)
def test_blanks_around_quotes_tear_no_field(data: bytes, rows: list[tuple[str | None, ...]]) -> None:
    """The delimiter inside a quoted field is text, whether or not blanks stand around its quotes."""
    assert read(data).rows == rows


def test_blanks_around_quotes_far_down_are_mended_or_rejected() -> None:
    """Where the beginning of the file does not show it: cut as it was meant if that gives the right width, else rejected; columns never shift."""
    rows = b"".join(b'%d,"c",4\n' % i for i in range(10_000))
    found = read(b"x,y,z\n" + rows + b'1 , "a, b" , 2\n' + b'1, "a, b"\n' + b"5,d,6\n")
    assert found.rows[-2:] == [("1 ", "a, b", " 2"), ("5", "d", "6")]
    assert found.rejected == [(10_002, 10_003, b'1, "a, b"\n')]
    assert "blanks stand around its quotes" in found.rejects["reason"].item()


WIDE = {"utf-16": b"\x00\xd8,\x00", "utf-16-le": b"\x00\xd8,\x00", "utf-16-be": b"\xd8\x00\x00,", "shift_jis": b"\x81\xff,"}


@pytest.mark.parametrize("encoding", WIDE)
def test_rejects_hold_the_file_s_own_bytes(encoding: str) -> None:
    """What is rejected of a file that is not UTF-8 is kept as it is in the file, and the reason speaks of its encoding and counts its bytes."""
    plain = encoding.replace("utf-16", "utf-16-le") if encoding == "utf-16" else encoding
    lines = ["a,b\n".encode(encoding), "1,2\n".encode(plain), "\n".encode(plain), WIDE[encoding] + "x\n".encode(plain), '3,"\u65e5\n'.encode(plain)]
    found = read(b"".join(lines), hints=Hints(format="csv", encoding=encoding))
    assert found.rows == [("1", "2")]
    assert found.rejects["bytes"].to_list() == lines[2:]
    assert found.rejects["reason"][1] == f"not valid {encoding.upper()} at byte 1 of the record"


@law
@given(st.binary(max_size=40), st.sampled_from(["utf-16-le", "utf-16-be", "utf-32-le", "ascii", "cp1250", "cp1252", "latin-1"]))
def test_transcoding_can_be_undone(data: bytes, encoding: str) -> None:
    """Any bytes come back from the text that was made of them."""
    assert restored(b"".join(transcoded(iter([data]), encoding)), encoding, data[:4])[0] == data


def test_each_record_whose_quotes_were_put_right_is_marked() -> None:
    """A quote that opens a line and is never closed is left out where the rest has the right fields; what was mended is counted by how."""
    rows = b"".join(b"%d,ed,6.5\n" % number for number in range(5, 20))
    found = read(NUMBERED + b'"9,eve,1.5\n9,"a "big" one",1.5\n' + rows)
    assert (found.rows[4], found.rows[5], found.rows[6]) == (("9", "eve", "1.5"), ("9", 'a "big" one', "1.5"), ("5", "ed", "6.5"))
    assert found.rejects.is_empty()
    assert found.mended == {"quotes put right": 2}


GOODS = b"item,note,price\npen,red,1.5\nink,blue,2.5\ncap,green,3.5\nbag,grey,3.5\nhat,brown,3.5\nrod,pink,4.0\n"
DAYS = b"item,day,price\npen,2024-03-01,1.50\nink,2024-03-02,2.50\ncap,2024-03-03,3.50\nbag,2024-03-04,4.50\n"
DAMAGED: dict[str, tuple[bytes, bytes, tuple[str | None, ...], str]] = {
    "a stray quote before a quoted field": (GOODS, b'"ink,"dark, black",2.50\n', ('"ink', "dark, black", "2.50"), "quotes put right"),
    "a delimiter lost before a quote": (GOODS, b'pen"nice, blue",1.50\n', ("pen", "nice, blue", "1.50"), "a delimiter put before a quote"),
    "the same with numbers": (GOODS, b'cap"12,5",3.50\n', ("cap", "12,5", "3.50"), "a delimiter put before a quote"),
    "a quote that opens a line and is never closed": (DAYS, b'"pen,2024-03-01,1.50\n', ("pen", "2024-03-01", "1.50"), "quotes put right"),
    "an empty field too many": (DAYS, b"pen,,2024-03-01,1.50\n", ("pen", "2024-03-01", "1.50"), "an empty field too many left out"),
    "an empty field too many further on": (DAYS, b"pen,2024-03-01,,1.50\n", ("pen", "2024-03-01", "1.50"), "an empty field too many left out"),
    "a first field that is empty and too many": (DAYS, b",pen,2024-03-01,1.50\n", ("pen", "2024-03-01", "1.50"), "an empty field too many left out"),
}


@pytest.mark.parametrize(("table", "line", "row", "how"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_mended_and_marked_where_one_reading_fits(table: bytes, line: bytes, row: tuple[str | None, ...], how: str) -> None:
    """The row is the one that a person would write down, the commit says how it was put right, and the records around it are as they were."""
    last = table.splitlines()[-1] + b"\n"
    found = read(table + line + last)
    assert (found.rows[-2], found.rows[-1] == found.rows[-3], found.rejects.height) == (row, True, 0)
    assert found.mended == {how: 1}


def test_an_empty_field_is_left_where_nothing_tells_that_it_is_too_many() -> None:
    """Among words, or where the values fit as they stand, a field beyond the names is rescued as ever."""
    assert read(GOODS + b"pen,,red,x\n").mended == {}


@pytest.mark.parametrize(
    ("line", "rescued", "mended"),
    [
        (b"pen,2024-03-01,1.50,", None, {"empty fields beyond the header left out": 1}), (b"pen,2024-03-01,1.50,,,", None, {"empty fields beyond the header left out": 1}),
        (b'pen,2024-03-01,1.50,""', None, {"empty fields beyond the header left out": 1}), (b"pen,2024-03-01,1.50,,x", '["", "x"]', {}),
        (b"pen,2024-03-01,1.50, ", '[" "]', {}),
    ],
)  # fmt: skip
def test_empty_fields_beyond_the_header_are_nothing(line: bytes, rescued: str | None, mended: dict[str, int]) -> None:
    """They are counted and not rescued; beside a value they keep its place, and a blank is a value."""
    found = read(DAYS + line + b"\n")
    assert (found.frame["_rescued"].to_list()[-1], found.mended, found.rejects.height) == (rescued, mended, 0)


PADDED = {
    "as it is": (b"item, day, price\npen, 2024-03-01, 1.50\nink, 2024-03-02, 2.50\n", [("pen", "2024-03-01", "1.50"), ("ink", "2024-03-02", "2.50")]),
    "two blanks": (b"item; note\npen;  red\nink; blue\n", [("pen", " red"), ("ink", "blue")]),
    "with quotes": (b'item, price\npen, "1,50"\nink, "2,50"\ncap, 3\n', [("pen", "1,50"), ("ink", "2,50"), ("cap", "3")]),
    "with a blank inside quotes": (b'item, note\npen, " red, too"\nink, blue\ncap, green\n', [("pen", " red, too"), ("ink", "blue"), ("cap", "green")]),
}


@pytest.mark.parametrize(("data", "rows"), PADDED.values(), ids=PADDED)
def test_a_blank_after_every_delimiter_belongs_to_it(data: bytes, rows: list[tuple[str, ...]]) -> None:
    """Where names and all records have it, it is no part of the values; one more is, and so is one in quotes."""
    found = read(data)
    assert (found.rows, found.rejects.height) == (rows, 0)
    assert found.dialect.named == [name.strip() for name in data.splitlines()[0].decode().replace(";", ",").split(",")]
    assert found.dialect.padded


def test_a_blank_after_some_delimiters_is_a_value() -> None:
    """One record without it, and each blank stays where it stands."""
    found = read(b"item, day\npen, 2024-03-01\nink,2024-03-02\n")
    assert found.rows == [("pen", " 2024-03-01"), ("ink", "2024-03-02")]
