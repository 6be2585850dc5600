"""What a run knows of files that landed: the same, whether it holds the receipts or reads them, and whatever other runs do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import lake.receipts
from lake.datafile import write_parts
from lake.landing import land
from lake.publish import Draft, publish
from lake.receipts import LANDINGS, RECEIPTS, files_of, look_up
from lake.record import Ledger
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import OFFERED, Source
from lake.table import Table

SHOP, OTHER = "bronze.shop.files", "bronze.other.files"


@pytest.fixture(params=["held", "read"])
def run(settings: Settings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run that holds receipts, or finds them too many to hold."""
    if request.param == "read":
        monkeypatch.setattr(lake.receipts, "_HELD", 0)
    with begin_run(settings, "test", "test") as begun:
        yield begun


def offer(folder: Path, table: str, *names: str) -> Source:
    """A source for `table` in a folder of its own, with a file of each of the names, whose content is the name."""
    folder = folder / table
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(f"a\n{name}\n")
    return Source(Table(table), folder, "*.csv")


def asked(*names: str) -> pl.DataFrame:
    """Files of which no more than their names is told."""
    return pl.DataFrame([{"name": name} for name in names], schema=OFFERED)


def known(run: Run, source: Source, *names: str) -> set[str]:
    """Those of the names that the run knows of; the content of each must be known too."""
    found, new = look_up(run, source.name, asked(*names))
    assert new["name"].to_list() == list(names), "nothing is told of them that could be the same"
    assert set(files_of(run, source.name, found, [row["sha256"] for row in found.by_name.values()])) == {row["sha256"] for row in found.by_name.values()}
    return set(found.by_name)


def take_out(run: Run, name: str) -> None:
    """Commit the receipts anew without those under `name`."""
    version, before = run.log(LANDINGS).head()
    there = run.snapshot(LANDINGS, version)
    about = {"kind": "landing", "table": LANDINGS, "batch": "out", "ledger": Ledger(), "last_landed": before.last_landed if before else None}
    with run.workspace("out") as folder:
        write_parts(there.scan().filter(pl.col("name") != name), folder)
        publish(run, Draft(Table("bronze.system.landings"), LANDINGS, version, RECEIPTS, parts=folder, removed=there.files), before, about)


def test_each_source_knows_its_own(run: Run, tmp_path: Path) -> None:
    """Names are those of a source: the same name in another says nothing."""
    shop, other = offer(tmp_path, SHOP, "a.csv", "b.csv"), offer(tmp_path, OTHER, "b.csv", "c.csv")
    land(run, shop)
    land(run, other)
    assert known(run, shop, "a.csv", "b.csv", "c.csv") == {"a.csv", "b.csv"}
    assert known(run, other, "a.csv", "b.csv", "c.csv") == {"b.csv", "c.csv"}


def test_what_another_run_landed_is_known(run: Run, settings: Settings, tmp_path: Path) -> None:
    """A run that looked already knows the next time what came in between, and its latest version."""
    land(run, offer(tmp_path, SHOP, "a.csv"))
    assert known(run, offer(tmp_path, SHOP), "a.csv", "b.csv") == {"a.csv"}
    source = offer(tmp_path, SHOP, "b.csv")
    with begin_run(settings, "test", "test") as another:
        land(another, source)
        (tmp_path / SHOP / "a.csv").write_text("a\ncorrected\n")
        land(another, source)
    assert known(run, source, "a.csv", "b.csv") == {"a.csv", "b.csv"}
    assert look_up(run, source.name, asked("a.csv"))[0].by_name["a.csv"]["size"] == len("a\ncorrected\n")


def test_what_was_taken_out_is_not_known(run: Run, settings: Settings, tmp_path: Path) -> None:
    """Receipts that are taken out while a run holds them are gone for it too, and their files land again."""
    source = offer(tmp_path, SHOP, "a.csv", "b.csv")
    land(run, source)
    assert known(run, source, "a.csv", "b.csv") == {"a.csv", "b.csv"}
    with begin_run(settings, "test", "test") as another:
        take_out(another, "b.csv")
    assert known(run, source, "a.csv", "b.csv") == {"a.csv"}
    assert land(run, source).new == ["b.csv"]
