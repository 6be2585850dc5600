"""Whether every byte of a zip archive belongs to a file that its list names.

The list stands at an archive's end, and the library looks for no other: of two archives one after the other, or one that was cut and written on, it reads the last.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO

from lake.errors import FileRejected
from lake.wording import counted

LOCAL_HEADER = 30  # bytes at least
_HEADER, _END = b"PK\x03\x04", b"PK\x05\x06"
_DESCRIPTION = 24  # bytes at most, after a file of which size and checksum were not known when it was begun
_END_LENGTH = 22


def check_accounted(path: Path, archive: zipfile.ZipFile, name: str) -> None:
    """Raise FileRejected where bytes of the archive that are not all NUL are neither a file in its list nor the list itself."""
    with path.open("rb") as handle:
        at = 0
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            _check_gap(handle, at, info.header_offset, name)
            handle.seek(info.header_offset)
            head = handle.read(LOCAL_HEADER)
            if len(head) < LOCAL_HEADER or not head.startswith(_HEADER):
                return  # reading that file says so
            at = info.header_offset + LOCAL_HEADER + sum(struct.unpack_from("<HH", head, 26)) + info.compress_size
            at += _described(handle, at, info)
        _check_gap(handle, at, archive.start_dir, name)
        _check_gap(handle, _end(handle, archive), handle.seek(0, 2), name)


def _described(handle: IO[bytes], at: int, info: zipfile.ZipInfo) -> int:
    """How many bytes after a file tell its size and checksum."""
    if not info.flag_bits & 0x08:
        return 0
    handle.seek(at)
    told = handle.read(_DESCRIPTION)
    marked = 4 if told.startswith(b"PK\x07\x08") else 0
    large = struct.pack("<QQ", info.compress_size, info.file_size)
    return marked + (20 if told[marked + 4 : marked + 20] == large else 12)


def _end(handle: IO[bytes], archive: zipfile.ZipFile) -> int:
    """Where the archive ends by its own word: after its list, the end of that, and its comment."""
    handle.seek(archive.start_dir)
    rest = handle.read()
    at = rest.rfind(_END, 0, len(rest) - _END_LENGTH + 4)
    return archive.start_dir + at + _END_LENGTH + int(struct.unpack_from("<H", rest, at + 20)[0]) if at >= 0 else archive.start_dir + len(rest)


def _check_gap(handle: IO[bytes], begin: int, end: int, name: str) -> None:
    """Raise FileRejected for bytes from `begin` to `end` that are not all NUL."""
    handle.seek(begin)
    left = end - begin
    while left > 0 and (some := handle.read(min(left, 1 << 20))):
        if some.strip(b"\0"):
            raise FileRejected(
                f"{name} is damaged: the {counted(end - begin, 'byte')} from byte {begin + 1:,} on belong to no file that its list names",
                "Pack it again: two archives one after the other are not one; all its bytes are kept in raw",
            )
        left -= len(some)
