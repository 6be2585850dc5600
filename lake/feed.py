"""The change feed: which rows a range of versions put into a table and took out of it. Reads those commits and their files alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from lake.delta import DataFile, file_of, scan_files
from lake.log import Action, TableLog, moves_rows, takes_out_rows
from lake.store import Store

_KIND, _VERSION = "_change_type", "#version"


@dataclass(frozen=True)
class Feed:
    """The changes of one table after a version up to another.

    `added` holds files of rows put in, by version, where a commit only added; `changed` files of change rows where it also took out.
    `whole` says why the range cannot be told row by row, in which case the two are of no use.
    """

    store: Store
    path: str
    schema: pl.Schema
    added: tuple[tuple[int, DataFile], ...]
    changed: tuple[tuple[int, DataFile], ...]
    rows: int
    whole: str | None = None

    @cached_property
    def grows_only(self) -> bool:
        """Whether no row of the table was changed or taken out."""
        return not self.changed

    def fresh(self, key: list[str]) -> pl.LazyFrame:
        """Each row that came in, as it is at the end of the range; a row that was changed twice appears once."""
        if self.grows_only:
            return scan_files(self.store, self.path, self.schema, tuple(file for _, file in self.added))
        everything = self._all()
        last = everything.group_by(key).agg(pl.col(_VERSION).max())
        kept = everything.filter(pl.col(_KIND).is_in(["insert", "update_postimage"])).join(last, on=[*key, _VERSION], how="semi")
        return kept.select(list(self.schema))

    def touched(self, columns: list[str]) -> pl.LazyFrame:
        """`columns` of every row that came in, went out or was another before; values may repeat."""
        return self._all().select(columns)

    def _all(self) -> pl.LazyFrame:
        parts = [self._scan(version, file, self.schema).with_columns(pl.lit("insert").alias(_KIND)) for version, file in self.added]
        parts += [self._scan(version, file, pl.Schema({**self.schema, _KIND: pl.String()})) for version, file in self.changed]
        return pl.concat(parts) if parts else pl.LazyFrame(schema={**self.schema, _VERSION: pl.Int64(), _KIND: pl.String()})

    def _scan(self, version: int, file: DataFile, schema: pl.Schema) -> pl.LazyFrame:
        frame = scan_files(self.store, self.path, schema, (file,)).with_columns(pl.lit(version, dtype=pl.Int64).alias(_VERSION))
        return frame.select(*self.schema, _VERSION, *([_KIND] if _KIND in schema else []))


def feed_between(store: Store, log: TableLog, schema: pl.Schema, start: int, end: int) -> Feed:
    """The feed of the versions after `start` up to `end`, in rows shaped like `schema`. Raises NotFound where the log no longer reaches back."""
    added: list[tuple[int, DataFile]] = []
    changed: list[tuple[int, DataFile]] = []
    rows = 0
    for version in range(start + 1, end + 1):
        actions = log.commit_at(version)
        said = log.record_at(version)
        if said is not None and said.kind == "migration" and (added or changed):
            return Feed(store, log.path, schema, (), (), 0, f"got other columns at version {version}")
        told = [action["cdc"] for action in actions if "cdc" in action]
        if told:
            changed += [(version, DataFile(cdc["path"], cdc["size"], 0, "")) for cdc in told]
            rows += said.ledger.inserted + said.ledger.updated + said.ledger.adjusted if said else 0
        elif takes_out_rows(actions):
            return Feed(store, log.path, schema, (), (), 0, f"was rewritten at version {version}")
        else:
            files = _added(actions)
            added += [(version, file) for file in files]
            rows += sum(file.rows for file in files)
    return Feed(store, log.path, schema, tuple(added), tuple(changed), rows)


def added_between(log: TableLog, start: int, end: int) -> tuple[DataFile, ...]:
    """The data files that versions after `start` up to `end` added with new rows. Reads those commits and nothing else."""
    return tuple(file for version in range(start + 1, end + 1) for file in _added(log.commit_at(version)))


def bounds_of(file: DataFile, column: str) -> tuple[object, object]:
    """The least and greatest value of `column` in the file as the log tells them; None where it does not."""
    stats = json.loads(file.stats or "{}")
    return stats.get("minValues", {}).get(column), stats.get("maxValues", {}).get(column)


def _added(actions: list[Action]) -> list[DataFile]:
    """The files that a commit added with new rows."""
    return [file_of(action["add"]) for action in actions if "add" in action and moves_rows(action)]
