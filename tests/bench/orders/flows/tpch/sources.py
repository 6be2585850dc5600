"""Where the files are: folders below TPCH_FILES, one a table."""

from __future__ import annotations

import os
from pathlib import Path

from flows.tpch import tables
from lake.source import Source


def _folder(name: str) -> Path:
    return Path(os.environ.get("TPCH_FILES", "files")).absolute() / name


lineitem = Source(tables.bronze_lines, lambda: _folder("lineitem"), "*.csv")
orders = Source(tables.bronze_orders, lambda: _folder("orders"), "*.csv")
customer = Source(tables.bronze_customers, lambda: _folder("customer"), "*.csv")
nation = Source(tables.bronze_nations, lambda: _folder("nation"), "*.csv")
