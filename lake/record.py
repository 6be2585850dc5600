"""The commit record: everything said about a hop, carried inside the Delta commit that publishes its rows (law 1).

One JSON document under the key `lake` of the commit's info. Whatever lake shows about a table is read from these.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lake.errors import LedgerOpen

RECORD_KEY = "lake"
FORMAT = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ledger(_Frozen):
    """Where every row went. All counts of rows; law 2 in numbers.

    For a hop that passes rows on: read + expanded = inserted + updated + unchanged + superseded + duplicate + tombstones + rejected + filtered.
    For one that aggregates: read + expanded = aggregated + filtered, and groups = inserted + updated + unchanged + rejected.
    `groups` are the rows such a hop produced; None for one that passes rows on. `tombstones` are rows read that only say that their key is deleted.
    Not read, so outside the balance: `deleted` rows left the table, and `adjusted` ones had their validity changed by a row that was.
    """

    read: int = 0
    expanded: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    duplicate: int = 0
    tombstones: int = 0
    rejected: int = 0
    filtered: int = 0
    aggregated: int = 0
    groups: int | None = None
    deleted: int = 0
    adjusted: int = 0

    def check(self, who: str) -> None:
        """Raise LedgerOpen, naming `who`, unless every row is accounted for."""
        if negative := [name for name, count in self if count is not None and count < 0]:
            raise LedgerOpen(f"{who}: the ledger counts fewer than no rows under {', '.join(negative)}: {self.line()}")
        written = self.inserted + self.updated + self.unchanged + self.superseded + self.duplicate + self.tombstones + self.rejected
        if self.groups is None:
            self._balance(who, self.read + self.expanded, written + self.filtered + self.aggregated, "rows read", "rows accounted for")
        else:
            self._balance(who, self.read + self.expanded, self.aggregated + self.filtered, "rows read", "rows in groups")
            self._balance(who, self.groups, written, "groups made", "groups accounted for")

    def _balance(self, who: str, left: int, right: int, left_name: str, right_name: str) -> None:
        if left != right:
            raise LedgerOpen(f"{who}: {left:,} {left_name} but {right:,} {right_name}; nothing was published: {self.line()}", "Each row must be accounted for")

    def line(self) -> str:
        """The counts that are not zero, in words."""
        return ", ".join(f"{count:,} {name}" for name, count in self if count) or "nothing read"


class Input(_Frozen):
    """One input of a hop, pinned: rows of versions after `start` up to `end` for changes, the table as of `end` for a snapshot."""

    table: str
    kind: Literal["changes", "snapshot"]
    start: int | None = None
    end: int
    rows: int | None = None


class ConsumedFile(_Frozen):
    """What became of one raw file: its records = rows + rejects. `mended` counts records that were put right, by how."""

    file: str
    name: str
    rows: int
    rejects: int
    reason: str | None = None
    mended: dict[str, int] = {}


class Notice(_Frozen):
    """What was different about raw files, mostly their columns, and what was done: `file` is the first of the `files` it was seen in.

    `added` to the table; `missing` from the file; `renamed` or `respelled` (`detail` is the name in the file); `reordered`; `retyped` or
    `widened` (`detail` says which types); `rescued` into `_rescued`; `dropped` as declared. `read` is about no column: `detail` says what is
    to be known of how the file was read, such as that its encoding is a guess.
    """

    column: str
    what: Literal["added", "missing", "renamed", "respelled", "reordered", "retyped", "widened", "rescued", "dropped", "read"]
    detail: str = ""
    file: str = ""
    files: int = 1

    def line(self) -> str:
        """In words."""
        where = self.file if self.files == 1 else f"{self.file} and {self.files - 1:,} more files"
        told = {
            "added": f"column {self.column} is new ({self.detail})", "missing": f"column {self.column} is missing", "renamed": f"{self.detail} is column {self.column}",
            "respelled": f"{self.detail} is column {self.column}", "reordered": "columns are in another order", "retyped": f"column {self.column}: {self.detail}",
            "widened": f"column {self.column} widened from {self.detail}", "rescued": f"column {self.column} is {self.detail}: kept in _rescued",
            "dropped": f"column {self.column} is left in raw", "read": self.detail,
        }  # fmt: skip
        return f"{told[self.what]} in {where}"


def together(notices: Iterable[Notice]) -> list[Notice]:
    """The same notices, each once, with the number of files it is about."""
    found: dict[tuple[str, str, str], Notice] = {}
    for notice in notices:
        key = (notice.column, notice.what, notice.detail)
        found[key] = found[key].model_copy(update={"files": found[key].files + 1}) if key in found else notice
    return list(found.values())


class RunInfo(_Frozen):
    """Which run did it: an id of our own, the flow, what started it, and Prefect's id when Prefect ran it."""

    id: str
    flow: str
    trigger: str
    started: dt.datetime
    prefect_flow_run: str | None = None


class Code(_Frozen):
    """Which code did it: a fingerprint of the hop with all it uses, the commit checked out, and whether files differed from it.

    `transform` is the fingerprint of what the hop does before its rows are judged; `columns` names what is known of where its columns come
    from (`system/columns/<columns>.json`).
    """

    hop: str
    fingerprint: str
    transform: str | None = None
    columns: str | None = None
    commit: str | None = None
    modified: bool | None = None
    lake: str = ""
    polars: str = ""


class Within(_Frozen):
    """The part of a table that a backfill recomputed: rows whose `column` is at or after `start` and before `end`, by the code `fingerprint`."""

    column: str
    start: str | None = None
    end: str | None = None
    fingerprint: str


class Check(_Frozen):
    """One rule of a table as a whole, judged before the commit: what was found (`value`) and what was asked (`limit`), in words."""

    name: str
    severity: Literal["warn", "quarantine", "fail"]
    holds: bool
    value: str
    limit: str


class ContentHash(_Frozen):
    """The table's content as a number that does not depend on row order: a sum of row hashes, provenance left out."""

    algorithm: str
    value: str


class Record(_Frozen):
    """One commit of one table, told whole."""

    format: int = FORMAT
    kind: Literal["landing", "ingest", "hop", "quarantine", "tombstones", "maintenance", "migration"]
    table: str
    batch: str
    at: dt.datetime
    run: RunInfo
    code: Code | None = None
    write: str = "append"
    mode: Literal["full", "incremental", "range", "readmit"] = "incremental"
    within: Within | None = None
    reason: str = ""
    inputs: list[Input] = []
    files: list[ConsumedFile] = []
    notices: list[Notice] = []
    schema_version: int
    schema_fingerprint: str
    schema_document: dict[str, Any] | None = Field(None, description="The whole schema version, in the commit that first uses it.")
    ledger: Ledger
    rules: dict[str, int] = Field({}, description="Rows set aside, by the rules they broke.")
    warned: dict[str, int] = Field({}, description="Rows that passed though they broke a rule that only warns, by rule.")
    checks: list[Check] = Field([], description="The rules of the table as a whole.")
    quarantine: dict[str, Any] | None = Field(None, description="table, version and rows of the rejected rows of this batch.")
    tombstones: dict[str, Any] | None = Field(None, description="version and rows of the tombstones of this table after the commit.")
    conversions: dict[str, str] = {}
    content: ContentHash | None = None
    rows: int
    bytes: int
    data_files: int
    rejects: int = Field(0, description="Rows in the table's quarantine after this commit.")
    freshest: dt.datetime | None = Field(None, description="When the newest raw file that reached this table landed.")
    last_landed: dt.datetime | None = None
    owner: str = ""
    summary: str = ""
    fresh_within_seconds: float | None = None
    seconds: dict[str, float] = Field({}, description="What the step spent since the table's last commit of its, by phase; the commit itself is not over yet.")
    store: dict[str, int] = Field(
        {}, description="What the step asked of the store meanwhile: requests by verb, bytes_read, bytes_written; without scans by Polars."
    )

    @property
    def refusals(self) -> list[str]:
        """The raw files that were rejected whole, each with the reason."""
        return [f"{file.name} is rejected whole: {file.reason}" for file in self.files if file.reason]

    def to_json(self) -> str:
        """The record as one JSON line, defaults left out."""
        return self.model_dump_json(exclude_defaults=True)


def read_record(commit_info: dict[str, Any]) -> Record | None:
    """The record inside a Delta commitInfo action, or None for a commit that lake did not make."""
    text = commit_info.get(RECORD_KEY)
    return Record.model_validate_json(text) if isinstance(text, str) else None
