"""Delta tables as files and frames: what a version consists of, how it is scanned, and the actions that make the next one."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lake.dtypes import delta_field, polars_type
from lake.errors import NotFound, StoreError
from lake.log import CHECKPOINT_EVERY, Action, TableLog
from lake.meter import carried
from lake.state import State, bounds_in, schema_in, state_of
from lake.store import Store
from lake.vectors import Vector
from lake.wording import in_words

if TYPE_CHECKING:
    from polars._typing import DeletionFiles

_MOST_BROUGHT = 200  # files
_NEAR, _FAR = 512 << 20, 64 << 20  # bytes that are copied of files of which a part may do: from a store on this machine, and from another
_AT_ONCE = 4  # files
_COMPARED = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.String, pl.Date)  # types whose bounds the log spells without rounding (texts rounded outwards)


@dataclass(frozen=True)
class DataFile:
    """One data file of a table: its path relative to the table, its size in bytes, its rows, its statistics as the log keeps them.

    With a `vector`, some of what it holds is not part of the table: `rows` does not count that, while the statistics do.
    """

    path: str
    size: int
    rows: int
    stats: str
    vector: Vector | None = None

    @property
    def held(self) -> int:
        """The rows in the file, those left out among them."""
        return self.rows + (self.vector.rows if self.vector is not None else 0)

    def without(self, positions: Iterable[int]) -> DataFile:
        """The same file without the rows at these positions in it, from 0."""
        vector = Vector.of(positions, self.vector)
        loose = self.stats if self.vector is not None else f'{self.stats.removesuffix("}")},"tightBounds":false}}'
        return replace(self, rows=self.held - vector.rows, stats=loose, vector=vector)

    def added(self, *, moves: bool = True) -> Action:
        """The action that adds it. `moves` says whether rows come with it, or only lie elsewhere from now on."""
        return {
            "add": {
                "path": quote(self.path), "partitionValues": {}, "size": self.size, "modificationTime": _now(), "dataChange": moves, "stats": self.stats,
                **self._left_out(),
            }
        }  # fmt: skip

    def removed(self, *, moves: bool = True) -> Action:
        """The action that takes it out of the newest version; older versions keep it."""
        return {
            "remove": {
                "path": quote(self.path), "deletionTimestamp": _now(), "dataChange": moves,
                "extendedFileMetadata": True, "partitionValues": {}, "size": self.size, **self._left_out(),
            }
        }  # fmt: skip

    def _left_out(self) -> dict[str, Any]:
        return {"deletionVector": self.vector.descriptor} if self.vector is not None else {}


@dataclass(frozen=True)
class Snapshot:
    """One version of one table: its schema, its data files, and a way to scan it. Never changes."""

    store: Store
    path: str
    version: int
    schema: pl.Schema
    metadata: dict[str, dict[str, Any]]
    files: tuple[DataFile, ...]
    state: State | None = field(default=None, compare=False, repr=False)
    told: pl.DataFrame | None = field(default=None, compare=False, repr=False)

    @cached_property
    def bounds(self) -> pl.DataFrame:
        """What the log says of the values in each file: columns path, min.*, max.*, null_count.*."""
        if self.told is not None:
            return self.told
        told = bounds_in([file.stats for file in self.files], self.schema)
        return told.insert_column(0, pl.Series("path", [file.path for file in self.files], dtype=pl.String)) if told.width else told

    @property
    def takes_vectors(self) -> bool:
        """Whether its protocol says that files may have deletion vectors."""
        return self.state is not None and self.state.vectors

    @property
    def rows(self) -> int:
        """Rows in this version, from the log."""
        return sum(file.rows for file in self.files)

    def scan(self, files: tuple[DataFile, ...] | None = None) -> pl.LazyFrame:
        """All rows of this version, or those in `files` of it, lazily; columns that older files lack are null."""
        return scan_files(self.store, self.path, self.schema, self.files if files is None else files)

    def overlapping(self, wanted: dict[str, tuple[Any, Any]]) -> tuple[DataFile, ...]:
        """The files that may hold rows with each column between its two bounds, by the statistics in the log."""
        may = pl.lit(True)
        for column, (low, high) in wanted.items():
            least, greatest = f"min.{column}", f"max.{column}"
            if low is None or self.schema.get(column) not in _COMPARED or not {least, greatest} <= set(self.bounds.columns):
                continue
            inside = (pl.col(least) <= pl.lit(high)) & (pl.col(greatest) >= pl.lit(low))
            may &= inside.fill_null(True)
        keep = set(self.bounds.filter(may)["path"]) if self.bounds.width else None
        return self.files if keep is None else tuple(file for file in self.files if file.path in keep)

    def holding(self, wanted: dict[str, pl.Series]) -> tuple[DataFile, ...]:
        """The files that may hold rows with one of the values of each column (nulls are none of them), by the statistics in the log."""
        keep = {file.path for file in self.files}
        for column, values in wanted.items():
            least, greatest = f"min.{column}", f"max.{column}"
            if self.schema.get(column) not in _COMPARED or not {least, greatest} <= set(self.bounds.columns):
                continue
            told = self.bounds.drop_nulls([least, greatest])
            known = values.cast(told.schema[least]).drop_nulls().unique().sort()
            none = known.search_sorted(told[least], side="left") == known.search_sorted(told[greatest], side="right")
            keep -= set(told["path"].filter(none))
        return tuple(file for file in self.files if file.path in keep)


def scan_files(store: Store, path: str, schema: pl.Schema, files: tuple[DataFile, ...], *, place: str | None = None) -> pl.LazyFrame:
    """The rows of some data files of the table at `path`, lazily, in the shape of `schema`; `place` adds a column with each row's file URI.

    Files of which the run has copies are read from local disk, if it has one of each. Rows that a file's deletion vector names are left out.
    """
    if not files:
        return pl.LazyFrame(schema=schema if place is None else {**schema, place: pl.String()})
    paths = [f"{path}/{file.path}" for file in files]
    copies = [str(store.held.get(each) or "") if store.held is not None else "" for each in paths]
    if not all(copies):
        return pl.scan_parquet(
            [store.uri(each) for each in paths], schema=schema, missing_columns="insert", glob=False, include_file_paths=place,
            storage_options=store.scanning, credential_provider=None, _deletion_files=_left_out([store.uri(each) for each in paths], files),
        )  # fmt: skip
    if place is None:
        return pl.scan_parquet(copies, schema=schema, missing_columns="insert", glob=False, _deletion_files=_left_out(copies, files))
    placed = [
        pl.scan_parquet(copy, schema=schema, missing_columns="insert", glob=False, _deletion_files=_left_out([copy], (file,))).with_columns(
            pl.lit(store.uri(each)).alias(place)
        )
        for each, copy, file in zip(paths, copies, files, strict=True)
    ]
    return pl.concat(placed)


def scan_held(store: Store, path: str, file: DataFile, position: str) -> pl.LazyFrame:
    """Every row that a data file of the table at `path` holds, those left out among them, lazily, with its `position` in the file, from 0."""
    copy = store.held.get(f"{path}/{file.path}") if store.held is not None else None
    if copy is not None:
        return pl.scan_parquet(copy, glob=False, row_index_name=position)
    uri = store.uri(f"{path}/{file.path}")
    return pl.scan_parquet(uri, glob=False, row_index_name=position, storage_options=store.scanning, credential_provider=None)


def _left_out(names: list[str], files: tuple[DataFile, ...]) -> DeletionFiles | None:
    """What Polars asks, by their names, when it reads the files: a Boolean of each of the rows they hold. None where all rows count.

    This is how Polars' own `scan_delta` hands it over, which cannot be told which files of a table to read.
    """
    if all(file.vector is None for file in files):
        return None
    known = dict(zip(names, files, strict=True))

    def kept(asked: pl.DataFrame) -> pl.DataFrame:
        of = [known[name] for name in asked["path"]]
        none = pl.Series([None], dtype=pl.List(pl.Boolean))
        masks = [file.vector.kept(file.held).implode() if file.vector is not None else none for file in of]
        return pl.concat(masks).to_frame("selection_vector")

    return "delta-deletion-vector", kept


def bring(store: Store, path: str, files: tuple[DataFile, ...], *, whole: bool = True) -> None:
    """Copy data files of the table at `path` to local disk, a few at once, for a run that will read them whole and more than once. What has no room stays.

    Of files that may be read in part (`whole` is False) only so much: one request a file costs less than several a column and row group, and bytes from afar cost too.
    """
    if not whole and sum(file.size for file in files) > (_NEAR if store.embedded else _FAR):
        return
    wanted = [file for file in files if store.held is not None and store.held.get(f"{path}/{file.path}") is None]
    if store.held is None or not wanted or len(wanted) > _MOST_BROUGHT or not store.held.has_room(sum(file.size for file in wanted)):
        return
    held = store.held

    def fetch(file: DataFile) -> None:
        held.fill(f"{path}/{file.path}", lambda: store.stream(f"{path}/{file.path}"))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(carried(fetch), wanted))


def forget(store: Store, path: str, files: tuple[DataFile, ...]) -> None:
    """Drop the run's copies of data files of the table at `path` that are no longer part of it."""
    if store.held is not None:
        for file in files:
            store.held.drop(f"{path}/{file.path}")


_DAMAGED = "Bring the objects of its log back from a backup or from versions that the store kept; an earlier release can be opened meanwhile"


def open_snapshot(store: Store, path: str, version: int, *, log: TableLog | None = None, since: Snapshot | None = None) -> Snapshot:
    """The table at `path` as of `version`, by its `log` if that is open already, from the snapshot of an earlier version if one is at hand. Raises NotFound if there is none."""
    try:
        known = (since.version, since.state) if since is not None and since.state is not None else None
        state = state_of(store, log or TableLog(store, path), version, known)
    except NotFound:
        if not _is_committed(store, path, version):
            raise NotFound(
                f"there is no table at {store.uri(path)} version {version}", "`lake ls` shows the tables there are, and `lake history` their versions"
            ) from None
        state = None
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise StoreError(f"cannot open {store.uri(path)} version {version}: its log is damaged: {in_words(error)}", _DAMAGED) from None
    if state is None:
        return _opened_by_delta(store, path, version)
    fields = schema_in(state.schema)
    schema = pl.Schema({field["name"]: polars_type(field["type"]) for field in fields})
    return Snapshot(store, path, version, schema, {field["name"]: field["metadata"] for field in fields}, tuple(map(file_of, state.added.values())), state)


def _is_committed(store: Store, path: str, version: int) -> bool:
    """Whether the log has this version, as a commit or in a checkpoint."""
    name = f"{path}/_delta_log/{version:020d}"
    return any(store.head(f"{name}.{ending}") is not None for ending in ("json", "checkpoint.parquet"))


def _opened_by_delta(store: Store, path: str, version: int) -> Snapshot:
    """The same by delta-rs, which knows all of the protocol; and which says what is wrong with a log that cannot be read."""
    try:
        table = DeltaTable(store.uri(path), version=version, storage_options=store.opening)
    except (TableNotFoundError, FileNotFoundError):
        raise NotFound(
            f"there is no table at {store.uri(path)} version {version}", "`lake ls` shows the tables there are, and `lake history` their versions"
        ) from None
    except (DeltaError, OSError) as error:
        raise StoreError(f"cannot open {store.uri(path)} version {version}: {in_words(error)}", _DAMAGED) from None
    if "deletionVectors" in (table.protocol().reader_features or ()) and len(pl.DataFrame(table.deletion_vectors())):
        raise StoreError(
            f"cannot read {store.uri(path)} version {version}: its rows are left out in a way that only whoever wrote it knows",
            "Have its writer purge deletion vectors (REORG TABLE … APPLY (PURGE))",
        )
    fields = json.loads(table.schema().to_json())["fields"]
    schema = pl.Schema({field["name"]: polars_type(field["type"]) for field in fields})
    actions = pl.DataFrame(table.get_add_actions(flatten=True)).sort("modification_time", "path")  # as they were written
    files = tuple(
        DataFile(row["path"], row["size_bytes"], row["num_records"] or 0, json.dumps({"numRecords": row["num_records"]}))
        for row in actions.select("path", "size_bytes", "num_records").iter_rows(named=True)
    )
    bounds = actions.select(pl.col("path"), pl.col("^(min|max|null_count)\\..*$"))
    return Snapshot(store, path, version, schema, {field["name"]: field["metadata"] for field in fields}, files, told=bounds)


def file_of(add: dict[str, Any]) -> DataFile:
    """The data file an add action of the log names."""
    stats = add.get("stats") or ""
    vector = Vector.told(add["deletionVector"]) if add.get("deletionVector") else None
    rows = json.loads(stats or "{}").get("numRecords", 0) - (vector.rows if vector is not None else 0)
    return DataFile(_unquote(add["path"]), add["size"], rows, stats, vector)


def schema_of(document: dict[str, Any]) -> tuple[pl.Schema, dict[str, dict[str, Any]]]:
    """The Polars schema that a schema document describes, and what it says of each column beside the type."""
    columns = document["columns"]
    return pl.Schema({column["name"]: polars_type(column["type"]) for column in columns}), {c["name"]: dict(c.get("metadata", {})) for c in columns}


def creation(
    name: str, description: str, schema: pl.Schema, metadata: dict[str, dict[str, Any]], *, table_id: str | None = None, vectors: bool = False
) -> list[Action]:
    """The actions that create the table or (with its `table_id`) give it a new schema, or let its files have deletion `vectors`.

    Writer version 4 for the change data feed; tables with zone-less timestamps or deletion vectors need the named features for them. Nothing that
    delta-rs, Polars, DuckDB or Spark cannot read.
    """
    fields = [delta_field(column, dtype, metadata.get(column)) for column, dtype in schema.items()]
    spelled = json.dumps({"type": "struct", "fields": fields})
    features = [*(["timestampNtz"] if '"timestamp_ntz"' in spelled else []), *(["deletionVectors"] if vectors else [])]
    protocol: Action = {"minReaderVersion": 1, "minWriterVersion": 4}
    if features:
        of_four = ["appendOnly", "invariants", "checkConstraints", "generatedColumns", "changeDataFeed"]
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": [*of_four, *features]}
    configuration = {"delta.enableChangeDataFeed": "true"} | ({"delta.enableDeletionVectors": "true"} if vectors else {})
    meta = {
        "id": table_id or str(uuid.uuid4()), "name": name, "description": description, "format": {"provider": "parquet", "options": {}},
        "schemaString": spelled, "partitionColumns": [], "configuration": configuration, "createdTime": _now(),
    }  # fmt: skip
    return [{"protocol": protocol}, {"metaData": meta}]


def table_id(log: TableLog) -> str | None:
    """The id in the table's metadata, from its first commit if that is still in the log."""
    try:
        return next((action["metaData"]["id"] for action in log.commit_at(0) if "metaData" in action), None)
    except NotFound:
        return None


def checkpoint_if_due(store: Store, path: str, version: int) -> None:
    """Every 20 versions, sum the log up so that opening the table stays a fixed number of requests. A failure costs speed only."""
    if version and version % CHECKPOINT_EVERY == 0:
        try:
            DeltaTable(store.uri(path), version=version, storage_options=store.opening).create_checkpoint()
        except (DeltaError, OSError):
            return


def _unquote(path: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), path)


def _now() -> int:
    return int(time.time() * 1000)
