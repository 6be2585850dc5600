"""Prefect around the engine: flows made of pipelines, what they show, what they say to others, and how they are deployed."""

from lake.deployment import Schedule
from lake.orchestration.api import LakeFlow, listening, served
from lake.orchestration.backfill import backfill_flow
from lake.orchestration.keeping import freshness_flow, upkeep_flow, verify_flow
from lake.orchestration.land import land_flow
from lake.orchestration.refresh import refresh_flow

__all__ = ["LakeFlow", "Schedule", "backfill_flow", "freshness_flow", "land_flow", "listening", "refresh_flow", "served", "upkeep_flow", "verify_flow"]
