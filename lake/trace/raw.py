"""The bottom: raw files read again, and the records in them that rows were taken from, as they stand there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import FILE, LANDED, ROW
from lake.errors import LakeError
from lake.meter import carried
from lake.place import readings
from lake.reading.dialect import Dialect
from lake.reading.fields import as_text
from lake.reading.records import texts_of
from lake.receipts import receipt_of
from lake.reread import taken_in, taking
from lake.table import Table, path_of
from lake.trace.descent import Node
from lake.trace.reading import Reading
from lake.whereabouts import fetched

_AT_ONCE = 4  # raw files


@dataclass(frozen=True)
class RawRecord:
    """One record of a raw file. `line` is its first line and `text` what stands there; None in files that have no lines, such as Parquet."""

    file: str
    name: str
    record: int
    line: int | None
    text: str | None
    lost: bool = False


@dataclass(frozen=True)
class ReadAgain:
    """The rows of a bronze table read from raw again, in its columns; the records they are; and why some could not be read."""

    rows: pl.DataFrame
    records: list[RawRecord] = field(default_factory=list)
    missing: str | None = None


def read_raw(reading: Reading, table: Table, node: Node, lost: pl.DataFrame | None) -> ReadAgain:
    """Read the raw files of the node's rows again, each once and whole, a few at once, the way they were taken in; and the text of the records."""
    there = reading.snapshot(node.table, node.version)
    places = node.rows.select(FILE, ROW, LANDED)
    beaten = set(lost.iter_rows()) if lost is not None else set()
    frames, records, missing = [], list[RawRecord](), None

    def one(group: pl.DataFrame) -> tuple[pl.DataFrame, dict[int, tuple[int, bytes]], str, str | None] | LakeError:
        with reading.run.workspace(f"trace-{table.name}") as folder:
            try:
                return _file(reading, table, node, there, group[FILE][0], group, folder)
            except LakeError as error:
                return error

    groups = [group for _, group in places.group_by(FILE, maintain_order=True)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = list(pool.map(carried(one), groups))
    for group, result in zip(groups, done, strict=True):
        if isinstance(result, LakeError):
            missing = missing or str(result)
            continue
        file, (rows, found, name, beside) = group[FILE][0], result
        frames.append(group.join(rows, on=[FILE, ROW], how="inner", maintain_order="left").select(list(there.schema)))
        for number in group[ROW].unique().sort():
            line, text = found.get(number, (None, None))
            told = as_text(text, beside).rstrip("\r\n") if text is not None else None
            records.append(RawRecord(file, name, number, line, told, (file, number) in beaten))
    return ReadAgain(pl.concat(frames) if frames else node.rows.clear(), records, missing)


def _file(
    reading: Reading, table: Table, node: Node, there: Any, file: str, group: pl.DataFrame, folder: Path
) -> tuple[pl.DataFrame, dict[int, tuple[int, bytes]], str, str | None]:
    run = reading.run
    receipt = receipt_of(run, table.name.removeprefix("bronze."), file)
    if receipt is None:
        raise LakeError(f"{file} has no receipt", "system/landings was damaged; `lake maintain` says more")
    then = taking(run.log(path_of(table.name)), file, node.version, group[LANDED].max())  # type: ignore[arg-type]  # instants
    if then is None:
        raise LakeError(f"no commit of {table.name} up to version {node.version} took {file} in", "`lake history` shows how far the log still reaches back")
    numbers = set(group[ROW].to_list())
    local = fetched(run, receipt, folder)
    dialects = [Dialect.model_validate(said) for said in json.loads(receipt["dialects"])]
    member = next((inside for raw, inside in readings(file) if raw == receipt["file"]), None)
    dialect = next((one for one in dialects if one.member == member), dialects[0])
    only = pl.Series(sorted(numbers), dtype=pl.Int64)
    rows = taken_in(run, table, then[1], receipt, there, folder, local, only).filter(pl.col(FILE) == file).drop(LANDED).collect(engine="streaming")
    texts = texts_of(*local, dialect, receipt["name"], folder / "texts", numbers, ours=receipt["packed"] is None)
    return rows.unique([FILE, ROW]), texts, receipt["name"] + (f" ({member})" if member else ""), dialect.beside
