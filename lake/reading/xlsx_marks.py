"""What the cell reader does not tell of an .xlsx sheet, taken from its XML: merged cells, error cells, and how each column's numbers are shown.

The XML is only searched, in chunks, never built into a tree: no entity is expanded, and memory does not grow with the sheet.
"""

from __future__ import annotations

import html
import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from lake.errors import FileRejected
from lake.reading.bounds import MOST_SPARSE, SPARSE

_CHUNK = 1 << 20
_CELL = re.compile(rb'<(?:\w+:)?c\b([^>]*?) r="([A-Z]{1,3})(\d+)"([^>/]*)(/?)>')
_ERROR = re.compile(rb'<(?:\w+:)?c\b([^>]*? t="e"[^>]*)>(?:(?!</(?:\w+:)?c>).)*?<(?:\w+:)?v>([^<]*)<', re.DOTALL)
_FORMULA = re.compile(rb"<(?:\w+:)?c\b([^>]*[^>/])>((?:(?!</(?:\w+:)?c>).)*?<(?:\w+:)?f\b(?:(?!</(?:\w+:)?c>).)*)</(?:\w+:)?c>", re.DOTALL)
_VALUE = re.compile(rb"<(?:\w+:)?(?:v|t)\b[^>]*[^>/]?>[^<]")
_EMPTY_TEXT = re.compile(rb"<(?:\w+:)?v\b")
_PLACE = re.compile(rb' r="([A-Z]{1,3})(\d+)"')
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*?\bref="([A-Z]+)(\d+):([A-Z]+)(\d+)"')
_TYPES = {b"s": "text", b"str": "text", b"inlineStr": "text", b"b": "true or false", b"e": "errors", b"n": "numbers", b"d": "dates"}
_BUILT_IN = {**dict.fromkeys(range(14, 18), "dates"), **dict.fromkeys([18, 19, 20, 21, 45, 46, 47], "times"), 22: "instants"}


@dataclass(frozen=True)
class Marks:
    """Cells by (row, column) from 0: merged blocks as (first row, first column, last row, last column), errors by place, kinds of values by column, formulas without a stored value."""

    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    kinds: dict[int, set[str]] = field(default_factory=dict)
    unstored: list[str] = field(default_factory=list)


def marks_of(book: bytes, sheet: str, first_row: int | None = None) -> Marks | None:
    """The marks of a sheet, kinds only if a `first_row` is given, from which on they are looked at; None if the workbook is no .xlsx, or the sheet cannot be found in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(book)) as archive:
            path = _sheet_path(archive, sheet)
            if path is None:
                return None
            shown = _formats(archive)
            return _search(archive, path, shown, first_row)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError):
        return None


def check_extent(book: bytes) -> None:
    """Raise FileRejected for an .xlsx with a sheet whose cells lie so far apart that the empty ones between are the many: the cell reader makes them all."""
    try:
        with zipfile.ZipFile(io.BytesIO(book)) as archive:
            for path in archive.namelist():
                if path.startswith("xl/worksheets/") and path.endswith(".xml"):
                    with archive.open(path) as handle:
                        _check_extent(handle.read)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error, struct.error):
        return  # an older format, or damage that the reader will tell


def _check_extent(read: object) -> None:
    filled, rows, columns = 0, [1 << 30, -1], [1 << 30, -1]
    far = b""
    for text in _overlapping(read):
        for _, letters, row, _, empty in _CELL.findall(text):
            if empty:
                continue
            filled += 1
            at, column = int(row), _column(letters)
            if not (rows[0] <= at <= rows[1] and columns[0] <= column <= columns[1]):
                rows, columns = [min(rows[0], at), max(rows[1], at)], [min(columns[0], column), max(columns[1], column)]
                far = letters + row
    extent = (rows[1] - rows[0] + 1) * (columns[1] - columns[0] + 1)
    if filled and extent > max(MOST_SPARSE, SPARSE * filled):
        raise FileRejected(
            f"cell {far.decode()} lies so far from the others that the sheet would have {extent:,} cells, of which {filled:,} hold something",
            "Clear what stands far below or beside the table, and land the workbook again",
        )


def _search(archive: zipfile.ZipFile, path: str, shown: list[str], first_row: int | None) -> Marks:
    marks = Marks()
    with archive.open(path) as handle:
        for text in _overlapping(handle.read):
            if first_row is not None:
                alike = {(letters, before + after) for before, letters, row, after, empty in _CELL.findall(text) if not empty and int(row) > first_row}
                for letters, attributes in alike:
                    marks.kinds.setdefault(_column(letters), set()).add(_kind(attributes, shown))
            if b't="e"' in text:
                told = [(_PLACE.search(attributes), said) for attributes, said in _ERROR.findall(text)]
                marks.errors.update({(int(place[2]) - 1, _column(place[1])): html.unescape(said.decode()) for place, said in told if place})
            if b"<f" in text or b":f" in text:
                marks.unstored.extend(place for attributes, inside in _FORMULA.findall(text) if (place := _without_value(attributes, inside)))
            marks.merged.extend((int(r) - 1, _column(c), int(s) - 1, _column(d)) for c, r, d, s in _MERGED.findall(text))
    return marks


def _without_value(attributes: bytes, inside: bytes) -> str | None:
    """The name of a cell with a formula, if no value is stored with it: the program that wrote it had not worked it out. An empty text is one."""
    if _VALUE.search(inside) or (b' t="str"' in attributes and _EMPTY_TEXT.search(inside)):
        return None
    place = _PLACE.search(attributes if attributes.startswith(b" ") else b" " + attributes)
    return (place[1] + place[2]).decode() if place else "a cell without a name"


def _overlapping(read: object) -> Iterator[bytes]:
    """The bytes in chunks that are cut before a cell or a merged block, so that none is cut in two."""
    rest = b""
    while chunk := read(_CHUNK):  # type: ignore[operator]
        text = rest + chunk
        cut = max(text.rfind(b"<c "), text.rfind(b":c "), text.rfind(b"<mergeCell "), 0)
        rest = text[cut - 1 if text[cut : cut + 1] == b":" else cut :] if cut else text
        if cut:
            yield text[: len(text) - len(rest)]
    yield rest


def _kind(attributes: bytes, shown: list[str]) -> str:
    said = dict(re.findall(rb'(\w+)="([^"]*)"', attributes))
    kind = _TYPES.get(said.get(b"t", b"n"), "text")
    told = said.get(b"s", b"0")
    style = int(told) if told.isdigit() else 0  # some writers leave it empty
    return shown[style] if kind == "numbers" and style < len(shown) else kind


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _sheet_path(archive: zipfile.ZipFile, sheet: str) -> str | None:
    book = archive.read("xl/workbook.xml").decode("utf-8", "replace")
    links = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", "replace")
    targets = {_attribute(tag, "Id"): _attribute(tag, "Target") for tag in re.findall(r"<(?:\w+:)?Relationship\b[^>]*>", links)}
    for tag in re.findall(r"<(?:\w+:)?sheet\b[^>]*>", book):
        if html.unescape(_attribute(tag, "name") or "") == sheet and (target := targets.get(_attribute(tag, r"\w+:id"))):
            return posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")
    return None


def _attribute(tag: str, name: str) -> str | None:
    found = re.search(rf'\s{name}="([^"]*)"', tag)
    return found[1] if found else None


def _formats(archive: zipfile.ZipFile) -> list[str]:
    """For each style of cells what its numbers are shown as: numbers, dates, times or instants."""
    styles = archive.read("xl/styles.xml").decode("utf-8", "replace")
    made = {
        int(_attribute(tag, "numFmtId") or 0): _shown_as(html.unescape(_attribute(tag, "formatCode") or ""))
        for tag in re.findall(r"<(?:\w+:)?numFmt\b[^>]*>", styles)
    }
    section = re.search(r"<(?:\w+:)?cellXfs\b.*?</(?:\w+:)?cellXfs>", styles, re.DOTALL)
    numbers = [int(_attribute(tag, "numFmtId") or 0) for tag in re.findall(r"<(?:\w+:)?xf\b[^>]*>", section[0] if section else "")]
    return [made.get(number) or _BUILT_IN.get(number, "numbers") for number in numbers]


def _shown_as(code: str) -> str:
    bare = re.sub(r'"[^"]*"|\\.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', "", code.split(";")[0]).lower()
    day, clock = bool(re.search(r"[yd]", bare)), bool(re.search(r"[hs]", bare))
    return "instants" if day and clock else "dates" if day or re.fullmatch(r"\W*m+\W*", bare) else "times" if clock else "numbers"
