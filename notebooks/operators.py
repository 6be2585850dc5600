import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="The lake at work")


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # The lake at work

    For whoever keeps it running: runs, where the time went, where the rows went, what was rejected, freshness, sizes and requests.
    All of it is told by the commits of the tables, as they are now and not as of a release. A run that found nothing to do left no commit,
    and is not here; Prefect has it.
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
        text = {"labelColor": muted, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 260}
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
    lakehouse, tables = None, None
    try:
        lakehouse = lake.open(root=project_root(mo.notebook_dir()), release=None)
        tables = lakehouse.tables()
        opened = f"{tables.height} tables are committed." if tables.height else "Nothing is committed yet. Run `make demo` first, then this notebook again."
    except UnknownName:
        opened = "Nothing is committed yet. Run `make demo` first, then this notebook again."
    except StoreError as error:
        opened = f"The lake cannot be read: {error}. If it is new, run `make demo` first, then this notebook again."
    if mo.app_meta().mode == "script":
        print(opened)  # noqa: T201  # a script has no page to show it on
    mo.stop(tables is None or tables.height == 0, mo.callout(mo.md(opened), kind="warn"))
    mo.callout(mo.md(opened), kind="info")
    return lakehouse, tables


@app.cell
def _(lakehouse):
    lakehouse
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Runs

    Newest first. `minutes` counts from the start of the run to its last commit; `seconds` is the work of its steps, which run side by side.
    """)
    return


@app.cell
def _(lakehouse, mo, pl):
    commits = lakehouse.history()

    def long(column, name, value):
        """One row a commit and entry of a column that holds several, those that are there."""
        about = ["table", "version", "at", "run"]
        wide = commits.select(*about, pl.col(column).struct.unnest())
        return wide.unpivot(index=about, variable_name=name, value_name=value).drop_nulls(value)

    _spent = long("seconds", "phase", "seconds").group_by("run").agg(pl.col("seconds").sum().round(2))
    runs = (
        commits.filter(pl.col("kind") != "maintenance")
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("flow", "trigger", "started").first(),
            ((pl.col("at").max() - pl.col("started").first()).dt.total_seconds() / 60).round(1).alias("minutes"),
            pl.len().alias("commits"),
            pl.col("table").n_unique().alias("tables"),
            pl.col("ledger").struct.field("read").sum(),
            pl.col("ledger").struct.field("rejected").sum(),
        )
        .join(_spent, on="run", how="left", maintain_order="left")
        .sort("started", descending=True)
    )
    mo.ui.table(runs, selection=None, page_size=12, show_column_summaries=False)
    return commits, long, runs


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Where the time went

    Of the run chosen. The phases of a step add up; steps run side by side, so their sum is more than the run took.
    """)
    return


@app.cell
def _(mo, runs):
    run = mo.ui.dropdown(runs["run"].to_list(), value=runs["run"][0], label="Run")
    run
    return (run,)


@app.cell
def _(alt, long, pl, run):
    _spent = long("seconds", "phase", "seconds").filter(pl.col("run") == run.value).sort("table", "version", "phase")
    phases = (
        alt.Chart(_spent, title=alt.Title("Seconds by phase", subtitle=f"Steps of run {run.value}"), width=520, height={"step": 24})
        .mark_bar()
        .encode(
            alt.X("sum(seconds):Q", title="Time spent (s)"),
            alt.Y("table:N", title="Table", sort="-x", axis=alt.Axis(ticks=False, domain=False)),
            alt.Color("phase:N", title="Phase", scale=alt.Scale(scheme="tableau10")),
            tooltip=[
                alt.Tooltip("table:N", title="Table"),
                alt.Tooltip("phase:N", title="Phase"),
                alt.Tooltip("sum(seconds):Q", title="Time (s)", format=".2f"),
            ],
        )
    )
    phases
    return (phases,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Where the rows went

    The ledger of each commit of the table chosen, oldest at the top: what became of the rows that were read.
    Of a table that sums rows up, it is what became of the groups.
    """)
    return


@app.cell
def _(commits, mo, pl):
    _names = commits.group_by("table").agg(pl.len(), pl.col("rows").max()).sort("len", "rows", "table", descending=[True, True, False])["table"].to_list()
    table = mo.ui.dropdown(sorted(_names), value=_names[0], label="Table")
    table
    return (table,)


@app.cell
def _(alt, long, pl, table):
    _rows = long("ledger", "entry", "rows").filter(pl.col("table") == table.value, ~pl.col("entry").is_in(["read", "aggregated", "groups"]), pl.col("rows") > 0)
    _last = _rows["version"].unique().sort().tail(40)
    ledgers = (
        alt.Chart(
            _rows.filter(pl.col("version").is_in(_last.implode())).sort("version", "entry"),
            title=alt.Title(f"Ledger of {table.value}", subtitle="The last 40 commits that moved rows"),
            width=520,
            height={"step": 22},
        )
        .mark_bar()
        .encode(
            alt.X("rows:Q", title="Rows (number)"),
            alt.Y("version:O", title="Version of the table", axis=alt.Axis(ticks=False, domain=False)),
            alt.Color("entry:N", title="Entry", scale=alt.Scale(scheme="tableau10")),
            tooltip=[
                alt.Tooltip("version:Q", title="Version"),
                alt.Tooltip("at:T", title="At (UTC)", format="%d %b %Y %H:%M"),
                alt.Tooltip("entry:N", title="Entry"),
                alt.Tooltip("rows:Q", title="Rows", format=",d"),
            ],
        )
    )
    ledgers
    return (ledgers,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## What was rejected

    The rules that rows broke, or that the table as a whole did not meet, by commit. `lake rejects TABLE` shows the rows.
    """)
    return


@app.cell
def _(lakehouse, mo, pl, tables):
    broken = (
        pl.concat([lakehouse[name].quality().select(pl.lit(name).alias("table"), pl.all()) for name in tables["table"]])
        .filter(~pl.col("holds"))
        .sort("at", "rows", descending=True)
    )
    mo.ui.table(broken, selection=None, page_size=12, show_column_summaries=False)
    return (broken,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Freshness

    The age of the newest raw file that reached each table, as a share of what the table promises. Past the line it is stale.
    """)
    return


@app.cell
def _(alt, lakehouse, mo, pl):
    fresh = lakehouse.freshness().with_columns(
        (pl.col("age_seconds") / pl.col("promised_seconds")).alias("share"),
        (pl.col("age_seconds") / 3600).alias("age"),
        (pl.col("promised_seconds") / 3600).alias("promised"),
    )
    _bars = (
        alt.Chart(fresh)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            alt.X("share:Q", title="Age of the time promised (%)", axis=alt.Axis(format="%")),
            alt.Y("table:N", title="Table", sort="-x", axis=alt.Axis(ticks=False, domain=False)),
            alt.Color("fresh:N", title="Fresh", scale=alt.Scale(domain=[True, False], range=["#3f9a6b", "#b42318"])),
            tooltip=[
                alt.Tooltip("table:N", title="Table"),
                alt.Tooltip("age:Q", title="Age (h)", format=",.1f"),
                alt.Tooltip("promised:Q", title="Promised (h)", format=",.1f"),
                alt.Tooltip("freshest:T", title="Newest raw file (UTC)", format="%d %b %Y %H:%M"),
                alt.Tooltip("owner:N", title="Owner"),
            ],
        )
    )
    _line = alt.Chart(pl.DataFrame({"promise": [1.0]})).mark_rule(strokeDash=[4, 3], color="#6b7280").encode(x="promise:Q")
    freshness = (_bars + _line).properties(
        title=alt.Title("Freshness", subtitle="By the newest raw file that reached the table"), width=520, height={"step": 22}
    )
    mo.vstack([freshness, mo.md("No table promises freshness.")]) if fresh.height == 0 else freshness
    return (freshness,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Sizes

    What each table holds now. Many small files make reading slow: `lake maintain` puts them together.
    """)
    return


@app.cell
def _(alt, pl, tables):
    _size = tables.select("table", "layer", "rows", "files", "schema_version", (pl.col("bytes") / 1e6).alias("megabytes")).with_columns(
        (pl.col("megabytes") / pl.col("files")).alias("each")
    )
    sizes = (
        alt.Chart(
            _size, title=alt.Title("Size of the tables", subtitle="Data files as they are stored; the colour is the layer"), width=520, height={"step": 22}
        )
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            alt.X("megabytes:Q", title="Size (MB)"),
            alt.Y("table:N", title="Table", sort="-x", axis=alt.Axis(ticks=False, domain=False)),
            alt.Color("layer:N", title="Layer", scale=alt.Scale(domain=["bronze", "silver", "gold"], range=["#b0672e", "#7d8796", "#b58900"])),
            tooltip=[
                alt.Tooltip("table:N", title="Table"),
                alt.Tooltip("megabytes:Q", title="Size (MB)", format=",.2f"),
                alt.Tooltip("rows:Q", title="Rows", format=",d"),
                alt.Tooltip("files:Q", title="Files", format=",d"),
                alt.Tooltip("each:Q", title="A file, on average (MB)", format=",.2f"),
                alt.Tooltip("schema_version:Q", title="Schema version"),
            ],
        )
    )
    sizes
    return (sizes,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## Requests to the store

    What the steps of the run chosen above asked of it, without scans by Polars and repeats by the client. Requests cost money on S3.
    """)
    return


@app.cell
def _(alt, long, pl, run):
    _asked = (
        long("store", "verb", "count")
        .filter(pl.col("run") == run.value, ~pl.col("verb").str.starts_with("bytes_"))
        .group_by("table", "verb")
        .agg(pl.col("count").sum())
        .sort("table", "verb")
    )
    requests = (
        alt.Chart(_asked, title=alt.Title("Requests by table", subtitle=f"Steps of run {run.value}"), width=520, height={"step": 22})
        .mark_bar()
        .encode(
            alt.X("count:Q", title="Requests (number)"),
            alt.Y("table:N", title="Table", sort="-x", axis=alt.Axis(ticks=False, domain=False)),
            alt.Color("verb:N", title="Verb", scale=alt.Scale(scheme="tableau10")),
            tooltip=[
                alt.Tooltip("table:N", title="Table"),
                alt.Tooltip("verb:N", title="Verb"),
                alt.Tooltip("count:Q", title="Requests", format=",d"),
            ],
        )
    )
    requests
    return (requests,)


if __name__ == "__main__":
    app.run()
