"""Which columns feed which: for each hop, the input columns that each output column needs, found by running the hop on tracers.

A tracer is a lazy frame without rows that remembers which columns were asked of it. What Polars asks for is what the plan cannot do
without, so the answer is an upper bound: no column outside it can change the value. What decides which rows there are beyond the
function (the key a merge goes by, the rules that set rows aside) is not counted; columns that rules refer to in other tables are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl
from polars.io.plugins import register_io_source

from lake.contract import PROVENANCE, RESCUED, judge
from lake.dtypes import gate
from lake.hop import VALIDITY, Hop
from lake.pipeline import Pipeline
from lake.table import Table

Schemas = Mapping[str, pl.Schema]
Column = tuple[str, str]
_FAILS = (Exception, pl.exceptions.PanicException)  # whatever the team's function raises, it says that the hop cannot be traced


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


_traced: dict[tuple[object, ...], Needs] = {}


def _needs(hop: Hop, now: dict[str, pl.Schema], former: dict[str, pl.Schema]) -> Needs:
    """Traced once for the same code and columns, with all columns there are; where the code cannot take old and new side by side, one by one."""
    key = (hop.name, hop.fingerprint, *((name, *now[name].items(), "was", *former[name].items()) for name in hop.inputs))
    if key not in _traced:
        both = {name: pl.Schema({**former[name], **now[name]}) for name in hop.inputs}
        found = _trace(hop, both)
        if found.untraced and now != former:
            tried = [needs for needs in (_trace(hop, now), _trace(hop, former)) if not needs.untraced]
            merged = {name: frozenset[Column]().union(*(needs.columns[name] for needs in tried)) for name in found.columns}
            found = Needs(merged) if tried else found
        _traced[key] = found
    return _traced[key]


def _trace(hop: Hop, schemas: dict[str, pl.Schema]) -> Needs:
    """Run the function on tracers and collect its output column by column."""
    asked: set[Column] = set()
    frames = {name: _tracer(name, schema, asked) for name, schema in schemas.items()}
    promised = hop.table.contract.column_names() if hop.table.contract else []
    columns: dict[str, frozenset[Column]] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = hop.function(**frames).lazy()
            given = out.collect_schema().names()
            always = frozenset(asked)  # asked for while the plan was made: any column may depend on it
            for name in (name for name in promised if name in given):
                asked.clear()
                out.select(name).collect()
                columns[name] = always | asked
    except _FAILS as error:
        return _everything(hop, schemas, f"hop {hop.function.__qualname__} cannot be traced: {type(error).__name__}: {_said(error)}")
    worked_out = frozenset[Column]().union(*columns.values()) if hop.write == "scd2" else _all(schemas)
    columns |= {name: worked_out if name in VALIDITY else _all(schemas) for name in promised if name not in columns}
    return Needs({name: columns[name] | _referred(hop, name) for name in promised})


def _tracer(parameter: str, schema: pl.Schema, asked: set[Column]) -> pl.LazyFrame:
    """A frame without rows that adds to `asked` what is asked of it. Lake's own columns come first: Polars counts rows by the first."""
    carried = [name for name in (*PROVENANCE, RESCUED) if name in schema]
    columns = {name: schema[name] for name in [*carried, *(name for name in schema if name not in carried)]}

    def rows(with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None) -> Iterator[pl.DataFrame]:
        wanted = list(columns) if with_columns is None else with_columns
        asked.update((parameter, name) for name in wanted)
        if predicate is not None:
            asked.update((parameter, name) for name in predicate.meta.root_names())
        yield pl.DataFrame(schema={name: columns[name] for name in wanted})

    return register_io_source(rows, schema=columns)


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
    except _FAILS as error:
        return _said(error) or type(error).__name__
    return None


def _said(error: BaseException) -> str:
    """The error in one line, without the plan that Polars adds."""
    return " ".join(str(error).partition("Resolved plan until failure")[0].split())[:200]
