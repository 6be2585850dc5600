"""Law 3 for tables with history: killed while words that come late are worked into versions, the tables end as plain Python has them."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.settings import load_settings
from lake.store import Store, open_store
from tests.conftest import ROOT, fresh_env
from tests.faults.fault import Kill, commits
from tests.faults.oracle import Rows
from tests.faults.project import Shop, assert_same, ended, proxied
from tests.laws import words
from tests.laws.draws import FULL
from tests.laws.words import Rules, Word

_VERSION = ["customer", "valid_from", "valid_to", "is_current", "city", "seq"]
_DEATHS = [
    ("silver/shop/histories", False), ("silver/shop/histories", True), ("quarantine/silver/shop/histories", True), ("gold/shop/cities", False), ("bronze/shop/moves", True),
]  # fmt: skip


class Moves(Shop):
    """Customers who move, told in any order."""

    flows, sources, tables = "moves", ("moves",), ("bronze.shop.moves", "silver.shop.histories", "gold.shop.cities")

    def __init__(self, root: Path, store: Store, env: str) -> None:
        super().__init__(root, store, env)
        self.columns = {"bronze.shop.moves": ["customer"], "silver.shop.histories": _VERSION, "gold.shop.cities": ["city", "customers"]}
        self.words: list[Word] = []

    def deliver_words(self, chance: random.Random, count: int) -> None:
        """A file of words: of any day, of any number, some of them rejects, many of them late."""
        lines = [
            (
                chance.choice("abcd"),
                f"2024-01-0{chance.randint(1, 7)}",
                chance.choice(["Rome", "Oslo", "Bonn", "rome", ""]),
                chance.choice(["1", "2", "3", "4"]),
            )
            for _ in range(count)
        ]
        number = len(self.deliveries) + 1
        self.words += [Word(number, at, *line) for at, line in enumerate(lines, 1)]
        text = "".join(",".join([*line, str(number)]) + "\n" for line in lines)
        self.deliver("moves", f"{number:03}.csv", f"customer,day,city,seq,id\n{text}".encode())

    def expected(self) -> dict[str, Rows]:
        """What the versions and the cities must be."""
        told = words.histories(self.words, Rules())
        return {
            "silver.shop.histories": sorted((tuple(row[name] for name in _VERSION) for row in told.rows), key=repr),
            "gold.shop.cities": sorted(((row["city"], row["customers"]) for row in words.cities(told.rows)), key=repr),
        }

    def released(self) -> dict[str, Rows] | None:
        """These two, as readers see them."""
        found = super().released()
        return {name: found[name] for name in self.tables if not name.startswith("bronze")} if found is not None else None


@pytest.fixture
def moves(weed_home: Path, tmp_path: Path) -> Iterator[Moves]:
    """Customers of whom nothing was said yet."""
    with contextlib.closing(open_store(load_settings(home=weed_home, root=ROOT))) as store:
        yield Moves(tmp_path / "moves", store, fresh_env())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_histories_survive_kills_while_late_words_come(moves: Moves) -> None:
    """A run is killed at a commit or at any moment, before and after it was made; the next brings all words in, once, each into its place."""
    chance = random.Random(11)
    with proxied(moves.store.endpoint) as proxy:
        moves.prepare(proxy)
        moves.deliver_words(chance, 8)
        moves.run(proxy).went_well()
        before = moves.released()
        for table, after in _DEATHS * (4 if FULL else 1):
            moves.deliver_words(chance, 6)
            fault = Kill(commits(table), after)
            done = moves.run(proxy, fault)
            if fault.hit is None:  # nothing was rejected, so nothing was set aside
                done.went_well()
            else:
                assert done.code == -signal.SIGKILL, done
                assert moves.released() == before, "readers see what they saw"
            moves.check_commits()
            if chance.random() < 0.5:
                moves.run(proxy).went_well()
                assert_same(moves.released(), moves.expected())
            before = moves.released()
        for _ in range(12 if FULL else 1):
            moves.deliver_words(chance, 6)
            process = moves.start(proxy)
            time.sleep(chance.uniform(0.5, 1.8))
            process.kill()
            ended(process)
            moves.check_commits()
        moves.run(proxy).went_well()
        moves.check_finished(proxy)
        moves.run(proxy, command=("run", "shop", "--no-prefect", "--full")).went_well()
        assert_same(moves.released(), moves.expected())
