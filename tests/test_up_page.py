"""What a person sees: the flights lake under `lake up`, in a real browser. A run is started from the form, and its artifacts are found."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from lake.prefect_server import entrance
from lake.service import free_ports
from lake.settings import load_settings
from tests.browser import browser_page
from tests.test_cli import run_lake
from tests.town import ENDED, admitted, asked, processes_in, until, until_none

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_HOME: dict[str, Path] = {}  # of the lake at that address
_SHOTS = os.environ.get("LAKE_SCREENSHOTS")  # a folder: `make pictures` names it


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Prefect's page for a flights lake that is up and has its first release."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "user").mkdir()
    (port,) = free_ports(1)
    variables = {"HOME": str(folder / "user"), "LAKE_HOME": str(folder / "home"), "LAKE_PREFECT_PORT": str(port), "NO_PROXY": "127.0.0.1"}
    said = run_lake("up", "--detach", "--no-open", **variables)
    try:
        assert said.code == 0, said
        page = f"http://127.0.0.1:{port}"
        _HOME[page] = folder / "home"
        admitted(page, folder / "home")
        until(lambda: [run for run in _runs(page) if run["name"] == "nyc refresh · release 1"], 240, "the flights are in a release")
        yield page
    finally:
        run_lake("down", **variables)
        left = until_none(lambda: processes_in(folder))
        for process in left:
            process.kill()
        assert left == []


@pytest.fixture
def page(up: str) -> Iterator[Page]:
    """A browser page that is let in as `lake up` opens it."""
    with browser_page() as opened:
        opened.goto(entrance(load_settings(home=_HOME[up]), up, "/v2/dashboard").as_uri())
        opened.wait_for_url("**/v2/dashboard", wait_until="commit")
        yield opened


def _runs(page: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked("POST", f"{page}/api/flow_runs/filter", {"sort": "START_TIME_DESC"}).json()
    return [run for run in found if run["state"]["type"] != "SCHEDULED"]


def _shoot(page: Page, name: str) -> None:
    if _SHOTS:
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(_SHOTS) / f"{name}.png"))


def _submitted(page: Page) -> bool:
    """Whether Prefect took the form. Where SQLite was busy the page says "Unknown error" and stays, and whoever pressed the button presses it again."""
    with page.expect_response("**/create_flow_run") as answered:
        page.get_by_role("button", name="Submit").click()
    assert answered.value.status in (201, 503)
    return answered.value.status == 201


def test_a_run_is_started_from_the_form(up: str, page: Page) -> None:
    """Deployments list all six; the form of nyc/refresh offers tables by name; submitted, the run completes with a release."""
    page.get_by_role("link", name="Deployments").first.click()
    for name in ("backfill", "freshness", "land", "refresh", "upkeep", "verify"):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    _shoot(page, "deployments")
    page.get_by_role("link", name="refresh", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom Run").click()
    expect(page.get_by_text("full computes every row again from raw")).to_be_visible()
    page.get_by_label("Select Table").click()
    page.get_by_role("option", name="gold.nyc.daily_delays").click()
    page.keyboard.press("Escape")
    page.get_by_label("Select mode").click()
    page.get_by_role("option", name="full", exact=True).click()
    _shoot(page, "form")
    until(lambda: _submitted(page), 60, "the form is taken")
    run = until(lambda: [one for one in _runs(up) if (one["state"]["message"] or "").startswith("release 2")], 90, "the run ends with a release")[0]
    assert run["parameters"] == {"mode": "full", "tables": ["gold.nyc.daily_delays"], "start": None, "until": None, "dry_run": False}


def test_a_run_shows_its_tables_as_tasks(up: str, page: Page) -> None:
    """The page of a run is named for its release; its tasks are the tables, its log has ledgers."""
    run = next(one for one in _runs(up) if one["name"] == "nyc refresh · release 1")
    page.goto(f"{up}/v2/runs/flow-run/{run['id']}")
    expect(page.get_by_text(run["name"]).first).to_be_visible()
    expect(page.get_by_text("inserted").first).to_be_visible()
    _shoot(page, "run")


def test_the_artifacts_of_a_table_and_a_run_are_found(up: str, page: Page) -> None:
    """From the page of all artifacts to a table's card, with its lineage drawn; and the run's hops can be searched."""
    page.goto(f"{up}/v2/artifacts")
    page.get_by_role("link", name="dev-gold-nyc-daily-delays").click()
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    expect(page.get_by_role("heading", name="gold.nyc.daily_delays")).to_be_visible()
    expect(page.get_by_role("heading", name="Where the rows went")).to_be_visible()
    drawing = page.locator("svg[id^=mermaid], svg.flowchart").first
    expect(drawing).to_be_visible()
    assert "raw/nyc.flights" in (drawing.text_content() or "")
    page.set_viewport_size({"width": 1440, "height": 1900})
    _shoot(page, "card")
    hops = next(row for row in _latest(up) if row["key"] == "dev-nyc-hops")
    page.goto(f"{up}/v2/artifacts/artifact/{hops['latest_id']}")
    expect(page.get_by_role("cell", name="land nyc.flights")).to_be_visible()
    until(lambda: _searched(page, "silver.nyc", "silver.nyc.flights"), 60, "the search finds the table")
    expect(page.get_by_role("cell", name="gold.nyc.daily_delays")).to_have_count(0)
    page.set_viewport_size({"width": 1440, "height": 1000})
    _shoot(page, "hops")
    rejects = next(row for row in _latest(up) if row["key"] == "dev-nyc-rejects")
    page.goto(f"{up}/v2/artifacts/artifact/{rejects['latest_id']}")
    picture = page.locator("img[src^='data:image/svg+xml']").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 300
    _shoot(page, "rejects")


def test_automations_tell_what_they_are_for(up: str, page: Page) -> None:
    """Each automation that lake ships is listed under a name that says what it does."""
    page.goto(f"{up}/v2/automations")
    expect(page.get_by_text("lake · nyc: refresh when files land")).to_be_visible()
    expect(page.get_by_text("lake · runs whose process is gone are marked as crashed")).to_be_visible()
    _shoot(page, "automations")


def _start(up: str, name: str, **parameters: Any) -> str:
    deployment = asked("GET", f"{up}/api/deployments/name/{name}").json()["id"]
    told = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
    return str(asked("POST", f"{up}/api/deployments/{deployment}/create_flow_run", told).json()["id"])


def _ended(up: str, run: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = asked("GET", f"{up}/api/flow_runs/{run}").json()
        return found if found["state"]["type"] in ENDED else None

    found: dict[str, Any] = until(look, 120, "the run ends")
    return found


def test_a_backfill_that_was_killed_is_resumed_by_running_it_again(up: str) -> None:
    """Six months of two tables: killed in the middle, the next run does what is left, skips what is done, and shows how far it came. Rows are what they were."""
    contents = {row["key"]: _content(row["data"]) for row in _latest(up) if row["key"].startswith("dev-gold-nyc-daily")}
    months = {"first": "2013-01-15", "last": "2013-06-01", "at_once": 2}
    run = _start(up, "nyc/backfill", **months)
    until(lambda: [row for row in _latest(up) if row["key"] == "dev-nyc-backfill" and float(row["data"]) >= 25], 90, "a quarter is done")
    (process,) = [one for one in psutil.process_iter(["cmdline", "environ"]) if (one.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID") == run]
    process.kill()
    assert _ended(up, run)["state"]["type"] == "CRASHED"
    again = _ended(up, _start(up, "nyc/backfill", **months))
    assert again["state"]["type"] == "COMPLETED", again["state"]["message"]
    done, before = (int(number) for number in re.findall(r"(\d+) (?:months? of tables|done before)", again["state"]["message"]))
    assert done + before == 12
    assert before >= 3
    (shown,) = [row for row in _latest(up) if row["key"] == "dev-nyc-backfill"]
    assert float(shown["data"]) == 100
    assert "12 of 12" in shown["description"]
    assert {row["key"]: _content(row["data"]) for row in _latest(up) if row["key"] in contents} == contents


def _searched(page: Page, text: str, cell: str) -> bool:
    """Whether a search shows the cell. The page draws itself anew once after it came, and forgets what was typed by then."""
    page.get_by_placeholder("Search").fill(text)
    try:
        expect(page.get_by_role("cell", name=cell)).to_be_visible(timeout=3000)
    except AssertionError:
        return False
    return True


def _content(card: str) -> str:
    """The content hash that a card tells."""
    found = re.search(r"\| Content \| `([^`]+)`", card)
    assert found is not None
    return found[1]


def _latest(up: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked("POST", f"{up}/api/artifacts/latest/filter", {"limit": 200}).json()
    return found
