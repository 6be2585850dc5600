"""A project put together from what was found, and written: whole, or not at all."""

from __future__ import annotations

import contextlib
import keyword
import os
import re
from collections.abc import Mapping
from pathlib import Path

from lake.draft import as_files, identifier
from lake.errors import DeclarationError, LakeError, SourceError
from lake.scaffold import texts
from lake.scaffold.files import Kind
from lake.scaffold.gold import Gold, first_gold
from lake.wording import counted


class NotEmpty(LakeError):
    """Files are there that a new project would write."""


_SUBJECT = re.compile(r"[a-z][a-z0-9_]*")


def subject_of(folder: Path, told: str | None) -> str:
    """The subject of a project: as told, or called as its folder. Raises DeclarationError for a name that no subject can have."""
    if told is None:
        return identifier(folder.resolve().name, "project")
    if not _SUBJECT.fullmatch(told) or keyword.iskeyword(told):
        raise DeclarationError(
            f"{told!r} cannot be the name of a subject", "Write small letters, digits and underscores, a letter first, and no word of Python's"
        )
    return told


def places(subject: str) -> list[str]:
    """The files that a new project has, by their paths in it."""
    home = f"flows/{subject}"
    inside = [f"{home}/{name}.py" for name in ("__init__", "tables", "sources", "hops", "flow")]
    return [
        "pyproject.toml", ".gitignore", ".github/workflows/check.yml", "flows/__init__.py", *inside, f"tests/test_{subject}.py", f"notebooks/{subject}.py",
    ]  # fmt: skip


def check_free(folder: Path, files: list[str]) -> None:
    """Raise NotEmpty, naming them, where files are there that would be written; SourceError where `folder` can be none."""
    above = next((path for path in (folder, *folder.absolute().parents) if os.path.lexists(path)), folder)
    if not above.is_dir():
        raise SourceError(f"{above} is no folder", "Name a folder, or one that can be made")
    if there := [name for name in files if os.path.lexists(folder / name)]:
        raise NotEmpty(
            f"{folder} has {counted(len(there), 'file')} already that a new project would write: {', '.join(there)}",
            "Nothing was written. Name another folder; for a project that there is, `lake preview FILE --contract` drafts the files of a subject",
        )


def project(folder: Path, subject: str, kinds: list[Kind], copies: str, *, at: Mapping[Path, str] | None = None) -> tuple[dict[str, str], Gold]:
    """All files of the project by their paths in it, and its first gold table. `at` says where sources lie as the project says it, where that is not found out."""
    drafts = [kind.draft((at or {}).get(kind.at) or place_in(folder, kind.at), copies) for kind in kinds]
    gold = first_gold(subject, kinds[0], subject, {kind.table for kind in kinds})
    home = f"flows/{subject}"
    files = as_files(subject, drafts, owner=subject)
    files[f"{home}/tables.py"] += gold.tables
    files[f"{home}/hops.py"] += gold.hop
    files |= {
        "pyproject.toml": texts.settings(subject.replace("_", "-").strip("-")),
        ".gitignore": texts.IGNORED,
        ".github/workflows/check.yml": texts.WORKFLOW,
        "flows/__init__.py": "",
        f"{home}/__init__.py": f'"""TODO: what {subject} is about."""\n',
        f"{home}/flow.py": texts.flow(subject, subject),
        f"tests/test_{subject}.py": texts.tests(subject, kinds, {one.table: one.contract for one in drafts}, gold),
        f"notebooks/{subject}.py": texts.notebook(subject, gold),
    }
    for name, text in files.items():
        if name.endswith(".py"):
            compile(text, name, "exec")  # what does not parse is a defect of ours, and is not left behind
    return files, gold


def place_in(folder: Path, source: Path) -> str:
    """Where a source is, as the project in `folder` says it: relative to it if it is inside, or was told relative; else absolute."""
    home, place = folder.resolve(), Path(os.path.abspath(source))
    if source.is_absolute() and not place.is_relative_to(home):
        return str(place)
    return Path(os.path.relpath(place, home)).as_posix()


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files, none over another. If one cannot be written, those that were, and the folders that were made for them, are removed."""
    made: list[Path] = []
    try:
        for name, text in files.items():
            path = folder / name
            missing = [parent for parent in path.parents if not parent.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                made.append(parent)
            with path.open("x", encoding="utf-8", newline="\n") as handle:
                made.append(path)
                handle.write(text)
    except (OSError, UnicodeError) as error:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        why = error.strerror if isinstance(error, OSError) else "a name in it is no text"
        raise SourceError(f"{folder / name} cannot be written: {why}", "Nothing was left behind; name another folder, or make room for this one") from None
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise
