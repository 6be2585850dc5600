"""What `lake demo` says about the gold tables: the worst days, and where the worst number comes from, recomputed from its raw lines."""

import csv
import io
import zipfile
from collections.abc import Callable

import polars as pl

from lake.lakehouse import Lake


def tell(lake: Lake, say: Callable[[str], None]) -> None:
    """Show the worst days of large carriers, then follow the first number down to the raw records and compute it again."""
    say("The worst days of 2013 for carriers with at least 30 flights (gold.nyc.daily_delays):")
    worst = lake["gold.nyc.daily_delays"].scan().filter(pl.col("flights") >= 30).sort("mean_delay", descending=True).head(5).collect()
    with pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, float_precision=1, tbl_width_chars=120):
        say(str(worst.select("flight_date", "carrier", "carrier_name", "flights", "cancelled", "mean_delay", "p90_delay")))
    row = worst.row(0, named=True)
    say(f"\nWhere does {row['mean_delay']:.4f} come from? (mean_delay of {row['carrier']} on {row['flight_date']})")
    flights = (
        lake["silver.nyc.flights"]
        .scan()
        .filter(pl.col("flight_date") == row["flight_date"], pl.col("carrier") == row["carrier"])
        .sort("_file", "_row")
        .collect()
    )
    file, numbers = str(flights["_file"][0]), set(flights["_row"].to_list())
    say(f"  {flights.height} rows of silver.nyc.flights, from records {min(numbers):,} to {max(numbers):,} of")
    say(f"  {lake.store.uri(file)}")
    records = _raw_records(lake, file, numbers)
    first: str = ",".join(records[min(records)].values())
    say(f"  the first of them as it stands there: {first}")
    delays = [int(record["dep_delay"]) for record in records.values() if record["dep_delay"] != "NA"]
    again = sum(delays) / len(delays)
    say(f"  computed again from those {len(records)} raw lines: {again:.4f}, {'equal' if again == row['mean_delay'] else 'NOT EQUAL'}")


def _raw_records(lake: Lake, file: str, numbers: set[int]) -> dict[int, dict[str, str]]:
    """The raw records with these numbers (from 1), read from the raw object alone."""
    path, _, member = file.partition("#")
    with zipfile.ZipFile(io.BytesIO(lake.store.get(path))) as archive, archive.open(member) as handle:
        reader = csv.DictReader(io.TextIOWrapper(handle, encoding="utf-8", newline=""))
        return {number: record for number, record in enumerate(reader, 1) if number in numbers}
