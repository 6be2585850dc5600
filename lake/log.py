"""The Delta log of one table: finding its newest version, reading what a commit said, and committing by compare-and-swap.

lake writes its commits itself, as the Delta protocol describes them: one JSON object put under the name of the next version on
the condition that it does not exist. That gives exactly what the laws need and a library's commit loop hides: no retry against
a version that was not planned for, data and schema and record in one atomic object, and a lost answer resolved by looking.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from lake.errors import DAMAGED_HINT, CommitConflict, Damaged, NotFound, StoreError
from lake.meter import carried
from lake.packed import PACKED, TOGETHER, chunk_of, packed_path, unpack
from lake.record import RECORD_KEY, Record, read_record
from lake.schemas import last_schema
from lake.store import Store

Action = dict[str, Any]
_ENGINE = "lake/0.1.0"
_AT_ONCE = 8  # commits that are fetched
_AHEAD = 64  # commits that are held
CHECKPOINT_EVERY = 20
"""Versions, of which the last gets a checkpoint."""


def moves_rows(action: Action) -> bool:
    """Whether an action of a commit puts rows in or takes rows out, rather than arranging files or saying something."""
    return any(bool(action[kind].get("dataChange", True)) for kind in ("add", "remove") if kind in action)


def takes_out_rows(actions: list[Action]) -> bool:
    """Whether a commit took data files out for another reason than to put them together or apart."""
    return any("remove" in action and moves_rows(action) for action in actions)


class TableLog:
    """The log under `path`/_delta_log. Commits never change, so those read once are remembered."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self.path = path
        self._known = -1
        self._commits: dict[int, list[Action]] = {}
        self._pointer: int | None = None
        self._packed: dict[int, dict[int, str]] = {}
        self._mutex = threading.Lock()

    def version(self, *, at_least: int = -1) -> int:
        """The newest version, -1 if there is no table. `at_least` is a version known to exist, which saves a request."""
        self._known = max(self._known, at_least)
        if self._known < 0:
            self._known = self._checkpointed()
        self._known = max(self.single(self._known), default=self._known)
        return self._known

    def versions(self, after: int) -> list[int]:
        """The versions past `after` that the log has, oldest first; `after` is -1 or a version that existed. One request a thousand."""
        found = list(self.single(after))
        if found and len(found) < found[-1] - after:  # some are put together
            packed = {version for first in self._chunks(after) for version in self._chunk(first)}
            found = sorted({*found, *(version for version in packed if after < version < found[-1])})
        return found

    def single(self, after: int) -> Iterator[int]:
        """The versions past `after` (-1 for all) whose commits have an object of their own, oldest first."""
        for blob in self._store.walk(f"{self.path}/_delta_log", after=self.name(after) if after >= 0 else None):
            stem, _, ending = blob.path.rsplit("/", 1)[-1].partition(".")
            if ending == "json" and stem.isdigit():
                yield int(stem)

    @property
    def known(self) -> int:
        """The newest version that was met so far, -1 if none was. No request."""
        return self._known

    def exists(self) -> bool:
        """Whether the table was ever committed. One request at most, however long its history."""
        return self._known >= 0 or any(True for _ in self._store.walk(f"{self.path}/_delta_log"))

    def commit_at(self, version: int) -> list[Action]:
        """The actions of one commit. Raises NotFound if there is no such version, or its log was cleaned up."""
        if version not in self._commits:
            self._commits[version] = self._read(version)
        return self._commits[version]

    def commits(self, until: int) -> Iterator[list[Action]]:
        """The actions of every commit up to version `until`, from the first. A few are fetched at once, and none is remembered. Raises as `commit_at`."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, until + 1, _AHEAD):
                yield from pool.map(carried(self._read), range(start, min(start + _AHEAD, until + 1)))

    def texts(self, first: int, last: int) -> dict[int, str]:
        """These commits as they are, by version. Raises as `commit_at`."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(range(first, last + 1), pool.map(carried(self._text), range(first, last + 1)), strict=True))

    def committed(self, version: int) -> dt.datetime:
        """When a commit was made, as it says itself. Raises as `commit_at`."""
        stamp = next((action["commitInfo"].get("timestamp", 0) for action in self.commit_at(version) if "commitInfo" in action), 0)
        return dt.datetime.fromtimestamp(stamp / 1000, dt.UTC)

    def _read(self, version: int) -> list[Action]:
        try:
            found = [json.loads(line) for line in self._text(version).splitlines() if line.strip()]
            if found and all(isinstance(action, dict) for action in found):
                return found
        except ValueError:
            pass
        raise Damaged(f"{self.path} version {version}: its log is damaged: {self._store.uri(self.name(version))} is no commit", DAMAGED_HINT)

    def _text(self, version: int) -> str:
        """A commit as it is, from an object of its own or from those that are put together; where that was so before, these are looked into first."""
        first = chunk_of(version)
        if version in (known := self._packed.get(first, {})):
            return known[version]
        try:
            return self._store.get(self.name(version)).decode()
        except NotFound:
            text = self._chunk(first).get(version)
            if text is None:
                raise
            return text

    def _chunk(self, first: int) -> dict[int, str]:
        """The commits that are put together with version `first`; none where they are not. The last two that were asked for are remembered."""
        with self._mutex:
            if first not in self._packed:
                place = packed_path(self.path, first)
                try:
                    found = unpack(self._store.get(place))
                except NotFound:
                    return {}
                except ValueError as error:
                    raise Damaged(f"cannot read the history of {self.path}: {place}: {error}", DAMAGED_HINT) from None
                self._packed = dict([*self._packed.items()][-1:]) | {first: found}
            return self._packed[first]

    def _chunks(self, after: int) -> list[int]:
        """The first versions of commits that are put together, of those that go beyond `after`."""
        found = [int(blob.path.rsplit("/", 1)[-1].partition(".")[0]) for blob in self._store.walk(f"{PACKED}/{self.path}")]
        return [first for first in found if first + TOGETHER - 1 > after]

    def record_at(self, version: int) -> Record | None:
        """What lake said in that commit; None if another engine made it."""
        for action in self.commit_at(version):
            if "commitInfo" in action:
                try:
                    return read_record(action["commitInfo"], self._store.names)
                except ValueError:
                    told = f"{self.path} version {version}: its log is damaged: what {self._store.uri(self.name(version))} says of itself cannot be read"
                    raise Damaged(told, DAMAGED_HINT) from None
        return None

    def last_record(self, *, until: int | None = None) -> tuple[int, Record] | None:
        """The newest record at or before version `until`, with its version. Commits of other engines are passed over."""
        return next(self.back(until=until), None)

    def head(self) -> tuple[int, Record | None]:
        """The newest version, -1 if there is no table, and the last record at or before it: what a writer builds on."""
        version = self.version()
        last = self.last_record(until=version)
        return version, last[1] if last else None

    def same_rows(self, one: int, other: int) -> bool:
        """Whether the two versions hold the same rows: whatever lies between them only arranged files anew."""
        low, high = sorted((one, other))
        return not any(moves_rows(action) for version in range(low + 1, high + 1) for action in self.commit_at(version))

    def records(self) -> list[tuple[int, Record]]:
        """Every record still in the log, newest first."""
        return list(self.back())

    def back(self, *, until: int | None = None) -> Iterator[tuple[int, Record]]:
        """The records at or before version `until`, newest first, each read when it is asked for, as far back as the log goes."""
        for version in range(self.version() if until is None else until, -1, -1):
            try:
                record = self.record_at(version)
            except NotFound:
                return
            if record is not None:
                yield version, record

    def recent(self, count: int, *, until: int | None = None) -> list[tuple[int, Record]]:
        """The last `count` records that moved rows, at or before version `until`, newest first. Reads about as many commits, however long the history."""
        return list(islice((found for found in self.back(until=until) if found[1].kind in ("ingest", "hop")), count))

    def commit(self, version: int, actions: list[Action], record: Record) -> int:
        """Publish `actions` and `record` as exactly `version`, or raise CommitConflict and leave nothing.

        If the answer is lost, the log is read: a commit there with this very content is this one. One request otherwise.
        """
        info = {
            "timestamp": int(record.at.timestamp() * 1000), "operation": "OPTIMIZE" if record.kind == "maintenance" else "WRITE" if version else "CREATE TABLE AS SELECT",
            "operationParameters": {"mode": record.write}, "engineInfo": _ENGINE, "isBlindAppend": False, RECORD_KEY: record.to_json(),
        }  # fmt: skip
        body = "\n".join(json.dumps(action, separators=(",", ":")) for action in [{"commitInfo": info}, *actions]) + "\n"
        try:
            written = self._store.put_if_absent(self.name(version), body.encode())
        except StoreError:
            if not self._holds(version, body):
                raise
            written = True
        if not written and not self._holds(version, body):
            raise CommitConflict(f"{record.table} is already at version {version}: another run committed it first", "Run again; it plans anew")
        self._known = max(self._known, version)
        self._commits[version] = [json.loads(line) for line in body.splitlines()]
        return version

    def _holds(self, version: int, body: str) -> bool:
        for patience in (0.0, 0.5, 2.0):
            time.sleep(patience)
            try:
                return self._store.get(self.name(version)).decode() == body
            except NotFound:
                return False
            except StoreError:
                continue
        return False

    def checkpoint(self, until: int) -> int:
        """The version that a reader of version `until` may begin with: that of the newest checkpoint; where it is too new, that at which one is due; -1 for the start.

        One request, or none. Whether there is a checkpoint where one was due, its reader will see.
        """
        newest = self._checkpointed()
        return newest if newest <= until else until - until % CHECKPOINT_EVERY or -1

    def _checkpointed(self) -> int:
        if self._pointer is None:
            try:
                self._pointer = int(json.loads(self._store.get(f"{self.path}/_delta_log/_last_checkpoint"))["version"])
            except (NotFound, ValueError, LookupError, TypeError):  # it saves time only
                self._pointer = -1
        return self._pointer

    def name(self, version: int) -> str:
        """The object of a commit."""
        return f"{self.path}/_delta_log/{version:020d}.json"


def schema_of_record(store: Store, log: TableLog, record: Record | None, *, registered: str | None = None) -> tuple[int, str, dict[str, Any]] | None:
    """Number, fingerprint and document of the schema that `record`, one of `log`, names; None if nothing is known of it.

    It is in the record itself or in the registry (under `registered`, else the name of the table). Only where it is in neither are the log's commits read, from the newest back.
    """
    if record is None:
        return None
    return last_schema(store, record, registered=registered) or last_schema(store, record, log.back(), registered=registered)


def key_of_record(store: Store, log: TableLog, record: Record) -> list[str]:
    """The key columns of the schema that `record` names; empty where it has none or nothing is known of it."""
    known = schema_of_record(store, log, record)
    return list(known[2]["key"]) if known else []
