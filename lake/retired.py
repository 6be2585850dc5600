"""Tables that a team gave up: kept and readable, marked with who, when and why, and left out of proofs and upkeep.

The register is a row of objects `system/retired/<n>.json`, each written once with all that is retired as of then; the newest counts.
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
from collections.abc import Callable, Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from lake.errors import DAMAGED_HINT, CommitConflict, Damaged, UnknownName
from lake.record import RunInfo
from lake.run import backoff
from lake.store import Store

_FOLDER = "system/retired"
_ATTEMPTS = 20


class Retired(BaseModel):
    """That a table is retired: since when, by whom and by which run, and why. `removed` is when its rows were given up for removal, if they were."""

    model_config = ConfigDict(frozen=True)

    at: dt.datetime
    by: str
    run: str
    why: str = ""
    removed: dt.datetime | None = None

    @property
    def words(self) -> str:
        """In a line."""
        told = f"retired {self.at:%Y-%m-%d} by {self.by}" + (f": {self.why}" if self.why else "")
        return told + (f"; its rows were removed {self.removed:%Y-%m-%d}" if self.removed else "")


def retired(store: Store) -> dict[str, Retired]:
    """The retired tables by name. A listing, and one request where there ever was any."""
    return _newest(store)[1]


def retire(store: Store, info: RunInfo, names: Iterable[str], why: str = "") -> dict[str, Retired]:
    """Mark the tables `names` as retired. Those that are already stay as they are marked. Atomic: one object. Returns all that is retired."""
    mark = Retired(at=dt.datetime.now(dt.UTC), by=_who(), run=info.id, why=why)
    wanted = list(names)
    return _write(store, lambda now: {name: mark for name in wanted if name not in now} | now)


def bring_back(store: Store, names: Iterable[str]) -> dict[str, Retired]:
    """Retired no more. Raises UnknownName for a table that is not retired, and for one whose rows were removed."""
    wanted = list(names)

    def onto(now: dict[str, Retired]) -> dict[str, Retired]:
        for name in wanted:
            if name not in now:
                raise UnknownName.among("retired table", name, now)
            if now[name].removed:
                raise UnknownName(f"{name} is {now[name].words}", "Its raw files are kept: a table of another name can be filled from them")
        return {name: mark for name, mark in now.items() if name not in wanted}

    return _write(store, onto)


def give_up(store: Store, names: Iterable[str]) -> None:
    """Mark retired tables as removed, before their objects are: from then on nobody counts on them."""
    now, wanted = dt.datetime.now(dt.UTC), set(names)
    _write(
        store, lambda known: {name: mark.model_copy(update={"removed": now}) if name in wanted and not mark.removed else mark for name, mark in known.items()}
    )


def removed(marks: Mapping[str, Retired]) -> frozenset[str]:
    """The names of those whose rows were removed."""
    return frozenset(name for name, mark in marks.items() if mark.removed)


def _write(store: Store, onto: Callable[[dict[str, Retired]], dict[str, Retired]]) -> dict[str, Retired]:
    for attempt in range(_ATTEMPTS):
        number, now = _newest(store)
        then = onto(now)
        if then == now:
            return now
        body = json.dumps({name: mark.model_dump(mode="json", exclude_none=True) for name, mark in sorted(then.items())}, indent=1).encode()
        path = f"{_FOLDER}/{number + 1:010d}.json"
        if store.put_if_absent(path, body) or store.get(path) == body:
            return then
        backoff(attempt)
    raise CommitConflict(f"what is retired was changed {_ATTEMPTS} times by others meanwhile", "Give the command again")


def _newest(store: Store) -> tuple[int, dict[str, Retired]]:
    paths = [blob.path for blob in store.walk(_FOLDER) if blob.path.endswith(".json")]
    if not paths:
        return 0, {}
    number = int(paths[-1].rsplit("/", 1)[-1].removesuffix(".json"))
    try:
        return number, {name: Retired.model_validate(mark) for name, mark in json.loads(store.get(paths[-1])).items()}
    except (ValueError, AttributeError):
        raise Damaged(f"what is retired cannot be read: {store.uri(paths[-1])} is damaged", DAMAGED_HINT) from None


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user has no name
        return "unknown"
