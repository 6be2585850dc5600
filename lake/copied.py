"""Whether a raw object is the content that it is called by: it may have been cut short by a power cut, before anything named it."""

from __future__ import annotations

import hashlib

import zstandard

from lake.errors import StoreError
from lake.store import Store


def is_content(store: Store, path: str, sha256: str) -> bool:
    """Whether the object at `path` is the content with this digest, as it came or packed by lake. Reads all of it; one that cannot be read is not."""
    plain, packed = hashlib.sha256(), hashlib.sha256()
    unpacker: zstandard.ZstdDecompressionObj | None = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    try:
        for chunk in store.stream(path):
            plain.update(chunk)
            if unpacker is not None:
                try:
                    packed.update(unpacker.decompress(chunk))
                except zstandard.ZstdError:
                    unpacker = None
    except StoreError:
        return False
    return sha256 in (plain.hexdigest(), packed.hexdigest() if unpacker is not None else "")
