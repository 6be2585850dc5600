"""A source that has brought nothing to read: the hop waits and says for what, the others go on, and a release of theirs is made."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import dataframely as dy
import pytest

from lake.contract import PROVENANCE, Contract
from lake.hop import changes, hop
from lake.pipeline import Pipeline, Report
from lake.replay import replay
from lake.run import Run
from lake.source import Source
from lake.table import Table
from lake.verify import verify
from tests.tiny import bronze_orders, clean_orders, rows_of, sum_orders, totals, write_orders


class Other(Contract):
    """Something else."""

    order = dy.String(primary_key=True, description="Number")


bronze_other, others = Table("bronze.shop.other"), Table("silver.shop.other", Other, owner="shop")
keep_others = hop(others, write="merge", raw=changes(bronze_other))(lambda raw: raw.select("order", *PROVENANCE))


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w"):
        pass


FIRST = {
    "no file yet": (None, "no file of it has landed yet"),
    "empty": (b"", "x.csv is empty"),
    "blank": (b"\n\n\n", "x.csv is empty"),
    "noise": (random.Random(7).randbytes(300), "x.csv is rejected whole: it is named x.csv but its content is binary"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
    "an archive of nothing": (_zipped, "x.csv is an archive with nothing in it"),
}


def _go(run: Run, folder: Path, other: Path) -> tuple[Pipeline, Report]:
    pipeline = Pipeline("shop", [Source(bronze_orders, folder, "*"), Source(bronze_other, other, "*")], [clean_orders, sum_orders, keep_others])
    report = pipeline.run(run)
    report.raise_failures()
    return pipeline, report


@pytest.mark.parametrize("kind", FIRST)
def test_a_hop_waits_for_something_to_read(run: Run, tmp_path: Path, kind: str) -> None:
    """No run fails; the subject's other tables are released; when a file with rows lands, everything is made, and proved."""
    folder, other = tmp_path / "in", tmp_path / "other"
    folder.mkdir()
    write_orders(other, "o.csv", [(1, "ann", "1.00", "2024-01-01")])
    content, why = FIRST[kind]
    if callable(content):
        content(folder / "x.csv")
    elif content is not None:
        (folder / "x.csv").write_bytes(content)
    for turn in range(2):
        pipeline, report = _go(run, folder, other)
        assert report.release is not None
        assert report.released == (turn == 0)
        assert others.name in report.release.tables
        assert not {"silver.shop.orders", "gold.shop.totals"} & report.release.tables.keys()
        assert report.results["silver.shop.orders"].line.startswith("waits for bronze.shop.orders")
        assert why.removeprefix("x.csv is rejected whole: ") in report.results["silver.shop.orders"].line
        assert report.results["gold.shop.totals"].line == "waits for silver.shop.orders, which is not there yet"
    write_orders(folder, "y.csv", [(1, "ann", "1.00", "2024-01-01")])
    pipeline, report = _go(run, folder, other)
    assert report.release is not None
    assert [row["customer"] for row in rows_of(run, totals)] == ["ann"]
    assert {row["verdict"] for row in verify(run, pipeline, share=1.0)} == {"equal"}
    assert {one.verdict for one in replay(run, report.release, [pipeline])} == {"equal"}
    bronze = run.snapshot("bronze/shop/orders", run.log("bronze/shop/orders").version())
    assert set(bronze.schema) == {"order", "customer", "amount", "day", *PROVENANCE, "_rescued"}, "nothing of what could not be read became a column"


def test_a_file_of_a_header_alone_makes_empty_tables(run: Run, tmp_path: Path) -> None:
    """Its columns are known, so that nothing need wait."""
    folder, other = tmp_path / "in", tmp_path / "other"
    other.mkdir()
    write_orders(folder, "x.csv", [])
    pipeline, report = _go(run, folder, other)
    assert report.release is not None
    assert report.release.tables["gold.shop.totals"].rows == 0
    assert report.results["silver.shop.other"].line.startswith("waits for bronze.shop.other")
    assert {row["verdict"] for row in verify(run, pipeline, share=1.0) if row["table"] != bronze_other.name} == {"equal"}


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.jsonl", "x.tsv", "x", "x.txt"])
def test_noise_is_no_text_whatever_it_is_called(name: str) -> None:
    """300 random bytes, of many seeds, are never taken for a table."""
    from lake.reading.dialect import find_dialect
    from lake.reading.hints import Hints

    found = {find_dialect(random.Random(seed).randbytes(300), name, None, Hints()).format for seed in range(300)}
    assert not found & {"csv", "json", "ndjson"}
