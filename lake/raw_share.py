"""Some of the raw files of a bronze table, chosen by chance, read again and compared with the rows that it has of them.

`lake verify` asks for it; and so does the first run by another version of lake or Polars, before it takes further files in. Rows that are
read otherwise now stand as they were read: what gold was made of does not change under it. The run says which file it is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from lake.code import engine_versions
from lake.compact import rearrange
from lake.contract import FILE, ROW
from lake.delta import Snapshot
from lake.difference import Difference, difference_of
from lake.errors import LakeError, translated
from lake.log import TableLog
from lake.meter import phase
from lake.outcome import Outcome
from lake.plan import engine_moved
from lake.receipts import receipt_of
from lake.record import ConsumedFile, Notice, Record
from lake.reread import newest_first, taken_in
from lake.run import Run
from lake.share import told
from lake.source import Source
from lake.table import path_of
from lake.wording import counted

_FILES = 8
_SHARE = 0.02


@dataclass(frozen=True)
class Compared:
    """What came of reading files again: their `names`, how many `rows` they gave, and in what these differ from the table's.

    `lost` names a file of which no receipt is left, where that ended the comparison.
    """

    names: tuple[str, ...]
    rows: int
    found: Difference
    lost: str = ""


def raw_compared(run: Run, source: Source, version: int, there: Snapshot, share: float, chance: random.Random) -> Compared:
    """Up to eight raw files that commits up to `version` took in, about `share` of each commit's, against their rows `there`.

    Ends at the first file whose rows differ. No name at all means that there is no file to compare.
    """
    log = run.log(there.path)
    names: tuple[str, ...] = ()
    rows, found = 0, Difference()
    for file, then in _chosen(log, version, share, chance):
        receipt = receipt_of(run, source.name, file.file)
        names = (*names, file.name)
        if receipt is None:
            return Compared(names, rows, found, lost=file.file)
        if receipt["status"] == "again":
            then = next((record for record in newest_first(log, version) if file.file in {one.file for one in record.files}), then)
        with run.workspace(f"verify-{source.name}") as folder:
            again = taken_in(run, source.into, then, receipt, there, folder).filter(pl.col(FILE) == file.file)
            stored = there.scan().filter(pl.col(FILE) == file.file).unique([FILE, ROW])  # content that landed twice is there twice
            found = difference_of(stored, again, [])
            rows += again.select(pl.len()).collect(engine="streaming").item()
        if found.any:
            break
    return Compared(names, rows, found)


def confirm_reading(run: Run, source: Source) -> Iterator[Outcome]:
    """Where other versions of lake or Polars took the newest files in: read some again, and commit what came of it. Moves no row.

    Yields the outcome of that commit; nothing where the versions are the same. Raises CommitConflict where another run was faster.
    """
    path = path_of(source.into.name)
    base, before = run.log(path).head()
    moved = engine_moved(before) if before is not None else None
    if before is None or before.code is None or moved is None:
        return
    with phase("verify"):
        words, notices = _looked(run, source, base)
    now = engine_versions()
    also = {"code": before.code.model_copy(update={"lake": now["lake"], "polars": now["Polars"]}), "notices": notices}
    version = rearrange(run, path, base, before, why=f"verified, because {moved}: {words}", also=also)
    yield Outcome.published(source.into.name, version, run.log(path).record_at(version) or before, 0.0)


def _looked(run: Run, source: Source, version: int) -> tuple[str, list[Notice]]:
    """What came of reading some files again, in words, and a notice of the one that is read otherwise."""
    there = run.snapshot(path_of(source.into.name), version)
    try:
        compared = raw_compared(run, source, version, there, _SHARE, random.SystemRandom())
    except (LakeError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        why = error.message if isinstance(error, LakeError) else translated(error, source.into.name).message
        return "no raw file could be read again", [_notice(source.into.name, f"could not be read again: {why}")]
    if not compared.names:
        return "it has no raw file to read again", []
    read = f"{', '.join(compared.names)} read again, {counted(compared.rows, 'row')}"
    if compared.lost:
        return read, [_notice(compared.names[-1], "has no receipt any more, and was not compared")]
    if compared.found.any and not compared.found.rounding:
        return read, [_notice(compared.names[-1], f"is read otherwise now ({told(compared.found)}); its rows stand as they were read")]
    return f"{read}: the same", []


def _notice(file: str, detail: str) -> Notice:
    return Notice(column="", what="read", file=file, detail=detail)


def _chosen(log: TableLog, version: int, share: float, chance: random.Random) -> list[tuple[ConsumedFile, Record]]:
    """Some of the raw files, by the commits that took them in."""
    taken = [_taken_by(log, at) for at in chance.sample(range(version + 1), min(version + 1, _FILES))]
    if not any(taken):  # whatever fell to it took no file in
        taken = [next((files for at in range(version, -1, -1) if (files := _taken_by(log, at))), [])]
    return [one for files in taken if files for one in chance.sample(files, max(1, round(share * len(files))))][:_FILES]


def _taken_by(log: TableLog, version: int) -> list[tuple[ConsumedFile, Record]]:
    """The raw files that a commit took in, with its record; none where it did something else."""
    record = log.record_at(version)
    return [(file, record) for file in record.files if file.reason is None] if record is not None and record.kind == "ingest" else []
