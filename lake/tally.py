"""What the commits of a lake add up to: sums over all of them, and what the newest of each table says. Each commit is read once.

Nothing is kept elsewhere: a process that starts anew reads the history once more and comes to the same sums (law 1).
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, fields

from lake.catalog import Catalog
from lake.errors import NotFound
from lake.log import TableLog
from lake.meter import BYTES
from lake.receipts import LANDINGS
from lake.record import Record
from lake.release import Release, numbers, read_release
from lake.store import Store
from lake.table import path_of

_READERS = 8
_BATCH = 500  # commits read before they are added up


@dataclass
class Tally:
    """Sums over commits by table and by what is counted, the newest record of each table, and the newest release.

    `seconds` and `timed` are seconds, and how many commits told them, by table and phase; `runs` are those that committed something.
    """

    newest: dict[str, Record] = field(default_factory=dict)
    release: Release | None = None
    commits: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    timed: Counter[tuple[str, str]] = field(default_factory=Counter)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    runs: dict[str, tuple[str, str]] = field(default_factory=dict)

    def copy(self) -> Tally:
        """The sums as they are now, which further commits do not move."""
        return Tally(**{each.name: copy(getattr(self, each.name)) for each in fields(self)})

    def add(self, record: Record) -> None:
        """Count one commit, the newest so far of its table."""
        table = record.table
        self.newest[table] = record.model_copy(update={"files": [], "notices": [], "schema_document": None, "inputs": []})
        self.commits[table, record.kind] += 1
        self.runs[record.run.id] = (record.run.flow, record.run.trigger)
        for entry, number in record.ledger:
            if number:
                self.rows[table, entry] += number
        for severity, broken in (("quarantine", record.rules), ("warn", record.warned)):
            for rule, number in broken.items():
                self.rules[table, rule, severity] += number
        for phase, seconds in record.seconds.items():
            self.seconds[table, phase] = self.seconds.get((table, phase), 0.0) + seconds
            self.timed[table, phase] += 1
        for what, number in record.store.items():
            if what in BYTES:
                self.bytes[table, what.removeprefix("bytes_")] += number
            else:
                self.requests[table, what] += number


class Reader:
    """Keeps a tally up to date. Not for several threads at once."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._read: dict[str, int] = {}  # the last version by the table's path

    def read(self, store: Store) -> None:
        """Add what was committed since. One request a commit; where there is none, one a table, and one a layer, a subject and for the releases.

        Raises StoreError, and goes on from there the next time: no commit is ever counted twice.
        """
        paths = [path_of(name) for name in Catalog(store).folders()] + [LANDINGS]
        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(lambda path: TableLog(store, path).versions(self._read.get(path, -1)), paths))
            new = [(path, version) for path, versions in zip(paths, found, strict=True) for version in versions]
            for start in range(0, len(new), _BATCH):
                batch = new[start : start + _BATCH]
                for (path, version), record in zip(batch, pool.map(lambda one: _record(store, *one), batch), strict=True):
                    self._read[path] = version
                    if record is not None:
                        self.tally.add(record)
        known = self.tally.release.number if self.tally.release else 0
        if later := numbers(store, after=known):
            self.tally.release = read_release(store, later[-1])


def _record(store: Store, path: str, version: int) -> Record | None:
    """What a commit said; None where another engine made it, or where it was cleaned up since it was listed."""
    try:
        return TableLog(store, path).record_at(version)
    except NotFound:
        return None
