"""Releases: one immutable manifest that pins a consistent version of every table. What readers open."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from lake.blob import Blob
from lake.errors import DAMAGED_HINT, CommitConflict, Damaged, NotFound, StoreError, UnknownName
from lake.outcome import Outcome
from lake.patience import tell_people
from lake.record import RunInfo
from lake.retired import removed, retired
from lake.run import backoff
from lake.store import Store

_FOLDER = "system/releases"
_EXPIRED = "system/expired-releases"
WITHDRAWN = "system/withdrawn"
"""Where releases and commits are put aside that a repair took away."""
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

    `restores` is the number of the release that it rolls back to, and `restored` the subjects that went back (none named: all of them).
    `held` names subjects that were rolled back and why: runs bring their tables on, but release nothing of them until the hold is lifted.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    at: dt.datetime
    run: RunInfo
    tables: dict[str, Pin]
    restores: int | None = None
    restored: tuple[str, ...] = ()
    held: dict[str, str] = {}

    @property
    def note(self) -> str:
        """What is particular about it, in words; empty for what a run released."""
        restored = f"{', '.join(self.restored)} as release {self.restores}".strip() if self.restores else ""
        return "; ".join(part for part in (restored, *(f"{subject} held" for subject in self.held)) if part)


def numbers(store: Store, *, after: int = 0) -> list[int]:
    """The numbers of all releases past number `after`, oldest first."""
    return _numbered(store.walk(_FOLDER, after=_name(after) if after else None))


def gone_numbers(store: Store) -> set[int]:
    """The numbers of releases that were there and are not any more: they expired by policy, or a repair withdrew them."""
    return {*_numbered(store.walk(_EXPIRED)), *_numbered(store.walk(f"{WITHDRAWN}/releases"))}


def _numbered(manifests: Iterable[Blob]) -> list[int]:
    return [int(blob.path.rsplit("/", 1)[-1].removesuffix(".json")) for blob in manifests if blob.path.endswith(".json")]


def read_release(store: Store, number: int) -> Release:
    """Release `number`, its tables by the names they have now. Raises NotFound, and Damaged where it is there and cannot be read."""
    try:
        release = Release.model_validate_json(store.get(_name(number)))
    except ValueError:
        raise Damaged(f"release {number} is damaged: {store.uri(_name(number))} cannot be read", DAMAGED_HINT) from None
    if not store.names:
        return release
    tables: dict[str, Pin] = {}
    for name, pin in release.tables.items():  # a run that began before a table was renamed may have released it by both names
        known = tables.get(now := store.names.now(name))
        tables[now] = pin if known is None or known.version < pin.version else known
    return release.model_copy(update={"tables": dict(sorted(tables.items()))})


def release_before(store: Store, release: Release) -> Release | None:
    """The release that this one was made from; None for the first, and where it has expired. One that cannot be read was made from by nobody."""
    for number in range(release.number - 1, 0, -1):
        try:
            return read_release(store, number)
        except NotFound:
            return None
        except Damaged:
            continue
    return None


def find_release(store: Store, wanted: int | str | dt.date = "latest") -> Release | None:
    """The release meant by "latest", a number, or a date (the last one of that day or before). None if there is none at all yet.

    Raises UnknownName for a number that does not exist or a date before the first.
    """
    known = numbers(store)
    if not known:
        return None
    if wanted == "latest":
        return _newest_whole(store, known)
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


def _newest_whole(store: Store, known: list[int]) -> Release | None:
    """The newest release that can be read: one that was cut short by a power cut was told to nobody."""
    for number in reversed(known):
        try:
            found = read_release(store, number)
        except Damaged as error:
            if number == known[0]:
                raise
            tell_people(f"{error.message}; the one before it is opened")
            continue
        return found
    return None


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
        try:
            release = Release.model_validate_json(body)
        except ValueError:
            continue
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


def republished(store: Store, info: RunInfo, base: Release, pins: Mapping[str, Pin]) -> Release:
    """A new release with the tables of `base`, by these pins where there are any: after a repair, whatever came after `base`."""
    return _publish(store, info, lambda _: {"tables": base.tables | {table: pin for table, pin in pins.items() if table in base.tables}, "held": base.held})[0]


def withdraw(store: Store, number: int) -> None:
    """Take a release away that cannot be opened; what can be read of it stays aside."""
    path = _name(number)
    try:
        body = store.get(path)
    except StoreError:
        body = b""
    store.put(f"{WITHDRAWN}/releases/{number:010d}.json", body)
    store.delete([path])


def gone_back(last: Release, wanted: Release, subjects: Iterable[str] = (), *, without_later: bool = False, lost: Collection[str] = ()) -> dict[str, Pin]:
    """What readers would see after a rollback from the release `last` to `wanted`: of the `subjects` (or of all), the tables as `wanted` pins them.

    A table that `wanted` does not have, because it was first released later, stays as it is, unless it is asked to go too. Tables that are
    `lost`, because they were retired and their rows removed, are in no new release.
    """
    meant = frozenset(subjects)
    mine = {table: pin for table, pin in last.tables.items() if not meant or subject_of(table) in meant}
    then = {table: pin for table, pin in wanted.tables.items() if not meant or subject_of(table) in meant}
    kept = {} if without_later else {table: pin for table, pin in mine.items() if table not in then}
    found = {table: pin for table, pin in last.tables.items() if table not in mine} | kept | then
    return {table: pin for table, pin in found.items() if table not in lost}


def without_tables(store: Store, info: RunInfo, names: Collection[str]) -> Release | None:
    """A new release without these tables, where the newest has any of them; None where it has not."""
    last = find_release(store)
    if last is None or not last.tables.keys() & set(names):
        return None

    def onto(last: Release | None) -> dict[str, Any] | None:
        if last is None or not last.tables.keys() & set(names):
            return None
        return {"tables": {table: pin for table, pin in last.tables.items() if table not in names}, "held": last.held}

    return _publish(store, info, onto)[0]


def rollback(store: Store, info: RunInfo, number: int, subjects: Iterable[str] = (), *, without_later: bool = False, seen: int | None = None) -> Release:
    """A new release with the tables that differ as release `number` pinned them; it holds their subjects until `resume`. Atomic: one object.

    `subjects` are those meant, or all. A table that was first released later stays at the version that readers see, unless `without_later`
    takes it out (it stays in the lake). Nothing that differs: no new release. `seen` is the number of the newest release when it was
    decided: CommitConflict where there is a newer one. Raises UnknownName for a release or a subject that there is not.
    """
    wanted, meant, lost = find_release(store, number), sorted(set(subjects)), removed(retired(store))
    if wanted is None:
        raise UnknownName("nothing has been released yet", "Run a flow first")

    def onto(last: Release | None) -> dict[str, Any] | None:
        if last is None:
            return None
        if seen is not None and last.number != seen:
            raise CommitConflict(
                f"release {last.number} was made meanwhile", "Nothing was rolled back; give the command again to see what readers would see now"
            )
        check_subjects(meant, last, wanted)
        tables = gone_back(last, wanted, meant, without_later=without_later, lost=lost)
        differ = sorted({subject_of(table) for table in last.tables.keys() | tables.keys() if last.tables.get(table) != tables.get(table)})
        if not differ:
            return None
        held = last.held | dict.fromkeys(differ, f"rolled back from release {last.number} to {number}")
        return {"tables": tables, "held": held, "restores": number, "restored": () if tables == wanted.tables else tuple(differ)}

    return _publish(store, info, onto)[0]


def check_subjects(subjects: Iterable[str], *releases: Release) -> None:
    """Raise UnknownName for a subject that has no table in any of the releases."""
    known = {subject_of(table) for release in releases for table in release.tables}
    for subject in subjects:
        if subject not in known:
            raise UnknownName.among("released subject", subject, known)


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
        known = numbers(store)
        last = _newest_whole(store, known) if known else None
        says = onto(last)
        if says is None:
            if last is None:
                raise UnknownName("nothing has been released yet", "Run a flow first")
            return last, False
        says["tables"] = dict(sorted(says["tables"].items()))
        release = Release(number=known[-1] + 1 if known else 1, at=dt.datetime.now(dt.UTC), run=info, **says)
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
