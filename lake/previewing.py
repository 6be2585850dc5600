"""What bronze would hold of a file, before anything is declared: no store, no project."""

from __future__ import annotations

import html
import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from lake.contract import RESCUED, ROW
from lake.draft import as_text, draft
from lake.dtypes import gate
from lake.errors import DeclarationError, FileRejected, LakeError, SourceError, UnknownName, translated
from lake.guess import Column, guess_columns
from lake.reading.delimited import REJECTS
from lake.reading.dialect import Dialect
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member
from lake.reading.unpack import Compression, compression_of
from lake.wording import counted

_FAILURES = (LakeError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True)
class Member:
    """One file inside the previewed one: what bronze would hold of it.

    `frame` has its first rows, `scan()` all of them, typed as in bronze, without `_file` and `_landed`. `rejects` has `_row`, `line`,
    `bytes` and `reason`; a file that is rejected whole has one, with the `problem` as its reason. `notes` says what was done to columns.
    `structure` has the lines that are neither rows nor rejects (line, bytes, role, why), `mended` how many records were put right, by how.
    """

    file: str
    folder: str
    dialect: Dialect
    hints: Hints
    frame: pl.DataFrame
    rejects: pl.DataFrame
    rows: int
    problem: str | None = None
    notes: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    structure: pl.DataFrame = field(default_factory=pl.DataFrame)
    mended: dict[str, int] = field(default_factory=dict)
    all_rows: pl.LazyFrame = field(default_factory=pl.LazyFrame, repr=False)

    @property
    def name(self) -> str:
        """The file, and the member of a package."""
        return f"{self.file} ({self.dialect.member})" if self.dialect.member else self.file

    def scan(self) -> pl.LazyFrame:
        """All rows, read when they are collected. It works as long as the preview is kept."""
        return self.all_rows

    @cached_property
    def columns(self) -> list[Column]:
        """Each column with its name in the file, the type its values would bear, nulls and examples: from its first million rows."""
        return guess_columns(self.all_rows, self.renamed, self.rows)

    def draft(self, subject: str | None = None) -> dict[str, str]:
        """Three files of Python by their paths under flows/, ready to run: tables, sources and hops of `subject` (after the file's folder, if not said)."""
        return draft(self.file, self.folder, self.dialect, self.hints, self.columns, self.rows, subject=subject)

    @property
    def contract(self) -> str:
        """The draft as one text."""
        return as_text(self.draft())


class Preview:
    """A file as bronze would hold it. `members` are the files inside it; the other attributes are those of the first that can be read."""

    def __init__(self, members: list[Member], folder: Path) -> None:
        self.members = members
        self._close = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def main(self) -> Member:
        """The first member that can be read; else the first."""
        return next((member for member in self.members if not member.problem), self.members[0])

    @property
    def dialect(self) -> Dialect:
        """How the file is written down, and why that was found."""
        return self.main.dialect

    @property
    def frame(self) -> pl.DataFrame:
        """The first rows."""
        return self.main.frame

    @property
    def rejects(self) -> pl.DataFrame:
        """What is no record: `_row`, `line`, `bytes`, `reason`."""
        return self.main.rejects

    @property
    def columns(self) -> list[Column]:
        """The columns, with guesses."""
        return self.main.columns

    @property
    def contract(self) -> str:
        """Tables, sources and hops, drafted, as one text."""
        return self.main.contract

    def draft(self, subject: str | None = None) -> dict[str, str]:
        """Three files of Python by their paths under flows/, ready to run: tables, sources and hops of `subject` (after the file's folder, if not said)."""
        return self.main.draft(subject)

    def scan(self) -> pl.LazyFrame:
        """All rows, lazily."""
        return self.main.scan()

    def close(self) -> None:
        """Remove what was unpacked. Done by itself when the preview is no longer used."""
        self._close()

    def __enter__(self) -> Preview:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "\n".join(f"{m.name}: {m.problem or _read(m)}" for m in self.members)

    def _repr_html_(self) -> str:
        return "".join(map(_as_html, self.members))


def preview(path: str | Path, *, rows: int = 100, **hints: Any) -> Preview:
    """Read the file at `path` as a source with `Hints(**hints)` would, and keep its first `rows` in memory.

    Raises SourceError if there is no such file or it cannot be read, UnknownName or DeclarationError for a hint that is none. A file that
    bronze would reject is no error: its member has a `problem`.
    """
    told = told_hints(hints)
    path = Path(path)
    if path.is_dir():
        raise SourceError(f"{path} is a folder", "Name one file in it")
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise SourceError(f"there is no {path}", "Check the name") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "Check its permissions") from None
    folder = Path(tempfile.mkdtemp(prefix="lake-preview-"))
    made = Preview([], folder)
    compression = compression_of(path)
    for i, dialect in enumerate(examine(path, compression, path.name, told)):
        made.members.append(_member(path, compression, dialect, told, folder / f"{i}", rows))
    return made


def told_hints(hints: dict[str, Any]) -> Hints:
    """The hints, checked; text is turned into numbers and true or false where a hint is one."""
    if unknown := next((name for name in hints if name not in Hints.model_fields), None):
        raise UnknownName.among("hint", unknown, Hints.model_fields)
    try:
        return Hints(**hints)
    except ValidationError as error:
        first = error.errors()[0]
        raise DeclarationError(f"hint {first['loc'][0]}: {first['msg']}", "`lake preview --help` tells the hints and their values") from None


def _member(path: Path, compression: Compression | None, dialect: Dialect, hints: Hints, spool: Path, rows: int) -> Member:
    try:
        parsed = read_member(path, compression, dialect, path.name, spool)
        names = [name for name in parsed.frame.collect_schema().names() if name not in (ROW, RESCUED)]
        passage = gate(parsed.frame.select(ROW, *names, RESCUED).collect_schema(), represent=True)
        if passage.losses and (lost := passage.lost(parsed.frame.select(passage.losses).collect(engine="streaming").row(0, named=True))):
            raise FileRejected(lost, "Correct the values in the file")
        frame = parsed.frame.select(passage.expressions)
        first = frame.head(rows).collect(engine="streaming")
    except _FAILURES as error:
        message = error.message if isinstance(error, LakeError) else translated(error, path.name).message
        reject = pl.DataFrame([(None, None, None, message)], schema=REJECTS, orient="row")
        return Member(path.name, str(path.parent), dialect.model_copy(update={"problem": message}), hints, pl.DataFrame(), reject, 0, message)
    renamed = dialect.renamed | parsed.renamed
    count = parsed.records - parsed.rejects.height
    why = dialect.why | parsed.why
    notes = passage.conversions | parsed.notes
    return Member(
        path.name, str(path.parent), dialect, hints, first, parsed.rejects, count, None, notes, why, renamed, parsed.structure.collect(), parsed.mended, frame
    )


def _as_html(member: Member) -> str:
    told = "; ".join(f"{name} {value}" for name, value in (member.dialect.particulars | {f"why {k}": v for k, v in member.why.items()}).items())
    head = f"<h4>{html.escape(member.name)}</h4><p>{html.escape(told)}</p>"
    if member.problem:
        return f"{head}<p>Rejected: {html.escape(member.problem)}</p>"
    counts = f"<p>{counted(member.rows, 'row')}, {counted(member.rejects.height, 'reject')}</p>"
    return head + counts + member.frame._repr_html_() + (member.rejects.head(10)._repr_html_() if member.rejects.height else "")  # noqa: SLF001  # what notebooks ask for


def _read(member: Member) -> str:
    """How a file was read, and what came of it."""
    return f"{member.dialect.format}, {counted(member.rows, 'row')}, {counted(member.rejects.height, 'reject')}"
