"""A hop done in partitions is the hop done whole: the same rows, ledger, rejects and content, whoever does the parts, however often, and whoever is lost meanwhile."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lake.catalog import Catalog
from lake.contract import PROVENANCE, Contract
from lake.errors import DeclarationError, HopFailed, LakeError
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.maintain import maintain
from lake.origins import looks_across_rows
from lake.partitions import SCRATCH, Failed, Partition, carry
from lake.run import Run, begin_run
from lake.table import Table, path_of
from tests.tiny import Order, bring, bronze_orders, clean, last_record, orders, rows_of, source_at, write_orders


class Event(Contract):
    """What a customer's last order was, and when."""

    customer = dy.String(primary_key=True, description="Who")
    valid_from = dy.Date(primary_key=True, description="Since when")
    valid_to = dy.Date(nullable=True, description="Until when")
    is_current = dy.Bool(nullable=False, description="Whether it still holds")
    amount = dy.Decimal(12, 2, nullable=True, description="The order's amount")


def marked(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Orders, of which some say that their number is to be deleted."""
    return clean(raw).with_columns(gone=pl.col("customer") == "gone")


def lived(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The last order of a customer over time."""
    return raw.select("customer", pl.col("day").alias("valid_from"), "amount", *PROVENANCE)


sequenced = dataclasses.replace(orders, sequence=("day",))
events = Table("silver.shop.events", Event, max_rejected=1.0)
ALL = changes(bronze_orders)
HOPS: dict[str, Hop] = {
    "append": hop(Table("silver.shop.log", Order, max_rejected=1.0), write="append", partitions=8, raw=ALL)(clean),
    "merge": hop(orders, write="merge", partitions=8, raw=ALL)(clean),
    "merge by sequence": hop(sequenced, write="merge", partitions=8, raw=ALL)(clean),
    "deletes": hop(sequenced, write="merge", partitions=8, deletes="gone", raw=ALL)(marked),
    "replace": hop(orders, write="replace", partitions=8, raw=bronze_orders)(clean),
    "history": hop(events, write="scd2", partitions=8, raw=ALL)(lived),
}


def here(run: Run, one: Hop) -> Callable[[list[str]], list[str]]:
    """Partitions done one after the other in this process, in some order."""

    def spread(texts: list[str]) -> list[str]:
        done = [carry(run, one, Partition.model_validate_json(text)).model_dump_json() for text in texts]
        random.Random(len(texts)).shuffle(done)
        return done

    return spread


def small(run: Run) -> None:
    """Any two files are worth two partitions."""
    run.settings = run.settings.model_copy(update={"partition_bytes": 1})


def deliver(run: Run, folder: Path, number: int, *, repeats: bool) -> None:
    """A delivery of its own file of bronze: new orders, corrections of earlier ones, orders that break a rule, orders that end."""
    chance = random.Random(number)
    rows: list[tuple[Any, ...]] = [(number * 100 + i, chance.choice(["ann", "bob", "test", "gone"]), f"{i}.25", f"2026-01-{i % 28 + 1:02}") for i in range(40)]
    if repeats:
        rows += [(chance.randrange(number * 100 + 1), "eve", f"{i}.75", f"2026-02-{(i + number) % 28 + 1:02}") for i in range(15)]
    write_orders(folder, f"{number}.csv", rows)
    land(run, source_at(folder))
    ingest(run, source_at(folder))


def told(run: Run, one: Hop) -> dict[str, Any]:
    """What is to be the same however it was done."""
    record = last_record(run, one.table)
    catalog = Catalog(run.store)
    rejects = catalog.rejects(one.table.name).select("rules", "row").collect()
    return {
        "rows": rows_of(run, one.table), "ledger": record.ledger, "content": record.content, "rules": record.rules, "freshest": record.freshest is not None,
        "rejects": sorted(map(str, rejects.rows())), "counts": record.rows, "tombstones": (record.tombstones or {}).get("rows"),
    }  # fmt: skip


@pytest.mark.parametrize("name", HOPS)
def test_in_partitions_it_is_what_it_is_whole(name: str, weed_settings: Any, tmp_path: Path) -> None:
    """Three deliveries at once, three more as an increment, and everything again: each time the same as without partitions."""
    found: list[list[dict[str, Any]]] = []
    one, used = HOPS[name], []
    for way in ("whole", "parts"):
        with begin_run(weed_settings.model_copy(update={"env": f"{way}-{name.replace(' ', '-')}"}), "shop", "test") as run:
            small(run)
            folder, said = tmp_path / way, []
            for step in range(3):
                for number in range(step * 3, step * 3 + 3) if step < 2 else ():
                    deliver(run, folder, number, repeats=name not in ("append", "merge", "replace"))
                if way == "parts":
                    spread = here(run, one)
                    run.spread = lambda texts, spread=spread: used.append(len(texts)) or spread(texts)  # type: ignore[misc]
                execute(run, one, full=step == 2)
                said.append(told(run, one))
            found.append(said)
            assert not list(run.store.walk(SCRATCH))
    assert found[0] == found[1]
    assert used == [3, 6 if name == "replace" else 3, 6]


def test_the_files_of_partitions_are_the_table_s_where_nothing_is_to_be_settled(run: Run, tmp_path: Path) -> None:
    """A new table without repeated keys, and one that only grows: no row is read again by the run, and nothing is uploaded twice."""
    small(run)
    for number in range(3):
        deliver(run, tmp_path, number, repeats=False)
    for name in ("merge", "append"):
        one = HOPS[name]
        run.spread = here(run, one)
        written = run.store.bytes["bytes_written"]
        execute(run, one)
        files = run.snapshot(path_of(one.table.name), 0).files
        assert len(files) == 3
        assert run.store.bytes["bytes_written"] - written < 3 * sum(file.size for file in files) + 30_000


def test_done_twice_counts_once_and_maintenance_removes_the_rest(run: Run, tmp_path: Path) -> None:
    """A straggler that was given up finishes after all: its files are nobody's, the table is as it was, and they are removed."""
    small(run)
    one = HOPS["merge"]
    for number in range(3):
        deliver(run, tmp_path, number, repeats=False)
    late: list[str] = []

    def spread(texts: list[str]) -> list[str]:
        late.extend(texts)
        return [carry(run, one, Partition.model_validate_json(text)).model_dump_json() for text in (*texts, *texts)][len(texts) :]

    run.spread = spread
    execute(run, one)
    before = told(run, one)
    for text in late:
        carry(run, one, Partition.model_validate_json(text))
    path = path_of(one.table.name)
    data = [blob for blob in run.store.walk(path) if blob.path.endswith(".parquet") and "_delta_log" not in blob.path]
    assert len(data) == 9
    run.spread = None
    run.settings = run.settings.model_copy(update={"grace": dt.timedelta(0)})
    rows = {row["place"]: row for row in maintain(run)}
    assert rows[path]["orphans"] == 6
    assert rows[SCRATCH]["orphans"] == 3  # rejects that came late
    assert told(run, one)["rows"] == before["rows"]
    left = [blob for blob in run.store.walk(path) if blob.path.endswith(".parquet") and "_delta_log" not in blob.path]
    assert len(left) == 3


def test_a_lost_partition_publishes_nothing(run: Run, tmp_path: Path) -> None:
    """Where the engine gives up, or an answer is missing, the table is as it was, and the next run does it all."""
    small(run)
    one = HOPS["merge"]
    for number in range(3):
        deliver(run, tmp_path, number, repeats=False)

    def lost(texts: list[str]) -> list[str]:
        carry(run, one, Partition.model_validate_json(texts[0]))
        raise LakeError("the engine lost it")

    for spread, why in ((lost, "lost it"), (lambda texts: here(run, one)(texts)[1:], "2 answers")):
        run.spread = spread
        with pytest.raises(LakeError, match=why):
            execute(run, one)
        assert run.log(path_of(one.table.name)).version() == -1
        assert not list(run.store.walk(SCRATCH))
    run.spread = None
    execute(run, one)
    assert last_record(run, one.table).ledger.read == 120


def test_an_error_of_a_partition_is_that_of_the_hop(run: Run, tmp_path: Path) -> None:
    """It comes back as what it was, with its hint."""
    small(run)
    for number in range(2):
        deliver(run, tmp_path, number, repeats=False)
    run.spread = lambda _: [Failed(failed="HopFailed", message="hop clean raised", hint="See hops.py line 3").model_dump_json()] * 2
    with pytest.raises(HopFailed, match=r"hop clean raised\. See hops\.py line 3"):
        execute(run, HOPS["merge"])


def test_other_code_elsewhere_is_refused(run: Run, tmp_path: Path) -> None:
    """Where a worker has another checkout, it says so instead of making other rows."""
    small(run)
    for number in range(2):
        deliver(run, tmp_path, number, repeats=False)
    run.spread = here(run, HOPS["append"])
    with pytest.raises(LakeError, match="other code"):
        execute(run, HOPS["merge"])


def test_what_changed_rows_is_read_as_a_whole(run: Run, tmp_path: Path) -> None:
    """Of an input whose rows changed, a row is what its last change says; that is not cut."""
    small(run)
    copy = hop(Table("silver.shop.copy", Order, max_rejected=1.0), write="merge", partitions=8, raw=changes(sequenced))(clean)
    first = HOPS["merge by sequence"]
    for number in range(2):
        deliver(run, tmp_path, number, repeats=True)
        execute(run, first)
    execute(run, copy)
    run.spread = lambda _: pytest.fail("it was cut")
    deliver(run, tmp_path, 2, repeats=True)
    execute(run, first)
    execute(run, copy)
    assert rows_of(run, copy.table) == rows_of(run, sequenced)


RAW = pl.Schema({"order": pl.String(), "customer": pl.String(), "amount": pl.String(), "tags": pl.List(pl.String()), "_file": pl.String()})
SIDE = pl.Schema({"customer": pl.String(), "name": pl.String(), "amount": pl.String()})
KEEPS: dict[str, Callable[..., pl.LazyFrame]] = {
    "selected": lambda raw, side: raw.select("order", pl.col("amount").cast(pl.Float64) * 2),
    "filtered": lambda raw, side: raw.filter(pl.col("customer") != "x").with_columns(a=pl.col("customer").str.to_lowercase()),
    "when": lambda raw, side: raw.with_columns(a=pl.when(pl.col("order") == "1").then(1).otherwise(pl.lit(2))),
    "inner": lambda raw, side: raw.join(side, on="customer"),
    "left": lambda raw, side: raw.join(side.group_by("customer").agg(pl.len()), on="customer", how="left"),
    "right": lambda raw, side: side.join(raw, on="customer", how="right"),
    "semi": lambda raw, side: raw.join(side, on="customer", how="semi"),
    "anti": lambda raw, side: raw.join(side.sort("name").head(3), on="customer", how="anti"),
    "exploded": lambda raw, side: raw.explode("tags"),
    "unpivoted": lambda raw, side: raw.drop("tags").unpivot(index="order"),
    "twice": lambda raw, side: pl.concat([raw, raw.filter(pl.col("order") == "1")]),
    "renamed": lambda raw, side: raw.rename({"order": "o"}).drop("tags"),
}
CROSSES: dict[str, Callable[..., pl.LazyFrame]] = {
    "grouped": lambda raw, side: raw.group_by("customer").agg(pl.len()),
    "windowed": lambda raw, side: raw.with_columns(n=pl.col("order").count().over("customer")),
    "summed": lambda raw, side: raw.with_columns(n=pl.len()),
    "shifted": lambda raw, side: raw.with_columns(n=pl.col("order").shift()),
    "sorted": lambda raw, side: raw.sort("order"),
    "first": lambda raw, side: raw.head(10),
    "distinct": lambda raw, side: raw.unique("customer"),
    "numbered": lambda raw, side: raw.with_row_index("n"),
    "cumulated": lambda raw, side: raw.with_columns(n=pl.col("order").cum_count()),
    "with itself": lambda raw, side: raw.join(raw.select("order", "customer"), on="customer"),
    "full": lambda raw, side: raw.join(side, on="customer", how="full"),
    "side kept": lambda raw, side: side.join(raw, on="customer", how="left"),
    "side beside": lambda raw, side: pl.concat([raw.select("customer"), side.select("customer")]),
    "side alone": lambda raw, side: side,
    "constant": lambda raw, side: raw.select(pl.lit(1)),
    "python": lambda raw, side: raw.with_columns(pl.col("order").map_elements(lambda value: value, return_dtype=pl.String)),
    "frame python": lambda raw, side: raw.map_batches(lambda frame: frame),
    "collected": lambda raw, side: raw.collect().lazy(),
    "broken": lambda raw, side: raw.select("nothing"),
    "compared": lambda raw, side: raw.filter(pl.col("amount") == pl.col("amount").max()),
    "filled": lambda raw, side: raw.with_columns(pl.col("amount").forward_fill()),
}


def declared(function: Callable[..., pl.LazyFrame]) -> Hop:
    """A hop of such a function, driven by `raw`."""
    return Hop(orders, function, "merge", {"raw": ALL, "side": Table("silver.shop.side", Order)}, partitions=4)


@pytest.mark.parametrize("name", KEEPS)
def test_hops_that_keep_rows_apart_are_known(name: str) -> None:
    """Each row of the output comes from one of the driving rows: cut anywhere, the parts together are the whole."""
    function = KEEPS[name]
    assert looks_across_rows(declared(function), {"raw": RAW, "side": SIDE}) is None
    rows = pl.DataFrame(
        {
            "order": ["1", "2", "3", "1"],
            "customer": ["x", "y", "x", None],
            "amount": ["1", "2", "3", "4"],
            "tags": [["a"], ["b", "c"], ["d"], ["e"]],
            "_file": ["f"] * 4,
        },
        schema=RAW,
    )
    side = pl.DataFrame({"customer": ["x", "x", "z"], "name": ["a", "b", "c"], "amount": ["9", "8", "7"]}, schema=SIDE)
    whole = function(rows.lazy(), side.lazy()).collect()
    parts = pl.concat(function(rows[number : number + 1].lazy(), side.lazy()).collect() for number in range(4))
    order = [name for name in whole.columns if whole[name].dtype != pl.List(pl.String)]
    assert whole.sort(order, nulls_last=True).equals(parts.sort(order, nulls_last=True))


@pytest.mark.parametrize("name", CROSSES)
def test_hops_that_look_across_rows_are_known(name: str) -> None:
    """What would be another table in parts is done whole, and why is said."""
    why = looks_across_rows(declared(CROSSES[name]), {"raw": RAW, "side": SIDE})
    assert why
    assert len(why) < 320


def test_partitions_are_for_hops_that_pass_rows_on() -> None:
    """Declared where rows are summed, they are refused at import."""
    with pytest.raises(DeclarationError, match="passes rows on"):
        hop(orders, write="by_key", partitions=2, raw=ALL)(clean)
    with pytest.raises(DeclarationError, match="partitions=0"):
        hop(orders, write="merge", partitions=0, raw=ALL)(clean)


def test_without_an_engine_nothing_is_cut(run: Run, tmp_path: Path) -> None:
    """Declared partitions mean nothing to a run that does all by itself."""
    write_orders(tmp_path / "in", "1.csv", [(1, "ann", "2.50", "2026-01-01")])
    bring(run, tmp_path / "in", HOPS["merge"])
    assert rows_of(run, orders)[0]["order"] == 1
