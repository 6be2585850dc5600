"""A step of a pipeline as a Prefect task: named after its table, passing references and never frames."""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger
from prefect.assets import Asset, AssetProperties
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.tasks import MaterializingTask, Task

from lake.errors import LakeError
from lake.orchestration.api import tell
from lake.orchestration.artifacts import landing_progress, show_table
from lake.orchestration.events import say_failed, say_landed, say_rejected
from lake.orchestration.retries import worth_retrying
from lake.pipeline import Pipeline, Report, Step, StepResult, do_step, recomputed
from lake.plan import Range
from lake.run import Run
from lake.source import Source
from lake.table import path_of

Reference = dict[str, Any]
RETRY_AFTER: tuple[float, ...] = (1, 5, 20)  # seconds


def task_of(
    run: Run, pipeline: Pipeline, step: Step, report: Report, *, full: bool, backfill: Range | None, chosen: frozenset[str], retries: int
) -> Task[..., Any]:
    """The step as a task. It takes the references of what it needs, and returns one: a table and its version."""
    again, part = recomputed(step.name, full=full, backfill=backfill, chosen=chosen)

    progress = landing_progress(run, step.work) if isinstance(step.work, Source) and step.kind == "land" else _unseen

    def work(inputs: list[Reference]) -> Reference | State[Any]:
        logger = get_run_logger()
        for given in inputs:
            logger.debug("reads %s", given)
        try:
            result = do_step(run, step, full=again, backfill=part, progress=progress)
        except LakeError as error:
            report.failures[step.name] = error
            tell((step.name, error))
            if worth_retrying(error):
                raise
            say_failed(run, pipeline, step.name, error)
            logger.error("%s", error if str(error).startswith(step.name) else f"{step.name}: {error}")  # noqa: TRY400  # the message says it all; a traceback would bury it
            return Failed(message=str(error))
        report.failures.pop(step.name, None)
        report.results[step.name] = result
        logger.info("%s: %s (%s)", step.name, result.line, _spent(result))
        tell(result)
        if result.landed is not None:
            say_landed(run, pipeline, result.landed, by="refresh")
            return {"source": step.name}
        last = result.outcomes[-1]
        if any(outcome.changed for outcome in result.outcomes):
            show_table(run, last.table, last.version)
            say_rejected(run, result)
        return {"table": last.table, "version": last.version}

    return _task(run, step, work, retries)


def _task(run: Run, step: Step, work: Any, retries: int) -> Task[..., Any]:
    # no tags: for each of them Prefect asks its server for a slot, through a client of its own that gives up at the first refused connection
    options: dict[str, Any] = {
        "name": step.name, "task_run_name": step.name, "retries": retries, "retry_delay_seconds": list(RETRY_AFTER[:retries]),
        "retry_condition_fn": lambda _task, _run, state: _is_passing_trouble(state), "cache_policy": NO_CACHE, "persist_result": False,
    }  # fmt: skip
    if step.kind == "land":
        return Task(work, **options)
    table = step.work.table if step.kind == "hop" else step.work.into  # type: ignore[union-attr]  # what the kind says
    about = AssetProperties(name=table.name, description=table.summary or None, owners=[table.owner] if table.owner else None)
    upstream: list[Asset | str] = [run.store.uri(path_of(name)) for name in step.after if not name.startswith("land ")]
    return MaterializingTask(
        work, assets=[Asset(key=run.store.uri(path_of(table.name)), properties=about)], materialized_by="lake", asset_deps=upstream, **options
    )


def _spent(result: StepResult) -> str:
    """How long a step took, and where most of it went."""
    told = [f"{phase} {seconds:.2f}" for phase, seconds in sorted(result.spent.seconds.items(), key=lambda item: -item[1])[:3] if seconds >= 0.05]
    return f"{result.seconds:.2f} s" + (f": {', '.join(told)}" if told else "")


def _unseen(*_: Any) -> None:
    """Shows nothing."""


def _is_passing_trouble(state: State[Any]) -> bool:
    try:
        error = state.data if isinstance(state.data, BaseException) else state.result(raise_on_failure=False)
    except Exception:  # noqa: BLE001  # whatever keeps the result from being read, it is no reason to try again
        return False
    return isinstance(error, BaseException) and worth_retrying(error)
