"""Time zones that Polars has no name for, such as `+05:30`: instants are stored as they are in UTC, and so a copy of the file that says UTC has the same ones."""

from __future__ import annotations

import base64
import functools
import shutil
import struct
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

from lake.reading.arrow_footer import field_at, pointed_at, read_footer
from lake.reading.bounds import DEEPEST
from lake.reading.parquet_footer import kept_schema

_SCHEMA = 1  # the numbers of fields in the format's own description (File.fbs, Message.fbs, Schema.fbs)
_HEADER, _FIELDS, _KIND, _TYPE, _CHILDREN, _ZONE = 2, 1, 2, 3, 5, 1
_TIMESTAMP = 10
_MOST_FIELDS = 1 << 16
_UTC = b"UTC"


def with_known_zones(path: Path, kind: str, folder: Path) -> Path:
    """The Parquet or Arrow file, or a copy of it in `folder` with UTC for each zone that has no name, if it has such."""
    try:
        changes = list(_changes(path, kind))
    except (ValueError, struct.error, LookupError, TypeError, AttributeError):
        return path  # reading it says what is wrong
    if not changes:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "zoned"
    shutil.copyfile(path, target)
    with target.open("r+b") as handle:
        for at, said in changes:
            handle.seek(at)
            handle.write(said)
    return target


def _changes(path: Path, kind: str) -> Iterator[tuple[int, bytes]]:
    """What is to be written where."""
    if kind == "arrow":
        with path.open("rb") as handle:
            footer, begin = read_footer(handle)
        said = bytearray(footer)
        schema = pointed_at(footer, field_at(footer, struct.unpack_from("<I", footer)[0], _SCHEMA))
    else:
        found = kept_schema(path)
        if found is None:
            return
        kept, begin = found
        said = bytearray(base64.b64decode(kept, validate=True))
        start = 8 if said.startswith(b"\xff\xff\xff\xff") else 4
        message = start + struct.unpack_from("<I", said, start)[0]
        schema = pointed_at(bytes(said), field_at(bytes(said), message, _HEADER))
    odd = list(_odd_zones(bytes(said), schema))
    for at in odd:
        length = struct.unpack_from("<I", said, at)[0]
        said[at : at + 4 + max(length, len(_UTC))] = struct.pack("<I", len(_UTC)) + _UTC.ljust(length, b"\0")
    if odd:
        yield begin, bytes(said) if kind == "arrow" else base64.b64encode(said)


def _odd_zones(data: bytes, schema: int) -> Iterator[int]:
    """Where zones stand that have no name, and that can be written over."""
    left, seen = [(schema, _FIELDS, 0)], 0
    while left:
        table, number, depth = left.pop()
        held = field_at(data, table, number)
        if held is None or depth > DEEPEST:
            continue
        listed = pointed_at(data, held)
        for i in range(struct.unpack_from("<I", data, listed)[0]):
            seen += 1
            if seen > _MOST_FIELDS:
                return
            one = pointed_at(data, listed + 4 + 4 * i)
            left.append((one, _CHILDREN, depth + 1))
            kind = field_at(data, one, _KIND)
            if kind is None or data[kind] != _TIMESTAMP:
                continue
            zone = field_at(data, pointed_at(data, field_at(data, one, _TYPE)), _ZONE)
            if zone is not None and _is_odd(data, at := pointed_at(data, zone)):
                yield at


def _is_odd(data: bytes, at: int) -> bool:
    length = struct.unpack_from("<I", data, at)[0]
    name = data[at + 4 : at + 4 + length]
    room = length >= len(_UTC) or not any(data[at + 4 + length : at + 8])  # what fills up the last four bytes
    return bool(name) and room and name.decode("utf-8", "replace") not in _named()


@functools.cache
def _named() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
