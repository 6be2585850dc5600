"""Ways out of a stop: a corrected file, rows that are few, and rows that somebody accepts, on record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.errors import ContractBroken, DeclarationError, RejectLimitExceeded
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.limits import over_limit, stopped_rows
from lake.quarantine import open_rejects
from lake.run import Accepting, Run, begin_run
from lake.source import Source
from lake.table import Table
from tests.test_cli import Project, project  # noqa: F401  # a fixture
from tests.test_raising import AMOUNT, GOOD, declared, numbers, sales
from tests.tiny import Order, bring, bronze_orders, clean, last_record, rows_of, write_orders

SILVER = "silver.shop.orders"


def _row(number: int, customer: str = "ann") -> tuple[Any, ...]:
    return number, customer, "1.00", "2024-01-01"


def _hop(**said: Any) -> Hop:
    return hop(Table(SILVER, Order, **said), write="merge", raw=changes(bronze_orders))(clean)


def _orders(run: Run) -> list[int]:
    return sorted(row["order"] for row in rows_of(run, Table(SILVER, Order)))


def _accept(run: Run, table: str, **said: str) -> None:
    run.accepted[table] = Accepting(stopped_rows(run, table).collect(), **{"by": "mia", "why": "known since May"} | said)


def test_few_rows_are_bound_by_their_number(run: Run, tmp_path: Path) -> None:
    """1 of 2 new rows is bad, and a tenth may be: it is set aside, and the rest goes on."""
    write_orders(tmp_path, "a.csv", [_row(1), _row(2), _row(3)])
    bring(run, tmp_path, _hop())
    write_orders(tmp_path, "c.csv", [_row(4), _row(5, "test")])
    bring(run, tmp_path, _hop())
    assert (_orders(run), last_record(run, Table(SILVER, Order)).rejects) == ([1, 2, 3, 4], 1)


@pytest.mark.parametrize(
    ("said", "rejected", "judged", "limit"),
    [
        ({}, 10, 12, None), ({}, 11, 12, "10.0%, of fewer than 100 rows 10 rows"), ({}, 11, 99, "10.0%, of fewer than 100 rows 10 rows"), ({}, 11, 110, None),
        ({}, 12, 110, "10.0%"), ({"max_rejected": 0.29}, 29, 100, None), ({"max_rejected": 0.29}, 30, 100, "29.0%"), ({"max_rejected": 0.0}, 1, 5, "0.0%, of fewer than 100 rows 0 rows"),
        ({"max_rejected_from": 10}, 2, 5, "10.0%, of fewer than 10 rows 1 row"), ({"max_rejected_from": 10}, 1, 5, None), ({"max_rejected_rows": 1}, 2, 5, "1 row"),
    ],
)  # fmt: skip
def test_a_share_is_judged_from_a_number_of_rows_on(run: Run, said: dict[str, Any], rejected: int, judged: int, limit: str | None) -> None:
    """Of fewer it is taken of that number."""
    found = over_limit(run, Table(SILVER, Order, **said), rejected, judged)
    assert (found and found[0]) == limit


def test_from_how_many_rows_is_a_number_of_rows() -> None:
    """At least one."""
    with pytest.raises(DeclarationError, match="max_rejected_from is a number of rows, at least 1"):
        Table(SILVER, Order, max_rejected_from=0)


def test_a_corrected_file_lets_the_table_go_on(run: Run, tmp_path: Path) -> None:
    """Its earlier rows count neither as rejects nor as rows judged; a bad row of another file still does."""
    one = _hop(max_rejected_from=1)
    write_orders(tmp_path, "a.csv", [_row(1), _row(2), _row(3)])
    bring(run, tmp_path, one)
    write_orders(tmp_path, "c.csv", [_row(4), _row(5, "test")])
    with pytest.raises(
        RejectLimitExceeded, match=r"1 of 2 rows \(50\.0%\).*[Cc]orrect the file.*lake accept silver\.shop\.orders --stopped --why WHY.*raise max_rejected"
    ):
        bring(run, tmp_path, one)
    write_orders(tmp_path, "c.csv", [_row(4), _row(5, "eve")])
    write_orders(tmp_path, "d.csv", [_row(6), _row(7, "test")])
    with pytest.raises(RejectLimitExceeded, match=r"1 of 4 rows \(25\.0%\)"):
        bring(run, tmp_path, one)
    write_orders(tmp_path, "d.csv", [_row(6), _row(7, "dan")])
    bring(run, tmp_path, one)
    assert _orders(run) == [1, 2, 3, 4, 5, 6, 7]
    assert execute(run, one, full=True, why="asked").changed


def test_a_corrected_file_lets_bronze_go_on(run: Run, tmp_path: Path) -> None:
    """A file that is rejected whole stops the table; once one of its name is good, both come in."""
    source = Source(Table("bronze.shop.things", max_rejected=0.1, max_rejected_from=1), tmp_path, "*.csv")
    (tmp_path / "a.csv").write_bytes(bytes(range(256)) * 20)
    land(run, source)
    with pytest.raises(RejectLimitExceeded, match=r"lake accept bronze\.shop\.things --stopped"):
        ingest(run, source)
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    land(run, source)
    ingest(run, source)
    assert (len(rows_of(run, source.into)), last_record(run, source.into).accepted) == (1, None)


def test_accepted_rows_are_set_aside_on_record(run: Run, tmp_path: Path) -> None:
    """With who and why; further rejects are judged by the limit as ever, and so are those of later batches."""
    one = _hop(max_rejected_rows=1)
    write_orders(tmp_path, "a.csv", [_row(1), _row(2, "test"), _row(3, "test")])
    with pytest.raises(RejectLimitExceeded):
        bring(run, tmp_path, one)
    _accept(run, SILVER)
    write_orders(tmp_path, "b.csv", [_row(4, "test"), _row(5, "test")])
    with pytest.raises(RejectLimitExceeded, match=r"2 of 3 rows"):
        bring(run, tmp_path, one)
    write_orders(tmp_path, "b.csv", [_row(4, "test"), _row(5)])
    bring(run, tmp_path, one)
    record = last_record(run, one.table)
    assert record.accepted is not None
    assert (record.accepted.rows, record.accepted.by, record.accepted.why) == (2, "mia", "known since May")
    assert (_orders(run), sorted(open_rejects(run, one.table, record).collect()["row"].str.json_path_match("$.order"))) == ([1, 5], ["2", "3", "4", "4", "5"])
    with begin_run(run.settings, "test", "test") as later:
        write_orders(tmp_path, "c.csv", [_row(8, "test"), _row(9, "test")])
        with pytest.raises(RejectLimitExceeded, match="2 of 2 rows"):
            bring(later, tmp_path, one)


def test_what_was_accepted_stays_so_in_full(run: Run, tmp_path: Path) -> None:
    """All rows are judged anew, by a run that accepts nothing: the accepted ones are told apart on record, again and again."""
    one = _hop(max_rejected_rows=1)
    write_orders(tmp_path, "a.csv", [_row(1), _row(2, "test"), _row(3, "test")])
    with pytest.raises(RejectLimitExceeded):
        bring(run, tmp_path, one)
    _accept(run, SILVER)
    bring(run, tmp_path, one)
    for _ in range(2):
        with begin_run(run.settings, "test", "test") as later:
            execute(later, one, full=True, why="asked")
            record = last_record(later, one.table)
            assert record.accepted is not None
            assert (record.mode, record.accepted.rows, record.accepted.by, record.rejects) == ("full", 2, "mia", 2)


def test_accepted_files_of_bronze(run: Run, tmp_path: Path) -> None:
    """Rejected whole, and set aside with the rest taken in."""
    source = Source(Table("bronze.shop.things", max_rejected_rows=0), tmp_path, "*.csv")
    (tmp_path / "a.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "b.csv").write_text("a,b\n1,x\n")
    land(run, source)
    with pytest.raises(RejectLimitExceeded):
        ingest(run, source)
    _accept(run, source.into.name)
    ingest(run, source)
    record = last_record(run, source.into)
    assert (len(rows_of(run, source.into)), record.rejects, record.accepted and record.accepted.rows) == (1, 1, 1)


def test_rows_on_which_a_hop_raises_can_be_accepted_or_corrected(run: Run, tmp_path: Path) -> None:
    """They stop it by the same limits, and by the same ways it goes on."""
    one = declared(AMOUNT.cast(pl.Int64), dataclasses.replace(sales, max_rejected_rows=1))
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "x", ""), GOOD[1], (4, "a", "y", "")])
    with pytest.raises(RejectLimitExceeded, match=r"lake accept silver\.shop\.sales --stopped"):
        bring(run, tmp_path, one)
    write_orders(tmp_path, "a.csv", [GOOD[0], (2, "a", "5", ""), GOOD[1], (4, "a", "6", "")])
    bring(run, tmp_path, one)
    assert numbers(run) == [1, 2, 3, 4]
    write_orders(tmp_path, "b.csv", [(5, "a", "x", ""), (6, "a", "y", "")])
    with pytest.raises(RejectLimitExceeded):
        bring(run, tmp_path, one)
    _accept(run, sales.name)
    bring(run, tmp_path, one)
    record = last_record(run, one.table)
    assert (numbers(run), record.accepted and record.accepted.rows) == ([1, 2, 3, 4], 2)


def test_a_rule_that_fails_is_accepted_by_nobody(run: Run, tmp_path: Path) -> None:
    """The rows of it that stopped are no matter of limits."""
    one = _hop(severity={"no_test_customer": "fail"})
    write_orders(tmp_path, "a.csv", [_row(1), _row(2, "test")])
    with pytest.raises(ContractBroken):
        bring(run, tmp_path, one)
    _accept(run, SILVER)
    with pytest.raises(ContractBroken):
        bring(run, tmp_path, one)


def test_the_command(project: Project) -> None:  # noqa: F811  # the fixture
    """It asks for --stopped and a reason, sets the rows aside, runs the flow to gold and a release; show and history tell who and why."""
    project.edit("tables", "max_rejected=0.3", "max_rejected=0.2")
    project.run().refused("lake accept silver.shop.orders --stopped --why WHY")
    assert project.look("accept", SILVER, "--why", "x").code == 2
    assert project.look("accept", SILVER, "--stopped").code == 2
    assert project.look("accept", SILVER, "--stopped", "--why", " ").code == 2
    done = project.look("accept", SILVER, "--stopped", "--why", "cem's till was broken", "--by", "mia").did().out
    assert "1 rejected row accepted by mia: cem's till was broken" in done
    assert project.tables().keys() >= {SILVER, "gold.shop.totals"}
    assert "Accepted: 1 rejected row accepted by mia: cem's till was broken" in project.look("show", SILVER).did().out
    (commit,) = project.rows("history", SILVER)
    assert commit["accepted"] == {"rows": 1, "by": "mia", "why": "cem's till was broken"}
    project.look("accept", SILVER, "--stopped", "--why", "again").refused(f"nothing of {SILVER} was stopped")
    project.write("incoming/tuesday.csv", "order,customer,amount\n5,dee,-1\n")
    project.run().refused("1 of 1 row ")
    (row,) = project.look("accept", SILVER, "--stopped", "--why", "the same", "--by", "mia", "--json").did().rows
    assert (row["table"], row["stopped"], row["accepted"], row["by"], row["why"]) == (SILVER, 1, 1, "mia", "the same")
