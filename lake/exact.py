"""Whether a value says in another type what it said before: a number that text or a wider number would become, and is another then.

Zeros before a number and after its fraction, and a plus, say nothing. A floating-point number is the nearest there is: of whole numbers it must be the number itself.
"""

from __future__ import annotations

import polars as pl

DATE = r"^\d{4}-\d{1,2}-\d{1,2}$"
"""A date whose year is whole: of `24-01-05` nobody knows whether it is the year or the day that comes first, nor the century."""
_INSTANT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d{1,6}0*)?(Z|[+-](?:0\d|1[0-8])(?::?[0-5]\d)?)?$"
_TRUSTED_DIGITS = 15  # significant digits that come back from a 64-bit float as they were
_SAFE = {True: 16, False: 8}  # from so many digits on, whole numbers may not be in a float of 64 bits, or 32


def date_of(text: pl.Expr) -> pl.Expr:
    """The dates that texts are in ISO 8601; null for others."""
    return pl.when(text.str.contains(DATE)).then(text).str.to_date("%Y-%m-%d", strict=False)


def instant_of(text: pl.Expr, *, zoned: bool) -> pl.Expr:
    """The instants that texts are in ISO 8601, to the microsecond: with an offset from UTC where `zoned`, else without one, or a day alone. Null for others."""
    clock = pl.concat_str(
        text.str.head(10), pl.lit("T"), text.str.slice(11, 5), text.str.extract(_INSTANT, 1).fill_null(":00"),
        text.str.extract(_INSTANT, 2).fill_null(".").str.strip_chars_end("0").str.pad_end(7, "0"),
    )  # fmt: skip
    local = clock.str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us", strict=False)
    local = pl.when(text.str.contains(_INSTANT) & (local.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f") == clock)).then(local)
    offset = text.str.extract(_INSTANT, 3)
    if not zoned:
        day = pl.when(text.str.contains(r"^\d{4}-\d\d-\d\d$")).then(text).str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        return pl.when(offset.is_null()).then(pl.coalesce(local, day))
    digits = offset.str.replace_all(r"\D", "").str.pad_end(4, "0")
    minutes = digits.str.head(2).cast(pl.Int64, strict=False) * 60 + digits.str.slice(2, 2).cast(pl.Int64, strict=False)
    beyond = pl.duration(minutes=minutes.fill_null(0) * pl.when(offset.str.starts_with("-")).then(-1).otherwise(1))
    return pl.when(offset.is_not_null()).then((local - beyond).dt.replace_time_zone("UTC"))


def bare(text: pl.Expr) -> pl.Expr:
    """A number written without what says nothing: the plus, and zeros at its ends."""
    fraction = text.str.strip_prefix("+").str.replace(r"^(-?)0+(\d)", "${1}${2}").str.replace(r"^(-?)\.", "${1}0.")
    return pl.when(fraction.str.contains(r"^[^eE]*\.[^eE]*$")).then(fraction.str.replace(r"\.?0*$", "")).otherwise(fraction)


def says_the_same(text: pl.Expr, value: pl.Expr, wanted: pl.DataType) -> pl.Expr:
    """Whether a number says what its text does where nobody declared that it is one: texts with zeros before them are codes, and digits that a float drops were meant."""
    same = bare(text) == bare(value.cast(pl.String))
    return (value.is_not_null() & same & ~text.str.contains(r"^[+-]?0\d")).fill_null(False)


def changed(column: pl.Expr, given: pl.DataType, value: pl.Expr, wanted: pl.DataType) -> pl.Expr | None:
    """Whether a value of `column` (of type `given`) is another number as `value` (of type `wanted`), false for nulls; None where none can be."""
    if given == pl.String and isinstance(wanted, pl.Decimal):
        finer = column.str.contains(rf"^[+-]?\d*\.\d{{{wanted.scale}}}\d*[1-9]\d*$")
        return (finer | (column.str.contains("[eE]") & ~_power_kept(column, value))).fill_null(False)
    if given == pl.String and wanted.is_float():
        whole = column.str.extract(rf"^([+-]?\d{{{_SAFE[wanted == pl.Float64]},}})(?:\.0*)?$", 1)
        vanished = (value == 0) & column.str.contains(r"^[^eE]*[1-9]")
        return vanished.fill_null(False) | (whole.is_not_null() & value.is_finite() & ~_same(whole, value))
    if given in (pl.Int64, pl.UInt64, pl.Int128) and wanted.is_float():
        return column.is_not_null() & ~_same(column, value)
    return None


def _same(whole: pl.Expr, value: pl.Expr) -> pl.Expr:
    return (whole.cast(pl.Int128, strict=False) == value.cast(pl.Int128, strict=False)).fill_null(False)


def _power_kept(column: pl.Expr, value: pl.Expr) -> pl.Expr:
    """Whether a decimal is the number of a text with a power of ten: told by floats, which tell numbers of few digits apart."""
    mantissa = column.str.replace(r"[eE].*$", "")
    few = mantissa.str.replace_all(r"\D", "").str.strip_chars("0").str.len_chars() <= _TRUSTED_DIGITS
    same = value.cast(pl.Float64) == column.cast(pl.Float64, strict=False)
    return (few & same & ((value != 0) | ~mantissa.str.contains("[1-9]"))).fill_null(False)
