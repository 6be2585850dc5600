"""Law 7: the store is trusted only after it proved itself. The probe, and the memory of having passed it."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lake.clock import SKEW_ALLOWED, apart, now, spelled
from lake.disk import STORE_NEEDS, full_disk, local
from lake.errors import LakeError, NotFound, StoreBusy, StoreRefused, StoreUnreachable, StoreUntrusted
from lake.patience import tell_people
from lake.settings import Settings
from lake.store import Store

_TRUST_LASTS = dt.timedelta(days=1)
_warned: set[str] = set()  # stores whose clock was told


@dataclass(frozen=True)
class Check:
    """One thing asked of the store: its name, whether it held, what was seen, and how long it took in seconds."""

    name: str
    ok: bool
    detail: str
    seconds: float


def probe(store: Store) -> list[Check]:
    """Ask the store everything lake relies on. Writes and removes a few objects under `_probe/`.

    Raises StoreUnreachable or StoreRefused if it does not answer at all; a failed expectation is a Check that is not ok.
    """
    area = f"_probe/{secrets.token_hex(8)}"
    questions: dict[str, Callable[[Store, str], str]] = {
        "conditional put": _refuses_second_put,
        "conditional put, raced": _has_one_winner,
        "read after write": _reads_own_write,
        "list after put": _lists_own_write,
        "multipart": _takes_parts,
        "clock skew": _agrees_on_time,
    }
    checks = []
    try:
        for name, question in questions.items():
            started = time.perf_counter()
            try:
                ok, detail = True, question(store, area)
            except (StoreUnreachable, StoreRefused, StoreBusy):
                raise
            except (_Refuted, LakeError) as error:
                ok, detail = False, str(error)
            checks.append(Check(name, ok, detail, time.perf_counter() - started))
    finally:
        _sweep(store, area)
    return checks


def ensure_trusted(store: Store, settings: Settings) -> None:
    """Probe the store unless it passed within the last day. Raises StoreUntrusted with the first thing that failed."""
    memory = settings.state / "trusted.json"
    key = f"{'embedded' if store.embedded else store.endpoint}/{store.bucket}/{store.prefix}"
    today = dt.datetime.now(dt.UTC)
    try:
        passed = {name: dt.datetime.fromisoformat(at) for name, at in json.loads(memory.read_text("utf-8")).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        passed = {}
    if key in passed and dt.timedelta(0) <= today - passed[key] < _TRUST_LASTS:
        return
    for check in probe(store):
        if not check.ok and store.embedded and (full := full_disk(settings.state / "store" / "data", STORE_NEEDS, "the embedded store's data")):
            raise full
        if not check.ok:
            raise StoreUntrusted(f"{store.endpoint} is not safe to write to: {check.name}: {check.detail}", "`lake doctor` shows the whole probe")
    temporary = memory.with_name(f"trusted.json.{secrets.token_hex(4)}")
    with local(settings.state):
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({name: at.isoformat() for name, at in (passed | {key: today}).items()}), "utf-8")
        temporary.replace(memory)


def warn_of_clock(store: Store) -> None:
    """Tell people, once a process, if this machine's clock and the store's are further apart than allowed. The embedded store's is this machine's."""
    if store.embedded or store.endpoint in _warned:
        return
    _warned.add(store.endpoint)
    by = apart(store.endpoint)
    if by is not None and abs(by) > SKEW_ALLOWED:
        tell_people(
            f"this machine's clock is {spelled(by)} of the store's; set it by a time server: 15 min off, the store refuses every request, "
            "and the times of commits, and how fresh tables are, are told wrong by as much"
        )


def by_clock_of(store: Store) -> dt.datetime:
    """The time by the store's clock, to about a second; this machine's where the store does not tell its own."""
    by = None if store.embedded else apart(store.endpoint)
    return now() - (by or dt.timedelta(0))


class _Refuted(Exception):
    """The store did something else than lake needs."""


def _refuses_second_put(store: Store, area: str) -> str:
    if not store.put_if_absent(f"{area}/once", b"first") and store.get(f"{area}/once") != b"first":  # unless the answer to our own got lost
        raise _Refuted("the first conditional put of a new object was refused")
    if store.put_if_absent(f"{area}/once", b"second"):
        raise _Refuted("a second conditional put was accepted")
    if store.get(f"{area}/once") != b"first":
        raise _Refuted("the refused put changed the object")
    return "the second writer is refused"


def _has_one_winner(store: Store, area: str) -> str:
    writers, rounds = 2, 8  # more at once take SeaweedFS a second a round
    with ThreadPoolExecutor(writers) as pool:
        for turn in range(rounds):
            won = list(pool.map(lambda who, turn=turn: store.put_if_absent(f"{area}/race-{turn}", b"%d" % who), range(writers)))
            if sum(won) != 1:
                raise _Refuted(f"{sum(won)} of {writers} racing writers won")
            if store.get(f"{area}/race-{turn}") != b"%d" % won.index(True):
                raise _Refuted("the object does not hold what its winner wrote")
    return f"one winner in each of {rounds} races of {writers}"


def _reads_own_write(store: Store, area: str) -> str:
    for content in (b"one", b"two"):
        store.put(f"{area}/read", content)
        if store.get(f"{area}/read") != content:
            raise _Refuted("a read returned something older than the last write")
    return "a read sees the last write"


def _lists_own_write(store: Store, area: str) -> str:
    names = [f"{area}/list/{i:03d}" for i in range(5)]
    for name in names:
        store.put(name, b"x")
    if [blob.path for blob in store.walk(f"{area}/list")] != names:
        raise _Refuted("a listing misses or reorders objects just written")
    if [blob.path for blob in store.walk(f"{area}/list", after=names[2])] != names[3:]:
        raise _Refuted("a listing from a given name on starts elsewhere")
    return "a listing sees all writes, in order"


def _takes_parts(store: Store, area: str) -> str:
    content = secrets.token_bytes(1 << 20) * 17
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "parts"
        file.write_bytes(content)
        store.upload(f"{area}/parts", file)
    if store.get(f"{area}/parts") != content:
        raise _Refuted("an object stored in parts comes back different")
    return "17 MiB in two parts comes back whole"


def _agrees_on_time(store: Store, area: str) -> str:
    by = skew(store, area)
    if abs(by) > SKEW_ALLOWED:
        raise _Refuted(f"this machine's clock is {spelled(by)} of the store's; set it by a time server")
    return f"clocks agree within {abs(by).total_seconds() + 1:.0f} s"


def skew(store: Store, area: str = "_probe") -> dt.timedelta:
    """How far this machine's clock is ahead of the store's (negative: behind), by when the store says that something was written just now. Raises StoreError."""
    path = f"{area}/time-{secrets.token_hex(4)}"
    store.put(path, b"x")
    blob = store.head(path)
    at = now()
    store.delete([path])
    if blob is None:
        raise _Refuted("an object just written is not there")
    return at - blob.modified


def _sweep(store: Store, area: str) -> None:
    try:
        store.delete([blob.path for blob in store.walk(area)])
    except NotFound:
        return
