"""What the machine is like: disks that fill, homes that cannot be used, clocks that are wrong, terminals with few letters. Told as what it is, with what to do."""

from __future__ import annotations

import datetime as dt
import email.utils
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lake import clock, disk, patience, probe
from lake.answers import Answer
from lake.disk import disks, ensure_room, full_disk, local, temporary_folder
from lake.embedded import embedded_keys
from lake.errors import DiskFull, HomeRefused, LakeError, StoreRefused, of_system, translated
from lake.maintain import maintain
from lake.metrics import LakeCollector
from lake.run import begin_run
from lake.service import why_it_ended
from lake.settings import Settings, home_in, load_settings, user_home
from lake.store import open_store
from tests.conftest import ROOT
from tests.outside import outside
from tests.test_cli import answer, run_lake
from tests.tiny import bring, orders, rows_of, write_orders


@pytest.fixture
def small() -> Iterator[Path]:
    """A disk of 300 MB in memory, where one may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="small disk "))
    mounted = sys.platform == "linux" and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "none", str(folder)], capture_output=True, check=False)
    if not mounted or mounted.returncode:
        folder.rmdir()
        pytest.skip("a small disk cannot be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def fill(folder: Path, left: int) -> Path:
    """A file that leaves so many bytes of a disk free."""
    ballast = folder / "ballast"
    with ballast.open("wb") as handle:
        os.posix_fallocate(handle.fileno(), 0, shutil.disk_usage(folder).free - left)
    return ballast


# --- disks


@pytest.mark.slow
def test_a_disk_that_fills_is_named_before_and_after_and_all_goes_on_when_there_is_room(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded store's disk: below the reserve nothing begins; full in the middle of a run it is named, nothing is half-done, and with room the next run finishes."""
    settings = load_settings(home=small / "home", root=tmp_path, reserve=32 << 20, patience=2)
    write_orders(tmp_path / "in", "one.csv", [(1, "ann", "1.50", "2024-01-01")])
    with begin_run(settings, "shop", "test") as run:
        bring(run, tmp_path / "in")
        ballast = fill(small, 20 << 20)
        with pytest.raises(DiskFull, match="too little room to begin") as caught, begin_run(settings, "shop", "test"):
            pass
        assert "home/store/data" in str(caught.value)
        assert "LAKE_RESERVE" in str(caught.value)
        with begin_run(settings, "maintain", "test", needs_room=False):  # what makes room may begin
            pass
        ballast.unlink()
        ballast = fill(small, 0)
        with pytest.raises(DiskFull, match="the embedded store's data is full") as caught:
            run.store.put("large", b"x" * 5_000_000)
        for word in ("internal error", "S3", "500"):
            assert word not in str(caught.value)
        ballast.unlink()
        run.store.put("large", b"x" * 5_000_000)
        write_orders(tmp_path / "in", "two.csv", [(2, "bob", "1.50", "2024-01-01")])
        bring(run, tmp_path / "in")
        assert [row["order"] for row in rows_of(run, orders)] == [1, 2]
        run.store.close(wait=True)


def test_every_disk_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's data, scratch space and temporary files, each by the first thing on it; of a store elsewhere only the other two."""
    assert disks(load_settings(home=tmp_path / "home", root=tmp_path))[0].what == "the embedded store's data"
    far = [one.what for one in disks(load_settings(home=tmp_path / "home", root=tmp_path, endpoint="http://127.0.0.1:1"))]
    assert far[0] == "scratch space"
    assert not (tmp_path / "home").exists()
    monkeypatch.setattr(disk, "_free", lambda folder: 10 << 20)
    with pytest.raises(DiskFull, match=r"too little room to begin: 10.5 MB of .*scratch space"):
        ensure_room(load_settings(home=tmp_path / "home", root=tmp_path, endpoint="http://127.0.0.1:1"))
    ensure_room(load_settings(home=tmp_path / "home", root=tmp_path, reserve=1 << 20))
    assert full_disk(tmp_path, 5 << 20, "x") is None
    assert "is full" in str(full_disk(tmp_path, 50 << 20, "the embedded store's data"))


def test_a_disk_with_little_room_is_in_metrics_and_doctor(weed_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics have free and total bytes of each disk; doctor names the one with too little room and exits with 1."""
    families = {family.name: family for family in LakeCollector(weed_settings).collect()}
    (free,), (total,) = (families[name].samples[:1] for name in ("lake_disk_free_bytes", "lake_disk_bytes"))
    assert 0 < free.value <= total.value
    assert free.labels["disk"] == "the embedded store's data"
    monkeypatch.setattr(disk, "_free", lambda folder: 1000)
    said = answer("doctor", LAKE_HOME=str(weed_settings.home), LAKE_ENV=weed_settings.env)
    assert said.code == 1
    assert "room, the embedded store's data" in said.out
    assert said.err.startswith("lake: too little room: 1.0 kB of")
    assert "LAKE_HOME" in said.err


def test_no_folder_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR is named."""

    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setenv("TMPDIR", "/nowhere")
    with pytest.raises(DiskFull, match="TMPDIR=/nowhere does not"):
        temporary_folder()


# --- homes


@pytest.mark.parametrize("command", [["run", "--no-prefect"], ["ls"], ["doctor"], ["up"], ["release", "ls"]])
@pytest.mark.parametrize("below", ["", "/deeper/home"])
def test_a_home_that_is_a_file(tmp_path: Path, command: list[str], below: str) -> None:
    """Whatever the command: one line, which names the file that is in the way."""
    (tmp_path / "home").write_text("a file", "utf-8")
    said = answer(*command, cwd=tmp_path, LAKE_HOME=f"{tmp_path}/home{below}")
    assert said.code == 1
    if "no flow" in said.err:  # a run looks for what it is to run first
        return
    assert f"{tmp_path}/home is a file" in said.err
    assert len(said.err.splitlines()) == 1
    assert "LAKE_HOME" in said.err


@pytest.mark.parametrize("command", [["ls"], ["doctor"], ["up"]])
def test_a_home_that_is_read_only(small: Path, command: list[str]) -> None:
    """Its disk is mounted read-only: that is what is told, by what makes a lake and by what looks at one that is there."""
    if command != ["up"]:
        (small / "home" / "store" / "data").mkdir(parents=True)
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    said = answer(*command, cwd=ROOT, LAKE_HOME=str(small / "home"))
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "its disk is mounted read-only" in said.err
    assert str(small) in said.err


def test_each_refusal_of_the_system_has_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kind, path and next step of each; somebody else's folder says whose it is; of others nothing is made up."""
    folder = tmp_path / "home"
    folder.mkdir()
    stat = os.stat(folder)
    monkeypatch.setattr(os, "getuid", lambda: stat.st_uid + 1)
    wanted = {
        errno.ENOSPC: (DiskFull, "is full"), errno.EDQUOT: (DiskFull, "is full"), errno.EROFS: (HomeRefused, "read-only"),
        errno.EACCES: (HomeRefused, "it belongs to"), errno.EPERM: (HomeRefused, "it belongs to"), errno.ENOTDIR: (HomeRefused, "cannot be a folder"),
        errno.EMFILE: (LakeError, "too many files are open"), errno.EIO: (LakeError, "does not read or write"),
    }  # fmt: skip
    for number, (kind, words) in wanted.items():
        error = OSError(number, os.strerror(number), str(folder))
        known = of_system(error)
        assert type(known) is kind, errno.errorcode[number]
        assert words in str(known)
        assert known is not None
        assert known.hint
        assert translated(error, "silver.shop.orders").message.startswith("silver.shop.orders: ")
        with pytest.raises(kind), local(folder):
            raise error
    assert of_system(OSError(errno.ENOENT, "x")) is None


def test_who_has_no_home_can_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME unset, and a user that no list knows: settings load, and nothing of a home is looked for."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home directory.")))
    from lake.prefect_server import configured
    from lake.settings import lineage_is_wanted

    assert user_home() is None
    assert configured("PREFECT_API_URL") == ""
    assert lineage_is_wanted() is False


def test_the_home_of_another_command_is_found_as_it_finds_it(tmp_path: Path) -> None:
    """By LAKE_HOME, absolute or not, else by the project's file, else .lake."""
    (tmp_path / "below").mkdir()
    assert home_in(tmp_path / "below", {}) == tmp_path / "below" / ".lake"
    (tmp_path / "pyproject.toml").write_text('[tool.lake]\nhome = "state"\n', "utf-8")
    assert home_in(tmp_path / "below", {}) == tmp_path / "state"
    assert home_in(tmp_path / "below", {"LAKE_HOME": "x"}) == tmp_path / "x"
    assert home_in(tmp_path, {"LAKE_HOME": "/y"}) == Path("/y")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identities": []}'])
def test_a_damaged_file_of_keys(tmp_path: Path, text: str) -> None:
    """It is named, with what to do."""
    (tmp_path / "s3.json").write_text(text, "utf-8")
    (tmp_path / "s3.json").chmod(0o600)
    with pytest.raises(HomeRefused, match=r"s3\.json is damaged"):
        embedded_keys(tmp_path)


def test_keys_that_others_could_read_are_closed(tmp_path: Path) -> None:
    """And it is told, once: the next look finds nothing to say."""
    pair = embedded_keys(tmp_path)
    (tmp_path / "s3.json").chmod(0o644)
    heard: list[str] = []
    with patience.telling(heard.append):
        assert embedded_keys(tmp_path) == embedded_keys(tmp_path) == pair
    assert (tmp_path / "s3.json").stat().st_mode & 0o777 == 0o600
    assert len(heard) == 1


def test_a_store_whose_data_is_gone_is_not_begun_anew_in_silence(tmp_path: Path) -> None:
    """The home stays and the data folder does not: an empty lake in its place would look like one that never was."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "launch.json").write_text(json.dumps({"facts": {"endpoint": "http://127.0.0.1:1"}}), "utf-8")
    with pytest.raises(HomeRefused, match="is gone, though a store ran here before"):
        open_store(load_settings(home=tmp_path, root=tmp_path))
    assert not (tmp_path / "store" / "data").exists()


def test_why_a_server_ended_is_read_from_its_log(tmp_path: Path) -> None:
    """Too few files, a full disk: told as such; what the log had before this start is not looked at, and of anything else nothing is made up."""
    log = tmp_path / "server.log"
    log.write_text("dial: too many open files\ngoroutine 1 [running]:\n\tmini.go:1457 +0x111\n", "utf-8")
    assert "ulimit -n" in str(why_it_ended(log, tmp_path))
    assert why_it_ended(log, tmp_path, log.stat().st_size) is None
    log.write_text("mmap: no space left on device\n", "utf-8")
    assert isinstance(why_it_ended(log, tmp_path), DiskFull)
    assert why_it_ended(tmp_path / "none", tmp_path) is None


# --- clocks


@pytest.fixture
def ahead() -> Iterator[str]:
    """A server whose clock is twenty minutes ahead, and which refuses requests for it, as stores do."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  # the name the base looks for
            body = (
                b"<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>"
            )
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response_only(403)
            self.send_header("Date", email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=20), usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_store_that_refuses_a_wrong_clock_is_told_as_that(ahead: str, tmp_path: Path) -> None:
    """Not as wrong keys: by how much, and what to do; by a run, and by doctor."""
    settings = load_settings(home=tmp_path, root=tmp_path, endpoint=ahead, access_key_id="k", secret_access_key="s")
    with pytest.raises(StoreRefused, match=r"its clock and this machine's differ .* this machine's is (20 min|19 min 5. s)( . s)? behind") as caught:
        open_store(settings).put("x", b"x")
    assert "AWS_" not in str(caught.value)
    assert "time server" in str(caught.value)
    said = answer("doctor", LAKE_HOME=str(tmp_path), AWS_ENDPOINT_URL=ahead, AWS_ACCESS_KEY_ID="k", AWS_SECRET_ACCESS_KEY="s")
    assert said.code == 1
    assert "clock" in said.out
    assert "behind of the clock" in said.err or "behind" in said.err
    assert "time server" in said.err


def test_a_clock_that_is_off_by_less_is_told_and_stops_nothing(moto_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Six minutes: a run warns, once a process; doctor says no; upkeep goes by the store's clock."""
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(minutes=6))
    monkeypatch.setattr(probe, "now", clock.now)
    monkeypatch.setattr(probe, "_warned", set())
    by = clock.apart(moto_settings.endpoint or "")
    assert by is not None
    assert dt.timedelta(minutes=5, seconds=50) < by < dt.timedelta(minutes=6, seconds=10)
    heard: list[str] = []
    with patience.telling(heard.append):
        store = open_store(moto_settings)
        probe.warn_of_clock(store)
        probe.warn_of_clock(store)
    assert len(heard) == 1
    assert "this machine's clock is" in heard[0]
    assert "ahead of the store's" in heard[0]
    assert abs(probe.by_clock_of(store) - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)
    asked = {check.name: check for check in probe.probe(store)}
    assert not asked["clock skew"].ok
    assert "ahead" in asked["clock skew"].detail
    assert clock.spelled(dt.timedelta(days=-1, minutes=-3)) == "1 d 3 min behind"


def test_a_clock_that_nobody_tells_is_none() -> None:
    """No server, no Date: nothing is made up."""
    assert clock.apart("http://127.0.0.1:9", timeout=0.5) is None


def test_landing_order_survives_a_clock_that_is_set_back(moto_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What landed later stays later, and a later file's rows win, although the machine's clock went back a day between the two."""
    import lake.landing as landing

    write_orders(tmp_path / "in", "a.csv", [(1, "ann", "1.00", "2024-01-01")])
    with begin_run(moto_settings, "shop", "test") as run:
        bring(run, tmp_path / "in")

    class Back(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            """A day ago."""
            return dt.datetime.now(tz) - dt.timedelta(days=1)

    shim = type(sys)("datetime")
    shim.__dict__.update({name: getattr(dt, name) for name in dir(dt) if not name.startswith("__")} | {"datetime": Back})
    monkeypatch.setattr(landing, "dt", shim)
    write_orders(tmp_path / "in", "b.csv", [(1, "ann", "2.00", "2024-01-01")])
    with begin_run(moto_settings, "shop", "test") as run:
        bring(run, tmp_path / "in")
        assert [str(row["amount"]) for row in rows_of(run, orders)] == ["2.00"]
        assert list(maintain(run, dry_run=True))


# --- terminals, limits, time zones


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"TZ": ""}, {"TZ": "Nowhere/None"}]
)
def test_a_terminal_with_few_letters_or_no_time_zone_is_enough(weed_home: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    """What cannot be shown is spelled out; nothing fails for it."""
    (tmp_path / "ünïcode ✓.csv").write_text("a,b\n1,ü ✓\n", "utf-8")
    said = run_lake("preview", "ünïcode ✓.csv", cwd=tmp_path, LAKE_HOME=str(weed_home), **variables)
    assert (said.code, said.err) == (0, "")
    assert "Traceback" not in said.out


def test_few_files_at_once_are_raised_or_told(tmp_path: Path) -> None:
    """A soft limit is raised by lake itself; a hard one that is too low for the store is told with what to do."""
    code = "import resource; from lake.cli import _settle_in; _settle_in(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    raised = subprocess.run(["sh", "-c", f'ulimit -S -n 64; exec "{sys.executable}" -c "{code}"'], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(raised.stdout) > 64
    (tmp_path / "h" / "store" / "data").mkdir(parents=True)
    limited = ["sh", "-c", f'ulimit -n 40; exec "{sys.executable}" -m lake doctor']
    done = subprocess.run(
        limited, cwd=tmp_path, env=outside() | {"PYTHONPATH": str(ROOT), "LAKE_HOME": str(tmp_path / "h")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "too many files are open at once: this process may have 40" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_answers_are_told_without_words_of_a_library() -> None:
    """Whatever the client says: what may pass, what is refused, and a reason without its words, signatures or line ends."""
    text = "Generic S3 error: Error performing PUT http://x/lake/a in 2.1s, after 6 retries, max_retries: 6 - Server returned non-2xx status code: {}: {}"
    for status, body, passing in (
        (503, "<Code>SlowDown</Code><Message>Please reduce</Message>", True),
        (418, "", False),
        (501, "<Message>not\nmade</Message>", False),
    ):
        answered = Answer("http://x", "put", "s3://lake/a", Exception(text.format(status, body)))
        assert (answered.passing is not None) == passing
        told = str(answered.error(60.0))
        assert "Generic" not in told
        assert "retries" not in told
        assert "\n" not in told
