"""Commands that work: land, plan, run."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from rich.markup import escape
from rich.status import Status

from lake.announce import announce
from lake.catalog import Catalog
from lake.cli.render import console, env_option, json_option, print_json, print_table, safe, say
from lake.cli.timings import Shares, print_timings
from lake.cli.whose import going_to
from lake.errors import LakeError, RunFailed, StoreError, UnknownName
from lake.existing import check_there, is_there, nothing_stored
from lake.forecast import Changes, code_rows, forecast, unfilled_row
from lake.landed import landed_line
from lake.landing import land as land_source
from lake.marks import unfilled, what_to_do, why_unfilled
from lake.meter import Span, watching
from lake.pipeline import Pipeline, StepResult, load_pipeline, loaded, open_flows, raise_refused, subjects
from lake.plan import Range
from lake.retired import retired
from lake.run import Run, begin_run, run_that_reads
from lake.settings import Settings, load_settings
from lake.wording import counted

QUIET_PREFECT = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore", "PREFECT_LOGGING_LEVEL": "INFO"}


def _without_a_lake(settings: Settings, flow: str | None) -> Run:
    return run_that_reads(settings, nothing_stored(settings), flow or "all")


def chosen(settings: Settings, flow: str | None) -> list[Pipeline]:
    """The pipelines meant: the one named, or all. Raises UnknownName, suggesting the nearest, and DeclarationError where one cannot be loaded."""
    found, refused = possible(settings, flow)
    raise_refused(refused)
    return found


def possible(settings: Settings, flow: str | None) -> tuple[list[Pipeline], dict[str, LakeError]]:
    """The pipelines meant, and why others of them cannot be loaded. Raises as `chosen` where none is left."""
    found = subjects(settings)
    if not is_there(settings):
        sys.dont_write_bytecode = True  # a project without a lake is left as it is, by commands that only look
        if not found and not (settings.root / settings.flows).is_dir():
            check_there(settings)
    if flow is None and not found:
        raise UnknownName(
            f"there is no flow under {settings.root / settings.flows}",
            "Run lake in a project that has one, make one by `lake init FOLDER --from FILE`, or set LAKE_FLOWS",
        )
    if flow is not None:
        return [load_pipeline(settings, flow)], {}
    pipelines, refused = loaded(settings)
    if not pipelines:
        raise_refused(refused)
    return pipelines, refused


@click.command()
@click.argument("flow", required=False)
@env_option
@json_option
def land(flow: str | None, env: str | None, as_json: bool) -> None:
    """Land what the sources offer: each new file is copied as it is, once, with a receipt. All flows, or one."""
    flow = going_to(flow)
    settings = load_settings(env=env)
    rows, problems = [], []
    pipelines, refused = possible(settings, flow)
    with begin_run(settings, flow or "all", "cli") as run:
        for pipeline in pipelines:
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
                        "copies": landed.copies,
                        "changed": landed.changed,
                        "passed": landed.passed,
                        "bytes": landed.bytes,
                        "line": landed_line(landed),
                    }
                )
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {"source": "source", "line": "landed"}, empty="There are no sources.")
    if problems:
        raise RunFailed("; ".join([*problems, *map(str, refused.values())]), "The files that could be read have landed")
    raise_refused(refused, "What the other subjects offer has landed")


@click.command()
@click.argument("flow", required=False)
@click.option("--full", is_flag=True, help="As if every hop had to be recomputed.")
@click.option("--from", "start", default=None, help="Recompute a range of the tables that declare a time: rows at or after this date or instant …")
@click.option("--until", "end", default=None, help="… and before this one.")
@click.option("--why", is_flag=True, help="Show what changed in the code of hops that would run in full, line by line.")
@env_option
@json_option
def plan(flow: str | None, full: bool, start: str | None, end: str | None, why: bool, env: str | None, as_json: bool) -> None:
    """Say what a run would do now: files that wait, tables that would change (yes, no, or maybe: that depends on rows), and why. Nothing is written."""
    flow = going_to(flow)
    settings = load_settings(env=env)
    backfill = _range(start, end, full=full)
    pipelines, refused = possible(settings, flow)
    timed = _timed(pipelines, backfill)
    looking = begin_run(settings, flow or "all", "plan", needs_room=False) if is_there(settings) else contextlib.nullcontext(_without_a_lake(settings, flow))
    with looking as run:
        foreseen: dict[str, Changes] = {}
        parts = {pipeline.name: backfill if pipeline.name in timed else None for pipeline in pipelines}
        rows = []
        gone = retired(run.store)
        for one in pipelines:
            try:
                one.check_retired(gone)
            except LakeError as error:
                refused[one.name] = error
                continue
            found = forecast(run, one, full=full, backfill=parts[one.name], foreseen=foreseen)
            rows += [row | {"code": code_rows(run, one, row["table"])} for row in found] if why else found
        left = unfilled(Catalog(run.store).names(), pipelines, gone, refused) if flow is None else []
    if as_json:
        print_json([*rows, *(row | ({"code": []} if why else {}) for row in (unfilled_row(name, why_unfilled(name)) for name in left))])
        raise_refused(refused)
        return
    print_table(
        rows, {"table": "table", "changes": "would change", "mode": "scope", "why": "why", "estimated_rows": "rows to read"}, empty="There are no tables."
    )
    for row in rows if why else ():
        _print_changes(row)
    tell_unfilled(left)
    raise_refused(refused)


def _print_changes(row: dict[str, Any]) -> None:
    """What changed in the code that fills a table, for people."""
    changes = row["code"]
    if changes is None:
        click.echo(f"\n{row['table']}: what its code was is not on record")
    for number, change in enumerate(changes or ()):
        click.echo("\n" + (f"{row['table']}\n" if number == 0 else "") + f"  {safe(change['name'])} {change['what']}")
        for line in change["diff"]:
            click.echo(f"    {safe(line)}")


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
    flow = going_to(flow)
    settings = load_settings(env=env)
    if env:
        os.environ["LAKE_ENV"] = env
    rows: list[dict[str, object]] = []
    backfill = _range(start, end, full=full)
    pipelines, refused = possible(settings, flow)
    timed = _timed(pipelines, backfill)
    for pipeline in pipelines:
        part = backfill if pipeline.name in timed else None
        teller = Teller(pipeline, quiet=as_json)
        with console(stderr=True).status(f"{pipeline.name}: starting") as status:
            teller.status = status.update
            began, mark = time.time_ns(), time.perf_counter_ns()
            with watching() as seen:
                try:
                    said = (run_plain if no_prefect else run_in_prefect)(settings, pipeline, teller, full=full, backfill=part)
                except (StoreError, OSError):
                    raise  # the next would fare no better
                except LakeError as error:
                    refused[pipeline.name] = error
                    continue
            wall = Span(pipeline.name, began, began + time.perf_counter_ns() - mark)
        rows += teller.rows
        if not as_json:
            click.echo(f"{pipeline.name}: {said}")
            if timings:
                around = "Python around it" if no_prefect else "Prefect"
                print_timings(teller.rows, Shares.of(wall, seen, {step.name for step in pipeline.steps}), around)
    if as_json and (rows or not refused):
        print_json(rows)
    raise_refused(refused, "The other subjects have run. Correct these and run again")


def tell_unfilled(names: list[str]) -> None:
    """Name the tables that no flow fills, and what to do."""
    if names:
        say(f"No flow fills {', '.join(names)}. {what_to_do(names)}.")


def _range(start: str | None, end: str | None, *, full: bool) -> Range | None:
    if start is None and end is None:
        return None
    if full:
        raise click.UsageError("--full recomputes everything; leave out --from and --until")
    return Range(start, end)


def _timed(pipelines: list[Pipeline], backfill: Range | None) -> set[str]:
    """The subjects that a range is about: those with a table that declares a time. Raises DeclarationError where none has, or the range does not suit one."""
    timed = [pipeline for pipeline in pipelines if any(hop.table.time for hop in pipeline.hops.values())]
    for pipeline in timed if timed else pipelines[:1]:
        pipeline.check_range(backfill)
    return {pipeline.name for pipeline in timed}


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
        self.status(f"{self._name}: {self._total - len(self._left)} of {counted(self._total, 'step')} done")


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
        raise RunFailed(state.message or f"the flow ended {state.name}", "The last release stands; `lake run` again, or see the run in Prefect")
    return str(state.message)
