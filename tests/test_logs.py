"""Structured logs: each event one line on standard error, with its fields and without secrets, where LAKE_LOG asks for it."""

from __future__ import annotations

import datetime as dt
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lake.logs import JsonFormatter, TextFormatter, start_logs, tell
from lake.record import RunInfo
from tests.conftest import fresh_env
from tests.test_cli import SECRET, Project, Said, keys, make_project, project

__all__ = ["keys", "project"]


def events(said: Said) -> list[dict[str, Any]]:
    """The events on standard error: every line is a JSON object but the one that says what went wrong."""
    return [json.loads(line) for line in said.err.splitlines() if not line.startswith("lake: ")]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, weed_home: Path) -> tuple[Project, Said]:
    """A project, and what its first run said as JSON."""
    made = make_project(tmp_path_factory.mktemp("logged"), LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())
    return made, made.lake("run", "--no-prefect", LAKE_LOG="json")


def test_a_run_is_told_event_by_event(told: tuple[Project, Said]) -> None:
    """A run is a landing, its steps, a release and its end, in that order, all with the run's id; standard output is what it always is."""
    said = events(told[1])
    assert [(event["event"], event.get("step")) for event in said] == [
        ("landing", "land shop.orders"), ("step", "bronze.shop.orders"), ("step", "silver.shop.orders"), ("step", "gold.shop.totals"), ("release", None), ("run", None),
    ]  # fmt: skip
    (commit,) = told[0].rows("history", "gold.shop.totals")
    assert {event["run"] for event in said} == {commit["run"]}
    assert {event["flow"] for event in said} == {"shop"}
    assert {event["level"] for event in said} == {"info"}
    assert said[-2]["release"] == said[-1]["release"] == 1
    assert told[1].out.splitlines()[-1] == "shop: release 1"


def test_a_step_has_its_ledger_and_what_it_spent(told: tuple[Project, Said]) -> None:
    """A step's event has table, version, ledger, rejects, seconds by phase and requests, as its commit has; times are UTC and in order."""
    (commit,) = told[0].rows("history", "silver.shop.orders")
    said = events(told[1])
    step = said[2]
    assert (step["table"], step["version"], step["changed"], step["mode"], step["rejects"]) == ("silver.shop.orders", 0, True, "full", 1)
    assert step["ledger"] == {entry: count for entry, count in commit["ledger"].items() if count}
    assert step["phases"].items() >= commit["seconds"].items()
    assert step["store"]["put"] > 0
    assert said[0]["new"] == 1
    times = [dt.datetime.fromisoformat(event["time"]) for event in said]
    assert times == sorted(times)
    assert {time.utcoffset() for time in times} == {dt.timedelta(0)}


def test_as_text_each_event_is_one_plain_line(told: tuple[Project, Said]) -> None:
    """LAKE_LOG=text says the same, a line an event."""
    lines = told[0].lake("run", "--no-prefect", LAKE_LOG="text").err.splitlines()
    assert len(lines) == 5, "landing, three steps, the end: nothing new was released"
    assert all(line.split(" ")[1] == "INFO" for line in lines)
    assert lines[-1].endswith("nothing new; release 1 stands")


def test_without_the_setting_there_is_nothing(told: tuple[Project, Said]) -> None:
    """Nothing is on standard error unless it is asked for; a kind that there is not is refused by name."""
    assert told[0].run().did().err == ""
    told[0].lake("run", "--no-prefect", LAKE_LOG="xml").refused("LAKE_LOG", "'off', 'text' or 'json'")


def test_what_failed_is_an_event_too(project: Project) -> None:
    """A step that fails, the run that fails with it, and the command that ends so are errors with their class; the plain line stays."""
    project.edit("hops", 'raw.select("order"', 'raw.select("ordre"')
    said = project.lake("run", "--no-prefect", LAKE_LOG="json")
    failures = [event for event in events(said) if event["level"] == "error"]
    assert [(event["event"], event["error"], event.get("step")) for event in failures] == [
        ("error", "HopFailed", "silver.shop.orders"), ("run", "RunFailed", None), ("command", "RunFailed", None),
    ]  # fmt: skip
    assert "ordre" in failures[0]["message"]
    assert failures[1]["skipped"] == ["gold.shop.totals"]
    assert said.code == 1
    assert next(line for line in said.err.splitlines() if line.startswith("lake: ")).startswith("lake: silver.shop.orders")


def test_no_secret_is_in_a_log(project: Project, keys: dict[str, str]) -> None:
    """Neither keys that are refused nor keys that are right appear in any event."""
    refused = project.lake("run", "--no-prefect", LAKE_LOG="json", **keys | {"AWS_SECRET_ACCESS_KEY": SECRET})
    assert refused.code == 1
    assert [event["error"] for event in events(refused)] == ["StoreRefused"]
    went = project.lake("run", "--no-prefect", LAKE_LOG="json", **keys)
    assert went.code == 0
    assert len(events(went)) == 6
    for said in (refused, went):
        assert SECRET not in said.err + said.out
        assert keys["AWS_SECRET_ACCESS_KEY"] not in said.err + said.out


def test_a_program_with_handlers_of_its_own_gets_the_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Off, events still reach the handlers of the program around lake, at their level, with fields; a line break makes no second line."""
    start_logs("off")
    info = RunInfo(id="r", flow="shop", trigger="test", started=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    with caplog.at_level(logging.INFO, "lake"):
        tell("step", "one\ntwo", info, table="silver.shop.orders", ledger={}, seconds=0)
    (record,) = caplog.records
    as_json = json.loads(JsonFormatter().format(record))
    assert {"event": "step", "message": "one\ntwo", "run": "r", "table": "silver.shop.orders", "seconds": 0}.items() <= as_json.items()
    assert "ledger" not in as_json
    assert "\n" not in JsonFormatter().format(record)
    assert TextFormatter().format(record).endswith("INFO step r one two")
