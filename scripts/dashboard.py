"""Draws the Grafana dashboard in infra/grafana/lake.json, by Grafana's own library. With --check only says whether the file is stale."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, GraphDrawStyle, StackingMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

FILE = Path(__file__).resolve().parents[1] / "infra" / "grafana" / "lake.json"
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_ALL = VariableOption(text="All", value="$__all", selected=True)
_GREEN, _RED = "green", "red"
_WIDTH = 24
_ENV = 'env="$env"'
_TABLES = f'{_ENV},table=~"$table"'
_NEW = "$__rate_interval"


@dataclass(frozen=True)
class Panel:
    """One panel: title, queries by legend, unit, how it is drawn (`line`, `bars`, `stat`, `gauge`), and from which value on it is red."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "line"
    red_from: float | None = None
    width: int = 12
    says: str = ""


def increase(metric: str, by: str, where: str = _TABLES, over: str = _NEW) -> str:
    """The growth of a counter, summed by labels."""
    return f"sum by ({by}) (increase({metric}{{{where}}}[{over}]))"


ROWS: dict[str, Sequence[Panel]] = {
    "Freshness and releases": (
        Panel("Store read", {"": f"lake_up{{{_ENV}}}"}, kind="stat", width=4, says="0: the store did not answer; all else is what was read before"),
        Panel("Release", {"": f"lake_release_number{{{_ENV}}}"}, kind="stat", width=5),
        Panel("Age of the release", {"": f"lake_release_age_seconds{{{_ENV}}}"}, "s", "stat", width=5),
        Panel("Subjects held", {"": f"lake_release_held{{{_ENV}}}"}, kind="stat", red_from=1, width=5, says="Rolled back, until `lake release resume`"),
        Panel("Stale tables", {"": f"count(lake_table_fresh{{{_ENV}}} == 0) or vector(0)"}, kind="stat", red_from=1, width=5),
        Panel("Since the newest raw file landed", {"{{table}}": f"lake_freshness_lag_seconds{{{_TABLES}}}"}, "s"),
        Panel(
            "Of the time that each table promises",
            {"{{table}}": f"lake_freshness_lag_seconds{{{_TABLES}}} / lake_freshness_promised_seconds{{{_TABLES}}}"},
            "percentunit",
            "gauge",
            red_from=1,
        ),
    ),
    "Runs": (
        Panel("Runs that committed", {"{{flow}} by {{trigger}}": increase("lake_runs_total", "flow, trigger", _ENV)}, kind="bars"),
        Panel("Commits", {"{{table}} {{kind}}": increase("lake_commits_total", "table, kind")}, kind="bars"),
    ),
    "Rows by ledger": (
        Panel("Where rows went", {"{{entry}}": increase("lake_rows_total", "entry", f'{_TABLES},entry!="read"')}, kind="bars"),
        Panel("Rows read", {"{{table}}": increase("lake_rows_total", "table", f'{_TABLES},entry="read"')}, kind="bars"),
    ),
    "Rejects and rules": (
        Panel("Rows in quarantine", {"{{table}}": f"lake_table_rejects{{{_TABLES}}}"}),
        Panel("Rows that broke a rule", {"{{table}} {{rule}} ({{severity}})": increase("lake_rules_broken_total", "table, rule, severity")}, kind="bars"),
    ),
    "Seconds": (
        Panel("By phase", {"{{phase}}": increase("lake_hop_seconds_sum", "phase")}, "s", "bars"),
        Panel(
            "A commit, by table",
            {"{{table}}": f"{increase('lake_hop_seconds_sum', 'table')} / {increase('lake_commits_total', 'table')}"},
            "s",
        ),
        Panel(
            "A phase, on average over the time shown",
            {"{{table}} {{phase}}": f"lake_hop_seconds_sum{{{_TABLES}}} / lake_hop_seconds_count{{{_TABLES}}}"},
            "s",
            "gauge",
            width=_WIDTH,
        ),
    ),
    "Store": (
        Panel("Requests", {"{{verb}}": increase("lake_store_requests_total", "verb")}, kind="bars", says="Without scans by Polars and repeats by the client"),
        Panel("Bytes", {"{{direction}}": increase("lake_store_bytes_total", "direction")}, "bytes", "bars", says="Without scans by Polars"),
        Panel("Free on disks", {"{{disk}}": f"lake_disk_free_bytes{{{_ENV}}}"}, "bytes"),
        Panel("Used of disks", {"{{disk}}": f"1 - lake_disk_free_bytes{{{_ENV}}} / lake_disk_bytes{{{_ENV}}}"}, "percentunit", "gauge", red_from=0.95),
    ),
    "Sizes": (
        Panel("Rows", {"{{table}}": f"lake_table_rows{{{_TABLES}}}"}),
        Panel("Bytes", {"{{table}}": f"lake_table_bytes{{{_TABLES}}}"}, "bytes"),
        Panel("Data files", {"{{table}}": f"lake_table_files{{{_TABLES}}}"}),
        Panel("Schema version", {"{{table}}": f"lake_table_schema_version{{{_TABLES}}}"}),
    ),
}


def drawn() -> str:
    """The dashboard as JSON."""
    made = board.Dashboard("Lake").uid("lake").description("All of it derived from commits, by `lake metrics`").tags(["lake"])
    made = made.time("now-7d", "now").refresh("1m").timezone("utc").readonly()
    made = made.with_variable(board.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    made = made.with_variable(_variable("env", "label_values(lake_up, env)"))
    made = made.with_variable(_variable("table", f"label_values(lake_table_rows{{{_ENV}}}, table)").multi(True).include_all(True).all_value(".*").current(_ALL))
    numbers = itertools.count(1)
    for title, panels in ROWS.items():
        made = made.with_row(board.Row(title).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(_panel(panel).id(next(numbers)))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _variable(name: str, query: str) -> Any:
    return board.QueryVariable(name).query(query).datasource(_SOURCE).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def _panel(panel: Panel) -> Any:
    made: Any = {"stat": stat.Panel, "gauge": bargauge.Panel}.get(panel.kind, timeseries.Panel)()
    made = made.title(panel.title).description(panel.says).datasource(_SOURCE).unit(panel.unit).span(panel.width).height(4 if panel.kind == "stat" else 8)
    for letter, (legend, expr) in zip("ABC", panel.queries.items(), strict=False):
        query = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").ref_id(letter)
        made = made.with_target(query.instant() if panel.kind == "gauge" else query.range())
    steps = [Threshold(value=None, color=_GREEN)]
    if panel.title == "Store read":
        steps = [Threshold(value=None, color=_RED), Threshold(value=1, color=_GREEN)]
    elif panel.red_from is not None:
        steps.append(Threshold(value=panel.red_from, color=_RED))
    made = made.thresholds(board.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.kind == "bars":
        return made.draw_style(GraphDrawStyle.BARS).fill_opacity(60).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if panel.kind == "line":
        return made
    made = made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return made.color_mode(BigValueColorMode.VALUE) if panel.kind == "stat" else made.orientation(VizOrientation.HORIZONTAL)


def main() -> int:
    """Write the dashboard, or check that it is written."""
    if "--check" not in sys.argv[1:]:
        FILE.write_text(drawn(), "utf-8")
        return 0
    if FILE.read_text("utf-8") == drawn():
        return 0
    print(f"{FILE.name} is stale: run scripts/dashboard.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
