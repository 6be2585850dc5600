"""What a table consists of at a version, put together from its log: a checkpoint if there is one, and the commits after it, each read once.

lake writes the logs it reads, and reads what others write to them as far as it knows the protocol: anything it does not know is left to delta-rs.
Reading a log costs a request for the checkpoint, one for where it is, and one a commit after it; from a version that is known already, one a commit.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake.errors import NotFound
from lake.log import Action, TableLog
from lake.meter import carried
from lake.store import Store

_AT_ONCE = 8
_VECTORS = "deletionVectors"
_KNOWN_FEATURES = {"timestampNtz", _VECTORS}


@dataclass(frozen=True)
class State:
    """The schema as the log spells it, and the actions that added the files there are, in the order written, by path.

    `vectors` says whether the protocol lets files have deletion vectors.
    """

    schema: str
    added: dict[str, Action]
    vectors: bool = False


def state_of(store: Store, log: TableLog, version: int, since: tuple[int, State] | None = None) -> State | None:
    """The table at `version`, from what is known of it at an earlier one if `since` says so; None where its log has what lake does not know.

    Raises NotFound where there is no such version, or its log was cleaned up.
    """
    if since is None:
        at = log.checkpoint(version)
        state = _checkpoint(store, log, at) if at >= 0 else State("", {})
        if state is None:
            return None
    else:
        at, state = since
    return _after(state, _commits(log, at + 1, version))


def _commits(log: TableLog, first: int, last: int) -> list[list[Action]]:
    """The actions of each of these commits."""
    if last - first < 2:  # noqa: PLR2004  # a thread would cost more
        return [log.commit_at(version) for version in range(first, last + 1)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(carried(log.commit_at), range(first, last + 1)))


def _checkpoint(store: Store, log: TableLog, version: int) -> State | None:
    try:
        data = store.get(f"{log.path}/_delta_log/{version:020d}.checkpoint.parquet")
    except NotFound:  # in parts, or of another kind
        return None
    frame = pl.read_parquet(io.BytesIO(data), columns=["add", "metaData", "protocol"])
    protocols = frame["protocol"].drop_nulls().to_list()
    told = frame["metaData"].drop_nulls().to_list()
    if len(protocols) != 1 or len(told) != 1 or not _is_known(protocols[0]) or not _is_plain(told[0]):
        return None
    wanted: list[str] = [name for name in ("path", "size", "modificationTime", "stats", "deletionVector") if name in frame["add"].struct.fields]
    if "stats" not in wanted:
        return None
    adds = frame.select(pl.col("add").struct.field(wanted)).filter(pl.col("path").is_not_null()).sort("modificationTime", "path")
    added = {add["path"]: _as_in_commits(add) for add in adds.iter_rows(named=True)}
    if any(_is_elsewhere(add) for add in added.values()):
        return None
    return State(told[0]["schemaString"], added, _VECTORS in (protocols[0].get("readerFeatures") or ()))


def _after(state: State, commits: Iterable[list[Action]]) -> State | None:
    """The state after these commits."""
    schema, added, vectors = state.schema, dict(state.added), state.vectors
    for actions in commits:
        fresh = []
        for action in actions:
            if "protocol" in action:
                if not _is_known(action["protocol"]):
                    return None
                vectors = _VECTORS in (action["protocol"].get("readerFeatures") or ())
            elif "metaData" in action:
                if not _is_plain(action["metaData"]):
                    return None
                schema = action["metaData"]["schemaString"]
            elif "remove" in action:
                added.pop(action["remove"]["path"], None)
            elif "add" in action:
                if _is_elsewhere(action["add"]):
                    return None
                fresh.append(action["add"])
        for add in sorted(fresh, key=lambda add: (add.get("modificationTime", 0), add["path"])):
            added.pop(add["path"], None)
            added[add["path"]] = add
    return State(schema, added, vectors) if schema else None


def _as_in_commits(add: Action) -> Action:
    """An add action of a checkpoint, where no deletion vector may be one of nulls."""
    vector = add.get("deletionVector")
    return add if vector is not None and vector["storageType"] is not None else {name: value for name, value in add.items() if name != "deletionVector"}


def _is_elsewhere(add: Action) -> bool:
    """Whether the file has a deletion vector that is not in the log itself."""
    vector = add.get("deletionVector")
    return vector is not None and vector["storageType"] != "i"


def _is_known(protocol: dict[str, Any]) -> bool:
    features = protocol.get("readerFeatures")
    return int(protocol.get("minReaderVersion") or 1) == 1 or (features is not None and set(features) <= _KNOWN_FEATURES)


def _is_plain(told: dict[str, Any]) -> bool:
    """Whether the table has no partitions, and calls its columns in files by their names."""
    configuration = dict(told.get("configuration") or {})
    return not told.get("partitionColumns") and configuration.get("delta.columnMapping.mode", "none") == "none"


def bounds_in(stats: list[str], schema: pl.Schema) -> pl.DataFrame:
    """Statistics of files as the log keeps them, a row a file: columns min.*, max.* and null_count.* of each column of `schema` that can have them.

    A frame without columns where they are spelled in a way that lake does not know.
    """
    simple = {name: kind for name, dtype in schema.items() if (kind := _spelled_as(dtype)) is not None}
    if not simple:
        return pl.DataFrame()
    ends = pl.Struct(simple)
    shape = pl.Struct({"minValues": ends, "maxValues": ends, "nullCount": pl.Struct(dict.fromkeys(simple, pl.Int64))})
    try:
        told = pl.Series("", [text or "{}" for text in stats], dtype=pl.String).str.json_decode(shape).struct.unnest()
        columns = [
            _value(pl.col(kind).struct.field(name), schema[name]).alias(f"{short}.{name}")
            for kind, short in (("minValues", "min"), ("maxValues", "max")) for name in simple
        ]  # fmt: skip
        return told.select(*columns, *(pl.col("nullCount").struct.field(name).alias(f"null_count.{name}") for name in simple))
    except pl.exceptions.PolarsError:
        return pl.DataFrame()


def _spelled_as(dtype: pl.DataType) -> type[pl.DataType] | None:
    """What JSON makes of a bound of a column; None for columns that have none."""
    if dtype.is_integer():
        return pl.Int64
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        return pl.Float64
    if dtype == pl.Boolean:
        return pl.Boolean
    return pl.String if dtype in (pl.String, pl.Date) or isinstance(dtype, pl.Datetime) else None


def _value(told: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Date:
        return told.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if isinstance(dtype, pl.Datetime):
        at = told.str.strip_suffix("Z").str.replace(" ", "T", literal=True).str.strptime(pl.Datetime("us"), "%Y-%m-%dT%H:%M:%S%.f", strict=False)
        return at.dt.replace_time_zone("UTC") if dtype.time_zone else at
    return told


def schema_in(text: str) -> list[dict[str, Any]]:
    """The fields of a schema as the log spells it: name, type, nullable, metadata."""
    fields: list[dict[str, Any]] = json.loads(text)["fields"]
    return fields
