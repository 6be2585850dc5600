"""Where raw files come from: a local folder or file, an S3 prefix, or an HTTP(S) address."""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl

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


OFFERED = pl.Schema({"name": pl.String(), "size": pl.Int64(), "modified": pl.Datetime("us", "UTC"), "etag": pl.String()})
"""What is known of a file without reading it; null where its place does not tell. A name that is no text has its bytes spelled out."""


@dataclass(frozen=True)
class Offer:
    """What a source offers now: `files` has a row a file, as OFFERED says, in no order; `names` are as their place spells them; `chunks` reads one by that."""

    files: pl.DataFrame
    names: list[str]
    chunks: Callable[[str], Iterator[bytes]]

    def candidates(self, rows: pl.Series) -> list[Candidate]:
        """The files in these rows, in this order."""
        told = self.files[rows].iter_rows()
        return [
            Candidate(self.names[row], size, modified, etag, partial(self.chunks, self.names[row]))
            for row, (_, size, modified, etag) in zip(rows, told, strict=True)
        ]


def offered(source: Source, store: Store, root: Path) -> Offer:
    """The files the source offers now. Raises SourceError if it cannot be listed."""
    address = source.address()
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        return _over_http(source, address)
    if scheme == "s3":
        return _under_prefix(source, address, store)
    if scheme in ("", "file") or len(scheme) == 1:  # a single letter is a Windows drive
        return _in_folder(source, Path(address.removeprefix("file://")), root)
    raise SourceError(f"source {source.name}: {scheme}:// is not a kind of address lake reads", "Use a folder, s3://… or https://…")


def text_of(name: str) -> str:
    """A file's name as text: a file system may hold names that are none."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _offer(names: list[str], about: dict[str, list[Any] | pl.Series | None], chunks: Callable[[str], Iterator[bytes]]) -> Offer:
    try:
        "".join(names).encode("utf-8")  # nearly always
        texts = names
    except UnicodeEncodeError:
        texts = [text_of(name) for name in names]
    return Offer(pl.DataFrame({"name": texts, **about}, schema=OFFERED), names, chunks)


def _in_folder(source: Source, at: Path, root: Path) -> Offer:
    at = at if at.is_absolute() else root / at
    if not at.exists():
        raise SourceError(f"source {source.name}: there is no {at}", "Create it, or correct `at` in sources.py")
    names, stats = ([at.name], [at.stat()]) if at.is_file() else _below(at, _matching(source.pattern))
    at = at.parent if at.is_file() else at
    changed = pl.Series([stat.st_mtime_ns // 1000 for stat in stats], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    return _offer(names, {"size": [stat.st_size for stat in stats], "modified": changed, "etag": None}, partial(_file_chunks, at))


def _matching(pattern: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(pattern)).match


def _below(top: Path, matches: Callable[[str], object]) -> tuple[list[str], list[os.stat_result]]:
    """The files below a folder that match by their names from there, each looked at once. Hidden ones and links to folders are left out, as are folders that may not be read."""
    names, stats = [], []
    waiting = [(os.fspath(top), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{name}/"))
            elif matches(name):
                with contextlib.suppress(OSError):  # gone meanwhile, or a link to nothing
                    if entry.is_file():
                        stats.append(entry.stat())
                        names.append(name)
    return names, stats


def _file_chunks(folder: Path, name: str) -> Iterator[bytes]:
    path = folder / name
    before = path.stat()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            yield chunk
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceError(f"{path} changed while it was read", "It is taken by the next run, when nobody writes to it")


def _under_prefix(source: Source, address: str, store: Store) -> Offer:
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
    matches = _matching(source.pattern)
    blobs = {name: blob for blob in found if matches(name := posixpath.relpath(blob.path, prefix) if prefix else blob.path)}
    about: dict[str, Any] = {kind: [getattr(blob, kind) for blob in blobs.values()] for kind in ("size", "modified", "etag")}
    return _offer(list(blobs), about, lambda name: other.stream(blobs[name].path))


def _over_http(source: Source, address: str) -> Offer:
    from lake import web  # its client takes a tenth of a second to load

    name = unquote(posixpath.basename(urlsplit(address).path)) or "index"
    told = web.head(source.name, address)
    return _offer([name], {"size": [told.size], "modified": [told.modified], "etag": [told.etag]}, lambda _: web.chunks(source.name, address))
