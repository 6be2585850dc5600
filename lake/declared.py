"""The contracts as files beside the code, one JSON document a table, so that a change of a contract is a diff that people review.

They are made from the declarations alone: no store is asked, and the same code gives the same bytes everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lake.contract import Contract, check_sound
from lake.expression_words import tidied
from lake.pipeline import Pipeline
from lake.rule_words import documented, rule_words
from lake.schemas import expected, named_types
from lake.settings import Settings
from lake.table import Table

_FOLDER = "schemas"


@dataclass(frozen=True)
class Stale:
    """A file that is not what the code says: its path relative to the project, and whether it is missing, outdated or left over."""

    path: str
    why: str


def schema_files(settings: Settings, pipelines: Iterable[Pipeline]) -> dict[Path, str]:
    """The text of each file by its path: `flows/<subject>/schemas/<layer>.<table>.json` (the whole name for a table of another subject)."""
    found = {}
    for pipeline in pipelines:
        tables = [*(source.into for source in pipeline.sources.values()), *(hop.table for hop in pipeline.hops.values())]
        for table in tables:
            if text := _text(table):
                found[_folder(settings, pipeline) / f"{_short(table, pipeline)}.json"] = text
    return found


def stale_files(settings: Settings, pipelines: Iterable[Pipeline]) -> list[Stale]:
    """What `write_files` would change, sorted by path."""
    chosen = list(pipelines)
    wanted = schema_files(settings, chosen)
    there = {path for pipeline in chosen for path in _folder(settings, pipeline).glob("*.json")}
    why = dict.fromkeys(wanted.keys() - there, "missing") | dict.fromkeys(there - wanted.keys(), "left over")
    why |= {path: "outdated" for path in wanted.keys() & there if path.read_bytes() != wanted[path].encode()}
    return [Stale(path.relative_to(settings.root).as_posix(), why[path]) for path in sorted(why)]


def write_files(settings: Settings, pipelines: Iterable[Pipeline]) -> list[Stale]:
    """Write the files that are missing or outdated, and remove those of tables that are gone. Returns what was wrong."""
    chosen = list(pipelines)
    wanted = schema_files(settings, chosen)
    found = stale_files(settings, chosen)
    for one in found:
        path = settings.root / one.path
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path].encode())
        else:
            path.unlink()
    return found


def _folder(settings: Settings, pipeline: Pipeline) -> Path:
    return settings.root / settings.flows / pipeline.name / _FOLDER


def _short(table: Table, pipeline: Pipeline) -> str:
    return table.name.replace(f".{table.subject}.", ".") if table.subject == pipeline.name else table.name


def _text(table: Table) -> str | None:
    if table.contract is not None:
        check_sound(table.contract)
    doc = expected(table)
    if doc is None:
        return None
    rules = {name: _rule(table.contract, name, text) for name, text in doc["rules"].items()}
    checks = {name: f"{grave.partition(': ')[0]}: {table.asks(name)}" if ": " in grave else grave for name, grave in doc.get("checks", {}).items()}
    told = {key: value for key, value in doc.items() if key != "asks"} | {"columns": named_types(doc["columns"]), "rules": rules}
    settled = told | {"rules": dict(sorted(rules.items()))} | ({"checks": dict(sorted(checks.items()))} if checks else {})
    return json.dumps(settled, indent=2, ensure_ascii=False) + "\n"


def _rule(contract: type[Contract] | None, name: str, text: str) -> str:
    """A rule in words; one with a docstring also as it is evaluated, so that whoever reads a change sees that it changed."""
    exact = text.rpartition(" #")[2] if re.search(r" #[0-9a-f]{12}$", text) else ""
    said = rule_words(contract)[name] if contract is not None else tidied(text)
    spelled = f" ({tidied(text)})" if contract is not None and documented(contract, name) else f" #{exact}" if exact else ""
    return f"{said}{spelled}"
