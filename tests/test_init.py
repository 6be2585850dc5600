"""`lake init` makes a project that runs, from files of every kind; it writes all of it or nothing, and over nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import xlsxwriter

import lake
from lake.scaffold.files import look
from tests.conftest import fresh_env
from tests.folders import load
from tests.outside import outside
from tests.test_cli import Said, answer, run_lake

ORDERS = {
    "orders-2026-01-05.csv": "Order No,Customer,Placed,Amount\n1,Ann,2026-01-05,2.50\n2,Bob,2026-01-05,3.50\n3,Ann,2026-01-06,1.00\n4,Bob,,9.00\n",
    "orders-2026-01-07.csv": "Order No,Customer,Placed,Amount\n5,Ann,2026-01-07,NA\n",
}


def put(folder: Path, files: dict[str, str]) -> Path:
    """The files in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def made(cwd: Path, *arguments: str) -> Said:
    """`lake init …`, which goes well."""
    said = answer("init", *arguments, cwd=cwd)
    assert said.code == 0, said.err
    return said


def files_of(folder: Path) -> list[str]:
    """All files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def gold_of(root: Path, weed_home: Path, table: str, subject: str) -> list[tuple[object, ...]]:
    """The rows of a gold table after a run of the project."""
    env = fresh_env()
    said = run_lake("run", subject, "--no-prefect", cwd=root, LAKE_HOME=str(weed_home), LAKE_ENV=env)
    assert said.code == 0, said.out + said.err
    with lake.open(env, home=weed_home, root=root) as opened:
        return opened[table].scan().collect().sort("rows").rows()


def its_tests_pass(root: Path) -> None:
    """The tests of the project pass."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=root, env=outside(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_of_files_becomes_a_project_that_runs(tmp_path: Path, weed_home: Path) -> None:
    """As in the README: tables, a key, a source that takes the folder's files, gold with the right counts, and tests that pass."""
    put(tmp_path / "inbox" / "orders", ORDERS)
    said = made(tmp_path, "shop", "--from", "inbox/orders")
    assert "silver.shop.orders" in said.out
    assert "copies: skip" in said.out
    root = tmp_path / "shop"
    assert files_of(root) == [
        ".github/workflows/check.yml", ".gitignore", "flows/__init__.py", "flows/shop/__init__.py", "flows/shop/flow.py", "flows/shop/hops.py",
        "flows/shop/sources.py", "flows/shop/tables.py", "notebooks/shop.py", "pyproject.toml", "tests/test_shop.py",
    ]  # fmt: skip
    assert "ledgerlake==" in (root / "pyproject.toml").read_text("utf-8")
    assert '"../inbox/orders", "orders-[0-9]*.csv", copies="skip"' in (root / "flows/shop/sources.py").read_text("utf-8")
    assert gold_of(root, weed_home, "gold.shop.orders_by_customer", "shop") == [("Bob", 2), ("Ann", 3)]
    its_tests_pass(root)
    deployed = {row["deployment"] for row in answer("deployments", "--json", cwd=root).rows}
    assert {"shop/land", "shop/refresh"} <= deployed
    shown = subprocess.run([sys.executable, "notebooks/shop.py"], cwd=root, env=outside(), capture_output=True, text=True, timeout=120, check=False)
    assert (shown.returncode, "run `lake run shop` first" in shown.stdout) == (0, True), shown.stderr


def test_without_files_there_is_an_example(tmp_path: Path, weed_home: Path) -> None:
    """Three days of a shop, in the project's own inbox."""
    made(tmp_path, str(tmp_path / "my first lake"))
    root = tmp_path / "my first lake"
    assert [name for name in files_of(root) if name.startswith("inbox")] == [f"inbox/orders/orders-2026-01-0{day}.csv" for day in (5, 6, 7)]
    assert gold_of(root, weed_home, "gold.my_first_lake.orders_by_customer", "my_first_lake") == [("Dan", 1), ("Bob", 3), ("Cleo", 3), ("Ann", 5)]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """Files that are there are named, and left as they are; no other is written."""
    put(tmp_path / "shop", {"pyproject.toml": "mine", ".gitignore": "mine"})
    put(tmp_path / "inbox", ORDERS)
    answer("init", "shop", "--from", "inbox", cwd=tmp_path).refused("pyproject.toml, .gitignore", "Nothing was written")
    assert files_of(tmp_path / "shop") == [".gitignore", "pyproject.toml"]
    assert (tmp_path / "shop/pyproject.toml").read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "word"),
    {
        "no such": (("--from", "nowhere.csv"), "there is no nowhere.csv"),
        "a picture": (("--from", "good.csv", "--from", "logo.csv"), "a picture"),
        "an empty folder": (("--from", "empty"), "holds no file"),
        "no column of it": (("--from", "good.csv", "--key", "nothing"), "has no column 'nothing'"),
        "no table of it": (("--from", "good.csv", "--key", "other=a"), "other, which is no table"),
        "no subject": (("Shop One", "--from", "good.csv"), "cannot be the name of a subject"),
        "an address": (("--from", "https://example.com/a.csv"), "https://example.com/a.csv is an address"),
        "a word of Python": (("class", "--from", "good.csv"), "cannot be the name of a subject"),
    }.values(),
    ids=["no-such", "picture", "empty-folder", "no-column", "no-table", "no-subject", "address", "python-word"],
)
def test_what_cannot_be_used_leaves_nothing(tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    """It is told, and not a folder is made."""
    put(tmp_path, {"good.csv": "a,b\n1,2\n2,2\n"})
    (tmp_path / "logo.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (tmp_path / "empty").mkdir()
    answer("init", "shop", *arguments, cwd=tmp_path).refused(word)
    assert not (tmp_path / "shop").exists()


def test_what_cannot_be_written_is_undone(tmp_path: Path) -> None:
    """A folder in the way of a file: what was written before is gone again."""
    put(tmp_path / "shop", {"tests": "in the way"})
    put(tmp_path, {"good.csv": "a,b\n1,2\n2,2\n"})
    answer("init", "shop", "--from", "good.csv", cwd=tmp_path).refused("cannot be written")
    assert files_of(tmp_path / "shop") == ["tests"]


def test_several_kinds_sheets_and_odd_names(tmp_path: Path, weed_home: Path) -> None:
    """Files of several kinds, a workbook of several sheets, names with blanks, quotes and signs that patterns have: each its table, and all of it runs."""
    inbox = put(
        tmp_path / 'it\'s "in" here',
        {'it\'s [new] "orders".csv': 'id,"the ""kind"""\n1,x\n2,y\n3,x\n4,y\n', "Größe*.csv": "id,n\n1,2\n2,3\n", "class.csv": "a,b\n1,2\n1,2\n"},
    )
    with xlsxwriter.Workbook(inbox / "Kunden 2026.xlsx") as book:
        for sheet in ("Namen", "Orte"):
            page = book.add_worksheet(sheet)
            for row, values in enumerate([("id", sheet), (1, "a"), (2, "b"), (3, "a")]):
                page.write_row(row, 0, values)
    root = tmp_path / "my 'own' shop"
    said = made(tmp_path, str(root), "shop", "--from", str(inbox), "--copies", "deliver")
    assert "copies: deliver" in said.out
    assert "class_ has no key, no column or two tell its rows apart" in said.out
    tables = [f"silver.shop.{name}" for name in ("grosse", "class_", "it_s_new_orders", "kunden_namen", "kunden_orte")]
    assert [table for table in tables if table not in said.out] == []
    env = fresh_env()
    ran = run_lake("run", "shop", "--no-prefect", cwd=root, LAKE_HOME=str(weed_home), LAKE_ENV=env)
    assert ran.code == 0, ran.out + ran.err
    with lake.open(env, home=weed_home, root=root) as opened:
        assert {table: opened[table].scan().collect().height for table in tables} == dict(zip(tables, (2, 2, 4, 3, 3), strict=True))
    its_tests_pass(root)


def test_files_with_the_same_columns_are_one_kind(tmp_path: Path) -> None:
    """By shop or by day: one table, called as the folder; another file among them stays its own."""
    folder = put(tmp_path / "sales", {"north.csv": "id,n\n1,2\n2,3\n", "south.csv": "id,n\n1,2\n2,x\n", "2026-01-05.csv": "id,n\n9,1\n8,1\n"})
    (kind,) = look([folder]).kinds
    assert (kind.table, kind.pattern, kind.key, kind.rows) == ("sales", "*.csv", ("id",), 6)
    put(folder, {"notes.txt": "a|b\n1|2\n2|3\n"})
    assert sorted((kind.table, kind.pattern) for kind in look([folder]).kinds) == [("notes", "notes.txt"), ("sales", "*.csv")]


def test_a_key_of_two_columns_is_found(tmp_path: Path) -> None:
    """Where no column tells rows apart alone."""
    put(tmp_path, {"lines.csv": "order,line,what\n1,1,a\n1,2,a\n2,1,a\n2,2,a\n"})
    (kind,) = look([tmp_path / "lines.csv"]).kinds
    assert kind.key == ("order", "line")


def test_the_project_beside_is_run_by_its_name(tmp_path: Path, weed_home: Path) -> None:
    """`lake init shop --from FILE && lake run shop`, typed in one folder."""
    put(tmp_path / "inbox", ORDERS)
    made(tmp_path, "shop", "--from", "inbox/orders-2026-01-05.csv")
    said = run_lake("run", "shop", "--no-prefect", cwd=tmp_path, LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())
    assert said.code == 0, said.err
    assert "gold.shop.orders_by_customer" in said.out
    assert said.err == "in shop:\n"
    assert files_of(tmp_path / "shop")
    assert not (tmp_path / "flows").exists()


def test_an_archive_and_days_in_folders(tmp_path: Path) -> None:
    """What an archive holds came together, so its key is one over all of it; folders and files that are numbers alone may be other ones."""
    folder = put(tmp_path / "days" / "2026" / "01", {f"2026-01-0{day}.csv": f"n,at\n{day},1\n{day + 1},1\n" for day in (5, 6)}).parents[1]
    with zipfile.ZipFile(put(tmp_path / "packed", {}) / "all.zip", "w") as archive:
        archive.writestr("x.csv", "m,n\n1,5\n2,6\n")
        archive.writestr("y.csv", "m,n\n1,7\n2,8\n")
    assert [(kind.table, kind.pattern, kind.key) for kind in look([folder, tmp_path / "packed"]).kinds] == [
        ("days", "[0-9]*/[0-9]*/[0-9]*.csv", ("n",)),
        ("all", "all.zip", ("n",)),
    ]


def test_what_is_not_found_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal: the key, again after a wrong name, and whether deliveries repeat."""
    put(tmp_path, {"lines.csv": "order no,what\n1,a\n1,a\n2,b\n"})
    monkeypatch.setattr("lake.cli.init._somebody", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("order,what\norder no, what\ny\n"))
    said = made(tmp_path, "shop", "--from", "lines.csv")
    assert "lines has no column 'order'" in said.out + said.err
    tables = (tmp_path / "shop/flows/shop/tables.py").read_text("utf-8")
    assert tables.count("primary_key=True") == 3  # two of silver, one of gold
    assert 'copies="deliver"' in (tmp_path / "shop/flows/shop/sources.py").read_text("utf-8")
    assert 'write="merge"' in (tmp_path / "shop/flows/shop/hops.py").read_text("utf-8")


def test_names_that_code_has_for_something_else(tmp_path: Path) -> None:
    """Files and columns called as what the drafted files import, as words of Python, or with quotes and backslashes: what is written is code all the same."""
    rows = 'rows,"q""""""",a\\b,class,1st\nx,1,2,3,4\nx,1,2,3,4\ny,1,2,3,4\ny,1,2,4,5\n'
    names = ["table", "tables", "dy", "pl", "contract", "class", "bronze_table", "told", "顧客", "source"]
    put(tmp_path / "in", {f"{name}.csv": rows.replace("1st", name) for name in names})
    made(tmp_path, "shop", "--from", "in")
    pipeline = load(tmp_path / "shop", "shop")
    assert len(pipeline.sources) == len(names)
    assert len([step for step in pipeline.steps if step.name.startswith("gold.shop.")]) == 1


def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    """What no source can be declared for is named; the rest makes the project."""
    put(tmp_path / "in", {"a.csv": "a,b\n1,2\n2,2\n"})
    try:
        Path(os.fsdecode(bytes(tmp_path / "in") + b"/b\xff.csv")).write_text("c,d\n1,2\n", "utf-8")
    except OSError:
        pytest.skip("the file system takes text alone")
    assert "left out: b\\xff.csv" in made(tmp_path, "shop", "--from", "in").out
