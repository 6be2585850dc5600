"""`python -m tests.bench.merge`: one increment merged into a table, by lake's upsert and by delta-rs MERGE, each in a cold process on SeaweedFS.

ROWS (default 6 million) in the table, 90,000 changed and 10,000 new rows in the batch; `spread` changes rows all over the table, `recent`
the newest ones. REPEATS (default 1) pairs; the median counts.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

import dataframely as dy
import polars as pl
from deltalake import DeltaTable

from lake.content import content_sums, read_sums
from lake.contract import Contract
from lake.datafile import write_parts
from lake.publish import Draft, publish
from lake.record import Ledger
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.settle.latest import Winners
from lake.settle.upsert import upsert
from lake.table import Table, path_of
from lake.transform import Staged
from tests.bench.measure import ROOT, measure

_ROWS = int(os.environ.get("ROWS", "6000000"))
_FILES = 20


class Line(Contract):
    """A row as wide as an order line."""

    id = dy.Int64(primary_key=True, description="Number")
    price = dy.Float64(nullable=False, metadata={"unit": "EUR"}, description="Price")
    comment = dy.String(nullable=False, description="Words")
    day = dy.Date(nullable=False, description="When")


lines = Table("silver.bench.lines", Line)


def _rows(low: int, high: int, *, price: float) -> pl.LazyFrame:
    number = pl.int_range(low, high, eager=True).alias("id")
    return pl.LazyFrame({"id": number}).with_columns(
        (pl.col("id") % 997 + price).cast(pl.Float64).alias("price"), pl.concat_str(pl.lit("carefully packed order "), pl.col("id").hash()).alias("comment"),
        (pl.lit(0).cast(pl.Date) + pl.duration(days=pl.col("id") // 3000)).alias("day"),
    )  # fmt: skip


def _batch(kind: str) -> pl.LazyFrame:
    fresh = _rows(_ROWS, _ROWS + 10_000, price=0.5)
    if kind == "recent":
        return pl.concat([_rows(_ROWS - 90_000, _ROWS, price=0.5), fresh])
    step = _ROWS // 90_000
    return pl.concat([_rows(0, _ROWS, price=0.5).filter(pl.col("id") % step == 0).head(90_000), fresh])


def _prepare(settings: Settings) -> None:
    with begin_run(settings, "bench", "bench") as run, run.workspace("bench") as folder:
        size = _ROWS // _FILES
        for number in range(_FILES):
            write_parts(_rows(number * size, (number + 1) * size, price=0.0), folder / f"{number:03}")
        schema = _rows(0, 1, price=0.0).collect_schema()
        sums = read_sums(pl.scan_parquet(f"{folder}/**/*.parquet").select(content_sums(schema)).collect(engine="streaming").row(0, named=True))
        about = {"kind": "hop", "table": lines.name, "batch": "0", "ledger": Ledger(), "content": sums.to_hash()}
        publish(run, Draft(lines, path_of(lines.name), -1, schema, parts=folder), None, about)


def _ours(run: Run, kind: str) -> None:
    path = path_of(lines.name)
    last = run.log(path).last_record()
    if last is None:
        raise SystemExit("nothing to merge into")
    with run.workspace("bench") as folder:
        frame = _batch(kind)
        schema = frame.collect_schema()
        write_parts(frame, folder / "good")
        sums = read_sums(frame.select(content_sums(schema)).collect().row(0, named=True))
        staged = Staged(folder / "good", folder / "bad", schema, sums.rows, sums.rows, sums.rows, 0, {}, None, None, sums, {}, None)
        settled = upsert(lines, staged, Winners(folder / "good"), run.snapshot(path, last[0]), None, folder)
        about = {"kind": "hop", "table": lines.name, "batch": "1", "ledger": Ledger()}
        publish(run, Draft(lines, path, last[0], schema, parts=settled.parts, removed=settled.removed, changed=settled.changed), last[1], about)
        if (settled.inserted, settled.updated) != (10_000, sums.rows - 10_000):
            raise SystemExit(f"lake merged {settled}")


def _theirs(run: Run, kind: str) -> None:
    table = DeltaTable(run.store.uri(path_of(lines.name)), storage_options=run.store.options)
    source = _batch(kind).collect().to_arrow()
    said = (
        table.merge(source, "t.id = s.id", source_alias="s", target_alias="t", streamed_exec=False)
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )
    if said["num_target_rows_inserted"] != 10_000:
        raise SystemExit(f"delta-rs merged {said}")


def main() -> None:
    """Measure pair by pair, or be one of the measured."""
    if len(sys.argv) > 1:
        settings = load_settings(root=ROOT)
        if sys.argv[1] == "prepare":
            _prepare(settings)
            return
        with begin_run(settings, "bench", "bench") as run:
            (_ours if sys.argv[1] == "lake" else _theirs)(run, sys.argv[2])
        return
    for kind in ("recent", "spread"):
        pairs = []
        for _ in range(int(os.environ.get("REPEATS", "1"))):
            pair = []
            for who in ("lake", "delta-rs"):
                with tempfile.TemporaryDirectory() as home:
                    here = [sys.executable, "-m", "tests.bench.merge"]
                    measure([*here, "prepare"], Path(home))
                    pair.append(measure([*here, who, kind], Path(home)))
            pairs.append(pair)
        for metric in ("wall s", "CPU s", "peak GB", "store CPU s"):
            ours, theirs = (statistics.median(pair[side][metric] for pair in pairs) for side in (0, 1))
            print(f"{kind:<7} {metric:<12} lake {ours:8.2f}   delta-rs {theirs:8.2f}   ratio {ours / theirs if theirs else 0:5.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
