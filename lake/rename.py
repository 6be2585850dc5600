"""Renaming tables: what a rename would do, whether it can be done, and doing it, as one object that is written once."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lake.catalog import Catalog
from lake.errors import CommitConflict, LakeError, UnknownName
from lake.names import NAMES, Names, Renaming
from lake.packed import PACKED
from lake.pipeline import Pipeline
from lake.release import find_release, subject_of
from lake.retired import retired
from lake.run import Run
from lake.store import Store
from lake.table import is_table_name, path_of, quarantine_path_of, structure_path_of, tombstones_path_of


@dataclass(frozen=True)
class Rename:
    """What a rename comes to: new names by old ones, retired tables that keep theirs, and the register it was decided by."""

    names: Mapping[str, str]
    left: tuple[str, ...]
    seen: Names


def planned(run: Run, old: str, new: str, pipelines: Iterable[Pipeline] = ()) -> Rename:
    """What renaming the table or subject `old` to `new` would do.

    Raises UnknownName where there is no `old`, and LakeError, saying what to do, where it may not be called `new`: that is another layer, or no
    name; another table has that name, had it, has files under it, or is declared by it in the `pipelines` beside `old`; `old` is retired; or
    a rollback holds its subject.
    """
    seen, gone = run.store.renewed_names(), retired(run.store)
    known = _known(run.store, seen)
    left: list[str] = []
    if old.count(".") > 1 or new.count(".") > 1:
        pairs = {old: new}
        _check_table(run.store, known, seen, old, new)
        if old in gone:
            raise LakeError(f"{old} is {gone[old].words}", f"Bring it back first: `lake retire {old} --undo`")
    else:
        pairs = _of_subject(known, seen, old, new)
        left = [name for name in pairs if name in gone]
        pairs = {name: now for name, now in pairs.items() if name not in gone}
        if not pairs:
            raise LakeError(f"all tables of {old} are retired", f"Bring them back first: `lake retire {old} --undo`")
    _check_held(run.store, pairs)
    declared = _declared(pipelines)
    for was, now in pairs.items():
        _check_free(run, seen, was, now)
        if both := sorted(declared.get(was, set()) & declared.get(now, set())):
            raise LakeError(f"flows/{both[0]} fills or reads both {was} and {now}: they are two tables", f"Choose another name than {now}")
    return Rename(pairs, tuple(left), seen)


def still_called(pipelines: Iterable[Pipeline], names: Iterable[str]) -> dict[str, list[str]]:
    """The subjects whose declarations fill or read tables by these names, each with those that it names."""
    wanted, found = set(names), {}
    for pipeline in pipelines:
        if mine := sorted(wanted & _named(pipeline)):
            found[pipeline.name] = mine
    return found


def rename(run: Run, meant: Rename, why: str = "") -> Names:
    """Do it: one object, put where none is. Raises CommitConflict, and leaves all as it is, where others renamed something meanwhile."""
    at = dt.datetime.now(dt.UTC)
    fresh = [Renaming(old=old, new=new, at=at, by=_who(), run=run.info.id, why=why) for old, new in sorted(meant.names.items())]
    number = meant.seen.number + 1
    names = Names([*meant.seen.renamings, *fresh], number=number)
    path, body = f"{NAMES}/{number:010d}.json", names.told()
    if not run.store.put_if_absent(path, body) and run.store.get(path) != body:
        raise CommitConflict("something else was renamed meanwhile", "Nothing was renamed by this; give the command again to see what it would do now")
    return run.store.renewed_names()


def _known(store: Store, seen: Names) -> list[str]:
    """Every table there is anything of: also those that were never published, of which there are rejects, or files that landed."""
    rejected = (
        f"{layer}.{subject}.{table}"
        for layer in store.children("quarantine")
        for subject in store.children(f"quarantine/{layer}")
        for table in store.children(f"quarantine/{layer}/{subject}")
    )
    landed = (seen.now(f"bronze.{source}") for source in store.children("raw"))
    return list(dict.fromkeys([*Catalog(store).folders(), *rejected, *landed]))


def _check_table(store: Store, known: list[str], seen: Names, old: str, new: str) -> None:
    seen.check(old)
    if old not in known:
        raise UnknownName.among("table", old, known)
    if not is_table_name(new):
        raise LakeError(f"{new!r} is not a table name", "Write layer.subject.table with lower-case letters, digits and _, e.g. silver.sales.orders")
    if new == old:
        raise LakeError(f"{old} is called so already", "Give a name that it does not have")
    if old.split(".")[0] != new.split(".")[0]:
        raise LakeError(f"{old} cannot become {new}: the layer of a table says how its rows were made", f"Keep the layer: {old.split('.')[0]}.…")


def _of_subject(known: list[str], seen: Names, old: str, new: str) -> dict[str, str]:
    mine = [name for name in known if subject_of(name) == old]
    if not mine:
        before = [one.old for one in seen.renamings if subject_of(one.old) == old]
        if before:
            seen.check(before[0])
        raise UnknownName.among("table or subject", old, {*known, *map(subject_of, known)})
    pairs = {name: f"{name.split('.')[0]}.{new}.{name.split('.')[2]}" for name in mine}
    if not is_table_name(pairs[mine[0]]):
        raise LakeError(f"{new!r} is not the name of a subject", "Write lower-case letters, digits and _, e.g. sales")
    if new == old:
        raise LakeError(f"{old} is called so already", "Give a name that it does not have")
    if taken := [name for name in known if subject_of(name) == new]:
        raise LakeError(f"there is a subject {new} already: it has {taken[0]}", "Rename the tables one by one into it, each to a name of its own")
    return pairs


def _check_held(store: Store, pairs: Mapping[str, str]) -> None:
    last = find_release(store)
    held = sorted({subject_of(name) for pair in pairs.items() for name in pair} & last.held.keys()) if last else []
    if last and held:
        raise LakeError(f"{held[0]} is held: {last.held[held[0]]}", f"Lift the hold first: `lake release resume {held[0]}`")


def _check_free(run: Run, seen: Names, old: str, new: str) -> None:
    """Raise LakeError where `new` is, or was, or may yet be the name of another table."""
    store = run.store
    if seen.now(new) != new and new not in seen.every(old):
        raise LakeError(
            f"{new} is what {seen.now(new)} was called before", "A name stays with its table, so that what speaks of it is understood; choose another"
        )
    if new in seen.every(old):
        return  # it has it back
    places = [path_of(new), quarantine_path_of(new), tombstones_path_of(new), structure_path_of(new), f"{PACKED}/{path_of(new)}"]
    if next((blob for place in places for blob in store.walk(place)), None) is not None:
        raise LakeError(
            f"there is a table {new} already, or something of one",
            f"Choose another name; or, if a run of changed code made it anew, keep that one and give up the other: `lake retire {old}`",
        )
    if new.startswith("bronze."):
        source = new.removeprefix("bronze.")
        if next(store.walk(f"raw/{source}"), None) is not None:
            raise LakeError(f"files have landed for {new} already, and are not those of {old}", "Choose another name")


def _declared(pipelines: Iterable[Pipeline]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pipeline in pipelines:
        for name in _named(pipeline):
            found.setdefault(name, set()).add(pipeline.name)
    return found


def _named(pipeline: Pipeline) -> set[str]:
    filled = {step.name for step in pipeline.steps if step.kind != "land"}
    return filled.union(*(hop.upstream() for hop in pipeline.hops.values()))


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user has no name
        return "unknown"
