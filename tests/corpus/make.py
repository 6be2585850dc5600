"""Write the corpus: `python -m tests.corpus.make FOLDER [--seed N]`. Beside each file stands its truth, as `<file>.expected.json`.

What is taken for right is what a careful person would recover by hand, knowing no more than the file:

- A record is a row; its cells are the text that was in the clean table. Fields that are not there are null, or empty.
- Titles, comments, blank lines, `sep=`, a repeated header, units, notes, row counts and further tables are no rows.
- A row of totals has the form of a record: it may be a row or left out. A unit row may be joined to the names or set aside.
- A record that is damaged so that a person could only guess (bytes that are no text, a quote that never closes, a line cut by the
  file's end, a line in another encoding) may be a row with what is there, or be set aside; it may not disappear.
- Fields past the last column may be in columns without a name, or outside the table. Text in a last column that is never quoted keeps
  its delimiters: there, they are no fields.
- Null and empty are one, and a line break in a cell is one however it is written. Spaces around a cell are those of the clean table.
- A header's names count by position as they stand in the file; a reader may rename repeats and the nameless. Where no name is written, any that is made up is right.
- A field too many that is empty is nothing. Comments, titles and notes that delimiters fill up are what they are without them.
- Where an earlier file of the table is known, its names are those of a file that has none.
- An empty file, or one of nothing but space, is an empty table or a refusal.

Files without a header are made only from tables whose values a person sees apart from names, and a breakage is left out where a
clean table cannot show it (a comment in one column of text is a cell).
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tests.corpus.surroundings
import tests.corpus.unusual  # noqa: F401  # both register breakages
from tests.corpus.breakages import BREAKAGES, Breakage
from tests.corpus.phrases import KNOWN, UNSEEN, Phrases
from tests.corpus.tables import MAKERS, Maker
from tests.corpus.unseen import UNSEEN_MAKERS
from tests.corpus.written import Draft, Honest, Unfit

SEED = 2024
World = tuple[dict[str, Maker], Phrases]
_CLEAN, _SINGLE, _RARE, _PAIRS, _TRIPLES = 4, 4, 2, 120, 60
_LATE = (
    "stray_quote", "unescaped_quotes", "unclosed_quote", "too_few_fields", "too_many_fields", "delimiter_in_last_column", "invalid_bytes",
    "mixed_encoding", "quoted_line_breaks", "repeated_header",
)  # fmt: skip
_ODD_DELIMITERS = (",", ",", ",", ";", ";", "\t", "\t", "|", "|", ":", "^", " ")
_ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1")


@dataclass(frozen=True)
class Case:
    """One file: its name, how it was broken (nothing: it is honest), its bytes, its truth, and the dialect it was written in."""

    name: str
    kinds: tuple[str, ...]
    data: bytes
    expected: dict[str, Any]
    dialect: Honest
    table: list[list[str]]
    before: bytes | None = None


@dataclass(frozen=True)
class _Order:
    """What a case is to be: how it is broken, from which clean table (or any), and whether late in a large file."""

    name: str
    kinds: tuple[str, ...] = ()
    table: str | None = None
    late: bool = False


def corpus(seed: int = SEED) -> Iterator[Case]:
    """Every case of the corpus of `seed`, always in the same order. Other seeds than the first have other tables and phrases too."""
    world = (MAKERS, KNOWN) if seed == SEED else (UNSEEN_MAKERS, UNSEEN)
    orders = [_Order(f"{table}-{i}", table=table) for table in world[0] for i in range(_CLEAN)]
    orders += [_Order(f"{kind}-{i}", (kind,)) for kind, one in BREAKAGES.items() for i in range(_singles(one))]
    orders += [_Order("+".join(some), some) for some in (*_together(seed, world, 2, _PAIRS), *_together(seed, world, 3, _TRIPLES))]
    orders += [_Order(f"{kind}-late", (kind,), late=True) for kind in _LATE]
    for number, order in enumerate(orders):
        yield _case(replace(order, name=f"{number:03d}-{order.name}"), world, random.Random(f"{seed}/{order.name}"))


def write(folder: Path, seed: int = SEED) -> list[Path]:
    """Write the corpus into `folder`: `<name>.csv` and `<name>.expected.json` for each case, `<name>.before` where a file went before. Returns the files in order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for case in corpus(seed):
        path = folder / f"{case.name}.csv"
        path.write_bytes(case.data)
        if case.before is not None:
            path.with_suffix(".before").write_bytes(case.before)
        path.with_suffix(".expected.json").write_text(json.dumps({"kinds": case.kinds, **case.expected}, ensure_ascii=True, indent=1), encoding="utf-8")
        written.append(path)
    return written


def _singles(one: Breakage) -> int:
    """In how many files a breakage stands alone."""
    if one.name in ("no_bytes", "whitespace_only"):
        return 1
    return _RARE if one.breaks.__module__.endswith("unusual") else _SINGLE


def _together(seed: int, world: World, size: int, count: int) -> Iterator[tuple[str, ...]]:
    """A sample of `size` breakages each that do not contradict each other and that some table can show."""
    ordered = sorted((one for one in BREAKAGES.values() if not one.single), key=lambda one: one.order)
    draw = random.Random(f"{seed}/{size}")
    seen: set[tuple[str, ...]] = set()
    while len(seen) < count:
        some = sorted(draw.sample(range(len(ordered)), size))
        kinds = tuple(ordered[i].name for i in some)
        groups = [group for i in some for group in ordered[i].groups]
        if kinds not in seen and len(set(groups)) == len(groups) and _possible(kinds, world):
            seen.add(kinds)
            yield kinds


def _possible(kinds: tuple[str, ...], world: World) -> bool:
    try:
        _case(_Order("trial", kinds), world, random.Random("/".join(kinds)))
    except LookupError:
        return False
    return True


def _case(order: _Order, world: World, draw: random.Random) -> Case:
    """Draw tables and dialects until one can be broken as asked. Raises LookupError if none can."""
    makers, phrases = world
    breaks: list[Breakage] = sorted((BREAKAGES[kind] for kind in order.kinds), key=lambda one: one.order)
    for _ in range(300):
        size = 5000 if order.late else draw.choice([6, 12, 12, 25, 40] if breaks else [1, 3, 8, 20, 60, 200])
        clean = makers[order.table or draw.choice(list(makers))](draw, size)
        try:
            if order.late and (len(clean.rows) < size or len(clean.header) == 1):
                raise Unfit("the table is too small")
            draft = Draft(clean, _dialect(draw, honest=not breaks, late=order.late), draw, order.late, phrases)
            _fair(draft)
            for one in breaks:
                one.breaks(draft)
            data = draft.encoded()
        except Unfit:
            continue
        return Case(order.name, order.kinds, data, draft.expected(), draft.dialect, [clean.header, *clean.rows], draft.before)
    raise LookupError(f"no table can be broken by {order.kinds}")


def _dialect(draw: random.Random, *, honest: bool, late: bool) -> Honest:
    """Any honest dialect for a clean file; a common one for a file that is broken besides."""
    end = draw.choice(["\n", "\n", "\r\n"] + ([] if late else ["\r"] if honest else []))
    if not honest:
        encoding = "utf-8" if late else draw.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "cp1252"])
        return Honest(
            draw.choice([",", ",", ";", "\t", "|"]), '"', draw.choice(["minimal", "minimal", "minimal", "all"]), True, end, encoding, draw.random() < 0.7
        )
    quoting = draw.choice(["minimal", "minimal", "all", "none"])
    doubled = quoting != "all" or draw.random() < 0.5
    return Honest(draw.choice(_ODD_DELIMITERS), draw.choice(['"', '"', "'"]), quoting, doubled, end, draw.choice(_ENCODINGS), draw.random() < 0.7)  # type: ignore[arg-type]


def _fair(draft: Draft) -> None:
    """Raise Unfit where the file would not tell a person what it is."""
    cells = [cell for row in draft.table.rows for cell in row]
    if draft.dialect.delimiter == " " and (draft.width == 1 or "" in cells or draft.dialect.quoting == "none"):
        raise Unfit("words and fields look the same")
    if draft.dialect.delimiter == " " and draft.table.name == "padded":
        raise Unfit("spaces around cells look like fields")
    if draft.dialect.encoding in ("cp1252", "latin-1") and all(line.text.isascii() for line in draft.lines):
        raise Unfit("plain ASCII is UTF-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.make", description="Write the corpus of broken delimited files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    told = parser.parse_args()
    print(f"{len(write(told.folder, told.seed))} files in {told.folder}")


if __name__ == "__main__":
    main()
