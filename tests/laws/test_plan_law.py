"""What a plan says is what the run does: `yes` changes a table, `no` does not, `maybe` may; and planning writes nothing."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from lake.cli.render import shown
from lake.errors import Waits
from lake.forecast import Changes, behind, forecast
from lake.hop import Hop, changes, hop
from lake.landing import land
from lake.pipeline import Pipeline
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import Source
from lake.table import Table, path_of
from tests import parish, tiny

_FULL = os.environ.get("LAKE_LAWS") == "full"
_ORDERS, _HOMES = "order,customer,amount,month,day", "customer,since,city"
reader: Hop = hop(Table("gold.reader.daily", parish.Daily), write="by_key", counts="orders", orders=changes(parish.orders))(parish._daily)


def _flows(folder: Path, *, without: int) -> list[Pipeline]:
    """The parish, with or without one of its hops, and a subject that reads what the parish releases."""
    hops = [one for number, one in enumerate(parish.HOPS) if number != without]
    sources = [Source(parish.bronze_orders, folder / "orders"), Source(parish.bronze_homes, folder / "homes")]
    return [Pipeline("parish", sources, hops), Pipeline("reader", [], [reader])]


def _deliver(chance: random.Random, folder: Path, number: int) -> None:
    """Something happens to the files of one source: new rows, no rows, rows that are all rejected, a copy, a touch, another content under a known name."""
    kind, columns = chance.choice([("orders", _ORDERS), ("homes", _HOMES)])
    there = sorted((folder / kind).iterdir())
    what = chance.choice(["rows", "rows", "bad", "empty", "copy", "touch", "other", "same size"])
    rows = [(chance.randint(1, 6), chance.choice("abc"), chance.choice([5, 7, 11]), "01", "03") for _ in range(chance.randint(1, 3))]
    if kind == "homes":
        rows = [(chance.choice("abc"), f"2026-0{chance.randint(1, 3)}-01", chance.choice(["Ulm", "Bonn"]))]  # type: ignore[misc]
    if what == "bad":
        rows = [tuple("?" for _ in row) for row in rows]  # type: ignore[misc]
    old = chance.choice(there) if there else None
    if old is None or what in ("rows", "bad"):
        parish.deliver(folder / kind, f"{number}.csv", columns, rows)
    elif what == "empty":
        parish.deliver(folder / kind, f"{number}.csv", columns, [])
    elif what == "copy":
        (folder / kind / f"{number}.csv").write_bytes(old.read_bytes())
    elif what == "touch":
        os.utime(old, (number, number))
    elif what == "same size":
        old.write_bytes(old.read_bytes().replace(b"5", b"8"))
        os.utime(old, (number, number))
    else:
        parish.deliver(folder / kind, old.name, columns, rows)


def _versions(run: Run, flows: list[Pipeline]) -> dict[str, int]:
    return {step.name: run.log(path_of(step.name)).version() for flow in flows for step in flow.steps if step.kind != "land"}


@pytest.mark.parametrize("seed", range(60 if _FULL else 3))
def test_a_run_does_what_the_plan_said(weed_settings: Settings, tmp_path: Path, seed: int) -> None:
    """Random deliveries, hops that come and go, landings without a run, --full, over every way of writing and two subjects."""
    chance = random.Random(seed)
    seen: set[tuple[str, Changes, bool]] = set()
    for kind in ("orders", "homes"):
        (tmp_path / kind).mkdir()
    for number in range(6):
        flows = _flows(tmp_path, without=chance.choice([99, 99, 99, len(parish.HOPS) - 1 - number % 6]))
        for turn in range(chance.randint(0, 3)):
            _deliver(chance, tmp_path, 1000 * number + turn)
        full = chance.random() < 0.15
        with begin_run(weed_settings, "parish", "test") as run:
            if chance.random() < 0.3:
                land(run, chance.choice(list(flows[0].sources.values())))
            before = _versions(run, flows)
            run.store.requests.clear()
            foreseen: dict[str, Changes] = {}
            rows = {row["table"]: row for flow in flows for row in forecast(run, flow, full=full, foreseen=foreseen)}
            assert run.store.requests["put"] == run.store.requests["delete"] == 0
            assert rows.keys() == before.keys()
        with begin_run(weed_settings, "parish", "test") as run:
            failed = [error for flow in flows for error in flow.run(run, full=full).failures.values()]
            wrong = [error for error in failed if not isinstance(error, Waits)]  # for a table that no file with rows has come for yet
            assert not wrong or number < 3, wrong
            for name, row in rows.items():
                did = run.log(path_of(name)).version() > before[name]
                seen.add((name.split(".")[0], row["changes"], did))
                assert row["run"] == (row["changes"] != "no")
                assert row["changes"] == "maybe" or did == (row["changes"] == "yes") or (failed and not did), (number, row, did)
        if failed:
            continue
        with begin_run(weed_settings, "parish", "test") as run:
            again = [row for flow in flows for row in forecast(run, flow)]
            assert {row["changes"] for row in again} <= {"no", "maybe"}, again  # maybe: a file that was only touched is read at each run
            assert [row for flow in flows for row in behind(run, flow)] == []
    assert {said for _, said, _ in seen} == {"yes", "no", "maybe"} or seed


def test_a_file_that_waits_is_counted_and_followed_downstream(run: Run, tmp_path: Path) -> None:
    """New: all that hangs on it is certain. Later: the landing is, what is made of its rows may be. Landed and not in bronze yet counts too."""
    flow = Pipeline("shop", [tiny.source_at(tmp_path)], [tiny.clean_orders, tiny.sum_orders])
    (tmp_path / "x").mkdir()
    rows = forecast(run, flow)
    assert [(row["changes"], row["waiting"]) for row in rows] == [("no", 0), ("no", None), ("no", None)]
    assert rows[1]["why"].startswith("it reads bronze.shop.orders, which does not exist yet")
    tiny.write_orders(tmp_path, "a.csv", [(1, "ann", "1.00", "2024-01-01")])
    rows = forecast(run, flow)
    assert [(row["table"], row["changes"], row["waiting"], row["landed"]) for row in rows] == [
        ("bronze.shop.orders", "yes", 1, 0), ("silver.shop.orders", "yes", None, None), ("gold.shop.totals", "yes", None, None),
    ]  # fmt: skip
    assert rows[0]["why"] == "1 file waits (a.csv); no file has come yet" or rows[0]["why"] == "1 file waits (a.csv)"
    flow.run(run).raise_failures()
    tiny.write_orders(tmp_path, "b.csv", [(2, "bob and more", "1.00", "2024-01-01")])
    tiny.write_orders(tmp_path, "copy.csv", [(1, "ann", "1.00", "2024-01-01")])
    rows = forecast(run, flow)
    assert [row["changes"] for row in rows] == ["yes", "maybe", "maybe"]
    assert [row["why"] for row in rows] == ["2 files wait (b.csv, copy.csv)", "if rows of bronze.shop.orders change", "if rows of silver.shop.orders change"]
    (tmp_path / "b.csv").unlink()
    assert [row["changes"] for row in forecast(run, flow)] == ["maybe", "maybe", "maybe"]
    assert forecast(run, flow)[0]["why"] == "1 file waits (copy.csv), perhaps with content that has landed"
    tiny.write_orders(tmp_path, "b.csv", [(2, "bob and more", "1.00", "2024-01-01")])
    land(run, tiny.source_at(tmp_path))
    assert (forecast(run, flow)[0]["why"], forecast(run, flow)[0]["landed"]) == ("1 file landed and is not in it yet", 1)
    assert shown(forecast(run, flow)[1]["estimated_rows"]) == ""
