"""Releases: what readers open. Numbered without gaps, found by number or date, and never lost or taken back by a race."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

import lake.release
from lake.errors import NotFound, UnknownName
from lake.outcome import Outcome
from lake.record import Ledger, RunInfo
from lake.release import Pin, Release, find_release, numbers, publish_release, read_release
from lake.settings import Settings
from lake.store import Store, open_store

Ticking = Callable[[str], None]


def info(name: str = "test") -> RunInfo:
    """A run of that id."""
    return RunInfo(id=name, flow="test", trigger="test", started=dt.datetime(2026, 11, 1, tzinfo=dt.UTC))


def outcome(table: str, version: int, *, changed: bool = True) -> Outcome:
    """A table at a version, told apart by its counts."""
    return Outcome(table, version, changed, "", version * 10, Ledger(), 1, f"content {version}", f"code {version}")


def pins(release: Release | None) -> dict[str, int]:
    """The versions a release pins."""
    assert release is not None
    return {table: pin.version for table, pin in release.tables.items()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    """Sets the time at which the next release is made."""

    def show(text: str) -> None:
        moment = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
        fake = SimpleNamespace(datetime=SimpleNamespace(now=lambda _: moment), UTC=dt.UTC)
        monkeypatch.setattr(lake.release, "dt", fake)

    return show


@pytest.fixture
def history(store: Store, clock: Ticking, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with four releases: one on 1 March, two on the 3rd, one on the 10th. The clock is right again afterwards."""
    for number, time in enumerate(("2026-03-01T10:00", "2026-03-03T00:00", "2026-03-03T23:59:59.999999", "2026-03-10T12:00"), 1):
        clock(time)
        publish_release(store, info(), [outcome("gold.a.b", number)])
    monkeypatch.setattr(lake.release, "dt", dt)
    return store


@pytest.fixture
def stores(weed_settings: Settings) -> Iterator[list[Store]]:
    """Four clients of one empty store on SeaweedFS."""
    opened = [open_store(weed_settings) for _ in range(4)]
    yield opened
    for store in opened:
        store.close()


# --- making them


def test_the_first_release_pins_what_the_run_made(store: Store) -> None:
    """Number one says who made it and when, and pins each table with its version, schema, rows, content and code."""
    before = dt.datetime.now(dt.UTC)
    release, new = publish_release(store, info("me"), [outcome("silver.a.b", 0), outcome("bronze.a.b", 3)])
    assert new
    assert (release.number, release.run.id) == (1, "me")
    assert before <= release.at <= dt.datetime.now(dt.UTC)
    assert release.tables["bronze.a.b"] == Pin(version=3, schema_version=1, rows=30, content="content 3", code="code 3")
    assert list(release.tables) == ["bronze.a.b", "silver.a.b"]
    assert read_release(store, 1) == release
    assert find_release(store) == release
    assert numbers(store) == [1]


def test_a_release_builds_on_the_one_before(store: Store) -> None:
    """Tables that a run did not touch stay pinned where they were; older releases stay as they are."""
    first, _ = publish_release(store, info(), [outcome("gold.a.b", 1), outcome("gold.c.d", 1)])
    second, new = publish_release(store, info(), [outcome("gold.c.d", 2), outcome("gold.e.f", 0)])
    assert new
    assert pins(second) == {"gold.a.b": 1, "gold.c.d": 2, "gold.e.f": 0}
    assert read_release(store, 1) == first
    assert numbers(store) == [1, 2]


@pytest.mark.parametrize(
    "outcomes",
    [[], [outcome("gold.a.b", 5)], [outcome("gold.a.b", 5, changed=False)], [outcome("gold.a.b", 4)], [outcome("gold.new.one", -1)]],
    ids=["no tables", "the same version", "unchanged", "an older version", "a table that does not exist yet"],
)
def test_nothing_new_makes_no_release(weed_settings: Settings, outcomes: list[Outcome]) -> None:
    """Where nothing would be pinned that is not pinned already, the release in force is returned, and not as a new one."""
    store = open_store(weed_settings)
    first, _ = publish_release(store, info("first"), [outcome("gold.a.b", 5)])
    assert publish_release(store, info("second"), outcomes) == (first, False)
    assert numbers(store) == [1]
    store.close()


def test_a_version_never_goes_back(store: Store) -> None:
    """A slower run that finished an older version of one table pins its other tables and leaves that one alone."""
    publish_release(store, info("fast"), [outcome("gold.a.b", 7), outcome("gold.c.d", 1)])
    release, new = publish_release(store, info("slow"), [outcome("gold.a.b", 6), outcome("gold.c.d", 2)])
    assert new
    assert pins(release) == {"gold.a.b": 7, "gold.c.d": 2}
    assert release.tables["gold.a.b"].content == "content 7"


def test_numbers_are_in_order_past_nine(store: Store) -> None:
    """Ten comes after nine, in listings and in what is newest; other objects beside the manifests are not releases."""
    for version in range(11):
        publish_release(store, info(), [outcome("gold.a.b", version)])
    store.put("system/releases/notes.txt", b"not a release")
    assert numbers(store) == list(range(1, 12))
    assert pins(find_release(store)) == {"gold.a.b": 10}


def test_a_release_does_not_change(store: Store) -> None:
    """A manifest is frozen in memory, and its object is written on condition that it does not exist."""
    release, _ = publish_release(store, info(), [outcome("gold.a.b", 1)])
    with pytest.raises(ValidationError):
        release.number = 2
    assert [store.put_if_absent(blob.path, b"{}") for blob in store.walk("system/releases")] == [False]
    assert read_release(store, 1) == release


def test_a_lost_answer_does_not_make_two_releases(weed_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the store wrote the manifest but its answer was lost, the retry is refused: the release counts as made, once."""
    store = open_store(weed_settings)
    put = store.put_if_absent
    monkeypatch.setattr(store, "put_if_absent", lambda path, data: put(path, data) and put(path, data))
    release, new = publish_release(store, info(), [outcome("gold.a.b", 1)])
    assert (release.number, new) == (1, True)
    assert numbers(store) == [1]
    store.close()


# --- finding them


def test_without_any_release_there_is_none(store: Store) -> None:
    """An empty lake has no release, whatever is asked for; a number that is not there is not found."""
    assert numbers(store) == []
    for wanted in ("latest", 1, "1", "2026-03-01", dt.date(2026, 3, 1)):
        assert find_release(store, wanted) is None
    with pytest.raises(NotFound):
        read_release(store, 1)


FINDS: list[tuple[int | str | dt.date, int]] = [
    ("latest", 4), (1, 1), (4, 4), ("2", 2), ("0002", 2),
    ("2026-03-01", 1), (dt.date(2026, 3, 1), 1), ("2026-03-02", 1), ("2026-03-03", 3), (dt.date(2026, 3, 3), 3), ("2026-03-09", 3), ("2026-03-10", 4),
    ("2030-01-01", 4), (dt.date(2030, 1, 1), 4), ("2026-03-03T00:00", 2), ("2026-03-03T12:00:00", 2), ("2026-03-02T23:59:59", 1),
    ("2026-03-03T01:00+02:00", 1), ("2026-03-03T02:00+02:00", 2), (dt.datetime(2026, 3, 3, 12, tzinfo=dt.UTC), 2),
    (dt.datetime(2026, 3, 3, 12), 2),  # noqa: DTZ001  # a naive time is UTC
]  # fmt: skip


def test_a_release_is_found_by_number_and_date(history: Store) -> None:
    """A date means the last release of that day or before, in UTC; a time the last one up to then; a zone is respected."""
    for wanted, number in FINDS:
        found = find_release(history, wanted)
        assert found is not None
        assert found.number == number, wanted


UNKNOWN: list[tuple[int | str | dt.date, str]] = [
    (5, "The newest is 4"), (0, "The newest is 4"), ("17", "The newest is 4"),
    ("2026-02-28", "The first is 1"), (dt.date(1999, 1, 1), "The first is 1"), ("2026-03-01T09:59", "The first is 1"),
    ("yesterday", "Give a number, a date such as"), ("2026-13-01", "Give a number, a date such as"), ("", "Give a number, a date such as"),
    ("-1", "Give a number, a date such as"),
]  # fmt: skip


def test_an_unknown_release_says_what_there_is(history: Store) -> None:
    """A number that does not exist, a date before the first, and what is neither, are told with what would do."""
    for wanted, said in UNKNOWN:
        with pytest.raises(UnknownName) as caught:
            find_release(history, wanted)
        assert str(wanted) in caught.value.message
        assert said in str(caught.value.hint), wanted


# --- races, on SeaweedFS


def test_two_runs_that_publish_at_once_both_get_theirs(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """The loser of the race for a number builds on the winner: two releases, and the second pins the tables of both."""
    slow, fast = stores[:2]
    put = slow.put_if_absent
    beaten: list[Release] = []

    def overtaken(path: str, data: bytes) -> bool:
        if not beaten:
            beaten.append(publish_release(fast, info("fast"), [outcome("gold.fast.t", 1), outcome("gold.both.t", 5)])[0])
        return put(path, data)

    monkeypatch.setattr(slow, "put_if_absent", overtaken)
    release, new = publish_release(slow, info("slow"), [outcome("gold.slow.t", 2), outcome("gold.both.t", 4)])
    assert new
    assert (beaten[0].number, release.number) == (1, 2)
    assert pins(beaten[0]) == {"gold.both.t": 5, "gold.fast.t": 1}
    assert pins(release) == {"gold.both.t": 5, "gold.fast.t": 1, "gold.slow.t": 2}
    assert read_release(fast, 1) == beaten[0]


def test_a_run_overtaken_by_one_that_pinned_the_same_makes_no_release(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beaten by a release that already holds all it would pin, a run takes that one for its own."""
    slow, fast = stores[:2]
    put = slow.put_if_absent

    def overtaken(path: str, data: bytes) -> bool:
        publish_release(fast, info("fast"), [outcome("gold.a.b", 3)])
        return put(path, data)

    monkeypatch.setattr(slow, "put_if_absent", overtaken)
    release, new = publish_release(slow, info("slow"), [outcome("gold.a.b", 2)])
    assert (release.run.id, new) == ("fast", False)
    assert numbers(fast) == [1]


def test_many_publishers_lose_nothing(stores: list[Store]) -> None:
    """Four runs publish five versions each at the same time: numbers have no gap, no pin ever goes back, the last release has all."""

    def publish(who: int) -> list[Release]:
        tables = [[outcome(f"gold.run{who}.t", turn), outcome("gold.shared.t", turn * 4 + who)] for turn in range(5)]
        made = [publish_release(stores[who], info(f"run {who}"), outcomes) for outcomes in tables]
        assert all(new for _, new in made)
        return [release for release, _ in made]

    with ThreadPoolExecutor(4) as pool:
        made = [release for releases in pool.map(publish, range(4)) for release in releases]
    assert sorted(release.number for release in made) == list(range(1, 21)) == numbers(stores[0])
    history = [read_release(stores[0], number) for number in range(1, 21)]
    assert sorted(made, key=lambda release: release.number) == history
    for earlier, later in pairwise(history):
        before, after = pins(earlier), pins(later)
        assert all(after[table] >= version for table, version in before.items())
    assert pins(history[-1]) == {**{f"gold.run{who}.t": 4 for who in range(4)}, "gold.shared.t": 19}
