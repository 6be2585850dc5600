"""Upcasting: rows of an older schema version in the shape of a newer one, as far as the two documents and the table's functions say how."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import polars as pl

from lake.delta import schema_of
from lake.errors import SchemaRefused
from lake.fit import wider
from lake.table import Upcast


def upcast(frame: pl.LazyFrame, older: list[dict[str, Any]], functions: Mapping[str, Upcast]) -> pl.LazyFrame:
    """The rows of `frame` in the shape of the last of the documents `older`, which go from the frame's own version to the one wanted.

    Columns are renamed where a document says what they were called, widened where the types say that nothing is lost, dropped where they
    are gone, and added as null where that is allowed. Any other is added by its function in `functions`, which gets the rows as they were.
    Raises SchemaRefused where there is none.
    """
    for was, now in itertools.pairwise(older):
        frame = _one(frame, was, now, functions)
    return frame


def _one(frame: pl.LazyFrame, was: dict[str, Any], now: dict[str, Any], functions: Mapping[str, Upcast]) -> pl.LazyFrame:
    old, new = schema_of(was)[0], schema_of(now)[0]
    columns = []
    for column in now["columns"]:
        name = column["name"]
        source = next((former for former in column.get("former", ()) if former in old and former not in new), name)
        if source in old and _holds(old[source], new[name]):
            columns.append(pl.col(source).cast(new[name]).alias(name))
        elif name in functions:
            frame = functions[name](frame)
            if name not in frame.collect_schema():
                raise SchemaRefused(f"{now['table']}: the upcast of {name} adds no column {name}", "Add it in the function, with with_columns")
            columns.append(pl.col(name).cast(new[name]))
        elif source not in old and column["nullable"]:
            columns.append(pl.lit(None, dtype=new[name]).alias(name))
        else:
            had = f"{source} was {old[source]} in schema" if source in old else f"there is no {name} in schema"
            wants = new[name] if source in old else "never null"
            raise SchemaRefused(
                f"{now['table']}: {had} {was.get('version', '')}, and it is {wants} in schema {now.get('version', '')}",
                f"Say how it is found: Table(…, upcasts={{{name!r}: function}})",
            )
    return frame.select(columns)


def _holds(given: pl.DataType, wanted: pl.DataType) -> bool:
    return wanted == pl.String or wider(given, wanted) == wanted
