"""Raw files behind a web address."""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from lake.errors import SourceError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Head:
    """What a server says of a file without sending it; None where it does not say: size in bytes, when it was changed, its tag."""

    size: int | None
    modified: dt.datetime | None
    etag: str | None


def head(source: str, address: str) -> Head:
    """What is said of the file at `address`, which the source of this name reads. Raises SourceError where nobody answers."""
    with _errors(source, address):
        answer = httpx.head(address, follow_redirects=True, timeout=30)
        said = answer.headers if answer.is_success else httpx.Headers()
    size = int(said["content-length"]) if said.get("content-length", "").isdigit() else None
    return Head(size, _moment(said.get("last-modified", "")), said.get("etag"))


def chunks(source: str, address: str) -> Iterator[bytes]:
    """The bytes of the file at `address`. Raises SourceError where it cannot be read."""
    with _errors(source, address), httpx.stream("GET", address, follow_redirects=True, timeout=60) as answer:
        answer.raise_for_status()
        yield from answer.iter_raw(_CHUNK) if "content-encoding" not in answer.headers else answer.iter_bytes(_CHUNK)


def _moment(text: str) -> dt.datetime | None:
    """The moment a header names, or None: a malformed one is as good as none."""
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(dt.UTC)
    except (TypeError, ValueError):
        return None


@contextmanager
def _errors(source: str, address: str) -> Iterator[None]:
    shown = address.split("?")[0]  # a query may carry a key
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise SourceError(f"source {source}: {shown} answers {error.response.status_code}", "Check the address and who may read it") from None
    except httpx.HTTPError as error:
        raise SourceError(f"source {source}: {shown} cannot be read: {type(error).__name__}", "Check the address and the network") from None
