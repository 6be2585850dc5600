"""Landing: every file a source offers is kept as it is, once, whatever happens to the file, the clock or the process that lands it."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import zstandard

import lake.landing
import lake.source
from lake.errors import DeclarationError, SourceError
from lake.landed import Landed
from lake.landing import land
from lake.reading.hints import Hints
from lake.receipts import LANDINGS, RECEIPTS, receipts_between
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import Offer, Source, offered
from lake.store import Store
from lake.table import Table

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


def known_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What a receipt says of how its files are read, but for the reasons, the kinds of the columns and the edition of the reader, which tests/test_dialect.py looks at."""
    said = json.loads(row["dialects"])
    assert all(dialect.get("why") for dialect in said if dialect["format"] == "csv")
    return [{name: value for name, value in dialect.items() if name not in ("why", "shape", "edition")} for dialect in said]


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
    really = os.open

    def counting(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        number = really(path, flags, *args, **kwargs)
        at = Path(f"/proc/self/fd/{number}").resolve() if not flags & os.O_WRONLY else Path()
        if at.is_file() and at.is_relative_to(folder.resolve()):
            opened[at.relative_to(folder.resolve()).as_posix()] += 1
        return number

    monkeypatch.setattr(os, "open", counting)
    return opened


# --- what a folder goes through


def test_new_files_land_once_and_are_not_read_again(run: Run, folder: Path, reads: Counter[str]) -> None:
    """The first landing reads each file once; the second reads none, commits nothing and says all are known."""
    files = {"b.csv": b"a,b\n3,4\n", "a.csv": b"a,b\n1,2\n", "sub/c.csv": b"a,b\n5,6\n"}
    fill(folder, files)
    told: list[tuple[str, int, int]] = []
    first = land(run, source(folder), lambda *what: told.append(what))
    assert first == Landed("test.files", new=["a.csv", "b.csv", "sub/c.csv"], bytes=24, version=0)
    assert sorted(name for name, _, _ in told) == ["a.csv", "b.csv", "sub/c.csv"]
    assert [(done, total) for _, done, total in told] == [(1, 3), (2, 3), (3, 3)]
    assert dict(reads) == dict.fromkeys(files, 1)
    reads.clear()
    assert land(run, source(folder)) == Landed("test.files", known=3, version=0)
    assert dict(reads) == {}
    check_kept(run, files)


def test_a_receipt_says_what_is_known_of_a_file(run: Run, folder: Path) -> None:
    """Source, name, size, time, run and how it is written down are in the receipt, in the columns and types that are promised."""
    file = fill(folder, {"x.csv": b"id;name\n1;a\n"}) / "x.csv"
    os.utime(file, ns=(0, 1_700_000_000_123_456_789))
    before = dt.datetime.now(dt.UTC)
    land(run, source(folder))
    frame = receipts(run)
    assert dict(frame.schema) == dict(RECEIPTS)
    (row,) = frame.rows(named=True)
    assert (row["source"], row["name"], row["status"], row["run"]) == ("test.files", "x.csv", "landed", run.info.id)
    assert (row["size"], row["packed"], row["etag"]) == (12, None, None)
    assert row["modified"] == dt.datetime(2023, 11, 14, 22, 13, 20, 123456, dt.UTC)
    assert before <= row["landed_at"] <= dt.datetime.now(dt.UTC)
    assert known_of(row) == [{"format": "csv", "delimiter": ";", "columns": ["id", "name"], "named": ["id", "name"]}]


def test_a_touched_file_is_known_by_its_content(run: Run, folder: Path, reads: Counter[str]) -> None:
    """A new time with the same content: the file is read, found to be the same, and nothing lands."""
    file = fill(folder, {"x.csv": b"a\n1\n"}) / "x.csv"
    land(run, source(folder))
    os.utime(file, (1, 1))
    assert land(run, source(folder)) == Landed("test.files", known=1, version=0)
    assert reads["x.csv"] == 2


def test_a_corrected_file_lands_again(run: Run, folder: Path) -> None:
    """Other content under a known name lands as a new file, even if it is as long as the old; the old bytes stay."""
    file = fill(folder, {"x.csv": b"a\n1\n"}) / "x.csv"
    land(run, source(folder))
    file.write_bytes(b"a\n2\n")
    os.utime(file, (2e9, 2e9))
    assert land(run, source(folder)).new == ["x.csv"]
    assert [original(run.store, row) for row in receipts(run).iter_rows(named=True)] == [b"a\n1\n", b"a\n2\n"]
    assert statuses(run) == [("x.csv", "landed"), ("x.csv", "landed")]


def test_a_file_reverted_lands_a_third_time(run: Run, folder: Path) -> None:
    """Going back to an earlier content is a change like any other: a third receipt, for the object that is there already."""
    file = fill(folder, {"x.csv": b"a\n1\n"}) / "x.csv"
    for turn, content in enumerate((b"a\n1\n", b"a\n22\n", b"a\n1\n")):
        file.write_bytes(content)
        os.utime(file, (turn, turn))
        assert land(run, source(folder)).new == ["x.csv"]
    assert land(run, source(folder)).known == 1
    assert receipts(run)["size"].to_list() == [4, 5, 4]
    assert receipts_between(run, "test.files", -1, 2)["size"].to_list() == [4, 5, 4]
    assert len(list(run.store.walk("raw"))) == 2


def test_the_same_content_under_another_name_is_a_duplicate(run: Run, folder: Path, reads: Counter[str]) -> None:
    """A copy gets a receipt that names the first one's object, is not handed on to be ingested, and is not read again."""
    fill(folder, {"a.csv": b"a\n1\n", "b.csv": b"a\n1\n"})
    assert land(run, source(folder)) == Landed("test.files", new=["a.csv"], duplicates=["b.csv"], bytes=4, version=0)
    fill(folder, {"c/a.csv": b"a\n1\n"})
    assert land(run, source(folder)) == Landed("test.files", known=2, duplicates=["c/a.csv"], version=1)
    assert statuses(run) == [("a.csv", "landed"), ("b.csv", "duplicate"), ("c/a.csv", "duplicate")]
    assert receipts(run)["file"].n_unique() == 1
    assert run.store.head(receipts(run)["file"][1]) is not None
    assert receipts_between(run, "test.files", -1, 1)["name"].to_list() == ["a.csv"]
    reads.clear()
    assert land(run, source(folder)).known == 3
    assert dict(reads) == {}


def test_a_duplicate_that_changes_lands(run: Run, folder: Path) -> None:
    """A copy that gets content of its own is a file of its own."""
    fill(folder, {"a.csv": b"a\n1\n", "b.csv": b"a\n1\n"})
    land(run, source(folder))
    fill(folder, {"b.csv": b"a\n22\n"})
    assert land(run, source(folder)).new == ["b.csv"]
    assert receipts_between(run, "test.files", -1, 1)["name"].to_list() == ["a.csv", "b.csv"]


def test_sources_do_not_share_what_they_know(run: Run, folder: Path) -> None:
    """The same folder in two sources lands in both: a copy is one only within its source, and each is handed its own receipts."""
    files = {"a.csv": b"a\n1\n", "b.csv": b"a\n2\n"}
    fill(folder, files)
    tables = ["one", "other", "zeta", "a_name_too_long_for_the_statistics_of_a_delta_log_to_hold_all_of_it"]
    for table in tables:
        assert land(run, source(folder, table)).new == ["a.csv", "b.csv"]
    for table in tables:
        assert receipts_between(run, f"test.{table}", -1, 3)["source"].to_list() == [f"test.{table}"] * 2
    assert receipts_between(run, "test.nobody", -1, 3).height == 0


def test_receipts_between_versions_are_those_of_their_commits(run: Run, folder: Path) -> None:
    """Receipts come from the versions after the first up to the last, oldest first, each in one window only."""
    for turn in range(4):
        fill(folder, {f"{turn}.csv": f"a\n{turn}\n".encode(), f"z{turn}.csv": f"a\n{turn}{turn}\n".encode()})
        assert land(run, source(folder)).version == turn

    def names(start: int, end: int) -> list[str]:
        return receipts_between(run, "test.files", start, end)["name"].to_list()

    assert names(-1, 3) == ["0.csv", "z0.csv", "1.csv", "z1.csv", "2.csv", "z2.csv", "3.csv", "z3.csv"]
    assert names(0, 2) == ["1.csv", "z1.csv", "2.csv", "z2.csv"]
    assert names(3, 3) == []


# --- which files


def test_odd_names_land(run: Run, folder: Path) -> None:
    """Subfolders and files with spaces, quotes, %, +, #, brackets and other scripts in their names land and come back."""
    names = [
        "a b/c's \"d\".csv", "100%.csv", "a%20b.csv", "p+q.csv", "h#.csv", "q?x=1&y.csv", "[x]*.csv", "ü/日本.csv",
        " first.csv", "last ", "{x}~.csv", "no suffix",
    ]  # fmt: skip
    files = {name: f"a,b\n{number},x\n".encode() for number, name in enumerate(names)}
    fill(folder, files)
    assert sorted(land(run, source(folder)).new) == sorted(files)
    check_kept(run, files)
    assert land(run, source(folder)).known == len(files)


def test_hidden_files_and_folders_are_left_out(run: Run, folder: Path) -> None:
    """Whatever begins with a dot, at any depth, belongs to some program; a dot above the source's folder says nothing."""
    at = fill(folder / ".data", {"x.csv": b"a\n1\n", ".x.csv": b"a\n2\n", ".git/y.csv": b"a\n3\n", "sub/.z/z.csv": b"a\n4\n", "sub/ok.csv": b"a\n5\n"})
    assert land(run, source(at)).new == ["sub/ok.csv", "x.csv"]


def test_the_pattern_chooses(run: Run, folder: Path) -> None:
    """`*` crosses folders, and upper and lower case are different."""
    everything = ["2024/a.csv", "2024/c.CSV", "2024/deep/d.txt", "b.csv"]
    fill(folder, dict.fromkeys(everything, b"x"))
    chosen = {"*.csv": ["2024/a.csv", "b.csv"], "2024/*": everything[:3], "?.csv": ["b.csv"], "*": everything, "b.csv": ["b.csv"], "*.nothing": []}
    for pattern, expected in chosen.items():
        assert sorted(offered(source(folder, pattern=pattern), run.store, folder).names) == sorted(expected), pattern


def test_a_source_can_be_named_in_several_ways(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, text, a file:// address, a path from the project's root, a function that is asked each time, and one file are all sources."""
    fill(folder, {"x.csv": b"a\n1\n", "y.csv": b"a\n2\n"})
    monkeypatch.chdir("/")

    def names(at: str | Path | Callable[[], str | Path]) -> list[str]:
        return sorted(offered(source(at), run.store, folder.parent).names)

    for at in (folder, str(folder), f"file://{folder}", folder.name, lambda: folder):
        assert names(at) == ["x.csv", "y.csv"]
    assert names(folder / "y.csv") == ["y.csv"]


def test_links_to_nowhere_are_passed_over(run: Run, folder: Path) -> None:
    """A broken link is no file; one that works lands what it points to."""
    fill(folder, {"x.csv": b"a\n1\n"})
    (folder / "gone.csv").symlink_to(folder / "nowhere")
    (folder / "link.csv").symlink_to(folder / "x.csv")
    outcome = land(run, source(folder))
    assert (outcome.new, outcome.duplicates, outcome.problems) == (["link.csv"], ["x.csv"], [])


def test_only_bronze_can_be_landed_into() -> None:
    """A source that would fill silver is refused where it is declared."""
    with pytest.raises(DeclarationError, match=r"silver\.test\.files"):
        Source(Table("silver.test.files", contract=None), "x")


# --- which bytes


def parquet() -> bytes:
    """A small Parquet file."""
    buffer = io.BytesIO()
    pl.DataFrame({"n": [1, 2], "t": ["a", "b"]}).write_parquet(buffer)
    return buffer.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    """A zip file of `files`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as inside:
        for name, content in files.items():
            inside.writestr(name, content)
    return buffer.getvalue()


PACKED = {"text.csv", "tabs.tsv", "latin.csv", "wide.csv", "lines.ndjson", "doc.json"}
"""Of FORMATS: those that are kept compressed, because they came as plain text."""
FORMATS: dict[str, tuple[bytes, str | None, list[dict[str, Any]]]] = {
    "text.csv": (b'a,b\r\n1,"x\r\ny"\r\n', None, [{"format": "csv", "columns": ["a", "b"], "named": ["a", "b"]}]),
    "tabs.tsv": (b"a\tb, c\n1\t2\n", None, [{"format": "csv", "delimiter": "\t", "columns": ["a", "b_c"], "named": ["a", "b, c"]}]),
    "latin.csv": (
        "größe;ort\n1;Köln\n".encode("cp1252"), None,
        [{"format": "csv", "encoding": "cp1252", "delimiter": ";", "columns": ["größe", "ort"], "named": ["größe", "ort"]}],
    ),
    "wide.csv": ("a,b\n1,é\n".encode("utf-16"), None, [{"format": "csv", "encoding": "utf-16", "columns": ["a", "b"], "named": ["a", "b"]}]),
    "lines.ndjson": (b'{"a": 1}\n{"a": 2}\n', None, [{"format": "ndjson"}]),
    "doc.json": (b'[{"a": 1},\n {"a": 2}]', None, [{"format": "json"}]),
    "typed.parquet": (parquet(), None, [{"format": "parquet", "columns": ["n", "t"], "named": ["n", "t"]}]),
    "text.csv.gz": (gzip.compress(b"a,b\n1,2\n", mtime=0), "gz", [{"format": "csv", "columns": ["a", "b"], "named": ["a", "b"]}]),
    "text.csv.zst": (zstandard.ZstdCompressor().compress(b"a,c\n1,2\n"), "zst", [{"format": "csv", "columns": ["a", "c"], "named": ["a", "c"]}]),
    "two.zip": (
        archive({"one.csv": b"a\n1\n", "in/two.tsv": b"a\tb\n1\t2\n"}), "zip",
        [
            {"member": "one.csv", "format": "csv", "columns": ["a"], "named": ["a"]},
            {"member": "in/two.tsv", "format": "csv", "delimiter": "\t", "columns": ["a", "b"], "named": ["a", "b"]},
        ],
    ),
    "nothing.csv": (b"", None, [{"format": "empty"}]),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), None, [{"format": "binary", "problem": "it is named picture.csv but its content is a picture"}]),
}  # fmt: skip
"""Files by name: their bytes, how they came packed, and what is observed of each file inside."""


def test_every_format_is_kept_byte_for_byte_and_described(run: Run, folder: Path) -> None:
    """Text is kept as .zst and the rest as it came; either way the very bytes come back, and the receipt says how to read them."""
    fill(folder, {name: content for name, (content, _, _) in FORMATS.items()})
    outcome = land(run, source(folder))
    assert (sorted(outcome.new), outcome.problems) == (sorted(FORMATS), [])
    check_kept(run, {name: content for name, (content, _, _) in FORMATS.items()})
    for row in receipts(run).iter_rows(named=True):
        _, packing, dialects = FORMATS[row["name"]]
        assert row["file"].endswith(f"/{row['name']}.zst" if row["name"] in PACKED else f"/{row['name']}")
        assert row["packed"] == packing
        assert known_of(row) == dialects, row["name"]


def test_an_empty_file_lands_once(run: Run, folder: Path) -> None:
    """No bytes are content too: a receipt of size 0, an object, and a second empty file is its duplicate."""
    fill(folder, {"e.csv": b"", "f.csv": b""})
    outcome = land(run, source(folder))
    assert (outcome.new, outcome.duplicates, outcome.bytes) == (["e.csv"], ["f.csv"], 0)
    assert receipts(run)["sha256"][0] == hashlib.sha256(b"").hexdigest()
    assert original(run.store, receipts(run).row(0, named=True)) == b""
    assert land(run, source(folder)).known == 2


def test_a_file_of_several_parts_lands_whole(run: Run, folder: Path) -> None:
    """20 MB of text and 20 MB of noise are kept exactly; the text takes less room."""
    files = {"text.csv": b"id,what\n" + b"".join(b"%d,the same words again\n" % number for number in range(700_000)), "noise.bin": os.urandom(20_000_000)}
    fill(folder, files)
    assert land(run, source(folder)).bytes == sum(map(len, files.values()))
    check_kept(run, files)
    row = receipts(run).filter(name="text.csv").row(0, named=True)
    assert row["stored_size"] < row["size"] / 3


def test_what_the_source_says_of_its_files_is_in_the_receipt(run: Run, folder: Path) -> None:
    """Hints are applied when the file lands, so that it is read the same way later."""
    fill(folder, {"x.txt": b"1|2\n3|4\n"})
    land(run, source(folder, hints=Hints(format="csv", delimiter="|", header=False)))
    (dialect,) = known_of(receipts(run).row(0, named=True))
    assert dialect == {"format": "csv", "delimiter": "|", "header": False, "columns": ["column_1", "column_2"], "named": ["column_1", "column_2"]}


# --- time


def test_landing_times_increase_even_if_the_clock_goes_back(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of landing is the order of `landed_at`, over clocks that jump ahead, go back or stand still."""
    for year in (2026, 2031, 2020, 2020, 2026):
        moment = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
        clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda _, moment=moment: moment), timedelta=dt.timedelta, UTC=dt.UTC)
        monkeypatch.setattr(lake.landing, "dt", clock)
        number = len(list(folder.iterdir()))
        fill(folder, {f"{number + i:02d}.csv": f"a\n{number + i}\n".encode() for i in range(3)})
        assert len(land(run, source(folder)).new) == 3
    frame = receipts(run)
    assert frame["name"].to_list() == [f"{number:02d}.csv" for number in range(15)]
    times = frame["landed_at"].to_list()
    assert all(earlier < later for earlier, later in pairwise(times))
    assert [record.last_landed for _, record in run.log(LANDINGS).records()] == [times[at] for at in (14, 11, 8, 5, 2)]


# --- what can go wrong


def test_a_missing_folder_is_named(run: Run, folder: Path) -> None:
    """A folder that is not there stops the source with its path, and nothing is written."""
    with pytest.raises(SourceError, match=r"source test\.files: there is no ") as caught:
        land(run, source(folder / "nowhere"))
    assert str(folder / "nowhere") in str(caught.value)
    assert run.log(LANDINGS).version() == -1


def test_an_unknown_kind_of_address_is_refused(run: Run) -> None:
    """What lake cannot read is refused with what it can."""
    for address in ("ftp://host/x", "gs://bucket/x"):
        with pytest.raises(SourceError, match=r"s3://… or https://…"):
            land(run, source(address))


def test_an_empty_folder_lands_nothing(run: Run, folder: Path) -> None:
    """Nothing offered, nothing committed."""
    assert land(run, source(folder)) == Landed("test.files")
    assert run.log(LANDINGS).version() == -1


def test_a_file_that_disappears_is_a_problem_and_the_rest_lands(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed, then gone before it is read: it is named among the problems, the others land, and it lands when it comes back."""
    files = {"a.csv": b"a\n1\n", "b.csv": b"a\n2\n", "c.csv": b"a\n3\n"}
    fill(folder, files)

    def then_gone(*args: Any) -> Offer:
        found = offered(*args)
        (folder / "b.csv").unlink()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(lake.landing, "offered", then_gone)
        outcome = land(run, source(folder))
    assert outcome.new == ["a.csv", "c.csv"]
    (problem,) = outcome.problems
    assert problem.startswith("b.csv disappeared")
    fill(folder, files)
    assert land(run, source(folder)).new == ["b.csv"]
    check_kept(run, files)


def test_an_unreadable_file_is_a_problem_and_the_rest_lands(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this user may not read is named among the problems with the reason, and leaves no receipt."""
    fill(folder, {"a.csv": b"a\n1\n", "locked.csv": b"a\n2\n", "z.csv": b"a\n3\n"})

    def denied() -> Iterator[bytes]:
        yield b"a\n"
        raise PermissionError(13, "Permission denied", "locked.csv")

    def some_locked(*args: Any) -> Offer:
        found = offered(*args)
        return replace(found, chunks=lambda name: denied() if name == "locked.csv" else found.chunks(name))

    monkeypatch.setattr(lake.landing, "offered", some_locked)
    outcome = land(run, source(folder))
    assert outcome.new == ["a.csv", "z.csv"]
    assert outcome.problems == ["locked.csv cannot be read: Permission denied. Check its permissions"]
    assert statuses(run) == [("a.csv", "landed"), ("z.csv", "landed")]


@pytest.mark.parametrize("change", ["grows", "same length"])
def test_a_file_that_changes_while_it_is_read_is_refused(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Bytes of two moments are never kept as one file: it is a problem now, and lands when nobody writes to it."""
    files = {"a.csv": b"a\n1\n", "busy.csv": b"a,b\n" + b"1,2\n" * 300_000}
    fill(folder, files)
    os.utime(folder / "busy.csv", (1, 1))
    chunks_of = lake.source._file_chunks

    def written_to(where: Path, name: str) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks_of(where, name)):
            if name == "busy.csv" and number == 0:
                files["busy.csv"] = files["busy.csv"] + b"3,4\n" if change == "grows" else files["busy.csv"][:-2] + b"9\n"
                (where / name).write_bytes(files["busy.csv"])
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(lake.source, "_file_chunks", written_to)
        outcome = land(run, source(folder))
    assert outcome.new == ["a.csv"]
    (problem,) = outcome.problems
    assert "busy.csv changed while it was read" in problem
    assert land(run, source(folder)).new == ["busy.csv"]
    check_kept(run, files)


def test_many_small_files_share_a_commit(run: Run, folder: Path) -> None:
    """200 files take one commit, and are all there; they are known again without reading or writing anything."""
    files = {f"{number:03d}.csv": f"a\n{number}\n".encode() for number in range(200)}
    fill(folder, files)
    outcome = land(run, source(folder))
    assert len(outcome.new) == 200
    assert outcome.version == 0
    check_kept(run, files)
    run.store.requests.clear()
    assert land(run, source(folder)).known == 200
    assert run.store.requests["put"] == 0
    assert run.store.requests["list"] + run.store.requests["get"] < 10


# --- several at once, and killed ones

_LAND = """
import json, sys
import lake.landing as landing
from lake.run import begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table

home, root, env, at = sys.argv[1:]
with begin_run(load_settings(home=home, root=root, env=env), "test", "test") as run:
    print("ready", flush=True)
    sys.stdin.readline()
    outcome = landing.land(run, Source(Table("bronze.test.files"), at), lambda name, done, total: print("landing", name, flush=True))
    print(json.dumps([outcome.new, outcome.known, outcome.duplicates]), flush=True)
"""


def start_landing(settings: Settings, folder: Path) -> subprocess.Popen[str]:
    """A process ready to land `folder`: it goes as soon as it is told so."""
    command = [sys.executable, "-c", _LAND, str(settings.home), str(settings.root), settings.env, str(folder)]
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
def landing(weed_settings: Settings, run: Run, folder: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Makes processes that are ready to land `folder`; none outlives the test. `run` has the store ready before."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(start_landing(weed_settings, folder))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def test_threads_that_land_one_folder_at_once_share_it(weed_settings: Settings, run: Run, folder: Path) -> None:
    """Three runs land the same 30 files at the same time: each file has one `landed` receipt, from one of them."""
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


def test_processes_that_land_one_folder_at_once_share_it(run: Run, folder: Path, landing: Callable[[], subprocess.Popen[str]]) -> None:
    """Two processes land the same files, two of them copies, at the same time: one `landed` receipt a file, one `duplicate` a copy."""
    files = {f"{number:02d}.csv": f"a\n{number}\n".encode() for number in range(20)}
    fill(folder, files | {"copy 0.csv": files["00.csv"], "zcopy 1.csv": files["01.csv"]})
    both = [landing(), landing()]
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


def test_two_sources_landing_at_once_both_land(weed_settings: Settings, run: Run, folder: Path) -> None:
    """Runs of different sources race for the same commits; both get theirs and nothing is lost."""
    fill(folder, {f"{number}.csv": f"a\n{number}\n".encode() for number in range(4)})

    def race(table: str) -> Landed:
        with begin_run(weed_settings, "test", "test") as mine:
            return land(mine, source(folder, table))

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(race, ["one", "two"]))
    assert [len(outcome.new) for outcome in outcomes] == [4, 4]
    version = run.log(LANDINGS).version()
    assert [receipts_between(run, f"test.{table}", -1, version).height for table in ("one", "two")] == [4, 4]
    times = receipts(run)["landed_at"]
    assert times.n_unique() == 8


def test_a_killed_landing_is_finished_by_the_next(
    weed_settings: Settings, run: Run, folder: Path, landing: Callable[[], subprocess.Popen[str]], reads: Counter[str]
) -> None:
    """After kill -9 in the middle of 120 files, nothing of it shows; the next landing takes them all, once each, and sweeps the spool."""
    files = {f"{number:03d}.csv": f"a\n{number}\n".encode() for number in range(160)}
    before = [name for name in files if name < "040"]
    fill(folder, {name: files[name] for name in before})
    assert land(run, source(folder)).new == before
    fill(folder, {name: content for name, content in files.items() if name not in before})
    reads.clear()
    process = landing()
    go(process)
    assert process.stdout
    for _ in range(25):
        assert process.stdout.readline().startswith("landing ")
    process.kill()
    process.wait(10)
    assert [name for name, _ in statuses(run)] == before
    assert len(list(run.store.walk("raw"))) >= 65
    left = list((weed_settings.state / "spool").glob("land-test.files-*"))
    assert left
    for leftover in left:
        os.utime(leftover, (time.time() - 300, time.time() - 300))
    outcome = land(run, source(folder))
    assert (len(outcome.new), outcome.known) == (120, 40)
    assert not set(reads) & set(before)
    check_kept(run, files)
    assert not any(leftover.exists() for leftover in left)


# --- other places


def test_an_s3_prefix_is_a_source(run: Run) -> None:
    """Objects under the prefix land by their names below it; known ones are not read again, other content under a known name is a correction."""
    at = f"incoming of {run.settings.env}/some 'files'"
    files = {"a.csv": b"a\n1\n", "sub dir/é.csv": b"a\n2\n"}
    elsewhere = Store(run.store.bucket, "", run.store.options)
    for name, content in files.items():
        elsewhere.put(f"{at}/{name}", content)
    elsewhere.put(f"{at}/a.txt", b"not wanted")
    elsewhere.put(f"{at} too/b.csv", b"another folder")
    where = source(f"s3://{run.store.bucket}/{at}/", pattern="*.csv")
    assert sorted(land(run, where).new) == sorted(files)
    check_kept(run, files)
    assert receipts(run)["etag"].null_count() == 0
    assert land(run, where).known == 2
    elsewhere.put(f"{at}/a.csv", b"a\n9\n")
    outcome = land(run, where)
    assert (outcome.new, outcome.known) == (["a.csv"], 1)
    assert original(run.store, receipts(run).row(-1, named=True)) == b"a\n9\n"


def test_an_empty_s3_prefix_lands_nothing(run: Run) -> None:
    """Where nothing is stored yet, nothing lands."""
    assert land(run, source(f"s3://{run.store.bucket}/nothing-under-{run.settings.env}")) == Landed("test.files")


@dataclass
class Web:
    """What the test's web server answers, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b"a,b\n1,2\n"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refuses_head: bool = False
    cut: bool = False


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server on 127.0.0.1 that answers every path alike."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, content: bytes) -> None:
            state.asked.append(self.command)
            if self.path.startswith("/moved/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/moved"))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(405 if state.refuses_head and self.command == "HEAD" else state.status)
            self.send_header("Content-Length", str(len(state.body)))
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:  # noqa: N802  # http.server asks for this name
            self.answer(state.body[:-3] if state.cut else state.body)

        def do_HEAD(self) -> None:  # noqa: N802
            self.answer(b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/open%20data/daily.csv?key=TOPSECRET"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("headers", [{"ETag": '"v1"'}, {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}], ids=["ETag", "Last-Modified"])
def test_an_address_lands_and_is_not_downloaded_again(run: Run, web: Web, headers: dict[str, str]) -> None:
    """While the server says by its headers that nothing changed, the body is not asked for again; once it says so, it lands again."""
    web.headers = headers
    assert land(run, source(web.url)).new == ["daily.csv"]
    assert web.asked == ["HEAD", "GET"]
    check_kept(run, {"daily.csv": web.body})
    (row,) = receipts(run).rows(named=True)
    assert row["etag"] == headers.get("ETag")
    assert row["modified"] == (dt.datetime(2015, 10, 21, 7, 28, tzinfo=dt.UTC) if "Last-Modified" in headers else None)
    assert "TOPSECRET" not in str(row)
    assert land(run, source(web.url)).known == 1
    assert web.asked == ["HEAD", "GET", "HEAD"]
    web.body = b"a,b\n7,8\n"
    web.headers = {"ETag": '"v2"'} if "ETag" in headers else {"Last-Modified": "Wed, 21 Oct 2015 07:28:01 GMT"}
    assert land(run, source(web.url)).new == ["daily.csv"]
    assert original(run.store, receipts(run).row(-1, named=True)) == b"a,b\n7,8\n"


def test_an_address_that_says_nothing_is_compared_by_content(run: Run, web: Web) -> None:
    """Without ETag and Last-Modified the body is downloaded each time and known by its bytes."""
    assert land(run, source(web.url)).new == ["daily.csv"]
    assert land(run, source(web.url)) == Landed("test.files", known=1, version=0)
    assert web.asked == ["HEAD", "GET", "HEAD", "GET"]


def test_an_address_that_takes_no_head_or_is_moved_lands(run: Run, web: Web) -> None:
    """A server that refuses HEAD is asked by GET; a redirect is followed."""
    web.refuses_head = True
    assert land(run, source(web.url)).new == ["daily.csv"]
    assert land(run, source(web.url.replace("/open", "/moved/open"), "moved")).new == ["daily.csv"]
    assert receipts(run)["sha256"].n_unique() == 1


def test_a_body_packed_for_the_way_lands_unpacked(run: Run, web: Web) -> None:
    """Content-Encoding is about the transfer: what lands is the document, known by its bytes the next time."""
    document = b"a,b\n" + b"1,2\n" * 50
    web.headers = {"Content-Encoding": "gzip"}
    web.body = gzip.compress(document, mtime=0)
    assert land(run, source(web.url)).new == ["daily.csv"]
    check_kept(run, {"daily.csv": document})
    assert land(run, source(web.url)).known == 1


def test_an_address_that_answers_with_an_error_is_a_problem(run: Run, web: Web) -> None:
    """The error's number and the address without its query are told; an error page never lands as data."""
    run.store.patience = 0.5  # seconds: a 500 may pass
    for web.status in (403, 404, 500):
        outcome = land(run, source(web.url))
        assert outcome.new == []
        (problem,) = outcome.problems
        assert f"/open%20data/daily.csv answers {web.status}" in problem
        assert "TOPSECRET" not in problem
    assert run.log(LANDINGS).version() == -1


def test_a_download_that_breaks_off_does_not_land(run: Run, web: Web) -> None:
    """A body shorter than the server said is a problem; whole the next time, it lands."""
    web.cut = True
    outcome = land(run, source(web.url))
    assert (outcome.new, len(outcome.problems)) == ([], 1)
    web.cut = False
    assert land(run, source(web.url)).new == ["daily.csv"]
    check_kept(run, {"daily.csv": web.body})


def test_an_address_where_nobody_listens_stops_the_source(run: Run, web: Web) -> None:
    """Nobody there: a SourceError with the address, without its query, since keys are kept there."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    with pytest.raises(SourceError, match=f"http://127.0.0.1:{port}/x.csv cannot be read: it does not answer") as caught:
        land(run, source(f"http://127.0.0.1:{port}/x.csv?key=TOPSECRET"))
    assert "TOPSECRET" not in str(caught.value)
