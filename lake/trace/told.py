"""What a trace found, as something to look at: rows of every table with their raw records, the verdict, and what was read for it."""

from __future__ import annotations

import datetime as dt
import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.contract import FILE, PROVENANCE, RESCUED, ROW
from lake.spelling import finite
from lake.trace.descent import At, Node
from lake.trace.narrow import Part
from lake.trace.raw import RawRecord
from lake.trace.recompute import Again, Judged
from lake.wording import counted

Entry = dict[str, Any]
_SCHEMA = {
    "table": pl.String, "version": pl.Int64, "depth": pl.Int64, "role": pl.String, "key": pl.String, "values": pl.String, "file": pl.String,
    "record": pl.Int64, "line": pl.Int64, "text": pl.String, "verdict": pl.String,
}  # fmt: skip
_RAW = {"file": pl.String, "name": pl.String, "record": pl.Int64, "line": pl.Int64, "text": pl.String, "superseded": pl.Boolean}


@dataclass(frozen=True)
class Read:
    """What a trace read. Requests and bytes are lake's own (logs, receipts, raw files); data files are scanned by Polars, and count with their whole size."""

    requests: int = 0
    bytes: int = 0
    files: int = 0
    files_of: int = 0
    file_bytes: int = 0

    def line(self, size: Any) -> str:
        """In words; `size` spells bytes."""
        return (
            f"read: {size(self.bytes)} of logs, receipts and raw files in {counted(self.requests, 'request')}; {self.files:,} of {counted(self.files_of, 'data file')}, "
            f"{size(self.file_bytes)} together, of which Polars reads the columns and row groups that matter"
        )


@dataclass(frozen=True)
class Trace:
    """Some rows of a table, followed down to raw and computed again. `matched` is how many rows the key had; up to a limit were traced."""

    table: str
    version: int
    matched: int
    nodes: Mapping[At, Node]
    again: Again
    release: int | None = None
    read: Read = field(default_factory=Read)

    @property
    def root(self) -> Node:
        """The table that was asked about."""
        return self.nodes[self.table, self.version]

    @property
    def row(self) -> pl.DataFrame:
        """The traced rows, as stored."""
        return self.root.rows

    @property
    def rows(self) -> pl.DataFrame:
        """Everything that was traced, one row a row: table, version, depth, role, key and values (JSON), file, record, line, text, verdict."""
        told = [entry | {"key": _json(entry["key"]), "values": _json(entry["values"])} for entry in self.entries()]
        return pl.DataFrame(told, schema=_SCHEMA)

    @property
    def raw(self) -> pl.DataFrame:
        """The raw records: file, name, record, line, text, and whether another record of the same key superseded it."""
        rows = [(one.file, one.name, one.record, one.line, one.text, one.lost) for one in self.again.records]
        return pl.DataFrame(rows, schema=_RAW, orient="row")

    @property
    def judged(self) -> Judged:
        """How the traced rows came out when they were computed again; of a table below that did not come out equal, that. What looked at nothing proves nothing."""
        mine = self.again.judged[self.table, self.version]
        if mine.verdict not in ("equal", "rounding"):
            return mine
        below = [*self.again.judged.values()]
        unread = (self.again.judged[node.at] for node in self.nodes.values() if node.raw)
        worse = next((one for one in below if one.verdict == "differs"), None) or next((one for one in unread if one.verdict == "not computed"), None)
        return worse or (
            mine if self.looked else Judged("not computed", "no raw record and no row of what it is made from belongs to it: nothing was looked at")
        )

    @property
    def looked(self) -> bool:
        """Whether the trace looked at anything that the rows could have been made from."""
        return bool(self.again.records) or any(one.stored for one in self.again.judged.values())

    @property
    def verdict(self) -> str:
        """`equal`, `rounding`, `differs` or `not computed`."""
        return self.judged.verdict

    @property
    def wide(self) -> dict[str, str]:
        """The inputs of which all rows may matter, by table, and why."""
        return {part.table: part.wide for node in self.nodes.values() for part in node.parts.values() if part.wide is not None}

    def told_of(self, part: Part) -> str | None:
        """What is to be said of an input beyond its rows: that all of them may matter, that they are not followed, and why."""
        if (part.table, part.version) in self.nodes:
            return None if part.wide is None else f"wide: {part.wide}"
        return f"not followed: {part.wide or counted(part.count, 'row') + ' matter, more than are followed'}"

    def verdict_line(self) -> str:
        """The verdict in a sentence."""
        judged, count = self.judged, len(self.again.records)
        stored = sorted({table for one in self.again.judged.values() for table in one.stored})
        base = f"{counted(count, 'raw record')}" + (f" and stored rows of {', '.join(stored)}" if stored else "")
        if judged.verdict == "not computed":
            return f"not computed again: {judged.why}"
        place = next((table for (table, _), one in self.again.judged.items() if one is judged), self.table)
        told = {"equal": "equal", "rounding": f"equal but for the {judged.why}", "differs": f"DIFFERS: {place}: {judged.why}"}[judged.verdict]
        return f"computed again from {base}: {told}"

    def entries(self) -> Iterator[Entry]:
        """The rows of `rows`, with keys and values as objects."""
        records = {(one.file, one.record): one for one in self.again.records}
        for node in self.nodes.values():
            verdict = self.again.judged[node.at].verdict
            key = key_of(node)
            for row in node.rows.iter_rows(named=True):
                yield _entry(node, row, key, verdict, records.get((row.get(FILE), row.get(ROW))))  # type: ignore[arg-type]  # a row without a place has no record
            for part in node.parts.values():
                if (said := self.told_of(part)) is not None:
                    about = {"depth": node.depth + 1, "table": part.table, "version": part.version, "role": part.parameter, "verdict": said}
                    yield dict.fromkeys(_SCHEMA) | {"key": {}, "values": {}} | about

    def __repr__(self) -> str:
        shown = "; ".join(", ".join(f"{name}={value}" for name, value in row.items()) for row in self.row.head(1).select(key_of(self.root)).to_dicts())
        tables = ", ".join(f"{node.rows.height:,} of {node.table}" for node in self.nodes.values() if node is not self.root)
        return f"Trace of {self.table} version {self.version} ({shown}): {tables or 'no rows below'}; {self.verdict_line()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>" + self.row._repr_html_() + self.raw.head(20)._repr_html_()


def key_of(node: Node) -> list[str]:
    """The columns by which a reader tells the node's rows apart."""
    if node.wanted is not None and node.wanted.hop.table.key:
        return list(node.wanted.hop.table.key)
    return [name for name in (FILE, ROW) if name in node.rows.columns] or node.rows.columns


def _entry(node: Node, row: Entry, key: list[str], verdict: str, record: RawRecord | None) -> Entry:
    parameters = ", ".join(dict.fromkeys(parameter for _, parameter in node.parents))
    hidden = {*PROVENANCE, *([RESCUED] if row.get(RESCUED) is None else [])}
    return {
        "table": node.table, "version": node.version, "depth": node.depth, "role": "superseded" if record and record.lost else parameters or "row",
        "key": {name: row[name] for name in key if name not in hidden}, "values": {name: row[name] for name in row if name not in hidden and name not in key},
        "file": row.get(FILE), "record": row.get(ROW), "line": record.line if record else None, "text": record.text if record else None, "verdict": verdict,
    }  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(finite(value), default=lambda one: one.isoformat() if isinstance(one, dt.date | dt.datetime) else str(one), ensure_ascii=False)
