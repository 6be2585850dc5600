"""Law 3 where tables change: a migration and a readmission killed at each of their writes end as if nothing had happened to them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lake.settings import load_settings
from lake.store import Store, open_store
from tests.conftest import ROOT, fresh_env
from tests.faults.fault import Kill, write_number
from tests.faults.oracle import Rows
from tests.faults.project import Shop, assert_same, proxied
from tests.faults.proxy import Proxy

_FULL = os.environ.get("LAKE_LAWS") == "full"
_RUN, _READMIT = ("run", "shop", "--no-prefect"), ("readmit", "silver.shop.orders")


@pytest.fixture(scope="module")
def weed(weed_home: Path) -> Iterator[Store]:
    """The real store behind the proxies."""
    with contextlib.closing(open_store(load_settings(home=weed_home, root=ROOT))) as store:
        yield store


@pytest.fixture
def proxy(weed: Store) -> Iterator[Proxy]:
    """A proxy in front of it."""
    with proxied(weed.endpoint) as running:
        yield running


def _two_months(root: Path, weed: Store, proxy: Proxy) -> Shop:
    """A shop that has taken in two generations of files."""
    shop = Shop(root, weed, fresh_env())
    shop.prepare(proxy)
    for generation in (0, 1):
        shop.deliver_generation(generation)
        shop.run(proxy).went_well()
    return shop


def _killed(shop: Shop, proxy: Proxy, command: Sequence[str]) -> Counter[str]:
    """The command killed before or after a write, further on each time, until it comes to its end. Every commit is whole all along.

    Once a table has got on, the writes are counted from the first again: what is left to do is another piece of work. With LAKE_LAWS=full
    the kills are at each write, before it and after it; otherwise at a spread of them.
    """
    stride = 1 if _FULL else 3
    hit: Counter[str] = Counter()
    number, after, reached = 1, False, shop.versions()
    while True:
        fault = Kill(write_number(number), after)
        done = shop.run(proxy, fault, command=command)
        if fault.hit is None:
            assert done.code == 0, done
            return hit
        assert done.code == -signal.SIGKILL, done
        hit[f"{'after' if after else 'before'} {fault.hit.boundary}"] += 1
        shop.check_commits()
        before, reached = reached, shop.versions()
        if reached != before:
            number, after = 1, False
        else:
            number, after = (number + stride, False) if after else (number, True)


def _renamed(shop: Shop) -> None:
    shop.edit("tables", 'Table("bronze.shop.orders")', 'Table("bronze.shop.orders", renamed_from={"price": "amount"})')
    shop.edit("hops", '"country", "amount", "day"', '"country", pl.col("price").alias("amount"), "day"')
    shop.columns["bronze.shop.orders"] = ["price" if name == "amount" else name for name in shop.columns["bronze.shop.orders"]]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_migration_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, weed: Store, proxy: Proxy) -> None:
    """A column of bronze is renamed while a third generation comes in under the old name."""
    shop = _two_months(tmp_path / "shop", weed, proxy)
    _renamed(shop)
    shop.deliver_generation(2)
    hit = _killed(shop, proxy, _RUN)
    assert hit.total() >= (20 if _FULL else 4), hit
    shop.check_finished(proxy)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_readmission_that_is_killed_readmits_once(tmp_path: Path, weed: Store, proxy: Proxy) -> None:
    """Test customers become customers: the rows that were rejected for it come in once, as in a shop that never had the rule."""
    shop = _two_months(tmp_path / "shop", weed, proxy)
    twin = Shop(tmp_path / "twin", weed, fresh_env())
    twin.prepare(proxy)
    for one in (shop, twin):
        one.edit("tables", 'return cls.customer.col != "0"', 'return cls.customer.col != "none"')
    for delivery in shop.deliveries:
        twin.deliver(delivery.source, delivery.name, delivery.data)
    twin.run(proxy).went_well()
    hit = _killed(shop, proxy, _READMIT)
    assert hit.total() >= (20 if _FULL else 4), hit
    _same(shop.released(), twin.released())
    shop.run(proxy, command=_READMIT)
    assert proxy.writes == [], "there was nothing left to do"


def _same(found: dict[str, Rows] | None, wanted: dict[str, Rows] | None) -> None:
    assert wanted is not None
    assert_same(found, wanted)
