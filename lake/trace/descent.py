"""Going down: for chosen rows of one table, the rows of every table below that can matter to them, each at the version that was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from lake.contract import FILE, ROW
from lake.errors import LakeError
from lake.hop import Hop
from lake.record import Record
from lake.table import path_of
from lake.trace.narrow import Part, Wanted, narrow, wanted_rows
from lake.trace.reading import Reading

FOLLOWED, FOLLOWED_WIDE = 100_000, 10_000
"""Of an input of which more rows matter, or may matter because nothing could be left out, the stored rows are taken as they are."""
At = tuple[str, int]
"""A table and a version of it."""


@dataclass
class Node:
    """Rows of one table at one version that can matter, and of each input what can matter for them.

    `why` says why it is not followed further, where it is not. `parents` are the tables that read it, with the parameter it was given to.
    `lost` are the raw places of rows that were read and lost to another row of their key.
    """

    table: str
    version: int
    depth: int
    rows: pl.DataFrame
    record: Record | None = None
    wanted: Wanted | None = None
    parts: dict[str, Part] = field(default_factory=dict)
    why: str | None = None
    parents: list[tuple[At, str]] = field(default_factory=list)
    lost: pl.DataFrame | None = None

    @property
    def at(self) -> At:
        """Which it is."""
        return self.table, self.version

    @property
    def raw(self) -> bool:
        """Whether its rows are those of raw files."""
        return self.table.startswith("bronze.")


def descend(reading: Reading, hops: Mapping[str, Hop], table: str, version: int, rows: pl.DataFrame) -> dict[At, Node]:
    """Every table below whose rows matter, each after those that read it, beginning with the table itself."""
    root = Node(table, version, 0, rows)
    waiting: dict[At, list[tuple[Node, Part]]] = {}
    found: dict[At, Node] = {root.at: root}
    for at in _in_order(reading, hops, (table, version)):
        readers = waiting.get(at, [])
        if at != root.at:
            if not readers:
                continue
            found[at] = _merged(at, readers)
        node = found[at]
        node.record = maker(reading, *at)
        if node.raw:
            continue
        node.why = _unfollowed(node, hops)
        hop = hops.get(node.table)
        if node.why is not None or hop is None or node.record is None:
            continue
        node.wanted = wanted_rows(reading, hop, node.version, node.rows)
        node.parts = narrow(reading, node.wanted, node.record)
        node.lost = _lost(node, hop)
        for part in node.parts.values():
            if part.count <= (FOLLOWED if part.wide is None else FOLLOWED_WIDE):
                waiting.setdefault((part.table, part.version), []).append((node, part))
    return found


def maker(reading: Reading, table: str, version: int) -> Record | None:
    """The record of the commit that computed the rows of the version: what only arranged files anew or reshaped columns is passed over."""
    log = reading.run.log(path_of(table))
    until = version
    while (last := log.last_record(until=until)) is not None:
        at, record = last
        if record.kind not in ("maintenance", "migration") or at == 0:
            return record
        until = at - 1
    return None


def _in_order(reading: Reading, hops: Mapping[str, Hop], root: At) -> list[At]:
    """The versions of tables that are read, by the records alone, each after all that read it."""
    done: dict[At, None] = {}

    def visit(at: At) -> Iterator[At]:
        if at in done:
            return
        done[at] = None
        record = maker(reading, *at) if not at[0].startswith("bronze.") and at[0] in hops else None
        for given in record.inputs if record else ():
            yield from visit((given.table, given.end))
        yield at

    return list(visit(root))[::-1]


def _merged(at: At, readers: list[tuple[Node, Part]]) -> Node:
    """The rows of one table that several readers ask for, each once."""
    frames = [part.rows.collect() for _, part in readers]
    rows = frames[0] if len(frames) == 1 else pl.concat(frames).unique([FILE, ROW] if at[0].startswith("bronze.") else None, maintain_order=True)
    return Node(*at, 1 + max(node.depth for node, _ in readers), rows, parents=[(node.at, part.parameter) for node, part in readers])


def _unfollowed(node: Node, hops: Mapping[str, Hop]) -> str | None:
    """Why the table's rows cannot be followed by this checkout, or None."""
    record, hop = node.record, hops.get(node.table)
    if record is None:
        return "its log does not reach back to this version"
    if hop is None:
        return "no flow of this checkout fills it"
    if record.code is None:
        return "its record does not say which code made it"
    if record.code.mixed:
        return "a range of it was made by other code than the rest; the next run makes all of it anew"
    if record.code.fingerprint != hop.fingerprint:
        code = record.code
        how = f"git worktree add ../trace {code.commit}" if code.commit else "find the code with that fingerprint"
        changed = "; files differed from that commit when it ran" if code.modified else ""
        return f"the code is no longer what made it (fingerprint {code.fingerprint}, now {hop.fingerprint}): {how}, and trace there{changed}"
    if [given.table for given in record.inputs] != [hop.reads(name).name for name in hop.sources]:
        raise LakeError(f"{node.table}: its record names other inputs than its hop reads", f"Run `lake run`, which makes {node.table} anew, and trace again")
    return None


def _lost(node: Node, hop: Hop) -> pl.DataFrame | None:
    """Where one row of a key wins and says where it came from: the places of the other rows that were read."""
    part = node.parts.get(hop.driver)
    if part is None or part.wide or hop.aggregates or hop.write == "append" or not {FILE, ROW} <= set(node.rows.columns):
        return None
    read = part.rows.collect_schema()
    if not {FILE, ROW} <= set(read):
        return None
    return part.rows.select(FILE, ROW).collect().join(node.rows.select(FILE, ROW), on=[FILE, ROW], how="anti")
