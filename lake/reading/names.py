"""Which of a table's first records are names, how many, and what each column holds; each finding with its reason."""

from __future__ import annotations

import itertools
import re
from collections import Counter

from lake.reading.findings import Known, Structure
from lake.reading.kinds import DATE, NOTHING, NUMBER, TEXT, WORDS, is_typed, kind_of, shape_of
from lake.wording import counted, several

_UNIT = re.compile(
    r"[\[(].{0,20}[\])]|°\s?[CFK]|%|‰|[kMGTcmµun]?(?:m|g|s|l|L|W|Wh|V|A|Hz|Pa|J|N|K|t|b|B|mol)(?:[²³23]|\^-?\d)?(?:\s?[/·* ]\s?[kcmµ]?(?:m|g|s|l|L|h|min|d|a)(?:[²³23]|\^-?\d|-\d)?)*"
    r"|hPa|kWh|MWh|mph|kt|kn|in|ft|mi|lb|lbs|oz|deg|degrees|hours?|h|min|minutes?|sec|seconds?|days?|years?|usd|eur|gbp|chf|jpy|€|\$|£|pcs|count|number|miles|mbar|ppm|-|—"
    r"|string|text|int|integer|float|date",
    re.IGNORECASE,
)


def find_header(rows: list[list[str]], width: int, found: Structure, known: Known) -> None:
    """Whether the first records are names, how many, and what each column holds."""
    first, body = rows[0] if rows else [], [row for row in rows[1:101] if row != rows[0]]
    wide = Counter(len(row) for row in body).most_common(1)[0] if body else (width, 0)
    if known.header is not None and known.header is not True:
        found.header = int(known.header)
        found.why["header"] = f"the source declares {found.header or 'no'} header {several(found.header or 1, 'line')}"
    else:
        found.header, found.why["header"] = (1, "a header is declared by the source") if known.header else is_header(first, body)
    if found.header == 0:
        found.names = [f"column_{i + 1}" for i in range(max(width, wide[0] if 2 * wide[1] > len(body) + 1 and wide[1] > 1 else 0))]
        found.shape = shape_of(rows[:100], len(found.names))
        return
    top = [cell.lstrip("#").strip() or cell if i == 0 and cell.startswith("#") else cell for i, cell in enumerate(first)]
    if not isinstance(known.header, int) or known.header is True:
        _find_second(top, body, found)
    elif found.header > 1:
        top = _joined(rows[: found.header])
    found.names = top if not found.header > 1 or found.units else _joined(rows[: found.header])
    values = [row for row in rows[found.header : found.header + 100] if row != first]  # the header again is none
    _without_nameless(values, found)
    if not known.fixed or wide[0] == len(found.names) or (wide[0] == len(found.names) + 1 and all(row[-1] == "" for row in values if len(row) == wide[0])):
        _fit_width(values, wide, found)  # else what goes beyond the names is rescued
    if wide[0] > len(found.names) + found.trailing and 2 * wide[1] > len(values):
        found.usual = wide[0]
    full = [row for row in values if len(row) == len(found.names) + found.trailing]
    found.shape = shape_of(full or values, len(found.names))
    found.rest = _is_rest(values, found)


def _is_rest(values: list[list[str]], found: Structure) -> bool:
    """Whether the last column holds sentences that nobody quoted: records are too long by text that goes on after a delimiter and a blank."""
    width = len(found.names)
    long = [row[width:] for row in values if len(row) > width]
    if width < 2 or len(long) < 2 or found.trailing or is_typed(found.shape[-1]):
        return False
    if any(cell.startswith(" ") for row in values for cell in row[: width - 1]) or any(kind_of(cell) != TEXT for row in long for cell in row):
        return False
    if not any(row[0].startswith(" ") for row in long):
        return False
    found.why["rest"] = "the last column holds unquoted sentences: it takes the rest of each line"
    return True


def _without_nameless(values: list[list[str]], found: Structure) -> None:
    """Take out columns without a name between those that have one, where records have as many fields as there are names: they lack just these."""
    named = [name for name in found.names if name.strip()]
    if not 1 < len(named) < len(found.names) or found.header != 1 or not values:
        return
    widths = Counter(len(row) for row in values)
    if widths[len(named)] > 0.9 * len(values) and not widths[len(found.names)]:
        found.why["columns"] = f"{counted(len(found.names) - len(named), 'column')} without a name left out: no record has it"
        found.names = named


def _fit_width(values: list[list[str]], wide: tuple[int, int], found: Structure) -> None:
    """Names for columns that the header lacks, and none for the one that a delimiter at the end of each line makes."""
    names = found.names
    same = [row for row in values if len(row) == wide[0]]
    agree = len(same) > 1 and len(same) >= (0.9 if len(same) < 3 else 0.6) * len(values)
    ended = bool(same) and all(row[-1] == "" for row in same) and agree
    if ended and len(names) > 2 and not names[-1].strip() and len(names) == wide[0]:
        found.names, found.trailing = names[:-1], True
    elif ended and len(names) > 1 and len(names) == wide[0] - 1:
        found.trailing = True
    elif agree and 1 < len(names) < wide[0]:
        extra, fitting = wide[0] - len(names), list(itertools.takewhile(lambda row: len(row) == len(names), values))
        if len(fitting) > 1 or (extra == 1 and _NUMBERING.fullmatch(names[0].strip())):
            found.why["columns"] = f"records go beyond the {counted(len(names), 'name')}: what has no name is kept in _rescued"
            return
        shape = shape_of(same, wide[0])
        left, right = _agreement(names, shape) + _is_label(names, shape), _agreement(names, shape[extra:])
        leading = extra == 1 and not fitting and (right > left or (right == left and _are_labels(same)))
        found.names = ["", *names] if leading else [*names, *[""] * extra]
        found.why["columns"] = (
            f"the header names {counted(len(names), 'column')} and the records have {wide[0]}; {'the first' if leading else 'the last'} got no name"
        )
        return
    if found.trailing:
        found.why["trailing"] = "each line ends with a delimiter"


_NUMBERING = re.compile(r"(?:\w+[ _-])?(?:id|no|nr|num|number|key|uuid|index|code)\.?", re.IGNORECASE)  # what a first column is called that tells records apart
_OF_KIND = {
    DATE: re.compile(r"(?:^|[_ ])(?:date|day|datum|time|joined|since|changed|updated|created|when|at|on)$|date|time", re.IGNORECASE),
    NUMBER: re.compile(
        r"(?:^|[_ ])(?:id|no|nr|n|number|count|qty|quantity|pieces|amount|price|cost|total|sum|age|year|month|hour|weight|height|width|length|size|lat|lon|alt"
        r"|speed|temp|rate|score|value|share|population|seats)$|\d", re.IGNORECASE,
    ),
    WORDS: re.compile(r"name|city|town|country|type|kind|colou?r|note|text|comment|state|status|unit|product|article|thing|title|code|place", re.IGNORECASE),
}  # fmt: skip


def _agreement(names: list[str], shape: str) -> int:
    """How many names say what their columns hold, less those that say otherwise."""
    said = [({kind for kind, pattern in _OF_KIND.items() if pattern.search(name)}, letter) for name, letter in zip(names, shape, strict=False)]
    return sum((letter in kinds) - (letter not in kinds) for kinds, letter in said if kinds and letter != TEXT)


def _is_label(names: list[str], shape: str) -> bool:
    """Whether the first name differs from the rest as the first column does: words, where all others are numbered names above numbers."""
    numbered = [any(sign.isdigit() for sign in name) for name in names]
    return not is_typed(shape[0]) and all(map(is_typed, shape[1:])) and not numbered[0] and all(numbered[1:])


def _are_labels(rows: list[list[str]]) -> bool:
    """Whether the first fields tell the records apart: what writers of row names leave untitled."""
    first = [row[0] for row in rows]
    if len(set(first)) < len(first):
        return False
    return len(first) > 1


_CODE = re.compile(r"(?=(?:[^\d]*\d){4})[\w-]{12,}")  # letters and digits, such as keys that programs make
_MOST_RECORDS_LACK = 0.9


def is_header(first: list[str], body: list[list[str]]) -> tuple[int, str]:
    """Whether the first record is names: it is unless its values are of the kinds of the columns below, and no run of years."""
    numbers = [cell for cell in first if kind_of(cell) not in (TEXT, NOTHING)]
    if not numbers and (not body or not first):
        return 1, "the first line is text"
    if is_years(numbers):
        return 1, "the first line names years"
    if _counts_up(first) and sum(map(_counts_up, body)) * 2 < len(body):
        return 1, "the first line counts up, as above a table of two ways"
    shape = shape_of(body, len(first))
    differing = [cell for cell, letter in zip(first, shape, strict=True) if is_typed(letter) and kind_of(cell) == TEXT]
    alike = [cell for cell, letter in zip(first, shape, strict=True) if kind_of(cell) not in (TEXT, NOTHING) and (letter == kind_of(cell) or not body)]
    if differing and not (len(alike) > len(differing)):
        return 1, f"{differing[0][:40]!r} stands above a column of {'numbers' if NUMBER in shape else 'dates'}"
    if alike:
        return 0, f"{alike[0][:40]!r} in the first line is like the values below it"
    again = [cell for i, cell in enumerate(first) if _is_like(cell, [row[i] for row in body if i < len(row)], len(body))]
    if again and body:
        return 0, f"{again[0][:40]!r} in the first line is like the values below it"
    repeats = [i for i, cell in enumerate(first) if cell and sum(1 for row in body if i < len(row) and row[i] == cell) > 1]
    if len(repeats) > 1 or (repeats and len(first) > 1 and len(body) > 3):
        return 0, f"{first[repeats[0]][:40]!r} in the first line is a value below it too"
    return 1, "nothing tells the first line from the others, so it is taken for names"


def _is_like(cell: str, below: list[str], records: int) -> bool:
    """Whether a cell and all below it are addresses, or long codes of about one length: no name looks so."""
    signs = [sign for sign in ("@", "://") if sign in cell]
    if signs:
        return len(below) == records and all(any(sign in other for sign in signs) for other in below)
    code = cell.strip()
    if not _CODE.fullmatch(code) or len(below) < _MOST_RECORDS_LACK * records:
        return False
    return all(_CODE.fullmatch(other.strip()) and 8 * abs(len(other.strip()) - len(code)) <= len(code) for other in below)


def _counts_up(cells: list[str]) -> bool:
    """Whether a corner that is no number is followed by numbers in order, as many as make it no accident; or a name stands beside those from 0 or 1 on."""
    numbered = [cell for cell in cells if re.fullmatch(r"\d+", cell)]
    others = [cell for cell in cells if cell not in numbered]
    in_order = 4 <= len(numbered) == len(cells) - 1 and numbered in ([str(i + begin) for i in range(len(numbered))] for begin in (0, 1))
    if in_order and kind_of(others[0]) == TEXT:
        return True
    if len(cells) < 4 or kind_of(cells[0]) not in (TEXT, NOTHING) or (cells[0].strip() and len(cells) < 6):
        return False
    numbers = [float(cell) for cell in cells[1:] if re.fullmatch(r"\s*\d+(\.\d+)?\s*", cell)]
    return len(numbers) == len(cells) - 1 and all(one < other for one, other in itertools.pairwise(numbers))


def is_years(cells: list[str]) -> bool:
    """Whether the cells are years, all different and in order."""
    years = [int(cell) for cell in cells if re.fullmatch(r"\s*(?:1[6-9]|20|21)\d\d\s*", cell)]
    return bool(cells) and len(years) == len(cells) and len(set(years)) == len(years) and (sorted(years) in (years, years[::-1]))


def _find_second(top: list[str], body: list[list[str]], found: Structure) -> None:
    """A second header record: units below the names, which are kept aside; or names below those of groups of columns, which are joined to them."""
    if len(body) < 3 or len(body[0]) != len(top) or len(top) < 2 or found.header != 1:
        return
    second, values = body[0], [row for row in body[1:] if len(row) == len(top)]
    shape = shape_of(values, len(top))
    typed = [i for i, letter in enumerate(shape) if is_typed(letter)]
    above = [second[i].strip() for i in typed]
    under = [sum(kind_of(row[i]) != NOTHING for row in values) for i in typed if second[i].strip()]
    if not under or min(under) < 2 or any(kind_of(cell) not in (TEXT, NOTHING) for cell in second):
        return
    texts = [cell.strip() for cell in second if cell.strip()]
    bracketed = all(re.fullmatch(r"[\[(].*[\])]", cell) for cell in texts)
    if all(_UNIT.fullmatch(cell) for cell in texts) and (
        bracketed or sum(1 for cell in above if cell) * 2 >= len(above) or len(texts) <= sum(kind_of(cell) == TEXT for cell in above)
    ):
        found.header, found.units = 2, second
        found.why["header"] = "the line below the names holds units, kept aside"
    elif "" in [cell.strip() for cell in top[1:]] and any(cell.strip() for cell in top) and all(above) and all(kind_of(second[i]) == TEXT for i in typed):
        found.header = 2
        found.why["header"] = "names of groups stand above the names; they are joined"


def _joined(rows: list[list[str]]) -> list[str]:
    """Names from several header records: a group's name holds until the next one."""
    width = max(len(row) for row in rows)
    parts: list[list[str]] = [[] for _ in range(width)]
    for n, row in enumerate(rows):
        held = ""
        for i in range(width):
            cell = row[i].strip() if i < len(row) else ""
            held = cell or (held if n < len(rows) - 1 else "")
            if held:
                parts[i].append(held)
    return [" ".join(part) for part in parts]
