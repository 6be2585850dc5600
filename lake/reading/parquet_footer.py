"""What the footer of a Parquet file says of its rows and of where their bytes are, beside what a reader makes of it.

Readers believe one of several counts and offsets: the file's number of rows, those of its row groups, the values of each column, and the places of their pages.
Where these contradict each other some rows would be lost, or others be made up, in silence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lake.errors import FileRejected
from lake.reading.bounds import DEEPEST
from lake.wording import counted

_MAGIC = b"PAR1"
_LONGEST = 1 << 28  # bytes of a footer
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4  # the numbers of fields in the format's own description (parquet.thrift)
_COLUMNS, _ROWS_OF_GROUP = 1, 3
_ELSEWHERE, _ABOUT, _VALUES, _PATH, _SIZE, _DATA, _DICTIONARY = 1, 3, 5, 3, 7, 9, 11
_KEPT, _KEY, _VALUE = 5, 1, 2
_KIND, _INT96 = 1, 3
_REPETITION, _NAME, _REPEATED = 3, 4, 2


def check_rows(path: Path, rows: int) -> None:
    """Raise FileRejected where a Parquet file from which `rows` came says that it has others, or bytes that are no part of it."""
    try:
        told, footer = _footer(path)
        repeated = {bytes(one[_NAME]) for one in told[_SCHEMA] if one.get(_REPETITION) == _REPEATED}
        if any(_ELSEWHERE in column for group in told[_GROUPS] for column in group[_COLUMNS]):
            raise FileRejected("the rows are in other files, which this one names", "Land these")
        groups = [(int(group[_ROWS_OF_GROUP]), [column[_ABOUT] for column in group[_COLUMNS]]) for group in told[_GROUPS]]
        _check_counts(int(told[_ROWS]), groups, rows, repeated)
        ends = [_begin(column) + int(column[_SIZE]) for _, columns in groups for column in columns]
    except (LookupError, ValueError, TypeError, AttributeError, struct.error) as error:
        why = error if isinstance(error, ValueError) else "it is not what every Parquet file has"
        raise FileRejected(f"the file's footer cannot be read: {why}", "Write the file again; its bytes are kept in raw") from None
    _check_nothing_else(path, max(ends, default=len(_MAGIC)), footer)


def kept_schema(path: Path) -> tuple[bytes, int] | None:
    """The Arrow schema that a Parquet file keeps beside its own, as it stands there (in base64), and where; None if it keeps none. Raises ValueError."""
    told, begin = _footer(path)
    kept = next((bytes(one[_VALUE]) for one in told.get(_KEPT, []) if one[_KEY] == b"ARROW:schema"), None)
    if not kept:
        return None
    with path.open("rb") as handle:
        handle.seek(begin)
        at = handle.read().find(kept)
    return (kept, begin + at) if at >= 0 else None


def columns_of_96_bits(path: Path) -> list[str]:
    """The columns, not inside others, whose instants are days and nanoseconds of a day in 96 bits: more than 64 bits of nanoseconds can count."""
    told, _ = _footer(path)
    abouts = [column[_ABOUT] for group in told[_GROUPS] for column in group[_COLUMNS]]
    return list(dict.fromkeys(about[_PATH][0].decode() for about in abouts if about[_KIND] == _INT96 and len(about[_PATH]) == 1))


def _check_counts(told: int, groups: list[tuple[int, list[dict[int, Any]]]], rows: int, repeated: set[bytes]) -> None:
    of_groups = sum(count for count, _ in groups)
    if not told == of_groups == rows:
        raise FileRejected(
            f"the file says that it has {counted(told, 'row')}, its row groups have {of_groups:,} by their own word, and {rows:,} can be read",
            "Write the file again; its bytes are kept in raw",
        )
    for number, (count, columns) in enumerate(groups, 1):
        for column in columns:
            if len(column[_PATH]) == 1 and column[_PATH][0] not in repeated and int(column[_VALUES]) != count:
                name = b".".join(column[_PATH]).decode("utf-8", "replace")
                raise FileRejected(
                    f"row group {number:,} has {counted(count, 'row')}, and {counted(int(column[_VALUES]), 'value')} in column {name}",
                    "Write the file again; its bytes are kept in raw",
                )


def _begin(column: dict[int, Any]) -> int:
    return min(int(column[_DATA]), int(column.get(_DICTIONARY) or column[_DATA]))


def _check_nothing_else(path: Path, end: int, footer: int) -> None:
    """Raise FileRejected where another file ends between the last page and the footer: indexes and filters are all that stands there."""
    with path.open("rb") as handle:
        handle.seek(end)
        between = handle.read(max(0, footer - end))
    if (at := between.find(_MAGIC + _MAGIC)) >= 0:
        raise FileRejected(
            f"another Parquet file ends at byte {end + at + len(_MAGIC):,}: two files one after the other are not one",
            "Land each by itself; all bytes are kept in raw",
        )


def _footer(path: Path) -> tuple[dict[int, Any], int]:
    """The footer by the numbers of its fields, and where it begins."""
    with path.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(0, size - 8))
        length, magic = struct.unpack("<I4s", handle.read(8))
        if magic != _MAGIC or length > min(size - 8, _LONGEST):
            raise ValueError("it does not end as one")
        handle.seek(size - 8 - length)
        return _Compact(handle.read(length)).struct(), size - 8 - length


class _Compact:
    """Thrift's compact protocol, as far as footers need it: structs as dictionaries by the numbers of their fields."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._depth = data, 0, 0

    def struct(self) -> dict[int, Any]:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("it is nested too deep")
        found, number = dict[int, Any](), 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            found[number] = self._value(head & 0x0F, field=True)
        self._depth -= 1
        return found

    def _value(self, kind: int, *, field: bool = False) -> Any:
        if kind in (1, 2):
            return kind == 1 if field else self._byte() == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._whole()
        if kind == 7:
            return self._take(8)
        if kind == 8:
            return self._take(self._number())
        if kind in (9, 10):
            return list(self._listed())
        if kind == 12:
            return self.struct()
        raise ValueError("it has a field of an unknown kind")

    def _listed(self) -> Iterator[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._number()
        if count > len(self._data):
            raise ValueError("it is cut")
        for _ in range(count):
            yield self._value(head & 0x0F)

    def _whole(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _number(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self._byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
            if shift > 63:
                raise ValueError("a number in it has no end")

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, length: int) -> bytes:
        some = self._data[self._at : self._at + length]
        if len(some) < length:
            raise ValueError("it is cut")
        self._at += length
        return some
