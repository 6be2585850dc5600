"""The worst file costs itself: it is rejected with a reason, in bounded memory and time, and the other files of its folder land and are ingested."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard

import lake.reading.confined.asking as asking
from lake.errors import FileRejected
from lake.ingest import ingest
from lake.landing import land
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member
from lake.reading.unpack import compression_of
from lake.receipts import LANDINGS
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import Source
from lake.table import Table, path_of, quarantine_path_of
from tests.security.hostile_files import REJECTED, TABLE, nested, wide, workbook
from tests.test_reading import zipped

INTO = Table("bronze.test.files")


def _brought(run: Run, folder: Path) -> dict[str, tuple[int, int]]:
    """Rows and rejects of each file of a folder, landed and ingested."""
    source = Source(INTO, folder)
    assert land(run, source).problems == []
    ingest(run, source)
    record = run.log(path_of(INTO.name)).last_record()
    assert record is not None
    return {file.name: (file.rows, file.rejects) for file in record[1].files}


def _reasons(run: Run) -> list[str]:
    path = quarantine_path_of(INTO.name)
    return run.snapshot(path, run.log(path).version()).scan().collect()["reason"].to_list()


def test_each_is_rejected_with_its_reason_and_the_others_come_in(run: Run, tmp_path: Path) -> None:
    """All in one folder, with a good file."""
    (tmp_path / "good.csv").write_text("good,b\n1,2\n")
    for name, (made, _) in REJECTED.items():
        (tmp_path / name).write_bytes(made())
    started = time.monotonic()
    told = _brought(run, tmp_path)
    assert time.monotonic() - started < 120
    assert told.pop("good.csv") == (1, 0)
    assert {name.partition(" (")[0]: counts for name, counts in told.items()} == dict.fromkeys(REJECTED, (0, 1))
    reasons = "\n".join(_reasons(run))
    assert [name for name, (_, why) in REJECTED.items() if why not in reasons] == []
    assert str(run.settings.home) not in reasons
    assert "spool" not in reasons


@pytest.mark.parametrize(
    ("part", "was", "now"),
    [
        ("sharedStrings.xml", b'uniqueCount="3"', b'uniqueCount="4000000000"'),
        ("sheet1.xml", b'<dimension ref="A1:B2"/>', b'<dimension ref="A1:XFD1048576"/>'),
        ("sheet1.xml", b"</sheetData>", b"</sheetData>" + b"<!--" + b" " * 5_000_000 + b"-->"),
    ],
    ids=["strings", "extent", "comment"],
)
def test_a_workbook_of_false_sizes_is_read_or_rejected(run: Run, tmp_path: Path, part: str, was: bytes, now: bytes) -> None:
    """It takes nothing else with it."""
    (tmp_path / "good.csv").write_text("good,b\n1,2\n")
    (tmp_path / "odd.xlsx").write_bytes(workbook(TABLE, part, was, now))
    told = _brought(run, tmp_path)
    assert told["good.csv"] == (1, 0)
    assert told["odd.xlsx"] in ((1, 0), (0, 1))


@pytest.mark.parametrize("columns", [2_000, 5_000])
def test_a_wide_file_is_read_in_the_time_of_its_columns(run: Run, tmp_path: Path, columns: int) -> None:
    """20 rows: the time grows with the columns and not with their square; on a quiet machine two seconds for 2,000."""
    (tmp_path / "wide.csv").write_bytes(wide(columns))
    started = time.process_time()
    assert _brought(run, tmp_path) == {"wide.csv": (20, 0)}
    assert time.process_time() - started < 0.006 * columns


def test_what_is_deep_and_may_be_is_read(tmp_path: Path) -> None:
    """32 levels are not too many, in any format."""
    for name, body in {"a.parquet": nested(32, "parquet"), "a.arrow": nested(32, "arrow"), "a.json": b'[{"a":' + b"[" * 300 + b"]" * 300 + b"}]"}.items():
        path = tmp_path / name
        path.write_bytes(body)
        (dialect,) = examine(path, None, name, Hints())
        assert read_member(path, None, dialect, name, tmp_path / "spool").records == 1


LIES: dict[str, Callable[[bytes], bytes]] = {
    "plain.csv.zst": bytes, "plain.csv.gz": bytes, "plain.csv.zip": bytes, "plain.xz": bytes, "plain.csv.bz2": bytes, "plain.parquet": bytes, "plain.xlsx": bytes,
    "packed.csv": zstandard.compress, "zst.gz": zstandard.compress, "gz.csv.zst": gzip.compress, "bz2.csv.zip": bz2.compress, "xz.csv.bz2": lzma.compress,
    "zip.csv.zst": lambda body: zipped({"a.csv": body}),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_file_is_what_its_bytes_are_whatever_its_name_says(weed_settings: Settings, tmp_path: Path, name: str) -> None:
    """All of its rows come in, also where it is fetched from raw by another run; how raw keeps it stands in the receipt."""
    text = "a,b\n" + "".join(f"{number},x\n" for number in range(1_000))
    (tmp_path / name).write_bytes(LIES[name](text.encode()))
    source = Source(INTO, tmp_path)
    with begin_run(weed_settings, "test", "test") as first:
        assert land(first, source).new == [name]
    with begin_run(weed_settings, "test", "test") as run:
        ingest(run, source)
        found = run.snapshot(path_of(INTO.name), run.log(path_of(INTO.name)).version()).scan().sort("_row").collect()
        assert found["a"].to_list() == [str(number) for number in range(1_000)]
        receipt = run.snapshot(LANDINGS, run.log(LANDINGS).version()).scan().collect().row(0, named=True)
        stored = run.store.get(receipt["file"])
        assert len(stored) == receipt["stored_size"]
        came = zstandard.decompress(stored) if receipt["stored"] == "zst" else stored
        assert came == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("text", [b"BZh9,b\n1,2\n", b"BZhours,b\n1,2\n"])
def test_a_text_that_begins_like_a_package_is_a_text(tmp_path: Path, text: bytes) -> None:
    """Three letters are no package."""
    path = tmp_path / "plain"
    path.write_bytes(text)
    assert compression_of(path) is None
    assert examine(path, None, "x.csv", Hints())[0].format == "csv"


def test_the_bound_of_an_archive_is_over_all_that_it_holds(tmp_path: Path) -> None:
    """Each of four files is within it, and they are not."""
    path = tmp_path / "plain"
    path.write_bytes(zipped({f"{number}.csv": b"a,b\n" + b"1,2\n" * 1000 for number in range(4)}))
    (dialect,) = examine(path, "zip", "x.zip", Hints(most_bytes=10_000))
    assert "unpacks to more than 10,000 bytes" in (dialect.problem or "")
    assert len(examine(path, "zip", "x.zip", Hints(most_bytes=17_000))) == 4


def test_an_archive_of_many_files_is_read_in_the_time_of_its_files(tmp_path: Path) -> None:
    """Its list is read once, not once a file: 3,000 take no more than a few times as long each as 300."""
    seconds = []
    for many in (300, 3_000):
        path = tmp_path / f"{many}"
        path.write_bytes(zipped({f"{number}.csv": b"a,b\n1,2\n" for number in range(many)}))
        started = time.process_time()
        assert len(examine(path, "zip", "x.zip", Hints())) == many
        seconds.append(time.process_time() - started)
    assert seconds[1] < 30 * seconds[0]


def test_a_reader_that_takes_too_long_or_too_much_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its time or its memory; and the next file is read by another process."""
    path = tmp_path / "plain"
    path.write_bytes(workbook(TABLE))
    (dialect,) = examine(path, None, "x.xlsx", Hints())
    with monkeypatch.context() as patch:
        patch.setattr(asking, "_LEAST_TIME", 0.0)
        patch.setattr(asking, "_A_MEGABYTE", 0.0)
        patch.setattr(asking, "_LOOKED", 0.0)
        with pytest.raises(FileRejected, match=r"x\.xlsx cannot be read: it takes more than 0 seconds to read"):
            read_member(path, None, dialect, "x.xlsx", tmp_path / "spool")
    if Path("/proc/self/statm").exists():
        with monkeypatch.context() as patch:
            patch.setattr(asking, "_memory_for", lambda _: 1)
            with pytest.raises(FileRejected, match=r"x\.xlsx cannot be read: it takes more than 1 B of memory to read"):
                read_member(path, None, dialect, "x.xlsx", tmp_path / "spool")
    assert read_member(path, None, dialect, "x.xlsx", tmp_path / "spool").frame.select(pl.len()).collect().item() == 1


def test_a_reader_gets_no_secret_and_serves_file_after_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment holds what Python needs and nothing of lake's or the store's."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-there")
    asking.end_all()
    path = tmp_path / "plain"
    path.write_bytes(workbook(TABLE))
    (dialect,) = examine(path, None, "x.xlsx", Hints())
    (process,) = asking._waiting
    read_member(path, None, dialect, "x.xlsx", tmp_path / "spool")
    assert asking._waiting == [process]
    environment = Path(f"/proc/{process._process.pid}/environ")
    if environment.exists():
        assert b"never-there" not in environment.read_bytes()
    os.kill(process._process.pid, 9)
    assert read_member(path, None, dialect, "x.xlsx", tmp_path / "spool").records == 1


def test_long_lines_of_json_are_rejected_alone(tmp_path: Path) -> None:
    """With their beginning; the lines before and after are rows."""
    path = tmp_path / "plain"
    path.write_bytes(b'{"a":1}\n{"a":"' + b"x" * 20_000_000 + b'"}\n{"a":3}\n' + json.dumps({"b" * 70_000: 1}).encode())
    (dialect,) = examine(path, None, "x.ndjson", Hints())
    parsed = read_member(path, None, dialect, "x.ndjson", tmp_path / "spool")
    assert parsed.frame.select("a", "_row").collect().rows() == [(1, 1), (3, 3)]
    assert parsed.rejects["_row"].to_list() == [2, 4]
    assert parsed.rejects["bytes"][0] == path.read_bytes()[8 : 8 + (1 << 24)]
