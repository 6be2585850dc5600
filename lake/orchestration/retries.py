"""Trying again: a step whose trouble may pass, and a whole run of which all that went wrong is such trouble."""

from __future__ import annotations

import time
from collections.abc import Callable

from prefect import get_run_logger
from prefect.client.schemas.objects import State

from lake.errors import CommitConflict, SourceError, StoreError, StoreRefused, StoreUntrusted
from lake.orchestration.api import current_flow_run

_PAUSE = 30.0  # seconds
Tried = tuple["State[object]", list[BaseException]]


def worth_retrying(error: BaseException) -> bool:
    """Trouble that may pass: a store or a source that does not answer, a lost race. Keys, contracts and code do not mend themselves."""
    return isinstance(error, StoreError | CommitConflict | SourceError) and not isinstance(error, StoreRefused | StoreUntrusted)


def persisting(retries: int, once: Callable[[], Tried]) -> State[object]:
    """Do it once, and in a run of a deployment up to `retries` times more while all that went wrong may pass.

    Prefect's own retries of flows know no reasons; and somebody who waits at a terminal wants to hear of trouble at once.
    """
    flow_run = current_flow_run()
    for left in range(retries if flow_run and flow_run.deployment_id else 0, -1, -1):
        state, errors = once()
        if not left or not errors or not all(worth_retrying(error) for error in errors):
            return state
        get_run_logger().warning("%s; all of it may pass, so it is tried again in %.0f s", state.message, _PAUSE)
        time.sleep(_PAUSE)
    return state
