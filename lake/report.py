"""What a run did: of each step its outcomes, and of all of them the failures, the release, and what that changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lake.errors import LakeError, RunFailed
from lake.landed import Landed, landed_line
from lake.meter import Spent
from lake.moved import Moved, moved_in_words
from lake.outcome import Outcome
from lake.plain_text import in_line
from lake.release import Release, subject_of
from lake.wording import counted, several

_TOLD = 3  # notices in a line


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
        return in_line(f"version {last.version}: " + "; ".join([did, *told[:_TOLD], *more]))

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
                "copies": landed.copies,
                "changed": landed.changed,
                "passed": landed.passed,
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
    """What a run did: results by step, failures by step, the release it ended with, and what that changed beside the one before."""

    results: dict[str, StepResult] = field(default_factory=dict)
    failures: dict[str, LakeError] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    release: Release | None = None
    released: bool = False
    moved: list[Moved] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """How the run ended, in a few words: what it released, or why nothing."""
        if self.release is None:
            return "nothing to release"
        if self.released:
            return f"release {self.release.number}" + (f": {moved_in_words(self.moved)}" if any(one.same_rows for one in self.moved) else "")
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
            rest = f"; {counted(len(self.skipped), 'step')} that {several(len(self.skipped), 'needs', 'need')} them did not run" if self.skipped else ""
            raise RunFailed("; ".join(problems) + rest, "The last release stands. Correct this and run again")
