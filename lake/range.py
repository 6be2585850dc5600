"""A range of a table's time, as people give it: two dates or instants, checked before anything runs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from lake.errors import DeclarationError, UnknownName

_WRITE = "Write 2026-11-23 or 2026-11-23T08:00:00+01:00"


@dataclass(frozen=True)
class Range:
    """Part of a table to recompute: from `start` until just before `end`, both as ISO dates or instants; either may be open.

    Dates and datetimes are taken too, and kept as text. Raises UnknownName for a bound that is neither a date nor an instant, and DeclarationError where
    the range ends before it begins, or as it begins. Without an offset, an instant counts as UTC.
    """

    start: str | None = None
    end: str | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            object.__setattr__(self, name, iso(getattr(self, name)))
        if self.start is not None and self.end is not None and _instant(self.start) >= _instant(self.end):
            raise DeclarationError(
                f"the range from {self.start} until {self.end} has nothing in it", "It ends just before `until`: that must be later than where it begins"
            )

    def among(self, column: str, dtype: pl.DataType) -> pl.Expr:
        """The condition on rows that the range stands for. Raises DeclarationError where a bound is of another kind than the values of the column."""
        where = pl.lit(True)
        if self.start is not None:
            where &= pl.col(column) >= _bound(self.start, column, dtype)
        if self.end is not None:
            where &= pl.col(column) < _bound(self.end, column, dtype)
        return where


def iso(given: object) -> str | None:
    """A date, an instant or text that says one, as ISO text. Raises UnknownName for anything else; None stays None."""
    if given is None:
        return None
    if isinstance(given, dt.date):
        return given.isoformat()
    try:
        if isinstance(given, str):
            dt.datetime.fromisoformat(given)
            return given
    except ValueError:
        pass
    raise UnknownName(f"{given!r} is neither a date nor an instant", _WRITE)


def _instant(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _bound(text: str, column: str, dtype: pl.DataType) -> pl.Expr:
    moment = dt.datetime.fromisoformat(text)
    if dtype == pl.Date:
        if moment.tzinfo or moment.time() != dt.time():
            raise DeclarationError(f"{column} holds dates, and {text} says a time of day", f"Write {moment.date()}, or the day after")
        return pl.lit(moment.date())
    if getattr(dtype, "time_zone", None):
        return pl.lit(_instant(text)).cast(dtype)
    if moment.tzinfo:
        raise DeclarationError(
            f"{column} holds instants without a zone, and {text} has one: which of them it means nobody can say",
            f"Write it as the column has it, such as {moment.replace(tzinfo=None).isoformat()}",
        )
    return pl.lit(moment).cast(dtype)
