"""The deployments of a project: found in its flow.py files, registered with Prefect, or written down as prefect.yaml."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound

from lake.deployment import LAKE, Deployment, Schedule
from lake.errors import LakeError
from lake.orchestration.api import LakeFlow
from lake.orchestration.undeclared import undeclared
from lake.pipeline import open_flows, subjects
from lake.settings import Settings
from lake.wording import in_words

_HEAD = """\
# The deployments of this project, for `prefect deploy --all` to a work pool. Written by `lake deployments --write` from the flow.py
# files under flows/; `lake up` and `lake worker` serve the same ones without a work pool.
"""
WORK_POOL = "lake"


def flows_of(settings: Settings) -> tuple[list[LakeFlow], list[str]]:
    """Every flow to be deployed, and what kept others from being found. Those of a subject that has no flow.py are made up for it."""
    found: list[LakeFlow] = []
    problems: list[str] = []
    open_flows(settings)
    declared = [path.parent.name for path in sorted((settings.root / settings.flows).glob("*/flow.py"))]
    for name in sorted({*declared, *subjects(settings)}):
        try:
            found += _declared(f"{settings.flows}.{name}.flow") if name in declared else undeclared(name)
        except LakeError as error:
            problems.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001  # a mistake in one flow.py keeps no other from running
            problems.append(f"{settings.flows}/{name}/flow.py cannot be used: {in_words(error)}")
    if not any(flow.deployment.flow == LAKE for flow in found):
        found += undeclared(LAKE)
    names = [flow.deployment.full_name for flow in found]
    problems += [f"{name} is declared twice" for name in sorted({name for name in names if names.count(name) > 1})]
    return found, problems


async def known_deployment(client: PrefectClient, flow: LakeFlow) -> DeploymentResponse | None:
    """The flow's deployment as Prefect has it; None where it has none."""
    try:
        return await client.read_deployment_by_name(flow.deployment.full_name)
    except ObjectNotFound:
        return None


def runner_deployment(flow: LakeFlow, known: DeploymentResponse | None = None) -> RunnerDeployment:
    """The flow as a deployment that a runner serves. What people paused of the one that is `known`, all of it or its schedule, stays paused."""
    declared = flow.deployment
    paused = {str(one.schedule) for one in known.schedules if not one.active} if known else set()
    made = RunnerDeployment(
        name=declared.name, flow_name=declared.flow, entrypoint=declared.entrypoint, description=declared.told, tags=list(declared.labels),
        schedules=[_schedule(declared.schedule, paused)] if declared.schedule else [],
        paused=known.paused if known else None, concurrency_limit=declared.at_once,
        concurrency_options=ConcurrencyOptions.model_validate({"collision_strategy": declared.collision}),
    )  # fmt: skip
    RunnerDeployment._set_defaults_from_flow(made, flow)  # noqa: SLF001  # what from_flow does; that one takes the entrypoint from where the function stands
    return made


async def register(flows: list[LakeFlow], deployments: dict[str, UUID]) -> None:
    """Register each flow's deployment with the Prefect API, or bring it up to date; `deployments` gets their ids by full name."""
    for flow in flows:
        async with get_client() as client:
            known = await known_deployment(client, flow)
        found: Any = await runner_deployment(flow, known).aapply()
        deployments[flow.deployment.full_name] = found


def prefect_yaml(flows: list[LakeFlow]) -> str:
    """The text of prefect.yaml."""
    document = {
        "name": "lake",
        "deployments": [_entry(flow.deployment) for flow in flows],
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=140)


def _entry(declared: Deployment) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": declared.name, "entrypoint": _entrypoint(declared), "description": declared.told, "tags": list(declared.labels),
        "concurrency_limit": {"limit": declared.at_once, "collision_strategy": declared.collision}, "work_pool": {"name": WORK_POOL},
    }  # fmt: skip
    if declared.schedule:
        entry["schedules"] = [{"cron": declared.schedule.cron, "timezone": declared.schedule.timezone, "active": True}]
    return entry


def _entrypoint(declared: Deployment) -> str:
    """The file and name, which `prefect deploy` looks for; a module path where there is no such file."""
    module, _, name = declared.entrypoint.rpartition(".")
    return declared.entrypoint if module.startswith("lake.") else f"{module.replace('.', '/')}.py:{name}"


def _schedule(wanted: Schedule, paused: set[str]) -> DeploymentScheduleCreate:
    cron = CronSchedule(cron=wanted.cron, timezone=wanted.timezone)
    return DeploymentScheduleCreate(schedule=cron, active=str(cron) not in paused)


def _declared(module: str) -> Iterator[LakeFlow]:
    for name, value in vars(importlib.import_module(module)).items():
        if isinstance(value, LakeFlow):
            yield value.deployed_from(f"{module}.{name}")
