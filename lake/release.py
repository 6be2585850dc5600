"""Releases: one immutable manifest that pins a consistent version of every table. What readers open."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from lake.errors import CommitConflict, UnknownName
from lake.outcome import Outcome
from lake.record import RunInfo
from lake.run import backoff
from lake.store import Store

_FOLDER = "system/releases"
_EXPIRED = "system/expired-releases"
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
    """A manifest: its number, when and by which run it was made, and the pinned tables by name.

    `restores` is the number of the release that it rolls back to. `held` names subjects that were rolled back and why: runs
    bring their tables on, but release nothing of them until the hold is lifted.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    at: dt.datetime
    run: RunInfo
    tables: dict[str, Pin]
    restores: int | None = None
    held: dict[str, str] = {}

    @property
    def note(self) -> str:
        """What is particular about it, in words; empty for what a run released."""
        restored = f"as release {self.restores}" if self.restores else ""
        return "; ".join(part for part in (restored, *(f"{subject} held" for subject in self.held)) if part)


def numbers(store: Store, *, after: int = 0) -> list[int]:
    """The numbers of all releases past number `after`, oldest first."""
    there = store.walk(_FOLDER, after=_name(after) if after else None)
    return [int(blob.path.rsplit("/", 1)[-1].removesuffix(".json")) for blob in there if blob.path.endswith(".json")]


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
            raise UnknownName(f"there is no release {wanted}", _instead(store, int(wanted), known))
        return read_release(store, int(wanted))
    moment = _end_of(wanted)
    for number in reversed(known):
        release = read_release(store, number)
        if release.at <= moment:
            return release
    raise UnknownName(f"there is no release as early as {wanted}", f"The first is {known[0]}")


def expire_releases(store: Store, before: dt.datetime) -> list[int]:
    """Withdraw the releases made before that instant, but never the newest; returns their numbers. What they said stays readable, what they pinned need not.

    A request a thousand releases, and three for each that is withdrawn.
    """
    there = [blob for blob in store.walk(_FOLDER) if blob.path.endswith(".json")][:-1]
    gone = []
    for blob in there:
        if blob.modified >= before:
            continue
        body = store.get(blob.path)
        release = Release.model_validate_json(body)
        if release.at < before:
            store.put(f"{_EXPIRED}/{release.number:010d}.json", body)
            store.delete([blob.path])
            gone.append(release.number)
    return gone


def _instead(store: Store, wanted: int, known: list[int]) -> str:
    if wanted < known[-1] and store.head(f"{_EXPIRED}/{wanted:010d}.json") is not None:
        return f"It was made longer ago than releases are kept (LAKE_RELEASES) and has expired; the oldest is {known[0]}"
    return f"The newest is {known[-1]}"


def release_meant(store: Store, wanted: int | str | dt.date = "latest") -> Release:
    """The release meant, as in `find_release`; raises UnknownName also if there is none at all yet."""
    found = find_release(store, wanted)
    if found is None:
        raise UnknownName("nothing has been released yet", "`lake run` ends with the first")
    return found


def publish_release(store: Store, info: RunInfo, outcomes: Iterable[Outcome]) -> tuple[Release, bool]:
    """Pin the tables of a successful run on top of the newest release. Returns the release in force, and whether it is new.

    Nothing to pin that is not pinned already, or a hold on one of the subjects: no new release. Two runs at once both get
    theirs: the second builds on the first.
    """
    mine = {
        outcome.table: Pin(version=outcome.version, schema_version=outcome.schema_version, rows=outcome.rows, content=outcome.content, code=outcome.code)
        for outcome in outcomes
        if outcome.version >= 0
    }

    def onto(last: Release | None) -> dict[str, Any] | None:
        pins = dict(last.tables) if last else {}
        pins |= {table: pin for table, pin in mine.items() if table not in pins or pins[table].version < pin.version}
        held = dict(last.held) if last else {}
        return None if last and (pins == last.tables or held.keys() & {subject_of(table) for table in mine}) else {"tables": pins, "held": held}

    return _publish(store, info, onto)


def rollback(store: Store, info: RunInfo, number: int) -> Release:
    """A new release that pins what release `number` pinned, and holds the subjects whose tables differ until `resume`.

    Tables that release did not have are in the new one no more; they stay in the lake. Raises UnknownName.
    """
    wanted = find_release(store, number)
    if wanted is None:
        raise UnknownName("nothing has been released yet", "Run a flow first")

    def onto(last: Release | None) -> dict[str, Any] | None:
        if last is None or last.tables == wanted.tables:
            return None
        differ = {subject_of(table) for table in last.tables.keys() | wanted.tables.keys() if last.tables.get(table) != wanted.tables.get(table)}
        held = last.held | dict.fromkeys(sorted(differ), f"rolled back from release {last.number} to {number}")
        return {"tables": wanted.tables, "held": held, "restores": number}

    return _publish(store, info, onto)[0]


def resume(store: Store, info: RunInfo, subjects: Iterable[str] = ()) -> Release:
    """Lift the hold on `subjects`, or on all: the next run of theirs releases again. Raises UnknownName if there is no such hold."""
    wanted = list(subjects)
    last = find_release(store)
    for subject in wanted:
        if last is None or subject not in last.held:
            raise UnknownName.among("hold", subject, last.held if last else ())

    def onto(last: Release | None) -> dict[str, Any] | None:
        held = {subject: why for subject, why in last.held.items() if wanted and subject not in wanted} if last else {}
        return None if last is None or held == last.held else {"tables": last.tables, "held": held}

    found, _ = _publish(store, info, onto)
    return found


def subject_of(table: str) -> str:
    """The subject a table belongs to: the middle part of its name."""
    return table.split(".")[1]


def _publish(store: Store, info: RunInfo, onto: Callable[[Release | None], dict[str, Any] | None]) -> tuple[Release, bool]:
    """Put the next release, made from the newest by `onto`; again from the start if another run was faster. None: there is nothing to do."""
    for attempt in range(_ATTEMPTS):
        last = find_release(store)
        says = onto(last)
        if says is None:
            if last is None:
                raise UnknownName("nothing has been released yet", "Run a flow first")
            return last, False
        says["tables"] = dict(sorted(says["tables"].items()))
        release = Release(number=last.number + 1 if last else 1, at=dt.datetime.now(dt.UTC), run=info, **says)
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
