"""What each table promises. Times are UTC unless a column says local; delays are actual minus scheduled, so early is negative."""

from datetime import timedelta

import dataframely as dy
import polars as pl

from lake import Contract, Table

_OWNER = "flight-operations"
_CARRIER = r"^[0-9A-Z]{2}$"
_AIRPORT = r"^[0-9A-Z]{3}$"
MINUTES = {"unit": "min"}
FLIGHTS = {"unit": "flights"}


def _utc(*, nullable: bool = False, primary_key: bool = False, description: str) -> dy.Datetime:
    return dy.Datetime(nullable=nullable, primary_key=primary_key, time_zone="UTC", time_unit="us", description=description)


class Airline(Contract):
    """A carrier and its name. Source: US BTS carrier codes."""

    carrier = dy.String(primary_key=True, regex=_CARRIER, description="IATA carrier code")
    name = dy.String(nullable=False, min_length=1, description="Name the carrier traded under in 2013")


class Airport(Contract):
    """An airport of the United States, or one just across its border. Source: OpenFlights."""

    airport = dy.String(primary_key=True, regex=_AIRPORT, description="FAA code")
    name = dy.String(nullable=False, min_length=1, description="Name in common use")
    latitude = dy.Float64(nullable=False, min=-90, max=90, metadata={"unit": "deg"}, description="North of the equator")
    longitude = dy.Float64(nullable=False, min=-180, max=180, metadata={"unit": "deg"}, description="East of Greenwich, so negative in America")
    altitude = dy.Int32(nullable=False, min=-500, max=15_000, metadata={"unit": "ft"}, description="Above mean sea level")
    utc_offset = dy.Int8(nullable=False, min=-12, max=14, metadata={"unit": "h"}, description="Local standard time minus UTC")
    zone = dy.String(nullable=False, regex=r"^[A-Z][A-Za-z]+/[A-Za-z_/]+$", description="IANA time zone")

    @dy.rule()
    def longitude_fits_offset(cls) -> pl.Expr:
        """The sun agrees with the clock: standard time is within 2.6 hours of local solar time."""
        return (cls.longitude.col / 15 - cls.utc_offset.col).abs() <= 2.6

    @dy.rule()
    def in_north_america(cls) -> pl.Expr:
        """West of Greenwich, or just across the date line in the Aleutians."""
        return (cls.longitude.col < 0) | (cls.longitude.col > 170)


class Plane(Contract):
    """An aircraft by its registration. Source: FAA registry; registrations may have been given to another aircraft since."""

    tail_number = dy.String(primary_key=True, regex=r"^N[0-9A-Z]{2,5}$", description="FAA registration")
    built = dy.Int16(nullable=True, min=1930, max=2013, metadata={"unit": "year"}, description="Year of manufacture")
    type = dy.String(nullable=False, description="Kind of aircraft")
    manufacturer = dy.String(nullable=False, description="Manufacturer as registered")
    model = dy.String(nullable=False, description="Model as registered")
    engines = dy.Int8(nullable=False, min=1, max=8, metadata={"unit": "engines"}, description="Number of engines")
    seats = dy.Int16(nullable=False, min=1, max=900, metadata={"unit": "seats"}, description="Number of seats")
    cruise_speed = dy.Int16(nullable=True, min=30, max=700, metadata={"unit": "mph"}, description="Average cruising speed")
    engine = dy.String(nullable=False, description="Kind of engine")

    @dy.rule()
    def engines_fit_type(cls) -> pl.Expr:
        """A single-engine aircraft has one engine, a multi-engine one has more."""
        single, multi = cls.type.col.str.contains("single engine"), cls.type.col.str.contains("multi engine")
        return (single & (cls.engines.col == 1)) | (multi & (cls.engines.col > 1)) | ~(single | multi)


class Weather(Contract):
    """One hour of weather at one of the three airports. Source: ASOS via the University of Iowa."""

    origin = dy.String(primary_key=True, regex=_AIRPORT, description="FAA code of the airport")
    hour_at = _utc(primary_key=True, description="Start of the hour")
    temperature = dy.Float64(nullable=True, min=-80, max=140, metadata={"unit": "degF"}, description="Air temperature at 2 m")
    dew_point = dy.Float64(nullable=True, min=-80, max=100, metadata={"unit": "degF"}, description="Dew point at 2 m")
    humidity = dy.Float64(nullable=True, min=0, max=100, metadata={"unit": "%"}, description="Relative humidity")
    wind_direction = dy.Int16(nullable=True, min=0, max=360, metadata={"unit": "deg"}, description="Where the wind comes from; 0 in a calm")
    wind_speed = dy.Float64(nullable=True, min=0, max=200, metadata={"unit": "mph"}, description="Wind speed; above 200 no such station has measured")
    wind_gust = dy.Float64(nullable=True, min=0, max=253, metadata={"unit": "mph"}, description="Gust speed; empty when there was none")
    precipitation = dy.Float64(nullable=False, min=0, max=13, metadata={"unit": "in"}, description="Fallen in the hour")
    pressure = dy.Float64(nullable=True, min=860, max=1090, metadata={"unit": "mbar"}, description="Sea-level pressure")
    visibility = dy.Float64(nullable=False, min=0, max=100, metadata={"unit": "mi"}, description="Visibility; the stations report 10 at most")

    @dy.rule()
    def dew_point_below_temperature(cls) -> pl.Expr:
        """Air cannot be damper than saturated; a tenth of a degree for rounding."""
        return cls.dew_point.col <= cls.temperature.col + 0.1

    @dy.rule()
    def gust_above_wind(cls) -> pl.Expr:
        """A gust is no slower than the mean wind."""
        return cls.wind_gust.col >= cls.wind_speed.col


class Flight(Contract):
    """One scheduled departure from a New York airport. Source: US BTS on-time performance, 2013."""

    flight_date = dy.Date(primary_key=True, description="Scheduled departure date, local time at origin")
    carrier = dy.String(primary_key=True, regex=_CARRIER, description="IATA carrier code")
    flight_number = dy.Int32(primary_key=True, min=1, max=9999, description="Flight number of the carrier")
    origin = dy.String(primary_key=True, regex=_AIRPORT, description="FAA code of the airport of departure")
    destination = dy.String(nullable=False, regex=_AIRPORT, description="FAA code of the scheduled destination")
    tail_number = dy.String(nullable=True, description="FAA registration; empty for some cancelled flights")
    status = dy.String(
        nullable=False, regex=r"^(flown|diverted|cancelled)$", description="flown, diverted (left, but not timed at its destination) or cancelled"
    )
    scheduled_departure_at = _utc(description="Scheduled departure")
    departed_at = _utc(nullable=True, description="Actual departure; empty if it was cancelled")
    departure_delay = dy.Int32(nullable=True, min=-120, max=3000, metadata=MINUTES, description="Actual minus scheduled departure")
    scheduled_arrival_at = _utc(nullable=True, description="Scheduled arrival; empty where the destination's time zone is unknown")
    arrived_at = _utc(nullable=True, description="Actual arrival at the scheduled destination")
    arrival_delay = dy.Int32(nullable=True, min=-180, max=3000, metadata=MINUTES, description="Actual minus scheduled arrival")
    air_time = dy.Int32(nullable=True, min=1, max=1500, metadata=MINUTES, description="Time in the air")
    distance = dy.Int32(nullable=False, min=1, max=12_500, metadata={"unit": "mi"}, description="Great-circle distance between the airports")

    @dy.rule()
    def plausible_speed(cls) -> pl.Expr:
        """An airliner's speed over ground, averaged over the flight, is at most 600 mph."""
        return cls.distance.col * 60 <= cls.air_time.col * 600

    @dy.rule()
    def arrives_after_departure(cls) -> pl.Expr:
        """Scheduled and actual arrivals come after departures."""
        scheduled = (cls.scheduled_arrival_at.col > cls.scheduled_departure_at.col).fill_null(True)
        return scheduled & (cls.arrived_at.col > cls.departed_at.col).fill_null(True)

    @dy.rule()
    def airborne_only_if_departed(cls) -> pl.Expr:
        """Only a flight that left has an arrival or a time in the air."""
        return cls.departed_at.col.is_not_null() | (cls.air_time.col.is_null() & cls.arrival_delay.col.is_null())

    @dy.rule()
    def time_in_the_air_fits(cls) -> pl.Expr:
        """A flight is not longer in the air than from gate to gate."""
        return cls.air_time.col <= (cls.arrived_at.col - cls.departed_at.col).dt.total_minutes()


def _share(description: str) -> dy.Float64:
    return dy.Float64(nullable=True, min=0, max=1, metadata={"unit": "1"}, description=description)


def _delay(description: str) -> dy.Float64:
    return dy.Float64(nullable=True, metadata=MINUTES, description=description)


class DailyDelay(Contract):
    """How late each carrier's flights left New York on each day. A flight is on time if it leaves or arrives less than 15 minutes late."""

    flight_date = dy.Date(primary_key=True, description="Scheduled departure date, local time")
    carrier = dy.String(primary_key=True, regex=_CARRIER, description="IATA carrier code")
    carrier_name = dy.String(nullable=False, description="Name of the carrier")
    flights = dy.Int64(nullable=False, min=1, metadata=FLIGHTS, description="Scheduled departures")
    cancelled = dy.Int64(nullable=False, min=0, metadata=FLIGHTS, description="Cancelled before departure")
    diverted = dy.Int64(nullable=False, min=0, metadata=FLIGHTS, description="Left, but not timed at the scheduled destination")
    mean_delay = _delay("Mean departure delay of the flights that left")
    median_delay = _delay("Median departure delay of the flights that left")
    p90_delay = _delay("Nine in ten flights that left were delayed by no more, interpolated")
    mean_arrival_delay = _delay("Mean arrival delay of the flights flown")
    departed_on_time = _share("Share of the flights that left with less than 15 minutes of delay")
    arrived_on_time = _share("Share of the flights flown that arrived with less than 15 minutes of delay")

    @dy.rule()
    def parts_within_whole(cls) -> pl.Expr:
        """Cancelled and diverted flights are among those scheduled."""
        return cls.cancelled.col + cls.diverted.col <= cls.flights.col


class RoutePerformance(Contract):
    """How each route from New York performed over all flights known."""

    origin = dy.String(primary_key=True, regex=_AIRPORT, description="FAA code of the airport of departure")
    destination = dy.String(primary_key=True, regex=_AIRPORT, description="FAA code of the destination")
    destination_name = dy.String(nullable=True, description="Name of the destination; empty where the airport is unknown")
    flights = dy.Int64(nullable=False, min=1, metadata=FLIGHTS, description="Scheduled departures")
    carriers = dy.Int64(nullable=False, min=1, metadata={"unit": "carriers"}, description="Carriers that scheduled a flight")
    distance = dy.Int32(nullable=False, metadata={"unit": "mi"}, description="Distance between the airports; the greatest where the source gives several")
    median_air_time = _delay("Median time in the air of the flights flown")
    median_speed = dy.Float64(nullable=True, min=0, max=600, metadata={"unit": "mph"}, description="Median speed over ground of the flights flown")
    cancelled = _share("Share of the scheduled flights that were cancelled")
    arrived_on_time = _share("Share of the flights flown that arrived with less than 15 minutes of delay")
    mean_arrival_delay = _delay("Mean arrival delay of the flights flown")
    p50_arrival_delay = _delay("Half of the flights flown were delayed by no more")
    p90_arrival_delay = _delay("Nine in ten flights flown were delayed by no more, interpolated")


class WeatherDelay(Contract):
    """Departures of one hour from one airport beside the weather of that hour."""

    origin = dy.String(primary_key=True, regex=_AIRPORT, description="FAA code of the airport of departure")
    hour_at = _utc(primary_key=True, description="Start of the hour in which the departures were scheduled")
    flights = dy.Int64(nullable=False, min=1, metadata=FLIGHTS, description="Departures scheduled in the hour")
    cancelled = dy.Int64(nullable=False, min=0, metadata=FLIGHTS, description="Of these, cancelled")
    mean_delay = _delay("Mean departure delay of the flights that left")
    departed_on_time = _share("Share of the flights that left with less than 15 minutes of delay")
    conditions = dy.String(
        nullable=False,
        regex=r"^(fair|rain|low visibility|high wind|unknown)$",
        description="Worst first: visibility below 3 mi, wind of 25 mph or more, any rain; unknown where one is not known",
    )
    temperature = dy.Float64(nullable=True, metadata={"unit": "degF"}, description="Air temperature; empty where no observation is trusted")
    wind_speed = dy.Float64(nullable=True, metadata={"unit": "mph"}, description="Wind speed")
    precipitation = dy.Float64(nullable=True, metadata={"unit": "in"}, description="Fallen in the hour")
    visibility = dy.Float64(nullable=True, metadata={"unit": "mi"}, description="Visibility")


class AircraftUse(Contract):
    """What each model of aircraft did: how many fly, how far and how long. Flights of unregistered aircraft are under `unknown`."""

    manufacturer = dy.String(primary_key=True, description="Manufacturer as registered, or unknown")
    model = dy.String(primary_key=True, description="Model as registered, or unknown")
    flights = dy.Int64(nullable=False, min=1, metadata=FLIGHTS, description="Scheduled departures")
    aircraft = dy.Int64(nullable=False, min=0, metadata={"unit": "aircraft"}, description="Different registrations seen")
    carriers = dy.Int64(nullable=False, min=1, metadata={"unit": "carriers"}, description="Carriers that scheduled it")
    flown = dy.Int64(nullable=False, min=0, metadata=FLIGHTS, description="Flights flown to their destination")
    miles = dy.Int64(nullable=False, min=0, metadata={"unit": "mi"}, description="Distance of the flights flown, together")
    hours = dy.Float64(nullable=False, min=0, metadata={"unit": "h"}, description="Time in the air of the flights flown, together")
    seat_miles = dy.Int64(
        nullable=True, min=0, metadata={"unit": "seat-mi"}, description="Seats times distance over the flights flown; empty for unknown models"
    )
    mean_built = dy.Float64(nullable=True, metadata={"unit": "year"}, description="Mean year of manufacture over the flights")


bronze_flights = Table("bronze.nyc.flights", owner=_OWNER, description="Departures as published", renamed_from={"dep_delay": "departure_delay"})
bronze_weather = Table("bronze.nyc.weather", owner=_OWNER, description="Weather observations as published")
bronze_planes = Table("bronze.nyc.planes", owner=_OWNER, description="Aircraft as published")
bronze_airports = Table("bronze.nyc.airports", owner=_OWNER, description="Airports as published")
bronze_airlines = Table("bronze.nyc.airlines", owner=_OWNER, description="Carriers as published")

airlines = Table("silver.nyc.airlines", Airline, owner=_OWNER, fresh_within=timedelta(days=30))
airports = Table("silver.nyc.airports", Airport, owner=_OWNER, fresh_within=timedelta(days=30))
planes = Table("silver.nyc.planes", Plane, owner=_OWNER, fresh_within=timedelta(days=30))
weather = Table("silver.nyc.weather", Weather, owner=_OWNER, fresh_within=timedelta(days=7))
flights = Table("silver.nyc.flights", Flight, owner=_OWNER, time="flight_date", fresh_within=timedelta(days=7))

daily_delays = Table("gold.nyc.daily_delays", DailyDelay, owner=_OWNER, time="flight_date", fresh_within=timedelta(days=7), sample=True)
route_performance = Table("gold.nyc.route_performance", RoutePerformance, owner=_OWNER, fresh_within=timedelta(days=7), sample=True)
weather_delays = Table("gold.nyc.weather_delays", WeatherDelay, owner=_OWNER, fresh_within=timedelta(days=7))
aircraft_use = Table("gold.nyc.aircraft_use", AircraftUse, owner=_OWNER, fresh_within=timedelta(days=7))
