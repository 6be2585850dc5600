"""`lake up` for real: what it starts and registers, runs by schedule, by hand and by files that land, alerts, cancelling, and its end."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lake.errors import LakeError
from tests.town import Town, asked, processes_in, town_in, until, until_none

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One lake that is up, with Monday's orders brought in by the file that was there."""
    with town_in(tmp_path_factory.mktemp("town")) as up:
        until(lambda: [run for run in up.runs("shop/refresh") if run["state"]["type"] == "COMPLETED"], 240, "the first file is refreshed")
        yield up


def test_every_part_runs_and_says_where(town: Town) -> None:
    """The store, Prefect, the worker, the watcher and the metrics run, and those that have an address tell it."""
    parts = town.parts
    assert {name: part["state"] for name, part in parts.items()} == dict.fromkeys(("store", "prefect", "worker", "watch", "metrics"), "running")
    assert town.ask("health") is True
    assert parts["store"]["url"].startswith("http://127.0.0.1:")
    assert 'lake_table_rows{env="dev",table="silver.shop.orders"} 3.0' in httpx.get(parts["metrics"]["url"], trust_env=False, timeout=30).text


def test_a_second_one_is_refused(town: Town) -> None:
    """`lake up` where it is up already says so and changes nothing."""
    before = {name: part["since"] for name, part in town.parts.items()}
    town.project.lake("up", "--no-open").refused("up already", "lake down")
    town.project.lake("up", "--detach").refused("up already")
    assert {name: part["since"] for name, part in town.parts.items()} == before


def test_what_lies_there_is_refreshed_without_anybody_asking(town: Town) -> None:
    """The file that was there when the lake came up is in a release, by a run that says which."""
    first = next(run for run in town.runs("shop/refresh") if run["state"]["type"] == "COMPLETED")
    assert (first["name"], first["state"]["message"]) == ("shop refresh · release 1", "release 1")
    assert town.orders() == [1, 2, 3]


def test_deployments_are_what_the_flows_declare(town: Town) -> None:
    """Schedule with its time zone, tags, owner, limit and form of each are registered as declared; a flow without a schedule has none."""
    refresh = town.deployment("shop/refresh")
    assert [(one["schedule"]["cron"], one["schedule"]["timezone"]) for one in refresh["schedules"]] == [("30 4 * * 1", "America/New_York")]
    assert set(refresh["tags"]) == {"lake", "shop", "orders"}
    assert refresh["description"].endswith("Owner: shop")
    assert (refresh["global_concurrency_limit"]["limit"], refresh["concurrency_options"]["collision_strategy"]) == (1, "CANCEL_NEW")
    form = refresh["parameter_openapi_schema"]
    assert form["definitions"]["Table"]["enum"] == ["silver.shop.orders", "gold.shop.totals"]
    assert form["definitions"]["Mode"]["enum"] == ["incremental", "full"]
    assert all(said["description"] for said in form["properties"].values())
    assert town.deployment("shop/backfill")["schedules"] == []
    names = {f"{one['entrypoint'].split('.')[-2]}.{one['name']}" for one in town.ask("deployments/filter", {})}
    assert names == {f"flow.{name}" for name in ("land", "refresh", "backfill", "upkeep", "freshness", "verify")}


def test_a_wrong_parameter_is_refused_before_anything_runs(town: Town) -> None:
    """A table that there is not, or a mode, makes no run; a date that is none makes one that fails at once and says so."""
    for wrong in ({"tables": ["gold.shop.other"]}, {"mode": "sometimes"}):
        with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
            town.start("shop/refresh", **wrong)
    failed = town.done("shop/refresh", start="yesterday")["state"]
    assert failed["type"] == "FAILED"
    assert "start" in failed["message"]


def test_a_schedule_runs(town: Town) -> None:
    """Freshness, due each minute, runs by itself and says how many tables are stale."""
    run = until(lambda: [one for one in town.runs("lake/freshness") if one["auto_scheduled"] and one["state"]["type"] == "COMPLETED"], 150, "freshness runs")[0]
    assert run["name"] == "lake freshness · 0 of 0 stale"


def test_files_that_arrive_together_make_a_run_or_two(town: Town) -> None:
    """Twelve files within seconds are brought in by one or two runs, whole."""
    before = len([run for run in town.runs("shop/refresh") if run["state"]["type"] != "CANCELLED"])
    for number in range(12):
        town.drop(f"many-{number}.csv", f"{100 + number},dora,1.5")
        time.sleep(0.3)
    until(lambda: set(range(100, 112)) <= set(town.orders()), 90, "all files are in a release")
    until(lambda: all(run["state"]["type"] != "RUNNING" for run in town.runs("shop/refresh")), 30, "nothing runs")
    runs = [run for run in town.runs("shop/refresh") if run["state"]["type"] != "CANCELLED"][before:]
    assert 1 <= len(runs) <= 2, [run["name"] for run in runs]


def test_a_file_that_a_landing_brings_in_is_refreshed_too(town: Town) -> None:
    """`shop/land` lands; the event it sends starts the refresh."""
    town.kill("watch")  # so that nobody else sees the file first
    town.drop("landed.csv", "200,eve,3")
    run = town.done("shop/land")
    assert run["state"]["type"] == "COMPLETED"
    until(lambda: 200 in town.orders(), 60, "what landed is in a release")


def test_what_a_run_shows(town: Town) -> None:
    """Each table has a card with its ledger and its lineage; the run has its hops, and the picture of rejects. Keys stay, so there is a history."""
    shown = town.artifacts()
    assert {"dev-bronze-shop-orders", "dev-silver-shop-orders", "dev-gold-shop-totals", "dev-shop-hops", "dev-shop-rejects"} <= shown.keys()
    card = shown["dev-gold-shop-totals"]["data"]
    for words in ("# gold.shop.totals", "```mermaid", "raw/shop.orders", "aggregated", "lake lineage gold.shop.totals", "delta_scan"):
        assert words in card
    hops = json.loads(shown["dev-shop-hops"]["data"])
    assert [row["step"] for row in hops] == ["land shop.orders", "bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"]
    assert shown["dev-shop-rejects"]["data"].startswith("data:image/svg+xml;base64,")
    history = town.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["dev-silver-shop-orders"]}}})
    assert len(history) > 1


def test_tables_are_assets_where_prefect_keeps_them(town: Town) -> None:
    """Each table that was made is said to be materialized, by lake, from the tables it reads: a Prefect that draws assets draws them."""
    wanted = {"filter": {"event": {"name": ["prefect.asset.materialization.succeeded"]}}, "limit": 50}
    found = until(lambda: town.ask("events/filter", wanted)["events"], 20, "materializations are told")
    totals = next(one for one in found if one["resource"]["prefect.resource.id"].endswith("/gold/shop/totals"))
    assert totals["resource"]["prefect.resource.id"] == "s3://lake/dev/gold/shop/totals"
    assert "s3://lake/dev/silver/shop/orders" in {related["prefect.resource.id"] for related in totals["related"]}


def test_the_log_of_a_run_tells_the_ledger_and_no_noise(town: Town) -> None:
    """A run's log has the ledger of each table and where artifacts are shown, and not that tasks were created and ended."""
    run = [one for one in town.runs("shop/refresh") if "release" in one["name"]][-1]
    wanted = {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200}
    lines = until(lambda: found if len(found := [line["message"] for line in town.ask("logs/filter", wanted)]) > 3 else None, 20, "logs arrive")
    assert any("inserted" in line and "read" in line for line in lines)
    hops = {"artifacts": {"key": {"any_": ["dev-shop-hops"]}, "flow_run_id": {"any_": [run["id"]]}}}
    assert any(f"/v2/artifacts/artifact/{one['id']}" in line for one in town.ask("artifacts/filter", hops) for line in lines)
    assert [line for line in lines if "Finished in state" in line or "Created task run" in line] == []


def test_a_dry_run_shows_the_plan_and_does_nothing(town: Town) -> None:
    """The plan is an artifact; no table has a new version."""
    versions = {row["table"]: row["version"] for row in town.project.rows("ls")}
    run = town.done("shop/refresh", mode="full", dry_run=True)
    assert run["state"]["message"] == "dry run: 0 files wait; of 3 tables 2 would change, 0 perhaps"
    plan = json.loads(town.artifacts()["dev-shop-plan"]["data"])
    assert [(row["table"], row["would change"], row["scope"]) for row in plan] == [
        ("bronze.shop.orders", "no", "incremental"),
        ("silver.shop.orders", "yes", "full"),
        ("gold.shop.totals", "yes", "full"),
    ]
    assert {row["table"]: row["version"] for row in town.project.rows("ls")} == versions


def test_only_the_tables_chosen_are_computed_again(town: Town) -> None:
    """Full, with one table chosen: that one is computed from everything, the other finds nothing new or follows."""
    before = {row["table"]: row["version"] for row in town.project.rows("ls")}
    assert town.done("shop/refresh", mode="full", tables=["gold.shop.totals"])["state"]["type"] == "COMPLETED"
    after = {row["table"]: row["version"] for row in town.project.rows("ls")}
    assert {table: after[table] - before[table] for table in after} == {"bronze.shop.orders": 0, "silver.shop.orders": 0, "gold.shop.totals": 1}


def test_what_people_paused_stays_paused(town: Town) -> None:
    """A schedule that was paused in the page, and a deployment that was, are still so after the worker registered everything anew."""
    refresh, land = town.deployment("shop/refresh"), town.deployment("shop/land")
    (schedule,) = refresh["schedules"]
    asked("PATCH", f"{town.page}/api/deployments/{refresh['id']}/schedules/{schedule['id']}", {"active": False})
    asked("POST", f"{town.page}/api/deployments/{land['id']}/pause_deployment")
    times = town.parts["worker"]["restarts"]
    town.kill("worker")
    town.restarted("worker", times + 1)
    assert [one["active"] for one in town.deployment("shop/refresh")["schedules"]] == [False]
    assert town.deployment("shop/refresh")["paused"] is False
    assert town.deployment("shop/land")["paused"] is True
    asked("POST", f"{town.page}/api/deployments/{land['id']}/resume_deployment")


def test_a_run_that_is_cancelled_stops_within_seconds_and_publishes_nothing(town: Town) -> None:
    """Cancelled in the middle of a hop: the run says so within ten seconds, its process is gone, and tables and releases are as they were."""
    before = (town.project.rows("ls"), town.project.rows("release", "ls"))
    with town.slow():
        run = town.under_way("shop/refresh", mode="full")
        until(lambda: town.processes_of(run), 20, "it works")
        time.sleep(1)
        town.ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        assert town.ended(run, 12)["state"]["type"] == "CANCELLED"
        assert until_none(lambda: town.processes_of(run), 8) == []
    assert (town.project.rows("ls"), town.project.rows("release", "ls")) == before


def test_more_rejects_than_a_table_allows_are_told(town: Town) -> None:
    """The run fails with the reason, the release stands, and whoever LAKE_NOTIFY names hears of it with what to do next."""
    orders = town.orders()
    town.drop("bad.csv", *(f"{300 + number},fay,-1" for number in range(40)))
    alert = until(lambda: [one for one in town.alerts if "more rows rejected" in one["subject"]], 90, "the alert arrives")[0]
    assert "silver.shop.orders" in alert["subject"]
    assert "40 of 40" in alert["body"] or "40 rows" in alert["body"], alert
    assert "lake rejects silver.shop.orders --stopped" in alert["body"]
    until(lambda: [one for one in town.alerts if "shop refresh Failed" in one["subject"]], 60, "so does that the run failed")
    assert town.orders() == orders
    assert any("a release is published" in one["subject"] for one in town.alerts)


def test_down_lets_go_of_a_run_and_leaves_nothing(town: Town) -> None:
    """`lake down` in the middle of a run: the run ends as cancelled, no process is left, the next start finishes the work."""
    (town.project.root / "incoming" / "bad.csv").unlink()
    with town.slow():
        run = town.under_way("shop/refresh", mode="full")
        time.sleep(1)
        said = town.project.lake("down")
        assert (said.code, said.out) == (0, "lake is down; its data stays.\n")
        assert until_none(lambda: processes_in(town.project.root)) == []
    assert town.project.look("status").out == "lake is not up. `lake up` starts it.\n"
    assert town.project.lake("down").did().out == "lake is not up.\n"
    assert town.project.lake("up", "--detach", "--no-open").code == 0
    assert town.run(run)["state"]["type"] == "CANCELLED"


def test_a_home_that_is_removed_under_it_stops_everything(town: Town) -> None:
    """`rm -r` of LAKE_HOME under `lake up`: within seconds its supervisor stops all parts; status and down tell the truth; the next `lake up` begins anew."""
    home = Path(town.project.variables["LAKE_HOME"])
    assert len(town.parts) == 5
    shutil.rmtree(home, ignore_errors=True)
    assert until_none(lambda: processes_in(town.project.root), 60) == []
    assert town.project.look("status").out == "lake is not up. `lake up` starts it.\n"
    assert town.project.lake("down").did().out == "lake is not up.\n"
    shutil.rmtree(home, ignore_errors=True)
    assert town.project.lake("up", "--detach", "--no-open").code == 0

    def there_again() -> bool:
        with contextlib.suppress(LakeError):  # nothing is released yet
            return 1 in town.orders()
        return False

    until(there_again, 240, "what the sources offer is there again")
