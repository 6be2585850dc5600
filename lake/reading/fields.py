"""One record of delimited text into its fields: by the rule where the text keeps it, and by its width where quotes were written carelessly."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from lake.reading.alphabets import is_told

OPEN = "a quote is opened and never closed"
NOT_UTF_8 = "not valid UTF-8"
_MOST_QUOTES = 8  # in a line that is cut in every way
_ANOTHER = re.compile(r"[\udc80-\udcff]")
csv.field_size_limit(1 << 27)  # the library's default of 128 KiB a field would reject long texts


@dataclass(frozen=True)
class Cut:
    """How a line is cut: the delimiter, the quote (None: no sign quotes), what escapes a quote (None: doubling it), and two habits of writers.

    `spaced`: blanks between a delimiter and a quote belong to neither. `wrapped`: each line is itself one quoted field that holds the record.
    `padded`: a blank stands after every delimiter, and belongs to it.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    spaced: bool = False
    wrapped: bool = False
    padded: bool = False


class Record(NamedTuple):
    """Physical lines that belong together, as `text` with their ends, and the fields cut from it, or the reason why none could be.

    It is not `exact` where the fields were found by their number and not by the rule.
    """

    lines: int
    text: str
    fields: list[str]
    reason: str | None = None
    exact: bool = True


def split_lines(text: str) -> list[str]:
    """Physical lines with their ends: LF, CR LF, CR, and CR CR LF, which is what a doubled translation leaves."""
    lines = list(io.StringIO(text, newline=""))
    if "\r\r\n" not in text:
        return lines
    joined: list[str] = []
    for line in lines:
        if line == "\r\n" and joined and joined[-1].endswith("\r"):
            joined[-1] += line
        else:
            joined.append(line)
    return joined


class _Feed:
    """One text at a time for a csv.reader that is made once."""

    def __init__(self) -> None:
        self.text: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.text is None:
            raise StopIteration
        text, self.text = self.text, None
        return text


class Fields:
    """Cuts records under one `Cut`. It remembers nothing from one record to the next."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self._feed = _Feed()
        self._reader = csv.reader(
            self._feed, delimiter=cut.delimiter, quotechar=cut.quote or '"', quoting=csv.QUOTE_MINIMAL if cut.quote else csv.QUOTE_NONE,
            strict=True,
        )  # fmt: skip
        d, q, e = re.escape(cut.delimiter), re.escape(cut.quote or "\0"), re.escape(cut.escape or "\0")
        blanks = "" if cut.delimiter == " " else " *" if cut.delimiter == "\t" else "[ \t]*"
        end = f"(?={blanks}(?:{d}|$))"
        lead = blanks if cut.spaced else ""
        bare = rf"(?:[^{d}{e}]|{e}.)*+" if cut.escape else f"[^{d}]*+"
        quoted = rf"(?:[^{q}{e}]|{e}.|{q}{q}|{q}(?!{blanks}(?:{d}|$)))*+" if cut.escape else f"(?:[^{q}]|{q}{q}|{q}(?!{blanks}(?:{d}|$)))*+"
        self._patterns = [
            re.compile(rf"{lead}{q}({quoted}){q}{end}{blanks}|({bare})", re.DOTALL),  # a doubled quote is one even before a delimiter
            re.compile(rf"{lead}{q}(.*?){q}{end}{blanks}|({bare})", re.DOTALL),  # the first quote before a delimiter ends the field
        ]
        strict = rf"(?:[^{q}{e}]|{e}.|{q}{q})*+" if cut.escape else f"(?:[^{q}]|{q}{q})*+"
        tail = blanks if cut.spaced else ""
        self._ruled = re.compile(rf"{lead}{q}({strict}){q}{tail}(?={d}|$)|(?!{lead}{q})({bare})", re.DOTALL)
        self._by_csv = cut.escape is None and not cut.spaced
        self._escapes = re.compile(rf"{e}(.)", re.DOTALL) if cut.escape else None
        self._open = False
        self._outer = Fields(Cut("\x1f", cut.quote)) if cut.wrapped else None
        self._inner = Fields(replace(cut, wrapped=False)) if cut.wrapped else None

    def record(self, lines: list[str], i: int, width: int = 0, *, final: bool = True) -> Record | None:
        """The record that begins with line `i`; None if that is not decided before more lines are seen. `width` 0 is an unknown one."""
        found = self._record(lines, i, width, final=final)
        by_pattern = not self._by_csv and self.cut.quote is not None and found is not None and self.cut.quote in found.text
        if not self.cut.padded or found is None or by_pattern or len(found.fields) < 2:  # noqa: PLR2004  # no delimiter
            return found
        return found._replace(fields=[found.fields[0], *(field.removeprefix(" ") for field in found.fields[1:])])

    def _record(self, lines: list[str], i: int, width: int, *, final: bool) -> Record | None:
        if self._outer is not None:
            return self._unwrapped(lines, i, width, final=final)
        line = lines[i]
        bare = line.rstrip("\r\n")
        quote = self.cut.quote
        if quote is None or quote not in bare:
            if self.cut.escape is None or self.cut.escape not in bare:
                return Record(1, line, bare.split(self.cut.delimiter))
            return Record(1, line, self._by(self._ruled, bare) or [bare])
        fields = self._strict(bare)
        if fields is not None:
            return Record(1, line, fields)
        if not self._open:
            return self._lenient(line, bare, width)
        j = i + 1
        while j < len(lines) and self._quotes(lines[j]) % 2 == 0:
            if quote in lines[j] and self.cut.escape is None and not self._may_close(lines[j], quote):
                return self._unclosed(line, bare, width)
            j += 1
        if j >= len(lines) - (0 if final else 1) and not final:
            return None
        if j < len(lines):
            whole = "".join(lines[i : j + 1])
            fields = self._strict(whole.rstrip("\r\n"))
            if fields is not None and (width in (0, len(fields)) or not self._stands_alone(lines[i + 1 : j + 1], width)):
                return Record(j + 1 - i, whole, fields)
        return self._unclosed(line, bare, width)

    def _unclosed(self, line: str, bare: str, width: int) -> Record:
        found = self._lenient(line, bare, width)
        if found.reason is None:
            return found
        fields = without_stray_quote(self.cut, line) if width > 1 and line.startswith(self.cut.quote or "\0") else []
        return Record(1, line, fields, exact=False) if len(fields) == width > 1 else Record(1, line, [], OPEN)

    def _may_close(self, line: str, quote: str) -> bool:
        """Whether the first quote of a line inside a quoted field is doubled or ends the field: if not, the one that began it was a stray one."""
        after = line[line.index(quote) + 1 :][:1]
        return not after or after in (quote, self.cut.delimiter) or after in "\r\n \t"

    def _strict(self, text: str) -> list[str] | None:
        if not self._by_csv:
            found = self._by(self._ruled, text)
            self._open = found is None and self._quotes(text) % 2 == 1
            return found
        self._feed.text = text
        try:
            return next(self._reader, [])
        except csv.Error as error:
            self._open = "unexpected end" in str(error)
            return None

    def _quotes(self, text: str) -> int:
        quote, escape = self.cut.quote or "\0", self.cut.escape
        if escape is not None and escape in text:
            text = text.replace(escape * 2, "").replace(escape + quote, "")
        return text.count(quote)

    def _stands_alone(self, lines: list[str], width: int) -> bool:
        """Whether each of `lines` is a whole record by itself, so that the quote before them was a stray one."""
        return all((fields := self._strict(line.rstrip("\r\n"))) is not None and len(fields) == width for line in lines)

    def _lenient(self, line: str, bare: str, width: int) -> Record:
        """Quotes inside a quoted field that nobody doubled: the field ends at a quote before a delimiter, if that gives the right width."""
        for pattern in self._patterns:
            fields = self._by(pattern, bare)
            quoted = fields is not None and not any(self.cut.quote and field.lstrip().startswith(self.cut.quote) for field in self._rough(pattern, bare))
            if fields is not None and quoted and width in (0, len(fields)):
                return Record(1, line, fields, exact=False)
        if width > 1 and len(readings := self._readings(bare, width)) == 1:
            return Record(1, line, readings[0], exact=False)
        one, other = (self._by(pattern, bare) for pattern in self._patterns)
        stray = any(self.cut.quote and self.cut.quote in field for pattern in self._patterns for field in self._rough(pattern, bare))
        if one and one == other and not stray and len(one) < width:
            return Record(1, line, one, exact=False)
        return Record(1, line, [], f"cannot be parsed: text after a closing quote ({self.cut.quote})")

    def _readings(self, text: str, width: int) -> list[list[str]]:
        """The ways to cut a line into so many fields if any quote that opens a field may be a stray one: as many as matter, none where the line has many quotes."""
        quote, sign = self.cut.quote or "\0", self.cut.delimiter
        if self.cut.escape is not None or self.cut.spaced or not 1 < text.count(quote) <= _MOST_QUOTES or text.count(sign) > 4 * width:
            return []
        found: list[list[str]] = []

        def cut(place: int, fields: list[str]) -> None:
            if len(fields) >= width or len(found) > 1:
                return
            ends = [end for match in re.finditer(re.escape(sign), text[place:]) for end in (place + match.start(),)][:1] or [len(text)]
            ways = [(text[place : ends[0]], ends[0])]
            if text.startswith(quote, place):
                closing = [at for at in _places(text, quote, place + 1) if text[at + 1 : at + 2] in ("", sign)]
                ways = ways if text.count(quote, place, ends[0]) == 1 else []  # text after a closing quote is no stray one
                ways = [(text[place + 1 : at].replace(quote * 2, quote), at + 1) for at in closing] + ways
            for field, end in ways:
                if end >= len(text):
                    if len(fields) + 1 == width and [*fields, field] not in found:
                        found.append([*fields, field])
                else:
                    cut(end + 1, [*fields, field])

        cut(0, [])
        quoted = [fields for fields in found if not any(field.endswith(quote) and not field.startswith(quote) for field in fields)]
        return quoted if len(found) > 1 else found

    def _rough(self, pattern: re.Pattern[str], text: str) -> list[str]:
        """The fields that were taken as not quoted."""
        return [match.group(2) for match in self._matches(pattern, text) if match.group(2)]

    def _matches(self, pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
        found, place = [], 0
        while (match := pattern.match(text, place)) is not None:
            found.append(match)
            place = match.end()
            if place >= len(text):
                return found
            if text[place] != self.cut.delimiter:
                return []
            place += 1
        return []

    def _by(self, pattern: re.Pattern[str], text: str) -> list[str] | None:
        quote = self.cut.quote or "\0"
        fields: list[str] = []
        for match in self._matches(pattern, text):
            field, bare = match.group(1), match.group(2)
            if field is None and fields and self.cut.padded and not self._by_csv:
                bare = bare.removeprefix(" ")
            if field is not None and quote in field:
                field = field.replace(quote * 2, quote) if self._escapes is None else field
            fields.append(self._unescaped(field if field is not None else bare))
        return fields or None

    def _unescaped(self, field: str) -> str:
        """Without the escapes of what must be escaped; a backslash before any other character is text (a path, a pattern)."""
        if self._escapes is None:
            return field
        special = {self.cut.quote, self.cut.escape, self.cut.delimiter, "\n", "\r"}
        return self._escapes.sub(lambda match: match.group(1) if match.group(1) in special else match.group(0), field)

    def _unwrapped(self, lines: list[str], i: int, width: int, *, final: bool) -> Record | None:
        """The record that is the only field of a record."""
        if self._outer is None or self._inner is None:
            return None
        outer = self._outer.record(lines, i, 1, final=final)
        if outer is None or outer.reason is not None or len(outer.fields) != 1:
            return outer
        inner = self._inner.record(split_lines(outer.fields[0]) or [""], 0, width)
        if inner is None or len(inner.text) != len(outer.fields[0]):
            return Record(outer.lines, outer.text, [], "cannot be parsed: several lines in one field")
        return inner._replace(lines=outer.lines, text=outer.text)


def _places(text: str, sign: str, start: int) -> list[int]:
    """Where a sign stands in a text, from `start` on."""
    return [at for at in range(start, len(text)) if text[at] == sign]


def with_lost_delimiter(cut: Cut, line: str) -> str | None:
    """The line with a delimiter before a quote that follows other text, where that quote is closed before a delimiter or at the end; None where there is not just one such place.

    A quote after a number, or before a blank, is no opening one: it stands for inches, or for nothing.
    """
    quote, sign = cut.quote, re.escape(cut.delimiter)
    bare = line.rstrip("\r\n")
    if quote is None or cut.escape is not None or bare.count(quote) != 2 or cut.wrapped:  # noqa: PLR2004  # a pair
        return None
    mark = re.escape(quote)
    found = re.fullmatch(
        rf"((?:[^{mark}]*{sign})?[^{mark}{sign}]*[^{mark}{sign}\d\s])({mark}[^{mark}\s][^{mark}]*{sign}[^{mark}]*(?<!\s){mark}(?:{sign}.*)?)", bare
    )
    return f"{found[1]}{cut.delimiter}{found[2]}{line[len(bare) :]}" if found else None


def without_stray_quote(cut: Cut, line: str) -> list[str]:
    """The fields of a line in which one quote opens a field and none closes it, with that quote left out; none where it is not so."""
    bare, quote = line.rstrip("\r\n"), cut.quote
    if quote is None or cut.escape is not None or cut.wrapped or bare.count(quote) != 1:
        return []
    fields = bare.split(cut.delimiter)
    opened = [i for i, field in enumerate(fields) if field.lstrip(" ").startswith(quote)]
    return [field.lstrip(" ").removeprefix(quote) if i == opened[0] else field for i, field in enumerate(fields)] if opened else []


def is_torn(fields: list[str], quote: str | None) -> bool:
    """Whether a quoted field was cut in two: one field begins with blanks and a quote that it does not close, and a later one ends with a quote."""
    if quote is None:
        return False
    begun = False
    for field in fields:
        bare = field.strip(" \t")
        if begun and bare.endswith(quote) and not bare.startswith(quote):
            return True
        begun |= field != bare and bare.startswith(quote) and not (len(bare) > 1 and bare.endswith(quote))
    return False


def is_foreign(text: str) -> bool:
    """Whether bytes that are not UTF-8 stand in a text that was decoded with surrogates for them."""
    return _ANOTHER.search(text) is not None


def told_line(line: str, encoding: str) -> str | None:
    """A line that is not UTF-8 as text in `encoding`, where it is that for certain."""
    raw = line.encode("utf-8", "surrogateescape")
    return raw.decode(encoding) if is_told(raw, encoding) else None


def as_text(raw: bytes, beside: str | None) -> str:
    """The bytes of a record to be looked at: lines that are not UTF-8 in the encoding `beside` it where they are that, else spelled out."""
    lines = split_lines(raw.decode("utf-8", "surrogateescape"))
    told = "".join((beside and told_line(line, beside)) or line if is_foreign(line) else line for line in lines)
    return told.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def not_utf8(text: str) -> str | None:
    """Why a text that was decoded with surrogates in place of foreign bytes is none."""
    found = _ANOTHER.search(text)
    if found is None:
        return None
    return f"{NOT_UTF_8} at byte {len(text[: found.start()].encode('utf-8', 'surrogateescape')) + 1} of the record"
