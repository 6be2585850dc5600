"""What a bucket says when something came: a reason to look at once, and never more than that. Listing is the truth.

Two ways in: anything posted to a port (SeaweedFS's and MinIO's webhooks, EventBridge's API destinations), and messages of an SQS
queue (the notifications of AWS S3). What a message says is not read, so none can do harm, and one that is lost costs a look.
"""

from __future__ import annotations

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
_PAUSE = 30.0  # seconds before a queue that failed is asked again


class Bell:
    """Rung by notifications. `wait` returns when it rang, or after a time."""

    def __init__(self) -> None:
        self._rang = threading.Event()

    def ring(self) -> None:
        """Something came."""
        self._rang.set()

    def wait(self, seconds: float) -> bool:
        """Whether it rang within that time, or since it was last waited for."""
        rang = self._rang.wait(seconds)
        self._rang.clear()
        return rang


def listen(bell: Bell, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Ring at every POST to the port. Returns the server, which runs in a thread of its own. Raises SettingsError if the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802  # the name the base looks for
            """Take the message off the line, and ring."""
            self.rfile.read(min(_LARGEST, int(self.headers.get("Content-Length") or 0)))
            self.send_response(204)
            self.end_headers()
            bell.ring()

        do_PUT = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
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
