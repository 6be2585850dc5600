"""The preview shows what bronze would hold: the same rows and rejects, and a draft that is code."""

from __future__ import annotations

import datetime as dt
import fnmatch
import gc
import gzip
import json
import re
import tempfile
import types
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import lake
from lake.cli import run_command
from lake.contract import FILE, LANDED, RESCUED, ROW, Contract, check_declaration, judge, undocumented
from lake.draft import pattern_of
from lake.errors import DeclarationError, SourceError, UnknownName
from lake.ingest import ingest
from lake.landing import land
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of
from tests.conftest import fresh_env
from tests.test_cli import run_lake
from tests.test_columnar import ODD, packed
from tests.test_reading import law, zipped
from tests.test_workbook import TABLE, book, put
from tests.tiny import last_record

ORDERS = (
    b"Order No;Name;Amount;Day;Paid;Code;Due\n1;Ann;2.50;2024-01-05;true;007;2024-01-05T10:00:00Z\n"
    b"2;Bob;3.10;;false;010;2024-01-05T10:00:00Z\n\n3;Ann;4.00;2024-02-01;true;011;2024-01-06T10:00:00Z\n"
)
Written = Callable[[str, bytes], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a file and says where it is."""

    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def drafted(code: str) -> types.SimpleNamespace:
    """The names that the drafted tables define."""
    scope: dict[str, Any] = {}
    exec(compile(code.split("\n# flows/")[0], "draft", "exec"), scope)  # noqa: S102  # the draft must be code
    return types.SimpleNamespace(**{name: value for name, value in scope.items() if not name.startswith("__")})


def contract_of(code: str) -> type[Contract]:
    """The contract that the code declares."""
    return next(value for value in vars(drafted(code)).values() if isinstance(value, type) and issubclass(value, Contract) and value is not Contract)


def test_a_preview_shows_rows_rejects_and_columns(written: Written) -> None:
    """Rows as text, the reject with its line, and what the values look like."""
    found = lake.preview(written("orders.csv", ORDERS))
    assert found.dialect.delimiter == ";"
    assert found.frame.select(ROW, "Order_No", "Day").rows() == [(1, "1", "2024-01-05"), (2, "2", ""), (4, "3", "2024-02-01")]
    assert found.rejects.select(ROW, "line", "bytes").rows() == [(3, 4, b"\n")]
    told = {column.name: (column.named, column.guess, column.nulls, column.blanks, column.unique) for column in found.columns}
    assert told == {
        "Order_No": ("Order No", pl.Int64(), 0, 0, True), "Name": ("Name", pl.String(), 0, 0, False), "Amount": ("Amount", pl.Decimal(38, 2), 0, 0, True),
        "Day": ("Day", pl.Date(), 0, 1, False), "Paid": ("Paid", pl.Boolean(), 0, 0, False), "Code": ("Code", pl.String(), 0, 0, True),
        "Due": ("Due", pl.Datetime("us", "UTC"), 0, 0, False),
    }  # fmt: skip
    assert found.columns[1].examples == ["Ann", "Bob"]


def test_the_draft_is_a_contract_that_can_be_declared(written: Written) -> None:
    """The code runs, declares the tables, and lake's own check notices every TODO."""
    names = drafted(lake.preview(written("orders.csv", ORDERS)).draft("shop")["flows/shop/tables.py"])
    contract = names.Orders
    check_declaration(contract)
    assert contract.primary_key() == ["Order_No"]
    assert names.bronze_orders.name == "bronze.shop.orders"
    assert undocumented(contract) == [
        "the contract has no docstring", "Order_No has no description", "Name has no description", "Amount has no description", "Amount has no unit",
        "Day has no description", "Paid has no description", "Code has no description", "Due has no description",
    ]  # fmt: skip
    assert [name for name, column in contract.columns().items() if column.nullable] == ["Day"]


PATTERNS = {
    "airports.csv": "airports.csv", "orders-2026-01-31.csv": "orders-[0-9]*.csv", "flights_2013.csv.gz": "flights_[0-9]*.csv.gz", "20260131.csv": "20260131.csv",
    "a[1]*.csv": "a[[]1][*].csv", "Orders 2026 01.xlsx": "Orders [0-9]* [0-9]*.xlsx", "q1.csv": "q1.csv",
}  # fmt: skip


@pytest.mark.parametrize(("name", "pattern"), PATTERNS.items())
def test_the_drafted_pattern_is_of_the_name(name: str, pattern: str) -> None:
    """Files that come again under the name, with another date where it has one; no neighbour, and nothing in the name is a pattern by accident."""
    assert pattern_of(name) == pattern
    assert re.match(fnmatch.translate(pattern), name)
    assert not re.match(fnmatch.translate(pattern), f"returns-{name}")


DRAFTS: dict[str, tuple[str, bytes, dict[str, list[Any]]]] = {
    "text of every kind": (
        "orders-2026-03-01.csv",
        b"Order No;Amount;Day;Placed;Local;Paid;class;Code\n1001;12.50;2026-03-01;2026-03-01T10:00:00Z;2026-03-01 10:00;true;a;007\n"
        b"1002;NA;;2026-03-01T10:00:00+02:00;2026-03-01 11:00;FALSE;b;010\n1003;1.00;2026-03-02;2026-03-02T10:00:00Z;2026-03-01 12:00;;a;007\n",
        {"Order_No": [1001, 1002, 1003], "Amount": [Decimal("12.50"), None, Decimal("1.00")], "Paid": [True, False, None], "class": ["a", "b", "a"], "Code": ["007", "010", "007"],
         "Placed": [dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC), dt.datetime(2026, 3, 1, 8, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)],
         "Local": [dt.datetime.fromisoformat(f"2026-03-01T{hour}:00") for hour in (10, 11, 12)]},
    ),
    "nested, without a key": ("2 events.ndjson", b'{"a": [1], "b": {"c": 1.5}}\n{"a": [1], "b": {"c": 1.5}}\n', {"a": [[1], [1]], "b": [{"c": 1.5}] * 2}),
}  # fmt: skip


@pytest.mark.parametrize("case", DRAFTS)
def test_the_draft_is_three_files_that_run(case: str, weed_home: Path, tmp_path: Path) -> None:
    """Written where they say, they land that file, not its neighbour, and carry every row to silver."""
    name, data, expected = DRAFTS[case]
    inbox = tmp_path / "my inbox"
    inbox.mkdir()
    (inbox / name).write_bytes(data)
    (inbox / f"returns-{name}").write_bytes(b"other\n1\n")
    files = lake.preview(inbox / name).draft("shop")
    for path, text in {"flows/__init__.py": "", "flows/shop/__init__.py": "", "pyproject.toml": '[tool.lake]\nflows = "flows"\n', **files}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    assert sorted(files) == [f"flows/shop/{each}.py" for each in ("hops", "sources", "tables")]
    env = fresh_env()
    said = run_lake("run", "shop", "--no-prefect", cwd=tmp_path, LAKE_HOME=str(weed_home), LAKE_ENV=env)
    assert said.code == 0, said.err
    with lake.open(env, home=weed_home, root=tmp_path) as opened:
        rows = opened[next(table for table in opened if table.startswith("silver."))].scan().sort("_row").collect()
    assert {column: rows[column].to_list() for column in expected} == expected


def test_the_key_is_a_guess_only_if_the_whole_file_allows_it(written: Written) -> None:
    """A column with a repeat or a null is no key, and neither is one of a single row."""
    assert "primary_key" not in lake.preview(written("a.csv", b"a,b\n1,x\n1,y\n2,x\n")).contract
    assert "primary_key" not in lake.preview(written("b.csv", b"a,b\n1,x\n")).contract
    assert "a guess" in lake.preview(written("c.csv", b"a,b\n1,x\n2,x\n")).contract


@law
@given(
    st.lists(
        st.tuples(*[st.none() | st.sampled_from(["1", "2.5", "2.50", "007", "2024-02-29", "x", "true", "1,5", "1e5", "99999999999999999999"])] * 2),
        min_size=1,
        max_size=6,
    )
)
def test_values_fit_the_type_that_is_guessed(rows: list[tuple[str | None, str | None]]) -> None:
    """No row of the file breaks a rule of the contract that was drafted from it, once what the remarks ask for is done."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.ndjson"
        path.write_text("".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in rows), "utf-8")
        with lake.preview(path) as found:
            contract = contract_of(found.contract)
            frame = (
                found.scan()
                .drop(ROW, RESCUED)
                .with_columns((pl.col(column.name) == "true").alias(column.name) for column in found.columns if column.guess == pl.Boolean)
            )
            assert judge(contract, frame, who="test").bad.collect().is_empty()


def test_the_preview_is_what_bronze_holds(run: Run, tmp_path: Path) -> None:
    """Files of every kind, previewed and ingested: the same columns, values and row numbers, and as many rejects."""
    folder = tmp_path / "in"
    folder.mkdir()
    files = {
        "a.csv": ORDERS, "b.ndjson": b'{"a": 1, "b": {"c d": [1, 2]}}\n{"a": "x"}\nbroken\n', "c.json": b'{"n": 1, "rows": [{"a": 1}, {"a": 2.5}]}',
        "d.xlsx": book(lambda made: put(made, "s", TABLE)), "e.parquet": packed(ODD["maps"][0], "parquet"), "f.csv.gz": gzip.compress(b"a,b\n1,2\n3\n"),
    }  # fmt: skip
    for i, (name, data) in enumerate(files.items()):
        home = folder / f"{i}"
        home.mkdir()
        (home / name).write_bytes(data)
        table = Table(f"bronze.all.t{i}")
        source = Source(table, home)
        land(run, source)
        ingest(run, source)
        found = lake.preview(home / name)
        path = path_of(table.name)
        held = run.snapshot(path, run.log(path).version()).scan().drop(FILE, LANDED).sort(ROW).collect()
        assert held.to_dicts() == found.scan().select(held.columns).collect().to_dicts()
        assert set(held.columns) == set(found.frame.columns)
        assert found.main.notes.items() <= last_record(run, table).conversions.items()
        ledger = last_record(run, table).ledger
        assert (ledger.inserted, ledger.rejected) == (held.height, found.rejects.height)


def test_each_file_of_a_package_is_a_member(written: Written) -> None:
    """A zip has a dialect, rows and rejects for each; one that is damaged does not hide the others."""
    found = lake.preview(written("all.zip", zipped({"bad.parquet": b"PAR1oops", "good.csv": b"a,b\n1,2\n"})))
    assert [bool(member.problem) for member in found.members] == [True, False]
    assert found.members[0].rejects["reason"].to_list() == [found.members[0].problem]
    assert found.frame["a"].to_list() == ["1"]
    assert "all.zip (good.csv): csv, 1 row, 0 rejects" in repr(found)


def test_what_was_unpacked_is_gone_with_the_preview(written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All rows can be read as long as the preview is there, and nothing is left after it."""
    home = tmp_path / "spool"
    home.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    found = lake.preview(written("x.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 500)), rows=3)
    assert (found.frame.height, found.scan().collect().height) == (3, 500)
    assert list(home.iterdir())
    del found
    gc.collect()
    assert not list(home.iterdir())


def test_a_notebook_shows_text_of_a_file_as_text(written: Written) -> None:
    """Nothing in a file is taken for markup."""
    found = lake.preview(written("x.csv", b"a,<b>x</b>\n<script>1</script>,2\n\n3,4\n"))
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "the line is blank" in shown


@pytest.mark.parametrize(("hints", "error", "words"), [
    ({"delimitre": ";"}, UnknownName, "delimiter"), ({"encoding": "utf-99"}, DeclarationError, "no encoding"), ({"header": "many"}, DeclarationError, "header"),
])  # fmt: skip
def test_a_hint_that_is_none_is_told(hints: dict[str, str], error: type[Exception], words: str, written: Written) -> None:
    """A slip in a hint's name or value is named, with what may have been meant."""
    with pytest.raises(error, match=words):
        lake.preview(written("x.csv", b"a\n"), **hints)


@pytest.mark.parametrize("path", ["missing.csv", "."])
def test_what_is_no_file_is_told(path: str, tmp_path: Path) -> None:
    """A missing file and a folder."""
    with pytest.raises(SourceError):
        lake.preview(tmp_path / path)


def told(*arguments: str) -> str:
    """What the command says on standard output."""
    from lake.cli import cli

    result = CliRunner().invoke(cli, ["preview", *arguments])
    assert result.exit_code == 0, result
    return result.stdout


def test_the_command_shows_all_of_it(written: Written) -> None:
    """Dialect and why, columns, rows, rejects; with options for hints."""
    path = str(written("orders.csv", ORDERS))
    shown = told(path, "-n", "2")
    for words in ("orders.csv · csv · 3 rows · 1 reject", "Order No", "Order_No", "Decimal(38, 2)", "the line is blank"):
        assert words in shown
    assert "2024-02-01T" not in shown
    assert "class Orders(Contract)" in told(path, "--contract")
    assert "1 row" in told(str(written("x.txt", b"a~b\n1~2\n")), "--delimiter", "~", "--hint", "header=true")


def test_the_command_tells_everything_as_json(written: Written) -> None:
    """One object a member, with the draft in it."""
    path = written("all.zip", zipped({"a.csv": ORDERS, "b.xlsx": book(lambda made: put(made, "s", TABLE)), "c.parquet": b"PAR1"}))
    first, second, third = json.loads(told(str(path), "--json"))
    assert (first["member"], first["dialect"]["delimiter"], first["rows"], first["rejects"]) == ("a.csv", ";", 3, 1)
    assert first["columns"][2]["guess"] == "Decimal(38, 2)"
    assert first["first_rejects"][0]["line"] == 4
    assert (second["why"]["sheet"], second["first_rows"][0]["a"]) == ("the only sheet", "x0")
    assert third["problem"]
    assert third["contract"] is None


@pytest.mark.parametrize(
    "arguments", [("missing.csv",), (".",), ("x.csv", "--hint", "colour=red"), ("x.csv", "--hint", "header"), ("x.csv", "--encoding", "no")]
)
def test_the_command_fails_in_one_line(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and one line that says what is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_bytes(b"a\n")
    assert run_command(["preview", *arguments]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1


def test_odd_names_and_nested_types_are_drafted(written: Written) -> None:
    """Names that Python cannot have are given by alias, and lists and structs are spelled out."""
    rows = [{"class": 1, "2024": [1], "filter": {"a": "x", "b": [2.5]}, "é-x": dt.date(2024, 1, 1).isoformat()}, {"class": 2}]
    code = lake.preview(written("9 odd.ndjson", "".join(json.dumps(row) + "\n" for row in rows).encode())).contract
    contract = contract_of(code)
    assert contract.__name__ == "Table9Odd"
    assert list(contract.columns()) == ["class", "2024", "filter", "é-x"]
    check_declaration(contract)


LONG_NUMBERS: dict[str, tuple[list[str], pl.DataType, str]] = {
    "twenty digits": (["12345678901234567890", "1"], pl.Decimal(38, 0), "more digits"),
    "the greatest whole number of 64 bits": (["9223372036854775807", "-1"], pl.Int64(), ""),
    "one more": (["9223372036854775808"], pl.Decimal(38, 0), "more digits"),
    "39 digits": (["1" * 39], pl.String(), "text keeps them"),
    "a long fraction": (["1.0000000000000000001", "2"], pl.Decimal(38, 19), "more digits"),
    "wide and long": (["12345678901234567890", "1.5"], pl.Decimal(38, 1), "more digits"),
    "with an exponent": (["12345678901234567890", "1e5"], pl.String(), "text keeps them"),
    "as a float is written": (["0.30000000000000004", "7.0"], pl.Float64(), ""),
    "as no float is": (["0.12345678901234567", "7.0"], pl.Decimal(38, 17), "more digits"),
}


@pytest.mark.parametrize(("values", "guess", "remark"), LONG_NUMBERS.values(), ids=LONG_NUMBERS)
def test_no_guess_changes_a_number(values: list[str], guess: pl.DataType, remark: str, written: Written) -> None:
    """A 64-bit number is guessed only if each value comes back from it; else a decimal, else text, with a remark in the draft."""
    found = lake.preview(written("n.csv", ("n,t\n" + "".join(f"{value},x\n" for value in values)).encode()))
    assert found.columns[0].guess == guess
    assert remark in found.columns[0].remark
    assert remark in found.contract


FAR = pl.Series("day", [10**9, 0], dtype=pl.Int32).cast(pl.Date)
NO_DATES: dict[str, pl.Series] = {
    "a day": FAR, "the year 10000": pl.Series("day", [2_932_897], dtype=pl.Int32).cast(pl.Date), "before the year 1": pl.Series("day", [-719_163], dtype=pl.Int32).cast(pl.Date),
    "an instant": pl.Series("day", [2**62], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")), "milliseconds": pl.Series("day", [2**55], dtype=pl.Int64).cast(pl.Datetime("ms")),
    "in a list": FAR.implode(), "in a struct": FAR.alias("d").to_frame().to_struct("day"),
}  # fmt: skip


@pytest.mark.parametrize("days", NO_DATES.values(), ids=NO_DATES)
def test_a_date_that_no_reader_holds_rejects_the_file(days: pl.Series, written: Written, tmp_path: Path) -> None:
    """With the column's name and the years there are, in one line; the last day of the year 9999 passes."""
    days.to_frame().write_parquet(tmp_path / "days.parquet")
    found = lake.preview(tmp_path / "days.parquet")
    assert found.dialect.problem == found.main.problem
    assert "day: dates outside the years 1 to 9999" in (found.main.problem or "")
    pl.DataFrame({"day": [dt.date(1, 1, 1), dt.date(9999, 12, 31)]}).write_parquet(tmp_path / "days.parquet")
    assert lake.preview(tmp_path / "days.parquet").columns[0].examples == [dt.date(1, 1, 1), dt.date(9999, 12, 31)]


def test_a_file_that_is_rejected_whole_ends_with_1(written: Written, capfd: pytest.CaptureFixture[str]) -> None:
    """The command still shows why; one member of a package that can be read is enough for 0."""
    assert run_command(["preview", str(written("a.csv", b"%PDF-1.7\n"))]) == 1
    assert "It would be rejected: it is named a.csv but its content is a PDF" in capfd.readouterr().out
    assert run_command(["preview", str(written("b.csv", b"%PDF-1.7\n")), "--json"]) == 1
    assert run_command(["preview", str(written("c.zip", zipped({"a.csv": b"%PDF-1.7\n", "b.csv": b"a\n1\n"})))]) == 0


def test_no_cell_steers_the_terminal(written: Written) -> None:
    """Control signs in names, values, rejects and the file's own name are spelled out, as text and in JSON."""
    path = written("a\x1b[2J.csv", b'n\x07ame,b\n\x1b[31mred,2\n3,\xe2\x80\xaeabc\n4,"\x9b\x07\n')
    for shown in (told(str(path)), told(str(path), "--json"), told(str(path), "--contract")):
        assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "\\x1b[31mred" in told(str(path))
    assert json.loads(told(str(path), "--json"))[0]["first_rows"][0]["b"] == "2"
