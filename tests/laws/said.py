"""The hops that make tables of what was said of customers, one for each way of writing; `words` says what must come of them."""

from __future__ import annotations

import functools
from pathlib import Path

import dataframely as dy
import polars as pl

from lake.contract import LANDED, PROVENANCE, ROW, Contract
from lake.hop import Hop, changes, hop
from lake.reading.hints import Hints
from lake.source import Source
from lake.table import Policy, Table
from tests.laws.words import Rules

_WORDS = {"unit": "words"}
bronze = Table("bronze.shop.said", policy="strict")


class State(Contract):
    """The last word on a customer."""

    customer = dy.String(primary_key=True, description="Who")
    day = dy.Date(nullable=True, description="Since when")
    city = dy.String(nullable=True, regex="^[A-Z]", description="Where")
    seq = dy.Int64(nullable=True, metadata=_WORDS, description="Which word")


class AnyState(State):
    """The same, in any spelling."""

    city = dy.String(nullable=True, description="Where")


class Version(Contract):
    """Where a customer lived, and when."""

    customer = dy.String(primary_key=True, description="Who")
    valid_from = dy.Date(primary_key=True, description="Since when")
    valid_to = dy.Date(nullable=True, description="Until before when")
    is_current = dy.Bool(nullable=False, description="Whether it still is so")
    city = dy.String(nullable=True, regex="^[A-Z]", description="Where")
    seq = dy.Int64(nullable=True, metadata=_WORDS, description="Which word")


class AnyVersion(Version):
    """The same, in any spelling."""

    city = dy.String(nullable=True, description="Where")


class Said(Contract):
    """A word on a customer."""

    customer = dy.String(nullable=False, description="Who")
    day = dy.Date(nullable=True, description="Since when")
    city = dy.String(nullable=True, regex="^[A-Z]", description="Where")
    seq = dy.Int64(nullable=True, metadata=_WORDS, description="Which word")


class AnySaid(Said):
    """The same, in any spelling."""

    city = dy.String(nullable=True, description="Where")


class City(Contract):
    """How many customers a city has."""

    city = dy.String(primary_key=True, description="Which")
    customers = dy.Int64(nullable=False, min=1, metadata={"unit": "customers"}, description="How many")


def _said(raw: pl.LazyFrame) -> pl.LazyFrame:
    filled = {name: pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("day", "city", "seq")}
    return raw.select("customer", *PROVENANCE, **filled)


def _shifted(said: pl.LazyFrame) -> pl.LazyFrame:
    later = pl.col("day").str.to_date(strict=False).dt.offset_by("3d").dt.to_string("%Y-%m-%d")
    return said.with_columns(day=pl.when((pl.col("city") == "Rome") & later.is_not_null()).then(later).otherwise(pl.col("day")))


def _words(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _said(raw)


def _shifted_words(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _shifted(_said(raw))


def _ending(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _said(raw).with_columns(left=pl.col("city").eq_missing("Gone"))


def _shifted_ending(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _shifted(_said(raw)).with_columns(left=pl.col("city").eq_missing("Gone"))


def _versions(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _said(raw).rename({"day": "valid_from"})


def _shifted_versions(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _shifted(_said(raw)).rename({"day": "valid_from"})


def _last(raw: pl.LazyFrame) -> pl.LazyFrame:
    numbered = _said(raw).with_columns(pl.col("seq").cast(pl.Int64))
    return numbered.sort("seq", LANDED, ROW).group_by("customer", maintain_order=True).last()


def _shifted_last(raw: pl.LazyFrame) -> pl.LazyFrame:
    return _shifted(_last(raw))


def _open(states: pl.LazyFrame) -> pl.LazyFrame:
    return states.filter(pl.col("city").ne_missing("Hid")).with_columns(left=pl.col("city").eq_missing("Gone"))


def _per_city(states: pl.LazyFrame) -> pl.LazyFrame:
    return states.filter(pl.col("city").is_not_null()).group_by("city").agg(pl.len().cast(pl.Int64).alias("customers"))


def _now(versions: pl.LazyFrame) -> pl.LazyFrame:
    return versions.filter("is_current", pl.col("city").is_not_null()).group_by("city").agg(pl.len().cast(pl.Int64).alias("customers"))


@functools.cache
def hops_of(shape: str, rules: Rules) -> dict[str, Hop]:
    """The hops of one shape of a lake, by what their tables are called."""
    order = ("seq",) if rules.by_number else ()
    state, version, said = (AnyState, AnyVersion, AnySaid) if rules.any_spelling else (State, Version, Said)
    states = Table("silver.shop.states", state, sequence=order, max_rejected=1.0, time="day")
    copies = Table("silver.shop.copies", state, sequence=("seq",), max_rejected=1.0, time="day")  # whatever the states go by
    histories = Table("silver.shop.histories", version, sequence=order, max_rejected=1.0, time="valid_from")
    log = Table("silver.shop.log", said, max_rejected=1.0, time="day")
    lasts = Table("silver.shop.lasts", state, max_rejected=1.0, time="day")
    cities = Table("gold.shop.cities", City)
    ends = "left" if rules.deletes else None
    if shape == "states":
        end = (_shifted_ending if rules.shifts else _ending) if rules.deletes else (_shifted_words if rules.shifts else _words)
        return {
            "states": hop(states, write="merge", deletes=ends, raw=changes(bronze))(end),
            "copies": hop(copies, write="merge", deletes="left", filters="hidden", states=changes(states))(_open),
            "cities": hop(cities, write="by_key", counts="customers", filters="unknown", states=changes(states))(_per_city),
        }
    if shape == "histories":
        return {
            "histories": hop(histories, write="scd2", raw=changes(bronze))(_shifted_versions if rules.shifts else _versions),
            "now": hop(cities, counts="customers", filters="over or unknown", versions=histories)(_now),
        }
    return {
        "log": hop(log, write="append", raw=changes(bronze))(_shifted_words if rules.shifts else _words),
        "lasts": hop(lasts, write="by_key", filters="overtaken", raw=changes(bronze))(_shifted_last if rules.shifts else _last),
    }


def source_at(folder: Path, policy: Policy) -> Source:
    """Where the words come from, and what becomes of lines with a field too many."""
    return Source(Table(bronze.name, policy=policy), folder, "*.csv", hints=Hints(delimiter=",", header=True, skip_lines=0, footer_lines=0))
