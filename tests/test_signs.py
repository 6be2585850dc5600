"""Signs that stand for others and NULs that fill up fields: read as what they mean, counted, and kept as they came."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.ingest import ingest
from lake.landing import land
from lake.run import Run
from tests.test_encodings import read
from tests.tiny import bronze_orders, last_record, rows_of, source_at

NULS, SIGNS = "NULs around values left out", "control signs read as signs of Windows text"
PADDED: dict[str, tuple[bytes, list[tuple[str, ...]], int]] = {
    "fields": (b"id,name\n1\0\0\0,Ann\0\0\n2\0\0\0,Bob\0\0\n", [("1", "Ann"), ("2", "Bob")], 2),
    "records": (b"id,name\n1,Ann\0\0\0\0\0\n2,Bo\0\0\0\0\0\0\n", [("1", "Ann"), ("2", "Bo")], 2),
    "one NUL each": (b"id\0,name\0\n1\0,Ann\0\n2\0,Bob\0\n", [("1", "Ann"), ("2", "Bob")], 2),
    "blocks after the line end": (b"id,name\n\0\0\0\0\0\0\0\0001,Ann\n\0\0\0\0\0\0\0\0\0002,Bob\n\0\0\0\0", [("1", "Ann"), ("2", "Bob")], 2),
    "quoted": (b'id,name\n1,"Ann, the first"\0\0\0\n2,"Bo\0b"\0\0\n', [("1", "Ann, the first"), ("2", "Bo\0b")], 2),
    "to the end of the file": (b"id,name\r\n1,Ann\0\0\r\n2,Cy\0\0\r\n3,Bob\0\0\0\0\0\0\0\0\0", [("1", "Ann"), ("2", "Cy"), ("3", "Bob")], 2),
    "semicolons": (b"id;name\n1\0\0\0;Ann\0\0\n2\0\0\0;Bob\0\0\n", [("1", "Ann"), ("2", "Bob")], 2),
    "with a mark": (b"\xef\xbb\xbfid,name\n1,Ann\0\0\0\n2,B\xc3\xb6b\0\0\n", [("1", "Ann"), ("2", "Böb")], 2),
}  # fmt: skip


@pytest.mark.parametrize(("data", "rows", "count"), PADDED.values(), ids=PADDED)
def test_nuls_that_fill_up_are_no_part_of_values(tmp_path: Path, data: bytes, rows: list[tuple[str, ...]], count: int) -> None:
    """NULs beside the edges of fields, and of records, are left out of values and counted; the bytes of the file are kept."""
    found, member = read(tmp_path, data)
    assert found == rows
    assert member.dialect.named == ["id", "name"]
    assert member.mended == {NULS: count}


def test_padding_far_down_is_found_too(tmp_path: Path) -> None:
    """A file whose first 64 KiB are whole, and whose later records are filled up."""
    data = b"id,name\n" + b"".join(b"%d,whole name\n" % n for n in range(9000)) + b"9000,Ann\0\0\0\0\n"
    rows, member = read(tmp_path, data)
    assert rows[-1] == ("9000", "Ann")
    assert member.mended == {NULS: 1}


def test_a_nul_within_a_value_stays(tmp_path: Path) -> None:
    """A NUL between letters, and a single one after a value, may be part of it."""
    rows, member = read(tmp_path, b"id,name\n1,A\0nn\n2,Bob\0\n3,Cy\n4,Di\n")
    assert rows == [("1", "A\0nn"), ("2", "Bob\0"), ("3", "Cy"), ("4", "Di")]
    assert not member.mended


def test_rejects_of_a_padded_file_are_as_they_came(tmp_path: Path) -> None:
    """A record that is no row is kept with its NULs."""
    _, member = read(tmp_path, b'id,name\n1,Ann\0\0\0\n2,"open\0\0\n3,Cy\0\0\n')
    assert member.rejects["bytes"].to_list() == [b'2,"open\0\0\n']


TOLD: dict[str, tuple[bytes, dict[str, str], list[str]]] = {
    "UTF-8 of what was never Latin-1": ("id,note\n1,it\x92s\n2,\x93hi\x94 \x96 5 \x80\n3,plain\n".encode(), {}, ["it’s", "“hi” – 5 €", "plain"]),
    "declared Latin-1": ("id,note\n1,it’s\n2,“hi”\n3,Jörg\n".encode("cp1252"), {"encoding": "latin-1"}, ["it’s", "“hi”", "Jörg"]),
    "declared Latin-2": ("id,note\n1,it’s\n2,„hi”\n3,ř\n".encode("cp1250"), {"encoding": "iso8859-2"}, ["it’s", "„hi”", "ř"]),
}


@pytest.mark.parametrize(("data", "hints", "notes"), TOLD.values(), ids=TOLD)
def test_control_signs_that_stand_for_punctuation(tmp_path: Path, data: bytes, hints: dict[str, str], notes: list[str]) -> None:
    """U+0080 to U+009F are what they are in Windows text, where the text was taken for Latin-1 once; each record is counted."""
    rows, member = read(tmp_path, data, **hints)
    assert [note for _, note in rows] == notes
    assert member.mended == {SIGNS: 2}


ALONE: dict[str, tuple[bytes, list[tuple[str, ...]]]] = {
    "a control sign in a file of nothing else": ("id,code\n1,\x80\n2,x\x93\n".encode(), [("1", "\x80"), ("2", "x\x93")]),
    "0x1A as the only value": (b"code\n\x1a\n", [("\x1a",)]),
    "0x1A in the last value, with a line end": (b"id,code\n1,a\n2,b\x1a\n", [("1", "a"), ("2", "b\x1a")]),
    "fields of a single NUL": (b"id,code\n1,\0\n2,\0\n", [("1", "\0"), ("2", "\0")]),
    "0x1A below the records": (b"id,code\n1,a\n2,b\n\x1a\n", [("1", "a"), ("2", "b")]),
    "several signs of currency": ("id,total price\n1,5 \x80\n2,6 \x80\n3,whole sum 7 \x80\n".encode(), [("1", "5 €"), ("2", "6 €"), ("3", "whole sum 7 €")]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "rows"), ALONE.values(), ids=ALONE)
def test_signs_mean_something_only_where_the_rest_tells(tmp_path: Path, data: bytes, rows: list[tuple[str, ...]]) -> None:
    """A sign that stands anyhow is a value; beside words, in numbers, or below the records it is what texts have it for."""
    found, _ = read(tmp_path, data)
    assert found == rows


def test_names_with_control_signs(tmp_path: Path) -> None:
    """The header is read as its records are."""
    _, member = read(tmp_path, "id,owner\x92s name\n1,x\n2,y\n".encode())
    assert member.dialect.named == ["id", "owner’s name"]
    assert not member.mended


def test_the_commit_counts_them(run: Run, tmp_path: Path) -> None:
    """Through the whole lake, with a trace's text as it came."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"order,customer,amount\n1,Ann\0\0\0,1\n2,it\xc2\x92s\0\0,2\n3,x,3\n")
    source = source_at(tmp_path / "in")
    land(run, source)
    ingest(run, source)
    assert [row["customer"] for row in rows_of(run, bronze_orders)] == ["Ann", "it’s", "x"]
    assert last_record(run, bronze_orders).files[0].mended == {NULS: 2}
