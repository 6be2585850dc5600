"""Mending a damaged lake: what is derived is made anew, unreleased commits that are damaged are cut off, and released rows are computed again from raw.

Nothing is mended on a guess. Rows are put in the place of damaged ones only where their content is the one that the commit recorded; a raw file only
where its source still has the very bytes. What is taken away stays aside under system/withdrawn, as far as it can be read.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from lake.compact import rearrange
from lake.content import Content
from lake.datafile import write_parts
from lake.delta import checkpoint_if_due
from lake.errors import LakeError, SourceError
from lake.hop import Hop
from lake.landing import put_back
from lake.log import TableLog
from lake.pipeline import Pipeline, Step
from lake.receipts import LANDINGS, receipt_of
from lake.record import Record
from lake.release import Pin, Release, republished, withdraw
from lake.repair.changes import mend_changes
from lake.repair.cutting import cut, openable, planned_cuts
from lake.repair.findings import Finding, Mended
from lake.repair.looking import Seen
from lake.repair.structure import mend_structure
from lake.replay import compute_again, in_order, scratch_of, unfit
from lake.run import Run
from lake.source import Source
from lake.table import path_of
from lake.wording import counted


def mend(run: Run, seen: Seen, pipelines: Iterable[Pipeline], told: Callable[[str], None] = lambda _: None) -> Iterator[Mended]:
    """Do what can be done about what was `seen`, telling each. Where a power cut ends it half-way, doing it again goes on."""
    flows = list(pipelines)
    yield from _beside(run, seen)
    for one in seen.of("raw"):
        told(one.path)
        yield _raw(run, one, flows)
    told("structural lines")
    yield from mend_structure(run, seen.of("structure"), flows)
    yield from _tables(run, seen, flows, told)
    for one in seen.of("changes"):
        told(one.path)
        yield mend_changes(Run(run.settings, run.store, run.info), one)


def _beside(run: Run, seen: Seen) -> Iterator[Mended]:
    for one in seen.of("checkpoint"):
        run.store.delete([one.path])
        if one.version >= 0:
            checkpoint_if_due(run.store, one.table, one.version)
        yield Mended(one.path, "made again", "the log tells the same")
    for one in seen.of("derived"):
        run.store.delete([one.path])
        yield Mended(one.path, "made again", "it is derived, and comes again with the next commit; until then it is done without")
    for one in seen.of("schema"):
        path = LANDINGS if one.table == "bronze.system.landings" else path_of(one.table) if "/" not in one.table else one.table
        using = [record for _, record in _records(run, seen, path) if record.schema_version == one.number]
        document = next((record.schema_document for record in using if record.schema_document), None)
        if not using:
            run.store.delete([one.path])
            yield Mended(one.path, "cut off", "no commit uses it")
        elif document is not None:
            run.store.put(one.path, json.dumps(document, indent=1, sort_keys=True).encode())
            yield Mended(one.path, "made again", "from the commit that first used it")
        else:
            yield Mended(one.path, "lost", "no commit has it; bring it back from a backup")
    for one in seen.of("register"):
        yield Mended(one.path, "lost", "it is kept nowhere else; bring it back from a backup")


def _records(run: Run, seen: Seen, path: str) -> Iterator[tuple[int, Record]]:
    """The records of a table that can be read, newest first: one that is damaged hides none of those before it."""
    log, own = TableLog(run.store, path), sorted(seen.commits.get(path, ()), reverse=True)
    for version in own:
        with contextlib.suppress(LakeError):
            if (record := log.record_at(version)) is not None:
                yield version, record
    if own and own[-1] > 0:
        with contextlib.suppress(LakeError):  # those that are kept together
            yield from log.back(until=own[-1] - 1)


def _raw(run: Run, one: Finding, flows: list[Pipeline]) -> Mended:
    """A raw file, from its source if that still has it."""
    why = "no source of this checkout offers it"
    sources = {step.work.name: step.work for flow in flows for step in flow.steps if isinstance(step.work, Source)}
    for source in [source for source in sources.values() if run.store.names.source(source.name) == one.table]:
        try:
            receipt = receipt_of(run, source.name, one.path)
            with run.workspace("repair-raw") as folder:
                if receipt is not None and put_back(run, source, receipt, folder):
                    return Mended(one.path, "put back", f"{receipt['name']} is at its source still, the same byte for byte")
            why = "its source no longer has this content"
        except SourceError as error:
            why = str(error)
        except LakeError as error:
            why = f"its receipt cannot be read: {error.message}"
    return Mended(one.path, "lost", f"{why}; rows that came of it stay, and can no longer be computed from it. Bring it back from a backup")


def _tables(run: Run, seen: Seen, flows: list[Pipeline], told: Callable[[str], None]) -> Iterator[Mended]:
    damaged = {one.path: one for one in seen.of("data")}
    broken = {one.number for one in seen.of("release")}
    if not damaged and not broken and not seen.of("commit"):
        return
    closed = {number for number, release in seen.releases.items() if not openable(seen, release)}
    whole = [seen.releases[number] for number in sorted(seen.releases.keys() - closed)]
    base = whole[-1] if whole else None
    cuts = planned_cuts(run.store, seen, base)
    for path, version in cuts.to.items():
        count = cut(run.store, path, version, seen.commits[path])
        yield Mended(path, "cut off", f"{counted(count, 'commit')} after version {version}, which no whole release has: the next run makes them again")
    for one in seen.of("commit"):
        if one.version > max([*seen.commits.get(one.table, ()), cuts.pins.get(one.table, -1)], default=-1):
            yield Mended(one.path, "cut off", f"it {one.wrong}, and no whole release has it: the next run makes it again")
        elif one.version <= cuts.to.get(one.table, one.version):
            yield Mended(one.path, "lost", f"it {one.wrong}, what is released was made after it, and it is kept nowhere else; bring it back from a backup")
    for path, why in cuts.not_possible.items():
        yield Mended(path, "lost", f"{why}; bring its log back from a backup")
    pins: dict[str, Pin] = {}
    fresh = Run(run.settings, run.store, run.info)  # logs as they are now
    if base is not None:
        pins = yield from _rows(fresh, base, damaged, flows, told)
    spoilt = {release.number for release in whole if _names_damaged(fresh, release, damaged)}
    mended = base is not None and base.number in spoilt and _is_mended(fresh, base, pins, damaged)
    gone = (broken | closed | (spoilt if mended or base is None else spoilt - {base.number})) & ({*seen.releases} | broken)
    if base is not None and (pins or (gone and max(gone) >= base.number)):
        new = republished(run.store, run.info, base, pins)
        yield Mended(f"release {new.number}", "made again", f"the tables as release {base.number} has them")
    for number in sorted(gone):
        withdraw(run.store, number)
        again = base is not None and number == base.number
        how = "the newest has the same rows" if again else "what it named is damaged, or it is itself: its rows cannot be opened as they were"
        yield Mended(f"release {number}", "withdrawn" if again or number > (base.number if base else 0) else "lost", how)


def _names_damaged(run: Run, release: Release, damaged: dict[str, Finding]) -> bool:
    return any(_hit(run, path_of(table), pin.version, damaged) for table, pin in release.tables.items())


def _hit(run: Run, path: str, version: int, damaged: dict[str, Finding]) -> bool:
    if not any(one.startswith(f"{path}/") for one in damaged):
        return False
    try:
        return any(f"{path}/{file.path}" in damaged for file in run.snapshot(path, version).files)
    except LakeError:
        return True


def _is_mended(run: Run, base: Release, pins: dict[str, Pin], damaged: dict[str, Finding]) -> bool:
    return all(table in pins for table, pin in base.tables.items() if _hit(run, path_of(table), pin.version, damaged))


def _rows(run: Run, base: Release, damaged: dict[str, Finding], flows: list[Pipeline], told: Callable[[str], None]) -> Generator[Mended, None, dict[str, Pin]]:
    """Compute tables of the last whole release again whose files, or whose rejects', are damaged. Returns the pins of those that are whole again.

    Tables that were made from them, and are whole, get a commit that says which version now has what they read.
    """
    steps = in_order(step for flow in flows for step in flow.steps if step.kind != "land")
    known = {step.name: step for step in steps}
    beside = {
        table: [place for place in _places(run, path_of(table), pin.version) if _hit(run, place[0], place[1], damaged)] for table, pin in base.tables.items()
    }
    needed = {table for table, places in beside.items() if places}
    pins: dict[str, Pin] = {}
    for table in sorted(needed - known.keys()):
        yield Mended(table, "lost", "no flow of this checkout fills it; bring its files back from a backup, or its code")
    wanted = _upstream(needed & known.keys(), known)
    failed: dict[str, str] = {}
    fresh: dict[str, int] = {}  # by the path of a table or of what is beside it: the version that has the same rows again
    with contextlib.ExitStack() as stack:
        again = stack.enter_context(scratch_of(run)) if wanted else run
        for step in steps:
            pin = base.tables.get(step.name)
            if pin is None:
                continue
            why = None
            if step.name in wanted:
                told(f"computing {step.name} again")
                why = _computed(run, again, step, base, failed)
            if why is None:
                why = _replaced(run, again, step, beside[step.name], fresh)
            if why is not None:
                failed[step.name] = why
            if (version := fresh.get(path_of(step.name))) is not None:
                pins[step.name] = pin.model_copy(update={"version": version})
            if step.name in needed and why is None:
                yield Mended(step.name, "made again", f"the same rows, computed from raw: version {version}")
            elif why is not None and step.name in needed:
                yield Mended(step.name, "lost", f"{why}. Bring its files back from a backup")
    if any(one.table == LANDINGS for one in damaged.values()):
        yield Mended(LANDINGS, "lost", "receipts are kept nowhere else; bring them back from a backup")
    return pins


def _places(run: Run, path: str, version: int) -> list[tuple[str, int]]:
    """A table with the rejects and tombstones that its record names, each with the version."""
    last = run.log(path).last_record(until=version)
    found = [(path, version)]
    if last is not None:
        for place, told in ((f"quarantine/{path}", last[1].quarantine), (f"system/tombstones/{path}", last[1].tombstones)):
            if told and int(told["version"]) >= 0:
                found.append((place, int(told["version"])))
    return found


def _upstream(needed: Iterable[str], known: dict[str, Step]) -> set[str]:
    found: set[str] = set()
    due = list(needed)
    while due:
        name = due.pop()
        if name not in found and name in known:
            found.add(name)
            work = known[name].work
            due += list(work.upstream()) if isinstance(work, Hop) else []
    return found


def _computed(run: Run, again: Run, step: Step, base: Release, failed: dict[str, str]) -> str | None:
    """Fill a table in the scratch place. Why not, where it could not be."""
    pin = base.tables[step.name]
    last = run.log(path_of(step.name)).last_record(until=pin.version)
    if last is None:
        return "its log does not reach back to this version"
    if why := unfit(run, step, last[1], base) or next((f"it reads {i.table}: {failed[i.table]}" for i in last[1].inputs if i.table in failed), None):
        return why
    try:
        compute_again(run, again, step, pin.version)
    except LakeError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever a library says of what it cannot read: the table is lost, and the rest goes on
        return f"it cannot be computed again: {type(error).__name__}"
    made = again.log(path_of(step.name)).last_record()
    if made is None or Content.from_hash(made[1].content) != Content.from_hash(last[1].content):
        return "computed again, its rows are not those that were committed"
    return None


def _replaced(run: Run, again: Run, step: Step, places: list[tuple[str, int]], fresh: dict[str, int]) -> str | None:
    """Put the rows that were computed in the place of damaged files, and say where what the table was made from is now. Why not, where that cannot be."""
    path = path_of(step.name)
    for place, version in sorted(places, key=lambda one: one[0] == path):  # what is beside it first
        if place != path and (why := _put_in_place(run, again, place, version, fresh, {})):
            return why
    last = run.log(path).last_record()
    also = _moved(last[1], path, fresh) if last is not None else {}
    if any(place == path for place, _ in places):
        return _put_in_place(run, again, path, dict(places)[path], fresh, also)
    if also and last is not None:
        fresh[path] = rearrange(run, path, run.log(path).version(), last[1], why="what it was made from was made again, with the same rows", also=also)
    return None


def _moved(record: Record, path: str, fresh: dict[str, int]) -> dict[str, Any]:
    """What a record has to say otherwise, after versions it names were made again."""
    also: dict[str, Any] = {}
    places = [path_of(given.table) if "/" not in given.table else given.table for given in record.inputs]
    if any(place in fresh for place in places):
        moved = [given.model_copy(update={"end": fresh.get(place, given.end)}) for given, place in zip(record.inputs, places, strict=True)]
        also["inputs"] = moved
    for name, beside in (("quarantine", record.quarantine), ("tombstones", record.tombstones)):
        place = f"{'quarantine' if name == 'quarantine' else 'system/tombstones'}/{path}"
        if beside and place in fresh:
            also[name] = beside | {"version": fresh[place]}
    return also


def _put_in_place(run: Run, again: Run, path: str, version: int, fresh: dict[str, int], also: dict[str, Any]) -> str | None:
    made = again.log(path).last_record()
    base, before = run.log(path).head()
    if made is None or before is None:
        return f"computing it again made no {path}"
    if not run.log(path).same_rows(version, base):
        return f"{path} went on since"
    if made[1].rows != before.rows:
        return f"computed again, {path} has {counted(made[1].rows, 'row')} instead of {before.rows:,}"
    there = run.snapshot(path, base)
    rows = again.snapshot(path, made[0]).scan().select(list(there.schema))
    with run.workspace("repair") as folder:
        write_parts(rows, folder, of=there.rows)
        why = "damaged files replaced by the same rows, computed again from raw"
        fresh[path] = rearrange(run, path, base, before, removed=there.files, parts=folder, why=why, also=also)
    return None
