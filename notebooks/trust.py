import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Can I trust this number?")


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # Can I trust this number?

    Pick a number of `gold.nyc.daily_delays`. What follows says where it is from, shows the raw lines it was made of, computes it again
    from them, and tells what was checked on the way. All of it is read from the lake: the commits of the tables, and the raw files.
    """)
    return


@app.cell
def _():
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

    return StoreError, UnknownName, alt, lake, mo, pl, project_root


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
    ## The number

    Until you choose another, it is the mean delay of the worst day that a carrier with at least 100 flights had.
    In Jupyter the form does nothing: set `chosen` below it instead.
    """)
    return


@app.cell
def _(lakehouse, mo, pl):
    delays = lakehouse["gold.nyc.daily_delays"]
    _days = delays.scan().select("flight_date", "carrier", "carrier_name", "flights", "mean_delay").collect()
    worst = (
        _days.filter(pl.col("flights") >= 100).sort("mean_delay", "flight_date", "carrier", descending=[True, False, False], nulls_last=True).row(0, named=True)
    )
    _names = dict(_days.select(pl.format("{} ({})", "carrier_name", "carrier").alias("name"), "carrier").unique().sort("name").iter_rows())
    _columns = [name for name, dtype in delays.scan().collect_schema().items() if dtype.is_numeric()]
    form = (
        mo.md("{carrier} {flight_date} {column}")
        .batch(
            carrier=mo.ui.dropdown(_names, value=next(name for name, code in _names.items() if code == worst["carrier"]), label="Carrier"),
            flight_date=mo.ui.date(value=worst["flight_date"], start=_days["flight_date"].min(), stop=_days["flight_date"].max(), label="Day"),
            column=mo.ui.dropdown(_columns, value="mean_delay", label="Column"),
        )
        .form(submit_button_label="Explain this number")
    )
    form
    return delays, form, worst


@app.cell
def _(form, worst):
    chosen = form.value or {"carrier": worst["carrier"], "flight_date": worst["flight_date"], "column": "mean_delay"}
    return (chosen,)


@app.cell
def _(chosen, delays, mo, pl):
    row = delays.scan().filter(pl.col("carrier") == chosen["carrier"], pl.col("flight_date") == chosen["flight_date"]).collect()
    mo.stop(row.height == 0, mo.callout(mo.md(f"{chosen['carrier']} has no flight on {chosen['flight_date']}. Choose another day."), kind="warn"))
    number = row[chosen["column"]][0]
    mo.vstack([mo.stat(value=f"{number}", label=f"{chosen['column']} of {chosen['carrier']} on {chosen['flight_date']}", bordered=True), row])
    return number, row


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## The table it stands in

    What the last commit says: size, freshness, code, inputs, where every row went, the rules, and what it is made from.
    """)
    return


@app.cell
def _(delays):
    delays
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## The column, step by step

    Which columns the number is computed from, down to those of the raw files, and by which function. `kind` says how: a value may be
    copied, transformed or aggregated; the others choose which rows count.
    """)
    return


@app.cell
def _(chosen, delays, mo, pl):
    columns = delays.lineage(chosen["column"]).filter(pl.col("direction") == "upstream").drop("direction")
    mo.ui.table(columns, selection=None, page_size=12, show_column_summaries=False)
    return (columns,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## The raw lines, and the number computed from them

    The row is followed down to the records of the raw files. From these it is computed again by the code that made it, and compared.
    """)
    return


@app.cell
def _(chosen, delays, mo, number):
    traced = delays.trace(carrier=chosen["carrier"], flight_date=chosen["flight_date"])
    recomputed = traced.again.rows[traced.root.at].collect()[chosen["column"]][0] if traced.verdict != "not computed" else None
    _said = f"Stored: **{number}**. From raw: **{recomputed}**. The whole row was {traced.verdict_line()}."
    mo.callout(mo.md(_said), kind="success" if traced.verdict in ("equal", "rounding") else "danger")
    return recomputed, traced


@app.cell
def _(mo, pl, traced):
    _followed = traced.rows.group_by("depth", "table", "version", "verdict", maintain_order=True).agg(pl.len().alias("rows"))
    raw = traced.raw.select("name", "record", "line", "text", "superseded")
    mo.vstack([mo.ui.table(frame, selection=None, page_size=8, show_column_summaries=False) for frame in (_followed, raw)])
    return (raw,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## The same, asked in SQL

    DuckDB reads the tables of this very release, each by its name. This is a second way to the number, by another engine:
    from the flights themselves. In marimo, a SQL cell can use `database` as its engine.
    """)
    return


@app.cell
def _(lakehouse):
    database = lakehouse.duckdb()
    return (database,)


@app.cell
def _(chosen, database):
    by_sql = database.execute(
        """
        SELECT
            count(*) AS flights,
            count(*) FILTER (status = 'cancelled') AS cancelled,
            count(*) FILTER (status = 'diverted') AS diverted,
            avg(departure_delay) AS mean_delay,
            median(departure_delay) AS median_delay,
            quantile_cont(departure_delay, 0.9) AS p90_delay,
            avg(arrival_delay) AS mean_arrival_delay,
            avg((departure_delay < 15)::INT) AS departed_on_time,
            avg((arrival_delay < 15)::INT) AS arrived_on_time
        FROM silver.nyc.flights
        WHERE carrier = $carrier AND flight_date = $flight_date
        """,
        {"carrier": chosen["carrier"], "flight_date": chosen["flight_date"]},
    ).pl()
    by_sql
    return (by_sql,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## What was checked on the way

    The rules of each table that the number passed through, those that rows broke first. In gold a broken rule stops the run;
    in silver the row is set aside, and shown below with its place in its raw file.
    """)
    return


@app.cell
def _(delays, lakehouse, mo, pl):
    way = delays.lineage().filter(pl.col("direction") == "upstream", pl.col("kind") == "table")["name"].unique(maintain_order=True).to_list()
    rules = pl.concat([lakehouse[name].rules().select(pl.lit(name).alias("table"), pl.all()) for name in way]).sort("holds", maintain_order=True)
    rejects = (
        pl.concat([lakehouse[name].rejects().select(pl.lit(name).alias("table"), "rules", "asked", "row", "_file", "_row") for name in way]).head(200).collect()
    )
    mo.vstack([mo.ui.table(frame, selection=None, page_size=12, show_column_summaries=False) for frame in (rules, rejects)])
    return rejects, rules, way


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## How fresh it is

    The age counts from when the newest raw file that reached the table landed.
    """)
    return


@app.cell
def _(lakehouse, mo, pl, way):
    _hours = (pl.col("age_seconds", "promised_seconds") / 3600).round(1).name.replace("_seconds", "_hours")
    fresh = lakehouse.freshness().filter(pl.col("table").is_in(way)).select("table", "fresh", _hours, "freshest", "owner")
    mo.ui.table(fresh, selection=None, show_column_summaries=False)
    return (fresh,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Where every row went

    Each commit counts its rows, and is refused if one is missing. These are the counts of the last commit of each table on the way.
    """)
    return


@app.cell
def _(alt, lakehouse, pl, way):
    _last = [(name, lakehouse[name].history().filter(pl.col("kind") != "maintenance").head(1)) for name in reversed(way)]
    _counts = [
        {"table": name, "version": last["version"][0], "entry": entry, "rows": count, "order": order}
        for name, last in _last
        for order, (entry, count) in enumerate(last["ledger"][0].items())
        if count
    ]
    ledger = (
        alt.Chart(
            pl.DataFrame(_counts),
            title=alt.Title("The ledger of each step", subtitle="Rows of the last commit, from raw to gold"),
            width=560,
            height={"step": 13},
        )
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            alt.X(
                "rows:Q",
                title="Rows (logarithmic)",
                scale=alt.Scale(type="symlog"),
                axis=alt.Axis(format=",d", values=[10, 1_000, 100_000, 10_000_000, 1_000_000_000]),
            ),
            alt.Y("table:N", title="Table", sort=[name for name, _ in _last], axis=alt.Axis(labelLimit=260, ticks=False, domain=False)),
            alt.Color("entry:N", title="Entry", sort=alt.SortField("order"), scale=alt.Scale(scheme="tableau10")),
            yOffset=alt.YOffset("entry:N", sort=alt.SortField("order")),
            tooltip=[
                alt.Tooltip("table:N", title="Table"),
                alt.Tooltip("version:Q", title="Version"),
                alt.Tooltip("entry:N", title="Entry"),
                alt.Tooltip("rows:Q", title="Rows", format=",d"),
            ],
        )
    )
    ledger
    return (ledger,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Prove it again

    *Verify* computes a random part of the tables chosen again from what they were made from. *Replay* computes the whole release again
    from the raw files and compares the content of every table; it takes as long as a full run.
    In Jupyter, call `lakehouse.verify("gold.nyc.daily_delays")` and `lakehouse.replay()`.
    """)
    return


@app.cell
def _(mo, way):
    tables = mo.ui.multiselect(way, value=way[:1], label="Tables")
    verify_button = mo.ui.run_button(label="Verify 2 % of each")
    replay_button = mo.ui.run_button(label="Replay the release")
    mo.hstack([tables, verify_button, replay_button], justify="start")
    return replay_button, tables, verify_button


@app.cell
def _(lakehouse, mo, tables, verify_button):
    verified = lakehouse.verify(*tables.value, share=0.02) if verify_button.value and tables.value else None
    mo.md("Not verified yet in this notebook.") if verified is None else verified
    return (verified,)


@app.cell
def _(lakehouse, mo, replay_button):
    replayed = lakehouse.replay() if replay_button.value else None
    mo.md("Not replayed yet in this notebook.") if replayed is None else replayed
    return (replayed,)


if __name__ == "__main__":
    app.run()
