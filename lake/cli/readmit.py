"""The command that runs rejected rows again."""

from __future__ import annotations

import contextlib

import click

from lake.cli.render import console, env_option, json_option, print_json, say
from lake.cli.runs import Teller
from lake.errors import UnknownName
from lake.existing import check_there
from lake.hop import Hop
from lake.ingest import Retry
from lake.outcome import Outcome
from lake.pipeline import Pipeline, load_pipeline, subjects
from lake.readmit import readmit_files, readmit_rows
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.source import Source
from lake.store import open_store
from lake.table import path_of
from lake.wording import counted


@click.command()
@click.argument("table")
@click.option(
    "--only", is_flag=True, help="Judge the rejected rows alone although the hop's code changed: you say that it makes of all others what it made before."
)
@env_option
@json_option
def readmit(table: str, only: bool, env: str | None, as_json: bool) -> None:
    """Run a table's rejected rows again after a fix, then the flow: what passes now goes to its place in history, on to gold and into a release."""
    settings = load_settings(env=env)
    pipeline, work = step_of(settings, table)
    with begin_run(settings, pipeline.name, "readmit", new=False) as run:
        was = _open(run, table)
        with console(stderr=True).status(f"{table}: judging {counted(was, 'rejected row')} again"):
            pipeline.prepare(run)
            told = readmit_files(run, work) if isinstance(work, Source) else readmit_rows(run, work, only=only)
        said = _said(told)
        if not as_json:
            for line in said:
                say(f"{table}: {line}")
        verdict = go_on(run, pipeline, quiet=as_json)
        left = _open(run, table)
    row = {"table": table, "was": was, "readmitted": max(0, was - left), "open": left, "said": said, "verdict": verdict}
    if as_json:
        print_json([row])
    else:
        rest = f"; {left:,} still rejected, see `lake rejects {table}`" if left else ""
        click.echo(f"{table}: {row['readmitted']:,} of {counted(was, 'rejected row')} readmitted{rest}. {verdict}")


def step_of(settings: Settings, table: str) -> tuple[Pipeline, Source | Hop]:
    """The flow that fills a table, and the source or hop that does. Raises UnknownName, with the name that the table has now if it was renamed."""
    subject = table.split(".")[1] if table.count(".") > 1 else ""
    check_there(settings)
    if subject not in subjects(settings):
        _check_renamed(settings, table)
        raise UnknownName(f"no flow fills a table called {table!r}", f"There are flows for: {', '.join(subjects(settings)) or 'nothing yet'}")
    pipeline = load_pipeline(settings, subject)
    work = next((step.work for step in pipeline.steps if step.name == table), None)
    if work is None:
        _check_renamed(settings, table)
        raise UnknownName.among("table", table, [step.name for step in pipeline.steps if step.kind != "land"])
    return pipeline, work


def _check_renamed(settings: Settings, table: str) -> None:
    """Raise UnknownName with the name that the table has now, if it was renamed."""
    with contextlib.closing(open_store(settings)) as store:
        store.names.check(table)


def go_on(run: Run, pipeline: Pipeline, *, quiet: bool) -> str:
    """Run the flow, so that what was made from the table follows, and release."""
    report = pipeline.run(run, told=Teller(pipeline, quiet=quiet))
    report.raise_failures()
    return report.verdict


def _open(run: Run, table: str) -> int:
    _, record = run.log(path_of(table)).head()
    return record.rejects if record is not None else 0


def _said(told: Outcome | list[Retry]) -> list[str]:
    if isinstance(told, Outcome):
        return [f"version {told.version}: {told.ledger.line()} ({told.reason})" if told.changed else told.reason]
    lines = [
        f"{one.name}: {counted(one.rows, 'more record')} can be taken in, {one.rejects:,} still rejected{f' ({one.why})' if one.why else ''}" for one in told
    ]
    return lines or ["no record is in quarantine"]
