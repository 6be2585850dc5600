"""Flows of subjects that have no flow.py, by `<subject>__<name>` as attributes of this module: `shop__refresh`, `lake__upkeep`."""

from __future__ import annotations

from lake.deployment import LAKE, Schedule
from lake.orchestration.api import LakeFlow
from lake.orchestration.backfill import backfill_flow
from lake.orchestration.keeping import freshness_flow, upkeep_flow, verify_flow
from lake.orchestration.land import land_flow
from lake.orchestration.refresh import refresh_flow
from lake.pipeline import load_pipeline
from lake.settings import load_settings

SEPARATOR = "__"
_KEEPING = {
    "upkeep": (upkeep_flow, Schedule("30 2 * * *")),
    "freshness": (freshness_flow, Schedule("0 * * * *")),
    "verify": (verify_flow, Schedule("0 4 * * *")),
}
KINDS = ("land", "refresh", "backfill")


def flow_of(subject: str, kind: str) -> LakeFlow:
    """The flow of a subject as it is where nothing is declared: refreshed hourly, nothing promised. Raises as load_pipeline."""
    if subject == LAKE:
        make, schedule = _KEEPING[kind]
        return make(schedule)
    pipeline = load_pipeline(load_settings(), subject)
    if kind == "backfill":
        return backfill_flow(pipeline)
    return land_flow(pipeline) if kind == "land" else refresh_flow(pipeline, Schedule("0 * * * *"))


def undeclared(subject: str) -> list[LakeFlow]:
    """Every such flow of a subject, with its entrypoint here."""
    found = []
    for kind in _KEEPING if subject == LAKE else KINDS:
        flow = flow_of(subject, kind)
        found.append(flow.deployed_from(f"{__name__}.{subject}{SEPARATOR}{kind}"))
    return found


def __getattr__(name: str) -> LakeFlow:
    subject, _, kind = name.rpartition(SEPARATOR)
    if not subject or kind not in (*KINDS, *_KEEPING):
        raise AttributeError(name)
    return flow_of(subject, kind)
