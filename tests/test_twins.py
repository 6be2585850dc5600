"""What the command shows, Python gives as a Polars frame with the same in it; and both say it in words that people know."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import polars as pl
import pytest

import lake
from flows.nyc.sources import published_files
from lake.cards import table_card
from lake.catalog import Catalog
from lake.lakehouse import Lake
from lake.release import find_release
from tests.conftest import Built
from tests.test_cli import CLEANED, GOLD, LISTINGS, answer, plain
from tests.test_words import INTERNAL

KEY = {"carrier": "UA", "flight_date": "2013-02-09"}
TWINS: dict[str, Callable[[Lake], pl.DataFrame]] = {
    "ls": lambda opened: opened.tables(),
    "ls --search delay": lambda opened: opened.tables("delay"),
    f"show {GOLD}": lambda opened: opened[GOLD].scan().head(10).collect(),
    f"history {GOLD}": lambda opened: opened[GOLD].history(),
    f"schema show {GOLD}": lambda opened: opened[GOLD].schema_versions(),
    f"lineage {GOLD}": lambda opened: opened[GOLD].lineage(),
    f"lineage {GOLD}.mean_delay": lambda opened: opened[GOLD].lineage("mean_delay").filter(direction="upstream"),
    f"lineage {GOLD}.mean_delay --rows": lambda opened: opened[GOLD].lineage("mean_delay", rows=True).filter(direction="upstream"),
    f"rejects {CLEANED} -n 9999": lambda opened: opened[CLEANED].rejects().sort("_file", "_row").collect(),
    f"profile {GOLD}": lambda opened: opened[GOLD].profile(),
    "plan": lambda opened: opened.plan(),
    "release ls": lambda opened: opened.releases(),
    "release show": lambda opened: opened.versions(),
    "verify nyc --share 0.01 --seed 7": lambda opened: opened.verify(share=0.01, seed=7),
}
"""Commands that look, and what gives the same in Python. `schema check` is `check_schemas`, `release diff` is `diff`: told where they have something to tell."""
OTHERWISE = {
    "trace": "a Trace: .rows, .raw, .verdict", "replay": "Lake.replay: it takes as long as it takes", "preview": "lake.preview", "doctor": "about this machine",
    "deployments": "about Prefect",
}  # fmt: skip


@pytest.fixture
def opened(flights_lake: Built) -> Lake:
    """The flights lake at its release."""
    return Lake(flights_lake.run.store, find_release(flights_lake.run.store, "latest"), flights_lake.settings)


def test_every_command_that_looks_has_its_twin() -> None:
    """Each is compared below, or is said to be otherwise and why."""
    assert {name for name in LISTINGS if not any(command.startswith(name) for command in TWINS)} == OTHERWISE.keys()


def as_counted(value: Any) -> Any:
    """The value, and of a sum of floats what does not depend on the order of summing."""
    return round(value, 9) if isinstance(value, float) else value


@pytest.mark.parametrize("command", TWINS)
def test_python_gives_what_the_command_shows(opened: Lake, flights_lake: Built, command: str) -> None:
    """The same rows in the same order, and every key that both have with the same value."""
    rows = answer(*command.split(), "--json", LAKE_HOME=str(flights_lake.settings.home)).rows
    frame = TWINS[command](opened)
    assert isinstance(frame, pl.DataFrame)
    twin = plain(frame.to_dicts())
    assert len(rows) == len(twin) > 0
    shared = [key for key in rows[0] if key in frame.columns and not frame.schema[key].is_nested()]  # structs of a frame have all fields of all rows
    if command.startswith("profile"):  # of a file without sketches these are made anew, and quantiles choose at random what they keep
        shared = ["column", "type", "rows", "nulls", "min", "max", "unit"]
    assert {*frame.columns} - {*rows[0]} == set(), "Python has nothing that the command does not show"
    assert {*rows[0]} - {*frame.columns} <= {"table", "inputs", "release"}, "the command shows nothing that Python does not have"
    assert [{key: as_counted(row[key]) for key in shared} for row in rows] == [{key: as_counted(row[key]) for key in shared} for row in twin]


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize("form", ["for people", "as JSON"])
def test_no_listing_shows_internals(flights_lake: Built, listing: str, form: str) -> None:
    """Types and rules are said as teams write them, in text and in JSON; the fields of preview's contract are Python and stay so."""
    if listing in ("replay", "deployments"):
        pytest.skip("shows neither types nor rules")
    ask = partial(answer, LAKE_HOME=str(flights_lake.settings.home))
    said = ask(*listing.split(), *LISTINGS[listing], *(["--json"] if form == "as JSON" else [])).did()
    told = [line for line in said.out.splitlines() if INTERNAL.search(line) and "dy.Datetime" not in line]
    assert told == []


def test_no_card_shows_internals(opened: Lake, flights_lake: Built) -> None:
    """Neither in a notebook nor in Prefect."""
    catalog = Catalog(flights_lake.run.store)
    for name in opened:
        assert not INTERNAL.search(opened[name]._repr_html_()), name
        assert not INTERNAL.search(table_card(catalog, name)), name
    assert "Standard time is within" not in opened[CLEANED]._repr_html_()
    assert "The sun agrees with the clock" in opened[CLEANED]._repr_html_()


def test_a_preview_says_types_as_contracts_do() -> None:
    """In what it shows; its frame is Polars' own."""
    found: Any = lake.preview(f"{published_files()}/airports.csv")
    assert not INTERNAL.search(repr(found))
