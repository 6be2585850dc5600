"""The flows that keep the lake itself: tidying, freshness, and the standing audit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from lake import events
from lake.amounts import size
from lake.cards import words
from lake.catalog import Catalog
from lake.deployment import LAKE, Deployment, Schedule
from lake.errors import LakeError, StoreError
from lake.freshness import freshness
from lake.maintain import did_something, maintain
from lake.orchestration.api import LakeFlow, current_flow_run, trigger
from lake.orchestration.artifacts import show_rows
from lake.orchestration.events import emit
from lake.orchestration.parameters import choices, described
from lake.orchestration.run_names import rename_run, run_name
from lake.pipeline import load_pipeline, subjects
from lake.release import find_release
from lake.run import begin_run
from lake.settings import load_settings
from lake.verify import verify as verify_pipeline
from lake.wording import counted, several

_DAY = dt.timedelta(days=1)
Row = dict[str, Any]


def upkeep_flow(schedule: Schedule | None = None, *, owner: str = "", timeout: dt.timedelta | None = _DAY) -> LakeFlow:
    """The flow of `lake maintain`: small files put together, what nothing needs removed. Never in the way of a writer."""

    def upkeep(dry_run: bool = False) -> State[Any]:
        with begin_run(load_settings(), LAKE, trigger(), prefect_flow_run=_id(), needs_room=False) as run:
            rows = [row for row in maintain(run, dry_run=dry_run, told=get_run_logger().debug) if did_something(row)]
        show_rows("upkeep", rows or [{"place": "nothing to tidy"}], "What upkeep put together and removed")
        freed = sum(row["bytes"] for row in rows)
        rename_run(f"lake upkeep · {size(freed)} {'to free' if dry_run else 'freed'}")
        together, sorted_ = (sum(row[name] for row in rows) for name in ("compacted", "clustered"))
        return Completed(
            message=f"{counted(together, 'file')} put together, {sorted_:,} overlapping ones sorted, {counted(freed, 'byte')} {'would be ' if dry_run else ''}freed"
        )

    upkeep.__annotations__ |= {"dry_run": bool}
    told = "Small files are put together, overlapping ones sorted; releases older than they are kept expire; leftovers of killed runs, and files of versions that no release and no reader needs, are removed."
    described(upkeep, told, dry_run="Say what would be done, and do nothing")
    return _flow(upkeep, told, schedule, owner, timeout)


def freshness_flow(schedule: Schedule | None = None, *, owner: str = "", timeout: dt.timedelta | None = _DAY) -> LakeFlow:
    """The flow that compares the age of each table with its promise, as readers see it, and sends an event for each that is stale."""

    def freshness_(subject: str | None = None) -> State[Any]:
        logger = get_run_logger()
        with begin_run(load_settings(), LAKE, trigger(), prefect_flow_run=_id(), needs_room=False) as run:
            rows = freshness(Catalog(run.store), find_release(run.store))
            env = run.settings.env
        rows = [row for row in rows if subject is None or row["table"].split(".")[1] == subject]
        stale = [row for row in rows if not row["fresh"]]
        for row in stale:
            age = f"{words(row['age_seconds'])} old" if row["age_seconds"] is not None else "of unknown age"
            message = f"{row['table']} is {age}, and promises to be at most {words(row['promised_seconds'])}"
            logger.warning("%s (owner: %s)", message, row["owner"] or "none")
            emit(events.TABLE_STALE, events.table_resource(env, row["table"]), {"message": message, "owner": row["owner"], "age_seconds": row["age_seconds"]})
        show_rows("freshness", [_shown(row) for row in rows] or [{"table": "no table promises freshness"}], "How old each table is, and may be")
        rename_run(f"lake freshness · {len(stale)} of {len(rows)} stale")
        return Completed(message=f"{len(stale)} of {counted(len(rows), 'table')} {several(len(stale), 'is', 'are')} stale")

    freshness_.__annotations__ |= {"subject": choices("Subject", subjects(load_settings())) | None}
    freshness_.__name__ = "freshness"
    told = "How old each table is that promises freshness. A stale one sends an event, and does not fail the run."
    described(freshness_, told, subject="Only tables of this subject; none chosen: all")
    return _flow(freshness_, told, schedule, owner, timeout)


def _verified(rows: list[Row], wrong: list[Row], refused: Mapping[str, str]) -> State[Any]:
    """How a verification ended. One that found a difference, could not load a subject, or looked at nothing of what is there, failed."""
    sound = sum(row["verdict"] in ("equal", "rounding") for row in rows)
    told = f"{sound} of {counted(len(rows), 'table')} {several(sound, 'holds what its', 'hold what their')} inputs give"
    problems = [f"{row['table']}: {row['why']}" for row in wrong[:1]] + [f"{name}: {why}" for name, why in refused.items()]
    if rows and not sound and not problems:
        problems = [f"nothing was verified: {rows[0]['table']}: {rows[0]['why']}"]
    rename_run(f"lake verify · {f'{len(wrong)} differ' if wrong else 'not all verified' if problems else 'all equal' if rows else 'nothing yet'}")
    return Failed(message="; ".join([told, *problems])) if problems else Completed(message=told if rows else "nothing to verify yet: no table has a version")


def verify_flow(schedule: Schedule | None = None, *, owner: str = "", timeout: dt.timedelta | None = _DAY) -> LakeFlow:
    """The flow of `lake verify`: the standing audit that what is in the tables is what recomputing gives."""

    def verify(share: float = 0.02, subject: str | None = None, seed: int | None = None) -> State[Any]:
        logger = get_run_logger()
        rows: list[Row] = []
        refused: dict[str, str] = {}
        settings = load_settings()
        with begin_run(settings, LAKE, trigger(), prefect_flow_run=_id()) as run:
            for name in [str(getattr(subject, "value", subject))] if subject else subjects(settings):
                try:
                    pipeline = load_pipeline(settings, name)
                    pipeline.prepare(run)
                except StoreError:
                    raise
                except LakeError as error:  # keeps none of the other subjects from being verified
                    refused[name] = str(error)
                    logger.warning("%s: %s", name, error)
                    continue
                rows += verify_pipeline(run, pipeline, share=share, seed=seed, told=logger.debug)
        wrong = [row for row in rows if row["verdict"] == "differs"]
        for row in wrong:
            logger.error("%s: %s", row["table"], row["why"])
            emit(events.VERIFY_FAILED, events.table_resource(settings.env, row["table"]), {"message": f"{row['table']} differs: {row['why']}"})
        show_rows("verify", rows or [{"table": "nothing to verify yet"}], "Key ranges computed again, and raw files read again")
        return _verified(rows, wrong, refused)

    verify.__annotations__ |= {
        "share": Annotated[float, Field(gt=0, le=1)],
        "subject": choices("Subject", subjects(load_settings())) | None,
        "seed": int | None,
    }
    told = "Random key ranges of each table are computed again from what they were made from, and random raw files read again."
    described(
        verify,
        told,
        share="Which part of each table, above 0 up to 1",
        subject="Only this subject; none chosen: all",
        seed="The same seed looks at the same ranges",
    )
    return _flow(verify, told, schedule, owner, timeout)


def _flow(function: Callable[..., State[Any]], told: str, schedule: Schedule | None, owner: str, timeout: dt.timedelta | None) -> LakeFlow:
    name = function.__name__
    flow = LakeFlow(
        function, name=LAKE, description=told, flow_run_name=run_name(f"lake {name}"), validate_parameters=True, log_prints=False,
        timeout_seconds=timeout.total_seconds() if timeout else None,
    )  # fmt: skip
    flow.deployment = Deployment(LAKE, name, "", description=told, schedule=schedule, owner=owner, tags=("keeping",), timeout=timeout)
    return flow


def _id() -> str | None:
    flow_run = current_flow_run()
    return str(flow_run.id) if flow_run else None


def _shown(row: Row) -> Row:
    return {
        "table": row["table"], "fresh": "yes" if row["fresh"] else "no", "age": words(row["age_seconds"]), "promised": words(row["promised_seconds"]),
        "newest raw file": f"{row['freshest']:%Y-%m-%d %H:%M} UTC" if row["freshest"] else "", "owner": row["owner"],
    }  # fmt: skip
