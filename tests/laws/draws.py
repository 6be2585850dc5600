"""How long a model is drawn: a few histories in `make test`, the same each time; in `make laws` others, until the time is over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

FULL = os.environ.get("LAKE_LAWS") == "full"
_MINUTES = float(os.environ.get("LAKE_LAWS_MINUTES", "20"))
_SEED = int(os.environ.get("LAKE_LAWS_SEED", "0"))


def told(machine: Callable[[], type[RuleBasedStateMachine]], *, histories: int, steps: int, long: int) -> None:
    """Tell `histories` of so many steps; drawn long, ten at a time of `long` steps, each time with another seed, which is printed."""
    common = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    if not FULL:
        run_state_machine_as_test(machine(), settings=settings(common, max_examples=histories, stateful_step_count=steps, derandomize=True))
        return
    until, number = time.monotonic() + _MINUTES * 60, _SEED
    while number == _SEED or time.monotonic() < until:
        print(f"LAKE_LAWS_SEED={number}")  # noqa: T201  # says how to draw the same again
        run_state_machine_as_test(seed(number)(machine()), settings=settings(common, max_examples=10, stateful_step_count=long))
        number += 1
