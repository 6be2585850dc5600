"""Schema versions: what a table looked like and promised, numbered and written once; and what changed from one to the next.

The document travels inside the commit that first uses it, so the objects under system/schemas can be rebuilt from commits.
Compatibility classes are the usual ones of schema registries: `backward` (readers of the new schema can read old rows),
`forward` (readers of the old schema can read new rows), `full` (both), `breaking` (neither), `none` (words only).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake.contract import document
from lake.dtypes import delta_type
from lake.errors import StoreError
from lake.record import Record
from lake.store import Store
from lake.table import Table

_WIDENS = {("byte", "short"), ("byte", "integer"), ("byte", "long"), ("short", "integer"), ("short", "long"), ("integer", "long"), ("float", "double")}


@dataclass(frozen=True)
class Change:
    """One difference between two schema versions: what it is about, in words, and which readers survive it."""

    about: str
    what: str
    backward: bool
    forward: bool


@dataclass(frozen=True)
class SchemaVersion:
    """A numbered schema: its fingerprint and its document (columns, key, rules, what changed and the change's class)."""

    number: int
    fingerprint: str
    document: dict[str, Any]


def describe(table: Table, schema: pl.Schema, renamed: dict[str, str] | None = None) -> dict[str, Any]:
    """The schema document of `table` when its columns are `schema`; `renamed` gives the names columns had in their files."""
    promised = document(table.contract) if table.contract else None
    spoken = {column["name"]: column for column in promised["columns"]} if promised else {}
    columns = []
    for name, dtype in schema.items():
        said = spoken.get(name, {})
        column = {"name": name, "type": delta_type(dtype), "nullable": bool(said.get("nullable", True)), "description": said.get("description", "")}
        metadata = dict(said.get("metadata", {})) | ({"header": renamed[name]} if renamed and name in renamed else {})
        columns.append(column | ({"metadata": metadata} if metadata else {}))
    return {
        "table": table.name, "contract": promised["contract"] if promised else None, "description": table.summary, "owner": table.owner,
        "key": promised["key"] if promised else [], "columns": columns, "rules": promised["rules"] if promised else {},
    }  # fmt: skip


def column_metadata(doc: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What Delta keeps beside each column: its description as `comment`, and whatever the contract says of it."""
    return {
        column["name"]: ({"comment": column["description"]} if column["description"] else {}) | {k: str(v) for k, v in column.get("metadata", {}).items()}
        for column in doc["columns"]
    }


def fingerprint_of(doc: dict[str, Any]) -> str:
    """A hash of the document, words included, without the account of what changed."""
    core = {key: value for key, value in doc.items() if key not in ("changes", "class", "version")}
    return hashlib.sha256(json.dumps(core, sort_keys=True).encode()).hexdigest()[:16]


def register(store: Store, doc: dict[str, Any], previous: tuple[int, str, dict[str, Any]] | None) -> SchemaVersion:
    """The version number of `doc`: the previous one if nothing differs, else the next free one, written once with its changes."""
    mark = fingerprint_of(doc)
    if previous is not None and previous[1] == mark:
        return SchemaVersion(previous[0], mark, previous[2])
    changes = compare(previous[2], doc) if previous else []
    number = (previous[0] if previous else 0) + 1
    while True:
        full = doc | {"version": number, "class": classify(changes) if previous else "first", "changes": [change.__dict__ for change in changes]}
        body = json.dumps(full, indent=1, sort_keys=True).encode()
        path = f"system/schemas/{doc['table']}/{number}.json"
        if store.put_if_absent(path, body) or store.get(path) == body:
            return SchemaVersion(number, mark, full)
        number += 1  # a run that died before its commit registered something else under this number
        if number > (previous[0] if previous else 0) + 1000:
            raise StoreError(f"system/schemas/{doc['table']} holds a thousand versions no commit uses", "Remove those above the table's schema version")


def last_schema(
    store: Store, record: Record | None, records: list[tuple[int, Record]] | None = None, *, registered: str | None = None
) -> tuple[int, str, dict[str, Any]] | None:
    """Number, fingerprint and document of the schema a table's last record names; read from the registry (under `registered`, else the name of the table), else from commits."""
    if record is None:
        return None
    if record.schema_document is not None:
        return record.schema_version, record.schema_fingerprint, record.schema_document
    try:
        doc = json.loads(store.get(f"system/schemas/{registered or record.table}/{record.schema_version}.json"))
    except StoreError:
        doc = next((r.schema_document for _, r in records or [] if r.schema_version == record.schema_version and r.schema_document), None)
    return (record.schema_version, record.schema_fingerprint, doc) if doc is not None else None


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """What changed from `old` to `new`, columns first."""
    before, after = ({column["name"]: column for column in doc["columns"]} for doc in (old, new))
    added = sorted(after.keys() - before.keys())
    changes = [Change(name, f"column {name} added ({_spelled(after[name])})", backward=after[name]["nullable"], forward=True) for name in added]
    gone = sorted(before.keys() - after.keys())
    changes += [Change(name, f"column {name} removed", backward=True, forward=before[name]["nullable"]) for name in gone]
    for name in before.keys() & after.keys():
        changes.extend(_column_changes(name, before[name], after[name]))
    if old["key"] != new["key"]:
        changes.append(Change("key", f"key changed from ({', '.join(old['key'])}) to ({', '.join(new['key'])})", backward=False, forward=False))
    for rule in sorted(old["rules"].keys() | new["rules"].keys()):
        was, now = old["rules"].get(rule), new["rules"].get(rule)
        if was != now:
            verb = "added" if was is None else "removed" if now is None else "changed"
            changes.append(Change(rule, f"rule {rule} {verb}", backward=now is None, forward=was is None))
    words = [word for word in ("description", "owner", "contract") if old.get(word) != new.get(word)]
    changes += [Change(word, f"{word} reworded", backward=True, forward=True) for word in words]
    return sorted(changes, key=lambda change: (change.about, change.what))


def classify(changes: list[Change]) -> str:
    """The compatibility class of all changes together."""
    if all(change.what.endswith("reworded") for change in changes):
        return "none"
    backward, forward = all(change.backward for change in changes), all(change.forward for change in changes)
    return "full" if backward and forward else "backward" if backward else "forward" if forward else "breaking"


def _column_changes(name: str, was: dict[str, Any], now: dict[str, Any]) -> list[Change]:
    found = []
    if was["type"] != now["type"]:
        pair = (str(was["type"]), str(now["type"]))
        found.append(Change(name, f"column {name}: {_spelled(was)} became {_spelled(now)}", backward=pair in _WIDENS, forward=pair[::-1] in _WIDENS))
    if was["nullable"] != now["nullable"]:
        may = "may now be null" if now["nullable"] else "may no longer be null"
        found.append(Change(name, f"column {name} {may}", backward=now["nullable"], forward=not now["nullable"]))
    if was["description"] != now["description"] or was.get("metadata") != now.get("metadata"):
        found.append(Change(name, f"column {name} reworded", backward=True, forward=True))
    return found


def _spelled(column: dict[str, Any]) -> str:
    kind = column["type"]
    return kind if isinstance(kind, str) else json.dumps(kind)
