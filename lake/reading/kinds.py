"""What a cell's text looks like: a number, a date or time, nothing, or other text. Only ever used to find structure, never to change a value."""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBER, DATE, WORDS, TEXT, NOTHING = "n", "d", "w", "t", ""
_NUMBER = re.compile(r"[-+(]?[$€£¥]?\s?[-+]?(?:\d[\d.,'\u00a0\u202f ]*|[.,]\d+)(?:[eE][-+]?\d+)?\s?[%€$£¥)]?")
_DATE = re.compile(
    r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}[- ][A-Za-z]{3,9}\.?[- ]\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})(?:[T ]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[AaPp][Mm])?"
)
_ABSENT = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "-", "--", "?", ".", "nil", r"\n", "missing", "unknown"})
_ENOUGH = 0.9


def kind_of(cell: str) -> str:
    """The kind of one cell; words that stand for a missing value are nothing."""
    bare = cell.strip()
    if bare.casefold() in _ABSENT:
        return NOTHING
    if len(bare) > 40:
        return TEXT
    if _DATE.fullmatch(bare):
        return DATE
    return NUMBER if _NUMBER.fullmatch(bare) else TEXT


def shape_of(rows: Sequence[Sequence[str]], width: int) -> str:
    """One letter a column: the kind nine in ten of its cells have, `w` if that is words, `t` for a mixture or an empty column."""
    letters = []
    for column in range(width):
        kinds = [kind for row in rows if column < len(row) and (kind := kind_of(row[column]))]
        found = [letter for letter in (NUMBER, DATE, TEXT) if kinds and kinds.count(letter) >= _ENOUGH * len(kinds)]
        letters.append((WORDS if found[0] == TEXT else found[0]) if found else TEXT)
    return "".join(letters)


def misfits(fields: Sequence[str], shape: str) -> int:
    """How many fields hold text where the column has numbers or dates."""
    return sum(1 for field, letter in zip(fields, shape, strict=False) if is_typed(letter) and kind_of(field) not in (letter, NOTHING))


def likeness(fields: Sequence[str], shape: str) -> int:
    """How much a record is like its columns: numbers and dates where they belong count for it, those among words and words among those against it."""
    score = 0
    for field, letter in zip(fields, shape, strict=False):
        kind = kind_of(field)
        if kind != NOTHING and letter != TEXT:
            score += (kind == letter) - (kind != (TEXT if letter == WORDS else letter))
    return score


def is_typed(letter: str) -> bool:
    """Whether a column holds numbers or dates."""
    return letter in (NUMBER, DATE)


def is_title(fields: Sequence[str]) -> bool:
    """Whether each field could be a column's name: text that is neither number nor date."""
    return bool(fields) and all(kind_of(field) == TEXT for field in fields)
