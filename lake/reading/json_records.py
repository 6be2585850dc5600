"""JSON into typed rows with no value changed: what no type holds exactly is text, as it is written in the file.

The file is gone through twice: once to learn the shape of every record, once to read slices of it with the joined types,
which are kept as Parquet parts. So lines are never in memory all at once, and all slices have one schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from lake.contract import RESCUED, ROW
from lake.errors import FileRejected
from lake.reading.bounds import LONGEST_LINE, MOST_CELLS, MOST_NAMES
from lake.reading.columnar import inner_names, renamed_inside
from lake.reading.delimited import REJECTS, Parsed
from lake.reading.dialect import Dialect, column_names
from lake.reading.json_document import Document, Piece, locate
from lake.reading.json_keyed import KEYED, Keyed, is_keyed, locate_keyed, page_list
from lake.reading.json_shape import Plan, Shape, decode, resolve
from lake.reading.structural import MARK, Aside
from lake.wording import counted, several

_BLOCK = 1 << 20  # bytes
_SLICE = 1 << 25  # bytes of records that are read at once
_DEEP = 900  # brackets within each other, those in texts counted too, at which a document is not read beside others
_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\n\r]*")
_ENVELOPE = "envelope"


@dataclass(frozen=True)
class _Seen:
    """The first pass over a file: the joined shape, what is no record, and how many pieces there are."""

    shape: Shape
    rejects: list[tuple[int, int, bytes, str]]
    pieces: int


def read_ndjson(path: Path, spool: Path) -> Parsed:
    """One object a line, numbered by its line; a line that is none is rejected alone, blank lines too."""
    parsed = _read(lambda: _lines(path), spool, None)
    aside = Aside()
    with path.open("rb") as handle:
        if handle.read(len(_BOM)) == _BOM:
            aside.take(0, _BOM, MARK)
    return replace(parsed, structure=aside.frame(), roles=aside.roles, lines=parsed.records)


def is_deep(path: Path) -> bool:
    """Whether brackets may stand very deep within each other."""
    depth = deepest = 0
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            seen = np.frombuffer(block, np.uint8)
            steps = ((seen == ord("[")) | (seen == ord("{"))).astype(np.int64) - ((seen == ord("]")) | (seen == ord("}")))
            heights = depth + np.cumsum(steps)
            deepest, depth = max(deepest, int(heights.max())), int(heights[-1])
    return deepest > _DEEP


def read_document(path: Path, dialect: Dialect, spool: Path) -> Parsed:
    """The records of a document that is not one object a line, numbered in their order. Raises FileRejected if no record is in it.

    Where they are a list inside an object, the rest of that object is in the column `envelope` of each, as JSON text.
    """
    text = path.read_bytes().removeprefix(_BOM).decode("utf-8", "surrogateescape")
    document = _located(text, dialect)
    parsed = _read(document.pieces, spool, document.around)
    if parsed.records and parsed.rejects.height == parsed.records:
        line, reason = parsed.rejects.select("line", "reason").row(0)
        raise FileRejected(f"no record is in it; at line {line}: {reason}", "Its bytes are kept in raw; correct it and land it again")
    return replace(parsed, why={"records": document.why})


def _located(text: str, dialect: Dialect) -> Document | Keyed:
    """Where the records of a document are: where its source says, in its only list of objects, or in the list of a page, though that be empty."""
    if dialect.records and dialect.records.endswith(KEYED):
        return locate_keyed(text, dialect.records, dialect.key)
    document = locate(text, dialect.records)
    if dialect.records is not None or document.array or document.why != "one object":
        return document
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return document
    if (page := page_list(value)) is not None:
        return locate(text, page)
    if is_keyed(value):
        return replace(document, why=f"one object, of {counted(len(value), 'object')} that look alike: Hints(records='$.*', key='key') reads each as a record")
    return document


def _lines(path: Path) -> Iterator[Piece]:
    with path.open("rb") as handle:
        number = 0
        while line := handle.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                yield Piece(number, line[:LONGEST_LINE], f"a line of more than {LONGEST_LINE:,} bytes: the first of them are here, all are in raw")
                while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                    line = handle.readline(LONGEST_LINE + 1)
                continue
            yield Piece(number, line.removeprefix(_BOM) if number == 1 else line)


def _read(pieces: Callable[[], Iterator[Piece]], spool: Path, envelope: str | None) -> Parsed:
    seen = _look(pieces())
    if len(seen.shape.fields) > MOST_NAMES:
        raise FileRejected(
            f"its records have {len(seen.shape.fields):,} different names, more than the {counted(MOST_NAMES, 'column')} a table should have",
            "Where names are data, write them as values: a list of objects with a name and a value",
        )
    notes: dict[str, str] = {}
    plans = {name: resolve(shape, name, notes) for name, shape in seen.shape.fields.items()}
    named = [*plans, *([_ENVELOPE] if envelope is not None else [])]
    columns = column_names(named)
    if envelope is not None:
        notes[columns[-1]] = "what stands around the list of records, with null in the list's place: JSON text"
    parts = _write_parts(pieces(), {number for number, *_ in seen.rejects}, plans, columns, spool, envelope)
    frame = pl.scan_parquet(parts, glob=False) if parts else pl.LazyFrame(schema={ROW: pl.Int64(), RESCUED: pl.String()})
    renamed = {column: was for column, was in zip(columns, named, strict=True) if column != was}
    return Parsed(frame, pl.DataFrame(seen.rejects, schema=REJECTS, orient="row"), seen.pieces, notes, renamed)


def _look(pieces: Iterator[Piece]) -> _Seen:
    shape = Shape()
    rejects: list[tuple[int, int, bytes, str]] = []
    number = 0
    for number, piece in enumerate(pieces, 1):  # noqa: B007  # the last number is the count
        found = piece.reason or decode(piece.raw)
        if isinstance(found, str):
            rejects.append((number, piece.line, piece.raw, found))
        else:
            shape.see(found)
    return _Seen(shape, rejects, number)


def _write_parts(pieces: Iterator[Piece], rejected: set[int], plans: dict[str, Plan], columns: list[str], spool: Path, envelope: str | None) -> list[Path]:
    """Parquet parts of the accepted pieces, in order: the columns, `_row` and `_rescued`."""
    spool.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    whole = Plan(pl.Struct({}), lifts=any(plan.text or plan.lifts for plan in plans.values()), fields=plans)
    for numbers, records in _slices(pieces, rejected, whole):
        frame = _parse(records, plans) if plans else pl.DataFrame(height=len(records))
        if frame.height != len(records):
            raise ValueError(f"{counted(len(records), 'object')} {several(len(records), 'was', 'were')} read as {frame.height:,}")
        if envelope is not None:
            frame = frame.with_columns(pl.lit(envelope).alias(max(plans, key=len, default="") + "+"))
        frame.columns = columns
        frame = frame.with_columns(renamed_inside(pl.col(name), dtype).alias(name) for name, dtype in frame.schema.items() if inner_names(dtype) != dtype)
        part = spool / f"part-{len(parts):05d}.parquet"
        frame.with_columns(pl.Series(ROW, numbers, dtype=pl.Int64), pl.lit(None, dtype=pl.String).alias(RESCUED)).write_parquet(part, compression="lz4")
        parts.append(part)
    return parts


def _parse(records: list[bytes], plans: dict[str, Plan]) -> pl.DataFrame:
    return pl.read_ndjson(b"\n".join(records), schema={name: plan.dtype for name, plan in plans.items()})


def _slices(pieces: Iterator[Piece], rejected: set[int], whole: Plan) -> Iterator[tuple[list[int], list[bytes]]]:
    """Accepted pieces as (numbers, one-line JSON texts that Polars reads with the planned types), about 32 MB at a time."""
    numbers: list[int] = []
    records: list[bytes] = []
    size = 0
    for number, piece in enumerate(pieces, 1):
        if number in rejected:
            continue
        raw = _lifted(piece.raw.decode("utf-8"), whole) if whole.lifts else piece.raw.strip()
        numbers.append(number)
        records.append(raw.replace(b"\n", b" ").replace(b"\r", b" "))
        size += len(raw)
        if size >= _SLICE or len(records) * len(whole.fields) >= MOST_CELLS:
            yield numbers, records
            numbers, records, size = [], [], 0
    if records:
        yield numbers, records


def _lifted(text: str, whole: Plan) -> bytes:
    """The object with every value that is to be text replaced by a JSON string of its own JSON text."""
    out: list[str] = []
    _lift_object(text, _skip(text, 0), whole, out)
    return "".join(out).encode("utf-8")


def _lift_object(text: str, i: int, plan: Plan, out: list[str]) -> int:
    out.append("{")
    i = _skip(text, i + 1)
    while text[i] != "}":
        if text[i] == ",":
            out.append(",")
            i = _skip(text, i + 1)
        start = i
        name, i = _DECODER.raw_decode(text, i)
        out += text[start:i], ":"
        i = _skip(text, _lift(text, _skip(text, _skip(text, i) + 1), plan.fields[name], out))
    out.append("}")
    return i + 1


def _lift_list(text: str, i: int, items: Plan, out: list[str]) -> int:
    out.append("[")
    i = _skip(text, i + 1)
    while text[i] != "]":
        if text[i] == ",":
            out.append(",")
            i = _skip(text, i + 1)
        i = _skip(text, _lift(text, i, items, out))
    out.append("]")
    return i + 1


def _lift(text: str, i: int, plan: Plan, out: list[str]) -> int:
    if plan.lifts and text[i] == "{":
        return _lift_object(text, i, plan, out)
    if plan.lifts and plan.items and text[i] == "[":
        return _lift_list(text, i, plan.items, out)
    end: int = _DECODER.raw_decode(text, i)[1]
    piece = text[i:end]
    out.append(json.dumps(piece) if plan.text and piece != "null" else piece)
    return end


def _skip(text: str, i: int) -> int:
    found = _SPACE.match(text, i)
    return found.end() if found else i
