"""How a text is cut, found from its first lines: the delimiter, the quote, the escape, and two habits of writers. Each finding says why.

The measure is the share of records that a candidate cuts into the same number of fields, weighed by how many of the cells it leaves look like cells: a
number, a date, nothing, or text in which no other delimiter stands. CleverCSV's measure has the same two parts; this one also looks at the header,
knows a column of decimal commas and of sentences when it sees one, and says that there is only one column where nothing cuts the lines alike.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from lake.reading.fields import Cut, Fields, Record, is_torn, split_lines
from lake.reading.kinds import TEXT, is_title, is_typed, kind_of, shape_of
from lake.wording import counted

ONE_COLUMN = "\x1f"  # the delimiter of a text that has none: a sign that text does not hold
_COMMON = (",", ";", "\t", "|")
_CONTROL = ("\x1f", "\x1e", "\x01", "\x02")
_RARE = ("^", "~", "¦", ":", " ", "#", "&", "!", "*", "=", "/")
_MOST_RECORDS = 200
_ENOUGH, _NEARLY_ALL = 0.5, 0.95
DECLARED = re.compile(r'\s*"?sep=(.)"?[\r\n]*', re.IGNORECASE)
COMMENTS = ("#", "//", "%", "--")


@dataclass(frozen=True)
class Told:
    """What of the cut the source declares; None is not declared, an empty quote is no quote."""

    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None


@dataclass(frozen=True)
class Trial:
    """What one cut makes of the lines."""

    cut: Cut
    records: list[Record]
    width: int
    share: float
    broken: int
    score: float
    titled: bool

    @property
    def words(self) -> str:
        """The trial as a reason."""
        agreeing = round(self.share * len(self.records))
        return f"{name_of(self.cut.delimiter)} cuts {agreeing} of {counted(len(self.records), 'record')} into {counted(self.width, 'field')}"


def name_of(sign: str) -> str:
    """A sign as people call it."""
    return {"\t": "the tab", " ": "the space", ",": "the comma", ";": "the semicolon", "|": "the bar", ":": "the colon"}.get(sign, repr(sign))


def records_of(lines: list[str], cut: Cut, width: int = 0, most: int = _MOST_RECORDS) -> list[Record]:
    """The records of lines that are not blank."""
    fields, i = Fields(cut), 0
    found: list[Record] = []
    while i < len(lines) and len(found) < most:
        if not lines[i].strip("\r\n"):
            i += 1
            continue
        record = fields.record(lines, i, width)
        if record is None:
            break
        found.append(record)
        i += record.lines
    return found


def find_cut(lines: list[str], name: str, told: Told) -> tuple[Cut, dict[str, str]]:
    """The cut of a text that begins with `lines`, and why."""
    base = Cut(",", '"' if told.quote is None else told.quote or None, told.escape)
    if told.delimiter is not None:
        cut, why = replace(base, delimiter=told.delimiter), {"delimiter": f"{name_of(told.delimiter)} is declared by the source"}
    else:
        declared = next((match.group(1) for line in lines[:3] if (match := DECLARED.fullmatch(line))), None)
        lines = [line for i, line in enumerate(lines) if i > 2 or not DECLARED.fullmatch(line)]
        unwrapped = _wrapped(lines, base, name)
        if unwrapped is not None:
            return unwrapped
        if declared:
            return _quoted(_without_comments(lines), replace(base, delimiter=declared), {"delimiter": f"a line of the file says sep={declared}"}, told)
        cut, why = _delimited(_without_comments(lines), name, base, told)
    return _quoted(_without_comments(lines), cut, why, told)


def _without_comments(lines: list[str]) -> list[str]:
    """The lines that begin with no comment sign, if those are the many."""
    kept, inside = [], False
    for line in lines:
        if inside or not line.startswith(COMMENTS):
            kept.append(line)
            inside ^= line.count('"') % 2 == 1
    return kept if len(kept) > 1 else lines


def _delimited(lines: list[str], name: str, base: Cut, told: Told) -> tuple[Cut, dict[str, str]]:
    text = "".join(lines[:_MOST_RECORDS])
    if name.lower().endswith((".tsv", ".tab")) and "\t" in text:
        return replace(base, delimiter="\t"), {"delimiter": f"the tab, by the name {name}"}
    trials = [_best_quote(lines, replace(base, delimiter=sign), told) for sign in (*_COMMON, *_CONTROL) if sign in text]
    fitting = [trial for trial in trials if trial.width > 1 and not _is_prose(trial) and (trial.share >= _ENOUGH or _most_hold(lines, trial))]
    best = max(fitting, key=lambda trial: trial.score, default=None)
    if best is None or best.share < _NEARLY_ALL or not best.titled:
        rare = [_best_quote(lines, replace(base, delimiter=sign), told) for sign in _RARE if sign in text and sign.isascii()]
        strict = [trial for trial in rare if is_rare_table(trial)]
        other = max(strict, key=lambda trial: (trial.score, trial.width), default=None)
        if other is not None and (best is None or other.score > best.score):
            best = other
    if best is not None:
        return best.cut, {"delimiter": best.words}
    several = any(sign in text for sign in _COMMON)
    plain = trial_of(lines, base)
    if several and any(len(record.fields) != 1 for record in plain.records):
        return replace(base, delimiter=ONE_COLUMN), {"delimiter": "no sign cuts the lines alike: one column"}
    return base, {"delimiter": "no sign cuts the lines: one column"}


def _best_quote(lines: list[str], cut: Cut, told: Told) -> Trial:
    """The cut with double quotes; or with single ones, or with a backslash before those inside, if that alone makes the lines alike."""
    trial, text = trial_of(lines, cut), "".join(lines[:_MOST_RECORDS])
    if told.quote is None and "'" in text:
        single = trial_of(lines, replace(cut, quote="'"))
        if not single.broken and (single.share > trial.share or _all_single(lines, cut)):
            return single
    if told.escape is None and f"\\{cut.quote}" in text:
        escaped = trial_of(lines, replace(cut, escape="\\"))
        if (escaped.share, -escaped.broken) > (trial.share, -trial.broken):
            return escaped
    return trial


def trial_of(lines: list[str], cut: Cut) -> Trial:
    """What a cut makes of the lines."""
    records = records_of(lines, cut)
    widths = Counter(len(record.fields) for record in records)
    width, agreeing = max(((w, n) for w, n in widths.items() if w > 1), key=lambda item: (item[1], item[0]), default=(1, widths[1]))
    share = agreeing / max(1, len(records))
    cells = [(cell, record.text) for record in records if len(record.fields) == width for cell in record.fields]
    clean = sum(1 for cell, text in cells if _is_clean(cell, text, cut)) / max(1, len(cells))
    titled = bool(records) and len(records[0].fields) == width
    score = share * (0.25 + 0.75 * clean) * (1 - 0.4 / width) * (1.0 if titled else 0.85)
    broken = sum(1 for record in records if record.reason is not None or not record.exact)
    return Trial(cut, records, width, share, broken, score, titled)


def _is_clean(cell: str, text: str, cut: Cut) -> bool:
    """Whether a cell of the record `text` was quoted, or looks like one value."""
    if kind_of(cell) != TEXT:
        return True
    if cut.quote and cut.quote in text and cut.quote + cell.replace(cut.quote, cut.quote * 2) + cut.quote in text:
        return True
    return not any(sign in cell for sign in _COMMON if sign != cut.delimiter) and not (cut.quote and cut.quote in cell)


def _most_hold(lines: list[str], trial: Trial) -> bool:
    """Whether the delimiter cuts the first line and stands in most others: a table whose records have many widths."""
    filled = [line for line in lines[:_MOST_RECORDS] if line.strip()]
    return trial.cut.delimiter in filled[0] and 2 * sum(trial.cut.delimiter in line for line in filled) >= len(filled)


def _is_prose(trial: Trial) -> bool:
    """Whether the delimiter only stands inside the values of one column: decimal commas, or sentences."""
    if trial.titled or len(trial.records) < 2 or len(trial.records[0].fields) > 1:
        return False
    rest = [record.fields for record in trial.records[1:] if len(record.fields) > 1]
    if trial.cut.delimiter == "," and all(len(fields) == 2 and _is_decimal(fields) for fields in rest):
        return True
    spaced = sum(1 for fields in rest for field in fields[1:] if field.startswith(" "))
    return 2 * spaced > sum(len(fields) - 1 for fields in rest) and trial.width < 4


def _is_decimal(fields: list[str]) -> bool:
    return len(fields) == 2 and re.fullmatch(r"\s*[-+]?\d{1,9}", fields[0]) is not None and re.fullmatch(r"\d{1,6}\s*", fields[1]) is not None


def is_rare_table(trial: Trial) -> bool:
    """An unusual delimiter is believed only if it cuts everything alike and the columns look like columns."""
    if trial.share < _NEARLY_ALL or len(trial.records) < 2 or not trial.titled or trial.width < 2:
        return False
    if trial.share == 1 and all(_is_all_quoted(record, trial.cut) for record in trial.records):
        return True
    rows = [record.fields for record in trial.records]
    if trial.cut.delimiter in "^~" and trial.width > 1:
        return len(rows) > 2 or trial.width > 2
    tight = not any(cell != cell.strip() for row in rows for cell in row)
    if trial.cut.delimiter == ":" and trial.width > 2 and trial.share == 1 and tight and is_title(rows[0]):
        return True
    rows = [row for row in rows if len(row) == trial.width]
    if trial.cut.delimiter == " " and (any(not cell or cell in _COMMON for row in rows for cell in row) or all(row[0].endswith(_COMMON) for row in rows)):
        return False
    shape = shape_of(rows[1:], trial.width)
    typed = sum(map(is_typed, shape))
    headed = typed > (len(rows) < 3 and trial.width < 4) and is_title([cell for cell in rows[0] if not re.fullmatch(r"(?:19|20)\d\d", cell)])
    alike = trial.width > 2 and trial.share == 1 and shape_of(rows[:1], trial.width) == shape
    return bool(headed) or (alike and typed > 0 and (len(rows) > 3 or typed == trial.width))


def _is_all_quoted(record: Record, cut: Cut) -> bool:
    quote = cut.quote or "\0"
    return record.text.rstrip("\r\n") == cut.delimiter.join(quote + field.replace(quote, quote * 2) + quote for field in record.fields)


def _quoted(lines: list[str], cut: Cut, why: dict[str, str], told: Told) -> tuple[Cut, dict[str, str]]:
    """The quote, the escape and blanks before quotes, for a delimiter that is known."""
    text = "".join(lines[:_MOST_RECORDS])
    trial = trial_of(lines, cut)
    if told.quote is None and cut.quote == '"' and cut.escape is None:
        single = trial_of(lines, replace(cut, quote="'")) if "'" in text else None
        if (
            single is not None
            and not single.broken
            and ((single.share > trial.share and single.width > 1) or _all_single(lines, cut) or _has_doubled(lines, cut))
        ):
            trial = single
        elif trial.broken > 1 and trial.broken > len(trial.records) // 5:
            none = trial_of(lines, replace(cut, quote=None))
            if none.share > trial.share and none.width > 1:
                trial = none
                why |= {"quote": f"quotes taken for signs would break {trial.broken} of {counted(len(trial.records), 'record')}"}
    quote = trial.cut.quote
    if told.escape is None and "\\" in text and ((quote and f"\\{quote}" in text) or f"\\{cut.delimiter}" in text):
        escaped = trial_of(lines, replace(trial.cut, escape="\\"))
        if (escaped.share, -escaped.broken) > (trial.share, -trial.broken) and escaped.width > 1:
            trial = escaped
    if trial.cut.escape and told.escape is None:
        why |= {"escape": "a backslash escapes quotes and delimiters"}
    apart = quote and len(re.findall(rf"{re.escape(cut.delimiter)} +{re.escape(quote)}", text)) > 1 and cut.delimiter + quote not in text
    torn = any(is_torn(record.fields, quote) for record in trial.records)
    seen = quote is not None and (torn or _has_spaced_quotes(trial))
    if quote and (apart or seen):
        spaced = trial_of(lines, replace(trial.cut, spaced=True))
        before, after = (trial.share, -trial.broken), (spaced.share, -spaced.broken)
        if after > before or (seen and after == before):
            trial = spaced
            why |= {"spaced": "blanks stand between delimiters and quotes"}
    if trial.cut.quote == "'":
        why |= {"quote": "single quotes hold fields together"}
    return trial.cut, why


def _all_single(lines: list[str], cut: Cut) -> bool:
    """Whether each field that is not a number stands in single quotes, the header's too."""
    records = [record.fields for record in records_of(lines, replace(cut, quote=None))]
    cells = [cell for fields in records for cell in fields if kind_of(cell) == TEXT]
    wrapped = all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells)
    return len(records) > 1 and len(cells) > 1 and wrapped and any(len(cell) > 2 and cell[0] == "'" for cell in records[0])


def _has_doubled(lines: list[str], cut: Cut) -> bool:
    """Whether a field stands in single quotes with one doubled inside, as in 'O''Brien', and none begins with a quote for another reason."""
    cells = [cell for record in records_of(lines, replace(cut, quote=None)) for cell in record.fields if cell.startswith("'")]
    return any(re.fullmatch(r"'[^']+''[^']+'", cell) for cell in cells) and all(len(cell) > 2 and cell.endswith("'") for cell in cells)


def _has_spaced_quotes(trial: Trial) -> bool:
    quote, count = trial.cut.quote or "\0", 0
    for record in trial.records:
        for field in record.fields[1:]:
            bare = field.strip(" ")
            inside = bare.removeprefix(quote).removesuffix(quote)
            count += field[:1] == " " and len(bare) > 1 and bare == quote + inside + quote and trial.cut.delimiter + field in record.text
    return count > 0


def _wrapped(lines: list[str], base: Cut, name: str) -> tuple[Cut, dict[str, str]] | None:
    """The cut of records that each stand in quotes as a whole, because a table was saved as a table of one column."""
    if base.quote is None:
        return None
    outer = records_of(_without_comments(lines), replace(base, delimiter=ONE_COLUMN))
    whole = [
        record for record in outer if record.exact and len(record.fields) == 1 and record.text.rstrip("\r\n")[0] == record.text.rstrip("\r\n")[-1] == base.quote
    ]
    if len(whole) < 3 or len(whole) < 0.8 * len(outer):
        return None
    inner = [line for record in whole for line in split_lines(record.fields[0] + "\n")]
    cut, why = _delimited(inner, name, base, Told())
    trial = trial_of(inner, cut)
    if trial.width < 2 or trial.share < 0.6 or len(trial.records[0].fields) < 2:
        return None
    return replace(cut, wrapped=True), why | {"wrapped": "each record stands in quotes as a whole"}
