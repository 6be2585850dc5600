"""Any landed file as rows: unpacked, transcoded, and parsed by its format. The one entry for everything that reads raw."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from lake.contract import RESCUED, ROW
from lake.errors import FileRejected
from lake.reading.delimited import REJECTS, Parsed, read_delimited
from lake.reading.dialect import Dialect, Hints, column_names, find_dialect
from lake.reading.unpack import Compression, members, unpack

_HEAD, _LONGEST_HEADER = 1 << 16, 1 << 24


def examine(path: Path, compression: Compression | None, name: str, hints: Hints) -> list[Dialect]:
    """The dialect of each file inside the raw file at `path`: what its receipt keeps. A damaged or foreign one has a `problem`."""
    found: list[Dialect] = []
    try:
        for member, inner in members(path, compression, name):
            found.append(_examine_member(path, compression, member, inner, name, hints))
    except FileRejected as rejected:
        return [Dialect(format="binary", problem=rejected.message)]
    return found or [Dialect(format="empty", problem=f"{name} is an archive with nothing in it")]


def _examine_member(path: Path, compression: Compression | None, member: str | None, inner: str, name: str, hints: Hints) -> Dialect:
    head = b""
    try:
        for chunk in unpack(path, compression, member, name):
            head += chunk
            if len(head) >= _HEAD and (b"\n" in head or b"\r" in head or len(head) >= _LONGEST_HEADER):
                break
    except FileRejected as rejected:
        return Dialect(member=member, format="binary", problem=rejected.message)
    dialect = find_dialect(head, inner, member, hints)
    if compression is None and dialect.format in ("parquet", "arrow") and not dialect.problem:
        try:
            schema = pl.read_parquet_schema(path) if dialect.format == "parquet" else pl.read_ipc_schema(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            return dialect.model_copy(update={"format": "binary", "problem": f"{inner} begins like {dialect.format} but cannot be read: {_brief(error)}"})
        named = list(schema)
        return dialect.model_copy(update={"columns": column_names(named), "named": named})
    return dialect


def read_member(path: Path, compression: Compression | None, dialect: Dialect, name: str, spool: Path) -> Parsed:
    """Every record of one file inside the raw file at `path`, working in the folder `spool`. Raises FileRejected."""
    if dialect.problem:
        raise FileRejected(dialect.problem, "The bytes are kept in raw; correct the file or its source, and land it again")
    spool.mkdir(parents=True, exist_ok=True)
    if dialect.format == "empty":
        return Parsed(pl.LazyFrame(schema={ROW: pl.Int64(), RESCUED: pl.String()}), pl.DataFrame(schema=REJECTS), 0)
    plain = path if compression is None and dialect.encoding == "utf-8" else _plain(path, compression, dialect, name, spool)
    try:
        if dialect.format == "csv":
            return read_delimited(plain, dialect, spool / "rows")
        if dialect.format == "ndjson":
            return _ndjson(plain, spool)
        return _numbered(_typed(plain, dialect))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise FileRejected(f"{name} cannot be read as {dialect.format}: {_brief(error)}", "Its bytes are kept in raw; correct it and land it again") from None


def _plain(path: Path, compression: Compression | None, dialect: Dialect, name: str, spool: Path) -> Path:
    """The unpacked bytes as a local file, in UTF-8 if they are text."""
    target = spool / "plain"
    chunks = unpack(path, compression, dialect.member, name)
    text = dialect.format in ("csv", "json", "ndjson")
    with target.open("wb") as handle:
        handle.writelines(_transcoded(chunks, dialect.encoding) if text and dialect.encoding != "utf-8" else chunks)
    return target


def _transcoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8")
        yield decoder.decode(b"", True).encode("utf-8")
    except UnicodeDecodeError as error:
        raise FileRejected(
            f"the text is not {encoding}: {error.reason} at byte {error.start}", "Declare the encoding on the source: Hints(encoding=…)"
        ) from None


def _typed(path: Path, dialect: Dialect) -> pl.LazyFrame:
    """Formats that carry types: kept as they are; the gate decides what Delta can hold."""
    if dialect.format == "parquet":
        return pl.scan_parquet(path, glob=False)
    if dialect.format == "arrow":
        return pl.scan_ipc(path, glob=False)
    if dialect.format == "json":
        return pl.read_json(path, infer_schema_length=None).lazy()
    if dialect.format == "excel":
        sheet = {"sheet_name": dialect.sheet} if dialect.sheet else {}
        return _workbook(path, sheet)
    raise FileRejected(f"there is no reader for {dialect.format} files")


def _workbook(path: Path, sheet: dict[str, str]) -> pl.LazyFrame:
    """A sheet with its types; a column in which typing would lose a cell is text."""
    options: dict[str, Any] = {**sheet, "drop_empty_rows": False, "drop_empty_cols": False, "raise_if_empty": False}
    try:
        typed = pl.read_excel(path, **options, infer_schema_length=None)
        text = pl.read_excel(path, **options, read_options={"dtypes": "string"})
    except pl.exceptions.PolarsError:
        raise
    except Exception as error:  # noqa: BLE001  # the workbook reader has errors of its own
        raise ValueError(_brief(error)) from None
    lossy = [name for name in typed.columns if name in text.columns and typed[name].null_count() > text[name].null_count()]
    kept: pl.DataFrame = typed.with_columns(text.select(lossy))
    return kept.lazy()


def _numbered(frame: pl.LazyFrame) -> Parsed:
    named = frame.collect_schema().names()
    frame = frame.rename(dict(zip(named, column_names(named), strict=True)))
    frame = frame.with_row_index(ROW, offset=1).with_columns(pl.col(ROW).cast(pl.Int64), pl.lit(None, dtype=pl.String).alias(RESCUED))
    records = int(frame.select(pl.len()).collect(engine="streaming").item())
    return Parsed(frame.select(pl.exclude(ROW, RESCUED), ROW, RESCUED), pl.DataFrame(schema=REJECTS), records)


def _ndjson(path: Path, spool: Path) -> Parsed:
    """One JSON object a line; a line that is none is rejected alone, blank lines too."""
    rejects: list[tuple[int, int, bytes, str]] = []
    numbers: list[int] = []
    clean = spool / "clean.ndjson"
    records = 0
    with path.open("rb") as lines, clean.open("wb") as kept:
        for number, line in enumerate(lines, 1):
            records += 1
            reason = _not_an_object(line.removeprefix(b"\xef\xbb\xbf"))
            if reason is None:
                numbers.append(number)
                kept.write(line.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n") + b"\n")
            else:
                rejects.append((number, number, line, reason))
    bad = pl.DataFrame(rejects, schema=REJECTS, orient="row")
    if not numbers:
        return Parsed(pl.LazyFrame(schema={ROW: pl.Int64(), RESCUED: pl.String()}), bad, records)
    parsed = _numbered(pl.scan_ndjson(clean.read_bytes() if _is_pattern(clean) else clean, infer_schema_length=None))
    if bad.height:  # row n of the clean file is line numbers[n - 1] of the original
        places = pl.LazyFrame({"#place": pl.Series(numbers, dtype=pl.Int64)}).with_row_index("#n", offset=1)
        names = parsed.frame.collect_schema().names()
        frame = parsed.frame.join(places.with_columns(pl.col("#n").cast(pl.Int64)), left_on=ROW, right_on="#n", maintain_order="left")
        parsed = Parsed(frame.with_columns(pl.col("#place").alias(ROW)).select(names), bad, records)
    return Parsed(parsed.frame, bad, records)


def _not_an_object(line: bytes) -> str | None:
    if not line.strip():
        return "the line is blank"
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
        if b"\\u" in line:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        return f"not JSON: {str(error)[:120]}"
    return None if isinstance(value, dict) else f"a JSON {type(value).__name__} where an object was expected"


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large a number")
    return value


def _is_pattern(path: Path) -> bool:
    """Whether Polars would take the path for a pattern; its NDJSON reader cannot be told not to."""
    return any(sign in str(path) for sign in "*?[")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
