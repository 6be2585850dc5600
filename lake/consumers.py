"""Which tables may read a table: a mark for each pair, set before the first commit that read it, so that what hangs from a table is found without opening every table.

A mark says that a commit was meant to read it; only the reader's log says whether it does. A mark too many costs a look, one too few cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lake.store import Store

Told = TypeVar("Told")
_FOLDER = "system/consumers"
_AT_ONCE = 16


def mark(store: Store, table: str, reads: Iterable[str]) -> None:
    """Say that a commit of `table` is about to read these tables. A request each: for those that its last commit did not read already."""
    for name in reads:
        store.put(f"{_FOLDER}/{name}/{table}", b"{}")


def consumers(store: Store, table: str) -> list[str]:
    """The tables that read `table`, or once did, by name. One request a thousand, and for each name that it had before."""
    found = [blob.path.rsplit("/", 1)[-1] for name in store.names.every(table) for blob in store.walk(f"{_FOLDER}/{name}")]
    return list(dict.fromkeys(map(store.names.now, found)))


def below(store: Store, table: str, look: Callable[[str], Told | None], reads: Callable[[Told], Iterable[str]]) -> dict[str, Told]:
    """All that hangs from `table`, each with what `look` told of it, nearest first; `table` itself comes first, if there is anything to tell.

    `reads` says what a table reads by what was told. Looks once at each table that is reached, many at once, and at those that no longer read one.
    """
    found: dict[str, Told] = {}
    told = look(table)
    if told is not None:
        found[table] = told
    seen, level = {table}, [table]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while level:
            marked = {name for names in pool.map(lambda name: consumers(store, name), level) for name in names}
            near = set(level)
            level = []
            fresh = sorted(marked - seen)
            for name, said in zip(fresh, pool.map(look, fresh), strict=True):
                if said is not None and near & set(reads(said)):
                    found[name] = said
                    seen.add(name)
                    level.append(name)
    return found
