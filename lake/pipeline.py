"""A subject's pipeline: its sources and hops in dependency order, run as plain Python. Prefect wraps it; nothing here knows Prefect."""

from __future__ import annotations

import graphlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from lake.errors import CommitConflict, DeclarationError, LakeError, RunFailed, UnknownName, translated
from lake.execute import execute
from lake.hop import Hop
from lake.ingest import ingest
from lake.landing import Landed, Progress, land
from lake.logs import tell
from lake.meter import Spent, at_work, metered
from lake.outcome import Outcome
from lake.plan import Range
from lake.release import Release, find_release, publish_release, subject_of
from lake.run import Run
from lake.settings import Settings
from lake.source import Source
from lake.table import Table, path_of
from lake.telemetry import add_phases, describe, failed, step_span

_FILES = ("sources", "tables", "hops")
_ROUNDS = 5
_TOLD = 3  # notices in a line


@dataclass(frozen=True)
class Step:
    """One thing to do: `land` a source, `ingest` it into bronze, or a `hop`. Named after the table it fills (or `land …`)."""

    name: str
    kind: str
    work: Source | Hop
    after: tuple[str, ...]


@dataclass(frozen=True)
class StepResult:
    """What a step did: outcomes (one a commit), what landed, what it spent, and a line that says it."""

    step: str
    kind: str
    outcomes: tuple[Outcome, ...]
    landed: Landed | None
    seconds: float
    spent: Spent = field(default_factory=lambda: Spent({}, {}))

    @property
    def line(self) -> str:
        """The step in one line, for logs."""
        if self.landed is not None:
            return landed_line(self.landed)
        last = self.outcomes[-1]
        if not last.changed:
            return last.reason
        did = "; ".join(f"{outcome.ledger.line()} ({outcome.reason})" for outcome in self.outcomes)
        told = [notice for outcome in self.outcomes for notice in outcome.notices]
        more = [f"and {len(told) - _TOLD} more, see `lake show {self.step}`"] if len(told) > _TOLD else []
        return f"version {last.version}: " + "; ".join([did, *told[:_TOLD], *more])

    @property
    def facts(self) -> dict[str, Any]:
        """The step as fields, for logs and traces. Rows are summed over its commits; `seconds` is all of it, `phases` what is known of where they went."""
        said: dict[str, Any] = {
            "step": self.step,
            "kind": self.kind,
            "seconds": round(self.seconds, 4),
            "phases": self.spent.seconds,
            "store": self.spent.store,
        }
        if self.landed is not None:
            landed = self.landed
            said |= {
                "new": len(landed.new),
                "known": landed.known,
                "duplicates": len(landed.duplicates),
                "bytes": landed.bytes,
                "problems": len(landed.problems),
            }
        if self.outcomes:
            last = self.outcomes[-1]
            ledger: Counter[str] = Counter()
            for outcome in self.outcomes:
                ledger.update({entry: count for entry, count in outcome.ledger if count})
            said |= {"table": last.table, "version": last.version, "changed": last.changed, "mode": last.mode, "reason": last.reason}
            said |= {"rows": last.rows, "rejects": last.rejects, "ledger": dict(ledger)}
        return said


@dataclass
class Report:
    """What a run did: results by step, failures by step, and the release it ended with."""

    results: dict[str, StepResult] = field(default_factory=dict)
    failures: dict[str, LakeError] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    release: Release | None = None
    released: bool = False

    @property
    def verdict(self) -> str:
        """How the run ended, in a few words: what it released, or why nothing."""
        if self.release is None:
            return "nothing to release"
        if self.released:
            return f"release {self.release.number}"
        subjects = {subject_of(outcome.table) for result in self.results.values() for outcome in result.outcomes}
        if held := [why for subject, why in self.release.held.items() if subject in subjects]:
            return f"release {self.release.number} is held ({held[0]}); `lake release resume` lets runs release again"
        return f"nothing new; release {self.release.number} stands"

    @property
    def changed(self) -> bool:
        """Whether any table has a new version or any file landed."""
        return any(outcome.changed for result in self.results.values() for outcome in result.outcomes) or any(
            result.landed is not None and (result.landed.new or result.landed.duplicates) for result in self.results.values()
        )

    def raise_failures(self) -> None:
        """Raise the failure of the run, if there was one: RunFailed naming each step, or the single step's own error."""
        problems = [str(error) if str(error).startswith(step) else f"{step}: {error}" for step, error in self.failures.items()]
        if problems:
            rest = f"; {len(self.skipped)} steps that need them did not run" if self.skipped else ""
            raise RunFailed("; ".join(problems) + rest, "The last release stands. Correct this and run again")


class Pipeline:
    """The sources and hops of one subject. Raises DeclarationError where they do not fit together."""

    def __init__(self, name: str, sources: Iterable[Source], hops: Iterable[Hop], *, description: str = "") -> None:
        self.name = name
        self.description = description
        self.sources = {source.name: source for source in sources}
        self.hops = {hop.table.name: hop for hop in hops}
        self.steps = self._ordered()

    def _ordered(self) -> tuple[Step, ...]:
        steps: dict[str, Step] = {}
        for source in self.sources.values():
            steps[f"land {source.name}"] = Step(f"land {source.name}", "land", source, ())
            steps[source.into.name] = Step(source.into.name, "ingest", source, (f"land {source.name}",))
        for name, hop in self.hops.items():
            if name in steps:
                raise DeclarationError(f"{name} is filled twice in {self.name}")
            steps[name] = Step(name, "hop", hop, tuple(hop.upstream()))
        try:
            order = list(graphlib.TopologicalSorter({name: [up for up in step.after if up in steps] for name, step in steps.items()}).static_order())
        except graphlib.CycleError as cycle:
            raise DeclarationError(f"{self.name}: the hops run in a circle: {' → '.join(cycle.args[1])}", "Break it") from None
        return tuple(Step(s.name, s.kind, s.work, tuple(up for up in s.after if up in steps)) for s in (steps[name] for name in order))

    def prepare(self, run: Run) -> None:
        """Have the run read tables that other flows fill as they are released, so that it never builds on a run of theirs that may yet fail."""
        last = find_release(run.store)
        foreign = {table for hop in self.hops.values() for table in hop.upstream()} - {step.name for step in self.steps}
        run.pins = {table: last.tables[table].version for table in foreign if table in last.tables} if last else {}

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
                report.failures[name] = LakeError("; ".join(result.landed.problems))
        if not report.failures:
            self._release(run, report)
        if report.failures:
            failed(report.failures)
            said = "; ".join(f"{name}: {error.message}" for name, error in report.failures.items())
            tell("run", said, run.info, error=RunFailed(said), skipped=report.skipped)
        else:
            tell("run", report.verdict, run.info, release=report.release.number if report.release else None, released=report.released)

    def _release(self, run: Run, report: Report) -> None:
        try:
            run.check_goes_on()
            with at_work("release"):
                outcomes = self._agreeing(run, {result.step: result.outcomes[-1] for result in report.results.values() if result.outcomes})
                report.release, report.released = publish_release(run.store, run.info, outcomes.values())
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
                outcomes = tuple(ingest(run, step.work))
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


def landed_line(landed: Landed) -> str:
    """What landing did, in words."""
    parts = []
    if landed.new:
        shown = ", ".join(landed.new[:3]) + (f" and {len(landed.new) - 3} more" if len(landed.new) > 3 else "")
        parts.append(f"{len(landed.new)} new file{'s' if len(landed.new) > 1 else ''} ({shown}; {landed.bytes:,} bytes)")
    if landed.duplicates:
        parts.append(f"{len(landed.duplicates)} cop{'ies' if len(landed.duplicates) > 1 else 'y'} of landed files")
    if landed.problems:
        parts.append("; ".join(landed.problems))
    return ", ".join(parts) or f"nothing new ({landed.known} file{'s' if landed.known != 1 else ''} known)"


def load_pipeline(settings: Settings, subject: str) -> Pipeline:
    """The pipeline of one subject: the Source and Hop objects in its sources.py and hops.py."""
    if subject not in subjects(settings):
        raise UnknownName.among("flow", subject, subjects(settings))
    modules = {name: _imported(settings, f"{settings.flows}.{subject}.{name}") for name in _FILES}
    found: Mapping[type, list[Any]] = {kind: _instances(modules.values(), kind) for kind in (Source, Hop)}
    if not found[Source] and not found[Hop]:
        raise DeclarationError(f"{settings.flows}/{subject} declares no source and no hop", "Declare them in sources.py and hops.py")
    package = sys.modules[f"{settings.flows}.{subject}"]
    return Pipeline(subject, found[Source], found[Hop], description=(package.__doc__ or "").strip())


def every_pipeline(settings: Settings) -> list[Pipeline]:
    """The pipelines of all subjects."""
    return [load_pipeline(settings, subject) for subject in subjects(settings)]


def subjects(settings: Settings) -> list[str]:
    """The subjects with a hops.py or sources.py under the flows folder, sorted."""
    folder = settings.root / settings.flows
    return sorted(path.name for path in folder.iterdir() if (path / "sources.py").exists() or (path / "hops.py").exists()) if folder.is_dir() else []


def find_table(settings: Settings, name: str) -> Table | None:
    """The declaration of the table called `name` in the project's flows; None where no flow fills it."""
    subject = name.split(".")[1] if name.count(".") > 1 else ""
    if subject not in subjects(settings):
        return None
    pipeline = load_pipeline(settings, subject)
    declared = {source.into.name: source.into for source in pipeline.sources.values()} | {hop.table.name: hop.table for hop in pipeline.hops.values()}
    return declared.get(name)


def open_flows(settings: Settings) -> None:
    """Make the project's flows importable under their name, with or without an __init__.py, whatever else has that name."""
    name, folder = settings.flows, settings.root / settings.flows
    loaded = sys.modules.get(name)
    if loaded is not None and str(folder) in list(getattr(loaded, "__path__", [])):
        return
    for other in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[other]
    init = folder / "__init__.py"
    spec = importlib.machinery.ModuleSpec(name, importlib.machinery.SourceFileLoader(name, str(init)) if init.exists() else None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    if spec.loader is not None:
        spec.loader.exec_module(package)


def _imported(settings: Settings, name: str) -> Any:
    open_flows(settings)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        hint = f"Install it: pip install {(error.name or '').split('.')[0]}"
        raise DeclarationError(f"{_blamed(settings, name, error)[0]} imports {error.name}, which is not installed", hint) from None
    except DeclarationError as error:
        where, line = _blamed(settings, name, error)
        raise type(error)(
            error.message, " ".join(part for part in (f"{error.hint.rstrip('.')}." if error.hint else "", f"See {where}:{line}") if part)
        ) from None
    except LakeError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a mistake in the team's file is told with its place, not as a traceback of ours
        where, line = _blamed(settings, name, error)
        told = " ".join(str(error).split())[:300]
        raise DeclarationError(f"{where} cannot be imported: {type(error).__name__}: {told}", f"See line {line}") from None


def _blamed(settings: Settings, name: str, error: BaseException) -> tuple[str, int]:
    """The last file of the team's that an error passed through, and its line."""
    where, line = f"{name.replace('.', '/')}.py", 0
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(settings.root / settings.flows):
            where, line = str(file.relative_to(settings.root)), trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        where, line = os.path.relpath(error.filename, settings.root), error.lineno or line
    return where, line


def _instances(modules: Iterable[Any], kind: type) -> list[Any]:
    found: dict[int, Any] = {}
    for module in modules:
        for value in vars(module).values() if module else ():
            if isinstance(value, kind):
                found.setdefault(id(value), value)
    return list(found.values())
