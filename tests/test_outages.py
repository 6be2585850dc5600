"""A store or a source in trouble for a while: it is waited out, people are told, and what lasts longer is one clear error. Nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from lake import patience, web
from lake.delta import open_snapshot
from lake.errors import SourceError, StoreBusy, StoreError, StoreUnreachable
from lake.patience import Trouble, pauses, persist, telling
from lake.run import begin_run
from lake.settings import Settings, load_settings
from lake.store import Store, open_store
from lake.table import path_of
from lake.uploads import unfinished
from tests.faults.fault import Outage, Refuse, commits
from tests.faults.project import proxied
from tests.faults.proxy import Proxy
from tests.tiny import bring, orders, rows_of, totals, write_orders

STATUSES = [429, 500, 502, 503, 504, 0]
_LONG = 20.0  # seconds


@pytest.fixture
def behind(moto_settings: Settings) -> Iterator[tuple[Callable[[float], Store], Proxy]]:
    """Makes stores of so many seconds of patience, reached through a proxy."""
    store = open_store(moto_settings)
    with proxied(store.endpoint) as proxy:
        yield lambda seconds: Store(store.bucket, store.prefix, store.options | {"aws_endpoint": proxy.endpoint}, patience=seconds), proxy
    store.close()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What people are told, from the first moment of trouble."""
    monkeypatch.setattr(patience, "_QUIET", -1.0)
    monkeypatch.setattr(patience, "_last_told", {})
    lines: list[str] = []
    with telling(lines.append):
        yield lines


@pytest.mark.parametrize("status", STATUSES)
def test_what_passes_is_waited_out(behind: tuple[Callable[[float], Store], Proxy], tmp_path: Path, status: int, heard: list[str]) -> None:
    """Every kind of request succeeds although the store says no for a second and a half, and the person who waits is told once for what, and when it is over."""
    store, proxy = behind[0](_LONG), behind[1]
    (tmp_path / "file").write_bytes(b"f" * 100)
    store.put("there", b"x")
    asks: dict[str, Callable[[], object]] = {
        "put": lambda: store.put("a", b"1"), "upload": lambda: store.upload("b", tmp_path / "file"), "get": lambda: store.get("there"),
        "stream": lambda: b"".join(store.stream("there")), "head": lambda: store.head("there"), "walk": lambda: list(store.walk("")),
        "children": lambda: store.children(""), "once": lambda: store.put_if_absent(f"once-{status}", b"1"),
    }  # fmt: skip
    chosen = asks if status == 503 else {name: asks[name] for name in ("put", "stream", "walk")}
    for name, ask in chosen.items():
        heard.clear()
        patience._last_told.clear()
        proxy.arm(outage := Outage(1.0, status))
        assert ask() or name in ("put", "upload", "children"), name
        assert outage.refused
        assert len(heard) == 2, (name, heard)
        assert "does not answer" in heard[0] if status == 0 else f"says {status}" in heard[0]
        assert heard[0].endswith("tried again for up to 20 s")
        assert heard[1] == f"{store.endpoint} answers again"
    assert store.get("there") == b"x"


@pytest.mark.parametrize("status", STATUSES)
def test_what_does_not_pass_is_one_clear_error(behind: tuple[Callable[[float], Store], Proxy], status: int) -> None:
    """After its patience the store's trouble is told as what it is, with what to do, and without a word of a library's."""
    store, proxy = behind[0](1.0), behind[1]
    store.put("there", b"x")
    proxy.arm(Refuse(lambda request: True, status))
    started = time.monotonic()
    with pytest.raises(StoreUnreachable if status == 0 else StoreBusy) as caught:
        store.get("there")
    assert time.monotonic() - started < 10
    told = str(caught.value)
    assert store.endpoint in told
    assert "LAKE_PATIENCE" in told
    assert "what was published stands" in told
    assert status == 0 or f"says {status}" in told
    for word in ("Generic", "S3 error", "retries", "retry_timeout", "Caused by", "reqwest", "hyper", "<Code>"):
        assert word not in told


def test_no_and_nothing_are_not_waited_for(behind: tuple[Callable[[float], Store], Proxy]) -> None:
    """A refusal of keys is no trouble that passes, nor is an object that is not there."""
    store, proxy = behind[0](_LONG), behind[1]
    for status in (403, 404, 400):
        proxy.arm(refusal := Refuse(lambda request: True, status))
        started = time.monotonic()
        with pytest.raises(StoreError):
            store.get("there")
        assert refusal.refused == 1
        assert time.monotonic() - started < 3


def test_polars_and_delta_rs_wait_too(moto_settings: Settings, tmp_path: Path) -> None:
    """What Polars scans and delta-rs opens goes on after six seconds of 503, which is longer than either waits by itself."""
    write_orders(tmp_path, "one.csv", [(1, "ann", "1.50", "2024-01-01")])
    with begin_run(moto_settings, "shop", "test") as run:
        bring(run, tmp_path)
        path = path_of(orders.name)
        with proxied(run.store.endpoint) as proxy:
            store = Store(run.store.bucket, run.store.prefix, run.store.options | {"aws_endpoint": proxy.endpoint}, patience=_LONG)
            snapshot = open_snapshot(store, path, 0)
            proxy.arm(outage := Outage(6.0))
            assert snapshot.scan().select(pl.len()).collect().item() == 1
            assert outage.refused > 3
            from deltalake import DeltaTable

            proxy.arm(outage := Outage(4.0))
            assert DeltaTable(store.uri(path), storage_options=store.opening).version() == 0
            assert outage.refused > 3


def test_unfinished_uploads_are_listed_after_an_outage(behind: tuple[Callable[[float], Store], Proxy], heard: list[str]) -> None:
    """The way of botocore to the store is as patient."""
    store, proxy = behind[0](_LONG), behind[1]
    proxy.arm(outage := Outage(1.5))
    assert unfinished(store) == []
    assert outage.refused > 1
    proxy.arm(Refuse(lambda request: True, 503))
    with pytest.raises(StoreBusy, match="says 503"):
        unfinished(behind[0](0.5))


@pytest.mark.parametrize("status", [503, 500, 0])
def test_a_run_meets_an_outage_at_each_of_its_commits(moto_settings: Settings, tmp_path: Path, status: int) -> None:
    """From the first commit of a run on, the store is away for two seconds: the run goes on and its tables hold each row once."""
    with proxied(moto_settings.endpoint or "") as proxy:
        settings = moto_settings.model_copy(update={"endpoint": proxy.endpoint})
        for number, table in enumerate(("system/landings", path_of("bronze.shop.orders"), path_of(orders.name))):
            write_orders(tmp_path / "in", f"{number}.csv", [(number, "ann", "1.50", "2024-01-01"), (number + 10, "bob", "2.50", "2024-01-01")])
            proxy.arm(outage := Outage(2.0, status, commits(table)))
            with begin_run(settings, "shop", "test") as run:
                bring(run, tmp_path / "in")
            assert outage.refused
        with begin_run(settings, "shop", "test") as run:
            assert [row["order"] for row in rows_of(run, orders)] == [0, 1, 2, 10, 11, 12]
            assert [(row["customer"], row["orders"]) for row in rows_of(run, totals)] == [("ann", 3), ("bob", 3)]


def test_pauses_grow_are_never_alike_and_end() -> None:
    """The pauses of a second are a handful, the first short; two callers do not wait alike."""

    def waited() -> list[float]:
        found = []
        for pause in pauses(0.8):
            found.append(pause)
            time.sleep(pause)
        return found

    one, two = waited(), waited()
    assert 2 <= len(one) <= 8
    assert one != two
    assert max(one[0], two[0]) < 0.5
    assert 0.7 < sum(one) < 1.1


def test_patience_of_none_asks_once() -> None:
    """LAKE_PATIENCE=0 gives trouble back at once."""
    asked = []

    def work() -> None:
        asked.append(1)
        raise Trouble("does not answer", StoreUnreachable("gone", "come back"))

    with pytest.raises(StoreUnreachable, match="gone"):
        persist(work, where="it", seconds=0)
    assert asked == [1]
    assert load_settings(patience="PT2M").patience.total_seconds() == 120


# --- files behind a web address


class Served:
    """A web server with one file, which hangs up or says no as often as it is told."""

    def __init__(self, body: bytes) -> None:
        self.body, self.etag, self.troubles = body, '"one"', [0]
        self.refuse, self.cut, self.ranges = 0, 0, True
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:  # noqa: N802  # the name the base looks for
                self._answer(b"", len(served.body), 200)

            def do_GET(self) -> None:  # noqa: N802
                if served.refuse:
                    served.refuse -= 1
                    self.send_error(503)
                    return
                start = int(self.headers.get("Range", "bytes=0-")[6:-1])
                same = self.headers.get("If-Range", served.etag) == served.etag and served.ranges
                body = served.body[start:] if same else served.body
                shown = body[: len(body) // 2] if served.cut else body
                served.cut = max(0, served.cut - 1)
                self._answer(shown, len(body), 206 if start and same else 200)

            def _answer(self, body: bytes, size: int, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(size))
                self.send_header("ETag", served.etag)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/daily.csv?key=SECRET"


@pytest.fixture
def served() -> Iterator[Served]:
    """A file of some megabytes behind a web address."""
    made = Served(b"0123456789" * 400_000)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_web_server_that_says_no_for_a_while_is_waited_for(served: Served, heard: list[str]) -> None:
    """503 three times, and the file comes whole; the address is told without its key."""
    served.refuse = 3
    assert b"".join(web.chunks("daily", served.url, _LONG)) == served.body
    assert any("answers 503" in line for line in heard)
    assert "SECRET" not in "".join(heard)
    served.refuse = 1000
    with pytest.raises(SourceError, match=r"answers 503 .*for 1 s") as caught:
        b"".join(web.chunks("daily", served.url, 1.0))
    assert "SECRET" not in str(caught.value)


def test_a_download_that_breaks_off_goes_on_where_it_was(served: Served) -> None:
    """Cut twice in its middle, it comes whole, each byte once."""
    served.cut = 2
    assert b"".join(web.chunks("daily", served.url, _LONG)) == served.body


@pytest.mark.parametrize("why", ["changed", "no ranges"])
def test_a_download_that_cannot_go_on_is_left_for_the_next_run(served: Served, why: str) -> None:
    """The file is another meanwhile, or the server gives no parts: two halves of two files are never put together."""
    served.cut = 1
    rest = web.chunks("daily", served.url, _LONG)
    assert next(rest)
    if why == "changed":
        served.etag = '"two"'
    else:
        served.ranges = False
    with pytest.raises(SourceError, match="broke off"):
        list(rest)
