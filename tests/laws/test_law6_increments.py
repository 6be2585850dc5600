"""Law 6 on real data: the flights delivered month by month, out of order and corrected late, end as one bulk load does."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from flows.nyc import sources
from lake.contract import PROVENANCE
from lake.difference import difference
from lake.pipeline import Pipeline, Report, load_pipeline
from lake.release import find_release, read_release
from lake.replay import replay
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.table import path_of
from lake.verify import verify
from tests.conftest import ROOT, Built


def _months(folder: Path) -> dict[int, Path]:
    """The published flights, one file a month, each line as it was."""
    data = sources.published_files()
    plain = folder / "flights.csv"
    packed = next(data.glob("flights.csv*"))
    if packed.suffix == ".zip":
        zipfile.ZipFile(packed).extract("flights.csv", folder)
    else:
        shutil.copy(packed, plain)
    head, *lines = plain.read_text("utf-8").splitlines(keepends=True)
    plain.unlink()
    months: dict[int, list[str]] = {}
    for line in lines:
        months.setdefault(int(line.split(",")[1]), []).append(line)
    for number, rows in months.items():
        (folder / f"{number:02}.csv").write_text(head + "".join(rows), "utf-8")
    return {number: folder / f"{number:02}.csv" for number in sorted(months)}


def _preliminary(month: Path, into: Path) -> None:
    """The month as it may be published at first: every tenth flight missing, every seventh with another delay."""
    head, *lines = month.read_text("utf-8").splitlines(keepends=True)
    kept = []
    for number, line in enumerate(lines):
        cells = line.split(",")
        if number % 7 == 0:
            cells[5] = "1"
        if number % 10:
            kept.append(",".join(cells))
    into.write_text(head + "".join(kept), "utf-8")


@dataclasses.dataclass(frozen=True)
class Grown:
    """The lake as it grew: its settings, the run that ended it, the flow, and the report of every delivery."""

    settings: Settings
    run: Run
    pipeline: Pipeline
    reports: list[Report]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """Twelve deliveries: February after April, March preliminary and corrected with July, November doubled under another name."""
    months, inbox = _months(tmp_path_factory.mktemp("months")), tmp_path_factory.mktemp("inbox")
    settings = load_settings(home=tmp_path_factory.mktemp("grown"), root=ROOT)
    whole = load_pipeline(settings, "nyc")
    by_month = dataclasses.replace(whole.sources["nyc.flights"], at=inbox, pattern="*.csv")
    pipeline = Pipeline("nyc", [by_month, *(source for name, source in whole.sources.items() if name != "nyc.flights")], whole.hops.values())
    reports = []
    for number in (1, 3, 4, 2, 5, 6, 7, 8, 9, 10, 11, 12):
        if number == 3:
            _preliminary(months[3], inbox / "03.csv")
        else:
            shutil.copyfile(months[number], inbox / months[number].name)
        if number == 7:
            shutil.copyfile(months[3], inbox / "03.csv")
        if number == 11:
            shutil.copyfile(months[11], inbox / "november again.csv")
        with begin_run(settings, "nyc", "test") as run:
            report = pipeline.run(run)
            report.raise_failures()
            reports.append(report)
    with begin_run(settings, "nyc", "test") as run:
        yield Grown(settings, run, pipeline, reports)


@pytest.mark.slow
def test_month_by_month_ends_as_one_bulk_load(grown: Grown, flights_lake: Built) -> None:
    """Content hashes of every silver and gold table are those of the bulk load, and so are the rows."""
    bulk = find_release(flights_lake.run.store)
    live = find_release(grown.run.store)
    assert bulk is not None
    assert live is not None
    tables = [name for name in bulk.tables if not name.startswith("bronze.nyc.flights")]
    assert {name: live.tables[name].content for name in tables} == {name: bulk.tables[name].content for name in tables}
    for name in ("silver.nyc.flights", "gold.nyc.daily_delays"):
        one = flights_lake.run.snapshot(path_of(name), bulk.tables[name].version)
        other = grown.run.snapshot(path_of(name), live.tables[name].version)
        assert not difference(one, other, _key(name)).any


def _key(name: str) -> list[str]:
    pipeline = load_pipeline(load_settings(root=ROOT), "nyc")
    return pipeline.hops[name].table.key


@pytest.mark.slow
def test_each_delivery_read_its_own_rows(grown: Grown) -> None:
    """Every increment reads the rows of the files that came with it, and the groups they touch: never the history."""
    for report in grown.reports[1:]:
        delivered = sum(outcome.ledger.inserted for outcome in report.results["bronze.nyc.flights"].outcomes)
        (silver,), (gold,) = report.results["silver.nyc.flights"].outcomes, report.results["gold.nyc.daily_delays"].outcomes
        assert silver.ledger.read == delivered
        assert silver.reason.startswith("new rows")
        assert gold.reason.startswith("changed groups")
        assert gold.ledger.read <= delivered, "the groups of a delivery are its own days"


@pytest.mark.slow
def test_what_grew_can_be_replayed_and_verified(grown: Grown) -> None:
    """The last release, and one in the middle, computed again from raw: equal. Random ranges too."""
    for number in (5, 12):
        found = list(replay(grown.run, read_release(grown.run.store, number), [grown.pipeline]))
        assert {one.verdict for one in found} == {"equal"}, [(one.table, one.verdict, one.why) for one in found]
    rows = list(verify(grown.run, grown.pipeline, share=0.05, seed=3))
    assert {row["verdict"] for row in rows} == {"equal"}, rows


@pytest.mark.slow
def test_a_correction_is_what_the_releases_differ_by(grown: Grown) -> None:
    """Between the sixth and the seventh delivery: July came, and March was put right."""
    before, after = read_release(grown.run.store, 6), read_release(grown.run.store, 7)
    name = "silver.nyc.flights"
    one, other = (grown.run.snapshot(path_of(name), release.tables[name].version) for release in (before, after))
    found = difference(one, other, _key(name))
    july = other.scan().filter(pl.col("flight_date").dt.month() == 7).select(pl.len()).collect().item()
    march = [snapshot.scan().filter(pl.col("flight_date").dt.month() == 3).select(pl.len()).collect().item() for snapshot in (one, other)]
    assert found.removed == 0
    assert found.added == july + march[1] - march[0]
    assert 0 < found.changed < march[0]
    assert "departure_delay" in found.columns
    assert not set(found.columns) & PROVENANCE.keys()
