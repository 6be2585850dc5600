"""The fault proxy itself: what passes through it comes out unchanged, and each fault is what it says."""

from __future__ import annotations

import hashlib
import http.client
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lake.errors import NotFound, StoreError
from lake.settings import Settings
from lake.store import Store, open_store
from tests.faults.fault import Fault, Kill, LoseAnswer, Pause, Refuse, commits, write_number
from tests.faults.project import proxied
from tests.faults.proxy import Proxy


@pytest.fixture
def behind(weed_settings: Settings) -> Iterator[tuple[Store, Proxy]]:
    """A real store reached through a proxy."""
    store = open_store(weed_settings)
    with proxied(store.endpoint) as proxy:
        yield Store(store.bucket, store.prefix, store.options | {"aws_endpoint": proxy.endpoint}), proxy
    store.close()


def test_signed_requests_of_every_kind_pass(behind: tuple[Store, Proxy], tmp_path: Path) -> None:
    """Puts, conditional puts, parts, gets, heads, listings and deletes: SeaweedFS finds the signatures right and the bytes are the same."""
    store, proxy = behind
    content = secrets.token_bytes(17 << 20)
    (tmp_path / "big").write_bytes(content)
    store.upload("a/big", tmp_path / "big")
    assert hashlib.sha256(store.get("a/big")).digest() == hashlib.sha256(content).digest()
    assert (store.put_if_absent("a/äö +%", b"1"), store.put_if_absent("a/äö +%", b"2"), store.get("a/äö +%")) == (True, False, b"1")
    blob = store.head("a/big")
    assert blob is not None
    assert blob.size == len(content)
    store.put("a/empty", b"")
    assert [found.path for found in store.walk("a")] == ["a/big", "a/empty", "a/äö +%"]
    store.delete(["a/big", "a/empty", "a/äö +%"])
    with pytest.raises(NotFound):
        store.get("a/big")
    assert [request.write for request in proxy.writes] == list(range(1, len(proxy.writes) + 1))
    assert [request.number for request in proxy.requests] == list(range(1, len(proxy.requests) + 1))


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Answer in chunks with what came in chunks, and with the Host that came."""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("X-Host", self.headers["Host"])
        self.end_headers()
        for piece in (body[:10], body[10:]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_chunks_and_the_host_pass() -> None:
    """A body of unknown length in either direction, and the very Host header the client sent."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with proxied(f"http://127.0.0.1:{server.server_port}") as proxy:
            client = http.client.HTTPConnection(urlsplit(proxy.endpoint).netloc, timeout=10)
            for _ in range(2):  # on one connection
                client.request("PUT", "/x", body=iter([b"some ", b"bytes " * 50_000]), headers={"Host": "elsewhere:1"}, encode_chunked=True)
                answer = client.getresponse()
                assert (answer.read(), answer.headers["X-Host"]) == (b"some " + b"bytes " * 50_000, "elsewhere:1")
            client.close()
        server.shutdown()


def test_an_answer_can_get_lost(behind: tuple[Store, Proxy]) -> None:
    """The object is there; the client asks again and hears that it is."""
    store, proxy = behind
    proxy.arm(fault := LoseAnswer(commits("t")))
    assert store.put_if_absent("t/_delta_log/00000000000000000000.json", b"x") is False
    assert [request.status for request in proxy.writes] == [200, 412]
    assert fault.hit is proxy.writes[0]


def test_requests_can_be_refused(behind: tuple[Store, Proxy]) -> None:
    """Those that are meant, with the status that is meant; nothing of them reaches the store."""
    store, proxy = behind
    proxy.arm(Refuse(lambda request: request.path.endswith("/no"), 403))
    with pytest.raises(StoreError, match="403"):
        store.put("no", b"x")
    store.put("yes", b"x")
    proxy.arm(Fault())
    assert [blob.path for blob in store.walk("")] == ["yes"]


@pytest.mark.parametrize("after", [False, True])
def test_a_victim_is_killed_before_or_after_the_write(behind: tuple[Store, Proxy], after: bool) -> None:
    """The one that is killed is another process here; whether the write was done is as said."""
    store, proxy = behind
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    proxy.arm(Kill(write_number(2), after))
    proxy.victim.set_result(victim.pid)
    store.put("one", b"x")
    client = http.client.HTTPConnection(urlsplit(proxy.endpoint).netloc, timeout=10)
    client.request("PUT", f"/{store.bucket}/{store.prefix}/two", body=b"x")
    with pytest.raises(ConnectionError):
        client.getresponse()
    client.close()
    assert victim.wait(10) == -signal.SIGKILL
    assert [request.status for request in proxy.writes] == [200, 403 if after else 0]  # unsigned, so the store refuses it; but it was asked
    victim.communicate()


def test_a_victim_is_stopped_and_goes_on(behind: tuple[Store, Proxy]) -> None:
    """While it is stopped the write has not reached the store."""
    store, proxy = behind
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    proxy.arm(fault := Pause(write_number(1)))
    proxy.victim.set_result(victim.pid)
    writer = threading.Thread(target=store.put, args=("late", b"x"))
    writer.start()
    assert fault.reached.wait(10)
    assert Path(f"/proc/{victim.pid}/stat").read_text().split()[2] == "T"
    assert proxy.writes[0].status == 0
    fault.resume()
    writer.join(10)
    assert store.get("late") == b"x"
    assert victim.communicate("\n", timeout=10) == (None, None)
    assert victim.returncode == 0
