"""What a file is and how its text is written down: found from its first bytes, or told by the source."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from lake.contract import FILE, LANDED, RESCUED, ROW
from lake.reading.bounds import columns_beyond, first_line_beyond
from lake.reading.fields import Cut, is_foreign, split_lines, told_line
from lake.reading.findings import Known, Structure
from lake.reading.formats import Format, foreign, format_of
from lake.reading.habits import Habit, Placed, placed
from lake.reading.hints import Hints
from lake.reading.json_keyed import page_list
from lake.reading.laid_out import Declared, find_layout, rewritten, told_layout, without_rules
from lake.reading.layouts import ASIDE, MARK, SIGN, LayoutName, Written, quotes_of, value_back, words_back
from lake.reading.rewriting import cleaned, signs_of
from lake.reading.sniff import Told, find_cut, records_of
from lake.reading.structure import find_structure
from lake.reading.text import Between, encoding_beside, find_encoding, padding

_RESERVED = {FILE, ROW, LANDED, RESCUED}
_HEAD, _MOST_HABITS = 1 << 16, 4
_TOLD = "the source declares it"
EDITION = 3
"""Of the rules by which records are told from structure. A dialect keeps that by which it was found, so that records keep their numbers."""


class Continued(BaseModel):
    """What a file goes on from: the raw object that landed before under `name`, whose text is the first `bytes` of this one's, and how it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    name: str
    bytes: int
    dialect: dict[str, Any]


class Dialect(BaseModel):
    """How one file (or member of a zip) is read: kept in its receipt, and used each time it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    member: str | None = None
    format: Format
    encoding: str = "utf-8"
    beside: str | None = "cp1252"
    controls: str | None = None
    nuls: bool = False
    layout: LayoutName | None = None
    separator: str | None = None
    spans: list[tuple[int, int]] = []
    quotes: tuple[str, str] | None = None
    layout_comment: str | None = None
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    spaced: bool = False
    wrapped: bool = False
    padded: bool = False
    trailing: bool = False
    rest: bool = False
    usual: int = 0
    header: int = 1
    skip_lines: int = 0
    footer_lines: int = 0
    comment: str | None = None
    comment_told: bool = False
    table: int = 1
    tables: list[int] = []
    units: list[str] = []
    shape: str = ""
    sheet: str | None = None
    columns: list[str] = []
    named: list[str] = []
    problem: str | None = None
    why: dict[str, str] = {}
    records: str | None = None
    key: str | None = None
    other_sheets: list[str] = []
    most_bytes: int | None = None
    edition: int = 1
    remark: str | None = None
    continues: Continued | None = None

    @property
    def particulars(self) -> dict[str, Any]:
        """What is not as it usually is, by what it is called: how the text is cut, where the table begins."""
        own = {"columns", "named", "why", "member", "problem", "shape", "continues", "edition", "remark", "beside"}
        found = self.model_dump(
            exclude_defaults=True, exclude=own | ({"delimiter", "quote", "comment", "comment_told", "layout_comment"} if self.written else set())
        )
        if self.written is None:
            return found
        found |= {name: value for name, value in self.told.items() if name != "layout"}
        return {name: value for name, value in found.items() if name not in ("separator", "spans", "quotes", "widths")}

    @property
    def written(self) -> Written | None:
        """How the text is laid out, where it is written anew before it is cut."""
        if self.layout is None and self.separator is None and self.quotes is None:
            return None
        return Written(self.layout, self.separator, tuple(self.spans), self.quotes, self.layout_comment)

    @property
    def told(self) -> dict[str, Any]:
        """What of the layout `Hints` would say."""
        found: dict[str, Any] = {"layout": self.layout} if self.layout else {}
        if self.separator and (self.separator, self.layout) != ("|", "bars"):
            found["delimiter"] = self.separator
        if self.quotes is not None:
            found |= {"quote": self.quotes[0] if self.quotes[0] == self.quotes[1] else "".join(self.quotes)}
            found |= {"delimiter": self.delimiter} if self.delimiter != "," else {}
        if self.layout == "fixed":
            starts = [begin for begin, _ in self.spans[1:]]
            found["widths"] = [end - begin for begin, end in zip([0, *starts], [*starts, max(self.spans[-1][1], starts[-1] + 1)], strict=True)]
        return found

    @property
    def doubt(self) -> str | None:
        """That the encoding is a guess, and why, where the bytes do not prove it."""
        why = self.why.get("encoding")
        return f"the encoding is a guess: {why}" if why and why != _TOLD and not self.encoding.startswith("utf") else None

    @property
    def renamed(self) -> dict[str, str]:
        """Columns whose name in the file could not be kept, with that name."""
        return {column: was for column, was in zip(self.columns, self.named, strict=False) if column != was}


def find_dialect(
    head: bytes, name: str, member: str | None, hints: Hints, tail: bytes | None = None, between: Between | None = None, earlier: Sequence[Dialect] = ()
) -> Dialect:
    """The dialect of a file that begins with `head`: 64 KiB, and the first line if that is longer.

    `tail` is the end of the file, from a place that is a multiple of four; None if the head is all of it. `between` tells of the rest.
    `earlier` are the dialects of files that went into the same table, newest first: what they have in common with this one goes before what it says alone.
    """
    start = head[:_HEAD]
    kind = hints.format or format_of(start, name, cut=tail is not None or len(head) > _HEAD)
    if kind == "ndjson" and hints.records:
        kind = "json"
    if kind == "binary":
        return Dialect(member=member, format=kind, problem=f"it is named {name} but its content is {foreign(start)}")
    if kind in ("empty", "parquet", "arrow", "excel"):
        return Dialect(member=member, format=kind)
    if kind == "csv" and (problem := first_line_beyond(head, hints.delimiter)):
        return Dialect(member=member, format=kind, problem=problem)
    encoding, reason = find_encoding(start, tail or b"", cut=tail is not None or len(head) > _HEAD, between=between, by_line=kind == "csv")
    if hints.encoding:
        encoding, reason = hints.encoding, _TOLD
    beside = None if hints.encoding else encoding_beside(start, between) if kind == "csv" and encoding == "utf-8" else "cp1252"
    if kind in ("json", "ndjson"):
        if hints.format is None and hints.records is None:
            kind = _of_one_line(kind, head.decode(encoding, "replace").lstrip("\ufeff"), tail, earlier)
        return Dialect(member=member, format=kind, encoding=encoding, records=hints.records, key=hints.key)
    why = {"encoding": reason} if reason else {}
    return _delimited(
        Dialect(member=member, format="csv", encoding=encoding, beside=beside, why=why, edition=EDITION), head, name, hints, tail, between, earlier
    )


def _of_one_line(kind: Format, text: str, tail: bytes | None, earlier: Sequence[Dialect]) -> Format:
    """Whether an object that is alone on its line is one record of a table of such, or a document that may hold a list of them."""
    if tail is not None or "\n" in text.strip():
        return kind
    last = next((one.format for one in earlier if one.format in ("json", "ndjson") and not one.problem), None)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return kind
    if kind == "ndjson" and page_list(value) is not None and last != "ndjson":
        return "json"
    return "ndjson" if kind == "json" and isinstance(value, dict) and last == "ndjson" else kind


def _delimited(plain: Dialect, head: bytes, name: str, hints: Hints, tail: bytes | None, between: Between | None, earlier: Sequence[Dialect]) -> Dialect:
    """The dialect of delimited text: how it is cut, which lines are the table, and the names of its columns."""
    whole = _text_of(head, plain).removeprefix("\ufeff")
    text = _unpadded(whole)
    text = text if text.strip() or "\x1a" not in whole else whole  # padding is what follows a record
    if signs := signs_of(text, plain.encoding, between):
        plain = plain.model_copy(update={**signs, "why": plain.why | signs["why"]})
    lines = split_lines(cleaned(text, plain.controls, nuls=plain.nuls))
    if tail is not None and len(lines) > 1:
        lines = lines[:-1]  # it may be cut
    if not any(line.strip() for line in lines):
        return plain.model_copy(update={"why": plain.why | {"header": "there is nothing but blank lines"}})
    ending = (
        None
        if tail is None
        else split_lines(cleaned(_unpadded(_text_of(tail, plain, _without_mark(plain.encoding, head))), plain.controls, nuls=plain.nuls))[1:]
    )
    known = Known(hints.header, hints.skip_lines, hints.footer_lines, hints.comment, hints.table)
    told = Told(hints.delimiter, hints.quote, hints.escape)
    laid, problem = _laid_out(lines, hints, name, told, earlier)
    if problem is not None:
        return plain.model_copy(update={"problem": problem})
    if laid is not None:
        written, reason, sign = laid
        plain = plain.model_copy(update=_of_layout(written, reason, plain.why))
        lines = rewritten(lines, written, sign, whole=tail is None)
        ending = None if ending is None else rewritten(ending, written, sign, whole=False)
        known = replace(known, comment=ASIDE) if written.ruled else known
        told = Told(sign, MARK if written.quotes else "" if written.layout not in (None, "bars") else hints.quote, hints.escape)
        earlier = [one for one in earlier if one.written is not None and replace(one.written, spans=()) == replace(written, spans=(), told=False)]
    elif hints.delimiter is None:
        earlier = [one for one in earlier if one.written is None]
    cut, why = find_cut([line for line in without_rules(lines[hints.skip_lines or 0 :]) if not hints.comment or not line.startswith(hints.comment)], name, told)
    found = find_structure(lines, ending, cut, known)
    if _is_padded(lines[found.skip_lines :], cut, found):
        cut = replace(cut, padded=True)
        found, why = find_structure(lines, ending, cut, known), why | {"padded": "a blank stands after every delimiter, and is no part of names and values"}
    remark = None
    if habits := _habits(earlier, hints):
        place = placed(lines[hints.skip_lines or 0 :], habits)
        theirs = {name.strip().casefold() for habit in habits if habit.header for name in habit.named}
        if place is None and theirs and not found.problem and not theirs.intersection(name.strip().casefold() for name in found.names):
            remark = "it looks different from earlier files: none of them has its columns, or records like its own"
        elif place is not None and (fitting := _as_before(lines, ending, place, found, known)) is not None:
            cut, found, remark = fitting
            why = {name: said for name, said in why.items() if name not in ("quote", "escape", "spaced", "wrapped")} | {
                "delimiter": "earlier files of the table are cut so"
            }
    if laid is not None:
        found.names = [value_back(name, laid[0]) for name in found.names]
        found.why = {name: words_back(said, laid[0]) for name, said in found.why.items() if name != "comment"}
        why = {name: words_back(said, laid[0]) for name, said in why.items() if name not in ("delimiter", "quote")}
        found.problem = words_back(found.problem, laid[0]) if found.problem else None
    if problem := columns_beyond(found.names):
        return plain.model_copy(update={"problem": problem})
    return plain.model_copy(
        update={
            "delimiter": cut.delimiter, "quote": cut.quote, "escape": cut.escape, "spaced": cut.spaced, "wrapped": cut.wrapped, "padded": cut.padded, "trailing": found.trailing,
            "rest": found.rest, "usual": found.usual,
            "header": found.header, "skip_lines": found.skip_lines, "footer_lines": found.footer_lines, "comment": found.comment,
            "comment_told": known.comment is not None, "table": found.table, "tables": found.tables, "units": found.units, "shape": found.shape,
            "columns": column_names(found.names), "named": found.names, "why": plain.why | why | found.why, "problem": found.problem, "remark": remark,
        }
    )  # fmt: skip


def _laid_out(lines: list[str], hints: Hints, name: str, told: Told, earlier: Sequence[Dialect]) -> tuple[tuple[Written, str, str] | None, str | None]:
    """The layout of a text that is written anew before it is cut, with why and by which sign that is cut; or what of the declared one does not fit."""
    below = lines[hints.skip_lines or 0 :]
    several = hints.delimiter if hints.delimiter is not None and (len(hints.delimiter) > 1 or hints.layout == "bars") else None
    quotes = quotes_of(hints.quote) if hints.quote else None
    written, problem = told_layout(below, Declared(hints.layout, several, tuple(hints.widths or ()), quotes, hints.comment))
    if problem is not None:
        return None, problem
    if written is not None:
        sign = (
            SIGN
            if quotes is None or several or hints.layout
            else hints.delimiter or find_cut(below, name, Told(quote=quotes[0][0] if quotes[0].isascii() else '"'))[0].delimiter
        )
        return (written, _TOLD, sign), None
    found = find_layout([line for line in below if not hints.comment or not line.startswith(hints.comment)], name, told)
    if found is None and told.delimiter is None:
        for one in earlier[:_MOST_HABITS]:
            if one.written is not None and (habits := _habits([one], hints)) and placed(rewritten(below, one.written, one.delimiter, whole=False), habits):
                return (one.written, "earlier files of the table are laid out so", one.delimiter), None
    return (replace(found[0], comment=hints.comment), *found[1:]) if found else None, None


def _of_layout(written: Written, reason: str, why: dict[str, str]) -> dict[str, Any]:
    """The layout as fields of a dialect."""
    named = "layout" if written.layout else "delimiter" if written.separator else "quote"
    return {
        "layout": written.layout, "separator": written.separator, "spans": list(written.spans), "quotes": written.quotes, "layout_comment": written.comment,
        "why": why | {named: reason},
    }  # fmt: skip


def _is_padded(lines: list[str], cut: Cut, found: Structure) -> bool:
    """Whether a blank stands after every delimiter of the names and of all the records that can be seen."""
    names = list(itertools.dropwhile(lambda name: not name, found.names))  # as they stand, where the first column has none
    if not found.header or not all(name.startswith(" ") for name in names[1:]) or len(names) < 2:  # noqa: PLR2004  # no delimiter
        return False
    if cut.delimiter == " " or cut.wrapped or cut.escape:
        return False
    cuts = (record.fields for record in records_of(lines, replace(cut, spaced=False)))
    whole = [fields for cells in cuts if len(fields := _outside_quotes(cells, cut.quote)) == len(found.names) + found.trailing]
    records = [fields for fields in whole if not found.comment or not fields[0].startswith(found.comment)]
    return len(records) > 1 and all(field.startswith(" ") for fields in records for field in fields[1:])


def _outside_quotes(cells: list[str], quote: str | None) -> list[str]:
    """Of cells that were cut at every delimiter, those that do not begin within quotes that a cell before opened behind its blank."""
    if not quote or not any(cell.startswith(f" {quote}") for cell in cells):
        return cells
    found, within = [], False
    for cell in cells:
        found += [] if within else [cell]
        within ^= (within or cell.startswith(f" {quote}")) and cell.count(quote) % 2 == 1
    return found


def _habits(earlier: Sequence[Dialect], hints: Hints) -> list[Habit]:
    """How earlier files were written, each way once, with what the source declares in the place of what was found; none where it declares where the table is."""
    if hints.table is not None or hints.header not in (None, True, 1):
        return []
    found: dict[Habit, None] = {}
    for one in earlier:
        if one.format == "csv" and one.columns and not one.problem and not one.tables and not one.wrapped:
            quote = one.quote if hints.quote is None else hints.quote or None
            cut = Cut(hints.delimiter or one.delimiter, quote, hints.escape or one.escape, one.spaced, padded=one.padded)
            found[Habit(cut, tuple(one.named), 1 if one.units else one.header, one.shape)] = None
    return list(found)[:_MOST_HABITS]


def _as_before(lines: list[str], ending: list[str] | None, place: Placed, own: Structure, known: Known) -> tuple[Cut, Structure, str | None] | None:
    """How a file is read that fits an earlier one: its cut, its structure, and what is to be known of that. None where its own finding says the same, or more."""
    cut, skipped = place.habit.cut, known.skip_lines or 0
    if place.at is None:
        if place.habit.header == 1 and (own.header or known.header is not None):
            return None
        if place.habit.header == 0 and own.header and known.header is not None:
            return None
        found = find_structure(lines, ending, cut, replace(known, header=0))
        found.names = list(place.habit.named)
        told = "it has no header: its columns are taken to be those of earlier files, in their order" if place.habit.header else None
        return (cut, found, told) if not found.problem else None
    found = find_structure(lines, ending, cut, replace(known, header=True, skip_lines=skipped + place.at, fixed=place.whole))
    if known.skip_lines is None and place.at:
        found.why["skip_lines"] = "the names of earlier files stand below"
    return None if found.problem else (cut, found, None)


def _text_of(data: bytes, plain: Dialect, encoding: str | None = None) -> str:
    """The text of a part of a file, with lines in another encoding read as that where they are told."""
    text = data.decode(encoding or plain.encoding, "replace")
    if plain.beside is None or plain.encoding != "utf-8" or "\ufffd" not in text:
        return text
    lines = split_lines(data.decode(plain.encoding, "surrogateescape"))
    beside = plain.beside
    told = "".join((told_line(line, beside) or line) if is_foreign(line) else line for line in lines)
    return told.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unpadded(text: str) -> str:
    """The text without what is no text at its end."""
    return text[: len(text) - padding(text.encode("utf-8"))]  # padding is ASCII: as many characters as bytes


def _without_mark(encoding: str, head: bytes) -> str:
    """The encoding for a part that does not begin with the mark that says which end comes first."""
    if encoding in ("utf-16", "utf-32"):
        return f"{encoding}-{'le' if head.startswith(codecs.BOM_UTF16_LE) else 'be'}"
    return encoding


def column_names(named: list[str]) -> list[str]:
    """Names a Delta table can have: empty ones numbered, forbidden characters replaced, repeats (without case) numbered."""
    taken: set[str] = {name.casefold() for name in _RESERVED}
    reached: dict[str, int] = {}
    result = []
    for i, name in enumerate(named):
        bare = name.strip()
        clean = re.sub(r"[ ,;{}()\n\t=\x00-\x1f]+", "_", bare)
        clean = clean if clean == bare else clean.strip("_")
        pattern = clean == "*" or (clean.startswith("^") and clean.endswith("$"))  # Polars would take these for many columns
        base = ("" if pattern else clean) or f"column_{i + 1}"
        unique, n = base, reached.get(base.casefold(), 2)
        while unique.casefold() in taken:
            unique, n = f"{base}_{n}", n + 1
        reached[base.casefold()] = n
        taken.add(unique.casefold())
        result.append(unique)
    return result
