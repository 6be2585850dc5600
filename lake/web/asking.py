"""Asking a web server: redirects followed by hand, none to where no source should lead, and an end to every answer.

Where a source begins is its team's own declaration, and may be a private address. Where a server sends it from there is the server's word: another
host is resolved and must be public, and the address really connected to is looked at again before anything is asked, whatever its name is by then.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from lake.confidential import hidden, shown
from lake.wording import counted

_MOST_REDIRECTS = 10
_MOVED = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Limits:
    """What a file behind a web address may cost, and where its server may send lake: to `public` addresses, or `anywhere`."""

    within: dt.timedelta = dt.timedelta(hours=6)
    largest: int = 64 << 30  # bytes
    redirects: Literal["public", "anywhere"] = "public"


class Refused(Exception):
    """What a server asked for is not done. `told` says what, in a few words; `hint` what whoever wants it can do."""

    def __init__(self, told: str, hint: str) -> None:
        super().__init__(told)
        self.told = told
        self.hint = hint


class _Unnamed(logging.Filter):
    """Has the client log addresses without what they carry."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it: always."""
        record.msg, record.args = hidden(record.getMessage()), None
        return True


logging.getLogger("httpx").addFilter(_Unnamed())

_SAY_SO = "Declare the address it leads to; or where the server is to be trusted, give the source redirects='anywhere'"


class Deadline:
    """The moment at which a file must be there. A connection that is open then is cut, however little it still sends."""

    def __init__(self, limits: Limits) -> None:
        self._seconds = limits.within.total_seconds()
        self._ends = time.monotonic() + self._seconds
        self._streams: list[Any] = []
        self._mutex = threading.Lock()
        self._over = False
        self._timer = threading.Timer(min(self._seconds, threading.TIMEOUT_MAX), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Raises Refused once it has passed."""
        if self._over or time.monotonic() >= self._ends:
            raise Refused(f"is not there after {_in_time(self._seconds)}, which is the most", "Give the source a longer `within`, or its server time to answer")

    def watch(self, stream: Any) -> None:
        """Cut this connection too."""
        with self._mutex:
            self._streams.append(stream)
        if self._over:
            self._cut()

    def _cut(self) -> None:
        self._over = True
        with self._mutex:
            for stream in self._streams:
                with contextlib.suppress(OSError, AttributeError):
                    stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


@contextmanager
def answer(method: str, address: str, headers: Mapping[str, str], limits: Limits, deadline: Deadline, timeout: float = 60.0) -> Iterator[httpx.Response]:
    """The answer to a request, its body not read yet, wherever redirects lead. Raises Refused, or httpx.HTTPError and its like as they come."""
    first = httpx.URL(address)
    headers = {"Accept-Encoding": "identity", **headers}
    leads: list[str] = []

    def note(response: httpx.Response) -> None:
        """Take the place out of a redirect: the client would resolve it, and fail in its own way, though it is not to follow."""
        leads[:] = [response.headers.pop("location", "")]

    with httpx.Client(timeout=timeout, headers={"User-Agent": "lake"}, event_hooks={"response": [note]}) as client:
        url, redirected = first, False
        for _ in range(_MOST_REDIRECTS + 1):
            deadline.check()
            strict = redirected and limits.redirects == "public" and _origin(url) != _origin(first)
            if strict:
                _must_be_public(url)
            request = client.build_request(method, url, headers=headers, extensions={"trace": _guard(url, deadline, strict=strict)})
            response = client.send(request, stream=True, follow_redirects=False)
            try:
                if response.status_code not in _MOVED:
                    yield response
                    return
                url, redirected = _next(leads[0], url, first, limits), True
            finally:
                response.close()
        raise Refused(f"leads to more than {_MOST_REDIRECTS} redirects", "Declare the address they lead to")


def _next(told: str, here: httpx.URL, first: httpx.URL, limits: Limits) -> httpx.URL:
    """Where a redirect that names a place leads. The user and password that were declared go with it to the same server alone, and none that a server names."""
    scheme = told.partition(":")[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", told) else here.scheme
    if scheme not in _PORTS:
        raise Refused(f"leads to {scheme[:20]}:, which no web server may send lake to", "Declare the address that is meant")
    try:
        there = here.join(told)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        there = None
    if not told or there is None or not there.host:
        raise Refused("leads to a redirect without an address", "Declare the address it should lead to")
    if here.scheme == "https" and there.scheme == "http" and limits.redirects == "public":
        raise Refused(f"leads from https to {shown(str(there))}, where anybody on the way could change what comes", _SAY_SO)
    bare = there.copy_with(userinfo=b"")
    return bare.copy_with(userinfo=first.userinfo) if first.userinfo and _origin(bare) == _origin(first) else bare


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host.rstrip(".").lower(), url.port or _PORTS.get(url.scheme)


def _must_be_public(url: httpx.URL) -> None:
    """Raises Refused where a name leads to an address that is not public. A name that cannot be looked up here is a proxy's to look up."""
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(url.host, url.port or _PORTS[url.scheme], type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return
    for one in sorted(found):
        if not _is_public(one):
            raise _private(url, one)


def _private(url: httpx.URL, address: str) -> Refused:
    kind = _kind(address)
    return Refused(f"leads to {shown(str(url))}, which is {'an' if kind[0] in 'aeiou' else 'a'} {kind} address", _SAY_SO)


def _guard(url: httpx.URL, deadline: Deadline, *, strict: bool) -> Any:
    """Looks at each connection before anything is asked over it: it ends with the deadline and, where `strict`, leads to a public address or to the user's own proxy."""
    asked: list[str] = []

    def look(event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            asked.append(str(info.get("host", "")))
        elif event == "connection.connect_tcp.complete":
            stream = info["return_value"]
            deadline.watch(stream)
            if strict and asked[-1:] == [url.raw_host.decode("ascii").strip("[]")]:
                there = str(stream.get_extra_info("server_addr")[0])
                if not _is_public(there):
                    stream.close()
                    raise _private(url, there)

    return look


def _is_public(text: str) -> bool:
    return _kind(text) == "public"


def _kind(text: str) -> str:
    """What an address is: `public`, or why it is not."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
        if inner is not None:
            return _kind(str(inner))
    for kind, holds in (("loopback", address.is_loopback), ("link-local", address.is_link_local), ("private", address.is_private)):
        if holds and not address.is_unspecified:
            return kind
    return "public" if address.is_global and not address.is_multicast else "internal"


def _in_time(seconds: float) -> str:
    return counted(round(seconds), "second") if seconds < 120 else f"{seconds / 60:,.0f} minutes"  # noqa: PLR2004
