"""Law 3 under faults: killed, unheard, refused, raced, paused or out of room, the tables end up as if each raw file had been processed exactly once.

Real processes run a small shop through a proxy in front of a real SeaweedFS; what must come out is worked out from the files
alone by tests/faults/oracle.py. With LAKE_LAWS=full every boundary is tried, and more often; otherwise a spread of them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.settings import load_settings
from lake.store import Store, open_store
from tests.conftest import ROOT, fresh_env
from tests.faults.fault import Delay, Fault, Kill, LoseAnswer, Pause, Refuse, Request, commits, write_number
from tests.faults.oracle import Rows
from tests.faults.project import Shop, assert_same, ended, proxied
from tests.faults.proxy import Proxy

_FULL = os.environ.get("LAKE_LAWS") == "full"
_COMMITS = {
    "landings": "system/landings",
    "rejects of bronze": "quarantine/bronze/shop/orders",
    "bronze": "bronze/shop/orders",
    "rejects of silver": "quarantine/silver/shop/orders",
    "silver": "silver/shop/orders",
    "gold": "gold/shop/totals",
    "release": "",
}


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


@pytest.fixture
def shop(weed: Store, tmp_path: Path) -> Shop:
    """A shop with nothing delivered yet."""
    return Shop(tmp_path / "shop", weed, fresh_env())


class _Killed:
    """Kills in a row on one shop, each looked at; what was hit is counted."""

    def __init__(self, shop: Shop, proxy: Proxy) -> None:
        self.shop, self.proxy = shop, proxy
        self.hit: Counter[str] = Counter()
        self._released: dict[str, Rows] | None = None

    def kill(self, number: int, *, after: bool) -> Request | None:
        """A run killed at its write with this number, or None if it came to its end before: then all is there."""
        due = self.shop.expected()
        fault = Kill(write_number(number), after)
        done = self.shop.run(self.proxy, fault)
        if fault.hit is None:
            done.went_well()
            self.finished()
            return None
        assert done.code == -signal.SIGKILL, done
        self.hit[f"{'after' if after else 'before'} {fault.hit.boundary}"] += 1
        self.look(due)
        return fault.hit

    def kill_after(self, seconds: float) -> None:
        """A run killed at any moment."""
        due = self.shop.expected()
        process = self.shop.start(self.proxy)
        time.sleep(seconds)
        process.kill()
        ended(process)
        self.hit["at any moment"] += 1
        self.look(due)

    def look(self, due: dict[str, Rows]) -> None:
        """What readers see is what they saw before, or all that is due; and no commit is half a commit."""
        found = self.shop.released()
        if found != self._released:
            assert_same(found, due)
            self._released = found
        self.shop.check_commits()

    def finished(self) -> None:
        """A run came to its end: everything is there, once, and another one has nothing to do."""
        self.shop.check_finished(self.proxy)
        self._released = self.shop.released()

    def tell(self) -> None:
        """Say what was tried."""
        print(json.dumps({"kills": self.hit.total(), "boundaries": len(self.hit), "hit": dict(sorted(self.hit.items()))}))  # noqa: T201  # part of the result


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_killed_at_each_write_loses_and_doubles_nothing(shop: Shop, proxy: Proxy) -> None:
    """From the empty lake on, a run is killed before or after a write; the next goes on from there and is killed one write further."""
    killed, chance = _Killed(shop, proxy), random.Random(3)
    extras: list[int] = []
    shop.prepare(proxy)
    for generation in itertools.count():
        if generation >= 3 and killed.hit.total() >= (200 if _FULL else 24):
            break
        shop.deliver_generation(generation)
        number, after = 1 if _FULL else chance.randint(1, 3), False
        while (hit := killed.kill(number, after=after)) is not None:
            if _FULL:  # each write before and after; a raw file is not written again, and a commit makes what led to it needless
                if after and not hit.boundary.startswith("PUT raw/"):
                    number = 1 if commits()(hit) else number + 1
                after = not after
            else:
                number, after = chance.randint(1, 5) if commits()(hit) else number + chance.randint(1, 2), not after
            here = number == 1 and "quarantine/silver" in hit.boundary if _FULL else killed.hit.total() % 8 == 0
            if here and len(extras) <= generation:  # at most one a generation, or the full walk would never end
                extras.append(killed.hit.total())
                shop.deliver_extra(extras[-1])
    killed.tell()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_any_moment_loses_and_doubles_nothing(shop: Shop, proxy: Proxy) -> None:
    """As above with kills at random times, several before each run that gets to its end."""
    killed, chance = _Killed(shop, proxy), random.Random(4)
    for generation in range(10 if _FULL else 2):
        shop.deliver_generation(generation)
        for _ in range(4 if _FULL else 3):
            killed.kill_after(chance.uniform(0.4, 1.7))
        shop.run(proxy).went_well()
        killed.finished()
    killed.tell()


@pytest.mark.slow
def test_an_answer_that_gets_lost_at_every_commit_is_no_second_commit(shop: Shop, proxy: Proxy) -> None:
    """The store takes each commit and each release and the client hears nothing: it finds its own commit, and the next run has nothing to do."""
    for generation in range(3):
        shop.deliver_generation(generation)
        before = shop.versions()
        fault = LoseAnswer(commits())
        shop.run(proxy, fault).went_well()
        assert len(fault.lost) >= 6
        shop.check_finished(proxy)
        assert all(version <= before[name] + (2 if name == "system/landings" else 1) for name, version in shop.versions().items() if name in before)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("which", list(_COMMITS) if _FULL else ["silver", "release"])
def test_a_commit_whose_answer_never_comes_is_there_once(shop: Shop, proxy: Proxy, which: str) -> None:
    """However often the client asks again, no answer: the run ends well or with one clear line, and the next one completes it."""
    shop.deliver_generation(0)
    shop.run(proxy).went_well()
    shop.deliver_generation(1)
    fault = LoseAnswer(commits(_COMMITS[which]), times=1000)
    done = shop.run(proxy, fault)
    assert fault.lost
    if done.code:
        done.failed_clearly()
        shop.run(proxy).went_well()
    else:
        done.went_well()
    shop.check_finished(proxy)


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_refuses_every_third_request_delays_a_run_and_nothing_else(shop: Shop, proxy: Proxy, status: int) -> None:
    """The clients ask again; what was refused and what was done are not confused."""
    shop.prepare(proxy)
    for generation in range(3 if _FULL else 1):
        shop.deliver_generation(generation)
        fault = Refuse(lambda request: request.number % 3 == 0, status)
        done = shop.run(proxy, fault)
        assert fault.refused > 20
        if done.code:
            done.failed_clearly()
            shop.run(proxy).went_well()
        shop.check_finished(proxy)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("first", [1, 4, 9, 15, 21, 26] if _FULL else [9])
def test_a_store_that_takes_no_more_writes_is_one_clear_line(shop: Shop, proxy: Proxy, status: int, first: int) -> None:
    """Its disk is full (500) or it is overrun (503), from some write on. Exit 1, nothing released; when it takes writes again the next run finishes."""
    shop.deliver_generation(0)
    shop.run(proxy).went_well()
    before = shop.released()
    shop.deliver_generation(2)
    shop.run(proxy, Refuse(lambda request: request.write >= first, status)).failed_clearly()
    assert shop.released() == before
    shop.check_commits()
    shop.run(proxy).went_well()
    shop.check_finished(proxy)


@pytest.mark.slow
def test_a_slow_store_makes_a_run_slow_and_nothing_else(shop: Shop, proxy: Proxy) -> None:
    """Every request takes 30 ms longer."""
    shop.prepare(proxy)
    shop.deliver_generation(0)
    shop.run(proxy, Delay(0.03)).went_well()
    shop.check_finished(proxy)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("processes", [2, 3])
def test_runs_at_the_same_time_do_the_work_once(shop: Shop, weed: Store, tmp_path: Path, processes: int) -> None:
    """Two or three processes of two threads, on one machine and on several, round after round: each ends well and the tables hold everything once."""
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(proxied(weed.endpoint)) for _ in range(processes)]
        shop.prepare(proxies[0])
        for generation in range(10 if _FULL else 3):
            shop.deliver_generation(generation)
            homes = [str(shop.home if generation % 2 else tmp_path / f"machine {i}") for i in range(processes)]
            going = [shop.start(one, Fault(), LAKE_HOME=home, LAKE_THREADS="2") for one, home in zip(proxies, homes, strict=True)]
            for done in [ended(process) for process in going]:
                done.went_well()
            shop.check_finished(proxies[0])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", list(_COMMITS))
def test_a_run_that_slept_through_another_one_does_not_publish(shop: Shop, proxy: Proxy, weed: Store, which: str) -> None:
    """A run stops right before a commit; another does all its work and more; the first goes on and finds the work done. No table has another version."""
    shop.deliver_generation(0)
    shop.run(proxy).went_well()
    shop.deliver_generation(2)
    fault = Pause(commits(_COMMITS[which]) if which != "release" else lambda request: "/system/releases/" in request.path and request.write > 0)
    sleeper = shop.start(proxy, fault)
    try:
        assert fault.reached.wait(30)
        began = time.monotonic()
        with proxied(weed.endpoint) as other:
            shop.deliver_extra(1)
            shop.run(other).went_well()
            assert_same(shop.released(), shop.expected())
            before = shop.versions()
            time.sleep(max(0.0, began + (60 if _FULL else 3) - time.monotonic()) if which == "silver" else 0)
    finally:
        fault.resume()
    ended(sleeper).went_well()
    assert shop.versions() == before, "the sleeper published"
    assert fault.hit is not None
    assert fault.hit.status == 412
    shop.check_finished(proxy)


@pytest.mark.slow
def test_a_full_disk_is_one_clear_line_and_nothing_is_published(shop: Shop, proxy: Proxy) -> None:
    """The spool is on a disk of 1 MB and each step needs more: exit 1, the release stands; with room again the next run finishes."""
    shop.prepare(proxy)
    shop.deliver_generation(0)
    shop.run(proxy).went_well()
    before = shop.released()
    chance = random.Random(5)
    rows = "".join(f"{1_000_000 + i},{i % 7 + 1},{chance.randint(0, 10**9)}.{chance.randint(10, 99)},2024-06-01\n" for i in range(60_000))
    shop.deliver("orders", "many.csv", f"order,customer,amount,day\n{rows}".encode())
    earlier = {"land shop.orders": None, "bronze.shop.orders": commits("system/landings"), "silver.shop.orders": commits("bronze/shop/orders")}
    for step, which in earlier.items():
        if which is not None:  # on a disk with room, and no further than the step before
            assert shop.run(proxy, Kill(which, after=True)).code == -signal.SIGKILL
        with _small_disk(shop.home / "spool", 1):
            done = shop.run(proxy)
        done.failed_clearly()
        assert re.search(r"the disk (that holds what lake works with )?is full", done.err), done.err
        assert f"✗ {step}" in done.out
        assert shop.released() == before
        shop.check_commits()
    shop.run(proxy).went_well()
    shop.check_finished(proxy)


@contextlib.contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system of that size at `folder`. Skips the test where none can be mounted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here: that takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", [3, 8, 14, 20, 25] if _FULL else [14])
def test_a_store_killed_at_a_write_is_one_clear_line_and_the_next_run_finishes(tmp_path: Path, first: int) -> None:
    """SIGKILL of SeaweedFS at a write in the middle: whoever holds it has it started again at its address, and the run goes on; or it ends
    with exit 1 and one line, and the next run completes everything.
    """
    home = tmp_path / "store's home"
    with contextlib.closing(open_store(load_settings(home=home, root=ROOT))) as store, proxied(store.endpoint) as proxy:
        shop = Shop(tmp_path / "shop", store, "dev")
        shop.deliver_generation(0)
        shop.run(proxy).went_well()
        shop.deliver_generation(2)
        fault = Kill(write_number(first), after=True)
        weed = json.loads((home / "store" / "state.json").read_text("utf-8"))["pid"]
        done = ended(shop.start(proxy, fault, victim=weed))
        assert fault.hit is not None
        if done.code != 0:
            done.failed_clearly()
    with contextlib.closing(open_store(load_settings(home=home, root=ROOT))) as store, proxied(store.endpoint) as proxy:
        shop.moved_to(store)
        shop.check_commits()
        shop.run(proxy).went_well()
        shop.check_finished(proxy)
