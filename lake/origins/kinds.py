"""How a column derives from another: four kinds that make its values, and six that only decide which rows there are, and in which company.

| kind | the value |
|---|---|
| copied | is the other's, untouched |
| transformed | is computed row by row, conditions and casts included |
| aggregated | is computed from many rows |
| opaque | is computed by Python, or by something lake does not know: it may use all of it |
| filter, join, group, sort | is where it is because of the other: a condition, a key, a partition, an order |
| key, rule | the engine chose rows by the other: which row of a key wins, which rows a contract turns away |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

VALUES = ("copied", "transformed", "aggregated", "opaque")
"""The kinds that make values, weakest first."""
INFLUENCES = ("filter", "join", "group", "sort", "key", "rule")
"""The kinds that choose rows."""
Column = tuple[str, str]
"""A column of an input: the name of the hop's parameter, or of a table, and its own."""
Kinds = dict[Column, str]
"""Columns of inputs, each with how it is used."""
_STRENGTH = {kind: strength for strength, kind in enumerate((*reversed(INFLUENCES), *VALUES))}


def stronger(one: str, other: str) -> str:
    """The kind that says more: values before influences, and of values the one farther from a copy."""
    return one if _STRENGTH[one] >= _STRENGTH[other] else other


def merged(*several: Mapping[Column, str]) -> Kinds:
    """All columns of several, each with the strongest of its kinds."""
    found: Kinds = {}
    for kinds in several:
        for column, kind in kinds.items():
            found[column] = stronger(kind, found[column]) if column in found else kind
    return found


def raised(kinds: Mapping[Column, str], least: str) -> Kinds:
    """The same columns after another step: what made the value makes it by at least `least`; influences stay what they are."""
    return {column: stronger(kind, least) if kind in VALUES else kind for column, kind in kinds.items()}


def influence(columns: Iterable[Column], kind: str) -> Kinds:
    """The columns as what chooses rows by `kind`."""
    return dict.fromkeys(columns, kind)


def through(kinds: Mapping[str, str], inner: Mapping[str, Mapping[Column, str]]) -> Kinds:
    """What is used of a frame's columns, by `kinds`, in terms of what the frame was made of."""
    return merged(*(influence(inner[name], kind) if kind in INFLUENCES else raised(inner[name], kind) for name, kind in kinds.items()))
