"""Workbooks: which sheet holds the table, and where in it the header stands. Found once, kept in the dialect, said in its `why`."""

from __future__ import annotations

import io
import logging
import re
import statistics
import struct
import zipfile
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl

from lake.errors import FileRejected
from lake.reading.bounds import check_columns
from lake.reading.dialect import Dialect, column_names
from lake.reading.document_cells import unread_times, with_times
from lake.reading.hints import Hints
from lake.reading.kinds import NOTHING, TEXT, kind_of
from lake.reading.names import is_header
from lake.reading.xlsx_marks import Marks, check_extent, marks_of
from lake.wording import counted

_HEAD = 200  # rows in which the header is looked for
_DEEPEST_HEADER = 50
_JUDGED = 100  # rows by which the first is judged
_A_NAME = "a name"
_MOST_BYTES = 1 << 32
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?%?|\d{4}-\d\d-\d\d.*|true|false")
_LOCKED = "EncryptedPackage".encode("utf-16-le")
logging.getLogger("fastexcel").setLevel(logging.ERROR)  # it warns of every empty column
Row = tuple[str | None, ...]


def open_book(path: Path) -> tuple[bytes, Any]:
    """The workbook's bytes and its reader. Raises FileRejected with what is wrong with it."""
    data = path.read_bytes()
    if data.startswith(b"\xd0\xcf\x11\xe0") and _LOCKED in data:
        raise FileRejected("the workbook is protected by a password", "Save it without a password and land it again")
    _check_size(data)
    check_extent(data)
    try:
        return data, fastexcel.read_excel(data)
    except (fastexcel.FastExcelError, pl.exceptions.PanicException) as error:
        said = str(error).split("\n")[0].removeprefix("calamine error: ")
        if "assword" in said:
            raise FileRejected("the workbook is protected by a password", "Save it without a password and land it again") from None
        raise FileRejected(f"the workbook cannot be opened: {said}", "Open it in a spreadsheet program, save it again, and land that") from None


def _check_size(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error):
        return  # an older format, or damage that the reader will tell
    if size > _MOST_BYTES:
        raise FileRejected(f"the workbook unpacks to {counted(size, 'byte')}, more than {_MOST_BYTES:,}", "Land it as CSV or Parquet")


def lay_out(path: Path, dialect: Dialect, hints: Hints) -> Dialect:
    """The dialect with sheet, place of the header, and columns. Raises FileRejected where there is no such sheet or no table."""
    data, book = open_book(path)
    if not book.sheet_names:
        raise FileRejected("the workbook has no sheet", "Save it with the table in a sheet, and land that")
    heads, unread = _heads(data, book, hints.sheet)
    hidden = [name for name in heads if name not in unread and book.load_sheet(name, header_row=None, n_rows=1).visible != "visible"]
    sheet, why = _choose(heads, hidden, hints.sheet)
    others = [f"{name}{' (hidden)' if name in hidden else ''}" for name, (rows, _) in heads.items() if name != sheet and rows] if hints.sheet is None else []
    others += unread if hints.sheet is None else []
    rows, offset = heads[sheet]
    marks = marks_of(data, sheet) or Marks()
    first, deep, said = _header(rows, offset, marks, hints)
    if deep == 1 and hints.header is None and hints.skip_lines is None and (why_none := _without_header(book, sheet, rows, first)):
        deep, said = 0, said | {"header": why_none}
    named = _names(rows, offset, first, deep, marks)
    check_columns(named)
    return dialect.model_copy(
        update={
            "sheet": sheet, "skip_lines": first, "header": deep, "columns": column_names(named), "named": named, "other_sheets": others,
            "why": dialect.why | {"sheet": why} | said,
        }
    )  # fmt: skip


def _heads(data: bytes, book: Any, wanted: str | int | None) -> tuple[dict[str, tuple[list[Row], int]], list[str]]:
    """The first rows of each sheet, and the sheets that cannot be read. Raises FileRejected if none can, or the one asked for cannot."""
    heads: dict[str, tuple[list[Row], int]] = {}
    unread: dict[str, FileRejected] = {}
    for number, name in enumerate(book.sheet_names, 1):
        try:
            heads[name] = cells(book, name, rows=_HEAD, data=data)
            if not heads[name][0]:  # empty, or a table far down
                rows, offset = cells(book, name, data=data)
                heads[name] = rows[: _first_filled(rows) + _HEAD], offset
        except FileRejected as rejected:
            heads[name], unread[name] = ([], 0), rejected
            if str(wanted) in (name, str(number)) or len(unread) == len(book.sheet_names):
                raise
    return heads, list(unread)


def _first_filled(rows: list[Row]) -> int:
    return next((i for i, row in enumerate(rows) if _filled(row)), 0)


def _without_header(book: Any, sheet: str, rows: list[Row], first: int) -> str | None:
    """Why the row that would be the header is a record, or None: a cell of it that is no text, and not a year, is of the type of its column.

    Text that looks like a number names a column whose cells are numbers by type.
    """
    head = rows[first] if first < len(rows) else ()
    below = [["" if cell is None else cell for cell in row] for row in rows[first + 1 :] if _filled(row)]
    if not head or not below:
        return None
    typed = [_types(book, sheet, first, 1), _types(book, sheet, first + 1, len(rows) - first - 1)]
    if len(typed[0]) != len(head) or len(typed[1]) != len(head):
        return None
    names = [_A_NAME if cell and top == pl.String and column != pl.String else cell or "" for cell, top, column in zip(head, *typed, strict=True)]
    if all(kind_of(name) in (TEXT, NOTHING) for name in names):
        return None
    header, why = is_header(names, below[:_JUDGED])
    return None if header else why


def _types(book: Any, sheet: str, skip: int, count: int) -> list[Any]:
    """The types of the columns in some rows of a sheet, as its cells bear them; none if they cannot be told."""
    try:
        return list(book.load_sheet(sheet, header_row=None, skip_rows=skip, n_rows=count, schema_sample_rows=count).to_polars().dtypes)
    except (fastexcel.FastExcelError, pl.exceptions.PanicException):
        return []


def cells(book: Any, sheet: str, *, data: bytes, rows: int | None = None) -> tuple[list[Row], int]:
    """A sheet's cells as text, from its first row, and the number of its first column; no rows if it is empty. `data` is the workbook."""
    try:
        loaded = book.load_sheet(sheet, header_row=None, skip_rows=0, n_rows=rows, dtypes="string")
    except (fastexcel.FastExcelError, pl.exceptions.PanicException) as error:
        raise FileRejected(f"sheet {sheet!r} cannot be read: it is a chart, or damaged", "Save the workbook again and land that") from error
    frame = loaded.to_polars()
    if frame.width and any(column.null_count() for column in frame):
        spans = book.load_sheet(sheet, header_row=None, skip_rows=0, n_rows=rows, dtypes="duration").to_polars()
        frame = frame.with_columns(with_durations(frame.to_series(i), spans.to_series(i)) for i in range(frame.width))
        first = loaded.available_columns()[0].absolute_index
        for column, there in unread_times(data, sheet).items():
            if 0 <= column - first < frame.width:
                frame = frame.with_columns(with_times(frame.to_series(column - first), there))
    if not frame.width or frame.select(pl.all_horizontal(pl.all().is_null().all())).item():
        return [], 0
    return frame.rows(), loaded.available_columns()[0].absolute_index


def with_durations(text: pl.Series, spans: pl.Series) -> pl.Series:
    """The cells as text with durations among them, which the cell reader makes nothing of in some formats: `PT10H30M`, as these write them."""
    return text.to_frame().select(text.fill_null(spans.dt.to_string("iso")) if isinstance(spans.dtype, pl.Duration) else text).to_series()


def _choose(heads: dict[str, tuple[list[Row], int]], hidden: list[str], wanted: str | int | None) -> tuple[str, str]:
    """The sheet that holds the table, and why it is that one."""
    names = list(heads)
    if wanted is not None:
        number = int(wanted) if str(wanted).isdigit() and str(wanted) not in names else None
        if number is not None and 1 <= number <= len(names):
            return names[number - 1], f"Hints(sheet={wanted!r})"
        if wanted not in names:
            raise FileRejected(f"the workbook has no sheet {wanted!r}; its sheets are {', '.join(names)}", "Correct Hints(sheet=…)")
        return str(wanted), f"Hints(sheet={wanted!r})"
    seen = [name for name in names if name not in hidden and heads[name][0]] or [name for name in names if heads[name][0]]
    if not seen:
        return names[0], "no sheet holds anything"
    if len(seen) == 1:
        return seen[0], "the only sheet" if len(names) == 1 else "the only sheet that is shown and holds anything"
    sizes = {name: _table_size(heads[name][0]) for name in seen}
    largest = max(sizes.values())
    best = next(name for name in seen if 10 * sizes[name] >= largest)
    same = [name for name in seen if name != best and _first(heads[name][0]) == _first(heads[best][0])]
    told = f"; {', '.join(same)} begin{'s' if len(same) == 1 else ''} with the same columns: Hints(sheet=…) reads another" if same else ""
    return best, f"the first of {counted(len(seen), 'sheet')} that holds a table{told}"


def _table_size(rows: list[Row]) -> int:
    """Cells in rows that are as wide as most: 0 for a cover."""
    width = _width(rows)
    full = sum(_filled(row) >= 0.6 * width for row in rows)
    return full * width if full > 1 else 0


def _first(rows: list[Row]) -> Row | None:
    return next((row for row in rows if _filled(row) >= 0.6 * _width(rows)), None)


def _filled(row: Row) -> int:
    return sum(cell is not None for cell in row)


def _width(rows: list[Row]) -> int:
    """How many cells a row of the table has: the middle of the counts of rows that have any."""
    counts = [count for row in rows if (count := _filled(row))]
    return max(statistics.median_high(counts), 1) if counts else 1


def _header(rows: list[Row], offset: int, marks: Marks, hints: Hints) -> tuple[int, int, dict[str, str]]:
    """Row of the header from 0, how many rows it has, and why."""
    if hints.skip_lines is not None:
        first, why = hints.skip_lines, f"Hints(skip_lines={hints.skip_lines})"
    else:
        first = _find_header(rows)
        why = f"row {first + 1} is the first that is filled across the table" if first else ""
    deep = 1 if hints.header is None else int(hints.header)
    said = {"header": why} if why else {}
    if hints.header in (None, True) and rows:
        if hints.skip_lines is None and first and _spans(marks, first - 1, offset, len(rows[0])):
            first -= 1
        if _spans(marks, first, offset, len(rows[0])) and first + 1 < len(rows):
            deep = 2
            said["header"] = f"rows {first + 1} and {first + 2}: cells of the first are merged over columns of the second; their texts are joined with ' / '"
    return first, deep, said


def _spans(marks: Marks, row: int, offset: int, width: int) -> bool:
    """Whether a merged block of the row spans some of the table's columns, but not all of them as a title does."""
    return any(top == row and left < right and right - left + 1 < width and left >= offset for top, left, _, right in marks.merged)


def _find_header(rows: list[Row]) -> int:
    """The first row that is filled across the table; or one after an empty row, where that one is fuller: what is above was a title block."""
    width = _width(rows)
    begin = _first_filled(rows)
    wide = [i for i in range(begin, min(begin + _DEEPEST_HEADER, len(rows))) if _filled(rows[i]) >= 0.6 * width]
    if not wide:
        return 0
    first = wide[0]
    later = [i for i in wide[1:] if not _filled(rows[i - 1]) and _filled(rows[i]) >= width > _filled(rows[first]) and not _has_number(rows[i])]
    return later[0] if later else first


def _has_number(row: Row) -> bool:
    return any(cell is not None and _NUMBER.fullmatch(cell) for cell in row)


def _names(rows: list[Row], offset: int, first: int, deep: int, marks: Marks) -> list[str]:
    """The header's texts, one a column; empty where a column has none."""
    width = len(rows[0]) if rows else 0
    if not deep:
        return [f"column_{i + 1}" for i in range(width)]
    levels = [list(row) for row in rows[first : first + deep]]
    if deep == 1:
        return ["" if cell is None else cell for cell in (levels[0] if levels else [])]
    for depth, level in enumerate(levels[:-1]):
        blocks = [(left, right) for top, left, _, right in marks.merged if top == first + depth]
        for i in range(width):
            block = next((b for b in blocks if b[0] <= i + offset <= b[1]), None)
            if level[i] is None and block:
                level[i] = level[block[0] - offset]
            elif level[i] is None and not marks.merged and i and levels[-1][i] is not None:
                level[i] = level[i - 1]
    return [" / ".join(dict.fromkeys(cell for level in levels if (cell := level[i]))) for i in range(width)]
