"""Finding how a text is written down: right on broken files, and never clever on files that are in order."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.errors import FileRejected
from lake.reading.dialect import Dialect, find_dialect
from lake.reading.hints import Hints
from tests.test_reading import law, read


def found(text: str | bytes, hints: Hints | None = None, name: str = "table.csv") -> Dialect:
    """The dialect of a file; it says why for whatever is not as usual."""
    data = text if isinstance(text, bytes) else text.encode()
    dialect = find_dialect(data, name, None, hints or Hints())
    again = Dialect.model_validate(dialect.model_dump(mode="json", exclude_defaults=True))
    assert again == dialect
    for field in ("skip_lines", "footer_lines", "comment", "escape"):
        assert bool(getattr(dialect, field)) <= (field in dialect.why or getattr(hints or Hints(), field, None) is not None), field
    return dialect


ORDERLY: dict[str, tuple[str, list[str], list[tuple[str, ...]]]] = {
    "one column of words": ("name\nann\nbob\n", ["name"], [("ann",), ("bob",)]),
    "one column of sentences": ("note\nHello, world\nBye, now; then\nWell\n", ["note"], [("Hello, world",), ("Bye, now; then",), ("Well",)]),
    "one column of decimal commas": ("value\n1,5\n2,25\n3,0\n", ["value"], [("1,5",), ("2,25",), ("3,0",)]),
    "one column of times": ("at\n10:20:30\n11:20:30\n12:00:00\n", ["at"], [("10:20:30",), ("11:20:30",), ("12:00:00",)]),
    "one column of names with blanks": ("full name\nAnn Lee\nBob Ray\nCy Orr\n", ["full_name"], [("Ann Lee",), ("Bob Ray",), ("Cy Orr",)]),
    "one quoted column": ('note\n"a, b"\n"c, d"\n"e, f"\n', ["note"], [("a, b",), ("c, d",), ("e, f",)]),
    "a single row": ("a,b\nx,y\n", ["a", "b"], [("x", "y")]),
    "years as names": ("country,2019,2020,2021\nNorway,1.5,2.5,3.5\nPeru,1,2,3\n", ["country", "2019", "2020", "2021"], [("Norway", "1.5", "2.5", "3.5"), ("Peru", "1", "2", "3")]),
    "only years as names": ("2019,2020\n1.5,2.5\n1,2\n", ["2019", "2020"], [("1.5", "2.5"), ("1", "2")]),
    "all text": ("city,land\nOslo,Norway\nLima,Peru\n", ["city", "land"], [("Oslo", "Norway"), ("Lima", "Peru")]),
    "semicolons in values": ("id,text\n1,a; b; c\n2,d; e; f\n3,g; h; i\n", ["id", "text"], [("1", "a; b; c"), ("2", "d; e; f"), ("3", "g; h; i")]),
    "JSON in values": ('id,data\n1,"{""a"": 1, ""b"": [2, 3]}"\n2,"{""a"": 2}"\n', ["id", "data"], [("1", '{"a": 1, "b": [2, 3]}'), ("2", '{"a": 2}')]),
    "a first cell that is empty": (",a,b\n0,1,2\n1,3,4\n", ["column_1", "a", "b"], [("0", "1", "2"), ("1", "3", "4")]),
    "a first column that is blank": ("a,b\n,1\n,2\n", ["a", "b"], [("", "1"), ("", "2")]),
    "decimal commas between semicolons": ("a;b\n1,5;2,5\n3,5;4,5\n", ["a", "b"], [("1,5", "2,5"), ("3,5", "4,5")]),
    "a value that says total": ("kind,n\nfood,1\nTotal,2\n", ["kind", "n"], [("food", "1"), ("Total", "2")]),
    "values with number signs": ("tag,n\n#1,2\n#3,4\n", ["tag", "n"], [("#1", "2"), ("#3", "4")]),
    "units among values": ("what,unit\nlength,m\nweight,kg\n", ["what", "unit"], [("length", "m"), ("weight", "kg")]),
    "empty last values": ("a,b,c\n1,2,\n3,4,\n", ["a", "b", "c"], [("1", "2", ""), ("3", "4", "")]),
    "names in apostrophes": ("who,n\n's-Hertogenbosch,1\n't Zand,2\n", ["who", "n"], [("'s-Hertogenbosch", "1"), ("'t Zand", "2")]),
    "paths of Windows": ('path,n\n"C:\\in\\",1\n"C:\\out\\",2\n', ["path", "n"], [("C:\\in\\", "1"), ("C:\\out\\", "2")]),
    "inches": ('what,n\n5" pipe,1\n7" pipe,2\n', ["what", "n"], [('5" pipe', "1"), ('7" pipe', "2")]),
    "a line of nothing": ("a,b\n1,2\n,\n3,4\n", ["a", "b"], [("1", "2"), ("", ""), ("3", "4")]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "columns", "rows"), ORDERLY.values(), ids=ORDERLY)
def test_a_file_in_order_is_read_as_it_is(text: str, columns: list[str], rows: list[tuple[str, ...]]) -> None:
    """Nothing is taken for structure, and nothing mended, where each line is a record."""
    whole = read(text.encode())
    assert (columns, rows) == (whole.dialect.columns, whole.rows)
    assert whole.rejects.is_empty()
    assert whole.structure["role"].to_list() == ["header"]


CELLS = st.one_of(
    st.sampled_from(["", "Total", "# note", "12 rows", "m", "kg", "2020", "2024-01-31", "so, and; so", "a|b", "it's", "'x'", 'say "no"', "sum", "-", "1,5", "1.234,5", "\\", "\\N", "a\nb"]),
    st.integers(-999, 99999).map(str), st.text(st.sampled_from("abcdef ÄØé"), min_size=1, max_size=12),
)  # fmt: skip


@law
@given(
    st.data(),
    st.integers(2, 6),
    st.integers(1, 12),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_well_formed_file_is_found_out_exactly(data: st.DataObject, width: int, height: int, delimiter: str, quoting: Any, end: str) -> None:
    """A table of three words and numbers and cells that look like structure, written by the rules, comes back exactly with nothing told but its delimiter."""
    rows = [[str(i + 1), *data.draw(st.lists(CELLS, min_size=width - 1, max_size=width - 1))] for i in range(height)]
    buffer = io.StringIO(newline="")
    names = ["key", *(f"name{chr(97 + i)}" for i in range(width - 1))]
    csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([names, *rows])
    whole = read(buffer.getvalue().encode(), hints=Hints(delimiter=delimiter))
    assert names == whole.dialect.columns
    assert [tuple(row) for row in rows] == whole.rows


def test_signs_of_all_kinds_are_found() -> None:
    """Unusual delimiters and quotes are found where they cut every line alike."""
    for sign in (",", ";", "\t", "|", "^", "~", ":", "\x1f"):
        assert found(f"id{sign}name{sign}n\n1{sign}ann{sign}2\n2{sign}bob{sign}3\n").delimiter == sign
    assert found("id name n\n1 ann 2\n2 bob 3\n").delimiter == " "
    assert found("'id','name'\n'1','x, y'\n'2','it''s'\n").quote == "'"
    assert found('id,name\n1,"a \\"big\\" one, too"\n2,"x"\n').escape == "\\"
    assert found('"id,name"\n"1,ann"\n"2,bob"\n').wrapped
    assert found('id, name\n1, "a, b"\n2, "c"\n').spaced


def test_lines_around_the_table_are_found() -> None:
    """Titles, comments and a sep line above, and notes and totals below, are told apart from the records, each with its reason."""
    body = "id,name,weight\n1,ann,2.5\n2,bob,3.5\n3,cy,4\n"
    assert found("Report of May\nprinted today\n\n" + body).skip_lines == 3
    assert found("# made by hand\n# twice\n" + body).skip_lines == 2
    assert found("sep=,\n" + body).columns == ["id", "name", "weight"]
    assert found(body + "\nSource: the office\n3 rows\n").footer_lines == 2
    assert found(body + "Total,,10\n").footer_lines == 1
    assert found(body.replace("2,bob", "# checked\n2,bob")).comment == "#"
    assert found("##made\n#id\tname\n1\tann\n2\tbob\n").columns == ["id", "name"]


def test_a_total_is_rejected_and_a_note_is_structure() -> None:
    """A last record that sums up is a reject with its reason; a line that is no record at all is kept in the structure."""
    whole = read(b"id,name,weight\n1,ann,2.5\n2,bob,3.5\n3,cy,4\nTotal,,10\nSource: the office\n")
    assert whole.frame.height == 3
    assert whole.rejected == [(4, 5, b"Total,,10\n")]
    assert whole.structure.rows()[-1] == (6, b"Source: the office\n", "footer", "it stands below the records")


def test_headers_are_counted() -> None:
    """None, one, one with units, or names under the names of their groups; told, any number."""
    assert found("1,ann,2.5\n2,bob,3.5\n3,cy,1\n").header == 0
    units = found("id,weight,size\n,[kg],[m]\n1,2.5,3\n2,3.5,4\n")
    assert (units.header, units.columns, units.units) == (2, ["id", "weight", "size"], ["", "[kg]", "[m]"])
    grouped = found(",2019,,2020,\nname,low,high,low,high\nann,1,2,3,4\nbob,5,6,7,8\ncy,1,1,1,1\n", Hints(header=2))
    assert grouped.columns == ["name", "2019_low", "2019_high", "2020_low", "2020_high"]
    assert found("1,2\n3,4\n", Hints(header=True)).named == ["1", "2"]
    assert found("a,b\nx,y\n", Hints(header=False)).columns == ["column_1", "column_2"]


def test_a_header_of_another_width_keeps_its_names() -> None:
    """Columns without a name get one: the last, or the first where records are labelled; a delimiter that ends each line makes no column."""
    assert found("name,weight\nann,2.5,x\nbob,3.5,y\ncy,1,z\n").columns == ["name", "weight", "column_3"]
    assert found("weight,height\nann,2.5,1\nbob,3.5,2\ncy,1,3\n").columns == ["column_1", "weight", "height"]
    ended = read(b"a,b,\n1,x,\n2,y,\n")
    assert (ended.dialect.columns, ended.rows) == (["a", "b"], [("1", "x"), ("2", "y")])
    assert ended.frame["_rescued"].null_count() == 2


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("a,b\n1,é\n", "utf-16-le", "utf-16-le"), ("a,b\n1,é\n", "utf-16-be", "utf-16-be"), ("a,b\n1,é\n", "utf-32-le", "utf-32-le"), ("größe,n\n1,2\n", "cp1252", "cp1252"),
        ("название,город\nмолоко,Москва\nхлеб и масло,Санкт-Петербург\nсыр,Нижний Новгород\n" * 3, "cp1251", "cp1251"),
        ("名前,都市\n山田太郎,東京都\n鈴木花子,大阪府\n佐藤一郎,名古屋市\n" * 3, "shift_jis", "cp932"),
    ],
)  # fmt: skip
def test_the_encoding_is_found(text: str, encoding: str, expected: str) -> None:
    """Wide encodings without a mark by their zeros, other scripts by their letters, and Windows text in the West otherwise."""
    assert found(text.encode(encoding)).encoding in (expected, encoding)
    assert found(text.encode(encoding)).columns


def test_one_foreign_line_does_not_change_the_encoding_of_all() -> None:
    """A text whose other letters are UTF-8 is UTF-8; the line that is not is rejected alone."""
    whole = read("a,b\n1,é\n2,ü\n".encode() + b"3,\xe9\n" + "4,ø\n".encode())
    assert [row[1] for row in whole.rows] == ["é", "ü", "ø"]
    assert whole.rejected == [(3, 4, b"3,\xe9\n")]


def test_hints_decide() -> None:
    """What the source declares is not looked for."""
    text = "x;y\n# a;b\n1;2\nTotal;3\n"
    assert found(text, Hints(skip_lines=1, comment=None)).named[0].endswith("a")
    assert found(text, Hints(footer_lines=0)).footer_lines == 0
    assert found(text, Hints(comment="#")).comment == "#"
    assert found(text, Hints(delimiter=",")).columns == ["x_y"]
    assert found("a,b\n'1,2',3\n", Hints(quote="'")).quote == "'"
    assert found('a,b\n"1,2\n', Hints(quote="")).quote is None
    for wrong in ({"quote": "ab"}, {"delimiter": "\n"}, {"skip_lines": -1}, {"table": 0}, {"comment": ""}, {"header": -1}, {"escape": "é"}):
        with pytest.raises(ValueError):
            Hints(**wrong)


def test_a_file_of_blank_lines_is_empty() -> None:
    """Blanks and line ends alone hold no columns and no records."""
    for data in (b"\n\n", b"  \n\t\n", b"\r\n"):
        assert read(data).records == 0


def test_an_old_receipt_is_read_as_before() -> None:
    """A dialect written down before these findings still says the same."""
    old = Dialect.model_validate({"format": "csv", "delimiter": ";", "header": False, "columns": ["column_1"], "named": ["column_1"]})
    assert (old.header, old.quote, old.skip_lines, old.why) == (0, '"', 0, {})


def test_lines_inside_a_quoted_field_are_no_comments() -> None:
    """A heading, a rule or an order number at the start of a line inside a value does not confuse the finding of quotes."""
    rows = [("1", "# Title\n# more\n-- end"), ("2", "%d items\n// see\n#"), ("3", "x\n# y")]
    text = "id,text\n" + "".join(f'{key},"{note}"\n' for key, note in rows)
    assert read(text.encode()).rows == rows


@pytest.mark.parametrize(
    "content",
    [
        '"",0,1,2,3\n0,27,29,10,8\n1,59,53,14,12\n2,28,32,14,12\n',
        ",142.24,144.78,147.32\n9.4,0,0,1\n9.5,1,0,0\n",
        "id,100022,100025,100047,100065,100070\nid1,TRUE,TRUE,FALSE,TRUE,TRUE\n",
    ],
)
def test_the_numbers_above_a_table_of_two_ways_are_its_header(content: str) -> None:
    """A corner without a number, then numbers that count up, as they do not below."""
    found = find_dialect(content.encode(), "table.csv", None, Hints())
    assert (found.header, found.named[1:]) == (1, content.split("\n")[0].split(",")[1:])


def test_a_record_that_counts_up_among_others_that_do_is_no_header() -> None:
    """Text, then numbers in order, in each record."""
    assert find_dialect(b"ab,1,2,3,4,5\ncd,2,3,4,5,6\nef,1,3,5,7,9\n", "table.csv", None, Hints()).header == 0


TWO_TABLES = b"id,name,weight\n1,ann,2.5\n2,bob,3.5\n3,cy,1\n\nregion,manager\nnorth,Ana\nsouth,Ben\n"
SWALLOWING: dict[str, tuple[bytes, Hints, str]] = {
    "more lines than there are": (b"a,b\n1,2\n3,4\n", Hints(skip_lines=99), r"skip_lines=99\) leaves nothing: the file has 3 lines"),
    "just as many": (b"a,b\n1,2\n3,4\n", Hints(skip_lines=3), "leaves nothing"),
    "beyond what is looked at": (b"a,b\n1,2\n3,4\n" * 20_000, Hints(skip_lines=50_000), "too far down"),
    "a header that is not there": (b"a,b\n1,2\n", Hints(header=9), r"header=9\) names more header lines than there are: 2"),
    "a fifth table of two": (TWO_TABLES, Hints(table=5), "2 tables were found in the file"),
    "a second table of one": (b"a,b\n1,2\n3,4\n", Hints(table=2), "1 table was found in the file"),
}


@pytest.mark.parametrize(("data", "hints", "reason"), SWALLOWING.values(), ids=SWALLOWING)
def test_a_hint_that_does_not_fit_rejects_the_file(data: bytes, hints: Hints, reason: str) -> None:
    """It never swallows the file, nor reads something else and says that this was declared."""
    with pytest.raises(FileRejected, match=reason):
        read(data, hints=hints)


def test_a_footer_that_is_too_long_lists_what_it_takes() -> None:
    """Each line is a reject: it has the width of a record."""
    assert read(b"a,b\n1,2\n3,4\n", hints=Hints(footer_lines=99)).rejects["line"].to_list() == [2, 3]


DOUBTFUL: dict[str, tuple[bytes, str | None]] = {
    "in a number": (b"1,ann,2\xff13\n", None),
    "alone in a cell": (b"1,\xff\xfe,2013\n", None),
    "in a word": (b"1,J\xfcrgen,2013\n", "J\u00fcrgen"),
    "a sign": (b"1,\xa350,2013\n", "\u00a350"),
}


@pytest.mark.parametrize("place", [10, 15_000, 29_990])
@pytest.mark.parametrize(("line", "name"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_byte_is_taken_for_the_same_wherever_it_stands(line: bytes, name: str | None, place: int) -> None:
    """In a file of ASCII: a letter of a word or a sign is Windows text, and said to be a guess; anything else is no text, and its record is rejected."""
    lines = [b"%d,ann,2013\n" % i for i in range(30_000)]
    lines[place] = line
    whole = read(b"id,name,n\n" + b"".join(lines))
    if name is None:
        assert (whole.dialect.encoding, whole.dialect.doubt) == ("utf-8", None)
        assert whole.rejected == [(place + 1, place + 2, line)]
    else:
        assert whole.rows[place][1] == name
        assert "the encoding is a guess" in (whole.dialect.doubt or "")


def test_a_damaged_byte_among_few_digits_costs_its_record() -> None:
    """The file need not be long for that; and text in UTF-8 deep in a file of ASCII is UTF-8."""
    assert read(b"id,n\n1,10\n2,2\xff0\n3,30\n").rejected == [(2, 3, b"2,2\xff0\n")]
    assert read(b"id,n\n" + b"1,a\n" * 30_000 + "2,\u00e9\n".encode() + b"1,a\n" * 30_000).dialect.encoding == "utf-8"


ROWS = "pen,2024-03-01,1.50\nink,2024-03-02,2.50\ncap,2024-03-03,3.50\n"
PADDED = {
    "a blank line of delimiters between": ("Sales report,,\n,,\nitem,day,price\n" + ROWS, 2),
    "no line between": ("Sales report,,\nitem,day,price\n" + ROWS, 1),
    "two titles and a blank line": ("Sales report,,\nNorth,,\n\nitem,day,price\n" + ROWS, 3),
    "a first line of delimiters only": (",,\nitem,day,price\n" + ROWS, 1),
    "lines of delimiters around": (",,\nSales report,,\n,,\n,,\nitem,day,price\n" + ROWS, 4),
    "notes below too": ("Sales report,,\n,,\nitem,day,price\n" + ROWS + ",,\nSource: the office,,\n", 2),
    "a note right below": ("item,day,price\n" + ROWS + "Source: the office,,\n", 0),
    "semicolons": (("Sales report,,\n,,\nitem,day,price\n" + ROWS).replace(",", ";"), 2),
}


@pytest.mark.parametrize(("text", "above"), PADDED.values(), ids=PADDED)
def test_titles_that_delimiters_fill_up_are_structure(text: str, above: int) -> None:
    """What a spreadsheet writes around its table has the table's width, and is still no header and no record."""
    whole = read(text.encode())
    assert whole.dialect.columns == ["item", "day", "price"]
    assert whole.rows == [("pen", "2024-03-01", "1.50"), ("ink", "2024-03-02", "2.50"), ("cap", "2024-03-03", "3.50")]
    assert (whole.dialect.skip_lines, whole.rejects.height) == (above, 0)
    assert {"title", "blank", "header", "footer"} >= set(whole.structure["role"])


def test_padded_titles_stand_above_grouped_names_and_wide_tables_too() -> None:
    """Names of groups below a title are joined with the names below them; titles of several cells end at a line of delimiters."""
    grouped = read(b"Sales,,,\nNorth,,South,\npens,inks,pens,inks\n1,2,3,4\n2,3,4,5\n5,6,7,8\n9,9,9,9\n")
    assert (grouped.dialect.named, len(grouped.rows)) == (["North pens", "North inks", "South pens", "South inks"], 4)
    wide = read(b"Report:,Sales,,\nBy:,ann,,\n,,,\na,b,c,d\n1,2,3,4\n2,3,4,5\n")
    assert (wide.dialect.columns, wide.dialect.skip_lines) == (["a", "b", "c", "d"], 3)
    alone = read(b"name,,\nann,1,2\nbob,2,3\n")
    assert (alone.dialect.columns, len(alone.rows)) == (["name", "column_2", "column_3"], 2)


def test_a_total_filled_up_is_a_reject() -> None:
    """A last line with a number where the records have one may be one: it is kept with its reason."""
    whole = read(("item,day,price\n" + ROWS + "Total,,7.50\n").encode())
    assert whole.rejected == [(4, 5, b"Total,,7.50\n")]


NAMELESS = {
    "a column without a name that no record has": ("item,,day,price\n" + ROWS, ["item", "day", "price"]),
    "two of them": ("item,,day,,price\n" + ROWS, ["item", "day", "price"]),
    "the first of them": (",item,day,price\n" + ROWS, ["item", "day", "price"]),
    "a quote that is never closed": ('"item,day,price\n' + ROWS, ["item", "day", "price"]),
    "one further on": ('item,"day,price\n' + ROWS, ["item", "day", "price"]),
}


@pytest.mark.parametrize(("text", "columns"), NAMELESS.values(), ids=NAMELESS)
def test_a_damaged_header_shifts_no_value(text: str, columns: list[str]) -> None:
    """Names stand above what they name, though the header has a cell too many or a quote that opens and does not close."""
    whole = read(text.encode())
    assert whole.dialect.columns == columns
    assert whole.rows == [("pen", "2024-03-01", "1.50"), ("ink", "2024-03-02", "2.50"), ("cap", "2024-03-03", "3.50")]
    assert whole.rejects.is_empty()
