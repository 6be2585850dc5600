"""The seam to object storage: one suite for every store, races on SeaweedFS, and what a person reads when it fails."""

from __future__ import annotations

import datetime as dt
import socket
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Barrier

import pytest

from lake.errors import NotFound, StoreError, StoreRefused, StoreUnreachable
from lake.settings import Settings, load_settings
from lake.store import Store, open_store

NAMES = [
    "plain.csv", "deep/er/still.csv", "a b/c d.txt", " leading", "trailing ", "it's \"quoted\".txt", "100%.txt", "50%25.txt", "a%20b.txt", "a+b.txt", "h#x.txt",
    "w?x&y=z.txt", "[x]*{y}.txt", "~^|`<>$!@,;:=.txt", "ünïcödé/日本 ☃.csv", "e\u0301 is not \u00e9", "..two dots", "n" * 250,
]  # fmt: skip
MB = 1_000_000


def bytes_of(seed: int, size: int) -> bytes:
    """The same random bytes for the same seed."""
    return Random(seed).randbytes(size)


def closed_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def weed(weed_settings: Settings) -> Iterator[Store]:
    """An empty store on SeaweedFS."""
    opened = open_store(weed_settings)
    yield opened
    opened.close()


# --- the laws of one object


def test_what_was_put_is_what_is_read(store: Store) -> None:
    """A put is readable at once, by get, by head and in a listing."""
    before = dt.datetime.now(dt.UTC)
    store.put("folder/object", b"content")
    blob = store.head("folder/object")
    assert blob is not None
    assert store.get("folder/object") == b"content"
    assert (blob.path, blob.size) == ("folder/object", 7)
    assert blob.modified.tzinfo is not None
    assert abs(blob.modified - before) < dt.timedelta(seconds=10)
    assert blob.etag
    assert [(found.path, found.size) for found in store.walk("folder")] == [("folder/object", 7)]


def test_a_put_replaces_what_was_there(store: Store) -> None:
    """The second put wins, its size and its entity tag too, and there is still one object."""
    store.put("x", b"one")
    first = store.head("x")
    store.put("x", b"other")
    second = store.head("x")
    assert first is not None
    assert second is not None
    assert store.get("x") == b"other"
    assert (first.size, second.size) == (3, 5)
    assert first.etag != second.etag
    assert [blob.path for blob in store.walk("")] == ["x"]


def test_put_if_absent_writes_once(store: Store) -> None:
    """The second conditional put is refused and changes nothing, whatever it brings."""
    assert store.put_if_absent("once", b"first") is True
    assert store.put_if_absent("once", b"second") is False
    assert store.put_if_absent("once", b"first") is False
    assert store.get("once") == b"first"


def test_put_if_absent_respects_an_ordinary_put(store: Store) -> None:
    """An object stored without a condition, even an empty one, is in the way of a conditional put; a deleted one is not."""
    store.put("taken", b"")
    assert store.put_if_absent("taken", b"mine") is False
    assert store.get("taken") == b""
    store.delete(["taken"])
    assert store.put_if_absent("taken", b"mine") is True
    assert store.get("taken") == b"mine"


def test_names_come_back_as_they_were_given(store: Store) -> None:
    """Spaces, quotes, unicode, %, +, # and other signs survive in paths, and none is taken for another."""
    for name in NAMES:
        assert store.put_if_absent(f"names/{name}", name.encode()) is True, name
    for name in NAMES:
        blob = store.head(f"names/{name}")
        assert blob is not None, name
        assert blob.path == f"names/{name}"
        assert store.get(f"names/{name}") == name.encode()
        assert b"".join(store.stream(f"names/{name}")) == name.encode()
    assert sorted(blob.path for blob in store.walk("names")) == sorted(f"names/{name}" for name in NAMES)
    assert sorted(store.children("names")) == sorted({name.split("/")[0] for name in NAMES if "/" in name})
    store.delete(f"names/{name}" for name in NAMES)
    assert list(store.walk("names")) == []


def test_an_empty_object_is_an_object(store: Store, tmp_path: Path) -> None:
    """No bytes at all are stored, found, read and streamed like any others, put or uploaded."""
    (tmp_path / "nothing").touch()
    store.put("empty/put", b"")
    store.upload("empty/uploaded", tmp_path / "nothing")
    for path in ("empty/put", "empty/uploaded"):
        blob = store.head(path)
        assert blob is not None
        assert blob.size == 0
        assert store.get(path) == b""
        assert b"".join(store.stream(path)) == b""
    assert [blob.size for blob in store.walk("empty")] == [0, 0]


def test_a_large_upload_comes_back_whole(store: Store, tmp_path: Path) -> None:
    """40 MB go up in parts; the stream gives them back in chunks of about a megabyte, equal to the whole."""
    content = bytes_of(1, 40 * MB)
    file = tmp_path / "a large file"
    file.write_bytes(content)
    store.upload("large", file)
    blob = store.head("large")
    assert blob is not None
    assert blob.size == len(content)
    assert store.get("large") == content
    chunks = list(store.stream("large"))
    assert len(chunks) > 10
    assert max(map(len, chunks)) < 8 * MB
    assert b"".join(chunks) == content
    assert store.requests["put"] == 1 + 3 + 1, "begun, three parts, finished"
    assert store.bytes == {"bytes_written": len(content), "bytes_read": 2 * len(content)}


@pytest.mark.parametrize("size", [16 * 1024 * 1024 - 1, 16 * 1024 * 1024, 16 * 1024 * 1024 + 1])
def test_uploads_around_the_size_of_a_part(weed: Store, tmp_path: Path, size: int) -> None:
    """A file of one part, or of one byte less or more, arrives as it is and replaces what was there."""
    content = bytes_of(size, size)
    (tmp_path / "part").write_bytes(content)
    weed.put("part", b"old")
    weed.upload("part", tmp_path / "part")
    assert weed.get("part") == content


def test_an_upload_of_a_file_that_is_not_there(store: Store, tmp_path: Path) -> None:
    """A missing local file is an error that a person can read, and stores nothing."""
    with pytest.raises(StoreError):
        store.upload("x", tmp_path / "nowhere")
    assert store.head("x") is None


def test_what_is_not_there_is_not_found(store: Store) -> None:
    """Reading an absent object raises NotFound with its address; asking about it gives None; listing it gives nothing."""
    store.put("there", b"x")
    with pytest.raises(NotFound, match=f"s3://{store.bucket}/{store.prefix}/absent"):
        store.get("absent")
    with pytest.raises(NotFound, match="absent"):
        list(store.stream("absent"))
    assert store.head("absent") is None
    assert list(store.walk("absent")) == []
    assert store.children("absent") == []


def test_deleting_is_final_and_repeatable(store: Store) -> None:
    """Objects deleted are gone; those that never were, or are gone already, do not stop the rest from being deleted."""
    for name in ("a", "b", "c"):
        store.put(f"d/{name}", b"x")
    store.delete(["d/a", "d/never", "d/a", "d/c"])
    assert [blob.path for blob in store.walk("d")] == ["d/b"]
    assert store.head("d/a") is None
    store.delete([])
    assert store.get("d/b") == b"x"


# --- listings


def test_a_walk_is_in_order_and_starts_after_a_name(store: Store) -> None:
    """A folder's objects come in the order of their names; `after` skips up to and including a name, present or not."""
    names = [f"log/{number:05d}.json" for number in range(0, 40, 2)]
    for name in reversed(names):
        store.put(name, b"x")
    assert [blob.path for blob in store.walk("log")] == names
    assert [blob.path for blob in store.walk("log", after="log/00010.json")] == names[6:]
    assert [blob.path for blob in store.walk("log", after="log/00011.json")] == names[6:]
    assert [blob.path for blob in store.walk("log", after="log/00010")] == names[5:]
    assert list(store.walk("log", after="log/99999.json")) == []


def test_a_walk_stays_in_its_folder(store: Store) -> None:
    """A folder whose name merely begins the same is not walked, nor is the object of that very name."""
    for name in ("t/a", "t/a/1", "t/a/2/deep", "t/ab/3", "t/a b", "t/b/4", "top"):
        store.put(name, b"x")
    assert sorted(blob.path for blob in store.walk("t/a")) == ["t/a/1", "t/a/2/deep"]
    assert sorted(blob.path for blob in store.walk("t")) == ["t/a", "t/a b", "t/a/1", "t/a/2/deep", "t/ab/3", "t/b/4"]
    assert "top" in [blob.path for blob in store.walk("")]


def test_children_are_the_folders_right_below(store: Store) -> None:
    """Only folders, only one level, sorted, each once; objects beside them are left out."""
    for name in ("t/b/1", "t/b/2", "t/a/x/y", "t/loose", "t/c d/é", "u/z"):
        store.put(name, b"x")
    assert store.children("t") == ["a", "b", "c d"]
    assert store.children("t/a") == ["x"]
    assert store.children("t/b") == []
    assert store.children("") == ["t", "u"]


def test_a_walk_goes_on_past_a_thousand(store: Store) -> None:
    """A listing longer than one page of the store comes whole and in order, from the start and from a name in it."""
    names = [f"many/{number:04d}" for number in range(1_050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(name, b""), names))
    assert [blob.path for blob in store.walk("many")] == names
    assert [blob.path for blob in store.walk("many", after=names[20])] == names[21:]


def test_environments_do_not_see_each_other(weed_settings: Settings, weed: Store) -> None:
    """Two environments of one bucket have nothing in common, not even where one's name begins the other's."""
    other = open_store(weed_settings.model_copy(update={"env": weed_settings.env + "x"}))
    weed.put("same", b"mine")
    assert other.head("same") is None
    other.put("same", b"theirs")
    assert weed.get("same") == b"mine"
    assert [blob.path for blob in weed.walk("")] == ["same"]
    assert weed.uri("same") == f"s3://lake/{weed_settings.env}/same"
    other.close()


def test_requests_are_counted_by_what_they_do(store: Store, tmp_path: Path) -> None:
    """Every request counts under its verb, those that fail too; a listing counts when it is read."""
    (tmp_path / "f").write_bytes(b"x")
    store.requests.clear()
    store.put("a", b"1")
    store.put_if_absent("a", b"2")
    store.upload("b", tmp_path / "f")
    store.get("a")
    list(store.stream("a"))
    with pytest.raises(NotFound):
        store.get("absent")
    store.head("a")
    store.head("absent")
    pending = store.walk("")
    assert store.requests["list"] == 0
    list(pending)
    store.children("")
    store.delete(["a", "b", "absent"])
    assert dict(store.requests) == {"put": 3, "get": 3, "head": 2, "list": 2, "delete": 3}


# --- races: SeaweedFS only, since moto checks and stores without a lock


def test_one_of_eight_racing_writers_wins_each_key(weed_settings: Settings) -> None:
    """Eight threads with a store of their own race for ten keys: each key has one winner and holds what it wrote."""
    writers, keys = 8, [f"race/{number}" for number in range(10)]
    stores = [open_store(weed_settings) for _ in range(writers)]
    barrier = Barrier(writers)

    def race(who: int) -> list[bool]:
        won = []
        for turn in range(len(keys)):
            if turn == 0:
                barrier.wait(30)
            won.append(stores[who].put_if_absent(keys[turn], f"writer {who}".encode()))
        return won

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(race, range(writers)))
    for number, key in enumerate(keys):
        winners = [who for who in range(writers) if won[who][number]]
        assert len(winners) == 1, (key, winners)
        assert stores[0].get(key) == f"writer {winners[0]}".encode()
    for opened in stores:
        opened.close()


def test_a_reader_never_sees_half_of_a_put(weed: Store) -> None:
    """While two writers replace an object, every read gives one of the two contents, whole."""
    contents = [letter * 300_000 for letter in (b"a", b"b")]
    weed.put("swap", contents[0])

    def write(content: bytes) -> None:
        for _ in range(15):
            weed.put("swap", content)

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, content) for content in contents]
        seen = [weed.get("swap") for _ in range(30)]
        for future in writing:
            future.result()
    assert set(seen) <= set(contents)


# --- errors

Ask = Callable[[Store], object]
ASKS: dict[str, Ask] = {
    "get": lambda store: store.get("x"),
    "stream": lambda store: list(store.stream("x")),
    "head": lambda store: store.head("x"),
    "put": lambda store: store.put("x", b"x"),
    "put_if_absent": lambda store: store.put_if_absent("x", b"x"),
    "upload": lambda store: store.upload("x", Path(__file__)),
    "walk": lambda store: list(store.walk("")),
    "children": lambda store: store.children(""),
    "delete": lambda store: store.delete(["x"]),
}
SECRET = "a-secret-that-must-not-be-shown"  # as long as real ones, and easy to find
each_ask = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)


def elsewhere(endpoint: str, *, key: str | None = "AKIDWRONG", secret: str | None = SECRET, bucket: str = "lake") -> Store:
    """A store at `endpoint` with keys of the caller's choice."""
    return open_store(load_settings(endpoint=endpoint, access_key_id=key, secret_access_key=secret, bucket=bucket, env="errors"))


def failure(ask: Ask, store: Store, kind: type[StoreError]) -> StoreError:
    """The error of exactly this kind that asking raises, after a look at its text: it names the endpoint, shows no secret and no second traceback."""
    with pytest.raises(StoreError) as caught:
        ask(store)
    error = caught.value
    assert type(error) is kind
    assert store.endpoint in str(error)
    assert error.hint
    shown = "".join(traceback.format_exception(error))
    for secret in (SECRET, store.options.get("aws_secret_access_key") or SECRET):
        assert secret not in shown
    assert "AWS4-HMAC" not in shown
    assert shown.count("Traceback") == 1
    assert len(str(error)) < 600
    assert "\n" not in str(error)
    return error


@each_ask
def test_wrong_keys_are_refused(weed: Store, ask: Ask) -> None:
    """A key the store does not know is a refusal that says to check the keys."""
    error = failure(ask, elsewhere(weed.endpoint), StoreRefused)
    assert error.hint is not None
    assert "AWS_" in error.hint


@each_ask
def test_a_wrong_secret_is_refused(weed: Store, ask: Ask) -> None:
    """The right key with the wrong secret is a refusal, and the right secret is not told."""
    error = failure(ask, elsewhere(weed.endpoint, key=weed.options["aws_access_key_id"]), StoreRefused)
    assert weed.options["aws_secret_access_key"] not in str(error)


@pytest.mark.parametrize("ask", ["get", "put", "walk"])
def test_where_nobody_listens_the_store_is_unreachable(ask: str) -> None:
    """A closed port is told within seconds: no store answers at that address."""
    error = failure(ASKS[ask], elsewhere(f"http://127.0.0.1:{closed_port()}"), StoreUnreachable)
    assert error.message.startswith("no store answers at http://127.0.0.1:")
    assert "AWS_ENDPOINT_URL" in str(error)


@pytest.mark.parametrize("ask", [ask for ask in ASKS if ask not in ("head", "delete")])
def test_a_missing_bucket_is_named_on_moto(moto_endpoint: str, ask: str) -> None:
    """A bucket that does not exist is named, with the variable that chose it: it is not an absent object."""
    error = failure(ASKS[ask], elsewhere(moto_endpoint, bucket="no-such-bucket"), StoreError)
    assert "no-such-bucket" in error.message
    assert "LAKE_BUCKET" in str(error)


@pytest.mark.parametrize("ask", ["get", "walk", "children"])
def test_a_missing_bucket_is_named_on_seaweedfs(weed: Store, ask: str) -> None:
    """Readers of a bucket that does not exist are told so. (SeaweedFS makes a bucket for a writer with the right to.)"""
    keys = {"key": weed.options["aws_access_key_id"], "secret": weed.options["aws_secret_access_key"]}
    error = failure(ASKS[ask], elsewhere(weed.endpoint, bucket=f"no-{ask}-bucket", **keys), StoreError)
    assert f"no-{ask}-bucket" in error.message
    assert "LAKE_BUCKET" in str(error)


@pytest.mark.parametrize("ask", ["get", "put", "walk"])
def test_without_keys_the_variables_are_named(weed: Store, ask: str) -> None:
    """An endpoint given without keys is refused with the names of the two variables to set."""
    error = failure(ASKS[ask], elsewhere(weed.endpoint, key=None, secret=None), StoreRefused)
    assert error.hint == "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
