"""How near a reader's table comes to the truth: the header, the records, the cells, and what is nowhere."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

from tests.corpus.readers import Row, Table

_MADE_UP = re.compile(r"(column|col|unnamed|field|untitled|duplicated|var|c|f|v|x)?(_?duplicated)?(_?\d+)*(_?level_\d+)?")
_LARGEST_GAP = 40_000  # pairs of rows that are compared one by one

Key = tuple[str, ...]


@dataclass
class Score:
    """One reader on one file. Shares are between 0 and 1; `lost` counts records; `said` is why the reader failed; `unlike` what is wrong."""

    header: float = 0.0
    records: float = 0.0
    cells: float = 0.0
    lost: int = 0
    failed: bool = False
    refused: bool = False
    said: str = ""
    unlike: list[str] = field(default_factory=list)

    @property
    def perfect(self) -> bool:
        """All three are right."""
        return self.header == self.records == self.cells == 1.0


def judge(expected: dict[str, Any], table: Table) -> Score:
    """The score of what a reader made of the file."""
    headers = [expected["header"], *expected["headers_also"]]
    score = Score(header=max(_header_score(header, table.header) for header in headers))
    if score.header < 1:
        score.unlike.append(f"header: expected {expected['header']}, got {table.header}")
    got = [key(row) for row in table.rows]
    forms = [[key(cells) for cells in forms_of(row)] for row in expected["rows"]]
    paired = _align(forms, got)
    exact = {i: j for i, j in paired.items() if got[j] in forms[i]}
    owed = [i for i, row in enumerate(expected["rows"]) if row["standing"] == "row" or i in exact]
    both = len(owed) + len(got)
    score.records = 2 * len(exact) / both if both else 1.0
    score.cells = _cell_score(expected, forms, got, paired)
    score.lost = _count_lost(expected, forms, got, paired, table, score)
    taken = set(exact.values())
    score.unlike += [f"expected {list(forms[i][0])}, got {list(got[paired[i]]) if i in paired else 'nothing'}" for i in sorted({*owed, *paired} - {*exact})][:6]
    score.unlike += [f"no record: {list(row)}" for j, row in enumerate(got) if j not in taken and j not in paired.values()][:6]
    return score


def blank(expected: dict[str, Any], *, said: str, refused: bool) -> Score:
    """The score of a reader that raised: nothing, or everything where a refusal is right."""
    if expected["may_refuse"]:
        return Score(1.0, 1.0, 1.0, said=said, refused=refused)
    lost = sum(row["standing"] != "free" for row in expected["rows"])
    return Score(lost=lost, failed=True, refused=refused, said=said, unlike=[said])


def forms_of(row: dict[str, Any]) -> list[Row]:
    """Every way the record may be right; the first is the best."""
    forms = [row["cells"], *row["also"]]
    return forms + [[*cells, *row["extra"]] for cells in forms if row["extra"]]


def key(row: Row) -> Key:
    """A row as it is compared: null or empty, line ends, and the number of U+FFFD do not count."""
    cells = [_plain(cell) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _plain(cell: str | None) -> str:
    if not cell:
        return ""
    if "\r" in cell:
        cell = re.sub(r"\r+\n|\r", "\n", cell)
    if "\ufffd" in cell:
        cell = re.sub("\ufffd+", "\ufffd", cell)
    return cell


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().casefold()).strip("_")


def _header_score(expected: list[str] | None, got: list[str]) -> float:
    """1 if the names are the same by position, or made up where the file has none; 0 else."""
    found = [_bare(name) for name in got]
    if expected is None:
        return float(bool(found) and all(_MADE_UP.fullmatch(name) for name in found))
    seen: set[str] = set()
    for i, name in enumerate(expected):
        here = got[i] if i < len(got) else ""
        renamed = name in seen and re.fullmatch(re.escape(name) + r"([._ ]?duplicated)?[._ ]?\d*", here)
        if not (here == name or renamed or (not name and _MADE_UP.fullmatch(_bare(here)))):
            return 0.0
        seen.add(name)
    return float(all(_MADE_UP.fullmatch(name) for name in found[len(expected) :]))


def _align(forms: list[list[Key]], got: list[Key]) -> dict[int, int]:
    """Which row of the reader each expected record became: equal ones first, those between by likeness, all in order."""
    there = set(got)
    wanted = [next((form for form in options if form in there), options[0]) for options in forms]
    paired: dict[int, int] = {}
    for tag, a, b, c, d in difflib.SequenceMatcher(None, wanted, got, autojunk=False).get_opcodes():
        if tag == "equal":
            paired |= {a + n: c + n for n in range(b - a)}
        elif tag == "replace" and (b - a) * (d - c) <= _LARGEST_GAP:
            paired |= {a + i: c + j for i, j in _liken(forms[a:b], got[c:d])}
        elif tag == "replace":
            paired |= {a + n: c + n for n in range(min(b - a, d - c)) if _same(forms[a + n], got[c + n])}
    return paired


def _liken(forms: list[list[Key]], got: list[Key]) -> list[tuple[int, int]]:
    """The pairing in order with the most equal cells."""
    best = [[0.0] * (len(got) + 1) for _ in range(len(forms) + 1)]
    same = [[_same(options, row) for row in got] for options in forms]
    for i in range(len(forms) - 1, -1, -1):
        for j in range(len(got) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], same[i][j] + best[i + 1][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(forms) and j < len(got):
        if same[i][j] and best[i][j] == same[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _same(options: list[Key], row: Key) -> int:
    """Cells of the record that stand in the row, at their place."""
    return max(sum(a == b for a, b in zip(form, row, strict=False) if a) for form in options)


def _cell_score(expected: dict[str, Any], forms: list[list[Key]], got: list[Key], paired: dict[int, int]) -> float:
    """The share of expected cells whose text is at its place in the row that the record became."""
    right = total = 0
    for i, row in enumerate(expected["rows"]):
        width = len(row["cells"])
        if i in paired:
            found = got[paired[i]]
            hits = max(sum((form[n : n + 1] or ("",)) == (found[n : n + 1] or ("",)) for n in range(width)) for form in forms[i])
            if row["standing"] == "row" or hits == width:
                right, total = right + hits, total + width
        elif row["standing"] == "row":
            total += width
    return right / total if total else 1.0


def _count_lost(expected: dict[str, Any], forms: list[list[Key]], got: list[Key], paired: dict[int, int], table: Table, score: Score) -> int:
    """Records that are in no row of their own, nor line by line in rows and among what is set aside."""
    aside = _Aside(table.aside)
    taken = {j for i, j in paired.items() if 2 * _same(forms[i], got[j]) >= sum(map(bool, forms[i][0]))}
    kept = {i for i, j in paired.items() if j in taken}
    spare = [_words(row) for j, row in enumerate(got) if j not in taken]
    lost = 0
    for i, row in enumerate(expected["rows"]):
        if i in kept or row["standing"] == "free":
            continue
        source = row["source"].encode("latin-1")
        if aside.holds(source):
            continue
        written = [line for line in re.split(rb"[\r\n]+", source) if line]
        lines = [line for line in written if not aside.holds(line)]
        words = _words(forms[i][0]) if len(written) == 1 else _words(tuple(line.decode("utf-8", "replace") for line in lines))
        if (found := _found(words, spare, len(lines))) is not None:
            del spare[found]
            continue
        lost += 1
        score.unlike.append(f"LOST {row['source']!r}")
    return lost


def _found(words: set[str], spare: list[set[str]], lines: int) -> slice | None:
    """The first rows, at most `lines` in a row, that between them hold all the words."""
    for height in range(1, lines + 1):
        for n in range(len(spare) - height + 1):
            if words <= set().union(*spare[n : n + height]):
                return slice(n, n + height)
    return None


def _words(row: Key) -> set[str]:
    """The words of a row as far as they survive a wrong encoding."""
    return set(re.findall(r"[A-Za-z0-9]+", " ".join(row)))


class _Aside:
    """The text of what a reader set aside, without its line ends, and as far as it survives a wrong encoding."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.whole = _unended(b"\n".join(pieces))
        self.plain = _ascii(self.whole)

    def holds(self, source: bytes) -> bool:
        """Whether the record or line stands in it."""
        wanted = _unended(source)
        return bool(wanted) and (wanted in self.whole or (len(re.findall(rb"\w", wanted)) > 6 and _ascii(wanted) in self.plain))


def _ascii(text: bytes) -> bytes:
    return re.sub(rb"[^\t -~]+", b"", text)


def _unended(text: bytes) -> bytes:
    return text.replace(b"\r", b"").replace(b"\n", b"").replace(b"\xef\xbb\xbf", b"")
