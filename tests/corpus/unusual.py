"""Breakages that were first seen in files of others: titles filled up, records damaged where one reading fits, layouts no single sign cuts, and files that follow others."""

from __future__ import annotations

from dataclasses import replace

from tests.corpus.breakages import _rewrite, _text_column, breakage, need
from tests.corpus.written import Draft, Honest, Line, Unfit


def _plain(draft: Draft) -> None:
    """Raise Unfit unless every line is its fields with the delimiter between, without quotes."""
    need(
        draft.dialect.quoting == "minimal" and draft.width > 2 and not any(draft.dialect.quote in line.text for line in draft.lines),
        "needs text without quotes",
    )


def _trim(draft: Draft) -> None:
    """Raise Unfit unless no cell has blanks around it, and none is of several lines."""
    need(all(cell == cell.strip() and "\n" not in cell and "\r" not in cell for row in draft.table.rows for cell in row), "needs cells that can be filled up")


def _rewrite_all(draft: Draft) -> None:
    for line in draft.lines:
        line.text = draft.write(line.cells)


@breakage(1, "quoting", "layout")
def long_delimiter(draft: Draft) -> None:
    """Delimiters of several characters."""
    need(draft.dialect.quoting == "minimal" and draft.width > 2, "needs three columns")
    draft.dialect = replace(draft.dialect, delimiter=draft.draw.choice(["||", "::", "~|~", "|~|"]))
    _rewrite_all(draft)


@breakage(1, "quoting", "layout")
def paired_quotes(draft: Draft) -> None:
    """Typographic quotes around fields that hold the delimiter."""
    column = _text_column(draft)
    _plain(draft)
    need(draft.dialect.encoding.startswith("utf-8"), "needs UTF-8")
    for line in draft.rows:
        if line in draft.rows[2:-1] or draft.draw.random() < 0.5:
            _rewrite(draft, line, column, line.cells[column] or "", f"“{line.cells[column] or ''}”")
    for line in draft.targets(3):
        cell = draft.draw.choice(draft.phrases.split).format(draft.dialect.delimiter)
        _rewrite(draft, line, column, cell, f"“{cell}”")


@breakage(97, "quoting", "layout", "fields", "lines quoted", "ends of lines", "bytes", "ends", "mark")
def outer_bars(draft: Draft) -> None:
    """Bars around each record, with a blank beside each or none."""
    _boxable(draft)
    gap = draft.draw.choice(["", " "])
    for line in _table(draft):
        line.text = f"|{gap}" + f"{gap}|{gap}".join(cell or "" for cell in line.cells) + f"{gap}|"


@breakage(97, "quoting", "layout", "fields", "lines quoted", "ends of lines", "bytes", "ends", "mark", "tail", "top", "again")
def markdown_table(draft: Draft) -> None:
    """A table of Markdown, with its line of dashes."""
    _boxable(draft)
    for line in _table(draft):
        line.text = "| " + " | ".join(cell or "" for cell in line.cells) + " |"
    draft.lines.insert(1, Line("|" + "|".join(draft.draw.choice([" --- ", ":---", "---:"]) for _ in range(draft.width)) + "|"))


@breakage(97, "quoting", "layout", "fields", "lines quoted", "ends of lines", "bytes", "ends", "mark", "tail", "top", "again")
def boxed_table(draft: Draft) -> None:
    """A box as MySQL draws it."""
    _boxable(draft)
    widths = _widths(draft)
    for line in _table(draft):
        line.text = "| " + " | ".join((cell or "").ljust(width) for cell, width in zip(line.cells, widths, strict=True)) + " |"
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    draft.lines = [Line(rule), draft.lines[0], Line(rule), *draft.lines[1:], Line(rule)]


@breakage(97, "quoting", "layout", "fields", "lines quoted", "ends of lines", "bytes", "ends", "mark", "tail", "top", "again", "header")
def fixed_width(draft: Draft) -> None:
    """Columns at fixed places, two blanks or more between."""
    _boxable(draft)
    need(all(cell and "  " not in cell for row in [draft.table.header, *draft.table.rows] for cell in row), "needs cells that are all there")
    widths = _widths(draft)
    for line in _table(draft):
        line.text = "  ".join((cell or "").ljust(width) for cell, width in zip(line.cells, widths, strict=True)).rstrip()


def _boxable(draft: Draft) -> None:
    _trim(draft)
    need(draft.width > 2 and len(draft.rows) > 4 and draft.dialect.encoding.startswith("utf-8"), "needs a table that is seen to be one")
    need(all(len(line.cells) == draft.width for line in _table(draft)), "needs whole records")
    need(not any(sign in (cell or "") for line in _table(draft) for cell in line.cells for sign in '|\n\0"+'), "needs cells without bars")


def _table(draft: Draft) -> list[Line]:
    return [line for line in draft.lines if line.role in ("header", "row")]


def _widths(draft: Draft) -> list[int]:
    return [max(len(line.cells[i] or "") for line in _table(draft)) for i in range(draft.width)]


@breakage(10, "header", "quoting")
def quote_before_names(draft: Draft) -> None:
    """A quote before the first name that nothing closes."""
    need(draft.width > 2 and not any('"' in line.text for line in draft.lines), "needs text without quotes")
    draft.lines[0].text = '"' + draft.lines[0].text


@breakage(20, "quoting")
def quote_before_quoted(draft: Draft) -> None:
    """A stray quote that opens the first field, before a field in quotes that holds the delimiter."""
    need(draft.dialect.quoting == "minimal" and draft.table.text is not None and draft.table.text > 0, "needs free text after another column")
    column = _text_column(draft)
    need(not any("\n" in (cell or "") for line in draft.rows for cell in line.cells), "needs records of a line")
    for line in draft.targets(draft.draw.randint(1, 2)):
        cell = draft.draw.choice(draft.phrases.split).format(draft.dialect.delimiter)
        first = line.cells[0] or ""
        need(bool(first) and '"' not in line.text, "needs a plain record")
        line.cells[0], line.cells[column] = '"' + first, cell
        line.text = draft.write(line.cells, {0: '"' + first, column: f'"{cell}"'})
        line.also = [[first, *line.cells[1:]]]


@breakage(20, "quoting", "fields")
def lost_delimiter(draft: Draft) -> None:
    """No delimiter before a quote that opens a field."""
    column = _text_column(draft)
    need(draft.dialect.quoting == "minimal" and column > 0, "needs free text after another column")
    for line in draft.targets(draft.draw.randint(1, 2)):
        cell = draft.draw.choice(draft.phrases.split).format(draft.dialect.delimiter)
        need(bool(line.cells[column - 1]) and '"' not in line.text, "needs a plain record")
        _rewrite(draft, line, column, cell, f'"{cell}"')
        line.text = line.text.replace(f'{draft.dialect.delimiter}{draft.gap}"', '"', 1)
        line.standing = "aside"


@breakage(20, "quoting", "fields")
def quote_before_record(draft: Draft) -> None:
    """A quote that opens a record and is never closed: its first field, or set aside."""
    _plain(draft)
    for line in draft.targets(draft.draw.randint(1, 2)):
        line.text = '"' + line.text
        line.also, line.standing = [['"' + (line.cells[0] or ""), *line.cells[1:]]], "aside"


@breakage(30, "fields")
def empty_field_more(draft: Draft) -> None:
    """An empty field too many before typed values: left out, or the record is set aside."""
    need(draft.table.typed and draft.table.keyed and draft.width > 3, "needs values of many kinds")
    need(all(all(row) for row in draft.table.rows), "needs cells that are all there")
    for line in draft.targets(draft.draw.randint(1, 2)):
        at = draft.draw.randint(1, draft.width - 2)
        line.text = draft.write([*line.cells[:at], "", *line.cells[at:]])
        line.standing = "aside"


@breakage(30, "fields")
def spilled_delimiter(draft: Draft) -> None:
    """Some records end in a delimiter: nothing stands after it."""
    need(draft.width > 2, "needs three columns")
    for line in draft.targets(draft.draw.randint(1, 4)):
        line.text += draft.dialect.delimiter


@breakage(35, "bytes", "quoting")
def filled_with_nuls(draft: Draft) -> None:
    """Fields filled up with NULs."""
    column = _text_column(draft)
    _plain(draft)
    need(draft.dialect.encoding == "utf-8", "needs UTF-8")
    for line in draft.rows:
        cell = line.cells[column] or ""
        _rewrite(draft, line, column, cell, cell + "\0" * max(2, 24 - len(cell)))


@breakage(35, "bytes")
def control_punctuation(draft: Draft) -> None:
    """Control signs where Windows has punctuation, as of text that was taken for Latin-1 once."""
    column = _text_column(draft)
    need(draft.dialect.encoding == "utf-8", "needs UTF-8")
    for line in draft.targets(3):
        cell = draft.draw.choice(["it’s late", "the “red” one", "from noon – or later"])
        _rewrite(draft, line, column, cell, draft.dialect.cell(cell.encode("cp1252").decode("latin-1")))


@breakage(35, "bytes")
def central_european(draft: Draft) -> None:
    """Polish text in cp1250 or Latin-2."""
    column = _text_column(draft)
    need(
        len(draft.rows) > 5 and all(cell.isascii() for i in range(draft.width) if i != column for cell in [row[i] for row in draft.table.rows]),
        "needs ASCII beside",
    )
    draft.dialect = replace(draft.dialect, encoding=draft.draw.choice(["cp1250", "iso8859-2"]))
    said = ["żółta łódź", "ścieżka", "źródło wody", "książka", "święto", "mąż i żona", "część", "gęś"]
    for line in draft.rows:
        line.touched = True
        _rewrite(draft, line, column, draft.draw.choice(said))


@breakage(35, "bytes")
def many_lines_foreign(draft: Draft) -> None:
    """A good part of the lines in cp1252 among lines in UTF-8: read as such, or set aside."""
    column = _text_column(draft)
    need(draft.dialect.encoding == "utf-8" and any(not line.text.isascii() for line in draft.lines[:20]), "needs text that shows it is UTF-8")
    for line in draft.targets(max(2, len(draft.rows) // 5)):
        try:
            _rewrite(draft, line, column, draft.phrases.accented)
            line.text.encode("cp1252")
        except UnicodeEncodeError:
            raise Unfit("the record has other characters") from None
        line.encoding, line.standing = "cp1252", "aside"
        line.also = [[(cell or "").encode("cp1252").decode("utf-8", "replace") for cell in line.cells]]


@breakage(70, "lines quoted")
def comments_filled(draft: Draft) -> None:
    """Comments above the names and among the records that are filled up to the table's width."""
    need(draft.width > 2 and len(draft.rows) > 5, "needs three columns")
    fill = draft.dialect.delimiter * (draft.width - 1)
    draft.lines[:0] = [Line("# columns as in the manual" + fill)]
    draft.lines.insert(draft.place(), Line("# checked" + fill))


@breakage(75, "tail", "lines quoted")
def footer_filled(draft: Draft) -> None:
    """Where the figures are from, filled up to the table's width, below a line of delimiters only."""
    need(draft.width > 2 and len(draft.rows) > 5, "needs three columns")
    fill = draft.dialect.delimiter * (draft.width - 1)
    said = draft.draw.choice(draft.phrases.sources)
    draft.lines += [Line(fill), Line(Honest(delimiter=draft.dialect.delimiter).cell(said) + fill)]


@breakage(75, "tail", "lines quoted")
def empty_records_below(draft: Draft) -> None:
    """Lines of delimiters only below the records, as spreadsheets leave them: rows without a value, or none."""
    need(draft.width > 2, "needs three columns")
    for _ in range(draft.draw.randint(1, 4)):
        line = Line(draft.dialect.delimiter * (draft.width - 1), "row", [None] * draft.width, "free", touched=True)
        draft.lines.append(line)


@breakage(75, "tail", "lines quoted")
def second_table_at_once(draft: Draft) -> None:
    """Another table right below, of fewer columns, with names of its own."""
    need(draft.width > 4 and len(draft.rows) > 8 and draft.table.typed, "needs a table that is the main one")
    more = [["run", "total", "mean"], *([f"{i}", f"{draft.draw.randint(10, 99)}", f"{draft.draw.randint(1, 9)}.5"] for i in range(5))]
    draft.lines += [Line(draft.write(list(cells))) for cells in more]


@breakage(80, "top", "lines quoted")
def titles_filled(draft: Draft) -> None:
    """Titles filled up to the table's width, with or without a line of delimiters after them or before."""
    need(draft.width > 2 and len(draft.rows) > 3, "in few columns, a title could be a header")
    fill = draft.dialect.delimiter * (draft.width - 1)
    said = [Honest(delimiter=draft.dialect.delimiter).cell(title) + fill for title in draft.draw.choice(draft.phrases.titles)]
    draft.lines[:0] = [Line(text) for text in [*[fill] * draft.draw.randint(0, 1), *said, *[fill] * draft.draw.randint(0, 1)]]


@breakage(80, "top", "lines quoted", "header")
def groups_above_names(draft: Draft) -> None:
    """Names of groups of columns in a line above the names: no record; joined to the names they are as good."""
    need(draft.width > 4 and len(draft.rows) > 3 and draft.table.typed, "needs columns to group")
    groups = ["", "Before", *[""] * (draft.width - 4), "After", ""][: draft.width]
    draft.lines[:0] = [Line(draft.write(list(groups)))]
    carried = ["" if not any(groups[: i + 1]) else next(group for group in reversed(groups[: i + 1]) if group) for i in range(draft.width)]
    draft.headers_also.append([f"{group} {name}".strip() for group, name in zip(carried, draft.table.header, strict=True)])


def _known(draft: Draft) -> None:
    """An earlier file of the table, as it should be."""
    need(draft.width > 2 and len(draft.rows) > 3, "needs a table")
    end = draft.dialect.end
    text = "".join(draft.write(list(cells)) + end for cells in [draft.table.header, *draft.table.rows[::-1]])
    try:
        draft.before = text.encode(draft.dialect.encoding)
    except UnicodeEncodeError:
        raise Unfit("the encoding lacks a character") from None


@breakage(2, "known", "layout")
def known_table(draft: Draft) -> None:
    """A file that follows another of its table."""
    _known(draft)


@breakage(2, "known", "layout", "header", "top", "units", "lines quoted", "again")
def known_no_header(draft: Draft) -> None:
    """A file without names that follows another of its table, whose names are its own."""
    need(draft.table.typed, "needs values that differ from names")
    _known(draft)
    draft.lines.pop(0)


@breakage(3, "known", "layout", "fields", "tail", "header")
def known_most_too_wide(draft: Draft) -> None:
    """A file that follows another of its table, most of whose records have a field more than it has columns."""
    _known(draft)
    for line in draft.rows[2:]:
        line.extra, line.touched = [draft.draw.choice(["7", "x"])], True
        line.text = draft.write([*line.cells, *line.extra])
