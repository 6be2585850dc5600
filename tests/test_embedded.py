"""The embedded store as processes: who shares it, who stops it, and what a kill -9 of any of them leaves behind. Nothing here is simulated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

import lake.store
from lake.cli.beforehand import begin
from lake.embedded import embedded_keys, weed_binary
from lake.errors import LakeError, StoreError, StoreRefused
from lake.locks import is_taken
from lake.settings import Settings, load_settings
from lake.store import Store, close_stores, open_store

_LINGER = 3.0  # seconds the store waits for the next user
_STOPS = 4.0  # seconds it may take to stop, on a busy machine

_USER = """
import sys
from lake.settings import load_settings
from lake.store import open_store

store = open_store(load_settings(home=sys.argv[1], root=sys.argv[1]))
print(store.endpoint, flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    answer = "done"
    if word == "put":
        store.put(rest[0], rest[1].encode())
    elif word == "get":
        answer = store.get(rest[0]).decode()
    elif word == "leave":
        store.close(wait=rest == ["wait"])
    print(answer, flush=True)
"""


class User:
    """A process that holds the store of `home` and does what it is asked."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", _USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=home.parent)
        self._endpoint: str | None = None

    @property
    def endpoint(self) -> str:
        """Where its store is; waits until it has one."""
        if self._endpoint is None:
            self._endpoint = self._answer()
        return self._endpoint

    def ask(self, *words: str) -> str:
        """Have it put, get or leave, and return what it says."""
        assert self.endpoint
        assert self.process.stdin
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """Kill it if it still runs, and close its pipes."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def _answer(self) -> str:
        assert self.process.stdout
        answer = self.process.stdout.readline().strip()
        assert answer, "the process that uses the store has died"
        return answer


def processes(home: Path) -> list[psutil.Process]:
    """Every living process whose command line names `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(str(home) in word for word in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def servers(home: Path) -> list[psutil.Process]:
    """The SeaweedFS processes of `home`."""
    return [process for process in processes(home) if "mini" in process.cmdline()]


def keepers(home: Path) -> list[psutil.Process]:
    """The keeper processes of `home`."""
    return [process for process in processes(home) if any(word.endswith("keeper.py") for word in process.cmdline())]


def wait_for(what: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return what()


def alive(home: Path) -> bool:
    """Whether the server lives, as its lock says."""
    return is_taken(home / "store" / "alive.lock")


def kept(home: Path) -> bool:
    """Whether a keeper lives, as its lock says."""
    return is_taken(home / "store" / "keeper.lock")


def server_pid(home: Path) -> int:
    """The server's pid, as its state says; there is one such process."""
    pid = int(json.loads((home / "store" / "state.json").read_text("utf-8"))["pid"])
    assert [process.pid for process in servers(home)] == [pid]
    return pid


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own with a space in its name. At the end nothing of it may run any more."""
    folder = tmp_path / "its own home"
    folder.mkdir()
    yield folder
    stopped = wait_for(lambda: not processes(folder), _LINGER + _STOPS)
    left = [(process, process.cmdline()) for process in ([] if stopped else processes(folder))]
    for process, _ in left:
        process.kill()
    assert left == []


@pytest.fixture
def user(home: Path) -> Iterator[Callable[[], User]]:
    """Makes processes that use the store in `home`; those still there at the end are killed."""
    users: list[User] = []

    def start() -> User:
        users.append(User(home))
        return users[-1]

    yield start
    for started in users:
        started.end()


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings for the store in `home`."""
    return load_settings(home=home, root=home)


# --- sharing


def test_two_processes_share_one_server(home: Path, user: Callable[[], User]) -> None:
    """Two processes started at once get the same endpoint, and one reads what the other wrote; the last to leave stops the server."""
    one, two = user(), user()
    assert one.endpoint == two.endpoint
    pid = server_pid(home)
    assert one.ask("put", "greeting", "hello") == "done"
    assert two.ask("get", "greeting") == "hello"
    assert one.ask("leave", "wait") == "done"
    assert server_pid(home) == pid
    assert two.ask("get", "greeting") == "hello"
    assert two.ask("leave", "wait") == "done"
    assert not alive(home)
    assert servers(home) == []
    assert not (home / "store" / "state.json").exists()


def test_with_wait_the_server_is_gone_at_once(home: Path, settings: Settings) -> None:
    """The last user who waits does not wait out the linger time, and leaves no socket files in /tmp."""
    store = open_store(settings)
    cleanup = json.loads((home / "store" / "launch.json").read_text("utf-8"))["cleanup"]
    started = time.monotonic()
    store.close(wait=True)
    assert time.monotonic() - started < _LINGER
    assert not alive(home)
    assert servers(home) == []
    assert wait_for(lambda: not any(Path(path).exists() for path in cleanup), 2)


def test_without_wait_the_server_lingers_for_the_next(home: Path, user: Callable[[], User]) -> None:
    """A command that follows at once finds the server of the one before; when none follows, it stops after the linger time."""
    one = user()
    assert one.endpoint
    pid = server_pid(home)
    assert one.ask("leave") == "done"
    assert alive(home)
    two = user()
    assert two.endpoint == one.endpoint
    assert server_pid(home) == pid
    time.sleep(_LINGER + 0.5)
    assert alive(home)  # two is still here
    left = time.monotonic()
    assert two.ask("leave") == "done"
    assert wait_for(lambda: not alive(home), _LINGER + _STOPS)
    assert time.monotonic() - left > _LINGER - 1


def test_a_process_counts_its_own_holds(home: Path, settings: Settings) -> None:
    """Two stores of one process are one user: the server goes with the second, and closing one twice counts once."""
    one, two = open_store(settings), open_store(settings)
    assert one.endpoint == two.endpoint
    one.close(wait=True)
    one.close(wait=True)
    two.put("x", b"still here")
    two.close(wait=True)
    assert not alive(home)


def test_two_folders_are_two_stores(home: Path, settings: Settings) -> None:
    """Another folder has another server, with other data and other keys."""
    mine = open_store(settings)
    theirs = open_store(load_settings(home=home / "inner one", root=home))
    assert mine.endpoint != theirs.endpoint
    assert len(servers(home)) == 2  # the inner folder's name contains the outer one's
    mine.put("x", b"mine")
    theirs.put("x", b"theirs")
    assert mine.get("x") == b"mine"
    assert embedded_keys(home / "store") != embedded_keys(home / "inner one" / "store")
    with pytest.raises(StoreRefused):
        Store(theirs.bucket, theirs.prefix, theirs.options | {"aws_endpoint": mine.endpoint}).get("x")
    theirs.close(wait=True)
    assert mine.get("x") == b"mine"
    mine.close(wait=True)


def test_a_home_that_is_removed_under_its_server_is_made_anew(home: Path, user: Callable[[], User]) -> None:
    """Whoever removes the folder and starts again at once gets an empty store that works and stays; the old server stops, and takes nothing of the new one along."""
    one = user()
    assert one.ask("put", "x", "1") == "done"
    old = server_pid(home)
    assert one.ask("leave") == "done"
    shutil.rmtree(home / "store")
    two = user()
    assert two.ask("put", "y", "2") == "done"
    new = int(json.loads((home / "store" / "state.json").read_text("utf-8"))["pid"])
    assert new != old
    assert wait_for(lambda: not psutil.pid_exists(old), _LINGER + _STOPS)
    time.sleep(0.5)
    assert (server_pid(home), two.ask("get", "y")) == (new, "2")


# --- kill -9


def test_killed_the_only_user_takes_the_server_along(home: Path, user: Callable[[], User]) -> None:
    """After kill -9 of the only user the server stops by itself within the linger time, and the keeper ends."""
    only = user()
    assert only.ask("put", "x", "1") == "done"
    only.kill()
    assert wait_for(lambda: not alive(home), _LINGER + _STOPS)
    assert wait_for(lambda: processes(home) == [], 2)


def test_a_server_without_keeper_is_adopted(home: Path, user: Callable[[], User]) -> None:
    """After kill -9 of the keeper the server goes on, the next user gives it a new keeper, and it stops when the last leaves."""
    one = user()
    assert one.endpoint
    pid = server_pid(home)
    (keeper,) = keepers(home)
    keeper.kill()
    assert wait_for(lambda: not kept(home) and keepers(home) == [], 5)
    assert one.ask("put", "x", "1") == "done"
    two = user()
    assert two.endpoint == one.endpoint
    assert server_pid(home) == pid
    assert wait_for(lambda: len(keepers(home)) == 1, 5)
    assert one.ask("leave", "wait") == "done"
    assert two.ask("get", "x") == "1"
    assert two.ask("leave", "wait") == "done"
    assert not alive(home)


def test_after_the_server_was_killed_the_next_user_has_a_new_one(home: Path, user: Callable[[], User]) -> None:
    """After kill -9 of the server while somebody holds it, the next process starts another, with the data, and the last one stops it."""
    one = user()
    assert one.ask("put", "x", "1") == "done"
    pid = server_pid(home)
    os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: not alive(home), 5)
    two = user()
    assert two.ask("get", "x") == "1"
    assert server_pid(home) != pid
    assert one.ask("leave") == "done"
    assert two.ask("leave", "wait") == "done"
    assert not alive(home)


def test_what_was_acknowledged_survives_a_kill_of_the_server(home: Path, settings: Settings) -> None:
    """After kill -9 of the server under three writers it is started again and they go on; every acknowledged object is there, whole, and no other is half there."""
    store = open_store(settings)
    enough = threading.Event()
    acknowledged: dict[str, bytes] = {}
    in_flight: dict[str, bytes] = {}

    def write(who: int) -> None:
        random = Random(who)
        for turn in range(100_000):
            if enough.is_set():
                return
            path, content = f"w{who}/{turn:05d}", random.randbytes(random.choice([50, 5_000, 300_000]))
            in_flight[path] = content
            try:
                if turn % 2:
                    store.put(path, content)
                elif not store.put_if_absent(path, content):
                    return  # a retry met its own write: not acknowledged
            except StoreError:
                return
            acknowledged[path] = in_flight.pop(path)

    writers = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for writer in writers:
        writer.start()
    assert wait_for(lambda: len(acknowledged) > 60, 20)
    os.kill(server_pid(home), signal.SIGKILL)
    before = len(acknowledged)
    assert wait_for(lambda: len(acknowledged) > before + 20, 60)
    enough.set()
    for writer in writers:
        writer.join(60)
    assert not any(writer.is_alive() for writer in writers)
    store.close(wait=True)
    again = open_store(settings)
    assert len(acknowledged) > 60
    assert {len(content) for content in acknowledged.values()} == {50, 5_000, 300_000}
    assert [path for path, content in acknowledged.items() if again.get(path) != content] == []
    for path, content in in_flight.items():
        assert again.head(path) is None or again.get(path) == content
    listed = {blob.path for who in range(3) for blob in again.walk(f"w{who}")}
    assert set(acknowledged) <= listed <= set(acknowledged) | set(in_flight)
    assert again.put_if_absent(next(iter(acknowledged)), b"late") is False
    again.close(wait=True)


def test_after_a_kill_of_everything_the_next_start_works(home: Path, user: Callable[[], User], settings: Settings) -> None:
    """After kill -9 of user, keeper and server the next start is an ordinary one, and all data is there."""
    one = user()
    for number in range(20):
        assert one.ask("put", f"x{number}", str(number)) == "done"
    victims = [one.process.pid, *(process.pid for process in keepers(home)), server_pid(home)]
    assert len(victims) == 3
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    one.process.wait(10)
    assert wait_for(lambda: not alive(home) and not kept(home) and processes(home) == [], 5)
    assert (home / "store" / "state.json").exists()  # nobody was left to take it away
    store = open_store(settings)
    assert server_pid(home) not in victims
    assert [store.get(f"x{number}") for number in range(20)] == [str(number).encode() for number in range(20)]
    store.put("after", b"works")
    store.close(wait=True)
    assert not alive(home)


# --- safety


def test_only_the_owner_reads_its_files(home: Path, settings: Settings) -> None:
    """Keys, launch and state have mode 600 and their folder 700, even where the process's umask would allow everything."""
    mask = os.umask(0)
    try:
        store = open_store(settings)
    finally:
        os.umask(mask)
    folder = home / "store"
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("s3.json", "launch.json", "state.json")}
    assert modes == {"s3.json": 0o600, "launch.json": 0o600, "state.json": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    store.close(wait=True)


def test_it_listens_on_this_machine_only(home: Path, settings: Settings) -> None:
    """Every socket the server listens on is on 127.0.0.1, S3's among them."""
    store = open_store(settings)
    server = psutil.Process(server_pid(home))
    found = [end for process in (server, *server.children(recursive=True)) for end in process.net_connections("inet") if end.status == psutil.CONN_LISTEN]
    assert {end.laddr.ip for end in found} == {"127.0.0.1"}
    assert int(store.endpoint.rsplit(":", 1)[-1]) in {end.laddr.port for end in found}
    store.close(wait=True)


def test_no_command_line_shows_the_keys(home: Path, settings: Settings) -> None:
    """The secret is in s3.json alone: not in a command line, not in the launch, the state or the log; it stays the same over restarts."""
    store = open_store(settings)
    access, secret = embedded_keys(home / "store")
    assert (store.options["aws_access_key_id"], store.options["aws_secret_access_key"]) == (access, secret)
    for process in processes(home):
        assert secret not in " ".join(process.cmdline())
    for file in (home / "store").iterdir():
        if file.is_file() and file.name != "s3.json":
            assert secret not in file.read_text("utf-8"), file.name
    store.close(wait=True)
    assert embedded_keys(home / "store") == (access, secret)


# --- when it cannot start


def test_without_a_binary_the_error_says_how_to_give_an_endpoint(home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `weed` beside Python nor on the PATH: the error names the variables of an endpoint, and nothing is left running."""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(home))
        patch.setattr("sysconfig.get_path", lambda _: str(home / "nothing here"))
        with pytest.raises(StoreError) as caught:
            open_store(settings)
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert name in str(caught.value)
    assert processes(home) == []
    store = open_store(settings)
    store.put("x", b"and with one it starts")
    store.close(wait=True)


def test_a_binary_on_the_path_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the wheel put no `weed` beside Python, one on the PATH serves."""
    binary = home / "weed"
    binary.touch()
    binary.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(home / "nothing here"))
    monkeypatch.setenv("PATH", str(home))
    assert weed_binary() == str(binary)


def test_a_server_that_dies_at_start_is_told_with_its_log(home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the server's last words and names its log; the next start, with a server that works, works."""
    broken = home / "weed"
    broken.write_text("#!/bin/sh\nsleep 0.3\necho some words\necho the disk is on fire >&2\nexit 3\n", "utf-8")
    broken.chmod(0o755)
    started = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr("lake.embedded.weed_binary", lambda: str(broken))
        with pytest.raises(LakeError) as caught:
            open_store(settings)
    assert time.monotonic() - started < 10
    assert "the disk is on fire" in caught.value.message
    assert str(home / "store" / "server.log") in str(caught.value)
    assert wait_for(lambda: processes(home) == [], 5)
    store = open_store(settings)
    store.put("x", b"works")
    store.close(wait=True)


def test_a_command_has_the_store_come_up_meanwhile(weed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that opens it, where it has run before; not for help, not for a folder that has none yet, and not where another store is named."""
    monkeypatch.setenv("LAKE_HOME", str(weed_home))
    beginning = begin(["ls", "--json"])
    assert beginning is not None
    beginning.join()
    (store,) = lake.store._open
    assert store.embedded
    close_stores(wait=False)
    assert begin(["ls", "--help"]) is None
    assert begin(["doctor"]) is None
    assert begin([]) is None
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    assert begin(["ls"]) is None
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("LAKE_HOME", str(weed_home))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert begin(["ls"]) is None
