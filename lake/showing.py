"""The lake and its tables as notebooks show them: cards of HTML with a picture of where the rows come from. Made from commit records alone.

Every style stands in the element it is for, and every element has its own ink and ground: a page's dark theme changes neither, and nothing
is loaded from elsewhere. Whatever comes from the lake is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from lake.cards import facts, ledgers
from lake.catalog import Catalog, Row
from lake.drawing import lineage_svg
from lake.lineage import edges, edges_above, upstream

_INK, _MUTED, _LINE, _GROUND, _BAD = "#1f2937", "#6b7280", "#d5dae1", "#ffffff", "#b42318"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_SHOWN = 12  # rules that are shown unfolded


def table_html(catalog: Catalog, name: str, version: int) -> str:
    """A table at a version: what it is, how fresh, where its rows went, its rules with what they last found, where it comes from."""
    _, record = catalog.last(name, version=version)
    about = [[label, told] for label, told in facts(version, record).items()]
    parts = [_title(name, record.summary), _table((), about, bold=True), _head("Where the rows went")]
    head, rows = ledgers(catalog, name, version)
    parts += [_table(head, rows, right=len(head) - 2), _head("Rules"), _rules(catalog.rules(name, version=version)), _head("Where it comes from")]
    return _card([*parts, _picture(lineage_svg(edges_above(upstream(catalog, name, version)), here=name))])


def lake_html(catalog: Catalog, what: str, tables: Iterable[Row], pins: Mapping[str, int] | None) -> str:
    """A whole lake: `what` says which, then a row a table, and how they are made from one another."""
    head = ["table", "rows", "rejects", "version", "newest raw file", "owner", "summary"]
    rows = [
        [row["table"], f"{row['rows']:,}", f"{row['rejects']:,}", str(row["version"]), _age(row), row["owner"], row["summary"]]
        for row in tables
    ]  # fmt: skip
    picture = [_head("What is made from what"), _picture(lineage_svg(edges(catalog, pins)))] if rows else []
    return _card([_title("lake", what), _table(head, rows, right=3, first=1), *picture])


def _age(row: Row) -> str:
    if row["freshest"] is None:
        return "not known"
    return f"{row['freshest']:%Y-%m-%d %H:%M} UTC" + ("" if row["fresh"] is not False else ", stale")


def _rules(rules: Sequence[Row]) -> str:
    if not rules:
        return _words("None are declared.")
    broken = [rule for rule in rules if not rule["holds"]]
    said = f"All {len(rules)} hold." if not broken else f"{len(rules) - len(broken)} of {len(rules)} hold for every row; of those that do not:"
    lines = [_rule(rule) for rule in sorted(rules, key=lambda rule: rule["holds"])]
    head = ("rule", "severity", "asks", "found")
    shown = _table(head, [_rule(rule) for rule in broken[:_SHOWN]]) if broken else ""
    style = f"color:{_MUTED};cursor:pointer;margin:6px 0"
    return _words(said) + shown + f'<details><summary style="{style}">Every rule</summary>{_table(head, lines)}</details>'


def _rule(rule: Row) -> list[str]:
    return [("✓ " if rule["holds"] else "✗ ") + rule["rule"], rule["severity"], rule["asked"], rule["found"]]


def _card(parts: Iterable[str]) -> str:
    style = f"background:{_GROUND};color:{_INK};border:1px solid {_LINE};border-radius:10px;padding:14px 18px;overflow-x:auto;font:13px/1.45 {_FONT};color-scheme:light"
    return f'<div style="{escape(style)}">{"".join(parts)}</div>'


def _title(name: str, says: str) -> str:
    return f'<div style="color:{_INK};font-size:17px;font-weight:600">{escape(name)}</div>' + _words(says)


def _head(text: str) -> str:
    return f'<div style="color:{_INK};font-weight:600;margin:14px 0 4px">{escape(text)}</div>'


def _words(text: str) -> str:
    return f'<div style="color:{_MUTED};margin:2px 0 8px">{escape(text)}</div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: int = 0, first: int | None = None, bold: bool = False) -> str:
    """A table; `right` columns, the last ones or those from `first`, to the right. `bold` marks the first column as what the rest is about."""
    start = len(head) - right if first is None else first
    numbers = range(start, start + right)
    lines = ["".join(_cell(cell, right=at in numbers, weight=600, ink=_MUTED) for at, cell in enumerate(head))] if head else []
    for row in rows:
        bad = bool(row) and row[0].startswith("✗")
        lines.append(
            "".join(_cell(cell, right=at in numbers, weight=600 if bold and at == 0 else 400, ink=_BAD if bad else _INK) for at, cell in enumerate(row))
        )
    body = "".join(f'<tr style="background:{_GROUND}">{line}</tr>' for line in lines)
    return f'<table style="border-collapse:collapse;margin:0;color:{_INK};background:{_GROUND}">{body}</table>'


def _cell(text: str, *, right: bool, weight: int, ink: str) -> str:
    style = (
        f"text-align:{'right' if right else 'left'};padding:2px 14px 2px 0;border:0;vertical-align:top;color:{ink};font-weight:{weight};white-space:pre-wrap"
    )
    return f'<td style="{style}">{escape(text)}</td>'


def _picture(svg: str) -> str:
    return svg.replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)
