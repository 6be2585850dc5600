"""Texts that no single sign cuts: found, declared and drafted, read or rejected, and every byte of them kept. Ordinary files are read as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lake.draft import found_hints
from lake.ingest import ingest
from lake.landing import land
from lake.previewing import told_hints
from lake.reading.dialect import find_dialect
from lake.reading.hints import Hints
from lake.reading.records import examine
from lake.run import Run
from tests.laws.test_law2_bytes import kept
from tests.test_encodings import read
from tests.tiny import bronze_orders, last_record, rows_of, source_at

THREE = [("1", "Ann", "2.5"), ("2", "Bob", "13.5")]
FOUND: dict[str, tuple[str, list[tuple[str, ...]], dict[str, Any]]] = {
    "two bars": ("id||name||price\n1||Ann||2.5\n2||Bob||13.5\n", THREE, {"delimiter": "||"}),
    "two bars, an empty field": ("id||name||price\n1||||2.5\n2||Bob||13.5\n", [("1", "", "2.5"), THREE[1]], {"delimiter": "||"}),
    "two bars, one alone in a value": ("id||name||price\n1||Ann||2.5\n2||B|ob||13.5\n3||Cy||1\n4||Di||2\n", [THREE[0], ("2", "B|ob", "13.5"), ("3", "Cy", "1"), ("4", "Di", "2")], {"delimiter": "||"}),
    "records of several widths": ("id||name||price\n1||Ann||2.5\n2||Bob\n3||Cy||3||x\n4||Di||4\n", [THREE[0], ("2", "Bob", None), ("3", "Cy", "3"), ("4", "Di", "4")], {"delimiter": "||"}),
    "two dollars": ("id$$name$$price\n1$$Ann$$2.5\n2$$Bob$$13.5\n", THREE, {"delimiter": "$$"}),
    "two tabs": ("id\t\tname\t\tprice\n1\t\tAnn\t\t2.5\n2\t\tBob\t\t13.5\n", THREE, {"delimiter": "\t\t"}),
    "blanks around bars": ("id | name | price\n1 | Ann | 2.5\n2 | Bob | 13.5\n", THREE, {"layout": "box"}),
    "rules of dashes and bars": ("id|name|price\n--|----|-----\n1|Ann|2.5\n2|Bob|13.5\n", THREE, {"layout": "markdown"}),
    "rules above and below": ("=====  =======  =====\nid     name     price\n=====  =======  =====\n1      Ann      2.5\n2      Bob      13.5\n=====  =======  =====\n", THREE, {"layout": "fixed"}),
    "a name of two words above one value": ("Order No  Full Name   Total\n1         Ann           2.5\n2         Bob          13.5\n2         Bob          13.5\n", [*THREE, THREE[1]], {"layout": "fixed"}),
    "two colons": ("id::name::price\n1::Ann::2.5\n2::Bob::13.5\n", THREE, {"delimiter": "::"}),
    "two colons, clocks": ("id::at::price\n1::10:30::2.5\n2::11:45::3.5\n", [("1", "10:30", "2.5"), ("2", "11:45", "3.5")], {"delimiter": "::"}),
    "tilde bar tilde": ("id~|~name~|~price\n1~|~Ann~|~2.5\n2~|~Bob~|~13.5\n", THREE, {"delimiter": "~|~"}),
    "hat bar hat": ("id^|^name^|^price\n1^|^Ann^|^2.5\n2^|^Bob^|^13.5\n", THREE, {"delimiter": "^|^"}),
    "less bar greater": ("id<|>name<|>price\n1<|>Ann<|>2.5\n2<|>Bob<|>13.5\n", THREE, {"delimiter": "<|>"}),
    "two at signs": ("id@@name@@price\n1@@Ann@@2.5\n2@@Bob@@13.5\n", THREE, {"delimiter": "@@"}),
    "two semicolons": ("id;;name;;price\n1;;Ann;;2.5\n2;;Bob;;13.5\n", THREE, {"delimiter": ";;"}),
    "a quoted delimiter": ('id||name||price\n1||"An||n"||2.5\n2||Bob||13.5\n', [("1", "An||n", "2.5"), THREE[1]], {"delimiter": "||"}),
    "a line end in quotes": ('id||name||price\n1||"An\nn"||2.5\n2||Bob||13.5\n', [("1", "An\nn", "2.5"), THREE[1]], {"delimiter": "||"}),
    "a title above": ("Report of the shop\n\nid||name||price\n1||Ann||2.5\n2||Bob||13.5\n" + "3||Cy||1\n" * 40, [*THREE, *[("3", "Cy", "1")] * 40], {}),
    "no header": ("1::1193::5::978300760\n1::661::3::978302109\n1::914::3::978301968\n2::914::3::978301968\n",
                  [("1", "1193", "5", "978300760"), ("1", "661", "3", "978302109"), ("1", "914", "3", "978301968"), ("2", "914", "3", "978301968")], {"delimiter": "::"}),
    "outer bars": ("|id|name|price|\n|1|Ann|2.5|\n|2|Bob|13.5|\n", THREE, {"layout": "bars"}),
    "outer bars with a quoted bar": ('|id|name|price|\n|1|"A|nn"|2.5|\n|2|Bob|13.5|\n|3|Cy|1|\n' + "|4|Di|1|\n" * 40,
                                     [("1", "A|nn", "2.5"), THREE[1], ("3", "Cy", "1"), *[("4", "Di", "1")] * 40], {"layout": "bars"}),
    "outer bars and blanks": ("| id | name | price |\n| 1 | Ann | 2.5 |\n| 2 | Bob | 13.5 |\n", THREE, {"layout": "box"}),
    "outer double bars": ("||id||name||price||\n||1||Ann||2.5||\n||2||Bob||13.5||\n", THREE, {"layout": "bars", "delimiter": "||"}),
    "Markdown": ("| id | name | price |\n|---:|:-----|------|\n| 1 | Ann | 2.5 |\n| 2 | Bob | 13.5 |\n", THREE, {"layout": "markdown"}),
    "Markdown without outer bars": ("id | name | price\n--- | --- | ---\n1 | Ann | 2.5\n2 | Bob | 13.5\n", THREE, {"layout": "markdown"}),
    "Markdown with an escaped bar": ("| id | name | price |\n|-|-|-|\n| 1 | A\\|nn | 2.5 |\n| 2 | Bob | 13.5 |\n", [("1", "A|nn", "2.5"), THREE[1]], {"layout": "markdown"}),
    "Markdown in a text": ("# Prices\n\nThese, as of today:\n\n| id | name | price |\n|---|---|---|\n| 1 | Ann | 2.5 |\n| 2 | Bob | 13.5 |\n\nThey may change, of course.\n", THREE, {}),
    "a box of MySQL": ("mysql> select * from t;\n+----+------+-------+\n| id | name | price |\n+----+------+-------+\n|  1 | Ann  |   2.5 |\n|  2 | Bob  |  13.5 |\n+----+------+-------+\n"
                       "2 rows in set (0.00 sec)\n", THREE, {"layout": "box"}),
    "a bar in a box": ("+----+------+-------+\n| id | name | price |\n+----+------+-------+\n|  1 | A|nn |   2.5 |\n|  2 | Bob  |  13.5 |\n+----+------+-------+\n",
                       [("1", "A|nn", "2.5"), THREE[1]], {"layout": "box"}),
    "a rule after each row": ("+--+---+---+\n|id|name|price|\n+==+===+===+\n|1|Ann|2.5|\n+--+---+---+\n|2|Bob|13.5|\n+--+---+---+\n", THREE, {"layout": "box"}),
    "psql": (" id | name | price \n----+------+-------\n  1 | Ann  |   2.5\n  2 | Bob  |  13.5\n(2 rows)\n\n", THREE, {"layout": "box"}),
    "a box of lines": ("┌────┬──────┬───────┐\n│ id │ name │ price │\n├────┼──────┼───────┤\n│  1 │ Ann  │   2.5 │\n│  2 │ Bob  │  13.5 │\n└────┴──────┴───────┘\n", THREE, {"layout": "box"}),
    "fixed width": ("id   name        price\n1    Ann Lee       2.5\n2                 13.5\n13   Bob         113.5\n", [("1", "Ann Lee", "2.5"), ("2", "", "13.5"), ("13", "Bob", "113.5")],
                    {"layout": "fixed", "widths": [5, 12, 5]}),
    "a ruler below the names": ("id   name       price\n---- ---------- ------\n1    Ann           2.5\n2    Bob          13.5\n\n(2 rows affected)\n", THREE, {"layout": "fixed"}),
    "by two blanks": ("id  name  price\n1  Ann Lee  2.5\n22  Bob  13.5\n333  Cyril  1.0\n", [("1", "Ann Lee", "2.5"), ("22", "Bob", "13.5"), ("333", "Cyril", "1.0")], {"layout": "blanks"}),
    "curly quotes": ("id,name,price\n1,“ink, dark”,2.5\n2,“black”,3.5\n3,plain,1.5\n4,“a \"b\"”,2\n", [("1", "ink, dark", "2.5"), ("2", "black", "3.5"), ("3", "plain", "1.5"), ("4", 'a "b"', "2")],
                     {"quote": "“”"}),
    "low quotes, semicolons": ("id;name;price\n1;„ink; dark“;2.5\n2;„black“;3.5\n3;plain;1.5\n", [("1", "ink; dark", "2.5"), ("2", "black", "3.5"), ("3", "plain", "1.5")],
                               {"quote": "„“", "delimiter": ";"}),
    "doubled apostrophes": ("id,name,price\n1,''ink, dark'',2.5\n2,''black'',3.5\n3,''O'Brien'',1.5\n", [("1", "ink, dark", "2.5"), ("2", "black", "3.5"), ("3", "O'Brien", "1.5")], {"quote": "''"}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "rows", "hints"), FOUND.values(), ids=FOUND)
def test_a_layout_is_found(tmp_path: Path, text: str, rows: list[tuple[str, ...]], hints: dict[str, Any]) -> None:
    """The layout is found with its reason, every byte is kept, and the hints that are drafted for it read the file the same."""
    found, member = read(tmp_path, text.encode())
    assert found == rows
    drafted = found_hints(member.dialect, Hints())
    assert hints.items() <= drafted.items()
    assert {"layout", "delimiter", "quote"} & member.dialect.why.keys()
    again, told = read(tmp_path, text.encode(), **drafted)
    assert again == rows
    assert told.dialect.columns == member.dialect.columns
    assert "\x05" not in repr(member.dialect.particulars) + repr(member.dialect.why)
    other, _ = read(tmp_path, text.replace("\n", "\r\n").encode("utf-16"))
    assert [[value and value.replace("\r\n", "\n") for value in row] for row in other] == [[*row] for row in rows]


def test_lines_of_rules_are_structure(tmp_path: Path) -> None:
    """What draws a table is a separator line; words above are titles and words below a footer, with their bytes."""
    _, member = read(tmp_path, FOUND["a box of MySQL"][0].encode())
    assert member.structure.select("line", "role").rows() == [
        (1, "title"), (2, "separator line"), (3, "header"), (4, "separator line"), (7, "separator line"), (8, "footer"),
    ]  # fmt: skip
    assert member.structure["bytes"][1] == b"+----+------+-------+\n"
    assert member.rejects.is_empty()


def test_a_second_table_of_a_text_is_not_mixed_in(tmp_path: Path) -> None:
    """Rows below other names, or in other rules, are rejects with the reason."""
    for text, count in (
        ("| id | name |\n|---|---|\n| 1 | Ann |\n| 2 | Bob |\n\nSecond\n\n| code | label |\n|---|---|\n| x | why |\n", 2),
        ("+--+---+\n|id|who|\n+--+---+\n| 1|Ann|\n| 2|Bob|\n+--+---+\n+---+-----+\n| x | why |\n+---+-----+\n| 1 | not |\n+---+-----+\n", 2),
    ):
        rows, member = read(tmp_path, text.encode())
        assert rows == [("1", "Ann"), ("2", "Bob")]
        assert [reason.split(" of the file")[0] for reason in member.rejects["reason"]] == ["it is no row of the table, belongs to another table"] * count


def test_a_line_without_bars_among_the_rows_of_a_box_is_no_row(tmp_path: Path) -> None:
    """What a tool says between two boxes alike is a reject; the rows of both are read."""
    rule, head = "+----+------+\n", "| id | name |\n"
    text = f"{rule}{head}{rule}|  1 | Ann  |\n{rule}1 row in set\n{rule}{head}{rule}|  2 | Bob  |\n{rule}1 row in set\n"
    rows, member = read(tmp_path, text.encode())
    assert rows == [("1", "Ann"), ("2", "Bob")]
    assert member.rejects.select("line", "bytes").rows() == [(6, b"1 row in set\n")]
    assert "no row of the table" in member.rejects["reason"][0]


USUAL: dict[str, str] = {
    "an empty column and a bar too many": "a|b||c\n1|2||3\n4|5||6\n7|8|9|1\n",
    "texts with other delimiters": "id,text,n\n1,a::b||c,2\n2,d::e||f,3\n",
    "the same in every record": "1,std::vector,3\n2,std::map,4\n3,std::list,5\n4,std::set,5\n",
    "empty columns": "a||b|c\n1||2|3\n4||5|6\n",
    "a sentence a line": "Some words  here.\nand more of them\nno table  at all\n",
    "typographic quotes in values": "id,title\n1,“Hello”\n2,“World”\n3,other\n",
    "blanks in a value": "id,text\n1,a  b\n2,c  d\n3,e  f\n",
    "empty single quotes": "'a','b','c'\n'1','','x'\n'2','','y'\n",
    "one name a line": "std::vector\nstd::map\nstd::set\nstd::list\n",
    "dashes for nothing": "a|b\n-|-\n1|2\n",
    "paths": "id;path\n1;C://x//y\n2;D://x//z\n",
}


@pytest.mark.parametrize("text", USUAL.values(), ids=USUAL)
def test_an_ordinary_file_stays_one(text: str) -> None:
    """What one sign cuts, or what is no table at all, is written anew for nothing."""
    found = find_dialect(text.encode(), "a.csv", None, Hints())
    assert found.written is None, found.particulars


def test_widths_are_declared(tmp_path: Path) -> None:
    """Columns without blanks between them need their widths; a record that is too long, or a value across an edge, is not cut in silence."""
    rows, _ = read(tmp_path, b"00001Ann  20240102\n00002Bob  20240103\n", layout="fixed", widths="5,5,8", header=False)
    assert rows == [("00001", "Ann", "20240102"), ("00002", "Bob", "20240103")]


def test_a_value_that_runs_on_is_cut_by_blanks_or_rejected(tmp_path: Path) -> None:
    """Values longer than those at the beginning of the file."""
    text = (
        FOUND["fixed width"][0]
        + "".join(f"{n:<5}{'Bob':<12}{n / 10:>5}\n" for n in range(20, 300))
        + "4    a name of many letters  7.5\n5    name of very many letters 1\n"
    )
    rows, member = read(tmp_path, text.encode())
    assert ("4", "a name of many letters", "7.5") in rows
    assert member.mended == {"cut by its blanks instead of its places": 1}
    assert member.rejects.select("bytes", "reason").rows() == [
        (b"5    name of very many letters 1\n", "a value stands across the edge of two columns, and blanks do not cut it either")
    ]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "widths alone": ({"widths": [1, 2]}, "layout='fixed'"),
    "a layout with a delimiter": ({"layout": "box", "delimiter": ","}, "no delimiter"),
    "a line end": ({"delimiter": "a\n"}, "not one ASCII character"),
    "too long": ({"delimiter": "123456789"}, "eight"),
    "no quotes": ({"quote": "ab"}, "pair of quotes"),
    "unknown": ({"layout": "circles"}, "markdown"),
}


@pytest.mark.parametrize(("hints", "why"), REFUSED.values(), ids=REFUSED)
def test_hints_that_do_not_agree_are_refused(hints: dict[str, Any], why: str) -> None:
    """When they are declared, in words."""
    with pytest.raises(ValidationError, match=why):
        Hints(**hints)


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "no bars": ({"layout": "markdown"}, "no line of its beginning has a bar"),
    "another delimiter": ({"delimiter": "||"}, "stands in no line"),
    "no columns": ({"layout": "fixed"}, "declare widths"),
    "no blanks": ({"layout": "blanks"}, "two blanks"),
    "short lines": ({"layout": "fixed", "widths": [80, 5]}, "no line of its beginning is longer"),
}


@pytest.mark.parametrize(("hints", "why"), UNFIT.values(), ids=UNFIT)
def test_a_layout_that_does_not_fit_rejects_the_file(hints: dict[str, Any], why: str) -> None:
    """With what does not fit."""
    found = find_dialect(b"id,name\n1,Ann\n2,Bob\n", "a.csv", None, told_hints(hints))
    assert why in (found.problem or "")


def test_later_files_are_laid_out_as_earlier_ones() -> None:
    """A file that shows too little is read as those before it; a delimited one with the same names is not."""
    before = find_dialect(FOUND["two colons"][0].encode(), "a.csv", None, Hints())
    found = find_dialect(b"id::name::price\n", "b.csv", None, Hints(), earlier=[before])
    assert (found.separator, found.columns) == ("::", ["id", "name", "price"])
    other = find_dialect(b"id,name,price\n1,Ann,2\n", "c.csv", None, Hints(), earlier=[before])
    assert (other.written, other.columns) == (None, ["id", "name", "price"])


def test_the_whole_lake_reads_a_box(run: Run, tmp_path: Path) -> None:
    """Through the whole lake: rows, structure and what is short of them, and a trace that shows the line as it came."""
    (tmp_path / "in").mkdir()
    text = "+-------+----------+\n| order | customer |\n+-------+----------+\n|     1 | Ann      |\n|     2 | Böb      |\n+-------+----------+\n2 rows in set\n"
    (tmp_path / "in" / "a.csv").write_text(text, encoding="utf-8")
    source = source_at(tmp_path / "in")
    land(run, source)
    ingest(run, source)
    assert [row["customer"] for row in rows_of(run, bronze_orders)] == ["Ann", "Böb"]
    (file,) = last_record(run, bronze_orders).files
    assert file.structure == {"separator line": 3, "header": 1, "footer": 1}
    assert (file.rows, file.rejects, file.lines) == (2, 0, 7)


PIECES = ["1", "Ann", "2.5", "", "é日", "a b", "x|y", '"q"', "\x05", "\x06", "\x07", "\x08", "x", "\ufdd0", "-", "--", "“w”", "''z''", "A  B"]
SHAPES = {
    "two bars": lambda cells: "||".join(cells), "colons": lambda cells: "::".join(cells), "bars": lambda cells: f"|{'|'.join(cells)}|",
    "row": lambda cells: f"| {' | '.join(cells)} |", "fixed": lambda cells: "".join(f"{cell:<8}" for cell in cells), "blanks": lambda cells: "  ".join(cells),
    "curly": lambda cells: ",".join(f"“{cell}”" for cell in cells), "doubled": lambda cells: ",".join(f"''{cell}''" for cell in cells),
}  # fmt: skip
AMONG = ["", "+---+---+---+", "|---|---|---|", "a word", "---- ---- ----", "Total: 3", "# note", "|", "||", "\x00\x00\x00\x00", "\t"]


@settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(sorted(SHAPES)), st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4) | st.sampled_from(AMONG), max_size=20),
    st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]), st.booleans(),
)  # fmt: skip
def test_every_byte_of_any_layout_is_kept(shape: str, lines: list[Any], end: str, encoding: str, told: bool) -> None:
    """Whatever stands in them: rows, rejects and structure together are the file."""
    hints = {"two bars": {"delimiter": "||"}, "colons": {"delimiter": "::"}, "bars": {"layout": "bars"}, "row": {"layout": "box"}, "fixed": {"layout": "fixed", "widths": [8, 8, 8]},
             "blanks": {"layout": "blanks"}, "curly": {"quote": "“”"}, "doubled": {"quote": "''"}}[shape]  # fmt: skip
    text = end.join([SHAPES[shape](["id", "name", "price"]), *[line if isinstance(line, str) else SHAPES[shape](line) for line in lines]])
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.csv"
        path.write_bytes(text.encode(encoding, "replace"))
        (dialect,) = examine(path, None, "t.csv", Hints(format="csv", **hints) if told else Hints(format="csv"))
        if dialect.problem:
            return
        pieces, counted_lines, counted = kept(path, dialect, Path(name))
        assert b"".join(raw for _, _, raw in pieces) == path.read_bytes()
        assert counted <= counted_lines
