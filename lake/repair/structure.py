"""Structural lines of raw files that are missing or damaged, read from raw again.

A bronze table is made again in a scratch place, as replay makes it, which reads every raw file as it was read then. The lines of the files that
the commit took in are put back under the name that its record has, if they are as many as the record says; otherwise they are lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import polars as pl

from lake.contract import FILE
from lake.errors import LakeError
from lake.pipeline import Pipeline, Step
from lake.record import Record
from lake.repair.findings import Finding, Mended
from lake.replay import compute_again, scratch_of
from lake.run import Run
from lake.structural import structure_of, write_structure
from lake.table import path_of

_BACKUP = "Its lines are in the raw files still, but not told apart from records; bring the object back from a backup"


def mend_structure(run: Run, findings: Iterable[Finding], flows: Iterable[Pipeline]) -> Iterator[Mended]:
    """Make objects with structural lines again, each a row of the answer."""
    steps = {path_of(step.name): step for flow in flows for step in flow.steps if step.kind == "ingest"}
    for path, objects in groupby(sorted(findings, key=lambda one: one.table), key=lambda one: one.table):
        yield from _of_table(run, path, list(objects), steps.get(path))


def _of_table(run: Run, path: str, objects: list[Finding], step: Step | None) -> Iterator[Mended]:
    if step is None:
        yield from (Mended(one.path, "lost", f"no flow of this checkout fills {path}. {_BACKUP}") for one in objects)
        return
    try:
        with scratch_of(run) as again:
            compute_again(run, again, step, run.log(path).version())
            records = [record for _, record in again.log(path).back()]
            for one in objects:
                yield _put_back(run, again, step.name, records, one)
    except Exception as error:  # noqa: BLE001  # whatever a library says of what it cannot read: these are lost, and the rest goes on
        why = error.message if isinstance(error, LakeError) else "its receipts, or what it was read from, are damaged too"
        yield from (Mended(one.path, "lost", f"{path} cannot be read from raw again: {why}. {_BACKUP}") for one in objects)


def _put_back(run: Run, again: Run, name: str, records: list[Record], one: Finding) -> Mended:
    record = run.log(one.table).record_at(one.version)
    if record is None or not record.structure:
        return Mended(one.path, "lost", f"the commit that named it cannot be read. {_BACKUP}")
    files = [file.file for file in record.files]
    lines = structure_of(again.store, name, records).filter(pl.col(FILE).is_in(files)).collect()
    if lines.height != record.structure["lines"]:
        return Mended(one.path, "lost", f"read again, its files have {lines.height:,} such lines instead of {record.structure['lines']:,}. {_BACKUP}")
    with run.workspace("repair-structure") as folder:
        write_structure(run.store, one.path, lines.lazy(), folder)
    return Mended(one.path, "made again", "the same lines, read from raw")
