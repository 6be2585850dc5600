"""Files that grew: hashes of their beginnings in the one pass that reads them, and how many of their records came in before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import polars as pl

from lake.contract import ROW
from lake.reading.delimited import Parsed

_HASH, _NUMBER = "#hash", "#number"


class Hashed:
    """The hash of bytes that come in chunks, and those of their beginnings of some lengths: each byte is hashed once, however many these are."""

    def __init__(self, lengths: Iterable[int] = ()) -> None:
        self.size = 0
        self.beginnings: dict[int, str] = {}
        self._digest = hashlib.sha256()
        self._ahead = sorted({length for length in lengths if length > 0}, reverse=True)

    def add(self, chunk: bytes) -> None:
        """More of the bytes."""
        while self._ahead and self._ahead[-1] <= self.size + len(chunk):
            length = self._ahead.pop()
            part, chunk = chunk[: length - self.size], chunk[length - self.size :]
            self._digest.update(part)
            self.size = length
            self.beginnings[length] = self._digest.copy().hexdigest()
        self._digest.update(chunk)
        self.size += len(chunk)

    def hexdigest(self) -> str:
        """The SHA-256 of all of them."""
        return self._digest.hexdigest()


def length_if_begun(whole: Iterator[bytes], beginning: Iterator[bytes]) -> int | None:
    """How many bytes the `beginning` is, if `whole` begins with it; else None. Reads both once, as far as they are the same."""
    length, held = 0, b""
    for chunk in beginning:
        while len(held) < len(chunk):
            more = next(whole, None)
            if more is None:
                return None
            held += more
        if not held.startswith(chunk):
            return None
        length, held = length + len(chunk), held[len(chunk) :]
    return length


def same_records(before: Parsed, whole: Parsed) -> int | None:
    """How many of the first records of `whole` are those of `before`, a beginning of it; None where they are not the same records.

    The last record of `before` may be another in `whole`: it was cut.
    """
    was, now = before.frame.collect_schema(), whole.frame.collect_schema()
    if not set(was) <= set(now):
        return None
    as_now = [pl.col(name).cast(dtype, strict=False) if name in was else pl.lit(None, dtype=dtype).alias(name) for name, dtype in now.items()]
    one, other = (_marked(frame) for frame in (before.frame.select(as_now), whole.frame.filter(pl.col(ROW) <= before.records)))
    rejects = (_rejected(before.rejects.lazy()), _rejected(whole.rejects.lazy().filter(pl.col(ROW) <= before.records)))
    unlike = [left.join(right, on=[ROW, _HASH], how="anti") for left, right in ((one, other), (other, one), rejects, rejects[::-1])]
    first = pl.concat([rows.select(ROW) for rows in unlike]).select(pl.col(ROW).min()).collect(engine="streaming").item()
    if first is None:
        return before.records
    return before.records - 1 if first == before.records else None


def _marked(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(ROW, pl.struct(pl.all().exclude(ROW)).struct.json_encode().hash().alias(_HASH))


def _rejected(rejects: pl.LazyFrame) -> pl.LazyFrame:
    return rejects.select(ROW, pl.concat_str(pl.col("bytes").bin.encode("hex"), pl.col("reason"), separator=" ", ignore_nulls=True).hash().alias(_HASH))
