"""Streams of packed bytes one after the other, each read to its end, and the file to its last byte: what follows the last of them is told, never passed over.

The file objects of the libraries end quietly where a later stream does not begin as one, or is damaged.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Literal, Protocol

import zstandard

from lake.errors import FileRejected
from lake.wording import counted

Streamed = Literal["gz", "zst", "bz2", "xz"]
CHUNK = 1 << 20
_SIP = 1 << 10  # bytes of a zstd file fed at once: they unpack to at most 32 MB
_MAGIC: dict[Streamed, bytes] = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}
_PADDED: dict[Streamed, int] = {"gz": 1, "xz": 4}  # NULs may follow a stream, in blocks of so many
_BEGINNING = 8  # bytes that tell whether a stream begins


class _Decoder(Protocol):
    """What bz2 and lzma have: bytes in, at most so many out, and what is left when the stream has ended."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Zlib:
    """A member of a gzip file, its length and checksum looked at."""

    def __init__(self) -> None:
        self._inner, self._full = zlib.decompressobj(31), False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not (self._full or self._inner.unconsumed_tail)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(out) == max_length
        return out


class _Zstd:
    """A frame of a zstd file. It gives all that comes out at once, and so is fed in sips."""

    needs_input = True

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002  # the frame knows no bound
        return self._inner.decompress(data)


_DECODERS: dict[Streamed, Callable[[], _Decoder]] = {
    "gz": _Zlib, "zst": _Zstd, "bz2": bz2.BZ2Decompressor, "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
}  # fmt: skip


def is_skippable(head: bytes) -> bool:
    """Whether bytes begin with a frame that zstd and lz4 skip: it carries something for programs."""
    return len(head) >= 8 and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18"


def is_zstd(path: Path) -> bool:
    """Whether the first frame of the file that is not to be skipped is one of zstd; also where there are only frames to be skipped."""
    with path.open("rb") as handle:
        while is_skippable(head := handle.read(8)):
            handle.seek(struct.unpack_from("<I", head, 4)[0], 1)
        return head.startswith(_MAGIC["zst"]) or (not head and handle.tell() > 0)


def streamed(path: Path, kind: Streamed, name: str) -> Iterator[bytes]:
    """What is inside a file of streams, in chunks of a megabyte at most.

    Raises FileRejected where the last ends early or bytes follow that are none, after what could be read; and what the libraries raise for damage.
    """
    with path.open("rb") as handle:
        rest = handle.read(_BEGINNING)
        while True:
            rest = yield from _stream(handle, rest, kind, name)
            rest = rest if len(rest) >= _BEGINNING else rest + handle.read(_BEGINNING)
            if kind in _PADDED:
                rest = _past_padding(handle, rest, kind, name)
            if not rest:
                return
            if not (rest.startswith(_MAGIC[kind]) or (kind == "zst" and is_skippable(rest))):
                raise _follows(handle, rest, kind, name)


def _stream(handle: IO[bytes], rest: bytes, kind: Streamed, name: str) -> Generator[bytes, None, bytes]:
    """One stream, of which `rest` was read already. Returns the bytes that were read beyond it."""
    decoder, size = _DECODERS[kind](), _SIP if kind == "zst" else CHUNK
    while not decoder.eof:
        if decoder.needs_input and not rest:
            rest = handle.read(size)
            if not rest:
                raise FileRejected(f"{name} is damaged: it ends in the middle", "Send it again; the damaged bytes are kept in raw")
        given, rest = (rest[:size], rest[size:]) if decoder.needs_input else (b"", rest)
        out = decoder.decompress(given, CHUNK)
        yield from (out[at : at + CHUNK] for at in range(0, len(out), CHUNK))
    return decoder.unused_data + rest


def _past_padding(handle: IO[bytes], rest: bytes, kind: Streamed, name: str) -> bytes:
    """What comes after NULs that may follow a stream."""
    padding = 0
    while rest.startswith(b"\0"):
        bare = rest.lstrip(b"\0")
        padding += len(rest) - len(bare)
        rest = bare or handle.read(CHUNK)
    if padding % _PADDED[kind]:
        raise FileRejected(
            f"{name} is damaged: {counted(padding, 'NUL')} follow a stream, where {kind} has a multiple of {_PADDED[kind]}",
            "Send it again; the damaged bytes are kept in raw",
        )
    return rest if len(rest) >= _BEGINNING else rest + handle.read(_BEGINNING)


def _follows(handle: IO[bytes], rest: bytes, kind: Streamed, name: str) -> FileRejected:
    """What to say of bytes that are no stream, of which `rest` was read already."""
    at = handle.tell() - len(rest)
    told = counted(handle.seek(0, 2) - at, "byte")
    return FileRejected(
        f"{name} is damaged: the {told} from byte {at + 1:,} on follow its last whole {kind} stream and are none",
        "Send it again, or cut them off; all its bytes are kept in raw",
    )
