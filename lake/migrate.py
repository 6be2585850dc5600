"""Migrating a bronze table: columns renamed, dropped or widened as its declaration says, in one commit.

Older versions stay readable as they were. Where columns are only renamed or dropped, rows stay what they are: nothing that was made from
them is made again. Where two become one, or a type is another, what reads the table may make something else of its rows, and makes it anew.
Every value is compared on the way: a column that would lose one is left alone, with an error that names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.content import content_sums, read_sums
from lake.contract import PROVENANCE, RESCUED
from lake.datafile import scan_parts, write_parts
from lake.delta import schema_of
from lake.errors import SchemaRefused
from lake.fit import exactly
from lake.log import schema_of_record
from lake.meter import phase
from lake.outcome import Outcome
from lake.publish import Draft, publish
from lake.record import Ledger, Record
from lake.run import Run
from lake.table import Table, path_of
from lake.type_names import type_name
from lake.wording import counted


@dataclass(frozen=True)
class Steps:
    """What is to change: new names by the old, columns to drop, types to widen to."""

    renamed: dict[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    widened: dict[str, pl.DataType] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """In words."""
        told = [f"column {old} renamed to {new}" for old, new in self.renamed.items()]
        told += [f"column {name} dropped" for name in self.dropped]
        told += [f"column {name} widened to {type_name(dtype)}" for name, dtype in self.widened.items()]
        return "; ".join(told)

    def __bool__(self) -> bool:
        return bool(self.renamed or self.dropped or self.widened)


def due(table: Table, there: pl.Schema) -> Steps:
    """What the table's declaration asks of columns that are `there` now."""
    spelled = {name.casefold(): name for name in there if name not in PROVENANCE and name != RESCUED}
    renamed = {spelled[old.casefold()]: new for old, new in table.former.items() if old.casefold() in spelled}
    dropped = tuple(spelled[name.casefold()] for name in table.dropped if name.casefold() in spelled)
    back = {new: old for old, new in renamed.items()}
    types = {name: dtype for name, dtype in table.types.items() if (name in there or name in back) and there[back.get(name, name)] != dtype}
    return Steps(renamed, dropped, types)


def pending(run: Run, table: Table) -> tuple[Steps, Record | None]:
    """What the next run would do to the table before it reads files, and the table's last record. Reads documents, never data."""
    log = run.log(path_of(table.name))
    _, before = log.head()
    known = schema_of_record(run.store, log, before)
    return (due(table, schema_of(known[2])[0]) if known else Steps()), before


def migrate(run: Run, table: Table, base: int, before: Record, steps: Steps, declared: dict[str, str]) -> Outcome:
    """Commit the table with its columns changed as version base + 1. `declared` are names that columns had in their files.

    Raises SchemaRefused where a value would be lost, CommitConflict where another run was faster; the table is then as it was.
    """
    path = path_of(table.name)
    there = run.snapshot(path, base)
    schema = _after(table, there.schema, steps)
    expressions, lost = _moved(there.schema, schema, steps)
    frame = there.scan()
    counts: dict[str, int] = frame.select(lost).collect(engine="streaming").row(0, named=True) if lost else {}
    if bad := [f"{name} ({counted(count, 'row')})" for name, count in counts.items() if count]:
        raise SchemaRefused(
            f"{table.name}: {steps.line}: values would be lost in {', '.join(bad)}", "Nothing was changed. Correct the declaration in tables.py"
        )
    with run.workspace(f"migrate-{table.name}") as folder:
        with phase("transform"):
            write_parts(frame.select(expressions), folder / "parts")
            sums = scan_parts(folder / "parts", schema).select(content_sums([n for n in schema if n != RESCUED])).collect(engine="streaming")
        about: dict[str, Any] = {
            name: getattr(before, name) for name in ("code", "write", "mode", "inputs", "quarantine", "rejects", "freshest", "last_landed")
        } | {
            "kind": "migration", "table": table.name, "batch": f"{run.info.id}/{path}", "reason": steps.line, "ledger": Ledger(),
            "content": read_sums(sums.row(0, named=True)).to_hash(),
        }  # fmt: skip
        moves = bool(steps.widened or lost)
        draft = Draft(table, path, base, schema, parts=folder / "parts", removed=there.files, renamed=_names(declared, steps), moves=moves)
        version, record = publish(run, draft, before, about)
    return Outcome.published(table.name, version, record, 0.0)


def _after(table: Table, there: pl.Schema, steps: Steps) -> pl.Schema:
    columns: dict[str, pl.DataType] = {}
    for name, dtype in there.items():
        if name in steps.dropped:
            continue
        new = steps.renamed.get(name, name)
        wanted = steps.widened.get(new, dtype)
        if (held := columns.get(new, wanted)) != wanted:
            raise SchemaRefused(
                f"{table.name}: {steps.line}: {name} is {type_name(dtype)} and {new} is {type_name(held)}",
                "Nothing was changed. Declare one type for both in types=",
            )
        columns[new] = wanted
    return pl.Schema(columns)


def _moved(there: pl.Schema, schema: pl.Schema, steps: Steps) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """The new columns from the old, and counts of rows in which two that become one differ."""
    expressions, lost = [], []
    for new, dtype in schema.items():
        olds = [old for old in there if old not in steps.dropped and steps.renamed.get(old, old) == new]
        made = {old: exactly(pl.col(old), there[old], dtype) if there[old] != dtype else (pl.col(old), pl.lit(True)) for old in olds}
        expressions.append(pl.coalesce([value for value, _ in made.values()]).alias(new))
        inexact = pl.any_horizontal([pl.col(old).is_not_null() & ~exact.fill_null(False) for old, (_, exact) in made.items()])
        present = pl.sum_horizontal([pl.col(old).is_not_null().cast(pl.Int32) for old in olds])
        if len(olds) > 1 or there[olds[0]] != dtype:
            lost.append((inexact | (present > 1)).sum().alias(new))
    return expressions, lost


def _names(declared: dict[str, str], steps: Steps) -> dict[str, str]:
    return {steps.renamed.get(column, column): was for column, was in declared.items() if column not in steps.dropped}
