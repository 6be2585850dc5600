"""The embedded store has one door, S3, and it asks for keys: every other port turns strangers away, whatever they speak."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from lake.embedded import weed_binary
from lake.settings import load_settings
from lake.store import Store, open_store
from tests.browser import browser_page
from tests.security import stranger
from tests.security.stranger import as_stranger


@dataclass(frozen=True)
class Running:
    """A store with one object in it, its folder, its process and every port that it listens on."""

    store: Store
    folder: Path
    process: psutil.Process
    ports: list[int]

    @property
    def s3(self) -> int:
        """The port of S3."""
        return int(self.store.endpoint.rpartition(":")[2])


@pytest.fixture(scope="module")
def running(weed_home: Path) -> Iterator[Running]:
    store = open_store(load_settings(home=weed_home, root=weed_home))
    store.put("planted.txt", b"what was kept")
    folder = weed_home / "store"
    process = psutil.Process(int(json.loads((folder / "state.json").read_text("utf-8"))["pid"]))
    ports = sorted({one.laddr.port for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN})
    yield Running(store, folder, process, ports)
    store.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that a stranger can read and write, outside of pytest's own, which nobody else may enter."""
    folder = Path(tempfile.mkdtemp(prefix="stranger-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_every_port_is_looked_at_and_bound_to_this_machine(running: Running) -> None:
    """The store listens on 127.0.0.1 alone; S3 is one of its ports."""
    listening = [one.laddr.ip for one in running.process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert set(listening) == {"127.0.0.1"}
    assert running.s3 in running.ports
    assert len(running.ports) >= 8


def test_no_port_answers_a_stranger(running: Running, place: Path) -> None:
    """Read, write, delete, look up, list: over HTTP and HTTPS every port refuses another user of the machine, and nothing changes."""
    script = shutil.copy(stranger.__file__, place / "stranger.py")
    os.chmod(script, 0o644)
    interpreter = os.path.realpath(sys.executable) if os.getuid() else shutil.which("python3", path="/usr/bin:/bin") or "python3"
    said = as_stranger([interpreter, str(script), *map(str, running.ports)], place)
    assert said.returncode == 0, said.stderr
    for port, answers in json.loads(said.stdout).items():
        refused = {0, 400, 401, 403, 404, 405}
        let_in = [answer for answer in answers if answer["status"] not in refused and not _counts(running, int(port), answer)]
        assert let_in == [], port
        assert not any(secret in answer["body"] for answer in answers for secret in ("what was kept", "accessKey", "volumeId", "fid"))
    assert running.store.get("planted.txt") == b"what was kept"


def _counts(running: Running, port: int, answer: dict[str, Any]) -> bool:
    """Whether it is one of the two things that anybody may see: that S3 lives, and SeaweedFS's own counters, which name no object."""
    if port == running.s3:
        return answer["path"] == "/status" and answer["body"] == ""
    return bool(answer["path"] == "/metrics" and answer["method"] == "GET" and answer["body"].startswith("# HELP SeaweedFS_"))


def test_the_store_s_own_tools_are_strangers_without_its_certificates(running: Running, place: Path) -> None:
    """`weed shell`, which showed the secret key to anybody, gets nothing out of any port."""
    (place / "weed").write_bytes(Path(weed_binary()).read_bytes())
    (place / "weed").chmod(0o755)
    master = next(int(part.split("=")[1]) for part in running.process.cmdline() if part.startswith("-master.port="))
    filer = next(int(part.split("=")[1]) for part in running.process.cmdline() if part.startswith("-filer.port="))
    grpc = {name: next(int(part.split("=")[1]) for part in running.process.cmdline() if part.startswith(f"-{name}.port.grpc=")) for name in ("master", "filer")}
    command = [str(place / "weed"), "shell", f"-master=127.0.0.1:{master}.{grpc['master']}", f"-filer=127.0.0.1:{filer}.{grpc['filer']}"]
    said = as_stranger(["timeout", "6", *command], place, "s3.configure\nfs.cat /etc/iam/identity.json\nvolume.list\n")
    secret = json.loads((running.folder / "s3.json").read_text("utf-8"))["identities"][0]["credentials"][0]
    assert secret["secretKey"] not in said.stdout + said.stderr
    assert secret["accessKey"] not in said.stdout + said.stderr
    assert said.returncode != 0


def test_what_the_store_keeps_is_its_owner_s_alone(running: Running) -> None:
    """Keys, certificates, data and sockets: nobody but the owner can read or enter any of it."""
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    for name in ("s3.json", "launch.json", "certificates/key.pem", "certificates/cert.pem", "certificates/ca.pem"):
        assert stat.S_IMODE((running.folder / name).stat().st_mode) == 0o600, name
    sockets = [one.laddr for one in running.process.net_connections("unix") if one.laddr and not str(one.laddr).startswith("@")]
    assert sockets
    for path in sockets:
        assert stat.S_IMODE(Path(str(path)).stat().st_mode) & 0o077 == 0, path


def test_a_page_of_another_origin_reaches_nothing(running: Running) -> None:
    """A page that a browser on this machine shows can send requests to every port; none reads, writes or deletes."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    script = """async ports => { const got = [];
      for (const port of ports) for (const scheme of ["http", "https"]) for (const [method, path] of
          [["GET", "/buckets/lake/planted.txt"], ["PUT", "/buckets/lake/put.txt"], ["POST", "/buckets/lake/posted.txt"], ["DELETE", "/buckets/lake/planted.txt"]])
        for (const mode of ["cors", "no-cors"]) {
          try { const answer = await fetch(`${scheme}://127.0.0.1:${port}${path}`, {method, mode, body: method.startsWith("P") ? "x" : undefined});
                got.push([port, method, mode, answer.status, await answer.text()]); } catch { }
        }
      return got; }"""
    try:
        with browser_page() as page:
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            got = page.evaluate(script, running.ports)
    finally:
        server.shutdown()
        server.server_close()
    assert [answer for answer in got if answer[3] in (200, 201, 202, 204) or "what was kept" in answer[4]] == []
    assert running.store.get("planted.txt") == b"what was kept"
