"""The flow that copies what sources offer into raw, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.states import Completed, Failed

from lake.deployment import Deployment, Schedule
from lake.errors import LakeError, SourceError
from lake.landed import landed_line
from lake.landing import land
from lake.orchestration.api import LakeFlow, current_flow_run, trigger
from lake.orchestration.artifacts import landing_progress
from lake.orchestration.events import say_landed
from lake.orchestration.parameters import choices, described
from lake.orchestration.refresh import leave
from lake.orchestration.retries import Tried, persisting
from lake.orchestration.run_names import rename_run, run_name
from lake.pipeline import Pipeline
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.wording import counted


def land_flow(
    pipeline: Pipeline, schedule: Schedule | None = None, *, owner: str = "", tags: tuple[str, ...] = (), timeout: dt.timedelta | None = None, retries: int = 0
) -> LakeFlow:
    """The flow that lands what the sources of `pipeline` offer. Whatever landed is said as an event, by which a refresh is started."""
    source_name = choices("Source", pipeline.sources)

    def land(sources: list[Any] = []) -> State[Any]:  # noqa: B006  # a default that Prefect shows; nobody changes it
        flow_run = current_flow_run()
        chosen = [str(getattr(name, "value", name)) for name in sources] or list(pipeline.sources)
        with begin_run(load_settings(), pipeline.name, trigger(), prefect_flow_run=str(flow_run.id) if flow_run else None) as run:
            try:
                return persisting(retries, lambda: _landed(run, pipeline, [pipeline.sources[name] for name in chosen]))
            except TerminationSignal:
                leave(run)
                raise

    land.__annotations__ |= {"sources": list[source_name]}  # type: ignore[valid-type]
    told = f"{pipeline.description}\n\nCopies what its sources offer as it is, once, with a receipt each."
    described(land, told, sources="Which sources to look at; none chosen: all")
    flow = LakeFlow(
        land, name=pipeline.name, description=told, flow_run_name=run_name(f"{pipeline.name} land"), validate_parameters=True, log_prints=False, timeout_seconds=timeout.total_seconds() if timeout else None,
    )  # fmt: skip
    flow.deployment = Deployment(pipeline.name, "land", "", description=told, schedule=schedule, owner=owner, tags=tags, timeout=timeout, retries=retries)
    return flow


def _landed(run: Run, pipeline: Pipeline, sources: list[Source]) -> Tried:
    logger = get_run_logger()
    files = 0
    problems: list[LakeError] = []
    for source in sources:
        try:
            found = land(run, source, landing_progress(run, source))
        except LakeError as error:
            problems.append(error)
            logger.error("%s", error)  # noqa: TRY400  # the message says it all
            continue
        files += len(found.new)
        problems += [SourceError(problem, "What landed stands; correct it and land again") for problem in found.problems]
        logger.info("%s: %s", source.name, landed_line(found))
        say_landed(run, pipeline, found, by="land")
    rename_run(f"{pipeline.name} land · {counted(files, 'new file')}")
    state: State[object] = Failed(message="; ".join(map(str, problems))) if problems else Completed(message=f"{counted(files, 'new file')}")
    return state, list(problems)
