"""Compressed files as streams of the bytes inside, told apart by their first bytes rather than by their name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import zstandard

from lake.errors import FileRejected

Compression = Literal["gz", "zst", "bz2", "xz", "zip"]
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gz"), (b"\x28\xb5\x2f\xfd", "zst"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"),
)  # fmt: skip
_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".zip")
_CHUNK = 1 << 20


def compression_of(path: Path) -> Compression | None:
    """How the file is packed, by its first bytes; None if it is not. Office documents are zip files but not packed ones."""
    with path.open("rb") as handle:
        head = handle.read(8)
    found = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if found == "zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return None if "[Content_Types].xml" in archive.namelist() else "zip"
        except zipfile.BadZipFile:
            return "zip"
    return found


def bare_name(name: str) -> str:
    """The name without a packing suffix: `a.csv.gz` is `a.csv`."""
    lowered = name.lower()
    return next((name[: -len(suffix)] for suffix in _SUFFIXES if lowered.endswith(suffix) and len(lowered) > len(suffix)), name)


def members(path: Path, compression: Compression | None, name: str) -> list[tuple[str | None, str]]:
    """The files inside as (member, name): one with member None, or a zip's files in the archive's order. Raises FileRejected."""
    if compression != "zip":
        return [(None, bare_name(name) if compression else name)]
    with _rejecting(name), zipfile.ZipFile(path) as archive:
        inside = [info for info in archive.infolist() if not info.is_dir() and not _is_litter(info.filename)]
        if len({info.filename for info in inside}) < len(inside):
            raise FileRejected(f"{name} holds two files of one name", "Pack it again with different names")
        if locked := [info.filename for info in inside if info.flag_bits & 0x1]:
            raise FileRejected(f"{name}: {locked[0]} inside is encrypted", "Land it unencrypted; the store can encrypt at rest")
    return [(info.filename, info.filename) for info in inside]


def unpack(path: Path, compression: Compression | None, member: str | None, name: str) -> Iterator[bytes]:
    """The bytes inside, in chunks of about a megabyte. Raises FileRejected where the packing is damaged, after what could be read."""
    with _rejecting(name):
        if compression == "zip":
            with zipfile.ZipFile(path) as archive, archive.open(member or "") as handle:
                yield from _chunks(handle)
            return
        if compression == "zst":
            yield from _unzst(path, name)
            return
        with _opened(path, compression) as handle:
            yield from _chunks(handle)


def _opened(path: Path, compression: Compression | None) -> IO[bytes]:
    if compression == "gz":
        return gzip.open(path)  # type: ignore[return-value]  # a GzipFile reads like any binary file
    if compression == "bz2":
        return bz2.open(path)
    if compression == "xz":
        return lzma.open(path)
    return path.open("rb")


def _unzst(path: Path, name: str) -> Iterator[bytes]:
    """Every frame of a zstd file; one that ends early is damaged, which the library's own file object does not tell."""
    with path.open("rb") as handle:
        frame, fed = zstandard.ZstdDecompressor().decompressobj(), False
        for chunk in _chunks(handle):
            rest = chunk
            while rest:
                yield frame.decompress(rest)
                fed = not frame.eof
                rest = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
        if fed:
            raise FileRejected(f"{name} is damaged: it ends in the middle", "Send it again; the damaged bytes are kept in raw")


def _chunks(handle: IO[bytes]) -> Iterator[bytes]:
    while chunk := handle.read(_CHUNK):
        yield chunk


def _is_litter(name: str) -> bool:
    """Files that archivers of other systems leave behind."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] in (".DS_Store", "Thumbs.db")


@contextmanager
def _rejecting(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zstandard.ZstdError, zlib.error, EOFError, NotImplementedError) as error:
        raise FileRejected(f"{name} is damaged: {str(error) or type(error).__name__}", "Send it again; the damaged bytes are kept in raw") from None
    except OSError as error:
        if error.errno is None:  # bz2 says only this
            raise FileRejected(f"{name} is damaged: {error}", "Send it again; the damaged bytes are kept in raw") from None
        raise
