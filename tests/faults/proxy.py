"""A reverse proxy on 127.0.0.1 between lake and a real S3 store, which passes everything on unchanged until it is told a fault.

Requests are numbered, and writes (PUT, POST, DELETE) once more among themselves: a test says at which of them the client is
killed or stopped, which answer gets lost, and which are refused, and can read afterwards what was hit.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from urllib.parse import urlsplit

from tests.faults.fault import Fault, Request

_PIECE = 1 << 16
_WRITES = ("PUT", "POST", "DELETE")
_OWN_HEADERS = ("connection", "keep-alive", "transfer-encoding", "expect")  # they are about one connection; each side has its own


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

    def note(self, method: str, path: str) -> tuple[Request, Fault, Future[int]]:
        """Number a request that came in; with the fault it may meet, and whom that hits."""
        with self._mutex:
            write = 1 + sum(1 for request in self.requests if request.write) if method in _WRITES else 0
            self.requests.append(Request(len(self.requests) + 1, write, method, path))
            return self.requests[-1], self.fault, self.victim

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

    def log_message(self, *args: object, **kwargs: object) -> None:
        """Say nothing."""

    def _pass(self) -> None:
        proxy = self.server.proxy
        request, fault, victim = proxy.note(self.command, self.path)
        instead = fault.before(victim, request)
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
            upstream.endheaders(self._body(), encode_chunked=chunked)
            answer = upstream.getresponse()
            request.status = answer.status
            if fault.answers(victim, request):
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


def _pieces(stream: BufferedIOBase, size: int) -> Iterator[bytes]:
    while size and (piece := stream.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece
    if size:
        raise ConnectionError("the client hung up within a request")
