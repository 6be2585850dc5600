"""The notebook runs from the first cell to the last, on a built lake and on none, and every plot of it can be drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest
import vl_convert

from lake.lakehouse import Lake
from tests.conftest import ROOT, Built

NOTEBOOK = "notebooks/flights.py"
PLOTS = ["aircraft", "calendar", "routes", "seasons", "weather"]
UNITS = ("(min)", "(mi)", "(mi, logarithmic)", "(million mi)", "(%)", "(local", "year", "week", "manufacturer")

PLOTTER = """
import importlib.util, json, sys
from types import SimpleNamespace
import altair
spec = importlib.util.spec_from_file_location("flights", sys.argv[1])
notebook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebook)
chosen = json.loads(sys.argv[2])
_, defined = notebook.app.run(defs={"carrier": SimpleNamespace(**chosen)} if chosen else None)
json.dump({name: made.to_dict() for name, made in defined.items() if isinstance(made, altair.TopLevelMixin)}, sys.stdout)
"""


def run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the repository's root, with the lake in `home`."""
    environment = {**os.environ, "LAKE_HOME": str(home), "PYTHONWARNINGS": "error"}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def plots(home: Path, chosen: dict[str, str | None]) -> dict[str, dict[str, Any]]:
    """The Vega-Lite specification of every plot, with the carrier `chosen` in the dropdown; {} leaves it alone."""
    ran = run(home, "-c", PLOTTER, NOTEBOOK, json.dumps(chosen))
    assert ran.returncode == 0, ran.stderr
    found: dict[str, dict[str, Any]] = json.loads(ran.stdout[ran.stdout.index("{") :])
    return found


@pytest.fixture(scope="module")
def drawn(flights_lake: Built) -> dict[str, dict[str, Any]]:
    """The plots as they are when the notebook is opened."""
    return plots(flights_lake.settings.state, {})


def test_runs_as_a_script(flights_lake: Built) -> None:
    """On a built lake the script runs to its end and says which release it read."""
    ran = run(flights_lake.settings.state, NOTEBOOK)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "This is release 1," in ran.stdout
    assert flights_lake.run.info.id in ran.stdout


def test_nothing_released(tmp_path: Path) -> None:
    """On an empty lake the script says what to do first, and that is no failure."""
    ran = run(tmp_path, NOTEBOOK)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert "Nothing has been released yet. Run `make demo` first" in ran.stdout


def test_marimo_finds_nothing_to_mend() -> None:
    """`marimo check` has no complaint about the notebook."""
    ran = run(ROOT, "-m", "marimo", "check", "--strict", NOTEBOOK)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_plots_are_these(drawn: dict[str, dict[str, Any]]) -> None:
    """The notebook has the plots that the tests below know."""
    assert sorted(drawn) == PLOTS


@pytest.mark.parametrize("name", PLOTS)
def test_plot_can_be_drawn(drawn: dict[str, dict[str, Any]], name: str) -> None:
    """A plot becomes an SVG in which its title, its subtitle and its axis titles stand, from data it carries itself."""
    spec = drawn[name]
    svg = vl_convert.vegalite_to_svg(spec)
    said = {element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314  # made on the spot
    assert {spec["title"]["text"], spec["title"]["subtitle"], *axis_titles(spec)} <= said
    assert sum(map(len, spec["datasets"].values())) > 10
    assert "url" not in json.dumps(spec["data"] if "data" in spec else spec["layer"])


@pytest.mark.parametrize("name", PLOTS)
def test_axes_say_their_unit(drawn: dict[str, dict[str, Any]], name: str) -> None:
    """Both axes of a plot have a title, and it says the unit or what kind of thing is named."""
    titles = axis_titles(drawn[name])
    assert len(titles) == 2
    assert [title for title in titles if not any(unit in title.casefold() for unit in UNITS)] == []


def test_marks_can_be_pointed_at(drawn: dict[str, dict[str, Any]]) -> None:
    """Every plot answers a pointer with at least three facts."""
    assert {name: len(encoding(spec)["tooltip"]) for name, spec in drawn.items() if len(encoding(spec)["tooltip"]) < 3} == {}


def test_choosing_a_carrier(flights_lake: Built, drawn: dict[str, dict[str, Any]]) -> None:
    """The dropdown changes the calendar to the carrier's own days, and adds a small carrier's line to those of the six largest."""
    chosen = plots(flights_lake.settings.state, {"value": "OO", "selected_key": "SkyWest Airlines Inc. (OO)"})
    assert chosen["calendar"]["title"]["text"] == "Departure delay by day: SkyWest Airlines Inc. (OO)"
    assert (len(rows(drawn["calendar"])), len(rows(chosen["calendar"]))) == (365, 32)
    assert {row["carrier"] for row in rows(chosen["seasons"])} - {row["carrier"] for row in rows(drawn["seasons"])} == {"OO"}


def test_all_carriers_is_the_mean_over_flights(flights_lake: Built, drawn: dict[str, dict[str, Any]]) -> None:
    """The calendar of all carriers shows what silver's flights give when they are averaged day by day."""
    flights = Lake(flights_lake.run.store, None)["silver.nyc.flights"].scan()
    days = flights.group_by("flight_date").agg(pl.col("departure_delay").mean().alias("mean")).collect()
    expected = {f"{day:%Y-%m-%d}": mean for day, mean in days.iter_rows()}
    assert {row["flight_date"][:10]: row["mean_delay"] for row in rows(drawn["calendar"])} == pytest.approx(expected)


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows a plot of one layer shows."""
    (found,) = spec["datasets"].values()
    return list(found)


def encoding(spec: dict[str, Any]) -> dict[str, Any]:
    """The encoding of a plot, or of its first layer."""
    found: dict[str, Any] = (spec["layer"][0] if "layer" in spec else spec)["encoding"]
    return found


def axis_titles(spec: dict[str, Any]) -> list[str]:
    """The titles of the x and the y axis."""
    return [encoding(spec)[axis]["title"] for axis in ("x", "y")]
