"""Which rows of each input of a hop can matter for some of its output rows: as few as can be told, and never too few.

Three ways, each sound by itself: the groups by which a `by_key` hop declares that its inputs count; the conditions that Polars asks of an
input when only the wanted rows are asked for (`asked`); and, where rows can be followed through the hop, the very rows that the wanted
ones were made from (`marks`). Where none applies the input is wide: all of its rows may matter, and why is said.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

import polars as pl

from lake.contract import FILE, ROW, parsed
from lake.hop import VALIDITY, Hop
from lake.raising import not_raised
from lake.record import Record
from lake.table import path_of
from lake.trace.asked import Looks, asked, files_for
from lake.trace.marks import Unfollowed, followed, numbers_in
from lake.trace.reading import Reading
from lake.wording import in_words

_LOOKED_BACK = 200  # commits whose ledgers are asked whether a row ever lost to another
_NUMBER = "#number"


@dataclass(frozen=True)
class Part:
    """What of one input can matter: `rows`, `count` of the `of` rows of that version. `wide` says why nothing could be left out, where it is so.

    `exact` says that rows were followed one by one; else they are those that meet a condition, of which some may not matter.
    """

    parameter: str
    table: str
    version: int
    rows: pl.LazyFrame
    count: int
    of: int
    exact: bool = False
    wide: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Rows of a hop's table, `rows` as stored, told apart by `columns`; without any nothing tells them apart before all rows are looked at."""

    hop: Hop
    rows: pl.DataFrame
    columns: tuple[str, ...]

    def condition(self, schema: pl.Schema) -> pl.Expr | None:
        """The condition on a frame of the hop's output, typed or not yet, that these rows and all that compete with them meet."""
        contract = self.hop.table.contract
        if not self.columns or contract is None:
            return None
        promised = contract.columns()
        values = {name: parsed(contract, schema, name) if name in promised else pl.col(name) for name in self.columns}
        among = {name: self.rows[name].unique() for name in values}
        asked_of = [value.is_in(pl.lit(among[name].implode()), nulls_equal=among[name].null_count() > 0) for name, value in values.items()]
        if len(values) > 1 and self.rows.height > 1:
            pairs = self.rows.select(pl.struct(self.columns).alias("pair")).to_series().unique()
            asked_of.append(pl.struct(value.alias(name) for name, value in values.items()).is_in(pl.lit(pairs.implode()), nulls_equal=True))
        return functools.reduce(operator.and_, asked_of)

    def of(self, out: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of the hop's output that count."""
        condition = self.condition(out.collect_schema())
        return out if condition is None else out.filter(condition)


def wanted_rows(reading: Reading, hop: Hop, version: int, rows: pl.DataFrame) -> Wanted:
    """How these rows of the hop's table are told apart: by raw place where a row is made from one alone, else by key, else by all they hold."""
    table, placed = hop.table, {FILE, ROW} <= set(rows.columns) and rows[FILE].null_count() == 0
    if table.repeats_rejected:
        return Wanted(hop, rows, hop.by)
    if hop.write == "scd2":
        return Wanted(hop, rows, tuple(name for name in table.key if name != VALIDITY[0]))
    if placed and (hop.write == "append" or (hop.write == "merge" and _none_lost(reading, table.name, version))):
        return Wanted(hop, rows, (FILE, ROW))
    if table.key:
        return Wanted(hop, rows, tuple(table.key))
    return Wanted(hop, rows, tuple(name for name, dtype in rows.schema.items() if not dtype.is_float() and not dtype.is_nested() and name != "_landed"))


def narrow(reading: Reading, wanted: Wanted, record: Record) -> dict[str, Part]:
    """By parameter of the hop, what of its input can matter for the wanted rows, at the versions that `record` says were read."""
    hop = wanted.hop
    given = dict(zip(hop.sources, record.inputs, strict=True))
    there = {name: reading.snapshot(given[name].table, given[name].end) for name in hop.inputs}
    schemas = {name: snapshot.schema for name, snapshot in there.items()}
    conditions, why = _conditions(wanted, schemas)
    declared = _declared(wanted, schemas)
    frames = {}
    for name, snapshot in there.items():
        condition = _both(conditions[name], declared.get(name))
        rows = reading.scan(snapshot, files_for(snapshot, condition))
        frames[name] = rows if condition is None else rows.filter(condition)
    frames[hop.driver] = not_raised(reading.run, hop, record, frames[hop.driver])
    found: dict[str, Part] = {}
    numbers = None
    if why is None and wanted.columns:
        try:
            numbers = numbers_in(wanted.of(followed(hop.function, frames)), list(frames))
        except Unfollowed as unfollowed:
            why = str(unfollowed)
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  # the team's function on some of its rows: it may raise anything
            why = f"on some of its rows it fails: {in_words(error)}"
    for name, frame in frames.items():
        about = (name, given[name].table, given[name].end)
        if numbers is not None:
            chosen = pl.lit(numbers[name].implode())
            rows = frame.with_row_index(_NUMBER).filter(pl.col(_NUMBER).is_in(chosen)).drop(_NUMBER).collect(engine="streaming").lazy()
            found[name] = Part(*about, rows, numbers[name].len(), there[name].rows, exact=True)
        elif conditions[name] is not None or name in declared:
            held = frame.collect(engine="streaming")
            found[name] = Part(*about, held.lazy(), held.height, there[name].rows)
        else:
            found[name] = Part(*about, frame, there[name].rows, there[name].rows, wide=why or _undecided(wanted))
    return _with_referred(reading, wanted, record, found)


def _conditions(wanted: Wanted, schemas: dict[str, pl.Schema]) -> tuple[dict[str, pl.Expr | None], str | None]:
    """What Polars asks of each input; and why rows of the inputs cannot be followed, where that is known already."""
    if not wanted.columns:
        return dict.fromkeys(schemas), None
    try:
        return asked(wanted.hop.function, schemas, wanted.of), None
    except Looks as looks:
        return dict.fromkeys(schemas), f"it looks at rows of {looks} while it makes its plan"
    except Exception as error:  # noqa: BLE001  # the team's function on frames without rows: whatever it raises, nothing is claimed
        return dict.fromkeys(schemas), f"on no rows it fails: {type(error).__name__}"


def _declared(wanted: Wanted, schemas: dict[str, pl.Schema]) -> dict[str, pl.Expr]:
    """Of a hop that writes by key: each group's rows depend on that group's rows alone, in every input read as changes."""
    hop = wanted.hop
    if hop.write != "by_key":
        return {}
    groups = wanted.rows.select(hop.by).unique()
    return {
        name: pl.all_horizontal(pl.col(column).is_in(pl.lit(groups[column].unique().implode()), nulls_equal=True) for column in hop.by)
        for name, schema in schemas.items()
        if hop.follows(name) and all(schema.get(column) == groups.schema[column] for column in hop.by)
    }


def _with_referred(reading: Reading, wanted: Wanted, record: Record, parts: dict[str, Part]) -> dict[str, Part]:
    """The parts with the rows that traced rows refer to, in the tables that rules refer to."""
    hop, contract, found = wanted.hop, wanted.hop.table.contract, dict(parts)
    given = dict(zip(hop.sources, record.inputs, strict=True))
    for rule in hop.table.references if contract is not None else ():
        name = next(name for name, known in given.items() if known.table == rule.table.name and known.kind == "snapshot")
        if contract is None or (name in found and found[name].wide):
            continue
        out = hop.function(**{parameter: parts[parameter].rows for parameter in hop.inputs})
        schema = out.collect_schema()
        values = out.select(parsed(contract, schema, column).alias(to) for column, to in zip(rule.columns, rule.to, strict=True)).unique()
        there = reading.snapshot(rule.table.name, given[name].end)
        keys = values.select(pl.col(to).cast(there.schema[to], strict=False) for to in rule.to)
        referred = reading.scan(there).join(keys, on=list(rule.to), how="semi").collect(engine="streaming")
        rows = pl.concat([found[name].rows.collect(), referred]).unique(maintain_order=True) if name in found else referred
        found[name] = Part(name, rule.table.name, given[name].end, rows.lazy(), rows.height, there.rows)
    return found


def _both(one: pl.Expr | None, other: pl.Expr | None) -> pl.Expr | None:
    return one if other is None else other if one is None else one & other


def _undecided(wanted: Wanted) -> str:
    if not wanted.columns:
        return f"rule {wanted.hop.table.repeats_rejected[0].name} sets rows aside that repeat others: all rows decide which"
    return f"nothing of {', '.join(wanted.columns)} narrows it"


def _none_lost(reading: Reading, table: str, version: int) -> bool:
    """Whether no row ever met another of its key: by the ledgers back to the last time the table was computed from everything."""
    log = reading.run.log(path_of(table))
    for looked, at in enumerate(range(version, -1, -1)):
        record = log.record_at(at) if looked < _LOOKED_BACK else None
        if record is None:
            return False
        ledger = record.ledger
        met = ledger.updated or ledger.unchanged or ledger.deleted if record.mode != "full" else 0
        if record.kind == "hop" and (ledger.superseded or ledger.duplicate or ledger.tombstones or met):
            return False
        if record.kind == "hop" and record.mode == "full":
            return True
    return False
