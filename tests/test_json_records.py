"""JSON as it is in the wild: each record is a row or a reject, and no value is changed in silence. The oracle is Python's own parser."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import lake.reading.json_records as records
from lake.contract import RESCUED, ROW
from lake.errors import FileRejected
from lake.reading.delimited import Parsed
from lake.reading.dialect import column_names
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member
from tests.test_reading import law, read

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\0'), max_size=4)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 0])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "A", "b c", "", "^x$"]), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "B", "x y", "_row", "*"]), VALUES, max_size=4), min_size=1, max_size=6)


def parsed(data: bytes, name: str = "x.ndjson", hints: Hints | None = None) -> Parsed:
    """What reading says beside the rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(data)
        (dialect,) = examine(path, None, name, hints or Hints())
        found = read_member(path, None, dialect, name, Path(folder) / "spool")
        return Parsed(found.frame.collect().lazy(), found.rejects, found.records, found.notes, found.renamed, found.why)


def same(expected: Any, found: Any, dtype: Any) -> bool:
    """Whether a value that was read says what stands in the file; text that stands for another value is its JSON."""
    if expected is None:
        return found is None
    if isinstance(dtype, pl.Struct):
        if not isinstance(expected, dict):
            return False
        names = dict(zip((field.name for field in dtype.fields), (field.dtype for field in dtype.fields), strict=True))
        given = {name: value for name, value in expected.items() if value is not None}
        kept = {name: value for name, value in found.items() if value is not None}
        return len(given) == len(kept) and all(any(same(value, kept[name], names[name]) for name in kept) for value in given.values())
    if isinstance(dtype, pl.List):
        return isinstance(expected, list) and len(expected) == len(found) and all(same(e, f, dtype.inner) for e, f in zip(expected, found, strict=True))
    if dtype == pl.String:
        if isinstance(expected, str) and expected == found:
            return True
        try:
            return exact(json.loads(found, parse_float=Decimal)) == exact(json.loads(json.dumps(expected), parse_float=Decimal))
        except ValueError:
            return False
    if dtype == pl.Float64:
        return type(expected) in (int, float) and Decimal(expected) == Decimal(found)
    return type(expected) is type(found) and expected == found


def exact(value: Any) -> Any:
    """The value as text that tells true from 1 and 1 from 1.0."""
    return repr(value)


@law
@given(RECORDS, st.sampled_from(["lines", "array", "pretty", "joined", "wrapped"]), st.booleans())
def test_any_values_come_back_as_python_reads_them(rows: list[dict[str, Any]], form: str, ascii_only: bool) -> None:
    """Objects of any shapes, written in any of the usual forms, are rows with the values that Python's parser finds, in the same order."""
    texts = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    form = "array" if form == "joined" and len(rows) == 1 else form
    data = {
        "lines": "\n".join(texts), "array": json.dumps(rows, ensure_ascii=ascii_only), "joined": "".join(texts),
        "pretty": json.dumps(rows, indent=2, ensure_ascii=ascii_only), "wrapped": json.dumps({"n": 1, "in": {"rows": rows}}, ensure_ascii=ascii_only),
    }[form]  # fmt: skip
    hints = Hints(format="ndjson" if form == "lines" else "json", records="in.rows" if form == "wrapped" else None)
    found = read(data.encode(), hints=hints)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = column_names(names)
    assert found.rejects.is_empty()
    assert [*columns, *(["envelope"] if form == "wrapped" else []), ROW, RESCUED] == found.frame.columns
    for row, got in zip(rows, found.frame.iter_rows(named=True), strict=True):
        for name, column in zip(names, columns, strict=True):
            event(f"{found.frame.schema[column].base_type()}")
            assert same(row.get(name), got[column], found.frame.schema[column])


@law
@given(st.lists(st.sampled_from([b'{"a": 1}', b'{"a": "x"}', b'{"a": [1, {}]}', b'{"a": ', b"[1]", b"", b"\xff", b'{"a":1}{"a":2}', b'{"a":1,"a":2}', b"5"])))
def test_each_line_is_a_row_or_a_reject(lines: list[bytes]) -> None:
    """Whatever stands in the other lines, a good line is the row and a bad one the reject of its number, with its bytes."""
    good = (b'{"a": 1}', b'{"a": "x"}', b'{"a": [1, {}]}')
    found = read(b"".join(line + b"\n" for line in lines), hints=Hints(format="ndjson", encoding="utf-8"))
    assert [n for n, line in enumerate(lines, 1) if line in good] == found.frame[ROW].to_list()
    assert [(n, n, line + b"\n") for n, line in enumerate(lines, 1) if line not in good] == found.rejected


S = pl.String()
JOINED: dict[str, tuple[bytes, pl.DataType, list[Any]]] = {
    "whole numbers": (b"1 2 null", pl.Int64(), [1, 2, None]),
    "the largest and the least": (b"9223372036854775807 -9223372036854775808", pl.Int64(), [2**63 - 1, -(2**63)]),
    "whole numbers beside fractions": (b"1 2.5", pl.Float64(), [1.0, 2.5]),
    "those above 2^53 beside fractions": (b"9007199254740993 2.50", S, ["9007199254740993", "2.50"]),
    "beyond 64 bits": (b"18446744073709551616 1", S, ["18446744073709551616", "1"]),
    "a fraction with more digits than a float": (b"0.12345678901234567890 1.10", S, ["0.12345678901234567890", "1.10"]),
    "a number too small for a float": (b"1e-400 1E2", S, ["1e-400", "1E2"]),
    "numbers as text beside numbers": (b'"5" 5', S, ['"5"', "5"]),
    "text beside nulls": (b'"5" null', S, ["5", None]),
    "an object, text and null": (b'{"b":1.10} "x" null', S, ['{"b":1.10}', '"x"', None]),
    "a list and a scalar": (b"[1,2] 3", S, ["[1,2]", "3"]),
    "true beside 1": (b"true 1", S, ["true", "1"]),
    "objects of different fields": (b'{"b":1} {"c":"x"} {}', pl.Struct({"b": pl.Int64, "c": S}), [{"b": 1, "c": None}, {"b": None, "c": "x"}, {"b": None, "c": None}]),
    "only empty objects": (b"{} {}", S, ["{}", "{}"]),
    "empty lists": (b"[] [1]", pl.List(pl.Int64), [[], [1]]),
    "a clash inside objects": (b'{"b":1} {"b":"x"}', pl.Struct({"b": S}), [{"b": "1"}, {"b": '"x"'}]),
    "a clash inside lists": (b'[1,"a"] [null,{"c":1.0}]', pl.List(S), [["1", '"a"'], [None, '{"c":1.0}']]),
    "names that Delta forbids": (b'{"x y":1,"X_Y":2}', pl.Struct({"x_y": pl.Int64, "X_Y_2": pl.Int64}), [{"x_y": 1, "X_Y_2": 2}]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "dtype", "expected"), JOINED.values(), ids=JOINED)
def test_a_type_is_kept_only_where_it_loses_nothing(values: bytes, dtype: pl.DataType, expected: list[Any]) -> None:
    """The values of a field get the type that holds them all exactly, or are the JSON text that stands in the file; then it is said."""
    found = parsed(
        b"".join(b'{"v": ' + value + b"}\n" for value in values.split(b" ")).replace(b"x~y", b"x y") if b"x y" not in values else b'{"v": ' + values + b"}\n"
    )
    frame = found.frame.collect()
    assert (dtype, expected) == (frame.schema["v"], frame["v"].to_list())
    assert found.rejects.is_empty()
    kept_as_text = any("JSON text" in note for note in found.notes.values())
    assert kept_as_text == (b'"b":1} {"b":"x"' in values or b'[1,"a"]' in values or (dtype == S and b'"5" null' not in values))


def test_values_kept_as_text_stand_as_in_the_file() -> None:
    """Spaces, escapes and the spelling of numbers are kept, and fields beside them keep their types."""
    found = read(b'{"v": {"a" : 1.10, "t":"\\u00e9"}, "n": 1}\n{"v": 7 , "n": 2}\n{"n": 3}\n', "x.ndjson")
    assert found.rows == [('{"a" : 1.10, "t":"\\u00e9"}', 1), ("7", 2), (None, 3)]


@pytest.mark.parametrize(("line", "reason"), [
    (b'{"a": 1, "a": 2}', "the name 'a' stands twice"), (b'{"b": {"x": 1, "x": 1}}', "the name 'x' stands twice"), (b'{"a": 01}', "not JSON"), (b"null", "JSON null"),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested hundreds of levels deep"), (b'{"a": "\\ud800"}', "half a surrogate pair"), (b'{"a": "\xff"}', "can't decode byte"),
    (b'{"a": Infinity}', "no JSON number"), (b'{"a": 1}, {"a": 2}', "Extra data"),
])  # fmt: skip
def test_a_line_that_cannot_be_kept_says_why(line: bytes, reason: str) -> None:
    """A damaged or ambiguous line is rejected alone with its reason; its neighbours are rows."""
    found = read(b'{"a": 3}\n' + line + b'\n{"a": 4}\n', "x.ndjson", Hints(encoding="utf-8"))
    assert found.frame["a"].to_list() == [3, 4]
    assert found.rejected == [(2, 2, line + b"\n")]
    assert reason in found.rejects["reason"].item()


def test_deep_values_are_text_from_where_they_are_too_deep() -> None:
    """Forty levels are kept: those beyond the depth a column should have as JSON text."""
    value: Any = "end"
    for _ in range(40):
        value = {"in": value}
    (got,) = read(json.dumps(value).encode() + b"\n", "x.ndjson").frame["in"]
    for _ in range(60):
        got = json.loads(got) if isinstance(got, str) and got != "end" else got["in"] if isinstance(got, dict) else got
    assert got == "end"


def test_a_large_file_is_read_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field whose type shows late has it in every slice, and rows keep their numbers and order over the slices."""
    monkeypatch.setattr(records, "_SLICE", 200)
    lines = [b'{"n": %d}' % i for i in range(100)] + [b'{"n": 1.5, "late": [1]}', b"broken", b'{"n": 2}']
    found = read(b"\n".join(lines), "x.ndjson")
    assert found.frame["n"].to_list() == [*map(float, range(100)), 1.5, 2.0]
    assert found.frame[ROW].to_list() == [*range(1, 102), 103]
    assert found.frame["late"].to_list() == [None] * 100 + [[1], None]


PRETTY = b'[\n  {\n    "a": 1,\n    "in": [\n      {"a": 8},\n      {"a": 9}\n    ]\n  },\n  {\n    "a": 2\n  },\n  {\n    "a": 3\n  }\n]\n'
DOCUMENTS: dict[str, tuple[bytes, list[Any], list[tuple[int, int, bytes]]]] = {
    "an array cut in the middle": (b'[{"a": 1}, {"a": 2}, {"a"', [1, 2], [(3, 1, b'{"a"')]),
    "an array cut after an element": (b'[{"a": 1}, {"a": 2}', [1, 2], [(3, 1, b"")]),
    "a pretty array cut in the middle": (PRETTY[: PRETTY.index(b"3")], [1, 2], [(3, 12, b'{\n    "a":')]),
    "a broken element in a pretty array": (PRETTY.replace(b'"a": 2', b'"a": 2 "b"'), [1, 3], [(2, 9, b'{\n    "a": 2 "b"\n  },')]),
    "a broken element that holds a list": (PRETTY.replace(b'"a": 1,', b'"a": 1'), [2, 3], [(1, 2, PRETTY[4 : PRETTY.index(b',\n  {\n    "a": 2') + 1].replace(b'"a": 1,', b'"a": 1'))]),
    "a broken element in an array of lines": (b'[\n{"a": 1},\n{"a": x},\n{"a": 3}\n]', [1, 3], [(2, 3, b'{"a": x},')]),
    "a broken element on one line with others": (b'[{"a": 1}, {"a": x}, {"a": 3}]', [1], [(2, 1, b'{"a": x}, {"a": 3}]')]),
    "an element that is no object": (b'[{"a": 1}, 7, {"a": 3}]', [1, 3], [(2, 1, b"7")]),
    "a comma too many": (b'[{"a": 1},]', [1], []),
    "text after the array": (b'[{"a": 1}]\n\nend', [1], [(2, 3, b"end")]),
    "objects without line ends between": (b'{"a": 1}{"a": 2} {"a": 3}', [1, 2, 3], []),
    "pretty objects one after another": (b'{\n "a": 1\n}\n{\n "a": 2\n}\n', [1, 2], []),
    "the same, one broken": (b'{\n "a": 1\n}\n{\n "a": \n}\n{\n "a": 3\n}', [1, 3], [(2, 4, b'{\n "a": \n}')]),
    "objects with commas between, and no array": (b'{"a": 1},\n{"a": 2},\n', [1, 2], []),
    "objects joined, cut": (b'{"a": 1}{"a": 2}{"a', [1, 2], [(3, 1, b'{"a')]),
    "bytes that are no text": (b'[\n{"a": 1},\n{"a": 2, "t": "\xff"},\n{"a": 3}\n]', [1, 3], [(2, 3, b'{"a": 2, "t": "\xff"}')]),
    "a mark": (b'\xef\xbb\xbf[{"a": 1}]', [1], []),
    "UTF-16": ('\ufeff[{"a": 1}]'.encode("utf-16-le"), [1], []),
    "lines end in CR": (b'{"a": 1}\r{"a": 2}\r', [1, 2], []),
}  # fmt: skip


@pytest.mark.parametrize(("data", "rows", "rejected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_kind_of_document(data: bytes, rows: list[Any], rejected: list[tuple[int, int, bytes]]) -> None:
    """Records before and after damage are kept where it is sure where they begin; the rest is rejected with its place."""
    found = read(data, "x.json", Hints() if b"\xfe" in data else Hints(encoding="utf-8"))
    assert rows == found.frame["a"].to_list()
    assert rejected == found.rejected


def test_a_list_inside_an_object_is_the_table() -> None:
    """The only list of objects is found, the rest of the object stands beside each record, and it is said."""
    found = parsed(b'{"meta": {"page": 1}, "data": {"items": [{"a": 1}, {"a": 2}]}, "tags": [1]}', "x.json")
    around = '{"meta": {"page": 1}, "data": {"items": null}, "tags": [1]}'
    assert found.frame.drop(RESCUED).collect().rows() == [(1, around, 1), (2, around, 2)]
    assert "data.items" in found.why["records"]
    assert "envelope" in found.notes


def test_of_two_lists_one_must_be_named() -> None:
    """With two lists of objects the object is one row, until a hint names the list; a wrong name is told the right ones."""
    data = b'{"x": [{"a": 1}], "y": [{"a": 2}, {"a": 3}], "envelope": 0}'
    assert read(data, "x.json").records == 1
    assert read(data, "x.json", Hints(records="y")).frame["a"].to_list() == [2, 3]
    with pytest.raises(FileRejected, match="no list at 'z'") as rejected:
        read(data, "x.json", Hints(records="z"))
    assert "x, y" in str(rejected.value)


def test_a_wrapped_list_that_is_cut_keeps_what_came_whole() -> None:
    """The records before the cut are rows, the last one is rejected."""
    found = read(b'{"n": 3, "data": [\n{"a": 1},\n{"a": 2},\n{"a": ', "x.json", Hints(records="data"))
    assert (found.frame["a"].to_list(), found.rejected) == ([1, 2], [(3, 4, b'{"a":')])


def test_one_line_of_ndjson_is_a_record_and_no_wrapper() -> None:
    """A file of lines that happens to hold one line is read as on other days."""
    assert read(b'{"order": 1, "lines": [{"a": 1}, {"a": 2}]}\n', "x.ndjson").records == 1


def test_a_first_line_that_is_broken_does_not_hide_the_lines() -> None:
    """What the file is is decided by most of its first lines."""
    found = read(b'{"a": \n{"a": 2}\n{"a": 3}\n', "x.txt")
    assert (found.frame["a"].to_list(), found.rejected) == ([2, 3], [(1, 1, b'{"a": \n')])


def test_names_that_are_data_do_not_become_columns() -> None:
    """Records with thousands of different names are refused; an object with hundreds of them is JSON text."""
    many = {f"k{i}": i for i in range(600)}
    assert json.loads(read(json.dumps({"v": many}).encode() + b"\n", "x.ndjson").frame["v"].item()) == many
    with pytest.raises(FileRejected, match="6,000 different names"):
        read(json.dumps({f"k{i}": i for i in range(6000)}).encode() + b"\n", "x.ndjson")
