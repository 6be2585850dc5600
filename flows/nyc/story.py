"""What `lake demo` says about the gold tables: the worst days, and where the worst number comes from, recomputed from its raw lines."""

from collections.abc import Callable

import polars as pl

from lake.lakehouse import Lake


def tell(lake: Lake, say: Callable[[str], None]) -> None:
    """Show the worst days of large carriers, then follow the first number down to the raw records and compute it again."""
    say("The worst days of 2013 for carriers with at least 30 flights (gold.nyc.daily_delays):")
    delays = lake["gold.nyc.daily_delays"]
    worst = delays.scan().filter(pl.col("flights") >= 30).sort("mean_delay", descending=True).head(5).collect()
    with pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, float_precision=1, tbl_width_chars=120):
        say(str(worst.select("flight_date", "carrier", "carrier_name", "flights", "cancelled", "mean_delay", "p90_delay")))
    row = worst.row(0, named=True)
    say(f"\nWhere does {row['mean_delay']:.4f} come from? (mean_delay of {row['carrier']} on {row['flight_date']})")
    trace = delays.trace(carrier=row["carrier"], flight_date=row["flight_date"])
    below = trace.rows.filter(pl.col("role") == "flights")
    file = str(below["file"][0])
    records = trace.raw.filter(pl.col("file") == file).sort("record").rows(named=True)
    first, last = records[0], records[-1]
    say(f"  {below.height} rows of silver.nyc.flights, from records {first['record']:,} to {last['record']:,} of")
    say(f"  {lake.store.uri(file)}")
    say(f"  the first of them as it stands there, on line {first['line']:,}: {first['text']}")
    say(f"  {row['mean_delay']:.4f} {trace.verdict_line()}")
