"""An oracle for column lineage that knows no plan: change one input column of a sample, and see which columns of the output move."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake.origins.kinds import Column
from lake.origins.trace import Origins, derive

Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Case:
    """A function of frames with a sample to run it on. `key` are columns of the output by which its rows are told apart, if there are any."""

    name: str
    function: Callable[..., pl.LazyFrame]
    frames: Frames = field(repr=False)
    key: tuple[str, ...] = ()
    finish: Callable[[pl.LazyFrame], pl.LazyFrame] = field(default=lambda frame: frame, repr=False)
    origins: Origins | None = field(default=None, repr=False)
    skip: frozenset[Column] = frozenset()

    def run(self, frames: Frames | None = None) -> pl.DataFrame:
        """The output on the sample, or on other frames."""
        return self.finish(self.function(**{name: frame.lazy() for name, frame in (frames or self.frames).items()})).collect(engine="in-memory")

    def traced(self) -> Origins:
        """What lake says of it."""
        return self.origins or derive(self.function, {name: frame.schema for name, frame in self.frames.items()})


@dataclass
class Verdict:
    """What moved without an edge (missing), the edges of which nothing was seen to move (surplus), and how many were claimed and seen."""

    missing: dict[tuple[Column, str], str] = field(default_factory=dict)
    surplus: set[tuple[Column, str]] = field(default_factory=set)
    claimed: int = 0
    seen: int = 0


def judge_case(case: Case, *, seed: int = 7) -> Verdict:
    """Perturb each input column in turn, in several ways, and compare what moved with what lake says."""
    claims = case.traced()
    before = case.run()
    assert before.height > 0, f"{case.name} gives no rows, so nothing can move"
    assert claims.how != "nothing", claims.why
    moved: dict[tuple[Column, str], str] = {}
    for parameter, frame in case.frames.items():
        for column in frame.columns:
            for way, values in _perturbed(frame[column], random.Random(f"{seed} {parameter} {column}")):
                changed = dict(case.frames) | {parameter: frame.with_columns(values.alias(column))}
                try:
                    after = case.run(changed)
                except (pl.exceptions.PolarsError, ValueError, TypeError):
                    continue  # not every value can be used in every place
                told_apart = not any((parameter, column) in claims.columns[name] for name in case.key)
                for name in _moves(before, after, case.key if told_apart else ()):
                    moved.setdefault(((parameter, column), name), way)
    edges = {(column, name) for name in before.columns for column in claims.of(name)}
    missing = {edge: way for edge, way in moved.items() if edge not in edges and edge[0] not in case.skip}
    return Verdict(missing, edges - moved.keys(), len(edges), len(edges & moved.keys()))


def _moves(before: pl.DataFrame, after: pl.DataFrame, key: tuple[str, ...]) -> Iterator[str]:
    """The columns that differ: row by row where the same keys are there, else as bags of values."""
    if key and (rows := _by_key(before, key)) is not None and (others := _by_key(after, key)) is not None and rows.keys() == others.keys():
        for i, name in enumerate(before.columns):
            if any(rows[at][i] != others[at][i] for at in rows):
                yield name
        return
    for name in before.columns:
        if _bag(before[name]) != _bag(after[name]):
            yield name


def _by_key(frame: pl.DataFrame, key: tuple[str, ...]) -> dict[Any, tuple[Any, ...]] | None:
    rows = [tuple(_plain(value) for value in row) for row in frame.iter_rows()]
    at = [frame.columns.index(name) for name in key]
    found = {repr([row[i] for i in at]): row for row in rows}
    return found if len(found) == len(rows) else None


def _bag(values: pl.Series) -> Counter[str]:
    return Counter(repr(_plain(value)) for value in values.to_list())


def _plain(value: Any) -> Any:
    """A value as it can be compared: floating-point numbers to nine digits, since sums are not taken in one order."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return {name: _plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def _perturbed(values: pl.Series, chance: random.Random) -> Iterator[tuple[str, pl.Series]]:
    """The column changed in ways that may show: shuffled; each value another of the column; moved off its values; some of it null; all alike."""
    given = values.to_list()
    if not given:
        return
    shuffled = chance.sample(given, len(given))
    yield "shuffled", pl.Series(values.name, shuffled, dtype=values.dtype)
    yield "redrawn", pl.Series(values.name, [chance.choice(given) for _ in given], dtype=values.dtype)
    if (other := _off(values, chance)) is not None:
        yield "moved off", other
    yield "some null", pl.Series(values.name, [None if chance.random() < 0.4 else value for value in given], dtype=values.dtype)
    yield "alike", pl.Series(values.name, [chance.choice([value for value in given if value is not None] or [None])] * len(given), dtype=values.dtype)


def _off(values: pl.Series, chance: random.Random) -> pl.Series | None:
    """Values that the column did not have."""
    if values.dtype.is_integer() or values.dtype.is_float():
        least, greatest = pl.select(values.dtype.min(), values.dtype.max().alias("max")).row(0) if values.dtype.is_integer() else (-1e300, 1e300)
        drawn = [None if value is None else min(max(value + chance.choice([-1, 1]) * chance.randint(1, 9), least), greatest) for value in values.to_list()]
        return pl.Series(values.name, drawn, dtype=values.dtype)
    if values.dtype in (pl.Date, pl.Datetime):
        return values + pl.Series([chance.randint(1, 400) for _ in range(len(values))]).cast(pl.Duration("ms")) * 86_400_000
    if values.dtype == pl.Boolean:
        return ~values
    if values.dtype == pl.String:
        return pl.Series(values.name, [None if value is None else value + "x" for value in values.to_list()], dtype=pl.String)
    if values.dtype == pl.List:
        return pl.Series(values.name, [None if value is None else (value * 2)[: chance.randint(0, 4)] for value in values.to_list()], dtype=values.dtype)
    return None
