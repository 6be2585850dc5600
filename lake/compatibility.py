"""What the code as it is now would change in the tables, before anything runs: each change, whether it breaks a reader, and what it hits.

A contract is compared with the schema version that a release pins. Lake makes a table anew when its contract changes, so what matters
is who reads it by what it promised: a change is breaking where readers of the released schema cannot read the new rows. That is what
`forward` says, with three exceptions. A removed column breaks whoever names it, null or not. A wider type holds every old value, so it
breaks nobody by itself. A declared rename is followed by lake, so it breaks only hops that still read the old name; notebooks have to
be changed. And any change is breaking with which a hop that could run no longer can.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from lake.columns import Columns, declared_columns
from lake.contract import PROVENANCE, RESCUED, unsound
from lake.delta import schema_of
from lake.errors import NotFound
from lake.hop import Hop
from lake.log import TableLog, schema_of_record
from lake.migrate import Steps, due
from lake.origins.kinds import Column
from lake.pipeline import Pipeline
from lake.release import Release, find_release, release_meant
from lake.schemas import Change, classify, compare, expected
from lake.store import Store
from lake.table import Table, path_of
from lake.type_names import type_name
from lake.wording import counted

_READERS = 8
_SAID: dict[str, Any] = {"policy": "evolve", "expects": [], "dropped": [], "types": {}}  # of the columns of files, and what is said by default
_SAID_AS = {"policy": "policy", "expects": "columns", "dropped": "dropped", "types": "types"}


@dataclass(frozen=True)
class Finding:
    """One change to one table: its class, whether it breaks a reader, the (table, column) pairs below it, and what else is to be said."""

    table: str
    column: str | None
    what: str
    grade: str
    breaking: bool = False
    downstream: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What else is to be said, in one line."""
        return "; ".join(self.notes)

    @property
    def row(self) -> dict[str, Any]:
        """As a row of a listing."""
        return {
            "table": self.table, "column": self.column, "what": self.what, "class": self.grade, "breaking": self.breaking,
            "downstream": [{"table": table, "column": column} for table, column in self.downstream], "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True)
class Check:
    """What was compared with which release (None: with the last commits), and what was found."""

    release: Release | None
    findings: tuple[Finding, ...]

    @property
    def breaking(self) -> list[Finding]:
        """The findings that break a reader."""
        return [finding for finding in self.findings if finding.breaking]


def check_schemas(store: Store, pipelines: Iterable[Pipeline], *, flow: str | None = None, against: int | None = None, refused: Collection[str] = ()) -> Check:
    """Compare every declared table (of one flow, or all) with the last release, or release `against`. Reads documents and no data.

    A table that no release pins is compared with its last commit, unless `against` is given. `pipelines` are all there are, so that what a
    change hits is found in other flows too, but for those that were `refused`: of their tables nothing is said. Raises UnknownName if there is no such release.
    """
    release = release_meant(store, against) if against is not None else find_release(store)
    known = _Known(store, tuple(pipelines), release, strictly=against is not None)
    findings = [finding for table in known.tables(flow) for finding in known.findings(table)]
    return Check(release, (*findings, *known.abandoned(flow, refused)))


class _Known:
    """The declared tables beside the documents that the lake has of them."""

    def __init__(self, store: Store, pipelines: tuple[Pipeline, ...], release: Release | None, *, strictly: bool) -> None:
        self.store = store
        self.pipelines = pipelines
        self.release = release
        self.strictly = strictly
        self.raw = {source.into.name for pipeline in pipelines for source in pipeline.sources.values()}
        tables = self.tables(None)
        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(lambda table: (table.name, self._document(table)), tables))
        self.documents = {name: doc for name, doc in found if doc is not None}

    def tables(self, flow: str | None) -> list[Table]:
        """The tables that the flow fills, or all flows; bronze first."""
        chosen = [pipeline for pipeline in self.pipelines if flow in (None, pipeline.name)]
        sources = [source.into for pipeline in chosen for source in pipeline.sources.values()]
        return [*sources, *(hop.table for pipeline in chosen for hop in pipeline.hops.values())]

    @cached_property
    def columns(self) -> Columns:
        """How all columns feed one another, as they are and as they will be."""
        now: dict[str, pl.Schema] = {}
        former: dict[str, pl.Schema] = {}
        for table in self.tables(None):
            doc = self.documents.get(table.name)
            there = schema_of(doc)[0] if doc else None
            will_be = _columns_of_files(table, there) if table.name in self.raw else _columns_of_contract(table, there)
            if will_be is not None:
                now[table.name] = will_be
            if there is not None:
                former[table.name] = there
        return Columns(self.pipelines, now, former)

    def findings(self, table: Table) -> list[Finding]:
        """What changes in one table."""
        doc = self.documents.get(table.name)
        wanted = expected(table)
        if doc is None:
            told = f"table is new ({counted(len(wanted['columns']), 'column')})" if wanted else "table is new (its columns are those of its files)"
            return [Finding(table.name, None, told, "first")]
        if table.name in self.raw:
            return [*self._planned(table, doc), *_reworded(table, doc)]
        broken = unsound(table.contract) if table.contract is not None else {}
        changes = [change for change in (compare(doc, wanted) if wanted else []) if not (change.kind.startswith("rule") and change.about in broken)]
        found = [self._finding(table, change, changes, doc, wanted or {}) for change in changes]
        own = next((hop for hop in self.columns.hops if hop.table.name == table.name), None)
        gone = [change.what for change in changes if change.kind == "column removed"]
        stops = self.columns.refuses(own) if own is not None and gone and not broken else None
        judged = [replace(one, notes=(*one.notes, f"the table's own hop stops: {stops}")) if stops and one.what in gone else one for one in found]
        return judged + [Finding(table.name, None, error.message, "breaking", True, notes=(error.hint or "",)) for error in broken.values()]

    def abandoned(self, flow: str | None, refused: Collection[str]) -> list[Finding]:
        """The tables of the release that nothing fills any more."""
        declared = {table.name for table in self.tables(None)}
        left = [
            name
            for name in (self.release.tables if self.release else ())
            if name not in declared and name.split(".")[1] not in refused and flow in (None, name.split(".")[1])
        ]
        return [Finding(name, None, "nothing fills the table any more: readers go on with the rows it has", "none") for name in left]

    def _document(self, table: Table) -> dict[str, Any] | None:
        """The document that the table is compared with: a table that files fill by its last commit, since a run starts from there."""
        pin = self.release.tables.get(table.name) if self.release else None
        if pin is None and self.strictly:
            return None
        log = TableLog(self.store, path_of(table.name))
        newest = table.name in self.raw and not self.strictly
        last = log.last_record(until=pin.version if pin and not newest else None)
        if found := schema_of_record(self.store, log, last[1] if last else None):
            return found[2]
        try:
            return self.store.names.document(json.loads(self.store.get(f"system/schemas/{table.name}/{pin.schema_version}.json"))) if pin else None
        except NotFound:
            return None

    def _finding(self, table: Table, change: Change, changes: Sequence[Change], doc: dict[str, Any], wanted: dict[str, Any]) -> Finding:
        kind, _, verb = change.kind.partition(" ")
        column = change.about if kind == "column" or change.what.startswith("column ") else None
        hit = {"column": [] if verb == "added" else [change.was or change.about], "key": sorted({*doc["key"], *wanted["key"]})}.get(kind, [])
        if kind == "rule":
            hit = _spoken_of(change.about, doc, wanted)
        found = Finding(table.name, column, change.what, classify([change]), _breaks(change), notes=_hint(change, changes, doc, wanted))
        return self._judged(found, hit)

    def _planned(self, table: Table, doc: dict[str, Any]) -> list[Finding]:
        """What the next run does to a bronze table before it reads files."""
        steps = due(table, schema_of(doc)[0])
        told = [(old, f"column {old} will be renamed to {new}", "backward") for old, new in steps.renamed.items()]
        told += [(name, f"column {name} will be dropped", "full") for name in steps.dropped]
        told += [(name, f"column {name} will be widened to {type_name(dtype)}", "backward") for name, dtype in steps.widened.items()]
        return [self._judged(Finding(table.name, column, what, grade), [column]) for column, what, grade in told]

    def _judged(self, finding: Finding, hit: list[str]) -> Finding:
        """The finding with what it hits by the columns `hit`, and the hops that it stops."""
        below = tuple(sorted({pair for column in hit for pair in self.columns.downstream(finding.table, column)}))
        hops = [hop for hop in self.columns.hops if hop.table.name in {table for table, _ in below}]
        stopped = {hop.table.name: why for hop in hops if self._reads(hop, finding.table, hit) and (why := self.columns.stops(hop))}
        unknown = [f"{why}, so each column of {hop.table.name} may depend on every other" for hop in hops if (why := self.columns.needs(hop).untraced)]
        notes = (*finding.notes, *(f"the hop that fills {name} stops: {why}" for name, why in stopped.items()), *unknown)
        return replace(finding, breaking=finding.breaking or bool(stopped), downstream=below, notes=notes)

    def _reads(self, hop: Hop, table: str, columns: list[str]) -> bool:
        return any(pair[0] == hop.table.name for column in columns for pair in self.columns.direct(table, column))


def _columns_of_files(table: Table, there: pl.Schema | None) -> pl.Schema | None:
    """The columns that a bronze table will have: those it has once it is migrated, and those it declares."""
    steps = due(table, there) if there is not None else Steps()
    kept = {steps.renamed.get(name, name): dtype for name, dtype in (there or {}).items() if name not in steps.dropped}
    declared = {name: table.types.get(name, pl.String()) for name in (*table.columns, *table.types, *table.renamed_from)}
    if not kept and not declared:
        return None
    return pl.Schema({**declared, **kept, **steps.widened, **PROVENANCE, RESCUED: pl.String()})


def _columns_of_contract(table: Table, there: pl.Schema | None) -> pl.Schema | None:
    """The columns that the contract asks for, with the provenance that the table has."""
    declared = declared_columns(table)
    if declared is None or there is None:
        return declared
    return pl.Schema({name: dtype for name, dtype in declared.items() if name not in PROVENANCE or name in there})


def _reworded(table: Table, doc: dict[str, Any]) -> list[Finding]:
    """What a bronze table says otherwise than before of the columns of files to come."""
    there = {column["name"] for column in doc["columns"]}
    was: dict[str, Any] = {word: doc.get(word, usual) for word, usual in _SAID.items()}
    now: dict[str, Any] = {"policy": table.policy, "expects": list(table.columns)}
    now |= {"dropped": sorted(set(table.dropped) - there), "types": sorted(table.types)}  # what is there and is to go is a step
    was["types"] = sorted(was["types"])
    return [
        Finding(table.name, None, f"{_SAID_AS[word]} becomes {_told(now[word])} (was {_told(was[word])})", "none") for word in _SAID if now[word] != was[word]
    ]


def _told(word: Any) -> str:
    return word if isinstance(word, str) else ", ".join(word) or "nothing"


def _spoken_of(rule: str, *documents: dict[str, Any]) -> list[str]:
    """The columns that a rule speaks of, as far as its name and its text say."""
    texts = [str(doc.get(kind, {}).get(rule, "")) for doc in documents for kind in ("rules", "checks")]
    named = {name for text in texts for name in re.findall(r'col\("([^"]+)"\)', text)}
    known = {column["name"] for doc in documents for column in doc.get("columns", ())}
    return sorted((named | {name for name in known if rule == name or rule.startswith((f"{name}|", f"{name} "))}) & known)


def _breaks(change: Change) -> bool:
    """Whether the change by itself breaks whoever reads the table as it was promised."""
    if change.kind in ("column removed", "column renamed"):
        return change.kind == "column removed"
    return not change.backward if change.kind == "column retyped" else not change.forward


def _hint(change: Change, changes: Sequence[Change], doc: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, ...]:
    """That a removed and an added column may be one that was renamed: if exactly one pair is of one type."""
    if change.kind != "column removed":
        return ("notebooks must read the new name",) if change.kind == "column renamed" else ()
    was, now = ({column["name"]: column["type"] for column in one["columns"]} for one in (doc, wanted))
    added = [other.about for other in changes if other.kind == "column added"]
    pairs = [(old.about, new) for old in changes if old.kind == "column removed" for new in added if was[old.about] == now[new]]
    if len(pairs) != 1 or pairs[0][0] != change.about:
        return ()
    old, new = pairs[0]
    return (f'if {new} is what {old} is called now, declare renamed_from={{"{new}": "{old}"}}',)
