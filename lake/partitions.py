"""A hop's work cut into partitions, each done by whoever is free: another process, another machine. One commit publishes them all.

A partition is some of the data files that drive the hop. Whoever does it writes the rows that passed into the store and answers with the files
and its part of the ledger; nothing it does is visible. So one that is killed, comes late or is done twice leaves files that nobody names, and
maintenance removes them. What needs all rows together, which of two rows of a key is later and what is in the table already, is settled by the run.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from lake import errors
from lake.content import Content
from lake.datafile import parts_in, upload_parts
from lake.delta import DataFile, scan_files
from lake.dtypes import delta_type, polars_type
from lake.errors import LakeError
from lake.hop import Hop
from lake.meter import carried, count
from lake.origins import looks_across_rows
from lake.plan import Plan
from lake.record import Input, Within
from lake.run import Run
from lake.schemas import describe, sketched_columns
from lake.table import path_of
from lake.transform import Staged, stage
from lake.wording import counted

SCRATCH = "system/partitions"
_AT_ONCE = 4  # files


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Frozen):
    """A data file, as it is told between processes."""

    path: str
    size: int
    rows: int
    stats: str = ""

    def file(self) -> DataFile:
        """As the engine has it."""
        return DataFile(self.path, self.size, self.rows, self.stats)


class Partition(_Frozen):
    """One partition of a hop's work, whole enough to be done anywhere: what was planned, and which of the driving files are this one's.

    With `stands`, the rows that pass are written as data files of the table; else, and rejects always, they are written aside.
    """

    env: str
    flow: str
    table: str
    fingerprint: str
    base: int
    mode: str
    inputs: dict[str, Input]
    reason: str
    within: Within | None
    files: list[Place]
    number: int
    of: int
    batch: str
    stands: bool

    @property
    def name(self) -> str:
        """The table, and which of its partitions."""
        return f"{self.table} {self.number + 1} of {self.of}"


class Failed(_Frozen):
    """Why a partition came to nothing: which error of lake's, in its words."""

    failed: str
    message: str
    hint: str | None

    def error(self) -> LakeError:
        """The error that it tells of."""
        kind = getattr(errors, self.failed, LakeError)
        return (kind if isinstance(kind, type) and issubclass(kind, LakeError) else LakeError)(self.message, self.hint)


class Done(_Frozen):
    """What came of a partition: files in the store, and its part of the counts."""

    number: int
    good: list[Place]
    bad: list[Place]
    dead: list[Place] | None
    columns: dict[str, Any]
    read: int
    out: int
    passed: int
    rejected: int
    rules: dict[str, int]
    warned: dict[str, int]
    counted: int | None
    intact: bool | None
    content: tuple[int, int, int]
    conversions: dict[str, str]
    freshest: dt.datetime | None
    asked: dict[str, int]
    stopped: Failed | None = None


def answered(text: str) -> Done:
    """What came of a partition, from its JSON. Raises the error that it tells."""
    told = json.loads(text)
    if "failed" not in told:
        return Done.model_validate(told)
    raise Failed.model_validate(told).error()


def cut(run: Run, plan: Plan) -> tuple[list[Partition], str | None]:
    """The partitions of a plan; none, and why not where the hop asked for some, if it is to be done as a whole."""
    hop, most = plan.hop, plan.hop.partitions
    if not most:
        return [], None
    files = _driving(run, plan)
    if files is None:
        return [], "its input changed rows instead of only adding some"
    size = sum(file.size for file in files)
    parts = min(most, len(files), max(1, size // run.settings.partition_bytes))
    if parts < 2:  # noqa: PLR2004  # one partition is the whole
        return [], None
    schemas = {name: run.snapshot(path_of(plan.inputs[name].table), plan.inputs[name].end).schema for name in hop.inputs}
    if (why := looks_across_rows(hop, schemas)) is not None:
        return [], f"it does not keep rows apart: {why}"
    about: dict[str, Any] = {
        "env": run.settings.env, "flow": run.info.flow, "table": hop.table.name, "fingerprint": hop.fingerprint, "base": plan.base, "mode": plan.mode, "inputs": plan.inputs,
        "reason": plan.reason, "within": plan.within, "batch": f"{plan.batch}-{uuid.uuid4().hex[:8]}", "stands": _may_stand(plan), "of": parts,
    }  # fmt: skip
    return [Partition(number=number, files=[_place(file) for file in share], **about) for number, share in enumerate(_shares(files, parts))], None


def _driving(run: Run, plan: Plan) -> tuple[DataFile, ...] | None:
    """The data files that drive a hop; None where rows of them come only with others."""
    if plan.again is not None or plan.within is not None:
        return None
    feed = plan.feeds.get(plan.hop.driver)
    if feed is None:
        given = plan.inputs[plan.hop.driver]
        return run.snapshot(path_of(given.table), given.end).files
    return tuple(file for _, file in feed.added) if feed.grows_only else None


def _shares(files: tuple[DataFile, ...], parts: int) -> list[list[DataFile]]:
    """The files in so many shares of about the same size: the largest first, each to the share that has least."""
    shares: list[list[DataFile]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for file in sorted(files, key=lambda file: (-file.size, file.path)):
        least = sizes.index(min(sizes))
        shares[least].append(file)
        sizes[least] += file.size
    return shares


def _may_stand(plan: Plan) -> bool:
    """Whether rows that pass can be the table's as they are: nothing is there that they could meet, and nothing is worked out about them together."""
    hop = plan.hop
    if hop.table.rules or hop.deletes is not None or hop.write == "scd2":
        return False
    return hop.write == "append" or plan.base < 0


def carry(run: Run, hop: Hop, partition: Partition) -> Done:
    """Do one partition. Raises what a hop raises; LakeError where this process has other code than the run."""
    if hop.fingerprint != partition.fingerprint:
        raise LakeError(
            f"{partition.table} was planned with other code than is here",
            "Have the same checkout, packages and values of the environment variables that the hop reads wherever partitions are done",
        )
    plan = Plan(hop, partition.base, None, partition.inputs, partition.mode, partition.reason, True, within=partition.within)
    given = partition.inputs[hop.driver]
    schema = run.snapshot(path_of(given.table), given.end).schema
    driving = scan_files(run.store, path_of(given.table), schema, tuple(place.file() for place in partition.files))
    path = path_of(partition.table)
    aside = f"{SCRATCH}/{partition.batch}/{partition.number}-{uuid.uuid4().hex[:8]}"
    before = run.store.requests + run.store.bytes
    with run.workspace(f"partition-{partition.table}") as folder:
        staged = stage(run, plan, folder, driving=driving)
        if partition.stands:
            good = [_place(file) for file in upload_parts(run.store, path, staged.good, sketched=sketched_columns(path, describe(hop.table, staged.schema)))]
        else:
            good = _put_aside(run, staged.good, f"{aside}/good")
        bad = _put_aside(run, staged.bad, f"{aside}/bad")
        dead = _put_aside(run, staged.dead, f"{aside}/dead") if staged.dead is not None else None
    return Done(
        number=partition.number, good=good, bad=bad, dead=dead, columns={name: delta_type(dtype) for name, dtype in staged.schema.items()},
        read=staged.read, out=staged.out, passed=staged.passed, rejected=staged.rejected, rules=staged.rules, warned=staged.warned, counted=staged.counted,
        intact=staged.intact, content=(staged.content.rows, staged.content.low, staged.content.high), conversions=staged.conversions,
        freshest=staged.freshest, asked=dict(+((run.store.requests + run.store.bytes) - before)),
        stopped=Failed(failed=type(staged.stopped).__name__, message=staged.stopped.message, hint=staged.stopped.hint) if staged.stopped else None,
    )  # fmt: skip


def gathered(run: Run, plan: Plan, partitions: Sequence[Partition], done: Sequence[Done], folder: Path) -> Staged:
    """What the partitions came to together, as if one pass had made it; rejects are brought to local disk, and rows that stand stay where they are.

    Raises LakeError where an answer is missing or there are two of one partition: nothing is then published.
    """
    if sorted(one.number for one in done) != list(range(len(partitions))):
        raise LakeError(f"{plan.hop.table.name}: {counted(len(partitions), 'partition')}, and {counted(len(done), 'answer')}", "Run again")
    first, stands = done[0], partitions[0].stands
    rules, warned = Counter[str](), Counter[str]()
    conversions: dict[str, str] = {}
    content = Content()
    for one in done:
        rules.update(one.rules)
        warned.update(one.warned)
        conversions |= one.conversions
        content += Content(*one.content)
        for what, number in one.asked.items():
            count(what, number)
    dead = folder / "dead" if first.dead is not None else None
    aside = [(place, folder / "bad") for one in done for place in one.bad] + [(place, folder / "dead") for one in done for place in one.dead or ()]
    aside += [] if stands else [(place, folder / "good") for one in done for place in one.good]
    _bring_back(run, aside)
    marks = [one.intact for one in done]
    return Staged(
        folder / "good", folder / "bad", pl.Schema({name: polars_type(spelled) for name, spelled in first.columns.items()}), sum(one.read for one in done),
        sum(one.out for one in done), sum(one.passed for one in done), sum(one.rejected for one in done), dict(sorted(rules.items())),
        dict(sorted(warned.items())), sum(one.counted or 0 for one in done) if first.counted is not None else None,
        None if None in marks else all(marks), content, conversions, max((one.freshest for one in done if one.freshest), default=None), dead,
        standing=tuple(place.file() for one in done for place in one.good) if stands else (),
        stopped=next((one.stopped.error() for one in done if one.stopped), None),
    )  # fmt: skip


def fetched(run: Run, plan: Plan, staged: Staged) -> Staged:
    """The same with the rows that passed on local disk: they do not stand after all. Their files in the table's folder are removed; nobody names them."""
    path = path_of(plan.hop.table.name)
    places = [Place(path=f"{path}/{file.path}", size=file.size, rows=file.rows) for file in staged.standing]
    _bring_back(run, [(place, staged.good) for place in places])
    run.store.delete(place.path for place in places)
    return replace(staged, standing=())


def tidy(run: Run, partitions: Sequence[Partition]) -> None:
    """Remove what partitions put aside; what a late one still puts there is for maintenance to remove."""
    run.store.delete([blob.path for batch in {one.batch for one in partitions} for blob in run.store.walk(f"{SCRATCH}/{batch}")])


def _place(file: DataFile) -> Place:
    return Place(path=file.path, size=file.size, rows=file.rows, stats=file.stats)


def _put_aside(run: Run, folder: Path, to: str) -> list[Place]:
    """Put local parts into the store, where no table sees them."""
    places = []
    for number, part in enumerate(parts_in(folder)):
        path = f"{to}/{number:05d}.parquet"
        run.store.upload(path, part)
        places.append(Place(path=path, size=part.stat().st_size, rows=-1))
    return places


def _bring_back(run: Run, wanted: Sequence[tuple[Place, Path]]) -> None:
    """Copy objects to local folders, a few at once, each under a name of its own."""

    def bring(numbered: tuple[int, tuple[Place, Path]]) -> None:
        number, (place, folder) = numbered
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"came-{number:06d}.parquet").open("wb") as file:
            file.writelines(run.store.stream(place.path))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(carried(bring), enumerate(wanted)))
