"""Lines of a text that are neither rows nor rejects: the role of each, why it has that, and how many there are. However many they are, they are in memory in part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lake.reading.kinds import NOTHING, is_typed, kind_of
from lake.wording import counted, shortened

STRUCTURE = pl.Schema({"line": pl.Int64(), "bytes": pl.Binary(), "role": pl.String(), "why": pl.String()})
"""One structural line, or one that a header goes on in: its first line (0: a byte order mark), its bytes, what it is, and why it is taken for that."""

MARK, TITLE, BLANK, HEADER, UNITS, COMMENT = "mark", "title", "blank", "header", "units", "comment"
SEPARATOR, FOOTER, AGAIN, PADDING = "separator line", "footer", "repeated header", "padding"
WHY = {
    MARK: "a byte order mark",
    TITLE: "it stands above the header",
    BLANK: "there is nothing in it",
    HEADER: "the names of the columns",
    UNITS: "what the columns are measured in",
    COMMENT: "it begins as comments do",
    SEPARATOR: "it says or shows where fields end",
    FOOTER: "it stands below the records",
    AGAIN: "the header again",
    PADDING: "signs that are no text fill up the end",
}
SILENT = frozenset({MARK, HEADER, BLANK, PADDING})  # roles that need no notice: names of columns are told as columns
_BATCH, _BATCH_TEXT = 50_000, 1 << 25
_EXAMPLE = 60


class Aside:
    """Collects structural lines: a few in memory, many in Parquet parts in the folder `spool`."""

    def __init__(self, spool: Path | None = None) -> None:
        self.roles: dict[str, int] = {}
        self._spool = spool
        self._rows: list[tuple[int, bytes, str, str]] = []
        self._size = 0
        self._parts: list[Path] = []

    def take(self, line: int, raw: bytes, role: str, why: str | None = None) -> None:
        """One more of them."""
        self.roles[role] = self.roles.get(role, 0) + 1
        self._rows.append((line, raw, role, why or WHY[role]))
        self._size += len(raw)
        if self._spool is not None and (len(self._rows) >= _BATCH or self._size >= _BATCH_TEXT):
            part = self._spool / f"structure-{len(self._parts):05d}.parquet"
            self._frame().write_parquet(part, compression="lz4")
            self._parts.append(part)
            self._rows, self._size = [], 0

    def frame(self) -> pl.LazyFrame:
        """All of them, in the order they were taken."""
        parts = [pl.scan_parquet(part, glob=False) for part in self._parts]
        return pl.concat([*parts, self._frame().lazy()]) if parts else self._frame().lazy()

    def _frame(self) -> pl.DataFrame:
        return pl.DataFrame(self._rows, schema=STRUCTURE, orient="row")


def none_aside() -> pl.LazyFrame:
    """No line."""
    return pl.LazyFrame(schema=STRUCTURE)


def is_shaped(fields: Sequence[str], width: int, shape: str, *, least: int | None = None) -> bool:
    """Whether a line has as many fields as the records, of the same kinds: then it may be one, and is never structure.

    Where columns hold numbers or dates, half of these (or `least` of them) must be there and none be text; where none does, no field may be empty.
    """
    if width < 2 or len(fields) != width:
        return False
    typed = [i for i, letter in enumerate(shape) if is_typed(letter)]
    kinds = [kind_of(field) for field in fields]
    if not typed:
        return all(kind != NOTHING for kind in kinds)
    agreeing = sum(kinds[i] == shape[i] for i in typed)
    return (agreeing * 2 >= len(typed) if least is None else agreeing >= least) and all(kinds[i] in (shape[i], NOTHING) for i in typed)


def left_out(structure: pl.LazyFrame, roles: dict[str, int]) -> str:
    """In words what is left out of the rows, where that is more than a header and blank lines; else nothing."""
    noted = {role: count for role, count in roles.items() if role not in SILENT}
    if not noted:
        return ""
    first = structure.filter(pl.col("role").is_in(list(noted))).unique("role", keep="first", maintain_order=True).select("role", "line", "bytes").collect()
    examples = {role: (line, shortened(raw.decode("utf-8", "backslashreplace").strip(), _EXAMPLE)) for role, line, raw in first.iter_rows()}
    parts = [f"{counted(count, _spoken(role))} (line {examples[role][0]}: {examples[role][1]!r})" for role, count in noted.items() if role in examples]
    return f"{', '.join(parts)} left out of the rows: `lake rejects --structure` shows them"


def _spoken(role: str) -> str:
    return role if role in (SEPARATOR, AGAIN) else f"{role} line"
