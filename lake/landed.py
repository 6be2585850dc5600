"""What landing one source did, and how it is told in a line."""

from __future__ import annotations

from dataclasses import dataclass, field

from lake.plain_text import in_line
from lake.wording import counted

_NAMED = 20  # files in a line


@dataclass
class Landed:
    """What landing one source did: names of files new, known already, and left out as copies of known content; bytes newly stored.

    `copies` has the names of those left out, each with the file that it equals. `changed` has the names of those of the new that go on from a file that landed before,
    each with the name of that, and of those that are other than they were under their name, with none. `passed` has what was not read, by name with the reason: links out of the folder,
    pipes, devices, objects of names that no file has.
    """

    source: str
    new: list[str] = field(default_factory=list)
    known: int = 0
    duplicates: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    bytes: int = 0
    version: int = -1
    copies: dict[str, str] = field(default_factory=dict, compare=False)
    changed: dict[str, str] = field(default_factory=dict, compare=False)
    passed: dict[str, str] = field(default_factory=dict, compare=False)


def landed_line(landed: Landed) -> str:
    """What landing did, in words."""
    parts = []
    if landed.new:
        shown = ", ".join(landed.new[:3]) + (f" and {len(landed.new) - 3} more" if len(landed.new) > 3 else "")
        parts.append(f"{counted(len(landed.new), 'new file')} ({shown}; {counted(landed.bytes, 'byte')})")
    if grown := [name if name == of else f"{name} from {of}" for name, of in landed.changed.items() if of]:
        parts.append(f"{_few(grown)} {'goes' if len(grown) == 1 else 'go'} on from what landed before: its new records come in")
    if corrected := [name for name, of in landed.changed.items() if not of]:
        parts.append(f"{_few(corrected)} {'is' if len(corrected) == 1 else 'are'} not as before: all records come in, as a correction")
    if landed.duplicates:
        shown = ", ".join(f"{name} is {of}" for name, of in list(landed.copies.items())[:_NAMED])
        more = f" and {len(landed.copies) - _NAMED:,} more" if len(landed.copies) > _NAMED else ""
        parts.append(
            f"{counted(len(landed.duplicates), 'copy')} of landed files left out ({shown}{more}, byte for byte; if deliveries may repeat, declare "
            'Source(copies="deliver"))'
        )
    if landed.passed:
        parts.append("passed over: " + _few([f"{name} ({why})" for name, why in sorted(landed.passed.items())]))
    if landed.problems:
        parts.append("; ".join(landed.problems))
    return in_line(", ".join(parts)) or f"nothing new ({counted(landed.known, 'file')} known)"


def _few(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
