"""Origins in the store: one object for each code fingerprint, written once and named by the commit records that it speaks for."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake.errors import LakeError, StoreError
from lake.hop import Hop
from lake.origins.kinds import Kinds, merged
from lake.origins.trace import Origins, trace
from lake.store import Store

_FOLDER = "system/columns"


@dataclass(frozen=True)
class Document:
    """Column lineage of one hop as it is kept: by column of its table, the (table, column) pairs it derives from; and those that choose rows."""

    table: str
    hop: str
    how: str
    why: str | None
    columns: dict[str, Kinds]
    rows: Kinds

    def to_json(self) -> bytes:
        """The same text for the same lineage, wherever it is made."""
        told = {
            "table": self.table, "hop": self.hop, "how": self.how, "why": self.why,
            "columns": {name: _told(kinds) for name, kinds in self.columns.items()}, "rows": _told(self.rows),
        }  # fmt: skip
        return json.dumps(told, indent=1).encode()


def document_of(hop: Hop, origins: Origins) -> Document:
    """The origins of a hop's columns by the names of the tables it reads."""
    reads = {name: hop.reads(name).name for name in hop.sources}

    def named(kinds: Kinds) -> Kinds:
        return merged(*({(reads[parameter], column): kind} for (parameter, column), kind in kinds.items()))

    return Document(hop.table.name, hop.name, origins.how, origins.why, {name: named(kinds) for name, kinds in origins.columns.items()}, named(origins.rows))


def remember(store: Store, hop: Hop, schemas: Mapping[str, pl.Schema]) -> str | None:
    """Trace the hop and keep what is found. Returns the name of the object, for the commit record; None where it could not be kept.

    The name is the hop's fingerprint; with a digest behind it, if the same code read other columns before. One request, or none for
    what this process has kept already. A run never fails over lineage.
    """
    with contextlib.suppress(LakeError):
        body = document_of(hop, trace(hop, schemas)).to_json()
        exact = f"{hop.fingerprint}-{hashlib.sha256(body).hexdigest()[:8]}"
        at = (store.uri(_FOLDER), exact)
        if at not in _known:
            found = next((name for name in (hop.fingerprint, exact) if _kept(store, name, body)), None)
            if found is None:
                return None
            _known[at] = found
        return _known[at]
    return None


_known: dict[tuple[str, str], str] = {}


def recall(store: Store, name: str | None) -> Document | None:
    """What is kept under a name that a commit record gives; None where it gives none, or the object is gone or damaged."""
    if name is None:
        return None
    try:
        told = store.names.within(json.loads(store.get(f"{_FOLDER}/{name}.json")))
        columns = {column: _read(edges) for column, edges in told["columns"].items()}
        return Document(told["table"], told["hop"], told["how"], told["why"], columns, _read(told["rows"]))
    except (StoreError, ValueError, KeyError, TypeError):
        return None


def _kept(store: Store, name: str, body: bytes) -> bool:
    path = f"{_FOLDER}/{name}.json"
    return store.put_if_absent(path, body) or store.get(path) == body


def _told(kinds: Kinds) -> list[list[str]]:
    return [[table, column, kind] for (table, column), kind in sorted(kinds.items())]


def _read(edges: Any) -> Kinds:
    return {(table, column): kind for table, column, kind in edges}
