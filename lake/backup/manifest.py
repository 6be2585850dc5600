"""What a backup consists of: every object of the lake at its moment, with its size and the SHA-256 of its content."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable

import zstandard
from pydantic import BaseModel, ConfigDict, ValidationError

from lake.backup.depot import Depot
from lake.errors import NotFound, StoreError, UnknownName

_FOLDER = "backups"
_UNFINISHED = "unfinished.json.zst"
_LARGEST = 4 << 30  # bytes of a manifest


class Kept(BaseModel):
    """One object: its size in bytes, its content's SHA-256, and when it was written and its entity tag in the lake, by which it is known again."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str
    modified: dt.datetime
    etag: str

    @property
    def key(self) -> str:
        """Where a depot has the content."""
        return key_of(self.sha256)


class Manifest(BaseModel):
    """One backup: its number, when it was begun, of which place and environment, its newest release, and its objects by where they are in the lake."""

    model_config = ConfigDict(frozen=True)

    format: int = 1
    number: int
    at: dt.datetime
    place: str
    env: str
    release: int
    objects: dict[str, Kept]

    @property
    def size(self) -> int:
        """Bytes of all objects together."""
        return sum(kept.size for kept in self.objects.values())

    @property
    def mark(self) -> str:
        """What tells it from any other."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def key_of(sha256: str) -> str:
    """Where a depot has the content with this digest."""
    return f"objects/{sha256[:2]}/{sha256}"


def backup_numbers(depot: Depot) -> list[int]:
    """The numbers of the finished backups in a depot, oldest first."""
    names = [key.rsplit("/", 1)[-1].partition(".")[0] for key in depot.keys(_FOLDER)]
    return sorted(int(name) for name in names if name.isdecimal())


def read_manifest(depot: Depot, number: int | None = None) -> Manifest:
    """Backup `number` of a depot, or its newest. Raises UnknownName where there is none, StoreError where it is damaged."""
    known = backup_numbers(depot)
    if not known:
        raise UnknownName(f"there is no finished backup in {depot.told}", "`lake backup` makes one; give the same place as to it")
    if number is not None and number not in known:
        raise UnknownName(f"there is no backup {number} in {depot.told}", f"The newest is {known[-1]}, the oldest {known[0]}")
    return _read(depot, _key(known[-1] if number is None else number))


def known_objects(depot: Depot) -> dict[str, Kept]:
    """What the newest backup has, and what one that was cut short had copied: by where they are in the lake. Each may be gone from the depot."""
    known: dict[str, Kept] = {}
    if numbers := backup_numbers(depot):
        known |= _read(depot, _key(numbers[-1])).objects
    try:
        known |= _read(depot, _UNFINISHED).objects
    except StoreError:  # not there, or cut short itself: it saves time only
        return known
    return known


def write_unfinished(depot: Depot, manifest: Manifest) -> None:
    """Note what is copied so far, for the next that tries."""
    depot.write(_UNFINISHED, _packed(manifest))


def write_manifest(depot: Depot, manifest: Manifest) -> Manifest:
    """Finish a backup: under the next number. Returns it as it is kept."""
    while True:
        numbered = manifest.model_copy(update={"number": max(backup_numbers(depot), default=0) + 1})
        if depot.write_once(_key(numbered.number), _packed(numbered)):
            depot.remove(_UNFINISHED)
            return numbered


def digest_of(chunks: Iterable[bytes]) -> tuple[int, str]:
    """Size and SHA-256 of what is read."""
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def _key(number: int) -> str:
    return f"{_FOLDER}/{number:06d}.json.zst"


def _packed(manifest: Manifest) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(manifest.model_dump_json().encode())


def _read(depot: Depot, key: str) -> Manifest:
    try:
        return Manifest.model_validate_json(zstandard.ZstdDecompressor().decompress(b"".join(depot.read(key)), max_output_size=_LARGEST))
    except NotFound:
        raise
    except (zstandard.ZstdError, ValidationError, ValueError):
        raise StoreError(f"{depot.told}/{key} is damaged", "Restore an earlier backup with --number, or from another copy of the place") from None
