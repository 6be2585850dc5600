"""A table, a run and a plan told in Markdown and rows, for pages that others show. Made from commit records alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from lake.amounts import size
from lake.catalog import Catalog, inputs_line
from lake.confidential import shown
from lake.lineage import Node, downstream, upstream
from lake.pipeline import Report
from lake.plain_text import in_line, in_markdown
from lake.record import Ledger, Record
from lake.release import find_release, subject_of
from lake.retired import retired
from lake.wording import counted

_RUNS = 5  # commits whose ledgers a card shows
_ENTRIES = ("read", "inserted", "updated", "unchanged", "superseded", "duplicate", "rejected", "filtered")


def table_card(catalog: Catalog, name: str, version: int | None = None, *, pages: str | None = None) -> str:
    """The card of a table, with a link to its page where `lake docs` is published under the address `pages`: what it is, how fresh, where its rows went, what changed, its rules, where it comes from, how to read it."""
    at, record = catalog.last(name, version=version)
    parts = [f"# {name}", record.summary, _standing(catalog, name), _facts(at, record), "## Where the rows went", _ledgers(catalog, name, at)]
    if differences := [*record.refusals, *(notice.line() for notice in record.notices)]:
        parts += ["## What was different about the files", "\n".join(f"- {in_markdown(line)}" for line in differences[:20])]
    parts += [_changes(record), "## Rules", _rules(catalog, name, at), "## Where it comes from", f"```mermaid\n{mermaid(catalog, name, at)}\n```"]
    parts += ["## How to read it", _reading(catalog, name, at)]
    if pages:
        root = shown(pages).rstrip("/")
        parts.append(f"More on [its page]({root}/tables/{name}.html), and [in the graph]({root}/lineage.html#{name}).")
    return "\n\n".join(part for part in parts if part)


def _standing(catalog: Catalog, name: str) -> str:
    """That readers do not see what is committed, where that is so: the table is held or retired."""
    last = find_release(catalog.store)
    if (mark := retired(catalog.store).get(name)) is not None:
        return f"**{mark.words}**"
    pin = last.tables.get(name) if last else None
    if last is None or subject_of(name) not in last.held:
        return ""
    return f"**Held, {last.held[subject_of(name)]}: readers see {f'version {pin.version}' if pin else 'it not'}**"


def hop_rows(report: Report, order: Iterable[str]) -> list[dict[str, Any]]:
    """One row a step of a run, in the `order` of its steps: step, what was done, version, seconds, and the ledger of what it committed."""
    rows = []
    for step, result in ((step, report.results[step]) for step in order if step in report.results):
        ledgers = [outcome.ledger for outcome in result.outcomes if outcome.changed]
        said = {entry: sum(getattr(ledger, entry) for ledger in ledgers) for entry in _ENTRIES}
        version = result.outcomes[-1].version if result.outcomes else None
        rows.append({"step": step, "did": result.line.partition(": ")[2] or result.line, "version": version, "seconds": round(result.seconds, 2)} | said)
    rows += [{"step": step, "did": f"failed: {error}", "version": None, "seconds": None} | dict.fromkeys(_ENTRIES) for step, error in report.failures.items()]
    return rows + [{"step": step, "did": "did not run", "version": None, "seconds": None} | dict.fromkeys(_ENTRIES) for step in report.skipped]


def plan_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a forecast as a page shows them."""
    return [
        {"table": row["table"], "would change": row["changes"], "scope": row["mode"], "why": row["why"], "rows to read": row["estimated_rows"]} for row in rows
    ]


def mermaid(catalog: Catalog, name: str, version: int | None = None) -> str:
    """The table with what it is made from, down to its raw sources, and what is made from it, as a Mermaid flow chart."""
    edges: dict[tuple[str, str], None] = {}
    versions: dict[str, int | None] = {}

    def up(node: Node) -> None:
        versions.setdefault(node.name, node.version)
        for child in node.children:
            source = child.name if child.kind == "table" else f"raw/{node.name.removeprefix('bronze.')}"
            edges[source, node.name] = None
            if child.kind == "table":
                up(child)

    def down(node: Node) -> None:
        for child in node.children:
            versions.setdefault(child.name, child.version)
            edges[node.name, child.name] = None
            down(child)

    up(upstream(catalog, name, version))
    down(downstream(catalog, name))
    names = list(dict.fromkeys(end for edge in edges for end in edge)) or [name]
    number = {each: f"n{i}" for i, each in enumerate(names)}
    lines = ["flowchart LR"]
    for each in names:
        told = f"{each}<br/>version {versions[each]}" if versions.get(each) is not None else each
        shape = f'[("{told}")]' if each.startswith("raw/") else f'["{told}"]'
        lines.append(f"  {number[each]}{shape}:::{'this' if each == name else each.partition('.')[0].partition('/')[0]}")
    lines += [f"  {number[one]} --> {number[other]}" for one, other in edges]
    lines += [
        "  classDef raw fill:#eef4f5,stroke:#4d7380,color:#1f2937", "  classDef bronze fill:#fbf2ea,stroke:#b0672e,color:#1f2937",
        "  classDef silver fill:#f2f4f7,stroke:#7d8796,color:#1f2937", "  classDef gold fill:#fdf6df,stroke:#b58900,color:#1f2937",
        "  classDef this fill:#2563eb,stroke:#1d4ed8,color:#ffffff",
    ]  # fmt: skip
    return "\n".join(lines)


def facts(version: int, record: Record) -> dict[str, str]:
    """What a commit says about the table as it left it: size, version, freshness, owner, code, inputs, run, content. Plain text by what it is."""
    promised = f", promised within {words(record.fresh_within_seconds)}" if record.fresh_within_seconds else ""
    code = record.code
    told = {
        "Rows": f"{record.rows:,} in {counted(record.data_files, 'file')}, {size(record.bytes)}",
        "Version": f"{version}, {record.at:%Y-%m-%d %H:%M} UTC: {record.reason or record.kind}",
        "Schema version": str(record.schema_version),
        "Newest raw file": f"{record.freshest:%Y-%m-%d %H:%M} UTC{promised}" if record.freshest else "not known",
        "In quarantine": f"{counted(record.rejects, 'row')}",
        "Owner": record.owner,
        "Made by": f"{code.hop}, commit {(code.commit or 'unknown')[:10]}{', with changes' if code.modified else ''}" if code else "",
        "From": inputs_line(record),
        "Run": record.run.id,
        "Content": record.content.value if record.content else "",
    }
    return {name: text for name, text in told.items() if text}


def ledgers(catalog: Catalog, name: str, version: int) -> tuple[list[str], list[list[str]]]:
    """Where the rows of the last commits went, newest first: the heads of columns, and a row a commit."""
    found = catalog.log(name).recent(_RUNS, until=version)
    used = [entry for entry in Ledger.model_fields if any(getattr(record.ledger, entry) for _, record in found)]
    rows = [[str(at), f"{record.at:%m-%d %H:%M}", *(f"{getattr(record.ledger, entry) or 0:,}" for entry in used)] for at, record in found]
    return ["version", "at", *used], rows


def _facts(version: int, record: Record) -> str:
    quoted = {"Made by", "Content"}
    return table(
        ["", ""], [[name, f"`{in_line(told).replace('`', '')}`" if name in quoted else in_markdown(told)] for name, told in facts(version, record).items()]
    )


def _ledgers(catalog: Catalog, name: str, version: int) -> str:
    head, rows = ledgers(catalog, name, version)
    return table(head, rows, right=len(head) - 2)


def _changes(record: Record) -> str:
    if record.schema_document is None:
        return ""
    if record.schema_version == 1:
        return f"## Schema version 1\n\nThe first: {counted(len(record.schema_document['columns']), 'column')}."
    return f"## Schema version {record.schema_version}\n\nNew with this version of the table; {record.schema_document.get('class', 'unknown')} compatible."


def _rules(catalog: Catalog, name: str, version: int) -> str:
    rows = [
        [("✓ " if row["holds"] else "✗ ") + in_markdown(row["rule"]), *(in_markdown(row[part]) for part in ("asked", "severity", "found"))]
        for row in catalog.rules(name, version=version)
        if row["rows"] or row["found"]
    ]
    broken = [row for row in rows if row[0].startswith("✗")]
    if not rows:
        return "None are declared."
    if not broken:
        return f"All {len(rows)} hold."
    return f"{len(rows) - len(broken)} of {len(rows)} hold for every row.\n\n" + table(["rule", "asks", "severity", "found"], broken)


def _reading(catalog: Catalog, name: str, version: int) -> str:
    uri = catalog.store.uri(name.replace(".", "/"))
    python = f'import lake\n\nwith lake.open() as lakehouse:\n    print(lakehouse["{name}"].scan().head().collect())'
    duckdb = f"FROM delta_scan('{uri}', version={version})"
    commands = " · ".join(f"`lake {command} {name}`" for command in ("show", "lineage", "history", "rejects"))
    return f"```python\n{python}\n```\n\nThis very version in DuckDB: `{duckdb}`\n\nOn the command line: {commands}"


def words(seconds: float | None) -> str:
    """A length of time in the largest unit that tells it."""
    if seconds is None:
        return ""
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * length or seconds == length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{dt.timedelta(seconds=seconds).total_seconds():,.0f} s"


def table(head: list[str], rows: list[list[str]], *, right: int = 0) -> str:
    """A Markdown table; the last `right` columns to the right."""
    marks = ["---"] * (len(head) - right) + ["---:"] * right
    return "\n".join(f"| {' | '.join(_cell(value) for value in row)} |" for row in [head, marks, *rows])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
