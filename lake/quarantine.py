"""Quarantine: rows that were rejected, with the rules they broke, their values as they came, and their raw place.

Rejected rows are committed before the rows that passed, under the same batch. A batch that was quarantined and then never
published (its run died or lost the race) is replaced by the next one, so nothing is there twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import FILE, PROVENANCE, ROW, RULES
from lake.publish import Draft, publish
from lake.record import Ledger, Record
from lake.run import Run
from lake.table import Table, quarantine_path_of

REJECTED = pl.Schema(
    {
        FILE: pl.String(), ROW: pl.Int64(), "rules": pl.List(pl.String()), "reason": pl.String(), "row": pl.String(), "line": pl.Int64(), "bytes": pl.Binary(),
        "schema_version": pl.Int64(), "batch": pl.String(), "run": pl.String(), "at": pl.Datetime("us", "UTC"),
    }
)  # fmt: skip
"""A rejected row: its raw place, the rules it broke or the reason, its values as JSON (`row`), or its bytes where it is no row."""


def rejected_rows(bad: pl.LazyFrame) -> pl.LazyFrame:
    """Rows a contract refused, in the quarantine's columns; who rejected them is filled in when they are committed."""
    names = [name for name in bad.collect_schema().names() if name != RULES]
    carried = [name if name in names else pl.lit(None, dtype=PROVENANCE[name]).alias(name) for name in (FILE, ROW)]
    schema = bad.collect_schema()
    values = [pl.col(name).bin.encode("base64") if schema[name] == pl.Binary else pl.col(name) for name in names if name not in PROVENANCE]
    return bad.select(
        *carried, pl.col(RULES).alias("rules"), pl.lit(None, dtype=pl.String).alias("reason"), pl.struct(values).struct.json_encode().alias("row"),
        pl.lit(None, dtype=pl.Int64).alias("line"), pl.lit(None, dtype=pl.Binary).alias("bytes"),
    )  # fmt: skip


def quarantine(run: Run, table: Table, parts: Path, rows: int, about: dict[str, Any], *, before: Record | None, everything: bool) -> dict[str, Any]:
    """Commit the rejected rows in `parts` under the batch of `about`, once. Returns what the main record says of it.

    With `everything` (a full recomputation) earlier rejects go.
    """
    published = int(before.quarantine["version"]) if before is not None and before.quarantine else -1
    name = Table(f"bronze.quarantine.{table.name.replace('.', '_')}", owner=table.owner, description=f"Rows rejected on their way into {table.name}")
    return set_aside(
        run, name, quarantine_path_of(table.name), REJECTED, parts, rows, about | {"kind": "quarantine"}, published=published, everything=everything
    )


def set_aside(
    run: Run, name: Table, path: str, schema: pl.Schema, parts: Path, rows: int, about: dict[str, Any], *, published: int, everything: bool
) -> dict[str, Any]:
    """Commit rows that belong beside a table's version, once, before that version. Returns what the main record says of them.

    The table at `path` becomes what it was at version `published`, which the last main record named, plus these rows: whatever
    a run left there that never published is taken out. With `everything` the earlier rows go too.
    """
    log = run.log(path)
    base = log.version()
    last = log.last_record(until=base) if base >= 0 else None
    if last is not None and base > published and last[1].batch == about["batch"]:
        return {"version": base, "rows": rows, "total": last[1].rows}  # this very batch, by a run that went no further
    live = {file.path: file for file in run.snapshot(path, base).files} if base >= 0 else {}
    keep = {file.path: file for file in run.snapshot(path, published).files} if published >= 0 and not everything else {}
    removed = tuple(file for name, file in live.items() if name not in keep)
    restored = tuple(file for name, file in keep.items() if name not in live)
    if rows == 0 and not removed and not restored:
        return {"version": base, "rows": 0, "total": last[1].rows if last else 0}
    said = about | {"table": path, "ledger": Ledger(read=rows, inserted=rows), "quarantine": None, "tombstones": None, "files": [], "rules": {}}
    version, record = publish(run, Draft(name, path, base, schema, parts=parts, removed=removed, restored=restored), last[1] if last else None, said)
    return {"version": version, "rows": rows, "total": record.rows}
