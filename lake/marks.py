"""What a reader should know of a table beside its rows: held, not released, retired, or filled by no flow any more."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from lake.catalog import Catalog, Row
from lake.pipeline import Pipeline, subjects
from lake.release import Release, find_release, numbers, read_release, subject_of
from lake.retired import Retired, retired
from lake.settings import Settings


def marked(catalog: Catalog, rows: Iterable[Row], settings: Settings | None = None) -> list[Row]:
    """The rows of `Catalog.tables`, each with its `note`: empty where there is nothing to know. With `settings`, also subjects whose code is gone are told."""
    last, gone = find_release(catalog.store), retired(catalog.store)
    known = set(subjects(settings)) if settings is not None and (settings.root / settings.flows).is_dir() else None
    return [row | {"note": _note(catalog, row, last, gone, known)} for row in rows]


def unfilled(names: Iterable[str], pipelines: Iterable[Pipeline], gone: Mapping[str, Retired], refused: Container[str] = ()) -> list[str]:
    """Those of `names` that no step of the pipelines fills, that are not retired, and of no subject that is `refused`: its code is there."""
    filled = {step.name for pipeline in pipelines for step in pipeline.steps}
    return sorted(name for name in names if name not in filled and name not in gone and subject_of(name) not in refused)


def why_unfilled(name: str) -> str:
    """What is to be known of a table that nothing fills, with what to do."""
    return f"no flow fills it: `lake retire {subject_of(name)}`, or bring its code back"


def what_to_do(names: Iterable[str]) -> str:
    """What to do about tables that nothing fills, in a sentence."""
    found = sorted({subject_of(name) for name in names})
    return f"Bring the code back, or give them up: `lake retire {found[0] if found else 'SUBJECT'}`"


def unreleased(catalog: Catalog) -> dict[str, str]:
    """The tables that readers of the newest release do not see as they are now, by name, with what they see instead; retired ones left out.

    Costs a listing of each log, and the commits since the released version; no rows are read.
    """
    last, gone = find_release(catalog.store), retired(catalog.store)
    versions = {name: catalog.log(name).version() for name in catalog.names() if name not in gone}
    told = {name: _standing(catalog, name, version, last) for name, version in versions.items()}
    return {name: f"{words}, live is version {versions[name]}" for name, words in told.items() if words}


def release_rows(catalog: Catalog) -> list[Row]:
    """One row a release, newest first: release, at, flow, run, tables (how many it pins), note (what it rolls back to, and what is held) and
    unreleased: of the newest, the tables that its readers do not see as they are now, each with `table` and `why`; of others none.
    """
    found = [read_release(catalog.store, number) for number in reversed(numbers(catalog.store))]
    behind = [{"table": name, "why": words} for name, words in unreleased(catalog).items()]
    return [
        {
            "release": one.number, "at": one.at, "flow": one.run.flow, "run": one.run.id, "tables": len(one.tables), "note": one.note,
            "unreleased": behind if one is found[0] else [],
        }
        for one in found
    ]  # fmt: skip


def _standing(catalog: Catalog, name: str, version: int, last: Release | None) -> str:
    """How the live version of a table stands to what the release pins; empty where readers see the same rows."""
    pin = last.tables.get(name) if last else None
    if (
        pin is not None
        and (pin.version >= version or catalog.log(name).same_rows(pin.version, version))
        and subject_of(name) not in (last.held if last else ())
    ):
        return ""
    if last is not None and subject_of(name) in last.held:
        return f"held: readers see {f'version {pin.version}' if pin else 'it not'}"
    return f"readers see version {pin.version}" if pin else "not released"


def _note(catalog: Catalog, row: Row, last: Release | None, gone: Mapping[str, Retired], known: set[str] | None) -> str:
    name = str(row["table"])
    if name in gone:
        return gone[name].words
    told = [standing] if (standing := _standing(catalog, name, row["version"], last)) else []
    if known is not None and subject_of(name) not in known:
        told.append(why_unfilled(name))
    return "; ".join(told)
