import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Flights out of New York")


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # Flights out of New York, 2013

    Who is late, where, and in what weather. Every number here is read from the gold tables of the lake.

    A delay is actual minus scheduled time, so an early flight has a negative delay.
    A flight is on time if it is less than 15 minutes late.
    """)
    return


@app.cell
def _():
    import datetime as dt

    import altair as alt
    import marimo as mo
    import polars as pl

    import lake
    from lake.errors import StoreError, UnknownName
    from lake.settings import project_root

    ink, muted, grid = "#1f2937", "#6b7280", "#e5e7eb"

    @alt.theme.register("lake", enable=True)
    def theme():
        """One look for every plot. Fonts are the reader's own, so nothing is loaded from elsewhere."""
        text = {"labelColor": muted, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
        config = {
            "background": "#ffffff",
            "font": "Helvetica, Arial, sans-serif",
            "view": {"stroke": None},
            "title": {"anchor": "start", "fontSize": 16, "color": ink, "subtitleColor": muted, "subtitleFontSize": 12, "subtitlePadding": 6, "offset": 14},
            "axis": {**text, "gridColor": grid, "domainColor": "#c3c9d2", "tickColor": "#c3c9d2", "titlePadding": 10},
            "legend": text,
        }
        return alt.theme.ThemeConfig(config=config, padding=16)

    return StoreError, UnknownName, alt, dt, lake, mo, pl, project_root


@app.cell
def _(StoreError, UnknownName, lake, mo, project_root):
    lakehouse = None
    try:
        lakehouse = lake.open(root=project_root(mo.notebook_dir()))
        opened = f"This is release {lakehouse.release.number}, published on {lakehouse.release.at:%d %B %Y at %H:%M} UTC by run {lakehouse.release.run.id}."
    except UnknownName:
        opened = "Nothing has been released yet. Run `make demo` first, then this notebook again."
    except StoreError as error:
        opened = f"The lake cannot be read: {error}. If it is new, run `make demo` first, then this notebook again."
    if mo.app_meta().mode == "script":
        print(opened)  # noqa: T201  # a script has no page to show it on
    mo.stop(lakehouse is None, mo.callout(mo.md(opened), kind="warn"))
    mo.callout(mo.md(opened), kind="info")
    return (lakehouse,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## What there is

    One row a table, as of this release. `rejects` counts the rows that broke a rule and were set aside on the way in.
    """)
    return


@app.cell
def _(lakehouse, mo):
    tables = lakehouse.tables().select("table", "rows", "rejects", "version", "freshest", "owner", "summary")
    mo.ui.table(tables, selection=None, page_size=20, show_column_summaries=False)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## The year, day by day

    Choose a carrier. Each square is a day: blue left early, white on time, red late.
    The mean is over the flights that left, so a day with all flights cancelled stays empty.
    """)
    return


@app.cell
def _(lakehouse, pl):
    _left = (pl.col("flights") - pl.col("cancelled")).alias("left")
    days = lakehouse["gold.nyc.daily_delays"].scan().select("flight_date", "carrier", "carrier_name", "flights", "cancelled", "mean_delay", _left).collect()
    carriers = days.group_by("carrier", "carrier_name").agg(pl.col("flights").sum()).sort("flights", "carrier", descending=[True, False])
    return carriers, days


@app.cell
def _(carriers, mo):
    _choices = {f"{row['carrier_name']} ({row['carrier']})": row["carrier"] for row in carriers.iter_rows(named=True)}
    carrier = mo.ui.dropdown({"all carriers": None, **_choices}, value="all carriers", label="Carrier")
    carrier
    return (carrier,)


@app.cell
def _(alt, carrier, days, pl):
    # A mean of means, each weighted by the flights behind it, is the mean over the flights. Where none left there is none.
    _left = pl.col("left").filter(pl.col("mean_delay").is_not_null()).sum()
    _mean = pl.when(_left > 0).then((pl.col("mean_delay") * pl.col("left")).sum() / _left)
    _sunday = (pl.col("flight_date") + pl.duration(days=7 - pl.col("flight_date").dt.weekday())).alias("sunday")
    _shown = (
        (days if carrier.value is None else days.filter(pl.col("carrier") == carrier.value))
        .group_by("flight_date")
        .agg(_mean.alias("mean_delay"), pl.col("flights").sum(), pl.col("cancelled").sum())
        .with_columns(_sunday.dt.to_string("%Y-%m-%d"), pl.col("flight_date").dt.to_string("%a").alias("weekday"))
        .sort("flight_date")
    )
    _sundays = days.select(_sunday.unique().sort()).to_series()
    _firsts = _sundays.filter((_sundays.dt.day() <= 7) & (_sundays <= days["flight_date"].max()))
    _plain = {"grid": False, "domain": False, "ticks": False}
    _said = "Mean over the flights that left New York on each day of 2013"
    calendar = (
        alt.Chart(_shown, title=alt.Title(f"Departure delay by day: {carrier.selected_key}", subtitle=_said), width=53 * 14, height=7 * 14)
        .mark_rect(cornerRadius=3, stroke="#ffffff", strokeWidth=2)
        .encode(
            alt.X(
                "sunday:O",
                title="Week of the year",
                scale=alt.Scale(domain=_sundays.dt.to_string("%Y-%m-%d").to_list()),
                axis=alt.Axis(values=_firsts.dt.to_string("%Y-%m-%d").to_list(), labelExpr="utcFormat(toDate(datum.value), '%b')", labelAngle=0, **_plain),
            ),
            alt.Y("weekday:O", title="Day of the week", scale=alt.Scale(domain=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]), axis=alt.Axis(**_plain)),
            alt.Color(
                "mean_delay:Q",
                title=["Mean departure", "delay (min)"],
                scale=alt.Scale(domain=[-15, 0, 30, 60], range=["#2b7bba", "#eef0ee", "#f59e5f", "#a50f15"], interpolate="lab", clamp=True),
                legend=alt.Legend(gradientLength=100, values=[-15, 0, 15, 30, 45, 60]),
            ),
            [
                alt.Tooltip("flight_date:T", title="Day", format="%a %d %b %Y"),
                alt.Tooltip("mean_delay:Q", title="Mean departure delay (min)", format=".1f"),
                alt.Tooltip("flights:Q", title="Flights scheduled", format=",d"),
                alt.Tooltip("cancelled:Q", title="Of these, cancelled", format=",d"),
            ],
        )
    )
    calendar
    return (calendar,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    The six largest carriers, smoothed. The carrier chosen above stands out, and is added if it is a smaller one.
    A line has a gap where fewer than ten flights left in 14 days.
    """)
    return


@app.cell
def _(alt, carrier, carriers, days, dt, pl):
    _largest = carriers["carrier"].head(6).to_list()
    _lines = [*_largest, *({carrier.value} - {None, *_largest})]
    _window = {"by": "flight_date", "window_size": "14d"}
    _left = pl.col("left").rolling_sum_by(**_window)
    _mean = (pl.col("mean_delay").fill_null(0) * pl.col("left")).rolling_sum_by(**_window) / _left
    _smooth = (
        days.select(pl.col("flight_date").unique())
        .join(carriers.select("carrier", "carrier_name").filter(pl.col("carrier").is_in(_lines)), how="cross")
        .join(days.select("flight_date", "carrier", "mean_delay", "left"), on=["flight_date", "carrier"], how="left")
        .with_columns(pl.col("left").fill_null(0))
        .sort("carrier", "flight_date")
        .select("flight_date", "carrier", "carrier_name", pl.when(_left >= 10).then(_mean).over("carrier").alias("mean_delay"))
        .filter(pl.col("flight_date") >= days["flight_date"].min() + dt.timedelta(days=13))
    )
    _names = {row["carrier"]: row["carrier_name"] for row in carriers.iter_rows(named=True)}
    _stands_out = alt.datum.carrier == (carrier.value or "")
    _faint = 0.9 if carrier.value is None else 0.25
    seasons = (
        alt.Chart(
            _smooth,
            title=alt.Title("Departure delay of the largest carriers", subtitle="Mean over the flights of the 14 days up to each"),
            width=740,
            height=280,
        )
        .mark_line(interpolate="monotone")
        .encode(
            alt.X("flight_date:T", title="Day of departure (local date)", axis=alt.Axis(format="%b", grid=False, tickCount="month")),
            alt.Y("mean_delay:Q", title="Mean departure delay (min)"),
            alt.Color("carrier_name:N", title="Carrier", sort=[_names[code] for code in _lines], scale=alt.Scale(scheme="tableau10")),
            opacity=alt.condition(_stands_out, alt.value(1.0), alt.value(_faint)),
            strokeWidth=alt.condition(_stands_out, alt.value(3.5), alt.value(1.6)),
            tooltip=[
                alt.Tooltip("carrier_name:N", title="Carrier"),
                alt.Tooltip("flight_date:T", title="14 days up to", format="%a %d %b %Y"),
                alt.Tooltip("mean_delay:Q", title="Mean departure delay (min)", format=".1f"),
            ],
        )
    )
    seasons
    return (seasons,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Routes

    Each circle is a route; the larger, the more flights. Point at one to see its name.
    Routes with fewer than 100 flights are left out: a share of few flights says little.
    """)
    return


@app.cell
def _(alt, lakehouse, pl):
    _columns = ["origin", "destination", "destination_name", "flights", "carriers", "distance", "cancelled", "arrived_on_time", "p90_arrival_delay"]
    _busy = (
        lakehouse["gold.nyc.route_performance"]
        .scan()
        .select(_columns)
        .filter(pl.col("flights") >= 100, pl.col("arrived_on_time").is_not_null())
        .with_columns(pl.col("destination_name").fill_null(pl.col("destination")))
        .sort("flights", "origin", "destination", descending=[True, False, False])
        .collect()
    )
    routes = (
        alt.Chart(
            _busy,
            title=alt.Title("On-time arrivals by route", subtitle="Routes with at least 100 flights; on time is less than 15 min late"),
            width=740,
            height=400,
        )
        .mark_circle(opacity=0.65, stroke="#ffffff", strokeWidth=0.8)
        .encode(
            alt.X(
                "distance:Q",
                title="Distance (mi, logarithmic)",
                scale=alt.Scale(type="log", nice=False, padding=12),
                axis=alt.Axis(values=[100, 200, 500, 1000, 2000, 5000], grid=False),
            ),
            alt.Y("arrived_on_time:Q", title="Flights arrived on time (%)", scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(format="%")),
            alt.Size("flights:Q", title="Flights", scale=alt.Scale(range=[15, 900]), legend=alt.Legend(values=[500, 2000, 5000, 10000], format=",d")),
            alt.Color("origin:N", title="Origin", scale=alt.Scale(domain=["EWR", "JFK", "LGA"], range=["#d1662b", "#2b6fb0", "#3f9a6b"])),
            tooltip=[
                alt.Tooltip("origin:N", title="From"),
                alt.Tooltip("destination_name:N", title="To"),
                alt.Tooltip("destination:N", title="FAA code"),
                alt.Tooltip("distance:Q", title="Distance (mi)", format=",d"),
                alt.Tooltip("flights:Q", title="Flights", format=",d"),
                alt.Tooltip("carriers:Q", title="Carriers"),
                alt.Tooltip("arrived_on_time:Q", title="Arrived on time (%)", format=".1%"),
                alt.Tooltip("p90_arrival_delay:Q", title="Nine in ten delayed by at most (min)", format=".0f"),
                alt.Tooltip("cancelled:Q", title="Cancelled (%)", format=".1%"),
            ],
        )
    )
    routes
    return (routes,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Weather

    Delays build up over the day, and bad weather makes them build up faster.
    Hours are local, America/New_York. Points with fewer than 100 departures are left out, and so are hours without a trusted observation.
    """)
    return


@app.cell
def _(alt, lakehouse, pl):
    _left = pl.col("flights") - pl.col("cancelled")
    _hour = pl.col("hour_at").dt.convert_time_zone("America/New_York").dt.hour().alias("hour")
    _hours = (
        lakehouse["gold.nyc.weather_delays"]
        .scan()
        .select("conditions", "mean_delay", _hour, _left.alias("left"))
        .filter(pl.col("conditions") != "unknown", pl.col("mean_delay").is_not_null())
        .group_by("conditions", "hour")
        .agg((pl.col("mean_delay") * pl.col("left")).sum() / pl.col("left").sum(), pl.col("left").sum())
        .filter(pl.col("left") >= 100)
        .sort("conditions", "hour")
        .collect()
    )
    _colours = {"low visibility": "#7a3e9d", "high wind": "#c2410c", "rain": "#2b6fb0", "fair": "#8a94a3"}
    _colour = alt.Color(
        "conditions:N",
        title="Weather",
        scale=alt.Scale(domain=list(_colours), range=list(_colours.values())),
        legend=alt.Legend(orient="top-left", offset=14, labelFontSize=12),
    )
    _base = alt.Chart(_hours).encode(
        alt.X(
            "hour:Q",
            title="Hour of the scheduled departure (local, America/New_York)",
            scale=alt.Scale(domain=[5, 23]),
            axis=alt.Axis(values=list(range(5, 24, 2)), grid=False, labelExpr="datum.value + ':00'", labelFlush=False),
        ),
        alt.Y("mean_delay:Q", title="Mean departure delay (min)"),
        _colour,
        tooltip=[
            alt.Tooltip("conditions:N", title="Weather"),
            alt.Tooltip("hour:Q", title="Hour (local)"),
            alt.Tooltip("mean_delay:Q", title="Mean departure delay (min)", format=".1f"),
            alt.Tooltip("left:Q", title="Departures", format=",d"),
        ],
    )
    weather = (_base.mark_line(strokeWidth=2.5, interpolate="monotone") + _base.mark_circle(size=34, opacity=1)).properties(
        title=alt.Title("Departure delay by hour and weather", subtitle="Mean over the flights that left New York in 2013"), width=740, height=340
    )
    weather
    return (weather,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Aircraft

    The models that flew furthest, as the registry names them and their maker. Later years of manufacture are darker.
    """)
    return


@app.cell
def _(alt, lakehouse, mo, pl):
    _use = lakehouse["gold.nyc.aircraft_use"].scan().select("manufacturer", "model", "miles", "hours", "aircraft", "flown", "mean_built").collect()
    _known = _use.filter(pl.col("model") != "unknown").with_columns(pl.format("{} {}", pl.col("manufacturer").str.to_titlecase(), "model").alias("name"))
    _share = 1 - _known["miles"].sum() / max(1, _use["miles"].sum())
    _bars = alt.Chart(_known.sort("miles", "name", descending=[True, False]).head(15)).encode(
        alt.X("miles:Q", title="Distance flown (million mi)", axis=alt.Axis(labelExpr="datum.value / 1e6", tickCount=6)),
        alt.Y("name:N", title="Model (manufacturer as registered)", sort="-x", axis=alt.Axis(labelLimit=260, grid=False, ticks=False, domain=False)),
        tooltip=[
            alt.Tooltip("name:N", title="Model"),
            alt.Tooltip("miles:Q", title="Distance flown (mi)", format=",d"),
            alt.Tooltip("hours:Q", title="Time in the air (h)", format=",.0f"),
            alt.Tooltip("aircraft:Q", title="Aircraft"),
            alt.Tooltip("flown:Q", title="Flights flown", format=",d"),
            alt.Tooltip("mean_built:Q", title="Mean year of manufacture", format=".0f"),
        ],
    )
    _built = alt.Color(
        "mean_built:Q", title=["Mean year of", "manufacture"], scale=alt.Scale(range=["#c9dbe6", "#12466b"]), legend=alt.Legend(format="d", tickCount=5)
    )
    aircraft = (
        _bars.mark_bar(cornerRadiusEnd=3, height={"band": 0.72}).encode(_built)
        + _bars.mark_text(align="left", dx=6, fontSize=11, color="#6b7280").encode(text=alt.Text("aircraft:Q", format=",d"))
    ).properties(
        title=alt.Title("The models that flew furthest", subtitle="Flights flown from New York in 2013; the number at a bar counts its aircraft"),
        width=620,
        height=400,
    )
    mo.vstack([aircraft, mo.md(f"Aircraft missing from the registry flew another {_share:.0%} of the miles.")])
    return (aircraft,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## In SQL

    DuckDB reads the same tables, each by its name. Nothing is read before a query asks. In marimo, a SQL cell can use `database` as its engine.
    """)
    return


@app.cell
def _(lakehouse):
    database = lakehouse.duckdb()
    return (database,)


@app.cell
def _(database):
    cancellations = database.sql("""
        SELECT carrier_name, sum(flights)::BIGINT AS flights, sum(cancelled) / sum(flights) AS cancelled
        FROM gold.nyc.daily_delays
        GROUP BY ALL
        ORDER BY cancelled DESC, carrier_name
    """).pl()
    cancellations
    return (cancellations,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Where the numbers come from

    The picture shows every table and what it is made from.
    Below it is the same for `gold.nyc.daily_delays` alone: each table at the version that was read, down to the raw files.
    The notebook `trust.py` follows a single number down to the lines of its raw files, past every rule on the way.
    """)
    return


@app.cell
def _(lakehouse, mo):
    mo.Html(lakehouse.picture())
    return


@app.cell
def _(lakehouse, mo):
    lineage = lakehouse["gold.nyc.daily_delays"].lineage()
    mo.ui.table(lineage, selection=None, show_column_summaries=False)
    return


if __name__ == "__main__":
    app.run()
