"""The schema commands, and what plans, listings and committed files say of a changed contract. A user's project, as a user changes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lake.declared import schema_files, stale_files, write_files
from lake.pipeline import load_pipeline
from lake.settings import load_settings
from tests.conftest import ROOT, fresh_env
from tests.test_cli import Project, make_project

ORDERS, TOTALS = "silver.shop.orders", "gold.shop.totals"
COMMITTED = {"gold.totals.json", "silver.orders.json"}


@pytest.fixture
def project(tmp_path: Path, weed_home: Path) -> Project:
    """A project whose lake is empty."""
    return make_project(tmp_path / "the shop's", LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())


@pytest.fixture
def storeless(tmp_path: Path) -> Project:
    """A project whose store answers nobody."""
    return make_project(tmp_path / "shop", LAKE_HOME=str(tmp_path / "home"), AWS_ENDPOINT_URL="http://127.0.0.1:9", LAKE_ENV=fresh_env())


def rename_amount(project: Project, *, declared: bool) -> None:
    """The orders' amount becomes spent; the hop that fills the table knows, the one that reads it does not."""
    project.edit("tables", "    amount = dy.Float64(nullable=False, min=0", "    spent = dy.Float64(nullable=False, min=0")
    project.edit("hops", '"customer", "amount", *PROVENANCE', '"customer", pl.col("amount").alias("spent"), *PROVENANCE')
    if declared:
        project.edit("tables", "max_rejected=0.3", 'max_rejected=0.3, renamed_from={"spent": "amount"}')


def test_the_check_ends_with_1_where_a_reader_breaks(project: Project) -> None:
    """Nothing changed is said in a line; a rename that a hop does not follow is listed with what it hits, and the exit code is 1."""
    assert {row["class"] for row in project.lake("schema", "check", "--json").rows} == {"first"}
    project.run().did()
    assert "The code asks for what release 1 has." in project.lake("schema", "check").did().out
    assert project.lake("schema", "check", "shop", "--json").rows == []
    rename_amount(project, declared=True)
    said = project.lake("schema", "check")
    said.refused("1 change breaks readers of release 1", ORDERS, "column spent renamed from amount")
    assert "breaks" in said.out
    assert f"{TOTALS} (amount)" in said.out
    told = project.lake("schema", "check", "shop", "--against", "1", "--json")
    assert told.code == 1
    (row,) = [row for row in json.loads(told.out) if row["breaking"]]
    assert list(row)[:6] == ["table", "column", "what", "class", "breaking", "downstream"]
    assert (row["table"], row["column"], row["class"], row["downstream"]) == (ORDERS, "spent", "backward", [{"table": TOTALS, "column": "amount"}])


def test_a_change_that_everybody_follows_ends_with_0(project: Project) -> None:
    """A declared rename that the code follows everywhere is listed and breaks nobody."""
    project.run().did()
    rename_amount(project, declared=True)
    project.edit("hops", 'spent = pl.col("amount").sum()', 'spent = pl.col("spent").sum().alias("amount")')
    rows = project.lake("schema", "check", "--json").rows
    assert [(row["what"], row["class"], row["breaking"]) for row in rows] == [("column spent renamed from amount", "backward", False)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["check", "shpo"], ["no flow", "Did you mean shop"], id="flow to check"),
        pytest.param(["write", "shpo"], ["no flow", "Did you mean shop"], id="flow to write"),
        pytest.param(["check", "--against", "7"], ["nothing has been released yet"], id="release"),
        pytest.param(["silver.shop.order"], ["'silver.shop.order'"], id="table"),
    ],
)
def test_a_name_that_is_not_there(project: Project, arguments: list[str], words: list[str]) -> None:
    """A name that is not there is one line."""
    assert project.lake("schema", *arguments).refused(*words).out == ""


def test_a_plan_says_what_changed_in_the_contract(project: Project) -> None:
    """A plan names up to three changes of the contract; bronze columns that will be renamed have a row of their own."""
    project.run().did()
    project.edit("hops", "spent = ", "paid = spent = ")
    why = {row["table"]: row["why"] for row in project.lake("plan", "--json").rows}
    assert why == {"bronze.shop.orders": "nothing new", ORDERS: "nothing new", TOTALS: "full, because the code changed: total changed"}
    rename_amount(project, declared=True)
    project.edit("tables", 'Who ordered")\n    spent', 'Who paid")\n    city = dy.String(nullable=True)\n    kind = dy.String(nullable=True)\n    spent')
    project.edit("tables", 'Table("bronze.shop.orders")', 'Table("bronze.shop.orders", renamed_from={"client": "customer"})')
    rows = {row["table"]: row for row in project.lake("plan", "--json").rows}
    assert rows[ORDERS]["why"] == (
        "full, because the contract changed: column city added (String); column kind added (String); column spent renamed from amount; and 1 more"
    )
    planned = rows["bronze.shop.orders"]
    assert (planned["run"], planned["mode"], planned["why"], planned["estimated_rows"]) == (True, "migration", "column customer renamed to client", 4)


def test_the_listings_say_what_became_of_columns(project: Project) -> None:
    """`schema TABLE` shows each version's difference with signs and both classes; `show` and `history` tell what files did to columns."""
    project.run().did()
    rename_amount(project, declared=True)
    project.edit("hops", 'spent = pl.col("amount").sum()', 'spent = pl.col("spent").sum().alias("amount")')
    project.edit("tables", "    spent = dy", '    city = dy.String(nullable=True, description="Where to")\n    spent = dy')
    project.edit("hops", '"order", "customer",', '"order", "customer", pl.lit(None, dtype=pl.String).alias("city"),')
    project.write("incoming/tuesday.csv", "order,customer,amount,colour\n5,dee,1,red\n")
    project.run().did()
    newest, first = project.rows("schema", ORDERS)
    assert (first["class"], first["transitive"], first["diff"]) == ("first", "first", [])
    assert (newest["class"], newest["transitive"]) == ("backward", "backward")
    assert newest["diff"] == ["+ column city added (String)", "~ column spent renamed from amount"]
    text = project.look("schema", ORDERS).did().out
    assert "+ column city added (String)" in text
    assert project.rows("schema", "show", ORDERS) == [newest, first]
    notice = "column colour is new (String) in tuesday.csv"
    assert notice in project.rows("history", "bronze.shop.orders")[0]["notices"]
    assert f"Columns: {notice}" in project.look("show", "bronze.shop.orders").did().out
    assert "Columns: " not in project.look("show", ORDERS).did().out


# ---- the contracts as files


def test_the_contracts_are_written_beside_the_code(storeless: Project) -> None:
    """One file a contract, without any store: the same bytes each time, no path and no time in them, a line end at the end."""
    assert "wrote flows/shop/schemas/silver.orders.json" in storeless.lake("schema", "write").did().out
    folder = storeless.root / "flows/shop/schemas"
    texts = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert texts.keys() == COMMITTED
    doc = json.loads(texts["silver.orders.json"])
    assert (doc["table"], doc["key"], [column["name"] for column in doc["columns"]]) == (ORDERS, ["order"], ["order", "customer", "amount"])
    assert list(doc["rules"]) == sorted(doc["rules"])
    assert all(text.endswith("}\n") and str(storeless.root) not in text for text in texts.values())
    assert "nothing was written" in storeless.lake("schema", "write", "shop").did().out
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == texts
    assert not (storeless.root / ".lake").exists()


def test_stale_files_fail_the_check_by_name(storeless: Project) -> None:
    """Missing, outdated and left over files are named, nothing is written by the check, and writing puts all three right."""
    storeless.lake("schema", "write", "--check").refused("silver.orders.json (missing)", "gold.totals.json (missing)", "`lake schema write`")
    storeless.lake("schema", "write").did()
    storeless.lake("schema", "write", "--check").did()
    folder = storeless.root / "flows/shop/schemas"
    (folder / "gold.totals.json").unlink()
    storeless.write("flows/shop/schemas/gold.gone.json", "{}\n")
    storeless.edit("tables", "min=0", "min=1")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    stale = storeless.lake("schema", "write", "--check")
    stale.refused("gold.gone.json (left over)", "gold.totals.json (missing)", "silver.orders.json (outdated)")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "removed flows/shop/schemas/gold.gone.json" in storeless.lake("schema", "write").did().out
    assert {path.name for path in folder.iterdir()} == COMMITTED
    storeless.lake("schema", "write", "--check").did()


def test_a_changed_contract_is_a_small_difference(storeless: Project) -> None:
    """One bound changed is one line changed."""
    storeless.lake("schema", "write").did()
    file = storeless.root / "flows/shop/schemas/silver.orders.json"
    before = file.read_text("utf-8").splitlines()
    storeless.edit("tables", "min=0", "min=1")
    storeless.lake("schema", "write").did()
    after = file.read_text("utf-8").splitlines()
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        ('    "amount|min": "at least 0",', '    "amount|min": "at least 1",')
    ]


def test_the_committed_schemas_of_this_project_are_fresh() -> None:
    """The files of flows/nyc are what its contracts say."""
    settings = load_settings(root=ROOT)
    pipelines = [load_pipeline(settings, "nyc")]
    assert len(schema_files(settings, pipelines)) == len(pipelines[0].hops)
    assert stale_files(settings, pipelines) == []
    assert write_files(settings, pipelines) == []
