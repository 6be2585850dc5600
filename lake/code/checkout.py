"""What the commit record says of the code that runs: its fingerprints, the git commit, and the engine's versions."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import polars as pl

from lake.code.parts import SCHEME
from lake.record import Code
from lake.version import version


def code_of(hop: str, mark: str, root: Path, *, transform: str | None = None, columns: str | None = None) -> Code:
    """The record's account of the code that runs now."""
    commit, modified = _checkout(root)
    engine = engine_versions()
    return Code(
        hop=hop, fingerprint=mark, scheme=SCHEME, transform=transform, columns=columns, commit=commit, modified=modified, lake=engine["lake"], polars=engine["Polars"]
    )  # fmt: skip


def engine_versions() -> dict[str, str]:
    """The versions of what every run is made with."""
    return {"lake": version(), "Polars": pl.__version__}


@functools.cache
def _checkout(root: Path) -> tuple[str | None, bool | None]:
    """The git commit checked out at `root` and whether tracked files differ from it; (None, None) where git cannot say."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        changes = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], cwd=root, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(changes.stdout.strip())
