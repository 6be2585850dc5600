"""Coming up again: each table's rows computed from those below, beginning with what stands in the raw files, and compared with what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import polars as pl

from lake.anew import computed_anew
from lake.contract import FILE, ROW
from lake.delta import DataFile, Snapshot
from lake.difference import Difference, difference_of
from lake.errors import LakeError
from lake.hop import Hop
from lake.run import Run
from lake.table import Table, path_of
from lake.trace.descent import At, Node
from lake.trace.raw import RawRecord, read_raw
from lake.trace.reading import Reading
from lake.wording import counted

Verdict = Literal["equal", "rounding", "differs", "not computed"]


@dataclass(frozen=True)
class Judged:
    """How the rows of one table came out. `stored` says whose stored rows were taken as they are, since they were not followed further."""

    verdict: Verdict
    why: str = ""
    found: Difference = field(default_factory=Difference)
    stored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Again:
    """Every table of a trace judged, its rows as computed, and the raw records that they were computed from."""

    judged: dict[At, Judged]
    rows: dict[At, pl.LazyFrame]
    records: list[RawRecord]


@dataclass(frozen=True)
class _Held(Snapshot):
    """A version of a table of which only some rows are there."""

    rows_held: pl.LazyFrame = field(default_factory=pl.LazyFrame, compare=False)

    def scan(self, files: tuple[DataFile, ...] | None = None) -> pl.LazyFrame:
        """These rows."""
        return self.rows_held


class _Scratch(Run):
    """The run with some versions of tables replaced by rows held in memory."""

    def __init__(self, run: Run, held: Mapping[At, pl.LazyFrame]) -> None:
        super().__init__(run.settings, run.store, run.info, raw=run.raw, judges_moment=False)
        self._real = run
        self._held = {(path_of(table), version): rows for (table, version), rows in held.items()}

    def snapshot(self, path: str, version: int) -> Snapshot:
        """The rows held, if there are any."""
        there = self._real.snapshot(path, version)
        rows = self._held.get((path, version))
        return there if rows is None else _Held(**{each.name: getattr(there, each.name) for each in fields(there)}, rows_held=rows)


def ascend(reading: Reading, nodes: Mapping[At, Node], hops: Mapping[str, Hop], tables: Mapping[str, Table]) -> Again:
    """Compute every node again from those below it, raw files first. Of rows that are not followed down the stored ones are taken."""
    again = Again({}, {}, [])
    for at, node in reversed(list(nodes.items())):
        if node.raw:
            _from_raw(reading, node, tables.get(node.table, Table(node.table)), nodes, again)
        elif node.wanted is not None:
            _from_inputs(reading, node, hops[node.table], again)
        else:
            again.judged[at] = Judged("not computed", node.why or "")
            again.rows[at] = node.rows.lazy()
    return again


def _from_raw(reading: Reading, node: Node, table: Table, nodes: Mapping[At, Node], again: Again) -> None:
    losses = [lost for parent, _ in node.parents if (lost := nodes[parent].lost) is not None]
    lost = pl.concat(losses).unique() if losses and len(losses) == len(node.parents) else None
    found = read_raw(reading, table, node, lost)
    again.records.extend(found.records)
    if found.missing is not None:
        again.judged[node.at] = Judged("not computed", found.missing)
        again.rows[node.at] = node.rows.lazy()
        return
    again.judged[node.at] = _verdict(difference_of(node.rows.unique([FILE, ROW]).lazy(), found.rows.unique([FILE, ROW]).lazy(), [FILE, ROW]))
    again.rows[node.at] = found.rows.lazy()


def _from_inputs(reading: Reading, node: Node, hop: Hop, again: Again) -> None:
    held: dict[At, pl.LazyFrame] = {}
    stored = []
    for part in node.parts.values():
        at = (part.table, part.version)
        held[at] = again.rows.get(at, part.rows)
        if at not in again.rows:
            stored.append(part.table)
    wanted, record = node.wanted, node.record
    if wanted is None or record is None:
        return
    scratch = _Scratch(reading.run, held)
    where = wanted.condition(node.rows.schema)
    with reading.run.workspace(f"trace-{node.table}") as folder:
        try:
            computed = computed_anew(scratch, hop, record, folder, where).collect(engine="streaming")
        except (LakeError, pl.exceptions.PolarsError) as error:
            again.judged[node.at] = Judged("not computed", str(error))
            again.rows[node.at] = node.rows.lazy()
            return
    key = identity(hop, node.rows)
    mine = computed.join(node.rows.select(key), on=key, how="semi", nulls_equal=True) if key else computed
    mine = mine.select([name for name in node.rows.columns if name in mine.columns])
    bag = not key or hop.write == "append"
    found = difference_of(_once(node.rows, bag), _once(mine, bag), [] if bag else hop.table.key).without(hop.table.personal)
    verdict = _verdict(found)
    again.judged[node.at] = Judged(verdict.verdict, verdict.why, found, tuple(dict.fromkeys(stored)))
    again.rows[node.at] = mine.lazy()


def _once(rows: pl.DataFrame, bag: bool) -> pl.LazyFrame:
    """The rows; where nothing tells equal ones apart, each once."""
    return (rows.unique(maintain_order=True) if bag else rows).lazy()


def identity(hop: Hop, rows: pl.DataFrame) -> list[str]:
    """By which columns rows of the hop's table are told apart: its key, else the raw place."""
    if hop.table.key and hop.write != "append":
        return list(hop.table.key)
    return [FILE, ROW] if {FILE, ROW} <= set(rows.columns) and not rows[FILE].null_count() else []


def _verdict(found: Difference) -> Judged:
    if not found.any:
        return Judged("equal", found=found)
    if found.rounding:
        return Judged("rounding", f"last bits of {', '.join(found.columns)}", found)
    told = [f"{counted(count, 'row')} {what}" for count, what in ((found.added, "more"), (found.removed, "missing"), (found.changed, "other")) if count]
    return Judged("differs", ", ".join(told) + (f" in {', '.join(found.columns)}" if found.columns else ""), found)
