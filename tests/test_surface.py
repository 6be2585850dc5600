"""The package as people meet it: what `dir`, `help`, completion and a type checker see, and a lake and its tables as Python objects."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pydoc
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import lake
from lake.errors import UnknownName
from lake.lakehouse import Lake
from lake.run import Run
from tests.tiny import bring, bronze_orders, orders, totals, write_orders

DECLARED = {"PROVENANCE", "Contract", "Hints", "Source", "Table", "changes", "expect", "fresh", "hop", "null_share", "references", "row_count", "unique"}
ROWS = [(1, "ann", "1.50", "2024-01-01"), (2, "bob", "2.50", "2024-01-01"), (3, "test", "3.50", "2024-01-02")]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.fixture
def opened(run: Run, tmp_path: Path) -> Lake:
    """Three orders, one of them rejected, summed up; nothing is released."""
    write_orders(tmp_path / "in", "a.csv", ROWS)
    bring(run, tmp_path / "in")
    return Lake(run.store, None, run.settings)


def test_every_public_name_completes_and_is_what_it_says() -> None:
    """`dir` has what `__all__` has, before anything was used; every name is there, documented, and the same as in its module."""
    known = json.loads(python("import lake, json; print(json.dumps([name for name in dir(lake) if not name.startswith('__')]))"))
    assert sorted(known) == sorted(lake.__all__)
    assert {*lake.__all__} >= DECLARED | {"open", "Lake", "TableHandle", "preview", "LakeError"}
    for name in lake.__all__:
        value = getattr(lake, name)
        assert not inspect.ismodule(value), name
        assert name == "PROVENANCE" or inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lake.nothing  # type: ignore[attr-defined]


def test_help_teaches_and_lists_no_internals() -> None:
    """`help(lake)` begins with how it is used, then has the public names; its modules are for nobody who reads it."""
    text = pydoc.plain(pydoc.render_doc(lake))
    assert "PACKAGE CONTENTS" not in text
    assert text.index("with lake.open()") < text.index("from lake import PROVENANCE") < text.index("class Lake(")
    assert len([*__import__("pkgutil").iter_modules(lake.__path__)]) > 50  # whoever asks for modules still finds them


@pytest.mark.parametrize("first", ["", "import lake.hop", "from lake.hop import hop as other", "import lake.execute, lake.source"])
def test_hop_is_the_decorator_whichever_was_imported_first(first: str) -> None:
    """A module has the same name, and never takes its place."""
    assert python(f"{first}\nfrom lake import changes, hop\nimport lake\nprint(hop.__name__, lake.hop is hop, changes.__module__)") == "hop True lake.hop"


def test_importing_the_package_costs_next_to_nothing() -> None:
    """No engine is loaded before it is used."""
    assert python("import sys, lake; print([name for name in ('polars', 'dataframely', 'prefect', 'pydantic', 'deltalake') if name in sys.modules])") == "[]"


def test_a_type_checker_sees_the_names() -> None:
    """Those it reads are those that are there when the program runs, from the same modules."""
    tree = ast.parse(Path(str(lake.__file__)).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    read = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert read.keys() == {*lake.__all__}
    assert {name: importlib.import_module(str(home)).__dict__[name] for name, home in read.items()} == {name: getattr(lake, name) for name in lake.__all__}


def test_a_lake_is_a_mapping_of_its_tables(opened: Lake) -> None:
    """`in`, `len`, iteration and key completion; one without tables is a lake all the same."""
    names = [bronze_orders.name, orders.name, totals.name]
    assert (list(opened), len(opened), opened.keys(), opened._ipython_key_completions_()) == (names, 3, names, names)
    assert (orders.name in opened, "silver.shop.nothing" in opened, 3 in opened, bool(opened)) == (True, False, False, True)
    with pytest.raises(UnknownName, match=r"silver\.shop\.orders"):
        _ = opened["silver.shop.order"]


def test_a_table_knows_its_columns_and_rows(opened: Lake) -> None:
    """`in` and iteration are about columns, `len` about rows; `schema` names types as contracts do."""
    table = opened[orders.name]
    assert [*table][:4] == table.columns[:4] == ["order", "customer", "amount", "day"]
    assert (len(table), "day" in table, "nothing" in table, bool(opened[totals.name])) == (2, True, False, True)
    known = {row["column"]: row for row in table.schema().to_dicts()}
    assert known["amount"] == {
        "column": "amount", "type": "Decimal(12, 2)", "key": False, "nullable": False, "unit": "EUR", "description": "What it costs",
    }  # fmt: skip
    assert (known["order"]["key"], known["_landed"]["type"]) == (True, "Datetime(UTC, µs)")


def test_lineage_of_a_column_follows_what_only_chooses_rows_where_it_is_asked_to(opened: Lake) -> None:
    """As the command does with --rows; without a column there is nothing to follow."""
    table = opened[totals.name]
    plain, rows = table.lineage("amount"), table.lineage("amount", rows=True)
    assert set(plain["column"]) < set(rows["column"]) | {None}
    assert rows.height > plain.height
    with pytest.raises(UnknownName, match="rows=True follows a column"):
        table.lineage(rows=True)


def test_rejects_say_what_was_asked(opened: Lake) -> None:
    """Beside the name of each rule a row broke; those let in later are another list."""
    table = opened[orders.name]
    assert table.rejects().select("rules", "asked").collect().rows() == [(["no_test_customer"], ["Test orders are not orders."])]
    assert table.rejects(resolved=True).select(pl.len()).collect().item() == 0


def test_the_versions_of_a_release_are_those_it_pins(opened: Lake) -> None:
    """A lake of what is committed now pins none, and says how to open one that does."""
    with pytest.raises(UnknownName, match="no release is open"):
        opened.versions()
