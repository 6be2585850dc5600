"""`lake run --timings`: where the time of a run went, by step and phase, and how much of it was not the engine's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from lake.cli.render import print_table
from lake.meter import PHASES, Span, covered


@dataclass(frozen=True)
class Shares:
    """Seconds of a run. `wall` = `engine` + `before` + `rest`.

    `engine` is the time in which the engine was at something: opening the store, at least one step, the release. What is left is time in which
    nothing of the lake went on: `before` the first step, and between and after. `steps` adds the steps up, so that it exceeds `engine` where
    several went on at once.
    """

    wall: float
    engine: float
    steps: float
    before: float
    rest: float

    @classmethod
    def of(cls, wall: Span, seen: list[Span], names: set[str]) -> Shares:
        """The shares of a run that took `wall`, in which the engine was at what was `seen`; `names` are those of steps."""
        steps = [span for span in seen if span.name in names]
        first = min((span.start for span in steps), default=wall.end)
        engine = covered(seen)
        before = max(0.0, (first - wall.start) / 1e9 - covered([span for span in seen if span.end <= first]))
        return cls(wall.seconds, engine, sum(span.seconds for span in steps), before, max(0.0, wall.seconds - engine - before))

    def line(self, around: str) -> str:
        """In words; `around` is what the engine ran in."""
        return (
            f"{self.wall:.2f} s in all: the engine was at work for {self.engine:.2f} s (its steps add up to {self.steps:.2f} s); "
            f"{around} took {self.before + self.rest:.2f} s, {self.before:.2f} s of it before the first step"
        )


def print_timings(rows: list[dict[str, Any]], shares: Shares, around: str) -> None:
    """One line a step, a column a phase that any of them had, then the shares."""
    there = [phase for phase in PHASES if any(phase in row["seconds"] for row in rows)]
    told = [
        {"step": row["step"]} | {phase: _short(row["seconds"].get(phase)) for phase in there} | {"total": _short(row["seconds"].get("total"))} for row in rows
    ]
    click.echo()
    print_table(told, {"step": "step"} | {phase: phase for phase in (*there, "total")}, empty="No step ran.")
    click.echo(shares.line(around))


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
