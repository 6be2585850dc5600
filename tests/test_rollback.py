"""Going back: only what differs is touched, what was born later stays unless asked, readers are told, and a hold is one subject's."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from lake.cli import cli, run_command
from lake.compared import compare_releases
from lake.errors import CommitConflict, UnknownName
from lake.hop import hop
from lake.lakehouse import Lake
from lake.moved import Moved, moved_in_words
from lake.pipeline import Pipeline
from lake.release import Pin, publish_release, read_release, resume, rollback, subject_of
from lake.rollback import awaiting, foresee_rollback
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.store import Store, open_store
from lake.table import Table
from tests.conftest import ROOT
from tests.test_release import info, outcome, pins
from tests.tiny import bring, clean_orders, orders, source_at, sum_orders, totals, write_orders

_ROWS = [(n, "ann" if n % 2 else "bob", f"{n}.50", "2024-01-01") for n in range(1, 40)]


@pytest.fixture
def store(weed_settings: Settings) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(weed_settings)
    yield opened
    opened.close()


@pytest.fixture
def history(store: Store) -> Store:
    """Releases 1 (shop), 2 (shop, and care first), 3 (shop further, with a table more)."""
    publish_release(store, info(), [outcome("silver.shop.orders", 0), outcome("gold.shop.totals", 0)])
    publish_release(store, info(), [outcome("silver.care.cases", 0)])
    publish_release(store, info(), [outcome("silver.shop.orders", 1), outcome("gold.shop.late", 0)])
    return store


def test_only_what_differs_goes_back_and_what_was_born_later_stays(history: Store) -> None:
    """The other subject, first released later, stays in the release and is not held; so does the subject's own later table."""
    back = rollback(history, info(), 1)
    assert pins(back) == {"gold.shop.late": 0, "gold.shop.totals": 0, "silver.care.cases": 0, "silver.shop.orders": 0}
    assert list(back.held) == ["shop"]
    assert back.note == "shop as release 1; shop held"
    publish_release(history, info(), [outcome("silver.care.cases", 1)])
    assert pins(read_release(history, 5))["silver.care.cases"] == 1, "runs of other subjects go on and release"
    assert publish_release(history, info(), [outcome("silver.shop.orders", 2)])[1] is False
    assert resume(history, info(), ["shop"]).held == {}
    after, _ = publish_release(history, info(), [outcome("silver.shop.orders", 2)])
    assert pins(after) == {"gold.shop.late": 0, "gold.shop.totals": 0, "silver.care.cases": 1, "silver.shop.orders": 2}


def test_what_was_born_later_goes_only_if_asked(history: Store) -> None:
    """With --without-later they leave the release, and their subjects are held; a later rollback brings them back."""
    back = rollback(history, info(), 1, without_later=True)
    assert (back.tables, sorted(back.held), back.restored) == (read_release(history, 1).tables, ["care", "shop"], ())
    again = rollback(history, info(), 3, ["care"])
    assert pins(again) == {"gold.shop.totals": 0, "silver.care.cases": 0, "silver.shop.orders": 0}
    assert again.note == "care as release 3; care held; shop held"
    assert rollback(history, info(), 3).tables == read_release(history, 3).tables


def test_a_rollback_of_one_subject_leaves_the_others(history: Store) -> None:
    """Named subjects alone; one of which nothing differs makes no release; one that there is not is refused by name."""
    publish_release(history, info(), [outcome("silver.care.cases", 3)])
    assert pins(rollback(history, info(), 2, ["care"])) == {"gold.shop.late": 0, "gold.shop.totals": 0, "silver.care.cases": 0, "silver.shop.orders": 1}
    assert rollback(history, info(), 2, ["care"]).number == 5
    assert rollback(history, info(), 1, ["care"]).number == 5, "release 1 has none of its tables"
    with pytest.raises(UnknownName, match="released subject is called 'sohp'") as caught:
        rollback(history, info(), 1, ["sohp"])
    assert "shop" in str(caught.value.hint)


def test_a_rollback_of_a_rollback_is_told_by_what_is_held(history: Store) -> None:
    """Going forward again to where one was is a rollback too: held until it is lifted, with the last reason."""
    rollback(history, info(), 1)
    forward = rollback(history, info(), 3)
    assert forward.tables == read_release(history, 3).tables
    assert forward.held == {"shop": "rolled back from release 4 to 3"}
    assert rollback(history, info(), 3).number == forward.number


def test_a_release_made_meanwhile_stops_a_rollback_that_was_agreed_to(history: Store) -> None:
    """What readers would see was looked at on release 3; on another one it is decided anew, and nothing is done."""
    seen = foresee_rollback(history, 1)
    publish_release(history, info(), [outcome("silver.care.cases", 9)])
    with pytest.raises(CommitConflict, match="release 4 was made meanwhile"):
        rollback(history, info(), 1, seen=seen.last.number)
    assert pins(rollback(history, info(), 1))["silver.care.cases"] == 9


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_history_a_rollback_touches_what_differs_and_nothing_else(store: Store, seed: int) -> None:
    """Random releases, rollbacks, holds lifted and runs of three subjects, against what the manifests of before say."""
    chance = random.Random(seed)
    tables = [f"silver.{subject}.t{n}" for subject in "abc" for n in range(2)]
    last, live = None, dict.fromkeys(tables, -1)
    for _ in range(30):
        subject = chance.choice("abc")
        if last is None or chance.random() < 0.5:
            mine = [name for name in tables if subject_of(name) == subject and chance.random() < 0.7]
            for name in mine:
                live[name] += chance.choice([0, 1]) if live[name] >= 0 else 1
            held = last.held if last else {}
            before = last
            last = publish_release(store, info(), [outcome(name, live[name]) for name in mine])[0] if mine else last
            assert last is None or before is None or subject not in held or last == before
        elif chance.random() < 0.4 and last.held:
            last = resume(store, info(), [chance.choice(sorted(last.held))])
        else:
            number = chance.randint(1, last.number)
            wanted, meant = read_release(store, number), chance.choice([[], [], [subject]])
            meant = [one for one in meant if any(subject_of(name) == one for name in last.tables.keys() | wanted.tables.keys())]
            without = chance.random() < 0.3
            seen = foresee_rollback(store, number, meant, without_later=without) if not without else None
            made = rollback(store, info(), number, meant, without_later=without)
            for name in tables:
                was, now, then = last.tables.get(name), made.tables.get(name), wanted.tables.get(name)
                if meant and subject_of(name) not in meant:
                    assert now == was
                else:
                    assert now == (then if then is not None or without else was)
                if now != was:
                    assert subject_of(name) in made.held
            touched = {subject_of(name) for name in tables if made.tables.get(name) != last.tables.get(name)}
            assert made.held.keys() == last.held.keys() | touched
            assert seen is None or (seen.tables, set(seen.subjects)) == (made.tables, touched)
            last = made


@pytest.fixture
def shop(weed_settings: Settings, tmp_path: Path) -> Iterator[Run]:
    """Two releases of the tiny shop, the second with more rows."""
    with begin_run(weed_settings, "shop", "test") as run:
        for name, rows in (("a", _ROWS[:5]), ("b", _ROWS[5:9])):
            write_orders(tmp_path, f"{name}.csv", rows)
            Pipeline("shop", [source_at(tmp_path)], [clean_orders, sum_orders]).run(run).raise_failures()
        yield run


def test_a_rollback_says_what_readers_will_see_and_asks(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table with its versions and rows of now and then; without a terminal nothing happens and --yes is named; --dry-run does nothing."""
    monkeypatch.setenv("LAKE_HOME", str(shop.settings.home))
    given = ["--env", shop.settings.env]
    monkeypatch.chdir(ROOT)
    ran = CliRunner().invoke(cli, ["release", "rollback", "1", *given])
    assert "silver.shop.orders" in ran.output
    assert "back at an earlier version" in ran.output
    assert "shop is held then" in ran.output
    assert "--yes" in str(ran.exception)
    assert CliRunner().invoke(cli, ["release", "rollback", "1", "--dry-run", *given]).exit_code == 0
    assert run_command(["release", "rollback", "1", *given]) == 1
    assert [release["release"] for release in _releases(shop)] == [2, 1]
    did = CliRunner().invoke(cli, ["release", "rollback", "1", "--yes", *given])
    assert "release 3: as release 1; shop held" in did.output, did.output
    again = CliRunner().invoke(cli, ["release", "rollback", "1", *given])
    assert (again.exit_code, "Nothing to do" in again.output) == (0, True)
    lifted = CliRunner().invoke(cli, ["release", "resume", *given])
    assert "release 4: nothing is held" in lifted.output
    assert "`lake run shop`" in lifted.output
    shown = next(line for line in lifted.output.splitlines() if line.startswith(orders.name)).split()
    assert shown == [orders.name, "0", "1", "5", "9"], "readers see version 0 with 5 rows; version 1 with 9 is live"


def _releases(run: Run) -> list[dict[str, object]]:
    return Lake(run.store, None, run.settings).releases().to_dicts()


def test_what_a_table_that_stays_was_made_from_is_told(shop: Run, tmp_path: Path) -> None:
    """A table that was first released later stays, and it is said that readers would not see the rows it was made from."""
    late = hop(Table("gold.late.totals", totals.contract, owner="late"), counts="orders", orders=orders)(sum_orders.function)
    Pipeline("late", [], [late]).run(shop).raise_failures()
    seen = foresee_rollback(shop.store, 1)
    assert (seen.subjects, seen.stays) == (["shop"], [])
    assert seen.remarks == ["gold.late.totals stays at version 0, which was made from silver.shop.orders version 1; readers would see version 0"]
    whole = foresee_rollback(shop.store, 1, without_later=True)
    assert {row["table"]: row["what"] for row in whole.rows()}["gold.late.totals"] == "no longer released"
    assert awaiting(shop.store, read_release(shop.store, 1), ["late"]) == [
        {"table": "gold.late.totals", "released": None, "live": 0, "rows_released": None, "rows_live": 2}
    ]


def test_made_again_with_the_same_rows_is_told_as_that(shop: Run, tmp_path: Path) -> None:
    """--full that makes the rows there were: in the commit, the run, the release, its comparison, and in none of them as changed."""
    report = Pipeline("shop", [source_at(tmp_path)], [clean_orders, sum_orders]).run(shop, full=True)
    assert report.verdict == "release 3: 2 tables made again, same rows"
    assert all(report.results[name].line.endswith("(full, because it was asked for; made again, same rows)") for name in (orders.name, totals.name))
    rows = compare_releases(shop.store, read_release(shop.store, 2), read_release(shop.store, 3))
    assert [(row["table"], row["what"], row["added"], row["removed"], row["changed"]) for row in rows] == [
        (totals.name, "made again, same rows", 0, 0, 0),
        (orders.name, "made again, same rows", 0, 0, 0),
    ]
    frame = Lake(shop.store, read_release(shop.store, 3), shop.settings).diff(1)
    assert frame.filter(pl.col("table") == orders.name).select("what", "added", "rows_before", "rows_after").row(0) == ("changed", 4, 5, 9)
    assert Lake(shop.store, None, shop.settings).diff(2, 3)["what"].to_list() == ["made again, same rows"] * 2


def test_only_equal_contents_are_called_the_same_rows() -> None:
    """Two pins without a content are not called the same."""
    bare = Pin(version=1, schema_version=1, rows=1)
    assert Moved("t", bare, bare.model_copy(update={"version": 2})).words == "changed"
    same = Moved("t", bare.model_copy(update={"content": "x"}), bare.model_copy(update={"version": 2, "content": "x"}))
    assert (moved_in_words([same]), moved_in_words([]), same.words) == ("1 table made again, same rows", "", "made again, same rows")


def test_the_list_of_releases_names_what_is_not_released(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never released, live newer than released, held: each named by `release ls`, in text and JSON; nothing is, once all is released or only tidied."""
    monkeypatch.setenv("LAKE_HOME", str(run.settings.home))
    monkeypatch.chdir(ROOT)

    def listed(*more: str) -> str:
        return CliRunner().invoke(cli, ["release", "ls", "--env", run.settings.env, *more]).output

    def behind() -> dict[str, str]:
        return {row["table"]: row["why"] for row in json.loads(listed("--json"))[0]["unreleased"]}

    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    assert "gold.shop.totals (not released, live is version 0)" in " ".join(listed().split())
    flow = Pipeline("shop", [source_at(tmp_path)], [clean_orders, sum_orders])
    flow.run(run, full=True).raise_failures()
    assert behind() == {}
    assert "Not released" not in listed()
    write_orders(tmp_path, "b.csv", [(99, "cem", "1.00", "2024-01-01")])
    bring(run, tmp_path)
    assert behind()["gold.shop.totals"] == "readers see version 1, live is version 2"
    assert "gold.shop.totals (readers see version 1, live is version 2)" in " ".join(listed().split())
    flow.run(run, full=True).raise_failures()
    rollback(run.store, run.info, 1)
    assert behind()["gold.shop.totals"] == "held: readers see version 1, live is version 3"
    assert [row["unreleased"] for row in json.loads(listed("--json"))[1:]] == [[], []]
