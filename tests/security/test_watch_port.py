"""The watcher's port: whatever is sent there wakes the watcher at most, whoever sends it and however much."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from lake import notifications
from lake.notifications import Bell, listen
from lake.service import free_ports


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bell, int]]:
    """A bell, and the port that rings it; callers are heard for a second."""
    monkeypatch.setattr(notifications, "_AT_MOST", 1.0)
    monkeypatch.setattr(notifications, "_CALLERS", 8)
    bell, (number,) = Bell(), free_ports(1)
    server = listen(bell, number)
    yield bell, number
    server.shutdown()
    server.server_close()


def _sent(port: int, text: bytes, seconds: float = 5) -> bytes:
    """What comes back for these bytes; nothing where the line is cut or silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        line.sendall(text)
        try:
            return line.recv(1000)
        except OSError:
            return b""


@pytest.mark.parametrize("size", ["-1", "99999999999", "9" * 5000, "1e3", "0x10", "²", ""])
def test_sizes_that_lie_hold_nobody(port: tuple[Bell, int], size: str) -> None:
    """A size that is none, is negative or beyond what is read: answered at once, and the bell rings."""
    bell, number = port
    said = _sent(number, f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.0 "), said
    assert bell.wait(5)


def test_who_holds_the_line_is_cut_off(port: tuple[Bell, int]) -> None:
    """A caller that announces a body and sends none is cut off, and meanwhile others are heard."""
    bell, number = port
    with socket.create_connection(("127.0.0.1", number), timeout=10) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert httpx.post(f"http://127.0.0.1:{number}/", trust_env=False).status_code == 204
        assert bell.wait(5)
        started = time.monotonic()
        line.settimeout(10)
        while line.recv(1000):
            pass
        assert time.monotonic() - started < 8


def test_many_callers_cost_a_bounded_number_of_threads(port: tuple[Bell, int]) -> None:
    """Many that connect and say nothing: no more than the bound are kept, and when they are cut off the next is heard."""
    bell, number = port
    before = threading.active_count()
    lines = [socket.create_connection(("127.0.0.1", number), timeout=10) for _ in range(24)]
    try:
        time.sleep(0.3)
        assert threading.active_count() - before <= notifications._CALLERS + 2
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if httpx.post(f"http://127.0.0.1:{number}/", trust_env=False, timeout=5).status_code == 204:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        assert bell.wait(5)
    finally:
        for line in lines:
            line.close()


def test_a_flood_wakes_once_a_second(port: tuple[Bell, int]) -> None:
    """However often it rings, whoever waits is woken no more than once a second."""
    bell, _ = port
    started, woken = time.monotonic(), 0
    while time.monotonic() - started < 2.5:
        bell.ring()
        woken += bell.wait(0.1)
    assert woken <= 4
