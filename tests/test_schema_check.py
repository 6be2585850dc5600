"""What the code would change in the tables, told before it runs: every kind of change, whether it breaks a reader, and what it hits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lake import open as open_lake
from lake.columns import Columns, downstream
from lake.compatibility import Check, Finding, check_schemas
from lake.contract import PROVENANCE, Contract, judge
from lake.errors import DeclarationError, UnknownName
from lake.hop import Transform, changes, hop
from lake.pipeline import Pipeline, do_step
from lake.rules import references
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table
from tests.conftest import ROOT, fresh_env
from tests.test_cli import Project, make_project

ORDER: dict[str, Any] = {
    "order": dy.Int64(primary_key=True), "customer": dy.String(nullable=False), "amount": dy.Int32(nullable=False, min=0),
    "weight": dy.Float32(nullable=True), "note": dy.String(nullable=True),
}  # fmt: skip
TOTAL: dict[str, Any] = {
    "customer": dy.String(primary_key=True), "orders": dy.Int64(nullable=False), "amount": dy.Int64(nullable=False), "weight": dy.Float32(nullable=True),
}  # fmt: skip
BEST: dict[str, Any] = {"customer": dy.String(primary_key=True), "spent": dy.Int64(nullable=False)}
RAW, ORDERS, TOTALS, BEST_OF = "bronze.shop.orders", "silver.shop.orders", "gold.shop.totals", "gold.crm.best"
BELOW_AMOUNT = ((BEST_OF, "spent"), (TOTALS, "amount"))


def contract(name: str, columns: dict[str, Any]) -> type[Contract]:
    """A contract of these columns."""
    return type(name, (Contract,), {"__doc__": f"{name}.", **columns})


def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders as they come."""
    return raw.select("order", "customer", "amount", "weight", "note", *PROVENANCE)


def total(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders by customer."""
    return orders.group_by("customer").agg(pl.len().cast(pl.Int64).alias("orders"), pl.col("amount").sum().cast(pl.Int64), pl.col("weight").max())


def choose(totals: pl.LazyFrame) -> pl.LazyFrame:
    """What each customer spent."""
    return totals.select("customer", pl.col("amount").alias("spent"))


def flows(
    order: dict[str, Any] | None = None,
    *,
    raw: Table | None = None,
    cleaned: Transform = clean,
    summed: Transform = total,
    folder: Path = ROOT,
    **declared: Any,
) -> tuple[Pipeline, Pipeline]:
    """The orders of a shop down to gold, and what another subject makes of them."""
    bronze = raw or Table(RAW)
    silver = Table(ORDERS, contract("Order", ORDER if order is None else order), max_rejected=1.0, **declared)
    gold, best = Table(TOTALS, contract("Total", TOTAL)), Table(BEST_OF, contract("Best", BEST))
    hops = [hop(silver, write="merge", raw=changes(bronze))(cleaned), hop(gold, counts="orders", orders=silver)(summed)]
    return Pipeline("shop", [Source(bronze, folder, "*.csv")], hops), Pipeline("crm", [], [hop(best, totals=gold)(choose)])


@pytest.fixture(scope="module")
def lake(weed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Both flows, run as they are: release 1 has the shop, release 2 both."""
    folder = tmp_path_factory.mktemp("orders")
    (folder / "1.csv").write_text("order,customer,amount,weight,note\n1,ann,5,1.5,\n2,bob,7,2,x\n", "utf-8")
    with begin_run(load_settings(home=weed_home, root=ROOT, env=fresh_env()), "test", "test") as run:
        for pipeline in flows(folder=folder):
            pipeline.prepare(run)
            pipeline.run(run).raise_failures()
        yield run


Ask = Callable[..., list[Finding]]


@pytest.fixture
def ask(lake: Run) -> Ask:
    """What is found where the flows are declared in another way."""

    def found(*args: Any, **kwargs: Any) -> list[Finding]:
        return list(check_schemas(lake.store, flows(*args, **kwargs)).findings)

    return found


def without(*names: str) -> dict[str, Any]:
    """The columns of an order but these."""
    return {name: column for name, column in ORDER.items() if name not in names}


def test_nothing_changed_is_nothing_found(lake: Run) -> None:
    """The code that made the release differs from it in nothing."""
    assert check_schemas(lake.store, flows()) == Check(check_schemas(lake.store, flows()).release, ())


@pytest.mark.parametrize(
    ("order", "what", "grade", "breaking", "hits"),
    [
        pytest.param(ORDER | {"city": dy.String(nullable=True)}, "column city added (String)", "full", False, (), id="added, may be null"),
        pytest.param(ORDER | {"city": dy.String(nullable=False)}, "column city added (String)", "forward", False, (), id="added, never null"),
        pytest.param(without("amount"), "column amount removed", "backward", True, BELOW_AMOUNT, id="removed"),
        pytest.param(without("note"), "column note removed", "full", True, (), id="removed, though nobody here reads it"),
        pytest.param(ORDER | {"amount": dy.Int64(nullable=False, min=0)}, "column amount: Int32 became Int64", "backward", False, BELOW_AMOUNT, id="widened"),
        pytest.param(ORDER | {"amount": dy.Int16(nullable=False, min=0)}, "column amount: Int32 became Int16", "forward", True, BELOW_AMOUNT, id="narrowed"),
        pytest.param(ORDER | {"amount": dy.Date(nullable=False)}, "column amount: Int32 became Date", "breaking", True, BELOW_AMOUNT, id="another type"),
        pytest.param(ORDER | {"amount": dy.Int32(nullable=True, min=0)}, "column amount may now be null", "backward", True, BELOW_AMOUNT, id="may now be null"),
        pytest.param(ORDER | {"note": dy.String(nullable=False)}, "column note may no longer be null", "forward", False, (), id="may no longer be null"),
        pytest.param(ORDER | {"amount": dy.Int32(nullable=False, min=0, max=99)}, "rule amount|max added", "forward", False, BELOW_AMOUNT, id="rule added"),
        pytest.param(ORDER | {"amount": dy.Int32(nullable=False)}, "rule amount|min removed", "backward", True, BELOW_AMOUNT, id="rule relaxed"),
        pytest.param(ORDER | {"amount": dy.Int32(nullable=False, min=0, description="Spent")}, "column amount reworded", "none", False, (), id="words alone"),
    ],
)
def test_each_change_has_its_class_and_what_it_hits(
    ask: Ask, order: dict[str, Any], what: str, grade: str, breaking: bool, hits: tuple[tuple[str, str], ...]
) -> None:
    """A change is told once, with its class, whether it breaks, and every column below it in both subjects."""
    (found,) = [finding for finding in ask(order) if finding.what == what]
    assert (found.table, found.grade, found.breaking, found.downstream) == (ORDERS, grade, breaking, hits)


def test_another_key_breaks_all_that_is_made_from_it(ask: Ask) -> None:
    """A changed key is breaking, and hits what is made from its columns."""
    found = ask(ORDER | {"customer": dy.String(primary_key=True)})
    (key,) = [finding for finding in found if finding.what.startswith("key changed")]
    assert (key.what, key.grade, key.breaking) == ("key changed from (order) to (order, customer)", "breaking", True)
    assert {(TOTALS, "customer"), (BEST_OF, "customer")} <= set(key.downstream)


# ---- names


RENAMED: dict[str, Any] = {("spent" if name == "amount" else name): column for name, column in ORDER.items()}


def total_of_spent(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders by customer, by the new name."""
    return total(orders.with_columns(amount="spent"))


def test_a_declared_rename_breaks_the_hops_that_read_the_old_name(ask: Ask) -> None:
    """Lake follows a declared rename; a hop that still reads the old name is found with all below it, and one that does not is not."""
    (late,) = [finding for finding in ask(RENAMED, renamed_from={"spent": "amount"}) if "renamed" in finding.what]
    assert (late.what, late.grade, late.breaking, late.downstream) == ("column spent renamed from amount", "backward", True, BELOW_AMOUNT)
    assert f"the hop that fills {TOTALS} stops" in late.note
    assert "Resolved plan" not in late.note
    (done,) = [finding for finding in ask(RENAMED, renamed_from={"spent": "amount"}, summed=total_of_spent) if "renamed" in finding.what]
    assert (done.grade, done.breaking, done.downstream, done.note) == ("backward", False, (), "notebooks must read the new name")


def test_an_undeclared_rename_is_hinted_at(ask: Ask) -> None:
    """Removed beside added, of one type and without another such pair, may be one column: the hint says how to declare it."""
    found = {finding.what: finding for finding in ask(RENAMED, summed=total_of_spent)}
    assert 'renamed_from={"spent": "amount"}' in found["column amount removed"].note
    assert found["column amount removed"].breaking
    assert found["column spent added (Int32)"].note == ""


@pytest.mark.parametrize("more", [{"spent": dy.Int64(nullable=False)}, {"spent": ORDER["amount"], "paid": ORDER["amount"]}], ids=["other type", "two of them"])
def test_what_may_be_two_things_is_not_guessed(ask: Ask, more: dict[str, Any]) -> None:
    """Where the types differ, or two columns could be the one that is gone, nothing is hinted."""
    found = {finding.what: finding for finding in ask(without("amount") | more)}
    assert "renamed_from" not in found["column amount removed"].note


# ---- what feeds what


def test_hits_go_through_two_hops_and_two_subjects() -> None:
    """A column is followed through every hop of every subject, and no further than it goes."""
    now = {RAW: pl.Schema({**dict.fromkeys(("order", "customer", "amount", "weight", "note"), pl.String()), **PROVENANCE})}
    assert downstream(flows(), RAW, "amount", now) == [(BEST_OF, "spent"), (TOTALS, "amount"), (ORDERS, "amount")]
    assert downstream(flows(), RAW, "note", now) == [(ORDERS, "note")]
    assert downstream(flows(), TOTALS, "orders", now) == []


def test_a_condition_counts_as_a_need() -> None:
    """What rows are chosen by feeds every column that comes out."""

    def noted(orders: pl.LazyFrame) -> pl.LazyFrame:
        return total(orders.filter(pl.col("note") == "x"))

    assert {table for table, _ in downstream(flows(summed=noted), ORDERS, "note")} == {TOTALS, BEST_OF}


def test_a_hop_that_looks_at_rows_while_it_plans_needs_them_for_all() -> None:
    """What a function collects on the way may decide anything."""

    def eager(orders: pl.LazyFrame) -> pl.LazyFrame:
        return total(orders.with_columns(pl.lit(orders.select("note").collect().height).alias("notes")))

    assert {(TOTALS, name) for name in TOTAL} <= set(downstream(flows(summed=eager), ORDERS, "note"))


def test_a_hop_that_cannot_be_traced_may_need_everything(lake: Run) -> None:
    """A function that fails on a frame without rows hides what it needs: all of it may depend on all, and the check says so."""

    def picky(orders: pl.LazyFrame) -> pl.LazyFrame:
        if orders.select("order").collect().is_empty():
            raise ValueError("no orders at all")
        return total(orders)

    declared = flows(without("note"), summed=picky)
    assert set(downstream(declared, ORDERS, "note")) == {*((TOTALS, name) for name in TOTAL), *((BEST_OF, name) for name in BEST)}
    (found,) = [finding for finding in check_schemas(lake.store, declared).findings if finding.what == "column note removed"]
    assert "picky cannot be traced: ValueError: no orders at all" in found.note
    assert f"each column of {TOTALS} may depend on every other" in found.note


def test_a_hop_that_takes_old_and_new_only_one_by_one_is_traced_all_the_same() -> None:
    """Two names at once make some code fail; then each is tried alone."""

    def renames(orders: pl.LazyFrame) -> pl.LazyFrame:
        return total(orders.rename({"spent": "amount"}))

    now, former = (
        pl.Schema({**PROVENANCE, **dict.fromkeys(names, pl.Int32()), "customer": pl.String()}) for names in (["spent", "weight"], ["amount", "weight"])
    )
    columns = Columns(flows(summed=renames), {ORDERS: now}, {ORDERS: former})
    assert columns.direct(ORDERS, "spent") == [(TOTALS, "amount")]
    assert columns.direct(ORDERS, "amount") == []


def test_code_that_would_read_the_old_name_if_it_were_there_is_found() -> None:
    """A hop that runs with either name still reads the old one."""

    def either(orders: pl.LazyFrame) -> pl.LazyFrame:
        old = "amount" in orders.collect_schema()
        return total(orders if old else orders.with_columns(pl.col("spent").alias("amount")))

    now, former = (pl.Schema({"customer": pl.String(), "weight": pl.Float32(), name: pl.Int32()}) for name in ("spent", "amount"))
    columns = Columns(flows(summed=either), {ORDERS: now}, {ORDERS: former})
    assert columns.direct(ORDERS, "amount") == [(TOTALS, "amount")]
    assert [columns.stops(hop) for hop in columns.hops if hop.table.name == TOTALS] == [None]


def test_history_and_references_are_needs_too() -> None:
    """Validity is worked out from all a version says, and a column that a rule compares needs the other table's."""
    customer = Table("silver.shop.customers", contract("Customer", {"customer": dy.String(primary_key=True)}))
    version = {"order": dy.Int64(primary_key=True), "valid_from": dy.Date(primary_key=True), "city": dy.String(nullable=True)}
    version |= {"valid_to": dy.Date(nullable=True), "is_current": dy.Bool(nullable=False)}
    history = Table("silver.shop.moves", contract("Move", version), rules=(references("city", customer),))

    def moves(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select("order", "city", pl.col("day").alias("valid_from"))

    given = pl.Schema({"order": pl.Int64(), "city": pl.String(), "day": pl.Date(), "spare": pl.String()})
    filled = Pipeline("shop", [], [hop(history, write="scd2", raw=changes(Table(RAW)))(moves)])
    columns = Columns((filled,), {RAW: given})
    assert {name for _, name in columns.direct(RAW, "city")} == {"city", "valid_to", "is_current"}
    assert columns.direct(RAW, "spare") == []
    assert columns.direct("silver.shop.customers", "customer") == [("silver.shop.moves", "city")]


def test_a_wider_column_that_a_hop_cannot_pass_on_is_breaking(ask: Ask) -> None:
    """A wider type breaks nobody by itself, but the hop whose own contract promises the narrow one stops."""
    (found,) = [finding for finding in ask(ORDER | {"weight": dy.Float64(nullable=True)}) if "became" in finding.what]
    assert (found.what, found.grade, found.breaking) == ("column weight: Float32 became Float64", "backward", True)
    assert "returns weight as Float64" in found.note


# ---- with what it is compared


def test_a_table_that_is_not_there_yet_is_new(lake: Run) -> None:
    """A table without a commit breaks nobody."""
    shop, _ = flows()
    extra = Table("gold.crm.worst", contract("Worst", BEST))
    crm = Pipeline("crm", [], [hop(extra, totals=Table(TOTALS, contract("Total", TOTAL)))(choose)])
    found = check_schemas(lake.store, (shop, crm))
    assert [(f.table, f.what, f.grade) for f in found.findings] == [
        ("gold.crm.worst", "table is new (2 columns)", "first"),
        (BEST_OF, "nothing fills the table any more: readers go on with the rows it has", "none"),
    ]
    assert found.breaking == []


def test_one_flow_is_checked_and_the_hits_of_others_are_told(lake: Run) -> None:
    """Asked about one flow, only its tables are compared; what they hit elsewhere is part of the answer."""
    declared = flows(without("amount"))
    assert check_schemas(lake.store, declared, flow="crm").findings == ()
    told = check_schemas(lake.store, declared, flow="shop").breaking
    assert {f.table for f in told} == {ORDERS}
    assert (BEST_OF, "spent") in told[0].downstream


def test_another_release_is_compared_with_on_demand(lake: Run) -> None:
    """Release 1 did not have the second subject's table; a release that is not there is refused."""
    first = check_schemas(lake.store, flows(), against=1)
    assert first.release is not None
    assert [(f.table, f.grade) for f in first.findings] == [(BEST_OF, "first")]
    with pytest.raises(UnknownName, match="no release 99"):
        check_schemas(lake.store, flows(), against=99)


def test_without_a_release_the_last_commits_count(run: Run, tmp_path: Path) -> None:
    """In an empty lake everything is new; after commits that were never released, changes are found beside them."""
    assert {f.grade for f in check_schemas(run.store, flows()).findings} == {"first"}
    (tmp_path / "1.csv").write_text("order,customer,amount,weight,note\n1,ann,5,1,\n", "utf-8")
    shop, _ = flows(folder=tmp_path)
    for step in shop.steps:
        do_step(run, step)
    found = check_schemas(run.store, flows(without("note")))
    assert found.release is None
    assert [(f.table, f.what) for f in found.findings if f.grade != "first"] == [(ORDERS, "column note removed")]


# ---- bronze


@pytest.mark.parametrize(
    ("declared", "what", "hits"),
    [
        pytest.param({"renamed_from": {"remark": "note"}}, "column note will be renamed to remark", ((ORDERS, "note"),), id="renamed"),
        pytest.param({"dropped": ("weight",)}, "column weight will be dropped", ((TOTALS, "weight"), (ORDERS, "weight")), id="dropped"),
    ],
)
def test_what_the_next_run_does_to_bronze_is_told(ask: Ask, declared: dict[str, Any], what: str, hits: tuple[tuple[str, str], ...]) -> None:
    """A rename or a drop that a bronze table declares is a planned step, which breaks only where a hop still reads what goes."""

    def adapted(raw: pl.LazyFrame) -> pl.LazyFrame:
        gone = pl.lit(None)
        return raw.select("order", "customer", "amount", *(gone.alias(name) if name in what else pl.col(name) for name in ("weight", "note")), *PROVENANCE)

    (found,) = ask(raw=Table(RAW, **declared))
    assert (found.what, found.grade in ("backward", "full"), found.breaking, found.downstream) == (what, True, True, hits)
    (done,) = ask(raw=Table(RAW, **declared), cleaned=adapted, order=ORDER)
    assert (done.what, done.breaking, done.downstream) == (what, False, ())


def test_another_policy_of_bronze_is_told(ask: Ask) -> None:
    """The policy and the columns to expect are words about files to come, and break nothing."""
    found = ask(raw=Table(RAW, policy="freeze", columns=("order", "customer")))
    assert [(f.what, f.breaking) for f in found] == [
        ("policy becomes freeze (was evolve)", False),
        ("columns becomes order, customer (was nothing)", False),
    ]


def misruled(columns: dict[str, Any], rule: Callable[[Any], pl.Expr]) -> type[Contract]:
    """A contract with a rule called `odd`."""
    return contract("Order", {**columns, "odd": dy.rule()(rule)})


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda cls: cls.amount.col < 100, "speaks of amount, which is no column of it"), (lambda _: pl.col("amount") < 100, "speaks of amount"),
        (lambda _: 1 / 0, "raises ZeroDivisionError"),
    ],
    ids=["by attribute", "by name", "raises"],
)  # fmt: skip
def test_a_rule_that_cannot_be_evaluated_is_told_beside_what_breaks(lake: Run, rule: Callable[[Any], pl.Expr], told: str) -> None:
    """Named with contract, file and line; the removed column and what it hits are listed all the same. A run says the same and stops there."""
    table = Table(ORDERS, misruled(without("amount"), rule), max_rejected=1.0)
    bronze = Table(RAW)
    shop = Pipeline("shop", [Source(bronze, ROOT, "*.csv")], [hop(table, write="merge", raw=changes(bronze))(clean), flows()[0].hops[TOTALS]])
    found = {finding.what: finding for finding in check_schemas(lake.store, (shop, flows()[1])).findings}
    assert found["column amount removed"].downstream == BELOW_AMOUNT
    (broken,) = [finding for what, finding in found.items() if what.startswith("contract Order: rule odd")]
    assert told in broken.what
    assert broken.breaking
    assert "test_schema_check.py:" in broken.note
    with pytest.raises(DeclarationError, match="contract Order: rule odd"):
        judge(table.contract or Contract, pl.LazyFrame(schema={name: pl.String() for name in without("amount")}), who="the hop")


def test_an_undeclared_rename_says_that_the_table_s_own_hop_stops(ask: Ask) -> None:
    """The hop still returns the old name."""
    (found,) = [finding for finding in ask(RENAMED, summed=total_of_spent) if finding.what == "column amount removed"]
    assert "the table's own hop stops: hop clean returns no column spent" in found.note


def test_a_reason_is_cut_between_words(lake: Run) -> None:
    """And says that it was."""

    def wordy(orders: pl.LazyFrame) -> pl.LazyFrame:
        if "amount" not in orders.collect_schema():
            raise ValueError("there is no amount in these orders, " * 30)
        return total(orders)

    (found,) = [one for one in check_schemas(lake.store, flows(without("amount"), summed=wordy)).findings if one.what == "column amount removed"]
    (reason,) = [note for note in found.notes if "the hop that fills" in note]
    assert reason.endswith(
        (", \u2026", "orders \u2026", "these \u2026", "in \u2026", "amount \u2026", "no \u2026", "is \u2026", "there \u2026", "orders, \u2026")
    )


# ---- a subject that cannot be loaded


@pytest.fixture
def shop(tmp_path: Path, weed_home: Path) -> Project:
    """A project whose lake is empty."""
    return make_project(tmp_path / "shop", LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())


def test_a_refused_subject_stops_no_other(shop: Project) -> None:
    """`lake schema check` and `write`, `Lake.plan` and `check_schemas` do the rest, and say what is wrong with it; of its tables nothing is claimed."""
    shop.write("flows/annex/sources.py", "from lake import Source, Table\nbins = Source(Table('bronze.annex.bins'), 'incoming', '*.csv')\n")
    assert shop.lake("run", "annex", "--no-prefect").code == 0
    assert shop.lake("run", "shop", "--no-prefect").code == 0
    shop.write("flows/annex/sources.py", "from lake import Source, Nothing\n")
    checked = shop.lake("schema", "check")
    assert (checked.code, "The code asks for what release" in checked.out, "annex" in checked.err) == (1, True, True)
    assert "nothing fills" not in checked.out
    written = shop.lake("schema", "write")
    assert (written.code, "annex" in written.err) == (1, True)
    assert (shop.root / "flows/shop/schemas/silver.orders.json").is_file()
    stale = shop.lake("schema", "write", "--check")
    assert (stale.code, "stale" in stale.err, "annex" in stale.err) == (1, False, True)
    named = shop.lake("schema", "check", "shop")
    assert (named.code, "what a change hits in annex is not known" in " ".join(named.err.split())) == (0, True)
    with open_lake(root=shop.root, home=Path(shop.variables["LAKE_HOME"]), env=shop.variables["LAKE_ENV"]) as there:
        plan = there.plan()
        assert plan.filter(pl.col("changes") == "refused")["table"].to_list() == ["annex"]
        assert "silver.shop.orders" in plan["table"].to_list()
        assert there.check_schemas().filter(pl.col("class") == "refused")["table"].to_list() == ["annex"]
        with pytest.raises(DeclarationError):
            there.plan("annex")
