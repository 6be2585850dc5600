"""JSON that comes in pages, one object alone on its line, and records by a key: what the records are is told by the table, the source, or the object's own shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.errors import DeclarationError
from lake.ingest import ingest
from lake.landing import land
from lake.previewing import preview
from lake.reading.dialect import Dialect, find_dialect
from lake.reading.hints import Hints
from lake.run import Run
from lake.source import Source
from tests.test_reading import read
from tests.tiny import bronze_orders, rows_of

PAGES: dict[str, tuple[bytes, str, int]] = {
    "an empty page": (b'{"data":[],"next":null}', "p.json", 0),
    "an empty page of lines": (b'{"data":[],"next":null}\n', "p.ndjson", 0),
    "a page of two": (b'{"data":[{"a":1},{"a":2}]}', "p.json", 2),
    "a page of two in a file of lines": (b'{"data":[{"a":1},{"a":2}]}\n', "p.ndjson", 2),
    "a page with what is beside it": (b'{"results":[{"a":1}],"count":1,"next":"x","previous":null}', "p.jsonl", 1),
    "nothing but an empty list": (b'{"items":[]}', "p.json", 0),
    "a record with a list of its own": (b'{"order":7,"items":[{"a":1},{"a":2}]}\n', "p.ndjson", 1),
    "a record with an empty list": (b'{"order":7,"tags":[]}', "p.json", 1),
}


@pytest.mark.parametrize(("data", "name", "rows"), PAGES.values(), ids=PAGES)
def test_a_page_is_its_records(data: bytes, name: str, rows: int) -> None:
    """An object that has one list and otherwise tells of pages is that list's records, none where it is empty; any other object is a record."""
    assert read(data, name=name).frame.height == rows


LINES = Dialect(format="ndjson")


def test_one_line_is_a_record_where_the_table_has_records_by_line() -> None:
    """Where earlier files had an object a line, a file that happens to hold one line has one record, with its nested list."""
    data = b'{"order":7,"lines":[{"sku":"a"},{"sku":"b"}]}'
    assert find_dialect(data, "o.json", None, Hints()).format == "json"
    assert find_dialect(data, "o.json", None, Hints(), earlier=[LINES]).format == "ndjson"
    assert find_dialect(b'{"data":[{"a":1}]}', "o.ndjson", None, Hints(), earlier=[LINES]).format == "ndjson"
    assert find_dialect(b'{\n"order":7}', "o.json", None, Hints(), earlier=[LINES]).format == "json"
    assert find_dialect(data, "o.json", None, Hints(format="json"), earlier=[LINES]).format == "json"


def test_a_table_of_lines_takes_a_file_of_one_line(run: Run, tmp_path: Path) -> None:
    """Through the lake: the second file has one line, and brings one row of the table's shape."""
    folder = tmp_path / "in"
    folder.mkdir()
    source = Source(bronze_orders, folder, "*.json")
    for name, data in (
        ("a", b'{"order":1,"lines":[{"sku":"a"}]}\n{"order":2,"lines":[{"sku":"b"}]}\n'),
        ("b", b'{"order":3,"lines":[{"sku":"c"},{"sku":"d"}]}\n'),
    ):
        (folder / f"{name}.json").write_bytes(data)
        land(run, source)
        ingest(run, source)
    assert [(row["order"], [line["sku"] for line in row["lines"]]) for row in rows_of(run, bronze_orders)] == [(1, ["a"]), (2, ["b"]), (3, ["c", "d"])]


KEYED = b'{"de":{"name":"Germany","n":1},\n "fr":{"name":"France","n":2},\n "x":3,\n "empty":{}}'


def test_records_by_key_are_rows_with_the_key_in_a_field() -> None:
    """Each member of the object is a record; what is none is a reject with its line."""
    found = read(KEYED, name="countries.json", hints=Hints(records="$.*", key="code"))
    assert found.frame.select("code", "name", "n").rows() == [("de", "Germany", 1), ("fr", "France", 2), ("empty", None, None)]
    assert found.rejected == [(3, 3, b'"x":3')]
    assert read(b'{"a":{"n":1},"b":{"n":2}}', name="x.json", hints=Hints(records="$.*", key="code")).rows == [("a", 1), ("b", 2)]


def test_records_by_key_further_down_keep_what_is_around_them() -> None:
    """A path leads to the object; the rest of the document is in the envelope. A field of the key's name is no place for it."""
    found = read(b'{"at":"now","all":{"a":{"n":1},"b":{"n":2}}}', name="x.json", hints=Hints(records="all.*"))
    assert found.frame.select("key", "n").rows() == [("a", 1), ("b", 2)]
    assert found.frame["envelope"].to_list() == ['{"at":"now","all":null}'] * 2
    taken = read(b'{"a":{"key":1},"b":{"n":2}}', name="x.json", hints=Hints(records="$.*"))
    assert list(taken.rejects["reason"]) == ["it has a field 'key' already: Hints(key=…) names another"]
    damaged = read(b'{"a":{"n":1},"b":{"n":', name="x.json", hints=Hints(records="$.*"))
    assert (damaged.frame.height, damaged.rejects.height) == (1, 1)


def test_preview_proposes_records_by_key(tmp_path: Path) -> None:
    """An object of objects that look alike is shown with the hint that reads them."""
    path = tmp_path / "countries.json"
    path.write_bytes(b'{"de":{"name":"Germany","n":1},"fr":{"name":"France","n":2}}')
    with preview(path) as found:
        assert "Hints(records='$.*', key='key')" in found.main.why["records"]
    with preview(path, records="$.*", key="code") as found:
        assert found.frame["code"].to_list() == ["de", "fr"]
    with pytest.raises(DeclarationError):
        preview(path, key="")
