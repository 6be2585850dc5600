"""Rejected rows come back: from the raw file to the rejects, and through readmit to their place in history, exactly once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake.catalog import Catalog
from lake.landing import land
from lake.reading.hints import Hints
from lake.readmit import readmit_files, readmit_rows
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.verify import verify
from tests.orders import Bare, Free, Gaps, Relaxed, Shop, Tightened, bare, doubling, nulling, trimming


@pytest.fixture
def run(weed_settings: Settings) -> Iterator[Run]:
    """A run on an empty lake."""
    with begin_run(weed_settings, "test", "test") as found:
        yield found


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(run, tmp_path / "in")


def test_a_relaxed_rule_readmits_just_the_rejected_rows(shop: Shop) -> None:
    """The transformation is the same, no row there breaks the new contract: two rows are read, not four. Then gold follows."""
    shop.bring("1.csv", "order,amount\n1,10\n2,-5\n3,30\n4,-500\n")
    assert (shop.amounts(), shop.rejects(), shop.total()) == ({1: 10, 3: 30}, [(2, ["amount|min"]), (4, ["amount|min"])], (2, 40))
    shop.contract = Relaxed
    done = readmit_rows(shop.run, shop.orders)
    assert (done.ledger.read, done.ledger.inserted, done.ledger.rejected, done.reason) == (2, 1, 1, "2 rejected rows again")
    shop.flow()
    assert (shop.amounts(), shop.total()) == ({1: 10, 2: -5, 3: 30}, (3, 35))
    assert (shop.rejects(), shop.rejects(resolved=True)) == ([(4, ["amount|min"])], [(2, ["amount|min"])])
    shop.sound()


def test_readmitting_twice_changes_nothing(shop: Shop) -> None:
    """Exactly once: what is in is in, and what the same code rejected it would reject again."""
    shop.bring("1.csv", "order,amount\n1,10\n2,-5\n3,-500\n")
    shop.contract = Relaxed
    assert readmit_rows(shop.run, shop.orders).changed
    again = readmit_rows(shop.run, shop.orders)
    assert (again.changed, again.reason) == (False, "the code and the contract are those that rejected the rows")
    assert (shop.amounts(), shop.rejects(resolved=True)) == ({1: 10, 2: -5}, [(2, ["amount|min"])])


def test_a_readmitted_row_takes_its_place_in_history(shop: Shop) -> None:
    """A row that a later file has overtaken stays overtaken; one that came after what is there wins."""
    shop.bring("1.csv", "order,amount\n1,-1\n2,20\n3,30\n")
    shop.bring("2.csv", "order,amount\n1,11\n2,-2\n")
    assert shop.amounts() == {1: 11, 2: 20, 3: 30}
    shop.contract = Free
    done = readmit_rows(shop.run, shop.orders)
    assert (done.ledger.read, done.ledger.superseded, done.ledger.updated) == (2, 1, 1)
    shop.flow()
    assert (shop.amounts(), shop.rejects()) == ({1: 11, 2: -2, 3: 30}, [])
    shop.sound()


@pytest.mark.parametrize(
    ("change", "why", "amounts"),
    [
        ({"function": trimming}, "the code changed", {1: 10, 2: 7, 3: 100}),
        ({"contract": Tightened}, "1 row that is in breaks the contract as it is now", {1: 10}),
        ({"write": "replace", "contract": Relaxed}, "always computed together", {1: 10, 3: 100}),
    ],
)
def test_where_it_cannot_be_shown_that_the_rest_stays_everything_is_recomputed(shop: Shop, change: dict[str, Any], why: str, amounts: dict[int, int]) -> None:
    """Law 6 before speed: the table is what recomputing gives, and the rows that pass now are marked as resolved."""
    shop.bring("1.csv", "order,amount\n1,10\n2,7 €\n3,100\n")
    for name, value in change.items():
        setattr(shop, name, value)
    done = readmit_rows(shop.run, shop.orders)
    assert done.changed
    assert why in done.reason
    shop.flow()
    assert shop.amounts() == amounts
    assert [row for row, _ in shop.rejects(resolved=True)] == [2] * (2 in amounts)
    shop.sound()


@pytest.mark.parametrize(("contract", "reason", "amounts"), [(Gaps, "1 rejected row again", {1: 10, 2: None}), (Bare, "its columns changed", None)])
def test_a_column_that_may_be_null_now_lets_rows_in_and_one_that_is_gone_recomputes(
    shop: Shop, contract: Any, reason: str, amounts: dict[int, int | None] | None
) -> None:
    """Allowing nulls only relaxes; another set of columns is another table."""
    shop.function = nulling
    shop.bring("1.csv", "order,amount\n1,10\n2,\n")
    shop.contract = contract
    if contract is Bare:
        shop.function = bare
    assert reason in readmit_rows(shop.run, shop.orders, only=True).reason
    if amounts is not None:
        assert shop.amounts() == amounts


def test_rows_alone_on_someones_word_and_verify_finds_a_wrong_one(shop: Shop) -> None:
    """`--only`: the rejected rows by changed code, nothing else read; it is on record, and found out if it was not so."""
    shop.bring("1.csv", "order,amount\n1,10\n2,7 €\n")
    shop.function = trimming
    done = readmit_rows(shop.run, shop.orders, only=True)
    assert (done.ledger.read, done.reason) == (1, "1 rejected row again; other rows are said to be as they were")
    shop.flow()
    assert shop.amounts() == {1: 10, 2: 7}
    shop.sound()
    shop.bring("2.csv", "order,amount\n3,x\n4,40\n")
    shop.function = doubling
    assert readmit_rows(shop.run, shop.orders, only=True).ledger.rejected == 1
    shop.flow()
    assert shop.amounts() == {1: 10, 2: 7, 4: 40}
    assert {told["verdict"] for told in verify(shop.run, shop.pipeline, share=1.0) if told["table"] == "silver.shop.orders"} == {"differs"}


def test_a_file_whose_encoding_was_told_wrongly_comes_back(shop: Shop) -> None:
    """Bronze rejected its lines; the source now says how it is written. They take the place of the time it landed, before files that came later."""
    (shop.folder / "1.csv").write_bytes("order,amount,wer\n1,10,Jörg\n2,20,Käthe\n".encode("latin-1"))
    shop.hints = Hints(encoding="ascii")
    shop.bring("2.csv", "order,amount\n2,22\n3,33\n")
    assert (shop.amounts(), len(shop.rejects("bronze.shop.orders"))) == ({2: 22, 3: 33}, 2)
    shop.hints = Hints(encoding="latin-1")
    told = {one.name: (one.rows, one.rejects) for one in readmit_files(shop.run, shop.source)}
    assert told == {"1.csv": (2, 0)}
    shop.flow()
    assert (shop.amounts(), shop.rejects("bronze.shop.orders"), len(shop.rejects("bronze.shop.orders", resolved=True))) == ({1: 10, 2: 22, 3: 33}, [], 2)
    assert shop.total() == (3, 65)
    assert readmit_files(shop.run, shop.source) == []
    shop.sound()


def test_a_file_that_a_strict_table_refused_comes_in_when_the_table_is_opened(shop: Shop) -> None:
    """The policy is changed, the file is read again; what it met when it came is what a replay meets first."""
    shop.bronze = replace(shop.bronze, policy="strict")
    shop.bring("1.csv", "order,amount\n1,10\n")
    shop.bring("2.csv", "order,amount,note\n2,20,new\n")
    assert (shop.amounts(), len(shop.rejects("bronze.shop.orders"))) == ({1: 10}, 1)
    assert [one.dialects for one in readmit_files(shop.run, shop.source)] == [None]
    shop.bronze = replace(shop.bronze, policy="evolve")
    assert [(one.rows, one.rejects) for one in readmit_files(shop.run, shop.source)] == [(1, 0)]
    shop.flow()
    assert (shop.amounts(), shop.rejects("bronze.shop.orders")) == ({1: 10, 2: 20}, [])
    shop.sound()


def test_lines_of_a_file_come_back_and_those_that_are_in_stay_once(shop: Shop) -> None:
    """Only the records that are missing are added; the landing of the file is known as before, so nothing lands twice."""
    shop.bronze = replace(shop.bronze, policy="strict")
    shop.bring("1.csv", "order,amount\n1,10\n2,20,surplus\n3\n4,40\n")
    assert shop.amounts() == {1: 10, 4: 40}
    assert [row for row, _ in shop.rejects("bronze.shop.orders")] == [2, 3]
    shop.bronze = replace(shop.bronze, policy="freeze")
    assert [(one.rows, one.rejects) for one in readmit_files(shop.run, shop.source)] == [(2, 0)]
    shop.flow()
    bronze = Catalog(shop.run.store).last("bronze.shop.orders")[1]
    assert (bronze.rows, bronze.ledger.inserted, bronze.ledger.unchanged, bronze.rejects) == (4, 2, 2, 0)
    assert shop.amounts() == {1: 10, 2: 20, 4: 40}
    assert [row for row, _ in shop.rejects()] == [3]
    shop.sound()


def test_resolved_rows_say_when_and_by_which_run(shop: Shop) -> None:
    """The quarantine is a history too."""
    shop.bring("1.csv", "order,amount\n1,-10\n2,20\n")
    before = dt.datetime.now(dt.UTC)
    shop.contract = Relaxed
    readmit_rows(shop.run, shop.orders)
    row = Catalog(shop.run.store).rejects("silver.shop.orders", resolved=True).collect().row(0, named=True)
    assert row["resolved_by"] == shop.run.info.id
    assert before <= row["resolved_at"] <= dt.datetime.now(dt.UTC)


def test_a_file_that_no_longer_fits_when_its_turn_comes_stays_as_it_is(shop: Shop) -> None:
    """Between readmission and ingest the table was closed again: nothing is lost, nothing is stuck."""
    shop.bronze = replace(shop.bronze, policy="strict")
    shop.bring("1.csv", "order,amount\n1,10\n2,20,surplus\n")
    shop.bronze = replace(shop.bronze, policy="freeze")
    assert [one.rows for one in readmit_files(shop.run, shop.source)] == [1]
    shop.bronze = replace(shop.bronze, policy="strict", columns=("order", "amount", "more"))
    shop.bring("2.csv", "order,amount,more\n3,30,x\n")
    assert (shop.amounts(), [row for row, _ in shop.rejects("bronze.shop.orders")]) == ({1: 10, 3: 30}, [2])


def test_a_correction_resolves_the_file_that_was_rejected_whole(shop: Shop) -> None:
    """Other content under the same name settles the reject in the commit that takes it in, and no other file's; so does a replay of all at once."""
    shop.bring("1.csv", "order,amount\n1,10\n")
    shop.bring("2.csv", "%PDF-1.7\n")
    shop.bring("3.csv", "%PDF-1.7 another\n")
    assert len(shop.rejects("bronze.shop.orders")) == 2
    shop.bring("2.csv", "order,amount\n2,20\n")
    (row,) = Catalog(shop.run.store).rejects("bronze.shop.orders", resolved=True).collect().rows(named=True)
    assert (row["resolved_by"], row["_file"].rsplit("/", 1)[-1]) == (shop.run.info.id, "2.csv")
    record = Catalog(shop.run.store).last("bronze.shop.orders")[1]
    assert (record.rejects, record.ledger.inserted, record.ledger.rejected) == (1, 1, 0)
    assert [reason for _, reason in shop.rejects("bronze.shop.orders")] == ["it is named 3.csv but its content is a PDF"]
    assert [one.name for one in readmit_files(shop.run, shop.source)] == ["3.csv"]
    shop.sound()


def test_a_correction_that_is_no_better_resolves_nothing(shop: Shop) -> None:
    """Each is open until one can be read; the first content once more, after that, is rejected anew, and is then not listed as resolved."""
    shop.bring("0.csv", "order,amount\n9,90\n")
    shop.bring("1.csv", "%PDF-1.7\n")
    shop.bring("1.csv", "%PDF-1.7 again\n")
    assert (len(shop.rejects("bronze.shop.orders")), len(shop.rejects("bronze.shop.orders", resolved=True))) == (2, 0)
    shop.bring("1.csv", "order,amount\n1,10\n")
    assert (len(shop.rejects("bronze.shop.orders")), len(shop.rejects("bronze.shop.orders", resolved=True))) == (0, 2)
    shop.bring("1.csv", "%PDF-1.7\n")
    assert (len(shop.rejects("bronze.shop.orders")), len(shop.rejects("bronze.shop.orders", resolved=True))) == (1, 1)
    shop.sound()


def test_a_correction_in_the_same_batch_counts_too(shop: Shop) -> None:
    """Both landed before bronze took either in: the rejected one is in quarantine, resolved."""
    for content in ("%PDF-1.7\n", "order,amount\n1,10\n"):
        (shop.folder / "1.csv").write_text(content, "utf-8")
        land(shop.run, shop.source)
    shop.flow()
    assert (shop.rejects("bronze.shop.orders"), len(shop.rejects("bronze.shop.orders", resolved=True)), shop.amounts()) == ([], 1, {1: 10})
    shop.sound()


def test_what_is_rejected_again_is_not_listed_as_resolved(shop: Shop) -> None:
    """Rows that a relaxed contract let in, and a stricter one rejects once more, are open and nothing else."""
    shop.bring("1.csv", "order,amount\n1,-10\n2,20\n")
    strict, shop.contract = shop.contract, Relaxed
    shop.flow()
    assert (len(shop.rejects()), len(shop.rejects(resolved=True))) == (0, 1)
    shop.contract = strict
    shop.flow()
    assert (len(shop.rejects()), len(shop.rejects(resolved=True))) == (1, 0)


def test_a_run_and_its_record_name_what_was_odd_about_files(shop: Shop) -> None:
    """A file that is rejected whole with its reason, an encoding that is a guess, and what filled up a file's end."""
    for name, data in {"a.csv": b"%PDF-1.7", "b.csv": b"order,amount\n1,10\n\x1a", "c.csv": b"order,amount,wer\n2,20,J\xf6rg\n"}.items():
        (shop.folder / name).write_bytes(data)
    report = shop.pipeline.run(shop.run)
    line = report.results["bronze.shop.orders"].line
    assert "a.csv is rejected whole: it is named a.csv but its content is a PDF" in line
    told = [notice.line() for notice in Catalog(shop.run.store).last("bronze.shop.orders")[1].notices]
    assert "the encoding is a guess: not UTF-8: taken for Windows text (cp1252) in c.csv" in told
    assert "1 byte of padding (NUL, 0x1A) at the end left out in b.csv" in told
