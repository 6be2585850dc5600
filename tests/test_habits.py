"""A file is read with what is known of its table: the names and the dialects of earlier files go before what its own lines seem to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake.ingest import ingest
from lake.landing import land
from lake.reading.dialect import find_dialect
from lake.reading.hints import Hints
from lake.run import Run
from lake.source import Source
from tests.test_structure import bring
from tests.tiny import bronze_orders, last_record, rows_of

FIRST = "id,price,amount,side\n1,0.50,100.0,buy\n2,0.55,120.5,sell\n3,0.60,99.9,buy\n"
BEFORE = find_dialect(FIRST.encode(), "a.csv", None, Hints())

FITS: dict[str, tuple[str, int, list[int]]] = {
    "a value more in each record": ("id,price,amount,side\n" + "".join(f"{n},0.61,239.6,sell,0\n" for n in range(11, 16)), 0, [5] * 5),
    "a value more in most": ("id,price,amount,side\n11,0.6,2.5,buy\n" + "".join(f"{n},0.61,239.6,sell,0,x\n" for n in range(12, 16)), 0, [4, 6, 6, 6, 6]),
    "no record": ("id,price,amount,side\n", 0, []),
    "one record of words": ("id,price,amount,side\nx,y,z,buy\n", 0, [4]),
    "titles above": ("Prices of the day\nmade, by, hand, today\n\nid,price,amount,side\n11,0.61,239.6,sell\n", 3, [4]),
    "sentences with semicolons": ("id,price,amount,side\n" + "".join(f"{n},0.61,239.6,a; b; c; d; e\n" for n in range(11, 16)), 0, [4] * 5),
    "other case": ("ID,Price,Amount,Side\n11,0.61,239.6,sell\n", 0, [4]),
}


@pytest.mark.parametrize(("text", "above", "fields"), FITS.values(), ids=FITS)
def test_the_names_of_earlier_files_are_the_header_wherever_they_stand(text: str, above: int, fields: list[int]) -> None:
    """Names that earlier files have are names here, above what they named there; nothing is added to them and nothing shifts."""
    found = find_dialect(text.encode(), "b.csv", None, Hints(), earlier=[BEFORE])
    assert [name.casefold() for name in found.columns] == ["id", "price", "amount", "side"]
    assert (found.header, found.skip_lines, found.delimiter, found.remark) == (1, above, ",", None)


def test_a_file_without_a_header_has_the_columns_of_earlier_ones() -> None:
    """Records of the same kinds and no names: they are read by the names of before, and that is said."""
    found = find_dialect(b"11,0.61,239.6,sell\n12,0.62,1.5,buy\n", "b.csv", None, Hints(), earlier=[BEFORE])
    assert (found.columns, found.header) == (BEFORE.columns, 0)
    assert "no header" in (found.remark or "")
    other = find_dialect(b"sell,11,0.61,239.6\nbuy,12,0.62,1.5\n", "b.csv", None, Hints(), earlier=[BEFORE])
    assert other.columns == ["column_1", "column_2", "column_3", "column_4"]
    assert "looks different" in (other.remark or "")


def test_files_that_never_have_a_header_lose_no_first_record() -> None:
    """Where earlier files begin with a record, one whose first line could be names begins with a record too."""
    before = find_dialect(b"1,ann,rome\n2,bob,oslo\n", "a.csv", None, Hints())
    assert before.header == 0
    words = find_dialect(b"7,cy,bern\n", "b.csv", None, Hints(), earlier=[before])
    assert (words.header, words.columns) == (0, ["column_1", "column_2", "column_3"])


def test_more_or_fewer_names_are_the_files_own() -> None:
    """A file that has most of the names and some more is cut as before, and has its own."""
    found = find_dialect(b"id,price,amount,side,venue\n11,0.61,239.6,sell,XETR\n", "b.csv", None, Hints(), earlier=[BEFORE])
    assert found.columns == ["id", "price", "amount", "side", "venue"]
    fewer = find_dialect(b"side,price\nsell,0.61\n", "b.csv", None, Hints(), earlier=[BEFORE])
    assert fewer.columns == ["side", "price"]


def test_what_is_declared_goes_before_what_was(tmp_path: Path) -> None:
    """A declared delimiter and declared lines to skip are kept to."""
    told = find_dialect(b"id,price;amount,side\n1;2\n", "b.csv", None, Hints(delimiter=";"), earlier=[BEFORE])
    assert told.columns == ["id_price", "amount_side"]
    skipped = find_dialect(b"id,price,amount,side\n\nn,p,a,s\n1,2,3,x\n", "b.csv", None, Hints(skip_lines=2), earlier=[BEFORE])
    assert skipped.columns == ["n", "p", "a", "s"]


def rescued(run: Run) -> list[Any]:
    """The rows of bronze with what is in `_rescued`."""
    return [(row["id"], row["price"], row["side"], row["_rescued"]) for row in rows_of(run, bronze_orders)]


def test_a_later_file_shifts_no_column_of_its_table(run: Run, tmp_path: Path) -> None:
    """Through the lake: four names and five values, whatever the file alone seems to say; one that looks different is named in a notice."""
    bring(run, tmp_path / "in", a=FIRST.encode())
    bring(run, tmp_path / "in", b=b"id,price,amount,side\n11,0.61,239.6,sell,0\n12,0.61,239.6,sell,0\n")
    assert ("11", "0.61", "sell", '["0"]') in rescued(run)
    assert not [notice for notice in last_record(run, bronze_orders).notices if notice.what == "added"]
    bring(run, tmp_path / "in", c=b"colour;size\nred;1\nblue;2\n")
    assert any("looks different" in notice.detail for notice in last_record(run, bronze_orders).notices)
    told = Source(bronze_orders, tmp_path / "in", "*.csv", hints=Hints(delimiter=";"))
    (tmp_path / "in" / "d.csv").write_bytes(b"id;price;amount;side\n21;0,61;239,6;sell\n")
    land(run, told)
    ingest(run, told)
    assert ("21", "0,61", "sell", None) in rescued(run)
