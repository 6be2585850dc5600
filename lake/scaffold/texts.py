"""What stands beside the drafted tables of a new project: its settings, its schedule, a test on plain frames, a notebook, a workflow."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from lake.draft import quoted
from lake.guess import Column
from lake.scaffold.files import Kind
from lake.scaffold.gold import Gold
from lake.version import DISTRIBUTION, version

IGNORED = """\
.lake/
.venv/
__pycache__/
*.pyc
*.egg-info/
.pytest_cache/
__marimo__/
/site/
/build/
/dist/
"""
WORKFLOW = """\
name: check

on:
  push:
  pull_request:

permissions:
  contents: read

jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0
        with:
          python-version: "3.12"
      - run: python -m pip install -e '.[dev]'
      - run: python -m pytest
"""
EXAMPLE = {
    f"orders-2026-01-{day:02}.csv": "order,customer,placed_at,amount\n"
    + "".join(
        f"{1000 + 4 * day + n},{customer},2026-01-{day:02}T{9 + 2 * n:02}:30:00Z,{amount}\n"
        for n, (customer, amount) in enumerate(zip(customers, ("12.50", "7.00", "103.20", "19.90"), strict=True))
    )
    for day, customers in ((5, ("Ann", "Bob", "Ann", "Cleo")), (6, ("Bob", "Ann", "Dan", "Ann")), (7, ("Cleo", "Cleo", "Ann", "Bob")))
}
"""The files of the example, which a project gets that is not made from any: three days of a shop."""


def settings(name: str) -> str:
    """The pyproject.toml of a project called `name`, with this version of lake, and only this."""
    pinned = f"{DISTRIBUTION}=={version()}" if version() != "0" else DISTRIBUTION
    return f"""\
[project]
name = {json.dumps(name)}
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["{pinned}"]

[project.optional-dependencies]
dev = ["pytest>=8"]
notebooks = ["{DISTRIBUTION}[notebooks]"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["flows"]

[tool.lake]
flows = "flows"

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""


def flow(subject: str, owner: str) -> str:
    """When the subject lands and is refreshed."""
    return f'''"""When {subject} lands and is refreshed, and who answers for it. Run it here with `python -m flows.{subject}.flow`."""

from datetime import timedelta

from lake.orchestration import Schedule, land_flow, refresh_flow
from lake.pipeline import load_pipeline
from lake.settings import load_settings

_OWNER = "{owner}"
_pipeline = load_pipeline(load_settings(), "{subject}")

land = land_flow(_pipeline, Schedule("*/30 * * * *", "UTC"), owner=_OWNER, timeout=timedelta(hours=1), retries=1)
refresh = refresh_flow(_pipeline, Schedule("5 * * * *", "UTC"), owner=_OWNER, timeout=timedelta(hours=2), retries=1)

if __name__ == "__main__":
    refresh()
'''


def tests(subject: str, kinds: list[Kind], contracts: dict[str, str], gold: Gold) -> str:
    """Tests of the hops on plain frames: `contracts` has the name of the contract by table."""
    parts = [
        f'''

def test_take_{kind.table}() -> None:
    """Each row of bronze comes out once, with the columns that the contract promises, and no value is lost on the way."""
    raw = bronze({{
{"".join(f"        {quoted(column.name)}: {_values(column, kind.key)}," + chr(10) for column in kind.columns)}    }})
    rows = hops.take_{kind.table}(raw).collect()
    assert rows.height == raw.collect().height
    assert set(tables.{contracts[kind.table]}.columns()) <= set(rows.columns)
    assert [name for name in raw.collect_schema() if raw.collect()[name].null_count() < rows[name].null_count()] == []
'''
        for kind in kinds
    ]
    return f'''"""The hops on plain frames: no lake, no store. The values are made up; put in those that your hops must get right."""

import datetime as dt

import polars as pl
from flows.{subject} import hops, tables


def bronze(columns: dict[str, pl.Series]) -> pl.LazyFrame:
    """Rows as bronze has them: with the file they came from, their number in it, and when it landed."""
    frame = pl.DataFrame(columns)
    landed = pl.lit(dt.datetime(2026, 1, 31, tzinfo=dt.UTC)).dt.cast_time_unit("us")
    return frame.lazy().with_columns(_file=pl.lit("raw/a.csv"), _row=pl.int_range(1, frame.height + 1, dtype=pl.Int64), _landed=landed)
{"".join(parts)}{gold.test}'''


def notebook(subject: str, gold: Gold) -> str:
    """A notebook that opens the lake, lists its tables and plots the first gold table."""
    table = f"gold.{subject}.{gold.table}"
    return f'''import marimo

app = marimo.App(width="medium", app_title="{subject}")


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # {subject}

    What there is, as of the newest release, and the first gold table.
    """)
    return


@app.cell
def _():
    import altair as alt
    import marimo as mo

    import lake
    from lake.settings import project_root

    return alt, lake, mo, project_root


@app.cell
def _(lake, mo, project_root):
    lakehouse = None
    try:
        lakehouse = lake.open(root=project_root(mo.notebook_dir()))
        opened = f"This is release {{lakehouse.release.number}}."
    except lake.LakeError as error:
        opened = f"{{error}}. If the lake is new, run `lake run {subject}` first, then this notebook again."
    if mo.app_meta().mode == "script":
        print(opened)
    mo.stop(lakehouse is None, mo.callout(mo.md(opened), kind="warn"))
    mo.callout(mo.md(opened), kind="info")
    return (lakehouse,)


@app.cell
def _(lakehouse, mo):
    tables = lakehouse.tables().select("table", "rows", "rejects", "version", "freshest", "owner")
    mo.ui.table(tables, selection=None, show_column_summaries=False)
    return


@app.cell
def _(alt, lakehouse):
    counts = lakehouse["{table}"].scan().sort({quoted(gold.by)}).collect()
    alt.Chart(counts).mark_bar().encode(x=alt.X(field={quoted(gold.by)}, title={quoted(gold.by)}), y=alt.Y(field={quoted(gold.count)}, type="quantitative", title="rows"))
    return (counts,)


if __name__ == "__main__":
    app.run()
'''


def _values(column: Column, key: tuple[str, ...]) -> str:
    """Two values of a column of bronze as code: other ones where it is part of the key; nulls where what it holds is nested."""
    if column.dtype == pl.String:
        return f"pl.Series([{', '.join(map(quoted, _texts(column.guess)))}])"
    if column.dtype.is_integer():
        return f"pl.Series([1, 2], dtype={spelled_type(column.dtype)})"
    if column.dtype.is_float():
        return f"pl.Series([1.5, 2.5], dtype={spelled_type(column.dtype)})"
    if column.dtype == pl.Boolean:
        return "pl.Series([True, False])"
    made = {pl.Date: "dt.date(2026, 1, {0})", pl.Datetime: "dt.datetime(2026, 1, {0})"}.get(column.dtype.base_type())
    if made is None or getattr(column.dtype, "time_zone", None):
        empty = f"pl.Series([None, None], dtype={spelled_type(column.dtype)})"
        return (
            f"pl.Series([dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 2, tzinfo=dt.UTC)], dtype={spelled_type(column.dtype)})"
            if made
            else empty
        )
    return f"pl.Series([{made.format(1)}, {made.format(2)}], dtype={spelled_type(column.dtype)})"


def _texts(guess: pl.DataType) -> tuple[str, str]:
    """Two texts that bear the guessed type."""
    if isinstance(guess, pl.Decimal):
        places = f".{'0' * (guess.scale or 0)}" if guess.scale else ""
        return f"1{places}", f"2{places}"
    if isinstance(guess, pl.Datetime):
        zone = "Z" if guess.time_zone else ""
        return f"2026-01-01T10:00:00{zone}", f"2026-01-02T10:00:00{zone}"
    by_type: dict[Any, tuple[str, str]] = {
        pl.Boolean: ("true", "false"),
        pl.Date: ("2026-01-01", "2026-01-02"),
        pl.String: ("a", "b"),
        pl.Float64: ("1.5", "2.5"),
    }
    return by_type.get(guess.base_type(), ("1", "2"))


def spelled_type(dtype: Any) -> str:
    """A type of Polars as the code that makes it."""
    if isinstance(dtype, pl.List):
        return f"pl.List({spelled_type(dtype.inner)})"
    if isinstance(dtype, pl.Struct):
        return f"pl.Struct({{{', '.join(f'{field.name!r}: {spelled_type(field.dtype)}' for field in dtype.fields)}}})"
    return f"pl.{dtype!r}"
