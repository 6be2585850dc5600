"""Columns change: files whose columns are not their table's, tables whose columns are renamed, dropped or widened, old rows read as new ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lake.contract import PROVENANCE, RESCUED, Contract
from lake.errors import DeclarationError, SchemaRefused
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.outcome import Outcome
from lake.pipeline import Pipeline
from lake.release import find_release
from lake.replay import replay
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import Source
from lake.table import Table, path_of
from lake.upcast import upcast
from lake.verify import verify
from tests.outside import outside

BRONZE = Table("bronze.shop.orders")


@pytest.fixture
def run(weed_settings: Settings) -> Iterator[Run]:
    """A run on an empty lake."""
    with begin_run(weed_settings, "test", "test") as found:
        yield found


class Files:
    """A folder of files and the bronze table they fill, which may be declared anew between deliveries."""

    def __init__(self, run: Run, folder: Path, table: Table = BRONZE) -> None:
        self.run, self.folder, self.table = run, folder, table
        self.folder.mkdir()

    def bring(self, name: str, content: str | bytes | pl.DataFrame, **declared: Any) -> list[Outcome]:
        """A file comes, and is taken in by the table as `declared` from now on."""
        if isinstance(content, pl.DataFrame):
            content.write_parquet(self.folder / name)
        else:
            (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return self.take(**declared)

    def take(self, **declared: Any) -> list[Outcome]:
        """What is there is taken in by the table as `declared` from now on."""
        self.table = replace(self.table, **declared)
        land(self.run, self.source)
        return ingest(self.run, self.source)

    @property
    def source(self) -> Source:
        """The folder as a source."""
        return Source(self.table, self.folder)

    def rows(self, *, rescued: bool = False) -> list[dict[str, Any]]:
        """Bronze rows in order of file and record."""
        last = self.run.snapshot(path_of(self.table.name), self.run.log(path_of(self.table.name)).version())
        return last.scan().sort("_landed", "_row").drop(*PROVENANCE, *([] if rescued else [RESCUED])).collect().to_dicts()

    def notices(self) -> list[str]:
        """What the last commit says of columns, in words."""
        _, record = self.run.log(path_of(self.table.name)).head()
        return [notice.line() for notice in record.notices] if record else []

    def rejects(self) -> list[tuple[Any, ...]]:
        """What bronze rejected: record number, bytes, reason."""
        log = self.run.log(f"quarantine/{path_of(self.table.name)}")
        if log.version() < 0:
            return []
        return (
            self.run.snapshot(f"quarantine/{path_of(self.table.name)}", log.version())
            .scan()
            .sort("_file", "_row")
            .select("_row", "bytes", "reason")
            .collect()
            .rows()
        )

    def sound(self) -> None:
        """The table replays equal from raw, file by file and as a whole."""
        pipeline = Pipeline("shop", [self.source], [])
        assert pipeline.run(self.run).failures == {}
        release = find_release(self.run.store)
        assert release is not None
        assert [(told.verdict, told.why) for told in replay(self.run, release, [pipeline])] == [("equal", "")]
        assert [told["verdict"] for told in verify(self.run, pipeline, share=1.0)] == ["equal"]


@pytest.fixture
def files(run: Run, tmp_path: Path) -> Files:
    """An empty folder that fills bronze.shop.orders."""
    return Files(run, tmp_path / "in")


def test_a_new_column_is_added_and_older_rows_have_none(files: Files) -> None:
    """evolve: the column is there from the file on that brings it, and the commit says so."""
    files.bring("1.csv", "id,city\n1,Ulm\n")
    files.bring("2.csv", "id,city,zip\n2,Bonn,53111\n")
    assert files.rows() == [{"id": "1", "city": "Ulm", "zip": None}, {"id": "2", "city": "Bonn", "zip": "53111"}]
    assert files.notices() == ["column zip is new (String) in 2.csv"]
    files.sound()


def test_a_missing_column_is_null_and_announced(files: Files) -> None:
    """evolve: rows stay, with nothing in the column."""
    files.bring("1.csv", "id,city\n1,Ulm\n")
    files.bring("2.csv", "id\n2\n")
    assert files.rows() == [{"id": "1", "city": "Ulm"}, {"id": "2", "city": None}]
    assert files.notices() == ["column city is missing in 2.csv"]
    files.sound()


def test_columns_in_another_order_and_case_find_their_place(files: Files) -> None:
    """By name, not by position; and Delta does not tell case apart."""
    files.bring("1.csv", "id,city\n1,Ulm\n")
    files.bring("2.csv", "City,ID\nBonn,2\n")
    assert files.rows() == [{"id": "1", "city": "Ulm"}, {"id": "2", "city": "Bonn"}]
    assert files.notices() == ["City is column city in 2.csv", "ID is column id in 2.csv", "columns are in another order in 2.csv"]
    files.sound()


def test_a_frozen_table_keeps_unknown_columns_in_rescued(files: Files) -> None:
    """freeze: the rows stay, the values too, the columns are those there were."""
    files.bring("1.csv", "id,city\n1,Ulm\n", policy="freeze")
    files.bring("2.csv", 'id,city,zip,note\n2,Bonn,53111,"say ""hi"""\n3,Köln,,\n4,Aachen,5,6,surplus\n')
    assert files.rows(rescued=True) == [
        {"id": "1", "city": "Ulm", RESCUED: None},
        {"id": "2", "city": "Bonn", RESCUED: '{"zip":"53111","note":"say \\"hi\\""}'},
        {"id": "3", "city": "Köln", RESCUED: '{"zip":"","note":""}'},
        {"id": "4", "city": "Aachen", RESCUED: '{"zip":"5","note":"6","_rescued":["surplus"]}'},
    ]
    assert json.loads(files.rows(rescued=True)[1][RESCUED]) == {"zip": "53111", "note": 'say "hi"'}
    assert files.notices() == [
        "1 row has fields that no column has a name for: kept in _rescued in 2.csv",
        "column zip is unknown: kept in _rescued (3 values) in 2.csv",
        "column note is unknown: kept in _rescued (3 values) in 2.csv",
    ]
    files.sound()


def test_declared_columns_open_a_frozen_table(files: Files) -> None:
    """A frozen table takes the columns it declares, when they come."""
    files.bring("1.csv", "id,city,junk\n1,Ulm,x\n", policy="freeze", columns=("id", "city"))
    files.bring("2.csv", "id,city,zip\n2,Bonn,53111\n", columns=("id", "city", "zip"))
    assert files.rows() == [{"id": "1", "city": "Ulm", "zip": None}, {"id": "2", "city": "Bonn", "zip": "53111"}]
    files.sound()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("id,city,zip\n2,Bonn,53111\n", "column zip is unknown"),
        ("id\n2\n", "column city is missing"),
        ("id,town\n2,Bonn\n", "column town is unknown; column city is missing"),
    ],
)
def test_a_strict_table_rejects_a_file_with_other_columns(files: Files, content: str, why: str) -> None:
    """strict: the file goes to quarantine whole, with the reason; the rest goes on."""
    files.bring("1.csv", "id,city\n1,Ulm\n", policy="strict")
    files.bring("2.csv", content)
    files.bring("3.csv", "id,city\n3,Köln\n")
    assert files.rows() == [{"id": "1", "city": "Ulm"}, {"id": "3", "city": "Köln"}]
    assert files.rejects() == [(None, None, f"2.csv does not fit bronze.shop.orders: {why}")]
    files.sound()


def test_declared_columns_open_a_strict_table(files: Files) -> None:
    """A strict table takes the columns it declares; a file without one of them does not fit."""
    files.bring("1.csv", "id\n1\n", policy="strict")
    files.bring("2.csv", "id,city\n2,Bonn\n", columns=("id", "city"))
    files.bring("3.csv", "id\n3\n")
    assert files.rows() == [{"id": "1", "city": None}, {"id": "2", "city": "Bonn"}]
    assert [why for *_, why in files.rejects()] == ["3.csv does not fit bronze.shop.orders: column city is missing"]
    files.sound()


def test_a_changed_policy_is_replayed_as_it_was(files: Files) -> None:
    """What a file met when it came is what it meets in a replay, whatever the declaration says today."""
    files.bring("1.csv", "id\n1\n")
    files.bring("2.csv", "id,city\n2,Bonn\n")
    files.bring("3.csv", "id,city,zip\n3,Köln,50667\n", policy="freeze")
    files.bring("4.csv", "id\n4\n", policy="strict")
    assert [row["id"] for row in files.rows()] == ["1", "2", "3"]
    files.sound()


def frame(**columns: Any) -> pl.DataFrame:
    """A typed file."""
    return pl.DataFrame(columns)


@pytest.mark.parametrize(
    ("first", "second", "values", "rescued"),
    [
        (pl.Series([1], dtype=pl.Int64), pl.Series([2], dtype=pl.Int8), [1, 2], None),
        (pl.Series([1], dtype=pl.Int64), pl.Series([2.0, 2.5]), [1, 2, None], '{"x":2.5}'),
        (pl.Series([1], dtype=pl.Int64), pl.Series(["7", "007", "seven"]), [1, 7, None, None], '{"x":"007"}'),
        (pl.Series(["a"]), pl.Series([5, None], dtype=pl.Int64), ["a", "5", None], None),
        (pl.Series([1.5]), pl.Series([2**53, 2**53 + 1], dtype=pl.Int64), [1.5, float(2**53), None], '{"x":9007199254740993}'),
        (pl.Series([True]), pl.Series(["false", "no"]), [True, False, None], '{"x":"no"}'),
        (pl.Series([{"a": 1}]), pl.Series(["text"]), [{"a": 1}, None], '{"x":"text"}'),
    ],
)
def test_a_value_of_another_type_is_exact_or_rescued(files: Files, first: pl.Series, second: pl.Series, values: list[Any], rescued: str | None) -> None:
    """Nothing is cut or turned into null in silence: what the table's type cannot say is in `_rescued`."""
    files.bring("1.parquet", frame(x=first))
    files.bring("2.parquet", frame(x=second))
    rows = files.rows(rescued=True)
    assert [row["x"] for row in rows] == values
    assert next((row[RESCUED] for row in rows if row[RESCUED]), None) == rescued
    assert files.notices()
    files.sound()


@pytest.mark.parametrize(
    ("first", "second", "values"),
    [
        (pl.Series([1], dtype=pl.Int8), pl.Series([300], dtype=pl.Int64), [1, 300]),
        (pl.Series([1.5], dtype=pl.Float32), pl.Series([0.1], dtype=pl.Float64), [1.5, 0.1]),
        (pl.Series([7], dtype=pl.Int32), pl.Series([0.5], dtype=pl.Float64), [7.0, 0.5]),
    ],
)
def test_a_wider_type_widens_the_column_in_a_commit_of_its_own(files: Files, first: pl.Series, second: pl.Series, values: list[Any]) -> None:
    """evolve: no row moves in the widening, older versions stay as they were, and values are exact."""
    files.bring("1.parquet", frame(x=first))
    widening, appending = files.bring("2.parquet", frame(x=second))
    assert [row["x"] for row in files.rows()] == values
    assert (widening.reason, widening.ledger.read, appending.ledger.inserted) == (f"column x widened to {second.dtype}", 0, 1)
    assert files.run.snapshot(path_of(BRONZE.name), 0).schema["x"] == first.dtype
    files.sound()


def test_records_of_other_shapes_grow_a_struct(files: Files) -> None:
    """A field that appears inside a struct is added there; older rows have none."""
    files.bring("1.ndjson", '{"id": 1, "who": {"name": "Ada"}}\n')
    files.bring("2.ndjson", '{"id": 2, "who": {"name": "Bob", "age": 7}}\n')
    files.bring("3.ndjson", '{"id": 3, "who": {"age": 8}}\n')
    assert [row["who"] for row in files.rows()] == [{"name": "Ada", "age": None}, {"name": "Bob", "age": 7}, {"name": None, "age": 8}]
    files.sound()


def test_files_of_one_commit_fit_as_they_would_one_by_one(run: Run, tmp_path: Path, weed_settings: Settings) -> None:
    """Law 6 for columns: added, widened and rescued alike, in one commit or in many."""
    contents = {"1.parquet": frame(x=pl.Series([1], dtype=pl.Int8)), "2.parquet": frame(x=[300], y=["a"]), "3.parquet": frame(y=["b"], x=[1.5])}
    one, many = Files(run, tmp_path / "one", Table("bronze.shop.one")), Files(run, tmp_path / "many", Table("bronze.shop.many"))
    for name, content in contents.items():
        many.bring(name, content)
        content.write_parquet(one.folder / name)
    assert len(one.take()) == 1
    assert one.rows(rescued=True) == many.rows(rescued=True) == [
        {"x": 1, "y": None, RESCUED: None}, {"x": 300, "y": "a", RESCUED: None}, {"x": None, "y": "b", RESCUED: '{"x":1.5}'},
    ]  # fmt: skip


def test_a_renamed_column_is_one_column_in_old_files_and_new(files: Files) -> None:
    """`renamed_from`: the table's column is renamed once; files may go on using either name."""
    files.bring("1.csv", "id,town\n1,Ulm\n")
    done = files.bring("2.csv", "id,city\n2,Bonn\n", renamed_from={"city": "town"})
    assert [outcome.reason for outcome in done] == ["column town renamed to city", "1 new file"]
    files.bring("3.csv", "id,town\n3,Köln\n")
    assert files.rows() == [{"id": "1", "city": "Ulm"}, {"id": "2", "city": "Bonn"}, {"id": "3", "city": "Köln"}]
    assert files.notices() == ["town is column city in 3.csv"]
    assert "town" in files.run.snapshot(path_of(BRONZE.name), 0).schema
    files.sound()


def test_two_runs_at_once_migrate_once(files: Files, weed_settings: Settings) -> None:
    """Whichever commits first: one migration, each file once, under the new name."""
    files.bring("1.csv", "id,town\n1,Ulm\n")
    (files.folder / "2.csv").write_text("id,city\n2,Bonn\n", "utf-8")
    files.table = replace(files.table, renamed_from={"city": "town"})
    land(files.run, files.source)

    def one(_: int) -> list[str]:
        with begin_run(weed_settings, "test", "test") as mine:
            return [outcome.reason for outcome in ingest(mine, files.source) if outcome.changed]

    with ThreadPoolExecutor(4) as pool:
        did = sorted(reason for reasons in pool.map(one, range(4)) for reason in reasons)
    assert did == ["1 new file", "column town renamed to city"]
    assert files.rows() == [{"id": "1", "city": "Ulm"}, {"id": "2", "city": "Bonn"}]
    files.sound()


def test_a_rename_declared_late_joins_both_columns(files: Files) -> None:
    """The new name had come as a column of its own: the two become one, unless a row has both."""
    files.bring("1.csv", "id,town\n1,Ulm\n")
    files.bring("2.csv", "id,city\n2,Bonn\n")
    files.take(renamed_from={"city": "town"})
    assert files.rows() == [{"id": "1", "city": "Ulm"}, {"id": "2", "city": "Bonn"}]
    files.sound()


def test_a_rename_that_would_lose_a_value_is_refused(files: Files) -> None:
    """A row with both columns filled: the table stays as it is."""
    files.bring("1.csv", "id,town,city\n1,Ulm,Bonn\n")
    with pytest.raises(SchemaRefused, match=r"column town renamed to city: values would be lost in city \(1 row\)"):
        files.take(renamed_from={"city": "town"})
    assert files.rows() == [{"id": "1", "town": "Ulm", "city": "Bonn"}]


def test_a_dropped_column_stays_in_raw_alone(files: Files) -> None:
    """`dropped`: it leaves the table, and later files do not bring it back."""
    files.bring("1.csv", "id,phone\n1,555\n")
    done = files.bring("2.csv", "id,phone\n2,556\n", dropped=("phone",))
    assert [outcome.reason for outcome in done] == ["column phone dropped", "1 new file"]
    assert files.rows(rescued=True) == [{"id": "1", RESCUED: None}, {"id": "2", RESCUED: None}]
    assert files.notices() == ["column phone is left in raw in 2.csv"]
    files.sound()


def test_a_declared_type_widens_only_what_is_exact(files: Files) -> None:
    """`types`: whole numbers become floats where each is exact, and not otherwise."""
    files.bring("1.parquet", frame(x=pl.Series([1, 2**53], dtype=pl.Int64)))
    files.bring("2.parquet", frame(x=[0.5]), types={"x": pl.Float64()})
    assert [row["x"] for row in files.rows()] == [1.0, float(2**53), 0.5]
    files.sound()
    other = Files(files.run, files.folder.parent / "other", Table("bronze.shop.other"))
    other.bring("1.parquet", frame(x=pl.Series([2**53 + 1], dtype=pl.Int64)))
    with pytest.raises(SchemaRefused, match=r"values would be lost in x"):
        other.take(types={"x": pl.Float64()})


class Order(Contract):
    """An order."""

    id = dy.Int64(primary_key=True, description="Number")
    city = dy.String(nullable=True, description="Where to")


def _clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("id", "city", *PROVENANCE)


def _follow(table: Table) -> Hop:
    return hop(Table("silver.shop.orders", Order), write="merge", raw=changes(table))(_clean)


def test_what_follows_a_migrated_table_goes_on_where_it_was(files: Files) -> None:
    """No row moves in a migration: what had read them does not read them again; what had not yet reads all, under the new names."""
    files.bring("1.csv", "id,city,junk\n1,Ulm,x\n")
    execute(files.run, _follow(files.table))
    files.take(dropped=("junk",))
    assert execute(files.run, _follow(files.table)).reason == "nothing new"
    files.bring("2.csv", "id,city\n2,Bonn\n")
    assert execute(files.run, _follow(files.table)).ledger.read == 1
    files.bring("3.csv", "id,city,more\n3,Köln,x\n")
    files.take(dropped=("junk", "more"))
    done = execute(files.run, _follow(files.table))
    assert (done.ledger.read, done.ledger.inserted) == (3, 1)
    assert "got other columns" in done.reason


DOCS = {
    1: {"table": "silver.x.t", "version": 1, "columns": [{"name": "late", "type": "integer", "nullable": True}, {"name": "gone", "type": "string", "nullable": True}]},
    2: {
        "table": "silver.x.t", "version": 2,
        "columns": [
            {"name": "delay", "type": "long", "nullable": True, "former": ["late"]}, {"name": "new", "type": "string", "nullable": True},
            {"name": "status", "type": "string", "nullable": False},
        ],
    },
}  # fmt: skip


def test_old_rows_read_under_the_new_schema() -> None:
    """Renamed, widened, dropped and added columns by themselves; one that is never null by its function, which sees the rows as they were."""
    rows = pl.LazyFrame({"late": pl.Series([5, None], dtype=pl.Int32), "gone": ["a", "b"]})
    status = {"status": lambda old: old.with_columns(pl.when(pl.col("late") > 0).then(pl.lit("late")).otherwise(pl.lit("unknown")).alias("status"))}
    told = upcast(rows, [DOCS[1], DOCS[2]], status).collect()
    assert told.to_dicts() == [{"delay": 5, "new": None, "status": "late"}, {"delay": None, "new": None, "status": "unknown"}]
    assert told.schema["delay"] == pl.Int64
    with pytest.raises(SchemaRefused, match=r"there is no status in schema 1, and it is never null in schema 2.*upcasts=\{'status': function\}"):
        upcast(rows, [DOCS[1], DOCS[2]], {})


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"policy": "open"}, "is not one of"),
        ({"columns": ("a",)}, "takes any"),
        ({"dropped": ("a",), "renamed_from": {"a": "b"}}, "dropped or renamed"),
        ({"renamed_from": {"a": "b", "c": "a"}}, "dropped or renamed"),
        ({"dropped": ("_file",)}, "lake's own"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declared: dict[str, Any], why: str) -> None:
    """At import, before anything runs."""
    with pytest.raises(DeclarationError, match=why):
        replace(BRONZE, **declared)


_FLOW = {
    "sources.py": """\
from flows.shop import tables
from lake.source import Source

orders = Source(tables.bronze, "in", "*.csv")
""",
    "tables.py": """\
import dataframely as dy
import polars as pl
from lake.contract import Contract
from lake.table import Table


class Order(Contract):
    id = dy.Int64(primary_key=True)
    late = dy.Int32(nullable=True)


bronze = Table("bronze.shop.orders")
orders = Table("silver.shop.orders", Order)
""",
    "hops.py": """\
import polars as pl
from flows.shop import tables
from lake.contract import PROVENANCE
from lake.hop import changes, hop


@hop(tables.orders, write="merge", raw=changes(tables.bronze))
def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("id", "late", *PROVENANCE)
""",
}
_THEN = """\
import lake

with lake.open(release=1) as then, lake.open() as now:
    orders = then["silver.shop.orders"]
    print(orders.scan().drop("_file", "_row", "_landed").sort("id").collect().to_dicts())
    print(orders.scan(schema="newest").drop("_file", "_row", "_landed").sort("id").collect().to_dicts())
    print(now["silver.shop.orders"].scan().drop("_file", "_row", "_landed").sort("id").collect().to_dicts())
"""


def test_an_old_release_is_read_as_it_was_and_as_the_code_is_now(tmp_path: Path) -> None:
    """A column is renamed and widened, another added that is never null: release 1 stays readable both ways, the newest has the rows recomputed."""
    folder = tmp_path / "flows" / "shop"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.lake]\n", "utf-8")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("id,late\n1,5\n2,7\n", "utf-8")
    for name, text in _FLOW.items():
        (folder / name).write_text(text, "utf-8")
    _process(tmp_path, "-m", "lake", "run", "shop", "--no-prefect")
    tables, hops = _FLOW["tables.py"], _FLOW["hops.py"]
    tables = tables.replace("late = dy.Int32(nullable=True)", "delay = dy.Int64(nullable=True)\n    status = dy.String(nullable=False)")
    tables = tables.replace("Order)", 'Order, renamed_from={"delay": "late"}, upcasts={"status": lambda old: old.with_columns(status=pl.lit("old"))})')
    (folder / "tables.py").write_text(tables, "utf-8")
    (folder / "hops.py").write_text(hops.replace('"late",', 'pl.col("late").alias("delay"), pl.lit("new").alias("status"),'), "utf-8")
    (plan,) = [row for row in json.loads(_process(tmp_path, "-m", "lake", "plan", "--json")) if row["table"] == "silver.shop.orders"]
    assert "column delay renamed from late" in plan["why"]
    _process(tmp_path, "-m", "lake", "run", "shop", "--no-prefect")
    assert _process(tmp_path, "-c", _THEN).splitlines() == [
        "[{'id': 1, 'late': 5}, {'id': 2, 'late': 7}]",
        "[{'id': 1, 'delay': 5, 'status': 'old'}, {'id': 2, 'delay': 7, 'status': 'old'}]",
        "[{'id': 1, 'delay': 5, 'status': 'new'}, {'id': 2, 'delay': 7, 'status': 'new'}]",
    ]


def _process(root: Path, *arguments: str) -> str:
    environment = outside() | {"LAKE_HOME": str(root / "home")}
    done = subprocess.run([sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_strict_table_rejects_a_record_with_an_empty_field_too_many(files: Files) -> None:
    """It has not just the announced fields, though nothing stands in what is beyond them."""
    files.bring("1.csv", "id,city\n1,Ulm\n2,Bonn,\n3,Linz\n", policy="strict")
    assert [row["id"] for row in files.rows()] == ["1", "3"]
