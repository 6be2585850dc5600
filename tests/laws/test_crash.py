"""Killed anywhere, run again: the tables end as if nothing had happened. Real processes, SIGKILL, SeaweedFS."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lake.catalog import Catalog
from lake.release import find_release, numbers
from lake.settings import load_settings
from lake.store import open_store
from tests.conftest import ROOT, Built
from tests.outside import outside

_KILLS = 8


def _start(home: Path, **variables: str) -> subprocess.Popen[str]:
    environment = outside() | {
        "LAKE_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
    command = [sys.executable, "-m", "lake", "run", "nyc", "--no-prefect"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _content(catalog: Catalog) -> dict[str, Any]:
    lasts = {name: catalog.last(name)[1] for name in catalog.names()}
    return {name: (record.rows, record.rejects, record.content and record.content.value) for name, record in lasts.items()}


def _raw_is_whole(catalog: Catalog) -> None:
    """Every raw object holds the bytes its path names."""
    import hashlib

    import zstandard

    for blob in catalog.store.walk("raw"):
        data = catalog.store.get(blob.path)
        if blob.path.endswith(".zst"):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        assert hashlib.sha256(data).hexdigest() == blob.path.split("/")[2]


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_nothing_half_done(flights_lake: Built, tmp_path: Path) -> None:
    """The process is killed again and again, after a random number of steps and a moment; then one run to the end: content, rejects and ledgers are those of an undisturbed lake."""
    home = tmp_path / "killed lake"
    chance = random.Random(7)
    seen: set[tuple[str, ...]] = set()
    for _ in range(_KILLS):
        process = _start(home)
        for _ in range(chance.randint(3, 19)):  # so many steps are told, then the next is on its way
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
        with contextlib.closing(open_store(load_settings(home=home, root=ROOT))) as store:
            names = Catalog(store).names()
            seen.add(tuple(names))
            for name in names:
                Catalog(store).last(name)[1].ledger.check(name)
            assert len(numbers(store)) <= 1
    process = _start(home)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), out
    with contextlib.closing(open_store(load_settings(home=home, root=ROOT))) as store:
        catalog = Catalog(store)
        assert _content(catalog) == _content(Catalog(flights_lake.run.store))
        assert all(catalog.log(name).version() == 0 for name in catalog.names()), "every table was committed exactly once"
        release = find_release(store)
        assert release is not None
        assert {name: pin.version for name, pin in release.tables.items()} == dict.fromkeys(catalog.names(), 0)
        _raw_is_whole(catalog)
    print(json.dumps({"kills": _KILLS, "different states met": len(seen)}))  # noqa: T201  # what the test tried is part of its result


@pytest.mark.slow
@pytest.mark.parametrize("patience", ["PT0S", "PT60S"])
def test_a_store_killed_under_a_run(flights_lake: Built, tmp_path: Path, patience: str) -> None:
    """SIGKILL of the store while a run writes. Where it may be waited for, it is started again, and the run ends like an undisturbed one.

    Else it is one clear error: exit 1, no traceback, nothing half-released; and the next run ends like an undisturbed one.
    """
    home = tmp_path / "store"
    process = _start(home, LAKE_PATIENCE=patience)
    state = home / "store" / "state.json"
    deadline = time.monotonic() + 30
    while not list(home.glob("spool/ingest-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(json.loads(state.read_text())["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert "Traceback" not in out + err
    if patience == "PT0S":
        assert process.returncode == 1, out
        assert err.startswith("lake: ")
        assert len(err.strip().splitlines()) == 1
        process = _start(home)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), out
    with contextlib.closing(open_store(load_settings(home=home, root=ROOT))) as store:
        assert _content(Catalog(store)) == _content(Catalog(flights_lake.run.store))
