"""Old commits of a table put together: an object that holds a thousand of them, each as it was, byte by byte."""

from __future__ import annotations

import json

import zstandard

TOGETHER = 1000
"""Versions; the first is a multiple of it, so that the place of each follows from its number."""
PACKED = "system/logs"


def chunk_of(version: int) -> int:
    """The first version of those that `version` is put together with."""
    return version - version % TOGETHER


def packed_path(table_path: str, first: int) -> str:
    """Where the commits from version `first` on of the table are kept together."""
    return f"{PACKED}/{table_path}/{first:020d}.ndjson.zst"


def pack(commits: dict[int, str]) -> bytes:
    """Commits by version, put together: a line each, of its version and its text."""
    lines = "".join(json.dumps([version, text], ensure_ascii=False) + "\n" for version, text in sorted(commits.items()))
    return zstandard.ZstdCompressor(level=6, write_checksum=True).compress(lines.encode())


def unpack(data: bytes) -> dict[int, str]:
    """The same back. Raises ValueError where it is damaged."""
    try:
        lines = zstandard.ZstdDecompressor().decompress(data).decode().split("\n")
    except zstandard.ZstdError:
        raise ValueError("commits put together are damaged") from None
    return dict(json.loads(line) for line in lines if line)
