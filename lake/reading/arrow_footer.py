"""What an Arrow file says of its batches: in its footer, which readers believe, and where they stand.

A batch that the footer does not name, one of two files after each other, or a column with another number of values than its batch has rows: none is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lake.errors import FileRejected
from lake.wording import counted

_MAGIC = b"ARROW1"
_BEGIN = 8  # bytes before the first message
_MESSAGE = b"\xff\xff\xff\xff"
_END = _MESSAGE + bytes(4)  # after the last message
_LONGEST = 1 << 28  # bytes of a footer or of what is said of a batch
_DICTIONARIES, _BATCHES = 2, 3  # the numbers of fields in the format's own description (File.fbs, Message.fbs)
_HEADER, _LENGTH, _NODES = 2, 0, 1


def check_batches(path: Path, columns: int, rows: int) -> None:
    """Raise FileRejected where an Arrow file of so many columns without others inside them, from which `rows` came, has others, or bytes that are no part of it.

    `columns` is 0 where some have others inside them.
    """
    try:
        with path.open("rb") as handle:
            footer, begin = read_footer(handle)
            batches = list(_blocks(footer, _BATCHES))
            _check_gaps(handle, [*_blocks(footer, _DICTIONARIES), *batches], begin)
            lengths = [_rows(handle, at, length, columns, number) for number, (at, length, _) in enumerate(batches, 1)]
    except (ValueError, struct.error) as error:
        why = error if not isinstance(error, struct.error) else "it is cut, or points beyond its end"
        raise FileRejected(f"the file's footer cannot be read: {why}", "Write the file again; its bytes are kept in raw") from None
    if sum(lengths) != rows:
        told = f"the file's {counted(len(lengths), 'batch')} have {counted(sum(lengths), 'row')} by their own word, and {rows:,} can be read"
        raise FileRejected(told, "Write the file again; its bytes are kept in raw")


def read_footer(handle: IO[bytes]) -> tuple[bytes, int]:
    """The footer, and where it begins."""
    size = handle.seek(0, 2)
    handle.seek(max(0, size - 10))
    length, magic = struct.unpack("<i6s", handle.read(10))
    if magic != _MAGIC or not 0 < length <= min(size - 10, _LONGEST):
        raise ValueError("it does not end as one")
    handle.seek(size - 10 - length)
    return handle.read(length), size - 10 - length


def _check_gaps(handle: IO[bytes], blocks: list[tuple[int, int, int]], footer: int) -> None:
    """Raise FileRejected where there is more between what the footer names than padding and the sign that no message follows."""
    at = _after_schema(handle, min([footer, *(begin for begin, _, _ in blocks)]))
    for begin, length, body in [*sorted(blocks), (footer, 0, 0)]:
        handle.seek(at)
        between = handle.read(min(max(0, begin - at), _LONGEST))
        if between.replace(_END, b"").strip(b"\0"):
            raise FileRejected(
                f"the {counted(len(between), 'byte')} from byte {at + 1:,} on are no batch that the file's end names: it was cut and written on, or is two files in one",
                "Land each by itself; all bytes are kept in raw",
            )
        at = begin + length + body


def _after_schema(handle: IO[bytes], first: int) -> int:
    """Where the first message ends, which says what the columns are; where it has no length before it, as Polars writes it, that is at the `first` batch."""
    handle.seek(_BEGIN)
    sign, length = struct.unpack("<4si", handle.read(8))
    return _BEGIN + 8 + length if sign == _MESSAGE else first


def _rows(handle: IO[bytes], at: int, length: int, columns: int, number: int) -> int:
    """How many rows the batch at a place has by its own word."""
    if not 0 < length <= _LONGEST:
        raise ValueError("it names a batch without an end")
    handle.seek(at)
    said = handle.read(length)
    said = said[8:] if said.startswith(_MESSAGE) else said[4:]
    message = struct.unpack_from("<I", said)[0]
    batch = pointed_at(said, field_at(said, message, _HEADER))
    held = field_at(said, batch, _LENGTH)
    rows = int(struct.unpack_from("<q", said, held)[0]) if held is not None else 0
    nodes = pointed_at(said, field_at(said, batch, _NODES))
    count = struct.unpack_from("<I", said, nodes)[0]
    for i in range(count if count == columns else min(count, 1)):
        values = struct.unpack_from("<q", said, nodes + 4 + 16 * i)[0]
        if values != rows:
            told = f"batch {number:,} has {counted(rows, 'row')}, and {counted(values, 'value')} in column {i + 1}"
            raise FileRejected(told, "Write the file again; its bytes are kept in raw")
    return rows


def _blocks(footer: bytes, number: int) -> Iterator[tuple[int, int, int]]:
    """Where messages stand: the place, and the lengths of what is said and of what it is said of."""
    held = field_at(footer, struct.unpack_from("<I", footer)[0], number)
    if held is None:
        return
    listed = pointed_at(footer, held)
    for i in range(struct.unpack_from("<I", footer, listed)[0]):
        at, length, body = struct.unpack_from("<qi4xq", footer, listed + 4 + 24 * i)
        yield at, length, body


def field_at(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a table of FlatBuffers stands; None where it has its default."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    if not 0 <= fields < len(data):
        raise ValueError("it points beyond its end")
    size = struct.unpack_from("<H", data, fields)[0]
    place = struct.unpack_from("<H", data, fields + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
    return table + place if place else None


def pointed_at(data: bytes, place: int | None) -> int:
    """What a field points to."""
    if place is None:
        raise ValueError("something is missing that every Arrow file has")
    return place + int(struct.unpack_from("<I", data, place)[0])
