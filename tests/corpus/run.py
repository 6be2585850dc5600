"""Let each reader read each file, in worker processes that are killed when one file takes too long."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.corpus.judge import Score, blank, judge
from tests.corpus.readers import READERS, Refused

_PATIENCE = 10.0  # seconds a file
_START = 60.0  # seconds until a worker has imported what it needs
_JUDGING = 60.0  # seconds
_AT_ONCE = 2


@dataclass(frozen=True)
class Result:
    """One reader's score on one file, with the ways in which the file is broken and the encoding it is in."""

    reader: str
    file: str
    kinds: tuple[str, ...]
    encoding: str
    score: Score


def run(files: list[Path], readers: list[str]) -> list[Result]:
    """Every reader over every file. A reader that hangs or dies has failed on that file and begins anew with the next."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [result for results in pool.map(lambda reader: _drive(reader, files), readers) for result in results]


def read_one(reader: str, file: Path) -> Result:
    """One reader on one file, in this process and without a limit."""
    expected = _truth(file)
    return Result(reader, file.name, tuple(expected["kinds"]), expected["encoding"], _score(reader, file, expected))


def _truth(file: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads(file.with_suffix(".expected.json").read_text(encoding="utf-8"))
    return truth


def _score(reader: str, file: Path, expected: dict[str, Any], read: Connection | None = None) -> Score:
    try:
        table = READERS[reader](file)
    except Refused as refused:
        return blank(expected, said=f"refused: {refused}", refused=True)
    except BaseException as error:  # noqa: BLE001  # a panic in a library is a failure of that reader like any other
        return blank(expected, said=f"{type(error).__name__}: {' '.join(str(error).split())[:160]}", refused=False)
    if read is not None:
        read.send("read")
    return judge(expected, table)


def _worker(reader: str, orders: Connection) -> None:
    """Read the files named on the pipe; say "read" when a file is read, then send its score."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    first = Path(orders.recv())
    with contextlib.suppress(BaseException):
        READERS[reader](first)  # the imports must not count
    orders.send("ready")
    while file := orders.recv():
        try:
            answer: Score | Exception = _score(reader, Path(file), _truth(Path(file)), orders)
        except Exception as error:  # noqa: BLE001  # the judge's own defect, which is no reader's failure
            answer = error
        orders.send(answer)


def _drive(reader: str, files: list[Path]) -> list[Result]:
    results: list[Result] = []
    worker: _Worker | None = None
    for file in files:
        worker = worker or _Worker(reader, files[0])
        expected = _truth(file)
        score = worker.read(file)
        if isinstance(score, Exception):
            raise RuntimeError(f"the judge failed on {reader} and {file.name}") from score  # noqa: TRY004
        if isinstance(score, str):
            worker.kill()
            worker, score = None, blank(expected, said=score, refused=False)
        results.append(Result(reader, file.name, tuple(expected["kinds"]), expected["encoding"], score))
    if worker:
        worker.kill()
    return results


class _Worker:
    """A process of one reader."""

    def __init__(self, reader: str, first: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_worker, args=(reader, theirs), daemon=True)
        os.environ["POLARS_MAX_THREADS"] = "1"
        self.process.start()
        theirs.close()
        self.pipe.send(str(first))
        self.answer(_START)

    def read(self, file: Path) -> Score | Exception | str:
        """The score, or in words why there is none."""
        self.pipe.send(str(file))
        answer = self.answer(_PATIENCE)
        return self.answer(_JUDGING) if answer == "read" else answer

    def answer(self, seconds: float) -> Any:
        """What the process sends next; in words if it does not."""
        try:
            return self.pipe.recv() if self.pipe.poll(seconds) else f"took longer than {seconds:.0f} seconds"
        except (EOFError, OSError):
            return "the process died"

    def kill(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
