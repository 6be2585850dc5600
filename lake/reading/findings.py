"""What is found of a text's structure, and what its source declares."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Structure:
    """What was found: lines to skip, header records and their fields as names, the units beside them, the last lines that are no records, and the rest.

    `usual` is how many fields most records have where these are more than there are names. `problem` says which hint does not fit the file, where one does not.
    """

    skip_lines: int = 0
    header: int = 1
    names: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    footer_lines: int = 0
    comment: str | None = None
    trailing: bool = False
    rest: bool = False
    usual: int = 0
    table: int = 1
    tables: list[int] = field(default_factory=list)
    shape: str = ""
    why: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class Known:
    """What the source declares of the structure; None is not declared. With `fixed`, the columns are those of its header, as earlier files have them."""

    header: int | bool | None = None
    skip_lines: int | None = None
    footer_lines: int | None = None
    comment: str | None = None
    table: int | None = None
    fixed: bool = False
