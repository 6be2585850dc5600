"""Column lineage is complete: whatever column of an input is changed, no column of the output moves without an edge."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import polars as pl
import pytest

from flows.nyc import hops as nyc
from flows.nyc.sources import published_files
from lake.contract import FILE, LANDED, ROW, judge
from lake.hop import Hop
from lake.origins import trace
from lake.origins.kinds import VALUES
from lake.origins.trace import derive
from lake.table import ordering
from tests.column_hops import corpus
from tests.perturb import Case, Verdict, judge_case
from tests.random_plans import random_case
from tests.tpch import cases as tpch

_HOPS = [value for value in vars(nyc).values() if isinstance(value, Hop)]
_SAMPLES = {
    "flights": (160, pl.col("dest").is_in(["ATL", "LAX", "BQN"]) & (pl.col("hour") == "6") & pl.col("month").is_in(["1", "2"])),
    "weather": (200, (pl.col("hour").is_in(["6", "11"])) & pl.col("month").is_in(["1", "2"])),
    "planes": (400, pl.col("manufacturer").is_in(["BOEING", "AIRBUS"])),
    "airports": (80, pl.col("faa").is_in(["EWR", "JFK", "LGA", "ATL", "LAX"]) | pl.col("faa").str.starts_with("A")),
    "airlines": (16, pl.lit(True)),
}
"""Rows of each file, few enough to be perturbed and alike enough to meet: how many, and which."""
_SHARE_OF_SURPLUS = {"varied hops": 0.25, "TPC-H": 0.25, "random plans": 0.25, "flows/nyc": 0.25}


@pytest.fixture(scope="module")
def surplus() -> Iterator[dict[str, list[Verdict]]]:
    """What is claimed and was never seen to move, by corpus. Told at the end: an upper bound that bounds nothing is no lineage."""
    found: dict[str, list[Verdict]] = {name: [] for name in _SHARE_OF_SURPLUS}
    yield found
    for name, verdicts in found.items():
        claimed, seen = sum(verdict.claimed for verdict in verdicts), sum(verdict.seen for verdict in verdicts)
        print(f"{name}: {claimed} edges of {len(verdicts)} hops, {claimed - seen} of them surplus")  # noqa: T201
        assert claimed - seen <= _SHARE_OF_SURPLUS[name] * claimed


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case.name)
def test_no_column_of_a_varied_hop_moves_without_an_edge(case: Case, surplus: dict[str, list[Verdict]]) -> None:
    """Joins, windows, structs, lists, pivots, conditions, concatenations, times and Python functions."""
    verdict = judge_case(case)
    surplus["varied hops"].append(verdict)
    assert verdict.missing == {}


@pytest.mark.parametrize("case", tpch(), ids=lambda case: case.name)
def test_no_column_of_a_tpch_query_moves_without_an_edge(case: Case, surplus: dict[str, list[Verdict]]) -> None:
    """All 22, each walked without a doubt."""
    assert case.traced().how == "plan"
    verdict = judge_case(case)
    surplus["TPC-H"].append(verdict)
    assert verdict.missing == {}


@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 60, 20)], ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_no_column_of_a_random_plan_moves_without_an_edge(seeds: range, surplus: dict[str, list[Verdict]]) -> None:
    """Steps put together by chance, each on what the one before returned."""
    for case in (random_case(seed) for seed in seeds):
        if case.run().height:
            verdict = judge_case(case)
            surplus["random plans"].append(verdict)
            assert verdict.missing == {}, case.name


@pytest.fixture(scope="module")
def published() -> dict[str, pl.DataFrame]:
    """Samples of the real files as bronze holds them, and of silver as lake makes it from these."""
    found: dict[str, pl.DataFrame] = {}
    for name, (rows, some) in _SAMPLES.items():
        (path,) = published_files().glob(f"{name}.csv*")
        content = zipfile.ZipFile(path).read(f"{name}.csv") if path.suffix == ".zip" else path.read_bytes()
        text = pl.read_csv(content, infer_schema=False).filter(some)
        sample = text.sample(min(rows, text.height), seed=5, shuffle=True)
        place = pl.int_range(1, sample.height + 1, dtype=pl.Int64, eager=True)
        landed = pl.datetime(2026, 1, 1, time_zone="UTC")
        found[f"bronze.nyc.{name}"] = sample.with_columns(pl.lit(f"raw/{name}").alias(FILE), place.alias(ROW), landed.alias(LANDED))
    for hop in _HOPS:
        if hop.table.layer == "silver":
            frames = {name: found[hop.reads(name).name].lazy() for name in hop.inputs}
            found[hop.table.name] = as_committed(hop, hop.function(**frames)).collect()
    return found


def as_committed(hop: Hop, out: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that lake would commit of what a hop returned: judged by the contract, the last of each key."""
    assert hop.table.contract is not None
    judged = judge(hop.table.contract, out, who=hop.name, warn=hop.table.warns)
    if hop.table.layer == "gold" and judged.bad.select(pl.len()).collect().item():
        raise ValueError("a rule stops the hop, and nothing is committed")
    good = judged.good
    order = ordering(hop.table, good.collect_schema())
    return good.sort(order).unique(hop.table.key, keep="last", maintain_order=True) if order else good


@pytest.mark.parametrize("hop", _HOPS, ids=lambda hop: hop.name)
def test_no_column_of_a_real_hop_moves_without_an_edge(hop: Hop, published: dict[str, pl.DataFrame], surplus: dict[str, list[Verdict]]) -> None:
    """The hops of flows/nyc on real rows, with what the engine does to what they return."""
    frames = {name: published[hop.reads(name).name] for name in hop.inputs}
    origins = trace(hop, {name: frame.schema for name, frame in frames.items()})
    assert origins.how == "plan"
    case = Case(hop.name, hop.function, frames, tuple(hop.table.key), partial(as_committed, hop), origins)
    verdict = judge_case(case)
    surplus["flows/nyc"].append(verdict)
    assert verdict.missing == {}
    assert verdict.seen > 0


def _all_cases() -> list[Case]:
    return [*corpus(), *tpch()]


@pytest.mark.parametrize("case", _all_cases(), ids=lambda case: case.name)
def test_what_polars_asks_for_bounds_what_is_found(case: Case) -> None:
    """The walk says nothing that projection pushdown rules out, but for what only chooses rows: two ways to one answer, compared."""
    schemas = {name: frame.schema for name, frame in case.frames.items()}
    walked = derive(case.function, schemas)
    asked = derive(case.function, schemas, walked_plan=False)
    for name, kinds in walked.columns.items():
        assert {column for column, kind in kinds.items() if kind in VALUES} <= set(asked.of(name)), name


def test_the_law_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge taken away is missed: for each hop of which an edge was seen, the law fails without it."""
    for case in (next(case for case in corpus() if case.name == "left join"), tpch()[2]):
        whole = case.traced()
        for taken in sorted({column for name in whole.schema for column in whole.of(name)}):
            less = replace(
                whole,
                columns={name: {column: kind for column, kind in kinds.items() if column != taken} for name, kinds in whole.columns.items()},
                rows={column: kind for column, kind in whole.rows.items() if column != taken},
            )
            assert judge_case(replace(case, origins=less)).missing, f"nobody missed {taken} in {case.name}"
