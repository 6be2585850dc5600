"""Commands that answer from the commits: ls, show, history, rejects."""

from __future__ import annotations

import click
import polars as pl

from lake.amounts import size
from lake.catalog import Catalog, check_columns, inputs_line
from lake.cli.accounts import lines_told, show_structure
from lake.cli.render import ago, as_it_came, env_option, json_option, print_frame, print_json, print_table, say, spelled
from lake.errors import UnknownName
from lake.existing import open_existing
from lake.log import schema_of_record
from lake.marks import marked
from lake.quarantine import RAISES
from lake.settings import load_settings
from lake.type_names import type_name
from lake.wording import counted

_TOLD = 5  # files that were rejected whole


def _catalog(env: str | None) -> Catalog:
    return Catalog(open_existing(load_settings(env=env)))


@click.command()
@click.option(
    "--search",
    default=None,
    metavar="TEXT",
    help="Only tables with each of these words in their name, what they are, their owner or tags, or a column and what it means.",
)
@env_option
@json_option
def ls(search: str | None, env: str | None, as_json: bool) -> None:
    """List the tables: layer, rows, size, version, schema version, freshness, rejects; and which are held, not released, retired, or filled by no flow."""
    catalog = _catalog(env)
    rows = marked(catalog, catalog.tables(), load_settings(env=env))
    rows = catalog.search(search, rows) if search else rows
    if as_json:
        print_json(rows)
        return
    shown = [row | {"size": size(row["bytes"]), "landed": ago(row["freshest"]) + ("" if row["fresh"] in (None, True) else " (stale)")} for row in rows]
    columns = {"table": "table", "rows": "rows", "size": "size", "files": "files", "version": "version", "schema_version": "schema", "rejects": "rejects"}
    columns |= {"landed": "freshest raw", "summary": "what it is"}
    if any(row["note"] for row in rows):
        columns |= {"note": "note"}
    if search:
        shown = [row | {"columns": ", ".join(row["found"][:_TOLD]) + (", …" if len(row["found"]) > _TOLD else "")} for row in shown]
        columns |= {"columns": "columns"}
    print_table(shown, columns, empty=f"No table has {search!r}." if search else "There are no tables yet. `lake run` makes the first.")


@click.command()
@click.argument("table")
@click.option("-n", "--rows", type=click.IntRange(0, 100_000), default=10, show_default=True, help="How many rows to show.")
@click.option("--columns", default=None, help="Only these columns, separated by commas.")
@click.option("--version", "at", type=int, default=None, help="As of this version; else the newest.")
@env_option
@json_option
def show(table: str, rows: int, columns: str | None, at: int | None, env: str | None, as_json: bool) -> None:
    """Show what a table promises, its rules with what they last found, how its last commit went, and its first rows."""
    catalog = _catalog(env)
    snapshot = catalog.snapshot(table, at)
    wanted = [name.strip() for name in columns.split(",")] if columns else snapshot.schema.names()
    check_columns(wanted, snapshot.schema)
    frame = snapshot.scan().select(wanted).head(rows).collect()
    if as_json:
        print_json([{"table": table, **row} for row in spelled(frame).iter_rows(named=True)])
        return
    version, record = catalog.last(table, version=at)
    say(
        f"{table} · version {snapshot.version} · schema {record.schema_version} · {counted(record.rows, 'row')} · {size(record.bytes)} in {counted(record.data_files, 'file')}"
    )
    if record.summary:
        say(record.summary)
    document = schema_of_record(catalog.store, catalog.log(table), record)
    tags = document[2].get("tags", []) if document else []
    if about := [*([f"Owner: {record.owner}"] if record.owner else []), *([f"tags: {', '.join(tags)}"] if tags else [])]:
        say("; ".join(about))
    say(f"Last commit ({version}): {record.ledger.line()}; {record.reason}; run {record.run.id}")
    if record.refusals:
        more = f"; and {counted(len(record.refusals) - _TOLD, 'more file')}" if len(record.refusals) > _TOLD else ""
        say(f"Rejected: {'; '.join(record.refusals[:_TOLD])}{more}")
    if remarks := [notice.line() for notice in record.notices if notice.what in ("read", "structure")]:
        say(f"Files: {'; '.join(remarks)}")
    if record.accepted:
        say(f"Accepted: {record.accepted.line()}")
    if lines := lines_told(record):
        say(lines)
    if columns_told := [notice.line() for notice in record.notices if notice.what not in ("read", "structure")]:
        say(f"Columns: {'; '.join(columns_told)}")
    click.echo()
    known = {column["name"]: column for column in (catalog.schema_versions(table) or [{"columns": []}])[0]["columns"]}
    told = [
        {
            "column": n,
            "type": type_name(d),
            "unit": (known.get(n, {}).get("metadata") or {}).get("unit", ""),
            "meaning": known.get(n, {}).get("description", ""),
        }
        for n, d in snapshot.schema.items()
        if n in wanted
    ]
    print_table(told, {"column": "column", "type": "type", "unit": "unit", "meaning": "meaning"}, empty="")
    if judged := [row | {"says": "" if row["holds"] else "broken"} for row in catalog.rules(table, version=at)]:
        click.echo()
        print_table(judged, {"rule": "rule", "severity": "severity", "found": "last found", "says": "", "asked": "what it asks"}, empty="")
    click.echo()
    print_frame(spelled(frame), rows)


@click.command()
@click.argument("table")
@env_option
@json_option
def history(table: str, env: str | None, as_json: bool) -> None:
    """List a table's commits: run, code, inputs from and to, ledger, rules."""
    catalog = _catalog(env)
    rows = catalog.history(table)
    if as_json:
        print_json(rows)
        return
    records = dict(catalog.log(table).records())
    shown = []
    for row in rows:
        record = records[row["version"]]
        code = (row["fingerprint"] or "")[:8] + (f" @ {row['commit'][:8]}{'+' if row['modified'] else ''}" if row["commit"] else "")
        broken = [f"{rule} {count:,}" for rule, count in record.rules.items()] + [f"{rule} {count:,} (warning)" for rule, count in record.warned.items()]
        rules = ", ".join(broken + [f"{check.name}: {check.value}" for check in record.checks if not check.holds])
        rules += f"; {record.accepted.line()}" if record.accepted else ""
        shown.append(row | {"code": code, "read": inputs_line(record), "ledger": record.ledger.line(), "broken": rules})
    columns = {
        "version": "version",
        "at": "at (UTC)",
        "run": "run",
        "code": "code",
        "read": "inputs",
        "reason": "why",
        "ledger": "ledger",
        "broken": "rules broken",
    }
    print_table(shown, columns, empty="No commit of lake's is in this table's log.")


@click.command()
@click.argument("table")
@click.option("-n", "--rows", type=click.IntRange(0, 100_000), default=10, show_default=True, help="How many rejected rows to show.")
@click.option("--rule", default=None, help="Only rows that broke this rule.")
@click.option("--stopped", is_flag=True, help="Rows of the last run that rules or limits stopped, which are not part of the table's history.")
@click.option("--resolved", is_flag=True, help="Rows that were rejected and let in later.")
@click.option("--structure", is_flag=True, help="Lines of raw files that are neither rows nor rejects: titles, headers, comments, footers. Of bronze tables.")
@env_option
@json_option
def rejects(table: str, rows: int, rule: str | None, stopped: bool, resolved: bool, structure: bool, env: str | None, as_json: bool) -> None:
    """Show rows rejected on their way into a table: counts by rule, and examples with their raw place. Or what of its raw files is no record."""
    if stopped + resolved + structure > 1:
        raise click.UsageError("--stopped, --resolved and --structure are different rows; give one of them")
    if structure and rule is not None:
        raise click.UsageError("--structure shows lines that no rule judges; leave --rule out")
    catalog = _catalog(env)
    if structure:
        show_structure(catalog, table, rows, as_json=as_json)
        return
    frame = catalog.rejects(table, stopped=stopped, resolved=resolved)
    if rule is not None:
        known = frame.select(pl.col("rules").explode().unique().drop_nulls()).collect().to_series().to_list()
        if rule not in known:
            raise UnknownName.among("broken rule", rule, known)
        frame = frame.filter(pl.col("rules").list.contains(rule))
    found = frame.sort("_file", "_row").head(rows).collect()
    if as_json:
        asks = catalog.asked(table)
        print_json([{"table": table, **row, "asked": [asks(broken) for broken in row["rules"] or []]} for row in found.iter_rows(named=True)])
        return
    reasons = pl.when(pl.col("rules").list.len() > 0).then(pl.col("rules")).otherwise(pl.concat_list(pl.col("reason")))
    counts = frame.select(reasons.alias("why")).explode("why").group_by("why").len("rows").sort("rows", "why", descending=[True, False]).collect()
    asks = catalog.asked(table)
    print_table(
        [row | {"asked": asks(row["why"] or "")} for row in counts.rows(named=True)],
        {"rows": "rows", "why": "rule or reason", "asked": "what it asks"},
        empty=f"Nothing of {table} was stopped."
        if stopped
        else f"Nothing of {table} was let in later."
        if resolved
        else f"Nothing is in the quarantine of {table}.",
    )
    if found.height:
        click.echo()
        examples = [
            {"place": f"{(row['_file'] or '').rsplit('/', 1)[-1]}:{row['_row'] or ''}", "why": _why(row["rules"] or [], row["reason"]),
             "row": row["row"] or as_it_came(row["bytes"])}
            for row in found.iter_rows(named=True)
        ]  # fmt: skip
        print_table(examples, {"place": "file:record", "why": "rule or reason", "row": "as it came"}, empty="")
        every = frame.select(pl.len()).collect(engine="streaming").item()
        if every > found.height:
            click.echo(f"\n{found.height:,} of {counted(every, 'rejected row')} are shown; -n shows more.")


def _why(rules: list[str], reason: str | None) -> str:
    """The rules that a row broke, with what was raised where a hop raises on it; else the reason."""
    raised = f": {reason}" if reason and any(rule.endswith(RAISES) for rule in rules) else ""
    return ", ".join(rules) + raised if rules else reason or ""
