"""Rules a table declares: what each kind does at each severity, followed from raw to the table or its rejects."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from lake.catalog import Catalog
from lake.compact import rearrange
from lake.contract import PROVENANCE, Contract, judge
from lake.errors import ContractBroken, DeclarationError, LakeError
from lake.execute import execute
from lake.handle import TableHandle
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.pipeline import Pipeline
from lake.plan import Range, make_plan
from lake.record import Check, Ledger
from lake.replay import replay
from lake.rules import Rule, expect, fresh, null_share, references, row_count, unique
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table, path_of, quarantine_path_of
from lake.verify import verify
from tests.conftest import ROOT, fresh_env
from tests.tiny import Order, Total, bring, bronze_orders, clean, last_record, orders, rows_of, source_at, sum_orders, total, totals, write_orders

_ROWS: list[tuple[Any, ...]] = [(1, "ann", "1.50", "2024-01-01"), (2, "bob", "2.00", "2024-01-01"), (3, "ann", "4.00", "2024-01-02")]
_TEST_ORDER = (4, "test", "1.00", "2024-01-01")


class Customer(Contract):
    """Who may order."""

    customer = dy.String(primary_key=True, description="Who")
    day = dy.Date(nullable=True, description="Since when")


bronze_customers = Table("bronze.shop.customers")
customers = Table("silver.shop.customers", Customer, max_rejected=1.0)
to_customers: Hop = hop(customers, write="merge", raw=changes(bronze_customers))(lambda raw: raw.select("customer", "day", *PROVENANCE))


def _orders(*rules: Rule, name: str = "silver.shop.orders", **said: Any) -> Table:
    return Table(name, Order, owner="shop", rules=rules, **({"max_rejected": 1.0} | said))


def _cleaned(table: Table, write: Any = "merge", **said: Any) -> Hop:
    return hop(table, write=write, raw=bronze_orders if write == "replace" else changes(bronze_orders), **said)(clean)


def _customers(run: Run, folder: Path, *names: str) -> None:
    """Land these customers, in a file of their own."""
    folder.mkdir(exist_ok=True)
    (folder / f"{'-'.join(names)}.csv").write_text("customer,day\n" + "".join(f"{name},2024-01-01\n" for name in names))
    source = Source(bronze_customers, folder, "*.csv")
    land(run, source)
    ingest(run, source)
    execute(run, to_customers)


def _numbers(run: Run, table: Table, *, stopped: bool = False) -> list[int]:
    """The numbers of the rejected orders."""
    rows = Catalog(run.store).rejects(table.name, stopped=stopped).select(pl.col("row").str.json_path_match("$.order").cast(pl.Int64)).collect()
    return sorted(rows.to_series())


def _asked(files: dict[str, str], question: str) -> list[tuple[Any, ...]]:
    """What DuckDB answers about CSV files, by the names they are given; all columns are text."""
    with duckdb.connect() as oracle:
        for name, path in files.items():
            oracle.read_csv(path, all_varchar=True).create_view(name)
        return oracle.execute(question).fetchall()


def _recomputed(run: Run, one: Hop) -> tuple[Any, ...]:
    """Rows, rejects and content of the table before and after a recomputation, side by side."""

    def now() -> tuple[Any, ...]:
        record = last_record(run, one.table)
        return rows_of(run, one.table), _numbers(run, one.table), record.content, record.rejects

    grown = now()
    execute(run, one, full=True)
    return grown, now()


def test_a_rule_that_warns_keeps_the_row_and_counts_it(run: Run, tmp_path: Path) -> None:
    """Rows that break only rules that warn are in the table, typed; those that break another too are rejected for that."""
    table = _orders(severity={"no_test_customer": "warn", "amount|min": "warn"})
    write_orders(tmp_path, "a.csv", [*_ROWS, _TEST_ORDER, (5, "test", "-1.00", "2024-01-01"), (6, "test", "much", "2024-01-01")])
    bring(run, tmp_path, _cleaned(table))
    record = last_record(run, table)
    assert [row["order"] for row in rows_of(run, table)] == [1, 2, 3, 4, 5]
    assert (record.warned, record.rules) == ({"amount|min": 1, "no_test_customer": 2}, {"amount|dtype": 1})
    assert record.ledger == Ledger(read=6, inserted=5, rejected=1)
    assert _numbers(run, table) == [6]


def test_nothing_is_computed_for_warnings_that_are_not_declared() -> None:
    """Without a rule that warns, the judge does no more than before."""
    judged = judge(Order, pl.LazyFrame({"order": ["1"], "customer": ["a"], "amount": ["1"], "day": [None]}), who="the hop")
    assert judged.doubts == {}
    assert judged.doubtful is judged.good


def test_a_rule_that_fails_stops_a_silver_hop_and_its_rows_can_be_looked_at(run: Run, tmp_path: Path) -> None:
    """The error names rule, count and an example; nothing is published; all rejects are kept until the next commit."""
    write_orders(tmp_path, "a.csv", _ROWS)
    table = _orders(severity={"no_test_customer": "fail"})
    bring(run, tmp_path, _cleaned(table))
    write_orders(tmp_path, "b.csv", [_TEST_ORDER, (5, "ann", "much", "2024-01-01"), (6, "ann", "1.00", "2024-01-01")])
    with pytest.raises(
        ContractBroken,
        match=r'1 of 3 rows break no_test_customer \(1\): Test orders are not orders; e\.g\. .*"order":"4".*lake rejects silver\.shop\.orders --stopped',
    ):
        bring(run, tmp_path, _cleaned(table))
    assert (run.log(path_of(table.name)).version(), _numbers(run, table)) == (0, [])
    assert _numbers(run, table, stopped=True) == [4, 5]
    bring(run, tmp_path, _cleaned(_orders()))
    assert (_numbers(run, table), _numbers(run, table, stopped=True)) == ([4, 5], [])


@pytest.mark.parametrize(
    ("severity", "left", "rejects"), [("warn", {"ann": 2, "bob": 1}, 0), ("quarantine", {"ann": 2}, 1), ("fail", None, 0), (None, None, 0)]
)
def test_gold_may_be_told_to_let_rows_pass(run: Run, tmp_path: Path, severity: Any, left: dict[str, int] | None, rejects: int) -> None:
    """A gold table fails by default, and sets aside or warns where it says so."""
    gold = Table("gold.shop.totals", Total, severity={"orders|min": severity} if severity else {}, max_rejected=1.0)

    def short(orders: pl.LazyFrame) -> pl.LazyFrame:
        bob = pl.when(pl.col("customer") != "bob").then(pl.col("orders")).otherwise(0)
        return total(orders).with_columns(bob.alias("orders"), pl.col("orders").alias("n")).drop("n")

    summed = hop(gold, counts="orders", expands="bob is not counted", filters="bob is not counted", orders=orders)(short)
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path, _cleaned(orders))
    if left is None:
        with pytest.raises(ContractBroken, match=r"1 of 2 rows break orders\|min"):
            execute(run, summed)
        return
    execute(run, summed)
    assert [row["customer"] for row in rows_of(run, gold)] == list(left)
    record = last_record(run, gold)
    assert (record.rejects, record.warned) == (rejects, {"orders|min": 1} if severity == "warn" else {})


_ANN = (1, "ann", "1.00", "2024-01-01")


@pytest.mark.parametrize("severity", ["warn", "fail"])
def test_a_value_that_comes_twice_is_found_whatever_commit_it_came_in(run: Run, tmp_path: Path, severity: Any) -> None:
    """Unique columns of a merged table: a repetition within a batch, against an earlier file, and one that an update makes or ends; nulls do not count."""
    table = _orders(unique("customer", "day", severity=severity))
    one = _cleaned(table)

    def brought(name: str, *rows: tuple[Any, ...]) -> bool:
        write_orders(tmp_path, name, list(rows))
        try:
            bring(run, tmp_path, one)
        except ContractBroken as broken:
            assert "unique(customer, day): 1 value is there more than once, 1 row too many, e.g. customer=ann, day=2024-01-01" in str(broken)  # noqa: PT017
            return False
        return last_record(run, table).checks[0].holds

    assert brought("a.csv", _ANN, (2, "bob", "1.00", "2024-01-01"))
    assert brought("b.csv", (3, "ann", "1.00", "2024-01-02"))
    assert not brought("c.csv", (4, "ann", "1.00", "2024-01-01"), (5, "zoe", "1.00", "2024-01-09")), "against an earlier file"
    assert brought("d.csv", (1, "cy", "1.00", "2024-01-01")), "the earlier row is another now"
    assert not brought("e.csv", (6, "dee", "1.00", "2024-01-01"), (7, "ann", "1.00", "2024-01-01")), "against the row that stopped the run before"
    assert not brought("f.csv", (8, "eve", "1.00", "2024-01-01")), "it still is there"
    assert brought("g.csv", (7, "fay", "1.00", "2024-01-01"))
    assert not brought("h.csv", (8, "ann", "1.00", "2024-01-01")), "an update that makes a repetition"
    published = 8 if severity == "warn" else 4
    assert len([record for _, record in run.log(path_of(table.name)).records()]) == published


def test_nulls_repeat_nothing(run: Run, tmp_path: Path) -> None:
    """A row where a unique column is null repeats no other."""

    def undated(raw: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).with_columns(pl.lit(None, dtype=pl.String).alias("day"))

    for write, severity in (("merge", "fail"), ("replace", "quarantine")):
        table = _orders(unique("customer", "day", severity=severity), name=f"silver.shop.{write}")  # type: ignore[arg-type]  # the two that suit
        write_orders(tmp_path, "a.csv", _ROWS)
        bring(run, tmp_path, hop(table, write=write, raw=bronze_orders if write == "replace" else changes(bronze_orders))(undated))  # type: ignore[arg-type]
        assert len(rows_of(run, table)) == 3


def test_only_files_that_may_hold_a_value_are_read_to_look_for_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch's values are sought where the log's bounds allow them; where nothing repeated before, no other file is opened."""
    import lake.checks as checks

    table = _orders(unique("customer"), severity={})
    for name, row in (("a.csv", (1, "ann", "1.00", "")), ("b.csv", (2, "kim", "1.00", "")), ("c.csv", (3, "zoe", "1.00", ""))):
        write_orders(tmp_path, name, [row[:3] + ("2024-01-01",)])
        bring(run, tmp_path, _cleaned(table))
    read: list[int] = []
    real = checks.scan_files

    def noted(store: Any, path: str, schema: Any, files: Any, **kwargs: Any) -> pl.LazyFrame:
        read.append(len(files))
        return real(store, path, schema, files, **kwargs)

    monkeypatch.setattr(checks, "scan_files", noted)
    write_orders(tmp_path, "d.csv", [(4, "leo", "1.00", "2024-01-01")])
    bring(run, tmp_path, _cleaned(table))
    assert read == [0]
    write_orders(tmp_path, "e.csv", [(5, "kim", "1.00", "2024-01-01")])
    with pytest.raises(ContractBroken, match="customer=kim"):
        bring(run, tmp_path, _cleaned(table))
    assert read == [0, 1]


def test_of_rows_that_repeat_the_first_stays_as_duckdb_would_have_it(run: Run, tmp_path: Path) -> None:
    """A replaced table keeps of each repeated value the row that landed first, after keys are settled; the ledger and the rejects have the others."""
    table = _orders(unique("customer", "day", severity="quarantine"))
    rows = [(n, ["ann", "bob", "cy"][n % 3], f"{n}.00", f"2024-01-0{1 + n % 2}") for n in range(29, 0, -1)] + [(2, "dee", "1.00", "2024-01-01")]
    write_orders(tmp_path, "a.csv", rows)
    bring(run, tmp_path, _cleaned(table, "replace"))
    last = _asked(
        {"landed": str(tmp_path / "a.csv")},
        "with raw as (select *, row_number() over () as n from landed), "
        'settled as (select * from raw qualify row_number() over (partition by "order" order by n desc) = 1) '
        'select "order", row_number() over (partition by customer, day order by n) = 1 as first from settled order by "order"::int',
    )
    assert [row["order"] for row in rows_of(run, table)] == [int(order) for order, first in last if first]
    assert _numbers(run, table) == sorted(int(order) for order, first in last if not first)
    record = last_record(run, table)
    assert record.rules == {"unique(customer, day)": len([1 for _, first in last if not first])}
    assert record.ledger.superseded == 1
    before, after = _recomputed(run, _cleaned(table, "replace"))
    assert before == after


class Place(Contract):
    """A customer's place in the order of a day."""

    day = dy.Date(primary_key=True, description="When")
    customer = dy.String(primary_key=True, description="Who")
    amount = dy.Decimal(38, 2, nullable=False, metadata={"unit": "EUR"}, description="What for")


def _places(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders.group_by("day", "customer").agg(pl.col("amount").sum().cast(pl.Decimal(38, 2)))


def test_groups_recomputed_by_key_have_the_rejects_of_a_full_recomputation(run: Run, tmp_path: Path) -> None:
    """A group that is computed again takes its earlier rejects with it: whether it has others now, the same or none."""
    places = Table("gold.shop.places", Place, rules=(unique("day", "amount", severity="quarantine"),), max_rejected=1.0)
    placed = hop(places, write="by_key", by=("day",), filters="customers of a day are summed up", orders=changes(orders))(_places)

    def state() -> tuple[Any, ...]:
        rejects = Catalog(run.store).rejects(places.name).select("row", "rules").collect().sort("row").rows()
        return rows_of(run, places), rejects, last_record(run, places).rejects

    def brought(name: str, *rows: tuple[Any, ...]) -> None:
        write_orders(tmp_path, name, list(rows))
        bring(run, tmp_path, _cleaned(orders), placed)
        grown = state()
        assert last_record(run, places).mode == ("full" if name == "a.csv" else "incremental")
        execute(run, placed, full=True)
        assert state() == grown
        told.append([row[0] for row in grown[1]])

    told: list[list[str]] = []
    brought("a.csv", (1, "ann", "1.00", "2024-01-01"), (2, "bob", "1.00", "2024-01-01"), (3, "ann", "1.00", "2024-01-02"), (4, "bob", "1.00", "2024-01-02"))
    brought("b.csv", (5, "cy", "1.00", "2024-01-01"))
    brought("c.csv", (2, "bob", "7.00", "2024-01-01"))
    brought("d.csv", (4, "bob", "7.00", "2024-01-02"))
    assert [len(rejects) for rejects in told] == [2, 3, 2, 1]


@pytest.mark.parametrize("severity", ["warn", "quarantine", "fail"])
def test_a_reference_that_nothing_meets(run: Run, tmp_path: Path, severity: Any) -> None:
    """An unknown customer: the row stays and is counted, is rejected with its values as they came, or stops the hop; DuckDB finds the same."""
    table = _orders(references("customer", customers, severity=severity))
    write_orders(tmp_path / "o", "a.csv", [*_ROWS, _TEST_ORDER, (5, "zoe", "much", "2024-01-01"), (6, "zoe", "007.5", "2024-01-01")])
    _customers(run, tmp_path / "c", "ann", "eve")
    one = _cleaned(table)
    if severity == "fail":
        with pytest.raises(
            ContractBroken, match=r"3 of 6 rows break customer in silver\.shop\.customers \(3\): customer of silver\.shop\.customers has the value"
        ):
            bring(run, tmp_path / "o", one)
        assert _numbers(run, table, stopped=True) == [2, 4, 5, 6]
        return
    bring(run, tmp_path / "o", one)
    record = last_record(run, table)
    assert [(given.table, given.kind) for given in record.inputs] == [(bronze_orders.name, "changes"), (customers.name, "snapshot")]
    unmet = _asked(
        {"landed": str(tmp_path / "o" / "a.csv"), "known": str(tmp_path / "c" / "*.csv")},
        "select \"order\" from landed where try_cast(amount as decimal(12,2)) is not null and customer != 'test' "
        "and customer not in (select customer from known)",
    )
    numbers = sorted(int(row[0]) for row in unmet)
    assert numbers == [2, 6]
    if severity == "warn":
        assert record.warned == {"customer in silver.shop.customers": len(numbers)}
        assert [row["order"] for row in rows_of(run, table)] == [1, 2, 3, 6]
    else:
        assert set(numbers) <= set(_numbers(run, table))
        (kept,) = Catalog(run.store).rejects(table.name).filter(pl.col("row").str.contains('"order":"6"')).collect().to_dicts()
        assert ('"amount":"007.5"' in kept["row"], kept["rules"]) == (True, ["customer in silver.shop.customers"])
        assert record.ledger == Ledger(read=6, inserted=2, rejected=4)


def test_rows_come_back_when_what_they_refer_to_arrives(run: Run, tmp_path: Path) -> None:
    """A customer that lands after their orders: the plan says why all is judged anew, and increments end where a recomputation does (law 6)."""
    table = _orders(references("customer", customers))
    one = _cleaned(table)
    write_orders(tmp_path / "o", "a.csv", _ROWS)
    _customers(run, tmp_path / "c", "ann")
    bring(run, tmp_path / "o", one)
    assert _numbers(run, table) == [2]
    write_orders(tmp_path / "o", "b.csv", [(9, "bob", "1.00", "2024-01-03"), (8, "ann", "1.00", "2024-01-03")])
    bring(run, tmp_path / "o", one)
    assert (_numbers(run, table), last_record(run, table).mode) == ([2, 9], "incremental")
    _customers(run, tmp_path / "c", "bob", "cy")
    assert make_plan(run, one).reason == "full, because silver.shop.customers changed, which every row was computed with"
    execute(run, one)
    assert ([row["order"] for row in rows_of(run, table)], _numbers(run, table)) == ([1, 2, 3, 8, 9], [])
    before, after = _recomputed(run, one)
    assert before == after


Delivery = tuple[list[tuple[int, str]], list[str]]
_WHO = st.sampled_from(["ann", "bob", "cy", "dee", "test"])
deliveries = st.lists(st.tuples(st.lists(st.tuples(st.integers(1, 6), _WHO), max_size=4), st.lists(_WHO, max_size=2)), min_size=1, max_size=4)


@given(deliveries)
@budget(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_rules_judge_alike_in_any_increments(weed_home: Path, tmp_path_factory: pytest.TempPathFactory, parts: list[Delivery]) -> None:
    """Orders and customers in any order and any batches: rows, rejects and what the rules of the table find are those of a recomputation, and of a plain dictionary."""
    table = _orders(references("customer", customers), unique("customer", severity="warn"), null_share("customer", at_most=0.0))
    one = _cleaned(table)
    folder = tmp_path_factory.mktemp("files")
    said: dict[tuple[int, int], tuple[int, str]] = {}
    known = {"zoe"}
    with begin_run(load_settings(home=weed_home, root=ROOT, env=fresh_env()), "test", "test") as run:
        _customers(run, folder / "c", "zoe")
        for number, (rows, names) in enumerate(parts):
            said |= {(number, place): row for place, row in enumerate(rows)}
            known |= set(names)
            write_orders(folder / "o", f"{number}.csv", [(order, name, f"{number}.00", "2024-01-01") for order, name in rows])
            _customers(run, folder / "c", f"n{number}", *dict.fromkeys(names))
            bring(run, folder / "o", one)
        good = {order: name for order, name in said.values() if name in known and name != "test"}
        assert {row["order"]: row["customer"] for row in rows_of(run, table)} == good
        assert _numbers(run, table) == sorted(order for order, name in said.values() if name not in known or name == "test")
        grown = {check.name: (check.holds, check.value) for check in last_record(run, table).checks}
        assert grown["unique(customer)"][0] == (len(set(good.values())) == len(good))
        before, after = _recomputed(run, one)
        assert before == after
        assert {check.name: (check.holds, check.value) for check in last_record(run, table).checks} == grown


def test_a_table_may_be_followed_and_referred_to(run: Run, tmp_path: Path) -> None:
    """Read as changes and referred to, a table is pinned at one version for both; when it moves, all rows are judged anew."""
    friends = Table("silver.shop.friends", Customer, max_rejected=1.0, rules=(references("customer", customers),))

    def next_of(people: pl.LazyFrame) -> pl.LazyFrame:
        return people.with_columns(pl.col("customer").replace({"ann": "bob"}))

    one = hop(friends, write="merge", people=changes(customers))(next_of)
    _customers(run, tmp_path, "ann")
    execute(run, one)
    assert (rows_of(run, friends), last_record(run, friends).rejects) == ([], 1)
    _customers(run, tmp_path, "bob")
    execute(run, one)
    record = last_record(run, friends)
    assert ([row["customer"] for row in rows_of(run, friends)], record.rejects, record.mode) == (["bob"], 0, "full")
    assert [(given.kind, given.end) for given in record.inputs] == [("changes", 1), ("snapshot", 1)]
    assert make_plan(run, one).reason == "nothing new"


def test_rows_that_delete_refer_to_nothing(run: Run, tmp_path: Path) -> None:
    """Of a merge with deletions, rules that warn and references judge the rows that stay; a row that deletes is judged by its key alone."""
    table = _orders(references("customer", customers), severity={"amount|min": "warn"})

    def leaving(raw: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).with_columns((pl.col("customer") == "gone").alias("gone"))

    one = hop(table, write="merge", deletes="gone", raw=changes(bronze_orders))(leaving)
    _customers(run, tmp_path / "c", "ann")
    write_orders(tmp_path / "o", "a.csv", [(1, "ann", "-1", "2024-01-01"), (2, "ann", "1", "2024-01-01"), (3, "bob", "1", "2024-01-01")])
    bring(run, tmp_path / "o", one)
    assert (last_record(run, table).warned, _numbers(run, table)) == ({"amount|min": 1}, [3])
    write_orders(tmp_path / "o", "b.csv", [(1, "gone", "-1", "2024-01-02")])
    bring(run, tmp_path / "o", one)
    assert ([row["order"] for row in rows_of(run, table)], last_record(run, table).warned, _numbers(run, table)) == ([2], {}, [3])


def test_a_range_is_judged_by_the_same_rules(run: Run, tmp_path: Path) -> None:
    """A backfill warns of rows of its range alone, refers to the version the table was made with, and changes nothing that was right."""
    table = _orders(references("customer", customers), unique("customer", "day", severity="warn"), severity={"amount|min": "warn"}, time="day")
    one = _cleaned(table)
    _customers(run, tmp_path / "c", "ann")
    rows = [(1, "ann", "-1", "2024-01-01"), (2, "ann", "-1", "2024-01-02"), (3, "bob", "-1", "2024-01-02"), (4, "ann", "1", "2024-01-02")]
    write_orders(tmp_path / "o", "a.csv", rows)
    bring(run, tmp_path / "o", one)
    was, rejected, checks = rows_of(run, table), _numbers(run, table), last_record(run, table).checks
    _customers(run, tmp_path / "c", "bob")
    outcome = execute(run, one, backfill=Range("2024-01-02"))
    record = last_record(run, table)
    assert (record.mode, record.warned, record.checks, [given.end for given in record.inputs]) == ("range", {"amount|min": 1}, checks, [0, 0])
    assert (outcome.ledger.inserted + outcome.ledger.updated + outcome.ledger.deleted, rows_of(run, table), _numbers(run, table)) == (0, was, rejected)
    execute(run, one)
    assert [row["order"] for row in rows_of(run, table)] == [1, 2, 3, 4]


def test_references_of_several_columns_and_types(run: Run, tmp_path: Path) -> None:
    """Columns refer together; text is compared as the type it is read as; a null among them refers to nothing."""
    table = _orders(references(("customer", "day"), customers, to=("customer", "day")), references("order", _NUMBERED, to="order", severity="warn"))
    write_orders(tmp_path / "o", "a.csv", [(1, "ann", "1.00", "2024-01-01"), ("02", "ann", "1.00", "2024-02-02"), (3, "bob", "1.00", "2024-01-01")])
    _customers(run, tmp_path / "c", "ann")
    bring(run, tmp_path / "o", _cleaned(_NUMBERED))
    execute(run, _cleaned(table))
    assert [row["order"] for row in rows_of(run, table)] == [1]
    assert last_record(run, table).rules == {"(customer, day) in silver.shop.customers(customer, day)": 2}
    assert last_record(run, table).warned == {}


def test_a_null_refers_to_nothing(run: Run, tmp_path: Path) -> None:
    """Where one of the columns is null the row passes; a value that cannot be read is rejected for that alone."""
    table = _orders(references(("customer", "day"), customers, to=("customer", "day")))

    def undated(raw: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).with_columns(pl.when(pl.col("day") != "").then(pl.col("day")))

    write_orders(
        tmp_path / "o", "a.csv", [(1, "zoe", "1.00", ""), (2, "zoe", "1.00", "2024-01-01"), (3, "zoe", "1.00", "soon"), (4, "ann", "1.00", "2024-01-01")]
    )
    _customers(run, tmp_path / "c", "ann")
    bring(run, tmp_path / "o", hop(table, write="merge", raw=changes(bronze_orders))(undated))
    assert [row["order"] for row in rows_of(run, table)] == [1, 4]
    assert last_record(run, table).rules == {"(customer, day) in silver.shop.customers(customer, day)": 1, "day|date": 1}


_NUMBERED = Table("silver.shop.numbered", Order, max_rejected=1.0)


def test_a_hop_that_reads_the_table_already_uses_that_version(run: Run, tmp_path: Path) -> None:
    """A table read as a snapshot and referred to is one input, in the plan, in the record and upstream."""
    table = _orders(references("customer", customers))

    def known(raw: pl.LazyFrame, people: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).join(people.select("customer"), on="customer", how="left")

    one = hop(table, write="merge", raw=changes(bronze_orders), people=customers)(known)
    assert one.upstream() == [bronze_orders.name, customers.name]
    write_orders(tmp_path / "o", "a.csv", _ROWS)
    _customers(run, tmp_path / "c", "ann")
    bring(run, tmp_path / "o", one)
    assert [given.table for given in last_record(run, table).inputs] == [bronze_orders.name, customers.name]
    assert _numbers(run, table) == [2]


def test_a_table_referred_to_makes_no_table_fresher(run: Run, tmp_path: Path) -> None:
    """The newest raw file that reached a table is one whose rows came in, not one that they were held against."""
    gold = Table("gold.shop.copies", Total, rules=(references("customer", customers, severity="warn"),))
    write_orders(tmp_path / "o", "a.csv", _ROWS)
    bring(run, tmp_path / "o", _cleaned(orders), sum_orders)
    _customers(run, tmp_path / "c", "ann")
    execute(run, hop(gold, sums=totals)(lambda sums: sums))
    assert last_record(run, gold).warned == {"customer in silver.shop.customers": 1}
    assert last_record(run, gold).freshest == last_record(run, orders).freshest != last_record(run, customers).freshest


def test_a_table_referred_to_must_be_there(run: Run, tmp_path: Path) -> None:
    """A reference to a table that nothing has filled yet is told like any other input that is missing."""
    write_orders(tmp_path, "a.csv", _ROWS)
    with pytest.raises(LakeError, match=r"silver\.shop\.orders reads silver\.shop\.customers, which does not exist yet"):
        bring(run, tmp_path, _cleaned(_orders(references("customer", customers))))


def _checked(run: Run, folder: Path, rule: Rule, *batches: list[tuple[Any, ...]], write: Any = "merge") -> list[Check | str]:
    """What the rule found at each commit, or the error it made."""
    table = _orders(rule)
    found: list[Check | str] = []
    for number, rows in enumerate(batches):
        write_orders(folder, f"{number}.csv", rows)
        try:
            bring(run, folder, _cleaned(table, write))
            found += last_record(run, table).checks
        except ContractBroken as broken:
            found.append(str(broken))
    return found


@pytest.mark.parametrize("severity", ["warn", "fail"])
def test_how_many_rows_there_are(run: Run, tmp_path: Path, severity: Any) -> None:
    """Against bounds, and against the last version."""
    rule = row_count(within=0.5, at_most=6, severity=severity)
    first, same, more, *_ = _checked(run, tmp_path, rule, _ROWS, [(1, "ann", "9.00", "2024-01-01")], [(n, "cy", "1.00", "2024-01-01") for n in range(4, 8)])
    assert first == Check(name="row_count", severity=severity, holds=True, value="3 rows", limit="at most 6 rows, within 50.0% of the last version")
    assert isinstance(same, Check)
    assert same.value == "3 rows, +0.0% against 3"
    if severity == "fail":
        asked = "row_count: 7 rows, +133.3% against 3; asked is at most 6 rows, within 50.0% of the last version. Nothing was published"
        assert isinstance(more, str)
        assert asked in more
    else:
        assert isinstance(more, Check)
        assert (more.holds, more.value) == (False, "7 rows, +133.3% against 3")


def test_how_many_values_are_null(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted over the whole table as it would be; of files that stay, from the log alone."""
    import lake.checks as checks

    read: list[int] = []
    real = checks.scan_files
    monkeypatch.setattr(checks, "scan_files", lambda store, path, schema, files, **more: (read.append(len(files)), real(store, path, schema, files, **more))[1])
    table = _orders(null_share("day", at_most=0.4))

    def undated(raw: pl.LazyFrame) -> pl.LazyFrame:
        return clean(raw).with_columns(pl.when(pl.col("day") != "never").then(pl.col("day")))

    one = hop(table, write="append", raw=changes(bronze_orders))(undated)
    for number, row in enumerate([(1, "ann", "1.00", "2024-01-01"), (2, "ann", "1.00", "2024-01-01"), (3, "ann", "1.00", "never")]):
        write_orders(tmp_path, f"{number}.csv", [row])
        bring(run, tmp_path, one)
    assert [check.value for check in last_record(run, table).checks] == ["33.33% null (1 of 3 rows)"]
    write_orders(tmp_path, "9.csv", [(4, "ann", "1.00", "never")])
    with pytest.raises(ContractBroken, match=r"null_share\(day\): 50\.00% null \(2 of 4 rows\); asked is at most 40\.00% null"):
        bring(run, tmp_path, one)
    assert set(read) == {0}


_NUMBER = dy.Int64(primary_key=True, description="Which")
_VALUE = dy.Float64(nullable=True, allow_inf=True, metadata={"unit": "1"}, description="What was measured")


@pytest.mark.parametrize("fillers", [0, 40])
def test_columns_that_the_log_says_nothing_of_are_read(run: Run, tmp_path: Path, fillers: int) -> None:
    """A file with a number that JSON cannot spell has no statistics in the log, nor has a column far to the right; their nulls count all the same."""
    more = {f"c{number}": dy.String(nullable=True, description="Nothing") for number in range(fillers)}
    measure = type("Measure", (Contract,), {"__doc__": "A measurement.", "number": _NUMBER, **more, "value": _VALUE})
    table = Table("silver.shop.measures", measure, rules=(null_share("value", at_most=1.0),))
    bronze = Table("bronze.shop.measures")

    def read(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("number", *(pl.lit("x").alias(name) for name in more), pl.col("value").replace("none", None), *PROVENANCE)

    one = hop(table, write="append", raw=changes(bronze))(read)
    source = Source(bronze, tmp_path, "*.csv")
    found = []
    for number, values in enumerate((["inf", "none"], ["1", "none", "none"], ["2"])):
        (tmp_path / f"{number}.csv").write_text("number,value\n" + "".join(f"{10 * number + n},{value}\n" for n, value in enumerate(values)))
        land(run, source)
        ingest(run, source)
        execute(run, one)
        found += [check.value for check in last_record(run, table).checks]
    assert found == ["50.00% null (1 of 2 rows)", "60.00% null (3 of 5 rows)", "50.00% null (3 of 6 rows)"]


def test_how_old_the_newest_value_is(run: Run, tmp_path: Path) -> None:
    """Against the start of the run; old values that come in later do not make a table older."""
    today = run.info.started.date()
    days = [(today - dt.timedelta(days=back)).isoformat() for back in (5, 1, 9)]
    old, new, older = _checked(run, tmp_path, fresh("day", within=dt.timedelta(days=3)), *([(n, "ann", "1.00", day)] for n, day in enumerate(days)))
    assert isinstance(old, str)
    assert "fresh(day): the newest is" in old
    assert "asked is at most 3 days, 0:00:00 before the run" in old
    assert all(isinstance(check, Check) and check.holds and f"{days[1]} 00:00 UTC" in check.value for check in (new, older))


class Sighting(Contract):
    """When something was seen."""

    number = dy.Int64(primary_key=True, description="Which")
    at = dy.Datetime(nullable=True, time_zone="UTC", time_unit="us", description="When")
    local = dy.Datetime(nullable=True, time_unit="us", description="When, by a clock without a zone")
    day = dy.Date(nullable=True, description="On which day")


def test_freshness_of_instants_clocks_and_days_that_no_calendar_has(run: Run, tmp_path: Path) -> None:
    """Instants and clocks are compared to the microsecond they hold (the log's milliseconds at worst); a year beyond 9999 is after now, and no failure."""
    within = dt.timedelta(hours=2)
    rules = (*(fresh(name, within=within, severity="warn") for name in ("at", "local", "day")), unique("day", severity="warn"))
    table, bronze = Table("silver.shop.sightings", Sighting, rules=rules), Table("bronze.shop.sightings")
    now = run.info.started.replace(tzinfo=None)

    def seen(raw: pl.LazyFrame) -> pl.LazyFrame:
        back = pl.lit(now) - pl.duration(minutes=pl.col("minutes").cast(pl.Int64))
        far = pl.when(pl.col("number") != "0").then(pl.lit(4_000_000, dtype=pl.Int32).cast(pl.Date))
        return raw.select("number", back.dt.replace_time_zone("UTC").alias("at"), back.alias("local"), far.alias("day"), *PROVENANCE)

    one = hop(table, write="append", raw=changes(bronze))(seen)
    found = []
    for number, minutes in enumerate((121, 119, 500)):
        (tmp_path / f"{number}.csv").write_text(f"number,minutes\n{number},{minutes}\n")
        land(run, Source(bronze, tmp_path, "*.csv"))
        ingest(run, Source(bronze, tmp_path, "*.csv"))
        execute(run, one)
        found.append([check.holds for check in last_record(run, table).checks])
    assert found == [[False, False, False, True], [True, True, True, True], [True, True, True, False]]
    told = {check.name: check.value for check in last_record(run, table).checks}
    assert "1:5" in told["fresh(at)"]
    assert told["fresh(at)"].endswith("before the run")
    assert told["fresh(day)"] == "the newest is of a year that no calendar here has"
    assert told["unique(day)"].endswith("e.g. day=+12921-08-18")


def test_an_expectation_is_asked_of_all_rows(run: Run, tmp_path: Path) -> None:
    """An aggregate over the rows that stay and those that come; null is not true."""
    rule = expect("sum_is_small", pl.col("amount").sum() < 10)
    small, large = _checked(run, tmp_path, rule, _ROWS, [(4, "ann", "5.00", "2024-01-01")])
    assert isinstance(small, Check)
    assert (small.holds, small.value) == (True, "true")
    assert isinstance(large, str)
    assert "sum_is_small: false; asked is" in large
    some, none = expect("some", pl.col("amount").max() > 0, severity="warn"), expect("none", pl.len() < 1, severity="warn")
    recent = fresh("day", within=dt.timedelta(days=3), severity="warn")
    table = _orders(some, none, recent, null_share("day", at_most=0.0), name="silver.shop.empty")
    nothing = hop(table, write="append", filters="none", raw=changes(bronze_orders))(lambda raw: clean(raw).filter(pl.lit(False)))
    execute(run, nothing)
    assert [(check.name, check.holds, check.value) for check in last_record(run, table).checks] == [
        ("some", False, "null"), ("none", True, "true"), ("fresh(day)", False, "there is no value"), ("null_share(day)", True, "0.00% null (0 of 0 rows)"),
    ]  # fmt: skip


def test_rules_of_a_moment_are_not_asked_of_another(run: Run, tmp_path: Path) -> None:
    """A run that judges no moment (a replay) leaves out freshness and change; what rows alone decide is still asked."""
    rules = (fresh("day", within=dt.timedelta(1)), row_count(within=0.1, at_least=1), expect("some", pl.len() > 0), unique("order"))
    table = _orders(*rules)
    write_orders(tmp_path, "a.csv", _ROWS)
    again = Run(run.settings, run.store, run.info, judges_moment=False)
    bring(again, tmp_path, _cleaned(table))
    write_orders(tmp_path, "b.csv", [(n, "cy", "1.00", "2024-01-01") for n in range(10, 20)])
    bring(again, tmp_path, _cleaned(table))
    assert [check.name for check in last_record(run, table).checks] == ["row_count", "some", "unique(order)"]


_UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"severity": {"no_test_custmer": "warn"}}, "no rule is called 'no_test_custmer'.*Did you mean no_test_customer"),
    ({"severity": {"no_test_customer": "shout"}}, "severity 'shout'.*warn, quarantine, fail"),
    ({"severity": {"customer|nullability": "warn"}}, "cannot be kept with a warning"),
    ({"severity": {"amount|dtype": "warn"}}, "cannot be kept with a warning"),
    ({"severity": {"day|date": "warn"}}, "cannot be kept with a warning"),
    ({"severity": {"order|nullability": "warn"}}, "cannot be kept with a warning"),
    ({"rules": (unique(),)}, "names no column"),
    ({"rules": (unique("custmer"),)}, "no column is called 'custmer'.*Did you mean customer"),
    ({"rules": (unique("day"), unique("day", severity="warn"))}, r"unique\(day\) is there twice"),
    ({"rules": (expect("no_test_customer", pl.len() > 0),)}, "is there twice"),
    ({"rules": (references("customer", customers, to="custommer"),)}, "Did you mean customer"),
    ({"rules": (references("order", customers),)}, "order is Int64, and customer of silver.shop.customers is String"),
    ({"rules": (references(("customer", "day"), customers),)}, "not as many columns"),
    ({"rules": (row_count(),)}, "asks nothing"),
    ({"rules": (row_count(at_least=3, at_most=2),)}, "can never hold"),
    ({"rules": (row_count(at_least=3, severity="quarantine"),)}, "no row to set aside"),
    ({"rules": (null_share("day", at_most=3),)}, "is no share"),
    ({"rules": (fresh("customer", within=dt.timedelta(1)),)}, "neither a date nor an instant"),
    ({"rules": (expect("x", pl.col("amount") > 0),)}, "not one Boolean"),
    ({"rules": (expect("x", pl.col("amont").max() > 0),)}, "Did you mean amount"),
    ({"rules": (expect("x", pl.col("customer").sum() > 0),)}, "cannot be evaluated|not one Boolean"),
    ({"max_rejected": 1.1}, "share from 0 to 1"),
]


@pytest.mark.parametrize(("said", "why"), _UNFIT)
def test_a_rule_that_could_not_be_meant_is_refused_when_it_is_declared(said: dict[str, Any], why: str) -> None:
    """Names that do not exist, severities that would not work, questions that have no answer."""
    with pytest.raises(DeclarationError, match=why):
        Table("silver.shop.orders", Order, **said)


@pytest.mark.parametrize("write", ["merge", "append"])
def test_setting_repeats_aside_needs_all_rows_at_once(write: Any) -> None:
    """Where increments come, which row is the first depends on their order."""
    with pytest.raises(DeclarationError, match="would depend on the order in which they come"):
        _cleaned(_orders(unique("customer", severity="quarantine")), write)
    with pytest.raises(DeclarationError, match="would depend on the order"):
        hop(_orders(unique("customer", severity="quarantine")), write="replace", raw=changes(bronze_orders))(clean)
    with pytest.raises(DeclarationError, match="would depend on the order"):
        hop(Table("gold.shop.places", Place, rules=(unique("amount", severity="quarantine"),)), write="by_key", by=("day",), orders=changes(orders))(_places)
    with pytest.raises(DeclarationError, match="refers to the table that the hop fills"):
        _cleaned(_orders(references("customer", orders, to="customer")))


def test_bronze_has_no_rules() -> None:
    """Bronze keeps what came; rules stand where rows are judged."""
    with pytest.raises(DeclarationError, match="no hop fills it"):
        Table("bronze.shop.orders", rules=(row_count(at_least=1),))


def test_a_range_cannot_say_which_row_is_the_first(run: Run, tmp_path: Path) -> None:
    """A backfill of a table that sets repeats aside is refused, with what to do instead."""
    table = _orders(unique("customer", severity="quarantine"), time="day")
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path, _cleaned(table, "replace"))
    with pytest.raises(DeclarationError, match=r"may lie outside a range.*--full"):
        make_plan(run, _cleaned(table, "replace"), backfill=Range("2024-01-01"))


def test_what_is_declared_is_part_of_the_fingerprint_and_of_the_schema(run: Run, tmp_path: Path) -> None:
    """A rule or a severity that changes recomputes the table and makes a schema version; a table without any is as it was."""
    marks = [_cleaned(_orders(*rules, severity=severity)).fingerprint for rules, severity in (
        ((), {}), ((), {"no_test_customer": "warn"}), ((), {"no_test_customer": "fail"}), ((unique("day"),), {}), ((unique("day", severity="warn"),), {}),
        ((expect("x", pl.len() > 1),), {}), ((expect("x", pl.len() > 2),), {}), ((references("customer", customers),), {}),
    )]  # fmt: skip
    assert len(set(marks)) == len(marks)
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path, _cleaned(_orders()))
    assert last_record(run, orders).schema_document is not None
    assert "checks" not in (last_record(run, orders).schema_document or {})
    bring(run, tmp_path, _cleaned(_orders(row_count(at_least=1), severity={"no_test_customer": "warn"})))
    record = last_record(run, orders)
    assert (
        record.reason == "full, because the contract changed: severity of no_test_customer: as usual became warn; rule row_count added; made again, same rows"
    )
    assert (record.schema_document or {})["checks"] == {"no_test_customer": "warn", "row_count": "fail: at least 1 row"}


def test_rejects_of_a_stopped_run_are_taken_out_by_the_next(run: Run, tmp_path: Path) -> None:
    """Stopped twice and then published in full: each reject is in quarantine once, and what was stopped is no longer shown."""
    write_orders(tmp_path, "a.csv", [*_ROWS, (7, "test", "1.00", "2024-01-01")])
    bring(run, tmp_path, _cleaned(_orders()))
    write_orders(tmp_path, "b.csv", [_TEST_ORDER])
    for _ in range(2):
        with pytest.raises(ContractBroken):
            bring(run, tmp_path, _cleaned(_orders(severity={"no_test_customer": "fail"})))
    quarantined = run.log(quarantine_path_of(orders.name))
    assert (quarantined.version(), _numbers(run, orders), _numbers(run, orders, stopped=True)) == (1, [7], [4, 7])
    bring(run, tmp_path, _cleaned(_orders()))
    assert (_numbers(run, orders), _numbers(run, orders, stopped=True), last_record(run, orders).rejects) == ([4, 7], [], 2)


def test_rules_take_part_in_replay_and_verification(run: Run, tmp_path: Path) -> None:
    """References, repeats set aside, warnings and rules of a moment: a release made in three deliveries is replayed and verified as equal."""
    table = _orders(references("customer", customers), row_count(within=4), fresh("day", within=dt.timedelta(365_000)), severity={"no_test_customer": "warn"})
    firsts = _orders(unique("amount", severity="quarantine"), name="silver.shop.firsts")
    first: dict[int, int] = {}
    people = Source(bronze_customers, tmp_path / "c", "*.csv")
    (tmp_path / "c").mkdir()
    flow = Pipeline("shop", [source_at(tmp_path / "o"), people], [_cleaned(table), to_customers, _cleaned(firsts, "replace")])
    assert [step.name for step in flow.steps].index(customers.name) < [step.name for step in flow.steps].index(table.name)
    for number, name in enumerate(("ann", "bob", "test")):
        rows = [(10 * number + n, ["ann", "bob", "test"][n % 3], (number + n) * (n % 2), "2024-01-01") for n in range(9 - number)]
        first = {int(amount): order for order, customer, amount, _ in reversed(rows) if customer != "test"} | first
        write_orders(tmp_path / "o", f"{number}.csv", rows)
        (tmp_path / "c" / f"{number}.csv").write_text(f"customer,day\n{name},2024-01-01\n")
        report = flow.run(run)
        report.raise_failures()
    assert report.release is not None
    assert (len(rows_of(run, table)), last_record(run, table).warned) == (24, {"no_test_customer": 7})
    assert [row["order"] for row in rows_of(run, firsts)] == sorted(first.values())
    assert last_record(run, firsts).rejects == 24 - len(first)
    assert {one.table: one.verdict for one in replay(run, report.release, [flow])} == dict.fromkeys(report.release.tables, "equal")
    for seed in range(6):
        looked = {row["table"]: (row["verdict"], row["rows"] > 0) for row in verify(run, flow, share=0.5, seed=seed)}
        assert looked == dict.fromkeys(report.release.tables, ("equal", True))


def test_what_rules_found_can_be_asked_for(run: Run, tmp_path: Path) -> None:
    """Rules, severities and what the last commit found, and the quality of every commit, from the commits alone; upkeep changes none of it."""
    table = _orders(row_count(at_least=9, severity="warn"), severity={"no_test_customer": "warn"})
    write_orders(tmp_path, "a.csv", [*_ROWS, _TEST_ORDER, (5, "ann", "-1", "2024-01-01")])
    bring(run, tmp_path, _cleaned(table))
    catalog = Catalog(run.store)
    path = path_of(table.name)
    record = last_record(run, table)
    quality = TableHandle(catalog, table.name, 0).quality()
    rearrange(run, path, 0, record, why="a test")
    for version in (0, 1):
        told = {row["rule"]: row for row in Catalog(run.store).rules(table.name, version=version)}
        found = [(told[rule]["severity"], told[rule]["rows"], told[rule]["holds"]) for rule in ("no_test_customer", "amount|min", "customer|nullability")]
        assert found == [("warn", 1, False), ("quarantine", 1, False), ("quarantine", 0, True)]
        assert (told["row_count"]["holds"], told["row_count"]["found"], told["row_count"]["asked"]) == (False, "4 rows", "at least 9 rows")
    assert quality.select("rule", "rows", "severity", "holds", "value").rows() == [
        ("amount|min", 1, "quarantine", False, None), ("no_test_customer", 1, "warn", False, None), ("row_count", None, "warn", False, "4 rows"),
    ]  # fmt: skip
    assert TableHandle(Catalog(run.store), table.name, 1).quality().equals(quality)
    assert last_record(run, table).warned == {}, "upkeep judged no row"
    assert len(TableHandle(catalog, table.name, 0).rules()) == len(told)
