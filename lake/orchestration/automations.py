"""The automations that lake ships: refresh when files land, mark runs whose process is gone, and tell somebody when something is wrong.

They are registered under names that begin with `lake · `, and brought up to date each time; what people change about them is kept
where it is about whether they are enabled.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing, RunDeployment, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from pydantic import SecretStr

from lake import events
from lake.errors import SettingsError
from lake.pipeline import Pipeline
from lake.settings import Settings

PREFIX = "lake · "
_GATHER = dt.timedelta(seconds=10)
"""How long landings are gathered before a refresh starts. The trigger fires once in that time and its run starts at the end of it, so it sees them all."""
_SILENT = dt.timedelta(seconds=90)
"""After how long without a heartbeat a run's process is taken for gone: three heartbeats."""
_AGAIN = dt.timedelta(hours=6)
"""How long nothing more is said of the same trouble."""
_MEND = dt.timedelta(minutes=10)
"""How long a crash after another starts no run."""
_BLOCK = "lake-notify"
_GONE = "Its process stopped reporting. Nothing half-done is visible; the next run goes on from what is committed"


def automations(settings: Settings, pipelines: list[Pipeline], deployments: dict[str, UUID], notify: UUID | None) -> list[AutomationCore]:
    """All of them. `deployments` has the ids by full name; `notify` is the notification block that alerts go to, if there is one."""
    found = [_gone()]
    for pipeline in pipelines:
        refresh = deployments.get(f"{pipeline.name}/refresh")
        if refresh is None:
            continue
        found += [_on_files(settings, pipeline, refresh), _on_crash(pipeline, refresh)]
        found += [_on_release(settings, pipeline, other, refresh) for other in sorted(_feeding(pipeline))]
    return found + [_alert(settings, *alert, notify) for alert in _ALERTS] + [_crashed(notify)]


async def register_automations(client: PrefectClient, wanted: list[AutomationCore]) -> None:
    """Create what is missing, bring the rest up to date, and remove those of lake's that nothing needs any more."""
    there: dict[str, Automation] = {}
    surplus: list[Automation] = []
    for known in await client.read_automations():
        if known.name.startswith(PREFIX):
            if known.name in there:
                surplus.append(known)
            there.setdefault(known.name, known)
    for automation in wanted:
        same = there.pop(automation.name, None)
        if same is None:
            await client.create_automation(automation)
        elif same.id is not None and _said_by(same) != _said_by(automation):  # an update forgets what the trigger has seen so far
            await client.update_automation(same.id, automation.model_copy(update={"enabled": same.enabled}))
    for known in [*surplus, *there.values()]:
        if known.id is not None:
            await client.delete_automation(known.id)


def _said_by(automation: AutomationCore) -> Any:
    """What an automation says, without what a server adds."""

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: bare(value)
                for key, value in node.items()
                if key not in ("id", "created", "updated", "enabled", "owner_resource") and value not in (None, [], {})
            }
        return sorted((bare(value) for value in node), key=repr) if isinstance(node, list) else node

    return bare(automation.model_dump(mode="json"))


async def notification_block(target: SecretStr | None) -> UUID | None:
    """The block that alerts go to: one that exists, named as `type/name`, or a webhook made for an http(s) address. Raises SettingsError."""
    said = target.get_secret_value() if target else ""
    if not said:
        return None
    if said.startswith(("http://", "https://")):
        body = {"text": "{{subject}}\n{{body}}", "subject": "{{subject}}", "body": "{{body}}"}
        block = CustomWebhookNotificationBlock.model_validate({"name": "lake", "url": "{{address}}", "secrets": {"address": said}, "json_data": body})
        saved: Any = await block.asave(_BLOCK, overwrite=True) if hasattr(block, "asave") else block.save(_BLOCK, overwrite=True)
        return UUID(str(saved))
    try:
        loaded: Any = await Block.aload(said)
    except ValueError:
        raise SettingsError("LAKE_NOTIFY names no block of Prefect", "Give an https:// address, or type/name of a notification block that is there") from None
    return UUID(str(loaded._block_document_id))  # noqa: SLF001  # a block tells its id nowhere else


def _on_files(settings: Settings, pipeline: Pipeline, refresh: UUID) -> AutomationCore:
    return AutomationCore(
        name=f"{PREFIX}{pipeline.name}: refresh when files land",
        description="Files that arrive within ten seconds make one run; it looks for itself at what is there. The schedule finds what an event missed.",
        trigger=_trigger({events.FILES_WAITING, events.FILES_LANDED}, _of(settings, pipeline.name) | {"lake.by": ["land", "watch"]}, _GATHER),
        actions=[_run(refresh)],
    )


def _on_crash(pipeline: Pipeline, refresh: UUID) -> AutomationCore:
    return AutomationCore(
        name=f"{PREFIX}{pipeline.name}: refresh again after a crash",
        description="What a killed run left undone is done at once, and not at the next schedule; once in ten minutes, should it be the work that kills it.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification({"prefect.resource.role": ["deployment"], "prefect.resource.id": [f"prefect.deployment.{refresh}"]}),
            posture=Posture.Reactive,
            threshold=1,
            within=_MEND,
        ),
        actions=[_run(refresh)],
    )


def _on_release(settings: Settings, pipeline: Pipeline, other: str, refresh: UUID) -> AutomationCore:
    return AutomationCore(
        name=f"{PREFIX}{pipeline.name}: refresh when {other} is released",
        description=f"{pipeline.name} reads tables of {other}, as they are released.",
        trigger=_trigger({events.RELEASE_PUBLISHED}, _of(settings, other), _GATHER),
        actions=[_run(refresh)],
    )


def _run(deployment: UUID) -> ActionTypes:
    return RunDeployment.model_validate({"source": "selected", "deployment_id": deployment, "parameters": {}, "schedule_after": _GATHER})


def _feeding(pipeline: Pipeline) -> set[str]:
    """Other subjects whose tables the pipeline reads."""
    read = {table for hop in pipeline.hops.values() for table in hop.upstream()}
    return {table.split(".")[1] for table in read} - {pipeline.name}


def _gone() -> AutomationCore:
    return AutomationCore(
        name=f"{PREFIX}runs whose process is gone are marked as crashed",
        description="A run that beat and then fell silent, with no end reported: its machine lost power, or both it and its worker were killed.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                *(f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut", "Paused", "Suspended", "AwaitingRetry")),
            },
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=_SILENT,
        ),
        actions=[ChangeFlowRunState.model_validate({"state": StateType.CRASHED, "name": "Crashed", "message": _GONE})],
    )


_ALERTS: tuple[tuple[str, str, str], ...] = (
    ("more rows rejected than a table allows", events.REJECTS_EXCEEDED, "lake rejects {table} --stopped shows the rows"),
    ("a contract is broken", events.CONTRACT_BROKEN, "lake rejects {table} --stopped, lake schema check"),
    ("a table is stale", events.TABLE_STALE, "lake ls, lake history {table}"),
    ("a verification failed", events.VERIFY_FAILED, "lake verify, lake replay"),
    ("a release is published", events.RELEASE_PUBLISHED, ""),
    ("trouble with the store", events.STORE_TROUBLE, "lake doctor"),
    ("the disk is nearly full", events.DISK_LOW, "lake maintain, or more room"),
)


def _alert(settings: Settings, what: str, event: str, next_step: str, notify: UUID | None) -> AutomationCore:
    told = (
        "{{ event.payload.message }}"
        if event != events.RELEASE_PUBLISHED
        else "Release {{ event.payload.release }}: {{ event.payload.changed | join(', ') or 'made again, same rows' }}"
    )
    then = f"\nNext: {next_step}".replace("{table}", "{{ event.resource.name }}") if next_step else ""
    again = dt.timedelta(0) if event == events.RELEASE_PUBLISHED else _AGAIN
    return AutomationCore(
        name=f"{PREFIX}{what}",
        description="Goes to the block that LAKE_NOTIFY names; does nothing without one.",
        trigger=_trigger({event}, {"prefect.resource.id": "lake.*", "lake.env": settings.env}, again),
        actions=[_send(notify, f"lake {settings.env}: {what}: {{{{ event.resource.name }}}}", f"{told}{then}")],
    )


def _crashed(notify: UUID | None) -> AutomationCore:
    return AutomationCore(
        name=f"{PREFIX}a run failed or crashed",
        description="Goes to the block that LAKE_NOTIFY names; does nothing without one.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[_send(notify, "lake: {{ flow.name }}: {{ flow_run.name }} {{ flow_run.state.name }}", "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}")],
    )


def _of(settings: Settings, subject: str) -> dict[str, str | list[str]]:
    return {"prefect.resource.id": events.subject_resource(settings.env, subject)["prefect.resource.id"]}


def _trigger(names: set[str], resource: dict[str, str | list[str]], within: dt.timedelta) -> EventTrigger:
    return EventTrigger(
        expect=names,
        match=ResourceSpecification({label: value if isinstance(value, list) else [value] for label, value in resource.items()}),
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=within,
    )


def _send(notify: UUID | None, subject: str, body: str) -> ActionTypes:
    return SendNotification(block_document_id=notify, subject=subject, body=body) if notify else DoNothing()
