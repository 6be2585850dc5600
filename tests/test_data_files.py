"""How large data files are: a share of their table, so that a correction writes few other rows again, and a large table has few files."""

from __future__ import annotations

from pathlib import Path

import pytest

import lake.compact
import lake.datafile
from lake.compact import compact
from lake.datafile import rows_a_file
from lake.run import Run
from lake.table import path_of
from tests.tiny import bring, clean_orders, orders, rows_of, write_orders

PATH = path_of(orders.name)


@pytest.mark.parametrize(("rows", "most"), [(0, 500_000), (8_000_000, 500_000), (8_000_001, 1_000_000), (16_000_001, 2_000_000), (10_000_000_000, 2_000_000)])
def test_a_file_is_a_share_of_its_table(rows: int, most: int) -> None:
    """A sixteenth of it or less, while the table is small enough for that."""
    assert rows_a_file(rows) == most


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a hundred to four hundred rows."""
    monkeypatch.setattr(lake.datafile, "_SMALLEST", 100)
    monkeypatch.setattr(lake.datafile, "_LARGEST", 400)


def deliver(run: Run, folder: Path, name: str, numbers: range, amount: str) -> None:
    """Bring orders of these numbers to silver, in order."""
    write_orders(folder, name, [(number, f"customer {number}", amount, "2024-01-01") for number in numbers])
    bring(run, folder, clean_orders)


def files(run: Run) -> dict[str, int]:
    """The data files of silver, with their rows."""
    there = run.snapshot(PATH, run.log(PATH).version())
    return {file.path: file.rows for file in there.files}


@pytest.mark.usefixtures("small")
def test_a_correction_writes_one_file_again(run: Run, tmp_path: Path) -> None:
    """Rows of a file are replaced where they were: the next correction of such rows meets one file too, and the others stay."""
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    before = files(run)
    assert sorted(before.values()) == [100] * 10
    for turn, numbers in enumerate((range(950, 960), range(910, 990))):
        deliver(run, tmp_path, f"correction {turn}.csv", numbers, f"{turn + 2}.00")
        after = files(run)
        assert len(before.keys() & after.keys()) == 9
        assert sorted(after.values()) == [100] * 10
        before = after
    found = {row["order"]: row["amount"] for row in rows_of(run, orders)}
    assert len(found) == 1000
    assert [float(found[number]) for number in (0, 905, 915, 955, 985, 995)] == [1, 1, 3, 3, 3, 1]


@pytest.mark.usefixtures("small")
def test_a_correction_all_over_keeps_rows_where_they_were(run: Run, tmp_path: Path) -> None:
    """Each file is written again by itself, so that ranges of keys do not come to overlap."""
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    deliver(run, tmp_path, "correction.csv", range(5, 1000, 50), "2.00")
    bounds = run.snapshot(PATH, run.log(PATH).version()).bounds.sort("min.order")
    assert bounds["min.order"].to_list() == list(range(0, 1000, 100))
    assert bounds["max.order"].to_list() == list(range(99, 1000, 100))


@pytest.mark.usefixtures("small")
def test_files_as_large_as_they_are_to_be_stay(run: Run, tmp_path: Path) -> None:
    """Only what is smaller is put together."""
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    whole = set(files(run))
    for turn in range(8):
        deliver(run, tmp_path, f"more {turn}.csv", range(1000 + 10 * turn, 1010 + 10 * turn), "1.00")
    assert compact(run, PATH) == 8
    after = files(run)
    assert whole < set(after)
    assert sorted(after.values()) == [80] + [100] * 10


@pytest.mark.usefixtures("small")
def test_what_is_put_together_was_next_to_each_other(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that grew has larger files, and each still has a range of keys of its own, in whatever order they were written."""
    deliver(run, tmp_path, "first.csv", range(1000), "1.00")
    deliver(run, tmp_path, "correction.csv", range(350, 950, 300), "2.00")  # the fourth and the seventh file are the last ones written
    monkeypatch.setattr(lake.datafile, "_SMALLEST", 200)
    monkeypatch.setattr(lake.compact, "_SORTED_UP_TO", 100)  # as a large table, which is not sorted in memory
    assert compact(run, PATH, sort=("order",)) == 10
    bounds = run.snapshot(PATH, run.log(PATH).version()).bounds.sort("min.order")
    assert bounds["min.order"].to_list() == list(range(0, 1000, 200))
    assert bounds["max.order"].to_list() == list(range(199, 1000, 200))
