"""Plans put together by chance over a frame and another, for the law that no column moves without an edge."""

from __future__ import annotations

import random
from collections.abc import Callable

import polars as pl

from tests.column_hops import F, R
from tests.perturb import Case

c = pl.col
_NUMBERS = (pl.Int64, pl.Float64, pl.UInt32, pl.Int32)
Step = Callable[[pl.LazyFrame, random.Random], pl.LazyFrame]
_FRAME = F.select("id", "k", "g", "h", "a", "b", "n", "at").head(40)
_OTHER = R.select("k", "x", "y", "g").head(24)


def _numbers(frame: pl.LazyFrame) -> list[str]:
    return [name for name, dtype in frame.collect_schema().items() if dtype in _NUMBERS]


def _texts(frame: pl.LazyFrame) -> list[str]:
    return [name for name, dtype in frame.collect_schema().items() if dtype == pl.String]


def _any(frame: pl.LazyFrame, chance: random.Random) -> str:
    return chance.choice(frame.collect_schema().names())


def _number(frame: pl.LazyFrame, chance: random.Random) -> pl.Expr:
    """A number of each row: a column, or one computed from columns, windows or conditions."""
    names = _numbers(frame)
    one, other = c(chance.choice(names)).cast(pl.Float64), c(chance.choice(names)).cast(pl.Float64)
    by = _any(frame, chance)
    return chance.choice([
        one, one + other, one * 2 - other, pl.when(one > other).then(one).otherwise(-other), one.fill_null(other), one.sum().over(by), one.rank("ordinal").over(by),
        one.cum_sum(), one.shift(1), (one - one.mean()), pl.max_horizontal(one, other), one.filter(other > 3).sum().over(by), one.sort_by(other).last().over(by),
        one.cum_sum().over(by, order_by=[_any(frame, chance), _any(frame, chance)]), one.rolling_mean(2, min_samples=1),
    ])  # fmt: skip


def _condition(frame: pl.LazyFrame, chance: random.Random) -> pl.Expr:
    if texts := _texts(frame):
        return chance.choice([c(chance.choice(texts)) != "q", c(chance.choice(texts)).str.len_chars() > 1, _number(frame, chance) > chance.randint(-3, 30)])
    return _number(frame, chance) > chance.randint(-3, 30)


def _grouped(frame: pl.LazyFrame, chance: random.Random) -> pl.LazyFrame:
    key, made = _any(frame, chance), _number(frame, chance)
    numbers = [
        made.sum().alias("m1"),
        _number(frame, chance).max().alias("m2"),
        pl.len().cast(pl.Int64).alias("m3"),
        c(_any(frame, chance)).n_unique().alias("m4"),
    ]
    return frame.group_by(key, maintain_order=True).agg(*(one for one in numbers[: chance.randint(1, 4)] if one.meta.output_name() != key))


def _joined(frame: pl.LazyFrame, other: pl.LazyFrame, chance: random.Random) -> pl.LazyFrame:
    shared = [name for name, dtype in other.collect_schema().items() if frame.collect_schema().get(name) == dtype]
    if not shared:
        return frame
    how = chance.choice(["inner", "left", "right", "full", "semi", "anti"])
    ordered = {"maintain_order": "left" if how in ("semi", "anti") else "left_right"}  # what comes next may depend on it
    coalesced = {"coalesce": chance.random() < 0.7} if how in ("left", "right", "full") else {}
    return frame.join(other, on=chance.choice(shared), how=how, suffix=f"_{chance.randint(0, 999)}", **ordered, **coalesced)  # type: ignore[arg-type]


STEPS: tuple[Step, ...] = (
    lambda f, r: f.with_columns(_number(f, r).alias(r.choice(["v1", "v2", *_numbers(f)]))),
    lambda f, r: f.with_columns(_number(f, r).alias("w1"), _condition(f, r).cast(pl.Int64).alias("w2")),
    lambda f, r: f.filter(_condition(f, r)),
    lambda f, r: f.filter(_condition(f, r) | _condition(f, r)),
    lambda f, r: f.select(r.sample(names := f.collect_schema().names(), r.randint(1, len(names)))).with_columns(pl.lit(1).alias("one")),
    lambda f, r: f.sort(_any(f, r), _any(f, r), nulls_last=True, maintain_order=True).head(r.randint(5, 25)),
    lambda f, r: f.unique(_any(f, r), keep=r.choice(["first", "last", "none"]), maintain_order=True),
    lambda f, r: f.with_columns(pl.struct(r.sample(f.collect_schema().names(), 1), _number(f, r).alias("in")).alias("st")).with_columns(c("st").struct.field("in")).drop("st"),
    lambda f, r: pl.concat([f, f.filter(_condition(f, r))]),
    lambda f, r: f.with_row_index(f"i{r.randint(0, 999)}"),
    lambda f, r: f.rename({name: f"{name}_"} if (name := _any(f, r)) != "k" else {}),
    _grouped,
)  # fmt: skip


def random_case(seed: int) -> Case:
    """A plan of a few steps, the same for the same seed."""

    def function(f: pl.LazyFrame, r: pl.LazyFrame) -> pl.LazyFrame:
        chance = random.Random(seed)
        out = f
        for _ in range(chance.randint(2, 5)):
            out = _joined(out, r, chance) if chance.random() < 0.25 else chance.choice(STEPS)(out, chance)
            if not _numbers(out):
                out = out.with_columns(pl.lit(1).alias("one"))
        return out

    return Case(f"plan {seed}", function, {"f": _FRAME, "r": _OTHER})
