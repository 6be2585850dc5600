"""The registry of breakages, and those that befall single records: cells, quotes, fields and bytes.

Each function changes a draft in place, and says in it what a careful person would still recover. They are registered in the order in which
two of them are applied; two of one group contradict each other and are never paired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.corpus.written import JUNK, Draft, Line, Unfit


@dataclass(frozen=True)
class Breakage:
    """One way of breaking a file. `order` sorts those applied together."""

    name: str
    order: int
    groups: frozenset[str]
    breaks: Callable[[Draft], None]
    single: bool = False


BREAKAGES: dict[str, Breakage] = {}


def breakage(order: int, *groups: str, single: bool = False) -> Callable[[Callable[[Draft], None]], Callable[[Draft], None]]:
    """Register a breakage under its function's name; `single` ones go with no other."""

    def register(function: Callable[[Draft], None]) -> Callable[[Draft], None]:
        BREAKAGES[function.__name__] = Breakage(function.__name__, order, frozenset(groups), function, single)
        return function

    return register


def need(fact: bool, why: str) -> None:
    """Raise Unfit unless `fact`."""
    if not fact:
        raise Unfit(why)


def _text_column(draft: Draft) -> int:
    if draft.table.text is None:
        raise Unfit("no column of free text")
    return draft.table.text


def _rewrite(draft: Draft, line: Line, column: int, cell: str, raw: str | None = None) -> None:
    """Put `cell` into a record; in the file it stands as `raw` does, or as the dialect has it."""
    line.cells[column] = cell
    line.text = draft.write(line.cells, None if raw is None else {column: raw})


@breakage(0, "quoting", "spaces")
def spaces_after_delimiters(draft: Draft) -> None:
    """`a, b, "c, d"`: a space after each delimiter, before the quote too."""
    need(draft.dialect.quoting == "minimal" and draft.width > 2, "needs minimal quotes")
    need(not any(cell.startswith(" ") for row in draft.table.rows for cell in row), "needs cells that do not begin with one themselves")
    draft.gap = " "
    for line in draft.lines:
        line.text = draft.write(line.cells)


@breakage(20, "quoting")
def stray_quote(draft: Draft) -> None:
    """A quote inside an unquoted field: `5" disk`."""
    column = _text_column(draft)
    need(draft.dialect.quoting != "all", "needs an unquoted field")
    sign = draft.dialect.quote
    for line in draft.targets(draft.draw.randint(1, 3)):
        cell = draft.draw.choice(draft.phrases.inches).format(sign)
        _rewrite(draft, line, column, cell, cell)


@breakage(20, "quoting")
def unescaped_quotes(draft: Draft) -> None:
    """Quotes inside a quoted field that are not doubled: `"a "big" one"`."""
    column = _text_column(draft)
    need(draft.dialect.quoting != "none", "needs quotes")
    sign = draft.dialect.quote
    for line in draft.targets(draft.draw.randint(1, 3)):
        cell = draft.draw.choice(draft.phrases.quoted).format(sign)
        _rewrite(draft, line, column, cell, f"{sign}{cell}{sign}")


@breakage(20, "quoting", "tail")
def unclosed_quote(draft: Draft) -> None:
    """A quote that opens a field and never closes. Its record may be set aside; with or without the quote, it may be a row."""
    column = _text_column(draft)
    sign = draft.dialect.quote
    need(not any(sign in line.text for line in draft.lines), "a later quote would close it")
    (line,) = draft.targets(1)
    cell = line.cells[column] or "word"
    _rewrite(draft, line, column, cell, sign + cell)
    line.also, line.standing = [[*line.cells[:column], sign + cell, *line.cells[column + 1 :]]], "aside"


@breakage(20, "quoting", "fields")
def unquoted_line_break(draft: Draft) -> None:
    """Free text with a line break and no quotes: two lines that together have all the fields. A space for the break is as good."""
    column = _text_column(draft)
    need(0 < column < draft.width - 1 and draft.dialect.quoting != "all", "needs free text in the middle, unquoted")
    for line in draft.targets(draft.draw.randint(1, 2)):
        _rewrite(draft, line, column, "\n".join(draft.phrases.halves), draft.dialect.end.join(draft.phrases.halves))
        line.also = [[*line.cells[:column], " ".join(draft.phrases.halves), *line.cells[column + 1 :]]]


@breakage(20, "quoting")
def quoted_line_breaks(draft: Draft) -> None:
    """Line breaks, blank lines too, in quoted fields: not broken at all, but often read wrongly."""
    column = _text_column(draft)
    need(draft.dialect.quoting != "none", "needs quotes")
    for line in draft.targets(draft.draw.randint(1, 3)):
        _rewrite(draft, line, column, draft.draw.choice(draft.phrases.lines))


@breakage(20, "fields", "last")
def delimiter_in_last_column(draft: Draft) -> None:
    """Free text in the last column, never quoted, with the delimiter in it: what is too much belongs to it."""
    column = _text_column(draft)
    need(column == draft.width - 1 and draft.dialect.quoting == "minimal", "needs free text last")
    need(not any(draft.dialect.quote in line.text for line in draft.lines), "needs text that is never quoted")
    sign = draft.dialect.delimiter
    for line in draft.targets(max(3, len(draft.rows) // 4)):
        cell = draft.draw.choice(draft.phrases.split).format(sign)
        _rewrite(draft, line, column, cell, cell)


@breakage(30, "fields")
def too_few_fields(draft: Draft) -> None:
    """The last cells of some records are not there: they are missing (null, or empty)."""
    need(draft.width > 2, "needs three columns")
    for line in draft.targets(draft.draw.randint(1, 4)):
        missing = draft.draw.randint(1, draft.width - 2)
        line.text = draft.write(line.cells[:-missing])
        line.cells[-missing:] = [None] * missing


@breakage(30, "fields")
def too_many_fields(draft: Draft) -> None:
    """Some records go on after the last column. What goes on may be kept in columns without a name, or outside the table."""
    need(draft.width > 2, "needs three columns")
    for line in draft.targets(draft.draw.randint(1, 4)):
        line.extra = list(draft.draw.choice(draft.phrases.surplus))
        line.text = draft.write([*line.cells, *line.extra])


@breakage(40, "fields", "ends of lines")
def trailing_delimiter(draft: Draft) -> None:
    """A delimiter after the last field of each line, header too."""
    need(draft.width > 1, "needs two columns")
    for line in draft.lines:
        line.text += draft.dialect.delimiter


@breakage(45, "quoting", "lines quoted")
def whole_lines_quoted(draft: Draft) -> None:
    """Each line wrapped in quotes as if it were one field, the quotes inside doubled."""
    need(draft.dialect.quote == '"' and draft.dialect.quoting == "minimal" and draft.width > 2, "needs double quotes")
    for line in draft.lines:
        line.text = '"' + line.text.replace('"', '""') + '"'


@breakage(35, "bytes")
def nul_in_cell(draft: Draft) -> None:
    """A NUL in a cell: kept, dropped, or replaced by U+FFFD."""
    column = _text_column(draft)
    need(draft.dialect.encoding == "utf-8", "needs UTF-8")
    for line in draft.targets(draft.draw.randint(1, 2)):
        _rewrite(draft, line, column, "left\0right")
        line.also = [[*line.cells[:column], between, *line.cells[column + 1 :]] for between in ("leftright", "left\ufffdright")]


@breakage(35, "bytes")
def invalid_bytes(draft: Draft) -> None:
    """Bytes that are no text in one line of a UTF-8 file: U+FFFD stands for them, or the record is set aside."""
    column = _text_column(draft)
    need(draft.dialect.encoding == "utf-8" and any(not line.text.isascii() for line in draft.lines[:20]), "needs text that shows it is UTF-8")
    for line in draft.targets(draft.draw.randint(1, 2)):
        _rewrite(draft, line, column, f"before{JUNK}after")
        line.junk = draft.draw.choice([b"\xff\xfe", b"\xe2\x82", b"\xc3"])
        line.cells[column], line.standing = "before\ufffdafter", "aside"


@breakage(35, "bytes")
def mixed_encoding(draft: Draft) -> None:
    """One line in cp1252 in a UTF-8 file: read as such, with U+FFFD for what is not UTF-8, or set aside."""
    column = _text_column(draft)
    need(draft.dialect.encoding == "utf-8" and any(not line.text.isascii() for line in draft.lines[:20]), "needs text that shows it is UTF-8")
    (line,) = draft.targets(1)
    try:
        _rewrite(draft, line, column, draft.phrases.accented)
        line.text.encode("cp1252")
    except UnicodeEncodeError:
        raise Unfit("the record has other characters") from None
    line.encoding, line.standing = "cp1252", "aside"
    line.also = [[(cell or "").encode("cp1252").decode("utf-8", "replace") for cell in line.cells]]


@breakage(55, "mark")
def mark_inside(draft: Draft) -> None:
    """A byte order mark at the start of a line in the middle, as where files were joined: no part of the cell."""
    need(draft.dialect.encoding in ("utf-8", "utf-8-sig") and draft.dialect.quoting != "all", "needs UTF-8")
    (line,) = draft.targets(1)
    need(line.junk is None and not line.text.startswith(draft.dialect.quote), "needs a plain line")
    line.text = "\ufeff" + line.text
