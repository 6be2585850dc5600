"""A table with history (a slowly changing dimension of type 2): each event is a version of its key, valid until the next one.

An event that says nothing new is kept as a version that was valid for no time at all (`valid_to` = `valid_from`): no moment
falls into it, and when a late event comes in between, it is still known. So the table is a function of the set of events,
whatever the order they arrive in.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lake.content import row_hash
from lake.contract import PROVENANCE
from lake.datafile import scan_parts, write_parts
from lake.delta import Snapshot
from lake.hop import VALIDITY
from lake.settle.latest import Winners
from lake.table import Table

_SAID, _REPEATS = "#said", "#repeats"
_START, _END, _CURRENT = VALIDITY


def lived(table: Table, schema: pl.Schema, winners: Winners, there: Snapshot | None, folder: Path) -> Winners:
    """The batch with every version of the keys it is about, each with when it ended. Rows that were there already are `adjusted`.

    Keys and hashes are sorted, not rows; columns of the rows are joined on afterwards.
    """
    key, subject = table.key, [name for name in table.key if name != _START]
    columns = list(schema)
    events = scan_parts(winners.rows, schema)
    adjusted = None
    if there is not None:
        known = there.scan().join(events.select(subject).unique(), on=subject, how="semi").join(events.select(key), on=key, how="anti")
        adjusted = folder / "neighbours"
        write_parts(known.select(pl.col(name) if name in there.schema else pl.lit(None, schema[name]).alias(name) for name in columns), adjusted)
        events = pl.concat([events, scan_parts(adjusted, schema)])
    said = [name for name in schema if name not in (*key, *VALIDITY, *PROVENANCE)]
    narrow = events.select(*key, row_hash(said).alias(_SAID)).sort(key)
    repeats = pl.col(_SAID).eq_missing(pl.col(_SAID).shift(1).over(subject, order_by=_START))
    marked = narrow.with_columns(repeats.alias(_REPEATS))
    changes = marked.filter(~pl.col(_REPEATS)).with_columns(pl.col(_START).shift(-1).over(subject, order_by=_START).alias(_END))
    ends = pl.concat(
        [
            changes.select(*key, pl.col(_END), pl.col(_END).is_null().alias(_CURRENT)),
            marked.filter(_REPEATS).select(*key, pl.col(_START).alias(_END), pl.lit(False).alias(_CURRENT)),
        ]
    )
    write_parts(ends, folder / "ends")
    spans = scan_parts(folder / "ends", pl.Schema({**{name: schema[name] for name in key}, _END: schema[_END], _CURRENT: pl.Boolean()}))
    whole = events.drop(_END, _CURRENT).join(spans, on=key, how="inner").select(columns)
    write_parts(whole, folder / "lived", of=int(events.select(pl.len()).collect(engine="streaming").item()))
    return Winners(folder / "lived", superseded=winners.superseded, duplicate=winners.duplicate, adjusted=adjusted)
