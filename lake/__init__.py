"""A lakehouse that explains any number in gold down to the raw line it came from.

Explore it, in a notebook or a script:

    import lake

    with lake.open() as lakehouse:                          # the latest release: one consistent version of every table
        lakehouse.tables()                                  # what there is, as a Polars frame; so is all that is not rows
        delays = lakehouse["gold.nyc.daily_delays"]         # a table; its name completes with the Tab key
        delays.scan().head(3).collect()                     # its rows, as a lazy Polars frame
        delays.lineage("mean_delay")                        # what a column is made from, down to raw files
        delays.trace(carrier="UA", flight_date="2013-02-09").raw  # the raw records of one row, computed again from them
        lakehouse.diff(1)                                   # what changed since release 1

Declare tables, in a folder under flows/ (the guide is docs/guide.md):

    from lake import PROVENANCE, Contract, Source, Table, changes, hop

    raw_orders = Table("bronze.shop.orders")                # bronze keeps what came
    orders = Table("silver.shop.orders", Order)             # Order is a Contract: columns, types, rules, in words
    files = Source(raw_orders, "inbox/orders", "*.csv")     # where the files come from

    @hop(orders, write="merge", raw=changes(raw_orders))    # how rows of one become rows of the other
    def clean_orders(raw):
        return raw.select("order", "amount", *PROVENANCE)

Rules beside a contract, in Table(rules=(...)): unique, references, row_count, null_share, fresh, expect. Look at a file before anything is
declared: preview. What lake refuses is a LakeError, in a sentence, with what to do next.

When flows run by themselves is declared with lake.orchestration, which imports Prefect. The command `lake` does the rest: `lake --help`.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lake.allocator import share_freed_memory

if TYPE_CHECKING:
    from lake.contract import PROVENANCE, Contract
    from lake.errors import LakeError
    from lake.handle import TableHandle
    from lake.hop import changes, hop
    from lake.lakehouse import Lake, open  # noqa: A004  # lake.open() is the name people type
    from lake.previewing import preview
    from lake.reading.hints import Hints
    from lake.rules import expect, fresh, null_share, references, row_count, unique
    from lake.source import Source
    from lake.table import Table

os.environ.setdefault("POLARS_ROW_GROUP_PREFETCH_SIZE", "4")  # Polars reads up to 128 row groups ahead, which is most of what a pass holds in memory
share_freed_memory()

__all__ = [
    "PROVENANCE",
    "Contract",
    "Hints",
    "Lake",
    "LakeError",
    "Source",
    "Table",
    "TableHandle",
    "changes",
    "expect",
    "fresh",
    "hop",
    "null_share",
    "open",
    "preview",
    "references",
    "row_count",
    "unique",
]

_HOMES = {
    "lake.contract": ("PROVENANCE", "Contract"),
    "lake.errors": ("LakeError",),
    "lake.hop": ("changes", "hop"),
    "lake.handle": ("TableHandle",),
    "lake.lakehouse": ("Lake", "open"),
    "lake.previewing": ("preview",),
    "lake.reading.hints": ("Hints",),
    "lake.rules": ("expect", "fresh", "null_share", "references", "row_count", "unique"),
    "lake.source": ("Source",),
    "lake.table": ("Table",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that `import lake` costs next to nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'lake' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__"])


class _Public(ModuleType):
    """The package as people see it: its public names win over modules of the same name, and `help` tells of these names alone."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):  # `lake.hop` is the decorator, also once the module of that name is imported
            super().__setattr__(name, value)

    @property
    def __path__(self) -> Any:  # type: ignore[override]
        """Where the modules are. `help` does not hear of it: it would list each of them before the names that are for people."""
        if sys._getframe(1).f_globals.get("__name__") == "pydoc":  # noqa: SLF001  # it has no other way to be told
            raise AttributeError("__path__")
        return self.__dict__["__path__"]


sys.modules[__name__].__class__ = _Public
