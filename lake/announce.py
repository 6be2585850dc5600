"""Telling a finished run to OpenLineage: beside the run, for a bounded time, and only where its client is configured. Never a reason to fail.

The commits are the outbox: what was not sent in time, or while nobody listened, `lake lineage --export --since` sends again.
"""

from __future__ import annotations

import threading

from lake.catalog import Catalog
from lake.pipeline import Report
from lake.run import Run
from lake.settings import lineage_is_wanted
from lake.wording import in_words

_PATIENCE = 5.0  # seconds


def announce(run: Run, report: Report, *, patience: float = _PATIENCE) -> str | None:
    """Send the events of what a run committed and of the steps that failed. Returns what to say if not all were sent; None if all is well."""
    if not lineage_is_wanted():
        return None
    trouble: list[str] = []
    work = threading.Thread(target=_send, args=(run, report, trouble), name="openlineage", daemon=True)
    work.start()
    work.join(patience)
    if work.is_alive():
        trouble.append(f"nobody took them within {patience:g} s")
    again = f"lake lineage --export --since {run.info.started:%Y-%m-%dT%H:%M:%S}"
    return f"not all OpenLineage events were sent ({trouble[0]}); `{again}` sends those of commits" if trouble else None


def _send(run: Run, report: Report, trouble: list[str]) -> None:
    try:
        from lake.openlineage import events_of_run, failure_of, transport  # imports the client, which takes a while

        sender = transport()
        if sender is None:
            return
        catalog = Catalog(run.store)
        for event in events_of_run(catalog, run.settings, run.info, filter(_is_table, report.results | report.failures)):
            sender.emit(event)
        for step, error in report.failures.items():
            if _is_table(step):
                for event in failure_of(run.store, run.settings, run.info, step, str(error)):
                    sender.emit(event)
        sender.close(timeout=-1)
    except Exception as error:  # noqa: BLE001  # whatever the client or the network raises, the run stands
        trouble.append(in_words(error))


def _is_table(step: str) -> bool:
    """Whether a step is named after the table it fills: landings and the release are not."""
    return step.count(".") == 2 and " " not in step
