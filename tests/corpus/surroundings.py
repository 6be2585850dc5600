"""Breakages of the whole file: its header, the lines around and between the records, and the ends of lines."""

from __future__ import annotations

from tests.corpus.breakages import breakage, need
from tests.corpus.written import Draft, Line


def _header_line(draft: Draft) -> Line:
    return draft.lines[0]


def _rename(draft: Draft, names: list[str]) -> None:
    draft.header = names
    _header_line(draft).text = draft.write(names)
    _header_line(draft).cells = list(names)


def _head(draft: Draft, texts: list[str]) -> None:
    draft.lines[:0] = [Line(text) for text in texts]


@breakage(10, "header")
def duplicate_names(draft: Draft) -> None:
    """Two columns of one name: a reader has to rename one."""
    need(draft.width > 2, "needs three columns")
    first, second = sorted(draft.draw.sample(range(draft.width), 2))
    _rename(draft, [draft.table.header[first] if i == second else name for i, name in enumerate(draft.table.header)])


@breakage(10, "header")
def empty_names(draft: Draft) -> None:
    """Columns without a name: a reader has to give them one."""
    need(draft.width > 2, "needs three columns")
    nameless = draft.draw.sample(range(draft.width - 1), draft.draw.randint(1, 2))
    need(draft.width - len(nameless) > 1, "needs two names")
    _rename(draft, ["" if i in nameless else name for i, name in enumerate(draft.table.header)])


@breakage(10, "header", "fields")
def header_lacks_last(draft: Draft) -> None:
    """One name too few: the last column has none. Where nothing but the values could tell, and does not, it may be the first."""
    need(draft.width > 2, "needs three columns")
    _header_line(draft).text = draft.write(draft.table.header[:-1])
    draft.header = [*draft.table.header[:-1], ""]
    if not draft.table.typed:
        draft.headers_also.append(["", *draft.table.header[:-1]])


@breakage(10, "header", "fields")
def header_lacks_first(draft: Draft) -> None:
    """One name too few, as R writes a frame: the first column, a number or key a record, has none."""
    need(draft.table.keyed, "needs a first column that is seen to be the key")
    _header_line(draft).text = draft.write(draft.table.header[1:])
    draft.header = ["", *draft.table.header[1:]]


@breakage(10, "header", "fields")
def header_has_more(draft: Draft) -> None:
    """A name more than any record has fields: an empty column, or none."""
    need(draft.width > 1, "needs two columns")
    _rename(draft, [*draft.table.header, "remarks"])


@breakage(10, "header")
def no_header(draft: Draft) -> None:
    """The first line is a record, as its numbers and dates show. Columns have no names, or made-up ones."""
    need(draft.table.typed and draft.width > 1, "needs values that differ from names")
    draft.lines.pop(0)
    draft.header = None


@breakage(10, single=True)
def only_header(draft: Draft) -> None:
    """A header and no record."""
    need(draft.width > 1, "needs two columns")
    draft.lines[1:] = []


@breakage(10, single=True)
def no_bytes(draft: Draft) -> None:
    """Nothing at all: an empty table, or a refusal."""
    draft.lines, draft.header, draft.may_refuse = [], [], True


@breakage(10, single=True)
def whitespace_only(draft: Draft) -> None:
    """Spaces and line ends: an empty table, or a refusal."""
    draft.lines, draft.header, draft.may_refuse = [Line(text) for text in ("  ", "", "\t ", "")], [], True


@breakage(60, "lines quoted", "header")
def units_row(draft: Draft) -> None:
    """Units under the names: set aside, or joined to the names."""
    need(draft.table.typed and draft.width > 2, "needs columns of numbers")
    numeric = [
        all(line.cells[i] and str(line.cells[i]).lstrip("-").replace(".", "").replace(",", "").isdigit() for line in draft.rows[:5]) for i in range(draft.width)
    ]
    need(sum(numeric[1:]) > 0 and sum(numeric) * 2 >= draft.width - 1, "needs columns of numbers")
    units = [draft.draw.choice(draft.phrases.units) if number and i else "" for i, number in enumerate(numeric)]
    draft.lines.insert(1, Line(draft.write(units)))
    draft.headers_also.append([f"{name} {unit}".strip() for name, unit in zip(draft.table.header, units, strict=True)])


@breakage(65, "again")
def repeated_header(draft: Draft) -> None:
    """The header again between the records: no record."""
    need(draft.header is not None, "needs a header")
    again = next(line for line in draft.lines if line.role == "header")
    for _ in range(draft.draw.randint(1, 2)):
        draft.lines.insert(draft.place(), Line(again.text))


@breakage(70)
def blank_lines_between(draft: Draft) -> None:
    """Blank lines between records."""
    need(draft.width > 1, "in one column, a blank line is an empty cell")
    for _ in range(draft.draw.randint(1, 4)):
        draft.lines.insert(draft.place(), Line(""))


@breakage(70)
def comments_between(draft: Draft) -> None:
    """Comments between records."""
    need(draft.width > 1, "in one column, a comment could be a cell")
    for _ in range(draft.draw.randint(1, 3)):
        draft.lines.insert(draft.place(), Line(draft.draw.choice(draft.phrases.comments)))


@breakage(75, "tail", "lines quoted")
def footer_total(draft: Draft) -> None:
    """A row of totals, with as many fields as a record. Only a person knows that it is none: it may be a row or not."""
    need(draft.width > 2, "needs three columns")
    line = Line("", "row", [draft.phrases.total, *([""] * (draft.width - 2)), f"{draft.draw.randint(1000, 99999)}"], "free", touched=True)
    line.text = draft.write(line.cells)
    draft.lines.append(line)


@breakage(75, "tail")
def footer_source(draft: Draft) -> None:
    """A blank line and where the figures are from."""
    need(draft.width > 1, "in one column, it could be a cell")
    draft.lines += [Line(""), Line(draft.draw.choice(draft.phrases.sources))]


@breakage(75, "tail")
def footer_count(draft: Draft) -> None:
    """The number of records, as databases print it."""
    need(draft.width > 1, "in one column, it could be a cell")
    draft.lines.append(Line(draft.draw.choice(draft.phrases.counts).format(len(draft.rows))))


@breakage(75, "tail", "lines quoted")
def several_tables(draft: Draft) -> None:
    """Another, smaller table of another width after a blank line and a title. The first is the table."""
    need(draft.width > 3 and len(draft.rows) > 8, "needs a table that is the main one")
    title, more = draft.phrases.second
    draft.lines += [Line(""), Line(title), *(Line(draft.write(list(cells))) for cells in more)]


@breakage(80, "top")
def preamble_title(draft: Draft) -> None:
    """A title and whence, with or without a blank line after; the delimiter may stand in them."""
    need(draft.width > 2, "in few columns, a title could be a header")
    said = draft.draw.choice(draft.phrases.titles)
    _head(draft, [*said, *[""] * draft.draw.randint(0, 1)])


@breakage(80, "top")
def preamble_comments(draft: Draft) -> None:
    """Comments before the header."""
    need(draft.width > 1, "in one column, a comment could be a header")
    _head(draft, list(draft.phrases.heads[: draft.draw.randint(1, 3)]))


@breakage(80, "top")
def preamble_blank(draft: Draft) -> None:
    """Blank lines before the header."""
    _head(draft, [""] * draft.draw.randint(1, 3))


@breakage(80, "top")
def preamble_sep(draft: Draft) -> None:
    """`sep=;`, which tells a spreadsheet the delimiter."""
    need(draft.width > 1, "needs a delimiter")
    _head(draft, [f"sep={draft.dialect.delimiter}"])


@breakage(90, "ends")
def mixed_line_ends(draft: Draft) -> None:
    """Lines that end in LF, CR LF, and sometimes CR, at random."""
    ends = draft.draw.choice([["\n", "\r\n"], ["\n", "\r\n", "\r"]])
    for line in draft.lines:
        line.end = draft.draw.choice(ends)


@breakage(90, "ends")
def doubled_return(draft: Draft) -> None:
    """CR CR LF ends each line, as when a file is written twice as text."""
    for line in draft.lines:
        line.end = "\r\r\n"


@breakage(95, "tail", "fields")
def cut_line(draft: Draft) -> None:
    """The file ends in the middle of a record: what is there may be a row, or be set aside."""
    last = draft.lines[-1]
    need(last.role == "row" and not last.touched and draft.dialect.quote not in last.text and draft.width > 2, "needs a plain last line")
    sign = draft.dialect.delimiter
    places = [i for i in range(last.text.index(sign) + 2, last.text.rindex(sign) + 1) if last.text[i - 1] != sign]
    need(bool(places) and not draft.gap, "needs room to cut")
    last.text = last.text[: draft.draw.choice(places)]
    cells = last.text.split(sign)
    last.cells, last.standing, last.end = [*cells, *([None] * (draft.width - len(cells)))], "aside", ""
