"""Strict reading: a record that has not just the announced fields is no row, however well it could be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.contract import RESCUED, ROW
from lake.reading.delimited import REJECTS, Parsed, parts
from lake.reading.dialect import Dialect


def only_whole(parsed: Parsed, path: Path, dialect: Dialect) -> Parsed:
    """The file with rows that lack fields, or have too many, among the rejects. `path` is the UTF-8 text that was parsed."""
    lacks, surplus = pl.any_horizontal(pl.col(name).is_null() for name in dialect.columns), pl.col(RESCUED).is_not_null()
    why = pl.when(surplus).then(pl.lit("it has too many fields")).otherwise(pl.lit("it has too few fields")).alias("reason")
    odd = dict(parsed.frame.filter(surplus | lacks).select(ROW, why).collect(engine="streaming").iter_rows())
    if not odd:
        return parsed
    found = [(part.row, part.line, part.text, odd[part.row]) for part in parts(path, dialect, frozenset(odd)) if part.row in odd]
    rejects = pl.concat([parsed.rejects, pl.DataFrame(found, schema=REJECTS, orient="row")]).sort(ROW, nulls_last=True)
    return replace(parsed, frame=parsed.frame.filter(~(surplus | lacks)), rejects=rejects)
