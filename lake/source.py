"""Where raw files come from: a local folder or file, an S3 prefix, or an HTTP(S) address."""

from __future__ import annotations

import datetime as dt
import fnmatch
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable
from urllib.parse import unquote, urlsplit

import polars as pl

from lake.confidential import keep_address, shown
from lake.errors import DeclarationError, LakeError, NotFound, SourceError, StoreError, StoreUnreachable
from lake.inbox import Inbox, chunks_of, look_into
from lake.keys import Key, key_beyond, keys_under
from lake.placing import here
from lake.reading.hints import Hints
from lake.store import Blob, Store
from lake.table import Table
from lake.wording import in_words

_CHUNK = 1 << 20
Copies = Literal["skip", "deliver"]
Redirects = Literal["public", "anywhere"]


@dataclass(frozen=True)
class Source:
    """Raw files that belong together and fill one bronze table.

    `at` is a folder or file, `s3://bucket/prefix`, or `http(s)://…` (a callable is asked when needed). `pattern` is matched
    against each file's path below `at`; `*` crosses folders. `hints` overrides what would be found out about the files.

    `copies` says what a file means whose very bytes landed before under another name: `skip` takes it for a copy, names it and leaves it out;
    `deliver` takes it for a delivery of its own, such as a daily state that is again what it was: its rows come in again, and are later ones.

    Of a file behind a web address: `within` is the time it may take, `largest` the bytes it may have, and `redirects` says where its server may send
    lake, to `public` addresses and to itself, or `anywhere`, private networks and this machine among it.
    """

    into: Table
    at: str | Path | Callable[[], str | Path]
    pattern: str = "*"
    hints: Hints = field(default_factory=Hints)
    description: str = ""
    copies: Copies = "skip"
    within: dt.timedelta = dt.timedelta(hours=6)
    largest: int = 64 << 30
    redirects: Redirects = "public"
    place: str = field(default="", init=False, compare=False, repr=False)
    """The file and line that declares it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", here())
        if self.into.layer != "bronze":
            raise DeclarationError(f"a source lands into bronze, not into {self.into.name}", "Give it a table called bronze.subject.table")
        if self.copies not in get_args(Copies):
            raise DeclarationError(f"source {self.name}: copies={self.copies!r} is unknown", "Choose 'skip' or 'deliver'")
        if self.redirects not in get_args(Redirects):
            raise DeclarationError(f"source {self.name}: redirects={self.redirects!r} is unknown", "Choose 'public' or 'anywhere'")
        if not isinstance(self.within, dt.timedelta) or self.within <= dt.timedelta(0):
            raise DeclarationError(f"source {self.name}: within={self.within!r} is no length of time", "Give it a timedelta, such as timedelta(hours=1)")
        if not isinstance(self.largest, int) or self.largest < 1:
            raise DeclarationError(f"source {self.name}: largest={self.largest!r} is no number of bytes", "Give it a whole number, such as 10 * 2**30")

    @property
    def name(self) -> str:
        """`subject.table`: the source is called after the bronze table it fills."""
        return self.into.name.removeprefix("bronze.")

    def address(self) -> str:
        """`at` as text, asked for now. Raises SourceError where it is a function that raises, or gives no address."""
        try:
            told = self.at() if callable(self.at) else self.at
        except LakeError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  # the team's function may raise anything; the other sources go on
            kind, why = type(error).__name__, in_words(error)
            told = why if why.startswith(kind) else f"{kind}: {why}" if why else kind
            raise SourceError(f"source {self.name}: its `at` raises {told}", "Correct `at` in sources.py") from None
        if not isinstance(told, str | os.PathLike) or not str(told).strip() or "\0" in str(told):
            raise SourceError(f"source {self.name}: its `at` gives {told!r}, which is no address", "Give a folder, s3://… or https://… in sources.py")
        keep_address(str(told))
        return str(told)


@dataclass(frozen=True)
class Candidate:
    """A file that a source offers: what can be known of it without reading it, and how to read it in chunks of bytes."""

    name: str
    size: int | None
    modified: dt.datetime | None
    etag: str | None
    chunks: Callable[[], Iterator[bytes]]


class Said(Protocol):
    """What a server says of the file that it sent; None where it does not."""

    @property
    def modified(self) -> dt.datetime | None:
        """When it was changed."""

    @property
    def etag(self) -> str | None:
        """Its tag."""


@runtime_checkable
class Answer(Protocol):
    """Chunks of a server that says more of a file than was known when it was offered; and that it is `unchanged`, where there are none for that reason."""

    said: Said
    unchanged: bool


OFFERED = pl.Schema({"name": pl.String(), "size": pl.Int64(), "modified": pl.Datetime("us", "UTC"), "etag": pl.String()})
"""What is known of a file without reading it; null where its place does not tell. A name that is no text has its bytes spelled out."""


@dataclass(frozen=True)
class Offer:
    """What a source offers now: `files` has a row a file, as OFFERED says, in no order; `names` are as their place spells them; `chunks` reads one by that.

    `problems` name what could not be looked at, where the rest could; `passed` has by name why what matches is not offered. `again` reads one of which a receipt is there, and may answer that it is unchanged.
    """

    files: pl.DataFrame
    names: list[str]
    chunks: Callable[[str], Iterator[bytes]]
    problems: tuple[str, ...] = ()
    passed: dict[str, str] = field(default_factory=dict)
    again: Callable[[str, Mapping[str, Any]], Iterator[bytes]] | None = None

    def candidates(self, rows: pl.Series, receipts: Mapping[str, Mapping[str, Any]] | None = None) -> list[Candidate]:
        """The files in these rows, in this order; `receipts` are the last ones by name, of those whose content need not come again."""
        told = self.files[rows].iter_rows()
        return [
            Candidate(self.names[row], size, modified, etag, self._reading(self.names[row], (receipts or {}).get(name)))
            for row, (name, size, modified, etag) in zip(rows, told, strict=True)
        ]

    def _reading(self, name: str, receipt: Mapping[str, Any] | None) -> Callable[[], Iterator[bytes]]:
        return partial(self.chunks, name) if self.again is None or receipt is None else partial(self.again, name, receipt)


def offered(source: Source, store: Store, root: Path) -> Offer:
    """The files the source offers now. Raises SourceError if it cannot be listed."""
    address = source.address()
    try:
        scheme = urlsplit(address).scheme
    except ValueError as error:
        raise SourceError(f"source {source.name}: {shown(address)!r} is no address: {error}", "Correct `at` in sources.py") from None
    if scheme in ("http", "https"):
        return _over_http(source, address, store.patience)
    if scheme == "s3":
        return _under_prefix(source, address, store)
    if scheme in ("", "file") or len(scheme) == 1:  # a single letter is a Windows drive
        return _in_folder(source, Path(address.removeprefix("file://")), root)
    raise SourceError(f"source {source.name}: {scheme}:// is not a kind of address lake reads", "Use a folder, s3://… or https://…")


def text_of(name: str) -> str:
    """A file's name as text: a file system may hold names that are none."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _offer(names: list[str], about: dict[str, list[Any] | pl.Series | None], chunks: Callable[[str], Iterator[bytes]], problems: tuple[str, ...] = ()) -> Offer:
    try:
        "".join(names).encode("utf-8")  # nearly always
        texts = names
    except UnicodeEncodeError:
        texts = [text_of(name) for name in names]
    return Offer(pl.DataFrame({"name": texts, **about}, schema=OFFERED), names, chunks, problems)


def _in_folder(source: Source, at: Path, root: Path) -> Offer:
    at = at if at.is_absolute() else root / at
    try:
        if not at.exists():
            raise SourceError(f"source {source.name}: there is no {at}", "Create it, or correct `at` in sources.py")
        single = at.is_file()
        found = Inbox([at.name], [at.stat()]) if single else look_into(at, _matching(source.pattern), text_of)
    except OSError as error:
        raise SourceError(
            f"source {source.name}: {at} cannot be looked at: {error.strerror or error}", "Check who may read it, and the disk it is on"
        ) from None
    at = at.parent if single else at
    changed = pl.Series([stat.st_mtime_ns // 1000 for stat in found.stats], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    about: dict[str, Any] = {"size": [stat.st_size for stat in found.stats], "modified": changed, "etag": None}
    chunks = partial(chunks_of, at, linked=True) if single else partial(_file_chunks, at)
    return replace(_offer(found.names, about, chunks, tuple(found.problems)), passed=found.passed)


def _matching(pattern: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(pattern)).match


def _file_chunks(folder: Path, name: str) -> Iterator[bytes]:
    return chunks_of(folder, name)


def _under_prefix(source: Source, address: str, store: Store) -> Offer:
    parts = urlsplit(address)
    if not parts.netloc:
        raise SourceError(f"source {source.name}: {shown(address)!r} names no bucket", "Write s3://bucket/prefix in sources.py")
    other = store.beside(parts.netloc, "")
    prefix = parts.path.strip("/")
    found: list[Blob | Key]
    try:
        found = list(other.walk(prefix))
    except NotFound:
        found = []
    except StoreUnreachable:
        raise
    except StoreError as error:
        found = _listed_otherwise(source, address, other, prefix, error)
    matches = _matching(source.pattern)
    objects, passed = dict[str, Blob | Key](), dict[str, str]()
    for one in found:
        key = one.path
        name = key[len(prefix) :].lstrip("/") if prefix else key
        if not matches(name):
            continue
        odd = key_beyond(key)
        if odd is None and not one.size and isinstance(one, Blob) and other.head(key) is None:
            odd = key_beyond(f"{key}/")  # the client that lists leaves the end out
        if odd is not None:
            passed[key] = f"{odd}, and it is not read"
        else:
            objects[name or posixpath.basename(key)] = one
    about: dict[str, Any] = {kind: [getattr(one, kind) for one in objects.values()] for kind in ("size", "modified", "etag")}
    return replace(_offer(list(objects), about, lambda name: other.stream(objects[name].path)), passed=passed)


def _listed_otherwise(source: Source, address: str, other: Store, prefix: str, error: StoreError) -> list[Blob | Key]:
    """The objects where the store's client refuses to list them for the key of one."""
    try:
        if type(error) is StoreError:  # neither refused nor busy: an answer that the client does not take
            return list(keys_under(other, f"{prefix}/" if prefix else ""))
    except StoreError as again:
        error = again
    raise SourceError(f"source {source.name}: {shown(address)} cannot be listed: {error.message}", "Check the address and who may read it") from None


def _over_http(source: Source, address: str, patience: float) -> Offer:
    from lake import web  # its client takes a tenth of a second to load

    name = unquote(posixpath.basename(urlsplit(address).path)) or "index"
    limits = web.Limits(source.within, source.largest, source.redirects)
    told = web.head(source.name, address, patience, limits)

    def chunks(_: str) -> Iterator[bytes]:
        return web.chunks(source.name, address, patience, limits, told)

    def again(_: str, receipt: Mapping[str, Any]) -> Iterator[bytes]:
        return web.chunks(source.name, address, patience, limits, told, web.Head(receipt["size"], receipt["modified"], receipt["etag"]))

    offer = _offer([name], {"size": [told.size], "modified": [told.modified], "etag": [told.etag]}, chunks)
    return replace(offer, again=again)
