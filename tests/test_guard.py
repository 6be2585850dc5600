"""No file stops its subject: whatever is raised over one, at whichever step, rejects it whole with the reason, and the others come in. What is nobody's file goes through."""

from __future__ import annotations

import datetime as dt
import errno
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl
import pytest

from lake.errors import DiskFull, DTypeRefused, FileRejected, LakeError, StoreUnreachable
from lake.guard import blamed
from lake.ingest import ingest
from lake.landing import land
from lake.reading.confined import asking, work
from lake.run import Run
from lake.source import Source
from lake.table import Table
from tests.test_workbook import book, put
from tests.tiny import last_record, rows_of

_TABLE = Table("bronze.shop.things")
_Panic = pl.exceptions.PanicException
_AT = dt.datetime(2024, 2, 29, 12, 30)  # noqa: DTZ001  # as files have it


def _take(run: Run, folder: Path, *, table: Table = _TABLE) -> dict[str, str | None]:
    """Land the folder and ingest it: the reason of each file of the last commit."""
    source = Source(table, folder, "*")
    land(run, source)
    ingest(run, source)
    return {file.name: file.reason for file in last_record(run, table).files}


def _values(run: Run) -> list[Any]:
    return sorted(row["a"] for row in rows_of(run, _TABLE))


def _lengths(made: Any) -> None:
    sheet = put(made, "data", [["a"], ["n/a"]])
    sheet.write_datetime(2, 0, dt.timedelta(hours=30), made.add_format({"num_format": "[h]:mm:ss"}))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda folder: (folder / "b.xlsx").write_bytes(book(_lengths)), id="durations beside text"),
        pytest.param(
            lambda folder: (
                pl.DataFrame({"a": [_AT]}).write_parquet(folder / "a.parquet"),
                (folder / "b.csv").write_text("a,b\n2024-02-29T12:30:00+05:30,1\n"),
            ),
            id="an instant, then text with an offset",
        ),
        pytest.param(
            lambda folder: (
                pl.DataFrame({"a": [True]}).write_parquet(folder / "a.parquet"),
                pl.DataFrame({"a": [2**64 - 1]}, schema={"a": pl.UInt64()}).write_parquet(folder / "b.parquet"),
            ),
            id="true and false, then whole numbers of 64 bits",
        ),
    ],
)
def test_the_next_file_comes_in(run: Run, tmp_path: Path, write: Callable[[Path], Any]) -> None:
    """After files that cannot be brought together, and before them those that can: nothing is lost, nothing stops."""
    write(tmp_path)
    first = _take(run, tmp_path)
    (tmp_path / "c.csv").write_text("a,b\nx,1\n")
    assert _take(run, tmp_path) == {"c.csv": None}
    taken = sum(reason is None for reason in first.values())
    assert (len(rows_of(run, _TABLE)), last_record(run, _TABLE).rejects) == (
        sum(1 if n != "b.xlsx" else 2 for n, r in first.items() if r is None) + 1,
        len(first) - taken,
    )


_STEPS = {
    "examine": "lake.reading.records.find_dialect", "read": "lake.reading.records.read_delimited", "gate": "lake.intake.gate", "fit": "lake.joining.fit",
    "cast": "lake.joining.shaped", "write": "lake.joining.write_parts", "put": "lake.datafile._told",
}  # fmt: skip
_RAISED: dict[str, BaseException] = {
    "value": ValueError("odd"), "type": TypeError("odd"), "depth": RecursionError("odd"), "memory": MemoryError(), "key": KeyError("odd"), "panic": _Panic("odd"),
    "polars": pl.exceptions.ComputeError("odd"), "system": OSError("odd"),
}  # fmt: skip


def _raising(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, bad: Callable[..., bool]) -> None:
    """Make a step raise `error` wherever its arguments are those of the file that is bad."""
    place, name = _STEPS[step].rsplit(".", 1)
    holder: Any = importlib.import_module(place)
    real = getattr(holder, name)

    def instead(*args: Any, **said: Any) -> Any:
        if bad(*args):
            raise error
        return real(*args, **said)

    monkeypatch.setattr(holder, name, instead)


def _is_bad(step: str) -> Callable[..., bool]:
    """Whether a step's arguments are those of bad.csv, whose column is `bad`."""

    def shaped(*args: Any) -> bool:
        found = next(arg for arg in args if isinstance(arg, pl.LazyFrame))
        return bool(found.collect_schema().get("bad") and found.select(pl.col("bad").is_not_null().any()).collect().item())

    return {
        "examine": lambda head, *_: b"bad" in head, "read": lambda path, *_: b"bad" in path.read_bytes(), "gate": lambda schema: "bad" in schema,
        "fit": lambda shape, schema, *_: "bad" in schema, "cast": lambda frame, item, *_: "bad" in item.schema, "write": shaped,
        "put": lambda rows, measured, found: "bad" in measured and found["bad"][2] < rows,
    }[step]  # fmt: skip


def _three(folder: Path) -> None:
    (folder / "1.csv").write_text("a,b\n1,x\n")
    (folder / "bad.csv").write_text("b,a,bad\ny,2,1\n")
    (folder / "good.csv").write_text("b,a\nz,3\n")


@pytest.mark.parametrize("step", _STEPS)
@pytest.mark.parametrize("kind", ["value", "panic"])
def test_whatever_is_raised_at_a_step_rejects_the_file_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, kind: str) -> None:
    """The others of the same commit come in, and the table gets no column of a file that it does not take; afterwards it reads as any other."""
    _three(tmp_path)
    with monkeypatch.context() as patch:
        _raising(patch, step, _RAISED[kind], _is_bad(step))
        reasons = _take(run, tmp_path)
    assert {name for name, reason in reasons.items() if reason} == {"bad.csv"}
    assert "bad.csv" in str(reasons["bad.csv"])
    assert "odd" in str(reasons["bad.csv"])
    assert (_values(run), last_record(run, _TABLE).rejects) == (["1", "3"], 1)
    assert "bad" not in rows_of(run, _TABLE)[0]


@pytest.mark.parametrize("kind", _RAISED)
def test_every_kind_of_error_is_a_reason(kind: str) -> None:
    """Those of Python, of libraries, and panics; in words, without a traceback."""
    told = blamed(_RAISED[kind], "x.csv cannot be read")
    assert isinstance(told, FileRejected)
    assert told.message.startswith("x.csv cannot be read: ")
    assert told.message.removeprefix("x.csv cannot be read: ")


@pytest.mark.parametrize("kind", ["type", "key"])
def test_a_mistake_in_lake_is_no_damage_of_the_file(kind: str) -> None:
    """The reason says so, and what to do."""
    assert re.search(
        r"lake's reader failed over it \(.*odd.*\), which says nothing against the file.*`lake readmit` once lake is mended",
        blamed(_RAISED[kind], "x.csv").message,
    )
    assert "lake's reader" not in blamed(_RAISED["polars"], "x.csv").message


@pytest.mark.parametrize(
    ("error", "right"),
    [
        (AssertionError("odd"), "broke"), (NotImplementedError("odd"), "broke"), (KeyError("odd"), "broke"), (TypeError("odd"), "broke"), (StopIteration(), "broke"),
        (RuntimeError("odd"), "failed"), (fastexcel.FastExcelError("odd"), "failed"), (EOFError("odd"), "failed"), (_Panic("odd"), "failed"), (ValueError("odd"), "failed"),
        (FileRejected("odd"), "rejected"), (MemoryError(), "rejected"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)  # fmt: skip
def test_a_confined_reader_answers_whatever_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, right: str) -> None:
    """It does not end, which would be told as damage of the file; a mistake in its own program is told as that."""

    def raising(_: Path) -> dict[str, Any]:
        raise error

    monkeypatch.setitem(work._QUESTIONS, "odd", raising)
    assert right in work.answer({"what": "odd", "path": str(tmp_path / "x.xlsx")})


def test_a_sound_file_over_which_the_confined_reader_fails_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its reason, as `lake rejects` shows it."""
    (tmp_path / "x.xlsx").write_bytes(b"sound")
    start = "import sys; sys.path.insert(0, {!r}); import lake.reading.confined.work as work; work._QUESTIONS['workbook'] = lambda path: [][3]; work.serve()"
    asking.end_all()
    monkeypatch.setattr(asking, "_START", start.format(str(asking._ROOT)))
    with pytest.raises(FileRejected, match=r"x\.xlsx cannot be read: lake's reader failed over it \(.*list index out of range.*says nothing against the file"):
        asking.ask("workbook", tmp_path / "x.xlsx", "x.xlsx")
    asking.end_all()


def test_a_panic_of_any_library_is_one() -> None:
    """Each library in Rust has a class of its own for them, which is no Exception."""
    other = type("PanicException", (BaseException,), {})("entered unreachable code")
    assert "entered unreachable code" in blamed(other, "x.csv").message
    with pytest.raises(GeneratorExit):
        blamed(GeneratorExit(), "x.csv")


@pytest.mark.parametrize(
    ("error", "comes"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(3), SystemExit),
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (OSError(errno.EMFILE, "Too many open files"), LakeError),
        (pl.exceptions.ComputeError("No space left on device (os error 28)"), DiskFull),
        (StoreUnreachable("nothing answers", "start it"), StoreUnreachable),
    ],
)
@pytest.mark.parametrize("step", ["read", "cast"])
def test_what_no_file_is_to_blame_for_ends_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, comes: type[BaseException]
) -> None:
    """And once it is over every file comes in: nothing was rejected for it."""
    _three(tmp_path)
    with monkeypatch.context() as patch:
        _raising(patch, step, error, _is_bad(step))
        with pytest.raises(comes) as caught:
            _take(run, tmp_path)
        assert not isinstance(caught.value, FileRejected | DTypeRefused)
    assert set(_take(run, tmp_path).values()) == {None}
    assert _values(run) == ["1", "2", "3"]


@pytest.mark.parametrize("value", ["No space left on device", 'a "No space left" b', 'x"], connection refused', "os error 28", "Generic S3 error"])
def test_a_value_that_reads_like_trouble_of_the_machine_is_the_files(value: str) -> None:
    """Libraries quote what they cannot convert; what is quoted is no news of the disk or the store."""
    with pytest.raises(pl.exceptions.InvalidOperationError) as caught:
        pl.DataFrame({"a": [value]}).select(pl.col("a").cast(pl.Int64))
    assert isinstance(blamed(caught.value, "x.csv cannot be read"), FileRejected)
