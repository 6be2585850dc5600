"""Schema versions: what a table looked like and promised, numbered and written once; and what changed from one to the next.

The document travels inside the commit that first uses it, so the objects under system/schemas can be rebuilt from commits.
Compatibility classes are the usual ones of schema registries: `backward` (readers of the new schema can read old rows),
`forward` (readers of the old schema can read new rows), `full` (both), `breaking` (neither), `none` (words only). `class` judges a
version against the one before, `transitive` against all before it. A column that says what it was called can be read in old rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import polars as pl

from lake.contract import PROVENANCE, RESCUED, document
from lake.dtypes import delta_type, gate, polars_type, stored_type_name
from lake.errors import StoreError
from lake.personal import is_marked
from lake.record import Record
from lake.rule_words import asked, rule_words
from lake.store import Store
from lake.table import Table

_CARRIED = {*PROVENANCE, RESCUED}
_SEVERITIES = ("warn", "quarantine", "fail")
_WORDS = ("description", "owner", "contract", "policy", "dropped", "expects", "types", "sample", "tags", "sort")
_ABOUT_CHANGE = ("changes", "class", "transitive", "version")
_WIDENS = {("byte", "short"), ("byte", "integer"), ("byte", "long"), ("short", "integer"), ("short", "long"), ("integer", "long"), ("float", "double")}

_asked: WeakKeyDictionary[Store, dict[str, bytes]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Change:
    """One difference between two schema versions: what it is about, in words, and which readers survive it.

    `kind` is column, rule or key and what became of it (`added`, `removed`, `renamed`, `retyped`, `nullable`, `changed`), or `words`; `was` is
    the former name of a renamed column.
    """

    about: str
    what: str
    backward: bool
    forward: bool
    kind: str = "words"
    was: str | None = None

    @property
    def line(self) -> str:
        """In words, after a sign: + for what was added, − for what was removed, ~ for what changed."""
        return f"{'+' if self.kind.endswith('added') else '−' if self.kind.endswith('removed') else '~'} {self.what}"


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
        former = [old for old, new in table.former.items() if new == name]
        columns.append(column | ({"metadata": metadata} if metadata else {}) | ({"former": former} if former else {}))
    policy = {}
    if table.contract is None:
        types = {name: delta_type(dtype) for name, dtype in sorted(table.types.items())}
        policy = {"policy": table.policy, "dropped": sorted(table.dropped), "expects": list(table.columns), "types": types}
    return {
        "table": table.name, "contract": promised["contract"] if promised else None, "description": table.summary, "owner": table.owner,
        "key": promised["key"] if promised else [], "columns": columns, "rules": promised["rules"] if promised else {}, **policy, **_asks(table),
        **({"checks": table.checks} if table.checks else {}), **({"sample": True} if table.sample else {}),
        **({"tags": sorted(table.tags)} if table.tags else {}), **({"sort": list(table.sort)} if table.sort else {}),
    }  # fmt: skip


def _asks(table: Table) -> dict[str, dict[str, str]]:
    """What the rules of a table's contract, and its expectations, ask in words."""
    said = {rule.name: rule.limit for rule in table.rules if rule.limit != rule.spelled}
    said |= rule_words(table.contract) if table.contract else {}
    return {"asks": said} if said else {}


def expected(table: Table) -> dict[str, Any] | None:
    """The document that the table's contract asks for, before any row is there; None without a contract."""
    if table.contract is None:
        return None
    return describe(table, gate(pl.Schema({name: column.dtype for name, column in table.contract.columns().items()})).schema)


def as_declared(table: Table, doc: dict[str, Any]) -> Table:
    """The bronze table as it was declared when its schema document was written: what files met then."""
    former = {column["name"]: tuple(column["former"]) for column in doc["columns"] if "former" in column}
    types = {name: polars_type(spelled) for name, spelled in doc.get("types", {}).items()}
    return replace(
        table,
        policy=doc.get("policy", "evolve"),
        columns=tuple(doc.get("expects", ())),
        dropped=tuple(doc.get("dropped", ())),
        types=types,
        renamed_from=former,
    )


def column_metadata(doc: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What Delta keeps beside each column: its description as `comment`, and whatever the contract says of it."""
    return {
        column["name"]: ({"comment": column["description"]} if column["description"] else {}) | {k: str(v) for k, v in column.get("metadata", {}).items()}
        for column in doc["columns"]
    }


def named_types(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns of a document with their types by the names that contracts are written with."""
    return [column | {"type": stored_type_name(column["type"])} for column in columns]


def fingerprint_of(doc: dict[str, Any]) -> str:
    """A hash of the document, words included, without the account of what changed."""
    core = {key: value for key, value in doc.items() if key not in ("changes", "class", "version")}
    return hashlib.sha256(json.dumps(core, sort_keys=True).encode()).hexdigest()[:16]


def is_personal(column: dict[str, Any]) -> bool:
    """Whether a column of a schema document is marked as personal: its values are nowhere shown."""
    return is_marked(column.get("metadata"))


def personal_in(document: dict[str, Any]) -> frozenset[str]:
    """The names of the columns of a schema document that are marked as personal."""
    return frozenset(column["name"] for column in document.get("columns", []) if is_personal(column))


def clustered_by(document: dict[str, Any]) -> tuple[str, ...]:
    """The columns whose order rows are best kept in: what readers filter on, if that is declared, else the key."""
    return tuple(document.get("sort") or document.get("key") or ())


def shown_columns(document: dict[str, Any]) -> list[str]:
    """The columns whose values may be shown to whoever may see the lake: none without `Table(sample=True)`, and never personal ones."""
    return [column["name"] for column in document.get("columns", []) if document.get("sample") and not is_personal(column)]


def is_sketched(path: str) -> bool:
    """Whether sketches are kept of the table at `path`: not of bronze, whose text says little, nor of rows beside a table."""
    return path.startswith(("silver/", "gold/"))


def sketched_columns(path: str, document: dict[str, Any]) -> list[str] | None:
    """The columns of which sketches may keep values; None where no sketches are kept."""
    return shown_columns(document) if is_sketched(path) else None


def register(store: Store, doc: dict[str, Any], previous: tuple[int, str, dict[str, Any]] | None) -> SchemaVersion:
    """The version number of `doc`: the previous one if nothing differs, else the next free one, written once with its changes."""
    mark = fingerprint_of(doc)
    if previous is not None and (previous[1] == mark or _only_renamed(store, previous[2], doc)):
        return SchemaVersion(previous[0], previous[1], previous[2])
    changes = compare(previous[2], doc) if previous else []
    number = (previous[0] if previous else 0) + 1
    earlier = documents(store, doc["table"], range(1, previous[0])) if previous else []
    judged = {
        "class": classify(changes) if previous else "first",
        "transitive": classify([*changes, *(change for old in earlier for change in compare(old, doc))]) if previous else "first",
        "changes": [change.__dict__ for change in changes],
    }
    while True:
        full = doc | {"version": number} | judged
        body = json.dumps(full, indent=1, sort_keys=True).encode()
        path = f"system/schemas/{doc['table']}/{number}.json"
        if store.put_if_absent(path, body) or store.get(path) == body:
            return SchemaVersion(number, mark, full)
        number += 1  # a run that died before its commit registered something else under this number
        if number > (previous[0] if previous else 0) + 1000:
            raise StoreError(f"system/schemas/{doc['table']} holds a thousand versions no commit uses", "Remove those above the table's schema version")


def _only_renamed(store: Store, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two documents are the same but for what tables were called meanwhile."""
    told = {"changes", "class", "transitive", "version"}
    return bool(store.names) and all(store.names.document(old).get(part) == new.get(part) for part in (old.keys() | new.keys()) - told)


def documents(store: Store, table: str, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """The documents of these versions of a table's schema that are still in the registry. One request each."""
    found = []
    for number in numbers:
        with contextlib.suppress(StoreError):
            found.append(_registered(store, table, number))
    return found


def _registered(store: Store, table: str, number: int) -> dict[str, Any]:
    """A version's document. It is written once, and so asked for once. Raises NotFound."""
    path = f"system/schemas/{table}/{number}.json"
    known = _asked.setdefault(store, {})
    if path not in known:
        known[path] = store.get(path)
    return store.names.document(json.loads(known[path]))


def last_schema(
    store: Store, record: Record | None, records: Iterable[tuple[int, Record]] = (), *, registered: str | None = None
) -> tuple[int, str, dict[str, Any]] | None:
    """Number, fingerprint and document of the schema a table's last record names; read from the registry (under `registered`, else the name of the table), else from commits."""
    if record is None:
        return None
    if record.schema_document is not None:
        return record.schema_version, record.schema_fingerprint, record.schema_document
    doc: dict[str, Any] | None
    try:
        doc = _registered(store, registered or record.table, record.schema_version)
    except StoreError:
        doc = next((r.schema_document for _, r in records if r.schema_version == record.schema_version and r.schema_document), None)
    return (record.schema_version, record.schema_fingerprint, doc) if doc is not None else None


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """What changed from `old` to `new`, columns first. Provenance is not part of what a table promises."""
    before, after = ({column["name"]: column for column in doc["columns"] if column["name"] not in _CARRIED} for doc in (old, new))
    was = {name: next((old for old in column.get("former", ()) if old in before and old not in after), name) for name, column in after.items()}
    changes = []
    for name, column in after.items():
        if was[name] != name and name not in before:
            changes.append(Change(name, f"column {name} renamed from {was[name]}", backward=True, forward=False, kind="column renamed", was=was[name]))
        elif name not in before:
            changes.append(Change(name, f"column {name} added ({_spelled(column)})", backward=column["nullable"], forward=True, kind="column added"))
        if was[name] in before:
            changes.extend(_column_changes(name, before[was[name]], column))
    gone = before.keys() - set(was.values())
    changes += [Change(name, f"column {name} removed", backward=True, forward=before[name]["nullable"], kind="column removed") for name in gone]
    if old["key"] != [was.get(name, name) for name in new["key"]]:
        told = f"key changed from ({', '.join(old['key'])}) to ({', '.join(new['key'])})"
        changes.append(Change("key", told, backward=False, forward=False, kind="key changed"))
    renamed = {former: name for name, former in was.items() if former != name and name not in before}
    for kind in ("rules", "checks"):
        changes += _rule_changes(_respoken(old.get(kind) or {}, renamed), new.get(kind) or {}, old, new)
    words = [word for word in _WORDS if old.get(word) != new.get(word)] + (["rules"] if _asked_otherwise(old, new) else [])
    changes += [Change(word, f"{word} reworded", backward=True, forward=True) for word in words]
    return sorted(changes, key=lambda change: (change.about, change.what))


def _respoken(rules: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    """The rules as they would be called and written had the columns had their new names."""
    for old, new in renamed.items():
        rules = {
            (f"{new}{name.removeprefix(old)}" if name.startswith(f"{old}|") else name): str(text).replace(f'col("{old}")', f'col("{new}")')
            for name, text in rules.items()
        }
    return rules


def _asked_otherwise(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a rule that is the same is told in other words."""
    was, now = old.get("asks") or {}, new.get("asks") or {}
    same = [rule for kind in ("rules", "checks") for rule, text in (old.get(kind) or {}).items() if (new.get(kind) or {}).get(rule) == text]
    return any(rule in was and rule in now and was[rule] != now[rule] for rule in same)


def _only_warns(rule: Any) -> bool:
    """Whether rows that break the rule are let through."""
    return str(rule) == "warn" or str(rule).startswith("warn: ")


def _rule_changes(old: dict[str, Any], new: dict[str, Any], document: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    found = []
    for rule in sorted(old.keys() | new.keys()):
        was, now = old.get(rule), new.get(rule)
        if was != now and ": " not in str(was or now) and str(was or now) in _SEVERITIES:
            told = f"severity of {rule}: {was or 'as usual'} became {now or 'as usual'}"
            found.append(
                Change(rule, told, backward=_only_warns(now) or not _only_warns(was), forward=_only_warns(was) or not _only_warns(now), kind="rule changed")
            )
        elif was != now:
            verb = "added" if was is None else "removed" if now is None else "changed"
            backward, forward = now is None or _only_warns(now), was is None or _only_warns(was)
            asks = asked(document, rule), asked(after, rule)
            how = f": {asks[0]} became {asks[1]}" if verb == "changed" and all(asks) and asks[0] != asks[1] else ""
            found.append(Change(rule, f"rule {rule} {verb}{how}", backward=backward, forward=forward, kind=f"rule {verb}"))
    return found


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
        found.append(
            Change(
                name, f"column {name}: {_spelled(was)} became {_spelled(now)}", backward=pair in _WIDENS, forward=pair[::-1] in _WIDENS, kind="column retyped"
            )
        )
    if was["nullable"] != now["nullable"]:
        may = "may now be null" if now["nullable"] else "may no longer be null"
        found.append(Change(name, f"column {name} {may}", backward=now["nullable"], forward=not now["nullable"], kind="column nullable"))
    if was["description"] != now["description"] or was.get("metadata") != now.get("metadata"):
        found.append(Change(name, f"column {name} reworded", backward=True, forward=True))
    return found


def _spelled(column: dict[str, Any]) -> str:
    return stored_type_name(column["type"])
