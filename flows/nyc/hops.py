"""Pure functions from frames to frames. Text stays text where the contract can parse it, so that what it cannot is on record."""

import polars as pl

from flows.nyc import tables
from lake import PROVENANCE, changes, hop

_ZONES = (
    "America/Anchorage", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/New_York", "America/Phoenix",
    "America/Vancouver", "Asia/Chongqing", "Pacific/Honolulu",
)  # fmt: skip
_ON_TIME = 15  # minutes: the US Department of Transportation counts a flight as on time below this


def _known(column: str) -> pl.Expr:
    """The text of a raw column, or null where the source says it does not know."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text.is_in(["", "NA"])).then(None).otherwise(text)


def _number(column: str) -> pl.Expr:
    """A raw whole number for computing with; the contract judges the text itself."""
    return _known(column).cast(pl.Int32, strict=False)


def _to_utc(local: pl.Expr, zone: pl.Expr) -> pl.Expr:
    """A local time of a row's own zone in UTC. The earlier of two in autumn; null for one that spring skips, or an unknown zone."""
    instant: pl.Expr = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    for name in _ZONES:
        there = local.dt.replace_time_zone(name, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
        instant = pl.when(zone == name).then(there).otherwise(instant)
    return instant


def _clock(column: str) -> pl.Expr:
    """A raw time of day such as 517 or 2400 as a duration since midnight."""
    return pl.duration(hours=_number(column) // 100, minutes=_number(column) % 100)


@hop(tables.airlines, write="merge", raw=changes(tables.bronze_airlines))
def clean_airlines(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Carriers: code and name, trimmed."""
    return raw.select(_known("carrier").alias("carrier"), _known("name").alias("name"), *PROVENANCE)


@hop(tables.airports, write="merge", raw=changes(tables.bronze_airports))
def clean_airports(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Airports under plain names."""
    named = {"airport": "faa", "name": "name", "latitude": "lat", "longitude": "lon", "altitude": "alt", "utc_offset": "tz", "zone": "tzone"}
    return raw.select(*(_known(column).alias(name) for name, column in named.items()), *PROVENANCE)


@hop(tables.planes, write="merge", raw=changes(tables.bronze_planes))
def clean_planes(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Aircraft under plain names."""
    named = {
        "tail_number": "tailnum", "built": "year", "type": "type", "manufacturer": "manufacturer", "model": "model", "engines": "engines",
        "seats": "seats", "cruise_speed": "speed", "engine": "engine",
    }  # fmt: skip
    return raw.select(*(_known(column).alias(name) for name, column in named.items()), *PROVENANCE)


@hop(tables.weather, write="merge", raw=changes(tables.bronze_weather))
def clean_weather(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Observations by the hour in UTC, which the source gives beside the local date and hour."""
    named = {
        "temperature": "temp", "dew_point": "dewp", "humidity": "humid", "wind_direction": "wind_dir", "wind_speed": "wind_speed",
        "wind_gust": "wind_gust", "precipitation": "precip", "pressure": "pressure", "visibility": "visib",
    }  # fmt: skip
    hour_at = _known("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False)
    return raw.select(_known("origin").alias("origin"), hour_at.alias("hour_at"), *(_known(column).alias(name) for name, column in named.items()), *PROVENANCE)


@hop(tables.flights, write="merge", raw=changes(tables.bronze_flights), airports=tables.airports)
def clean_flights(raw: pl.LazyFrame, airports: pl.LazyFrame) -> pl.LazyFrame:
    """Departures with every local time made an instant through the airports' time zones.

    The source gives scheduled times of day and delays; actual instants are scheduled ones plus the delay, which says on which
    day a late flight really left. An arrival scheduled before its departure is on the next day.
    """
    zones = airports.select("airport", "zone")
    text = pl.concat_str(_known("year").str.zfill(4), _known("month").str.zfill(2), _known("day").str.zfill(2), separator="-")
    scheduled = (
        raw.with_columns(text.alias("flight_date_text"), text.str.to_date("%Y-%m-%d", strict=False).alias("flight_date"))
        .join(zones.rename({"airport": "origin", "zone": "origin_zone"}), on="origin", how="left", maintain_order="left")
        .join(zones.rename({"airport": "dest", "zone": "destination_zone"}), on="dest", how="left", maintain_order="left")
        .with_columns(
            _to_utc(pl.col("flight_date").cast(pl.Datetime("us")) + _clock("sched_dep_time"), pl.col("origin_zone")).alias("scheduled_departure_at"),
            (pl.col("flight_date").cast(pl.Datetime("us")) + _clock("sched_arr_time")).alias("arrival_clock"),
        )
        .with_columns(_to_utc(pl.col("arrival_clock"), pl.col("destination_zone")).alias("same_day"))
        .with_columns(
            pl.when(pl.col("same_day") > pl.col("scheduled_departure_at"))
            .then(pl.col("same_day"))
            .otherwise(_to_utc(pl.col("arrival_clock") + pl.duration(days=1), pl.col("destination_zone")))
            .alias("scheduled_arrival_at")
        )
    )
    departed = _number("dep_delay").is_not_null()
    status = pl.when(~departed).then(pl.lit("cancelled")).when(_number("arr_delay").is_null()).then(pl.lit("diverted")).otherwise(pl.lit("flown"))
    return scheduled.select(
        pl.col("flight_date_text").alias("flight_date"),
        _known("carrier").alias("carrier"),
        _known("flight").alias("flight_number"),
        _known("origin").alias("origin"),
        _known("dest").alias("destination"),
        _known("tailnum").alias("tail_number"),
        status.alias("status"),
        "scheduled_departure_at",
        (pl.col("scheduled_departure_at") + pl.duration(minutes=_number("dep_delay"))).alias("departed_at"),
        _known("dep_delay").alias("departure_delay"),
        "scheduled_arrival_at",
        (pl.col("scheduled_arrival_at") + pl.duration(minutes=_number("arr_delay"))).alias("arrived_at"),
        _known("arr_delay").alias("arrival_delay"),
        _known("air_time").alias("air_time"),
        _known("distance").alias("distance"),
        *PROVENANCE,
    )


def _departed_on_time() -> pl.Expr:
    return (pl.col("departure_delay") < _ON_TIME).mean()


def _arrived_on_time() -> pl.Expr:
    return (pl.col("arrival_delay") < _ON_TIME).mean()


def _flights() -> pl.Expr:
    return pl.len().cast(pl.Int64)


def _count(condition: pl.Expr) -> pl.Expr:
    return condition.sum().cast(pl.Int64)


@hop(tables.daily_delays, write="by_key", counts="flights", flights=changes(tables.flights), airlines=tables.airlines)
def summarise_delays(flights: pl.LazyFrame, airlines: pl.LazyFrame) -> pl.LazyFrame:
    """Delays by day and carrier."""
    delay = pl.col("departure_delay")
    days = flights.group_by("flight_date", "carrier").agg(
        _flights().alias("flights"),
        _count(pl.col("status") == "cancelled").alias("cancelled"),
        _count(pl.col("status") == "diverted").alias("diverted"),
        delay.mean().alias("mean_delay"),
        delay.median().alias("median_delay"),
        delay.quantile(0.9, interpolation="linear").alias("p90_delay"),
        pl.col("arrival_delay").mean().alias("mean_arrival_delay"),
        _departed_on_time().alias("departed_on_time"),
        _arrived_on_time().alias("arrived_on_time"),
    )
    return days.join(airlines.select("carrier", pl.col("name").alias("carrier_name")), on="carrier", how="left")


@hop(tables.route_performance, counts="flights", flights=tables.flights, airports=tables.airports)
def measure_routes(flights: pl.LazyFrame, airports: pl.LazyFrame) -> pl.LazyFrame:
    """Distance, time, punctuality and percentiles by route."""
    late = pl.col("arrival_delay")
    routes = flights.group_by("origin", "destination").agg(
        _flights().alias("flights"),
        pl.col("carrier").n_unique().cast(pl.Int64).alias("carriers"),
        pl.col("distance").max().alias("distance"),
        pl.col("air_time").median().alias("median_air_time"),
        (pl.col("distance") / (pl.col("air_time") / 60)).median().alias("median_speed"),
        (pl.col("status") == "cancelled").mean().alias("cancelled"),
        _arrived_on_time().alias("arrived_on_time"),
        late.mean().alias("mean_arrival_delay"),
        late.median().alias("p50_arrival_delay"),
        late.quantile(0.9, interpolation="linear").alias("p90_arrival_delay"),
    )
    return routes.join(airports.select(pl.col("airport").alias("destination"), pl.col("name").alias("destination_name")), on="destination", how="left")


@hop(tables.weather_delays, counts="flights", flights=tables.flights, weather=tables.weather)
def compare_weather(flights: pl.LazyFrame, weather: pl.LazyFrame) -> pl.LazyFrame:
    """Departures of each hour beside its weather. Hours without a trusted observation stay, as unknown."""
    hours = flights.group_by("origin", pl.col("scheduled_departure_at").dt.truncate("1h").alias("hour_at")).agg(
        _flights().alias("flights"),
        _count(pl.col("status") == "cancelled").alias("cancelled"),
        pl.col("departure_delay").mean().alias("mean_delay"),
        _departed_on_time().alias("departed_on_time"),
    )
    conditions = (
        pl.when(pl.any_horizontal(pl.col("visibility", "wind_speed", "precipitation").is_null())).then(pl.lit("unknown"))
        .when(pl.col("visibility") < 3).then(pl.lit("low visibility"))
        .when(pl.col("wind_speed") >= 25).then(pl.lit("high wind"))
        .when(pl.col("precipitation") > 0).then(pl.lit("rain"))
        .otherwise(pl.lit("fair"))
    )  # fmt: skip
    observed = weather.select("origin", "hour_at", "temperature", "wind_speed", "precipitation", "visibility")
    return hours.join(observed, on=["origin", "hour_at"], how="left").with_columns(conditions.alias("conditions"))


@hop(tables.aircraft_use, counts="flights", flights=tables.flights, planes=tables.planes)
def count_aircraft_use(flights: pl.LazyFrame, planes: pl.LazyFrame) -> pl.LazyFrame:
    """What each model flew; a registration that the registry does not know counts as unknown."""
    known = planes.select("tail_number", "manufacturer", "model", "seats", "built")
    flown = pl.col("status") == "flown"
    miles = pl.when(flown).then(pl.col("distance").cast(pl.Int64)).otherwise(0)
    return (
        flights.join(known, on="tail_number", how="left")
        .with_columns(pl.col("manufacturer", "model").fill_null("unknown"))
        .group_by("manufacturer", "model")
        .agg(
            _flights().alias("flights"),
            pl.col("tail_number").drop_nulls().n_unique().cast(pl.Int64).alias("aircraft"),
            pl.col("carrier").n_unique().cast(pl.Int64).alias("carriers"),
            _count(flown).alias("flown"),
            miles.sum().alias("miles"),
            (pl.col("air_time").filter(flown).sum() / 60).alias("hours"),
            pl.when(pl.col("seats").is_not_null().any()).then((miles * pl.col("seats")).sum()).otherwise(None).alias("seat_miles"),
            pl.col("built").mean().alias("mean_built"),
        )
    )
