"""The command that says what a table's values are like, and what moved."""

from __future__ import annotations

from typing import Any

import click

from lake.catalog import Catalog
from lake.cli.render import env_option, json_option, print_json, print_table, say
from lake.errors import UnknownName
from lake.existing import open_existing
from lake.profile import DRIFT, PROFILE, bars, drift_rows, profile_rows
from lake.release import find_release
from lake.settings import load_settings
from lake.store import Store
from lake.wording import counted

_SHOWN = 3  # frequent values or patterns


@click.command()
@click.argument("table")
@click.option("--release", "wanted", default=None, help="As of this release: a number, a date, or latest; else the newest version.")
@click.option("--version", "at", type=int, default=None, help="As of this version of the table.")
@click.option("--since", type=int, default=None, metavar="VERSION", help="What moved since this version of the table.")
@env_option
@json_option
def profile(table: str, wanted: str | None, at: int | None, since: int | None, env: str | None, as_json: bool) -> None:
    """Show what a table's values are like, column by column; with --since, what moved."""
    if wanted is not None and at is not None:
        raise click.UsageError("Say --release or --version, not both.")
    store = open_existing(load_settings(env=env))
    catalog = Catalog(store)
    version = _version(store, catalog, table, wanted) if at is None else at
    made, document, values = catalog.profile(table, version)
    count = made.rows
    if since is None:
        rows = profile_rows(table, version, made, document, values=values)
        if as_json:
            print_json([{name: row.get(name) for name in PROFILE} for row in rows])
            return
        read = f" · {counted(made.read, 'file')} without sketches read" if made.read else ""
        say(f"{table} · version {version} · {counted(count, 'row')}{read}")
        columns = {"column": "column", "type": "type", "null": "nulls", "about": "distinct", "min": "min", "p25": "25 %", "p50": "median", "p75": "75 %"}
        columns |= {"max": "max", "unit": "unit", "bars": "distribution", "text": "lengths; most frequent, or patterns"}
        print_table([row | _words(row) for row in rows], columns, empty="The table has no columns.")
        return
    before, *_ = catalog.profile(table, since)
    moved = drift_rows(table, (since, version), before, made, document)
    if as_json:
        print_json([{name: row.get(name) for name in DRIFT} for row in moved])
        return
    told = sum(row["moved"] for row in moved)
    say(f"{table} · version {since} → {version} · {before.rows:,} → {counted(count, 'row')} · {told} of {counted(len(moved), 'column')} moved")
    columns = {"mark": "", "column": "column", "nulls": "nulls", "values": "distinct", "median": "median", "ks": "KS", "what": "what moved"}
    shown = [
        row | {"mark": "!" if row["moved"] else ""}
        | {"nulls": _pair(row, "null_share", ".1%"), "values": _pair(row, "distinct", ","), "median": _pair(row, "p50", "")}
        for row in sorted(moved, key=lambda row: not row["moved"])
    ]  # fmt: skip
    print_table([{key: row.get(key) for key in columns} for row in shown], columns, empty="The table has no columns.")


def _version(store: Store, catalog: Catalog, table: str, wanted: str | None) -> int:
    if wanted is None:
        return catalog.last(table)[0]
    release = find_release(store, wanted)
    if release is None or table not in release.tables:
        raise UnknownName(f"{table} is not in release {wanted}", "`lake release ls` lists the releases, `lake ls` the tables")
    return release.tables[table].version


def _words(row: dict[str, Any]) -> dict[str, str]:
    """How a column is told on a terminal."""
    distinct = row["distinct"]
    exact = distinct is not None and row["distinct_low"] == row["distinct_high"]
    about = (
        "" if distinct is None else f"{distinct:,}" if exact else f"~{distinct:,} ±{(row['distinct_high'] - row['distinct_low']) / 2 / max(1, distinct):.0%}"
    )
    parts = [f"{row['shortest']:,}…{row['longest']:,}" if row["longest"] is not None else ""]
    parts.append(", ".join(f"{one['value']} {one['share']:.0%}" for one in (row["top"] or row["patterns"])[:_SHOWN]))
    if row["true_share"] is not None:
        parts.append(f"{row['true_share']:.1%} true")
    return {"null": f"{row['null_share']:.1%}" if row["nulls"] else "", "about": about, "bars": bars(row["histogram"]), "text": "; ".join(filter(None, parts))}


def _pair(row: dict[str, Any], key: str, how: str) -> str:
    before, now = row.get(f"{key}_before"), row.get(key)
    spelled = ["" if value is None else format(value, how) for value in (before, now)]
    return spelled[1] if spelled[0] == spelled[1] else " → ".join(spelled)
