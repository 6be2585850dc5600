"""What is published is on the disk: before a commit or a release is put all that it may name, and with it before it is told."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import lake.barrier
from lake.barrier import Barrier
from lake.errors import LakeError
from lake.run import Run
from lake.settings import Settings
from lake.store import Store, open_store
from tests.tiny import bring, write_orders


class Disk:
    """Which of the files under a folder the system was asked to have on the disk, as they are."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.asked, real = folder, dict[str, int](), lake.barrier._SYNC

        def sync(handle: int) -> None:
            path = os.readlink(f"/proc/self/fd/{handle}")
            self.asked[path] = os.fstat(handle).st_size
            real(handle)

        monkeypatch.setattr(lake.barrier, "_SYNC", sync)

    def forget(self) -> None:
        """From now on."""
        self.asked = {}

    def behind(self) -> list[str]:
        """The files of data and of the index that grew since they were asked for."""
        wanted = [path for path in self.folder.rglob("*") if path.suffix in (".dat", ".idx", ".log", ".ldb")]
        return [str(path) for path in wanted if path.stat().st_size and path.stat().st_size != self.asked.get(str(path))]


def data_of(settings: Settings) -> Path:
    """Where the embedded store keeps it."""
    return (settings.state / "store" / "data").resolve()


def test_what_is_written_once_is_on_the_disk_with_all_before_it(weed_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the put of a commit is told, no byte of the store's files is in memory alone; at the moment of the put none of what came before."""
    disk = Disk(data_of(weed_settings), monkeypatch)
    store = open_store(weed_settings)
    store.put("a/data.parquet", os.urandom(300_000))
    assert disk.behind()
    seen, real = [], Store._ask

    def asking(store: Store, verb: str, *rest: Any) -> Any:
        if verb == "put":
            seen.append(disk.behind())
        return real(store, verb, *rest)

    monkeypatch.setattr(Store, "_ask", asking)
    assert store.put_if_absent("a/_delta_log/0.json", b"{}")
    assert seen == [[]]
    assert disk.behind() == []
    disk.forget()
    assert store.barrier.settle() == 0
    assert disk.asked == {}
    store.close()


def test_each_commit_and_release_of_a_run_finds_its_data_on_the_disk(
    weed_settings: Settings, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over landing, ingesting and two hops: whenever a commit is put, all that was stored before is on the disk."""
    disk, seen, real = Disk(data_of(run.settings), monkeypatch), Counter[str](), Store._ask
    Barrier(disk.folder).settle()

    def asking(store: Store, verb: str, path: str, *rest: Any) -> Any:
        if verb == "put" and "/_delta_log/" in path:
            seen[f"{path}: {disk.behind()}" if disk.behind() else "settled"] += 1
        return real(store, verb, path, *rest)

    monkeypatch.setattr(Store, "_ask", asking)
    write_orders(tmp_path, "orders.csv", [(1, "ann", "1.50", "2024-01-01"), (2, "test", "1", "")])
    bring(run, tmp_path)
    assert seen.keys() == {"settled"}
    assert seen["settled"] >= 4


def test_a_disk_that_does_not_take_it_stops_the_commit(weed_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk before the commit: it is not put, and the sentence says the disk."""
    store = open_store(weed_settings)
    store.put("a/data.parquet", b"x")

    def failing(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(lake.barrier, "_SYNC", failing)
        with pytest.raises(LakeError, match="the disk does not read or write it"):
            store.put_if_absent("a/_delta_log/0.json", b"{}")
    assert store.head("a/_delta_log/0.json") is None
    assert store.put_if_absent("a/_delta_log/0.json", b"{}")
    store.close()


def test_files_that_go_and_come_are_asked_for(tmp_path: Path) -> None:
    """New, grown, renamed over and removed: each change once, with its folder; what stays is not asked for again."""
    (folder := tmp_path / "data" / "deep").mkdir(parents=True)
    barrier = Barrier(tmp_path / "data")
    (folder / "one").write_bytes(b"1")
    assert barrier.settle() == 3
    assert barrier.settle() == 0
    with (folder / "one").open("ab") as handle:
        handle.write(b"2")
    assert barrier.settle() == 1
    (folder / "two").write_bytes(b"22")
    os.replace(folder / "two", folder / "one")
    assert barrier.settle() == 2
    (folder / "one").unlink()
    assert barrier.settle() == 1
    shutil.rmtree(tmp_path / "data")
    assert barrier.settle() == 0
    assert Barrier(None).settle() == 0


@pytest.mark.skipif(shutil.which("strace") is None, reason="counts what the system is asked, by strace")
def test_the_system_is_asked(tmp_path: Path) -> None:
    """Seen from outside: a process that publishes asks for the data and the index files of the store."""
    trace = tmp_path / "trace"
    code = "import sys; from lake.settings import load_settings; from lake.store import open_store\n"
    code += "s = open_store(load_settings(home=sys.argv[1], root=sys.argv[1])); s.put('d', b'x' * 99); s.put_if_absent('l', b'{}'); s.close(wait=True)"
    (home := tmp_path / "home").mkdir()
    command = ["strace", "-f", "-y", "-e", "trace=fdatasync,fsync", "-o", str(trace), sys.executable, "-c", code, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if "ptrace" in done.stderr.lower():
        pytest.skip("this system lets nobody trace")
    assert done.returncode == 0, done.stderr
    told = trace.read_text("utf-8", "replace")
    assert ".dat>" in told
    assert "filerldb2" in told
