"""Metrics: what they say is what the commits say, at a cost that follows what is new; and the dashboard shows all of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from lake import meter
from lake.catalog import Catalog
from lake.cli.metrics import metrics
from lake.cli.timings import Shares
from lake.metrics import MEASURES, LakeCollector, exposition
from lake.pipeline import Step, do_step
from lake.receipts import LANDINGS
from lake.run import Run
from lake.settings import Settings, load_settings
from lake.tally import Reader
from tests import tiny
from tests.conftest import ROOT, Built
from tests.faults.fault import Fault, Refuse
from tests.faults.project import proxied
from tests.test_cli import Project, answer, make_project, project

__all__ = ["project"]

GRAFANA = ROOT / "infra" / "grafana"
DASHBOARD = json.loads((GRAFANA / "lake.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """An exposition by metric and labels."""
    return {(s.name, frozenset(s.labels.items())): s.value for family in text_string_to_metric_families(text) for s in family.samples}


def scraped(collector: LakeCollector) -> Samples:
    """What a scrape of the collector gives of the lake; its machine's disks are nobody's here."""
    families = [family for family in collector.collect() if not family.name.startswith("lake_disk")]
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def lasting(found: Samples) -> Samples:
    """Without what changes by itself."""
    return {key: value for key, value in found.items() if not key[0].startswith("lake_disk") and not key[0].endswith(("_age_seconds", "_lag_seconds"))}


@pytest.fixture(scope="module")
def exposed(flights_lake: Built) -> Samples:
    """The flights lake's metrics."""
    return samples(exposition(flights_lake.settings))


@pytest.fixture
def orders(run: Run, tmp_path: Path) -> Path:
    """A lake with one file of orders, one of them rejected, brought to gold: the folder that files come from."""
    folder = tmp_path / "orders"
    tiny.write_orders(folder, "1.csv", [(1, "ann", "1.50", "2026-01-01"), (2, "bob", "-1", "2026-01-02"), (3, "cem", "2", "2026-01-03")])
    tiny.bring(run, folder)
    return folder


def test_gauges_are_what_the_newest_records_say(flights_lake: Built, exposed: Samples) -> None:
    """Rows, bytes, files, rejects, schema version and freshness of each table are those that `lake ls` shows, and the release is the one in force."""
    rows = Catalog(flights_lake.run.store).tables()
    shown = {"rows": "rows", "bytes": "bytes", "files": "files", "rejects": "rejects", "schema_version": "schema_version", "fresh": "fresh"}
    expected = {(f"lake_table_{metric}", row["table"]): float(row[key]) for row in rows for metric, key in shown.items() if row[key] is not None}
    found = {
        (name, dict(labels)["table"]): value
        for (name, labels), value in exposed.items()
        if name.startswith("lake_table_") and dict(labels)["table"] != LANDINGS
    }
    assert found == expected
    assert len({table for _, table in found}) == len(rows)
    assert flights_lake.report.release is not None
    assert exposed["lake_release_number", frozenset({("env", "dev")})] == flights_lake.report.release.number


def test_counters_are_sums_over_all_commits(run: Run, orders: Path, weed_settings: Settings) -> None:
    """Rows by ledger entry, commits, runs, rules and store requests are the sums over every record of every table's log."""
    tiny.write_orders(orders, "2.csv", [(4, "test", "1", "2026-01-04"), (1, "ann", "9", "2026-01-05")])
    tiny.bring(run, orders)
    rows: Counter[tuple[str, str]] = Counter()
    asked: Counter[tuple[str, str]] = Counter()
    names = {"bronze.shop.orders": "bronze/shop/orders", "silver.shop.orders": "silver/shop/orders", "gold.shop.totals": "gold/shop/totals", LANDINGS: LANDINGS}
    for name, path in names.items():
        for _, record in run.log(path).records():
            rows.update({(name, entry): count for entry, count in record.ledger if count})
            asked.update({(name, what): count for what, count in record.store.items()})
    found = samples(exposition(weed_settings))
    by = {
        metric: {tuple(dict(labels)[label] for label in kinds): value for (name, labels), value in found.items() if name == metric}
        for metric, kinds in (
            ("lake_rows_total", ("table", "entry")),
            ("lake_store_requests_total", ("table", "verb")),
            ("lake_store_bytes_total", ("table", "direction")),
            ("lake_commits_total", ("table", "kind")),
            ("lake_rules_broken_total", ("rule", "severity")),
            ("lake_runs_total", ("flow", "trigger")),
        )
    }
    assert by["lake_rows_total"] == rows
    assert by["lake_store_requests_total"] == {key: count for key, count in asked.items() if key[1] in meter.REQUESTS}
    assert by["lake_store_bytes_total"] == {(table, what.removeprefix("bytes_")): count for (table, what), count in asked.items() if what in meter.BYTES}
    assert by["lake_commits_total"]["silver.shop.orders", "hop"] == 2
    assert by["lake_rules_broken_total"] == {("amount|min", "quarantine"): 1, ("no_test_customer", "quarantine"): 1}
    assert by["lake_runs_total"] == {("test", "test"): 1}


def test_a_restart_comes_to_the_same_counters(run: Run, orders: Path, weed_settings: Settings) -> None:
    """A collector that saw each commit as it came, and one that starts now, tell the same."""
    watched = LakeCollector(weed_settings)
    scraped(watched)
    tiny.write_orders(orders, "2.csv", [(4, "dan", "1", "2026-01-04")])
    tiny.bring(run, orders)
    before = lasting(scraped(watched))
    assert before == lasting(scraped(LakeCollector(weed_settings)))
    assert before["lake_commits_total", frozenset({("env", weed_settings.env), ("table", "silver.shop.orders"), ("kind", "hop")})] == 2


def test_a_scrape_costs_what_is_new(run: Run, orders: Path) -> None:
    """With nothing new a scrape lists each layer, subject, table and the releases once, however long the history; each new commit is one request more."""
    reader = Reader()
    reader.read(run.store)
    costs = []
    for number in range(3):
        run.store.requests.clear()
        reader.read(run.store)
        costs.append(dict(run.store.requests))
        tiny.write_orders(orders, f"more-{number}.csv", [(10 + number, "eve", "1", "2026-02-01")])
        tiny.bring(run, orders)
        run.store.requests.clear()
        reader.read(run.store)
        assert run.store.requests["get"] == 4, "landing, bronze, silver, gold"
    assert costs == [{"list": 3 + 3 + 4 + 1}] * 3, "layers, subjects, tables with the landings, releases"


def test_the_collector_outlives_its_store(tmp_path: Path) -> None:
    """An embedded store that is killed is started again under it; while one is away lake_up is 0 and the last numbers stand. The process goes on."""
    settings = load_settings(root=ROOT, home=tmp_path / "home", env="t")
    key = "lake_up", frozenset({("env", "t")})
    collector = LakeCollector(settings)
    assert scraped(collector) == {key: 1.0}, "an empty lake has no tables"
    place = make_project(tmp_path / "shop", LAKE_HOME=str(settings.home), LAKE_ENV="t")
    place.run().did()
    there = scraped(collector)
    assert there[key] == 1.0
    assert there["lake_table_rows", frozenset({("env", "t"), ("table", "gold.shop.totals")})] == 2
    assert collector._store is not None
    with proxied(collector._store.endpoint) as proxy:
        options = collector._store.options
        keys = {name: options[f"aws_{name}"] for name in ("access_key_id", "secret_access_key")}
        far = LakeCollector(load_settings(root=ROOT, home=tmp_path / "far", env="t", endpoint=proxy.endpoint, patience=0.2, **keys))
        assert lasting(scraped(far)) == lasting(there)
        proxy.arm(Refuse(lambda request: True, 0))
        away = scraped(far)
        assert away[key] == 0.0
        assert {name: value for name, value in lasting(away).items() if name != key} == {name: value for name, value in lasting(there).items() if name != key}
        proxy.arm(Fault())
        assert scraped(far)[key] == 1.0
    os.kill(json.loads((settings.home / "store" / "state.json").read_text("utf-8"))["pid"], signal.SIGKILL)
    place.write("incoming/tuesday.csv", "order,customer,amount\n9,zoe,1\n")
    place.run().did()
    back = scraped(collector)
    assert back[key] == 1.0
    assert back["lake_table_rows", frozenset({("env", "t"), ("table", "gold.shop.totals")})] == 3
    assert collector._store is not None
    collector._store.close(wait=True)


def test_a_slow_store_does_not_hold_a_scrape_up(weed_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that takes longer than the patience is told as lake_up 0; the next scrape takes up the same reading, and no second one runs."""
    go_on, readings = threading.Event(), []
    read = LakeCollector.read

    def slow(self: LakeCollector) -> None:
        readings.append(1)
        go_on.wait(20)
        read(self)

    monkeypatch.setattr(LakeCollector, "read", slow)
    collector = LakeCollector(weed_settings, patience=0.1)
    assert [list(scraped(collector).values()), list(scraped(collector).values())] == [[0.0], [0.0]]
    assert len(readings) == 1
    go_on.set()
    assert collector._going is not None
    collector._going.result(20)
    collector._patience = 20
    assert scraped(collector)["lake_up", frozenset({("env", weed_settings.env)})] == 1.0


def test_the_endpoint_serves_what_once_prints(flights_lake: Built) -> None:
    """`lake metrics` serves at /metrics on this machine only, in the format Prometheus reads; `--once` prints the same."""
    command = [sys.executable, "-m", "lake", "metrics", "--port", "0"]
    variables = os.environ | {"LAKE_HOME": str(flights_lake.settings.home), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            answered = httpx.get(url, trust_env=False, timeout=30)
        finally:
            process.terminate()
    assert url.startswith("http://127.0.0.1:")
    assert answered.headers["content-type"].startswith("text/plain")
    printed = answer("metrics", "--once", LAKE_HOME=str(flights_lake.settings.home)).did().out
    assert lasting(samples(answered.text)) == lasting(samples(printed))


def test_a_port_that_is_taken_is_one_line(flights_lake: Built) -> None:
    """A port that is taken, or a store that does not answer, is told in one line."""
    port = httpx.URL(flights_lake.run.store.endpoint).port
    answer("metrics", "--port", str(port), LAKE_HOME=str(flights_lake.settings.home)).refused(f"127.0.0.1:{port}")
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    answer("metrics", "--once", **nobody).refused("no store answers")


# ---- what steps spend


def test_everything_asked_of_the_store_is_a_steps(run: Run, tmp_path: Path) -> None:
    """Steps that run at once, with threads of their own, each count their own requests and bytes, and together all there were."""
    for number in range(5):
        tiny.write_orders(tmp_path, f"{number}.csv", [(number, "ann", "1", "2026-01-01")])
    source = tiny.source_at(tmp_path)
    steps = [[Step("land shop.orders", "land", source, ())], [Step("bronze.shop.orders", "ingest", source, ())]]
    steps.append([Step("silver.shop.orders", "hop", tiny.clean_orders, ())])
    steps.append([Step("gold.shop.totals", "hop", tiny.sum_orders, ()), Step("silver.shop.orders", "hop", tiny.clean_orders, ())])
    requests, moved = run.store.requests.copy(), run.store.bytes.copy()
    spent: Counter[str] = Counter()
    with ThreadPoolExecutor(2) as pool:
        for together in steps:
            for result in pool.map(lambda step: do_step(run, step), together):
                spent.update(result.spent.store)
    assert spent == (run.store.requests - requests) + (run.store.bytes - moved)
    assert spent["put"] > 10


def test_a_record_tells_what_its_step_spent(run: Run, tmp_path: Path) -> None:
    """The record has all that the step spent but the commit itself; rejects' commits tell nothing of their own, so that nothing counts twice."""
    tiny.write_orders(tmp_path, "1.csv", [(1, "ann", "1", "2026-01-01"), (2, "bob", "-1", "2026-01-01")])
    source = tiny.source_at(tmp_path)
    for step in (Step("land", "land", source, ()), Step("bronze.shop.orders", "ingest", source, ())):
        do_step(run, step)
    result = do_step(run, Step("silver.shop.orders", "hop", tiny.clean_orders, ()))
    record = tiny.last_record(run, tiny.orders)
    beside = run.log("quarantine/silver/shop/orders").last_record()
    assert Counter(result.spent.store) - Counter(record.store) == Counter(
        {"put": 1, "bytes_written": result.spent.store["bytes_written"] - record.store["bytes_written"]}
    )
    assert {name: seconds for name, seconds in result.spent.seconds.items() if name != "commit"} == record.seconds
    assert {"plan", "transform", "settle", "quarantine", "write"} <= record.seconds.keys()
    assert sum(result.spent.seconds.values()) <= result.seconds
    assert beside is not None
    assert (beside[1].seconds, beside[1].store) == ({}, {})


def test_every_phase_has_a_name_that_is_known(exposed: Samples) -> None:
    """What seconds are told by are the phases that the meter knows; landing, ingest and hops all tell theirs."""
    phases: dict[str, set[str]] = {}
    for name, labels in exposed:
        if name == "lake_hop_seconds_sum":
            phases.setdefault(dict(labels)["table"].split(".")[0], set()).add(dict(labels)["phase"])
    assert set().union(*phases.values()) <= set(meter.PHASES)
    assert {"read", "write"} <= phases[LANDINGS]
    assert {"read", "transform", "write"} <= phases["bronze"]
    assert {"transform", "settle", "write"} <= phases["silver"]


def test_what_a_lost_race_spent_is_told_by_the_next_commit() -> None:
    """Where the commit fails, nothing counts as told; where it succeeds, the next tells only what came after."""
    with meter.metered() as counted:
        meter.count("get", 2)
        with contextlib.suppress(KeyError), meter.telling() as first:
            raise KeyError
        meter.count("put")
        with meter.phase("plan"), meter.phase("write"):
            pass
        with meter.telling() as second:
            meter.count("put")
        with meter.telling() as third:
            pass
    assert (first.store, second.store, third.store) == ({"get": 2}, {"get": 2, "put": 1}, {"put": 1})
    assert [span.name for span in counted.phases] == ["plan"], "a phase inside another is part of it"


# ---- timings


def span(name: str, start: float, end: float) -> meter.Span:
    """A stretch of time in seconds."""
    return meter.Span(name, int(start * 1e9), int(end * 1e9))


def test_what_is_not_the_engines_is_the_rest() -> None:
    """Where steps overlap their time counts once; gaps between them and what came before the first are what the engine ran in."""
    seen = [span("start", 5, 6), span("a", 8, 10), span("b", 9, 12), span("c", 13, 14), span("release", 14, 14.5)]
    shares = Shares.of(span("nyc", 0, 16), seen, {"a", "b", "c"})
    assert shares == Shares(wall=16, engine=6.5, steps=6, before=7, rest=2.5)
    assert shares.line("Prefect").endswith("Prefect took 9.50 s, 7.00 s of it before the first step")


def test_timings_show_each_step_by_phase(project: Project) -> None:
    """`lake run --timings` adds a table with a line a step and the shares of the run; `--json` has the seconds of each step."""
    said = project.lake("run", "--no-prefect", "--timings").did().out.splitlines()
    table = said[said.index("") + 1 :]
    assert table[0].split() == ["step", "plan", "read", "transform", "settle", "quarantine", "write", "commit", "total"]
    assert [line.split("  ")[0] for line in table[1:-1]] == ["land shop.orders", "bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"]
    assert re.fullmatch(r"[\d.]+ s in all: the engine was at work for [\d.]+ s \(.*\); Python around it took [\d.]+ s, .*", table[-1])
    rows = json.loads(project.lake("run", "--no-prefect", "--full", "--json").did().out)
    assert all(row["seconds"]["total"] >= sum(seconds for phase, seconds in row["seconds"].items() if phase != "total") for row in rows)
    assert {"transform", "settle"} <= rows[-1]["seconds"].keys()


# ---- the dashboard


def selectors(node: Any) -> Iterator[tuple[str, set[str]]]:
    """Every metric an expression asks for, with the labels it is chosen and grouped by."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node.name, {matcher.name for matcher in node.matchers.matchers}
    elif isinstance(node, promql_parser.MatrixSelector):
        yield from selectors(node.vector_selector)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from selectors(argument)
    elif isinstance(node, promql_parser.AggregateExpr):
        grouped = set(node.modifier.labels) if node.modifier else set()
        yield from ((name, labels | grouped) for name, labels in selectors(node.expr))
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from selectors(node.lhs)
        yield from selectors(node.rhs)
    elif isinstance(node, promql_parser.ParenExpr):
        yield from selectors(node.expr)
    else:
        assert isinstance(node, promql_parser.NumberLiteral), type(node)


def asked(panel: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """What a panel's queries ask for, labels in their legends included."""
    for target in panel["targets"]:
        expr = target["expr"].replace("$__rate_interval", "5m")
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        yield from ((name, labels | named) for name, labels in selectors(promql_parser.parse(expr)))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_and_labels_that_exist(panel: dict[str, Any], exposed: Samples) -> None:
    """Each query parses as PromQL, and every metric and label in it is in the exposition of a real lake."""
    found = list(asked(panel))
    assert found
    for name, labels in found:
        there = [dict(known) for metric, known in exposed if metric == name]
        assert there, f"there is no metric {name}"
        assert labels <= there[0].keys()
        assert "env" in labels


def test_every_metric_is_shown_and_documented(exposed: Samples) -> None:
    """Each metric that is exported is on the dashboard, and in the guide with its labels."""
    shown = {name for panel in PANELS for name, _ in asked(panel)}
    assert {name for name, _ in exposed} - shown == set()
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    for measure in MEASURES:
        name = next(known for known, _ in exposed if known.startswith(measure.name))
        labels = f"{{{', '.join(measure.labels)}}}" if measure.labels else ""
        assert f"`{name}{labels}`" in guide
    assert "`lake_hop_seconds{table, phase}`" in guide


def test_the_dashboard_is_what_the_script_draws() -> None:
    """The committed dashboard is not stale, and Grafana's own library reads it back as it is."""
    script = runpy.run_path(str(ROOT / "scripts" / "dashboard.py"))
    assert script["drawn"]() == (GRAFANA / "lake.json").read_text("utf-8"), "run scripts/dashboard.py"
    read = Dashboard.from_json(DASHBOARD)
    assert len(read.panels or []) == len(DASHBOARD["panels"])
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_grafana_and_prometheus_are_told_of_each_other() -> None:
    """What is provisioned fits together: a default Prometheus source, a folder for dashboards, and a scrape of the port that lake serves."""
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "lake.yml").read_text("utf-8"))["providers"]
    scrape = yaml.safe_load((ROOT / "infra" / "prometheus.yml").read_text("utf-8"))
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    assert provider["options"]["path"]
    port = next(option.default for option in metrics.params if option.name == "port")
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == [f"127.0.0.1:{port}"]
