"""Texts laid out in other ways than with one sign between values: what a line of each becomes so that it can be cut by one sign.

Delimiters of several characters, bars around records, tables of Markdown and of database clients, columns of fixed width or by blanks, and quotes that are not one ASCII sign.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

LayoutName = Literal["bars", "markdown", "box", "fixed", "blanks"]
LAYOUTS: tuple[str, ...] = get_args(LayoutName)
SIGN, MARK, ASIDE, REFUSED = "\x05", "\x06", "\x07", "\x08"
"""In a text written anew: what stands between fields, around quoted ones, before lines that are no records, and before those that cannot be cut.

None is a blank to Python, and none makes a text look packed, as an x before 0x01 does.
"""

BARS = "|│┃║"
_RULES = "+-=|:─━═┌┬┐├┼┤└┴┘╔╦╗╠╬╣╚╩╝╟╫╢╞╪╡╤╧╥╨┏┳┓┣╋┫┗┻┛┡╇┩╭╮╰╯"
_RULE = re.compile(rf"[{re.escape(_RULES)} \t]*(?:[-=─━═]{{2,}}|\|:?-+:?\|)[{re.escape(_RULES)} \t]*")
_DASHES = re.compile(r"\s*-{2,}(?:\s+-+)*\s*|\s*-+(?:\s+-+)*\s+-{2,}\s*|\s*={2,}(?:\s+=+)*\s*")
_OWN = re.compile("[\x05-\x08\ufdd0-\ufdd3]")
_AWAY = {5: "\ufdd0", 6: "\ufdd1", 7: "\ufdd2", 8: "\ufdd3"}
_BACK = {ord(away): chr(own) for own, away in _AWAY.items()}
_JOINTS = _RULES.translate({ord(sign): None for sign in "-=:─━═"})
GAP = re.compile(r" {2,}|[ ]*\t[ \t]*")
QUOTES: tuple[tuple[str, str], ...] = (("“", "”"), ("„", "“"), ("„", "”"), ("«", "»"), ("‘", "’"), ("''", "''"))


def quotes_of(text: str) -> tuple[str, str] | None:
    """The pair of quotes that is meant by a text; None where it means none."""
    return next((pair for pair in QUOTES if text in ("".join(pair), pair[0]) and (pair[0] == pair[1] or len(text) > 1)), None)


@dataclass(frozen=True)
class Written:
    """How a text is laid out: its `layout`; the `separator` of several characters, or the bar around records; the first place and the end of each column (`spans`); and the
    signs that open and close a quoted field. `comment` is what lines that are no records begin with, as far as the source says.
    """

    layout: str | None = None
    separator: str | None = None
    spans: tuple[tuple[int, int], ...] = ()
    quotes: tuple[str, str] | None = None
    comment: str | None = None
    told: bool = False

    @property
    def ruled(self) -> bool:
        """Whether lines of rules may stand between its records."""
        return self.tabular or self.layout == "fixed"

    @property
    def tabular(self) -> bool:
        """Whether lines with bars are its records, and lines of rules stand between them."""
        return self.layout in ("markdown", "box")

    @property
    def refusal(self) -> str:
        """Why a line cannot be cut."""
        if self.layout == "fixed":
            return "a value stands across the edge of two columns, and blanks do not cut it either"
        if self.tabular:
            return "it is no row of the table, belongs to another table of the file (only the first is read: split the file), or holds a sign that no text has (U+FDD0 to U+FDD3)"
        return "nothing stands in it but a delimiter, or it holds a sign that no text has (U+FDD0 to U+FDD3)"


class Anew:
    """Writes lines anew, one after another. `last` is the number (from 0) of the last line of a table, where that is known."""

    def __init__(self, written: Written, delimiter: str, last: int | None = None) -> None:
        self._written = written
        self._number, self._last, self._begun = -1, last, False
        self._names: list[str] = []
        self._rule: list[tuple[int, int]] = []
        self._other = False
        self.cut_by_blanks = 0
        if written.quotes is not None:
            edge = re.escape(delimiter)
            begin, end = map(re.escape, written.quotes)
            closing = rf"{end}(?={edge}|\Z)"
            self._open, self._close = re.compile(rf"(?:\A|(?<={edge})){begin}"), re.compile(closing)

    def line(self, line: str, following: str = "") -> str:
        """What is made of a line with its end; `following` is the one after it."""
        self._number += 1
        if self._written.tabular:
            self._look(line, following)
        bare = line.rstrip("\r\n")
        if not bare.strip():
            return ASIDE + line if self._after else line
        end = line[len(bare) :]
        if _OWN.search(bare):
            if re.search("[\ufdd0-\ufdd3]", bare):
                return REFUSED + line
            bare = bare.translate(_AWAY)
        if self._written.comment and self._written.layout and bare.startswith(self._written.comment):
            return (ASIDE if self._written.ruled else "") + bare + end
        made = self._made(bare)
        return made + end if made or end else REFUSED + bare  # a last line must not be none

    def _look(self, line: str, following: str) -> None:
        """Whether another table begins: other names above a line of rules in Markdown, other rules in a box."""
        if self._written.layout == "markdown":
            if any(sign in line for sign in BARS) and not is_rule(line) and is_rule(following) and following.strip():
                names = cells_of(line.rstrip("\r\n"), self._written)
                self._other = bool(self._names) and names != self._names
                self._names = self._names or names
        elif line.strip() and is_rule(line):
            rule = spans_of(line.rstrip("\r\n"))
            self._rule = self._rule or rule
            self._other = rule != self._rule

    @property
    def _after(self) -> bool:
        """Whether the line stands below the rows of a table, or between those of several."""
        return self._begun and (self._written.layout == "markdown" or (self._last is not None and self._number > self._last))

    def _made(self, bare: str) -> str:
        written = self._written
        if written.tabular:
            return self._row(bare)
        if written.layout == "fixed":
            return self._by_places(bare)
        if written.layout == "blanks":
            return SIGN.join(GAP.split(bare.strip()))
        if written.quotes is not None:
            return self._close.sub(MARK, self._open.sub(MARK, bare))
        separator = written.separator or SIGN
        if written.layout == "bars" and bare.strip() != separator:
            bare = bare.strip().removeprefix(separator).removesuffix(separator)
        elif separator[-1].isspace():
            bare = bare.removesuffix(separator.rstrip())
        return bare.replace(separator, SIGN)

    def _row(self, bare: str) -> str:
        if is_rule(bare):
            return ASIDE + bare
        if not any(sign in bare for sign in BARS):
            if self._after:
                return ASIDE + bare
            return REFUSED + bare if self._begun else bare  # among rows, it is none of them
        self._begun = True
        if self._other:
            return REFUSED + bare
        return SIGN.join(cells_of(bare, self._written))

    def _by_places(self, bare: str) -> str:
        if is_ruler(bare):
            return ASIDE + bare
        spans = self._written.spans
        fields = cut_at(bare, spans)
        if fields is None:
            parts = GAP.split(bare.strip())
            if len(parts) != len(spans):
                return REFUSED + bare
            self.cut_by_blanks += 1
            fields = parts
        return SIGN.join(fields)


def is_ruler(line: str) -> bool:
    """Whether a line of dashes draws how wide the columns are."""
    return _DASHES.fullmatch(line.rstrip("\r\n")) is not None


def is_rule(line: str) -> bool:
    """Whether a line draws where the rows and columns of a table end."""
    return _RULE.fullmatch(line.strip()) is not None


def spans_of(rule: str) -> list[tuple[int, int]]:
    """The first place and the end of each column that a line of rules draws."""
    inner = rule.rstrip()
    return [(match.start(), match.end()) for match in re.finditer(rf"[^{re.escape(_JOINTS)}]+", inner) if match.group().strip()]


def cells_of(bare: str, written: Written) -> list[str]:
    """The cells of a row with bars. In a box whose bars do not give as many as its rules do, they are cut where the rules say, if bars stand there."""
    text = bare.strip()
    sign = max(BARS, key=text.count)
    pattern = rf"(?<!\\)\{sign}" if written.layout == "markdown" else re.escape(sign)
    inner = text.removeprefix(sign) if text.startswith(sign) else text
    if inner.endswith(sign) and not (written.layout == "markdown" and inner.endswith(f"\\{sign}")):
        inner = inner[: -len(sign)]
    cells = re.split(pattern, inner)
    if written.spans and len(cells) != len(written.spans) and len(text) >= written.spans[-1][1]:
        offset = len(bare) - len(bare.lstrip())
        at = [(begin - offset, end - offset) for begin, end in written.spans]
        if all(text[begin - 1 : begin] in BARS and text[end : end + 1] in BARS for begin, end in at if begin > 0):
            cells = [text[begin:end] for begin, end in at]
    stripped = [cell.strip() for cell in cells]
    return [cell.replace(f"\\{sign}", sign) for cell in stripped] if written.layout == "markdown" else stripped


def cut_at(bare: str, spans: tuple[tuple[int, int], ...]) -> list[str] | None:
    """The values at these places; None where something stands between two columns, or across the edge of them where blanks should."""
    fields = []
    for number, (begin, end) in enumerate(spans):
        following = spans[number + 1][0] if number + 1 < len(spans) else len(bare)
        if bare[end:following].strip() and number + 1 < len(spans):
            return None
        fields.append((bare[begin:end] if number + 1 < len(spans) else bare[begin:]).strip())
    return fields


def rows_between(lines: Iterable[str]) -> int | None:
    """The number, from 0, of the last line with a bar."""
    last = None
    for number, line in enumerate(lines):
        if any(sign in line for sign in BARS):
            last = number
    return last


def value_back(text: str, written: Written) -> str:
    """A value, a name or a reason as it was in the text."""
    text = text.replace(SIGN, written.separator or SIGN)
    if written.quotes is not None and MARK in text:
        begin, end = written.quotes
        text = re.sub(rf"{MARK}\Z", end, text).replace(MARK, begin)
    return text.translate(_BACK)


def words_back(text: str, written: Written) -> str:
    """A reason that may quote lines of the text, as these were."""
    for sign, back in ((SIGN, written.separator or " "), (MARK, (written.quotes or ('"',))[0]), (ASIDE, ""), (REFUSED, "")):
        text = text.replace(repr(sign)[1:-1], repr(back)[1:-1]).replace(sign, back)
    return text.translate(_BACK)


def replacements(written: Written) -> list[tuple[str, str]]:
    """What in values stands for something else, and for what."""
    found = [(SIGN, written.separator)] if written.separator else []
    if written.quotes is not None:
        found.append((MARK, written.quotes[0]))
    return [*found, *((away, chr(own)) for own, away in ((own, away) for own, away in _AWAY.items()))]


def in_json(text: str) -> str:
    """A text as it stands within a text of JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
