"""The year that changes: the lines of docs/changes.md, run in order on a lake of their own, and each kind of change followed to where it went."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lake
from tests.conftest import ROOT
from tests.outside import outside

_BLOCK = (ROOT / "docs" / "changes.md").read_text("utf-8").split("```sh\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the block was run; what it said is in the file `said`."""
    root = tmp_path_factory.mktemp("a project")
    shutil.copytree(ROOT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    prelude = f'set -e\nlake() {{ "{sys.executable}" -m lake "$@"; }}\npython() {{ "{sys.executable}" "$@"; }}\n'
    done = subprocess.run(["sh", "-c", prelude + _BLOCK], cwd=root, env=_environment(root), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (root / "said").write_text(done.stdout, "utf-8")
    return root


def _environment(root: Path) -> dict[str, str]:
    kept = outside()
    return kept | {"LAKE_HOME": str(root / ".lake"), "COLUMNS": "240"}


def _rows(project: Path, *arguments: str) -> list[dict[str, Any]]:
    environment = _environment(project) | {"NYC_FILES": "deliveries"}
    done = subprocess.run(
        [sys.executable, "-m", "lake", *arguments, "--json"], cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.slow
def test_the_block_says_what_it_promises(project: Path) -> None:
    """The notices, the rejects, the readmission, and that all of it replays."""
    said = (project / "said").read_text("utf-8")
    (told,) = [line for line in said.splitlines() if "bronze.nyc.flights" in line and "4 new files" in line]
    assert "departure_delay is column dep_delay in flights-2013-06.csv" in told, "the run itself says so"
    assert "column time_hour is new (String) in flights-2013-03.csv" in said
    assert "departure_delay is column dep_delay in flights-2013-06.csv" in said
    assert "a quote is opened and never closed" in said
    assert "not valid UTF-8" in said
    assert "3 of 8 rejected rows readmitted; 5 still rejected" in said
    assert "differs" not in said
    assert "damaged" not in said


@pytest.mark.slow
def test_a_column_that_march_adds_is_a_schema_version(project: Path) -> None:
    """Compatible both ways, also with every version before it."""
    newest, first = _rows(project, "schema", "bronze.nyc.flights")
    assert (first["class"], newest["class"], newest["since_version"]) == ("first", "full", 1)
    assert [change for change in newest["changes"] if "time_hour" in change] == ["column time_hour added (String)"]


@pytest.mark.slow
def test_what_june_renames_reaches_gold_under_its_name(project: Path) -> None:
    """Delays of June are not cancelled flights: they come in under the other name."""
    days = _rows(project, "show", "gold.nyc.daily_delays", "--rows", "100000", "--columns", "flight_date,flights,cancelled,mean_delay")
    june = [day for day in days if day["flight_date"].startswith("2013-06")]
    assert sum(day["flights"] for day in june) == 28_243
    assert all(day["mean_delay"] is not None for day in june if day["cancelled"] < day["flights"])


@pytest.mark.slow
def test_each_broken_line_of_september_is_somewhere(project: Path) -> None:
    """Two are no records (an open quote, bytes that are no text), one has too few fields, one has too many, three came back through readmit."""
    mine = "flights-2013-09"
    unclosed, foreign = [row for row in _rows(project, "rejects", "bronze.nyc.flights", "-n", "100") if mine in row["_file"]]
    assert (unclosed["_row"], unclosed["line"]) == (303, 304)
    assert (foreign["_row"], foreign["line"], foreign["reason"].startswith("not valid UTF-8 at byte")) == (404, 405, True)
    assert "\\xff" in foreign["bytes"]
    still = {row["_row"] for row in _rows(project, "rejects", "silver.nyc.flights", "-n", "100") if mine in row["_file"]}
    resolved = {row["_row"] for row in _rows(project, "rejects", "silver.nyc.flights", "--resolved", "-n", "100") if mine in row["_file"]}
    assert (still, resolved) == ({101}, {505, 606, 707})
    with lake.open(root=project, home=project / ".lake") as there:
        rows = there["silver.nyc.flights"].scan().filter(pl.col("_file").str.contains(mine, literal=True), pl.col("_row").is_in([505, 606, 707]))
        assert rows.sort("_row").collect()["distance"].to_list() == [292, 740, 1587]
