"""What a bucket says when something came: a reason to look at once, and never more than that. Listing is the truth.

Two ways in: anything posted to a port (SeaweedFS's and MinIO's webhooks, EventBridge's API destinations), and messages of an SQS
queue (the notifications of AWS S3). What a message says is not heeded: any can wake the watcher, at most once a second, and none can do more.
One that is lost costs the time until the next look.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from lake.errors import SettingsError
from lake.settings import Settings

_LONG_POLL = 20  # seconds, the most that SQS allows
_LARGEST = 1 << 20  # bytes of a message that are taken off the line
_CALLERS = 32  # heard at once
_AT_MOST = 10.0  # seconds that a caller is listened to
_APART = 1.0  # seconds between two times that a bell wakes somebody
_PAUSE = 30.0  # seconds before a queue that failed is asked again


class Bell:
    """Rung by notifications. `wait` returns when it rang, or after a time."""

    def __init__(self) -> None:
        self._rang = threading.Event()
        self._woke = float("-inf")

    def ring(self) -> None:
        """Something came."""
        self._rang.set()

    def wait(self, seconds: float) -> bool:
        """Whether it rang within that time, or since it was last waited for. However often it rings, it wakes nobody twice in a second."""
        rang = self._rang.wait(seconds)
        if rang and (left := self._woke + _APART - time.monotonic()) > 0:
            time.sleep(left)
        self._woke = time.monotonic() if rang else self._woke
        self._rang.clear()
        return rang


class _Doorbell(ThreadingHTTPServer):
    """Takes so many callers at once, each for so long, and reads so much of each: whoever holds the line or floods it costs a look, no more."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._mutex = threading.Lock()
        self._since: dict[socket.socket, float] = {}
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have the caller heard, unless too many are."""
        with self._mutex:
            full = len(self._since) >= _CALLERS
            if not full:
                self._since[request] = time.monotonic()
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The caller was heard."""
        with self._mutex:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Twice a second: whoever is on the line too long is cut off."""
        with self._mutex:
            late = [caller for caller, since in self._since.items() if time.monotonic() - since > _AT_MOST]
        for caller in late:
            with contextlib.suppress(OSError):
                caller.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that is gone is nothing to say."""


def listen(bell: Bell, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Ring at every POST to the port. Returns the server, which runs in a thread of its own. Raises SettingsError if the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802  # the name the base looks for
            """Take the message off the line, as far as it is to be taken, and ring."""
            told = self.headers.get("Content-Length") or "0"
            size = int(told) if told.isascii() and told.isdigit() and len(told) < 20 else _LARGEST + 1  # noqa: PLR2004  # more digits are no size
            if size <= _LARGEST:
                self.rfile.read(size)
            self.send_response(204 if size <= _LARGEST else 413)
            self.end_headers()
            bell.ring()

        do_PUT = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    try:
        server = _Doorbell((host, port), Handler)
    except OSError as error:
        raise SettingsError(f"cannot listen for notifications at {host}:{port}: {error.strerror or error}", "Give another LAKE_WATCH_PORT") from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def follow(bell: Bell, queue: str, settings: Settings) -> threading.Thread:
    """Ring at every message of the SQS queue at this address, and take it out. A queue that does not answer is asked again, for ever."""
    client = _client(queue, settings)

    def ask() -> None:
        while True:
            try:
                found = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=_LONG_POLL).get("Messages", [])
                if found:
                    bell.ring()
                    entries = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(found)]
                    client.delete_message_batch(QueueUrl=queue, Entries=entries)
            except (BotoCoreError, ClientError):
                time.sleep(_PAUSE)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def _client(queue: str, settings: Settings) -> Any:
    parts = urlsplit(queue)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError("LAKE_WATCH_QUEUE is not the address of a queue", "Give its URL, as `aws sqs get-queue-url` tells it")
    keys = {
        name: value.get_secret_value()
        for name, value in (
            ("aws_access_key_id", settings.access_key_id),
            ("aws_secret_access_key", settings.secret_access_key),
            ("aws_session_token", settings.session_token),
        )
        if value is not None
    }
    return Session().create_client("sqs", region_name=settings.region, endpoint_url=f"{parts.scheme}://{parts.netloc}", **keys)
