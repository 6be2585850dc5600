"""A generated history of runs in Prefect's SQLite: what `tests/bench/history.py` measures on. Written past Prefect, with its own tables and indexes."""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BATCH = 50_000  # rows
_FILLED = ("flow_run", "flow_run_state", "task_run", "task_run_state", "log", "artifact")
_LABELS = '{"prefect.flow.id": "nyc"}'
_SCHEDULE = '{"id": "00000000-0000-0000-0000-000000000000", "type": "SCHEDULE", "display_value": "CronSchedule"}'
Values = tuple[Any, ...]


@dataclass(frozen=True)
class Shape:
    """How much there is: days of runs, minutes between two, and what belongs to each run."""

    days: int = 365
    minutes: int = 5
    tasks: int = 19
    logs: int = 10
    artifacts: int = 3

    @property
    def runs(self) -> int:
        """How many flow runs that makes."""
        return self.days * 24 * 60 // self.minutes


def fill(database: Path, shape: Shape, flow: str, deployment: str) -> str:
    """Write runs of the deployment that end now into a stopped server's database. Returns the id of the last flow run.

    Indexes are taken away meanwhile and made again from the statements that Prefect made them with.
    """
    rows = _Rows(shape, flow, deployment)
    with sqlite3.connect(database, isolation_level=None) as opened:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000", "foreign_keys=OFF", "temp_store=MEMORY", "threads=2"):
            opened.execute(f"PRAGMA {setting}")
        marks = ",".join("?" * len(_FILLED))
        indexes = opened.execute(f"SELECT name, sql FROM sqlite_master WHERE type='index' AND sql IS NOT NULL AND tbl_name IN ({marks})", _FILLED).fetchall()  # noqa: S608
        for name, _ in indexes:
            opened.execute(f"DROP INDEX {name}")
        for table, columns, made in rows.tables():
            _insert(opened, table, columns, made)
        for _, statement in indexes:
            opened.execute(statement)
        opened.execute("PRAGMA journal_mode=WAL")
    opened.close()
    return rows.flow_run(shape.runs - 1)


def _insert(opened: sqlite3.Connection, table: str, columns: str, rows: Iterator[Values]) -> None:
    marks = ",".join("?" * len(columns.split(",")))
    while batch := list(itertools.islice(rows, _BATCH)):
        opened.execute("BEGIN")
        opened.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", batch)  # noqa: S608
        opened.execute("COMMIT")


class _Rows:
    """The rows of each table. Ids grow with time, as Prefect's own do; every run takes 20 seconds and every fiftieth fails."""

    def __init__(self, shape: Shape, flow: str, deployment: str) -> None:
        self.shape, self.flow, self.deployment = shape, flow, deployment
        self.end = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0, tzinfo=None)
        self.salt = secrets.token_hex(4)

    def flow_run(self, run: int) -> str:
        """The id of a run by its number."""
        return self._id(1, run)

    def tables(self) -> Iterable[tuple[str, str, Iterator[Values]]]:
        """Each table with the columns that are filled, and its rows."""
        state = "id,created,updated,type,timestamp,name,message,{}"
        ran = "id,created,updated,name,state_type,state_name,state_id,state_timestamp,run_count,expected_start_time,start_time,end_time,total_run_time,tags,labels,"
        yield "flow_run", f"{ran}flow_id,deployment_id,auto_scheduled,created_by,parameters,idempotency_key", self._flow_runs()
        yield "flow_run_state", state.format("flow_run_id"), self._flow_run_states()
        yield "task_run", f"{ran}flow_run_id,task_key,dynamic_key,flow_run_run_count", self._task_runs()
        yield "task_run_state", state.format("task_run_id"), self._task_run_states()
        yield "log", "id,created,updated,name,level,flow_run_id,message,timestamp", self._logs()
        yield "artifact", "id,created,updated,key,type,data,flow_run_id,description", self._artifacts()

    def _flow_runs(self) -> Iterator[Values]:
        for run in range(self.shape.runs):
            at, end = self._at(run), self._at(run, 20)
            name, kind = ("Failed", "FAILED") if run % 50 == 0 else ("Completed", "COMPLETED")
            yield (
                self.flow_run(run), at, end, f"nyc refresh {run}", kind, name, self._id(2, 4 * run + 3), end, 1, at, self._at(run, 1), end, _took(19),
                '["lake","nyc"]', _LABELS, self.flow, self.deployment, 1, _SCHEDULE, "{}", f"scheduled {self.deployment} {run}",
            )  # fmt: skip

    def _flow_run_states(self) -> Iterator[Values]:
        for run in range(self.shape.runs):
            last = "Failed" if run % 50 == 0 else "Completed"
            for turn, (name, second) in enumerate((("Scheduled", 0), ("Pending", 0.5), ("Running", 1), (last, 20))):
                at = self._at(run, second)
                yield self._id(2, 4 * run + turn), at, at, name.upper(), at, name, "" if turn < 3 else "12 of 19 tables changed", self.flow_run(run)

    def _task_runs(self) -> Iterator[Values]:
        for run in range(self.shape.runs):
            for task in range(self.shape.tasks):
                at, end, number = self._at(run, 1 + 0.9 * task), self._at(run, 1.8 + 0.9 * task), run * self.shape.tasks + task
                yield (
                    self._id(3, number), at, end, f"silver.nyc.table_{task}-{number % 1000:03}", "COMPLETED", "Completed", self._id(4, 3 * number + 2), end,
                    1, at, at, end, _took(0.8), "[]", _LABELS, self.flow_run(run), f"step-{task:02}", str(task), 1,
                )  # fmt: skip

    def _task_run_states(self) -> Iterator[Values]:
        for run in range(self.shape.runs):
            for task in range(self.shape.tasks):
                number = run * self.shape.tasks + task
                for turn, (name, second) in enumerate((("Pending", 0), ("Running", 0.1), ("Completed", 0.8))):
                    at = self._at(run, 1 + 0.9 * task + second)
                    yield self._id(4, 3 * number + turn), at, at, name.upper(), at, name, "", self._id(3, number)

    def _logs(self) -> Iterator[Values]:
        for run in range(self.shape.runs):
            for line in range(self.shape.logs):
                at = self._at(run, 1 + line)
                message = f"silver.nyc.table_{line}: read 12,345 = inserted 12,000 + unchanged 340 + rejected 5"
                yield self._id(5, run * self.shape.logs + line), at, at, "prefect.flow_runs", 20, self.flow_run(run), message, at

    def _artifacts(self) -> Iterator[Values]:
        for run in range(self.shape.runs):
            for which in range(self.shape.artifacts):
                at = self._at(run, 18)
                yield (
                    self._id(6, run * self.shape.artifacts + which), at, at, f"dev-nyc-{which}", "markdown", '"' + "a table of steps " * 60 + '"',
                    self.flow_run(run), "what the run did",
                )  # fmt: skip

    def _at(self, run: int, seconds: float = 0) -> str:
        at = self.end - dt.timedelta(minutes=self.shape.minutes * (self.shape.runs - run)) + dt.timedelta(seconds=seconds)
        return f"{at.isoformat(sep=' ', timespec='microseconds')}"

    def _id(self, kind: int, number: int) -> str:
        return f"0{kind}{number >> 24:06x}-{number >> 8 & 0xFFFF:04x}-7{number & 0xFF:03x}-8000-0000{self.salt}"


def _took(seconds: float) -> str:
    """A duration as Prefect's SQLite holds it: counted from 1970."""
    return (dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)).isoformat(sep=" ", timespec="microseconds")  # noqa: DTZ001  # stored without a zone
