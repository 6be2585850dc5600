"""Every error a user can meet, as one tree. Each message says what is wrong and where; `hint` says what to do next.

`next_step` says of each kind what is done about it as a rule; the hint of an error says what to do about that one.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable
from typing import ClassVar

from lake.confidential import hidden
from lake.wording import in_words


class LakeError(Exception):
    """The root: anything lake raises on purpose. The command line prints it as one line and exits with 1."""

    next_step: ClassVar[str] = "Do what the hint says; where there is none, `lake doctor` looks everything over"

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = hidden(message)
        self.hint = hidden(hint) if hint else hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.hint}" if self.hint else self.message


class SettingsError(LakeError):
    """A setting is missing, contradictory or malformed."""

    next_step: ClassVar[str] = "Correct the setting: a LAKE_ or AWS_ variable, or [tool.lake] in pyproject.toml"


class DeclarationError(LakeError):
    """A table, source, hop or contract is declared in a way that cannot work. Raised at import, before anything runs."""

    next_step: ClassVar[str] = "Correct the declaration in the file that is named; nothing has run"


class StoreError(LakeError):
    """The object store did not do what it was asked."""

    next_step: ClassVar[str] = "Run again; if it stays, `lake doctor` looks the store over"


class StoreUnreachable(StoreError):
    """Nothing answers at the endpoint."""

    next_step: ClassVar[str] = "Start the store or correct AWS_ENDPOINT_URL, then run again"


class StoreBusy(StoreError):
    """The store answers, and is overrun or in trouble: 429, 500 or 503, for longer than lake waits."""

    next_step: ClassVar[str] = "Run again when the store is less busy; what was published stands"


class StoreRefused(StoreError):
    """The store answered, and said no: wrong keys or no permission."""

    next_step: ClassVar[str] = "Correct the AWS_ keys, or what they may do"


class StoreUntrusted(StoreError):
    """The store failed the probe of law 7, so lake will not write to it."""

    next_step: ClassVar[str] = "Use a store that passes `lake doctor`"


class DiskFull(LakeError):
    """There is no room where lake works."""

    next_step: ClassVar[str] = "Free room, or set LAKE_HOME to another disk, and run again"


class HomeRefused(LakeError):
    """A folder on local disk, mostly LAKE_HOME, cannot be used: read-only, somebody else's, a file, or damaged."""

    next_step: ClassVar[str] = "Make the folder usable, or set LAKE_HOME to one that is"


class Stopped(LakeError):
    """Somebody ended it: a signal, or the end of what started it."""

    next_step: ClassVar[str] = "Run again: it goes on from what was committed"


class NotFound(StoreError):
    """There is no such object."""

    next_step: ClassVar[str] = "Bring the object back from a backup, or open an earlier release"


class Damaged(StoreError):
    """An object is there and is not what was written."""

    next_step: ClassVar[str] = "`lake doctor` looks at all that the lake names; `lake doctor --repair` makes again what can be made"


DAMAGED_HINT = "`lake doctor --repair` says what can be made again; else bring the object back from a backup"
"""What is done about an object that is damaged."""


class SourceError(LakeError):
    """A source cannot be listed or read: missing folder, bad URL, denied."""

    next_step: ClassVar[str] = "Correct the source's place or what may be read there, and land again"


class FileRejected(LakeError):
    """One landed file holds nothing that can be read. It is kept in raw and recorded in quarantine; the rest goes on."""

    next_step: ClassVar[str] = "Look at it with `lake preview`; declare hints, or let a corrected file land beside it"


class DTypeRefused(LakeError):
    """A column has a type that Delta cannot hold without losing something."""

    next_step: ClassVar[str] = "Cast the column in the hop to a type that loses nothing"


class SchemaRefused(LakeError):
    """The frame's columns and the table's registered columns do not fit."""

    next_step: ClassVar[str] = "Make the hop return what the contract promises, or change the contract"


class Waits(LakeError):
    """A hop cannot be done yet: a table that it reads has nothing that could be read. `table` is which, `missing` whether it is not there at all."""

    next_step: ClassVar[str] = "Land a file with records, or run what fills the table that it waits for"

    def __init__(self, message: str, hint: str | None = None, *, table: str = "", missing: bool = False) -> None:
        super().__init__(message, hint)
        self.table = table
        self.missing = missing


class HopFailed(LakeError):
    """The team's function raised. The message names the hop and the line; `raised` is what it raised, where it did."""

    next_step: ClassVar[str] = "Correct the function at the line that is named, and run again"

    raised: BaseException | None = None


class ContractBroken(LakeError):
    """Rows that must be right are not: gold is validated, not filtered."""

    next_step: ClassVar[str] = "Look at the rows with `lake rejects TABLE --stopped`; correct the hop, the source or the contract"


class RejectLimitExceeded(LakeError):
    """More rows were rejected than the table allows, so nothing was published."""

    next_step: ClassVar[str] = (
        "Look at the rows with `lake rejects TABLE --stopped`; correct the source, accept them (`lake accept TABLE --stopped --why WHY`), or raise the limit"
    )


class LedgerOpen(LakeError):
    """The row ledger of a hop does not balance, so nothing was published."""

    next_step: ClassVar[str] = "Declare why rows are left out, multiplied or summed up, as the hint spells it"


class CommitConflict(LakeError):
    """Another writer committed the version this one was planned for."""

    next_step: ClassVar[str] = "Run again"


class RunFailed(LakeError):
    """Some step of a run failed; the last release still stands."""

    next_step: ClassVar[str] = "Correct what failed and run again; the last release stands"


class UnknownName(LakeError):
    """A table, column, flow or release that does not exist. The hint suggests the nearest that does."""

    next_step: ClassVar[str] = "Use one of the names that the hint suggests"

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> UnknownName:
        """The error for `name`, suggesting up to three of `known` that look like it."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if not near:  # `delays` should find `gold.nyc.daily_delays`
            near = [n for n in names if name.casefold() in n.casefold()][:3]
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        elif names:
            hint = f"There is: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
        else:
            hint = "There is none yet; `lake run` makes the first" if kind == "table" else "There is none yet"
        return cls(f"no {kind} is called {name!r}", hint)


_ELSEWHERE = "set LAKE_HOME to a folder that can be written"


def of_system(error: OSError, place: str = "") -> LakeError | None:
    """What the system refused, told as what it is, where there is something to be done about it; None for any other. `place` is the path, where the error names none."""
    path = str(error.filename or place or "what lake works with")
    known: dict[int, LakeError] = {
        errno.ENOSPC: DiskFull(f"the disk that holds {path} is full", "Free some room, or set LAKE_HOME (or TMPDIR) to another disk, and run again"),
        errno.EROFS: HomeRefused(f"{path} cannot be written: its disk is mounted read-only", f"Mount it for writing, or {_ELSEWHERE}"),
        errno.EACCES: HomeRefused(f"{path} may not be used by this user{_owner(path)}", f"Change its owner or its mode (chown, chmod), or {_ELSEWHERE}"),
        errno.ENOTDIR: HomeRefused(f"{path} cannot be a folder: {_in_the_way(path)} is a file", f"Move that file away, or {_ELSEWHERE}"),
        errno.EMFILE: LakeError(
            f"too many files are open at once: this process may have {_most_files()}", "Raise it (`ulimit -n 4096`; LimitNOFILE= in a unit)"
        ),
        errno.EIO: LakeError(
            f"{path}: the disk does not read or write it", "The system's log (dmesg) says what is wrong with the disk; copy away what is there"
        ),
    }
    same = {errno.EDQUOT: errno.ENOSPC, errno.EPERM: errno.EACCES, errno.EEXIST: errno.ENOTDIR, errno.ENFILE: errno.EMFILE}
    return known.get(same.get(error.errno or 0, error.errno or 0))


def _in_the_way(path: str) -> str:
    """The first of the folders of a path, itself included, that is none."""
    parts = [path[: found.start()] for found in re.finditer(r"(?<=.)/", path)] + [path]
    return next((part for part in parts if os.path.isfile(part)), path)


def _owner(path: str) -> str:
    """Whose a path is, where it is another user's."""
    try:
        owner = os.stat(path).st_uid
        if not hasattr(os, "getuid") or owner == os.getuid():
            return ""
        import pwd

        return f": it belongs to {pwd.getpwuid(owner).pw_name}"
    except (OSError, KeyError, ImportError):
        return ""


def _most_files() -> str:
    try:
        import resource
    except ImportError:
        return "no more"
    return f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]:,}"


def _without_values(text: str) -> str:
    """What a library says without what it quotes: a value of a file may read like trouble of the machine's."""
    return re.sub(r"\[\".*\"\]|\"(?:[^\"\\]|\\.)*\"", '""', text)


def of_machine(error: BaseException, where: str) -> LakeError | None:
    """An error of a library that comes of the machine or of the store, as one of ours: a full disk, too many open files, no answer. None for any other."""
    at = "" if where == "lake" else f"{where}: "
    text = _without_values(" ".join(str(error).split()))
    if isinstance(error, OSError) and (known := of_system(error)) is not None:
        return type(known)(f"{at}{known.message}", known.hint)
    if re.search(r"No space left|os error 28|StorageFull|Disk quota exceeded|os error 122|QuotaExceeded", text):
        return DiskFull(f"{at}the disk is full", "Free some room, or set LAKE_HOME to another disk, and run again")
    if re.search(r"Too many open files|os error 24", text):
        return LakeError(f"{at}too many files are open at once: this process may have {_most_files()}", "Raise it (`ulimit -n 4096`; LimitNOFILE= in a unit)")
    if found := re.search(r"Object at location (\S+) not found", text):
        return Damaged(f"{at}{found[1]} is missing from the store", DAMAGED_HINT)
    if found := re.search(r"performing (?:GET|HEAD) https?://[^/\s]+/[^/\s]+/(\S+) in .*status code: 500", text):
        return Damaged(f"{at}the store answers that it cannot give {found[1]}: it is damaged, or the store is in trouble", DAMAGED_HINT)
    if re.search(r"error sending request|connection (refused|reset|closed)|Generic S3 error|object[- ]store error", text, re.IGNORECASE):
        return StoreUnreachable(
            f"{at}the store stopped answering", "Run again when it does; what was published stands. `lake doctor` says what is wrong with it"
        )
    return None


def translated(error: BaseException, where: str) -> LakeError:
    """An error of a library as one of ours: what comes of the machine or the store as that, the rest in words of lake's."""
    told = of_machine(error, where)
    return told or LakeError(f"{where}: {in_words(error)}", "Correct what it names and run again; what was published stands")
