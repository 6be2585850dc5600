"""Every declared thing is declared well: tables, hops, sources, commands, modules. One test over all of them, whatever is added."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import click
import dataframely as dy
import pytest

from lake.cli import cli
from lake.contract import Contract, document, undocumented
from lake.hop import Hop
from lake.pipeline import Pipeline, load_pipeline, subjects
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table
from tests.conftest import ROOT

_SETTINGS = load_settings(root=ROOT)
_PIPELINES = [load_pipeline(_SETTINGS, subject) for subject in subjects(_SETTINGS)]


def _tables() -> list[Table]:
    return [hop.table for pipeline in _PIPELINES for hop in pipeline.hops.values()] + [s.into for p in _PIPELINES for s in p.sources.values()]


@pytest.mark.parametrize("table", _tables(), ids=lambda table: table.name)
def test_every_table_is_keyed_documented_and_owned(table: Table) -> None:
    """A table says whose it is and what it is; above bronze also its key, its columns with units, and how fresh it stays."""
    assert table.owner
    assert table.summary
    if table.contract is not None:
        assert table.key
        assert undocumented(table.contract) == []
        assert table.fresh_within is not None


@pytest.mark.parametrize("hop", [hop for pipeline in _PIPELINES for hop in pipeline.hops.values()], ids=lambda hop: hop.name)
def test_every_hop_says_what_it_does_and_only_reads_what_is_filled(hop: Hop) -> None:
    """A hop's function has a docstring, and each table it reads is filled by some source or hop."""
    assert inspect.getdoc(hop.function)
    filled = {table.name for table in _tables()}
    assert set(hop.upstream()) <= filled


@pytest.mark.parametrize("source", [source for pipeline in _PIPELINES for source in pipeline.sources.values()], ids=lambda source: source.name)
def test_every_source_says_where_its_files_come_from(source: Source) -> None:
    """A source is described."""
    assert source.description


@pytest.mark.parametrize("pipeline", _PIPELINES, ids=lambda pipeline: pipeline.name)
def test_every_subject_has_the_same_files(pipeline: Pipeline) -> None:
    """sources, tables, hops and flow, and a line on what the subject is."""
    folder = ROOT / "flows" / pipeline.name
    assert {"__init__.py", "sources.py", "tables.py", "hops.py", "flow.py"} <= {path.name for path in folder.iterdir()}
    assert pipeline.description


def _commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found = [(name, cli.get_command(context, name)) for name in cli.list_commands(context)]
    return [(name, command) for name, command in found if command is not None]


@pytest.mark.parametrize(("name", "command"), _commands())
def test_every_command_is_documented(name: str, command: click.Command) -> None:
    """A command has help, so has each option, and the reference names it."""
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts[0]}"
    assert f"`lake {name}" in (ROOT / "docs" / "guide.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / "lake").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_and_stays_readable(path: Path) -> None:
    """A module has a docstring and stays under 400 lines."""
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) < 400


def test_rules_that_differ_read_differently() -> None:
    """Polars shortens long lists when it writes an expression down; the fingerprint of a contract must not."""

    def coded(codes: list[str]) -> str:
        column = dy.String(primary_key=True, description="Code", check=lambda col: col.is_in(codes))
        return str(document(type("Coded", (Contract,), {"__doc__": "Codes.", "code": column}))["rules"])

    letters = list("abcdefghijklmnop")
    other = [letter if letter != "h" else "H" for letter in letters]
    assert coded(letters) == coded(list(letters))
    assert coded(letters) != coded(other)
