"""How values are spelled on the pages."""

from __future__ import annotations

import datetime as dt
from urllib.parse import quote

from lake.wording import counted


def number(value: float | None) -> str:
    """A count with separators; a dash where there is none."""
    return "–" if value is None else f"{value:,}"


def signed(value: int) -> str:
    """A difference with its sign."""
    return "±0" if value == 0 else f"{'+' if value > 0 else '−'}{abs(value):,}"


def instant(moment: dt.datetime) -> str:
    """A moment as people read it."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def stamp(moment: dt.datetime) -> str:
    """A moment as scripts read it."""
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")


def lasting(seconds: float) -> str:
    """A length of time in the largest unit that tells it without a fraction."""
    for long, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= long and seconds % long == 0:
            return plural(int(seconds // long), unit)
    return f"{seconds:,.0f} seconds"


def plural(count: int, word: str) -> str:
    """A count with its word."""
    return counted(count, word)


def fragment(name: str) -> str:
    """A name as the part of an address after the #."""
    return quote(name, safe="")
