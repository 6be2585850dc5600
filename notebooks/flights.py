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
    import altair as alt
    import marimo as mo
    import polars as pl

    import lake
    from lake.catalog import Catalog
    from lake.drawing import lineage_svg
    from lake.errors import LakeError, UnknownName
    from lake.lineage import edges

    INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"

    @alt.theme.register("lake", enable=True)
    def theme():
        """One look for every plot. Fonts are the reader's own, so nothing is loaded from elsewhere."""
        text = {"labelColor": MUTED, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
        config = {
            "background": "#ffffff",
            "font": "Helvetica, Arial, sans-serif",
            "view": {"stroke": None},
            "title": {"anchor": "start", "fontSize": 16, "color": INK, "subtitleColor": MUTED, "subtitleFontSize": 12, "subtitlePadding": 6, "offset": 14},
            "axis": {**text, "gridColor": GRID, "domainColor": "#c3c9d2", "tickColor": "#c3c9d2", "titlePadding": 10},
            "legend": text,
        }
        return alt.theme.ThemeConfig(config=config, padding=16)

    return Catalog, INK, LakeError, MUTED, UnknownName, alt, edges, lake, lineage_svg, mo, pl


@app.cell
def _(LakeError, UnknownName, lake, mo):
    lakehouse = None
    try:
        lakehouse = lake.open(root=mo.notebook_dir().parent)
        opened = f"This is release {lakehouse.release.number}, published on {lakehouse.release.at:%d %B %Y at %H:%M} UTC by run {lakehouse.release.run.id}."
    except UnknownName:
        opened = "Nothing has been released yet. Run `make demo` first, then run this notebook again."
    except LakeError as error:
        opened = f"The lake cannot be opened: {error}"
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
def _(lakehouse, mo, pl):
    left = (pl.col("flights") - pl.col("cancelled")).alias("left")
    days = lakehouse["gold.nyc.daily_delays"].scan().select("flight_date", "carrier", "carrier_name", "flights", "cancelled", "mean_delay", left).collect()
    carriers = days.group_by("carrier", "carrier_name").agg(pl.col("flights").sum()).sort("flights", "carrier", descending=[True, False])
    names = {f"{row['carrier_name']} ({row['carrier']})": row["carrier"] for row in carriers.iter_rows(named=True)}
    carrier = mo.ui.dropdown({"All carriers": None, **names}, value="All carriers", label="Carrier")
    carrier
    return carrier, carriers, days


@app.cell
def _(alt, carrier, days, pl):
    # A mean of means, weighted by the flights behind each, is the mean over the flights.
    _weighted = (pl.col("mean_delay") * pl.col("left")).sum() / pl.col("left").filter(pl.col("mean_delay").is_not_null()).sum()
    _chosen = days if carrier.value is None else days.filter(pl.col("carrier") == carrier.value)
    _shown = (
        _chosen.group_by("flight_date")
        .agg(_weighted.alias("mean_delay"), pl.col("flights").sum(), pl.col("cancelled").sum())
        .filter(pl.col("mean_delay").is_not_nan())
        .with_columns(
            ((pl.col("flight_date").dt.ordinal_day() - 1 + pl.col("flight_date").dt.replace(month=1, day=1).dt.weekday() - 1) // 7).alias("week"),
            pl.col("flight_date").dt.strftime("%a").alias("weekday"),
        )
        .sort("flight_date")
    )
    _months = {int((day - 1 + 1) // 7): name for day, name in zip(
        (1, 32, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335), "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), strict=True
    )}
    calendar = (
        alt.Chart(_shown, title=alt.Title(f"Mean departure delay by day, {carrier.selected_key}", subtitle="2013, flights that left New York"), width=860, height=140)
        .mark_rect(cornerRadius=2, stroke="#ffffff", strokeWidth=2)
        .encode(
            alt.X("week:O", title="Week of the year", axis=alt.Axis(labelAngle=0, grid=False, domain=False, ticks=False)),
            alt.Y("weekday:O", title="Day of the week", sort=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], axis=alt.Axis(grid=False, domain=False, ticks=False)),
            alt.Color("mean_delay:Q", title="Mean delay (min)", scale=alt.Scale(scheme="redblue", reverse=True, domain=[-60, 60], clamp=True)),
            [
                alt.Tooltip("flight_date:T", title="Day", format="%a %d %b %Y"),
                alt.Tooltip("mean_delay:Q", title="Mean delay (min)", format=".1f"),
                alt.Tooltip("flights:Q", title="Flights scheduled"),
                alt.Tooltip("cancelled:Q", title="Of these, cancelled"),
            ],
        )
    )
    calendar
    return (calendar,)


if __name__ == "__main__":
    app.run()
