"""Every error a user can meet, as one tree. Each message says what is wrong and where; `hint` says what to do next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class LakeError(Exception):
    """The root: anything lake raises on purpose. The command line prints it as one line and exits with 1."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.hint}" if self.hint else self.message


class SettingsError(LakeError):
    """A setting is missing, contradictory or malformed."""


class DeclarationError(LakeError):
    """A table, source, hop or contract is declared in a way that cannot work. Raised at import, before anything runs."""


class StoreError(LakeError):
    """The object store did not do what it was asked."""


class StoreUnreachable(StoreError):
    """Nothing answers at the endpoint."""


class StoreRefused(StoreError):
    """The store answered, and said no: wrong keys or no permission."""


class StoreUntrusted(StoreError):
    """The store failed the probe of law 7, so lake will not write to it."""


class DiskFull(LakeError):
    """There is no room where lake works."""


class NotFound(StoreError):
    """There is no such object."""


class SourceError(LakeError):
    """A source cannot be listed or read: missing folder, bad URL, denied."""


class FileRejected(LakeError):
    """One landed file holds nothing that can be read. It is kept in raw and recorded in quarantine; the rest goes on."""


class DTypeRefused(LakeError):
    """A column has a type that Delta cannot hold without losing something."""


class SchemaRefused(LakeError):
    """The frame's columns and the table's registered columns do not fit."""


class HopFailed(LakeError):
    """The team's function raised. The message names the hop and the line."""


class ContractBroken(LakeError):
    """Rows that must be right are not: gold is validated, not filtered."""


class RejectLimitExceeded(LakeError):
    """More rows were rejected than the table allows, so nothing was published."""


class LedgerOpen(LakeError):
    """The row ledger of a hop does not balance, so nothing was published."""


class CommitConflict(LakeError):
    """Another writer committed the version this one was planned for."""


class RunFailed(LakeError):
    """Some step of a run failed; the last release still stands."""


class UnknownName(LakeError):
    """A table, column, flow or release that does not exist. The hint suggests the nearest that does."""

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


def translated(error: BaseException, where: str) -> LakeError:
    """An error of a library as one of ours: a full disk and a store that does not answer are told as that, the rest in its own words."""
    text = " ".join(str(error).split())
    if getattr(error, "errno", None) == 28 or re.search(r"No space left|os error 28", text):
        return DiskFull(f"{where}: the disk is full", "Free some room, or set LAKE_HOME to another disk, and run again")
    if re.search(r"error sending request|connection (refused|reset|closed)|Generic S3 error|object[- ]store error", text, re.IGNORECASE):
        return StoreUnreachable(f"{where}: the store stopped answering", "Run again; what was published stands")
    return LakeError(f"{where}: {text[:300] or type(error).__name__}")
