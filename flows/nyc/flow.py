"""When the flights of New York land and are refreshed, and who answers for it. Run it here with `python -m flows.nyc.flow`."""

from datetime import timedelta

from lake.orchestration import Schedule, backfill_flow, land_flow, refresh_flow
from lake.pipeline import load_pipeline
from lake.settings import load_settings

_OWNER = "flight-operations"
_ZONE = "America/New_York"
_pipeline = load_pipeline(load_settings(), "nyc")

land = land_flow(_pipeline, Schedule("*/30 * * * *", _ZONE), owner=_OWNER, timeout=timedelta(hours=1), retries=1)
refresh = refresh_flow(_pipeline, Schedule("5 * * * *", _ZONE), owner=_OWNER, timeout=timedelta(hours=2), retries=1)
backfill = backfill_flow(_pipeline, owner=_OWNER, timeout=timedelta(hours=12), retries=2)

if __name__ == "__main__":
    refresh()
