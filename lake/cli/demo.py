"""`lake demo`: the whole way from raw files to gold on this machine, told as it happens."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from collections.abc import Callable

import click

from lake.cli.render import console, print_table
from lake.cli.runs import Teller, chosen, run_in_prefect
from lake.errors import LakeError, RunFailed
from lake.lakehouse import Lake
from lake.landed import Landed, landed_line
from lake.landing import land
from lake.pipeline import Pipeline, StepResult, open_flows
from lake.prefect_server import prefect_is_configured, prefect_service
from lake.release import find_release
from lake.run import Run, begin_run
from lake.service import Service
from lake.settings import load_settings
from lake.store import close_stores

Story = Callable[[Lake, Callable[[str], None]], None]


@click.command()
@click.argument("flow", default="nyc")
def demo(flow: str) -> None:
    """Land real files, run them through to gold as a Prefect flow, and show what came of it. Again: finds nothing new, and says so."""
    started = time.perf_counter()
    settings = load_settings()
    (pipeline,) = chosen(settings, flow)
    server = None if prefect_is_configured() else prefect_service(settings)
    starting = _start(server)
    try:
        with console(stderr=True).status("starting the store"), begin_run(settings, pipeline.name, "demo") as run:
            click.echo(f"The store answers at {run.store.endpoint} and passed its probe; everything is kept in {settings.state}.\n")
            landed = [_land(run, pipeline, name) for name in pipeline.sources]
            print_table([{"source": item.source, "line": landed_line(item)} for item in landed], {"source": "source", "line": "landed"}, empty="")
            click.echo("\nFrom raw to gold, each hop with its ledger:")
            with console(stderr=True).status("waiting for Prefect's server, which started while the files landed") as status:
                starting.join()
                teller = _Story(pipeline, quiet=False)
                teller.status = status.update
                said = run_in_prefect(settings, pipeline, teller, full=False)
            if not teller.changed and not any(item.new for item in landed):
                click.echo("  every table is up to date: no new file, no new version")
            click.echo(f"\n{said[0].upper()}{said[1:]}.\n")
            _tell(run, pipeline)
    finally:
        starting.join()
        if server is not None:
            server.release(wait=True)
        close_stores(wait=True)
    click.echo(f"\nDone in {time.perf_counter() - started:.0f} s; the store and Prefect's server are stopped, the data stays.")
    click.echo("Try next:  lake ls · lake trace gold.nyc.daily_delays carrier=UA flight_date=2013-02-09 · lake lineage gold.nyc.daily_delays")
    click.echo("           lake history silver.nyc.flights · lake rejects silver.nyc.airports · marimo edit notebooks/flights.py   (all in .venv/bin)")


def _start(server: Service | None) -> threading.Thread:
    """Bring the Prefect server up in the background. A failure shows again, and properly, when the flow needs it."""

    def hold() -> None:
        if server is not None:
            try:
                server.hold()
            except LakeError:
                return

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    return thread


def _land(run: Run, pipeline: Pipeline, name: str) -> Landed:
    landed = land(run, pipeline.sources[name])
    if landed.problems:
        raise RunFailed("; ".join(landed.problems), "Correct this and run `lake demo` again")
    return landed


def _tell(run: Run, pipeline: Pipeline) -> None:
    """The subject's own story about its gold tables, if it has one: `tell` in its story.py."""
    release = find_release(run.store)
    if release is None:
        return
    open_flows(run.settings)
    name = f"{run.settings.flows}.{pipeline.name}.story"
    if importlib.util.find_spec(name) is not None:
        tell: Story = importlib.import_module(name).tell
        tell(Lake(run.store, release, run.settings), click.echo)


class _Story(Teller):
    """Leaves out what landing says in the flow, since it was said before, and hops that found nothing to do."""

    changed = False

    def __call__(self, told: StepResult | tuple[str, LakeError]) -> None:
        """One step ended."""
        moved = isinstance(told, tuple) or any(outcome.changed for outcome in told.outcomes)
        self.changed |= moved
        self.quiet = not moved
        super().__call__(told)
