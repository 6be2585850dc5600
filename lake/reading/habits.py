"""What earlier files of a table say of the next one: where in its lines their names stand, if they are cut as those files are; or that it has none, and records like theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lake.reading.fields import Cut
from lake.reading.kinds import is_typed, misfits
from lake.reading.sniff import records_of
from lake.reading.structure import lines_of

_DEEPEST_HEADER = 100  # lines
_ENOUGH_ROWS = 3
_HALF = 2


@dataclass(frozen=True)
class Habit:
    """How an earlier file was cut, the names of its columns as they stood in it, how many header records it had, and the kinds of its columns."""

    cut: Cut
    named: tuple[str, ...]
    header: int = 1
    shape: str = ""


@dataclass(frozen=True)
class Placed:
    """Where a file fits the `habit` of an earlier one: its names stand on line `at` (from 0), `whole` if they are the very same; None where it has none, and only records."""

    habit: Habit
    at: int | None
    whole: bool = True


def placed(lines: list[str], habits: Sequence[Habit], hints: Cut | None = None) -> Placed | None:
    """The first of the habits, newest first, that the lines fit with all names; else the one with most of them; else one whose records they are. None where they fit none."""
    most: Placed | None = None
    best = 0
    for habit in habits:
        if habit.header != 1:
            continue
        wanted = {_plain(name) for name in habit.named if name.strip()}
        for line in lines_of(lines[:_DEEPEST_HEADER], hints or habit.cut):
            there = [_plain(field) for field in line.fields]
            both = len(wanted.intersection(there))
            if there == [_plain(name) for name in habit.named]:
                return Placed(habit, line.at)
            if both > best and both > 1 and _HALF * both >= max(len(wanted), len([name for name in there if name])):
                most, best = Placed(habit, line.at, whole=False), both
    return most or next((Placed(habit, None) for habit in habits if _has_records_like(lines, habit, hints)), None)


def _plain(name: str) -> str:
    return name.strip().casefold()


def _has_records_like(lines: list[str], habit: Habit, hints: Cut | None) -> bool:
    """Whether every record of the lines has the fields of the habit, of the same kinds, and at least one of them is no text."""
    rows = [record.fields for record in records_of(lines, hints or habit.cut)]
    typed = [i for i, letter in enumerate(habit.shape) if is_typed(letter)]
    if not rows or any(len(row) != len(habit.named) for row in rows) or not (typed or habit.header == 0):
        return False
    return not any(misfits(row, habit.shape) for row in rows[:_ENOUGH_ROWS]) and (not typed or any(rows[0][i].strip() for i in typed))
