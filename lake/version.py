"""What lake is called where it is installed from, and which version of it runs."""

from __future__ import annotations

from importlib import metadata

DISTRIBUTION = "ledgerlake"
"""The name of the distribution; what is imported, and typed, is `lake`. On PyPI, `lake` is somebody else's."""


def version() -> str:
    """The version that is installed; of a checkout that is run without being installed, `0`."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0"


def installing(extra: str) -> str:
    """The command that installs an extra of lake's."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
