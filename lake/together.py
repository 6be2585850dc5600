"""Whether the declarations of a project fit together: what can be known of sources, hops and subjects before anything runs."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lake.contract import document
from lake.errors import DeclarationError, UnknownName
from lake.hop import Hop
from lake.placing import told
from lake.provenance import Carried
from lake.source import Source
from lake.table import Table


@dataclass(frozen=True)
class Declared:
    """What one subject declares. `tables` are those that it names, beside the ones that its sources and hops do."""

    subject: str
    sources: tuple[Source, ...]
    hops: tuple[Hop, ...]
    tables: tuple[Table, ...] = ()
    description: str = ""

    @property
    def fillers(self) -> Iterator[Source | Hop]:
        """Whatever fills a table."""
        yield from self.sources
        yield from self.hops

    @property
    def every_table(self) -> Iterator[Table]:
        """Every table that is filled, read or named."""
        yield from self.tables
        for source in self.sources:
            yield source.into
        for hop in self.hops:
            yield hop.table
            yield from (hop.reads(name) for name in hop.sources)


@dataclass(frozen=True)
class Project:
    """What several subjects declare, in files under the folder `root`; None where it was made in Python. `whole` says that there is no other subject."""

    declared: tuple[Declared, ...]
    root: Path | None = None
    whole: bool = False

    def of(self, subject: str) -> Declared:
        """What one subject declares."""
        return next(one for one in self.declared if one.subject == subject)

    def check(self, about: str) -> None:
        """Raise DeclarationError, naming places, where what the subject `about` declares does not fit together, or not with what the others do.

        What others contradict among themselves is told when they are loaded. A table that nobody fills is known for one only where this is the whole project.
        Of what was made in Python, only who fills what and in which order is looked at; the rest is seen by whoever runs it.
        """
        _Check(self, about).check()


class _Check:
    def __init__(self, project: Project, about: str) -> None:
        self.declared = project.declared
        self.root = project.root
        self.whole = project.whole
        self.about = about
        self.mine = project.of(about)
        self.hops = {hop.table.name: hop for one in self.declared for hop in one.hops}
        self.fed = {source.into.name for one in self.declared for source in one.sources}

    def check(self) -> None:
        self._filled_once()
        self._no_circle()
        if self.root is None:
            return
        self._tables()
        if self.whole:
            self._read()
        carried = Carried(self.hops, self.root)
        for hop in self.mine.hops:
            carried.check(hop)

    def _told(self, one: Source | Hop | Table) -> str:
        what = f"hop {one.function.__qualname__} " if isinstance(one, Hop) else ""
        return f"{what}{told(one.place, self.root)}"

    def _concerns(self, *subjects: str) -> bool:
        return self.about in subjects

    def _tables(self) -> None:
        """One name is one table: declared twice, it must be declared alike."""
        first: dict[str, tuple[str, Table]] = {}
        for one in self.declared:
            for table in one.every_table:
                subject, known = first.setdefault(table.name, (one.subject, table))
                if known is table or not self._concerns(subject, one.subject):
                    continue
                if differing := _differing(known, table):
                    raise DeclarationError(
                        f"{table.name} is declared twice, with different {' and '.join(differing)}: {self._told(known)} and {self._told(table)}",
                        "Declare it once, in tables.py of its subject, and import it wherever it is read",
                    )

    def _filled_once(self) -> None:
        fills: dict[str, tuple[str, Source | Hop]] = {}
        for one in self.declared:
            for filler in one.fillers:
                name = filler.into.name if isinstance(filler, Source) else filler.table.name
                subject, other = fills.setdefault(name, (one.subject, filler))
                if (other is filler and subject == one.subject) or not self._concerns(subject, one.subject):
                    continue
                whose = f" of {subject} and {one.subject}" if subject != one.subject else ""
                if isinstance(filler, Source):
                    raise DeclarationError(
                        f"{name} is filled by two sources{whose}: {self._told(other)} and {self._told(filler)}",
                        "Give each a bronze table of its own, or one Source the folder above both, with a pattern",
                    )
                raise DeclarationError(
                    f"{name} is filled by two hops{whose}: {self._told(other)} and {self._told(filler)}",
                    "Let one fill a table of its own, or make one hop of both",
                )

    def _no_circle(self) -> None:
        feeds: dict[str, list[str]] = {name: [] for name in self.hops}
        for name, hop in self.hops.items():
            for up in hop.upstream():
                feeds.setdefault(up, []).append(name)
        for hop in self.mine.hops:
            if circle := _circle(feeds, hop.table.name):
                places = "; ".join(f"{name} is filled by {self._told(self.hops[name])}" for name in circle[1:])
                raise DeclarationError(f"the hops run in a circle: {' → '.join(circle)}", f"Break it at one of them: {places}")

    def _read(self) -> None:
        filled = {*self.hops, *self.fed}
        for hop in self.mine.hops:
            for name in hop.upstream():
                if name not in filled:
                    what, where = ("source", "sources.py") if name.startswith("bronze.") else ("hop", "hops.py")
                    if name.split(".")[1] not in {one.subject for one in self.declared}:
                        raise DeclarationError(
                            f"{self._told(hop)} reads {name}, and no {what} fills it: there is no flow {name.split('.')[1]}",
                            "Correct the name, bring that flow's code back, or have the hop read another table",
                        )
                    near = f"{UnknownName.among('table', name, filled).hint} " if filled else ""
                    raise DeclarationError(
                        f"{self._told(hop)} reads {name}, and no {what} fills it", f"{near}Correct the name, or declare a {what} for it in {where}"
                    )


def _circle(feeds: Mapping[str, list[str]], start: str) -> list[str]:
    """The shortest way from a table back to itself along what feeds what; empty where there is none."""
    came: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        for below in feeds.get(name, ()):
            if below == start:
                way = [start, name]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1] if name != start else [start, start]
            if below not in came:
                came[below] = name
                waiting.append(below)
    return []


def _differing(one: Table, other: Table) -> list[str]:
    """The options in which two declarations of a table differ."""
    found = [
        field.name
        for field in dataclasses.fields(Table)
        if field.compare and field.name != "contract" and getattr(one, field.name) != getattr(other, field.name)
    ]
    if one.contract is not other.contract:
        documents = [document(table.contract) if table.contract else None for table in (one, other)]
        if documents[0] != documents[1]:
            found.insert(0, "contract")
    return found
