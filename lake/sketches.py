"""Sketches of one data file's columns: what a profile is made of. They merge, so that a table's profile is that of the files it consists of.

Distinct values are counted with HyperLogLog, quantiles kept with KLL, frequent texts with the frequent-items sketch, all of Apache DataSketches
(https://datasketches.apache.org), which also gives their errors. Its distinct counter takes one value at a time; here the registers are made of
whole columns at once and handed over in the library's serialised form.
"""

from __future__ import annotations

import base64
import decimal
import json
import os
import struct
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasketches as ds
import numpy as np
import polars as pl
import zstandard

from lake.content import ALGORITHM
from lake.contract import PROVENANCE

_COLUMNS = min(4, os.cpu_count() or 1)  # in memory at once
_LG = 11  # 2,048 registers: a relative standard error of 2.3 %
_REGISTERS = 1 << _LG
_KLL = 200  # a rank error of 1.3 %
_LG_FREQUENT = 8
_AT_LEAST, _ONE_OF = 50_000, 40  # values of a file go into a quantile sketch, evenly chosen: finer than the sketch
_LOOKED_AT = 5_000  # texts of a file whose pattern is looked at, and by which it is known whether texts repeat
_PATTERNS = 20
_SEED = 42
_DECIMAL = "decimal"
_COUNT, _SHAPE = "count of it", "shape"
_KINDS = {"distinct": ds.hll_sketch, "quantiles": ds.kll_doubles_sketch, "lengths": ds.kll_doubles_sketch, "frequent": ds.frequent_strings_sketch}
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class ColumnSketch:
    """What is known of a column's values. `low` and `high` are exact: whole numbers for dates and instants, of texts only where values may be shown.

    `lengths` are of texts in characters, of binaries in bytes, of lists in elements. `total` sums numbers up, and counts what is true. `bounds` and
    `has_nan` are for the statistics in the table's log, and not kept.
    """

    rows: int = 0
    nulls: int = 0
    low: Any = None
    high: Any = None
    total: float | None = None
    distinct: Any = None
    quantiles: Any = None
    lengths: Any = None
    shortest: int | None = None
    longest: int | None = None
    frequent: Any = None
    patterns: dict[str, int] = field(default_factory=dict)
    bounds: tuple[Any, Any] = (None, None)
    has_nan: bool = False

    def add(self, other: ColumnSketch) -> None:
        """Take in what is known of further rows."""
        self.rows += other.rows
        self.nulls += other.nulls
        self.low, self.high = _least(self.low, other.low), _most(self.high, other.high)
        self.shortest, self.longest = _least(self.shortest, other.shortest), _most(self.longest, other.longest)
        self.total = other.total if self.total is None else self.total + (other.total or 0.0)
        self.distinct = _union(self.distinct, other.distinct)
        self.quantiles, self.lengths, self.frequent = (
            _merged(mine, theirs) for mine, theirs in ((self.quantiles, other.quantiles), (self.lengths, other.lengths), (self.frequent, other.frequent))
        )
        for pattern, count in other.patterns.items():
            self.patterns[pattern] = self.patterns.get(pattern, 0) + count

    def most_frequent(self) -> list[tuple[str, int]]:
        """Texts that are surely among the most frequent, with about how often they come."""
        if self.frequent is None:
            return []
        return [(value, count) for value, count, *_ in self.frequent.get_frequent_items(ds.frequent_items_error_type.NO_FALSE_POSITIVES)]

    def kept(self) -> dict[str, Any]:
        """As JSON keeps it."""
        told = {name: getattr(self, name) for name in ("rows", "nulls", "low", "high", "total", "shortest", "longest", "patterns")}
        told |= {name: [_DECIMAL, str(value)] for name, value in told.items() if isinstance(value, decimal.Decimal)}
        sketches = {name: getattr(self, name) for name in _KINDS}
        packed = {name: sketch.serialize_compact() if name == "distinct" else sketch.serialize() for name, sketch in sketches.items() if sketch is not None}
        return {name: value for name, value in told.items() if value is not None and value != {}} | {
            name: base64.b64encode(value).decode() for name, value in packed.items()
        }

    @classmethod
    def read(cls, kept: dict[str, Any]) -> ColumnSketch:
        """From what `kept` made."""
        values: dict[str, Any] = {
            name: decimal.Decimal(value[1]) if isinstance(value, list) and value[0] == _DECIMAL else value for name, value in kept.items()
        }
        return cls(**values | {name: kind.deserialize(base64.b64decode(kept[name])) for name, kind in _KINDS.items() if name in kept})


@dataclass
class FileSketch:
    """The sketches of a file's columns, with their types where they were just made. Distinct counts of different hash algorithms do not merge."""

    columns: dict[str, ColumnSketch]
    algorithm: str = ALGORITHM
    schema: pl.Schema = field(default_factory=pl.Schema)

    def packed(self) -> bytes:
        """As it is stored."""
        told = {"algorithm": self.algorithm, "columns": {name: column.kept() for name, column in self.columns.items()}}
        return zstandard.compress(json.dumps(told).encode(), 3)

    @classmethod
    def unpacked(cls, data: bytes) -> FileSketch:
        """From what `packed` made."""
        told = json.loads(zstandard.decompress(data))
        return cls({name: ColumnSketch.read(kept) for name, kept in told["columns"].items()}, told["algorithm"])


def sketch_columns(source: Path | pl.LazyFrame, *, values: Collection[str] = ()) -> FileSketch:
    """The sketches of a Parquet file, or of few enough rows, a few columns at a time. Frequent values are kept of the columns `values` alone.

    Of the columns that say where a row came from only bounds and nulls are told.
    """
    frame = pl.scan_parquet(source, glob=False) if isinstance(source, Path) else source
    columns = frame.collect_schema()

    def one(name: str) -> ColumnSketch:
        return sketch(frame.select(name).collect(engine="streaming").to_series(), values=name in values, bare=name in PROVENANCE)

    with ThreadPoolExecutor(_COLUMNS) as pool:
        return FileSketch(dict(zip(columns, pool.map(one, columns), strict=True)), schema=columns)


def sketch(column: pl.Series, *, values: bool, bare: bool = False) -> ColumnSketch:
    """The sketch of a column's values; a `bare` one has bounds and nulls alone."""
    dtype, there = column.dtype, column.drop_nulls()
    made = ColumnSketch(rows=len(column), nulls=column.null_count())
    if bare:
        physical = there.to_physical() if dtype.is_temporal() else there
        made.bounds = physical.min(), physical.max()
        return made
    if dtype == pl.Boolean:
        made.total, made.bounds = float(there.sum() or 0), (there.min(), there.max())
        return made
    if dtype.is_nested():
        if isinstance(dtype, pl.List) and len(there):
            _measure(made, there.list.len())
        return made
    if dtype == pl.String:
        _texts(made, there, values=values)
        return made
    made.distinct = _distinct(there)
    if dtype == pl.Binary:
        _measure(made, there.bin.size())
    elif dtype.is_numeric() or dtype.is_temporal():
        physical = there.to_physical() if dtype.is_temporal() else there
        numbers = physical.drop_nans() if dtype.is_float() else physical
        made.has_nan = len(numbers) < len(physical)
        made.bounds = made.low, made.high = numbers.min(), numbers.max()
        as_floats = numbers.cast(pl.Float64)
        made.total = None if dtype.is_temporal() else float(as_floats.sum() or 0.0)
        made.quantiles = _quantiles(_evenly(as_floats.filter(as_floats.is_finite())))
    return made


def _texts(made: ColumnSketch, there: pl.Series, *, values: bool) -> None:
    """What is known of texts. Where some of them are a few that repeat, as in a column of states, the rest follows from each of these once."""
    some = there.gather_every(_step(there, _LOOKED_AT))
    few = len(there) <= _LOOKED_AT or some.n_unique() < len(some) / 10
    counts = there.value_counts(name=_COUNT) if few else None
    each = there if counts is None else counts.to_series(0)
    made.distinct = _distinct(each)
    _measure(made, each.str.len_chars(), _evenly(there).str.len_chars())
    made.bounds = each.min(), each.max()
    made.low, made.high = made.bounds if values else (None, None)
    made.frequent = _frequent(_counted(there, some) if counts is None else counts) if values and len(there) else None
    made.patterns = _patterns(some)


def _counted(texts: pl.Series, some: pl.Series) -> pl.DataFrame:
    """How often those texts come that repeat among `some`: one that makes up a hundredth of all is there fifty times."""
    repeated = some.filter(some.is_duplicated()).unique()
    return texts.filter(texts.is_in(repeated.implode())).value_counts(name=_COUNT)


def _step(values: pl.Series, at_most: int) -> int:
    return max(1, -(-len(values) // at_most))


def _evenly(values: pl.Series) -> pl.Series:
    """Those that go into a quantile sketch."""
    return values.gather_every(_step(values, max(_AT_LEAST, len(values) // _ONE_OF)))


def _measure(made: ColumnSketch, lengths: pl.Series, evenly: pl.Series | None = None) -> None:
    """Which lengths there are, and how they are spread: as they come, or as those chosen `evenly` do."""
    made.shortest, made.longest = lengths.min(), lengths.max()  # type: ignore[assignment]  # whole numbers
    made.lengths = _quantiles((_evenly(lengths) if evenly is None else evenly).cast(pl.Float64))


def _quantiles(numbers: pl.Series) -> Any:
    if not len(numbers):
        return None
    made = ds.kll_doubles_sketch(_KLL)
    made.update(np.array(numbers.to_numpy()))  # it takes no array that is read-only
    return made


def _frequent(counts: pl.DataFrame) -> Any:
    made = ds.frequent_strings_sketch(_LG_FREQUENT)
    for value, count in counts.top_k(1 << _LG_FREQUENT, by=_COUNT).iter_rows():
        made.update(value, count)
    return made


def _patterns(texts: pl.Series) -> dict[str, int]:
    """The shapes of the texts: A a capital, a another letter, 9 a digit, + for one that repeats."""
    each = texts.value_counts(name=_COUNT)
    shapes = each.to_series(0).str.slice(0, 60).str.replace_all(r"\p{Lu}", "A").str.replace_all(r"[\p{L}--A]", "a").str.replace_all(r"\d", "9")
    for sign in "Aa9":
        shapes = shapes.str.replace_all(sign + "{2,}", sign + "+")
    counts = each.select(shapes.alias(_SHAPE), _COUNT).group_by(_SHAPE).agg(pl.col(_COUNT).sum())
    return {str(shape): int(count) for shape, count in counts.sort(_COUNT, _SHAPE, descending=[True, False]).head(_PATTERNS).iter_rows()}


def _distinct(values: pl.Series) -> Any:
    """HyperLogLog registers of all values at once, as the library's sketch. (Flajolet and others, 2007; the serialised form is that of DataSketches' HLL_8.)"""
    registers = _registers(values.hash(_SEED).to_numpy()) if len(values) else np.zeros(_REGISTERS, np.uint8)
    powers = np.ldexp(1.0, -registers.astype(np.int64))
    small, large = float(powers[registers < 32].sum()), float(powers[registers >= 32].sum())
    zeros = int((registers == 0).sum())
    out_of_order, hll_8 = 16, 2 | 2 << 2
    head = struct.pack("<BBBBBBBBdddii", 10, 1, 7, _LG, 0, out_of_order, 0, hll_8, 0.0, small, large, zeros, 0)
    return ds.hll_sketch.deserialize(head + registers.tobytes())


def _registers(hashes: Array) -> Array:
    """For each value of a hash's low bits the greatest place of the first one among its others: where the least of these has it. None has it at 0."""
    least = np.full(_REGISTERS, 1 << (64 - _LG), np.uint64)
    np.minimum.at(least, (hashes & np.uint64(_REGISTERS - 1)).view(np.int64), hashes >> np.uint64(_LG))
    _, digits = np.frexp(least.astype(np.float64))
    return (64 - _LG - digits + 1).astype(np.uint8)


def _union(mine: Any, theirs: Any) -> Any:
    if mine is None or theirs is None:
        return theirs if mine is None else mine
    both = ds.hll_union(_LG)
    both.update(mine)
    both.update(theirs)
    return both.get_result(ds.tgt_hll_type.HLL_8)


def _merged(mine: Any, theirs: Any) -> Any:
    if mine is None or theirs is None:
        return theirs if mine is None else mine
    mine.merge(theirs)
    return mine


def _least(mine: Any, theirs: Any) -> Any:
    return theirs if mine is None else mine if theirs is None else min(mine, theirs)


def _most(mine: Any, theirs: Any) -> Any:
    return theirs if mine is None else mine if theirs is None else max(mine, theirs)
