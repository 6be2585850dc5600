"""The flow that brings a subject up to date: land, bronze, silver, gold, release."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections import Counter
from enum import StrEnum
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from lake.announce import announce
from lake.deployment import Deployment, Schedule
from lake.errors import LakeError
from lake.forecast import forecast
from lake.orchestration.api import LakeFlow, current_flow_run, trigger
from lake.orchestration.artifacts import show_plan, show_run
from lake.orchestration.events import say_released
from lake.orchestration.parameters import Bound, choices, described
from lake.orchestration.retries import Tried, persisting
from lake.orchestration.run_names import rename_run, run_name
from lake.orchestration.spread import spreading
from lake.orchestration.step import RETRY_AFTER, task_of
from lake.pipeline import Pipeline, Report
from lake.plan import Range
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.wording import counted, in_words, several

_PATIENCE = 3.0  # seconds that a cancelled run has to report before it ends hard


class Mode(StrEnum):
    """How much is computed."""

    incremental = "incremental"
    full = "full"


def refresh_flow(
    pipeline: Pipeline,
    schedule: Schedule | None = None,
    *,
    owner: str = "",
    tags: tuple[str, ...] = (),
    timeout: dt.timedelta | None = None,
    retries: int = 0,
    step_retries: int = len(RETRY_AFTER),
) -> LakeFlow:
    """The flow that brings every table of `pipeline` up to date and releases.

    Deployed, it runs by `schedule`, one run at a time: a run that is due while another goes on is cancelled, for what it would have
    found waits for the next. `step_retries` are tries more of a step whose trouble may pass, `retries` of the whole run where all its trouble may.
    """
    table = choices("Table", [step.name for step in pipeline.steps if step.kind == "hop"])

    def refresh(
        mode: Mode = Mode.incremental, tables: list[Any] = [], start: str | None = None, until: str | None = None, dry_run: bool = False  # noqa: B006  # a default that Prefect shows; nobody changes it
    ) -> State[Any]:  # fmt: skip
        full, chosen = mode == Mode.full, frozenset(str(getattr(name, "value", name)) for name in tables)
        try:
            backfill = Range(start, until) if start is not None or until is not None else None
            pipeline.check_range(backfill, chosen)
        except LakeError as error:
            return Failed(message=str(error))
        if backfill and full:
            return Failed(message="full recomputes everything: leave out start and until, or choose incremental")
        flow_run = current_flow_run()
        settings = load_settings()
        with spreading(settings) as spread, begin_run(settings, pipeline.name, trigger(), prefect_flow_run=str(flow_run.id) if flow_run else None) as run:
            run.spread = spread
            if dry_run:
                return _foreseen(run, pipeline, full=full, backfill=backfill, chosen=chosen)

            def once() -> Tried:
                report = _done(run, pipeline, full=full, backfill=backfill, chosen=chosen, retries=step_retries)
                return _final_state(run, pipeline, report), list(report.failures.values())

            return persisting(retries, once)

    refresh.__annotations__ |= {"mode": Mode, "tables": list[table], "start": Bound | None, "until": Bound | None, "dry_run": bool}  # type: ignore[valid-type]
    told = f"{pipeline.description}\n\nLands what is new and carries it to gold; ends with a release."
    described(
        refresh,
        told,
        mode="incremental computes what is new; full computes every row again from raw",
        tables="Which tables full, start and until are about; none chosen: all. Others follow as they need to",
        start="Compute again a range of the tables that have a time: from this day",
        until="and until the day before this one",
        dry_run="Show what a run would do, and do nothing",
    )
    flow = LakeFlow(
        refresh, name=pipeline.name, description=told, flow_run_name=run_name(f"{pipeline.name} refresh"), validate_parameters=True, log_prints=False, timeout_seconds=timeout.total_seconds() if timeout else None,
        task_runner=ThreadPoolTaskRunner(max_workers=load_settings().threads),  # type: ignore[arg-type]  # its future type is narrower
    )  # fmt: skip
    flow.deployment = Deployment(pipeline.name, "refresh", "", description=told, schedule=schedule, owner=owner, tags=tags, timeout=timeout, retries=retries)
    return flow


def _done(run: Run, pipeline: Pipeline, *, full: bool, backfill: Range | None, chosen: frozenset[str], retries: int) -> Report:
    """Every step as a task, and the release."""
    report = Report()
    pipeline.prepare(run)
    futures: dict[str, PrefectFuture[Any]] = {}
    try:
        for step in pipeline.steps:
            work = task_of(run, pipeline, step, report, full=full, backfill=backfill, chosen=chosen, retries=retries)
            futures[step.name] = work.submit(inputs=[futures[up] for up in step.after])
        wait(list(futures.values()))
    except TerminationSignal:
        leave(run)
        raise
    missing = [step for step in pipeline.steps if step.name not in report.results and step.name not in report.failures]
    for step in missing:
        if set(step.after) <= report.results.keys():  # it could have been done: what stopped it is none of lake's errors
            told = in_words(str(futures[step.name].state.message))
            report.failures[step.name] = LakeError(f"{step.name}: {told}", "See the log of its task in Prefect")
    report.skipped = [step.name for step in missing if step.name not in report.failures]
    pipeline.finish(run, report)
    if unsent := announce(run, report):
        get_run_logger().warning("%s", unsent)
    return report


def leave(run: Run) -> None:
    """Publish nothing more, and end this process soon, whatever its threads are in the middle of: what they did not commit does not exist."""
    run.abandon()
    ending = threading.Timer(_PATIENCE, os._exit, (143,))
    ending.daemon = True
    ending.start()


def _foreseen(run: Run, pipeline: Pipeline, *, full: bool, backfill: Range | None, chosen: frozenset[str]) -> State[Any]:
    logger = get_run_logger()
    rows = forecast(run, pipeline, full=full, backfill=backfill, tables=chosen)
    files = sum(row["waiting"] or 0 for row in rows)
    page = show_plan(pipeline, rows)
    counts = Counter(row["changes"] for row in rows)
    told = f"dry run: {counted(files, 'file')} {several(files, 'waits', 'wait')}; of {counted(len(rows), 'table')} {counts['yes']} would change, {counts['maybe']} perhaps"
    logger.info("%s. %s", told, f"The plan: {page}" if page else "")
    rename_run(f"{pipeline.name} refresh · dry run")
    return Completed(message=told)


def _final_state(run: Run, pipeline: Pipeline, report: Report) -> State[Any]:
    page = show_run(run, pipeline, report)
    if page:
        get_run_logger().info("Each hop with its ledger: %s", page)
    say_released(run, pipeline, report)
    try:
        report.raise_failures()
    except LakeError as error:
        return Failed(message=str(error))
    rename_run(f"{pipeline.name} refresh · {f'release {report.release.number}' if report.released and report.release else 'nothing new'}")
    return Completed(message=report.verdict, data={"release": report.release.number if report.release else None, "released": report.released})
