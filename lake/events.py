"""The events that lake sends, what they are about, and which errors are told by which. Prefect carries them; nothing here knows Prefect."""

from __future__ import annotations

from lake.errors import ContractBroken, DiskFull, DTypeRefused, LakeError, LedgerOpen, RejectLimitExceeded, SchemaRefused, StoreError

FILES_WAITING = "lake.files.waiting"
"""A source offers files that have not landed."""
FILES_LANDED = "lake.files.landed"
FILES_LEFT_OUT = "lake.files.left-out"
"""Files were not taken in since their very bytes had landed under another name."""
ROWS_REJECTED = "lake.rows.rejected"
"""Rows were set aside, within the limits of their table."""
REJECTS_EXCEEDED = "lake.rejects.exceeded"
"""More rows would have been rejected than the table allows: nothing was published."""
CONTRACT_BROKEN = "lake.contract.broken"
"""A rule that must hold did not, or columns changed in a way that is not allowed: nothing was published."""
TABLE_STALE = "lake.table.stale"
"""A table is older than its freshness promise."""
RELEASE_PUBLISHED = "lake.release.published"
STORE_TROUBLE = "lake.store.trouble"
DISK_LOW = "lake.disk.low"
VERIFY_FAILED = "lake.verify.failed"
"""What stands in a table is not what its inputs give."""

_TOLD_BY: tuple[tuple[tuple[type[LakeError], ...], str], ...] = (
    ((RejectLimitExceeded,), REJECTS_EXCEEDED),
    ((ContractBroken, SchemaRefused, DTypeRefused, LedgerOpen), CONTRACT_BROKEN),
    ((DiskFull,), DISK_LOW),
    ((StoreError,), STORE_TROUBLE),
)


def name_of(error: LakeError) -> str | None:
    """The event that tells of this error; None where only the failed run does."""
    return next((name for kinds, name in _TOLD_BY if isinstance(error, kinds)), None)


def subject_resource(env: str, subject: str) -> dict[str, str]:
    """What an event about a subject is about."""
    return {"prefect.resource.id": f"lake.subject.{env}.{subject}", "prefect.resource.name": subject, "lake.env": env, "lake.subject": subject}


def landing_resource(env: str, subject: str, by: str) -> dict[str, str]:
    """What an event about files that landed is about; `by` is the flow that landed them: one that refreshes needs no other to follow."""
    return subject_resource(env, subject) | {"lake.by": by}


def table_resource(env: str, table: str) -> dict[str, str]:
    """What an event about a table is about."""
    subject = table.split(".")[1]
    return {"prefect.resource.id": f"lake.table.{env}.{table}", "prefect.resource.name": table, "lake.env": env, "lake.subject": subject, "lake.table": table}


def store_resource(env: str) -> dict[str, str]:
    """What an event about the store, or the disk that lake works on, is about."""
    return {"prefect.resource.id": f"lake.store.{env}", "prefect.resource.name": f"the store of {env}", "lake.env": env}
