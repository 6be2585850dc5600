"""What was said of customers, and what every way of writing must make of it, in plain Python: the oracle of increments.

A word is a line of a file: who, since when, where, and the number of the word. It is later than another by its number, where the table goes by
that, then by the file that landed later, then by the line.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Word:
    """A line of a file: `file` and `line` say where, `surplus` that it has a field too many."""

    file: int
    line: int
    customer: str
    day: str
    city: str
    seq: str
    surplus: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: in the order in which it landed."""
        return self.file, self.line

    @property
    def since(self) -> dt.date | None:
        """Since when, where that is a date."""
        return dt.date.fromisoformat(self.day) if self.day not in ("", "x") else None

    @property
    def number(self) -> int | None:
        """The number of the word."""
        return int(self.seq) if self.seq else None

    def row(self) -> Row:
        """As a row of a table of states."""
        return {"customer": self.customer, "day": self.since, "city": self.city or None, "seq": self.number, "place": self.place}


@dataclass(frozen=True)
class Told:
    """A table's rows, each with its `place`, and how many were rejected on their way into it."""

    rows: list[Row]
    rejects: int = 0


@dataclass(frozen=True)
class Rules:
    """By what tables judge and order: whether any spelling of a city passes, whether the number of a word counts, whether "Gone" deletes, and whether code shifts Rome."""

    any_spelling: bool = False
    by_number: bool = True
    deletes: bool = True
    shifts: bool = False

    def order(self, word: Word) -> tuple[Any, ...]:
        """What is greater of a later word."""
        return ((word.number is not None, word.number or 0) if self.by_number else (), word.place)

    def passes(self, word: Word) -> bool:
        """Whether it is one that a table of states takes in."""
        return word.day != "x" and (self.any_spelling or not word.city or word.city[0].isupper())

    def seen(self, words: Iterable[Word]) -> list[Word]:
        """The words as the code has them."""
        return [_shifted(word) if self.shifts else word for word in words]


def _shifted(word: Word) -> Word:
    if word.city != "Rome" or word.since is None:
        return word
    return Word(word.file, word.line, word.customer, (word.since + dt.timedelta(days=3)).isoformat(), word.city, word.seq, word.surplus)


def _latest(words: Iterable[Word], rules: Rules, key: Callable[[Word], Any]) -> dict[Any, Word]:
    found: dict[Any, Word] = {}
    for word in words:
        known = found.get(key(word))
        if known is None or rules.order(word) > rules.order(known):
            found[key(word)] = word
    return found


def states(words: list[Word], rules: Rules) -> Told:
    """The last word on each customer; one that says Gone ends it, whatever else it says."""
    words = rules.seen(words)
    fit = [word for word in words if (rules.deletes and word.city == "Gone") or rules.passes(word)]
    last = _latest(fit, rules, lambda word: word.customer)
    return Told([word.row() for word in last.values() if not (rules.deletes and word.city == "Gone")], len(words) - len(fit))


def histories(words: list[Word], rules: Rules) -> Told:
    """Each day's last word on a customer, until the next day's; one that says what the one before it said holds for no time."""
    words = rules.seen(words)
    fit = [word for word in words if rules.passes(word) and word.since is not None]
    last = sorted(_latest(fit, rules, lambda word: (word.customer, word.since)).values(), key=lambda word: (word.customer, word.day))
    rows: list[Row] = []
    for i, word in enumerate(last):
        mine = word.row()
        mine = {"valid_from": mine.pop("day"), "valid_to": None, "is_current": True, **mine}
        before = next((row for row in reversed(rows) if row["customer"] == word.customer and row["valid_to"] != row["valid_from"]), None)
        if i and last[i - 1].customer == word.customer and (last[i - 1].city, last[i - 1].seq) == (word.city, word.seq):
            mine |= {"valid_to": mine["valid_from"], "is_current": False}
        elif before is not None:
            before |= {"valid_to": mine["valid_from"], "is_current": False}
        rows.append(mine)
    return Told(rows, len(words) - len(fit))


def log(words: list[Word], rules: Rules) -> Told:
    """Every word."""
    words = rules.seen(words)
    return Told([word.row() for word in words if rules.passes(word)], sum(not rules.passes(word) for word in words))


def lasts(words: list[Word], rules: Rules) -> Told:
    """The last word on each customer as far as they are numbered, if it can stand: no earlier one takes its place."""
    last = _latest(rules.seen(words), Rules(by_number=True), lambda word: word.customer).values()
    return Told([word.row() for word in last if rules.passes(word)], sum(not rules.passes(word) for word in last))


def copies(of: list[Row]) -> list[Row]:
    """All states but hidden ones, and those of who is gone."""
    return [row for row in of if row["city"] not in ("Hid", "Gone")]


def cities(of: list[Row]) -> list[Row]:
    """How many states, or current versions, each known city has."""
    counted = Counter(row["city"] for row in of if row["city"] is not None and row.get("is_current", True))
    return [{"city": city, "customers": count} for city, count in counted.items()]


def ranged(there: list[Row], anew: list[Row], time: str, start: dt.date | None, end: dt.date | None, belong: Callable[[Row], Any]) -> list[Row]:
    """A table of which a range was made anew: all that belongs with a row that was or is in it, and the rest as it was."""

    def inside(row: Row) -> bool:
        if start is None and end is None:
            return True
        at = row[time]
        return at is not None and (start is None or at >= start) and (end is None or at < end)

    concerned = {belong(row) for row in (*there, *anew) if inside(row)}
    return [row for row in there if belong(row) not in concerned] + [row for row in anew if belong(row) in concerned]


def bag(rows: Iterable[Row]) -> list[str]:
    """The rows without their places, comparable."""
    return sorted(repr(sorted((name, value) for name, value in row.items() if name != "place")) for row in rows)
