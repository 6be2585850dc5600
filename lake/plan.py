"""What a hop will do, decided before anything is read: which versions, all of it or the increment, and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from lake.delta import added_between
from lake.errors import LakeError, NotFound
from lake.hop import Changes, Hop
from lake.record import Input, Record
from lake.run import Run
from lake.table import path_of


@dataclass(frozen=True)
class Plan:
    """One hop, decided. `inputs` pins versions by parameter; `base` is the version planned against, -1 for a new table."""

    hop: Hop
    base: int
    before: Record | None
    inputs: dict[str, Input]
    mode: str
    reason: str
    needed: bool

    @property
    def estimated_rows(self) -> int:
        """Rows the driving input will give, from the log."""
        return self.inputs[self.hop.driver].rows or 0 if self.needed else 0

    @property
    def batch(self) -> str:
        """Names this piece of work: the same table version, inputs and code give the same batch, whoever runs it."""
        what = f"{self.hop.table.name} {self.base} {self.mode} {self.hop.fingerprint} {sorted((n, i.start, i.end) for n, i in self.inputs.items())}"
        return hashlib.sha256(what.encode()).hexdigest()[:20]


def make_plan(run: Run, hop: Hop, *, full: bool = False) -> Plan:
    """The plan for `hop` now. Reads logs, never data. Raises LakeError if an input does not exist yet."""
    log = run.log(path_of(hop.table.name))
    base = log.version()
    last = log.last_record(until=base) if base >= 0 else None
    before = last[1] if last else None
    ends = {name: _newest(run, hop, name) for name in hop.inputs}
    mode, reason, needed = _decide(hop, before, ends, full=full)
    inputs: dict[str, Input] = {}
    for number, (name, source) in enumerate(hop.inputs.items()):
        table = source.table.name if isinstance(source, Changes) else source.name
        known = before.inputs[number] if before and number < len(before.inputs) else None
        if isinstance(source, Changes) and mode == "incremental" and known is not None:
            try:
                rows = sum(file.rows for file in added_between(run.log(path_of(table)), known.end, ends[name]))
                inputs[name] = Input(table=table, kind="changes", start=known.end, end=ends[name], rows=rows)
                continue
            except NotFound:
                mode, reason = "full", f"full, because the log of {table} no longer reaches back to version {known.end}"
        inputs[name] = Input(table=table, kind="changes" if isinstance(source, Changes) else "snapshot", end=ends[name], rows=_rows(run, table, ends[name]))
    return Plan(hop, base, before, inputs, mode, reason, needed)


def _decide(hop: Hop, before: Record | None, ends: dict[str, int], *, full: bool) -> tuple[str, str, bool]:
    """Mode, the reason in words, and whether there is anything to do."""
    if before is None:
        return "full", "full, because the table is new", True
    if full:
        return "full", "full, because it was asked for", True
    if before.code is None or before.code.fingerprint != hop.fingerprint or len(before.inputs) != len(hop.inputs):
        return "full", "full, because the code or the contract changed", True
    moved = {name: (known.end, ends[name]) for name, known in zip(hop.inputs, before.inputs, strict=True) if known.end != ends[name]}
    if not moved:
        return "incremental", "nothing new", False
    names = {name: source.table.name if isinstance(source, Changes) else source.name for name, source in hop.inputs.items()}
    if back := [name for name, (was, now) in moved.items() if now < was]:
        return "full", f"full, because {names[back[0]]} went back to an earlier version", True
    told = ", ".join(f"{names[name]} {was} → {now}" for name, (was, now) in moved.items())
    if not any(isinstance(source, Changes) for source in hop.inputs.values()):
        return "full", f"inputs moved: {told}", True
    if still := [name for name in moved if not isinstance(hop.inputs[name], Changes)]:
        return "full", f"full, because {names[still[0]]} changed, which every row was computed with", True
    return "incremental", f"new rows: {told}", True


def _newest(run: Run, hop: Hop, name: str) -> int:
    source = hop.inputs[name]
    table = source.table.name if isinstance(source, Changes) else source.name
    version = run.log(path_of(table)).version()
    if version < 0:
        raise LakeError(f"{hop.table.name} reads {table}, which does not exist yet", f"Run the hop or land the files that fill {table} first")
    return version


def _rows(run: Run, table: str, version: int) -> int | None:
    last = run.log(path_of(table)).last_record(until=version)
    return last[1].rows if last else None
