"""Compressed files as streams of the bytes inside, told apart by their first bytes rather than by their name."""

from __future__ import annotations

import contextlib
import errno
import gzip
import itertools
import lzma
import re
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import zstandard

from lake.errors import FileRejected
from lake.reading.archives import LOCAL_HEADER, check_accounted
from lake.reading.bounds import LONGEST_CONTENTS, MOST_MEMBERS
from lake.reading.streams import CHUNK, is_skippable, is_zstd, streamed
from lake.wording import counted

Compression = Literal["gz", "zst", "bz2", "xz", "zip"]
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gz"), (b"\x28\xb5\x2f\xfd", "zst"), (b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"),
)  # fmt: skip
_BZ2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")  # the first three alone may begin a text
_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".zip")
_LONGEST_END = (1 << 16) + 22 + 76  # bytes: the end of an archive with its longest comment, and the record before it of a large one
_ALWAYS_ALLOWED, _MOST_TIMES = 1 << 32, 250


def compression_of(path: Path) -> Compression | None:
    """How the file is packed, by its first bytes; None if it is not. Office documents are zip files but not packed ones."""
    with path.open("rb") as handle:
        head = handle.read(10)
    found = next((name for magic, name in _MAGIC if head.startswith(magic)), "bz2" if _BZ2.match(head) else None)
    if is_skippable(head) and is_zstd(path):
        return "zst"
    if found == "zip":
        try:
            if _contents_length(path) > LONGEST_CONTENTS:
                return "zip"  # which is refused when it is opened
            with zipfile.ZipFile(path) as archive:
                inside = frozenset(archive.namelist())
                spreadsheet = "mimetype" in inside and archive.read("mimetype").startswith(b"application/vnd.oasis.opendocument")
                return None if "[Content_Types].xml" in inside or spreadsheet else "zip"
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, EOFError, zlib.error, ValueError, OSError):
            return "zip"
    return found


def bare_name(name: str) -> str:
    """The name without a packing suffix: `a.csv.gz` is `a.csv`."""
    lowered = name.lower()
    return next((name[: -len(suffix)] for suffix in _SUFFIXES if lowered.endswith(suffix) and len(lowered) > len(suffix)), name)


def members(path: Path, compression: Compression | None, name: str, most: int | None = None) -> list[tuple[str | None, str]]:
    """The files inside as (member, name): one with member None, or a zip's files in the archive's order.

    Raises FileRejected, also where they would unpack to more than `most` bytes together, or where two lie in the same bytes.
    """
    if compression != "zip":
        return [(None, bare_name(name) if compression else name)]
    with _rejecting(name), _archive(path, name) as archive:
        inside = [info for info in archive.infolist() if not info.is_dir() and not _is_litter(info.filename)]
        if len(inside) > MOST_MEMBERS:
            raise FileRejected(f"{name} holds {counted(len(inside), 'file')}, more than {MOST_MEMBERS:,}", "Pack them into several archives")
        if len({info.filename for info in inside}) < len(inside):
            raise FileRejected(f"{name} holds two files of one name", "Pack it again with different names")
        placed = sorted(archive.infolist(), key=lambda info: info.header_offset)
        for info, after in itertools.pairwise(placed):
            if info.header_offset + LOCAL_HEADER + info.compress_size > after.header_offset:
                raise FileRejected(f"{name} is no honest archive: {info.filename} and {after.filename} lie in the same bytes", "Pack it again")
        check_accounted(path, archive, name)
        size = sum(info.file_size for info in inside)  # what comes out of each is cut at what is told here
        if most is not None and size > most:
            raise _too_much(path, name, most)
    return [(info.filename, info.filename) for info in inside]


_opened_here = threading.local()


@contextmanager
def kept_open(path: Path, compression: Compression | None, name: str) -> Iterator[None]:
    """Within it this thread reads the list of what an archive holds once, instead of once for each of them."""
    if compression != "zip" or getattr(_opened_here, "path", None) is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(Exception):  # reading it says what is wrong with it
            _opened_here.archive = stack.enter_context(_archive(path, name))
            _opened_here.path = path
        try:
            yield
        finally:
            _opened_here.archive = _opened_here.path = None


@contextmanager
def _archive(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    """The archive, open."""
    if getattr(_opened_here, "path", None) == path:
        yield _opened_here.archive
        return
    if _contents_length(path) > LONGEST_CONTENTS:
        raise FileRejected(f"{name} holds more than {MOST_MEMBERS:,} files, or says so", "Pack them into several archives")
    with zipfile.ZipFile(path) as archive:
        yield archive


def _contents_length(path: Path) -> int:
    """How many bytes an archive says that the list of its files has: it is read whole when the archive is opened."""
    with path.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(0, size - _LONGEST_END))
        end = handle.read()
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or len(end) < at + 22:
        return 0
    length = int(struct.unpack_from("<I", end, at + 12)[0])
    large = end.rfind(b"PK\x06\x06", 0, at)
    return int(struct.unpack_from("<Q", end, large + 40)[0]) if large >= 0 and len(end) >= large + 48 else length


def most_bytes(path: Path, compression: Compression | None, told: int | None) -> int | None:
    """How many bytes may come out of a file: as told, or 4 GiB, or 250 times its size if that is more. No bound for a file that is not packed."""
    if compression is None:
        return None
    return told or max(_ALWAYS_ALLOWED, _MOST_TIMES * path.stat().st_size)


def unpack(path: Path, compression: Compression | None, member: str | None, name: str, most: int | None = None) -> Iterator[bytes]:
    """The bytes inside, in chunks of about a megabyte.

    Raises FileRejected where the packing is damaged or more than `most` bytes come out, after what could be read.
    """
    size = 0
    for chunk in _unpacked(path, compression, member, name):
        size += len(chunk)
        if most is not None and size > most:
            raise _too_much(path, name, most)
        yield chunk


def _too_much(path: Path, name: str, most: int) -> FileRejected:
    told = f"{name} unpacks to more than {counted(most, 'byte')}, from {path.stat().st_size:,}"
    return FileRejected(f"{told}; if that is right, say so: Hints(most_bytes=…)", "Set the bound on the source")


def _unpacked(path: Path, compression: Compression | None, member: str | None, name: str) -> Iterator[bytes]:
    with _rejecting(name):
        if compression == "zip":
            with _archive(path, name) as archive:
                if archive.getinfo(member or "").flag_bits & 0x1:
                    raise FileRejected(f"{name}: {member} inside is encrypted", "Land it unencrypted; the store can encrypt at rest")
                with archive.open(member or "") as handle:
                    yield from _chunks(handle)
            return
        if compression is not None:
            yield from streamed(path, compression, name)
            return
        with path.open("rb") as handle:
            yield from _chunks(handle)


def _chunks(handle: IO[bytes]) -> Iterator[bytes]:
    while chunk := handle.read(CHUNK):
        yield chunk


def _is_litter(name: str) -> bool:
    """Files that archivers of other systems leave behind."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] in (".DS_Store", "Thumbs.db")


_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zstandard.ZstdError, zlib.error, EOFError, KeyError, ValueError, OverflowError, struct.error)


@contextmanager
def _rejecting(name: str) -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise FileRejected(f"{name} is packed in a way that cannot be read: {error}", "Pack it with deflate, or as gz or zst") from None
    except _DAMAGE as error:
        raise FileRejected(f"{name} is damaged: {str(error) or type(error).__name__}", "Send it again; the damaged bytes are kept in raw") from None
    except OSError as error:
        if error.errno is None or error.errno == errno.EINVAL:  # bz2 says only this; a zip may point before its own beginning
            raise FileRejected(f"{name} is damaged: {error}", "Send it again; the damaged bytes are kept in raw") from None
        raise
