"""Law 2 for the text of a file: every byte is a row, a reject or a structural line, and what is kept of them, put together, is the file byte for byte.

Files are built from parts that are known, in every encoding, line end and order; what was built says which of its lines must be rows.
"""

from __future__ import annotations

import codecs
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.catalog import Catalog
from lake.contract import FILE, ROW
from lake.ingest import ingest
from lake.landing import land
from lake.reading import stretches
from lake.reading.dialect import Dialect
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member, texts_of
from lake.reading.structural import is_shaped
from lake.reading.text import mark_of, restored
from lake.run import Run
from tests.tiny import bronze_orders, last_record, rows_of, source_at

_DRAWS = int(os.environ.get("DR", "0")) or 4_000 if os.environ.get("LAKE_LAWS") == "full" else 60
law = settings(max_examples=_DRAWS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))

ABOVE = ["Report of the shop", "Report,,,", "", ",,,", "# made by hand", "sep=,", "Shop: north", '"Report, monthly"']
HEADS = ["order,customer,amount,day", '"order","customer","amount","day"', "order, customer, amount, day", '"or\nder",customer,amount,day']
UNITS = ["", "", ",,[EUR],"]
BODY = [
    "{n},ann,1.50,2024-01-02", '{n},"ann, the second",1.50,2024-01-02', '{n},"two\nlines",2.50,2024-01-03', "{n},é日,1.00,2024-01-04", "{n},,,", "{n},bob,7.25,2024-02-01",
    "{n},bob,7.25,2024-02-02", "{n},cy,0.10,2024-02-03",
]  # fmt: skip
ODD = [
    "", "order,customer,amount,day", "# a note between", "{n},short", "{n},x,1,2024-01-01,too,many", '{n},"never closed,1,2024-01-01', "a word", "{n};di;2.5;2024-03-01", "\t",
    '{n},a "big" one,1.00,2024-01-01', "region,manager", "north,Ana", "Total,,12.50,",
]  # fmt: skip
BELOW = ["", "Source: the office", "Source: the office,,,", "Total,,99.00,", "3 rows", ",,,", "* estimated"]
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "shift_jis", "gb18030"]


@dataclass(frozen=True)
class Built:
    """A file, and its records: lines that may be rows or rejects, and are never structure."""

    data: bytes
    encoding: str
    records: list[str]


@st.composite
def files(draw: st.DrawFn) -> Built:
    """A file of known parts."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r", "mixed"]))
    plain = [*draw(st.lists(st.sampled_from(ABOVE), max_size=3)), draw(st.sampled_from(HEADS)), *[units for units in [draw(st.sampled_from(UNITS))] if units]]
    records = []
    for number in range(1, 1 + draw(st.integers(0, 25))):
        odd = draw(st.integers(0, 9)) == 0
        line = draw(st.sampled_from(ODD if odd else BODY)).replace("{n}", str(number))
        records += [] if odd else [line]
        plain.append(line)
    plain += draw(st.lists(st.sampled_from(BELOW), max_size=3))
    ends = [draw(st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"])) if end == "mixed" else end for _ in plain]
    text = "".join(line + its for line, its in zip(plain, ends, strict=True))
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    text += draw(st.sampled_from(["", "", "", "\x1a", "\0" * 20]))
    encoding = draw(st.sampled_from(ENCODINGS))
    data = text.encode(encoding, "replace")
    if draw(st.integers(0, 5)) == 0 and encoding in ("utf-8", "cp1252"):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from([b"\xff", b"\xc3", b"\x81", b"\0"])) + data[at:]
    return Built(data, encoding, records)


def kept(path: Path, dialect: Dialect, folder: Path) -> tuple[list[tuple[int, int, bytes]], int, int]:
    """Everything that is kept of a file, as (line, kind, bytes) in the order of the file; how many lines were counted, and how many pieces are lines."""
    parsed = read_member(path, None, dialect, "t.csv", folder / "rows")
    frame, structure = parsed.frame.select(ROW).collect(), parsed.structure.collect()
    rows = texts_of(path, None, dialect, "t.csv", folder / "texts", frame[ROW].to_list())
    start = path.read_bytes()[:4]
    own = (lambda raw: raw) if dialect.encoding == "utf-8" else (lambda raw: restored(raw, dialect.encoding, start)[0])
    pieces = [(line, 0, raw) for line, raw in structure.select("line", "bytes").rows()]
    pieces += [(line, 1, raw) for line, raw in parsed.rejects.select("line", "bytes").rows()]
    pieces += [(line, 1, own(raw)) for line, raw in rows.values()]
    assert len(rows) == frame.height, "each row is found again in the file"
    assert sum(parsed.roles.values()) == structure.height
    for role, raw in structure.select("role", "bytes").iter_rows():
        if role in ("title", "comment", "footer", "separator line") and dialect.encoding == "utf-8" and not dialect.comment_told:
            fields = raw.decode("utf-8", "replace").rstrip("\r\n").split(dialect.delimiter)
            assert not is_shaped(fields, len(dialect.columns), dialect.shape), f"{role} {raw!r} is like a record"
    lines = sum(1 for line, _, _ in pieces if line) - parsed.roles.get("padding", 0)
    return sorted(pieces, key=lambda piece: piece[0]), parsed.lines or 0, lines


@law
@given(files(), st.sampled_from([1 << 25, 1, 40]), st.booleans())
def test_what_is_kept_of_a_file_is_the_file(built: Built, length: int, told: bool) -> None:
    """Rows, rejects and structural lines together are the bytes of the file in their order; records and structural lines are its lines, but for those they go on in."""
    before = stretches.LONG, stretches.SHORT
    stretches.LONG, stretches.SHORT = length, max(1, length // 4)
    try:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "t.csv"
            path.write_bytes(built.data)
            hints = Hints(format="csv", encoding=built.encoding) if told else Hints(format="csv")
            (dialect,) = examine(path, None, "t.csv", hints)
            if dialect.problem or dialect.format != "csv" or codecs.lookup(dialect.encoding).name not in _EXACT:
                return
            pieces, lines, counted = kept(path, dialect, Path(name))
    finally:
        stretches.LONG, stretches.SHORT = before
    assert b"".join(raw for _, _, raw in pieces) == built.data
    assert counted <= lines
    aside = {raw.decode(dialect.encoding, "replace").rstrip("\r\n") for _, kind, raw in pieces if kind == 0 and len(dialect.columns) > 1}
    assert not aside & {record for record in built.records if record.count(",") + 1 == len(dialect.columns) and ",,," not in record}


_EXACT = {
    codecs.lookup(name).name
    for name in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp1252", "iso8859-1", "shift_jis", "gb18030")
}


def test_a_mark_of_utf_16_is_kept_too() -> None:
    """The mark that a decoder takes away is a structural line as that of UTF-8 is."""
    assert mark_of("utf-16", b"\xfe\xff\0a") == b"\xfe\xff"
    assert mark_of("utf-16-le", b"\xff\xfea\0") == b""


FILE_OF_EVERYTHING = (
    b"\xef\xbb\xbfReport of the shop\n\norder,customer,amount,day\r\n1,ann,1.50,2024-01-02\n2,\"two\nlines\",2.50,2024-01-03\norder,customer,amount,day\n"
    b"3,cy,3.50,2024-01-04\n\n4,di,4.50,2024-01-05\n5,\"never closed,1,2024-01-06\n\nSource: the office\n"
)  # fmt: skip


def test_a_table_keeps_every_byte_of_its_files(run: Run, tmp_path: Path) -> None:
    """Through the whole lake: bronze, its rejects and its structural lines give the file back, the record counts them by file, and a notice names them."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(FILE_OF_EVERYTHING)
    source = source_at(tmp_path / "in")
    land(run, source)
    ingest(run, source)
    catalog = Catalog(run.store)
    structure, rejects = catalog.structure(bronze_orders.name).collect(), catalog.rejects(bronze_orders.name).collect()
    assert structure.select("line", "role").rows() == [
        (0, "mark"), (1, "title"), (2, "blank"), (3, "header"), (7, "repeated header"), (12, "blank"), (13, "footer"),
    ]  # fmt: skip
    record = last_record(run, bronze_orders)
    (file,) = record.files
    assert (file.rows, file.rejects, sum(file.structure.values()), file.lines, file.continued) == (4, 2, 7, 13, 1)
    assert file.rows + file.rejects + sum(file.structure.values()) - file.structure["mark"] + file.continued == file.lines
    assert [notice.what for notice in record.notices] == ["structure"]
    assert "1 title line (line 1: 'Report of the shop')" in record.notices[0].line()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.csv"
        path.write_bytes(FILE_OF_EVERYTHING)
        (dialect,) = examine(path, None, "a.csv", Hints())
        rows = texts_of(path, None, dialect, "a.csv", Path(name) / "texts", [1, 2, 3, 4, 5, 6])
    taken = {row["_row"] for row in run.snapshot("bronze/shop/orders", 0).scan().select(ROW).collect().to_dicts()}
    pieces = [(line, raw) for number, (line, raw) in rows.items() if number in taken]
    pieces += structure.select("line", "bytes").rows() + rejects.select("line", "bytes").rows()
    assert b"".join(raw for _, raw in sorted(pieces)) == FILE_OF_EVERYTHING
    assert structure[FILE].unique().to_list() == rejects[FILE].unique().to_list()
    assert len(rows_of(run, bronze_orders)) == 4


@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf"])
def test_a_file_without_a_record_is_structure(head: bytes) -> None:
    """Blank lines alone are kept as such, and are no reject."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.csv"
        path.write_bytes(head + b"\n\r\n\n")
        (dialect,) = examine(path, None, "t.csv", Hints(format="csv"))
        pieces, lines, _ = kept(path, dialect, Path(name))
    assert b"".join(raw for _, _, raw in pieces) == head + b"\n\r\n\n"
    assert lines == 3
