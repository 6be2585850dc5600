"""What the pages' scripts know: the words that search finds, and the graph of tables and columns. Plain lists, small enough for five hundred tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lake.descent import raw_name
from lake.edges import ROWS, VALUES
from lake.site.gather import Told
from lake.spelling import finite

_CHOOSES = -1  # in place of a column: the rows of its table


def found_by(tables: Iterable[Told]) -> list[list[Any]]:
    """A list a table: name, summary, owner and tags, and its columns, each as name, unit and meaning."""
    return [
        [told.name, told.record.summary, " ".join([told.record.owner, *told.document.get("tags", ())]), [[c["name"], (c.get("metadata") or {}).get("unit", ""), c.get("description", "")] for c in told.columns]]
        for told in tables
    ]  # fmt: skip


def graph_of(tables: Sequence[Told]) -> dict[str, Any]:
    """Tables, raw sources among them, as name, layer, summary, rows, version, columns and whether they have a page; and edges between their numbers.

    An edge of `tables` is from, to, hop; one of `columns` is table, column, table, column, kind, where a column is -1 for the rows of its table.
    """
    columns: dict[str, list[str]] = {told.name: [column["name"] for column in told.columns] for told in tables}
    sources: dict[str, str] = {}
    for told in tables:
        for edge in told.edges:
            (table, column), _ = edge.source, edge.target
            if column != ROWS and column not in columns.setdefault(table, []):
                columns[table].append(column)
        if told.layer == "bronze":
            columns.setdefault(raw_name(told.name), [])
            sources[told.name] = raw_name(told.name)
        for given in told.inputs:
            columns.setdefault(given, [])
    order = {name: number for number, name in enumerate(sorted(columns))}
    place = {name: {column: number for number, column in enumerate(known)} for name, known in columns.items()}
    by_name = {told.name: told for told in tables}
    between = {(given, told.name): _hop(told) for told in tables for given in told.inputs}
    between |= {(source, name): "ingest" for name, source in sources.items()}
    derived = {
        (order[edge.source[0]], place[edge.source[0]].get(edge.source[1], _CHOOSES), order[told.name], place[told.name].get(edge.target[1], _CHOOSES), edge.kind)
        for told in tables
        for edge in told.edges
        if edge.source[1] != ROWS and (edge.target[1] == ROWS or edge.target[1] in place[told.name])
    }  # fmt: skip
    return {
        "tables": [_node(name, by_name.get(name), columns[name]) for name in order],
        "edges": sorted([order[start], order[end], hop] for (start, end), hop in between.items()),
        "columns": [list(one) for one in sorted(derived)],
        "values": sorted(VALUES),
    }


def _node(name: str, told: Told | None, columns: list[str]) -> list[Any]:
    layer = name.replace("/", ".").split(".")[0]
    return [
        name,
        layer,
        told.record.summary if told else "",
        told.record.rows if told else None,
        told.version if told else None,
        columns,
        int(told is not None),
    ]


def _hop(told: Told) -> str:
    record = told.record
    return record.code.hop.rsplit(":", 1)[-1] if record.code else record.kind


def script(name: str, data: Any) -> str:
    """A script that hands `data` to the page. It holds no `<`, so it can end nothing it stands in."""
    text = json.dumps(finite(data), allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"lakeData({json.dumps(name)},{text});\n"
