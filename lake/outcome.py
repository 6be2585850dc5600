"""What became of one step of a run: a reference to a table version with its ledger, small enough to pass between tasks."""

from __future__ import annotations

from dataclasses import dataclass

from lake.record import Ledger, Record


@dataclass(frozen=True)
class Outcome:
    """One table after a step. `changed` says whether a version was committed; `version` is -1 where there is no table yet.

    `notices` say which raw files were rejected whole, and what was different about those that came in. `mode` is empty where nothing was
    committed; `rejects` are the rows in the table's quarantine.
    """

    table: str
    version: int
    changed: bool
    reason: str
    rows: int
    ledger: Ledger
    schema_version: int
    content: str | None
    code: str | None
    seconds: float = 0.0
    notices: tuple[str, ...] = ()
    mode: str = ""
    rejects: int = 0

    @classmethod
    def published(cls, table: str, version: int, record: Record, seconds: float) -> Outcome:
        """The step committed `record` as `version`."""
        return cls._of(table, version, record, changed=True, reason=record.reason, ledger=record.ledger, seconds=seconds)

    @classmethod
    def nothing(cls, table: str, version: int, record: Record | None, reason: str) -> Outcome:
        """The step found nothing to do; `record` is what the table's last commit said."""
        if record is None:
            return cls(table, version, False, reason, 0, Ledger(), 0, None, None)
        return cls._of(table, version, record, changed=False, reason=reason, ledger=Ledger(), seconds=0.0)

    @classmethod
    def at(cls, table: str, version: int, last: tuple[int, Record] | None) -> Outcome:
        """The table as another run left it at `version`."""
        return cls.nothing(table, version, last[1] if last else None, "brought on by another run")

    @classmethod
    def _of(cls, table: str, version: int, record: Record, *, changed: bool, reason: str, ledger: Ledger, seconds: float) -> Outcome:
        content = record.content.value if record.content else None
        code, notices = record.code.fingerprint if record.code else None, (*record.refusals, *(notice.line() for notice in record.notices)) if changed else ()
        mode = record.mode if changed else ""
        return cls(table, version, changed, reason, record.rows, ledger, record.schema_version, content, code, seconds, notices, mode, record.rejects)
