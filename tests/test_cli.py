"""The console command: what it answers about a lake, and how it says what is wrong. Projects are made as a user makes them."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
import polars as pl
import pytest

import lake
from flows.nyc.sources import published_files
from lake.cli import cli, run_command
from lake.errors import DeclarationError
from lake.lakehouse import Lake
from lake.service import free_ports
from lake.settings import load_settings
from lake.store import Store, open_store
from tests.conftest import ROOT, Built, fresh_env
from tests.outside import outside

SECRET = "wJalrXUtnFEMI-K7MDENG-never-to-be-shown"
GOLD = "gold.nyc.daily_delays"
CLEANED = "silver.nyc.airports"  # some of its rows are rejected

LISTINGS: dict[str, tuple[str, ...]] = {
    "ls": (), "show": (GOLD,), "history": (GOLD,), "schema show": (GOLD,), "lineage": (GOLD,), "rejects": (CLEANED,), "profile": (GOLD,),
    "trace": (GOLD, "carrier=UA", "flight_date=2013-02-09"),
    "plan": (), "release ls": (), "release show": (), "doctor": (), "replay": (), "verify": ("nyc", "--share", "0.01"), "preview": (f"{published_files()}/airports.csv",), "deployments": (),
}  # fmt: skip
"""Every command that only looks, with what it is asked about."""
WORKING = {
    "land",
    "run",
    "readmit",
    "accept",
    "maintain",
    "release diff",
    "release rollback",
    "release resume",
    "retire",
    "rename",
    "schema check",
    "status",
} | {
    "backup",
    "restore",
}
LAYERS = (("bronze", "orders"), ("silver", "orders"), ("gold", "totals"))
NAMES_NO_TABLE = {"release ls", "doctor", "preview", "deployments"}

FILES: dict[str, str] = {
    "pyproject.toml": """\
[tool.lake]
flows = "flows"
""",
    "flows/__init__.py": "",
    "flows/shop/__init__.py": '"""The orders of a shop."""\n',
    "flows/shop/sources.py": """\
from flows.shop import tables
from lake.source import Source

orders = Source(tables.bronze_orders, "incoming", "*.csv")
""",
    "flows/shop/tables.py": """\
import dataframely as dy
from lake.contract import Contract
from lake.table import Table


class Order(Contract):
    \"\"\"An order.\"\"\"

    order = dy.Int64(primary_key=True, description="Number of the order")
    customer = dy.String(nullable=False, description="Who ordered")
    amount = dy.Float64(nullable=False, min=0, metadata={"unit": "EUR"}, description="What it costs")


class Total(Contract):
    \"\"\"What each customer ordered.\"\"\"

    customer = dy.String(primary_key=True, description="Who ordered")
    orders = dy.Int64(nullable=False, min=1, metadata={"unit": "orders"}, description="How many orders")
    amount = dy.Float64(nullable=False, metadata={"unit": "EUR"}, description="What they cost together")


bronze_orders = Table("bronze.shop.orders")
orders = Table("silver.shop.orders", Order, owner="shop", max_rejected=0.3, max_rejected_from=1)
totals = Table("gold.shop.totals", Total, owner="shop")
""",
    "flows/shop/hops.py": """\
import polars as pl
from flows.shop import tables
from lake.contract import PROVENANCE
from lake.hop import changes, hop


@hop(tables.orders, write="merge", raw=changes(tables.bronze_orders))
def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("order", "customer", "amount", *PROVENANCE)


@hop(tables.totals, counts="orders", orders=tables.orders)
def total(orders: pl.LazyFrame) -> pl.LazyFrame:
    spent = pl.col("amount").sum()
    return orders.group_by("customer").agg(pl.len().cast(pl.Int64).alias("orders"), spent)
""",
    "incoming/monday.csv": """\
order,customer,amount
1,ann,10.5
2,bob,7
3,ann,2.25
4,cem,-3
""",
}


@dataclass(frozen=True)
class Said:
    """What a command left behind: its exit code and its two outputs."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The answer of a command with --json: one array of objects, strictly."""
        assert (self.code, self.err) == (0, "")
        found = json.loads(self.out, parse_constant=_no_json)
        assert isinstance(found, list)
        assert all(isinstance(row, dict) for row in found)
        return found

    def did(self) -> Said:
        """This, after making sure that it went well and quietly."""
        assert (self.code, self.err) == (0, "")
        assert SECRET not in self.out
        return self

    def refused(self, *words: str) -> Said:
        """This, after making sure that it failed as errors must: exit code 1, one plain line with `words` in it, and no secret."""
        lines = self.err.splitlines(keepends=True)
        assert self.code == 1, self
        assert len(lines) == 1, self.err
        assert lines[0].startswith("lake: ")
        assert lines[0].endswith("\n")
        for word in words:
            assert word in lines[0]
        assert "unexpected" not in lines[0], "an error nobody foresaw"
        assert "Traceback" not in self.out + self.err
        assert SECRET not in self.out + self.err
        return self


def _no_json(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def run_lake(*arguments: str, cwd: Path = ROOT, **variables: str) -> Said:
    """`lake …` as a process of its own, in a user's environment: nothing of lake's, AWS's or Prefect's in it but `variables`."""
    inherited = outside()
    done = subprocess.run(
        [sys.executable, "-m", "lake", *arguments], cwd=cwd, env=inherited | {"PYTHONDONTWRITEBYTECODE": "1"} | variables,
        capture_output=True, text=True, encoding="utf-8", timeout=240, check=False,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def answer(*arguments: str, cwd: Path = ROOT, **variables: str) -> Said:
    """`lake …` in this process, which saves its start. It closes the stores it opened, and no other test's."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        patch.chdir(cwd)
        patch.setattr("lake.store._open", [])
        for name, value in variables.items():
            patch.setenv(name, value)
        code = run_command(list(arguments))
    return Said(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Project:
    """A user's project: pyproject.toml, one flow called shop, and a folder of CSV files. `variables` are always in its environment."""

    root: Path
    variables: Mapping[str, str]

    def lake(self, *arguments: str, **variables: str) -> Said:
        """`lake …`, typed in the project's folder."""
        return run_lake(*arguments, cwd=self.root, **{**self.variables, **variables})

    def run(self) -> Said:
        """`lake run --no-prefect`."""
        return self.lake("run", "--no-prefect")

    def look(self, *arguments: str, **variables: str) -> Said:
        """A command that imports nothing of the project's, typed in its folder, so answered in this process."""
        return answer(*arguments, cwd=self.root, **{**self.variables, **variables})

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """The rows of a listing."""
        return self.look(*arguments, "--json").rows

    def tables(self) -> dict[str, int]:
        """Every table there is, with its rows."""
        return {row["table"]: row["rows"] for row in self.rows("ls")}

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        """The store of the project."""
        settings = load_settings(root=self.root, home=Path(self.variables["LAKE_HOME"]), env=self.variables["LAKE_ENV"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lake.store._open", [])
            opened = open_store(settings)
        yield opened
        opened.close()

    def write(self, file: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def edit(self, module: str, old: str, new: str) -> int:
        """Replace a piece of one of the flow's modules; returns the number of the line it is on."""
        path = self.root / "flows" / "shop" / f"{module}.py"
        before, after = path.read_text("utf-8").split(old)
        path.write_text(before + new + after, "utf-8")
        return before.count("\n") + 1


def make_project(root: Path, **variables: str) -> Project:
    """A project in the empty or missing folder `root`."""
    project = Project(root, variables)
    for file, text in FILES.items():
        project.write(file, text)
    return project


@pytest.fixture
def project(tmp_path: Path, weed_home: Path) -> Project:
    """A project whose lake is empty."""
    return make_project(tmp_path / "the shop's", LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())


@pytest.fixture
def keys(project: Project) -> dict[str, str]:
    """How the project's store is reached like any S3 server: by address and keys."""
    named = {"AWS_ENDPOINT_URL": "aws_endpoint", "AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key"}
    with project.store() as store:
        return {variable: store.options[option] for variable, option in named.items()}


Ask = Callable[..., Said]


@pytest.fixture(scope="session")
def ask(flights_lake: Built) -> Ask:
    """The command on the flights lake, in this process."""
    return partial(answer, LAKE_HOME=str(flights_lake.settings.home))


@pytest.fixture(scope="module")
def opened(flights_lake: Built) -> Iterator[Lake]:
    """The flights lake, opened in Python."""
    with lake.open(home=flights_lake.settings.home, root=ROOT) as found:
        yield found


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON tells them: times and dates as text."""
    return [{key: value.isoformat() if isinstance(value, dt.date) else value for key, value in row.items()} for row in rows]


# ---- what it answers


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below `group` with its name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_every_command_that_answers_in_json_is_tested() -> None:
    """Every command that answers in JSON is tested here, and documented."""
    in_json = {name for name, command in commands(cli) if any(parameter.name == "as_json" for parameter in command.params)}
    assert in_json == LISTINGS.keys() | WORKING
    assert [name for name, command in commands(cli) if not command.help] == []


def test_tables_are_found_by_what_they_are_about(ask: Ask) -> None:
    """Words in a table's name, in what it is, in its owner, in a column or what that means; every word counts, case does not; none is a plain answer."""

    def found(text: str) -> dict[str, list[str]]:
        return {row["table"]: row["found"] for row in ask("ls", "--search", text, "--json").rows}

    assert found("DAILY") == {"gold.nyc.daily_delays": []}
    assert "median_air_time" in found("median air time")["gold.nyc.route_performance"]
    assert "mean_delay" in found("mean departure delay")["gold.nyc.daily_delays"]
    assert set(found("flight-operations silver")) == {f"silver.nyc.{name}" for name in ("airlines", "airports", "flights", "planes", "weather")}
    assert ask("ls", "--search", "no such thing").did().out == "No table has 'no such thing'.\n"


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_is_one_array_of_objects(ask: Ask, opened: Lake, listing: str) -> None:
    """Every listing is also one JSON array of objects of one shape, and a table's name is under "table"."""
    rows = ask(*listing.split(), *LISTINGS[listing], "--json").rows
    assert rows
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    if listing not in NAMES_NO_TABLE:
        assert next(iter(rows[0])) == "table"
        assert opened.release is not None
        assert {row["table"] for row in rows} <= opened.release.tables.keys()


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_is_text_for_people(ask: Ask, listing: str) -> None:
    """Without --json the same is said for people: something they read, and nothing on standard error."""
    said = ask(*listing.split(), *LISTINGS[listing]).did()
    assert len(said.out.splitlines()) > 1
    assert not said.out.startswith(("[", "{"))
    assert not any(character in said.out for character in "\x1b\r"), "no colours and no spinner in a pipe"


def test_ls_agrees_with_the_lake_in_python(ask: Ask, opened: Lake) -> None:
    """`ls` agrees with lake.open(), and both with the rows themselves."""
    rows = ask("ls", "--json").rows
    assert {"table", "layer", "rows", "version", "schema_version", "rejects"} <= rows[0].keys()
    assert sorted(rows, key=lambda row: row["table"]) == plain(opened.tables().sort("table").to_dicts())
    for row in rows:
        handle = opened[row["table"]]
        counted = {
            "layer": row["table"].split(".")[0], "version": handle.version, "rows": handle.scan().select(pl.len()).collect().item(),
            "rejects": handle.rejects().select(pl.len()).collect().item(), "schema_version": handle.schema_versions()["schema_version"][0],
        }  # fmt: skip
        assert counted == {key: row[key] for key in counted}


def test_ls_names_each_table_with_its_rows(ask: Ask) -> None:
    """The text of `ls` has a line a table, with its rows."""
    lines = [line.split() for line in ask("ls").did().out.splitlines()]
    for row in ask("ls", "--json").rows:
        assert [line[1] for line in lines if line[0] == row["table"]] == [f"{row['rows']:,}"]


def test_show_agrees_with_the_lake_in_python(ask: Ask, opened: Lake) -> None:
    """`show` gives the first rows, ten or as many as asked for, and only the columns asked for."""
    expected = plain([{"table": GOLD, **row} for row in opened[GOLD].scan().head(12).collect().to_dicts()])
    assert ask("show", GOLD, "--json").rows == expected[:10]
    assert ask("show", GOLD, "-n", "12", "--version", "0", "--json").rows == expected
    some = ask("show", GOLD, "--columns", "flights, carrier", "--json").rows
    assert some == [{key: row[key] for key in ("table", "flights", "carrier")} for row in expected[:10]]


def test_show_says_what_the_columns_mean(ask: Ask) -> None:
    """The text of `show` says of each column what it means and in which unit."""
    text = ask("show", GOLD).did().out
    for words in (GOLD, "5,432 rows", "Median departure delay of the flights that left", " min ", "Endeavor"):
        assert words in text


@pytest.mark.parametrize("table", ["bronze.nyc.airports", CLEANED, "silver.nyc.flights", GOLD])
def test_the_history_agrees_with_the_lake_in_python(ask: Ask, opened: Lake, table: str) -> None:
    """The history and the schema versions of a table agree with lake.open(), and every ledger balances."""
    commits = ask("history", table, "--json").rows
    said = ["table", "version", "at", "kind", "run", "flow", "hop", "fingerprint", "mode", "reason", "schema_version", "rejects", "rows", "content"]
    assert [{key: commit[key] for key in said} for commit in commits] == plain(opened[table].history().select(said).to_dicts())
    for commit in commits:
        ledger = commit["ledger"]
        written = sum(ledger[part] for part in ("inserted", "updated", "unchanged", "superseded", "duplicate", "rejected"))
        passed = ledger["aggregated"] if "groups" in ledger else written
        assert ledger["read"] + ledger["expanded"] == passed + ledger["filtered"]
        assert ledger.get("groups", written) == written
    versions = ask("schema", table, "--json").rows
    known = opened[table].schema_versions()
    assert [(row["schema_version"], row["since_version"], row["class"]) for row in versions] == known.select("schema_version", "since_version", "class").rows()
    assert [column["name"] for column in versions[0]["columns"]] == opened[table].scan().collect_schema().names()


@pytest.mark.parametrize("table", ["gold.nyc.daily_delays", "gold.nyc.route_performance", "gold.nyc.weather_delays", "gold.nyc.aircraft_use"])
def test_lineage_reaches_the_raw_files(ask: Ask, opened: Lake, flights_lake: Built, table: str) -> None:
    """The lineage of gold ends at raw files that are in the store, whose path is the hash of the file that was published."""
    rows = ask("lineage", table, "--json").rows
    assert rows == [{"table": table, **row} for row in opened[table].lineage().to_dicts()]
    parents = {row["of"] for row in rows}
    leaves = [row for row in rows if row["name"] not in parents]
    assert {row["kind"] for row in leaves} == {"file"}
    text = ask("lineage", table).did().out
    for leaf in leaves:
        path, _, _ = leaf["name"].partition("#")
        assert flights_lake.run.store.head(path) is not None
        _, _, digest, name = path.split("/")
        original = published_files() / name.removesuffix(".zst")
        assert digest == hashlib.sha256(original.read_bytes()).hexdigest()
        assert original.name in text


def test_lineage_leads_from_bronze_to_gold(ask: Ask) -> None:
    """The lineage of a bronze table says what is made from it, down to gold."""
    below = {row["name"]: row["depth"] for row in ask("lineage", "bronze.nyc.airlines", "--json").rows if row["direction"] == "downstream"}
    assert below == {"silver.nyc.airlines": 1, GOLD: 2}


def test_rejects_agree_with_the_lake_in_python(ask: Ask, opened: Lake) -> None:
    """`rejects` gives the rejected rows with rule, values and raw place; the text counts them by rule."""
    known = opened[CLEANED].rejects().sort("_file", "_row").collect()
    rows = ask("rejects", CLEANED, "-n", "100", "--json").rows
    assert rows == plain([{"table": CLEANED, **row} for row in known.to_dicts()])
    assert ask("rejects", CLEANED, "-n", "2", "--json").rows == rows[:2]
    for rule, count in ask("history", CLEANED, "--json").rows[0]["rules"].items():
        broken = ask("rejects", CLEANED, "--rule", rule, "-n", "100", "--json").rows
        assert (len(broken), broken) == (count, [row for row in rows if rule in row["rules"]])
        assert [str(count), rule] in [line.split()[:2] for line in ask("rejects", CLEANED).did().out.splitlines()]
    assert ask("rejects", GOLD, "--json").rows == []
    assert GOLD in ask("rejects", GOLD).did().out


def test_a_plan_says_what_would_be_done(ask: Ask, opened: Lake, flights_lake: Built) -> None:
    """A plan has every table: none would change now; all of hops would, with --full, and read what is there. Nothing is written."""
    now, full = ask("plan", "--json").rows, ask("plan", "nyc", "--full", "--json").rows
    assert sorted(row["table"] for row in now) == sorted(row["table"] for row in ask("ls", "--json").rows)
    assert {(row["run"], row["changes"], row["why"], row["estimated_rows"]) for row in now} == {(False, "no", "nothing new", 0)}
    assert {(row["waiting"], row["landed"]) for row in now if row["table"].startswith("bronze.")} == {(0, 0)}
    full = [row for row in full if not row["table"].startswith("bronze.")]
    assert {(row["run"], row["mode"]) for row in full} == {(True, "full")}
    assert {row["table"]: row["estimated_rows"] for row in full}[GOLD] == opened["silver.nyc.flights"].scan().select(pl.len()).collect().item()
    assert {row["version"] for row in ask("ls", "--json").rows} == {0}


def test_releases_agree_with_the_lake_in_python(ask: Ask, opened: Lake, flights_lake: Built) -> None:
    """`release ls` lists the release that lake.open() reads; `release show` pins what `ls` lists, by any of its names."""
    assert opened.release is not None
    assert ask("release", "ls", "--json").rows == plain(opened.releases().to_dicts())
    shown = ask("release", "show", "--json").rows
    pins = {name: (pin.version, pin.schema_version, pin.rows) for name, pin in opened.release.tables.items()}
    listed = {row["table"]: (row["version"], row["schema_version"], row["rows"]) for row in ask("ls", "--json").rows}
    assert {row["table"]: (row["version"], row["schema_version"], row["rows"]) for row in shown} == pins == listed
    for name in ("1", "latest", str(opened.release.at.date())):
        assert ask("release", "show", name, "--json").rows == shown


def test_the_doctor_trusts_the_store(ask: Ask, flights_lake: Built) -> None:
    """The doctor asks the store everything, finds it sound, and leaves nothing behind."""
    rows = ask("doctor", "--json").rows
    assert {"conditional put", "conditional put, raced", "read after write", "list after put"} <= {row["check"] for row in rows}
    assert {row["ok"] for row in rows} == {True}
    assert "The store can be trusted." in ask("doctor").did().out
    assert list(flights_lake.run.store.walk("_probe")) == []


def test_another_process_answers_the_same(ask: Ask, flights_lake: Built) -> None:
    """The module and the installed script answer what the command does in this process; the code is recognised as the same."""
    home = str(flights_lake.settings.home)
    assert run_lake("ls", "--json", LAKE_HOME=home) == ask("ls", "--json")
    assert run_lake("plan", "--json", LAKE_HOME=home) == ask("plan", "--json")
    script = subprocess.run([Path(sys.executable).with_name("lake"), "--version"], capture_output=True, text=True, check=True)
    assert script.stdout == ask("--version").did().out


def test_listings_answer_from_the_commits_alone(project: Project) -> None:
    """With everything under system/schemas and system/releases gone, every listing of tables answers as before, and runs go on."""
    project.run().did()
    project.edit("tables", 'description="Who ordered")\n    amount', 'description="Who paid")\n    amount')
    project.write("incoming/tuesday.csv", "order,customer,amount\n5,dee,1\n1,ann,99\n6,eve,-1\n")
    project.run().did()
    project.write("incoming/wednesday.csv", "order,customer,amount\n7,dee,1\n")
    project.run().did()  # its commits do not carry the schema they use
    asked = [("ls",), *((verb, table) for verb in ("show", "history", "schema", "lineage", "rejects") for table in project.tables())]
    before = {question: project.rows(*question) for question in asked}
    assert [row["schema_version"] for row in before["schema", "silver.shop.orders"]] == [2, 1]
    with project.store() as store:
        doomed = [blob.path for folder in ("system/schemas", "system/releases") for blob in store.walk(folder)]
        assert {path.split("/")[1] for path in doomed} == {"schemas", "releases"}
        store.delete(doomed)
    after = {question: project.rows(*question) for question in asked}
    assert {row.pop("note") for row in after[("ls",)]} == {"not released"}  # which is so, now
    assert {row.pop("note") for row in before[("ls",)]} == {""}
    assert after == before
    for verb in ("show", "schema"):
        assert "Who paid" in project.look(verb, "silver.shop.orders").did().out
    project.write("incoming/thursday.csv", "order,customer,amount\n8,dee,1\n")
    project.run().did()
    numbers = [{row["table"]: row["schema_version"] for row in rows} for rows in (before[("ls",)], project.rows("ls"))]
    assert numbers[0] == numbers[1]


# ---- names, settings and usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["show", "gold.nyc.daily_delay"], ["'gold.nyc.daily_delay'", f"Did you mean {GOLD}"], id="table"),
        pytest.param(["history", "delays"], ["'delays'", GOLD, "gold.nyc.weather_delays"], id="part of a table's name"),
        pytest.param(["schema", "silver.nyc.flihgts"], ["silver.nyc.flights"], id="slip of the finger"),
        pytest.param(["lineage", "gold/nyc/daily_delays"], [GOLD], id="path for a name"),
        pytest.param(["rejects", "xyzzy"], ["'xyzzy'", "There is: "], id="nothing like it"),
        pytest.param(["show", GOLD, "--columns", "carrier,mean_dely"], ["no column", "'mean_dely'", "mean_delay"], id="column"),
        pytest.param(["rejects", CLEANED, "--rule", "longitude_fits"], ["'longitude_fits'", "longitude_fits_offset"], id="rule"),
        pytest.param(["run", "nyk", "--no-prefect"], ["no flow", "'nyk'", "Did you mean nyc"], id="flow to run"),
        pytest.param(["plan", "nyk"], ["no flow", "Did you mean nyc"], id="flow to plan"),
        pytest.param(["land", "nyk"], ["no flow", "Did you mean nyc"], id="flow to land"),
        pytest.param(["release", "show", "7"], ["no release 7", "The newest is 1"], id="release"),
        pytest.param(["release", "show", "1999-12-31"], ["1999-12-31", "The first is 1"], id="release before the first"),
        pytest.param(["release", "show", "yesterday"], ["'yesterday'", "a date such as"], id="no name of a release"),
    ],
)
def test_a_name_that_is_not_there(ask: Ask, arguments: list[str], words: list[str]) -> None:
    """A name that is not there is one line, which suggests the nearest that is."""
    assert ask(*arguments).refused(*words).out == ""


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LAKE_ENV", "My Env", ["setting env (LAKE_ENV)"]),
        ("LAKE_ENV", "../prod", ["setting env (LAKE_ENV)"]),
        ("LAKE_THREADS", "many", ["setting threads (LAKE_THREADS)"]),
        ("LAKE_BUCKET", "b", ["setting bucket (LAKE_BUCKET)"]),
        ("AWS_ENDPOINT_URL", "127.0.0.1:9000", ["setting endpoint", "AWS_ENDPOINT_URL", "http://"]),
    ],
)
def test_a_bad_setting(variable: str, value: str, words: list[str]) -> None:
    """A bad setting is one line, which names the setting and the variable that sets it, whatever was to be done."""
    for arguments in (["ls"], ["run", "nyc", "--no-prefect"], ["release", "ls"]):
        answer(*arguments, **{variable: value}).refused(*words)


def test_a_bad_environment_by_option(ask: Ask) -> None:
    """An environment given by --env is checked like LAKE_ENV."""
    ask("ls", "--env", "My Env").refused("setting env")


@pytest.mark.parametrize(("text", "words"), [("[tool.lake", ["pyproject.toml is not valid TOML"]), ('[tool.lake]\nbukcet = "x"\n', ["setting bukcet"])])
def test_a_bad_pyproject(tmp_path: Path, text: str, words: list[str]) -> None:
    """A pyproject.toml that is no TOML, or sets what lake does not know, is one line that names it."""
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    answer("ls", cwd=tmp_path).refused(*words)


@pytest.mark.parametrize(
    "arguments",
    [[], ["lss"], ["show"], ["show", GOLD, "more"], ["run", "--no-perfect"], ["show", GOLD, "-n", "ten"], ["history", "--json"], ["release", "drop"]],
    ids=" ".join,
)
def test_wrong_usage(ask: Ask, arguments: list[str]) -> None:
    """Wrong usage exits with 2 and says how the command is used."""
    said = ask(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("Usage: lake ")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "--help"], ["release", "-h"]], ids=" ".join)
def test_help_is_no_error(ask: Ask, arguments: list[str]) -> None:
    """Help is no error."""
    assert ask(*arguments).did().out.startswith("Usage: lake ")


@pytest.mark.parametrize("arguments", [["ls"], ["ls", "--json"], ["show", "silver.nyc.flights", "-n", "9000", "--json"], ["lineage", GOLD]], ids=" ".join)
def test_a_closed_pipe_ends_quietly(flights_lake: Built, arguments: list[str]) -> None:
    """A reader that has seen enough, or never looked, ends the command without a word."""
    environment = os.environ | {"LAKE_HOME": str(flights_lake.settings.home)}
    read, write = os.pipe()
    os.close(read)
    deaf = subprocess.run([sys.executable, "-m", "lake", *arguments], cwd=ROOT, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert deaf.stderr == ""


def test_the_first_line_is_enough(flights_lake: Built) -> None:
    """`lake show … | head -1` gives the first line of many and nothing else."""
    environment = os.environ | {"LAKE_HOME": str(flights_lake.settings.home)}
    line = f"'{sys.executable}' -m lake show silver.nyc.flights -n 9000 --json | head -1"
    done = subprocess.run(line, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S602  # a shell is what is tried
    assert (done.stdout, done.stderr) == ("[\n", "")


# ---- the store


@pytest.mark.parametrize("arguments", [["ls"], ["run", "--no-prefect"]], ids=" ".join)
def test_nothing_answers_at_the_endpoint(project: Project, arguments: list[str]) -> None:
    """An endpoint where nothing answers is named, with what to do."""
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    said = project.lake(*arguments, AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY=SECRET)
    said.refused(f"no store answers at {endpoint}", "AWS_ENDPOINT_URL")


def test_no_keys(project: Project, keys: dict[str, str]) -> None:
    """An endpoint without keys asks for them."""
    project.look("ls", AWS_ENDPOINT_URL=keys["AWS_ENDPOINT_URL"], AWS_EC2_METADATA_DISABLED="true").refused("no keys", "AWS_ACCESS_KEY_ID")


@pytest.mark.parametrize(
    ("wrong", "arguments"),
    [
        (["AWS_SECRET_ACCESS_KEY"], ["ls"]),
        (["AWS_SECRET_ACCESS_KEY"], ["run", "--no-prefect"]),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], ["doctor"]),
    ],
)
def test_wrong_keys(project: Project, keys: dict[str, str], wrong: list[str], arguments: list[str]) -> None:
    """Keys that the store refuses are said to be refused, with what was tried; the secret stays one."""
    said = project.lake(*arguments, **keys | dict.fromkeys(wrong, SECRET), LAKE_DEBUG="1")
    said.refused(f"{keys['AWS_ENDPOINT_URL']} refused to", "s3://lake/", "Check the AWS_* keys")


@pytest.mark.parametrize("arguments", [["ls"], ["run", "--no-prefect"]], ids=" ".join)
def test_a_missing_bucket(project: Project, moto_endpoint: str, arguments: list[str]) -> None:
    """A bucket that does not exist is named, with what to do."""
    given = {"AWS_ENDPOINT_URL": moto_endpoint, "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": SECRET, "LAKE_BUCKET": "nowhere"}
    project.lake(*arguments, **given).refused("no bucket 'nowhere'", moto_endpoint, "LAKE_BUCKET")


def test_keys_that_work_are_not_shown(project: Project, keys: dict[str, str]) -> None:
    """The secret of a store that is in use appears in no output: not of the doctor, of a run or a listing, nor of a failure shown in full."""
    secret = keys["AWS_SECRET_ACCESS_KEY"]
    said = [project.lake("run", "--no-prefect", **keys)]
    said += [project.look(*arguments, **keys) for arguments in (["doctor"], ["doctor", "--json"], ["ls"], ["history", "gold.shop.totals"])]
    assert [one.code for one in said] == [0] * 5
    assert "set " in next(line for line in said[1].out.splitlines() if line.startswith("secret_access_key"))
    project.edit("hops", 'spent = pl.col("amount").sum()', 'spent = pl.col("amont").sum()')
    said.append(project.lake("run", "--no-prefect", **keys, LAKE_DEBUG="1").refused("amont"))
    assert [one for one in said if secret in one.out + one.err] == []


# ---- a user's project


def test_a_project_runs(project: Project) -> None:
    """A new project runs from files to a release; again, it finds nothing new."""
    assert "shop: release 1" in project.run().did().out
    assert project.tables() == {"bronze.shop.orders": 4, "silver.shop.orders": 3, "gold.shop.totals": 2}
    assert "shop: nothing new; release 1 stands" in project.run().did().out
    assert [row["version"] for row in project.rows("ls")] == [0, 0, 0]


def test_landing_alone(project: Project) -> None:
    """`land` copies what is new and says so; a run after it knows the file and does the rest, told as JSON too."""
    (landed,) = project.lake("land", "shop", "--json").rows
    assert (landed["source"], landed["new"], landed["known"]) == ("shop.orders", ["monday.csv"], 0)
    steps = [(row["step"], row["ok"], row["changed"], row["version"]) for row in project.lake("run", "--no-prefect", "--json").rows]
    assert steps == [("land shop.orders", True, False, None), *((f"{table}.shop.{name}", True, True, 0) for table, name in LAYERS)]


def test_a_missing_source_folder(project: Project) -> None:
    """A source folder that is not there is named, with what to do; nothing is released."""
    shutil.rmtree(project.root / "incoming")
    words = [f"there is no {project.root / 'incoming'}", "Create it, or correct `at` in sources.py"]
    assert "✗ land shop.orders" in project.run().refused("land shop.orders", *words).out
    assert project.rows("release", "ls") == []


def test_files_that_hold_no_rows(project: Project) -> None:
    """A file that is not what its name says is recorded as rejected, and an empty one as having no rows; the run goes on."""
    (project.root / "incoming" / "tuesday.csv").write_bytes(b"%PDF-1.7\n\x00\x01")
    project.write("incoming/wednesday.csv", "")
    project.run().did()
    assert project.tables() == {"bronze.shop.orders": 4, "silver.shop.orders": 3, "gold.shop.totals": 2}
    (rejected,) = project.rows("rejects", "bronze.shop.orders")
    assert rejected["_file"].endswith("/tuesday.csv")
    assert rejected["reason"] == "it is named tuesday.csv but its content is a PDF"
    assert rejected["reason"] in project.look("rejects", "bronze.shop.orders").did().out
    (commit,) = project.rows("history", "bronze.shop.orders")
    files = [(file["name"], file["rows"], file["rejects"]) for file in commit["files"]]
    assert files == [("monday.csv", 4, 0), ("tuesday.csv", 0, 1), ("wednesday.csv", 0, 0)]
    assert "wednesday.csv, 0 rows" in project.look("lineage", "gold.shop.totals").did().out


def test_a_hop_that_raises(project: Project) -> None:
    """A hop that raises is named with the user's line and words, on one line; what it needs is committed, nothing is released."""
    line = project.edit("hops", 'spent = pl.col("amount").sum()', 'raise ValueError("no\\nway")')
    said = project.run().refused("gold.shop.totals", "hop total", "ValueError: no way", f"flows/shop/hops.py:{line}", 'raise ValueError("no\\nway")')
    assert "✓ silver.shop.orders" in said.out
    assert project.tables() == {"bronze.shop.orders": 4, "silver.shop.orders": 3}
    assert project.rows("release", "ls") == []


def test_a_hop_that_asks_for_a_column_that_is_not_there(project: Project) -> None:
    """A mistake that shows only when the frame is resolved is told with the hop and its file."""
    project.edit("hops", 'spent = pl.col("amount").sum()', 'spent = pl.col("amont").sum()')
    project.run().refused("hop total", "gold.shop.totals", "there is no column amont; near it: amount", "hops.py")


def test_a_hop_corrected_is_all_it_takes(project: Project) -> None:
    """After the hop is corrected, the next run does what is left and releases."""
    project.edit("hops", 'spent = pl.col("amount").sum()', "raise KeyError(orders)")
    project.run().refused("hop total", "KeyError")
    project.edit("hops", "raise KeyError(orders)", 'spent = pl.col("amount").sum()')
    assert "shop: release 1" in project.run().did().out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("min=0,", "min=5, max=1,", ["`min` must not be greater than `max`"], id="empty range"),
        pytest.param("Int64(primary_key=True, ", "Int64(primary_key=True, nullable=True, ", ["ullable", "key"], id="key that may be null"),
        pytest.param("amount = dy.Float64(nullable=False, min=0,", "amount = dy.Time(", ["contract Order", "amount is Time", "in the contract"], id="type"),
        pytest.param('"silver.shop.orders", Order,', '"silver.shop.orders",', ["silver.shop.orders has no contract"], id="no contract"),
        pytest.param('"silver.shop.orders"', '"silver.Orders"', ["'silver.Orders' is not a table name", "layer.subject.table"], id="table name"),
    ],
)
def test_a_contract_that_cannot_be_satisfied(project: Project, old: str, new: str, words: list[str]) -> None:
    """A table that no frame could ever satisfy is refused before anything runs."""
    project.edit("tables", old, new)
    assert project.run().refused(*words).out == ""
    assert project.tables() == {}


def test_a_contract_that_cannot_be_satisfied_is_a_declaration_error(project: Project) -> None:
    """In Python the same is a DeclarationError."""
    project.edit("tables", "min=0,", "min=5, max=1,")
    code = "from lake.settings import load_settings as s; from lake.pipeline import load_pipeline as p; p(s(), 'shop')"
    done = subprocess.run([sys.executable, "-c", code], cwd=project.root, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(f"{DeclarationError.__module__}.{DeclarationError.__qualname__}: ")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("orders=tables.orders)", "order=tables.orders)", ["hop total takes (orders) but is declared with (order)"], id="parameter"),
        pytest.param('counts="orders"', 'counts="order"', ["hop total", "counts='order'"], id="count"),
        pytest.param("import polars as pl\n", "import polars as pl\nimport nonesuch\n", ["flows/shop/hops.py", "pip install nonesuch"], id="missing package"),
        pytest.param("import tables", "import tabels", ["flows/shop/hops.py", "cannot import name 'tabels'", "hops.py:2 "], id="missing name"),
        pytest.param("spent =", "spent = =", ["flows/shop/hops.py", "SyntaxError", "line 14"], id="syntax"),
        pytest.param("\n\n@hop(tables.totals", "\nlimit = limt\n@hop(tables.totals", ["flows/shop/hops.py", "NameError", "'limt'", "line 11"], id="name"),
    ],
)
def test_a_mistake_in_hops(project: Project, old: str, new: str, words: list[str]) -> None:
    """A hops.py that cannot be imported is one line with its place, before anything runs."""
    project.edit("hops", old, new)
    assert project.run().refused(*words).out == ""
    assert project.tables() == {}


def test_no_flows_at_all(project: Project) -> None:
    """Where there is no flow, commands that need one say where they looked; listings answer that nothing is there."""
    shutil.rmtree(project.root / "flows")
    for command in (["run", "--no-prefect"], ["plan"], ["land"]):
        project.look(*command).refused(f"no flow under {project.root / 'flows'}", "LAKE_FLOWS")
    assert project.rows("ls") == []
    assert "no tables yet" in project.look("ls").did().out
    project.look("show", GOLD).refused(f"'{GOLD}'", "lake run")
    project.look("release", "show").refused("nothing has been released", "lake run")


def test_gold_that_breaks_its_contract(project: Project) -> None:
    """Gold rows that break their contract stop the hop: rule, count and an example; the table stays as it was."""
    project.run().did()
    project.edit(
        "tables", 'amount = dy.Float64(nullable=False, metadata={"unit": "EUR"}, description="What they', 'amount = dy.Float64(min=10, description="What they'
    )
    project.run().refused("gold.shop.totals", "1 of 2 rows", "amount|min (1)", '"customer":"bob"', "nothing was published")
    (row,) = [row for row in project.rows("ls") if row["table"] == "gold.shop.totals"]
    assert (row["version"], row["rejects"]) == (0, 0)
    assert [row["release"] for row in project.rows("release", "ls")] == [1]


def test_too_many_rejects(project: Project) -> None:
    """More rejects than a table allows stop the hop: share, limit, rule and an example; nothing is published."""
    project.edit("tables", "max_rejected=0.3", "max_rejected=0.2")
    said = project.run().refused("silver.shop.orders", "1 of 4 rows (25.0%)", "amount|min (1)", "the limit is 20.0%", '"customer":"cem"', "max_rejected")
    assert "gold.shop.totals" not in said.out
    assert project.tables() == {"bronze.shop.orders": 4}
    assert project.rows("release", "ls") == []


def test_rules_are_shown_where_they_are_asked_for(project: Project) -> None:
    """`show` lists rules with severity and what they found last, `history` what was broken, `rejects` how many more there are and, on request, what was stopped."""
    project.edit("tables", "from lake.table", "from lake.rules import row_count, unique\nfrom lake.table")
    declared = 'max_rejected=0.3, severity={"amount|min": "warn"}, rules=(row_count(at_least=9, severity="warn"), unique("customer", "amount"))'
    project.edit("tables", "max_rejected=0.3", declared)
    project.write("incoming/tuesday.csv", "order,customer,amount\n5,dee,much\n6,eve,more\n")
    project.run().refused("silver.shop.orders", "2 of 6 rows (33.3%)", "`lake rejects silver.shop.orders --stopped` shows the rows")
    project.look("rejects", "silver.shop.orders").refused("silver.shop.orders")
    stopped = project.look("rejects", "silver.shop.orders", "--stopped", "-n", "1").did().out
    for words in ("amount|dtype", "tuesday.csv", '"amount":"much"', "1 of 2 rejected rows are shown; -n shows more."):
        assert words in stopped
    project.edit("tables", "max_rejected=0.3", "max_rejected=0.5")
    project.run().did()
    shown = [" ".join(line.split()) for line in project.look("show", "silver.shop.orders").did().out.splitlines()]
    for line in ("amount|min warn 1 row broken", "row_count warn 4 rows broken at least 9 rows", "amount|dtype quarantine 2 rows broken"):
        assert any(found.startswith(line) for found in shown), line
    assert any(line.startswith("unique(customer, amount) fail no value is there twice no two rows share them") for line in shown)
    (commit,) = project.rows("history", "silver.shop.orders")
    assert (commit["rules"], commit["warned"]) == ({"amount|dtype": 2}, {"amount|min": 1})
    assert [(check["name"], check["holds"]) for check in commit["checks"]] == [("row_count", False), ("unique(customer, amount)", True)]
    assert "(warning)" in project.look("history", "silver.shop.orders").did().out
    assert project.rows("rejects", "silver.shop.orders", "--stopped") == []
    assert "Nothing of silver.shop.orders was stopped." in project.look("rejects", "silver.shop.orders", "--stopped").did().out
    assert "are shown" not in project.look("rejects", "silver.shop.orders").did().out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes. Only root can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk(project: Project, keys: dict[str, str], small_disk: Path) -> None:
    """A full disk is named, with what to do; doing it is enough."""
    rows = "".join(f"{number},{hashlib.sha256(b'%d' % number).hexdigest()},1\n" for number in range(40_000))
    project.write("incoming/tuesday.csv", f"order,customer,amount\n{rows}")
    project.lake("run", "--no-prefect", LAKE_HOME=str(small_disk / "home"), **keys).refused("the disk", "is full", "LAKE_HOME")
    assert list((small_disk / "home" / "spool").iterdir()) == []
    assert "shop: release 1" in project.lake("run", "--no-prefect", **keys).did().out
