"""What was taken of raw files, and their rejects: committed once, and resolved when the file is read again, or another of its name corrects it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lake.content import Content
from lake.contract import FILE, ROW
from lake.datafile import parts_in, write_parts
from lake.fit import Fit
from lake.place import file_of
from lake.quarantine import BARE, open_rejects, quarantine, resolved, stamped
from lake.receipts import files_in, named
from lake.record import BEYOND, INEXACT, ConsumedFile, Notice, Record
from lake.run import Run
from lake.source import Source

_WHOLE = pl.col(ROW).is_null() & pl.col("line").is_null()  # a reject that stands for a file


@dataclass(frozen=True)
class Taken:
    """One member of one raw file, gated: where its parts are, or its rows themselves (`held`) if these are few (neither: it is rejected whole), and what came of it.

    `there` rows of it are in the table already. `name` is that of the file, `corrects` whether it came just now: then it takes the place of
    files of its name that were rejected whole. `remarks` say what is to be known of how it was read, `content` is that of all rows in `parts`, if known.
    `structure` has its structural lines, if there are any; `aside` says which of them are worth a notice. `beyond` rows have fields
    that no column of the file has a name for.
    """

    consumed: ConsumedFile
    parts: Path | None
    schema: pl.Schema
    rejects: pl.DataFrame
    renamed: dict[str, str]
    conversions: dict[str, str]
    fit: Fit | None = None
    there: int = 0
    name: str = ""
    corrects: bool = False
    remarks: tuple[str, ...] = ()
    content: Content | None = None
    held: pl.DataFrame | None = None
    structure: pl.LazyFrame | None = None
    aside: str = ""
    beyond: int = 0

    @property
    def accepted(self) -> bool:
        """Whether it has rows, if only none; else it is rejected whole."""
        return self.parts is not None or self.held is not None

    def frames(self) -> list[pl.LazyFrame]:
        """Its rows, part by part, with the columns that it has."""
        if self.held is not None:
            return [self.held.lazy()]
        return [pl.scan_parquet(part, glob=False) for part in parts_in(self.parts)] if self.parts is not None else []

    @property
    def notices(self) -> Iterator[Notice]:
        """What the commit says of the file."""
        yield from (Notice(column="", what="read", detail=remark, file=self.consumed.name) for remark in self.remarks)
        if self.aside:
            yield Notice(column="", what="structure", detail=self.aside, file=self.consumed.name)
        if self.beyond and self.accepted:
            yield Notice(column="", what="rescued", detail=BEYOND, file=self.consumed.name, values=self.beyond)
        yield from self.fit.notices if self.fit else ()

    def with_rescues(self) -> Taken:
        """With the number of values that go to `_rescued` in its notices: of columns that the table has not, and of those whose type has not the value."""
        if self.fit is None or not self.fit.rescued or not (frames := self.frames()):
            return self
        lost = [condition.sum().alias(f"{i}") for i, (condition, _) in enumerate(self.fit.rescued.values())]
        counts = dict(zip(self.fit.rescued, pl.concat(frames).select(lost).collect(engine="streaming").row(0), strict=True))
        told = [one.model_copy(update={"values": counts.pop(one.column, 0)}) if one.what == "rescued" else one for one in self.fit.notices]
        told += [Notice(column=name, what="rescued", detail=INEXACT, file=self.consumed.name, values=count) for name, count in counts.items() if count]
        return replace(self, fit=replace(self.fit, notices=tuple(told)))


def quarantine_files(
    run: Run, source: Source, done: list[Taken], folder: Path, about: dict[str, Any], before: Record | None, again: list[str]
) -> dict[str, Any]:
    """Commit the rejects. Those of files that were read again, and of files rejected whole that others of their name now correct, are resolved by this."""
    table = source.into
    write_rejects(run, done, about["batch"], folder / "rejects")
    whole = _corrected(run, source, before, done)
    anew = _among(open_rejects(run, table, before), again) if again else []
    earlier = open_rejects(run, table, before).filter(pl.col(FILE).is_in(anew) | (_WHOLE & pl.col(FILE).is_in(whole))) if anew or whole else None
    kept = quarantine(run, table, folder / "rejects", about, before=before, anew=earlier)
    return {"quarantine": kept, "rejects": kept["total"]}


def _corrected(run: Run, source: Source, before: Record | None, done: list[Taken]) -> list[str]:
    """The places of what is rejected whole and of whose name a later file is taken in now."""
    names = {item.name for item in done if item.corrects and item.accepted}
    if before is None or not before.rejects or not names:
        return []
    whole = open_rejects(run, source.into, before).filter(_WHOLE).select(pl.col(FILE).unique()).collect(engine="streaming")
    files = files_in(run, source.name, whole[FILE]) if whole.height else {}
    corrected = {file for file, name in named(run, source.name, files.values()).items() if name in names} if files else set()
    return [place for place, file in files.items() if file in corrected]


def _among(rejects: pl.LazyFrame, files: list[str]) -> list[str]:
    """The places of rejects that are in one of the raw objects `files`."""
    there = set(files)
    return [place for place in rejects.select(pl.col(FILE).unique()).collect(engine="streaming").to_series() if file_of(place, there) is not None]


def write_rejects(run: Run, done: list[Taken], batch: str, parts: Path) -> None:
    """Write the rejected records into `parts`, with who rejected them and when; those of files that a later one in the batch corrects are resolved."""
    frames = []
    for i, item in enumerate(done):
        if item.rejects.height:
            bare = item.rejects.lazy().with_columns(rules=pl.lit([], dtype=BARE["rules"]), row=pl.lit(None, dtype=BARE["row"]))
            known = stamped(bare, run, batch, None)
            late = not item.accepted and any(other.name == item.name and other.corrects and other.accepted for other in done[i + 1 :])
            frames.append(resolved(known, run) if late else known)
    if frames:
        write_parts(pl.concat(frames), parts)
