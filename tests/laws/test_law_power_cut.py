"""After a power cut a lake opens at its last whole release, and goes on; what is named and damaged is found, made again from raw, or said to be lost."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lake
from lake.errors import Damaged
from lake.pipeline import Pipeline
from lake.receipts import LANDINGS
from lake.release import find_release, numbers
from lake.repair.findings import Mended
from lake.repair.looking import look
from lake.repair.mending import mend
from lake.run import begin_run
from lake.settings import Settings
from lake.store import Store, open_store
from lake.verify import verify
from tests.cuts import Journal, bucket_with, journal_of, spoilt
from tests.laws.draws import FULL
from tests.tiny import bronze_orders, clean_orders, orders, source_at, sum_orders, totals, write_orders

CUTS = 50 if FULL else 4
SEED = int(os.environ.get("LAKE_LAWS_SEED", "0"))
_TABLES = (bronze_orders.name, orders.name, totals.name)
Rows = dict[str, list[Any]]


@dataclass
class Shop:
    """A lake of which everything that was written is known: its journal, its source, and the rows of each release."""

    journal: Journal
    flow: Pipeline
    rows: dict[int, Rows]
    endpoint: str
    final: dict[str, bytes]

    def cut(self, until: int, home: Path, chance: random.Random) -> Settings:
        """The lake as a power cut in the middle of that write left it."""
        return bucket_with(self.endpoint, home, self.journal.kept(until, chance))

    def whole(self, home: Path) -> Settings:
        """The lake as it is in the end."""
        return bucket_with(self.endpoint, home, self.final)


def rows_in(settings: Settings, release: int | str = "latest") -> Rows:
    """Every table of a release by `lake.open()`, without where its rows are from and when that landed."""
    with lake.open(**{name: getattr(settings, name) for name in settings.model_fields_set}, release=release) as opened:
        assert opened.release is not None
        return {name: sorted(opened[name].scan().select(pl.exclude("^_.*$")).collect().rows(), key=str) for name in opened.release.tables}


@pytest.fixture(scope="module")
def shop(moto_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Three runs, each with a file that corrects one row of the file before and has one that is rejected."""
    folder = tmp_path_factory.mktemp("shop")
    settings = bucket_with(moto_endpoint, folder / "home", {})
    flow = Pipeline("shop", [source_at(folder / "incoming")], (clean_orders, sum_orders))
    rows: dict[int, Rows] = {}
    store = open_store(settings)
    with pytest.MonkeyPatch.context() as patch, journal_of(store, patch) as journal:
        for number in range(3):
            first = 5 * number
            write_orders(
                folder / "incoming", f"orders-{number}.csv",
                [*((first + n, f"c{n}", f"{first}.50", "2024-01-01") for n in range(4)), (max(0, first - 1), "c9", "9.99", ""), (900 + first, "test", "1", "")],
            )  # fmt: skip
            with begin_run(settings, "shop", "test") as run:
                report = flow.run(run)
                report.raise_failures()
                assert report.release is not None
                journal.mark(report.release.number)
            rows[report.release.number] = rows_in(settings)
    final = {f"{store.prefix}/{blob.path}": store.get(blob.path) for blob in store.walk("")}
    store.close()
    return Shop(journal, flow, rows, moto_endpoint, final)


def repaired(settings: Settings, flow: Pipeline) -> list[Mended]:
    """Look at everything and mend it; what is found then, and was not said to be lost, is a failure of the repair."""
    with begin_run(settings, "repair", "test") as run:
        done = list(mend(run, look(hasty(run.store), every_release=True), [flow]))
        lost = " ".join(one.what for one in done if one.done == "lost")
        left = [one for one in look(hasty(run.store), every_release=True).findings if one.path not in lost]
    assert left == [] or lost, left
    return done


def hasty(store: Store) -> Store:
    """The same, asked once."""
    return Store(store.bucket, store.prefix, store.options, patience=0.0)


def goes_on(settings: Settings, shop: Shop) -> None:
    """The next run brings everything to where it would be, and verifying finds all equal."""
    with begin_run(settings, "shop", "test") as run:
        report = shop.flow.run(run)
        report.raise_failures()
        assert [row for row in verify(run, shop.flow, share=1.0) if row["verdict"] != "equal"] == []
        assert look(hasty(run.store), every_release=True).findings == []
    assert rows_in(settings) == shop.rows[3]


@pytest.mark.parametrize("draw", range(CUTS))
def test_a_power_cut_costs_nothing_that_was_announced(shop: Shop, tmp_path: Path, draw: int) -> None:
    """Cut anywhere, with what was not waited for kept, lost, torn or zeroed: the last announced release is there with its rows, nothing is lost, and the next run goes on."""
    chance = random.Random(1000 * SEED + draw)
    until = chance.randrange(len(shop.journal.writes))
    settings = shop.cut(until, tmp_path / "home", chance)
    done = repaired(settings, shop.flow)
    assert [one for one in done if one.done == "lost"] == []
    announced = shop.journal.announced(until)
    if announced is not None:
        store = open_store(settings)
        found = find_release(store)
        store.close()
        assert found is not None
        assert found.number >= announced
        assert rows_in(settings)[totals.name] in [rows[totals.name] for number, rows in shop.rows.items() if number >= announced]
    goes_on(settings, shop)


@pytest.mark.parametrize("draw", range(CUTS))
def test_any_objects_that_are_damaged_are_found_and_made_again_or_said_to_be_lost(shop: Shop, tmp_path: Path, draw: int) -> None:
    """One to four of all objects missing, torn or zeroed: each is found; where nothing is lost the newest release has its rows, and the next run goes on."""
    chance = random.Random(1000 * SEED + draw)
    objects = dict(shop.final)
    doomed = chance.sample(sorted(path for path in objects if "/_probe" not in path), chance.randint(1, 4))
    for path in doomed:
        fate = chance.choice(("missing", "cut short", "zeros"))
        body = objects.pop(path)
        if fate != "missing":
            objects[path] = spoilt(body, fate, chance)
    settings = bucket_with(shop.endpoint, tmp_path / "home", objects)
    done = repaired(settings, shop.flow)
    store = open_store(settings)
    release = find_release(store)
    store.close()
    lost = [one for one in done if one.done == "lost"]
    if release is not None and not any(one.what in (*_TABLES, LANDINGS) for one in lost):
        seen = rows_in(settings)
        assert any(all(seen[name] == rows[name] for name in seen) for rows in shop.rows.values()), (doomed, done)
    if not lost:
        goes_on(settings, shop)


def with_changed(shop: Shop, home: Path, wanted: str, content: bytes | None) -> tuple[Settings, list[str]]:
    """The whole lake, but every object whose path has `wanted` in it is `content`, or gone. Says which."""
    objects, changed = dict(shop.final), [path for path in shop.final if wanted in path]
    assert changed
    for path in changed:
        del objects[path]
        if content is not None:
            objects[path] = content
    return bucket_with(shop.endpoint, home, objects), [path.split("/", 1)[1] for path in changed]


@pytest.mark.parametrize("table", ["gold/shop/totals/part-", "silver/shop/orders/part-", "bronze/shop/orders/part-", "quarantine/silver/shop/orders/part-"])
@pytest.mark.parametrize("content", [None, b"PAR1"], ids=["missing", "torn"])
def test_damaged_rows_of_a_release_are_computed_again_from_raw(shop: Shop, tmp_path: Path, table: str, content: bytes | None) -> None:
    """Data files of any layer, and of rejects: the same rows in a new version and a new release; releases that cannot be opened any more are withdrawn, and said."""
    settings, changed = with_changed(shop, tmp_path / "home", table, content)
    store = open_store(settings)
    found = {one.path for one in look(store).findings}
    assert found <= set(changed)
    assert found
    done = repaired(settings, shop.flow)
    assert {one.what for one in done if one.done == "lost"} <= {"release 1", "release 2"}, "their own rows are gone"
    last = find_release(store)
    assert last is not None
    assert last.number == 4
    assert (3 in numbers(store)) == table.startswith("quarantine"), "its own rows are as they were"
    store.close()
    assert rows_in(settings) == shop.rows[3]
    goes_on(settings, shop)


def test_a_raw_file_is_put_back_from_its_source(shop: Shop, tmp_path: Path) -> None:
    """The source still has the bytes: the raw object is as it was. Without the source it is lost, and named with the file that it came as."""
    settings, changed = with_changed(shop, tmp_path / "home", "raw/", b"not what landed")
    assert {(one.what, one.done) for one in repaired(settings, shop.flow)} == {(path, "put back") for path in changed}
    goes_on(settings, shop)
    settings, changed = with_changed(shop, tmp_path / "other", "raw/", None)
    nowhere = Pipeline("shop", [source_at(tmp_path / "empty")], (clean_orders, sum_orders))
    (tmp_path / "empty").mkdir()
    done = repaired(settings, nowhere)
    assert {(one.what, one.done) for one in done} == {(path, "lost") for path in changed}
    assert rows_in(settings) == shop.rows[3]


def test_receipts_that_are_lost_are_said_to_be(shop: Shop, tmp_path: Path) -> None:
    """Receipts are kept nowhere else: readers see all rows, and the repair says what is lost."""
    settings, _ = with_changed(shop, tmp_path / "home", f"{LANDINGS}/part-", None)
    assert (LANDINGS, "lost") in {(one.what, one.done) for one in repaired(settings, shop.flow)}
    assert rows_in(settings) == shop.rows[3]


@pytest.mark.parametrize("content", [b"", b'{"number": 3', bytes(400)], ids=["empty", "torn", "zeros"])
def test_a_lake_opens_at_its_last_release_that_can_be_read(shop: Shop, tmp_path: Path, content: bytes) -> None:
    """Before any repair: a release that was being put when the power went is passed over, told, and its number is not given again."""
    settings, _ = with_changed(shop, tmp_path / "home", "releases/0000000003.json", content)
    assert rows_in(settings) == shop.rows[2]
    store = open_store(settings)
    with pytest.raises(Damaged, match="release 3 is damaged"):
        find_release(store, 3)
    store.close()
    with begin_run(settings, "shop", "test") as run:
        report = shop.flow.run(run)
        report.raise_failures()
        assert report.release is not None
        assert report.release.number == 4
    assert rows_in(settings) == shop.rows[3]
    repaired(settings, shop.flow)
    goes_on(settings, shop)


def test_a_lake_that_is_whole_is_left_as_it_is(shop: Shop, tmp_path: Path) -> None:
    """Nothing is found, nothing is written."""
    settings = shop.whole(tmp_path / "home")
    store = open_store(settings)
    before = {blob.path: blob.etag for blob in store.walk("")}
    assert look(store, every_release=True).findings == []
    assert repaired(settings, shop.flow) == []
    assert {blob.path: blob.etag for blob in store.walk("") if not blob.path.startswith("_probe")} == before
    store.close()
