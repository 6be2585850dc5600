"""Structural lines of raw files, kept beside a bronze table: one object for each commit that took files in, which the record of the commit names.

An object is written before its commit and never changed. One that no commit names was left by a run that died, and is for upkeep to remove.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import FILE
from lake.record import Record
from lake.run import Run
from lake.store import Blob, Store
from lake.table import structure_path_of

STRUCTURAL = pl.Schema({FILE: pl.String(), "line": pl.Int64(), "bytes": pl.Binary(), "role": pl.String(), "why": pl.String()})
"""A line of a raw file that is neither a row nor a reject: its place, its bytes, what it is and why it is taken for that."""
_ROW_GROUP = 1 << 16


def keep_structure(run: Run, table: str, files: Iterable[tuple[str, pl.LazyFrame]], batch: str, folder: Path) -> dict[str, Any] | None:
    """Write the structural lines of the files of a batch, each named by its place. Returns what the record of its commit says of them."""
    frames = [lines.select(pl.lit(place).alias(FILE), "line", "bytes", "role", "why") for place, lines in files]
    if not frames:
        return None
    lines = write_structure(run.store, f"{structure_path_of(table)}/{batch}.parquet", pl.concat(frames), folder)
    return {"object": f"{batch}.parquet", "lines": lines}


def write_structure(store: Store, path: str, lines: pl.LazyFrame, folder: Path) -> int:
    """Write structural lines (`STRUCTURAL`) to the object `path`, by way of the local `folder`. Returns how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    local = folder / "structure.parquet"
    lines.sink_parquet(local, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP)
    store.upload(path, local)
    return int(pl.scan_parquet(local, glob=False).select(pl.len()).collect().item())


def structure_of(store: Store, table: str, records: Iterable[Record]) -> pl.LazyFrame:
    """The structural lines of every raw file of the `table` whose `records` these are, newest first: of a file that was read again, as it was read last."""
    frames: list[pl.LazyFrame] = []
    seen: set[str] = set()
    for record in records:
        if record.kind != "ingest":
            continue
        if record.structure:
            uri = store.uri(f"{structure_path_of(table)}/{record.structure['object']}")
            there = pl.scan_parquet(uri, schema=STRUCTURAL, glob=False, storage_options=store.scanning, credential_provider=None)
            later = [file.file for file in record.files if file.file in seen]
            frames.append(there.filter(~pl.col(FILE).is_in(later)) if later else there)
        seen.update(file.file for file in record.files if not file.reason)
    return pl.concat(frames[::-1]) if frames else pl.LazyFrame(schema=STRUCTURAL)


def abandoned(store: Store, table: str, records: Iterable[Record]) -> Iterator[Blob]:
    """Objects with structural lines of the `table` that none of its `records` names. Lists them first, so that one that is committed meanwhile is named."""
    there = list(store.walk(structure_path_of(table)))
    if there:
        named = {record.structure["object"] for record in records if record.structure}
        yield from (blob for blob in there if blob.path.rpartition("/")[2] not in named)
