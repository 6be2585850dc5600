"""How flows run by themselves, before any Prefect: schedules that can work, deployments of every subject, prefect.yaml, automations, cards."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.backfill import is_done
from lake.cards import mermaid, table_card, words
from lake.catalog import Catalog
from lake.deployment import Deployment, Schedule
from lake.errors import DeclarationError
from lake.freshness import freshness
from lake.pipeline import load_pipeline
from lake.plan import Range
from lake.rejects_picture import rejects_svg
from lake.release import find_release
from tests.conftest import ROOT, Built
from tests.test_cli import Project, make_project


@pytest.mark.parametrize(("cron", "zone"), [("* * * *", "UTC"), ("every day", "UTC"), ("0 6 * * *", "Vienna")])
def test_a_schedule_that_cannot_work_is_refused_where_it_is_declared(cron: str, zone: str) -> None:
    """Four fields, words, or a zone that there is not."""
    with pytest.raises(DeclarationError, match=r"cron line|time zone"):
        Schedule(cron, zone)


def test_a_deployment_says_whose_it_is() -> None:
    """The owner stands under the description, the flow and `lake` among the tags, each once."""
    made = Deployment("shop", "land", "", description="Lands.", owner="ann", tags=("shop", "daily"))
    assert (made.full_name, made.told, made.labels) == ("shop/land", "Lands.\n\nOwner: ann", ("lake", "shop", "daily"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that declares no flow.py."""
    root = tmp_path_factory.mktemp("undeclared")
    return make_project(root, LAKE_HOME=str(root / "home"), LAKE_ENV="dev", HOME=str(root))


@pytest.mark.slow
def test_a_subject_without_a_flow_is_deployed_all_the_same(project: Project) -> None:
    """Land, refresh and backfill of the subject, and the three that keep the lake, with their defaults; prefect.yaml has them too, and is checked."""
    listed = {row["deployment"]: row for row in json.loads(project.lake("deployments", "--json").did().out)}
    assert listed.keys() == {"shop/land", "shop/refresh", "shop/backfill", "lake/upkeep", "lake/freshness", "lake/verify"}
    assert listed["shop/refresh"]["when"] == "0 * * * * UTC"
    project.lake("deployments", "--check").refused("prefect.yaml", "lake deployments --write")
    project.lake("deployments", "--write").did()
    assert "is what the flows declare" in project.lake("deployments", "--check").did().out
    written = yaml.safe_load((project.root / "prefect.yaml").read_text("utf-8"))["deployments"]
    assert [one["entrypoint"] for one in written][-1].startswith("lake.orchestration.undeclared.")


@pytest.mark.slow
def test_a_flow_file_that_is_wrong_is_named(project: Project, tmp_path: Path) -> None:
    """What is wrong with one flow.py is told with its name; no traceback."""
    other = make_project(tmp_path / "wrong", **project.variables)
    other.write("flows/shop/flow.py", "from lake.orchestration import Schedule\n\nwhen = Schedule('never')\n")
    other.lake("deployments").refused("shop", "not a cron line")


def test_the_committed_prefect_yaml_deploys_what_is_declared() -> None:
    """Each deployment of prefect.yaml names a flow that is there, a schedule with a zone, a limit, and the work pool."""
    written = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
    assert [one["name"] for one in written] == ["land", "refresh", "backfill", "upkeep", "freshness", "verify"]
    for one in written:
        file, _, name = one["entrypoint"].partition(":")
        assert f"\n{name} = " in (ROOT / file).read_text("utf-8")
        assert one["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
        assert one["work_pool"] == {"name": "lake"}
        assert all(schedule["timezone"] for schedule in one.get("schedules", []))


def _automations() -> list[dict[str, Any]]:
    """The automations of the flights, made in a process of its own: Prefect is imported there."""
    code = """
import json, uuid
from lake.orchestration.automations import automations, _said_by
from lake.pipeline import load_pipeline
from lake.settings import load_settings
settings = load_settings()
made = automations(settings, [load_pipeline(settings, "nyc")], {"nyc/refresh": uuid.UUID(int=1)}, uuid.UUID(int=2))
again = automations(settings, [load_pipeline(settings, "nyc")], {"nyc/refresh": uuid.UUID(int=1)}, uuid.UUID(int=2))
assert [_said_by(one) for one in made] == [_said_by(one) for one in again]
print(json.dumps([one.model_dump(mode="json") for one in made]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_event_that_lake_sends_has_an_automation() -> None:
    """What people must hear of is sent to the notification block, once in a while; files that land start the refresh at the end of the window in which they are gathered."""
    made = {one["name"]: one for one in _automations()}
    expected = {event for one in made.values() for event in one["trigger"]["expect"] if event.startswith("lake.")}
    code = (ROOT / "lake" / "events.py").read_text("utf-8")
    sent = {line.split('"')[1] for line in code.splitlines() if ' = "lake.' in line}
    assert sent - expected == {"lake.rows.rejected", "lake.files.left-out"}, "within what was declared: shown, and nobody is woken"
    files = made["lake · nyc: refresh when files land"]
    assert files["actions"][0]["schedule_after"] == files["trigger"]["within"] == 10.0
    alerts = [one for one in made.values() if one["actions"][0]["type"] == "send-notification"]
    assert len(alerts) == len(made) - 3
    assert all(one["actions"][0]["body"] for one in alerts)


def test_a_card_tells_a_table(flights_lake: Built) -> None:
    """What it is, its rows, its ledger, its rules, where it is from and how it is read; every link of the drawing joins two of its boxes."""
    catalog = Catalog(flights_lake.run.store)
    card = table_card(catalog, "silver.nyc.flights")
    for told in (
        "# silver.nyc.flights",
        "336,772 in ",
        "promised within 7 d",
        "| 0 | ",
        "336,776",
        "✗ ",
        "silver.nyc.airports",
        "delta_scan(",
        "`lake rejects silver.nyc.flights`",
    ):
        assert told in card, told
    assert "its page" not in card
    linked = table_card(catalog, "silver.nyc.flights", pages="https://docs.example.org/lake/")
    assert "(https://docs.example.org/lake/tables/silver.nyc.flights.html)" in linked
    drawn = mermaid(catalog, "silver.nyc.flights").splitlines()
    boxes = {line.split("[")[0].strip() for line in drawn if "[" in line}
    joined = {end for line in drawn if "-->" in line for end in line.strip().split(" --> ")}
    assert joined == boxes
    assert sum('[("raw/' in line for line in drawn) == 2


def test_the_picture_of_rejects_has_a_line_a_table(flights_lake: Built) -> None:
    """Tables with rejects say their share in words; a picture of nothing is a picture."""
    logs = [flights_lake.run.log(name.replace(".", "/")) for name in ("silver.nyc.airports", "silver.nyc.airlines")]
    drawn = rejects_svg(logs)
    assert "0.549%" in drawn
    assert "0.000%" in drawn
    assert rejects_svg([]).startswith("<svg")


def test_freshness_is_judged_as_readers_see_it(flights_lake: Built) -> None:
    """Every table that promises is judged, the stalest first; the flights landed a moment ago, so all are fresh."""
    rows = freshness(Catalog(flights_lake.run.store), find_release(flights_lake.run.store))
    assert {row["table"].split(".")[0] for row in rows} == {"silver", "gold"}
    assert all(row["fresh"] for row in rows)
    assert all(0 <= row["age_seconds"] < row["promised_seconds"] for row in rows)


def test_a_month_that_was_never_computed_by_itself_is_not_done(flights_lake: Built) -> None:
    """A table made in full holds the month; a backfill still computes it when asked, since no commit says that this range was."""
    hop = load_pipeline(flights_lake.settings, "nyc").hops["silver.nyc.flights"]
    assert is_done(flights_lake.run, hop, Range("2013-01-01", "2013-02-01")) is False


@pytest.mark.parametrize(("seconds", "told"), [(30.0, "30 s"), (3600.0, "1 h"), (7200.0, "2 h"), (86_400.0, "1 d"), (604_800.0, "7 d"), (None, "")])
def test_lengths_of_time_in_words(seconds: float | None, told: str) -> None:
    """The largest unit that tells it."""
    assert words(seconds) == told
    assert dt.timedelta(seconds=seconds or 0) >= dt.timedelta(0)
