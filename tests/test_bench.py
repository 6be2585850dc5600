"""The bench itself: on little data it runs through, reports what it should, and both ways of doing the work make the same gold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.report import Found
from tests.conftest import ROOT


@pytest.mark.slow
def test_the_bench_runs_and_both_ways_agree(tmp_path: Path) -> None:
    """Bulk, deliveries with corrections, and reading, at a thousandth of the scale."""
    variables = {"SCALE": "0.001", "REPEATS": "1", "B_AFTER": "1", "WORK": "A B R", "BENCH_OUT": str(tmp_path)}
    said = subprocess.run([sys.executable, "-m", "tests.bench.run"], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    rows = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert {tuple(row) for row in rows} == {("work", "metric", "value", "floor", "ratio", "bound", "met")}
    assert {row["work"] for row in rows} == {"A bulk", "B spread", "B recent", "B after 1 more", "R gold through a release"}
    differ = {row["work"]: row["value"] for row in rows if row["metric"] == "gold rows that differ"}
    assert differ == {"A bulk": 0, "B spread": 0, "B recent": 0}
    assert (tmp_path / "bench.svg").read_text("utf-8").startswith("<svg")
    assert "| A bulk | wall s |" in said.stdout


def test_a_bound_is_one_of_the_ratio_where_there_is_a_floor() -> None:
    """Else of the value; and at least or at most."""
    assert Found("w", "s", 6.0, floor=10.0, bound=0.65).met is True
    assert Found("w", "s", 7.0, floor=10.0, bound=0.65).met is False
    assert Found("w", "s", 0.2, bound=0.15).met is False
    assert Found("w", "files a second", 250.0, bound=200, at_least=True).met is True
