"""Releases: one immutable manifest that pins a consistent version of every table. What readers open."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from lake.errors import CommitConflict, UnknownName
from lake.outcome import Outcome
from lake.record import RunInfo
from lake.run import backoff
from lake.store import Store

_FOLDER = "system/releases"
_ATTEMPTS = 20


class Pin(BaseModel):
    """One table in a release."""

    model_config = ConfigDict(frozen=True)

    version: int
    schema_version: int
    rows: int
    content: str | None = None
    code: str | None = None


class Release(BaseModel):
    """A manifest: its number, when and by which run it was made, and the pinned tables by name."""

    model_config = ConfigDict(frozen=True)

    number: int
    at: dt.datetime
    run: RunInfo
    tables: dict[str, Pin]


def numbers(store: Store) -> list[int]:
    """The numbers of all releases, oldest first."""
    return [int(blob.path.rsplit("/", 1)[-1].removesuffix(".json")) for blob in store.walk(_FOLDER) if blob.path.endswith(".json")]


def read_release(store: Store, number: int) -> Release:
    """Release `number`. Raises NotFound."""
    return Release.model_validate_json(store.get(_name(number)))


def find_release(store: Store, wanted: int | str | dt.date = "latest") -> Release | None:
    """The release meant by "latest", a number, or a date (the last one of that day or before). None if there is none at all yet.

    Raises UnknownName for a number that does not exist or a date before the first.
    """
    known = numbers(store)
    if not known:
        return None
    if wanted == "latest":
        return read_release(store, known[-1])
    if isinstance(wanted, int) or (isinstance(wanted, str) and wanted.isdecimal() and wanted.isascii()):
        if int(wanted) not in known:
            raise UnknownName(f"there is no release {wanted}", f"The newest is {known[-1]}")
        return read_release(store, int(wanted))
    moment = _end_of(wanted)
    for number in reversed(known):
        release = read_release(store, number)
        if release.at <= moment:
            return release
    raise UnknownName(f"there is no release as early as {wanted}", f"The first is {known[0]}")


def publish_release(store: Store, info: RunInfo, outcomes: Iterable[Outcome]) -> tuple[Release, bool]:
    """Pin the tables of a successful run on top of the newest release. Returns the release in force, and whether it is new.

    Nothing to pin that is not pinned already: no new release. Two runs at once both get theirs: the second builds on the first.
    """
    mine = {
        outcome.table: Pin(version=outcome.version, schema_version=outcome.schema_version, rows=outcome.rows, content=outcome.content, code=outcome.code)
        for outcome in outcomes
        if outcome.version >= 0
    }
    for attempt in range(_ATTEMPTS):
        last = find_release(store)
        pins = dict(last.tables) if last else {}
        pins |= {table: pin for table, pin in mine.items() if table not in pins or pins[table].version < pin.version}
        if last is not None and pins == last.tables:
            return last, False
        release = Release(number=last.number + 1 if last else 1, at=dt.datetime.now(dt.UTC), run=info, tables=dict(sorted(pins.items())))
        body = json.dumps(release.model_dump(mode="json", exclude_none=True), indent=1).encode()
        if store.put_if_absent(_name(release.number), body) or store.get(_name(release.number)) == body:
            return release, True
        backoff(attempt)
    raise CommitConflict(f"a release lost {_ATTEMPTS} races against other runs", "Run again; every table is committed")


def _name(number: int) -> str:
    return f"{_FOLDER}/{number:010d}.json"


def _end_of(wanted: str | dt.date) -> dt.datetime:
    try:
        day = wanted if isinstance(wanted, dt.date) else dt.datetime.fromisoformat(wanted)
    except ValueError:
        raise UnknownName(f"{wanted!r} is not a release", "Give a number, a date such as 2026-11-23, or latest") from None
    if isinstance(day, dt.datetime):
        bare_date = isinstance(wanted, str) and len(wanted) == 10
        day = day + dt.timedelta(days=1, microseconds=-1) if bare_date else day
        return day if day.tzinfo else day.replace(tzinfo=dt.UTC)
    return dt.datetime.combine(day, dt.time.max, dt.UTC)
