"""What a web server says of a file, and the file: whole as it was announced, or an error that names it."""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import http
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from lake.confidential import shown
from lake.errors import SourceError
from lake.patience import Trouble, persist
from lake.web.announced import Digests, Packed, Unpacker, length, part, unpacker
from lake.web.asking import Deadline, Limits, Refused, answer
from lake.wording import counted

_CHUNK = 1 << 20
_PASSING = (429, 500, 502, 503, 504)
_AGAIN = "Run again: it is taken whole by the next run, and nothing is lost"
_answered: set[str] = set()  # addresses that answered this process


@dataclass(frozen=True)
class Head:
    """What a server says of a file without sending it; None where it does not say: size in bytes, when it was changed, its tag."""

    size: int | None = None
    modified: dt.datetime | None = None
    etag: str | None = None


def head(source: str, address: str, patience: float = 60.0, limits: Limits | None = None) -> Head:
    """What is said of the file at `address`, which the source of this name reads. Raises SourceError where nobody answers for so many seconds."""
    bounds = limits or Limits()

    def ask() -> Mapping[str, str]:
        with (
            Deadline(bounds) as deadline,
            _errors(source, address, patience, deadline),
            answer("HEAD", address, {}, bounds, deadline, timeout=30) as response,
        ):
            _answered.add(shown(address))
            return response.headers if response.status_code == http.HTTPStatus.OK else {}  # where it is refused, sending the file says why

    return _said(persist(ask, where=shown(address), seconds=patience))


def chunks(
    source: str, address: str, patience: float = 60.0, limits: Limits | None = None, expected: Head | None = None, known: Head | None = None
) -> Download:
    """The bytes of the file at `address`, to be read once; what breaks off goes on where it was, if the server can and the file is the same.

    `expected` is what was said of it before, and `known` what is there of it already: where the file is that still, there are no bytes and `unchanged` says so.
    Reading raises SourceError where it cannot be read, is not what was announced, or costs more than `limits` let it.
    """
    return Download(source, address, patience, limits or Limits(), expected or Head(), known)


class _Status(Exception):
    """An answer that is none of what was asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Download:
    """A file on its way. `said` is what its server says of the file that came; `unchanged` that it is the one that is known already."""

    def __init__(self, source: str, address: str, patience: float, limits: Limits, expected: Head, known: Head | None) -> None:
        self._source, self._address, self._patience, self._limits = source, address, patience, limits
        self._expected, self._known = expected, known
        self._shown = shown(address)
        self.said = Head()
        self.unchanged = False
        self._came = 0  # bytes of the body, as they came
        self._given = 0  # bytes of the file
        self._announced: int | None = None
        self._digests = Digests({})
        self._unpacker: Unpacker | None = None
        self._bytes = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._bytes)

    def _read(self) -> Iterator[bytes]:
        with contextlib.ExitStack() as stack:
            with self._told():
                deadline = stack.enter_context(Deadline(self._limits))
            pieces: Iterator[bytes] | None = None
            connection = stack.enter_context(contextlib.ExitStack())

            def more() -> bytes | None:
                nonlocal pieces
                try:
                    with self._told(deadline):
                        if pieces is None:
                            connection.close()
                            pieces = self._ask(connection, deadline)
                        chunk = next(pieces, None)
                        deadline.check()
                        if chunk is None and self._announced is not None and self._came < self._announced:
                            raise httpx.RemoteProtocolError("the body is shorter than it was announced")
                        return chunk
                except Trouble as trouble:
                    pieces = None
                    if self._came and not self._tag():
                        raise self._broken() from None
                    raise trouble from None

            while not self.unchanged and (chunk := persist(more, where=self._shown, seconds=self._patience)) is not None:
                self._came += len(chunk)
                self._digests.add(chunk)
                with self._told():
                    yield from self._plain(chunk)
            with self._told():
                self._finish()

    def _ask(self, connection: contextlib.ExitStack, deadline: Deadline) -> Iterator[bytes]:
        """Ask for the file, or for the rest of it; the pieces of its body as they come."""
        wanted = {"Range": f"bytes={self._came}-", "If-Range": self._tag()} if self._came else self._unless()
        response = connection.enter_context(answer("GET", self._address, wanted, self._limits, deadline))
        _answered.add(self._shown)
        status, headers = response.status_code, response.headers
        if self._came:
            self._check_rest(status, headers)
            return response.iter_raw(_CHUNK)
        if status == http.HTTPStatus.NOT_MODIFIED and wanted and _same(self._known, _said(headers)):
            self.unchanged = True
            return iter(())
        if status == http.HTTPStatus.NOT_MODIFIED and wanted:
            self._known = None
            connection.close()
            return self._ask(connection, deadline)
        if status != http.HTTPStatus.OK:
            raise _Status(status)
        self._begin(headers)
        return response.iter_raw(_CHUNK)

    def _begin(self, headers: Mapping[str, str]) -> None:
        self._unpacker = unpacker(headers)
        self._digests = Digests(headers)
        told = length(headers)
        self.said = _said(headers)
        if told is None and self._unpacker is None and _same(self.said, self._expected):
            told = self._expected.size  # a body without a length ends where its connection does, wherever that is
        self._announced = told
        if told is not None and told > self._limits.largest:
            raise self._too_large(told)

    def _check_rest(self, status: int, headers: Mapping[str, str]) -> None:
        """Raises where the answer is not the rest of what came."""
        if status in _PASSING:
            raise _Status(status)
        told, rest = part(headers), length(headers)
        if told is None and "content-range" not in headers and rest is not None and self._announced == self._came + rest:
            told = self._came, self._announced, self._announced  # it does not say which part it is, and has the length of the one that was asked for
        tag = headers.get("etag", self._tag())
        if status != http.HTTPStatus.PARTIAL_CONTENT or told is None or told[0] != self._came or tag != self._tag():
            raise self._broken(" and is not the same any more")
        if self._announced is not None and told[2] not in (None, self._announced):
            raise self._broken(" and is not the same any more")
        self._announced = told[2] if told[2] is not None else self._announced

    def _plain(self, chunk: bytes) -> Iterator[bytes]:
        """What these bytes of the body are of the file."""
        given = [chunk]
        if self._unpacker is not None:
            given = []

            def give(piece: bytes) -> None:
                self._given += len(piece)
                if self._given > self._limits.largest:
                    raise self._too_large(self._given)
                given.append(piece)

            self._unpacker.feed(chunk, give)
        else:
            self._given += len(chunk)
            if self._given > self._limits.largest:
                raise self._too_large(self._given)
        yield from (piece for piece in given if piece)

    def _finish(self) -> None:
        """Raises where what came is not what was announced."""
        if self.unchanged:
            return
        if self._announced is not None and self._came < self._announced:
            raise self._broken(f" of the {counted(self._announced, 'byte')} that were announced")
        if self._unpacker is not None:
            self._unpacker.finish()
        if (algorithm := self._digests.broken()) is not None:
            raise SourceError(f"source {self._source}: {self._shown} is not what its server announced: its {algorithm} is another", _AGAIN)

    def _unless(self) -> dict[str, str]:
        """The headers by which a server need not send what is known."""
        if self._known is None:
            return {}
        if self._known.etag:
            return {"If-None-Match": self._known.etag}
        if self._known.modified is None:
            return {}
        return {"If-Modified-Since": email.utils.format_datetime(self._known.modified.astimezone(dt.UTC), usegmt=True)}

    def _tag(self) -> str:
        """The tag by which the rest of the same bytes can be asked for; none where they are packed for the way, or the tag vouches for less."""
        etag = self.said.etag or "W/"
        return "" if etag.startswith("W/") or self._unpacker is not None else etag

    def _broken(self, more: str = "") -> SourceError:
        return SourceError(f"source {self._source}: {self._shown} broke off after {counted(self._came, 'byte')}{more}", _AGAIN)

    def _too_large(self, size: int) -> Refused:
        return Refused(f"has {counted(size, 'byte')} or more, and {counted(self._limits.largest, 'byte')} are the most", "Give the source a larger `largest`")

    def _told(self, deadline: Deadline | None = None) -> contextlib.AbstractContextManager[None]:
        return _errors(self._source, self._address, self._patience, deadline)


def _said(headers: Mapping[str, str]) -> Head:
    return Head(length(headers), _moment(headers.get("last-modified", "")), headers.get("etag"))


def _same(one: Head | None, other: Head) -> bool:
    """Whether two answers may be about the same bytes: by their tags, else by their times, where both tell; what tells neither says nothing else."""
    if one is None:
        return False
    if one.etag and other.etag:
        return one.etag.removeprefix("W/") == other.etag.removeprefix("W/")
    return one.modified == other.modified if one.modified and other.modified else True


def _moment(text: str) -> dt.datetime | None:
    """The moment a header names, or None: a malformed one is as good as none."""
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        return None


@contextmanager
def _errors(source: str, address: str, patience: float, deadline: Deadline | None = None) -> Iterator[None]:
    place = shown(address)
    waited = f" for {patience:.0f} s" if patience else ""
    try:
        yield
    except Refused as error:
        raise SourceError(f"source {source}: {place} {error.told}", error.hint) from None
    except Packed as error:
        raise SourceError(f"source {source}: {place} cannot be read: {error}", _AGAIN) from None
    except _Status as error:
        status = error.status
        told = f"answers {status} {_phrase(status)}".rstrip()
        if status in _PASSING:
            raise Trouble(told, SourceError(f"source {source}: {place} {told}{waited}", _AGAIN)) from None
        raise SourceError(f"source {source}: {place} {told}", "Check the address and who may read it") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError):
        raise SourceError(f"source {source}: {place} is no address that can be read", "Check the address") from None
    except httpx.HTTPError as error:
        if deadline is not None:
            with _errors(source, address, patience):
                deadline.check()
        told = "takes too long to answer" if isinstance(error, httpx.TimeoutException) else "does not answer"
        if isinstance(error, httpx.ConnectError) and place not in _answered:
            raise SourceError(f"source {source}: {place} cannot be read: it {told}", "Check the address and the network") from None
        raise Trouble(told, SourceError(f"source {source}: {place} {told}{waited}", "Check the network, and run again; nothing is lost")) from None


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
