"""Where raw files come from: a local folder or file, an S3 prefix, or an HTTP(S) address."""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lake.errors import DeclarationError, NotFound, SourceError, StoreError, StoreUnreachable
from lake.reading.dialect import Hints
from lake.store import Store
from lake.table import Table

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """Raw files that belong together and fill one bronze table.

    `at` is a folder or file, `s3://bucket/prefix`, or `http(s)://…` (a callable is asked when needed). `pattern` is matched
    against each file's path below `at`; `*` crosses folders. `hints` overrides what would be found out about the files.
    """

    into: Table
    at: str | Path | Callable[[], str | Path]
    pattern: str = "*"
    hints: Hints = field(default_factory=Hints)
    description: str = ""

    def __post_init__(self) -> None:
        if self.into.layer != "bronze":
            raise DeclarationError(f"a source lands into bronze, not into {self.into.name}")

    @property
    def name(self) -> str:
        """`subject.table`: the source is called after the bronze table it fills."""
        return self.into.name.removeprefix("bronze.")

    def address(self) -> str:
        """`at` as text, asked for now."""
        return str(self.at() if callable(self.at) else self.at)


@dataclass(frozen=True)
class Candidate:
    """A file that a source offers: what can be known of it without reading it, and how to read it in chunks of bytes."""

    name: str
    size: int | None
    modified: dt.datetime | None
    etag: str | None
    chunks: Callable[[], Iterator[bytes]]


def candidates(source: Source, store: Store, root: Path) -> Iterator[Candidate]:
    """The files the source offers now, in order of name. Raises SourceError if it cannot be listed."""
    address = source.address()
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        yield _over_http(source, address)
    elif scheme == "s3":
        yield from _under_prefix(source, address, store)
    elif scheme in ("", "file") or len(scheme) == 1:  # a single letter is a Windows drive
        yield from _in_folder(source, Path(address.removeprefix("file://")), root)
    else:
        raise SourceError(f"source {source.name}: {scheme}:// is not a kind of address lake reads", "Use a folder, s3://… or https://…")


def _in_folder(source: Source, at: Path, root: Path) -> Iterator[Candidate]:
    at = at if at.is_absolute() else root / at
    if not at.exists():
        raise SourceError(f"source {source.name}: there is no {at}", "Create it, or correct `at` in sources.py")
    if at.is_file():
        offered = [(at.name, at.stat())]
        at = at.parent
    else:
        offered = sorted(_below(at, ""), key=lambda found: found[0].split("/"))
    for name, stat in offered:
        if fnmatch.fnmatchcase(name, source.pattern):
            modified = dt.datetime.fromtimestamp(stat.st_mtime_ns // 1000 / 1e6, dt.UTC)
            yield Candidate(name, stat.st_size, modified, None, partial(_file_chunks, at, name))


def _below(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """The files below a folder by their names from there, each looked at once. Hidden ones and links to folders are left out, as are folders that may not be read."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder / entry.name, f"{prefix}{entry.name}/")
        else:
            with contextlib.suppress(OSError):  # gone meanwhile, or a link to nothing
                if entry.is_file():
                    yield f"{prefix}{entry.name}", entry.stat()


def _file_chunks(folder: Path, name: str) -> Iterator[bytes]:
    path = folder / name
    before = path.stat()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            yield chunk
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceError(f"{path} changed while it was read", "It is taken by the next run, when nobody writes to it")


def _under_prefix(source: Source, address: str, store: Store) -> Iterator[Candidate]:
    parts = urlsplit(address)
    other = Store(parts.netloc, "", store.options)
    prefix = parts.path.strip("/")
    try:
        found = list(other.walk(prefix))
    except NotFound:
        found = []
    except StoreUnreachable:
        raise
    except StoreError as error:
        raise SourceError(f"source {source.name}: {address} cannot be listed: {error.message}", "Check the address and who may read it") from None
    for blob in found:
        name = posixpath.relpath(blob.path, prefix) if prefix else blob.path
        if fnmatch.fnmatchcase(name, source.pattern):
            yield Candidate(name, blob.size, blob.modified, blob.etag, partial(other.stream, blob.path))


def _over_http(source: Source, address: str) -> Candidate:
    from lake import web  # its client takes a tenth of a second to load

    name = unquote(posixpath.basename(urlsplit(address).path)) or "index"
    told = web.head(source.name, address)
    return Candidate(name, told.size, told.modified, told.etag, partial(web.chunks, source.name, address))
