"""A web server that does as a test says, byte by byte: what it sends, when it hangs up, and what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Reply = Callable[["Asked"], bytes]


@dataclass
class Asked:
    """One request: its method, path and headers, by their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    connection: socket.socket = field(repr=False)


class WebServer:
    """Listens on 127.0.0.1. `reply` makes the bytes of each answer; the connection ends after it."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[Asked] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of a file there."""
        return f"http://127.0.0.1:{self.port}/orders.csv"

    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [one.method for one in self.asked]

    def close(self) -> None:
        """Answer nobody any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            text = b""
            while b"\r\n\r\n" not in text:
                more = connection.recv(65536)
                if not more:
                    return
                text += more
            first, *lines = text.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            asked = Asked(method, path, headers, connection)
            self.asked.append(asked)
            connection.sendall(self.reply(asked))


def answer(status: str, body: bytes = b"", **headers: object) -> bytes:
    """An answer that ends with its connection; names of headers have dashes for underscores. Without a Content_Length its body ends where the connection does."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
