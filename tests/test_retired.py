"""Tables whose code is gone: named with what to do, retired on somebody's word, kept as long as said, and then removed with every trace told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake.catalog import Catalog
from lake.cli import cli
from lake.errors import LakeError, UnknownName
from lake.freshness import freshness
from lake.maintain import maintain
from lake.marks import marked, unfilled
from lake.pipeline import Pipeline
from lake.release import read_release, release_meant, rollback
from lake.replay import replay
from lake.retired import bring_back, give_up, retire, retired
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from tests.conftest import ROOT, fresh_env
from tests.tiny import clean_orders, source_at, sum_orders, write_orders

NAMES = ["bronze.shop.orders", "silver.shop.orders", "gold.shop.totals"]


@pytest.fixture
def tidy(weed_home: Path) -> Settings:
    """An empty lake whose upkeep waits for nothing, and that keeps what is retired for a day."""
    return load_settings(home=weed_home, root=ROOT, env=fresh_env(), grace=dt.timedelta(0), retention=dt.timedelta(0), retired=dt.timedelta(days=1))


@pytest.fixture
def shop(tidy: Settings, tmp_path: Path) -> Iterator[Run]:
    """The tiny shop, run once; the project it is looked at from has no such flow."""
    with begin_run(tidy, "shop", "test") as run:
        write_orders(tmp_path, "a.csv", [(1, "ann", "1.50", "2024-01-01"), (2, "test", "1.50", "2024-01-01")])
        _flow(tmp_path).run(run).raise_failures()
        yield run


def _flow(folder: Path) -> Pipeline:
    return Pipeline("shop", [source_at(folder)], [clean_orders, sum_orders])


def test_what_no_flow_fills_is_named_with_what_to_do(shop: Run) -> None:
    """`ls` marks it, and replay goes on with the rest and says that and why it left it; retired, it is left out without failing."""
    rows = marked(Catalog(shop.store), Catalog(shop.store).tables(), shop.settings)
    assert {row["note"] for row in rows} == {"no flow fills it: `lake retire shop`, or bring its code back"}
    assert sorted(unfilled(NAMES, [], {})) == sorted(NAMES)
    found = list(replay(shop, release_meant(shop.store), []))
    assert {one.verdict for one in found} == {"not replayed"}
    assert found[0].why == "no flow of this checkout fills it: bring its code back, or give it up with `lake retire shop`"
    marks = retire(shop.store, shop.info, NAMES[:2], "moved to another team")
    assert unfilled(NAMES, [], marks) == ["gold.shop.totals"]
    verdicts = {one.table: (one.verdict, one.why) for one in replay(shop, release_meant(shop.store), [])}
    assert verdicts["silver.shop.orders"][0] == "left out"
    assert verdicts["silver.shop.orders"][1].endswith("moved to another team")
    assert verdicts["gold.shop.totals"][0] == "not replayed"


def test_a_subject_is_retired_and_brought_back(shop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name of the subject, after a word; it stays readable; a run that would fill it is refused with what to do; undone, all is as before."""
    monkeypatch.setenv("LAKE_HOME", str(shop.settings.home))
    monkeypatch.chdir(ROOT)
    given = ["--env", shop.settings.env]
    refused = CliRunner().invoke(cli, ["retire", "shop", *given])
    assert "--yes" in str(refused.exception)
    assert retired(shop.store) == {}
    done = CliRunner().invoke(cli, ["retire", "shop", "--why", "sold", "--yes", *given])
    assert done.output.count(": sold") == 3, done.output
    assert "sold" in CliRunner().invoke(cli, ["ls", *given]).output
    assert "Did you mean" in str(CliRunner().invoke(cli, ["retire", "shpo", "--yes", *given]).exception)
    assert Catalog(shop.store).snapshot(NAMES[1]).scan().collect().height == 1
    assert freshness(Catalog(shop.store), None) == []
    with pytest.raises(LakeError, match=r"retired .* sold") as caught:
        _flow(tmp_path).run(shop)
    assert "--undo" in str(caught.value.hint)
    assert not [row for row in maintain(shop) if row["place"] == "silver/shop/orders" and row["expired"]]
    assert "retired no more" in CliRunner().invoke(cli, ["retire", "shop", "--undo", *given]).output
    assert retired(shop.store) == {}
    _flow(tmp_path).run(shop).raise_failures()


def test_retired_tables_are_removed_when_their_time_is_over(shop: Run) -> None:
    """Past LAKE_RETIRED upkeep removes them, killed half-way or not; the newest release and rollbacks do without; the name says what became of it."""
    retire(shop.store, shop.info, NAMES, "sold")
    shop.settings = shop.settings.model_copy(update={"retired": dt.timedelta(0)})
    give_up(shop.store, NAMES[1:])  # killed when that was said, before anything was removed
    list(maintain(shop, dry_run=True))
    assert Catalog(shop.store).names() == NAMES
    rows = {row["place"]: row["expired"] for row in maintain(shop)}
    assert all(rows[name.replace(".", "/")] > 1 for name in NAMES)
    assert list(shop.store.walk("quarantine/silver/shop/orders")) == []
    assert Catalog(shop.store).names() == []
    assert release_meant(shop.store).tables == {}
    assert rollback(shop.store, shop.info, 1).tables == {}
    assert read_release(shop.store, 1).tables.keys() == set(NAMES)
    with pytest.raises(UnknownName, match=r"gold.shop.totals is retired .*sold; its rows were removed"):
        Catalog(shop.store).last("gold.shop.totals")
    with pytest.raises(UnknownName, match="removed"):
        bring_back(shop.store, NAMES)
    assert {one.verdict for one in replay(shop, read_release(shop.store, 1), [])} == {"left out"}


def test_what_a_flow_fills_or_reads_is_not_retired(flights_lake: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that the code still fills is refused, with the flow named."""
    settings = flights_lake.settings  # type: ignore[attr-defined]
    monkeypatch.setenv("LAKE_HOME", str(settings.home))
    monkeypatch.chdir(ROOT)
    refused = CliRunner().invoke(cli, ["retire", "nyc", "--yes"])
    assert "flows/nyc still fills" in str(refused.exception)
