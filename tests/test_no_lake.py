"""Commands that only look make no lake: where there is none they say so, and leave the folder as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import lake
from lake.cli import cli
from lake.errors import UnknownName
from tests.folders import HOPS, SOURCES, TABLES, write_project
from tests.test_cli import answer, run_lake

LOOKING = [
    "ls", "show gold.shop.totals", "history gold.shop.totals", "schema show gold.shop.totals", "schema check", "lineage gold.shop.totals", "lineage --export",
    "trace gold.shop.totals customer=ann", "trace --from-raw a.csv:1", "docs --out site", "profile gold.shop.totals", "rejects silver.shop.orders",
    "readmit silver.shop.orders", "accept silver.shop.orders --stopped --why known", "release ls", "release show", "release diff 1 2", "release rollback 1", "release resume", "replay latest", "verify", "maintain",
    "maintain --dry-run", "metrics --once", "metrics", "status", "doctor", "plan", "plan shop", "land", "retire", "retire shop", "backup there",
]  # fmt: skip
_ELSEWHERE = {"init", "demo", "preview", "run", "up", "down", "deployments", "worker", "watch", "prefect", "rename", "restore"}
"""What makes a lake, stops what runs, or never asks for one."""
_PROJECT = {
    "shop/tables.py": TABLES + 'raw = Table("bronze.shop.things")\nthings = Table("silver.shop.things", Thing)\n',
    "shop/sources.py": SOURCES + 'from flows.shop import tables\n\nthings = Source(tables.raw, "inbox")\n',
    "shop/hops.py": HOPS + 'from flows.shop import tables\n\n\n@hop(tables.things, write="merge", raw=changes(tables.raw))\ndef clean(raw):\n    return raw.select("thing", "said", "at", *PROVENANCE)\n',
}  # fmt: skip


def _content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in folder.rglob("*")}


def test_every_command_is_looked_at() -> None:
    """A command that is new is one that looks, or is named as one that does not."""
    assert {command.split()[0] for command in LOOKING} | _ELSEWHERE >= set(cli.list_commands(None))  # type: ignore[arg-type]


@pytest.mark.parametrize("command", LOOKING)
def test_an_empty_folder_stays_empty(tmp_path: Path, command: str) -> None:
    """No lake here, what to do, exit code 1, and not a byte was written."""
    answer(*command.split(), cwd=tmp_path).refused("no lake here", "LAKE_HOME")
    assert _content(tmp_path) == {}


@pytest.mark.parametrize("command", ["run", "land"])
def test_a_run_without_flows(tmp_path: Path, command: str) -> None:
    """What is missing is the folder of flows: that is said, with what drafts one, and nothing is made."""
    answer(command, cwd=tmp_path).refused(f"no folder {tmp_path / 'flows'}", "`lake init FOLDER --from FILE`")
    assert _content(tmp_path) == {}


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    """So does the command as people type it."""
    run_lake("ls", cwd=tmp_path).refused("no lake here")
    assert _content(tmp_path) == {}


@pytest.mark.parametrize("command", [command for command in LOOKING if not command.startswith(("plan", "land", "readmit", "accept"))])
def test_a_project_without_a_lake_is_left_as_it_is(tmp_path: Path, command: str) -> None:
    """So do commands in a project that has flows and no lake yet, and they say what makes one."""
    before = _content(write_project(tmp_path, _PROJECT))
    answer(*command.split(), cwd=tmp_path).refused("no lake here", "`lake run` makes it")
    assert {name: text for name, text in _content(tmp_path).items() if "__pycache__" not in name} == before


def test_a_plan_without_a_lake(tmp_path: Path) -> None:
    """A plan is made for a project that has no lake yet, from nothing, and leaves nothing behind."""
    before = _content(write_project(tmp_path, _PROJECT))
    said = run_lake("plan", "--json", cwd=tmp_path)
    assert [row["table"] for row in said.rows if row["table"].startswith("silver")] == ["silver.shop.things"]
    assert _content(tmp_path) == before


def test_in_python(tmp_path: Path) -> None:
    """`lake.open()` says the same, and makes nothing."""
    with pytest.raises(UnknownName, match="no lake here"):
        lake.open(root=tmp_path)
    with pytest.raises(UnknownName, match="no lake here"):
        lake.open(root=tmp_path, release=None)
    assert _content(tmp_path) == {}
