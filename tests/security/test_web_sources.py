"""Files behind web addresses: what does not come as it was announced does not land, and a server sends lake nowhere."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import zstandard

from lake import patience, web
from lake.errors import DeclarationError, SourceError
from lake.landing import land
from lake.receipts import LANDINGS
from lake.run import Run
from lake.source import Source
from lake.web import Limits
from lake.web.announced import Digests, Packed, Unpacker
from lake.web.asking import _kind
from tests.security.web_server import Asked, Reply, WebServer, answer
from tests.tiny import bronze_orders

BODY = b"order,customer,amount,day\n" + b"".join(b"%d,ann,1051.00,2024-01-01\n" % number for number in range(30))
PACKED = gzip.compress(BODY, mtime=0)
HALF = len(BODY) // 2


@pytest.fixture
def serve() -> Iterator[Any]:
    """Makes servers, which end with the test."""
    with ExitStack() as stack:

        def make(reply: Reply) -> WebServer:
            server = WebServer(reply)
            stack.callback(server.close)
            return server

        yield make


def source(url: str, **more: Any) -> Source:
    """A source of one file behind an address."""
    return Source(bronze_orders, url, **more)


def whole(asked: Asked, **headers: object) -> bytes:
    """The file as it should come."""
    return answer("200 OK", b"" if asked.method == "HEAD" else BODY, Content_Length=len(BODY), **headers)


def digest(body: bytes, algorithm: str = "sha256") -> str:
    """A digest as headers spell it."""
    return base64.b64encode(hashlib.new(algorithm, body).digest()).decode()


CHUNKED = b"%x\r\n" % HALF + BODY[:HALF] + b"\r\n"
CUT: dict[str, tuple[bytes, bytes]] = {
    "shorter than its own length": (b"", answer("200 OK", BODY[:HALF], Content_Length=len(BODY))),
    "shorter than was told before, its end that of the connection": (answer("200 OK", Content_Length=len(BODY)), answer("200 OK", BODY[:HALF])),
    "chunks without an end": (b"", answer("200 OK", CHUNKED, Transfer_Encoding="chunked")),
    "a chunk without its end": (b"", answer("200 OK", CHUNKED[:-20], Transfer_Encoding="chunked")),
    "gzip without its end": (b"", answer("200 OK", PACKED[:-9], Content_Encoding="gzip")),
    "gzip without its checksum, as long as announced": (b"", answer("200 OK", PACKED[:-4], Content_Encoding="gzip", Content_Length=len(PACKED) - 4)),
    "zstd without its end": (b"", answer("200 OK", zstandard.compress(BODY)[:-5], Content_Encoding="zstd")),
    "deflate without its end": (b"", answer("200 OK", zlib.compress(BODY)[:-5], Content_Encoding="deflate")),
    "damaged gzip": (b"", answer("200 OK", PACKED[:20] + b"\0\0" + PACKED[22:], Content_Encoding="gzip")),
    "packed in a way that nobody asked for": (b"", answer("200 OK", PACKED, Content_Encoding="br", Content_Length=len(PACKED))),
    "another digest": (b"", answer("200 OK", BODY[:HALF], Content_Digest=f"sha-256=:{digest(BODY)}:", Content_Length=HALF)),
    "another digest of the representation": (b"", answer("200 OK", BODY[:HALF], Repr_Digest=f"md5=:{digest(BODY, 'md5')}:", Content_Length=HALF)),
    "another digest, as servers of old tell it": (b"", answer("200 OK", BODY[:HALF], Digest=f"SHA-256={digest(BODY)}", Content_Length=HALF)),
    "another MD5": (b"", answer("200 OK", BODY[:HALF], Content_MD5=digest(BODY, "md5"), Content_Length=HALF)),
    "an answer without a body": (b"", answer("204 No Content")),
    "what came from somebody else": (b"", answer("203 Non-Authoritative Information", BODY, Content_Length=len(BODY))),
    "a part that nobody asked for": (b"", answer("206 Partial Content", BODY[:HALF], Content_Length=HALF, Content_Range=f"bytes 0-{HALF - 1}/{len(BODY)}")),
    "nothing new, of what is not known": (b"", answer("304 Not Modified")),
    "an error with a body": (b"", answer("404 Not Found", BODY, Content_Length=len(BODY))),
}


@pytest.mark.parametrize("how", CUT)
def test_a_body_that_is_not_what_was_announced_does_not_land(run: Run, serve: Any, how: str) -> None:
    """It is a problem of that file, which names it; nothing of it lands, and whole the next time it does."""
    run.store.patience = 0.0
    before, cut = CUT[how]
    server = serve(lambda asked: (before or answer("405 Method Not Allowed", Content_Length=0)) if asked.method == "HEAD" else cut)
    outcome = land(run, source(server.url))
    assert (outcome.new, len(outcome.problems)) == ([], 1)
    assert f"source shop.orders: {server.url} " in outcome.problems[0]
    assert run.log(LANDINGS).version() == -1
    server.reply = whole
    assert land(run, source(server.url)).new == ["orders.csv"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Digest": f"sha-256=:{digest(BODY)}:, sha-512=:{digest(BODY, 'sha512')}:"},
        {"Digest": f"md5={digest(BODY, 'md5')},unixsum=30637", "Content_MD5": digest(BODY, "md5")},
        {"Content_Digest": "sha-256=:not base64:", "Repr_Digest": "sha-256", "Digest": "=", "Content_MD5": "odd"},
    ],
)
def test_digests_that_are_right_or_say_nothing_stop_nothing(run: Run, serve: Any, headers: dict[str, object]) -> None:
    """Several at once, of kinds that nobody knows, and malformed ones, which announce nothing."""
    server = serve(lambda asked: whole(asked, **headers))
    assert land(run, source(server.url)).new == ["orders.csv"]


def test_what_is_cut_goes_on_where_it_was_and_is_held_to_the_digest_of_the_whole(serve: Any) -> None:
    """A part is asked for with the tag of the file; each byte comes once, whether its length was told or only what came before said it."""
    body = BODY * 4000  # some megabytes, of which the first come before it is cut
    said = digest(body)

    def reply(asked: Asked) -> bytes:
        if "range" in asked.headers:
            assert asked.headers["if-range"] == '"one"'
            start = int(asked.headers["range"][6:-1])
            rest = body[start:]
            return answer("206 Partial Content", rest, Content_Length=len(rest), Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", ETag='"one"')
        return answer("200 OK", body[: len(body) // 2], Content_Length=len(body), ETag='"one"', Content_Digest=f"sha-256=:{said}:")

    server = serve(reply)
    assert b"".join(web.chunks("orders", server.url, 10.0)) == body
    said = digest(b"")
    with pytest.raises(SourceError, match="is not what its server announced: its sha256"):
        b"".join(web.chunks("orders", server.url, 10.0))


@pytest.mark.parametrize(
    "told",
    [
        {"Content_Range": "bytes 5-9/10"}, {"Content_Range": ""}, {"Content_Range": f"bytes {HALF}-99/100"},
        {"Content_Range": "same", "ETag": '"two"'},
    ],
)  # fmt: skip
def test_the_rest_of_another_file_is_never_put_to_it(serve: Any, told: dict[str, str]) -> None:
    """Another place, another length, another tag: two halves of two files are no file."""
    body = BODY * 4000

    def reply(asked: Asked) -> bytes:
        if "range" not in asked.headers:
            return answer("200 OK", body[: len(body) // 2], Content_Length=len(body), ETag='"one"')
        start = int(asked.headers["range"][6:-1])
        right = f"bytes {start}-{len(body) - 1}/{len(body)}"
        more = {"ETag": '"one"'} | told | {"Content_Range": right if told["Content_Range"] == "same" else told["Content_Range"]}
        return answer("206 Partial Content", body[start:], Content_Length=len(body) - start, **more)

    with pytest.raises(SourceError, match="is not the same any more"):
        b"".join(web.chunks("orders", serve(reply).url, 5.0))


# --- what is there already


@pytest.mark.parametrize(
    ("headers", "asks"),
    [
        ({"ETag": '"v1"'}, ("if-none-match", '"v1"')),
        ({"Last_Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT")),
    ],
    ids=["ETag", "Last-Modified"],
)
def test_a_file_that_is_there_is_asked_for_on_condition(run: Run, serve: Any, headers: dict[str, str], asks: tuple[str, str]) -> None:
    """Where HEAD says nothing, its tag or time of the receipt is asked by; 304 is nothing new, and a changed file lands."""
    body = [BODY]

    def reply(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return answer("405 Method Not Allowed", Content_Length=0)
        if asked.headers.get(asks[0]) == asks[1] and body[0] == BODY:
            return answer("304 Not Modified", **headers)
        return answer("200 OK", body[0], Content_Length=len(body[0]), **headers)

    server = serve(reply)
    assert land(run, source(server.url)).new == ["orders.csv"]
    (row,) = run.snapshot(LANDINGS, run.log(LANDINGS).version()).scan().collect().rows(named=True)
    assert row["etag"] == headers.get("ETag")
    assert (row["modified"] is not None) == ("Last_Modified" in headers)
    again = land(run, source(server.url))
    assert (again.known, again.new, again.problems) == (1, [], [])
    assert server.asked[-1].headers[asks[0]] == asks[1]
    body[0] = BODY[:-27]
    assert land(run, source(server.url)).new == ["orders.csv"]


def test_a_304_about_another_file_is_not_believed(run: Run, serve: Any) -> None:
    """An address that has an older file now says that nothing changed since; its own time tells that it is another, and it is asked for whole."""

    def reply(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return answer("405 Method Not Allowed", Content_Length=0)
        if "if-modified-since" in asked.headers:
            return answer("304 Not Modified", Last_Modified="Tue, 20 Oct 2015 07:28:00 GMT")
        last = "Tue, 20 Oct 2015 07:28:00 GMT" if len(server.asked) > 2 else "Wed, 21 Oct 2015 07:28:00 GMT"
        body = BODY[:-27] if len(server.asked) > 2 else BODY
        return answer("200 OK", body, Content_Length=len(body), Last_Modified=last)

    server = serve(reply)
    assert land(run, source(server.url)).new == ["orders.csv"]
    assert land(run, source(server.url)).new == ["orders.csv"]


def test_a_url_whose_password_changes_is_the_same_file(run: Run, serve: Any) -> None:
    """Its password is sent, and is nowhere: a new one is no other source, no other file, and lands nothing."""
    given: list[str] = []

    def reply(asked: Asked) -> bytes:
        given.append(base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode())
        return whole(asked, ETag='"v1"')

    server = serve(reply)
    assert land(run, source(server.url.replace("//", "//loader:earlier%40word@") + "?sig=FIRSTSIGNATURE")).new == ["orders.csv"]
    assert land(run, source(server.url.replace("//", "//loader:later-word@") + "?sig=SECONDSIGNATURE")).known == 1
    assert {*given} == {"loader:earlier@word", "loader:later-word"}
    told = str(run.snapshot(LANDINGS, 0).scan().collect().rows(named=True)) + run.log(LANDINGS).last_record()[1].to_json()  # type: ignore[index]
    for secret in ("earlier", "later-word", "loader", "SIGNATURE"):
        assert secret not in told


# --- where a server sends lake


def moved(to: str, status: str = "302 Found") -> Reply:
    """Answers everything with a redirect."""
    return lambda asked: answer(status, Location=to, Content_Length=0)


def test_a_redirect_to_a_private_address_is_refused_before_anything_is_asked(run: Run, serve: Any) -> None:
    """Another port of this machine is asked nothing; where the source says so, it is."""
    inner = serve(lambda asked: whole(asked))
    outer = serve(moved(inner.url))
    with pytest.raises(SourceError, match=r"leads to http://127.0.0.1:\d+/orders.csv, which is a loopback address.*redirects='anywhere'"):
        land(run, source(outer.url))
    outer.reply = lambda asked: answer("405 No", Content_Length=0) if asked.method == "HEAD" else moved(inner.url)(asked)
    assert "which is a loopback address" in land(run, source(outer.url)).problems[0]
    assert inner.asked == []
    assert land(run, source(outer.url, redirects="anywhere")).new == ["orders.csv"]


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("http://localhost:1/x", "a loopback address"), ("http://[::1]:1/x", "a loopback address"), ("http://169.254.169.254/latest/meta-data/", "a link-local address"),
        ("http://10.0.0.7/x", "a private address"), ("http://192.168.1.1/x", "a private address"), ("http://0.0.0.0:1/x", "an internal address"),
        ("http://[::ffff:127.0.0.1]:1/x", "a loopback address"), ("http://[64:ff9b::7f00:1]/x", "a loopback address"), ("http://[fe80::1]/x", "a link-local address"),
        ("http://[fd00::1]/x", "a private address"), ("http://100.64.0.1/x", "an internal address"), ("http://2130706433:1/x", "a loopback address"),
        ("file:///etc/passwd", "leads to file:"), ("ftp://example.org/x", "leads to ftp:"), ("gopher://127.0.0.1/x", "leads to gopher:"), ("javascript:alert(1)", "leads to javascript:"),
        ("", "without an address"), ("http://", "source orders: "), ("//", "source orders: "), ("http://[x", "source orders: "),
    ],
)  # fmt: skip
def test_a_redirect_leads_nowhere_it_should_not(serve: Any, to: str, why: str) -> None:
    """However the address is spelled."""
    with pytest.raises(SourceError, match="source orders: ") as caught:
        b"".join(web.chunks("orders", serve(moved(to)).url, 0.0))
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("address", "kind"),
    [("8.8.8.8", "public"), ("2606:4700::1111", "public"), ("127.9.9.9", "loopback"), ("172.20.0.1", "private"), ("fe80::1%eth0", "link-local"),
     ("224.0.0.1", "internal"), ("2002:7f00:0001::", "loopback"), ("240.0.0.1", "private"), ("odd", "unknown")],
)  # fmt: skip
def test_addresses_are_known_for_what_they_are(address: str, kind: str) -> None:
    """Those that carry another inside, too."""
    assert _kind(address) == kind


def test_a_name_that_leads_elsewhere_when_it_is_connected_to_is_refused(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at and this machine a moment later: the address that was connected to is looked at, before anything is asked."""
    inner = serve(lambda asked: whole(asked))
    outer = serve(moved(f"http://rebound.example:{inner.port}/orders.csv"))
    real, looks = socket.getaddrinfo, list[str]()

    def resolve(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name != "rebound.example":
            return real(host, port, *args, **more)
        looks.append(name)
        there = "93.184.215.14" if len(looks) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (there, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(SourceError, match="which is a loopback address"):
        b"".join(web.chunks("orders", outer.url, 0.0))
    assert looks == ["rebound.example"] * 2
    assert inner.asked == []


def test_a_password_goes_to_no_other_server(serve: Any) -> None:
    """Nor back to its own where the way led over another, nor a password that a server names; to the same server it does."""
    other = serve(lambda asked: whole(asked))
    first = serve(lambda asked: moved("/there")(asked) if asked.path == "/orders.csv" else moved(other.url.replace("//", "//named:by-server@"))(asked))
    told = first.url.replace("//", "//loader:its-own-word@")
    assert b"".join(web.chunks("orders", told, 0.0, Limits(redirects="anywhere"))) == BODY
    assert ["authorization" in asked.headers for asked in first.asked] == [True, True]
    assert ["authorization" in asked.headers for asked in other.asked] == [False]


def test_redirects_end(serve: Any) -> None:
    """A ring of them is an error, and soon."""
    server = serve(moved("/orders.csv"))
    with pytest.raises(SourceError, match="more than 10 redirects"):
        b"".join(web.chunks("orders", server.url, 0.0))
    assert len(server.asked) == 11


def test_https_is_not_left_for_http() -> None:
    """What an encrypted address sends on to a plain one could be changed by anybody on the way."""
    from lake.web.asking import Refused, _next

    here = httpx.URL("https://example.org/a")
    with pytest.raises(Refused, match=r"leads from https to http://example\.org/a, where anybody"):
        _next("http://example.org/a?key=SIGNED", here, here, Limits())
    assert str(_next("//example.net/b", here, here, Limits())) == "https://example.net/b"


# --- bounds


def slowly(asked: Asked, pieces: Iterator[bytes]) -> bytes:
    """Sends a piece every 50 ms."""
    for piece in pieces:
        asked.connection.sendall(piece)
        time.sleep(0.05)
    return b""


@pytest.mark.parametrize("what", ["body", "headers", "chunks"])
def test_a_server_that_takes_for_ever_costs_its_time_and_no_more(serve: Any, what: str) -> None:
    """A byte now and then, in the body or before it, ends when the source's time does."""
    starts = {"body": answer("200 OK", Content_Length=10_000), "headers": b"HTTP/1.1 200 OK\r\n", "chunks": answer("200 OK", Transfer_Encoding="chunked")}
    piece = {"body": b"x", "headers": b"A: b\r\n", "chunks": b"1\r\nx\r\n"}[what]
    server = serve(lambda asked: slowly(asked, iter([starts[what], *[piece] * 400])))
    began = time.monotonic()
    with pytest.raises(SourceError, match="is not there after 1 second, which is the most"):
        b"".join(web.chunks("orders", server.url, 30.0, Limits(within=dt.timedelta(seconds=0.6))))
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    "reply",
    [
        answer("200 OK", b"", Content_Length=10**15),
        answer("200 OK", BODY * 50, Content_Length=len(BODY) * 50),
        answer("200 OK", BODY * 50),
        answer("200 OK", gzip.compress(bytes(1 << 26)), Content_Encoding="gzip"),
        answer("200 OK", zstandard.compress(bytes(1 << 26)), Content_Encoding="zstd"),
    ],
    ids=["announced", "with a length", "without a length", "gzip of zeros", "zstd of zeros"],
)
def test_a_file_beyond_its_bound_ends_where_the_bound_is(run: Run, serve: Any, reply: bytes) -> None:
    """Whether it says so or not, packed or not."""
    server = serve(lambda asked: answer("405 No", Content_Length=0) if asked.method == "HEAD" else reply)
    outcome = land(run, source(server.url, largest=10_000))
    assert outcome.new == []
    assert "and 10,000 bytes are the most. Give the source a larger `largest`" in outcome.problems[0]


def test_bounds_are_declared_in_their_units(serve: Any) -> None:
    """A source with bounds that are none is refused when it is declared."""
    for wrong in ({"within": 3}, {"within": dt.timedelta(0)}, {"largest": "1GB"}, {"largest": 0}, {"redirects": "all"}):
        with pytest.raises(DeclarationError, match=f"{next(iter(wrong))}="):
            source("http://x", **wrong)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_packing_is_undone_however_it_is_cut_into_pieces(kind: str, size: int) -> None:
    """Several members one after the other, too; the end is seen, and missing bytes are."""
    body = BODY * 20 + bytes(3 << 20)
    packed = {
        "gzip": gzip.compress(body) + gzip.compress(b"more"),
        "deflate": zlib.compress(body),
        "zstd": zstandard.compress(body) + zstandard.compress(b"more"),
    }[kind]
    expected = body if kind == "deflate" else body + b"more"
    given: list[bytes] = []
    one = Unpacker(kind)
    for start in range(0, len(packed), size):
        one.feed(packed[start : start + size], given.append)
    one.finish()
    assert b"".join(given) == expected
    assert max(map(len, given)) <= 16 << 20
    cut = Unpacker(kind)
    cut.feed(packed[:-3], lambda piece: None)
    with pytest.raises(Packed, match="ends before its end"):
        cut.finish()
    with pytest.raises(Packed, match="ends before its end"):
        Unpacker(kind).finish()


def test_digests_of_the_wrong_size_announce_nothing() -> None:
    """What cannot be a digest is none."""
    assert Digests({"content-md5": digest(b"x"), "content-digest": "sha-256=:AAAA:"}).broken() is None
    patience._last_told.clear()
