"""What lake says to Prefect as events, for automations to act on. Names and resources stand in `lake/events.py`."""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from lake import events
from lake.errors import LakeError
from lake.landed import Landed
from lake.pipeline import Pipeline, Report, StepResult
from lake.run import Run


def emit(event: str, resource: dict[str, str], payload: dict[str, Any]) -> None:
    """Send an event. It goes out in the background; one that is lost is made good by what runs on a schedule."""
    emit_event(event, resource=resource, payload=payload)


def say_landed(run: Run, pipeline: Pipeline, landed: Landed, *, by: str) -> None:
    """New files are in raw, brought there `by` the flow of that name; or files were left out as copies of those."""
    resource = events.landing_resource(run.settings.env, pipeline.name, by)
    if landed.copies:
        copies = dict(list(landed.copies.items())[:20])
        told = {"source": landed.source, "files": len(landed.duplicates), "copies": copies, "hint": 'Source(copies="deliver")', "run": run.info.id}
        emit(events.FILES_LEFT_OUT, resource, told)
    if landed.new:
        files = {"source": landed.source, "files": len(landed.new), "first": landed.new[:20], "bytes": landed.bytes}
        emit(events.FILES_LANDED, resource, files | {"run": run.info.id})


def say_rejected(run: Run, result: StepResult) -> None:
    """Rows were set aside, within what the table allows."""
    for outcome in result.outcomes:
        if outcome.ledger.rejected:
            told = {"table": outcome.table, "version": outcome.version, "rejected": outcome.ledger.rejected, "read": outcome.ledger.read, "run": run.info.id}
            emit(events.ROWS_REJECTED, events.table_resource(run.settings.env, outcome.table), told)


def say_failed(run: Run, pipeline: Pipeline, step: str, error: LakeError) -> None:
    """A step stopped, and published nothing."""
    name = events.name_of(error)
    if name is not None:
        where = events.table_resource(run.settings.env, step) if not step.startswith("land ") else events.subject_resource(run.settings.env, pipeline.name)
        emit(name, where, {"step": step, "error": type(error).__name__, "message": str(error), "run": run.info.id})


def say_released(run: Run, pipeline: Pipeline, report: Report) -> None:
    """Readers see something new."""
    if report.release is not None and report.released:
        same = [one.table for one in report.moved if one.same_rows]
        changed = [outcome.table for result in report.results.values() for outcome in result.outcomes if outcome.changed and outcome.table not in same]
        told = {"release": report.release.number, "tables": len(report.release.tables), "changed": changed, "again": same, "run": run.info.id}
        emit(events.RELEASE_PUBLISHED, events.subject_resource(run.settings.env, pipeline.name), told)
