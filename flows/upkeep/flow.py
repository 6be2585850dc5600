"""When the lake is tidied, looked at for freshness, and audited. Run one here with `python -m flows.upkeep.flow`."""

from lake.orchestration import Schedule, freshness_flow, upkeep_flow, verify_flow

_OWNER = "lake"

upkeep = upkeep_flow(Schedule("30 2 * * *"), owner=_OWNER)
freshness = freshness_flow(Schedule("*/20 * * * *"), owner=_OWNER)
verify = verify_flow(Schedule("0 4 * * *"), owner=_OWNER)

if __name__ == "__main__":
    upkeep()
