"""The worker: registers every deployment and automation of the project with Prefect, and runs what is due, each run in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runner import Runner

from lake.errors import LakeError, RunFailed
from lake.orchestration.api import LakeFlow
from lake.orchestration.automations import automations, notification_block, register_automations
from lake.orchestration.deploy import flows_of, known_deployment, register, runner_deployment
from lake.orchestration.reaper import reap_now_and_then
from lake.pipeline import Pipeline, load_pipeline, subjects
from lake.settings import Settings

_POLL = 2  # seconds
_HEARTBEAT = 30  # seconds
_PATIENCE = 120  # seconds for Prefect to answer


def serve(settings: Settings, *, said: Callable[[str], None], ready: Callable[[], None]) -> None:
    """Serve every deployment until stopped. `ready` is called when all are registered. Raises RunFailed where Prefect does not answer."""
    asyncio.run(_serve(settings, said, ready))


class _Runner(Runner):
    """A runner that, told to stop, cancels the runs it has going, waits until they have left, and ends."""

    def handle_sigterm(self, *_: Any) -> None:
        """Stop in the loop: a signal may come at any moment, also in the middle of a request."""
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(lambda: loop.create_task(self.astop()))


async def _serve(settings: Settings, said: Callable[[str], None], ready: Callable[[], None]) -> None:
    await _wait_for_prefect()
    flows, problems = flows_of(settings)
    for problem in problems:
        said(f"not deployed: {problem}")
    runner = _Runner(name=f"lake-{settings.env}", query_seconds=_POLL, heartbeat_seconds=_HEARTBEAT, limit=settings.runs, pause_on_shutdown=False)
    deployments: dict[str, UUID] = {}
    async with get_client() as client:
        for flow in flows:
            made = runner_deployment(flow, await known_deployment(client, flow))
            deployments[flow.deployment.full_name] = await runner.aadd_deployment(made)
            said(_told(flow))
        await register_automations(client, automations(settings, _pipelines(settings), deployments, await notification_block(settings.notify)))
    ready()
    reaping = asyncio.create_task(reap_now_and_then(deployments, said))
    try:
        await runner.start()
    finally:
        reaping.cancel()


async def register_all(settings: Settings) -> tuple[list[LakeFlow], list[str]]:
    """Register deployments and automations without running anything. Returns the flows, and what kept others from being deployed."""
    await _wait_for_prefect()
    flows, problems = flows_of(settings)
    deployments: dict[str, UUID] = {}
    await register(flows, deployments)
    async with get_client() as client:
        await register_automations(client, automations(settings, _pipelines(settings), deployments, await notification_block(settings.notify)))
    return flows, problems


async def _wait_for_prefect() -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        try:
            async with get_client() as client:
                if await client.api_healthcheck() is None:
                    return
        except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError):
            pass
        if asyncio.get_running_loop().time() > deadline:
            raise RunFailed("no Prefect answers at PREFECT_API_URL", "Start it (`lake up` brings one), or correct the address")
        await asyncio.sleep(1)


def _pipelines(settings: Settings) -> list[Pipeline]:
    found = []
    for name in subjects(settings):
        try:
            found.append(load_pipeline(settings, name))
        except LakeError:
            continue  # flows_of has told it
    return found


def _told(flow: LakeFlow) -> str:
    declared = flow.deployment
    when = f"{declared.schedule.cron} {declared.schedule.timezone}" if declared.schedule else "when somebody starts it"
    return f"{declared.full_name}: {when}"
