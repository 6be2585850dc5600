"""Verifying tables in place: random key ranges recomputed from what a table was made from, and raw files read again (law 6).

By induction from raw: the bronze rows of randomly chosen files are compared with the files themselves, and a key range of each
table made by a hop with what the hop makes of its inputs as of the versions the table has read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from lake.contract import PROVENANCE
from lake.delta import Snapshot
from lake.difference import Difference
from lake.errors import LakeError, translated
from lake.hop import Hop
from lake.pipeline import Pipeline
from lake.raw_share import raw_compared
from lake.record import Record
from lake.run import Run
from lake.share import share_compared
from lake.share import told as words_of
from lake.source import Source
from lake.table import path_of

Row = dict[str, Any]


def verify(
    run: Run,
    pipeline: Pipeline,
    *,
    share: float,
    seed: int | None = None,
    told: Callable[[str], None] = lambda _: None,
    versions: Mapping[str, int] | None = None,
) -> Iterator[Row]:
    """One row a table: table, checked (what was looked at), rows, verdict (`equal`, `rounding`, `differs`, `not verified`), why.

    `versions` says which tables, and as of which version of each; else all at their newest. Nothing is written to the store.
    """
    chance = random.Random(seed)  # noqa: S311  # which rows are looked at is no secret
    for step in pipeline.steps:
        if step.kind == "land" or (versions is not None and step.name not in versions):
            continue
        last = run.log(path_of(step.name)).last_record(until=versions[step.name] if versions is not None else None)
        if last is None:
            continue
        told(step.name)
        there = run.snapshot(path_of(step.name), last[0])
        try:
            if isinstance(step.work, Hop):
                yield _hop(run, step.work, last[1], there, share, chance)
            else:
                hides = [*there.schema] if any(hop.table.personal for hop in pipeline.hops.values()) else []  # bronze says of no column what it holds
                yield _bronze(run, step.work, last[0], there, share, chance, [name for name in hides if name not in PROVENANCE])
        except LakeError as error:
            yield _row(step.name, "", 0, "not verified", str(error))
        except (pl.exceptions.PolarsError, OSError) as error:
            yield _row(step.name, "", 0, "differs", f"its rows, or those it was made from, cannot be read: {translated(error, step.name).message}")


def _hop(run: Run, hop: Hop, record: Record, there: Snapshot, share: float, chance: random.Random) -> Row:
    name = hop.table.name
    if record.code is None or record.code.fingerprint != hop.fingerprint:
        return _row(name, "", 0, "not verified", "the code changed since: the next run recomputes it in full")
    compared = share_compared(run, hop, record, there, share, chance)
    return _judged(name, compared.words, compared.rows, compared.found)


def _bronze(run: Run, source: Source, version: int, there: Snapshot, share: float, chance: random.Random, hides: list[str]) -> Row:
    """Some of the raw files, chosen by the commits that took them in."""
    compared = raw_compared(run, source, version, there, share, chance)
    if not compared.names:
        return _row(source.into.name, "", 0, "not verified", "no raw file was taken in: there is nothing to compare")
    if compared.lost:
        return _row(source.into.name, compared.names[-1], 0, "differs", f"{compared.lost} has no receipt")
    return _judged(source.into.name, ", ".join(compared.names), compared.rows, compared.found.without(hides))


def _judged(name: str, checked: str, rows: int, found: Difference) -> Row:
    if not found.any:
        return _row(name, checked, rows, "equal", "")
    if found.rounding:
        return _row(name, checked, rows, "rounding", f"last bits of {', '.join(found.columns)}")
    return _row(name, checked, rows, "differs", words_of(found))


def _row(table: str, checked: str, rows: int, verdict: str, why: str) -> Row:
    return {"table": table, "checked": checked, "rows": rows, "verdict": verdict, "why": why}
