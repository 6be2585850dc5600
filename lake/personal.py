"""Personal columns: named wherever something is told of them, their values nowhere.

A contract declares one by its metadata: `dy.String(metadata={"personal": "email"})`; the older `"pii"` means the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lake.wording import in_words

_OF_CODE = frozenset({"ColumnNotFoundError", "SchemaFieldNotFoundError", "AttributeError", "NameError", "ImportError", "ModuleNotFoundError"})
"""Errors that speak of code and columns, and hold no value."""
UNSHOWN = "(personal)"
"""What stands where a personal value would."""


def is_marked(metadata: Mapping[str, Any] | None) -> bool:
    """Whether a column with this metadata is declared personal."""
    return bool(metadata) and bool((metadata or {}).get("personal") or (metadata or {}).get("pii"))


def told(values: Mapping[str, Any], personal: Collection[str]) -> str:
    """Columns with their values, `a=1, b=2`, those of personal ones left out."""
    return ", ".join(f"{name}={UNSHOWN if name in personal and value is not None else value}" for name, value in values.items())


def row_told(row: str, personal: Collection[str]) -> str:
    """A row as JSON without the values of personal columns. What is no JSON object is not shown where any column is personal."""
    if not personal:
        return row
    try:
        values = json.loads(row)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return UNSHOWN
    return json.dumps({name: UNSHOWN if name in personal and value is not None else value for name, value in values.items()}, ensure_ascii=False)


def words(error: BaseException, hides: Collection[str], *, kind: str = "") -> str:
    """What an error of a team's code or of the engine says, after its `kind`; the kind alone where its words may hold values of the columns that it `hides`."""
    if hides and type(error).__name__ not in _OF_CODE:
        return f"{type(error).__name__}, whose words may hold values of {named(hides)} and are not shown"
    return kind + in_words(error)


def named(columns: Iterable[str]) -> str:
    """Columns in words."""
    return ", ".join(sorted(columns))
