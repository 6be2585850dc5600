"""Any order of arrivals, landings, upkeep and runs, under any names, with files that cannot be read: every record that could be read is there once, and the proofs agree.

The oracle knows the folder as it was at each landing, and nothing of receipts.
"""

from __future__ import annotations

import datetime as dt
import errno
import gzip
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import lake.landing
from lake.landing import land
from lake.maintain import maintain
from lake.pipeline import Pipeline
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Offer, Source, offered
from lake.verify import verify
from tests.conftest import ROOT, fresh_env
from tests.tiny import bronze_orders, clean_orders

_LAKES = 40 if os.environ.get("LAKE_LAWS") == "full" else 3
_STEPS = 14
_PARTS = ["a", "#", "?", "%", " ", "é", "e\u0301", "-", "'", '"', "\\", "日", "\n", "b", ".", "&", "=", "[", "%23"]
_HEAD = "order,customer,amount,day\n"


@dataclass
class _World:
    """A folder, and what a lake must hold of it: lines by the file they came with, as often as they came."""

    folder: Path
    copies: str
    chance: random.Random
    number: int = 0
    broken: set[str] = field(default_factory=set)
    now: dict[str, str] = field(default_factory=dict)
    landed: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    ever: list[tuple[str, str]] = field(default_factory=list)

    def line(self) -> str:
        """A line that no other is like."""
        self.number += 1
        return f"{self.number},c{self.number},1.00,2024-01-01\n"

    def name(self) -> str:
        """A name that no file has, of signs that mean something somewhere."""
        while True:
            name = "x" + "".join(self.chance.choices(_PARTS, k=self.chance.randint(1, 6))) + self.chance.choice([".csv", ".csv.gz", ".log"])
            if name not in self.now:
                return name

    def write(self, name: str, text: str) -> None:
        """The file as it is from now on."""
        self.now[name] = text
        data = text.encode()
        path = self.folder / name
        path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        os.utime(path, (1_700_000_000 + self.number, 1_700_000_000 + self.number))

    def arrive(self) -> None:
        """Something happens in the folder."""
        known = sorted(self.now)
        what = self.chance.choice(["new", "new", "grown", "grown", "corrected", "copy", "empty", "broken", "mended"])
        if what == "new" or not known:
            self.write(self.name(), _HEAD + "".join(self.line() for _ in range(self.chance.randint(0, 3))))
        elif what == "grown":
            name = self.chance.choice(known)
            self.write(name, (self.now[name] or _HEAD) + self.line())
        elif what == "corrected":
            self.write(self.chance.choice(known), _HEAD + self.line())
        elif what == "copy":
            name, of = self.name(), self.chance.choice(known)
            self.number += 1
            self.write(name.removesuffix(".gz") + ".gz" * of.endswith(".gz"), self.now[of])
        elif what == "empty":
            self.number += 1
            self.write(self.name().removesuffix(".gz"), "")
        elif what == "broken":
            self.broken.add(self.chance.choice(known))
        else:
            self.broken.clear()

    def land(self) -> tuple[set[str], set[str]]:
        """Everything that can be read has landed; which files could not, and which are copies."""
        failed, copies = set(), set()
        there = {(text, name.endswith(".gz")) for name, text in self.landed.items()} | {(text, name.endswith(".gz")) for text, name in self.ever}
        for name in sorted(self.now, key=lambda name: ((self.folder / name).stat().st_mtime, name)):
            text, last = self.now[name], self.landed.get(name)
            if last == text:
                continue
            if name in self.broken:
                failed.add(name)
                continue
            key = (text, name.endswith(".gz"))
            copy = self.copies == "skip" and last is None and key in there
            if copy:
                copies.add(name)
            else:
                goes_on = self.copies == "skip" and last and text.startswith(last)
                self.lines += (text[len(last or "") :] if goes_on else text.removeprefix(_HEAD)).replace(_HEAD, "").splitlines()
            there.add(key)
            self.ever.append((text, name))
            self.landed[name] = text
        return failed, copies


def _unreadable(world: _World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken files can be listed, and fail while they are read."""

    def failing() -> Iterator[bytes]:
        yield b"order"
        raise OSError(errno.EIO, "Input/output error")

    def some(*args: Any) -> Offer:
        found = offered(*args)
        return Offer(found.files, found.names, lambda name: failing() if name in world.broken else found.chunks(name), found.problems)

    monkeypatch.setattr(lake.landing, "offered", some)


@pytest.mark.parametrize("seed", range(_LAKES))
def test_whatever_the_order_each_record_is_there_once(weed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """After each run bronze holds the lines of the oracle, as often; at the end verify looks at files and finds them equal."""
    chance = random.Random(seed)
    world = _World(tmp_path, "deliver" if seed % 3 == 2 else "skip", chance)
    _unreadable(world, monkeypatch)
    settings = load_settings(home=weed_home, root=ROOT, env=fresh_env(), grace=dt.timedelta(0), retention=dt.timedelta(0))
    source = Source(bronze_orders, tmp_path, "*", copies=world.copies)  # type: ignore[arg-type]  # one of the two words
    pipeline = Pipeline("shop", [source], [clean_orders])
    for step in range(_STEPS):
        for _ in range(chance.randint(0, 2)):
            world.arrive()
        what = "run" if step == _STEPS - 1 else chance.choice(["land", "land", "maintain", "run"])
        if step == _STEPS - 1:
            world.broken.clear()
        with begin_run(settings, "test", "test") as run:
            if what == "maintain":
                list(maintain(run))
                continue
            failed, copies = world.land()
            if what == "land":
                landed = land(run, source)
            else:
                report = pipeline.run(run)
                found = report.results["land shop.orders"].landed
                assert found is not None
                landed = found
                assert report.failures.keys() == ({"land shop.orders"} if failed else set()), report.failures
                assert _there(run) == sorted(world.lines)
            assert len(landed.problems) == len(failed)
            assert all(any(name in problem for problem in landed.problems) for name in failed)
            assert set(landed.copies) == copies
    with begin_run(settings, "test", "test") as run:
        told = list(verify(run, pipeline, share=1.0, seed=seed))
        assert {row["verdict"] for row in told} <= {"equal", "not verified"}, told
        assert not world.lines or told[0]["verdict"] == "equal"


def _there(run: Run) -> list[str]:
    log = run.log("bronze/shop/orders")
    if log.version() < 0:
        return []
    there = run.snapshot("bronze/shop/orders", log.version()).scan().collect()
    return sorted(",".join(row) for row in there.select("order", "customer", "amount", "day").rows()) if "order" in there.columns else []
