"""A subject whose code is gone while another reads its tables: the reader is told what to do, everybody else goes on, and each command says what is so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import fresh_env
from tests.folders import HOPS, SOURCES, TABLES, write_project
from tests.test_cli import Said, answer
from tests.test_declarations import SHOP

_READS = (
    HOPS
    + """
from flows.other.tables import copies, read


@hop(copies, given=read)
def copy(given):
    return given
"""
)
_OTHER = {
    "other/tables.py": TABLES + 'copies = Table("gold.other.copies", Count)\nread = Table("gold.shop.counts", Count)\n',
    "other/hops.py": _READS,
}
_IMPORTING = {
    "other/tables.py": TABLES + 'copies = Table("gold.other.copies", Count)\n',
    "other/hops.py": _READS.replace("import copies, read", "import copies\nfrom flows.shop.tables import counts as read"),
}
_SHOP = SHOP | {
    "shop/hops.py": SHOP["shop/hops.py"].replace(
        '"thing", "said", "at"', 'pl.col("thing").cast(pl.Int64), "said", pl.col("at").str.to_datetime(time_unit="us")'
    )
}
_THIRD = {
    "third/tables.py": TABLES + 'raw = Table("bronze.third.things")\n',
    "third/sources.py": SOURCES + 'from flows.third import tables\n\nthings = Source(tables.raw, "inbox")\n',
}

_NEXT = "bring that flow's code back, or have the hop read another table"
Lake = Callable[..., Said]


def _in(root: Path, home: Path, env: str) -> Lake:
    (root / "inbox").mkdir(exist_ok=True)
    (root / "inbox" / "a.csv").write_text("thing,said,at\n1,x,2024-01-01T00:00:00\n2,y,2024-01-01T00:00:00\n", "utf-8")
    os.utime(root / "inbox" / "a.csv", (1_700_000_000, 1_700_000_000))  # one and the same file, in every checkout
    return lambda *words: answer(*words, "--env", env, cwd=root, LAKE_HOME=str(home), PYTHONDONTWRITEBYTECODE="1")


def _before_and_after(tmp_path: Path, home: Path, env: str, other: dict[str, str]) -> tuple[Lake, Lake]:
    """The lake as typed in a project of three subjects, all run; and in the same one after `rm -r flows/shop`."""
    before = _in(write_project(tmp_path / "before", _SHOP | other | _THIRD), home, env)
    for subject in ("shop", "other", "third"):
        before("run", subject, "--no-prefect").did()
    return before, _in(write_project(tmp_path / "after", other | _THIRD), home, env)


def _listed(said: Said) -> dict[str, dict[str, object]]:
    return {row.get("table") or row.get("check"): row for row in json.loads(said.out)}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (_OTHER, ("flows/other/hops.py:8 reads gold.shop.counts", "there is no flow shop", _NEXT)),
        (_IMPORTING, ("flows/other/hops.py:6 imports flows.shop", "there is no flows/shop", "Bring it back")),
    ],
    ids=["declared anew", "imported"],
)
def test_a_reader_of_a_subject_that_is_gone(tmp_path: Path, weed_home: Path, other: dict[str, str], why: tuple[str, ...]) -> None:
    """The reader is refused with its line and the next step by every command that needs it; the third subject runs, and what is there is shown and proved."""
    before, lake = _before_and_after(tmp_path, weed_home, fresh_env(), other)

    notes = {row["table"]: row["note"] for row in lake("ls", "--json").rows}
    assert "lake retire shop" in notes["gold.shop.counts"]
    assert (notes["gold.other.copies"], notes["bronze.third.things"]) == ("", "")

    lake("run", "third", "--no-prefect").did()
    lake("run", "other", "--no-prefect").refused(*why)
    everything = lake("run", "--no-prefect").refused(*why)
    assert "third: " in everything.out

    plan = _listed(lake("plan", "--json").refused(*why))
    assert plan["bronze.third.things"]["changes"] == "no"
    assert (plan["gold.shop.counts"]["changes"], "lake retire shop" in str(plan["gold.shop.counts"]["why"])) == ("no", True)
    assert "gold.other.copies" not in plan
    assert "No flow fills bronze.shop.things, gold.shop.counts, silver.shop.things" in lake("plan").refused(*why).out

    doctor = _listed(lake("doctor", "--json").refused(*why))
    assert "lake retire shop" in str(doctor["table silver.shop.things"]["detail"])
    assert why[0] in str(doctor["subject other"]["detail"])
    assert "The store can be trusted" in lake("doctor").refused(*why).out

    replayed = _listed(lake("replay", "--json").refused("4 of 5 tables not reproduced"))
    assert replayed["bronze.third.things"]["verdict"] == "equal"
    assert why[0] in str(replayed["gold.other.copies"]["why"])
    assert "lake retire shop" in str(replayed["gold.shop.counts"]["why"])
    verified = _listed(lake("verify", "--json").refused(*why))
    assert verified["bronze.third.things"]["verdict"] == "equal"

    lake("trace", "gold.other.copies", "said=x").refused(*why)
    refusal = lake("retire", "shop", "--yes").refused("other", "Have it read another table" if other is _OTHER else "Bring it back")
    assert "gold.shop.counts" in refusal.err or "flows.shop" in refusal.err
    assert lake("retire", "--json").rows == []
    before("run", "other", "--no-prefect").did()


def test_a_subject_is_retired_once_its_reader_was_changed(tmp_path: Path, weed_home: Path) -> None:
    """Changed, the reader runs, shop can be given up, and replay, rollback and --undo work; code that comes back is told to undo, and others go on."""
    before, after = _before_and_after(tmp_path, weed_home, env := fresh_env(), _OTHER)
    after("retire", "shop", "--yes").refused("gold.other.copies is made from gold.shop.counts, by flows/other/hops.py:8", "Have it read another table")
    changed = _OTHER | {"other/hops.py": _READS.replace("copies, read", "copies\nfrom flows.third.tables import raw as read").replace(
        "return given", 'return given.group_by("said").agg(pl.len().cast(pl.Int64).alias("things"))')}  # fmt: skip
    lake = _in(write_project(tmp_path / "changed", changed | _THIRD), weed_home, env)
    lake("run", "--no-prefect").did()
    lake("retire", "shop", "--yes").did()
    assert {row["changes"] for row in lake("plan", "--json").rows} == {"no"}
    assert all(row["ok"] for row in lake("doctor", "--json").rows)
    verdicts = {row["table"]: row["verdict"] for row in lake("replay", "--json").rows}
    assert verdicts["gold.shop.counts"] == "left out"
    assert verdicts["gold.other.copies"] == "equal"
    lake("release", "rollback", "1", "--yes").did()
    lake("release", "resume").did()

    planned = _listed(before("plan", "--json").refused("bronze.shop.things is retired", "lake retire bronze.shop.things --undo"))
    assert planned.keys() == {"gold.other.copies", "bronze.third.things"}
    assert "third: " in before("run", "--no-prefect").refused("is retired", "--undo").out
    lake("retire", "shop", "--undo").did()
    before("run", "--no-prefect").did()
