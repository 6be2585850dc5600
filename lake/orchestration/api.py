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
from lake.pipeline import StepResult
from lake.prefect_server import client_environment, prefect_is_configured, prefect_service
from lake.settings import load_settings

if not prefect_is_configured():  # Prefect reads these when it is imported
    os.environ.update(client_environment(load_settings()))

from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
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


def tell(what: StepResult | tuple[str, LakeError]) -> None:
    """Call those that listen."""
    for told in _listeners:
        told(what)


def current_flow_run() -> FlowRun | None:
    """The flow run that this code is part of; None outside of one."""
    context = FlowRunContext.get()
    return context.flow_run if context else None


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


_NOISE = _Noise()
for _name in ("prefect.task_runs", "prefect.flow_runs"):
    logging.getLogger(_name).addFilter(_NOISE)
