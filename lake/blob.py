"""What a store says of an object without its content."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Blob:
    """One stored object: its path under the prefix, its size in bytes, when it was last written (UTC) and its entity tag."""

    path: str
    size: int
    modified: dt.datetime
    etag: str
