"""How large the parts of one file may be: what is beyond is no table that anybody declared, and reading it would cost all others their memory."""

from __future__ import annotations

from collections.abc import Sequence

from lake.errors import FileRejected
from lake.wording import counted

MOST_COLUMNS = 10_000
MOST_NAMES = 5_000  # that the records of one JSON file have between them: keys that are data make as many
LONGEST_NAME = 1 << 16  # characters of a column's name, or of a name in JSON
LONGEST_LINE = 1 << 24  # bytes
DEEPEST = 32  # levels of lists and structs in each other
_PLAINLY = 4  # times: what might be a sentence is looked at
MOST_CELLS = 1 << 23  # that are made at once where a file has many columns
MOST_MISSING = 1 << 28  # fields that the records of one file lack
MOST_SPARSE, SPARSE = 1 << 22, 16  # cells of a sheet that may be there, or as many times those that hold something
MOST_MEMBERS = 1 << 16
LONGEST_CONTENTS = 1 << 24  # bytes of an archive's list of its files


def columns_beyond(names: Sequence[str]) -> str | None:
    """What is wrong with more columns than a table has, or with names that are texts of their own."""
    if len(names) > MOST_COLUMNS:
        return (
            f"it has {counted(len(names), 'column')}, more than the {MOST_COLUMNS:,} that a table may have. "
            "Where columns are data, write them as rows: one value for the name and one for what it has"
        )
    long = next((number for number, name in enumerate(names, 1) if len(name) > LONGEST_NAME), None)
    return None if long is None else f"the name of column {long:,} has {len(names[long - 1]):,} characters, more than the {LONGEST_NAME:,} of a name"


def check_columns(names: Sequence[str]) -> None:
    """Raise FileRejected with what `columns_beyond` says."""
    if problem := columns_beyond(names):
        raise FileRejected(problem, "Its bytes are kept in raw; correct it and land it again")


def first_line_beyond(head: bytes, delimiter: str | None) -> str | None:
    """What is wrong with a text that begins with `head` if its first line is too long to be looked at: columns by the hundred thousand, or no end."""
    ends = [at for sign in (b"\n", b"\r") if (at := head.find(sign)) >= 0]
    first = head[: min(ends, default=len(head))]
    if len(first) > LONGEST_LINE:
        return too_long(1).message
    most = max(first.count(sign) for sign in ([delimiter.encode()] if delimiter else (b",", b";", b"\t", b"|")))
    return columns_beyond([""] * (most + 1)) if most > _PLAINLY * MOST_COLUMNS else None


def too_long(line: int, what: str = "line") -> FileRejected:
    """Why a text is rejected one of whose lines does not end."""
    return FileRejected(
        f"{what} {line:,} is longer than {counted(LONGEST_LINE, 'byte')}, which is no record of a table",
        "Check how its lines end; a document on one line is read where it is JSON (Hints(format='json'))",
    )
