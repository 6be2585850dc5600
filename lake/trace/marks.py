"""Frames that carry, beside each row, which rows of the inputs it was made from.

A hop's function is called with such frames in place of its inputs. Every row carries, for each input, the numbers of the rows it comes from:
joins put the two sides' numbers together, groups gather those of their rows, what works row by row leaves them be. An operation of which it is
not known that no other row decides raises Unfollowed: then nothing is claimed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import polars as pl

from lake.origins.rowwise import outside_their_row
from lake.wording import in_words

_MARK, _KEPT, _OTHER, _KEY = "#from ", "#kept ", "#other ", "#key "
_NUMBERS = pl.List(pl.UInt32())
_EMPTY = pl.lit(pl.Series([[]], dtype=_NUMBERS)).first()
_PLAIN = {"cache", "clone", "lazy", "pipe", "explain", "set_sorted", "sort", "explode", "unnest"}
"""What leaves rows as they are, or only orders or repeats them, and takes what they carry along."""
_one_at_a_time = threading.Lock()


class Unfollowed(Exception):  # noqa: N818
    """Something in a hop through which rows cannot be followed; the message says what."""


class Marked(pl.LazyFrame):
    """A lazy frame whose rows carry the numbers of the input rows they are made from, in columns that the function does not see."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name not in _FOLLOWED and name not in _PLAIN and hasattr(pl.LazyFrame, name):
            looks = name.startswith(("collect", "sink", "show", "describe", "profile", "fetch"))
            raise Unfollowed("it looks at rows while it makes its plan" if looks else f"{name}() is not followed row by row")
        return super().__getattribute__(name)

    def collect_schema(self) -> pl.Schema:
        """The columns that the function knows."""
        return pl.Schema({name: dtype for name, dtype in _schema(self).items() if not name.startswith(_MARK)})

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return self.collect_schema().names()

    @property
    def schema(self) -> pl.Schema:
        """The same as `collect_schema`."""
        return self.collect_schema()

    @property
    def width(self) -> int:
        """How many they are."""
        return len(self.collect_schema())

    def filter(self, *predicates: Any, **constraints: Any) -> pl.LazyFrame:
        """Rows that are left out take what they carry with them."""
        named = {f"#{name}": pl.col(name) == value for name, value in constraints.items()}
        flat = [one for given in predicates for one in (list(given) if isinstance(given, list | tuple) else [given])]
        _row_by_row(self, **{f"#{number}": one for number, one in enumerate(flat)}, **named)
        return pl.LazyFrame.filter(self, *predicates, **constraints)

    def select(self, *expressions: Any, **named: Any) -> pl.LazyFrame:
        """Each row made of itself."""
        _row_by_row(self, *expressions, **named)
        marks = _marks(self)
        return _restored(pl.LazyFrame.select(self, *expressions, **named, **{_KEPT + name: pl.col(name) for name in marks}), marks)

    def with_columns(self, *expressions: Any, **named: Any) -> pl.LazyFrame:
        """Each row made of itself."""
        _row_by_row(self, *expressions, **named)
        marks = _marks(self)
        return _restored(pl.LazyFrame.with_columns(self, *expressions, **named, **{_KEPT + name: pl.col(name) for name in marks}), marks)

    def drop(self, *columns: Any, strict: bool = True) -> pl.LazyFrame:
        """Columns the function knows."""
        out = pl.LazyFrame.drop(self, *columns, strict=strict)
        if _marks(out) != _marks(self):
            raise Unfollowed("drop() by a selector is not followed row by row")
        return out

    def rename(self, mapping: Any, *, strict: bool = True) -> pl.LazyFrame:
        """Columns the function knows."""
        told = mapping if isinstance(mapping, Mapping) else {name: mapping(name) for name in self.collect_schema()}
        return pl.LazyFrame.rename(self, told, strict=strict)

    def drop_nulls(self, subset: Any = None) -> pl.LazyFrame:
        """Rows that are left out take what they carry with them."""
        return pl.LazyFrame.drop_nulls(self, list(self.collect_schema()) if subset is None else subset)

    def unpivot(self, on: Any = None, *, index: Any = None, variable_name: str | None = None, value_name: str | None = None) -> pl.LazyFrame:
        """Each value as a row that carries what its row did."""
        kept = [index] if isinstance(index, str) else list(index or [])
        wanted = on if on is not None else [name for name in self.collect_schema() if name not in kept]
        return pl.LazyFrame.unpivot(self, wanted, index=[*kept, *_marks(self)], variable_name=variable_name, value_name=value_name)

    def unique(self, subset: Any = None, *, keep: str = "any", maintain_order: bool = False) -> pl.LazyFrame:
        """One of several rows: it carries what all of them did, since each might have been the one."""
        among = list(self.collect_schema()) if subset is None else [subset] if isinstance(subset, str) else list(subset)
        if keep == "none" or not all(isinstance(name, str) for name in among):
            raise Unfollowed("unique() of this kind is not followed row by row")
        marks = _marks(self)
        rivals = _wrapped(pl.LazyFrame.group_by(self, among).agg(_gathered(marks)))
        left = pl.LazyFrame.drop(pl.LazyFrame.unique(self, among, keep=keep, maintain_order=maintain_order), marks)  # type: ignore[arg-type]
        return _wrapped(pl.LazyFrame.join(left, rivals, on=among, how="left", nulls_equal=True, maintain_order="left"))

    def group_by(self, *by: Any, maintain_order: bool = False, **named: Any) -> Any:
        """Groups that carry what their rows did."""
        _row_by_row(self, *by, **named)
        return _Groups(self, by, named, maintain_order)

    def join(self, other: pl.LazyFrame, on: Any = None, how: Any = "inner", **options: Any) -> pl.LazyFrame:
        """Rows that met carry what both did. Of a semi join, each row carries every row that let it stay."""
        other = other if isinstance(other, Marked) else _unmarked(other, _marks(self))
        if how == "semi":
            return self._semi(other, on, options)
        if how not in ("inner", "left", "right", "full", "cross"):
            raise Unfollowed(f"an {how} join is not followed row by row: rows that are left out decide")
        marks = _marks(self)
        out = pl.LazyFrame.join(self, pl.LazyFrame.rename(other, {name: _OTHER + name for name in marks}), on, how, **options)
        both = [pl.concat_list(pl.col(name).fill_null(_EMPTY), pl.col(_OTHER + name).fill_null(_EMPTY)).alias(name) for name in marks]
        return pl.LazyFrame.drop(pl.LazyFrame.with_columns(out, both), [_OTHER + name for name in marks])

    def _semi(self, other: Marked, on: Any, options: dict[str, Any]) -> pl.LazyFrame:
        right = on if on is not None else options.pop("right_on", None)
        left = on if on is not None else options.pop("left_on", None)
        keys = [right] if isinstance(right, str | pl.Expr) else list(right)
        marks = _marks(self)
        named = {f"{_KEY}{number}": pl.col(key) if isinstance(key, str) else key for number, key in enumerate(keys)}
        there = pl.LazyFrame.select(other, **named, **{name: pl.col(name) for name in marks})
        met = _wrapped(pl.LazyFrame.group_by(there, list(named)).agg(_gathered(marks)))
        nulls = {"nulls_equal": options["nulls_equal"]} if "nulls_equal" in options else {}
        out = Marked.join(self, met, how="inner", left_on=left, right_on=list(named), coalesce=False, maintain_order="left", **nulls)
        return pl.LazyFrame.drop(out, list(named))


class _Groups:
    """What `group_by` gives, as far as it is followed."""

    def __init__(self, frame: Marked, by: tuple[Any, ...], named: dict[str, Any], ordered: bool) -> None:
        self._frame, self._by, self._named, self._ordered = frame, by, named, ordered

    def agg(self, *aggregates: Any, **named: Any) -> pl.LazyFrame:
        """One row a group."""
        marks = _marks(self._frame)
        groups = pl.LazyFrame.group_by(self._frame, *self._by, maintain_order=self._ordered, **self._named)
        kept = {_KEPT + name: gathered for name, gathered in zip(marks, _gathered(marks), strict=True)}
        return _restored(_wrapped(groups.agg(*aggregates, **named, **kept)), marks)

    def len(self, name: str | None = None) -> pl.LazyFrame:
        """How many rows each has."""
        return self.agg(pl.len().alias(name or "len"))

    def __getattr__(self, name: str) -> Any:
        raise Unfollowed(f"group_by().{name}() is not followed row by row")


_FOLLOWED = {name for name, value in vars(Marked).items() if not name.startswith("_") and (callable(value) or isinstance(value, property))}


def _marked(frame: pl.LazyFrame, parameter: str, every: Collection[str], only: pl.Expr | None) -> Marked:
    """An input of which each row, or each that is told by `only`, carries its number in the order the rows are read in."""
    own = pl.concat_list(pl.col(_KEY)).cast(_NUMBERS)
    if only is not None:
        own = pl.when(only).then(own).otherwise(_EMPTY)
    marks = [(own if name == parameter else _EMPTY).alias(_MARK + name) for name in every]
    return _wrapped(frame.with_row_index(_KEY).with_columns(marks).drop(_KEY))


def followed(function: Callable[..., pl.LazyFrame], frames: Mapping[str, pl.LazyFrame], only: Mapping[str, pl.Expr] | None = None) -> pl.LazyFrame:
    """What a function makes of frames whose rows are marked, as a plain frame that has the marks.

    `only` limits by parameter which rows are. Raises Unfollowed, saying through what rows cannot be followed.
    """
    told = only or {}
    inputs = {parameter: _marked(frame, parameter, list(frames), told.get(parameter)) for parameter, frame in frames.items()}
    try:
        with _one_at_a_time, _following_concat():
            out = function(**inputs)
    except (pl.exceptions.PolarsError, TypeError, AttributeError, ValueError) as error:
        raise Unfollowed(in_words(error)) from None
    if not isinstance(out, Marked):
        raise Unfollowed("it returns a frame that was not made from its inputs by operations that are followed")
    return pl.LazyFrame._from_pyldf(out._ldf)  # noqa: SLF001  # the same plan


def marked_from(out: pl.LazyFrame, parameter: str) -> pl.LazyFrame:
    """The rows of `out` that carry a number of a row of the input."""
    return out.filter(pl.col(_MARK + parameter).list.len() > 0)


def numbers_in(out: pl.LazyFrame, parameters: Collection[str]) -> dict[str, pl.Series]:
    """By parameter, the numbers of the rows that the rows of `out` carry."""
    found = out.select(_MARK + parameter for parameter in parameters).collect(engine="streaming")
    return {parameter: found[_MARK + parameter].explode().drop_nulls().unique().sort() for parameter in parameters}


@contextlib.contextmanager
def _following_concat() -> Iterator[None]:
    """`pl.concat` of marked frames gives a marked frame meanwhile; of others what it always does."""
    plain = pl.concat

    def concat(items: Any, **options: Any) -> Any:
        given = list(items)
        if not any(isinstance(one, Marked) for one in given):
            return plain(given, **options)
        if not all(isinstance(one, Marked) for one in given):
            raise Unfollowed("a concat with rows that are not from its inputs is not followed")
        if not str(options.get("how", "vertical")).startswith(("vertical", "diagonal")):
            raise Unfollowed("a horizontal concat is not followed row by row")
        marks = _marks(given[0])
        last = [pl.LazyFrame.select(one, [*Marked.collect_schema(one), *marks]) for one in given]
        return _wrapped(plain(last, **options))

    pl.concat = concat
    try:
        yield
    finally:
        pl.concat = plain


def _row_by_row(frame: Marked, *expressions: Any, **named: Any) -> None:
    """Raise Unfollowed unless each value is made from the row it stands in."""
    if why := outside_their_row(frame.collect_schema(), *expressions, **named):
        raise Unfollowed(f"{why} looks at other rows")


def _schema(frame: pl.LazyFrame) -> pl.Schema:
    return pl.LazyFrame.collect_schema(frame)


def _marks(frame: pl.LazyFrame) -> list[str]:
    return [name for name in _schema(frame) if name.startswith(_MARK)]


def _wrapped(frame: pl.LazyFrame) -> Marked:
    made: Marked = Marked._from_pyldf(frame._ldf)  # type: ignore[assignment]  # noqa: SLF001  # the same plan under this class
    return made


def _unmarked(frame: pl.LazyFrame, marks: list[str]) -> Marked:
    """Rows that come from no input."""
    return _wrapped(frame.with_columns(_EMPTY.alias(name) for name in marks))


def _restored(frame: pl.LazyFrame, marks: list[str]) -> pl.LazyFrame:
    """The marks that were kept aside, under their names, whatever the function's selectors made of them."""
    known = _schema(frame)
    out = pl.LazyFrame.drop(frame, [name for name in marks if name in known])
    return pl.LazyFrame.rename(out, {_KEPT + name: name for name in marks})


def _gathered(marks: list[str]) -> list[pl.Expr]:
    return [pl.col(name).explode().drop_nulls() for name in marks]
