"""Calling a team's function, and telling what it raises as theirs: with the hop, the table it fills and the line."""

from __future__ import annotations

import traceback
from pathlib import Path

import polars as pl

from lake.errors import HopFailed
from lake.hop import Hop
from lake.personal import words
from lake.placing import told


def called(hop: Hop, frames: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """What the hop's function makes of the frames. Raises HopFailed for whatever it raises, and where it returns no lazy frame."""
    try:
        out = hop.function(**frames)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the team's code raises is told as theirs, with their line
        raise failure(hop, error) from None
    if not isinstance(out, pl.LazyFrame):
        raise HopFailed(f"hop {hop.function.__qualname__} returned {type(out).__name__}, not a LazyFrame", "Return the lazy frame; lake collects it")
    return out


def failure(hop: Hop, error: BaseException) -> HopFailed:
    """The error as the team's, with the line of theirs it came from when it came from one."""
    home = hop.function.__code__.co_filename
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == home]
    if frames:
        last = frames[-1]
        where = f"{_placed(hop, last.lineno)}: {last.line}"
        failed = HopFailed(f"hop {hop.function.__qualname__} ({hop.table.name}) raised {words(error, hop.personal, kind=_kind(error))}", f"See {where}")
    else:
        where = _placed(hop, hop.function.__code__.co_firstlineno)
        failed = HopFailed(f"hop {hop.function.__qualname__} ({hop.table.name}) failed while running: {words(error, hop.personal)}", f"It begins at {where}")
    failed.raised = error
    return failed


def _placed(hop: Hop, line: int | None) -> str:
    """A line of the file with the hop's function, by its path in the project: `flows/shop/hops.py:12`."""
    home, module = Path(hop.function.__code__.co_filename), hop.function.__module__ or ""
    inside = home.with_suffix("").as_posix().endswith("/" + module.replace(".", "/"))
    return told(f"{home}:{line}", home.parents[module.count(".")] if inside else None)


def _kind(error: BaseException) -> str:
    """The kind of an error that is not Python's own, which says its kind itself."""
    return "" if type(error).__module__ == "builtins" else f"{type(error).__name__}: "
