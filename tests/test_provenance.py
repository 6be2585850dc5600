"""Provenance is law: what writes merge, scd2 or append returns where each row came from, or is refused before anything runs."""

from __future__ import annotations

import time
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from lake.contract import PROVENANCE, Contract
from lake.errors import DeclarationError
from lake.execute import execute
from lake.hop import changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.run import Run
from lake.table import Table, path_of
from tests.folders import HOPS, SOURCES, TABLES, line_of, load, write_project
from tests.tiny import Order, bronze_orders, clean, source_at, write_orders

_HISTORY = '''
class Version(Contract):
    """One thing as it was for a while."""

    thing = dy.Int64(primary_key=True, description="Its number")
    valid_from = dy.Datetime(primary_key=True, description="From when")
    valid_to = dy.Datetime(nullable=True, description="Until when")
    is_current = dy.Bool(nullable=False, description="Whether it is still so")


'''
_TABLES = (
    TABLES
    + _HISTORY
    + 'raw = Table("bronze.shop.things")\nthings = Table("silver.shop.things", Thing)\nversions = Table("silver.shop.versions", Version)\n'
    + 'counts = Table("silver.shop.counts", Count)\nlast = Table("silver.shop.last", Thing)\nordered = Table("silver.shop.ordered", Thing, sequence=("said",))\n'
)
_SOURCES = SOURCES + 'from flows.shop import tables\n\nthings = Source(tables.raw, "inbox")\n'
_HEAD = HOPS + "from flows.shop import tables\n\n"
_MERGED = '@hop(tables.things, write="merge", raw=changes(tables.raw))\ndef clean(raw):\n    return raw.select("thing", "said", "at", *PROVENANCE)\n\n\n'
_COUNTED = '@hop(tables.counts, counts="things", things=tables.things)\ndef count(things):\n    return things.group_by("said").agg(pl.len().cast(pl.Int64).alias("things"))\n\n\n'


def _project(root: Path, hops: str) -> Path:
    return write_project(root, {"shop/tables.py": _TABLES, "shop/sources.py": _SOURCES, "shop/hops.py": _HEAD + hops})


@pytest.mark.parametrize("write", ["merge", "append", "scd2"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param('raw.select("thing", {columns})', id="columns by name"),
        pytest.param('raw.select(pl.col("thing").cast(pl.Int64), {columns})', id="expressions"),
        pytest.param('raw.with_columns(pl.col("n").str.strip_chars()).select("thing", {columns})', id="columns that are read only"),
        pytest.param('raw.select(pl.col("thing") * 2, {columns})', id="numbers"),
        pytest.param('raw.select(pl.col("deep").struct.field("thing"), {columns})', id="fields of JSON"),
        pytest.param('raw.drop(*PROVENANCE, "_rescued").rename({{"number": "thing"}}).select("thing", {columns})', id="dropped and renamed"),
        pytest.param('raw.collect().lazy().select("thing", {columns})', id="collected"),
        pytest.param('raw.filter(pl.col("kind") == "x").unique("thing").select("thing", {columns})', id="filtered"),
        pytest.param('raw.join(raw.select("thing").unique(), on="thing").select("thing", "_file", "_row", {columns})', id="half of it"),
    ],
)
def test_a_hop_without_provenance(tmp_path: Path, write: str, body: str) -> None:
    """It is refused when it is loaded, before any file came: by name, with file, line and the line to write."""
    table, columns = ("versions", '"valid_from"') if write == "scd2" else ("things", '"said", "at"')
    root = _project(tmp_path, f'@hop(tables.{table}, write="{write}", raw=changes(tables.raw))\ndef clean(raw):\n    return {body.format(columns=columns)}\n')
    with pytest.raises(DeclarationError) as refused:
        load(root, "shop")
    told = str(refused.value)
    for words in ("hop clean", f"silver.shop.{table}", f"by {write}", "_landed", "raw.select(…, *PROVENANCE)", line_of(root, "shop/hops.py", "@hop")):
        assert words in told


@pytest.mark.parametrize(
    "hops",
    [
        pytest.param(_MERGED, id="by name"),
        pytest.param(_MERGED.replace('raw.select("thing", "said", "at", *PROVENANCE)', 'raw.with_columns(pl.col("thing").cast(pl.Int64)).drop("_rescued")'), id="all columns"),
        pytest.param(_MERGED + _COUNTED, id="groups"),
        pytest.param(_MERGED.replace('"merge"', '"append"'), id="append"),
        pytest.param(_MERGED.replace('write="merge", raw=changes(tables.raw)', "raw=tables.raw").replace(", *PROVENANCE", ""), id="replace needs none"),
        pytest.param(_MERGED.replace("clean(raw):\n", "clean(raw):\n    raise LookupError\n"), id="cannot be told"),
    ],
)  # fmt: skip
def test_what_is_accepted(tmp_path: Path, hops: str) -> None:
    """Hops that return provenance, that need none, and those of which nothing can be told without data."""
    assert load(_project(tmp_path, hops), "shop").name == "shop"


def test_from_rows_that_have_no_provenance(tmp_path: Path) -> None:
    """Rows of an aggregate cannot have any: merged by their whole key, or ordered by the rest of it, they need none; else the hop is refused."""
    of = (
        '@hop(tables.{0}, write="merge", counted=changes(tables.counts))\ndef last(counted):\n    return counted.select(thing="things", said="said", at=None)\n'
    )
    keyed = '@hop(tables.counts, write="merge", given=changes(tables.sums))\ndef again(given):\n    return given\n'
    assert load(_project(tmp_path / "ordered", _MERGED + _COUNTED + of.format("ordered")), "shop").name == "shop"
    root = _project(tmp_path / "last", _MERGED + _COUNTED + of.format("last"))
    with pytest.raises(DeclarationError, match=r"hop last .*silver\.shop\.last by merge from silver\.shop\.counts, whose rows carry no provenance.*sequence"):
        load(root, "shop")
    both = _MERGED + _COUNTED.replace("tables.counts", "tables.sums") + keyed
    root = write_project(
        tmp_path / "keyed", {"shop/tables.py": _TABLES + 'sums = Table("silver.shop.sums", Count)\n', "shop/sources.py": _SOURCES, "shop/hops.py": _HEAD + both}
    )
    assert load(root, "shop").name == "shop"


class Nested(Contract):
    """An order out of JSON."""

    order = dy.Int64(primary_key=True, description="Number of the order")


def test_a_run_refuses_what_could_not_be_told_before(run: Run, tmp_path: Path) -> None:
    """Where only the data tell, the run refuses before it publishes anything of the table, naming hop and line."""
    (tmp_path / "in").mkdir()
    write_orders(tmp_path / "in", "a.csv", [(1, "ann", "2.50", "2024-01-05")])
    source = source_at(tmp_path / "in")
    land(run, source)
    ingest(run, source)
    table = Table("silver.shop.orders", Order, owner="shop")

    def looks(raw: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).drop(*PROVENANCE) if raw.collect().height else clean(raw)

    with pytest.raises(DeclarationError, match=r"looks writes silver\.shop\.orders by merge and returns no _file, _row, _landed.*test_provenance\.py:\d+"):
        execute(run, hop(table, write="merge", raw=changes(bronze_orders))(looks))
    assert run.log(path_of(table.name)).version() == -1


def test_a_hop_that_waits_while_it_makes_its_plan(tmp_path: Path) -> None:
    """Whatever it waits for, no command that loads its subject waits with it for longer than a moment; and the run itself looks before it publishes."""
    (tmp_path / "slow").touch()
    waits = f"    import os, time\n    while os.path.exists({str(tmp_path / 'slow')!r}):\n        time.sleep(0.05)\n"
    root = _project(tmp_path, _MERGED.replace("(raw):\n", f"(raw):\n{waits}") + _COUNTED)
    started = time.monotonic()
    try:
        load(root, "shop")
        assert time.monotonic() - started < 20
    finally:
        (tmp_path / "slow").unlink()
