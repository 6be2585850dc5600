"""Law 7: the store is trusted only after it proved itself. The probe, and the memory of having passed it."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lake.errors import DiskFull, LakeError, NotFound, StoreRefused, StoreUnreachable, StoreUntrusted
from lake.settings import Settings
from lake.store import Store

_TRUST_LASTS = dt.timedelta(days=1)
_ROOM = 64 << 20  # bytes the embedded store needs to take anything at all
_SKEW_ALLOWED = dt.timedelta(minutes=5)


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
            except (StoreUnreachable, StoreRefused):
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
    now = dt.datetime.now(dt.UTC)
    try:
        passed = {name: dt.datetime.fromisoformat(at) for name, at in json.loads(memory.read_text("utf-8")).items()}
    except (FileNotFoundError, ValueError):
        passed = {}
    if key in passed and now - passed[key] < _TRUST_LASTS:
        return
    for check in probe(store):
        if not check.ok and store.embedded and shutil.disk_usage(settings.state).free < _ROOM:
            raise DiskFull(f"the disk that holds {settings.state} is full", "Free some room, or set LAKE_HOME to another disk, and run again")
        if not check.ok:
            raise StoreUntrusted(f"{store.endpoint} is not safe to write to: {check.name}: {check.detail}", "`lake doctor` shows the whole probe")
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_name(f"trusted.json.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps({name: at.isoformat() for name, at in (passed | {key: now}).items()}), "utf-8")
    temporary.replace(memory)


class _Refuted(Exception):
    """The store did something else than lake needs."""


def _refuses_second_put(store: Store, area: str) -> str:
    if not store.put_if_absent(f"{area}/once", b"first"):
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
    store.put(f"{area}/time", b"x")
    blob = store.head(f"{area}/time")
    if blob is None:
        raise _Refuted("an object just written is not there")
    skew = abs(dt.datetime.now(dt.UTC) - blob.modified)
    if skew > _SKEW_ALLOWED:
        raise _Refuted(f"its clock and this machine's differ by {skew.total_seconds():.0f} s")
    return f"clocks agree within {skew.total_seconds() + 1:.0f} s"


def _sweep(store: Store, area: str) -> None:
    try:
        store.delete([blob.path for blob in store.walk(area)])
    except NotFound:
        return
