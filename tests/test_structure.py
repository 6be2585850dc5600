"""Structural lines of raw files: kept beside the table, counted and told, whatever runs die, and never what is like a record."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake.catalog import Catalog
from lake.cli import cli
from lake.errors import UnknownName
from lake.ingest import ingest
from lake.landing import land
from lake.maintain import maintain
from lake.reading.hints import Hints
from lake.readmit import readmit_files
from lake.record import Record
from lake.run import Run
from lake.source import Source
from lake.table import structure_path_of
from tests.test_reading import read
from tests.tiny import bronze_orders, last_record, orders, rows_of, source_at

NAME = bronze_orders.name
REPORT = b"Report of the shop\n\norder,customer,amount,day\n1,ann,1.50,2024-01-02\n2,bob,2.50,2024-01-03\n3,cy,3.00,2024-01-04\n\nSource: the office\n"


def bring(run: Run, folder: Path, source: Source | None = None, **files: bytes) -> None:
    """Files land and go into bronze."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.csv").write_bytes(data)
    source = source or source_at(folder)
    land(run, source)
    ingest(run, source)


@pytest.mark.parametrize("text", [b"id,name\n1,Ann\ncount,\n", b"id,name\n1,Ann\n,\n:,\n", b"id,name,x\n1,Ann,2\n2,Bo,3\n,,\n:,,\n"])
def test_lines_that_delimiters_fill_up_are_records_where_nothing_tells(text: bytes) -> None:
    """Below too few records to show what one is, or without a word in it, such a line is no footer."""
    assert read(text).structure["role"].to_list() == ["header"]


def roles(run: Run) -> list[tuple[str, int, str]]:
    """File, line and role of every structural line that is kept."""
    frame = Catalog(run.store).structure(NAME).collect()
    return [(place.rsplit("/", 1)[-1].partition(".")[0], line, role) for place, line, role in frame.select("_file", "line", "role").rows()]


def test_each_files_structure_is_kept_with_its_commit(run: Run, tmp_path: Path) -> None:
    """Files of several deliveries have their lines kept in the order they came in; the record of each commit says how many."""
    bring(run, tmp_path / "in", a=REPORT)
    bring(run, tmp_path / "in", b=b"order,customer,amount,day\n9,di,1.00,2024-02-01\n")
    assert roles(run) == [("a", 1, "title"), ("a", 2, "blank"), ("a", 3, "header"), ("a", 7, "blank"), ("a", 8, "footer"), ("b", 1, "header")]
    record = last_record(run, bronze_orders)
    assert record.structure is not None
    assert record.structure["lines"] == 1
    assert (record.files[0].lines, record.files[0].structure, record.notices) == (2, {"header": 1}, [])


def test_what_a_run_left_that_died_is_not_shown_and_is_tidied_away(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Structural lines that no commit names are of no table; upkeep removes them when they are old enough."""
    bring(run, tmp_path / "in", a=REPORT)
    there = roles(run)
    left = f"{structure_path_of(NAME)}/of-a-run-that-died.parquet"
    run.store.put(left, next(iter(run.store.walk(structure_path_of(NAME)))).path.encode())
    assert roles(run) == there
    assert run.store.head(left) is not None
    import lake.maintain as upkeep

    monkeypatch.setattr(upkeep, "_abandoned_before", lambda run: dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    done = [row for row in maintain(run) if row["place"].startswith("system/structure/")]
    assert [(row["place"], row["orphans"]) for row in done] == [("system/structure/bronze/shop/orders", 1)]
    assert run.store.head(left) is None
    assert roles(run) == there


def test_commits_of_before_have_none(run: Run, tmp_path: Path) -> None:
    """A record that says nothing of structure is read as it is, and the lines of later files are shown."""
    bring(run, tmp_path / "in", a=REPORT)
    record = last_record(run, bronze_orders)
    old = {key: value for key, value in json.loads(record.to_json()).items() if key != "structure"}
    for file in old["files"]:
        for name in ("lines", "structure", "continued", "there"):
            file.pop(name, None)
    known = Record.model_validate(old)
    assert (known.structure, known.files[0].lines, known.files[0].structure) == (None, None, {})


def test_a_table_that_no_files_go_into_has_no_structure(run: Run, tmp_path: Path) -> None:
    """Asked of another layer, the error names where to ask."""
    bring(run, tmp_path / "in", a=REPORT)
    from lake.execute import execute
    from tests.tiny import clean_orders

    execute(run, clean_orders)
    with pytest.raises(UnknownName, match="is not made of raw files"):
        Catalog(run.store).structure(orders.name)


def test_a_footer_that_is_declared_none_comes_in_by_readmit(run: Run, tmp_path: Path) -> None:
    """A line that was left out as a footer is a record by other hints: readmit finds the file though nothing of it was rejected, and only its structure is that of now."""
    bring(run, tmp_path / "in", a=REPORT)
    assert len(rows_of(run, bronze_orders)) == 3
    told = Source(bronze_orders, tmp_path / "in", "*.csv", hints=Hints(footer_lines=0))
    (found,) = readmit_files(run, told)
    assert found.rows == 1
    ingest(run, told)
    assert len(rows_of(run, bronze_orders)) == 4
    assert ("a", 8, "footer") not in roles(run)
    assert roles(run).count(("a", 1, "title")) == 1
    (file,) = last_record(run, bronze_orders).files
    counted = file.there + file.rows + file.rejects + sum(file.structure.values()) + file.continued
    assert (file.there, file.rows, counted) == (3, 1, file.lines)


LIKE_RECORDS = {
    "above the header": (b"1,ann,2.5\n2,bob,3.5\nid,name,weight\n3,cy,4.5\n4,di,5.5\n", Hints(skip_lines=2)),
    "below the records": (b"id,name,weight\n3,cy,4.5\n4,di,5.5\n5,ed,6.5\n", Hints(footer_lines=1)),
    "a sum below the records": (b"id,name,weight\n3,cy,4.5\n4,di,5.5\n5,ed,6.5\nTotal,,16.5\n", Hints()),
    "a comment with the fields of a record": (b"id,name,weight\n3,cy,4.5\n#4,di,5.5\n5,ed,6.5\n#note\n6,fy,1.5\n", Hints()),
}


@pytest.mark.parametrize(("data", "hints"), LIKE_RECORDS.values(), ids=LIKE_RECORDS)
def test_a_line_that_is_like_a_record_is_never_structure(data: bytes, hints: Hints) -> None:
    """As many fields, of the same kinds: it is a row or a reject, wherever it stands and whatever the source declares."""
    found = read(data, hints=hints)
    aside = [raw for raw, role in found.structure.select("bytes", "role").rows() if role != "header"]
    assert not [raw for raw in aside if raw.count(b",") == 2]
    assert found.records == data.count(b"\n") - 1 - len(aside)


def test_as_many_comments_as_one_likes_are_structure() -> None:
    """None of a hundred thousand comments is a reject, and they are written to disk on the way."""
    many = b"# a note on what follows\n" * 100_000
    found = read(b"id,weight\n1,2.5\n" + many + b"2,3.5\n")
    assert (found.rows, found.rejects.height) == ([("1", "2.5"), ("2", "3.5")], 0)
    assert found.structure["role"].value_counts().sort("count").rows() == [("header", 1), ("comment", 100_000)]


RAGGED = {
    "commas in a column of sentences": (
        b"id,name,note,price\n1,P1,good,1\n2,P2,fine,2\n" + b"".join(b"%d,P%d,good, but late,%d\n" % (i, i, i) for i in range(3, 12)),
        4,
        11,
    ),
    "a value more from the third row on": (b"id,amount\n1,10\n2,20\n" + b"".join(b"%d,%d,x\n" % (i, i) for i in range(3, 11)), 2, 10),
    "numbers more from the third row on": (b"id,amount\n1,10\n2,20\n" + b"".join(b"%d,%d,%d\n" % (i, i, i) for i in range(3, 11)), 2, 10),
    "a value more in every row": (b"id,price,amount,side\n" + b"".join(b"%d,0.61,239.6,sell,0\n" % i for i in range(11, 20)), 4, 9),
    "a value more in the only row": (b"id,price,amount,side\n11,0.61,239.6,sell,0\n", 4, 1),
}


@pytest.mark.parametrize(("data", "width", "rows"), RAGGED.values(), ids=RAGGED)
def test_records_that_go_beyond_the_names_shift_nothing(data: bytes, width: int, rows: int) -> None:
    """The header keeps its names though most records are longer: each is a row, and what has no name is in `_rescued`."""
    found = read(data)
    names = data.split(b"\n", 1)[0].decode().split(",")
    assert (found.dialect.columns, len(names), found.frame.height, found.rejects.height) == (names, width, rows, 0)
    assert [row[0] for row in found.rows] == [line.split(b",")[0].decode() for line in data.splitlines()[1:]]
    assert found.frame["_rescued"].drop_nulls().len() == sum(line.count(b",") >= width for line in data.splitlines())


def test_two_tables_one_after_the_other_are_a_table_and_rejects() -> None:
    """Names with blanks after the commas and twenty rows, and at once another table of twenty-five: one is read, the lines of the other are rejects that say so."""
    first = b"run, a, b, c, d, e\n" + b"".join(b"%d, 1, 2, 3, 4, 5\n" % i for i in range(20))
    second = b"run,total,mean\n" + b"".join(b"%d,1.5,2.5\n" % i for i in range(25))
    found = read(first + second)
    assert (found.frame.height, found.rejects.height) == (25, 21)
    assert all("Hints(table=1)" in reason for reason in found.rejects["reason"])
    told = read(first + second, hints=Hints(table=1))
    assert (told.frame.height, told.rejects.height) == (20, 26)


def ask(*words: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_commands_show_structure(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`show` accounts for the lines of the last files, `rejects --structure` lists the lines with role and reason, `preview` shows them beforehand."""
    bring(run, tmp_path / "in", a=REPORT)
    monkeypatch.setattr("lake.cli.listings._catalog", lambda env: Catalog(run.store))
    shown = ask("show", NAME)
    assert "Lines: 8 lines of 1 file: 3 rows, 0 rejects, 2 blank, 1 title, 1 header, 1 footer" in shown
    assert "1 title line (line 1: 'Report of the shop')" in shown
    listed = ask("rejects", NAME, "--structure")
    assert "it stands above the header" in listed
    assert "a.csv.zst:8" in listed or "a.csv:8" in listed
    rows = json.loads(ask("rejects", NAME, "--structure", "--json", "-n", "100"))
    assert [(row["line"], row["role"], row["text"]) for row in rows][:1] == [(1, "title", "Report of the shop")]
    assert {"table", "_file", "line", "bytes", "role", "why", "text"} == set(rows[0])
    previewed = ask("preview", str(tmp_path / "in" / "a.csv"))
    assert "Source: the office" in previewed
    assert "it stands below the records" in previewed
    (told,) = json.loads(ask("preview", str(tmp_path / "in" / "a.csv"), "--json"))
    assert told["structure"][0] == {"line": 1, "role": "title", "why": "it stands above the header", "text": "Report of the shop"}
