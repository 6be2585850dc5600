"""Rows followed through plans: what a row is said to be made of makes it, alone; and conditions that Polars pushes leave out nothing that matters."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from lake.trace.asked import Looks, asked
from lake.trace.marks import Unfollowed, followed, numbers_in
from tests.column_hops import corpus
from tests.perturb import Case
from tests.random_plans import random_case

c = pl.col
_PLANS = 600
_NUMBER = "#n"


def _rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(f"{value:.9g}" if isinstance(value, float) else repr(value) for value in row) for row in frame.rows()]


def _out(case: Case, frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return case.function(**{name: frame.lazy() for name, frame in frames.items()}).lazy().collect()


def _only(frames: dict[str, pl.DataFrame], numbers: dict[str, pl.Series]) -> dict[str, pl.DataFrame]:
    return {name: frame.with_row_index(_NUMBER).filter(c(_NUMBER).is_in(numbers[name].implode())).drop(_NUMBER) for name, frame in frames.items()}


@pytest.mark.parametrize("part", range(4))
def test_the_rows_that_are_followed_make_the_row(part: int) -> None:
    """Over a corpus of hops and random plans: where a plan is followed, each row comes out of the rows it is made of, without any other."""
    cases = [*corpus(), *(random_case(seed) for seed in range(_PLANS))][part::4]
    through = 0
    for case in cases:
        try:
            out = followed(case.function, {name: frame.lazy() for name, frame in case.frames.items()})
        except Unfollowed:
            continue
        whole = out.collect()
        names = [name for name in whole.columns if not name.startswith("#from ")]
        assert sorted(_rows(whole.select(names))) == sorted(_rows(_out(case, case.frames).select(names))), case.name
        chance = random.Random(case.name)
        for at in chance.sample(range(whole.height), min(4, whole.height)):
            row = whole[at]
            again = _out(case, _only(case.frames, numbers_in(row.lazy(), list(case.frames))))
            assert _rows(row.select(names))[0] in _rows(again.select(names)), (case.name, row)
        through += 1
    assert through > 10


@pytest.mark.parametrize("part", range(4))
def test_a_condition_leaves_out_no_row_that_matters(part: int) -> None:
    """Of the same plans: asked for some rows only, the inputs without what fails the conditions still give exactly these rows."""
    cases = [*corpus(), *(random_case(seed) for seed in range(_PLANS))][part::4]
    narrowed = 0
    for case in cases:
        whole = _out(case, case.frames)
        comparable = [name for name, dtype in whole.schema.items() if not dtype.is_nested() and not dtype.is_float()]
        if not whole.height or not comparable:
            continue
        chance = random.Random(case.name)
        column = chance.choice(comparable)
        value = chance.choice(whole[column].to_list())

        def wanted(out: pl.LazyFrame, column: str = column, value: Any = value, dtype: Any = whole.schema[column]) -> pl.LazyFrame:
            return out.filter(c(column).is_in(pl.lit(pl.Series([value], dtype=dtype).implode()), nulls_equal=value is None))

        try:
            conditions = asked(case.function, {name: frame.schema for name, frame in case.frames.items()}, wanted)
        except (Looks, pl.exceptions.PolarsError):
            continue
        kept = {name: frame if conditions[name] is None else frame.filter(conditions[name]) for name, frame in case.frames.items()}
        assert sorted(_rows(wanted(whole.lazy()).collect())) == sorted(_rows(wanted(_out(case, kept).lazy()).collect())), (case.name, column, value)
        narrowed += any(condition is not None for condition in conditions.values())
    assert narrowed > 5


_F = pl.DataFrame({"k": ["a", "a", "b", "c"], "n": [1, 2, 2, None]})
_R = pl.DataFrame({"k": ["a", "b", "b", "d"], "x": [10, 20, 21, 40]})


@pytest.mark.parametrize(
    ("function", "where", "of"),
    [
        pytest.param(lambda f, r: f.filter(c("n") > 1), c("k") == "b", ([2], []), id="a filter"),
        pytest.param(lambda f, r: f.join(r, on="k", how="left"), c("k") == "b", ([2], [1, 2]), id="a left join"),
        pytest.param(lambda f, r: f.join(r, on="k", how="left").with_columns(c("x").fill_null(0)), c("x") == 0, ([3], []), id="a left join that meets nobody"),
        pytest.param(lambda f, r: f.join(r, on="k", how="full", coalesce=True), c("k") == "d", ([], [3]), id="a full join"),
        pytest.param(lambda f, r: f.join(r, on="k", how="semi"), c("k") == "b", ([2], [1, 2]), id="a semi join"),
        pytest.param(lambda f, r: f.group_by("k").agg(c("n").max()), c("k") == "a", ([0, 1], []), id="a group"),
        pytest.param(lambda f, r: f.group_by(c("n").is_null().alias("g")).len(), c("g"), ([3], []), id="a group by what is computed"),
        pytest.param(lambda f, r: f.join(r.group_by("k").agg(c("x").sum()), on="k"), c("k") == "b", ([2], [1, 2]), id="a join with groups"),
        pytest.param(lambda f, r: pl.concat([f.select("k"), r.select("k")]).group_by("k").len(), c("k") == "b", ([2], [1, 2]), id="a concat"),
        pytest.param(lambda f, r: f.select(pl.all()).unique("k", keep="first"), c("k") == "a", ([0, 1], []), id="one of several"),
        pytest.param(lambda f, r: f.unpivot(index="k").filter(c("value") == 1), c("k") == "a", ([0], []), id="values as rows"),
        pytest.param(lambda f, r: f.rename(str.upper).drop("N"), c("K") == "c", ([3], []), id="other names"),
        pytest.param(lambda f, r: f.join(pl.LazyFrame({"k": ["a"], "y": [1]}), on="k"), c("k") == "a", ([0, 1], []), id="a constant"),
    ],
)
def test_a_row_is_followed_to_just_its_rows(function: Callable[..., pl.LazyFrame], where: pl.Expr, of: tuple[list[int], list[int]]) -> None:
    """Exactly the rows that met in it, of each input."""
    out = followed(function, {"f": _F.lazy(), "r": _R.lazy()})
    assert {name: numbers.to_list() for name, numbers in numbers_in(out.filter(where), ["f", "r"]).items()} == {"f": of[0], "r": of[1]}


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda f: f.with_columns(c("n").shift()), "shift looks at other rows"),
        (lambda f: f.with_columns(c("n").sum().over("k")), "a window looks at other rows"),
        (lambda f: f.filter(c("n") == c("n").max()), "an aggregate looks at other rows"),
        (lambda f: f.filter(c("n").is_duplicated()), "IsDuplicated looks at other rows"),
        (lambda f: f.select(c("n").fill_null(strategy="forward")), "fill_null_with_strategy looks at other rows"),
        (lambda f: f.sort("n").head(1), "head() is not followed"),
        (lambda f: f.join(f, on="k", how="anti"), "anti join is not followed"),
        (lambda f: f.map_batches(lambda frame: frame), "map_batches() is not followed"),
        (lambda f: f.with_row_index(), "with_row_index() is not followed"),
        (lambda f: f.collect().lazy(), "it looks at rows"),
        (lambda f: f.group_by("k").map_groups(lambda frame: frame, schema=None), "map_groups() is not followed"),
        (lambda f: pl.concat([f, pl.LazyFrame(_F)]), "rows that are not from its inputs"),
        (lambda f: pl.concat([f.select("k"), f.select("n")], how="horizontal"), "horizontal concat is not followed"),
        (lambda f: pl.LazyFrame({"k": ["a"]}), "not made from its inputs"),
    ],
)  # fmt: skip
def test_what_other_rows_decide_is_not_followed(function: Callable[..., pl.LazyFrame], why: str) -> None:
    """And why is said."""
    with pytest.raises(Unfollowed, match=why.replace("(", r"\(").replace(")", r"\)")):
        followed(function, {"f": _F.lazy()}).collect()


def test_concat_is_what_it_was_afterwards() -> None:
    """Polars is as it was when a function was followed, and when it failed."""
    before = pl.concat
    with pytest.raises(Unfollowed):
        followed(lambda f: f.head(1), {"f": _F.lazy()})
    assert pl.concat is before
