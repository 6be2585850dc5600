"""Where in a team's files something is declared, as `file:line`: what errors about declarations name."""

from __future__ import annotations

import inspect
from pathlib import Path

_OWN = str(Path(__file__).parent)


def here() -> str:
    """The file and line outside lake that is being executed: the place of whatever it declares. Empty where there is none."""
    frame = inspect.currentframe()
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_OWN, "<string>")) and Path(file).name != "dataclasses.py":
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def told(place: str, root: Path | None = None) -> str:
    """A place as people name it: relative to the project, or to where they are, if it is below."""
    file, _, line = place.rpartition(":")
    path = Path(file)
    for folder in (root, Path.cwd()):
        if folder is not None and path.is_relative_to(folder):
            return f"{path.relative_to(folder).as_posix()}:{line}"
    return f"{path.name}:{line}" if file else "a place that is not known"
