"""How two versions of a table differ, row by row: added, removed, changed. Files that both share are not read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import polars as pl

from lake.content import row_hash
from lake.contract import PROVENANCE
from lake.delta import Snapshot
from lake.personal import UNSHOWN
from lake.spelling import value_as_json

_OLD, _NEW = "#old", "#new"
_LOOKED_AT = 1000
_CLOSE = 1e-9


@dataclass(frozen=True)
class Difference:
    """Rows `added`, `removed` and `changed` (told apart by `key`; without one a changed row is one removed and one added).

    `columns` are those in which changed rows differ, `examples` a few of the keys (or whole rows) with what was and what is. `rounding`
    says that nothing but the last bits of floating-point numbers differs.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: tuple[str, ...] = ()
    examples: pl.DataFrame = field(default_factory=pl.DataFrame, compare=False)
    rounding: bool = False

    @property
    def any(self) -> bool:
        """Whether there is a difference."""
        return bool(self.added or self.removed or self.changed)

    def without(self, personal: Collection[str]) -> Difference:
        """The same, with no value of these columns among its examples."""
        there = [name for name in self.examples.columns if name in personal]
        cells = [name for name in ("was", "is") if {"column", "was", "is"} <= set(self.examples.columns)]
        if not personal or self.examples.height == 0 or not (there or cells):
            return self
        hides = [pl.when(pl.col(name).is_not_null()).then(pl.lit(UNSHOWN)).alias(name) for name in there]
        about = pl.col("column").is_in(sorted(personal)).fill_null(False) if cells else pl.lit(False)
        hides += [pl.when(about).then(pl.lit(UNSHOWN)).otherwise(pl.col(name)).alias(name) for name in cells]
        return replace(self, examples=self.examples.with_columns(hides))


def difference(old: Snapshot | None, new: Snapshot | None, key: list[str], *, examples: int = 5) -> Difference:
    """From `old` to `new`, of the same table or of two; None is a table without rows.

    Provenance does not count. Keys and hashes are compared; whole rows are read for the differing ones alone, at most a thousand of them.
    """
    return difference_of(_only_in(old, new), _only_in(new, old), key, examples=examples)


def difference_of(was: pl.LazyFrame, now: pl.LazyFrame, key: list[str], *, examples: int = 5) -> Difference:
    """The same for two frames."""
    columns = {*was.collect_schema(), *now.collect_schema()}
    if not key or not set(key) <= columns:
        return _as_bags(was, now, sorted(columns - PROVENANCE.keys()), examples)
    both = _narrow(was, key, columns, _OLD).join(_narrow(now, key, columns, _NEW), on=key, how="full", coalesce=True, nulls_equal=True)
    differ = both.filter(pl.col(_OLD).ne_missing(pl.col(_NEW))).collect(engine="streaming")
    if differ.height == 0:
        return Difference()
    added, removed = differ[_OLD].null_count(), differ[_NEW].null_count()
    keys = differ.filter(pl.col(_OLD).is_not_null() & pl.col(_NEW).is_not_null()).select(key)
    told, names, rounding = _changes(was, now, key, keys.sort(key).head(_LOOKED_AT), sorted(columns - PROVENANCE.keys() - set(key)), examples)
    ends = differ.filter(pl.col(_OLD).is_null() | pl.col(_NEW).is_null()).sort(key).head(examples)
    words = ends.select(*key, pl.lit(None, pl.String).alias("column"), _words(_OLD, "was"), _words(_NEW, "is"))
    shown = pl.concat([told, words]).head(examples)
    return Difference(added, removed, keys.height, names, shown, rounding and not added and not removed and keys.height <= _LOOKED_AT)


def _only_in(one: Snapshot | None, other: Snapshot | None) -> pl.LazyFrame:
    """The rows of files of `one` that `other` does not share."""
    if one is None:
        return pl.LazyFrame(schema=other.schema if other else {})
    shared = set(other.files) if other is not None and (other.path, other.store.prefix) == (one.path, one.store.prefix) else set()
    return one.scan(tuple(file for file in one.files if file not in shared))


def _narrow(frame: pl.LazyFrame, key: list[str], columns: set[str], name: str) -> pl.LazyFrame:
    return frame.select(*key, row_hash(columns & set(frame.collect_schema())).alias(name))


def _words(mark: str, name: str) -> pl.Expr:
    return pl.when(pl.col(mark).is_null()).then(pl.lit("no such row")).otherwise(pl.lit("a row")).alias(name)


def _changes(
    was: pl.LazyFrame, now: pl.LazyFrame, key: list[str], keys: pl.DataFrame, columns: list[str], examples: int
) -> tuple[pl.DataFrame, tuple[str, ...], bool]:
    """Of the rows `keys`: which cells differ (key, column, was, is), in which columns, and whether only by rounding."""
    schemas = was.collect_schema(), now.collect_schema()
    shared = [name for name in columns if name in schemas[0] and name in schemas[1]]
    old = was.join(keys.lazy(), on=key, how="semi", nulls_equal=True).select(*key, *shared)
    new = now.join(keys.lazy(), on=key, how="semi", nulls_equal=True).select(*key, *shared)
    both = old.join(new, on=key, how="inner", suffix=_NEW, nulls_equal=True).sort(key).collect(engine="streaming")
    cells, names, rounding = [], [], True
    for name in shared:
        differs = both.filter(pl.col(name).ne_missing(pl.col(f"{name}{_NEW}")))
        if differs.height == 0:
            continue
        names.append(name)
        rounding = rounding and _close(differs, name, schemas[0][name])
        cells.append(
            differs.head(examples).select(
                *key,
                pl.lit(name).alias("column"),
                _shown(name, both.schema[name]).alias("was"),
                _shown(f"{name}{_NEW}", both.schema[f"{name}{_NEW}"]).alias("is"),
            )
        )
    names += [name for name in columns if (name in schemas[0]) != (name in schemas[1])]
    empty = pl.DataFrame(schema={**{name: both.schema[name] for name in key}, "column": pl.String, "was": pl.String, "is": pl.String})
    return pl.concat([empty, *cells]), tuple(names), rounding and bool(cells)


def _close(differs: pl.DataFrame, name: str, dtype: pl.DataType) -> bool:
    if not dtype.is_float():
        return False
    old, new = pl.col(name), pl.col(f"{name}{_NEW}")
    near = (old - new).abs() <= _CLOSE * pl.max_horizontal(old.abs(), new.abs())
    return bool(differs.select(near.fill_null(False).all()).item())


def _shown(name: str, dtype: pl.DataType) -> pl.Expr:
    return value_as_json(pl.col(name), dtype)


def _as_bags(was: pl.LazyFrame, now: pl.LazyFrame, columns: list[str], examples: int) -> Difference:
    """Without a key: how many rows, equal ones counted as often as they are there, one has and the other has not."""
    counts = [
        frame.select(row_hash([name for name in columns if name in frame.collect_schema()]).alias("hash")).group_by("hash").agg(pl.len().alias(name))
        for frame, name in ((was, _OLD), (now, _NEW))
    ]
    both = counts[0].join(counts[1], on="hash", how="full", coalesce=True).with_columns(pl.col(_OLD, _NEW).fill_null(0).cast(pl.Int64))
    differ = both.filter(pl.col(_OLD) != pl.col(_NEW)).collect(engine="streaming")
    more = pl.col(_NEW) - pl.col(_OLD)
    added, removed = (int(differ.select(side.clip(lower_bound=0).sum()).item() or 0) for side in (more, -more))
    some = differ.head(examples)["hash"].implode()
    shown = [
        frame.filter(row_hash([name for name in columns if name in frame.collect_schema()]).is_in(some))
        .head(examples)
        .select(pl.lit(word).alias("in"), pl.all())
        for frame, word in ((was, "was"), (now, "is"))
    ]
    found = pl.concat(shown, how="diagonal").collect(engine="streaming") if differ.height else pl.DataFrame()
    return Difference(added, removed, 0, (), found)
