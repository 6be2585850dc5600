"""Commands that work: land, plan, run."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from rich.markup import escape
from rich.status import Status

from lake.announce import announce
from lake.cli.render import console, env_option, json_option, print_json, print_table, safe
from lake.cli.timings import Shares, print_timings
from lake.errors import LakeError, RunFailed, UnknownName
from lake.forecast import forecast
from lake.landing import land as land_source
from lake.meter import Span, watching
from lake.pipeline import Pipeline, StepResult, landed_line, load_pipeline, open_flows, subjects
from lake.plan import Range
from lake.run import begin_run
from lake.settings import Settings, load_settings

QUIET_PREFECT = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore", "PREFECT_LOGGING_LEVEL": "INFO"}


def chosen(settings: Settings, flow: str | None) -> list[Pipeline]:
    """The pipelines meant: the one named, or all. Raises UnknownName, suggesting the nearest."""
    found = subjects(settings)
    if flow is None and not found:
        raise UnknownName(f"there is no flow under {settings.root / settings.flows}", "Run lake in a project that has one, or set LAKE_FLOWS")
    return [load_pipeline(settings, name) for name in ([flow] if flow else found)]


@click.command()
@click.argument("flow", required=False)
@env_option
@json_option
def land(flow: str | None, env: str | None, as_json: bool) -> None:
    """Land what the sources offer: each new file is copied as it is, once, with a receipt. All flows, or one."""
    settings = load_settings(env=env)
    rows, problems = [], []
    with begin_run(settings, flow or "all", "cli") as run:
        for pipeline in chosen(settings, flow):
            for source in pipeline.sources.values():
                with console(stderr=True).status(f"landing {source.name}") as status:
                    try:
                        landed = land_source(run, source, partial(_say, status, source.name))
                    except LakeError as error:
                        problems.append(str(error))
                        continue
                problems += landed.problems
                rows.append(
                    {
                        "source": source.name,
                        "new": landed.new,
                        "known": landed.known,
                        "duplicates": landed.duplicates,
                        "bytes": landed.bytes,
                        "line": landed_line(landed),
                    }
                )
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {"source": "source", "line": "landed"}, empty="There are no sources.")
    if problems:
        raise RunFailed("; ".join(problems), "The files that could be read have landed")


@click.command()
@click.argument("flow", required=False)
@click.option("--full", is_flag=True, help="As if every hop had to be recomputed.")
@click.option("--from", "start", default=None, help="Recompute a range of the tables that declare a time: rows at or after this date or instant …")
@click.option("--until", "end", default=None, help="… and before this one.")
@env_option
@json_option
def plan(flow: str | None, full: bool, start: str | None, end: str | None, env: str | None, as_json: bool) -> None:
    """Say what each hop would do now, why, and about how many rows it would read; and how bronze columns would change. Nothing is written."""
    settings = load_settings(env=env)
    backfill = _range(start, end, full=full)
    with begin_run(settings, flow or "all", "plan") as run:
        rows = [row for pipeline in chosen(settings, flow) for row in forecast(run, pipeline, full=full, backfill=backfill)]
    if as_json:
        print_json(rows)
        return
    print_table(rows, {"table": "table", "run": "would run", "mode": "scope", "why": "why", "estimated_rows": "rows to read"}, empty="There are no hops.")


@click.command()
@click.argument("flow", required=False)
@click.option("--full", is_flag=True, help="Recompute every hop from all it reads.")
@click.option("--from", "start", default=None, help="Recompute a range of the tables that declare a time: rows at or after this date or instant …")
@click.option("--until", "end", default=None, help="… and before this one.")
@click.option("--no-prefect", is_flag=True, help="Run as plain Python, without a Prefect server.")
@click.option("--timings", is_flag=True, help="Show where the time went: each step by phase, and how much of the run was not the engine's.")
@env_option
@json_option
def run(flow: str | None, full: bool, start: str | None, end: str | None, no_prefect: bool, timings: bool, env: str | None, as_json: bool) -> None:
    """Run a flow (or all): land what is new, carry it to gold, release."""
    settings = load_settings(env=env)
    if env:
        os.environ["LAKE_ENV"] = env
    rows: list[dict[str, object]] = []
    backfill = _range(start, end, full=full)
    for pipeline in chosen(settings, flow):
        teller = Teller(pipeline, quiet=as_json)
        with console(stderr=True).status(f"{pipeline.name}: starting") as status:
            teller.status = status.update
            began, mark = time.time_ns(), time.perf_counter_ns()
            with watching() as seen:
                said = (run_plain if no_prefect else run_in_prefect)(settings, pipeline, teller, full=full, backfill=backfill)
            wall = Span(pipeline.name, began, began + time.perf_counter_ns() - mark)
        rows += teller.rows
        if not as_json:
            click.echo(f"{pipeline.name}: {said}")
            if timings:
                around = "Python around it" if no_prefect else "Prefect"
                print_timings(teller.rows, Shares.of(wall, seen, {step.name for step in pipeline.steps}), around)
    if as_json:
        print_json(rows)


def _range(start: str | None, end: str | None, *, full: bool) -> Range | None:
    if full and (start or end):
        raise click.UsageError("--full recomputes everything; leave out --from and --until")
    return Range(start, end) if start or end else None


def _say(status: Status, source: str, file: str, done: int, total: int) -> None:
    status.update(escape(safe(f"landing {source}: {done:,} of {total:,}, {file}")))


def _silent(_: str) -> None:
    return None


class Teller:
    """Says what each step did as it ends, and keeps it as rows."""

    def __init__(self, pipeline: Pipeline, *, quiet: bool) -> None:
        self.rows: list[dict[str, Any]] = []
        self.quiet = quiet
        self.status: Callable[[str], None] = _silent
        self._left = [step.name for step in pipeline.steps]
        self._name = pipeline.name
        self._width = max(len(name) for name in self._left)
        self._total = len(self._left)

    def __call__(self, told: StepResult | tuple[str, LakeError]) -> None:
        """One step ended."""
        step, line, ok = (told.step, told.line, True) if isinstance(told, StepResult) else (told[0], str(told[1]), False)
        outcomes = told.outcomes if isinstance(told, StepResult) else ()
        last = outcomes[-1] if outcomes else None
        self.rows.append(
            {
                "step": step,
                "ok": ok,
                "said": line,
                "table": last.table if last else None,
                "version": last.version if last else None,
                "changed": any(o.changed for o in outcomes),
                "seconds": told.spent.seconds | {"total": round(told.seconds, 4)} if isinstance(told, StepResult) else {},
            }
        )
        if step in self._left:
            self._left.remove(step)
        if not self.quiet:
            mark = "✓" if ok else "✗"
            seconds = f"{told.seconds:5.2f} s" if isinstance(told, StepResult) else "       "
            console().print(safe(f"{mark} {step:<{self._width}}  {seconds}  {line}"), markup=False, soft_wrap=True)
        self.status(f"{self._name}: {self._total - len(self._left)} of {self._total} steps done")


def run_plain(settings: Settings, pipeline: Pipeline, teller: Teller, *, full: bool, backfill: Range | None = None) -> str:
    """Run the pipeline in this process without Prefect. Returns what to say at the end; raises RunFailed."""
    with begin_run(settings, pipeline.name, "cli") as current:
        report = pipeline.run(current, full=full, backfill=backfill, told=teller)
        if unsent := announce(current, report):
            click.echo(f"lake: {unsent}", err=True)
    report.raise_failures()
    return report.verdict


def run_in_prefect(settings: Settings, pipeline: Pipeline, teller: Teller, *, full: bool, backfill: Range | None = None) -> str:
    """Run the subject's Prefect flow in this process, against the configured API or a server of its own. As run_plain otherwise."""
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)
    os.environ["LAKE_TRIGGER"] = "cli"
    open_flows(settings)
    teller.status(f"{pipeline.name}: starting Prefect")
    from lake.orchestration import LakeFlow, listening, refresh_flow  # imports Prefect, which takes seconds

    try:
        module = importlib.import_module(f"{settings.flows}.{pipeline.name}.flow")
        flow = next(value for value in vars(module).values() if isinstance(value, LakeFlow) and value.deployment.name == "refresh")
    except (ModuleNotFoundError, StopIteration):
        flow = refresh_flow(pipeline)
    try:
        with listening(teller):
            bounds = {"start": backfill.start, "until": backfill.end} if backfill else {}
            state = flow(mode="full" if full else "incremental", **bounds, return_state=True)
    except RuntimeError as error:
        if "Failed to reach API" not in str(error):
            raise
        raise RunFailed("no Prefect answers at PREFECT_API_URL", "Start it, or unset PREFECT_API_URL and lake brings its own; nothing was run") from None
    if not state.is_completed():
        raise RunFailed(state.message or f"the flow ended {state.name}")
    return str(state.message)
