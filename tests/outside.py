"""The environment for a process that a test starts: this one's, without what would tell lake, a store or Prefect anything."""

from __future__ import annotations

import os


def outside() -> dict[str, str]:
    """This process's variables without those of lake, of AWS and of Prefect."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "AWS_", "PREFECT_"))}
