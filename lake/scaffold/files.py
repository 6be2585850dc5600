"""Which of the files that somebody points at belong together, and what is in them: each kind fills one bronze table."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import RESCUED, ROW
from lake.draft import Draft, class_name, drafted, found_hints, guessed_key, identifier, pattern_of, stem_of
from lake.errors import DeclarationError, LakeError, SourceError
from lake.guess import MOST_ROWS, Column, guess_columns
from lake.inbox import look_into
from lake.previewing import Member, Preview, preview
from lake.reading.unpack import bare_name
from lake.wording import counted

_LOOKED_AT = 5
"""So many files of one kind are looked at, spread over all of them by name; the columns of a few say what those of the rest are."""
_MOST_KINDS = 40
_WIDEST_PAIR = 16  # columns among which a key of two is looked for
_HIDDEN = " (hidden)"


@dataclass
class Kind:
    """Files that fill one bronze table: where they lie, the pattern of their names, and what is in those that were looked at.

    `at` is the path as it was given; the columns are those of all that were looked at, with `rows` rows together.
    """

    at: Path
    pattern: str
    stem: str
    members: list[Member]
    kept: list[Preview] = field(repr=False)
    columns: list[Column] = field(default_factory=list)
    rows: int = 0
    key: tuple[str, ...] = ()
    table: str = ""

    def draft(self, at: str, copies: str) -> Draft:
        """Its table, drafted; `at` is where its files are as the project says it."""
        main = self.members[0]
        return drafted(
            self.table, class_name(self.table), at, self.pattern, found_hints(main.dialect, main.hints), self.columns, self.rows, self.key, copies=copies
        )

    def scan(self) -> pl.LazyFrame:
        """The rows of all files that were looked at."""
        return _together(self.members)


@dataclass
class Found:
    """The kinds of files there are, and words on what was left out."""

    kinds: list[Kind] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look(paths: list[Path]) -> Found:
    """Look at files and folders. What a folder has besides readable files is named in the notes, and left out.

    Raises SourceError where a path is not there, cannot be read, or holds nothing that can be; a file that was pointed at itself must be readable.
    """
    found = Found()
    for path in dict.fromkeys(paths):
        if not _is_text(str(path)):
            raise SourceError(f"the name of {_as_text(str(path))} is no text in UTF-8, and sources are declared as text", "Rename it")
        found.kinds += _in_folder(path, found.notes) if path.is_dir() else _of_file(path, found.notes)
    if len(found.kinds) > _MOST_KINDS:
        raise DeclarationError(
            f"there are {counted(len(found.kinds), 'kind')} of files, and a subject of so many tables would help nobody",
            f"Point at fewer with --from: up to {_MOST_KINDS} kinds",
        )
    for kind in found.kinds:
        kind.columns, kind.rows = _columns(kind.members)
        kind.key = guessed_key(kind.columns) or _pair(kind)
    _name_tables(found.kinds)
    return found


def _of_file(path: Path, notes: list[str]) -> list[Kind]:
    """The file as kinds: one, or one for each sheet of a workbook that holds several tables."""
    return list(_kinds(path.parent, path.name, pattern_of(path.name), [path], notes, whole=True))


def _in_folder(folder: Path, notes: list[str]) -> list[Kind]:
    """The kinds of files in a folder: those whose names differ in their numbers alone, or that have the same columns."""
    try:
        inbox = look_into(folder, lambda _: True, _as_text)
    except OSError as error:
        raise SourceError(f"{folder} cannot be listed: {error.strerror}", "Check its permissions") from None
    notes += [f"{name} in {folder}: {why}" for name, why in inbox.passed.items()] + inbox.problems
    notes += [f"left out: {_as_text(name)} in {folder}: its name is no text in UTF-8" for name in inbox.names if not _is_text(name)]
    groups: dict[str, list[str]] = {}
    for name in sorted(filter(_is_text, inbox.names)):
        groups.setdefault(_open_pattern(name), []).append(name)
    if not groups:
        raise SourceError(f"{folder} holds no file", "Put one there, or point at another folder or file")
    if len(groups) > 10 * _MOST_KINDS:
        groups = _by_ending([name for names in groups.values() for name in names])
    kinds: list[Kind] = []
    for pattern, names in groups.items():
        kinds += _kinds(folder, names[0], pattern, [folder / name for name in names], notes, whole=False)
    if not kinds:
        raise SourceError(f"no file in {folder} can be read: {notes[-1]}", "Point at files that `lake preview FILE` shows")
    return _joined(kinds, folder, groups)


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_text(name: str) -> bool:
    """Whether a name is text, and not bytes that no encoding of the system explains."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def _by_ending(names: list[str]) -> dict[str, list[str]]:
    """Files in groups by what their names end in: where there are too many names to look at each."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(f"*{''.join(Path(name).suffixes[-2:])}", []).append(name)
    return groups


def _open_pattern(name: str) -> str:
    """The pattern of a file below a folder; where its name is all numbers, as of a day, these are open as well."""
    folder, _, file = name.rpartition("/")
    if re.search(r"[^\W\d_]", file.partition(".")[0]):
        return pattern_of(name)
    exact = re.sub(r"([*?\[])", r"[\1]", f"{folder}/" if folder else "")
    return re.sub(r"\d+", "[0-9]*", exact) + re.sub(r"\d[\d._-]*\d(?=\.\D|$)|\d{2,}", "[0-9]*", file)


def _kinds(at: Path, name: str, pattern: str, files: list[Path], notes: list[str], *, whole: bool) -> Iterator[Kind]:
    """The kinds in files of one pattern. With `whole`, one that cannot be read is an error; else it is named and left out."""
    step = max(1, (len(files) - 1) // (_LOOKED_AT - 1)) if len(files) > _LOOKED_AT else 1
    members, kept, sheets = list[Member](), list[Preview](), list[str]()
    for file in [*files[::step][: _LOOKED_AT - 1], files[-1]] if len(files) > _LOOKED_AT else files:
        try:
            opened = preview(file, rows=0)
        except LakeError as error:
            if whole:
                raise
            notes.append(f"left out: {error.message}")
            continue
        kept.append(opened)
        for member in opened.members:
            if (why := _unusable(member)) is None:
                members.append(member)
                sheets += member.dialect.other_sheets
            elif whole:
                raise SourceError(f"{file} {why}", "Point at files that `lake preview FILE` shows with columns")
            else:
                notes.append(f"left out: {file} {why}")
    if not members:
        return
    packed = members[0].dialect.member if len(members) == len(kept) else None  # an archive of several files gives them its own name
    stem = stem_of(packed or name, again=pattern != re.sub(r"([*?\[])", r"[\1]", name))
    stem = stem if re.search(r"[^\W\d_]", stem) else at.resolve().name
    others = list(dict.fromkeys(sheets))
    yield Kind(at, pattern, f"{stem} {members[0].dialect.sheet}" if others else stem, members, kept)
    for sheet in others:
        if sheet.endswith(_HIDDEN):
            notes.append(f"left out: the hidden sheet {sheet.removesuffix(_HIDDEN)} of {files[0].name}")
            continue
        opened = preview(files[0], rows=0, sheet=sheet)
        if (why := _unusable(opened.main)) is not None:
            notes.append(f"left out: the sheet {sheet} of {files[0].name} {why}")
            continue
        yield Kind(at, pattern, f"{stem} {sheet}", [opened.main], [opened])


def _unusable(member: Member) -> str | None:
    """Why no table can be drafted from a file; None where one can."""
    if member.problem is not None:
        return f"would be rejected: {member.problem}"
    return None if set(member.frame.columns) - {ROW, RESCUED} else "has no column"


def _joined(kinds: list[Kind], folder: Path, groups: dict[str, list[str]]) -> list[Kind]:
    """Kinds with the same columns are one, called as the folder, if one pattern takes all their files and no other's."""
    alike: dict[Any, list[Kind]] = {}
    for kind in kinds:
        main = kind.members[0]
        alike.setdefault((tuple(main.frame.columns), main.dialect.format, main.dialect.delimiter, str(found_hints(main.dialect, main.hints))), []).append(kind)
    result = []
    for some in alike.values():
        ending = _common_ending([name for kind in some for name in groups[kind.pattern]])
        others = {name for pattern, names in groups.items() if pattern not in {kind.pattern for kind in some} for name in names}
        if len(some) == 1 or (others and (not ending or any(name.endswith(ending) for name in others))):
            result += some
            continue
        plain = re.sub(r"([*?\[])", r"[\1]", ending)
        members = [member for kind in some for member in kind.members][:_LOOKED_AT]
        result.append(Kind(some[0].at, f"*{plain}", folder.resolve().name, members, [one for kind in some for one in kind.kept]))
    return result


def _common_ending(names: list[str]) -> str:
    """What all names end in, from the point on: `.csv.gz`; nothing if they end differently."""
    endings = {"".join(Path(name).suffixes[-2:]) if bare_name(name) != name else Path(name).suffix for name in names}
    return endings.pop() if len(endings) == 1 else ""


def _together(members: list[Member]) -> pl.LazyFrame:
    return pl.concat([member.scan() for member in members], how="diagonal_relaxed") if len(members) > 1 else members[0].scan()


def _columns(members: list[Member]) -> tuple[list[Column], int]:
    """The columns of several files as one, and how many rows these have: a column is a key's if it is in each file alone."""
    if len(members) == 1:
        return members[0].columns, members[0].rows
    rows = sum(member.rows for member in members)
    renamed = {name: named for member in reversed(members) for name, named in member.renamed.items()}
    try:
        columns = guess_columns(_together(members), renamed, rows)
    except pl.exceptions.PolarsError:  # a field that is a list in one and a number in another: bronze settles that, the draft is of the first
        return members[0].columns, members[0].rows
    unique = [
        {column.name for column in (some[0].columns if len(some) == 1 else guess_columns(_together(some), renamed, count)) if column.unique}
        for some in _by_file(members)
        if (count := sum(member.rows for member in some)) > 1
    ]
    return [replace(column, unique=bool(unique) and not column.nulls and all(column.name in one for one in unique)) for column in columns], rows


def _by_file(members: list[Member]) -> list[list[Member]]:
    """The members by the file they are in: what an archive holds came together."""
    files: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        files.setdefault((member.folder, member.file), []).append(member)
    return list(files.values())


def _pair(kind: Kind) -> tuple[str, ...]:
    """Two columns that tell rows apart together, where none does alone: codes, numbers and days, the ones that stand first."""
    if kind.rows < 2 or kind.rows > MOST_ROWS:
        return ()
    fit = [
        column.name
        for column in kind.columns[:_WIDEST_PAIR]
        if not (column.nulls or column.blanks or column.absent)
        and column.dtype.base_type() in (pl.String, pl.Int64, pl.Int32, pl.Date)
        and (column.guess.is_integer() or column.guess in (pl.String, pl.Date))
    ]
    pairs = list(combinations(fit, 2))
    for some in _by_file(kind.members) if pairs else ():
        distinct = _together(some).select(pl.struct(pair).n_unique().alias(str(n)) for n, pair in enumerate(pairs)).collect(engine="streaming").row(0)
        pairs = [pair for pair, number in zip(pairs, distinct, strict=True) if number == sum(member.rows for member in some)]
        if not pairs:
            return ()
    return pairs[0] if pairs else ()


def _name_tables(kinds: list[Kind]) -> None:
    """Give each kind the name of its table: no two alike, as classes neither, and none that another's bronze table has in the drafted files."""
    taken: set[str] = set()
    for kind in kinds:
        wanted = identifier(posixpath.basename(kind.stem), "table")
        while wanted.startswith("bronze_"):
            wanted = identifier(wanted.removeprefix("bronze_"), "table")
        name, number = wanted, 2
        while class_name(name) in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(class_name(name))
        kind.table = name
