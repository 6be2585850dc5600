"""Whatever a team declares fits together or is refused by name: random projects that fit, and the same with one thing wrong.

A project is one to three subjects with sources, and hops over them and over one another. It is accepted whichever subject is loaded. Then one
thing is made wrong, of a kind drawn at random; each subject that takes part in it is refused with every name and line concerned, and every
other is loaded as before.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lake.errors import DeclarationError
from tests.folders import HOPS, SOURCES, TABLES, line_of, load, write_project

_FULL = os.environ.get("LAKE_LAWS") == "full"
_DRAWS = 200 if _FULL else 4
_KINDS = ("two sources", "two hops", "circle", "nobody fills", "declared twice", "no provenance")


@dataclass
class Hop:
    """A hop of a drawn project: the table it fills, and those it reads, by their names."""

    fills: str
    reads: list[str]
    write: str
    places: bool = True

    @property
    def text(self) -> str:
        """The hop as a team writes it."""
        given = [
            f"g{number}={f'changes({_local(name)})' if number == 0 and self.write != 'replace' else _local(name)}" for number, name in enumerate(self.reads)
        ]
        columns = '"thing", "said", "at"' + (", *PROVENANCE" if self.places else "")
        names = [one.partition("=")[0] for one in given]
        body = f"g0.select({columns})" + "".join(f'.join({name}.select("thing").unique(), on="thing", how="left")' for name in names[1:])
        return (
            f'\n\n@hop({_local(self.fills)}, write="{self.write}", {", ".join(given)})\ndef fill_{_local(self.fills)}({", ".join(names)}):\n    return {body}\n'
        )


@dataclass
class Drawn:
    """A project: by subject the bronze tables that sources fill, and the hops; and lines that are added as they are."""

    sources: dict[str, list[str]] = field(default_factory=dict)
    hops: dict[str, list[Hop]] = field(default_factory=dict)
    more: dict[tuple[str, str], str] = field(default_factory=dict)

    def files(self) -> dict[str, str]:
        """Every file of it. All tables are declared once, in tables.py of the first subject."""
        first = next(iter(self.sources))
        filled = [name for names in self.sources.values() for name in names] + [hop.fills for hops in self.hops.values() for hop in hops]
        read = [name for hops in self.hops.values() for hop in hops for name in hop.reads]
        tables = "".join(f'{_local(name)} = Table("{name}"{"" if name.startswith("bronze") else ", Thing"})\n' for name in dict.fromkeys([*filled, *read]))
        every = f"from flows.{first}.tables import *\n"
        found = {f"{first}/tables.py": TABLES + tables}
        for subject, names in self.sources.items():
            lines = "".join(f'{_local(name)}_files = Source({_local(name)}, "inbox/{name}")\n' for name in names)
            found[f"{subject}/sources.py"] = SOURCES + every + lines + self.more.get((subject, "sources"), "")
            found[f"{subject}/hops.py"] = (
                HOPS + every + self.more.get((subject, "head"), "") + "".join(hop.text for hop in self.hops[subject]) + self.more.get((subject, "hops"), "")
            )
        return found


def _local(name: str) -> str:
    return name.replace(".", "_")


def _draw(chance: random.Random) -> Drawn:
    """A project that fits: hops read what is filled already, so there is no circle."""
    drawn = Drawn()
    subjects = chance.sample(["shop", "post", "bank", "zoo"], chance.randint(1, 3))
    for subject in subjects:
        drawn.sources[subject] = [f"bronze.{subject}.s{number}" for number in range(chance.randint(1, 2))]
        drawn.hops[subject] = []
    known = [name for names in drawn.sources.values() for name in names]
    carry = set(known)
    for number in range(chance.randint(1, 5)):
        subject = chance.choice(subjects)
        layer = chance.choice(["silver", "silver", "gold"])
        reads = chance.sample(known, min(len(known), chance.randint(1, 3)))
        write = chance.choice(["replace", "merge", "append"]) if reads[0] in carry and layer == "silver" else "replace"
        places = write != "replace" or (reads[0] in carry and layer == "silver" and chance.random() < 0.5)
        drawn.hops[subject].append(Hop(f"{layer}.{subject}.h{number}", reads, write, places))
        known.append(drawn.hops[subject][-1].fills)
        carry |= {known[-1]} if places else set()
    return drawn


@pytest.mark.parametrize("kind", _KINDS)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    """A random project that fits is accepted, and refused with names and lines once one thing in it is wrong."""
    for draw in range(_DRAWS):
        chance = random.Random(f"{kind} {draw}")
        drawn = _draw(chance)
        root = write_project(tmp_path / f"{draw} fits", drawn.files())
        for subject in drawn.sources:
            assert load(root, subject).name == subject
        words, concerned, lines = _spoilt(drawn, kind, chance)
        root = write_project(tmp_path / f"{draw} spoilt", drawn.files())
        for subject in drawn.sources:
            if subject not in concerned:
                assert load(root, subject).name == subject
                continue
            with pytest.raises(DeclarationError) as refused:
                load(root, subject)
            for word in [*words, *(line_of(root, file, text) for file, text in lines)]:
                assert word in str(refused.value), (draw, subject, drawn)


def _spoilt(drawn: Drawn, kind: str, chance: random.Random) -> tuple[list[str], set[str], list[tuple[str, str]]]:
    """Make one thing wrong. Returns words of the refusal, the subjects that it concerns, and the lines that it names, by file and text."""
    subjects = list(drawn.sources)
    owner, other = chance.choice(subjects), chance.choice(subjects)
    hops = [(subject, hop) for subject in subjects for hop in drawn.hops[subject]]
    whose, hop = chance.choice(hops)
    own = f"@hop({_local(hop.fills)}"
    if kind == "two sources":
        name = chance.choice(drawn.sources[owner])
        drawn.more[other, "sources"] = f'again = Source({_local(name)}, "elsewhere")\n'
        return [name, "two sources"], {owner, other}, [(f"{owner}/sources.py", f"{_local(name)}_files ="), (f"{other}/sources.py", "again =")]
    if kind == "two hops":
        drawn.more[other, "hops"] = f"\n\n@hop(  {_local(hop.fills)}, given={_local(drawn.sources[owner][0])})\ndef again(given):\n    return given\n"
        return [hop.fills, "two hops", "hop again"], {whose, other}, [(f"{whose}/hops.py", own), (f"{other}/hops.py", "@hop(  ")]
    if kind == "circle":
        middle = f"gold.{other}.middle"
        drawn.hops[other].append(Hop(middle, [hop.fills], "replace", places=False))
        hop.reads.append(middle)
        return [f"{hop.fills} → {middle}", "circle"], {whose, other}, [(f"{whose}/hops.py", own), (f"{other}/hops.py", f"@hop({_local(middle)}")]
    if kind == "nobody fills":
        hop.reads.append(f"{chance.choice(['bronze', 'silver', 'gold'])}.{owner}.nobody")
        return [f"reads {hop.reads[-1]}", "fills it"], {whose}, [(f"{whose}/hops.py", own)]
    if kind == "declared twice":
        name = hop.fills
        drawn.more[other, "hops"] = f'\n\nagain = Table("{name}", Thing, owner="{chance.choice("abc")}")\n'
        return [f"{name} is declared twice", "owner"], set(subjects), [(f"{other}/hops.py", "again =")]
    lost = Hop(f"silver.{other}.lost", [drawn.sources[owner][0]], chance.choice(["merge", "append"]), places=False)
    drawn.hops[other].append(lost)
    return [f"hop fill_{_local(lost.fills)}", f"by {lost.write}", "*PROVENANCE"], {other}, [(f"{other}/hops.py", f"@hop({_local(lost.fills)}")]
