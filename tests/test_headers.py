"""Which column of its table each column of a file is: what stands in the file first, and never two at one place in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.headers import places_of
from lake.run import Run
from tests.test_structure import bring
from tests.tiny import bronze_orders, last_record, rows_of


def test_names_that_are_cleaned_alike_are_told_apart(run: Run, tmp_path: Path) -> None:
    """`order no` and `order_no` are two columns, in whatever order a file has them, alone or together."""
    bring(run, tmp_path / "in", a=b"order no,order_no\n1,2\n")
    bring(run, tmp_path / "in", b=b"order_no,order no\n2,1\n")
    bring(run, tmp_path / "in", c=b"order_no\n4\n")
    bring(run, tmp_path / "in", d=b"order no\n3\n")
    rows = [(row["order_no"], row["order_no_2"]) for row in rows_of(run, bronze_orders)]
    assert sorted(rows, key=str) == sorted([("1", "2"), ("1", "2"), (None, "4"), ("3", None)], key=str)


def test_a_near_name_takes_its_place_only_where_no_exact_one_does(run: Run, tmp_path: Path) -> None:
    """A name spelled otherwise is the column, with a notice; beside the exact one it is a column of its own."""
    bring(run, tmp_path / "in", a=b"order_no,amount\n1,10\n")
    bring(run, tmp_path / "in", b=b"Order No,amount\n2,20\n")
    assert "Order No is column order_no in b.csv" in [notice.line() for notice in last_record(run, bronze_orders).notices]
    bring(run, tmp_path / "in", c=b"order no,order_no,amount\n9,3,30\n")
    rows = {row["amount"]: (row["order_no"], row.get("order_no_2")) for row in rows_of(run, bronze_orders)}
    assert rows == {"10": ("1", None), "20": ("2", None), "30": ("3", "9")}
    assert any(notice.what == "added" for notice in last_record(run, bronze_orders).notices)


PLACES = {
    "as they stand": (["a", "b"], {}, ["a", "b"], {}, {}, {"a": "a", "b": "b"}),
    "by what stands in the file": (["order_no", "order_no_2"], {"order_no_2": "order no"}, ["order_no", "order_no_2"], {"order_no": "order no", "order_no_2": "order_no"}, {}, {"order_no": "order_no_2", "order_no_2": "order_no"}),
    "an exact name before one of other case": (["A", "a_2"], {"a_2": "a"}, ["a"], {}, {}, {"A": "A_2", "a_2": "a"}),
    "without case": (["ID"], {}, ["id"], {}, {}, {"ID": "id"}),
    "by a former name": (["old", "new"], {}, ["new"], {}, {"old": "new"}, {"old": "new", "new": "new_2"}),
    "the same name twice": (["a", "a_2"], {"a_2": "a"}, ["a", "a_2"], {"a_2": "a"}, {}, {"a": "a", "a_2": "a_2"}),
}  # fmt: skip


@pytest.mark.parametrize(("mine", "named", "known", "headers", "former", "expected"), PLACES.values(), ids=PLACES)
def test_each_column_has_one_place(
    mine: list[str], named: dict[str, str], known: list[str], headers: dict[str, str], former: dict[str, str], expected: dict[str, str]
) -> None:
    """Each column of a file is one of the table's, or a new one with a name that none has."""
    assert places_of(mine, named, known, headers, former) == expected
