"""Landing: every file a source offers is kept as it is, once, whatever happens to the file, the clock or the process that lands it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import lake.portions
import lake.source
from lake.landed import Landed
from lake.landing import land
from lake.receipts import LANDINGS
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import Source
from lake.store import Store
from lake.table import Table
from tests.tiny import bring, write_orders

ROOT = Path(__file__).resolve().parents[1]


def source(at: str | Path | Callable[[], str | Path], table: str = "files", **more: Any) -> Source:
    """A source for bronze.test.`table`."""
    return Source(Table(f"bronze.test.{table}"), at, **more)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Write `files` below `folder`, by name."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def receipts(run: Run) -> pl.DataFrame:
    """All receipts there are, in the order of landing."""
    return run.snapshot(LANDINGS, run.log(LANDINGS).version()).scan().sort("landed_at").collect()


def statuses(run: Run) -> list[tuple[str, str]]:
    """Name and status of all receipts, in the order of landing."""
    return [(row["name"], row["status"]) for row in receipts(run).iter_rows(named=True)]


def original(store: Store, receipt: dict[str, Any]) -> bytes:
    """The bytes of a landed file as they were when it landed."""
    stored = store.get(receipt["file"])
    assert len(stored) == receipt["stored_size"]
    plain = not receipt["file"].endswith(f"{receipt['name'].rsplit('/', 1)[-1]}.zst")
    return stored if plain else zstandard.ZstdDecompressor().decompressobj().decompress(stored)


def check_kept(run: Run, expected: dict[str, bytes]) -> None:
    """Every file has one `landed` receipt, whose raw object holds its bytes at a path with their sha256; and nothing else landed."""
    rows = receipts(run).filter(status="landed").rows(named=True)
    assert sorted(row["name"] for row in rows) == sorted(expected)
    for row in rows:
        content, digest = expected[row["name"]], hashlib.sha256(expected[row["name"]]).hexdigest()
        assert original(run.store, row) == content, row["name"]
        assert (row["sha256"], row["size"]) == (digest, len(content))
        assert f"/{digest}/" in row["file"]
    times = receipts(run)["landed_at"].to_list()
    assert all(earlier < later for earlier, later in pairwise(times))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with a space and quotes in its name."""
    made = tmp_path / "the 'raw' \"files\""
    made.mkdir()
    return made


@pytest.fixture
def reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file of `folder` was opened for reading, by name."""
    opened: Counter[str] = Counter()
    path_open = Path.open

    def counting(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode.startswith("r") and self.is_relative_to(folder):
            opened[self.relative_to(folder).as_posix()] += 1
        return path_open(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", counting)
    return opened


def test_many_small_files_share_commits(run: Run, folder: Path) -> None:
    """300 files take two commits, and are all there; their 300 receipts are known again without reading."""
    files = {f"{number:03d}.csv": f"a\n{number}\n".encode() for number in range(300)}
    fill(folder, files)
    outcome = land(run, source(folder))
    assert len(outcome.new) == 300
    assert outcome.version == 1
    check_kept(run, files)
    run.store.requests.clear()
    assert land(run, source(folder)).known == 300
    assert run.store.requests["put"] == 0


@given(st.lists(st.integers(0, 12), max_size=40), st.integers(1, 6), st.integers(0, 20))
def test_a_commit_takes_as_many_files_as_fit(sizes: list[int], files: int, size: int) -> None:
    """Portions are all the files in order; each keeps to both limits or is one file, and would not with the next file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake.portions, "FILES_A_COMMIT", files)
        patch.setattr(lake.portions, "BYTES_A_COMMIT", size)
        cut = list(lake.portions.portions(sizes))
    assert [number for start, end in cut for number in range(start, end)] == list(range(len(sizes)))
    for start, end in cut:
        assert end - start == 1 or (0 < end - start <= files and sum(sizes[start:end]) <= size)
        assert end == len(sizes) or end - start + 1 > files or sum(sizes[start : end + 1]) > size


# --- several at once, and killed ones

_LAND = """
import json, sys
import lake.landing as landing
import lake.portions as portions
from lake.run import begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table

home, root, env, at, size = sys.argv[1:]
portions.FILES_A_COMMIT = int(size)
with begin_run(load_settings(home=home, root=root, env=env), "test", "test") as run:
    print("ready", flush=True)
    sys.stdin.readline()
    outcome = landing.land(run, Source(Table("bronze.test.files"), at), lambda name, done, total: print("landing", name, flush=True))
    print(json.dumps([outcome.new, outcome.known, outcome.duplicates]), flush=True)
"""


def start_landing(settings: Settings, folder: Path, files_a_commit: int) -> subprocess.Popen[str]:
    """A process ready to land `folder`: it goes as soon as it is told so."""
    command = [sys.executable, "-c", _LAND, str(settings.home), str(settings.root), settings.env, str(folder), str(files_a_commit)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    """Tell it to land."""
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture
def landing(weed_settings: Settings, run: Run, folder: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """Makes processes that are ready to land `folder`, so many files a commit; none outlives the test. `run` has the store ready before."""
    started: list[subprocess.Popen[str]] = []

    def start(files_a_commit: int) -> subprocess.Popen[str]:
        started.append(start_landing(weed_settings, folder, files_a_commit))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def test_threads_that_land_one_folder_at_once_share_it(weed_settings: Settings, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs land the same 30 files at the same time in several commits: each file has one `landed` receipt, from one of them."""
    monkeypatch.setattr(lake.portions, "FILES_A_COMMIT", 8)
    files = {f"{number:02d}.csv": f"a\n{number}\n".encode() for number in range(30)}
    fill(folder, files)
    start = threading.Barrier(3)

    def race(_: int) -> Landed:
        with begin_run(weed_settings, "test", "test") as mine:
            start.wait(30)
            return land(mine, source(folder))

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(race, range(3)))
    assert sorted(name for outcome in outcomes for name in outcome.new) == sorted(files)
    assert [len(outcome.new) + outcome.known for outcome in outcomes] == [30, 30, 30]
    assert [outcome.duplicates for outcome in outcomes] == [[], [], []]
    check_kept(run, files)


def test_processes_that_land_one_folder_at_once_share_it(run: Run, folder: Path, landing: Callable[[int], subprocess.Popen[str]]) -> None:
    """Two processes land the same files, two of them copies, at the same time: one `landed` receipt a file, one `duplicate` a copy."""
    files = {f"{number:02d}.csv": f"a\n{number}\n".encode() for number in range(20)}
    fill(folder, files | {"copy 0.csv": files["00.csv"], "zcopy 1.csv": files["01.csv"]})
    both = [landing(6), landing(6)]
    for process in both:
        go(process)
    said = [process.communicate(timeout=60)[0].splitlines()[-1] for process in both]
    outcomes = [json.loads(line) for line in said]
    assert [process.returncode for process in both] == [0, 0]
    names = [name for new, _, _ in outcomes for name in new]
    copies = [name for _, _, duplicates in outcomes for name in duplicates]
    assert sorted(names + copies) == sorted([*files, "copy 0.csv", "zcopy 1.csv"])
    assert len(copies) == 2
    counted = receipts(run).group_by("status").len().rows()
    assert sorted(counted) == [("duplicate", 2), ("landed", 20)]
    assert receipts(run).filter(status="landed")["sha256"].n_unique() == 20


def test_a_killed_landing_is_finished_by_the_next(
    weed_settings: Settings, run: Run, folder: Path, landing: Callable[[int], subprocess.Popen[str]], reads: Counter[str]
) -> None:
    """After kill -9 half-way, what was committed stays and is not read again, the rest lands, and each file has one receipt; the spool is swept."""
    files = {f"{number:02d}.csv": f"a\n{number}\n".encode() for number in range(60)}
    fill(folder, files)
    process = landing(10)
    go(process)
    assert process.stdout
    for _ in range(36):
        assert process.stdout.readline().startswith("landing ")
    process.kill()
    process.wait(10)
    before = [name for name, _ in statuses(run)]
    assert 20 <= len(before) < 60
    left = list((weed_settings.state / "spool").glob("land-test.files-*"))
    assert left
    for leftover in left:
        os.utime(leftover, (time.time() - 300, time.time() - 300))
    outcome = land(run, source(folder))
    assert sorted([*before, *outcome.new]) == sorted(files)
    assert outcome.known == len(before)
    assert not set(reads) & set(before)
    check_kept(run, files)
    assert not any(leftover.exists() for leftover in left)


def test_a_delivery_costs_the_same_however_many_came_before(weed_settings: Settings, tmp_path: Path) -> None:
    """Requests to the store for one more file, rejects and all, from landing to gold: as many as twenty deliveries before, when the logs were as far past a checkpoint.

    Gold, which sums up all of silver, reads each file of earlier deliveries with one request; that is apart.
    """
    asked = []
    for number in range(27):
        write_orders(tmp_path, f"{number:02}.csv", [(number, "ann", "1.00", "2024-01-01"), (100 + number, "test", "1.00", "2024-01-01")])
        with begin_run(weed_settings, "test", "test") as run:
            before = sum(run.store.requests.values())
            bring(run, tmp_path)
            asked.append(sum(run.store.requests.values()) - before - number)
    assert max(asked[23:]) <= max(asked[3:7]) + 2, asked
    assert max(asked) < 120, asked
