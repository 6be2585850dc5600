"""The lake beside tests/oracle.py: two ways from the raw files to the same tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from lake.delta import open_snapshot
from lake.log import TableLog
from tests import oracle
from tests.conftest import Built

SILVER = ("airlines", "airports", "planes", "weather", "flights")
GOLD = ("daily_delays", "route_performance", "weather_delays", "aircraft_use")
LANDING = {"_file", "_landed"}  # where and when a row landed: known to the lake alone

# Polars interpolates with a rounded weight, divides twice for a speed, and divides by 60 as a product with a rounded sixtieth; the
# oracle rounds once, so the last digit can differ. Any other float is exact: read from text, or a quotient of whole numbers.
ROUNDED = {
    ("daily_delays", "p90_delay"), ("route_performance", "p90_arrival_delay"), ("route_performance", "median_speed"), ("aircraft_use", "hours"),
}  # fmt: skip
PRECISION = 1e-12

Reader = Callable[[str], pl.DataFrame]


@pytest.fixture(scope="module")
def read(flights_lake: Built) -> Reader:
    """The lake made from the raw files, as a function from a table's path to its rows."""

    def rows(path: str) -> pl.DataFrame:
        store = flights_lake.run.store
        version = TableLog(store, path).version()
        return open_snapshot(store, path, version).scan().collect() if version >= 0 else pl.DataFrame()

    return rows


def agree(expected: Any, actual: Any, *, rounded: bool) -> bool:
    """Whether two cells hold the same value of the same kind; where either side had to round, but for the last digits."""
    if expected is None or actual is None:
        return expected is actual
    if type(expected) is not type(actual):
        return False
    return bool(expected == actual) or (rounded and math.isclose(expected, actual, rel_tol=PRECISION))


def differences(name: str, expected: oracle.Rows, actual: Iterable[dict[str, Any]]) -> list[str]:
    """What differs between a table and the oracle's: rows, columns or cells, each in a line."""
    found: list[str] = []
    seen: set[oracle.Key] = set()
    for row in actual:
        key = tuple(row[column] for column in oracle.KEYS[name])
        if key in seen:
            found.append(f"{name} {key}: twice in the lake")
        seen.add(key)
        wanted = expected.get(key)
        if wanted is None:
            found.append(f"{name} {key}: in the lake, not expected")
        elif wanted.keys() != row.keys():
            found.append(f"{name} {key}: expected the columns {sorted(wanted)}, actual {sorted(row)}")
        else:
            found.extend(
                f"{name} {key} {column}: expected {wanted[column]!r}, actual {value!r}"
                for column, value in row.items()
                if not agree(wanted[column], value, rounded=(name, column) in ROUNDED)
            )
    return found + [f"{name} {key}: expected, not in the lake" for key in expected.keys() - seen]


def told(found: list[str]) -> str:
    """The first differences, and how many there are."""
    return "\n".join([f"{len(found)} differences", *found[:20]])


@pytest.mark.parametrize("name", SILVER)
def test_every_silver_cell_is_what_the_raw_files_say(read: Reader, name: str) -> None:
    """Every cell of each silver table equals what the standard library computes from the raw files."""
    frame = read(f"silver/nyc/{name}")
    found = differences(name, oracle.silver()[name].rows, frame.drop(LANDING).iter_rows(named=True))
    assert not found, told(found)


@pytest.mark.parametrize("name", GOLD)
def test_every_gold_cell_is_what_the_raw_files_say(read: Reader, name: str) -> None:
    """Every cell of each gold table equals what the standard library computes from the raw files."""
    found = differences(name, oracle.gold()[name], read(f"gold/nyc/{name}").iter_rows(named=True))
    assert not found, told(found)


@pytest.mark.parametrize("name", SILVER)
def test_quarantine_holds_exactly_the_rejected_records(read: Reader, name: str) -> None:
    """The quarantine of each silver table holds the records that break a rule, once each, with the rules they break, and no other."""
    rejected = sorted((number, sorted(rules)) for number, rules in oracle.silver()[name].rejected.items())
    frame = read(f"quarantine/silver/nyc/{name}")
    assert rejected == sorted((row["_row"], sorted(row["rules"])) for row in frame.iter_rows(named=True))


def test_something_is_rejected() -> None:
    """The raw files hold records that no rule lets pass, so the comparison of quarantines is not empty."""
    counts = {name: len(table.rejected) for name, table in oracle.silver().items()}
    assert counts == {"airlines": 0, "airports": 8, "planes": 0, "weather": 1, "flights": 4}


def clock(moment: datetime, zone: str) -> int:
    """What a clock in `zone` shows, as the source writes it: 517 for 05:17."""
    local = moment.astimezone(ZoneInfo(zone))
    return local.hour * 100 + local.minute


def test_instants_agree_with_the_clocks_of_the_source() -> None:
    """Scheduled and actual instants agree with the hours and clock times that the source gives beside them and the lake does not read."""
    raw = oracle.records("flights.csv")
    zones = {row["airport"]: row["zone"] for row in oracle.silver()["airports"].rows.values()}
    wrong: list[tuple[int, str]] = []
    for row in oracle.silver()["flights"].rows.values():
        number, told_by = row["_row"], raw[row["_row"] - 1]
        if row["scheduled_departure_at"].replace(minute=0) != oracle.stamped(told_by["time_hour"]):
            wrong.append((number, "time_hour"))
        if row["departed_at"] is not None and clock(row["departed_at"], zones[row["origin"]]) != int(told_by["dep_time"] or -1) % 2400:
            wrong.append((number, "dep_time"))
        if row["arrived_at"] is not None and clock(row["arrived_at"], zones[row["destination"]]) != int(told_by["arr_time"] or -1) % 2400:
            wrong.append((number, "arr_time"))
    assert wrong == [(144508, "arr_time")]  # 02:03 at Palm Beach on 10 March, an hour that was skipped there


def test_weather_hours_agree_with_the_local_hours_of_the_source() -> None:
    """Every hour of weather, seen from New York, is the local date and hour that the source gives beside it."""
    raw = oracle.records("weather.csv")
    for row in oracle.silver()["weather"].rows.values():
        told_by = raw[row["_row"] - 1]
        local = row["hour_at"].astimezone(ZoneInfo("America/New_York"))
        assert tuple(int(told_by[part] or -1) for part in ("year", "month", "day", "hour")) == (local.year, local.month, local.day, local.hour)
