"""What hangs from a table is found from marks that are never missing, at a cost that follows what is found and not what the lake has."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.catalog import Catalog
from lake.consumers import below, consumers, mark
from lake.descent import Descent, column_rows
from lake.errors import LakeError
from lake.lineage import downstream, edges
from lake.log import TableLog
from lake.run import Run
from tests.conftest import Built
from tests.tiny import bring, orders, totals, write_orders

ORDER = (1, "ann", "2.50", "2026-01-01")


def test_every_commit_s_inputs_were_marked_before_it(flights_lake: Built) -> None:
    """What all logs together say is what the marks say, and nothing more where no code changed."""
    catalog = Catalog(flights_lake.run.store)
    wanted = {(source, table) for source, table in edges(catalog) if not source.startswith("raw/")}
    names = {name for pair in wanted for name in pair}
    assert {(name, reader) for name in names for reader in consumers(catalog.store, name)} == wanted


def test_what_hangs_from_a_table_is_what_all_logs_together_say(flights_lake: Built) -> None:
    """For every table: the closure of who reads whom, with the marks and without."""
    catalog = Catalog(flights_lake.run.store)
    pairs = edges(catalog)
    for name in catalog.names():
        reached, before = {name}, 0
        while len(reached) > before:
            before = len(reached)
            reached |= {to for source, to in pairs if source in reached}
        assert set(Descent(catalog).below(name)) == reached
        assert {row["name"] for row in downstream(catalog, name).rows("downstream")} == reached


def test_asking_what_a_column_reaches_costs_what_it_reaches(run: Run, tmp_path: Path) -> None:
    """Tables that have nothing to do with it are not opened: the same requests with fifty more of them."""
    write_orders(tmp_path / "in", "1.csv", [ORDER])
    bring(run, tmp_path / "in")

    def requests() -> int:
        before = sum(run.store.requests.values())
        assert {row["table"] for row in column_rows(Catalog(run.store), orders.name, "amount", "downstream")} == {orders.name, totals.name}
        return sum(run.store.requests.values()) - before

    few = requests()
    for number in range(50):
        run.store.put(f"silver/other/t{number}/_delta_log/{0:020d}.json", b"{}")
    assert requests() == few
    assert few < 20


def test_a_mark_whose_commit_never_came_is_no_consumer(run: Run, tmp_path: Path) -> None:
    """Marked and killed before the commit, or reading it no more: the log decides."""
    write_orders(tmp_path / "in", "1.csv", [ORDER])
    bring(run, tmp_path / "in")
    mark(run.store, "gold.shop.never", [orders.name])
    mark(run.store, orders.name, [totals.name])
    catalog = Catalog(run.store)
    assert Descent(catalog).below(orders.name) == [orders.name, totals.name]
    assert [row["name"] for row in downstream(catalog, totals.name).rows("downstream")] == [totals.name]


def test_a_commit_is_never_there_without_its_marks(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of each commit, whatever it read is marked already."""
    commit, seen = TableLog.commit, []

    def looked(log: TableLog, version: int, actions: list, record: object) -> int:  # type: ignore[type-arg]
        reads = [each.table for each in record.inputs if "/" not in each.table] if record.kind == "hop" else []  # type: ignore[attr-defined]
        seen.extend((each, record.table) for each in reads if record.table in consumers(run.store, each))  # type: ignore[attr-defined]
        return commit(log, version, actions, record)  # type: ignore[arg-type]

    monkeypatch.setattr(TableLog, "commit", looked)
    write_orders(tmp_path / "in", "1.csv", [ORDER])
    bring(run, tmp_path / "in")
    assert seen == [("bronze.shop.orders", orders.name), (orders.name, totals.name)]


def test_circles_end(run: Run) -> None:
    """Tables that read each other, as none should, are each looked at once."""
    reads = {"a": ["b"], "b": ["a"], "c": ["b"]}
    for name, given in reads.items():
        mark(run.store, name, given)
    assert list(below(run.store, "a", reads.get, lambda read: read)) == ["a", "b", "c"]


def test_an_unknown_table_is_said_to_be_one(run: Run) -> None:
    """No table, no tree."""
    with pytest.raises(LakeError, match=r"gold\.shop\.nothing"):
        downstream(Catalog(run.store), "gold.shop.nothing")
