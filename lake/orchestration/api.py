"""Reaching Prefect: the environment it reads when it is imported, the API of this process, and flows that bring their own server.

Whatever imports Prefect imports this first.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from lake.deployment import Deployment
from lake.errors import LakeError
from lake.logs import HidingRecord
from lake.patience import telling
from lake.pipeline import StepResult
from lake.plain_text import in_line
from lake.prefect_server import client_environment, prefect_is_configured, prefect_service
from lake.settings import load_settings

if not prefect_is_configured():  # Prefect reads these when it is imported
    os.environ.update(client_environment(load_settings()))

from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.exceptions import FailedRun
from prefect.logging.handlers import APILogHandler
from prefect.logging.loggers import flow_run_logger as run_logger
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

Told = Callable[[StepResult | tuple[str, LakeError]], None]
_listeners: list[Told] = []


class LakeFlow(Flow[..., Any]):
    """A Prefect flow that runs with nothing prepared: called where no Prefect API is configured, it brings its own server.

    `deployment` says how it runs by itself; its entrypoint is filled in when the flow is found in a project.
    """

    deployment: Deployment

    def deployed_from(self, entrypoint: str) -> LakeFlow:
        """This flow, with the module path where it was found in its deployment."""
        self.deployment = replace(self.deployment, entrypoint=entrypoint)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow here, in this process."""
        with served(), telling(_warn):
            return super().__call__(*args, **kwargs)


def _warn(line: str) -> None:
    """What is waited for, in the log of the run, whichever of its threads waits."""
    run = FlowRunContext.get()
    if run is not None:
        run_logger(run.flow_run).warning("%s", line)


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


def tell(what: StepResult | tuple[str, LakeError]) -> None:
    """Call those that listen."""
    for told in _listeners:
        told(what)


def current_flow_run() -> FlowRun | None:
    """The flow run that this code is part of; None outside of one."""
    context = FlowRunContext.get()
    return context.flow_run if context else None


def current_parameters() -> dict[str, Any]:
    """The parameters of the flow run that this code is part of, as its flow gets them; none outside of one."""
    context = FlowRunContext.get()
    return dict(context.parameters or {}) if context else {}


def trigger() -> str:
    """What started this run: a deployment, the command line, or somebody's Python."""
    flow_run = current_flow_run()
    return "deployment" if flow_run and flow_run.deployment_id else os.environ.get("LAKE_TRIGGER", "prefect")


class _Noise(logging.Filter):
    """Drops what the page of a run shows anyway: that tasks were created and ended."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record says something that is not in the run's own picture."""
        return not str(record.msg).startswith(
            ("Finished in state", "Created task run", "Submitted task run", "Task run ", "Beginning flow run", "Created flow run")
        )


class _OwnWords(logging.Filter):
    """Tells an error of lake's as the line that it is, where Prefect would add how its own code came to it. Of any other error nothing is left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be shown: always."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else record.exc_info
        if (told := _told_by_lake(error)) is not None:
            record.msg, record.args, record.exc_info, record.exc_text, record.stack_info = "%s", (in_line(told),), None, None, None
        return True


def _told_by_lake(error: object) -> str | None:
    """What lake said of an error that Prefect met, however it is wrapped; None where lake said nothing."""
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        if isinstance(error, LakeError | FailedRun):  # of runs that failed, lake wrote the message
            return str(error)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


logging.setLogRecordFactory(HidingRecord)  # Prefect keeps what flows and its own code log
_NOISE, _OWN_WORDS = _Noise(), _OwnWords()
for _name in ("prefect.task_runs", "prefect.flow_runs"):
    logging.getLogger(_name).addFilter(_NOISE)
for _name in ("prefect.task_runs", "prefect.flow_runs", "prefect.engine", "prefect.flow_engine", "prefect.task_engine", "prefect"):
    logging.getLogger(_name).addFilter(_OWN_WORDS)
