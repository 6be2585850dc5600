"""A table's content as a number: equal for equal rows in any order and any files, and updated from the rows that change alone.

Each row's hash is the mix of its values' hashes, each seeded with its column's name; null contributes nothing, so a column
added later with nulls changes no hash. The two halves of the 64-bit row hashes are summed apart, so sums can be added and
subtracted. Provenance (`_file`, `_row`, `_landed`) is left out: the same rows by another route are the same content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from lake.contract import PROVENANCE
from lake.record import ContentHash

ALGORITHM = f"polars-{pl.__version__.rsplit('.', 1)[0]}-row-sum"
_LOW = 0xFFFF_FFFF


@dataclass(frozen=True)
class Content:
    """The sums that stand for a set of rows."""

    rows: int = 0
    low: int = 0
    high: int = 0

    def __add__(self, other: Content) -> Content:
        return Content(self.rows + other.rows, self.low + other.low, self.high + other.high)

    def __sub__(self, other: Content) -> Content:
        return Content(self.rows - other.rows, self.low - other.low, self.high - other.high)

    def to_hash(self) -> ContentHash:
        """As the commit record keeps it."""
        return ContentHash(algorithm=ALGORITHM, value=f"{self.rows}-{self.low:x}-{self.high:x}")

    @classmethod
    def from_hash(cls, kept: ContentHash | None) -> Content | None:
        """From a commit record; None if it has none, or one by another algorithm."""
        if kept is None or kept.algorithm != ALGORITHM:
            return None
        rows, low, high = kept.value.split("-")
        return cls(int(rows), int(low, 16), int(high, 16))


def row_hash(columns: Iterable[str]) -> pl.Expr:
    """One 64-bit hash a row over `columns`, whatever their order; provenance columns are ignored."""
    values, nothing = [], pl.lit(0, dtype=pl.UInt64)
    for name in sorted(column for column in columns if column not in PROVENANCE):
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
        values.append(pl.when(pl.col(name).is_not_null()).then(pl.col(name).hash(seed)).otherwise(nothing))
    return _mixed(values).hash(0) if values else nothing


def _mixed(values: list[pl.Expr]) -> pl.Expr:
    """All values in one, halves by halves: Polars takes the square of the time for an expression that is as deep as a table has columns."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return _mixed(values[:middle]) ^ _mixed(values[middle:])


def content_sums(columns: Iterable[str], prefix: str = "content") -> list[pl.Expr]:
    """Aggregations that `read_sums` turns into a Content."""
    return hash_sums(row_hash(columns), prefix)


def hash_sums(hashed: pl.Expr, prefix: str = "content") -> list[pl.Expr]:
    """The same over row hashes that are there already."""
    return [
        pl.len().cast(pl.Int64).alias(f"{prefix}_rows"),
        (hashed & _LOW).sum().alias(f"{prefix}_low"),
        (hashed // (_LOW + 1)).sum().alias(f"{prefix}_high"),
    ]


def read_sums(row: dict[str, int], prefix: str = "content") -> Content:
    """The Content from a row that `content_sums` made."""
    return Content(row[f"{prefix}_rows"], row[f"{prefix}_low"] or 0, row[f"{prefix}_high"] or 0)
