"""How the columns of a raw file find those of its bronze table: by what stands in the file first, exactly; then by the column's name; then without case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence


def places_of(mine: Sequence[str], named: Mapping[str, str], known: Iterable[str], headers: Mapping[str, str], former: Mapping[str, str]) -> dict[str, str]:
    """The table's column for each of a file's columns `mine`.

    `named` are the file's names that columns cannot have, `known` the table's columns, `headers` what those stand for in files where these are other names, and
    `former` their former names. A column of the table is taken once, so that a name that is the same goes before one that is only like it; a column of the file that is
    left over gets a name that none has. Declared former names alone may lead two columns to one place.
    """
    known, found, taken = list(known), dict[str, str](), set[str]()
    told = {name: named.get(name, name) for name in mine}
    plain, folded = dict(former.items()), {old.casefold(): new for old, new in former.items()}

    def by(key: Callable[[str], str], index: Mapping[str, str]) -> None:
        for name in mine:
            if name not in found and (column := index.get(key(name))) is not None and column not in taken:
                found[name] = column
                taken.add(column)

    by(lambda name: name, plain)
    by(lambda name: told[name], _first((headers.get(column, column), column) for column in known))
    by(lambda name: name, {column: column for column in known})
    by(lambda name: told[name].casefold(), _first((headers.get(column, column).casefold(), column) for column in known))
    by(lambda name: name.casefold(), _first((column.casefold(), column) for column in known))
    used = {name.casefold() for name in (*known, *taken)}
    for name in mine:
        if name in found:
            continue
        if (renamed := folded.get(name.casefold())) is not None:
            found[name] = renamed
            continue
        free, number = name, 2
        while free.casefold() in used:
            free, number = f"{name}_{number}", number + 1
        used.add(free.casefold())
        found[name] = free
    return found


def _first(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first column of each key."""
    found: dict[str, str] = {}
    for key, column in pairs:
        found.setdefault(key, column)
    return found
