"""Whether a hop says which of two rows is later and where each came from: what `merge`, `scd2` and `append` need to be repeated from raw.

Found without data: the hop's function is given frames that have columns and no rows. The columns of files are not known before the first
one came; those that the function asks for are taken to be there. Where even so nothing comes out, the run looks before it publishes.
"""

from __future__ import annotations

import inspect
import re
import threading
import types
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import polars as pl

from lake.contract import PROVENANCE, RESCUED
from lake.errors import DeclarationError
from lake.hop import Hop
from lake.origins.trace import FAILS, planning
from lake.placing import told
from lake.table import Table

_MISSED = re.compile(r'(?:unable to find column )?"(?P<name>[^"]+)"(?:; valid columns| not found)')
_MOST_COLUMNS = 2000
_PATIENCE = 2.0  # seconds that a function may take for its plan on no rows, before every command that loads it would wait for it
_TAKEN_FOR: tuple[pl.DataType, ...] = (pl.String(), pl.Float64(), pl.List(pl.String()), pl.Null())
"""What a column of files that nobody has seen may be: text, as in CSV, before anything else."""


def check_provenance(hop: Hop, carried: Collection[str], given: Collection[str] | None, root: Path | None = None) -> None:
    """Raise DeclarationError where the rows that come out, which carry the columns `carried`, lack provenance that the way of writing needs.

    `given` are the columns of the rows that drive the hop; None where they are not known, and then they have provenance.
    """
    lost = [name for name in PROVENANCE if name not in carried]
    if hop.write not in ("append", "merge", "scd2") or not lost:
        return
    who, table, driver = f"hop {hop.function.__qualname__}", hop.table, hop.reads(hop.driver)
    where = f"See {told(hop.place, root)}" if hop.place else ""
    if given is None or set(PROVENANCE) <= set(given):
        if hop.counts is not None:
            remedy = f'Sum groups up with write="by_key" or "replace", which {hop.write} cannot repeat'
        else:
            remedy = f"Return them with the other columns: {hop.driver}.select(…, *PROVENANCE), with `from lake import PROVENANCE`"
        raise DeclarationError(
            f"{who} writes {table.name} by {hop.write} and returns no {', '.join(lost)}: nothing says which of two rows is later, nor where they came from",
            f"{remedy}. {where}".strip(),
        )
    if hop.write != "append" and not (driver.key and set(driver.key) <= {*table.key, *table.sequence}):
        raise DeclarationError(
            f"{who} writes {table.name} by {hop.write} from {driver.name}, whose rows carry no provenance: nothing says which of two rows of one key is later",
            f"Declare sequence=(…) on {table.name} with the rest of the key of {driver.name}, or write by_key or replace. {where}".strip(),
        )


class Carried:
    """Which columns tables have, by the hops that fill them (`hops`, by table), as far as that can be told without data."""

    def __init__(self, hops: Mapping[str, Hop], root: Path | None = None) -> None:
        self._root = root
        self._hops = hops
        self._found: dict[str, pl.Schema | None] = {}
        self._waits = False  # a function that does not end has the one place where plans are made

    def check(self, hop: Hop) -> None:
        """Raise DeclarationError if the hop's rows lack provenance that they need, as check_provenance says. What cannot be told passes."""
        if hop.write not in ("append", "merge", "scd2"):
            return
        out = self._out(hop)
        if out is not None:
            given = self._columns(hop.reads(hop.driver))
            check_provenance(hop, out, None if given is None else given.names(), self._root)

    def _out(self, hop: Hop) -> list[str] | None:
        """The columns of the frame that the hop returns; None where that cannot be told."""
        given = {name: self._columns(hop.reads(name)) for name in hop.inputs}
        known = {name: schema for name, schema in given.items() if schema is not None}
        if len(known) < len(given):
            return None
        unseen = [name for name in hop.inputs if hop.reads(name).contract is None]
        out: list[list[str] | None] = []
        if not self._waits:
            maker = threading.Thread(target=lambda: out.append(returned(hop, known, unseen)), name=f"plan of {hop.table.name}", daemon=True)
            maker.start()
            maker.join(_PATIENCE)
            self._waits = maker.is_alive()
        return out[0] if out else None

    def _columns(self, table: Table) -> pl.Schema | None:
        if table.name not in self._found:
            self._found[table.name] = None  # hops in a circle end here
            self._found[table.name] = self._worked_out(table)
        return self._found[table.name]

    def _worked_out(self, table: Table) -> pl.Schema | None:
        if table.contract is None:
            declared = {name: table.types.get(name, pl.String()) for name in (*table.columns, *table.types, *table.renamed_from)}
            return pl.Schema({**PROVENANCE, RESCUED: pl.String(), **declared})
        hop = self._hops.get(table.name)
        out = self._out(hop) if hop is not None else None
        if out is None:
            return None
        promised = {name: column.dtype for name, column in table.contract.columns().items()}
        return pl.Schema({**{name: dtype for name, dtype in PROVENANCE.items() if name in out}, **promised})


def returned(hop: Hop, schemas: Mapping[str, pl.Schema], unseen: Iterable[str] = ()) -> list[str] | None:
    """The columns that the hop returns of inputs with these columns, by parameter; None where it cannot make its plan on frames without rows.

    The inputs `unseen` have whatever further columns the function asks for.
    """
    unseen = list(unseen)
    named = _texts(getattr(inspect.unwrap(hop.function), "__code__", None))
    taken_for = (*_TAKEN_FOR, pl.Struct(dict.fromkeys(sorted(named), pl.String()))) if named else _TAKEN_FOR
    for dtype in taken_for if unseen else _TAKEN_FOR[:1]:
        for guessed in (named, set[str]()) if unseen else (set[str](),):  # what the code names is mostly a column, which spares asking for one after the other
            given = {name: {**dict.fromkeys(guessed if name in unseen else (), dtype), **schema} for name, schema in schemas.items()}
            while True:
                found, missed = _tried(hop, given)
                if found is not None:
                    return found
                if missed is None or not unseen or len(given[unseen[0]]) > _MOST_COLUMNS or all(missed in given[name] for name in unseen):
                    break
                for name in unseen:
                    given[name].setdefault(missed, dtype)
    return None


def _texts(code: types.CodeType | None) -> set[str]:
    """The texts that a function's code names, in whatever is defined inside it too."""
    found: set[str] = set()
    waiting: list[object] = [code]
    while waiting:
        one = waiting.pop()
        if isinstance(one, types.CodeType):
            waiting += one.co_consts
        elif isinstance(one, tuple | frozenset):
            waiting += one
        elif isinstance(one, str) and one.isidentifier():
            found.add(one)
    return found


def _tried(hop: Hop, schemas: Mapping[str, Mapping[str, pl.DataType]]) -> tuple[list[str] | None, str | None]:
    """The columns that come out; else the column that was missed, if that is why nothing does."""
    try:
        with planning(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return hop.function(**{name: pl.LazyFrame(schema=schema) for name, schema in schemas.items()}).lazy().collect_schema().names(), None
    except pl.exceptions.ColumnNotFoundError as error:
        found = _MISSED.match(str(error))
        return None, found["name"] if found else None
    except FAILS:
        return None, None
