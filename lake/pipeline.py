"""A subject's pipeline: its sources and hops in dependency order, run as plain Python. Prefect wraps it; nothing here knows Prefect."""

from __future__ import annotations

import graphlib
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import polars as pl

from lake.errors import CommitConflict, DeclarationError, LakeError, RunFailed, translated
from lake.execute import execute
from lake.hop import Hop
from lake.ingest import ingest
from lake.landed import Landed, landed_line
from lake.landing import Progress, land
from lake.loading import open_flows, project_of, subjects
from lake.logs import tell
from lake.meter import at_work, metered
from lake.moved import moved
from lake.outcome import Outcome
from lake.plan import Range
from lake.raw_share import confirm_reading
from lake.release import find_release, publish_release, release_before, subject_of
from lake.report import Report, StepResult
from lake.retired import Retired, retired
from lake.run import Run
from lake.settings import Settings
from lake.source import Source
from lake.table import Table, path_of
from lake.telemetry import add_phases, describe, failed, step_span
from lake.together import Declared, Project

__all__ = [
    "Pipeline",
    "Report",
    "Step",
    "StepResult",
    "do_step",
    "find_table",
    "landed_line",
    "load_pipeline",
    "loaded",
    "open_flows",
    "pipelines_for",
    "raise_refused",
    "recomputed",
    "subjects",
]

_ROUNDS = 5


@dataclass(frozen=True)
class Step:
    """One thing to do: `land` a source, `ingest` it into bronze, or a `hop`. Named after the table it fills (or `land …`)."""

    name: str
    kind: str
    work: Source | Hop
    after: tuple[str, ...]


class Pipeline:
    """The sources and hops of one subject. Raises DeclarationError where they do not fit together, or not with the rest of the `project` they are part of."""

    def __init__(self, name: str, sources: Iterable[Source], hops: Iterable[Hop], *, description: str = "", project: Project | None = None) -> None:
        self.name = name
        self.description = description
        sources, hops = tuple(sources), tuple(hops)
        (project or Project((Declared(name, sources, hops),))).check(name)
        self.sources = {source.name: source for source in sources}
        self.hops = {hop.table.name: hop for hop in hops}
        self.steps = self._ordered()

    def _ordered(self) -> tuple[Step, ...]:
        steps: dict[str, Step] = {}
        for source in self.sources.values():
            steps[f"land {source.name}"] = Step(f"land {source.name}", "land", source, ())
            steps[source.into.name] = Step(source.into.name, "ingest", source, (f"land {source.name}",))
        for name, hop in self.hops.items():
            steps[name] = Step(name, "hop", hop, tuple(hop.upstream()))
        order = list(graphlib.TopologicalSorter({name: [up for up in step.after if up in steps] for name, step in steps.items()}).static_order())
        return tuple(Step(s.name, s.kind, s.work, tuple(up for up in s.after if up in steps)) for s in (steps[name] for name in order))

    def prepare(self, run: Run) -> None:
        """Have the run know what it fills, and read tables that other flows fill as they are released: it never builds on a run of theirs that may yet fail."""
        for name in dict.fromkeys([*(step.name for step in self.steps if step.kind != "land"), *(up for hop in self.hops.values() for up in hop.upstream())]):
            run.store.names.check(name)
        run.filled = frozenset(step.name for step in self.steps if step.kind != "land")
        self.check_retired(retired(run.store))
        last = find_release(run.store)
        foreign = {table for hop in self.hops.values() for table in hop.upstream()} - {step.name for step in self.steps}
        run.pins = {table: last.tables[table].version for table in foreign if table in last.tables} if last else {}

    def check_retired(self, gone: Mapping[str, Retired]) -> None:
        """Raise LakeError where one of the tables that it fills is retired."""
        if mine := [step.name for step in self.steps if step.name in gone]:
            again = "Give the table another name" if gone[mine[0]].removed else f"To fill it again: `lake retire {mine[0]} --undo`"
            raise LakeError(f"{mine[0]} is {gone[mine[0]].words}", f"{again}; or take what fills it out of the code")

    def check_range(self, backfill: Range | None, tables: Iterable[str] = ()) -> None:
        """Raise DeclarationError where a range suits none of the `tables` named, or of all: none declares a time, or a bound is of another kind."""
        chosen = frozenset(tables)
        timed = [(hop.table, hop.table.time) for name, hop in self.hops.items() if hop.table.time and (not chosen or name in chosen)]
        if backfill is None:
            return
        if not timed:
            raise DeclarationError(
                f"no table of {', '.join(sorted(chosen)) or self.name} declares a time, so there is no range to compute", "Declare Table(…, time=…)"
            )
        for table, column in timed:
            if table.contract is not None:
                try:
                    backfill.among(column, table.contract.columns()[column].dtype)
                except DeclarationError as error:
                    raise DeclarationError(f"{table.name}: {error.message}", error.hint) from None

    def run(
        self,
        run: Run,
        *,
        full: bool = False,
        backfill: Range | None = None,
        tables: Iterable[str] = (),
        told: Callable[[StepResult | tuple[str, LakeError]], None] = lambda _: None,
    ) -> Report:
        """Do every step, those that can at once, and release. A failed step stops what needs it and the release, nothing else.

        `full` and `backfill` are about the `tables` named, or about all; the others follow as they need to.
        """
        self.check_range(backfill, tables := tuple(tables))
        report = Report()
        self.prepare(run)
        waiting = {step.name: step for step in self.steps}
        chosen = frozenset(tables)
        with ThreadPoolExecutor(run.settings.threads) as pool:
            going: dict[Future[StepResult], str] = {}
            while waiting or going:
                for name in [name for name, step in waiting.items() if set(step.after) & (report.failures.keys() | set(report.skipped))]:
                    report.skipped.append(name)
                    del waiting[name]
                for name in [name for name, step in waiting.items() if set(step.after) <= report.results.keys()]:
                    again, part = recomputed(name, full=full, backfill=backfill, chosen=chosen)
                    going[pool.submit(do_step, run, waiting.pop(name), full=again, backfill=part)] = name
                for done in wait(going, return_when=FIRST_COMPLETED).done if going else ():
                    name = going.pop(done)
                    try:
                        report.results[name] = done.result()
                        told(report.results[name])
                    except LakeError as error:
                        report.failures[name] = error
                        told((name, error))
        self.finish(run, report)
        return report

    def finish(self, run: Run, report: Report) -> None:
        """Release what a run made, unless something failed."""
        for name, result in report.results.items():
            if result.landed is not None and result.landed.problems:
                report.failures[name] = LakeError("; ".join(result.landed.problems), "What landed stands; correct this and run again")
        if not report.failures:
            self._release(run, report)
        if report.failures:
            failed(report.failures)
            said = "; ".join(f"{name}: {error.message}" for name, error in report.failures.items())
            tell("run", said, run.info, error=RunFailed(said, "The last release stands. Correct this and run again"), skipped=report.skipped)
        else:
            tell("run", report.verdict, run.info, release=report.release.number if report.release else None, released=report.released)

    def _release(self, run: Run, report: Report) -> None:
        try:
            run.check_goes_on()
            with at_work("release"):
                _check_names(run)
                outcomes = self._agreeing(run, {result.step: result.outcomes[-1] for result in report.results.values() if result.outcomes})
                report.release, report.released = publish_release(run.store, run.info, outcomes.values())
                if report.released:
                    report.moved = moved(release_before(run.store, report.release), report.release)
        except LakeError as error:
            report.failures["release"] = error
            tell("error", str(error), run.info, error=error, step="release")
            return
        if report.released and report.release:
            tell("release", f"release {report.release.number}", run.info, release=report.release.number, tables=len(report.release.tables))

    def _agreeing(self, run: Run, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        """The outcomes brought to agree: each table at the very version that the tables made from it have read.

        They disagree only where other runs of the same flow committed meanwhile. What is behind is brought on.
        """
        for _ in range(_ROUNDS):
            behind = None
            for step in (step for step in reversed(self.steps) if step.kind == "hop" and step.name in outcomes):
                last = run.log(path_of(step.name)).last_record(until=outcomes[step.name].version)
                for given in last[1].inputs if last else ():
                    if given.table not in outcomes:
                        continue
                    at = outcomes[given.table].version
                    if at < given.end:
                        outcomes[given.table] = Outcome.at(given.table, given.end, run.log(path_of(given.table)).last_record(until=given.end))
                    elif not run.log(path_of(given.table)).same_rows(given.end, at):
                        behind = step
            if behind is None:
                return outcomes
            for step in (step for step in self.steps if step.kind == "hop" and step.name in outcomes):
                outcomes[step.name] = do_step(run, step).outcomes[-1]
        raise CommitConflict(f"other runs of {self.name} kept moving its tables", "Run again; every table is committed")


def _check_names(run: Run) -> None:
    """Raise LakeError where a table was renamed since the run began: it would release by names that are no more."""
    if run.store.names.number != run.store.renewed_names().number:
        raise LakeError("a table was renamed while this ran, so nothing is released", "Run again, once the code has its new name; what is committed stays")


def do_step(run: Run, step: Step, *, full: bool = False, backfill: Range | None = None, progress: Progress = lambda *_: None) -> StepResult:
    """Carry out one step of a pipeline. Safe to repeat: what is done already is found to be done."""
    started = time.perf_counter()
    landed: Landed | None = None
    outcomes: tuple[Outcome, ...] = ()
    with step_span(run.span, run.info, step.name, step.kind) as span, at_work(step.name), metered() as meter:
        try:
            if isinstance(step.work, Hop):
                outcomes = (execute(run, step.work, full=full, backfill=backfill),)
            elif step.kind == "land":
                landed = land(run, step.work, progress)
            else:
                outcomes = (*confirm_reading(run, step.work), *ingest(run, step.work))
        except (LakeError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            told = error if isinstance(error, LakeError) else translated(error, step.name)
            tell("error", str(told), run.info, error=told, step=step.name, kind=step.kind, seconds=round(time.perf_counter() - started, 4))
            raise told from None
        finally:
            add_phases(meter.phases)
        result = StepResult(step.name, step.kind, outcomes, landed, time.perf_counter() - started, meter.spent())
        describe(span, result.facts)
    tell("landing" if landed else "step", result.line, run.info, **result.facts)
    return result


def recomputed(name: str, *, full: bool, backfill: Range | None, chosen: frozenset[str]) -> tuple[bool, Range | None]:
    """What of `full` and `backfill` is meant for the table `name`, where they are about the `chosen` tables, or all if there is none."""
    return (full, backfill) if not chosen or name in chosen else (False, None)


def load_pipeline(settings: Settings, subject: str) -> Pipeline:
    """The pipeline of one subject: the Source and Hop objects in its sources.py and hops.py.

    Raises UnknownName if there is no such subject, and DeclarationError, with file and line, where its files cannot be imported or what they declare does
    not fit together, or not with what other subjects declare. A subject that cannot be imported keeps no other from being loaded.
    """
    project = project_of(settings, subject)
    mine = project.of(subject)
    return Pipeline(subject, mine.sources, mine.hops, description=mine.description, project=project)


def loaded(settings: Settings) -> tuple[list[Pipeline], dict[str, LakeError]]:
    """The pipelines of all subjects that can be loaded, and by the names of the others why they cannot: one that is refused stops no other."""
    found: list[Pipeline] = []
    refused: dict[str, LakeError] = {}
    for subject in subjects(settings):
        try:
            found.append(load_pipeline(settings, subject))
        except LakeError as error:
            refused[subject] = error
    return found, refused


def pipelines_for(settings: Settings, *tables: str) -> list[Pipeline]:
    """The pipelines of all subjects that can be loaded. Raises why not, where the subject of one of `tables` cannot be."""
    found, refused = loaded(settings)
    for subject in map(subject_of, tables):
        if subject in refused:
            raise refused[subject]
    return found


def raise_refused(refused: Mapping[str, LakeError], rest: str = "") -> None:
    """Raise why subjects were refused, if any were: a single one's own error, else RunFailed that names each. `rest` says what became of the others."""
    if len(refused) == 1:
        raise next(iter(refused.values()))
    if refused:
        raise RunFailed("; ".join(f"{subject}: {error}" for subject, error in refused.items()), rest or "Correct these and give the command again")


def find_table(settings: Settings, name: str) -> Table | None:
    """The declaration of the table called `name` in the project's flows; None where no flow fills it."""
    subject = name.split(".")[1] if name.count(".") > 1 else ""
    if subject not in subjects(settings):
        return None
    pipeline = load_pipeline(settings, subject)
    declared = {source.into.name: source.into for source in pipeline.sources.values()} | {hop.table.name: hop.table for hop in pipeline.hops.values()}
    return declared.get(name)
