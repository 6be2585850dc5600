"""Quarantine: rows that were rejected, with the rules they broke, their values as they came, and their raw place.

Rejected rows are committed before the rows that passed, under the same batch. A batch that was quarantined and then never
published (its run died or lost the race) is replaced by the next one, so nothing is there twice. Rows that a later batch lets
pass stay, marked as resolved.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import FILE, PROVENANCE, ROW, RULES
from lake.datafile import scan_parts, write_parts
from lake.publish import Draft, publish
from lake.record import Ledger, Record
from lake.run import Run
from lake.spelling import row_as_json
from lake.table import Table, quarantine_path_of

REJECTED = pl.Schema(
    {
        FILE: pl.String(), ROW: pl.Int64(), "rules": pl.List(pl.String()), "reason": pl.String(), "row": pl.String(), "line": pl.Int64(), "bytes": pl.Binary(),
        "schema_version": pl.Int64(), "batch": pl.String(), "run": pl.String(), "at": pl.Datetime("us", "UTC"),
        "resolved_at": pl.Datetime("us", "UTC"), "resolved_by": pl.String(),
    }
)  # fmt: skip
"""A rejected row: its raw place, the rules it broke or the reason, its values as JSON (`row`), or its bytes where it is no row.

It is open until a later batch judged it anew and did not reject it: then it says when, and by which run, it was resolved.
"""
BARE = pl.Schema({name: REJECTED[name] for name in (FILE, ROW, "rules", "reason", "row", "line", "bytes")})
"""A rejected row before it is known which batch it is of."""
RAISES = " raises"
"""How the rule ends that a row breaks on which a hop raises; its name begins with that of the hop's function."""
_PLACE = [FILE, ROW, "line", "#row"]  # what tells rejected rows apart; the values only where there is no place


def rejected_rows(bad: pl.LazyFrame) -> pl.LazyFrame:
    """Rows a contract refused, in the quarantine's columns; who rejected them is filled in when they are committed."""
    names = [name for name in bad.collect_schema().names() if name != RULES]
    carried = [name if name in names else pl.lit(None, dtype=PROVENANCE[name]).alias(name) for name in (FILE, ROW)]
    schema = bad.collect_schema()
    values = {
        name: (pl.col(name).bin.encode("base64"), pl.String()) if schema[name] == pl.Binary else (pl.col(name), schema[name])
        for name in names
        if name not in PROVENANCE
    }
    return bad.select(
        *carried, pl.col(RULES).alias("rules"), pl.lit(None, dtype=pl.String).alias("reason"), row_as_json(values).alias("row"),
        pl.lit(None, dtype=pl.Int64).alias("line"), pl.lit(None, dtype=pl.Binary).alias("bytes"),
    )  # fmt: skip


def stamped(rows: pl.LazyFrame, run: Run, batch: str, schema_version: int | None) -> pl.LazyFrame:
    """Bare rejected rows with who rejected them and when."""
    moment = pl.lit(dt.datetime.now(dt.UTC)).cast(REJECTED["at"])
    stamps = {"schema_version": pl.lit(schema_version), "batch": pl.lit(batch), "run": pl.lit(run.info.id), "at": moment}
    unset = {name: pl.lit(None) for name in ("resolved_at", "resolved_by")}
    return rows.with_columns(**stamps, **unset).select(pl.col(name).cast(dtype) for name, dtype in REJECTED.items())


def resolved(rows: pl.LazyFrame, run: Run) -> pl.LazyFrame:
    """Rejected rows with the mark that the run resolved them."""
    return rows.with_columns(resolved_at=pl.lit(dt.datetime.now(dt.UTC)).cast(REJECTED["resolved_at"]), resolved_by=pl.lit(run.info.id))


def open_rejects(run: Run, table: Table, before: Record | None) -> pl.LazyFrame:
    """The rows rejected on their way into the table, as of the record `before`, that are still so."""
    version = published_version(before)
    if version < 0:
        return pl.LazyFrame(schema=REJECTED)
    return run.snapshot(quarantine_path_of(table.name), version).scan().filter(pl.col("resolved_at").is_null())


def of_keys(rejects: pl.LazyFrame, keys: pl.LazyFrame, on: list[str]) -> pl.LazyFrame:
    """Those of `rejects` whose values of the columns `on` are among `keys`."""
    names = [f"#key {name}" for name in on]
    told = [pl.col("row").str.json_path_match(f"$['{name}']").alias(key) for name, key in zip(on, names, strict=True)]
    schema = keys.collect_schema()
    spelled = keys.select(row_as_json({name: (pl.col(name), schema[name]) for name in on}).alias("row")).select(told).unique()
    return rejects.with_columns(told).join(spelled, on=names, how="semi", nulls_equal=True).select(list(REJECTED))


def not_among(rejects: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Those of `rejects` that are not `known`: by their raw place, or by their values where they have none."""
    return _placed(rejects).join(_placed(known), on=_PLACE, how="anti", nulls_equal=True).drop("#row")


def published_version(before: Record | None) -> int:
    """The version of the quarantine that belongs to the record; -1 where there is none."""
    return int(before.quarantine["version"]) if before is not None and before.quarantine else -1


def quarantine(run: Run, table: Table, parts: Path, about: dict[str, Any], *, before: Record | None, anew: pl.LazyFrame | None = None) -> dict[str, Any]:
    """Commit the rejected rows in `parts` under the batch of `about`, once. Returns what the main record says of it.

    `anew` are open rejects that this batch has judged again: those that it did not reject again are marked as resolved.
    """
    new = scan_parts(parts, REJECTED)
    rows, still = new.select(pl.len(), pl.col("resolved_at").is_null().sum().cast(pl.Int64).alias("open")).collect(engine="streaming").row(0)
    total = (before.rejects if before is not None else 0) + still
    settled_rows = rows - still
    if anew is not None and anew.head(1).collect(engine="streaming").height == 0:
        anew = None
    if anew is not None:
        earlier = run.snapshot(quarantine_path_of(table.name), published_version(before)).scan()
        settled = pl.concat([not_among(anew, new), _fewer(anew, new)])
        untouched = not_among(earlier.filter(pl.col("resolved_at").is_null()), anew)
        told = [new, earlier.filter(pl.col("resolved_at").is_not_null()), untouched, resolved(settled, run)]
        parts = parts.with_name(f"{parts.name}-all")
        write_parts(pl.concat(told), parts)
        there, total = scan_parts(parts, REJECTED).select(pl.len(), pl.col("resolved_at").is_null().sum().alias("open")).collect(engine="streaming").row(0)
        settled_rows += int(settled.select(pl.len()).collect(engine="streaming").item())
    name = Table(f"bronze.quarantine.{table.name.replace('.', '_')}", owner=table.owner, description=f"Rows rejected on their way into {table.name}")
    written = there if anew is not None else rows
    said = about | {"kind": "quarantine"}
    version = set_aside(
        run, name, quarantine_path_of(table.name), REJECTED, parts, written, said, published=published_version(before), everything=anew is not None
    )
    return {"version": version, "rows": rows, "total": total} | ({"resolved": settled_rows} if settled_rows else {})


def _fewer(old: pl.LazyFrame, new: pl.LazyFrame) -> pl.LazyFrame:
    """Where one row read became several: those of `old` whose place has fewer among `new`, and that are not there with the same values."""
    was, now = (_placed(rows).group_by(_PLACE).len(name) for rows, name in ((old, "#was"), (new, "#now")))
    less = was.join(now, on=_PLACE, how="inner", nulls_equal=True).filter(pl.col("#now") < pl.col("#was"))
    there = _placed(old).join(less.select(_PLACE), on=_PLACE, how="semi", nulls_equal=True)
    return there.join(_placed(new), on=[*_PLACE, "row"], how="anti", nulls_equal=True).drop("#row")


def _placed(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.when(pl.col(FILE).is_null()).then(pl.col("row")).alias("#row"))


def set_aside(run: Run, name: Table, path: str, schema: pl.Schema, parts: Path, rows: int, about: dict[str, Any], *, published: int, everything: bool) -> int:
    """Commit rows that belong beside a table's version, once, before that version. Returns the version of theirs that counts.

    The table at `path` becomes what it was at version `published`, which the last main record named, plus these rows: whatever
    a run left there that never published is taken out. With `everything` the earlier rows go too.
    """
    log = run.log(path)
    base = log.version()
    last = log.last_record(until=base) if base >= 0 else None
    if last is not None and base > published and last[1].batch == about["batch"]:
        return base  # this very batch, by a run that went no further
    live = {file.path: file for file in run.snapshot(path, base).files} if base >= 0 else {}
    keep = {file.path: file for file in run.snapshot(path, published).files} if published >= 0 and not everything else {}
    removed = tuple(file for name, file in live.items() if name not in keep)
    restored = tuple(file for name, file in keep.items() if name not in live)
    if rows == 0 and not removed and not restored:
        return base
    said = about | {
        "table": path,
        "ledger": Ledger(read=rows, inserted=rows),
        "quarantine": None,
        "tombstones": None,
        "structure": None,
        "accepted": None,
        "files": [],
        "rules": {},
        "warned": {},
        "checks": [],
    }
    draft = Draft(name, path, base, schema, parts=parts, removed=removed, restored=restored, aside=True)
    version, _ = publish(run, draft, last[1] if last else None, said)
    return version
