"""Files that grow: a log's new lines come in once, whatever it is packed in and wherever it was cut; a file that is another than it was is taken whole, and that is said."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
import zstandard

from lake.contract import PROVENANCE, Contract
from lake.hop import Hop, changes, hop
from lake.landed import landed_line
from lake.landing import land
from lake.pipeline import Pipeline
from lake.reading.grown import Hashed, length_if_begun
from lake.receipts import LANDINGS
from lake.replay import replay
from lake.run import Run
from lake.source import Source
from lake.table import Table
from lake.trace import trace
from lake.verify import verify
from tests.tiny import rows_of


class Line(Contract):
    """A line of a log."""

    at = dy.String(nullable=True, description="When")
    said = dy.String(nullable=True, description="What")


raw_log = Table("bronze.shop.log")
log = Table("silver.shop.log", Line, owner="shop", max_rejected=1.0)
append_log: Hop = hop(log, write="append", raw=changes(raw_log))(lambda raw: raw.select("at", "said", *PROVENANCE))

_HEAD = b"at,said\n"
_ONE = _HEAD + b"1,a\n2,b\n"
_TWO = _ONE + b"3,c\n"
_THREE = _TWO + b'4,"d\nd"\n5,e\n'


def _as_is(data: bytes) -> bytes:
    return data


def _zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def brought(run: Run, folder: Path) -> tuple[Pipeline, str, list[str]]:
    """The log brought up to date: the pipeline, what landing said, and what is in the appended table."""
    pipeline = Pipeline("shop", [Source(raw_log, folder, "*")], [append_log])
    report = pipeline.run(run)
    report.raise_failures()
    return pipeline, report.results["land shop.log"].line, said(run)


def said(run: Run) -> list[str]:
    """The lines of the appended table."""
    return sorted(f"{row['at']} {row['said']}" for row in rows_of(run, log))


def proved(run: Run, pipeline: Pipeline) -> None:
    """Verify, replay and a trace of every row find what is there."""
    assert [row for row in verify(run, pipeline, share=1.0) if row["verdict"] not in ("equal", "not verified")] == []
    report = pipeline.run(run)
    assert report.release is not None
    assert [one.verdict for one in replay(run, report.release, [pipeline])] == ["equal", "equal"]
    version = report.release.tables[log.name].version
    for at in {row["at"] for row in rows_of(run, log)}:
        found = trace(run, [pipeline], log.name, version, {"at": at})
        assert found.verdict == "equal", found.verdict_line()
        assert all(str(at) in str(record.text) for record in found.again.records)


@pytest.mark.parametrize(("name", "packed"), [("x.log", _as_is), ("x.csv.gz", gzip.compress), ("x.csv.zst", _zst)])
def test_a_log_that_grew_brings_its_new_lines_once(run: Run, tmp_path: Path, name: str, packed: Callable[[bytes], bytes]) -> None:
    """Twice it grows, plain or packed anew: each line is there once, and landing, ingest and the receipt say that it went on."""
    seen = []
    for content in (_ONE, _TWO, _THREE):
        (tmp_path / name).write_bytes(packed(content))
        pipeline, line, lines = brought(run, tmp_path)
        seen.append(lines)
    assert seen == [["1 a", "2 b"], ["1 a", "2 b", "3 c"], ["1 a", "2 b", "3 c", "4 d\nd", "5 e"]]
    assert f"{name} goes on from what landed before: its new records come in" in line
    files = [file for _, record in run.log("bronze/shop/log").records() for file in record.files]
    assert [(file.after, file.rows) for file in files] == [(3, 2), (2, 1), (0, 2)]
    proved(run, pipeline)


def test_all_that_landed_before_the_first_run_is_there_once(run: Run, tmp_path: Path) -> None:
    """Three states of a log that one ingest takes in at once."""
    for content in (_ONE, _TWO, _THREE):
        (tmp_path / "x.csv").write_bytes(content)
        land(run, Source(raw_log, tmp_path, "*"))
    pipeline, _, lines = brought(run, tmp_path)
    assert lines == ["1 a", "2 b", "3 c", "4 d\nd", "5 e"]
    proved(run, pipeline)


def test_a_last_line_without_an_end_is_not_read_twice(run: Run, tmp_path: Path) -> None:
    """Whole but for its line end, it is the same record when that follows; cut in its middle, it comes in as it is now, and that is said."""
    for content in (_ONE[:-1], _TWO[:-2], _THREE):
        (tmp_path / "x.csv").write_bytes(content)
        pipeline, _, lines = brought(run, tmp_path)
    assert lines == ["1 a", "2 b", "3 ", "3 c", "4 d\nd", "5 e"]
    last = run.log("bronze/shop/log").head()[1]
    assert last is not None
    assert [notice.detail for notice in last.notices] == [
        "its first 2 records came in before, with x.csv; record 3 was cut when it landed before, and comes in as it is now"
    ]
    proved(run, pipeline)


def test_a_log_that_was_rotated_goes_on_under_its_new_name(run: Run, tmp_path: Path) -> None:
    """What was written to it before it was put aside is new; the new log under the old name is other than it was."""
    (tmp_path / "x.log").write_bytes(_ONE)
    brought(run, tmp_path)
    (tmp_path / "x.log.1").write_bytes(_TWO)
    (tmp_path / "x.log").write_bytes(_HEAD + b"9,z\n")
    pipeline, line, lines = brought(run, tmp_path)
    assert lines == ["1 a", "2 b", "3 c", "9 z"]
    assert "x.log.1 from x.log goes on from what landed before" in line
    assert "x.log is not as before: all records come in, as a correction" in line
    proved(run, pipeline)


@pytest.mark.parametrize("content", [_ONE.replace(b"2,b", b"2,B") + b"3,c\n", _HEAD + b"1,a\n"], ids=["changed in its middle", "cut short"])
def test_a_file_that_is_other_than_it_was_is_a_correction(run: Run, tmp_path: Path, content: bytes) -> None:
    """All its records come in beside what was there, as of any corrected file; output and record say so."""
    (tmp_path / "x.csv").write_bytes(_ONE)
    brought(run, tmp_path)
    (tmp_path / "x.csv").write_bytes(content)
    pipeline, line, lines = brought(run, tmp_path)
    assert lines == sorted(["1 a", "2 b", *(one.replace(",", " ") for one in content.decode().splitlines()[1:])])
    assert "x.csv is not as before: all records come in, as a correction" in line
    landing = run.log(LANDINGS).head()[1]
    assert landing is not None
    assert [notice.line() for notice in landing.notices] == ["x.csv is not as it was: all its records come in, as a correction"]
    proved(run, pipeline)


def test_a_beginning_that_was_rejected_whole_comes_in_with_the_rest(run: Run, tmp_path: Path) -> None:
    """A strict table did not take the file, and takes it when it grew: then nothing of it is there yet."""
    (tmp_path / "x.csv").write_bytes(b"at,said\n1,a\n")
    strict = Table("bronze.shop.log", policy="strict", columns=("at", "said", "more"))
    Pipeline("shop", [Source(strict, tmp_path, "*")], []).run(run)
    (tmp_path / "x.csv").write_bytes(_TWO[:0] + b"at,said\n1,a\n2,b\n")
    pipeline, _, lines = brought(run, tmp_path)
    assert lines == ["1 a", "2 b"]
    assert next(row["verdict"] for row in verify(run, pipeline, share=1.0)) == "equal"


def test_deliveries_that_count_are_taken_whole(run: Run, tmp_path: Path) -> None:
    """Where each delivery is one of its own, a file that grew says everything anew."""
    source = Source(raw_log, tmp_path, "*", copies="deliver")
    for content in (_ONE, _TWO):
        (tmp_path / "x.csv").write_bytes(content)
        landed = land(run, source)
    assert landed.changed == {"x.csv": ""}
    Pipeline("shop", [source], [append_log]).run(run).raise_failures()
    assert said(run) == ["1 a", "1 a", "2 b", "2 b", "3 c"]


def test_lines_of_json_go_on_too(run: Run, tmp_path: Path) -> None:
    """Also where a field is new in what follows."""
    (tmp_path / "x.jsonl").write_text('{"at":"1","said":"a"}\n{"at":"2","said":"b"}\n')
    brought(run, tmp_path)
    (tmp_path / "x.jsonl").write_text('{"at":"1","said":"a"}\n{"at":"2","said":"b"}\n{"at":"3","said":"c","by":{"n":1}}\n')
    pipeline, _, lines = brought(run, tmp_path)
    assert lines == ["1 a", "2 b", "3 c"]
    proved(run, pipeline)


def test_a_file_that_was_empty_is_not_corrected(run: Run, tmp_path: Path) -> None:
    """Nothing was there to be corrected, and a header is no record."""
    lines = []
    for content in (b"", _HEAD, _ONE):
        (tmp_path / "x.csv").write_bytes(content)
        landed = land(run, Source(raw_log, tmp_path, "*"))
        lines.append(landed_line(landed))
    assert not any("correction" in line for line in lines)
    assert brought(run, tmp_path)[2] == ["1 a", "2 b"]


def test_beginnings_are_hashed_in_the_one_pass() -> None:
    """Whatever the chunks, the hash of each beginning is what hashing it alone gives, and bytes are hashed once."""
    data = bytes(range(256)) * 5
    lengths = [1, 7, 8, 300, 301, len(data), len(data) + 1]
    for size in (1, 3, 256, 2000):
        hashed = Hashed(lengths)
        for start in range(0, len(data), size):
            hashed.add(data[start : start + size])
        alone = {}
        for length in lengths[:-1]:
            one = Hashed()
            one.add(data[:length])
            alone[length] = one.hexdigest()
        assert (hashed.beginnings, hashed.hexdigest(), hashed.size) == (alone, alone[len(data)], len(data))


def test_a_beginning_is_one_whatever_the_chunks() -> None:
    """And what is longer, or other, is none."""

    def chunks(data: bytes, size: int) -> list[bytes]:
        return [data[i : i + size] for i in range(0, len(data), size)]

    for size in (1, 3, 7, 100):
        for other in (2, 5, 100):
            assert length_if_begun(iter(chunks(b"abcdefghij", size)), iter(chunks(b"abcdefg", other))) == 7
            assert length_if_begun(iter(chunks(b"abcdefg", size)), iter(chunks(b"abcdefghij", other))) is None
            assert length_if_begun(iter(chunks(b"abcdefghij", size)), iter(chunks(b"abcdeFg", other))) is None


def test_bronze_keeps_where_each_line_is_from(run: Run, tmp_path: Path) -> None:
    """A new line has its number in the file as it is now."""
    for content in (_ONE, _TWO):
        (tmp_path / "x.csv").write_bytes(content)
        brought(run, tmp_path)
    there = run.snapshot("bronze/shop/log", run.log("bronze/shop/log").version()).scan().select("_file", "_row", "at").sort("at").collect()
    assert there["_row"].to_list() == [1, 2, 3]
    assert there["_file"].n_unique() == 2
    assert there.filter(pl.col("at") == "3")["_file"][0] != there["_file"][0]
