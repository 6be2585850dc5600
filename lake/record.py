"""The commit record: everything said about a hop, carried inside the Delta commit that publishes its rows (law 1).

One JSON document under the key `lake` of the commit's info. Whatever lake shows about a table is read from these.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lake.confidential import hidden
from lake.errors import LedgerOpen
from lake.names import Names
from lake.wording import counted

RECORD_KEY = "lake"
FORMAT = 1
MIXED = "mixed "
"""What the fingerprint of the code begins with where a range was made by other code than the rest of a table; both follow."""
_DEFECT = "This is a defect in lake; nothing was published"


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

    def check(self, who: str, *, missing: str = _DEFECT, surplus: str = _DEFECT) -> None:
        """Raise LedgerOpen, naming `who`, unless every row is accounted for.

        `missing` says what to do where rows that were read did not come out, `surplus` where more came out than were read.
        """
        if negative := [name for name, count in self if count is not None and count < 0]:
            raise LedgerOpen(f"{who}: the ledger counts fewer than no rows under {', '.join(negative)}: {self.line()}", _DEFECT)
        written = self.inserted + self.updated + self.unchanged + self.superseded + self.duplicate + self.tombstones + self.rejected
        read = self.read + self.expanded
        if self.groups is None:
            self._balance(who, read, written + self.filtered + self.aggregated, ("row", "read", "accounted for"), (missing, surplus))
        else:
            self._balance(who, read, self.aggregated + self.filtered, ("row", "read", "in groups"), (missing, surplus))
            self._balance(who, self.groups, written, ("group", "made", "accounted for"), (_DEFECT, _DEFECT))

    def _balance(self, who: str, left: int, right: int, words: tuple[str, str, str], hints: tuple[str, str]) -> None:
        if left != right:
            thing, came, known = words
            told = f"{counted(left, thing)} {came} but {counted(right, thing)} {known}"
            raise LedgerOpen(f"{who}: {told}; nothing was published: {self.line()}", hints[0] if left > right else hints[1])

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
    """What became of one raw file: its records = rows + rejects, past the first `after` that came in before with the file that it goes on from.

    `mended` counts records that were put right, by how. Of a text, `lines` = after + there + rows + rejects + structure + continued: `there` counts rows that were in when the file was read again, `structure` counts its structural lines by
    their role, `continued` the physical lines in which a record (or a header) goes on that began above. Marks and padding are no lines, though counted by role.
    None where a format has no lines, or where the file was taken in before they were counted.
    """

    file: str
    name: str
    rows: int
    rejects: int
    reason: str | None = None
    mended: dict[str, int] = {}
    after: int = 0
    there: int = 0
    lines: int | None = None
    structure: dict[str, int] = {}
    continued: int = 0


INEXACT, BEYOND = "values that its type has not", "fields that no column has a name for"
"""Why values of a column that is known are in `_rescued`, and why others are."""


class Notice(_Frozen):
    """What was different about raw files, mostly their columns, and what was done: `file` is the first of the `files` it was seen in.

    `added` to the table; `missing` from the file; `renamed` or `respelled` (`detail` is the name in the file); `reordered`; `retyped` or
    `widened` (`detail` says which types); `rescued` into `_rescued`, so many `values`, or rows where it is of fields that no column of the file has; `dropped` as declared. `read` is about no column: `detail` says what is
    to be known of how the file was read, such as that its encoding is a guess; `structure` which lines of it are no records. `copy` is about a file that was
    left out: `detail` is the one it equals; `passed` about what was not read, and why; `grown` about one that goes on from the file `detail`, and `corrected` about one that is other than
    it was under its name.
    """

    column: str
    what: Literal[
        "added",
        "missing",
        "renamed",
        "respelled",
        "reordered",
        "retyped",
        "widened",
        "rescued",
        "dropped",
        "read",
        "structure",
        "copy",
        "grown",
        "corrected",
        "passed",
    ]
    detail: str = ""
    file: str = ""
    files: int = 1
    values: int = 0

    def line(self) -> str:
        """In words."""
        if self.what == "copy":
            return f"{self.file} is left out: it is {self.detail}, byte for byte"
        if self.what == "passed":
            return f"{self.file} is passed over: {self.detail}"
        if self.what == "grown":
            return f"{self.file} goes on from {self.detail} as it landed before: its new records come in"
        if self.what == "corrected":
            return f"{self.file} is not as it was: all its records come in, as a correction"
        where = self.file if self.files == 1 else f"{self.file} and {counted(self.files - 1, 'more file')}"
        told = {
            "added": f"column {self.column} is new ({self.detail})", "missing": f"column {self.column} is missing", "renamed": f"{self.detail} is column {self.column}",
            "respelled": f"{self.detail} is column {self.column}", "reordered": "columns are in another order", "retyped": f"column {self.column}: {self.detail}",
            "widened": f"column {self.column} widened from {self.detail}", "rescued": self._rescued,
            "dropped": f"column {self.column} is left in raw", "read": self.detail, "structure": self.detail,
        }  # fmt: skip
        return f"{told[self.what]} in {where}"

    @property
    def _rescued(self) -> str:
        if not self.column:
            return f"{counted(self.values, 'row has', 'rows have')} {self.detail}: kept in _rescued"
        many = f" ({counted(self.values, 'value')})" if self.values else ""
        return f"column {self.column} {'has' if self.detail == INEXACT else 'is'} {self.detail}: kept in _rescued{many}"


def together(notices: Iterable[Notice]) -> list[Notice]:
    """The same notices, each once, with the number of files it is about."""
    found: dict[tuple[str, str, str], Notice] = {}
    for notice in notices:
        key = (
            notice.column,
            notice.what,
            notice.detail + (f" {notice.file}" if not notice.column and notice.what not in ("read", "structure", "rescued") else ""),
        )
        known = found.get(key)
        found[key] = known.model_copy(update={"files": known.files + 1, "values": known.values + notice.values}) if known else notice
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

    `scheme` is the way of looking at code that made the fingerprint; what it saw is in `system/code/<fingerprint>.json`. `lake` and `polars` are the versions by
    which the rows were made, or were last verified. `transform` is the fingerprint of what the hop does before its rows are judged; `columns` names what is known of where its columns come
    from (`system/columns/<columns>.json`).
    """

    hop: str
    fingerprint: str
    scheme: int = 1
    transform: str | None = None
    columns: str | None = None
    commit: str | None = None
    modified: bool | None = None
    lake: str = ""
    polars: str = ""

    @property
    def mixed(self) -> bool:
        """Whether a range of the table was made by other code than the rest: no code makes all of it."""
        return self.fingerprint.startswith(MIXED)


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


class Accepted(_Frozen):
    """Rejects beyond what the table allows at once that somebody set aside all the same: how many, who did, and why."""

    rows: int
    by: str
    why: str

    def line(self) -> str:
        """In words."""
        return f"{counted(self.rows, 'rejected row')} accepted by {self.by}: {self.why}"


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
    mode: Literal["full", "incremental", "range", "readmit", "verify"] = "incremental"
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
    structure: dict[str, Any] | None = Field(None, description="object and lines: the structural lines of the raw files of this batch, beside the quarantine.")
    tombstones: dict[str, Any] | None = Field(None, description="version and rows of the tombstones of this table after the commit.")
    conversions: dict[str, str] = {}
    content: ContentHash | None = None
    rows: int
    bytes: int
    data_files: int
    rejects: int = Field(0, description="Rows in the table's quarantine after this commit.")
    accepted: Accepted | None = Field(None, description="Rejects of this batch beyond the limits that somebody set aside all the same.")
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
        return hidden(self.model_dump_json(exclude_defaults=True), addresses=False)


def read_record(commit_info: dict[str, Any], names: Names | None = None) -> Record | None:
    """The record inside a Delta commitInfo action, or None for a commit that lake did not make. It speaks of tables by the `names` they have now."""
    text = commit_info.get(RECORD_KEY)
    if not isinstance(text, str):
        return None
    record = Record.model_validate_json(text)
    return _by_names(record, names) if names else record


def _by_names(record: Record, names: Names) -> Record:
    now: dict[str, Any] = {
        "table": names.path(names.now(record.table)), "inputs": [one.model_copy(update={"table": names.now(one.table)}) for one in record.inputs],
        "reason": names.within(record.reason), "rules": names.within(record.rules), "warned": names.within(record.warned),
        "checks": [one.model_copy(update={"name": names.within(one.name), "limit": names.within(one.limit)}) for one in record.checks],
    }  # fmt: skip
    if record.schema_document is not None:
        now["schema_document"] = names.document(record.schema_document)
    return record.model_copy(update=now)
