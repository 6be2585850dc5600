"""How a flow is run by itself: when, how often at once, for how long, and who answers for it. Prefect deploys it; nothing here knows Prefect."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from typing import Literal

from lake.errors import DeclarationError

LAKE = "lake"
"""The flow of the deployments that keep the lake itself."""
Collision = Literal["CANCEL_NEW", "ENQUEUE"]


@dataclass(frozen=True)
class Schedule:
    """When a deployment runs: a cron line (minute, hour, day of the month, month, day of the week) read in a time zone."""

    cron: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if len(self.cron.split()) != 5:
            raise DeclarationError(f"{self.cron!r} is not a cron line", "Write minute, hour, day of the month, month and day of the week: '0 6 * * *'")
        if self.timezone not in zoneinfo.available_timezones():
            raise DeclarationError(f"{self.timezone!r} is not a time zone", "Use a name such as Europe/Vienna")


@dataclass(frozen=True)
class Deployment:
    """One way of running a flow, as it appears in Prefect: `flow/name`.

    `entrypoint` is the module path of the flow object. Of more than `at_once` runs the next one is cancelled or waits, as
    `collision` says. A run that takes longer than `timeout` is failed; a failed one is tried again `retries` times.
    """

    flow: str
    name: str
    entrypoint: str
    description: str = ""
    schedule: Schedule | None = None
    owner: str = ""
    tags: tuple[str, ...] = ()
    at_once: int = 1
    collision: Collision = "CANCEL_NEW"
    timeout: dt.timedelta | None = None
    retries: int = 0

    def __post_init__(self) -> None:
        if self.at_once < 1 or self.retries < 0:
            raise DeclarationError(f"{self.full_name}: at_once is 1 or more, and retries 0 or more", "Correct it in flow.py")

    @property
    def full_name(self) -> str:
        """`flow/name`, as `prefect deployment run` takes it."""
        return f"{self.flow}/{self.name}"

    @property
    def told(self) -> str:
        """The description with who answers for it."""
        return f"{self.description}\n\nOwner: {self.owner}" if self.owner else self.description

    @property
    def labels(self) -> tuple[str, ...]:
        """Its tags: those declared, and the flow it is of."""
        return tuple(dict.fromkeys(("lake", self.flow, *self.tags)))
