"""What files that others made taught of headers, comments and records: each kind by a small file of its own."""

from __future__ import annotations

import pytest

from lake.contract import RESCUED, ROW
from tests.test_reading import Read, read


def names(found: Read) -> list[str]:
    """The file's own columns."""
    return [name for name in found.frame.columns if name not in (ROW, RESCUED)]


def test_comments_that_delimiters_fill_up_are_comments() -> None:
    """A spreadsheet pads them to the width of the table; the last line above the records that begins so holds the names."""
    found = read(b"# kept by hand\n# 4. W : Weir\t\t\n# 5. Q : Quay\t\n#code\ttown\ttrees\nW1\tWeir\t4\nQ1\tQuay\t5\nM1\tMill\t6\n", "trees.tsv")
    assert (names(found), found.rows) == (["code", "town", "trees"], [("W1", "Weir", "4"), ("Q1", "Quay", "5"), ("M1", "Mill", "6")])
    assert found.structure["role"].to_list() == ["comment", "comment", "comment", "header"]
    assert found.rejects.height == 0


def test_a_record_that_was_commented_out_is_no_row() -> None:
    """Among many comments two have the fields of records: they are rejected, as they may be some, and the others are comments."""
    talk = "1;3\n# you better skip me\n6;7\n# and me\n" * 10
    found = read(f"# kept by hand\na;b\n# 20;7\n{talk}# 30;7\n1;9\n# end\n".encode(), "x.csv")
    assert (found.frame.height, names(found)) == (21, ["a", "b"])
    assert found.rejects["bytes"].to_list() == [b"# 20;7\n", b"# 30;7\n"]
    assert found.structure["role"].to_list().count("comment") == 22


def test_a_comment_that_delimiters_fill_up_below_the_records_is_one_too() -> None:
    """No record was commented out: one field alone says something."""
    found = read(b"a\tb\tc\n1\t2\t3\n4\t5\t6\n#### end\t\t\n7\t8\t9\n", "x.tsv")
    assert (found.frame.height, found.rejects.height) == (3, 0)
    assert found.structure["role"].to_list() == ["header", "comment"]


def test_keys_that_begin_with_a_sign_are_records() -> None:
    """No comment stands among them."""
    assert read(b"key;n\n#1;4\n#2;5\n#3;6\n", "x.csv").frame["key"].to_list() == ["#1", "#2", "#3"]


@pytest.mark.parametrize("width", [5_000, 9_800], ids=["lines below 64 KiB", "lines beyond"])
def test_the_header_of_a_very_wide_file_is_told_by_the_records_below(width: int) -> None:
    """One line fills what is looked at first."""
    head = ["id", *(str(100_000 + 7 * i) for i in range(width))]
    rows = [[name, *(["TRUE", "FALSE"] * width)[:width]] for name in ("a", "b", "c")]
    found = read("\n".join(",".join(row) for row in [head, *rows]).encode(), "wide.csv")
    assert found.frame.height == 3
    assert names(found) == head


def test_names_that_count_up_beside_one_that_does_not_are_names() -> None:
    """As a frame without names of its own writes them."""
    found = read(b"0,1,2,3,class\n1.5,2.5,3.5,4.5,7\n1.6,2.6,3.6,4.6,8\n", "x.csv")
    assert (names(found), found.frame.height) == (["0", "1", "2", "3", "class"], 2)


def test_a_first_record_that_counts_up_is_a_record() -> None:
    """No name stands in it."""
    assert read(b"0,1,2,3,4\n5,6,7,8,9\n4,4,4,4,4\n", "x.csv").frame.height == 3


@pytest.mark.parametrize(
    "text",
    [
        b"http://towns.example/weir.pdf\nhttp://towns.example/quay.pdf\nhttp://towns.example/mill.pdf\n",
        b"Weir|r01e00000fe4e6676|x\nQuay|r01epd0122e4ed314|x\nMill|r01e00000ff26d461|y\n",
        b"Weir,3f2a9c1e-77aa-4be0\nQuay,88b1d2c3-10fe-4a2b\nMill,0c0d1e2f-9a8b-4c7d\n",
    ],
    ids=["addresses", "codes of about one length", "codes with dashes"],
)  # fmt: skip
def test_addresses_and_codes_in_the_first_line_are_no_names(text: bytes) -> None:
    """All records below it have the like."""
    found = read(text, "x.csv")
    assert (found.frame.height, names(found)[0]) == (3, "column_1")


def test_a_code_above_words_is_a_name() -> None:
    """A column may bear a key as its name."""
    assert names(read(b"town,field_20240501_77\nWeir,a\nQuay,b\nMill,c\n", "x.csv")) == ["town", "field_20240501_77"]


@pytest.mark.parametrize("last", ["Row with blanks", "Records office", "Count Basie"])
def test_a_last_record_that_begins_like_a_note_is_a_record(last: str) -> None:
    """Only its first field says something."""
    found = read(f"name,day,seats\nWeir,2024-05-01,3\nQuay,2024-05-02,4\n{last},,\n".encode(), "x.csv")
    assert found.rows[-1][0] == last
    assert found.frame.height == 3


@pytest.mark.parametrize("last", ["Rows: 2", "2 rows", "Row count 2", "Records returned", "Count = 2"])
def test_a_note_on_the_records_is_a_footer(last: str) -> None:
    """It says how many they are."""
    found = read(f"name,day,seats\nWeir,2024-05-01,3\nQuay,2024-05-02,4\n{last},,\n".encode(), "x.csv")
    assert found.frame.height == 2


@pytest.mark.parametrize(
    "text", [b'{\n  "a": 1,\n  "b": "x"\n}\n{\n  "a": 2,\n  "b": "y"\n}\n', b'{"a": 1, "b": "x"}\r{"a": 2, "b": "y"}\r'], ids=["laid out", "ended by returns"]
)
def test_json_lines_that_are_none_are_objects_one_after_another(text: bytes) -> None:
    """Named so, but each object over several lines, or none ended by a line feed."""
    for name in ("x.jsonl", "x.ndjson"):
        found = read(text, name)
        assert (found.frame.select("a", "b").rows(), found.rejects.height) == ([(1, "x"), (2, "y")], 0)


def test_a_json_line_that_is_damaged_is_rejected_alone() -> None:
    """The first may be."""
    found = read(b'{"a": 1\n{"a": 2}\n{"a": 3}\n', "x.jsonl")
    assert (found.frame["a"].to_list(), found.rejects["line"].to_list()) == ([2, 3], [1])


ODDLY_BLANK: dict[str, tuple[str, list[str], tuple[str, ...]]] = {
    "quotes behind blanks hold the delimiter": ('id, amount\n1, "2,50"\n2, "3,75"\n3, "4,00"\n', ["id", "amount"], ("1", "2,50")),
    "tabs": ("id\t name\t day\n1\t Ann\t 2024-01-02\n2\t Bob\t 2024-01-03\n", ["id", "name", "day"], ("1", "Ann", "2024-01-02")),
    "the first column has no name": ("name, day\n1, Ann, 2024-01-02\n2, Bob, 2024-01-03\n3, Cy, 2024-01-04\n", ["", "name", "day"], ("1", "Ann", "2024-01-02")),
}


@pytest.mark.parametrize(("text", "names", "row"), ODDLY_BLANK.values(), ids=ODDLY_BLANK)
def test_a_blank_after_every_delimiter_belongs_to_it_whatever_the_fields_are(text: str, names: list[str], row: tuple[str, ...]) -> None:
    """Behind blanks in quotes, under tabs, and where a column has no name."""
    found = read(text.encode())
    assert found.dialect.named == names
    assert found.rows[0] == row


def test_no_language_mixes_scripts_within_words() -> None:
    """Polish text in cp1250 is not taken for Cyrillic, whatever the letters beyond ASCII alone look like."""
    text = "nr;co;ile\n1;gęś;2,5\n2;mąż i żona;3,5\n3;źródło wody;4,5\n4;część;5,5\n5;mąż i żona;1,0\n6;ścieżka;2,0\n"
    assert ("1", "gęś", "2,5") in read(text.encode("cp1250")).rows


def test_notes_that_tabs_fill_up_leave_no_empty_row() -> None:
    """A line of tabs alone is filled up as one of commas is."""
    text = "id\tname\tsum\n1\tAnn\t2\n2\tBob\t3\n3\tCy\t4\n\t\t\nNote: figures are estimates.\t\t\n"
    found = read(text.encode())
    assert found.rows == [("1", "Ann", "2"), ("2", "Bob", "3"), ("3", "Cy", "4")]
