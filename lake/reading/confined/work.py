"""What a confined process does: it is asked by lines of JSON, and answers each with one. What it reads goes into files that it is told."""

from __future__ import annotations

import datetime as dt
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from lake.errors import FileRejected
from lake.guard import is_own, own_failure
from lake.reading.arrow_footer import check_batches
from lake.reading.columnar import check_depth, in_microseconds
from lake.reading.delimited import Parsed
from lake.reading.dialect import Dialect
from lake.reading.hints import Hints
from lake.reading.json_records import read_document
from lake.reading.parquet_footer import check_rows, columns_of_96_bits
from lake.reading.sheet import read_workbook
from lake.reading.workbook import lay_out
from lake.wording import in_words

_IDLE = 20.0  # seconds without a question
_LONGEST = 6 * 3600  # seconds: who asks has ended by then, or would have ended this process
_LEAST, _MOST = -(2**63), 2**63 - 1  # what an instant becomes that 64 bits cannot count
_ROWS, _REJECTS, _STRUCTURE = "rows.arrow", "rejects.arrow", "structure.arrow"


def serve() -> None:
    """Answer until nobody asks any more."""
    _bound()
    inlet, outlet = sys.stdin.fileno(), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    left = b""
    while os.name == "nt" or select.select([inlet], [], [], _IDLE)[0]:
        more = os.read(inlet, 1 << 16)
        if not more:
            return
        left += more
        while b"\n" in left:
            line, _, left = left.partition(b"\n")
            outlet.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
            outlet.flush()


def _bound() -> None:
    """No dump of memory where it is ended, and no life longer than that of who asks by much."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question: what was found, `rejected` with a reason, `failed` with what a library says, or `broke` where lake's reader did, not the file."""
    what, path = question.pop("what"), Path(question.pop("path"))
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, _LONGEST)
    try:
        return _QUESTIONS[what](path, **question)
    except FileRejected as rejected:
        return {"rejected": rejected.message, "hint": rejected.hint}
    except RecursionError:
        return {"rejected": "it is nested hundreds of levels deep", "hint": "Land it with fewer levels"}
    except MemoryError:
        return {"rejected": "it takes more memory to read than there is", "hint": "Land it in smaller files"}
    except BaseException as error:  # noqa: BLE001  # whatever is raised is told: a process that ends says only that it did
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
        return {"broke": own_failure(error)} if is_own(error) else {"failed": in_words(error)}
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _lay_out(path: Path, dialect: dict[str, Any], hints: dict[str, Any]) -> dict[str, Any]:
    return {"dialect": lay_out(path, Dialect.model_validate(dialect), Hints.model_validate(hints)).model_dump()}


def _workbook(path: Path, dialect: dict[str, Any], into: str) -> dict[str, Any]:
    return _told(read_workbook(path, Dialect.model_validate(dialect)), Path(into))


def _document(path: Path, dialect: dict[str, Any], into: str) -> dict[str, Any]:
    return _told(read_document(path, Dialect.model_validate(dialect), Path(into) / "parts"), Path(into))


def _names(path: Path, kind: str) -> dict[str, Any]:
    schema = pl.read_parquet_schema(path) if kind == "parquet" else pl.read_ipc_schema(path)
    check_depth(pl.Schema(schema))
    return {"names": list(schema)}


def _columnar(path: Path, kind: str) -> dict[str, Any]:
    """Read all of it once and keep nothing: what damage there is, and what memory it takes, shows here. Tells how many rows came."""
    schema = pl.Schema(pl.read_parquet_schema(path) if kind == "parquet" else pl.read_ipc_schema(path))
    check_depth(schema)
    rows = pl.scan_parquet(path, glob=False) if kind == "parquet" else pl.scan_ipc(path, glob=False)
    if kind == "parquet":
        heights = list[int]()
        rows.sink_batches(lambda some: heights.append(some.height), engine="streaming")
        count = sum(heights)
        check_rows(path, count)
        wide = _beyond_nanoseconds(path, schema)
    else:
        wide = []
        rows.sink_parquet(os.devnull, compression="uncompressed", engine="streaming")  # mapped into memory, and so not read before it is used
        count = int(rows.select(pl.nth(0).len() if schema else pl.len()).collect(engine="streaming").item())
        check_batches(path, 0 if any(dtype.is_nested() for dtype in schema.dtypes()) else len(schema), count)
    return {"rows": count, "wide": wide}


def _beyond_nanoseconds(path: Path, schema: pl.Schema) -> list[str]:
    """The columns of 96 bits with instants that 64 bits of nanoseconds cannot count, which Polars would put in the year 2262: to be read in microseconds.

    Raises FileRejected where others of such a column are finer than that.
    """
    columns = [name for name in columns_of_96_bits(path) if schema.get(name) == pl.Datetime("ns")]
    if not columns:
        return []
    rows = pl.scan_parquet(path, glob=False, schema=in_microseconds(schema, columns))
    least, most = dt.datetime(1677, 9, 22), dt.datetime(2262, 4, 11)  # noqa: DTZ001  # as the column, of no zone
    beyond = rows.select((~pl.col(name).is_between(least, most)).any().alias(name) for name in columns).collect(engine="streaming").row(0, named=True)
    wide = [name for name in columns if beyond[name]]
    fine = [(pl.col(name).dt.nanosecond() % 1000 != 0) & ~pl.col(name).to_physical().is_in([_LEAST, _MOST]) for name in wide]
    found = (
        pl.scan_parquet(path, glob=False).select(each.any().alias(name) for name, each in zip(wide, fine, strict=True)).collect(engine="streaming")
        if wide
        else None
    )
    if found is not None and (both := [name for name in wide if found[name].item()]):
        raise FileRejected(f"column {both[0]} has instants finer than microseconds beside some that nanoseconds cannot count", "Write it in microseconds")
    return wide


_QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "lay_out": _lay_out, "workbook": _workbook, "document": _document, "names": _names, "columnar": _columnar,
}  # fmt: skip


def _told(parsed: Parsed, folder: Path) -> dict[str, Any]:
    """What was read, with its frames in files of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    parsed.frame.sink_ipc(folder / _ROWS, engine="streaming")
    parsed.rejects.write_ipc(folder / _REJECTS)
    parsed.structure.sink_ipc(folder / _STRUCTURE, engine="streaming")
    return {
        "records": parsed.records, "notes": parsed.notes, "renamed": parsed.renamed, "why": parsed.why, "mended": parsed.mended, "remarks": list(parsed.remarks),
        "roles": parsed.roles, "lines": parsed.lines,
    }  # fmt: skip


def parsed_from(told: dict[str, Any], folder: Path) -> Parsed:
    """The file as data, from what a process wrote and said."""
    return Parsed(
        pl.scan_ipc(folder / _ROWS, glob=False), pl.read_ipc(folder / _REJECTS), told["records"], told["notes"], told["renamed"], told["why"],
        pl.scan_ipc(folder / _STRUCTURE, glob=False), told["roles"], told["lines"], told["mended"], tuple(told["remarks"]),
    )  # fmt: skip
