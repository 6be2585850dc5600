"""A lake as wide as wanted, told by commits without rows: for what must stay quick when there are many tables."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

from lake.log import TableLog
from lake.origins import Document
from lake.record import Code, Input, Ledger, Record, RunInfo
from lake.release import Pin, Release
from lake.store import Store
from lake.table import path_of

MOMENT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
_INFO = RunInfo(id="generated", flow="generated", trigger="test", started=MOMENT)


def generate(store: Store, tables: int, columns: int) -> Release:
    """Write `tables` tables of `columns` columns each, all in release 1.

    A fifth are bronze; two fifths silver, each made from two of those; the rest gold, made from two of silver, or of gold before them.
    """
    chance = random.Random(1)
    first = max(tables // 5, 1)
    names = [f"{'bronze' if n < first else 'silver' if n < 3 * first else 'gold'}.area{n % 12}.table_{n:04d}" for n in range(tables)]
    pins = {}
    for number, name in enumerate(names):
        start, until = (0, first) if number < 3 * first else (first, number if chance.random() < 0.2 else 3 * first)
        read = chance.sample(names[start:until], min(2, until - start)) if number >= first else []
        inputs = [Input(table=one, kind="snapshot", end=0) for one in read] or [Input(table="system/landings", kind="changes", end=0)]
        made: dict[str, dict[tuple[str, str], str]] = {
            f"column_{i}": {(chance.choice(read), f"column_{chance.randrange(columns)}"): "transformed"} for i in range(columns) if read
        }
        code = Code(hop=f"flows.generated.hops:make_{number}", fingerprint=str(number), columns=f"g{number}")
        store.put(f"system/columns/g{number}.json", Document(name, code.hop, "plan", None, made, {}).to_json())
        record = _record(name, number, inputs, code, columns)
        TableLog(store, path_of(name)).commit(0, [], record)
        pins[name] = Pin(version=0, schema_version=1, rows=record.rows)
    release = Release(number=1, at=MOMENT, run=_INFO, tables=dict(sorted(pins.items())))
    store.put("system/releases/0000000001.json", json.dumps(release.model_dump(mode="json", exclude_none=True)).encode())
    return release


def _record(name: str, number: int, inputs: list[Input], code: Code, columns: int) -> Record:
    spoken = [
        {"name": f"column_{i}", "type": "double", "nullable": True, "description": f"Measure {i} of what table {number} is about", "metadata": {"unit": "m"}}
        for i in range(columns)
    ]
    document: dict[str, Any] = {"table": name, "description": f"Things of kind {number}", "owner": "team", "key": ["column_0"], "columns": spoken, "rules": {}}
    return Record(
        kind="hop" if name[0] != "b" else "ingest", table=name, batch=name, at=MOMENT, run=_INFO, code=code, inputs=inputs, schema_version=1,
        schema_fingerprint="generated", schema_document=document, ledger=Ledger(read=number, inserted=number), rows=number, bytes=100 * number,
        data_files=1, owner="team", summary=f"Things of kind {number}", freshest=MOMENT, fresh_within_seconds=86_400.0,
    )  # fmt: skip
