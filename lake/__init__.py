"""lake: any number in a gold table, explained down to the raw line it came from, and reproduced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lake.allocator import share_freed_memory

if TYPE_CHECKING:
    from lake.lakehouse import Lake, TableHandle, open  # noqa: A004  # lake.open() is the name people type
    from lake.previewing import preview

os.environ.setdefault("POLARS_ROW_GROUP_PREFETCH_SIZE", "4")  # Polars reads up to 128 row groups ahead, which is most of what a pass holds in memory
share_freed_memory()

__all__ = ["Lake", "TableHandle", "open", "preview"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that `import lake` costs next to nothing."""
    if name == "preview":
        from lake.previewing import preview

        return preview
    if name in __all__:
        from lake import lakehouse

        return getattr(lakehouse, name)
    raise AttributeError(f"module 'lake' has no attribute {name!r}")
