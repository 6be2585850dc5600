"""Three files of one subject, drawn from a number: a column of one type, the column of another type or in another format, and a plain third file that must come in."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import polars as pl
import xlsxwriter

from lake.table import Policy

Values = list[Any]
_DAY, _AT, _LONG = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, 30, 5, 123456), dt.timedelta(hours=30, minutes=5)  # noqa: DTZ001  # as files have it
_ZONED = _AT.replace(tzinfo=dt.UTC)
TEXTS: dict[str, Values] = {
    "words": ["a", "", None], "numbers": ["1", "1.599", "007"], "huge": ["9" * 40, "-1e400", "1e999"], "days": ["2024-02-29", "24-01-05", "2024-02-30"],
    "instants": ["2024-02-29T12:30:05", "2024-02-29 12:30", None], "offsets": ["2024-02-29T12:30:05+05:30", "2024-02-29T12:30:05Z", "2024-02-29T12:30:05-00:00"],
    "far": ["9999-12-31T23:59:59.999999999", "0001-01-01", "-262144-01-01"], "lengths": ["30:05:00", "PT1H", "1d"], "switches": ["true", "False", "1"],
    "objects": ['{"f":1}', "[1,2]", "null"], "odd": ["\u00e9\U0001f600", "NaN", "inf"],
}  # fmt: skip
PLAIN: dict[str, Values] = TEXTS | {
    "whole": [1, -2, None], "large": [2**63 - 1, -(2**63), 0], "beyond": [2**64, 2**70, 1], "floats": [1.5, -0.0, None], "wide": [1e308, 5e-324, 1.0],
    "true": [True, False, None], "mixed": [1, "x", True], "half": [1, 1.5, None], "lists": [[1, 2], [], None], "texts": [["a"], [None], None],
    "structs": [{"f": 1}, {"g": "x"}, None], "deep": [{"f": [{"g": 1}]}, {"f": []}, {"f": None}], "nothing": [None, None, None], "bare": [{}, {}, None],
}  # fmt: skip
_COLUMNS: dict[str, tuple[Values, Any]] = {
    **{f"{dtype}": ([1, 0, None], dtype()) for dtype in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)},
    "least": ([-128, 127, None], pl.Int8()), "most": ([2**64 - 1, 0, None], pl.UInt64()), "widest": ([2**100, -(2**126), None], pl.Int128()),
    "single": ([0.1, float("nan"), None], pl.Float32()), "double": ([0.1, float("inf"), float("-inf")], pl.Float64()),
    "money": ([Decimal("1.10"), Decimal("-99999999.99"), None], pl.Decimal(10, 2)), "digits": ([Decimal(10**37), Decimal(-1), None], pl.Decimal(38, 0)),
    "places": ([Decimal("0.1"), Decimal("9.9"), None], pl.Decimal(38, 37)), "switch": ([True, False, None], pl.Boolean()), "text": (["a", "1", None], pl.String()),
    "bytes": ([b"\xff\x00", b"", None], pl.Binary()), "utf8": ([b"abc", b"1", None], pl.Binary()), "day": ([_DAY, dt.date(1, 1, 1), dt.date(9999, 12, 31)], pl.Date()),
    "clock": ([dt.time(23, 59, 1), dt.time(0), None], pl.Time()), "none": ([None, None, None], pl.Null()), "kinds": (["a", "b", None], pl.Categorical()),
    "named": (["a", "b", None], pl.Enum(["a", "b"])), "whole": ([[1], [], None], pl.List(pl.Int64())), "small": ([[1], [], None], pl.List(pl.UInt8())),
    "lists": ([[["a"]], [[]], None], pl.List(pl.List(pl.String()))), "pairs": ([[1, 2], [3, 4], None], pl.Array(pl.Int32(), 2)),
    "struct": ([{"f": 1, "g": "x"}, {"f": None, "g": None}, None], pl.Struct({"f": pl.Int64(), "g": pl.String()})),
    "other": ([{"f": "1", "h": _DAY}, {"f": None, "h": None}, None], pl.Struct({"f": pl.String(), "h": pl.Date()})),
    "rows": ([[{"f": 1}], [], None], pl.List(pl.Struct({"f": pl.Int16()}))), "empty": ([[], [None], None], pl.List(pl.Null())),
    **{f"length in {unit}": ([_LONG, dt.timedelta(0), None], pl.Duration(unit)) for unit in ("ns", "us", "ms")},
    **{f"instant in {unit}": ([_AT, None, None], pl.Datetime(unit)) for unit in ("ns", "us", "ms")},
    **{f"instant in {unit} of {zone}": ([_ZONED, None, None], pl.Datetime(unit, zone)) for unit in ("ns", "us", "ms") for zone in ("UTC", "Asia/Kolkata")},
    "first": ([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59), None], pl.Datetime("us")),  # noqa: DTZ001  # as files have it
    "lasting": ([{"f": _LONG}, None, None], pl.Struct({"f": pl.Duration("us")})), "moments": ([[_AT], None, None], pl.List(pl.Datetime("us"))),
    "zoned": ([[_ZONED], None, None], pl.List(pl.Datetime("ms", "UTC"))), "coins": ([[Decimal("1.5")], None, None], pl.List(pl.Decimal(5, 1))),
}  # fmt: skip
CELLS: dict[str, Values] = TEXTS | {
    "whole": [1, -2, None], "floats": [1.5, 1e15, 0.1], "true": [True, False, None], "days": [_DAY, _DAY, None], "instants": [_AT, None, _AT],
    "clocks": [dt.time(12, 30), None, dt.time(0)], "lengths": [_LONG, dt.timedelta(minutes=1), None], "lengths beside text": [_LONG, "n/a", _LONG],
    "lengths beside numbers": [_LONG, 1, 2.5], "lengths beside days": [_LONG, _DAY, _AT], "days beside text": [_DAY, "soon", 1], "errors": ["#N/A", 5, None],
    "true beside text": [True, "x", 1], "nothing": [None, None, None], "clocks beside days": [dt.time(1), _DAY, None],
}  # fmt: skip
_SHOWN: dict[type, str] = {dt.datetime: "yyyy-mm-dd hh:mm:ss", dt.date: "yyyy-mm-dd", dt.time: "hh:mm:ss", dt.timedelta: "[h]:mm:ss"}


@dataclass(frozen=True)
class Drawn:
    """One file of three rows: its name without the ending, its format, the types of its columns v0, v1 … beside `id`, and the first number in that."""

    name: str
    kind: str
    types: tuple[str, ...]
    first: int

    @property
    def body(self) -> bytes:
        """Its bytes."""
        types, write = FORMATS[self.kind]
        return write([self.first, self.first + 1, self.first + 2], {f"v{at}": types[one] for at, one in enumerate(self.types)})


def _csv(ids: list[int], columns: dict[str, Values]) -> bytes:
    def field(value: Any) -> str:
        text = "" if value is None else str(value)
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(sign in text for sign in ',"\n') else text

    rows = zip(ids, *columns.values(), strict=True)
    return "".join(",".join(map(field, row)) + "\n" for row in [("id", *columns), *rows]).encode()


def _objects(ids: list[int], columns: dict[str, Values]) -> Iterator[dict[str, Any]]:
    for at, number in enumerate(ids):
        yield {"id": number} | {name: values[at] for name, values in columns.items()}


def _columnar(ids: list[int], columns: dict[str, tuple[Values, Any]], kind: str) -> bytes:
    made = io.BytesIO()
    frame = pl.DataFrame({"id": ids} | {name: pl.Series(values, dtype=dtype, strict=False) for name, (values, dtype) in columns.items()})
    if kind == "parquet":
        frame.write_parquet(made)
    else:
        frame.write_ipc(made)
    return made.getvalue()


def _workbook(ids: list[int], columns: dict[str, Values]) -> bytes:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet("data")
        shown = {kind: book.add_format({"num_format": spelled}) for kind, spelled in _SHOWN.items()}
        for column, (name, values) in enumerate({"id": ids, **columns}.items()):
            sheet.write_string(0, column, name)
            for row, value in enumerate(values, 1):
                if type(value) in shown:
                    sheet.write_datetime(row, column, value, shown[type(value)])
                elif isinstance(value, str) and value.startswith("#"):
                    sheet.write_formula(row, column, "=NA()", None, value)
                elif isinstance(value, str):
                    sheet.write_string(row, column, value)
                elif value is not None:
                    sheet.write(row, column, value)
    return made.getvalue()


FORMATS: dict[str, tuple[dict[str, Any], Callable[[list[int], dict[str, Any]], bytes]]] = {
    "csv": (TEXTS, _csv),
    "json": (PLAIN, lambda ids, columns: json.dumps(list(_objects(ids, columns))).encode()),
    "ndjson": (PLAIN, lambda ids, columns: b"".join(json.dumps(row).encode() + b"\n" for row in _objects(ids, columns))),
    "parquet": (_COLUMNS, lambda ids, columns: _columnar(ids, columns, "parquet")),
    "arrow": (_COLUMNS, lambda ids, columns: _columnar(ids, columns, "arrow")),
    "xlsx": (CELLS, _workbook),
}
"""By format: the types that a column may have there, each with three values, and what writes a file with such columns."""


def drawn(number: int) -> tuple[Policy, list[Drawn]]:
    """How the table takes what differs, and its first two files: at least one column is in both. The types differ, the formats may."""
    chance = random.Random(number)
    policy: Policy = chance.choice(["evolve", "evolve", "evolve", "freeze", "strict"])
    width, files = chance.choice([1, 1, 1, 2, 3]), []
    for at, name in enumerate("ab"):
        kind = chance.choice(list(FORMATS))
        chosen = tuple(chance.choice(list(FORMATS[kind][0])) for _ in range(width))
        files.append(Drawn(name, kind, chosen, 10 * at + 1))
    return policy, files


def good(like: Drawn | None) -> Drawn:
    """A third file that must come in: one of the same types as a file that did, or where the table is not strict plain text."""
    return Drawn("c", "csv", ("numbers",), 21) if like is None else replace(like, name="c", first=21)
