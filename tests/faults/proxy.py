"""A reverse proxy on 127.0.0.1 between lake and a real S3 store, which passes everything on unchanged until it is told a fault.

Requests are numbered, and writes (PUT, POST, DELETE) once more among themselves: a test says at which of them the client is
killed or stopped, which answer gets lost, and which are refused, and can read afterwards what was hit.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO
from urllib.parse import urlsplit

_PIECE = 1 << 16
_WRITES = ("PUT", "POST", "DELETE")
_OWN_HEADERS = ("connection", "keep-alive", "transfer-encoding", "expect")  # they are about one connection; each side has its own


@dataclass
class Request:
    """One request: its number, its number among the writes (0 if it is none), and what was answered in the end (0: nothing)."""

    number: int
    write: int
    method: str
    path: str
    status: int = 0

    @property
    def boundary(self) -> str:
        """What the request does to which part of a lake, without what differs from run to run."""
        path = re.sub(r"^/[^/]+/[^/]+/", "", urlsplit(self.path).path)
        path = re.sub(r"[0-9a-f]{64}/[^/]*", "*", path)
        return f"{self.method} " + re.sub(r"part-[^/]*|[0-9]{10,}(?=\.)", "*", path)


Which = Callable[[Request], bool]


def write_number(number: int) -> Which:
    """The write with this number."""
    return lambda request: request.write == number


def commits(table: str = "") -> Which:
    """The commits of the table at this path, or of all tables and releases."""
    pattern = re.compile(rf"/[^/]+/[^/]+/{table}/_delta_log/\d+\.json" if table else r".*/(_delta_log|system/releases)/\d+\.json")
    return lambda request: request.method == "PUT" and pattern.fullmatch(request.path) is not None


class Fault:
    """No fault: the base of all. Asked about each request before it is passed on, and after the store answered."""

    hit: Request | None = None

    def before(self, proxy: Proxy, request: Request) -> int | None:
        """A status to answer with instead of passing the request on; 0 to hang up; None to pass it on."""

    def answers(self, proxy: Proxy, request: Request) -> bool:
        """Whether the client gets the store's answer."""
        return True


@dataclass
class Kill(Fault):
    """SIGKILL the victim before or after the store did what the first request that is meant asks; the client hears nothing."""

    which: Which
    after: bool = False
    hit: Request | None = None

    def before(self, proxy: Proxy, request: Request) -> int | None:
        """Kill, or wait for the answer."""
        if self.hit is None and self.which(request):
            self.hit = request
            if not self.after:
                os.kill(proxy.victim.result(10), signal.SIGKILL)
        return 0 if self.hit is not None and not self.after else None

    def answers(self, proxy: Proxy, request: Request) -> bool:
        """The store did it: now kill."""
        if request is self.hit:
            os.kill(proxy.victim.result(10), signal.SIGKILL)
        return request is not self.hit


@dataclass
class LoseAnswer(Fault):
    """The store does what is asked, and the client never hears of it: for the first `times` attempts on each path."""

    which: Which
    times: int = 1
    lost: dict[str, int] = field(default_factory=dict)

    def answers(self, proxy: Proxy, request: Request) -> bool:
        """Not for those that are meant."""
        if not self.which(request) or self.lost.get(request.path, 0) >= self.times:
            return True
        self.hit = request
        self.lost[request.path] = self.lost.get(request.path, 0) + 1
        return False


@dataclass
class Refuse(Fault):
    """Requests that are meant are answered with an error (503: slow down; 500: also what SeaweedFS says when its disk is full)."""

    which: Which
    status: int = 503
    refused: int = 0

    def before(self, proxy: Proxy, request: Request) -> int | None:
        """The error, if the request is meant."""
        if not self.which(request):
            return None
        self.hit = request
        self.refused += 1
        return self.status


@dataclass
class Delay(Fault):
    """Every request takes so many seconds longer."""

    seconds: float

    def before(self, proxy: Proxy, request: Request) -> int | None:
        """Wait."""
        time.sleep(self.seconds)
        return None


@dataclass
class Pause(Fault):
    """SIGSTOP the victim before the first request that is meant is passed on; `resume` passes it on and lets the victim go on."""

    which: Which
    reached: threading.Event = field(default_factory=threading.Event)
    resumed: threading.Event = field(default_factory=threading.Event)

    def before(self, proxy: Proxy, request: Request) -> int | None:
        """Stop the victim and wait."""
        if self.hit is None and self.which(request):
            self.hit = request
            os.kill(proxy.victim.result(10), signal.SIGSTOP)
            self.reached.set()
            self.resumed.wait(200)
            os.kill(proxy.victim.result(10), signal.SIGCONT)
        return None

    def resume(self) -> None:
        """Go on."""
        self.resumed.set()


class Proxy:
    """The proxy while it runs: `endpoint` is for clients; `arm` sets a fault and counts from one again."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.victim: Future[int] = Future()
        self.fault = Fault()
        self.requests: list[Request] = []
        self._mutex = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def arm(self, fault: Fault) -> None:
        """From now on this fault, and numbers from one; who is killed or stopped is said by `victim.set_result`."""
        with self._mutex:
            self.fault, self.requests, self.victim = fault, [], Future()

    @property
    def writes(self) -> list[Request]:
        """The requests since `arm` that write."""
        return [request for request in self.requests if request.write]

    def note(self, method: str, path: str) -> Request:
        """Number a request that came in."""
        with self._mutex:
            write = 1 + sum(1 for request in self.requests if request.write) if method in _WRITES else 0
            self.requests.append(Request(len(self.requests) + 1, write, method, path))
            return self.requests[-1]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    proxy: Proxy
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed client leaves a broken connection; that is what it is here for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        """As the base does; a client or a store that is gone ends the connection."""
        try:
            super().handle_one_request()
        except (OSError, http.client.HTTPException):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _pass(self) -> None:
        proxy = self.server.proxy
        request, fault = proxy.note(self.command, self.path), proxy.fault
        instead = fault.before(proxy, request)
        if instead is not None:
            for _ in self._body():
                pass
            request.status = instead
            self._refuse(instead)
            return
        upstream = http.client.HTTPConnection(urlsplit(proxy.upstream).netloc, timeout=60)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            for name, value in self.headers.items():
                if name.lower() not in _OWN_HEADERS:
                    upstream.putheader(name, value)
            if chunked:
                upstream.putheader("Transfer-Encoding", "chunked")
            upstream.endheaders(self._body(), encode_chunked=chunked)  # type: ignore[arg-type]  # any iterable of bytes will do
            answer = upstream.getresponse()
            request.status = answer.status
            if fault.answers(proxy, request):
                self._answer(answer)
            else:
                self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815  # the names the base looks for

    def _body(self) -> Iterator[bytes]:
        """The request's body in pieces, as it comes."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield from _pieces(self.rfile, int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from _pieces(self.rfile, size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        bare = self.command == "HEAD" or answer.status in (204, 304)
        chunked = not bare and answer.headers.get("Content-Length") is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not bare and (piece := answer.read(_PIECE)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, status: int) -> None:
        if status == 0:
            self.close_connection = True
            return
        code = {503: "SlowDown", 500: "InternalError"}.get(status, "Refused")
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>the store says {status}</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (piece := stream.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece
    if size:
        raise ConnectionError("the client hung up within a request")
