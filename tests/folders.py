"""Projects written into a folder as text, to be loaded as a team's own: subjects of any size, and a way to load one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lake.pipeline import Pipeline, load_pipeline
from lake.settings import load_settings

TABLES = """\
import dataframely as dy
from lake.contract import Contract
from lake.table import Table


class Thing(Contract):
    \"\"\"One thing.\"\"\"

    thing = dy.Int64(primary_key=True, description="Its number")
    said = dy.String(nullable=True, description="What is said of it")
    at = dy.Datetime(nullable=True, description="When")


class Count(Contract):
    \"\"\"How many things say the same.\"\"\"

    said = dy.String(primary_key=True, description="What is said")
    things = dy.Int64(nullable=False, metadata={"unit": "things"}, description="How many")


"""
SOURCES = "from lake.hop import changes\nfrom lake.source import Source\n"
HOPS = "import polars as pl\nfrom lake.contract import PROVENANCE\nfrom lake.hop import changes, hop\n"


def write_project(root: Path, files: Mapping[str, str]) -> Path:
    """Write `files` (text by path below flows/) as the project at `root`, which is made."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text('[tool.lake]\nflows = "flows"\n', "utf-8")
    for name, text in files.items():
        path = root / "flows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def load(root: Path, subject: str) -> Pipeline:
    """The subject, loaded as every command does."""
    return load_pipeline(load_settings(root=root), subject)


def line_of(root: Path, file: str, text: str) -> str:
    """`flows/file:line` of the first line that has `text`."""
    lines = (root / "flows" / file).read_text("utf-8").splitlines()
    return f"flows/{file}:{next(number for number, line in enumerate(lines, 1) if text in line)}"
