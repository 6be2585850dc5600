"""SQL over lazy frames by DuckDB, each under its full name: a layer is a database, a subject a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from lake.errors import SettingsError
from lake.version import installing

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def sql_over(frames: Mapping[str, pl.LazyFrame]) -> DuckDBPyConnection:
    """A connection in memory with a view for each of `frames`, named `layer.subject.table`. Raises SettingsError without DuckDB.

    Nothing is read until a query asks, and then rows that its conditions exclude are left out while reading. No extension is fetched.
    """
    try:
        import duckdb
    except ImportError:
        raise SettingsError("DuckDB is not installed", f"Install the extra `notebooks`: {installing('notebooks')}") from None
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")  # an instant in a condition then has the type that the tables' have, wherever this runs
    for layer in dict.fromkeys(name.split(".")[0] for name in frames):
        connection.execute(f"ATTACH ':memory:' AS {layer}")
    for subject in dict.fromkeys(name.rpartition(".")[0] for name in frames):
        connection.execute(f"CREATE SCHEMA {_quoted(subject)}")
    for name, frame in frames.items():
        connection.register(name, frame)
        connection.execute(f'CREATE VIEW {_quoted(name)} AS FROM "{name}"')
    return connection


def _quoted(name: str) -> str:
    """A name of several parts with each part quoted, so that no part is taken for a word of SQL."""
    return ".".join(f'"{part}"' for part in name.split("."))
