"""Watching: what has arrived and not landed, what has landed and is not in every table made from it, and trouble with the store or the disk.

Listing is the truth. A source is asked what it offers; only when that changed is it compared with what landed. As long as something
waits it is told again, less and less often, so an event that got lost, or a run that was cancelled or killed, costs time and nothing else.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lake import events
from lake.amounts import size
from lake.disk import disks
from lake.errors import LakeError, StoreError
from lake.forecast import behind as tables_behind
from lake.landing import waiting
from lake.pipeline import Pipeline
from lake.receipts import LANDINGS, receipts_between
from lake.run import Run
from lake.source import Source, offered
from lake.table import path_of

Say = Callable[[str, dict[str, str], dict[str, Any]], None]
"""Sends an event: its name, its resource, its payload."""
_FIRST, _LONGEST = 30.0, 3600.0  # seconds until what still waits is told again
_BEHIND = 45.0  # seconds between looks at whether tables are behind what they are made from
_FILES_TOLD = 20


@dataclass
class _Seen:
    """What is known of one source: what it offered when last looked at, and what of it waits."""

    offered: int | None = None
    files: list[str] = field(default_factory=list)
    landed: int = -1
    arrived: int = 0


class Watcher:
    """Looks at the sources of some pipelines again and again."""

    def __init__(self, run: Run, pipelines: Iterable[Pipeline], say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._pipelines, self._say, self._clock = run, list(pipelines), say, clock
        self._seen: dict[str, _Seen] = {}
        self._due: dict[str, tuple[tuple[str, ...], float, float]] = {}
        self._behind: dict[str, tuple[float, tuple[str, ...], tuple[str, ...]]] = {}
        self._troubled: set[str] = set()

    def look(self) -> dict[str, int]:
        """Look once, and tell of what waits. Returns how many files wait, by subject; raises nothing."""
        found: dict[str, int] = {}
        for pipeline in self._pipelines:
            files: list[str] = []
            for source in pipeline.sources.values():
                try:
                    files += self._waiting(source)
                    self._over(events.STORE_TROUBLE)
                except StoreError as error:
                    self._trouble(events.STORE_TROUBLE, str(error))
                except LakeError:
                    continue  # a source that cannot be listed fails the run that lands it, with the reason
            found[pipeline.name] = len(files)
            self._tell(pipeline, [*files, *self._unfinished(pipeline)])
        self._look_at_disk()
        return found

    def _waiting(self, source: Source) -> list[str]:
        seen = self._seen.setdefault(source.name, _Seen())
        offers = hash(offered(source, self._run.store, self._run.settings.root).files.sort("name").hash_rows().to_numpy().tobytes())
        landed = self._run.log(LANDINGS).version()
        if offers != seen.offered or (seen.files and landed != seen.landed):
            seen.files = waiting(self._run, source)
            seen.offered = offers
        if landed != seen.landed:
            _, before = self._run.log(path_of(source.into.name)).head()
            start = before.inputs[0].end if before else -1
            seen.arrived = receipts_between(self._run, source.name, start, landed).height if landed > start else 0
            seen.landed = landed if not seen.arrived else -1  # until it is in bronze, look again
        return [f"{source.name}: {name}" for name in seen.files] + [f"{source.name}: landed"] * seen.arrived

    def _unfinished(self, pipeline: Pipeline) -> tuple[str, ...]:
        """Tables that have been behind their inputs since the look before, so that no run seems to be at them: what a killed run left."""
        at, before, told = self._behind.get(pipeline.name, (float("-inf"), (), ()))
        now = self._clock()
        if now - at < _BEHIND:
            return told
        try:
            behind = tuple(f"{row['table']}: {row['why']}" for row in tables_behind(self._run, pipeline))
        except LakeError:
            behind = ()
        told = behind if behind == before else ()
        self._behind[pipeline.name] = (now, behind, told)
        return told

    def _tell(self, pipeline: Pipeline, files: list[str]) -> None:
        """Say at once what was not waiting before, and what still is after a while that grows."""
        told, at, pause = self._due.get(pipeline.name, ((), 0.0, _FIRST))
        what = tuple(files)
        now = self._clock()
        if not files:
            self._due.pop(pipeline.name, None)
            return
        if set(what) <= set(told) and now < at:
            return
        pause = min(_LONGEST, 2 * pause) if set(what) <= set(told) else _FIRST
        payload = {"files": len(files), "first": files[:_FILES_TOLD]}
        self._say(events.FILES_WAITING, events.landing_resource(self._run.settings.env, pipeline.name, "watch"), payload)
        self._due[pipeline.name] = (what, now + pause, pause)

    def _look_at_disk(self) -> None:
        """Each disk that lake writes to: room for the next run?"""
        try:
            low = [disk for disk in disks(self._run.settings) if disk.low or disk.free < 2 * self._run.settings.reserve]
        except LakeError as error:  # no folder takes temporary files
            self._trouble(events.DISK_LOW, error.message)
            return
        if low:
            told = "; ".join(disk.told for disk in low)
            self._trouble(events.DISK_LOW, f"{told}; a run needs room to write what it stages, and none begins below {size(self._run.settings.reserve)}")
        else:
            self._over(events.DISK_LOW)

    def _trouble(self, event: str, message: str) -> None:
        """Say that there is trouble, once until it is over."""
        if event not in self._troubled:
            self._troubled.add(event)
            at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            self._say(event, events.store_resource(self._run.settings.env), {"message": message, "since": at})

    def _over(self, event: str) -> None:
        self._troubled.discard(event)
