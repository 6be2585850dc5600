"""What an answer promises of its body: length, digests, packing. A body that is not what was promised is no file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import zstandard

_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5", "sha": "sha1"}
_AT_ONCE = 1 << 20  # bytes unpacked at a time, whatever they are packed to
_SLICE = 512  # bytes of zstd, which may become 16 MB
_FIELD = re.compile(r"\s*([A-Za-z0-9-]+)\s*=\s*(:?)([A-Za-z0-9+/_=-]*)\2")


class Packed(ValueError):
    """A body whose packing cannot be undone: damaged, cut, or of a kind that nobody asked for."""


class Digests:
    """Digests that an answer announced of its body, counted as it comes: Content-Digest, Repr-Digest, Digest and Content-MD5."""

    def __init__(self, headers: Mapping[str, str], names: Iterable[str] = ("content-digest", "repr-digest", "digest", "content-md5")) -> None:
        found = [one for name in names for one in _digests(name, headers.get(name, ""))]
        self._wanted = {(algorithm, value): hashlib.new(algorithm, usedforsecurity=False) for algorithm, value in found}

    def add(self, chunk: bytes) -> None:
        """Count bytes of the body as they came."""
        for counted in self._wanted.values():
            counted.update(chunk)

    def broken(self) -> str | None:
        """The algorithm by which the body is not what was announced; None where it is."""
        return next((algorithm for (algorithm, value), counted in self._wanted.items() if counted.digest() != value), None)


def length(headers: Mapping[str, str]) -> int | None:
    """The bytes that the body has as it comes; None where it is not told."""
    said = headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None  # noqa: PLR2004  # more digits are no size


def part(headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
    """The first byte, the one after the last, and the size of the whole, of an answer with a part; None where it does not say."""
    found = re.fullmatch(r"bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", headers.get("content-range", "").strip())
    if found is None:
        return None
    return int(found.group(1)), int(found.group(2)) + 1, None if found.group(3) == "*" else int(found.group(3))


def unpacker(headers: Mapping[str, str]) -> Unpacker | None:
    """What undoes the packing of a body for its way; None where it comes as it is. Raises Packed for a packing that lake does not know."""
    told = headers.get("content-encoding", "").strip().lower()
    if told in ("", "identity"):
        return None
    if told not in ("gzip", "x-gzip", "deflate", "zstd"):
        raise Packed(f"it comes packed as {told[:40]}, which was not asked for")
    return Unpacker(told)


class Unpacker:
    """Undoes a packing piece by piece, in bounded memory, and knows whether its end was seen."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._inner: zlib._Decompress | None = None
        self._frame: Any = None
        self._began = False

    def feed(self, chunk: bytes, give: Callable[[bytes], None]) -> None:
        """Unpack more, and `give` it piece by piece. Raises Packed where it is damaged."""
        try:
            if self._kind == "zstd":
                self._zstd(chunk, give)
            else:
                self._zlib(chunk, give)
        except (zlib.error, zstandard.ZstdError):
            raise Packed(f"its {self._kind} is damaged") from None

    def finish(self) -> None:
        """Raises Packed where the body ended before its packing did."""
        if not self._began or self._inner is not None or self._frame is not None:
            raise Packed(f"its {self._kind} ends before its end")

    def _zlib(self, chunk: bytes, give: Callable[[bytes], None]) -> None:
        full = False
        while chunk or full:
            if self._inner is None:
                if self._began and self._kind == "deflate":
                    raise Packed("its deflate goes on after its end")
                self._inner, self._began = zlib.decompressobj(self._bits(chunk)), True
            inner = self._inner
            told = inner.decompress(chunk, _AT_ONCE)
            give(told)
            full = len(told) == _AT_ONCE and not inner.eof
            chunk = inner.unused_data if inner.eof else inner.unconsumed_tail
            self._inner = None if inner.eof else inner

    def _bits(self, chunk: bytes) -> int:
        if self._kind != "deflate":
            return 31
        return 15 if chunk[0] & 0x0F == 8 and (len(chunk) < 2 or (chunk[0] << 8 | chunk[1]) % 31 == 0) else -15  # noqa: PLR2004  # some servers leave out its frame

    def _zstd(self, chunk: bytes, give: Callable[[bytes], None]) -> None:
        while chunk:
            if self._frame is None:
                self._frame, self._began = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(), True
            give(self._frame.decompress(chunk[:_SLICE]))
            chunk = self._frame.unused_data + chunk[_SLICE:] if self._frame.eof else chunk[_SLICE:]
            self._frame = None if self._frame.eof else self._frame


def _digests(name: str, said: str) -> Iterable[tuple[str, bytes]]:
    fields = [f"md5={said.strip()}"] if name == "content-md5" and said else said.split(",")
    for field in fields:
        found = _FIELD.fullmatch(field.strip())
        algorithm = _ALGORITHMS.get(found.group(1).lower()) if found else None
        if found is None or algorithm is None:
            continue
        try:
            value = base64.b64decode(found.group(3), validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(value) == hashlib.new(algorithm, usedforsecurity=False).digest_size:
            yield algorithm, value
