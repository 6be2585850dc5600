"""The rows of a workbook's sheet. A column has a type if all its cells do; where a type would lose a cell, it is text.

Merged cells below the header keep their value in the first cell, as the file does; the others are null, and it is said.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl

from lake.contract import RESCUED, ROW
from lake.errors import FileRejected
from lake.reading.delimited import REJECTS, Parsed
from lake.reading.dialect import Dialect
from lake.reading.document_cells import as_durations, unread_times, unworked_in_document, with_times
from lake.reading.hints import Hints
from lake.reading.workbook import Row, cells, lay_out, open_book, with_durations
from lake.reading.xlsx_marks import Marks, marks_of
from lake.wording import counted

_EPOCHS = (dt.date(1899, 12, 30), dt.date(1899, 12, 31))
_MOST_OF_A_SHEET = 1 << 20
_UNFIT = re.compile(r"dtype for column __UNNAMED__(\d+)")
_SHOWN = 5  # cells


def read_workbook(path: Path, dialect: Dialect) -> Parsed:
    """The rows below the header. Rejected, with their line and their cells joined by tabs: rows above it, empty rows, other sheets as a whole."""
    if dialect.sheet is None or not dialect.named:
        dialect = lay_out(path, dialect, Hints(sheet=dialect.sheet))
    data, book = open_book(path)
    sheet, first = str(dialect.sheet), dialect.skip_lines
    below = first + dialect.header
    rows, offset = cells(book, sheet, data=data)
    marks = marks_of(data, sheet, below) or Marks()
    erred = {row for row, _ in marks.errors}
    while rows and not _holds(rows[-1]) and len(rows) - 1 not in erred:
        rows.pop()
    above = [i for i in range(min(first, len(rows))) if _holds(rows[i])]
    empty = [i for i in range(below, len(rows)) if len(dialect.columns) > 1 and not _holds(rows[i]) and i not in erred]
    kept = sorted(set(range(below, len(rows))) - set(empty))
    numbers = {i: n for n, i in enumerate(sorted([*above, *empty, *kept]), 1)}
    rejects = [(numbers[i], i + 1, _tabbed(rows[i]), "it stands above the header") for i in above]
    rejects += [(numbers[i], i + 1, b"", "the row is empty") for i in empty]
    rejects += [_unread(data, book, name, len(numbers) + n) for n, name in enumerate(dialect.other_sheets, 1)]
    frame, notes, renamed = _typed(book, dialect, offset, below, kept, marks, unread_times(data, sheet))
    frame = frame.with_columns(pl.Series(ROW, [numbers[i] for i in kept], dtype=pl.Int64), pl.lit(None, dtype=pl.String).alias(RESCUED))
    told = pl.DataFrame(rejects, schema=REJECTS, orient="row")
    unstored = marks.unstored or unworked_in_document(data, sheet)
    remarks = tuple(_unworked(unstored) if unstored else ())
    return Parsed(frame.lazy(), told, len(numbers) + len(dialect.other_sheets), notes, renamed, dict(zip(["formulas"], remarks, strict=False)), remarks=remarks)


def _typed(
    book: Any, dialect: Dialect, offset: int, below: int, kept: list[int], marks: Marks, times: dict[int, dict[int, str]]
) -> tuple[pl.DataFrame, dict[str, str], dict[str, str]]:
    """The kept rows with their types, what was done to columns, and columns whose name could not be kept."""
    notes: dict[str, str] = {}
    if not kept:
        return pl.DataFrame(schema=dict.fromkeys(dialect.columns, pl.String())), notes, dialect.renamed
    options = {"header_row": None, "skip_rows": below, "schema_sample_rows": None}
    typed = _of_its_types(book, str(dialect.sheet), options)
    text = book.load_sheet(dialect.sheet, **options, dtypes="string").to_polars()
    strings = [i for i, dtype in enumerate(typed.dtypes) if dtype == pl.String]
    floats = book.load_sheet(dialect.sheet, **options, dtypes=dict.fromkeys(strings, "float")).to_polars() if strings else typed
    if lasting := [i for i in strings if text.to_series(i).null_count()]:
        spans = book.load_sheet(dialect.sheet, **options, dtypes=dict.fromkeys(lasting, "duration")).to_polars()
        text = text.with_columns(with_durations(text.to_series(i), spans.to_series(i)) for i in lasting)
    text = text.with_columns(_with_all_digits(text.to_series(i), floats.to_series(i)) for i in range(text.width) if floats.dtypes[i].is_float())
    columns: list[pl.Series] = []
    places = [i - below for i in kept]
    for i, name in enumerate(dialect.columns):
        errors = {row - below: said for (row, column), said in marks.errors.items() if column == i + offset and row >= below}
        there = {row - below: said for row, said in times.get(i + offset, {}).items() if row >= below}
        if there:
            column, note = _durations(typed.to_series(i), text.to_series(i), there)
        else:
            column, note = _column(typed.to_series(i), text.to_series(i), marks.kinds.get(i + offset, set()), errors)
        if column.null_count() == column.len() and not dialect.named[i]:
            continue  # no header and no value: there is no such column
        if note:
            notes[name] = note
        columns.append(column.gather(places).alias(name))
    for top, left, bottom, right in marks.merged:
        if top >= below and 0 <= left - offset < len(dialect.columns) and (bottom, right) != (top, left):
            name = dialect.columns[left - offset]
            done = "merged cells keep their value in the first, the others are null"
            notes[name] = f"{notes[name]}; {done}" if name in notes and done not in notes[name] else notes.get(name, done)
    return pl.DataFrame(columns), notes, {name: was for name, was in dialect.renamed.items() if name in {c.name for c in columns}}


def _of_its_types(book: Any, sheet: str, options: dict[str, Any]) -> pl.DataFrame:
    """The rows with the types of their cells; columns whose cells have types that go in no common one, such as durations among dates, are text."""
    as_text: dict[int, str] = {}
    while True:
        try:
            loaded: pl.DataFrame = book.load_sheet(sheet, **options, dtypes=as_text or None).to_polars()
        except fastexcel.UnsupportedColumnTypeCombinationError as error:
            named = _UNFIT.search(str(error))
            if named is None or int(named[1]) in as_text:
                raise
            as_text[int(named[1])] = "string"
        else:
            return loaded


def _with_all_digits(text: pl.Series, floats: pl.Series) -> pl.Series:
    """The cells as text with numbers written out: the cell reader rounds those it makes text of."""
    rounded = (text.cast(pl.Float64, strict=False) != floats).fill_null(value=False)
    return text.to_frame().select(pl.when(rounded).then(floats.cast(pl.String)).otherwise(text).alias(text.name)).to_series()


def _column(typed: pl.Series, text: pl.Series, kinds: set[str], errors: dict[int, str]) -> tuple[pl.Series, str]:
    """One column and what was done to it."""
    seen = sorted(kinds)
    if errors:
        places = [i for i in errors if i < text.len()]
        return text.scatter(places, [errors[i] for i in places]), f"text, because it holds error cells such as {next(iter(errors.values()))}"
    switches = typed.dtype.is_numeric() and bool(text.is_in(["true", "false"]).any())
    if typed.dtype == pl.String or switches or typed.null_count() > text.null_count():
        return text, f"text, because it holds {' and '.join(seen)}" if len(seen) > 1 else ""
    if isinstance(typed.dtype, pl.Datetime):
        return _moments(typed, text, kinds)
    return typed, ""


def _durations(typed: pl.Series, text: pl.Series, times: dict[int, str]) -> tuple[pl.Series, str]:
    """A column of an OpenDocument sheet with durations that the cell reader makes nothing of, taken from the XML."""
    if isinstance(typed.dtype, pl.Duration):
        if (column := as_durations(typed, times)) is not None:
            return column, ""
        return with_times(text, times), "text, because it holds durations that are no whole milliseconds"
    return with_times(text, times), ""


def _moments(typed: pl.Series, text: pl.Series, kinds: set[str]) -> tuple[pl.Series, str]:
    """Dates, times of day or instants, as the cells are shown; where that is not told, as the values are."""
    if kinds - {"dates", "times", "instants"}:
        return text, f"text, because it holds {' and '.join(sorted(kinds))}"
    clock = typed.dt.date().is_in(_EPOCHS)
    if kinds <= {"times"} and bool(clock.all()):
        return typed.dt.time(), ""
    if bool(clock.any()):
        return text, "text, because it holds dates and times of day"
    midnight = bool((typed.dt.time() == dt.time()).all())
    return (typed.dt.date(), "") if midnight and "instants" not in kinds else (typed, "")


def _unworked(places: list[str]) -> Iterator[str]:
    """What is to be known of cells with formulas that whoever wrote the workbook did not work out."""
    shown = ", ".join(places[:_SHOWN]) + (f" and {counted(len(places) - _SHOWN, 'other')}" if len(places) > _SHOWN else "")
    them = "they are" if len(places) > 1 else "it is"
    yield f"{counted(len(places), 'formula')} without a stored value, so that {them} null: {shown}; open it in a spreadsheet program, save it, and land that"


def _holds(row: Row) -> bool:
    return any(cell is not None for cell in row)


def _tabbed(row: Row) -> bytes:
    return "\t".join(cell or "" for cell in row).rstrip("\t").encode("utf-8")


def _unread(data: bytes, book: Any, told: str, number: int) -> tuple[int, int, bytes, str]:
    """A sheet that is not the table, as one reject."""
    name = told if told in book.sheet_names else told.removesuffix(" (hidden)")
    try:
        rows, _ = cells(book, name, data=data)
    except FileRejected as rejected:
        return number, 1, b"", rejected.message
    raw = b"\n".join(map(_tabbed, rows))
    return number, 1, raw[:_MOST_OF_A_SHEET], f"sheet {told} with {counted(len(rows), 'row')} is not the table; read it with Hints(sheet={name!r})"
