"""Rows that leave files which stay: large files of which few rows are corrected or go are not written again, but get a deletion vector."""

from __future__ import annotations

import polars as pl

from lake.delta import DataFile, Snapshot, scan_held
from lake.settle.places import PLACE, place_of

_WORTH = 100_000
"""Rows from which on a file is not quickly written again."""
_SHARE = 0.05
"""A file that more of its rows have left is written again: readers read all that it holds."""
_MOST = 32 << 10
"""Bytes of a file's vector, which every later version's log repeats."""
_TOGETHER = 8 << 20
"""Bytes of vectors in one commit."""
_POSITION = "#position"


def leave(there: Snapshot, files: tuple[DataFile, ...], leaving: pl.LazyFrame, going: dict[str, int], key: list[str]) -> tuple[DataFile, ...]:
    """Those of `files` that stay, each without the rows of it that leave it. `leaving` has the key and the place of each row that does, `going` their number by place.

    Reads the columns of the key of these files. A file holds a key once, so that the key says which of its rows it is.
    """
    left: list[DataFile] = []
    together = 0
    for file in files:
        place = place_of(there, file)
        if file.held < _WORTH or going[place] + file.held - file.rows > _SHARE * file.held:
            continue
        keys = leaving.filter(pl.col(PLACE) == place).select(key)
        rows = scan_held(there.store, there.path, file, _POSITION).select(*key, _POSITION)
        positions = rows.join(keys, on=key, how="semi").select(_POSITION).collect(engine="streaming").to_series()
        without = file.without(positions.to_numpy())
        if without.vector is not None and without.vector.size <= _MOST and together + without.vector.size <= _TOGETHER:
            together += without.vector.size
            left.append(without)
    return tuple(left)
