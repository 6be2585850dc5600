"""Which columns feed which, by the code as it is now: for each hop, the input columns that each output column needs.

The answer is that of `lake.origins` for the hop's function alone, of whatever kind: no column outside it can change the value. What
decides which rows there are beyond the function (the key a merge goes by, the rules that set rows aside) is not counted; columns that
rules refer to in other tables are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from lake.contract import PROVENANCE, judge
from lake.dtypes import gate
from lake.hop import VALIDITY, Hop
from lake.origins import trace
from lake.origins.kinds import Column
from lake.origins.trace import FAILS, said
from lake.pipeline import Pipeline
from lake.table import Table

Schemas = Mapping[str, pl.Schema]


@dataclass(frozen=True)
class Needs:
    """What a hop needs: by output column, the (parameter, column) pairs of its inputs. `untraced` says why each may need all of them."""

    columns: Mapping[str, frozenset[Column]]
    untraced: str | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of all tables that `pipelines` fill, and how they feed one another.

    `now` are columns of tables by name, as they will be; a table that is not among them has those of its contract. `former` are
    columns of tables as they were: both are offered to the hops, so that what still reads a column of old is found.
    """

    pipelines: tuple[Pipeline, ...]
    now: Schemas = field(default_factory=dict)
    former: Schemas = field(default_factory=dict)

    @property
    def hops(self) -> Iterator[Hop]:
        """Every hop of every subject."""
        return (hop for pipeline in self.pipelines for hop in pipeline.hops.values())

    def needs(self, hop: Hop) -> Needs:
        """What each column of the hop's table needs."""
        now, former = ({name: self._schema(hop.reads(name), some) for name in hop.inputs} for some in (self.now, {**self.now, **self.former}))
        if unknown := [hop.reads(name).name for name, schema in now.items() if schema is None]:
            return _everything(hop, {}, f"nothing is known of the columns of {', '.join(unknown)}")
        return _needs(hop, _known(now), _known(former))

    def direct(self, table: str, column: str) -> list[Column]:
        """The (table, column) pairs made from a column by one hop. Of a hop that cannot be traced, all."""
        found = []
        for hop in self.hops:
            reading = {parameter for parameter in hop.sources if hop.reads(parameter).name == table}
            if reading:
                needs = self.needs(hop)
                wanted = {(parameter, column) for parameter in reading}
                found += [(hop.table.name, name) for name, needed in needs.columns.items() if needs.untraced or needed & wanted]
        return found

    def downstream(self, table: str, column: str) -> list[Column]:
        """The (table, column) pairs made from a column by however many hops of whichever subject, sorted."""
        found: set[Column] = set()
        waiting = [(table, column)]
        while waiting:
            new = set(self.direct(*waiting.pop())) - found
            found |= new
            waiting += new
        return sorted(found)

    def stops(self, hop: Hop) -> str | None:
        """Why the hop cannot run on the columns as they will be, though it could on those of old; None if it can, or never could."""
        now, former = ({name: self._schema(hop.reads(name), some) for name in hop.inputs} for some in (self.now, {**self.now, **self.former}))
        if None in now.values() or None in former.values():
            return None
        why = _refusal(hop, _known(now))
        return why if why and _refusal(hop, _known(former)) is None else None

    def refuses(self, hop: Hop) -> str | None:
        """Why the hop cannot run as it is declared now on the columns as they will be; None if it can, or nothing is known of them."""
        now = {name: self._schema(hop.reads(name), self.now) for name in hop.inputs}
        return None if None in now.values() else _refusal(hop, _known(now))

    def _schema(self, table: Table, some: Schemas) -> pl.Schema | None:
        if table.name in some:
            return some[table.name]
        return declared_columns(table)


def downstream(pipelines: Iterable[Pipeline], table: str, column: str, now: Schemas | None = None, former: Schemas | None = None) -> list[Column]:
    """The (table, column) pairs that may change with a column of a table, over all hops of all subjects; see `Columns`."""
    return Columns(tuple(pipelines), now or {}, former or {}).downstream(table, column)


def declared_columns(table: Table) -> pl.Schema | None:
    """The columns that a table will have by its declaration alone, with provenance below gold; None where the files say."""
    if table.contract is None:
        return None
    promised = gate(pl.Schema({name: column.dtype for name, column in table.contract.columns().items()})).schema
    return pl.Schema({**(PROVENANCE if table.layer != "gold" else {}), **promised})


def _known(schemas: dict[str, pl.Schema | None]) -> dict[str, pl.Schema]:
    return {name: schema for name, schema in schemas.items() if schema is not None}


def _needs(hop: Hop, now: dict[str, pl.Schema], former: dict[str, pl.Schema]) -> Needs:
    """Traced with all columns there are; where the code cannot take old and new side by side, one by one."""
    found = _trace(hop, {name: pl.Schema({**former[name], **now[name]}) for name in hop.inputs})
    if found.untraced and now != former:
        tried = [needs for needs in (_trace(hop, now), _trace(hop, former)) if not needs.untraced]
        merged = {name: frozenset[Column]().union(*(needs.columns[name] for needs in tried)) for name in found.columns}
        found = Needs(merged) if tried else found
    return found


def _trace(hop: Hop, schemas: dict[str, pl.Schema]) -> Needs:
    """What the promised columns derive from or are chosen by, as the plan of the hop's function says."""
    origins = trace(hop, schemas, engine=False)
    if origins.how == "nothing":
        return _everything(hop, schemas, origins.why or "")
    promised = hop.table.contract.column_names() if hop.table.contract else []
    columns = {name: frozenset(origins.of(name)) for name in promised if name in origins.columns}
    worked_out = frozenset[Column]().union(*columns.values()) if hop.write == "scd2" else _all(schemas)
    columns |= {name: worked_out if name in VALIDITY else _all(schemas) for name in promised if name not in columns}
    return Needs({name: columns[name] | _referred(hop, name) for name in promised})


def _everything(hop: Hop, schemas: Mapping[str, pl.Schema], why: str) -> Needs:
    promised = hop.table.contract.column_names() if hop.table.contract else []
    return Needs(dict.fromkeys(promised, _all(schemas)), why)


def _all(schemas: Mapping[str, pl.Schema]) -> frozenset[Column]:
    return frozenset((name, column) for name, schema in schemas.items() for column in schema)


def _referred(hop: Hop, column: str) -> frozenset[Column]:
    """The columns of other tables that rules compare the column with."""
    rules = [rule for rule in hop.table.references if column in rule.columns]
    named = {rule.table.name: rule.to for rule in rules}
    return frozenset((parameter, name) for parameter in hop.sources for name in named.get(hop.reads(parameter).name, ()))


def _refusal(hop: Hop, schemas: dict[str, pl.Schema]) -> str | None:
    """Why the hop cannot run on inputs of these columns, or its output is not what its contract promises; None if all is well."""
    contract = hop.table.contract
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = hop.function(**{name: pl.LazyFrame(schema=schema) for name, schema in schemas.items()}).lazy()
            if hop.write == "scd2" or contract is None:
                out.collect_schema()
            else:
                judge(contract, out.drop(hop.deletes) if hop.deletes else out, who=f"hop {hop.function.__qualname__}").good.collect_schema()
    except FAILS as error:
        return said(error) or type(error).__name__
    return None
