"""How things look on a terminal and as JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text
from rich.tree import Tree

from lake.catalog import Row
from lake.lineage import Node

json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="One JSON array of objects.")
env_option: Callable[..., Any] = click.option("--env", default=None, help="dev, uat or prod; else LAKE_ENV.")
_LONGEST_CELL = 2000
_PIPE_WIDTH = 160


def console(*, stderr: bool = False) -> Console:
    """A console for standard output; wide enough for tables when it is a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False, soft_wrap=False)


def print_json(rows: Iterable[Row]) -> None:
    """The rows as one JSON array; times as ISO 8601."""
    click.echo(json.dumps([_finite(row) for row in rows], default=_plain, indent=1, ensure_ascii=False, allow_nan=False))


def print_table(rows: Sequence[Row], columns: dict[str, str], *, empty: str) -> None:
    """The rows as a table: `columns` maps keys to headings; numbers to the right. `empty` is said when there are none."""
    if not rows:
        click.echo(empty)
        return
    table = RichTable(box=None, pad_edge=False, header_style="bold")
    for key, heading in columns.items():
        right = all(isinstance(row[key], int | float) and not isinstance(row[key], bool) for row in rows if row[key] is not None)
        table.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=key in ("table", "at", "updated", "freshest"))
    for row in rows:
        table.add_row(*(Text(_brief(shown(row[key])), overflow="fold") for key in columns))
    console().print(table)


def _brief(text: str) -> str:
    """The text as a cell can hold it."""
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}… ({len(text):,} characters)"


def shown(value: Any) -> str:
    """A value in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def size(count: int) -> str:
    """Bytes in the largest unit that keeps the number readable."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def ago(moment: dt.datetime | None) -> str:
    """How long ago, in words."""
    if moment is None:
        return ""
    return f"{ago_seconds((dt.datetime.now(dt.UTC) - moment).total_seconds())} ago"


def ago_seconds(seconds: float) -> str:
    """A length of time in the unit that tells it best."""
    for limit, unit, length in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def print_tree(node: Node, title: str) -> None:
    """A lineage tree."""
    tree = Tree(f"[bold]{title}[/]")
    _grow(tree, node)
    console().print(tree)


def _grow(tree: Tree, node: Node) -> None:
    name = node.name if node.kind == "table" else _short(node.name)
    version = f" version {node.version}" if node.version is not None else ""
    branch = tree.add(f"[cyan]{name}[/]{version} [dim]{node.detail}[/]" if node.kind == "table" else f"[green]{name}[/] [dim]{node.detail}[/]")
    for child in node.children:
        _grow(branch, child)


def _short(path: str) -> str:
    """A raw object's path with its hash cut to what a person can compare."""
    parts = path.split("/")
    return "/".join(part[:12] + "…" if len(part) == 64 else part for part in parts)


def _finite(value: Any) -> Any:
    """The value with what JSON has no number for as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)
