"""The notebooks run from the first cell to the last, on a built lake and on none; what they show is what the lake says, and every plot can be drawn."""

from __future__ import annotations

import datetime as dt
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest
import vl_convert

from lake.lakehouse import Lake
from tests.conftest import ROOT, Built

NOTEBOOKS = ["flights", "operators", "trust"]
PLOTS = [
    *(("flights", name) for name in ("aircraft", "calendar", "routes", "seasons", "weather")),
    *(("operators", name) for name in ("freshness", "ledgers", "phases", "requests", "sizes")),
    ("trust", "ledger"),
]
UNITS = (
    "(min)", "(mi)", "(mi, logarithmic)", "(million mi)", "(%)", "(local", "(s)", "(mb)", "(number)", "rows (logarithmic)",
    "year", "week", "manufacturer", "table", "version",
)  # fmt: skip

PRESENTER = """
import datetime, importlib.util, json, sys
from types import SimpleNamespace as namespace
import altair, polars
spec = importlib.util.spec_from_file_location("shown", sys.argv[1])
notebook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebook)
_, defined = notebook.app.run(defs=eval(sys.argv[2]) or None)
plots = {name: made.to_dict() for name, made in defined.items() if isinstance(made, altair.TopLevelMixin)}
frames = {name: made.to_dicts() for name, made in defined.items() if isinstance(made, polars.DataFrame) and made.height <= 500}
plain = {name: made for name, made in defined.items() if isinstance(made, (int, float, str, list, dict)) and name.isidentifier()}
json.dump({"plots": plots, "frames": frames, "plain": plain}, sys.stdout, default=str)
"""
JUPYTER = """
import json, pathlib, sys
cells = json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8"))["cells"]
place = {}
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), place)
print(place["lakehouse"])
"""


def file(name: str) -> str:
    """The notebook's place in the project."""
    return f"notebooks/{name}.py"


def run(home: Path, *command: str, at: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python in the repository's root, or in a folder of it, with the lake in `home`."""
    environment = {**os.environ, "LAKE_HOME": str(home), "PYTHONWARNINGS": "error"}
    return subprocess.run([sys.executable, *command], cwd=at, env=environment, capture_output=True, text=True, timeout=120, check=False)


def shown(home: Path, name: str, **chosen: Any) -> dict[str, dict[str, Any]]:
    """What the notebook's cells define, its plots as Vega-Lite, with what is `chosen` in place of what a cell would define."""
    ran = run(home, "-c", PRESENTER, file(name), repr(chosen))
    assert ran.returncode == 0, ran.stderr
    found: dict[str, dict[str, Any]] = json.loads(ran.stdout[ran.stdout.index("{") :])
    return found


@pytest.fixture(scope="module")
def opened(flights_lake: Built) -> dict[str, dict[str, dict[str, Any]]]:
    """The notebooks as they are when they are opened; in that about trust, the button that verifies a table was pressed."""
    pressed = {
        "tables": SimpleNamespace(value=["gold.nyc.daily_delays"]),
        "verify_button": SimpleNamespace(value=True),
        "replay_button": SimpleNamespace(value=False),
    }
    home = flights_lake.settings.state
    return {name: shown(home, name, **(pressed if name == "trust" else {})) for name in NOTEBOOKS}


@pytest.fixture(scope="module")
def drawn(opened: dict[str, dict[str, dict[str, Any]]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The plots of all notebooks."""
    return {(name, plot): spec for name, found in opened.items() for plot, spec in found["plots"].items()}


@pytest.mark.parametrize(("name", "says"), [("flights", "This is release 1,"), ("trust", "This is release 1,"), ("operators", "14 tables are committed.")])
def test_runs_as_a_script(flights_lake: Built, name: str, says: str) -> None:
    """On a built lake the script runs to its end and says what it read."""
    ran = run(flights_lake.settings.state, file(name))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert says in ran.stdout
    assert name == "operators" or flights_lake.run.info.id in ran.stdout


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_nothing_there(tmp_path: Path, name: str) -> None:
    """On an empty lake the script says what to do first, and that is no failure."""
    ran = run(tmp_path, file(name))
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert f"Nothing {'is committed' if name == 'operators' else 'has been released'} yet. Run `make demo` first" in ran.stdout


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_marimo_finds_nothing_to_mend(name: str) -> None:
    """`marimo check` has no complaint about the notebook."""
    ran = run(ROOT, "-m", "marimo", "check", "--strict", file(name))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_every_notebook_is_known() -> None:
    """No notebook is left out of these tests."""
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.py")) == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_jupyter_runs_from_top_to_bottom(flights_lake: Built, name: str) -> None:
    """The code of the Jupyter notebook runs cell by cell, in its folder, without marimo's help, and reads the same lake."""
    place = ROOT / "notebooks" / "jupyter"
    ran = run(flights_lake.settings.state, "-c", JUPYTER, f"{name}.ipynb", at=place)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ("live" if name == "operators" else "release 1") in ran.stdout


def test_a_stale_jupyter_notebook_is_found(tmp_path: Path) -> None:
    """A Jupyter notebook that its own does not give any more is stale, one that is missing too, and one that is left over is named."""
    script = runpy.run_path(str(ROOT / "scripts" / "notebooks.py"))
    stale, there = script["stale"], ROOT / "notebooks" / "jupyter"
    stale.__globals__.update(JUPYTER=tmp_path, NOTEBOOKS=[ROOT / file("operators"), ROOT / file("trust")])
    (tmp_path / "operators.ipynb").write_text((there / "operators.ipynb").read_text("utf-8").replace("## Runs", "## Walks"), "utf-8")
    (tmp_path / "trust.ipynb").write_bytes((there / "trust.ipynb").read_bytes())
    (tmp_path / "gone.ipynb").write_text("{}", "utf-8")
    said = stale()
    assert [line.split(":")[0] for line in said] == [
        "notebooks/jupyter/operators.ipynb is stale", "notebooks/jupyter/gone.ipynb has no notebook that it is made from",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_jupyter_has_no_outputs(name: str) -> None:
    """What is committed for Jupyter is code and prose alone."""
    cells = json.loads((ROOT / "notebooks" / "jupyter" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]] == []


def test_the_plots_are_these(drawn: dict[tuple[str, str], dict[str, Any]]) -> None:
    """The notebooks have the plots that the tests below know."""
    assert sorted(drawn) == PLOTS


@pytest.mark.parametrize("name", PLOTS, ids="-".join)
def test_plot_can_be_drawn(drawn: dict[tuple[str, str], dict[str, Any]], name: tuple[str, str]) -> None:
    """A plot becomes an SVG in which its title, its subtitle and its axis titles stand, from data it carries itself."""
    spec = drawn[name]
    svg = vl_convert.vegalite_to_svg(spec)
    said = {element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314  # made on the spot
    assert {spec["title"]["text"], spec["title"]["subtitle"], *axis_titles(spec)} <= said
    assert sum(map(len, spec["datasets"].values())) >= (1 if name[1] == "ledgers" else 9)
    assert "url" not in json.dumps(spec["data"] if "data" in spec else spec["layer"])


@pytest.mark.parametrize("name", PLOTS, ids="-".join)
def test_axes_say_their_unit(drawn: dict[tuple[str, str], dict[str, Any]], name: tuple[str, str]) -> None:
    """Both axes of a plot have a title, and it says the unit or what kind of thing is named."""
    titles = axis_titles(drawn[name])
    assert len(titles) == 2
    assert [title for title in titles if not any(unit in title.casefold() for unit in UNITS)] == []


def test_marks_can_be_pointed_at(drawn: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Every plot answers a pointer with at least three facts."""
    assert {name: len(encoding(spec)["tooltip"]) for name, spec in drawn.items() if len(encoding(spec)["tooltip"]) < 3} == {}


def test_choosing_a_carrier(flights_lake: Built, drawn: dict[tuple[str, str], dict[str, Any]]) -> None:
    """The dropdown changes the calendar to the carrier's own days, and adds a small carrier's line to those of the six largest."""
    carrier = SimpleNamespace(value="OO", selected_key="SkyWest Airlines Inc. (OO)")
    chosen = shown(flights_lake.settings.state, "flights", carrier=carrier)["plots"]
    assert chosen["calendar"]["title"]["text"] == "Departure delay by day: SkyWest Airlines Inc. (OO)"
    assert (len(rows(drawn["flights", "calendar"])), len(rows(chosen["calendar"]))) == (365, 32)
    assert {row["carrier"] for row in rows(chosen["seasons"])} - {row["carrier"] for row in rows(drawn["flights", "seasons"])} == {"OO"}


def test_all_carriers_is_the_mean_over_flights(flights_lake: Built, drawn: dict[tuple[str, str], dict[str, Any]]) -> None:
    """The calendar of all carriers shows what silver's flights give when they are averaged day by day."""
    flights = Lake(flights_lake.run.store, None)["silver.nyc.flights"].scan()
    days = flights.group_by("flight_date").agg(pl.col("departure_delay").mean().alias("mean")).collect()
    expected = {f"{day:%Y-%m-%d}": mean for day, mean in days.iter_rows()}
    assert {row["flight_date"][:10]: row["mean_delay"] for row in rows(drawn["flights", "calendar"])} == pytest.approx(expected)


def test_sql_is_what_polars_says(flights_lake: Built, opened: dict[str, dict[str, dict[str, Any]]]) -> None:
    """The query in SQL gives for each carrier what Polars gives."""
    days = Lake(flights_lake.run.store, None)["gold.nyc.daily_delays"].scan()
    share = pl.col("cancelled").sum() / pl.col("flights").sum()
    expected = days.group_by("carrier_name").agg(pl.col("flights").sum(), share).collect()
    found = opened["flights"]["frames"]["cancellations"]
    assert {row["carrier_name"]: (row["flights"], row["cancelled"]) for row in found} == {
        name: (flights, share) for name, flights, share in expected.iter_rows()
    }


def test_a_number_is_shown_three_ways(opened: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Stored, computed from raw lines, and by SQL, the number is the same; its raw lines are those of its flights."""
    plain, frames = opened["trust"]["plain"], opened["trust"]["frames"]
    assert plain["chosen"] == {"carrier": "EV", "flight_date": "2013-03-08", "column": "mean_delay"}
    assert plain["number"] == plain["recomputed"] == pytest.approx(146.024096)
    row, by_sql = frames["row"][0], frames["by_sql"][0]
    assert {name: row[name] for name in by_sql} == pytest.approx(by_sql)
    lines = [line["text"] for line in frames["raw"] if line["name"].startswith("flights")]
    assert (len(lines), all(line.startswith("2013,3,8,") and ",EV," in line for line in lines)) == (row["flights"], True)


def test_what_was_checked_is_shown(opened: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Lineage by column, rules with the broken ones first, rejects, freshness and ledgers of the tables on the way; and the verification asked for."""
    plain, frames = opened["trust"]["plain"], opened["trust"]["frames"]
    assert ("raw/nyc.flights", "dep_delay") in {(one["table"], one["column"]) for one in frames["columns"]}
    assert {rule["table"] for rule in frames["rules"]} == {name for name in plain["way"] if not name.startswith("bronze.")}
    holds = [rule["holds"] for rule in frames["rules"]]
    assert (holds == sorted(holds), holds.count(False)) == (True, 4)
    assert sorted({one["table"] for one in frames["rejects"]}) == ["silver.nyc.airports", "silver.nyc.flights"]
    assert {one["table"] for one in frames["fresh"]} == {rule["table"] for rule in frames["rules"]}
    assert {one["table"] for one in rows(opened["trust"]["plots"]["ledger"])} == set(plain["way"])
    assert [(one["table"], one["verdict"]) for one in frames["verified"]] == [("gold.nyc.daily_delays", "equal")]


def test_choosing_a_number(flights_lake: Built) -> None:
    """The carrier, day and column of the form are those that are explained."""
    chosen = {"carrier": "OO", "flight_date": dt.date(2013, 8, 29), "column": "flights"}
    found = shown(flights_lake.settings.state, "trust", chosen=chosen)
    days = Lake(flights_lake.run.store, None)["gold.nyc.daily_delays"].scan()
    stored = days.filter(pl.col("carrier") == "OO", pl.col("flight_date") == chosen["flight_date"]).collect()["flights"][0]
    assert (found["plain"]["number"], found["plain"]["recomputed"], found["frames"]["by_sql"][0]["flights"]) == (stored, stored, stored)
    assert "verified" not in found["frames"], "nothing is verified until the button is pressed"


def test_operators_see_the_run(flights_lake: Built, opened: dict[str, dict[str, dict[str, Any]]]) -> None:
    """The run that built the lake, with what it read and rejected; seconds, requests and sizes of its tables."""
    frames, plots = opened["operators"]["frames"], opened["operators"]["plots"]
    (run,) = frames["runs"]
    assert {name: run[name] for name in ("run", "flow", "trigger", "commits", "tables", "rejected")} == {
        "run": flights_lake.run.info.id, "flow": "nyc", "trigger": "test", "commits": 14, "tables": 14, "rejected": 13,
    }  # fmt: skip
    assert run["seconds"] == pytest.approx(sum(row["seconds"] for row in rows(plots["phases"])), abs=0.01)
    tables = set(Lake(flights_lake.run.store, None).tables()["table"])
    assert {row["table"] for row in rows(plots["sizes"])} == {row["table"] for row in rows(plots["requests"])} == tables
    assert {(row["table"], row["rule"]): row["rows"] for row in frames["broken"]} == {
        ("silver.nyc.flights", "plausible_speed"): 4,
        ("silver.nyc.airports", "longitude_fits_offset"): 4,
        ("silver.nyc.airports", "in_north_america"): 3,
        ("silver.nyc.airports", "zone|nullability"): 3,
        ("silver.nyc.weather", "wind_speed|max"): 1,
    }
    assert {row["table"] for row in rows(plots["ledgers"])} == {"bronze.nyc.flights"}


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows a plot shows, of its first layer if there are several."""
    return list(spec["datasets"][spec["data"]["name"] if "data" in spec else spec["layer"][0]["data"]["name"]])


def encoding(spec: dict[str, Any]) -> dict[str, Any]:
    """The encoding of a plot, or of its first layer."""
    found: dict[str, Any] = (spec["layer"][0] if "layer" in spec else spec)["encoding"]
    return found


def axis_titles(spec: dict[str, Any]) -> list[str]:
    """The titles of the x and the y axis."""
    return [encoding(spec)[axis]["title"] for axis in ("x", "y")]
