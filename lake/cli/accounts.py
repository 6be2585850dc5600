"""What became of the lines of raw files, for people: the account of a commit, and the lines that are neither rows nor rejects."""

from __future__ import annotations

from collections import Counter

import click
import polars as pl

from lake.catalog import Catalog
from lake.cli.render import as_it_came, print_json, print_table
from lake.contract import FILE
from lake.record import Record
from lake.wording import counted


def lines_told(record: Record) -> str:
    """Where every line went of the files that a commit took in; empty where it took in none that have lines."""
    files = [file for file in record.files if file.lines is not None]
    if not files:
        return ""
    roles: Counter[str] = Counter()
    for file in files:
        roles.update(file.structure)
    parts = [counted(sum(file.rows for file in files), "row"), counted(sum(file.rejects for file in files), "reject")]
    parts += [f"{count:,} {role}" for role, count in sorted(roles.items(), key=lambda item: -item[1])]
    rest = {"in which a record goes on": sum(file.continued for file in files), "of records that came in before": sum(file.after for file in files)}
    parts += [f"{count:,} {what}" for what, count in rest.items() if count]
    every = sum(file.lines or 0 for file in files)
    return f"Lines: {counted(every, 'line')} of {counted(len(files), 'file')}: {', '.join(parts)}"


def show_structure(catalog: Catalog, table: str, rows: int, *, as_json: bool) -> None:
    """Lines of raw files that are neither rows nor rejects: counts by role, and examples with their place."""
    frame = catalog.structure(table)
    if as_json:
        found = frame.head(rows).collect(engine="streaming")
        print_json([{"table": table, **row, "text": as_it_came(row["bytes"])} for row in found.iter_rows(named=True)])
        return
    counts = frame.group_by("role", "why").len("lines").sort("lines", "role", descending=[True, False]).collect(engine="streaming")
    print_table(counts.to_dicts(), {"lines": "lines", "role": "role", "why": "why"}, empty=f"No structural line of {table}'s raw files is kept.")
    if not counts.height or not rows:
        return
    unlike = frame.filter(pl.col("role") != "header").head(rows).collect(engine="streaming")
    found = unlike if unlike.height else frame.head(rows).collect(engine="streaming")
    click.echo()
    examples = [
        {"place": f"{row[FILE].rsplit('/', 1)[-1]}:{row['line']}", "role": row["role"], "bytes": as_it_came(row["bytes"])}
        for row in found.iter_rows(named=True)
    ]
    print_table(examples, {"place": "file:line", "role": "role", "bytes": "as it came"}, empty="")
    every = int(counts["lines"].sum())
    if every > found.height:
        click.echo(f"\n{found.height:,} of {counted(every, 'structural line')} are shown; -n shows more, --json all roles in their order.")
