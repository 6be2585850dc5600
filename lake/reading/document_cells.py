"""What the cell reader does not tell of a sheet of an OpenDocument workbook, taken from its XML: formulas without a value, and times that it makes nothing of.

As with .xlsx, the XML is only searched, never built into a tree.
"""

from __future__ import annotations

import html
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import polars as pl

_CONTENT = "content.xml"
_ATTRIBUTES = rb"""(?:[^>"']|"[^"]*"|'[^']*')*"""
_SHEET = re.compile(rb"<table:table\b(" + _ATTRIBUTES + rb")>")
_NAME = re.compile(rb"""\btable:name=(?:"([^"]*)"|'([^']*)')""")
_TAG = re.compile(rb"<table:(?:table-|covered-table-)(row|cell)\b(" + _ATTRIBUTES + rb")>")
_REPEATED = re.compile(rb"""table:number-(?:rows|columns)-repeated=["'](\d+)["']""")
_TIME = re.compile(rb"""office:time-value=["']([^"']*)["']""")
_UNREAD = re.compile(
    rb"""office:time-value=["'](?!PT(?:[01]\d|2[0-3])H[0-5]\dM[0-5]\d(?:\.\d{1,3})?S["'])"""
)  # it knows times of day alone, to the millisecond
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d+))?S)?)?")
_MOST_REPEATED = 1 << 20  # rows that one may stand for: as many as a sheet can have
_MOST = (1 << 62) // 1000  # milliseconds, of which bronze keeps the microseconds


def unworked_in_document(book: bytes, sheet: str) -> list[str]:
    """The names of cells with formulas, but without a value, in a sheet of an OpenDocument workbook; none if it is no such."""
    inside = _inside(book, sheet)
    if b"table:formula=" not in inside:
        return []
    return [
        _letters(column) + str(row + 1)
        for row, column, _, _, said in _cells(inside)
        if b"table:formula=" in said and b"office:value-type=" not in said and b"calcext:value-type=" not in said
    ]


def unread_times(book: bytes, sheet: str) -> dict[int, dict[int, str]]:
    """Times and durations, as the file has them (`PT36H00M00S`), by column and row from 0, of a sheet in which there is one that the cell reader makes nothing of.

    It does so of durations of a day or more and of negative ones, and of those that are written otherwise than a time of day; and it cuts what is finer than milliseconds. No cells of other formats.
    """
    inside = _inside(book, sheet)
    if not _UNREAD.search(inside):
        return {}
    found: dict[int, dict[int, str]] = {}
    for row, column, rows, columns, said in _cells(inside):
        if told := _TIME.search(said):
            time = html.unescape(told[1].decode("utf-8", "replace"))
            for across in range(columns):
                found.setdefault(column + across, {}).update(dict.fromkeys(range(row, row + rows), time))
    return found


def with_times(text: pl.Series, times: Mapping[int, str]) -> pl.Series:
    """The cells as text with `times` at their places."""
    places = [place for place in times if 0 <= place < text.len()]
    return text.scatter(places, [times[place] for place in places]) if places else text


def as_durations(column: pl.Series, times: Mapping[int, str]) -> pl.Series | None:
    """A column of durations with `times` at their places; None where one of these is no number of milliseconds that can be counted."""
    counts = {place: milliseconds(said) for place, said in times.items() if 0 <= place < column.len()}
    if None in counts.values():
        return None
    whole = column.cast(pl.Duration("ms")).cast(pl.Int64).scatter(list(counts), list(counts.values()))
    return whole.cast(pl.Duration("ms"))


def milliseconds(duration: str) -> int | None:
    """How many milliseconds an ISO 8601 duration has; None where it has years or months, parts of a millisecond, or is none."""
    told = _DURATION.fullmatch(duration)
    if told is None or not any(told.groups()[1:]):
        return None
    sign, days, hours, minutes, seconds, part = told.groups()
    fine = (part or "").rstrip("0")
    if len(fine) > 3:
        return None
    whole = (int(days or 0) * 24 + int(hours or 0)) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    count = whole * 1000 + int(fine.ljust(3, "0"))
    return None if count > _MOST else -count if sign else count


def _inside(book: bytes, sheet: str) -> bytes:
    """The XML of one sheet; nothing if the workbook is no OpenDocument, or has no such sheet."""
    try:
        with zipfile.ZipFile(io.BytesIO(book)) as archive:
            text = archive.read(_CONTENT)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error):
        return b""
    begin = next((found.end() for found in _SHEET.finditer(text) if _named(found[1]) == sheet), len(text))
    return text[begin : text.find(b"</table:table>", begin)]


def _named(attributes: bytes) -> str | None:
    told = _NAME.search(attributes)
    return html.unescape((told[1] or told[2] or b"").decode("utf-8", "replace")) if told else None


def _cells(inside: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """Row and column from 0 of each cell, how many rows and columns it stands for, and its attributes."""
    row, column, after, down = -1, 0, 1, 1
    for kind, attributes in _TAG.findall(inside):
        repeated = _REPEATED.search(attributes)
        times = min(int(repeated[1]), _MOST_REPEATED) if repeated else 1
        if kind == b"row":
            row, column, after, down = row + after, 0, times, times
            continue
        yield row, column, down, times, attributes
        column += times


def _letters(column: int) -> str:
    """The letters of a column from 0, as spreadsheets name it."""
    said = ""
    while column >= 0:
        said, column = chr(65 + column % 26) + said, column // 26 - 1
    return said
