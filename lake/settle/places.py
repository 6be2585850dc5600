"""Which data files of a table hold certain rows: a place is the URI of the file that a row came from."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from lake.delta import DataFile, Snapshot, scan_files

PLACE = "#place"


def scan_placed(there: Snapshot, files: tuple[DataFile, ...]) -> pl.LazyFrame:
    """The rows of `files` of the snapshot, with a column PLACE that says which of them each row is in."""
    return scan_files(there.store, there.path, there.schema, files, place=PLACE)


def places(rows: pl.LazyFrame) -> set[str]:
    """Every place of `rows`, which have a column PLACE."""
    return set(rows.select(pl.col(PLACE).unique()).collect(engine="streaming").to_series())


def place_of(there: Snapshot, file: DataFile) -> str:
    """The place that rows of `file` are at."""
    return there.store.uri(f"{there.path}/{file.path}")


def files_at(there: Snapshot, files: tuple[DataFile, ...], wanted: Collection[str]) -> tuple[DataFile, ...]:
    """Those of `files` that are one of the places `wanted`."""
    return tuple(file for file in files if place_of(there, file) in wanted)
