"""Where backups are kept: a folder, or a bucket of any S3-compatible store."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from lake.disk import local
from lake.errors import DeclarationError, NotFound, SettingsError
from lake.names import Names
from lake.settings import Settings
from lake.store import Store

_CHUNK = 1 << 20


class Depot(Protocol):
    """Objects by their keys. What is written is there whole, and on the disk, or not at all."""

    @property
    def told(self) -> str:
        """Where it is, in words."""

    def keys(self, folder: str) -> dict[str, int]:
        """The keys under a folder, each with its size."""

    def read(self, key: str) -> Iterator[bytes]:
        """An object in chunks. Raises NotFound."""

    def write(self, key: str, content: bytes | Path) -> None:
        """Put an object, in the place of one that is there."""

    def write_once(self, key: str, content: bytes) -> bool:
        """Put an object unless one is there; whether it was put."""

    def remove(self, key: str) -> None:
        """Take an object away, if it is there."""


class FolderDepot:
    """A folder on a disk of this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def told(self) -> str:
        """The folder."""
        return str(self.folder)

    def keys(self, folder: str) -> dict[str, int]:
        """The files under a folder, those that are being written left out."""
        with local(self.folder):
            found = [path for path in (self.folder / folder).rglob("*") if path.is_file() and not path.name.startswith(".")]
            return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in found}

    def read(self, key: str) -> Iterator[bytes]:
        """A file in chunks."""
        with local(self.folder):
            try:
                handle = (self.folder / key).open("rb")
            except FileNotFoundError:
                raise NotFound(f"{self.folder / key} is not there", "The backup is not whole: back up again, or restore an earlier one") from None
            with handle:
                while chunk := handle.read(_CHUNK):
                    yield chunk

    def write(self, key: str, content: bytes | Path) -> None:
        """Write beside, wait for the disk, and put in place."""
        with local(self.folder):
            os.replace(self._beside(key, content), self.folder / key)
            _wait_for(self.folder / key)

    def write_once(self, key: str, content: bytes) -> bool:
        """The same with a link, which is refused where something is."""
        with local(self.folder):
            fresh = self._beside(key, content)
            try:
                os.link(fresh, self.folder / key)
            except FileExistsError:
                return False
            finally:
                fresh.unlink()
            _wait_for(self.folder / key)
            return True

    def remove(self, key: str) -> None:
        """Unlink."""
        with local(self.folder):
            (self.folder / key).unlink(missing_ok=True)

    def _beside(self, key: str, content: bytes | Path) -> Path:
        target = self.folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name[:32]}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            if isinstance(content, bytes):
                handle.write(content)
            else:
                with content.open("rb") as source:
                    while chunk := source.read(_CHUNK):
                        handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        return fresh


class BucketDepot:
    """A prefix in a bucket."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def told(self) -> str:
        """Its s3:// address."""
        return self.store.uri("").rstrip("/")

    def keys(self, folder: str) -> dict[str, int]:
        """A listing."""
        return {blob.path: blob.size for blob in self.store.walk(folder)}

    def read(self, key: str) -> Iterator[bytes]:
        """An object in chunks."""
        return self.store.stream(key)

    def write(self, key: str, content: bytes | Path) -> None:
        """One request, or parts."""
        self.store.put(key, content) if isinstance(content, bytes) else self.store.upload(key, content)

    def write_once(self, key: str, content: bytes) -> bool:
        """A conditional request."""
        return self.store.put_if_absent(key, content)

    def remove(self, key: str) -> None:
        """A request."""
        self.store.delete([key])


def depot_at(place: str, settings: Settings, lake: Store) -> Depot:
    """The depot that `place` names: `s3://bucket/prefix`, or a folder. Buckets are at LAKE_BACKUP_ENDPOINT with its keys, or where the lake is.

    Raises DeclarationError where it would be inside of the lake itself, SettingsError for half of a pair of keys.
    """
    if not place.startswith("s3://"):
        folder = Path(place).expanduser().resolve()
        home = (settings.state / "store").resolve()
        if settings.embedded and (folder == home or home in folder.parents):
            raise DeclarationError(f"{folder} is inside of the embedded store's own folder", "Give a folder elsewhere, best on another disk")
        return FolderDepot(folder)
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not bucket:
        raise DeclarationError(f"{place} names no bucket", "Give s3://bucket/prefix, or a folder")
    if settings.backup_endpoint is None:
        if bucket == lake.bucket and (not prefix or f"{prefix}/".startswith(f"{lake.prefix}/") or f"{lake.prefix}/".startswith(f"{prefix}/")):
            raise DeclarationError(f"{place} is where the lake itself is", "Give another bucket, a prefix beside the lake's, or a folder")
        return BucketDepot(lake.beside(bucket, prefix, names=Names()))
    options = {
        "aws_region": settings.region,
        "aws_virtual_hosted_style_request": "false",
        "aws_conditional_put": "etag",
        "aws_endpoint": settings.backup_endpoint,
    }
    if settings.backup_endpoint.startswith("http://"):
        options["aws_allow_http"] = "true"
    keys = (settings.backup_access_key_id, settings.backup_secret_access_key)
    if (keys[0] is None) != (keys[1] is None):
        raise SettingsError("the backup's endpoint has half of a pair of keys", "Set LAKE_BACKUP_ACCESS_KEY_ID and LAKE_BACKUP_SECRET_ACCESS_KEY")
    for name, key in zip(("access_key_id", "secret_access_key"), keys, strict=True):
        if key is not None:
            options[f"aws_{name}"] = key.get_secret_value()
    store = Store(bucket, prefix, options, patience=settings.patience.total_seconds())
    return BucketDepot(store.beside(bucket, prefix, names=Names()))


def _wait_for(file: Path) -> None:
    """Return when the name of a file that was put in place is on the disk."""
    handle = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
