"""Law 1: the commit is the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lake.catalog import Catalog
from lake.delta import open_snapshot
from lake.errors import CommitConflict
from lake.lineage import downstream, edges, upstream
from lake.log import TableLog
from lake.record import read_record
from lake.run import Run
from lake.store import Store
from lake.table import path_of
from tests.conftest import Built
from tests.tiny import bring, clean_orders, orders, write_orders

_ROWS = [(1, "ann", "1.50", "2024-01-01"), (2, "test", "2.00", "2024-01-01")]


def test_every_commit_of_every_table_carries_its_record(flights_lake: Built) -> None:
    """Each Delta commit, read by delta-rs and not by us, holds one record: run, code, inputs, schema, ledger, rules, content."""
    store = flights_lake.run.store
    for name in Catalog(store).names():
        table = DeltaTable(store.uri(path_of(name)), storage_options=store.options)
        history = table.history()
        assert [commit["version"] for commit in history] == list(range(table.version(), -1, -1))
        for commit in history:
            record = read_record(commit)
            assert record is not None
            assert record.table == name
            assert record.run.id == flights_lake.run.info.id
            assert record.code is not None
            assert record.code.fingerprint
            assert record.inputs
            assert record.schema_document is not None
            assert record.content is not None
            record.ledger.check(name)


def test_what_the_record_says_is_what_the_table_holds(flights_lake: Built) -> None:
    """Rows, bytes, files and content in the last record are those of the data."""
    from lake.content import content_sums, read_sums

    store = flights_lake.run.store
    for name in Catalog(store).names():
        log = TableLog(store, path_of(name))
        version, record = log.last_record() or pytest.fail(f"{name} has no record")
        snapshot = open_snapshot(store, path_of(name), version)
        assert (record.rows, record.data_files) == (snapshot.rows, len(snapshot.files))
        assert record.bytes == sum(file.size for file in snapshot.files)
        columns = [column for column in snapshot.schema if column != "_rescued"]
        again = read_sums(snapshot.scan().select(content_sums(columns)).collect().row(0, named=True))
        assert record.content is not None
        assert record.content.value == again.to_hash().value


def test_the_lake_explains_itself_from_commits_alone(run: Run, tmp_path: Path) -> None:
    """With everything under system/ gone but the landings' own log, each listing answers as before."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    write_orders(tmp_path, "b.csv", [(1, "ann", "2.50", "2024-01-01")])
    bring(run, tmp_path)
    before = _answers(Catalog(run.store))
    for folder in ("system/schemas", "system/releases"):
        run.store.delete([blob.path for blob in run.store.walk(folder)])
    assert not list(run.store.walk("system/schemas"))
    assert _answers(Catalog(run.store)) == before


def test_a_run_goes_on_after_the_registry_is_lost(run: Run, tmp_path: Path) -> None:
    """Schema versions are found again in the commits, so their numbers go on where they were."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    run.store.delete([blob.path for blob in run.store.walk("system/schemas")])
    write_orders(tmp_path, "b.csv", [(3, "ann", "2.50", "2024-01-01")])
    bring(run, tmp_path)
    assert {row["schema_version"] for row in Catalog(run.store).tables()} == {1}


def _answers(catalog: Catalog) -> str:
    names = catalog.names()
    said: list[Any] = [names, edges(catalog)]
    for name in names:
        said += [catalog.history(name), catalog.schema_versions(name), catalog.rejects(name).collect().to_dicts()]
        said += [list(upstream(catalog, name).rows("up")), list(downstream(catalog, name).rows("down"))]
    said += [{key: value for key, value in row.items() if key != "fresh"} for row in catalog.tables()]
    return json.dumps(said, default=str)


def test_a_commit_lands_at_the_planned_version_or_not_at_all(run: Run, tmp_path: Path) -> None:
    """Committing against a version that somebody else took raises CommitConflict and adds nothing."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    log = TableLog(run.store, path_of(orders.name))
    (_, record) = log.last_record() or pytest.fail("no record")
    with pytest.raises(CommitConflict, match="version 0"):
        log.commit(0, [], record.model_copy(update={"batch": "another"}))
    assert TableLog(run.store, path_of(orders.name)).version() == 0


class _DeafStore(Store):
    """A store whose answer to a conditional put gets lost after the object was written."""

    deaf = False

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write, and say that it was there already: what a retry after a lost answer sees."""
        written = super().put_if_absent(path, data)
        return False if self.deaf and "_delta_log" in path else written


def test_a_lost_acknowledgement_is_resolved_by_reading_the_log(run: Run, tmp_path: Path) -> None:
    """The commit arrived and its answer did not: the run finds its own commit in the log, and the rows are there once."""
    store = _DeafStore(run.store.bucket, run.store.prefix, run.store.options)
    deaf = Run(run.settings, store, run.info)
    write_orders(tmp_path, "a.csv", _ROWS)
    store.deaf = True
    _, outcomes = bring(deaf, tmp_path, clean_orders)
    assert [(outcome.table, outcome.version, outcome.rows, outcome.changed) for outcome in outcomes] == [
        ("bronze.shop.orders", 0, 2, True),
        ("silver.shop.orders", 0, 1, True),
    ], "the run knows the commit for its own"
    assert TableLog(run.store, path_of(orders.name)).version() == 0
