"""Pipelines as Prefect flows: each step a task named after its table, in dependency order, passing references and never frames."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from lake.errors import CommitConflict, LakeError, StoreError, StoreRefused, StoreUntrusted
from lake.pipeline import Pipeline, Report, Step, StepResult, do_step
from lake.plan import Range
from lake.prefect_server import client_environment, prefect_is_configured, prefect_service
from lake.run import Run, begin_run
from lake.settings import load_settings

if not prefect_is_configured():  # Prefect reads these when it is imported
    os.environ.update(client_environment(load_settings()))

from prefect import Flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectFuture, wait
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

Told = Callable[[StepResult | tuple[str, LakeError]], None]
Reference = dict[str, Any]
_RETRY_AFTER: tuple[float, ...] = (1, 5, 20)  # seconds
_listeners: list[Told] = []


class LakeFlow(Flow[..., Any]):
    """A Prefect flow that runs with nothing prepared: called where no Prefect API is configured, it brings its own server."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow here, in this process."""
        with served():
            return super().__call__(*args, **kwargs)


@contextlib.contextmanager
def served() -> Iterator[str]:
    """A Prefect API for this process: the configured one, or a server of the project's own for as long as it is needed. Yields its URL."""
    quiet: dict[Any, Any] = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}  # heartbeats cost a second a run and say nothing about one in this process
    if PREFECT_API_URL.value():
        with temporary_settings(quiet):
            yield str(PREFECT_API_URL.value())
        return
    service = prefect_service(load_settings())
    url = f"{service.hold()['url']}/api"
    try:
        with temporary_settings({PREFECT_API_URL: url, **quiet}):
            yield url
            APILogHandler().flush()
            EventsWorker.drain_all(timeout=10)  # task runs are recorded from events; the server must have them before it stops
    finally:
        service.release(wait=True)


@contextlib.contextmanager
def listening(told: Told) -> Iterator[None]:
    """Have `told` called with each step's result (or its name and error) of the flows this process runs meanwhile."""
    _listeners.append(told)
    try:
        yield
    finally:
        _listeners.remove(told)


def refresh_flow(pipeline: Pipeline, *, retries: int = len(_RETRY_AFTER)) -> LakeFlow:
    """The flow that brings every table of `pipeline` up to date and releases. `full` recomputes the hops from everything they read."""

    def refresh(full: bool = False, start: str | None = None, end: str | None = None) -> State[Any]:
        settings = load_settings()
        backfill = Range(start, end) if start or end else None
        context = FlowRunContext.get()
        flow_run = context.flow_run if context else None
        trigger = "deployment" if flow_run and flow_run.deployment_id else os.environ.get("LAKE_TRIGGER", "prefect")
        report = Report()
        with begin_run(settings, pipeline.name, trigger, prefect_flow_run=str(flow_run.id) if flow_run else None) as run:
            pipeline.prepare(run)
            futures: dict[str, PrefectFuture[Any]] = {}
            for step in pipeline.steps:
                work = _task_of(run, step, report, full=full, backfill=backfill, retries=retries)
                futures[step.name] = work.submit(inputs=[futures[up] for up in step.after])
            wait(list(futures.values()))
            report.skipped = [name for name in futures if name not in report.results and name not in report.failures]
            pipeline.finish(run, report)
        return _final_state(report)

    refresh.__doc__ = f"{pipeline.description}\n\nLands what is new and carries it to gold; ends with a release. `full` recomputes every hop; `start` and `end` (dates) a range."
    return LakeFlow(
        refresh, name=pipeline.name, flow_run_name=f"{pipeline.name} refresh", validate_parameters=True, log_prints=False,
        task_runner=ThreadPoolTaskRunner(max_workers=load_settings().threads),  # type: ignore[arg-type]  # its future type is narrower
    )  # fmt: skip


def _task_of(run: Run, step: Step, report: Report, *, full: bool, backfill: Range | None, retries: int) -> Any:
    """The step as a task. It takes the references of what it needs, and returns one: a table and its version."""

    def work(inputs: list[Reference]) -> Reference | State[Any]:
        logger = get_run_logger()
        for given in inputs:
            logger.debug("reads %s", given)
        try:
            result = do_step(run, step, full=full, backfill=backfill)
        except LakeError as error:
            report.failures[step.name] = error
            _tell((step.name, error))
            if _worth_retrying(error):
                raise
            logger.error("%s", error)  # noqa: TRY400  # the message says it all; a traceback would bury it
            return Failed(message=str(error))
        report.failures.pop(step.name, None)
        report.results[step.name] = result
        logger.info("%s (%.2f s)", result.line, result.seconds)
        _tell(result)
        last = result.outcomes[-1] if result.outcomes else None
        return {"table": last.table, "version": last.version} if last else {"source": step.name}

    decorate = task(
        name=step.name, task_run_name=step.name, tags=[step.kind], retries=retries, retry_delay_seconds=list(_RETRY_AFTER[:retries]),
        retry_condition_fn=lambda _task, _run, state: _is_passing_trouble(state), cache_policy=NO_CACHE, persist_result=False,
    )  # fmt: skip
    return decorate(work)


def _worth_retrying(error: BaseException) -> bool:
    """Trouble that may pass: a store that does not answer, a lost race. Keys, contracts and code do not mend themselves."""
    return isinstance(error, StoreError | CommitConflict) and not isinstance(error, StoreRefused | StoreUntrusted)


def _is_passing_trouble(state: State[Any]) -> bool:
    try:
        error = state.data if isinstance(state.data, BaseException) else state.result(raise_on_failure=False)
    except Exception:  # noqa: BLE001  # whatever keeps the result from being read, it is no reason to try again
        return False
    return isinstance(error, BaseException) and _worth_retrying(error)


def _final_state(report: Report) -> State[Any]:
    try:
        report.raise_failures()
    except LakeError as error:
        return Failed(message=str(error))
    return Completed(message=report.verdict, data={"release": report.release.number if report.release else None, "released": report.released})


def _tell(what: StepResult | tuple[str, LakeError]) -> None:
    for told in _listeners:
        told(what)
