"""Personal columns: a value in one of them is in no error, check, notice, card, page, event or proof; the column is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lake import personal
from lake.cards import table_card
from lake.catalog import Catalog
from lake.contract import PROVENANCE, Contract
from lake.difference import difference_of
from lake.errors import ContractBroken, HopFailed, LakeError, RejectLimitExceeded
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.openlineage import as_dict, events
from lake.personal import UNSHOWN
from lake.pipeline import Pipeline
from lake.rules import expect, fresh, unique
from lake.run import Run
from lake.share import told as words_of
from lake.source import Source
from lake.table import Table
from lake.verify import verify

PLANTED = "planted"


class Person(Contract):
    """Somebody who ordered."""

    number = dy.Int64(primary_key=True, description="Number of the person")
    email = dy.String(nullable=False, metadata={"personal": "email"}, description="Where they are written to")
    age = dy.Int64(nullable=False, max=150, metadata={"unit": "years", "pii": True}, description="How old they are")
    born = dy.Date(nullable=True, metadata={"personal": "birth date"}, description="When they were born")


bronze = Table("bronze.shop.people")


def people(raw: pl.LazyFrame) -> pl.LazyFrame:
    """As they come."""
    return raw.select("number", "email", "age", "born", *PROVENANCE)


def made(function: Any = people, **options: Any) -> Hop:
    """A hop into a table of people, as the test declares it."""
    return hop(Table("silver.shop.people", Person, owner="shop", **options), write="merge", raw=changes(bronze))(function)


def brought(run: Run, folder: Path, rows: list[tuple[Any, ...]]) -> Source:
    """People as a file in bronze."""
    folder.mkdir(exist_ok=True)
    text = "\n".join(["number,email,age,born", *(",".join(map(str, row)) for row in rows)])
    (folder / f"{len(list(folder.iterdir()))}.csv").write_text(text + "\n")
    source = Source(bronze, folder, "*.csv")
    land(run, source)
    ingest(run, source)
    return source


TWICE = [(1, f"{PLANTED}@example.org", 44, "1980-02-03"), (2, f"{PLANTED}@example.org", 45, "1981-02-03")]
OLD = [(number, f"{PLANTED}{number}@example.org", 777, "1980-02-03") for number in range(3)]


def test_a_value_that_repeats_is_counted_and_not_told(run: Run, tmp_path: Path) -> None:
    """`unique` on a personal column: in the record, the listing, the card and the events, its column with no value."""
    brought(run, tmp_path / "in", TWICE)
    outcome = execute(run, made(rules=[unique("email", severity="warn")]))
    assert outcome is not None
    catalog = Catalog(run.store)
    _, record = catalog.last("silver.shop.people")
    (check,) = record.checks
    assert not check.holds
    assert f"e.g. email={UNSHOWN}" in check.value
    told = [record.to_json(), table_card(catalog, "silver.shop.people"), json.dumps([as_dict(event) for event in events(catalog, run.settings)], default=str)]
    told += [str(catalog.rules("silver.shop.people"))]
    for text in told:
        assert PLANTED not in text


@pytest.mark.parametrize(
    ("options", "error"), [({"severity": {"age|max": "fail"}}, ContractBroken), ({"max_rejected": 0.1, "max_rejected_from": 1}, RejectLimitExceeded)]
)
def test_a_refusal_shows_the_row_without_them(run: Run, tmp_path: Path, options: dict[str, Any], error: type[LakeError]) -> None:
    """The row that broke a rule is known by its key; what is personal of it is named."""
    brought(run, tmp_path / "in", OLD)
    with pytest.raises(error) as caught:
        execute(run, made(**options))
    told = str(caught.value)
    assert f'"email": "{UNSHOWN}"' in told
    assert '"number": "0"' in told
    for value in (PLANTED, "777", "1980"):
        assert value not in told


def _raising(raw: pl.LazyFrame) -> pl.LazyFrame:
    return people(raw).with_columns(pl.col("email").cast(pl.Int64).cast(pl.String))


def _python(raw: pl.LazyFrame) -> pl.LazyFrame:
    raise ValueError(f"no such person: {PLANTED}@example.org")


@pytest.mark.parametrize("function", [_raising, _python])
def test_what_a_hop_raises_is_told_by_its_kind(run: Run, tmp_path: Path, function: Any) -> None:
    """The words of an error may quote a value: its kind, the line and the columns are told. Errors of code keep their words."""
    brought(run, tmp_path / "in", OLD)
    with pytest.raises((HopFailed, RejectLimitExceeded)) as caught:
        execute(run, made(function, max_rejected=0.0))
    assert PLANTED not in str(caught.value)
    with pytest.raises(HopFailed, match="there is no column email"):
        execute(run, made(lambda raw: people(raw.rename({"email": "mailbox"}).select("mailbox", "number"))))


def test_an_expectation_and_a_moment_tell_no_value(run: Run, tmp_path: Path) -> None:
    """The newest birth date is a birth date; what cannot be evaluated may quote what it met."""
    import datetime as dt

    brought(run, tmp_path / "in", TWICE)
    execute(run, made(rules=[fresh("born", within=dt.timedelta(days=1), severity="warn")]))
    (check,) = Catalog(run.store).last("silver.shop.people")[1].checks
    assert "born" in check.value
    assert "1981" not in check.value
    bad = made(rules=[expect("numbers", pl.col("email").cast(pl.Int64).sum() > 0)])
    brought(run, tmp_path / "in", [(9, f"{PLANTED}9@example.org", 44, "1980-02-03")])
    with pytest.raises(LakeError, match="may hold values of email") as caught:
        execute(run, bad)
    assert PLANTED not in str(caught.value)


def test_differences_name_columns_and_show_no_value() -> None:
    """Whether rows are told apart by a key, by a personal key, or as wholes."""
    was = pl.LazyFrame({"number": [1, 2], "email": [f"{PLANTED}1", f"{PLANTED}2"], "city": ["rome", "oslo"]})
    now = pl.LazyFrame({"number": [1, 2], "email": ["planted3", f"{PLANTED}2"], "city": ["rome", "bern"]})
    for key in (["number"], ["email"], []):
        found = difference_of(was, now, key).without({"email"})
        assert found.any
        assert PLANTED not in words_of(found) + str(found.examples.to_dicts())
        assert any("bern" in str(row) for row in found.examples.to_dicts())


def test_verify_tells_no_personal_value(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bronze, which says of no column what it holds, shows none where a table of its subject has personal ones."""
    source = brought(run, tmp_path / "in", TWICE)
    cleaned = made()
    execute(run, cleaned)
    real = difference_of

    def damaged(stored: pl.LazyFrame, again: pl.LazyFrame, key: list[str], **more: Any) -> Any:
        return real(stored.with_columns(pl.col("email") + "x"), again, key, **more)

    monkeypatch.setattr("lake.raw_share.difference_of", damaged)
    monkeypatch.setattr("lake.share.difference_of", damaged)
    rows = list(verify(run, Pipeline("shop", [source], [cleaned]), share=1.0, seed=1))
    assert [row["verdict"] for row in rows] == ["differs", "differs"]
    assert PLANTED not in str(rows)


def test_a_row_is_told_without_them() -> None:
    """What cannot be taken apart is not shown at all."""
    assert personal.row_told('{"a": 1, "email": "x"}', {"email"}) == f'{{"a": 1, "email": "{UNSHOWN}"}}'
    assert personal.row_told('{"a": 1, "email": null}', {"email"}) == '{"a": 1, "email": null}'
    assert personal.row_told("planted, cut", {"email"}) == UNSHOWN
    assert personal.row_told("[1]", {"email"}) == UNSHOWN
    assert personal.row_told("[1]", ()) == "[1]"
    for metadata, marked in (
        ({"personal": "email"}, True),
        ({"pii": True}, True),
        ({"personal": ""}, False),
        ({"pii": False}, False),
        ({}, False),
        (None, False),
    ):
        assert personal.is_marked(metadata) is marked
