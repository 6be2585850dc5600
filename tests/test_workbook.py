"""Workbooks as people send them: titles above the header, several sheets, merged cells, errors, and cells of different kinds in one column."""

from __future__ import annotations

import datetime as dt
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

import lake
from lake.contract import RESCUED, ROW
from lake.dtypes import gate
from lake.errors import FileRejected
from lake.ingest import ingest
from lake.landing import land
from lake.reading.dialect import Dialect
from lake.reading.document_cells import unworked_in_document
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member
from lake.reading.unpack import compression_of
from lake.reading.xlsx_marks import marks_of
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of
from tests.test_reading import Read, law, read, zipped
from tests.tiny import last_record

FORMATS = {dt.datetime: "yyyy-mm-dd hh:mm:ss", dt.date: "yyyy-mm-dd", dt.time: "hh:mm:ss"}


def book(write: Callable[[xlsxwriter.Workbook], Any]) -> bytes:
    """The workbook that `write` fills."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"strings_to_numbers": False}) as made:
        write(made)
    return buffer.getvalue()


def put(made: xlsxwriter.Workbook, name: str, rows: list[list[Any]], at: tuple[int, int] = (0, 0)) -> Any:
    """A sheet with the rows; text that begins with # is an error cell, and with = a formula whose result is 3."""
    sheet = made.add_worksheet(name)
    for i, row in enumerate(rows, at[0]):
        for j, value in enumerate(row, at[1]):
            if isinstance(value, str) and value.startswith("#"):
                sheet.write_formula(i, j, "=NA()", None, value)
            elif isinstance(value, str) and value.startswith("="):
                sheet.write_formula(i, j, value, None, 3)
            elif isinstance(value, str):
                sheet.write_string(i, j, value)
            elif type(value) in FORMATS:
                sheet.write_datetime(i, j, value, made.add_format({"num_format": FORMATS[type(value)]}))
            elif value is not None:
                sheet.write(i, j, value)
    return sheet


def of(rows: list[list[Any]], at: tuple[int, int] = (0, 0), **hints: Any) -> Read:
    """One sheet with the rows, read."""
    return read(book(lambda made: put(made, "data", rows, at)), "x.xlsx", Hints(**hints))


def read_sheets(data: bytes, hints: Hints | None = None) -> tuple[Dialect, pl.DataFrame, pl.DataFrame, dict[str, str]]:
    """Dialect, rows, rejects and notes. Rejects of other sheets come last, though their line is 1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(data)
        (dialect,) = examine(path, compression_of(path), "x.xlsx", hints or Hints())
        parsed = read_member(path, compression_of(path), dialect, "x.xlsx", Path(folder) / "spool")
        frame = parsed.frame.collect()
    assert parsed.records == frame.height + parsed.rejects.height
    assert sorted([*frame[ROW], *parsed.rejects[ROW]]) == list(range(1, parsed.records + 1))
    return dialect, frame, parsed.rejects, parsed.notes


DAY, MOMENT, TIME = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, 30, 5), dt.time(23, 59, 1)  # noqa: DTZ001
COLUMNS: dict[str, tuple[list[Any], Any, list[Any]]] = {
    "numbers": ([1, 2.5, None], pl.Float64(), [1.0, 2.5, None]),
    "dates": ([DAY, None, DAY], pl.Date(), [DAY, None, DAY]),
    "instants": ([MOMENT, dt.datetime(2024, 1, 1)], pl.Datetime("ms"), [MOMENT, dt.datetime(2024, 1, 1)]),  # noqa: DTZ001
    "instants that are all at midnight": ([dt.datetime(2024, 1, 1)], pl.Datetime("ms"), [dt.datetime(2024, 1, 1)]),  # noqa: DTZ001
    "times of day": ([TIME, dt.time(0, 0)], pl.Time(), [TIME, dt.time(0, 0)]),
    "true and false": ([True, False, None], pl.Boolean(), [True, False, None]),
    "results of formulas": (["=1+2", 4], pl.Float64(), [3.0, 4.0]),
    "numbers stored as text": (["007", "1.10"], pl.String(), ["007", "1.10"]),
    "text and numbers": (["n/a", 1, 1.1, 0.1, 1e-12, 123456789012345], pl.String(), ["n/a", "1", "1.1", "0.1", "1e-12", "123456789012345"]),
    "errors beside numbers": (["#N/A", 5, None], pl.String(), ["#N/A", "5", None]),
    "errors only": (["#DIV/0!", "#REF!"], pl.String(), ["#DIV/0!", "#REF!"]),
    "true beside numbers": ([True, 1], pl.String(), ["true", "1"]),
    "dates beside numbers": ([DAY, 7], pl.String(), ["2024-02-29 00:00:00", "7"]),
    "text with spaces around it": ([" a ", "b"], pl.String(), [" a ", "b"]),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "dtype", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_has_the_type_of_all_its_cells(cells: list[Any], dtype: Any, expected: list[Any]) -> None:
    """A column of one kind keeps its type; of several it is text that keeps every cell, errors too."""
    frame = of([["v", "k"], *([cell, f"k{i}"] for i, cell in enumerate(cells))]).frame
    assert (dtype, expected) == (frame.schema["v"], frame["v"].to_list())
    gate(frame.schema, represent=True)


def test_a_column_that_became_text_says_why() -> None:
    """The kinds of cells that stand in it are named."""
    notes = read_sheets(book(lambda made: put(made, "s", [["a", "b", "c"], [1, "#N/A", 1], ["x", 2, 2]])))[3]
    assert notes == {"a": "text, because it holds numbers and text", "b": "text, because it holds error cells such as #N/A"}


def test_attributes_of_cells_may_stand_in_any_order() -> None:
    """Writers differ in how they spell a cell; kinds and errors are found all the same."""
    with zipfile.ZipFile(io.BytesIO(book(lambda made: put(made, "s", [["a", "b"], [1, "#N/A"], ["x", 2], [DAY, 3]])))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = re.sub(rb'<c( r="[A-Z0-9]+")((?: \w+="[^"]*")+)', rb"<c\2\1", sheet)
    assert parts["xl/worksheets/sheet1.xml"] != sheet
    _, frame, _, notes = read_sheets(zipped(parts))
    assert frame["b"].to_list() == ["#N/A", "2", "3"]
    assert notes["a"] == "text, because it holds dates and numbers and text"


def test_marks_are_found_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell and no merged block is lost where the XML is cut."""
    data = book(lambda made: put(made, "s", [["a", "b"], *([i, "#N/A" if i % 7 == 0 else i] for i in range(200))]).merge_range(3, 0, 4, 0, 1))
    whole = marks_of(data, "s", 0)
    assert whole is not None
    assert (len(whole.errors), whole.merged) == (29, [(3, 0, 4, 0)])
    for size in (97, 500, 1001):
        monkeypatch.setattr("lake.reading.xlsx_marks._CHUNK", size)
        assert marks_of(data, "s", 0) == whole


CELLS = (
    st.none()
    | st.floats(-1e15, 1e15).map(lambda x: float(f"{x:.16G}"))
    | st.integers(-(10**15), 10**15)
    | st.booleans()
    | st.text("ab 1é", min_size=1, max_size=3)
)


@law
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_no_cell_is_lost(rows: list[list[Any]]) -> None:
    """Cells of any kinds come back with their values, as they are or as text, in the row of their place."""
    found = of([["a", "b"], *rows])
    held = [row for row in rows if any(cell is not None for cell in row)]
    for row, got in zip(held, found.rows, strict=True):
        for cell, value in zip(row, got, strict=True):
            if isinstance(value, str) and not isinstance(cell, str):
                assert value == str(cell).lower() if isinstance(cell, bool) else float(value) == cell
            else:
                assert cell == value


def test_a_header_further_down_is_found() -> None:
    """A title and a remark above the header are rejected with their rows, and the table begins below."""
    rows = [["Sales of 2024"], [], ["Region", "Amount", "Note"], ["north", 5, "x"], [None, None, None], ["south", 6, None], [], []]
    found = of(rows)
    assert (found.dialect.columns, found.dialect.skip_lines) == (["Region", "Amount", "Note"], 2)
    assert found.numbered == [(2, "north", 5.0, "x", None), (4, "south", 6.0, None, None)]
    assert found.rejected == [(1, 1, b"Sales of 2024"), (3, 5, b"")]
    assert found.rejects["reason"].to_list() == ["it stands above the header", "the row is empty"]


def test_a_block_of_names_and_values_is_no_header() -> None:
    """Two filled cells above an empty row and a wider header are a title block."""
    found = of([["Author", "Ann"], ["Date", "2024"], [], ["a", "b", "c"], ["x", "y", "z"], ["x", "y", "z"], ["x", "y", "z"]])
    assert (found.dialect.columns, found.rejects.height, found.frame.height) == (["a", "b", "c"], 2, 3)


def test_a_table_need_not_begin_in_the_corner() -> None:
    """Empty rows and columns before the table are not columns of it, nor is an empty one inside without a name."""
    found = of([["a", None, "b"], [1, None, "x"], [2, None, "y"]], at=(4, 2))
    assert found.frame.columns == ["a", "b", ROW, RESCUED]
    assert found.rows == [(1.0, "x"), (2.0, "y")]


def test_hints_say_where_the_header_is() -> None:
    """Rows to skip, how many rows the header has, and that there is none."""
    rows = [["u", "v"], ["a", "b"], ["x", "y"]]
    assert of(rows, skip_lines=1).rows == [("x", "y")]
    assert of(rows, header=2).dialect.named == ["u / a", "v / b"]
    assert of(rows, header=False).frame.columns[:2] == ["column_1", "column_2"]
    assert of(rows, header=False).records == 3


def test_a_header_of_two_rows_is_joined() -> None:
    """Cells merged over columns of the row below give each of them their text; a title merged over all of them does not."""

    def write(made: xlsxwriter.Workbook) -> None:
        sheet = put(made, "s", [["Report"], ["region", None, None, None, None], [None, "Q1", "Q2", "Q1", "Q2"], ["north", 1, 2, 3, 4], ["south", 5, 6, 7, 8]])
        sheet.merge_range(0, 0, 0, 4, "Report")
        sheet.merge_range(1, 0, 2, 0, "region")
        sheet.merge_range(1, 1, 1, 2, "2023")
        sheet.merge_range(1, 3, 1, 4, "2024")

    dialect, frame, rejects, _ = read_sheets(book(write))
    assert dialect.named == ["region", "2023 / Q1", "2023 / Q2", "2024 / Q1", "2024 / Q2"]
    assert "merged" in dialect.why["header"]
    assert frame.drop(ROW, RESCUED).rows() == [("north", 1.0, 2.0, 3.0, 4.0), ("south", 5.0, 6.0, 7.0, 8.0)]
    assert rejects["bytes"].to_list() == [b"Report"]


def test_merged_cells_among_the_rows_keep_their_value_in_the_first() -> None:
    """No value is written into cells that have none; that cells were merged is said."""

    def write(made: xlsxwriter.Workbook) -> None:
        put(made, "s", [["a", "b"], [None, 1], [None, 2]]).merge_range(1, 0, 2, 0, "both")

    _, frame, _, notes = read_sheets(book(write))
    assert frame["a"].to_list() == ["both", None]
    assert "merged" in notes["a"]


TABLE = [["a", "b"], *([f"x{i}", i] for i in range(30))]


def test_the_sheet_with_the_table_is_read_and_the_others_are_rejects() -> None:
    """A cover, a hidden sheet and an empty one are not the table; what stands in them is not lost."""

    def write(made: xlsxwriter.Workbook) -> None:
        put(made, "cover", [["Report of May"], ["by Ann"]])
        put(made, "secret", TABLE * 3).hide()
        put(made, "data", TABLE)
        made.add_worksheet("empty")

    dialect, frame, rejects, _ = read_sheets(book(write))
    assert (dialect.sheet, frame.height) == ("data", 30)
    assert "the first of 2 sheets" in dialect.why["sheet"]
    assert rejects["bytes"][0] == b"Report of May\nby Ann"
    assert [reason.split(" with")[0] for reason in rejects["reason"]] == ["sheet cover", "sheet secret (hidden)"]


def test_of_sheets_with_the_same_columns_the_first_is_read() -> None:
    """The others are named as such; a hint by name or number reads another, and then nothing of the first is a reject."""

    def write(made: xlsxwriter.Workbook) -> None:
        put(made, "jan", TABLE)
        put(made, "feb", TABLE[:20])

    data = book(write)
    dialect, frame, rejects, _ = read_sheets(data)
    assert (dialect.sheet, frame.height, rejects.height) == ("jan", 30, 1)
    assert "feb begins with the same columns" in dialect.why["sheet"]
    for hint in ("feb", 2, "2"):
        dialect, frame, rejects, _ = read_sheets(data, Hints(sheet=hint))
        assert (dialect.sheet, frame.height, rejects.height) == ("feb", 19, 0)
    with pytest.raises(FileRejected, match="no sheet 'mar'; its sheets are jan, feb"):
        read_sheets(data, Hints(sheet="mar"))


def test_a_workbook_in_a_zip_is_read() -> None:
    """A package with a workbook inside."""
    data = book(lambda made: put(made, "s", TABLE))
    assert read(zipped({"in.xlsx": data}), "x.zip").frame.height == 30


ODS = """<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>
<table:table table:name="s"><table:table-row><table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>b</text:p></table:table-cell></table:table-row><table:table-row>
<table:table-cell office:value-type="float" office:value="1.5"><text:p>1.5</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"""


def test_an_open_document_is_a_workbook() -> None:
    """An .ods file is a zip, but one table."""
    manifest = b'<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", b"application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", ODS.replace("\n<", "<"))
        archive.writestr("META-INF/manifest.xml", manifest)
    assert read(buffer.getvalue(), "x.ods").rows == [(1.5, "x")]


def broken(data: bytes) -> dict[str, bytes]:
    """The workbook damaged in ways that still look like one."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return {
        "no sheet": zipped({k: v for k, v in parts.items() if "sheet1" not in k}),
        "cut XML": zipped({k: v[: len(v) // 2] if "sheet1" in k else v for k, v in parts.items()}),
        "no XML": zipped({k: b"\0" if "workbook.xml" in k else v for k, v in parts.items()}),
        "a text document": zipped({"[Content_Types].xml": parts["[Content_Types].xml"], "word/document.xml": b"<x/>"}),
    }


@pytest.mark.parametrize("kind", ["no sheet", "cut XML", "no XML", "a text document", "locked", "old and cut"])
def test_a_workbook_that_cannot_be_read_is_rejected(kind: str) -> None:
    """A broken or locked workbook is one reject with a clear reason."""
    damaged = broken(book(lambda made: put(made, "s", TABLE))) | {
        "locked": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"), "old and cut": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
    }  # fmt: skip
    with pytest.raises(FileRejected, match="password" if kind == "locked" else "workbook|sheet"):
        read_sheets(damaged[kind])


def without_values(data: bytes, edit: Callable[[str], str]) -> bytes:
    """The workbook with the XML of its first sheet changed."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(changed, "w") as out:
        for info in archive.infolist():
            inside = archive.read(info)
            out.writestr(info, edit(inside.decode()).encode() if info.filename.endswith("sheet1.xml") else inside)
    return changed.getvalue()


@pytest.mark.parametrize("empty", ["", "<v></v>", "<v/>"], ids=["none", "open", "closed"])
def test_formulas_without_a_stored_value_are_named(empty: str, run: Run, tmp_path: Path) -> None:
    """Their cells are null, which a notice says with their names; a value that is stored is read, an empty text too."""

    def write(made: xlsxwriter.Workbook) -> None:
        sheet = put(made, "Sheet1", [["n", "twice", "said"], [1], [2], [3]])
        for row in (2, 3, 4):
            sheet.write_formula(f"B{row}", f"=A{row}*2", None, 7)
            sheet.write_formula(f"C{row}", '=IF(A2>9,"x","")', None, "yes" if row == 2 else "")

    def edit(sheet: str) -> str:
        sheet = re.sub(r'<c r="C([34])"', r'<c r="C\1" t="str"', sheet)
        return re.sub(r'(<c r="B[23]"[^>]*><f>[^<]*</f>)<v>7</v>', r"\1" + empty, sheet)

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.xlsx").write_bytes(without_values(book(write), edit))
    bronze = Table("bronze.books.formulas")
    source = Source(bronze, tmp_path / "in", "*")
    land(run, source)
    ingest(run, source)
    record = last_record(run, bronze)
    assert [notice.detail for notice in record.notices] == [
        "2 formulas without a stored value, so that they are null: B2, B3; open it in a spreadsheet program, save it, and land that"
    ]
    rows = run.snapshot(path_of(bronze.name), run.log(path_of(bronze.name)).version()).scan().select("n", "twice").collect().rows()
    assert rows == [(1.0, None), (2.0, None), (3.0, 7.0)]
    assert "B2, B3" in lake.preview(tmp_path / "in" / "a.xlsx").main.why["formulas"]


def test_formulas_of_an_open_document_without_a_value_are_named() -> None:
    """With rows and columns that stand for several."""
    cells = '<table:table-cell table:formula="of:=[.A1]&gt;1"/><table:table-cell table:formula="of:=1" office:value-type="float" office:value="1"/>'
    rows = f'<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row><table:table-row><table:table-cell table:number-columns-repeated="26"/>{cells}</table:table-row>'
    text = ODS.replace("\n<", "<").replace("</table:table>", f"{rows}</table:table>")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("content.xml", text)
    assert unworked_in_document(buffer.getvalue(), "s") == ["AA6"]
    assert unworked_in_document(buffer.getvalue(), "other") == []


def test_many_formulas_without_values_are_counted() -> None:
    """The first are named."""
    data = book(lambda made: put(made, "Sheet1", [["n", "twice"], *[[i, "=1"] for i in range(40)]]))
    marks = marks_of(without_values(data, lambda sheet: sheet.replace("<v>3</v>", "")), "Sheet1")
    assert marks is not None
    assert marks.unstored == [f"B{i}" for i in range(2, 42)]
    assert marks_of(data, "Sheet1").unstored == []  # type: ignore[union-attr]  # it is there


RESULTS = [
    ["Mill End", "Weir", 3, dt.date(2024, 5, 1), True],
    ["Old Lock", "Mill End", 1, dt.date(2024, 5, 8), False],
    ["Weir", "Quay", 2, dt.date(2024, 5, 15), True],
]


def test_a_sheet_without_a_header_loses_no_row() -> None:
    """Exports of programs have none: its first row has the types of the columns below it."""
    found = of(RESULTS)
    assert found.frame.height == 3
    assert [name for name in found.frame.columns if name not in (ROW, RESCUED)] == [f"column_{i}" for i in range(1, 6)]
    assert found.frame["column_3"].to_list() == [3, 1, 2]


@pytest.mark.parametrize(
    "head",
    [
        ["home", "away", "goals", "day", "won"], ["home", "away", "1", "2", "3"], [None, "away", None, "day", "won"], ["a", "b", "2021", "2022", "2023"],
    ],
    ids=["names", "texts that look like numbers", "some without a name", "years as text"],
)  # fmt: skip
def test_a_header_of_texts_stays_one(head: list[str | None]) -> None:
    """Text above numbers is a name, whatever it looks like."""
    assert of([head, *RESULTS]).frame.height == 3


def test_years_as_numbers_above_numbers_stay_names() -> None:
    """A table of two ways has numbers in its header."""
    found = of([["town", 2021, 2022, 2023], ["Mill End", 4, 5, 6], ["Weir", 7, 8, 9]])
    assert [name for name in found.frame.columns if name not in (ROW, RESCUED)] == ["town", "2021", "2022", "2023"]
    assert found.frame.height == 2


def test_a_table_that_begins_far_down_is_found() -> None:
    """More empty rows stand above it than the header is looked for in."""
    found = of([["town", "trees"], ["Weir", 4]], at=(900, 0))
    assert found.frame.select("town", "trees").rows() == [("Weir", 4.0)]


def rewritten(data: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with one of its parts changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            new.writestr(info, change(old.read(info)) if info.filename == part else old.read(info))
    return made.getvalue()


def two_sheets() -> bytes:
    """A table, and a sheet beside it."""

    def write(made: xlsxwriter.Workbook) -> None:
        put(made, "data", [["town", "trees"], ["Weir", 4], ["Quay", 5]])
        put(made, "other", [["x"], [1]])

    return book(write)


def test_a_sheet_that_cannot_be_read_leaves_the_others() -> None:
    """It is a reject with the reason; asked for, it is the file's."""
    broken = rewritten(two_sheets(), "xl/worksheets/sheet2.xml", lambda text: text.replace(b"<v>", b"<v", 1))
    found = read(broken, "x.xlsx")
    assert found.frame.height == 2
    assert any("other" in reason and "cannot be read" in reason for reason in found.rejects["reason"])
    with pytest.raises(FileRejected, match="sheet 'other' cannot be read"):
        read(broken, "x.xlsx", Hints(sheet="other"))


def test_a_workbook_without_a_sheet_says_so() -> None:
    """No library's words."""
    none = rewritten(two_sheets(), "xl/workbook.xml", lambda text: re.sub(rb"<sheets>.*</sheets>", b"<sheets></sheets>", text))
    with pytest.raises(FileRejected, match="no sheet"):
        read(none, "x.xlsx")


def test_an_empty_style_is_the_first() -> None:
    """Some writers leave the attribute empty."""
    found = read(rewritten(two_sheets(), "xl/worksheets/sheet1.xml", lambda text: text.replace(b'<c r="B2"', b'<c s="" r="B2"')), "x.xlsx")
    assert found.frame["trees"].to_list() == [4, 5]


def test_a_column_of_durations_and_dates_is_text() -> None:
    """They go in no common type; the columns beside it keep theirs."""

    def write(made: xlsxwriter.Workbook) -> None:
        sheet = put(made, "data", [["what", "when", "n"], ["a", dt.date(2024, 5, 1), 1], ["b", None, 2]])
        sheet.write_number(2, 1, 1.4375, made.add_format({"num_format": "[h]:mm:ss"}))

    found = read(book(write), "x.xlsx")
    assert found.frame.height == 2
    assert found.frame["when"].dtype == pl.String
    assert found.frame["n"].to_list() == [1, 2]


def open_document(rows: str, name: str = "data") -> bytes:
    """An OpenDocument workbook with the XML of the rows of its sheet."""
    names = "".join(f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))
    body = f'<office:spreadsheet><table:table table:name="{name}">{rows}</table:table></office:spreadsheet>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        made.writestr("content.xml", f"<office:document-content{names}><office:body>{body}</office:body></office:document-content>")
        made.writestr("META-INF/manifest.xml", "<manifest/>")
    return buffer.getvalue()


def open_row(*cells: str, repeated: int = 1) -> str:
    """A row of such a sheet: durations, dates, numbers and texts, an empty cell for each empty text."""
    told = ""
    for cell in cells:
        if re.match("-?P", cell):
            told += f'<table:table-cell office:value-type="time" office:time-value="{cell}"><text:p>shown</text:p></table:table-cell>'
        elif cell.startswith("2024-"):
            told += f'<table:table-cell office:value-type="date" office:date-value="{cell}"/>'
        elif cell.isdigit():
            told += f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
        else:
            told += f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' if cell else "<table:table-cell/>"
    return f'<table:table-row table:number-rows-repeated="{repeated}">{told}</table:table-row>'


def test_durations_among_texts_of_an_open_document_are_kept() -> None:
    """Its cells are read as text; a duration is written as the file has it, not left empty."""
    rows = open_row("lap") + open_row("none") + open_row("PT11H12M12S") + open_row("PT10H00M00S")
    assert read(open_document(rows), "x.ods").frame["lap"].to_list() == ["none", "PT11H12M12S", "PT10H"]


@pytest.mark.parametrize(
    ("cells", "right"),
    [
        (["PT10H30M00S", "PT36H00M00S"], [37_800, 129_600]), (["PT24H00M00S"], [86_400]), (["-PT02H00M00S", "PT1H"], [-7_200, 3_600]),
        (["P1DT2H", "PT90M"], [93_600, 5_400]), (["PT10H30M00,5S", "PT23H59M59.250S"], [37_800.5, 86_399.25]), (["", "PT1000000H00M00S"], [None, 3_600_000_000]),
        (["none", "PT36H00M00S"], ["none", "PT36H00M00S"]), (["2024-01-02", "PT36H00M00S"], ["2024-01-02", "PT36H00M00S"]), (["7", "PT36H00M00S"], ["7", "PT36H00M00S"]),
        (["PT00H00M00.0005S", "PT36H00M00S"], ["PT00H00M00.0005S", "PT36H00M00S"]), (["P1M", "PT1H"], ["P1M", "PT1H"]),
        (["PT9999999999999999H", "PT1H"], ["PT9999999999999999H", "PT1H"]),
    ],
)  # fmt: skip
def test_durations_of_any_length_in_an_open_document_are_kept(cells: list[str], right: list[Any]) -> None:
    """The cell reader makes nothing of those of a day or more, of negative ones, and of those that are written otherwise than a time of day."""
    rows = open_row("n", "lap") + "".join(open_row(str(i), cell) for i, cell in enumerate(cells))
    column = read(open_document(rows), "x.ods").frame["lap"]
    assert (column.dt.total_milliseconds() / 1000 if isinstance(column.dtype, pl.Duration) else column).to_list() == right


def test_durations_stand_where_they_stood() -> None:
    """Below empty rows and a title, right of an empty column, in rows and columns that stand for several, in a sheet with a name to be escaped, alone in their row."""
    rows = (
        open_row("", repeated=2) + open_row("", "Laps of May", "") + open_row("", "who", "lap", "last") + open_row("", "ann", "PT30H00M00S", "PT1H", repeated=2)
    )
    rows += open_row("", "", "PT25H00M00S", "") + open_row("", "bob", "", "PT48H")
    found = read(open_document(rows, "it&apos;s"), "x.ods")
    assert found.frame["who"].to_list() == ["ann", "ann", None, "bob"]
    assert [found.frame[name].dt.total_hours().to_list() for name in ("lap", "last")] == [[30, 30, 25, None], [1, 1, None, 48]]


def test_a_sheet_of_long_durations_is_no_empty_one() -> None:
    """What the cell reader sees nothing in still is the table, and another sheet with some is told whole."""
    other = f'</table:table><table:table table:name="more">{open_row("PT99H")}'
    found = read(open_document(open_row("a", "b", "c") + open_row("1", "2", "PT36H") + open_row("3", "4", "PT37H") + other), "x.ods")
    assert [bytes(some) for some in found.rejects["bytes"]] == [b"PT99H"]
    alone = read(open_document(open_row("lap") + open_row("PT36H") + open_row("PT37H")), "x.ods")
    assert alone.frame["lap"].dt.total_hours().to_list() == [36, 37]


@pytest.mark.parametrize("at", [(0, 0), (0, 2), (3, 1)], ids=["corner", "right", "below"])
def test_marks_are_of_their_columns_wherever_the_table_stands(at: tuple[int, int]) -> None:
    """Error cells, kinds of cells and merged blocks are told by the place in the sheet, and columns by that in the table."""

    def write(made: xlsxwriter.Workbook) -> None:
        rows = [["who", "n", "when"], ["ann", "#N/A", dt.date(2024, 5, 1)], ["bob", 2, dt.datetime(2024, 5, 2, 0, 0)], ["eve", "#N/A", dt.date(2024, 5, 3)]]  # noqa: DTZ001  # as cells are
        put(made, "s", rows, at)

    found = read(book(write), "x.xlsx")
    assert found.frame["n"].to_list() == ["#N/A", "2", "#N/A"]
    assert found.frame["when"].dtype == pl.Datetime("ms")
