"""The flow that computes a range of months again: some at once, each table one month at a time, and what is done stays done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Lock
from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.states import Completed, Failed
from pydantic import Field

from lake.announce import announce
from lake.backfill import is_done
from lake.deployment import Deployment
from lake.errors import LakeError
from lake.orchestration.api import LakeFlow, current_flow_run, trigger
from lake.orchestration.artifacts import Progress, key_of, show_run, show_table
from lake.orchestration.events import say_released
from lake.orchestration.parameters import Day, choices, described
from lake.orchestration.refresh import leave
from lake.orchestration.retries import Tried, persisting
from lake.orchestration.run_names import rename_run, run_name
from lake.pipeline import Pipeline, Report, Step, do_step
from lake.plan import Range
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.wording import counted

_MOST_AT_ONCE = 4


def backfill_flow(pipeline: Pipeline, *, owner: str = "", tags: tuple[str, ...] = (), timeout: dt.timedelta | None = None, retries: int = 0) -> LakeFlow:
    """The flow that computes months of the tables that have a time again, from what they have read already, and releases at the end.

    A month that is done, by the same code and from the same versions, is not done again: a run that was killed is resumed by
    running it once more. Raises nothing at declaration where no table has a time; such a flow fails with the reason.
    """
    timed = [step for step in pipeline.steps if step.kind == "hop" and pipeline.hops[step.name].table.time]
    table = choices("TimedTable", [step.name for step in timed])

    def backfill(first: dt.date, last: dt.date, tables: list[Any] = [], at_once: int = 2, again: bool = False) -> State[Any]:  # noqa: B006  # a default that Prefect shows
        if not timed:
            return Failed(message=f"no table of {pipeline.name} declares a time, so there is no range to compute")
        if (last.year, last.month) < (first.year, first.month):
            return Failed(message="the last month is before the first")
        names = {str(getattr(name, "value", name)) for name in tables} or {step.name for step in timed}
        flow_run = current_flow_run()
        with begin_run(load_settings(), pipeline.name, trigger(), prefect_flow_run=str(flow_run.id) if flow_run else None) as run:
            try:
                steps = [step for step in timed if step.name in names]
                return persisting(retries, lambda: _backfilled(run, pipeline, steps, list(months(first, last)), at_once=at_once, again=again))
            except TerminationSignal:
                leave(run)
                raise

    backfill.__annotations__ |= {
        "first": Day, "last": Day, "tables": list[table], "at_once": Annotated[int, Field(ge=1, le=_MOST_AT_ONCE)], "again": bool,  # type: ignore[valid-type]
    }  # fmt: skip
    told = f"{pipeline.description}\n\nComputes months of the tables that have a time again, from what they have read already."
    described(
        backfill, told, first="A day in the first month", last="A day in the last month",
        tables="Which tables; none chosen: all that have a time, in the order in which they are made",
        at_once="How many months are under way at once; a table does one at a time", again="Also the months that are done, by this code and from these versions",
    )  # fmt: skip
    flow = LakeFlow(
        backfill, name=pipeline.name, description=told, flow_run_name=run_name(f"{pipeline.name} backfill", " {first:%Y-%m} to {last:%Y-%m}"), validate_parameters=True,
        log_prints=False, timeout_seconds=timeout.total_seconds() if timeout else None,
    )  # fmt: skip
    flow.deployment = Deployment(pipeline.name, "backfill", "", description=told, owner=owner, tags=tags, timeout=timeout, retries=retries)
    return flow


def months(first: dt.date, last: dt.date) -> Iterator[Range]:
    """The months from that of `first` to that of `last`, each from its first day until the first of the next."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        then = (year + month // 12, month % 12 + 1)
        yield Range(f"{year:04}-{month:02}-01", f"{then[0]:04}-{then[1]:02}-01")
        year, month = then


def _backfilled(run: Run, pipeline: Pipeline, steps: list[Step], ranges: list[Range], *, at_once: int, again: bool) -> Tried:
    logger = get_run_logger()
    pipeline.prepare(run)
    turns = {step.name: Lock() for step in steps}  # a table takes one commit after the other; months pass each other between tables
    report = Report()
    skipped = 0

    def month(part: Range, progress: Progress) -> None:
        nonlocal skipped
        for step in steps:
            with turns[step.name]:
                if not again and is_done(run, pipeline.hops[step.name], part):
                    skipped += 1
                    logger.info("%s %s: done before", step.name, part.start)
                    progress.step(f"{step.name} {part.start}")
                    continue
                result = do_step(run, step, backfill=part)
            report.results[step.name] = result
            logger.info("%s %s: %s (%.2f s)", step.name, part.start, result.line, result.seconds)
            progress.step(f"{step.name} {part.start}")

    progress = Progress(key_of(run.settings.env, pipeline.name, "backfill"), len(ranges) * len(steps))
    with ThreadPoolExecutor(at_once) as pool:
        going = [pool.submit(month, part, progress) for part in ranges]
        ended = wait(going, return_when=FIRST_EXCEPTION)
        for future in ended.not_done:
            future.cancel()
        failed = next((error for future in ended.done if (error := future.exception()) is not None), None)
    if isinstance(failed, LakeError):
        return Failed(message=f"{failed} What is done stays done: run it again to go on"), [failed]
    if failed is not None:
        raise failed
    return _finished(run, pipeline, report, done=len(ranges) * len(steps) - skipped, skipped=skipped)


def _finished(run: Run, pipeline: Pipeline, report: Report, *, done: int, skipped: int) -> Tried:
    """Bring what reads the tables to agree with them, and release."""
    for step in pipeline.steps:
        if step.kind != "land":
            report.results[step.name] = do_step(run, step)
    pipeline.finish(run, report)
    if unsent := announce(run, report):
        get_run_logger().warning("%s", unsent)
    for result in report.results.values():
        if any(outcome.changed for outcome in result.outcomes):
            show_table(run, result.step, result.outcomes[-1].version)
    show_run(run, pipeline, report)
    say_released(run, pipeline, report)
    try:
        report.raise_failures()
    except LakeError as error:
        return Failed(message=str(error)), list(report.failures.values())
    rename_run(f"{pipeline.name} backfill · {report.verdict}")
    return Completed(message=f"{counted(done, 'month')} of tables computed, {skipped} done before; {report.verdict}"), []
