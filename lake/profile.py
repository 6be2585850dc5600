"""Profiles: what the values of a table's columns are like at a version, and what moved since another.

A profile is merged from the sketches of the data files the version consists of, so that it follows inserts, updates, deletions and restored
versions alike. Files that have no sketches, small ones among them, are read; so are files that rows left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lake.content import ALGORITHM
from lake.contract import PROVENANCE
from lake.datafile import WORTH_SKETCHING, sketch_path
from lake.delta import DataFile, Snapshot
from lake.errors import NotFound
from lake.schemas import is_personal
from lake.sketches import ColumnSketch, FileSketch, sketch_columns
from lake.type_names import type_name

Row = dict[str, Any]
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
_GETS = 8
_READ_AT_ONCE = 1_000_000  # rows
_SHOWN = 5  # frequent values and patterns
_BARS = 12
_MOVED, _NULLS_MOVED, _DISTINCT_MOVED = 0.05, 0.02, 0.1
_WITHHELD: Row = dict.fromkeys(("min", *QUANTILES, "max", "mean", "true_share", "histogram")) | {"top": [], "patterns": []}
_SPARKS = "▁▂▃▄▅▆▇█"
TEXTS = pl.List(pl.Struct({"value": pl.String, "share": pl.Float64}))
PROFILE: dict[str, Any] = {
    "table": pl.String, "version": pl.Int64, "column": pl.String, "type": pl.String, "rows": pl.Int64, "nulls": pl.Int64, "null_share": pl.Float64,
    "distinct": pl.Int64, "distinct_low": pl.Int64, "distinct_high": pl.Int64, "min": pl.String, **dict.fromkeys(QUANTILES, pl.String), "max": pl.String,
    "mean": pl.Float64, "true_share": pl.Float64, "shortest": pl.Int64, "median_length": pl.Int64, "longest": pl.Int64, "top": TEXTS, "patterns": TEXTS,
    "histogram": pl.List(pl.Float64), "unit": pl.String, "description": pl.String,
}  # fmt: skip
DRIFT: dict[str, Any] = {
    "table": pl.String, "column": pl.String, "since": pl.Int64, "version": pl.Int64, "type": pl.String, "rows_before": pl.Int64, "rows": pl.Int64,
    "null_share_before": pl.Float64, "null_share": pl.Float64, "distinct_before": pl.Int64, "distinct": pl.Int64, "mean_before": pl.Float64,
    "mean": pl.Float64, "p50_before": pl.String, "p50": pl.String, "ks": pl.Float64, "moved": pl.Boolean, "what": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """The sketches of a table version's columns, merged. `read` files had to be read for it; `counted` says whether distinct values are known throughout."""

    schema: pl.Schema
    columns: dict[str, ColumnSketch]
    read: int
    counted: bool = True

    @property
    def rows(self) -> int:
        """Rows of the version."""
        return max((column.rows for column in self.columns.values()), default=0)


def profile(there: Snapshot, *, values: Collection[str] = ()) -> Profile:
    """The profile of a table version. `values` are the columns whose frequent values and, of texts, ends may be shown.

    Columns that say where a row came from are left out. Fetches one small object a data file of 50,000 rows and more; reads the others, a million rows at a time.
    """
    schema = pl.Schema({name: dtype for name, dtype in there.schema.items() if name not in PROVENANCE})
    columns = {name: ColumnSketch() for name in schema}
    large = [file for file in there.files if file.rows >= WORTH_SKETCHING and file.vector is None]  # sketches know nothing of rows that left
    rest = [file for file in there.files if file.rows < WORTH_SKETCHING or file.vector is not None]
    counted = True
    with ThreadPoolExecutor(_GETS) as pool:
        for file, found in zip(large, pool.map(lambda file: _kept(there, file), large), strict=True):
            if found is None:
                rest.append(file)
                continue
            counted &= found.algorithm == ALGORITHM
            _take(columns, found, file.rows)
    for files in _portions(rest):
        _take(columns, sketch_columns(there.scan(tuple(files)).select(list(columns)), values=values), sum(file.rows for file in files))
    return Profile(schema, columns, len(rest), counted)


def profile_rows(table: str, version: int, made: Profile, document: dict[str, Any] | None, *, values: Collection[str] = ()) -> list[Row]:
    """One row a column, as PROFILE says; `document` is the schema document with units, descriptions, and which columns are personal: of those only counts are told."""
    told = {column["name"]: column for column in (document or {}).get("columns", [])}
    return [
        {"table": table, "version": version}
        | _row(name, made.schema[name], sketch, counted=made.counted, values=name in values)
        | (_WITHHELD if is_personal(told.get(name, {})) else {})
        | {"unit": (told.get(name, {}).get("metadata") or {}).get("unit"), "description": told.get(name, {}).get("description")}
        for name, sketch in made.columns.items()
    ]


def drift_rows(table: str, versions: tuple[int, int], before: Profile, now: Profile, document: dict[str, Any] | None = None) -> list[Row]:
    """One row a column of either version, as DRIFT says; `document` is the schema document, of whose personal columns no value is told.

    `ks` is the greatest distance between the two distributions (Kolmogorov and Smirnov), of numbers, dates and instants their values', of texts their
    lengths'; it is known to about 0.03. A column has `moved` where it is above 0.05, where the share of nulls changed by more than 0.02, or where distinct values
    changed by more than a tenth and more than their error.
    """
    rows = []
    personal = {column["name"] for column in (document or {}).get("columns", []) if is_personal(column)}
    for name in dict.fromkeys([*now.schema, *before.schema]):
        row: Row = {"table": table, "column": name, "since": versions[0], "version": versions[1], "moved": True}
        if name not in before.schema or name not in now.schema:
            there = now if name in now.schema else before
            row |= {"type": type_name(there.schema[name]), "what": "new column" if there is now else "the column is gone"}
            rows.append(row)
            continue
        hidden = _WITHHELD if name in personal else {}
        old, new = (_row(name, each.schema[name], each.columns[name], counted=each.counted, values=False) | hidden for each in (before, now))
        distance = _distance(before.columns[name], now.columns[name])
        row |= {key: new[key] for key in ("type", "rows", "null_share", "distinct", "mean", "p50")}
        row |= {f"{key}_before": old[key] for key in ("rows", "null_share", "distinct", "mean", "p50")} | {"ks": distance}
        told = _told(old, new, distance)
        rows.append(row | {"moved": bool(told), "what": "; ".join(told)})
    return rows


def bars(shares: list[float] | None) -> str:
    """A histogram as a line of blocks."""
    if not shares:
        return ""
    most = max(shares) or 1.0
    return "".join(_SPARKS[min(len(_SPARKS) - 1, int(share / most * len(_SPARKS)))] if share else " " for share in shares)


def _kept(there: Snapshot, file: DataFile) -> FileSketch | None:
    try:
        return FileSketch.unpacked(there.store.get(sketch_path(there.path, file.path)))
    except NotFound:
        return None


def _portions(files: list[DataFile]) -> Iterator[list[DataFile]]:
    """Files in groups of a bounded number of rows."""
    group: list[DataFile] = []
    for file in files:
        if group and sum(member.rows for member in group) + file.rows > _READ_AT_ONCE:
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _take(columns: dict[str, ColumnSketch], found: FileSketch, rows: int) -> None:
    """Merge in a file; columns that it is older than are null in it."""
    for name, column in columns.items():
        column.add(found.columns.get(name) or ColumnSketch(rows=rows, nulls=rows))


def _row(name: str, dtype: pl.DataType, sketch: ColumnSketch, *, counted: bool, values: bool) -> Row:
    there = sketch.rows - sketch.nulls
    shown = values or dtype != pl.String
    row: Row = {
        "column": name, "type": type_name(dtype), "rows": sketch.rows, "nulls": sketch.nulls, "null_share": sketch.nulls / sketch.rows if sketch.rows else 0.0,
        "min": _spelled(sketch.low, dtype) if shown else None, "max": _spelled(sketch.high, dtype) if shown else None,
        "shortest": sketch.shortest, "longest": sketch.longest, "median_length": int(sketch.lengths.get_quantile(0.5)) if sketch.lengths else None,
        "mean": sketch.total / there if sketch.total is not None and there and dtype != pl.Boolean else None,
        "true_share": (sketch.total or 0.0) / there if dtype == pl.Boolean and there else None,
        "patterns": _shares(sketch.patterns.items()), "histogram": _histogram(sketch.quantiles or sketch.lengths),
        "top": _shares(sketch.most_frequent(), there) if values else [],
    }  # fmt: skip
    if counted and not dtype.is_nested() and dtype != pl.Boolean:
        row |= {f"distinct{end}": min(there, found) for end, found in _distinct(sketch).items()}
    for key, share in QUANTILES.items():
        row[key] = _spelled(sketch.quantiles.get_quantile(share), dtype) if sketch.quantiles is not None else None
    return {"distinct": None, "distinct_low": None, "distinct_high": None} | row


def _distinct(sketch: ColumnSketch) -> dict[str, int]:
    """About how many values there are, and the two numbers between which that is in 19 of 20 cases."""
    if sketch.distinct is None:
        return {"": 0, "_low": 0, "_high": 0}
    found = sketch.distinct
    return {"": round(found.get_estimate()), "_low": round(found.get_lower_bound(2)), "_high": round(found.get_upper_bound(2))}


def _shares(counted: Any, of: int | None = None) -> list[Row]:
    ranked = sorted(counted, key=lambda pair: (-pair[1], pair[0]))
    total = of or sum(count for _, count in ranked) or 1
    return [{"value": value, "share": count / total} for value, count in ranked[:_SHOWN]]


def _histogram(quantiles: Any) -> list[float] | None:
    """The share of values in each of twelve equal spans from the 1st to the 99th percentile: what is far out does not flatten the rest."""
    if quantiles is None:
        return None
    low, high = quantiles.get_quantile(0.01), quantiles.get_quantile(0.99)
    edges = list(dict.fromkeys(np.linspace(low, high, _BARS + 1)[1:-1].tolist()))
    if not low < high or len(edges) < _BARS - 1:  # of numbers so near each other that no float is between them
        return [1.0]
    return [float(share) for share in quantiles.get_pmf(edges)]


def _distance(before: ColumnSketch, now: ColumnSketch) -> float | None:
    mine, theirs = (before.quantiles, now.quantiles) if now.quantiles is not None else (before.lengths, now.lengths)
    if mine is None or theirs is None:
        return None
    points = sorted({float(each.get_quantile(share)) for each in (mine, theirs) for share in np.linspace(0, 1, 101)})
    return max(float(abs(mine.get_rank(point) - theirs.get_rank(point))) for point in points)


def _told(old: Row, new: Row, distance: float | None) -> list[str]:
    told = []
    if old["type"] != new["type"]:
        told.append(f"type {old['type']} → {new['type']}")
    if abs(old["null_share"] - new["null_share"]) > _NULLS_MOVED:
        told.append(f"nulls {old['null_share']:.1%} → {new['null_share']:.1%}")
    if distance is not None and distance > _MOVED:
        what = "lengths" if new["type"] in ("String", "Binary") or new["type"].startswith("List") else "values"
        told.append(f"{what} moved (KS {distance:.2f}{', median ' + old['p50'] + ' → ' + new['p50'] if new['p50'] is not None else ''})")
    if old["distinct"] is not None and new["distinct"] is not None:
        apart = old["distinct_high"] < new["distinct_low"] or new["distinct_high"] < old["distinct_low"]
        if apart and abs(new["distinct"] - old["distinct"]) > _DISTINCT_MOVED * max(1, old["distinct"]):
            told.append(f"distinct {old['distinct']:,} → {new['distinct']:,}")
    return told


def _spelled(value: Any, dtype: pl.DataType) -> str | None:
    """A value as the column would show it; of quantiles the nearest value that the type has."""
    if value is None:
        return None
    if dtype.is_temporal():
        try:
            return str(pl.Series([int(value)], dtype=pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype).cast(pl.String)[0])
        except (pl.exceptions.PanicException, pl.exceptions.PolarsError):  # millions of years away
            return str(int(value))
    if dtype.is_integer():
        return str(int(value))
    return f"{value + 0.0:.6g}" if isinstance(value, float) else str(value)  # no negative zero
