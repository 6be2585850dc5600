"""How things look on a terminal and as JSON. What comes from data passes here, so that no cell, name or error can steer the terminal."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text
from rich.tree import Tree

from lake.catalog import Row
from lake.dtypes import gate
from lake.lineage import Node
from lake.plain_text import STEERING, in_line, spelled_out
from lake.reading.text import wide_encoding
from lake.spelling import finite, number, value_as_json
from lake.wording import counted

json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="One JSON array of objects.")
env_option: Callable[..., Any] = click.option("--env", default=None, help="dev, uat or prod; else LAKE_ENV.")
_LONGEST_CELL = 2000
_PIPE_WIDTH = 160
_LONGEST_VALUE, _LONGEST_HEADING = 40, 80  # characters of a cell and of a column's name in a frame


def console(*, stderr: bool = False) -> Console:
    """A console for standard output; wide enough for tables when it is a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False, soft_wrap=False)


def print_json(rows: Iterable[Row]) -> None:
    """The rows as one JSON array; times as ISO 8601; numbers that JSON has none for as "inf", "-inf" and "NaN"."""
    text = json.dumps([finite(row) for row in rows], default=_plain, indent=1, ensure_ascii=False, allow_nan=False)
    click.echo(STEERING.sub(lambda found: f"\\u{ord(found.group()):04x}", text))


def safe(text: str) -> str:
    """The text with control signs spelled out, line ends and tabs aside."""
    return spelled_out(text)


def say(text: str) -> None:
    """A line that may hold names or values, on standard output."""
    click.echo(safe(text))


def as_it_came(raw: bytes | None, most: int | None = None) -> str:
    """Bytes of a file as text: those of UTF-16 and UTF-32 decoded, what is no text spelled out."""
    cut = (raw or b"")[:most]
    return cut.decode(wide_encoding(cut) or "utf-8", "backslashreplace").rstrip()


def spelled(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with dates that Python has not as text."""
    far = gate(frame.schema, represent=True).beyond
    if not far:
        return frame
    counts = frame.select(count.alias(name) for name, count in far.items()).row(0, named=True)
    return frame.with_columns(
        value_as_json(pl.col(name), frame.schema[name]).alias(name) if frame.schema[name].is_nested() else pl.col(name).cast(pl.String)
        for name in far
        if counts[name]
    )


def print_frame(frame: pl.DataFrame, rows: int) -> None:
    """The first rows of a frame. Where it is wider than the terminal its columns come in several tables, one below the other, none of them squeezed."""
    texts = [pl.col(name).map_elements(in_line, return_dtype=pl.String) for name, dtype in frame.schema.items() if dtype == pl.String]
    names = {name: safe(name if len(name) <= _LONGEST_HEADING else f"{name[:_LONGEST_HEADING]}…") for name in frame.columns}
    shown = frame.head(rows).with_columns(texts)
    shown.columns = [name if list(names.values()).count(name) == 1 else f"{name} {i + 1}" for i, name in enumerate(names.values())]
    width, block, used = console().width, list[str](), 1
    for name in shown.columns:
        size_of = max(map(len, _boxed(shown.select(name), rows).splitlines())) - 1
        if block and used + size_of > width:
            click.echo(f"{_boxed(shown.select(block), rows)}\n")
            block, used = [], 1
        block, used = [*block, name], used + size_of
    click.echo(_boxed(shown.select(block), rows))


def _boxed(frame: pl.DataFrame, rows: int) -> str:
    with pl.Config(
        tbl_cols=-1, tbl_width_chars=10_000, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_rows=rows, fmt_str_lengths=_LONGEST_VALUE
    ):
        return safe(str(frame))


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
        table.add_row(*(Text(_brief(in_line(shown(row[key]))), overflow="fold") for key in columns))
    console().print(table)


def _brief(text: str) -> str:
    """The text as a cell can hold it."""
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}… ({counted(len(text), 'character')})"


def shown(value: Any) -> str:
    """A value in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if math.isfinite(value) else number(value)
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


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
    name = escape(in_line(node.name if node.kind == "table" else short_path(node.name)))
    version, detail = f" version {node.version}" if node.version is not None else "", escape(in_line(node.detail))
    branch = tree.add(f"[cyan]{name}[/]{version} [dim]{detail}[/]" if node.kind == "table" else f"[green]{name}[/] [dim]{detail}[/]")
    for child in node.children:
        _grow(branch, child)


def short_path(path: str) -> str:
    """A raw object's path with its hash cut to what a person can compare."""
    parts = path.split("/")
    return "/".join(part[:12] + "…" if len(part) == 64 else part for part in parts)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(wide_encoding(value) or "utf-8", "backslashreplace")
    return str(value)
