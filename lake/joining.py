"""The files of one commit brought into their table's columns and put together. A file with which that cannot be done is rejected whole, and the rest goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.content import Content, content_sums, read_sums
from lake.contract import PROVENANCE, RESCUED
from lake.datafile import measure, parts_in, scan_parts, write_parts
from lake.fit import Fit, Shape, fit
from lake.guard import blamed
from lake.table import Table
from lake.taken import Taken

_LARGE = 8 << 20  # bytes
Widened = dict[str, pl.DataType]
"""Columns whose type must be widened before files fit, with the wider type."""


def united(
    table: Table, there: pl.Schema, done: list[Taken], headers: Mapping[str, str], bad: Mapping[str, str] | None = None
) -> tuple[pl.Schema, list[Taken], Widened]:
    """The table's columns with those that the files add, each file with how it fits, and the columns to be widened before it does.

    `headers` are the names that the table's columns have in files, where these are others; `bad` says of files, by their place, why they cannot be brought in.
    """
    known = {name: dtype for name, dtype in there.items() if name not in PROVENANCE and name != RESCUED}
    shape = Shape(known, table, new=not known, headers=headers)
    fitted: list[Taken] = []
    widened: Widened = {}
    for item in done:
        if item.accepted:
            found = _fitted(shape, item, table, (bad or {}).get(item.consumed.file))
            item = replace(item, fit=found) if found.refused is None else _refused(item, found, found.refused)
            shape = replace(found.shape, new=found.shape.new and not found.values)
            widened |= found.widened
        fitted.append(item)
    return pl.Schema(shape.columns | dict(PROVENANCE) | {RESCUED: pl.String()}), fitted, widened


def _fitted(shape: Shape, item: Taken, table: Table, why: str | None) -> Fit:
    """How a file fits, with the whole reason where it is refused."""
    name = item.consumed.name
    if why is not None:
        return Fit(shape, refused=why)
    try:
        found = fit(shape, item.schema, name, item.renamed)
    except BaseException as error:  # noqa: BLE001  # whatever a library raises over its types, panics too
        return Fit(shape, refused=blamed(error, f"{name} does not fit {table.name}").message)
    return found if found.refused is None else replace(found, refused=f"{name} does not fit {table.name}: {found.refused}")


def _refused(item: Taken, found: Fit, reason: str) -> Taken:
    whole = item.rejects.clear().vstack(pl.DataFrame([(item.consumed.file, None, None, None, reason)], schema=item.rejects.schema, orient="row"))
    consumed = item.consumed.model_copy(update={"rows": 0, "rejects": 1, "reason": reason})
    return replace(item, consumed=consumed, parts=None, held=None, schema=pl.Schema(), rejects=whole, renamed={}, conversions={}, fit=found)


def culprits(table: Table, done: list[Taken], schema: pl.Schema, folder: Path, *, shaped: bool = True) -> dict[str, str]:
    """The files with which the rows of all cannot be made or written, by their place, with the reason: each is tried alone.

    Without `shaped`, those whose columns are the table's as they stand are not tried.
    """
    found: dict[str, str] = {}
    for item in done:
        if not item.accepted or item.fit is None or (not shaped and is_shaped(item, schema)):
            continue
        try:
            write_parts(all_rows([item], schema), folder)
            scan_parts(folder, schema).select(content_sums([n for n in schema if n != RESCUED])).collect(engine="streaming")
            for part in parts_in(folder):
                measure(part)
            if item.structure is not None:
                item.structure.collect(engine="streaming")
        except BaseException as error:  # noqa: BLE001  # as above
            found[item.consumed.file] = blamed(error, f"{item.consumed.name} cannot be brought into {table.name}").message
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return found


def put_together(done: list[Taken], schema: pl.Schema, parts: Path) -> Content:
    """The rows of all files as the parts of one commit. Large parts that are in the table's shape already stay as they are; the others are joined.

    Every file has its parts where they were afterwards, too.
    """
    content, whole, rest = Content(), [], []
    for number, item in enumerate(done):
        if item.parts is None or item.content is None or not is_shaped(item, schema) or sum(p.stat().st_size for p in parts_in(item.parts)) < _LARGE:
            rest.append(item)
            continue
        whole.append((item.parts, parts / f"{number:05d}"))
        content += item.content
    if any(item.accepted for item in rest) or len(rest) == len(done):
        write_parts(all_rows(rest, schema), parts / "rest")
        sums = scan_parts(parts / "rest", schema).select(content_sums([n for n in schema if n != RESCUED])).collect(engine="streaming")
        content += read_sums(sums.row(0, named=True))
    for was, now in whole:
        for part in parts_in(was):
            _placed(part, now / part.relative_to(was))
    return content


def _placed(part: Path, target: Path) -> None:
    """The same file in a second place; the first stays, for when the files must be put together anew."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(part, target)
    except OSError:  # a file system without links
        shutil.copyfile(part, target)


def is_shaped(item: Taken, schema: pl.Schema) -> bool:
    """Whether the file's columns are the table's as they stand, or lack some."""
    return item.fit is not None and item.fit.plain and all(schema.get(name) == dtype for name, dtype in item.schema.items())


def all_rows(done: list[Taken], schema: pl.Schema) -> pl.LazyFrame:
    """The rows of all files in the table's columns."""
    frames = [shaped(frame, item, item.fit, schema) for item in done if item.fit for frame in item.frames()]
    return pl.concat(frames).select(list(schema)) if frames else pl.LazyFrame(schema=schema)


def shaped(frame: pl.LazyFrame, item: Taken, found: Fit, schema: pl.Schema) -> pl.LazyFrame:
    """The rows of a file in the table's columns; those that it lacks are null."""
    if not is_shaped(item, schema):
        return found.frame(frame, schema)
    return frame.select(pl.col(name) if name in item.schema else pl.lit(None, dtype).alias(name) for name, dtype in schema.items())
