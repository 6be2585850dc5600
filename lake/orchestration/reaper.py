"""Runs that no process works on any more are brought to an end, whatever was killed and whatever Prefect forgot meanwhile.

The automation on missing heartbeats does so within two minutes where the server saw the run fall silent. This is for the rest: a
server that was away just then, a worker killed between taking a run and starting it, a cancellation nobody was there to carry out.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Cancelled, Crashed

EVERY = 120.0  # seconds
SILENT = dt.timedelta(minutes=4)
"""After how long without a word a run is taken for gone: eight heartbeats, so that a server that was away for a minute or two does no harm."""
_GOING = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


async def reap_now_and_then(deployments: dict[str, UUID], said: Callable[[str], None], silent: dt.timedelta = SILENT) -> None:
    """Reap every two minutes, for ever. Trouble with the API is waited out."""
    while True:
        try:
            async with get_client() as client:
                for name in await reap(client, deployments, silent):
                    said(f"run {name} was gone, and is marked so")
        except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError):
            pass  # Prefect is away; the next round looks again
        await asyncio.sleep(EVERY)


async def reap(client: PrefectClient, deployments: dict[str, UUID], silent: dt.timedelta) -> list[str]:
    """End the runs of these deployments that have been silent for as long as `silent`. Returns their names."""
    found = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_GOING))),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=list(deployments.values()))),
    )
    ended = []
    for run in found:
        if run.state is None or dt.datetime.now(dt.UTC) - run.state.timestamp < silent or await _heard(client, run, silent):
            continue
        cancelling = run.state.type == StateType.CANCELLING
        told = "Its process was gone when it was to be cancelled" if cancelling else "Its process is gone; the next run goes on from what is committed"
        await client.set_flow_run_state(run.id, Cancelled(message=told) if cancelling else Crashed(message=told), force=True)
        ended.append(run.name)
    return ended


async def _heard(client: PrefectClient, run: FlowRun, silent: dt.timedelta) -> bool:
    """Whether the run's process sent a heartbeat of late."""
    wanted = EventFilter(
        occurred=EventOccurredFilter.model_validate({"since": dt.datetime.now(dt.UTC) - silent}),
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    return bool((await client.read_events(filter=wanted, limit=1)).events)
