"""Runs that no process works on any more are brought to an end, whatever was killed and whatever Prefect forgot meanwhile.

The automation on missing heartbeats does so within two minutes where the server saw the run fall silent. This is for the rest: a
server that was away just then, a worker killed between taking a run and starting it, a cancellation nobody was there to carry out. A run
that only seems to be there holds the place of its deployment, and every run that comes meanwhile is turned away: so it is not left there long.
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

from lake.processes import runs_here

EVERY = 10.0  # seconds
_GOING = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_STARTS = dt.timedelta(seconds=45)
"""How long a run may be about to start. It holds the one place of its deployment meanwhile, and who comes is turned away."""
_SILENT = dt.timedelta(seconds=90)
"""After how long without a word a run that no process here works on is taken for gone: three heartbeats."""
_SILENT_ELSEWHERE = dt.timedelta(minutes=4)
"""The same where processes cannot be looked at: eight heartbeats, so that a server that was away for a minute or two does no harm."""


async def reap_now_and_then(deployments: dict[str, UUID], said: Callable[[str], None]) -> None:
    """Reap every ten seconds, for ever. Trouble with the API is waited out."""
    told: set[UUID] = set()
    while True:
        try:
            async with get_client() as client:
                for line in await reap(client, deployments, told):
                    said(line)
        except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError):
            pass  # Prefect is away; the next round looks again
        await asyncio.sleep(EVERY)


async def reap(client: PrefectClient, deployments: dict[str, UUID], told: set[UUID]) -> list[str]:
    """End the runs of these deployments that nobody works on and that have been silent for too long; returns what to say of them, and of those that may be next.

    `told` has the runs of which the latter was said.
    """
    found = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_GOING))),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=list(deployments.values()))),
    )
    lines = []
    here = runs_here()
    for run in found:
        if run.state is None or (here is not None and str(run.id) in here):
            continue
        silent = _STARTS if run.state.type == StateType.PENDING else _SILENT_ELSEWHERE if here is None else _SILENT
        left = silent - (dt.datetime.now(dt.UTC) - run.state.timestamp)
        if left <= dt.timedelta(0) and not await _heard(client, run, silent):
            cancelling = run.state.type == StateType.CANCELLING
            why = "Its process was gone when it was to be cancelled" if cancelling else "Its process is gone; the next run goes on from what is committed"
            await client.set_flow_run_state(run.id, Cancelled(message=why) if cancelling else Crashed(message=why), force=True)
            told.discard(run.id)
            lines.append(f"run {run.name} was gone, and is marked so: its place is free")
        elif here is not None and left > dt.timedelta(0) and run.id not in told:
            told.add(run.id)
            lines.append(
                f"run {run.name} is {run.state.type.value.lower()}, and no process here works on it; silent for {left.seconds} s more, it is marked as gone"
            )
    return lines


async def _heard(client: PrefectClient, run: FlowRun, silent: dt.timedelta) -> bool:
    """Whether the run's process sent a heartbeat of late."""
    wanted = EventFilter(
        occurred=EventOccurredFilter.model_validate({"since": dt.datetime.now(dt.UTC) - silent}),
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    return bool((await client.read_events(filter=wanted, limit=1)).events)
