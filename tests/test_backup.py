"""Backups: a lake copied while runs go on, and restored elsewhere, is whole. The copying is the code that docs/operate.md shows."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest

import lake
from lake.errors import LakeError
from lake.pipeline import Pipeline, Report
from lake.release import Release, find_release
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.store import Store, close_stores, open_store
from lake.verify import verify
from tests.conftest import ROOT
from tests.tiny import bronze_orders, clean_orders, orders, source_at, sum_orders, totals, write_orders

_PER_FILE = 6  # rows; one of them a test order, which is rejected
_TABLES = [bronze_orders.name, orders.name, totals.name]


def copy(source: Store, target: Store, until: dt.datetime) -> int:
    """Copy as the page says."""
    (block,) = [text for text in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "operate.md").read_text("utf-8"), re.DOTALL) if "def copy(" in text]
    defined: dict[str, Any] = {}
    exec(compile(block, "docs/operate.md", "exec"), defined)  # noqa: S102  # the page's own code
    copied: int = asyncio.run(defined["copy"](source._bucket, target._bucket, until))
    return copied


class Shop:
    """A lake on SeaweedFS that a file a run goes into."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder, self.files = run, folder, 0
        self.flow = Pipeline("shop", [source_at(folder)], (clean_orders, sum_orders))

    def deliver(self) -> Release:
        """Another file, brought to gold: new orders, one corrected, one rejected."""
        first = 5 * self.files
        rows = [(first + n, f"c{n}", f"{first}.50", "2024-01-01") for n in range(4)] + [
            (max(0, first - 1), "c9", "9.99", ""),
            (10_000 + first, "test", "1", ""),
        ]
        write_orders(self.folder, f"orders-{self.files:03}.csv", rows)
        self.files += 1
        with begin_run(self.run.settings, "shop", "test") as another:  # a run of its own, as a worker's would be
            return done(self.flow.run(another))


def done(report: Report) -> Release:
    """The release that a run ended with."""
    report.raise_failures()
    assert report.release is not None
    return report.release


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Shop:
    """The lake after two runs."""
    made = Shop(run, tmp_path / "incoming")
    for _ in range(2):
        made.deliver()
    return made


@pytest.fixture
def elsewhere(moto_settings: Settings) -> Iterator[Store]:
    """An empty bucket on another kind of store."""
    opened = open_store(moto_settings)
    yield opened
    opened.close()


def this_second() -> dt.datetime:
    """The start of the current second, once it has begun anew: stores tell times by the second."""
    time.sleep(1.0 - time.time() % 1)
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def contents(settings: Settings, release: int | str = "latest") -> dict[str, list[Any]]:
    """Every table of a release by `lake.open()`, read whole."""
    with lake.open(**{name: getattr(settings, name) for name in settings.model_fields_set}, release=release) as opened:
        assert opened.release is not None
        return {
            name: opened[name].scan().collect().sort("_file" if name != totals.name else "customer", maintain_order=False).rows()
            for name in opened.release.tables
        }


def runs_meanwhile(shop: Shop, monkeypatch: pytest.MonkeyPatch, *, at: tuple[int, ...]) -> list[Release]:
    """Have a run go on while the source is listed, and before each of the reads whose numbers are given. Returns the releases, as they come."""
    releases: list[Release] = []
    source, reads, busy = shop.run.store._bucket, iter(range(1_000_000)), False
    real_list, real_get = obstore.list, obstore.get_async

    def deliver() -> None:
        nonlocal busy
        busy = True
        releases.append(shop.deliver())
        busy = False

    def pages() -> Iterator[Any]:  # as a large bucket is listed: part after part
        for folder in shop.run.store.children(""):
            yield from real_list(source, folder)
            if folder == "bronze":
                deliver()

    def listing(store: Any, *arguments: Any, **named: Any) -> Any:
        return pages() if store is source and not busy else real_list(store, *arguments, **named)

    async def reading(store: Any, *arguments: Any, **named: Any) -> Any:
        if next(reads) in at:
            deliver()
        return await real_get(store, *arguments, **named)

    monkeypatch.setattr(obstore, "list", listing)
    monkeypatch.setattr(obstore, "get_async", reading)
    return releases


def test_a_copy_made_while_runs_go_on_is_whole(shop: Shop, elsewhere: Store, moto_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restored into an empty bucket with a fresh home: the newest release reads as it did, verifying finds nothing, and the next run goes on from there."""
    before = find_release(shop.run.store)
    assert before is not None
    expected = contents(shop.run.settings)
    with monkeypatch.context() as patch:
        meanwhile = runs_meanwhile(shop, patch, at=(0, 5, 20))
        assert copy(shop.run.store, elsewhere, this_second()) > 20
    assert [release.number for release in meanwhile] == [before.number + n for n in range(1, 5)], "runs did go on"

    found = find_release(elsewhere)
    assert found == before
    assert contents(moto_settings) == expected
    assert contents(moto_settings, 1) == contents(shop.run.settings, 1)
    with begin_run(moto_settings, "shop", "test") as restored:
        assert {row["table"]: row["verdict"] for row in verify(restored, shop.flow, share=1.0)} == dict.fromkeys(_TABLES, "equal")
        report = shop.flow.run(restored)
        after = done(report)
    read = {outcome.table: outcome.ledger.read for result in report.results.values() for outcome in result.outcomes if outcome.changed}
    assert (read[bronze_orders.name], read[orders.name]) == (4 * _PER_FILE, 4 * _PER_FILE), "only the files of the runs that went on meanwhile"
    assert after.number == before.number + 1
    for table in (orders.name, totals.name):
        assert after.tables[table].content == meanwhile[-1].tables[table].content


def test_a_copy_without_the_rule_is_not_whole(shop: Shop, elsewhere: Store, moto_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder by folder and without the cut, as a plain copy goes, a release comes along whose tables are not there."""
    source = shop.run.store._bucket
    for folder in shop.run.store.children(""):
        for blob in list(shop.run.store.walk(folder)):
            obstore.put(elsewhere._bucket, blob.path, obstore.get(source, blob.path).bytes())
        if folder == "bronze":
            shop.deliver()
    assert find_release(elsewhere) == find_release(shop.run.store)
    with pytest.raises((LakeError, OSError)):
        contents(moto_settings)


def test_a_copy_goes_in_an_order_that_may_be_cut_short(shop: Shop, elsewhere: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data come first, then logs, then releases: a copy that breaks off leaves no release that refers to what is not there."""
    written: list[str] = []
    real = obstore.put_async

    async def writing(store: Any, path: str, *rest: Any, **named: Any) -> Any:
        written.append(path)
        return await real(store, path, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(obstore, "put_async", writing)
        copy(shop.run.store, elsewhere, this_second())
    ranks = [("/releases/" in path) + (("/_delta_log/" in path) or path.startswith("system/")) for path in written]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_what_upkeep_removes_meanwhile_does_not_stop_a_copy(shop: Shop, elsewhere: Store, moto_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leftover that is listed and gone when its turn comes is passed over."""
    shop.run.store.put("gold/shop/totals/leftover.parquet", b"of a run that was killed")
    expected = contents(shop.run.settings)
    real = obstore.get_async

    async def reading(store: Any, path: str, *rest: Any, **named: Any) -> Any:
        if path.endswith("leftover.parquet"):
            shop.run.store.delete([path])
        return await real(store, path, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(obstore, "get_async", reading)
        copy(shop.run.store, elsewhere, this_second())
    assert elsewhere.head("gold/shop/totals/leftover.parquet") is None
    assert contents(moto_settings) == expected


def test_the_embedded_store_is_copied_as_a_folder(tmp_path: Path) -> None:
    """With lake down, `.lake/store` copied into a fresh home is the lake: data, keys and all."""
    home, other = tmp_path / "home", tmp_path / "other"
    settings = load_settings(home=home, root=ROOT)
    with begin_run(settings, "shop", "test") as run:
        Shop(run, tmp_path / "incoming").deliver()
        expected = contents(settings)
    close_stores(wait=True)
    shutil.copytree(home / "store", other / "store")
    assert contents(load_settings(home=other, root=ROOT)) == expected
    close_stores(wait=True)
