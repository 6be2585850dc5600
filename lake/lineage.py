"""Where a table's rows come from and where they go: tables, versions and raw files, read from commit records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lake.catalog import Catalog
from lake.consumers import below
from lake.receipts import LANDINGS
from lake.record import Record
from lake.wording import counted

_READERS = 8


@dataclass(frozen=True)
class Node:
    """One table version or raw file in a lineage tree, with what it was made from (or what was made from it)."""

    name: str
    kind: str
    version: int | None
    detail: str
    children: tuple[Node, ...] = field(default=())

    def rows(self, direction: str, *, depth: int = 0, parent: str | None = None) -> Iterator[dict[str, Any]]:
        """The tree as rows, depth first: direction, depth, name, kind, version, detail, and the node it hangs from."""
        yield {"direction": direction, "depth": depth, "name": self.name, "kind": self.kind, "version": self.version, "detail": self.detail, "of": parent}
        for child in self.children:
            yield from child.rows(direction, depth=depth + 1, parent=self.name)


def upstream(catalog: Catalog, name: str, version: int | None = None) -> Node:
    """What the table (at `version`, else the newest) was made from, at the versions that were read, down to raw files."""
    found, record = catalog.last(name, version=version)
    children = []
    for wanted in record.inputs:
        if wanted.table == LANDINGS:
            children.extend(_raw_files(catalog, name, found))
        else:
            children.append(upstream(catalog, wanted.table, wanted.end))
    return Node(name, "table", found, _how(record), tuple(children))


def downstream(catalog: Catalog, name: str) -> Node:
    """What was made from the table, at the newest versions."""
    found = below(catalog.store, name, lambda other: catalog.log(other).last_record(), _read_by)
    if name not in found:
        catalog.last(name)  # says what is wrong

    def hanging(table: str, seen: frozenset[str]) -> tuple[Node, ...]:
        nodes = []
        for reader, last in sorted(found.items()):
            if reader not in seen and table in _read_by(last):
                nodes.append(Node(reader, "table", last[0], _how(last[1]), hanging(reader, seen | {reader})))
        return tuple(nodes)

    version, record = found[name]
    return Node(name, "table", version, _how(record), hanging(name, frozenset({name})))


def _read_by(last: tuple[int, Record]) -> list[str]:
    return [each.table for each in last[1].inputs]


def edges(catalog: Catalog, versions: Mapping[str, int] | None = None) -> list[tuple[str, str]]:
    """Every (from, to) between tables of the lake, and from each source to the bronze table it fills (`raw/<source>`).

    `versions` says which tables, and as of which version of each; else all at their newest.
    """
    found = set()
    names = list(versions or catalog.folders())
    with ThreadPoolExecutor(_READERS) as pool:
        lasts = list(pool.map(lambda name: catalog.log(name).last_record(until=versions[name] if versions else None), names))
    for name, last in zip(names, lasts, strict=True):
        for wanted in last[1].inputs if last else ():
            found.add((_raw(name) if wanted.table == LANDINGS else wanted.table, name))
    return sorted(found)


def edges_above(node: Node) -> list[tuple[str, str]]:
    """The (from, to) pairs of a tree that `upstream` found, raw files told by their source."""
    below = {(child.name if child.kind == "table" else _raw(node.name), node.name) for child in node.children}
    return sorted(below.union(*(edges_above(child) for child in node.children)))


def _raw(name: str) -> str:
    return f"raw/{name.removeprefix('bronze.')}"


def _raw_files(catalog: Catalog, name: str, version: int) -> list[Node]:
    """The raw files a bronze table holds at `version`, in the order they landed."""
    nodes = []
    for at, record in reversed(catalog.log(name).records()):
        if at <= version:
            for file in record.files:
                told = f"{counted(file.rows, 'row')}" + (f", {file.rejects:,} rejected" if file.rejects else "") + (f": {file.reason}" if file.reason else "")
                nodes.append(Node(file.file, "file", None, f"{file.name}, {told}"))
    return nodes


def _how(record: Record) -> str:
    by = record.code.hop.rsplit(":", 1)[-1] if record.code else record.kind
    return f"{counted(record.rows, 'row')}, by {by}, run {record.run.id}"
