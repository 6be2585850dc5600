"""Which lines of a delimited text are its table, and which of that are names: found from its first and last lines, each finding with its reason."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lake.reading.fields import Cut, Fields, without_stray_quote
from lake.reading.findings import Known, Structure
from lake.reading.kinds import NOTHING, NUMBER, TEXT, is_title, kind_of, misfits, shape_of
from lake.reading.names import find_header, is_years
from lake.reading.sniff import DECLARED
from lake.wording import counted, several

_COMMENTS = ("#", "##", "//", "%", "--")
_MOST_FOOTER, _MOST_TITLES = 20, 12
_FEWEST = 2  # lines above a footer that delimiters fill up: fewer do not show what a record is
_FOOTER = re.compile(
    r"\W*(?:total|totals|sum|source|sources|quelle|note|notes|remark|footnote|row count|generated|exported|created|report|printed|end of|eof"
    r"|legend|copyright|disclaimer|page \d|data (?:source|from|provided)|last updated|updated)\b.*|(?:rows?|records?|count)\b(?:\W*|\W*[:=(\d].*|\s+(?:read|returned|exported|affected|written|in|of)\b.*)|©.*|\*+\s?\w.*|\(?\d[\d,. ]* (?:rows?|records?|lines?|entries|results?|items?)\b.*|[^\W\d]+(?: [^\W\d]+){0,3}\s?[:=]\s?\d[\d., ]*",
    re.IGNORECASE | re.DOTALL,
)
_TOTAL = re.compile(
    r"\W*(?:(?:grand|sub)?[- ]?totals?|sum|sums|summe|gesamt(?:summe)?|insgesamt|somme|suma|somma|totale?s?|totaal|summa|yhteensä|итого|всего|合计|合計|总计|小计)\b\W*.{0,30}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Line:
    """A record with the number of its first line, from 0; without fields it is a blank line, or none could be cut."""

    at: int
    text: str
    fields: list[str]


def lines_of(lines: list[str], cut: Cut) -> list[Line]:
    """Every record of `lines`, and the blank lines."""
    fields, found, i = Fields(cut), [], 0
    while i < len(lines):
        blank = not lines[i].strip("\r\n \t") and cut.delimiter not in lines[i]
        record = None if blank else fields.record(lines, i)
        found.append(Line(i, record.text if record else lines[i], record.fields if record and record.reason is None else []))
        i += record.lines if record else 1
    return found


def find_structure(head: list[str], tail: list[str] | None, cut: Cut, known: Known) -> Structure:
    """The structure of a text whose first lines are `head`; `tail` its last ones, None if the head is all of it."""
    found = Structure()
    skipped = known.skip_lines or 0
    if not any(line.strip() for line in head[skipped:]):
        found.problem = f"Hints(skip_lines={skipped}) leaves nothing: " + (
            f"the file has {counted(len(head), 'line')}" if tail is None else "it reaches too far down"
        )
        return found
    lines = [Line(line.at + skipped, line.text, line.fields) for line in lines_of(head[skipped:], cut)]
    lines = [line for line in lines if line.at > 2 or not DECLARED.fullmatch(line.text)]
    found.skip_lines = known.skip_lines or 0
    found.comment = known.comment or _comment_of(lines, known)
    if found.comment:
        found.why["comment"] = f"lines that begin with {found.comment} are comments" + (", as the source declares" if known.comment else "")
        lines = [line for line in lines if not line.text.startswith(found.comment) or _is_commented_header(line, lines, found.comment, known)]
    lines = _of_table(lines, found, known, whole=tail is None)
    if found.problem:
        return found
    width = _width_of(lines)
    unquoted = partial(without_stray_quote, cut)
    top = _top_of(lines, width, known, unquoted)
    if top is None:
        return found
    first = lines[top]
    if known.skip_lines is None and first.at:
        found.skip_lines = first.at
        above = "".join(head[: first.at]).strip().splitlines()
        if above:
            found.why["skip_lines"] = f"{first.at} line{'s stand' if first.at > 1 else ' stands'} above the table: {above[0][:60]!r}"
    rows = [line.fields for line in lines[top:] if line.fields]
    if not first.fields and len(names := unquoted(first.text)) == width > 1:
        rows = [names, *rows]  # a quote that is never closed stands among the names
    if not rows:  # not one line can be read: the first gives the names, so that the others are rejected one by one
        rows = [first.text.rstrip("\r\n").replace(cut.quote or "", "").split(cut.delimiter)]
    if known.footer_lines is not None:
        found.footer_lines = known.footer_lines
    else:
        _find_footer(head[first.at + 1 :] if tail is None else tail, rows, cut, found)
        if tail is None and found.footer_lines:
            last = len(head) - _lines_below(head, found.footer_lines)
            rows = [line.fields for line in lines[top:] if line.fields and (line.at < last or line is first)]
    if tail is None and not isinstance(known.header, bool) and (known.header or 0) > len(rows):
        found.problem = f"Hints(header={known.header}) names more header lines than there are: {len(rows)}"
        return found
    find_header(rows, max(len(rows[0]), 1), found, known)
    return found


def _lines_below(head: list[str], footer: int) -> int:
    below = 0
    for text in reversed(head):
        if not footer and text.strip("\r\n"):
            break
        footer -= bool(text.strip("\r\n"))
        below += 1
    return below


_MOST_TALK = 10  # so many lines that are no records for each that would be one, and what begins so is a comment: a record that was commented out


def _comment_of(lines: list[Line], known: Known) -> str | None:
    """The sign that lines above or between the records begin with, if no record does."""
    widths = Counter(len(line.fields) for line in lines if len(line.fields) > 1 and not line.text.startswith(_COMMENTS))
    width = widths.most_common(1)[0][0] if widths else 0
    for sign in _COMMENTS:
        begun = [line for line in lines if line.text.startswith(sign)]
        if not begun or len(begun) == len(lines):
            continue
        if width == 0 and (known.header is not None or sign not in ("#", "//") or lines[0] is not begun[0]):
            continue  # in a single column, only titles are told from values
        if sign in ("--", "%") and any(re.match(r"--?[\d.]|%\w", line.text) for line in begun):
            continue
        fitting = [line for line in begun if width and len(line.fields) == width and _count(line.fields) > 1]  # not words that delimiters fill up
        if fitting and (fitting != begun[-1:] or len(begun) == 1 or sign == "##") and _MOST_TALK * len(fitting) > len(begun):
            continue
        return sign
    return None


def _is_commented_header(line: Line, lines: list[Line], sign: str, known: Known) -> bool:
    """Whether the last comment above the records holds the names of their columns."""
    if known.comment:
        return False
    following = [other for other in lines if other.at > line.at and other.fields and not other.text.startswith(sign)]
    before = [other for other in lines if other.at < line.at and other.fields and not other.text.startswith(sign)]
    if before or not following or len(line.fields) < 2 or len(following[0].fields) != len(line.fields):
        return False
    return not any(line.at < other.at < following[0].at and other.text.startswith(sign) for other in lines)


def _blocks(lines: list[Line]) -> list[list[Line]]:
    """Runs of records of one width, two at least, that blank lines or lines of another width end."""
    blocks: list[list[Line]] = []
    run: list[Line] = []
    blank = False
    for line in lines:
        if run and line.fields and not blank and len(line.fields) == len(run[0].fields):
            run.append(line)
        else:
            if len(run) > 1:
                blocks.append(run)
            run = [line] if line.fields else []
        blank = not line.fields
    if len(run) > 1:
        blocks.append(run)
    return [block for block in blocks if len(block[0].fields) > 1]


def _of_table(lines: list[Line], found: Structure, known: Known, *, whole: bool) -> list[Line]:
    """The lines of the table that is read: the one asked for, else the one with the most records. A new table begins with names of its own."""
    starts: list[tuple[Line, int, bool]] = []
    for block in _blocks(lines):
        first = block[0]
        if starts:
            main = starts[-1][0].fields
            shape = shape_of([line.fields for line in lines if starts[-1][0].at < line.at < first.at and len(line.fields) == len(main)], len(main))
            same = len(first.fields) == len(main) and (first.fields == main or not is_title(first.fields) or not misfits(first.fields, shape))
            before = lines[lines.index(first) - 1]
            apart = len(before.fields) < 2 and len(first.fields) != len(main)
            new = not same and is_title(first.fields) and (apart or _has_values(block))
            joined = not new
        elif not all(cell == cell.strip() for cell in first.fields) and not (is_title(first.fields) and _has_values(block)):
            continue  # sentences with commas
        else:
            joined = False
        if joined:
            start, count, _ = starts[-1]
            starts[-1] = (start, count + len(block) * (len(first.fields) == len(start.fields)), True)
        else:
            starts.append((first, len(block), True))
    if len(starts) < 2 or (known.table is None and any(not _has_names(start, lines) for start, _, _ in starts)):
        if known.table is not None and known.table > 1:
            found.problem = _no_table(known.table, 1, whole=whole)
        return lines
    if known.table is not None and known.table > len(starts):
        found.problem = _no_table(known.table, len(starts), whole=whole)
        return lines
    counts = [count for _, count, _ in starts]
    if not whole:
        counts[-1] += len(lines)
    found.table = known.table or counts.index(max(counts)) + 1
    found.tables = [start.at + 1 for start, _, _ in starts]
    told = "as the source declares" if known.table else "the longest"
    found.why["table"] = (
        f"{counted(len(starts), 'table')} {several(len(starts), 'begins', 'begin')} on lines {', '.join(map(str, found.tables))}; table {found.table} is read, {told}"
    )
    begin = starts[found.table - 1][0].at
    end = starts[found.table][0].at if found.table < len(starts) else None
    return [line for line in lines if line.at >= begin and (end is None or line.at < end)]


def _no_table(wanted: int, count: int, *, whole: bool) -> str:
    there = f"{counted(count, 'table')} {several(count, 'was', 'were')} found"
    return f"Hints(table={wanted}) names a table that is not there: {there} in {'the file' if whole else 'the beginning of the file'}"


def _has_values(block: list[Line]) -> bool:
    return any(kind_of(cell) not in (TEXT, NOTHING) for line in block[1:] for cell in line.fields)


def _has_names(start: Line, lines: list[Line]) -> bool:
    return is_title([cell for cell in start.fields if cell.strip()]) and start in lines


def _width_of(lines: list[Line]) -> int:
    """The number of fields that most records have; of several equally frequent the first."""
    widths = Counter(len(line.fields) for line in lines if line.fields)
    several = {width: count for width, count in widths.items() if width > 1}
    if not several:
        return 1
    if widths[1] > 2 * sum(several.values()) and len(lines[0].fields) < 2:
        return 1
    return max(several, key=lambda width: several[width])


def _top_of(lines: list[Line], width: int, known: Known, unquoted: Callable[[str], list[str]]) -> int | None:
    """The place of the first record: names, if the table has any."""
    titled = known.header is None or bool(known.header)
    filled = [i for i, line in enumerate(lines) if line.fields and (len(line.fields) == 1 or _count(line.fields) or not titled)]
    if not filled:
        unread = [i for i, line in enumerate(lines) if line.text.strip("\r\n")]
        return unread[0] if unread else None
    if known.skip_lines is not None or width == 1:
        unread = [i for i, line in enumerate(lines) if line.text.strip("\r\n")]
        return unread[0] if unread else None
    if sum(len(lines[i].fields) == width for i in filled) < 2:
        return filled[0]
    for place, i in enumerate(filled):
        cells = lines[i].fields
        if titled and _is_padded_title(lines, filled[place:], width):
            continue
        following = [len(lines[j].fields) for j in filled[place + 1 : place + 4]]
        if len(cells) == width and (not following or is_title([c for c in cells if c.strip()] or [""]) or width in following):
            if (earlier := _ragged_top(lines, i, width)) is not None:
                return earlier
            above = i - 1
            if (
                above >= 0
                and not lines[above].fields
                and len(unquoted(lines[above].text)) == width
                and _is_title_above(unquoted(lines[above].text), lines, filled[place:])
            ):
                return above
            named = (
                above >= 0
                and len(lines[above].fields) not in (0, 1, width)
                and _is_names(lines[above].fields, cells, [lines[j].fields for j in filled[place:]], width)
            )
            return above if named else i
    return filled[0]


def _count(cells: list[str]) -> int:
    """How many cells are not blank."""
    return sum(1 for cell in cells if cell.strip())


def _is_padded_title(lines: list[Line], filled: list[int], width: int) -> bool:
    """Whether a line of the table's width is a title that delimiters fill up: its first cell alone says something, and names in several columns follow below.

    A line that says more is one too, where a blank line, or one of delimiters only, stands between it and names in more columns.
    """
    cells = lines[filled[0]].fields
    said = _count(cells)
    if len(cells) != width or (said > 1 and (2 * said > width or not is_title([cell for cell in cells if cell.strip()]))):
        return False
    alone = said == 1 and bool(cells[0].strip())
    for place, i in enumerate(filled[1:_MOST_TITLES], 1):
        names = lines[i].fields
        if len(names) != width or not is_title([cell for cell in names if cell.strip()]):
            return False
        apart = any(not _count(line.fields) for line in lines[filled[0] + 1 : i])
        if _count(names) > said and (alone or apart):
            below = [lines[j].fields for j in filled[place + 1 : place + 21] if len(lines[j].fields) == width]
            return bool(below) and (width > 2 or apart or misfits(names, shape_of(below, width)) > 0)
    return False


def _is_title_above(names: list[str], lines: list[Line], filled: list[int]) -> bool:
    """Whether cells from a line that could not be cut by the rule are names above the records that follow."""
    below = [lines[i].fields for i in filled[:20]]
    return is_title([cell for cell in names if cell.strip()]) and (misfits(names, shape_of(below, len(names))) > 0 or is_title(below[0]))


def _ragged_top(lines: list[Line], top: int, width: int) -> int | None:
    """The header of a table whose records have several widths, where records stand between it and `top`, the first line of the width that most have.

    It is a line of names right above a record of its own width, with no blank line or title before the records that follow.
    """
    first = top
    while first and len(lines[first - 1].fields) > 1:
        first -= 1
    for place in range(first, top - 1):
        names, values = lines[place].fields, lines[place + 1].fields
        tidy = [cell for cell in names if cell.strip()]
        if len(tidy) < 2 or not is_title(tidy) or len(values) != len(names) or len(names) == width:
            continue
        shape = shape_of([line.fields for line in lines[place + 1 : top] if len(line.fields) == len(names)], len(names))
        if misfits(names, shape) and not is_title([cell for cell in lines[top].fields if cell.strip()]):
            return place
    return None


def _is_names(above: list[str], first: list[str], rows: list[list[str]], width: int) -> bool:
    """Whether the line of another width right above the first record holds the names, one too few or some too many."""
    if not all(kind_of(cell) in (TEXT, NOTHING) or is_years([cell]) for cell in above) or not any(cell.strip() for cell in above):
        return False
    if _count(above) == width < len(above):
        return True  # some columns without a name, which no record has
    if len(above) == width - 1 and all(row[-1] == "" for row in rows if len(row) == width):
        return True
    tidy = all(cell and cell == cell.strip() for cell in above) and len(above) > 2 and abs(len(above) - width) == 1
    return tidy or (not is_title(first) and abs(len(above) - width) <= max(1, width // 2))


def _find_footer(tail: list[str], rows: list[list[str]], cut: Cut, found: Structure) -> None:
    """How many of the last lines are no records: notes and sums below the table."""
    width = Counter(len(row) for row in rows).most_common(1)[0][0] if rows else 1
    if width < 2 or found.table < len(found.tables):
        return
    lines = lines_of(tail, cut)
    values = [line.fields for line in lines if len(line.fields) == width]
    above = rows[: len(rows) - sum(1 for _ in itertools.takewhile(lambda row: _count(row) < 2, reversed(rows)))]  # noqa: PLR2004
    said = sum(_count(row) > 1 for row in above)
    full = said > max(0.9 * len(above), _FEWEST)  # a record says more than a title does
    count, waiting, below = 0, 0, ""
    for line in reversed(lines[-_MOST_FOOTER * 2 :]):
        if not line.text.strip("\r\n \t") and len(line.fields) != width:
            count, waiting = count + waiting, 0  # all below a blank line
            continue
        padded = len(line.fields) == width and _count(line.fields[1:]) == 0 and kind_of(line.fields[0]) in (TEXT, NOTHING)
        if padded and not _count(line.fields):
            count, waiting = (count + waiting + 1, 0) if below else (count, waiting + 1)
            continue
        told = padded and (_FOOTER.fullmatch(line.fields[0].strip()) or (_has_word(line.fields[0]) and (waiting or count or _is_sentence(line.fields[0]))))
        if padded and not (full and told):
            break
        if len(line.fields) == width and not padded:
            if not waiting and _is_total(line.fields, [row for row in values if row != line.fields]):
                count, below = count + 1, below or line.text
                continue
            break
        if line.text.count("\n") > 1 or line.text.startswith(found.comment or "\0"):
            break
        if len(line.fields) > 1 and not padded and not _FOOTER.fullmatch(line.fields[0]):
            break
        if not line.fields and '"' in line.text:
            break
        words = (not waiting or padded) and _FOOTER.fullmatch(line.fields[0].strip() if padded else line.text.strip().strip('"'))
        if words and padded:
            count, waiting = count + waiting, 0
        count, waiting = (count + 1, 0) if words else (count, waiting + 1)
        below = below or line.text
        if count + waiting > _MOST_FOOTER:
            return
    if count:
        found.footer_lines = count
        found.why["footer_lines"] = f"{counted(count, 'line')} below the records, no {several(count, 'record')}: {below.strip()[:60]!r}"


def _is_sentence(cell: str) -> bool:
    return len(cell.split()) > 3 or cell.rstrip().endswith((".", ":"))


def _has_word(cell: str) -> bool:
    return re.search(r"[^\W\d_]{3}", cell) is not None


def _is_total(fields: list[str], rows: list[list[str]]) -> bool:
    """Whether a record of the right width sums up those above: it says so, and lacks what they have or has a word for a number."""
    said = next((cell for cell in fields if cell.strip()), "")
    if not _TOTAL.fullmatch(said.strip()) or len(rows) < 3 or not any(kind_of(cell) == NUMBER for cell in fields):
        return False
    full = [all(row[i].strip() for row in rows) for i in range(len(fields))]
    return any(not cell.strip() and filled for cell, filled in zip(fields, full, strict=True)) or misfits(fields, shape_of(rows, len(fields))) > 0
