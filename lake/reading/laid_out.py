"""How a text is laid out that no single sign cuts, found from its first lines or told by its source: see `layouts`. Each finding says why.

What an ordinary delimiter cuts well is left to it, whatever its values hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lake.reading.fields import Cut
from lake.reading.kinds import is_title, is_typed, shape_of
from lake.reading.layouts import (
    ASIDE,
    BARS,
    GAP,
    MARK,
    QUOTES,
    SIGN,
    Anew,
    Written,
    cells_of,
    cut_at,
    is_rule,
    is_ruler,
    rows_between,
    spans_of,
)
from lake.reading.sniff import Told, Trial, find_cut, is_rare_table, name_of, trial_of
from lake.wording import counted

_SAMPLE = 200  # lines
_NEARLY_ALL, _MOST, _HALF, _FEW = 0.95, 0.6, 0.5, 0.25
_PLAIN_ENDS = "|~^\t"
_SIGNS = "|:;,~^#@*\t$%&!=+"
_AROUND = "|:;,~^#@*\t<>"
_MIRRORED = {"<": ">", ">": "<"}
_LONGEST, _MOST_TITLES = 5, 12


@dataclass(frozen=True)
class Declared:
    """What the source says of the layout: its name, a delimiter of several characters, the widths of columns, a pair of quotes, what comments begin with."""

    layout: str | None = None
    delimiter: str | None = None
    widths: tuple[int, ...] = ()
    quotes: tuple[str, str] | None = None
    comment: str | None = None

    @property
    def written(self) -> Written | None:
        """The layout as far as that says it; None where it says nothing."""
        if self.layout is None and self.delimiter is None and self.quotes is None:
            return None
        separator = self.delimiter or ("|" if self.layout == "bars" else None)
        ends = [sum(self.widths[: number + 1]) for number in range(len(self.widths))]
        spans = tuple(zip([0, *ends[:-1]], ends, strict=True)) if ends else ()
        return Written(self.layout, separator, spans, self.quotes, self.comment, told=True)


def told_layout(lines: list[str], declared: Declared) -> tuple[Written | None, str | None]:
    """The layout that the source declares, with what these lines say of it; or what of it does not fit them."""
    written = declared.written
    if written is None:
        return None, None
    sample = [line.rstrip("\r\n") for line in lines[:_SAMPLE] if line.strip() and not line.startswith(written.comment or "\0")]
    if written.tabular:
        rule = next((line for line in sample if is_rule(line)), None)
        if not any(any(sign in line for sign in BARS) for line in sample):
            return None, f"Hints(layout={written.layout!r}): no line of its beginning has a bar"
        return replace(written, spans=tuple(spans_of(rule)) if rule and written.layout == "box" else ()), None
    if written.layout == "fixed" and not written.spans:
        found = _fixed(sample)
        return (replace(written, spans=found), None) if found else (None, "Hints(layout='fixed'): no blanks stand below each other; declare widths=[…]")
    if written.layout == "fixed" and not any(len(line) > written.spans[0][1] for line in sample):
        return None, f"Hints(widths={list(declared.widths)}): no line of its beginning is longer than the first of them"
    if written.layout == "blanks" and not any(len(GAP.split(line.strip())) > 1 for line in sample):
        return None, "Hints(layout='blanks'): no line of its beginning has two blanks, or a tab, between values"
    if written.separator and not any(written.separator in line for line in sample):
        return None, f"Hints(delimiter={written.separator!r}) stands in no line of its beginning"
    return written, None


def find_layout(lines: list[str], name: str, told: Told) -> tuple[Written, str, str] | None:
    """The layout of a text that begins so, why, and the sign that cuts what it becomes; None for a text that is delimited as texts are."""
    sample = [line for line in lines[:_SAMPLE] if line.strip()]
    if len(sample) < 2 or told.delimiter is not None:  # noqa: PLR2004  # one line shows no habit
        return None
    text = "".join(sample)
    bare = [line.rstrip("\r\n") for line in sample]
    if ("--" in text or "──" in text or "━━" in text or "══" in text or "|-" in text or "|:" in text) and (table := _table(bare)):
        return (*table, SIGN)
    barred = _bars(bare) or _apart(bare)
    tokens = [token for sign in _SIGNS if sign in text and (token := _token(bare, sign))]
    gaps, quotes = "  " in text, [pair for pair in QUOTES if pair[0] in text and pair[1] in text]
    if not (barred or tokens or gaps or quotes):
        return None
    cut, _ = find_cut(sample, name, told)
    usual = trial_of(sample, cut)
    if barred and not _is_convincing(usual, "|"):
        return (*barred, SIGN)
    for token in sorted(tokens, key=len, reverse=True):
        if (found := _separated(sample, token, usual)) is not None:
            return (*found, SIGN)
    if quotes and told.quote is None and (quoted := _quoted(sample, name, quotes, usual)):
        return quoted
    if gaps and (usual.width < 2 or usual.share < _NEARLY_ALL) and (placed := _placed(bare)):  # noqa: PLR2004  # one column
        return (*placed, SIGN)
    return None


def _table(bare: list[str]) -> tuple[Written, str] | None:
    """A table of Markdown or in a box: a line of rules, and beside it a row with as many cells."""
    for number, line in enumerate(bare):
        if not is_rule(line):
            continue
        spans = spans_of(line)
        text = line.strip()
        joined = re.search(r"[^-=─━═:\s]", text) is not None
        if not spans or not joined or (len(spans) == 1 and text[0] in "-=─━═"):
            continue
        layout = "markdown" if set(text) <= set("|-: ") else "box"
        written = Written(layout, spans=tuple(spans) if layout == "box" else ())
        beside = [bare[at] for at in (number - 1, number + 1) if 0 <= at < len(bare) and not is_rule(bare[at])]
        if any(any(sign in row for sign in BARS) and len(cells_of(row, replace(written, spans=()))) == len(spans) for row in beside):
            what = "a table of Markdown" if layout == "markdown" else "a table in a box"
            return written, f"{what}: a line of rules with {counted(len(spans), 'column')}"
    return None


def _bars(bare: list[str]) -> tuple[Written, str] | None:
    """Bars, or a bar of several characters, before and after each record."""
    outer = [line.strip() for line in bare if line.strip()[:1] == line.strip()[-1:] == "|" and len(line.strip()) > 2]  # noqa: PLR2004  # two bars
    if len(outer) < 2 or len(outer) < _MOST * len(bare) or any("|" in line for line in bare if line.strip() not in outer):  # noqa: PLR2004
        return None
    run = re.match(r"\|+", outer[0])
    sign = run.group() if run and all(line.startswith(run.group()) and line.endswith(run.group()) for line in outer) else "|"
    sign = sign if all(len(found) % len(sign) == 0 for line in outer for found in re.findall(r"\|+", line)) else "|"
    fields = [line.removeprefix(sign).removesuffix(sign).split(sign) for line in outer]
    if len(fields[0]) < 2 or sum(len(row) == len(fields[0]) for row in fields) < _NEARLY_ALL * len(fields):  # noqa: PLR2004
        return None
    padded = sign == "|" and all(cell[:1] == cell[-1:] == " " for row in fields for cell in row)
    return Written("box" if padded else "bars", None if padded else sign), f"{name_of(sign)} stands before and after each record"


def _apart(bare: list[str]) -> tuple[Written, str] | None:
    """Bars with blanks on both sides, everywhere: such lines have no quotes."""
    holding = [line for line in bare if "|" in line]
    if len(holding) < 2 or len(holding) < _NEARLY_ALL * len(bare) or any('"' in line for line in holding):  # noqa: PLR2004
        return None
    if any(re.search(r"\S\||\|\S", line) for line in holding) or len({line.count("|") for line in holding}) > 1:
        return None
    return Written("box"), "blanks stand on both sides of every bar"


def _token(bare: list[str], sign: str) -> str | None:
    """The delimiter of several characters that each of these signs is part of; None where one stands alone."""
    holding = [line for line in bare if sign in line]
    if len(holding) < _NEARLY_ALL * len(bare) or len(holding) < 2:  # noqa: PLR2004
        return None
    runs = [len(run) for line in holding for run in re.findall(re.escape(sign) + "+", line)]
    least = min(runs)
    if least > 1 and all(run % least == 0 for run in runs) and least < _LONGEST:
        return sign * least
    if least == 1 and max(runs) > 1 and _is_doubled(holding, sign):
        return sign * 2
    if least > 1 or max(runs) > 1:
        return sign * 2 if sign == ":" and all(sign * 2 in line for line in holding) else None  # clocks have single ones
    token = sign
    while len(token) < _LONGEST:
        around = set()
        for line in holding:
            for match in re.finditer(re.escape(token), line):
                before, after = line[match.start() - 1 : match.start()] if match.start() else "", line[match.end() : match.end() + 1]
                if not (after == "" and before.isspace()):
                    around.add((before, after))
        if len(around) != 1:
            break
        before, after = around.pop()
        if not before or before not in _AROUND or after != _MIRRORED.get(before, before):
            break
        token = before + token + after
    return token if len(token) > 1 else None


def _is_doubled(holding: list[str], sign: str) -> bool:
    """Whether two of a sign part values, though it stands alone in some: as many pairs in nearly every line, and alone in few of them."""
    runs = [[len(run) for run in re.findall(re.escape(sign) + "+", line)] for line in holding]
    pairs = [sum(run // 2 for run in line if run % 2 == 0) for line in runs]
    alone = sum(any(run % 2 for run in line) for line in runs)
    return min(pairs) > 0 and alone <= _FEW * len(holding) and sum(pair == pairs[0] for pair in pairs) >= _NEARLY_ALL * len(pairs)


def _separated(sample: list[str], token: str, usual: Trial) -> tuple[Written, str] | None:
    """A delimiter of several characters, if it cuts the lines alike and better than a single sign does."""
    written = Written(separator=token)
    anew = Anew(written, SIGN)
    above = next(number for number, line in enumerate(sample) if token in line)
    sample = sample[above if above < _MOST_TITLES else 0 :]
    trial = trial_of([anew.line(line) for line in sample], Cut(SIGN))
    whole = usual.cut.delimiter in token and usual.width > 1  # a single sign would cut within it
    if trial.share < (_HALF if whole else _NEARLY_ALL) or trial.width < 2 or not trial.titled:  # noqa: PLR2004
        return None
    if _is_convincing(usual, token):
        return None
    if len(set(token)) == 1 and token[0] in ",;\t" and trial.width < 3:  # noqa: PLR2004  # an empty column
        return None
    bold = any(sign in token for sign in _PLAIN_ENDS) and (trial.width > 2 or trial.share == 1)  # noqa: PLR2004
    if not bold and not is_rare_table(trial):
        return None
    agreeing = round(trial.share * len(trial.records))
    return written, f"{token!r} cuts {agreeing} of {counted(len(trial.records), 'record')} into {counted(trial.width, 'field')}"


def _is_convincing(usual: Trial, token: str) -> bool:
    """Whether another sign than those of the token cuts the lines, the first too, alike: then that is the delimiter, whatever stands in values."""
    return usual.cut.delimiter not in token and usual.width > 1 and usual.share >= _NEARLY_ALL and usual.titled


def _quoted(sample: list[str], name: str, quotes: list[tuple[str, str]], usual: Trial) -> tuple[Written, str, str] | None:
    """Quotes that are no single ASCII sign, if lines are alike only with them, or all words stand in them."""
    for pair in quotes:
        begin, end = map(re.escape, pair)
        rough = [re.sub(rf"{end}(?=[,;\t|\r\n]|\Z)", MARK, re.sub(rf"(?:\A|(?<=[,;\t|])){begin}", MARK, line)) for line in sample]
        if sum(MARK in line for line in rough) < 2:  # noqa: PLR2004
            continue
        cut, _ = find_cut(rough, name, Told(quote=MARK))
        trial = trial_of(rough, cut)
        unquoted = trial_of(sample, replace(cut, quote=usual.cut.quote))
        if trial.width < 2 or trial.broken:  # noqa: PLR2004
            continue
        headed = rough[0].startswith(MARK) and rough[0].count(MARK) == 2 * len(trial.records[0].fields)
        if trial.share > max(usual.share if usual.width > 1 else 0, unquoted.share if unquoted.width > 1 else 0) or (headed and trial.share >= _NEARLY_ALL):
            return Written(quotes=pair), f"fields stand between {pair[0]} and {pair[1]}", cut.delimiter
    return None


def _placed(bare: list[str]) -> tuple[Written, str] | None:
    """Columns of fixed width, or parted by two blanks."""
    if spans := _fixed(bare):
        return Written("fixed", spans=spans), f"blanks stand below each other between {counted(len(spans), 'column')}"
    rows = [GAP.split(line.strip()) for line in bare]
    width = len(rows[0])
    if width < 2 or len(rows) < 3 or sum(len(row) == width for row in rows) < _NEARLY_ALL * len(rows):  # noqa: PLR2004
        return None
    return (Written("blanks"), f"two blanks or more part {counted(width, 'column')}") if _is_table([row for row in rows if len(row) == width]) else None


def _fixed(bare: list[str]) -> tuple[tuple[int, int], ...]:
    """The places of columns that stand below each other in nearly all lines; none where they do not."""
    ruler = next((line for line in bare if is_ruler(line)), None)
    if ruler is not None:
        spans = tuple((match.start(), match.end()) for match in re.finditer(r"\S+", ruler))
        below = [line for line in bare[bare.index(ruler) + 1 :] if cut_at(line, spans) is not None]
        above = bare.index(ruler) > 0 or sum(map(is_ruler, bare)) > 1
        return spans if below and above and len(spans) > 1 else ()
    rows = [line for line in bare if re.search(r"\S  +\S", line)]
    if len(rows) < 3 or len(rows) < _MOST * len(bare) or any("\t" in line for line in rows):  # noqa: PLR2004
        return ()
    longest = max(map(len, rows))
    filled = [any(line[at : at + 1].strip() for line in rows) for at in range(longest)]
    runs = [(match.start(), match.end()) for match in re.finditer("x+", "".join("x" if one else " " for one in filled))]
    cells = [[line[begin:end].strip() for begin, end in runs] for line in rows]
    shape = shape_of(cells[1:], len(runs)) if len(runs) > 1 else ""
    merged = runs[:1]
    for number, (begin, end) in enumerate(runs[1:], 1):
        headed = not any(row[number] for row in cells[1:])  # only a name has two words
        words = headed or not (is_typed(shape[number - 1]) or is_typed(shape[number]))
        alone = begin - merged[-1][1] < 2 and words  # noqa: PLR2004  # a blank within words
        merged[-1:] = [(merged[-1][0], end)] if alone else [merged[-1], (begin, end)]
    cells = [[line[begin:end].strip() for begin, end in merged] for line in rows]
    gaps = max(len(GAP.split(line.strip())) for line in rows)
    return tuple(merged) if len(merged) >= gaps and _is_table(cells) else ()


def _is_table(rows: list[list[str]]) -> bool:
    """Whether cells look like those of a table: names above all columns, or kinds, and more than two columns of words."""
    width = len(rows[0])
    if width < 2 or len(rows) < 3:  # noqa: PLR2004
        return False
    shape = shape_of(rows[1:], width)
    typed = sum(map(is_typed, shape))
    headed = is_title(rows[0]) and all(rows[0])
    return bool(typed and (headed or width > 2 or typed == width)) or (headed and width > 2)  # noqa: PLR2004


def rewritten(lines: list[str], written: Written, delimiter: str, *, whole: bool) -> list[str]:
    """The beginning of a text as it will be read; `whole` says that it is all of it."""
    anew = Anew(written, delimiter, rows_between(lines) if whole and written.tabular else None)
    return [anew.line(line, following) for line, following in zip(lines, [*lines[1:], ""], strict=True)]


def without_rules(lines: list[str]) -> list[str]:
    """Lines that may be records."""
    return [line for line in lines if not line.startswith(ASIDE)]
