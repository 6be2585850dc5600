"""The Prefect server killed under a run: its history is best effort, the tables are not. Part of the full law run (LAKE_LAWS=full): Prefect's client gives up after minutes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lake.catalog import Catalog
from lake.release import numbers
from lake.settings import load_settings
from lake.store import open_store
from tests.conftest import ROOT, Built
from tests.outside import outside

_TOLD = 8  # steps before the kill


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("LAKE_LAWS") != "full", reason="takes minutes: LAKE_LAWS=full runs it")
def test_a_prefect_server_killed_under_a_run_costs_history_and_no_row(flights_lake: Built, tmp_path: Path) -> None:
    """SIGKILL of the server mid-run: whatever becomes of that run, nothing is half released, and the next one ends like an undisturbed one."""
    environment = outside() | {"LAKE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "lake", "run", "nyc"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for _ in range(_TOLD):
        assert process.stdout is not None
        process.stdout.readline()
    os.kill(json.loads((tmp_path / "prefect" / "state.json").read_text())["pid"], signal.SIGKILL)
    process.communicate(timeout=400)
    settings = load_settings(home=tmp_path, root=ROOT)
    with contextlib.closing(open_store(settings)) as store:
        assert len(numbers(store)) == (1 if process.returncode == 0 else 0)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    with contextlib.closing(open_store(settings)) as store:
        catalog, other = Catalog(store), Catalog(flights_lake.run.store)
        assert {name: catalog.last(name)[1].content for name in catalog.names()} == {name: other.last(name)[1].content for name in other.names()}
